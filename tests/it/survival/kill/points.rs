//! The daemon dies at each named point of the code (`sessiond::crash`), in a conversation in both directions, with or without its
//! disk. Then the negative control: without the gates the same deaths must show.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sessiond::demo::{Process, until};

use super::{SIDE_BY_SIDE, asked_for};
use crate::support::stage::{Home, LIMIT, Stage, await_death};

async fn run(home: Home, point: &'static str, seed: u64) {
    println!("seed {seed}: {point} on {home:?}");
    let mut rng = StdRng::seed_from_u64(seed);
    let Some(stage) = Stage::new(home).await else { return };
    let stage = stage.set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "10").set("SESSIOND_MESSAGES__LIVE_EVENTS", "20");
    let wipe = rng.random_bool(0.7);
    // A pairing dies in the first life, a takeover in the one after the first death, the rest in a life of its own.
    let nth = match point {
        // Two customers: two chains at least.
        "lease_raised" | "chunks_before_manifest" => rng.random_range(1..=2),
        "paired" | "takeover" | "segment_written" | "segment_referred_to" => 1,
        _ => rng.random_range(1..=4),
    };
    let conversation = if point == "paired" {
        let mut daemon = stage.setup.clone().set("LOOPBACK_CRASH", "paired:1").start(LIMIT).await.unwrap();
        let revive = async {
            await_death(&mut daemon, seed).await;
            daemon = rise(&stage, wipe, None, seed).await;
        };
        let (conversation, ()) = tokio::join!(stage.pair("trattoria"), revive);
        daemon.kill().await.unwrap();
        conversation
    } else {
        let daemon = stage.start().await;
        let conversation = stage.pair("trattoria").await;
        daemon.kill().await.unwrap();
        conversation
    };
    let crash = format!("{point}:{nth}");
    let doomed = match point {
        "paired" | "takeover" => stage.setup.clone(),
        _ => stage.setup.clone().set("LOOPBACK_CRASH", &crash),
    };
    // It may die before its port is open.
    let mut daemon = doomed.spawn().unwrap();
    let _ = daemon.await_port(LIMIT).await;
    let mut conversations = vec![conversation];
    let ear = stage.listen(&conversations);
    let pauses: Vec<u64> = (0..12).map(|_| rng.random_range(0..25)).collect();
    let moment = Duration::from_millis(rng.random_range(0..600));
    let traffic = async {
        for pause in pauses {
            conversations[0].customers_write(&stage.network, 1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await
    };
    let reaper = async {
        match point {
            "paired" => daemon,
            "takeover" => {
                tokio::time::sleep(moment).await;
                daemon.kill().await.unwrap();
                rise(&stage, wipe, Some(crash), seed).await
            }
            _ => {
                await_death(&mut daemon, seed).await;
                rise(&stage, wipe, None, seed).await
            }
        }
    };
    let (answered, daemon) = tokio::join!(traffic, reaper);
    if let Err(error) = answered {
        let heard: Vec<_> = ear.heard().iter().map(|heard| format!("{} {}", heard.event, heard.payload)).collect();
        let (stats, log) = (stage.network.stats().await, stage.log());
        panic!("seed {seed}: {error:#}\n{stats:#?}\n{}\n{log}", heard.join("\n"));
    }
    stage.assert_promises(&conversations).await;
    assert_heard_once(&ear.heard(), seed);
    daemon.kill().await.unwrap();
}

/// The next life, after the one that `crash` ends, if it names one.
async fn rise(stage: &Stage, wipe: bool, crash: Option<String>, seed: u64) -> Process {
    if wipe {
        stage.wipe_local_data();
    }
    if let Some(crash) = crash {
        let mut doomed = stage.setup.clone().set("LOOPBACK_CRASH", crash).spawn().unwrap();
        await_death(&mut doomed, seed).await;
    }
    stage.start().await
}

/// A consumer may hear an event again, but one message is one event.
fn assert_heard_once(heard: &[sessiond::demo::Heard], seed: u64) {
    let mut events = std::collections::HashMap::new();
    for heard in heard.iter().filter(|heard| heard.event == "message:received") {
        let message = heard.payload["message"]["id"].to_string();
        let event = heard.payload["eventId"].to_string();
        let known = events.entry(message.clone()).or_insert_with(|| event.clone());
        assert_eq!(*known, event, "seed {seed}: message {message} is two events");
    }
}

async fn runs(home: Home, point: &'static str, seeds: std::ops::Range<u64>) {
    let seeds = stream::iter(asked_for(seeds));
    seeds.map(|seed| run(home, point, seed)).buffer_unordered(SIDE_BY_SIDE).collect::<Vec<_>>().await;
}

macro_rules! dies_at {
    ($($name:ident, $with_firestore:ident: $point:literal, $seed:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            runs(Home::Embedded, $point, $seed..$seed + 3).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $with_firestore() {
            runs(Home::Emulator, $point, $seed + 500..$seed + 501).await;
        }
    )+};
}

dies_at! {
    dies_between_decryption_and_the_vault, dies_between_decryption_and_firestore: "decrypted", 10_000;
    dies_between_the_vault_and_the_ack, dies_between_firestore_and_the_ack: "in_the_vault", 11_000;
    dies_between_the_lease_and_the_wire, dies_between_the_lease_and_the_wire_with_firestore: "lease_raised", 12_000;
    dies_between_the_wire_and_the_ack, dies_between_the_wire_and_the_ack_with_firestore: "on_the_wire", 13_000;
    dies_between_chunks_and_manifest, dies_between_chunks_and_manifest_with_firestore: "chunks_before_manifest", 14_000;
    dies_between_a_segment_and_its_reference, dies_between_a_segment_and_its_reference_with_firestore: "segment_written", 17_000;
    dies_after_a_segment_left_the_state, dies_after_a_segment_left_the_state_with_firestore: "segment_referred_to", 18_000;
    dies_between_pairing_and_login, dies_between_pairing_and_login_with_firestore: "paired", 15_000;
    dies_between_takeover_and_hydration, dies_between_takeover_and_hydration_with_firestore: "takeover", 16_000;
}

/// The negative control: with the gates switched off the same deaths must show, or the tests above prove nothing.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_gates_the_promises_break() {
    for seed in 0..5 {
        let stage = Stage::new(Home::Embedded).await.unwrap().set("LOOPBACK_GATES", "off");
        let daemon = stage.start().await;
        let mut conversations = vec![stage.pair("trattoria").await];
        let ear = stage.listen(&conversations);
        conversations[0].customers_write(&stage.network, 4).await.unwrap();
        let answered = stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await;
        assert!(answered.is_ok(), "without the gates everything still works, until something dies: {answered:?}");
        daemon.kill().await.unwrap();
        stage.wipe_local_data();
        conversations[0].customers_write(&stage.network, 2).await.unwrap();
        let daemon = stage.start().await;
        let online = until(Duration::from_secs(5), "", || stage.dashboard.is_connected("trattoria")).await.is_ok();
        if online {
            let limit = Duration::from_secs(5);
            let answered = stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, limit).await;
            let reused = stage.network.stats().await.counters_reused;
            println!("seed {seed}: {answered:?}, {reused} counters reused");
            if answered.is_err() || reused > 0 {
                return;
            }
        } else {
            println!("seed {seed}: the tenant did not come back");
            return;
        }
        daemon.kill().await.unwrap();
    }
    panic!("the gates make no difference: the kill tests prove nothing");
}
