//! Who may call over HTTP and Socket.IO: addresses, pages, keys, and how much of each.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::Secret;

#[derive(Debug, Clone)]
pub struct Http {
    pub listen: SocketAddr,
    pub origins: Origins,
    pub proxies: Proxies,
    pub connections: ConnectionsConfig,
    pub handshakes: Handshakes,
    /// Where others reach this daemon; without a slash at its end.
    pub public_url: String,
}

/// How many may be connected, and how long they may let us wait.
#[derive(Debug, Clone)]
pub struct ConnectionsConfig {
    pub most: usize,
    /// `None`: half of all.
    pub per_address: Option<NonZeroUsize>,
    pub head_timeout: Duration,
    pub keep_alive: Duration,
    pub stall_timeout: Duration,
    pub bytes_per_second: u64,
}

/// Clients of Socket.IO that have not shown a key yet.
#[derive(Debug, Clone)]
pub struct Handshakes {
    pub most: usize,
    pub per_address: usize,
    pub timeout: Duration,
}

/// Web pages that may call.
#[derive(Debug, Clone)]
pub enum Origins {
    Any,
    These(Vec<HeaderValue>),
}

#[derive(Debug, Clone)]
pub struct Proxies {
    pub trusted: Vec<IpNet>,
    /// Where they say whom a request comes from.
    pub header: HeaderName,
}

#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `None`: make one (embedded vault only).
    pub admin_key: Option<Secret>,
    /// The old contract needs no key.
    pub legacy_open: bool,
    pub refresh: Duration,
    pub firebase: Option<Firebase>,
}

/// The Firebase project whose users may come in with their ID tokens.
#[derive(Debug, Clone)]
pub struct Firebase {
    pub project: String,
    /// A set of JSON web keys.
    pub keys_url: String,
}

/// Requests a minute.
#[derive(Debug, Clone)]
pub struct Limits {
    pub pairing: Rates,
    pub sending: Rates,
    /// Wrong keys.
    pub failures_per_address: Option<NonZeroU32>,
}

/// `None`: no limit.
#[derive(Debug, Clone)]
pub struct Rates {
    pub per_key: Option<NonZeroU32>,
    pub per_address: Option<NonZeroU32>,
}
