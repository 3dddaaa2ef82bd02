//! What is inside the sealed documents, in Protocol Buffers.
//!
//! Field numbers are never reused and never change their meaning; a reader skips those that it does not know. What a
//! reader may assume stands beside each message.

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

use super::record::{Cut, Name, RecordMap, Space};
use crate::vault::Seq;

/// One entry of the journal: the bytes of its documents, opened and put together, are one of these.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    /// Each record at most once.
    #[prost(message, repeated, tag = "1")]
    changes: Vec<Item>,
    /// The commit carried a decision. Such an entry outlives compaction: see [`Guard`].
    #[prost(bool, tag = "2")]
    decides: bool,
}

/// A record, or in an entry a change.
#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(uint32, tag = "1")]
    space: u32,
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
    /// Absent: the record is removed.
    #[prost(bytes = "bytes", optional, tag = "3")]
    value: Option<Bytes>,
}

/// A takeover.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Takeover {
    #[prost(string, tag = "1")]
    pub writer: String,
}

/// A snapshot's manifest. The plaintexts of the chunks, one after the other, are records, each preceded by its length.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ManifestRecord {
    /// Digest of entry or takeover `seq`: what the next entry's seal names as the one before.
    #[prost(bytes = "vec", tag = "1")]
    pub entry: Vec<u8>,
    /// The epoch at `seq`.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Digest of each chunk's sealed bytes, in order.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub chunks: Vec<Vec<u8>>,
    /// Of the sealed chunks together.
    #[prost(uint64, tag = "4")]
    pub bytes: u64,
    /// Not to be removed before, in milliseconds since 1970.
    #[prost(int64, optional, tag = "5")]
    pub kept_until: Option<i64>,
    #[prost(message, repeated, tag = "6")]
    pub guards: Vec<Guard>,
    /// Digest of document `seq`: another one than `entry` where the entry has several documents. Absent where nobody knew it.
    #[prost(bytes = "vec", optional, tag = "7")]
    pub document: Option<Vec<u8>>,
}

/// A document of an entry that carried a decision. It stays in the vault as takeovers do, for as long: were it removed, an
/// owner that was stopped before the answer came would find the number free, write the entry again, into the past, and
/// the vault would carry out the old decision once more.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Guard {
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// When it was written, in milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub at: i64,
}

impl Guard {
    pub fn seq(&self) -> Seq {
        Seq(self.seq)
    }
}

pub(super) fn encode_entry(cut: &Cut) -> Bytes {
    let item = |((space, key), value): (&Name, &Option<Bytes>)| Item {
        space: space.0.into(),
        key: Bytes::copy_from_slice(key),
        value: value.clone(),
    };
    let entry = Entry { changes: cut.changes.iter().map(item).collect(), decides: cut.decision.is_some() };
    entry.encode_to_vec().into()
}

/// Carries out an entry on a state; tells whether it decided something.
pub(super) fn apply_entry(plain: Bytes, state: &mut RecordMap) -> Result<bool, String> {
    let entry = Entry::decode(plain).map_err(|error| error.to_string())?;
    for change in entry.changes {
        let (name, value) = change.into_parts()?;
        match value {
            Some(value) => state.insert(name, value),
            None => state.remove(&name),
        };
    }
    Ok(entry.decides)
}

/// Appends a record to a chunk's plaintext.
pub(super) fn encode_record(space: Space, key: &[u8], value: &Bytes, out: &mut BytesMut) {
    let item = Item { space: space.0.into(), key: Bytes::copy_from_slice(key), value: Some(value.clone()) };
    // BytesMut grows as needed, so there is always room.
    let _ = item.encode_length_delimited(out);
}

pub(super) fn decode_records(mut plain: Bytes) -> Result<RecordMap, String> {
    let mut state = RecordMap::new();
    while plain.has_remaining() {
        let item = Item::decode_length_delimited(&mut plain).map_err(|error| error.to_string())?;
        let (name, value) = item.into_parts()?;
        if state.insert(name, value.ok_or("a record without a value")?).is_some() {
            return Err("a record twice".into());
        }
    }
    Ok(state)
}

impl Item {
    fn into_parts(self) -> Result<(Name, Option<Bytes>), String> {
        let space = u8::try_from(self.space).map_err(|_| format!("space {}", self.space))?;
        Ok(((Space(space), self.key.as_ref().into()), self.value))
    }
}

/// Reads bytes as each of these, for fuzzing: reading ends, and what was read is the same when it is written and read again.
#[cfg(feature = "loopback")]
pub(super) fn read_anything(bytes: &[u8]) {
    let plain = Bytes::copy_from_slice(bytes);
    let mut state = RecordMap::new();
    if apply_entry(plain.clone(), &mut state).is_ok() {
        let mut written = BytesMut::new();
        for ((space, key), value) in &state {
            encode_record(*space, key, value, &mut written);
        }
        assert_eq!(decode_records(written.freeze()).as_ref(), Ok(&state));
    }
    let _ = decode_records(plain);
    let _ = ManifestRecord::decode(bytes);
    let _ = Takeover::decode(bytes);
}
