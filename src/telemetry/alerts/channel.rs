//! Where alerts go: by a request, or by mail over SMTP.

use std::time::Duration;

use jiff::Timestamp;

use super::{https::HttpsChannel, outbox::PendingAlert, smtp, words::AlertLanguage};
use crate::{
    config::{self, AlertSmtp},
    outbound::Outbound,
};

/// One place to which alerts go.
#[derive(Debug, Clone)]
pub enum AlertChannel {
    Https(HttpsChannel),
    Smtp(AlertSmtp),
}

/// A receiver did not take a message: why, without its URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct AlertDeliveryError {
    why: String,
    /// It says when to come again.
    pub after: Option<Duration>,
    /// The message itself is wrong for it.
    pub is_refusal: bool,
}

impl AlertDeliveryError {
    pub fn new(why: impl Into<String>, after: Option<Duration>) -> Self {
        Self { why: why.into(), after, is_refusal: false }
    }

    /// The same, whoever is to blame for it.
    pub fn blaming_message(self, is_refusal: bool) -> Self {
        Self { is_refusal, ..self }
    }
}

/// What all channels say it with.
#[derive(Debug, Clone)]
pub struct AlertStyle {
    pub language: AlertLanguage,
    /// Where the console is.
    pub console: String,
}

impl AlertChannel {
    /// All that are set.
    pub fn all(settings: &config::AlertsConfig) -> Vec<Self> {
        let smtp = settings.smtp.clone().map(Self::Smtp);
        HttpsChannel::all(settings).map(Self::Https).chain(smtp).collect()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Https(channel) => channel.name(),
            // The other way of mail is not set then: what waits for one may go by the other.
            Self::Smtp(_) => "mail",
        }
    }

    /// Sends it once.
    pub async fn deliver(
        &self,
        outbound: &Outbound,
        pending: &PendingAlert,
        style: &AlertStyle,
        now: Timestamp,
    ) -> Result<(), AlertDeliveryError> {
        match self {
            Self::Https(channel) => channel.deliver(outbound, pending, style, now).await,
            Self::Smtp(settings) => smtp::deliver(settings, outbound, pending, style).await,
        }
    }
}
