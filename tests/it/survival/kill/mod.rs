//! The daemon dies at any moment of conversations in both directions, and everything around it goes wrong meanwhile: clients that
//! leave, file descriptors that run out, damaged and exchanged files, a second daemon, a vault that stalls, clocks, WhatsApp's line.
//! No tenant scans again, nothing is lost, doubled, out of order, stuck, refused, unreadable, or encrypted twice under one counter.
//!
//! A seed names a run. `KILL_SEED=…` runs that one alone, `KILL_SCALE=10` ten times as many, `KILL_WITHOUT=disk,clock,…` leaves kinds
//! of trouble out (`plan`). Named points of the code, each for itself, and the negative control are in `points`.

mod consumers;
mod newcomer;
mod plan;
mod points;
mod scene;
mod traffic;

use std::{ops::Range, time::Instant};

use futures::{StreamExt as _, stream};
use rand::{SeedableRng as _, rngs::StdRng};
use sessiond::demo::Verdict;

use self::{plan::Plan, scene::KillScene};
use crate::support::{heavy, stage::Home};

/// Runs at the same time: two cores.
const SIDE_BY_SIDE: usize = 3;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// The seeds that the environment asks for.
fn asked_for(seeds: Range<u64>) -> Vec<u64> {
    let (only, scale) = (variable("KILL_SEED"), variable("KILL_SCALE").unwrap_or(1));
    let all = seeds.start..seeds.start + (seeds.end - seeds.start) * scale;
    all.filter(|seed| only.is_none_or(|only| only == *seed)).collect()
}

/// A run that broke a promise, or that nobody could judge.
struct Failure {
    seed: u64,
    story: String,
}

async fn run(home: Home, seed: u64) -> Option<Result<Verdict, Failure>> {
    let plan = Plan::draw(&mut StdRng::seed_from_u64(seed), home);
    let scene = KillScene::new(home).await?;
    let outcome = scene.play(&plan, seed).await;
    let told = match &outcome {
        Ok(verdict) if verdict.is_clean() => return Some(Ok(*verdict)),
        Ok(verdict) => format!("{verdict:?}"),
        Err(error) => format!("{error:#}"),
    };
    let story = format!("seed {seed}: {told}\n{plan:#?}\n{}\n{}", scene.network_story().await, scene.log_tail());
    eprintln!("{story}");
    Some(Err(Failure { seed, story: told }))
}

async fn runs(home: Home, seeds: Range<u64>) {
    let _turn = heavy::turn().await;
    let began = Instant::now();
    let seeds = asked_for(seeds);
    let results = stream::iter(seeds.clone()).map(|seed| async move {
        // A panic is a failure of its seed, not of those beside it.
        let panicked = |panic: tokio::task::JoinError| Some(Err(Failure { seed, story: panic.to_string() }));
        tokio::spawn(run(home, seed)).await.unwrap_or_else(panicked)
    });
    let results: Vec<_> = results.buffer_unordered(SIDE_BY_SIDE).filter_map(std::future::ready).collect().await;
    let failed = results.iter().filter_map(|result| result.as_ref().err());
    let failures: Vec<String> = failed.map(|failure| format!("seed {}: {}", failure.seed, failure.story)).collect();
    println!(
        "seeds {:?} to {:?} on {home:?}: {} runs in {} s, {} failed",
        seeds.first(),
        seeds.last(),
        results.len(),
        began.elapsed().as_secs(),
        failures.len()
    );
    assert!(failures.is_empty(), "{} of {} runs failed:\n{}", failures.len(), results.len(), failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_wrong_at_any_moment() {
    runs(Home::Embedded, 40_000..40_045).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_wrong_at_any_moment_with_firestore() {
    runs(Home::Emulator, 50_000..50_005).await;
}
