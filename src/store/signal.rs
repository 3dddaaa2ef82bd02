//! `SignalStore`: identities, sessions, pre-keys, sender keys. Which of them wait: [`super::gates`].

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use whatsapp_rust::{store::error::Result, wacore::store::traits::SignalStore};

use super::{
    Batch, Store, StoreError, Written, gates,
    key::{self, Key},
    space::{self, Space},
    turn::malformed,
};
use crate::crash;

#[async_trait]
impl SignalStore for Store {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.put_one(space::IDENTITIES, key::text(address), Bytes::copy_from_slice(&key)).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let mut batch = Batch::default();
        for (address, key) in identities {
            batch.put(space::IDENTITIES, key::text(address), Bytes::copy_from_slice(key));
        }
        self.write_all(batch).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let address = key::text(address);
        let found = self.read(move |turn| {
            let key = turn.get(space::IDENTITIES, &address)?;
            // Taken for absent it would be learned again, and nobody would hear that it was another.
            key.map(|key| <[u8; 32]>::try_from(&*key).map_err(|_| malformed(space::IDENTITIES))).transpose()
        });
        self.answer(found).await
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete_one(space::IDENTITIES, key::text(address)).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        self.answer(self.get(space::SESSIONS, address.as_bytes())).await
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.put_leased(space::SESSIONS, vec![(key::text(address), Bytes::copy_from_slice(session))]).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.put_leased(space::SESSIONS, keyed(sessions)).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.delete_one(space::SESSIONS, key::text(address)).await
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        Ok(self.answer(self.get(space::SESSIONS, address.as_bytes())).await?.is_some())
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        let of_user = [format!("{user}@"), format!("{user}:")];
        let found = self.read(move |turn| {
            for prefix in &of_user {
                for space in [space::SESSIONS, space::IDENTITIES] {
                    if !turn.scan_prefix(space, prefix.as_bytes(), 1)?.is_empty() {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        });
        self.answer(found).await
    }

    /// `uploaded` is not kept: the library never reads it back (it counts with `Device::first_unupload_pre_key_id`).
    async fn store_prekey(&self, id: u32, record: &[u8], _uploaded: bool) -> Result<()> {
        self.put_durably(space::PRE_KEYS, vec![(key::number(id), Bytes::copy_from_slice(record))]).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], _uploaded: bool) -> Result<()> {
        let keys = keys.iter().map(|(id, record)| (key::number(*id), record.clone())).collect();
        self.put_durably(space::PRE_KEYS, keys).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        self.answer(self.get(space::PRE_KEYS, &key::number(id))).await
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let ids = ids.to_vec();
        let found = self.read(move |turn| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                if let Some(record) = turn.get(space::PRE_KEYS, &key::number(id))? {
                    found.push((id, record));
                }
            }
            Ok(found)
        });
        self.answer(found).await
    }

    async fn mark_prekeys_uploaded(&self, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.delete_one(space::PRE_KEYS, key::number(id)).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let last = self.read(|turn| {
            let last = turn.database.scan_back(space::PRE_KEYS, None, 1)?;
            last.first().map_or(Ok(0), |(key, _)| id(space::PRE_KEYS, key))
        });
        self.answer(last).await
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.put_durably(space::SIGNED_PRE_KEYS, vec![(key::number(id), Bytes::copy_from_slice(record))]).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        Ok(self.answer(self.get(space::SIGNED_PRE_KEYS, &key::number(id))).await?.map(Into::into))
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let all = self.read(|turn| {
            let all = turn.database.scan(space::SIGNED_PRE_KEYS, None, usize::MAX)?;
            all.into_iter().map(|(key, record)| Ok((id(space::SIGNED_PRE_KEYS, &key)?, record.into()))).collect()
        });
        self.answer(all).await
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.delete_one(space::SIGNED_PRE_KEYS, key::number(id)).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.put_leased(space::SENDER_KEYS, vec![(key::text(address), Bytes::copy_from_slice(record))]).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.put_leased(space::SENDER_KEYS, keyed(sender_keys)).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.answer(self.get(space::SENDER_KEYS, address.as_bytes())).await?.map(Into::into))
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.delete_one(space::SENDER_KEYS, key::text(address)).await
    }
}

impl Store {
    pub(super) async fn put_one(&self, space: Space, key: Key, value: Bytes) -> Result<()> {
        self.answer(self.read(move |turn| turn.put(space, key, value))).await
    }

    pub(super) async fn delete_one(&self, space: Space, key: Key) -> Result<()> {
        self.answer(self.read(move |turn| turn.delete(space, key).map(drop))).await
    }

    pub(super) async fn write_all(&self, batch: Batch) -> Result<()> {
        self.answer(self.write(batch)).await.map(drop)
    }

    async fn put_leased(&self, space: Space, records: Vec<(Key, Bytes)>) -> Result<()> {
        let read = if space == space::SESSIONS { gates::session } else { gates::sender_key };
        self.copy.signal_writes.fetch_add(1, Ordering::AcqRel);
        if !self.copy.gates_are_off() {
            self.copy.arrivals.settle().await;
        }
        let put = self.turn(move |turn| {
            for (key, record) in records {
                turn.put_leased(space, key, record, read)?;
            }
            Ok(())
        });
        let put = async {
            if let ((), Written { gate: Some(gate), .. }) = put.await? {
                self.wait(gate).await?;
                crash::point("lease_raised");
            }
            Ok(())
        };
        self.answer(put).await
    }

    /// Keys that WhatsApp will hand out must survive us.
    async fn put_durably(&self, space: Space, records: Vec<(Key, Bytes)>) -> Result<()> {
        let put = self.gated(move |turn| {
            for (key, record) in records {
                turn.put(space, key, record)?;
            }
            turn.gate();
            Ok(())
        });
        self.answer(put).await
    }
}

fn keyed(records: &[(Arc<str>, Bytes)]) -> Vec<(Key, Bytes)> {
    records.iter().map(|(address, record)| (key::text(address), record.clone())).collect()
}

fn id(space: Space, key: &[u8]) -> std::result::Result<u32, StoreError> {
    key.try_into().map(u32::from_be_bytes).map_err(|_| malformed(space))
}
