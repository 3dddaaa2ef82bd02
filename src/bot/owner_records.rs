//! The tenant's state keeps an owner's menu and settings with their versions, and where a bot that is on begins.
//! Pure. Owns the names and the form of these records: `service` reads and writes them, and an import brings the first ones.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

/// The place of a bot that is on before it has heard anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstPlace {
    /// Nobody answers older messages.
    pub since: Timestamp,
}

/// The records of a tenant that brings a menu or settings with it, by their names. Those that are `written` already are the owner's here,
/// and stay.
pub fn first_records(
    menu: Option<&Menu>,
    settings: Option<&RestaurantSettings>,
    now: Timestamp,
    is_written: impl Fn(&str) -> bool,
) -> Vec<(&'static str, Vec<u8>)> {
    let mut records = Vec::new();
    if let Some(menu) = menu.filter(|_| !is_written(MENU)) {
        records.push((MENU, plain(&Versioned { version: 1, value: menu })));
    }
    if let Some(settings) = settings.filter(|_| !is_written(SETTINGS)) {
        records.push((SETTINGS, plain(&Versioned { version: 1, value: settings })));
        if settings.active {
            records.push((PLACE, plain(&FirstPlace { since: now })));
        }
    }
    records
}

fn plain(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record is plain data, which JSON always takes")
}
