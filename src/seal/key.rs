//! Master keys, and what is derived from them.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use hkdf::Hkdf;
use seal_aead::{Aead, NONCE};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Cipher, PeerKey, TenantSeal, UnsealError, open, sealed_with};
use crate::tenant::TenantId;

/// Where nonces come from. Each call must give another one.
pub type Nonces = Arc<dyn Fn() -> [u8; NONCE] + Send + Sync>;

/// Names a master key without telling it: derived from it, one way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(super) [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The operator's secret: 32 random bytes, written as 64 hexadecimal digits or as base64. Wiped from memory when dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A text is no [`MasterKey`]. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 bytes, as 64 hexadecimal digits or as base64")]
pub struct InvalidKey;

impl MasterKey {
    pub fn generate(rng: &mut dyn rand::CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        Self(key)
    }

    pub fn id(&self) -> KeyId {
        KeyId(self.derive(&[b"sessiond v1 key id"]))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn cipher(&self, info: &[&[u8]]) -> Cipher {
        let key = Zeroizing::new(self.derive::<32>(info));
        Cipher { master: self.id(), aead: Aead::new(&key) }
    }

    pub(super) fn derive<const N: usize>(&self, info: &[&[u8]]) -> [u8; N] {
        let mut derived = [0; N];
        Hkdf::<Sha256>::new(None, &*self.0)
            .expand_multi_info(info, &mut derived)
            .expect("HKDF-SHA256 gives up to 8,160 bytes");
        derived
    }
}

impl FromStr for MasterKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let text = text.trim();
        let bytes = match text.len() {
            64 => hex::decode(text).map_err(|_| InvalidKey)?,
            _ => GeneralPurpose::new(&alphabet::STANDARD, config)
                .decode(text)
                .or_else(|_| GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(text))
                .map_err(|_| InvalidKey)?,
        };
        let bytes = Zeroizing::new(bytes);
        Ok(Self(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| InvalidKey)?)))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey(id {})", self.id())
    }
}

/// The configured master keys: the first seals, all open.
#[derive(Clone)]
pub struct Keyring {
    keys: Arc<[MasterKey]>,
    nonces: Nonces,
}

impl Keyring {
    /// # Panics
    /// When there is no key.
    pub fn new(keys: Vec<MasterKey>) -> Self {
        assert!(!keys.is_empty(), "a keyring has at least one master key");
        let nonces = || {
            let mut nonce = [0; NONCE];
            #[expect(clippy::disallowed_methods, reason = "tests bring their own: `with_nonces`")]
            rand::RngCore::fill_bytes(&mut rand::rng(), &mut nonce);
            nonce
        };
        Self { keys: keys.into(), nonces: Arc::new(nonces) }
    }

    /// Takes nonces from elsewhere, for tests that must run alike every time.
    pub fn with_nonces(self, nonces: Nonces) -> Self {
        Self { nonces, ..self }
    }

    pub fn tenant(&self, tenant: &TenantId) -> TenantSeal {
        TenantSeal {
            tenant: tenant.clone(),
            ciphers: self.ciphers(&[b"sessiond v1 tenant ", tenant.as_str().as_bytes()]),
            nonces: self.nonces.clone(),
        }
    }

    /// By which the processes on one vault know each other: one for each master key, in their order.
    pub fn peer_keys(&self) -> Vec<PeerKey> {
        self.keys.iter().map(PeerKey::of).collect()
    }

    /// Something sealed with the first key, for the vault to keep: [`Self::verify_check_value`] tells of it whether a
    /// keyring is that vault's.
    pub fn check_value(&self) -> Bytes {
        self.ciphers(CHECK_INFO)[0].seal((self.nonces)(), CHECK_CONTEXT, CHECK_CONTEXT)
    }

    /// `UnknownKey`: this vault was sealed with a master key that is not among these.
    pub fn verify_check_value(&self, value: &[u8]) -> Result<(), UnsealError> {
        open(&self.ciphers(CHECK_INFO), CHECK_CONTEXT, value).map(drop)
    }

    /// The key that seals.
    pub fn first(&self) -> KeyId {
        self.keys[0].id()
    }

    /// The value was made with another key than the first.
    pub fn is_of_older_key(&self, value: &[u8]) -> bool {
        sealed_with(value).is_some_and(|id| id != self.first())
    }

    fn ciphers(&self, info: &[&[u8]]) -> Arc<[Cipher]> {
        self.keys.iter().map(|key| key.cipher(info)).collect()
    }
}

const CHECK_INFO: &[&[u8]] = &[b"sessiond v1 check value"];
const CHECK_CONTEXT: &[u8] = b"this is the master key of this vault";

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter()).finish()
    }
}
