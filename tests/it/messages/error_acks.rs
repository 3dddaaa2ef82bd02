//! WhatsApp's ack of a message carries an error: whatever was sent, it fails with that code, or goes again when the code says "not now".

use loopback::{Fault, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};
use sessiond::demo::{Ear, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

/// A picture, as far as anybody here looks.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

struct ErrorAckScene {
    stage: Stage,
    daemon: Process,
    ear: Ear,
}

impl ErrorAckScene {
    /// WhatsApp's id of what was sent.
    async fn send(&self, (method, path, body): &(Method, String, Value)) -> String {
        let url = format!("http://{}{path}", self.stage.setup.address);
        let request = reqwest::Client::new().request(method.clone(), url);
        let request = request.header("x-api-key", &self.stage.setup.admin_key).json(body);
        let answer = request.send().await.unwrap();
        let (status, answer) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer["id"].as_str().unwrap_or_else(|| panic!("{path}: {answer}")).split('_').nth(2).unwrap().to_owned()
    }

    /// What dashboards were told last of it; of a status, which is no message of theirs, what the list says.
    async fn told(&self, id: &str) -> Option<(String, Value)> {
        let heard = self.ear.heard();
        let mut of_it = heard.iter().rev().filter(|heard| heard.event == "message:status");
        if let Some(last) = of_it.find(|heard| heard.payload["messageId"] == *id) {
            return Some((last.payload["status"].as_str()?.to_owned(), last.payload["failure"].clone()));
        }
        let path = format!("/api/{TENANT}/chats/status@broadcast/messages?limit=100");
        let listed = self.stage.dashboard.get(&path).await.unwrap().body;
        let is_it = |shown: &&Value| shown["id"].as_str().is_some_and(|full| full.contains(id));
        let shown = listed.as_array()?.iter().find(is_it)?;
        let status = match shown["ackName"].as_str()? {
            "ERROR" => "failed",
            "SERVER" => "sent",
            "DEVICE" => "delivered",
            other => other,
        };
        Some((status.to_owned(), shown["failure"].clone()))
    }

    async fn until(&self, what: &str, id: &str, is_it: impl Fn(&str) -> bool) -> Value {
        let told = async || self.told(id).await.is_some_and(|(status, _)| is_it(&status));
        if let Err(error) = until(LIMIT, what, told).await {
            panic!("{what}: {error}: {:?}\n{}", self.told(id).await, self.stage.log());
        }
        self.told(id).await.unwrap().1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_fails_with_the_code_of_its_ack_and_goes_again_after_a_passing_one() {
    refused_and_put_off(|kind| !among_many(kind)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_do_those_for_many_under_one_key() {
    refused_and_put_off(among_many).await;
}

fn among_many(kind: &str) -> bool {
    matches!(kind, "in a group" | "status")
}

async fn refused_and_put_off(wanted: fn(&str) -> bool) {
    // A rest after each passing one would take minutes: `too_much` is about that.
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_SESSION__SLOW_DOWN", "100ms");
    let daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    let ear = stage.listen(std::slice::from_ref(&tenant));
    let customer = tenant.customers[0].clone();
    let group = stage.network.create_group(&customer, "Mesa 4", &[&tenant.number]).await.unwrap().jid;
    let first = stage.network.customer_send(&customer, &tenant.number, "a table?").await.unwrap();
    let poll = loopback::Say::poll("Size?", &["L", "XL"], 1);
    let poll = stage.network.customer_send(&customer, &tenant.number, poll).await.unwrap();
    let heard = |id: String| move |heard: &sessiond::demo::Heard| heard.payload["message"]["id"] == json!(id);
    for id in [&first, &poll] {
        let is_it = heard(id.clone());
        ear.until(LIMIT, |all| all.iter().any(&is_it)).await.unwrap();
    }
    let scene = ErrorAckScene { stage, daemon, ear };
    let made = scene.stage.dashboard.post(&format!("/api/{TENANT}/channels"), json!({ "name": "News" })).await.unwrap();
    let channel = made.body["id"].as_str().unwrap_or_else(|| panic!("{}", made.body)).to_owned();
    let chat = format!("{customer}@c.us");
    let post = |path: &str, mut body: Value, to: &str| {
        body["session"] = json!(TENANT);
        body["chatId"] = json!(to);
        (Method::POST, path.to_owned(), body)
    };
    let own = scene.send(&post("/api/sendText", json!({ "text": "at eight" }), &chat)).await;
    scene.until("the text", &own, |status| status == "delivered").await;
    let file = json!({ "data": PICTURE, "mimetype": "image/png", "filename": "a.png" });
    let theirs = format!("false_{chat}_{first}");
    let kinds = [
        ("text", post("/api/sendText", json!({ "text": "hello" }), &chat)),
        ("answer", post("/api/reply", json!({ "text": "hello", "reply_to": first }), &chat)),
        ("place", post("/api/sendLocation", json!({ "latitude": 1.0, "longitude": 1.0 }), &chat)),
        (
            "card",
            post("/api/sendContactVcard", json!({ "contacts": [{ "vcard": "BEGIN:VCARD\nFN:A\nEND:VCARD" }] }), &chat),
        ),
        ("poll", post("/api/sendPoll", json!({ "poll": { "name": "?", "options": ["a", "b"] } }), &chat)),
        (
            "cards",
            post(
                "/api/sendContactVcard",
                json!({ "contacts": [{ "vcard": "BEGIN:VCARD\nFN:A\nEND:VCARD" }, { "vcard": "BEGIN:VCARD\nFN:B\nEND:VCARD" }] }),
                &chat,
            ),
        ),
        (
            "link",
            post(
                "/api/send/link-custom-preview",
                json!({
                    "text": "https://example.com/menu",
                    "preview": { "url": "https://example.com/menu", "title": "Menu" },
                }),
                &chat,
            ),
        ),
        ("vote", post("/api/sendPollVote", json!({ "pollMessageId": poll, "votes": ["L"] }), &chat)),
        ("picture", post("/api/sendImage", json!({ "file": file }), &chat)),
        ("document", post("/api/sendFile", json!({ "file": file }), &chat)),
        ("passed on", post("/api/forwardMessage", json!({ "messageId": theirs }), &chat)),
        (
            "reaction",
            (Method::PUT, "/api/reaction".into(), json!({ "session": TENANT, "messageId": theirs, "reaction": "👍" })),
        ),
        (
            "edit",
            (
                Method::PUT,
                format!("/api/{TENANT}/chats/{chat}/messages/true_{chat}_{own}"),
                json!({ "text": "at nine" }),
            ),
        ),
        (
            "event",
            (
                Method::POST,
                format!("/api/{TENANT}/events"),
                json!({ "chatId": chat, "event": { "name": "Wine", "startTime": 1_900_000_000 } }),
            ),
        ),
        ("in a group", post("/api/sendText", json!({ "text": "hello all" }), &group)),
        ("in a channel", post("/api/sendText", json!({ "text": "open again" }), &channel)),
        (
            "status",
            (Method::POST, format!("/api/{TENANT}/status/text"), json!({ "text": "Ajiaco", "contacts": [chat] })),
        ),
    ];
    for (kind, request) in kinds.iter().filter(|(kind, _)| wanted(kind)) {
        scene.stage.network.fault(Fault::new(FaultKind::ErrorAcks).code(463).count(1)).await.unwrap();
        let refused = scene.send(request).await;
        let failure = scene.until(kind, &refused, |status| status == "failed").await;
        assert_eq!(failure["code"], json!(463), "{kind}: {failure}");
        scene.stage.network.clear_faults().await;
        // Not now: the same message goes once more.
        scene.stage.network.fault(Fault::new(FaultKind::ErrorAcks).code(429).count(1)).await.unwrap();
        let passing = scene.send(request).await;
        // A member who has not got the group's key with the first attempt asks for it, and the answer is the same message again.
        let is_taken = |status: &str| status == "sent" && *kind != "in a group";
        let came = |status: &str| is_taken(status) || matches!(status, "delivered" | "read");
        scene.until(kind, &passing, came).await;
        scene.stage.network.clear_faults().await;
    }
    let stats = scene.stage.network.stats().await;
    assert_eq!(stats.counters_reused, 0);
    assert!(wanted("in a group") || stats.counts.undecryptable == 0, "{}", stats.counts.undecryptable);
    scene.daemon.kill().await.unwrap();
}
