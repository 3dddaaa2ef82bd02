//! The library's session record as libsignal-node's JSON.

use serde_json::{Map, Value, json};
use whatsapp_rust::wacore::libsignal::protocol::{
    LegacySessionBaseKeyRoleV1, LegacySessionChainRoleV1, LegacySessionChainV1, LegacySessionV1, SessionRecord,
    SessionRecordComponents,
};

use crate::import::{EntryError, json::encode_base64};

/// The library projects it; what Node cannot express is an error.
pub fn to_node(record: SessionRecordComponents) -> Result<Value, EntryError> {
    let record = SessionRecord::from_components(record).map_err(|error| EntryError::Protocol(error.to_string()))?;
    let record =
        record.into_legacy_session_v1_operational().map_err(|error| EntryError::Protocol(error.to_string()))?;
    let sessions = record.into_indexed_sessions().into_iter();
    let sessions: Map<_, _> =
        sessions.map(|entry| (encode_base64(&entry.index_key), session(&entry.session))).collect();
    Ok(json!({ "_sessions": sessions, "version": "v1" }))
}

fn session(session: &LegacySessionV1) -> Value {
    let (ratchet, index) = (&session.ratchet, &session.index);
    let base_key_type = match index.base_key_role {
        LegacySessionBaseKeyRoleV1::Local => 1,
        LegacySessionBaseKeyRoleV1::Remote => 2,
    };
    let chains: Map<_, _> =
        session.chains.iter().map(|chain| (encode_base64(&chain.ratchet_key), chain_value(chain))).collect();
    let mut value = json!({
        "registrationId": session.registration_id,
        "currentRatchet": {
            "ephemeralKeyPair": {
                "pubKey": encode_base64(&ratchet.key_pair.public),
                "privKey": encode_base64(&ratchet.key_pair.private),
            },
            "lastRemoteEphemeralKey": encode_base64(&ratchet.last_remote_ephemeral_key),
            "previousCounter": ratchet.previous_counter,
            "rootKey": encode_base64(&ratchet.root_key),
        },
        "indexInfo": {
            "baseKey": encode_base64(&index.base_key),
            "baseKeyType": base_key_type,
            "closed": index.disposition.closed_timestamp(),
            "used": index.used_at_ms,
            "created": index.created_at_ms,
            "remoteIdentityKey": encode_base64(&index.remote_identity_key),
        },
        "_chains": chains,
    });
    if let Some(pending) = &session.pending_pre_key {
        let mut pre_key = json!({
            "signedKeyId": pending.signed_pre_key_id,
            "baseKey": encode_base64(&pending.base_key),
        });
        if let Some(id) = pending.pre_key_id {
            pre_key["preKeyId"] = id.into();
        }
        value["pendingPreKey"] = pre_key;
    }
    value
}

fn chain_value(chain: &LegacySessionChainV1) -> Value {
    let chain_type = match chain.role {
        LegacySessionChainRoleV1::Sending => 1,
        LegacySessionChainRoleV1::Receiving => 2,
    };
    let mut position = json!({ "counter": chain.chain_key.counter.value() });
    if let Some(key) = &chain.chain_key.key {
        position["key"] = encode_base64(key).into();
    }
    let skipped = chain.message_keys.iter().map(|key| (key.index.to_string(), encode_base64(&key.seed).into()));
    let skipped: Map<String, Value> = skipped.collect();
    json!({ "chainKey": position, "chainType": chain_type, "messageKeys": skipped })
}
