//! Tells a change of the settings that happens now from one that was made before and is read with a full sync.
//!
//! The library says of each change whether it comes with a full sync, and calls any sync of a collection at version 0 so (whatsapp-rust
//! 0.7.0): also the first change in a collection that had nothing in it, and the first one after a restart, since no vault keeps the
//! versions. So two more questions decide: whether the collection was synced before and was empty, and when the change was made.

use std::sync::Mutex;

use jiff::Timestamp;
use whatsapp_rust::wacore::appstate::schemas::Schema;

use crate::{store::Store, sync::lock};

/// Which changes of the settings are news.
#[derive(Debug)]
pub(in crate::session) struct LiveChanges {
    /// Since then the session is open, with settings that an earlier one had synced; `None`: a first sync is due, or was made here.
    open_since: Mutex<Option<Timestamp>>,
}

impl LiveChanges {
    pub fn new(open_since: Option<Timestamp>) -> Self {
        Self { open_since: Mutex::new(open_since) }
    }

    /// The next pairing begins with a first sync. Whatever that brings is no news, even where its time is not known: the library gives
    /// such a change the present time.
    pub fn pairing_ended(&self) {
        lock(&self.open_since).take();
    }

    /// `made_ms`: when the change was made, by the clock of the device that made it, in milliseconds since 1970.
    pub fn is_live(&self, store: &Store, setting: &Schema, from_full_sync: bool, made_ms: i64) -> bool {
        !from_full_sync || store.was_synced_empty(setting.collection.as_str()) || self.is_later(made_ms)
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
}
