//! Which desks are at work, and since when: one that does not come to an end answers nobody, and the operator should see it.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::{sync::lock, tenant::TenantId};

/// What a desk does at a time takes milliseconds, and waits for nothing: one that takes this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct BusyDesks(Mutex<BTreeMap<TenantId, Instant>>);

impl BusyDesks {
    pub fn begins(&self, tenant: &TenantId) {
        lock(&self.0).insert(tenant.clone(), Instant::now());
    }

    pub fn rests(&self, tenant: &TenantId) {
        lock(&self.0).remove(tenant);
    }

    /// Those that are stuck.
    pub fn stuck(&self, now: Instant) -> Vec<TenantId> {
        let desks = lock(&self.0);
        let stuck = desks.iter().filter(|(_, since)| now.saturating_duration_since(**since) > STUCK_AFTER);
        stuck.map(|(tenant, _)| tenant.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desk_that_works_on_and_on_is_stuck() {
        let desks = BusyDesks::default();
        let [one, other]: [TenantId; 2] = ["trattoria", "osteria"].map(|id| id.parse().unwrap());
        desks.begins(&one);
        desks.begins(&other);
        desks.rests(&other);
        let (now, later) = (Instant::now(), Instant::now() + STUCK_AFTER + Duration::from_secs(1));
        assert_eq!((desks.stuck(now), desks.stuck(later)), (Vec::new(), vec![one.clone()]));
        desks.rests(&one);
        assert!(desks.stuck(later).is_empty());
    }
}
