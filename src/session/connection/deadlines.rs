//! The deadlines of one connection: the login, the offline queue, a passkey ceremony, and quiet that may be deafness.

use std::{ops::ControlFlow, time::Duration};

use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Connection, Flow, LOGIN_TIMEOUT, OVER, disconnect::DisconnectReason, drain::Look};
use crate::session::state::State;

/// From the line to WhatsApp's answer to the first thing that is said on it.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// After so long a login is called slow: where it is asked why the session does not work. It no longer takes another's turn.
const SLOW_LOGIN: Duration = Duration::from_secs(5);

/// From the login to WhatsApp's first word of its offline queue.
const SILENT_QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Logins in a row that are given up because WhatsApp said nothing of an offline queue, or no more of it.
const MAX_SILENT_LOGINS: u32 = 3;

/// How often a connection's deadlines are looked at.
const MIN_TICK: Duration = Duration::from_millis(500);
const MAX_TICK: Duration = Duration::from_secs(5);

impl Connection<'_> {
    pub(super) fn tick_length(&self) -> Duration {
        let working = self.session.status.borrow().state == State::Working;
        if working { (self.supervisor.quiet_limit / 4).clamp(MIN_TICK, MAX_TICK) } else { MIN_TICK }
    }

    pub(super) fn check_deadlines(&mut self) -> Flow {
        if self.session.journal.outage() {
            self.last_outage = Instant::now();
        }
        let state = self.session.status.borrow().state;
        let waits = self.session.ready.borrow().is_none();
        let logged_in_for = self.client.is_logged_in().then(|| self.logged_in_since.get_or_insert_with(Instant::now));
        let logged_in_for = logged_in_for.map(|since| since.elapsed()).unwrap_or_default();
        // While the vault takes nothing, reading pauses: then the silence is ours.
        if waits && logged_in_for > SILENT_QUEUE_TIMEOUT && self.is_silent() && !self.session.journal.outage() {
            warn!(event = "delivery_unbegun", "WhatsApp does not begin to deliver after the login: connecting anew");
            self.supervisor.silent_logins += 1;
            self.signal = Some(DisconnectReason::Unanswered);
            return OVER;
        }
        match state {
            State::Starting if self.client.is_logged_in() => self.await_first_sync(logged_in_for),
            State::Starting if Instant::now() > self.deadline => {
                warn!(event = "login_unfinished", "WhatsApp does not finish the login");
                self.signal = Some(
                    self.session.line.trouble().map_or(DisconnectReason::Unanswered, DisconnectReason::Unreachable),
                );
                return OVER;
            }
            State::Starting if self.began.elapsed() > SLOW_LOGIN && self.session.line.is_up() => {
                self.turn = None;
                if !self.is_answered && self.session.line.made_at().is_some_and(|at| at.elapsed() > HELLO_TIMEOUT) {
                    warn!(event = "hello_unanswered", "WhatsApp does not answer the hello");
                    self.signal = Some(DisconnectReason::Unanswered);
                    return OVER;
                }
                self.session.set_status(|status| status.reason = DisconnectReason::Unanswered.to_string());
            }
            State::Working if waits => return self.look_at_the_queue(),
            // Messages that wait for the vault are not quiet; and without it there is no new login.
            State::Working if !self.session.journal.outage() => {
                let limit = self.supervisor.quiet_limit;
                if self.last_sign().elapsed() > limit {
                    debug!(quiet.s = limit.as_secs(), "quiet: is it deaf?");
                    self.supervisor.testing = true;
                    self.signal = Some(DisconnectReason::Quiet);
                    return OVER;
                }
            }
            State::ScanQrCode if !self.supervisor.is_pairing() => return OVER,
            State::PasskeyRequired | State::PasskeyConfirmationRequired if self.session.ceremony_expired() => {
                warn!(event = "passkey_expired", "nobody finished the passkey ceremony in time");
                self.signal = Some(DisconnectReason::PasskeyExpired);
                return OVER;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// The silence since then is WhatsApp's. While the vault takes nothing it is ours: what comes is not told before it is kept.
    fn last_sign(&self) -> Instant {
        (*self.last_push.borrow()).max(self.last_outage)
    }

    fn look_at_the_queue(&mut self) -> Flow {
        let last = self.last_sign().max(*self.last_kept.borrow());
        match self.drain.look(last, Instant::now()) {
            Look::GoesOn => {}
            Look::Stands if self.supervisor.silent_logins < MAX_SILENT_LOGINS => {
                warn!(
                    event = "offline_queue_unasked",
                    "WhatsApp has more of its offline queue, and is not asked for it any more: connecting anew"
                );
                self.supervisor.silent_logins += 1;
                self.signal = Some(DisconnectReason::Quiet);
                return OVER;
            }
            Look::Stands => {}
            Look::TooLong => {
                warn!(event = "offline_queue_unfinished", "WhatsApp does not finish its offline queue: sending anyway");
                self.session.ready.send_replace(Some(self.client.clone()));
            }
        }
        ControlFlow::Continue(())
    }

    /// A first login whose state sync fails never says Connected, but is usable all the same.
    fn await_first_sync(&mut self, logged_in_for: Duration) {
        if logged_in_for > LOGIN_TIMEOUT && self.connected_at.is_none() {
            warn!(event = "first_sync_unfinished", "logged in, but the first sync does not end: going on without it");
            self.connected_at = Some(Instant::now());
            self.connected();
        }
    }

    /// WhatsApp has not mentioned its offline queue: it may have refused to leave passive mode, and then delivers
    /// nothing. The library only logs that (`client/node_io.rs`). Only [`MAX_SILENT_LOGINS`] logins in a row are given
    /// up for it.
    fn is_silent(&self) -> bool {
        let is_silent = !self.drain.has_begun() && *self.last_push.borrow() <= self.began;
        is_silent && self.supervisor.silent_logins < MAX_SILENT_LOGINS
    }
}
