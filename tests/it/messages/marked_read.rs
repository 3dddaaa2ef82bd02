//! What is marked as read: all that came and was not marked, over restarts, and each message once.

use loopback::Say;
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

struct ReadMarkScene {
    stage: Stage,
    tenant: Conversation,
    ear: Ear,
    customer: String,
}

impl ReadMarkScene {
    async fn hears(&self, text: &str) -> String {
        let network = &self.stage.network;
        let id = network.customer_send(&self.customer, &self.tenant.number, Say::text(text)).await.unwrap();
        self.told(&id).await;
        id
    }

    async fn told(&self, id: &str) {
        let told = |heard: &sessiond::demo::Heard| heard.payload["message"]["id"] == json!(id);
        let waited = self.ear.until(LIMIT, |heard| heard.iter().any(told)).await;
        waited.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
    }

    async fn says(&self, text: &str) {
        let id = self.stage.dashboard.send(TENANT, &self.customer, text, text).await.unwrap();
        self.told(&id).await;
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.stage.dashboard.post(path, body).await.unwrap();
        assert_eq!(answer.status, 201, "{path}: {}", answer.body);
        answer.body
    }

    /// Returns when exactly these messages of the customer are marked.
    async fn marked(&self, ids: &[&String]) {
        let read = async || -> Vec<String> {
            let messages = self.stage.network.messages(Some(&self.customer)).await.unwrap();
            messages.into_iter().filter(|message| !message.read.is_empty()).map(|message| message.id).collect()
        };
        let all = async || read().await.len() >= ids.len();
        let waited = until(LIMIT, "the receipts", all).await;
        let read = read().await;
        assert!(waited.is_ok() && read.iter().collect::<Vec<_>>() == ids, "{read:?} of {ids:?}\n{}", self.stage.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_came_and_was_not_marked_is_marked_once() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    let ear = stage.listen(std::slice::from_ref(&tenant));
    let customer = tenant.customers[0].clone();
    let scene = ReadMarkScene { stage, tenant, ear, customer };
    let seen = json!({ "session": TENANT, "chatId": format!("{}@c.us", scene.customer) });
    let read = format!("/api/{TENANT}/chats/{}@c.us/messages/read", scene.customer);

    // A bot answered, and nobody has looked yet.
    let (first, second) = (scene.hears("a table?").await, scene.hears("for two").await);
    scene.says("at eight").await;
    let third = scene.hears("fine").await;
    scene.says("see you").await;
    scene.post("/api/sendSeen", seen.clone()).await;
    scene.marked(&[&first, &second, &third]).await;
    assert_eq!(scene.post(&read, json!({})).await["ids"], json!([]), "marked twice");

    // One out of turn: the others are still to be marked, and that one is not again.
    let (fourth, fifth, sixth) = (scene.hears("1").await, scene.hears("2").await, scene.hears("3").await);
    let mut one = seen.clone();
    one["messageIds"] = json!([fifth]);
    scene.post("/api/sendSeen", one).await;
    scene.marked(&[&first, &second, &third, &fifth]).await;

    // Over a restart.
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0));
    scene.stage.wipe_local_data();
    let daemon = scene.stage.start().await;
    until(LIMIT, "the session", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
    let ids = scene.post(&read, json!({})).await["ids"].clone();
    let expected = [&sixth, &fourth].map(|id| format!("false_{}@c.us_{id}", scene.customer));
    assert_eq!(ids, json!(expected));
    scene.marked(&[&first, &second, &third, &fourth, &fifth, &sixth]).await;
    assert_eq!(scene.post(&read, json!({})).await["ids"], json!([]));
    daemon.kill().await.unwrap();
}

/// More than are read at a time; of several people in a group, each by its author.
#[tokio::test(flavor = "multi_thread")]
async fn many_and_those_of_a_group_are_marked_by_few_receipts() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    let ear = stage.listen(std::slice::from_ref(&tenant));
    let customer = tenant.customers[0].clone();
    let other = stage.network.add_customer().await;
    let group = stage.network.create_group(&customer, "Mesa 4", &[&tenant.number, &other]).await.unwrap();
    let scene = ReadMarkScene { stage, tenant, ear, customer };
    let mut last = String::new();
    for n in 0..130 {
        let network = &scene.stage.network;
        last = network.customer_send(&scene.customer, &scene.tenant.number, Say::text(n.to_string())).await.unwrap();
    }
    scene.told(&last).await;
    let mut in_group = Vec::new();
    for by in [&scene.customer, &other, &scene.customer] {
        let id = scene.stage.network.customer_send(by, &group.jid, Say::text("hello all")).await.unwrap();
        scene.told(&id).await;
        in_group.push(id);
    }
    // Each message has a receipt of its own that it came.
    let settled = async || {
        let devices = scene.stage.network.devices(&scene.tenant.number).await.unwrap();
        devices.iter().all(|device| device.waiting.is_empty())
    };
    until(LIMIT, "all acks", settled).await.unwrap();
    let before = scene.stage.network.stats().await.counts.receipts;
    for chat in [format!("{}@c.us", scene.customer), group.jid.clone()] {
        scene.post("/api/sendSeen", json!({ "session": TENANT, "chatId": chat })).await;
    }
    let is_read = async || {
        let messages = scene.stage.network.messages(None).await.unwrap();
        let read = messages.iter().filter(|message| !message.read.is_empty()).count();
        read == 130 + in_group.len()
    };
    until(LIMIT, "the receipts", is_read).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    let receipts = scene.stage.network.stats().await.counts.receipts - before;
    assert_eq!(receipts, 3, "one of the chat, one of each author in the group");
    daemon.kill().await.unwrap();
}
