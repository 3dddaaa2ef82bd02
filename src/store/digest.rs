//! Digests of records, and of the whole set of them.
//!
//! A record's digest lies in its row and is compared at each read. The digests of all rows, added up, make the digest of
//! the set: it does not depend on their order, so each change updates it by one subtraction and one addition
//! (a multiset hash). It is kept in memory, and what a snapshot has read must add up to it.
//!
//! The key is random and of this process, so neither the vault nor an older file has a digest that is right by accident.
//! They are no defence against somebody who can write to this process's memory; nothing would be.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::space::Space;

/// Of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowDigest(u128);

/// The key of one store's digests.
#[derive(Clone, Copy)]
pub(super) struct DigestKey(u64);

impl DigestKey {
    #[expect(clippy::disallowed_methods, reason = "a key is made here")]
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    pub(super) fn row(self, space: Space, key: &[u8], value: &[u8]) -> RowDigest {
        // The key's digest is the seed of the value's: no choice of the two makes one text of another two.
        let name = xxh3_64_with_seed(key, self.0 ^ u64::from(space.0));
        RowDigest(xxh3_128_with_seed(value, name))
    }
}

impl RowDigest {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
}

/// Of all records of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SetDigest {
    sum: u128,
    rows: u64,
}

impl SetDigest {
    pub(super) fn add(&mut self, row: RowDigest) {
        self.sum = self.sum.wrapping_add(row.0);
        self.rows += 1;
    }

    pub(super) fn remove(&mut self, row: RowDigest) {
        self.sum = self.sum.wrapping_sub(row.0);
        self.rows = self.rows.wrapping_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DigestKey = DigestKey(7);

    #[test]
    fn a_set_is_its_rows_in_whatever_order() {
        let [a, b] = [b"a", b"b"].map(|key| KEY.row(Space(1), key, b"value"));
        let (mut one, mut other) = (SetDigest::default(), SetDigest::default());
        one.add(a);
        one.add(b);
        other.add(b);
        other.add(a);
        assert_eq!(one, other);
        one.remove(a);
        assert_ne!(one, other);
        one.remove(b);
        assert_eq!(one, SetDigest::default());
    }

    #[test]
    fn space_key_and_value_all_count() {
        let row = KEY.row(Space(1), b"key", b"value");
        assert_ne!(row, KEY.row(Space(2), b"key", b"value"));
        assert_ne!(row, KEY.row(Space(1), b"keyv", b"alue"));
        assert_ne!(row, KEY.row(Space(1), b"key", b""));
        assert_ne!(row, DigestKey(8).row(Space(1), b"key", b"value"));
        assert_eq!(row, RowDigest::from_bytes(row.to_bytes()));
    }
}
