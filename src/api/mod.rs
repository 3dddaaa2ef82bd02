//! The HTTP API. Turns requests into calls of the fleet and its answers into responses; holds no rules of its own.
//!
//! A route is documented by its row and its handler's types: derive `JsonSchema` for what it takes and gives, use the extractors of
//! [`input`] and [`auth`] and the answers of [`answer`] (a type of your own implements [`openapi::Takes`] or [`openapi::Gives`]), and
//! name in the row with `.also(&[…])` the statuses that they do not tell.

mod answer;
mod auth;
mod baileys;
mod files;
mod health;
mod input;
mod keys;
pub mod old_form;
mod openapi;
mod problem;
mod qr;
mod route;
mod tenants;
mod upload;
mod waha;
mod webhooks;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit};

use self::{
    auth::Access::*,
    route::{Route, Section},
};
pub use self::{
    auth::{
        Access, Auth, Caller, Denied, Scope, Settings as AuthSettings, Valid,
        cors::{allows, layer as cors},
    },
    problem::Problem,
    route::Listed,
};
pub(crate) use self::{
    input::Path,
    openapi::{Gives, Operation},
};
use crate::{console, fleet::Fleet, webhook::Webhooks};

/// A QR code as a picture, for fuzzing.
#[cfg(feature = "loopback")]
pub(crate) fn qr_picture(text: &str) -> Option<Vec<u8>> {
    qr::png(text)
}

/// What every handler has at hand.
#[derive(Clone)]
pub struct App {
    pub fleet: Arc<Fleet>,
    pub auth: Arc<Auth>,
    pub webhooks: Arc<Webhooks>,
}

/// The most bytes of a request's body. What brings a file has limits of its own: see [`upload`].
const BODY_LIMIT: usize = 256 * 1024;

/// One row a route: method, path, who comes in, the handler, and what it does in a few words.
#[rustfmt::skip]
fn table() -> Vec<Section> {
    let section = |name, routes| Section { name, routes };
    vec![
        section("Health", vec![
            Route::get("/health", Open, health::health, "Whether the daemon is there, and how many sessions work"),
            Route::get("/api/baileys/health", Open, health::baileys, "The same, in the old form"),
            Route::get("/ping", Open, waha::server::ping, "Answers at once"),
        ]),
        section("Old contract", vec![
            Route::post("/api/baileys/connect", Old, baileys::connect, "Connect, or begin to pair; waits for the QR code").pairs().also(&[500]),
            Route::get("/api/baileys/qr", Old, baileys::qr, "The QR code to scan now"),
            Route::get("/api/baileys/status", Old, baileys::status, "Whether the tenant is connected"),
            Route::post("/api/baileys/disconnect", Old, baileys::disconnect, "Unlink at WhatsApp and wipe the credentials"),
            Route::post("/api/baileys/clean-session", Old, baileys::clean_session, "Give up a pairing that was begun"),
            Route::get("/api/baileys/stats", Old, baileys::stats, "How much was sent, against the old limits"),
            Route::post("/api/baileys/send", Old, baileys::send, "Send a text, or a file by its URL").sends().also(&[413, 501]),
            Route::post("/api/baileys/send-message", Old, baileys::send_message, "Send a text, in the other form").sends().also(&[501]),
            Route::get("/api/baileys/conversations", Old, baileys::conversations, "Conversations, the latest first"),
            Route::get("/api/baileys/messages", Old, baileys::messages, "Messages of a conversation, the newest first"),
            Route::get("/api/baileys/profile", Old, baileys::profile, "Who the tenant is at WhatsApp"),
            Route::post("/api/baileys/test-message", Old, baileys::test_message, "What the bot would answer").sends().also(&[501]),
            Route::get("/api/tenant/{id}", Old, tenants::one, "A tenant's record"),
            Route::get("/api/tenants", Old, tenants::all, "The tenants that the caller may see"),
            Route::get("/api/stats", Old, tenants::stats, "How many tenants and orders there are"),
        ]),
        section("Pairing", vec![
            Route::get("/api/{session}/auth/qr", Keyed, waha::sessions::qr, "The QR code to scan now: a picture, or its text"),
            Route::post("/api/{session}/auth/request-code", Keyed, baileys::request_code, "A code to type into the phone").pairs().also(&[500]),
        ]),
        section("Sessions", vec![
            Route::get("/api/sessions", Keyed, waha::sessions::list, "The sessions that the caller may see"),
            Route::post("/api/sessions", Keyed, waha::sessions::create, "Make a session, and start it").pairs(),
            Route::get("/api/sessions/{session}", Keyed, waha::sessions::one, "A session and its state"),
            Route::put("/api/sessions/{session}", Keyed, waha::sessions::change, "Change a session's settings"),
            Route::delete("/api/sessions/{session}", Keyed, waha::sessions::cannot, "Not here: a session's history stays until it is too old").also(&[501]),
            Route::get("/api/sessions/{session}/me", Keyed, waha::sessions::me, "Who the session is at WhatsApp"),
            Route::post("/api/sessions/{session}/start", Keyed, waha::sessions::start, "Connect, or begin to pair").pairs(),
            Route::post("/api/sessions/{session}/stop", Keyed, waha::sessions::cannot, "Not here: a session stays connected until its logout").also(&[501]),
            Route::post("/api/sessions/{session}/restart", Keyed, waha::sessions::restart, "Connect anew with the same credentials"),
            Route::post("/api/sessions/{session}/logout", Keyed, waha::sessions::logout, "Unlink at WhatsApp and wipe the credentials"),
        ]),
        section("Chatting", vec![
            Route::post("/api/sendText", Keyed, waha::sending::text, "Send a text").sends().also(&[501]),
            Route::post("/api/reply", Keyed, waha::sending::text, "Send a text that answers a message").sends().also(&[501]),
            Route::post("/api/sendLocation", Keyed, waha::sending::location, "Send a place").sends(),
            Route::post("/api/sendContactVcard", Keyed, waha::sending::contacts, "Send contact cards").sends(),
            Route::post("/api/sendPoll", Keyed, waha::sending::poll, "Send a poll").sends(),
            Route::post("/api/sendPollVote", Keyed, waha::sending::vote, "Vote in a poll").sends(),
            Route::put("/api/reaction", Keyed, waha::sending::reaction, "React to a message").sends(),
            Route::post("/api/sendImage", Keyed, waha::files::image, "Send a picture").sends(),
            Route::post("/api/sendFile", Keyed, waha::files::file, "Send a document").sends(),
            Route::post("/api/sendVoice", Keyed, waha::files::voice, "Send speech").sends().also(&[501]),
            Route::post("/api/sendVideo", Keyed, waha::files::video, "Send a video").sends().also(&[501]),
            Route::post("/api/sendSticker", Keyed, waha::files::sticker, "Send a sticker").sends(),
            Route::post("/api/sendButtons", Keyed, waha::sending::cannot, "Not here: buttons are for WhatsApp's business API").sends().also(&[501]),
            Route::post("/api/sendList", Keyed, waha::sending::cannot, "Not here: lists are for WhatsApp's business API").sends().also(&[501]),
            Route::post("/api/sendSeen", Keyed, waha::sending::seen, "Mark messages as read"),
            Route::post("/api/startTyping", Keyed, waha::sending::typing, "Show that somebody is typing"),
            Route::post("/api/stopTyping", Keyed, waha::sending::not_typing, "Show it no more"),
            Route::get("/api/files/{session}/{file}", Keyed, files::serve, "The file of a message, whole or in part"),
            Route::get("/api/messages", Keyed, waha::chats::messages_of, "Messages of a chat, the newest first"),
        ]),
        section("Chats", vec![
            Route::get("/api/{session}/chats", Keyed, waha::chats::list, "Chats, the latest first"),
            Route::get("/api/{session}/chats/overview", Keyed, waha::chats::overview, "Chats, briefly"),
            Route::get("/api/{session}/chats/{chatId}/messages", Keyed, waha::chats::messages, "Messages of a chat, the newest first"),
            Route::get("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::message, "A message"),
            Route::put("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::edit, "Change a message that was sent").sends(),
            Route::delete("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::revoke, "Delete a message for everyone").sends(),
        ]),
        section("Webhooks", vec![
            Route::get("/api/{session}/webhooks", Keyed, webhooks::show, "A session's webhooks"),
            Route::put("/api/{session}/webhooks", Keyed, webhooks::put, "Set a session's webhooks"),
            Route::get("/api/{session}/webhooks/failures", Keyed, webhooks::failures, "What could not be delivered"),
            Route::post("/api/{session}/webhooks/failures/redrive", Keyed, webhooks::redrive_all, "Try all of that once more"),
            Route::post("/api/{session}/webhooks/failures/{id}/redrive", Keyed, webhooks::redrive, "Try one of them once more"),
        ]),
        section("Keys", vec![
            Route::post("/api/keys", Admin, keys::create, "Make a key; it is told once").also(&[400]),
            Route::get("/api/keys", Admin, keys::list, "The keys there are, without their secrets"),
            Route::post("/api/keys/media", Admin, keys::create_or_get, "Not here: a key is told once").also(&[501]),
            Route::post("/api/keys/control", Admin, keys::create_or_get, "Not here: a key is told once").also(&[501]),
            Route::put("/api/keys/{id}", Admin, keys::change, "Change what a key may do").also(&[404]),
            Route::delete("/api/keys/{id}", Admin, keys::revoke, "Revoke a key").also(&[404]),
            Route::post("/api/keys/{id}/renew", Admin, keys::renew, "A new secret for a key").also(&[404]),
        ]),
        section("Console", vec![
            Route::get("/", Open, console::enter, "To the console"),
            Route::get("/console", Open, console::enter, "To the console"),
            Route::get("/console/", Open, console::index, "The operator's console"),
            Route::get("/console/{file}", Open, console::file, "What the console is made of").also(&[404]),
        ]),
        section("Server", vec![
            Route::get("/api/version", Keyed, waha::server::version, "What runs here"),
            Route::get("/api/server/version", Keyed, waha::server::version, "What runs here"),
            Route::get("/api/server/environment", Admin, waha::server::version, "What runs here"),
            Route::get("/openapi.json", Open, openapi::page::document, "This document"),
            Route::get("/docs", Open, openapi::page::index, "A page that shows it"),
            Route::get("/docs/page.css", Open, openapi::page::style, "How the page looks"),
            Route::get("/docs/page.js", Open, openapi::page::script, "What the page does"),
            Route::get("/api/server/status", Keyed, waha::server::status, "Since when"),
        ]),
    ]
}

/// All routes there are.
pub fn routes() -> Vec<Listed> {
    table().iter().flat_map(|section| &section.routes).map(Route::listed).collect()
}

/// The OpenAPI document.
pub fn document() -> serde_json::Value {
    openapi::document(&table())
}

pub fn router(app: App) -> Router {
    route::router(table(), &app).layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(app)
}
