//! Firebase ID tokens: people whom the product's Firebase project has signed in.
//!
//! Promises: a token counts only when it is RS256 by a key that Google publishes now, for this project, by its issuer, signed in the
//! past and not expired. Whose tenants they are, the claim `tenants` says (an array of ids); without that claim the tenants'
//! records do (`members`, an array of uids), and what they say is kept for a minute.
//!
//! Facts: <https://firebase.google.com/docs/auth/admin/verify-id-tokens>.

mod google;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::google::PublishedKeys;
use super::{AuthError, Caller, Valid};
use crate::{
    clock::{Clock, Instant},
    config,
    sync::lock,
    tenant::TenantId,
    vault::access::AccessVault,
};

/// The difference that clocks may have.
const LEEWAY: Duration = Duration::from_secs(30);
/// Firebase's are about 1 KiB; its custom claims take 1,000 bytes at the most.
const MAX_LENGTH: usize = 8 * 1024;
/// The time for which the memberships of a user are cached.
const MEMBERS: Duration = Duration::from_secs(60);
/// The same when the vault does not answer.
const MEMBERS_AT_MOST: Duration = Duration::from_secs(3600);
const MOST_MEMBERS: usize = 10_000;

#[derive(Debug)]
pub struct Tokens {
    validation: Validation,
    google: PublishedKeys,
    vault: Arc<dyn AccessVault>,
    clock: Arc<dyn Clock>,
    members: Mutex<HashMap<Arc<str>, Membership>>,
}

#[derive(Debug, Clone)]
struct Membership {
    tenants: Arc<BTreeSet<TenantId>>,
    read_at: Instant,
}

/// Issuer and audience are checked by the library; a claim of the wrong type is no claim.
#[derive(Deserialize)]
struct Claims {
    /// One project, not a list of them.
    #[serde(rename = "aud")]
    _audience: String,
    sub: String,
    exp: i64,
    iat: i64,
    auth_time: Option<i64>,
    tenants: Option<Value>,
}

impl Tokens {
    pub fn new(firebase: &config::Firebase, vault: Arc<dyn AccessVault>, clock: Arc<dyn Clock>) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[&firebase.project]);
        validation.set_issuer(&[format!("https://securetoken.google.com/{}", firebase.project)]);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
        // By our clock, below.
        validation.validate_exp = false;
        let google = PublishedKeys::new(firebase.keys_url.clone(), clock.clone());
        Self { validation, google, vault, clock, members: Mutex::default() }
    }

    /// Fetches Google's keys when they are wanted, until it is told to stop.
    pub async fn keep(&self, stop: CancellationToken) {
        self.google.keep(stop).await;
    }

    /// Finds the caller whose token this is.
    pub async fn open(&self, token: &str) -> Result<Valid, AuthError> {
        if token.len() > MAX_LENGTH {
            return Err(AuthError::Wrong);
        }
        let header = decode_header(token).map_err(|_| AuthError::Wrong)?;
        let (Some(kid), Algorithm::RS256, None) = (header.kid, header.alg, header.crit) else {
            return Err(AuthError::Wrong);
        };
        let key = self.google.key(&kid).await?;
        let claims = decode::<Claims>(token, &key, &self.validation).map_err(|_| AuthError::Wrong)?.claims;
        let expires_at = self.in_time(&claims).ok_or(AuthError::Wrong)?;
        if !(1..=128).contains(&claims.sub.len()) {
            return Err(AuthError::Wrong);
        }
        let uid: Arc<str> = claims.sub.into();
        let tenants = match claims.tenants {
            Some(claim) => Arc::new(claimed(&claim)),
            None => self.memberships(&uid).await?,
        };
        let caller = Caller::User { uid, tenants };
        Ok(Valid { caller, gone: CancellationToken::new(), expires_at: Some(expires_at) })
    }

    /// Returns its end, if it is valid now.
    fn in_time(&self, claims: &Claims) -> Option<Timestamp> {
        let now = self.clock.now();
        let begun = |second| Timestamp::from_second(second).is_ok_and(|at| at <= now + LEEWAY);
        let expires_at = Timestamp::from_second(claims.exp).ok()?.checked_add(LEEWAY).ok()?;
        (expires_at > now && begun(claims.iat) && claims.auth_time.is_none_or(begun)).then_some(expires_at)
    }

    async fn memberships(&self, uid: &Arc<str>) -> Result<Arc<BTreeSet<TenantId>>, AuthError> {
        let now = self.clock.instant();
        let known = self.members().get(uid).cloned();
        let younger = |limit| known.as_ref().filter(|known| now.since(known.read_at) < limit);
        if let Some(known) = younger(MEMBERS) {
            return Ok(known.tenants.clone());
        }
        match self.vault.memberships(uid).await {
            Ok(tenants) => {
                let tenants = Arc::new(tenants);
                let mut members = self.members();
                if members.len() >= MOST_MEMBERS {
                    members.retain(|_, known| now.since(known.read_at) < MEMBERS);
                }
                if members.len() < MOST_MEMBERS {
                    members.insert(uid.clone(), Membership { tenants: tenants.clone(), read_at: now });
                }
                Ok(tenants)
            }
            Err(error) => {
                warn!(event = "members_unreadable", %error, "the members of tenants cannot be read");
                younger(MEMBERS_AT_MOST).map(|known| known.tenants.clone()).ok_or(AuthError::Unavailable)
            }
        }
    }

    fn members(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Membership>> {
        lock(&self.members)
    }
}

/// Reads the tenants of a claim. A text that is no tenant's id names none.
fn claimed(claim: &Value) -> BTreeSet<TenantId> {
    let ids = claim.as_array().into_iter().flatten().filter_map(Value::as_str);
    ids.filter_map(|id| id.parse().ok()).collect()
}
