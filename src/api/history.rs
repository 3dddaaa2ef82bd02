//! Older messages of a chat, fetched from the tenant's phone. WAHA has no such route.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    App,
    auth::{For, ReadingData},
    input::Body,
    problem::{FieldError, Problem},
    waha,
};
use crate::session;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRequest {
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    /// The most messages to ask for.
    #[schemars(range(min = 1, max = 200))]
    #[serde(default = "usual")]
    count: u16,
}

const MOST: u16 = 200;

/// As many as WhatsApp's own clients ask for.
fn usual() -> u16 {
    50
}

#[derive(Serialize, JsonSchema)]
pub struct HistoryResponse {
    /// The number of messages that came and were not known; they are among the chat's messages now.
    messages: usize,
    /// The phone has nothing older. `null`: it does not say.
    complete: Option<bool>,
    /// Older messages are not kept: the chat or the tenant has as much of its past as it may.
    full: bool,
}

/// `POST /api/sessions/{session}/history`: what is older than all that is known of a chat. Returns when it is durable.
pub async fn fetch(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Body(wanted): Body<HistoryRequest>,
) -> Result<Json<HistoryResponse>, Problem> {
    let flaw = |field: &'static str, message: &str| {
        Problem::invalid(
            format!("{field}: {message}"),
            vec![FieldError { field: field.into(), message: message.to_owned() }],
        )
    };
    let chat = waha::chat(&app, &tenant, "chatId", wanted.chat_id.as_deref().unwrap_or_default()).await?;
    if !(1..=MOST).contains(&wanted.count) {
        return Err(flaw("count", "expected 1 to 200"));
    }
    let session = app.fleet.open_known(&tenant).await?;
    let session::FetchedHistory { messages, complete, full } = session.fetch_past(&chat, wanted.count).await?;
    Ok(Json(HistoryResponse { messages, complete, full }))
}
