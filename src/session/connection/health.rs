//! The heartbeat's check of one session: asks WhatsApp for a pong, and reconnects a session that gets none.

use std::{sync::atomic::Ordering, time::Duration};

use whatsapp_rust::wacore::iq::keepalive::KeepaliveSpec;

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
            Ok(Ok(())) => SessionHealth::Healthy,
            _ => {
                inner.line.cut();
                SessionHealth::Reconnecting("WhatsApp did not answer")
            }
        }
    }
}
