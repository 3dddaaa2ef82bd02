//! Tenants of other processes whose state this one cannot open: it has not got the key, or the state is damaged. Its owner has everything
//! in hand, and serves it: so it is neither asked for such a tenant nor is the tenant taken, and the operator is told.
//!
//! A tenant is read before its owner is asked for it. A few of each owner are read at the start as well: processes whose lists of master
//! keys differ show that then, and not in the next deploy. Only a missing key makes this process useless: damaged tenants are few, and are
//! as damaged in every other process.
//!
//! A process without the key opens none of the others' tenants, and what it has sealed itself proves nothing. So it is judged by theirs,
//! and by its own only where those are more: a stranger's one tenant says nothing against a process that serves a hundred.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::Fleet;
use crate::{
    backoff::Backoff,
    journal::OpenError,
    session::{self, Prepared},
    sync::lock,
    tenant::TenantId,
    vault::{InstanceId, VaultError},
};

/// Tenants of one owner that are read at the start.
const SAMPLES: usize = 2;

/// They are read within this time, or later.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// While none of them opens they are read again, more and more seldom: the vault may have been mended, or its owner have another key.
const NEXT_LOOKS: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));

/// A tenant that another process serves, and that this one could not.
#[derive(Debug, Clone)]
pub struct IllegibleTenant {
    pub tenant: TenantId,
    pub reason: String,
    pub since: Timestamp,
    /// It is well, and this process has not got its key.
    pub lacks_key: bool,
}

#[derive(Debug, Default)]
pub(super) struct IllegibleTenants {
    book: Mutex<LegibilityBook>,
}

#[derive(Debug, Default)]
struct LegibilityBook {
    illegible: BTreeMap<TenantId, IllegibleTenant>,
    /// Those that another process had sealed, or this one before it began, and that opened when that was tried last.
    legible: BTreeSet<TenantId>,
}

impl IllegibleTenants {
    /// This process could open the tenant, of which there was something to open that another one had sealed.
    pub fn note_opened(&self, tenant: &TenantId) {
        let mut book = self.book();
        book.illegible.remove(tenant);
        book.legible.insert(tenant.clone());
    }

    /// False: it was known.
    fn add(&self, found: IllegibleTenant) -> bool {
        let mut book = self.book();
        book.legible.remove(&found.tenant);
        let since = book.illegible.get(&found.tenant).map_or(found.since, |known| known.since);
        book.illegible.insert(found.tenant.clone(), IllegibleTenant { since, ..found }).is_none()
    }

    /// Those that another process serves now; by id.
    fn of_others(&self, is_elsewhere: impl Fn(&TenantId) -> bool) -> Vec<IllegibleTenant> {
        // Copied first: the other question has locks of its own.
        let mut known: Vec<_> = self.book().illegible.values().cloned().collect();
        known.retain(|known| is_elsewhere(&known.tenant));
        known
    }

    /// The key was missing for some of the others' tenants, none of theirs opened, and no more opened here than the others have
    /// (`elsewhere`).
    fn has_no_key(&self, is_elsewhere: impl Fn(&TenantId) -> bool, elsewhere: impl FnOnce() -> usize) -> bool {
        if !self.of_others(&is_elsewhere).iter().any(|found| found.lacks_key) {
            return false;
        }
        let legible: Vec<_> = self.book().legible.iter().cloned().collect();
        let theirs = legible.iter().filter(|tenant| is_elsewhere(tenant)).count();
        theirs == 0 && legible.len() <= elsewhere()
    }

    /// It would be the same at each look.
    fn is_damaged(&self, tenant: &TenantId) -> bool {
        self.book().illegible.get(tenant).is_some_and(|found| !found.lacks_key)
    }

    fn book(&self) -> MutexGuard<'_, LegibilityBook> {
        lock(&self.book)
    }
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

/// Reads some tenants of each living owner. The port waits for it so long: a platform stops the old process when this one is healthy.
pub(super) async fn look(fleet: &Fleet, deadline: Instant) {
    let _ = timeout_at(deadline.min(Instant::now() + FIRST_LOOK), fleet.read_samples()).await;
}

/// Reads them again for as long as this process would serve nobody of theirs.
pub(super) async fn look_again(fleet: Arc<Fleet>) {
    let mut looks = 0_u32;
    loop {
        sleep(NEXT_LOOKS.whole(looks)).await;
        if fleet.opens_nobodys() {
            fleet.read_samples().await;
            looks = looks.saturating_add(1);
        } else {
            looks = 0;
        }
    }
}

impl Fleet {
    /// Reads a tenant that another process has. Writes nothing.
    pub(super) async fn read_anothers(&self, tenant: &TenantId) -> Legibility {
        match session::prepare(&self.env, tenant, true).await {
            Ok(prepared) => {
                self.illegible.note_opened(tenant);
                Legibility::Read(Box::new(prepared))
            }
            Err(OpenError::Vault(error @ VaultError::Unavailable(_))) => {
                debug!(%tenant, %error, "read when it is taken over");
                Legibility::Unread
            }
            Err(error) => {
                let reason = format!("this process cannot open it, and leaves it to its owner: {error}");
                let (since, lacks_key) = (self.env.clock.now(), error.lacks_key());
                if self.illegible.add(IllegibleTenant {
                    tenant: tenant.clone(),
                    reason: reason.clone(),
                    since,
                    lacks_key,
                }) {
                    warn!(
                        event = "tenant_illegible",
                        %tenant,
                        reason,
                        "a tenant of another process does not open here"
                    );
                }
                Legibility::Illegible
            }
        }
    }

    /// Others serve tenants, and this process has the key of none that it has looked at: it would serve nobody of theirs.
    pub fn opens_nobodys(&self) -> bool {
        let elsewhere = || {
            let slots: Vec<_> = self.slots().values().cloned().collect();
            slots.iter().filter(|slot| self.is_served_elsewhere(slot)).count()
        };
        self.illegible.has_no_key(|tenant| self.served_elsewhere(tenant).is_some(), elsewhere)
    }

    /// Those that another process serves now; by id.
    pub fn illegible_tenants(&self) -> Vec<IllegibleTenant> {
        self.illegible.of_others(|tenant| self.served_elsewhere(tenant).is_some())
    }

    /// Also of those of which the key was missing: they may not be among the samples.
    async fn read_samples(&self) {
        let keyless = self.illegible_tenants().into_iter().filter(|found| found.lacks_key).take(SAMPLES);
        let tenants: BTreeSet<_> = self.samples().into_iter().chain(keyless.map(|found| found.tenant)).collect();
        for tenant in &tenants {
            self.read_anothers(tenant).await;
        }
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
        let readable = elsewhere.filter(|slot| slot.was_paired() && !self.illegible.is_damaged(&slot.tenant));
        let samples = readable.filter(|slot| slot.owner().is_some_and(&mut is_sample));
        samples.map(|slot| slot.tenant.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{Damage, Document},
        seal::MasterKey,
        vault::Seq,
    };

    fn found(tenant: &str, error: &OpenError) -> IllegibleTenant {
        IllegibleTenant {
            tenant: tenant.parse().unwrap(),
            reason: error.to_string(),
            since: Timestamp::UNIX_EPOCH,
            lacks_key: error.lacks_key(),
        }
    }

    /// Damaged, and sealed with a key that is not there.
    fn errors() -> (OpenError, OpenError) {
        let key = "5e".repeat(32).parse::<MasterKey>().unwrap().id();
        let keyless = Damage::UnknownKey { document: Document::Entry(Seq(1)), key };
        (OpenError::Damaged(Damage::MissingEntry(Seq(1))), OpenError::Damaged(keyless))
    }

    #[test]
    fn only_a_missing_key_is_this_process_own_fault() {
        let (damaged, keyless) = errors();
        let known = IllegibleTenants::default();
        assert!(known.add(found("trattoria", &damaged)) && known.add(found("pizzeria", &damaged)));
        assert!(!known.has_no_key(|_| true, || 3), "they are damaged for everybody");
        assert_eq!(known.of_others(|_| true).len(), 2, "and told");
        assert!(known.add(found("arepas", &keyless)) && !known.add(found("arepas", &keyless)));
        assert!(known.has_no_key(|_| true, || 3));
        assert!(!known.has_no_key(|tenant| tenant.as_str() != "arepas", || 2), "nobody serves it any more");
    }

    #[test]
    fn a_damaged_one_is_read_once_and_one_without_a_key_again() {
        let (damaged, keyless) = errors();
        let known = IllegibleTenants::default();
        known.add(found("trattoria", &damaged));
        known.add(found("arepas", &keyless));
        let is_damaged = |tenant: &str| known.is_damaged(&tenant.parse().unwrap());
        assert!(is_damaged("trattoria") && !is_damaged("arepas") && !is_damaged("pizzeria"));
    }

    #[test]
    fn whatever_opens_of_the_others_shows_that_the_keys_are_right() {
        let (_, keyless) = errors();
        let known = IllegibleTenants::default();
        known.add(found("arepas", &keyless));
        known.note_opened(&"trattoria".parse().unwrap());
        assert!(!known.has_no_key(|_| true, || 2));
        assert_eq!(known.of_others(|_| true).len(), 1);
        known.note_opened(&"arepas".parse().unwrap());
        assert!(known.of_others(|_| true).is_empty(), "it was mended");
        // Its owner has another key since.
        known.add(found("trattoria", &keyless));
        known.add(found("arepas", &keyless));
        assert!(known.has_no_key(|_| true, || 2), "what was once is over");
    }

    /// One with a wrong key that has a tenant of its own, and one with the right key beside a stranger.
    #[test]
    fn ones_own_count_where_they_are_more() {
        let (_, keyless) = errors();
        let known = IllegibleTenants::default();
        known.add(found("arepas", &keyless));
        let is_elsewhere = |tenant: &TenantId| tenant.as_str() == "arepas";
        known.note_opened(&"trattoria".parse().unwrap());
        assert!(known.has_no_key(is_elsewhere, || 1), "its own proves nothing");
        known.note_opened(&"pizzeria".parse().unwrap());
        assert!(!known.has_no_key(is_elsewhere, || 1), "it serves more than it cannot open");
        assert!(known.has_no_key(is_elsewhere, || 100));
    }
}
