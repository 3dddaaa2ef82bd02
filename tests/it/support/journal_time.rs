//! Simulated time: it stands still while anything can run, and jumps to the next timer when nothing can. One thread, no real
//! waiting, and the same seed gives the same schedule.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use sessiond::clock::{Clock, Instant};

/// Simulated time. Runs on while a process is stopped, as the clock of a machine does.
#[derive(Debug, Default)]
pub struct Time(Mutex<Timers>);

#[derive(Debug, Default)]
struct Timers {
    now: Duration,
    made: u64,
    waiting: BTreeMap<(Duration, u64), Waker>,
}

/// Runs a simulation to its end. One in which nothing can happen any more arrives at the end of its year.
pub fn run<F: Future>(simulation: impl FnOnce(Arc<Time>) -> F) -> F::Output {
    let time = Arc::new(Time::default());
    let ticking = time.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(move || ticking.tick()).build().unwrap();
    runtime.block_on(async {
        let year = time.sleep(Duration::from_secs(365 * 24 * 3600));
        tokio::select! {
            biased;
            output = simulation(time) => output,
            () = year => panic!("the simulation hangs"),
        }
    })
}

impl Time {
    /// Nothing can run: it becomes what the next timer waits for.
    fn tick(&self) {
        let mut timers = self.0.lock().unwrap();
        // Empty when the simulation is over.
        if let Some(((at, _), waker)) = timers.waiting.pop_first() {
            timers.now = at;
            drop(timers);
            waker.wake();
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    /// How many timers are running.
    pub fn timers(&self) -> usize {
        self.0.lock().unwrap().waiting.len()
    }

    pub fn sleep(self: &Arc<Self>, span: Duration) -> Sleep {
        let mut timers = self.0.lock().unwrap();
        timers.made += 1;
        Sleep { key: (timers.now + span, timers.made), time: self.clone() }
    }
}

pub struct Sleep {
    key: (Duration, u64),
    time: Arc<Time>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let mut timers = self.time.0.lock().unwrap();
        if timers.now >= self.key.0 {
            return Poll::Ready(());
        }
        timers.waiting.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.time.0.lock().unwrap().waiting.remove(&self.key);
    }
}

#[derive(Debug)]
pub struct WorldClock(pub Arc<Time>);

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + self.0.elapsed().as_millis() as i64).unwrap()
    }

    fn instant(&self) -> Instant {
        Instant::from_start(self.0.elapsed())
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.0.sleep(span))
    }
}
