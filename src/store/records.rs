//! The values of records, as the vault keeps them.
//!
//! Protocol Buffers, so that a field can be added without touching what is stored; tags are for ever. What the library
//! serialises itself (sessions, keys, group metadata) is stored as it comes; [`Device`] goes as JSON, see [`device`].

use prost::{Enumeration, Message};
use whatsapp_rust::wacore::{
    appstate::hash::HashState,
    store::{
        Device,
        traits::{AppStateSyncKey, DeviceInfo, LidPnMappingEntry, TcTokenEntry},
    },
};

use super::StoreError;

/// A message that came in: the proof that it may be acknowledged. Under [`super::key::inbox`].
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct InboxRecord {
    /// By our clock, Unix milliseconds.
    #[prost(int64, tag = "1")]
    pub received_at_ms: i64,
    #[prost(string, tag = "2")]
    pub chat: String,
    /// As the library named it, device and all: it asks with the same words when the message comes again.
    #[prost(string, tag = "3")]
    pub sender: String,
    #[prost(string, tag = "4")]
    pub id: String,
    /// By WhatsApp's clock, Unix milliseconds.
    #[prost(int64, tag = "5")]
    pub timestamp_ms: i64,
    #[prost(string, optional, tag = "6")]
    pub push_name: Option<String>,
    #[prost(bool, tag = "7")]
    pub from_me: bool,
    #[prost(bool, tag = "8")]
    pub is_group: bool,
    #[prost(enumeration = "InboxKind", tag = "9")]
    pub kind: i32,
    /// The whole WhatsApp message, protobuf; empty for a placeholder.
    #[prost(bytes = "vec", tag = "10")]
    pub message: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum InboxKind {
    Unspecified = 0,
    Message = 1,
    /// Could not be decrypted; asked for again, and replaced when it comes.
    Placeholder = 2,
}

/// A message that was accepted for sending. Under [`super::key::outbox`].
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct OutboxRecord {
    /// WhatsApp's message id; the same for every attempt.
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub chat: String,
    /// The whole WhatsApp message, protobuf: secret and media keys included. Read from a record, it is a part of that one's bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub message: bytes::Bytes,
    #[prost(string, optional, tag = "4")]
    pub idempotency_key: Option<String>,
    /// SHA-256 of the request that made it: the same key with another body is a mistake of the caller.
    #[prost(bytes = "vec", tag = "5")]
    pub body_digest: Vec<u8>,
    #[prost(int64, tag = "6")]
    pub accepted_at_ms: i64,
    /// ULID: the order of sending within a chat; 16 bytes.
    #[prost(bytes = "vec", tag = "7")]
    pub order: Vec<u8>,
    #[prost(enumeration = "OutboxState", tag = "8")]
    pub state: i32,
    #[prost(int64, tag = "9")]
    pub updated_at_ms: i64,
    /// Jids of those whom a status goes to, at every attempt, and what takes it back.
    #[prost(string, repeated, tag = "10")]
    pub audience: Vec<String>,
    /// The phone number of the account for which it was accepted: it goes from no other. Empty: an older build accepted it.
    #[prost(string, tag = "11")]
    pub account: String,
    /// Unix milliseconds; 0: an older build accepted it.
    #[prost(int64, tag = "12")]
    pub expires_at_ms: i64,
    /// How often it was sent, or was to be, without an answer of WhatsApp.
    #[prost(uint32, tag = "13")]
    pub attempts: u32,
    /// [`crate::message::FailureReason`], when it has failed.
    #[prost(string, optional, tag = "14")]
    pub failure: Option<String>,
    /// WhatsApp's code, where it gave one.
    #[prost(uint32, optional, tag = "15")]
    pub failure_code: Option<u32>,
    /// When WhatsApp was first heard of it, by our clock, Unix milliseconds; 0: not yet, or an older build heard it.
    #[prost(int64, tag = "16")]
    pub sent_at_ms: i64,
    /// A bot decided it, ours or a consumer's: it silences nobody.
    #[prost(bool, tag = "17")]
    pub from_bot: bool,
    /// As [`crate::humanize::Timing`].
    #[prost(int64, tag = "18")]
    pub read_at_ms: i64,
    #[prost(uint32, tag = "19")]
    pub typing_ms: u32,
    #[prost(int64, tag = "20")]
    pub due_at_ms: i64,
    /// As [`crate::pacing::Parcel`], the next two too.
    #[prost(bool, tag = "21")]
    pub is_notice: bool,
    #[prost(bool, tag = "22")]
    pub is_first_contact: bool,
    #[prost(fixed64, tag = "23")]
    pub text_digest: u64,
    /// The message's own time, Unix seconds; 0: an older build accepted it.
    #[prost(int64, tag = "24")]
    pub timestamp: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum OutboxState {
    Unspecified = 0,
    Accepted = 1,
    ServerAcked = 2,
    Delivered = 3,
    Read = 4,
    Failed = 5,
    Played = 6,
}

/// An older message that the phone told. Under [`super::key::past`].
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct PastRecord {
    /// As events have it, JSON.
    #[prost(bytes = "vec", tag = "1")]
    pub message: Vec<u8>,
    /// Of the WhatsApp message, protobuf, what its file is fetched by; empty without one.
    #[prost(bytes = "vec", tag = "2")]
    pub file: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct PendingInboundRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub message: bytes::Bytes,
    /// Unix seconds.
    #[prost(int64, tag = "2")]
    pub inserted_at: i64,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct SentMessageRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub message: bytes::Bytes,
    /// Unix seconds.
    #[prost(int64, tag = "2")]
    pub stored_at: i64,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct MsgSecretRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub secret: Vec<u8>,
    /// Unix seconds; 0: never.
    #[prost(int64, tag = "2")]
    pub expires_at: i64,
    /// Unix seconds; 0: unknown.
    #[prost(int64, tag = "3")]
    pub message_ts: i64,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct LidMappingRecord {
    #[prost(string, tag = "1")]
    pub lid: String,
    #[prost(string, tag = "2")]
    pub phone_number: String,
    #[prost(int64, tag = "3")]
    pub created_at: i64,
    #[prost(int64, tag = "4")]
    pub updated_at: i64,
    #[prost(string, tag = "5")]
    pub learning_source: String,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct TcTokenRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub token: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub token_timestamp: i64,
    #[prost(int64, optional, tag = "3")]
    pub sender_timestamp: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct SyncKeyRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub key_data: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub fingerprint: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct CollectionRecord {
    #[prost(uint64, tag = "1")]
    pub version: u64,
    /// 128 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub hash: Vec<u8>,
    #[prost(map = "string, bytes", tag = "3")]
    pub index_value_map: std::collections::HashMap<String, Vec<u8>>,
    #[prost(bool, tag = "4")]
    pub mac_mismatch_fatal: bool,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct DeviceListRecord {
    #[prost(string, tag = "1")]
    pub user: String,
    #[prost(message, repeated, tag = "2")]
    pub devices: Vec<DeviceRecord>,
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
    #[prost(string, optional, tag = "4")]
    pub phash: Option<String>,
    #[prost(uint32, optional, tag = "5")]
    pub raw_id: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct DeviceRecord {
    #[prost(uint32, tag = "1")]
    pub device_id: u32,
    #[prost(uint32, optional, tag = "2")]
    pub key_index: Option<u32>,
    #[prost(bool, tag = "3")]
    pub is_hosted: bool,
}

/// The device as JSON: it is the library's own serde form, whose new fields have defaults, and JSON names its fields,
/// so that a build of another age reads it. A few KiB, written a few times a connection.
pub mod device {
    use super::*;

    pub fn encode(device: &Device) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(device).map_err(unreadable)
    }

    pub fn decode(bytes: &[u8]) -> Result<Device, StoreError> {
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    fn unreadable(error: serde_json::Error) -> StoreError {
        StoreError::Device { line: error.line(), column: error.column() }
    }
}

impl From<&LidPnMappingEntry> for LidMappingRecord {
    fn from(entry: &LidPnMappingEntry) -> Self {
        Self {
            lid: entry.lid.clone(),
            phone_number: entry.phone_number.clone(),
            created_at: entry.created_at,
            updated_at: entry.updated_at,
            learning_source: entry.learning_source.clone(),
        }
    }
}

impl From<LidMappingRecord> for LidPnMappingEntry {
    fn from(record: LidMappingRecord) -> Self {
        Self {
            lid: record.lid,
            phone_number: record.phone_number,
            created_at: record.created_at,
            updated_at: record.updated_at,
            learning_source: record.learning_source,
        }
    }
}

impl From<&TcTokenEntry> for TcTokenRecord {
    fn from(entry: &TcTokenEntry) -> Self {
        Self {
            token: entry.token.clone(),
            token_timestamp: entry.token_timestamp,
            sender_timestamp: entry.sender_timestamp,
        }
    }
}

impl From<TcTokenRecord> for TcTokenEntry {
    fn from(record: TcTokenRecord) -> Self {
        Self { token: record.token, token_timestamp: record.token_timestamp, sender_timestamp: record.sender_timestamp }
    }
}

impl From<AppStateSyncKey> for SyncKeyRecord {
    fn from(key: AppStateSyncKey) -> Self {
        Self { key_data: key.key_data, fingerprint: key.fingerprint, timestamp: key.timestamp }
    }
}

impl From<SyncKeyRecord> for AppStateSyncKey {
    fn from(record: SyncKeyRecord) -> Self {
        Self { key_data: record.key_data, fingerprint: record.fingerprint, timestamp: record.timestamp }
    }
}

impl From<HashState> for CollectionRecord {
    fn from(state: HashState) -> Self {
        Self {
            version: state.version,
            hash: state.hash.to_vec(),
            index_value_map: state.index_value_map,
            mac_mismatch_fatal: state.mac_mismatch_fatal,
        }
    }
}

impl From<CollectionRecord> for HashState {
    /// A hash of another length than we write is damage; the answer to damage is version 0, a fresh snapshot.
    fn from(record: CollectionRecord) -> Self {
        let Ok(hash) = record.hash.try_into() else { return Self::default() };
        Self {
            version: record.version,
            hash,
            index_value_map: record.index_value_map,
            mac_mismatch_fatal: record.mac_mismatch_fatal,
        }
    }
}

impl From<whatsapp_rust::wacore::store::traits::DeviceListRecord> for DeviceListRecord {
    fn from(list: whatsapp_rust::wacore::store::traits::DeviceListRecord) -> Self {
        let device = |info: DeviceInfo| DeviceRecord {
            device_id: info.device_id,
            key_index: info.key_index,
            is_hosted: info.is_hosted,
        };
        Self {
            user: list.user,
            devices: list.devices.into_iter().map(device).collect(),
            timestamp: list.timestamp,
            phash: list.phash,
            raw_id: list.raw_id,
        }
    }
}

impl From<DeviceListRecord> for whatsapp_rust::wacore::store::traits::DeviceListRecord {
    fn from(record: DeviceListRecord) -> Self {
        let device =
            |record: DeviceRecord| DeviceInfo::new(record.device_id, record.key_index).with_hosting(record.is_hosted);
        Self {
            user: record.user,
            devices: record.devices.into_iter().map(device).collect(),
            timestamp: record.timestamp,
            phash: record.phash,
            raw_id: record.raw_id,
        }
    }
}
