//! Stops the library's QR task once the pairing needs no more codes.
//!
//! The library has a task for it that ends with the pairing, or 160 s after the connection: then all codes have been shown, and it
//! disconnects, also in the middle of a passkey ceremony, for which WhatsApp gives ten minutes. It cannot be told to stop
//! (whatsapp-rust 0.7, `pair.rs`). But it says each code from within that task, and the task runs on a runtime of ours.

use std::{future::Future, pin::Pin, sync::Mutex, time::Duration};

use tokio_util::sync::CancellationToken;
use whatsapp_rust::{
    TokioRuntime,
    wacore::runtime::{AbortHandle, Runtime},
};

use crate::sync::lock;

type RotationTask = Pin<Box<dyn Future<Output = ()> + Send>>;

tokio::task_local! {
    /// Ends the task that asks.
    static THIS_TASK: CancellationToken;
}

/// A runtime for clients that pair: each of their tasks can be ended from within.
pub struct PairingRuntime;

fn endable(task: RotationTask) -> RotationTask {
    let end = CancellationToken::new();
    Box::pin(THIS_TASK.scope(end.clone(), async move {
        end.run_until_cancelled(task).await;
    }))
}

impl Runtime for PairingRuntime {
    fn spawn(&self, task: RotationTask) -> AbortHandle {
        TokioRuntime.spawn(endable(task))
    }

    fn spawn_detached(&self, task: RotationTask) {
        TokioRuntime.spawn_detached(endable(task));
    }

    fn sleep(&self, duration: Duration) -> RotationTask {
        TokioRuntime.sleep(duration)
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) -> RotationTask {
        TokioRuntime.spawn_blocking(work)
    }

    fn yield_now(&self) -> Option<RotationTask> {
        TokioRuntime.yield_now()
    }
}

/// The QR codes of one connection.
#[derive(Default)]
pub struct QrRotation(Mutex<RotationState>);

#[derive(Default)]
struct RotationState {
    by: Option<CancellationToken>,
    ended: bool,
}

impl QrRotation {
    /// The task that calls this has another code to show: it is told of, unless there is to be none any more.
    pub fn show(&self, tell: impl FnOnce()) {
        let mut shown = lock(&self.0);
        let by = THIS_TASK.try_with(Clone::clone).ok();
        if shown.ended {
            by.inspect(CancellationToken::cancel);
        } else {
            shown.by = by;
            tell();
        }
    }

    /// No code is told of after this.
    pub fn end(&self) {
        let mut shown = lock(&self.0);
        shown.ended = true;
        shown.by.take().inspect(CancellationToken::cancel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_rotation_that_is_ended_shows_nothing_more_and_its_task_is_gone() {
        /// Says that its task was dropped, wherever it was.
        struct ClientGone(Arc<Notify>);

        impl Drop for ClientGone {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }

        let rotation = Arc::new(QrRotation::default());
        let told = Arc::new(AtomicUsize::new(0));
        let (shown, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let task = |rotation: Arc<QrRotation>, told: Arc<AtomicUsize>, shown: Arc<Notify>, gone: ClientGone| async move {
            let _gone = gone;
            rotation.show(|| {
                told.fetch_add(1, Ordering::Relaxed);
            });
            shown.notify_one();
            std::future::pending::<()>().await;
        };
        let begin = || {
            let task = task(rotation.clone(), told.clone(), shown.clone(), ClientGone(gone.clone()));
            PairingRuntime.spawn_detached(Box::pin(task));
        };
        begin();
        shown.notified().await;
        assert_eq!(told.load(Ordering::Relaxed), 1);
        rotation.end();
        gone.notified().await;
        // One that begins anew on the same connection fares no better.
        begin();
        gone.notified().await;
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
