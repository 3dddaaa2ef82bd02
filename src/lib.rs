//! `sessiond` keeps many WhatsApp sessions alive, one a tenant, and serves their dashboards.

pub mod clock;
pub mod crash;
pub mod journal;
pub mod seal;
pub mod store;
pub mod tenant;
pub mod vault;
