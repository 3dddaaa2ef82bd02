//! For probes: is the daemon there, and how many sessions work. Who is ill and why is for the operator.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{App, auth::Caller};
use crate::{fleet::Counts, session, vault::Usage};

#[derive(Serialize)]
struct Ill {
    tenant: String,
    state: session::State,
    reason: String,
    since: String,
}

/// The old service's fields and more; 503 while the daemon is stopping.
pub async fn health(State(app): State<App>, headers: HeaderMap) -> Response {
    let Counts { working, total } = app.fleet.counts();
    let draining = app.fleet.is_draining();
    let mut body = json!({
        "status": if draining { "draining" } else { "ok" },
        "timestamp": now(&app),
        "service": "KDS WhatsApp SaaS Backend",
        "mode": "multi-tenant",
        "version": env!("CARGO_PKG_VERSION"),
        "sessions": { "working": working, "total": total },
    });
    add_details(&app, &headers, &mut body).await;
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(body)).into_response()
}

pub async fn baileys(State(app): State<App>, headers: HeaderMap) -> Response {
    let Counts { working, total } = app.fleet.counts();
    let draining = app.fleet.is_draining();
    let mut body = json!({
        "status": if draining { "draining" } else { "ok" },
        "service": "baileys-api",
        "timestamp": now(&app),
        "activeSessions": working,
        "version": "1.0.0",
        "sessions": { "working": working, "total": total },
    });
    add_details(&app, &headers, &mut body).await;
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(body)).into_response()
}

/// What only the operator is told: who is ill and why, what the vault was asked for since the start, what to look into.
async fn add_details(app: &App, headers: &HeaderMap, body: &mut Value) {
    if let Ok(Caller::Admin) = app.auth.identify_request(headers).await {
        body["warnings"] = json!(app.auth.warnings());
        body["sessions"]["ill"] = json!(ill(app));
        let Usage { reads, writes, deletes } = app.fleet.env().vault.usage();
        body["vault"] = json!({ "reads": reads, "writes": writes, "deletes": deletes });
    }
}

/// Tenants that should work and do not: the paired, those whom WhatsApp logged out, and those that failed.
fn ill(app: &App) -> Vec<Ill> {
    let reports = app.fleet.reports().into_iter();
    reports
        .filter(|report| match report.status.state {
            session::State::Working | session::State::ScanQrCode => false,
            session::State::Failed => true,
            _ => report.status.paired || report.status.rejected,
        })
        .map(|report| Ill {
            tenant: report.tenant.to_string(),
            state: report.status.state,
            reason: report.status.reason,
            since: report.status.since.to_string(),
        })
        .collect()
}

fn now(app: &App) -> String {
    app.fleet.env().clock.now().to_string()
}
