//! A session that ends by itself. It cuts the line first, so that nothing reaches WhatsApp afterwards. The fleet then
//! closes the rest and decides whether and when to open the tenant again.

use std::fmt;

use tracing::info_span;

use super::{Inner, Session, state::State};
use crate::{journal::JournalClosedError, message::ConnectionState, store::CopyFailure};

/// Why a session ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Another process owns the tenant.
    Moved,
    /// The working copy cannot be read, or cannot be trusted.
    CopyFailed(CopyFailure),
    /// One of its tasks panicked.
    Crashed,
    /// The vault answered no, and would again: why.
    VaultRefused(String),
}

impl End {
    /// A word for counters.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::CopyFailed(_) => "copy_failed",
            Self::Crashed => "crashed",
            Self::VaultRefused(_) => "vault_refused",
        }
    }

    /// `None`: the journal was closed as asked.
    pub(super) fn of(closed: JournalClosedError) -> Option<Self> {
        match closed {
            JournalClosedError::Stopped => None,
            JournalClosedError::Fenced => Some(Self::Moved),
            JournalClosedError::Refused(why) => Some(Self::VaultRefused(why)),
            // By then the working copy's failure has ended the session.
            closed @ JournalClosedError::StateLost(_) => Some(Self::VaultRefused(closed.to_string())),
        }
    }

    /// Whether a dashboard sees by `connection` that another process has the tenant. The reason is a text there.
    pub fn has_moved(connection: &ConnectionState) -> bool {
        matches!(connection, ConnectionState::Disconnected { reason, .. } if *reason == Self::Moved.to_string())
    }

    fn state(&self) -> State {
        match self {
            // Its new owner tells how it is.
            Self::Moved => State::Stopped,
            _ => State::Failed,
        }
    }
}

/// For operators.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved => f.write_str("moved"),
            Self::CopyFailed(failure) => write!(f, "{failure}: being restored from the vault"),
            Self::Crashed => f.write_str("crashed, which is a bug: being restored from the vault; please report it"),
            Self::VaultRefused(why) => write!(f, "the vault does not take the journal: {why}"),
        }
    }
}

impl Session {
    /// Why nothing can be asked of WhatsApp now: the session is over, and the next one can be asked; or it is not connected.
    pub(super) fn not_ready_error<E: From<End>>(&self, not_connected: E) -> E {
        self.end().map_or(not_connected, |end| end.clone().into())
    }
}

impl Inner {
    /// Ends the session, by itself and for good. Does not wait. Only the first reason counts.
    pub(super) fn end(&self, end: End) {
        if self.end_quietly(end) {
            self.env.ended.note(&self.tenant);
        }
    }

    /// As [`Self::end`], for a caller that closes the rest itself: the fleet is not told. Returns false if it had
    /// ended before.
    pub(super) fn end_quietly(&self, end: End) -> bool {
        self.line.shut();
        if self.end.set(end.clone()).is_err() {
            return false;
        }
        self.ready.send_replace(None);
        self.client.send_replace(None);
        // Also called on the store's threads, outside of the session's span.
        info_span!("session", tenant = %self.tenant).in_scope(|| {
            self.change_status(|status| {
                status.state = end.state();
                status.reason = end.to_string();
                status.qr = None;
            });
        });
        self.stop.cancel();
        self.release_library();
        true
    }
}
