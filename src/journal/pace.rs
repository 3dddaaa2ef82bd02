//! Decides when the next cut is appended: at once if somebody waits for it. Changes that come while an append is in
//! flight go together with the next one; so a slow vault batches by itself, and a fast one needs no batching.
//!
//! Only a tenant that costs more than its [`JournalPace::writes_per_minute`] is slowed, and says so.

use std::{num::NonZeroU32, time::Duration};

use rand::Rng;

use crate::{
    backoff::Backoff,
    clock::{Clock, Instant},
};

/// How a journal spends its writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalPace {
    /// Documents that entries may take in a minute before cuts are slowed down to that rate; `None`: without end.
    pub writes_per_minute: Option<NonZeroU32>,
    /// After so long, what no one waits for goes alone.
    pub linger: Duration,
}

impl Default for JournalPace {
    fn default() -> Self {
        Self { writes_per_minute: NonZeroU32::new(3000), linger: Duration::from_secs(3) }
    }
}

/// How often a tenant that stays above its rate says so.
const SLOWED_NOTICE: Duration = Duration::from_secs(60);

/// The writes that a tenant has left: a minute's, filled up all the time. Costs no timer: it is filled when it is looked at.
#[derive(Debug)]
pub(super) struct WriteBudget {
    pace: JournalPace,
    left: f64,
    filled: Instant,
    told: Option<Instant>,
}

impl WriteBudget {
    pub fn new(pace: JournalPace, now: Instant) -> Self {
        let left = pace.writes_per_minute.map_or(0.0, |writes| f64::from(writes.get()));
        Self { pace, left, filled: now, told: None }
    }

    /// When a cut may go that is wanted `since` then: with someone waiting at once, without only after it has lingered.
    pub fn when(&mut self, waited: bool, since: Instant, now: Instant) -> Instant {
        let allowed = self.allowed(now);
        if waited { allowed } else { allowed.max(since + self.pace.linger) }
    }

    /// An entry of so many documents goes.
    pub fn spend(&mut self, documents: usize, now: Instant) {
        self.fill(now);
        self.left -= documents as f64;
    }

    /// The rate that slows the tenant down at this moment, when that has not been told for a while.
    pub fn slowed(&mut self, now: Instant) -> Option<NonZeroU32> {
        let writes = self.pace.writes_per_minute.filter(|_| self.allowed(now) > now)?;
        if self.told.is_some_and(|told| now.since(told) < SLOWED_NOTICE) {
            return None;
        }
        self.told = Some(now);
        Some(writes)
    }

    fn allowed(&mut self, now: Instant) -> Instant {
        self.fill(now);
        match self.pace.writes_per_minute {
            Some(writes) if self.left < 1.0 => {
                now + Duration::from_secs_f64((1.0 - self.left) * 60.0 / f64::from(writes.get()))
            }
            _ => now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let Some(writes) = self.pace.writes_per_minute.map(|writes| f64::from(writes.get())) else { return };
        let gained = now.since(self.filled).as_secs_f64() * writes / 60.0;
        self.left = (self.left + gained).min(writes);
        self.filled = now;
    }
}

/// Between two questions to a vault that did not answer.
pub(super) const VAULT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// Asks a vault that does not answer again, a few times.
#[derive(Debug)]
pub(super) struct Patience {
    backoff: Backoff,
    unanswered: u32,
    limit: u32,
}

impl Patience {
    pub fn new(backoff: Backoff, limit: u32) -> Self {
        Self { backoff, unanswered: 0, limit }
    }

    /// Waits; false at once when it has no more patience.
    pub async fn once_more(&mut self, clock: &dyn Clock, rng: &mut impl Rng) -> bool {
        if self.unanswered == self.limit {
            return false;
        }
        clock.sleep(self.backoff.pause(self.unanswered, rng)).await;
        self.unanswered += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_start(Duration::from_secs(9));

    fn budget(writes: u32) -> WriteBudget {
        WriteBudget::new(JournalPace { writes_per_minute: NonZeroU32::new(writes), ..JournalPace::default() }, START)
    }

    /// Documents that go in a minute when there is always somebody who waits, and the vault takes 2 ms.
    fn flat_out(budget: &mut WriteBudget, documents: usize, from: Instant) -> usize {
        let (mut now, mut gone) = (from, 0);
        while now < from + Duration::from_secs(60) {
            budget.spend(documents, now);
            gone += documents;
            now = now + Duration::from_millis(2);
            now = budget.when(true, now, now);
        }
        gone
    }

    #[test]
    fn a_minutes_writes_go_at_once_and_then_as_many_a_minute() {
        for documents in [1, 4] {
            let mut budget = budget(3000);
            let first = flat_out(&mut budget, documents, START);
            assert!((5990..=6010).contains(&first), "{first}");
            let second = flat_out(&mut budget, documents, START + Duration::from_secs(60));
            assert!((2990..=3010).contains(&second), "{second}");
        }
    }

    #[test]
    fn below_the_rate_nobody_is_delayed() {
        let mut budget = budget(3000);
        for n in 0..6000 {
            let now = START + Duration::from_millis(20) * n;
            assert_eq!(budget.when(true, now, now), now);
            assert_eq!(budget.slowed(now), None);
            budget.spend(1, now);
        }
    }

    #[test]
    fn without_a_rate_nobody_is_slowed() {
        assert_eq!(flat_out(&mut budget(0), 1, START), 30_000);
    }

    #[test]
    fn a_tenant_that_is_slowed_says_so_once_a_minute() {
        let mut budget = budget(10);
        assert_eq!(budget.slowed(START), None);
        let told = (0..180).filter(|second| {
            let now = START + Duration::from_secs(*second);
            budget.spend(1, now);
            budget.slowed(now).is_some()
        });
        assert_eq!(told.count(), 3);
    }

    #[test]
    fn what_no_one_waits_for_lingers_and_then_goes() {
        let mut budget = budget(3000);
        assert_eq!(budget.when(false, START, START), START + JournalPace::default().linger);
        assert_eq!(budget.when(true, START, START), START);
    }
}
