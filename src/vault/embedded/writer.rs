//! The thread that holds the connection, and its group commit.
//!
//! Promises: jobs run one after the other, each as a whole or not at all; what is queued when the thread comes round shares one
//! transaction and so one fsync; nobody is answered before that fsync. Dropping the writer runs what is queued, then
//! closes the file.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    VaultError,
    file::VaultFile,
    suspicion::{is_suspect, suspect},
};

/// Jobs that wait for the thread before callers wait in turn.
const QUEUE: usize = 1024;
/// The longest that a job takes on a disk that is well: opening a large file that was damaged.
const JOB_TIMEOUT: Duration = Duration::from_secs(30);
/// Jobs in one transaction: bounds how long the first of them waits for the last.
const GROUP: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessMode {
    Read,
    Write,
}

struct WriterJob {
    access: AccessMode,
    /// Given an error instead of a connection, it does nothing but answer so.
    work: JobWork,
}

type JobWork = Box<dyn FnOnce(Result<&Connection, VaultError>) -> JobDone + Send>;

/// The part of a job that is done at the end of its transaction.
struct JobDone {
    /// Its changes are to stay.
    keep: bool,
    /// Answers the caller, who learns of the commit's failure instead of the job's result.
    answer: WriterReply,
}

type WriterReply = Box<dyn FnOnce(Result<(), VaultError>) + Send>;

#[derive(Debug)]
pub(super) struct EmbeddedWriter {
    /// `None` while it is dropped.
    jobs: Option<mpsc::Sender<WriterJob>>,
    thread: Option<thread::JoinHandle<()>>,
    /// For each job, in the queue and on the thread.
    limit: Duration,
}

impl EmbeddedWriter {
    pub(super) fn start(file: VaultFile) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name("vault".into()).spawn(move || run(file, queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), limit: JOB_TIMEOUT })
    }

    /// Runs `work` on the thread. An error of it undoes what it changed.
    pub(super) async fn run<T, E>(
        &self,
        access: AccessMode,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<VaultError> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let work = Box::new(move |connection: Result<&Connection, VaultError>| {
            let result = connection.map_err(E::from).and_then(work);
            JobDone {
                keep: result.is_ok(),
                // A caller that went away does not care.
                answer: Box::new(move |committed| drop(answer.send(committed.map_err(E::from).and(result)))),
            }
        });
        let stopped = || E::from(VaultError::Unavailable("its thread has stopped".into()));
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        let queued = timeout(self.limit, jobs.send(WriterJob { access, work })).await;
        queued
            .map_err(|_| E::from(VaultError::Unavailable("too much waits for the disk".into())))?
            .map_err(|_| stopped())?;
        // A volume that hangs gives no error. What was asked for may be done later, as with every lost answer.
        let silent = |_| E::from(VaultError::Unavailable("the disk does not answer".into()));
        let dropped = |_| E::from(VaultError::Unavailable("its thread gave it up".into()));
        timeout(self.limit, result).await.map_err(silent)?.map_err(dropped)?
    }
}

impl Drop for EmbeddedWriter {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(Err(_)) = self.thread.take().map(thread::JoinHandle::join) {
            tracing::error!(event = "vault_thread_crashed", "the thread of the embedded vault had panicked");
        }
    }
}

fn run(mut file: VaultFile, mut queue: mpsc::Receiver<WriterJob>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            group.push(job);
        }
        // The group's answers are dropped, and say so. What was open is in no known state.
        if catch_unwind(AssertUnwindSafe(|| run_group(&mut file, group))).is_err() {
            tracing::error!(
                event = "vault_thread_crashed",
                "the thread of the embedded vault panicked, which is a bug: opening the file anew"
            );
            file.close();
        }
    }
}

fn run_group(file: &mut VaultFile, group: Vec<WriterJob>) {
    let mut answers = Vec::with_capacity(group.len());
    let writes = group.iter().any(|job| job.access == AccessMode::Write);
    let mut waiting = group.into_iter();
    let outcome = file.connection().and_then(|connection| commit_group(connection, writes, &mut waiting, &mut answers));
    let wrote = writes && outcome.is_ok();
    for answer in answers {
        answer(outcome.clone());
    }
    // Those that the transaction broke down before.
    if let Err(error) = outcome {
        for job in waiting {
            ((job.work)(Err(error.clone())).answer)(Ok(()));
        }
    }
    file.settle(wrote);
}

fn commit_group(
    connection: &mut Connection,
    writes: bool,
    waiting: &mut std::vec::IntoIter<WriterJob>,
    answers: &mut Vec<WriterReply>,
) -> Result<(), VaultError> {
    // Immediate: a deferred one that turns into a writer fails at once when another process has written meanwhile.
    let behavior = if writes { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
    let mut transaction = connection.transaction_with_behavior(behavior).map_err(vault_error)?;
    while !waiting.as_slice().is_empty() {
        // A full disk ends the transaction by itself; a savepoint would then begin another.
        if transaction.is_autocommit() {
            return Err(VaultError::Unavailable("SQLite gave up the transaction".into()));
        }
        let savepoint = transaction.savepoint().map_err(vault_error)?;
        let Some(job) = waiting.next() else { break };
        // One that panics is undone, and costs its own caller the answer: the others in the group are of other tenants.
        let done = catch_unwind(AssertUnwindSafe(|| (job.work)(Ok(&savepoint)))).ok();
        if done.is_none() {
            tracing::error!(
                event = "vault_job_crashed",
                "a job of the embedded vault panicked, which is a bug: it is undone"
            );
        }
        let keep = done.as_ref().is_some_and(|done| done.keep);
        answers.extend(done.map(|done| done.answer));
        if is_suspect() {
            return Err(VaultError::Unavailable("its file is damaged, or the disk fails".into()));
        }
        let end = if keep { savepoint.commit() } else { savepoint.finish() };
        end.map_err(vault_error)?;
    }
    transaction.commit().map_err(vault_error)
}

pub(super) fn vault_error(error: rusqlite::Error) -> VaultError {
    suspect(&error);
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => VaultError::Malformed(text),
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::TooBig
            | ErrorCode::AuthorizationForStatementDenied,
        ) => VaultError::Refused(text),
        Some(_) => VaultError::Unavailable(text),
        // No answer of SQLite but of the conversion of what it holds.
        None => VaultError::Malformed(text),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc as blocking, time::Duration};

    use super::*;

    /// A job that says when it runs and then waits to be let go.
    fn held() -> (impl FnOnce(&Connection) -> Result<(), VaultError>, blocking::Receiver<()>, blocking::Sender<()>) {
        let (running, runs) = blocking::channel();
        let (go, gone) = blocking::channel::<()>();
        let work = move |_: &Connection| {
            running.send(()).unwrap();
            gone.recv().unwrap();
            Ok(())
        };
        (work, runs, go)
    }

    async fn queued(writer: &EmbeddedWriter, jobs: usize) {
        while writer.jobs.as_ref().unwrap().capacity() != QUEUE - jobs {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_is_answered_before_the_commit_that_all_share() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let file = VaultFile::open(&path).unwrap();
        let outside = Connection::open(&path).unwrap();
        outside.execute_batch("CREATE TABLE t (x)").unwrap();
        let rows = || outside.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        let writer = EmbeddedWriter::start(file).unwrap();

        let (first, first_runs, first_go) = held();
        let (last, last_runs, last_go) = held();
        tokio::join!(async { writer.run(AccessMode::Read, first).await.unwrap() }, async {
            // While the first is held the other two gather behind it, in this order.
            tokio::task::block_in_place(|| first_runs.recv().unwrap());
            let insert = |connection: &Connection| {
                connection.execute("INSERT INTO t VALUES (1)", []).map_err(vault_error).map(drop)
            };
            let mut inserted = std::pin::pin!(writer.run(AccessMode::Write, insert));
            assert!(futures::poll!(&mut inserted).is_pending());
            let mut held = std::pin::pin!(writer.run(AccessMode::Write, last));
            assert!(futures::poll!(&mut held).is_pending());
            queued(&writer, 2).await;
            first_go.send(()).unwrap();
            tokio::task::block_in_place(|| last_runs.recv().unwrap());
            // Carried out, as the last one runs already, but not committed.
            assert!(futures::poll!(&mut inserted).is_pending());
            assert_eq!(rows(), 0);
            last_go.send(()).unwrap();
            inserted.await.unwrap();
            assert_eq!(rows(), 1);
            held.await.unwrap();
        });
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_disk_that_hangs_is_an_error_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let file = VaultFile::open(&folder.path().join("x.db")).unwrap();
        let mut writer = EmbeddedWriter::start(file).unwrap();
        writer.limit = Duration::from_millis(100);
        let (hangs, runs, go) = held();
        let first = writer.run(AccessMode::Write, hangs).await;
        assert!(matches!(first, Err(VaultError::Unavailable(_))), "{first:?}");
        runs.recv().unwrap();
        let next = writer.run(AccessMode::Read, |_| Ok::<_, VaultError>(())).await;
        assert!(matches!(next, Err(VaultError::Unavailable(_))), "{next:?}");
        go.send(()).unwrap();
        // Both were carried out, and nobody waits for them.
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, async {
            while writer.run(AccessMode::Read, |_| Ok::<_, VaultError>(())).await.is_err() {}
        })
        .await
        .unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_job_that_panics_is_undone_and_costs_nobody_else_anything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let file = VaultFile::open(&path).unwrap();
        let outside = Connection::open(&path).unwrap();
        outside.execute_batch("CREATE TABLE t (x)").unwrap();
        let writer = EmbeddedWriter::start(file).unwrap();
        let insert = |n: i64| {
            move |connection: &Connection| {
                connection.execute("INSERT INTO t VALUES (?1)", [n]).map_err(vault_error).map(drop)
            }
        };
        let break_down = |connection: &Connection| -> Result<(), VaultError> {
            connection.execute("INSERT INTO t VALUES (2)", []).unwrap();
            panic!("on purpose")
        };
        let (first, runs, go) = held();
        let held = async { writer.run(AccessMode::Read, first).await.unwrap() };
        let group = async {
            // Behind the first, all three in one group.
            tokio::task::block_in_place(|| runs.recv().unwrap());
            let mut before = std::pin::pin!(writer.run(AccessMode::Write, insert(1)));
            assert!(futures::poll!(&mut before).is_pending());
            let mut broken = std::pin::pin!(writer.run(AccessMode::Write, break_down));
            assert!(futures::poll!(&mut broken).is_pending());
            let mut after = std::pin::pin!(writer.run(AccessMode::Write, insert(3)));
            assert!(futures::poll!(&mut after).is_pending());
            queued(&writer, 3).await;
            go.send(()).unwrap();
            (before.await, broken.await, after.await)
        };
        let ((), (before, broken, after)) = tokio::join!(held, group);
        assert!(matches!(broken, Err(VaultError::Unavailable(_))), "{broken:?}");
        assert!(before.is_ok() && after.is_ok(), "{before:?} {after:?}");
        writer.run(AccessMode::Write, insert(4)).await.unwrap();
        let rows = outside.query_row("SELECT group_concat(x) FROM t", [], |row| row.get::<_, String>(0));
        assert_eq!(rows.unwrap(), "1,3,4");
    }

    #[tokio::test]
    async fn what_is_queued_when_it_is_dropped_is_carried_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let file = VaultFile::open(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        let writer = EmbeddedWriter::start(file).unwrap();
        for n in 0..50 {
            let insert = move |connection: &Connection| {
                connection.execute("INSERT INTO t VALUES (?1)", [n]).map_err(vault_error).map(drop)
            };
            // Queued at the first poll; its caller then goes away.
            let mut inserted = Box::pin(writer.run(AccessMode::Write, insert));
            let _ = futures::poll!(&mut inserted);
        }
        drop(writer);
        let rows =
            |connection: Connection| connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(rows(Connection::open(&path).unwrap()), Ok(50));
    }
}
