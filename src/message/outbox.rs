//! The outbox: what goes. A message is accepted when it is durable, whole: its id, its text, its secrets; so a repeat after a
//! crash is the same message. It is settled by WhatsApp's ack or a receipt. Owns the outbox records; does not send.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::Mutex;
use ulid::Ulid;

use super::{
    Delivery, Message,
    event::{EventBody, Log, Seen},
    inbox::InboxError,
};
use crate::{
    clock::Clock,
    journal::ChangeNo,
    store::{
        Batch, Store, StoreError, key,
        records::{OutboxRecord, OutboxState},
        space,
    },
};

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
}

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    #[error("the idempotency key was used for another message")]
    KeyReused,
    #[error("the vault did not take the message in time")]
    TooSlow,
    #[error(transparent)]
    Inbox(#[from] InboxError),
}

/// A message that WhatsApp has not confirmed.
#[derive(Debug, Clone)]
pub struct Unsettled {
    pub id: String,
    /// A jid.
    pub chat: String,
    pub body: Bytes,
    /// As [`Outgoing::audience`].
    pub audience: Vec<String>,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub digest: Vec<u8>,
    /// A jid.
    pub chat: String,
    pub body: Bytes,
    /// As [`Outgoing::audience`].
    pub audience: Vec<String>,
}

pub struct Outbox {
    store: Arc<Store>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    /// Held from reading a record to writing it.
    writing: Mutex<()>,
}

impl Outbox {
    pub fn new(store: Arc<Store>, log: Arc<Log>, clock: Arc<dyn Clock>) -> Self {
        Self { store, log, clock, writing: Mutex::new(()) }
    }

    /// Returns when the message is durable: from then on it will be sent. A repeat is answered when the first is durable, with
    /// the first message. What is not durable within `patience` is taken back, and will not be sent.
    pub async fn accept(&self, outgoing: Outgoing, patience: Duration) -> Result<Message, NotAccepted> {
        let (change, is_repeat) = {
            let _writing = self.writing.lock().await;
            match self.record(&outgoing.message.id).await.map_err(InboxError::from)? {
                Some(known) if known.body_digest == outgoing.digest => (self.store.journal().recorded(), true),
                Some(_) => return Err(NotAccepted::KeyReused),
                None => (self.write(&outgoing).await.map_err(InboxError::from)?, false),
            }
        };
        match tokio::time::timeout(patience, self.log.settle(change)).await {
            Ok(settled) => settled.map_err(InboxError::from)?,
            // The first may have been accepted long ago: it is not this caller's to take back.
            Err(_) if is_repeat => return Err(NotAccepted::TooSlow),
            Err(_) if self.take_back(&outgoing.message, change).await.map_err(InboxError::from)? => {
                return Err(NotAccepted::TooSlow);
            }
            Err(_) => {}
        }
        Ok(outgoing.message)
    }

    /// Takes back a message of which the caller is told that it was not accepted; false when it has become durable meanwhile, and
    /// so may be on its way. Consumers that see it announced see that it failed.
    async fn take_back(&self, message: &Message, change: ChangeNo) -> Result<bool, StoreError> {
        let _writing = self.writing.lock().await;
        if self.store.is_durable(change) {
            return Ok(false);
        }
        let mut batch = Batch::default();
        batch.delete(space::OUTBOX, key::outbox(&message.id));
        let (message_id, chat) = (message.id.clone(), message.addressed.chat.clone());
        let event = EventBody::Status { message_id, chat, status: Delivery::Failed, by: None };
        self.log.commit(batch, vec![event], Seen::AtOnce).await?;
        Ok(true)
    }

    async fn write(&self, outgoing: &Outgoing) -> Result<ChangeNo, StoreError> {
        let now = self.clock.now();
        let record = OutboxRecord {
            id: outgoing.message.id.clone(),
            chat: outgoing.message.addressed.chat.clone(),
            message: outgoing.body.to_vec(),
            idempotency_key: outgoing.key.clone(),
            body_digest: outgoing.digest.to_vec(),
            accepted_at_ms: now.as_millisecond(),
            updated_at_ms: now.as_millisecond(),
            order: Ulid::from_datetime(now.into()).to_bytes().to_vec(),
            state: encode(Delivery::Accepted).into(),
            audience: outgoing.audience.clone(),
        };
        let mut batch = Batch::default();
        batch.put(space::OUTBOX, key::outbox(&record.id), record.encode_to_vec());
        let event = EventBody::Sent { message: outgoing.message.clone() };
        self.log.commit(batch, vec![event], Seen::WhenDurable).await
    }

    /// The message, if it still has to be sent. To be asked after the wait for the vault and before the send: what is here then
    /// is durable, and is not taken back any more.
    pub async fn unsettled(&self, id: &str) -> Result<Option<Unsettled>, StoreError> {
        let _writing = self.writing.lock().await;
        let Some(record) = self.record(id).await? else { return Ok(None) };
        Ok((decode(record.state()) == Delivery::Accepted).then(|| Unsettled {
            id: record.id,
            chat: record.chat,
            body: record.message.into(),
            audience: record.audience,
        }))
    }

    /// Ids of all that still have to be sent with their chats, in the order in which they were accepted.
    pub async fn backlog(&self) -> Result<Vec<(String, String)>, StoreError> {
        const PAGE: usize = 256;
        let mut found = Vec::new();
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let page = self.store.scan(space::OUTBOX, after.as_deref(), PAGE).await?;
            for (_, value) in &page {
                let Ok(record) = OutboxRecord::decode(value.as_ref()) else { continue };
                if decode(record.state()) == Delivery::Accepted {
                    found.push((record.order, record.id, record.chat));
                }
            }
            match page.last() {
                Some((key, _)) if page.len() == PAGE => after = Some(key.clone()),
                _ => break,
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, id, chat)| (id, chat)).collect())
    }

    /// WhatsApp said something of a message. Nobody waits for this: when it is lost it will be said again, or the message is
    /// sent again under its id. `by`: of whom, a jid, where there are several. False when the message is not ours or has come that far
    /// already.
    pub async fn progress(&self, id: &str, to: Delivery, by: Option<String>) -> Result<bool, StoreError> {
        let _writing = self.writing.lock().await;
        let Some(mut record) = self.record(id).await? else { return Ok(false) };
        let from = decode(record.state());
        if from >= to || (to == Delivery::Failed && from != Delivery::Accepted) {
            return Ok(false);
        }
        record.set_state(encode(to));
        record.updated_at_ms = self.clock.now().as_millisecond();
        let event = EventBody::Status { message_id: id.to_owned(), chat: record.chat.clone(), status: to, by };
        let mut batch = Batch::default();
        batch.put(space::OUTBOX, key::outbox(id), record.encode_to_vec());
        self.log.commit(batch, vec![event], Seen::AtOnce).await?;
        self.log.publish();
        Ok(true)
    }

    /// How far a message that was accepted here has come; `None`: it is not from here.
    pub async fn delivery(&self, id: &str) -> Result<Option<Delivery>, StoreError> {
        Ok(self.record(id).await?.map(|record| decode(record.state())))
    }

    /// What was accepted under an id: the digest of what was asked for, its chat, and the whole protobuf.
    pub async fn accepted(&self, id: &str) -> Result<Option<Accepted>, StoreError> {
        Ok(self.record(id).await?.map(|record| Accepted {
            digest: record.body_digest,
            chat: record.chat,
            body: record.message.into(),
            audience: record.audience,
        }))
    }

    /// The whole protobuf of a message that was sent from here.
    pub async fn body(&self, id: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.record(id).await?.map(|record| record.message.into()))
    }

    async fn record(&self, id: &str) -> Result<Option<OutboxRecord>, StoreError> {
        let value = self.store.get(space::OUTBOX, &key::outbox(id)).await?;
        Ok(value.and_then(|value| OutboxRecord::decode(value).ok()))
    }
}

fn encode(delivery: Delivery) -> OutboxState {
    match delivery {
        Delivery::Accepted => OutboxState::Accepted,
        Delivery::Sent => OutboxState::ServerAcked,
        Delivery::Delivered => OutboxState::Delivered,
        Delivery::Read => OutboxState::Read,
        Delivery::Failed => OutboxState::Failed,
    }
}

fn decode(state: OutboxState) -> Delivery {
    match state {
        OutboxState::Unspecified | OutboxState::Accepted => Delivery::Accepted,
        OutboxState::ServerAcked => Delivery::Sent,
        OutboxState::Delivered => Delivery::Delivered,
        OutboxState::Read => Delivery::Read,
        OutboxState::Failed => Delivery::Failed,
    }
}
