//! All consumers at once, and the daemon dies again and again, with its disk: customers write, a dashboard sends under
//! idempotency keys, a webhook's receiver is flaky, Socket.IO clients go on at their cursors. Each thing arrives once, everywhere,
//! in its chat's order. Runs are named by their seeds; `KILL_SEED=…` runs that one alone, `KILL_SCALE=…` so many times more.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use futures::{StreamExt as _, future::join_all, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Dashboard, Heard, until};

use crate::support::{
    heavy,
    node::{Script, program},
    receiver::{Answer, Receiver, status},
    stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";

/// Texts by chat, in the order in which a consumer saw them first.
type TextsByChat = BTreeMap<String, Vec<String>>;

/// A message that the dashboard wanted sent.
struct Sent {
    customer: String,
    text: String,
    key: String,
    id: String,
}

/// A dashboard that sends to one customer, one after the other, and repeats each under its key until it is accepted.
async fn send_all(dashboard: Dashboard, customer: String, pauses: Vec<u64>) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (n, pause) in pauses.into_iter().enumerate() {
        let (text, key) = (format!("answer {n} to {customer}"), format!("{customer}-{n}"));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let accepted = async {
            loop {
                match dashboard.send(TENANT, &customer, &text, &key).await {
                    Ok(id) => break id,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let id = tokio::time::timeout(LIMIT, accepted).await.unwrap_or_else(|_| panic!("{text} is not accepted"));
        sent.push(Sent { customer: customer.clone(), text, key, id });
    }
    sent
}

/// What customers wrote, by chat.
fn written(conversation: &Conversation) -> TextsByChat {
    let mut chats = TextsByChat::new();
    for written in &conversation.written {
        chats.entry(written.customer.clone()).or_default().push(written.text.clone());
    }
    chats
}

/// Sorts what a consumer saw, (event id, message id, chat, text), into chats. A repeat has the id of the event that it repeats,
/// and a message is one event.
fn sorted<'a>(seen: impl Iterator<Item = (&'a str, &'a str, &'a str, &'a str)>) -> TextsByChat {
    let (mut chats, mut events, mut of_message) = (TextsByChat::new(), HashSet::new(), HashMap::new());
    for (event, message, chat, text) in seen {
        let known = *of_message.entry(message).or_insert(event);
        assert_eq!(known, event, "message {message} is two events");
        if events.insert(event) {
            chats.entry(chat.to_owned()).or_default().push(text.to_owned());
        }
    }
    chats
}

/// What a Socket.IO client saw of customers' messages.
fn received<'a>(heard: impl Iterator<Item = (&'a str, &'a Value)>) -> TextsByChat {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    sorted(heard.filter(|(event, _)| *event == "message:received").map(|(_, payload)| {
        let message = &payload["message"];
        let from = text(&message["from"]).trim_start_matches('+');
        (text(&payload["eventId"]), text(&message["id"]), from, text(&message["text"]))
    }))
}

fn received_by_ear(heard: &[Heard]) -> TextsByChat {
    received(heard.iter().map(|heard| (heard.event.as_str(), &heard.payload)))
}

fn received_by_hook(receiver: &Receiver) -> TextsByChat {
    let posts = receiver.posts();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let seen: Vec<_> = posts
        .iter()
        .filter(|post| post.taken && post.json["event"] == "message")
        .map(|post| {
            let payload = &post.json["payload"];
            let from = text(&payload["from"]).trim_end_matches("@c.us").to_owned();
            (post.id().to_owned(), text(&payload["id"]), from, post.text().to_owned())
        })
        .collect();
    sorted(seen.iter().map(|(event, id, chat, text)| (event.as_str(), id.as_str(), chat.as_str(), text.as_str())))
}

fn flaky(seed: u64) -> impl Fn(&Value) -> Answer + Send + Sync + 'static {
    let luck = Mutex::new(StdRng::seed_from_u64(seed));
    move |_| {
        let mut luck = luck.lock().unwrap();
        let after = Duration::from_millis(luck.random_range(0..20));
        let code = [200, 200, 204, 500, 503][luck.random_range(0..5)];
        Answer { after, ..status(code) }
    }
}

async fn run(home: Home, seed: u64) {
    println!("seed {seed} on {home:?}");
    let mut rng = StdRng::seed_from_u64(seed);
    let Some(stage) = Stage::new(home).await else { return };
    // What consumers catch up with has left the state by then.
    let stage = stage.set("SESSIOND_MESSAGES__LIVE_EVENTS", "20");
    let stage = stage.set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "10").set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32");
    let mut daemon = stage.start().await;
    let mut conversation = stage.pair(TENANT).await;
    let receiver = Receiver::start().await;
    receiver.answers(flaky(seed + 1));
    let retries = json!({ "policy": "constant", "delaySeconds": 0.05, "attempts": 100 });
    let hook = json!({ "webhooks": [{ "url": receiver.url(), "events": ["message"], "retries": retries }] });
    let settings = stage.dashboard.put(&format!("/api/{TENANT}/webhooks"), hook).await.unwrap();
    assert_eq!(settings.status, 200, "{}", settings.body);
    let ear = stage.listen(std::slice::from_ref(&conversation));
    let mut page = program("socketio").map(|folder| {
        let (url, beginning) = (format!("http://{}", stage.setup.address), ulid::Ulid::nil().to_string());
        Script::start(&folder, &["client.mjs", &url, &stage.setup.admin_key, TENANT, &beginning, "websocket"])
    });

    let (deaths, wipes) = (rng.random_range(1..=2), rng.random_range(0..4) > 0);
    let moments: Vec<u64> = (0..deaths).map(|_| rng.random_range(0..500)).collect();
    let mut pauses = |n: usize| -> Vec<u64> { (0..n).map(|_| rng.random_range(0..40)).collect() };
    let writing = pauses(8);
    let senders =
        join_all(conversation.customers.iter().map(|to| send_all(stage.dashboard.clone(), to.clone(), pauses(6))));
    let customers = async {
        for pause in writing {
            conversation.customers_write(&stage.network, 1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    };
    let reaper = async {
        for moment in moments {
            tokio::time::sleep(Duration::from_millis(moment)).await;
            daemon.kill().await.unwrap();
            if wipes {
                stage.wipe_local_data();
            }
            daemon = stage.start().await;
        }
        daemon
    };
    let (sent, (), daemon) = tokio::join!(senders, customers, reaper);
    let sent: Vec<Sent> = sent.into_iter().flatten().collect();
    let written = written(&conversation);

    // Every customer's message reaches every consumer, once and in its chat's order.
    let heard = ear.until(LIMIT, |heard| received_by_ear(heard) == written).await;
    assert!(heard.is_ok(), "seed {seed}: {:#?} instead of {written:#?}", received_by_ear(&ear.heard()));
    let posted = until(LIMIT, "", || std::future::ready(received_by_hook(&receiver) == written)).await;
    assert!(posted.is_ok(), "seed {seed}: {:#?} instead of {written:#?}", received_by_hook(&receiver));
    if let Some(page) = &mut page {
        let mut lines = Vec::new();
        page.line(LIMIT, |line| {
            lines.push((line["event"].as_str().unwrap_or_default().to_owned(), line["payload"].clone()));
            received(lines.iter().map(|(event, payload)| (event.as_str(), payload))) == written
        })
        .await;
    }
    // Every accepted message arrives once, under the id that was answered, in its chat's order.
    for customer in &conversation.customers {
        let wanted: Vec<_> = sent.iter().filter(|sent| sent.customer == *customer).collect();
        let inbox = async || stage.network.customer_inbox(customer).await.unwrap();
        let all = async || inbox().await.len() >= wanted.len();
        until(LIMIT, "the answers", all).await.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", stage.log()));
        let inbox = inbox().await;
        let arrived: Vec<_> = inbox.iter().map(|one| (one.text.as_deref().unwrap_or_default(), &one.id)).collect();
        let wanted: Vec<_> = wanted.iter().map(|sent| (sent.text.as_str(), &sent.id)).collect();
        assert_eq!(arrived, wanted, "seed {seed}");
    }
    // Whoever repeats now, long after, is still told the same.
    for sent in &sent {
        let id = stage.dashboard.send(TENANT, &sent.customer, &sent.text, &sent.key).await.unwrap();
        assert_eq!(id, sent.id, "seed {seed}");
    }
    stage.assert_promises(std::slice::from_ref(&conversation)).await;
    daemon.kill().await.unwrap();
}

async fn runs(home: Home, seeds: std::ops::Range<u64>) {
    let _turn = heavy::turn().await;
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (only, scale) = (number("KILL_SEED"), number("KILL_SCALE").unwrap_or(1));
    let seeds = (seeds.start..seeds.start + (seeds.end - seeds.start) * scale)
        .filter(|seed| only.is_none_or(|only| only == *seed));
    // Two cores.
    stream::iter(seeds).map(|seed| run(home, seed)).buffer_unordered(3).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_consumer_gets_everything_once_whatever_dies() {
    runs(Home::Embedded, 20_000..20_045).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_consumer_gets_everything_once_with_firestore() {
    runs(Home::Emulator, 30_000..30_005).await;
}
