//! The vault: the durable home of tenants. Directory, journals, snapshots, segments, instances; and who may come in ([`access`]).
//!
//! Owns the trait [`Vault`] and its two homes, [`firestore`] and [`embedded`]. It stores opaque bytes under tenants and
//! numbers; it knows nothing of WhatsApp, of sealing, nor of what an entry means. Whoever reads may assume:
//!
//! - [`Vault::append`] is atomic: all of its documents and the decision, or nothing. It never replaces a document, and leaves no gap:
//!   the document before the first one is there at that moment, and is the one that the writer means.
//! - A read that begins after an append was answered sees it (strong reads).
//! - An append that ended in [`VaultError::Unavailable`] may have happened, may still happen later, or never.
//! - Times are kept to the microsecond, as Firestore does.
//!
//! One contract suite (`tests/it/vault/contract.rs`) holds for every home.

pub mod access;
pub mod embedded;
pub mod firestore;
mod limits;
mod metered;
mod today;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

pub use self::{metered::MeteredVault, today::UsageToday};
use crate::{
    seal::Digest,
    tenant::{TenantId, TenantRecord},
};

/// The most bytes that a document's payload may have. Firestore takes 1 MiB less its field names (1,048,487 B a value).
pub const MAX_PAYLOAD: usize = 900 * 1024;

/// The most payload bytes in one [`Vault::append`]. A request of the emulator may have 4 MiB, of Firestore 10 MiB.
pub const MAX_APPEND: usize = 3 * 1024 * 1024;

/// The number of a journal document: 1, 2, 3, … without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number before; `None` before the first one.
    pub const fn previous(self) -> Option<Self> {
        match self.0 {
            0 | 1 => None,
            n => Some(Self(n - 1)),
        }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

/// A process that may own tenants: `instances/{instanceId}`. Made anew at each start, so it names one run of one process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceId(pub Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// A new owner. The epoch is this document's number.
    Takeover,
    /// One of several documents of an entry, not the last.
    Part,
    /// The last document of an entry, or the only one.
    Last,
}

impl DocumentKind {
    /// The word that both homes write.
    fn as_str(self) -> &'static str {
        match self {
            Self::Takeover => "takeover",
            Self::Part => "part",
            Self::Last => "last",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Takeover, Self::Part, Self::Last].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// `tenants/{tenantId}/journal/{seq:020}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalDocument {
    pub seq: Seq,
    pub kind: DocumentKind,
    pub writer: InstanceId,
    pub at: Timestamp,
    /// Sealed; at most [`MAX_PAYLOAD`].
    pub payload: Bytes,
}

impl JournalDocument {
    /// Tells this document from another one with the same number.
    pub fn digest(&self) -> Digest {
        Digest::of([&*self.payload])
    }
}

/// A journal document without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    pub seq: Seq,
    pub writer: InstanceId,
    pub at: Timestamp,
}

/// `tenants/{tenantId}/snapshots/{seq:020}-{attempt}`: the state after entry `seq`. The attempt keeps a late chunk of a
/// failed try apart from its successor's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    pub seq: Seq,
    /// Random: 1 to 64 characters of `A-Za-z0-9_-`.
    pub attempt: Arc<str>,
}

/// A snapshot's manifest, written after its chunks: without it there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub id: SnapshotId,
    pub payload: Bytes,
}

/// The footing of a write to a journal. The commit itself looks it up: where it is gone nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Footing {
    /// Nothing: a journal begins with it.
    Nothing,
    /// The document of this number; with a digest, none but that one ([`JournalDocument::digest`]).
    Document(Seq, Option<Digest>),
    /// The manifest of this snapshot.
    Manifest(SnapshotId),
}

/// Tenant fields that decide something. They change only in the same commit as an entry, so that a fenced process
/// cannot change them. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    pub whatsapp_connected: Option<bool>,
    pub phone_number: Option<Option<String>>,
    pub connected_at: Option<Option<Timestamp>>,
}

/// Tenant fields that only inform. Written alone, coalesced. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TenantInfo {
    pub name: Option<String>,
    pub status: Option<String>,
    pub last_error: Option<Option<String>>,
    pub last_error_at: Option<Option<Timestamp>>,
    pub deleted_at: Option<Option<Timestamp>>,
    pub config: Option<serde_json::Value>,
}

/// `instances/{instanceId}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    /// Where other instances reach it: `letters`, in the vault ([`Vault::letters`]). `None`: nowhere, as in earlier versions.
    pub address: Option<String>,
    /// Where it takes requests that other instances forward, `host:port`. `None`: nowhere.
    pub listens_at: Option<String>,
    /// Which process it is, for those on the same machine.
    pub process: Option<String>,
    pub version: String,
    pub started_at: Timestamp,
    pub heartbeat_at: Timestamp,
    pub draining: bool,
}

/// Why the vault did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// Not reached, too slow, or it lost its answer. A write may have happened.
    #[error("the vault does not answer: {0}")]
    Unavailable(String),
    /// It answered no, and would again: permissions, a limit, a malformed request. A write has not happened.
    #[error("the vault refuses: {0}")]
    Refused(String),
    /// It holds something that was never written there.
    #[error("the vault holds something malformed: {0}")]
    Malformed(String),
}

/// A text in a tenant's record by which it can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordText {
    PhoneNumber,
    Status,
}

/// Why an append did not happen, or may not have.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// One of the documents exists. Nothing was written.
    #[error("the journal has a document of this number")]
    Exists,
    /// The document before the first one, or another [`Footing`], is not there, or is another one than the writer means. Nothing was
    /// written. Where one of the documents exists besides, either may be told.
    #[error("the journal has no document before this one")]
    Gap,
    /// The append carried a [`Decision`] and the tenant has no record any more. Nothing was written.
    #[error("the tenant's record is gone")]
    TenantGone,
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// How often the vault was asked for what; for metrics and the benchmark. One a document, as Firestore bills: a query that
/// finds nothing counts as one read, a write counts when it was carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub reads: u64,
    pub writes: u64,
    pub deletes: u64,
}

/// Counts [`Usage`] from any task.
#[derive(Debug, Default)]
struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    deletes: AtomicU64,
}

impl Counters {
    fn read(&self, documents: usize) {
        self.reads.fetch_add(documents.max(1) as u64, Relaxed);
    }

    fn wrote(&self, documents: usize) {
        self.writes.fetch_add(documents as u64, Relaxed);
    }

    fn deleted(&self, documents: usize) {
        self.deletes.fetch_add(documents as u64, Relaxed);
    }

    fn usage(&self) -> Usage {
        let Self { reads, writes, deletes } = self;
        Usage { reads: reads.load(Relaxed), writes: writes.load(Relaxed), deletes: deletes.load(Relaxed) }
    }
}

/// The durable home of tenants. Every method may be called at any time from any task; none retries by itself for longer
/// than its request time limit: 10 s at Firestore, 30 s in a file.
#[async_trait]
pub trait Vault: fmt::Debug + Send + Sync + 'static {
    /// Asks for something small, to learn that the vault is there and that we may.
    async fn ping(&self) -> Result<(), VaultError>;

    // --- directory

    /// All tenants, by id. A record that does not parse is an error of its own, not of the list.
    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError>;
    /// Those with `whatsappConnected == true`, by id.
    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError>;
    /// Those whose record has a text there that begins so, by id. Costs what it finds. The prefix: 1 to 128 visible ASCII characters or
    /// spaces, and no tilde at its end.
    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError>;
    /// Ids, in order, of all that may have a state: those with a record, and those whose record is gone while a journal or a snapshot
    /// is there.
    async fn remembered(&self) -> Result<Vec<String>, VaultError>;
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, VaultError>;
    /// Makes the record if there is none (not connected), then sets what the notice has.
    async fn notice(&self, tenant: &TenantId, notice: &TenantInfo) -> Result<(), VaultError>;

    // --- journal

    /// Creates the documents, all numbers in a row, if none of them exists and the one before them does, and carries out the decision:
    /// one commit. Together at most [`MAX_APPEND`] of payload, each at most [`MAX_PAYLOAD`]. `after`: the one before must be that one.
    async fn append(
        &self,
        tenant: &TenantId,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError>;
    /// Creates the documents, with whatever numbers in whatever order, if none of them exists and the footing does; puts the manifest;
    /// carries out the decision, and makes the record if there is none and it says anything: one commit. For a journal that starts over
    /// where the vault has lost what stood before; with a manifest and no document, for a snapshot that takes the place of its footing.
    /// Same limits as [`Vault::append`].
    async fn start_over(
        &self,
        tenant: &TenantId,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError>;
    async fn document(&self, tenant: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError>;
    /// All documents from `first` on, in order. Seeks: what was deleted below costs nothing.
    async fn documents(&self, tenant: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError>;
    /// The takeovers among all documents, in order, without their payloads.
    async fn takeovers(&self, tenant: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError>;
    /// The first documents from `first` on, in order, at most `limit`, without their payloads.
    async fn headings(&self, tenant: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError>;
    /// How many documents there are from `first` to `last`, both included. Costs a read for each thousand.
    async fn count_documents(&self, tenant: &TenantId, first: Seq, last: Seq) -> Result<u64, VaultError> {
        let found = self.headings(tenant, first, usize::MAX).await?;
        Ok(found.iter().filter(|found| found.seq <= last).count() as u64)
    }
    /// Numbers (not payloads) of the documents below `end`, in order, takeovers left out.
    async fn entries_below(&self, tenant: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError>;
    /// Takes the payload out of a document and leaves it in its place: number, kind, writer and time stay. False: it is not there, or is
    /// another one.
    async fn empty_document(&self, tenant: &TenantId, document: &JournalDocument) -> Result<bool, VaultError>;
    /// Deletes documents. Those that do not exist are no error.
    async fn remove_documents(&self, tenant: &TenantId, seqs: &[Seq]) -> Result<(), VaultError>;

    // --- snapshots

    /// All manifests, in order of their ids.
    async fn manifests(&self, tenant: &TenantId) -> Result<Vec<Manifest>, VaultError>;
    /// Writes chunk `n` (from 0); at most [`MAX_PAYLOAD`].
    async fn put_chunk(&self, tenant: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError>;
    /// If the journal has the document of the snapshot's number, and `entry`, if given, is its digest. Otherwise it would stand on
    /// nothing: [`AppendError::Gap`].
    async fn put_manifest(
        &self,
        tenant: &TenantId,
        manifest: &Manifest,
        entry: Option<Digest>,
    ) -> Result<(), AppendError>;
    /// The chunks that exist, in order, with their numbers.
    async fn chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError>;
    /// How many chunks of a snapshot exist. Costs a read for each thousand.
    async fn count_chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<u64, VaultError> {
        Ok(self.chunks(tenant, id).await?.len() as u64)
    }
    /// Ids of all that has a manifest or a chunk, in order: also what a failed try left behind.
    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<SnapshotId>, VaultError>;
    /// Deletes the manifest first, then the chunks.
    async fn remove_snapshot(&self, tenant: &TenantId, id: &SnapshotId) -> Result<(), VaultError>;

    // --- segments

    /// Writes a closed piece of the event history; at most [`MAX_PAYLOAD`]. Its name: 1 to 128 characters of `A-Za-z0-9_-`.
    async fn put_segment(&self, tenant: &TenantId, name: &str, payload: Bytes) -> Result<(), VaultError>;
    async fn segment(&self, tenant: &TenantId, name: &str) -> Result<Option<Bytes>, VaultError>;
    /// The names of all, in order.
    async fn segments(&self, tenant: &TenantId) -> Result<Vec<String>, VaultError>;
    /// Deletes segments. Those that do not exist are no error.
    async fn remove_segments(&self, tenant: &TenantId, names: &[String]) -> Result<(), VaultError>;

    // --- instances

    async fn put_instance(&self, instance: &Instance) -> Result<(), VaultError>;
    /// A field that another hand has spoilt has its default: one record must not hide the others.
    async fn instances(&self) -> Result<Vec<Instance>, VaultError>;
    /// With the letters to it.
    async fn remove_instance(&self, id: &InstanceId) -> Result<(), VaultError>;
    /// Puts the newest letter of one process to another: there is one for each pair and direction, and only its sender writes it, so that
    /// no two writers meet. Whether `to` has a record makes no difference. At most [`MAX_PAYLOAD`].
    async fn put_letter(&self, from: &InstanceId, to: &InstanceId, body: Bytes) -> Result<(), VaultError>;
    /// All letters to a process, by their senders' ids. One that does not parse is left out.
    async fn letters(&self, to: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError>;
    /// One that does not exist is no error.
    async fn remove_letter(&self, from: &InstanceId, to: &InstanceId) -> Result<(), VaultError>;

    // --- the vault itself

    /// The sealed value that tells whether a master key is this vault's.
    async fn check_value(&self) -> Result<Option<Bytes>, VaultError>;
    /// Sets it if there is none; false when there was one.
    async fn create_check_value(&self, value: Bytes) -> Result<bool, VaultError>;
    /// Puts another in its place if it is `old`; false when it is not, or there is none.
    async fn replace_check_value(&self, old: Bytes, new: Bytes) -> Result<bool, VaultError>;

    // --- orders, for others to read

    /// Whether others read documents here.
    fn has_order_documents(&self) -> bool {
        false
    }
    /// Writes `tenants/{tenant}/orders/{id}`: an object, in plain, with the number of the order's change. A document that shows a later
    /// change of the same order, or an order that was placed later under the same id, stays.
    async fn put_order_document(
        &self,
        _tenant: &TenantId,
        _id: &str,
        _revision: u64,
        _order: &Value,
    ) -> Result<(), VaultError> {
        Ok(())
    }

    fn usage(&self) -> Usage;

    /// Counts how often the vault found that something in it may be lost, whatever it is: owners then write their tenants anew. A home that
    /// never finds it says nothing.
    fn doubts(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// How often, since it was opened, all of the vault was gone and was written anew from what this process had open: nothing is lost
    /// then, so no owner doubts it.
    fn renewals(&self) -> u64 {
        0
    }

    /// An owner has found that something of its tenant is lost: the others of this process look sooner than they would have.
    fn suspect(&self) {}
    /// Counts how often an owner found that. A vault that nobody shares says nothing.
    fn suspicions(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}
