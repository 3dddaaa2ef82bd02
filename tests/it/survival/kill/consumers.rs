//! What consumers of events got: dashboards over Socket.IO, one of them with the real client, and a webhook's receiver that is flaky.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use anyhow::ensure;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Dashboard, Heard, until};

use crate::support::{
    node::{Script, program},
    receiver::{Answer, Post, Receiver, status},
    stage::LIMIT,
};

/// Texts by chat, in the order in which a consumer saw them first.
type Chats = BTreeMap<String, Vec<String>>;

/// Customers' messages of which no dashboard has heard.
pub fn unheard(conversations: &[Conversation], heard: &[Heard]) -> usize {
    let events = heard.iter().filter(|heard| heard.event == "message:received");
    let heard: HashSet<&str> = events.filter_map(|heard| heard.payload["message"]["id"].as_str()).collect();
    let written = conversations.iter().flat_map(|conversation| &conversation.written);
    written.filter(|written| !heard.contains(written.id.as_str())).count()
}

/// A web page with the real Socket.IO client, which goes on at its cursor.
pub struct Page(Script);

impl Page {
    /// `None`: Node is missing, and that has been said.
    pub fn open(dashboard: &Dashboard, key: &str, tenant: &str) -> Option<Self> {
        let (url, beginning) = (format!("http://{}", dashboard.address()), ulid::Ulid::nil().to_string());
        let folder = program("socketio")?;
        Some(Self(Script::start(&folder, &["client.mjs", &url, key, tenant, &beginning, "websocket"])))
    }

    /// Until it saw each message of the customers, in its chat's order; panics when it does not.
    pub async fn await_all(&mut self, conversation: &Conversation) {
        let wanted = written(conversation);
        let (mut seen, mut events) = (Chats::new(), HashSet::new());
        let all = |line: &Value| {
            let message = &line["payload"]["message"];
            let event = line["payload"]["eventId"].as_str().unwrap_or_default().to_owned();
            if line["event"] == "message:received" && events.insert(event) {
                let from = message["from"].as_str().unwrap_or_default().trim_start_matches('+').to_owned();
                seen.entry(from).or_default().push(message["text"].as_str().unwrap_or_default().to_owned());
            }
            seen == wanted
        };
        self.0.line(LIMIT, all).await;
    }
}

fn written(conversation: &Conversation) -> Chats {
    let mut chats = Chats::new();
    for written in &conversation.written {
        chats.entry(written.customer.clone()).or_default().push(written.text.clone());
    }
    chats
}

/// A receiver of a tenant's webhook, which refuses two of five posts.
pub struct Hook(Receiver);

impl Hook {
    pub async fn add(dashboard: &Dashboard, tenant: &str, seed: u64) -> Self {
        let receiver = Receiver::start().await;
        receiver.answers(flaky(seed));
        let retries = json!({ "policy": "constant", "delaySeconds": 0.05, "attempts": 100 });
        let hook = json!({ "webhooks": [{ "url": receiver.url(), "events": ["message"], "retries": retries }] });
        let settings = dashboard.put(&format!("/api/{tenant}/webhooks"), hook).await.expect("the daemon is there");
        assert_eq!(settings.status, 200, "{}", settings.body);
        Self(receiver)
    }

    /// Until each message of the customers was posted, once and in its chat's order.
    pub async fn await_all(&self, conversation: &Conversation) -> anyhow::Result<()> {
        let wanted = written(conversation);
        let posted = || posted(&self.0.posts()).is_ok_and(|posted| posted == wanted);
        let all = until(LIMIT, "the webhook's posts", || std::future::ready(posted())).await;
        ensure!(all.is_ok(), "posted were {:#?} instead of {wanted:#?}", self::posted(&self.0.posts())?);
        Ok(())
    }
}

fn flaky(seed: u64) -> impl Fn(&Value) -> Answer + Send + Sync + 'static {
    let luck = Mutex::new(StdRng::seed_from_u64(seed));
    move |_| {
        let mut luck = luck.lock().expect("nothing panics under it");
        let after = Duration::from_millis(luck.random_range(0..20));
        let code = [200, 200, 204, 500, 503][luck.random_range(0..5)];
        Answer { after, ..status(code) }
    }
}

/// What was posted and taken, by chat. A repeat has the id of the event that it repeats, and a message is one event.
fn posted(posts: &[Post]) -> anyhow::Result<Chats> {
    let (mut chats, mut events, mut of_message) = (Chats::new(), HashSet::new(), HashMap::new());
    for post in posts.iter().filter(|post| post.taken && post.json["event"] == "message") {
        let payload = &post.json["payload"];
        let message = payload["id"].as_str().unwrap_or_default();
        let known = *of_message.entry(message).or_insert(post.id());
        ensure!(known == post.id(), "message {message} was posted as two events");
        if events.insert(post.id()) {
            let from = payload["from"].as_str().unwrap_or_default().trim_end_matches("@c.us");
            chats.entry(from.to_owned()).or_default().push(post.text().to_owned());
        }
    }
    Ok(chats)
}
