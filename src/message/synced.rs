//! The settings that WhatsApp keeps the same on all devices of an account, as far as dashboards ask for them: the
//! address book, the labels, and which chat has which. Owns these records in the tenant's store. Only WhatsApp's
//! updates change them: our own changes come back as updates, too.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{EventBody, LabelChange, LabelNews, Log, PublishWhen};
use crate::store::{Batch, Store, StoreError, key, space};

/// A person in the address book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBookEntry {
    pub name: String,
    /// The first name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub short: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    #[serde(skip)]
    pub id: String,
    pub name: String,
    /// WhatsApp's number of it.
    pub color: i32,
}

/// One change, as WhatsApp told it. Chats and people are jids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncedUpdate {
    Person { id: String, entry: AddressBookEntry },
    Label(Label),
    LabelGone { id: String },
    Labelled { label: String, chat: String, on: bool },
}

/// Writes changes in their order, each with whether it is news: then what it says of a label is an event. Nobody waits for the vault:
/// what is lost with a disk comes again with the next sync.
pub async fn write(log: &Arc<Log>, updates: Vec<(SyncedUpdate, bool)>) -> Result<(), StoreError> {
    let store = &log.store;
    let mut batch = Batch::default();
    let mut known: HashMap<String, Label> =
        labels(store).await?.into_iter().map(|label| (label.id.clone(), label)).collect();
    let mut events = Vec::new();
    for (update, is_news) in updates {
        let news = match update {
            SyncedUpdate::Person { id, entry } => {
                batch.put(space::PEOPLE, key::text(&id), json(&entry));
                None
            }
            SyncedUpdate::Label(label) => {
                batch.put(space::LABELS, key::text(&label.id), json(&label));
                known.insert(label.id.clone(), label.clone());
                Some(LabelNews { id: label.id.clone(), label, change: LabelChange::Written })
            }
            SyncedUpdate::LabelGone { id } => {
                for (chat, _) in store.scan_prefix(space::LABELLED, &key::chats_of_label(&id), usize::MAX).await? {
                    batch.delete(space::LABELLED, chat);
                }
                batch.delete(space::LABELS, key::text(&id));
                known.remove(&id).map(|label| LabelNews { id, label, change: LabelChange::Deleted })
            }
            SyncedUpdate::Labelled { label: id, chat, on } => {
                let place = key::labelled(&id, &chat);
                let chat = store.names(&chat).await?.swap_remove(0);
                let change = if on {
                    batch.put(space::LABELLED, place, Vec::new());
                    LabelChange::Added(chat)
                } else {
                    batch.delete(space::LABELLED, place);
                    LabelChange::Removed(chat)
                };
                known.get(&id).cloned().map(|label| LabelNews { id, label, change })
            }
        };
        events.extend(news.filter(|_| is_news).map(|news| EventBody::Label { news }));
    }
    log.commit(batch, events, PublishWhen::AtOnce).await?;
    log.publish();
    Ok(())
}

/// The address book, by jid.
pub async fn people(store: &Store) -> Result<Vec<(String, AddressBookEntry)>, StoreError> {
    let found = store.scan(space::PEOPLE, None, usize::MAX).await?;
    let read = |(key, value): &(key::Key, bytes::Bytes)| {
        Some((String::from_utf8(key.to_vec()).ok()?, serde_json::from_slice(value).ok()?))
    };
    Ok(found.iter().filter_map(read).collect())
}

/// The address book's entry of a person.
pub async fn person(store: &Store, id: &str) -> Result<Option<AddressBookEntry>, StoreError> {
    let found = store.get(space::PEOPLE, &key::text(id)).await?;
    Ok(found.and_then(|value| serde_json::from_slice(&value).ok()))
}

/// All labels, by id.
pub async fn labels(store: &Store) -> Result<Vec<Label>, StoreError> {
    let found = store.scan(space::LABELS, None, usize::MAX).await?;
    let read = |(key, value): &(key::Key, bytes::Bytes)| {
        let label: Label = serde_json::from_slice(value).ok()?;
        Some(Label { id: String::from_utf8(key.to_vec()).ok()?, ..label })
    };
    Ok(found.iter().filter_map(read).collect())
}

/// The chats that have a label.
pub async fn chats_of(store: &Store, label: &str) -> Result<Vec<String>, StoreError> {
    let found = store.scan_prefix(space::LABELLED, &key::chats_of_label(label), usize::MAX).await?;
    Ok(found.iter().filter_map(|(key, _)| Some(key::second(key)?.to_owned())).collect())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data, which JSON always takes")
}
