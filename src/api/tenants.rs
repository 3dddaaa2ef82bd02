//! The old service's view of tenants: the directory's record, without credentials and settings, with the live state.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    App,
    auth::{Caller, Names, ReadingData, Scope, TenantRequest},
    baileys::misnamed,
    input::Path,
    problem::Problem,
};
use crate::{
    fleet::Fleet,
    session,
    tenant::{InvalidTenantId, TenantId, TenantRecord},
};

#[derive(Deserialize, JsonSchema)]
pub struct TenantPath {
    #[schemars(with = "TenantId")]
    id: String,
}

impl Names for TenantPath {
    fn tenant(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed("tenantId es requerido", error)
    }
}

#[derive(Serialize, JsonSchema)]
pub struct OneTenant {
    success: bool,
    tenant: Tenant,
}

#[derive(Serialize, JsonSchema)]
pub struct Tenants {
    success: bool,
    count: usize,
    tenants: Vec<Tenant>,
}

/// The directory's record of a tenant, and the live state.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    id: TenantId,
    name: Option<String>,
    /// The last state, in words, as the directory has it.
    status: Option<String>,
    /// It is restored at a start.
    whatsapp_connected: bool,
    connected: bool,
    state: session::State,
    /// The reason of its state; `moved`: another process serves it, which alone knows its state. Null: this process has never heard of it.
    reason: Option<String>,
    /// Digits.
    phone_number: Option<String>,
    connected_at: Option<jiff::Timestamp>,
    /// The reason why it was last disconnected. Null while it is connected here: that is over.
    last_error: Option<String>,
    last_error_at: Option<jiff::Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    message: &'static str,
    timestamp: jiff::Timestamp,
    total_tenants: usize,
    /// Always 0: the old service's count was of its own bot's. Orders are at `/api/{session}/bot/orders`.
    total_orders: u64,
}

/// `GET /api/tenant/{id}`
pub async fn one(
    State(app): State<App>,
    TenantRequest { tenant, .. }: TenantRequest<ReadingData, Path<TenantPath>>,
) -> Result<Json<OneTenant>, Problem> {
    let record = app.fleet.record(&tenant).await?.ok_or_else(|| Problem::unknown_tenant().unsuccessful())?;
    Ok(Json(OneTenant { success: true, tenant: form(&app.fleet, record) }))
}

/// `GET /api/tenants`: those that the caller may see.
pub async fn all(State(app): State<App>, caller: Caller) -> Result<Json<Tenants>, Problem> {
    let records = app.fleet.records().await?;
    let seen = records.iter().filter(|record| caller.permit(&record.id, Scope::Read).is_ok());
    let tenants: Vec<_> = seen.map(|record| form(&app.fleet, record.clone())).collect();
    Ok(Json(Tenants { success: true, count: tenants.len(), tenants }))
}

/// `GET /api/stats`
pub async fn stats(State(app): State<App>, caller: Caller) -> Result<Json<Totals>, Problem> {
    let records = app.fleet.records().await?;
    let seen = records.iter().filter(|record| caller.permit(&record.id, Scope::Read).is_ok()).count();
    Ok(Json(Totals {
        message: "KDS WhatsApp SaaS Backend",
        timestamp: app.fleet.env().clock.now(),
        total_tenants: seen,
        total_orders: 0,
    }))
}

fn form(fleet: &Fleet, record: TenantRecord) -> Tenant {
    let live = fleet.status(&record.id);
    let state = live.as_ref().map_or(session::State::Stopped, |live| live.state);
    let connected = state == session::State::Working;
    // One that is connected, and has no place here, was paired at another process since this one began.
    let elsewhere = || record.whatsapp_connected.then(|| session::End::Moved.to_string());
    Tenant {
        id: record.id,
        name: record.name.filter(|name| !name.is_empty()),
        status: record.status,
        // The list of records is some seconds old.
        whatsapp_connected: connected || record.whatsapp_connected,
        connected,
        state,
        reason: live.as_ref().map(|live| live.reason.clone()).or_else(elsewhere),
        phone_number: live.as_ref().and_then(|live| live.phone_number.clone()).or(record.phone_number),
        connected_at: record.connected_at,
        last_error: record.last_error.filter(|_| !connected),
        last_error_at: record.last_error_at.filter(|_| !connected),
    }
}
