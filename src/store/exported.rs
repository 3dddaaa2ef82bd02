//! A tenant that has left: its device was exported to another gateway, and nothing here connects with it again.
//!
//! Owns [`Exported`], the mark of it. It lies in [`space::EXPORTED`], beside the files that are still to be written, and dies as
//! credentials do: whoever logs the tenant out, deletes it or imports a device makes it one that can be paired again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, key, parse_setting, space};
use crate::journal::Record;

const NAME: &str = "exported";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The gateway's name, for people.
    pub to: String,
    pub at: Timestamp,
    pub number: String,
    /// The public half of the noise key, by which WhatsApp knows the device.
    pub device: [u8; 32],
    /// The folder is complete, and has the only copy of the device.
    pub is_written: bool,
}

impl Exported {
    /// Reads the mark of a hydrated state.
    pub fn of(state: &[Record]) -> Result<Option<Self>, StoreError> {
        let mark = state.iter().find(|record| record.space == space::EXPORTED && record.key == key::only());
        mark.map(|mark| Self::parse(&mark.value)).transpose()
    }

    /// Reads the mark of an open tenant.
    pub async fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        store.get(space::EXPORTED, &key::only()).await?.map(|mark| Self::parse(&mark)).transpose()
    }

    pub(super) fn parse(mark: &[u8]) -> Result<Self, StoreError> {
        parse_setting(NAME, mark)
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a mark is plain data, which JSON always takes")
    }

    /// Where it went and when, for people.
    pub fn words(&self) -> String {
        let Self { to, at, .. } = self;
        format!("exported to {to} at {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}
