//! Why a source cannot be read, and why one entry of it is left out.
//!
//! Owns two errors. [`ImportError`] ends the import of a tenant, [`EntryError`] costs one key, one session, one mapping; the
//! copy goes on without it and tells. Neither ever quotes a value: only names, positions, sizes and kinds.

use std::io;

use super::{check::CopyFlaw, live::LiveError};

/// Why a tenant, or a whole source, cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the source cannot be read")]
    Io(#[from] io::Error),
    /// Where, not what.
    #[error("{what} is no JSON (line {line}, column {column})")]
    Json { what: &'static str, line: usize, column: usize },
    #[error("{what} is larger than an import takes ({limit} {unit})")]
    TooLarge { what: &'static str, limit: u64, unit: &'static str },
    #[error("the tenant takes longer to read than an import may take ({seconds} s)")]
    TooSlow { seconds: u64 },
    #[error("{what} is a link: only files that lie in the source themselves are read")]
    Link { what: &'static str },
    #[error("{0} is no file")]
    NotAFile(&'static str),
    #[error("this is not what the reader expects: {0}")]
    OtherFormat(&'static str),
    #[error("the credentials are missing")]
    NoCredentials,
    #[error("the credentials are damaged: {0}")]
    Credentials(#[source] EntryError),
    /// Without an account and a number of one's own nobody can log in.
    #[error("this device was never paired: {0} is missing")]
    NotPaired(&'static str),
    /// [`super::TenantCopy::verify`].
    #[error("the copy is not whole: {}", list(.0))]
    NotWhole(Vec<CopyFlaw>),
    /// One source has two copies of a tenant.
    #[error("the source has a newer copy of this tenant: that one counts")]
    OlderCopy,
    #[error(
        "the source has this tenant more than once, and does not say which copy is the newest: name one of them alone"
    )]
    TwiceInSource,
    #[error("the source has several tenants ({}): say which one, by its name or its number", .names.join(", "))]
    SeveralTenants {
        /// The first of them.
        names: Vec<String>,
    },
    #[error("the source has no tenant of this name or number")]
    NotInSource,
    #[error("the database cannot be read")]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Live(#[from] LiveError),
}

impl ImportError {
    /// Stable; for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "unreadable",
            Self::Json { .. } => "no_json",
            Self::TooLarge { .. } => "too_large",
            Self::TooSlow { .. } => "too_slow",
            Self::Link { .. } => "link",
            Self::NotAFile(_) => "no_file",
            Self::OtherFormat(_) => "other_format",
            Self::NoCredentials => "no_credentials",
            Self::Credentials(_) => "damaged_credentials",
            Self::NotPaired(_) => "never_paired",
            Self::NotWhole(_) => "not_whole",
            Self::OlderCopy => "older_copy",
            Self::TwiceInSource => "twice_in_source",
            Self::SeveralTenants { .. } => "several_tenants",
            Self::NotInSource => "not_in_source",
            Self::Sqlite(_) => "damaged_database",
            Self::Live(error) => error.code(),
        }
    }
}

fn list(flaws: &[CopyFlaw]) -> String {
    flaws.iter().map(CopyFlaw::to_string).collect::<Vec<_>>().join("; ")
}

/// Why one entry of a source is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("no JSON")]
    Json,
    #[error("larger than an entry may be")]
    TooLarge,
    #[error("a link, or no file")]
    NotAFile,
    #[error("cannot be read")]
    Unreadable,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not as it should be")]
    Invalid(&'static str),
    #[error("one of its fields is there twice")]
    FieldTwice,
    #[error("the halves of a key pair do not belong together")]
    Halves,
    /// It is kept: its own name is another's, or has a line break.
    #[error("is called {0:?} here")]
    Renamed(String),
    /// A send over such a record would neither fetch a bundle nor find a key.
    #[error("no open session")]
    NoOpenSession,
    #[error("made for another device than this one")]
    OtherDevice,
    #[error("names no account")]
    Address,
    #[error("no LID is known for it")]
    NoLid,
    /// The library's own check; it names fields, never values.
    #[error("{0}")]
    Protocol(String),
}
