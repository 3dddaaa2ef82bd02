//! Many restaurants at once: their customers order, the owners talk in between, and the daemon is killed over and over, with its disk or
//! without. Each customer gets what a customer gets where nothing dies: each reply once, in its order, not sooner than a human writes it, and
//! none while the owner talks; and each restaurant has each order once.
//!
//! A few customers in CI; `BOT_RESTAURANTS`, `BOT_CUSTOMERS` and `BOT_SEEDS` make it as large as one likes. Runs are named by their seeds;
//! `KILL_SEED=…` runs that one alone.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, future::join_all, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sessiond::demo::until;
use tokio::time::Instant;

use super::{death::only, got, masked, menu, settings};
use crate::{
    consumers::webhooks::ask,
    support::{
        heavy,
        stage::{Home, LIMIT, Stage},
    },
};

/// Of the time that a human takes for a reply.
const PERCENT: u64 = 10;

/// No human reads, thinks and types in less, at 100 percent; without the part of a millisecond that clocks differ by.
const SHORTEST_MS: u64 = 1_500;
const CLOCKS_DIFFER_MS: u64 = 5;

const KILLS: usize = 3;

/// Answers that a customer gets, at the least.
const ANSWERS: usize = 5;

/// One page of the API has the orders of a restaurant.
const MOST_CUSTOMERS: usize = 50;

/// Tenants that pair at a time: each makes a set of pre-keys.
const PAIRINGS: usize = 8;

const OWNERS_WORD: &str = "hola, ya le colaboro";
/// The default of `backWord`.
const BACK_WORD: &str = "#bot";

/// What a customer does.
struct TalkScript {
    wish: &'static str,
    ajiacos: u64,
    /// The owner talks in between.
    is_interrupted: bool,
}

/// Customers take turns.
static SCRIPTS: [TalkScript; 4] = [
    TalkScript { wish: "quiero dos ajiacos", ajiacos: 2, is_interrupted: false },
    TalkScript { wish: "quiero un ajiaco", ajiacos: 1, is_interrupted: true },
    TalkScript { wish: "quiero un ajiaco", ajiacos: 1, is_interrupted: false },
    TalkScript { wish: "quiero dos ajiacos", ajiacos: 2, is_interrupted: true },
];

fn script(nth: usize) -> &'static TalkScript {
    &SCRIPTS[nth % SCRIPTS.len()]
}

fn setting(name: &str, usual: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(usual, |given| given.parse().unwrap_or_else(|_| panic!("{name}={given}: expected a number")))
}

struct Restaurant {
    tenant: String,
    /// The owner's.
    number: String,
    customers: Vec<String>,
}

impl Restaurant {
    async fn open(stage: &Stage, tenant: &str, customers: usize) -> Self {
        let conversation = stage.pair(tenant).await;
        let mut manners = settings();
        manners["humanize"] = json!(true);
        for (what, body) in [("menu", menu(24_000)), ("settings", manners)] {
            let (status, answer) = ask(stage, "PUT", &format!("/api/{tenant}/bot/{what}"), Some(body)).await;
            assert_eq!(status, 200, "{tenant}: {answer}");
        }
        let mut known = conversation.customers;
        while known.len() < customers {
            known.push(stage.network.add_customer().await);
        }
        known.truncate(customers);
        Self { tenant: tenant.to_owned(), number: conversation.number, customers: known }
    }

    fn talks<'t>(&'t self, stage: &'t Stage, crowd: &'t Crowd) -> impl Iterator<Item = Talk<'t>> {
        self.customers.iter().map(move |customer| Talk { stage, crowd, owner: &self.number, customer })
    }

    async fn orders(&self, stage: &Stage) -> Vec<Value> {
        let (status, answer) = ask(stage, "GET", &format!("/api/{}/bot/orders", self.tenant), None).await;
        assert_eq!(status, 200, "{answer}\n{}", stage.log());
        answer["orders"].as_array().unwrap().clone()
    }
}

/// All who talk at the same time.
struct Crowd {
    seed: u64,
    limit: Duration,
    /// Answers that have come.
    answered: AtomicUsize,
    is_over: AtomicBool,
}

impl Crowd {
    fn new(seed: u64, limit: Duration) -> Self {
        Self { seed, limit, answered: AtomicUsize::new(0), is_over: AtomicBool::new(false) }
    }

    /// So many answers have come, or all.
    async fn await_answers(&self, count: usize) {
        while self.answered.load(Ordering::Relaxed) < count && !self.is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Talk<'t> {
    stage: &'t Stage,
    crowd: &'t Crowd,
    owner: &'t str,
    customer: &'t str,
}

impl Talk<'_> {
    async fn got(&self) -> Vec<String> {
        got(self.stage, self.customer).await
    }

    async fn await_count(&self, count: usize, why: &str) {
        let Crowd { seed, limit, .. } = self.crowd;
        let come = until(*limit, why, async || self.got().await.len() >= count).await;
        come.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", self.stage.log()));
    }

    /// And waits for the answer.
    async fn say(&self, text: &str) {
        let before = self.got().await.len();
        let asked = Instant::now();
        self.stage.network.customer_send(self.customer, self.owner, text).await.unwrap();
        self.await_count(before + 1, text).await;
        let (seed, took) = (self.crowd.seed, asked.elapsed());
        let shortest = Duration::from_millis(SHORTEST_MS * PERCENT / 100 - CLOCKS_DIFFER_MS);
        assert!(took >= shortest, "seed {seed}: {text} was answered after {took:?}\n{}", self.stage.log());
        self.crowd.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// The owner writes, the customer writes to the owner, and the owner gives the chat back. Somebody who writes after that customer is
    /// answered: then the bot has read what she wrote.
    async fn owner_comes_between(&self) {
        let network = &self.stage.network;
        let before = self.got().await.len();
        network.phone_send(self.owner, self.customer, OWNERS_WORD).await.unwrap();
        self.await_count(before + 1, OWNERS_WORD).await;
        network.customer_send(self.customer, self.owner, "¿me escucha?").await.unwrap();
        let witness = network.add_customer().await;
        let talk = Talk { stage: self.stage, crowd: self.crowd, owner: self.owner, customer: &witness };
        talk.say("buenas").await;
        let seed = self.crowd.seed;
        let got = self.got().await;
        assert_eq!(
            got.len(),
            before + 1,
            "seed {seed}: {} was answered while the owner talks: {got:#?}\n{}",
            self.customer,
            self.stage.log()
        );
        network.phone_send(self.owner, self.customer, BACK_WORD).await.unwrap();
        self.await_count(before + 2, BACK_WORD).await;
    }

    /// The whole talk. How often the yes was said again: a daemon that dies after the summary has left, and before WhatsApp has said so, does
    /// not know that the yes came after it. It shows the summary again, and orders nothing.
    async fn hold(&self, script: &TalkScript) -> usize {
        self.say(script.wish).await;
        self.say("y una limonada natural").await;
        if script.is_interrupted {
            self.owner_comes_between().await;
            // The order was put aside: the bot asks whether it goes on.
            self.say("buenas").await;
            self.say("sí").await;
        }
        for text in ["listo, eso es todo", "paso a recogerlo", "sí"] {
            self.say(text).await;
        }
        let mut again = 0;
        while again < KILLS && self.got().await.last().is_some_and(|last| last.contains("Resumen")) {
            self.say("sí").await;
            again += 1;
        }
        again
    }

    /// All that came, but for the summaries that were shown `again`. What is said last comes last: nothing else was on its way.
    async fn end(&self, again: usize) -> Vec<String> {
        let mut replies = self.got().await;
        self.say("hablar con alguien").await;
        let all = self.got().await;
        let seed = self.crowd.seed;
        assert_eq!(all.len(), replies.len() + 1, "seed {seed}: {all:#?}");
        for _ in 0..again {
            replies.remove(replies.len() - 2);
        }
        masked(&replies)
    }
}

async fn run(home: Home, seed: u64) {
    let (restaurants, customers) = (setting("BOT_RESTAURANTS", 2), setting("BOT_CUSTOMERS", 4));
    assert!((1..=MOST_CUSTOMERS).contains(&customers) && restaurants > 0, "BOT_CUSTOMERS: 1 to {MOST_CUSTOMERS}");
    let mut rng = StdRng::seed_from_u64(seed);
    println!("seed {seed}: {restaurants} restaurants with {customers} customers each on {home:?}");
    let Some(stage) = Stage::new(home).await else { return };
    let stage = stage.set("SESSIOND_SESSION__HUMAN_PERCENT", PERCENT.to_string());
    let daemon = stage.start().await;
    let mut opened = Vec::new();
    let names: Vec<String> = (0..=restaurants).map(|nth| format!("restaurant{nth}")).collect();
    for some in names.chunks(PAIRINGS) {
        let customers = customers.max(SCRIPTS.len());
        opened.extend(join_all(some.iter().map(|name| Restaurant::open(&stage, name, customers))).await);
    }
    let limit = 3 * LIMIT * u32::try_from(1 + restaurants * customers / 50).unwrap();

    // What there is to say, by the first one's customers while nothing happens.
    let calm = Crowd::new(seed, limit);
    let reference = opened.remove(0);
    let talks: Vec<Talk<'_>> = reference.talks(&stage, &calm).take(SCRIPTS.len()).collect();
    let held = join_all(talks.iter().zip(&SCRIPTS).map(|(talk, script)| talk.hold(script))).await;
    assert!(held.iter().all(|again| *again == 0), "seed {seed}: nothing died: {held:?}");
    let expected = join_all(talks.iter().map(|talk| talk.end(0))).await;
    for (replies, script) in expected.iter().zip(&SCRIPTS) {
        let has_order = replies.last().is_some_and(|last| last.contains("confirmado"));
        let has_owner = replies.iter().any(|reply| reply == OWNERS_WORD);
        assert!(has_order && has_owner == script.is_interrupted, "seed {seed}: {replies:#?}");
    }

    for restaurant in &mut opened {
        restaurant.customers.truncate(customers);
    }
    let crowd = Crowd::new(seed, limit);
    let answers = restaurants * customers * ANSWERS;
    let mut kills: Vec<(usize, bool)> =
        (0..KILLS).map(|_| (rng.random_range(1..answers), rng.random_bool(0.7))).collect();
    kills.sort_unstable();
    println!("seed {seed}: killed after so many answers, with the disk lost or not: {kills:?}");
    let talks: Vec<(usize, Talk<'_>)> =
        opened.iter().flat_map(|restaurant| restaurant.talks(&stage, &crowd).enumerate()).collect();
    let talking = async {
        let again = join_all(talks.iter().map(|(nth, talk)| talk.hold(script(*nth)))).await;
        crowd.is_over.store(true, Ordering::Relaxed);
        again
    };
    let dying = async {
        let mut daemon = daemon;
        for (answers, wipes) in kills {
            crowd.await_answers(answers).await;
            daemon.kill().await.unwrap();
            if wipes {
                stage.wipe_local_data();
            }
            daemon = stage.start().await;
        }
        daemon
    };
    let (again, daemon) = tokio::join!(talking, dying);
    let ends = join_all(talks.iter().zip(again).map(|((_, talk), again)| talk.end(again))).await;
    for ((nth, talk), replies) in talks.iter().zip(ends) {
        let expected = &expected[nth % SCRIPTS.len()];
        assert_eq!(replies, *expected, "seed {seed}: {}\n{}", talk.customer, stage.log());
    }
    for restaurant in &opened {
        let orders = restaurant.orders(&stage).await;
        assert_eq!(orders.len(), restaurant.customers.len(), "seed {seed}: {orders:#?}");
        for (nth, customer) in restaurant.customers.iter().enumerate() {
            let order = orders.iter().find(|order| order["telefono"] == json!(customer));
            let order = order.unwrap_or_else(|| panic!("seed {seed}: no order of {customer} in {orders:#?}"));
            let lines = order["items"].as_array().unwrap().iter();
            let lines: Vec<_> = lines.map(|line| (line["numero"].clone(), line["cantidad"].clone())).collect();
            let ajiacos = script(nth).ajiacos;
            assert_eq!(lines, [(json!("aji"), json!(ajiacos)), (json!("lim"), json!(1))], "seed {seed}: {order:#}");
            assert_eq!(order["total"], json!(24_000 * ajiacos + 7_000), "seed {seed}: {order:#}");
        }
    }
    assert_eq!(stage.network.stats().await.counters_reused, 0, "seed {seed}");
    daemon.kill().await.unwrap();
}

async fn runs(home: Home, first: u64) {
    let _turn = heavy::turn().await;
    let seeds = u64::try_from(setting("BOT_SEEDS", 1)).unwrap();
    stream::iter(only(first..first + seeds)).map(|seed| run(home, seed)).buffer_unordered(2).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_restaurant_gets_each_order_once_and_nobody_talks_into_the_owners_words() {
    runs(Home::Embedded, 75_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_restaurant_gets_each_order_once_with_firestore() {
    runs(Home::Emulator, 76_000).await;
}
