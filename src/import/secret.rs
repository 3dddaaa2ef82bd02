//! Key material that a debug print, a log line or a panic message must never show.
//!
//! Owns [`Secret`]. It wipes its bytes when it is dropped; [`Secret::expose`] is the only way to them. Compares in time that
//! depends on the bytes: readers compare a copy with itself, never with what a stranger may try again and again.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new([7u8; 32])), "<secret>");
        assert_eq!(format!("{:?}", Some(Secret::new(b"abc".to_vec()))), "Some(<secret>)");
    }
}
