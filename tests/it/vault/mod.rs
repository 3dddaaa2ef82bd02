//! What every home of the vault promises, and what one that lies or forgets costs.

mod access;
pub mod contract;
mod gaps;
mod liar;
pub mod lock;
pub mod look;
mod losses;
