//! WhatsApp's limits of a session's account: the people it may write to, and the chats it may begin.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::{
    App,
    auth::{For, ReadingData},
    problem::Problem,
};
use crate::session::{Capping, Timelock};

/// The lock that keeps an account from writing to people who never wrote to it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReachoutTimelockData")]
pub struct TimelockForm {
    enforcement_type: String,
    is_active: bool,
    /// Seconds since 1970.
    time_enforcement_ends: i64,
}

/// `GET /api/sessions/{session}/timelock`
pub async fn timelock(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<TimelockForm>, Problem> {
    let Timelock { kind, active, ends } = app.fleet.open_known(&tenant).await?.timelock().await?;
    Ok(Json(TimelockForm { enforcement_type: kind, is_active: active, time_enforcement_ends: ends }))
}

/// The number of new chats that the account may begin in a cycle.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageCappingData")]
pub struct CappingForm {
    capping_status: String,
    /// -1: as many as it likes.
    total_quota: i64,
    used_quota: i64,
    /// Seconds since 1970.
    cycle_start: i64,
    cycle_end: i64,
    mv_status: String,
    ote_status: String,
}

/// `GET /api/sessions/{session}/capping`
pub async fn capping(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<CappingForm>, Problem> {
    let Capping { status, total, used, begins, ends, meta_verified, one_time } =
        app.fleet.open_known(&tenant).await?.capping().await?;
    Ok(Json(CappingForm {
        capping_status: status,
        total_quota: total,
        used_quota: used,
        cycle_start: begins,
        cycle_end: ends,
        mv_status: meta_verified,
        ote_status: one_time,
    }))
}
