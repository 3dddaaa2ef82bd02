//! Tells a change of the settings that happens now from one that was made before and is read with a full sync.
//!
//! The library says of each change whether it comes with a full sync, and calls any sync of a collection at version 0 so (whatsapp-rust
//! 0.7.0): also the first change in a collection that had nothing in it, and the first one after a restart, since no vault keeps the
//! versions. So two more questions decide: whether the collection was synced before and was empty, and when the change was made.
//!
//! Of a full sync that comes in pages it calls the first page so, and no other. The answers of WhatsApp tell which page follows on which.

use std::{collections::HashMap, sync::Mutex};

use jiff::Timestamp;
use whatsapp_rust::wacore::appstate::schemas::Schema;

use crate::{store::Store, sync::lock};

/// Which changes of the settings are news.
#[derive(Debug)]
pub(in crate::session) struct LiveChanges {
    /// Since then the session is open, with settings that an earlier one had synced; `None`: a first sync is due, or was made here.
    open_since: Mutex<Option<Timestamp>>,
    /// The collections of which the latest answer was a page of their first sync, each with whether another page follows.
    first_syncs: Mutex<HashMap<Box<str>, bool>>,
}

impl LiveChanges {
    pub fn new(open_since: Option<Timestamp>) -> Self {
        Self { open_since: Mutex::new(open_since), first_syncs: Mutex::default() }
    }

    /// The next pairing begins with a first sync. Whatever that brings is no news, even where its time is not known: the library gives
    /// such a change the present time.
    pub fn pairing_ended(&self) {
        lock(&self.open_since).take();
        lock(&self.first_syncs).clear();
    }

    /// WhatsApp answers with a page of a collection, which the library has not read yet. `is_first`: nothing of it came before.
    pub fn page_came(&self, collection: &str, is_first: bool, has_more: bool) {
        let mut first_syncs = lock(&self.first_syncs);
        // Where the line drops between two pages the next connection begins with the second one.
        if is_first || first_syncs.get(collection) == Some(&true) {
            first_syncs.insert(collection.into(), has_more);
        } else {
            first_syncs.remove(collection);
        }
    }

    /// `made_ms`: when the change was made, by the clock of the device that made it, in milliseconds since 1970.
    pub fn is_live(&self, store: &Store, setting: &Schema, from_full_sync: bool, made_ms: i64) -> bool {
        let collection = setting.collection.as_str();
        let is_of_full_sync = from_full_sync || self.is_in_first_sync(collection);
        !is_of_full_sync || store.was_synced_empty(collection) || self.is_later(made_ms)
    }

    fn is_in_first_sync(&self, collection: &str) -> bool {
        lock(&self.first_syncs).contains_key(collection)
    }

    fn is_later(&self, made_ms: i64) -> bool {
        lock(&self.open_since).is_some_and(|since| made_ms >= since.as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_sync_tells_what_was_set_since_the_session_is_open() {
        let open = Timestamp::from_millisecond(1_800_000_000_000).unwrap();
        let changes = LiveChanges::new(Some(open));
        let is_later = |changes: &LiveChanges| [-1, 0, 1].map(|ms| changes.is_later(open.as_millisecond() + ms));
        assert_eq!(is_later(&changes), [false, true, true]);
        changes.pairing_ended();
        assert_eq!(is_later(&changes), [false; 3]);
        assert_eq!(is_later(&LiveChanges::new(None)), [false; 3]);
    }

    #[test]
    fn all_pages_of_a_first_sync_are_history_and_what_comes_after_is_not() {
        let changes = LiveChanges::new(None);
        let page = |name: &str, is_first, has_more| {
            changes.page_came(name, is_first, has_more);
            changes.is_in_first_sync(name)
        };
        assert!(page("regular", true, true));
        // Another collection's pages are its own.
        assert!(page("regular_low", true, false));
        assert!(page("regular", false, true) && page("regular", false, false));
        assert!(!page("regular", false, false) && !page("regular_low", false, false));
        // A long absence comes in pages, too: that is news.
        assert!(!page("regular", false, true) && !page("regular", false, false));
        // The phone had not shared its keys: the first page comes once more.
        assert!(page("regular", true, true) && page("regular", true, true) && page("regular", false, true));
        changes.pairing_ended();
        assert!(!changes.is_in_first_sync("regular") && !page("regular", false, true));
    }
}
