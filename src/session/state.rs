//! A session's state, in the words of WAHA's API, and why it is in it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::passkey::Ceremony;
use crate::{config::Secret, message::Connection};

/// A session's state, in WAHA's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "SessionState")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Not connected and not trying to be.
    Stopped,
    /// Connecting.
    Starting,
    /// Waiting for a scan or a code.
    ScanQrCode,
    /// WhatsApp asks for a passkey, to link this account.
    PasskeyRequired,
    /// A code must be compared with the phone's.
    PasskeyConfirmationRequired,
    Working,
    /// Not without help: see the reason.
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::ScanQrCode => "SCAN_QR_CODE",
            Self::PasskeyRequired => "PASSKEY_REQUIRED",
            Self::PasskeyConfirmationRequired => "PASSKEY_CONFIRMATION_REQUIRED",
            Self::Working => "WORKING",
            Self::Failed => "FAILED",
        }
    }

    /// In the middle of a passkey ceremony.
    pub fn is_ceremony(self) -> bool {
        matches!(self, Self::PasskeyRequired | Self::PasskeyConfirmationRequired)
    }
}

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
    pub push_name: Option<String>,
    pub qr: Option<Qr>,
    /// In the states of a ceremony, and in no other.
    pub passkey: Option<Ceremony>,
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
