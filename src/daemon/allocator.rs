//! Gives memory that is free again back to the system.
//!
//! glibc takes a large block from the system and gives it back when it is freed, but only until the first: then it takes blocks of that
//! size, up to 32 MiB, from its arenas, where a small one behind them keeps them (`mallopt(3)`, dynamic mmap threshold). So one long
//! text would stay as large as it was at its peak. A threshold that is set stays where it is.
//!
//! Gives back free memory at the end of an arena when it is more than [`KEPT`], and free memory in the middle, after
//! a restore or a burst, from time to time: to do either with every message costs more than it saves.
#![expect(unsafe_code, reason = "glibc's interface to its allocator is C")]

use std::time::Duration;

use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Blocks from this size on are the system's, in bytes. Smaller ones come and go with every message.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 128 * 1024;

/// Bytes at the end of an arena that the next messages will want again. There are at most eight arenas a core.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 1024 * 1024;

/// After the start, when the sessions have logged in; …
const FIRST: Duration = Duration::from_secs(15);
/// … and then so often: it locks one arena after the other for some milliseconds.
const INTERVAL: Duration = Duration::from_secs(30);

/// Once, before there are threads.
pub fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` has no conditions but to be called by one thread at a time. It says 0 where it does not know the parameter:
    // then everything stays as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// Gives back what is free, until `stop`.
pub(super) async fn give_back_free_memory(stop: &CancellationToken) {
    let mut wait = FIRST;
    while stop.run_until_cancelled(sleep(wait)).await.is_some() {
        if let Err(error) = spawn_blocking(trim).await {
            return warn!(event = "memory_trim_stopped", %error, "free memory is not given back any more");
        }
        wait = INTERVAL;
    }
}

fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` has no conditions.
    unsafe {
        libc::malloc_trim(0);
    }
}
