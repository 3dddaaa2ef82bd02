//! The places of requests that are forwarded at the same time, in all and of one tenant: a tenant whose process is slow takes no other's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::{sync::lock, tenant::TenantId};

#[derive(Debug)]
pub struct ForwardTurns {
    taken: Mutex<(usize, HashMap<TenantId, usize>)>,
    all: usize,
    each: usize,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub struct ForwardTurn {
    turns: Arc<ForwardTurns>,
    tenant: TenantId,
}

impl ForwardTurns {
    pub fn new(all: usize, each: usize) -> Self {
        Self { taken: Mutex::default(), all, each }
    }

    /// `None`: there are too many already.
    pub fn take(self: &Arc<Self>, tenant: &TenantId) -> Option<ForwardTurn> {
        self.take_of(tenant, self.each)
    }

    /// For what only reads. An answer takes as long as its client likes, so a quarter of the tenant's turns is kept for its sends.
    pub fn take_to_read(self: &Arc<Self>, tenant: &TenantId) -> Option<ForwardTurn> {
        self.take_of(tenant, self.each - self.each / 4)
    }

    fn take_of(self: &Arc<Self>, tenant: &TenantId, each: usize) -> Option<ForwardTurn> {
        let mut taken = lock(&self.taken);
        let (sum, by_tenant) = &mut *taken;
        if *sum >= self.all || by_tenant.get(tenant).is_some_and(|own| *own >= each) {
            return None;
        }
        *sum += 1;
        *by_tenant.entry(tenant.clone()).or_insert(0) += 1;
        Some(ForwardTurn { turns: self.clone(), tenant: tenant.clone() })
    }
}

impl Drop for ForwardTurn {
    fn drop(&mut self) {
        let mut taken = lock(&self.turns.taken);
        let (sum, by_tenant) = &mut *taken;
        *sum -= 1;
        if let Some(own) = by_tenant.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_does_not_take_all_turns() {
        let turns = Arc::new(ForwardTurns::new(3, 2));
        let [slow, other]: [TenantId; 2] = ["slow", "other"].map(|name| name.parse().unwrap());
        let mut first: Vec<_> = (0..2).filter_map(|_| turns.take(&slow)).collect();
        assert!(first.len() == 2 && turns.take(&slow).is_none());
        let second = turns.take(&other);
        assert!(second.is_some() && turns.take(&other).is_none(), "all are taken");
        first.pop();
        assert!(turns.take(&slow).is_some());
        drop((first, second));
        assert_eq!(*turns.taken.lock().unwrap(), (0, HashMap::new()));
    }

    #[test]
    fn slow_downloads_of_a_tenant_leave_room_for_its_sends() {
        let turns = Arc::new(ForwardTurns::new(100, 4));
        let tenant: TenantId = "slow".parse().unwrap();
        let downloads: Vec<_> = (0..9).filter_map(|_| turns.take_to_read(&tenant)).collect();
        assert_eq!(downloads.len(), 3);
        let send = turns.take(&tenant);
        assert!(send.is_some() && turns.take(&tenant).is_none(), "no more than four in all");
        drop((downloads, send));
        assert!(Arc::new(ForwardTurns::new(1, 1)).take_to_read(&tenant).is_some());
    }
}
