//! Another master key: seals all that the vault has with the first. For the operator; `sessiond rekey` asks here while the daemon runs.
//! WAHA has no such routes.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{App, input::Body, problem::Problem};
use crate::fleet::{FleetError, RekeyReport};

#[derive(Deserialize, JsonSchema)]
pub struct RekeyRequest {
    /// Only count what needs another key than the first.
    #[serde(default)]
    check: bool,
}

/// `POST /api/server/rekey`: begins, unless it goes on already.
pub async fn begin(State(app): State<App>, Body(request): Body<RekeyRequest>) -> Result<Json<RekeyReport>, Problem> {
    if app.fleet.is_draining() {
        return Err(FleetError::Draining.into());
    }
    Ok(Json(app.fleet.rekey(request.check)))
}

/// `GET /api/server/rekey`: how far it is, or how it ended.
pub async fn show(State(app): State<App>) -> Json<RekeyReport> {
    Json(app.fleet.rekey_report())
}
