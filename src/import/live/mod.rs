//! The old service's databases while they live: the Realtime Database and Firestore, over REST, with the service account.
//!
//! Owns [`LiveSource`]: the names of what is there, and one tenant of it at a time. What comes back goes through the readers of exports.
//! Promises:
//!
//! - Reads only. Never the whole of a database: names come without what is below them, then the few places of one tenant.
//! - Every answer is bounded in bytes and time, asked for again a few times when there is none, and fetched under the rules of
//!   [`crate::outbound`]. The token goes to the address that the operator named, and to none that it redirects to.
//! - A name of a tenant is one part of a path, whatever it is.

mod firestore;
mod google;
mod realtime;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::Value;
use tokio::time::sleep;

pub use self::google::GoogleTokens;
use super::{ImportError, ImportLimits, RestaurantPlaces, SourceTenant};
use crate::{
    config::{self, Credentials},
    outbound::{Outbound, OutboundError, Request, SystemLookup},
};

/// For a request with its answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// A request without an answer is made so often, with a pause that grows.
const ATTEMPTS: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_millis(400);
/// Bytes of a tenant's state. Credentials have some 10 KiB, with all keys of a busy account 2 MiB.
const TENANT_BYTES: usize = 16 << 20;
/// Bytes of a list of names: 50,000 of the longest that anybody uses.
const NAMES_BYTES: usize = 8 << 20;

/// Why a live database told nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// It may tell later.
    #[error("{place} does not answer: {why}")]
    Silent { place: &'static str, why: String },
    #[error("{place} does not let this service account in ({status})")]
    Denied { place: &'static str, status: u16 },
    #[error("{place} is not there, or is something else: it answers {status}")]
    Absent { place: &'static str, status: u16 },
    #[error("{place} is not asked: {why}")]
    Refused { place: &'static str, why: String },
    #[error("Google's token endpoint gives no token: {why}")]
    NoToken { why: String },
    #[error("the service account cannot be used: {0}")]
    Unusable(&'static str),
    #[error("there are no credentials: configure the service account (FIREBASE_SERVICE_ACCOUNT_KEY)")]
    NoCredentials,
    /// A setting is missing.
    #[error("{0}")]
    Unconfigured(&'static str),
}

impl LiveError {
    /// Stable; for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "unreachable",
            Self::Denied { .. } | Self::NoToken { .. } | Self::Unusable(_) | Self::NoCredentials => "denied",
            Self::Absent { .. } | Self::Refused { .. } => "no_database",
            Self::Unconfigured(_) => "unconfigured",
        }
    }

    /// The same question may be answered later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

/// A database of the old service.
pub struct LiveSource {
    outbound: Outbound,
    tokens: GoogleTokens,
    place: LivePlace,
    limits: ImportLimits,
}

enum LivePlace {
    Realtime(Url),
    /// The documents of its database.
    Firestore(Url),
}

impl LivePlace {
    fn name(&self) -> &'static str {
        match self {
            Self::Realtime(_) => "the Realtime Database",
            Self::Firestore(_) => "Firestore",
        }
    }
}

impl LiveSource {
    /// `url`: another one than the configured.
    pub async fn realtime(
        settings: &config::Import,
        outbound: &config::OutboundConfig,
        url: Option<&str>,
    ) -> Result<Self, LiveError> {
        const MISSING: &str =
            "import.database_url is not set (FIREBASE_DATABASE_URL): it says where the Realtime Database is";
        let url = url.or(settings.database_url.as_deref()).ok_or(LiveError::Unconfigured(MISSING))?;
        Self::open(settings, outbound, url, LivePlace::Realtime).await
    }

    pub async fn firestore(settings: &config::Import, outbound: &config::OutboundConfig) -> Result<Self, LiveError> {
        if settings.project.is_empty() {
            return Err(LiveError::Unconfigured(
                "no project is configured (FIRESTORE_PROJECT_ID, or a service account)",
            ));
        }
        let host = match &settings.credentials {
            Credentials::Emulator(host) => format!("http://{host}"),
            _ => "https://firestore.googleapis.com".to_owned(),
        };
        let (project, database) = (&settings.project, &settings.firestore_database);
        let url = format!("{host}/v1/projects/{project}/databases/{database}/documents");
        Self::open(settings, outbound, &url, LivePlace::Firestore).await
    }

    async fn open(
        settings: &config::Import,
        rules: &config::OutboundConfig,
        url: &str,
        place: fn(Url) -> LivePlace,
    ) -> Result<Self, LiveError> {
        if !config::is_safe(url) {
            return Err(LiveError::Unconfigured("the database has no https address (http on loopback)"));
        }
        let outbound = Outbound::new(rules.allow.clone(), REQUEST_LIMIT, Arc::new(SystemLookup))
            .map_err(|_| LiveError::Unconfigured("no connections with TLS can be made"))?;
        let mut url = outbound.check(url).map_err(|refusal| LiveError::Refused {
            place: "the database",
            why: format!("its address {refusal} (outbound.allow)"),
        })?;
        url.set_query(None);
        url.set_fragment(None);
        let tokens = GoogleTokens::new(outbound.clone(), &settings.credentials, url.scheme() == "http").await?;
        let limits = ImportLimits { tenant_bytes: TENANT_BYTES, ..ImportLimits::of_upload() };
        Ok(Self { outbound, tokens, place: place(url), limits })
    }

    /// Of all that may be tenants, in order.
    pub async fn names(&self) -> Result<Vec<String>, ImportError> {
        match &self.place {
            LivePlace::Realtime(root) => self.realtime_names(root).await,
            LivePlace::Firestore(documents) => self.firestore_names(documents).await,
        }
    }

    /// One tenant. With `only_connected` no more is read of one that was not connected there.
    pub async fn tenant(&self, name: &str, only_connected: bool) -> SourceTenant {
        if !is_name(name) {
            return SourceTenant::new(name, Err(ImportError::NotInSource));
        }
        match &self.place {
            LivePlace::Realtime(root) => self.realtime_tenant(root, name, only_connected).await,
            LivePlace::Firestore(documents) => self.firestore_tenant(documents, name).await,
        }
    }

    /// The menu and the settings of one tenant, alone.
    pub async fn restaurant(&self, name: &str) -> Result<RestaurantPlaces, ImportError> {
        match &self.place {
            LivePlace::Realtime(root) if is_name(name) => self.realtime_places(root, name).await,
            _ => Err(ImportError::NotInSource),
        }
    }

    /// `None`: Firestore has no such document.
    async fn get(&self, url: &Url, what: &'static str, limit: usize) -> Result<Option<Bytes>, ImportError> {
        let mut wait = RETRY_DELAY;
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match self.ask(url.clone(), what, limit).await {
                Err(ImportError::Live(error)) if error.is_transient() && left > 0 => {
                    tracing::debug!(%error, "asked again");
                    sleep(wait).await;
                    wait *= 4;
                }
                // It may have been too old, or revoked.
                Err(ImportError::Live(LiveError::Denied { .. })) if left == ATTEMPTS - 1 && self.tokens.forget() => {}
                answer => return answer,
            }
        }
    }

    async fn ask(&self, url: Url, what: &'static str, limit: usize) -> Result<Option<Bytes>, ImportError> {
        let place = self.place.name();
        let failed = |error| match error {
            OutboundError::TooLarge(limit) => ImportError::TooLarge { what, limit: limit as u64, unit: "bytes" },
            error => silent_or_refused(place, &error).into(),
        };
        let authorization = self.tokens.authorization().await?;
        let secret_headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        let request = Request { secret_headers, ..Request::get(url) };
        let answer = self.outbound.send(request, limit).await.map_err(failed)?;
        let status = answer.status.as_u16();
        match (status, &self.place) {
            (200, _) => Ok(Some(answer.bytes().await.map_err(failed)?)),
            (404, LivePlace::Firestore(_)) => Ok(None),
            (401 | 403, _) => Err(LiveError::Denied { place, status }.into()),
            (408 | 429 | 500.., _) => Err(LiveError::Silent { place, why: format!("it answers {status}") }.into()),
            _ => Err(LiveError::Absent { place, status }.into()),
        }
    }

    async fn get_json(&self, url: &Url, what: &'static str, limit: usize) -> Result<Option<Value>, ImportError> {
        let Some(text) = self.get(url, what, limit).await? else { return Ok(None) };
        let parsed = serde_json::from_slice(&text);
        Ok(Some(parsed.map_err(|error| ImportError::Json { what, line: error.line(), column: error.column() })?))
    }

    fn check_count(&self, names: &[String]) -> Result<(), ImportError> {
        let limit = ImportLimits::default().tenants;
        if names.len() > limit {
            return Err(ImportError::TooLarge { what: "the source", limit: limit as u64, unit: "tenants" });
        }
        Ok(())
    }
}

/// Runs a reader on a thread of its own. What a stranger's bytes break is that tenant's, and not ours.
async fn parse(name: &str, read: impl FnOnce() -> SourceTenant + Send + 'static) -> SourceTenant {
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|_| SourceTenant::new(name, Err(ImportError::OtherFormat("a session that can be read"))))
}

/// Neither database has other names; and none leads to another place.
fn is_name(name: &str) -> bool {
    let is_forbidden = |character: char| character.is_control() || "/.#$[]".contains(character);
    !name.is_empty() && name.len() <= 768 && !name.contains(is_forbidden)
}

/// The address of something below.
fn below(root: &Url, path: &[&str]) -> Url {
    let mut url = root.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(path);
    }
    url
}

fn silent_or_refused(place: &'static str, error: &OutboundError) -> LiveError {
    let why = error.to_string();
    match error {
        OutboundError::Timeout | OutboundError::Unreachable(_) => LiveError::Silent { place, why },
        _ => LiveError::Refused { place, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        let root: Url = "https://kds.firebaseio.com/".parse().unwrap();
        for (name, expected) in [
            ("tenant1700000000000abc", "/tenants/tenant1700000000000abc/baileys_session.json"),
            ("a b?c%2F", "/tenants/a%20b%3Fc%252F/baileys_session.json"),
        ] {
            assert!(is_name(name));
            assert_eq!(below(&root, &["tenants", name, "baileys_session.json"]).path(), expected);
        }
        for name in ["", ".", "..", "a/b", "a#b", "a$", "[", "a\nb", &"x".repeat(769)] {
            assert!(!is_name(name), "{name}");
        }
        let emulator: Url = "http://127.0.0.1:9000/base".parse().unwrap();
        assert_eq!(below(&emulator, &["x.json"]).path(), "/base/x.json");
    }
}
