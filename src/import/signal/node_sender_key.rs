//! Baileys' sender keys: `sender-key-<group>::<user>::<device>`.
//!
//! A buffer that holds the JSON text of an array of states (version 7, late 6), or the array itself (older); a Buffer of Node
//! within it. Baileys appends the newest state, the library wants it first.

use whatsapp_rust::wacore::libsignal::protocol::{
    SenderChainKeyComponents, SenderKeyRecord, SenderKeyRecordComponents, SenderKeyStateComponents,
    SenderMessageKeyComponents, SenderSigningKeyComponents,
};

use super::{bytes, number, object, own_sender_key, protocol};
use crate::import::{
    EntryError,
    json::{self, JsonBudget, JsonNode},
    key,
};

/// States of one record. Baileys keeps five.
const STATES: usize = 50;
/// Skipped keys of a state. Baileys keeps 2000.
const MESSAGE_KEYS: usize = 2000;

pub fn convert(node: JsonNode, budget: &JsonBudget) -> Result<SenderKeyRecordComponents, EntryError> {
    let states = match node {
        JsonNode::List(_) => node.into_items(),
        JsonNode::Map(_) if json::bytes(&node).is_none() => node.into_items(),
        // An empty record is the empty array: nobody gave a key yet.
        JsonNode::Bytes(bytes) if bytes.is_empty() => None,
        buffer => {
            let text = json::bytes(&buffer).ok_or(EntryError::Invalid("the sender key"))?;
            if text.trim_ascii().first() != Some(&b'[') {
                return own_sender_key(&text);
            }
            json::read(&text, "a sender key", budget).map_err(|_| EntryError::Json)?.into_items()
        }
    };
    let states = states.filter(|states| !states.is_empty()).ok_or(EntryError::Missing("a state of the sender key"))?;
    if states.len() > STATES {
        return Err(EntryError::TooLarge);
    }
    let mut taken: Vec<SenderKeyStateComponents> = Vec::new();
    for state in &states {
        let state = read_state(state)?;
        // Baileys adds a state for each distribution of a key, and goes on with the first that has the id.
        if taken.iter().all(|earlier| earlier.key_id != state.key_id) {
            taken.push(state);
        }
    }
    taken.reverse();
    checked(taken)
}

/// The library's own check, and its bound for states.
pub(super) fn checked(states: Vec<SenderKeyStateComponents>) -> Result<SenderKeyRecordComponents, EntryError> {
    SenderKeyRecord::from_components(SenderKeyRecordComponents { states })
        .and_then(SenderKeyRecord::into_components)
        .map_err(protocol)
}

/// A missing, an empty and an all-zero private half all mean: somebody else's key.
pub(super) fn signing_key(public: &[u8], private: Option<Vec<u8>>) -> Result<SenderSigningKeyComponents, EntryError> {
    let private = private.filter(|key| key.iter().any(|byte| *byte != 0));
    Ok(SenderSigningKeyComponents { public: key::typed(&key::public_key(public)?).to_vec(), private })
}

fn read_state(state: &JsonNode) -> Result<SenderKeyStateComponents, EntryError> {
    let chain = object(state, "senderChainKey")?;
    let signing = object(state, "senderSigningKey")?;
    let skipped = match state.get("senderMessageKeys") {
        None => Vec::new(),
        Some(keys) => keys.clone().into_items().ok_or(EntryError::Invalid("senderMessageKeys"))?,
    };
    if skipped.len() > MESSAGE_KEYS {
        return Err(EntryError::TooLarge);
    }
    let private =
        signing.get("private").map(|key| json::bytes(key).ok_or(EntryError::Invalid("private"))).transpose()?;
    Ok(SenderKeyStateComponents {
        key_id: number(state, "senderKeyId")?,
        chain_key: SenderChainKeyComponents { iteration: number(chain, "iteration")?, seed: bytes(chain, "seed")? },
        signing_key: signing_key(&bytes(signing, "public")?, private)?,
        message_keys: skipped
            .iter()
            .map(|key| {
                Ok(SenderMessageKeyComponents { iteration: number(key, "iteration")?, seed: bytes(key, "seed")? })
            })
            .collect::<Result<_, EntryError>>()?,
    })
}
