//! Older messages of a chat, as the tenant's own phone told them when it was asked. They never were events: they did not just happen,
//! and no consumer is told of them.
//!
//! Owns their records in the tenant's store. Each has an id of an event's form, made of the time at which it was written, so that
//! they stand between the events where they belong, and a page may begin at one. They are part of the tenant's state, which every
//! snapshot has whole: their bytes are bounded, of a chat and of a tenant, and the oldest leave first.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use prost::Message as _;
use ulid::Ulid;

use super::{
    Content, Delivery, EventBody, EventId, Log, Message,
    cleared::Cleared,
    history::{self, backwards::Backwards},
};
use crate::{
    seal::Digest,
    store::{
        Batch, Store, StoreError,
        key::{self, Key},
        records::PastRecord,
        space,
    },
};

/// A message, as the phone told it.
#[derive(Debug, Clone)]
pub struct BackfilledMessage {
    pub message: Message,
    /// Its place among those of the same second; grows.
    pub order: u64,
    /// Of the protobuf what its file is fetched by; empty without one.
    pub file: Bytes,
}

/// Bytes of records.
#[derive(Debug, Clone, Copy)]
pub struct BackfillLimits {
    pub chat: usize,
    pub tenant: usize,
}

/// The outcome of keeping an answer of the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillOutcome {
    pub new: usize,
    /// The limits left some of it out.
    pub full: bool,
}

/// The messages of a chat that are known from events, or from earlier answers.
#[derive(Debug, Default)]
pub struct KnownHistory {
    /// The oldest message that is shown.
    pub oldest: Option<Message>,
    places: HashSet<(String, Option<String>)>,
}

impl KnownHistory {
    pub async fn read(log: &Log, chat: &str, cleared: &Cleared) -> Result<Self, StoreError> {
        let names = log.store.names(chat).await?;
        let past = read(&log.store, Some(&names)).await?;
        let mut known = Self::default();
        let mut backwards = Backwards::new(log, past);
        while let Some(entry) = backwards.next(|chats| names.iter().any(|name| chats.may_have(name))).await? {
            if entry.message.chat != chat {
                continue;
            }
            // The phone may tell what could not be read.
            if entry.message.content != Content::Undecryptable {
                known.places.insert(place(&entry.message));
            }
            // The phone knows nothing of what WhatsApp refused.
            if history::is_shown(cleared, &entry) && entry.status != Some(Delivery::Failed) {
                known.oldest = Some(entry.message);
            }
        }
        Ok(known)
    }

    /// Whether it is new; it is known from then on.
    pub fn learn(&mut self, message: &Message) -> bool {
        self.places.insert(place(message))
    }
}

/// A message within its chat: its id, and its author if it is not we.
fn place(message: &Message) -> (String, Option<String>) {
    (message.id.clone(), (!message.from_me).then(|| message.sender.clone()))
}

impl BackfilledMessage {
    /// Its place between the events.
    pub fn event(&self) -> EventId {
        const TIME: i64 = (1 << 48) - 1;
        let time = self.message.timestamp.saturating_mul(1000).clamp(0, TIME).unsigned_abs();
        let Digest(digest) = Digest::of([self.message.id.as_bytes(), self.message.sender.as_bytes()]);
        let tail = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let order = u128::from(self.order & 0xffff_ffff_ffff);
        EventId(Ulid::from_parts(time, order << 32 | u128::from(tail)))
    }

    fn record(&self) -> (Key, Bytes) {
        let message = serde_json::to_vec(&self.message).expect("a message is plain data, which JSON always takes");
        let record = PastRecord { message, file: self.file.to_vec() };
        (key::past(&self.message.chat, &self.event().0.to_bytes()), record.encode_to_vec().into())
    }
}

/// Keeps what the phone told, and returns when it is durable. Of too much the oldest is dropped, whichever was told first.
pub async fn keep(
    store: &Store,
    told: &[BackfilledMessage],
    limits: BackfillLimits,
) -> Result<BackfillOutcome, StoreError> {
    let before = store.scan(space::PAST, None, usize::MAX).await?;
    let old: HashSet<&Key> = before.iter().map(|(key, _)| key).collect();
    let added: HashMap<Key, Bytes> =
        told.iter().map(BackfilledMessage::record).filter(|(key, _)| !old.contains(key)).collect();
    // By time, and of which chat.
    let mut sizes = BTreeSet::new();
    let all = before.iter().map(|(key, value)| (key, value)).chain(&added);
    for (key, value) in all {
        let Some((chat, event)) = key::halves(key) else { continue };
        sizes.insert((event, chat, key, key.len() + value.len()));
    }
    let mut total: usize = sizes.iter().map(|(.., size)| size).sum();
    let mut of_chats: HashMap<&[u8], usize> = HashMap::new();
    for (_, chat, _, size) in &sizes {
        *of_chats.entry(chat).or_default() += size;
    }
    let mut dropped = HashSet::new();
    for (_, chat, key, size) in sizes {
        let of_chat = of_chats.entry(chat).or_default();
        if *of_chat > limits.chat || total > limits.tenant {
            *of_chat -= size;
            total -= size;
            dropped.insert(key);
        }
    }
    let mut batch = Batch::default();
    for key in dropped.iter().filter(|key| old.contains(*key)) {
        batch.delete(space::PAST, (*key).clone());
    }
    let kept: Vec<_> = added.iter().filter(|(key, _)| !dropped.contains(key)).collect();
    for (key, value) in &kept {
        batch.put(space::PAST, (*key).clone(), (*value).clone());
    }
    let outcome = BackfillOutcome { new: kept.len(), full: kept.len() < added.len() };
    let change = store.write(batch).await?;
    store.wait(change).await?;
    Ok(outcome)
}

/// Forgets what was told of a chat, with the rest of `batch`.
pub async fn forget(store: &Store, batch: &mut Batch, chat: &str) -> Result<(), StoreError> {
    for name in store.names(chat).await? {
        for key in store.keys(space::PAST, &key::past(&name, &[])).await? {
            batch.delete(space::PAST, key);
        }
    }
    Ok(())
}

/// Reads the messages that phones told, of the chat that has these names or of all, in the form of events; newest
/// first.
pub(super) async fn read(store: &Store, chat: Option<&[String]>) -> Result<Vec<(EventId, EventBody)>, StoreError> {
    let mut told = Vec::new();
    let everything = [String::new()];
    for name in chat.unwrap_or(&everything) {
        let prefix = if chat.is_some() { key::past(name, &[]) } else { Key::default() };
        for (key, value) in store.scan_prefix(space::PAST, &prefix, usize::MAX).await? {
            let Some((id, mut body)) = parse(&key, &value) else { continue };
            if let EventBody::Received { message } | EventBody::Sent { message } = &mut body {
                if let Some(names) = chat {
                    message.chat.clone_from(&names[0]);
                }
                message.name_authors(store).await?;
            }
            told.push((id, body));
        }
    }
    told.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    Ok(told)
}

fn parse(key: &[u8], value: &Bytes) -> Option<(EventId, EventBody)> {
    let (_, event) = key::halves(key)?;
    let message = message_of(value)?;
    let body = if message.from_me { EventBody::Sent { message } } else { EventBody::Received { message } };
    Some((EventId(Ulid::from_bytes(event.try_into().ok()?)), body))
}

fn message_of(value: &Bytes) -> Option<Message> {
    serde_json::from_slice(&PastRecord::decode(value.as_ref()).ok()?.message).ok()
}

/// The reference by which a message's file is fetched; chat and sender as WhatsApp addressed them.
pub async fn file(store: &Store, chat: &str, id: &str, sender: &str) -> Result<Option<Bytes>, StoreError> {
    let is_it =
        |message: &Message| message.id == id && message.addressed.chat == chat && message.addressed.sender == sender;
    for name in store.names(chat).await? {
        let found = store.scan_prefix(space::PAST, &key::past(&name, &[]), usize::MAX).await?;
        let record = found.iter().find(|(_, value)| message_of(value).is_some_and(|message| is_it(&message)));
        if let Some((_, value)) = record {
            let record = PastRecord::decode(value.as_ref()).ok();
            return Ok(record.map(|record| Bytes::from(record.file)).filter(|file| !file.is_empty()));
        }
    }
    Ok(None)
}
