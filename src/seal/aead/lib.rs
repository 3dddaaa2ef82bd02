//! XChaCha20-Poly1305, without type parameters. Owns the cipher's key, and wipes it when it is dropped. Knows nothing of what is
//! sealed: headers, compression and contexts are `sessiond::seal`'s. Never chooses a nonce.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes of a nonce: long enough that random ones do not repeat.
pub const NONCE: usize = 24;
/// Bytes that a ciphertext is longer than its plaintext.
pub const TAG: usize = 16;

/// A key, ready to encrypt and decrypt.
pub struct Aead(XChaCha20Poly1305);

/// The ciphertext, its nonce, its associated data or the key is another one than when it was encrypted; or, when encrypting, the
/// plaintext has more than the 256 GiB that the cipher takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AeadError;

impl Aead {
    pub fn new(key: &[u8; KEY]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// # Errors
    /// The plaintext is too long.
    pub fn encrypt(&self, nonce: [u8; NONCE], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AeadError> {
        self.0.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad }).map_err(|_| AeadError)
    }

    /// # Errors
    /// Something was altered.
    pub fn decrypt(&self, nonce: [u8; NONCE], aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, AeadError> {
        self.0.decrypt(&XNonce::from(nonce), Payload { msg: ciphertext, aad }).map_err(|_| AeadError)
    }
}
