//! Who may do what: every route and every Socket.IO event, tried with every kind of credential. A route without a row fails.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::Response;
use serde_json::{Value, json};
use sessiond::{
    api::{self, Access, Scope},
    demo::{Dashboard, Ear, Heard, Process},
    live,
    vault::access::{AccessVault as _, KeyHash},
};

use crate::support::{
    issuer::{Issuer, PROJECT, Signer, claims_for},
    node::{Script, program},
    stage::{Home, LIMIT, Stage},
};

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Everybody,
    /// Whoever has this scope for the tenant.
    Of(Scope),
    /// Everybody with a credential, and each sees no more than its own.
    Each,
    Operator,
    /// The operator, and whoever has a key for it.
    Watcher,
}

use Who::{Each, Everybody, Of, Operator, Watcher};

/// The tenant that the requests are about; and one that nobody has ever heard of.
const TENANT: &str = "trattoria";
const NOBODY: &str = "nobody";
/// Whose key the stranger has.
const OTHER: &str = "pizzeria";

/// Method, path as in the router, what is asked for with `$T` for the tenant and `$K` for a key's id, body, who may.
#[rustfmt::skip]
fn rows() -> Vec<(&'static str, &'static str, &'static str, Value, Who)> {
    let tenant = || json!({ "tenantId": "$T" });
    let text = |field: &str| json!({ "tenantId": "$T", "to": "573001112233", field: "hola" });
    let chat = |body: Value| {
        let mut chat = json!({ "session": "$T", "chatId": "573001112233@c.us" });
        chat.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        chat
    };
    let key = || json!({ "session": "$T", "isAdmin": false, "isActive": true });
    vec![
        ("GET", "/", "/", Value::Null, Everybody),
        ("GET", "/console", "/console", Value::Null, Everybody),
        ("GET", "/console/", "/console/", Value::Null, Everybody),
        ("GET", "/console/{file}", "/console/main.js", Value::Null, Everybody),
        ("GET", "/health", "/health", Value::Null, Everybody),
        ("GET", "/api/baileys/health", "/api/baileys/health", Value::Null, Everybody),
        ("POST", "/api/baileys/connect", "/api/baileys/connect", tenant(), Of(Scope::Control)),
        ("GET", "/api/baileys/qr", "/api/baileys/qr?tenantId=$T", Value::Null, Of(Scope::Control)),
        ("GET", "/api/baileys/status", "/api/baileys/status?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("POST", "/api/baileys/send", "/api/baileys/send", text("text"), Of(Scope::Send)),
        ("POST", "/api/baileys/send-message", "/api/baileys/send-message", text("message"), Of(Scope::Send)),
        ("POST", "/api/baileys/test-message", "/api/baileys/test-message", text("message"), Of(Scope::Send)),
        ("GET", "/api/baileys/stats", "/api/baileys/stats?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("GET", "/api/baileys/conversations", "/api/baileys/conversations?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("GET", "/api/baileys/messages", "/api/baileys/messages?tenantId=$T&chatId=573001112233", Value::Null, Of(Scope::Read)),
        ("GET", "/api/baileys/profile", "/api/baileys/profile?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("POST", "/api/baileys/clean-session", "/api/baileys/clean-session", tenant(), Of(Scope::Control)),
        ("POST", "/api/baileys/disconnect", "/api/baileys/disconnect", tenant(), Of(Scope::Control)),
        ("GET", "/api/tenant/{id}", "/api/tenant/$T", Value::Null, Of(Scope::Read)),
        ("GET", "/api/tenants", "/api/tenants", Value::Null, Each),
        ("GET", "/api/stats", "/api/stats", Value::Null, Each),
        ("GET", "/api/sessions/{session}/account", "/api/sessions/$T/account", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/sessions/{session}/account/change", "/api/sessions/$T/account/change", json!({ "conversations": "keep" }), Of(Scope::Control)),
        ("DELETE", "/api/sessions/{session}/account/change", "/api/sessions/$T/account/change", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/auth/request-code", "/api/$T/auth/request-code", json!({ "phoneNumber": "573001112233" }), Of(Scope::Control)),
        ("GET", "/api/{session}/webhooks", "/api/$T/webhooks", Value::Null, Of(Scope::Control)),
        ("PUT", "/api/{session}/webhooks", "/api/$T/webhooks", json!({ "webhooks": [] }), Of(Scope::Control)),
        ("GET", "/api/{session}/webhooks/failures", "/api/$T/webhooks/failures", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/webhooks/failures/redrive", "/api/$T/webhooks/failures/redrive", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/webhooks/failures/{id}/redrive", "/api/$T/webhooks/failures/x/redrive", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/bot/menu", "/api/$T/bot/menu", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/bot/menu", "/api/$T/bot/menu", json!({ "items": [] }), Of(Scope::Control)),
        ("GET", "/api/{session}/bot/settings", "/api/$T/bot/settings", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/bot/settings", "/api/$T/bot/settings", json!({ "active": false }), Of(Scope::Control)),
        ("GET", "/api/{session}/bot/texts", "/api/$T/bot/texts", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/bot/try", "/api/$T/bot/try", json!({ "text": "hola" }), Of(Scope::Control)),
        ("GET", "/api/{session}/bot/conversations", "/api/$T/bot/conversations", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/bot/conversations/{chat}", "/api/$T/bot/conversations/573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/bot/conversations/{chat}/take", "/api/$T/bot/conversations/573001112233@c.us/take", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/bot/conversations/{chat}/give-back", "/api/$T/bot/conversations/573001112233@c.us/give-back", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/bot/orders", "/api/$T/bot/orders", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/bot/orders/{id}", "/api/$T/bot/orders/a1b2c3", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/bot/orders/{id}/text", "/api/$T/bot/orders/a1b2c3/text", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/bot/orders/{id}/stage", "/api/$T/bot/orders/a1b2c3/stage", json!({ "stage": "listo" }), Of(Scope::Control)),
        ("POST", "/api/{session}/bot/orders/{id}/payment", "/api/$T/bot/orders/a1b2c3/payment", Value::Null, Of(Scope::Control)),
        ("GET", "/openapi.json", "/openapi.json", Value::Null, Everybody),
        ("GET", "/docs", "/docs", Value::Null, Everybody),
        ("GET", "/docs/page.css", "/docs/page.css", Value::Null, Everybody),
        ("GET", "/docs/page.js", "/docs/page.js", Value::Null, Everybody),
        ("GET", "/docs/guide", "/docs/guide", Value::Null, Everybody),
        ("GET", "/docs/guide/", "/docs/guide/", Value::Null, Everybody),
        ("GET", "/docs/guide/{page}", "/docs/guide/limits", Value::Null, Everybody),
        ("GET", "/ping", "/ping", Value::Null, Everybody),
        ("GET", "/api/version", "/api/version", Value::Null, Each),
        ("GET", "/api/server/version", "/api/server/version", Value::Null, Each),
        ("GET", "/api/server/environment", "/api/server/environment", Value::Null, Operator),
        ("GET", "/api/server/status", "/api/server/status", Value::Null, Each),
        ("GET", "/api/sessions", "/api/sessions?all=true", Value::Null, Each),
        ("POST", "/api/sessions", "/api/sessions", json!({ "name": "$T", "start": false }), Of(Scope::Control)),
        ("GET", "/api/sessions/{session}", "/api/sessions/$T", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/sessions/{session}", "/api/sessions/$T", json!({}), Of(Scope::Control)),
        ("DELETE", "/api/sessions/{session}", "/api/sessions/$T", Value::Null, Of(Scope::Control)),
        ("GET", "/api/sessions/{session}/me", "/api/sessions/$T/me", Value::Null, Of(Scope::Read)),
        ("POST", "/api/sessions/{session}/start", "/api/sessions/$T/start", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sessions/{session}/stop", "/api/sessions/$T/stop", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sessions/{session}/restart", "/api/sessions/$T/restart", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sessions/{session}/history", "/api/sessions/$T/history", json!({ "chatId": "573001112233@c.us" }), Of(Scope::Read)),
        ("POST", "/api/sessions/{session}/import", "/api/sessions/$T/import", json!({ "from": "baileys", "document": {} }), Operator),
        ("POST", "/api/sessions/{session}/logout", "/api/sessions/$T/logout", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/auth/qr", "/api/$T/auth/qr", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sendText", "/api/sendText", chat(json!({ "text": "hola" })), Of(Scope::Send)),
        ("POST", "/api/reply", "/api/reply", chat(json!({ "text": "hola", "reply_to": "3EB0AAAAAAAA" })), Of(Scope::Send)),
        ("POST", "/api/sendLocation", "/api/sendLocation", chat(json!({ "latitude": 4.7, "longitude": -74.1, "title": "x" })), Of(Scope::Send)),
        ("POST", "/api/sendContactVcard", "/api/sendContactVcard", chat(json!({ "contacts": [{ "vcard": "BEGIN:VCARD" }] })), Of(Scope::Send)),
        ("POST", "/api/sendPoll", "/api/sendPoll", chat(json!({ "poll": { "name": "?", "options": ["a", "b"] } })), Of(Scope::Send)),
        ("POST", "/api/sendPollVote", "/api/sendPollVote", chat(json!({ "pollMessageId": "3EB0AAAAAAAA", "votes": ["a"] })), Of(Scope::Send)),
        ("PUT", "/api/reaction", "/api/reaction", json!({ "session": "$T", "messageId": "false_573001112233@c.us_3EB0AAAAAAAA", "reaction": "👍" }), Of(Scope::Send)),
        ("POST", "/api/sendImage", "/api/sendImage", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendFile", "/api/sendFile", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendVoice", "/api/sendVoice", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendVideo", "/api/sendVideo", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendSticker", "/api/sendSticker", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendButtons", "/api/sendButtons", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendList", "/api/sendList", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendSeen", "/api/sendSeen", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/startTyping", "/api/startTyping", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/stopTyping", "/api/stopTyping", chat(json!({})), Of(Scope::Send)),
        ("GET", "/api/files/{session}/{file}", "/api/files/$T/3EB0AAAAAAAA_573001112233@s.whatsapp.net.jpeg", Value::Null, Of(Scope::Read)),
        ("GET", "/api/messages", "/api/messages?session=$T&chatId=573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats", "/api/$T/chats", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats/overview", "/api/$T/chats/overview", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats/{chatId}/messages", "/api/$T/chats/573001112233@c.us/messages", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats/{chatId}/messages/{messageId}", "/api/$T/chats/573001112233@c.us/messages/false_573001112233@c.us_A", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/chats/{chatId}/messages/{messageId}", "/api/$T/chats/573001112233@c.us/messages/true_573001112233@c.us_A", json!({ "text": "x" }), Of(Scope::Send)),
        ("DELETE", "/api/{session}/chats/{chatId}/messages/{messageId}", "/api/$T/chats/573001112233@c.us/messages/true_573001112233@c.us_A", Value::Null, Of(Scope::Send)),
        ("GET", "/api/sendText", "/api/sendText?session=$T&phone=573001112233&text=hola", Value::Null, Of(Scope::Send)),
        ("POST", "/api/sendLinkPreview", "/api/sendLinkPreview", chat(json!({ "url": "https://example.com", "title": "x" })), Of(Scope::Send)),
        ("POST", "/api/send/link-custom-preview", "/api/send/link-custom-preview", chat(json!({ "text": "x https://example.com/", "preview": { "url": "https://example.com/", "title": "x" } })), Of(Scope::Send)),
        ("POST", "/api/send/buttons/reply", "/api/send/buttons/reply", chat(json!({ "replyTo": "3EB0AAAAAAAA", "selectedButtonID": "1", "selectedDisplayText": "x" })), Of(Scope::Send)),
        ("POST", "/api/forwardMessage", "/api/forwardMessage", chat(json!({ "messageId": "true_573001112233@c.us_3EB0AAAAAAAA" })), Of(Scope::Send)),
        ("PUT", "/api/star", "/api/star", chat(json!({ "messageId": "true_573001112233@c.us_3EB0AAAAAAAA", "star": true })), Of(Scope::Send)),
        ("POST", "/api/{session}/events", "/api/$T/events", chat(json!({ "event": { "name": "x", "startTime": 1800000000 } })), Of(Scope::Send)),
        ("GET", "/api/{session}/new-message-id", "/api/$T/new-message-id", Value::Null, Of(Scope::Send)),
        ("POST", "/api/{session}/chats/overview", "/api/$T/chats/overview", json!({ "pagination": {} }), Of(Scope::Read)),
        ("DELETE", "/api/{session}/chats/{chatId}", "/api/$T/chats/573001112233@c.us", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/chats/{chatId}/picture", "/api/$T/chats/573001112233@c.us/picture", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/chats/{chatId}/archive", "/api/$T/chats/573001112233@c.us/archive", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/chats/{chatId}/unarchive", "/api/$T/chats/573001112233@c.us/unarchive", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/chats/{chatId}/unread", "/api/$T/chats/573001112233@c.us/unread", Value::Null, Of(Scope::Control)),
        ("DELETE", "/api/{session}/chats/{chatId}/messages", "/api/$T/chats/573001112233@c.us/messages", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/chats/{chatId}/messages/read", "/api/$T/chats/573001112233@c.us/messages/read", Value::Null, Of(Scope::Send)),
        ("POST", "/api/{session}/chats/{chatId}/messages/{messageId}/pin", "/api/$T/chats/573001112233@c.us/messages/true_573001112233@c.us_3EB0AAAAAAAA/pin", json!({ "duration": 86400 }), Of(Scope::Send)),
        ("POST", "/api/{session}/chats/{chatId}/messages/{messageId}/unpin", "/api/$T/chats/573001112233@c.us/messages/true_573001112233@c.us_3EB0AAAAAAAA/unpin", Value::Null, Of(Scope::Send)),
        ("GET", "/api/contacts/all", "/api/contacts/all?session=$T", Value::Null, Of(Scope::Read)),
        ("GET", "/api/contacts", "/api/contacts?session=$T&contactId=573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("GET", "/api/contacts/about", "/api/contacts/about?session=$T&contactId=573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("GET", "/api/contacts/profile-picture", "/api/contacts/profile-picture?session=$T&contactId=573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("GET", "/api/contacts/check-exists", "/api/contacts/check-exists?session=$T&phone=573001112233", Value::Null, Of(Scope::Read)),
        ("GET", "/api/checkNumberStatus", "/api/checkNumberStatus?session=$T&phone=573001112233", Value::Null, Of(Scope::Read)),
        ("POST", "/api/contacts/block", "/api/contacts/block", json!({ "session": "$T", "contactId": "573001112233@c.us" }), Of(Scope::Control)),
        ("POST", "/api/contacts/unblock", "/api/contacts/unblock", json!({ "session": "$T", "contactId": "573001112233@c.us" }), Of(Scope::Control)),
        ("GET", "/api/{session}/contacts/{id}", "/api/$T/contacts/573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/contacts/{id}", "/api/$T/contacts/573001112233@c.us", json!({ "firstName": "Ana", "lastName": "" }), Of(Scope::Control)),
        ("GET", "/api/{session}/lids", "/api/$T/lids", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/lids/count", "/api/$T/lids/count", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/lids/{lid}", "/api/$T/lids/99887766", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/lids/pn/{phoneNumber}", "/api/$T/lids/pn/573001112233", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/presence", "/api/$T/presence", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/presence", "/api/$T/presence", json!({ "presence": "online" }), Of(Scope::Send)),
        ("GET", "/api/{session}/presence/{chatId}", "/api/$T/presence/573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/presence/{chatId}/subscribe", "/api/$T/presence/573001112233@c.us/subscribe", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/profile", "/api/$T/profile", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/profile/name", "/api/$T/profile/name", json!({ "name": "x" }), Of(Scope::Control)),
        ("PUT", "/api/{session}/profile/status", "/api/$T/profile/status", json!({ "status": "x" }), Of(Scope::Control)),
        ("PUT", "/api/{session}/profile/picture", "/api/$T/profile/picture", json!({ "file": { "data": "/9j/" } }), Of(Scope::Control)),
        ("DELETE", "/api/{session}/profile/picture", "/api/$T/profile/picture", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/groups", "/api/$T/groups", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/groups", "/api/$T/groups", json!({ "name": "x", "participants": [] }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/count", "/api/$T/groups/count", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/groups/refresh", "/api/$T/groups/refresh", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/groups/join-info", "/api/$T/groups/join-info?code=AbCdEf123456", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/groups/join", "/api/$T/groups/join", json!({ "code": "AbCdEf123456" }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}", "/api/$T/groups/120363000000000001@g.us", Value::Null, Of(Scope::Read)),
        ("DELETE", "/api/{session}/groups/{id}", "/api/$T/groups/120363000000000001@g.us", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/groups/{id}/leave", "/api/$T/groups/120363000000000001@g.us/leave", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/picture", "/api/$T/groups/120363000000000001@g.us/picture", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/groups/{id}/picture", "/api/$T/groups/120363000000000001@g.us/picture", json!({ "file": { "data": "/9j/" } }), Of(Scope::Control)),
        ("DELETE", "/api/{session}/groups/{id}/picture", "/api/$T/groups/120363000000000001@g.us/picture", Value::Null, Of(Scope::Control)),
        ("PUT", "/api/{session}/groups/{id}/description", "/api/$T/groups/120363000000000001@g.us/description", json!({ "description": "x" }), Of(Scope::Control)),
        ("PUT", "/api/{session}/groups/{id}/subject", "/api/$T/groups/120363000000000001@g.us/subject", json!({ "subject": "x" }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/invite-code", "/api/$T/groups/120363000000000001@g.us/invite-code", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/groups/{id}/invite-code/revoke", "/api/$T/groups/120363000000000001@g.us/invite-code/revoke", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/settings/security/info-admin-only", "/api/$T/groups/120363000000000001@g.us/settings/security/info-admin-only", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/groups/{id}/settings/security/info-admin-only", "/api/$T/groups/120363000000000001@g.us/settings/security/info-admin-only", json!({ "adminsOnly": true }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/settings/security/messages-admin-only", "/api/$T/groups/120363000000000001@g.us/settings/security/messages-admin-only", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/groups/{id}/settings/security/messages-admin-only", "/api/$T/groups/120363000000000001@g.us/settings/security/messages-admin-only", json!({ "adminsOnly": true }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/settings/security/member-add-mode", "/api/$T/groups/120363000000000001@g.us/settings/security/member-add-mode", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/groups/{id}/settings/security/member-add-mode", "/api/$T/groups/120363000000000001@g.us/settings/security/member-add-mode", json!({ "membersCanAddNewMember": true }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/settings/security/member-share-history-mode", "/api/$T/groups/120363000000000001@g.us/settings/security/member-share-history-mode", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/groups/{id}/settings/security/member-share-history-mode", "/api/$T/groups/120363000000000001@g.us/settings/security/member-share-history-mode", json!({ "membersCanShareHistory": true }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/settings/security/membership-approval", "/api/$T/groups/120363000000000001@g.us/settings/security/membership-approval", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/groups/{id}/settings/security/membership-approval", "/api/$T/groups/120363000000000001@g.us/settings/security/membership-approval", json!({ "newMembersApprovalRequired": true }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/participants", "/api/$T/groups/120363000000000001@g.us/participants", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/groups/{id}/participants/v2", "/api/$T/groups/120363000000000001@g.us/participants/v2", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/groups/{id}/participants/add", "/api/$T/groups/120363000000000001@g.us/participants/add", json!({ "participants": [{ "id": "573001112233@c.us" }] }), Of(Scope::Control)),
        ("POST", "/api/{session}/groups/{id}/participants/remove", "/api/$T/groups/120363000000000001@g.us/participants/remove", json!({ "participants": [{ "id": "573001112233@c.us" }] }), Of(Scope::Control)),
        ("POST", "/api/{session}/groups/{id}/admin/promote", "/api/$T/groups/120363000000000001@g.us/admin/promote", json!({ "participants": [{ "id": "573001112233@c.us" }] }), Of(Scope::Control)),
        ("POST", "/api/{session}/groups/{id}/admin/demote", "/api/$T/groups/120363000000000001@g.us/admin/demote", json!({ "participants": [{ "id": "573001112233@c.us" }] }), Of(Scope::Control)),
        ("GET", "/api/{session}/groups/{id}/participants/join-requests", "/api/$T/groups/120363000000000001@g.us/participants/join-requests", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/groups/{id}/participants/join-requests/approve", "/api/$T/groups/120363000000000001@g.us/participants/join-requests/approve", json!({ "participants": [{ "id": "573001112233@c.us" }] }), Of(Scope::Control)),
        ("POST", "/api/{session}/groups/{id}/participants/join-requests/reject", "/api/$T/groups/120363000000000001@g.us/participants/join-requests/reject", json!({ "participants": [{ "id": "573001112233@c.us" }] }), Of(Scope::Control)),
        ("POST", "/api/{session}/calls/reject", "/api/$T/calls/reject", json!({ "from": "573001112233@c.us", "id": "ABCDEF0123456789" }), Of(Scope::Send)),
        ("GET", "/api/{session}/labels", "/api/$T/labels", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/labels", "/api/$T/labels", json!({ "name": "x" }), Of(Scope::Control)),
        ("PUT", "/api/{session}/labels/{labelId}", "/api/$T/labels/1", json!({ "name": "x" }), Of(Scope::Control)),
        ("DELETE", "/api/{session}/labels/{labelId}", "/api/$T/labels/1", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/labels/{labelId}/chats", "/api/$T/labels/1/chats", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/labels/chats/{chatId}", "/api/$T/labels/chats/573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/labels/chats/{chatId}", "/api/$T/labels/chats/573001112233@c.us", json!({ "labels": [] }), Of(Scope::Control)),
        ("GET", "/api/{session}/channels", "/api/$T/channels", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/channels", "/api/$T/channels", json!({ "name": "x" }), Of(Scope::Control)),
        ("GET", "/api/{session}/channels/{id}", "/api/$T/channels/120363000000000001@newsletter", Value::Null, Of(Scope::Read)),
        ("DELETE", "/api/{session}/channels/{id}", "/api/$T/channels/120363000000000001@newsletter", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/channels/{id}/messages/preview", "/api/$T/channels/120363000000000001@newsletter/messages/preview", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/channels/{id}/follow", "/api/$T/channels/120363000000000001@newsletter/follow", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/channels/{id}/unfollow", "/api/$T/channels/120363000000000001@newsletter/unfollow", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/channels/{id}/mute", "/api/$T/channels/120363000000000001@newsletter/mute", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/channels/{id}/unmute", "/api/$T/channels/120363000000000001@newsletter/unmute", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/channels/search/by-view", "/api/$T/channels/search/by-view", json!({}), Of(Scope::Read)),
        ("POST", "/api/{session}/channels/search/by-text", "/api/$T/channels/search/by-text", json!({}), Of(Scope::Read)),
        ("GET", "/api/{session}/channels/search/views", "/api/$T/channels/search/views", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/channels/search/countries", "/api/$T/channels/search/countries", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/channels/search/categories", "/api/$T/channels/search/categories", Value::Null, Of(Scope::Read)),
        ("POST", "/api/{session}/status/text", "/api/$T/status/text", json!({ "text": "x", "contacts": ["573001112233@c.us"] }), Of(Scope::Send)),
        ("POST", "/api/{session}/status/image", "/api/$T/status/image", json!({ "file": { "data": "aGVsbG8=" }, "contacts": ["573001112233@c.us"] }), Of(Scope::Send)),
        ("POST", "/api/{session}/status/voice", "/api/$T/status/voice", json!({ "file": { "data": "aGVsbG8=" }, "contacts": ["573001112233@c.us"] }), Of(Scope::Send)),
        ("POST", "/api/{session}/status/video", "/api/$T/status/video", json!({ "file": { "data": "aGVsbG8=" }, "contacts": ["573001112233@c.us"] }), Of(Scope::Send)),
        ("POST", "/api/{session}/status/delete", "/api/$T/status/delete", json!({ "id": "3EB0AAAAAAAA" }), Of(Scope::Send)),
        ("GET", "/api/{session}/status/new-message-id", "/api/$T/status/new-message-id", Value::Null, Of(Scope::Send)),
        ("GET", "/api/sessions/{session}/capping", "/api/sessions/$T/capping", Value::Null, Of(Scope::Read)),
        ("GET", "/api/sessions/{session}/timelock", "/api/sessions/$T/timelock", Value::Null, Of(Scope::Read)),
        ("POST", "/api/sessions/start", "/api/sessions/start", json!({ "name": "$T" }), Of(Scope::Control)),
        ("POST", "/api/sessions/stop", "/api/sessions/stop", json!({ "name": "$T" }), Of(Scope::Control)),
        ("POST", "/api/sessions/logout", "/api/sessions/logout", json!({ "name": "$T" }), Of(Scope::Control)),
        ("GET", "/api/{session}/auth/passkey/challenge", "/api/$T/auth/passkey/challenge", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/auth/passkey", "/api/$T/auth/passkey", json!({ "id": "YQ" }), Of(Scope::Control)),
        ("GET", "/api/{session}/auth/passkey/confirmation", "/api/$T/auth/passkey/confirmation", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/auth/passkey/confirm", "/api/$T/auth/passkey/confirm", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/media/convert/voice", "/api/$T/media/convert/voice", json!({}), Of(Scope::Send)),
        ("POST", "/api/{session}/media/convert/video", "/api/$T/media/convert/video", json!({}), Of(Scope::Send)),
        ("POST", "/api/server/stop", "/api/server/stop", json!({}), Operator),
        ("POST", "/api/server/rekey", "/api/server/rekey", json!({ "check": true }), Operator),
        ("GET", "/api/server/rekey", "/api/server/rekey", Value::Null, Operator),
        ("GET", "/api/overview", "/api/overview?language=es", Value::Null, Operator),
        ("GET", "/api/server/log-filter", "/api/server/log-filter", Value::Null, Operator),
        ("PUT", "/api/server/log-filter", "/api/server/log-filter", json!({ "filter": "info" }), Operator),
        ("GET", "/metrics", "/metrics", Value::Null, Watcher),
        ("POST", "/api/keys", "/api/keys", key(), Operator),
        ("GET", "/api/keys", "/api/keys", Value::Null, Operator),
        ("POST", "/api/keys/media", "/api/keys/media", json!({ "session": "$T" }), Operator),
        ("POST", "/api/keys/control", "/api/keys/control", json!({ "session": "$T" }), Operator),
        ("PUT", "/api/keys/{id}", "/api/keys/$K", key(), Operator),
        ("POST", "/api/keys/{id}/renew", "/api/keys/$K/renew", Value::Null, Operator),
        ("DELETE", "/api/keys/{id}", "/api/keys/$K", Value::Null, Operator),
    ]
}

/// An event, and what it asks for of the tenant that it names.
const EVENTS: &[(&str, Scope)] = &[("register", Scope::Read)];

#[test]
fn every_route_and_event_has_a_row() {
    let routes = api::routes();
    let there: BTreeSet<_> = routes.iter().map(|route| (route.method.as_str(), route.path)).collect();
    let rows = rows();
    let here: BTreeSet<_> = rows.iter().map(|(method, path, ..)| (*method, *path)).collect();
    assert_eq!((here.len(), there.len()), (rows.len(), routes.len()), "each once");
    assert_eq!(here, there, "the table of routes and the matrix");
    for (method, path, _, _, who) in &rows {
        let route = routes.iter().find(|route| route.method.as_str() == *method && route.path == *path).unwrap();
        let expected = match who {
            Everybody => route.access == Access::Open,
            Operator => route.access == Access::Admin,
            Watcher => route.access == Access::Metrics,
            Of(_) | Each => matches!(route.access, Access::Keyed | Access::Old),
        };
        assert!(expected, "{route:?} is not for {who:?}");
    }
    assert_eq!(EVENTS.iter().map(|(event, _)| *event).collect::<Vec<_>>(), live::EVENTS);
    let listened_to = include_str!("../../../src/live.rs").matches("socket.on(").count();
    assert_eq!(listened_to, EVENTS.len(), "an event that is not in `live::EVENTS`");
}

/// A daemon that takes ID tokens, and everything with which one may come to it.
struct MatrixHouse {
    stage: Stage,
    _issuer: Issuer,
    signer: Signer,
    daemon: Process,
}

impl MatrixHouse {
    async fn new(change: impl FnOnce(Stage) -> Stage) -> Self {
        let signer = Signer::new("one");
        let issuer = Issuer::start(&[&signer], "max-age=3600").await;
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let stage = stage
            .set("SESSIOND_AUTH__FIREBASE_PROJECT", PROJECT)
            .set("SESSIOND_AUTH__FIREBASE_KEYS_URL", issuer.url())
            .set("SESSIOND_AUTH__REFRESH", "1s")
            .set("SESSIOND_LIMITS__PAIRING_PER_ADDRESS", "0")
            .set("SESSIOND_LIMITS__SENDING_PER_ADDRESS", "0")
            .set("SESSIOND_LIMITS__FAILURES_PER_ADDRESS", "0");
        let stage = change(stage);
        let daemon = stage.start().await;
        Self { stage, _issuer: issuer, signer, daemon }
    }

    fn token(&self, tenants: &[&str]) -> String {
        self.signer.sign(&claims_for("ana", Timestamp::now(), &json!(tenants)))
    }

    /// A key over the API: its id and itself.
    async fn key(&self, tenant: &str, scopes: &[Scope]) -> (String, String) {
        let actions: serde_json::Map<_, _> = scopes.iter().map(|scope| (scope.as_str().into(), true.into())).collect();
        let body = json!({ "session": tenant, "isAdmin": false, "isActive": true, "actions": actions });
        self.key_as(body).await
    }

    async fn key_as(&self, body: Value) -> (String, String) {
        let answer = self.stage.dashboard.post("/api/keys", body).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }

    async fn ask(&self, method: &str, path: &str, credential: Option<&str>, body: &Value) -> Response {
        let url = format!("http://{}{path}", self.stage.setup.address);
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url).timeout(LIMIT);
        if let Some(credential) = credential {
            request = request.bearer_auth(credential);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    async fn stop(self) {
        self.daemon.kill().await.unwrap();
    }
}

fn about(text: &str, tenant: &str, key: &str) -> String {
    text.replace("$T", tenant).replace("$K", key)
}

/// Status, kind of the body, and the body.
async fn taken_apart(answer: Response) -> (u16, String, Value) {
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), kind, answer.json().await.unwrap_or(Value::Null))
}

/// Everything but what it asks for.
fn but(scope: Scope) -> Vec<Scope> {
    Scope::ALL.into_iter().filter(|other| *other != scope).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_credential() {
    let house = MatrixHouse::new(|stage| stage).await;
    let (_, admin_key) = house.key_as(json!({ "session": "", "isAdmin": true, "isActive": true })).await;
    let (stranger_token, token) = (house.token(&[OTHER]), house.token(&[TENANT]));
    let wrong = format!("key_{:043}", 0);
    let forged = Signer::new("one").sign(&claims_for("ana", Timestamp::now(), &json!([TENANT])));
    let (_, stranger) = house.key(OTHER, &Scope::ALL).await;
    // So that both are there: what follows must not tell them from one that is not.
    for tenant in [TENANT, OTHER] {
        house.stage.dashboard.qr(tenant).await.unwrap();
    }
    for (method, path, asked, body, who) in rows() {
        // What is right for a row has no more than the row asks for.
        let (right, lacking) = match who {
            Of(scope) => (house.key(TENANT, &[scope]).await.1, house.key(TENANT, &but(scope)).await.1),
            Watcher => {
                let metrics = house.key_as(json!({ "actions": { "metrics": true } })).await.1;
                (metrics, house.key(TENANT, &Scope::ALL).await.1)
            }
            _ => (house.key(TENANT, &Scope::ALL).await.1, house.key(TENANT, &[Scope::Read]).await.1),
        };
        let (everybody, operator) = (who == Everybody, who == Operator);
        let within = !operator;
        let cases: [(&str, Option<&str>, u16); 12] = [
            ("no credential", None, 401),
            ("an empty one", Some(""), 401),
            ("a wrong key", Some(&wrong), 401),
            ("nonsense", Some("nonsense"), 401),
            ("a forged token", Some(&forged), 401),
            ("another tenant's key", Some(&stranger), if who == Each { 0 } else { 403 }),
            ("another tenant's token", Some(&stranger_token), if who == Each { 0 } else { 403 }),
            ("a key without the scope", Some(&lacking), if who == Each { 0 } else { 403 }),
            ("the right key", Some(&right), if within { 0 } else { 403 }),
            ("a token of the tenant", Some(&token), if within && who != Watcher { 0 } else { 403 }),
            ("a key of the operator", Some(&admin_key), 0),
            ("the operator's key", Some(&house.stage.setup.admin_key), 0),
        ];
        for (what, credential, refused) in cases {
            let (id, _) =
                if path.contains("/keys/") { house.key(TENANT, &[Scope::Read]).await } else { Default::default() };
            let ask = async |tenant: &str| {
                let body: Value = serde_json::from_str(&about(&body.to_string(), tenant, &id)).unwrap();
                taken_apart(house.ask(method, &about(asked, tenant, &id), credential, &body).await).await
            };
            let (status, kind, answer) = ask(TENANT).await;
            let case = format!("{method} {path} with {what}: {status} {answer}");
            if refused == 0 || everybody {
                // 501: it is nobody's.
                assert!(![401, 403, 405, 429].contains(&status) && (status < 500 || status == 501), "{case}");
            } else {
                assert_eq!(status, refused, "{case}");
                let code = if refused == 401 { "unauthorized" } else { "forbidden" };
                assert_eq!((kind.as_str(), &answer["code"]), ("application/problem+json", &json!(code)), "{case}");
                assert!(!answer.to_string().contains(TENANT), "{case}");
                let elsewhere = ask(NOBODY).await;
                assert_eq!(elsewhere.0, status, "{case}");
                if credential != Some(&lacking) {
                    assert_eq!(elsewhere, (status, kind, answer.clone()), "a tenant's existence shows: {case}");
                }
            }
            if who == Each && ["another tenant's key", "another tenant's token"].contains(&what) {
                assert!(!answer.to_string().contains(TENANT), "{case}");
            }
        }
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_open_opens_the_old_contract_and_nothing_else() {
    let house = MatrixHouse::new(|stage| stage.set("SESSIOND_AUTH__LEGACY_OPEN", "true")).await;
    assert!(house.stage.log().contains("auth.legacy_open"), "said at the start");
    let routes = api::routes();
    let wrong = format!("key_{:043}", 0);
    for (method, path, asked, body, _) in rows() {
        let access = routes.iter().find(|route| route.method.as_str() == method && route.path == path).unwrap().access;
        let body: Value = serde_json::from_str(&about(&body.to_string(), TENANT, "key_id_x")).unwrap();
        let asked = about(asked, TENANT, "key_id_x");
        let open = house.ask(method, &asked, None, &body).await.status().as_u16();
        let old = path.starts_with("/api/baileys/") || path.starts_with("/api/tenant") || path == "/api/stats";
        assert_eq!(access == Access::Old, old && access != Access::Open, "{path}");
        match access {
            Access::Open | Access::Old => assert!(![401, 403].contains(&open), "{method} {path}: {open}"),
            Access::Keyed | Access::Admin | Access::Metrics => assert_eq!(open, 401, "{method} {path}"),
        }
        if access != Access::Open {
            // Whoever has a key wants to know that it is none.
            assert_eq!(house.ask(method, &asked, Some(&wrong), &body).await.status(), 401, "{method} {path}");
        }
    }
    // A page anywhere on the web could post a form, and nobody would be asked before: that needs a key.
    let form = format!("tenantId={TENANT}");
    for (key, status) in [(None, 415), (Some(&house.stage.setup.admin_key), 200)] {
        let url = format!("http://{}/api/baileys/clean-session", house.stage.setup.address);
        let request = reqwest::Client::new().post(url).header("content-type", "application/x-www-form-urlencoded");
        let request = key.into_iter().fold(request, |request, key| request.header("x-api-key", key));
        assert_eq!(request.body(form.clone()).send().await.unwrap().status(), status, "{key:?}");
    }
    let health = taken_apart(house.ask("GET", "/health", Some(&house.stage.setup.admin_key), &Value::Null).await).await;
    assert!(health.2["warnings"][0].as_str().unwrap().contains("auth.legacy_open"), "{health:?}");
    let health = taken_apart(house.ask("GET", "/health", None, &Value::Null).await).await;
    assert_eq!(health.2["warnings"], Value::Null);
    if let Some(folder) = program("socketio") {
        let url = format!("http://{}", house.stage.setup.address);
        let mut page = Script::start(&folder, &["client.mjs", &url, "", TENANT]);
        page.line(LIMIT, |line| line["event"] == "registered").await;
    }
    house.stop().await;
}

/// What a page is told that connects with this and registers for the tenant.
async fn heard(page: &mut Script) -> String {
    let line = page.line(LIMIT, |line| {
        let event = line["event"].as_str().unwrap();
        ["connect_error", "error", "registered"].contains(&event)
    });
    let line = line.await;
    match line["event"].as_str().unwrap() {
        "connect_error" => line["payload"].as_str().unwrap().split(':').next().unwrap().to_owned(),
        "error" => line["payload"]["code"].as_str().unwrap().to_owned(),
        event => event.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_with_every_credential() {
    let Some(folder) = program("socketio") else { return };
    let house = MatrixHouse::new(|stage| stage).await;
    house.stage.dashboard.qr(TENANT).await.unwrap();
    let url = format!("http://{}", house.stage.setup.address);
    for (_, scope) in EVENTS {
        let (_, right) = house.key(TENANT, &[*scope]).await;
        let (_, lacking) = house.key(TENANT, &but(*scope)).await;
        let (_, stranger) = house.key(OTHER, &Scope::ALL).await;
        let (_, admin_key) = house.key_as(json!({ "session": "", "isAdmin": true })).await;
        let cases = [
            ("no credential", "", "unauthorized"),
            ("a wrong key", &format!("key_{:043}", 0), "unauthorized"),
            (
                "a forged token",
                &Signer::new("one").sign(&claims_for("a", Timestamp::now(), &json!([TENANT]))),
                "unauthorized",
            ),
            ("another tenant's key", &stranger, "forbidden"),
            ("another tenant's token", &house.token(&[OTHER]), "forbidden"),
            ("a key without the scope", &lacking, "forbidden"),
            ("the right key", &right, "registered"),
            ("a token of the tenant", &house.token(&[TENANT]), "registered"),
            ("a key of the operator", &admin_key, "registered"),
            ("the operator's key", &house.stage.setup.admin_key, "registered"),
        ];
        for (what, credential, expected) in cases {
            // The same for a tenant that is not there as for another's; the operator alone is told that there is none.
            let elsewhere = match expected {
                "registered" if what.contains("operator") => "unknown_tenant",
                "registered" => "forbidden",
                expected => expected,
            };
            for (tenant, expected) in [(TENANT, expected), (NOBODY, elsewhere)] {
                let mut page = Script::start(&folder, &["client.mjs", &url, credential, tenant, "-", "websocket"]);
                assert_eq!(heard(&mut page).await, expected, "{what}, {tenant}");
            }
        }
    }
    house.stop().await;
}

/// What a socket is told takes the scope that the same costs over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_not_told_the_qr_code() {
    let house = MatrixHouse::new(|stage| stage).await;
    house.stage.dashboard.qr(TENANT).await.unwrap();
    let address = house.stage.setup.address;
    let (_, reader) = house.key(TENANT, &[Scope::Read, Scope::Send]).await;
    let (_, owner) = house.key(TENANT, &[Scope::Read, Scope::Control]).await;
    let told = |heard: &[Heard], event: &str| heard.iter().filter(|heard| heard.event == event).count();
    let [reader, owner] = [reader, owner].map(|key| Ear::open(&Dashboard::new(address, key), vec![TENANT.to_owned()]));
    reader.until(LIMIT, |heard| told(heard, "connection:status") > 0).await.unwrap();
    owner.until(LIMIT, |heard| told(heard, "qr:updated") > 0).await.unwrap();
    // What comes after the next code has come after it for both.
    house.stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    house.stage.dashboard.qr(TENANT).await.unwrap();
    owner.until(LIMIT, |heard| told(heard, "qr:updated") > 1).await.unwrap();
    house.stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    let states = |heard: &[Heard]| told(heard, "connection:status");
    owner.until(LIMIT, |heard| states(heard) > 2).await.unwrap();
    reader.until(LIMIT, |heard| states(heard) > 2).await.unwrap();
    assert_eq!(told(&reader.heard(), "qr:updated"), 0);
    // As over HTTP.
    let (_, reader) = house.key(TENANT, &[Scope::Read, Scope::Send]).await;
    let path = format!("/api/baileys/qr?tenantId={TENANT}");
    assert_eq!(house.ask("GET", &path, Some(&reader), &Value::Null).await.status(), 403);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_key_or_its_token() {
    let Some(folder) = program("socketio") else { return };
    let house = MatrixHouse::new(|stage| stage).await;
    house.stage.dashboard.qr(TENANT).await.unwrap();
    let url = format!("http://{}", house.stage.setup.address);
    let (id, key) = house.key(TENANT, &[Scope::Read]).await;
    let (changed, changed_key) = house.key(TENANT, &[Scope::Read]).await;
    let (_, kept) = house.key(TENANT, &[Scope::Read]).await;
    // Clocks may be half a minute apart: it ends in twenty seconds, when the machine has got all pages in.
    let mut brief = claims_for("ana", Timestamp::now(), &json!([TENANT]));
    brief["exp"] = json!(Timestamp::now().as_second() - 10);
    let brief = house.signer.sign(&brief);
    let mut pages = Vec::new();
    for credential in [&brief, &key, &changed_key, &kept] {
        for transport in ["websocket", "polling"] {
            let mut page = Script::start(&folder, &["client.mjs", &url, credential, TENANT, "-", transport]);
            page.line(LIMIT, |line| line["event"] == "registered").await;
            pages.push(page);
        }
    }
    house.stage.dashboard.delete(&format!("/api/keys/{id}")).await.unwrap();
    // By another process, as this one sees it: in the vault alone.
    let vault = sessiond::vault::embedded::Embedded::open(&house.stage.path("cloud/vault.db")).unwrap();
    let record = vault.key(&KeyHash::of(&changed_key)).await.unwrap().unwrap();
    assert_eq!(*record.id, *changed);
    assert!(vault.revoke_key(&record.hash, None).await.unwrap());
    let kept = pages.split_off(6);
    for mut page in pages {
        let told = page.line(LIMIT, |line| line["event"] == "error").await;
        assert_eq!(told["payload"]["code"], json!("unauthorized"));
        let ended = page.line(LIMIT, |line| line["event"] == "disconnect").await;
        assert_eq!(ended["payload"], json!("io server disconnect"));
    }
    // The others are still there, and hear what happens.
    house.stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    for mut page in kept {
        page.line(LIMIT, |line| line["event"] == "connection:status" && line["payload"]["status"] == "disconnected")
            .await;
    }
    house.stop().await;
}
