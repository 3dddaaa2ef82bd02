//! The key by which the processes on one vault know each other. Derived from a master key: whoever can read the vault has it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{KeyId, MasterKey};

#[derive(Clone)]
pub struct PeerKey {
    master: KeyId,
    secret: Zeroizing<[u8; 32]>,
}

impl PeerKey {
    pub(super) fn of(master: &MasterKey) -> Self {
        Self { master: master.id(), secret: Zeroizing::new(master.derive(&[b"sessiond v1 peers"])) }
    }

    /// Of the master key that it comes from.
    pub fn id(&self) -> KeyId {
        self.master
    }

    /// Authenticates a list of byte strings, each with its length: another division of the same bytes has another code.
    pub fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// In constant time.
    pub fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        self.mac(parts).verify_slice(code).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.secret).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl std::fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerKey(id {})", self.master)
    }
}
