//! The letters of one process: reads its box, does what stands there, and writes to the others. It repeats `fleet::letters` in few words.

use std::time::Duration;

use rand::Rng;

use super::{ScheduleWorld, SimulatedProcess, VAULT_TIMEOUT, Work};
use crate::{
    cluster::{BOX_PAUSE, HandoverVerdict, JoinerMove, Letter, LetterReading},
    tenant::TenantId,
    vault::InstanceId,
};

impl ScheduleWorld {
    /// Writings that are over.
    pub(super) fn confirm(&mut self, n: usize) {
        let now = self.now;
        let process = &mut self.processes[n];
        let (due, later) = std::mem::take(&mut process.puts).into_iter().partition(|(at, ..)| *at <= now);
        process.puts = later;
        let due: Vec<_> = due;
        for (_, peer, letter, is_confirmed) in due {
            if !is_confirmed {
                process.post.went_adrift(&peer, now);
                process.joiner.resumed(now);
                continue;
            }
            process.joiner.posted(&peer, &letter.asks, now);
            if process.post.landed(&peer, letter, now) {
                process.peers.ask(&peer, now);
            }
        }
        if process.puts.is_empty()
            && let Some(began) = process.round_began.take()
        {
            process.joiner.took_round(now.since(began));
        }
    }

    pub(super) fn correspond(&mut self, n: usize) {
        let now = self.now;
        let process = &mut self.processes[n];
        if now.since(process.read_at) > BOX_PAUSE + Duration::from_secs(4) {
            process.joiner.resumed(now);
        }
        process.read_at = now;
        let box_: Vec<_> = self.letters.iter().filter(|((_, to), _)| *to == n).collect();
        let box_: Vec<_> = box_.into_iter().map(|((from, _), letter)| (*from, letter.clone())).collect();
        if box_.iter().any(|(from, _)| !self.processes[n].peers.is_listed(&self.processes[*from].id)) {
            self.meet(n);
        }
        for (from, letter) in &box_ {
            let id = self.processes[*from].id.clone();
            let SimulatedProcess { post, peers, joiner, .. } = &mut self.processes[n];
            let reading = post.read(&id, letter);
            if reading == LetterReading::New {
                peers.hear(&id, post.is_heard(letter, &id), now);
                joiner.heard(&id, now);
            }
            if reading != LetterReading::Stale {
                self.heed(n, &id, letter);
            }
        }
        self.processes[n].peers.count(now);
        self.proceed(n);
        self.write(n);
        for (from, _) in box_ {
            if !self.processes[n].peers.is_alive(&self.processes[from].id) {
                self.letters.remove(&(from, n));
            }
        }
        let process = &mut self.processes[n];
        for reader in process.post.readers() {
            if !process.peers.is_alive(&reader) {
                process.post.bury(&reader);
            }
        }
    }

    fn heed(&mut self, n: usize, from: &InstanceId, letter: &Letter) {
        let now = self.now;
        let process = &mut self.processes[n];
        if letter.draining {
            process.peers.note_draining(from);
        }
        let takes_up = |tenant: &TenantId| {
            process.work.iter().any(|(_, work)| matches!(work, Work::TakeUp(other) if other == tenant))
        };
        let offers = letter.offers.iter().filter(|tenant| !process.serves.contains(*tenant) && !takes_up(tenant));
        let offers: Vec<_> = offers.cloned().collect();
        if !process.is_leaving() && process.is_open {
            process.joiner.offered(from, offers, now);
        }
        process.joiner.answered(from, &letter.answers, now);
        for ask in process.giver.asked(from, &letter.asks) {
            let by = from.clone();
            let process = &mut self.processes[n];
            let gives = process.is_leaving() && process.closed_at.is_none();
            match gives && process.giving.insert(ask.tenant.clone()) {
                true => self.later(n, Work::Give { by, ask }, 700),
                false => process.giver.answer(&by, &ask, HandoverVerdict::Kept),
            }
        }
        if letter.stopped {
            self.processes[n].peers.note_gone(from);
        }
    }

    fn proceed(&mut self, n: usize) {
        let SimulatedProcess { joiner, giver, peers, .. } = &mut self.processes[n];
        for owner in joiner.owners().into_iter().filter(|owner| !peers.is_alive(owner)) {
            joiner.gone(&owner);
        }
        for asker in giver.askers().into_iter().filter(|asker| !peers.is_alive(asker)) {
            giver.forget(&asker);
        }
        for step in joiner.moves(self.now) {
            let work = match step {
                JoinerMove::Prepare(tenant) => Work::Prepare(tenant),
                JoinerMove::Take { tenant, from, last } => Work::Take { tenant, from, last },
            };
            self.later(n, work, 400);
        }
    }

    fn write(&mut self, n: usize) {
        let now = self.now;
        for (peer, _) in self.processes[n].peers.correspondents() {
            let letter = self.processes[n].letter_to(&peer);
            if let Some(letter) = self.processes[n].post.due(&peer, letter, now) {
                self.put(n, &peer, letter);
            }
        }
        self.processes[n].round_began = (!self.processes[n].puts.is_empty()).then_some(now);
    }

    pub(super) fn put(&mut self, n: usize, peer: &InstanceId, letter: Letter) {
        let most = u64::try_from(self.delay.as_millis()).unwrap();
        let mut takes = Duration::from_millis(self.rng.random_range(0..most));
        if !self.is_calm && self.rng.random_bool(0.03) {
            takes += Duration::from_millis(self.rng.random_range(0..20_000));
        }
        takes += self.cut_until.since(self.now);
        let to = self.number(peer);
        // Of some the vault loses the letter, of others its own answer.
        let (is_lost, is_unanswered) = match self.is_calm {
            true => (false, false),
            false => (self.rng.random_bool(0.02), self.rng.random_bool(0.02)),
        };
        if !is_lost {
            self.in_flight.push((self.now + takes, n, to, letter.clone()));
        }
        let is_confirmed = takes < VAULT_TIMEOUT && !is_lost && !is_unanswered;
        let confirmed_at = self.now + if is_confirmed { takes } else { VAULT_TIMEOUT };
        self.processes[n].puts.push((confirmed_at, peer.clone(), letter, is_confirmed));
    }
}
