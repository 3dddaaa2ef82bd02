//! The other processes on the same vault: which of them are alive.
//!
//! Alive is a process whose record changes from one look of this process to the next: the clocks of two machines are never compared, and a
//! suspension of this process, or of the whole machine, counts as one look, however long it was. Of a process on the same machine the
//! kernel knows that it has died, at once. It does not know that a living one is of any use: one that is stopped, or hangs, is waited for
//! like one on another machine. A wrong guess does no harm: the journal's takeover decides who owns a tenant, and whoever was wrongly
//! believed dead learns from it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::vault::{Instance, InstanceId};

/// Looks without a change, after which a process counts as dead. Looks are as far apart as announcements.
const MISSED: u32 = 3;

/// What was seen of the others.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<HashMap<InstanceId, Sighting>>);

#[derive(Debug)]
struct Sighting {
    heartbeat_at: Timestamp,
    /// Looks in a row that found no change.
    missed: u32,
    process: Option<String>,
    /// It was alive at the last look.
    lived: bool,
}

impl Sighting {
    fn is_alive(&self) -> bool {
        let has_died = || {
            let lives = process_lives(self.process.as_deref()?, &this_machine()?)?;
            Some(!lives)
        };
        self.missed < MISSED && !has_died().unwrap_or(false)
    }
}

impl Peers {
    /// Takes what the vault lists now; a process that is not listed has stopped, or is forgotten. True: one that lived is gone.
    pub fn observe(&self, instances: &[Instance]) -> bool {
        let mut seen = self.seen();
        let before = seen.values().filter(|sighting| sighting.lived).count();
        seen.retain(|id, _| instances.iter().any(|instance| instance.id == *id));
        for Instance { id, heartbeat_at, process, .. } in instances {
            match seen.get_mut(id) {
                Some(sighting) if sighting.heartbeat_at == *heartbeat_at => {
                    sighting.missed = sighting.missed.saturating_add(1);
                }
                _ => {
                    let lived = seen.get(id).is_some_and(|sighting| sighting.lived);
                    let process = process.clone();
                    let sighting = Sighting { heartbeat_at: *heartbeat_at, missed: 0, process, lived };
                    seen.insert(id.clone(), sighting);
                }
            }
        }
        let stayed = seen.values().filter(|sighting| sighting.lived && sighting.is_alive()).count();
        seen.values_mut().for_each(|sighting| sighting.lived = sighting.is_alive());
        stayed < before
    }

    /// Those who are new, between two looks: no time has passed for the others.
    pub fn meet(&self, instances: &[Instance]) {
        let mut seen = self.seen();
        for Instance { id, heartbeat_at, process, .. } in instances {
            let sighting = Sighting { heartbeat_at: *heartbeat_at, missed: 0, process: process.clone(), lived: false };
            seen.entry(id.clone()).or_insert(sighting);
        }
    }

    /// The vault did not take our own announcement, and so may not have taken theirs: the count starts anew.
    pub fn excuse(&self) {
        self.seen().values_mut().for_each(|sighting| sighting.missed = 0);
    }

    pub fn is_alive(&self, id: &InstanceId) -> bool {
        self.seen().get(id).is_some_and(Sighting::is_alive)
    }

    /// Those that were listed last and are dead.
    pub fn dead(&self) -> Vec<InstanceId> {
        self.seen().iter().filter(|(_, sighting)| !sighting.is_alive()).map(|(id, _)| id.clone()).collect()
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<InstanceId, Sighting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This process, so that another one on the same machine finds it: machine, number, when it began.
pub(super) fn this_process() -> Option<String> {
    let pid = std::process::id();
    Some(format!("{}/{pid}/{}", this_machine()?, began(pid)?))
}

/// This boot of this machine, and whose processes are counted together: two containers have the same numbers for different processes.
fn this_machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbering = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let digits: String = numbering.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}/{digits}", boot.trim()))
}

/// `None`: it is on another machine.
fn process_lives(process: &str, machine: &str) -> Option<bool> {
    let (pid, start) = process.strip_prefix(machine)?.strip_prefix('/')?.split_once('/')?;
    Some(began(pid.parse().ok()?).is_some_and(|began| began == start))
}

/// When a process began, in ticks since the boot: numbers are used again. `None`: there is none of this number, or it is dead and only
/// waits for its parent to notice.
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let began = fields.nth(18)?;
    (!is_dead).then(|| began.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, beat: i64, process: Option<String>) -> Instance {
        Instance {
            id: InstanceId(id.into()),
            address: None,
            process,
            version: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            heartbeat_at: Timestamp::from_second(beat).unwrap(),
            draining: false,
        }
    }

    fn looks(peers: &Peers, instances: &[Instance], count: u32) {
        (0..count).for_each(|_| {
            peers.observe(instances);
        });
    }

    #[test]
    fn whoever_is_not_seen_to_change_is_dead() {
        let peers = Peers::default();
        let other = InstanceId("other".into());
        assert!(!peers.is_alive(&other), "nobody has ever seen it");
        // Its clock is years behind; only that it changes counts.
        looks(&peers, &[instance("other", 7, None)], MISSED);
        assert!(peers.is_alive(&other));
        looks(&peers, &[instance("other", 6, None)], MISSED);
        assert!(peers.is_alive(&other));
        // The vault was away.
        peers.excuse();
        looks(&peers, &[instance("other", 6, None)], MISSED - 1);
        assert!(peers.is_alive(&other));
        looks(&peers, &[instance("other", 6, None)], 1);
        assert_eq!(peers.dead(), std::slice::from_ref(&other));
        looks(&peers, &[instance("other", 8, None)], 1);
        assert!(peers.is_alive(&other), "it goes on");
        assert!(peers.observe(&[]), "one that lived is gone");
        assert!(!peers.is_alive(&other), "it has stopped");
        assert!(!peers.observe(&[]), "which is told once");
    }

    #[test]
    fn the_kernel_knows_who_has_died_on_this_machine() {
        let peers = Peers::default();
        let us = this_process().unwrap();
        let (before, start) = us.rsplit_once('/').unwrap();
        let reused = format!("{before}/{}", start.parse::<u64>().unwrap() + 1);
        let elsewhere = format!("x{us}");
        let instances = [("us", us), ("reused", reused), ("elsewhere", elsewhere)];
        let instances = instances.map(|(id, process)| instance(id, 0, Some(process)));
        let lives = |id: &str| peers.is_alive(&InstanceId(id.into()));
        looks(&peers, &instances, MISSED);
        assert!(!lives("reused"));
        assert!(lives("us") && lives("elsewhere"));
        looks(&peers, &instances, 1);
        assert!(!lives("us"), "it lives and says nothing: it may be stopped");
        assert!(!lives("elsewhere"));
    }
}
