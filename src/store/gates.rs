//! Which writes of Signal state must be durable before the library goes on.
//!
//! A message key follows from its chain and counter alone, so a counter that reached the wire must never be issued again.
//! The library leases counters in batches of 64: the stored record says up to which counter its chain may have sent (the
//! ceiling), and a reload jumps there (wacore-libsignal `SessionRecord::deserialize`). It holds back what it encrypted
//! until the store has returned from the write that raises a ceiling (wacore `SignalStoreCache::needs_pre_wire_flush`).
//! Here that write returns when the vault has it. The chain counts too, not the ceiling alone: a reply makes a new chain
//! that inherits the ceiling, and what is sent on it afterwards needs no new lease; were the step to it lost, the other
//! side would be ahead of us. The library does not wait for that write before it sends; `session::wire_gate` does.
//!
//! A ceiling of zero says that nothing was sent on the chain and that the first send will raise it. Such a write waits
//! for nothing, so what only comes in costs no wait.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;

use crate::journal::ChangeNo;

/// The writes whose ceiling or chain was new and that may not be durable yet, by what they wrote.
///
/// Kept because a caller may give up waiting: its record is in the working copy, and the next write of the same ceiling
/// must wait for it all the same.
#[derive(Default)]
pub(super) struct Gates(HashMap<GateKey, ChangeNo>);

pub(super) type GateKey = (u8, Box<[u8]>);

impl Gates {
    /// Notes that `raised` keys were written by `change`, and returns what a writer of `written` keys must wait for.
    pub(super) fn pass(
        &mut self,
        written: &[(GateKey, bool)],
        change: ChangeNo,
        durable: ChangeNo,
    ) -> Option<ChangeNo> {
        self.0.retain(|_, waiting| *waiting > durable);
        for (key, raised) in written {
            if *raised {
                self.0.insert(key.clone(), change);
            }
        }
        written.iter().filter_map(|(key, _)| self.0.get(key)).max().copied()
    }
}

/// Which chain a record sends on, and up to which counter it may have sent.
#[derive(PartialEq)]
pub(super) struct Lease {
    chain: (u32, Bytes),
    ceiling: u32,
}

/// Reads the lease of a serialised `SessionRecord` or `SenderKeyRecord`; none when the bytes are neither.
pub(super) type ReadLease = fn(&[u8]) -> Option<Lease>;

/// Whether replacing `old` by `new` must be durable before a message goes out. What cannot be read must.
pub(super) fn raises(read: ReadLease, old: Option<&[u8]>, new: &[u8]) -> bool {
    match read(new) {
        Some(new) if new.ceiling == 0 => false,
        Some(new) => old.and_then(read).as_ref() != Some(&new),
        None => true,
    }
}

pub(super) fn session(record: &[u8]) -> Option<Lease> {
    let record = SessionRecord::decode(record).ok()?;
    let chain = record.current_session.and_then(|session| session.sender_chain).unwrap_or_default();
    Some(Lease { chain: (0, chain.ratchet_key), ceiling: record.ceiling })
}

pub(super) fn sender_key(record: &[u8]) -> Option<Lease> {
    let record = SenderKeyRecord::decode(record).ok()?;
    let state = record.states.into_iter().next().unwrap_or_default();
    let signing_key = state.signing_key.unwrap_or_default().public;
    Some(Lease { chain: (state.id, signing_key), ceiling: record.ceiling })
}

// The few fields of the library's records that a lease needs (waproto `RecordStructure`, `SenderKeyRecordStructure`;
// field 100 is wacore-libsignal's `COUNTER_RESERVATION_FIELD`). Parsing them whole would derive up to 64 keys each time,
// for a reload burns the lease. The tests hold these readings against the library's own.

#[derive(Message)]
#[prost(skip_debug)]
struct SessionRecord {
    #[prost(message, optional, tag = "1")]
    current_session: Option<SessionStructure>,
    #[prost(uint32, tag = "100")]
    ceiling: u32,
}

#[derive(Message)]
#[prost(skip_debug)]
struct SessionStructure {
    #[prost(message, optional, tag = "6")]
    sender_chain: Option<SenderChain>,
}

#[derive(Message)]
#[prost(skip_debug)]
struct SenderChain {
    #[prost(bytes = "bytes", tag = "1")]
    ratchet_key: Bytes,
}

#[derive(Message)]
#[prost(skip_debug)]
struct SenderKeyRecord {
    #[prost(message, repeated, tag = "1")]
    states: Vec<SenderKeyState>,
    #[prost(uint32, tag = "100")]
    ceiling: u32,
}

#[derive(Message)]
#[prost(skip_debug)]
struct SenderKeyState {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "3")]
    signing_key: Option<SigningKey>,
}

#[derive(Message)]
#[prost(skip_debug)]
struct SigningKey {
    #[prost(bytes = "bytes", tag = "1")]
    public: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_must_be_durable() {
        assert!(raises(session, None, b"\xff\xff"));
        assert!(raises(sender_key, None, b"\xff\xff"));
    }
}
