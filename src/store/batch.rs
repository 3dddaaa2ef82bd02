//! Changes that happen together. Gathers them; writes nothing.

use bytes::Bytes;

use super::{key::Key, space::Space};
use crate::{journal::Change, vault::Decision};

/// Changes that happen together: one transaction, one change number, one commit of the vault.
///
/// It writes what it is told: the gates of Signal state are in the library's traits.
#[derive(Default)]
pub struct Batch {
    pub(super) changes: Vec<Change>,
    pub(super) decision: Option<Decision>,
}

impl Batch {
    pub fn put(&mut self, space: Space, key: impl Into<Key>, value: impl Into<Bytes>) {
        self.changes.push(Change { space, key: key.into(), value: Some(value.into()) });
    }

    pub fn delete(&mut self, space: Space, key: impl Into<Key>) {
        self.changes.push(Change { space, key: key.into(), value: None });
    }

    /// The bytes of the values that this batch puts into a space.
    pub fn bytes_of(&self, space: Space) -> usize {
        let put = self.changes.iter().filter(|change| change.space == space);
        put.filter_map(|change| change.value.as_ref()).map(Bytes::len).sum()
    }

    /// Tenant fields that change in the same commit of the vault. The last one counts.
    pub fn decide(&mut self, decision: Decision) {
        self.decision = Some(decision);
    }
}
