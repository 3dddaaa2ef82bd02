//! Keeps apart what the vault was asked for today, and says what Google takes for it. Pure, but for its lock.

use std::sync::Mutex;

use jiff::Timestamp;

use super::Usage;
use crate::sync::lock;

const DAY_SECONDS: i64 = 86_400;

/// Dollars for 100,000 documents in a multi-region database. The guide's page on costs has the same, with its source.
const PRICES: FirestorePrices = FirestorePrices { reads: 0.06, writes: 0.18, deletes: 0.02 };

struct FirestorePrices {
    reads: f64,
    writes: f64,
    deletes: f64,
}

impl Usage {
    /// What Firestore costs for it, in dollars, without what is free each day.
    pub fn dollars(self) -> f64 {
        let cost = |documents: u64, price: f64| documents as f64 / 1e5 * price;
        cost(self.reads, PRICES.reads) + cost(self.writes, PRICES.writes) + cost(self.deletes, PRICES.deletes)
    }

    fn less(self, before: Self) -> Self {
        Self {
            reads: self.reads.saturating_sub(before.reads),
            writes: self.writes.saturating_sub(before.writes),
            deletes: self.deletes.saturating_sub(before.deletes),
        }
    }
}

/// The usage since midnight (UTC), or since the start of the process if that was later. Somebody must look every few seconds: what was
/// asked for between midnight and the first look after it counts for yesterday.
#[derive(Debug)]
pub struct UsageToday(Mutex<UsageDay>);

#[derive(Debug)]
struct UsageDay {
    /// Days since 1970.
    day: i64,
    since: Timestamp,
    /// What was counted when it began.
    before: Usage,
}

impl UsageToday {
    /// Begins at the start of the process: what is counted from now on is today's.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(UsageDay { day: day_of(now), since: now, before: Usage::default() }))
    }

    /// Gives what is today's of all that was counted, and since when.
    pub fn see(&self, counted: Usage, now: Timestamp) -> (Usage, Timestamp) {
        let mut known = lock(&self.0);
        let day = day_of(now);
        // A clock that was set back begins no day.
        if day > known.day {
            let midnight = Timestamp::from_second(day * DAY_SECONDS).unwrap_or(now);
            *known = UsageDay { day, since: midnight, before: counted };
        }
        (counted.less(known.before), known.since)
    }
}

fn day_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn usage(reads: u64, writes: u64, deletes: u64) -> Usage {
        Usage { reads, writes, deletes }
    }

    #[test]
    fn a_day_begins_at_midnight_with_what_was_counted_until_then() {
        let start = at("2026-11-29T22:00:00Z");
        let today = UsageToday::new(start);
        assert_eq!(today.see(usage(7, 1, 0), at("2026-11-29T23:59:59Z")), (usage(7, 1, 0), start));
        let midnight = at("2026-11-30T00:00:00Z");
        assert_eq!(today.see(usage(9, 2, 1), at("2026-11-30T00:00:03Z")), (usage(0, 0, 0), midnight));
        assert_eq!(today.see(usage(19, 5, 1), at("2026-11-30T20:00:00Z")), (usage(10, 3, 0), midnight));
        // The clock is set back over midnight, and forth again.
        assert_eq!(today.see(usage(20, 5, 1), at("2026-11-29T23:00:00Z")), (usage(11, 3, 0), midnight));
        assert_eq!(today.see(usage(21, 5, 1), at("2026-11-30T21:00:00Z")), (usage(12, 3, 0), midnight));
    }

    #[test]
    fn the_prices_are_those_of_the_guide() {
        let FirestorePrices { reads, writes, deletes } = PRICES;
        let words = format!("reads ${reads}, writes ${writes}, deletes ${deletes}");
        assert!(include_str!("../guide/costs.md").contains(&words), "{words}");
        assert!((usage(100_000, 100_000, 100_000).dollars() - 0.26).abs() < 1e-9);
        assert_eq!(usage(0, 0, 0).dollars(), 0.0);
    }
}
