//! Who may do what. For now: the admin key opens everything. Only its hash is kept.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{App, problem::Problem};
use crate::config::Secret;

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

/// Lets a request through that has a key.
pub async fn require(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    if app.keys.open_request(request.headers()) { Ok(next.run(request).await) } else { Err(Problem::unauthorized()) }
}
