//! What WhatsApp refuses, and what it never answers: both are answers. A message ends with its reason, and takes nothing from the
//! others while it lasts.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

/// A group that WhatsApp does not know any more.
fn gone(n: usize) -> String {
    format!("12036300000000{n:04}@g.us")
}

struct RefusalScene {
    stage: Stage,
    conversation: Conversation,
    ear: Ear,
    daemon: Process,
}

impl RefusalScene {
    async fn new() -> Self {
        Self::with(|stage| stage).await
    }

    async fn with(change: impl FnOnce(Stage) -> Stage) -> Self {
        let stage = change(Stage::new(Home::Embedded).await.unwrap());
        let daemon = stage.start().await;
        let conversation = stage.pair(TENANT).await;
        let ear = stage.listen(std::slice::from_ref(&conversation));
        Self { stage, conversation, ear, daemon }
    }

    fn customer(&self) -> &str {
        &self.conversation.customers[0]
    }

    async fn fault(&self, fault: Fault) {
        self.stage.network.fault(fault.target(&self.conversation.number)).await.unwrap();
    }

    /// Accepts a text; its id.
    async fn send(&self, to: &str, text: &str) -> String {
        match self.stage.dashboard.send(TENANT, to, text, text).await {
            Ok(id) => id,
            Err(error) => panic!("{error:#}\n{}", self.stage.log()),
        }
    }

    /// What Socket.IO said last of a message: how far it came, and why it failed.
    fn told(&self, id: &str) -> Option<(String, Value)> {
        let heard = self.ear.heard();
        let mut of_it = heard.iter().rev().filter(|heard| heard.event == "message:status");
        let last = of_it.find(|heard| heard.payload["messageId"] == *id)?;
        Some((last.payload["status"].as_str()?.to_owned(), last.payload["failure"].clone()))
    }

    async fn await_failure(&self, id: &str, limit: Duration) -> Value {
        let failed = || async { self.told(id).is_some_and(|(status, _)| status == "failed") };
        if until(limit, "the failure", failed).await.is_err() {
            panic!("{id}: {:?}\n{}", self.told(id), self.stage.log());
        }
        self.told(id).unwrap().1
    }

    async fn await_arrival(&self, customer: &str, text: &str, limit: Duration) {
        let arrived = async || {
            let inbox = self.stage.network.customer_inbox(customer).await.unwrap();
            inbox.iter().any(|received| received.text.as_deref() == Some(text))
        };
        if until(limit, "the message", arrived).await.is_err() {
            panic!("{text} did not arrive within {limit:?}\n{}", self.stage.log());
        }
    }

    async fn restart(self) -> Self {
        self.daemon.kill().await.unwrap();
        self.stage.wipe_local_data();
        Self { daemon: self.stage.start().await, ..self }
    }

    async fn logins(&self) -> u64 {
        self.stage.network.stats().await.counts.logins
    }
}

/// `too_much` is about the rest after a 429.
fn impatient(stage: Stage) -> Stage {
    stage.set("SESSIOND_SESSION__SLOW_DOWN", "1s")
}

/// Each of them takes a slot of the courier; there are sixteen.
#[tokio::test(flavor = "multi_thread")]
async fn groups_that_are_gone_stop_nobody() {
    let scene = RefusalScene::new().await;
    let mut refused = Vec::new();
    for n in 0..20 {
        refused.push(scene.send(&gone(n), &format!("into nothing {n}")).await);
    }
    scene.send(scene.customer(), "to somebody").await;
    scene.await_arrival(scene.customer(), "to somebody", Duration::from_secs(20)).await;
    for id in &refused {
        assert_eq!(scene.await_failure(id, LIMIT).await, json!({ "reason": "refused", "code": 404 }));
    }
    // Whoever asks later reads the same, in both forms.
    let chat = gone(0);
    let found = scene.stage.dashboard.get(&format!("/api/{TENANT}/chats/{chat}/messages?limit=1")).await.unwrap();
    let shown = (&found.body[0]["ackName"], &found.body[0]["failure"]);
    assert_eq!(shown, (&json!("ERROR"), &json!({ "reason": "refused", "code": 404 })), "{}", found.body);
    // So does a client that repeats the request, over whichever route.
    let repeat = json!({ "session": TENANT, "chatId": chat, "text": "into nothing 0", "id": refused[0] });
    let repeat = scene.stage.dashboard.post("/api/sendText", repeat).await.unwrap();
    let shown = (&repeat.body["ackName"], &repeat.body["failure"]);
    assert_eq!((repeat.status, shown), (201, (&json!("ERROR"), &json!({ "reason": "refused", "code": 404 }))));
    for (route, words) in [("send", "text"), ("send-message", "message")] {
        let url = format!("http://{}/api/baileys/{route}", scene.stage.setup.address);
        let repeat = reqwest::Client::new().post(url).header("X-Api-Key", &scene.stage.setup.admin_key);
        let body = json!({ "tenantId": TENANT, "to": chat, words: "into nothing 0" });
        let answer = repeat.header("Idempotency-Key", "into nothing 0").json(&body).send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!((status.as_u16(), &body["messageId"]), (200, &json!(refused[0])), "{body}");
        let shown = (&body["success"], &body["status"], &body["failure"]["reason"]);
        assert_eq!(shown, (&json!(false), &json!("failed"), &json!("refused")), "{body}");
        assert!(!body["message"].to_string().contains("exitosamente"), "{body}");
    }

    let scene = scene.restart().await;
    scene.send(scene.customer(), "after a restart").await;
    scene.await_arrival(scene.customer(), "after a restart", Duration::from_secs(20)).await;
}

/// Out of a group: the library's query of it is refused with 403.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_the_tenant_left_refuses_and_is_told() {
    let scene = RefusalScene::new().await;
    let (customer, number) = (scene.customer().to_owned(), scene.conversation.number.clone());
    let network = &scene.stage.network;
    let group = network.create_group(&customer, "friends", &[&number]).await.unwrap();
    scene.send(&group.jid, "still in").await;
    scene.await_arrival(&customer, "still in", LIMIT).await;
    network.change_group(&group.jid, &customer, loopback::Change::Remove, &[&number]).await.unwrap();
    let scene = scene.restart().await;
    let id = scene.send(&group.jid, "out").await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "refused", "code": 403 }));
}

/// The requests that go with a first message: who is there, which devices, their keys.
#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again_and_what_is_refused_fails_whatever_asked() {
    for xmlns in ["usync", "encrypt"] {
        let scene = RefusalScene::with(impatient).await;
        scene.fault(Fault::new(FaultKind::IqError).xmlns(xmlns).code(429).count(2)).await;
        let (passing, other) = (scene.customer().to_owned(), scene.conversation.customers[1].clone());
        scene.send(&passing, "not at once").await;
        scene.await_arrival(&passing, "not at once", LIMIT).await;

        scene.fault(Fault::new(FaultKind::IqError).xmlns(xmlns).code(403)).await;
        let id = scene.send(&other, "never").await;
        assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "refused", "code": 403 }), "{xmlns}");
        // Known devices, and sessions: no request is needed.
        scene.send(&passing, "at once").await;
        scene.await_arrival(&passing, "at once", LIMIT).await;
    }
}

/// WhatsApp refuses a message, and ends the line in the same moment: it has said no, and nobody sends it again over the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_counts_whatever_becomes_of_the_line() {
    let scene = RefusalScene::with(|stage| stage.set("LOOPBACK_PAUSE", "failing:1500")).await;
    let customer = scene.customer();
    scene.fault(Fault::new(FaultKind::IqError).xmlns("usync").code(403)).await;
    let id = scene.send(customer, "never").await;
    let is_refused = async || scene.stage.log().contains("a pause on purpose");
    until(LIMIT, "the refusal", is_refused).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    scene.stage.network.clear_faults().await;
    scene.fault(Fault::new(FaultKind::Drop)).await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "refused", "code": 403 }));
    let inbox = scene.stage.network.customer_inbox(customer).await.unwrap();
    assert!(inbox.is_empty(), "{inbox:?}");
}

/// The ack says no: for good, or for now.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_ack_is_final_or_passing_by_its_code() {
    let scene = RefusalScene::with(impatient).await;
    let (refused, passing) = (scene.customer().to_owned(), scene.conversation.customers[1].clone());
    scene.fault(Fault::new(FaultKind::ErrorAcks).chat(&refused).code(463)).await;
    scene.fault(Fault::new(FaultKind::ErrorAcks).chat(&passing).code(429).ms(1500)).await;
    let id = scene.send(&refused, "no").await;
    scene.send(&passing, "not now").await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "refused", "code": 463 }));
    scene.await_arrival(&passing, "not now", LIMIT).await;
}

/// WhatsApp takes the messages to one chat and never confirms them.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_never_confirmed_takes_nobody_down() {
    let scene = RefusalScene::with(|stage| {
        stage.set("SESSIOND_SESSION__ACK_TIMEOUT", "2s").set("SESSIOND_SESSION__SEND_ATTEMPTS", "3")
    })
    .await;
    let (silent, other) = (scene.customer().to_owned(), scene.conversation.customers[1].clone());
    scene.send(&other, "before").await;
    scene.await_arrival(&other, "before", LIMIT).await;
    scene.fault(Fault::new(FaultKind::WithholdAcks).chat(&silent)).await;
    // Not even a receipt.
    scene.stage.network.fault(Fault::new(FaultKind::Silence).target(&silent)).await.unwrap();
    let logins = scene.logins().await;
    let id = scene.send(&silent, "into silence").await;
    let behind = scene.send(&silent, "behind it").await;

    // Meanwhile the others talk on, on the same line.
    let began = Instant::now();
    let mut talked = 0;
    while scene.told(&id).is_none_or(|(status, _)| status != "failed") {
        assert!(began.elapsed() < LIMIT, "{:?}\n{}", scene.told(&id), scene.stage.log());
        let text = format!("meanwhile {talked}");
        scene.send(&other, &text).await;
        scene.await_arrival(&other, &text, Duration::from_secs(10)).await;
        talked += 1;
    }
    assert_eq!(scene.told(&id).unwrap().1, json!({ "reason": "unconfirmed" }));
    assert_eq!(
        scene.logins().await,
        logins,
        "the line was cut although WhatsApp confirmed others\n{}",
        scene.stage.log()
    );
    // The rest of that chat goes on, as soon as WhatsApp does.
    scene.stage.network.clear_faults().await;
    scene.await_arrival(&silent, "behind it", LIMIT).await;
    let sent = || async { scene.told(&behind).is_some_and(|(status, _)| status != "failed") };
    until(LIMIT, "the next one to be confirmed", sent).await.unwrap();
}

/// Nothing at all is confirmed: that is the line, and another one may be better.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_on_which_nothing_is_confirmed_is_cut_and_the_message_ends() {
    let scene = RefusalScene::with(|stage| {
        stage.set("SESSIOND_SESSION__ACK_TIMEOUT", "1s").set("SESSIOND_SESSION__SEND_ATTEMPTS", "3")
    })
    .await;
    scene.fault(Fault::new(FaultKind::WithholdAcks)).await;
    scene.stage.network.fault(Fault::new(FaultKind::Silence).target(scene.customer())).await.unwrap();
    let logins = scene.logins().await;
    let id = scene.send(scene.customer(), "into silence").await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "unconfirmed" }));
    assert!(scene.logins().await > logins, "the line was not cut");
    scene.stage.network.clear_faults().await;
    scene.send(&scene.conversation.customers[1], "well again").await;
    scene.await_arrival(&scene.conversation.customers[1], "well again", LIMIT).await;
}

/// Attempts are counted over lives: a process that dies again and again does not begin anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_go_on_with_a_message_for_ever() {
    let scene = RefusalScene::with(|stage| {
        stage.set("SESSIOND_SESSION__ACK_TIMEOUT", "1s").set("SESSIOND_SESSION__SEND_ATTEMPTS", "3")
    })
    .await;
    scene.fault(Fault::new(FaultKind::WithholdAcks)).await;
    scene.stage.network.fault(Fault::new(FaultKind::Silence).target(scene.customer())).await.unwrap();
    let id = scene.send(scene.customer(), "into silence").await;
    let tries = async || {
        let wire = scene.stage.network.messages(None).await.unwrap();
        wire.iter().find(|message| message.id == id).map_or(0, |message| message.seen)
    };
    until(LIMIT, "the second attempt", async || tries().await > 1).await.unwrap();
    let scene = scene.restart().await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "unconfirmed" }));
    let wire = scene.stage.network.messages(None).await.unwrap();
    let seen = wire.iter().find(|message| message.id == id).unwrap().seen;
    // The life that was cut short may not have counted its last.
    assert!(seen <= 4, "sent {seen} times");
}

/// Requests to one namespace are not answered: sixteen and more messages wait for them, and take nothing from the others.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_answered_stop_nobody() {
    let scene = RefusalScene::new().await;
    scene.send(scene.customer(), "before").await;
    scene.await_arrival(scene.customer(), "before", LIMIT).await;
    scene.fault(Fault::new(FaultKind::IqSilence).xmlns("w:g2")).await;
    for n in 0..20 {
        scene.send(&gone(n), &format!("into nothing {n}")).await;
    }
    scene.send(scene.customer(), "to somebody").await;
    scene.await_arrival(scene.customer(), "to somebody", Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_on_whatsapp_is_told_and_its_message_fails() {
    let scene = RefusalScene::new().await;
    let id = scene.send("573005550000", "is anybody there").await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "not_on_whatsapp" }));
    scene.send(scene.customer(), "but you are").await;
    scene.await_arrival(scene.customer(), "but you are", LIMIT).await;
}

/// WhatsApp does not say of a LID whether somebody has it, and would confirm what nobody gets.
#[tokio::test(flavor = "multi_thread")]
async fn a_lid_that_nobody_has_is_told_and_its_message_fails() {
    let scene = RefusalScene::new().await;
    let id = scene.send("1@lid", "is anybody there").await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "not_on_whatsapp" }));
    // Somebody who hides the number is there.
    scene.stage.network.hide_number(scene.customer(), true).await.unwrap();
    let network = &scene.stage.network;
    network.customer_send(scene.customer(), &scene.conversation.number, "hello").await.unwrap();
    let chat = || {
        let heard = scene.ear.heard();
        let received = heard.into_iter().find(|heard| heard.event == "message:received")?;
        Some(received.payload["message"]["chatId"].as_str()?.to_owned())
    };
    until(LIMIT, "the customer", async || chat().is_some()).await.unwrap();
    let chat = chat().unwrap();
    assert!(chat.ends_with("@lid"), "{chat}");
    // What it knew of devices goes with the process.
    let scene = scene.restart().await;
    scene.send(&chat, "you are").await;
    scene.await_arrival(scene.customer(), "you are", LIMIT).await;
}

/// One answer gets lost on the way. Its chat waits for seconds, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_holds_its_chat_for_seconds_only() {
    futures::future::join_all(["usync", "encrypt"].map(a_lost_answer)).await;
}

async fn a_lost_answer(xmlns: &'static str) {
    let scene = RefusalScene::new().await;
    scene.fault(Fault::new(FaultKind::IqSilence).xmlns(xmlns).chat(scene.customer()).count(1)).await;
    let begun = Instant::now();
    scene.send(scene.customer(), "to somebody").await;
    let other = &scene.conversation.customers[1];
    scene.send(other, "to another").await;
    scene.await_arrival(other, "to another", Duration::from_secs(5)).await;
    scene.await_arrival(scene.customer(), "to somebody", Duration::from_secs(25)).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{xmlns}: {:?}", begun.elapsed());
}

/// An id is that of one message: a client that gives one does not take a customer's.
#[tokio::test(flavor = "multi_thread")]
async fn a_customers_id_is_not_taken_for_an_own_message() {
    let scene = RefusalScene::new().await;
    let (customer, own) = (scene.customer(), &scene.conversation.number);
    let theirs = scene.stage.network.customer_send(customer, own, "hello").await.unwrap();
    let told = || async {
        let heard = scene.ear.heard();
        heard.iter().any(|heard| heard.event == "message:received" && heard.payload["message"]["id"] == *theirs)
    };
    until(LIMIT, "the customer's message", told).await.unwrap_or_else(|e| panic!("{e}\n{}", scene.stage.log()));
    let send = async |id: &str| {
        let body = json!({ "session": TENANT, "chatId": format!("{customer}@c.us"), "text": "hello", "id": id });
        scene.stage.dashboard.post("/api/sendText", body).await.unwrap()
    };
    let taken = send(&theirs).await;
    assert_eq!((taken.status, &taken.body["code"]), (409, &json!("id_taken")), "{}", taken.body);
    for _ in 0..2 {
        let free = send("3EB0ABCDEF0123456789AB").await;
        assert_eq!(free.status, 201, "{}", free.body);
    }
    scene.await_arrival(customer, "hello", LIMIT).await;
}

/// Messages to strangers find out who is on WhatsApp: they share the allowance of those who only ask. To people with whom there is a
/// conversation they do not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn messages_to_strangers_count_as_lookups() {
    const STRANGERS: usize = 64;
    let scene = RefusalScene::new().await;
    scene.send(scene.customer(), "before").await;
    scene.await_arrival(scene.customer(), "before", LIMIT).await;
    let mut tried = Vec::new();
    for n in 0..STRANGERS {
        tried.push(scene.send(&format!("5730055500{n:02}"), &format!("to a stranger {n}")).await);
    }
    let failed = || tried.iter().filter(|id| scene.told(id).is_some_and(|(status, _)| status == "failed")).count();
    let most = until(LIMIT, "most of them to fail", async || failed() >= 58).await;
    most.unwrap_or_else(|error| panic!("{error}: {}\n{}", failed(), scene.stage.log()));
    let mut answers = Vec::new();
    for n in 0..8 {
        let path = format!("/api/contacts/check-exists?session={TENANT}&phone=5730055600{n:02}");
        answers.push(scene.stage.dashboard.get(&path).await.unwrap().status);
    }
    assert!(answers.contains(&429), "their lookups are not counted: {answers:?}");
    // The devices that it knew go with the process; the conversation stays.
    scene.send(scene.customer(), "no stranger").await;
    scene.await_arrival(scene.customer(), "no stranger", LIMIT).await;
}

/// It was on the wire when the daemon died, and its time was over when the next one came: nobody may say that it was not sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_left_in_an_earlier_life_is_not_called_expired() {
    let scene = RefusalScene::new().await;
    scene.send(scene.customer(), "first words").await;
    scene.await_arrival(scene.customer(), "first words", LIMIT).await;
    // The acks and receipts of it come too late for this life.
    scene.fault(Fault::new(FaultKind::Latency).ms(8000)).await;
    let body = json!({ "tenantId": TENANT, "to": scene.customer(), "text": "on the wire", "ttl": 3 });
    let accepted = Instant::now();
    let answer = scene.stage.dashboard.post("/api/baileys/send", body).await.unwrap();
    let id = answer.body["messageId"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned();
    scene.await_arrival(scene.customer(), "on the wire", LIMIT).await;
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.stage.network.clear_faults().await;
    until(LIMIT, "its time to be over", async || accepted.elapsed() > Duration::from_secs(4)).await.unwrap();
    let daemon = scene.stage.start().await;
    let scene = RefusalScene { daemon, ..scene };
    let delivered = async || scene.told(&id).is_some_and(|(status, _)| status == "delivered");
    let told = until(LIMIT, "the receipt", delivered).await;
    told.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", scene.told(&id), scene.stage.log()));
    let heard = scene.ear.heard();
    let reasons: Vec<_> = heard
        .iter()
        .filter(|heard| heard.payload["messageId"] == *id && heard.payload["failure"].is_object())
        .map(|heard| heard.payload["failure"]["reason"].clone())
        .collect();
    assert!(reasons.iter().all(|reason| *reason == json!("unconfirmed")), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_in_time_is_not_sent_later() {
    let scene = RefusalScene::new().await;
    // Accepted while the login is not over: as in a reconnect.
    scene.fault(Fault::new(FaultKind::Drop).ms(600_000)).await;
    let starting = async || {
        let status = scene.stage.dashboard.get(&format!("/api/baileys/status?tenantId={TENANT}")).await.unwrap();
        status.body["connected"] != json!(true)
    };
    until(LIMIT, "the line to drop", starting).await.unwrap();
    let body = json!({ "tenantId": TENANT, "to": scene.customer(), "text": "today only", "ttl": 1 });
    let answer = scene.stage.dashboard.post("/api/baileys/send", body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let id = answer.body["messageId"].as_str().unwrap();
    let later = scene.send(scene.customer(), "still good tomorrow").await;
    assert_eq!(scene.await_failure(id, LIMIT).await, json!({ "reason": "expired" }));
    scene.stage.network.clear_faults().await;
    scene.await_arrival(scene.customer(), "still good tomorrow", LIMIT).await;
    let inbox = scene.stage.network.customer_inbox(scene.customer()).await.unwrap();
    let texts: BTreeSet<_> = inbox.iter().filter_map(|received| received.text.as_deref()).collect();
    assert_eq!(texts, BTreeSet::from(["still good tomorrow"]));
    assert!(scene.told(&later).is_none_or(|(status, _)| status != "failed"));
}

/// It was on its way when the vault stalled, and its time was over before the vault answered.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_vault_held_up_for_too_long_does_not_leave() {
    let scene = RefusalScene::new().await;
    scene.send(scene.customer(), "before").await;
    scene.await_arrival(scene.customer(), "before", LIMIT).await;
    let vault = rusqlite::Connection::open(scene.stage.path("cloud").join("vault.db")).unwrap();
    vault.busy_timeout(LIMIT).unwrap();
    vault.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({ "tenantId": TENANT, "to": scene.customer(), "text": "today only", "ttl": 1 });
    let accepting = scene.stage.dashboard.post("/api/baileys/send", body);
    let over = async {
        let later = Instant::now() + Duration::from_secs(3);
        until(LIMIT, "its time", async || Instant::now() > later).await.unwrap();
        vault.execute_batch("ROLLBACK").unwrap();
    };
    let (answer, ()) = tokio::join!(accepting, over);
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let id = answer.body["messageId"].as_str().unwrap();
    scene.send(scene.customer(), "still good").await;
    scene.await_arrival(scene.customer(), "still good", LIMIT).await;
    let inbox = scene.stage.network.customer_inbox(scene.customer()).await.unwrap();
    let texts: Vec<_> = inbox.iter().filter_map(|received| received.text.as_deref()).collect();
    assert_eq!(texts, ["before", "still good"], "{}", scene.stage.log());
    assert_eq!(scene.await_failure(id, LIMIT).await, json!({ "reason": "expired" }));
}

/// WhatsApp ends the stream whenever it is asked about that group: each such attempt counts, and the tenant is well again.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_questions_end_the_line_ends_itself() {
    let scene = RefusalScene::with(|stage| stage.set("SESSIOND_SESSION__SEND_ATTEMPTS", "3")).await;
    scene.fault(Fault::new(FaultKind::IqDrop).xmlns("w:g2")).await;
    let logins = scene.logins().await;
    let id = scene.send(&gone(1), "poison").await;
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "unconfirmed" }));
    let lost = scene.logins().await - logins;
    assert!(lost >= 2, "it did not end the line: {lost}");
    scene.send(scene.customer(), "well again").await;
    scene.await_arrival(scene.customer(), "well again", LIMIT).await;
}

/// Unlinked, and paired anew with another phone: what the first account was to say is not said by the second.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_for_one_account_is_not_sent_by_another() {
    let scene = RefusalScene::new().await;
    scene.fault(Fault::new(FaultKind::Drop).ms(600_000)).await;
    let starting = async || !scene.stage.dashboard.is_connected(TENANT).await;
    until(LIMIT, "the line to drop", starting).await.unwrap();
    let id = scene.send(scene.customer(), "from the old number").await;
    let unlinked = scene.stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    assert_eq!(unlinked.status, 200, "{}", unlinked.body);
    let change = "/api/sessions/trattoria/account/change";
    let allowed = scene.stage.dashboard.put(change, json!({ "conversations": "keep" })).await.unwrap();
    assert_eq!(allowed.status, 200, "{}", allowed.body);
    let phone = scene.stage.network.add_phone(Some("another phone".into())).await;
    let qr = scene.stage.dashboard.qr(TENANT).await.unwrap();
    scene.stage.network.scan(&phone.number, &qr).await.unwrap();
    assert_eq!(scene.await_failure(&id, LIMIT).await, json!({ "reason": "other_account" }));
    until(LIMIT, "the new account", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
    scene.send(scene.customer(), "from the new number").await;
    scene.await_arrival(scene.customer(), "from the new number", LIMIT).await;
    let inbox = scene.stage.network.customer_inbox(scene.customer()).await.unwrap();
    assert!(inbox.iter().all(|received| received.text.as_deref() == Some("from the new number")), "{inbox:?}");
}
