//! One process of a schedule: how it is when it starts, what it has to give, and what it writes to another one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use super::{ANNOUNCE, SimulatedProcess};
use crate::{
    clock::Instant,
    cluster::{BOX_PAUSE, Giver, Joiner, Letter, Peers, Post, should_own},
    tenant::TenantId,
    vault::InstanceId,
};

impl SimulatedProcess {
    pub(super) fn new(n: usize, now: Instant) -> Self {
        Self {
            id: InstanceId(format!("process-{n}").into()),
            is_over: false,
            is_open: false,
            started_at: now,
            leaving_since: None,
            closed_at: None,
            stopped_until: now,
            peers: Peers::new(ANNOUNCE),
            joiner: Joiner::default(),
            giver: Giver::default(),
            post: Post::default(),
            serves: BTreeSet::new(),
            let_go: BTreeMap::new(),
            giving: HashSet::new(),
            work: Vec::new(),
            pairing: BTreeSet::new(),
            passes: HashMap::new(),
            read_at: now,
            round_began: None,
            looked_at: now,
            met_at: now,
            glanced_at: now,
            puts: Vec::new(),
            known_takings: 0,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving_since.is_some()
    }

    pub(super) fn staying(&self) -> Vec<InstanceId> {
        let correspondents = self.peers.correspondents();
        correspondents.into_iter().filter(|(_, is_draining)| !is_draining).map(|(id, _)| id).collect()
    }

    pub(super) fn should_own(&self, tenant: &TenantId) -> bool {
        should_own(tenant, self.staying().iter().chain([&self.id])) == Some(&self.id)
    }

    pub(super) fn is_free(&self, tenant: &TenantId, staying: &[InstanceId]) -> bool {
        self.let_go.get(tenant).is_some_and(|to| !staying.contains(to))
    }

    pub(super) fn has_something_to_give(&self, staying: &[InstanceId]) -> bool {
        !self.serves.is_empty()
            || !self.giving.is_empty()
            || self.let_go.keys().any(|tenant| self.is_free(tenant, staying))
    }

    pub(super) fn pause(&self) -> Duration {
        let is_busy = !self.joiner.is_idle() || self.is_leaving();
        match (is_busy, !self.is_open || self.peers.has_doubts()) {
            (true, _) => Duration::from_millis(100),
            (false, true) => Duration::from_millis(250),
            (false, false) => BOX_PAUSE,
        }
    }

    pub(super) fn letter_to(&self, peer: &InstanceId) -> Letter {
        let staying = self.staying();
        let mut offers = Vec::new();
        if self.is_leaving() && self.closed_at.is_none() {
            offers.extend(self.let_go.keys().filter(|tenant| self.is_free(tenant, &staying)).cloned());
            offers.extend(self.serves.iter().filter(|tenant| !self.pairing.contains(*tenant)).cloned());
            offers.retain(|tenant| should_own(tenant, &staying) == Some(peer));
        }
        let (asks, answers) = (self.joiner.asks_of(peer), self.giver.answers_to(peer));
        Letter { draining: self.is_leaving(), offers, asks, answers, ..Letter::default() }
    }
}
