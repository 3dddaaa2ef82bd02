//! The daemon's tests in one binary: each module breaks one promise and watches it hold.

mod emulator;
mod journal_bench;
mod journal_damage;
mod journal_model;
mod journal_rules;
mod journal_snapshots;
mod journal_time;
mod journal_wire;
mod journal_world;
mod proxy;
mod vault_contract;
