//! Readers over real stores, made by Baileys 6.7.24 and 7.0.0-rc14, libsignal-node and whatsmeow on the loopback network, and
//! over hostile ones.

mod baileys;
mod counters;
mod databases;
mod entrance;
mod entry;
mod evolution;
mod export;
mod fleet;
mod groups;
mod hostile;
mod peers;
mod whatsmeow;
mod whatsmeow_kinds;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use super::*;

const BAILEYS_7: &str = include_str!("../../../tests/fixtures/import/baileys-7.json");
const BAILEYS_6: &str = include_str!("../../../tests/fixtures/import/baileys-6.json");

/// A store's files by name.
type FixtureFiles = BTreeMap<String, String>;

fn files(fixture: &str) -> FixtureFiles {
    serde_json::from_str(fixture).expect("a fixture")
}

fn value(files: &FixtureFiles, name: &str) -> Value {
    serde_json::from_str(&files[name]).expect("JSON")
}

fn write(folder: &Path, files: &FixtureFiles) {
    fs::create_dir_all(folder).expect("a folder");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("a file");
    }
}

/// Reads files as a folder of Baileys.
fn read(files: &FixtureFiles) -> Result<TenantCopy, ImportError> {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), files);
    super::baileys::folder::read(folder.path(), ImportOrigin::Baileys, &ImportLimits::default())
}

fn document(text: &str) -> Result<TenantCopy, ImportError> {
    super::baileys::document::read(text.as_bytes(), ImportOrigin::Baileys, &ImportLimits::default())
}

/// `{creds, keys: {<name>: …}}` of a store's files, with the names that databases keep.
fn whole(files: &FixtureFiles) -> Value {
    let mut keys = serde_json::Map::new();
    for name in files.keys().filter(|name| *name != "creds.json") {
        keys.insert(name.trim_end_matches(".json").to_owned(), value(files, name));
    }
    serde_json::json!({ "creds": value(files, "creds.json"), "keys": keys })
}

fn collect(
    run: impl FnOnce(&mut dyn FnMut(SourceTenant)) -> Result<(), ImportError>,
) -> (Vec<SourceTenant>, Result<(), ImportError>) {
    let mut found = Vec::new();
    let result = run(&mut |tenant| found.push(tenant));
    (found, result)
}

/// Two copies hold the same, as far as a copy is compared: everything but counts and the origin.
fn assert_same(one: &TenantCopy, other: &TenantCopy) {
    assert_eq!(format!("{:?}", one.device), format!("{:?}", other.device));
    assert_eq!(one.device.noise_key, other.device.noise_key);
    assert_eq!(one.device.identity_key, other.device.identity_key);
    assert_eq!(one.device.signed_pre_key, other.device.signed_pre_key);
    assert_eq!(one.device.adv_secret, other.device.adv_secret);
    assert_eq!(one.device.account, other.device.account);
    assert_eq!(one.pre_keys, other.pre_keys);
    assert!(one.sessions == other.sessions, "sessions");
    assert_eq!(one.identities, other.identities);
    assert!(one.sender_keys == other.sender_keys, "sender keys");
    assert_eq!(one.lid_mappings, other.lid_mappings);
    assert_eq!(one.sync_keys, other.sync_keys);
    assert_eq!(one.contact_tokens, other.contact_tokens);
    assert_eq!(one.device_lists, other.device_lists);
}
