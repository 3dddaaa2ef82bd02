//! Conversations and their messages, as far as they are kept; and what changes a message.

use std::collections::HashSet;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{
    super::{
        App,
        answer::Created,
        auth::{Controlling, For, ReadingData, Sending, TenantRequest},
        input::{Body, IdempotencyKey, Path, Query, object},
        problem::Problem,
        stream::{self, Frame, Streamed},
    },
    Success, accepted, bare_id, chat, flaw, listed,
    lists::{ChatList, Ids, MessageList, MessagesOfChat},
    mentions, send_refusal, target,
    whole_number::{make_whole, whole},
};
use crate::{
    message::{Draft, SendRequest, history},
    session::{AcceptError, Session},
    tenant::TenantId,
    waha,
};

#[derive(Deserialize, JsonSchema)]
pub struct ChatPath {
    #[schemars(example = "573009998877@c.us")]
    #[serde(rename = "chatId")]
    pub chat_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagePath {
    #[schemars(example = "573009998877@c.us")]
    chat_id: String,
    #[schemars(example = "false_573009998877@c.us_3EB0C767D097B7C7C030")]
    message_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAChat")]
pub struct WahaChat {
    id: String,
    /// The name that the other one gives himself.
    name: Option<String>,
    /// Of the last message, seconds since 1970.
    conversation_timestamp: i64,
    /// Its messages disappear after so many seconds; null: they stay.
    ephemeral_expiration: Option<u32>,
    last_message: waha::WAMessage,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAChatOverview")]
pub struct Overview {
    id: String,
    name: String,
    picture: &'static str,
    last_message: waha::WAMessage,
    #[serde(rename = "_chat")]
    chat: ChatId,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAChatId")]
pub struct ChatId {
    id: String,
    /// Its messages disappear after so many seconds; null: they stay.
    ephemeral_expiration: Option<u32>,
}

/// `GET /api/{session}/chats`
pub async fn list(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(wanted): Query<ChatList>,
) -> Result<Json<Vec<WahaChat>>, Problem> {
    let form = |session: &Session, chat: &history::ChatSummary| WahaChat {
        id: waha::chat_id(&chat.id),
        name: chat.name.clone(),
        conversation_timestamp: chat.last.message.timestamp,
        ephemeral_expiration: chat.timer,
        last_message: listed(session, &chat.last),
    };
    let session = app.fleet.open_known(&tenant).await?;
    let chats = wanted.read(&session, &HashSet::new()).await?;
    Ok(Json(chats.iter().map(|chat| form(&session, chat)).collect()))
}

/// `GET /api/{session}/chats/overview`
pub async fn overview(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(wanted): Query<ChatList>,
    Ids(ids): Ids,
) -> Result<Json<Vec<Overview>>, Problem> {
    let ids = super::conversations(&app, &tenant, "ids", &ids).await?;
    Ok(Json(overviews(&app, &tenant, &wanted, &ids).await?))
}

async fn overviews(
    app: &App,
    tenant: &TenantId,
    wanted: &ChatList,
    ids: &HashSet<String>,
) -> Result<Vec<Overview>, Problem> {
    let session = app.fleet.open_known(tenant).await?;
    let chats = wanted.read(&session, ids).await?;
    Ok(chats.iter().map(|chat| Overview::new(&session, chat)).collect())
}

impl Overview {
    fn new(session: &Session, chat: &history::ChatSummary) -> Self {
        Self {
            id: waha::chat_id(&chat.id),
            name: chat.name.clone().unwrap_or_default(),
            picture: "",
            last_message: listed(session, &chat.last),
            chat: ChatId { id: waha::chat_id(&chat.id), ephemeral_expiration: chat.timer },
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OverviewRequest")]
pub struct Overviews {
    #[serde(default, deserialize_with = "pagination")]
    pagination: Option<ChatList>,
    #[serde(default, deserialize_with = "object")]
    filter: Option<Filter>,
}

/// As [`object`]: a query has no `limit` of 20.0, but a body may.
fn pagination<'de, D: Deserializer<'de>>(field: D) -> Result<Option<ChatList>, D::Error> {
    let Some(mut asked) = object::<Map<String, Value>, D>(field)? else { return Ok(None) };
    for name in ["limit", "offset"] {
        asked.get_mut(name).into_iter().for_each(make_whole);
    }
    ChatList::deserialize(Value::Object(asked)).map(Some).map_err(D::Error::custom)
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OverviewFilter")]
pub struct Filter {
    ids: Option<Vec<String>>,
}

/// `POST /api/{session}/chats/overview`: the same for chats that are named.
pub async fn overview_of(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Body(wanted): Body<Overviews>,
) -> Result<Created<Vec<Overview>>, Problem> {
    let ids = wanted.filter.and_then(|filter| filter.ids).unwrap_or_default();
    let ids: HashSet<String> = super::conversations(&app, &tenant, "filter.ids", &ids).await?;
    let wanted = wanted.pagination.unwrap_or_default();
    Ok(Created(overviews(&app, &tenant, &wanted, &ids).await?))
}

/// `GET /api/{session}/chats/{chatId}/messages`: newest first, if nothing else is asked for. `all` is no chat, but all of them.
pub async fn messages(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ChatPath>,
    Query(wanted): Query<MessageList>,
) -> Result<Streamed<Vec<waha::WAMessage>>, Problem> {
    read(&app, &tenant, &named.chat_id, &wanted).await
}

/// `GET /api/messages`
pub async fn messages_of(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(asked), .. }: TenantRequest<ReadingData, Query<MessagesOfChat>>,
    Query(wanted): Query<MessageList>,
) -> Result<Streamed<Vec<waha::WAMessage>>, Problem> {
    read(&app, &tenant, asked.chat_id.as_deref().unwrap_or_default(), &wanted).await
}

async fn read(
    app: &App,
    tenant: &TenantId,
    chat_id: &str,
    wanted: &MessageList,
) -> Result<Streamed<Vec<waha::WAMessage>>, Problem> {
    let chat = match chat_id {
        "all" => None,
        one => Some(chat(app, tenant, "chatId", one).await?),
    };
    let session = app.fleet.open_known(tenant).await?;
    let query = wanted.query(chat)?;
    let form = {
        let session = session.clone();
        move |entry| listed(&session, &entry)
    };
    stream::messages(&session, query, Frame::list(), form).await
}

/// `GET /api/{session}/chats/{chatId}/messages/{messageId}`
pub async fn message(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<MessagePath>,
) -> Result<Json<waha::WAMessage>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    let id = bare_id(&named.message_id);
    let session = app.fleet.open_known(&tenant).await?;
    let found = session.message_named(&chat, &id).await?;
    let entry = found.ok_or(AcceptError::UnknownMessage)?;
    Ok(Json(listed(&session, &entry)))
}

#[derive(Deserialize, JsonSchema)]
pub struct NewText {
    #[schemars(required, length(min = 1), example = "Su pedido está casi listo")]
    text: Option<String>,
    /// Chat ids of people whom the new text names as `@number`; `all`: all of a group, named as `@all`.
    mentions: Option<Vec<String>>,
}

/// `PUT /api/{session}/chats/{chatId}/messages/{messageId}`: a new text for a message of ours.
pub async fn edit(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    key: IdempotencyKey,
    Body(body): Body<NewText>,
) -> Result<Json<waha::WAMessage>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    let text = body.text.ok_or_else(|| flaw("text", "is required"))?;
    let mentions = mentions(&app, &tenant, body.mentions).await?;
    let target = target(&app.fleet.open_known(&tenant).await?, &chat, &named.message_id).await?;
    let request = SendRequest {
        to: chat,
        draft: Draft::Edit { target, text, mentions },
        answers: None,
        id: None,
        ttl: None,
        from_bot: false,
        humanize: None,
    };
    let sent = app.fleet.send(&tenant, &request, key.as_deref()).await?.map_err(send_refusal)?;
    Ok(Json(accepted(&sent, None)))
}

/// `DELETE /api/{session}/chats/{chatId}/messages/{messageId}`: for everyone.
pub async fn revoke(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    key: IdempotencyKey,
) -> Result<Json<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    let target = target(&app.fleet.open_known(&tenant).await?, &chat, &named.message_id).await?;
    let request = SendRequest {
        to: chat,
        draft: Draft::Revoke { target },
        answers: None,
        id: None,
        ttl: None,
        from_bot: false,
        humanize: None,
    };
    Ok(Json(app.fleet.send(&tenant, &request, key.as_deref()).await?.map_err(send_refusal)?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PinMessage")]
pub struct Pin {
    /// Seconds: a day, a week or thirty days.
    #[serde(deserialize_with = "whole")]
    #[schemars(required, example = 86400)]
    duration: Option<u32>,
}

/// `POST /api/{session}/chats/{chatId}/messages/{messageId}/pin`
pub async fn pin(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    key: IdempotencyKey,
    Body(pin): Body<Pin>,
) -> Result<Created<Success>, Problem> {
    let seconds = pin.duration.ok_or_else(|| flaw("duration", "is required"))?;
    set_pinned(&app, &tenant, &named, &key, Some(seconds)).await
}

/// `POST /api/{session}/chats/{chatId}/messages/{messageId}/unpin`
pub async fn unpin(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<MessagePath>,
    key: IdempotencyKey,
) -> Result<Created<Success>, Problem> {
    set_pinned(&app, &tenant, &named, &key, None).await
}

async fn set_pinned(
    app: &App,
    tenant: &TenantId,
    named: &MessagePath,
    key: &IdempotencyKey,
    seconds: Option<u32>,
) -> Result<Created<Success>, Problem> {
    let chat = chat(app, tenant, "chatId", &named.chat_id).await?;
    let target = target(&app.fleet.open_known(tenant).await?, &chat, &named.message_id).await?;
    let request = SendRequest {
        to: chat,
        draft: Draft::Pin { target, seconds },
        answers: None,
        id: None,
        ttl: None,
        from_bot: false,
        humanize: None,
    };
    Ok(Created(app.fleet.send(tenant, &request, key.as_deref()).await?.map_err(send_refusal)?.into()))
}

#[derive(Serialize, JsonSchema)]
pub struct ReadChatMessagesResponse {
    ids: Vec<String>,
}

/// `POST /api/{session}/chats/{chatId}/messages/read`: all that came and was not marked.
pub async fn read_messages(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Path(named): Path<ChatPath>,
) -> Result<Created<ReadChatMessagesResponse>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    let session = app.fleet.open_known(&tenant).await?;
    let read = session.mark_read(&chat, &[]).await?;
    let ids: Vec<String> = read.iter().map(|message| waha::message_id(message).to_string()).collect();
    Ok(Created(ReadChatMessagesResponse { ids }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatPictureResponse")]
pub struct PictureUrl {
    /// Empty: there is none, or none for us. Good for a while.
    url: String,
}

impl PictureUrl {
    pub fn new(url: Option<String>) -> Self {
        Self { url: url.unwrap_or_default() }
    }
}

/// `GET /api/{session}/chats/{chatId}/picture`
pub async fn picture(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ChatPath>,
) -> Result<Json<PictureUrl>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    Ok(Json(PictureUrl::new(app.fleet.open_known(&tenant).await?.picture(&chat).await?)))
}

/// `POST /api/{session}/chats/{chatId}/archive`
pub async fn archive(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<Created<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    app.fleet.open_known(&tenant).await?.archive(&chat, true).await?;
    Ok(Created(Success::YES))
}

/// `POST /api/{session}/chats/{chatId}/unarchive`
pub async fn unarchive(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<Created<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    app.fleet.open_known(&tenant).await?.archive(&chat, false).await?;
    Ok(Created(Success::YES))
}

/// `POST /api/{session}/chats/{chatId}/unread`
pub async fn unread(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<Created<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    app.fleet.open_known(&tenant).await?.mark_unread(&chat).await?;
    Ok(Created(Success::YES))
}

/// `DELETE /api/{session}/chats/{chatId}`: here and on the tenant's devices; the other one keeps what it has.
pub async fn delete(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    app.fleet.open_known(&tenant).await?.delete_chat(&chat).await?;
    Ok(Json(Success::YES))
}

/// `DELETE /api/{session}/chats/{chatId}/messages`: the same, and the chat stays.
pub async fn clear(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    app.fleet.open_known(&tenant).await?.clear_chat(&chat).await?;
    Ok(Json(Success::YES))
}
