//! How often something may happen: a bucket that leaks evenly, by the one number that it needs. Pure.

use std::time::Duration;

use crate::clock::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// So many at once, and then so many a minute.
#[derive(Debug, Clone, Copy)]
pub struct RateAllowance {
    empty_at: Instant,
}

impl RateAllowance {
    pub const fn new(now: Instant) -> Self {
        Self { empty_at: now }
    }

    /// Counts one. An error says how long to wait, and counts nothing.
    pub fn take(&mut self, burst: u32, per_minute: u32, now: Instant) -> Result<(), Duration> {
        self.has_room(burst, per_minute, now)?;
        self.empty_at = now + self.empty_at.since(now) + MINUTE / per_minute.max(1);
        Ok(())
    }

    /// Whether one more may happen; if not, when.
    pub fn has_room(&self, burst: u32, per_minute: u32, now: Instant) -> Result<(), Duration> {
        let one = MINUTE / per_minute.max(1);
        let full = (self.empty_at.since(now) + one).saturating_sub(one * burst);
        if full > Duration::ZERO { Err(full) } else { Ok(()) }
    }

    /// One that was counted counts no more.
    pub fn give_back(&mut self, per_minute: u32, now: Instant) {
        self.empty_at = now + self.empty_at.since(now).saturating_sub(MINUTE / per_minute.max(1));
    }

    /// As good as new.
    pub fn is_whole(&self, now: Instant) -> bool {
        self.empty_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn every_rate_lets_its_number_through_at_once() {
        for rate in [1, 7, 60, 999, 100_000] {
            let mut allowance = RateAllowance::new(at(0));
            let passed = (0..rate + 10).take_while(|_| allowance.take(rate, rate, at(0)).is_ok()).count();
            assert_eq!(passed, rate as usize);
        }
    }

    #[test]
    fn a_burst_at_once_and_then_evenly() {
        let mut allowance = RateAllowance::new(at(0));
        for _ in 0..3 {
            allowance.take(3, 60, at(0)).unwrap();
        }
        assert_eq!(allowance.take(3, 60, at(0)), Err(Duration::from_secs(1)));
        allowance.take(3, 60, at(1000)).unwrap();
        assert!(allowance.take(3, 60, at(1000)).is_err());
        allowance.give_back(60, at(1000));
        allowance.take(3, 60, at(1000)).unwrap();
        assert!(!allowance.is_whole(at(3999)) && allowance.is_whole(at(4000)));
        allowance.give_back(60, at(5000));
        assert!(allowance.is_whole(at(5000)), "there is nothing to give back");
    }
}
