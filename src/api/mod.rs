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
    route::Listed,
};
use crate::{fleet::Fleet, outbound::Outbound, webhook::Webhooks};

/// What every handler has at hand.
#[derive(Clone)]
pub struct App {
    pub fleet: Arc<Fleet>,
    pub auth: Arc<Auth>,
    pub webhooks: Arc<Webhooks>,
    /// For the files that requests name by their URL.
    pub outbound: Outbound,
}

/// The most bytes of a request's body. Messages are text for now.
const BODY_LIMIT: usize = 256 * 1024;

/// The path of one of a group's settings.
macro_rules! security {
    ($setting:literal) => {
        concat!("/api/{session}/groups/{id}/settings/security/", $setting)
    };
}

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
        Route::get("/api/sendText", Keyed, waha::sending::text_by_query).sends(),
        Route::post("/api/sendLinkPreview", Keyed, waha::sending::cannot_preview),
        Route::post("/api/send/link-custom-preview", Keyed, waha::sending::cannot_preview),
        Route::post("/api/send/buttons/reply", Keyed, waha::sending::cannot_choose),
        Route::post("/api/forwardMessage", Keyed, waha::sending::forward).sends(),
        Route::put("/api/star", Keyed, waha::sending::star),
        Route::post("/api/{session}/events", Keyed, waha::sending::happening).sends(),
        Route::get("/api/{session}/new-message-id", Keyed, waha::sending::new_message_id),
        Route::post("/api/sendSeen", Keyed, waha::sending::seen),
        Route::post("/api/startTyping", Keyed, waha::sending::typing),
        Route::post("/api/stopTyping", Keyed, waha::sending::not_typing),
        Route::get("/api/messages", Keyed, waha::chats::messages_of),
        Route::get("/api/{session}/chats", Keyed, waha::chats::list),
        Route::get("/api/{session}/chats/overview", Keyed, waha::chats::overview),
        Route::post("/api/{session}/chats/overview", Keyed, waha::chats::overview_of),
        Route::delete("/api/{session}/chats/{chatId}", Keyed, waha::chats::delete),
        Route::get("/api/{session}/chats/{chatId}/picture", Keyed, waha::chats::picture),
        Route::post("/api/{session}/chats/{chatId}/archive", Keyed, waha::chats::archive),
        Route::post("/api/{session}/chats/{chatId}/unarchive", Keyed, waha::chats::unarchive),
        Route::post("/api/{session}/chats/{chatId}/unread", Keyed, waha::chats::unread),
        Route::get("/api/{session}/chats/{chatId}/messages", Keyed, waha::chats::messages),
        Route::delete("/api/{session}/chats/{chatId}/messages", Keyed, waha::chats::clear),
        Route::post("/api/{session}/chats/{chatId}/messages/read", Keyed, waha::chats::read_messages),
        Route::post("/api/{session}/chats/{chatId}/messages/{messageId}/pin", Keyed, waha::chats::pin).sends(),
        Route::post("/api/{session}/chats/{chatId}/messages/{messageId}/unpin", Keyed, waha::chats::unpin).sends(),
        Route::get("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::message),
        Route::put("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::edit).sends(),
        Route::delete("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::revoke).sends(),
        Route::get("/api/contacts/all", Keyed, waha::contacts::all),
        Route::get("/api/contacts", Keyed, waha::contacts::one),
        Route::get("/api/contacts/check-exists", Keyed, waha::contacts::exists),
        Route::get("/api/checkNumberStatus", Keyed, waha::contacts::exists),
        Route::get("/api/contacts/about", Keyed, waha::contacts::about),
        Route::get("/api/contacts/profile-picture", Keyed, waha::contacts::picture),
        Route::post("/api/contacts/block", Keyed, waha::contacts::block),
        Route::post("/api/contacts/unblock", Keyed, waha::contacts::unblock),
        Route::get("/api/{session}/contacts/{id}", Keyed, waha::contacts::in_session),
        Route::put("/api/{session}/contacts/{id}", Keyed, waha::contacts::save),
        Route::get("/api/{session}/lids", Keyed, waha::contacts::lids),
        Route::get("/api/{session}/lids/count", Keyed, waha::contacts::count_lids),
        Route::get("/api/{session}/lids/{lid}", Keyed, waha::contacts::number_of_lid),
        Route::get("/api/{session}/lids/pn/{phoneNumber}", Keyed, waha::contacts::lid_of_number),
        Route::get("/api/{session}/presence", Keyed, waha::presence::all),
        Route::post("/api/{session}/presence", Keyed, waha::presence::set),
        Route::get("/api/{session}/presence/{chatId}", Keyed, waha::presence::one),
        Route::post("/api/{session}/presence/{chatId}/subscribe", Keyed, waha::presence::subscribe),
        Route::get("/api/{session}/profile", Keyed, waha::profile::show),
        Route::put("/api/{session}/profile/name", Keyed, waha::profile::set_name),
        Route::put("/api/{session}/profile/status", Keyed, waha::profile::set_about),
        Route::put("/api/{session}/profile/picture", Keyed, waha::profile::set_picture),
        Route::delete("/api/{session}/profile/picture", Keyed, waha::profile::remove_picture),
        Route::get("/api/{session}/groups", Keyed, waha::groups::list),
        Route::post("/api/{session}/groups", Keyed, waha::groups::create),
        Route::get("/api/{session}/groups/count", Keyed, waha::groups::count),
        Route::post("/api/{session}/groups/refresh", Keyed, waha::groups::refresh),
        Route::get("/api/{session}/groups/join-info", Keyed, waha::groups::join_info),
        Route::post("/api/{session}/groups/join", Keyed, waha::groups::join),
        Route::get("/api/{session}/groups/{id}", Keyed, waha::groups::one),
        Route::delete("/api/{session}/groups/{id}", Keyed, waha::groups::delete),
        Route::post("/api/{session}/groups/{id}/leave", Keyed, waha::groups::leave),
        Route::get("/api/{session}/groups/{id}/picture", Keyed, waha::groups::picture),
        Route::put("/api/{session}/groups/{id}/picture", Keyed, waha::groups::set_picture),
        Route::delete("/api/{session}/groups/{id}/picture", Keyed, waha::groups::remove_picture),
        Route::put("/api/{session}/groups/{id}/description", Keyed, waha::groups::set_description),
        Route::put("/api/{session}/groups/{id}/subject", Keyed, waha::groups::set_subject),
        Route::get("/api/{session}/groups/{id}/invite-code", Keyed, waha::groups::invite_code),
        Route::post("/api/{session}/groups/{id}/invite-code/revoke", Keyed, waha::groups::renew_invite_code),
        Route::get(security!("info-admin-only"), Keyed, waha::groups::info_by_admins),
        Route::put(security!("info-admin-only"), Keyed, waha::groups::set_info_by_admins),
        Route::get(security!("messages-admin-only"), Keyed, waha::groups::messages_by_admins),
        Route::put(security!("messages-admin-only"), Keyed, waha::groups::set_messages_by_admins),
        Route::get(security!("member-add-mode"), Keyed, waha::groups::members_add),
        Route::put(security!("member-add-mode"), Keyed, waha::groups::set_members_add),
        Route::get(security!("member-share-history-mode"), Keyed, waha::groups::history),
        Route::put(security!("member-share-history-mode"), Keyed, waha::groups::set_history),
        Route::get(security!("membership-approval"), Keyed, waha::groups::approval),
        Route::put(security!("membership-approval"), Keyed, waha::groups::set_approval),
        Route::get("/api/{session}/groups/{id}/participants", Keyed, waha::groups::members),
        Route::get("/api/{session}/groups/{id}/participants/v2", Keyed, waha::groups::members),
        Route::post("/api/{session}/groups/{id}/participants/add", Keyed, waha::groups::add),
        Route::post("/api/{session}/groups/{id}/participants/remove", Keyed, waha::groups::remove),
        Route::post("/api/{session}/groups/{id}/admin/promote", Keyed, waha::groups::promote),
        Route::post("/api/{session}/groups/{id}/admin/demote", Keyed, waha::groups::demote),
        Route::get("/api/{session}/groups/{id}/participants/join-requests", Keyed, waha::groups::join_requests),
        Route::post("/api/{session}/groups/{id}/participants/join-requests/approve", Keyed, waha::groups::approve),
        Route::post("/api/{session}/groups/{id}/participants/join-requests/reject", Keyed, waha::groups::reject),
        Route::post("/api/{session}/calls/reject", Keyed, waha::calls::reject),
        Route::get("/api/{session}/labels", Keyed, waha::labels::list),
        Route::post("/api/{session}/labels", Keyed, waha::labels::create),
        Route::put("/api/{session}/labels/{labelId}", Keyed, waha::labels::change),
        Route::delete("/api/{session}/labels/{labelId}", Keyed, waha::labels::delete),
        Route::get("/api/{session}/labels/{labelId}/chats", Keyed, waha::labels::chats),
        Route::get("/api/{session}/labels/chats/{chatId}", Keyed, waha::labels::of_chat),
        Route::put("/api/{session}/labels/chats/{chatId}", Keyed, waha::labels::label_chat),
        Route::get("/api/{session}/channels", Keyed, waha::cannot::read_channels),
        Route::post("/api/{session}/channels", Keyed, waha::cannot::control_channels),
        Route::get("/api/{session}/channels/{id}", Keyed, waha::cannot::read_channels),
        Route::delete("/api/{session}/channels/{id}", Keyed, waha::cannot::control_channels),
        Route::get("/api/{session}/channels/{id}/messages/preview", Keyed, waha::cannot::read_channels),
        Route::post("/api/{session}/channels/{id}/follow", Keyed, waha::cannot::control_channels),
        Route::post("/api/{session}/channels/{id}/unfollow", Keyed, waha::cannot::control_channels),
        Route::post("/api/{session}/channels/{id}/mute", Keyed, waha::cannot::control_channels),
        Route::post("/api/{session}/channels/{id}/unmute", Keyed, waha::cannot::control_channels),
        Route::post("/api/{session}/channels/search/by-view", Keyed, waha::cannot::search_channels),
        Route::post("/api/{session}/channels/search/by-text", Keyed, waha::cannot::search_channels),
        Route::get("/api/{session}/channels/search/views", Keyed, waha::cannot::search_channels),
        Route::get("/api/{session}/channels/search/countries", Keyed, waha::cannot::search_channels),
        Route::get("/api/{session}/channels/search/categories", Keyed, waha::cannot::search_channels),
        Route::post("/api/{session}/status/text", Keyed, waha::cannot::status),
        Route::post("/api/{session}/status/image", Keyed, waha::cannot::status),
        Route::post("/api/{session}/status/voice", Keyed, waha::cannot::status),
        Route::post("/api/{session}/status/video", Keyed, waha::cannot::status),
        Route::post("/api/{session}/status/delete", Keyed, waha::cannot::status),
        Route::get("/api/{session}/status/new-message-id", Keyed, waha::sending::new_message_id),
        Route::get("/api/sessions/{session}/capping", Keyed, waha::cannot::limits),
        Route::get("/api/sessions/{session}/timelock", Keyed, waha::cannot::limits),
        Route::post("/api/sessions/start", Keyed, waha::sessions::start_named).pairs(),
        Route::post("/api/sessions/stop", Keyed, waha::sessions::stop_named),
        Route::post("/api/sessions/logout", Keyed, waha::sessions::logout_named),
        Route::get("/api/{session}/auth/passkey/challenge", Keyed, waha::cannot::passkey),
        Route::post("/api/{session}/auth/passkey", Keyed, waha::cannot::passkey),
        Route::get("/api/{session}/auth/passkey/confirmation", Keyed, waha::cannot::passkey),
        Route::post("/api/{session}/auth/passkey/confirm", Keyed, waha::cannot::passkey),
        Route::post("/api/{session}/media/convert/voice", Keyed, waha::cannot::convert),
        Route::post("/api/{session}/media/convert/video", Keyed, waha::cannot::convert),
        Route::post("/api/server/stop", Admin, waha::cannot::stop_server),
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
