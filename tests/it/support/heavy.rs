//! Turns of the tests that keep all cores busy by themselves: one of them at a time, or the others' deadlines would measure the machine.
//!
//! Most tests wait more than they compute, so more of them run than there are cores (`.ci/run`). Whoever waits for a turn does so before
//! its stage is built, and outside of every deadline.

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Lasts until it is dropped, also by a panic.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
