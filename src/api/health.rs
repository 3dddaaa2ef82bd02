//! For probes: is the daemon there, and how many sessions work. Who is ill and why is for those who have a key.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use super::App;
use crate::{fleet::Counts, session};

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
    if app.keys.open_request(&headers) {
        body["sessions"]["ill"] = json!(ill(&app));
    }
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
    if app.keys.open_request(&headers) {
        body["sessions"]["ill"] = json!(ill(&app));
    }
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(body)).into_response()
}

/// Paired tenants that do not work, and those that failed.
fn ill(app: &App) -> Vec<Ill> {
    let reports = app.fleet.reports().into_iter();
    reports
        .filter(|report| match report.status.state {
            session::State::Working | session::State::ScanQrCode => false,
            session::State::Failed => true,
            _ => report.status.paired,
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
