//! The kinds of damage to a tenant's state in the vault, named for the operator.

use std::fmt;

use crate::{
    seal::{KeyId, UnsealError},
    vault::{Seq, SnapshotId},
};

/// A document of a tenant's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    Takeover(Seq),
    /// An entry, by the number of the document.
    Entry(Seq),
    Manifest(SnapshotId),
    Chunk(SnapshotId, u32),
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Takeover(seq) => write!(f, "takeover {}", seq.0),
            Self::Entry(seq) => write!(f, "journal entry {}", seq.0),
            Self::Manifest(id) => write!(f, "manifest of snapshot {}-{}", id.seq.0, id.attempt),
            Self::Chunk(id, n) => write!(f, "chunk {n} of snapshot {}-{}", id.seq.0, id.attempt),
        }
    }
}

/// Why a tenant's state cannot be read. It is left as it is: nothing is written over it, and nothing new is begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The tenant is connected, and there is not one document.
    #[error("the tenant is connected, but the vault has no state of it")]
    NoHistory,
    /// Neither a snapshot nor a document covers this number.
    #[error("journal entry {} is missing", .0.0)]
    MissingEntry(Seq),
    #[error("{0} is missing")]
    MissingChunk(Document),
    #[error("{document} was sealed with master key {key}, which is not configured")]
    UnknownKey { document: Document, key: KeyId },
    /// Altered, swapped, another tenant's, or following another entry than the one that is there.
    #[error("{document} does not open: {why}")]
    DoesNotOpen { document: Document, why: UnsealError },
    /// It opens, and means nothing.
    #[error("{document} is malformed: {why}")]
    Malformed { document: Document, why: String },
    /// It opens and reads, and its owner could do nothing with it.
    #[error("the state after {document} is not usable: {why}")]
    Unusable { document: Document, why: String },
    /// The vault could not even make a document of it.
    #[error("the vault holds something malformed: {0}")]
    NoDocument(String),
}

/// Something that a vault has lost while the tenant's owner had everything in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    Entry(Seq),
    /// A snapshot that was read as good, or a part of it.
    Snapshot(Seq),
    /// The tenant's record in the directory.
    Record,
    /// The vault itself does not know.
    Something,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(seq) => write!(f, "{}", Document::Entry(*seq)),
            Self::Snapshot(seq) => write!(f, "the snapshot after journal entry {}, or a part of it", seq.0),
            Self::Record => f.write_str("the tenant's record"),
            Self::Something => f.write_str("parts of its file"),
        }
    }
}

impl Damage {
    pub(super) fn unopened(document: Document, why: UnsealError) -> Self {
        match why {
            UnsealError::UnknownKey { id } => Self::UnknownKey { document, key: id },
            why => Self::DoesNotOpen { document, why },
        }
    }
}
