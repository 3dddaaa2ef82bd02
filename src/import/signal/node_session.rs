//! libsignal-node's session record, version 1: what Baileys files as `session-…`.
//!
//! The library converts it (its feature `legacy-session-interop`); this file reads the JSON, and judges the entries of a
//! record one by one first, because the library refuses a record for one bad entry.

use bytes::Bytes;
use whatsapp_rust::wacore::libsignal::protocol::{
    IdentityKey, LegacyIndexedSessionV1, LegacySessionBaseKeyRoleV1, LegacySessionChainCounterV1,
    LegacySessionChainKeyV1, LegacySessionChainRoleV1, LegacySessionChainV1, LegacySessionDispositionV1,
    LegacySessionIndexV1, LegacySessionKeyPairV1, LegacySessionLocalContext, LegacySessionMessageKeyV1,
    LegacySessionPendingPreKeyV1, LegacySessionRatchetV1, LegacySessionRecordV1, LegacySessionV1, PublicKey,
};

use super::{ConvertedSession, LocalDevice, bytes, number, object, own_session, protocol};
use crate::import::{
    EntryError,
    json::{self, JsonNode},
    key,
};

/// Sessions of one record. Node keeps 41.
const SESSIONS: usize = 200;
/// As the record writes an open session.
const OPEN: i64 = -1;

/// Converts a record. It must have an open session: with closed ones alone a send would neither find a chain nor fetch a bundle.
pub fn convert(node: &JsonNode, local: &LocalDevice) -> Result<ConvertedSession, EntryError> {
    let Some(sessions) = node.get("_sessions") else {
        return match json::bytes(node) {
            Some(record) if !record.is_empty() => own_session(&record),
            _ => Err(EntryError::NoOpenSession),
        };
    };
    let sessions = sessions.fields().ok_or(EntryError::Invalid("_sessions"))?;
    if sessions.len() > SESSIONS {
        return Err(EntryError::TooLarge);
    }
    let of_record = node.get("registrationId");
    let mut taken = Vec::new();
    let mut archived_dropped = 0;
    let mut has_open = false;
    for (index, entry) in sessions {
        let open = is_open(entry);
        // Node uses the first that is open. A second one is a leftover: it counts as closed when it was last used.
        let read = || read_entry(index, entry, of_record, open && has_open);
        let sound = read().and_then(|read| into_record(vec![read], local)).and_then(|_| read());
        match sound {
            Ok(read) => taken.push(read),
            Err(error) if open && !has_open => return Err(error),
            Err(_) => archived_dropped += 1,
        }
        has_open |= open;
    }
    if !has_open {
        return Err(EntryError::NoOpenSession);
    }
    let record = into_record(taken, local)?.into_components().map_err(protocol)?;
    Ok(ConvertedSession { record, archived_dropped })
}

fn into_record(
    sessions: Vec<LegacyIndexedSessionV1>,
    local: &LocalDevice,
) -> Result<whatsapp_rust::wacore::libsignal::protocol::SessionRecord, EntryError> {
    let identity =
        PublicKey::from_djb_public_key_bytes(&local.identity).map_err(|_| EntryError::Invalid("our identity"))?;
    let context =
        LegacySessionLocalContext { identity_key: IdentityKey::new(identity), registration_id: local.registration_id };
    LegacySessionRecordV1::from_indexed_sessions(sessions)
        .and_then(|record| record.into_session_record(context))
        .map_err(|error| EntryError::Protocol(error.to_string()))
}

fn is_open(entry: &JsonNode) -> bool {
    entry.get("indexInfo").and_then(|info| info.get("closed")).and_then(json::integer) == Some(OPEN)
}

/// `of_record` is the registration id of records before version 1; `leftover` closes an open session.
fn read_entry(
    index: &str,
    entry: &JsonNode,
    of_record: Option<&JsonNode>,
    leftover: bool,
) -> Result<LegacyIndexedSessionV1, EntryError> {
    let registration_id = entry.get("registrationId").or(of_record).ok_or(EntryError::Missing("registrationId"))?;
    let info = object(entry, "indexInfo")?;
    let ratchet = object(entry, "currentRatchet")?;
    let pair = object(ratchet, "ephemeralKeyPair")?;
    let used = info.get("used").and_then(json::integer).unwrap_or(0).max(0);
    let closed = if leftover { used } else { number(info, "closed")? };
    let chains = object(entry, "_chains")?.fields().ok_or(EntryError::Invalid("_chains"))?;
    let role: u32 = number(info, "baseKeyType")?;
    let session = LegacySessionV1 {
        registration_id: json::integer(registration_id)
            .and_then(|id| u32::try_from(id).ok())
            .ok_or(EntryError::Invalid("registrationId"))?,
        ratchet: LegacySessionRatchetV1 {
            key_pair: LegacySessionKeyPairV1 {
                public: public(bytes(pair, "pubKey")?)?,
                private: bytes(pair, "privKey")?.into(),
            },
            last_remote_ephemeral_key: public(bytes(ratchet, "lastRemoteEphemeralKey")?)?,
            previous_counter: number(ratchet, "previousCounter")?,
            root_key: bytes(ratchet, "rootKey")?.into(),
        },
        index: LegacySessionIndexV1 {
            base_key: public(bytes(info, "baseKey")?)?,
            base_key_role: LegacySessionBaseKeyRoleV1::try_from(role).map_err(interop)?,
            disposition: LegacySessionDispositionV1::from_closed_timestamp(closed).map_err(interop)?,
            used_at_ms: used.unsigned_abs(),
            created_at_ms: info.get("created").and_then(json::integer).unwrap_or(0).max(0).unsigned_abs(),
            remote_identity_key: public(bytes(info, "remoteIdentityKey")?)?,
        },
        chains: chains.iter().map(|(ratchet, chain)| read_chain(ratchet, chain)).collect::<Result<_, _>>()?,
        pending_pre_key: entry.get("pendingPreKey").map(read_pending).transpose()?,
    };
    let index_key = public(json::base64_bytes(index.as_bytes()).ok_or(EntryError::Invalid("_sessions"))?)?;
    Ok(LegacyIndexedSessionV1 { index_key, session })
}

fn read_chain(ratchet: &str, chain: &JsonNode) -> Result<LegacySessionChainV1, EntryError> {
    let position = object(chain, "chainKey")?;
    let role: u32 = number(chain, "chainType")?;
    let message_keys = match chain.get("messageKeys") {
        None | Some(JsonNode::Bytes(_)) => Vec::new(),
        Some(keys) => keys
            .fields()
            .ok_or(EntryError::Invalid("messageKeys"))?
            .iter()
            .map(|(index, seed)| {
                Ok(LegacySessionMessageKeyV1 {
                    index: index.parse().map_err(|_| EntryError::Invalid("messageKeys"))?,
                    seed: json::bytes(seed).ok_or(EntryError::Invalid("messageKeys"))?.into(),
                })
            })
            .collect::<Result<_, EntryError>>()?,
    };
    Ok(LegacySessionChainV1 {
        ratchet_key: public(json::base64_bytes(ratchet.as_bytes()).ok_or(EntryError::Invalid("_chains"))?)?,
        role: LegacySessionChainRoleV1::try_from(role).map_err(interop)?,
        chain_key: LegacySessionChainKeyV1 {
            counter: LegacySessionChainCounterV1::new(number(position, "counter")?).map_err(interop)?,
            // A closed chain has none: it only serves messages that come late.
            key: position
                .get("key")
                .map(|key| json::bytes(key).ok_or(EntryError::Invalid("key")))
                .transpose()?
                .map(Bytes::from),
        },
        message_keys,
    })
}

fn read_pending(pending: &JsonNode) -> Result<LegacySessionPendingPreKeyV1, EntryError> {
    Ok(LegacySessionPendingPreKeyV1 {
        pre_key_id: pending.get("preKeyId").map(|_| number(pending, "preKeyId")).transpose()?,
        signed_pre_key_id: number(pending, "signedKeyId")?,
        base_key: public(bytes(pending, "baseKey")?)?,
    })
}

/// With its type byte, which some writers leave out.
fn public(key: Vec<u8>) -> Result<Bytes, EntryError> {
    Ok(Bytes::copy_from_slice(&key::typed(&key::public_key(&key)?)))
}

fn interop(error: whatsapp_rust::wacore::libsignal::protocol::LegacySessionInteropError) -> EntryError {
    EntryError::Protocol(error.to_string())
}
