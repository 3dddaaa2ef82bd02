//! `AppSyncStore`: keys, versions and MACs of the collections (contacts, mutes, pins) that WhatsApp syncs between devices.

use std::collections::HashMap;

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

impl Store {
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
        Ok(self.answer(found).await?.map(HashState::from).unwrap_or_default())
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
