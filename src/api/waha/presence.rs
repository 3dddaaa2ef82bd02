//! Presence: people who are there, and people who type.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        answer::Created,
        auth::{For, ReadingData, Sending},
        input::{Body, Path},
        problem::Problem,
    },
    Success, chat,
    chats::ChatPath,
    flaw,
};
use crate::{
    session::PresenceState,
    waha::person::{Presence, WAHAChatPresences},
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewPresence {
    #[schemars(required, example = &"online")]
    presence: Option<Presence>,
    /// For typing, recording and paused.
    chat_id: Option<String>,
}

/// `POST /api/{session}/presence`: there or not there for all; typing, recording or neither in one chat.
pub async fn set(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Body(new): Body<NewPresence>,
) -> Result<Created<Success>, Problem> {
    let mood = new.presence.ok_or_else(|| flaw("presence", "is required"))?.into();
    let session = app.fleet.open_known(&tenant).await?;
    match mood {
        PresenceState::Online | PresenceState::Offline => session.show_online(mood == PresenceState::Online).await?,
        PresenceState::Typing | PresenceState::Recording | PresenceState::Paused => {
            let chat = chat(&app, &tenant, "chatId", new.chat_id.as_deref().unwrap_or_default()).await?;
            session.show_mood(&chat, mood).await?;
        }
    }
    Ok(Created(Success::YES))
}

/// `GET /api/{session}/presence`: of all chats that were asked for.
pub async fn all(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<Vec<WAHAChatPresences>>, Problem> {
    let presences = app.fleet.open_known(&tenant).await?.presences().await;
    Ok(Json(presences.iter().map(|(chat, shown)| WAHAChatPresences::new(chat, shown)).collect()))
}

/// `GET /api/{session}/presence/{chatId}`
pub async fn one(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ChatPath>,
) -> Result<Json<WAHAChatPresences>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    let (chat, shown) = app.fleet.open_known(&tenant).await?.presence(&chat).await?;
    Ok(Json(WAHAChatPresences::new(&chat, &shown)))
}

/// `POST /api/{session}/presence/{chatId}/subscribe`
pub async fn subscribe(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ChatPath>,
) -> Result<Created<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    app.fleet.open_known(&tenant).await?.follow_presence(&chat).await?;
    Ok(Created(Success::YES))
}
