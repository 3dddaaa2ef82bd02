//! Measures the questions to the vault.

use tokio::time::Instant;

use super::{
    label::{VaultOperation, VaultOutcome},
    meters,
};

/// Measures one question to the vault; one that is dropped before its answer counts as [`VaultOutcome::Abandoned`].
pub struct VaultTimer {
    operation: VaultOperation,
    began: Instant,
    outcome: VaultOutcome,
}

impl VaultTimer {
    pub fn begin(operation: VaultOperation) -> Self {
        Self { operation, began: Instant::now(), outcome: VaultOutcome::Abandoned }
    }

    pub fn end(mut self, outcome: VaultOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for VaultTimer {
    fn drop(&mut self) {
        if let Some(meters) = meters() {
            meters.vault_operations.at(self.operation).at(self.outcome).increment(1);
            meters.vault_seconds.at(self.operation).record(self.began.elapsed());
        }
    }
}
