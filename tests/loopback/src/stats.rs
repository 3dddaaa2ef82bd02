//! The network's view of itself, as `GET /stats` shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ledger::{Counts, Nack, Reuse};
use crate::queue::Class;
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
    /// Stanzas that devices refused for good.
    pub nacks: Vec<Nack>,
    /// Stanzas that were delivered at three logins or more and not acknowledged at any: nothing will ever settle them.
    pub stuck: Vec<Stuck>,
}

/// From so many deliveries on a stanza that waits still is stuck.
const STUCK_AFTER: u32 = 3;

/// A stanza that is delivered at every login.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Stuck {
    pub device: String,
    pub class: Class,
    pub id: String,
    pub deliveries: u32,
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
            nacks: world.ledger.nacks().to_vec(),
            stuck: Vec::new(),
        };
        for account in world.directory.iter() {
            for (device, companion) in &account.companions {
                stats.linked_devices += 1;
                stats.active_devices += usize::from(companion.active);
                if companion.queue.len() > 0 {
                    stats.offline_queues.insert(account.id.device(*device).to_string(), companion.queue.len());
                }
                let device = account.id.device(*device).to_string();
                stats.stuck.extend(companion.queue.delivered_in_vain(STUCK_AFTER).map(|(class, id, deliveries)| {
                    Stuck { device: device.clone(), class, id: id.to_owned(), deliveries }
                }));
            }
        }
        stats
    }
}
