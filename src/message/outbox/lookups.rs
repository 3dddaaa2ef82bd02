//! Answers what is asked of accepted messages.

use bytes::Bytes;

use super::{
    Outbox,
    record::{decode, expiry, failure_of, next_page, order_of, parcel_of},
};
use crate::{
    message::{Delivery, Failure},
    pacing::Parcel,
    store::StoreError,
};

/// A message that WhatsApp has not confirmed.
#[derive(Debug, Clone)]
pub struct Unsettled {
    pub id: String,
    /// A jid.
    pub chat: String,
    pub body: Bytes,
    /// As [`super::Outgoing::audience`].
    pub audience: Vec<String>,
    /// The phone number of the account for which it was accepted; empty: an older build accepted it.
    pub account: String,
    pub expires_at_ms: i64,
    /// That WhatsApp left without an answer.
    pub attempts: u32,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub digest: Vec<u8>,
    /// A jid; empty: the message was a former account's, and nothing but its id is left.
    pub chat: String,
    /// As [`Unsettled::account`].
    pub account: String,
    pub delivery: Delivery,
    /// As [`super::Acceptance::failure`].
    pub failure: Option<Failure>,
    pub body: Bytes,
    /// As [`super::Outgoing::audience`].
    pub audience: Vec<String>,
    /// Since when WhatsApp has it, Unix milliseconds; `None`: it still waits to be sent.
    pub sent_at_ms: Option<i64>,
}

impl Outbox {
    /// The message, if it still has to be sent.
    pub async fn unsettled(&self, id: &str) -> Result<Option<Unsettled>, StoreError> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        Ok((decode(record.state()) == Delivery::Accepted).then(|| Unsettled {
            expires_at_ms: expiry(&record, self.ttl),
            attempts: record.attempts,
            id: record.id,
            chat: record.chat,
            body: record.message,
            audience: record.audience,
            account: record.account,
        }))
    }

    /// Whether a message was said here, by a bot.
    pub async fn is_from_bot(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.record(id).await?.is_some_and(|record| record.from_bot))
    }

    /// How far a message that was accepted here has come; `None`: it is not from here.
    pub async fn delivery(&self, id: &str) -> Result<Option<Delivery>, StoreError> {
        Ok(self.record(id).await?.map(|record| decode(record.state())))
    }

    /// When WhatsApp took a message from this process, Unix milliseconds; [`i64::MAX`]: it has not yet, or never will. `None`: nobody
    /// knows, since an earlier attempt may have arrived.
    pub async fn left_at(&self, id: &str) -> Result<Option<i64>, StoreError> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        if record.attempts > 0 || order_of(&record) <= self.inherited {
            return Ok(None);
        }
        Ok(Some(match (decode(record.state()), record.sent_at_ms) {
            (Delivery::Accepted | Delivery::Failed, _) => i64::MAX,
            (_, 0) => record.accepted_at_ms,
            (_, sent) => sent,
        }))
    }

    /// What has left since then, the oldest first: when, Unix milliseconds, and what counts of it.
    pub async fn left_since(&self, since_ms: i64) -> Result<Vec<(i64, Parcel)>, StoreError> {
        let (mut left, mut after) = (Vec::new(), None);
        loop {
            let page = next_page(&self.store, &mut after).await?;
            if page.is_empty() {
                break;
            }
            let counted = page.iter().filter(|(record, _)| record.sent_at_ms >= since_ms && !record.chat.is_empty());
            left.extend(counted.map(|(record, _)| (record.sent_at_ms, parcel_of(record))));
        }
        left.sort_unstable_by_key(|(at, _)| *at);
        Ok(left)
    }

    /// What was accepted under an id: the digest of what was asked for, its chat, and the whole protobuf.
    pub async fn accepted(&self, id: &str) -> Result<Option<Accepted>, StoreError> {
        Ok(self.record(id).await?.map(|record| Accepted {
            sent_at_ms: match (decode(record.state()), record.sent_at_ms) {
                (Delivery::Accepted, _) => None,
                (_, 0) => Some(record.accepted_at_ms),
                (_, sent) => Some(sent),
            },
            delivery: decode(record.state()),
            failure: failure_of(&record),
            account: record.account,
            digest: record.body_digest,
            chat: record.chat,
            body: record.message,
            audience: record.audience,
        }))
    }

    /// The whole protobuf of a message that was sent from here. `None` also when it is gone, and only known to have been.
    pub async fn body(&self, id: &str) -> Result<Option<Bytes>, StoreError> {
        let body = self.record(id).await?.map(|record| record.message);
        Ok(body.filter(|body| !body.is_empty()))
    }
}
