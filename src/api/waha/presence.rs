//! Who is there and who types.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{For, Reading, Sending},
        baileys::Body,
        problem::Problem,
    },
    chat,
    chats::ChatPath,
    flaw,
};
use crate::{session::Mood, waha::person};

#[derive(Deserialize)]
pub struct New {
    presence: Option<String>,
    #[serde(rename = "chatId")]
    chat_id: Option<String>,
}

/// `POST /api/{session}/presence`: there or not there for all; typing, recording or neither in one chat.
pub async fn set(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mood = person::parse_mood(new.presence.as_deref().unwrap_or_default())
        .ok_or_else(|| flaw("presence", "online, offline, typing, recording or paused"))?;
    let session = app.fleet.known(&tenant).await?;
    match mood {
        Mood::Online | Mood::Offline => session.show_online(mood == Mood::Online).await?,
        Mood::Typing | Mood::Recording | Mood::Paused => {
            let chat = chat(&app, "chatId", new.chat_id.as_deref().unwrap_or_default())?;
            session.show_mood(&chat, mood).await?;
        }
    }
    Ok((StatusCode::CREATED, Json(json!({ "success": true }))))
}

/// `GET /api/{session}/presence`: of all chats that were asked for.
pub async fn all(State(app): State<App>, For { tenant, .. }: For<Reading>) -> Result<Json<Vec<Value>>, Problem> {
    let presences = app.fleet.known(&tenant).await?.presences();
    Ok(Json(presences.iter().map(|(chat, shown)| person::presences(chat, shown)).collect()))
}

/// `GET /api/{session}/presence/{chatId}`
pub async fn one(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Value>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let shown = app.fleet.known(&tenant).await?.presence(&chat).await?;
    Ok(Json(person::presences(&chat, &shown)))
}

/// `POST /api/{session}/presence/{chatId}/subscribe`
pub async fn subscribe(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<ChatPath>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    app.fleet.known(&tenant).await?.follow_presence(&chat).await?;
    Ok((StatusCode::CREATED, Json(json!({ "success": true }))))
}
