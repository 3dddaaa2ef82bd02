//! The chain of entries: how a cut becomes documents, and how documents become state again. No I/O.
//!
//! Each document is sealed for its number, its place in its entry, the epoch, and the digest of the complete entry or
//! takeover before it. So what a reader accepts is what one owner after the other wrote, in this order, all of it.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use prost::Message;

use super::{
    damage::{Damage, Document},
    format::{self, Guard},
    record::{Cut, RecordMap},
};
use crate::{
    seal::{Digest, Kind, OVERHEAD, SealPosition, TenantSeal},
    vault::{Decision, DocumentKind, InstanceId, JournalDocument, Seq},
};

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The last document, complete or not.
    pub last: Seq,
    /// Of the last complete entry or takeover.
    pub digest: Digest,
    /// The last document's, where it is known: see [`JournalDocument::digest`].
    pub document: Option<Digest>,
    /// The number of the last takeover.
    pub epoch: Seq,
}

impl Head {
    pub const START: Self = Self { last: Seq(0), digest: Digest::ZERO, document: None, epoch: Seq(0) };

    fn place(&self, kind: Kind, seq: Seq, part: u32, parts: u32, epoch: Seq) -> SealPosition {
        SealPosition { kind, seq, part, parts, epoch, previous: self.digest }
    }
}

/// Documents that are written as they are or not at all, however often they have to be sent: sealed once.
#[derive(Debug)]
pub(super) struct Frozen {
    pub documents: Vec<JournalDocument>,
    /// The digest of the document before them, where it is known.
    pub before: Option<Digest>,
    /// Carried out with the last document.
    pub decision: Option<Decision>,
    /// Where the chain ends when they are written.
    pub after: Head,
}

/// Seals one owner's documents.
#[derive(Debug, Clone)]
pub(super) struct Scribe {
    pub seal: TenantSeal,
    pub writer: InstanceId,
    /// The most bytes that a payload may have.
    pub max_payload: usize,
}

impl Scribe {
    pub fn takeover(&self, head: &Head, at: Timestamp) -> Frozen {
        let seq = head.last.next();
        let place = head.place(Kind::Takeover, seq, 0, 1, seq);
        let plain = format::Takeover { writer: self.writer.0.as_ref().to_owned() }.encode_to_vec();
        let payload = self.seal.seal(&place, &plain);
        let document = self.document(seq, DocumentKind::Takeover, at, payload);
        let digest = document.digest();
        let after = Head { last: seq, digest, document: Some(digest), epoch: seq };
        Frozen { documents: vec![document], before: head.document, decision: None, after }
    }

    pub fn entry(&self, head: &Head, cut: &Cut, at: Timestamp) -> Frozen {
        let plain = format::encode_entry(cut);
        let pieces = pieces(&plain, self.max_payload);
        let parts = pieces.len() as u32;
        let mut last = head.last;
        let documents: Vec<_> = (0..)
            .zip(pieces)
            .map(|(part, piece)| {
                last = last.next();
                let payload = self.seal.seal(&head.place(Kind::Entry, last, part, parts, head.epoch), piece);
                let kind = if part + 1 == parts { DocumentKind::Last } else { DocumentKind::Part };
                self.document(last, kind, at, payload)
            })
            .collect();
        let document = documents.last().map(JournalDocument::digest);
        let after = Head { last, digest: digest_of_entry(&documents, document), document, epoch: head.epoch };
        Frozen { documents, before: head.document, decision: cut.decision.clone(), after }
    }

    fn document(&self, seq: Seq, kind: DocumentKind, at: Timestamp, payload: Bytes) -> JournalDocument {
        JournalDocument { seq, kind, writer: self.writer.clone(), at, payload }
    }
}

/// Cuts a plaintext so that each piece, sealed, fits into a document. At least one piece, be it empty.
fn pieces(plain: &[u8], max_payload: usize) -> Vec<&[u8]> {
    match plain {
        [] => vec![&[]],
        plain => plain.chunks(max_payload - OVERHEAD).collect(),
    }
}

/// `last`: of its last document. An entry of one document has the digest of that one.
fn digest_of_entry(documents: &[JournalDocument], last: Option<Digest>) -> Digest {
    match (documents, last) {
        ([_], Some(last)) => last,
        _ => Digest::of(documents.iter().map(|document| &*document.payload)),
    }
}

/// Follows a chain from a known point on, verifies it and carries it out.
#[derive(Debug)]
pub(super) struct Follower {
    seal: TenantSeal,
    pub head: Head,
    pub state: RecordMap,
    /// Documents that no compaction may remove: see [`Guard`].
    pub guards: Vec<Guard>,
    /// What was read since the known point.
    pub tail: Tail,
    /// The latest time of what was read.
    pub latest: Timestamp,
    /// The documents of an entry whose last one has not come yet.
    open: Vec<JournalDocument>,
}

/// How much a reader has to read after the snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub entries: u64,
    pub bytes: u64,
}

impl Tail {
    pub fn grow(&mut self, documents: &[JournalDocument]) {
        self.entries += 1;
        self.bytes += documents.iter().map(|document| document.payload.len() as u64).sum::<u64>();
    }
}

impl Follower {
    pub fn new(seal: TenantSeal, head: Head, state: RecordMap, guards: Vec<Guard>) -> Self {
        Self { seal, head, state, guards, tail: Tail::default(), latest: Timestamp::MIN, open: Vec::new() }
    }

    /// Takes the next document. After an error the follower is of no use.
    pub fn follow(&mut self, document: JournalDocument) -> Result<(), Damage> {
        let seq = document.seq;
        if seq != self.head.last.next() {
            return Err(Damage::MissingEntry(self.head.last.next()));
        }
        let digest = document.digest();
        self.head.last = seq;
        self.head.document = Some(digest);
        self.latest = self.latest.max(document.at);
        match document.kind {
            DocumentKind::Part => self.open.push(document),
            DocumentKind::Last => {
                self.open.push(document);
                self.complete_entry()?;
            }
            DocumentKind::Takeover => {
                self.check_unfinished()?;
                self.open.clear();
                let place = self.head.place(Kind::Takeover, seq, 0, 1, seq);
                self.unseal(Document::Takeover(seq), &place, &document.payload)?;
                self.head = Head { digest, epoch: seq, ..self.head };
                self.tail.grow(&[document]);
            }
        }
        Ok(())
    }

    /// The documents of an entry without its last one are no entry: their writer was stopped, or is still at it. But
    /// none of them may be a complete entry or a takeover whose kind someone altered to make it disappear.
    pub fn check_unfinished(&self) -> Result<(), Damage> {
        for (part, document) in (0..).zip(&self.open) {
            let entry = self.head.place(Kind::Entry, document.seq, part, part + 1, self.head.epoch);
            let takeover = self.head.place(Kind::Takeover, document.seq, 0, 1, document.seq);
            if [entry, takeover].iter().any(|place| self.seal.open(place, &document.payload).is_ok()) {
                let why = "its kind was altered".into();
                return Err(Damage::Malformed { document: Document::Entry(document.seq), why });
            }
        }
        Ok(())
    }

    fn complete_entry(&mut self) -> Result<(), Damage> {
        let documents = std::mem::take(&mut self.open);
        let parts = documents.len() as u32;
        let mut plain = BytesMut::new();
        for (part, document) in (0..).zip(&documents) {
            let place = self.head.place(Kind::Entry, document.seq, part, parts, self.head.epoch);
            plain.extend_from_slice(&self.unseal(Document::Entry(document.seq), &place, &document.payload)?);
        }
        let seq = self.head.last;
        let decides = format::apply_entry(plain.freeze(), &mut self.state)
            .map_err(|why| Damage::Malformed { document: Document::Entry(seq), why })?;
        if decides {
            self.guards.extend(documents.last().map(guard));
        }
        self.head.digest = digest_of_entry(&documents, self.head.document);
        self.tail.grow(&documents);
        Ok(())
    }

    fn unseal(&self, document: Document, place: &SealPosition, payload: &[u8]) -> Result<Vec<u8>, Damage> {
        self.seal.open(place, payload).map_err(|why| Damage::unopened(document, why))
    }
}

pub(super) fn guard(document: &JournalDocument) -> Guard {
    Guard { seq: document.seq.0, at: document.at.as_millisecond() }
}
