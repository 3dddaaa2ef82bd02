//! The other processes on the same vault: which of them are alive.
//!
//! Alive is a process whose record changes from one look of this process to the next: the clocks of two machines are never compared, and a
//! suspension of this process, or of the whole machine, counts as one look, however long it was. Of a process in the same numbering of
//! processes the kernel knows that it has died, at once. It does not know that a living one is of any use: one that is stopped, or hangs,
//! is waited for like one elsewhere. A wrong guess does no harm: the journal's takeover decides who owns a tenant, and whoever was wrongly
//! believed dead learns from it.
//!
//! One of which nobody knows yet whether it lives, or whose record has not changed for [`MISSED`] looks, is **asked**, by letter. A
//! process reads its letters every [`BOX_PAUSE`] at the least, also while it is alone, and answers at once. One that has not answered
//! when this process has read its own letters for [`ANSWER_TIME`] is dead. So a process that was killed, in a container or on another
//! machine, holds its successor up for seconds. The same question is put to those that are known when somebody new arrives, since that
//! may be the successor of one of them.
//!
//! Earlier versions read no letters ([`LETTER_BOX`] is not in their record). Those are believed to live for one and a half announcements:
//! then they must have made one.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;

use super::process_identity::{process_lives, this_machine};
use crate::{
    clock::Instant,
    sync::lock,
    vault::{Instance, InstanceId},
};

/// The address of a process that reads letters.
pub const LETTER_BOX: &str = "letters";

/// So often every process reads its letters, at the least.
pub const BOX_PAUSE: Duration = Duration::from_secs(5);

/// A knock is answered within this time by whoever lives: [`BOX_PAUSE`], and what the vault takes for three operations.
const ANSWER_TIME: Duration = Duration::from_secs(8);

/// A question that does not come into its reader's letter box for so long is not waited for.
const LONGEST_QUESTION: Duration = Duration::from_secs(30);

/// Looks without a change, after which a process is asked for a sign of life; one that reads no letters counts as dead. Looks are as far
/// apart as announcements.
const MISSED: u32 = 3;

/// A doubt is counted in quarters of the time that there is for it, so that time in which nobody has looked, as in a suspension, counts as
/// one.
const QUARTERS: u32 = 4;

/// How often those are read who cannot be left alone: they are about to stop, or do not say so before.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// What a look has found.
#[derive(Debug, Default)]
pub struct PeerLook {
    /// One that lived is gone.
    pub has_lost_one: bool,
    /// There is one that was not known before.
    pub has_newcomer: bool,
    /// Nothing was heard of them for too long: to be asked for a sign of life.
    pub silent: Vec<InstanceId>,
}

/// What was seen of the others.
#[derive(Debug)]
pub struct Peers {
    seen: Mutex<PeerTable>,
    /// How long one that reads no letters is believed to live without a change.
    trust: Duration,
}

#[derive(Debug, Default)]
struct PeerTable {
    sightings: HashMap<InstanceId, Sighting>,
    /// Those that have said that they are gone. Their ids are not used again.
    gone: HashSet<InstanceId>,
    /// One that lived was not listed any more.
    has_lost_one: bool,
}

#[derive(Debug)]
struct Sighting {
    heartbeat_at: Timestamp,
    /// Looks in a row that found no change.
    missed: u32,
    doubt: Option<Doubt>,
    /// When this process began to read the list in which it stood last.
    listed_at: Instant,
    heard_at: Option<Instant>,
    process: Option<String>,
    /// Where it takes requests that are forwarded to it.
    listens_at: Option<String>,
    reads_letters: bool,
    is_draining: bool,
    is_gone: bool,
    /// It was alive at the last look.
    lived: bool,
}

/// Nobody knows whether it lives: it was never seen to change, or was asked for a sign of life.
#[derive(Debug)]
struct Doubt {
    /// The question is in its letter box.
    is_asked: bool,
    /// Readings without a sign, a quarter of its time apart, and when the last one was.
    quarters: u32,
    counted_at: Instant,
}

impl Doubt {
    fn new(now: Instant) -> Self {
        Self { is_asked: false, quarters: 0, counted_at: now }
    }

    fn count(&mut self, pause: Duration, now: Instant) {
        if now.since(self.counted_at) >= pause {
            self.quarters += 1;
            self.counted_at = now;
        }
    }
}

impl Sighting {
    fn new(instance: &Instance, now: Instant) -> Self {
        let Instance { heartbeat_at, process, draining, address, listens_at, .. } = instance;
        Self {
            heartbeat_at: *heartbeat_at,
            missed: 0,
            doubt: Some(Doubt::new(now)),
            listed_at: now,
            heard_at: None,
            process: process.clone(),
            listens_at: listens_at.clone(),
            reads_letters: address.as_deref() == Some(LETTER_BOX),
            is_draining: *draining,
            is_gone: false,
            lived: false,
        }
    }

    /// Read again; true when it has changed.
    fn read(&mut self, instance: &Instance, trust: Duration, now: Instant) -> bool {
        self.listed_at = now;
        if self.heartbeat_at != instance.heartbeat_at {
            self.heartbeat_at = instance.heartbeat_at;
            self.listens_at.clone_from(&instance.listens_at);
            self.is_draining |= instance.draining;
            (self.missed, self.doubt, self.heard_at) = (0, None, Some(now));
            return true;
        }
        let trust = if self.reads_letters { trust.max(LONGEST_QUESTION) } else { trust };
        if let Some(doubt) = self.doubt.as_mut().filter(|doubt| !doubt.is_asked) {
            doubt.count(trust / QUARTERS, now);
        }
        false
    }

    fn is_alive(&self) -> bool {
        let has_died = || {
            let lives = process_lives(self.process.as_deref()?, &this_machine()?)?;
            Some(!lives)
        };
        let is_silent = self.doubt.as_ref().map_or(self.missed >= MISSED, |doubt| doubt.quarters >= QUARTERS);
        !self.is_gone && !is_silent && !has_died().unwrap_or(false)
    }
}

impl Peers {
    /// `announce`: how often a process says that it lives.
    pub fn new(announce: Duration) -> Self {
        Self { seen: Mutex::default(), trust: announce * 3 / 2 }
    }

    /// Takes what the vault listed when it was asked at `now`; a process that is not listed has stopped, or is forgotten.
    pub fn observe(&self, instances: &[Instance], now: Instant) -> PeerLook {
        let mut seen = self.seen();
        let has_newcomer = !self.take(&mut seen, instances, now, true).is_empty();
        let has_lost_one = std::mem::take(&mut seen.has_lost_one);
        let mut look = PeerLook { has_lost_one, has_newcomer, silent: Vec::new() };
        for (id, sighting) in &mut seen.sightings {
            if sighting.reads_letters && sighting.missed >= MISSED && sighting.doubt.is_none() {
                sighting.doubt = Some(Doubt::new(now));
                look.silent.push(id.clone());
            }
            look.has_lost_one |= sighting.lived && !sighting.is_alive();
            sighting.lived = sighting.is_alive();
        }
        look
    }

    /// The same between two looks: no time has passed for those who were seen to live. Gives those that were not known before.
    pub fn meet(&self, instances: &[Instance], now: Instant) -> Vec<InstanceId> {
        self.take(&mut self.seen(), instances, now, false)
    }

    fn take(&self, seen: &mut PeerTable, instances: &[Instance], now: Instant, is_look: bool) -> Vec<InstanceId> {
        let PeerTable { sightings, gone, has_lost_one } = seen;
        sightings.retain(|id, sighting| {
            // Two lists may come in another order than they were read in.
            let is_listed = sighting.listed_at > now || instances.iter().any(|instance| instance.id == *id);
            *has_lost_one |= !is_listed && sighting.lived;
            is_listed
        });
        let mut arrived = Vec::new();
        for instance in instances {
            match sightings.get_mut(&instance.id) {
                Some(sighting) => {
                    let has_changed = sighting.read(instance, self.trust, now);
                    if is_look || has_changed {
                        sighting.missed = if has_changed { 0 } else { sighting.missed.saturating_add(1) };
                    }
                }
                None => {
                    let is_gone = gone.contains(&instance.id);
                    sightings.insert(instance.id.clone(), Sighting { is_gone, ..Sighting::new(instance, now) });
                    if !is_gone {
                        arrived.push(instance.id.clone());
                    }
                }
            }
        }
        arrived
    }

    /// It has written something new. `answers`: what it was asked last.
    pub fn hear(&self, id: &InstanceId, answers: bool, now: Instant) {
        if let Some(sighting) = self.seen().sightings.get_mut(id)
            && (answers || sighting.doubt.is_none())
        {
            (sighting.doubt, sighting.missed, sighting.heard_at) = (None, 0, Some(now));
        }
    }

    /// Gives those that are to be asked for a sign of life, because nothing was heard of them for so long.
    pub fn doubt(&self, silence: Duration, now: Instant) -> Vec<InstanceId> {
        let mut doubted = Vec::new();
        for (id, sighting) in &mut self.seen().sightings {
            let is_quiet = sighting.heard_at.is_none_or(|at| now.since(at) >= silence);
            if is_quiet && sighting.reads_letters && sighting.doubt.is_none() && sighting.is_alive() {
                sighting.doubt = Some(Doubt::new(now));
                doubted.push(id.clone());
            }
        }
        doubted
    }

    /// The question is in its letter box.
    pub fn ask(&self, id: &InstanceId, now: Instant) {
        if let Some(sighting) = self.seen().sightings.get_mut(id).filter(|sighting| sighting.reads_letters)
            && let Some(doubt) = &mut sighting.doubt
        {
            *doubt = Doubt { is_asked: true, ..Doubt::new(now) };
        }
    }

    /// This process has read its letters, and has told [`Self::hear`] of them.
    pub fn count(&self, now: Instant) {
        for doubt in self.seen().sightings.values_mut().filter_map(|sighting| sighting.doubt.as_mut()) {
            if doubt.is_asked {
                doubt.count(ANSWER_TIME / QUARTERS, now);
            }
        }
    }

    /// It has written that it is about to stop.
    pub fn note_draining(&self, id: &InstanceId) {
        if let Some(sighting) = self.seen().sightings.get_mut(id) {
            sighting.is_draining = true;
        }
    }

    /// Those that live, as far as anybody here can know, by id; and whether they are about to stop.
    pub fn living(&self) -> Vec<(InstanceId, bool)> {
        self.listed(|sighting| sighting.is_alive())
    }

    /// Those of them that read letters: only they can be given something, or give it.
    pub fn correspondents(&self) -> Vec<(InstanceId, bool)> {
        self.listed(|sighting| sighting.reads_letters && sighting.is_alive())
    }

    fn listed(&self, is_meant: impl Fn(&Sighting) -> bool) -> Vec<(InstanceId, bool)> {
        let seen = self.seen();
        let meant = seen.sightings.iter().filter(|(_, sighting)| is_meant(sighting));
        let mut meant: Vec<_> = meant.map(|(id, sighting)| (id.clone(), sighting.is_draining)).collect();
        meant.sort_by(|a, b| a.0.0.cmp(&b.0.0));
        meant
    }

    /// There are some that have been asked for a sign of life, or are to be.
    pub fn has_doubts(&self) -> bool {
        self.seen()
            .sightings
            .values()
            .any(|sighting| sighting.reads_letters && sighting.doubt.is_some() && sighting.is_alive())
    }

    /// It has written that it is gone. It stays listed as dead until it is not listed any more.
    pub fn note_gone(&self, id: &InstanceId) {
        let mut seen = self.seen();
        seen.gone.insert(id.clone());
        if let Some(sighting) = seen.sightings.get_mut(id) {
            sighting.is_gone = true;
        }
    }

    /// No other process can have the vault open: all that are listed are gone.
    pub fn bury(&self) {
        let mut seen = self.seen();
        let PeerTable { sightings, gone, .. } = &mut *seen;
        for (id, sighting) in sightings {
            sighting.is_gone = true;
            gone.insert(id.clone());
        }
    }

    /// How often the records are to be read between two looks; `None`: they need not be.
    pub fn meeting_pause(&self) -> Option<Duration> {
        let seen = self.seen();
        let living = seen.sightings.values().filter(|sighting| sighting.is_alive());
        let pauses = living.filter_map(|sighting| match sighting {
            Sighting { is_draining: true, .. } | Sighting { reads_letters: false, doubt: None, .. } => {
                Some(WATCH_PAUSE)
            }
            Sighting { doubt: Some(_), .. } => Some(WATCH_PAUSE.max(self.trust / QUARTERS / 4)),
            _ => None,
        });
        pauses.min()
    }

    /// The vault did not take our own announcement, and so may not have taken theirs: the count starts anew.
    pub fn excuse(&self, now: Instant) {
        for sighting in self.seen().sightings.values_mut() {
            sighting.missed = 0;
            if let Some(doubt) = &mut sighting.doubt {
                *doubt = Doubt { is_asked: doubt.is_asked, ..Doubt::new(now) };
            }
        }
    }

    pub fn is_alive(&self, id: &InstanceId) -> bool {
        self.seen().sightings.get(id).is_some_and(Sighting::is_alive)
    }

    /// Where one that lives takes what is forwarded to it.
    pub fn listens_at(&self, id: &InstanceId) -> Option<String> {
        let seen = self.seen();
        seen.sightings.get(id).filter(|sighting| sighting.is_alive())?.listens_at.clone()
    }

    /// Somebody takes what is forwarded, if he lives.
    pub fn has_listeners(&self) -> bool {
        self.seen().sightings.values().any(|sighting| sighting.listens_at.is_some())
    }

    pub fn is_listed(&self, id: &InstanceId) -> bool {
        self.seen().sightings.contains_key(id)
    }

    /// Those that were listed last and are dead.
    pub fn dead(&self) -> Vec<InstanceId> {
        let seen = self.seen();
        seen.sightings.iter().filter(|(_, sighting)| !sighting.is_alive()).map(|(id, _)| id.clone()).collect()
    }

    fn seen(&self) -> MutexGuard<'_, PeerTable> {
        lock(&self.seen)
    }
}

#[cfg(test)]
mod tests;
