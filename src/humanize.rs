//! How a human would answer: reads what came, thinks, types, sends. Pure: time and chance come in. Owns the figures; sends nothing.

use std::time::Duration;

use rand::Rng;

/// Until what came is marked as read.
const READING_MS: std::ops::Range<u64> = 400..1_600;
/// From then until the first key.
const THINKING_MS: std::ops::Range<u64> = 500..1_800;
const CHARS_PER_SECOND: std::ops::Range<f64> = 2.5..6.5;
const SHORTEST_TYPING: Duration = Duration::from_millis(600);
/// Who writes something longer has it at hand. WhatsApp shows somebody as typing for little longer without being told again.
const LONGEST_TYPING: Duration = Duration::from_secs(12);
/// Of the longest: else all long texts would take the same time.
const LONGEST_TYPING_JITTER: f64 = 0.25;

/// No message waits for longer than this for the sake of looking human, whatever a clock says.
pub const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// How a message is to be said, from the time on at which nothing before it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Until what came in the chat is marked as read; `None`: it is not marked.
    pub reading: Option<Duration>,
    pub thinking: Duration,
    /// Somebody is shown as typing for so long, then the message goes.
    pub typing: Duration,
}

/// When a message is due, and what is shown before it. Unix milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// 0: nothing is marked as read for it.
    pub read_at_ms: i64,
    pub typing_ms: u32,
    /// 0: at once.
    pub due_at_ms: i64,
}

impl Manner {
    /// Of a text with so many characters. `reads`: it answers somebody. `percent`: of what a human takes.
    pub fn new(chars: usize, reads: bool, percent: u32, rng: &mut impl Rng) -> Self {
        let reading = Duration::from_millis(rng.random_range(READING_MS));
        let thinking = Duration::from_millis(rng.random_range(THINKING_MS));
        let typing = Duration::from_secs_f64(chars as f64 / rng.random_range(CHARS_PER_SECOND));
        let longest = LONGEST_TYPING.mul_f64(1.0 - rng.random_range(0.0..LONGEST_TYPING_JITTER));
        let typing = typing.clamp(SHORTEST_TYPING, longest);
        let scaled = |span: Duration| span * percent / 100;
        Self { reading: reads.then(|| scaled(reading)), thinking: scaled(thinking), typing: scaled(typing) }
    }

    /// With nothing before it, from `start_ms` on; at `end_ms` it would be too late.
    pub fn timing(self, start_ms: i64, end_ms: i64) -> Timing {
        let read_at_ms = start_ms.saturating_add(millis(self.reading.unwrap_or_default()));
        let due_at_ms = read_at_ms.saturating_add(millis(self.thinking)).saturating_add(millis(self.typing));
        Timing {
            read_at_ms: if self.reading.is_some() { read_at_ms } else { 0 },
            typing_ms: u32::try_from(self.typing.as_millis()).unwrap_or(u32::MAX),
            due_at_ms: due_at_ms.min(end_ms),
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// What to do now for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Wait(Duration),
    Read,
    Type,
    Send,
}

/// What was done for it already, by this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShownManners {
    pub read: bool,
    pub typing: bool,
}

impl Timing {
    /// What to do next. `waited`: since when this process knows that nothing else is before the message.
    pub fn act(self, now_ms: i64, waited: Duration, done: ShownManners) -> Act {
        let until = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0));
        let left = until(self.due_at_ms).min(LONGEST_WAIT.saturating_sub(waited));
        if left.is_zero() {
            return Act::Send;
        }
        let reading = (self.read_at_ms != 0 && !done.read).then(|| (until(self.read_at_ms).min(left), Act::Read));
        let before_typing = left.saturating_sub(Duration::from_millis(self.typing_ms.into()));
        let typing = (self.typing_ms != 0 && !done.typing).then_some((before_typing, Act::Type));
        let (wait, act) = reading.or(typing).unwrap_or((left, Act::Send));
        if wait.is_zero() { act } else { Act::Wait(wait) }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::SmallRng};

    use super::*;

    #[test]
    fn a_longer_text_takes_longer_and_none_takes_for_ever() {
        let mut rng = SmallRng::seed_from_u64(7);
        for chars in [1, 20, 40, 10_000] {
            for _ in 0..200 {
                let manner = Manner::new(chars, true, 100, &mut rng);
                let (slow, fast) = (chars as f64 / 2.5, chars as f64 / 6.5);
                let typing = manner.typing.as_secs_f64();
                assert!(
                    typing <= slow.clamp(0.6, 12.0) + 1e-6 && typing >= fast.clamp(0.6, 9.0) - 1e-6,
                    "{chars}: {typing}"
                );
                assert!(manner.reading.is_some_and(|reading| reading < Duration::from_secs(2)), "{manner:?}");
            }
        }
        let differ: std::collections::HashSet<_> =
            (0..50).map(|_| Manner::new(10_000, true, 100, &mut rng).typing).collect();
        assert!(differ.len() > 40, "all long texts take the same time");
        assert_eq!(Manner::new(40, false, 100, &mut rng).reading, None);
        let none = Manner { reading: Some(Duration::ZERO), thinking: Duration::ZERO, typing: Duration::ZERO };
        assert_eq!(Manner::new(40, true, 0, &mut rng), none);
    }

    #[test]
    fn it_is_read_then_typed_then_sent() {
        let span = Duration::from_millis;
        let manner = Manner { reading: Some(span(500)), thinking: span(1_000), typing: span(3_000) };
        let timing = manner.timing(10_000, i64::MAX);
        assert_eq!(timing, Timing { read_at_ms: 10_500, typing_ms: 3_000, due_at_ms: 14_500 });
        let act = |now_ms, read, typing| timing.act(now_ms, Duration::ZERO, ShownManners { read, typing });
        assert_eq!(act(10_000, false, false), Act::Wait(span(500)));
        assert_eq!(act(10_500, false, false), Act::Read);
        assert_eq!(act(10_600, true, false), Act::Wait(span(900)));
        assert_eq!(act(11_500, true, false), Act::Type);
        assert_eq!(act(11_500, true, true), Act::Wait(span(3_000)));
        assert_eq!(act(14_500, true, true), Act::Send);
        // The next process begins where the time is.
        assert_eq!(act(13_000, false, false), Act::Read);
        assert_eq!(act(13_000, true, false), Act::Type);
        assert_eq!(act(20_000, false, false), Act::Send);
        // A message that must go before is not kept for the sake of looking human.
        assert_eq!(manner.timing(10_000, 12_000).due_at_ms, 12_000);
        assert_eq!(Timing::default().act(10_000, Duration::ZERO, ShownManners::default()), Act::Send);
    }

    #[test]
    fn a_clock_that_went_back_keeps_nothing_for_ever() {
        let timing = Timing { read_at_ms: 0, typing_ms: 1_000, due_at_ms: 3_600_000 };
        let done = ShownManners { read: false, typing: true };
        assert_eq!(timing.act(0, Duration::ZERO, done), Act::Wait(LONGEST_WAIT));
        assert_eq!(timing.act(0, LONGEST_WAIT, done), Act::Send);
    }
}
