//! One job's access to a tenant's working copy.

use std::cell::RefCell;

use bytes::Bytes;
use whatsapp_rust::wacore::store::Device;

use super::{
    CopyFailure, StoreError,
    account::OwnAccount,
    database::Database,
    device::Wiped,
    digest::SetDigest,
    gates::{self, GateKey, ReadLease},
    key::{self, Key},
    lookups::{Findings, Lookups},
    records,
    space::{self, Home, Space},
};
use crate::{journal::Change, vault::Decision};

/// Reads, and writes that are committed together when the job ends well.
pub(super) struct StoreTurn<'a> {
    pub(super) database: &'a Database,
    /// The spaces that an earlier turn wiped.
    pub(super) dead: Option<&'a Wiped>,
    pub(super) writing: bool,
    /// Answers without a look at the records, as long as this turn has changed nothing.
    pub(super) lookups: &'a Lookups,
    pub(super) findings: RefCell<Findings>,
    /// Of all records, with this turn's changes.
    pub(super) set: SetDigest,
    pub(super) changes: Vec<Change>,
    pub(super) decision: Option<Decision>,
    pub(super) gated: Vec<(GateKey, bool)>,
    pub(super) all_gated: bool,
    pub(super) wiped: Option<Wiped>,
    pub(super) paired: Option<Option<OwnAccount>>,
    /// Names that belong to one person, and were not known to: a LID and a number.
    pub(super) met: Vec<(String, String)>,
}

impl<'a> StoreTurn<'a> {
    pub(super) fn new(database: &'a Database, lookups: &'a Lookups, set: SetDigest, dead: Option<&'a Wiped>) -> Self {
        Self {
            database,
            dead,
            writing: false,
            lookups,
            findings: RefCell::default(),
            set,
            changes: Vec::new(),
            decision: None,
            gated: Vec::new(),
            all_gated: false,
            wiped: None,
            paired: None,
            met: Vec::new(),
        }
    }

    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.database.get(space, key)
    }

    pub(super) fn record<R: prost::Message + Default>(
        &self,
        space: Space,
        key: &[u8],
    ) -> Result<Option<R>, StoreError> {
        self.get(space, key)?.map(|value| parse(space, &value)).transpose()
    }

    pub(super) fn device(&self) -> Result<Option<Device>, StoreError> {
        self.get(space::DEVICE, &key::only())?.map(|device| records::device::decode(&device)).transpose()
    }

    pub(super) fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        self.database.scan_prefix(space, prefix, limit)
    }

    /// Every record of a space, parsed.
    pub(super) fn all<R: prost::Message + Default>(&self, space: Space) -> Result<Vec<(Key, R)>, StoreError> {
        let pairs = self.database.scan(space, None, usize::MAX)?;
        pairs.into_iter().map(|(key, value)| Ok((key, parse(space, &value)?))).collect()
    }

    pub(super) fn put(&mut self, space: Space, key: Key, value: Bytes) -> Result<(), StoreError> {
        self.begin()?;
        self.database.put(&mut self.set, space, &key, &value)?;
        self.change(space, key, Some(value));
        Ok(())
    }

    pub(super) fn put_record(
        &mut self,
        space: Space,
        key: Key,
        record: &impl prost::Message,
    ) -> Result<(), StoreError> {
        self.put(space, key, record.encode_to_vec().into())
    }

    /// Whether there was one. A delete of nothing is no change.
    pub(super) fn delete(&mut self, space: Space, key: Key) -> Result<bool, StoreError> {
        self.begin()?;
        let existed = self.database.delete(&mut self.set, space, &key)?;
        if existed {
            self.change(space, key, None);
        }
        Ok(existed)
    }

    /// Puts Signal state, noting whether it must be durable before the library goes on.
    pub(super) fn put_leased(
        &mut self,
        space: Space,
        key: Key,
        value: Bytes,
        read: ReadLease,
    ) -> Result<(), StoreError> {
        let raised = gates::raises(read, self.get(space, &key)?.as_deref(), &value);
        self.gated.push(((space.0, key.clone()), raised));
        self.put(space, key, value)
    }

    /// All of this turn must be durable before the library goes on.
    pub(super) fn gate(&mut self) {
        self.all_gated = true;
    }

    /// Deletes the records of a space for which `dead` is true, and returns their number.
    pub(super) fn sweep<R: prost::Message + Default>(
        &mut self,
        space: Space,
        dead: impl Fn(&R) -> bool,
    ) -> Result<u32, StoreError> {
        let mut count = 0;
        for (key, record) in self.all::<R>(space)? {
            if dead(&record) {
                self.delete(space, key)?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if !self.writing {
            self.database.begin()?;
            self.writing = true;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        if self.writing { Ok(self.database.commit()?) } else { Ok(()) }
    }

    fn change(&mut self, space: Space, key: Key, value: Option<Bytes>) {
        self.findings.get_mut().note_change(space, &key);
        if space::home(space) == Home::Journal {
            self.changes.push(Change { space, key, value });
        }
    }
}

pub(super) fn parse<R: prost::Message + Default>(space: Space, value: &[u8]) -> Result<R, StoreError> {
    R::decode(value).map_err(|source| StoreError::Record { space, source })
}

/// A record whose parts have other lengths than we write.
pub(super) fn malformed(space: Space) -> StoreError {
    StoreError::CopyFailed(CopyFailure::damaged(format!("a record of space {} is malformed", space.0)))
}
