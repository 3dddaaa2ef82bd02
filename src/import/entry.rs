//! A settled tenant as records of the store: the one entry of the journal by which it is there, whole.
//!
//! Pure. Owns the mapping to spaces, and [`ImportReceipt`], which stays with the tenant. The entry replaces all that a pairing
//! before it left behind; messages and settings stay.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use whatsapp_rust::{
    Jid,
    wacore::{
        libsignal::protocol::{KeyPair, PrivateKey, PublicKey},
        store::Device,
    },
    waproto::whatsapp::ADVSignedDeviceIdentity,
};

use super::{
    AccountProof, EntryCounts, EntryKind, Finality, ImportOrigin, KeyHalves, RestaurantCopy, SettledTenant,
    SignalAddress,
};
use crate::{
    bot::owner_records,
    journal::{Change, Record},
    store::{
        self, ACCOUNT_CHANGE, IMPORT_RECEIPT, IMPORTED_NAME, PAIRING, REJECTED, RESTORED, STOPPED, Store, StoreError,
        key::{self, Key},
        records::{self, DeviceListRecord, DeviceRecord, LidMappingRecord, SyncKeyRecord, TcTokenRecord},
        space::{self, Space},
    },
    vault::Decision,
};

/// The library's word for mappings that it takes from elsewhere. `pairing` would make their write wait for a pairing.
const LEARNED: &str = "other";

/// What is remembered of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReceipt {
    pub origin: ImportOrigin,
    /// The public half of the noise key, by which WhatsApp knows the device.
    pub device: [u8; 32],
    pub at: Timestamp,
    pub finality: Finality,
    pub entries: BTreeMap<EntryKind, EntryCounts>,
}

/// What becomes one entry of the journal.
pub struct TenantEntry {
    pub changes: Vec<Change>,
    pub decision: Decision,
}

/// Why a copy cannot be written. The keys were checked before, so this is a mistake of ours.
#[derive(Debug, thiserror::Error)]
pub enum UnwritableCopyError {
    #[error("{0} is not what the library takes")]
    Device(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TenantEntry {
    /// `state`: what the tenant has now. `kept`: what comes back with it.
    pub fn new(
        settled: &SettledTenant,
        state: &[Record],
        kept: &[Record],
        now: Timestamp,
    ) -> Result<Self, UnwritableCopyError> {
        let mut entry = EntryBuilder::default();
        let credentials: Vec<Space> = space::credentials().collect();
        for record in state.iter().filter(|record| credentials.contains(&record.space)) {
            entry.0.push(Change { space: record.space, key: record.key.clone(), value: None });
        }
        // Of the pairing before: it was stopped, say, or might change its account, or a code is still on somebody's screen, or WhatsApp had
        // logged it out.
        let marks = [STOPPED, ACCOUNT_CHANGE, PAIRING, REJECTED].map(key::text);
        for record in state.iter().filter(|record| record.space == space::SETTINGS && marks.contains(&record.key)) {
            entry.0.push(Change { space: record.space, key: record.key.clone(), value: None });
        }
        for record in kept {
            entry.put(record.space, record.key.clone(), record.value.clone());
        }
        if settled.stays_away {
            entry.put(space::SETTINGS, key::text(STOPPED), Vec::<u8>::new());
        }
        entry.put(space::DEVICE, key::only(), records::device::encode(&device(settled)?)?);
        entry.put_signal_state(settled);
        entry.put_contacts(settled, now);
        entry.put_restaurant(settled, state, now);
        let copy = &settled.copy;
        let receipt = ImportReceipt {
            origin: copy.origin,
            device: copy.device.noise_key.public,
            at: now,
            finality: settled.finality,
            // Builds before know no other kinds.
            entries: copy
                .tally
                .entries
                .iter()
                .filter(|(kind, _)| !kind.is_of_bot())
                .map(|(kind, of)| (*kind, *of))
                .collect(),
        };
        if let Some(name) = &copy.device.push_name {
            entry.put(space::SETTINGS, key::text(IMPORTED_NAME), [&receipt.device[..], name.as_bytes()].concat());
        }
        if settled.backup.is_some() {
            // Its receipt comes with it, if it ever came from elsewhere. What was said since the backup was made, WhatsApp has, and
            // nobody here.
            entry.put(space::SETTINGS, key::text(RESTORED), Vec::<u8>::new());
        } else {
            let receipt = serde_json::to_vec(&receipt).expect("a receipt is plain data, which JSON always takes");
            entry.put(space::SETTINGS, key::text(IMPORT_RECEIPT), receipt);
        }
        let decision = Decision {
            whatsapp_connected: Some(true),
            phone_number: Some(Some(copy.number().to_owned())),
            connected_at: Some(Some(now)),
        };
        Ok(Self { changes: entry.0, decision })
    }
}

/// Whether the device was imported into the tenant before. A receipt that cannot be read is one of it.
pub fn has_receipt(state: &[Record], device: &[u8; 32]) -> bool {
    let receipt =
        state.iter().find(|record| record.space == space::SETTINGS && *record.key == *key::text(IMPORT_RECEIPT));
    receipt.is_some_and(|receipt| {
        serde_json::from_slice::<ImportReceipt>(&receipt.value).map_or(true, |receipt| receipt.device == *device)
    })
}

/// Whether the tenant was ever imported.
pub fn has_any_receipt(state: &[Record]) -> bool {
    state.iter().any(|record| record.space == space::SETTINGS && *record.key == *key::text(IMPORT_RECEIPT))
}

impl ImportReceipt {
    /// Where an open tenant came from; `None`: the device that it has was paired here.
    pub async fn of(store: &Store) -> Result<Option<Self>, StoreError> {
        let Some(receipt) = store.get(space::SETTINGS, &key::text(IMPORT_RECEIPT)).await? else { return Ok(None) };
        let device = store.device().await?;
        let receipt = serde_json::from_slice::<Self>(&receipt).ok();
        Ok(receipt.filter(|receipt| {
            // It stays when the device goes.
            device.is_some_and(|device| device.noise_key.public_key.public_key_bytes() == &receipt.device[..])
        }))
    }
}

#[derive(Default)]
struct EntryBuilder(Vec<Change>);

impl EntryBuilder {
    fn put(&mut self, space: Space, key: Key, value: impl Into<Bytes>) {
        self.0.push(Change { space, key, value: Some(value.into()) });
    }

    fn put_signal_state(&mut self, settled: &SettledTenant) {
        for (address, record) in &settled.sessions {
            self.put(space::SESSIONS, key::text(address), record.clone());
        }
        for (name, record) in &settled.sender_keys {
            self.put(space::SENDER_KEYS, key::text(name), record.clone());
        }
        for (id, record) in &settled.pre_keys {
            self.put(space::PRE_KEYS, key::number(*id), record.clone());
        }
        for (address, identity) in &settled.copy.identities {
            self.put(space::IDENTITIES, key::text(&address.to_string()), identity.to_vec());
        }
    }

    /// A menu, and settings, that an owner has written here already stay. Of a deleted tenant nothing of an owner's is left but versions.
    fn put_restaurant(&mut self, settled: &SettledTenant, state: &[Record], now: Timestamp) {
        let RestaurantCopy { menu, settings } = &settled.copy.restaurant;
        let is_nobodys = matches!(store::account_of(state), Ok(None));
        let stored = |name: &str| {
            let stored = state.iter().find(|record| record.space == space::BOT && *record.key == *key::text(name));
            stored.map(|record| &record.value[..])
        };
        let free = |name: &str| match stored(name) {
            Some(_) if !is_nobodys => None,
            stored => owner_records::free_version(name, stored),
        };
        let place = stored(owner_records::PLACE);
        for (name, record) in owner_records::first_records(menu.as_ref(), settings.as_ref(), place, now, free) {
            self.put(space::BOT, key::text(name), record);
        }
    }

    fn put_contacts(&mut self, settled: &SettledTenant, now: Timestamp) {
        let copy = &settled.copy;
        let seconds = now.as_second();
        for (lid, number) in copy.lid_mappings.iter() {
            let mapping = LidMappingRecord {
                lid: lid.to_owned(),
                phone_number: number.to_owned(),
                created_at: seconds,
                updated_at: seconds,
                learning_source: LEARNED.to_owned(),
            };
            self.put(space::LID_MAPPINGS, key::text(lid), mapping.encode_to_vec());
        }
        for (lid, token) in &copy.contact_tokens {
            let token = TcTokenRecord {
                token: token.token.expose().clone(),
                token_timestamp: token.timestamp,
                sender_timestamp: token.sender_timestamp,
            };
            self.put(space::TC_TOKENS, key::text(lid), token.encode_to_vec());
        }
        for (id, sync_key) in &copy.sync_keys {
            let sync_key = SyncKeyRecord {
                key_data: sync_key.key_data.expose().clone(),
                fingerprint: sync_key.fingerprint.clone(),
                timestamp: sync_key.timestamp,
            };
            self.put(space::SYNC_KEYS, id.as_slice().into(), sync_key.encode_to_vec());
        }
        for (user, devices) in &copy.device_lists {
            let device = |id: &u16| DeviceRecord { device_id: u32::from(*id), ..DeviceRecord::default() };
            // As old as can be: it is asked for at the next send.
            let list = DeviceListRecord {
                user: user.clone(),
                devices: devices.iter().map(device).collect(),
                ..DeviceListRecord::default()
            };
            self.put(space::DEVICE_LISTS, key::text(user), list.encode_to_vec());
        }
    }
}

fn device(settled: &SettledTenant) -> Result<Device, UnwritableCopyError> {
    let copy = &settled.copy.device;
    let mut device = Device::new();
    device.pn = Some(jid(&copy.me)?);
    device.lid = copy.lid.as_ref().map(jid).transpose()?;
    device.registration_id = copy.registration_id;
    device.noise_key = key_pair(&copy.noise_key, "the noise key")?;
    device.identity_key = key_pair(&copy.identity_key, "the identity key")?;
    device.signed_pre_key = key_pair(&copy.signed_pre_key, "the signed pre-key")?;
    device.signed_pre_key_id = copy.signed_pre_key_id;
    device.signed_pre_key_signature = copy.signed_pre_key_signature;
    if let Some(secret) = &copy.adv_secret {
        device.adv_secret_key = *secret.expose();
    }
    device.account = Some(Arc::new(account(&copy.account)));
    // Without a name the library reads all settings anew at the login: contacts, labels, the name itself. It needs their keys; without them
    // the session asks the phone, and the login waits for nothing.
    device.push_name = match &copy.push_name {
        Some(name) if settled.copy.sync_keys.is_empty() => name.clone(),
        _ => String::new(),
    };
    device.next_pre_key_id = settled.next_pre_key_id;
    device.first_unupload_pre_key_id = settled.first_unuploaded_pre_key_id;
    device.server_has_prekeys = settled.server_has_pre_keys;
    device.edge_routing_info.clone_from(&copy.routing_info);
    device.nct_salt = copy.nct_salt.as_ref().map(|salt| salt.expose().clone());
    device.lid_migrated = copy.lid_migrated;
    // Unknown: it is counted from the first login on, and the signed pre-key is not changed at once.
    device.last_signed_pre_key_rotation_ms = 0;
    Ok(device)
}

fn jid(address: &SignalAddress) -> Result<Jid, UnwritableCopyError> {
    address.to_jid().parse().map_err(|_| UnwritableCopyError::Device("the device's name"))
}

fn key_pair(halves: &KeyHalves, name: &'static str) -> Result<KeyPair, UnwritableCopyError> {
    let public = PublicKey::from_djb_public_key_bytes(&halves.public);
    let private = PrivateKey::deserialize(halves.private.expose());
    match (public, private) {
        (Ok(public), Ok(private)) => Ok(KeyPair::new(public, private)),
        _ => Err(UnwritableCopyError::Device(name)),
    }
}

fn account(proof: &AccountProof) -> ADVSignedDeviceIdentity {
    ADVSignedDeviceIdentity {
        details: Some(proof.details.clone()),
        account_signature_key: Some(proof.account_key.to_vec()),
        account_signature: Some(proof.account_signature.clone()),
        device_signature: Some(proof.device_signature.clone()),
    }
}
