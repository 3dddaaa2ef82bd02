//! With what a copy may send: the rule of counters, applied once, before anything connects.
//!
//! Pure. Owns [`Finality`], [`CounterMargin`] and [`SettledTenant`], which is what a writer puts into the vault. A message key
//! follows from a chain and a counter; a copy that sends with a counter that the old service used already loses the message
//! without a trace: WhatsApp and the contact take it for a repetition. So:
//!
//! - Sessions are kept only of a copy that is declared final: made after the old service was stopped for good. Otherwise they
//!   are dropped, and contacts make new ones at the price of one retry.
//! - Each session that is kept, closed ones too, first skips [`CounterMargin`] counters of its sending chain, for what the
//!   old service may have sent and never stored. Contacts accept jumps of up to 2000.
//! - Our own sender keys, and the memory of who has them, are in no copy: readers leave them out.
//! - Pre-keys of a copy that is not final, or that has none, cannot be trusted: the next ids are far from the old ones, and
//!   new keys go up at the login.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::libsignal::{
    protocol::{
        KeyPair, PrivateKey, PublicKey, SenderKeyRecord, SessionComponents, SessionRecord, SessionRecordComponents,
    },
    store::record_helpers::encode_pre_key_record_to,
};

use super::{EntryError, EntryKind, TenantBackup, TenantCopy};

/// The library refuses longer jumps (`MAX_RESERVATION_FAST_FORWARD`, 2000, less one batch of 64), as contacts do.
const LONGEST: u32 = 1936;
/// Ids that are skipped when the old pre-keys cannot be trusted: more than any gateway makes in years.
const PRE_KEY_GAP: u32 = 10_000;
/// Pre-key ids have 24 bits.
pub(super) const PRE_KEY_IDS: u32 = 1 << 24;

/// What the operator says of the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finality {
    /// It was made after the old service was stopped for good.
    Final,
    /// The old service may have gone on, or goes on still.
    MayBeStale,
}

/// Counters that are skipped in each sending chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterMargin(u32);

impl CounterMargin {
    /// None when contacts would refuse the jump.
    pub fn new(counters: u32) -> Option<Self> {
        (counters <= LONGEST).then_some(Self(counters))
    }
}

impl Default for CounterMargin {
    fn default() -> Self {
        Self(200)
    }
}

/// A copy that is safe to connect with. Records are the library's, encoded; keys are texts as the store has them.
pub struct SettledTenant {
    pub copy: TenantCopy,
    pub finality: Finality,
    /// Address → session record.
    pub sessions: Vec<(String, Vec<u8>)>,
    /// `group:address` → sender-key record.
    pub sender_keys: Vec<(String, Vec<u8>)>,
    /// Id → pre-key record.
    pub pre_keys: Vec<(u32, Vec<u8>)>,
    pub next_pre_key_id: u32,
    pub first_unuploaded_pre_key_id: u32,
    /// False: the library makes and uploads new ones at the login.
    pub server_has_pre_keys: bool,
    /// It is linked, and connects only when somebody starts it.
    pub stays_away: bool,
    /// Of a tenant of ours that comes back: what it has beside the device.
    pub backup: Option<TenantBackup>,
}

impl TenantCopy {
    /// Decides about sessions and pre-keys, and encodes what stays. [`TenantCopy::verify`] comes first.
    pub fn settle(mut self, finality: Finality, margin: CounterMargin) -> SettledTenant {
        self.skip_counters(finality, margin);
        let mut sessions = Vec::with_capacity(self.sessions.len());
        for (address, record) in std::mem::take(&mut self.sessions) {
            match SessionRecord::from_components(record).and_then(|record| record.serialize()) {
                Ok(record) => sessions.push((address.to_string(), record)),
                Err(error) => self.refuse(EntryKind::Session, &address.to_string(), &error.to_string()),
            }
        }
        let mut sender_keys = Vec::with_capacity(self.sender_keys.len());
        for ((group, sender), record) in std::mem::take(&mut self.sender_keys) {
            let name = format!("{group}:{sender}");
            match SenderKeyRecord::from_components(record).and_then(|record| record.serialize()) {
                Ok(record) => sender_keys.push((name, record)),
                Err(error) => self.refuse(EntryKind::SenderKey, &name, &error.to_string()),
            }
        }
        let fresh_pre_keys = finality == Finality::MayBeStale
            || self.pre_keys.is_empty()
            // WhatsApp has keys of theirs that come after the next one of the credentials.
            || !self.creds_fit_keys()
            || self.device.first_unuploaded_pre_key_id <= 1;
        let mut pre_keys = Vec::with_capacity(self.pre_keys.len());
        for (id, pair) in &self.pre_keys {
            pre_keys.extend(encoded(*id, pair.public, pair.private.expose()).map(|record| (*id, record)));
        }
        let (next_pre_key_id, first_unuploaded_pre_key_id) = if fresh_pre_keys {
            let next = beyond(self.highest_pre_key_id());
            (next, next)
        } else {
            (self.device.next_pre_key_id, self.device.first_unuploaded_pre_key_id)
        };
        SettledTenant {
            copy: self,
            finality,
            sessions,
            sender_keys,
            pre_keys,
            next_pre_key_id,
            first_unuploaded_pre_key_id,
            server_has_pre_keys: !fresh_pre_keys,
            stays_away: false,
            backup: None,
        }
    }

    /// Moves each sending chain on, or drops all sessions. For the way in and for the way out.
    pub(super) fn skip_counters(&mut self, finality: Finality, margin: CounterMargin) {
        let sessions = std::mem::take(&mut self.sessions);
        let archived = |record: &SessionRecordComponents| record.previous_sessions.len();
        if finality == Finality::MayBeStale || !self.creds_fit_keys() {
            self.tally.withdraw(EntryKind::ArchivedSession, sessions.values().map(archived).sum());
            self.tally.withdraw(EntryKind::Session, sessions.len());
            return;
        }
        for (address, record) in sessions {
            let before = archived(&record);
            match advance(record, margin) {
                Ok(record) => {
                    self.tally.withdraw(EntryKind::ArchivedSession, before - archived(&record));
                    self.sessions.insert(address, record);
                }
                Err(error) => {
                    self.tally.withdraw(EntryKind::ArchivedSession, before);
                    self.refuse(EntryKind::Session, &address.to_string(), &error.to_string());
                }
            }
        }
    }

    /// Whether credentials and keys are of one moment, as far as pre-keys tell: one with an id that the credentials have not
    /// given out yet is younger than they are. Kept in two places, the newest must be there as well. Where they do not fit,
    /// nothing says how old the sessions are.
    pub fn creds_fit_keys(&self) -> bool {
        let newest = self.pre_keys.keys().next_back().copied().unwrap_or(0);
        newest < self.device.next_pre_key_id && (!self.is_split || newest + 1 == self.device.next_pre_key_id)
    }

    fn highest_pre_key_id(&self) -> u32 {
        let known = self.pre_keys.keys().next_back().copied().unwrap_or(0);
        known.max(self.device.next_pre_key_id).max(self.device.first_unuploaded_pre_key_id)
    }

    fn refuse(&mut self, kind: EntryKind, name: &str, reason: &str) {
        self.tally.withdraw(kind, 1);
        // Counted by the line above; here it is told.
        self.tally.tell(kind, name, &EntryError::Protocol(reason.to_owned()));
    }
}

/// Skips counters in the open session and in each closed one: a late message makes a closed one the open one again.
pub(super) fn advance(
    record: SessionRecordComponents,
    margin: CounterMargin,
) -> Result<SessionRecordComponents, EntryError> {
    if margin.0 == 0 {
        return Ok(record);
    }
    let open = record.current_session.ok_or(EntryError::NoOpenSession)?;
    let open = advance_session(open, margin)?;
    let previous_sessions = record.previous_sessions.into_iter();
    let previous_sessions = previous_sessions.filter_map(|closed| advance_session(closed, margin).ok()).collect();
    Ok(SessionRecordComponents { current_session: Some(open), previous_sessions })
}

/// The library burns what is reserved when a record is taken apart. A chain that it cannot move it takes away, and such a
/// session would neither send nor fetch a bundle.
fn advance_session(session: SessionComponents, margin: CounterMargin) -> Result<SessionComponents, EntryError> {
    let Some(index) = sending_index(&session) else { return Err(EntryError::Missing("a sending chain")) };
    let spent = index.checked_add(margin.0).ok_or(EntryError::Invalid("a counter"))?;
    let alone = SessionRecordComponents { current_session: Some(session), previous_sessions: Vec::new() };
    let mut record = SessionRecord::from_components(alone).map_err(|error| EntryError::Protocol(error.to_string()))?;
    record.reserve_sender_chain_counters(spent);
    let moved = record.into_components().map_err(|error| EntryError::Protocol(error.to_string()))?;
    let moved = moved.current_session.ok_or(EntryError::NoOpenSession)?;
    match sending_index(&moved) {
        Some(now) if now >= spent => Ok(moved),
        _ => Err(EntryError::Invalid("a counter")),
    }
}

fn sending_index(session: &SessionComponents) -> Option<u32> {
    session.sender_chain.as_ref()?.chain_key.as_ref()?.index
}

/// The first id that no key of the old service has; ids begin at 1 again after the last.
pub(super) fn beyond(id: u32) -> u32 {
    let next = id.saturating_add(PRE_KEY_GAP);
    if next < PRE_KEY_IDS { next } else { next % PRE_KEY_IDS + 1 }
}

fn encoded(id: u32, public: [u8; 32], private: &[u8; 32]) -> Option<Vec<u8>> {
    let public = PublicKey::from_djb_public_key_bytes(&public).ok()?;
    let pair = KeyPair::new(public, PrivateKey::deserialize(private).ok()?);
    let mut record = Vec::new();
    encode_pre_key_record_to(id, &pair, &mut record);
    Some(record)
}
