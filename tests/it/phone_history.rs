//! Older messages of a chat come from the tenant's own phone when they are asked for: each once, in order, and for good; and whatever
//! the phone does, the session goes on.

use loopback::{Fault, FaultKind, Say};
use serde_json::{Value, json};
use sessiond::demo::{Answer, Process, until};

use crate::stage::{Home, LIMIT, Stage};

/// A phone with a past, and the tenant that was paired with it afterwards.
struct Scene {
    stage: Stage,
    daemon: Process,
    phone: String,
    customer: String,
    tenant: &'static str,
}

impl Scene {
    /// The customer has written so many times before the pairing, and once after it.
    async fn new(stage: Stage, old: usize) -> Self {
        let daemon = stage.start().await;
        let phone = stage.network.add_phone(None).await.number;
        let customer = stage.network.add_customer().await;
        let scene = Self { stage, daemon, phone, customer, tenant: "trattoria" };
        for n in 0..old {
            scene.write(&format!("old {n}")).await;
        }
        scene.pair().await;
        let now = scene.write("now").await;
        scene.shows(&now).await;
        scene
    }

    async fn pair(&self) {
        let Self { stage, phone, tenant, .. } = self;
        let qr = stage.dashboard.qr(tenant).await.unwrap();
        stage.network.scan(phone, &qr).await.unwrap();
        until(LIMIT, "the pairing", || stage.dashboard.is_connected(tenant)).await.unwrap();
    }

    /// The customer writes to the phone; the message's id.
    async fn write(&self, say: impl Into<Say>) -> String {
        self.stage.network.customer_send(&self.customer, &self.phone, say).await.unwrap()
    }

    /// Waits until a message is among the chat's.
    async fn shows(&self, id: &str) {
        let shown = async || self.messages(500).await.iter().any(|message| bare(message) == id);
        until(LIMIT, "the message", shown).await.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }

    async fn ask(&self, chat: &str, count: u64) -> Answer {
        let path = format!("/api/sessions/{}/history", self.tenant);
        let body = json!({ "chatId": format!("{chat}@c.us"), "count": count });
        self.stage.dashboard.post(&path, body).await.unwrap()
    }

    /// What came, when it was asked for.
    async fn fetch(&self, count: u64) -> Value {
        let answer = self.ask(&self.customer, count).await;
        assert_eq!(answer.status, 200, "{}\n{}", answer.body, self.stage.log());
        answer.body
    }

    /// Until the phone has no more; how often it was asked.
    async fn fetch_all(&self, count: u64) -> usize {
        for asked in 1.. {
            if self.fetch(count).await["complete"] == json!(true) {
                return asked;
            }
        }
        unreachable!()
    }

    /// Newest first.
    async fn messages(&self, limit: usize) -> Vec<Value> {
        self.page(limit, 0).await
    }

    async fn page(&self, limit: usize, offset: usize) -> Vec<Value> {
        let (tenant, customer) = (self.tenant, &self.customer);
        let path = format!("/api/{tenant}/chats/{customer}@c.us/messages?limit={limit}&offset={offset}");
        let answer = self.stage.dashboard.get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body.as_array().unwrap().clone()
    }

    async fn bodies(&self) -> Vec<String> {
        self.messages(500).await.iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    }

    /// Another disk, another process.
    async fn after_a_crash(mut self) -> Self {
        self.daemon.kill().await.unwrap();
        self.stage.wipe_local_data();
        self.daemon = self.stage.start().await;
        let (dashboard, tenant) = (&self.stage.dashboard, self.tenant);
        until(LIMIT, "the tenant to be back", || dashboard.is_connected(tenant)).await.unwrap();
        self
    }

    async fn end(self) {
        let stats = self.stage.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
        self.daemon.kill().await.unwrap();
    }
}

/// WhatsApp's own id.
fn bare(message: &Value) -> &str {
    message["id"].as_str().unwrap().rsplit('_').next().unwrap()
}

/// What is expected of a chat with so many old messages, newest first.
fn expected(old: usize) -> Vec<String> {
    let old = (0..old).rev().map(|n| format!("old {n}"));
    std::iter::once("now".to_owned()).chain(old).collect()
}

async fn stage() -> Stage {
    Stage::new(Home::Embedded).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_comes_in_pages_each_message_once_and_for_good() {
    let scene = Scene::new(stage().await, 200).await;
    assert_eq!(scene.bodies().await, ["now"]);
    let first = scene.fetch(50).await;
    assert_eq!(first, json!({ "messages": 50, "complete": false, "full": false }));
    assert_eq!(scene.bodies().await, expected(200)[..51]);
    assert_eq!(scene.fetch_all(60).await, 3, "60, 60, 30");
    assert_eq!(scene.bodies().await, expected(200));
    // Nothing is left: asked again it tells nothing new.
    assert_eq!(scene.fetch(50).await, json!({ "messages": 0, "complete": true, "full": false }));
    let scene = scene.after_a_crash().await;
    assert_eq!(scene.bodies().await, expected(200));
    let mut paged = Vec::new();
    for offset in (0..210).step_by(30) {
        paged.extend(scene.page(30, offset).await);
    }
    let bodies: Vec<_> = paged.iter().map(|message| message["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, expected(200));
    // The old contract's pages go on from a message.
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let before = paged.last().map(|last| format!("&before={}", last["cursor"].as_str().unwrap()));
        let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={}&limit=70", scene.customer);
        let path = path + &before.unwrap_or_default();
        let mut answer = scene.stage.dashboard.get(&path).await.unwrap();
        let page = answer.body["messages"].take().as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    let bodies: Vec<_> = paged.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(bodies, expected(200));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_phone_is_told_from_an_empty_one() {
    let scene = Scene::new(stage().await.set("SESSIOND_MESSAGES__HISTORY_PATIENCE", "2s"), 3).await;
    scene.stage.network.fault(Fault::new(FaultKind::PhoneSilent)).await.unwrap();
    let answer = scene.ask(&scene.customer, 50).await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("phone_silent")), "{}", answer.body);
    scene.stage.network.clear_faults().await;
    assert_eq!(scene.fetch(50).await["messages"], json!(3));
    assert_eq!(scene.bodies().await, expected(3));
    scene.end().await;
}

/// Which is asked for what is older than a message.
#[tokio::test(flavor = "multi_thread")]
async fn a_chat_of_which_nothing_is_known_has_nothing_to_start_from() {
    let scene = Scene::new(stage().await, 1).await;
    let stranger = scene.stage.network.add_customer().await;
    let answer = scene.ask(&stranger, 50).await;
    assert_eq!((answer.status, &answer.body["code"]), (409, &json!("nothing_known")));
    let flaws = [
        (json!({}), "chatId"),
        (json!({ "chatId": "x" }), "chatId"),
        (json!({ "chatId": "573001112233", "count": 0 }), "count"),
        (json!({ "chatId": "573001112233", "count": 201 }), "count"),
    ];
    for (body, field) in flaws {
        let answer = scene.stage.dashboard.post("/api/sessions/trattoria/history", body).await.unwrap();
        assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (400, &json!(field)));
    }
    scene.end().await;
}
