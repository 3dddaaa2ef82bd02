//! The daemon dies between reading, thinking, writing and sending, with its disk or without: every reply comes once and in its order,
//! and the order is placed once. Runs are named by their seeds; `KILL_SEED=…` runs that one alone.

use futures::{StreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{ORDER, Scene, got};
use crate::stage::{Home, LIMIT, await_death};

const POINTS: [&str; 5] = ["bot_read", "bot_step", "bot_stepped", "bot_written", "on_the_wire"];

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

async fn run(home: Home, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let point = POINTS[rng.random_range(0..POINTS.len())];
    let (nth, wipes) = (rng.random_range(1..=4), rng.random_bool(0.7));
    println!("seed {seed}: {point}:{nth} on {home:?}, the disk is {}", if wipes { "lost" } else { "kept" });
    let Some(scene) = Scene::open(home).await else { return };
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let all: Vec<&str> = ORDER.into_iter().chain(["sí"]).collect();
    // What there is to say, by one whom nothing happens to.
    for text in &all {
        scene.talk(&luz, text).await;
    }
    let expected = masked(&scene.got(&luz).await);

    scene.daemon.kill().await.unwrap();
    let mut daemon = scene.stage.setup.clone().set("LOOPBACK_CRASH", format!("{point}:{nth}")).spawn().unwrap();
    let _ = daemon.await_port(LIMIT).await;
    let stage = &scene.stage;
    let (number, network) = (scene.conversation.number.clone(), stage.network.clone());
    let talking = async {
        for text in &all {
            let before = got(stage, &ana).await.len();
            network.customer_send(&ana, &number, *text).await.unwrap();
            let more = sessiond::demo::until(LIMIT, text, async || got(stage, &ana).await.len() > before).await;
            more.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", stage.log()));
        }
    };
    let dying = async {
        await_death(&mut daemon, seed).await;
        if wipes {
            stage.wipe_local_data();
        }
        stage.start().await
    };
    let ((), daemon) = tokio::join!(talking, dying);
    let scene = Scene { daemon, ..scene };
    // What is said last comes last: nothing else was on its way.
    let last = scene.talk(&ana, "hablar con alguien").await;
    let mut replies = scene.got(&ana).await;
    replies.truncate(replies.len() - last.len());
    assert_eq!(masked(&replies), expected, "seed {seed}\n{}", scene.stage.log());
    let orders = scene.orders().await;
    let of = |customer: &str| orders.iter().filter(|order| order["telefono"] == *customer).count();
    assert_eq!((of(&ana), of(&luz)), (1, 1), "seed {seed}: {orders:#?}");
    assert_eq!(scene.stage.network.stats().await.counters_reused, 0, "seed {seed}");
    scene.daemon.kill().await.unwrap();
}

async fn runs(home: Home, seeds: std::ops::Range<u64>) {
    let only: Option<u64> = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = seeds.filter(|seed| only.is_none_or(|only| only == *seed));
    stream::iter(seeds).map(|seed| run(home, seed)).buffer_unordered(3).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_message_is_answered_once_and_in_order() {
    runs(Home::Embedded, 70_000..70_012).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_message_is_answered_once_with_firestore() {
    runs(Home::Emulator, 71_000..71_003).await;
}
