//! `sessiond` keeps many WhatsApp sessions alive, one a tenant, and serves their dashboards.
//!
//! Arrows point one way; nothing imports upwards:
//!
//! ```text
//! api, live, webhook → fleet → session → message → store → journal → seal, vault
//! ```
//!
//! `config`, `tenant`, `clock`, `allowance`, `listener`, `outbound` and `telemetry` are ground that all may use, `waha` stands on
//! `session` and `message`; `import` reads the stores of other gateways and stands on nothing; [`daemon`] puts the parts together.
#![doc = include_str!("ARCHITECTURE.md")]
#![deny(unsafe_code)]

pub mod allowance;
pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod crash;
pub mod daemon;
#[cfg(feature = "loopback")]
pub mod demo;
pub mod fleet;
#[cfg(feature = "loopback")]
pub mod fuzz;
pub mod import;
pub mod journal;
pub mod listener;
pub mod live;
pub mod message;
pub mod outbound;
pub mod seal;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod tenant;
pub mod vault;
pub mod waha;
pub mod webhook;
