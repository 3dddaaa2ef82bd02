//! Tenants of other processes whose state this one cannot open: it has not got the key, or the state is damaged. Its owner has everything
//! in hand, and serves it: so it is neither asked for such a tenant nor is the tenant taken, and the operator is told.
//!
//! A tenant is read before its owner is asked for it. A few of each owner are read at the start as well: processes whose lists of master
//! keys differ show that then, and not in the next deploy.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::Fleet;
use crate::{
    journal::OpenError,
    session::{self, Prepared},
    tenant::TenantId,
    vault::{InstanceId, VaultError},
};

/// Tenants of one owner that are read at the start.
const SAMPLES: usize = 2;

/// They are read within this time, or later.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// A tenant that another process serves, and that this one could not.
#[derive(Debug, Clone)]
pub struct IllegibleTenant {
    pub tenant: TenantId,
    pub reason: String,
    pub since: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct IllegibleTenants {
    known: Mutex<BTreeMap<TenantId, IllegibleTenant>>,
    /// A tenant of another process could be read once: so the keys are the right ones.
    has_read: AtomicBool,
}

/// What reading a tenant of another process came to.
#[derive(Debug)]
pub(super) enum Legibility {
    Read(Box<Prepared>),
    /// Another time, perhaps.
    Unread,
    /// Not by this process, as it is.
    Illegible,
}

/// Reads some tenants of each living owner, once. The port waits for it so long: a platform stops the old process when this one is healthy.
pub(super) async fn look(fleet: &Fleet, deadline: Instant) {
    let looking = async {
        for tenant in fleet.samples() {
            fleet.read_anothers(&tenant).await;
        }
    };
    let _ = timeout_at(deadline.min(Instant::now() + FIRST_LOOK), looking).await;
}

impl Fleet {
    /// Reads a tenant that another process has. Writes nothing.
    pub(super) async fn read_anothers(&self, tenant: &TenantId) -> Legibility {
        match session::prepare(&self.env, tenant, true).await {
            Ok(prepared) => {
                self.illegible.has_read.store(true, Ordering::Relaxed);
                self.illegible_book().remove(tenant);
                Legibility::Read(Box::new(prepared))
            }
            Err(OpenError::Vault(error @ VaultError::Unavailable(_))) => {
                debug!(%tenant, %error, "read when it is taken over");
                Legibility::Unread
            }
            Err(error) => {
                let reason = format!("this process cannot open it, and leaves it to its owner: {error}");
                let since = self.env.clock.now();
                let told = IllegibleTenant { tenant: tenant.clone(), reason: reason.clone(), since };
                let mut book = self.illegible_book();
                let since = book.get(tenant).map_or(since, |known| known.since);
                if book.insert(tenant.clone(), IllegibleTenant { since, ..told }).is_none() {
                    warn!(%tenant, reason, "a tenant of another process does not open here");
                }
                Legibility::Illegible
            }
        }
    }

    /// Others serve tenants, and none of those that were looked at opens here: this process would serve nobody of theirs.
    pub fn opens_nobodys(&self) -> bool {
        !self.illegible.has_read.load(Ordering::Relaxed) && !self.illegible_tenants().is_empty()
    }

    /// Those that another process serves now; by id.
    pub fn illegible_tenants(&self) -> Vec<IllegibleTenant> {
        let mut known: Vec<_> = self.illegible_book().values().cloned().collect();
        known.retain(|known| self.served_elsewhere(&known.tenant).is_some());
        known
    }

    fn illegible_book(&self) -> std::sync::MutexGuard<'_, BTreeMap<TenantId, IllegibleTenant>> {
        self.illegible.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn samples(&self) -> Vec<TenantId> {
        let mut of_owner: HashMap<InstanceId, usize> = HashMap::new();
        let slots: Vec<_> = self.slots().values().cloned().collect();
        let mut is_sample = |owner: InstanceId| {
            let count = of_owner.entry(owner).or_default();
            *count += 1;
            *count <= SAMPLES
        };
        let elsewhere = slots.iter().filter(|slot| self.is_served_elsewhere(slot));
        let samples = elsewhere.filter(|slot| slot.was_paired() && slot.owner().is_some_and(&mut is_sample));
        samples.map(|slot| slot.tenant.clone()).collect()
    }
}
