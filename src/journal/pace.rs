//! When the next cut may go: at once for who waits, unless that would cost a write for every message of a burst.

use std::time::Duration;

use rand::Rng;

use crate::clock::{Clock, Instant};

/// How a journal spends its writes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// So many cuts may go at once before the rate counts.
    pub burst: f64,
    /// Cuts a second, in the long run.
    pub rate: f64,
    /// After so long, what no one waits for goes alone.
    pub linger: Duration,
}

impl Default for Pace {
    /// 50 messages a second on one tenant cost 0.16 writes each; two a second are never delayed.
    fn default() -> Self {
        Self { burst: 20.0, rate: 8.0, linger: Duration::from_secs(3) }
    }
}

/// A bucket of permissions to cut. Costs no timer: it is filled when it is looked at.
#[derive(Debug)]
pub(super) struct Bucket {
    pace: Pace,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, tokens: pace.burst, filled: now }
    }

    /// When a cut may go that is wanted `since` then: with someone waiting as soon as there is a permission, without only
    /// after it has lingered.
    pub fn when(&mut self, waited: bool, since: Instant, now: Instant) -> Instant {
        self.fill(now);
        let allowed = match 1.0 - self.tokens {
            lacking if lacking > 0.0 => now + Duration::from_secs_f64(lacking / self.pace.rate),
            _ => now,
        };
        if waited { allowed } else { allowed.max(since + self.pace.linger) }
    }

    pub fn take(&mut self, now: Instant) {
        self.fill(now);
        self.tokens -= 1.0;
    }

    fn fill(&mut self, now: Instant) {
        let gained = now.since(self.filled).as_secs_f64() * self.pace.rate;
        self.tokens = (self.tokens + gained).min(self.pace.burst);
        self.filled = now;
    }
}

/// How long to wait before asking a vault again that did not answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(200), cap: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The `n`-th pause (from 0): doubling, at most the cap, and anything from half of that up, so that a thousand
    /// tenants do not ask in step.
    pub fn pause(&self, n: u32, rng: &mut impl Rng) -> Duration {
        let whole = self.first.saturating_mul(1u32.checked_shl(n).unwrap_or(u32::MAX)).min(self.cap);
        whole.mul_f64(rng.random_range(0.5..=1.0))
    }
}

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
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    /// Messages come at a rate and each waits for its cut; how many cuts go in a minute, and the longest delay.
    fn minute(per_second: u64) -> (u64, Duration) {
        let start = Instant::from_start(Duration::from_secs(9));
        let mut bucket = Bucket::new(Pace::default(), start);
        let mut now = start;
        let (mut cuts, mut longest) = (0, Duration::ZERO);
        let mut next_message = start;
        while now < start + Duration::from_secs(60) {
            // Everything that came until the cut goes with it.
            let oldest = next_message;
            now = bucket.when(true, oldest, now.max(oldest));
            bucket.take(now);
            cuts += 1;
            longest = longest.max(now.since(oldest));
            while next_message <= now {
                next_message = next_message + Duration::from_secs(1) / per_second as u32;
            }
        }
        (cuts, longest)
    }

    #[test]
    fn fifty_a_second_cost_a_fifth_of_a_write_each() {
        let (cuts, longest) = minute(50);
        assert!(cuts <= 60 * 50 / 5, "{cuts} cuts");
        assert!(longest <= Duration::from_millis(130), "{longest:?}");
    }

    #[test]
    fn two_a_second_are_never_delayed() {
        assert_eq!(minute(2).1, Duration::ZERO);
    }

    #[test]
    fn what_no_one_waits_for_lingers_and_then_goes() {
        let now = Instant::from_start(Duration::from_secs(9));
        let mut bucket = Bucket::new(Pace::default(), now);
        assert_eq!(bucket.when(false, now, now), now + Pace::default().linger);
        assert_eq!(bucket.when(true, now, now), now);
    }

    #[test]
    fn pauses_grow_to_the_cap_and_differ() {
        let (backoff, mut rng) = (Backoff::default(), SmallRng::seed_from_u64(1));
        let pauses: Vec<_> = (0..64).map(|n| backoff.pause(n, &mut rng)).collect();
        assert!(pauses[0] >= backoff.first / 2 && pauses[0] <= backoff.first);
        assert!(pauses[10..].iter().all(|pause| (backoff.cap / 2..=backoff.cap).contains(pause)));
        assert_ne!(pauses[20], pauses[21]);
    }
}
