//! The messages that are on their way through the library: they have come in, and are not yet kept.
//!
//! The library decrypts a message, which moves the ratchet of its session in a cache, and then hands us the message to keep. In
//! between, whoever writes that cache to the store (25 ms after another message, before a send, at the end of a connection)
//! writes a ratchet that has used up a message which nobody has (whatsapp-rust 0.7.0 `message/receive.rs`, `signal_flush.rs`). A
//! process that dies or stops there finds WhatsApp's repeat to be a duplicate, and can only ask the phone for it. So such a write
//! waits for the messages that may just be between the two.
//!
//! Only the first message of each chat can be: the library works through a chat in order. While it drains the offline queue
//! nothing waits here, since it then keeps what it has decrypted before it writes the cache (`message/commit_batch.rs`).
//!
//! Some messages are never kept: a repeat, a key alone, what does not open. They are waited for like the others, but for
//! [`KEEP_TIMEOUT`] in all.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

/// Longer than the library needs from the decryption of a message to keeping it. A write that comes just before the decryption
/// waits so long for nothing: the library holds the lock of its cache while it writes, and the message cannot go on without it.
const PATIENCE: Duration = Duration::from_millis(25);

/// The same at the end of a connection: nobody waits for that, and what was not kept by then will not be.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// The first message of a chat that is not kept after so long never will be.
const KEEP_TIMEOUT: Duration = Duration::from_secs(1);

/// The library tells of a stanza within this time after it has read it.
const LAG: Duration = Duration::from_millis(5);

/// Messages that are remembered at the same time. Behind so many, new ones are not waited for.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct Arrivals {
    table: Mutex<Table>,
    /// One is not waited for any more.
    settled: Notify,
}

#[derive(Default)]
struct Table {
    /// The offline queue is over.
    live: bool,
    /// The connection is being ended.
    ending: bool,
    chats: HashMap<Arc<str>, Chat>,
    /// The chat of each message.
    places: HashMap<String, Arc<str>>,
}

/// The messages of a chat, in the order in which they came.
#[derive(Default)]
struct Chat {
    queue: VecDeque<Arrival>,
    /// Since when the first is the first.
    since: Option<Instant>,
}

struct Arrival {
    id: String,
    is_kept: bool,
}

impl Arrivals {
    /// A connection begins. Whatever the last one left will come again.
    pub fn begin(&self) {
        *self.table() = Table::default();
        self.settled.notify_waiters();
    }

    /// The offline queue is drained.
    pub fn go_live(&self) {
        let mut table = self.table();
        table.live = true;
        let now = Instant::now();
        table.chats.values_mut().for_each(|chat| chat.since = Some(now));
    }

    /// The connection is being ended by us.
    pub fn end(&self) {
        self.table().ending = true;
    }

    /// The library has read a message from the wire.
    pub fn came(&self, chat: &str, id: &str) {
        let mut table = self.table();
        if table.places.len() >= MOST || table.places.contains_key(id) {
            return;
        }
        let name: Arc<str> = table.chats.get_key_value(chat).map_or_else(|| chat.into(), |(name, _)| name.clone());
        table.places.insert(id.to_owned(), name.clone());
        let chat = table.chats.entry(name).or_default();
        chat.since.get_or_insert_with(Instant::now);
        chat.queue.push_back(Arrival { id: id.to_owned(), is_kept: false });
    }

    /// The store has a message; the library has not finished with it.
    pub(super) fn kept<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        ids.into_iter().for_each(|id| self.advance(id, true));
    }

    /// The library has finished with a message.
    pub fn finished<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        ids.into_iter().for_each(|id| self.advance(id, false));
    }

    /// The messages before it in its chat are over, and so is it, unless it `stays`.
    fn advance(&self, id: &str, stays: bool) {
        let mut table = self.table();
        let Table { chats, places, .. } = &mut *table;
        let Some(name) = places.get(id).cloned() else { return };
        let Some(chat) = chats.get_mut(&name) else { return };
        while let Some(first) = chat.queue.front_mut() {
            let is_it = first.id == id;
            if is_it && stays {
                first.is_kept = true;
                break;
            }
            places.remove(&first.id);
            chat.queue.pop_front();
            if is_it {
                break;
            }
        }
        chat.since = Some(Instant::now());
        if chat.queue.is_empty() {
            chats.remove(&name);
        }
        drop(table);
        self.settled.notify_waiters();
    }

    /// Returns when every message that may have been decrypted by now is kept, or had its time for it.
    pub(super) async fn settle(&self) {
        let (waiting, patience): (Vec<_>, _) = {
            let table = self.table();
            let chats = table.chats.iter().filter(|_| table.live);
            let waiting = chats.filter_map(|(name, chat)| Some((name.clone(), chat.unkept()?)));
            (waiting.collect(), if table.ending { LAST_PATIENCE } else { PATIENCE })
        };
        let deadline = Instant::now() + patience;
        for (name, id) in waiting {
            loop {
                let settled = self.settled.notified();
                let is_open = {
                    let table = self.table();
                    table.chats.get(&name).and_then(Chat::unkept).is_some_and(|first| first == id)
                };
                if !is_open || timeout_at(deadline, settled).await.is_err() {
                    break;
                }
            }
        }
    }

    /// Returns when the library has finished with everything, or after the limit. Nothing must be read from the wire any more.
    pub async fn drain(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let settled = self.settled.notified();
            if self.table().chats.is_empty() {
                sleep(LAG).await;
                if self.table().chats.is_empty() {
                    return;
                }
            } else if timeout_at(deadline, settled).await.is_err() {
                return;
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chat {
    /// The first, if it is still to be kept.
    fn unkept(&self) -> Option<String> {
        let first = self.queue.front().filter(|first| !first.is_kept)?;
        self.since.filter(|since| since.elapsed() < KEEP_TIMEOUT).map(|_| first.id.clone())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn live() -> Arrivals {
        let arrivals = Arrivals::default();
        arrivals.begin();
        arrivals.go_live();
        arrivals
    }

    fn settles_at_once(arrivals: &Arrivals) -> bool {
        arrivals.settle().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_first_of_each_chat_is_waited_for_until_it_is_kept() {
        let arrivals = live();
        assert!(settles_at_once(&arrivals));
        for (chat, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
            arrivals.came(chat, id);
        }
        assert!(!settles_at_once(&arrivals));
        arrivals.kept(["1"]);
        assert!(!settles_at_once(&arrivals), "the other chat's");
        arrivals.kept(["3"]);
        assert!(settles_at_once(&arrivals), "the second of a chat waits for the first");
        arrivals.finished(["1"]);
        assert!(!settles_at_once(&arrivals), "now the second may be open");
        let (settled, ()) = tokio::join!(arrivals.settle(), async { arrivals.kept(["2"]) });
        assert_eq!(settled, ());
        arrivals.finished(["2", "3"]);
        assert!(arrivals.table().chats.is_empty());
        assert!(arrivals.table().places.is_empty());
    }

    #[tokio::test]
    async fn one_that_is_never_kept_is_not_waited_for_without_end() {
        let arrivals = live();
        arrivals.came("a", "1");
        arrivals.came("a", "2");
        let before = Instant::now();
        arrivals.settle().await;
        assert!(before.elapsed() >= PATIENCE);
        let had_its_time = async {
            while !settles_at_once(&arrivals) {
                sleep(PATIENCE).await;
            }
        };
        timeout_at(before + 10 * KEEP_TIMEOUT, had_its_time).await.expect("it had its time");
        arrivals.kept(["2"]);
        assert_eq!(arrivals.table().places.len(), 1, "what came before it is over");
        assert!(settles_at_once(&arrivals));
    }

    #[tokio::test]
    async fn nothing_waits_while_the_offline_queue_is_drained() {
        let arrivals = Arrivals::default();
        arrivals.begin();
        arrivals.came("a", "1");
        assert!(settles_at_once(&arrivals));
        arrivals.go_live();
        assert!(!settles_at_once(&arrivals));
        arrivals.begin();
        assert!(settles_at_once(&arrivals), "the next connection has it again");
    }
}
