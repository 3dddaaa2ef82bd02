//! How much is kept, of each tenant and of all, counted when something is kept: an hourly look is too late for who writes fast.
//!
//! Pure but for a lock. The counts begin with what a look found, and each look sets them right again: other processes may keep files in
//! the same place.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use crate::{sync::lock, tenant::TenantId};

#[derive(Debug, Default)]
pub struct Quota {
    used: Mutex<HashMap<TenantId, MediaUsage>>,
}

/// Bytes of a tenant.
#[derive(Debug, Default, Clone, Copy)]
struct MediaUsage {
    kept: u64,
    /// On their way to be kept.
    coming: u64,
}

/// The tenant that must make room, and down to how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    pub tenant: TenantId,
    /// So many of its bytes are on their way: no look finds them.
    pub coming: u64,
    pub down_to: u64,
}

impl MediaUsage {
    fn sum(self) -> u64 {
        self.kept + self.coming
    }
}

impl Quota {
    fn used(&self) -> MutexGuard<'_, HashMap<TenantId, MediaUsage>> {
        lock(&self.used)
    }

    /// Notes the bytes that a look found of a tenant.
    pub fn set(&self, tenant: &TenantId, bytes: u64) {
        self.used().entry(tenant.clone()).or_default().kept = bytes;
    }

    /// Bytes that all tenants keep.
    pub fn kept(&self) -> u64 {
        self.used().values().map(|usage| usage.kept).sum()
    }

    /// Counted before it is kept: what several keep at the same time is no more either.
    pub fn begin(&self, tenant: &TenantId, bytes: u64) {
        self.used().entry(tenant.clone()).or_default().coming += bytes;
    }

    /// The way of what `begin` has counted is over.
    pub fn end(&self, tenant: &TenantId, bytes: u64, is_kept: bool) {
        if let Some(usage) = self.used().get_mut(tenant) {
            usage.coming = usage.coming.saturating_sub(bytes);
            usage.kept += if is_kept { bytes } else { 0 };
        }
    }

    /// Decides whose oldest files must go: those of a tenant that has too many; else those of the tenant that has
    /// most, so that one tenant's flood costs the others nothing. Frees a little more than needed, so that not every
    /// file makes room for itself.
    pub fn excess(&self, tenant: &TenantId, each: u64, all: u64) -> Option<Excess> {
        let used = self.used();
        let room = |limit: u64| limit - limit / 16;
        if let Some(own) = used.get(tenant).filter(|own| own.sum() > each) {
            return Some(Excess { tenant: tenant.clone(), coming: own.coming, down_to: room(each) });
        }
        let sum: u64 = used.values().map(|usage| usage.sum()).sum();
        let (most, own) = used.iter().max_by_key(|(_, usage)| usage.sum()).filter(|_| sum > all)?;
        let down_to = own.sum().saturating_sub(sum - room(all));
        Some(Excess { tenant: most.clone(), coming: own.coming, down_to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_too_many_makes_room() {
        let quota = Quota::default();
        let (small, large): (TenantId, TenantId) = ("small".parse().unwrap(), "large".parse().unwrap());
        quota.begin(&small, 100);
        quota.end(&small, 100, true);
        quota.set(&large, 700);
        assert_eq!(quota.excess(&small, 800, 1600), None);
        quota.begin(&large, 200);
        assert_eq!(quota.excess(&large, 800, 1600), Some(Excess { tenant: large.clone(), coming: 200, down_to: 750 }));
        // One failed, and is not there; one is.
        quota.end(&large, 150, false);
        quota.end(&large, 50, true);
        assert_eq!(quota.excess(&large, 800, 1600), None);
        // All together have too many: the one with the most pays, whoever asks.
        assert_eq!(quota.excess(&small, 800, 800), Some(Excess { tenant: large, coming: 0, down_to: 650 }));
    }
}
