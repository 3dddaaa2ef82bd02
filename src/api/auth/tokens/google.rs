//! The keys that Google publishes for ID tokens.
//!
//! One task fetches, and only when somebody needs a key that is not there or no longer fresh; all who wait share one fetch. Nobody
//! can make it fetch often: an unknown key id does so at most once a minute.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use jsonwebtoken::DecodingKey;
use reqwest::header::CACHE_CONTROL;
use serde::Deserialize;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::super::AuthError;
use crate::clock::{Clock, Instant};

/// For the whole answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 256 * 1024;
/// The lifetime of an answer without `Cache-Control`, and the bounds for one that has it.
const FRESH: Duration = Duration::from_secs(3600);
const FRESH_BOUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
/// The time for which keys are good beyond that, when newer ones cannot be had.
const GRACE: Duration = Duration::from_secs(3600);
/// Between two fetches for the sake of an unknown key id.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two fetches when there is nothing to go by.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct PublishedKeys {
    url: String,
    clock: Arc<dyn Clock>,
    published: watch::Sender<Published>,
    /// The number of the fetch that somebody waits for.
    wanted: watch::Sender<u64>,
}

#[derive(Debug, Clone, Default)]
struct Published {
    keys: HashMap<String, Arc<DecodingKey>>,
    fresh_until: Option<Instant>,
    /// Counts fetches, failed ones too.
    fetches: u64,
    fetched: Option<Instant>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<WebKey>,
}

#[derive(Deserialize)]
struct WebKey {
    kid: String,
    kty: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl PublishedKeys {
    pub(super) fn new(url: String, clock: Arc<dyn Clock>) -> Self {
        Self { url, clock, published: watch::Sender::default(), wanted: watch::Sender::default() }
    }

    /// The key of this id.
    pub(super) async fn key(&self, kid: &str) -> Result<Arc<DecodingKey>, AuthError> {
        let now = self.clock.instant();
        let next = {
            let published = self.published.borrow();
            let known = published.keys.get(kid);
            if let Some(key) = known.filter(|_| published.fresh(now)) {
                return Ok(key.clone());
            }
            let pause = if known.is_none() && !published.keys.is_empty() { PAUSE } else { RETRY };
            if published.fetched.is_some_and(|fetched| now.since(fetched) < pause) {
                return published.fallback(kid, now);
            }
            published.fetches + 1
        };
        let mut published = self.published.subscribe();
        self.wanted.send_if_modified(|wanted| next > std::mem::replace(wanted, next.max(*wanted)));
        // Whatever comes of it, and be it too late.
        let _ = timeout(TIME_LIMIT, published.wait_for(|published| published.fetches >= next)).await;
        let published = self.published.borrow();
        published.fallback(kid, now)
    }

    pub(super) async fn keep(&self, stop: CancellationToken) {
        let client = match client() {
            Ok(client) => client,
            Err(error) => return warn!(event = "google_client_missing", %error, "no client for Google's keys"),
        };
        let mut wanted = self.wanted.subscribe();
        loop {
            let done = self.published.borrow().fetches;
            let asked = stop.run_until_cancelled(wanted.wait_for(|wanted| *wanted > done)).await.is_some();
            let fetched = if asked { stop.run_until_cancelled(fetch(&client, &self.url)).await } else { None };
            let Some(fetched) = fetched else { return };
            let now = self.clock.instant();
            self.published.send_modify(|published| {
                published.fetches += 1;
                published.fetched = Some(now);
                match fetched {
                    Ok((keys, fresh)) => {
                        debug!(keys = keys.len(), fresh.s = fresh.as_secs(), "Google's keys");
                        published.keys = keys;
                        published.fresh_until = Some(now + fresh);
                    }
                    Err(error) => warn!(
                        event = "google_keys_unreachable",
                        error = format!("{error:#}"),
                        "Google's keys cannot be fetched"
                    ),
                }
            });
        }
    }
}

impl Published {
    fn fresh(&self, now: Instant) -> bool {
        self.fresh_until.is_some_and(|until| until > now)
    }

    /// Answers without another fetch, if that is possible.
    fn fallback(&self, kid: &str, now: Instant) -> Result<Arc<DecodingKey>, AuthError> {
        let usable = self.fresh_until.is_some_and(|until| until + GRACE > now);
        match self.keys.get(kid).filter(|_| usable) {
            Some(key) => Ok(key.clone()),
            None if self.fresh(now) => Err(AuthError::Wrong),
            None => Err(AuthError::Unavailable),
        }
    }
}

/// With the roots that are compiled in: the image has none.
fn client() -> anyhow::Result<reqwest::Client> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let redirects = reqwest::redirect::Policy::none();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(TIME_LIMIT).redirect(redirects).build()?)
}

async fn fetch(client: &reqwest::Client, url: &str) -> anyhow::Result<(HashMap<String, Arc<DecodingKey>>, Duration)> {
    let mut answer = client.get(url).send().await?.error_for_status()?;
    let control = answer.headers().get(CACHE_CONTROL).and_then(|control| control.to_str().ok()).unwrap_or_default();
    let fresh = max_age(control).unwrap_or(FRESH).clamp(*FRESH_BOUNDS.start(), *FRESH_BOUNDS.end());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        ensure!(body.len() <= MAX_BODY, "more than {MAX_BODY} bytes");
    }
    let KeySet { keys } = serde_json::from_slice(&body).context("not a set of web keys")?;
    let rsa = keys.into_iter().filter(|key| key.kty == "RSA");
    let keys = rsa.map(|key| Ok((key.kid, Arc::new(DecodingKey::from_rsa_components(&key.n, &key.e)?))));
    let keys: HashMap<_, _> = keys.collect::<anyhow::Result<_>>()?;
    ensure!(!keys.is_empty(), "an empty set");
    Ok((keys, fresh))
}

fn max_age(control: &str) -> Option<Duration> {
    let directive = |text: &str| {
        let (name, value) = text.trim().split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse().ok())?
    };
    control.split(',').find_map(directive).map(Duration::from_secs)
}
