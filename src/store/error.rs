//! Why the store did not do what was asked, and whether the working copy itself is at fault. Never says what a record holds.

use std::io;

use super::{failure::CopyFailure, space::Space};
use crate::journal::{ArchiveError, JournalClosedError};

/// Why the store did not do what was asked. Where it was a write, nothing was written and nothing recorded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// From now on and for good: see [`super::Store::failed`].
    #[error(transparent)]
    CopyFailed(#[from] CopyFailure),
    #[error("SQLite does not take it")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the tenant's folder fails")]
    Folder(#[from] io::Error),
    #[error("a record of space {} does not parse", space.0)]
    Record { space: Space, source: prost::DecodeError },
    /// Where, not what.
    #[error("the setting {name} does not parse (line {line}, column {column})")]
    Setting { name: &'static str, line: usize, column: usize },
    /// Where, not what: the device is all secrets.
    #[error("the device does not parse (line {line}, column {column})")]
    Device { line: usize, column: usize },
    /// See [`super::messages`]: an answer would let the library acknowledge a message that nobody has.
    #[error("a message that was decrypted before is neither pending nor in the inbox")]
    LostInbound,
    /// See [`super::device`]: the line was cut, so that nothing is answered.
    #[error("another account has scanned")]
    OtherAccount,
    #[error("the store is closed")]
    Closed,
    #[error(transparent)]
    Journal(#[from] JournalClosedError),
    /// A segment, which is in the vault and no longer in the working copy, could not be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It is written here, and the vault did not confirm it while somebody waited: whether it counts shows when the vault is back.
    #[error("the vault did not confirm a change in time")]
    Unconfirmed,
    #[error("the write was interrupted by a bug")]
    Interrupted,
}

impl StoreError {
    /// The store answers nothing any more: its session is over, or will be.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::CopyFailed(_) | Self::Closed | Self::Journal(_))
    }

    /// The failure, if the working copy itself is at fault.
    pub(super) fn copy_failure(self) -> Result<CopyFailure, Self> {
        match self {
            Self::CopyFailed(failure) => Ok(failure),
            Self::Sqlite(error) => CopyFailure::of_sqlite(&error).ok_or(Self::Sqlite(error)),
            Self::Folder(error) => Ok(CopyFailure::of_io(&error)),
            Self::Record { .. } | Self::Device { .. } => Ok(CopyFailure::damaged(self.to_string())),
            other => Err(other),
        }
    }
}
