//! Each rule of the journal with the failure that it prevents, on every home of the vault.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use sessiond::{
    clock::{Clock, Instant, SystemClock},
    journal::{
        Backoff, Change, ChangeNo, Closed, ConfirmError, Context, Damage, Document, Journal, OpenError, Opened, Pace,
        Policy, Record, Source, Space, open,
    },
    seal::{Keyring, MasterKey, TenantSeal},
    tenant::TenantId,
    vault::{
        Decision, DocumentKind, InstanceId, JournalDocument, MAX_PAYLOAD, Manifest, Notice, Seq, SnapshotId, Vault,
        embedded::Embedded,
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    emulator,
    journal_wire::{Act, Wire},
    journal_world::{Time, Weather, World, WorldClock, run},
};

type State = BTreeMap<Box<[u8]>, Bytes>;

/// A vault and what it takes to open a tenant in it.
struct Bench {
    vault: Arc<dyn Vault>,
    tenant: TenantId,
    clock: Arc<Shifted>,
    policy: Policy,
    tasks: TaskTracker,
    /// Of a simulated vault.
    world: Option<Arc<World>>,
    _folder: Option<tempfile::TempDir>,
}

/// A clock that a test can put forward.
#[derive(Debug)]
struct Shifted {
    clock: Arc<dyn Clock>,
    ahead: Mutex<Duration>,
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
            pace: Pace { burst: 10_000.0, ..Pace::default() },
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

    fn simulated(time: Arc<Time>) -> Self {
        let clock = Arc::new(WorldClock(time.clone()));
        let world = World::new(time, &"tenant1".parse().unwrap(), 1, Weather::CALM, false);
        let (_, line) = world.process("test");
        Self { world: Some(world), ..Self::new(line, clock) }
    }

    fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Embedded::open(&folder.path().join("vault.db")).unwrap();
        Self { _folder: Some(folder), ..Self::new(Arc::new(vault), SystemClock::shared()) }
    }

    async fn firestore() -> Option<Self> {
        let vault = emulator::vault(&emulator::project()).await?;
        Some(Self::new(Arc::new(vault), SystemClock::shared()))
    }

    fn context(&self, name: &str) -> Context {
        Context {
            vault: self.vault.clone(),
            seal: seal(1, &self.tenant),
            tenant: self.tenant.clone(),
            writer: InstanceId(name.into()),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            rng: SmallRng::from_os_rng(),
            expect_history: false,
        }
    }

    /// The same through a line that a test can meddle with.
    fn wired(&self, name: &str) -> (Arc<Wire>, Context) {
        let wire = Wire::new(self.vault.clone());
        (wire.clone(), Context { vault: wire, ..self.context(name) })
    }

    async fn try_open(&self, cx: Context) -> Result<Owner, OpenError> {
        let opened = open(cx, &self.tasks, CancellationToken::new()).await?;
        Ok(Owner::new(opened))
    }

    async fn open(&self, name: &str) -> Owner {
        self.try_open(self.context(name)).await.unwrap()
    }

    async fn damage(&self) -> Damage {
        match self.try_open(self.context("reader")).await {
            Err(OpenError::Damaged(damage)) => damage,
            other => panic!("no damage: {:?}", other.map(|owner| owner.found)),
        }
    }

    /// Waits for something, at most twenty seconds.
    async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let start = self.clock.instant();
        while !holds().await {
            assert!(self.clock.instant().since(start) < Duration::from_secs(20), "in vain: {what}");
            self.clock.sleep(Duration::from_millis(5)).await;
        }
    }

    async fn dump(&self) -> Dump {
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

    async fn documents(&self) -> Vec<JournalDocument> {
        self.vault.documents(&self.tenant, Seq(1)).await.unwrap()
    }

    async fn connected(&self) -> Option<bool> {
        self.vault.tenant(&self.tenant).await.unwrap().map(|record| record.whatsapp_connected)
    }

    /// Makes the tenant's record.
    async fn enrol(&self) {
        self.vault.notice(&self.tenant, &Notice::default()).await.unwrap();
    }

    async fn replace(&self, document: JournalDocument) {
        self.vault.remove_documents(&self.tenant, &[document.seq]).await.unwrap();
        self.vault.append(&self.tenant, &[document], None).await.unwrap();
    }

    /// Lets an owner write until everything up to the number is compacted away, takeovers aside.
    async fn compact_past(&self, owner: &Owner, seq: Seq) {
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
}

#[derive(Debug, PartialEq)]
struct Dump {
    documents: Vec<JournalDocument>,
    manifests: Vec<Manifest>,
    chunks: Vec<(SnapshotId, u32, Bytes)>,
    connected: Option<bool>,
}

fn seal(key: u8, tenant: &TenantId) -> TenantSeal {
    let key: MasterKey = format!("{key:02x}").repeat(32).parse().unwrap();
    Keyring::new(vec![key]).tenant(tenant)
}

/// An owner with its working copy.
struct Owner {
    store: Arc<Store>,
    found: State,
    epoch: Seq,
    first: bool,
    passed_over: Option<Damage>,
}

struct Store {
    journal: Journal,
    state: Mutex<State>,
}

impl Source for Store {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, String>> {
        let state = self.state.lock().unwrap();
        begun();
        let record = |(key, value): (_, &Bytes)| Record { space: Space(1), key, value: value.clone() };
        let records = state.iter().map(|(key, value)| record((key.clone(), value))).collect();
        async move { Ok(records) }.boxed()
    }
}

impl Owner {
    fn new(opened: Opened) -> Self {
        let Opened { records, journal, epoch, first, passed_over } = opened;
        let found: State = records.into_iter().map(|record| (record.key, record.value)).collect();
        let store = Arc::new(Store { journal, state: Mutex::new(found.clone()) });
        let source: Arc<dyn Source> = store.clone();
        store.journal.snapshots_from(Arc::downgrade(&source));
        Self { store, found, epoch, first, passed_over }
    }

    fn journal(&self) -> &Journal {
        &self.store.journal
    }

    fn change(&self, key: &str, value: Option<Bytes>, decision: Option<Decision>) -> ChangeNo {
        let key: Box<[u8]> = key.as_bytes().into();
        let mut state = self.store.state.lock().unwrap();
        match &value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(&key),
        };
        self.journal().record(vec![Change { space: Space(1), key, value }], decision)
    }

    fn set(&self, key: &str, value: impl Into<Bytes>) -> ChangeNo {
        self.change(key, Some(value.into()), None)
    }

    async fn put(&self, key: &str, value: impl Into<Bytes>) {
        self.journal().wait(self.set(key, value)).await.unwrap();
    }

    fn has(&self, key: &str) -> Option<&[u8]> {
        self.found.get(key.as_bytes()).map(|value| &**value)
    }
}

fn connect(connected: bool) -> Option<Decision> {
    Some(Decision { whatsapp_connected: Some(connected), ..Decision::default() })
}

/// What zstd cannot make smaller.
fn noise(length: usize) -> Bytes {
    static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
        let mut noise = vec![0; 4 * MAX_PAYLOAD];
        SmallRng::seed_from_u64(1).fill(&mut *noise);
        noise.into()
    });
    // Of each length another one.
    NOISE.slice(length % 1000..).slice(..length)
}

// --- what holds everywhere

async fn what_was_waited_for_is_what_the_next_owner_finds(bench: Bench) {
    bench.enrol().await;
    let first = bench.open("first").await;
    assert!(first.first && first.found.is_empty());
    first.set("gone", "x");
    first.set("kept", "old");
    first.change("gone", None, None);
    let number = first.change("kept", Some("new".into()), connect(true));
    first.journal().wait(number).await.unwrap();
    assert_eq!(first.journal().durable(), number);
    assert_eq!(bench.connected().await, Some(true));
    // Four changes, one entry.
    assert_eq!(bench.documents().await.len(), 2);
    first.journal().close().await.unwrap();

    let second = bench.open("second").await;
    assert!(!second.first && second.epoch > first.epoch);
    assert_eq!((second.has("kept"), second.has("gone")), (Some(&b"new"[..]), None));
}

async fn an_old_owner_learns_from_the_vault_that_it_is_fenced(bench: Bench) {
    bench.enrol().await;
    let old = bench.open("old").await;
    old.put("key", "old").await;
    old.journal().confirm().await.unwrap();
    let new = bench.open("new").await;
    let before = bench.dump().await;
    assert!(matches!(old.journal().confirm().await, Err(ConfirmError::Closed(Closed::Fenced))));
    let number = old.change("key", Some("zombie".into()), connect(true));
    assert_eq!(old.journal().wait(number).await, Err(Closed::Fenced));
    assert_eq!(old.journal().closed().await, Closed::Fenced);
    // Not even what was durable before: who asks is about to act as the owner.
    assert_eq!(old.journal().wait(ChangeNo::ZERO).await, Err(Closed::Fenced));
    assert_eq!(bench.dump().await, before);
    new.put("key", "new").await;
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"new"[..]));
}

/// The number that the old owner would write next lies below everything that is left: only the takeover still stands there.
async fn an_old_owner_cannot_append_into_the_past_that_was_compacted(bench: Bench) {
    bench.enrol().await;
    let old = bench.open("old").await;
    old.put("key", "old").await;
    let new = bench.open("new").await;
    bench.compact_past(&new, new.epoch.next()).await;
    drop(new);
    let newest = bench.open("newest").await;
    bench.compact_past(&newest, newest.epoch.next()).await;
    newest.journal().close().await.unwrap();
    bench.all_ended_but(1).await;
    let before = bench.dump().await;
    let number = old.change("key", Some("zombie".into()), connect(true));
    assert_eq!(old.journal().wait(number).await, Err(Closed::Fenced));
    assert_eq!(bench.dump().await, before);
}

/// An owner was stopped between the vault's yes and hearing it. What it sends again must not change the tenant's record.
async fn a_decision_is_not_carried_out_a_second_time_from_the_past(bench: Bench) {
    bench.enrol().await;
    let (wire, cx) = bench.wired("old");
    let old = bench.try_open(cx).await.unwrap();
    wire.next("append", Act::LoseAnswer);
    let asked = wire.hold("document");
    let number = old.change("key", Some("1".into()), connect(true));
    let waiting = tokio::spawn({
        let journal = old.journal().clone();
        async move { journal.wait(number).await }
    });
    asked.reached().await;
    assert_eq!(bench.connected().await, Some(true));

    let new = bench.open("new").await;
    let number = new.change("key", Some("2".into()), connect(false));
    new.journal().wait(number).await.unwrap();
    bench.compact_past_guards(&new).await;
    asked.release();
    assert_eq!(waiting.await.unwrap(), Err(Closed::Fenced));
    assert_eq!(bench.connected().await, Some(false));
}

async fn a_reader_whose_tail_is_compacted_away_starts_over(bench: Bench) {
    for held in ["chunks", "documents"] {
        let owner = bench.open("owner").await;
        bench.compact_past(&owner, owner.epoch.next()).await;
        let (wire, cx) = bench.wired("reader");
        let reading = wire.hold(held);
        let tasks = bench.tasks.clone();
        let reader = tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) });
        reading.reached().await;
        let end = bench.documents().await.last().unwrap().seq;
        bench.compact_past(&owner, end.next()).await;
        owner.put("last", held).await;
        reading.release();
        let reader = reader.await.unwrap().unwrap();
        assert_eq!(reader.has("last"), Some(held.as_bytes()));
        assert_eq!(reader.passed_over, None);
        assert_eq!(owner.journal().wait(owner.set("last", "zombie")).await, Err(Closed::Fenced));
    }
}

/// The reader is so slow that its takeover lands below everything that is left. There it fences no one.
async fn a_takeover_that_lands_in_the_past_is_made_again(bench: Bench) {
    let owner = bench.open("owner").await;
    owner.put("key", "1").await;
    let (wire, cx) = bench.wired("slow");
    let taking = wire.hold("append");
    let tasks = bench.tasks.clone();
    let slow = tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) });
    taking.reached().await;
    let number = bench.documents().await.last().unwrap().seq.next();
    bench.compact_past(&owner, number).await;
    owner.put("key", "2").await;
    taking.release();
    let slow = slow.await.unwrap().unwrap();
    assert!(slow.epoch > number.next(), "took over at {} again", slow.epoch.0);
    assert_eq!(slow.has("key"), Some(&b"2"[..]));
    assert_eq!(owner.journal().wait(owner.set("key", "zombie")).await, Err(Closed::Fenced));
    slow.put("key", "3").await;
    assert_eq!(bench.open("next").await.has("key"), Some(&b"3"[..]));
}

/// A takeover looks as if it were in the past, and is not: its successor has compacted. It still has to stop the owner before it.
async fn a_takeover_outlives_its_own_withdrawal(bench: Bench) {
    let old = bench.open("old").await;
    old.put("key", "1").await;
    let (wire, cx) = bench.wired("slow");
    let taking = wire.hold("append");
    let tasks = bench.tasks.clone();
    let slow = tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) });
    taking.reached().await;
    let listing = wire.hold("manifests");
    taking.release();
    listing.reached().await;
    let next = bench.open("next").await;
    bench.compact_past(&next, next.epoch.next()).await;
    listing.release();
    let slow = slow.await.unwrap().unwrap();
    assert_eq!(next.journal().wait(next.set("key", "zombie")).await, Err(Closed::Fenced));
    assert_eq!(old.journal().wait(old.set("key", "zombie")).await, Err(Closed::Fenced));
    slow.put("key", "2").await;
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"2"[..]));
}

async fn a_cut_whose_answer_was_lost_stays_as_it_was(bench: Bench) {
    for act in [Act::LoseAnswer, Act::Lose] {
        let (wire, cx) = bench.wired("owner");
        let owner = bench.try_open(cx).await.unwrap();
        let before = bench.documents().await.len();
        wire.next("append", act);
        let asked = wire.hold("document");
        let first = owner.set("key", "1");
        let waiting = tokio::spawn({
            let journal = owner.journal().clone();
            async move { journal.wait(first).await }
        });
        asked.reached().await;
        // What comes while the outcome is unknown must not get into the cut.
        let second = owner.set("key", "2");
        assert!(owner.journal().outage());
        asked.release();
        waiting.await.unwrap().unwrap();
        assert_eq!(owner.journal().durable(), first);
        owner.journal().wait(second).await.unwrap();
        assert!(!owner.journal().outage());
        assert_eq!(bench.documents().await.len(), before + 2);
        assert_eq!(bench.open("next").await.has("key"), Some(&b"2"[..]));
    }
}

/// The request was lost, and before it is sent again another owner's document takes the number.
async fn a_lost_append_is_no_success_when_something_else_stands_there(bench: Bench) {
    let (wire, cx) = bench.wired("old");
    let old = bench.try_open(cx).await.unwrap();
    wire.next("append", Act::Lose);
    let asked = wire.hold("document");
    let number = old.set("key", "lost");
    let waiting = tokio::spawn({
        let journal = old.journal().clone();
        async move { journal.wait(number).await }
    });
    asked.reached().await;
    let new = bench.open("new").await;
    asked.release();
    assert_eq!(waiting.await.unwrap(), Err(Closed::Fenced));
    assert_eq!(new.has("key"), None);
}

/// Takes four documents, of which three fit into a commit.
const HUGE: usize = 3 * MAX_PAYLOAD + MAX_PAYLOAD / 2;

async fn an_entry_larger_than_a_document_is_whole_or_nothing(bench: Bench) {
    let owner = bench.open("owner").await;
    for n in 0..400 {
        owner.set(&format!("message {n}"), noise(200 + n));
    }
    owner.put("huge", noise(HUGE)).await;
    let documents = bench.documents().await;
    let kinds: Vec<_> = documents[1..].iter().map(|document| document.kind).collect();
    assert_eq!(kinds, [[DocumentKind::Part; 3].as_slice(), &[DocumentKind::Last]].concat());

    let next = bench.open("next").await;
    assert_eq!(next.found.len(), 401);
    assert_eq!(next.has("huge"), Some(&*noise(HUGE)));
    assert_eq!(next.has("message 399"), Some(&*noise(599)));
    drop(owner);

    // The next one dies between the two commits that such an entry takes.
    let (wire, cx) = bench.wired("dying");
    let dying = bench.try_open(cx).await.unwrap();
    let (first, second) = (wire.hold("append"), wire.hold("append"));
    first.release();
    dying.set("huge", noise(HUGE + 1));
    let number = dying.set("other", "x");
    assert!(dying.journal().wait(number).now_or_never().is_none());
    second.reached().await;
    assert_eq!(bench.documents().await.last().unwrap().kind, DocumentKind::Part);
    let heir = bench.open("heir").await;
    assert_eq!((heir.has("huge"), heir.has("other")), (Some(&*noise(HUGE)), None));
    second.release();
    assert_eq!(dying.journal().wait(number).await, Err(Closed::Fenced));
    heir.put("other", "y").await;
    assert_eq!(bench.open("last").await.has("other"), Some(&b"y"[..]));
}

async fn of_two_claimers_one_stands_down(bench: Bench) {
    bench.open("former").await.put("key", "1").await;
    let (mut claims, mut holds) = (Vec::new(), Vec::new());
    for name in ["one", "other"] {
        let (wire, cx) = bench.wired(name);
        let taking = wire.hold("append");
        let tasks = bench.tasks.clone();
        claims.push(tokio::spawn(async move { open(cx, &tasks, CancellationToken::new()).await.map(Owner::new) }));
        taking.reached().await;
        holds.push(taking);
    }
    holds.iter().for_each(|taking| taking.release());
    let mut won = Vec::new();
    for claim in claims {
        match claim.await.unwrap() {
            Ok(owner) => won.push(owner),
            Err(OpenError::Taken) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(won.len(), 1);
    won[0].put("key", "2").await;
}

async fn a_takeover_whose_answer_was_lost_is_still_ours(bench: Bench) {
    for act in [Act::LoseAnswer, Act::Lose] {
        let (wire, cx) = bench.wired("owner");
        let before = bench.documents().await.len();
        wire.next("append", act);
        let owner = bench.try_open(cx).await.unwrap();
        assert_eq!(bench.documents().await.len(), before + 1);
        owner.put("key", "1").await;
    }
}

async fn a_late_chunk_of_a_failed_snapshot_harms_no_later_one(bench: Bench) {
    let (wire, cx) = bench.wired("owner");
    let owner = bench.try_open(cx).await.unwrap();
    owner.put("key", "1").await;
    // Given up after its last try.
    let late = crate::journal_wire::Hold::new();
    wire.next("put_chunk", Act::Late(late.clone()));
    (0..3).for_each(|_| wire.next("put_chunk", Act::Lose));
    assert!(owner.journal().keep_state_before_wipe().await.is_err());
    assert_eq!(bench.vault.snapshots(&bench.tenant).await.unwrap(), []);

    owner.put("key", "2").await;
    let good = owner.journal().keep_state_before_wipe().await.unwrap();
    late.release();
    late.landed().await;
    let ids = bench.vault.snapshots(&bench.tenant).await.unwrap();
    assert_eq!(ids.len(), 2, "the late one is there: {ids:?}");
    drop(owner);
    let next = bench.open("next").await;
    assert_eq!(next.has("key"), Some(&b"2"[..]));
    assert_eq!(next.passed_over, None);
    // It goes with the next compaction.
    bench.compact_past(&next, good.seq).await;
    let swept = || async { bench.vault.snapshots(&bench.tenant).await.unwrap().iter().all(|id| id.seq >= good.seq) };
    bench.until("the late chunk is swept", swept).await;
}

async fn an_owner_that_is_fenced_while_it_writes_a_snapshot_deletes_nothing(bench: Bench) {
    let (wire, cx) = bench.wired("old");
    let old = bench.try_open(cx).await.unwrap();
    bench.compact_past(&old, old.epoch.next()).await;
    let writing = wire.hold("put_chunk");
    for n in 0..8 {
        old.put("key", format!("{n}")).await;
    }
    writing.reached().await;
    // One that takes no snapshots itself.
    let new = open(bench.context("new"), &bench.tasks, CancellationToken::new()).await.unwrap();
    let (before, sent) = (bench.dump().await, wire.sent().len());
    writing.release();
    assert_eq!(old.journal().closed().await, Closed::Fenced);
    assert_eq!(wire.sent()[sent..].iter().find(|kind| **kind != "put_chunk"), None);
    let after = bench.dump().await;
    assert_eq!((after.documents, after.manifests), (before.documents, before.manifests));
    drop(new);
}

// --- damage

async fn damage_in_the_journal_is_named_and_nothing_is_written(bench: Bench) {
    {
        let owner = bench.open("owner").await;
        for n in 0..3 {
            owner.put("key", format!("{n}")).await;
        }
        owner.journal().close().await.unwrap();
    }
    // 1 is the takeover.
    let documents = bench.documents().await;
    let does_not_open = |damage: &Damage, seq: u64| matches!(damage, Damage::DoesNotOpen { document: Document::Entry(at), .. } if *at == Seq(seq));
    let mut altered = documents[2].clone();
    let mut payload = altered.payload.to_vec();
    *payload.last_mut().unwrap() ^= 1;
    altered.payload = payload.into();
    bench.replace(altered).await;
    bench.is_damaged("altered", |damage| does_not_open(damage, 3)).await;
    bench.replace(documents[2].clone()).await;

    let swapped = |at: usize, from: usize| JournalDocument { seq: documents[at].seq, ..documents[from].clone() };
    bench.replace(swapped(1, 2)).await;
    bench.replace(swapped(2, 1)).await;
    bench.is_damaged("swapped", |damage| does_not_open(damage, 2)).await;
    bench.replace(documents[1].clone()).await;
    bench.replace(documents[2].clone()).await;

    bench.vault.remove_documents(&bench.tenant, &[Seq(3)]).await.unwrap();
    bench.is_damaged("missing", |damage| *damage == Damage::MissingEntry(Seq(3))).await;
    bench.replace(documents[2].clone()).await;
    bench.vault.remove_documents(&bench.tenant, &[Seq(1)]).await.unwrap();
    bench.is_damaged("the first is missing", |damage| *damage == Damage::MissingEntry(Seq(1))).await;
    bench.replace(documents[0].clone()).await;

    // The last entry, made to look unfinished, would vanish.
    bench.replace(JournalDocument { kind: DocumentKind::Part, ..documents[3].clone() }).await;
    bench.is_damaged("its kind altered", |damage| matches!(damage, Damage::Malformed { .. })).await;
    bench.replace(documents[3].clone()).await;

    let keyless = Context { seal: seal(2, &bench.tenant), ..bench.context("reader") };
    match bench.try_open(keyless).await {
        Err(OpenError::Damaged(Damage::UnknownKey { document: Document::Takeover(Seq(1)), .. })) => {}
        other => panic!("{:?}", other.map(|owner| owner.found)),
    }
    assert_eq!(bench.documents().await, documents, "all is as it was");
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"2"[..]));
}

/// Sealed with the same master key, for the same place.
async fn another_tenants_entry_does_not_open(bench: Bench) {
    bench.open("owner").await.put("key", "mine").await;
    let tenant: TenantId = "tenant2".parse().unwrap();
    let stranger = Context { seal: seal(1, &tenant), tenant: tenant.clone(), ..bench.context("owner") };
    bench.try_open(stranger).await.unwrap().put("key", "theirs").await;
    let foreign = bench.vault.document(&tenant, Seq(2)).await.unwrap().unwrap();
    bench.replace(foreign).await;
    let expected = |damage: &Damage| matches!(damage, Damage::DoesNotOpen { document: Document::Entry(Seq(2)), .. });
    bench.is_damaged("foreign", expected).await;
}

async fn damage_in_a_snapshot_is_named_and_nothing_is_written(bench: Bench) {
    let owner = bench.open("owner").await;
    owner.put("noise", noise(3 * MAX_PAYLOAD)).await;
    bench.compact_past(&owner, Seq(20)).await;
    owner.journal().close().await.unwrap();
    drop(owner);
    // With only one snapshot left there is no way around it.
    let manifests = bench.vault.manifests(&bench.tenant).await.unwrap();
    let (newest, older) = manifests.split_last().unwrap();
    for manifest in older {
        bench.vault.remove_snapshot(&bench.tenant, &manifest.id).await.unwrap();
    }
    let id = newest.id.clone();
    let chunks = bench.vault.chunks(&bench.tenant, &id).await.unwrap();
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    let put =
        async |n: u32, payload: &Bytes| bench.vault.put_chunk(&bench.tenant, &id, n, payload.clone()).await.unwrap();

    let mut altered = chunks[1].1.to_vec();
    altered[100] ^= 1;
    put(1, &altered.into()).await;
    let at = |n: u32| Document::Chunk(id.clone(), n);
    bench
        .is_damaged("altered", |damage| matches!(damage, Damage::DoesNotOpen { document, .. } if *document == at(1)))
        .await;
    put(1, &chunks[2].1).await;
    bench
        .is_damaged("swapped", |damage| matches!(damage, Damage::DoesNotOpen { document, .. } if *document == at(1)))
        .await;

    bench.vault.remove_snapshot(&bench.tenant, &id).await.unwrap();
    bench.vault.put_manifest(&bench.tenant, newest).await.unwrap();
    for (n, payload) in chunks.iter().filter(|(n, _)| *n != 2) {
        put(*n, payload).await;
    }
    bench.is_damaged("a chunk is missing", |damage| *damage == Damage::MissingChunk(at(2))).await;
    put(2, &chunks[2].1).await;

    let mut altered = newest.payload.to_vec();
    altered[50] ^= 1;
    bench.vault.put_manifest(&bench.tenant, &Manifest { id: id.clone(), payload: altered.into() }).await.unwrap();
    let manifest = Document::Manifest(id.clone());
    bench
        .is_damaged(
            "the manifest",
            |damage| matches!(damage, Damage::DoesNotOpen { document, .. } if *document == manifest),
        )
        .await;

    bench.vault.remove_snapshot(&bench.tenant, &id).await.unwrap();
    bench.is_damaged("no manifest at all", |damage| matches!(damage, Damage::MissingEntry(_))).await;
    for (n, payload) in &chunks {
        put(*n, payload).await;
    }
    bench.vault.put_manifest(&bench.tenant, newest).await.unwrap();
    assert_eq!(bench.open("reader").await.has("noise"), Some(&*noise(3 * MAX_PAYLOAD)));
}

/// Nothing is deleted above the previous snapshot, so the newest one may be lost.
async fn a_damaged_newest_snapshot_is_passed_over(bench: Bench) {
    let owner = bench.open("owner").await;
    bench.compact_past(&owner, Seq(12)).await;
    owner.put("key", "last").await;
    owner.journal().close().await.unwrap();
    drop(owner);
    let newest = bench.vault.manifests(&bench.tenant).await.unwrap().pop().unwrap();
    bench.vault.put_chunk(&bench.tenant, &newest.id, 0, Bytes::from_static(b"rubbish")).await.unwrap();
    let next = bench.open("next").await;
    assert_eq!(next.has("key"), Some(&b"last"[..]));
    let passed_over = next.passed_over.expect("told");
    assert!(matches!(passed_over, Damage::DoesNotOpen { document: Document::Chunk(..), .. }), "{passed_over}");
}

async fn a_connected_tenant_without_any_state_is_damaged(bench: Bench) {
    let cx = Context { expect_history: true, ..bench.context("reader") };
    match bench.try_open(cx).await {
        Err(OpenError::Damaged(Damage::NoHistory)) => {}
        other => panic!("{:?}", other.map(|owner| owner.found)),
    }
    assert_eq!(bench.documents().await, []);
}

async fn the_state_before_a_wipe_is_kept_for_a_week(bench: Bench) {
    let owner = bench.open("owner").await;
    owner.put("credentials", "precious").await;
    let kept = owner.journal().keep_state_before_wipe().await.unwrap();
    let wiped = owner.change("credentials", None, None);
    owner.journal().wait(wiped).await.unwrap();
    bench.compact_past(&owner, kept.seq.next().next()).await;
    let manifests = bench.vault.manifests(&bench.tenant).await.unwrap();
    assert_eq!(manifests[0].id, kept);
    assert_eq!(bench.vault.chunks(&bench.tenant, &kept).await.unwrap().len(), 1);
    let next = bench.open("next").await;
    assert_eq!(next.has("credentials"), None, "what is kept is no state to come back to");

    *bench.clock.ahead.lock().unwrap() = Duration::from_secs(8 * 24 * 3600);
    let end = bench.documents().await.last().unwrap().seq;
    bench.compact_past(&next, end.next()).await;
    let gone =
        || async { bench.vault.manifests(&bench.tenant).await.unwrap().iter().all(|manifest| manifest.id != kept) };
    bench.until("it is gone", gone).await;
}

async fn takeovers_are_trimmed_after_weeks_and_a_long_sleeper_asks_first(bench: Bench) {
    let mut epochs = Vec::new();
    let sleeper = bench.open("sleeper").await;
    for _ in 0..5 {
        epochs.push(bench.open("owner").await.epoch);
    }
    *bench.clock.ahead.lock().unwrap() = Duration::from_secs(29 * 24 * 3600);
    let owner = bench.open("owner").await;
    bench.compact_past(&owner, owner.epoch.next()).await;
    let trimmed = || async {
        let takeovers = bench.vault.takeovers(&bench.tenant).await.unwrap();
        takeovers.iter().map(|(seq, _)| *seq).eq([owner.epoch])
    };
    bench.until("only ours is left", trimmed).await;
    // Its next number is free now.
    assert_eq!(bench.vault.document(&bench.tenant, sleeper.epoch.next()).await.unwrap(), None);
    assert_eq!(sleeper.journal().wait(sleeper.set("key", "zombie")).await, Err(Closed::Fenced));
    assert_eq!(bench.vault.document(&bench.tenant, sleeper.epoch.next()).await.unwrap(), None);
}

async fn while_the_vault_is_away_everything_waits_and_then_goes(bench: Bench) {
    let (wire, cx) = bench.wired("owner");
    let owner = bench.try_open(cx).await.unwrap();
    let confirmed_at = owner.journal().confirmed_at();
    wire.down(true);
    let number = owner.set("key", "1");
    assert!(owner.journal().wait(number).now_or_never().is_none());
    bench.until("it is noticed", || async { owner.journal().outage() }).await;
    assert!(matches!(owner.journal().confirm().await, Err(ConfirmError::Vault(_))));
    assert_eq!(owner.journal().durable(), ChangeNo::ZERO);
    wire.down(false);
    owner.journal().wait(number).await.unwrap();
    assert!(!owner.journal().outage() && owner.journal().confirmed_at() >= confirmed_at);
    assert_eq!(bench.open("next").await.has("key"), Some(&b"1"[..]));
}

impl Bench {
    async fn is_damaged(&self, how: &str, expected: impl Fn(&Damage) -> bool) {
        let before = self.dump().await;
        let damage = self.damage().await;
        assert!(expected(&damage), "{how}: {damage}");
        assert_eq!(self.dump().await, before, "{how}: something was written");
    }

    /// Lets background work of all others come to its end.
    async fn all_ended_but(&self, alive: usize) {
        self.until("the others have ended", || async { self.tasks.len() <= alive }).await;
    }

    /// Lets an owner write until nothing but guarded documents and takeovers is left below its entries.
    async fn compact_past_guards(&self, owner: &Owner) {
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

/// A simulated vault has a limit of its own.
async fn in_time(rule: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(180), rule).await.expect("hangs");
}

macro_rules! on_every_home {
    ($($rule:ident)* ; $($of_several_tenants:ident)*) => {
        mod simulated {
            $(#[test]
            fn $rule() {
                super::run(|time| super::$rule(super::Bench::simulated(time)));
            })*
        }

        mod embedded {
            $(#[tokio::test]
            async fn $rule() {
                super::in_time(super::$rule(super::Bench::embedded())).await;
            })*
            $(#[tokio::test]
            async fn $of_several_tenants() {
                super::in_time(super::$of_several_tenants(super::Bench::embedded())).await;
            })*
        }

        mod firestore {
            $(#[tokio::test]
            async fn $rule() {
                if let Some(bench) = super::Bench::firestore().await {
                    super::in_time(super::$rule(bench)).await;
                }
            })*
            $(#[tokio::test]
            async fn $of_several_tenants() {
                if let Some(bench) = super::Bench::firestore().await {
                    super::in_time(super::$of_several_tenants(bench)).await;
                }
            })*
        }
    };
}

on_every_home! {
    what_was_waited_for_is_what_the_next_owner_finds
    an_old_owner_learns_from_the_vault_that_it_is_fenced
    an_old_owner_cannot_append_into_the_past_that_was_compacted
    a_decision_is_not_carried_out_a_second_time_from_the_past
    a_reader_whose_tail_is_compacted_away_starts_over
    a_takeover_that_lands_in_the_past_is_made_again
    a_takeover_outlives_its_own_withdrawal
    a_cut_whose_answer_was_lost_stays_as_it_was
    a_lost_append_is_no_success_when_something_else_stands_there
    an_entry_larger_than_a_document_is_whole_or_nothing
    of_two_claimers_one_stands_down
    a_takeover_whose_answer_was_lost_is_still_ours
    a_late_chunk_of_a_failed_snapshot_harms_no_later_one
    an_owner_that_is_fenced_while_it_writes_a_snapshot_deletes_nothing
    damage_in_the_journal_is_named_and_nothing_is_written
    damage_in_a_snapshot_is_named_and_nothing_is_written
    a_damaged_newest_snapshot_is_passed_over
    a_connected_tenant_without_any_state_is_damaged
    the_state_before_a_wipe_is_kept_for_a_week
    takeovers_are_trimmed_after_weeks_and_a_long_sleeper_asks_first
    while_the_vault_is_away_everything_waits_and_then_goes
    ;
    // The simulated vault has one tenant.
    another_tenants_entry_does_not_open
}

// --- what needs a simulated vault or time

#[test]
fn a_decision_on_a_removed_tenant_closes_the_journal() {
    run(|time| async move {
        let bench = Bench::simulated(time);
        let owner = bench.open("owner").await;
        owner.put("key", "1").await;
        bench.world.as_ref().unwrap().ground().record = None;
        owner.put("key", "2").await;
        let number = owner.change("key", Some("3".into()), connect(true));
        assert_eq!(owner.journal().wait(number).await, Err(Closed::TenantGone));
        assert_eq!(bench.connected().await, None);
        assert_eq!(bench.open("next").await.has("key"), Some(&b"2"[..]));
    });
}

#[test]
fn what_no_one_waits_for_goes_alone_and_an_idle_journal_does_nothing() {
    run(|time| async move {
        let bench = Bench::simulated(time.clone());
        let owner = bench.open("owner").await;
        owner.set("key", "1");
        let before = time.elapsed();
        bench.until("it goes", || async { owner.journal().durable() > ChangeNo::ZERO }).await;
        let lingered = time.elapsed() - before;
        assert!(lingered >= bench.policy.pace.linger && lingered < bench.policy.pace.linger * 2, "{lingered:?}");
        let usage = bench.vault.usage();
        assert_eq!(time.timers(), 1, "only the end of the simulation is waited for");
        time.sleep(Duration::from_secs(24 * 3600)).await;
        assert_eq!(bench.vault.usage(), usage);
        drop(owner);
        bench.tasks.close();
        bench.tasks.wait().await;
    });
}

/// Writes for each message, snapshots and all, when one message comes every so often and each is waited for.
fn writes_a_message(every: Duration) -> f64 {
    run(|time| async move {
        let bench = Bench { policy: Policy::default(), ..Bench::simulated(time.clone()) };
        let owner = bench.open("owner").await;
        let before = bench.vault.usage().writes;
        let messages = 3000;
        let waiting = TaskTracker::new();
        for n in 0..messages {
            // The inbox record, and the ratchet that opened it.
            owner.set(&format!("inbox {n}"), noise(400));
            let number = owner.set(&format!("session {}", n % 50), noise(2000 + n as usize % 7));
            let journal = owner.journal().clone();
            waiting.spawn(async move { journal.wait(number).await.unwrap() });
            time.sleep(every).await;
        }
        waiting.close();
        waiting.wait().await;
        (bench.vault.usage().writes - before) as f64 / f64::from(messages)
    })
}

#[test]
fn a_message_a_second_costs_one_write_and_fifty_cost_a_fifth_each() {
    let slow = writes_a_message(Duration::from_secs(1));
    assert!(slow <= 1.3, "{slow}");
    let fast = writes_a_message(Duration::from_millis(20));
    assert!(fast <= 0.2, "{fast}");
}
