//! Unlinking a device, and wiping its credentials: wanted by its owner, or after WhatsApp's word.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use tracing::warn;

use super::{Stop, Supervisor};
use crate::{
    backoff::Backoff,
    journal::{ChangeNo, JournalClosedError, SnapshotError},
    session::{Inner, LOGGED_OUT, SessionCommand, connection::disconnect::DisconnectReason, env::jitter, state::State},
    sync::lock,
    vault::Decision,
};

/// How long WhatsApp is tried when a device is to be unlinked. After that the credentials are wiped all the same, and the owner is
/// told to remove the device on the phone.
const UNLINK_PATIENCE: Duration = Duration::from_secs(15);

/// Between two tries of a wipe: first, while the vault does not answer, and while anything else fails.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const VAULT_PAUSE: Duration = Duration::from_secs(5);
const WIPE_PAUSE: Duration = Duration::from_secs(300);

pub(super) type Unlinked = oneshot::Sender<Result<(), JournalClosedError>>;

impl Supervisor {
    /// Someone wants the device unlinked. WhatsApp is told as soon as there is a login.
    pub(in crate::session) fn wants_to_unlink(&mut self, waits: Unlinked) {
        self.session.unlinking.store(true, Ordering::Release);
        let unlinking = self.unlinking.get_or_insert_with(|| (Instant::now() + UNLINK_PATIENCE, Vec::new()));
        unlinking.1.retain(|earlier| !earlier.is_closed());
        unlinking.1.push(waits);
    }

    pub(in crate::session) fn is_unlinking(&self) -> bool {
        self.unlinking.is_some()
    }

    /// Until when WhatsApp is tried.
    pub(in crate::session::connection) fn tired_at(&self) -> Option<Instant> {
        self.unlinking.as_ref().map(|(until, _)| *until)
    }

    /// WhatsApp was tried for long enough.
    pub(in crate::session) fn is_tired_of_unlinking(&self) -> bool {
        self.unlinking.as_ref().is_some_and(|(until, _)| *until <= Instant::now())
    }

    /// Wipes the credentials of an unlinked device and answers the callers that wait for it. `signal`: who unlinked it.
    pub(super) async fn unlinked(
        &mut self,
        signal: &DisconnectReason,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<(), Stop> {
        let was_pairing = self.pairing_until.take().is_some() && std::mem::take(&mut self.is_unproven);
        // Wanted, and WhatsApp's answer to it was lost: then the next login is refused.
        let rejected = matches!(signal, DisconnectReason::LoggedOut { .. }) && !self.is_unlinking();
        // Somebody scanned, and sees the next QR code.
        let pairs_again = rejected && was_pairing;
        // A device before this one may have been logged out, and whoever has just scanned has not mended that.
        let needs_scan = rejected && (!pairs_again || self.session.status.borrow().rejected);
        let reason = match signal {
            DisconnectReason::LoggedOut { code } if pairs_again => format!("WhatsApp refused the pairing ({code})"),
            DisconnectReason::LoggedOut { .. } if rejected => LOGGED_OUT.to_owned(),
            DisconnectReason::LoggedOut { .. } => DisconnectReason::Unlinked { told: true }.to_string(),
            signal => signal.to_string(),
        };
        let wiped = self.wipe(&reason, needs_scan, commands).await;
        if pairs_again && wiped.is_ok() {
            self.wants_to_pair();
            self.note_failed_pairing();
            self.last_pairing_error = Some(reason);
        } else {
            self.session.pairing_mark.clear();
        }
        let answer = match &wiped {
            Ok(()) => Ok(()),
            Err(Stop::Closed(closed)) => Err(closed.clone()),
            // The next login is refused, and shows it.
            Err(Stop::Asked) => Err(JournalClosedError::Stopped),
        };
        self.session.unlinking.store(false, Ordering::Release);
        for waits in self.unlinking.take().into_iter().flat_map(|(_, waits)| waits) {
            let _ = waits.send(answer.clone());
        }
        wiped
    }

    /// The credentials are dead, or unwanted: tries until the vault knows that they are gone, or the session ends.
    async fn wipe(
        &mut self,
        reason: &str,
        rejected: bool,
        commands: &mut mpsc::Receiver<SessionCommand>,
    ) -> Result<(), Stop> {
        let session = self.session.clone();
        let mut failures = 0;
        let wiped = loop {
            let error = match self.meanwhile(commands, session.record_wipe(rejected)).await? {
                Ok(change) => break change,
                Err(error) => error,
            };
            warn!(event = "wipe_failed", error = format!("{error:#}"), failures, "the credentials are not wiped yet");
            session.set_status(|status| {
                status.state = State::Failed;
                status.reason = format!("{reason}; the credentials are not wiped yet");
                status.qr = None;
            });
            let longest = match error.downcast_ref() {
                Some(SnapshotError::Vault(_)) => VAULT_PAUSE,
                // Each try writes the whole state.
                _ => WIPE_PAUSE,
            };
            let wait = Backoff::new(MIN_PAUSE, longest).spread(failures, jitter());
            failures = failures.saturating_add(1);
            self.meanwhile(commands, sleep(wait)).await?;
        };
        self.meanwhile(commands, session.store.wait(wiped)).await?.map_err(Stop::Closed)?;
        session.first_sync.keys_wiped();
        session.live_changes.pairing_ended();
        // The mark went with the credentials.
        lock(&session.exported).take();
        session.set_status(|status| {
            status.state = State::Stopped;
            status.reason = reason.to_owned();
            status.paired = false;
            status.rejected = rejected;
            status.phone_number = None;
            status.lid = None;
            status.jid = None;
            status.qr = None;
        });
        Ok(())
    }
}

impl Inner {
    /// An entry first; then a fresh device. `rejected`: a scan is needed, which the next process must know.
    async fn record_wipe(&self, rejected: bool) -> anyhow::Result<ChangeNo> {
        self.journal.keep_state_before_wipe().await?;
        // With the wipe, since nobody opens the tenant at the next start.
        if let Err(error) = self.tell_state(State::Stopped).await {
            warn!(event = "logout_unwritten", %error, "could not record that the session is logged out");
        }
        let decision = Decision { whatsapp_connected: Some(false), phone_number: Some(None), connected_at: Some(None) };
        Ok(self.store.wipe_credentials(decision, rejected).await?)
    }
}
