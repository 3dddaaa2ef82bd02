//! `vault` and `journal`: where tenants are at home, and their keys.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use super::SettingReader;
use crate::{
    config::{Credentials, Secret, VaultConfig, VaultHome},
    seal::MasterKey,
};

impl SettingReader<'_> {
    pub(super) fn vault(&mut self, data_dir: Option<&Path>, account: Option<(Secret, String)>) -> Option<VaultConfig> {
        let project = self.text("vault.firestore.project");
        let database = self.text("vault.firestore.database");
        let emulator = self.text("vault.firestore.emulator");
        let request_timeout = self.duration("vault.firestore.request_timeout", 1..=120);
        let path = self.text("vault.embedded.path");
        let shared = self.flag("vault.embedded.shared");
        let master_keys = self.master_keys();
        let snapshot_entries = self.count("vault.snapshot_entries", 10..=100_000).map(|count| count as u64);
        let writes_per_minute = self.count("journal.writes_per_minute", 0..=1_000_000);
        let audit = self.duration("journal.audit", 1..=2_592_000);
        let kind = self.text("vault.kind");
        let project = if project.is_empty() { account.as_ref().map_or(project, |a| a.1.clone()) } else { project };
        let firestore = match kind.as_str() {
            "firestore" => true,
            "embedded" => false,
            "auto" if !project.is_empty() => true,
            "auto" => {
                let throwaway = self.environment.contains_key("RAILWAY_ENVIRONMENT")
                    && !self.environment.contains_key("RAILWAY_VOLUME_MOUNT_PATH");
                if throwaway {
                    self.mistake(
                        "vault.kind",
                        "this disk is thrown away at every deploy (Railway without a volume): configure Firestore, or \
                         choose \"embedded\" by name",
                    );
                    return None;
                }
                false
            }
            _ => {
                self.mistake("vault.kind", "expected auto, firestore or embedded");
                return None;
            }
        };
        if !firestore {
            let path = if path.is_empty() { data_dir?.join("vault.db") } else { PathBuf::from(path) };
            return Some(VaultConfig {
                home: VaultHome::Embedded { path, shared },
                master_keys: master_keys?,
                snapshot_entries: snapshot_entries?,
                audit: audit?,
                writes_per_minute: None,
            });
        }
        if project.is_empty() {
            self.mistake("vault.firestore.project", "must be set (or a service account that names it)");
        }
        if !emulator.is_empty() && account.is_some() {
            self.mistake(
                "vault.firestore.emulator",
                "cannot be combined with a service account: which of them is meant?",
            );
        }
        if master_keys.as_ref().is_some_and(Vec::is_empty) {
            self.mistake(
                "vault.master_keys",
                "must be set with Firestore: 32 random bytes in hex or base64 (openssl rand -hex 32)",
            );
        }
        let credentials = match (emulator.is_empty(), account) {
            (false, _) => Credentials::Emulator(emulator),
            (true, Some((json, _))) => Credentials::ServiceAccount(json),
            (true, None) => Credentials::ApplicationDefault,
        };
        let home = VaultHome::Firestore { project, database, credentials, request_timeout: request_timeout? };
        let writes_per_minute = NonZeroU32::new(writes_per_minute? as u32);
        let (master_keys, snapshot_entries) = (master_keys?, snapshot_entries?);
        Some(VaultConfig { home, master_keys, snapshot_entries, audit: audit?, writes_per_minute })
    }

    /// Reports a wrong key without a character of it.
    fn master_keys(&mut self) -> Option<Vec<MasterKey>> {
        let mut keys = Some(Vec::new());
        for (n, text) in self.secrets("vault.master_keys").iter().enumerate() {
            match (text.expose().parse(), &mut keys) {
                (Ok(key), Some(keys)) => keys.push(key),
                (Ok(_), None) => {}
                (Err(_), _) => {
                    let expected = format!("key {}: expected 32 bytes in hex or base64 (openssl rand -hex 32)", n + 1);
                    self.mistake("vault.master_keys", expected);
                    keys = None;
                }
            }
        }
        keys
    }

    /// The service account's key (JSON) and its project.
    pub(super) fn service_account(&mut self) -> Option<(Secret, String)> {
        let inline = self.text("vault.firestore.service_account_key");
        let file = self.text("vault.firestore.service_account_file");
        let (key, json) = if !inline.is_empty() {
            let json = if inline.trim_start().starts_with('{') {
                Some(inline)
            } else {
                BASE64.decode(inline.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok())
            };
            ("vault.firestore.service_account_key", json)
        } else if !file.is_empty() {
            ("vault.firestore.service_account_file", std::fs::read_to_string(&file).ok())
        } else {
            return None;
        };
        let project = json.as_deref().and_then(|json| {
            let parsed: serde_json::Value = serde_json::from_str(json).ok()?;
            Some(parsed.get("project_id")?.as_str()?.to_owned())
        });
        match (json, project) {
            (Some(json), Some(project)) => Some((Secret::new(json), project)),
            _ => {
                self.mistake(key, "expected the JSON key of a service account (a file, the JSON, or base64 of it)");
                None
            }
        }
    }
}
