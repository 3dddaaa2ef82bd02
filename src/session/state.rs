//! A session's state, in the words of WAHA's API, and why it is in it.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::pairing::passkey::Ceremony;
pub use crate::tenant::State;
use crate::{clock::Clock, config::Secret, message::ConnectionState};

/// A QR code to scan, good until `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qr {
    /// The text that the phone reads: `ref,noise,identity,adv,client`.
    pub code: Secret,
    pub expires_at: Timestamp,
}

/// The reason of a session that is being connected, and of which nothing has failed yet.
pub(super) const FIRST_CONNECTING: &str = "connecting";

/// So long a first try may take before anybody is worried: a quiet line that is tested is back sooner.
const FIRST_CONNECTING_GRACE: SignedDuration = SignedDuration::from_secs(5);

/// A session's state, with its reason and the names of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// In words, for operators; never a secret.
    pub reason: String,
    /// Whether there are credentials that WhatsApp has not rejected.
    pub paired: bool,
    /// WhatsApp rejected the credentials, and nobody has linked it since: an operator should know. A restart does not forget it.
    pub rejected: bool,
    /// Digits.
    pub phone_number: Option<String>,
    /// The number of the only account that may scan, or has; digits. `None`: any may.
    pub expected: Option<String>,
    pub push_name: Option<String>,
    /// The account's other name, and its name with this device, as soon as they are known.
    pub lid: Option<String>,
    pub jid: Option<String>,
    pub qr: Option<Qr>,
    /// In the states of a ceremony, and in no other.
    pub passkey: Option<Ceremony>,
    /// Why WhatsApp was not reached when that was tried last; `None` once it is, and before it was tried.
    pub trouble: Option<String>,
    pub since: Timestamp,
}

impl Status {
    /// Makes the status of an unpaired session of which nothing else is known.
    pub fn new(state: State, reason: String, since: Timestamp) -> Self {
        Self {
            state,
            reason,
            paired: false,
            rejected: false,
            phone_number: None,
            expected: None,
            push_name: None,
            lid: None,
            jid: None,
            qr: None,
            passkey: None,
            trouble: None,
            since,
        }
    }

    /// Whether it is being connected since a moment ago, and nothing has failed: as after each test of a quiet line.
    pub fn is_just_connecting(&self, now: Timestamp) -> bool {
        let is_first = self.state == State::Starting && self.reason == FIRST_CONNECTING && self.trouble.is_none();
        is_first && now.duration_since(self.since) < FIRST_CONNECTING_GRACE
    }

    /// The connection's state in the form that dashboards get.
    pub fn connection(&self) -> ConnectionState {
        match self.state {
            State::Working => ConnectionState::Connected { phone_number: self.phone_number.clone() },
            State::Starting => ConnectionState::Connecting,
            // The phone has scanned: there is no QR code to show.
            state => ConnectionState::Disconnected {
                reason: self.reason.clone(),
                scan_needed: !self.paired && !state.is_ceremony(),
            },
        }
    }
}

/// Changes the status, and tells of another state or reason before anybody else can change it: whoever keeps what was told last, as
/// dashboards and the directory do, keeps what is so. `tell` must not read the status by other ways.
pub(super) fn change(
    status: &watch::Sender<Status>,
    clock: &dyn Clock,
    change: impl FnOnce(&mut Status),
    tell: impl FnOnce(&Status),
) {
    status.send_modify(|status| {
        let (state, reason) = (status.state, status.reason.clone());
        change(status);
        if !status.state.is_ceremony() {
            status.passkey = None;
        }
        if status.state != state || status.reason != reason {
            status.since = clock.now();
            tell(status);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Mutex, mpsc},
        thread,
        time::Duration,
    };

    use super::*;
    use crate::clock::SystemClock;

    fn stopped() -> Status {
        Status { paired: true, ..Status::new(State::Stopped, String::new(), Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn a_first_try_worries_nobody_for_a_moment() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = Status { paired: true, ..Status::new(State::Starting, FIRST_CONNECTING.into(), at(100)) };
        assert!(first.is_just_connecting(at(102)) && !first.is_just_connecting(at(105)));
        let failed = Status { reason: "WhatsApp does not answer".into(), ..first.clone() };
        let unreached = Status { trouble: Some("no route".into()), ..first };
        assert!([failed, unreached, stopped()].iter().all(|status| !status.is_just_connecting(at(102))));
    }

    #[test]
    fn what_is_told_last_is_what_is_so() {
        let (status, told, clock) = (watch::Sender::new(stopped()), Mutex::new(Vec::new()), SystemClock::shared());
        let tell = |status: &Status| told.lock().unwrap().push(status.state);
        thread::scope(|scope| {
            change(
                &status,
                &*clock,
                |status| status.state = State::Starting,
                |starting| {
                    let (is_over, over) = mpsc::channel();
                    let (status, clock, tell) = (&status, &clock, &tell);
                    scope.spawn(move || {
                        change(status, &**clock, |status| status.state = State::Working, tell);
                        let _ = is_over.send(());
                    });
                    // The other one waits for this, or overtakes it.
                    let _ = over.recv_timeout(Duration::from_millis(200));
                    tell(starting);
                },
            );
        });
        assert_eq!(*told.lock().unwrap(), [State::Starting, State::Working]);
        assert_eq!(status.borrow().state, State::Working);
    }
}
