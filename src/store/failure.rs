//! Why a working copy is not used any more.
//!
//! A copy fails once and for all: after the first failure no turn touches the file, so nobody reads what may be wrong. The
//! way back is a new copy from the vault. What the journal has recorded by then stays good, and the session's close
//! flushes it.

use std::{fmt, io};

use rusqlite::ErrorCode;
use rustix::io::Errno;

/// The first failure of a working copy. The text names places, never contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the working copy {kind}: {detail}")]
pub struct CopyFailure {
    pub kind: CopyFailureKind,
    pub detail: String,
}

/// The kind of a working copy's failure: it decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CopyFailureKind {
    /// It holds other bytes than were written, or a record that does not parse.
    Damaged,
    /// The file or its folder is gone.
    Missing,
    /// Something else is in its place.
    Exchanged,
    /// The system refuses to read or write it.
    Unreadable,
    /// The process has no file descriptor left to open it.
    NoDescriptors,
    /// The disk has no room for a change. The change is not recorded, and nothing that depends on it has left.
    DiskFull,
}

impl CopyFailureKind {
    fn of_io(error: &io::Error) -> Self {
        let no_descriptors = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Exchanged,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            _ if error.raw_os_error().is_some_and(|errno| no_descriptors.contains(&errno)) => Self::NoDescriptors,
            _ => Self::Unreadable,
        }
    }

    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Missing => "missing",
            Self::Exchanged => "exchanged",
            Self::Unreadable => "unreadable",
            Self::NoDescriptors => "no_descriptors",
            Self::DiskFull => "disk_full",
        }
    }

    /// The machine lacks something: a new copy, too, is impossible until it is there again.
    pub fn is_shortage(self) -> bool {
        matches!(self, Self::NoDescriptors | Self::DiskFull)
    }
}

impl fmt::Display for CopyFailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "is damaged",
            Self::Missing => "is gone",
            Self::Exchanged => "was exchanged",
            Self::Unreadable => "cannot be read or written",
            Self::NoDescriptors => "cannot be opened: no file descriptor is free",
            Self::DiskFull => "has no room on the disk",
        })
    }
}

impl CopyFailure {
    pub(super) fn new(kind: CopyFailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::new(CopyFailureKind::Damaged, detail)
    }

    pub(super) fn of_io(error: &io::Error) -> Self {
        Self::new(CopyFailureKind::of_io(error), error.to_string())
    }

    /// None: the statement is at fault, not the file.
    pub(super) fn of_sqlite(error: &rusqlite::Error) -> Option<Self> {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::TooBig) => return None,
            Some(ErrorCode::DiskFull) => CopyFailureKind::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => CopyFailureKind::Damaged,
            _ => CopyFailureKind::Unreadable,
        };
        Some(Self::new(kind, error.to_string()))
    }
}
