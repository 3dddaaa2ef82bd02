//! The account that a tenant is at WhatsApp: remembered from its first pairing on, in a space that a wipe keeps, so that only the
//! same account is paired again without being asked for.
//!
//! Two accounts are the same when their number is, or their LID: WhatsApp names a person by the LID, which stays when the person
//! changes the number. A number that moved to another LID was given up and registered anew: still the number that the owner knows.

use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::store::Device;

use super::{Batch, StoreError, key, parse_setting, records, space, turn::StoreTurn};
use crate::journal::{Change, Record};

/// The setting that names the tenant's account.
pub(super) const OWN_ACCOUNT: &str = "session/account";

/// The setting by which the owner allows another account, once. Gone with the next pairing, of any account.
pub const ACCOUNT_CHANGE: &str = "session/account/change";

/// The setting that says that the tenant was an account, and became nobody's.
const DISOWNED: &str = "session/account/disowned";

/// The setting by which the owner keeps the session away.
pub const STOPPED: &str = "session/stopped";

/// The setting that has the name of an imported account, behind the public half of its device's noise key: it is no other device's.
pub const IMPORTED_NAME: &str = "session/import/name";

/// The setting that says whence the tenant was imported. It stays when the device goes.
pub const IMPORT_RECEIPT: &str = "session/import";

/// The setting that says that the tenant came out of a backup. It stays when the device goes.
pub const RESTORED: &str = "session/restored";

/// The setting that says that a pairing has begun and is not over (`session::pairing::mark`).
pub const PAIRING: &str = "session/pairing";

/// An account at WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// Digits, without `+`.
    pub number: String,
    pub lid: Option<String>,
    /// Numbers that it had before, oldest first: what was accepted for one of them was accepted for this account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_numbers: Vec<String>,
}

/// Nobody changes the number more often within the life of a message.
const MAX_FORMER: usize = 16;

impl OwnAccount {
    pub fn new(number: impl Into<String>, lid: Option<String>) -> Self {
        Self { number: number.into(), lid, former_numbers: Vec::new() }
    }

    /// As the directory writes it: others put a jid there, or a number as people do. `None`: it names nobody.
    pub fn named(text: &str) -> Option<Self> {
        let user = text.split([':', '@']).next().unwrap_or_default();
        let number: String = user.chars().filter(char::is_ascii_digit).collect();
        (!number.is_empty()).then(|| Self::new(number, None))
    }

    /// Of a device that WhatsApp has accepted. The account comes after the number: with the number alone the library is in the
    /// middle of pairing.
    pub(super) fn of(device: &Device) -> Option<Self> {
        device.account.as_ref().and(Self::claimed_by(device))
    }

    /// As [`Self::of`], also of a device in the middle of pairing.
    pub(super) fn claimed_by(device: &Device) -> Option<Self> {
        let number = device.pn.as_ref()?.user.to_string();
        let lid = device.lid.as_ref().map(|lid| lid.user.to_string());
        Some(Self::new(number, lid))
    }

    /// Whether both are the same person's.
    pub fn is_same(&self, other: &Self) -> bool {
        self.number == other.number || self.lid.is_some() && self.lid == other.lid
    }

    /// Whether the account has this number, or had it.
    pub fn has_had(&self, number: &str) -> bool {
        self.number == number || self.former_numbers.iter().any(|former| former == number)
    }

    /// The same person, later: with the numbers of `before`.
    fn following(mut self, before: Self) -> Self {
        if self.lid.is_none() || self.lid != before.lid {
            return self;
        }
        let numbers = before.former_numbers.into_iter().chain([before.number]);
        self.former_numbers = numbers.filter(|number| *number != self.number).collect();
        self.former_numbers.dedup();
        let excess = self.former_numbers.len().saturating_sub(MAX_FORMER);
        self.former_numbers.drain(..excess);
        self
    }

    /// The tenant is this one from now on.
    pub fn put(&self, batch: &mut Batch) {
        batch.put(space::SETTINGS, key::text(OWN_ACCOUNT), self.encode());
        batch.delete(space::SETTINGS, key::text(ACCOUNT_CHANGE));
    }

    /// The tenant is nobody's from now on.
    pub fn forget(batch: &mut Batch) {
        batch.delete(space::SETTINGS, key::text(OWN_ACCOUNT));
        batch.delete(space::SETTINGS, key::text(ACCOUNT_CHANGE));
        batch.put(space::SETTINGS, key::text(DISOWNED), Vec::new());
    }

    /// [`Self::put`] for whoever writes a tenant's journal without its store.
    pub fn remembered(&self) -> Change {
        Change { space: space::SETTINGS, key: key::text(OWN_ACCOUNT), value: Some(self.encode().into()) }
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an account is plain data, which JSON always takes")
    }
}

/// The account that a hydrated state is of, paired or not; `None`: it never was any.
pub fn account_of(state: &[Record]) -> Result<Option<OwnAccount>, StoreError> {
    let name = key::text(OWN_ACCOUNT);
    let remembered = state.iter().find(|record| record.space == space::SETTINGS && record.key == name);
    if let Some(remembered) = remembered {
        return parse_setting(OWN_ACCOUNT, &remembered.value).map(Some);
    }
    let device = state.iter().find(|record| record.space == space::DEVICE);
    let device = device.map(|device| records::device::decode(&device.value)).transpose()?;
    Ok(device.as_ref().and_then(OwnAccount::of))
}

/// Whether the tenant of a hydrated state was an account, and became nobody's.
pub fn was_disowned(state: &[Record]) -> bool {
    let name = key::text(DISOWNED);
    state.iter().any(|record| record.space == space::SETTINGS && record.key == name)
}

impl StoreTurn<'_> {
    /// The account that the tenant is, paired or not; `None`: it never was any.
    pub(super) fn own_account(&self) -> Result<Option<OwnAccount>, StoreError> {
        let account = match self.remembered_account()? {
            Some(account) => Some(account),
            // Paired by a build that did not remember it.
            None => self.device()?.as_ref().and_then(OwnAccount::of),
        };
        if !self.writing {
            self.findings.borrow_mut().note_account(&account);
        }
        Ok(account)
    }

    fn remembered_account(&self) -> Result<Option<OwnAccount>, StoreError> {
        let remembered = self.get(space::SETTINGS, &key::text(OWN_ACCOUNT))?;
        remembered.map(|remembered| parse_setting(OWN_ACCOUNT, &remembered)).transpose()
    }

    pub(super) fn remember_account(&mut self, account: &OwnAccount) -> Result<(), StoreError> {
        let before = self.remembered_account()?;
        let account = before.iter().cloned().fold(account.clone(), OwnAccount::following);
        if before.as_ref() == Some(&account) {
            return Ok(());
        }
        self.put(space::SETTINGS, key::text(OWN_ACCOUNT), account.encode().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_known_by_number_or_lid() {
        let account = |number: &str, lid: Option<&str>| OwnAccount::new(number, lid.map(Into::into));
        let own = account("573001112233", Some("100"));
        assert!(own.is_same(&own));
        assert!(own.is_same(&account("573009998877", Some("100"))), "the number was changed at WhatsApp");
        assert!(own.is_same(&account("573001112233", None)), "written down before LIDs were known");
        assert!(!own.is_same(&account("573009998877", Some("200"))));
        assert!(!account("1", None).is_same(&account("2", None)));
    }

    #[test]
    fn a_changed_number_is_no_other_account() {
        let account = |number: &str, lid: &str| OwnAccount::new(number, Some(lid.into()));
        let now = account("3", "100").following(account("2", "100").following(account("1", "100")));
        assert_eq!(["1", "2", "3", "4"].map(|number| now.has_had(number)), [true, true, true, false]);
        // Back to the first, saved twice.
        let now = account("1", "100").following(account("1", "100").following(now));
        assert_eq!(now.former_numbers, ["2", "3"]);
        // The number was given up, and registered by somebody else.
        let new = account("1", "200").following(now);
        assert!(new.has_had("1") && !new.has_had("2"));
        let many = (0..40).fold(account("0", "100"), |now, n| account(&n.to_string(), "100").following(now));
        assert!(many.former_numbers.len() == MAX_FORMER && many.has_had("38"));
    }
}
