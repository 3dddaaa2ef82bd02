//! Go's libsignal: a row of `whatsmeow_sender_keys`. JSON, the newest state first; a protobuf is taken as well.

use whatsapp_rust::wacore::libsignal::protocol::{
    SenderChainKeyComponents, SenderKeyRecordComponents, SenderKeyStateComponents, SenderMessageKeyComponents,
};

use super::{
    bytes,
    node_sender_key::{checked, signing_key},
    number, object, own_sender_key,
};
use crate::import::{
    EntryError,
    json::{self, JsonBudget, JsonNode},
};

/// States of one record. Go keeps five.
const STATES: usize = 50;
/// Skipped keys of a state.
const MESSAGE_KEYS: usize = 2000;

pub fn convert(record: &[u8], budget: &JsonBudget) -> Result<SenderKeyRecordComponents, EntryError> {
    if record.trim_ascii().first() != Some(&b'{') {
        return own_sender_key(record);
    }
    let node = json::read(record, "a sender key", budget).map_err(|_| EntryError::Json)?;
    let states =
        object(&node, "SenderKeyStates")?.clone().into_items().ok_or(EntryError::Invalid("SenderKeyStates"))?;
    if states.is_empty() {
        return Err(EntryError::Missing("a state of the sender key"));
    }
    if states.len() > STATES {
        return Err(EntryError::TooLarge);
    }
    checked(states.iter().map(read_state).collect::<Result<_, _>>()?)
}

fn read_state(state: &JsonNode) -> Result<SenderKeyStateComponents, EntryError> {
    let chain = object(state, "SenderChainKey")?;
    let skipped = match state.get("Keys") {
        None => Vec::new(),
        Some(keys) => keys.clone().into_items().ok_or(EntryError::Invalid("Keys"))?,
    };
    if skipped.len() > MESSAGE_KEYS {
        return Err(EntryError::TooLarge);
    }
    let private = state.get("SigningKeyPrivate");
    let private = private.map(|key| json::bytes(key).ok_or(EntryError::Invalid("SigningKeyPrivate"))).transpose()?;
    Ok(SenderKeyStateComponents {
        key_id: number(state, "KeyID")?,
        chain_key: SenderChainKeyComponents { iteration: number(chain, "Iteration")?, seed: bytes(chain, "ChainKey")? },
        signing_key: signing_key(&bytes(state, "SigningKeyPublic")?, private)?,
        message_keys: skipped
            .iter()
            .map(|key: &JsonNode| {
                Ok(SenderMessageKeyComponents { iteration: number(key, "Iteration")?, seed: bytes(key, "Seed")? })
            })
            .collect::<Result<_, EntryError>>()?,
    })
}
