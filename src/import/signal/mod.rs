//! Sessions and sender keys of other Signal libraries, turned into the library's own.
//!
//! Owns the two dialects: Node's libsignal, which Baileys uses ([`node_session`], [`node_sender_key`]), and Go's, which whatsmeow
//! uses ([`go_session`], [`go_sender_key`]). Each reads JSON into components, the library checks them; where a store holds the
//! library's own protobuf already, that is taken. Counters stay as they were: what is safe to send with is
//! [`super::counters`]' business.

pub mod go_sender_key;
pub mod go_session;
pub mod node_sender_key;
pub mod node_session;

use whatsapp_rust::wacore::libsignal::protocol::{
    SenderKeyRecord, SenderKeyRecordComponents, SessionRecord, SessionRecordComponents, SignalProtocolError,
};

use super::{
    EntryError,
    json::{self, JsonNode},
};

/// What every session of a device has in common, and foreign records leave out.
#[derive(Clone, Copy)]
pub struct LocalDevice {
    pub identity: [u8; 32],
    pub registration_id: u32,
}

/// A record with an open session, and the closed ones that could not be taken.
pub struct ConvertedSession {
    pub record: SessionRecordComponents,
    pub archived_dropped: usize,
}

/// The library's protobuf, as our store holds it and one of Baileys on Rust's libsignal. Counters that it had reserved are skipped.
pub fn own_session(bytes: &[u8]) -> Result<ConvertedSession, EntryError> {
    let record = SessionRecord::deserialize(bytes).and_then(SessionRecord::into_components).map_err(protocol)?;
    if record.current_session.is_none() {
        return Err(EntryError::NoOpenSession);
    }
    Ok(ConvertedSession { record, archived_dropped: 0 })
}

pub fn own_sender_key(bytes: &[u8]) -> Result<SenderKeyRecordComponents, EntryError> {
    let record = SenderKeyRecord::deserialize(bytes).and_then(SenderKeyRecord::into_components).map_err(protocol)?;
    if record.states.is_empty() {
        return Err(EntryError::Missing("a state of the sender key"));
    }
    Ok(record)
}

/// A group's key of somebody else: his signing key is public here.
pub fn is_foreign(record: &SenderKeyRecordComponents) -> bool {
    record.states.iter().all(|state| state.signing_key.private.is_none())
}

fn protocol(error: SignalProtocolError) -> EntryError {
    EntryError::Protocol(error.to_string())
}

fn number<T: TryFrom<i64>>(node: &JsonNode, name: &'static str) -> Result<T, EntryError> {
    let value = node.get(name).ok_or(EntryError::Missing(name))?;
    json::integer(value).and_then(|value| T::try_from(value).ok()).ok_or(EntryError::Invalid(name))
}

fn bytes(node: &JsonNode, name: &'static str) -> Result<Vec<u8>, EntryError> {
    let value = node.get(name).ok_or(EntryError::Missing(name))?;
    json::bytes(value).ok_or(EntryError::Invalid(name))
}

fn object<'n>(node: &'n JsonNode, name: &'static str) -> Result<&'n JsonNode, EntryError> {
    node.get(name).ok_or(EntryError::Missing(name))
}
