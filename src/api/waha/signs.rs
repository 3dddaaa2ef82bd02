//! What shows in a chat without a message: read, typing, starred. Sends nothing that anybody could answer.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        answer::EmptyCreated,
        auth::{Names, TenantRequest},
        input::Body,
        problem::Problem,
    },
    Success, bare_id, chat, flaw,
    sending::SessionBody,
    target,
};
use crate::tenant::TenantId;

in_session!(Sign: session, Star: session);

/// Marks what came as read, or says that somebody is typing.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChatSign")]
pub struct Sign {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    message_id: Option<String>,
    message_ids: Option<Vec<String>>,
}

/// `POST /api/sendSeen`: these messages, or all that came in the chat and were not marked.
pub async fn seen(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(sign), .. }: SessionBody<Sign>,
) -> Result<EmptyCreated, Problem> {
    let chat = chat(&app, &tenant, "chatId", sign.chat_id.as_deref().unwrap_or_default()).await?;
    let ids = sign.message_ids.unwrap_or_default().into_iter().chain(sign.message_id);
    let ids: Vec<String> = ids.map(|id| bare_id(&id)).collect();
    let session = app.fleet.open_known(&tenant).await?;
    session.mark_read(&chat, &ids).await?;
    Ok(EmptyCreated)
}

/// `POST /api/startTyping`
pub async fn typing(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(sign), .. }: SessionBody<Sign>,
) -> Result<EmptyCreated, Problem> {
    show_typing(&app, &tenant, &sign, true).await
}

/// `POST /api/stopTyping`
pub async fn not_typing(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(sign), .. }: SessionBody<Sign>,
) -> Result<EmptyCreated, Problem> {
    show_typing(&app, &tenant, &sign, false).await
}

async fn show_typing(app: &App, tenant: &TenantId, sign: &Sign, typing: bool) -> Result<EmptyCreated, Problem> {
    let chat = chat(app, tenant, "chatId", sign.chat_id.as_deref().unwrap_or_default()).await?;
    let session = app.fleet.open_known(tenant).await?;
    session.show_typing(&chat, typing).await?;
    Ok(EmptyCreated)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StarMessage")]
pub struct Star {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    #[schemars(required, example = "false_573009998877@c.us_3EB0C767D097B7C7C030")]
    message_id: Option<String>,
    #[schemars(required, example = true)]
    star: Option<bool>,
}

/// `PUT /api/star`: on the tenant's own devices; the other one is not told.
pub async fn star(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<Star>,
) -> Result<Json<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", body.chat_id.as_deref().unwrap_or_default()).await?;
    let starred = body.star.ok_or_else(|| flaw("star", "true or false is required"))?;
    let session = app.fleet.open_known(&tenant).await?;
    let target = target(&session, &chat, &body.message_id.unwrap_or_default()).await?;
    session.check_known(&chat, &target).await?;
    session.star(&chat, &target, starred).await?;
    Ok(Json(Success::YES))
}
