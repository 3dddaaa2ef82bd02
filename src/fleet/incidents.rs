//! Counts repaired faults since the start, for `/health`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use futures::FutureExt as _;

use crate::{
    journal::{Journal, JournalClosedError},
    session::End,
};

#[derive(Debug, Default)]
pub(super) struct Incidents {
    moved: AtomicU64,
    copies_failed: AtomicU64,
    crashes: AtomicU64,
    vault_refusals: AtomicU64,
    records_mended: AtomicU64,
    states_lost: AtomicU64,
    snapshots_passed_over: AtomicU64,
    /// Counts of closed sessions; the journals of open ones have their own.
    vault_losses: AtomicU64,
    refused_snapshots: AtomicU64,
    handovers_failed: AtomicU64,
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

    /// A tenant was not given from one process to another as it should be.
    pub(super) fn count_failed_handover(&self) {
        self.handovers_failed.fetch_add(1, Relaxed);
    }

    /// A session was opened: what its journal had to do without.
    pub(super) fn count_opened(&self, journal: &Journal) {
        self.snapshots_passed_over.fetch_add(journal.passed_over().map_or(0, |_| 1), Relaxed);
    }

    /// A session that ended by itself is closed: what its journal has counted, and how it ended.
    pub(super) fn count_closed(&self, journal: &Journal) {
        self.vault_losses.fetch_add(journal.losses(), Relaxed);
        self.refused_snapshots.fetch_add(journal.refused_snapshots(), Relaxed);
        if let Some(JournalClosedError::StateLost(_)) = journal.closed().now_or_never() {
            self.states_lost.fetch_add(1, Relaxed);
        }
    }

    /// By name. `open`: the journals of the sessions that are not closed; `renewals`: see [`crate::vault::Vault::renewals`].
    pub(super) fn all(&self, open: &[Journal], renewals: u64) -> BTreeMap<&'static str, u64> {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let sum = |count: fn(&Journal) -> u64| open.iter().map(count).sum::<u64>();
        BTreeMap::from([
            ("moved", read(&self.moved)),
            ("copies_failed", read(&self.copies_failed)),
            ("crashes", read(&self.crashes)),
            ("vault_refusals", read(&self.vault_refusals)),
            ("records_mended", read(&self.records_mended)),
            ("handovers_failed", read(&self.handovers_failed)),
            ("states_lost", read(&self.states_lost)),
            ("snapshots_passed_over", read(&self.snapshots_passed_over)),
            ("vault_losses", read(&self.vault_losses) + sum(Journal::losses) + renewals),
            ("refused_snapshots", read(&self.refused_snapshots) + sum(Journal::refused_snapshots)),
        ])
    }
}
