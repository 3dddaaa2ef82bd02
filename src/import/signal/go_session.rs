//! Go's libsignal: a row of `whatsmeow_sessions`. JSON, in spite of the name of its serializer; a protobuf is taken as well.

use whatsapp_rust::wacore::libsignal::protocol::{
    PendingPreKeyComponents, SessionChainComponents, SessionChainKeyComponents, SessionComponents,
    SessionMessageKeyComponents, SessionMessageKeyMaterial, SessionRecord, SessionRecordComponents,
};

use super::{ConvertedSession, LocalDevice, bytes, number, object, own_session, protocol};
use crate::import::{
    EntryError,
    json::{self, JsonBudget, JsonNode},
    key,
};

/// Closed sessions of one record. Go keeps 40.
const ARCHIVED: usize = 200;
/// Chains that the library keeps: the newest, which are last.
const RECEIVING: usize = 5;
/// Skipped keys of a chain.
const MESSAGE_KEYS: usize = 2000;

pub fn convert(record: &[u8], local: &LocalDevice, budget: &JsonBudget) -> Result<ConvertedSession, EntryError> {
    if record.trim_ascii().first() != Some(&b'{') {
        return own_session(record);
    }
    let node = json::read(record, "a session", budget).map_err(|_| EntryError::Json)?;
    let open = node.get("SessionState").ok_or(EntryError::NoOpenSession)?;
    let open = read_state(open, local)?;
    // Go writes a record without a session as one without a version.
    if open.session_version == Some(0) {
        return Err(EntryError::NoOpenSession);
    }
    let archived = match node.get("PreviousStates") {
        None => Vec::new(),
        Some(states) => states.clone().into_items().ok_or(EntryError::Invalid("PreviousStates"))?,
    };
    if archived.len() > ARCHIVED {
        return Err(EntryError::TooLarge);
    }
    let total = archived.len();
    let previous_sessions: Vec<_> =
        archived.iter().filter_map(|state| read_state(state, local).and_then(sound).ok()).collect();
    let archived_dropped = total - previous_sessions.len();
    let record = SessionRecordComponents { current_session: Some(sound(open)?), previous_sessions };
    let record = SessionRecord::from_components(record).and_then(SessionRecord::into_components).map_err(protocol)?;
    Ok(ConvertedSession { record, archived_dropped })
}

/// The library's check of one session.
fn sound(session: SessionComponents) -> Result<SessionComponents, EntryError> {
    let alone = SessionRecordComponents { current_session: Some(session), previous_sessions: Vec::new() };
    let record = SessionRecord::from_components(alone).and_then(SessionRecord::into_components).map_err(protocol)?;
    record.current_session.ok_or(EntryError::NoOpenSession)
}

fn read_state(state: &JsonNode, local: &LocalDevice) -> Result<SessionComponents, EntryError> {
    if key::public_key(&bytes(state, "LocalIdentityPublic")?)? != local.identity {
        return Err(EntryError::OtherDevice);
    }
    let receiving = match state.get("ReceiverChains") {
        None => Vec::new(),
        Some(chains) => chains.clone().into_items().ok_or(EntryError::Invalid("ReceiverChains"))?,
    };
    let oldest = receiving.len().saturating_sub(RECEIVING);
    let sending = state.get("SenderChain").map(|chain| read_chain(chain, true)).transpose()?;
    // The counter of a chain that never sent is one before zero, in 32 bits.
    let previous: u32 = number(state, "PreviousCounter")?;
    Ok(SessionComponents {
        session_version: Some(number(state, "SessionVersion")?),
        local_identity_public: Some(key::typed(&local.identity).to_vec()),
        remote_identity_public: Some(bytes(state, "RemoteIdentityPublic")?),
        root_key: Some(bytes(state, "RootKey")?),
        previous_counter: Some(if previous == u32::MAX { 0 } else { previous }),
        sender_chain: sending,
        receiver_chains: receiving[oldest..].iter().map(|chain| read_chain(chain, false)).collect::<Result<_, _>>()?,
        pending_key_exchange: None,
        pending_pre_key: state.get("PendingPreKey").map(read_pending).transpose()?,
        remote_registration_id: Some(number(state, "RemoteRegistrationID")?),
        local_registration_id: Some(local.registration_id),
        needs_refresh: None,
        alice_base_key: optional_bytes(state, "SenderBaseKey")?,
    })
}

fn read_chain(chain: &JsonNode, sending: bool) -> Result<SessionChainComponents, EntryError> {
    let position = object(chain, "ChainKey")?;
    let skipped = match chain.get("MessageKeys") {
        None => Vec::new(),
        Some(keys) => keys.clone().into_items().ok_or(EntryError::Invalid("MessageKeys"))?,
    };
    if skipped.len() > MESSAGE_KEYS {
        return Err(EntryError::TooLarge);
    }
    Ok(SessionChainComponents {
        sender_ratchet_key: Some(bytes(chain, "SenderRatchetKeyPublic")?),
        sender_ratchet_key_private: if sending { Some(bytes(chain, "SenderRatchetKeyPrivate")?) } else { None },
        chain_key: Some(SessionChainKeyComponents {
            index: Some(number(position, "Index")?),
            key: optional_bytes(position, "Key")?,
        }),
        message_keys: skipped.iter().map(read_message_key).collect::<Result<_, _>>()?,
    })
}

fn read_message_key(skipped: &JsonNode) -> Result<SessionMessageKeyComponents, EntryError> {
    let exact = |name| bytes(skipped, name)?.try_into().map_err(|_| EntryError::Invalid(name));
    Ok(SessionMessageKeyComponents {
        index: number(skipped, "Index")?,
        material: SessionMessageKeyMaterial::Derived {
            cipher_key: exact("CipherKey")?,
            mac_key: exact("MacKey")?,
            iv: bytes(skipped, "IV")?.try_into().map_err(|_| EntryError::Invalid("IV"))?,
        },
    })
}

fn read_pending(pending: &JsonNode) -> Result<PendingPreKeyComponents, EntryError> {
    let id = pending.get("PreKeyID").filter(|id| !id.get("IsEmpty").is_some_and(JsonNode::is_true));
    Ok(PendingPreKeyComponents {
        pre_key_id: id.map(|id| number(id, "Value")).transpose()?,
        signed_pre_key_id: Some(number(pending, "SignedPreKeyID")?),
        base_key: Some(bytes(pending, "BaseKey")?),
        kyber_pre_key_id: None,
        kyber_ciphertext: None,
    })
}

/// Go writes an absent slice as null, and an empty one as an empty text.
fn optional_bytes(node: &JsonNode, name: &'static str) -> Result<Option<Vec<u8>>, EntryError> {
    let found = node.get(name).map(|value| json::bytes(value).ok_or(EntryError::Invalid(name))).transpose()?;
    Ok(found.filter(|bytes| !bytes.is_empty()))
}
