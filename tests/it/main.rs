//! The daemon's tests in one binary: each module breaks one promise and watches it hold.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests: the seed is printed where chance matters")]

mod bot;
mod consumers;
mod contracts;
mod journal;
mod linking;
mod messages;
mod moving;
mod ownership;
mod store;
mod strangers;
mod support;
mod survival;
mod vault;
mod watching;
