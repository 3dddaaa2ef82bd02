//! Reads the event log backwards, and between its events what the phone told of the time before.

use std::{
    collections::{HashMap, VecDeque},
    iter::Peekable,
};

use super::{HistoryEntry, PAGE, fates::Fates};
use crate::{
    message::{Delivery, EventBody, EventId, Log, segments::Marks},
    store::{StoreError, key, space},
};

/// Messages, newest first, each with what became of it. What the phone told stands between the events, by its ids.
pub(in crate::message) struct Backwards<'a> {
    log: &'a Log,
    past: Peekable<std::vec::IntoIter<(EventId, EventBody)>>,
    fates: Fates,
    before: Option<EventId>,
    /// Of LIDs that were met, the names that they have now.
    names: HashMap<String, String>,
    /// Read, and not given yet.
    entries: VecDeque<HistoryEntry>,
    /// So many events have been read.
    pub(super) events: usize,
    is_over: bool,
}

impl<'a> Backwards<'a> {
    pub fn new(log: &'a Log, past: Vec<(EventId, EventBody)>) -> Self {
        let (mut fates, names, entries) = (Fates::default(), HashMap::new(), VecDeque::new());
        // A placeholder is younger than its message, and is met before it.
        for message in past.iter().filter_map(|(_, body)| body.message()) {
            fates.is_read_now(message);
        }
        let past = past.into_iter().peekable();
        Self { log, past, fates, before: None, names, entries, events: 0, is_over: false }
    }

    /// `worth`: whether it pays to read a segment that has these chats.
    pub async fn next(&mut self, worth: impl Fn(&Marks) -> bool) -> Result<Option<HistoryEntry>, StoreError> {
        while self.entries.is_empty() && !self.is_over {
            let events = self.log.before_among(&worth, self.before, PAGE).await?;
            self.before = events.last().map_or(self.before, |event| Some(event.id));
            self.events += events.len();
            self.is_over = events.is_empty();
            for mut event in events {
                self.told_after(Some(event.id));
                if let EventBody::Received { message } | EventBody::Sent { message } = &mut event.body {
                    self.rename(&mut message.chat).await?;
                    self.rename(&mut message.sender).await?;
                    message.name_authors(&self.log.store).await?;
                }
                self.entries.extend(self.fates.meet(event.id, event.body));
            }
            self.tell_what_waits().await?;
            if self.is_over {
                self.told_after(None);
            }
        }
        Ok(self.entries.pop_front())
    }

    /// Completes own messages without a status: each waits in the outbox, or was written on the phone.
    async fn tell_what_waits(&mut self) -> Result<(), StoreError> {
        let log = self.log;
        let is_untold = |entry: &&mut HistoryEntry| entry.message.from_me && !entry.past && entry.status.is_none();
        for entry in self.entries.iter_mut().filter(is_untold) {
            if log.store.get(space::OUTBOX, &key::outbox(&entry.message.id)).await?.is_some() {
                (entry.status, entry.is_ours) = (Some(Delivery::Accepted), true);
            }
        }
        Ok(())
    }

    async fn rename(&mut self, jid: &mut String) -> Result<(), StoreError> {
        if !jid.ends_with("@lid") {
            return Ok(());
        }
        if !self.names.contains_key(jid) {
            let name = self.log.store.names(jid).await?.swap_remove(0);
            self.names.insert(jid.clone(), name);
        }
        jid.clone_from(&self.names[jid.as_str()]);
        Ok(())
    }

    fn told_after(&mut self, event: Option<EventId>) {
        while let Some((id, body)) = self.past.next_if(|(id, _)| event.is_none_or(|event| *id > event)) {
            self.entries.extend(self.fates.meet(id, body).map(HistoryEntry::told));
        }
    }
}

impl HistoryEntry {
    /// The phone told it. It was not sent from here.
    fn told(self) -> Self {
        Self { past: true, status: None, is_ours: false, failure: None, ..self }
    }
}
