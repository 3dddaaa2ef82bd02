//! Encryption of what goes to the vault.
//!
//! Owns the sealed format and the [`MasterKey`]s. Promises: bytes open only with a configured master key, only under the
//! tenant and at the very [`SealPosition`] that they were sealed for, and only unaltered; a wrong key is told from damage.
//! Never does I/O but for the key file ([`load_or_create_key_file`]), never logs, never shows a key.
//!
//! Sealed bytes, version 1 (XChaCha20-Poly1305, random nonces):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | flags: bit 0 = the plaintext was compressed with zstd |
//! | 8 | id of the master key |
//! | 4 | length of the plaintext before compression, big-endian |
//! | 24 | nonce |
//! | n + 16 | ciphertext and tag |
//!
//! The header is authenticated, and so is the place. The key is a tenant's own: HKDF-SHA256 of the master key. The length
//! stays visible; compression happens only within one cut of one tenant.

mod compress;
mod key;
mod key_file;
mod peer_key;

use std::sync::Arc;

use bytes::Bytes;
use seal_aead::{Aead, NONCE, TAG};
use sha2::{Digest as _, Sha256};

pub use self::{
    key::{InvalidKey, KeyId, Keyring, MasterKey, Nonces},
    key_file::{load_or_create, load_or_create_key_file, read_key_file, restore_key_file},
    peer_key::PeerKey,
};
use crate::{tenant::TenantId, vault::Seq};

/// The most bytes that one seal may hold, before compression. Bounds what opening may allocate.
pub const MAX_PLAIN: usize = 64 * 1024 * 1024;

/// By how much [`TenantSeal::seal`] makes its input longer, at most.
pub const OVERHEAD: usize = HEADER + TAG;

const VERSION: u8 = 1;
const COMPRESSED: u8 = 1;
const BEFORE_NONCE: usize = 1 + 1 + 8 + 4;
const HEADER: usize = BEFORE_NONCE + NONCE;
/// zstd's frame costs a dozen bytes and a context; shorter input gains nothing.
const WORTH_COMPRESSING: usize = 128;

/// SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Stands where there is nothing before.
    pub const ZERO: Self = Self([0; 32]);

    /// Of a list of byte strings, each preceded by its length: other cuts of the same bytes have other digests.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What kind of document a seal is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Takeover,
    Entry,
    /// A piece of a snapshot, of one attempt to write it.
    Chunk {
        attempt: Arc<str>,
    },
    Manifest {
        attempt: Arc<str>,
    },
    /// A closed piece of the event history.
    Segment,
    /// A piece of a file outside the vault.
    Backup {
        number: Arc<str>,
    },
}

/// Where sealed bytes stand. All of it is authenticated: sealed at one place, they open at no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealPosition {
    pub kind: Kind,
    pub seq: Seq,
    /// From 0.
    pub part: u32,
    pub parts: u32,
    pub epoch: Seq,
    /// Of the entry before; for a snapshot's documents, of entry `seq` itself.
    pub previous: Digest,
}

impl SealPosition {
    /// Unambiguous: what has no fixed length is preceded by its length.
    fn write_to(&self, out: &mut Vec<u8>) {
        let (tag, attempt) = match &self.kind {
            Kind::Takeover => (1, ""),
            Kind::Entry => (2, ""),
            Kind::Chunk { attempt } => (3, &**attempt),
            Kind::Manifest { attempt } => (4, &**attempt),
            Kind::Segment => (5, ""),
            Kind::Backup { number } => (6, &**number),
        };
        out.push(tag);
        write_text(out, attempt);
        out.extend(self.seq.0.to_be_bytes());
        out.extend(self.part.to_be_bytes());
        out.extend(self.parts.to_be_bytes());
        out.extend(self.epoch.0.to_be_bytes());
        out.extend(self.previous.0);
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_be_bytes());
    out.extend(text.as_bytes());
}

/// Why sealed bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// Not of this format, or of a newer one.
    #[error("not sealed by a version that this program knows: {0}")]
    Malformed(&'static str),
    /// The master key that sealed it is not among the configured ones.
    #[error("sealed with master key {id}, which is not configured")]
    UnknownKey { id: KeyId },
    /// Altered, or sealed for another place or tenant.
    #[error("altered, or sealed for another place")]
    Altered,
}

/// Seals and opens for one tenant. Cheap to clone.
#[derive(Clone)]
pub struct TenantSeal {
    tenant: TenantId,
    /// The first seals.
    ciphers: Arc<[Cipher]>,
    nonces: Nonces,
}

impl TenantSeal {
    /// # Panics
    /// When `plain` is longer than [`MAX_PLAIN`]: it would never open again.
    pub fn seal(&self, place: &SealPosition, plain: &[u8]) -> Bytes {
        self.ciphers[0].seal((self.nonces)(), &self.context(place), plain)
    }

    pub fn open(&self, place: &SealPosition, sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        open(&self.ciphers, &self.context(place), sealed)
    }

    /// Sealed with another key than the first, as far as its header says: to be sealed anew before that key may go. What is no seal at all
    /// needs no key.
    pub fn is_of_older_key(&self, sealed: &[u8]) -> bool {
        sealed_with(sealed).is_some_and(|id| id != self.ciphers[0].master)
    }

    fn context(&self, place: &SealPosition) -> Vec<u8> {
        let mut context = Vec::with_capacity(192);
        write_text(&mut context, self.tenant.as_str());
        place.write_to(&mut context);
        context
    }
}

impl std::fmt::Debug for TenantSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantSeal").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// A key derived from a master key, for one purpose.
struct Cipher {
    master: KeyId,
    aead: Aead,
}

impl Cipher {
    fn seal(&self, nonce: [u8; NONCE], context: &[u8], plain: &[u8]) -> Bytes {
        assert!(plain.len() <= MAX_PLAIN, "{} bytes are too many for one seal", plain.len());
        let compressed = (plain.len() >= WORTH_COMPRESSING)
            .then(|| compress::compress(plain).ok())
            .flatten()
            .filter(|compressed| compressed.len() < plain.len());
        let (flags, body) = match &compressed {
            Some(compressed) => (COMPRESSED, compressed.as_slice()),
            None => (0, plain),
        };
        let mut sealed = Vec::with_capacity(HEADER + body.len() + TAG);
        sealed.extend([VERSION, flags]);
        sealed.extend(self.master.0);
        sealed.extend((plain.len() as u32).to_be_bytes());
        sealed.extend(nonce);
        let aad = associated_data(&sealed, context);
        let ciphertext =
            self.aead.encrypt(nonce, &aad, body).expect("the cipher takes 256 GiB, a seal has at most 64 MiB");
        sealed.extend(ciphertext);
        sealed.into()
    }
}

/// The master key that sealed it, as its header says.
fn sealed_with(sealed: &[u8]) -> Option<KeyId> {
    let is_sealed = sealed.len() >= HEADER + TAG && sealed[0] == VERSION;
    is_sealed.then(|| KeyId(array(&sealed[2..10])))
}

fn open(ciphers: &[Cipher], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
    if sealed.len() < HEADER + TAG {
        return Err(UnsealError::Malformed("too short"));
    }
    let (header, ciphertext) = sealed.split_at(HEADER);
    if header[0] != VERSION {
        return Err(UnsealError::Malformed("unknown version"));
    }
    let compressed = match header[1] {
        0 => false,
        COMPRESSED => true,
        _ => return Err(UnsealError::Malformed("unknown flags")),
    };
    let id = KeyId(array(&header[2..10]));
    let length = u32::from_be_bytes(array(&header[10..BEFORE_NONCE])) as usize;
    if length > MAX_PLAIN || (!compressed && length != ciphertext.len() - TAG) {
        return Err(UnsealError::Malformed("impossible length"));
    }
    let cipher = ciphers.iter().find(|cipher| cipher.master == id).ok_or(UnsealError::UnknownKey { id })?;
    let nonce: [u8; NONCE] = array(&header[BEFORE_NONCE..]);
    let aad = associated_data(header, context);
    let body = cipher.aead.decrypt(nonce, &aad, ciphertext).map_err(|_| UnsealError::Altered)?;
    if !compressed {
        return Ok(body);
    }
    // Authentic, so what follows fails only for a sealer with a defect. Never more than `length` is written.
    match compress::decompress(&body, length) {
        Ok(plain) if plain.len() == length => Ok(plain),
        _ => Err(UnsealError::Malformed("does not decompress to its length")),
    }
}

/// The header has a fixed length, so the two cannot run into each other.
fn associated_data(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

fn array<const N: usize>(slice: &[u8]) -> [u8; N] {
    slice.try_into().expect("cut to this length")
}

#[cfg(test)]
mod tests;
