//! A tenant's webhooks in WAHA's form: `{webhooks: [{url, events, hmac, retries, customHeaders}], metadata}`, checked field by field.
//! Keys, the values of headers and the password of a proxy are write-only: who reads the settings gets a mask, and a mask that comes back
//! means "as it was". What else WAHA's clients write there (`noweb`, `proxy`, `ignore`, …) is kept and shown, and nothing follows from it:
//! a client that reads the settings, changes a part and writes them back loses nothing.

use std::time::Duration;

use reqwest::{Url, header::HeaderMap};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use ulid::Ulid;

use super::form::{HeaderForm, HmacForm, RetriesForm, SessionConfig, WebhookForm};
use crate::{
    config::Secret,
    outbound::{self, TargetError},
    waha::{EventName, EventSelection},
};

/// What a reader gets in the place of a secret.
const MASK: &str = "********";

const MAX_WEBHOOKS: usize = 10;
const MAX_HEADERS: usize = 20;
const MAX_TEXT: usize = 4096;
const MAX_METADATA: usize = 8192;
const MAX_REST: usize = 16384;

/// The names that are read here; all others are the rest. A country is kept elsewhere.
const OURS: &[&str] = &["webhooks", "metadata", "country"];
const WEBHOOKS: &[&str] = &["id", "url", "events", "hmac", "retries", "customHeaders", "status"];

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
        let mut reader = Reader { flaws: Vec::new(), before, taken: Vec::new(), check: &check, is_stored: false };
        let settings = reader.settings(given);
        if reader.flaws.is_empty() { Ok(settings) } else { Err(reader.flaws) }
    }

    /// What was stored; `None`: it cannot be read. A URL that has become forbidden since stays: that is found when a connection is made. So
    /// does whatever else this build would refuse, since another one took it: events that it does not know never come.
    pub fn restore(stored: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(stored).ok()?;
        let (before, check) = (Self::default(), |url: &str| url.parse().map_err(|_| TargetError::Malformed));
        let mut reader =
            Reader { flaws: Vec::new(), before: &before, taken: Vec::new(), check: &check, is_stored: true };
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

struct Reader<'a> {
    flaws: Vec<WebhookFlaw>,
    before: &'a WebhookSettings,
    /// Ids that are given out already.
    taken: Vec<String>,
    check: &'a dyn Fn(&str) -> Result<Url, TargetError>,
    /// It was taken once: then nothing is a flaw but what has no meaning at all.
    is_stored: bool,
}

impl Reader<'_> {
    fn flaw(&mut self, field: impl Into<String>, expected: impl Into<String>) {
        self.flaws.push(WebhookFlaw { field: field.into(), expected: expected.into() });
    }

    /// Of what was stored none.
    fn bound(&mut self, field: impl Into<String>, expected: impl Into<String>) {
        if !self.is_stored {
            self.flaw(field, expected);
        }
    }

    fn settings(&mut self, given: &Value) -> WebhookSettings {
        if !given.is_object() {
            self.flaw("config", "expected {webhooks, metadata}");
        }
        let metadata = match &given["metadata"] {
            Value::Null => json!({}),
            metadata @ Value::Object(_) if self.is_stored || metadata.to_string().len() <= MAX_METADATA => {
                metadata.clone()
            }
            _ => {
                self.flaw("metadata", format!("expected an object of at most {MAX_METADATA} bytes"));
                Value::Null
            }
        };
        let webhooks = match &given["webhooks"] {
            Value::Null => Vec::new(),
            Value::Array(list) if self.is_stored || list.len() <= MAX_WEBHOOKS => {
                list.iter().enumerate().filter_map(|(n, webhook)| self.webhook(n, webhook)).collect()
            }
            _ => {
                self.flaw("webhooks", format!("expected a list of at most {MAX_WEBHOOKS}"));
                Vec::new()
            }
        };
        let mut rest = rest(given, OURS);
        let proxy_password = self.proxy_password(&mut rest);
        let settings = WebhookSettings { webhooks, metadata, rest, proxy_password };
        let hooks = settings.webhooks.iter().map(|webhook| &webhook.rest);
        let bytes: usize = hooks.chain([&settings.rest]).map(|rest| json!(rest).to_string().len()).sum();
        if bytes > MAX_REST {
            self.bound("config", format!("expected at most {MAX_REST} bytes beside webhooks and metadata"));
        }
        settings
    }

    /// Takes the password out of the proxy, and leaves a mask there.
    fn proxy_password(&mut self, rest: &mut Map<String, Value>) -> Option<Secret> {
        let Some(Value::Object(proxy)) = rest.get_mut("proxy") else { return None };
        let Some(Value::String(password)) = proxy.get_mut("password") else { return None };
        if password.is_empty() {
            return None;
        }
        let given = std::mem::replace(password, MASK.to_owned());
        if given != MASK {
            return Some(Secret::new(given));
        }
        let before = self.before.proxy_password.clone();
        if before.is_none() {
            self.flaw("proxy.password", "expected the password: none is known here");
        }
        before
    }

    fn webhook(&mut self, n: usize, given: &Value) -> Option<Webhook> {
        let at = format!("webhooks[{n}]");
        let url = match given["url"].as_str().map(|url| (self.check)(url)) {
            Some(Ok(url)) => Some(url),
            Some(Err(refusal)) => {
                self.flaw(format!("{at}.url"), refusal.to_string());
                None
            }
            None => {
                self.flaw(format!("{at}.url"), "expected a URL");
                None
            }
        };
        let before = url.as_ref().and_then(|url| self.predecessor(url, given["id"].as_str()));
        let events = self.events(&at, &given["events"]);
        let key = self.key(&at, &given["hmac"], before.as_ref());
        let retries = self.retries(&at, &given["retries"]);
        let headers = self.headers(&at, &given["customHeaders"], before.as_ref());
        let id = before.map_or_else(|| Ulid::generate().to_string().to_lowercase(), |before| before.id);
        self.taken.push(id.clone());
        Some(Webhook { id, url: url?, events, key, retries, headers, rest: rest(given, WEBHOOKS) })
    }

    /// The webhook that had this URL until now, or another one on the same server: to no other server do its secrets go unsaid.
    fn predecessor(&self, url: &Url, id: Option<&str>) -> Option<Webhook> {
        let free = || self.before.webhooks.iter().filter(|before| !self.taken.contains(&before.id));
        let same = |before: &&Webhook| id.is_some_and(|id| id == before.id);
        let stays = || free().find(|before| same(before) && before.url == *url);
        let had_url = || free().find(|before| before.url == *url);
        let moved = || free().find(|before| same(before) && before.url.origin() == url.origin());
        stays().or_else(had_url).or_else(moved).cloned()
    }

    fn events(&mut self, at: &str, given: &Value) -> Vec<String> {
        let names: Option<Vec<_>> = given.as_array().map(|list| list.iter().map(Value::as_str).collect());
        let Some(names) = names.filter(|names| self.is_stored || (1..=64).contains(&names.len())) else {
            self.flaw(format!("{at}.events"), "expected a list of events, like [\"message\"] or [\"*\"]");
            return Vec::new();
        };
        for (n, name) in names.iter().enumerate() {
            if name.and_then(EventSelection::parse).is_none() {
                let known = EventName::ALL.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                self.bound(format!("{at}.events[{n}]"), format!("expected one of {known}, or *"));
            }
        }
        names.into_iter().flatten().map(str::to_owned).collect()
    }

    fn key(&mut self, at: &str, given: &Value, before: Option<&Webhook>) -> Option<Secret> {
        match &given["key"] {
            Value::Null if given.is_null() || given.is_object() => None,
            Value::String(key) if key.is_empty() => None,
            Value::String(key) if key == MASK && before.is_some_and(|before| before.key.is_some()) => {
                before.and_then(|before| before.key.clone())
            }
            Value::String(key) if !self.is_stored && key != MASK && !outbound::signature::is_key(key) => {
                self.flaw(format!("{at}.hmac.key"), "expected base64 after whsec_");
                None
            }
            Value::String(key) if (self.is_stored || key.len() <= MAX_TEXT) && key != MASK => {
                Some(Secret::new(key.as_str()))
            }
            _ => {
                let expected = match given["key"].as_str() {
                    Some(MASK) => "expected the key: none is known of this URL",
                    _ => "expected a text of at most 4096 bytes",
                };
                self.flaw(format!("{at}.hmac.key"), expected);
                None
            }
        }
    }

    fn retries(&mut self, at: &str, given: &Value) -> Retries {
        let default = Retries::default();
        if !given.is_null() && !given.is_object() {
            self.flaw(format!("{at}.retries"), "expected {policy, delaySeconds, attempts}");
            return default;
        }
        let policy = match &given["policy"] {
            Value::Null => default.policy,
            Value::String(name) if name == "constant" => RetryPolicy::Constant,
            Value::String(name) if name == "linear" => RetryPolicy::Linear,
            Value::String(name) if name == "exponential" => RetryPolicy::Exponential,
            _ => {
                self.bound(format!("{at}.retries.policy"), "expected constant, linear or exponential");
                default.policy
            }
        };
        let mut number = |name: &str, range: std::ops::RangeInclusive<f64>, default: f64| {
            let number = if given[name].is_null() { Some(default) } else { given[name].as_f64() };
            let number =
                number.map(|number| if self.is_stored { number.clamp(*range.start(), *range.end()) } else { number });
            number.filter(|number| range.contains(number)).unwrap_or_else(|| {
                let expected = format!("expected a number from {} to {}", range.start(), range.end());
                self.bound(format!("{at}.retries.{name}"), expected);
                default
            })
        };
        let delay = Duration::from_secs_f64(number("delaySeconds", 0.0..=3600.0, default.delay.as_secs_f64()));
        // WAHA's 0: no retries.
        let attempts = number("attempts", 0.0..=100.0, f64::from(default.attempts)).max(1.0) as u32;
        Retries { policy, delay, attempts }
    }

    fn headers(&mut self, at: &str, given: &Value, before: Option<&Webhook>) -> Vec<(String, Secret)> {
        let list = match given {
            Value::Null => return Vec::new(),
            Value::Array(list) if self.is_stored || list.len() <= MAX_HEADERS => list,
            _ => {
                self.flaw(format!("{at}.customHeaders"), format!("expected a list of at most {MAX_HEADERS}"));
                return Vec::new();
            }
        };
        let mut headers = Vec::new();
        for (n, header) in list.iter().enumerate() {
            let at = format!("{at}.customHeaders[{n}]");
            let (Some(name), Some(value)) = (header["name"].as_str(), header["value"].as_str()) else {
                self.flaw(at, "expected {name, value}");
                continue;
            };
            let known =
                before.and_then(|before| before.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
            let value = match known {
                Some((_, known)) if value == MASK => known.clone(),
                None if value == MASK => {
                    self.flaw(format!("{at}.value"), "expected the value: none is known of this header of this URL");
                    continue;
                }
                _ => Secret::new(value),
            };
            match outbound::header(name, value.expose()) {
                // One that this build would not send is not sent ([`Webhook::custom_headers`]).
                _ if self.is_stored => headers.push((name.to_owned(), value)),
                Ok(_) if value.expose().len() <= MAX_TEXT => headers.push((name.to_owned(), value)),
                Ok(_) => self.flaw(format!("{at}.value"), "expected at most 4096 bytes"),
                Err(expected) => {
                    let part = if outbound::header(name, "").is_ok() { "value" } else { "name" };
                    self.flaw(format!("{at}.{part}"), expected);
                }
            }
        }
        headers
    }
}

/// All of an object but the fields of these names.
fn rest(given: &Value, known: &[&str]) -> Map<String, Value> {
    let fields = given.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| !known.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::outbound::Allow;

    use super::*;

    fn parse(given: Value, before: &WebhookSettings) -> Result<WebhookSettings, Vec<WebhookFlaw>> {
        let outbound = crate::outbound::Outbound::new(
            Allow::default(),
            Duration::from_secs(1),
            std::sync::Arc::new(crate::outbound::SystemLookup),
        )
        .unwrap();
        WebhookSettings::parse(&given, before, |url| outbound.check(url))
    }

    fn full() -> Value {
        json!({
            "metadata": { "user.id": "7" },
            "webhooks": [{
                "url": "https://example.com/hook",
                "events": ["message", "session.status", "presence.update"],
                "hmac": { "key": "your-secret-key" },
                "retries": { "policy": "exponential", "delaySeconds": 0.5, "attempts": 3 },
                "customHeaders": [{ "name": "Authorization", "value": "Bearer x" }],
            }],
        })
    }

    #[test]
    fn wahas_form_is_taken_and_kept() {
        let settings = parse(full(), &WebhookSettings::default()).unwrap();
        let webhook = &settings.webhooks[0];
        assert_eq!(webhook.retries.policy, RetryPolicy::Exponential);
        assert_eq!((webhook.retries.delay, webhook.retries.attempts), (Duration::from_millis(500), 3));
        assert!(webhook.wants(EventName::Message) && !webhook.wants(EventName::MessageAny));
        assert_eq!(webhook.custom_headers()["authorization"], "Bearer x");
        assert_eq!(WebhookSettings::restore(&settings.store()), Some(settings));
    }

    #[test]
    fn the_least_that_wahas_clients_send_is_enough() {
        let webhook = json!({ "url": "https://example.com/", "events": ["*"], "hmac": null, "retries": null, "customHeaders": null });
        let settings = parse(json!({ "webhooks": [webhook] }), &WebhookSettings::default()).unwrap();
        assert_eq!(settings.webhooks[0].retries, Retries::default());
        assert_eq!(settings.metadata, json!({}));
        assert_eq!(parse(json!({}), &WebhookSettings::default()).unwrap().webhooks, []);
    }

    #[test]
    fn secrets_are_not_shown_and_their_masks_keep_them() {
        let settings = parse(full(), &WebhookSettings::default()).unwrap();
        let shown = json!(settings.show());
        assert!(!shown.to_string().contains("secret") && !shown.to_string().contains("Bearer"), "{shown}");
        assert!(!format!("{settings:?}").contains("your-secret-key"));
        assert_eq!(parse(shown.clone(), &settings).unwrap(), settings);
        // A mask is no key of a webhook that has none.
        assert!(parse(shown, &WebhookSettings::default()).is_err());
    }

    #[test]
    fn what_wahas_clients_write_beside_is_kept_and_a_password_is_masked() {
        let mut given = full();
        given["noweb"] = json!({ "markOnline": true, "store": { "enabled": true, "fullSync": false } });
        given["proxy"] = json!({ "server": "proxy:3128", "username": "u", "password": "open sesame" });
        given["ignore"] = json!({ "status": null });
        given["webhooks"][0]["name"] = json!("orders");
        let settings = parse(given, &WebhookSettings::default()).unwrap();
        let shown = json!(settings.show());
        assert_eq!(shown["noweb"]["store"]["enabled"], true);
        assert_eq!((&shown["ignore"], &shown["webhooks"][0]["name"]), (&json!({ "status": null }), &json!("orders")));
        assert_eq!(shown["proxy"], json!({ "server": "proxy:3128", "username": "u", "password": MASK }));
        assert!(!format!("{settings:?}").contains("sesame"));
        assert_eq!(parse(shown.clone(), &settings).unwrap(), settings);
        assert_eq!(WebhookSettings::restore(&settings.store()), Some(settings));
        assert_eq!(parse(shown, &WebhookSettings::default()).unwrap_err().last().unwrap().field, "proxy.password");
        let much = json!({ "noweb": "x".repeat(MAX_REST) });
        assert_eq!(parse(much, &WebhookSettings::default()).unwrap_err()[0].field, "config");
    }

    #[test]
    fn secrets_follow_their_webhook_on_its_server_and_to_no_other() {
        let settings = parse(full(), &WebhookSettings::default()).unwrap();
        let mut shown = json!(settings.show());
        shown["webhooks"][0]["url"] = json!("https://example.com/another");
        let moved = parse(shown.clone(), &settings).unwrap();
        assert_eq!(
            (&moved.webhooks[0].id, &moved.webhooks[0].key),
            (&settings.webhooks[0].id, &settings.webhooks[0].key)
        );
        assert_eq!(moved.webhooks[0].headers, settings.webhooks[0].headers);
        shown["webhooks"][0]["url"] = json!("https://example.org/hook");
        let flaws = parse(shown, &settings).unwrap_err();
        let fields: Vec<_> = flaws.iter().map(|flaw| flaw.field.as_str()).collect();
        assert_eq!(fields, ["webhooks[0].hmac.key", "webhooks[0].customHeaders[0].value"]);
    }

    #[test]
    fn a_webhook_keeps_its_place_with_its_url() {
        let settings = parse(full(), &WebhookSettings::default()).unwrap();
        let mut given = full();
        given["webhooks"][0]["events"] = json!(["*"]);
        let twin = given["webhooks"][0].clone();
        given["webhooks"].as_array_mut().unwrap().push(twin);
        let changed = parse(given, &settings).unwrap();
        assert_eq!(changed.webhooks[0].id, settings.webhooks[0].id);
        assert_ne!(changed.webhooks[1].id, settings.webhooks[0].id);
    }

    /// Another build wrote it: with an event that this one does not know, and more of everything than this one takes.
    #[test]
    fn what_this_build_would_not_take_is_restored_all_the_same() {
        let mut stored: Value =
            serde_json::from_slice(&parse(full(), &WebhookSettings::default()).unwrap().store()).unwrap();
        let webhook = &mut stored["webhooks"][0];
        webhook["events"] = json!(["message", "x.y"]);
        webhook["retries"]["attempts"] = json!(1000);
        webhook["customHeaders"].as_array_mut().unwrap().push(json!({ "name": "Host", "value": "x" }));
        stored["metadata"] = json!({ "long": "x".repeat(2 * MAX_METADATA) });
        let bytes = serde_json::to_vec(&stored).unwrap();
        let settings = WebhookSettings::restore(&bytes).expect("it is a webhook");
        let webhook = &settings.webhooks[0];
        assert!(webhook.wants(EventName::Message) && !webhook.wants(EventName::MessageAny));
        assert_eq!(
            (webhook.id.as_str(), webhook.url.as_str()),
            (stored["webhooks"][0]["id"].as_str().unwrap(), "https://example.com/hook")
        );
        assert_eq!(webhook.events, ["message", "x.y"], "whoever knows it finds it again");
        assert_eq!(settings.metadata, stored["metadata"]);
        // What is shown can be written back.
        assert_eq!(WebhookSettings::restore(&settings.store()), Some(settings));
        for garbage in [&b"{"[..], b"[]", br#"{"webhooks":[{"id":"a"}]}"#] {
            assert!(WebhookSettings::restore(garbage).is_none());
        }
    }

    #[test]
    fn every_flaw_is_named_with_its_field() {
        let given = json!({
            "metadata": 1,
            "webhooks": [
                {
                    "url": "http://169.254.169.254/", "events": ["message", "mesage"], "hmac": { "key": 7 },
                    "retries": { "policy": "often", "delaySeconds": -1, "attempts": 1000 },
                    "customHeaders": [{ "name": "Host", "value": "x" }, { "name": "x" }, { "name": "X", "value": "a\r\nb" }],
                },
                { "events": [], "hmac": { "key": "whsec_!!" } },
                "https://example.com/",
            ],
        });
        let flaws = parse(given, &WebhookSettings::default()).unwrap_err();
        let fields: Vec<_> = flaws.iter().map(|flaw| flaw.field.as_str()).collect();
        let expected = [
            "metadata",
            "webhooks[0].url",
            "webhooks[0].events[1]",
            "webhooks[0].hmac.key",
            "webhooks[0].retries.policy",
            "webhooks[0].retries.delaySeconds",
            "webhooks[0].retries.attempts",
            "webhooks[0].customHeaders[0].name",
            "webhooks[0].customHeaders[1]",
            "webhooks[0].customHeaders[2].value",
            "webhooks[1].url",
            "webhooks[1].events",
            "webhooks[1].hmac.key",
            "webhooks[2].url",
            "webhooks[2].events",
        ];
        assert_eq!(fields, expected);
    }
}
