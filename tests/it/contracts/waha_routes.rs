//! WAHA's other routes: each is there; and its real client does with it what its documentation says, as seen from the other side.

mod channels;
mod chats;
mod groups;
mod people;
mod sessions;

use std::time::Duration;

use serde_json::{Value, json};
use sessiond::demo::Dashboard;

use crate::{
    contracts::waha::WahaScene,
    support::stage::{Home, LIMIT, Stage},
};

/// WAHA's routes as its document of 2026.9 has them, without those of a browser, of apps and for debugging.
const ROUTES: &str = "
GET /api/{session}/auth/qr
POST /api/{session}/auth/request-code
GET /api/{session}/auth/passkey/challenge
POST /api/{session}/auth/passkey
GET /api/{session}/auth/passkey/confirmation
POST /api/{session}/auth/passkey/confirm
POST GET /api/keys
POST /api/keys/media
POST /api/keys/control
PUT DELETE /api/keys/{keyId}
GET POST /api/sessions
GET PUT DELETE /api/sessions/{session}
GET /api/sessions/{session}/me
GET /api/sessions/{session}/capping
GET /api/sessions/{session}/timelock
POST /api/sessions/{session}/start
POST /api/sessions/{session}/stop
POST /api/sessions/{session}/logout
POST /api/sessions/{session}/restart
POST /api/sessions/start
POST /api/sessions/stop
POST /api/sessions/logout
GET /api/{session}/profile
PUT /api/{session}/profile/name
PUT /api/{session}/profile/status
PUT DELETE /api/{session}/profile/picture
POST GET /api/sendText
POST /api/sendImage
POST /api/sendFile
POST /api/sendVoice
POST /api/sendVideo
POST /api/sendSticker
POST /api/send/link-custom-preview
POST /api/sendButtons
POST /api/sendList
POST /api/forwardMessage
POST /api/sendSeen
POST /api/startTyping
POST /api/stopTyping
PUT /api/reaction
PUT /api/star
POST /api/sendPoll
POST /api/sendPollVote
POST /api/sendLocation
POST /api/sendContactVcard
POST /api/send/buttons/reply
GET /api/messages
GET /api/checkNumberStatus
POST /api/reply
POST /api/sendLinkPreview
GET /api/{session}/new-message-id
GET /api/{session}/chats
GET POST /api/{session}/chats/overview
DELETE /api/{session}/chats/{chatId}
GET /api/{session}/chats/{chatId}/picture
GET DELETE /api/{session}/chats/{chatId}/messages
POST /api/{session}/chats/{chatId}/messages/read
GET DELETE PUT /api/{session}/chats/{chatId}/messages/{messageId}
POST /api/{session}/chats/{chatId}/messages/{messageId}/pin
POST /api/{session}/chats/{chatId}/messages/{messageId}/unpin
POST /api/{session}/chats/{chatId}/archive
POST /api/{session}/chats/{chatId}/unarchive
POST /api/{session}/chats/{chatId}/unread
POST /api/{session}/calls/reject
GET POST /api/{session}/channels
DELETE GET /api/{session}/channels/{channelId}
GET /api/{session}/channels/{channelId}/messages/preview
POST /api/{session}/channels/{channelId}/follow
POST /api/{session}/channels/{channelId}/unfollow
POST /api/{session}/channels/{channelId}/mute
POST /api/{session}/channels/{channelId}/unmute
POST /api/{session}/channels/search/by-view
POST /api/{session}/channels/search/by-text
GET /api/{session}/channels/search/views
GET /api/{session}/channels/search/countries
GET /api/{session}/channels/search/categories
POST /api/{session}/status/text
POST /api/{session}/status/image
POST /api/{session}/status/voice
POST /api/{session}/status/video
POST /api/{session}/status/delete
GET /api/{session}/status/new-message-id
GET POST /api/{session}/labels
PUT DELETE /api/{session}/labels/{labelId}
GET PUT /api/{session}/labels/chats/{chatId}
GET /api/{session}/labels/{labelId}/chats
GET /api/contacts/all
GET /api/contacts
GET /api/contacts/check-exists
GET /api/contacts/about
GET /api/contacts/profile-picture
POST /api/contacts/block
POST /api/contacts/unblock
GET PUT /api/{session}/contacts/{chatId}
GET /api/{session}/lids
GET /api/{session}/lids/count
GET /api/{session}/lids/{lid}
GET /api/{session}/lids/pn/{phoneNumber}
POST GET /api/{session}/groups
GET /api/{session}/groups/join-info
POST /api/{session}/groups/join
GET /api/{session}/groups/count
POST /api/{session}/groups/refresh
GET DELETE /api/{session}/groups/{groupId}
POST /api/{session}/groups/{groupId}/leave
GET PUT DELETE /api/{session}/groups/{groupId}/picture
PUT /api/{session}/groups/{groupId}/description
PUT /api/{session}/groups/{groupId}/subject
PUT GET /api/{session}/groups/{groupId}/settings/security/info-admin-only
PUT GET /api/{session}/groups/{groupId}/settings/security/messages-admin-only
PUT GET /api/{session}/groups/{groupId}/settings/security/member-add-mode
PUT GET /api/{session}/groups/{groupId}/settings/security/member-share-history-mode
PUT GET /api/{session}/groups/{groupId}/settings/security/membership-approval
GET /api/{session}/groups/{groupId}/participants/join-requests
POST /api/{session}/groups/{groupId}/participants/join-requests/approve
POST /api/{session}/groups/{groupId}/participants/join-requests/reject
GET /api/{session}/groups/{groupId}/invite-code
POST /api/{session}/groups/{groupId}/invite-code/revoke
GET /api/{session}/groups/{groupId}/participants
GET /api/{session}/groups/{groupId}/participants/v2
POST /api/{session}/groups/{groupId}/participants/add
POST /api/{session}/groups/{groupId}/participants/remove
POST /api/{session}/groups/{groupId}/admin/promote
POST /api/{session}/groups/{groupId}/admin/demote
POST GET /api/{session}/presence
GET /api/{session}/presence/{chatId}
POST /api/{session}/presence/{chatId}/subscribe
POST /api/{session}/events
GET /ping
GET /health
GET /api/server/version
GET /api/server/environment
GET /api/server/status
POST /api/server/stop
GET /api/version
POST /api/{session}/media/convert/voice
POST /api/{session}/media/convert/video
";

/// Method and path of each.
fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.lines().filter(|line| !line.is_empty()).flat_map(|line| {
        let (methods, path) = line.rsplit_once(' ').unwrap();
        methods.split(' ').map(move |method| (method, path))
    })
}

async fn ask(stage: &Stage, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = reqwest::Client::new()
        .request(method, format!("http://{}{path}", stage.setup.address))
        .header("X-Api-Key", &stage.setup.admin_key)
        .json(body);
    let response = request.send().await.unwrap();
    let kind =
        response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    (response.status().as_u16(), kind, response.json().await.unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_wahas_is_there() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let operator = Dashboard::new(stage.setup.address, &stage.setup.admin_key);
    operator.post("/api/sessions", json!({ "name": "trattoria", "start": false })).await.unwrap();
    let mut count = 0;
    for (method, path) in routes() {
        count += 1;
        let asked = path
            .replace("{session}", "trattoria")
            .replace("{chatId}", "573001112233@c.us")
            .replace("{messageId}", "false_573001112233@c.us_3EB0AAAAAAAA")
            .replace("{groupId}", "120363000000000001@g.us")
            .replace("{channelId}", "120363000000000001@newsletter")
            .replace("{labelId}", "1")
            .replace("{keyId}", "key_id_none")
            .replace("{lid}", "99887766")
            .replace("{phoneNumber}", "573001112233");
        let (status, kind, answer) = ask(&stage, method, &asked, &json!({ "session": "trattoria" })).await;
        let case = format!("{method} {path}: {status} {answer}");
        assert_ne!((status, &answer["code"]), (404, &json!("not_found")), "{case}");
        assert_ne!(status, 405, "{case}");
        assert!(status < 500 || status == 501, "{case}");
        if status == 501 {
            assert_eq!(kind, "application/problem+json", "{case}");
            assert!(answer["detail"].as_str().is_some_and(|reason| reason.len() > 20), "{case}");
        }
    }
    assert_eq!(count, 164);
    let (status, _, answer) = ask(&stage, "GET", "/api/trattoria/no-such", &Value::Null).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not_found")), "the test can tell");
    daemon.kill().await.unwrap();
}

/// Waits until the client's answer is as it should be.
async fn answers(
    scene: &mut WahaScene,
    method: &str,
    arguments: Value,
    model: &str,
    enough: impl Fn(&Value) -> bool,
) -> Value {
    let began = tokio::time::Instant::now();
    loop {
        let answer = scene.waha.get_as(method, arguments.clone(), model).await;
        if enough(&answer) {
            return answer;
        }
        assert!(began.elapsed() < LIMIT, "{method}: {answer}\n{}", scene.stage.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl WahaScene {
    /// The customer writes, and the tenant has it: WAHA's id of it.
    async fn hears(&mut self, text: &str) -> String {
        self.stage.network.customer_send(&self.customer, &self.number, text).await.unwrap();
        let arguments = json!(["trattoria", self.chat(), { "limit": 1 }]);
        let came =
            answers(self, "chats.get_chat_messages", arguments, "[WAMessage]", |got| got[0]["body"] == json!(text));
        came.await[0]["id"].as_str().unwrap().to_owned()
    }

    /// What the phone has set for something, by the setting's name.
    async fn setting(&self, index: &str) -> Value {
        self.stage.network.settings(&self.number).await.unwrap().get(index).cloned().unwrap_or_default()
    }

    async fn refused(&mut self, method: &str, arguments: Value, status: &str) {
        let error = self.waha.call(method, arguments).await.expect_err(method);
        assert!(error.contains(status), "{method}: {error}");
    }
}
