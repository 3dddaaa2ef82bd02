//! WAHA's other routes: each is there; and its real client does with it what its documentation says, as seen from the other side.

use std::time::Duration;

use loopback::{ChatState, GroupRules, Rank, Setting};
use serde_json::{Value, json};
use sessiond::demo::{Dashboard, until};

use crate::{
    contracts::waha::{Scene, paired},
    messages::media::{base64, file, picture},
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
    scene: &mut Scene,
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

impl Scene {
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_a_chat_shows_on_the_phone() {
    let Some(mut scene) = paired().await else { return };
    let jid = format!("{}@s.whatsapp.net", scene.customer);
    let first = scene.hears("a table?").await;
    let bare = first.rsplit('_').next().unwrap().to_owned();
    let chat = json!(["trattoria", scene.chat()]);

    scene.waha.get_as("chats.archive_chat", chat.clone(), "Result").await;
    let archived = scene.setting(&format!("archive {jid}")).await;
    assert_eq!(archived["archive_chat_action"]["archived"], json!(true), "{archived}");
    let range = &archived["archive_chat_action"]["message_range"];
    assert_eq!(range["messages"][0]["key"]["id"], json!(bare), "{archived}");
    scene.waha.get("chats.unarchive_chat", chat.clone()).await;
    assert_eq!(scene.setting(&format!("archive {jid}")).await["archive_chat_action"]["archived"], json!(false));
    scene.waha.get("chats.unread_chat", chat.clone()).await;
    let read = scene.setting(&format!("markChatAsRead {jid}")).await;
    assert_eq!(read["mark_chat_as_read_action"]["read"], json!(false), "{read}");

    let star = json!([{ "session": "trattoria", "chatId": scene.chat(), "messageId": first, "star": true }]);
    scene.waha.get("chatting.set_star", star).await;
    let starred = scene.setting(&format!("star {jid} {bare} 0 0")).await;
    assert_eq!(starred["star_action"]["starred"], json!(true), "{starred}");

    let read = scene.waha.get_as("chats.read_chat_messages", chat.clone(), "ReadChatMessagesResponse").await;
    assert_eq!(read["ids"], json!([first]));
    let seen = || async {
        let wrote = scene.stage.network.messages(Some(&scene.customer)).await.unwrap();
        wrote.iter().any(|message| message.id == bare && !message.read.is_empty())
    };
    until(LIMIT, "the customer sees that it was read", seen).await.unwrap();

    // Cleared: nobody is shown it any more; what comes later is.
    scene.waha.get("chats.clear_messages", chat.clone()).await;
    assert!(scene.setting(&format!("clearChat {jid} 1 1")).await.is_object());
    let shown = scene.waha.get("chats.get_chat_messages", json!(["trattoria", scene.chat(), {}])).await;
    assert_eq!(shown, json!([]));
    scene.hears("anybody there?").await;
    let shown = scene.waha.get("chats.get_chat_messages", json!(["trattoria", scene.chat(), {}])).await;
    assert_eq!(shown.as_array().unwrap().len(), 1);
    scene.waha.get("chats.delete_chat", chat.clone()).await;
    assert!(scene.setting(&format!("deleteChat {jid} 1")).await.is_object());
    assert_eq!(scene.waha.get("chats.get_chats", json!(["trattoria"])).await, json!([]));

    // A new process, with nothing of it on the disk: still hidden; and it finds what version the settings have.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "the restart", || scene.stage.dashboard.is_connected("trattoria")).await.unwrap();
    assert_eq!(scene.waha.get("chats.get_chats", json!(["trattoria"])).await, json!([]));
    scene.waha.get("chats.archive_chat", chat.clone()).await;
    assert_eq!(scene.setting(&format!("archive {jid}")).await["archive_chat_action"]["archived"], json!(true));

    scene.refused("chats.archive_chat", json!(["trattoria", "nobody"]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_passed_on_pinned_and_invite() {
    let Some(mut scene) = paired().await else { return };
    let first = scene.hears("pizza is good").await;
    let other = scene.stage.network.add_customer().await;
    let id = scene.waha.get_as("chatting.get_new_message_id", json!(["trattoria"]), "NewMessageIDResponse").await;
    let forward = json!([{
        "session": "trattoria", "chatId": format!("{other}@c.us"), "messageId": first, "id": id["id"],
    }]);
    let forwarded = scene.waha.get_as("chatting.forward_message", forward.clone(), "WAMessage").await;
    assert!(forwarded["id"].as_str().unwrap().ends_with(id["id"].as_str().unwrap()));
    let arrived = scene.arrived_at(&other, &forwarded).await;
    assert_eq!(arrived.text.as_deref(), Some("pizza is good"));
    assert_eq!(arrived.fields.pointer("/context_info/is_forwarded"), Some(&json!(true)), "{:?}", arrived.fields);
    // Again under its id: the same.
    assert_eq!(scene.waha.get("chatting.forward_message", forward).await["id"], forwarded["id"]);
    let unknown = json!([{
        "session": "trattoria", "chatId": scene.chat(), "messageId": format!("false_{}_3EB0NONE", scene.chat()),
    }]);
    scene.refused("chatting.forward_message", unknown, "404").await;

    let kinds = async |scene: &Scene| {
        let inbox = scene.stage.network.customer_inbox(&scene.customer).await.unwrap();
        inbox.into_iter().map(|message| message.kind).collect::<Vec<_>>()
    };
    // As waha-py's models write it.
    let message = json!(["trattoria", scene.chat(), first, { "duration": 86400.0 }]);
    scene.waha.get("chats.pin_message", message).await;
    until(LIMIT, "the pin", || async { kinds(&scene).await == ["pin_in_chat"] }).await.unwrap();
    let pinned = scene.stage.network.customer_inbox(&scene.customer).await.unwrap().remove(0);
    assert_eq!(pinned.fields.pointer("/key/id"), Some(&json!(first.rsplit('_').next())), "{:?}", pinned.fields);
    scene.waha.get("chats.unpin_message", json!(["trattoria", scene.chat(), first])).await;
    until(LIMIT, "the end of the pin", || async { kinds(&scene).await.len() == 2 }).await.unwrap();
    let wrong = json!(["trattoria", scene.chat(), first, { "duration": 5 }]);
    scene.refused("chats.pin_message", wrong, "400").await;

    let event = json!({
        "name": "Tasting", "description": "six wines", "startTime": 1_900_000_000.0, "endTime": 1_900_007_200.0,
        "location": { "name": "La Trattoria" }, "extraGuestsAllowed": true,
    });
    let event = json!(["trattoria", { "chatId": scene.chat(), "event": event }]);
    let sent = scene.waha.get_as("events.send_event", event, "WAMessage").await;
    let arrived = scene.arrived(&sent).await;
    assert_eq!(arrived.kind, "event");
    assert_eq!(
        (&arrived.fields["name"], &arrived.fields["location"]["name"]),
        (&json!("Tasting"), &json!("La Trattoria"))
    );
    let text = json!([{ "session": "trattoria", "phone": scene.customer, "text": "by query" }]);
    let text = scene.waha.get_as("chatting.send_text_get", text, "WAMessage").await;
    assert_eq!(scene.arrived(&text).await.text.as_deref(), Some("by query"));
    let overview = json!(["trattoria", { "pagination": { "limit": 5.0 }, "filter": { "ids": [scene.chat()] } }]);
    let overview = scene.waha.get_as("chats.post_chats_overview", overview, "[ChatSummary]").await;
    assert_eq!((overview.as_array().unwrap().len(), &overview[0]["id"]), (1, &json!(scene.chat())));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_the_order_and_the_messages_that_are_asked_for() {
    let Some(mut scene) = paired().await else { return };
    for text in ["one", "two", "three"] {
        scene.hears(text).await;
    }
    let sent = json!([{ "session": "trattoria", "chatId": scene.chat(), "text": "four" }]);
    let sent = scene.waha.get_as("chatting.send_text", sent, "WAMessage").await;
    scene.arrived(&sent).await;
    let other = scene.stage.network.add_customer().await;
    scene.stage.network.customer_send(&other, &scene.number, "zero").await.unwrap();
    let everything = json!(["trattoria", "all", {}]);
    let everything = answers(&mut scene, "chats.get_chat_messages", everything, "[WAMessage]", |got| {
        got[0]["body"] == json!("zero")
    });
    assert_eq!(bodies(&everything.await), ["zero", "four", "three", "two", "one"]);

    let chat = scene.chat();
    let list = async |scene: &mut Scene, query: &str| {
        let path = format!("/api/trattoria/chats/{chat}/messages?{query}");
        scene.stage.dashboard.get(&path).await.unwrap().body
    };
    let newest = list(&mut scene, "limit=1").await[0]["timestamp"].as_i64().unwrap();
    let later = newest + 1;
    for (query, expected) in [
        ("sortBy=timestamp&sortOrder=desc&limit=2", &["four", "three"] as &[_]),
        ("sortBy=messageTimestamp&sortOrder=asc", &["one", "two", "three", "four"]),
        ("sortOrder=asc&limit=2", &["one", "two"]),
        ("sortOrder=asc&limit=2&offset=1", &["two", "three"]),
        ("sortOrder=asc&offset=4", &[]),
        ("filter.fromMe=true", &["four"]),
        ("filter.fromMe=false&sortOrder=asc&offset=1", &["two", "three"]),
        ("filter.timestamp.lte=1000000000", &[]),
        (&format!("filter.timestamp.lte={newest}&limit=1"), &["four"]),
        (&format!("filter.timestamp.gte={later}"), &[]),
        ("filter.ack=2&filter.fromMe=false&limit=1", &["three"]),
        ("filter.ack=-1", &[]),
        ("filter.ack=DEVICE&filter.fromMe=false&limit=1", &["three"]),
        ("filter.ack=ERROR", &[]),
    ] {
        assert_eq!(bodies(&list(&mut scene, query).await), expected, "{query}");
    }
    // Where the chat is named, WhatsApp's own id of the message is enough.
    let whole = list(&mut scene, "limit=1").await[0]["id"].as_str().unwrap().to_owned();
    let bare = whole.rsplit('_').next().unwrap();
    for id in [&*whole, bare] {
        let path = format!("/api/trattoria/chats/{chat}/messages/{id}");
        assert_eq!(scene.stage.dashboard.get(&path).await.unwrap().body["body"], json!("four"), "{id}");
    }
    for wrong in ["filter.ack=9", "filter.ack=read", "filter.fromMe=maybe", "sortOrder=up", "sortBy=size"] {
        let problem = list(&mut scene, wrong).await;
        let field = wrong.split('=').next().unwrap();
        assert_eq!(
            (&problem["code"], &problem["errors"][0]["field"]),
            (&json!("invalid_input"), &json!(field)),
            "{wrong}"
        );
    }

    let other = format!("{other}@c.us");
    for (query, expected) in [
        ("", [&other, &chat] as [&str; 2]),
        ("sortBy=conversationTimestamp&sortOrder=asc", [&chat, &other]),
        ("sortBy=id&sortOrder=asc", if chat < other { [&chat, &other] } else { [&other, &chat] }),
        ("sortBy=id", if chat < other { [&other, &chat] } else { [&chat, &other] }),
    ] {
        for of in ["chats", "chats/overview"] {
            let found = scene.stage.dashboard.get(&format!("/api/trattoria/{of}?{query}")).await.unwrap().body;
            let ids: Vec<_> = found.as_array().unwrap().iter().map(|chat| chat["id"].as_str().unwrap()).collect();
            assert_eq!(ids, expected, "{of} {query}");
        }
    }
    for (query, expected) in
        [(format!("ids={other}"), 1), (format!("ids={other}&ids={chat}"), 2), (format!("ids={other},{chat}"), 2)]
    {
        let found = scene.stage.dashboard.get(&format!("/api/trattoria/chats/overview?{query}")).await.unwrap().body;
        assert_eq!(found.as_array().unwrap().len(), expected, "{query}");
    }
    scene.daemon.kill().await.unwrap();
}

fn bodies(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|message| message["body"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_known_by_what_they_show_and_as_the_tenant_saved_them() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let (customer, chat) = (scene.customer.clone(), scene.chat());
    let lid = network.phone(&customer).await.unwrap().lid;
    let about = json!([{ "session": "trattoria", "contactId": chat }]);
    let person = |name: &str| Setting::Person { number: customer.clone(), name: name.into(), first: "Ana".into() };
    network.phone_sets(&scene.number, &person("Ana López")).await.unwrap();
    let found = answers(&mut scene, "contacts.get", about.clone(), "", |found| found["name"] == json!("Ana López"));
    let found = found.await;
    assert_eq!((&found["id"], &found["shortName"], &found["isMyContact"]), (&json!(chat), &json!("Ana"), &json!(true)));
    assert_eq!(found["isBlocked"], json!(false));
    scene.hears("hello").await;
    let all = scene.waha.get("contacts.get_all", json!([{ "session": "trattoria", "limit": 10 }])).await;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["name"]), (1, &json!("Ana López")));
    assert!(all[0]["pushname"].as_str().unwrap().starts_with("Customer"), "{all}");

    let exists = async |scene: &mut Scene, phone: &str| {
        let phone = json!([{ "session": "trattoria", "phone": phone }]);
        scene.waha.get_as("contacts.check_exists", phone, "WANumberExistResult").await
    };
    assert_eq!(exists(&mut scene, &customer).await["chatId"], json!(chat));
    assert_eq!(exists(&mut scene, "+49 151 99999999").await["numberExists"], json!(false));

    assert_eq!(scene.waha.get("contacts.get_about", about.clone()).await["about"], Value::Null);
    let picture = about.clone();
    assert_eq!(scene.waha.get("contacts.get_profile_picture", picture.clone()).await["profilePictureURL"], Value::Null);
    network.set_profile(&customer, Some("Hungry".into()), Some(b"\xFF\xD8\xFFface".to_vec())).await.unwrap();
    assert_eq!(scene.waha.get("contacts.get_about", about.clone()).await["about"], json!("Hungry"));
    let url = network.profile(&customer).await.unwrap().picture;
    assert_eq!(scene.waha.get("contacts.get_profile_picture", picture).await["profilePictureURL"], json!(url));
    let picture = scene.waha.get_as("chats.get_chat_picture", json!(["trattoria", chat]), "ChatPictureResponse").await;
    assert_eq!(picture["url"], json!(url));

    // Both names.
    let names = scene.waha.get_as("lids.find_lid_by_phone_number", json!(["trattoria", customer]), "LidToPhoneNumber");
    assert_eq!(names.await, json!({ "lid": lid, "pn": chat }));
    let names = scene.waha.get_as("lids.find_pn_by_lid", json!(["trattoria", lid]), "LidToPhoneNumber").await;
    assert_eq!(names["pn"], json!(chat));
    let all = scene.waha.get_as("lids.get_all", json!(["trattoria"]), "[LidToPhoneNumber]").await;
    assert!(all.as_array().unwrap().contains(&names), "{all}");
    let count = scene.waha.get_as("lids.get_lids_count", json!(["trattoria"]), "CountResponse").await;
    assert_eq!(count["count"], json!(all.as_array().unwrap().len()));

    // Blocked: what they write does not come.
    scene.waha.get("contacts.block", about.clone()).await;
    assert_eq!(network.blocked(&scene.number).await.unwrap(), std::slice::from_ref(&customer));
    assert_eq!(scene.waha.get("contacts.get", about.clone()).await["isBlocked"], json!(true));
    network.customer_send(&customer, &scene.number, "can you hear me?").await.unwrap();
    scene.waha.get("contacts.unblock", about.clone()).await;
    scene.hears("now?").await;
    let shown = scene.waha.get("chats.get_chat_messages", json!(["trattoria", chat, {}])).await;
    let texts: Vec<_> = shown.as_array().unwrap().iter().map(|message| message["body"].clone()).collect();
    assert_eq!(texts, ["now?", "hello"]);

    let name = json!(["trattoria", chat, { "firstName": "Ana", "lastName": "Pérez" }]);
    scene.waha.get("contacts_session.put", name).await;
    let saved = scene.setting(&format!("contact {customer}@s.whatsapp.net")).await;
    assert_eq!(saved["contact_action"]["full_name"], json!("Ana Pérez"), "{saved}");
    let one = scene.waha.get("contacts_session.get", json!(["trattoria", chat])).await;
    assert_eq!(one["name"], json!("Ana Pérez"));

    // After a restart with an empty disk it is all there.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    assert_eq!(scene.waha.get("contacts.get", about.clone()).await["name"], json!("Ana Pérez"));
    scene.refused("contacts.get", json!([{ "session": "trattoria", "contactId": "1203@g.us" }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_and_who_types_is_seen_from_both_sides() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let (customer, chat) = (scene.customer.clone(), scene.chat());
    scene.hears("hello").await;
    scene.waha.get("presence.subscribe", json!(["trattoria", chat])).await;
    // Who never wrote is nobody to the customer.
    let text = json!([{ "session": "trattoria", "chatId": chat, "text": "hello" }]);
    let text = scene.waha.get("chatting.send_text", text).await;
    scene.arrived(&text).await;
    let mood = |mood: &'static str| move |got: &Value| got["presences"][0]["lastKnownPresence"] == json!(mood);
    let one = json!(["trattoria", chat]);
    answers(&mut scene, "presence.get_presence", one.clone(), "WAHAChatPresences", mood("offline")).await;
    network.customer_available(&customer, true).await.unwrap();
    answers(&mut scene, "presence.get_presence", one.clone(), "WAHAChatPresences", mood("online")).await;
    network.customer_chat_state(&customer, &scene.number, ChatState::Composing).await.unwrap();
    answers(&mut scene, "presence.get_presence", one.clone(), "WAHAChatPresences", mood("typing")).await;
    let all = scene.waha.get_as("presence.get_presence_all", json!(["trattoria"]), "[WAHAChatPresences]").await;
    assert_eq!(all[0]["id"], json!(chat));

    // The other way; and a reconnect changes nothing of it.
    let sees = async |available: bool| {
        let seen = || async { network.customer_sees(&customer).await.unwrap()[0].available == available };
        until(LIMIT, "what the customer sees", seen).await.unwrap();
    };
    sees(false).await;
    scene.waha.get("presence.set_presence", json!(["trattoria", { "presence": "online" }])).await;
    sees(true).await;
    let logins = network.stats().await.counts.logins;
    scene.waha.get("sessions.restart", json!(["trattoria"])).await;
    let back = || async {
        network.stats().await.counts.logins > logins && scene.stage.dashboard.is_connected("trattoria").await
    };
    until(LIMIT, "the restart", back).await.unwrap();
    sees(true).await;
    network.customer_available(&customer, false).await.unwrap();
    answers(&mut scene, "presence.get_presence", one, "WAHAChatPresences", mood("offline")).await;
    scene.waha.get("presence.set_presence", json!(["trattoria", { "presence": "offline" }])).await;
    sees(false).await;
    let recording = json!(["trattoria", { "presence": "recording", "chatId": chat }]);
    scene.waha.get("presence.set_presence", recording).await;
    let state =
        || async { network.customer_sees(&customer).await.unwrap()[0].chat_state == Some(ChatState::Recording) };
    until(LIMIT, "the recording", state).await.unwrap();
    scene.refused("presence.set_presence", json!(["trattoria", { "presence": "asleep" }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_shows_itself_as_it_wants() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let session = json!(["trattoria"]);
    let profile = scene.waha.get_as("profile.get_my_profile", session.clone(), "MyProfile").await;
    assert_eq!((&profile["name"], &profile["picture"]), (&json!("Trattoria"), &json!("")));
    scene.waha.get_as("profile.set_profile_name", json!(["trattoria", { "name": "Da Gino" }]), "Result").await;
    scene.waha.get_as("profile.set_profile_status", json!(["trattoria", { "status": "Open" }]), "Result").await;
    let jpeg = "/9j/4AAQSkZJRgABAQ==";
    let file = json!(["trattoria", { "file": { "mimetype": "image/jpeg", "data": jpeg } }]);
    scene.waha.get_as("profile.set_profile_picture", file, "Result").await;
    let shown = || async { network.profile(&scene.number).await.unwrap().name == "Da Gino" };
    until(LIMIT, "the name", shown).await.unwrap();
    let seen = network.profile(&scene.number).await.unwrap();
    assert_eq!(seen.about.as_deref(), Some("Open"));
    let profile = scene.waha.get_as("profile.get_my_profile", session.clone(), "MyProfile").await;
    assert_eq!((&profile["name"], &profile["picture"]), (&json!("Da Gino"), &json!(seen.picture.unwrap())));
    assert_eq!(scene.setting("setting_pushName").await["push_name_setting"]["name"], json!("Da Gino"));
    scene.waha.get("profile.delete_profile_picture", session.clone()).await;
    assert_eq!(network.profile(&scene.number).await.unwrap().picture, None);
    // A PNG becomes a JPEG, which is all that WhatsApp takes.
    let png = json!({ "mimetype": "image/png", "data": base64(&picture(800, 600)) });
    scene.waha.get_as("profile.set_profile_picture", json!(["trattoria", { "file": png }]), "Result").await;
    assert!(network.profile(&scene.number).await.unwrap().picture.is_some());
    // No picture, not base64, and an address that nobody outside should make the daemon ask.
    for file in [
        json!({ "data": "aGVsbG8=" }),
        json!({ "data": "?" }),
        json!({ "url": "http://127.0.0.1:1/a.jpg" }),
        json!({ "url": "http://169.254.169.254/" }),
    ] {
        scene.refused("profile.set_profile_picture", json!(["trattoria", { "file": file }]), "400").await;
    }
    let long = "x".repeat(26);
    scene.refused("profile.set_profile_name", json!(["trattoria", { "name": long }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_ruled_and_left_as_its_members_see_it() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let (a, b) = (scene.customer.clone(), network.add_customer().await);
    let id = |number: &str| format!("{number}@c.us");
    // Nobody has the second number.
    let nobody = id("4915999999999");
    let made = json!(["trattoria", { "name": "Regulars", "participants": [{ "id": id(&a) }, { "id": nobody }] }]);
    let made = scene.waha.get_as("groups.create_group", made, "GroupInfo").await;
    assert_eq!(
        (&made["notAdded"], made["participants"].as_array().map(Vec::len)),
        (&json!([nobody]), Some(2)),
        "{made}"
    );
    let group = made["id"].as_str().unwrap().to_owned();
    let info = async || network.group(&group).await.unwrap();
    assert_eq!((info().await.subject.as_str(), info().await.members.len()), ("Regulars", 2));
    let of = |more: Value| {
        let mut arguments = vec![json!("trattoria"), json!(group)];
        arguments.extend(Some(more).filter(|more| !more.is_null()));
        Value::Array(arguments)
    };
    let some = |number: &str| of(json!({ "participants": [{ "id": id(number) }] }));

    let added = scene.waha.get("groups.add_participants", some(&b)).await;
    assert_eq!(added, json!([{ "id": id(&b), "requesterId": id(&b), "success": true, "error": null }]));
    scene.waha.get("groups.promote_to_admin", some(&b)).await;
    assert_eq!(info().await.members[&b], Rank::Admin);
    let members = scene.waha.get_as("groups.get_group_participants", of(Value::Null), "[GroupParticipant]").await;
    let b_now = members.as_array().unwrap().iter().find(|member| member["pn"] == json!(id(&b))).unwrap();
    assert_eq!(b_now["role"], json!("admin"));
    scene.waha.get("groups.demote_to_admin", some(&b)).await;
    scene.waha.get("groups.remove_participants", some(&b)).await;
    assert!(!info().await.members.contains_key(&b));
    let stranger = scene.waha.get("groups.remove_participants", some("4915999999999")).await;
    assert_eq!((&stranger[0]["success"], &stranger[0]["error"]), (&json!(false), &json!(404)));

    scene.waha.get_as("groups.set_subject", of(json!({ "subject": "Best regulars" })), "Result").await;
    scene.waha.get_as("groups.set_description", of(json!({ "description": "who eats most" })), "Result").await;
    scene.waha.get_as("groups.set_description", of(json!({ "description": "who eats more" })), "Result").await;
    assert_eq!(info().await.subject, "Best regulars");
    assert_eq!(info().await.description.as_deref(), Some("who eats more"));
    scene.waha.get("groups.set_description", of(json!({ "description": "" }))).await;
    assert_eq!(info().await.description, None);
    // The client's own order of arguments.
    let file = json!({ "file": { "mimetype": "image/png", "data": base64(&picture(30, 40)) } });
    scene.waha.get_as("groups.set_picture", json!([group, "trattoria", file]), "Result").await;
    let shown = scene.waha.get_as("groups.get_chat_picture", of(Value::Null), "ChatPictureResponse").await;
    assert_eq!(shown["url"], json!(info().await.picture.unwrap()));
    scene.waha.get("groups.delete_picture", json!([group, "trattoria"])).await;
    assert_eq!(info().await.picture, None);

    for (name, field, model, set) in [
        ("info_admin_only", "adminsOnly", "SettingsSecurityChangeInfo", 0),
        ("messages_admin_only", "adminsOnly", "SettingsSecurityChangeInfo", 1),
        ("member_add_mode", "membersCanAddNewMember", "SettingsMemberAddMode", 2),
        ("member_share_history_mode", "membersCanShareHistory", "SettingsMemberShareHistoryMode", 3),
        ("membership_approval_mode", "newMembersApprovalRequired", "SettingsMembershipApproval", 4),
    ] {
        for on in [true, false, true] {
            scene.waha.get_as(&format!("groups.set_{name}"), of(json!({ field: on })), "Result").await;
            let GroupRules { info_by_admins, messages_by_admins, members_add, members_share_history, approval } =
                info().await.rules;
            let rules = [info_by_admins, messages_by_admins, members_add, members_share_history, approval];
            assert_eq!(rules[set], on, "{name}");
            let shown = scene.waha.get_as(&format!("groups.get_{name}"), of(Value::Null), model).await;
            assert_eq!(shown, json!({ field: on }), "{name}");
        }
    }
    assert!(network.customer_send(&a, &group, "may I?").await.is_err(), "only admins write now");
    scene.waha.get("groups.set_messages_admin_only", of(json!({ "adminsOnly": false }))).await;
    network.customer_send(&a, &group, "thanks").await.unwrap();

    // Who comes by the code waits to be let in.
    let code = scene.waha.get("groups.get_invite_code", of(Value::Null)).await;
    assert_eq!(code, json!(info().await.invite));
    network.join_group(&b, code.as_str().unwrap()).await.unwrap();
    let requests = scene.waha.get_as("groups.get_group_join_requests", of(Value::Null), "[GroupJoinRequest]").await;
    assert_eq!((requests.as_array().unwrap().len(), &requests[0]["requesterPn"]), (1, &json!(id(&b))), "{requests}");
    let rejected = scene.waha.get_as("groups.reject_group_join_requests", some(&b), "[GroupJoinRequestResult]").await;
    assert_eq!(rejected[0]["success"], json!(true));
    assert!(info().await.requests.is_empty() && !info().await.members.contains_key(&b));
    network.join_group(&b, code.as_str().unwrap()).await.unwrap();
    scene.waha.get_as("groups.approve_group_join_requests", some(&b), "[GroupJoinRequestResult]").await;
    assert!(info().await.members.contains_key(&b));
    let renewed = scene.waha.get("groups.revoke_invite_code", of(Value::Null)).await;
    assert_ne!(renewed, code);
    assert!(network.join_group(&network.add_customer().await, code.as_str().unwrap()).await.is_err());

    let one = scene.waha.get_as("groups.get_group", of(Value::Null), "GroupInfo").await;
    assert_eq!((&one["subject"], &one["size"]), (&json!("Best regulars"), &json!(3)));
    let all = scene.waha.get_as("groups.get_groups", json!(["trattoria", { "limit": 5 }]), "[GroupInfo]").await;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["id"]), (1, &json!(group)));
    let count = scene.waha.get_as("groups.get_groups_count", json!(["trattoria"]), "CountResponse").await;
    assert_eq!(count["count"], json!(1));
    scene.waha.get("groups.refresh_groups", json!(["trattoria"])).await;
    scene.refused("groups.delete_group", of(Value::Null), "501").await;
    scene.waha.get("groups.leave_group", of(Value::Null)).await;
    assert!(!info().await.members.contains_key(&scene.number));
    scene.refused("groups.get_group", of(Value::Null), "403").await;
    scene.refused("groups.get_group", json!(["trattoria", "120363000000009999@g.us"]), "404").await;
    scene.refused("groups.get_group", json!(["trattoria", "../secret"]), "40").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_others_is_joined_by_its_code() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let made = network.create_group(&scene.customer, "Neighbours", &[]).await.unwrap();
    let link = format!("https://chat.whatsapp.com/{}", made.invite);
    let info = scene.waha.get_as("groups.join_info_group", json!(["trattoria", { "code": link }]), "GroupInfo").await;
    assert_eq!(info["subject"], json!("Neighbours"));
    let joined = scene.waha.get_as("groups.join_group", json!(["trattoria", { "code": link }]), "JoinGroupResponse");
    assert_eq!(joined.await["id"], json!(made.jid));
    assert!(network.group(&made.jid).await.unwrap().members.contains_key(&scene.number));
    // No admin there: WhatsApp's no is told as such.
    let subject = json!(["trattoria", made.jid, { "subject": "Mine" }]);
    scene.refused("groups.set_subject", subject, "403").await;
    let history = json!(["trattoria", made.jid, { "membersCanShareHistory": true }]);
    scene.refused("groups.set_member_share_history_mode", history, "403").await;
    scene.refused("groups.join_group", json!(["trattoria", { "code": "AbCdEf123456" }]), "404").await;
    scene.refused("groups.join_group", json!(["trattoria", { "code": "no" }]), "400").await;

    let asked = network.create_group(&scene.customer, "Picky", &[]).await.unwrap();
    let rules = GroupRules { approval: true, ..GroupRules::default() };
    network.group_rules(&asked.jid, &scene.customer, rules).await.unwrap();
    let joined = scene.waha.get("groups.join_group", json!(["trattoria", { "code": asked.invite }])).await;
    assert_eq!((&joined["id"], &joined["pendingApproval"]), (&json!(asked.jid), &json!(true)));
    assert_eq!(network.group(&asked.jid).await.unwrap().requests, [scene.number.clone()]);
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_the_phones() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let jid = format!("{}@s.whatsapp.net", scene.customer);
    let label = Setting::Label { id: "4".into(), name: "VIP".into(), color: 2 };
    network.phone_sets(&scene.number, &label).await.unwrap();
    let labelled = Setting::Labelled { id: "4".into(), chat: scene.customer.clone(), on: true };
    network.phone_sets(&scene.number, &labelled).await.unwrap();
    let session = json!(["trattoria"]);
    let all = answers(&mut scene, "labels.get_all", session.clone(), "[Label]", |all| all[0]["name"] == json!("VIP"));
    assert_eq!(all.await[0], json!({ "id": "4", "name": "VIP", "color": 2, "colorHex": "#ffd429" }));
    let chat = json!(["trattoria", scene.chat()]);
    let of_chat =
        answers(&mut scene, "labels.get_chat_labels", chat.clone(), "[Label]", |got| got[0]["id"] == json!("4"));
    of_chat.await;

    let new = json!(["trattoria", { "name": "Late payer", "colorHex": "#ff9485" }]);
    let new = scene.waha.get_as("labels.create", new, "Label").await;
    assert_eq!((&new["id"], &new["color"]), (&json!("5"), &json!(0)));
    assert_eq!(scene.setting("label_edit 5").await["label_edit_action"]["name"], json!("Late payer"));
    let changed = json!(["trattoria", "5", { "name": "Pays late" }]);
    answers(&mut scene, "labels.get_all", session.clone(), "[Label]", |all| all[1]["name"] == json!("Late payer"))
        .await;
    scene.waha.get_as("labels.update", changed, "Label").await;
    let wanted = json!(["trattoria", scene.chat(), { "labels": [{ "id": "5" }] }]);
    scene.waha.get("labels.put_chat_labels", wanted).await;
    assert_eq!(scene.setting(&format!("label_jid 5 {jid}")).await["label_association_action"]["labeled"], json!(true));
    assert_eq!(scene.setting(&format!("label_jid 4 {jid}")).await["label_association_action"]["labeled"], json!(false));
    let chats = json!(["trattoria", "5"]);
    let labelled = scene.waha.get("labels.get_chats_by_label", chats).await;
    assert_eq!(labelled, json!([{ "id": scene.chat() }]));
    scene.waha.get("labels.delete", json!(["trattoria", "5"])).await;
    let left = scene.waha.get_as("labels.get_all", session, "[Label]").await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(scene.waha.get("labels.get_chat_labels", chat).await, json!([]));
    scene.refused("labels.delete", json!(["trattoria", "99"]), "404").await;
    scene.refused("labels.create", json!(["trattoria", { "name": "x", "color": 99 }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

/// The library does not fetch what it is told of while it is fetching.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_come_in_a_burst_are_all_there() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    for burst in 1..=5 {
        for n in 0..8 {
            let id = (burst * 10 + n).to_string();
            network.phone_sets(&scene.number, &Setting::Label { id, name: "VIP".into(), color: 2 }).await.unwrap();
        }
        let all = |all: &Value| all.as_array().is_some_and(|all| all.len() == burst * 8);
        answers(&mut scene, "labels.get_all", json!(["trattoria"]), "[Label]", all).await;
    }
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_declined() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let id = network.customer_calls(&scene.customer, &scene.number).await.unwrap();
    let call = json!(["trattoria", { "from": scene.chat(), "id": id }]);
    scene.waha.get("calls.reject_call", call).await;
    let declined = || async { network.calls().await[0].declined_by.is_some() };
    until(LIMIT, "the end of the call", declined).await.unwrap();
    scene.refused("calls.reject_call", json!(["trattoria", { "from": "x", "id": id }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_whatsapp_the_answer_is_503_and_tenants_share_nothing() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let other = scene.stage.pair("pizzeria").await;
    let person = Setting::Person { number: scene.customer.clone(), name: "Ana".into(), first: String::new() };
    network.phone_sets(&scene.number, &person).await.unwrap();
    let label = Setting::Label { id: "1".into(), name: "Secret".into(), color: 0 };
    network.phone_sets(&scene.number, &label).await.unwrap();
    network.create_group(&scene.number, "Family", &[]).await.unwrap();
    answers(&mut scene, "labels.get_all", json!(["trattoria"]), "", |all| all[0]["name"] == json!("Secret")).await;
    for path in ["/api/contacts/all?session=pizzeria", "/api/pizzeria/labels", "/api/pizzeria/groups"] {
        let (status, _, answer) = ask(&scene.stage, "GET", path, &Value::Null).await;
        assert_eq!((status, answer), (200, json!([])), "{path}");
    }
    drop(other);
    network.stop().await;
    let down = || async {
        let (status, _, answer) = ask(&scene.stage, "GET", "/api/trattoria/groups", &Value::Null).await;
        assert!(![500, 502, 504].contains(&status), "{answer}");
        status == 503 && answer["code"] == json!("whatsapp_unreachable")
    };
    until(LIMIT, "the answer without WhatsApp", down).await.unwrap();
    for (method, path) in [
        ("GET", "/api/trattoria/profile"),
        ("POST", "/api/trattoria/chats/573001112233@c.us/archive"),
        ("GET", "/api/contacts/about?session=trattoria&contactId=573001112233@c.us"),
    ] {
        let (status, _, answer) = ask(&scene.stage, method, path, &Value::Null).await;
        assert_eq!((status, &answer["code"]), (503, &json!("whatsapp_unreachable")), "{method} {path}");
    }
    // What is known here is told all the same.
    let (status, _, answer) = ask(&scene.stage, "GET", "/api/contacts/all?session=trattoria", &Value::Null).await;
    assert_eq!((status, &answer[0]["name"], &answer[0]["isBlocked"]), (200, &json!("Ana"), &Value::Null));
    assert_eq!(answer[0]["isWAContact"], Value::Null, "she never wrote, and nobody has asked for her");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_stopped_stays_away_and_loses_nothing() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    scene.hears("before").await;
    let first = scene.stage.dashboard.send("trattoria", &scene.customer, "your table", "a-key").await.unwrap();
    let number = scene.number.clone();
    let online = async || network.devices(&number).await.unwrap().iter().any(|device| device.online);
    let stopped = scene.waha.get_as("sessions.stop", json!(["trattoria"]), "SessionDTO").await;
    assert_eq!(stopped["status"], json!("STOPPED"));
    until(LIMIT, "the device is away", async || !online().await).await.unwrap();
    network.customer_send(&scene.customer, &scene.number, "while you were away").await.unwrap();
    let sessions = scene.stage.health().await.1["sessions"].clone();
    assert_eq!((&sessions["ill"], &sessions["stopped"]), (&json!([]), &json!(["trattoria"])), "{sessions}");
    let text = json!([{ "session": "trattoria", "chatId": scene.chat(), "text": "hello" }]);
    scene.refused("chatting.send_text", text, "400").await;
    let repeat = scene.stage.dashboard.send("trattoria", &scene.customer, "your table", "a-key").await;
    assert_eq!(repeat.unwrap(), first, "it is told of the first");
    for path in ["profile", "groups"] {
        let (status, _, answer) = ask(&scene.stage, "GET", &format!("/api/trattoria/{path}"), &Value::Null).await;
        assert_eq!((status, &answer["code"]), (400, &json!("not_connected")), "{path}: {answer}");
    }

    // Neither a restart with an empty disk nor a heartbeat brings it back.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let logins = network.stats().await.counts.logins;
    scene.stage = scene.stage.set("SESSIOND_HEARTBEAT__FIRST", "1s").set("SESSIOND_HEARTBEAT__INTERVAL", "1s");
    scene.daemon = scene.stage.start().await;
    let beats = || async { scene.stage.log().matches("healthy").count() >= 2 };
    until(LIMIT, "two heartbeats", beats).await.unwrap();
    let session = scene.waha.get_as("sessions.get", json!(["trattoria"]), "SessionInfo").await;
    assert_eq!(session["status"], json!("STOPPED"), "{session}");
    assert_eq!(network.stats().await.counts.logins, logins);
    assert!(!online().await);

    // Started: no scan, and what came meanwhile.
    scene.waha.get("sessions.start", json!(["trattoria"])).await;
    let arguments = json!(["trattoria", scene.chat(), { "limit": 1 }]);
    let came = |got: &Value| got[0]["body"] == json!("while you were away");
    answers(&mut scene, "chats.get_chat_messages", arguments, "", came).await;
    assert_eq!(network.stats().await.counts.pairings, 1);

    // By name; and a start that was answered holds, whatever dies then.
    let named = json!([{ "name": "trattoria" }]);
    scene.waha.get("sessions.deprecated_stop", named.clone()).await;
    until(LIMIT, "the device is away", async || !online().await).await.unwrap();
    scene.waha.get("sessions.depracated_start", named.clone()).await;
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "it is back", async || online().await).await.unwrap();
    scene.hears("again").await;

    // Deleted: unlinked, without webhooks, and hidden.
    let hook =
        json!(["trattoria", { "config": { "webhooks": [{ "url": "https://example.com/hook", "events": ["*"] }] } }]);
    scene.waha.get("sessions.update", hook).await;
    scene.waha.get("sessions.delete", json!(["trattoria"])).await;
    assert!(network.devices(&scene.number).await.unwrap().is_empty());
    assert_eq!(scene.waha.get("sessions.list", json!([])).await, json!([]));
    let (_, _, hooks) = ask(&scene.stage, "GET", "/api/trattoria/webhooks", &Value::Null).await;
    assert_eq!(hooks["code"], json!("unknown_tenant"), "{hooks}");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_made_followed_and_deleted() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let new = json!(["trattoria", { "name": "Menu of the day", "description": "at noon" }]);
    let made = scene.waha.get_as("channels.create", new, "Channel").await;
    assert_eq!((&made["role"], &made["description"]), (&json!("OWNER"), &json!("at noon")));
    let own = json!(["trattoria", made["id"]]);
    let news = network.create_channel(&scene.customer, "Neighbourhood", "news").await.unwrap();
    let other = json!(["trattoria", news.jid]);
    scene.waha.get("channels.follow", other.clone()).await;
    let now = async || network.channels().await.into_iter().find(|channel| channel.jid == news.jid).unwrap();
    assert_eq!(now().await.followers, [scene.number.clone()]);
    scene.waha.get("channels.mute", other.clone()).await;
    assert_eq!(now().await.muted_by, [scene.number.clone()]);
    scene.waha.get("channels.unmute", other.clone()).await;
    assert!(now().await.muted_by.is_empty());
    let one = scene.waha.get_as("channels.get", other.clone(), "Channel").await;
    assert_eq!(
        (&one["name"], &one["role"], &one["subscribersCount"]),
        (&json!("Neighbourhood"), &json!("SUBSCRIBER"), &json!(1))
    );
    let by_code = scene.waha.get_as("channels.get", json!(["trattoria", news.invite]), "Channel").await;
    assert_eq!(by_code["id"], json!(news.jid));
    let all = scene.waha.get_as("channels.list", json!(["trattoria"]), "[Channel]").await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    let owned = scene.waha.get_as("channels.list", json!(["trattoria", { "role": "OWNER" }]), "[Channel]").await;
    assert_eq!(owned, json!([made]));
    scene.waha.get("channels.unfollow", other.clone()).await;
    assert!(now().await.followers.is_empty());
    scene.refused("channels.delete", other, "403").await;
    scene.waha.get("channels.delete", own.clone()).await;
    assert_eq!(network.channels().await.len(), 1);
    scene.refused("channels.get", own, "404").await;
    scene.refused("channels.follow", json!(["trattoria", "120363999999999999@newsletter"]), "404").await;
    scene.refused("channels.get", json!(["trattoria", "x@g.us"]), "400").await;

    let capping = scene.waha.get_as("sessions.fetch_message_capping", json!(["trattoria"]), "MessageCappingData").await;
    assert_eq!((&capping["totalQuota"], &capping["usedQuota"]), (&json!(1000), &json!(640)));
    let lock =
        scene.waha.get_as("sessions.fetch_reachout_timelock", json!(["trattoria"]), "ReachoutTimelockData").await;
    assert_eq!(lock["isActive"], json!(false));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_posted_and_taken_back() {
    let Some(mut scene) = paired().await else { return };
    let customer = scene.customer.clone();
    let new = scene.waha.get_as("status.get_new_message_id", json!(["trattoria"]), "NewMessageIDResponse").await;
    // As the client's own models write it.
    let text = json!({
        "id": new["id"], "contacts": [scene.chat()], "text": "Hoy: ajiaco", "backgroundColor": "#38b42f", "font": 0.0,
        "linkPreview": true, "linkPreviewHighQuality": false,
    });
    let posted = scene.waha.get_as("status.send_text_status", json!(["trattoria", text]), "WAMessage").await;
    assert!(
        posted["id"].as_str().unwrap().starts_with(&format!("true_status@broadcast_{}", new["id"].as_str().unwrap()))
    );
    let status = |sent: &Value| sent["id"].as_str().unwrap().split('_').nth(2).unwrap().to_owned();
    let seen = async |scene: &Scene, id: &str| {
        let network = &scene.stage.network;
        let found = async || network.customer_inbox(&customer).await.unwrap().into_iter().find(|seen| seen.id == id);
        until(LIMIT, "the status", async || found().await.is_some()).await.unwrap();
        found().await.unwrap()
    };
    assert_eq!(seen(&scene, &status(&posted)).await.text.as_deref(), Some("Hoy: ajiaco"));
    for (method, kind, beginning) in [
        ("image", "image", b"\xff\xd8\xff\xe0\0\x10JFIF\0".as_slice()),
        ("voice", "voice", b"OggS\0\x02\0\0\0\0\0\0\0\0"),
        ("video", "video", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
    ] {
        let data = file(beginning, 500);
        let body = json!({
            "id": null, "contacts": [scene.chat()], "caption": null, "convert": false, "backgroundColor": "#38b42f",
            "file": { "mimetype": "x/y", "filename": null, "data": base64(&data) },
        });
        let method = format!("status.send_{method}_status");
        let sent = scene.waha.get_as(&method, json!(["trattoria", body]), "WAMessage").await;
        let seen = seen(&scene, &status(&sent)).await;
        assert_eq!((seen.kind.as_str(), seen.file.unwrap().data), (kind, data));
    }
    let id = json!(["trattoria", { "id": posted["id"], "contacts": null }]);
    let gone = scene.waha.get_as("status.delete_status", id, "WAMessage").await;
    assert_eq!(seen(&scene, &status(&gone)).await.about, Some(status(&posted)));
    scene.refused("status.delete_status", json!(["trattoria", { "id": "3EB0AAAAAAAAAAAA" }]), "404").await;
    scene.daemon.kill().await.unwrap();
}
