//! The feed: hands events, and what is not kept, to whoever is connected now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::broadcast;

use super::event_body::Event;
use crate::{config::Secret, sync::lock, tenant::TenantId};

/// How a tenant's connection looks to its dashboards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    Connected { phone_number: Option<String> },
    Connecting,
    Disconnected { reason: String, scan_needed: bool },
}

/// An item for the clients that are connected now. Only events are kept.
#[derive(Debug, Clone)]
pub enum FeedItem {
    Event(Arc<Event>),
    /// There is an event that is too large to be kept for slow listeners: it is in the log.
    InLog,
    Connection(ConnectionState),
    Qr(Secret),
    /// Of this chat, a jid: what it shows now is asked of the session.
    Presence(String),
}

/// One for the process: where notices are published, and where whoever is connected listens. Keeps little: a listener that is too
/// slow is told that it missed some, and reads the log.
#[derive(Debug, Clone, Default)]
pub struct Feed(Arc<Mutex<HashMap<TenantId, broadcast::Sender<FeedItem>>>>);

impl Feed {
    /// Notices kept of a tenant for the slowest listener.
    const CAPACITY: usize = 32;

    pub fn new() -> Self {
        Self::default()
    }

    pub fn subscribe(&self, tenant: &TenantId) -> broadcast::Receiver<FeedItem> {
        let mut channels = lock(&self.0);
        channels.retain(|_, channel| channel.receiver_count() > 0);
        channels.entry(tenant.clone()).or_insert_with(|| broadcast::Sender::new(Self::CAPACITY)).subscribe()
    }

    pub fn publish(&self, tenant: &TenantId, notice: FeedItem) {
        let channels = lock(&self.0);
        if let Some(channel) = channels.get(tenant) {
            // Nobody listening any more is no error.
            let _ = channel.send(notice);
        }
    }
}
