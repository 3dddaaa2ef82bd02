//! A tenant that comes from another gateway while this process serves the others.
//!
//! The import writes the tenant's journal itself. So a session that this process has open for the tenant, unpaired, is closed first, and
//! nobody opens another one until the import is over. Promises: who is refused finds everything as it was; a linked session is never
//! closed; a tenant that a living process has is left to it.

use std::sync::Arc;

use tokio::time::timeout;
use tracing::info;

use super::{Fleet, FleetError, opening::FLUSH_LIMIT, slot::Slot};
use crate::{
    import::{ImportWriter, Occupancy, RefusedImport, SettledTenant},
    tenant::TenantId,
    vault::VaultError,
};

/// Why a tenant did not come in.
#[derive(Debug, thiserror::Error)]
pub enum MoveInError {
    #[error(transparent)]
    Import(#[from] RefusedImport),
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

impl From<VaultError> for MoveInError {
    fn from(error: VaultError) -> Self {
        RefusedImport::from(error).into()
    }
}

impl Fleet {
    /// Whether the copy may go there. Changes nothing.
    pub async fn inspect_move_in(&self, tenant: &TenantId, settled: &SettledTenant) -> Result<Occupancy, MoveInError> {
        let found = self.import_writer().inspect(tenant, settled).await?;
        if found == Occupancy::Free {
            self.refuse_elsewhere(tenant).await?;
        }
        Ok(found)
    }

    /// Writes the copy, and opens its session; connects it unless it stays away. Goes on when nobody waits any more.
    pub async fn move_in(
        self: &Arc<Self>,
        tenant: &TenantId,
        settled: SettledTenant,
    ) -> Result<Occupancy, MoveInError> {
        if self.is_draining() || self.is_leaving() {
            return Err(FleetError::Draining.into());
        }
        let (fleet, tenant) = (self.clone(), tenant.clone());
        let moving = self.tasks.spawn(async move { fleet.bring(&tenant, &settled).await });
        moving.await.unwrap_or(Err(FleetError::Restoring.into()))
    }

    async fn bring(self: &Arc<Self>, tenant: &TenantId, settled: &SettledTenant) -> Result<Occupancy, MoveInError> {
        if self.inspect_move_in(tenant, settled).await? == Occupancy::SameDevice {
            return Ok(Occupancy::SameDevice);
        }
        let had_place = self.slot(tenant).is_some();
        let slot = self.slot_of(tenant);
        let opening = slot.opening.lock().await;
        if !self.has(&slot) {
            return Err(FleetError::Restoring.into());
        }
        let set_aside = timeout(FLUSH_LIMIT, self.set_aside(&slot)).await;
        let was_open = match set_aside.unwrap_or(Err(FleetError::VaultDown.into())) {
            Err(MoveInError::Import(RefusedImport::Linked)) => {
                // Somebody has come in since the look: perhaps this very device, by the same request before this one.
                let found = self.import_writer().inspect(tenant, settled).await?;
                return if found == Occupancy::SameDevice { Ok(found) } else { Err(RefusedImport::Linked.into()) };
            }
            was_open => was_open?,
        };
        let written = self.import_writer().write_inspected(tenant, settled).await;
        let is_in = written.is_ok();
        if !is_in && !had_place {
            self.slots().remove(tenant);
        }
        drop(opening);
        self.records.invalidate();
        if is_in {
            info!(event = "tenant_moved_in", %tenant, "the tenant has come from another gateway");
            slot.expect_state();
        }
        // Without asking the directory first: a vault that failed a moment ago fails that too, and whom this cannot open is opened when the
        // vault is back.
        let is_open = (is_in || was_open) && self.open(&slot, is_in).await.is_ok();
        if is_open && is_in && !settled.stays_away {
            // Whether WhatsApp takes the device, the session's state says.
            drop(self.connect(tenant).await);
        }
        Ok(written?)
    }

    /// Closes the tenant's session. False: there was none.
    async fn set_aside(&self, slot: &Slot) -> Result<bool, MoveInError> {
        let Some(session) = slot.unclosed() else { return Ok(false) };
        if session.end().is_some() {
            self.close_ended(slot).await;
            return Ok(true);
        }
        if session.status().paired {
            return Err(RefusedImport::Linked.into());
        }
        session.close_for("an import takes its place").await;
        self.incidents.count_closed(session.store().journal());
        slot.vacate();
        Ok(true)
    }

    /// A takeover would end the session that a living process has.
    async fn refuse_elsewhere(&self, tenant: &TenantId) -> Result<(), MoveInError> {
        match self.living_owner(tenant).await? {
            Some(_) => Err(FleetError::Moved.into()),
            None => Ok(()),
        }
    }

    pub(super) fn import_writer(&self) -> ImportWriter {
        let env = &self.env;
        ImportWriter {
            vault: env.vault.clone(),
            keyring: env.keyring.clone(),
            instance: env.instance.clone(),
            clock: env.clock.clone(),
            policy: env.policy.clone(),
            unsearchable: self.unsearchable.clone(),
        }
    }
}
