//! Lets a tenant stay connected whose phone does not share the keys of its settings (contacts, labels, its name).
//!
//! A device without a name makes its first sync anew at each login. The library gives that 180 s and then connects anew, without end
//! (whatsapp-rust 0.7.0, `CRITICAL_SYNC_TIMEOUT_SECS`), although a phone that is off, or never shares them, does not hear it any
//! sooner. No setting changes that; but the library sleeps on a runtime of ours. That sleep lasts here until there are keys, and
//! doubles with each time that the new connection did not help.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use whatsapp_rust::wacore::runtime::{AbortHandle, Runtime};

/// The library's limit for a first sync. Nothing else in it sleeps for exactly that long.
const LIBRARY_SYNC_TIMEOUT: Duration = Duration::from_secs(180);

const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// One session's first sync, over its connections.
#[derive(Debug)]
pub struct FirstSync {
    /// How long it may take, and at most, once it has failed often.
    limits: (Duration, Duration),
    has_keys: watch::Sender<bool>,
    /// New connections in a row that were made for it.
    reconnects: AtomicU32,
}

impl FirstSync {
    pub fn new(has_keys: bool) -> Self {
        Self {
            limits: (LIBRARY_SYNC_TIMEOUT, LONGEST),
            has_keys: watch::Sender::new(has_keys),
            reconnects: AtomicU32::new(0),
        }
    }

    pub fn keys_came(&self) {
        self.has_keys.send_replace(true);
    }

    pub fn keys_wiped(&self) {
        self.has_keys.send_replace(false);
    }

    pub fn done(&self) {
        self.reconnects.store(0, Ordering::Relaxed);
    }

    /// Returns when a new connection may help.
    async fn limit(&self) {
        let (first, longest) = self.limits;
        let times = 1_u32 << self.reconnects.load(Ordering::Relaxed).min(16);
        sleep(first.saturating_mul(times).min(longest)).await;
        let mut has_keys = self.has_keys.subscribe();
        // An error: the session is gone, and its connections with it.
        let _ = has_keys.wait_for(|has_keys| *has_keys).await;
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }
}

/// The runtime of one client; all else is `runtime`'s to do.
pub struct PatientRuntime<R> {
    pub runtime: R,
    pub first_sync: Arc<FirstSync>,
    /// The client has ended: what sleeps in it holds it in memory no longer.
    pub over: CancellationToken,
}

impl<R: Runtime> Runtime for PatientRuntime<R> {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        self.runtime.spawn(task)
    }

    fn spawn_detached(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn_detached(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration != LIBRARY_SYNC_TIMEOUT {
            return self.runtime.sleep(duration);
        }
        let (first_sync, over) = (self.first_sync.clone(), self.over.clone());
        Box::pin(async move {
            over.run_until_cancelled(first_sync.limit()).await;
        })
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) -> BoxFuture<'static, ()> {
        self.runtime.spawn_blocking(work)
    }

    fn yield_now(&self) -> Option<BoxFuture<'static, ()>> {
        self.runtime.yield_now()
    }

    fn yield_frequency(&self) -> u32 {
        self.runtime.yield_frequency()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};
    use whatsapp_rust::TokioRuntime;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    fn runtime(has_keys: bool, longest: Duration) -> PatientRuntime<TokioRuntime> {
        let first_sync = Arc::new(FirstSync { limits: (SHORT, longest), ..FirstSync::new(has_keys) });
        PatientRuntime { runtime: TokioRuntime, first_sync, over: CancellationToken::new() }
    }

    #[tokio::test]
    async fn a_phone_that_shares_no_keys_costs_no_connection() {
        let runtime = runtime(false, SHORT);
        let mut limit = runtime.sleep(LIBRARY_SYNC_TIMEOUT);
        assert!(timeout(20 * SHORT, &mut limit).await.is_err(), "the library connects anew");
        runtime.first_sync.keys_came();
        timeout(LONG, limit).await.expect("the keys are of no use on this connection");
    }

    #[tokio::test]
    async fn a_first_sync_that_keeps_failing_is_tried_less_and_less_often() {
        let runtime = runtime(true, 8 * SHORT);
        for times in [1, 2, 4, 8, 8] {
            let began = Instant::now();
            timeout(LONG, runtime.sleep(LIBRARY_SYNC_TIMEOUT)).await.expect("it is tried again");
            assert!(began.elapsed() >= times * SHORT, "after {:?}", began.elapsed());
        }
        runtime.first_sync.done();
        assert_eq!(runtime.first_sync.reconnects.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn nothing_sleeps_in_a_client_that_has_ended() {
        let runtime = runtime(false, SHORT);
        let limit = tokio::spawn(runtime.sleep(LIBRARY_SYNC_TIMEOUT));
        runtime.over.cancel();
        timeout(LONG, limit).await.expect("the client is held").unwrap();
        timeout(LONG, runtime.sleep(SHORT)).await.expect("all other sleeps are as long as they were");
    }
}
