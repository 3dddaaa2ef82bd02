//! References to segments, as the state has them: what a reader learns of a segment without reading it. Pure.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{
    journal::{Piece, Record},
    message::{changes::changed, event_body::EventBody, log::parse_key},
    seal::Digest,
    store::{Batch, space},
};

/// The reference to a segment, as it is written; its key is its first event's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SegmentReference {
    pub(super) last: Ulid,
    pub(super) count: usize,
    /// Its messages are kept whole.
    pub(super) whole: bool,
    /// Of its events, as they were in the state. 0: an older build closed it.
    #[serde(default)]
    pub(super) bytes: usize,
    /// Of the whole messages that came with them and are still there.
    #[serde(default)]
    pub(super) whole_bytes: usize,
    /// The chats that it has something of; see [`Marks`].
    #[serde(default)]
    pub(super) chats: Option<Marks>,
    /// Which messages its events edit or delete, by their ids. `None`: an older build closed it.
    #[serde(default)]
    pub(super) changes: Option<Marks>,
    pub(super) piece: Piece,
}

#[derive(Debug, Clone)]
pub(in crate::message) struct Segment {
    pub first: Ulid,
    pub(super) reference: SegmentReference,
}

impl Segment {
    /// `None`: a newer build wrote it.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self { first: parse_key(&record.key)?, reference: serde_json::from_slice(&record.value).ok()? })
    }

    pub fn count(&self) -> usize {
        self.reference.count
    }

    pub fn bytes(&self) -> usize {
        self.reference.bytes
    }

    /// When its last event was, Unix milliseconds.
    pub fn ends_ms(&self) -> u64 {
        self.reference.last.timestamp_ms()
    }

    /// Which messages its events edit or delete, by their ids; `None`: it does not say.
    pub fn changes(&self) -> Option<&Marks> {
        self.reference.changes.as_ref()
    }

    pub fn piece(&self) -> &Piece {
        &self.reference.piece
    }

    pub fn delete(&self, batch: &mut Batch) {
        batch.delete(space::SEGMENTS, self.first.to_bytes());
    }

    pub fn refer_to(&mut self, piece: Piece) {
        self.reference.piece = piece;
    }

    pub fn encoded(&self) -> Vec<u8> {
        serde_json::to_vec(&self.reference).expect("a reference is plain data, which JSON always takes")
    }

    pub fn put(&self, batch: &mut Batch) {
        batch.put(space::SEGMENTS, self.first.to_bytes(), self.encoded());
    }
}

/// Some names, each by four bytes of its digest, in base64: whoever looks for one chat skips the segments that have nothing of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::message) struct Marks(String);

/// What [`Marks`] keeps of a name.
pub(in crate::message) type NameMark = [u8; 4];

impl Marks {
    /// The chats of events, and the messages that they change. `None`: an event is one that this build cannot read.
    pub(super) fn of<'a>(values: impl IntoIterator<Item = &'a Bytes>) -> Option<(Self, Self)> {
        let (mut chats, mut changes) = (BTreeSet::new(), BTreeSet::new());
        for value in values {
            let body = serde_json::from_slice(value).ok()?;
            // Calls, groups and states say nothing of a conversation: nobody who looks for one must read them.
            if let EventBody::Received { .. } | EventBody::Sent { .. } | EventBody::Status { .. } = body {
                chats.insert(mark(body.chat()));
            }
            changes.extend(changed(&body).map(mark));
        }
        let marks = |marks: BTreeSet<NameMark>| Self(BASE64.encode(marks.into_iter().flatten().collect::<Vec<u8>>()));
        Some((marks(chats), marks(changes)))
    }

    pub fn may_have(&self, chat: &str) -> bool {
        let wanted = mark(chat);
        self.marks().any(|mark| mark == wanted)
    }

    pub fn marks(&self) -> impl Iterator<Item = NameMark> {
        let marks = BASE64.decode(&self.0).unwrap_or_default();
        (0..marks.len() / 4).map(move |place| [0, 1, 2, 3].map(|byte| marks[4 * place + byte]))
    }
}

pub(in crate::message) fn mark(name: &str) -> NameMark {
    let Digest(digest) = Digest::of([name.as_bytes()]);
    [digest[0], digest[1], digest[2], digest[3]]
}
