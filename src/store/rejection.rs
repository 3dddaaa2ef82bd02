//! The mark of a tenant that WhatsApp has logged out, and that nobody has linked again: a restart must not forget it.
//!
//! Owns [`Rejection`]. The wipe of the rejected credentials writes it, in the same change. The next pairing, or import, deletes it; so does
//! a wipe that the owner wants. A deletion begins with such a wipe, so the next session of that name has no mark.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Store, StoreError, key, space, turn::StoreTurn};

/// The setting that says when WhatsApp logged the tenant out.
pub const REJECTED: &str = "session/rejected";

/// WhatsApp's word that the credentials are dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    pub at: Timestamp,
}

impl Rejection {
    /// Reads the mark of an open tenant.
    pub async fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        let mark = store.get(space::SETTINGS, &key::text(REJECTED)).await?;
        Ok(mark.map(|mark| Self::parse(&mark)))
    }

    /// Milliseconds since 1970. A mark of another form says when by no more than 1970, and is one all the same.
    fn parse(mark: &[u8]) -> Self {
        let at = mark.try_into().map_or(0, i64::from_be_bytes);
        Self { at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    fn encode(self) -> Bytes {
        Bytes::copy_from_slice(&self.at.as_millisecond().to_be_bytes())
    }
}

impl StoreTurn<'_> {
    pub(super) fn mark_rejected(&mut self, rejection: Rejection) -> Result<(), StoreError> {
        self.put(space::SETTINGS, key::text(REJECTED), rejection.encode())
    }

    pub(super) fn forget_rejection(&mut self) -> Result<(), StoreError> {
        self.delete(space::SETTINGS, key::text(REJECTED))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_its_time_and_one_of_another_form_is_a_mark() {
        let rejection = Rejection { at: Timestamp::from_millisecond(1_800_000_000_123).unwrap() };
        assert_eq!(Rejection::parse(&rejection.encode()), rejection);
        assert_eq!(Rejection::parse(b""), Rejection { at: Timestamp::UNIX_EPOCH });
    }
}
