//! The bot at work on the whole daemon: customers of the loopback network write, and what they get, what the kitchen gets, and what
//! consumers hear is watched.

mod another_account;
mod crowd;
mod customers;
mod death;
mod documents;
mod kitchen;
mod language_model;
mod manners;
mod mirror;
mod owner;
mod pacing;
mod restored;
mod rules;
mod settings;
mod trouble;

use std::time::Duration;

use serde_json::{Value, json};
use sessiond::demo::{Conversation, Process, until};

use crate::{
    consumers::webhooks::ask,
    support::stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";

/// How long a silence must last to be one, where nothing else can tell: many times what an answer takes.
const SILENCE: Duration = Duration::from_secs(2);

/// A tenant that is paired, with a menu, whose bot is on.
struct Scene {
    stage: Stage,
    conversation: Conversation,
    daemon: Process,
}

fn menu(ajiaco: u64) -> Value {
    json!({
        "name": "Carta",
        "items": [
            { "id": "aji", "name": "Ajiaco", "price": ajiaco, "category": "Sopas" },
            { "id": "ban", "name": "Bandeja paisa", "price": 32000, "category": "Platos" },
            { "id": "lim", "name": "Limonada natural", "price": 7000, "category": "Bebidas" },
        ],
    })
}

fn settings() -> Value {
    json!({ "name": "Trattoria", "active": true, "gatherMs": 100, "askContactPhone": false, "humanize": false,
        "pacing": { "enabled": false } })
}

/// What a customer says to order, one thing after the other; each is answered.
const ORDER: [&str; 4] = ["quiero dos ajiacos", "y una limonada natural", "listo, eso es todo", "paso a recogerlo"];

impl Scene {
    async fn open(home: Home) -> Option<Self> {
        Self::open_on(Stage::new(home).await?).await
    }

    async fn open_on(stage: Stage) -> Option<Self> {
        let daemon = stage.start().await;
        let conversation = stage.pair(TENANT).await;
        let scene = Self { stage, conversation, daemon };
        scene.ok("PUT", "menu", Some(menu(24_000))).await;
        scene.ok("PUT", "settings", Some(settings())).await;
        Some(scene)
    }

    /// Asks for something of the bot's.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        ask(&self.stage, method, &format!("/api/{TENANT}/bot/{path}"), body).await
    }

    async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}\n{}", self.stage.log());
        answer
    }

    fn customer(&self, nth: usize) -> String {
        self.conversation.customers[nth].clone()
    }

    async fn says(&self, customer: &str, text: &str) -> String {
        self.stage.network.customer_send(customer, &self.conversation.number, text).await.unwrap()
    }

    /// All that a customer has got, in its order.
    async fn got(&self, customer: &str) -> Vec<String> {
        got(&self.stage, customer).await
    }

    /// The customer says something and waits for what comes; gives that.
    async fn talk(&self, customer: &str, text: &str) -> Vec<String> {
        let before = self.got(customer).await.len();
        self.says(customer, text).await;
        self.await_more(customer, before, text).await
    }

    async fn await_more(&self, customer: &str, before: usize, why: &str) -> Vec<String> {
        let more = until(LIMIT, why, async || self.got(customer).await.len() > before).await;
        more.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
        self.got(customer).await.split_off(before)
    }

    /// Orders as [`ORDER`] has it; gives the summary.
    async fn order_up_to_the_summary(&self, customer: &str) -> String {
        let mut last = Vec::new();
        for text in ORDER {
            last = self.talk(customer, text).await;
        }
        let summary = last.join("\n");
        assert!(summary.contains("Resumen"), "{summary}");
        summary
    }

    async fn orders(&self) -> Vec<Value> {
        self.ok("GET", "orders", None).await["orders"].as_array().unwrap().clone()
    }

    fn chat(&self, nth: usize) -> String {
        format!("{}@c.us", self.customer(nth))
    }
}

async fn got(stage: &Stage, customer: &str) -> Vec<String> {
    let inbox = stage.network.customer_inbox(customer).await.unwrap();
    inbox.into_iter().map(|received| received.text.unwrap_or_default()).collect()
}

/// Replies without what differs from one talk to another: the order's number, the time of the day, the customer's name.
fn masked(replies: &[String]) -> Vec<String> {
    let number = regex::Regex::new("#[0-9a-f]{6}").unwrap();
    let greeting = regex::Regex::new("Buenos días|Buenas tardes|Buenas noches").unwrap();
    let name = regex::Regex::new("Customer [0-9]+").unwrap();
    let masked = |reply: &String| {
        let reply = number.replace_all(reply, "#");
        name.replace_all(&greeting.replace_all(&reply, "Buenas"), "Customer").into_owned()
    };
    replies.iter().map(masked).collect()
}
