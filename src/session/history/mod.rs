//! Older messages of a chat, which the phone tells when it is asked.

pub(super) mod fetch;
pub(super) mod parse;
