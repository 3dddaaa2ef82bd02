//! The outbox: messages that go out. It accepts a message when it is durable, whole: its id, its text, its secrets; so a repeat after
//! a crash is the same message. WhatsApp's ack or a receipt settles it, or it fails with a reason. Owns the outbox records and their
//! order; does not send.
//!
//! It takes nothing back that was written once. A caller without an answer in time learns that the outcome is unknown.
//!
//! `accept.rs` writes messages, `settling.rs` what becomes of them; `queue.rs` is what the courier asks, over the order in
//! `backlog.rs`; `lookups.rs` is what others ask, and `record.rs` reads the records.

mod accept;
mod backlog;
mod lookups;
mod queue;
mod record;
mod settling;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as SyncMutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use ulid::Ulid;

use self::{
    backlog::Backlog,
    record::{decode, expiry, next_page, order_of, parcel_of, parse, timing_of},
};
pub use self::{
    backlog::{BacklogSize, WaitingMessage},
    lookups::{Accepted, Unsettled},
};
use super::{Delivery, Failure, Message, event_body::EventBody, log::Log};
use crate::{
    clock::Clock,
    humanize::Manner,
    journal::{ChangeNo, JournalClosedError},
    store::{Batch, Store, StoreError, key, records::OutboxRecord, space},
    sync::lock,
};

/// KiB of messages that may wait for the vault at the same time, to be accepted. Each counts as one at least.
const ROOM_KIB: u32 = 16 * 1024;

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub message: Message,
    /// The whole protobuf, with its message secret.
    pub body: Bytes,
    /// Of what the consumer asked for, to tell a repeat from another message under the same key.
    pub digest: [u8; 32],
    /// The consumer's idempotency key.
    pub key: Option<String>,
    /// Jids of those whom a status goes to; of other messages their chat says it.
    pub audience: Vec<String>,
    /// How long it may wait to be sent, when that is less than usual.
    pub ttl: Option<Duration>,
    /// A bot says it.
    pub from_bot: bool,
    /// How it is said, when that takes its time.
    pub manner: Option<Manner>,
    /// It answers nobody.
    pub is_notice: bool,
    /// To whoever never wrote, and was never written to.
    pub is_first_contact: bool,
}

/// What a bot decided of a chat: one change, however much it is.
#[derive(Default)]
pub struct BotDecision {
    /// What the bot keeps of it.
    pub batch: Batch,
    /// What else happened, before the messages.
    pub events: Vec<EventBody>,
    pub messages: Vec<Outgoing>,
    /// All names of a chat in which somebody else speaks now: what bots said there and nobody has begun to send is not sent any more.
    pub supersedes: Vec<String>,
    /// Ids of what is said in another way now, and is not sent. All of them, or the decision is refused: one may be on its way.
    pub withdraws: Vec<String>,
}

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// Nothing was written.
    #[error("what was to be taken back may have left")]
    OnItsWay,
    /// As many bytes as may wait to be sent. Nothing was written.
    #[error("as much waits to be sent as may")]
    Full,
    /// Nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was written here. Nobody knows whether the vault has it, and so whether the next owner sends it.
    #[error("the vault did not confirm the message: {0}")]
    Unconfirmed(JournalClosedError),
}

/// What a consumer is answered that wants something sent.
#[derive(Debug, Clone)]
pub struct Acceptance {
    pub message: Message,
    /// How far it has come. A repeat is told of the first.
    pub delivery: Delivery,
    /// Why it is not sent any more.
    pub failure: Option<Failure>,
}

pub struct Outbox {
    store: Arc<Store>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    /// How long a message waits to be sent.
    ttl: Duration,
    /// Bytes that may wait to be sent.
    waiting_bytes: usize,
    /// Held from reading a record to writing it.
    writing: Mutex<()>,
    backlog: SyncMutex<Backlog>,
    /// The last that a former process accepted.
    inherited: Ulid,
    /// Something new is in the backlog.
    news: Notify,
    room: Arc<Semaphore>,
    /// Since when the acceptances wait that the vault has not confirmed.
    waits: SyncMutex<BTreeMap<u64, Instant>>,
}

impl Outbox {
    /// Reads what a former process has accepted and not sent: before anything new is accepted.
    pub async fn open(
        store: Arc<Store>,
        log: Arc<Log>,
        clock: Arc<dyn Clock>,
        ttl: Duration,
        waiting_bytes: usize,
    ) -> Result<Self, StoreError> {
        let mut backlog = Backlog::default();
        let mut after = None;
        loop {
            let mut page = next_page(&store, &mut after).await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|(record, _)| backlog.know(order_of(record)));
            page.retain(|(record, _)| decode(record.state()) == Delivery::Accepted);
            if page.is_empty() {
                continue;
            }
            let names = store.names_of_each(page.iter().map(|(record, _)| record.chat.clone()).collect()).await?;
            for ((record, bytes), names) in page.into_iter().zip(names) {
                let (expires_at_ms, chat) = (expiry(&record, ttl), lane_of(&backlog, &names));
                let (change, from_bot, timing) = (ChangeNo::ZERO, record.from_bot, timing_of(&record));
                let (id, parcel) = (record.id.as_str().into(), parcel_of(&record));
                let waiting = WaitingMessage { id, chat, expires_at_ms, change, from_bot, timing, parcel, bytes };
                backlog.add(order_of(&record), waiting);
            }
        }
        Ok(Self {
            store,
            log,
            clock,
            ttl,
            waiting_bytes,
            writing: Mutex::new(()),
            inherited: backlog.last(),
            backlog: SyncMutex::new(backlog),
            news: Notify::new(),
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
            waits: SyncMutex::default(),
        })
    }

    /// Room for a message of so many bytes, to be held while it is accepted. Bounds what waits when the vault stalls.
    pub async fn room(&self, bytes: usize) -> OwnedSemaphorePermit {
        let kib = u32::try_from(bytes / 1024).unwrap_or(ROOM_KIB).clamp(1, ROOM_KIB);
        self.room.clone().acquire_many_owned(kib).await.expect("nobody closes the room")
    }

    /// Whether a message of so many bytes may wait to be sent beside those that wait. What a bot decides is not asked: it answers
    /// what has come, and is no flood.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.backlog().has_room(bytes, self.waiting_bytes)
    }

    /// Whether an acceptance waits for the vault for longer than that: the next would, too.
    pub fn is_stalled(&self, limit: Duration) -> bool {
        let waits = lock(&self.waits);
        waits.values().next().is_some_and(|since| since.elapsed() > limit)
    }

    async fn record(&self, id: &str) -> Result<Option<OutboxRecord>, StoreError> {
        let value = self.store.get(space::OUTBOX, &key::outbox(id)).await?;
        value.map(parse).transpose()
    }

    /// Each change to it is a single step, so one that a panic has interrupted is still good.
    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        lock(&self.backlog)
    }
}

/// The lane of a conversation with these names, the current one first. If messages wait under an older name, that lane:
/// they were accepted first.
fn lane_of(backlog: &Backlog, names: &[String]) -> Arc<str> {
    let open = names.iter().find(|name| backlog.head(name).is_some());
    open.unwrap_or(&names[0]).as_str().into()
}
