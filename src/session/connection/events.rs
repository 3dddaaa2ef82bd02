//! Applies the library's events to one connection: to the session's status, and to the reason for which the connection
//! will end.

use std::{ops::ControlFlow, sync::atomic::Ordering, time::Duration};

use futures::FutureExt as _;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};
use whatsapp_rust::{
    Client, store::commands::DeviceCommand, types::events::Event, wacore::iq::keepalive::KeepaliveSpec,
    wacore_binary::NodeRef,
};

use super::{
    Connection, Flow, LOGIN_TIMEOUT, OVER,
    disconnect::{DisconnectReason, is_passing},
    health::is_answered,
    stream_error::StreamError,
};
use crate::{
    config::Secret,
    crash,
    message::FeedItem,
    session::{
        Inner,
        pairing::{code, screen},
        state::{Qr, State},
    },
    telemetry::metrics,
};

/// After a stream error that may be harmless, how long WhatsApp has to answer a ping.
const PROOF_OF_LIFE: Duration = Duration::from_secs(5);

/// A frame that does not open costs the connection once in this time. One that comes again with each login cannot be read at all.
const GARBLED_AGAIN: Duration = Duration::from_secs(600);

impl Connection<'_> {
    pub(super) fn on_event(&mut self, event: &Event) -> Flow {
        match event {
            Event::Connected(_) => {
                self.turn = None;
                self.drain.begin(Instant::now());
            }
            Event::PairingQrCode(_) => self.turn = None,
            Event::PairSuccess(_) => self.deadline = Instant::now() + LOGIN_TIMEOUT,
            Event::OfflineSyncPreview(preview) => self.drain.announce(preview.total, Instant::now()),
            Event::RawNode(stanza) => return self.read(stanza.get()),
            _ => {}
        }
        if matches!(event, Event::Connected(_)) {
            self.connected_at.get_or_insert_with(Instant::now);
            self.client.enable_auto_reconnect.store(false, Ordering::Relaxed);
        }
        // The library would connect again by itself, and still be in the ceremony that ended with the connection.
        let lost = matches!(event, Event::Disconnected(_)) && self.session.status.borrow().state.is_ceremony();
        self.apply_event(event);
        if lost || matches!(self.signal, Some(DisconnectReason::PasskeyFailed(_))) {
            return OVER;
        }
        if let Event::OfflineSyncCompleted(done) = event {
            // Of a device that never had its first sync the library says Connected late, or not at all. All that is missing is what it
            // has been without since it was paired.
            if self.was_paired && self.session.status.borrow().state == State::Starting {
                self.connected_at.get_or_insert_with(Instant::now);
                self.connected();
            }
            match self.drain.left_by_library(done.count, Instant::now()) {
                true => warn!(
                    event = "offline_queue_slow",
                    "the offline queue takes longer than the library waits for its end"
                ),
                false => self.drained(),
            }
        }
        ControlFlow::Continue(())
    }

    /// All that WhatsApp kept has come.
    fn drained(&mut self) {
        self.supervisor.silent_logins = 0;
        self.adapt_quiet_limit();
        self.session.ready.send_replace(Some(self.client.clone()));
    }

    /// A stanza that the library has no event for.
    fn read(&mut self, stanza: &NodeRef<'_>) -> Flow {
        if stanza.tag == "success" {
            self.turn = None;
            return ControlFlow::Continue(());
        }
        if stanza.tag == "ib" {
            // The library has said already that it is over, and says it once.
            if self.drain.end() {
                self.drained();
            }
            return ControlFlow::Continue(());
        }
        match StreamError::read(stanza) {
            // The socket may stay open for as long as it likes.
            StreamError::Code(code) => {
                warn!(event = "stream_ended", code, "WhatsApp ends the stream");
                self.signal = Some(DisconnectReason::Unwell { code });
                return OVER;
            }
            StreamError::Doubtful => {
                let client = self.client.clone();
                let ping =
                    async move { is_answered(&client.execute(KeepaliveSpec::with_timeout(PROOF_OF_LIFE)).await) };
                let proof = async move { timeout(PROOF_OF_LIFE, ping).await.unwrap_or(false) };
                self.proof.get_or_insert_with(|| proof.boxed());
            }
            StreamError::Handled => {}
        }
        ControlFlow::Continue(())
    }

    pub(super) fn on_liveness(&mut self, alive: bool) -> Flow {
        self.proof = None;
        if alive {
            return ControlFlow::Continue(());
        }
        warn!(event = "stream_failed", "WhatsApp reported an error of the stream and says nothing more");
        OVER
    }

    /// A frame did not open, as `in_a_row` before it.
    pub(super) fn lost_frame(&mut self, in_a_row: u32) -> Flow {
        let again = self.supervisor.garbled_at.is_some_and(|at| at.elapsed() < GARBLED_AGAIN);
        warn!(event = "frame_unreadable", in_a_row, again, "a frame from WhatsApp could not be read");
        if !again {
            self.supervisor.garbled_at = Some(Instant::now());
            self.signal = Some(DisconnectReason::Garbled);
            return OVER;
        }
        // Its successors open: it is lost for good, and the session lives. They do not: it is deaf.
        if in_a_row > 1 { OVER } else { ControlFlow::Continue(()) }
    }

    /// Applies an event to the session's status; notes why the connection will end, if the event says that.
    pub(super) fn apply_event(&mut self, event: &Event) {
        let session = &self.session;
        let signal = match event {
            Event::PairingQrCode(qr) => {
                let code = Secret::new(qr.code.clone());
                let expires_at = session.env.clock.now() + qr.timeout;
                session.set_status(|status| {
                    status.state = State::ScanQrCode;
                    status.reason = match &self.supervisor.last_pairing_error {
                        Some(setback) => screen::scan_again(setback),
                        None => screen::SCAN.into(),
                    };
                    status.qr = Some(Qr { code: code.clone(), expires_at });
                    status.trouble = None;
                });
                session.env.feed.publish(&session.tenant, FeedItem::Qr(code));
                None
            }
            Event::PairingCode(_) => {
                self.has_code = true;
                self.supervisor.last_pairing_error = None;
                session.set_status(|status| {
                    if status.state == State::ScanQrCode {
                        status.reason = screen::SCAN.into();
                    }
                });
                None
            }
            // Without a code that counts it is the answer to whoever asked for one, who has it.
            Event::PairingCodeError(_) | Event::PairingCodeRefresh(_) if !std::mem::take(&mut self.has_code) => None,
            Event::PairingCodeError(_) | Event::PairingCodeRefresh(_) | Event::QrScannedWithoutMultidevice(_) => {
                if let Some(words) = code::pairing_error(event) {
                    warn!(event = "pairing_failed", words, "pairing failed");
                    session.set_status(|status| {
                        if status.state == State::ScanQrCode {
                            status.reason = screen::another_code(&words);
                        }
                    });
                    self.supervisor.last_pairing_error = Some(words);
                }
                None
            }
            // Whatever is sent to a device that is linked: it has nothing to prove.
            Event::PairPasskeyRequest(_) | Event::PairPasskeyConfirmation(_) | Event::PairPasskeyError(_)
                if session.status.borrow().paired =>
            {
                warn!(event = "passkey_unexpected", "WhatsApp speaks of a passkey to a device that is linked: ignored");
                None
            }
            Event::PairPasskeyRequest(asked) => {
                session.begin_ceremony(&asked.request_options_json).err().map(DisconnectReason::PasskeyFailed)
            }
            Event::PairPasskeyConfirmation(agreed) => {
                session.compare_codes(agreed);
                None
            }
            Event::PairPasskeyError(error) => Some(DisconnectReason::PasskeyFailed(error.error.clone())),
            Event::PairSuccess(pairing) => {
                crash::point("paired");
                metrics::paired();
                session.set_status(|status| {
                    status.state = State::Starting;
                    status.reason = "paired, logging in".into();
                    status.paired = true;
                    status.phone_number = Some(pairing.id.user.to_string());
                    status.expected = status.phone_number.clone();
                    status.qr = None;
                });
                None
            }
            Event::PairError(error) => {
                warn!(event = "pairing_failed", error = error.error, "the pairing failed");
                Some(DisconnectReason::PairingFailed)
            }
            Event::Connected(_) => {
                session.first_sync.done();
                self.connected();
                None
            }
            Event::SelfPushNameUpdated(name) => {
                let name = Some(name.new_name.clone()).filter(|name| !name.is_empty());
                session.set_status(|status| status.push_name = name);
                None
            }
            Event::PairingQrCodesExhausted(_) => Some(DisconnectReason::QrExhausted),
            Event::LoggedOut(out) => Some(DisconnectReason::LoggedOut { code: out.reason.code() }),
            Event::StreamReplaced(_) => Some(DisconnectReason::Replaced),
            Event::TemporaryBan(ban) => {
                Some(DisconnectReason::Banned { until: ban.expire.to_std().unwrap_or(Duration::from_secs(3600)) })
            }
            Event::ClientOutdated(_) => {
                session.env.versions.outdated(self.version);
                Some(DisconnectReason::Outdated)
            }
            Event::ConnectFailure(failure)
                if failure.reason.should_reconnect() || u16::try_from(failure.reason.code()).is_ok_and(is_passing) =>
            {
                Some(DisconnectReason::Unwell { code: failure.reason.code() })
            }
            Event::ConnectFailure(failure) => Some(DisconnectReason::Refused { code: failure.reason.code() }),
            Event::Disconnected(gone) => {
                debug!(reason = %gone.reason, "the socket ended");
                None
            }
            _ => None,
        };
        self.signal = signal.or(self.signal.take());
    }

    /// A login that was made because of quiet is over its offline queue: was anything kept back?
    fn adapt_quiet_limit(&mut self) {
        if !std::mem::take(&mut self.supervisor.testing) {
            return;
        }
        if *self.last_push.borrow() > self.began {
            warn!(event = "deaf_connection", "the connection before was deaf: messages had been kept back");
            self.supervisor.quiet_limit = self.session.env.quiet_first();
        } else {
            self.supervisor.quiet_limit = (self.supervisor.quiet_limit * 2).min(self.session.env.settings.quiet_max);
        }
    }

    pub(super) fn connected(&mut self) {
        let session = &self.session;
        let name = Some(self.client.push_name()).filter(|name| !name.is_empty());
        // The pairing may have ended without the library's word for it: when the line dropped on its last stanza.
        let number = self.client.pn().map(|me| me.user.to_string());
        let jid = self.client.pn().map(|me| me.to_string());
        let lid = self.client.lid().map(|me| me.to_non_ad_string());
        session.set_status(|status| {
            status.push_name = name;
            status.phone_number = number.or(status.phone_number.take());
            status.lid = lid.or(status.lid.take());
            status.jid = jid.or(status.jid.take());
            status.state = State::Working;
            status.reason = "connected".into();
            status.paired = true;
            status.rejected = false;
            status.qr = None;
            status.trouble = None;
        });
        session.pairing_mark.clear();
        self.supervisor.pairing_until = None;
        self.supervisor.last_pairing_error = None;
        self.supervisor.failed_pairings = 0;
        self.supervisor.is_unproven = false;
        let client = self.client.clone();
        session.tasks.spawn({
            let session = session.clone();
            async move {
                if client.push_name().is_empty() {
                    take_imported_name(&session, &client).await;
                }
                session.presences.renew(&client).await;
            }
        });
    }
}

/// A device without a name may say nothing of its presence, and the owner's phone would not ring. An imported one is logged in without its
/// name, so that the settings are read anew; where they bring none, it gets the name of the copy.
async fn take_imported_name(session: &Inner, client: &Client) {
    let imported = match session.store.imported_name().await {
        Ok(imported) => imported,
        Err(error) => {
            return warn!(event = "imported_name_unreadable", %error, "the name of the imported account cannot be read");
        }
    };
    let Some(name) = imported else { return };
    // Meanwhile the settings may have brought it.
    if client.push_name().is_empty() {
        client.persistence_manager().process_command(DeviceCommand::SetPushName(name.clone())).await;
        session.set_status(|status| status.push_name = Some(name));
    }
}
