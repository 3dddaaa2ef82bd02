//! The daemon dies between reading, thinking, writing and sending, with its disk or without: every reply comes once and in its order,
//! and the order is placed once. Runs are named by their seeds; `KILL_SEED=…` runs that one alone.

use futures::{StreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use serde_json::json;
use sessiond::demo::until;

use super::{ORDER, Scene, got, masked, menu, settings};
use crate::{
    consumers::webhooks::ask,
    support::stage::{Home, LIMIT, Stage, await_death},
};

const POINTS: [&str; 5] = ["bot_read", "bot_step", "bot_stepped", "bot_written", "on_the_wire"];

/// Runs at the same time in which a bot types as a human does: they wait, mostly.
const WAITING: usize = 5;

/// `percent`: of the time that a human takes for a reply.
async fn run(home: Home, percent: u32, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let point = POINTS[usize::try_from(seed).unwrap() % POINTS.len()];
    let (nth, wipes) = (rng.random_range(1..=4), rng.random_bool(0.7));
    println!("seed {seed}: {point}:{nth} on {home:?}, the disk is {}", if wipes { "lost" } else { "kept" });
    let Some(stage) = Stage::new(home).await else { return };
    let stage = stage.set("SESSIOND_SESSION__HUMAN_PERCENT", percent.to_string());
    let Some(scene) = Scene::open_on(stage).await else { return };
    let mut manners = settings();
    manners["humanize"] = json!(percent > 0);
    scene.ok("PUT", "settings", Some(manners.clone())).await;
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let all: Vec<&str> = ORDER.into_iter().chain(["sí"]).collect();
    // What there is to say, by another tenant's customer while nothing happens.
    let reference = scene.stage.pair("osteria").await;
    for (what, body) in [("menu", menu(24_000)), ("settings", manners)] {
        let (status, answer) = ask(&scene.stage, "PUT", &format!("/api/osteria/bot/{what}"), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }
    assert!(!talk_all(&scene.stage, &reference.number, &reference.customers[0], &all, seed).await, "nothing died");
    let expected = masked(&scene.got(&reference.customers[0]).await);

    scene.daemon.kill().await.unwrap();
    let mut daemon = scene.stage.setup.clone().set("LOOPBACK_CRASH", format!("{point}:{nth}")).spawn().unwrap();
    let _ = daemon.await_port(LIMIT).await;
    let stage = &scene.stage;
    let number = &scene.conversation.number;
    let dying = async {
        await_death(&mut daemon, seed).await;
        if wipes {
            stage.wipe_local_data();
        }
        stage.start().await
    };
    // Both chats at once: each is at a place of its own when the daemon dies.
    let (ana_again, luz_again, daemon) =
        tokio::join!(talk_all(stage, number, &ana, &all, seed), talk_all(stage, number, &luz, &all, seed), dying);
    let scene = Scene { daemon, ..scene };
    for (customer, said_yes_again) in [(&ana, ana_again), (&luz, luz_again)] {
        // What is said last comes last: nothing else was on its way.
        let last = scene.talk(customer, "hablar con alguien").await;
        let mut replies = scene.got(customer).await;
        replies.truncate(replies.len() - last.len());
        if said_yes_again {
            // The summary that was shown again, right before the last reply.
            replies.remove(replies.len() - 2);
        }
        assert_eq!(masked(&replies), expected, "seed {seed}\n{}", scene.stage.log());
    }
    let orders = scene.orders().await;
    let of = |customer: &str| orders.iter().filter(|order| order["telefono"] == *customer).count();
    assert_eq!((of(&ana), of(&luz)), (1, 1), "seed {seed}: {orders:#?}");
    assert_eq!(scene.stage.network.stats().await.counters_reused, 0, "seed {seed}");
    scene.daemon.kill().await.unwrap();
}

/// Says one thing after the other, each when the one before is answered. True: the last one was said twice. A daemon that dies after the summary
/// has left, and before WhatsApp has said so, does not know that the yes came after it: it shows the summary again, and orders nothing.
async fn talk_all(stage: &Stage, number: &str, customer: &str, texts: &[&str], seed: u64) -> bool {
    for text in texts {
        say(stage, number, customer, text, seed).await;
    }
    let is_shown_again = got(stage, customer).await.last().is_some_and(|reply| reply.contains("Resumen"));
    if is_shown_again {
        say(stage, number, customer, texts[texts.len() - 1], seed).await;
    }
    is_shown_again
}

/// And waits for the answer.
async fn say(stage: &Stage, number: &str, customer: &str, text: &str, seed: u64) {
    let before = got(stage, customer).await.len();
    stage.network.customer_send(customer, number, text).await.unwrap();
    let more = until(LIMIT, text, async || got(stage, customer).await.len() > before).await;
    more.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", stage.log()));
}

/// Customers who do not wait for an answer, while the daemon dies. How much of what they say is one turn depends on the moment, so: the last
/// reply knows of everything, none comes twice, and none comes after one that knows more.
async fn impatient_run(home: Home, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let point = POINTS[usize::try_from(seed).unwrap() % POINTS.len()];
    let (nth, wipes) = (rng.random_range(1..=6), rng.random_bool(0.7));
    println!("seed {seed}: {point}:{nth} on {home:?}, the disk is {}", if wipes { "lost" } else { "kept" });
    let Some(stage) = Stage::new(home).await else { return };
    let stage = stage.set("SESSIOND_SESSION__HUMAN_PERCENT", "30");
    let Some(scene) = Scene::open_on(stage).await else { return };
    let mut manners = settings();
    manners["humanize"] = json!(true);
    scene.ok("PUT", "settings", Some(manners)).await;
    let customers = [scene.customer(0), scene.customer(1)];
    scene.daemon.kill().await.unwrap();
    let mut daemon = scene.stage.setup.clone().set("LOOPBACK_CRASH", format!("{point}:{nth}")).spawn().unwrap();
    let _ = daemon.await_port(LIMIT).await;
    let (stage, number) = (&scene.stage, &scene.conversation.number);
    let waits: Vec<Vec<u64>> = customers.iter().map(|_| (0..4).map(|_| rng.random_range(0..1_500)).collect()).collect();
    let talks = customers.iter().zip(waits).map(|(customer, waits)| async move {
        for (n, wait) in (1..).zip(waits) {
            let text = if n == 1 { "quiero un ajiaco" } else { "y otro ajiaco" };
            stage.network.customer_send(customer, number, text).await.unwrap();
            // When she writes next is her affair, and what this is about.
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
    });
    let knows_all =
        async |customer: &str| got(stage, customer).await.last().is_some_and(|last| last.contains("4 × Ajiaco"));
    let dying = async {
        // Those who are answered in one turn may not come to the point so often.
        let over = async {
            loop {
                let is_over = knows_all(&customers[0]).await && knows_all(&customers[1]).await;
                if is_over || daemon.has_ended().unwrap() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            }
        };
        tokio::time::timeout(LIMIT, over).await.unwrap_or_else(|_| panic!("seed {seed}: no end\n{}", stage.log()));
        // It may be dead.
        let _ = daemon.kill().await;
        if wipes {
            stage.wipe_local_data();
        }
        stage.start().await
    };
    let (_, daemon) = tokio::join!(futures::future::join_all(talks), dying);
    let scene = Scene { daemon, ..scene };
    let count = regex::Regex::new("([0-9]) × Ajiaco").unwrap();
    for customer in &customers {
        let knows_all = async || scene.got(customer).await.last().is_some_and(|last| last.contains("4 × Ajiaco"));
        until(LIMIT, "a reply that knows of everything", knows_all)
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", scene.stage.log()));
        // What is said last comes last: nothing else was on its way.
        let before = scene.got(customer).await;
        scene.talk(customer, "hablar con alguien").await;
        let all = scene.got(customer).await;
        assert_eq!(all[..before.len()], before[..], "seed {seed}");
        let counts: Vec<u32> = before.iter().filter_map(|reply| count.captures(reply)?[1].parse().ok()).collect();
        assert!(counts.len() == before.len() && counts.is_sorted_by(|a, b| a < b), "seed {seed}: {before:#?}");
    }
    assert_eq!(scene.stage.network.stats().await.counters_reused, 0, "seed {seed}");
    scene.daemon.kill().await.unwrap();
}

/// As many replies as turns, whoever dies between the taking back and the new words.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_who_writes_while_the_bot_types_is_answered_once() {
    stream::iter(only(74_000..74_010))
        .map(|seed| impatient_run(Home::Embedded, seed))
        .buffer_unordered(WAITING)
        .collect::<Vec<_>>()
        .await;
}

/// Of the seeds, the one that `KILL_SEED` names.
pub(super) fn only(seeds: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
    let only: Option<u64> = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    seeds.filter(move |seed| only.is_none_or(|only| only == *seed))
}

async fn runs(home: Home, percent: u32, seeds: std::ops::Range<u64>) {
    let side_by_side = if percent > 0 { WAITING } else { 3 };
    let runs = stream::iter(only(seeds)).map(|seed| run(home, percent, seed));
    runs.buffer_unordered(side_by_side).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_message_is_answered_once_and_in_order() {
    runs(Home::Embedded, 0, 70_000..70_012).await;
}

/// Replies that wait for their time are said once, too.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_message_is_answered_once_as_a_human_would() {
    runs(Home::Embedded, 20, 72_000..72_004).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_message_is_answered_once_with_firestore() {
    runs(Home::Emulator, 0, 71_000..71_002).await;
}

/// Ana goes on writing, so that her turn is not due and the bot's place stays before it. Luz is answered, and writes again; then the daemon
/// dies. What it reads again of Luz begins with what is answered, and her second message is answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_answered_before_the_kill_is_answered_after_it() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let mut slow = settings();
    // So long that she is always quick enough, on a busy machine too.
    slow["gatherMs"] = json!(8000);
    scene.ok("PUT", "settings", Some(slow)).await;
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let ear = scene.stage.listen(std::slice::from_ref(&scene.conversation));
    let speaking = async {
        for n in 0.. {
            scene.says(&ana, &format!("espere {n}")).await;
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        }
    };
    let answered = async {
        let first = scene.talk(&luz, "quiero dos ajiacos").await;
        let id = scene.says(&luz, "y una limonada natural").await;
        ear.until(LIMIT, |heard| heard.iter().any(|one| one.payload["message"]["id"] == json!(id))).await.unwrap();
        first
    };
    let first = tokio::select! {
        () = speaking => unreachable!("she goes on for ever"),
        first = answered => first,
    };
    scene.daemon.kill().await.unwrap();
    assert_eq!(got(&scene.stage, &ana).await, Vec::<String>::new(), "her turn was over too early for this test");
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    let second = scene.await_more(&luz, first.len(), "the answer to her second message").await;
    assert!(second.join("\n").contains("imonada"), "{second:#?}");
    scene.await_more(&ana, 0, "her answer").await;
    scene.daemon.kill().await.unwrap();
}
