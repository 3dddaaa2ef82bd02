//! Whoever follows the event log misses nothing: Socket.IO, webhooks, and those who come back after a while.

pub mod cursors;
mod cuts;
mod events;
mod outbound;
mod registering;
mod segments;
pub mod webhooks;
