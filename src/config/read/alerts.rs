//! The section `alerts`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::SignedDuration;
use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::{Secret, SettingReader, is_safe};
use crate::{
    config::{AlertMail, AlertSmtp, AlertsConfig, SmtpServer},
    telemetry::alerts::{AlertCondition, AlertLanguage},
};

/// The longest that something may be wrong before somebody is told.
const MAX_DELAY: Duration = Duration::from_secs(86_400);

impl SettingReader<'_> {
    pub(super) fn alerts(&mut self) -> Option<AlertsConfig> {
        let slack = self.receiver("alerts.slack");
        let discord = self.receiver("alerts.discord");
        let webhook = self.receiver("alerts.webhook");
        let webhook_key = Some(self.text("alerts.webhook_key")).filter(|key| !key.is_empty()).map(Secret::new);
        let (mail, smtp) = (self.mail(), self.smtp());
        let language = self.parsed("alerts.language", "es or en", |text| match text {
            "es" => Some(AlertLanguage::Spanish),
            "en" => Some(AlertLanguage::English),
            _ => None,
        });
        let times = (
            self.duration("alerts.interval", 1..=600),
            self.duration("alerts.gather", 0..=600),
            self.duration("alerts.repeat", 0..=86_400),
            self.duration("alerts.clear", 0..=3600),
        );
        let per_hour = self.count("alerts.per_hour", 1..=1000);
        let conditions = self.conditions();
        if webhook_key.is_some() && webhook == Some(None) {
            self.mistake("alerts.webhook_key", "signs what goes to alerts.webhook, which is not set");
        }
        Some(AlertsConfig {
            slack: slack?,
            discord: discord?,
            webhook: webhook?,
            webhook_key,
            mail: mail?,
            smtp: smtp?,
            language: language?,
            interval: times.0?,
            gather: times.1?,
            repeat: times.2?,
            clear: times.3?,
            per_hour: per_hour?,
            conditions: conditions?,
        })
    }

    /// A URL that is a secret: what is wrong with it is said without it. The inner `None`: it is not set.
    fn receiver(&mut self, key: &str) -> Option<Option<Secret>> {
        self.parsed(key, "an https address (http on loopback), or nothing", |text| {
            if text.is_empty() {
                return Some(None);
            }
            is_safe(text).then(|| Some(Secret::new(text)))
        })
    }

    fn mail(&mut self) -> Option<Option<AlertMail>> {
        let url = self.receiver("alerts.mail_url");
        let key = self.text("alerts.mail_key");
        let (from, to) = (self.text("alerts.mail_from"), self.list("alerts.mail_to"));
        if key.is_empty() {
            return Some(None);
        }
        let is_address = |text: &String| text.contains('@') && !text.chars().any(char::is_control);
        if !key.bytes().all(|byte| byte.is_ascii_graphic())
            || !is_address(&from)
            || to.is_empty()
            || to.len() > 50
            || !to.iter().all(is_address)
            || url == Some(None)
        {
            self.mistake(
                "alerts.mail_key",
                "needs alerts.mail_url, alerts.mail_from, and up to 50 addresses in alerts.mail_to",
            );
            return None;
        }
        Some(Some(AlertMail { url: url??, key: Secret::new(key), from, to }))
    }

    fn smtp(&mut self) -> Option<Option<AlertSmtp>> {
        let (url, ca) = (self.text("alerts.smtp_url"), self.text("alerts.smtp_ca"));
        let ca = Some(ca).filter(|path| !path.is_empty()).map(PathBuf::from);
        if url.is_empty() {
            if ca.is_some() {
                self.mistake("alerts.smtp_ca", "is for alerts.smtp_url, which is not set");
                return None;
            }
            if self.text("alerts.mail_key").is_empty() && !self.list("alerts.mail_to").is_empty() {
                self.mistake("alerts.mail_to", "no mail is sent: neither alerts.smtp_url nor alerts.mail_key is set");
                return None;
            }
            return Some(None);
        }
        if !self.text("alerts.mail_key").is_empty() {
            self.mistake("alerts.smtp_url", "and alerts.mail_key are two ways for the same mail: only one may be set");
            return None;
        }
        let (from, to) = (self.text("alerts.mail_from"), self.list("alerts.mail_to"));
        let to: Option<Vec<Mailbox>> = to.iter().map(|text| text.parse().ok()).collect();
        let to = to.filter(|to| (1..=50).contains(&to.len()));
        let (server, from) = (smtp_server(&url, ca), from.parse::<Mailbox>().ok());
        if server.is_none() {
            let expected = "expected smtps://user:password@host:465, or smtp://user:password@host:587 (with STARTTLS)";
            self.mistake("alerts.smtp_url", expected);
        }
        if from.is_none() {
            self.mistake("alerts.mail_from", "expected an address, from which alerts.smtp_url sends");
        }
        if to.is_none() {
            self.mistake("alerts.mail_to", "expected 1 to 50 addresses, to which alerts.smtp_url sends");
        }
        let (Some(server), Some(from), Some(to)) = (server, from, to) else { return None };
        Some(Some(AlertSmtp { server, from, to }))
    }

    fn conditions(&mut self) -> Option<BTreeMap<AlertCondition, Duration>> {
        /// Each has its key here: a test looks for those that nobody reads.
        const KEYS: &[&str] = &[
            "alerts.vault_down",
            "alerts.disk_low",
            "alerts.scan_needed",
            "alerts.banned",
            "alerts.tenant_failed",
            "alerts.unowned",
            "alerts.offline",
            "alerts.silent",
            "alerts.flapping",
            "alerts.outdated",
            "alerts.other_account",
            "alerts.timelocked",
            "alerts.new_chats",
            "alerts.outbox_old",
            "alerts.webhook_failing",
            "alerts.webhook_parked",
            "alerts.handover_failed",
        ];
        let mut delays = Vec::new();
        for (key, condition) in KEYS.iter().zip(AlertCondition::ALL) {
            debug_assert!(key.ends_with(condition.key()), "{key}");
            delays.push(self.parsed(key, "\"off\", or a duration up to 24h, like 90s or 15m", |text| {
                if text == "off" {
                    return Some((*condition, None));
                }
                let delay = Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()?;
                (delay <= MAX_DELAY).then_some((*condition, Some(delay)))
            }));
        }
        let delays: Option<Vec<_>> = delays.into_iter().collect();
        Some(delays?.into_iter().filter_map(|(condition, delay)| Some((condition, delay?))).collect())
    }
}

/// Like `smtps://user:password@host:465`; what a URL has no place for is escaped in it (`%40` for `@`).
fn smtp_server(url: &str, ca: Option<PathBuf>) -> Option<SmtpServer> {
    let url: Url = url.parse().ok()?;
    let starts_plain = match url.scheme() {
        "smtps" => false,
        "smtp" => true,
        _ => return None,
    };
    let host = url.host_str().filter(|host| !host.is_empty())?.trim_matches(['[', ']']).to_owned();
    let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    let plain = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        ("", Some(_)) | (_, None) => return None,
        (user, Some(password)) => Some((plain(user)?, Secret::new(plain(password)?))),
    };
    let port = url.port().unwrap_or(if starts_plain { 587 } else { 465 });
    (!has_more).then_some(SmtpServer { host, port, starts_plain, login, ca })
}
