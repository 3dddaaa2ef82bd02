//! The tenant's state keeps an owner's menu and settings with their versions, and where a bot that is on begins.
//! Pure. Owns the names and the form of these records: `service` reads and writes them, and an import brings the first ones.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{menu::Menu, restaurant::RestaurantSettings};

/// Names within [`crate::store::space::BOT`].
pub const MENU: &str = "menu";
pub const SETTINGS: &str = "settings";
pub const PLACE: &str = "place";

/// An owner's record with its version: two who change it at the same time do not undo each other's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// 0: nobody has written it yet.
    pub version: u64,
    pub value: T,
}

/// Before an owner has written one.
pub fn no_menu() -> Versioned<Menu> {
    Versioned { version: 0, value: Menu { id: String::new(), name: String::new(), items: Vec::new() } }
}

/// Before an owner has written any: the bot is off.
pub fn no_settings() -> Versioned<RestaurantSettings> {
    let value = serde_json::from_value(json!({ "active": false }));
    Versioned { version: 0, value: value.expect("every other setting has a default") }
}

/// The version of a record that nobody has written, or whose owner is gone with the tenant: another may come in its place. `None`: an
/// owner's word is in it.
pub fn free_version(name: &str, stored: Option<&[u8]>) -> Option<u64> {
    let Some(stored) = stored else { return Some(0) };
    match name {
        MENU => emptied(stored, &no_menu().value),
        SETTINGS => emptied(stored, &no_settings().value),
        _ => None,
    }
}

fn emptied<T: DeserializeOwned + PartialEq>(stored: &[u8], nothing: &T) -> Option<u64> {
    let kept: Versioned<T> = serde_json::from_slice(stored).ok()?;
    (kept.value == *nothing).then_some(kept.version)
}

/// The records of a tenant that brings a menu or settings with it, by their names. `free`: the version that is there, see
/// [`free_version`]; those that an owner has written here stay. `place`: the bot's, of a tenant that was here before.
pub fn first_records(
    menu: Option<&Menu>,
    settings: Option<&RestaurantSettings>,
    place: Option<&[u8]>,
    now: Timestamp,
    free: impl Fn(&str) -> Option<u64>,
) -> Vec<(&'static str, Vec<u8>)> {
    let mut records = Vec::new();
    if let Some((menu, version)) = menu.zip(free(MENU)) {
        records.push((MENU, plain(&Versioned { version: version + 1, value: menu })));
    }
    if let Some((settings, version)) = settings.zip(free(SETTINGS)) {
        records.push((SETTINGS, plain(&Versioned { version: version + 1, value: settings })));
        if settings.active {
            records.push((PLACE, place_from_now(place, now)));
        }
    }
    records
}

/// The place of a bot that answers what comes from `now` on. `stored`: how far it had read before: what it has answered it does not answer
/// again.
pub fn place_from_now(stored: Option<&[u8]>, now: Timestamp) -> Vec<u8> {
    let mut place: Map<String, Value> = stored.and_then(|place| serde_json::from_slice(place).ok()).unwrap_or_default();
    place.insert("since".to_owned(), json!(now));
    plain(&place)
}

fn plain(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record is plain data, which JSON always takes")
}
