//! `SignalStore`: identities, sessions, pre-keys, sender keys. Which of them wait: [`super::gates`].

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use whatsapp_rust::{store::error::Result, wacore::store::traits::SignalStore};

use super::{
    Batch, Store, StoreError, Written, gates,
    key::{self, Key},
    space::{self, Space},
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
        self.write(batch).await?;
        Ok(())
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let key = self.get(space::IDENTITIES, address.as_bytes()).await?;
        // One of another length is damage. Absent it is learned again.
        Ok(key.and_then(|key| <[u8; 32]>::try_from(&*key).ok()))
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete_one(space::IDENTITIES, key::text(address)).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        Ok(self.get(space::SESSIONS, address.as_bytes()).await?)
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
        Ok(self.get(space::SESSIONS, address.as_bytes()).await?.is_some())
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
        Ok(found.await?)
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
        Ok(self.get(space::PRE_KEYS, &key::number(id)).await?)
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
        Ok(found.await?)
    }

    async fn mark_prekeys_uploaded(&self, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.delete_one(space::PRE_KEYS, key::number(id)).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let last = self.scan_back(space::PRE_KEYS, None, 1).await?;
        Ok(last.first().and_then(|(key, _)| id(key)).unwrap_or(0))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.put_durably(space::SIGNED_PRE_KEYS, vec![(key::number(id), Bytes::copy_from_slice(record))]).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        Ok(self.get(space::SIGNED_PRE_KEYS, &key::number(id)).await?.map(Into::into))
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let all = self.scan(space::SIGNED_PRE_KEYS, None, usize::MAX).await?;
        Ok(all.into_iter().filter_map(|(key, record)| Some((id(&key)?, record.into()))).collect())
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
        Ok(self.get(space::SENDER_KEYS, address.as_bytes()).await?.map(Into::into))
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.delete_one(space::SENDER_KEYS, key::text(address)).await
    }
}

impl Store {
    pub(super) async fn put_one(&self, space: Space, key: Key, value: Bytes) -> Result<()> {
        self.turn(move |turn| turn.put(space, key, value)).await?;
        Ok(())
    }

    pub(super) async fn delete_one(&self, space: Space, key: Key) -> Result<()> {
        self.turn(move |turn| turn.delete(space, key)).await?;
        Ok(())
    }

    async fn put_leased(&self, space: Space, records: Vec<(Key, Bytes)>) -> Result<()> {
        let read = if space == space::SESSIONS { gates::session } else { gates::sender_key };
        self.copy.signal_writes.fetch_add(1, Ordering::AcqRel);
        let put = self.turn(move |turn| {
            for (key, record) in records {
                turn.put_leased(space, key, record, read)?;
            }
            Ok(())
        });
        if let ((), Written { gate: Some(gate), .. }) = put.await? {
            self.wait(gate).await.map_err(StoreError::from)?;
            crash::point("lease_raised");
        }
        Ok(())
    }

    /// Keys that WhatsApp will hand out must survive us.
    async fn put_durably(&self, space: Space, records: Vec<(Key, Bytes)>) -> Result<()> {
        let put = self.gated(move |turn| {
            for (key, record) in records {
                turn.put(space, key, record)?;
            }
            turn.gate();
            Ok::<_, StoreError>(())
        });
        Ok(put.await?)
    }
}

fn keyed(records: &[(Arc<str>, Bytes)]) -> Vec<(Key, Bytes)> {
    records.iter().map(|(address, record)| (key::text(address), record.clone())).collect()
}

fn id(key: &[u8]) -> Option<u32> {
    key.try_into().ok().map(u32::from_be_bytes)
}
