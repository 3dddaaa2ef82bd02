//! Counts the messages of the last day, minute by minute, for the operator's overview.
//!
//! Promises: it has a fixed size, however much goes through; counting is one exchange of a number and never waits. A minute that lies ahead
//! is not shown.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A day.
const MINUTES: usize = 24 * 60;

/// One direction's messages.
#[derive(Debug)]
pub struct MessageRing {
    /// Each has the minute since 1970 in its upper half and the count of that minute in its lower half, so that both change in one step.
    slots: Box<[AtomicU64]>,
}

impl Default for MessageRing {
    fn default() -> Self {
        Self { slots: (0..MINUTES).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl MessageRing {
    /// Counts one message of that minute; it takes the place of a minute of the day before.
    pub fn count(&self, minute: u32) {
        let slot = &self.slots[minute as usize % MINUTES];
        let mut known = slot.load(Relaxed);
        loop {
            let (of, count) = apart(known);
            let next = together(minute, if of == minute { count.saturating_add(1) } else { 1 });
            match slot.compare_exchange_weak(known, next, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => known = found,
            }
        }
    }

    /// The counts of so many minutes, at most a day, the oldest first. `now` is the last of them, and goes on.
    pub fn last(&self, minutes: usize, now: u32) -> Vec<u32> {
        let count = |ago: usize| {
            let minute = now.checked_sub(u32::try_from(ago).ok()?)?;
            let (of, count) = apart(self.slots[minute as usize % MINUTES].load(Relaxed));
            (of == minute).then_some(count)
        };
        (0..minutes.min(MINUTES)).rev().map(|ago| count(ago).unwrap_or_default()).collect()
    }
}

fn together(minute: u32, count: u32) -> u64 {
    (u64::from(minute) << 32) | u64::from(count)
}

fn apart(slot: u64) -> (u32, u32) {
    ((slot >> 32) as u32, slot as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some minute of 2026.
    const NOW: u32 = 29_900_000;

    #[test]
    fn minutes_are_counted_apart_and_shown_with_the_oldest_first() {
        let ring = MessageRing::default();
        assert_eq!(ring.last(3, NOW), [0, 0, 0]);
        for minute in [NOW - 2, NOW, NOW, NOW] {
            ring.count(minute);
        }
        assert_eq!(ring.last(4, NOW), [0, 1, 0, 3]);
        assert_eq!(ring.last(4, NOW + 1), [1, 0, 3, 0], "time goes on without a message");
        assert_eq!(ring.last(MINUTES, NOW).iter().sum::<u32>(), 4);
        assert_eq!(ring.last(10 * MINUTES, NOW).len(), MINUTES, "there is no more than a day");
    }

    #[test]
    fn a_day_later_the_place_is_another_minutes() {
        let ring = MessageRing::default();
        let day = u32::try_from(MINUTES).unwrap();
        ring.count(NOW);
        ring.count(NOW);
        assert_eq!(ring.last(1, NOW + day), [0], "yesterday's count is not today's");
        ring.count(NOW + day);
        assert_eq!(ring.last(1, NOW + day), [1]);
        assert_eq!(ring.last(MINUTES, NOW + day).iter().sum::<u32>(), 1);
        // Seen from before, it lies ahead.
        assert_eq!(ring.last(MINUTES, NOW).iter().sum::<u32>(), 0);
        assert_eq!(ring.last(3, 1), [0, 0, 0], "there is nothing before 1970");
    }

    #[test]
    fn nothing_is_lost_where_several_count_at_once() {
        let ring = MessageRing::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| ring.count(NOW + n % 2)));
            }
        });
        assert_eq!(ring.last(2, NOW + 1), [2000, 2000]);
    }
}
