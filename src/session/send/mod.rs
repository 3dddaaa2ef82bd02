//! From a draft to the wire: what is accepted is in the outbox, and the courier carries it.

pub(super) mod accept;
pub(super) mod answers;
pub(super) mod attempt;
pub(super) mod channel_posts;
pub(super) mod compose;
pub(super) mod courier;
mod group_keys;
pub(super) mod judgement;
pub(super) mod manners;
pub(super) mod pacing;
mod recipient_check;
pub(super) mod status_broadcast;
