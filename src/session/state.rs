//! A session's state, in the words of WAHA's API, and why it is in it.

use jiff::Timestamp;

use super::pairing::passkey::Ceremony;
pub use crate::tenant::State;
use crate::{config::Secret, message::Connection};

/// A QR code to scan, good until `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qr {
    /// What the phone reads: `ref,noise,identity,adv,client`.
    pub code: Secret,
    pub expires_at: Timestamp,
}

/// What is known of a session now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// In words, for operators; never a secret.
    pub reason: String,
    /// Whether there are credentials that WhatsApp has not rejected.
    pub paired: bool,
    /// WhatsApp rejected the credentials, and nobody has scanned since: an operator should know.
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
    /// The same as dashboards are told it.
    pub fn connection(&self) -> Connection {
        match self.state {
            State::Working => Connection::Connected { phone_number: self.phone_number.clone() },
            State::Starting => Connection::Connecting,
            // The phone has scanned: there is no QR code to show.
            state => Connection::Disconnected {
                reason: self.reason.clone(),
                scan_needed: !self.paired && !state.is_ceremony(),
            },
        }
    }
}
