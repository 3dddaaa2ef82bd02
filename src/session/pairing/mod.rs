//! A phone is linked: by a QR code, by a code that is typed into it, by a passkey; and whose account the tenant then is.

pub(super) mod code;
pub(super) mod mark;
pub(super) mod own_account;
pub(super) mod passkey;
pub(super) mod qr_rotation;
pub(super) mod screen;
