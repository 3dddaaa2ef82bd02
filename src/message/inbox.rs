//! The inbox: what came. A message is written once, however often WhatsApp delivers it, and WhatsApp is answered only after
//! the write is durable. Owns the inbox records; does not know how WhatsApp is answered.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::Mutex;

use super::{
    Message,
    event::{EventBody, Log, Seen},
};
use crate::{
    clock::Clock,
    journal::Closed,
    store::{
        Batch, Store, StoreError, key,
        records::{InboxKind, InboxRecord},
        space,
    },
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
}

pub struct Inbox {
    store: Arc<Store>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    /// Held from looking a message up to writing it, so that two deliveries at once make one record.
    writing: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Inbox {
    pub fn new(store: Arc<Store>, log: Arc<Log>, clock: Arc<dyn Clock>) -> Self {
        Self { store, log, clock, writing: Mutex::new(()) }
    }

    /// Returns when all of them are durable. What is there already is not written again, but waited for. A placeholder is
    /// replaced by the message that it stands for.
    pub async fn receive(&self, batch: &[Incoming]) -> Result<(), InboxError> {
        let change = {
            let _writing = self.writing.lock().await;
            let mut seen = HashSet::new();
            let mut records = Batch::default();
            let mut written = false;
            let mut events = Vec::new();
            for incoming in batch {
                let key = incoming.message.inbox_key();
                if !seen.insert(key.clone()) || self.is_known(&key, incoming).await? {
                    continue;
                }
                records.put(space::INBOX, key, self.record(incoming).encode_to_vec());
                written = true;
                if incoming.visible {
                    let message = incoming.message.clone();
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
                self.log.commit(records, events, Seen::WhenDurable).await?
            }
        };
        Ok(self.log.settle(change).await?)
    }

    /// The whole protobuf of the message of that sender, chat and sender as WhatsApp addressed them.
    pub async fn body(&self, chat: &str, id: &str, sender: &str) -> Result<Option<Bytes>, StoreError> {
        let value = self.store.get(space::INBOX, &key::inbox(chat, id, sender)).await?;
        let record = value.and_then(|value| InboxRecord::decode(value).ok());
        Ok(record.map(|record| record.message.into()).filter(|body: &Bytes| !body.is_empty()))
    }

    /// A message that came, by the chat as WhatsApp addressed it; not a placeholder.
    pub async fn find(&self, chat: &str, id: &str) -> Result<Option<Found>, StoreError> {
        let found = self.store.scan_prefix(space::INBOX, &key::inbox_of(chat, id), 1).await?;
        let record = found.first().and_then(|(_, value)| InboxRecord::decode(value.as_ref()).ok());
        Ok(record.filter(|record| !record.message.is_empty()).map(|record| Found {
            body: record.message.into(),
            sender: record.sender,
            from_me: record.from_me,
        }))
    }

    async fn is_known(&self, key: &[u8], incoming: &Incoming) -> Result<bool, StoreError> {
        let Some(known) = self.store.get(space::INBOX, key).await? else { return Ok(false) };
        let placeholder = InboxRecord::decode(known).is_ok_and(|record| record.message.is_empty());
        Ok(!placeholder || incoming.body.is_empty())
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
