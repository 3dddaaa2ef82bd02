//! The inbox: what came. A message is written once, however often WhatsApp delivers it, and WhatsApp is answered only after
//! the write is durable. Owns the inbox records; does not know how WhatsApp is answered.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex as SyncMutex, MutexGuard},
};

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::Mutex;

use super::{
    Content, Delivery, Message,
    event_body::EventBody,
    log::{Log, PublishWhen},
};
use crate::{
    clock::Clock,
    journal::JournalClosedError,
    store::{
        Batch, Filed, InboundPlace, Store, StoreError, key,
        records::{InboxKind, InboxRecord},
        space,
    },
    sync::lock,
};

/// A message as the session hands it over.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub message: Message,
    /// The whole protobuf as decrypted; empty for what could not be.
    pub body: Bytes,
    /// Whether consumers are to see it: not the protocol's own messages.
    pub visible: bool,
}

/// A message that came, as it came.
#[derive(Debug, Clone)]
pub struct Found {
    /// The whole protobuf.
    pub body: Bytes,
    /// A jid, as WhatsApp addressed it.
    pub sender: String,
    pub from_me: bool,
    /// By WhatsApp's clock, Unix milliseconds.
    pub timestamp_ms: i64,
}

pub struct Inbox {
    store: Arc<Store>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    /// Held from looking a message up to writing it, so that two deliveries at once make one record.
    writing: Mutex<()>,
    /// How far the phone's messages came, as far as this process told it.
    told: SyncMutex<HashMap<String, Delivery>>,
}

/// Messages of the phone whose receipts are remembered. When there are more, all are forgotten: then a repeat of a receipt is told again.
const REMEMBERED: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Closed(#[from] JournalClosedError),
}

impl Inbox {
    pub fn new(store: Arc<Store>, log: Arc<Log>, clock: Arc<dyn Clock>) -> Self {
        Self { store, log, clock, writing: Mutex::new(()), told: SyncMutex::default() }
    }

    /// Returns when all of them are durable. What is there already is not written again, but waited for. A placeholder is
    /// replaced by the message that it stands for. Each is filed, and shown, under one name of its chat and sender, whichever
    /// WhatsApp used this time.
    pub async fn receive(&self, batch: &[Incoming]) -> Result<(), InboxError> {
        let change = {
            let _writing = self.writing.lock().await;
            let mut records = Batch::default();
            let mut written = false;
            let mut events = Vec::new();
            let messages = || batch.iter().map(|incoming| &incoming.message);
            let pairs = messages().flat_map(names_of_one).collect();
            let places = messages().map(place).collect();
            let filed = self.store.learn_and_file(pairs, places).await?;
            let key_of =
                |(incoming, filed): (&Incoming, &Filed)| key::inbox(&filed.chat, &incoming.message.id, &filed.sender);
            let keys: Vec<_> = batch.iter().zip(&filed).map(key_of).collect();
            // Of a placeholder and its message, which come together where the vault was slow meanwhile, the message counts.
            let whole: HashSet<_> =
                batch.iter().zip(&keys).filter(|(incoming, _)| !incoming.body.is_empty()).map(|(_, key)| key).collect();
            let mut seen = HashSet::new();
            for ((incoming, filed), key) in batch.iter().zip(filed).zip(&keys) {
                let Filed { chat, sender, known } = filed;
                if incoming.body.is_empty() && whole.contains(key) || !seen.insert(key) {
                    continue;
                }
                let had_placeholder = known.is_some();
                match known {
                    Some((_, known)) if !known.message.is_empty() || incoming.body.is_empty() => continue,
                    Some((placeholder, _)) if placeholder != *key => records.delete(space::INBOX, placeholder),
                    _ => {}
                }
                records.put(space::INBOX, key.clone(), self.record(incoming).encode_to_vec());
                written = true;
                if incoming.visible || had_placeholder {
                    let mut message = Message { chat, sender, ..incoming.message.clone() };
                    if !incoming.visible {
                        // Consumers and lists have the placeholder: it stands for no message of a person.
                        message.content =
                            Content::Mark { name: "no_message".into(), target: None, text: String::new() };
                    }
                    events.push(if message.from_me {
                        EventBody::Sent { message }
                    } else {
                        EventBody::Received { message }
                    });
                }
            }
            if !written {
                // Known already, and perhaps not durable yet.
                self.store.journal().recorded()
            } else {
                self.log.commit(records, events, PublishWhen::WhenDurable).await?
            }
        };
        Ok(self.log.wait_and_publish(change).await?)
    }

    /// WhatsApp said something of a message that the tenant wrote on its phone, or in another client: as [`super::Outbox::progress`] of
    /// those that were accepted here. Nothing is kept of it but the event, so the next process may tell a step again. `None` when no such
    /// message is here.
    pub async fn progress(
        &self,
        chat: &str,
        id: &str,
        to: Delivery,
        by: Option<String>,
    ) -> Result<Option<bool>, StoreError> {
        let known = self.told().get(id).copied();
        if known.is_some_and(|known| known >= to) {
            return Ok(Some(false));
        }
        if known.is_none() && !self.find(chat, id).await?.is_some_and(|found| found.from_me) {
            return Ok(None);
        }
        let chat = self.store.names(chat).await?.swap_remove(0);
        // No step is left out.
        let steps = known.unwrap_or(Delivery::Sent).steps_until(to).chain([to]);
        let step = |status| EventBody::Status {
            message_id: id.to_owned(),
            chat: chat.clone(),
            status,
            by: by.clone(),
            failure: None,
        };
        self.log.commit(Batch::default(), steps.map(step).collect(), PublishWhen::AtOnce).await?;
        {
            let mut told = self.told();
            if told.len() >= REMEMBERED {
                told.clear();
            }
            told.insert(id.to_owned(), to);
        }
        self.log.publish();
        Ok(Some(true))
    }

    /// Each change to it is a single step, so one that a panic has interrupted is still good.
    fn told(&self) -> MutexGuard<'_, HashMap<String, Delivery>> {
        lock(&self.told)
    }

    /// The whole protobuf of the message of that sender.
    pub async fn body(&self, chat: &str, id: &str, sender: &str) -> Result<Option<Bytes>, StoreError> {
        let place = InboundPlace { chat: chat.into(), sender: sender.into(), id: id.into() };
        let filed = self.store.filed(vec![place]).await?;
        let known = filed.into_iter().find_map(|filed| filed.known);
        Ok(known.map(|(_, record)| record.message.into()).filter(|body: &Bytes| !body.is_empty()))
    }

    /// A message of that chat, whoever wrote it; not a placeholder.
    pub async fn find(&self, chat: &str, id: &str) -> Result<Option<Found>, StoreError> {
        let record = self.store.inbound_of(chat, id).await?;
        Ok(record.map(|record| Found {
            body: record.message.into(),
            sender: record.sender,
            from_me: record.from_me,
            timestamp_ms: record.timestamp_ms,
        }))
    }

    fn record(&self, incoming: &Incoming) -> InboxRecord {
        let message = &incoming.message;
        let kind = if incoming.body.is_empty() { InboxKind::Placeholder } else { InboxKind::Message };
        InboxRecord {
            received_at_ms: self.clock.now().as_millisecond(),
            chat: message.addressed.chat.clone(),
            sender: message.addressed.sender.clone(),
            id: message.id.clone(),
            timestamp_ms: message.timestamp * 1000,
            push_name: Some(message.push_name.clone()).filter(|name| !name.is_empty()),
            from_me: message.from_me,
            is_group: message.is_group,
            kind: kind.into(),
            message: incoming.body.to_vec(),
        }
    }
}

/// Pairs of names that are one person's, as far as a message says so. One that came by the number names its LID beside it, and may come
/// again by the LID alone: so the phone answers, and so it is after a retry.
fn names_of_one(message: &Message) -> Vec<(String, String)> {
    let Message { chat, sender, addressed, .. } = message;
    let whose = if message.from_me && !message.is_group { chat } else { sender };
    let alternate = addressed.alternate.as_ref().map(|alternate| (whose, alternate));
    let pairs = [(&addressed.chat, chat), (&addressed.sender, sender)].into_iter().chain(alternate);
    pairs.filter(|(one, other)| one != other).map(|(one, other)| (one.clone(), other.clone())).collect()
}

/// By the names of its conversation, which are as good as WhatsApp's own and may already be canonical.
fn place(message: &Message) -> InboundPlace {
    InboundPlace { chat: message.chat.clone(), sender: message.sender.clone(), id: message.id.clone() }
}
