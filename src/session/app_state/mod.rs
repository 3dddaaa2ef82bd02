//! Settings that all devices of an account share: contacts, labels, the archive, names.

pub(super) mod buffer;
pub(super) mod first_sync;
pub(super) mod live;
pub(super) mod refetch;
