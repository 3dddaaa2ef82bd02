//! Named points at which a test may kill this process, or panic, to see what survives.
//!
//! `LOOPBACK_CRASH=name:n` kills it the n-th time (from 1) that it passes the point `name`: no destructor, no flush, as
//! a machine does that loses its power. `LOOPBACK_PANIC=name:n` panics there, as a bug does. `LOOPBACK_GATES=off` switches the gates of
//! durability off, for the negative control.
//! `LOOPBACK_METRICS=off` lets it count nothing, for the benchmark.
//! `LOOPBACK_PAUSE=name:ms` makes whoever passes `name` stay there, so that others overtake.
//! Without the feature `loopback` a point is nothing and the gates are always on.

/// Passes the point. Does not return where the process is to die.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "loopback")]
    armed::pass(name);
    #[cfg(not(feature = "loopback"))]
    let _ = name;
}

/// Passes the point, after the pause that is asked for there.
#[inline]
pub async fn pause(name: &str) {
    #[cfg(feature = "loopback")]
    if let Some(pause) = armed::pause(name) {
        tracing::info!(name, "a pause on purpose");
        tokio::time::sleep(pause).await;
    }
    #[cfg(not(feature = "loopback"))]
    let _ = name;
}

/// Whether the gates are to be off.
pub fn gates_off() -> bool {
    cfg!(feature = "loopback") && std::env::var_os("LOOPBACK_GATES").is_some_and(|gates| gates == "off")
}

/// Whether nothing is to be counted.
pub fn metrics_off() -> bool {
    cfg!(feature = "loopback") && std::env::var_os("LOOPBACK_METRICS").is_some_and(|metrics| metrics == "off")
}

#[cfg(feature = "loopback")]
mod armed {
    use std::{
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    /// A point and how often it is yet to be passed.
    struct CrashOrder(String, AtomicU64);

    static CRASH: LazyLock<Option<CrashOrder>> = LazyLock::new(|| CrashOrder::read("LOOPBACK_CRASH"));
    static PANIC: LazyLock<Option<CrashOrder>> = LazyLock::new(|| CrashOrder::read("LOOPBACK_PANIC"));

    impl CrashOrder {
        fn read(variable: &str) -> Option<Self> {
            let order = std::env::var(variable).ok()?;
            let (name, nth) = order.rsplit_once(':')?;
            Some(Self(name.to_owned(), AtomicU64::new(nth.parse().ok().filter(|&nth| nth > 0)?)))
        }

        /// Whether it is to be carried out now.
        fn is_due(&self, name: &str) -> bool {
            self.0 == name && self.1.fetch_sub(1, Ordering::SeqCst) == 1
        }
    }

    /// Where, and for how long.
    static PAUSE: LazyLock<Option<(String, Duration)>> = LazyLock::new(|| {
        let order = std::env::var("LOOPBACK_PAUSE").ok()?;
        let (name, ms) = order.rsplit_once(':')?;
        Some((name.to_owned(), Duration::from_millis(ms.parse().ok()?)))
    });

    pub(super) fn pause(name: &str) -> Option<Duration> {
        PAUSE.as_ref().filter(|(at, _)| at == name).map(|(_, pause)| *pause)
    }

    pub(super) fn pass(name: &str) {
        let due = |order: &Option<CrashOrder>| order.as_ref().is_some_and(|order| order.is_due(name));
        if due(&CRASH) {
            // Ends this process here: nobody can handle it.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        assert!(!due(&PANIC), "a panic on purpose at {name}");
    }
}
