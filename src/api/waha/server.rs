//! What the server says of itself.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::super::App;
use crate::waha;

pub async fn ping() -> Json<Value> {
    Json(json!({ "message": "pong" }))
}

pub async fn version() -> Json<Value> {
    Json(waha::environment())
}

pub async fn status(State(app): State<App>) -> Json<Value> {
    let (now, started) = (app.fleet.env().clock.now().as_millisecond(), app.fleet.started_at().as_millisecond());
    Json(json!({ "startTimestamp": started, "uptime": now - started, "worker": { "id": "sessiond" } }))
}
