//! Segments: the event log's older part, which has left the state for the vault. So the state, and what its snapshots cost, does
//! not grow with age.
//!
//! Extends [`Log`]. It writes a segment first and refers to it afterwards, in the cut that takes its events out of the state; it
//! deletes a reference before the segment. So an event is always in one of the two, whatever dies and whenever, and a process that
//! has lost its tenant refers to nothing. A segment that the vault has lost is not taken for a vault that does not answer: readers
//! with a cursor hear of a gap, and nobody waits for it.

mod cache;
mod reading;
mod reference;
mod retention;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use ulid::Ulid;

pub use self::cache::SegmentCache;
use self::reference::SegmentReference;
pub(super) use self::reference::{Marks, NameMark, Segment, mark};
use super::{
    event_body::EventBody,
    log::{Log, LogTail, parse_key},
};
use crate::{
    crash,
    journal::{ArchiveError, ConfirmError},
    store::{Batch, StoreError, space},
};

/// Bytes of a segment before it is sealed, roughly: it should fit into one document.
const SEGMENT: usize = 768 * 1024;
/// Bytes of events in the state.
const LIVE: usize = 1024 * 1024;
/// Bytes of whole messages that came with the events in the state.
const LIVE_WHOLE: usize = 4 * 1024 * 1024;
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

    /// Notes that a cursor before its end has missed something.
    fn is_gone(&self, segment: &Segment) {
        let mut queue = self.queue();
        queue.trimmed = queue.trimmed.max(segment.reference.last);
    }
}
