//! What tests stand on: a stage for the whole, worlds for the journal and the store, servers that others have, and programs.

pub mod doorkeeper;
#[allow(dead_code, reason = "the network's tests use more of it")]
pub mod driver;
pub mod emulator;
pub mod front;
pub mod heavy;
pub mod import_devices;
pub mod issuer;
pub mod journal_bench;
pub mod journal_time;
pub mod journal_wire;
pub mod journal_world;
pub mod node;
pub mod old_place;
pub mod proxy;
pub mod python;
pub mod receiver;
pub mod relay_vault;
pub mod scrape;
pub mod stage;
pub mod store_peer;
pub mod store_session;
pub mod store_world;
pub mod vault_loss;
