//! The order of what waits, for whoever sends it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{BacklogSize, Outbox, Unsettled, WaitingMessage};
use crate::{journal::JournalClosedError, store::StoreError};

impl Outbox {
    /// Returns when something new is to be sent: [`Self::fresh_chats`] says where. For one listener.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Chats that have got something to send since this was last asked; at first all.
    pub fn fresh_chats(&self) -> Vec<Arc<str>> {
        self.backlog().take_fresh()
    }

    /// Two names are one person's: what waits under both goes in one order from now on.
    pub fn join(&self, from: &str, into: &str) {
        if self.backlog().join(from, into) {
            self.news.notify_one();
        }
    }

    /// Chats that have become one with another since this was last asked: which, and with which.
    pub fn joined_chats(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.backlog().take_joined()
    }

    /// Chats in which something was taken back since this was last asked.
    pub fn withdrawn_chats(&self) -> Vec<Arc<str>> {
        self.backlog().take_withdrawn()
    }

    /// A message that waits to be sent.
    pub fn waiting(&self, id: &str) -> Option<WaitingMessage> {
        self.backlog().get(id).cloned()
    }

    /// First messages to strangers that wait.
    pub fn waiting_strangers(&self) -> usize {
        self.backlog().first_contacts()
    }

    /// Something is still to be sent, or to be acknowledged.
    pub fn is_waiting(&self) -> bool {
        !self.backlog().is_empty()
    }

    /// Whether a bot's reply waits for its time in a chat.
    pub fn is_replying(&self, chat: &str) -> bool {
        self.backlog().is_replying(chat)
    }

    /// How much waits, and since when.
    pub fn backlogged(&self) -> BacklogSize {
        self.backlog().backlogged()
    }

    /// The message of a chat that goes next.
    pub fn head(&self, chat: &str) -> Option<WaitingMessage> {
        self.backlog().head(chat).cloned()
    }

    /// What expires first, of all that are not `busy`.
    pub fn first_to_expire(&self, busy: impl Fn(&WaitingMessage) -> bool) -> Option<WaitingMessage> {
        self.backlog().first_to_expire(busy).cloned()
    }

    /// The time, Unix milliseconds, by which messages expire: see [`crate::clock::Clock::certain`]. What this process accepted tells
    /// nothing: it is stamped with the wall clock that is in doubt.
    pub fn certain_ms(&self) -> i64 {
        let last = i64::try_from(self.inherited.timestamp_ms()).unwrap_or_default();
        let known = Timestamp::from_millisecond(last).unwrap_or_default();
        self.clock.certain(known).as_millisecond()
    }

    /// Looks at every waiting chat again: the limits have changed.
    pub fn look_anew(&self) {
        self.backlog().look_anew(|_| true);
        self.news.notify_one();
    }

    /// The same of what kept first messages to strangers back.
    pub fn look_anew_at_strangers(&self) {
        self.backlog().look_anew(|waiting| waiting.parcel.is_first_contact);
        self.news.notify_one();
    }

    /// Returns when the message is durable, and published.
    pub async fn await_durable(&self, waiting: &WaitingMessage) -> Result<(), JournalClosedError> {
        self.log.wait_and_publish(waiting.change).await
    }

    /// The message, if it still has to be sent; from here until [`Self::end`] nobody takes it back.
    pub async fn begin(&self, id: &str) -> Result<Option<Unsettled>, StoreError> {
        if !self.backlog().begin(id) {
            return Ok(None);
        }
        self.unsettled(id).await
    }

    /// An attempt to send it is over, whatever came of it.
    pub fn end(&self, id: &str) {
        self.backlog().end(id);
    }

    /// Drops a message from the order whose record is missing: deleted by hand, or damaged.
    pub fn forget(&self, id: &str) {
        self.backlog().remove(id);
    }
}
