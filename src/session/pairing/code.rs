//! Pairing by a code that is typed into the phone; and why WhatsApp gives none, in words.

use std::time::Duration;

use tokio::time::timeout;
use whatsapp_rust::{
    ErrorChainExt as _,
    pair_code::{PairCodeError, PairCodeOptions, PairError},
    types::events::Event,
};

use crate::session::{
    ReachError, Session,
    requests::{WHATSAPP_ANSWER_TIMEOUT, pace::RequestKind},
    state::{State, Status},
};

/// WhatsApp may take so long to offer a pairing.
const CODE_WAIT: Duration = Duration::from_secs(30);

/// Somebody who asked for too many codes waits so long, unless WhatsApp says how long.
const THROTTLED: Duration = Duration::from_secs(60);

/// Why there is no pairing code.
#[derive(Debug, thiserror::Error)]
pub enum CodeRequestError {
    #[error("the session is paired already")]
    Paired,
    #[error("WhatsApp did not offer a pairing")]
    NotConnected,
    /// There is no way to WhatsApp: why.
    #[error("WhatsApp cannot be reached: {0}")]
    Unreachable(String),
    /// By another request, meanwhile.
    #[error("the session was stopped")]
    Stopped,
    /// The phone has scanned or was told a code already; what is missing is the account's passkey.
    #[error("WhatsApp asks for a passkey")]
    Passkey,
    /// The tenant is the account of this number.
    #[error("the session belongs to another number: {0}")]
    OtherAccount(String),
    /// It cannot be a phone number: what was expected.
    #[error("{0}")]
    Number(&'static str),
    /// One was given that may still be typed, for so long.
    #[error("a code was given already, and is good for {} s more", .0.as_secs())]
    Outstanding(Duration),
    #[error("too many codes were asked for")]
    TooMany { wait: Duration },
    /// In words.
    #[error("{0}")]
    WhatsApp(String),
}

impl From<PairError> for CodeRequestError {
    fn from(error: PairError) -> Self {
        match &error {
            PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { remaining }) => {
                return Self::Outstanding(*remaining);
            }
            PairError::PairCode(PairCodeError::PhoneNumberNotInternational) => {
                return Self::Number("expected a phone number with its country code, which does not begin with 0");
            }
            PairError::PairCode(PairCodeError::PhoneNumberRequired | PairCodeError::PhoneNumberTooShort) => {
                return Self::Number("expected a phone number with its country code");
            }
            _ => {}
        }
        let words = match error.server_rejection().map(|rejection| rejection.code) {
            Some(429) => return Self::TooMany { wait: error.backoff().unwrap_or(THROTTLED) },
            // WhatsApp says both in the same way.
            Some(400) => {
                "WhatsApp gives this number no code now (400): too many were asked for, or the number is not one of \
                 WhatsApp's; wait some minutes, or scan the QR code"
            }
            Some(403) => "WhatsApp does not allow this number to link a device by a code (403): scan the QR code",
            Some(452) => "WhatsApp does not offer codes to this account (452): scan the QR code",
            Some(500) => "WhatsApp has an error of its own (500): try again",
            Some(404) => "this number is not on WhatsApp (404)",
            _ => return Self::WhatsApp(format!("WhatsApp gives no code: {error}")),
        };
        Self::WhatsApp(words.to_owned())
    }
}

/// Why a typed code or a scan failed, in words; `None`: the event does not say that.
pub fn pairing_error(event: &Event) -> Option<String> {
    Some(match event {
        Event::PairingCodeError(error) => match &error.rejection {
            Some(rejection) => format!("WhatsApp refused the code that was typed ({})", rejection.code()),
            None => "the code that was typed did not work".to_owned(),
        },
        Event::PairingCodeRefresh(_) => "the code is not good any more".to_owned(),
        Event::QrScannedWithoutMultidevice(_) => {
            "the phone that scanned knows no linked devices: its WhatsApp has to be updated".to_owned()
        }
        _ => return None,
    })
}

impl Session {
    /// A code to type into the phone, as the other way to pair. `phone`: digits with the country code.
    pub async fn request_code(&self, phone: &str) -> Result<String, CodeRequestError> {
        if self.status().paired {
            return Err(CodeRequestError::Paired);
        }
        // WhatsApp shows the code on the phone of that number: it is no stranger's.
        if let Some(own) = self.status().expected
            && own != phone
            && !matches!(self.account_change().await, Ok(Some(_)))
        {
            return Err(CodeRequestError::OtherAccount(own));
        }
        self.0.pace.take(RequestKind::Code).map_err(|wait| CodeRequestError::TooMany { wait })?;
        // The library can ask only on a connection that was offered QR codes.
        let settled =
            |status: &Status| matches!(status.state, State::ScanQrCode | State::Working) || status.state.is_ceremony();
        match self.connect_until(CODE_WAIT, settled).await {
            Ok(status) if status.paired => return Err(CodeRequestError::Paired),
            Ok(status) if status.state.is_ceremony() => return Err(CodeRequestError::Passkey),
            Ok(_) => {}
            Err(ReachError::Stopped) => return Err(CodeRequestError::Stopped),
            Err(ReachError::Unreachable(reason)) => return Err(CodeRequestError::Unreachable(reason)),
            Err(ReachError::TimedOut) => return Err(CodeRequestError::NotConnected),
        }
        let client = self.0.client.borrow().clone().ok_or(CodeRequestError::NotConnected)?;
        let options = PairCodeOptions { phone_number: phone.to_owned(), ..Default::default() };
        match timeout(WHATSAPP_ANSWER_TIMEOUT, client.pair_with_code(options)).await {
            Ok(code) => Ok(code?),
            Err(_) => Err(CodeRequestError::NotConnected),
        }
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::request::IqError;

    use super::*;

    fn refused(code: u16, backoff: Option<u32>) -> CodeRequestError {
        let text = String::new();
        PairError::RequestFailed(IqError::ServerError { code, text, error_type: None, backoff }).into()
    }

    #[test]
    fn a_refusal_says_in_words_why_and_what_to_do() {
        for (code, words) in [
            (400, "too many were asked for"),
            (403, "scan the QR code"),
            (404, "not on WhatsApp"),
            (452, "does not offer codes"),
            (500, "try again"),
            (418, "418"),
        ] {
            let said = refused(code, None).to_string();
            assert!(said.contains(words) && said.contains(&code.to_string()), "{code}: {said}");
        }
        for (backoff, seconds) in [(Some(7), 7), (None, THROTTLED.as_secs())] {
            let CodeRequestError::TooMany { wait } = refused(429, backoff) else { panic!("429 is a matter of time") };
            assert_eq!(wait.as_secs(), seconds);
        }
        let remaining = Duration::from_secs(90);
        let outstanding =
            CodeRequestError::from(PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { remaining }));
        assert_eq!(outstanding.to_string(), "a code was given already, and is good for 90 s more");
    }
}
