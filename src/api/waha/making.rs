//! The sessions that are being made: of several requests for one new name, one makes it, and the others hear that it is there.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use crate::{sync::lock, tenant::TenantId};

/// Of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct SessionsInMaking(Arc<Mutex<HashSet<TenantId>>>);

/// As long as it is there, nobody else makes the session.
pub struct SessionInMaking {
    all: SessionsInMaking,
    tenant: TenantId,
}

impl SessionsInMaking {
    /// `None`: somebody makes it.
    pub fn begin(&self, tenant: &TenantId) -> Option<SessionInMaking> {
        let is_first = lock(&self.0).insert(tenant.clone());
        is_first.then(|| SessionInMaking { all: self.clone(), tenant: tenant.clone() })
    }
}

impl Drop for SessionInMaking {
    fn drop(&mut self) {
        lock(&self.all.0).remove(&self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_made_by_one_at_a_time() {
        let making = SessionsInMaking::default();
        let [one, other] = ["one", "other"].map(|name| name.parse::<TenantId>().unwrap());
        let first = making.begin(&one).expect("nobody makes it");
        assert!(making.begin(&one).is_none() && making.begin(&other).is_some());
        drop(first);
        assert!(making.begin(&one).is_some());
    }
}
