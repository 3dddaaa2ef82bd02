//! Conversations, read from the event log and from what the phone told of the time before: what was said, with what became of it
//! since. Reads backwards from the newest event, so it has seen a message's receipts, edits and reactions by the time it comes to the
//! message. Bounded by what the two keep. An event says the name that its chat had then; here each has the one that it has now, so
//! that a LID whose number was learned later is not a second conversation.

pub(super) mod backwards;
mod conversations;
mod fates;

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use self::backwards::Backwards;
pub use self::conversations::{ChatSummary, chats};
use super::{
    Delivery, EventBody, EventId, Failure, Log, Message, cleared::Cleared, oldest::OldestFirst, past, segments::Marks,
};
use crate::store::StoreError;

/// A message with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Of the event that brought it, or in its place: where the next page begins.
    pub event: EventId,
    /// The phone told it when it was asked: it never was an event.
    pub past: bool,
    /// With the text of its last edit.
    pub message: Message,
    /// How far it came, when we sent it. `None` too of one that the tenant wrote on its phone, as long as nothing is known of it.
    pub status: Option<Delivery>,
    /// Accepted by a daemon, and not written on the phone or in another client.
    pub is_ours: bool,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    pub edited: bool,
    /// Deleted for everyone: nothing is left of what it said.
    pub revoked: bool,
    /// The latest reaction of each person.
    pub reactions: Vec<Reaction>,
    /// The latest vote of each person, when it is a poll.
    pub votes: Vec<Vote>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    pub sender: String,
    pub from_me: bool,
    pub emoji: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    pub sender: String,
    pub from_me: bool,
    /// The names of all options chosen now.
    pub options: Vec<String>,
}

/// Which messages are wanted.
#[derive(Debug, Clone, Default)]
pub struct MessageQuery {
    /// A jid; all conversations without one.
    pub chat: Option<String>,
    /// The one with this id.
    pub id: Option<String>,
    /// Older than this event.
    pub before: Option<EventId>,
    /// Newer than this event.
    pub after: Option<EventId>,
    /// Sent in this second or later, by the message's own time, seconds since 1970.
    pub since: Option<i64>,
    /// Sent in this second or before.
    pub until: Option<i64>,
    /// Only our messages, or only those of others.
    pub from_me: Option<bool>,
    /// Only messages that came so far and no further.
    pub delivery: Option<Delivery>,
    /// The oldest first.
    pub oldest_first: bool,
    /// So many of them are left out.
    pub offset: usize,
    pub limit: usize,
    /// Only messages whose text has this in it, in any case.
    pub text: Option<String>,
    /// The chats that were cleared: their older messages are not shown.
    pub cleared: Cleared,
}

impl MessageQuery {
    /// Nothing that is wanted is as old as this one: whoever asks for the last minute does not read years.
    fn ends_before(&self, entry: &HistoryEntry) -> bool {
        let at_s = i64::try_from(entry.event.0.timestamp_ms() / 1000).unwrap_or(i64::MAX);
        self.after.is_some_and(|after| entry.event <= after)
            || self.since.is_some_and(|since| at_s.saturating_add(LATENESS_S) < since)
    }

    /// By the conditions on the message itself.
    fn takes(&self, entry: &HistoryEntry) -> bool {
        let Message { id, from_me, timestamp, .. } = &entry.message;
        self.id.as_ref().is_none_or(|wanted| wanted == id)
            && self.before.is_none_or(|before| entry.event < before)
            && self.after.is_none_or(|after| entry.event > after)
            && self.since.is_none_or(|since| *timestamp >= since)
            && self.until.is_none_or(|until| *timestamp <= until)
            && self.from_me.is_none_or(|wanted| wanted == *from_me)
            && self.delivery.is_none_or(|wanted| wanted == entry.delivery())
    }
}

impl HistoryEntry {
    /// How far the message came. One that came is with our device, one that the phone sent is with WhatsApp.
    pub fn delivery(&self) -> Delivery {
        self.status.unwrap_or(if self.message.from_me { Delivery::Sent } else { Delivery::Delivered })
    }
}

/// A message is told at most so many seconds before its own time, by clocks that differ.
const LATENESS_S: i64 = 24 * 60 * 60;
/// Events read at a time.
const PAGE: usize = 256;

/// Messages that a query wants, newest first, one after the other.
pub(super) struct MatchingMessages<'a> {
    query: &'a MessageQuery,
    /// Of the conversation, the one that it has now first; none: all conversations.
    names: Vec<String>,
    /// In lower case.
    text: Option<String>,
    backwards: Backwards<'a>,
    skip: usize,
    left: usize,
}

impl<'a> MatchingMessages<'a> {
    pub(super) async fn new(log: &'a Log, query: &'a MessageQuery) -> Result<Self, StoreError> {
        let text = query.text.as_deref().map(str::to_lowercase);
        let names = match &query.chat {
            Some(chat) => log.store.names(chat).await?,
            None => Vec::new(),
        };
        let past = past::read(&log.store, query.chat.is_some().then_some(&names[..])).await?;
        Ok(Self { query, names, text, backwards: Backwards::new(log, past), skip: query.offset, left: query.limit })
    }

    pub(super) async fn next(&mut self) -> Result<Option<HistoryEntry>, StoreError> {
        let Self { query, names, .. } = self;
        while self.left > 0 {
            let worth = |chats: &Marks| names.is_empty() || names.iter().any(|name| chats.may_have(name));
            let Some(entry) = self.backwards.next(worth).await? else { break };
            if query.ends_before(&entry) {
                break;
            }
            let here = names.first().is_none_or(|chat| *chat == entry.message.chat);
            let shown = is_shown(&query.cleared, &entry);
            let fits = self.text.as_ref().is_none_or(|text| entry.message.content.text().to_lowercase().contains(text));
            if !(here && shown && fits && query.takes(&entry)) {
                continue;
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.left -= 1;
            return Ok(Some(entry));
        }
        Ok(None)
    }
}

/// Newest first, all at once: for few.
pub async fn messages(log: &Log, query: &MessageQuery) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut wanted = MatchingMessages::new(log, query).await?;
    let mut found = Vec::new();
    while let Some(entry) = wanted.next().await? {
        found.push(entry);
    }
    Ok(found)
}

/// As [`messages`], without what they say, and none after the first that `is_last`: for many.
pub async fn wordless_messages(
    log: &Log,
    query: &MessageQuery,
    mut is_last: impl FnMut(&HistoryEntry) -> bool,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut wanted = MatchingMessages::new(log, query).await?;
    let mut found = Vec::new();
    while let Some(mut entry) = wanted.next().await? {
        entry.message.erase();
        (entry.reactions, entry.votes) = (Vec::new(), Vec::new());
        let is_last = is_last(&entry);
        found.push(entry);
        if is_last {
            break;
        }
    }
    Ok(found)
}

/// How long a reader of a stream may take for one message.
const STALLED: Duration = Duration::from_secs(60);

/// In the query's order, one at a time, as fast as they are taken. `None` is the end: a stream that ends without it has broken off.
pub async fn stream(log: &Log, query: &MessageQuery, to: mpsc::Sender<Result<Option<HistoryEntry>, StoreError>>) {
    let read = async {
        if query.oldest_first {
            let mut pages = OldestFirst::new(log, query).await?;
            while let Some(page) = pages.next().await? {
                for entry in page {
                    if to.send_timeout(Ok(Some(entry)), STALLED).await.is_err() {
                        return Ok(false);
                    }
                }
            }
            return Ok(true);
        }
        let mut wanted = MatchingMessages::new(log, query).await?;
        while let Some(entry) = wanted.next().await? {
            if to.send_timeout(Ok(Some(entry)), STALLED).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let end = match read.await {
        Ok(true) => Ok(None),
        Ok(false) => return,
        Err(error) => Err(error),
    };
    let _ = to.send_timeout(end, STALLED).await;
}

pub(super) fn is_shown(cleared: &Cleared, entry: &HistoryEntry) -> bool {
    cleared.get(&entry.message.chat).is_none_or(|last| entry.event > *last)
}

/// Accepted for sending in the last minute, hour and day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sends {
    pub minute: u32,
    pub hour: u32,
    pub day: u32,
}

/// Counts sends, as far as the log goes back.
pub async fn sends(log: &Log, now: Timestamp) -> Result<Sends, StoreError> {
    const MINUTE: u64 = 60_000;
    let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let mut sends = Sends::default();
    let mut before = None;
    loop {
        let events = log.before_among(|_| true, before, PAGE).await?;
        before = events.last().map(|event| event.id);
        for event in &events {
            let age = now.saturating_sub(event.at_ms());
            if age >= 24 * 60 * MINUTE {
                return Ok(sends);
            }
            if matches!(event.body, EventBody::Sent { .. }) {
                sends.day += 1;
                sends.hour += u32::from(age < 60 * MINUTE);
                sends.minute += u32::from(age < MINUTE);
            }
        }
        if events.is_empty() {
            return Ok(sends);
        }
    }
}

#[cfg(test)]
mod tests;
