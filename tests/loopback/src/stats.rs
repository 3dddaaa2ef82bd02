//! The network's view of itself, as `GET /stats` shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ledger::{Counts, Reuse};
use crate::world::{Session, World};

#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    #[serde(flatten)]
    pub counts: Counts,
    /// Connections that are open and past the handshake.
    pub open_connections: usize,
    /// Linked devices that are logged in and get messages.
    pub active_devices: usize,
    pub linked_devices: usize,
    /// Stanzas that wait or were not acknowledged, by device; devices without any are left out.
    pub offline_queues: BTreeMap<String, usize>,
    /// Messages that crossed the network, each counted once.
    pub messages: usize,
    pub counters_reused: usize,
    pub reuses: Vec<Reuse>,
}

impl Stats {
    pub(crate) fn of(world: &World) -> Self {
        let mut stats = Self {
            counts: world.ledger.counts.clone(),
            open_connections: world.sessions.values().filter(|s| !matches!(s, Session::Mute(_))).count(),
            active_devices: 0,
            linked_devices: 0,
            offline_queues: BTreeMap::new(),
            messages: world.ledger.messages().len(),
            counters_reused: world.ledger.reuses().len(),
            reuses: world.ledger.reuses().to_vec(),
        };
        for account in world.directory.iter() {
            for (device, companion) in &account.companions {
                stats.linked_devices += 1;
                stats.active_devices += usize::from(companion.active);
                if companion.queue.len() > 0 {
                    stats.offline_queues.insert(account.id.device(*device).to_string(), companion.queue.len());
                }
            }
        }
        stats
    }
}
