//! One tenant as another gateway kept it, in no gateway's form: all readers end here, all writers begin here.
//!
//! Owns the plain data. A copy is complete as far as its source was: what a reader left out is in [`TenantCopy::tally`]. Its
//! counters are those of the source; nothing of it may be used before [`super::check`] has found it whole and
//! [`super::counters`] has decided about its sessions.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::libsignal::protocol::{SenderKeyRecordComponents, SessionRecordComponents};

use super::{ImportTally, KeyHalves, KeyMaterial, LidMappings, RestaurantCopy, SignalAddress, signal::LocalDevice};

/// Where a copy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOrigin {
    /// A folder, or one JSON.
    Baileys,
    /// The old service's Realtime Database.
    RealtimeDatabase,
    Firestore,
    Evolution,
    Waha,
    Whatsmeow,
}

pub struct TenantCopy {
    pub origin: ImportOrigin,
    pub device: DeviceCopy,
    pub pre_keys: BTreeMap<u32, KeyHalves>,
    /// Each has an open session.
    pub sessions: BTreeMap<SignalAddress, SessionRecordComponents>,
    pub identities: BTreeMap<SignalAddress, [u8; 32]>,
    /// By group and sender; of others only.
    pub sender_keys: BTreeMap<(String, SignalAddress), SenderKeyRecordComponents>,
    pub lid_mappings: LidMappings,
    /// By LID.
    pub contact_tokens: BTreeMap<String, ContactToken>,
    /// App-state keys by their id.
    pub sync_keys: BTreeMap<Vec<u8>, SyncKeyCopy>,
    /// Devices of a user.
    pub device_lists: BTreeMap<String, Vec<u16>>,
    /// What the old service kept beside the session.
    pub restaurant: RestaurantCopy,
    /// Credentials and keys were kept in two places, which a crash leaves at two moments.
    pub is_split: bool,
    pub tally: ImportTally,
}

/// The linked device itself.
#[derive(Debug, Clone)]
pub struct DeviceCopy {
    pub noise_key: KeyHalves,
    pub identity_key: KeyHalves,
    pub signed_pre_key: KeyHalves,
    pub signed_pre_key_id: u32,
    pub signed_pre_key_signature: [u8; 64],
    pub registration_id: u32,
    /// Of use at a pairing only.
    pub adv_secret: Option<KeyMaterial<[u8; 32]>>,
    pub account: AccountProof,
    /// The account's number, and which of its devices this is.
    pub me: SignalAddress,
    /// Unknown to old stores; the login brings it.
    pub lid: Option<SignalAddress>,
    pub push_name: Option<String>,
    /// Of the phone: `android`, `iphone`, `smba`, …
    pub platform: Option<String>,
    /// The first pre-key id that was never given out.
    pub next_pre_key_id: u32,
    /// The first that was not uploaded.
    pub first_unuploaded_pre_key_id: u32,
    pub routing_info: Option<Vec<u8>>,
    pub nct_salt: Option<KeyMaterial<Vec<u8>>>,
    pub lid_migrated: bool,
}

/// By what WhatsApp and contacts know that the device belongs to the account (`ADVSignedDeviceIdentity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProof {
    pub details: Vec<u8>,
    /// The identity of the account's phone.
    pub account_key: [u8; 32],
    pub account_signature: Vec<u8>,
    pub device_signature: Vec<u8>,
}

/// Lets us write to somebody who has not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactToken {
    pub token: KeyMaterial<Vec<u8>>,
    /// Unix seconds; 0: unknown.
    pub timestamp: i64,
    pub sender_timestamp: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncKeyCopy {
    pub key_data: KeyMaterial<Vec<u8>>,
    /// Protobuf, as the phone sent it.
    pub fingerprint: Vec<u8>,
    pub timestamp: i64,
}

impl DeviceCopy {
    pub fn local(&self) -> LocalDevice {
        LocalDevice { identity: self.identity_key.public, registration_id: self.registration_id }
    }

    /// Whether an address is this very device.
    pub fn is_me(&self, address: &SignalAddress) -> bool {
        *address == self.me || self.lid.as_ref() == Some(address)
    }
}

impl TenantCopy {
    pub(super) fn new(origin: ImportOrigin, device: DeviceCopy) -> Self {
        Self {
            origin,
            device,
            pre_keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            identities: BTreeMap::new(),
            sender_keys: BTreeMap::new(),
            lid_mappings: LidMappings::default(),
            contact_tokens: BTreeMap::new(),
            sync_keys: BTreeMap::new(),
            device_lists: BTreeMap::new(),
            restaurant: RestaurantCopy::default(),
            is_split: false,
            tally: ImportTally::default(),
        }
    }

    /// The number as people write it, digits only.
    pub fn number(&self) -> &str {
        &self.device.me.user
    }
}

/// Counts, no contents: a copy is all secrets.
impl fmt::Debug for TenantCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantCopy")
            .field("origin", &self.origin)
            .field("pre_keys", &self.pre_keys.len())
            .field("sessions", &self.sessions.len())
            .field("identities", &self.identities.len())
            .field("sender_keys", &self.sender_keys.len())
            .field("lid_mappings", &self.lid_mappings.len())
            .field("contact_tokens", &self.contact_tokens.len())
            .field("sync_keys", &self.sync_keys.len())
            .field("device_lists", &self.device_lists.len())
            .finish_non_exhaustive()
    }
}
