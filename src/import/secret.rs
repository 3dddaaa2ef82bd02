//! Key material that a debug print, a log line or a panic message must never show.
//!
//! Owns [`KeyMaterial`]. It wipes its bytes when it is dropped; [`KeyMaterial::expose`] is the only way to them. Compares in time that
//! depends on the bytes: readers compare a copy with itself, never with what a stranger may try again and again.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

#[derive(Clone, PartialEq, Eq)]
pub struct KeyMaterial<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> KeyMaterial<T> {
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for KeyMaterial<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", KeyMaterial::new([7u8; 32])), "<secret>");
        assert_eq!(format!("{:?}", Some(KeyMaterial::new(b"abc".to_vec()))), "Some(<secret>)");
    }
}
