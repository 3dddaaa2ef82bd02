//! Where another process takes what this one forwards to it.

use tracing::debug;

use super::{Fleet, FleetError};
use crate::{
    tenant::TenantId,
    vault::{InstanceId, VaultError},
};

/// A process that lives, and its address for other processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerListener {
    pub instance: InstanceId,
    /// `host:port`
    pub address: String,
}

impl Fleet {
    /// Some other process takes what is forwarded, if it lives.
    pub fn has_peer_listeners(&self) -> bool {
        self.peers.has_listeners()
    }

    /// The process that has the tenant and takes what is forwarded, as far as is known here. Asks nobody.
    pub fn known_listener(&self, tenant: &TenantId) -> Option<PeerListener> {
        // Most requests are for one's own; and one that is being taken over is waited for here.
        let slot = self.slot(tenant).filter(|slot| slot.session().is_none() && slot.giver().is_none())?;
        let owner = slot.owner().filter(|_| self.is_served_elsewhere(&slot))?;
        self.listener(owner)
    }

    /// The same by the vault: for one that is not known here, or has given the tenant away.
    pub async fn find_listener(&self, tenant: &TenantId) -> Option<PeerListener> {
        self.read_listener(tenant).await.unwrap_or_else(|error| {
            debug!(%tenant, %error, "who has it cannot be read now");
            None
        })
    }

    /// The same for whoever asks for it by name. Only a tenant that has no place here is looked for in the vault: another process may
    /// have made it after this one began.
    pub async fn locate_listener(&self, tenant: &TenantId) -> Result<Option<PeerListener>, FleetError> {
        if self.slot(tenant).is_some() {
            return Ok(self.known_listener(tenant));
        }
        match self.read_listener(tenant).await {
            Ok(listener) => Ok(listener),
            Err(VaultError::Unavailable(_)) => Err(FleetError::VaultDown),
            Err(error) => {
                debug!(%tenant, %error, "who has it cannot be read");
                Ok(None)
            }
        }
    }

    /// Gives the tenant a place here, if it had none: the next request costs no read.
    async fn read_listener(&self, tenant: &TenantId) -> Result<Option<PeerListener>, VaultError> {
        let mut is_connected = false;
        if self.slot(tenant).is_none() {
            // One read, for those that nobody has made.
            let record = self.env.vault.tenant(tenant).await?;
            let Some(record) = record.filter(|record| record.deleted_at.is_none()) else { return Ok(None) };
            is_connected = record.whatsapp_connected;
        }
        let Some(owner) = self.living_owner(tenant).await? else { return Ok(None) };
        let slot = self.slot_of(tenant);
        if is_connected {
            slot.expect_state();
        }
        slot.learn_owner(owner.clone(), self.env.clock.now());
        Ok(self.listener(owner))
    }

    fn listener(&self, instance: InstanceId) -> Option<PeerListener> {
        let address = self.peers.listens_at(&instance).filter(|_| instance != self.env.instance)?;
        Some(PeerListener { instance, address })
    }
}
