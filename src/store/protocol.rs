//! `ProtocolStore` and `MsgSecretStore`: what the library remembers of its correspondents.
//!
//! The parts of it that concern messages (pending, sent) are in [`super::messages`].

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use whatsapp_rust::{
    store::error::Result,
    wacore::{
        store::traits::{
            DeviceListRecord, LidPnMappingEntry, MsgSecretEntry, MsgSecretStore, PendingInboundKey, PendingInboundRow,
            ProtocolStore, TcTokenEntry, merge_msg_secret_expiry, merge_msg_secret_message_ts,
        },
        types::lid_pn::LearningSource,
    },
};

use super::{
    Batch, Store, StoreError,
    key::{self, Key},
    records::{self, LidMappingRecord, MsgSecretRecord, TcTokenRecord},
    space::{self, Space},
    turn::{StoreTurn, malformed},
};

#[async_trait]
impl ProtocolStore for Store {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let group = key::under(group_jid);
        let marks = self.answer(self.scan_prefix(space::SENDER_KEY_MARKS, &group, usize::MAX)).await?;
        let mark = |(key, value): (Key, Bytes)| Some((key::second(&key)?.to_owned(), *value == [1]));
        Ok(marks.into_iter().filter_map(mark).collect())
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let mut batch = Batch::default();
        for &(device, has_key) in entries {
            let value = Bytes::from_static(if has_key { &[1] } else { &[0] });
            batch.put(space::SENDER_KEY_MARKS, key::sender_key_mark(group_jid, device), value);
        }
        self.write_all(batch).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        self.delete_prefix(space::SENDER_KEY_MARKS, key::under(group_jid)).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let devices: Vec<String> = device_jids.iter().map(|&device| device.to_owned()).collect();
        let delete = self.read(move |turn| {
            for (key, _) in turn.scan_prefix(space::SENDER_KEY_MARKS, b"", usize::MAX)? {
                if key::second(&key).is_some_and(|device| devices.iter().any(|dead| dead == device)) {
                    turn.delete(space::SENDER_KEY_MARKS, key)?;
                }
            }
            Ok(())
        });
        self.answer(delete).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        self.delete_prefix(space::SENDER_KEY_MARKS, key::only()).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.answer(self.mapping_of_lid(lid)).await
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        self.answer(self.mapping_of_number(phone)).await
    }

    /// With source `pairing`: the gate of pairing, see [`super::device`].
    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        if entry.learning_source == LearningSource::Pairing.as_str() {
            self.put_pairing(entry).await
        } else {
            self.put_mappings(std::slice::from_ref(entry)).await
        }
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        self.put_mappings(entries).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        self.answer(self.mappings()).await
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        self.put_one(space::BASE_KEYS, key::base_key(address, message_id), Bytes::copy_from_slice(base_key)).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool> {
        let saved = self.answer(self.get(space::BASE_KEYS, &key::base_key(address, message_id))).await?;
        Ok(saved.is_some_and(|saved| saved == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        self.delete_one(space::BASE_KEYS, key::base_key(address, message_id)).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, lists: Vec<DeviceListRecord>) -> Result<()> {
        let mut batch = Batch::default();
        for list in lists {
            let key = key::text(&list.user);
            batch.put(space::DEVICE_LISTS, key, records::DeviceListRecord::from(list).encode_to_vec());
        }
        self.write_all(batch).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        let key = key::text(user);
        let list = self.read(move |turn| turn.record::<records::DeviceListRecord>(space::DEVICE_LISTS, &key));
        Ok(self.answer(list).await?.map(Into::into))
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.delete_one(space::DEVICE_LISTS, key::text(user)).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.answer(self.get(space::GROUP_METADATA, group_jid.as_bytes())).await?.map(Into::into))
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.put_one(space::GROUP_METADATA, key::text(group_jid), Bytes::copy_from_slice(blob)).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.delete_one(space::GROUP_METADATA, key::text(group_jid)).await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let key = key::text(jid);
        let token = self.read(move |turn| turn.record::<TcTokenRecord>(space::TC_TOKENS, &key));
        Ok(self.answer(token).await?.map(Into::into))
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.put_one(space::TC_TOKENS, key::text(jid), TcTokenRecord::from(entry).encode_to_vec().into()).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.delete_one(space::TC_TOKENS, key::text(jid)).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        let jids = self.read(|turn| {
            let tokens = turn.database.scan(space::TC_TOKENS, None, usize::MAX)?;
            let jid = |key: Key| String::from_utf8(key.into()).map_err(|_| malformed(space::TC_TOKENS));
            tokens.into_iter().map(|(key, _)| jid(key)).collect()
        });
        self.answer(jids).await
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        let dead = move |token: &TcTokenRecord| {
            let token_lives = !token.token.is_empty() && token.token_timestamp >= token_cutoff;
            let sender_lives = token.sender_timestamp.is_some_and(|at| at >= sender_cutoff);
            !token_lives && !sender_lives
        };
        self.sweep(space::TC_TOKENS, dead).await
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        self.change_token(jid, move |token| {
            let mut token = token.unwrap_or(TcTokenRecord { token_timestamp: sender_timestamp, ..Default::default() });
            token.sender_timestamp = token.sender_timestamp.max(Some(sender_timestamp));
            Some(token)
        })
        .await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        let received = token.to_vec();
        self.change_token(jid, move |token| {
            let before = token.unwrap_or_default();
            let newer = before.token.is_empty() || token_timestamp >= before.token_timestamp;
            newer.then_some(TcTokenRecord { token: received, token_timestamp, ..before })
        })
        .await
    }

    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        self.keep_sent(chat_jid, message_id, payload).await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        self.take_sent(chat_jid, message_id).await
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        let dead = move |sent: &records::SentMessageRecord| sent.stored_at < cutoff_timestamp;
        self.sweep(space::SENT_MESSAGES, dead).await
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.keep_pending(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        self.pending(chat, sender, id).await
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.forget_pending(&[PendingInboundKey { chat, sender, id }]).await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        let dead = move |pending: &records::PendingInboundRecord| pending.inserted_at < cutoff_timestamp;
        self.sweep(space::PENDING_INBOUND, dead).await
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        self.keep_pending(rows).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        self.forget_pending(keys).await
    }
}

#[async_trait]
impl MsgSecretStore for Store {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let stored = entries.len();
        let put = self.read(move |turn| {
            for entry in entries {
                let key = key::msg_secret(&entry.chat, &entry.sender, &entry.msg_id);
                let mut record = MsgSecretRecord {
                    secret: entry.secret.to_vec(),
                    expires_at: entry.expires_at,
                    message_ts: entry.message_ts,
                };
                if let Some(before) = turn.record::<MsgSecretRecord>(space::MSG_SECRETS, &key)? {
                    record.expires_at = merge_msg_secret_expiry(before.expires_at, record.expires_at);
                    record.message_ts = merge_msg_secret_message_ts(before.message_ts, record.message_ts);
                }
                turn.put_record(space::MSG_SECRETS, key, &record)?;
            }
            Ok(stored)
        });
        self.answer(put).await
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_msg_secret_with_ts(chat, sender, msg_id).await?.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>> {
        let key = key::msg_secret(chat, sender, msg_id);
        let found = self.read(move |turn| turn.record::<MsgSecretRecord>(space::MSG_SECRETS, &key));
        Ok(self.answer(found).await?.map(|record| (record.secret, record.message_ts)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        let dead = move |secret: &MsgSecretRecord| secret.expires_at != 0 && secret.expires_at <= cutoff_timestamp;
        self.sweep(space::MSG_SECRETS, dead).await
    }
}

/// The library's own questions, for those who take an error.
impl Store {
    /// The number of a LID.
    pub async fn mapping_of_lid(&self, lid: &str) -> std::result::Result<Option<LidPnMappingEntry>, StoreError> {
        let key = key::text(lid);
        let mapping = self.read(move |turn| turn.record::<LidMappingRecord>(space::LID_MAPPINGS, &key));
        Ok(mapping.await?.map(Into::into))
    }

    /// The latest LID of a number.
    pub async fn mapping_of_number(&self, number: &str) -> std::result::Result<Option<LidPnMappingEntry>, StoreError> {
        let number = number.to_owned();
        Ok(self.read(move |turn| turn.mapping_of_number(&number)).await?.map(Into::into))
    }

    pub async fn mappings(&self) -> std::result::Result<Vec<LidPnMappingEntry>, StoreError> {
        let mappings = self.read(|turn| turn.all::<LidMappingRecord>(space::LID_MAPPINGS)).await?;
        Ok(mappings.into_iter().map(|(_, mapping)| mapping.into()).collect())
    }
}

impl Store {
    pub(super) async fn put_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let entries: Vec<LidMappingRecord> = entries.iter().map(Into::into).collect();
        let put = self.read(move |turn| entries.into_iter().try_for_each(|entry| turn.put_mapping(entry)));
        self.answer(put).await
    }

    pub(super) async fn delete_prefix(&self, space: Space, prefix: Key) -> Result<()> {
        let delete = self.read(move |turn| {
            for (key, _) in turn.scan_prefix(space, &prefix, usize::MAX)? {
                turn.delete(space, key)?;
            }
            Ok(())
        });
        self.answer(delete).await
    }

    /// Reads, changes and writes in one turn: two writers of one token (history sync, notifications) lose nothing.
    async fn change_token(
        &self,
        jid: &str,
        change: impl FnOnce(Option<TcTokenRecord>) -> Option<TcTokenRecord> + Send + 'static,
    ) -> Result<()> {
        let key = key::text(jid);
        let change = self.read(move |turn| match change(turn.record(space::TC_TOKENS, &key)?) {
            Some(token) => turn.put_record(space::TC_TOKENS, key, &token),
            None => Ok(()),
        });
        self.answer(change).await
    }

    async fn sweep<R: prost::Message + Default>(
        &self,
        space: Space,
        dead: impl Fn(&R) -> bool + Send + 'static,
    ) -> Result<u32> {
        self.answer(self.read(move |turn| turn.sweep(space, dead))).await
    }
}

impl StoreTurn<'_> {
    /// The latest LID of a number; a number may have had several.
    pub(super) fn mapping_of_number(&self, number: &str) -> std::result::Result<Option<LidMappingRecord>, StoreError> {
        let mut latest: Option<LidMappingRecord> = None;
        for (key, _) in self.scan_prefix(space::LIDS_OF_NUMBERS, &key::under(number), usize::MAX)? {
            let lid = key::second(&key).unwrap_or_default();
            let mapping = self.record::<LidMappingRecord>(space::LID_MAPPINGS, lid.as_bytes())?;
            if let Some(mapping) = mapping
                && latest.as_ref().is_none_or(|latest| mapping.updated_at >= latest.updated_at)
            {
                latest = Some(mapping);
            }
        }
        Ok(latest)
    }

    pub(super) fn put_mapping(&mut self, mut entry: LidMappingRecord) -> std::result::Result<(), StoreError> {
        let key = key::text(&entry.lid);
        let before = self.record::<LidMappingRecord>(space::LID_MAPPINGS, &key)?;
        if before.as_ref().is_none_or(|before| before.phone_number != entry.phone_number) {
            self.met.push((entry.lid.clone(), entry.phone_number.clone()));
        }
        if let Some(before) = before {
            // When it was first learned, whoever learns it again.
            entry.created_at = before.created_at;
            if before.phone_number != entry.phone_number {
                self.delete(space::LIDS_OF_NUMBERS, key::lid_of_number(&before.phone_number, &before.lid))?;
            }
        }
        self.put(space::LIDS_OF_NUMBERS, key::lid_of_number(&entry.phone_number, &entry.lid), Bytes::new())?;
        self.put_record(space::LID_MAPPINGS, key, &entry)
    }
}
