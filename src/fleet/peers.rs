//! The other processes on the same vault: which of them are alive.
//!
//! Alive is what this process saw change lately, by its own clock, which runs during suspension: the clocks of two machines are never
//! compared. Of a process on the same machine the kernel knows. A wrong guess does no harm: the journal's takeover decides who owns a
//! tenant, and whoever was wrongly believed dead learns from it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    clock::Instant,
    vault::{Instance, InstanceId},
};

/// Announcements that a living process may miss.
const MISSED: u32 = 3;

/// What was seen of the others.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<HashMap<InstanceId, Sighting>>);

#[derive(Debug)]
struct Sighting {
    heartbeat_at: Timestamp,
    changed_at: Instant,
    process: Option<String>,
}

impl Peers {
    /// What the vault lists now. Who is not listed has stopped, or is forgotten.
    pub fn observe(&self, instances: &[Instance], now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|id, _| instances.iter().any(|instance| instance.id == *id));
        for Instance { id, heartbeat_at, process, .. } in instances {
            let new = || Sighting { heartbeat_at: *heartbeat_at, changed_at: now, process: process.clone() };
            let sighting = seen.entry(id.clone()).or_insert_with(new);
            if sighting.heartbeat_at != *heartbeat_at {
                (sighting.heartbeat_at, sighting.changed_at) = (*heartbeat_at, now);
            }
        }
    }

    /// The vault did not take our own announcement, and so may not have taken theirs: the count starts anew.
    pub fn excuse(&self, now: Instant) {
        for sighting in self.0.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            sighting.changed_at = now;
        }
    }

    /// `every`: how often a process announces itself.
    pub fn is_alive(&self, id: &InstanceId, every: Duration, now: Instant) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sighting) = seen.get(id) else { return false };
        let by_kernel = sighting.process.as_deref().and_then(|process| process_lives(process, &this_machine()?));
        by_kernel.unwrap_or_else(|| now.since(sighting.changed_at) < every * MISSED)
    }

    /// Those that were listed last and are dead.
    pub fn dead(&self, every: Duration, now: Instant) -> Vec<InstanceId> {
        let ids: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        ids.into_iter().filter(|id| !self.is_alive(id, every, now)).collect()
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

    const EVERY: Duration = Duration::from_secs(30);

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

    fn at(second: u64) -> Instant {
        Instant::from_start(Duration::from_secs(second))
    }

    #[test]
    fn whoever_is_not_seen_to_change_is_dead_by_our_clock() {
        let peers = Peers::default();
        let other = InstanceId("other".into());
        assert!(!peers.is_alive(&other, EVERY, at(0)), "nobody has ever seen it");
        // Its clock is years behind; only that it changes counts.
        peers.observe(&[instance("other", 7, None)], at(1000));
        assert!(peers.is_alive(&other, EVERY, at(1089)));
        assert!(!peers.is_alive(&other, EVERY, at(1090)));
        peers.observe(&[instance("other", 6, None)], at(1080));
        assert!(peers.is_alive(&other, EVERY, at(1169)));
        // The vault was away.
        peers.excuse(at(1200));
        assert!(peers.is_alive(&other, EVERY, at(1289)));
        assert_eq!(peers.dead(EVERY, at(1290)), [other.clone()]);
        peers.observe(&[], at(1200));
        assert!(!peers.is_alive(&other, EVERY, at(1200)), "it has stopped");
    }

    #[test]
    fn the_kernel_knows_the_processes_of_this_machine() {
        let peers = Peers::default();
        let us = this_process().unwrap();
        let (before, start) = us.rsplit_once('/').unwrap();
        let reused = format!("{before}/{}", start.parse::<u64>().unwrap() + 1);
        let elsewhere = format!("x{us}");
        let instances = [("us", us), ("reused", reused), ("elsewhere", elsewhere)];
        peers.observe(&instances.map(|(id, process)| instance(id, 0, Some(process))), at(0));
        let lives = |id: &str, second| peers.is_alive(&InstanceId(id.into()), EVERY, at(second));
        assert!(lives("us", 1_000_000), "however long it has said nothing");
        assert!(!lives("reused", 0));
        assert!(lives("elsewhere", 89) && !lives("elsewhere", 90));
    }
}
