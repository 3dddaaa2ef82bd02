//! The one task that writes a tenant's journal.
//!
//! It does one thing at a time, so no two appends are ever in flight. What it does next is decided from the book, by
//! [`Writer::next`]; what an answer of the vault means, by [`super::flight`]. Idle it waits for a wake and costs nothing.
//! Snapshots are read and written beside it, in a task of their own, so that no one waits for their chunks.

use std::sync::{Arc, Weak, atomic::Ordering::Relaxed};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::SmallRng};
use tokio::sync::{
    oneshot::{self, error::TryRecvError},
    watch,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    ConfirmError, Context, JournalClosedError, SnapshotError, SnapshotSource,
    audit::Audits,
    book::{Barrier, JournalShared, Keeping, SnapshotPurpose},
    chain::{Frozen, Head, Scribe, Tail, guard},
    damage::Loss,
    flight::{AppendVerdict, PendingAppend, VaultRequest},
    format::Guard,
    pace::WriteBudget,
    record::{Cut, decide},
    snapshot::{Anchor, SnapshotWriter, is_old},
};
#[cfg(doc)]
use crate::vault::Vault;
use crate::{
    clock::Instant,
    vault::{Decision, Heading, Seq, SnapshotId, VaultError},
};

pub(super) struct Writer {
    pub cx: Context,
    pub scribe: Scribe,
    pub shared: Arc<JournalShared>,
    pub tasks: TaskTracker,
    pub head: Head,
    pub guards: Vec<Guard>,
    pub tail: Tail,
    /// The last snapshot that was read as good.
    pub good: Option<SnapshotId>,
    /// Its sealed size.
    pub snapshot_bytes: u64,
    /// The epoch that we began with, …
    pub first: Seq,
    /// … and when that was.
    pub taken_at: Timestamp,
    /// Of the last document.
    pub written_at: Timestamp,
    /// The decisions since we are the owner.
    pub decided: Decision,
    /// The highest number that was ever sent.
    pub used: Seq,
    /// Takeovers of attempts to write everything anew that may land yet.
    pub strays: Vec<Guard>,
    /// The vault's loss: everything has to be written anew before anything else.
    pub loss: Option<Loss>,
    /// See [`Vault::doubts`].
    pub doubts: watch::Receiver<u64>,
    /// See [`Vault::suspicions`].
    pub suspicions: watch::Receiver<u64>,
    pub audits: Audits,
    pub budget: WriteBudget,
    /// Since when changes wait, as far as the writer has seen.
    pub pending_since: Option<Instant>,
    pub snapshot: Option<RunningSnapshot>,
    /// After a failure the next snapshot is not begun before.
    pub no_snapshot_before: Instant,
}

/// A snapshot that is being written.
pub(super) struct RunningSnapshot {
    /// What the tail was where it stands.
    tail: Tail,
    /// Tells its name and the size of its chunks, or is dropped.
    ended: oneshot::Receiver<(SnapshotId, u64)>,
    /// Ends it when it is dropped.
    _stop: DropGuard,
}

/// What the writer does next.
enum WriterStep {
    Rebuild(Loss),
    Confirm,
    Append(Cut),
    Audit,
    /// The barrier's number goes with it.
    Snapshot(Arc<dyn SnapshotSource>, Vec<Keeping>, u64),
    Stop,
    /// Nothing, before someone wakes it or the moment has come.
    Rest(Option<Instant>),
}

/// The end of the journal, as it was found.
enum JournalEnd {
    Ours,
    /// Another owner's takeover.
    Successor,
    /// Not even ours.
    Nothing,
}

/// Returns when the vault is in doubt of itself, or somebody of it.
async fn doubt(mut doubts: watch::Receiver<u64>) {
    if doubts.changed().await.is_err() {
        std::future::pending().await
    }
}

/// However it ends, nobody waits for it in vain.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close(JournalClosedError::Stopped);
    }
}

impl Writer {
    pub async fn run(mut self: Box<Self>, stop: CancellationToken) {
        let closed = tokio::select! {
            biased;
            () = stop.cancelled() => JournalClosedError::Stopped,
            closed = self.work() => closed,
        };
        match &closed {
            JournalClosedError::Stopped => tracing::debug!(tenant = %self.cx.tenant, "journal closed"),
            JournalClosedError::StateLost(_) => {
                tracing::error!(event = "journal_closed", tenant = %self.cx.tenant, "journal closed: {closed}")
            }
            closed => {
                tracing::warn!(
                    event = "journal_closed",
                    tenant = %self.cx.tenant,
                    epoch = self.head.epoch.0,
                    "journal closed: {closed}"
                )
            }
        }
        self.shared.close(closed);
    }

    async fn work(&mut self) -> JournalClosedError {
        loop {
            let done = match self.next(self.cx.clock.instant()) {
                WriterStep::Stop => return JournalClosedError::Stopped,
                // Boxed: a quiet tenant's writer rests, and takes no more room than that needs.
                WriterStep::Rebuild(loss) => Box::pin(self.rebuild(loss)).await,
                WriterStep::Confirm => Box::pin(self.confirm(false)).await,
                WriterStep::Append(cut) => Box::pin(self.append(cut)).await,
                WriterStep::Audit => {
                    Box::pin(self.audit()).await;
                    Ok(())
                }
                WriterStep::Snapshot(source, keepings, asked) => {
                    Box::pin(self.begin_snapshot(source, keepings, asked)).await
                }
                WriterStep::Rest(until) => {
                    tokio::select! {
                        () = self.rest(until) => {}
                        () = doubt(self.doubts.clone()) => {}
                        () = doubt(self.suspicions.clone()) => {}
                    }
                    Ok(())
                }
            };
            if let Err(closed) = done {
                return closed;
            }
        }
    }

    fn next(&mut self, now: Instant) -> WriterStep {
        self.note_snapshot(now);
        // One that closes appends what it has, and notices what its appends miss.
        let is_in_doubt = self.doubts.has_changed().unwrap_or(false) && !self.shared.book().closing;
        if self.loss.is_none() && is_in_doubt {
            self.lose(Loss::Something);
        }
        if self.suspicions.has_changed().unwrap_or(false) {
            self.suspicions.mark_unchanged();
            self.audits.suspect(now, &mut self.cx.rng);
        }
        let mut book = self.shared.book();
        if book.abandoned {
            return WriterStep::Stop;
        }
        if let Some(loss) = self.loss {
            return WriterStep::Rebuild(loss);
        }
        if !book.confirmations.is_empty() {
            return WriterStep::Confirm;
        }
        if self.snapshot.is_none() && !book.closing {
            let source = book.source.as_ref().and_then(Weak::upgrade);
            let due = self.cx.policy.is_due(&self.tail, self.snapshot_bytes) && now >= self.no_snapshot_before;
            let keepings = std::mem::take(&mut book.keepings);
            match source {
                Some(source) if !keepings.is_empty() || (due && !book.outage) => {
                    let asked = book.ask_barrier();
                    return WriterStep::Snapshot(source, keepings, asked);
                }
                Some(_) => {}
                None => answer_all(keepings, &Err(SnapshotError::Source("there is none".into()))),
            }
        }
        let is_audited = self.snapshot.is_none() && !book.closing && !book.outage;
        let audit = self.audits.due().filter(|_| is_audited);
        if audit.is_some() && self.audits.is_due(now, book.pending.is_empty()) {
            return WriterStep::Audit;
        }
        if book.pending.is_empty() {
            self.pending_since = None;
            return if book.closing { WriterStep::Stop } else { WriterStep::Rest(audit) };
        }
        let since = *self.pending_since.get_or_insert(now);
        let waited = book.wanted > self.shared.progress.borrow().durable;
        let when = if book.closing { now } else { self.budget.when(waited, since, now) };
        if when > now {
            if let Some(writes) = self.budget.slowed(now) {
                let tenant = &self.cx.tenant;
                tracing::warn!(
                    event = "journal_slowed",
                    %tenant,
                    "the journal is slowed: it takes more than {writes} writes a minute"
                );
            }
            return WriterStep::Rest(Some(when));
        }
        self.pending_since = None;
        WriterStep::Append(std::mem::take(&mut book.pending))
    }

    /// Takes note of a snapshot's end.
    fn note_snapshot(&mut self, now: Instant) {
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

    pub(super) async fn rest(&self, until: Option<Instant>) {
        let woken = self.shared.wake.notified();
        let Some(until) = until else { return woken.await };
        let left = until.since(self.cx.clock.instant());
        tokio::select! {
            biased;
            () = woken => {}
            () = self.cx.clock.sleep(left) => {}
        }
    }

    // --- appending

    async fn append(&mut self, cut: Cut) -> Result<(), JournalClosedError> {
        let frozen = self.freeze(&cut);
        self.land(frozen, &cut).await
    }

    fn freeze(&mut self, cut: &Cut) -> Frozen {
        if let Some(decision) = &cut.decision {
            decide(&mut self.decided, decision);
        }
        let frozen = self.scribe.entry(&self.head, cut, self.cx.clock.now());
        self.used = self.used.max(frozen.after.last);
        frozen
    }

    /// Brings a frozen cut into the vault, however long it takes.
    async fn land(&mut self, frozen: Frozen, cut: &Cut) -> Result<(), JournalClosedError> {
        self.budget.spend(frozen.documents.len(), self.cx.clock.instant());
        let keep = self.cx.policy.takeover_keep;
        let confirmed_at = self.shared.book().confirmed_at;
        if self.cx.clock.instant().since(confirmed_at) > keep / 2 {
            // So long asleep that the takeover which would stop us may have been trimmed.
            self.confirm_patiently().await?;
        }
        let mut flight = PendingAppend::new(frozen, self.cx.policy.max_append);
        let mut unanswered = 0;
        loop {
            let sent = self.cx.clock.instant();
            let (verdict, silence) = match flight.ask() {
                VaultRequest::Append(before, documents, decision) => {
                    let answer = self.cx.vault.append(&self.cx.tenant, before, documents, decision).await;
                    let silence = answer.as_ref().err().map(ToString::to_string);
                    (flight.appended(answer), silence)
                }
                VaultRequest::Document(seq) => {
                    let answer = self.cx.vault.document(&self.cx.tenant, seq).await;
                    let silence = answer.as_ref().err().map(ToString::to_string);
                    (flight.saw(answer), silence)
                }
            };
            match verdict {
                AppendVerdict::Onward => {}
                AppendVerdict::BackOff => {
                    self.suffer(silence.unwrap_or_else(|| "it contradicts itself".into()));
                    self.back_off(unanswered).await?;
                    unanswered += 1;
                }
                AppendVerdict::Landed => {
                    let frozen = flight.frozen;
                    if frozen.decision.is_some() {
                        self.guards.extend(frozen.documents.last().map(guard));
                    }
                    self.head = frozen.after;
                    self.shared.head.store(self.head.last.0, Relaxed);
                    self.written_at = frozen.documents.last().map_or(self.written_at, |document| document.at);
                    self.tail.grow(&frozen.documents);
                    let mut book = self.shared.book();
                    book.confirmed_at = sent;
                    book.outage = false;
                    drop(book);
                    if let Some(upto) = cut.upto {
                        self.shared.progress.send_modify(|now| now.durable = upto);
                    }
                    return Ok(());
                }
                AppendVerdict::Fenced => return Err(JournalClosedError::Fenced),
                // The changes are in hand: they are part of what is written anew.
                AppendVerdict::Lost(loss) => {
                    self.lose(loss);
                    return Ok(());
                }
                AppendVerdict::Refused(why) => return Err(JournalClosedError::Refused(why)),
            }
        }
    }

    /// The vault does not answer: whoever asked for a confirmation learns it, and will ask again.
    pub(super) fn suffer(&mut self, why: String) {
        let mut book = self.shared.book();
        if !book.outage {
            tracing::warn!(event = "journal_delayed", tenant = %self.cx.tenant, "journal: {why}");
        }
        book.outage = true;
        for confirmation in book.confirmations.drain(..) {
            let _ = confirmation.send(Err(VaultError::Unavailable(why.clone()).into()));
        }
    }

    /// Waits before the next attempt; less when someone wants a confirmation.
    pub(super) async fn back_off(&mut self, unanswered: u32) -> Result<(), JournalClosedError> {
        let until = self.cx.clock.instant() + self.cx.policy.backoff.pause(unanswered, &mut self.cx.rng);
        while self.cx.clock.instant() < until {
            self.rest(Some(until)).await;
            let book = self.shared.book();
            if book.abandoned {
                return Err(JournalClosedError::Stopped);
            }
            if !book.confirmations.is_empty() {
                break;
            }
        }
        Ok(())
    }

    // --- confirming

    /// Asks whether the next number is free, so no one has taken over, and the last one is there. Nothing is in flight, so what is
    /// behind our last document is not ours.
    async fn confirm(&mut self, thorough: bool) -> Result<(), JournalClosedError> {
        // Who asks from now on has to be asked for again.
        let confirmations = std::mem::take(&mut self.shared.book().confirmations);
        let sent = self.cx.clock.instant();
        let answer = self.ask_for_successor(thorough).await;
        let told = match answer {
            Ok(JournalEnd::Successor) => return Err(JournalClosedError::Fenced),
            Ok(JournalEnd::Nothing) => {
                self.lose(Loss::Entry(self.head.last));
                Err(VaultError::Unavailable("it has lost what was in it".into()).into())
            }
            Ok(JournalEnd::Ours) => {
                let mut book = self.shared.book();
                book.confirmed_at = sent;
                book.outage = false;
                Ok(())
            }
            Err(error) => {
                if matches!(error, VaultError::Unavailable(_)) {
                    self.suffer(error.to_string());
                }
                Err(ConfirmError::Vault(error))
            }
        };
        for confirmation in confirmations {
            let _ = confirmation.send(told.clone());
        }
        Ok(())
    }

    async fn ask_for_successor(&self, thorough: bool) -> Result<JournalEnd, VaultError> {
        let (vault, tenant) = (&self.cx.vault, &self.cx.tenant);
        if thorough && vault.takeovers(tenant).await?.iter().any(|(seq, _)| *seq > self.head.epoch) {
            return Ok(JournalEnd::Successor);
        }
        let last = self.head.last;
        let ours = |found: &Heading| {
            let same_time = found.at.as_microsecond() == self.written_at.as_microsecond();
            found.seq == last && found.writer == self.cx.writer && same_time
        };
        Ok(match &vault.headings(tenant, last, 2).await?[..] {
            [first] if ours(first) => JournalEnd::Ours,
            [first, ..] if ours(first) => JournalEnd::Successor,
            // Something behind it may be a takeover: whoever rebuilds finds out.
            _ => JournalEnd::Nothing,
        })
    }

    /// The vault has lost something, or this process is fenced and does not know it yet. From now on nothing is said to be durable before
    /// everything is there again.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.loss = Some(loss);
        self.shared.book().outage = true;
    }

    async fn confirm_patiently(&mut self) -> Result<(), JournalClosedError> {
        let asleep_until = self.shared.book().confirmed_at;
        let mut unanswered = 0;
        loop {
            self.confirm(true).await?;
            if self.loss.is_some() || self.shared.book().confirmed_at != asleep_until {
                return Ok(());
            }
            self.back_off(unanswered).await?;
            unanswered += 1;
        }
    }

    // --- snapshots

    /// Lets the source begin its read transaction, appends what was pending at that moment, and leaves the rest to a task.
    async fn begin_snapshot(
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

fn answer_all(keepings: Vec<Keeping>, answer: &Result<SnapshotId, SnapshotError>) {
    for keeping in keepings {
        let _ = keeping.answer.send(answer.clone());
    }
}
