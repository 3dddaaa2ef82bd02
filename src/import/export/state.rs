//! A tenant of ours as a copy: what our own store holds of a linked device, read from its records.

use prost::Message as _;
use whatsapp_rust::wacore::{
    libsignal::protocol::{KeyPair, PreKeyRecord},
    store::Device,
};

use crate::{
    import::{
        AccountProof, ContactToken, DeviceCopy, EntryError, EntryKind, ImportError, ImportOrigin, KeyHalves,
        KeyMaterial, SignalAddress, SyncKeyCopy, TenantCopy,
        address::{is_group, is_user},
        signal,
    },
    journal::Record,
    store::{
        records::{self, DeviceListRecord, LidMappingRecord, SyncKeyRecord, TcTokenRecord},
        space,
    },
};

impl TenantCopy {
    /// Reads the records. One that cannot be read is left out and told; without a device there is no copy.
    pub(in crate::import) fn of_state(state: &[Record]) -> Result<Self, ImportError> {
        let device = state.iter().find(|record| record.space == space::DEVICE).ok_or(ImportError::NoCredentials)?;
        let device = records::device::decode(&device.value)
            .map_err(|error| ImportError::Credentials(EntryError::Protocol(error.to_string())))?;
        let mut copy = Self::new(ImportOrigin::Baileys, device_copy(&device)?);
        for record in state {
            let kind = match record.space {
                space::PRE_KEYS => EntryKind::PreKey,
                space::SESSIONS => EntryKind::Session,
                space::SENDER_KEYS => EntryKind::SenderKey,
                space::IDENTITIES => EntryKind::Identity,
                space::LID_MAPPINGS => EntryKind::LidMapping,
                space::TC_TOKENS => EntryKind::ContactToken,
                space::SYNC_KEYS => EntryKind::SyncKey,
                space::DEVICE_LISTS => EntryKind::DeviceList,
                _ => continue,
            };
            if let Err(reason) = copy.take(kind, &record.key, &record.value) {
                copy.tally.drop_entry(kind, &String::from_utf8_lossy(&record.key), &reason);
            }
        }
        copy.complete();
        // A cut may have a key and not yet the device that counts it; all of it is of one moment.
        let newest = copy.pre_keys.keys().next_back().copied().unwrap_or(0);
        copy.device.next_pre_key_id = copy.device.next_pre_key_id.max(newest.saturating_add(1));
        Ok(copy)
    }

    fn take(&mut self, kind: EntryKind, key: &[u8], value: &[u8]) -> Result<(), EntryError> {
        let text = || std::str::from_utf8(key).map_err(|_| EntryError::Address);
        match kind {
            EntryKind::PreKey => {
                let id = <[u8; 4]>::try_from(key).map(u32::from_be_bytes).map_err(|_| EntryError::Invalid("an id"))?;
                let pair = PreKeyRecord::deserialize(value).and_then(|record| record.key_pair()).map_err(protocol)?;
                self.pre_keys.insert(id, halves(&pair)?);
            }
            EntryKind::Session => {
                let address = text()?.parse()?;
                self.sessions.insert(address, signal::own_session(value)?.record);
            }
            EntryKind::SenderKey => {
                let (group, sender) = text()?.split_once(':').ok_or(EntryError::Address)?;
                let record = signal::own_sender_key(value)?;
                // Our own stay behind, and those of statuses.
                if is_group(group) && signal::is_foreign(&record) {
                    self.sender_keys.insert((group.to_owned(), sender.parse()?), record);
                } else {
                    self.tally.ignore(kind, 1);
                }
            }
            EntryKind::Identity => {
                let identity = value.try_into().map_err(|_| EntryError::Invalid("an identity"))?;
                self.identities.insert(text()?.parse()?, identity);
            }
            EntryKind::LidMapping => {
                let mapping = LidMappingRecord::decode(value).map_err(protocol)?;
                if !self.lid_mappings.insert(&mapping.lid, &mapping.phone_number) {
                    return Err(EntryError::Address);
                }
            }
            EntryKind::ContactToken => {
                let token = TcTokenRecord::decode(value).map_err(protocol)?;
                // The library notes here, too, that it gave somebody ours, and has none of theirs.
                if token.token.is_empty() {
                    self.tally.ignore(kind, 1);
                    return Ok(());
                }
                let token = ContactToken {
                    token: KeyMaterial::new(token.token),
                    timestamp: token.token_timestamp,
                    sender_timestamp: token.sender_timestamp,
                };
                self.contact_tokens.insert(user(text()?)?, token);
            }
            EntryKind::SyncKey => {
                let sync_key = SyncKeyRecord::decode(value).map_err(protocol)?;
                if sync_key.key_data.is_empty() {
                    return Err(EntryError::Missing("the key"));
                }
                let sync_key = SyncKeyCopy {
                    key_data: KeyMaterial::new(sync_key.key_data),
                    fingerprint: sync_key.fingerprint,
                    timestamp: sync_key.timestamp,
                };
                self.sync_keys.insert(key.to_vec(), sync_key);
            }
            EntryKind::DeviceList => {
                let list = DeviceListRecord::decode(value).map_err(protocol)?;
                let devices = list.devices.iter().filter_map(|device| u16::try_from(device.device_id).ok());
                let devices: Vec<_> = devices.collect();
                // Whoever reads an empty list does not ask for the devices.
                if devices.is_empty() {
                    self.tally.ignore(kind, 1);
                    return Ok(());
                }
                self.device_lists.insert(user(text()?)?, devices);
            }
            _ => {}
        }
        Ok(())
    }
}

fn device_copy(device: &Device) -> Result<DeviceCopy, ImportError> {
    let me = device.pn.as_ref().ok_or(ImportError::NotPaired("the number"))?;
    let account = device.account.as_ref().ok_or(ImportError::NotPaired("the account"))?;
    let credentials = ImportError::Credentials;
    let account = AccountProof {
        details: account.details.clone().unwrap_or_default(),
        account_key: account
            .account_signature_key
            .as_deref()
            .and_then(|key| key.try_into().ok())
            .ok_or_else(|| credentials(EntryError::Invalid("the account's key")))?,
        account_signature: account.account_signature.clone().unwrap_or_default(),
        device_signature: account.device_signature.clone().unwrap_or_default(),
    };
    Ok(DeviceCopy {
        noise_key: halves(&device.noise_key).map_err(credentials)?,
        identity_key: halves(&device.identity_key).map_err(credentials)?,
        signed_pre_key: halves(&device.signed_pre_key).map_err(credentials)?,
        signed_pre_key_id: device.signed_pre_key_id,
        signed_pre_key_signature: device.signed_pre_key_signature,
        registration_id: device.registration_id,
        adv_secret: Some(KeyMaterial::new(device.adv_secret_key)),
        account,
        me: SignalAddress::from_jid(&me.to_string()).map_err(credentials)?,
        lid: device.lid.as_ref().and_then(|lid| SignalAddress::from_jid(&lid.to_string()).ok()),
        push_name: Some(device.push_name.clone()).filter(|name| !name.is_empty()),
        platform: None,
        next_pre_key_id: device.next_pre_key_id,
        first_unuploaded_pre_key_id: device.first_unupload_pre_key_id,
        routing_info: device.edge_routing_info.clone().filter(|routing| !routing.is_empty()),
        nct_salt: device.nct_salt.clone().map(KeyMaterial::new),
        lid_migrated: device.lid_migrated,
    })
}

fn halves(pair: &KeyPair) -> Result<KeyHalves, EntryError> {
    KeyHalves::new(pair.public_key.public_key_bytes(), pair.private_key.serialize())
}

fn user(text: &str) -> Result<String, EntryError> {
    if is_user(text) { Ok(text.to_owned()) } else { Err(EntryError::Address) }
}

fn protocol(error: impl std::fmt::Display) -> EntryError {
    EntryError::Protocol(error.to_string())
}
