//! What the tests of the journal's rules stand on: a home of the vault, owners with their working copies, and one list of rules that
//! runs on every home.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use sessiond::{
    clock::{Clock, Instant, SystemClock},
    journal::{
        Backoff, Change, ChangeNo, Context, Damage, Journal, JournalPace, OpenError, Opened, Policy, Record,
        SnapshotSource, SourceError, Space, open,
    },
    seal::{Keyring, MasterKey, TenantSeal},
    tenant::TenantId,
    vault::{
        Decision, InstanceId, JournalDocument, MAX_PAYLOAD, Manifest, Seq, SnapshotId, TenantInfo, Vault,
        embedded::Embedded,
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::support::{
    emulator,
    journal_time::{Time, WorldClock},
    journal_wire::Wire,
    journal_world::{JournalWorld, Weather},
};

pub type State = BTreeMap<Box<[u8]>, Bytes>;

/// A vault and what it takes to open a tenant in it.
pub struct Bench {
    pub vault: Arc<dyn Vault>,
    pub tenant: TenantId,
    pub clock: Arc<Shifted>,
    pub policy: Policy,
    pub tasks: TaskTracker,
    /// Of a simulated vault.
    pub world: Option<Arc<JournalWorld>>,
    _folder: Option<tempfile::TempDir>,
}

/// A clock that a test can put forward.
#[derive(Debug)]
pub struct Shifted {
    pub clock: Arc<dyn Clock>,
    pub ahead: Mutex<Duration>,
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        self.clock.now() + *self.ahead.lock().unwrap()
    }

    fn instant(&self) -> Instant {
        self.clock.instant() + *self.ahead.lock().unwrap()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(span)
    }
}

impl Bench {
    fn new(vault: Arc<dyn Vault>, clock: Arc<dyn Clock>) -> Self {
        let policy = Policy {
            backoff: Backoff { first: Duration::from_millis(5), cap: Duration::from_millis(50) },
            pace: JournalPace { writes_per_minute: None, ..JournalPace::default() },
            snapshot_entries: 4,
            snapshot_retry: Duration::ZERO,
            ..Policy::default()
        };
        Self {
            vault,
            tenant: "tenant1".parse().unwrap(),
            clock: Arc::new(Shifted { clock, ahead: Mutex::default() }),
            policy,
            tasks: TaskTracker::new(),
            world: None,
            _folder: None,
        }
    }

    pub fn simulated(time: Arc<Time>) -> Self {
        let clock = Arc::new(WorldClock(time.clone()));
        let world = JournalWorld::new(time, &"tenant1".parse().unwrap(), 1, Weather::CALM, false);
        let (_, line) = world.process("test");
        Self { world: Some(world), ..Self::new(line, clock) }
    }

    pub fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Embedded::open(&folder.path().join("vault.db")).unwrap();
        Self { _folder: Some(folder), ..Self::new(Arc::new(vault), SystemClock::shared()) }
    }

    pub async fn firestore() -> Option<Self> {
        let vault = emulator::vault(&emulator::project()).await?;
        Some(Self::new(Arc::new(vault), SystemClock::shared()))
    }

    pub fn context(&self, name: &str) -> Context {
        Context {
            vault: self.vault.clone(),
            seal: seal(1, &self.tenant),
            tenant: self.tenant.clone(),
            writer: InstanceId(name.into()),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            rng: SmallRng::from_os_rng(),
            expect_history: false,
            check: None,
        }
    }

    /// The same through a line that a test can meddle with.
    pub fn wired(&self, name: &str) -> (Arc<Wire>, Context) {
        let wire = Wire::new(self.vault.clone());
        (wire.clone(), Context { vault: wire, ..self.context(name) })
    }

    pub async fn try_open(&self, cx: Context) -> Result<Owner, OpenError> {
        let opened = open(cx, &self.tasks, CancellationToken::new()).await?;
        Ok(Owner::new(opened))
    }

    pub async fn open(&self, name: &str) -> Owner {
        self.try_open(self.context(name)).await.unwrap()
    }

    pub async fn damage(&self) -> Damage {
        match self.try_open(self.context("reader")).await {
            Err(OpenError::Damaged(damage)) => damage,
            other => panic!("no damage: {:?}", other.map(|owner| owner.found)),
        }
    }

    /// Waits for something, at most twenty seconds.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let start = self.clock.instant();
        while !holds().await {
            assert!(self.clock.instant().since(start) < Duration::from_secs(20), "in vain: {what}");
            self.clock.sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn dump(&self) -> Dump {
        let mut chunks = Vec::new();
        for id in self.vault.snapshots(&self.tenant).await.unwrap() {
            let found = self.vault.chunks(&self.tenant, &id).await.unwrap();
            chunks.extend(found.into_iter().map(|(n, payload)| (id.clone(), n, payload)));
        }
        Dump {
            documents: self.documents().await,
            manifests: self.vault.manifests(&self.tenant).await.unwrap(),
            chunks,
            connected: self.connected().await,
        }
    }

    pub async fn documents(&self) -> Vec<JournalDocument> {
        self.vault.documents(&self.tenant, Seq(1)).await.unwrap()
    }

    pub async fn connected(&self) -> Option<bool> {
        self.vault.tenant(&self.tenant).await.unwrap().map(|record| record.whatsapp_connected)
    }

    /// Makes the tenant's record.
    pub async fn enrol(&self) {
        self.vault.notice(&self.tenant, &TenantInfo::default()).await.unwrap();
    }

    /// The vault loses documents from this number on, and snapshots that stand there or after it.
    pub async fn lose_from(&self, seq: Seq) {
        let lost = self.documents().await.into_iter().map(|document| document.seq).filter(|found| *found >= seq);
        self.vault.remove_documents(&self.tenant, &lost.collect::<Vec<_>>()).await.unwrap();
        for id in self.vault.snapshots(&self.tenant).await.unwrap() {
            if id.seq >= seq {
                self.vault.remove_snapshot(&self.tenant, &id).await.unwrap();
            }
        }
    }

    pub async fn replace(&self, document: JournalDocument) {
        self.vault.remove_documents(&self.tenant, &[document.seq]).await.unwrap();
        self.vault.append(&self.tenant, None, &[document], None).await.unwrap();
    }

    /// Lets an owner write until everything up to the number is compacted away, takeovers aside.
    pub async fn compact_past(&self, owner: &Owner, seq: Seq) {
        for n in 0.. {
            assert!(n < 200, "nothing is compacted");
            owner.put("busy", format!("{n}")).await;
            let manifests = self.vault.manifests(&self.tenant).await.unwrap();
            if manifests.last().is_some_and(|manifest| manifest.id.seq > seq.next())
                && self.vault.entries_below(&self.tenant, seq.next()).await.unwrap().is_empty()
            {
                return;
            }
        }
    }

    pub async fn is_damaged(&self, how: &str, expected: impl Fn(&Damage) -> bool) {
        let before = self.dump().await;
        let damage = self.damage().await;
        assert!(expected(&damage), "{how}: {damage}");
        assert_eq!(self.dump().await, before, "{how}: something was written");
    }

    /// Lets background work of all others come to its end.
    pub async fn all_ended_but(&self, alive: usize) {
        self.until("the others have ended", || async { self.tasks.len() <= alive }).await;
    }

    /// Lets an owner write until nothing but guarded documents and takeovers is left below its entries.
    pub async fn compact_past_guards(&self, owner: &Owner) {
        for n in 0.. {
            assert!(n < 200, "nothing is compacted");
            owner.put("busy", format!("{n}")).await;
            let manifests = self.vault.manifests(&self.tenant).await.unwrap();
            if manifests.first().is_some_and(|manifest| manifest.id.seq.0 > owner.epoch.0 + 3)
                && self.vault.entries_below(&self.tenant, manifests[0].id.seq).await.unwrap().len() <= 2
            {
                return;
            }
        }
    }
}

#[derive(Debug, PartialEq)]
pub struct Dump {
    pub documents: Vec<JournalDocument>,
    pub manifests: Vec<Manifest>,
    pub chunks: Vec<(SnapshotId, u32, Bytes)>,
    pub connected: Option<bool>,
}

pub fn seal(key: u8, tenant: &TenantId) -> TenantSeal {
    let key: MasterKey = format!("{key:02x}").repeat(32).parse().unwrap();
    Keyring::new(vec![key]).tenant(tenant)
}

/// An owner with its working copy.
pub struct Owner {
    pub store: Arc<Store>,
    pub found: State,
    pub epoch: Seq,
    pub first: bool,
    pub passed_over: Option<Damage>,
}

pub struct Store {
    pub journal: Journal,
    pub state: Mutex<State>,
    /// It can be read no more.
    pub failed: AtomicBool,
}

impl SnapshotSource for Store {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, SourceError>> {
        if self.failed.load(Ordering::Relaxed) {
            let error = SourceError { why: "it is gone".into(), is_final: true };
            return async { Err(error) }.boxed();
        }
        let state = self.state.lock().unwrap();
        begun();
        let record = |(key, value): (_, &Bytes)| Record { space: Space(1), key, value: value.clone() };
        let records = state.iter().map(|(key, value)| record((key.clone(), value))).collect();
        async move { Ok(records) }.boxed()
    }
}

impl Owner {
    pub fn new(opened: Opened) -> Self {
        let Opened { records, journal, epoch, first, passed_over } = opened;
        let found: State = records.into_iter().map(|record| (record.key, record.value)).collect();
        let store = Arc::new(Store { journal, state: Mutex::new(found.clone()), failed: AtomicBool::new(false) });
        let source: Arc<dyn SnapshotSource> = store.clone();
        store.journal.snapshots_from(Arc::downgrade(&source));
        Self { store, found, epoch, first, passed_over }
    }

    pub fn journal(&self) -> &Journal {
        &self.store.journal
    }

    pub fn change(&self, key: &str, value: Option<Bytes>, decision: Option<Decision>) -> ChangeNo {
        let key: Box<[u8]> = key.as_bytes().into();
        let mut state = self.store.state.lock().unwrap();
        match &value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(&key),
        };
        self.journal().record(vec![Change { space: Space(1), key, value }], decision)
    }

    pub fn set(&self, key: &str, value: impl Into<Bytes>) -> ChangeNo {
        self.change(key, Some(value.into()), None)
    }

    pub async fn put(&self, key: &str, value: impl Into<Bytes>) {
        self.journal().wait(self.set(key, value)).await.unwrap();
    }

    pub fn has(&self, key: &str) -> Option<&[u8]> {
        self.found.get(key.as_bytes()).map(|value| &**value)
    }
}

pub fn connect(connected: bool) -> Option<Decision> {
    Some(Decision { whatsapp_connected: Some(connected), ..Decision::default() })
}

/// What zstd cannot make smaller.
pub fn noise(length: usize) -> Bytes {
    static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
        let mut noise = vec![0; 4 * MAX_PAYLOAD];
        SmallRng::seed_from_u64(1).fill(&mut *noise);
        noise.into()
    });
    // Of each length another one.
    NOISE.slice(length % 1000..).slice(..length)
}

/// A simulated vault has a limit of its own.
pub async fn in_time(rule: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(180), rule).await.expect("hangs");
}

/// Makes tests of rules, one for each home. Those after the semicolon need several tenants, of which a simulated vault has one.
macro_rules! on_every_home {
    ($($rule:ident)* $(; $($of_several_tenants:ident)*)?) => {
        mod simulated {
            $(#[test]
            fn $rule() {
                $crate::support::journal_time::run(|time| super::$rule($crate::support::journal_bench::Bench::simulated(time)));
            })*
        }

        mod embedded {
            $(#[tokio::test]
            async fn $rule() {
                $crate::support::journal_bench::in_time(super::$rule($crate::support::journal_bench::Bench::embedded())).await;
            })*
            $($(#[tokio::test]
            async fn $of_several_tenants() {
                $crate::support::journal_bench::in_time(super::$of_several_tenants($crate::support::journal_bench::Bench::embedded())).await;
            })*)?
        }

        mod firestore {
            $(#[tokio::test]
            async fn $rule() {
                if let Some(bench) = $crate::support::journal_bench::Bench::firestore().await {
                    $crate::support::journal_bench::in_time(super::$rule(bench)).await;
                }
            })*
            $($(#[tokio::test]
            async fn $of_several_tenants() {
                if let Some(bench) = $crate::support::journal_bench::Bench::firestore().await {
                    $crate::support::journal_bench::in_time(super::$of_several_tenants(bench)).await;
                }
            })*)?
        }
    };
}

pub(crate) use on_every_home;
