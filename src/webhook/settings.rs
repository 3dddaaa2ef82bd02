//! A tenant's webhooks in WAHA's form: `{webhooks: [{url, events, hmac, retries, customHeaders}], metadata}`, checked field by field.
//! Keys, the values of headers and the password of a proxy are write-only: who reads the settings gets a mask, and a mask that comes back
//! means "as it was". What else WAHA's clients write there (`noweb`, `proxy`, `ignore`, …) is kept and shown, and nothing follows from it:
//! a client that reads the settings, changes a part and writes them back loses nothing.

mod reader;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::{Url, header::HeaderMap};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::reader::WebhookSettingsReader;
use super::form::{HeaderForm, HmacForm, RetriesForm, SessionConfig, WebhookForm};
use crate::{
    config::Secret,
    outbound::{self, TargetError},
    waha::{EventName, EventSelection},
};

/// What a reader gets in the place of a secret.
const MASK: &str = "********";

#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookSettings {
    pub webhooks: Vec<Webhook>,
    /// WAHA's free-form data of the session, sent along with every event. An object.
    pub metadata: Value,
    /// Everything else that was written there, by the names of WAHA's `config`; a proxy's password masked.
    pub rest: Map<String, Value>,
    pub proxy_password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Ours: stays as long as the URL does, and with it its place in the events.
    pub id: String,
    pub url: Url,
    /// As they were given.
    pub events: Vec<String>,
    pub key: Option<Secret>,
    pub retries: Retries,
    pub headers: Vec<(String, Secret)>,
    /// Everything else that was written there.
    pub rest: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retries {
    pub policy: RetryPolicy,
    pub delay: Duration,
    /// The first one counts.
    pub attempts: u32,
}

/// How the wait between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "WebhookPolicy")]
pub enum RetryPolicy {
    Constant,
    Linear,
    Exponential,
}

/// WAHA's defaults.
impl Default for Retries {
    fn default() -> Self {
        Self { policy: RetryPolicy::Linear, delay: Duration::from_secs(2), attempts: 15 }
    }
}

/// What is wrong with settings: where, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFlaw {
    /// Like `webhooks[0].url`.
    pub field: String,
    pub expected: String,
}

impl WebhookSettings {
    /// Checks settings that someone sent. `check` says whether a URL may be named; `before`: the settings that they replace.
    pub fn parse(
        given: &Value,
        before: &Self,
        check: impl Fn(&str) -> Result<Url, TargetError>,
    ) -> Result<Self, Vec<WebhookFlaw>> {
        let mut reader = WebhookSettingsReader::new(before, &check, false);
        let settings = reader.settings(given);
        if reader.flaws.is_empty() { Ok(settings) } else { Err(reader.flaws) }
    }

    /// What was stored; `None`: it cannot be read. A URL that has become forbidden since stays: that is found when a connection is made. So
    /// does whatever else this build would refuse, since another one took it: events that it does not know never come.
    pub fn restore(stored: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(stored).ok()?;
        let (before, check) = (Self::default(), |url: &str| url.parse().map_err(|_| TargetError::Malformed));
        let mut reader = WebhookSettingsReader::new(&before, &check, true);
        let mut settings = reader.settings(&value);
        if !reader.flaws.is_empty() {
            return None;
        }
        for (webhook, stored) in settings.webhooks.iter_mut().zip(value["webhooks"].as_array()?) {
            webhook.id = stored["id"].as_str()?.to_owned();
        }
        Some(settings)
    }

    /// To be stored: with the secrets.
    pub fn store(&self) -> Vec<u8> {
        let form = self.form(|secret| secret.expose().to_owned());
        serde_json::to_vec(&form).expect("settings are plain data, which JSON always takes")
    }

    /// To be shown.
    pub fn show(&self) -> SessionConfig {
        self.form(|_| MASK.to_owned())
    }

    fn form(&self, secret: impl Fn(&Secret) -> String) -> SessionConfig {
        let webhook = |webhook: &Webhook| {
            let Retries { policy, delay, attempts } = webhook.retries;
            let header = |(name, value): &(String, Secret)| HeaderForm { name: name.clone(), value: secret(value) };
            WebhookForm {
                id: webhook.id.clone(),
                url: webhook.url.to_string(),
                events: webhook.events.clone(),
                hmac: webhook.key.as_ref().map(|key| HmacForm { key: secret(key) }),
                retries: RetriesForm { policy, delay_seconds: delay.as_secs_f64(), attempts },
                custom_headers: webhook.headers.iter().map(header).collect(),
                status: None,
                rest: webhook.rest.clone(),
            }
        };
        let mut rest = self.rest.clone();
        if let (Some(password), Some(Value::Object(proxy))) = (&self.proxy_password, rest.get_mut("proxy")) {
            proxy.insert("password".into(), secret(password).into());
        }
        let metadata = if self.metadata.is_null() { json!({}) } else { self.metadata.clone() };
        SessionConfig { webhooks: self.webhooks.iter().map(webhook).collect(), metadata, rest }
    }
}

impl Webhook {
    pub fn wants(&self, name: EventName) -> bool {
        self.events.iter().filter_map(|event| EventSelection::parse(event)).any(|wish| match wish {
            EventSelection::One(wanted) => wanted == name,
            EventSelection::All => true,
            EventSelection::Never => false,
        })
    }

    pub fn custom_headers(&self) -> HeaderMap {
        // Checked when they were set, by this build or another.
        self.headers.iter().filter_map(|(name, value)| outbound::header(name, value.expose()).ok()).collect()
    }
}
