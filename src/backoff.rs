//! Pauses between tries: each twice as long as the one before, up to a limit. Pure: chance comes from the caller.

use std::time::Duration;

use rand::Rng;

/// How long to wait before the next try of something that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
}

impl Backoff {
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The `n`-th pause (from 0): doubling, at most the cap.
    pub fn whole(self, n: u32) -> Duration {
        self.first.saturating_mul(1_u32.checked_shl(n).unwrap_or(u32::MAX)).min(self.cap)
    }

    /// The same; `chance` (0..1) takes up to half of it away, so that what failed together is not tried again together.
    pub fn spread(self, n: u32, chance: f64) -> Duration {
        self.whole(n).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }

    /// The same, with a chance of the generator's.
    pub fn pause(self, n: u32, rng: &mut impl Rng) -> Duration {
        self.whole(n).mul_f64(rng.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::SmallRng};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BACKOFF: Backoff = Backoff::new(SECOND, Duration::from_secs(120));

    #[test]
    fn a_pause_doubles_up_to_its_cap() {
        for (n, seconds) in [(0, 1), (1, 2), (3, 8), (6, 64), (7, 120), (31, 120), (32, 120), (u32::MAX, 120)] {
            assert_eq!(BACKOFF.whole(n), Duration::from_secs(seconds), "{n}");
        }
        assert_eq!(Backoff::new(Duration::from_secs(300), SECOND).whole(0), SECOND, "the cap counts from the first");
    }

    #[test]
    fn chance_takes_up_to_half_away() {
        for (n, chance, ms) in [(0, 0.0, 1000), (0, 1.0, 500), (3, 0.5, 6000), (40, 1.0, 60_000), (40, 7.0, 60_000)] {
            assert_eq!(BACKOFF.spread(n, chance), Duration::from_millis(ms), "{n} {chance}");
        }
    }

    #[test]
    fn drawn_pauses_grow_to_the_cap_and_differ() {
        let mut rng = SmallRng::seed_from_u64(1);
        let pauses: Vec<_> = (0..64).map(|n| BACKOFF.pause(n, &mut rng)).collect();
        assert!(pauses[0] >= SECOND / 2 && pauses[0] <= SECOND);
        assert!(pauses[10..].iter().all(|pause| (BACKOFF.cap / 2..=BACKOFF.cap).contains(pause)));
        assert_ne!(pauses[20], pauses[21]);
    }
}
