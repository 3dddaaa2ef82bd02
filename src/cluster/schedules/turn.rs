//! One process at work: looks who lives, takes up what the dead had, gives, takes, and stops. It repeats `fleet::handover` and
//! `fleet::takeback` in few words.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng;

use super::{ANNOUNCE, GLANCE, GRACE, PASSES, ScheduleWorld, Work};
use crate::{
    cluster::{BOX_PAUSE, HandoverVerdict, LETTER_BOX, Letter},
    tenant::TenantId,
    vault::{Instance, InstanceId, Seq},
};

impl ScheduleWorld {
    /// What the vault lists, without the reader.
    fn listed(&self, n: usize) -> Vec<Instance> {
        let others = self.records.iter().filter(|(other, _)| **other != n);
        let listed = others.map(|(other, (beat, draining))| Instance {
            id: self.processes[*other].id.clone(),
            address: Some(LETTER_BOX.into()),
            listens_at: None,
            process: None,
            version: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            heartbeat_at: Timestamp::from_second(*beat).unwrap(),
            draining: *draining,
        });
        listed.collect()
    }

    pub(super) fn meet(&mut self, n: usize) {
        let (listed, now) = (self.listed(n), self.now);
        let process = &mut self.processes[n];
        process.met_at = now;
        if !process.peers.meet(&listed, now).is_empty() {
            self.doubt(n, BOX_PAUSE);
        }
    }

    fn doubt(&mut self, n: usize, silence: Duration) {
        let process = &mut self.processes[n];
        for id in process.peers.doubt(silence, self.now) {
            process.post.knock(&id);
        }
    }

    pub(super) fn announce(&mut self, n: usize) {
        let draining = self.processes[n].is_leaving();
        // A wall clock that jumps back, or stands: the record changes seldom, and says nothing of who lives.
        let passed = if self.is_calm { 1 } else { self.rng.random_range(-2..=3) };
        let record = self.records.entry(n).or_insert((0, draining));
        *record = (record.0 + passed, draining);
    }

    pub(super) fn turn(&mut self, n: usize) {
        let now = self.now;
        if self.processes[n].is_over || self.processes[n].stopped_until > now {
            return;
        }
        // Whoever was taken from learns it at its next word to the vault.
        let owners = &self.owners;
        if self.processes[n].known_takings != self.takings {
            self.processes[n].known_takings = self.takings;
            self.processes[n].serves.retain(|tenant| owners[tenant].1 == n);
        }
        self.confirm(n);
        if self.cut_until > now {
            self.processes[n].peers.excuse(now);
            self.processes[n].joiner.resumed(now);
            return;
        }
        let (due, later) = std::mem::take(&mut self.processes[n].work).into_iter().partition(|(at, _)| *at <= now);
        self.processes[n].work = later;
        for (_, work) in due {
            self.work(n, work);
        }
        let process = &self.processes[n];
        if process.peers.meeting_pause().is_some_and(|pause| now.since(process.met_at) >= pause) {
            self.meet(n);
        }
        if now.since(self.processes[n].glanced_at) >= GLANCE {
            self.processes[n].glanced_at = now;
            self.take_up(n, true);
        }
        if now.since(self.processes[n].looked_at) >= ANNOUNCE {
            self.look(n);
        }
        let process = &self.processes[n];
        if process.round_began.is_none() && now.since(process.read_at) >= process.pause() {
            self.correspond(n);
        }
        self.open(n);
        self.leave(n);
    }

    fn look(&mut self, n: usize) {
        self.announce(n);
        let (listed, now) = (self.listed(n), self.now);
        let process = &mut self.processes[n];
        (process.looked_at, process.met_at) = (now, now);
        let look = process.peers.observe(&listed, now);
        look.silent.iter().for_each(|id| process.post.knock(id));
        let is_leaving = process.is_leaving();
        if look.has_newcomer {
            self.doubt(n, BOX_PAUSE);
        }
        if is_leaving {
            return;
        }
        let process = &mut self.processes[n];
        let dead = process.peers.dead();
        self.take_up(n, false);
        for id in dead {
            let gone = self.number(&id);
            self.records.remove(&gone);
            self.letters.retain(|(_, to), _| *to != gone);
        }
    }

    /// What the dead had.
    fn take_up(&mut self, n: usize, is_glance: bool) {
        let process = &self.processes[n];
        if !process.is_open || process.is_leaving() {
            return;
        }
        let is_new = |owner: usize| !process.peers.is_listed(&self.processes[owner].id);
        if self.owners.values().any(|(_, owner)| *owner != n && is_new(*owner)) {
            self.meet(n);
        }
        let orphans: Vec<_> = self.owners.iter().filter(|(_, (_, owner))| *owner != n).collect();
        let orphans = orphans.into_iter().filter(|(_, (_, owner))| {
            let process = &self.processes[n];
            !process.peers.is_alive(&self.processes[*owner].id)
        });
        let orphans: Vec<_> = orphans.map(|(tenant, _)| tenant.clone()).collect();
        self.processes[n].passes.retain(|tenant, _| orphans.contains(tenant));
        for tenant in orphans {
            let process = &mut self.processes[n];
            let passes = process.passes.entry(tenant.clone()).or_default();
            *passes += u32::from(is_glance);
            let has_waited = *passes > PASSES;
            if process.should_own(&tenant) || has_waited {
                self.later(n, Work::TakeUp(tenant), 400);
            }
        }
    }

    pub(super) fn later(&mut self, n: usize, work: Work, most: u64) {
        let at = self.now + Duration::from_millis(self.rng.random_range(0..most));
        self.processes[n].work.push((at, work));
    }

    fn work(&mut self, n: usize, work: Work) {
        let now = self.now;
        match work {
            Work::Prepare(tenant) => self.processes[n].joiner.prepared(&tenant),
            Work::Give { by, ask } => {
                let verdict = self.give(n, &by, &ask.tenant);
                let process = &mut self.processes[n];
                process.giving.remove(&ask.tenant);
                process.giver.answer(&by, &ask, verdict);
            }
            Work::Take { tenant, from, last } => {
                self.look_who_has(n, &tenant);
                let owner = &self.processes[self.owners[&tenant].1];
                let process = &self.processes[n];
                let is_anothers = owner.id != from && owner.id != process.id && process.peers.is_alive(&owner.id);
                if process.is_leaving() {
                    return self.processes[n].joiner.taken(&tenant, now);
                }
                // The one that does not answer may have given it to another before, and one that has given it may have died then, so that
                // another was quicker: whoever takes looks at the vault.
                if is_anothers {
                    return self.processes[n].joiner.declined(&tenant, &from, now);
                }
                if last.is_some() && self.lives_and_serves(&tenant) && owner.id == from {
                    self.problems.push(format!("{tenant:?} was given and is still served"));
                }
                self.take(n, &tenant);
                self.processes[n].joiner.taken(&tenant, now);
            }
            Work::TakeUp(tenant) => {
                self.look_who_has(n, &tenant);
                let process = &self.processes[n];
                let owner = &self.processes[self.owners[&tenant].1].id;
                if *owner != process.id && !process.is_leaving() && !process.peers.is_alive(owner) {
                    self.take(n, &tenant);
                }
            }
        }
    }

    /// Before a tenant is taken: somebody who came meanwhile may have been quicker, and is not known here yet.
    fn look_who_has(&mut self, n: usize, tenant: &TenantId) {
        let owner = self.owners[tenant].1;
        if owner != n && !self.processes[n].peers.is_alive(&self.processes[owner].id) {
            self.meet(n);
        }
    }

    /// Lets go of a tenant that is served, or was let go of before for one that is gone.
    fn give(&mut self, n: usize, by: &InstanceId, tenant: &TenantId) -> HandoverVerdict {
        let (epoch, owner) = self.owners[tenant];
        let process = &mut self.processes[n];
        let staying = process.staying();
        if !staying.contains(by) || process.pairing.contains(tenant) && process.serves.contains(tenant) {
            return HandoverVerdict::Kept;
        }
        if process.serves.remove(tenant) {
            process.let_go.insert(tenant.clone(), by.clone());
            return HandoverVerdict::given(Seq(epoch));
        }
        let is_free = process.let_go.get(tenant).is_some_and(|to| to == by || !staying.contains(to));
        if !is_free {
            return HandoverVerdict::Kept;
        }
        if owner != n && self.processes[n].peers.is_alive(&self.processes[owner].id) {
            self.processes[n].let_go.remove(tenant);
            return HandoverVerdict::Kept;
        }
        self.processes[n].let_go.insert(tenant.clone(), by.clone());
        HandoverVerdict::given(Seq(0))
    }

    fn take(&mut self, n: usize, tenant: &TenantId) {
        let (epoch, owner) = self.owners[tenant];
        if self.is_calm && owner != n && self.lives_and_serves(tenant) {
            self.problems.push(format!("{tenant:?} is taken from process {owner}, which lives and answers, by {n}"));
        }
        self.takings += 1;
        self.owners.insert(tenant.clone(), (epoch + 1, n));
        self.processes[n].serves.insert(tenant.clone());
    }

    /// It has asked who lives, and takes up what is its own.
    fn open(&mut self, n: usize) {
        let process = &mut self.processes[n];
        let has_waited = self.now.since(process.started_at) > Duration::from_secs(20);
        if !process.is_open && (!process.peers.has_doubts() || has_waited) {
            process.is_open = true;
            self.take_up(n, false);
        }
    }

    /// One that was told to stop: gives, closes, says so, and ends.
    fn leave(&mut self, n: usize) {
        let now = self.now;
        let Some(since) = self.processes[n].leaving_since else { return };
        let process = &self.processes[n];
        match process.closed_at {
            None => {
                let staying = process.staying();
                let taken = process.let_go.keys().filter(|tenant| {
                    let owner = self.owners[*tenant].1;
                    let is_anothers = owner != n && process.peers.is_alive(&self.processes[owner].id);
                    process.is_free(tenant, &staying) && is_anothers
                });
                let taken: Vec<_> = taken.cloned().collect();
                self.processes[n].let_go.retain(|tenant, _| !taken.contains(tenant));
                let process = &self.processes[n];
                let is_over =
                    now.since(since) >= GRACE || staying.is_empty() || !process.has_something_to_give(&staying);
                let closing = Duration::from_millis(self.rng.random_range(0..2000));
                if is_over {
                    self.processes[n].closed_at = Some(now + closing);
                } else {
                    self.doubt(n, Duration::from_secs(3));
                }
            }
            Some(at) if at <= now => {
                for (peer, _) in self.processes[n].peers.correspondents() {
                    let answers = self.processes[n].giver.answers_to(&peer);
                    let goodbye = Letter { draining: true, stopped: true, answers, ..Letter::default() };
                    if let Some(goodbye) = self.processes[n].post.due(&peer, goodbye, now) {
                        self.put(n, &peer, goodbye);
                    }
                }
                self.records.remove(&n);
                self.processes[n].is_over = true;
            }
            Some(_) => {}
        }
    }
}
