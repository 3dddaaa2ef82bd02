//! Handing a tenant over to another process: what was accepted is in the vault, the line is cut, and nothing more is said to WhatsApp. Then
//! the next owner may take over.
//!
//! A message that somebody sends meanwhile waits before it is accepted, never after. Everything else that is in flight is left as a crash
//! would leave it, which costs nothing: what WhatsApp has not been told comes again, and what it has not acknowledged is sent again under
//! its id.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::timeout;

use super::{End, Session, state::State};
use crate::journal::JournalClosedError;

/// How long messages that are being accepted, and the vault with what was recorded, may take before the line is cut.
const QUIET_TIMEOUT: Duration = Duration::from_millis(1500);

/// Why a tenant was not handed over. It goes on as before, unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    #[error("somebody is pairing it")]
    Pairing,
    #[error("it is being unlinked, or has ended")]
    Ending,
    #[error("the vault does not take its last changes")]
    VaultDown,
    /// It has ended, and does not go on.
    #[error("it ended, and the vault did not take its last changes")]
    Unwritten,
}

impl Session {
    /// Somebody is in the middle of linking it, with a code on a screen: nobody else may have it until that is over.
    pub fn is_pairing(&self) -> bool {
        let status = self.0.status.borrow();
        let shows_code = status.state == State::ScanQrCode || status.state.is_ceremony();
        shows_code || self.0.pairing_mark.left(self.0.env.clock.now(), Duration::MAX).is_some()
    }

    /// Messages are on their way to WhatsApp, or wait to be.
    pub fn is_busy(&self) -> bool {
        self.0.outbox.is_waiting()
    }

    /// Lets go of the tenant. When this returns `Ok` everything is in the vault, the session has ended as [`End::Moved`], and it is
    /// closed. Do not drop it half-way: the session may have ended and not be closed.
    pub async fn hand_over(&self) -> Result<(), HandOverError> {
        let inner = &self.0;
        if self.is_pairing() {
            return Err(HandOverError::Pairing);
        }
        // The caller of the unlinking was told that it has begun, and counts on it.
        if inner.unlinking.load(Ordering::Acquire) {
            return Err(HandOverError::Ending);
        }
        let Ok(_accepting) = timeout(QUIET_TIMEOUT, inner.accepting.clone().write_owned()).await else {
            return Err(HandOverError::VaultDown);
        };
        // While the line is up: should the vault not answer, nobody has lost anything.
        match timeout(QUIET_TIMEOUT, inner.journal.wait(inner.journal.recorded())).await {
            Ok(Ok(())) => {}
            Ok(Err(
                JournalClosedError::Fenced
                | JournalClosedError::Stopped
                | JournalClosedError::StateLost(_)
                | JournalClosedError::Refused(_),
            )) => {
                return Err(HandOverError::Ending);
            }
            Err(_) => return Err(HandOverError::VaultDown),
        }
        // Meanwhile somebody may have come to pair it.
        if self.is_pairing() {
            return Err(HandOverError::Pairing);
        }
        if inner.unlinking.load(Ordering::Acquire) || !inner.end_quietly(End::Moved) {
            return Err(HandOverError::Ending);
        }
        match self.close().await {
            true => Ok(()),
            false => Err(HandOverError::Unwritten),
        }
    }
}
