//! The channels that are reached by a request: each gives a message the form that its receiver takes, and posts it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    channel::{AlertDeliveryError, AlertStyle},
    message::{AlertMessage, AlertSection},
    outbox::PendingAlert,
};
use crate::{
    config::{self, AlertMail, Secret},
    outbound::{Outbound, Request, signature},
};

/// What is read of an answer.
const MAX_ANSWER: usize = 16 * 1024;

/// Discord refuses longer ones.
const DISCORD_CHARACTERS: usize = 2000;

/// A receiver makes us wait so long at the most.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Tenants in a section of a message for programs; `total` says how many there are.
const LISTED: usize = 1000;

/// Where alerts go. Its URL is a secret: who has it can write there.
#[derive(Debug, Clone)]
pub enum HttpsChannel {
    Slack(Secret),
    Discord(Secret),
    Webhook { url: Secret, key: Option<Secret> },
    Mail(AlertMail),
}

impl HttpsChannel {
    /// All that are set.
    pub fn all(settings: &config::AlertsConfig) -> impl Iterator<Item = Self> {
        let webhook = settings.webhook.clone();
        let channels = [
            settings.slack.clone().map(Self::Slack),
            settings.discord.clone().map(Self::Discord),
            webhook.map(|url| Self::Webhook { url, key: settings.webhook_key.clone() }),
            settings.mail.clone().map(Self::Mail),
        ];
        channels.into_iter().flatten()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Discord(_) => "discord",
            Self::Webhook { .. } => "webhook",
            Self::Mail(_) => "mail",
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
        let failed = |why: String| AlertDeliveryError::new(why, None);
        let url = outbound.check(self.url().expose()).map_err(|error| failed(format!("the URL {error}")))?;
        let request = self.request(url, pending, style, now);
        let answer = outbound.send(request, MAX_ANSWER).await.map_err(|error| failed(error.to_string()))?;
        let (status, after) = (answer.status, retry_after(&answer.headers));
        let _ = answer.bytes().await;
        if status.is_success() { Ok(()) } else { Err(answered(status, after)) }
    }

    fn url(&self) -> &Secret {
        match self {
            Self::Slack(url) | Self::Discord(url) | Self::Webhook { url, .. } => url,
            Self::Mail(mail) => &mail.url,
        }
    }

    fn request(&self, url: Url, pending: &PendingAlert, style: &AlertStyle, now: Timestamp) -> Request {
        let PendingAlert { id, message, .. } = pending;
        let body = Bytes::from(self.form(id, message, style).to_string());
        let (mut headers, mut secret_headers) = (HeaderMap::new(), HeaderMap::new());
        match self {
            Self::Slack(_) | Self::Discord(_) => {}
            Self::Webhook { key, .. } => {
                headers = signature::headers(id, now.as_millisecond(), &body, key.as_ref());
            }
            Self::Mail(mail) => {
                // The configuration takes visible characters only.
                if let Ok(value) = HeaderValue::from_str(&format!("Bearer {}", mail.key.expose())) {
                    secret_headers.insert(AUTHORIZATION, value);
                }
                if let Ok(value) = HeaderValue::from_str(id) {
                    headers.insert("idempotency-key", value);
                }
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Request { method: Method::POST, url, headers, secret_headers, same_owner: &[], body }
    }

    /// The body.
    fn form(&self, id: &str, message: &AlertMessage, style: &AlertStyle) -> Value {
        let text = message.text(style.language, &style.console);
        match self {
            Self::Slack(_) => json!({ "text": escape(&text) }),
            // Nobody is called by what a message says.
            Self::Discord(_) => {
                json!({ "content": cut(&text, DISCORD_CHARACTERS), "allowed_mentions": { "parse": [] } })
            }
            Self::Webhook { .. } => {
                let alerts: Vec<_> = message.sections.iter().map(|section| section_form(section, style)).collect();
                json!({ "event": "alert", "id": id, "at": message.at, "text": text, "alerts": alerts })
            }
            Self::Mail(mail) => {
                json!({ "from": mail.from, "to": mail.to, "subject": message.subject(style.language), "text": text })
            }
        }
    }
}

fn answered(status: StatusCode, after: Option<Duration>) -> AlertDeliveryError {
    let is_refusal = matches!(status.as_u16(), 400 | 413 | 415 | 422);
    AlertDeliveryError::new(format!("answered {status}"), after).blaming_message(is_refusal)
}

fn section_form(section: &AlertSection, style: &AlertStyle) -> Value {
    let words = section.condition.words(style.language);
    json!({
        "condition": section.condition,
        "state": section.state,
        "since": section.since,
        "tenants": section.tenants.iter().take(LISTED).collect::<Vec<_>>(),
        "total": section.tenants.len(),
        "title": words.title,
        "advice": words.advice,
        "link": section.link(&style.console),
    })
}

/// What Slack reads as its own.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// So many characters at the most.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Seconds; Discord writes them with a fraction.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).ok()?.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::alerts::{condition::AlertCondition, message::AlertState, words::AlertLanguage};

    const NOW: &str = "2026-11-30T12:00:00Z";

    fn pending(tenants: usize) -> PendingAlert {
        let section = AlertSection {
            condition: AlertCondition::Offline,
            state: AlertState::Firing,
            tenants: (0..tenants).map(|n| format!("tenant{n}")).collect(),
            left: 0,
            since: NOW.parse().unwrap(),
        };
        let message = AlertMessage { at: NOW.parse().unwrap(), sections: vec![section], is_last: false };
        PendingAlert { id: "alert_1".into(), message, channels: Default::default() }
    }

    fn style() -> AlertStyle {
        AlertStyle { language: AlertLanguage::English, console: "https://x.example/console/?a=1&b=2".into() }
    }

    fn request(channel: &HttpsChannel, pending: &PendingAlert) -> (Request, Value) {
        let url = channel.url().expose().parse().unwrap();
        let request = channel.request(url, pending, &style(), NOW.parse().unwrap());
        let body = serde_json::from_slice(&request.body).unwrap();
        (request, body)
    }

    #[test]
    fn each_channel_has_its_form() {
        let url = Secret::new("https://hooks.example/T0/B0/secret");
        let (_, slack) = request(&HttpsChannel::Slack(url.clone()), &pending(1));
        let text = slack["text"].as_str().unwrap();
        assert!(text.starts_with("🔴 Not connected to WhatsApp: tenant0\n→ "), "{text}");
        assert!(text.ends_with("https://x.example/console/?a=1&amp;b=2#/t/tenant0"), "{text}");

        let (_, discord) = request(&HttpsChannel::Discord(url.clone()), &pending(1));
        assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
        assert!(discord["content"].as_str().unwrap().contains("tenant0"), "{discord}");

        let webhook = HttpsChannel::Webhook { url: url.clone(), key: Some(Secret::new("my-secret-key")) };
        let (signed, body) = request(&webhook, &pending(1200));
        assert_eq!((&body["event"], &body["id"], &body["at"]), (&json!("alert"), &json!("alert_1"), &json!(NOW)));
        let alert = &body["alerts"][0];
        assert_eq!((&alert["condition"], &alert["state"]), (&json!("offline"), &json!("firing")));
        assert_eq!((&alert["total"], alert["tenants"].as_array().unwrap().len()), (&json!(1200), LISTED));
        let milliseconds = NOW.parse::<Timestamp>().unwrap().as_millisecond();
        let expected = signature::headers("alert_1", milliseconds, &signed.body, Some(&Secret::new("my-secret-key")));
        for name in ["webhook-id", "webhook-signature", "x-webhook-hmac"] {
            assert_eq!(signed.headers[name], expected[name], "{name}");
        }

        let to = vec!["night@kds.example".to_owned()];
        let mail = AlertMail { url, key: Secret::new("re_key"), from: "sessiond@kds.example".into(), to };
        let (request, body) = request(&HttpsChannel::Mail(mail), &pending(2));
        assert_eq!(body["subject"], json!("sessiond: Not connected to WhatsApp: tenant0, tenant1"));
        assert_eq!((&body["from"], &body["to"]), (&json!("sessiond@kds.example"), &json!(["night@kds.example"])));
        assert_eq!(request.secret_headers["authorization"], "Bearer re_key");
        assert!(!request.headers.contains_key("authorization"), "a redirect would carry it elsewhere");
        assert_eq!(request.headers["idempotency-key"], "alert_1");
    }

    #[test]
    fn the_longest_message_is_one_that_discord_takes() {
        let mut pending = pending(0);
        let section = AlertSection {
            tenants: (0..300).map(|n| format!("{n:0>64}")).collect(),
            ..pending.message.sections[0].clone()
        };
        pending.message.sections = vec![section; 5];
        let channel = HttpsChannel::Discord(Secret::new("https://discord.example/api/webhooks/1/secret"));
        let (_, body) = request(&channel, &pending);
        assert_eq!(body["content"].as_str().unwrap().chars().count(), DISCORD_CHARACTERS);
    }

    #[test]
    fn no_url_is_shown() {
        let channel = HttpsChannel::Slack(Secret::new("https://hooks.example/T0/B0/secret"));
        assert!(!format!("{channel:?}").contains("hooks"), "{channel:?}");
    }

    #[test]
    fn only_what_the_message_is_blamed_for_is_a_refusal() {
        let is_refusal = |code| answered(StatusCode::from_u16(code).unwrap(), None).is_refusal;
        assert_eq!([400, 413, 415, 422].map(is_refusal), [true; 4]);
        assert_eq!([401, 403, 404, 408, 429, 500, 503].map(is_refusal), [false; 7]);
    }

    #[test]
    fn a_receiver_says_when_to_come_again() {
        let after = |value: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]));
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(after("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!((after("-1"), after("soon"), after("NaN")), (None, None, None));
    }
}
