//! The working copy itself, seen from the tenant's thread: making it, and turns on it.
//!
//! A *turn* is one job on the file. What it wrote is committed, gets its change number and passes the gates before the next
//! turn begins; if any of it fails nothing of it remains.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak, atomic::AtomicU64},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Arrivals, CopyFailure, StoreCallbacks, StoreError,
    account::OwnAccount,
    app_sync::EmptyCollections,
    database::Database,
    device::Wiped,
    digest::{DigestKey, SetDigest},
    gates::Gates,
    key,
    lookups::Lookups,
    pages::{PageFile, Pages},
    pool::{Lane, OpenFiles},
    records,
    signal_queue::SignalQueue,
    space::{self, Home},
    turn::{StoreTurn, parse},
};
use crate::{
    clock::Clock,
    journal::{ChangeNo, Journal, JournalClosedError, Record, SnapshotSource, SourceError},
    sync::lock,
};

/// A tenant's file, its journal, and what is remembered between turns.
pub(super) struct WorkingCopy {
    pub(super) dir: PathBuf,
    pub(super) file: PathBuf,
    pub(super) pages: Pages,
    pub(super) digests: DigestKey,
    pub(super) lane: Lane,
    pub(super) journal: Journal,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<CopyState>,
    /// The pairing that the working copy holds, and the change that brought it.
    pub(super) paired: watch::Sender<Option<(OwnAccount, ChangeNo)>>,
    pub(super) lookups: Lookups,
    pub(super) hooks: Mutex<Attached>,
    pub(super) failure: watch::Sender<Option<CopyFailure>>,
    /// The library's calls wait for nothing any more.
    pub(super) released: CancellationToken,
    /// Batches of sessions and sender keys that were written.
    pub(super) signal_writes: AtomicU64,
    pub(super) arrivals: Arrivals,
    pub(super) signal_queue: SignalQueue,
    pub(super) empty_collections: EmptyCollections,
    #[cfg(feature = "loopback")]
    pub(super) gates_off: std::sync::atomic::AtomicBool,
}

/// Touched on the tenant's thread only; the lock is never waited for.
pub(super) struct CopyState {
    pub(super) closed: bool,
    /// Of all records, as the last good turn left them.
    pub(super) set: SetDigest,
    pub(super) gates: Gates,
    pub(super) wiped: Option<Wiped>,
}

/// The session above, and whether it knows of the failure.
#[derive(Default)]
pub(super) struct Attached {
    pub(super) to: Option<Weak<dyn StoreCallbacks>>,
    knows: bool,
}

/// The outcome of a turn's writes.
#[derive(Clone, Copy)]
pub(super) struct TurnWrites {
    /// The number under which everything up to here is recorded.
    pub(super) change: ChangeNo,
    /// The change that must be durable before the library goes on.
    pub(super) gate: Option<ChangeNo>,
}

impl WorkingCopy {
    pub(super) async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut StoreTurn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, TurnWrites), StoreError> {
        self.on_thread(move |copy, files| copy.take_turn(files, work)).await
    }

    /// Runs on the tenant's thread, behind what was asked before. Once queued it runs to its end, though nobody waits.
    pub(super) async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&WorkingCopy, &mut OpenFiles) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let copy = self.clone();
        let (answer, answered) = oneshot::channel();
        let job = move |files: &mut OpenFiles| drop(answer.send(copy.run(files, work)));
        self.lane.queue(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Interrupted)?
    }

    /// Queues a turn whose end nobody waits for. Whoever asks later sees what it wrote; what fails in it ends the copy, as ever.
    pub(super) async fn post(
        self: &Arc<Self>,
        work: impl FnOnce(&mut StoreTurn<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        if let Some(failure) = self.failure.borrow().clone() {
            return Err(StoreError::CopyFailed(failure));
        }
        let copy = self.clone();
        let job = move |files: &mut OpenFiles| {
            // The session hears of a failure of the copy before this returns.
            let _ = copy.run(files, |copy, files| copy.take_turn(files, work));
        };
        self.lane.queue(job).await.map_err(|_| StoreError::Closed)
    }

    fn run<T>(&self, files: &mut OpenFiles, work: impl FnOnce(&WorkingCopy, &mut OpenFiles) -> T) -> T {
        match catch_unwind(AssertUnwindSafe(|| work(self, files))) {
            Ok(done) => done,
            Err(panic) => {
                // Where it stopped nobody knows.
                files.close(self.lane.id());
                self.fail(CopyFailure::damaged("a job on it panicked"));
                resume_unwind(panic);
            }
        }
    }

    /// Ends the use of the copy. The first failure stays, and the session hears of it before anybody else does.
    pub(super) fn fail(&self, failure: CopyFailure) -> StoreError {
        let first = failure.clone();
        self.failure.send_if_modified(|known| known.is_none().then(|| *known = Some(first)).is_some());
        self.tell_failure();
        StoreError::CopyFailed(self.failure.borrow().clone().unwrap_or(failure))
    }

    /// Tells the session, if there is one and a failure, once.
    pub(super) fn tell_failure(&self) {
        let Some(failure) = self.failure.borrow().clone() else { return };
        let hooks = {
            let mut attached = lock(&self.hooks);
            let hooks = attached.to.as_ref().and_then(Weak::upgrade).filter(|_| !attached.knows);
            attached.knows |= hooks.is_some();
            hooks
        };
        if let Some(hooks) = hooks {
            hooks.copy_failed(&failure);
        }
    }

    /// Answers a lookup without a turn. A copy that has failed answers none.
    pub(super) fn known<T>(&self, find: impl FnOnce(&Lookups) -> Option<T>) -> Option<T> {
        if self.failure.borrow().is_some() { None } else { find(&self.lookups) }
    }

    pub(super) fn hooks(&self) -> Option<Arc<dyn StoreCallbacks>> {
        lock(&self.hooks).to.as_ref().and_then(Weak::upgrade)
    }

    pub(super) fn build(&self, files: &mut OpenFiles, records: Vec<Record>) -> Result<(), StoreError> {
        self.try_build(files, records).map_err(|error| match error {
            // It is the vault's then.
            StoreError::Record { .. } | StoreError::Device { .. } => error,
            error => self.cause(error).map_or_else(|error| error, StoreError::CopyFailed),
        })
    }

    fn try_build(&self, files: &mut OpenFiles, records: Vec<Record>) -> Result<(), StoreError> {
        remove(&self.dir)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let file = files.making_room(|| {
            Ok(PageFile::create(&self.file, &self.pages).map_err(|error| CopyFailure::of_io(&error))?)
        })?;
        let database = Database::create(file, self.digests)?;
        let set = self.fill(&database, records)?;
        lock(&self.state).set = set;
        files.insert(self.lane.id(), database);
        Ok(())
    }

    fn fill(&self, database: &Database, records: Vec<Record>) -> Result<SetDigest, StoreError> {
        let mut set = SetDigest::default();
        database.begin()?;
        let journaled = || records.iter().filter(|record| space::home(record.space) == Home::Journal);
        let rows: Vec<_> = journaled().map(|record| (record.space, &*record.key, &*record.value)).collect();
        database.fill(&mut set, &rows)?;
        for record in journaled().filter(|record| record.space == space::LID_MAPPINGS) {
            let mapping: records::LidMappingRecord = parse(record.space, &record.value)?;
            let index = key::lid_of_number(&mapping.phone_number, &mapping.lid);
            database.put(&mut set, space::LIDS_OF_NUMBERS, &index, &[])?;
        }
        database.commit()?;
        Ok(set)
    }

    /// Opens the file again, which must be the one that was closed.
    fn open(&self) -> Result<Database, StoreError> {
        let file = PageFile::open(&self.file, &self.pages)?;
        Ok(Database::open(file, self.digests)?)
    }

    /// The failure of the copy that is behind an error, if one is: of a failed read or write SQLite knows a code only.
    fn cause(&self, error: StoreError) -> Result<CopyFailure, StoreError> {
        match self.pages.failure() {
            Some(failure) => Ok(failure),
            None => error.copy_failure(),
        }
    }

    pub(super) fn take_turn<T>(
        &self,
        files: &mut OpenFiles,
        work: impl FnOnce(&mut StoreTurn<'_>) -> Result<T, StoreError>,
    ) -> Result<(T, TurnWrites), StoreError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(StoreError::Closed);
        }
        if let Some(failure) = self.failure.borrow().clone() {
            return Err(StoreError::CopyFailed(failure));
        }
        let done = self.try_turn(&mut state, files, work);
        done.map_err(|error| match self.cause(error) {
            Ok(failure) => {
                files.close(self.lane.id());
                self.fail(failure)
            }
            Err(error) => error,
        })
    }

    fn try_turn<T>(
        &self,
        state: &mut CopyState,
        files: &mut OpenFiles,
        work: impl FnOnce(&mut StoreTurn<'_>) -> Result<T, StoreError>,
    ) -> Result<(T, TurnWrites), StoreError> {
        let database = files.get(self.lane.id(), || self.open())?;
        let mut turn = StoreTurn::new(database, &self.lookups, state.set, state.wiped.as_ref());
        let done = work(&mut turn).and_then(|answer| turn.commit().map(|()| answer));
        // SQLite gets over some errors: what looks well may rest on one.
        let done = done.and_then(|answer| self.pages.failure().map_or(Ok(answer), |failure| Err(failure.into())));
        let StoreTurn { findings, set, changes, decision, gated, all_gated, wiped, paired, met, .. } = turn;
        let answer = match done {
            Ok(answer) => answer,
            Err(error) => {
                let undone = database.rollback();
                // A write that cannot be undone is in the file, but was never recorded: the copy differs from the
                // vault.
                return Err(undone.err().map_or(error, StoreError::from));
            }
        };
        // Before the caller hears of the change: it may look up what it has changed.
        self.lookups.settle(findings.into_inner());
        // Without changes: the number of the last one, whose like a caller may still have to wait for.
        let change = self.journal.record(changes, decision);
        state.set = set;
        if wiped.is_some() {
            state.wiped = wiped;
        }
        if let Some(paired) = paired {
            self.paired.send_replace(paired.map(|paired| (paired, change)));
        }
        if let Some(hooks) = self.hooks().filter(|_| !met.is_empty()) {
            met.iter().for_each(|(lid, number)| hooks.met(lid, number));
        }
        let gate = if all_gated { Some(change) } else { state.gates.pass(&gated, change, self.journal.durable()) };
        Ok((answer, TurnWrites { change, gate }))
    }

    pub(super) async fn wait(&self, change: ChangeNo) -> Result<(), JournalClosedError> {
        if self.gates_are_off() {
            return Ok(());
        }
        self.journal.wait(change).await
    }

    #[cfg(feature = "loopback")]
    pub(super) fn gates_are_off(&self) -> bool {
        self.gates_off.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[cfg(not(feature = "loopback"))]
    pub(super) fn gates_are_off(&self) -> bool {
        false
    }
}

/// The source of snapshots: the working copy, as long as it is there.
pub(super) struct Snapshots(pub(super) Weak<WorkingCopy>);

impl SnapshotSource for Snapshots {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, SourceError>> {
        let copy = self.0.upgrade();
        async move {
            let copy = copy.ok_or_else(|| source_error(StoreError::Closed))?;
            let read = move |turn: &mut StoreTurn<'_>| {
                // Changes are recorded by turns of this thread only, so none can come between this and the end.
                begun();
                let mut records = Vec::new();
                turn.database.all(turn.set, |space, key, value| {
                    if space::home(space) == Home::Journal {
                        records.push(Record { space, key, value });
                    }
                })?;
                Ok(records)
            };
            let (records, _) = copy.turn(read).await.map_err(source_error)?;
            Ok(records)
        }
        .boxed()
    }
}

fn source_error(error: StoreError) -> SourceError {
    let is_final = error.is_final();
    SourceError { why: format!("{:#}", anyhow::Error::new(error)), is_final }
}

pub(super) fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
