//! Tenants that come from other gateways, with their WhatsApp session: no QR code, no "security code changed".
//!
//! Readers turn bytes, files and databases of others into one [`TenantCopy`], which [`TenantCopy::verify`] finds whole or
//! not, and [`TenantCopy::settle`] makes safe to send with; [`export`] goes the other way. All of them are pure, and sources are only
//! read; [`LiveSource`] fetches what they read where a source is a database that lives. [`ImportWriter`] alone writes: one entry of the
//! tenant's journal for who comes or gets a menu ([`RestaurantUpdate`]), and two for who leaves ([`Departure`]). Nothing here connects to
//! WhatsApp.
//!
//! | source | reader |
//! |---|---|
//! | a Baileys folder; WAHA NOWEB's; Evolution's without a database | [`baileys::folder`] |
//! | one JSON: credentials, with keys or without, in any wrapping | [`baileys::document`] |
//! | an export of the Realtime Database, or plain JSON of Firestore | [`baileys::realtime`] |
//! | Firestore's documents | [`baileys::firestore`] |
//! | the old service's menu and settings beside a session in the Realtime Database | [`RestaurantCopy`] |
//! | a menu and settings of the old service alone | [`RestaurantPlaces`] |
//! | the live Realtime Database, the live Firestore | [`LiveSource`] |
//! | rows of Evolution's `Session`, with its folder of keys | [`evolution::rows`] |
//! | a dump of Evolution's hash in Redis | [`evolution::redis`] |
//! | whatsmeow's SQLite, a dump of its PostgreSQL, or its tables as CSV; WAHA GOWS' | [`whatsmeow`] |
//! | WAHA's folder of sessions | [`waha`] |
//!
//! Promises:
//!
//! - Any input ends in a copy or in an error, within [`ImportLimits`], time included; no link within a source is followed.
//! - Damaged credentials refuse the tenant. A damaged key, session or mapping costs itself, and is told.
//! - What was kept, dropped and ignored is counted ([`ImportTally`]). No value is ever printed.
//! - A copy that is not declared final sends with no session of the old service.

mod address;
mod backup;
pub mod baileys;
mod check;
mod claim;
mod complete;
mod copy;
mod counters;
mod csv;
mod departure;
mod encoding;
mod entrance;
mod entry;
mod error;
pub mod evolution;
pub mod export;
mod files;
mod finder;
mod fingerprint;
#[cfg(any(test, feature = "loopback"))]
pub mod fuzz;
mod json;
mod key;
mod limits;
mod live;
mod mappings;
mod owners;
mod report;
mod restaurant;
mod restaurant_writer;
mod secret;
mod signal;
mod source;
mod tally;
#[cfg(test)]
mod tests;
mod time;
mod versions;
pub mod waha;
pub mod whatsmeow;
mod writer;

pub use self::{
    address::{AddressServer, SignalAddress},
    backup::{BackupError, TenantBackup},
    check::CopyFlaw,
    claim::UnsearchableRecords,
    copy::{AccountProof, ContactToken, DeviceCopy, ImportOrigin, SyncKeyCopy, TenantCopy},
    counters::{CounterMargin, Finality, SettledTenant},
    departure::{Departure, RefusedExport},
    entrance::{SourceFormat, read, read_one},
    entry::{ImportReceipt, TenantEntry, UnwritableCopyError},
    error::{EntryError, ImportError},
    finder::TenantFinder,
    key::KeyHalves,
    limits::ImportLimits,
    live::{GoogleTokens, LiveError, LiveSource},
    mappings::LidMappings,
    report::{ImportFailure, ImportOutcome, ImportReport},
    restaurant::{OwnedRestaurant, RestaurantCopy, RestaurantPlaces, SOURCE_BYTES},
    restaurant_writer::RestaurantUpdate,
    secret::KeyMaterial,
    source::SourceTenant,
    tally::{EntryCounts, EntryKind, EntryProblem, ImportTally},
    time::TimeBudget,
    writer::{ImportWriter, Occupancy, RefusedImport, TenantPast},
};
