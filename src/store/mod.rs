//! The tenant's working copy: one SQLite file, every change numbered.
//!
//! Owns `session.db` in the tenant's folder, made anew at every start from hydrated records, and the table of what is kept
//! where ([`space`]). Implements whatsapp-rust's `Backend` as thin typed wrappers over get, put, delete and scan.
//!
//! Promises:
//!
//! - A write that returned is read by every later read.
//! - A batch is in the working copy whole or not at all. What did not get there was not recorded in the journal either.
//! - Each change gets its number in the same turn of the tenant's thread that wrote it, so numbers have the order of the
//!   writes, and what the vault has is always the state after one of them.
//! - What is kept of it in memory ([`lookups`]) is forgotten before the write that changes it returns.
//! - What must be durable before the library goes on is durable when the call returns: see [`gates`] and [`device`].
//!
//! **The copy is trusted no further than it is checked.** Only the tenant's thread of this process reads it. Each page is
//! compared with its digest in memory whenever it is read ([`pages`]), also by a file that was closed and opened again; each
//! record with the digest in its row; and what a snapshot has read with the digest of the whole set ([`digest`]), before it
//! is sealed. Whatever is not as it was written, or cannot be read or written, ends the copy for good ([`failure`]): the
//! session cuts the line to WhatsApp before anybody has an answer, the library gets none, others get
//! [`StoreError::CopyFailed`]. Nothing of such a copy reaches the vault; what the journal recorded before is good. The fleet
//! hydrates the tenant anew.
//!
//! Never talks to the vault; never decides when to wait for more than the calls above need; never touches another
//! tenant's folder.

mod account;
mod app_sync;
mod arrivals;
mod batch;
mod copy;
mod database;
mod device;
mod digest;
mod error;
mod exported;
mod failure;
mod gates;
pub mod key;
mod lookups;
mod messages;
mod owner_settings;
mod pages;
mod pool;
mod protocol;
pub mod records;
mod rejection;
mod signal;
mod signal_queue;
pub mod space;
mod turn;
mod vfs;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::store::error::StoreError as LibraryError;

pub use self::{
    account::{
        ACCOUNT_CHANGE, IMPORT_RECEIPT, IMPORTED_NAME, OwnAccount, PAIRING, RESTORED, STOPPED, account_of, was_disowned,
    },
    arrivals::Arrivals,
    batch::Batch,
    device::{StoreCallbacks, is_paired},
    error::StoreError,
    exported::Exported,
    failure::{CopyFailure, CopyFailureKind},
    messages::{Filed, InboundPlace},
    owner_settings::{COUNTRY, WEBHOOKS},
    pool::{Pool, PoolOptions},
    rejection::{REJECTED, Rejection},
};
use self::{
    copy::{CopyState, Snapshots, TurnWrites, WorkingCopy, remove},
    device::Wiped,
    digest::{DigestKey, SetDigest},
    gates::Gates,
    key::Key,
    lookups::Lookups,
    pages::Pages,
    space::Space,
    turn::{StoreTurn, parse},
};
use crate::{
    clock::{Clock, SystemClock},
    journal::{ChangeNo, Journal, JournalClosedError, Record, SnapshotSource},
    sync::lock,
    vault::Decision,
};

/// How a store is run.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub clock: Arc<dyn Clock>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { clock: SystemClock::shared() }
    }
}

/// One tenant's state.
pub struct Store {
    copy: Arc<WorkingCopy>,
    /// The journal knows it weakly.
    _snapshots: Arc<dyn SnapshotSource>,
}

impl Store {
    /// Makes the tenant's working copy from what was hydrated. What was in `dir` is deleted first.
    ///
    /// Records of spaces that are local only are left out: no vault should have them, and the library must not meet them
    /// after a restore. A device that does not parse is an error here, before anything could overwrite it.
    #[expect(clippy::disallowed_methods, reason = "a key of its pages' digests is made here")]
    pub async fn create(
        dir: &Path,
        records: Vec<Record>,
        journal: Journal,
        pool: &Pool,
        options: StoreOptions,
    ) -> Result<Arc<Self>, StoreError> {
        let durable = journal.durable();
        let device = records.iter().find(|record| record.space == space::DEVICE);
        let device = device.map(|record| records::device::decode(&record.value)).transpose()?;
        let paired = device.as_ref().and_then(OwnAccount::of).map(|paired| (paired, durable));

        let copy = Arc::new(WorkingCopy {
            dir: dir.to_owned(),
            file: dir.join("session.db"),
            pages: Pages::new(rand::random()),
            digests: DigestKey::random(),
            lane: pool.lane(),
            journal,
            clock: options.clock,
            state: Mutex::new(CopyState {
                closed: false,
                set: SetDigest::default(),
                gates: Gates::default(),
                wiped: None,
            }),
            paired: watch::Sender::new(paired),
            lookups: Lookups::default(),
            hooks: Mutex::default(),
            failure: watch::Sender::new(None),
            released: CancellationToken::new(),
            signal_writes: AtomicU64::new(0),
            arrivals: Arrivals::default(),
            signal_queue: signal_queue::SignalQueue::default(),
            empty_collections: app_sync::EmptyCollections::default(),
            #[cfg(feature = "loopback")]
            gates_off: std::sync::atomic::AtomicBool::new(false),
        });
        copy.on_thread(move |copy, files| copy.build(files, records)).await?;
        let snapshots: Arc<dyn SnapshotSource> = Arc::new(Snapshots(Arc::downgrade(&copy)));
        copy.journal.snapshots_from(Arc::downgrade(&snapshots));
        Ok(Arc::new(Self { copy, _snapshots: snapshots }))
    }

    /// Writes a batch. The number is what [`Self::wait`] takes; of a batch that changes nothing in the journal it is that of
    /// the last change before.
    pub async fn write(&self, batch: Batch) -> Result<ChangeNo, StoreError> {
        let ((), written) = self
            .turn(move |turn| {
                for change in batch.changes {
                    match change.value {
                        Some(value) => turn.put(change.space, change.key, value)?,
                        None => turn.delete(change.space, change.key).map(drop)?,
                    }
                }
                turn.decision = batch.decision;
                Ok(())
            })
            .await?;
        Ok(written.change)
    }

    pub async fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let key = Key::from(key);
        self.read(move |turn| turn.get(space, &key)).await
    }

    /// Those of these records that are there, in the order of the keys.
    pub async fn get_all(&self, space: Space, keys: Vec<Key>) -> Result<Vec<Bytes>, StoreError> {
        self.read(move |turn| keys.iter().filter_map(|key| turn.get(space, key).transpose()).collect()).await
    }

    /// At most `limit` records in the order of their keys, those after `after`.
    pub async fn scan(
        &self,
        space: Space,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let after = after.map(Key::from);
        self.read(move |turn| turn.database.scan(space, after.as_deref(), limit)).await
    }

    /// As [`Self::scan`], and at most `bytes` of values beside the first.
    pub async fn page(
        &self,
        space: Space,
        after: Option<&[u8]>,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let after = after.map(Key::from);
        self.read(move |turn| turn.database.page(space, after.as_deref(), limit, bytes)).await
    }

    /// As [`Self::scan_back`], and at most `bytes` of values beside the first.
    pub async fn page_back(
        &self,
        space: Space,
        before: &[u8],
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let before = Key::from(before);
        self.read(move |turn| turn.database.page_back(space, &before, limit, bytes)).await
    }

    /// At most `limit` records in the reverse order of their keys, those before `before`.
    pub async fn scan_back(
        &self,
        space: Space,
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let before = before.map(Key::from);
        self.read(move |turn| turn.database.scan_back(space, before.as_deref(), limit)).await
    }

    /// The keys of all records that begin with `prefix`, in order: for whoever does not need the values, which may be large.
    pub async fn keys(&self, space: Space, prefix: &[u8]) -> Result<Vec<Key>, StoreError> {
        let prefix = Key::from(prefix);
        self.read(move |turn| turn.database.keys(space, &prefix)).await
    }

    /// At most `limit` records whose keys begin with `prefix`, in order.
    pub async fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let prefix = Key::from(prefix);
        self.read(move |turn| turn.scan_prefix(space, &prefix, limit)).await
    }

    pub fn journal(&self) -> &Journal {
        &self.copy.journal
    }

    /// Returns when the vault has everything up to this change.
    pub async fn wait(&self, change: ChangeNo) -> Result<(), JournalClosedError> {
        self.copy.wait(change).await
    }

    /// Whether the vault has everything up to this change.
    pub fn is_durable(&self, change: ChangeNo) -> bool {
        self.copy.gates_are_off() || change <= self.copy.journal.durable()
    }

    /// How many batches of sessions and sender keys the library has written: tells whether a flush had anything to write.
    pub fn signal_writes(&self) -> u64 {
        self.copy.signal_writes.load(Ordering::Acquire)
    }

    /// Attaches the session's callbacks, see [`StoreCallbacks`]. Held weakly: the session owns the store.
    pub fn attach(&self, hooks: &Arc<dyn StoreCallbacks>) {
        lock(&self.copy.hooks).to = Some(Arc::downgrade(hooks));
        self.copy.tell_failure();
    }

    /// Why the working copy is not used any more; none while it is good.
    pub fn failure(&self) -> Option<CopyFailure> {
        self.copy.failure.borrow().clone()
    }

    /// Returns when the working copy has failed. By then [`StoreCallbacks::copy_failed`] was called. Close the session, which
    /// flushes what the journal has, and open it anew.
    pub fn failed(&self) -> impl Future<Output = CopyFailure> + Send + use<> {
        let mut failure = self.copy.failure.subscribe();
        async move {
            match failure.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
                Ok(Some(failure)) => failure,
                // The store is gone, and was good to the end.
                _ => std::future::pending().await,
            }
        }
    }

    /// Deletes all that belongs to the pairing that ended ([`space::TABLE`]), in one batch. Inbox, outbox, events,
    /// settings and pending messages stay.
    ///
    /// The library's client must be gone before: it keeps the credentials in memory. Should a late save of its device
    /// arrive all the same, it is ignored.
    ///
    /// `rejected`: WhatsApp logged the tenant out, which stays marked ([`Rejection`]); else its owner wants it.
    pub async fn wipe_credentials(&self, decision: Decision, rejected: bool) -> Result<ChangeNo, StoreError> {
        self.copy.signal_queue.clear();
        let rejection = rejected.then(|| Rejection { at: self.copy.clock.now() });
        let ((), written) = self
            .turn(move |turn| {
                if let Some(account) = turn.own_account()? {
                    turn.remember_account(&account)?;
                }
                if let Some(device) = turn.device()? {
                    turn.wiped = Some(Wiped::of(&device));
                }
                for space in space::credentials() {
                    for key in turn.database.keys(space, &[])? {
                        turn.delete(space, key)?;
                    }
                }
                match rejection {
                    Some(rejection) => turn.mark_rejected(rejection)?,
                    None => turn.forget_rejection()?,
                }
                turn.paired = Some(None);
                turn.decision = Some(decision);
                Ok(())
            })
            .await?;
        Ok(written.change)
    }

    /// Closes the file and removes the folder: a fenced or stopped owner leaves nothing. Every later call fails.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.copy
            .on_thread(|copy, files| {
                lock(&copy.state).closed = true;
                copy.lookups.close();
                copy.released.cancel();
                files.close(copy.lane.id());
                remove(&copy.dir)
            })
            .await
    }

    /// Nothing waits for the vault any more and a lost message is taken for a duplicate: the negative control of the
    /// tests that kill.
    #[cfg(feature = "loopback")]
    pub fn gates_off(&self) {
        self.copy.gates_off.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Ends the library's waiting calls with an error. Only when the line to WhatsApp is cut for good: the library
    /// could refuse messages there.
    pub fn release_library(&self) {
        self.copy.released.cancel();
    }

    /// A connection begins: whatever the last one left will come again, and the ratchet steps of that are dropped.
    pub fn begin_connection(&self) {
        self.copy.signal_queue.clear();
        self.copy.arrivals.begin();
    }

    /// The messages that are on their way through the library.
    pub fn arrivals(&self) -> &Arrivals {
        &self.copy.arrivals
    }

    /// Answers the library: what is true, or nothing. An error of a read while it decrypts would make it refuse the
    /// message (a NACK, whatsapp-rust `message/receive.rs`), and WhatsApp would drop it for good; so a call that cannot be
    /// answered does not return before [`Self::release_library`] or [`Self::close`].
    async fn answer<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, LibraryError> {
        match call.await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.copy.released.cancelled().await;
                Err(LibraryError::Database(Box::new(error)))
            }
        }
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreTurn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, TurnWrites), StoreError> {
        self.copy.turn(work).await
    }

    /// A turn of which nobody waits for the change.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreTurn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        Ok(self.copy.turn(work).await?.0)
    }

    /// A turn whose gate is waited for.
    async fn gated<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreTurn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, written) = self.copy.turn(work).await?;
        if let Some(gate) = written.gate {
            self.wait(gate).await?;
        }
        Ok(answer)
    }
}

/// Says why the store could do nothing with a hydrated record: then the state that has it is no good one, see
/// [`crate::journal::Context::check`].
pub fn check(space: Space, key: &[u8], value: &[u8]) -> Result<(), String> {
    let checked = match space {
        space::DEVICE => records::device::decode(value).map(drop),
        space::SYNC_KEYS => parse::<records::SyncKeyRecord>(space, value).map(drop),
        space::LID_MAPPINGS => parse::<records::LidMappingRecord>(space, value).map(drop),
        space::PENDING_INBOUND => parse::<records::PendingInboundRecord>(space, value).map(drop),
        space::TC_TOKENS => parse::<records::TcTokenRecord>(space, value).map(drop),
        space::DEVICE_LISTS => parse::<records::DeviceListRecord>(space, value).map(drop),
        space::INBOX => parse::<records::InboxRecord>(space, value).map(drop),
        space::OUTBOX => parse::<records::OutboxRecord>(space, value).map(drop),
        space::PAST => parse::<records::PastRecord>(space, value).map(drop),
        space::EXPORTED if key.is_empty() => Exported::parse(value).map(drop),
        space::SETTINGS if *key == *key::text(account::OWN_ACCOUNT) => {
            parse_setting::<OwnAccount>(account::OWN_ACCOUNT, value).map(drop)
        }
        _ => Ok(()),
    };
    checked.map_err(|error| error.to_string())
}

/// A setting that is kept as JSON. One that cannot be read is not absent.
pub fn parse_setting<T: serde::de::DeserializeOwned>(name: &'static str, value: &[u8]) -> Result<T, StoreError> {
    let unreadable =
        |error: serde_json::Error| StoreError::Setting { name, line: error.line(), column: error.column() };
    serde_json::from_slice(value).map_err(unreadable)
}
