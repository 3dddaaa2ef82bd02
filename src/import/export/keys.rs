//! Sender keys, tokens and app-state keys as Baileys 7 writes them.

use serde_json::{Value, json};
use whatsapp_rust::wacore::libsignal::protocol::SenderKeyRecordComponents;

use super::buffer;
use crate::import::{ContactToken, SyncKeyCopy, fingerprint, json::encode_base64};

/// A buffer of JSON text, the newest state last.
pub fn sender_key(record: &SenderKeyRecordComponents) -> Value {
    let states = record.states.iter().rev().map(|state| {
        let skipped = state.message_keys.iter();
        json!({
            "senderKeyId": state.key_id,
            "senderChainKey": { "iteration": state.chain_key.iteration, "seed": buffer(&state.chain_key.seed) },
            "senderSigningKey": {
                "public": buffer(&state.signing_key.public),
                "private": buffer(state.signing_key.private.as_deref().unwrap_or_default()),
            },
            "senderMessageKeys": skipped
                .map(|key| json!({ "iteration": key.iteration, "seed": buffer(&key.seed) }))
                .collect::<Vec<_>>(),
        })
    });
    buffer(Value::from_iter(states).to_string().as_bytes())
}

pub fn contact_token(token: &ContactToken) -> Value {
    let mut value = json!({ "token": buffer(token.token.expose()), "timestamp": token.timestamp.to_string() });
    if let Some(sender) = token.sender_timestamp {
        value["senderTimestamp"] = sender.into();
    }
    value
}

/// As protobufjs writes it: bytes as base64, 64 bits as a text.
pub fn sync_key(key: &SyncKeyCopy) -> Value {
    json!({
        "keyData": encode_base64(key.key_data.expose()),
        "fingerprint": fingerprint::decode(&key.fingerprint),
        "timestamp": key.timestamp.to_string(),
    })
}
