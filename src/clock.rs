//! Time, injectable. Ground that every part may use.
//!
//! Two clocks: the wall clock, for what people and WhatsApp read, and [`Instant`], which runs while the machine is
//! suspended (`CLOCK_BOOTTIME`), for deciding how long ago the vault confirmed an ownership. Timers and deadlines are
//! tokio's; only what a simulation has to drive sleeps by its clock.

use std::{fmt::Debug, ops::Add, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;

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

    /// Sleeps: by tokio's timer, unless the time is a simulated one.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn instant(&self) -> Instant {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // The kernel counts from the boot: neither part is negative.
        Instant(Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
    }
}
