//! A webhook's stored state: its place in the event log, and its failed deliveries.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Webhook,
    form::{FailureForm, WhatForm},
};
use crate::{
    message::{EventBody, EventId},
    store::{Batch, Store, StoreError, WEBHOOKS, key, parse_setting, space},
    waha::{EventName, chat_id, event_id},
};

/// Records, and bytes, that are read at a time: failures have whole events in them.
const PAGE: (usize, usize) = (64, 1 << 20);

/// A webhook's place in the tenant's events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WebhookPlace {
    /// All events up to here are done; `None`: none.
    pub cursor: Option<EventId>,
    /// Done as well, ahead of one that is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<EventId>,
    /// The receiver said that it is gone (410): nothing goes there until the settings are put again.
    #[serde(default)]
    pub gone: bool,
}

/// An event that was not delivered, kept so that someone can see it and have it sent again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParkedDelivery {
    pub id: EventId,
    pub what: What,
    pub attempts: u32,
    /// The last answer's.
    pub status: Option<u16>,
    pub error: String,
    pub parked_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The receiver refuses it.
    Refused {
        /// Under which names it is still owed.
        names: Vec<String>,
        body: Box<EventBody>,
    },
    /// The log's retention has overtaken the webhook: of the events after `after`, up to `id`, some are gone.
    Gap { after: Option<EventId> },
}

impl ParkedDelivery {
    pub fn names(&self) -> Vec<EventName> {
        match &self.what {
            What::Refused { names, .. } => names.iter().filter_map(|name| EventName::parse(name)).collect(),
            What::Gap { .. } => Vec::new(),
        }
    }

    /// To be shown.
    pub fn show(&self, webhook: &Webhook) -> FailureForm {
        let what = match &self.what {
            What::Refused { body, .. } => {
                let names = self.names();
                let message = match &**body {
                    EventBody::Status { message_id, .. } => Some(message_id),
                    body => body.message().map(|message| &message.id),
                };
                WhatForm::Refused {
                    events: names.iter().map(|name| name.as_str()).collect(),
                    event_ids: names.iter().map(|name| event_id(self.id, *name)).collect(),
                    chat_id: Some(body.chat()).filter(|chat| !chat.is_empty()).map(chat_id),
                    message_id: message.cloned(),
                }
            }
            What::Gap { after } => WhatForm::Gap { after: *after, up_to: self.id },
        };
        FailureForm {
            id: failure_id(&webhook.id, self.id),
            webhook: webhook.id.clone(),
            url: webhook.url.to_string(),
            attempts: self.attempts,
            status: self.status,
            error: self.error.clone(),
            parked_at: self.parked_at.as_millisecond(),
            what,
        }
    }
}

/// A failure's name in the API.
pub fn failure_id(webhook: &str, id: EventId) -> String {
    format!("{webhook}-{}", id.to_string().to_lowercase())
}

/// The webhook and the event of a failure's name.
pub fn parse_failure_id(text: &str) -> Option<(&str, EventId)> {
    let (webhook, id) = text.split_once('-')?;
    Some((webhook, EventId(ulid::Ulid::from_string(&id.to_uppercase()).ok()?)))
}

/// What cannot be read is an error, and not nothing: else a webhook would end without a word, and the next change be written over it.
pub async fn settings(store: &Store) -> Result<Option<super::WebhookSettings>, StoreError> {
    let Some(stored) = store.get(space::SETTINGS, &key::text(WEBHOOKS)).await? else { return Ok(None) };
    parse_setting::<serde::de::IgnoredAny>(WEBHOOKS, &stored)?;
    let unreadable = || StoreError::Setting { name: WEBHOOKS, line: 1, column: 1 };
    super::WebhookSettings::restore(&stored).ok_or_else(unreadable).map(Some)
}

pub fn put_settings(batch: &mut Batch, settings: &super::WebhookSettings) {
    batch.put(space::SETTINGS, key::text(WEBHOOKS), settings.store());
}

pub async fn load(store: &Store, webhook: &str) -> Result<WebhookPlace, StoreError> {
    let stored = store.get(space::SETTINGS, &of(webhook)).await?;
    // From the beginning of the log everything would go out once more.
    stored.map_or_else(|| Ok(WebhookPlace::default()), |stored| parse_setting("place of a webhook", &stored))
}

pub fn put(batch: &mut Batch, webhook: &str, progress: &WebhookPlace) {
    batch.put(space::SETTINGS, of(webhook), plain(progress));
}

/// Returns how many bytes it has.
pub fn put_failure(batch: &mut Batch, webhook: &str, failure: &ParkedDelivery) -> usize {
    let record = plain(failure);
    let bytes = record.len();
    batch.put(space::WEBHOOK_FAILURES, key::webhook_failure(webhook, &failure.id.0.to_bytes()), record);
    bytes
}

pub fn delete_failure(batch: &mut Batch, webhook: &str, id: EventId) {
    batch.delete(space::WEBHOOK_FAILURES, key::webhook_failure(webhook, &id.0.to_bytes()));
}

pub async fn failure(store: &Store, webhook: &str, id: EventId) -> Result<Option<ParkedDelivery>, StoreError> {
    let stored = store.get(space::WEBHOOK_FAILURES, &key::webhook_failure(webhook, &id.0.to_bytes())).await?;
    Ok(stored.and_then(|stored| serde_json::from_slice(&stored).ok()))
}

/// What is made of each failure of a webhook, oldest first.
pub async fn failures<T>(
    store: &Store,
    webhook: &str,
    mut make: impl FnMut(&ParkedDelivery) -> T,
) -> Result<Vec<T>, StoreError> {
    let mut made = Vec::new();
    let prefix = key::webhook_failure(webhook, b"");
    each(store, &prefix, |_, value| {
        made.extend(serde_json::from_slice::<ParkedDelivery>(value).ok().as_ref().map(&mut make))
    })
    .await?;
    Ok(made)
}

/// Failures of a webhook and the sizes of their records, oldest first, also of those that cannot be read.
pub async fn sizes(store: &Store, webhook: &str) -> Result<Vec<(EventId, usize)>, StoreError> {
    let mut sizes = Vec::new();
    let prefix = key::webhook_failure(webhook, b"");
    each(store, &prefix, |key, value| {
        let id = key.get(prefix.len()..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        sizes.extend(id.map(|id| (EventId(ulid::Ulid::from_bytes(id)), value.len())));
    })
    .await?;
    Ok(sizes)
}

/// Hands over all failures whose keys begin so, and holds no more than a page of them.
async fn each(store: &Store, prefix: &[u8], mut take: impl FnMut(&key::Key, &[u8])) -> Result<(), StoreError> {
    let mut after = key::Key::from(prefix);
    loop {
        let page = store.page(space::WEBHOOK_FAILURES, Some(&after), PAGE.0, PAGE.1).await?;
        for (key, value) in &page {
            if !key.starts_with(prefix) {
                return Ok(());
            }
            take(key, value);
        }
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
    }
}

/// Everything of a webhook that is no longer wanted.
pub async fn forget(store: &Store, batch: &mut Batch, webhook: &str) -> Result<(), StoreError> {
    batch.delete(space::SETTINGS, of(webhook));
    let prefix = key::webhook_failure(webhook, b"");
    for key in store.keys(space::WEBHOOK_FAILURES, &prefix).await? {
        batch.delete(space::WEBHOOK_FAILURES, key);
    }
    Ok(())
}

/// Everything of all of them, also of those that nobody can name.
pub async fn forget_all(store: &Store, batch: &mut Batch) -> Result<(), StoreError> {
    let places = key::text(&format!("{WEBHOOKS}/"));
    for (space, prefix) in [(space::SETTINGS, &*places), (space::WEBHOOK_FAILURES, &[][..])] {
        for key in store.keys(space, prefix).await? {
            batch.delete(space, key);
        }
    }
    Ok(())
}

fn of(webhook: &str) -> key::Key {
    key::text(&format!("{WEBHOOKS}/{webhook}"))
}

fn plain(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record is plain data, which JSON always takes")
}
