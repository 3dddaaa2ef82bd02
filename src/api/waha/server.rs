//! The server, as it describes itself.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::App;
use crate::waha::{self, Environment, Worker};

#[derive(Serialize, JsonSchema)]
pub struct Pong {
    message: &'static str,
}

pub async fn ping() -> Json<Pong> {
    Json(Pong { message: "pong" })
}

pub async fn version() -> Json<Environment> {
    Json(waha::environment())
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Milliseconds since 1970.
    start_timestamp: i64,
    /// Milliseconds.
    uptime: i64,
    worker: Worker,
}

pub async fn status(State(app): State<App>) -> Json<ServerStatus> {
    let (now, start_timestamp) =
        (app.fleet.env().clock.now().as_millisecond(), app.fleet.started_at().as_millisecond());
    Json(ServerStatus { start_timestamp, uptime: now - start_timestamp, worker: Worker::THIS })
}
