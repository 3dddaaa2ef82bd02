//! The wait for a permit to dial: only so many sessions may be between dial and login.

use std::pin::pin;

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep_until},
};

use super::{
    disconnect::DisconnectReason,
    supervisor::{Stop, Supervisor},
};
use crate::session::SessionCommand;

impl Supervisor {
    /// Waits for a permit to dial. Returns early with the reason if there is no need to dial any more: the line may be
    /// long, and its caller must not wait for it.
    pub(super) async fn await_turn(
        &mut self,
        paired: bool,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<Result<OwnedSemaphorePermit, DisconnectReason>, Stop> {
        let session = self.session.clone();
        let mut turn = pin!(session.env.dialing.clone().acquire_owned());
        loop {
            let over = match () {
                // Without credentials there is nothing to unlink at WhatsApp.
                () if self.is_unlinking() && !paired => Some(DisconnectReason::Unlinked { told: true }),
                () if self.is_tired_of_unlinking() => Some(DisconnectReason::Unlinked { told: false }),
                () if self.is_unlinking() => None,
                () if session.is_stopped() => Some(DisconnectReason::Stopped),
                () if !paired && !self.is_pairing() => Some(DisconnectReason::GivenUp),
                () => None,
            };
            if let Some(over) = over {
                return Ok(Err(over));
            }
            let ends = if paired { self.tired_at() } else { self.pairing_until };
            tokio::select! {
                closed = session.journal.closed() => return Err(Stop::Closed(closed)),
                () = session.stop.cancelled() => return Err(Stop::Asked),
                turn = &mut turn => return turn.map(Ok).map_err(|_| Stop::Asked),
                () = sleep_until(ends.unwrap_or_else(Instant::now)), if ends.is_some() => {}
                Some(command) = commands.recv() => self.note_command(command),
            }
        }
    }
}
