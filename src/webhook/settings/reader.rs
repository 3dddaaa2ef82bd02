//! Reads a tenant's webhooks field by field, from somebody who sent them or from what was stored, and names all flaws. Pure, but for the
//! ids of new webhooks.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value, json};
use ulid::Ulid;

use super::{MASK, Retries, RetryPolicy, Webhook, WebhookFlaw, WebhookSettings};
use crate::{
    config::Secret,
    outbound::{self, TargetError},
    waha::{EventName, EventSelection},
};

const MAX_WEBHOOKS: usize = 10;
const MAX_HEADERS: usize = 20;
const MAX_TEXT: usize = 4096;
pub(super) const MAX_METADATA: usize = 8192;
pub(super) const MAX_REST: usize = 16384;

/// The names that are read here; all others are the rest. A country is kept elsewhere.
const OURS: &[&str] = &["webhooks", "metadata", "country"];
const WEBHOOKS: &[&str] = &["id", "url", "events", "hmac", "retries", "customHeaders", "status"];

pub(super) struct WebhookSettingsReader<'a> {
    pub(super) flaws: Vec<WebhookFlaw>,
    before: &'a WebhookSettings,
    /// Ids that are given out already.
    taken: Vec<String>,
    check: &'a dyn Fn(&str) -> Result<Url, TargetError>,
    /// It was taken once: then nothing is a flaw but what has no meaning at all.
    is_stored: bool,
}

impl<'a> WebhookSettingsReader<'a> {
    pub(super) fn new(
        before: &'a WebhookSettings,
        check: &'a dyn Fn(&str) -> Result<Url, TargetError>,
        is_stored: bool,
    ) -> Self {
        Self { flaws: Vec::new(), before, taken: Vec::new(), check, is_stored }
    }
}

impl WebhookSettingsReader<'_> {
    fn flaw(&mut self, field: impl Into<String>, expected: impl Into<String>) {
        self.flaws.push(WebhookFlaw { field: field.into(), expected: expected.into() });
    }

    /// Of what was stored none.
    fn bound(&mut self, field: impl Into<String>, expected: impl Into<String>) {
        if !self.is_stored {
            self.flaw(field, expected);
        }
    }

    pub(super) fn settings(&mut self, given: &Value) -> WebhookSettings {
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
                    Some(MASK) => "expected the key, written anew: a mask keeps it only on the server that has it",
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
                    self.flaw(
                        format!("{at}.value"),
                        "expected the value, written anew: a mask keeps it only on the server that has it",
                    );
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
