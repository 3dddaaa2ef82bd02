//! The process's SQLite threads.
//!
//! A few OS threads for all tenants. Each has a bounded queue; a tenant's jobs go to one thread, in the order in which
//! they were asked for, so a tenant needs no lock of its own. A thread keeps the files of its tenants open while they are
//! used: at most a fixed number, least recently used out first, and none longer than it has been idle. A closed file is
//! opened again by the next job; that takes some 100 µs.

use std::{
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{CopyFailureKind, StoreError, database::Database};

/// The limits of a [`Pool`].
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    pub threads: usize,
    /// Jobs that may wait for a thread; more wait at their callers.
    pub queue: usize,
    /// Files open at a time, over all threads. Each takes some 100 KiB and a file descriptor.
    pub open_files: usize,
    /// A file that no job used for this long is closed.
    pub idle: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Self { threads: cores.min(4), queue: 256, open_files: 128, idle: Duration::from_secs(20) }
    }
}

/// The threads. Cheap to clone; they end when the last clone and the last store are gone.
#[derive(Clone)]
pub struct Pool(Arc<PoolThreads>);

struct PoolThreads {
    workers: Vec<PoolWorker>,
    lanes: AtomicU64,
    open_files: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct PoolWorker {
    jobs: SyncSender<(PoolJob, OwnedSemaphorePermit)>,
    /// As many permits as the channel has slots, so that sending never blocks an async thread.
    room: Arc<Semaphore>,
}

type PoolJob = Box<dyn FnOnce(&mut OpenFiles) + Send>;

/// A tenant's way to its thread.
pub(super) struct Lane {
    id: LaneId,
    worker: PoolWorker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LaneId(u64);

/// The thread is gone: only in a process that is ending.
pub(super) struct Gone;

impl Pool {
    pub fn new(options: PoolOptions) -> io::Result<Self> {
        let threads = options.threads.max(1);
        let open_files = Arc::new(AtomicUsize::new(0));
        let workers = (0..threads)
            .map(|number| {
                let (sender, jobs) = sync_channel(options.queue);
                let files = OpenFiles {
                    open: HashMap::new(),
                    most: (options.open_files / threads).max(1),
                    idle: options.idle,
                    open_files: open_files.clone(),
                };
                thread::Builder::new().name(format!("store-{number}")).spawn(move || work(&jobs, files))?;
                Ok(PoolWorker { jobs: sender, room: Arc::new(Semaphore::new(options.queue)) })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(PoolThreads { workers, lanes: AtomicU64::new(0), open_files })))
    }

    /// How many files are open now.
    pub fn open_files(&self) -> usize {
        self.0.open_files.load(Ordering::Relaxed)
    }

    pub(super) fn lane(&self) -> Lane {
        let id = self.0.lanes.fetch_add(1, Ordering::Relaxed);
        let worker = self.0.workers[id as usize % self.0.workers.len()].clone();
        Lane { id: LaneId(id), worker }
    }
}

impl Lane {
    pub(super) fn id(&self) -> LaneId {
        self.id
    }

    /// Queues a job behind this lane's earlier ones. Waits while the queue is full; once this returns, the job runs
    /// whatever becomes of its caller.
    pub(super) async fn queue(&self, job: impl FnOnce(&mut OpenFiles) + Send + 'static) -> Result<(), Gone> {
        let permit = self.worker.room.clone().acquire_owned().await.map_err(|_| Gone)?;
        self.worker.jobs.send((Box::new(job), permit)).map_err(|_| Gone)
    }
}

impl Drop for Lane {
    /// Closes the file of a store that nobody closed. With a full queue it is left to the idle limit.
    fn drop(&mut self) {
        if let Ok(permit) = self.worker.room.clone().try_acquire_owned() {
            let id = self.id;
            let job: PoolJob = Box::new(move |files| files.close(id));
            drop(self.worker.jobs.send((job, permit)));
        }
    }
}

fn work(jobs: &Receiver<(PoolJob, OwnedSemaphorePermit)>, mut files: OpenFiles) {
    let mut looked = Instant::now();
    loop {
        match jobs.recv_timeout(files.idle) {
            Ok((job, permit)) => {
                drop(permit);
                // One tenant's panic is not the end of the others' thread. Its caller sees that no answer comes.
                if catch_unwind(AssertUnwindSafe(|| job(&mut files))).is_err() {
                    tracing::error!(event = "store_job_crashed", "a job of the store panicked");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= files.idle {
            files.close_idle();
            looked = Instant::now();
        }
    }
}

/// The open files of one thread.
pub(super) struct OpenFiles {
    open: HashMap<LaneId, (Database, Instant)>,
    most: usize,
    idle: Duration,
    open_files: Arc<AtomicUsize>,
}

impl OpenFiles {
    /// The lane's file, opened if it is not.
    pub(super) fn get(
        &mut self,
        lane: LaneId,
        open: impl Fn() -> Result<Database, StoreError>,
    ) -> Result<&Database, StoreError> {
        if !self.open.contains_key(&lane) {
            let database = self.making_room(open)?;
            self.insert(lane, database);
        }
        let (database, used) = self.open.get_mut(&lane).expect("it was there or is put there above");
        *used = Instant::now();
        Ok(database)
    }

    /// Without a free descriptor another tenant's file gives its own: it is opened again when it is needed.
    pub(super) fn making_room<T>(&mut self, open: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            match open() {
                Err(StoreError::CopyFailed(failure))
                    if failure.kind == CopyFailureKind::NoDescriptors && self.close_oldest() => {}
                opened => return opened,
            }
        }
    }

    pub(super) fn insert(&mut self, lane: LaneId, database: Database) {
        while self.open.len() >= self.most {
            self.close_oldest();
        }
        self.open.insert(lane, (database, Instant::now()));
        self.open_files.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn close(&mut self, lane: LaneId) {
        if self.open.remove(&lane).is_some() {
            self.open_files.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether there was one.
    fn close_oldest(&mut self) -> bool {
        let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(&lane, _)| lane);
        oldest.inspect(|&lane| self.close(lane)).is_some()
    }

    fn close_idle(&mut self) {
        let idle: Vec<_> =
            self.open.iter().filter(|(_, (_, used))| used.elapsed() >= self.idle).map(|(&lane, _)| lane).collect();
        idle.into_iter().for_each(|lane| self.close(lane));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_job_leaves_the_others_their_thread() {
        let pool = Pool::new(PoolOptions { threads: 1, ..PoolOptions::default() }).unwrap();
        let (one, other) = (pool.lane(), pool.lane());
        assert!(one.queue(|_| panic!("on purpose")).await.is_ok());
        let (answer, asked) = tokio::sync::oneshot::channel();
        assert!(other.queue(move |_| answer.send(()).unwrap()).await.is_ok());
        asked.await.unwrap();
    }
}
