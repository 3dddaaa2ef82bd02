//! The HTTP API. Turns requests into calls of the fleet and its answers into responses; holds no rules of its own.

mod auth;
mod baileys;
mod health;
mod keys;
pub mod old_form;
mod problem;
mod route;
mod tenants;
mod webhooks;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit};

use self::{auth::Access::*, route::Route};
pub use self::{
    auth::{
        Access, Auth, Caller, Denied, Scope, Settings as AuthSettings, Valid,
        cors::{allows, layer as cors},
    },
    route::Listed,
};
use crate::{fleet::Fleet, webhook::Webhooks};

/// What every handler has at hand.
#[derive(Clone)]
pub struct App {
    pub fleet: Arc<Fleet>,
    pub auth: Arc<Auth>,
    pub webhooks: Arc<Webhooks>,
}

/// The most bytes of a request's body. Messages are text for now.
const BODY_LIMIT: usize = 256 * 1024;

fn table() -> Vec<Route> {
    vec![
        Route::get("/health", Open, health::health),
        Route::get("/api/baileys/health", Open, health::baileys),
        Route::post("/api/baileys/connect", Old, baileys::connect).pairs(),
        Route::get("/api/baileys/qr", Old, baileys::qr),
        Route::get("/api/baileys/status", Old, baileys::status),
        Route::post("/api/baileys/disconnect", Old, baileys::disconnect),
        Route::post("/api/baileys/clean-session", Old, baileys::clean_session),
        Route::get("/api/baileys/stats", Old, baileys::stats),
        Route::post("/api/baileys/send", Old, baileys::send).sends(),
        Route::post("/api/baileys/send-message", Old, baileys::send_message).sends(),
        Route::get("/api/baileys/conversations", Old, baileys::conversations),
        Route::get("/api/baileys/messages", Old, baileys::messages),
        Route::get("/api/baileys/profile", Old, baileys::profile),
        Route::post("/api/baileys/test-message", Old, baileys::test_message).sends(),
        Route::get("/api/tenant/{id}", Old, tenants::one),
        Route::get("/api/tenants", Old, tenants::all),
        Route::get("/api/stats", Old, tenants::stats),
        Route::post("/api/{session}/auth/request-code", Keyed, baileys::request_code).pairs(),
        Route::get("/api/{session}/webhooks", Keyed, webhooks::show),
        Route::put("/api/{session}/webhooks", Keyed, webhooks::put),
        Route::get("/api/{session}/webhooks/failures", Keyed, webhooks::failures),
        Route::post("/api/{session}/webhooks/failures/redrive", Keyed, webhooks::redrive_all),
        Route::post("/api/{session}/webhooks/failures/{id}/redrive", Keyed, webhooks::redrive),
        Route::post("/api/keys", Admin, keys::create),
        Route::get("/api/keys", Admin, keys::list),
        Route::post("/api/keys/media", Admin, keys::create_or_get),
        Route::post("/api/keys/control", Admin, keys::create_or_get),
        Route::put("/api/keys/{id}", Admin, keys::change),
        Route::delete("/api/keys/{id}", Admin, keys::revoke),
        Route::post("/api/keys/{id}/renew", Admin, keys::renew),
    ]
}

/// All routes there are.
pub fn routes() -> Vec<Listed> {
    table().iter().map(Route::listed).collect()
}

pub fn router(app: App) -> Router {
    route::router(table(), &app).layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(app)
}
