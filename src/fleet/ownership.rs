//! Tenants that are connected, as the directory has it, and that no living process serves: counted for the operator. A process knows its
//! own; who has the others is looked up in the vault, seldom, since that costs reads: with the look at the directory, and when another
//! process is gone.

use std::{collections::BTreeSet, sync::PoisonError};

use super::{Fleet, takeback};
use crate::{
    tenant::{TenantId, TenantRecord},
    vault::VaultError,
};

/// `connected`: what the directory has as connected.
pub(super) async fn look(
    fleet: &Fleet,
    connected: Vec<(String, Result<TenantRecord, VaultError>)>,
) -> Result<(), VaultError> {
    let mut nobodys = BTreeSet::new();
    for tenant in connected.iter().filter_map(|(name, _)| name.parse::<TenantId>().ok()) {
        if fleet.slot(&tenant).is_some() {
            continue;
        }
        let owner = takeback::owner(fleet, &tenant).await?;
        if !owner.is_some_and(|owner| fleet.is_alive(&owner)) {
            nobodys.insert(tenant);
        }
    }
    *fleet.nobodys.lock().unwrap_or_else(PoisonError::into_inner) = nobodys;
    Ok(())
}

impl Fleet {
    /// Those that this process should serve and does not, and those that nobody has.
    pub fn unowned(&self) -> Vec<TenantId> {
        let slots = self.slots();
        let served_elsewhere = |owner: Option<_>| owner.is_some_and(|owner| self.is_alive(&owner));
        let idle = slots.values().filter(|slot| slot.session().is_none());
        let unserved = idle.filter(|slot| !(slot.is_moved() && served_elsewhere(slot.owner())));
        let mut unowned: BTreeSet<_> = unserved.map(|slot| slot.tenant.clone()).collect();
        let nobodys = self.nobodys.lock().unwrap_or_else(PoisonError::into_inner);
        unowned.extend(nobodys.iter().filter(|tenant| !slots.contains_key(*tenant)).cloned());
        unowned.into_iter().collect()
    }

    /// Sessions whose changes the vault does not take now.
    pub fn stalled(&self) -> usize {
        self.open_journals().iter().filter(|journal| journal.outage()).count()
    }
}
