//! The other processes on the same vault: which of them are alive.
//!
//! Alive is a process whose record changes from one look of this process to the next: the clocks of two machines are never compared, and a
//! suspension of this process, or of the whole machine, counts as one look, however long it was. Of a process on the same machine the
//! kernel knows that it has died, at once. It does not know that a living one is of any use: one that is stopped, or hangs, is waited for
//! like one on another machine. A wrong guess does no harm: the journal's takeover decides who owns a tenant, and whoever was wrongly
//! believed dead learns from it.
//!
//! One that was never seen to change may have died just before it was first seen. It is believed to live for one and a half announcements:
//! then it must have made one.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    clock::Instant,
    vault::{Instance, InstanceId},
};

/// Looks without a change, after which a process counts as dead. Looks are as far apart as announcements.
const MISSED: u32 = 3;

/// The same for one that was never seen to change, counted in quarters of the time that it has.
const QUARTERS: u32 = 4;

/// What was seen of the others.
#[derive(Debug)]
pub struct Peers {
    seen: Mutex<HashMap<InstanceId, Sighting>>,
    /// How long one that was never seen to change is believed to live.
    trust: Duration,
}

#[derive(Debug)]
struct Sighting {
    heartbeat_at: Timestamp,
    /// Looks in a row that found no change.
    missed: u32,
    /// It was seen to change, or has written.
    is_proven: bool,
    /// Until it is: readings without a change, a quarter of the trust apart, and when the last one was. Time in which nobody has looked,
    /// as in a suspension, counts once.
    quarters: u32,
    counted_at: Instant,
    process: Option<String>,
    is_draining: bool,
    is_gone: bool,
    /// It was alive at the last look.
    lived: bool,
}

impl Sighting {
    fn new(instance: &Instance, now: Instant) -> Self {
        let Instance { heartbeat_at, process, draining, .. } = instance;
        Self {
            heartbeat_at: *heartbeat_at,
            missed: 0,
            is_proven: false,
            quarters: 0,
            counted_at: now,
            process: process.clone(),
            is_draining: *draining,
            is_gone: false,
            lived: false,
        }
    }

    /// Read again; true when it has changed.
    fn read(&mut self, instance: &Instance, trust: Duration, now: Instant) -> bool {
        if self.heartbeat_at != instance.heartbeat_at {
            *self = Self { is_proven: true, lived: self.lived, ..Self::new(instance, now) };
            return true;
        }
        if !self.is_proven && now.since(self.counted_at) >= trust / QUARTERS {
            self.quarters += 1;
            self.counted_at = now;
        }
        false
    }

    fn is_alive(&self) -> bool {
        let has_died = || {
            let lives = process_lives(self.process.as_deref()?, &this_machine()?)?;
            Some(!lives)
        };
        let is_silent = if self.is_proven { self.missed >= MISSED } else { self.quarters >= QUARTERS };
        !self.is_gone && !is_silent && !has_died().unwrap_or(false)
    }
}

impl Peers {
    /// `announce`: how often a process says that it lives.
    pub fn new(announce: Duration) -> Self {
        Self { seen: Mutex::default(), trust: announce * 3 / 2 }
    }

    /// Takes what the vault lists now; a process that is not listed has stopped, or is forgotten. True: one that lived is gone.
    pub fn observe(&self, instances: &[Instance], now: Instant) -> bool {
        let mut seen = self.seen();
        let before = seen.values().filter(|sighting| sighting.lived).count();
        seen.retain(|id, _| instances.iter().any(|instance| instance.id == *id));
        for instance in instances {
            match seen.get_mut(&instance.id) {
                Some(sighting) => {
                    let has_changed = sighting.read(instance, self.trust, now);
                    sighting.missed = if has_changed { 0 } else { sighting.missed.saturating_add(1) };
                }
                None => drop(seen.insert(instance.id.clone(), Sighting::new(instance, now))),
            }
        }
        let stayed = seen.values().filter(|sighting| sighting.lived && sighting.is_alive()).count();
        seen.values_mut().for_each(|sighting| sighting.lived = sighting.is_alive());
        stayed < before
    }

    /// The same between two looks: no time has passed for those who were seen to live.
    pub fn meet(&self, instances: &[Instance], now: Instant) {
        let mut seen = self.seen();
        for instance in instances {
            match seen.get_mut(&instance.id) {
                Some(sighting) => {
                    sighting.read(instance, self.trust, now);
                }
                None => drop(seen.insert(instance.id.clone(), Sighting::new(instance, now))),
            }
        }
    }

    /// It has written something new.
    pub fn prove(&self, id: &InstanceId) {
        if let Some(sighting) = self.seen().get_mut(id) {
            (sighting.is_proven, sighting.missed) = (true, 0);
        }
    }

    /// It has written that it is about to stop.
    pub fn note_draining(&self, id: &InstanceId) {
        if let Some(sighting) = self.seen().get_mut(id) {
            sighting.is_draining = true;
        }
    }

    /// Those that live, as far as anybody here can know, by id; and whether they are about to stop.
    pub fn living(&self) -> Vec<(InstanceId, bool)> {
        let seen = self.seen();
        let living = seen.iter().filter(|(_, sighting)| sighting.is_alive());
        let mut living: Vec<_> = living.map(|(id, sighting)| (id.clone(), sighting.is_draining)).collect();
        living.sort_by(|a, b| a.0.0.cmp(&b.0.0));
        living
    }

    /// There are some of whom nobody knows yet whether they live.
    pub fn has_unproven(&self) -> bool {
        self.seen().values().any(|sighting| !sighting.is_proven && sighting.is_alive())
    }

    /// It has written that it is gone. It stays listed as dead until it is not listed any more.
    pub fn note_gone(&self, id: &InstanceId) {
        if let Some(sighting) = self.seen().get_mut(id) {
            sighting.is_gone = true;
        }
    }

    /// How often those are to be read of whom nobody knows yet whether they live.
    pub fn meeting_pause(&self) -> Duration {
        self.trust / QUARTERS
    }

    /// The vault did not take our own announcement, and so may not have taken theirs: the count starts anew.
    pub fn excuse(&self) {
        self.seen().values_mut().for_each(|sighting| (sighting.missed, sighting.quarters) = (0, 0));
    }

    pub fn is_alive(&self, id: &InstanceId) -> bool {
        self.seen().get(id).is_some_and(Sighting::is_alive)
    }

    /// Those that were listed last and are dead.
    pub fn dead(&self) -> Vec<InstanceId> {
        self.seen().iter().filter(|(_, sighting)| !sighting.is_alive()).map(|(id, _)| id.clone()).collect()
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<InstanceId, Sighting>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This process, so that another one on the same machine finds it: machine, number, when it began.
pub fn this_process() -> Option<String> {
    let pid = std::process::id();
    Some(format!("{}/{pid}/{}", this_machine()?, began(pid)?))
}

/// This boot of this machine, and whose processes are counted together: two containers have the same numbers for different processes.
fn this_machine() -> Option<String> {
    static MACHINE: LazyLock<Option<String>> = LazyLock::new(read_machine);
    MACHINE.clone()
}

fn read_machine() -> Option<String> {
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

    fn at(ms: u64) -> Instant {
        Instant::from_start(Duration::from_millis(ms))
    }

    /// Each an announcement apart.
    fn looks(peers: &Peers, instances: &[Instance], count: u32) {
        (0..count).for_each(|_| {
            peers.observe(instances, at(0));
        });
    }

    fn peers() -> Peers {
        Peers::new(Duration::from_secs(30))
    }

    #[test]
    fn whoever_is_not_seen_to_change_is_dead() {
        let peers = peers();
        let other = InstanceId("other".into());
        assert!(!peers.is_alive(&other), "nobody has ever seen it");
        // Its clock is years behind; only that it changes counts.
        looks(&peers, &[instance("other", 7, None)], 1);
        looks(&peers, &[instance("other", 5, None)], MISSED);
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
        assert!(peers.observe(&[], at(0)), "one that lived is gone");
        assert!(!peers.is_alive(&other), "it has stopped");
        assert!(!peers.observe(&[], at(0)), "which is told once");
    }

    #[test]
    fn one_that_was_never_seen_to_change_has_an_announcement_and_a_half() {
        let peers = peers();
        let (other, record) = (InstanceId("other".into()), [instance("other", 7, None)]);
        peers.meet(&record, at(0));
        for ms in [1, 11_250, 22_500, 33_750] {
            peers.observe(&record, at(ms));
            assert!(peers.is_alive(&other), "after {ms} ms");
        }
        peers.meet(&record, at(45_000));
        assert!(!peers.is_alive(&other));
        peers.meet(&[instance("other", 8, None)], at(50_000));
        assert!(peers.is_alive(&other) && !peers.has_unproven());
    }

    /// Nobody has looked for a day: it may have been suspended with everybody else.
    #[test]
    fn a_suspension_counts_as_one_look() {
        let peers = peers();
        let (other, record) = (InstanceId("other".into()), [instance("other", 7, None)]);
        peers.meet(&record, at(0));
        peers.meet(&record, at(86_400_000));
        assert!(peers.is_alive(&other) && peers.has_unproven());
        // It writes letters: it has three looks now.
        peers.prove(&other);
        looks(&peers, &record, MISSED - 1);
        assert!(peers.is_alive(&other) && !peers.has_unproven());
        assert_eq!(peers.living(), [(other.clone(), false)]);
        peers.note_draining(&other);
        assert_eq!(peers.living(), [(other, true)]);
    }

    #[test]
    fn the_kernel_knows_who_has_died_on_this_machine() {
        let peers = peers();
        let us = this_process().unwrap();
        let (before, start) = us.rsplit_once('/').unwrap();
        let reused = format!("{before}/{}", start.parse::<u64>().unwrap() + 1);
        let elsewhere = format!("x{us}");
        let instances = [("us", us), ("reused", reused), ("elsewhere", elsewhere)];
        let instances = instances.map(|(id, process)| instance(id, 0, Some(process)));
        let lives = |id: &str| peers.is_alive(&InstanceId(id.into()));
        looks(&peers, &instances, 1);
        ["us", "elsewhere"].iter().for_each(|id| peers.prove(&InstanceId((*id).into())));
        looks(&peers, &instances, MISSED - 1);
        assert!(!lives("reused"));
        assert!(lives("us") && lives("elsewhere"));
        looks(&peers, &instances, 1);
        assert!(!lives("us"), "it lives and says nothing: it may be stopped");
        assert!(!lives("elsewhere"));
    }
}
