//! The HTTP API. Turns requests into calls of the fleet and its answers into responses; holds no rules of its own.

mod auth;
mod baileys;
mod health;
mod keys;
pub mod old_form;
mod problem;
mod qr;
mod route;
mod tenants;
mod waha;
mod webhooks;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit};

use self::{auth::Access::*, route::Route};
pub use self::{
    auth::{
        Access, Auth, Caller, Denied, Scope, Settings as AuthSettings, Valid,
        cors::{allows, layer as cors},
    },
    problem::Problem,
    route::Listed,
};
use crate::{console, fleet::Fleet, webhook::Webhooks};

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
        Route::get("/", Open, console::enter),
        Route::get("/console", Open, console::enter),
        Route::get("/console/", Open, console::index),
        Route::get("/console/{file}", Open, console::file),
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
        Route::get("/ping", Open, waha::server::ping),
        Route::get("/api/version", Keyed, waha::server::version),
        Route::get("/api/server/version", Keyed, waha::server::version),
        Route::get("/api/server/environment", Admin, waha::server::version),
        Route::get("/api/server/status", Keyed, waha::server::status),
        Route::get("/api/sessions", Keyed, waha::sessions::list),
        Route::post("/api/sessions", Keyed, waha::sessions::create).pairs(),
        Route::get("/api/sessions/{session}", Keyed, waha::sessions::one),
        Route::put("/api/sessions/{session}", Keyed, waha::sessions::change),
        Route::delete("/api/sessions/{session}", Keyed, waha::sessions::cannot),
        Route::get("/api/sessions/{session}/me", Keyed, waha::sessions::me),
        Route::post("/api/sessions/{session}/start", Keyed, waha::sessions::start).pairs(),
        Route::post("/api/sessions/{session}/stop", Keyed, waha::sessions::cannot),
        Route::post("/api/sessions/{session}/restart", Keyed, waha::sessions::restart),
        Route::post("/api/sessions/{session}/logout", Keyed, waha::sessions::logout),
        Route::get("/api/{session}/auth/qr", Keyed, waha::sessions::qr),
        Route::post("/api/sendText", Keyed, waha::sending::text).sends(),
        Route::post("/api/reply", Keyed, waha::sending::text).sends(),
        Route::post("/api/sendLocation", Keyed, waha::sending::location).sends(),
        Route::post("/api/sendContactVcard", Keyed, waha::sending::contacts).sends(),
        Route::post("/api/sendPoll", Keyed, waha::sending::poll).sends(),
        Route::post("/api/sendPollVote", Keyed, waha::sending::vote).sends(),
        Route::put("/api/reaction", Keyed, waha::sending::reaction).sends(),
        Route::post("/api/sendImage", Keyed, waha::sending::cannot),
        Route::post("/api/sendFile", Keyed, waha::sending::cannot),
        Route::post("/api/sendVoice", Keyed, waha::sending::cannot),
        Route::post("/api/sendVideo", Keyed, waha::sending::cannot),
        Route::post("/api/sendSticker", Keyed, waha::sending::cannot),
        Route::post("/api/sendButtons", Keyed, waha::sending::cannot),
        Route::post("/api/sendList", Keyed, waha::sending::cannot),
        Route::post("/api/sendSeen", Keyed, waha::sending::seen),
        Route::post("/api/startTyping", Keyed, waha::sending::typing),
        Route::post("/api/stopTyping", Keyed, waha::sending::not_typing),
        Route::get("/api/messages", Keyed, waha::chats::messages_of),
        Route::get("/api/{session}/chats", Keyed, waha::chats::list),
        Route::get("/api/{session}/chats/overview", Keyed, waha::chats::overview),
        Route::get("/api/{session}/chats/{chatId}/messages", Keyed, waha::chats::messages),
        Route::get("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::message),
        Route::put("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::edit).sends(),
        Route::delete("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::revoke).sends(),
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
