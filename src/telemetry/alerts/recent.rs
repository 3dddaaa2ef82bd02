//! What was told lately, for who looks. Bounded; in memory only.

use std::{collections::VecDeque, sync::Mutex};

use jiff::Timestamp;

use super::{condition::AlertCondition, message::AlertMessage};
use crate::sync::lock;

/// So many sections of messages are kept.
const MOST_KEPT: usize = 50;

/// So many tenants of a section are named.
const MOST_NAMED: usize = 20;

/// One condition in a message that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentAlert {
    pub at: Timestamp,
    pub condition: AlertCondition,
    /// `firing` or `resolved`.
    pub state: &'static str,
    /// The first of them; none for a condition of the daemon itself.
    pub tenants: Vec<String>,
    /// All of them.
    pub total: usize,
}

#[derive(Debug, Default)]
pub(super) struct RecentAlerts(Mutex<VecDeque<RecentAlert>>);

impl RecentAlerts {
    pub fn add(&self, message: &AlertMessage) {
        let mut kept = lock(&self.0);
        for section in &message.sections {
            kept.push_front(RecentAlert {
                at: message.at,
                condition: section.condition,
                state: section.state.as_str(),
                tenants: section.tenants.iter().take(MOST_NAMED).cloned().collect(),
                total: section.tenants.len(),
            });
        }
        kept.truncate(MOST_KEPT);
    }

    /// The newest first.
    pub fn all(&self) -> Vec<RecentAlert> {
        lock(&self.0).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::alerts::message::{AlertSection, AlertState};

    #[test]
    fn the_newest_are_kept_with_some_of_their_tenants() {
        let recent = RecentAlerts::default();
        let section = |condition, tenants: usize| AlertSection {
            condition,
            state: AlertState::Firing,
            tenants: (0..tenants).map(|n| format!("t{n}")).collect(),
            left: 0,
            since: Timestamp::UNIX_EPOCH,
        };
        for second in 0..40 {
            let sections = vec![section(AlertCondition::VaultDown, 0), section(AlertCondition::Offline, 300)];
            recent.add(&AlertMessage { at: Timestamp::from_second(second).unwrap(), sections, is_last: false });
        }
        let all = recent.all();
        assert_eq!(all.len(), MOST_KEPT);
        assert_eq!((all[0].condition, all[0].at.as_second(), all[0].total), (AlertCondition::Offline, 39, 300));
        assert_eq!((all[0].state, all[0].tenants.len()), ("firing", MOST_NAMED));
        assert_eq!((all[1].condition, all[1].total), (AlertCondition::VaultDown, 0));
        assert!(all.is_sorted_by(|a, b| a.at >= b.at));
    }
}
