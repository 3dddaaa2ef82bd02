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
use jiff::Timestamp;
use rand::{SeedableRng, rngs::SmallRng};
use sessiond::{
    clock::{Clock, SystemClock},
    journal::{self, Context, Journal, JournalClosedError, JournalPace, Opened, Policy},
    message::{Feed, Log, Retention, SegmentCache},
    seal::{Digest, Keyring},
    store::{
        Batch, Pool, PoolOptions, Store,
        space::{self, Space},
    },
    tenant::{TenantId, TenantRecord},
    vault::{embedded::Embedded, *},
};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use whatsapp_rust::store::traits::Backend;

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
#[derive(Debug)]
pub struct Line {
    pub vault: Arc<dyn Vault>,
    silent: watch::Sender<bool>,
    keeps_segments: AtomicBool,
    held_reading: Mutex<Option<oneshot::Receiver<()>>>,
    appends: Mutex<Vec<Append>>,
}

impl Line {
    fn to(vault: Arc<dyn Vault>) -> Arc<Self> {
        Arc::new(Self {
            vault,
            silent: watch::Sender::new(false),
            keeps_segments: AtomicBool::new(false),
            held_reading: Mutex::default(),
            appends: Mutex::default(),
        })
    }

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
impl Vault for Line {
    async fn append(
        &self,
        tenant: &TenantId,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError> {
        let mut silent = self.silent.subscribe();
        silent.wait_for(|silent| !silent).await.expect("self holds the sender");
        self.vault.append(tenant, after, documents, decision).await?;
        self.appends.lock().unwrap().push((documents.to_vec(), decision.cloned()));
        Ok(())
    }

    async fn start_over(
        &self,
        tenant: &TenantId,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError> {
        self.vault.start_over(tenant, footing, documents, manifest, decision).await
    }
    async fn headings(&self, tenant: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError> {
        self.vault.headings(tenant, first, limit).await
    }
    async fn ping(&self) -> Result<(), VaultError> {
        self.vault.ping().await
    }
    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.vault.tenants().await
    }
    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.vault.tenants_with(text, prefix).await
    }
    async fn remembered(&self) -> Result<Vec<String>, VaultError> {
        self.vault.remembered().await
    }
    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.vault.restorable().await
    }
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, VaultError> {
        self.vault.tenant(tenant).await
    }
    async fn notice(&self, tenant: &TenantId, notice: &TenantInfo) -> Result<(), VaultError> {
        self.vault.notice(tenant, notice).await
    }
    async fn document(&self, tenant: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError> {
        self.vault.document(tenant, seq).await
    }
    async fn documents(&self, tenant: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError> {
        self.vault.documents(tenant, first).await
    }
    async fn takeovers(&self, tenant: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError> {
        self.vault.takeovers(tenant).await
    }
    async fn entries_below(&self, tenant: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError> {
        self.vault.entries_below(tenant, end).await
    }
    async fn empty_document(&self, tenant: &TenantId, document: &JournalDocument) -> Result<bool, VaultError> {
        self.vault.empty_document(tenant, document).await
    }
    async fn remove_documents(&self, tenant: &TenantId, seqs: &[Seq]) -> Result<(), VaultError> {
        self.vault.remove_documents(tenant, seqs).await
    }
    async fn manifests(&self, tenant: &TenantId) -> Result<Vec<Manifest>, VaultError> {
        self.vault.manifests(tenant).await
    }
    async fn put_chunk(&self, tenant: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError> {
        self.vault.put_chunk(tenant, id, n, payload).await
    }
    async fn put_manifest(
        &self,
        tenant: &TenantId,
        manifest: &Manifest,
        entry: Option<Digest>,
    ) -> Result<(), AppendError> {
        self.vault.put_manifest(tenant, manifest, entry).await
    }
    async fn chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError> {
        self.vault.chunks(tenant, id).await
    }
    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<SnapshotId>, VaultError> {
        self.vault.snapshots(tenant).await
    }
    async fn remove_snapshot(&self, tenant: &TenantId, id: &SnapshotId) -> Result<(), VaultError> {
        self.vault.remove_snapshot(tenant, id).await
    }
    async fn put_segment(&self, tenant: &TenantId, name: &str, payload: Bytes) -> Result<(), VaultError> {
        self.answering()?;
        self.vault.put_segment(tenant, name, payload).await
    }
    async fn segment(&self, tenant: &TenantId, name: &str) -> Result<Option<Bytes>, VaultError> {
        self.answering()?;
        let held = self.held_reading.lock().unwrap().take();
        if let Some(held) = held {
            let _ = held.await;
        }
        self.vault.segment(tenant, name).await
    }
    async fn segments(&self, tenant: &TenantId) -> Result<Vec<String>, VaultError> {
        self.vault.segments(tenant).await
    }
    async fn remove_segments(&self, tenant: &TenantId, names: &[String]) -> Result<(), VaultError> {
        if self.keeps_segments.load(Ordering::SeqCst) {
            return Err(VaultError::Unavailable("keeps its segments".into()));
        }
        self.vault.remove_segments(tenant, names).await
    }
    async fn put_instance(&self, instance: &Instance) -> Result<(), VaultError> {
        self.vault.put_instance(instance).await
    }
    async fn instances(&self) -> Result<Vec<Instance>, VaultError> {
        self.vault.instances().await
    }
    async fn remove_instance(&self, id: &InstanceId) -> Result<(), VaultError> {
        self.vault.remove_instance(id).await
    }

    async fn put_letter(&self, from: &InstanceId, to: &InstanceId, body: Bytes) -> Result<(), VaultError> {
        self.vault.put_letter(from, to, body).await
    }

    async fn letters(&self, to: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError> {
        self.vault.letters(to).await
    }

    async fn remove_letter(&self, from: &InstanceId, to: &InstanceId) -> Result<(), VaultError> {
        self.vault.remove_letter(from, to).await
    }
    async fn check_value(&self) -> Result<Option<Bytes>, VaultError> {
        self.vault.check_value().await
    }
    async fn create_check_value(&self, value: Bytes) -> Result<bool, VaultError> {
        self.vault.create_check_value(value).await
    }
    async fn replace_check_value(&self, old: Bytes, new: Bytes) -> Result<bool, VaultError> {
        self.vault.replace_check_value(old, new).await
    }
    fn usage(&self) -> Usage {
        self.vault.usage()
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
