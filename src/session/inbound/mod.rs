//! From what WhatsApp says to our messages and events. Nothing is acked before it is durable.

pub(super) mod bare;
pub(super) mod calls;
pub(super) mod content;
pub(super) mod edits;
pub(super) mod group_changes;
pub(super) mod hook;
pub(super) mod member_receipts;
pub(super) mod message_secrets;
pub(super) mod poll_votes;
pub(super) mod recorder;
pub(super) mod recoveries;
pub(super) mod text_mending;
pub(super) mod timers;
pub(super) mod translate;
pub(super) mod unknown_devices;
