//! Why a message that was accepted is not sent.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a message failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SendFailure")]
pub struct Failure {
    pub reason: FailureReason,
    /// WhatsApp's code, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// WhatsApp refused it; `code` says how.
    Refused,
    /// The number is not on WhatsApp.
    NotOnWhatsapp,
    /// WhatsApp did not confirm it, however often it was sent. It may have arrived.
    Unconfirmed,
    /// It could not be sent in time.
    Expired,
    /// It was accepted for the account that was paired then; now another one is.
    OtherAccount,
    /// It cannot be encrypted, or addressed.
    Unsendable,
    /// The bot's: somebody else answered in the chat before it left.
    Superseded,
}

impl FailureReason {
    const ALL: [Self; 7] = [
        Self::Refused,
        Self::NotOnWhatsapp,
        Self::Unconfirmed,
        Self::Expired,
        Self::OtherAccount,
        Self::Unsendable,
        Self::Superseded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NotOnWhatsapp => "not_on_whatsapp",
            Self::Unconfirmed => "unconfirmed",
            Self::Expired => "expired",
            Self::OtherAccount => "other_account",
            Self::Unsendable => "unsendable",
            Self::Superseded => "superseded",
        }
    }
}

impl FromStr for FailureReason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(())
    }
}

impl Failure {
    /// WhatsApp's no.
    pub fn refused(code: Option<u16>) -> Self {
        Self { reason: FailureReason::Refused, code }
    }

    /// Nobody said that it did not arrive.
    pub fn may_have_arrived(self) -> bool {
        self.reason == FailureReason::Unconfirmed
    }
}

impl From<FailureReason> for Failure {
    fn from(reason: FailureReason) -> Self {
        Self { reason, code: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} ({code})", self.reason.as_str()),
            None => f.write_str(self.reason.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_everywhere() {
        for reason in FailureReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
