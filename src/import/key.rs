//! A key pair as a foreign store has it: two halves that somebody claims belong together.

use whatsapp_rust::wacore::libsignal::protocol::{PrivateKey, PublicKey};

use super::{EntryError, KeyMaterial};

/// A public key without and with its type byte.
pub const PUBLIC_KEY: usize = 32;
const TYPED_PUBLIC_KEY: usize = 33;
const DJB: u8 = 5;

/// Both halves. Readers that are given both do not compare them: [`KeyHalves::belong_together`] does, where it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHalves {
    pub public: [u8; PUBLIC_KEY],
    pub private: KeyMaterial<[u8; 32]>,
}

impl KeyHalves {
    pub fn new(public: &[u8], private: &[u8]) -> Result<Self, EntryError> {
        let private = private.try_into().map_err(|_| EntryError::Invalid("a private key"))?;
        Ok(Self { public: public_key(public)?, private: KeyMaterial::new(private) })
    }

    /// For stores that keep the private half only.
    pub fn from_private(private: &[u8]) -> Result<Self, EntryError> {
        let private: [u8; 32] = private.try_into().map_err(|_| EntryError::Invalid("a private key"))?;
        let public = derive(&private).ok_or(EntryError::Invalid("a private key"))?;
        Ok(Self { public, private: KeyMaterial::new(private) })
    }

    pub fn belong_together(&self) -> bool {
        derive(self.private.expose()) == Some(self.public)
    }

    /// With the type byte, as signatures cover it.
    pub fn typed_public(&self) -> [u8; TYPED_PUBLIC_KEY] {
        typed(&self.public)
    }
}

/// 32 bytes, or 33 with the type before them.
pub fn public_key(bytes: &[u8]) -> Result<[u8; PUBLIC_KEY], EntryError> {
    let raw = match bytes {
        [DJB, raw @ ..] if bytes.len() == TYPED_PUBLIC_KEY => raw,
        raw => raw,
    };
    raw.try_into().map_err(|_| EntryError::Invalid("a public key"))
}

pub fn typed(public: &[u8; PUBLIC_KEY]) -> [u8; TYPED_PUBLIC_KEY] {
    let mut typed = [DJB; TYPED_PUBLIC_KEY];
    typed[1..].copy_from_slice(public);
    typed
}

/// Whether `signer` signed the parts, one after the other.
pub fn signed_by(signer: &[u8; PUBLIC_KEY], parts: &[&[u8]], signature: &[u8]) -> bool {
    PublicKey::from_djb_public_key_bytes(signer)
        .is_ok_and(|key| key.verify_signature_for_multipart_message(parts, signature))
}

fn derive(private: &[u8; 32]) -> Option<[u8; PUBLIC_KEY]> {
    let public = PrivateKey::deserialize(private).ok()?.public_key().ok()?;
    public.public_key_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_compared() {
        let pair = KeyHalves::from_private(&[7; 32]).expect("any 32 bytes are a key");
        assert!(pair.belong_together());
        let typed = KeyHalves::new(&pair.typed_public(), &[7; 32]).expect("the typed form");
        assert_eq!(typed, pair);
        let foreign = KeyHalves::new(&[9; 32], &[7; 32]).expect("two halves");
        assert!(!foreign.belong_together());
        for short in [0, 31, 33, 64] {
            assert!(KeyHalves::from_private(&vec![1; short]).is_err());
        }
        assert!(public_key(&[6; 33]).is_err(), "of another type");
    }
}
