//! Names of settings that are an owner's: a deletion takes them, and a backup brings them back. Those of the bot are in
//! [`crate::bot::owner_records`].

/// A tenant's webhooks; the place of each is under this name, a slash and its id.
pub const WEBHOOKS: &str = "webhooks";

/// A tenant's own country.
pub const COUNTRY: &str = "session/country";
