//! Buffers app-state updates (contacts, labels) and writes them in batches: a first sync delivers thousands inside the
//! library's dispatch, which must not block.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use tokio::sync::Notify;
use tracing::warn;
use whatsapp_rust::types::events::{ContactUpdate, LabelAssociationUpdate, LabelEditUpdate};

use crate::{
    message::synced::{self, AddressBookEntry, Label, SyncedUpdate},
    session::Inner,
    sync::lock,
};

/// More people than any phone has; what is above is left out.
const COLLECTED: usize = 100_000;

/// Written at once.
const BATCH: usize = 500;

/// Updates that came and are not written yet, in order.
#[derive(Debug, Default)]
pub(in crate::session) struct AppStateBuffer {
    updates: Mutex<VecDeque<(SyncedUpdate, bool)>>,
    /// Held from looking at them to having written them.
    writing: tokio::sync::Mutex<()>,
    pub more: Notify,
}

impl AppStateBuffer {
    fn add(&self, update: SyncedUpdate, is_live: bool) {
        let mut updates = self.updates();
        if updates.len() < COLLECTED {
            updates.push_back((update, is_live));
        }
        drop(updates);
        self.more.notify_one();
    }

    pub fn heard_person(&self, update: &ContactUpdate) {
        let action = &update.action;
        // By the phone number where WhatsApp tells it, as conversations are.
        let number = action.pn_jid.as_deref().filter(|_| update.jid.is_lid()).map(str::to_owned);
        let id = number.unwrap_or_else(|| update.jid.to_non_ad_string());
        let entry = AddressBookEntry {
            name: action.full_name.clone().unwrap_or_default(),
            short: action.first_name.clone().unwrap_or_default(),
        };
        // Nobody is told of people.
        self.add(SyncedUpdate::Person { id, entry }, false);
    }

    pub fn heard_label(&self, update: &LabelEditUpdate, is_live: bool) {
        let (id, action) = (update.label_id.clone(), &update.action);
        let change = if action.deleted.unwrap_or(false) {
            SyncedUpdate::LabelGone { id }
        } else {
            let (name, color) = (action.name.clone().unwrap_or_default(), action.color.unwrap_or_default());
            SyncedUpdate::Label(Label { id, name, color })
        };
        self.add(change, is_live);
    }

    pub fn heard_labelled(&self, update: &LabelAssociationUpdate, is_live: bool) {
        let (label, chat) = (update.label_id.clone(), update.chat_jid.to_non_ad_string());
        let change = SyncedUpdate::Labelled { label, chat, on: update.action.labeled.unwrap_or(false) };
        self.add(change, is_live);
    }

    fn updates(&self) -> MutexGuard<'_, VecDeque<(SyncedUpdate, bool)>> {
        lock(&self.updates)
    }

    /// Writes what there is. Returns when it is in the working copy. What was not written stays, whether it failed or nobody waited for
    /// it any more: WhatsApp does not tell it again.
    pub async fn write(&self, session: &Inner) {
        let _writing = self.writing.lock().await;
        while let Some(batch) = self.next() {
            let count = batch.len();
            if let Err(error) = synced::write(&session.log, batch).await {
                warn!(event = "app_state_unwritten", %error, "the address book or the labels could not be written");
                return;
            }
            self.written(count);
        }
    }

    /// The next batch to write; it stays here until it is written.
    fn next(&self) -> Option<Vec<(SyncedUpdate, bool)>> {
        let batch: Vec<_> = self.updates().iter().take(BATCH).cloned().collect();
        (!batch.is_empty()).then_some(batch)
    }

    fn written(&self, count: usize) {
        let mut updates = self.updates();
        updates.drain(..count);
        if updates.is_empty() {
            // The room for a whole address book, which is read anew after each start, would stay for as long as the session lives.
            updates.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_stays() {
        let collected = AppStateBuffer::default();
        let all: Vec<_> = (0..2 * BATCH + 7).map(|n| (SyncedUpdate::LabelGone { id: n.to_string() }, false)).collect();
        all.iter().for_each(|(update, _)| collected.add(update.clone(), false));
        let mut written = Vec::new();
        while let Some(batch) = collected.next() {
            // Whoever wanted it went away, or the store failed; meanwhile there is more.
            assert_eq!(collected.next().unwrap(), batch);
            collected.written(batch.len());
            written.extend(batch);
        }
        assert_eq!(written, all);
        assert!(collected.updates().capacity() < BATCH, "the room of all of them stays");
    }
}
