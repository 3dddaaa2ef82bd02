//! The HTTP API. Turns requests into calls of the fleet and its answers into responses; holds no rules of its own.
//!
//! A route is documented by its row and its handler's types: derive `JsonSchema` for what it takes and gives, use the extractors of
//! [`input`] and [`auth`] and the answers of [`answer`] (a type of your own implements [`openapi::Takes`] or [`openapi::Gives`]), and
//! name in the row with `.also(&[…])` the statuses that they do not tell.

mod account;
mod alerting;
mod answer;
mod auth;
mod baileys;
mod bot;
mod compiled_file;
mod files;
mod forward;
mod health;
mod history;
mod import;
mod input;
mod keys;
mod log_filter;
mod metrics;
pub mod old_form;
mod openapi;
mod overview;
mod problem;
mod qr;
mod rekey;
mod route;
mod stream;
mod tenants;
mod upload;
mod waha;
mod webhooks;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    response::{IntoResponse as _, Response},
};

pub use self::{
    alerting::observe,
    auth::{
        Access, Auth, AuthError, AuthSettings, Caller, Scope, Valid,
        cors::{allows, layer as cors},
    },
    forward::{Entrance, ForwardError, Forwarded, Forwarder, PeerLine},
    metrics::{MetricsSettings, router as metrics_router},
    problem::Problem,
    route::Listed,
};
use self::{
    auth::Access::*,
    route::{Route, Section},
    waha::making::SessionsInMaking,
};
pub(crate) use self::{
    compiled_file::{CompiledFile, Redirect, ServedFile},
    input::Path,
};
use crate::{
    bot::service::Bots, console, fleet::Fleet, guide, listener::RequestRejection, message::media::DiskWatch,
    telemetry::alerts::Alerts, vault::UsageToday, webhook::Webhooks,
};

/// The answer to a request that the listener keeps from the routes.
pub fn rejected(rejection: RequestRejection) -> Response {
    Problem::from(rejection).into_response()
}

/// A QR code as a picture, for fuzzing.
#[cfg(feature = "loopback")]
pub(crate) fn qr_picture(text: &str) -> Option<Vec<u8>> {
    qr::png(text)
}

/// The parts that every handler has at hand.
#[derive(Clone)]
pub struct App {
    pub fleet: Arc<Fleet>,
    pub auth: Arc<Auth>,
    pub webhooks: Arc<Webhooks>,
    pub metrics: MetricsSettings,
    pub bots: Arc<Bots>,
    pub disks: DiskWatch,
    /// `None`: whatever is for another process is refused.
    pub forwarder: Option<Arc<Forwarder>>,
    pub alerts: Arc<Alerts>,
    pub usage_today: Arc<UsageToday>,
    pub making: SessionsInMaking,
}

/// The most bytes of a request's body: the longest text takes 768 KiB where each of its characters is written as two escapes. What
/// brings a file has limits of its own: see [`upload`].
const BODY_LIMIT: usize = 832 * 1024;

/// WhatsApp's own refusals, beside those that the types of a handler say.
const ASKS: &[u16] = &[403, 404, 409, 422, 429];

/// The path of one of a group's settings.
macro_rules! security {
    ($setting:literal) => {
        concat!("/api/{session}/groups/{id}/settings/security/", $setting)
    };
}

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
            Route::get("/api/baileys/messages", Old, baileys::messages, "Messages of a conversation, the newest first").also(&[422]),
            Route::get("/api/baileys/profile", Old, baileys::profile, "Who the tenant is at WhatsApp"),
            Route::post("/api/baileys/test-message", Old, baileys::test_message, "What the bot would answer").sends(),
            Route::get("/api/tenant/{id}", Old, tenants::one, "A tenant's record"),
            Route::get("/api/tenants", Old, tenants::all, "The tenants that the caller may see"),
            Route::get("/api/stats", Old, tenants::stats, "How many tenants and orders there are"),
        ]),
        section("Pairing", vec![
            Route::get("/api/{session}/auth/qr", Keyed, waha::session_qr::qr, "The QR code to scan now: a picture, or its text"),
            Route::get("/api/{session}/auth/passkey/challenge", Keyed, waha::passkey::challenge, "What a passkey must sign, to link this account").also(&[404, 409]),
            Route::post("/api/{session}/auth/passkey", Keyed, waha::passkey::answer, "What a passkey signed").goes_on_pairing().also(&[404, 409, 422]),
            Route::get("/api/{session}/auth/passkey/confirmation", Keyed, waha::passkey::code, "The code to compare with the phone's").also(&[404, 409]),
            Route::post("/api/{session}/auth/passkey/confirm", Keyed, waha::passkey::confirm, "The phone shows the same code").goes_on_pairing().also(&[404, 409, 422]),
            Route::post("/api/{session}/auth/request-code", Keyed, baileys::request_code, "A code to type into the phone").pairs().also(&[500]).makes(),
        ]),
        section("Sessions", vec![
            Route::get("/api/sessions", Keyed, waha::sessions::list, "The sessions that the caller may see"),
            Route::post("/api/sessions", Keyed, waha::sessions::create, "Make a session, and start it; not one that exists").pairs().also(&[422]).makes(),
            Route::get("/api/sessions/{session}", Keyed, waha::sessions::one, "A session and its state"),
            Route::put("/api/sessions/{session}", Keyed, waha::sessions::change, "Change a session's settings"),
            Route::delete("/api/sessions/{session}", Keyed, waha::sessions::delete, "Unlink, wipe the credentials, drop the settings: there is no such session then; history stays until it is too old"),
            Route::get("/api/sessions/{session}/me", Keyed, waha::sessions::me, "Who the session is at WhatsApp"),
            Route::post("/api/sessions/{session}/start", Keyed, waha::sessions::start, "Connect, or begin to pair").pairs(),
            Route::post("/api/sessions/{session}/stop", Keyed, waha::sessions::stop, "Stay linked, and away until the next start"),
            Route::post("/api/sessions/{session}/restart", Keyed, waha::sessions::restart, "Connect anew with the same credentials"),
            Route::post("/api/sessions/{session}/logout", Keyed, waha::sessions::logout, "Unlink at WhatsApp and wipe the credentials"),
            Route::get("/api/sessions/{session}/capping", Keyed, waha::account_limits::capping, "How many new chats WhatsApp lets the account begin").also(ASKS),
            Route::get("/api/sessions/{session}/timelock", Keyed, waha::account_limits::timelock, "Whether WhatsApp keeps the account from strangers").also(ASKS),
            Route::get("/api/sessions/{session}/account", Keyed, account::show, "The account that alone may scan (WAHA has no such route)"),
            Route::put("/api/sessions/{session}/account/change", Keyed, account::allow, "Let another account scan, once (WAHA has no such route)"),
            Route::delete("/api/sessions/{session}/account/change", Keyed, account::forbid, "Take that back (WAHA has no such route)"),
            Route::post("/api/sessions/{session}/history", Keyed, history::fetch, "Fetch older messages of a chat from the phone (WAHA has no such route)").also(ASKS),
            Route::post("/api/sessions/{session}/import", Admin, import::import, "Bring the session from another gateway, without a scan (WAHA has no such route)"),
            Route::post("/api/sessions/start", Keyed, waha::sessions::start_named, "Start a session, and make it if there is none").pairs().makes(),
            Route::post("/api/sessions/stop", Keyed, waha::sessions::stop_named, "Stop a session, or end it"),
            Route::post("/api/sessions/logout", Keyed, waha::sessions::logout_named, "Unlink at WhatsApp and wipe the credentials"),
        ]),
        section("Chatting", vec![
            Route::post("/api/sendText", Keyed, waha::sending::text, "Send a text").sends(),
            Route::post("/api/reply", Keyed, waha::sending::text, "Send a text that answers a message").sends(),
            Route::post("/api/sendLocation", Keyed, waha::sending::location, "Send a place").sends(),
            Route::post("/api/sendContactVcard", Keyed, waha::sending::contact_cards::contacts, "Send contact cards").sends(),
            Route::post("/api/sendPoll", Keyed, waha::sending::polls::poll, "Send a poll").sends(),
            Route::post("/api/sendPollVote", Keyed, waha::sending::polls::vote, "Vote in a poll").sends(),
            Route::put("/api/reaction", Keyed, waha::sending::reaction, "React to a message").sends(),
            Route::post("/api/sendImage", Keyed, waha::files::image, "Send a picture").sends(),
            Route::post("/api/sendFile", Keyed, waha::files::file, "Send a document").sends(),
            Route::post("/api/sendVoice", Keyed, waha::files::voice, "Send speech").sends().also(&[501]),
            Route::post("/api/sendVideo", Keyed, waha::files::video, "Send a video").sends().also(&[501]),
            Route::post("/api/sendSticker", Keyed, waha::files::sticker, "Send a sticker").sends(),
            Route::post("/api/sendButtons", Keyed, waha::sending::cannot, "Not here: buttons are for WhatsApp's business API").sends().also(&[501]),
            Route::post("/api/sendList", Keyed, waha::sending::cannot, "Not here: lists are for WhatsApp's business API").sends().also(&[501]),
            Route::get("/api/sendText", Keyed, waha::sending::text_by_query, "Send a text, by a query").sends(),
            Route::post("/api/sendLinkPreview", Keyed, waha::links::titled, "Send a link with a title").sends(),
            Route::post("/api/send/link-custom-preview", Keyed, waha::links::custom, "Send a text with a link, and what is shown of where it leads").sends(),
            Route::post("/api/send/buttons/reply", Keyed, waha::sending::choose, "Choose a button of a message that came in").sends(),
            Route::post("/api/forwardMessage", Keyed, waha::sending::forward, "Pass a message on").sends(),
            Route::put("/api/star", Keyed, waha::signs::star, "Star a message, or do no more").also(ASKS),
            Route::post("/api/{session}/events", Keyed, waha::sending::happenings::happening, "Invite to something that happens").sends(),
            Route::get("/api/{session}/new-message-id", Keyed, waha::sending::new_message_id, "An id for a message to be sent"),
            Route::post("/api/sendSeen", Keyed, waha::signs::seen, "Mark messages as read").also(&[422]),
            Route::post("/api/startTyping", Keyed, waha::signs::typing, "Show that somebody is typing").also(&[422]),
            Route::post("/api/stopTyping", Keyed, waha::signs::not_typing, "Show it no more").also(&[422]),
            Route::get("/api/files/{session}/{file}", Keyed, files::serve, "The file of a message, whole or in part"),
            Route::get("/api/messages", Keyed, waha::chats::messages_of, "Messages of a chat, the newest first").also(&[422]),
        ]),
        section("Chats", vec![
            Route::get("/api/{session}/chats", Keyed, waha::chats::list, "Chats, the latest first"),
            Route::get("/api/{session}/chats/overview", Keyed, waha::chats::overview, "Chats, briefly"),
            Route::post("/api/{session}/chats/overview", Keyed, waha::chats::overview_of, "Chats that are named, briefly").also(&[422]),
            Route::delete("/api/{session}/chats/{chatId}", Keyed, waha::chats::delete, "Delete a chat on the tenant's devices").also(ASKS),
            Route::get("/api/{session}/chats/{chatId}/picture", Keyed, waha::chats::picture, "A chat's picture").also(ASKS),
            Route::post("/api/{session}/chats/{chatId}/archive", Keyed, waha::chats::archive, "Archive a chat").also(ASKS),
            Route::post("/api/{session}/chats/{chatId}/unarchive", Keyed, waha::chats::unarchive, "Take a chat out of the archive").also(ASKS),
            Route::post("/api/{session}/chats/{chatId}/unread", Keyed, waha::chats::unread, "Mark a chat as unread").also(ASKS),
            Route::delete("/api/{session}/chats/{chatId}/messages", Keyed, waha::chats::clear, "Empty a chat on the tenant's devices").also(ASKS),
            Route::post("/api/{session}/chats/{chatId}/messages/read", Keyed, waha::chats::read_messages, "Mark what came as read").also(&[422]),
            Route::post("/api/{session}/chats/{chatId}/messages/{messageId}/pin", Keyed, waha::chats::pin, "Put a message on top of its chat").sends(),
            Route::post("/api/{session}/chats/{chatId}/messages/{messageId}/unpin", Keyed, waha::chats::unpin, "Take it down").sends(),
            Route::get("/api/{session}/chats/{chatId}/messages", Keyed, waha::chats::messages, "Messages of a chat, the newest first").also(&[422]),
            Route::get("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::message, "A message").also(&[422]),
            Route::put("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::edit, "Change a message that was sent").sends(),
            Route::delete("/api/{session}/chats/{chatId}/messages/{messageId}", Keyed, waha::chats::revoke, "Delete a message for everyone").sends(),
        ]),
        section("Profile", vec![
            Route::get("/api/{session}/profile", Keyed, waha::profile::show, "How the tenant shows itself").also(ASKS),
            Route::put("/api/{session}/profile/name", Keyed, waha::profile::set_name, "Change the tenant's name").also(ASKS),
            Route::put("/api/{session}/profile/status", Keyed, waha::profile::set_about, "Change what it says of itself").also(ASKS),
            Route::put("/api/{session}/profile/picture", Keyed, waha::profile::set_picture, "Change its picture").also(ASKS),
            Route::delete("/api/{session}/profile/picture", Keyed, waha::profile::remove_picture, "Take its picture away").also(ASKS),
        ]),
        section("Contacts", vec![
            Route::get("/api/contacts/all", Keyed, waha::contacts::all, "Whom the tenant saved or talks with").also(ASKS),
            Route::get("/api/contacts", Keyed, waha::contacts::one, "A person").also(ASKS),
            Route::get("/api/contacts/check-exists", Keyed, waha::contacts::exists, "Whether a number is on WhatsApp").also(ASKS),
            Route::get("/api/checkNumberStatus", Keyed, waha::contacts::exists, "The same, by its old name").also(ASKS),
            Route::get("/api/contacts/about", Keyed, waha::contacts::about, "What a person says of itself").also(ASKS),
            Route::get("/api/contacts/profile-picture", Keyed, waha::contacts::picture, "A person's picture").also(ASKS),
            Route::post("/api/contacts/block", Keyed, waha::contacts::block, "Block a person").also(ASKS),
            Route::post("/api/contacts/unblock", Keyed, waha::contacts::unblock, "Block it no more").also(ASKS),
            Route::get("/api/{session}/contacts/{id}", Keyed, waha::contacts::in_session, "A person").also(ASKS),
            Route::put("/api/{session}/contacts/{id}", Keyed, waha::contacts::save, "Save a person under a name").also(ASKS),
            Route::get("/api/{session}/lids", Keyed, waha::contacts::lids, "The two names of each person that are known").also(ASKS),
            Route::get("/api/{session}/lids/count", Keyed, waha::contacts::count_lids, "How many those are").also(ASKS),
            Route::get("/api/{session}/lids/{lid}", Keyed, waha::contacts::number_of_lid, "The phone number of a LID").also(ASKS),
            Route::get("/api/{session}/lids/pn/{phoneNumber}", Keyed, waha::contacts::lid_of_number, "The LID of a phone number").also(ASKS),
        ]),
        section("Presence", vec![
            Route::get("/api/{session}/presence", Keyed, waha::presence::all, "Who is there, in all chats that were asked for").also(ASKS),
            Route::post("/api/{session}/presence", Keyed, waha::presence::set, "Show the tenant as there, or typing").also(ASKS),
            Route::get("/api/{session}/presence/{chatId}", Keyed, waha::presence::one, "Who is there in a chat").also(ASKS),
            Route::post("/api/{session}/presence/{chatId}/subscribe", Keyed, waha::presence::subscribe, "Ask to be told of it").also(ASKS),
        ]),
        section("Groups", vec![
            Route::get("/api/{session}/groups", Keyed, waha::groups::list, "The groups that the tenant is in").also(ASKS),
            Route::post("/api/{session}/groups", Keyed, waha::groups::create, "Make a group").also(ASKS),
            Route::get("/api/{session}/groups/count", Keyed, waha::groups::count, "How many groups there are").also(ASKS),
            Route::post("/api/{session}/groups/refresh", Keyed, waha::groups::refresh, "Nothing: groups are always asked anew").also(ASKS),
            Route::get("/api/{session}/groups/join-info", Keyed, waha::groups::join_info, "The group that an invitation opens").also(ASKS),
            Route::post("/api/{session}/groups/join", Keyed, waha::groups::join, "Join a group by its invitation").also(ASKS),
            Route::get("/api/{session}/groups/{id}", Keyed, waha::groups::one, "A group").also(ASKS),
            Route::delete("/api/{session}/groups/{id}", Keyed, waha::cannot::delete_group, "Not here: WhatsApp deletes no groups").also(&[501]),
            Route::post("/api/{session}/groups/{id}/leave", Keyed, waha::groups::leave, "Leave a group").also(ASKS),
            Route::get("/api/{session}/groups/{id}/picture", Keyed, waha::groups::picture, "A group's picture").also(ASKS),
            Route::put("/api/{session}/groups/{id}/picture", Keyed, waha::groups::set_picture, "Change it").also(ASKS),
            Route::delete("/api/{session}/groups/{id}/picture", Keyed, waha::groups::remove_picture, "Take it away").also(ASKS),
            Route::put("/api/{session}/groups/{id}/description", Keyed, waha::groups::set_description, "Change what a group is for").also(ASKS),
            Route::put("/api/{session}/groups/{id}/subject", Keyed, waha::groups::set_subject, "Change what a group is called").also(ASKS),
            Route::get("/api/{session}/groups/{id}/invite-code", Keyed, waha::groups::invite_code, "The code that opens a group").also(ASKS),
            Route::post("/api/{session}/groups/{id}/invite-code/revoke", Keyed, waha::groups::renew_invite_code, "A new code; the old one opens nothing").also(ASKS),
            Route::get(security!("info-admin-only"), Keyed, waha::groups::info_by_admins, "Whether only admins change subject, description and picture").also(ASKS),
            Route::put(security!("info-admin-only"), Keyed, waha::groups::set_info_by_admins, "Set whether only admins change subject, description and picture").also(ASKS),
            Route::get(security!("messages-admin-only"), Keyed, waha::groups::messages_by_admins, "Whether only admins write").also(ASKS),
            Route::put(security!("messages-admin-only"), Keyed, waha::groups::set_messages_by_admins, "Set whether only admins write").also(ASKS),
            Route::get(security!("member-add-mode"), Keyed, waha::groups::members_add, "Whether members add others").also(ASKS),
            Route::put(security!("member-add-mode"), Keyed, waha::groups::set_members_add, "Set whether members add others").also(ASKS),
            Route::get(security!("member-share-history-mode"), Keyed, waha::groups::history, "Whether members share the past with new ones").also(ASKS),
            Route::put(security!("member-share-history-mode"), Keyed, waha::groups::set_history, "Set whether members share the past with new ones").also(ASKS),
            Route::get(security!("membership-approval"), Keyed, waha::groups::approval, "Whether an admin must let in who joins").also(ASKS),
            Route::put(security!("membership-approval"), Keyed, waha::groups::set_approval, "Set whether an admin must let in who joins").also(ASKS),
            Route::get("/api/{session}/groups/{id}/participants", Keyed, waha::groups::members, "Who is in a group").also(ASKS),
            Route::get("/api/{session}/groups/{id}/participants/v2", Keyed, waha::groups::members, "Who is in a group").also(ASKS),
            Route::post("/api/{session}/groups/{id}/participants/add", Keyed, waha::groups::add, "Add people").also(ASKS),
            Route::post("/api/{session}/groups/{id}/participants/remove", Keyed, waha::groups::remove, "Remove people").also(ASKS),
            Route::post("/api/{session}/groups/{id}/admin/promote", Keyed, waha::groups::promote, "Make members admins").also(ASKS),
            Route::post("/api/{session}/groups/{id}/admin/demote", Keyed, waha::groups::demote, "Make admins members").also(ASKS),
            Route::get("/api/{session}/groups/{id}/participants/join-requests", Keyed, waha::groups::join_requests, "Who waits to be let in").also(ASKS),
            Route::post("/api/{session}/groups/{id}/participants/join-requests/approve", Keyed, waha::groups::approve, "Let them in").also(ASKS),
            Route::post("/api/{session}/groups/{id}/participants/join-requests/reject", Keyed, waha::groups::reject, "Do not").also(ASKS),
        ]),
        section("Calls", vec![
            Route::post("/api/{session}/calls/reject", Keyed, waha::calls::reject, "Decline a call").also(ASKS),
        ]),
        section("Labels", vec![
            Route::get("/api/{session}/labels", Keyed, waha::labels::list, "The labels there are").also(ASKS),
            Route::post("/api/{session}/labels", Keyed, waha::labels::create, "Make a label").also(ASKS),
            Route::put("/api/{session}/labels/{labelId}", Keyed, waha::labels::change, "Change a label").also(ASKS),
            Route::delete("/api/{session}/labels/{labelId}", Keyed, waha::labels::delete, "Delete a label").also(ASKS),
            Route::get("/api/{session}/labels/{labelId}/chats", Keyed, waha::labels::chats, "The chats that have a label").also(ASKS),
            Route::get("/api/{session}/labels/chats/{chatId}", Keyed, waha::labels::of_chat, "The labels that a chat has").also(ASKS),
            Route::put("/api/{session}/labels/chats/{chatId}", Keyed, waha::labels::label_chat, "Give a chat these labels and no others").also(ASKS),
        ]),
        section("Channels", vec![
            Route::get("/api/{session}/channels", Keyed, waha::channels::list, "The channels that the tenant follows or has made").also(ASKS),
            Route::post("/api/{session}/channels", Keyed, waha::channels::create, "Make a channel").also(ASKS),
            Route::get("/api/{session}/channels/{id}", Keyed, waha::channels::one, "A channel").also(ASKS),
            Route::delete("/api/{session}/channels/{id}", Keyed, waha::channels::delete, "Delete a channel").also(ASKS),
            Route::get("/api/{session}/channels/{id}/messages/preview", Keyed, waha::channels::posts, "What a channel wrote last").also(ASKS),
            Route::post("/api/{session}/channels/{id}/follow", Keyed, waha::channels::follow, "Follow a channel").also(ASKS),
            Route::post("/api/{session}/channels/{id}/unfollow", Keyed, waha::channels::unfollow, "Follow it no more").also(ASKS),
            Route::post("/api/{session}/channels/{id}/mute", Keyed, waha::channels::mute, "Hear nothing of its followers").also(ASKS),
            Route::post("/api/{session}/channels/{id}/unmute", Keyed, waha::channels::unmute, "Hear of them again").also(ASKS),
            Route::post("/api/{session}/channels/search/by-view", Keyed, waha::cannot::search_channels, "Not here: WhatsApp's directory").also(&[501]),
            Route::post("/api/{session}/channels/search/by-text", Keyed, waha::cannot::search_channels, "Not here: WhatsApp's directory").also(&[501]),
            Route::get("/api/{session}/channels/search/views", Keyed, waha::cannot::search_channels, "Not here: WhatsApp's directory").also(&[501]),
            Route::get("/api/{session}/channels/search/countries", Keyed, waha::cannot::search_channels, "Not here: WhatsApp's directory").also(&[501]),
            Route::get("/api/{session}/channels/search/categories", Keyed, waha::cannot::search_channels, "Not here: WhatsApp's directory").also(&[501]),
        ]),
        section("Status", vec![
            Route::post("/api/{session}/status/text", Keyed, waha::statuses::text, "Post a text as a status").sends(),
            Route::post("/api/{session}/status/image", Keyed, waha::statuses::image, "Post a picture as a status").sends(),
            Route::post("/api/{session}/status/voice", Keyed, waha::statuses::voice, "Post a recording as a status").sends().also(&[501]),
            Route::post("/api/{session}/status/video", Keyed, waha::statuses::video, "Post a film as a status").sends().also(&[501]),
            Route::post("/api/{session}/status/delete", Keyed, waha::statuses::delete, "Take a status back").sends(),
            Route::get("/api/{session}/status/new-message-id", Keyed, waha::sending::new_message_id, "An id for a status to be posted"),
        ]),
        section("Media", vec![
            Route::post("/api/{session}/media/convert/voice", Keyed, waha::cannot::convert, "Not here: needs ffmpeg").also(&[501]),
            Route::post("/api/{session}/media/convert/video", Keyed, waha::cannot::convert, "Not here: needs ffmpeg").also(&[501]),
        ]),
        section("Bot", vec![
            Route::get("/api/{session}/bot/menu", Keyed, bot::show_menu, "The menu that customers order from"),
            Route::put("/api/{session}/bot/menu", Keyed, bot::put_menu, "Replace the menu; in force for the next message").also(&[412]).makes(),
            Route::get("/api/{session}/bot/settings", Keyed, bot::show_settings, "The bot's switches, hours, costs and texts"),
            Route::put("/api/{session}/bot/settings", Keyed, bot::put_settings, "Replace them; in force for the next message").also(&[412]).makes(),
            Route::get("/api/{session}/bot/texts", Keyed, bot::show_texts, "The bot's texts as they are without your own, and what may stand in them"),
            Route::post("/api/{session}/bot/try", Keyed, bot::try_out, "What the bot would answer; touches no customer"),
            Route::get("/api/{session}/bot/conversations", Keyed, bot::conversations, "The chats that the bot knows"),
            Route::get("/api/{session}/bot/conversations/{chat}", Keyed, bot::conversation, "Whether the bot answers in a chat, and if not, why").also(&[422]),
            Route::post("/api/{session}/bot/conversations/{chat}/take", Keyed, bot::take, "Take a chat over: the bot is silent there"),
            Route::post("/api/{session}/bot/conversations/{chat}/give-back", Keyed, bot::give_back, "Let the bot answer there again"),
            Route::get("/api/{session}/bot/orders", Keyed, bot::orders, "Orders, the newest first"),
            Route::get("/api/{session}/bot/orders/{id}", Keyed, bot::order, "An order"),
            Route::get("/api/{session}/bot/orders/{id}/text", Keyed, bot::order_text, "An order as a text to print"),
            Route::post("/api/{session}/bot/orders/{id}/stage", Keyed, bot::move_order, "Move an order on; its customer is told"),
            Route::post("/api/{session}/bot/orders/{id}/payment", Keyed, bot::note_payment, "An order that waits for its payment is paid"),
        ]),
        section("Webhooks", vec![
            Route::get("/api/{session}/webhooks", Keyed, webhooks::show, "A session's webhooks"),
            Route::put("/api/{session}/webhooks", Keyed, webhooks::put, "Set a session's webhooks").makes(),
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
            Route::get("/docs/guide", Open, guide::enter, "To the guide"),
            Route::get("/docs/guide/", Open, guide::index, "The guide's table of contents"),
            Route::get("/docs/guide/{page}", Open, guide::page, "A page of the guide").also(&[404]),
            Route::post("/api/server/stop", Admin, waha::cannot::stop_server, "Not here: whoever started the daemon stops it").also(&[501]),
            Route::post("/api/server/rekey", Admin, rekey::begin, "Seal all that the vault has with the first master key, or count what is not (WAHA has no such route)"),
            Route::get("/api/server/rekey", Admin, rekey::show, "How far that is (WAHA has no such route)"),
            Route::get("/api/server/log-filter", Admin, log_filter::show, "Which lines are logged (WAHA has no such route)").also(&[501]),
            Route::put("/api/server/log-filter", Admin, log_filter::change, "Log other lines, until the process ends (WAHA has no such route)").also(&[501]),
            Route::get("/api/server/status", Keyed, waha::server::status, "Since when"),
            Route::get("/api/overview", Admin, overview::show, "Who needs somebody and why, how much goes through, and what the vault costs (WAHA has no such route)"),
            Route::get("/metrics", Metrics, metrics::show, "What is counted and measured, for Prometheus"),
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

#[cfg(test)]
mod tests {
    use super::{auth::Action, *};

    /// The process that has shown a challenge, or a code, has the rest of that pairing: a step of it that takes the tenant away ends it.
    #[test]
    fn only_what_begins_a_pairing_takes_a_tenant_from_whom_nobody_reaches() {
        let routes: Vec<Route> = table().into_iter().flat_map(|section| section.routes).collect();
        let of = |wanted: fn(&Route) -> bool| -> Vec<&'static str> {
            let mut paths: Vec<_> = routes.iter().filter(|route| wanted(route)).map(|route| route.path).collect();
            paths.sort_unstable();
            paths
        };
        let taking = [
            "/api/baileys/connect",
            "/api/sessions",
            "/api/sessions/start",
            "/api/sessions/{session}/start",
            "/api/{session}/auth/request-code",
        ];
        assert_eq!(of(|route| route.may_take), taking);
        let going_on = ["/api/{session}/auth/passkey", "/api/{session}/auth/passkey/confirm"];
        assert_eq!(of(|route| route.action == Some(Action::Pairing) && !route.may_take), going_on);
    }
}
