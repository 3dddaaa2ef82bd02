//! Named points at which a test may kill this process, to see what survives.
//!
//! `LOOPBACK_CRASH=name:n` kills it the n-th time (from 1) that it passes the point `name`: no destructor, no flush, as
//! a machine does that loses its power. `LOOPBACK_GATES=off` switches the gates of durability off, for the negative control.
//! Without the feature `loopback` a point is nothing and the gates are always on.

/// Passes the point. Does not return where the process is to die.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "loopback")]
    armed::pass(name);
    #[cfg(not(feature = "loopback"))]
    let _ = name;
}

/// Whether the gates are to be off.
pub fn gates_off() -> bool {
    cfg!(feature = "loopback") && std::env::var_os("LOOPBACK_GATES").is_some_and(|gates| gates == "off")
}

#[cfg(feature = "loopback")]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };

    /// The point and how often it is yet to be passed.
    static ORDER: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let order = std::env::var("LOOPBACK_CRASH").ok()?;
        let (name, nth) = order.rsplit_once(':')?;
        Some((name.to_owned(), AtomicU64::new(nth.parse().ok().filter(|&nth| nth > 0)?)))
    });

    pub(super) fn pass(name: &str) {
        if let Some((ordered, left)) = &*ORDER
            && ordered == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            // Ends this process here: nobody can handle it.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}
