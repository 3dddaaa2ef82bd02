//! Caches the subjects of the tenant's groups. Asks WhatsApp for all of them when a list shows a group without a known
//! name; notes each change. Empty after a restart.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::timeout;
use tracing::Instrument as _;

use crate::{
    clock::Instant,
    message::{EventBody, Group, GroupChange},
    session::Session,
    sync::lock,
};

/// Nobody waits longer for a name.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// A group that WhatsApp did not name is not asked for again before.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Groups by their jids.
#[derive(Debug, Default)]
pub(in crate::session) struct GroupSubjects(Mutex<SubjectTable>);

#[derive(Debug, Default)]
struct SubjectTable {
    subjects: HashMap<String, String>,
    asked_at: Option<Instant>,
}

impl GroupSubjects {
    pub fn get(&self, group: &str) -> Option<String> {
        self.known().subjects.get(group).cloned()
    }

    pub fn note(&self, groups: &[Group]) {
        let mut known = self.known();
        for group in groups {
            known.subjects.insert(group.id.clone(), group.subject.clone());
        }
    }

    pub fn hear(&self, event: &EventBody) {
        match event {
            EventBody::Group { group, change: GroupChange::Subject(subject), .. } => {
                self.known().subjects.insert(group.clone(), subject.clone());
            }
            EventBody::Group { change: GroupChange::Joined(group), .. } => self.note(std::slice::from_ref(group)),
            _ => {}
        }
    }

    fn may_ask(&self, now: Instant) -> bool {
        let mut known = self.known();
        let may = known.asked_at.is_none_or(|asked| now.since(asked) >= ASK_AGAIN);
        if may {
            known.asked_at = Some(now);
        }
        may
    }

    fn known(&self) -> MutexGuard<'_, SubjectTable> {
        lock(&self.0)
    }
}

impl Session {
    /// Learns the subjects of these groups, if one is unknown and WhatsApp answers soon.
    pub(in crate::session) async fn learn_subjects(&self, groups: &[String]) {
        let subjects = &self.0.subjects;
        let is_unknown = groups.iter().any(|group| subjects.get(group).is_none());
        if is_unknown && self.connected().is_ok() && subjects.may_ask(self.0.env.clock.instant()) {
            // The session's own task: who waits no longer does not end it, and the subjects are noted when they come.
            let (session, stop) = (self.clone(), self.stopping());
            let asking = stop.run_until_cancelled_owned(async move { session.groups().await });
            let _ = timeout(ASK_TIMEOUT, self.0.tasks.spawn(asking.in_current_span())).await;
        }
    }
}
