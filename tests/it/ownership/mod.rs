//! One process serves a tenant, and another takes over: politely in a deploy, by force from the dead.

mod bill;
pub mod directory;
mod forward;
mod handover;
mod kills;
mod letters;
mod orphans;
mod takeback;
mod zombie;
