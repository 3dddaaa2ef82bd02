//! Time, injectable. Ground that every part may use.
//!
//! Two clocks: the wall clock, for what people and WhatsApp read, and [`Instant`], which runs while the machine is
//! suspended (`CLOCK_BOOTTIME`), for deciding how long ago the vault confirmed an ownership. Timers and deadlines are
//! tokio's; only what a simulation has to drive sleeps by its clock.
//!
//! A wall clock may be wrong for a while: set by hand, before its first correction, after a machine was moved. What it leads to can
//! mostly be put right. What cannot (a message that expires, history, files and fences that are deleted) goes by [`Clock::certain`]
//! instead.

use std::{
    fmt::Debug,
    ops::Add,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::sync::lock;

/// A point on the clock that never stops, not even in suspension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    pub const fn from_start(since: Duration) -> Self {
        Self(since)
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// Where the time comes from.
pub trait Clock: Debug + Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    fn instant(&self) -> Instant;

    /// The time, for what cannot be undone: no later than anybody who knows it says. `known`: a time that has certainly passed, as
    /// late as the caller knows one.
    fn certain(&self, _known: Timestamp) -> Timestamp {
        self.now()
    }

    /// WhatsApp has just said what the time is.
    fn learn_time(&self, _time: Timestamp) {}

    /// Sleeps: by tokio's timer, unless the time is a simulated one.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// WhatsApp says seconds, and they take a moment to come.
const TOLERANCE: Duration = Duration::from_secs(2);
/// A process that has not heard the time from WhatsApp believes a wall clock that is not later than this after what is known to have
/// passed, …
const CREDIBLE_LEAP: Duration = Duration::from_secs(3600);
/// … and any that has gone on evenly for so long.
const STEADY_AFTER: Duration = Duration::from_secs(600);

/// What is known of the time beside the wall clock.
#[derive(Debug, Clone, Copy)]
struct KnownTime {
    /// What the time was …
    time: Timestamp,
    /// … at this moment.
    at: Instant,
    /// By WhatsApp; or else by the wall clock when this began.
    is_whatsapps: bool,
}

impl KnownTime {
    fn time(&self, instant: Instant) -> Timestamp {
        self.time.saturating_add(instant.since(self.at)).unwrap_or(Timestamp::MAX)
    }

    /// See [`Clock::certain`].
    fn certain(&self, wall: Timestamp, instant: Instant, known: Timestamp) -> Timestamp {
        let earlier = wall.min(self.time(instant));
        let credible = known.saturating_add(CREDIBLE_LEAP).unwrap_or(Timestamp::MAX);
        match self.is_whatsapps || instant.since(self.at) >= STEADY_AFTER || earlier <= credible {
            true => earlier,
            false => known,
        }
    }
}

/// One for the process, as the machine's clocks are.
static KNOWN_TIME: LazyLock<Mutex<KnownTime>> = LazyLock::new(|| {
    let (time, at) = (SystemClock.now(), SystemClock.instant());
    Mutex::new(KnownTime { time, at, is_whatsapps: false })
});

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    pub fn shared() -> Arc<dyn Clock> {
        LazyLock::force(&KNOWN_TIME);
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "a clock is where the time comes in")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn instant(&self) -> Instant {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // The kernel counts from the boot: neither part is negative.
        Instant(Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
    }

    fn certain(&self, known: Timestamp) -> Timestamp {
        let known_time = *lock(&KNOWN_TIME);
        known_time.certain(self.now(), self.instant(), known)
    }

    fn learn_time(&self, time: Timestamp) {
        let time = time.saturating_add(TOLERANCE).unwrap_or(time);
        let learned = KnownTime { time, at: self.instant(), is_whatsapps: true };
        *lock(&KNOWN_TIME) = learned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_wall_clock_that_jumps_is_not_believed() {
        let begun: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let later = begun + MINUTE;
        for is_whatsapps in [false, true] {
            let known_time = KnownTime { time: begun, at: at(0), is_whatsapps };
            assert_eq!(known_time.certain(later, at(60), begun), later);
            assert_eq!(known_time.certain(later + 30 * DAY, at(60), begun), later, "ahead");
            assert_eq!(known_time.certain(later - DAY, at(60), begun), later - DAY, "behind: everything waits");
        }
    }

    #[test]
    fn one_that_was_wrong_at_the_start_is_not_believed_before_whatsapp_was_heard() {
        let (known, wrong): (Timestamp, Timestamp) =
            ("2026-11-30T12:00:00Z".parse().unwrap(), "2026-12-01T13:00:00Z".parse().unwrap());
        let mut known_time = KnownTime { time: wrong, at: at(0), is_whatsapps: false };
        assert_eq!(known_time.certain(wrong, at(1), known), known);
        // A daemon that was down for so long, and does not reach WhatsApp.
        let evenly = wrong + 10 * MINUTE;
        assert_eq!(known_time.certain(evenly, at(600), known), evenly);
        assert_eq!(known_time.certain(known + MINUTE, at(1), known), known + MINUTE, "it was corrected");
        known_time = KnownTime { time: known, at: at(0), is_whatsapps: true };
        assert_eq!(known_time.certain(wrong, at(60), known), known + MINUTE);
    }
}
