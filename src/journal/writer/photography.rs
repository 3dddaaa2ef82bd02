//! The writer's snapshots: begun between two appends, read and written in a task of their own, and noted when they end. Appends no more
//! than what was pending when one began.

use std::sync::Arc;

use jiff::Timestamp;
use rand::{SeedableRng, rngs::SmallRng};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Writer;
use crate::{
    clock::Instant,
    journal::{
        JournalClosedError, SnapshotError, SnapshotSource,
        book::{Barrier, Keeping, SnapshotPurpose},
        chain::{Tail, guard},
        snapshot::{Anchor, SnapshotWriter, is_old},
    },
    vault::{Seq, SnapshotId, VaultError},
};

/// A snapshot that is being written.
pub(in crate::journal) struct RunningSnapshot {
    /// What the tail was where it stands.
    tail: Tail,
    /// Tells its name and the size of its chunks, or is dropped.
    ended: oneshot::Receiver<(SnapshotId, u64)>,
    /// Ends it when it is dropped.
    _stop: DropGuard,
}

impl Writer {
    /// Takes note of a snapshot's end.
    pub(super) fn note_snapshot(&mut self, now: Instant) {
        let Some(running) = &mut self.snapshot else { return };
        match running.ended.try_recv() {
            Ok((id, bytes)) => {
                self.good = Some(id);
                self.snapshot_bytes = bytes;
                self.tail.entries -= running.tail.entries;
                self.tail.bytes -= running.tail.bytes;
            }
            Err(TryRecvError::Closed) => self.no_snapshot_before = now + self.cx.policy.snapshot_retry,
            Err(TryRecvError::Empty) => return,
        }
        self.snapshot = None;
    }

    /// Lets the source begin its read transaction, appends what was pending at that moment, and leaves the rest to a task.
    pub(super) async fn begin_snapshot(
        &mut self,
        source: Arc<dyn SnapshotSource>,
        keepings: Vec<Keeping>,
        asked: u64,
    ) -> Result<(), JournalClosedError> {
        let (anchor, anchored) = oneshot::channel();
        let (end, mut ended) = oneshot::channel();
        let rng = SmallRng::from_rng(&mut self.cx.rng);
        let photographer = SnapshotWriter::new(&self.cx, rng, self.shared.clone());
        let session = SnapshotJob {
            source,
            asked,
            keepings,
            previous: self.good.as_ref().map(|good| good.seq),
            stop: CancellationToken::new(),
        };
        let stop = session.stop.clone();
        let (over, shared) = (self.shared.over.clone(), self.shared.clone());
        self.tasks.spawn(async move {
            over.run_until_cancelled_owned(photograph(photographer, session, anchored, end)).await;
            shared.wake.notify_one();
        });
        let until = self.cx.clock.instant() + self.cx.policy.begin_limit;
        let cut = loop {
            {
                let mut book = self.shared.book();
                let failed = matches!(ended.try_recv(), Err(TryRecvError::Closed));
                match std::mem::take(&mut book.barrier) {
                    Barrier::Reached(cut, _) => break cut,
                    // Whatever the source does later, it finds that no one waits for it.
                    _ if failed || book.abandoned || self.cx.clock.instant() >= until => {
                        self.no_snapshot_before = self.cx.clock.instant() + self.cx.policy.snapshot_retry;
                        return Ok(());
                    }
                    asked => book.barrier = asked,
                }
            }
            self.rest(Some(until)).await;
        };
        let now = self.cx.clock.certain(Timestamp::UNIX_EPOCH);
        self.guards.retain(|guard| !is_old(guard.at, now, self.cx.policy.takeover_keep));
        let upto = cut.upto.unwrap_or(self.shared.progress.borrow().durable);
        if cut.is_empty() {
            let _ = anchor.send(Anchor { head: self.head, guards: self.guards.clone(), upto });
            self.snapshot = Some(RunningSnapshot { tail: self.tail, ended, _stop: stop.drop_guard() });
            return Ok(());
        }
        self.pending_since = None;
        let frozen = self.freeze(&cut);
        let mut guards = self.guards.clone();
        if frozen.decision.is_some() {
            guards.extend(frozen.documents.last().map(guard));
        }
        let _ = anchor.send(Anchor { head: frozen.after, guards, upto });
        let mut tail = self.tail;
        tail.grow(&frozen.documents);
        self.snapshot = Some(RunningSnapshot { tail, ended, _stop: stop.drop_guard() });
        self.land(frozen, &cut).await
    }
}

/// One snapshot's job.
struct SnapshotJob {
    source: Arc<dyn SnapshotSource>,
    /// The barrier's number.
    asked: u64,
    keepings: Vec<Keeping>,
    /// The snapshot before, that was read as good.
    previous: Option<Seq>,
    /// Where it would stand is lost.
    stop: CancellationToken,
}

/// A snapshot's task: reads the state, writes it, tells how it ended, and cleans up.
async fn photograph(
    mut photographer: SnapshotWriter,
    SnapshotJob { source, asked, keepings, previous, stop }: SnapshotJob,
    anchored: oneshot::Receiver<Anchor>,
    end: oneshot::Sender<(SnapshotId, u64)>,
) {
    let shared = photographer.shared().clone();
    let begun = Box::new(move || shared.reach_barrier(asked));
    let (before_wipe, reseals): (Vec<_>, Vec<_>) =
        keepings.into_iter().partition(|keeping| keeping.purpose == SnapshotPurpose::BeforeWipe);
    let keep = (!before_wipe.is_empty()).then(|| photographer.policy().wiped_keep);
    let taken = async {
        let records = source.read(begun).await.map_err(|why| photographer.refused(why))?;
        drop(source);
        let anchor = anchored.await.map_err(|_| SnapshotError::Source("did not begin in time".into()))?;
        let (current, guards) = (anchor.head.epoch, anchor.guards.clone());
        let (id, bytes) = photographer.take(records, anchor, keep).await?;
        Ok((id, bytes, current, guards))
    };
    let lost = || Err(SnapshotError::Vault(VaultError::Unavailable("it has lost what was in it".into())));
    match stop.run_until_cancelled(taken).await.unwrap_or_else(lost) {
        Ok((id, bytes, current, guards)) => {
            answer_all(before_wipe, &Ok(id.clone()));
            let compacted = match previous {
                Some(previous) => photographer.compact(current, &guards, previous).await,
                None => Ok(()),
            };
            if let Err(error) = &compacted {
                photographer.complain("compaction not finished", error);
            }
            let resealed = match compacted {
                Ok(()) if !reseals.is_empty() => photographer.clear_older_seals(previous).await,
                compacted => compacted.map_err(SnapshotError::from),
            };
            answer_all(reseals, &resealed.map(|()| id.clone()));
            let _ = end.send((id, bytes));
        }
        Err(error) => {
            photographer.complain("snapshot not written", &error);
            answer_all(before_wipe, &Err(error.clone()));
            answer_all(reseals, &Err(error));
        }
    }
}

pub(super) fn answer_all(keepings: Vec<Keeping>, answer: &Result<SnapshotId, SnapshotError>) {
    for keeping in keepings {
        let _ = keeping.answer.send(answer.clone());
    }
}
