//! Calls, which can only be declined.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{For, Sending},
        baileys::Body,
        problem::Problem,
    },
    chat, flaw,
};

#[derive(Deserialize)]
pub struct Call {
    from: Option<String>,
    id: Option<String>,
}

/// `POST /api/{session}/calls/reject`
pub async fn reject(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Body(call): Body<Call>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let from = chat(&app, "from", call.from.as_deref().unwrap_or_default())?;
    let id = call.id.ok_or_else(|| flaw("id", "is required"))?;
    app.fleet.known(&tenant).await?.reject_call(&id, &from).await?;
    Ok((StatusCode::CREATED, Json(json!({ "success": true }))))
}
