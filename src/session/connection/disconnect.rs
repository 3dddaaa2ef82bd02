//! The table from disconnect reason to next step. Pure.

use std::{fmt, time::Duration};

use crate::telemetry::metrics::label::ConnectionEnd;

/// Why a connection ended, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisconnectReason {
    /// `<failure reason=…>` 401, 403, 406; stream error 401, 516; a conflict that is not a replacement.
    LoggedOut { code: i32 },
    /// We unlinked the device ourselves; `told` whether WhatsApp knows.
    Unlinked { told: bool },
    /// Another connection of this device took over: stream error 409, conflict `replaced` (440 in Baileys' count).
    Replaced,
    /// `<failure reason="402">` with an end.
    Banned { until: Duration },
    /// `<failure reason="405">`.
    Outdated,
    /// Another `<failure>`: 400, 409, 413, 414, 415, 418, or one that we don't know.
    Refused { code: i32 },
    /// `<failure>` 408, 429 or 5xx, stream errors 429, 500, 503, 515.
    Unwell { code: i32 },
    /// The socket ended, fell silent, or could not be opened.
    Dropped,
    /// There was no line to WhatsApp: why.
    Unreachable(String),
    /// WhatsApp took the connection and did not answer the login, or said nothing after it of what it has kept.
    Unanswered,
    /// A frame did not open: what it said is lost, and perhaps all that follows.
    Garbled,
    /// WhatsApp has pushed nothing for so long that the connection may be deaf.
    Quiet,
    /// All QR codes were shown and none was scanned.
    QrExhausted,
    /// WhatsApp refused the pairing.
    PairingFailed,
    /// Another account scanned than the tenant's; the ends of both numbers.
    OtherAccount { expected: String, scanned: String },
    /// Nobody answered WhatsApp's passkey challenge, or compared the codes.
    PasskeyExpired,
    /// The passkey ceremony failed: why.
    PasskeyFailed(String),
    /// Nobody wants to pair any more.
    GivenUp,
    /// Its owner wants it to stay away.
    Stopped,
    /// There is no file descriptor for another line.
    NoDescriptor,
}

/// The step after a disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconnectPlan {
    /// The credentials are dead: wipe them (an entry first) and tell the dashboard that a scan is needed.
    Wipe,
    /// Dial again, with backoff.
    Reconnect,
    /// Dial again at once.
    ReconnectNow,
    /// Ask the vault who owns the tenant. Still we: wait, rebuild once, alert. Another: stop.
    AskOwner,
    /// Dial again when this time has passed.
    WaitFor(Duration),
    /// Fetch the version of WhatsApp Web anew and dial again.
    Update,
    /// Dial again at the slowest pace, and alert.
    RetrySlowly,
    /// Dial again when a file descriptor may be free.
    AwaitDescriptor,
    /// Show a new QR code if someone still wants one.
    NewQr,
}

/// For people.
impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedOut { code } => write!(f, "WhatsApp logged this device out ({code})"),
            Self::Unlinked { told: true } => f.write_str("unlinked"),
            Self::Unlinked { told: false } => {
                f.write_str("unlinked here; WhatsApp could not be told: remove the device on the phone")
            }
            Self::Replaced => f.write_str("another connection of this device took over; trying again"),
            Self::Banned { .. } => f.write_str("banned by WhatsApp for a while"),
            Self::Outdated => f.write_str("WhatsApp calls this version outdated; trying a newer one"),
            Self::Refused { code } => write!(f, "WhatsApp refuses the connection ({code})"),
            Self::Unwell { code } => write!(f, "WhatsApp is unwell ({code}); trying again"),
            Self::Dropped => f.write_str("the connection was lost; trying again"),
            Self::Unreachable(why) => write!(f, "WhatsApp cannot be reached ({why}); trying again"),
            Self::Unanswered => f.write_str("WhatsApp does not answer the login; trying again"),
            Self::Garbled => f.write_str("what WhatsApp sent could not be read; connecting anew"),
            Self::Quiet => f.write_str("testing a quiet connection"),
            Self::QrExhausted => f.write_str("the QR codes ran out"),
            Self::PairingFailed => f.write_str("the pairing failed"),
            Self::OtherAccount { expected, scanned } => write!(
                f,
                "refused: another number ({scanned}) scanned than this session's ({expected}); another one must be allowed first"
            ),
            Self::PasskeyExpired => f.write_str("the time for the passkey is over"),
            Self::PasskeyFailed(why) => write!(f, "the pairing with a passkey failed: {why}"),
            Self::GivenUp => f.write_str("the pairing was given up"),
            Self::Stopped => f.write_str("stopped"),
            Self::NoDescriptor => f.write_str(
                "the process has as many sessions as its limit of open files carries (ulimit -n): waiting for one to end",
            ),
        }
    }
}

impl DisconnectReason {
    /// The metric's label.
    pub fn counted_as(&self) -> ConnectionEnd {
        match self {
            Self::LoggedOut { .. } => ConnectionEnd::LoggedOut,
            Self::Unlinked { .. } => ConnectionEnd::Unlinked,
            Self::Replaced => ConnectionEnd::Replaced,
            Self::Banned { .. } => ConnectionEnd::Banned,
            Self::Outdated => ConnectionEnd::Outdated,
            Self::Refused { .. } => ConnectionEnd::Refused,
            Self::Unwell { .. } => ConnectionEnd::Unwell,
            Self::Dropped => ConnectionEnd::Dropped,
            Self::Unreachable(_) => ConnectionEnd::Unreachable,
            Self::Unanswered => ConnectionEnd::Unanswered,
            Self::Garbled => ConnectionEnd::Garbled,
            Self::Quiet => ConnectionEnd::Quiet,
            Self::QrExhausted => ConnectionEnd::QrExhausted,
            Self::PairingFailed => ConnectionEnd::PairingFailed,
            Self::OtherAccount { .. } => ConnectionEnd::OtherAccount,
            Self::PasskeyExpired => ConnectionEnd::PasskeyExpired,
            Self::PasskeyFailed(_) => ConnectionEnd::PasskeyFailed,
            Self::GivenUp => ConnectionEnd::GivenUp,
            Self::Stopped => ConnectionEnd::Stopped,
            Self::NoDescriptor => ConnectionEnd::NoDescriptor,
        }
    }

    /// True where somebody refused a pairing; false where its time was over, or nobody wanted it any more.
    pub fn refuses_pairing(&self) -> bool {
        matches!(self, Self::PairingFailed | Self::PasskeyFailed(_) | Self::OtherAccount { .. })
    }

    /// The table. Sources: the library's `handle_connect_failure` and `handle_stream_error`, which say of each code whether
    /// WhatsApp Web logs out or connects again.
    pub fn next(&self) -> ReconnectPlan {
        match self {
            // The phone removed the device, or WhatsApp did: the keys open nothing any more.
            Self::LoggedOut { .. } => ReconnectPlan::Wipe,
            Self::Unlinked { .. } => ReconnectPlan::Wipe,
            // The credentials are good; the question is whose they are.
            Self::Replaced => ReconnectPlan::AskOwner,
            Self::Banned { until } => ReconnectPlan::WaitFor(*until),
            Self::Outdated => ReconnectPlan::Update,
            // It would say so again at once, and being insistent makes it worse.
            Self::Refused { .. } => ReconnectPlan::RetrySlowly,
            // WhatsApp restarts the stream. The restart after a pairing is the library's own, and does not get here.
            Self::Unwell { code: 515 } => ReconnectPlan::ReconnectNow,
            Self::Unwell { .. } => ReconnectPlan::Reconnect,
            Self::Dropped | Self::Unanswered | Self::Unreachable(_) => ReconnectPlan::Reconnect,
            // Pings are answered all the same; what was kept back comes with a new login.
            Self::Quiet => ReconnectPlan::ReconnectNow,
            // A lost frame was not acknowledged: WhatsApp sends it again at the next login.
            Self::Garbled => ReconnectPlan::ReconnectNow,
            Self::QrExhausted | Self::PairingFailed | Self::GivenUp => ReconnectPlan::NewQr,
            // Somebody has scanned the old one.
            Self::OtherAccount { .. } => ReconnectPlan::NewQr,
            // A challenge is answered once.
            Self::PasskeyExpired | Self::PasskeyFailed(_) => ReconnectPlan::NewQr,
            // There is no next dial before somebody asks for one.
            Self::Stopped => ReconnectPlan::ReconnectNow,
            Self::NoDescriptor => ReconnectPlan::AwaitDescriptor,
        }
    }
}

/// Whether WhatsApp's code says "not now", of a connection, a request or a message: the meaning that HTTP gives it.
pub fn is_passing(code: u16) -> bool {
    matches!(code, 408 | 425 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_logout_costs_the_credentials() {
        let survivors = [
            DisconnectReason::Replaced,
            DisconnectReason::Banned { until: Duration::from_secs(9) },
            DisconnectReason::Outdated,
            DisconnectReason::Refused { code: 418 },
            DisconnectReason::Unwell { code: 503 },
            DisconnectReason::Unwell { code: 429 },
            DisconnectReason::Dropped,
            DisconnectReason::Unanswered,
            DisconnectReason::Unreachable("refused".into()),
            DisconnectReason::Garbled,
            DisconnectReason::Quiet,
            DisconnectReason::QrExhausted,
            DisconnectReason::PairingFailed,
            DisconnectReason::PasskeyExpired,
            DisconnectReason::PasskeyFailed("401".into()),
            DisconnectReason::GivenUp,
            DisconnectReason::NoDescriptor,
        ];
        assert!(survivors.iter().all(|signal| signal.next() != ReconnectPlan::Wipe));
        // Another code follows, and later each time.
        let refusals = survivors.iter().filter(|signal| signal.refuses_pairing());
        assert_eq!(refusals.map(DisconnectReason::next).collect::<Vec<_>>(), [ReconnectPlan::NewQr; 2]);
        assert_eq!(DisconnectReason::LoggedOut { code: 401 }.next(), ReconnectPlan::Wipe);
        assert_eq!(DisconnectReason::Unlinked { told: false }.next(), ReconnectPlan::Wipe);
    }
}
