//! Tenants that this process should serve and does not, and journals that the vault does not take: counted for the operator.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{Fleet, slot::Slot};
use crate::{
    tenant::{State, TenantId},
    vault::InstanceId,
};

impl Fleet {
    /// Tenants with a place here and without a session; those that a living process has are its own.
    pub fn unowned(&self) -> Vec<TenantId> {
        // Before the lock: whether a process lives, the kernel is asked.
        let living = self.living_ids();
        let slots = self.slots();
        let idle = slots.values().filter(|slot| slot.session().is_none());
        let unserved = idle.filter(|slot| !slot.is_served_by(|owner| living.contains(owner)));
        unserved.map(|slot| slot.tenant.clone()).collect()
    }

    /// The process that lives and has the tenant, and since when that is known here.
    pub fn served_elsewhere(&self, tenant: &TenantId) -> Option<(InstanceId, Timestamp)> {
        let slot = self.slot(tenant).filter(|slot| self.is_served_elsewhere(slot))?;
        Some((slot.owner()?, slot.status(self.started_at).since))
    }

    pub(super) fn is_served_elsewhere(&self, slot: &Slot) -> bool {
        slot.is_served_by(|owner| self.is_alive(owner))
    }

    pub(super) fn living_ids(&self) -> HashSet<InstanceId> {
        self.living_peers().into_iter().map(|(id, _)| id).collect()
    }

    /// Sessions that should be connected, and that two heartbeats have not brought back.
    pub fn offline(&self) -> usize {
        let (limit, now) = (self.heartbeat().interval * 2, self.env.clock.now());
        let slots = self.slots();
        let statuses = slots.values().filter_map(|slot| slot.session()).map(|session| session.status());
        let lasts = |since| now.duration_since(since).unsigned_abs() > limit;
        statuses.filter(|status| status.paired && status.state == State::Starting && lasts(status.since)).count()
    }

    /// Sessions whose changes the vault does not take now.
    pub fn stalled(&self) -> usize {
        self.open_journals().iter().filter(|journal| journal.outage()).count()
    }
}
