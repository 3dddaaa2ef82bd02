//! How a tenant becomes a device of an account, stays that account's, and ends.

mod account;
mod countries;
mod insistence;
mod pairing_waits;
pub mod passkey;
mod presence;
mod too_much;
mod unlinking;
