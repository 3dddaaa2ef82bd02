//! The daemon's tests in one binary: each module breaks one promise and watches it hold.

mod baileys;
mod broken;
mod doorkeeper;
mod doors;
#[path = "../baileys/driver.rs"]
#[allow(dead_code, reason = "the network's tests use more of it")]
mod driver;
mod emulator;
mod face;
mod heal;
mod issuer;
mod journal_bench;
mod journal_damage;
mod journal_model;
mod journal_rules;
mod journal_snapshots;
mod journal_time;
mod journal_wire;
mod journal_world;
mod keys;
mod kill;
mod kinds;
mod matrix;
mod node;
mod old_contract;
mod outage;
mod outbound;
mod outbox;
mod proxy;
mod receiver;
mod restore;
mod stage;
mod store_backend;
mod store_gates;
mod store_life;
mod store_messages;
mod store_pairing;
mod store_peer;
mod store_session;
mod store_world;
mod tokens;
mod vault_access;
mod vault_contract;
mod waha;
mod webhooks;
mod zombie;
