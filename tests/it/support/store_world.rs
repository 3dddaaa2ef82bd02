//! What the store's tests stand on: a store over a journal whose vault can fall silent.

use std::{
    future::Future,
    path::PathBuf,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use rand::{SeedableRng, rngs::SmallRng};
use sessiond::{
    clock::{Clock, SystemClock},
    journal::{self, Context, Journal, JournalClosedError, JournalPace, Opened, Policy},
    message::{Feed, Log, Retention, SegmentCache},
    seal::Keyring,
    store::{
        Batch, Pool, PoolOptions, Store,
        space::{self, Space},
    },
    tenant::TenantId,
    vault::{embedded::Embedded, *},
};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use whatsapp_rust::store::traits::Backend;

use crate::support::relay_vault::{Relay, RelayVault};

/// How long something may take that must happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// A byte of the master key.
pub const KEY: &str = "00";
/// A byte of another one.
pub const OTHER_KEY: &str = "11";

/// A tenant of this process: its store over its journal over a vault on disk.
pub struct World {
    dir: TempDir,
    pub line: Arc<Line>,
    pub journal: Journal,
    pub store: Arc<Store>,
}

impl World {
    pub async fn new() -> Self {
        Self::sharing(&Pool::new(PoolOptions::default()).unwrap()).await
    }

    /// A tenant whose store lives on these threads.
    pub async fn sharing(pool: &Pool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Embedded::open(&dir.path().join("vault.db")).unwrap();
        vault.notice(&tenant(), &TenantInfo::default()).await.unwrap();
        Self::owning(dir, Line::to(Arc::new(vault)), pool).await
    }

    async fn owning(dir: TempDir, line: Arc<Line>, pool: &Pool) -> Self {
        Self::owning_with(&[KEY], dir, line, pool).await
    }

    async fn owning_with(keys: &[&str], dir: TempDir, line: Arc<Line>, pool: &Pool) -> Self {
        let opened = open_with(keys, line.clone()).await;
        let store =
            Store::create(&dir.path().join("tenant"), opened.records, opened.journal.clone(), pool, Default::default())
                .await
                .unwrap();
        Self { dir, line, journal: opened.journal, store }
    }

    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("tenant")
    }

    pub fn backend(&self) -> Arc<dyn Backend> {
        self.store.clone()
    }

    /// From now on the vault does not answer.
    pub fn silence(&self) {
        self.line.silent.send_replace(true);
    }

    pub fn answer(&self) {
        self.line.silent.send_replace(false);
    }

    /// All that was written is in the vault.
    pub async fn settle(&self) {
        soon(self.journal.wait(self.journal.recorded())).await.unwrap();
    }

    /// Another process takes the tenant, and this one learns it.
    pub async fn fence(&self) {
        open(Line::to(self.line.vault.clone())).await;
        let mut batch = Batch::default();
        batch.put(space::SETTINGS, *b"fenced", "");
        let change = self.store.write(batch).await.unwrap();
        assert_eq!(soon(self.journal.wait(change)).await, Err(JournalClosedError::Fenced));
    }

    /// All is written, then the machine is lost; another one takes over.
    pub async fn restored(&self) -> Self {
        self.settle().await;
        let pool = Pool::new(PoolOptions::default()).unwrap();
        Self::owning(tempfile::tempdir().unwrap(), Line::to(self.line.vault.clone()), &pool).await
    }

    /// Another process takes over, which seals with another key and opens with this one's too.
    pub async fn rekeyed(&self) -> Self {
        self.settle().await;
        let pool = Pool::new(PoolOptions::default()).unwrap();
        let line = Line::to(self.line.vault.clone());
        Self::owning_with(&[OTHER_KEY, KEY], tempfile::tempdir().unwrap(), line, &pool).await
    }

    /// The machine was lost after the first appends, so many of them; another one takes over.
    pub async fn restored_after(&self, appends: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Embedded::open(&dir.path().join("vault.db")).unwrap();
        vault.notice(&tenant(), &TenantInfo::default()).await.unwrap();
        for (documents, decision) in self.line.appends().into_iter().take(appends) {
            vault.append(&tenant(), None, &documents, decision.as_ref()).await.unwrap();
        }
        let pool = Pool::new(PoolOptions::default()).unwrap();
        Self::owning(dir, Line::to(Arc::new(vault)), &pool).await
    }

    /// All records of a space, in the order of their keys.
    pub async fn space(&self, space: Space) -> Vec<(Box<[u8]>, Bytes)> {
        self.store.scan(space, None, usize::MAX).await.unwrap()
    }

    /// Runs `call` while the vault is silent: it must write, and must not return. Then the vault answers, and it must.
    pub async fn waits<T>(&self, call: impl Future<Output = T>) -> T {
        self.silence();
        let mut call = pin!(call);
        let before = self.journal.recorded();
        self.until(call.as_mut(), || self.journal.recorded() > before).await;
        self.answer();
        soon(call).await
    }

    /// Drives `call` until the store has nothing to do for it any more. It must still be pending then.
    pub async fn stays_pending<F: Future>(&self, mut call: Pin<&mut F>) {
        for _ in 0..10 {
            assert!(poll_once(call.as_mut()).await.is_pending(), "the call returned though the vault is silent");
            // A round trip on the tenant's thread, behind what the call has asked for.
            self.store.get(Space(0), b"").await.unwrap();
        }
    }

    /// Polls `call`, which waits for the silent vault, until it has come so far.
    pub async fn until<F: Future>(&self, mut call: Pin<&mut F>, so_far: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so_far() {
            self.stays_pending(call.as_mut()).await;
            assert!(begun.elapsed() < DEADLINE, "the call waits, and has not come so far");
        }
    }

    /// Runs `call` while the vault is silent: it must return all the same.
    pub async fn passes<T>(&self, call: impl Future<Output = T>) -> T {
        self.silence();
        let answer = soon(call).await;
        self.answer();
        answer
    }
}

pub fn tenant() -> TenantId {
    "shop".parse().unwrap()
}

/// Master keys, the first of which seals.
pub fn keyring(keys: &[&str]) -> Keyring {
    Keyring::new(keys.iter().map(|key| key.repeat(32).parse().unwrap()).collect())
}

async fn open(vault: Arc<Line>) -> Opened {
    open_with(&[KEY], vault).await
}

async fn open_with(keys: &[&str], vault: Arc<Line>) -> Opened {
    let context = Context {
        vault,
        seal: keyring(keys).tenant(&tenant()),
        tenant: tenant(),
        writer: InstanceId("writer".into()),
        clock: SystemClock::shared(),
        policy: Policy {
            // Whoever waits is served at once, and the snapshots are on the way of most tests.
            pace: JournalPace { writes_per_minute: None, ..JournalPace::default() },
            snapshot_entries: 5,
            ..Policy::default()
        },
        rng: SmallRng::from_os_rng(),
        expect_history: false,
        check: None,
    };
    journal::open(context, &TaskTracker::new(), CancellationToken::new()).await.unwrap()
}

/// A journal for tests that are not about it.
pub async fn journal() -> (TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Embedded::open(&dir.path().join("vault.db")).unwrap();
    vault.notice(&tenant(), &TenantInfo::default()).await.unwrap();
    (dir, open(Line::to(Arc::new(vault))).await.journal)
}

type Append = (Vec<JournalDocument>, Option<Decision>);

/// The way to a vault. It can fall silent, and remembers what was appended.
pub type Line = RelayVault<LineState>;

/// What a test has done to a line, and what went over it.
#[derive(Debug)]
pub struct LineState {
    pub vault: Arc<dyn Vault>,
    silent: watch::Sender<bool>,
    keeps_segments: AtomicBool,
    held_reading: Mutex<Option<oneshot::Receiver<()>>>,
    appends: Mutex<Vec<Append>>,
}

impl Line {
    fn to(vault: Arc<dyn Vault>) -> Arc<Self> {
        Arc::new(RelayVault(LineState {
            vault,
            silent: watch::Sender::new(false),
            keeps_segments: AtomicBool::new(false),
            held_reading: Mutex::default(),
            appends: Mutex::default(),
        }))
    }
}

impl LineState {
    /// Nobody waits for a segment: what asks for one is told.
    fn answering(&self) -> Result<(), VaultError> {
        if *self.silent.borrow() { Err(VaultError::Unavailable("silent".into())) } else { Ok(()) }
    }

    /// From now on it answers, and removes no segment.
    pub fn keep_segments(&self) {
        self.keeps_segments.store(true, Ordering::SeqCst);
    }

    /// The next reading of a segment waits until the answer is used or dropped. Those after it do not.
    pub fn hold_a_reading(&self) -> oneshot::Sender<()> {
        let (go_on, held) = oneshot::channel();
        *self.held_reading.lock().unwrap() = Some(held);
        go_on
    }

    /// The reading that is to be held has begun.
    pub fn holds_a_reading(&self) -> bool {
        self.held_reading.lock().unwrap().is_none()
    }

    pub fn appends(&self) -> Vec<Append> {
        self.appends.lock().unwrap().clone()
    }

    /// The decisions that were carried out, each with the number of appends up to it.
    pub fn decisions(&self) -> Vec<(usize, Decision)> {
        let decision = |(number, (_, decision)): (usize, Append)| Some((number + 1, decision?));
        self.appends().into_iter().enumerate().filter_map(decision).collect()
    }
}

#[async_trait]
impl Relay for LineState {
    fn vault(&self) -> &Arc<dyn Vault> {
        &self.vault
    }

    async fn send<T, F>(&self, kind: &'static str, request: F) -> Result<T, VaultError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        match kind {
            "append" => {
                let mut silent = self.silent.subscribe();
                silent.wait_for(|silent| !silent).await.expect("self holds the sender");
            }
            "put_segment" => self.answering()?,
            "segment" => {
                self.answering()?;
                let held = self.held_reading.lock().unwrap().take();
                if let Some(held) = held {
                    let _ = held.await;
                }
            }
            "remove_segments" if self.keeps_segments.load(Ordering::SeqCst) => {
                return Err(VaultError::Unavailable("keeps its segments".into()));
            }
            _ => {}
        }
        Ok(request.await)
    }

    fn appended(&self, documents: &[JournalDocument], decision: Option<&Decision>) {
        self.appends.lock().unwrap().push((documents.to_vec(), decision.cloned()));
    }
}

/// The tenant's event log, which keeps all of a test's events.
pub async fn log(world: &World, feed: Feed, clock: Arc<dyn Clock>) -> Arc<Log> {
    let hour = Duration::from_secs(3600);
    let keep =
        Retention { events: 1000, bytes: usize::MAX, age: hour, live: 500, whole: hour, whole_bytes: usize::MAX };
    let named = "trattoria".parse().unwrap();
    let log = Log::open(named, world.store.clone(), feed, SegmentCache::default(), clock, keep, None).await;
    Arc::new(log.unwrap())
}

pub async fn poll_once<F: Future>(mut call: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await
}

pub async fn soon<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, call).await.expect("in time")
}
