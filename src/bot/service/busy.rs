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

    /// How many are stuck.
    pub fn stuck(&self, now: Instant) -> u64 {
        lock(&self.0).values().filter(|since| now.saturating_duration_since(**since) > STUCK_AFTER).count() as u64
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
        assert_eq!((desks.stuck(now), desks.stuck(later)), (0, 1));
        desks.rests(&one);
        assert_eq!(desks.stuck(later), 0);
    }
}
