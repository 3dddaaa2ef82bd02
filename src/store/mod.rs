//! The tenant's working copy: one SQLite file, every change numbered.
//!
//! Owns `<data>/sessions/<tenant>/session.db`, made anew at every start from hydrated records, and the table of what is
//! kept where ([`space`]). Implements whatsapp-rust's `Backend` as thin typed wrappers over get, put, delete and scan.
//!
//! Promises:
//!
//! - A write that returned is read by every later read.
//! - A batch is in the working copy whole or not at all. What did not get there was not recorded in the journal either.
//! - Each change gets its number in the same turn of the tenant's thread that wrote it, so numbers have the order of the
//!   writes, and what the vault has is always the state after one of them.
//! - What must be durable before the library goes on is durable when the call returns: see [`gates`] and [`device`].
//!
//! Never talks to the vault; never decides when to wait for more than the calls above need; never touches another
//! tenant's folder.

mod app_sync;
mod database;
mod device;
mod gates;
pub mod key;
mod messages;
mod pool;
mod protocol;
pub mod records;
mod signal;
pub mod space;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{oneshot, watch};
use whatsapp_rust::store::error::StoreError as LibraryError;

use self::{
    database::Database,
    device::{Paired, Wiped},
    gates::{GateKey, Gates, ReadLease},
    key::Key,
    pool::{Files, Lane},
    space::{Home, Space},
};
pub use self::{
    device::Hooks,
    pool::{Pool, PoolOptions},
};
use crate::{
    clock::{Clock, SystemClock},
    journal::{Change, ChangeNo, Closed, Journal, Record, Source},
    vault::Decision,
};

/// Why the store did not do what was asked. Where it was a write, nothing was written and nothing recorded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the working copy fails")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the tenant's folder fails")]
    Folder(#[from] io::Error),
    #[error("a record of space {} does not parse", space.0)]
    Record { space: Space, source: prost::DecodeError },
    /// Where, not what: the device is all secrets.
    #[error("the device does not parse (line {line}, column {column})")]
    Device { line: usize, column: usize },
    /// See [`messages`]: an answer would let the library acknowledge a message that nobody has.
    #[error("a message that was decrypted before is neither pending nor in the inbox")]
    LostInbound,
    #[error("the store is closed")]
    Closed,
    #[error(transparent)]
    Journal(#[from] Closed),
    #[error("the write was interrupted by a bug")]
    Interrupted,
}

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

/// Changes that happen together: one transaction, one change number, one commit of the vault.
///
/// It writes what it is told: the gates of Signal state are in the library's traits.
#[derive(Default)]
pub struct Batch {
    changes: Vec<Change>,
    decision: Option<Decision>,
}

impl Batch {
    pub fn put(&mut self, space: Space, key: impl Into<Key>, value: impl Into<Bytes>) {
        self.changes.push(Change { space, key: key.into(), value: Some(value.into()) });
    }

    pub fn delete(&mut self, space: Space, key: impl Into<Key>) {
        self.changes.push(Change { space, key: key.into(), value: None });
    }

    /// Tenant fields that change in the same commit of the vault. The last one counts.
    pub fn decide(&mut self, decision: Decision) {
        self.decision = Some(decision);
    }
}

/// One tenant's state.
pub struct Store {
    inner: Arc<Inner>,
    /// The journal knows it weakly.
    _snapshots: Arc<dyn Source>,
}

struct Inner {
    dir: PathBuf,
    file: PathBuf,
    lane: Lane,
    journal: Journal,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// The pairing that the working copy holds, and the change that brought it.
    paired: watch::Sender<Option<(Paired, ChangeNo)>>,
    hooks: Mutex<Option<Weak<dyn Hooks>>>,
    #[cfg(feature = "loopback")]
    gates_off: std::sync::atomic::AtomicBool,
}

/// Touched on the tenant's thread only; the lock is never waited for.
struct State {
    closed: bool,
    gates: Gates,
    wiped: Option<Wiped>,
}

/// What became of a turn's writes.
#[derive(Clone, Copy)]
struct Written {
    /// The number under which everything up to here is recorded.
    change: ChangeNo,
    /// What must be durable before the library goes on.
    gate: Option<ChangeNo>,
}

impl Store {
    /// Makes the tenant's working copy from what was hydrated. What was in `dir` is deleted first.
    ///
    /// Records of spaces that are local only are left out: no vault should have them, and the library must not meet them
    /// after a restore. A device that does not parse is an error here, before anything could overwrite it.
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
        let paired = device.as_ref().and_then(Paired::of).map(|paired| (paired, durable));

        let inner = Arc::new(Inner {
            dir: dir.to_owned(),
            file: dir.join("session.db"),
            lane: pool.lane(),
            journal,
            clock: options.clock,
            state: Mutex::new(State { closed: false, gates: Gates::default(), wiped: None }),
            paired: watch::Sender::new(paired),
            hooks: Mutex::new(None),
            #[cfg(feature = "loopback")]
            gates_off: std::sync::atomic::AtomicBool::new(false),
        });
        inner.on_thread(move |inner, files| inner.build(files, records)).await?;
        let snapshots: Arc<dyn Source> = Arc::new(Snapshots(Arc::downgrade(&inner)));
        inner.journal.snapshots_from(Arc::downgrade(&snapshots));
        Ok(Arc::new(Self { inner, _snapshots: snapshots }))
    }

    /// Writes a batch. The number is what [`Self::wait`] takes; a batch of local records only is covered by it at once.
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

    /// At most `limit` records in the order of their keys, those after `after`.
    pub async fn scan(
        &self,
        space: Space,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let after = after.map(Key::from);
        self.read(move |turn| Ok(turn.database.scan(space, after.as_deref(), limit)?)).await
    }

    /// At most `limit` records in the reverse order of their keys, those before `before`.
    pub async fn scan_back(
        &self,
        space: Space,
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let before = before.map(Key::from);
        self.read(move |turn| Ok(turn.database.scan_back(space, before.as_deref(), limit)?)).await
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
        &self.inner.journal
    }

    /// Returns when the vault has everything up to this change.
    pub async fn wait(&self, change: ChangeNo) -> Result<(), Closed> {
        self.inner.wait(change).await
    }

    /// Whether the vault has everything up to this change.
    pub fn is_durable(&self, change: ChangeNo) -> bool {
        self.inner.gates_are_off() || change <= self.inner.journal.durable()
    }

    /// Whom the store asks and tells, see [`Hooks`]. Held weakly: the session owns the store.
    pub fn attach(&self, hooks: &Arc<dyn Hooks>) {
        *lock(&self.inner.hooks) = Some(Arc::downgrade(hooks));
    }

    /// Deletes all that belongs to the pairing that ended ([`space::TABLE`]), in one batch. Inbox, outbox, events,
    /// settings and pending messages stay.
    ///
    /// The library's client must be gone before: it keeps the credentials in memory. Should a late save of its device
    /// arrive all the same, it is ignored.
    pub async fn wipe_credentials(&self, decision: Decision) -> Result<ChangeNo, StoreError> {
        let ((), written) = self
            .turn(move |turn| {
                if let Some(device) = turn.get(space::DEVICE, &key::only())? {
                    turn.wiped = Some(Wiped::of(&records::device::decode(&device)?));
                }
                for space in space::credentials() {
                    for (key, _) in turn.database.scan(space, None, usize::MAX)? {
                        turn.delete(space, key)?;
                    }
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
        self.inner
            .on_thread(|inner, files| {
                lock(&inner.state).closed = true;
                files.close(inner.lane.id());
                remove(&inner.dir)
            })
            .await
    }

    /// Nothing waits for the vault any more and a lost message is taken for a duplicate: the negative control of the
    /// tests that kill.
    #[cfg(feature = "loopback")]
    pub fn gates_off(&self) {
        self.inner.gates_off.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Written), StoreError> {
        self.inner.turn(work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        Ok(self.inner.turn(work).await?.0)
    }

    /// A turn whose gate is waited for.
    async fn gated<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, written) = self.inner.turn(work).await?;
        if let Some(gate) = written.gate {
            self.wait(gate).await?;
        }
        Ok(answer)
    }
}

impl Inner {
    async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Written), StoreError> {
        self.on_thread(move |inner, files| inner.take_turn(files, work)).await
    }

    /// Runs on the tenant's thread, behind what was asked before. Once queued it runs to its end, though nobody waits.
    async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Inner, &mut Files) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.clone();
        let (answer, answered) = oneshot::channel();
        let job = move |files: &mut Files| drop(answer.send(work(&inner, files)));
        self.lane.queue(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Interrupted)?
    }

    fn build(&self, files: &mut Files, records: Vec<Record>) -> Result<(), StoreError> {
        remove(&self.dir)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let database = Database::create(&self.file)?;
        database.begin()?;
        for record in records.iter().filter(|record| space::home(record.space) == Home::Journal) {
            database.put(record.space, &record.key, &record.value)?;
            if record.space == space::LID_MAPPINGS {
                let mapping: records::LidMappingRecord = parse(record.space, &record.value)?;
                let index = key::lid_of_number(&mapping.phone_number, &mapping.lid);
                database.put(space::LIDS_OF_NUMBERS, &index, &[])?;
            }
        }
        database.commit()?;
        files.insert(self.lane.id(), database);
        Ok(())
    }

    fn take_turn<T>(
        &self,
        files: &mut Files,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError>,
    ) -> Result<(T, Written), StoreError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(StoreError::Closed);
        }
        let database = files.get(self.lane.id(), &self.file)?;
        // A turn that panicked may have left its transaction open.
        database.rollback()?;
        let mut turn = Turn::new(database, state.wiped.as_ref());
        let done = work(&mut turn).and_then(|answer| turn.commit().map(|()| answer));
        let Turn { changes, decision, gated, all_gated, wiped, paired, .. } = turn;
        let answer = match done {
            Ok(answer) => answer,
            Err(error) => {
                if database.rollback().is_err() {
                    // Closing undoes it too.
                    files.close(self.lane.id());
                }
                return Err(error);
            }
        };
        // Without changes: the number of the last one, whose like a caller may still have to wait for.
        let change = self.journal.record(changes, decision);
        if wiped.is_some() {
            state.wiped = wiped;
        }
        if let Some(paired) = paired {
            self.paired.send_replace(paired.map(|paired| (paired, change)));
        }
        let gate = if all_gated { Some(change) } else { state.gates.pass(&gated, change, self.journal.durable()) };
        Ok((answer, Written { change, gate }))
    }

    async fn wait(&self, change: ChangeNo) -> Result<(), Closed> {
        if self.gates_are_off() {
            return Ok(());
        }
        self.journal.wait(change).await
    }

    #[cfg(feature = "loopback")]
    fn gates_are_off(&self) -> bool {
        self.gates_off.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[cfg(not(feature = "loopback"))]
    fn gates_are_off(&self) -> bool {
        false
    }
}

/// One job's access to the working copy: reads, and writes that are committed together when it ends well.
struct Turn<'a> {
    database: &'a Database,
    /// What an earlier turn wiped.
    dead: Option<&'a Wiped>,
    writing: bool,
    changes: Vec<Change>,
    decision: Option<Decision>,
    gated: Vec<(GateKey, bool)>,
    all_gated: bool,
    wiped: Option<Wiped>,
    paired: Option<Option<Paired>>,
}

impl<'a> Turn<'a> {
    fn new(database: &'a Database, dead: Option<&'a Wiped>) -> Self {
        Self {
            database,
            dead,
            writing: false,
            changes: Vec::new(),
            decision: None,
            gated: Vec::new(),
            all_gated: false,
            wiped: None,
            paired: None,
        }
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.database.get(space, key)?)
    }

    fn record<R: prost::Message + Default>(&self, space: Space, key: &[u8]) -> Result<Option<R>, StoreError> {
        self.get(space, key)?.map(|value| parse(space, &value)).transpose()
    }

    fn scan_prefix(&self, space: Space, prefix: &[u8], limit: usize) -> Result<Vec<(Key, Bytes)>, StoreError> {
        Ok(self.database.scan_prefix(space, prefix, limit)?)
    }

    /// Every record of a space, parsed.
    fn all<R: prost::Message + Default>(&self, space: Space) -> Result<Vec<(Key, R)>, StoreError> {
        let pairs = self.database.scan(space, None, usize::MAX)?;
        pairs.into_iter().map(|(key, value)| Ok((key, parse(space, &value)?))).collect()
    }

    fn put(&mut self, space: Space, key: Key, value: Bytes) -> Result<(), StoreError> {
        self.begin()?;
        self.database.put(space, &key, &value)?;
        self.change(space, key, Some(value));
        Ok(())
    }

    fn put_record(&mut self, space: Space, key: Key, record: &impl prost::Message) -> Result<(), StoreError> {
        self.put(space, key, record.encode_to_vec().into())
    }

    /// Whether there was one. A delete of nothing is no change.
    fn delete(&mut self, space: Space, key: Key) -> Result<bool, StoreError> {
        self.begin()?;
        let existed = self.database.delete(space, &key)?;
        if existed {
            self.change(space, key, None);
        }
        Ok(existed)
    }

    /// Puts Signal state, noting whether it must be durable before the library goes on.
    fn put_leased(&mut self, space: Space, key: Key, value: Bytes, read: ReadLease) -> Result<(), StoreError> {
        let raised = gates::raises(read, self.get(space, &key)?.as_deref(), &value);
        self.gated.push(((space.0, key.clone()), raised));
        self.put(space, key, value)
    }

    /// All of this turn must be durable before the library goes on.
    fn gate(&mut self) {
        self.all_gated = true;
    }

    /// Deletes the records of a space of which `dead` says so, and counts them.
    fn sweep<R: prost::Message + Default>(
        &mut self,
        space: Space,
        dead: impl Fn(&R) -> bool,
    ) -> Result<u32, StoreError> {
        let mut count = 0;
        for (key, record) in self.all::<R>(space)? {
            if dead(&record) {
                self.delete(space, key)?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if !self.writing {
            self.database.begin()?;
            self.writing = true;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.writing { Ok(self.database.commit()?) } else { Ok(()) }
    }

    fn change(&mut self, space: Space, key: Key, value: Option<Bytes>) {
        if space::home(space) == Home::Journal {
            self.changes.push(Change { space, key, value });
        }
    }
}

/// What snapshots are made of.
struct Snapshots(Weak<Inner>);

impl Source for Snapshots {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, String>> {
        let inner = self.0.upgrade();
        async move {
            let inner = inner.ok_or_else(|| StoreError::Closed.to_string())?;
            let read = move |turn: &mut Turn<'_>| {
                // Changes are recorded by turns of this thread only, so none can come between this and the end.
                begun();
                let mut records = Vec::new();
                turn.database.all(|space, key, value| {
                    if space::home(space) == Home::Journal {
                        records.push(Record { space, key, value });
                    }
                })?;
                Ok(records)
            };
            let (records, _) = inner.turn(read).await.map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
            Ok(records)
        }
        .boxed()
    }
}

impl From<StoreError> for LibraryError {
    fn from(error: StoreError) -> Self {
        Self::Database(Box::new(error))
    }
}

fn parse<R: prost::Message + Default>(space: Space, value: &[u8]) -> Result<R, StoreError> {
    R::decode(value).map_err(|source| StoreError::Record { space, source })
}

/// Nothing that panics while it holds one of these locks leaves it half changed.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
