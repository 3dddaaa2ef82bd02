//! Notices a frame that does not open.
//!
//! The library logs it and reads on (whatsapp-rust 0.7, `decrypt_frame`). A frame that was altered is lost; after one too many, nothing
//! opens any more, and the session stays deaf until a ping has gone unanswered. The library has no word for it. But it reads all
//! frames in one task, which is started here, and on a runtime of ours. In that task a frame that opened leaves a trace: its stanza is
//! shown as a raw node, or goes into a task of its own. After each frame, opened or not, the runtime is asked how often to yield.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use whatsapp_rust::wacore::runtime::{AbortHandle, Runtime};

type WatchTask = Pin<Box<dyn Future<Output = ()> + Send>>;

tokio::task_local! {
    /// Of the task that reads frames.
    static FRAME_TASK: Arc<FrameWatch>;
}

/// The frames of one client.
#[derive(Debug, Default)]
pub struct FrameWatch {
    /// The frame that is being read has opened.
    opened: AtomicBool,
    /// Frames in a row that have not.
    lost: AtomicU32,
    changed: Notify,
}

impl FrameWatch {
    /// Runs the task that reads the frames. No `async` function, which would have room for it twice.
    pub fn over<T>(self: Arc<Self>, reading: impl Future<Output = T>) -> impl Future<Output = T> {
        FRAME_TASK.scope(self, reading)
    }

    /// Returns when another frame did not open; how many in a row.
    pub async fn lost(&self) -> u32 {
        self.changed.notified().await;
        self.lost.load(Ordering::Relaxed)
    }

    fn frame_is_read(&self) {
        if self.opened.swap(false, Ordering::Relaxed) {
            self.lost.store(0, Ordering::Relaxed);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_one();
        }
    }
}

/// A stanza is there: called where the library shows it, and only by the task that reads frames.
pub fn opened() {
    let _ = FRAME_TASK.try_with(|watch| watch.opened.store(true, Ordering::Relaxed));
}

/// The runtime of a client that is watched; all else is `0`'s to do.
pub struct WatchedRuntime<R>(pub R);

impl<R: Runtime> Runtime for WatchedRuntime<R> {
    fn spawn(&self, task: WatchTask) -> AbortHandle {
        self.0.spawn(task)
    }

    fn spawn_detached(&self, task: WatchTask) {
        opened();
        self.0.spawn_detached(task);
    }

    fn sleep(&self, duration: Duration) -> WatchTask {
        self.0.sleep(duration)
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) -> WatchTask {
        self.0.spawn_blocking(work)
    }

    fn yield_now(&self) -> Option<WatchTask> {
        self.0.yield_now()
    }

    fn yield_frequency(&self) -> u32 {
        let _ = FRAME_TASK.try_with(|watch| watch.frame_is_read());
        self.0.yield_frequency()
    }
}
