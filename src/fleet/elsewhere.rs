//! Where another process takes what this one forwards to it.

use tracing::debug;

use super::Fleet;
use crate::{tenant::TenantId, vault::InstanceId};

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
        let owner = match self.living_owner(tenant).await {
            Ok(owner) => owner?,
            Err(error) => {
                debug!(%tenant, %error, "who has it cannot be read now");
                return None;
            }
        };
        if let Some(slot) = self.slot(tenant)
            && let Some(known) = slot.owner()
        {
            slot.correct_owner(&known, owner.clone());
        }
        self.listener(owner)
    }

    fn listener(&self, instance: InstanceId) -> Option<PeerListener> {
        let address = self.peers.listens_at(&instance).filter(|_| instance != self.env.instance)?;
        Some(PeerListener { instance, address })
    }
}
