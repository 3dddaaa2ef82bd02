//! Sender keys, tokens and app-state keys as Baileys 7 writes them.

use serde_json::{Value, json};
use whatsapp_rust::wacore::libsignal::protocol::SenderKeyRecordComponents;

use super::buffer;
use crate::import::{ContactToken, SyncKeyCopy, json::encode_base64};

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
        "fingerprint": fingerprint(&key.fingerprint),
        "timestamp": key.timestamp.to_string(),
    })
}

/// `{1 rawId, 2 currentIndex, 3 deviceIndexes}`; what else is in it Baileys does not know.
fn fingerprint(message: &[u8]) -> Value {
    let (mut raw, mut current, mut indexes) = (0, 0, Vec::new());
    let mut rest = message;
    while let Some(tag) = varint(&mut rest) {
        match (tag >> 3, tag & 7) {
            (1, 0) => raw = varint(&mut rest).unwrap_or_default(),
            (2, 0) => current = varint(&mut rest).unwrap_or_default(),
            (3, 0) => indexes.extend(varint(&mut rest)),
            (3, 2) => {
                let length = varint(&mut rest).unwrap_or_default() as usize;
                let Some((mut packed, after)) = rest.split_at_checked(length) else { break };
                rest = after;
                while let Some(index) = varint(&mut packed) {
                    indexes.push(index);
                }
            }
            _ => break,
        }
    }
    json!({ "rawId": raw, "currentIndex": current, "deviceIndexes": indexes })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
