//! How all tenants and the vault are, as the operator sees it, from memory only.

use std::collections::BTreeMap;

use super::Fleet;
use crate::{
    journal::{Journal, Loss},
    session::{State, Status},
    sync::lock,
    tenant::TenantId,
};

/// A tenant as the operator sees it.
#[derive(Debug, Clone)]
pub struct Report {
    pub tenant: TenantId,
    pub status: Status,
    /// The loss of its vault, until everything is there again.
    pub loss: Option<Loss>,
}

/// How many there are, and how many work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub working: usize,
    /// Those that have a session here and should be connected: paired and not stopped, or logged out by WhatsApp.
    pub expected: usize,
    /// Without a session anywhere, as far as is known here: being restored, failed, or taken by a process that has died. Another build or
    /// key may serve them.
    pub unserved: usize,
    /// Connected by the directory, without any state in the vault: nobody can serve them.
    pub without_history: usize,
    /// Served by another process.
    pub elsewhere: usize,
    pub total: usize,
}

impl Fleet {
    /// All tenants, by id.
    pub fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<_> = self
            .slots()
            .iter()
            .map(|(tenant, slot)| Report {
                tenant: tenant.clone(),
                status: slot.status(self.started_at),
                loss: slot.session().and_then(|session| *session.store().journal().loss().borrow()),
            })
            .collect();
        reports.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        reports
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        // Before the lock: whether a process lives, the kernel is asked.
        let living = self.living_ids();
        for slot in self.slots().values().filter(|slot| !slot.is_deleted()) {
            counts.total += 1;
            match slot.session() {
                Some(session) => {
                    counts.working += usize::from(session.status().state == State::Working);
                    counts.expected += usize::from(session.should_be_connected());
                }
                None if slot.lacks_history() => counts.without_history += 1,
                None if slot.is_served_by(|owner| living.contains(owner)) => counts.elsewhere += 1,
                None => counts.unserved += 1,
            }
        }
        counts
    }

    /// The vault takes nothing, as far as its last answers say.
    pub fn is_vault_down(&self) -> bool {
        let open = self.open_journals();
        let since = *lock(&self.unannounced_since);
        let is_unannounced = since.is_some_and(|since| open.iter().all(|journal| journal.confirmed_at() <= since));
        is_unannounced || !open.is_empty() && open.iter().all(Journal::outage)
    }

    /// Counts the faults since the start, by name; each was put right as far as it could be.
    pub fn incidents(&self) -> BTreeMap<&'static str, u64> {
        self.incidents.all(&self.open_journals(), self.env().vault.renewals())
    }

    pub(super) fn open_journals(&self) -> Vec<Journal> {
        let slots = self.slots();
        slots.values().filter_map(|slot| slot.unclosed()).map(|session| session.store().journal().clone()).collect()
    }
}
