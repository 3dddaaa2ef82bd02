//! Baileys' stores, and those of gateways that run on it.
//!
//! All keep the same two things, credentials and named keys ([`entry_name`], [`creds`]); only the shelf differs: a folder
//! ([`folder`]), one JSON ([`document`]), the Realtime Database ([`realtime`]), Firestore ([`firestore`]). [`Assembly`] takes the
//! pieces in any order and makes the [`super::TenantCopy`] of them.

pub mod assembly;
pub mod creds;
pub mod document;
pub mod entry_name;
pub mod firestore;
pub mod folder;
pub mod realtime;

pub use assembly::Assembly;
