//! Whom the daemon tells that something is wrong, by which channel, and when.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use lettre::message::Mailbox;

use super::Secret;
use crate::telemetry::alerts::{AlertCondition, AlertLanguage};

/// Whom the daemon tells that something is wrong, and when. Nobody while no channel is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsConfig {
    /// URLs: who has one can write there.
    pub slack: Option<Secret>,
    pub discord: Option<Secret>,
    pub webhook: Option<Secret>,
    /// Signs what goes to `webhook`.
    pub webhook_key: Option<Secret>,
    pub mail: Option<AlertMail>,
    /// Instead of `mail`.
    pub smtp: Option<AlertSmtp>,
    pub language: AlertLanguage,
    /// How often is looked.
    pub interval: Duration,
    /// How long others are waited for when something is due.
    pub gather: Duration,
    /// Of the same condition nobody is told anew for so long.
    pub repeat: Duration,
    /// What is gone for so long is resolved.
    pub clear: Duration,
    pub per_hour: usize,
    /// How long each must last; one that is not here is switched off.
    pub conditions: BTreeMap<AlertCondition, Duration>,
}

/// Mail by a provider's HTTPS API, in the form of Resend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertMail {
    pub url: Secret,
    pub key: Secret,
    pub from: String,
    pub to: Vec<String>,
}

/// Mail by an SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSmtp {
    pub server: SmtpServer,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
}

/// An SMTP server, always reached over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    /// TLS begins by STARTTLS, not with the first byte.
    pub starts_plain: bool,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// Certificates that are trusted instead of the roots that are compiled in.
    pub ca: Option<PathBuf>,
}
