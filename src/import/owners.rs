//! What a deletion took from a tenant and its backup brings back: an owner's menu, settings, webhooks and country.
//!
//! Pure. The history of a deleted tenant stays, so nothing of the backup's is written over it. What the next owner of the name has written
//! stays as well.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    bot::owner_records::{self, MENU, PLACE, SETTINGS, Versioned},
    journal::Record,
    store::{
        COUNTRY, WEBHOOKS, key,
        space::{self, Space},
    },
};

/// `state`: of a tenant that is nobody's. The bot answers what comes from `now` on.
pub fn owners_lost_records(backup: &[Record], state: &[Record], now: Timestamp) -> Vec<Record> {
    let mut back = Vec::new();
    for name in [MENU, SETTINGS] {
        let free = owner_records::free_version(name, find(state, space::BOT, name));
        let Some((version, stored)) = free.zip(find(backup, space::BOT, name)) else { continue };
        // Whatever does not parse comes back as it is, and is told as it was there.
        let value = match serde_json::from_slice::<Versioned<Value>>(stored) {
            Ok(kept) => plain(&json!(Versioned { version: kept.version.max(version + 1), value: kept.value })),
            Err(_) => Bytes::copy_from_slice(stored),
        };
        back.push(record(space::BOT, name, value));
        if name == SETTINGS {
            let place = owner_records::place_from_now(find(state, space::BOT, PLACE), now);
            back.push(record(space::BOT, PLACE, place.into()));
        }
    }
    let is_free = |name: &str| find(state, space::SETTINGS, name).is_none_or(is_emptied);
    let places = format!("{WEBHOOKS}/");
    for kept in backup.iter().filter(|record| record.space == space::SETTINGS) {
        let is_of = |name: &str| *kept.key == *name.as_bytes();
        let is_of_webhooks = is_of(WEBHOOKS) || kept.key.starts_with(places.as_bytes());
        if is_of_webhooks && is_free(WEBHOOKS) || is_of(COUNTRY) && is_free(COUNTRY) {
            back.push(kept.clone());
        }
    }
    back
}

fn find<'r>(records: &'r [Record], space: Space, name: &str) -> Option<&'r [u8]> {
    let found = records.iter().find(|record| record.space == space && *record.key == *name.as_bytes());
    found.map(|record| &record.value[..])
}

fn record(space: Space, name: &str, value: Bytes) -> Record {
    Record { space, key: key::text(name), value }
}

fn plain(value: &Value) -> Bytes {
    value.to_string().into()
}

/// An object that says nothing, as a deletion leaves of webhooks.
fn is_emptied(stored: &[u8]) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    matches!(serde_json::from_slice::<Map<String, Value>>(stored), Ok(fields) if fields.values().all(is_empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deletion_took_comes_back_and_what_another_owner_wrote_stays() {
        let bot = |name: &str, value: Value| record(space::BOT, name, plain(&value));
        let setting = |name: &str, value: Value| record(space::SETTINGS, name, plain(&value));
        let menu = json!({ "id": "m", "name": "Carta", "items": [] });
        let backup = [
            bot(MENU, json!({ "version": 1, "value": menu })),
            bot(SETTINGS, json!({ "version": 9, "value": { "active": true, "name": "Rosa" } })),
            bot(PLACE, json!({ "cursor": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "since": "2026-01-01T00:00:00Z" })),
            setting(WEBHOOKS, json!({ "webhooks": [{ "id": "a" }], "metadata": {} })),
            setting("webhooks/a", json!({ "cursor": null })),
            setting(COUNTRY, json!("CO")),
            setting("events/closed", json!([])),
        ];
        let emptied = [
            bot(MENU, json!(Versioned { version: 5, value: owner_records::no_menu().value })),
            bot(SETTINGS, json!(Versioned { version: 6, value: owner_records::no_settings().value })),
            bot(PLACE, json!({ "cursor": "01BX5ZZKBKACTAV9WEVGEMMVRZ", "since": "2026-01-01T00:00:00Z" })),
            setting(WEBHOOKS, json!({ "webhooks": [], "metadata": {} })),
        ];
        let now: Timestamp = "2026-12-01T05:00:00Z".parse().expect("a time");
        let back = owners_lost_records(&backup, &emptied, now);
        let value = |space, name: &str| {
            find(&back, space, name).map(|value| serde_json::from_slice::<Value>(value).expect("JSON"))
        };
        assert_eq!(value(space::BOT, MENU), Some(json!({ "version": 6, "value": menu })), "a version goes on");
        assert_eq!(value(space::BOT, SETTINGS).expect("settings")["value"]["name"], "Rosa");
        // Nothing that was answered before the deletion is answered again.
        let place = json!({ "cursor": "01BX5ZZKBKACTAV9WEVGEMMVRZ", "since": "2026-12-01T05:00:00Z" });
        assert_eq!(value(space::BOT, PLACE), Some(place));
        assert!([WEBHOOKS, "webhooks/a", COUNTRY].iter().all(|name| find(&back, space::SETTINGS, name).is_some()));
        assert_eq!(back.len(), 6, "the history's own marks stay as they are");

        let others = [
            bot(MENU, json!({ "version": 6, "value": { "id": "n", "name": "Otra", "items": [] } })),
            bot(SETTINGS, json!({ "version": 7, "value": { "active": false, "name": "Otra" } })),
            setting(WEBHOOKS, json!({ "webhooks": [{ "id": "b" }], "metadata": {} })),
            setting(COUNTRY, json!("MX")),
        ];
        assert!(owners_lost_records(&backup, &others, now).is_empty());
    }
}
