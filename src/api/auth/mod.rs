//! The rights of callers: a request's credentials make its [`Caller`], and a handler asks that one before it does anything for a tenant.
//!
//! A route's [`Access`] says who comes in at all ([`pass`]); the tenant and the scope are the handler's to ask about
//! ([`Caller::permit`]). Socket.IO goes through the same [`Auth::identify`]. Never keeps a key, and logs none.

mod brake;
mod caller;
pub mod cors;
mod keys;
mod limits;
mod named;
mod tenant;
mod tokens;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{Extensions, HeaderMap, HeaderName, header},
    middleware::Next,
    response::Response,
};
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use self::{
    brake::Brake,
    limits::{RateLimiter, Subject},
    tokens::Tokens,
};
pub use self::{
    caller::{Caller, MaybeCaller, Scope},
    keys::Keys,
    limits::Action,
    named::NamedTenant,
    tenant::{Controlling, For, Names, ReadingData, ReadingFile, RequestPlace, Sending, TenantRequest},
};
use super::{App, forward, problem::Problem};
use crate::{
    clock::Clock,
    config::{self, Secret},
    listener::{ConnectionHandle, client_address},
    vault::access::{AccessVault, KeyHash},
};

/// The callers that come in at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everybody; those who have a key may be told more.
    Open,
    /// Everybody with a key or a token. The handler asks about the tenant.
    Keyed,
    /// The same, on a route of the old contract: `auth.legacy_open` opens it to everybody.
    Old,
    /// The operator.
    Admin,
    /// The operator, and whoever has a key for what is counted.
    Metrics,
}

/// The settings of the gate.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    pub admin_key: Secret,
    pub auth: config::AuthConfig,
    pub limits: config::Limits,
    pub proxies: config::Proxies,
}

/// A credential that is good now.
#[derive(Debug, Clone)]
pub struct Valid {
    pub caller: Caller,
    /// Cancelled when it is no more, or opens something else.
    pub gone: CancellationToken,
    pub expires_at: Option<Timestamp>,
}

/// The reason why nobody comes in with that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("a key or a token is needed")]
    Missing,
    #[error("the key or token is not valid")]
    Wrong,
    /// Too many wrong keys came from this address: the answer says so.
    #[error("too many wrong keys")]
    TooMany { wait: Duration },
    /// It may be good; nobody can tell now.
    #[error("keys and tokens cannot be checked now")]
    Unavailable,
}

impl From<AuthError> for Problem {
    fn from(denied: AuthError) -> Self {
        match denied {
            AuthError::Missing | AuthError::Wrong => Self::unauthorized(),
            AuthError::TooMany { wait } => Self::too_many(wait),
            AuthError::Unavailable => Self::unavailable("auth_unavailable", "Keys and tokens cannot be checked now"),
        }
    }
}

/// The doorkeeper.
#[derive(Debug)]
pub struct Auth {
    /// As the other keys: hashed.
    admin: KeyHash,
    pub keys: Keys,
    tokens: Option<Tokens>,
    limits: RateLimiter,
    brake: Brake,
    clock: Arc<dyn Clock>,
    settings: AuthSettings,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Auth {
    /// Reads the keys, and from then on keeps them fresh. A vault that does not answer is asked again later.
    pub async fn start(settings: AuthSettings, vault: Arc<dyn AccessVault>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let auth = Arc::new(Self {
            admin: KeyHash::of(settings.admin_key.expose()),
            keys: Keys::new(vault.clone(), clock.clone()),
            tokens: settings.auth.firebase.as_ref().map(|firebase| Tokens::new(firebase, vault, clock.clone())),
            limits: RateLimiter::new(settings.limits.clone(), clock.clone()),
            brake: Brake::new(settings.limits.failures_per_address, clock.clone()),
            clock,
            settings,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        if auth.legacy_open() {
            warn!(event = "legacy_open", "{LEGACY_OPEN}");
        }
        if let Err(error) = auth.keys.refresh().await {
            warn!(event = "keys_unread_at_start", %error, "the keys cannot be read yet");
        }
        let keeping = auth.clone();
        auth.tasks.spawn(async move {
            keeping.keys.keep(keeping.settings.auth.refresh, keeping.stop.clone()).await;
        });
        let keeping = auth.clone();
        auth.tasks.spawn(async move {
            if let Some(tokens) = &keeping.tokens {
                tokens.keep(keeping.stop.clone()).await;
            }
        });
        auth
    }

    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The old contract is open to everybody.
    pub fn legacy_open(&self) -> bool {
        self.settings.auth.legacy_open
    }

    /// Returns what an operator should know.
    pub fn warnings(&self) -> Vec<&'static str> {
        if self.legacy_open() { vec![LEGACY_OPEN] } else { Vec::new() }
    }

    /// Finds the caller who has this key or token.
    pub async fn identify(&self, credential: &str) -> Result<Valid, AuthError> {
        // Both sides are hashes of the same length: neither content nor length tells in the time taken.
        if self.admin.0.ct_eq(&KeyHash::of(credential).0).into() {
            return Ok(Valid { caller: Caller::Admin, gone: CancellationToken::new(), expires_at: None });
        }
        // A token has three parts, a key none.
        match &self.tokens {
            Some(tokens) if credential.contains('.') => tokens.open(credential).await,
            _ => self.keys.open(credential).await,
        }
    }

    /// The same for one who knocks from there: guesses are counted, and slowed down.
    pub async fn identify_from(&self, address: Option<IpAddr>, credential: &str) -> Result<Valid, AuthError> {
        let delay = self.brake.delay(address);
        let identified = self.identify(credential).await;
        let answer = match identified {
            // A key and a token cannot be guessed: whoever has one is not kept waiting for what others do.
            Ok(valid) if valid.caller != Caller::Admin => return Ok(valid),
            Ok(valid) => {
                self.brake.knows(address);
                Ok(valid)
            }
            // Counted before it is answered: who asks again meanwhile, or does not wait for it, wins nothing.
            Err(AuthError::Wrong) => {
                Err(self.brake.failed(address).map_or_else(|wait| AuthError::TooMany { wait }, |()| AuthError::Wrong))
            }
            Err(denied) => return Err(denied),
        };
        if let Some(delay) = delay {
            self.clock.sleep(delay).await;
        }
        answer
    }

    /// Finds the caller of this request: by `X-Api-Key`, or else by Bearer.
    async fn identify_request(&self, address: Option<IpAddr>, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let credential = credential(headers).ok_or(AuthError::Missing)?;
        Ok(self.identify_from(address, credential).await?.caller)
    }

    fn limit(&self, action: Option<Action>, subject: Option<Subject>) -> Result<(), Problem> {
        let (Some(action), Some(subject)) = (action, subject) else { return Ok(()) };
        self.limits.take(action, subject).map_err(Problem::too_many)
    }

    /// The address that a request comes from: as a trusted proxy says, or else the other end of the connection.
    pub fn address(&self, request: &Request) -> Option<IpAddr> {
        self.address_of(request.extensions(), request.headers())
    }

    /// The same of a request that is taken apart.
    pub fn address_of(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(client_address(peer.ip(), headers, &self.settings.proxies))
    }
}

const LEGACY_OPEN: &str =
    "auth.legacy_open: the old contract's routes and events are open to everybody, for every tenant";

fn credential(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    text(HeaderName::from_static("x-api-key")).or(bearer)
}

/// The connection has carried a good key.
fn note_key(extensions: &Extensions) {
    if let Some(connection) = extensions.get::<ConnectionHandle>() {
        connection.note_key();
    }
}

/// The gate of every route: lets a request in or answers it, and says whose it is. `may_take`: see [`forward::run`].
pub async fn pass(
    app: App,
    (access, action): (Access, Option<Action>),
    may_take: bool,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let address = app.auth.address(&request);
    if access == Access::Open {
        // Those who have a key may be told more.
        if let Ok(caller) = app.auth.identify_request(address, request.headers()).await {
            note_key(request.extensions());
            request.extensions_mut().insert(caller);
        }
        return Ok(next.run(request).await);
    }
    let caller = match app.auth.identify_request(address, request.headers()).await {
        // Not for a wrong key: whoever has one should hear that it does not work.
        Err(AuthError::Missing) if access == Access::Old && app.auth.legacy_open() => Caller::Anyone,
        identified => {
            let caller = identified?;
            note_key(request.extensions());
            caller
        }
    };
    // The operator's own systems send for many.
    if caller != Caller::Admin {
        let address = address.map(Subject::address);
        app.auth.limit(action, address)?;
    }
    let subject = match &caller {
        Caller::Key(key) => Some(Subject::Key(key.id.clone())),
        Caller::User { uid, .. } => Some(Subject::User(uid.clone())),
        Caller::Admin | Caller::Anyone => None,
    };
    app.auth.limit(action, subject)?;
    match access {
        Access::Admin => caller.permit_admin()?,
        Access::Metrics => caller.permit_metrics()?,
        Access::Open | Access::Keyed | Access::Old => {}
    }
    request.extensions_mut().insert(caller);
    Ok(forward::run(&app, request, next, may_take).await)
}
