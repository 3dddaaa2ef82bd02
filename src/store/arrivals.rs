//! The messages that are on their way through the library: they have come in, and are not yet kept.
//!
//! The library decrypts a message, which moves the ratchet of its session in a cache, and then hands us the message to
//! keep. In between, whoever flushes that cache to the store (25 ms after another message, before a send, at the end of
//! a connection) writes a ratchet that has used up a message which nobody has (whatsapp-rust 0.7.0
//! `message/receive.rs`, `signal_flush.rs`). A process that dies there finds WhatsApp's repeat to be a duplicate, and
//! can only ask the phone for it. So such a write waits ([`super::signal_queue`]) for the messages that may be between
//! the two, however long they take.
//!
//! Only the first message of each chat can be: the library works through a chat in order. While it drains the offline
//! queue nothing waits here, since it then keeps what it has decrypted before it writes the cache
//! (`message/commit_batch.rs`).
//!
//! Some messages are never kept: a repeat, a key alone, a message that does not open. Their end is the event or the
//! stanza by which the library answers them. A message that has not opened once and comes again has neither if it does
//! not open this time either: the event comes once for an id, and the stanza, which then carries keys, waits for an
//! upload of keys, which waits for the wire, which waits for the queue. So it is waited for briefly
//! ([`Traveller::failed_before`]).
//!
//! The library queues what comes without a bound. So the bytes that are on their way are counted, of the tenant and of
//! all, for who slows the line down ([`Arrivals::until_crowded`]).

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::channel::oneshot;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};
use whatsapp_rust::wacore_binary::Node;

use crate::sync::lock;

/// The library tells of a stanza within this time after it has read it.
const LAG: Duration = Duration::from_millis(5);

/// Messages that are remembered at the same time. Behind so many, new ones are not waited for.
const MOST: usize = 10_000;

/// Messages whose answers are watched for at the same time: the library compares each stanza that it sends with all of them.
const MOST_WATCHED: usize = 256;

/// Bytes on their way of one tenant, above which it is crowded. More than the library gathers of the offline queue before it hands it on
/// (4 MiB, `message/commit_batch.rs`).
const CROWD: usize = 6 << 20;

/// As [`CROWD`], while all tenants together have more than [`CROWD_OF_ALL`].
const SHARE: usize = 256 << 10;

/// A message on its way costs its bytes; one that is being kept some times as many.
const CROWD_OF_ALL: usize = 48 << 20;

/// Ids of messages that have not opened, remembered for one connection.
const MOST_FAILED: usize = 1000;

/// How often arrivals are looked at while the line is not read: an answer that the library sends wakes nobody.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes on their way of all tenants of this process.
static BYTES_OF_ALL: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
pub struct Arrivals {
    table: Mutex<ArrivalTable>,
    /// One went a step further, or there are many.
    moved: Notify,
    /// On their way.
    bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct ArrivalTable {
    /// The offline queue is over.
    live: bool,
    chats: HashMap<Arc<str>, VecDeque<Arrival>>,
    /// The messages, each with its chat: who writes chooses the id, and two may choose the same.
    places: BTreeSet<(String, Arc<str>)>,
    /// Messages that have not opened.
    failed: HashSet<String>,
}

struct Arrival {
    id: String,
    failed_before: bool,
    at: Instant,
    stage: ArrivalStage,
    answer: SentAnswer,
    weight: Weight,
    /// Of one that the tenant's own phone wrote: to whom.
    recipient: Option<String>,
}

/// Bytes that count while it lives.
struct Weight {
    bytes: usize,
    sum: Arc<AtomicUsize>,
}

impl Weight {
    fn new(bytes: usize, sum: Arc<AtomicUsize>) -> Self {
        sum.fetch_add(bytes, Ordering::Relaxed);
        BYTES_OF_ALL.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, sum }
    }

    fn write_off(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.sum.fetch_sub(bytes, Ordering::Relaxed);
        BYTES_OF_ALL.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.write_off();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ArrivalStage {
    Travelling,
    /// It is decrypted, and being kept.
    Entering,
    Kept,
}

/// Resolves when the library builds a stanza that answers a message: one receiver for each form of an answer.
pub type SentAnswer = Vec<oneshot::Receiver<Arc<Node>>>;

/// A message that may just be between its decryption and its being kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traveller {
    chat: Arc<str>,
    id: String,
    /// It has come before in this connection, and did not open.
    failed_before: bool,
}

impl Traveller {
    pub(super) fn failed_before(&self) -> bool {
        self.failed_before
    }
}

impl Arrivals {
    /// A connection begins. Whatever the last one left will come again.
    pub fn begin(&self) {
        *self.table() = ArrivalTable::default();
        self.moved.notify_waiters();
    }

    /// The offline queue is drained.
    pub fn go_live(&self) {
        self.table().live = true;
    }

    /// The library has read a message of so many bytes from the wire; it answers it with a stanza that resolves `answer`.
    pub fn came(
        &self,
        chat: &str,
        id: &str,
        recipient: Option<String>,
        bytes: usize,
        answer: impl FnOnce() -> SentAnswer,
    ) {
        let mut table = self.table();
        let name: Arc<str> = table.chats.get_key_value(chat).map_or_else(|| chat.into(), |(name, _)| name.clone());
        if table.places.len() >= MOST || !table.places.insert((id.to_owned(), name.clone())) {
            return;
        }
        let answer = if table.places.len() <= MOST_WATCHED { answer() } else { Vec::new() };
        let weight = Weight::new(bytes, self.bytes.clone());
        let failed_before = table.failed.contains(id);
        let (id, at) = (id.to_owned(), Instant::now());
        let arrival = Arrival { id, failed_before, at, stage: ArrivalStage::Travelling, answer, weight, recipient };
        table.chats.entry(name).or_default().push_back(arrival);
        drop(table);
        if self.is_crowded() {
            self.moved.notify_waiters();
        }
    }

    /// The age of a message on its way; `None` if it is not tracked, or over.
    pub fn age(&self, chat: &str, id: &str) -> Option<Duration> {
        let table = self.table();
        let queue = table.chats.get(&table.place(chat, id)?)?;
        Some(queue.iter().find(|arrival| arrival.id == id)?.at.elapsed())
    }

    /// Whom the tenant's own phone has written something that is on its way here. All that it writes goes through one queue of the
    /// library's, which may be behind those of the customers who answer. What has been on its way for `longest` may never be over, and does
    /// not count.
    pub fn recipients(&self, longest: Duration) -> HashSet<String> {
        let mut table = self.table();
        table.drop_answered();
        let young = table.chats.values().flatten().filter(|arrival| arrival.at.elapsed() < longest);
        young.filter_map(|arrival| arrival.recipient.clone()).collect()
    }

    fn room(&self) -> usize {
        if BYTES_OF_ALL.load(Ordering::Relaxed) > CROWD_OF_ALL { SHARE } else { CROWD }
    }

    fn is_crowded(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.room()
    }

    /// Returns when there is too much on its way.
    pub async fn until_crowded(&self) {
        self.until(|| self.is_crowded()).await;
    }

    /// Returns when there is room again. If the bytes do not shrink for `patience`, stops counting them (a message may
    /// end without a trace), except while the store or the vault has one in hand. Soon, since WhatsApp's answers come
    /// on the same line.
    pub async fn until_eased(&self, patience: Duration) {
        let mut least = usize::MAX;
        let mut deadline = Instant::now() + patience;
        loop {
            let moved = self.moved.notified();
            let is_being_kept = {
                let mut table = self.table();
                table.drop_answered();
                // Kept here and not finished with: the vault is waited for.
                table.chats.values().flatten().any(|arrival| arrival.stage != ArrivalStage::Travelling)
            };
            let bytes = self.bytes.load(Ordering::Relaxed);
            let room = self.room();
            if bytes <= room - room / 16 {
                return;
            }
            if bytes < least || is_being_kept {
                least = bytes;
                deadline = Instant::now() + patience;
            } else if Instant::now() >= deadline {
                self.table().chats.values_mut().flatten().for_each(|arrival| arrival.weight.write_off());
                return;
            }
            let _ = timeout(LOOK, moved).await;
        }
    }

    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let moved = self.moved.notified();
            if done() {
                return;
            }
            moved.await;
        }
    }

    /// The library hands over messages to keep: the chat and the id of each.
    pub(super) fn enters<'a>(&self, messages: impl IntoIterator<Item = (&'a str, &'a str)>) {
        messages.into_iter().for_each(|(chat, id)| self.advance(chat, id, Some(ArrivalStage::Entering)));
    }

    /// The store has a message; the library has not finished with it.
    pub(super) fn kept<'a>(&self, messages: impl IntoIterator<Item = (&'a str, &'a str)>) {
        messages.into_iter().for_each(|(chat, id)| self.advance(chat, id, Some(ArrivalStage::Kept)));
    }

    /// The library has finished with a message.
    pub fn finished<'a>(&self, messages: impl IntoIterator<Item = (&'a str, &'a str)>) {
        messages.into_iter().for_each(|(chat, id)| self.advance(chat, id, None));
    }

    /// The library could not open a message, and has finished with it for now.
    pub fn failed(&self, chat: &str, id: &str) {
        let mut table = self.table();
        if table.failed.len() < MOST_FAILED {
            table.failed.insert(id.to_owned());
        }
        drop(table);
        self.finished([(chat, id)]);
    }

    /// The messages before it in its chat are over, and so is it, unless it has come to a stage.
    fn advance(&self, chat: &str, id: &str, stage: Option<ArrivalStage>) {
        let mut table = self.table();
        let Some(name) = table.place(chat, id) else { return };
        let ArrivalTable { chats, places, .. } = &mut *table;
        let Some(queue) = chats.get_mut(&name) else { return };
        while let Some(first) = queue.front_mut() {
            let is_it = first.id == id;
            if is_it && let Some(stage) = stage {
                first.stage = stage;
                break;
            }
            places.remove(&(std::mem::take(&mut first.id), name.clone()));
            queue.pop_front();
            if is_it {
                break;
            }
        }
        if queue.is_empty() {
            chats.remove(&name);
        }
        drop(table);
        self.moved.notify_waiters();
    }

    /// The messages that may have been decrypted by now and are not kept.
    pub(super) fn travellers(&self) -> Vec<Traveller> {
        let mut table = self.table();
        table.drop_answered();
        let chats = table.chats.iter().filter(|_| table.live);
        let unkept = chats.filter_map(|(chat, queue)| {
            let first = queue.front().filter(|first| first.stage != ArrivalStage::Kept)?;
            Some(Traveller { chat: chat.clone(), id: first.id.clone(), failed_before: first.failed_before })
        });
        unkept.collect()
    }

    /// The stage that a message has reached.
    pub(super) fn progress(&self, traveller: &Traveller) -> ArrivalProgress {
        let mut table = self.table();
        table.drop_answered();
        let first = table.chats.get(&traveller.chat).and_then(VecDeque::front);
        match first.filter(|first| first.id == traveller.id).map(|first| first.stage) {
            None | Some(ArrivalStage::Kept) => ArrivalProgress::Over,
            Some(ArrivalStage::Entering) => ArrivalProgress::Entering,
            Some(ArrivalStage::Travelling) => ArrivalProgress::Travelling,
        }
    }

    /// Nobody waits any longer for those of which nothing is heard. One that is being kept stays.
    pub(super) fn give_up(&self, travellers: &[Traveller]) {
        for traveller in travellers.iter().filter(|traveller| self.progress(traveller) == ArrivalProgress::Travelling) {
            self.advance(&traveller.chat, &traveller.id, None);
        }
    }

    /// Resolves when a message goes a step further. Make it before you look. An answer that the library sends wakes nobody.
    pub(super) fn moved(&self) -> impl Future<Output = ()> {
        self.moved.notified()
    }

    /// Returns when the library has finished with everything, or after the limit. Nothing must be read from the wire any more.
    pub async fn drain(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let moved = self.moved.notified();
            if self.table().chats.is_empty() {
                sleep(LAG).await;
                if self.table().chats.is_empty() {
                    return;
                }
            } else if timeout_at(deadline, moved).await.is_err() {
                return;
            }
        }
    }

    /// Returns when the library has finished with all that has come until now, or after the limit.
    pub async fn settle(&self, limit: Duration) {
        let come = self.table().places.clone();
        let deadline = Instant::now() + limit;
        loop {
            let moved = self.moved.notified();
            let is_settled = {
                let mut table = self.table();
                table.drop_answered();
                come.is_disjoint(&table.places)
            };
            if is_settled || timeout_at(deadline, moved).await.is_err() {
                return;
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, ArrivalTable> {
        lock(&self.table)
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrivalProgress {
    /// Somewhere in the library; it may be decrypted.
    Travelling,
    /// It is being kept.
    Entering,
    /// It is kept, or never will be.
    Over,
}

impl ArrivalTable {
    /// The chat of a message, as the wire named it. The library names that of what the own phone wrote otherwise: then the id alone tells.
    fn place(&self, chat: &str, id: &str) -> Option<Arc<str>> {
        let first: (String, Arc<str>) = (id.to_owned(), "".into());
        let names = self.places.range(first..).take_while(|(of, _)| of == id).map(|(_, name)| name);
        names.clone().find(|name| &***name == chat).or_else(|| names.clone().next()).cloned()
    }

    /// Those that the library has answered without handing them over are over.
    fn drop_answered(&mut self) {
        let Self { chats, places, .. } = self;
        chats.retain(|name, queue| {
            while let Some(first) = queue.front_mut()
                && first.stage == ArrivalStage::Travelling
                && first.answer.iter_mut().any(|answer| matches!(answer.try_recv(), Ok(Some(_))))
            {
                places.remove(&(std::mem::take(&mut first.id), name.clone()));
                queue.pop_front();
            }
            !queue.is_empty()
        });
    }
}
