//! The loopback network under test: by itself, with a device made for it, and with two versions of Baileys.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests: the seed is printed where chance matters")]

mod baileys;
mod chat;
mod control;
mod counters;
mod device;
#[path = "../../../it/support/driver.rs"]
#[allow(dead_code, reason = "the daemon's tests use more of it")]
mod driver;
mod faults;
mod groups;
mod https;
mod kinds;
mod linking;
mod media;
#[path = "../../../it/support/node.rs"]
#[allow(dead_code, reason = "the daemon's tests use more of it")]
mod node;
mod offline;
mod scale;
mod settings;
mod statuses;

use std::time::{Duration, Instant};

use loopback::{Network, NetworkConfig};

async fn network() -> Network {
    let config = NetworkConfig { seed: Some(7), ..NetworkConfig::default() };
    Network::start(config).await.expect("the network starts")
}

/// Waits until the condition holds; fails after ten seconds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(10), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The number's JID, for addressing it.
fn jid(number: &str) -> wacore_binary::Jid {
    wacore_binary::Jid::pn(number)
}
