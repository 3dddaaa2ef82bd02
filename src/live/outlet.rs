//! Where what is registered for goes: to a client here, or to the process that has the client.

use std::time::Duration;

use axum::body::Bytes;
use serde_json::Value;
use socketioxide::{SendError, SocketError, extract::SocketRef};
use tokio::{sync::mpsc, time::sleep};
use tracing::warn;

use crate::backoff::Backoff;

/// Pauses until there is room among the packets of a client: one that reads makes some at once.
const FULL_QUEUE_PAUSES: Backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(50));

pub enum EventOutlet {
    Client(SocketRef),
    /// As lines of JSON: an event's name and its payload.
    Peer(mpsc::Sender<Bytes>),
}

impl EventOutlet {
    /// Sends when there is room, however long that takes: a registration ends by its token, and a peer's with its line.
    pub async fn emit(&self, event: &str, payload: &Value) {
        match self {
            Self::Client(socket) => emit(socket, event, payload).await,
            Self::Peer(lines) => {
                let mut line = serde_json::to_vec(&(event, payload)).expect("a payload is JSON");
                line.push(b'\n');
                // An error: nobody reads any more, and that ends the registration.
                let _ = lines.send(line.into()).await;
            }
        }
    }

    pub fn client(&self) -> Option<&SocketRef> {
        match self {
            Self::Client(socket) => Some(socket),
            Self::Peer(_) => None,
        }
    }
}

/// `Closed` may also mean "not quite open": socketioxide 0.18 marks a socket as connected after it has told the client so.
async fn emit(socket: &SocketRef, event: &str, payload: &Value) {
    let mut failures = 0_u32;
    loop {
        match socket.emit(event, payload) {
            Ok(()) => return,
            Err(SendError::Socket(SocketError::InternalChannelFull | SocketError::Closed)) => {
                sleep(FULL_QUEUE_PAUSES.whole(failures)).await;
                failures = failures.saturating_add(1);
            }
            Err(error) => {
                warn!(event = "event_undelivered", %error, name = event, "an event cannot be sent");
                return;
            }
        }
    }
}
