//! One tenant's writer: cuts, sequence, takeover, fencing, snapshots; hydration.
//!
//! Owns what lies in the vault under a tenant's `journal`, `snapshots` and `segments`. Promises:
//!
//! - [`Journal::wait`] returns `Ok` only when the change, and all before it, is in the vault and in what every later owner
//!   reads.
//! - Of two processes that open the same tenant, the earlier one's next append fails, and it writes nothing more: no
//!   entry, no decision. It may learn that late; it cannot do harm by it.
//! - A state that does not verify is never written over, and never taken for an empty one.
//! - A vault that loses what was in it is noticed at the next append, confirmation or [`audit`]; until the state is in it again, from the
//!   hands of the running owner, nothing is said to be durable ([`rebuild`]).
//!
//! `ARCHITECTURE.md` says of each document who reads it, when it is verified, and what happens when it is wrong.
//!
//! It never looks into a record and knows nothing of WhatsApp.
//!
//! A *cut* is all changes since the last one. It becomes an entry: one to k documents, sealed once and then sent as they
//! are until their outcome is known ([`flight`]). Entries and takeovers are chained by their digests ([`chain`]). A process
//! becomes the owner by a takeover ([`claim`]) after it has read everything ([`hydrate`]).

mod archive;
mod audit;
mod book;
mod chain;
mod claim;
mod damage;
mod flight;
mod format;
mod hydrate;
mod owner;
mod pace;
mod rebuild;
mod record;
mod reseal;
mod snapshot;
mod writer;

use std::{
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use rand::rngs::SmallRng;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    audit::Audits,
    book::{JournalShared, SnapshotPurpose},
    chain::{Scribe, Tail},
    pace::{VAULT_BACKOFF, WriteBudget},
    writer::Writer,
};
#[cfg(feature = "loopback")]
pub(crate) fn read_anything(bytes: &[u8]) {
    format::read_anything(bytes);
}

pub use self::{
    archive::{Archive, ArchiveError, Piece},
    damage::{Damage, Document, Loss},
    owner::{LastWriting, has_successor, last_writer, last_writing},
    pace::JournalPace,
    record::{Change, ChangeNo, Record, Space},
    reseal::{HeldState, OlderSeals},
    snapshot::{SnapshotSource, SourceError},
};
pub use crate::backoff::Backoff;
use crate::{
    clock::{Clock, Instant},
    seal::TenantSeal,
    tenant::TenantId,
    vault::{Decision, InstanceId, MAX_APPEND, MAX_PAYLOAD, Seq, SnapshotId, Vault, VaultError},
};

/// Says why nothing could be done with a record: its space, key and value.
pub type RecordCheck = fn(Space, &[u8], &[u8]) -> Result<(), String>;

/// What a journal works with.
#[derive(Debug, Clone)]
pub struct Context {
    pub vault: Arc<dyn Vault>,
    pub seal: TenantSeal,
    pub tenant: TenantId,
    pub writer: InstanceId,
    pub clock: Arc<dyn Clock>,
    pub policy: Policy,
    /// For jitter and the names of snapshots. Seed it from the system.
    pub rng: SmallRng,
    /// The tenant is connected, so there must be a state: none at all is damage.
    pub expect_history: bool,
    /// Says of a record why its owner could do nothing with it. The journal itself never looks into one.
    pub check: Option<RecordCheck>,
}

/// How a journal behaves where the rules leave a choice.
#[derive(Debug, Clone)]
pub struct Policy {
    pub pace: JournalPace,
    pub backoff: Backoff,
    /// A snapshot is due after so many entries, …
    pub snapshot_entries: u64,
    /// … or when the entries have more bytes than this and than half the last snapshot.
    pub snapshot_bytes: u64,
    /// After a failure the next snapshot waits so long.
    pub snapshot_retry: Duration,
    /// How long the writer waits for a source to begin its transaction. Nothing is appended meanwhile.
    pub begin_limit: Duration,
    /// How long takeovers and decisions outlive compaction. No process may sleep longer and then go on in the middle of
    /// a request.
    pub takeover_keep: Duration,
    /// How long the state before a wipe is kept.
    pub wiped_keep: Duration,
    /// How often the owner looks whether the vault still has everything; `None`: never.
    pub audit: Option<Duration>,
    /// Tenants whose whole state is in memory at the same time because the vault has lost it: of all journals that share this policy.
    pub rebuilds: Arc<Semaphore>,
    /// The most documents in one request to delete.
    pub delete_batch: usize,
    /// At most [`MAX_PAYLOAD`].
    pub max_payload: usize,
    /// At most [`MAX_APPEND`].
    pub max_append: usize,
}

impl Default for Policy {
    fn default() -> Self {
        let week = Duration::from_secs(7 * 24 * 3600);
        Self {
            pace: JournalPace::default(),
            backoff: VAULT_BACKOFF,
            snapshot_entries: 1000,
            snapshot_bytes: 1024 * 1024,
            snapshot_retry: Duration::from_secs(60),
            begin_limit: Duration::from_secs(10),
            takeover_keep: 4 * week,
            wiped_keep: week,
            audit: None,
            rebuilds: Arc::new(Semaphore::new(4)),
            delete_batch: 200,
            max_payload: MAX_PAYLOAD,
            max_append: MAX_APPEND,
        }
    }
}

impl Policy {
    fn is_due(&self, tail: &Tail, snapshot_bytes: u64) -> bool {
        tail.entries >= self.snapshot_entries || tail.bytes > self.snapshot_bytes.max(snapshot_bytes / 2)
    }
}

/// Why a tenant could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Try again. Nothing was begun, or nothing that a later try would not find.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Another process has taken the tenant over at the same time: stand down.
    #[error("another process has just taken the tenant over")]
    Taken,
    /// The state cannot be read. Nothing was written.
    #[error(transparent)]
    Damaged(Damage),
}

impl OpenError {
    /// Nothing is wrong with the tenant's state: this process has not got its key.
    pub fn lacks_key(&self) -> bool {
        matches!(self, Self::Damaged(Damage::UnknownKey { .. }))
    }
}

/// A tenant that is ours.
#[derive(Debug)]
pub struct Opened {
    /// The whole state.
    pub records: Vec<Record>,
    pub journal: Journal,
    /// The number of our takeover.
    pub epoch: Seq,
    /// There was no history at all.
    pub first: bool,
    /// The newest snapshot is damaged, and the state was put together without it. For the operator.
    pub passed_over: Option<Damage>,
}

/// Reads a tenant's whole state, takes the tenant over, and starts its writer as one of `tasks`.
///
/// `stop` ends the writer at once, without flushing: see [`Journal::close`] for the other end. Cancel-safe: a takeover that
/// stays behind is a later reader's ordinary history.
pub async fn open(cx: Context, tasks: &TaskTracker, stop: CancellationToken) -> Result<Opened, OpenError> {
    open_prepared(cx, None, tasks, stop).await
}

/// A tenant's state, read while another process owns it: what is left to read when it is taken over is short.
#[derive(Debug)]
pub struct Prepared {
    hydrated: hydrate::Hydrated,
    doubts: watch::Receiver<u64>,
    /// The takeover that ours must follow, where it may not follow another.
    predecessor: Option<Seq>,
}

impl Prepared {
    /// It is taken over only if nobody has done so since it was read: else [`OpenError::Taken`], and its owner goes on.
    pub fn unless_taken(self) -> Self {
        let predecessor = Some(self.hydrated.follower.head.epoch);
        Self { predecessor, ..self }
    }
}

/// Reads a tenant's whole state for [`open_prepared`]. Writes nothing.
pub async fn prepare(cx: &Context) -> Result<Prepared, OpenError> {
    let doubts = cx.vault.doubts();
    Ok(Prepared { hydrated: hydrate::hydrate(cx).await?, doubts, predecessor: None })
}

/// The same as [`open`], on a reading from before.
pub async fn open_prepared(
    mut cx: Context,
    prepared: Option<Prepared>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<Opened, OpenError> {
    let scribe = Scribe { seal: cx.seal.clone(), writer: cx.writer.clone(), max_payload: cx.policy.max_payload };
    let predecessor = prepared.as_ref().and_then(|prepared| prepared.predecessor);
    let (prepared, earlier) = prepared.map(|Prepared { hydrated, doubts, .. }| (hydrated, doubts)).unzip();
    // From before the reading: what is lost afterwards was read.
    let doubts = earlier.unwrap_or_else(|| cx.vault.doubts());
    let suspicions = cx.vault.suspicions();
    let claim::Claimed { hydrated, confirmed_at, taken_at } =
        claim::claim(&mut cx, &scribe, prepared, predecessor).await?;
    let follower = hydrated.follower;
    if let Some(damage) = &hydrated.passed_over {
        tracing::warn!(
            event = "vault_damage_passed",
            tenant = %cx.tenant,
            %damage,
            "damage in the vault was passed over"
        );
    }
    let archive = Archive::of(&cx);
    let shared = Arc::new(JournalShared::new(confirmed_at, follower.head.last));
    let now = cx.clock.instant();
    let epoch = follower.head.epoch;
    let audits = Audits::new(cx.policy.audit, now, &mut cx.rng);
    let writer = Writer {
        budget: WriteBudget::new(cx.policy.pace, now),
        cx,
        scribe,
        shared: shared.clone(),
        tasks: tasks.clone(),
        head: follower.head,
        guards: follower.guards,
        tail: follower.tail,
        good: hydrated.base.as_ref().map(|base| base.id.clone()),
        snapshot_bytes: hydrated.base.map_or(0, |base| base.bytes),
        first: epoch,
        taken_at,
        written_at: taken_at,
        decided: Decision::default(),
        used: follower.head.last,
        strays: Vec::new(),
        loss: None,
        doubts,
        suspicions,
        audits,
        pending_since: None,
        snapshot: None,
        no_snapshot_before: now,
    };
    tasks.spawn(Box::new(writer).run(stop));
    let record = |((space, key), value)| Record { space, key, value };
    Ok(Opened {
        records: follower.state.into_iter().map(record).collect(),
        journal: Journal(Arc::new(JournalHandle { shared, archive, epoch, passed_over: hydrated.passed_over.clone() })),
        epoch,
        first: hydrated.empty,
        passed_over: hydrated.passed_over,
    })
}

/// Reads a tenant's whole state without taking it over: nothing when there is none. Its owner may be writing on.
pub async fn look(cx: &Context) -> Result<Vec<Record>, OpenError> {
    let hydrated = hydrate::hydrate(cx).await?;
    let record = |((space, key), value)| Record { space, key, value };
    Ok(hydrated.follower.state.into_iter().map(record).collect())
}

/// Why a journal takes nothing more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalClosedError {
    /// Another process owns the tenant. Stop at once; leave its state untouched.
    #[error("another process has taken the tenant over")]
    Fenced,
    /// The vault answered no, and would again.
    #[error("the vault does not take the journal: {0}")]
    Refused(String),
    /// The vault has lost something, and so has the working copy: what the vault still has is all that there is.
    #[error("the vault has lost {0}, and the working copy has failed: nobody has it any more")]
    StateLost(Loss),
    /// By [`Journal::close`], by its cancellation token, or because the last handle is gone.
    #[error("stopped")]
    Stopped,
}

/// Why an ownership could not be confirmed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfirmError {
    #[error(transparent)]
    Closed(JournalClosedError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Why a snapshot was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Closed(JournalClosedError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// It cannot tell its state, or will not: its copy is damaged. Nothing was written.
    #[error("the store: {0}")]
    Source(String),
    /// The vault gives back something else than was written. The snapshot before it stays.
    #[error("it is not in the vault as it was written: {0}")]
    Unreadable(Damage),
}

impl From<ConfirmError> for SnapshotError {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::Closed(closed) => Self::Closed(closed),
            ConfirmError::Vault(error) => Self::Vault(error),
        }
    }
}

/// A tenant's journal, open for writing. Cheap to clone. When the last one is dropped the writer stops, without flushing.
#[derive(Debug, Clone)]
pub struct Journal(Arc<JournalHandle>);

#[derive(Debug)]
struct JournalHandle {
    shared: Arc<JournalShared>,
    archive: Archive,
    epoch: Seq,
    passed_over: Option<Damage>,
}

impl Drop for JournalHandle {
    fn drop(&mut self) {
        self.shared.book().abandoned = true;
        self.shared.wake.notify_one();
    }
}

impl Journal {
    /// Notes changes, which become durable together. Never blocks; the caller holds the lock under which it made them. Bounded by
    /// the size of the state: a later change of a record replaces an earlier one that is not cut yet.
    ///
    /// The decision is carried out in the same commit. After the end of the journal it only counts.
    pub fn record(&self, changes: Vec<Change>, decision: Option<Decision>) -> ChangeNo {
        self.shared().record(changes, decision)
    }

    /// Returns when everything up to the change is in the vault. Cancel-safe; a cut goes soon once someone waits for it,
    /// and stays asked for when the wait is dropped.
    pub async fn wait(&self, number: ChangeNo) -> Result<(), JournalClosedError> {
        self.shared().wait(number).await
    }

    /// The highest change known to be durable, with all before it.
    pub fn durable(&self) -> ChangeNo {
        self.shared().progress.borrow().durable
    }

    /// The number of the takeover that this journal began with.
    pub fn epoch(&self) -> Seq {
        self.0.epoch
    }

    /// The last document that is known to be in the vault.
    pub fn head(&self) -> Seq {
        Seq(self.shared().head.load(Relaxed))
    }

    /// See [`Opened::passed_over`].
    pub fn passed_over(&self) -> Option<&Damage> {
        self.0.passed_over.as_ref()
    }

    /// The last change recorded.
    pub fn recorded(&self) -> ChangeNo {
        self.shared().book().last
    }

    /// The number of recorded changes that are not known to be durable.
    pub fn backlog(&self) -> u64 {
        self.recorded().since(self.durable())
    }

    /// Asks the vault, now, whether this process still owns the tenant. While the vault does not answer an error comes within
    /// its time limit.
    pub async fn confirm(&self) -> Result<(), ConfirmError> {
        self.shared().confirm().await
    }

    /// When the last request was sent whose answer confirmed that the tenant is ours.
    pub fn confirmed_at(&self) -> Instant {
        self.shared().book().confirmed_at
    }

    /// The last attempt to reach the vault had no answer. Stays so until the next one has: [`Self::confirm`] is one.
    pub fn outage(&self) -> bool {
        self.shared().book().outage
    }

    /// Tells the tenant's record, as far as its state knows: should the vault lose the record, it is written with the state.
    pub fn know_record(&self, record: Decision) {
        self.shared().book().record = record;
    }

    /// The vault's loss. While there is one nothing is said to be durable, and the state that is in hand is
    /// being written anew; `None` when it is there again.
    pub fn loss(&self) -> watch::Receiver<Option<Loss>> {
        self.shared().loss.subscribe()
    }

    /// Counts the vault's losses.
    pub fn losses(&self) -> u64 {
        self.shared().losses.load(Relaxed)
    }

    /// Counts the snapshots that the source has refused: each is a working copy that is damaged, or a disk that fails.
    pub fn refused_snapshots(&self) -> u64 {
        self.shared().refused_snapshots.load(Relaxed)
    }

    /// From now on snapshots are taken, from this source, for as long as it lives.
    pub fn snapshots_from(&self, source: Weak<dyn SnapshotSource>) {
        self.shared().book().source = Some(source);
        self.shared().wake.notify_one();
    }

    /// Writes a snapshot of the state as it is now, to be kept for a week: call it before recording a wipe.
    pub async fn keep_state_before_wipe(&self) -> Result<SnapshotId, SnapshotError> {
        self.shared().keep(SnapshotPurpose::BeforeWipe).await
    }

    /// Writes the state anew, sealed with the first key, until the vault has nothing of before that another key opens. A state that is
    /// kept since a wipe is sealed anew as it is; what only keeps its number is emptied. Done again it does no harm; broken off it leaves
    /// more than is needed.
    pub async fn reseal(&self) -> Result<(), SnapshotError> {
        // A snapshot leaves the one before it where it is: so the second deletes what the first has replaced.
        for _ in 0..2 {
            self.shared().keep(SnapshotPurpose::Reseal).await?;
        }
        Ok(())
    }

    /// Flushes everything that is recorded and stops the writer. While the vault does not answer it waits: bound it.
    /// `Ok` when everything is in the vault.
    pub async fn close(&self) -> Result<(), JournalClosedError> {
        let last = {
            let mut book = self.shared().book();
            book.closing = true;
            book.last
        };
        self.shared().wake.notify_one();
        self.closed().await;
        self.wait(last).await
    }

    /// Returns when the journal takes nothing more, with the reason.
    pub fn closed(&self) -> impl Future<Output = JournalClosedError> + Send + use<> {
        let shared = self.shared().clone();
        async move { shared.closed().await }
    }

    /// What left the state.
    pub fn archive(&self) -> &Archive {
        &self.0.archive
    }

    fn shared(&self) -> &Arc<JournalShared> {
        &self.0.shared
    }
}
