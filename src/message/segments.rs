//! Segments: the event log's older part, which has left the state for the vault. So the state, and what its snapshots cost, does
//! not grow with age.
//!
//! Extends [`Log`]. It writes a segment first and refers to it afterwards, in the cut that takes its events out of the state; it
//! deletes a reference before the segment. So an event is always in one of the two, whatever dies and whenever, and a process that
//! has lost its tenant refers to nothing. A segment that the vault has lost is not taken for a vault that does not answer: readers
//! with a cursor hear of a gap, and nobody waits for it.

mod cache;
mod reference;

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes};
use prost::Message as _;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use ulid::Ulid;

pub use self::cache::SegmentCache;
pub(super) use self::reference::{Marks, NameMark, Segment, mark};
use self::{cache::Entries, reference::SegmentReference};
use super::{
    event_body::{Event, EventBody},
    log::{Log, LogTail, PAGE_BYTES, TRIMMED, parse_key},
};
use crate::{
    crash,
    journal::{ArchiveError, ConfirmError},
    store::{
        Batch, StoreError,
        key::{self, Key},
        records::{InboxRecord, OutboxRecord, OutboxState},
        space,
    },
};

/// Bytes of a segment before it is sealed, roughly: it should fit into one document.
const SEGMENT: usize = 768 * 1024;
/// Bytes of events in the state.
const LIVE: usize = 1024 * 1024;
/// Bytes of whole messages that came with the events in the state.
const LIVE_WHOLE: usize = 4 * 1024 * 1024;
/// The newest events whose messages stay whole, beside all of the last day: an idempotency key is good for so long.
const WHOLE: usize = 2000;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Between two looks of retention at everything.
const ROUND: Duration = Duration::from_secs(3600);
/// After a failure.
const TIDY_RETRY_DELAY: Duration = Duration::from_secs(10);

impl Log {
    /// Closes segments and deletes what is kept no longer, until `stop`.
    pub async fn tidy_up(self: Arc<Self>, stop: CancellationToken) {
        let mut swept = false;
        let mut looked: Option<Instant> = None;
        let work = async {
            loop {
                // Whichever comes first.
                let _ = timeout(ROUND, self.full.notified()).await;
                let is_round = looked.is_none_or(|at| at.elapsed() >= ROUND);
                while let Err(error) = match is_round {
                    // Boxed: the task lies in memory for as long as the session lives, and mostly waits.
                    true => Box::pin(self.tidy(&mut swept)).await,
                    false => Box::pin(self.make_room(&mut swept)).await,
                } {
                    if error.is_final() {
                        debug!(%error, "the event log ends with its session");
                        return;
                    }
                    warn!(event = "segments_unmoved", %error, "older events stay where they are for now");
                    sleep(TIDY_RETRY_DELAY).await;
                }
                if is_round {
                    looked = Some(Instant::now());
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// `swept`: segments that earlier owners left behind are gone.
    pub async fn tidy(&self, swept: &mut bool) -> Result<(), StoreError> {
        self.make_room(swept).await?;
        // Reads every whole message: not each time that there is enough for a segment.
        self.forget_by_age().await
    }

    async fn make_room(&self, swept: &mut bool) -> Result<(), StoreError> {
        let _turn = self.segment_turn.lock().await;
        loop {
            let is_full = self.is_full(&*self.tail.lock().await);
            if !is_full {
                break;
            }
            if !*swept {
                self.sweep().await?;
                *swept = true;
            }
            if !self.close_one().await? {
                break;
            }
        }
        self.forget_old_wholes().await?;
        self.expire().await
    }

    /// Whether the older half should leave the state.
    pub(super) fn is_full(&self, tail: &LogTail) -> bool {
        tail.count >= 2 * self.keep.live || tail.count > 1 && (tail.bytes >= LIVE || tail.whole_bytes >= LIVE_WHOLE)
    }

    /// Oldest first.
    pub(super) async fn segments(&self) -> Result<Vec<Segment>, StoreError> {
        let found = self.store.scan(space::SEGMENTS, None, usize::MAX).await?;
        let read = |(key, value): &(Box<[u8]>, Bytes)| {
            Some(Segment { first: parse_key(key)?, reference: serde_json::from_slice(value).ok()? })
        };
        Ok(found.iter().filter_map(read).collect())
    }

    /// `None`: it is gone.
    pub(super) async fn find_segment(&self, first: Ulid) -> Result<Option<Segment>, StoreError> {
        let found = self.store.get(space::SEGMENTS, &first.to_bytes()).await?;
        let reference = found.and_then(|value| serde_json::from_slice(&value).ok());
        Ok(reference.map(|reference| Segment { first, reference }))
    }

    /// Removes segments whose writer died before it referred to them.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let archive = self.store.journal().archive();
        let segments = self.segments().await?;
        if segments.len() < self.store.scan(space::SEGMENTS, None, usize::MAX).await?.len() {
            warn!(
                event = "segment_reference_unreadable",
                "unreadable segment reference (newer build?): skipping cleanup"
            );
            return Ok(());
        }
        let pieces = segments.iter().map(|segment| &segment.reference.piece);
        let strays = archive.strays(pieces).await.map_err(ArchiveError::from)?;
        if strays.is_empty() {
            return Ok(());
        }
        self.store.journal().confirm().await.map_err(|error| match error {
            ConfirmError::Closed(closed) => StoreError::Journal(closed),
            ConfirmError::Vault(error) => StoreError::Archive(error.into()),
        })?;
        debug!(strays = strays.len(), "removing segments that nothing refers to");
        Ok(archive.sweep(&strays).await.map_err(ArchiveError::from)?)
    }

    /// Closes one segment. False when there is nothing to close now.
    async fn close_one(&self) -> Result<bool, StoreError> {
        let published = self.queue().published;
        let most = self.keep.live.min(self.tail.lock().await.count / 2);
        let mut plain = Vec::new();
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (key, value) in self.store.page(space::EVENTS, None, most, SEGMENT).await? {
            let is_published = parse_key(&key).is_some_and(|id| id <= published);
            let fits = plain.is_empty() || plain.len() + value.len() <= SEGMENT;
            if !is_published || !fits || key.len() != 16 {
                break;
            }
            plain.extend(&key[..]);
            plain.extend((value.len() as u32).to_be_bytes());
            plain.extend(&value[..]);
            keys.push(key);
            values.push(value);
        }
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(false) };
        let (Some(first), Some(last)) = (parse_key(first), parse_key(last)) else { return Ok(false) };
        let piece = self.store.journal().archive().put(&first.to_string(), &plain).await.map_err(ArchiveError::from)?;
        crash::point("segment_written");
        let (chats, changes) = Marks::of(&values).unzip();
        let bytes = values.iter().map(Bytes::len).sum();
        let whole_bytes = self.whole_bytes(&values).await?;
        let reference =
            SegmentReference { last, count: keys.len(), whole: true, bytes, whole_bytes, chats, changes, piece };
        let segment = Segment { first, reference };
        let mut tail = self.tail.lock().await;
        // Meanwhile retention may have deleted some of them.
        if self.queue().trimmed >= first {
            drop(tail);
            let removed = self.store.journal().archive().remove(&segment.reference.piece).await;
            removed.map_err(ArchiveError::from)?;
            return Ok(true);
        }
        let mut batch = Batch::default();
        for key in keys {
            batch.delete(space::EVENTS, key);
        }
        segment.put(&mut batch);
        self.store.write(batch).await?;
        tail.count -= segment.count();
        tail.bytes -= bytes;
        tail.closed += segment.count();
        tail.closed_bytes += bytes;
        // A message may have replaced another: what is left of one event is not known to be large.
        tail.whole_bytes = if tail.count > 1 { tail.whole_bytes.saturating_sub(whole_bytes) } else { 0 };
        crash::point("segment_referred_to");
        Ok(true)
    }

    /// Bytes of the whole messages that came with these events.
    async fn whole_bytes(&self, values: &[Bytes]) -> Result<usize, StoreError> {
        let mut bytes = 0;
        for value in values {
            let Ok(EventBody::Received { message } | EventBody::Sent { message }) = serde_json::from_slice(value)
            else {
                continue;
            };
            let [first, second] = message.inbox_keys();
            let is_one = first == second;
            for key in [Some(first), (!is_one).then_some(second)].into_iter().flatten() {
                bytes += self.store.get(space::INBOX, &key).await?.map_or(0, |whole| whole.len());
            }
        }
        Ok(bytes)
    }

    /// Deletes the whole messages of segments that are old or too large; their events stay.
    async fn forget_old_wholes(&self) -> Result<(), StoreError> {
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
    async fn forget_by_age(&self) -> Result<(), StoreError> {
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
    pub(super) async fn forget_whole(&self, batch: &mut Batch, value: &[u8]) -> Result<bool, StoreError> {
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
    async fn expire(&self) -> Result<(), StoreError> {
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

    /// Notes that a cursor before its end has missed something.
    fn is_gone(&self, segment: &Segment) {
        let mut queue = self.queue();
        queue.trimmed = queue.trimmed.max(segment.reference.last);
    }

    async fn entries(&self, segment: &Segment) -> Result<Entries, ArchiveError> {
        let mut read = self.read_piece(segment).await;
        if read.as_ref().is_err_and(ArchiveError::is_lost)
            && let Ok(Some(now)) = self.find_segment(segment.first).await
            && *now.piece() != segment.reference.piece
        {
            // Sealed anew since its reference was read: it has another name.
            read = self.read_piece(&now).await;
        }
        if let Err(error) = &read
            && error.is_lost()
        {
            let Segment { first, reference } = segment;
            error!(
                event = "events_lost",
                tenant = %self.tenant,
                %error,
                "events from {first} to {} are lost",
                reference.last
            );
            self.is_gone(segment);
        }
        read
    }

    async fn read_piece(&self, segment: &Segment) -> Result<Entries, ArchiveError> {
        let piece = segment.piece();
        if let Some(entries) = self.shelf.find(&self.tenant, piece) {
            return Ok(entries);
        }
        let plain = self.store.journal().archive().get(&segment.first.to_string(), piece).await?;
        let entries = Arc::new(split(plain.into()));
        self.shelf.keep(&self.tenant, piece, entries.clone());
        Ok(entries)
    }

    /// Its entries; none of a segment that the vault has lost.
    async fn entries_unless_lost(&self, segment: &Segment) -> Result<Entries, StoreError> {
        match self.entries(segment).await {
            Err(error) if error.is_lost() => Ok(Entries::default()),
            entries => Ok(entries?),
        }
    }

    /// A page of events, oldest first, and whether these are all. Where the next segment is lost, the page ends before it; an empty page
    /// is an error then, once [`Log::trimmed`] tells of it.
    pub(super) async fn closed_after(&self, cursor: Ulid, limit: usize) -> Result<(Vec<Event>, bool), StoreError> {
        let mut found: Vec<Event> = Vec::new();
        let mut bytes = 0;
        for segment in self.segments().await?.iter().filter(|segment| segment.reference.last > cursor) {
            let entries = match self.entries(segment).await {
                Err(error) if found.is_empty() => return Err(error.into()),
                Err(_) => return Ok((found, false)),
                Ok(entries) => entries,
            };
            for (id, value) in entries.iter().filter(|(id, _)| *id > cursor) {
                if found.len() == limit || bytes > PAGE_BYTES {
                    return Ok((found, false));
                }
                if let Some(event) = self.event(&id.to_bytes(), value) {
                    bytes += value.len();
                    found.push(event);
                }
            }
            if found.len() == limit {
                return Ok((found, false));
            }
        }
        Ok((found, true))
    }

    /// A page of events, newest first, from the first segment that is `worth` reading and has any.
    pub(super) async fn closed_before(
        &self,
        worth: impl Fn(&Marks) -> bool,
        cursor: Ulid,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let segments = self.segments().await?;
        let wanted = |segment: &&Segment| segment.first < cursor && segment.reference.chats.as_ref().is_none_or(&worth);
        for segment in segments.iter().rev().filter(wanted) {
            let entries = self.entries_unless_lost(segment).await?;
            let wanted = entries.iter().rev().filter(|(id, _)| *id < cursor);
            let (mut found, mut bytes) = (Vec::new(), 0);
            for (id, value) in wanted {
                if found.len() == limit || bytes > PAGE_BYTES {
                    break;
                }
                if let Some(event) = self.event(&id.to_bytes(), value) {
                    bytes += value.len();
                    found.push(event);
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    pub(super) async fn closed_find(&self, id: Ulid) -> Result<Option<Event>, StoreError> {
        let segments = self.segments().await?;
        let Some(segment) = segments.iter().find(|segment| segment.first <= id && id <= segment.reference.last) else {
            return Ok(None);
        };
        let entries = self.entries_unless_lost(segment).await?;
        let found = entries.iter().find(|(of, _)| *of == id);
        Ok(found.and_then(|(id, value)| self.event(&id.to_bytes(), value)))
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

/// Splits a segment into its entries. It was authenticated: another version wrote what does not parse, and what parses is kept.
fn split(mut plain: Bytes) -> Vec<(Ulid, Bytes)> {
    let mut entries = Vec::new();
    while plain.remaining() >= 20 {
        let id = Ulid(plain.get_u128());
        let length = plain.get_u32() as usize;
        if length > plain.len() {
            break;
        }
        entries.push((id, plain.split_to(length)));
    }
    entries
}
