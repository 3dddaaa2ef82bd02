//! The heartbeat's check of one session: asks WhatsApp for a pong, and reconnects a session that gets none.

use std::{sync::atomic::Ordering, time::Duration};

use whatsapp_rust::{request::IqError, wacore::iq::keepalive::KeepaliveSpec};

use crate::session::{Session, SessionCommand, state::State};

/// The finding of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionHealth {
    Healthy,
    /// Not paired, or waiting for a scan or a passkey: not ill.
    Idle,
    /// Was cut or woken, and is connecting.
    Reconnecting(&'static str),
    /// Beyond reconnecting: see the status.
    Failed,
}

impl SessionHealth {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Idle => "idle",
            Self::Reconnecting(_) => "reconnecting",
            Self::Failed => "failed",
        }
    }
}

/// Whether WhatsApp answered. A refusal is an answer, and so is what cannot be read: the line is good, and a new one would bring the same.
pub(in crate::session) fn is_answered<T>(asked: &Result<T, IqError>) -> bool {
    matches!(
        asked,
        Ok(_) | Err(IqError::ServerError { .. } | IqError::UnexpectedResponseType { .. } | IqError::ParseError(_))
    )
}

impl Session {
    /// A heartbeat: asks WhatsApp for a sign of life, and reconnects what gives none.
    pub async fn check(&self, patience: Duration) -> SessionHealth {
        let inner = &self.0;
        let status = self.status();
        match status.state {
            State::Failed => return SessionHealth::Failed,
            State::Stopped if !status.paired || self.is_stopped() => return SessionHealth::Idle,
            State::ScanQrCode | State::PasskeyRequired | State::PasskeyConfirmationRequired => {
                return SessionHealth::Idle;
            }
            State::Stopped | State::Starting => {
                let _ = inner.commands.try_send(SessionCommand::DialNow { patience: 2 * patience });
                return SessionHealth::Reconnecting("down");
            }
            State::Working => {}
        }
        if inner.owes_acks.load(Ordering::Acquire) && !inner.journal.outage() {
            inner.owes_acks.store(false, Ordering::Release);
            inner.line.cut();
            return SessionHealth::Reconnecting("messages wait for their acks");
        }
        let Some(client) = inner.client.borrow().clone() else { return SessionHealth::Reconnecting("no client") };
        let ping = client.execute(KeepaliveSpec::with_timeout(patience));
        match tokio::time::timeout(patience, ping).await {
            Ok(pinged) if is_answered(&pinged) => SessionHealth::Healthy,
            _ => {
                inner.line.cut();
                SessionHealth::Reconnecting("WhatsApp did not answer")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_that_is_refused_is_answered() {
        let refused = |code| IqError::ServerError { code, text: String::new(), error_type: None, backoff: None };
        for asked in [Ok(()), Err(refused(500)), Err(refused(404))] {
            assert!(is_answered(&asked), "{asked:?}");
        }
        for asked in [Err(IqError::Timeout), Err(IqError::NotConnected), Err(IqError::InternalChannelClosed)] {
            assert!(!is_answered::<()>(&asked), "{asked:?}");
        }
    }
}
