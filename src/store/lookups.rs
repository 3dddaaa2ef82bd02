//! Caches what every message asks for and what seldom changes: the names of a person, and the tenant's account. In
//! memory, so that the answer costs no turn of the tenant's thread.
//!
//! Read by anybody, written on the tenant's thread alone, at the end of a good turn and before its caller is answered: a turn that changed
//! what an answer rests on makes it forgotten. So a write that returned is read by every later lookup, as of records.

use std::{collections::HashMap, sync::Mutex};

use super::{
    account::{OWN_ACCOUNT, OwnAccount},
    space::{self, Space},
};
use crate::sync::lock;

/// Names that were asked for. When there are more, all are forgotten: it is about those who write just now.
const MOST: usize = 128;

/// A person with more names, or longer ones, is looked up each time: callers choose what they ask for.
const MOST_NAMES: usize = 4;
const LONGEST: usize = 64;

#[derive(Default)]
pub(super) struct Lookups(Mutex<Known>);

#[derive(Default)]
struct Known {
    closed: bool,
    names: HashMap<Box<str>, Vec<String>>,
    account: Option<Option<OwnAccount>>,
}

/// The lookups that a turn has read for later, and those that it has changed.
#[derive(Default)]
pub(super) struct Findings {
    names: Vec<(Box<str>, Vec<String>)>,
    account: Option<Option<OwnAccount>>,
    has_changed_names: bool,
    has_changed_account: bool,
}

impl Findings {
    /// A record is put, or deleted.
    pub(super) fn note_change(&mut self, space: Space, key: &[u8]) {
        self.has_changed_names |= [space::LID_MAPPINGS, space::LIDS_OF_NUMBERS].contains(&space);
        self.has_changed_account |= space == space::DEVICE || space == space::SETTINGS && key == OWN_ACCOUNT.as_bytes();
    }

    /// Before the turn has changed anything.
    pub(super) fn note_names(&mut self, of: &str, names: &[String]) {
        let is_small = names.len() <= MOST_NAMES && names.iter().all(|name| name.len() <= LONGEST);
        if is_small && of.len() <= LONGEST && self.names.len() < MOST {
            self.names.push((of.into(), names.to_vec()));
        }
    }

    /// As [`Self::note_names`], for the account.
    pub(super) fn note_account(&mut self, account: &Option<OwnAccount>) {
        self.account = Some(account.clone());
    }
}

impl Lookups {
    pub(super) fn names(&self, of: &str) -> Option<Vec<String>> {
        lock(&self.0).names.get(of).cloned()
    }

    pub(super) fn account(&self) -> Option<Option<OwnAccount>> {
        lock(&self.0).account.clone()
    }

    /// A turn has ended well.
    pub(super) fn settle(&self, findings: Findings) {
        let mut known = lock(&self.0);
        if findings.has_changed_names {
            known.names = HashMap::new();
        } else if !known.closed {
            for (of, names) in findings.names {
                if known.names.len() >= MOST {
                    known.names.clear();
                }
                known.names.insert(of, names);
            }
        }
        if findings.has_changed_account {
            known.account = None;
        } else if !known.closed && findings.account.is_some() {
            known.account = findings.account;
        }
    }

    /// The store is closed: nothing is answered any more.
    pub(super) fn close(&self) {
        *lock(&self.0) = Known { closed: true, ..Known::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &str) -> Findings {
        let mut findings = Findings::default();
        findings.note_names(of, &[of.to_owned()]);
        findings
    }

    #[test]
    fn a_change_makes_what_rests_on_it_forgotten_and_nothing_else() {
        let lookups = Lookups::default();
        let (mut account, mut device, mut mapping) = (names("a"), Findings::default(), names("b"));
        account.note_account(&None);
        lookups.settle(account);
        device.note_change(space::SETTINGS, b"timer/a");
        device.note_change(space::SESSIONS, b"a");
        lookups.settle(device);
        assert_eq!((lookups.names("a"), lookups.account()), (Some(vec!["a".into()]), Some(None)));
        mapping.note_change(space::LID_MAPPINGS, b"1");
        lookups.settle(mapping);
        assert_eq!((lookups.names("a"), lookups.names("b"), lookups.account()), (None, None, Some(None)));
        let mut renamed = names("a");
        renamed.note_change(space::SETTINGS, OWN_ACCOUNT.as_bytes());
        lookups.settle(renamed);
        assert_eq!((lookups.names("a"), lookups.account()), (Some(vec!["a".into()]), None));
    }

    #[test]
    fn what_is_kept_is_bounded_and_ends_with_the_store() {
        let lookups = Lookups::default();
        (0..3 * MOST).for_each(|n| lookups.settle(names(&n.to_string())));
        assert!((1..=MOST).contains(&lock(&lookups.0).names.len()));
        lookups.settle(names(&"x".repeat(LONGEST + 1)));
        assert_eq!(lookups.names(&"x".repeat(LONGEST + 1)), None);
        lookups.close();
        lookups.settle(names("a"));
        assert_eq!(lookups.names("a"), None);
    }
}
