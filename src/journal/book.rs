//! What a journal's handles and its writer share: the changes that wait, the wishes, and how far things are.
//!
//! The lock is held for moments only and never across an await. The store calls [`JournalBook::record`] under its own lock; nothing here
//! calls back into the store.

use std::sync::{Mutex, MutexGuard, Weak, atomic::AtomicU64};

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    ConfirmError, JournalClosedError, Loss, SnapshotError, SnapshotSource,
    record::{Change, ChangeNo, Cut},
};
use crate::{
    clock::Instant,
    sync::lock,
    vault::{Decision, Seq, SnapshotId},
};

/// How far a journal is.
#[derive(Debug, Clone)]
pub(super) struct DurableProgress {
    /// Up to here everything is in the vault.
    pub durable: ChangeNo,
    pub closed: Option<JournalClosedError>,
}

#[derive(Debug)]
pub(super) struct JournalShared {
    book: Mutex<JournalBook>,
    /// Wakes the writer.
    pub wake: Notify,
    pub progress: watch::Sender<DurableProgress>,
    /// The vault's loss, until everything is there again.
    pub loss: watch::Sender<Option<Loss>>,
    /// Counts the losses.
    pub losses: AtomicU64,
    pub refused_snapshots: AtomicU64,
    /// The number of the last document that is known to be in the vault.
    pub head: AtomicU64,
    /// Cancelled when the journal is closed, for whatever reason: what it has running in the background ends.
    pub over: CancellationToken,
}

pub(super) type Confirmation = oneshot::Sender<Result<(), ConfirmError>>;

/// Somebody wants a snapshot now.
pub(super) struct Keeping {
    pub purpose: SnapshotPurpose,
    pub answer: oneshot::Sender<Result<SnapshotId, SnapshotError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SnapshotPurpose {
    /// To be kept, since the state is wiped after it.
    BeforeWipe,
    /// What other keys have sealed is to go. The answer comes when what it replaces is deleted.
    Reseal,
}

pub(super) struct JournalBook {
    /// The last change recorded.
    pub last: ChangeNo,
    pub pending: Cut,
    /// The highest change that someone waits for, or has.
    pub wanted: ChangeNo,
    /// Who wants to know whether the tenant is still ours.
    pub confirmations: Vec<Confirmation>,
    /// Who wants a snapshot.
    pub keepings: Vec<Keeping>,
    /// The store, which holds the journal: so not the other way round.
    pub source: Option<Weak<dyn SnapshotSource>>,
    /// The directory record as of the opening, as far as known: written with the state if the vault loses it.
    pub record: Decision,
    pub barrier: Barrier,
    /// Counts the barriers.
    barriers: u64,
    /// Flush and stop.
    pub closing: bool,
    /// The last handle is gone: nobody can close it any more.
    pub abandoned: bool,
    pub confirmed_at: Instant,
    /// The last attempt to reach the vault had no answer.
    pub outage: bool,
    closed: bool,
}

/// The moment at which a snapshot's read transaction begins. What is pending then becomes the cut that the snapshot stands
/// after, so that it holds what the journal holds, not a change more.
#[derive(Debug, Default)]
pub(super) enum Barrier {
    #[default]
    None,
    /// A source was asked to begin, under this number: another one that is late does not answer for it.
    Asked(u64),
    /// It has begun: what was pending, and the last change that the transaction sees.
    Reached(Cut, ChangeNo),
}

impl JournalShared {
    pub fn new(confirmed_at: Instant, head: Seq) -> Self {
        let book = JournalBook {
            last: ChangeNo::ZERO,
            pending: Cut::default(),
            wanted: ChangeNo::ZERO,
            confirmations: Vec::new(),
            keepings: Vec::new(),
            source: None,
            record: Decision::default(),
            barrier: Barrier::None,
            barriers: 0,
            closing: false,
            abandoned: false,
            confirmed_at,
            outage: false,
            closed: false,
        };
        Self {
            book: Mutex::new(book),
            wake: Notify::new(),
            progress: watch::Sender::new(DurableProgress { durable: ChangeNo::ZERO, closed: None }),
            loss: watch::Sender::new(None),
            losses: AtomicU64::new(0),
            refused_snapshots: AtomicU64::new(0),
            head: AtomicU64::new(head.0),
            over: CancellationToken::new(),
        }
    }

    /// Every change to a book is a single step, so one that a panic has interrupted is still good.
    pub fn book(&self) -> MutexGuard<'_, JournalBook> {
        lock(&self.book)
    }

    pub fn record(&self, changes: Vec<Change>, decision: Option<Decision>) -> ChangeNo {
        let (number, first) = {
            let mut book = self.book();
            if changes.is_empty() && decision.is_none() {
                return book.last;
            }
            book.last = book.last.next();
            let (number, first) = (book.last, book.pending.is_empty());
            if !book.closed {
                book.pending.add(changes, decision, number);
            }
            (number, first)
        };
        if first {
            self.wake.notify_one();
        }
        number
    }

    pub async fn wait(&self, number: ChangeNo) -> Result<(), JournalClosedError> {
        let mut progress = self.progress.subscribe();
        {
            let mut book = self.book();
            if book.wanted < number {
                book.wanted = number;
                self.wake.notify_one();
            }
        }
        let settled = progress.wait_for(|now| now.closed.is_some() || now.durable >= number).await;
        // `self` holds the sender.
        let now = settled.expect("the sender outlives its receiver").clone();
        match now.closed {
            None => Ok(()),
            Some(JournalClosedError::Stopped) if now.durable >= number => Ok(()),
            Some(closed) => Err(closed),
        }
    }

    pub async fn confirm(&self) -> Result<(), ConfirmError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut book = self.book();
            // Dropped otherwise, and not only at the end: nobody would answer.
            if book.closed { drop(answer) } else { book.confirmations.push(answer) }
        }
        self.wake.notify_one();
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(ConfirmError::Closed(self.closed().await)),
        }
    }

    pub async fn keep(&self, purpose: SnapshotPurpose) -> Result<SnapshotId, SnapshotError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut book = self.book();
            // Dropped otherwise, and not only at the end: nobody would answer.
            if book.closed { drop(answer) } else { book.keepings.push(Keeping { purpose, answer }) }
        }
        self.wake.notify_one();
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(SnapshotError::Closed(self.closed().await)),
        }
    }

    pub async fn closed(&self) -> JournalClosedError {
        let mut progress = self.progress.subscribe();
        let settled = progress.wait_for(|now| now.closed.is_some()).await;
        settled.expect("the sender outlives its receiver").closed.clone().unwrap_or(JournalClosedError::Stopped)
    }

    /// The source's read transaction has begun: what is pending belongs to it, what comes now does not. The caller holds the lock
    /// under which it records.
    pub fn reach_barrier(&self, asked: u64) {
        let mut book = self.book();
        if matches!(book.barrier, Barrier::Asked(now) if now == asked) {
            book.barrier = Barrier::Reached(std::mem::take(&mut book.pending), book.last);
            self.wake.notify_one();
        }
    }

    /// The end, for good: the first reason stays. Whoever asks for something from now on learns it at once.
    pub fn close(&self, closed: JournalClosedError) {
        {
            let mut book = self.book();
            book.closed = true;
            book.pending = Cut::default();
            book.source = None;
            // Dropped unanswered: they ask for the reason.
            book.confirmations.clear();
            book.keepings.clear();
        }
        self.over.cancel();
        self.progress.send_modify(|now| {
            now.closed.get_or_insert(closed);
        });
    }
}

impl JournalBook {
    /// Puts up a barrier; its number.
    pub fn ask_barrier(&mut self) -> u64 {
        self.barriers += 1;
        self.barrier = Barrier::Asked(self.barriers);
        self.barriers
    }
}

impl std::fmt::Debug for JournalBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalBook")
            .field("last", &self.last)
            .field("wanted", &self.wanted)
            .field("outage", &self.outage)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
