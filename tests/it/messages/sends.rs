//! What was accepted leaves by itself: once, in the order in which it was accepted, whatever becomes of the client, of the vault
//! and of the process.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt as _, future::join_all, stream};
use loopback::{Fault, FaultKind};
use rusqlite::Connection;
use serde_json::{Value, json};
use sessiond::demo::{Conversation, until};
use tokio::time::sleep;

use crate::support::{
    emulator,
    proxy::{Mode, Proxy},
    stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";

/// As long as a client that waits for its answer waits.
const PATIENT: Duration = Duration::from_secs(30);

struct SendScene {
    stage: Stage,
    /// In front of Firestore.
    proxy: Option<Proxy>,
    client: reqwest::Client,
}

/// While it lives the vault takes what it is given and does not say so.
enum Stall {
    Firestore,
    /// Holds the lock that the embedded vault needs for a write.
    Embedded(Connection),
}

/// A message as its customer has it.
#[derive(Debug)]
struct Arrived {
    id: String,
    text: String,
    arrivals: u32,
}

impl SendScene {
    async fn new(home: Home) -> Option<Self> {
        let stage = Stage::new(home).await?;
        let (stage, proxy) = match home {
            Home::Embedded => (stage, None),
            Home::Emulator => {
                let proxy = Proxy::start(&emulator::host()?).await;
                (stage.set("FIRESTORE_EMULATOR_HOST", proxy.address()), Some(proxy))
            }
        };
        Some(Self { stage, proxy, client: reqwest::Client::new() })
    }

    fn stall(&self) -> Stall {
        match &self.proxy {
            Some(proxy) => {
                proxy.set(Mode::Stall);
                Stall::Firestore
            }
            None => {
                let vault = Connection::open(self.stage.path("cloud").join("vault.db")).unwrap();
                vault.busy_timeout(Duration::from_secs(5)).unwrap();
                vault.execute_batch("BEGIN IMMEDIATE").unwrap();
                Stall::Embedded(vault)
            }
        }
    }

    fn end(&self, stall: Stall) {
        match stall {
            Stall::Firestore => self.proxy.as_ref().unwrap().set(Mode::Pass),
            Stall::Embedded(vault) => vault.execute_batch("ROLLBACK").unwrap(),
        }
    }

    /// `None`: the client has left before there was an answer.
    async fn send(&self, key: &str, to: &str, text: &str, patience: Duration) -> Option<(u16, Value)> {
        let setup = &self.stage.setup;
        let request = self
            .client
            .post(format!("http://{}/api/baileys/send", setup.address))
            .header("X-Api-Key", &setup.admin_key)
            .header("Idempotency-Key", key)
            .timeout(patience)
            .json(&json!({ "tenantId": TENANT, "to": to, "text": text }));
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    async fn accepted(&self, key: &str, to: &str, text: &str) -> String {
        let (status, body) = self.send(key, to, text, PATIENT).await.expect("an answer");
        assert_eq!(status, 200, "{key}: {body}\n{}", self.stage.log());
        body["messageId"].as_str().unwrap().to_owned()
    }

    /// What a customer has, in the order in which it came first.
    async fn inbox(&self, customer: &str) -> Vec<Arrived> {
        let inbox = self.stage.network.customer_inbox(customer).await.unwrap();
        let arrived = |received: loopback::Received| {
            Some(Arrived { id: received.id, text: received.text?, arrivals: received.arrivals })
        };
        inbox.into_iter().filter_map(arrived).collect()
    }

    async fn await_inbox(&self, customer: &str, messages: usize) -> Vec<Arrived> {
        let enough = async || self.inbox(customer).await.len() >= messages;
        if until(LIMIT, "the messages", enough).await.is_err() {
            let arrived: Vec<_> = self.inbox(customer).await.into_iter().map(|arrived| arrived.text).collect();
            panic!("{} of {messages} arrived: {arrived:?}\n{}", arrived.len(), self.stage.log());
        }
        self.inbox(customer).await
    }
}

async fn clients_leave(home: Home) {
    let Some(scene) = SendScene::new(home).await else { return };
    let mut daemon = scene.stage.start().await;
    let conversation = scene.stage.pair(TENANT).await;
    let customer = &conversation.customers[0];
    scene.accepted("before", customer, "before").await;
    scene.await_inbox(customer, 1).await;

    let stall = scene.stall();
    let keys: Vec<String> = (0..20).map(|n| format!("left-{n}")).collect();
    // Each leaves before the vault has answered.
    let patience = Duration::from_millis(1500);
    let left = join_all(keys.iter().map(|key| scene.send(key, customer, key, patience))).await;
    assert!(left.iter().all(Option::is_none), "{left:?}");
    scene.end(stall);

    let arrived = scene.await_inbox(customer, 1 + keys.len()).await;
    let ids: HashMap<&str, &str> = arrived.iter().map(|it| (it.text.as_str(), it.id.as_str())).collect();
    for key in &keys {
        assert_eq!(scene.accepted(key, customer, key).await, ids[key.as_str()], "{key} is another message now");
    }
    scene.accepted("after", customer, "after").await;
    let arrived = scene.await_inbox(customer, 2 + keys.len()).await;
    assert!(arrived.len() == 2 + keys.len() && arrived.iter().all(|it| it.arrivals == 1), "{arrived:?}");
    assert!(daemon.has_ended().is_ok_and(|ended| !ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_while_the_vault_stalls_lose_nothing() {
    clients_leave(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_while_firestore_stalls_lose_nothing() {
    clients_leave(Home::Emulator).await;
}

async fn a_thousand(home: Home) {
    const SENDS: usize = 1000;
    let Some(scene) = SendScene::new(home).await else { return };
    let _daemon = scene.stage.start().await;
    let mut conversation = scene.stage.pair(TENANT).await;
    while conversation.customers.len() < 10 {
        conversation.customers.push(scene.stage.network.add_customer().await);
    }
    let customers = &conversation.customers;
    for customer in customers {
        scene.accepted(customer, customer, "before").await;
    }
    for customer in customers {
        scene.await_inbox(customer, 1).await;
    }

    let stall = scene.stall();
    let sends = stream::iter(0..SENDS).map(|n| {
        let (scene, text) = (&scene, format!("offer {n}"));
        async move { (n, scene.send(&text, &customers[n % customers.len()], &text, PATIENT).await) }
    });
    let sends = sends.buffer_unordered(600).collect::<Vec<_>>();
    let over = async {
        sleep(Duration::from_secs(2)).await;
        scene.end(stall);
    };
    let (answers, ()) = tokio::join!(sends, over);
    let is_accepted = |answer: &Option<(u16, Value)>| matches!(answer, Some((200, _)));
    let others: Vec<usize> = answers.iter().filter(|(_, answer)| !is_accepted(answer)).map(|(n, _)| *n).collect();
    eprintln!("{} of {SENDS} were accepted at once", SENDS - others.len());
    // Whoever was refused, or heard nothing, repeats his own with its key.
    let repeats = stream::iter(others).map(|n| {
        let (scene, text) = (&scene, format!("offer {n}"));
        async move {
            let taken = async || is_accepted(&scene.send(&text, &customers[n % customers.len()], &text, PATIENT).await);
            until(2 * LIMIT, &text, taken).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
        }
    });
    repeats.buffer_unordered(20).collect::<()>().await;
    for (at, customer) in customers.iter().enumerate() {
        let arrived = scene.await_inbox(customer, 1 + SENDS / customers.len()).await;
        let texts: std::collections::HashSet<&str> = arrived.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts.len(), arrived.len(), "one text under several ids: {arrived:?}");
        assert!(arrived.iter().all(|it| it.arrivals == 1), "{arrived:?}");
        let lost = (at..SENDS).step_by(customers.len()).find(|n| !texts.contains(format!("offer {n}").as_str()));
        assert_eq!(lost, None, "accepted and not sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sends_while_the_vault_stalls_are_all_sent() {
    a_thousand(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sends_while_firestore_stalls_are_all_sent() {
    a_thousand(Home::Emulator).await;
}

/// The texts, each where it came first.
fn texts(arrived: &[Arrived]) -> Vec<&str> {
    arrived.iter().map(|it| it.text.as_str()).collect()
}

async fn order_over_a_restart(home: Home) {
    let Some(scene) = SendScene::new(home).await else { return };
    let daemon = scene.stage.start().await;
    let Conversation { customers, number, .. } = scene.stage.pair(TENANT).await;
    let customer = &customers[0];
    scene.accepted("first", customer, "0").await;
    scene.await_inbox(customer, 1).await;

    // The lane waits for an ack of the first of them, or a receipt; the others are accepted and stay here.
    scene.stage.network.fault(Fault::new(FaultKind::WithholdAcks).target(&number)).await.unwrap();
    scene.stage.network.fault(Fault::new(FaultKind::Silence).target(customer)).await.unwrap();
    for n in 1..=6 {
        scene.accepted(&format!("early-{n}"), customer, &n.to_string()).await;
    }
    daemon.kill().await.unwrap();
    scene.stage.network.clear_faults().await;
    scene.stage.wipe_local_data();
    let _daemon = scene.stage.start().await;
    for n in 7..=9 {
        // As soon as the port is open, and so perhaps before the login is over.
        scene.accepted(&format!("late-{n}"), customer, &n.to_string()).await;
    }
    let arrived = scene.await_inbox(customer, 10).await;
    assert_eq!(texts(&arrived), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "{}", scene.stage.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_what_was_accepted_in_a_former_life() {
    order_over_a_restart(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_what_was_accepted_in_a_former_life_with_firestore() {
    order_over_a_restart(Home::Emulator).await;
}

/// The vault takes the message, its answer is lost, and the process dies: nobody can have known whether it would be sent, and
/// nobody may have said that it would not.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_still_be_sent_is_not_called_refused() {
    let Some(scene) = SendScene::new(Home::Emulator).await else { return };
    let daemon = scene.stage.start().await;
    let conversation = scene.stage.pair(TENANT).await;
    let customer = &conversation.customers[0];
    scene.accepted("before", customer, "before").await;
    scene.await_inbox(customer, 1).await;
    // What became of that one is written, too: the next answer of the vault is that to what comes now.
    let writes = async || scene.stage.health().await.1["vault"]["writes"].clone();
    let quiet = async || {
        let before = writes().await;
        sleep(Duration::from_secs(1)).await;
        writes().await == before
    };
    until(LIMIT, "the vault to be quiet", quiet).await.unwrap();

    scene.proxy.as_ref().unwrap().set(Mode::LoseAnswers);
    let (status, body) = scene.send("unsure", customer, "unsure", PATIENT).await.unwrap();
    let (later, refusal) = scene.send("refused", customer, "refused", PATIENT).await.unwrap();
    daemon.kill().await.unwrap();
    scene.proxy.as_ref().unwrap().set(Mode::Pass);
    let _daemon = scene.stage.start().await;

    assert_eq!((status, body["code"].as_str()), (503, Some("send_outcome_unknown")), "{body}");
    let arrived = scene.await_inbox(customer, 2).await;
    assert_eq!(texts(&arrived), ["before", "unsure"]);
    assert_eq!(body["messageId"].as_str(), Some(arrived[1].id.as_str()), "{body}");
    // With the same key it is the same message.
    assert_eq!(scene.accepted("unsure", customer, "unsure").await, arrived[1].id);
    // By then it was known that the vault does not answer: that one was refused, and it is true.
    assert_eq!((later, refusal["code"].as_str()), (503, Some("vault_down")), "{refusal}");
    scene.accepted("after", customer, "after").await;
    let arrived = scene.await_inbox(customer, 3).await;
    assert_eq!(texts(&arrived), ["before", "unsure", "after"]);
}

/// What has waited goes as quickly as the vault and WhatsApp take it; the courier itself is no brake.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_waiting_messages_are_sent_in_order() {
    const CHATS: usize = 20;
    const EACH: usize = 100;
    let Some(scene) = SendScene::new(Home::Embedded).await else { return };
    let daemon = scene.stage.start().await;
    let Conversation { number, mut customers, .. } = scene.stage.pair(TENANT).await;
    while customers.len() < CHATS {
        customers.push(scene.stage.network.add_customer().await);
    }
    for customer in &customers {
        scene.accepted(customer, customer, "0").await;
        scene.await_inbox(customer, 1).await;
    }
    scene.stage.network.fault(Fault::new(FaultKind::Drop).target(&number).ms(600_000)).await.unwrap();
    let dropped = async || !scene.stage.dashboard.is_connected(TENANT).await;
    until(LIMIT, "the line to drop", dropped).await.unwrap();
    stream::iter(&customers)
        .for_each_concurrent(CHATS, async |customer| {
            for n in 1..=EACH {
                scene.accepted(&format!("{customer}-{n}"), customer, &n.to_string()).await;
            }
        })
        .await;
    daemon.kill().await.unwrap();
    scene.stage.network.clear_faults().await;
    let began = std::time::Instant::now();
    let _daemon = scene.stage.start().await;
    for customer in &customers {
        let arrived = scene.await_inbox(customer, 1 + EACH).await;
        let expected: Vec<String> = (0..=EACH).map(|n| n.to_string()).collect();
        assert_eq!(texts(&arrived), expected, "{customer}");
    }
    let took = began.elapsed();
    println!(
        "{} messages in {took:?}, the start included: {:.0}/s",
        CHATS * EACH,
        (CHATS * EACH) as f64 / took.as_secs_f64()
    );
}
