//! How much is kept, of each tenant and of all, counted when something is kept: an hourly look is too late for who writes fast.
//!
//! Pure but for a lock. The counts begin with what a look found, and each look sets them right again: other processes may keep files in
//! the same place.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::tenant::TenantId;

/// Bytes.
#[derive(Debug, Default)]
pub struct Quota {
    used: Mutex<HashMap<TenantId, u64>>,
}

/// Who must make room, and down to how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    pub tenant: TenantId,
    pub used: u64,
    pub down_to: u64,
}

impl Quota {
    fn used(&self) -> MutexGuard<'_, HashMap<TenantId, u64>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a look found of a tenant.
    pub fn set(&self, tenant: &TenantId, bytes: u64) {
        self.used().insert(tenant.clone(), bytes);
    }

    pub fn add(&self, tenant: &TenantId, bytes: u64) {
        *self.used().entry(tenant.clone()).or_default() += bytes;
    }

    pub fn take(&self, tenant: &TenantId, bytes: u64) {
        if let Some(used) = self.used().get_mut(tenant) {
            *used = used.saturating_sub(bytes);
        }
    }

    /// Whose oldest files must go: a tenant's own that has too many; else those of the one that has most, so that one tenant's flood
    /// costs the others nothing. A little more than needed, so that not every file makes room for itself.
    pub fn excess(&self, tenant: &TenantId, each: u64, all: u64) -> Option<Excess> {
        let used = self.used();
        let room = |limit: u64| limit - limit / 16;
        if let Some(own) = used.get(tenant).filter(|own| **own > each) {
            return Some(Excess { tenant: tenant.clone(), used: *own, down_to: room(each) });
        }
        let sum: u64 = used.values().sum();
        let (most, own) = used.iter().max_by_key(|(_, used)| **used).filter(|_| sum > all)?;
        Some(Excess { tenant: most.clone(), used: *own, down_to: own.saturating_sub(sum - room(all)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_too_many_makes_room() {
        let quota = Quota::default();
        let (small, large): (TenantId, TenantId) = ("small".parse().unwrap(), "large".parse().unwrap());
        quota.add(&small, 100);
        quota.set(&large, 700);
        assert_eq!(quota.excess(&small, 800, 1600), None);
        quota.add(&large, 200);
        assert_eq!(quota.excess(&large, 800, 1600), Some(Excess { tenant: large.clone(), used: 900, down_to: 750 }));
        quota.take(&large, 150);
        assert_eq!(quota.excess(&large, 800, 1600), None);
        // All together have too many: the one with the most pays, whoever asks.
        assert_eq!(quota.excess(&small, 800, 800), Some(Excess { tenant: large, used: 750, down_to: 650 }));
    }
}
