//! A tenant that was paired comes back only as the account that it was. Another number's scan is refused, told, and changes nothing,
//! unless the owner allowed it; then what was said to the former number stays closed to the new one, or is deleted.

use std::time::Duration;

use loopback::PhoneInfo;
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Process, until};
use tokio::time::timeout;

use crate::support::stage::{Home, LIMIT, Stage};

const ORDER: &str = "two pizzas for the former owner";

struct AccountScene {
    stage: Stage,
    daemon: Option<Process>,
    conversation: Conversation,
    stranger: PhoneInfo,
}

impl AccountScene {
    /// A tenant that was paired, has been written to, and was logged out.
    async fn new(home: Home) -> Option<Self> {
        let stage = Stage::new(home).await?;
        let daemon = Some(stage.start().await);
        let conversation = stage.pair("trattoria").await;
        let scene = Self { stranger: stage.network.add_phone(None).await, daemon, conversation, stage };
        scene.is_written_to(ORDER).await;
        scene.logout().await;
        Some(scene)
    }

    async fn is_written_to(&self, text: &str) {
        let to = self.stage.network.phone(&self.own()).await.unwrap().number;
        self.stage.network.customer_send(self.customer(), &to, text).await.unwrap();
        let told = || async { self.said().await.contains(&text.to_owned()) };
        until(LIMIT, "the order", told).await.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }

    /// Who the tenant is linked to now.
    fn own(&self) -> String {
        self.conversation.number.clone()
    }

    fn customer(&self) -> &str {
        &self.conversation.customers[0]
    }

    async fn get(&self, path: &str) -> Value {
        self.stage.dashboard.get(path).await.unwrap().body
    }

    async fn session(&self) -> Value {
        self.get("/api/sessions/trattoria").await
    }

    async fn account(&self) -> Value {
        self.get("/api/sessions/trattoria/account").await
    }

    /// The texts that the tenant's dashboard reads, of all that was said by the customer.
    async fn said(&self) -> Vec<String> {
        let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={}&limit=500", self.customer());
        let messages = self.get(&path).await["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().filter_map(|message| message["text"].as_str().map(str::to_owned)).collect()
    }

    async fn logout(&self) {
        let answer = self.stage.dashboard.post("/api/sessions/trattoria/logout", json!({})).await.unwrap();
        assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    }

    /// The next code on the screen is scanned. Whether the phone shows the device as linked.
    async fn scans(&self, number: &str) -> bool {
        let qr = self.stage.dashboard.qr("trattoria").await.unwrap_or_else(|e| panic!("{e:#}\n{}", self.stage.log()));
        self.stage.network.scan(number, &qr).await.is_ok()
    }

    async fn is_linked_to(&self, number: &str) {
        assert!(self.scans(number).await, "{number} is not linked\n{}", self.stage.log());
        let connected = || self.stage.dashboard.is_connected("trattoria");
        until(LIMIT, "the session to work", connected).await.unwrap_or_else(|e| panic!("{e}\n{}", self.stage.log()));
    }

    async fn refuses(&self, number: &str) {
        assert!(!self.scans(number).await, "another number was linked\n{}", self.stage.log());
        assert!(!self.stage.dashboard.is_connected("trattoria").await);
        assert_eq!(self.stage.network.devices(number).await.unwrap().len(), 0);
        let told = || async { self.session().await["reason"].as_str().unwrap_or_default().contains("another number") };
        until(LIMIT, "the reason", told).await.unwrap_or_else(|e| panic!("{e}\n{}", self.stage.log()));
    }

    async fn allows_another(&self, conversations: &str) {
        let path = "/api/sessions/trattoria/account/change";
        let answer = self.stage.dashboard.put(path, json!({ "conversations": conversations })).await.unwrap();
        assert_eq!((answer.status, &answer.body["change"]["conversations"]), (200, &json!(conversations)));
    }

    /// A new process, and nothing of the old one's disk.
    async fn loses_the_disk(&mut self) {
        self.daemon.take().unwrap().terminate(LIMIT).await.unwrap();
        self.stage.wipe_local_data();
        self.daemon = Some(self.stage.start().await);
    }

    async fn end(self) {
        let log: String = self.stage.log().lines().filter(|line| line.contains("\"target\":\"sessiond")).collect();
        for number in [&self.conversation.number, &self.stranger.number] {
            assert!(!log.contains(number.as_str()), "the log has a phone number");
        }
        self.daemon.unwrap().terminate(LIMIT).await.unwrap();
    }
}

async fn another_number_is_refused(home: Home) {
    let Some(mut scene) = AccountScene::new(home).await else { return };
    let ear = scene.stage.listen(std::slice::from_ref(&scene.conversation));
    for is_restarted in [false, true] {
        if is_restarted {
            scene.loses_the_disk().await;
        }
        scene.refuses(&scene.stranger.number).await;
        let own = json!(scene.own());
        let session = scene.session().await;
        assert_eq!((&session["expectedNumber"], &session["paired"]), (&own, &json!(false)), "{session}");
        let status = scene.get("/api/baileys/status?tenantId=trattoria").await;
        assert_eq!((&status["expectedNumber"], &status["paired"]), (&own, &json!(false)), "{status}");
        assert_eq!(scene.account().await, json!({ "number": own, "paired": false, "change": null }));
        assert_eq!(scene.said().await, [ORDER], "nothing has changed");
    }
    let expected = json!({ "expected": scene.own(), "scanned": scene.stranger.number });
    let told = |heard: &[sessiond::demo::Heard]| {
        let refusals = heard.iter().filter(|heard| heard.event == "account:refused");
        refusals.filter(|heard| heard.payload["account"] == expected).count() >= 2
    };
    ear.until(LIMIT, told).await.unwrap_or_else(|error| panic!("{error}\n{:?}", ear.heard()));
    assert!(scene.stage.log().contains("a scan is refused"));
    // The one that it was needs no word of anybody's.
    scene.is_linked_to(&scene.own()).await;
    assert_eq!(scene.said().await, [ORDER]);
    scene.is_written_to("one more").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_is_refused_over_restart_and_lost_disk() {
    another_number_is_refused(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_is_refused_over_restart_and_lost_disk_in_firestore() {
    another_number_is_refused(Home::Emulator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_given_to_the_own_number_only() {
    let scene = AccountScene::new(Home::Embedded).await.unwrap();
    let dashboard = &scene.stage.dashboard;
    let ask = |number: &str| {
        let body = json!({ "phoneNumber": number });
        async move {
            let answer = dashboard.post("/api/trattoria/auth/request-code", body).await.unwrap();
            (answer.status, answer.body)
        }
    };
    let (status, body) = ask(&scene.stranger.number).await;
    assert_eq!((status, &body["code"]), (409, &json!("other_account")), "{body}");
    let (status, body) = ask(&scene.own()).await;
    assert_eq!(status, 200, "{body}\n{}", scene.stage.log());
    scene.stage.network.link_code(&scene.own(), body["code"].as_str().unwrap()).await.unwrap();
    let connected = || scene.stage.dashboard.is_connected("trattoria");
    until(LIMIT, "the session to work", connected).await.unwrap();
    scene.logout().await;
    // Allowed, the other one gets its code.
    scene.allows_another("keep").await;
    let (status, body) = ask(&scene.stranger.number).await;
    assert_eq!(status, 200, "{body}\n{}", scene.stage.log());
    scene.stage.network.link_code(&scene.stranger.number, body["code"].as_str().unwrap()).await.unwrap();
    until(LIMIT, "the session to work", connected).await.unwrap();
    assert_eq!(scene.said().await, [""; 0]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_conversations_are_closed_to_another_number_until_the_former_comes_back() {
    let mut scene = AccountScene::new(Home::Embedded).await.unwrap();
    scene.allows_another("keep").await;
    scene.loses_the_disk().await;
    assert_eq!(scene.account().await["change"]["conversations"], json!("keep"), "it outlives the disk");
    scene.is_linked_to(&scene.stranger.number).await;
    let first = scene.own();
    for is_restarted in [false, true] {
        if is_restarted {
            scene.loses_the_disk().await;
        }
        assert_eq!(scene.said().await, [""; 0]);
        let chats = scene.get("/api/baileys/conversations?tenantId=trattoria").await;
        assert_eq!(chats["count"], json!(0), "{chats}");
        // Of the events too: a client that has never heard any hears those of this number alone.
        let ear = scene.stage.listen(std::slice::from_ref(&scene.conversation));
        let changed = |heard: &[sessiond::demo::Heard]| heard.iter().any(|heard| heard.event == "account:changed");
        ear.until(LIMIT, changed).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
        assert!(!ear.heard().iter().any(|heard| heard.payload.to_string().contains(ORDER)), "{:?}", ear.heard());
    }
    // It counted once, and the tenant is the other number's now.
    let account = json!({ "number": scene.stranger.number, "paired": true, "change": null });
    assert_eq!(scene.account().await, account);
    scene.conversation.number.clone_from(&scene.stranger.number);
    scene.is_written_to("an order for the new owner").await;
    scene.logout().await;
    scene.refuses(&first).await;
    // The former comes back, and reads its own.
    scene.allows_another("keep").await;
    scene.is_linked_to(&first).await;
    assert_eq!(scene.said().await, [ORDER]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_conversations_do_not_come_back() {
    let mut scene = AccountScene::new(Home::Embedded).await.unwrap();
    let first = scene.own();
    scene.allows_another("delete").await;
    scene.is_linked_to(&scene.stranger.number).await;
    assert_eq!(scene.said().await, [""; 0]);
    scene.logout().await;
    scene.allows_another("delete").await;
    scene.is_linked_to(&first).await;
    scene.loses_the_disk().await;
    assert_eq!(scene.said().await, [""; 0]);
    let connected = || scene.stage.dashboard.is_connected("trattoria");
    until(LIMIT, "the session to work", connected).await.unwrap();
    scene.is_written_to("anew").await;
    scene.end().await;
}

/// A request that was accepted for the former number is repeated. Its client learns what became of it, and the new number says nothing.
async fn a_repeat_is_not_sent_from_the_new_number(conversations: &str) {
    let scene = AccountScene::new(Home::Embedded).await.unwrap();
    scene.is_linked_to(&scene.own()).await;
    let (dashboard, customer) = (&scene.stage.dashboard, scene.customer());
    let by_id = async || {
        let body = json!({
            "session": "trattoria", "chatId": format!("{customer}@c.us"), "text": "by id", "id": "3EB0ABCDEF0123456789AB",
        });
        dashboard.post("/api/sendText", body).await.unwrap()
    };
    let id = dashboard.send("trattoria", customer, "by key", "k").await.unwrap();
    assert_eq!(by_id().await.status, 201);
    let texts = async || -> Vec<String> {
        let inbox = scene.stage.network.customer_inbox(customer).await.unwrap();
        inbox.into_iter().filter_map(|message| message.text).collect()
    };
    until(LIMIT, "both", async || texts().await == ["by key", "by id"]).await.unwrap();
    let settled = async || {
        let chat = format!("/api/trattoria/chats/{customer}@c.us/messages?limit=10");
        let messages = scene.get(&chat).await;
        let acks = messages.as_array().unwrap().iter().filter(|message| message["fromMe"] == json!(true));
        acks.filter(|message| message["ack"].as_i64() >= Some(1)).count() == 2
    };
    until(LIMIT, "WhatsApp's word", settled).await.unwrap();
    scene.logout().await;
    scene.allows_another(conversations).await;
    scene.is_linked_to(&scene.stranger.number).await;

    let refused = dashboard.send("trattoria", customer, "by key", "k").await.unwrap_err().to_string();
    for told in ["409", "other_account", &id, "delivered"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    let refused = by_id().await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("other_account")), "{}", refused.body);
    // Another message under the key is that, as before.
    let other = dashboard.send("trattoria", customer, "another", "k").await.unwrap_err().to_string();
    assert!(other.contains("idempotency_key_reused"), "{other}");
    dashboard.send("trattoria", customer, "from the new number", "l").await.unwrap();
    until(LIMIT, "the new one", async || texts().await.contains(&"from the new number".to_owned())).await.unwrap();
    assert_eq!(texts().await, ["by key", "by id", "from the new number"]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_not_sent_from_the_new_number_and_conversations_are_kept() {
    a_repeat_is_not_sent_from_the_new_number("keep").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_not_sent_from_the_new_number_and_conversations_are_deleted() {
    a_repeat_is_not_sent_from_the_new_number("delete").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_can_be_taken_back() {
    let scene = AccountScene::new(Home::Embedded).await.unwrap();
    scene.allows_another("keep").await;
    let answer = scene.stage.dashboard.delete("/api/sessions/trattoria/account/change").await.unwrap();
    assert_eq!((answer.status, &answer.body["change"]), (200, &Value::Null));
    scene.refuses(&scene.stranger.number).await;
    let wrong = scene.stage.dashboard.put("/api/sessions/trattoria/account/change", json!({ "conversations": "sell" }));
    assert_eq!(wrong.await.unwrap().status, 400);
    // The own number takes the permission with it: it was for one scan.
    scene.allows_another("keep").await;
    scene.is_linked_to(&scene.own()).await;
    assert_eq!(scene.account().await["change"], Value::Null);
    scene.logout().await;
    scene.refuses(&scene.stranger.number).await;
    scene.end().await;
}

/// The vault does not answer: whoever asks is told so, soon, and may ask again.
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_down_holds_no_request() {
    const SOON: Duration = Duration::from_secs(15);
    let scene = AccountScene::new(Home::Embedded).await.unwrap();
    let vault = rusqlite::Connection::open(scene.stage.path("cloud").join("vault.db")).unwrap();
    vault.busy_timeout(LIMIT).unwrap();
    vault.execute_batch("BEGIN IMMEDIATE").unwrap();
    let dashboard = &scene.stage.dashboard;
    let change = "/api/sessions/trattoria/account/change";
    let permission = async {
        let allowed = timeout(SOON, dashboard.put(change, json!({ "conversations": "keep" }))).await;
        (allowed, timeout(SOON, dashboard.delete(change)).await)
    };
    let country = dashboard.put("/api/sessions/trattoria", json!({ "config": { "country": "PE" } }));
    let stop = dashboard.post("/api/sessions/trattoria/stop", json!({}));
    let ((allowed, forbidden), country, stopped) =
        tokio::join!(permission, timeout(SOON, country), timeout(SOON, stop));
    let answers = [allowed, forbidden, country, stopped];
    // Whoever starts what was stopped leaves before the vault has answered.
    let start = format!("http://{}/api/sessions/trattoria/start", scene.stage.setup.address);
    let start = reqwest::Client::new().post(start).header("X-Api-Key", &scene.stage.setup.admin_key).json(&json!({}));
    let left = start.timeout(Duration::from_secs(1)).send().await;
    vault.execute_batch("ROLLBACK").unwrap();
    assert!(left.is_err(), "the vault has answered");
    let starts = async || scene.session().await["status"] != "STOPPED";
    until(LIMIT, "the start", starts).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    for answer in answers {
        let answer = answer.expect("it waits for the vault").unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("vault_down")), "{}", answer.body);
    }
    // The permission was taken back last, and that is so as soon as the vault is there again.
    let forbidden = dashboard.delete(change).await.unwrap();
    assert_eq!((forbidden.status, &forbidden.body["change"]), (200, &Value::Null));
    assert_eq!(dashboard.post("/api/sessions/trattoria/stop", json!({})).await.unwrap().status, 201);
    scene.end().await;
}

/// Logged out by a version that did not remember accounts: its number stands in the directory alone, as somebody wrote it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_the_directory_is_the_number_that_stands_there() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    stage.start().await.terminate(LIMIT).await.unwrap();
    let (own, stranger) = (stage.network.add_phone(None).await.number, stage.network.add_phone(None).await.number);
    let directory = rusqlite::Connection::open(stage.path("cloud").join("vault.db")).unwrap();
    let insert = "INSERT INTO tenants (id, whatsapp_connected, phone_number) VALUES ('trattoria', 0, ?1)";
    directory.execute(insert, [format!("+{} {}-{}", &own[..2], &own[2..6], &own[6..])]).unwrap();
    drop(directory);
    let daemon = stage.start().await;
    let qr = async || stage.dashboard.qr("trattoria").await.unwrap();
    assert!(stage.network.scan(&stranger, &qr().await).await.is_err(), "another number was linked\n{}", stage.log());
    let session = stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body;
    assert_eq!((&session["expectedNumber"], &session["paired"]), (&json!(own), &json!(false)), "{session}");
    let refused = || async {
        let session = stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body;
        session["reason"].as_str().unwrap_or_default().contains("another number")
    };
    until(LIMIT, "the reason", refused).await.unwrap();
    stage.network.scan(&own, &qr().await).await.unwrap();
    let connected = || stage.dashboard.is_connected("trattoria");
    until(LIMIT, "the session to work", connected).await.unwrap_or_else(|e| panic!("{e}\n{}", stage.log()));
    daemon.terminate(LIMIT).await.unwrap();
}

/// As WAHA's clients do: the session is deleted, made again under its name, and another phone scans.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_session_is_nobodys() {
    let scene = AccountScene::new(Home::Embedded).await.unwrap();
    let dashboard = &scene.stage.dashboard;
    let menu = json!({ "items": [{ "id": "p", "name": "Pizza", "price": 100 }] });
    let put = dashboard.put("/api/trattoria/bot/menu", menu).await.unwrap();
    assert_eq!(put.status, 200, "{}", put.body);
    let actions = json!({ "session": "trattoria", "isAdmin": false, "isActive": true, "actions": { "read": true } });
    let key = dashboard.post("/api/keys", actions).await.unwrap().body["key"].as_str().unwrap().to_owned();
    let url = format!("http://{}/api/sessions/trattoria", scene.stage.setup.address);
    let by_key = async || reqwest::Client::new().get(&url).bearer_auth(&key).send().await.unwrap().status().as_u16();
    assert_eq!(by_key().await, 200);
    let make_anew = async || {
        assert_eq!(dashboard.delete("/api/sessions/trattoria").await.unwrap().status, 200);
        let made = dashboard.post("/api/sessions", json!({ "name": "trattoria" })).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.body);
        assert!(["STARTING", "SCAN_QR_CODE"].contains(&made.body["status"].as_str().unwrap()), "{}", made.body);
    };
    make_anew().await;
    assert_eq!(by_key().await, 401, "the key of a session that is gone");
    assert_eq!(scene.account().await, json!({ "number": null, "paired": false, "change": null }));
    assert_eq!((scene.said().await, scene.get("/api/trattoria/chats").await), (Vec::new(), json!([])));
    assert_eq!(scene.get("/api/trattoria/bot/menu").await["items"], json!([]));
    scene.is_linked_to(&scene.stranger.number).await;
    assert_eq!(scene.said().await, Vec::<String>::new(), "said to somebody else");
    // The first comes back, and finds what was said to it.
    make_anew().await;
    scene.is_linked_to(&scene.own()).await;
    assert_eq!(scene.said().await, [ORDER]);
    // A message that waited when the session was deleted is not sent in its next life, and a client that repeats it learns that.
    let send = async || {
        let body = json!({
            "session": "trattoria", "chatId": format!("{}@c.us", scene.customer()), "text": "slowly ".repeat(60),
            "id": "3EB0ABCDEF0123456789AB", "humanize": true,
        });
        let sent = dashboard.post("/api/sendText", body).await.unwrap();
        assert_eq!(sent.status, 201, "{}", sent.body);
        (sent.body["ackName"].clone(), sent.body["failure"].clone())
    };
    assert_eq!(send().await, (json!("PENDING"), Value::Null));
    make_anew().await;
    scene.is_linked_to(&scene.own()).await;
    assert_eq!(send().await, (json!("ERROR"), json!({ "reason": "other_account" })));
    scene.end().await;
}
