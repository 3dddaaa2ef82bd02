//! Messages the oldest first. The history reads backwards, since only so it knows a message's receipts and edits before the message; this
//! reads it to its end and keeps what it met last. Owns that; holds little in memory whatever a page has: of long messages it reads
//! again for the next few.

use std::collections::VecDeque;

use super::{
    EventId, Log,
    history::{HistoryEntry, MatchingMessages, MessageQuery},
};
use crate::store::StoreError;

/// Bytes of messages that are in memory at a time; one message may have more.
const ROOM: usize = 4 * 1024 * 1024;

/// The messages that a query wants, piece by piece.
pub(super) struct OldestFirst<'a> {
    log: &'a Log,
    query: MessageQuery,
    left: usize,
    /// The newest event when the reading began: later ones are not part of it.
    newest: Option<EventId>,
}

impl<'a> OldestFirst<'a> {
    /// Reads the history once if some are left out, to see where the others begin.
    pub async fn new(log: &'a Log, query: &MessageQuery) -> Result<Self, StoreError> {
        let mut pages = Self {
            log,
            query: MessageQuery { offset: 0, limit: usize::MAX, ..query.clone() },
            left: query.limit,
            newest: query.before,
        };
        if query.offset > 0 {
            pages.leave_out(query.offset).await?;
        }
        Ok(pages)
    }

    async fn leave_out(&mut self, offset: usize) -> Result<(), StoreError> {
        let mut ids = VecDeque::new();
        let mut wanted = MatchingMessages::new(self.log, &self.query).await?;
        while let Some(entry) = wanted.next().await? {
            if ids.len() == offset {
                ids.pop_front();
            }
            ids.push_back(entry.event);
        }
        match ids.front() {
            Some(last) if ids.len() == offset => self.query.after = Some(*last),
            _ => self.left = 0,
        }
        Ok(())
    }

    /// The next few; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<VecDeque<HistoryEntry>>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut found: VecDeque<HistoryEntry> = VecDeque::new();
        let (mut bytes, mut is_whole) = (0, true);
        let mut is_first = self.newest.is_none();
        let mut wanted = MatchingMessages::new(self.log, &self.query).await?;
        while let Some(entry) = wanted.next().await? {
            if std::mem::take(&mut is_first) {
                self.newest = Some(EventId(entry.event.0.increment().unwrap_or(entry.event.0)));
            }
            bytes += entry.message.shown_size();
            found.push_front(entry);
            while found.len() > self.left || found.len() > 1 && bytes > ROOM {
                is_whole &= found.len() > self.left;
                bytes -= found.pop_back().map_or(0, |entry| entry.message.shown_size());
            }
        }
        self.query.before = self.newest;
        self.query.after = found.back().map(|entry| entry.event).or(self.query.after);
        self.left = if is_whole { 0 } else { self.left - found.len() };
        Ok(Some(found).filter(|found| !found.is_empty()))
    }
}
