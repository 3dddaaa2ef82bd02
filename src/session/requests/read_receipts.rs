//! Read receipts and typing. Neither is repeated: a moment later they are worthless. Read marks are stored, so that no
//! message is marked twice.

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use whatsapp_rust::{Client, Jid, Server};

use super::{WHATSAPP_ANSWER_TIMEOUT, pace::RequestKind};
use crate::{
    message::{
        EventId, Message, cleared,
        history::{self, HistoryEntry},
    },
    session::{AcceptError, Session},
    store::{
        Batch, Store, StoreError,
        key::{self, Key},
        space,
    },
};

/// Messages of a chat that are looked through, and after how many it may be enough.
const MOST: usize = 2000;
const PAGE: usize = 100;

/// Messages that were marked out of turn, and are remembered of a chat.
const ODD: usize = 200;

impl Session {
    /// Marks these messages of a chat as read; without any, all that came there and was not marked. Returns them, without what they say.
    pub async fn mark_read(&self, chat: &str, ids: &[String]) -> Result<Vec<Message>, AcceptError> {
        let (client, names) = self.reach(RequestKind::Receipt, chat).await?;
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let mut marked = Marked::read(&self.0.store, &names).await.map_err(unreadable)?;
        let recent = self.in_turn(self.unmarked(chat, ids, &marked)).await?;
        let theirs = recent.iter().filter(|entry| !entry.message.from_me);
        let wanted: Vec<_> = if ids.is_empty() {
            // Messages from the phone are older than all that came here.
            theirs.filter(|entry| !entry.past && !marked.has(entry)).collect()
        } else {
            theirs.filter(|entry| ids.contains(&entry.message.id)).collect()
        };
        // One for each author, and each may wait for the wire.
        let marking = async {
            for (chat, sender, ids) in receipts(&wanted, &names[0]) {
                client.mark_as_read(&chat, sender.as_ref(), &ids).await?;
            }
            whatsapp_rust::anyhow::Ok(())
        };
        self.in_time(marking).await?;
        match ids.is_empty() {
            true => marked.all(recent.first().map(|newest| newest.event)),
            false => marked.some(wanted.iter().map(|entry| entry.message.id.clone())),
        }
        marked.write(&self.0.store, &names[0]).await.map_err(unreadable)?;
        Ok(wanted.into_iter().map(|entry| entry.message.clone()).collect())
    }

    /// The newest messages of a chat, without what they say: back to the first that was marked, or to the last of these.
    async fn unmarked(&self, chat: &str, ids: &[String], marked: &Marked) -> Result<Vec<HistoryEntry>, StoreError> {
        let query = history::MessageQuery {
            chat: Some(chat.to_owned()),
            limit: MOST,
            cleared: cleared::read(&self.0.store).await?,
            ..history::MessageQuery::default()
        };
        let (mut missing, mut looked_at): (HashSet<&str>, usize) = (ids.iter().map(String::as_str).collect(), 0);
        let is_last = |entry: &HistoryEntry| {
            looked_at += 1;
            missing.remove(&*entry.message.id);
            match ids.is_empty() {
                // What the phone told of the time before may stand between events: one of those is no end.
                true => marked.covers(entry) || entry.past && looked_at.is_multiple_of(PAGE),
                false => missing.is_empty(),
            }
        };
        history::wordless_messages(&self.0.log, &query, is_last).await
    }

    /// Shows in the chat that somebody is typing, or not any more.
    pub async fn show_typing(&self, chat: &str, typing: bool) -> Result<(), AcceptError> {
        let (client, names) = self.reach(RequestKind::Presence, chat).await?;
        let jid = &names[0];
        if typing {
            self.in_time(client.chatstate().send_composing(jid)).await
        } else {
            self.in_time(client.chatstate().send_paused(jid)).await
        }
    }

    /// Within the deadline of a question: what waits for the wire for so long is worth nothing any more.
    async fn in_time<E>(&self, showing: impl Future<Output = Result<(), E>>) -> Result<(), AcceptError> {
        match timeout(WHATSAPP_ANSWER_TIMEOUT, showing).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.not_ready_error(AcceptError::NotConnected)),
        }
    }

    /// The client, and the names of the chat.
    async fn reach(&self, kind: RequestKind, chat: &str) -> Result<(Arc<Client>, Vec<Jid>), AcceptError> {
        let client = self.0.ready.borrow().clone().ok_or_else(|| self.not_ready_error(AcceptError::NotConnected))?;
        let names = self.addressee(chat, None).await?;
        self.0.pace.take(kind).map_err(|wait| AcceptError::TooMany { wait })?;
        Ok((client, names))
    }
}

/// One receipt for the messages of each author, as WhatsApp addressed them: the sender's client goes by that.
fn receipts<'a>(wanted: &[&'a HistoryEntry], chat: &Jid) -> Vec<(Jid, Option<Jid>, Vec<&'a str>)> {
    let mut receipts: Vec<(Jid, Option<Jid>, Vec<&str>)> = Vec::new();
    // The oldest first, as they were read.
    for entry in wanted.iter().rev() {
        let addressed = &entry.message.addressed;
        let chat: Jid = addressed.chat.parse().unwrap_or_else(|_| chat.clone());
        let names_author = entry.message.is_group || chat.server == Server::Broadcast;
        let sender: Option<Jid> = addressed.sender.parse().ok().filter(|_| names_author);
        match receipts.iter_mut().find(|(of, by, _)| *of == chat && *by == sender) {
            Some((.., ids)) => ids.push(&entry.message.id),
            None => receipts.push((chat, sender, vec![&entry.message.id])),
        }
    }
    receipts
}

/// The messages of a chat that were marked as read, over restarts.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Marked {
    /// All up to this event.
    upto: Option<EventId>,
    /// These beside, the latest last.
    odd: Vec<String>,
}

impl Marked {
    /// Reads it by all names of the chat.
    async fn read(store: &Store, names: &[Jid]) -> Result<Self, StoreError> {
        let mut all = Self::default();
        for name in names {
            let stored = store.get(space::SETTINGS, &Self::key(name)).await?;
            let of_name: Self = stored.and_then(|stored| serde_json::from_slice(&stored).ok()).unwrap_or_default();
            all.upto = all.upto.max(of_name.upto);
            all.odd.extend(of_name.odd);
        }
        Ok(all)
    }

    async fn write(&self, store: &Store, chat: &Jid) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put(space::SETTINGS, Self::key(chat), serde_json::to_vec(self).unwrap_or_default());
        // Nobody waits for it: what is lost is marked once more.
        store.write(batch).await.map(drop)
    }

    fn key(chat: &Jid) -> Key {
        key::text(&format!("read/{chat}"))
    }

    fn covers(&self, entry: &HistoryEntry) -> bool {
        self.upto.is_some_and(|upto| entry.event <= upto)
    }

    fn has(&self, entry: &HistoryEntry) -> bool {
        self.covers(entry) || self.odd.contains(&entry.message.id)
    }

    fn all(&mut self, newest: Option<EventId>) {
        self.upto = self.upto.max(newest);
        self.odd.clear();
    }

    fn some(&mut self, ids: impl Iterator<Item = String>) {
        self.odd.extend(ids);
        self.odd.drain(..self.odd.len().saturating_sub(ODD));
    }
}
