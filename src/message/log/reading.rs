//! Events that are read out of the log: after a cursor, before one, or one by its id. Promises that a reader sees what is published, in
//! order, whether it is in the state or in a segment; writes and publishes nothing.

use bytes::Bytes;
use ulid::Ulid;

use super::{Cursor, Log, PAGE_BYTES, parse_key};
use crate::{
    message::{
        event_body::{Event, EventId},
        segments::Marks,
    },
    store::{StoreError, key::Key, space},
};

impl Log {
    /// The place that a cursor names: where it was, if its event was lost with an earlier process.
    pub fn place_of(&self, cursor: Cursor) -> Cursor {
        EventId(self.lives.place_of(cursor.0))
    }

    /// The same for a reader that goes on from there. An event that is here is its own place, whatever is remembered of the lives: a reader
    /// that was sent back from it would read the same events for ever.
    async fn place_of_reader(&self, cursor: Cursor) -> Result<Cursor, StoreError> {
        let place = self.place_of(cursor);
        if place == cursor {
            return Ok(place);
        }
        // Boxed: all readers' tasks would have room for what hardly ever happens.
        let is_here = Box::pin(self.find(cursor)).await?.is_some();
        Ok(if is_here { cursor } else { place })
    }

    /// An event, as long as it is kept.
    pub async fn find(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        let key = id.0.to_bytes();
        if let Some(value) = self.store.get(space::EVENTS, &key).await? {
            return Ok(self.event(&key, &value));
        }
        self.closed_find(id.0).await
    }

    /// Durable events after `cursor`, oldest first: at most `limit`, at most so many bytes, and at least one as long as there is any.
    pub async fn after(&self, cursor: Option<Cursor>, limit: usize) -> Result<Vec<Event>, StoreError> {
        let published = self.queue().published;
        let cursor = match cursor {
            Some(cursor) => Some(self.place_of_reader(cursor).await?),
            None => None,
        };
        // First what is in the state: what leaves it meanwhile is then seen twice, not never.
        let mut live = Vec::new();
        let mut after = cursor.map(|cursor| Key::from(cursor.0.to_bytes()));
        while live.is_empty() {
            let page = self.store.page(space::EVENTS, after.as_deref(), limit, PAGE_BYTES).await?;
            // Another build wrote what this one cannot read: it is passed over.
            live.extend(page.iter().filter_map(|(key, value)| self.event(key, value)));
            match page.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => break,
            }
        }
        let cursor = cursor.map_or(Ulid::nil(), |cursor| cursor.0);
        let (mut found, is_all) = self.closed_after(cursor, limit).await?;
        if !is_all {
            return Ok(found);
        }
        let closed = found.last().map(|event| event.id);
        // Unpublished events will be published later.
        let live = live.into_iter().filter(|event| Some(event.id) > closed && event.id.0 <= published);
        found.extend(live.take(limit - found.len()));
        Ok(found)
    }

    /// Published events before `cursor` (all without one), newest first, at most `limit`.
    pub async fn before(&self, mut cursor: Option<Cursor>, limit: usize) -> Result<Vec<Event>, StoreError> {
        let mut found = Vec::new();
        while found.len() < limit {
            let more = self.before_among(|_| true, cursor, limit - found.len()).await?;
            let Some(last) = more.last() else { break };
            cursor = Some(last.id);
            found.extend(more);
        }
        Ok(found)
    }

    /// The next of them, at least one as long as there are any: out of the state, then of one segment, of those that are `worth` it.
    pub(in crate::message) async fn before_among(
        &self,
        worth: impl Fn(&Marks) -> bool,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let published = self.queue().published;
        let mut cursor = cursor.map_or_else(|| Ulid(published.0.saturating_add(1)), |cursor| cursor.0);
        loop {
            let live = self.live_before(cursor, limit).await?;
            let Some(oldest) = live.last().and_then(|(key, _)| parse_key(key)) else {
                return self.closed_before(worth, cursor, limit).await;
            };
            let found: Vec<_> = live.iter().filter_map(|(key, value)| self.event(key, value)).collect();
            if !found.is_empty() {
                return Ok(found);
            }
            // Events that this build cannot read are no end.
            cursor = oldest;
        }
    }

    pub(in crate::message) async fn live_before(
        &self,
        cursor: Ulid,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        self.store.page_back(space::EVENTS, &cursor.to_bytes(), limit, PAGE_BYTES).await
    }

    pub(in crate::message) fn event(&self, key: &[u8], value: &[u8]) -> Option<Event> {
        let id = EventId(parse_key(key)?);
        if self.is_closed(id) {
            return None;
        }
        Some(Event { id, tenant: self.tenant.clone(), body: serde_json::from_slice(value).ok()? })
    }
}
