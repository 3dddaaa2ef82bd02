//! From WhatsApp's settings to the tenant's records of them. A first sync tells thousands at once, inside the library's dispatch, which
//! must not be held up: they are collected here and written in batches.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tracing::warn;
use whatsapp_rust::types::events::{ContactUpdate, LabelAssociationUpdate, LabelEditUpdate};

use crate::{
    message::synced::{self, Entry, Label, Update},
    session::Inner,
};

/// More people than any phone has; what is above is left out.
const COLLECTED: usize = 100_000;

/// Written at once.
const BATCH: usize = 500;

/// What was told and is not written yet, in order.
#[derive(Debug, Default)]
pub(in crate::session) struct Collected {
    updates: Mutex<Vec<(Update, bool)>>,
    /// Held from taking them to having written them.
    writing: tokio::sync::Mutex<()>,
    pub more: Notify,
}

impl Collected {
    fn add(&self, update: Update, of_full_sync: bool) {
        let mut updates = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
        if updates.len() < COLLECTED {
            updates.push((update, !of_full_sync));
        }
        self.more.notify_one();
    }

    pub fn heard_person(&self, update: &ContactUpdate) {
        let action = &update.action;
        // By the phone number where WhatsApp tells it, as conversations are.
        let number = action.pn_jid.as_deref().filter(|_| update.jid.is_lid()).map(str::to_owned);
        let id = number.unwrap_or_else(|| update.jid.to_non_ad_string());
        let entry = Entry {
            name: action.full_name.clone().unwrap_or_default(),
            short: action.first_name.clone().unwrap_or_default(),
        };
        self.add(Update::Person { id, entry }, update.from_full_sync);
    }

    pub fn heard_label(&self, update: &LabelEditUpdate) {
        let (id, action) = (update.label_id.clone(), &update.action);
        let change = if action.deleted.unwrap_or(false) {
            Update::LabelGone { id }
        } else {
            let (name, color) = (action.name.clone().unwrap_or_default(), action.color.unwrap_or_default());
            Update::Label(Label { id, name, color })
        };
        self.add(change, update.from_full_sync);
    }

    pub fn heard_labelled(&self, update: &LabelAssociationUpdate) {
        let (label, chat) = (update.label_id.clone(), update.chat_jid.to_non_ad_string());
        let change = Update::Labelled { label, chat, on: update.action.labeled.unwrap_or(false) };
        self.add(change, update.from_full_sync);
    }

    /// Writes what there is. Returns when it is in the working copy.
    pub async fn write(&self, session: &Inner) {
        let _writing = self.writing.lock().await;
        let mut updates = std::mem::take(&mut *self.updates.lock().unwrap_or_else(PoisonError::into_inner));
        while !updates.is_empty() {
            let rest = updates.split_off(updates.len().min(BATCH));
            if let Err(error) = synced::write(&session.log, updates).await {
                warn!(%error, "the address book or the labels could not be written");
            }
            updates = rest;
        }
    }
}
