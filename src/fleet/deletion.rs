//! Unlinks a tenant, and takes it out of the directory.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tracing::info;

use super::{Fleet, FleetError, takeback};
use crate::{
    crash,
    session::End,
    store::StoreError,
    tenant::TenantId,
    vault::{TenantInfo, VaultError},
};

/// How long somebody waits for a deletion: for WhatsApp and the vault. It goes on after that.
const DELETION_TIMEOUT: Duration = Duration::from_secs(60);

impl Fleet {
    /// Unlinks the tenant at WhatsApp and wipes its credentials. A tenant that nobody knows has nothing to unlink; one that could
    /// not be opened has, so that it is an error.
    pub async fn disconnect(self: &Arc<Self>, tenant: &TenantId) -> Result<(), FleetError> {
        if self.slot(tenant).is_none() && !self.find_linked(tenant).await.map_err(|error| self.unreadable(&error))? {
            return Ok(());
        }
        let session = match self.await_or_reclaim(tenant).await {
            // The process that had it has deleted it.
            Err(FleetError::NotOpen) => return Ok(()),
            session => session?,
        };
        session.unlink().await.map_err(|error| match (session.end(), error) {
            (Some(End::Moved), _) => FleetError::Moved,
            (_, StoreError::Unconfirmed) => FleetError::Unconfirmed,
            (_, error) => FleetError::Failed(error.to_string()),
        })
    }

    /// Makes a slot for a tenant that was paired at another process after this one started. False: nobody ever paired
    /// it.
    async fn find_linked(self: &Arc<Self>, tenant: &TenantId) -> Result<bool, VaultError> {
        let record = self.env.vault.tenant(tenant).await?;
        if record.as_ref().is_some_and(|record| record.deleted_at.is_some()) {
            return Ok(false);
        }
        let living = self.living_owner(tenant).await?;
        let is_living = living.is_some();
        if is_living {
            self.slot_of(tenant).set_elsewhere(living, self.env.clock.now());
        } else if record.is_some_and(|record| record.whatsapp_connected)
            || takeback::owner(self, tenant).await?.is_some()
        {
            // Its process has died.
            drop(self.spawn_open(tenant).await);
        }
        Ok(self.slot(tenant).is_some())
    }

    /// Unlinks the tenant and takes it out of the directory: there is no such session until somebody makes it anew, for whatever
    /// account. What was said stays until it is too old, closed to all accounts but the former. Goes on when nobody waits any more.
    pub async fn delete(self: &Arc<Self>, tenant: &TenantId) -> Result<(), FleetError> {
        let (fleet, tenant) = (self.clone(), tenant.clone());
        let deleting = self.finish(async move {
            fleet.disconnect(&tenant).await?;
            if let Some(session) = fleet.session(&tenant) {
                session.disown().await.map_err(|error| match error {
                    StoreError::Unconfirmed => FleetError::Unconfirmed,
                    error => FleetError::Failed(error.to_string()),
                })?;
            }
            fleet.forget(&tenant).await
        });
        timeout(DELETION_TIMEOUT, deleting).await.unwrap_or(Err(FleetError::Unconfirmed))
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), FleetError> {
        // The next tenant of this id is somebody else.
        let deleted = TenantInfo {
            name: Some(String::new()),
            last_error: Some(None),
            last_error_at: Some(None),
            deleted_at: Some(Some(self.env.clock.now())),
            ..TenantInfo::default()
        };
        self.env.vault.notice(tenant, &deleted).await.map_err(|error| self.unreadable(&error))?;
        self.records.invalidate();
        let Some(slot) = self.slot(tenant) else { return Ok(()) };
        let _opening = slot.opening.lock().await;
        // Closed before its place is free: the next of this name has its working copy in the same folder. However long the vault takes for
        // the last changes: an end before that would leave a session that nobody knows.
        let session = slot.delete();
        crash::pause("deleting").await;
        if let Some(session) = session {
            let reason = "the session was deleted";
            session.close_for(reason).await;
        }
        let mut slots = self.slots();
        if slots.get(tenant).is_some_and(|place| Arc::ptr_eq(place, &slot)) {
            slots.remove(tenant);
        }
        drop(slots);
        info!(event = "session_deleted", %tenant, "the session is deleted");
        Ok(())
    }
}
