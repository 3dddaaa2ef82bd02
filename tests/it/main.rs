//! The daemon's tests in one binary: each module breaks one promise and watches it hold.

mod emulator;
mod face;
mod heal;
mod kill;
mod node;
mod restore;
mod stage;
mod zombie;
