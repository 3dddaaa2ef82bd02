//! How much a reader takes of a source before it gives up.
//!
//! Owns [`ImportLimits`] and nothing else. A source is somebody else's file, and may be anything: each reader counts what it
//! reads, and ends with [`super::ImportError::TooLarge`] instead of filling the memory. The defaults are ten times and more
//! what the largest real stores need.

use std::time::{Duration, Instant};

/// The bounds of one import. Bytes are bytes of the source; values are JSON values, or rows.
#[derive(Debug, Clone, Copy)]
pub struct ImportLimits {
    /// One file, one JSON text within a text, one column of a row. A session with all its archived states has some 300 KiB.
    pub entry_bytes: usize,
    /// All that is read for one tenant.
    pub tenant_bytes: usize,
    /// Files of a folder, fields of a hash, rows of a table: for one tenant.
    pub entries: usize,
    /// JSON values of one tenant: a value costs up to 60 bytes of memory, however short its text is.
    pub values: usize,
    /// JSON values within each other. Real ones need twelve.
    pub depth: usize,
    /// One source with many tenants: an export of a database.
    pub source_bytes: u64,
    /// Tenants of one source.
    pub tenants: usize,
    /// For one tenant. Real ones take a second at most.
    pub tenant_time: Duration,
    /// When all reading has to be over, where somebody waits for it.
    pub until: Option<Instant>,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self {
            entry_bytes: 8 << 20,
            tenant_bytes: 128 << 20,
            entries: 200_000,
            values: 2_000_000,
            depth: 40,
            source_bytes: 8 << 30,
            tenants: 50_000,
            tenant_time: Duration::from_secs(120),
            until: None,
        }
    }
}

impl ImportLimits {
    /// Of a source that comes in a request, for one tenant, and lies on our disk meanwhile.
    pub fn of_upload() -> Self {
        Self {
            entries: 50_000,
            source_bytes: 512 << 20,
            tenants: 1_000,
            tenant_time: Duration::from_secs(60),
            ..Self::default()
        }
    }
}
