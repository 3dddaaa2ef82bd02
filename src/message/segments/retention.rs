//! What of the older events and whole messages is kept no longer, and goes. Owns the bounds beside the settings; moves no event from the
//! state into a segment.

use std::time::Duration;

use prost::Message as _;
use ulid::Ulid;

use super::Segment;
use crate::{
    crash,
    journal::ArchiveError,
    message::{
        event_body::EventBody,
        log::{Log, LogTail, TRIMMED},
    },
    store::{
        Batch, StoreError,
        key::{self, Key},
        records::{InboxRecord, OutboxRecord, OutboxState},
        space,
    },
};

/// The newest events whose messages stay whole, beside all of the last day: an idempotency key is good for so long.
const WHOLE: usize = 2000;
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Log {
    /// Deletes the whole messages of segments that are old or too large; their events stay.
    pub(super) async fn forget_old_wholes(&self) -> Result<(), StoreError> {
        let segments = self.segments().await?;
        let (mut newer, mut bytes, now) = {
            let tail = self.tail.lock().await;
            (tail.count, tail.whole_bytes, self.certain_ms())
        };
        newer += segments.iter().map(Segment::count).sum::<usize>();
        bytes += segments.iter().map(|segment| segment.reference.whole_bytes).sum::<usize>();
        for mut segment in segments {
            newer -= segment.count();
            let age = age(segment.reference.last, now);
            let is_old = segment.reference.whole && (age > self.keep.whole || newer >= WHOLE && age > DAY);
            let is_too_much = segment.reference.whole_bytes > 0 && bytes > self.keep.whole_bytes;
            if !is_old && !is_too_much {
                continue;
            }
            bytes -= segment.reference.whole_bytes;
            let mut batch = Batch::default();
            let mut all = true;
            for (_, value) in self.entries_unless_lost(&segment).await?.iter() {
                match is_old {
                    true => all &= self.forget_whole(&mut batch, value).await?,
                    // What was sent stays for its idempotency key.
                    false => forget_inbound(&mut batch, value),
                }
            }
            segment.reference.whole = !(is_old && all);
            segment.reference.whole_bytes = 0;
            segment.put(&mut batch);
            let _tail = self.tail.lock().await;
            if self.is_referred_to(&segment).await? {
                self.store.write(batch).await?;
            }
        }
        Ok(())
    }

    /// Deletes whole messages by their own age: also those without an event, and those of a lost segment.
    pub(super) async fn forget_by_age(&self) -> Result<(), StoreError> {
        const PAGE: usize = 256;
        const PAGE_BYTES: usize = 1024 * 1024;
        let now = self.certain_ms();
        let limit = now - i64::try_from(self.keep.whole.as_millis()).unwrap_or(i64::MAX);
        for space in [space::INBOX, space::OUTBOX] {
            let mut after: Option<Key> = None;
            loop {
                let page = self.store.page(space, after.as_deref(), PAGE, PAGE_BYTES).await?;
                let mut batch = Batch::default();
                let mut old = 0;
                for (key, value) in &page {
                    let is_old = match space {
                        space::INBOX => {
                            InboxRecord::decode(value.as_ref()).is_ok_and(|record| record.received_at_ms < limit)
                        }
                        _ => OutboxRecord::decode(value.as_ref()).is_ok_and(|record| {
                            record.accepted_at_ms < limit && record.state() != OutboxState::Accepted
                        }),
                    };
                    if is_old {
                        batch.delete(space, key.clone());
                        old += 1;
                    }
                }
                if old > 0 {
                    self.store.write(batch).await?;
                }
                match page.last() {
                    Some((key, _)) => after = Some(key.clone()),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Deletes the whole message of an event. Returns false for one that is still to be sent: that stays.
    pub(in crate::message) async fn forget_whole(&self, batch: &mut Batch, value: &[u8]) -> Result<bool, StoreError> {
        if let Ok(EventBody::Sent { message }) = serde_json::from_slice(value) {
            let key = key::outbox(&message.id);
            if let Some(record) = self.store.get(space::OUTBOX, &key).await?
                && OutboxRecord::decode(record).is_ok_and(|record| record.state() == OutboxState::Accepted)
            {
                return Ok(false);
            }
            batch.delete(space::OUTBOX, key);
        }
        forget_inbound(batch, value);
        Ok(true)
    }

    /// Deletes the oldest segments when there are too many events, in number or in bytes, or they are too old.
    pub(super) async fn expire(&self) -> Result<(), StoreError> {
        for segment in self.segments().await? {
            // Nothing is read of one that stays.
            if !self.is_due(&segment, &*self.tail.lock().await) {
                return Ok(());
            }
            let mut batch = Batch::default();
            if segment.reference.whole {
                for (_, value) in self.entries_unless_lost(&segment).await?.iter() {
                    self.forget_whole(&mut batch, value).await?;
                }
            }
            let change = {
                let mut tail = self.tail.lock().await;
                if !self.is_referred_to(&segment).await? {
                    continue;
                }
                batch.delete(space::SEGMENTS, segment.first.to_bytes());
                batch.put(space::SETTINGS, key::text(TRIMMED), segment.reference.last.to_bytes().to_vec());
                let change = self.store.write(batch).await?;
                tail.closed -= segment.count();
                tail.closed_bytes = tail.closed_bytes.saturating_sub(segment.bytes());
                self.is_gone(&segment);
                change
            };
            self.store.wait(change).await?;
            crash::point("segment_expired");
            let removed = self.store.journal().archive().remove(&segment.reference.piece).await;
            removed.map_err(ArchiveError::from)?;
        }
        Ok(())
    }

    /// Whether it is still there: a change of the account may have deleted it meanwhile. Ask under `tail`.
    async fn is_referred_to(&self, segment: &Segment) -> Result<bool, StoreError> {
        Ok(self.store.get(space::SEGMENTS, &segment.first.to_bytes()).await?.is_some())
    }

    /// Whether the oldest segment is kept no longer.
    fn is_due(&self, segment: &Segment, tail: &LogTail) -> bool {
        let excess = (tail.count + tail.closed).saturating_sub(self.keep.events);
        let excess_bytes = (tail.bytes + tail.closed_bytes).saturating_sub(self.keep.bytes);
        excess >= segment.count()
            || segment.bytes() > 0 && excess_bytes >= segment.bytes()
            || age(segment.reference.last, self.certain_ms()) > self.keep.age
    }
}

/// How old an event is at a time in Unix milliseconds.
fn age(id: Ulid, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms).unwrap_or(0).saturating_sub(id.timestamp_ms()))
}

/// Deletes the whole message of an event if it came, from a customer or from the tenant's phone.
fn forget_inbound(batch: &mut Batch, value: &[u8]) {
    if let Ok(EventBody::Received { message } | EventBody::Sent { message }) = serde_json::from_slice(value) {
        message.inbox_keys().into_iter().for_each(|key| batch.delete(space::INBOX, key));
    }
}
