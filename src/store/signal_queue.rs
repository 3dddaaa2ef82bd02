//! The writes of Signal state that wait for messages.
//!
//! The library flushes its cache of ratchets when it likes. A flush may hold the step that a message made which is not
//! yet kept ([`super::arrivals`]); were it stored first, a process that dies in between would lose the message. The
//! flush cannot be held up for that: it holds the locks that the message may need to go on. So it is queued, in memory
//! and in order, and the library reads it as if it were stored; it is written once the messages are kept that were on
//! their way when it came.
//!
//! A process that dies loses the queue, and nothing by it: WhatsApp repeats the messages that were not kept, and under
//! the steps that wait here nothing has been sent, since the gate before the wire waits for the queue as well
//! (`session::wire_gate`).
//!
//! Never: a write before another that came before it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    arrivals::{ArrivalProgress, Arrivals, Traveller},
    key::Key,
    space::Space,
};
use crate::{journal::ChangeNo, sync::lock};

/// The bytes that may wait here. Beyond that the first are written, whatever becomes of their messages: the phone has
/// a message that is lost.
const MOST_BYTES: usize = 8 << 20;

/// One call of the library.
#[derive(Debug, Clone)]
pub(super) enum SignalWrite {
    /// Records whose lease decides whether they must be durable ([`super::gates`]).
    Leased(Space, Vec<(Key, Bytes)>),
    Put(Space, Vec<(Key, Bytes)>),
    Delete(Space, Key),
}

#[derive(Default)]
pub(super) struct SignalQueue {
    state: Mutex<QueueState>,
    /// A write was queued, written, or dropped.
    changed: Notify,
}

#[derive(Default)]
struct QueueState {
    queue: VecDeque<Queued>,
    bytes: usize,
    /// How many writes have been queued ever, and how many of them are written or dropped.
    queued: u64,
    done: u64,
    /// Counts the times that what waited was dropped.
    drops: u64,
    /// The last change of a written one that must be durable.
    gate: Option<ChangeNo>,
}

struct Queued {
    write: SignalWrite,
    travellers: Vec<Traveller>,
}

/// The first write, as it is now.
pub(super) enum QueueHead {
    None,
    /// It waits for messages.
    Waits {
        /// Tells one head from the next.
        head: u64,
        /// None of them has opened when it came before, see [`super::arrivals`].
        for_failed_ones: bool,
    },
    Ready(SignalWrite),
}

/// The place in the queue behind all that waits now.
#[derive(Clone, Copy)]
pub(super) struct QueueMark {
    queued: u64,
    drops: u64,
}

/// The outcome of the writes before a mark.
pub(super) enum Outcome {
    Waiting,
    /// They are written; this change must be durable.
    Written(Option<ChangeNo>),
    Dropped,
}

impl SignalQueue {
    /// Queues a write if it has to wait; else it comes back.
    pub(super) fn push(&self, arrivals: &Arrivals, write: SignalWrite) -> Option<SignalWrite> {
        let travellers = arrivals.travellers();
        let mut state = self.state();
        if travellers.is_empty() && state.queue.is_empty() {
            return Some(write);
        }
        state.bytes += write.bytes();
        state.queued += 1;
        state.queue.push_back(Queued { write, travellers });
        drop(state);
        self.changed.notify_waiters();
        None
    }

    pub(super) fn head(&self, arrivals: &Arrivals) -> QueueHead {
        let state = self.state();
        let Some(head) = state.queue.front() else { return QueueHead::None };
        let mut unsettled =
            head.travellers.iter().filter(|waits| arrivals.progress(waits) != ArrivalProgress::Over).peekable();
        if state.bytes > MOST_BYTES || unsettled.peek().is_none() {
            return QueueHead::Ready(head.write.clone());
        }
        QueueHead::Waits { head: state.done, for_failed_ones: unsettled.all(Traveller::failed_before) }
    }

    /// The messages that the first write waits for have had their time; no other write waits for them either.
    pub(super) fn give_up(&self, arrivals: &Arrivals) {
        if let Some(head) = self.state().queue.front() {
            arrivals.give_up(&head.travellers);
        }
    }

    /// The first write is written; `gate` must be durable.
    pub(super) fn pop(&self, gate: Option<ChangeNo>) {
        let mut state = self.state();
        if let Some(head) = state.queue.pop_front() {
            state.bytes -= head.write.bytes();
            state.done += 1;
            state.gate = state.gate.max(gate);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Drops what waits. The library's client is gone, or will be before anything else is asked for.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        if !state.queue.is_empty() {
            state.drops += 1;
        }
        state.done = state.queued;
        state.bytes = 0;
        state.queue.clear();
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn mark(&self) -> QueueMark {
        let state = self.state();
        QueueMark { queued: state.queued, drops: state.drops }
    }

    pub(super) fn outcome(&self, mark: QueueMark) -> Outcome {
        let state = self.state();
        match () {
            () if state.drops != mark.drops => Outcome::Dropped,
            () if state.done < mark.queued => Outcome::Waiting,
            () => Outcome::Written(state.gate),
        }
    }

    /// The library's last write under a key, if it waits here: a record, or its deletion.
    pub(super) fn find(&self, space: Space, key: &[u8]) -> Option<Option<Bytes>> {
        self.state().queue.iter().rev().find_map(|queued| queued.write.find(space, key))
    }

    /// Whether a record waits here under a key that begins so.
    pub(super) fn has_prefix(&self, space: Space, prefix: &[u8]) -> bool {
        let keys: Vec<Key> =
            self.state().queue.iter().flat_map(|queued| queued.write.put_under(space, prefix)).collect();
        keys.iter().any(|key| matches!(self.find(space, key), Some(Some(_))))
    }

    /// Resolves when the queue changes. Make it before you look.
    pub(super) fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }
}

impl SignalWrite {
    fn bytes(&self) -> usize {
        match self {
            Self::Leased(_, records) | Self::Put(_, records) => {
                records.iter().map(|(key, record)| key.len() + record.len()).sum()
            }
            Self::Delete(_, key) => key.len(),
        }
    }

    fn find(&self, space: Space, key: &[u8]) -> Option<Option<Bytes>> {
        match self {
            Self::Leased(of, records) | Self::Put(of, records) if *of == space => {
                records.iter().rev().find(|(written, _)| **written == *key).map(|(_, record)| Some(record.clone()))
            }
            Self::Delete(of, deleted) if *of == space && **deleted == *key => Some(None),
            _ => None,
        }
    }

    fn put_under(&self, space: Space, prefix: &[u8]) -> Vec<Key> {
        match self {
            Self::Leased(of, records) | Self::Put(of, records) if *of == space => {
                records.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(key, _)| key.clone()).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::space, *};

    const A: &[u8] = b"a";

    fn put(key: &[u8], record: &'static [u8]) -> SignalWrite {
        SignalWrite::Leased(space::SESSIONS, vec![(Key::from(key), Bytes::from_static(record))])
    }

    fn live() -> (Arrivals, SignalQueue) {
        let arrivals = Arrivals::default();
        arrivals.begin();
        arrivals.go_live();
        (arrivals, SignalQueue::default())
    }

    fn is_ready(queue: &SignalQueue, arrivals: &Arrivals) -> bool {
        matches!(queue.head(arrivals), QueueHead::Ready(_))
    }

    #[test]
    fn a_write_waits_for_the_messages_before_it_and_for_no_later_one() {
        let (arrivals, queue) = live();
        assert!(queue.push(&arrivals, put(A, b"0")).is_some(), "nothing to wait for");
        arrivals.came("chat", "1", None, 1, Vec::new);
        assert!(queue.push(&arrivals, put(A, b"1")).is_none());
        assert_eq!(queue.find(space::SESSIONS, A), Some(Some(Bytes::from_static(b"1"))));
        arrivals.came("other", "2", None, 1, Vec::new);
        assert!(!is_ready(&queue, &arrivals));
        let mark = queue.mark();
        arrivals.kept([("chat", "1")]);
        assert!(is_ready(&queue, &arrivals));
        assert!(
            queue.push(&arrivals, SignalWrite::Delete(space::SESSIONS, Key::from(A))).is_none(),
            "behind the first"
        );
        assert_eq!(queue.find(space::SESSIONS, A), Some(None), "the latest counts");
        queue.pop(None);
        assert!(matches!(queue.outcome(mark), Outcome::Written(None)));
        assert!(!is_ready(&queue, &arrivals), "the second waits for the other chat");
        arrivals.kept([("other", "2")]);
        assert!(is_ready(&queue, &arrivals));
    }

    #[test]
    fn a_write_behind_one_that_waits_keeps_its_place() {
        let (arrivals, queue) = live();
        arrivals.came("chat", "1", None, 1, Vec::new);
        assert!(queue.push(&arrivals, put(A, b"1")).is_none());
        arrivals.finished([("chat", "1")]);
        assert!(queue.push(&arrivals, put(A, b"2")).is_none(), "nothing travels, but the first is not written");
        assert!(queue.has_prefix(space::SESSIONS, A));
        assert!(!queue.has_prefix(space::IDENTITIES, A));
    }

    #[test]
    fn one_of_which_nothing_is_heard_is_given_up_once_and_for_all() {
        let (arrivals, queue) = live();
        arrivals.came("chat", "1", None, 1, Vec::new);
        assert!(queue.push(&arrivals, put(A, b"1")).is_none());
        assert!(!is_ready(&queue, &arrivals));
        queue.give_up(&arrivals);
        assert!(is_ready(&queue, &arrivals));
        queue.pop(None);
        assert!(queue.push(&arrivals, put(A, b"2")).is_some(), "the next write waits for it again");
    }

    #[test]
    fn one_that_has_not_opened_before_is_told_from_the_others() {
        let (arrivals, queue) = live();
        arrivals.came("chat", "1", None, 1, Vec::new);
        arrivals.failed("chat", "1");
        assert!(queue.push(&arrivals, put(A, b"0")).is_some(), "it is over");
        arrivals.came("chat", "1", None, 1, Vec::new);
        arrivals.came("other", "2", None, 1, Vec::new);
        assert!(queue.push(&arrivals, put(A, b"1")).is_none());
        assert!(matches!(queue.head(&arrivals), QueueHead::Waits { for_failed_ones: false, .. }));
        arrivals.kept([("other", "2")]);
        assert!(matches!(queue.head(&arrivals), QueueHead::Waits { for_failed_ones: true, .. }));
        arrivals.kept([("chat", "1")]);
        assert!(is_ready(&queue, &arrivals), "this time it opened");
        // The next connection asks anew.
        arrivals.begin();
        arrivals.go_live();
        queue.clear();
        arrivals.came("chat", "1", None, 1, Vec::new);
        assert!(queue.push(&arrivals, put(A, b"2")).is_none());
        assert!(matches!(queue.head(&arrivals), QueueHead::Waits { for_failed_ones: false, .. }));
    }

    #[test]
    fn one_that_is_being_kept_is_never_given_up() {
        let (arrivals, queue) = live();
        arrivals.came("chat", "1", None, 1, Vec::new);
        assert!(queue.push(&arrivals, put(A, b"1")).is_none());
        arrivals.enters([("chat", "1")]);
        queue.give_up(&arrivals);
        assert!(!is_ready(&queue, &arrivals));
    }

    #[test]
    fn what_is_dropped_is_not_written() {
        let (arrivals, queue) = live();
        arrivals.came("chat", "1", None, 1, Vec::new);
        assert!(queue.push(&arrivals, put(A, b"1")).is_none());
        let mark = queue.mark();
        assert!(matches!(queue.outcome(mark), Outcome::Waiting));
        queue.clear();
        assert!(matches!(queue.outcome(mark), Outcome::Dropped));
        assert_eq!(queue.find(space::SESSIONS, A), None);
        assert!(matches!(queue.outcome(queue.mark()), Outcome::Written(None)));
    }

    #[test]
    fn too_much_waits_for_nothing() {
        let (arrivals, queue) = live();
        arrivals.came("chat", "1", None, 1, Vec::new);
        let large = SignalWrite::Put(space::SESSIONS, vec![(Key::from(A), Bytes::from(vec![0; MOST_BYTES]))]);
        assert!(queue.push(&arrivals, large).is_none());
        assert!(is_ready(&queue, &arrivals));
    }
}
