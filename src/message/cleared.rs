//! Conversations that the tenant cleared: nobody is shown what was said in them before. The events stay, for consumers that have not
//! read them yet, until retention takes them; what the phone told of the time before goes at once.

use std::collections::HashMap;

use super::{EventId, past};
use crate::{
    journal::ChangeNo,
    store::{Batch, Store, StoreError, key, space},
};

const PREFIX: &str = "cleared/";

/// Up to which event each conversation was cleared, by jid.
pub type Cleared = HashMap<String, EventId>;

/// Hides what was said in a chat until `last`, and forgets what the phone told of it: with this change.
pub async fn clear(store: &Store, chat: &str, last: EventId) -> Result<ChangeNo, StoreError> {
    let mut batch = Batch::default();
    batch.put(space::SETTINGS, key::text(&format!("{PREFIX}{chat}")), last.0.to_bytes().to_vec());
    past::forget(store, &mut batch, chat).await?;
    store.write(batch).await
}

pub async fn read(store: &Store) -> Result<Cleared, StoreError> {
    let found = store.scan_prefix(space::SETTINGS, PREFIX.as_bytes(), usize::MAX).await?;
    let read = |(key, value): &(key::Key, bytes::Bytes)| {
        let chat = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?.to_owned();
        Some((chat, EventId(ulid::Ulid::from_bytes(value.as_ref().try_into().ok()?))))
    };
    let mut cleared = Cleared::new();
    for (chat, last) in found.iter().filter_map(read) {
        // By the name that it has now.
        let chat = if chat.ends_with("@lid") { store.names(&chat).await?.swap_remove(0) } else { chat };
        let known = cleared.entry(chat).or_insert(last);
        *known = last.max(*known);
    }
    Ok(cleared)
}
