//! How often something went wrong and was put right since the start, for whoever watches the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::session::End;

#[derive(Debug, Default)]
pub struct Incidents {
    moved: AtomicU64,
    copies_failed: AtomicU64,
    crashes: AtomicU64,
    vault_refusals: AtomicU64,
    records_mended: AtomicU64,
}

impl Incidents {
    pub(super) fn count(&self, end: &End) {
        let counter = match end {
            End::Moved => &self.moved,
            End::CopyFailed(_) => &self.copies_failed,
            End::Crashed => &self.crashes,
            End::VaultRefused(_) => &self.vault_refusals,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// A record of the directory was wrong, and was written anew.
    pub(super) fn count_mended(&self) {
        self.records_mended.fetch_add(1, Relaxed);
    }

    /// By name.
    pub fn all(&self) -> [(&'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        [
            ("moved", read(&self.moved)),
            ("copies_failed", read(&self.copies_failed)),
            ("crashes", read(&self.crashes)),
            ("vault_refusals", read(&self.vault_refusals)),
            ("records_mended", read(&self.records_mended)),
        ]
    }
}
