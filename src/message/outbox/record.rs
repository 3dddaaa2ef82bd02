//! The outbox's records: how they are read, and what their fields mean. Pure, but for [`next_page`].

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::{
    humanize::Timing,
    message::{Delivery, Failure},
    pacing::{self, Parcel},
    store::{
        Store, StoreError,
        key::Key,
        records::{OutboxRecord, OutboxState},
        space,
    },
};

/// The next records after `after`, which becomes the last of them, each with its size. A backlog has more than should be in memory twice.
pub(super) async fn next_page(
    store: &Store,
    after: &mut Option<Key>,
) -> Result<Vec<(OutboxRecord, usize)>, StoreError> {
    const PAGE: usize = 256;
    const PAGE_BYTES: usize = 1024 * 1024;
    let page = store.page(space::OUTBOX, after.as_deref(), PAGE, PAGE_BYTES).await?;
    if let Some((last, _)) = page.last() {
        *after = Some(last.clone());
    }
    let sized = page.into_iter().map(|(_, value)| (value.len(), value));
    sized.map(|(size, value)| Ok((parse(value)?, size))).collect()
}

/// One that cannot be read is not absent: it may be an accepted send.
pub(super) fn parse(value: Bytes) -> Result<OutboxRecord, StoreError> {
    OutboxRecord::decode(value).map_err(|source| StoreError::Record { space: space::OUTBOX, source })
}

pub(super) fn parcel_of(record: &OutboxRecord) -> Parcel {
    Parcel {
        recipient: pacing::recipient(&record.chat),
        text: record.text_digest,
        is_notice: record.is_notice,
        is_first_contact: record.is_first_contact,
    }
}

/// The same texts have the same; 0: there is none.
pub(super) fn text_digest(text: &str) -> u64 {
    if text.trim().is_empty() {
        return 0;
    }
    let digest = Sha256::digest(text.trim());
    digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

pub(super) fn timing_of(record: &OutboxRecord) -> Timing {
    Timing { read_at_ms: record.read_at_ms, typing_ms: record.typing_ms, due_at_ms: record.due_at_ms }
}

pub(super) fn order_of(record: &OutboxRecord) -> Ulid {
    Ulid::from_bytes(record.order.as_slice().try_into().unwrap_or_default())
}

/// Older builds wrote none.
pub(super) fn expiry(record: &OutboxRecord, ttl: Duration) -> i64 {
    match record.expires_at_ms {
        0 => record.accepted_at_ms.saturating_add(millis(ttl)),
        given => given,
    }
}

/// Unix seconds. Older builds wrote none.
pub(super) fn timestamp_of(record: &OutboxRecord) -> i64 {
    match record.timestamp {
        0 => record.accepted_at_ms.div_euclid(1000),
        given => given,
    }
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Of a jid.
pub(super) fn user_of(jid: &str) -> &str {
    jid.split(['@', ':']).next().unwrap_or_default()
}

pub(super) fn failure_of(record: &OutboxRecord) -> Option<Failure> {
    let reason = record.failure.as_deref()?.parse().ok()?;
    Some(Failure { reason, code: record.failure_code.and_then(|code| u16::try_from(code).ok()) })
}

pub(super) fn encode(delivery: Delivery) -> OutboxState {
    match delivery {
        Delivery::Accepted => OutboxState::Accepted,
        Delivery::Sent => OutboxState::ServerAcked,
        Delivery::Delivered => OutboxState::Delivered,
        Delivery::Read => OutboxState::Read,
        Delivery::Played => OutboxState::Played,
        Delivery::Failed => OutboxState::Failed,
    }
}

pub(super) fn decode(state: OutboxState) -> Delivery {
    match state {
        OutboxState::Unspecified | OutboxState::Accepted => Delivery::Accepted,
        OutboxState::ServerAcked => Delivery::Sent,
        OutboxState::Delivered => Delivery::Delivered,
        OutboxState::Read => Delivery::Read,
        OutboxState::Played => Delivery::Played,
        OutboxState::Failed => Delivery::Failed,
    }
}
