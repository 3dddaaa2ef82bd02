//! `AppSyncStore`: keys, versions and MACs of the collections (contacts, mutes, pins) that WhatsApp syncs between devices.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use whatsapp_rust::{
    store::error::Result,
    wacore::{
        appstate::{hash::HashState, processor::AppStateMutationMAC},
        store::traits::{AppStateSyncKey, AppSyncStore},
    },
};

use super::{
    Batch, Store, StoreError,
    key::{self, Key},
    records::{CollectionRecord, SyncKeyRecord},
    space,
};
use crate::sync::lock;

/// Collections that are synced, or were, from nothing on. The library takes one that was synced and had nothing in it for one that was
/// never synced, since both have version 0 (whatsapp-rust 0.7.0, `sync_collections_batched`), and calls the first change in it a full sync.
#[derive(Debug, Default)]
pub(super) struct EmptyCollections(Mutex<HashMap<Box<str>, Emptiness>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Emptiness {
    /// Nothing of it has come yet.
    NeverSynced,
    /// It was synced, and had nothing in it.
    SyncedEmpty,
}

impl EmptyCollections {
    /// The library asks for the version of a collection; `None`: it has none.
    fn note(&self, name: &str, version: Option<u64>) {
        let mut empty = lock(&self.0);
        match version {
            None => {
                empty.insert(name.into(), Emptiness::NeverSynced);
            }
            Some(0) => {
                empty.insert(name.into(), Emptiness::SyncedEmpty);
            }
            // It is asked while a change is being read, too: how that began stays known.
            Some(_) if empty.get(name) == Some(&Emptiness::SyncedEmpty) => {}
            Some(_) => {
                empty.remove(name);
            }
        }
    }

    fn is(&self, name: &str, emptiness: Emptiness) -> bool {
        lock(&self.0).get(name) == Some(&emptiness)
    }
}

impl Store {
    /// Whether a collection was synced and had nothing in it, before the library read what it reads now or has read last.
    pub fn was_synced_empty(&self, collection: &str) -> bool {
        self.copy.empty_collections.is(collection, Emptiness::SyncedEmpty)
    }

    /// Whether the library asks for a collection of which nothing has come yet.
    pub fn was_never_synced(&self, collection: &str) -> bool {
        self.copy.empty_collections.is(collection, Emptiness::NeverSynced)
    }

    /// Whether the phone has shared a key of its settings.
    pub async fn has_app_state_keys(&self) -> std::result::Result<bool, StoreError> {
        Ok(!self.scan_back(space::SYNC_KEYS, None, 1).await?.is_empty())
    }
}

#[async_trait]
impl AppSyncStore for Store {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        let key = Key::from(key_id);
        let found = self.read(move |turn| Ok(turn.record::<SyncKeyRecord>(space::SYNC_KEYS, &key)?.map(Into::into)));
        self.answer(found).await
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        self.put_one(space::SYNC_KEYS, key_id.into(), SyncKeyRecord::from(key).encode_to_vec().into()).await?;
        if let Some(hooks) = self.copy.hooks() {
            hooks.app_state_key_came();
        }
        Ok(())
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let key = key::text(name);
        let found = self.read(move |turn| turn.record::<CollectionRecord>(space::COLLECTIONS, &key));
        let state = self.answer(found).await?.map(HashState::from);
        self.copy.empty_collections.note(name, state.as_ref().map(|state| state.version));
        Ok(state.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.put_one(space::COLLECTIONS, key::text(name), CollectionRecord::from(state).encode_to_vec().into()).await
    }

    async fn put_mutation_macs(&self, name: &str, _version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> {
        let mut batch = Batch::default();
        for mac in mutations {
            let value = Bytes::copy_from_slice(&mac.value_mac);
            batch.put(space::MUTATION_MACS, key::mutation_mac(name, &mac.index_mac), value);
        }
        self.write_all(batch).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = key::mutation_mac(name, index_mac);
        Ok(self.answer(self.get(space::MUTATION_MACS, &key)).await?.map(Into::into))
    }

    async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let keys: Vec<_> = index_macs.iter().map(|mac| (*mac, key::mutation_mac(name, mac))).collect();
        let found = self.read(move |turn| {
            let mut found = HashMap::with_capacity(keys.len());
            for (mac, key) in keys {
                if let Some(value) = turn.get(space::MUTATION_MACS, &key)? {
                    found.insert(mac, value.into());
                }
            }
            Ok(found)
        });
        self.answer(found).await
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let mut batch = Batch::default();
        for mac in index_macs {
            batch.delete(space::MUTATION_MACS, key::mutation_mac(name, mac));
        }
        self.write_all(batch).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.delete_prefix(space::MUTATION_MACS, key::under(name)).await
    }

    /// The greatest id, as the library's own SQLite store has it: a key that the phone sends again does not become the
    /// latest by that.
    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let last = self.answer(self.scan_back(space::SYNC_KEYS, None, 1)).await?;
        Ok(last.into_iter().next().map(|(key, _)| key.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_that_was_synced_empty_is_not_one_that_never_was() {
        let collections = EmptyCollections::default();
        let is_empty = || collections.is("regular", Emptiness::SyncedEmpty);
        // Never synced, then filled at once: what comes is history.
        for version in [None, Some(7), Some(8)] {
            collections.note("regular", version);
            assert!(!is_empty(), "{version:?}");
            assert_eq!(collections.is("regular", Emptiness::NeverSynced), version.is_none());
        }
        // Synced, and nothing was there; its first change is read while others ask again.
        for version in [Some(0), Some(1)] {
            collections.note("regular", version);
            assert!(is_empty(), "{version:?}");
        }
        // Another pairing.
        collections.note("regular", None);
        assert!(!is_empty());
    }
}
