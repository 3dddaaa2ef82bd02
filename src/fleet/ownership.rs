//! Tenants that this process should serve and does not, and journals that the vault does not take: counted for the operator.

use jiff::Timestamp;

use super::{Fleet, slot::Slot};
use crate::{tenant::TenantId, vault::InstanceId};

impl Fleet {
    /// Tenants with a place here and without a session; those that a living process has are its own.
    pub fn unowned(&self) -> Vec<TenantId> {
        let slots = self.slots();
        let idle = slots.values().filter(|slot| slot.session().is_none());
        let unserved = idle.filter(|slot| !self.is_served_elsewhere(slot));
        unserved.map(|slot| slot.tenant.clone()).collect()
    }

    /// The process that lives and has the tenant, and since when that is known here.
    pub fn served_elsewhere(&self, tenant: &TenantId) -> Option<(InstanceId, Timestamp)> {
        let slot = self.slot(tenant).filter(|slot| self.is_served_elsewhere(slot))?;
        Some((slot.owner()?, slot.status(self.started_at).since))
    }

    pub(super) fn is_served_elsewhere(&self, slot: &Slot) -> bool {
        slot.session().is_none() && slot.is_moved() && slot.owner().is_some_and(|owner| self.is_alive(&owner))
    }

    /// Sessions whose changes the vault does not take now.
    pub fn stalled(&self) -> usize {
        self.open_journals().iter().filter(|journal| journal.outage()).count()
    }
}
