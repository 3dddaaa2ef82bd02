//! `SignalStore`: identities, sessions, pre-keys, sender keys. Which of them wait for the vault: [`super::gates`]; which for
//! messages: [`super::signal_queue`].

use std::{
    collections::BTreeSet,
    convert::Infallible,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::bail;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::timeout;
use tracing::{debug, warn};
use whatsapp_rust::{store::error::Result, wacore::store::traits::SignalStore};

use super::{
    Batch, Store, StoreError, TurnWrites, gates,
    key::{self, Key},
    signal_queue::{Outcome, QueueHead, SignalWrite},
    space::{self, Space},
    turn::malformed,
};
use crate::{crash, journal::ChangeNo};

/// Devices of one user that are looked at for a record.
const DEVICES: usize = 256;

/// How often a message is asked about that the library may have answered, and how often in vain before it is given up: the
/// library answers everything that it is done with, but for what it has no words for.
const TICK: Duration = Duration::from_millis(20);
const TICKS: u32 = 250;

/// As [`TICKS`], for messages that have not opened before: the wire may be held up until then.
const TICKS_FOR_FAILED_ONES: u32 = 10;

#[async_trait]
impl SignalStore for Store {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        let records = vec![(key::text(address), Bytes::copy_from_slice(&key))];
        self.write_signal(SignalWrite::Put(space::IDENTITIES, records)).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let records = identities.iter().map(|(address, key)| (key::text(address), Bytes::copy_from_slice(key)));
        self.write_signal(SignalWrite::Put(space::IDENTITIES, records.collect())).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let found = async {
            let key = self.signal_record(space::IDENTITIES, address.as_bytes()).await?;
            // Taken for absent it would be learned again, and nobody would hear that it was another.
            key.map(|key| <[u8; 32]>::try_from(&*key).map_err(|_| malformed(space::IDENTITIES))).transpose()
        };
        self.answer(found).await
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.write_signal(SignalWrite::Delete(space::IDENTITIES, key::text(address))).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        self.answer(self.signal_record(space::SESSIONS, address.as_bytes())).await
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        let records = vec![(key::text(address), Bytes::copy_from_slice(session))];
        self.write_signal(SignalWrite::Leased(space::SESSIONS, records)).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.write_signal(SignalWrite::Leased(space::SESSIONS, keyed(sessions))).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.write_signal(SignalWrite::Delete(space::SESSIONS, key::text(address))).await
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        Ok(self.get_session(address).await?.is_some())
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        let found = async {
            for prefix in [format!("{user}@"), format!("{user}:")] {
                for space in [space::SESSIONS, space::IDENTITIES] {
                    if self.has_signal_record(space, prefix.as_bytes()).await? {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        };
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
        self.answer(self.signal_record(space::PRE_KEYS, &key::number(id))).await
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let wanted: BTreeSet<u32> = ids.iter().copied().collect();
        let found = self.read(move |turn| {
            let (Some(&first), Some(&last)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
            let mut found = Vec::with_capacity(wanted.len());
            // After each login the library asks for all that WhatsApp has. They are neighbours: one query, not 800.
            if (last - first) as usize <= 2 * wanted.len() {
                for (key, record) in turn.database.range(space::PRE_KEYS, &key::number(first), &key::number(last))? {
                    found.push((id(space::PRE_KEYS, &key)?, record));
                }
                found.retain(|(id, _)| wanted.contains(id));
                return Ok(found);
            }
            for id in wanted {
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
        self.write_signal(SignalWrite::Delete(space::PRE_KEYS, key::number(id))).await
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
        let records = vec![(key::text(address), Bytes::copy_from_slice(record))];
        self.write_signal(SignalWrite::Leased(space::SENDER_KEYS, records)).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.write_signal(SignalWrite::Leased(space::SENDER_KEYS, keyed(sender_keys))).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.answer(self.signal_record(space::SENDER_KEYS, address.as_bytes())).await?.map(Into::into))
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.write_signal(SignalWrite::Delete(space::SENDER_KEYS, key::text(address))).await
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

    /// The record that the library wrote last, stored by now or not.
    async fn signal_record(&self, space: Space, key: &[u8]) -> std::result::Result<Option<Bytes>, StoreError> {
        match self.copy.signal_queue.find(space, key) {
            Some(record) => Ok(record),
            None => self.get(space, key).await,
        }
    }

    /// Whether the library has a record under a key that begins so.
    async fn has_signal_record(&self, space: Space, prefix: &[u8]) -> std::result::Result<bool, StoreError> {
        if self.copy.signal_queue.has_prefix(space, prefix) {
            return Ok(true);
        }
        let mut stored = self.scan_prefix(space, prefix, DEVICES).await?.into_iter();
        Ok(stored.any(|(key, _)| self.copy.signal_queue.find(space, &key) != Some(None)))
    }

    /// Writes, and returns when what must be durable is; or queues the write behind the messages that are on their way.
    async fn write_signal(&self, write: SignalWrite) -> Result<()> {
        if matches!(write, SignalWrite::Leased(..)) {
            self.copy.signal_writes.fetch_add(1, Ordering::AcqRel);
        }
        let write = if self.copy.gates_are_off() {
            write
        } else {
            match self.copy.signal_queue.push(&self.copy.arrivals, write) {
                Some(write) => write,
                None => return Ok(()),
            }
        };
        let written = async {
            if let Some(gate) = self.store_signal(write).await? {
                self.wait(gate).await?;
                crash::point("lease_raised");
            }
            Ok(())
        };
        self.answer(written).await
    }

    /// Writes. The number is that of the change that must be durable before the library goes on.
    async fn store_signal(&self, write: SignalWrite) -> std::result::Result<Option<ChangeNo>, StoreError> {
        let ((), TurnWrites { gate, .. }) = self
            .turn(move |turn| {
                match write {
                    SignalWrite::Leased(space, records) => {
                        let read = if space == space::SESSIONS { gates::session } else { gates::sender_key };
                        for (key, record) in records {
                            turn.put_leased(space, key, record, read)?;
                        }
                    }
                    SignalWrite::Put(space, records) => {
                        for (key, record) in records {
                            turn.put(space, key, record)?;
                        }
                    }
                    SignalWrite::Delete(space, key) => drop(turn.delete(space, key)?),
                }
                Ok(())
            })
            .await?;
        Ok(gate)
    }

    /// Writes what is queued behind messages, as they are kept; for as long as a connection lasts. Dropped, it leaves the
    /// queue as it is.
    pub async fn write_signal_queue(&self) -> Infallible {
        let mut waited = (None, 0);
        loop {
            let (moved, changed) = (pin!(self.copy.arrivals.moved()), pin!(self.copy.signal_queue.changed()));
            let news = futures::future::select(moved, changed);
            match self.copy.signal_queue.head(&self.copy.arrivals) {
                QueueHead::Ready(write) => {
                    if let Err(error) = self.store_head(write).await {
                        warn!(
                            event = "ratchet_write_failed",
                            error = format!("{:#}", anyhow::Error::new(error)),
                            "ratchets are not stored: nothing is sent"
                        );
                        // The store has failed or is closed; the session ends with it.
                        return std::future::pending().await;
                    }
                }
                QueueHead::None => {
                    news.await;
                }
                QueueHead::Waits { head, for_failed_ones } => {
                    if waited.0 != Some(head) {
                        waited = (Some(head), 0);
                    } else if waited.1 == TICKS || for_failed_ones && waited.1 >= TICKS_FOR_FAILED_ONES {
                        debug!("nothing is heard of a message: the ratchets are stored without it");
                        self.copy.signal_queue.give_up(&self.copy.arrivals);
                    }
                    // Counted, not timed: while this process stands still the message does, too.
                    if timeout(TICK, news).await.is_err() {
                        waited.1 += 1;
                    }
                }
            }
        }
    }

    /// Writes what waits for nothing any more, at the end of a connection. What is left is dropped when the next begins.
    ///
    /// # Errors
    /// The store has failed or is closed.
    pub async fn write_signal_rest(&self) -> std::result::Result<(), StoreError> {
        while let QueueHead::Ready(write) = self.copy.signal_queue.head(&self.copy.arrivals) {
            self.store_head(write).await?;
        }
        Ok(())
    }

    async fn store_head(&self, write: SignalWrite) -> std::result::Result<(), StoreError> {
        let gate = self.store_signal(write).await?;
        self.copy.signal_queue.pop(gate);
        Ok(())
    }

    /// Returns when the vault has all Signal state that the library has written so far.
    ///
    /// # Errors
    /// The connection that wrote it is over, or the journal is closed.
    pub async fn signal_is_durable(&self) -> anyhow::Result<()> {
        let mark = self.copy.signal_queue.mark();
        loop {
            let changed = self.copy.signal_queue.changed();
            match self.copy.signal_queue.outcome(mark) {
                Outcome::Waiting => changed.await,
                Outcome::Dropped => bail!("the ratchet steps of an ended connection are dropped"),
                Outcome::Written(Some(gate)) => return Ok(self.wait(gate).await?),
                Outcome::Written(None) => return Ok(()),
            }
        }
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
