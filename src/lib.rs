#![doc = include_str!("ARCHITECTURE.md")]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests say themselves what may be by chance"))]

pub mod allowance;
pub mod api;
pub mod backoff;
pub mod bot;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod console;
pub mod crash;
pub mod daemon;
#[cfg(feature = "loopback")]
pub mod demo;
pub mod fleet;
#[cfg(test)]
mod future_size;
#[cfg(feature = "loopback")]
pub mod fuzz;
pub mod guide;
pub mod humanize;
pub mod import;
pub mod journal;
pub mod listener;
pub mod live;
pub mod message;
pub mod mirror;
pub mod outbound;
pub mod pacing;
pub mod seal;
pub mod session;
pub mod store;
mod sync;
pub mod telemetry;
pub mod tenant;
pub mod vault;
pub mod waha;
pub mod webhook;
