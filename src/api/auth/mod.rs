//! Who may do what: a request's key makes its [`Caller`], and a handler asks that one before it does anything for a tenant.
//! Of keys only hashes are kept.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::Response,
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{App, problem::Problem};
use crate::{config::Secret, tenant::TenantId};

/// What a caller wants to do for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See its status, chats and messages.
    Read,
    /// Write to its customers.
    Send,
    /// Pair, disconnect, change its settings.
    Control,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    Admin,
}

impl Caller {
    /// Whether the caller may do this for this tenant.
    pub fn permit(&self, _tenant: &TenantId, _scope: Scope) -> Result<(), Problem> {
        match self {
            Self::Admin => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Put there by `require`; a route without that layer has no callers.
        parts.extensions.get().cloned().ok_or_else(Problem::unauthorized)
    }
}

/// The keys that open the API, hashed.
#[derive(Debug, Clone)]
pub struct Keys {
    admin: [u8; 32],
}

impl Keys {
    pub fn new(admin: &Secret) -> Self {
        Self { admin: hash(admin.expose()) }
    }

    pub fn open(&self, key: &str) -> bool {
        // Both sides are hashes of the same length: neither content nor length tells in the time taken.
        self.admin.ct_eq(&hash(key)).into()
    }

    /// Whether the request has a valid key, as `X-Api-Key` or as Bearer.
    pub fn open_request(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        });
        let key = text(header::HeaderName::from_static("x-api-key")).or(bearer);
        key.is_some_and(|key| self.open(key))
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Lets a request through that has a key, and says whose.
pub async fn require(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Problem> {
    if !app.keys.open_request(request.headers()) {
        return Err(Problem::unauthorized());
    }
    request.extensions_mut().insert(Caller::Admin);
    Ok(next.run(request).await)
}
