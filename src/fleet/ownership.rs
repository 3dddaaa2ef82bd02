//! Tenants that this process should serve and does not, and journals that the vault does not take: counted for the operator.

use super::Fleet;
use crate::tenant::TenantId;

impl Fleet {
    /// Tenants with a place here and without a session; those that a living process has are its own.
    pub fn unowned(&self) -> Vec<TenantId> {
        let slots = self.slots();
        let served_elsewhere = |owner: Option<_>| owner.is_some_and(|owner| self.is_alive(&owner));
        let idle = slots.values().filter(|slot| slot.session().is_none());
        let unserved = idle.filter(|slot| !(slot.is_moved() && served_elsewhere(slot.owner())));
        unserved.map(|slot| slot.tenant.clone()).collect()
    }

    /// Sessions whose changes the vault does not take now.
    pub fn stalled(&self) -> usize {
        self.open_journals().iter().filter(|journal| journal.outage()).count()
    }
}
