//! The working copy itself, seen from the tenant's thread: making it, and turns on it.
//!
//! A *turn* is one job on the file. What it wrote is committed, gets its change number and passes the gates before the next
//! turn begins; if any of it fails nothing of it remains.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{oneshot, watch};

use super::{
    Hooks, StoreError,
    account::OwnAccount,
    database::Database,
    device::Wiped,
    gates::Gates,
    key,
    pool::{Files, Lane},
    records,
    space::{self, Home},
    turn::{Turn, parse},
};
use crate::{
    clock::Clock,
    journal::{ChangeNo, Closed, Journal, Record, Source},
};

/// A tenant's file, its journal, and what is remembered between turns.
pub(super) struct WorkingCopy {
    pub(super) dir: PathBuf,
    pub(super) file: PathBuf,
    pub(super) lane: Lane,
    pub(super) journal: Journal,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
    /// The pairing that the working copy holds, and the change that brought it.
    pub(super) paired: watch::Sender<Option<(OwnAccount, ChangeNo)>>,
    pub(super) hooks: Mutex<Option<Weak<dyn Hooks>>>,
    #[cfg(feature = "loopback")]
    pub(super) gates_off: std::sync::atomic::AtomicBool,
}

/// Touched on the tenant's thread only; the lock is never waited for.
pub(super) struct State {
    pub(super) closed: bool,
    pub(super) gates: Gates,
    pub(super) wiped: Option<Wiped>,
}

/// What became of a turn's writes.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// The number under which everything up to here is recorded.
    pub(super) change: ChangeNo,
    /// What must be durable before the library goes on.
    pub(super) gate: Option<ChangeNo>,
}

impl WorkingCopy {
    pub(super) async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Written), StoreError> {
        self.on_thread(move |copy, files| copy.take_turn(files, work)).await
    }

    /// Runs on the tenant's thread, behind what was asked before. Once queued it runs to its end, though nobody waits.
    pub(super) async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&WorkingCopy, &mut Files) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let copy = self.clone();
        let (answer, answered) = oneshot::channel();
        let job = move |files: &mut Files| drop(answer.send(work(&copy, files)));
        self.lane.queue(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Interrupted)?
    }

    pub(super) fn build(&self, files: &mut Files, records: Vec<Record>) -> Result<(), StoreError> {
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

    pub(super) fn take_turn<T>(
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

    pub(super) async fn wait(&self, change: ChangeNo) -> Result<(), Closed> {
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

/// What snapshots are made of.
pub(super) struct Snapshots(pub(super) Weak<WorkingCopy>);

impl Source for Snapshots {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, String>> {
        let copy = self.0.upgrade();
        async move {
            let copy = copy.ok_or_else(|| StoreError::Closed.to_string())?;
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
            let (records, _) = copy.turn(read).await.map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
            Ok(records)
        }
        .boxed()
    }
}

/// Nothing that panics while it holds one of these locks leaves it half changed.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
