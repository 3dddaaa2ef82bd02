//! Messages cross: customer and tenant write to each other at once, the daemon dies with its disk, and no ciphertext is
//! ahead of the vault. The network's side tells: a session that is behind its peer shows as what cannot be decrypted,
//! and as retries.
//!
//! Each run is named by its seed; `CROSSING_SEED=…` runs that one alone, `CROSSING_SCALE=…` that many times as many.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::Notify;

use crate::support::stage::{Home, LIMIT, Stage, await_death};

/// Messages in each direction before and around the death; where each lingers long there is time for few.
const WRITTEN: usize = 80;
const WRITTEN_SLOWLY: usize = 8;

/// Runs at the same time: two cores.
const SIDE_BY_SIDE: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CrossingDeath {
    /// SIGKILL at a random moment.
    AnyTime,
    /// By itself, at a named point of the code (`sessiond::crash`).
    At(&'static str),
    /// SIGTERM at a random moment.
    Asked,
}

/// How long each message waits between its decryption and the moment in which it is kept: whatever writes the ratchets to the
/// store overtakes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linger {
    None,
    Short,
    /// Longer than anybody would wait for it.
    Long,
}

impl Linger {
    fn milliseconds(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Short => 10,
            Self::Long => 1_500,
        }
    }
}

async fn cross(home: Home, death: CrossingDeath, lingers: Linger, seed: u64) {
    println!("seed {seed}: {death:?} on {home:?}");
    let mut rng = StdRng::seed_from_u64(seed);
    let Some(mut stage) = Stage::new(home).await else { return };
    if lingers != Linger::None {
        stage = stage.set("LOOPBACK_PAUSE", format!("decrypted:{}", lingers.milliseconds()));
    }
    let written = if lingers == Linger::Long { WRITTEN_SLOWLY } else { WRITTEN };
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair("trattoria").await];
    let ear = stage.listen(&conversations);
    // Both sides have sent and received: from now on each turn of the talk makes a chain.
    conversations[0].customers_write(&stage.network, 2).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();
    let customer = conversations[0].customers[0].clone();
    let number = conversations[0].number.clone();
    let before = stage.network.stats().await.counts;
    assert_eq!((before.undecryptable, before.retry_receipts), (0, 0), "seed {seed}: before anything died");

    let mut daemon = match death {
        CrossingDeath::AnyTime | CrossingDeath::Asked => daemon,
        CrossingDeath::At(point) => {
            daemon.kill().await.unwrap();
            let nth = rng.random_range(1..=20);
            let doomed = stage.setup.clone().set("LOOPBACK_CRASH", format!("{point}:{nth}"));
            let mut daemon = doomed.spawn().unwrap();
            // What the killed one had not settled is sent again at the login, which comes before the port: that may pass the point often
            // enough. Nothing else may end it.
            if let Err(error) = daemon.await_port(LIMIT).await {
                assert!(format!("{error:#}").contains("signal: 9"), "seed {seed}: {error:#}");
            }
            daemon
        }
    };
    let mut pauses = |longest: u64| (0..written).map(|_| rng.random_range(0..longest)).collect::<Vec<_>>();
    let longest = 4 + lingers.milliseconds() / 10;
    let (customers_pauses, tenants_pauses) = (pauses(longest), pauses(longest));
    let moment = Duration::from_millis(rng.random_range(20..250 + 2 * lingers.milliseconds()));
    // A daemon that starts has its own time limit. What is accepted is counted from then on.
    let is_back = Notify::new();
    let writing = async {
        let mut ids = Vec::new();
        for (n, pause) in customers_pauses.into_iter().enumerate() {
            ids.push(stage.network.customer_send(&customer, &number, format!("question {n}")).await.unwrap());
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        ids
    };
    let sending = async {
        let mut sends = Vec::new();
        // The last one of each, for whoever looks why.
        let refusals = Arc::new(Mutex::new(BTreeMap::new()));
        for (n, pause) in tenants_pauses.into_iter().enumerate() {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let (dashboard, customer, refusals) = (stage.dashboard.clone(), customer.clone(), refusals.clone());
            // Repeated with its key until it is accepted, whoever dies.
            sends.push(tokio::spawn(async move {
                loop {
                    let sent =
                        dashboard.send("trattoria", &customer, &format!("answer {n}"), &format!("send-{n}")).await;
                    match sent {
                        Ok(id) => return id,
                        Err(error) => {
                            refusals.lock().unwrap().insert(n, format!("{error:#}"));
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                }
            }));
        }
        let accepted = stream::iter(sends).then(|send| async { send.await.unwrap() }).collect::<Vec<_>>();
        is_back.notified().await;
        tokio::time::timeout(LIMIT, accepted).await.unwrap_or_else(|_| {
            panic!("seed {seed}: sends are not accepted: {:#?}\n{}", refusals.lock().unwrap(), stage.log())
        })
    };
    let reaping = async {
        if let CrossingDeath::At(_) = death {
            await_death(&mut daemon, seed).await;
        } else {
            tokio::time::sleep(moment).await;
            match death {
                CrossingDeath::Asked => drop(daemon.terminate(LIMIT).await.unwrap()),
                _ => daemon.kill().await.unwrap(),
            }
        }
        stage.wipe_local_data();
        let daemon = stage.start().await;
        is_back.notify_one();
        daemon
    };
    let (written, sent, daemon) = tokio::join!(writing, sending, reaping);

    let heard_all = ear.until(LIMIT, |heard| {
        let ids: Vec<_> = heard.iter().filter_map(|heard| heard.payload["message"]["id"].as_str()).collect();
        written.iter().all(|id| ids.contains(&id.as_str()))
    });
    heard_all.await.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", stage.log()));
    let arrived = tokio::time::timeout(LIMIT, async {
        loop {
            let inbox = stage.network.customer_inbox(&customer).await.unwrap();
            if sent.iter().all(|id| inbox.iter().any(|received| received.id == *id && received.text.is_some())) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    });
    arrived.await.unwrap_or_else(|_| panic!("seed {seed}: not everything arrived\n{}", stage.log()));
    // And the sessions are still good for both directions.
    conversations[0].customers_write(&stage.network, 1).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();

    stage.assert_promises(&conversations).await;
    let after = stage.network.stats().await.counts;
    assert_eq!(
        (after.undecryptable, after.retry_receipts, after.placeholder_requests),
        (0, 0, 0),
        "seed {seed}: a session was behind its peer, or ahead of what is kept (undecryptable, retry receipts, placeholders)\n{}",
        stage.log()
    );
    let mut events: HashMap<&str, &str> = HashMap::new();
    let heard = ear.heard();
    for heard in heard.iter().filter(|heard| heard.event == "message:received") {
        let (message, event) = (&heard.payload["message"]["id"], &heard.payload["eventId"]);
        let (message, event) = (message.as_str().unwrap(), event.as_str().unwrap());
        assert_eq!(*events.entry(message).or_insert(event), event, "seed {seed}: message {message} is two events");
    }
    daemon.kill().await.unwrap();
}

async fn runs(home: Home, death: CrossingDeath, lingers: Linger, seeds: std::ops::Range<u64>) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (only, scale) = (number("CROSSING_SEED"), number("CROSSING_SCALE").unwrap_or(1));
    let seeds = seeds.start..seeds.start + (seeds.end - seeds.start) * scale;
    let seeds = seeds.filter(|seed| only.is_none_or(|only| only == *seed));
    let outcomes: Vec<_> = stream::iter(seeds)
        .map(|seed| async move {
            (seed, std::panic::AssertUnwindSafe(cross(home, death, lingers, seed)).catch_unwind().await.is_ok())
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let failed: Vec<u64> = outcomes.iter().filter(|(_, held)| !held).map(|(seed, _)| *seed).collect();
    assert!(failed.is_empty(), "{} of {} runs failed: {failed:?}", failed.len(), outcomes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ratchet_step_is_lost_at_any_moment() {
    runs(Home::Embedded, CrossingDeath::AnyTime, Linger::None, 1_000..1_012).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ratchet_step_is_lost_at_any_moment_with_firestore() {
    runs(Home::Emulator, CrossingDeath::AnyTime, Linger::None, 2_000..2_003).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ratchet_step_is_lost_right_after_the_wire() {
    runs(Home::Embedded, CrossingDeath::At("ciphertext_on_the_wire"), Linger::None, 3_000..3_006).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ratchet_step_is_lost_right_after_the_wire_with_firestore() {
    runs(Home::Emulator, CrossingDeath::At("ciphertext_on_the_wire"), Linger::None, 4_000..4_002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_decrypted_is_lost_by_a_kill() {
    runs(Home::Embedded, CrossingDeath::AnyTime, Linger::Short, 5_000..5_004).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_decrypted_is_lost_by_a_kill_with_firestore() {
    runs(Home::Emulator, CrossingDeath::AnyTime, Linger::Short, 6_000..6_002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_decrypted_is_lost_by_a_stop() {
    runs(Home::Embedded, CrossingDeath::Asked, Linger::Short, 7_000..7_004).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_takes_long_to_keep_is_lost_by_a_kill() {
    runs(Home::Embedded, CrossingDeath::AnyTime, Linger::Long, 8_000..8_003).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_takes_long_to_keep_is_lost_by_a_stop() {
    runs(Home::Embedded, CrossingDeath::Asked, Linger::Long, 9_000..9_003).await;
}
