//! The old service's view of tenants: the directory's record, without credentials and settings, with the live state.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    App,
    auth::{Caller, Scope},
    baileys::parse_tenant,
    problem::Problem,
};
use crate::{fleet::Fleet, session, tenant::TenantRecord};

/// `GET /api/tenant/{id}`
pub async fn one(State(app): State<App>, caller: Caller, Path(tenant): Path<String>) -> Result<Json<Value>, Problem> {
    let tenant = parse_tenant(Some(&tenant), "tenantId es requerido")?;
    caller.permit(&tenant, Scope::Read)?;
    let record = app.fleet.record(&tenant).await?.ok_or_else(Problem::unknown_tenant)?;
    Ok(Json(json!({ "success": true, "tenant": form(&app.fleet, &record) })))
}

/// `GET /api/tenants`: those that the caller may see.
pub async fn all(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Problem> {
    let records = app.fleet.records().await?;
    let seen: Vec<_> = records
        .iter()
        .filter(|record| caller.permit(&record.id, Scope::Read).is_ok())
        .map(|record| form(&app.fleet, record))
        .collect();
    Ok(Json(json!({ "success": true, "count": seen.len(), "tenants": seen })))
}

/// `GET /api/stats`. Orders are those that this daemon took: none, it has no bot yet.
pub async fn stats(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Problem> {
    let records = app.fleet.records().await?;
    let seen = records.iter().filter(|record| caller.permit(&record.id, Scope::Read).is_ok()).count();
    Ok(Json(json!({
        "message": "KDS WhatsApp SaaS Backend",
        "timestamp": app.fleet.env().clock.now().to_string(),
        "totalTenants": seen,
        "totalOrders": 0,
    })))
}

fn form(fleet: &Fleet, record: &TenantRecord) -> Value {
    let live = fleet.status(&record.id);
    let working = live.as_ref().is_some_and(|live| live.state == session::State::Working);
    json!({
        "id": record.id,
        "name": record.name,
        "status": record.status,
        "whatsappConnected": record.whatsapp_connected,
        "connected": working,
        "state": live.as_ref().map_or("STOPPED", |live| live.state.as_str()),
        "phoneNumber": record.phone_number,
        "connectedAt": record.connected_at.map(|at| at.to_string()),
        "lastError": record.last_error,
        "lastErrorAt": record.last_error_at.map(|at| at.to_string()),
    })
}
