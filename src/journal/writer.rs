//! The one task that writes a tenant's journal.
//!
//! It does one thing at a time, so no two appends are ever in flight. What it does next is decided from the book, by
//! [`Writer::next`]; what an answer of the vault means, by [`super::flight`]. Idle it waits for a wake and costs nothing.
//! Snapshots are read and written beside it, in a task of their own, so that no one waits for their chunks.

mod confirmation;
mod photography;

use std::sync::{Arc, Weak, atomic::Ordering::Relaxed};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::photography::{RunningSnapshot, answer_all};
use super::{
    Context, JournalClosedError, SnapshotError, SnapshotSource,
    audit::Audits,
    book::{JournalShared, Keeping},
    chain::{Frozen, Head, Scribe, Tail, guard},
    damage::Loss,
    flight::{AppendVerdict, PendingAppend, VaultRequest},
    format::Guard,
    pace::WriteBudget,
    record::{Cut, decide},
};
#[cfg(doc)]
use crate::vault::Vault;
use crate::{
    clock::Instant,
    vault::{Decision, Seq, SnapshotId, VaultError},
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

    /// The vault has lost something, or this process is fenced and does not know it yet. From now on nothing is said to be durable before
    /// everything is there again.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.loss = Some(loss);
        self.shared.book().outage = true;
    }
}
