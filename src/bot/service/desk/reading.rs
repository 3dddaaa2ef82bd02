//! What a desk reads of the tenant's events: as much as there is room for, and the owner's word ahead of it.

use tracing::warn;

use super::{BotDesk, MAX_UNWRITTEN, PAGE};
use crate::{
    bot::service::hearing::{HeardEvent, HeardMessage, MAX_AGE_AT_START_S, Oldest, heard},
    crash,
    message::{Event, EventBody},
    session::Session,
    store::StoreError,
    telemetry::traces::{self, SpanName},
};

/// Chats in which an owner's word is found ahead of what can be read.
const MAX_AHEAD: usize = 10_000;

/// A longer word of the owner's is not the one that brings the bot back.
const MAX_WORD_BYTES: usize = 200;

impl BotDesk {
    /// Takes from the log as much as there is room for.
    pub(super) async fn read(&mut self) -> Result<(), StoreError> {
        while self.more && !self.gathering.is_full() {
            if let Some(trimmed) = self.session.trimmed().filter(|trimmed| Some(*trimmed) > self.read) {
                if self.read.is_some() {
                    warn!(
                        event = "bot_events_lost",
                        until = %trimmed,
                        "events were deleted before the bot had read them"
                    );
                }
                self.read = Some(trimmed);
            }
            let events = self.session.events_after(self.read, PAGE).await?;
            self.more = !events.is_empty();
            for event in events {
                self.read = Some(event.id);
                self.unwritten += 1;
                if let Some((chat, heard)) = self.heard(&event).await? {
                    if let Some(message) = event.body.message() {
                        let after = traces::since(event.at_ms());
                        traces::message(self.session.tenant(), &message.id, SpanName::HeardByBot, after);
                    }
                    let is_late = !heard.is_silent() && self.session.is_replying(&chat);
                    self.gathering.push(&chat, heard);
                    if is_late {
                        self.gathering.hurry(&chat);
                    }
                }
            }
            crash::point("bot_read");
        }
        if self.more {
            self.look_ahead().await?;
        } else {
            self.forget_ahead();
        }
        if self.unwritten > MAX_UNWRITTEN && self.gathering.next().is_none() {
            self.write_place().await?;
        }
        Ok(())
    }

    /// Looks for the owner's word in all that waits to be read: no customer is answered whom the owner has answered already.
    pub(super) async fn look_ahead(&mut self) -> Result<(), StoreError> {
        loop {
            let events = self.session.events_after(self.looked.max(self.read), PAGE).await?;
            let Some(last) = events.last() else { return Ok(()) };
            self.looked = Some(last.id);
            for event in &events {
                let Some((chat, mut heard)) = self.heard(event).await? else { continue };
                if let HeardMessage::OwnerWrote { text } = &mut heard.what
                    && (self.ahead.len() < MAX_AHEAD || self.ahead.contains_key(&chat))
                {
                    text.take_if(|text| text.len() > MAX_WORD_BYTES);
                    self.ahead.insert(chat, heard);
                }
            }
        }
    }

    pub(super) fn forget_ahead(&mut self) {
        self.ahead.clear();
        self.looked = None;
    }

    /// What an event is to the bot, and in which chat.
    pub(super) async fn heard(&mut self, event: &Event) -> Result<Option<(String, HeardEvent)>, StoreError> {
        let since = self.place.since.as_second();
        let silence = i64::from(self.settings.value.takeover_minutes) * 60;
        let oldest =
            Oldest { customers: since.saturating_sub(MAX_AGE_AT_START_S), owners: since.saturating_sub(silence) };
        let Some(heard) = heard(event.id, &event.body, oldest) else { return Ok(None) };
        if heard.is_owners() {
            if is_bots(&self.session, &event.body).await? {
                return Ok(None);
            }
        } else if Some(event.id) <= self.place.owners_until {
            return Ok(None);
        }
        let mut names = self.session.store().names(event.body.chat()).await?;
        let status = self.session.status();
        let own = [self.session.me(), status.lid];
        if names.iter().any(|name| own.iter().flatten().any(|own| own == name)) {
            // Notes to oneself.
            return Ok(None);
        }
        Ok(Some((names.swap_remove(0), heard)))
    }
}

/// Whether a bot decided a message of the tenant's own.
async fn is_bots(session: &Session, body: &EventBody) -> Result<bool, StoreError> {
    match body.message() {
        Some(message) => session.is_from_bot(&message.id).await,
        None => Ok(false),
    }
}
