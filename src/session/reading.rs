//! Read access for consumers: events, and the conversations derived from them, as far as they are kept.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, SemaphorePermit, broadcast, mpsc},
    time::timeout,
};

use super::Session;
use crate::{
    message::{
        Delivery, Event, EventBody, EventId, cleared,
        history::{self, HistoryEntry},
        synced,
    },
    store::StoreError,
    vault::VaultError,
};

/// A look at the history waits no longer for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

impl Session {
    /// Events after `cursor`, oldest first.
    pub async fn events_after(&self, cursor: Option<EventId>, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.0.log.after(cursor, limit).await
    }

    /// Messages with what became of them, newest first.
    pub async fn messages(&self, query: &history::MessageQuery) -> Result<Vec<history::HistoryEntry>, StoreError> {
        let query = history::MessageQuery { cleared: cleared::read(&self.0.store).await?, ..query.clone() };
        history::messages(&self.0.log, &query).await
    }

    /// As [`Self::messages`], one at a time, as fast as they are taken: unread messages are not in memory. `None`
    /// from the stream is its end; a stream that ends without it has broken off. `None` at once: too many are being
    /// read.
    pub fn stream_messages(
        &self,
        query: history::MessageQuery,
    ) -> Option<mpsc::Receiver<Result<Option<HistoryEntry>, StoreError>>> {
        let turn = self.reading_turn()?;
        let (to, stream) = mpsc::channel(1);
        let session = self.clone();
        self.attend(async move {
            let _turn = turn;
            let read = async {
                match cleared::read(&session.0.store).await {
                    Ok(cleared) => {
                        history::stream(&session.0.log, &history::MessageQuery { cleared, ..query }, to.clone()).await
                    }
                    Err(error) => drop(to.send(Err(error)).await),
                }
            };
            tokio::select! {
                () = session.0.stop.cancelled() => {}
                () = to.closed() => {}
                () = read => {}
            }
        });
        Some(stream)
    }

    /// A place among those who read much, until it is dropped. `None`: too many do.
    pub fn reading_turn(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let own = self.0.reading.clone().try_acquire_owned().ok()?;
        Some((own, self.0.env.reading.clone().try_acquire_owned().ok()?))
    }

    /// A place among those who look at the history, if there is one soon. They have what they read at once, however slow their client is:
    /// so nobody who does not read his pages, of this tenant or of others, keeps them waiting.
    pub async fn look_turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(TURN_TIMEOUT, self.0.looks.acquire()).await.ok()?.ok()
    }

    /// How many messages were accepted for sending in the last minute, hour and day.
    pub async fn sends(&self) -> Result<history::Sends, StoreError> {
        history::sends(&self.0.log, self.0.env.clock.now()).await
    }

    /// Conversations by their last message, newest first; people by the names under which the tenant saved them.
    pub async fn chats(&self, offset: usize, limit: usize) -> Result<Vec<history::ChatSummary>, StoreError> {
        self.with_saved_names(self.unnamed_chats(offset, limit).await?).await
    }

    /// As [`Self::chats`], with people by the names that they chose, and groups without a name.
    pub(super) async fn unnamed_chats(
        &self,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<history::ChatSummary>, StoreError> {
        let cleared = cleared::read(&self.0.store).await?;
        history::chats(&self.0.log, &cleared, None, offset, limit).await
    }

    /// Those of them that have these jids.
    pub async fn chats_among(
        &self,
        ids: &HashSet<String>,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<history::ChatSummary>, StoreError> {
        self.with_saved_names(self.unnamed_among(ids, offset, limit).await?).await
    }

    async fn with_saved_names(
        &self,
        mut chats: Vec<history::ChatSummary>,
    ) -> Result<Vec<history::ChatSummary>, StoreError> {
        let groups: Vec<_> = chats.iter().filter(|chat| is_group(chat)).map(|chat| chat.id.clone()).collect();
        self.learn_subjects(&groups).await;
        for chat in &mut chats {
            if is_group(chat) {
                chat.name = self.0.subjects.get(&chat.id);
                continue;
            }
            for name in self.0.store.names(&chat.id).await? {
                if let Some(saved) = synced::person(&self.0.store, &name).await?.filter(|saved| !saved.name.is_empty())
                {
                    chat.name = Some(saved.name);
                    break;
                }
            }
        }
        Ok(chats)
    }

    pub(super) async fn unnamed_among(
        &self,
        ids: &HashSet<String>,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<history::ChatSummary>, StoreError> {
        let cleared = cleared::read(&self.0.store).await?;
        history::chats(&self.0.log, &cleared, Some(ids), offset, limit).await
    }

    /// The id of the last event that was published.
    pub fn newest_event(&self) -> Option<EventId> {
        self.0.log.newest()
    }

    /// The place that a cursor names: where it was, if its event was lost with an earlier process.
    pub fn place_of(&self, cursor: EventId) -> EventId {
        self.0.log.place_of(cursor)
    }

    /// The id of the last event that brought a message.
    pub fn newest_message(&self) -> Option<EventId> {
        self.0.log.newest_message()
    }

    /// An event, as long as it is kept.
    pub async fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        self.0.log.find(id).await
    }

    /// The last event that retention deleted: a cursor before it has missed something.
    pub fn trimmed(&self) -> Option<EventId> {
        self.0.log.trimmed()
    }

    /// Returns when everything that was written up to now is in the vault.
    pub async fn all_durable(&self) -> Result<(), StoreError> {
        Ok(self.0.store.wait(self.0.journal.recorded()).await?)
    }

    /// Whether the vault has documents of orders, which others read.
    pub fn has_order_documents(&self) -> bool {
        self.0.env.vault.has_order_documents()
    }

    /// Writes the document of an order; see [`crate::vault::Vault::put_order_document`].
    pub async fn put_order_document(&self, id: &str, revision: u64, order: &Value) -> Result<(), VaultError> {
        self.0.env.vault.put_order_document(&self.0.tenant, id, revision, order).await
    }

    /// Receipts in groups and of statuses that are in no log, from now on.
    pub fn member_receipts(&self) -> broadcast::Receiver<Arc<EventBody>> {
        self.0.member_receipts.listen()
    }

    /// How far a message that was accepted here has come; `None`: it is not from here.
    pub async fn delivery(&self, message_id: &str) -> Result<Option<Delivery>, StoreError> {
        self.0.outbox.delivery(message_id).await
    }
}

fn is_group(chat: &history::ChatSummary) -> bool {
    chat.last.message.is_group && chat.id.ends_with("@g.us")
}
