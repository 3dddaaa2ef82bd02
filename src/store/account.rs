//! The account that a tenant is at WhatsApp: remembered from its first pairing on, in a space that a wipe keeps, so that only the
//! same account is paired again without being asked for.
//!
//! Two accounts are the same when their number is, or their LID: WhatsApp names a person by the LID, which stays when the person
//! changes the number. A number that moved to another LID was given up and registered anew: still the number that the owner knows.

use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::store::Device;

use super::{Batch, StoreError, key, space, turn::Turn};

/// Where it is written which account the tenant is.
pub(super) const OWN_ACCOUNT: &str = "session/account";

/// Where it is written that the owner allows another account, once. Gone with the next pairing, whoever's it is.
pub const ACCOUNT_CHANGE: &str = "session/account/change";

/// An account at WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// Digits, without `+`.
    pub number: String,
    pub lid: Option<String>,
}

impl OwnAccount {
    /// Of a device that WhatsApp has accepted. The account comes after the number: with the number alone the library is in the
    /// middle of pairing.
    pub(super) fn of(device: &Device) -> Option<Self> {
        device.account.as_ref().and(Self::claimed_by(device))
    }

    /// The same, and of one in the middle of pairing.
    pub(super) fn claimed_by(device: &Device) -> Option<Self> {
        let number = device.pn.as_ref()?.user.to_string();
        let lid = device.lid.as_ref().map(|lid| lid.user.to_string());
        Some(Self { number, lid })
    }

    /// Whether both are the same person's.
    pub fn is_same(&self, other: &Self) -> bool {
        self.number == other.number || self.lid.is_some() && self.lid == other.lid
    }

    /// The tenant is this one from now on.
    pub fn put(&self, batch: &mut Batch) {
        batch.put(space::SETTINGS, key::text(OWN_ACCOUNT), self.encode());
        batch.delete(space::SETTINGS, key::text(ACCOUNT_CHANGE));
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an account is plain data, which JSON always takes")
    }
}

impl Turn<'_> {
    /// The account that the tenant is, paired or not; `None`: it never was any.
    pub(super) fn own_account(&self) -> Result<Option<OwnAccount>, StoreError> {
        let remembered = self.get(space::SETTINGS, &key::text(OWN_ACCOUNT))?;
        if let Some(account) = remembered.and_then(|remembered| serde_json::from_slice(&remembered).ok()) {
            return Ok(Some(account));
        }
        // Paired by a build that did not remember it.
        Ok(self.device()?.as_ref().and_then(OwnAccount::of))
    }

    pub(super) fn remember_account(&mut self, account: &OwnAccount) -> Result<(), StoreError> {
        let encoded = account.encode();
        if self.get(space::SETTINGS, &key::text(OWN_ACCOUNT))?.as_deref() == Some(&encoded[..]) {
            return Ok(());
        }
        self.put(space::SETTINGS, key::text(OWN_ACCOUNT), encoded.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_known_by_number_or_lid() {
        let account = |number: &str, lid: Option<&str>| OwnAccount { number: number.into(), lid: lid.map(Into::into) };
        let own = account("573001112233", Some("100"));
        assert!(own.is_same(&own));
        assert!(own.is_same(&account("573009998877", Some("100"))), "the number was changed at WhatsApp");
        assert!(own.is_same(&account("573001112233", None)), "written down before LIDs were known");
        assert!(!own.is_same(&account("573009998877", Some("200"))));
        assert!(!account("1", None).is_same(&account("2", None)));
    }
}
