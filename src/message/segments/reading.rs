//! Events that are read out of segments: a page, one, or all of a segment. Promises that a lost segment is a gap and no wait; deletes and
//! writes nothing.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tracing::error;
use ulid::Ulid;

use super::{Marks, Segment, cache::Entries};
use crate::{
    journal::ArchiveError,
    message::{
        event_body::Event,
        log::{Log, PAGE_BYTES},
    },
    store::StoreError,
};

impl Log {
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
    pub(super) async fn entries_unless_lost(&self, segment: &Segment) -> Result<Entries, StoreError> {
        match self.entries(segment).await {
            Err(error) if error.is_lost() => Ok(Entries::default()),
            entries => Ok(entries?),
        }
    }

    /// A page of events, oldest first, and whether these are all. Where the next segment is lost, the page ends before it; an empty page
    /// is an error then, once [`Log::trimmed`] tells of it.
    pub(in crate::message) async fn closed_after(
        &self,
        cursor: Ulid,
        limit: usize,
    ) -> Result<(Vec<Event>, bool), StoreError> {
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
    pub(in crate::message) async fn closed_before(
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

    pub(in crate::message) async fn closed_find(&self, id: Ulid) -> Result<Option<Event>, StoreError> {
        let segments = self.segments().await?;
        let Some(segment) = segments.iter().find(|segment| segment.first <= id && id <= segment.reference.last) else {
            return Ok(None);
        };
        let entries = self.entries_unless_lost(segment).await?;
        let found = entries.iter().find(|(of, _)| *of == id);
        Ok(found.and_then(|(id, value)| self.event(&id.to_bytes(), value)))
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
