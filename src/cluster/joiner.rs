//! The next owner's side of a handover: reads a tenant that is offered, asks for it, waits for the answer, takes it.
//!
//! ```text
//!            room                 read                  given, silent, gone
//! Waiting ─────────▶ Preparing ─────────▶ Asked ──────────────────────────▶ Taking ──▶ (taken)
//!    ▲                                     │ kept
//!    └──────── offered again ◀─────────────┘
//! ```

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{Answer, Ask, Verdict};
use crate::{
    clock::Instant,
    tenant::TenantId,
    vault::{InstanceId, Seq},
};

/// Tenants that change hands at the same time: each has its state in memory twice for a moment, and a login is due.
const PARALLEL: usize = 32;

/// An owner that says nothing to an ask for so long is not waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// One that has said that it is letting go has so long for it.
const COMING_TIMEOUT: Duration = Duration::from_secs(10);

/// A tenant that its owner keeps is asked for again after so long, if it is still offered.
const KEPT_PAUSE: Duration = Duration::from_secs(1);

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Read its state, then say [`Joiner::prepared`].
    Prepare(TenantId),
    /// Take it over from this owner, then say [`Joiner::taken`]. Its owner has let go of it after this document; `None`: it has not
    /// said so, and is believed to be gone.
    Take { tenant: TenantId, from: InstanceId, last: Option<Seq> },
}

#[derive(Debug, Default)]
pub struct Joiner {
    wants: BTreeMap<TenantId, Want>,
    /// Owners that did not answer, or are dead.
    silent: HashSet<InstanceId>,
    /// When an owner last wrote something new.
    heard: HashMap<InstanceId, Instant>,
    kept: BTreeMap<TenantId, Instant>,
    asked: u64,
    noted: u64,
}

#[derive(Debug)]
struct Want {
    owner: InstanceId,
    /// In the order of the offers.
    order: u64,
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Waiting,
    Preparing,
    /// `heard`: the owner has said that it is letting go.
    Asked {
        number: u64,
        until: Instant,
        heard: bool,
    },
    /// The answer has come, and the tenant is taken with the next moves.
    Given {
        last: Seq,
    },
    Taking,
}

impl Joiner {
    /// An owner has written something new: it lives.
    pub fn heard(&mut self, owner: &InstanceId, now: Instant) {
        self.silent.remove(owner);
        self.heard.insert(owner.clone(), now);
    }

    /// What an owner offers now, in its order.
    pub fn offered(&mut self, owner: &InstanceId, tenants: impl IntoIterator<Item = TenantId>, now: Instant) {
        self.kept.retain(|_, until| *until > now);
        let offered: HashSet<_> = tenants
            .into_iter()
            .inspect(|tenant| {
                if !self.wants.contains_key(tenant) && !self.kept.contains_key(tenant) {
                    self.noted += 1;
                    let want = Want { owner: owner.clone(), order: self.noted, step: Step::Waiting };
                    self.wants.insert(tenant.clone(), want);
                }
            })
            .collect();
        // What it has taken back, or given to another.
        self.wants.retain(|tenant, want| {
            want.owner != *owner || !matches!(want.step, Step::Waiting) || offered.contains(tenant)
        });
    }

    /// The reading is over, well or not: a tenant that could not be read is read when it is taken.
    pub fn prepared(&mut self, tenant: &TenantId, now: Instant) {
        if let Some(want) = self.wants.get_mut(tenant).filter(|want| matches!(want.step, Step::Preparing)) {
            self.asked += 1;
            want.step = Step::Asked { number: self.asked, until: now + ANSWER_TIMEOUT, heard: false };
        }
    }

    pub fn answered(&mut self, owner: &InstanceId, answers: &[Answer], now: Instant) {
        for Answer { tenant, number: answered, verdict } in answers {
            let Some(want) = self.wants.get_mut(tenant).filter(|want| want.owner == *owner) else { continue };
            let Step::Asked { number, heard, .. } = want.step else { continue };
            if number != *answered {
                continue;
            }
            match verdict {
                // Counted from the first time: an answer that stands there for ever keeps nobody waiting.
                Verdict::Coming if !heard => {
                    want.step = Step::Asked { number, until: now + COMING_TIMEOUT, heard: true };
                }
                Verdict::Coming => {}
                Verdict::Given { last } => want.step = Step::Given { last: Seq(*last) },
                Verdict::Kept => {
                    self.kept.insert(tenant.clone(), now + KEPT_PAUSE);
                    self.wants.remove(tenant);
                }
            }
        }
    }

    /// The owner is known to be dead: what it offered is taken without an ask.
    pub fn gone(&mut self, owner: &InstanceId) {
        self.silent.insert(owner.clone());
    }

    /// Done with, well or not.
    pub fn taken(&mut self, tenant: &TenantId) {
        self.wants.remove(tenant);
    }

    /// What is to be done now. Each is said once.
    pub fn moves(&mut self, now: Instant) -> Vec<Move> {
        // One that writes to others is only slow with this one.
        let has_spoken = |owner: &InstanceId| self.heard.get(owner).is_some_and(|at| now.since(*at) < ANSWER_TIMEOUT);
        for want in self.wants.values().filter(|want| want.is_overdue(now)) {
            if !has_spoken(&want.owner) {
                self.silent.insert(want.owner.clone());
            }
        }
        let mut moves = Vec::new();
        let is_under_way = |want: &&mut Want| !matches!(want.step, Step::Waiting);
        let mut room = PARALLEL.saturating_sub(self.wants.values_mut().filter(is_under_way).count());
        let mut wants: Vec<_> = self.wants.iter_mut().collect();
        wants.sort_by_key(|(_, want)| want.order);
        for (tenant, want) in wants {
            let is_silent = self.silent.contains(&want.owner);
            let take = |last| Move::Take { tenant: tenant.clone(), from: want.owner.clone(), last };
            match want.step {
                Step::Waiting if room == 0 => {}
                Step::Waiting => {
                    room -= 1;
                    if is_silent {
                        moves.push(take(None));
                        want.step = Step::Taking;
                    } else {
                        moves.push(Move::Prepare(tenant.clone()));
                        want.step = Step::Preparing;
                    }
                }
                Step::Given { last } => {
                    moves.push(take(Some(last)));
                    want.step = Step::Taking;
                }
                Step::Asked { .. } if is_silent || want.is_overdue(now) => {
                    moves.push(take(None));
                    want.step = Step::Taking;
                }
                Step::Asked { .. } | Step::Preparing | Step::Taking => {}
            }
        }
        moves
    }

    /// What is asked of an owner now.
    pub fn asks_of(&self, owner: &InstanceId) -> Vec<Ask> {
        let of_owner = self.wants.iter().filter(|(_, want)| want.owner == *owner);
        let asked = |(tenant, want): (&TenantId, &Want)| match want.step {
            Step::Asked { number, .. } => Some(Ask { tenant: tenant.clone(), number }),
            _ => None,
        };
        of_owner.filter_map(asked).collect()
    }

    /// It is under way, or waits.
    pub fn wants(&self, tenant: &TenantId) -> bool {
        self.wants.contains_key(tenant)
    }

    /// Nothing is under way or waits.
    pub fn is_idle(&self) -> bool {
        self.wants.is_empty()
    }
}

impl Want {
    fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.step, Step::Asked { until, .. } if until <= now)
    }
}
