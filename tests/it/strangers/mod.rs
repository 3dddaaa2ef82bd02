//! Those who have no key, too many, or no good intentions: they get little, and cost little.

mod bounds;
mod doors;
pub mod front_door;
mod fuzz;
mod hostile;
mod keys;
mod secrets_in_logs;
mod socket_floods;
mod tokens;
