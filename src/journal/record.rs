//! What a journal carries: changes, records and their numbers; and the set of changes that waits for the next cut.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::vault::Decision;

/// A kind of record. What each number means is the store's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u8);

/// One record set, or removed.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    pub space: Space,
    pub key: Box<[u8]>,
    /// `None` removes the record.
    pub value: Option<Bytes>,
}

/// One record of a tenant's state.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub space: Space,
    pub key: Box<[u8]>,
    pub value: Bytes,
}

// Records hold key material: their contents are never shown.
impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let length = self.value.as_ref().map(Bytes::len);
        f.debug_struct("Change").field("space", &self.space).field("bytes", &length).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("space", &self.space).field("bytes", &self.value.len()).finish_non_exhaustive()
    }
}

/// The number of a change, counted from the moment that its journal was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeNo(u64);

impl ChangeNo {
    /// Before every change: always durable.
    pub const ZERO: Self = Self(0);

    /// So many changes came after `earlier`, up to this one.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A record's name: unique in a tenant's state.
pub(super) type Name = (Space, Box<[u8]>);

/// A tenant's state while it is put together.
pub(super) type RecordMap = BTreeMap<Name, Bytes>;

/// All changes since the last cut. A later change of a record replaces the earlier one, so this is never larger than the
/// state. Ordered, so that equal histories make equal cuts.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub changes: BTreeMap<Name, Option<Bytes>>,
    pub decision: Option<Decision>,
    /// The last change in it.
    pub upto: Option<ChangeNo>,
}

impl Cut {
    pub fn is_empty(&self) -> bool {
        self.upto.is_none()
    }

    pub fn add(&mut self, changes: Vec<Change>, decision: Option<Decision>, number: ChangeNo) {
        self.upto = Some(number);
        for change in changes {
            self.changes.insert((change.space, change.key), change.value);
        }
        if let Some(later) = decision {
            decide(self.decision.get_or_insert_default(), &later);
        }
    }
}

/// A later decision replaces those parts of an earlier one that it names.
pub(super) fn decide(decided: &mut Decision, later: &Decision) {
    let Decision { whatsapp_connected, phone_number, connected_at } = later;
    decided.whatsapp_connected = whatsapp_connected.or(decided.whatsapp_connected);
    decided.phone_number = phone_number.clone().or(decided.phone_number.take());
    decided.connected_at = connected_at.or(decided.connected_at);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &[u8], value: Option<&'static [u8]>) -> Change {
        Change { space: Space(1), key: key.into(), value: value.map(Bytes::from_static) }
    }

    #[test]
    fn a_later_change_replaces_an_earlier_one_and_a_later_decision_only_what_it_names() {
        let mut cut = Cut::default();
        assert!(cut.is_empty());
        let pairing = Decision {
            whatsapp_connected: Some(true),
            phone_number: Some(Some("49170".into())),
            ..Decision::default()
        };
        cut.add(vec![change(b"a", Some(b"1")), change(b"b", Some(b"1"))], Some(pairing), ChangeNo(1));
        let wipe = Decision { whatsapp_connected: Some(false), ..Decision::default() };
        cut.add(vec![change(b"a", None)], Some(wipe), ChangeNo(2));
        assert_eq!(cut.upto, Some(ChangeNo(2)));
        assert_eq!(cut.changes[&(Space(1), b"a"[..].into())], None);
        assert_eq!(cut.changes[&(Space(1), b"b"[..].into())], Some(Bytes::from_static(b"1")));
        let decision = cut.decision.unwrap();
        assert_eq!(decision.whatsapp_connected, Some(false));
        assert_eq!(decision.phone_number, Some(Some("49170".into())));
    }

    #[test]
    fn what_a_record_holds_is_not_shown() {
        let shown = format!(
            "{:?} {:?}",
            change(b"secret", Some(b"secret")),
            Record { space: Space(1), key: b"secret"[..].into(), value: Bytes::from_static(b"secret") }
        );
        assert!(!shown.contains("secret") && !shown.contains("115"), "{shown}");
    }
}
