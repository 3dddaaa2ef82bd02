//! Conversations and their messages, as far as they are kept; and what changes a message.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{Caller, Controlling, For, Reading, Scope, Sending},
        baileys::{Body, idempotency_key},
        problem::Problem,
    },
    accepted, chat, flaw, listed, message_id, permitted,
};
use crate::{
    message::{Draft, SendRequest, history},
    session::Session,
    tenant::TenantId,
    waha,
};

#[derive(Deserialize)]
pub struct ChatPath {
    #[serde(rename = "chatId")]
    pub chat_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessagePath {
    chat_id: String,
    message_id: String,
}

#[derive(Deserialize)]
pub struct Page {
    session: Option<String>,
    #[serde(rename = "chatId")]
    chat_id: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

const PAGE: usize = 100;
const MAX_PAGE: usize = 500;

/// `GET /api/{session}/chats`
pub async fn list(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Value>>, Problem> {
    let form = |session: &Session, chat: &history::Chat| {
        json!({
            "id": waha::chat_id(&chat.id),
            "name": chat.name,
            "conversationTimestamp": chat.last.message.timestamp,
            "lastMessage": listed(session, &chat.last),
        })
    };
    chats(&app, &tenant, &page, form).await
}

/// `GET /api/{session}/chats/overview`
pub async fn overview(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Value>>, Problem> {
    chats(&app, &tenant, &page, summary).await
}

/// `ChatSummary`.
fn summary(session: &Session, chat: &history::Chat) -> Value {
    json!({
        "id": waha::chat_id(&chat.id),
        "name": chat.name.as_deref().unwrap_or_default(),
        "picture": "",
        "lastMessage": listed(session, &chat.last),
        "_chat": { "id": waha::chat_id(&chat.id) },
    })
}

#[derive(Deserialize)]
pub struct Overview {
    pagination: Option<Pagination>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
pub struct Pagination {
    limit: Option<f64>,
    offset: Option<f64>,
}

#[derive(Deserialize)]
pub struct Filter {
    ids: Option<Vec<String>>,
}

/// `POST /api/{session}/chats/overview`: the same for chats that are named.
pub async fn overview_of(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Body(wanted): Body<Overview>,
) -> Result<(StatusCode, Json<Vec<Value>>), Problem> {
    let ids = wanted.filter.and_then(|filter| filter.ids).unwrap_or_default();
    let ids: Vec<String> = ids.iter().map(|id| chat(&app, "filter.ids", id)).collect::<Result<_, _>>()?;
    let number = |number: Option<f64>| number.filter(|number| *number >= 0.0).map(|number| number as usize);
    let page = wanted.pagination.as_ref();
    let limit = page.and_then(|page| number(page.limit)).unwrap_or(PAGE).min(MAX_PAGE);
    let offset = page.and_then(|page| number(page.offset)).unwrap_or(0);
    let session = app.fleet.known(&tenant).await?;
    let all = session.chats(0, usize::MAX).await.map_err(Problem::unreadable)?;
    let named = all.iter().filter(|chat| ids.is_empty() || ids.contains(&chat.id));
    Ok((StatusCode::CREATED, Json(named.skip(offset).take(limit).map(|chat| summary(&session, chat)).collect())))
}

async fn chats(
    app: &App,
    tenant: &TenantId,
    page: &Page,
    form: impl Fn(&Session, &history::Chat) -> Value,
) -> Result<Json<Vec<Value>>, Problem> {
    let session = app.fleet.known(tenant).await?;
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let chats = session.chats(page.offset.unwrap_or(0), limit).await.map_err(Problem::unreadable)?;
    Ok(Json(chats.iter().map(|chat| form(&session, chat)).collect()))
}

/// `GET /api/{session}/chats/{chatId}/messages`: newest first.
pub async fn messages(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<ChatPath>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<waha::Message>>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let session = app.fleet.known(&tenant).await?;
    read(&session, chat, &page).await
}

/// `GET /api/messages`
pub async fn messages_of(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Vec<waha::Message>>, Problem> {
    let tenant = permitted(&caller, page.session.as_deref().unwrap_or_default(), Scope::Read)?;
    let chat = chat(&app, "chatId", page.chat_id.as_deref().unwrap_or_default())?;
    let session = app.fleet.known(&tenant).await?;
    read(&session, chat, &page).await
}

async fn read(session: &Session, chat: String, page: &Page) -> Result<Json<Vec<waha::Message>>, Problem> {
    let (offset, limit) = (page.offset.unwrap_or(0).min(100_000), page.limit.unwrap_or(PAGE).min(MAX_PAGE));
    let query = history::Query { chat: Some(chat), limit: offset + limit, ..history::Query::default() };
    let entries = session.messages(&query).await.map_err(Problem::unreadable)?;
    Ok(Json(entries.iter().skip(offset).map(|entry| listed(session, entry)).collect()))
}

/// `GET /api/{session}/chats/{chatId}/messages/{messageId}`
pub async fn message(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<MessagePath>,
) -> Result<Json<waha::Message>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let id = message_id("messageId", &named.message_id)?.id;
    let session = app.fleet.known(&tenant).await?;
    let query = history::Query { chat: Some(chat), id: Some(id), limit: 1, ..history::Query::default() };
    let entries = session.messages(&query).await.map_err(Problem::unreadable)?;
    let entry = entries.first().ok_or_else(|| Problem::from(crate::session::RefusedSend::UnknownMessage))?;
    Ok(Json(listed(&session, entry)))
}

#[derive(Deserialize)]
pub struct NewText {
    text: Option<String>,
}

/// `PUT /api/{session}/chats/{chatId}/messages/{messageId}`: a new text for a message of ours.
pub async fn edit(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    headers: HeaderMap,
    Body(body): Body<NewText>,
) -> Result<Json<waha::Message>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let id = message_id("messageId", &named.message_id)?;
    let text = body.text.ok_or_else(|| flaw("text", "is required"))?;
    let session = app.fleet.known(&tenant).await?;
    let target = session.target(&chat, &id.id, id.from_me, id.participant.as_deref());
    let request = SendRequest { to: chat, draft: Draft::Edit { target, text }, answers: None, id: None };
    Ok(Json(accepted(&app.fleet.send(&tenant, &request, idempotency_key(&headers)?).await??)))
}

/// `DELETE /api/{session}/chats/{chatId}/messages/{messageId}`: for everyone.
pub async fn revoke(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let id = message_id("messageId", &named.message_id)?;
    let session = app.fleet.known(&tenant).await?;
    let target = session.target(&chat, &id.id, id.from_me, id.participant.as_deref());
    let request = SendRequest { to: chat, draft: Draft::Revoke { target }, answers: None, id: None };
    app.fleet.send(&tenant, &request, idempotency_key(&headers)?).await??;
    Ok(Json(json!({ "success": true })))
}

#[derive(Deserialize)]
pub struct Pin {
    /// Seconds.
    duration: Option<f64>,
}

/// `POST /api/{session}/chats/{chatId}/messages/{messageId}/pin`
pub async fn pin(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    headers: HeaderMap,
    Body(pin): Body<Pin>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let seconds = pin.duration.ok_or_else(|| flaw("duration", "is required"))?;
    set_pinned(&app, &tenant, &named, &headers, Some(seconds as u32)).await
}

/// `POST /api/{session}/chats/{chatId}/messages/{messageId}/unpin`
pub async fn unpin(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Problem> {
    set_pinned(&app, &tenant, &named, &headers, None).await
}

async fn set_pinned(
    app: &App,
    tenant: &TenantId,
    named: &MessagePath,
    headers: &HeaderMap,
    seconds: Option<u32>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let chat = chat(app, "chatId", &named.chat_id)?;
    let id = message_id("messageId", &named.message_id)?;
    let session = app.fleet.known(tenant).await?;
    let target = session.target(&chat, &id.id, id.from_me, id.participant.as_deref());
    let request = SendRequest { to: chat, draft: Draft::Pin { target, seconds }, answers: None, id: None };
    app.fleet.send(tenant, &request, idempotency_key(headers)?).await??;
    Ok(created(json!({ "success": true })))
}

/// `POST /api/{session}/chats/{chatId}/messages/read`: what came since we last wrote.
pub async fn read_messages(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<ChatPath>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let session = app.fleet.known(&tenant).await?;
    let read = session.mark_read(&chat, &[]).await?;
    let ids: Vec<String> = read.iter().map(|message| waha::message_id(message).to_string()).collect();
    Ok(created(json!({ "ids": ids })))
}

/// `GET /api/{session}/chats/{chatId}/picture`; empty: it has none, or none for us.
pub async fn picture(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Value>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let url = app.fleet.known(&tenant).await?.picture(&chat).await?;
    Ok(Json(json!({ "url": url.unwrap_or_default() })))
}

/// `POST /api/{session}/chats/{chatId}/archive`
pub async fn archive(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    app.fleet.known(&tenant).await?.archive(&chat, true).await?;
    Ok(created(json!({ "success": true })))
}

/// `POST /api/{session}/chats/{chatId}/unarchive`
pub async fn unarchive(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    app.fleet.known(&tenant).await?.archive(&chat, false).await?;
    Ok(created(json!({ "success": true })))
}

/// `POST /api/{session}/chats/{chatId}/unread`
pub async fn unread(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    app.fleet.known(&tenant).await?.mark_unread(&chat).await?;
    Ok(created(json!({ "success": true })))
}

/// `DELETE /api/{session}/chats/{chatId}`: here and on the tenant's devices; the other one keeps what it has.
pub async fn delete(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Value>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    app.fleet.known(&tenant).await?.delete_chat(&chat).await?;
    Ok(Json(json!({ "success": true })))
}

/// `DELETE /api/{session}/chats/{chatId}/messages`: the same, and the chat stays.
pub async fn clear(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Value>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    app.fleet.known(&tenant).await?.clear_chat(&chat).await?;
    Ok(Json(json!({ "success": true })))
}

fn created(value: Value) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(value))
}
