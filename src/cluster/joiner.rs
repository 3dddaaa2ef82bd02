//! The next owner's side of a handover: reads a tenant that is offered, asks for it, waits for the answer, takes it.
//!
//! ```text
//!            room                 read                  given, silent, gone
//! Waiting ─────────▶ Preparing ─────────▶ Asked ──────────────────────────▶ Taking ──▶ (taken)
//!    ▲                                     │ kept
//!    └──────── offered again ◀─────────────┘
//! ```
//!
//! Few at a time at first, and more while each is quick: a tenant has no session from its owner's answer until it has logged in here, and
//! on a busy machine thirty of them in one moment make that moment long for all.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use super::{HandoverAnswer, HandoverAsk, HandoverVerdict};
use crate::{
    clock::Instant,
    tenant::TenantId,
    vault::{InstanceId, Seq},
};

/// Tenants that change hands at the same time, at first, at the least and at the most: each has its state in memory twice for a moment,
/// and a login is due.
const FIRST_ROOM: usize = 4;
const LEAST_ROOM: usize = 2;
const MOST_ROOM: usize = 32;

/// From the ask to the login. A quick one makes room for one more; a slow one halves the room.
const QUICK: Duration = Duration::from_millis(1500);
const SLOW: Duration = Duration::from_millis(2500);

/// An owner that says nothing to an ask for so long is not waited for; longer where the vault is slow, since an ask and its answer cross it
/// several times.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const LONGEST_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const ROUNDS: u32 = 6;

/// How long an owner has once it has announced that it lets go. Also granted to everybody after a time in which this
/// process could not read or write letters: they could not either.
const COMING_TIMEOUT: Duration = Duration::from_secs(10);

/// A tenant that its owner keeps is asked for again after so long, if it is still offered; twice as long each time.
const KEPT_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_KEPT_PAUSE: Duration = Duration::from_secs(10);

/// How often it was kept is forgotten after so long.
const KEPT_MEMORY: Duration = Duration::from_secs(30);

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinerMove {
    /// Read its state, then say [`Joiner::prepared`].
    Prepare(TenantId),
    /// Take it over from this owner, then say [`Joiner::taken`]. Its owner has let go of it after this document; `None`: it has not
    /// said so, and is believed to be gone. Then say [`Joiner::declined`] if another process turns out to have it.
    Take { tenant: TenantId, from: InstanceId, last: Option<Seq> },
}

impl JoinerMove {
    pub fn tenant(&self) -> &TenantId {
        let (Self::Prepare(tenant) | Self::Take { tenant, .. }) = self;
        tenant
    }
}

#[derive(Debug)]
pub struct Joiner {
    wants: BTreeMap<TenantId, Want>,
    /// Owners that did not answer, or are dead.
    silent: HashSet<InstanceId>,
    /// When an owner last wrote something new.
    heard: HashMap<InstanceId, Instant>,
    kept: BTreeMap<TenantId, HashMap<InstanceId, Kept>>,
    asked: u64,
    noted: u64,
    room: usize,
    /// The room was made smaller for something that was asked for before.
    shrunk_at: Option<Instant>,
    /// How long one reading and writing of the letters takes.
    round: Duration,
}

#[derive(Debug)]
struct Want {
    owner: InstanceId,
    /// In the order of the offers; 0: somebody waits for it.
    order: u64,
    step: WantStep,
    /// The ask was in the vault.
    posted_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum WantStep {
    Waiting,
    Preparing,
    /// `until`: counted from when the ask was in the vault. `heard`: the owner has said that it is letting go.
    Asked {
        number: u64,
        until: Option<Instant>,
        heard: bool,
    },
    /// The answer has come, and the tenant is taken with the next moves.
    Given {
        last: Seq,
    },
    Taking,
}

/// A tenant that its owner did not give, or did not have.
#[derive(Debug)]
struct Kept {
    until: Instant,
    times: u32,
}

impl Default for Joiner {
    fn default() -> Self {
        Self {
            wants: BTreeMap::new(),
            silent: HashSet::new(),
            heard: HashMap::new(),
            kept: BTreeMap::new(),
            asked: 0,
            noted: 0,
            room: FIRST_ROOM,
            shrunk_at: None,
            round: Duration::ZERO,
        }
    }
}

impl Joiner {
    /// An owner has written something new: it lives.
    pub fn heard(&mut self, owner: &InstanceId, now: Instant) {
        self.silent.remove(owner);
        self.heard.insert(owner.clone(), now);
    }

    /// One reading and writing of the letters took so long.
    pub fn took_round(&mut self, took: Duration) {
        self.round = took.max(self.round * 3 / 4);
    }

    /// The letters could not be read or written for a while. What nobody said meanwhile means nothing.
    pub fn resumed(&mut self, now: Instant) {
        self.silent.clear();
        for want in self.wants.values_mut() {
            if let WantStep::Asked { until: Some(until), .. } = &mut want.step {
                *until = now + COMING_TIMEOUT;
            }
        }
    }

    /// What an owner offers now, in its order.
    pub fn offered(&mut self, owner: &InstanceId, tenants: impl IntoIterator<Item = TenantId>, now: Instant) {
        self.forget_kept(now);
        let offered: HashSet<_> = tenants.into_iter().inspect(|tenant| self.note_offer(owner, tenant, now)).collect();
        // What it has taken back, or given to another.
        self.wants.retain(|tenant, want| {
            want.owner != *owner || !matches!(want.step, WantStep::Waiting) || offered.contains(tenant)
        });
    }

    fn note_offer(&mut self, owner: &InstanceId, tenant: &TenantId, now: Instant) {
        let kept = self.kept.get(tenant).and_then(|owners| owners.get(owner));
        if kept.is_some_and(|kept| kept.until > now) {
            return;
        }
        let is_wanted = self.wants.get(tenant).is_some_and(|want| {
            // The last letter of a dead process may offer what another has by now: that one's word is better.
            let is_stale = want.owner != *owner && self.silent.contains(&want.owner) && !self.silent.contains(owner);
            !(is_stale && matches!(want.step, WantStep::Waiting | WantStep::Preparing | WantStep::Asked { .. }))
        });
        if !is_wanted {
            self.noted += 1;
            let want = Want { owner: owner.clone(), order: self.noted, step: WantStep::Waiting, posted_at: None };
            self.wants.insert(tenant.clone(), want);
        }
    }

    fn forget_kept(&mut self, now: Instant) {
        self.kept.retain(|_, owners| {
            owners.retain(|_, kept| kept.until + KEPT_MEMORY > now);
            !owners.is_empty()
        });
    }

    /// The reading is over, well or not: a tenant that could not be read is read when it is taken.
    pub fn prepared(&mut self, tenant: &TenantId) {
        if let Some(want) = self.wants.get_mut(tenant).filter(|want| matches!(want.step, WantStep::Preparing)) {
            self.asked += 1;
            want.step = WantStep::Asked { number: self.asked, until: None, heard: false };
        }
    }

    /// It cannot be read here, now or later: its owner is not asked for it, and keeps it. It is read again when it is still offered after a
    /// while.
    pub fn illegible(&mut self, tenant: &TenantId, now: Instant) {
        let preparing = self.wants.get(tenant).filter(|want| matches!(want.step, WantStep::Preparing));
        if let Some(owner) = preparing.map(|want| want.owner.clone()) {
            self.declined(tenant, &owner, now);
        }
    }

    /// A letter with these asks is in the vault: from now on its reader can answer.
    pub fn posted(&mut self, owner: &InstanceId, asks: &[HandoverAsk], now: Instant) {
        let limit = (self.round * ROUNDS).clamp(ANSWER_TIMEOUT, LONGEST_ANSWER_TIMEOUT);
        for ask in asks {
            let Some(want) = self.wants.get_mut(&ask.tenant).filter(|want| want.owner == *owner) else { continue };
            if let WantStep::Asked { number, until: until @ None, .. } = &mut want.step
                && *number == ask.number
            {
                *until = Some(now + limit);
                want.posted_at = Some(now);
            }
        }
    }

    pub fn answered(&mut self, owner: &InstanceId, answers: &[HandoverAnswer], now: Instant) {
        for HandoverAnswer { tenant, number: answered, verdict } in answers {
            let Some(want) = self.wants.get_mut(tenant).filter(|want| want.owner == *owner) else { continue };
            let WantStep::Asked { number, heard, .. } = want.step else { continue };
            if number != *answered {
                continue;
            }
            // The answer may be here before the vault has confirmed the ask.
            want.posted_at.get_or_insert(now);
            match verdict {
                // Counted from the first time: an answer that stands there for ever keeps nobody waiting.
                HandoverVerdict::Coming if !heard => {
                    want.step = WantStep::Asked { number, until: Some(now + COMING_TIMEOUT), heard: true };
                }
                HandoverVerdict::Coming => {}
                HandoverVerdict::Given { last } => want.step = WantStep::Given { last: Seq(*last) },
                HandoverVerdict::Kept => self.declined(tenant, owner, now),
            }
        }
    }

    /// The owner is known to be dead: what it offered is taken without an ask.
    pub fn gone(&mut self, owner: &InstanceId) {
        self.silent.insert(owner.clone());
    }

    /// Done with, well or not.
    pub fn taken(&mut self, tenant: &TenantId, now: Instant) {
        let Some(posted_at) = self.wants.remove(tenant).and_then(|want| want.posted_at) else { return };
        let took = now.since(posted_at);
        if took <= QUICK {
            self.room = (self.room + 1).min(MOST_ROOM);
        // Those that were asked for in the same moment are slow for the same reason.
        } else if took > SLOW && self.shrunk_at.is_none_or(|at| at < posted_at) {
            self.room = (self.room / 2).max(LEAST_ROOM);
            self.shrunk_at = Some(now);
        }
    }

    /// This owner does not give it, or does not have it any more: not asked again for a while. Another owner's offer counts.
    pub fn declined(&mut self, tenant: &TenantId, owner: &InstanceId, now: Instant) {
        let kept = self.kept.entry(tenant.clone()).or_default().entry(owner.clone());
        let kept = kept.or_insert(Kept { until: now, times: 0 });
        let pause = KEPT_PAUSE * 2u32.saturating_pow(kept.times.min(8));
        (kept.until, kept.times) = (now + pause.min(LONGEST_KEPT_PAUSE), kept.times + 1);
        self.wants.remove(tenant);
    }

    /// This process is about to stop itself: it takes only what it is taking already. Whoever has let go of something offers it to another.
    pub fn leave(&mut self) {
        self.wants.retain(|_, want| matches!(want.step, WantStep::Taking));
        self.kept.clear();
    }

    /// What is to be done now. Each is said once.
    pub fn moves(&mut self, now: Instant) -> Vec<JoinerMove> {
        self.forget_kept(now);
        // One that writes to others is only slow with this one.
        let has_spoken = |owner: &InstanceId| self.heard.get(owner).is_some_and(|at| now.since(*at) < ANSWER_TIMEOUT);
        for want in self.wants.values().filter(|want| want.is_overdue(now)) {
            if !has_spoken(&want.owner) {
                self.silent.insert(want.owner.clone());
            }
        }
        let mut moves = Vec::new();
        let mut under_way = self.wants.values().filter(|want| !matches!(want.step, WantStep::Waiting)).count();
        let mut wants: Vec<_> = self.wants.iter_mut().collect();
        wants.sort_by_key(|(_, want)| want.order);
        for (tenant, want) in wants {
            let is_silent = self.silent.contains(&want.owner);
            let take = |last| JoinerMove::Take { tenant: tenant.clone(), from: want.owner.clone(), last };
            // Nobody serves what a dead process had: the sooner the better.
            let room = if is_silent { MOST_ROOM } else { self.room };
            match want.step {
                WantStep::Waiting if under_way >= room => {}
                WantStep::Waiting => {
                    under_way += 1;
                    if is_silent {
                        moves.push(take(None));
                        want.step = WantStep::Taking;
                    } else {
                        moves.push(JoinerMove::Prepare(tenant.clone()));
                        want.step = WantStep::Preparing;
                    }
                }
                WantStep::Given { last } => {
                    moves.push(take(Some(last)));
                    want.step = WantStep::Taking;
                }
                WantStep::Asked { .. } if is_silent || want.is_overdue(now) => {
                    moves.push(take(None));
                    want.step = WantStep::Taking;
                }
                WantStep::Asked { .. } | WantStep::Preparing | WantStep::Taking => {}
            }
        }
        moves
    }

    /// What is asked of an owner now.
    pub fn asks_of(&self, owner: &InstanceId) -> Vec<HandoverAsk> {
        let of_owner = self.wants.iter().filter(|(_, want)| want.owner == *owner);
        let asked = |(tenant, want): (&TenantId, &Want)| match want.step {
            WantStep::Asked { number, .. } => Some(HandoverAsk { tenant: tenant.clone(), number }),
            _ => None,
        };
        of_owner.filter_map(asked).collect()
    }

    /// It is under way, or waits.
    pub fn wants(&self, tenant: &TenantId) -> bool {
        self.wants.contains_key(tenant)
    }

    /// Somebody waits for it here: it is next. False: it is neither offered nor under way.
    pub fn hurry(&mut self, tenant: &TenantId) -> bool {
        self.wants.get_mut(tenant).map(|want| want.order = 0).is_some()
    }

    /// It was asked for in vain, and will be again.
    pub fn waits_for(&self, tenant: &TenantId) -> bool {
        self.kept.contains_key(tenant)
    }

    /// Of whom something is wanted.
    pub fn owners(&self) -> Vec<InstanceId> {
        let owners: BTreeSet<_> = self.wants.values().map(|want| &*want.owner.0).collect();
        owners.into_iter().map(|owner| InstanceId(owner.into())).collect()
    }

    /// Nothing is under way or waits.
    pub fn is_idle(&self) -> bool {
        self.wants.is_empty()
    }
}

impl Want {
    fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.step, WantStep::Asked { until: Some(until), .. } if until <= now)
    }
}

#[cfg(test)]
mod tests;
