//! Traces, in a build with the feature `otel`: how long a message takes from WhatsApp's stanza to each consumer, and from a request to
//! WhatsApp's ack; how long a tenant takes from the vault, or from another process.
//!
//! A trace needs no context that is carried along: its id is made from the tenant and the message's id, or the handover's place in the
//! journal. So all who have a part in it, today or after a restart, here or in another process, tell of the same trace, and all decide
//! alike whether it is sampled.
//!
//! Promises: telling of a span never waits and never fails. A span names the tenant and the message's id, and has no text, no number and no
//! key. Without the feature, or without `otel.endpoint`, nothing is done.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(feature = "otel")]
mod export;
#[cfg(not(feature = "otel"))]
mod unbuilt;

#[cfg(feature = "otel")]
pub use self::export::{handover, install, is_on, message, opening, shut_down};
#[cfg(not(feature = "otel"))]
pub use self::unbuilt::{handover, install, is_on, message, opening, shut_down};

/// How long ago that was.
#[expect(clippy::disallowed_methods, reason = "a trace tells of the real time, and nobody may choose its ids")]
pub fn since(recorded_ms: u64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_millis(recorded_ms);
    SystemTime::now().duration_since(then).unwrap_or_default()
}

/// What a span tells of: something that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanName {
    /// From the stanza until the message is in the vault. The first of a message that comes in.
    Received,
    /// The log shows the message to consumers from here on.
    Published,
    /// A client of Socket.IO has it; since it was recorded.
    OnSocket,
    /// The bot has heard it; since it was recorded.
    HeardByBot,
    /// A webhook's receiver has taken it; since the attempt began.
    OnWebhook,
    /// From the request until the message is durable. The first of a message that goes out.
    Accepted,
    /// The library has put it on the wire; since the courier took it up.
    Sent,
    /// WhatsApp has answered for it; since it was on the wire.
    Acknowledged,
    /// A tenant was read from the vault and taken over.
    Opened,
    /// A tenant was let go of, for another process.
    Given,
    /// A tenant is open here that another process has let go of.
    Taken,
}
