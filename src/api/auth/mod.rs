//! Who may do what: what a request brings makes its [`Caller`], and a handler asks that one before it does anything for a tenant.
//!
//! A route's [`Access`] says who comes in at all ([`pass`]); the tenant and the scope are the handler's to ask about
//! ([`Caller::permit`]). Socket.IO goes through the same [`Auth::identify`]. Never keeps a key, and logs none.

mod caller;
pub mod cors;
mod keys;
mod limits;
mod tenant;
mod tokens;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, header},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

pub use self::{
    caller::{Caller, Scope},
    keys::Keys,
    limits::Action,
    tenant::{Asked, Controlling, For, Names, Reading, Sending},
};
use self::{
    limits::{Limits, Subject},
    tokens::Tokens,
};
use super::{App, problem::Problem};
use crate::{
    clock::Clock,
    config::{self, Secret},
    vault::access::{AccessVault, KeyHash},
};

/// Who comes in at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everybody; those who have a key may be told more.
    Open,
    /// Whoever has a key or a token. The handler asks about the tenant.
    Keyed,
    /// The same, on a route of the old contract: `auth.legacy_open` opens it to everybody.
    Old,
    /// The operator.
    Admin,
}

/// What the gate goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    pub admin_key: Secret,
    pub auth: config::Auth,
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

/// Why nobody comes in with that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("a key or a token is needed")]
    Missing,
    #[error("the key or token is not valid")]
    Wrong,
    /// It may be good; nobody can tell now.
    #[error("keys and tokens cannot be checked now")]
    Unavailable,
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Missing | Denied::Wrong => Self::unauthorized(),
            Denied::Unavailable => Self::unavailable("auth_unavailable", "Keys and tokens cannot be checked now"),
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
    limits: Limits,
    settings: Settings,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Auth {
    /// Reads the keys, and from then on keeps them fresh. A vault that does not answer is asked again later.
    pub async fn start(settings: Settings, vault: Arc<dyn AccessVault>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let auth = Arc::new(Self {
            admin: KeyHash::of(settings.admin_key.expose()),
            keys: Keys::new(vault.clone(), clock.clone()),
            tokens: settings.auth.firebase.as_ref().map(|firebase| Tokens::new(firebase, vault, clock.clone())),
            limits: Limits::new(settings.limits.clone(), clock),
            settings,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        if auth.legacy_open() {
            warn!("{LEGACY_OPEN}");
        }
        if let Err(error) = auth.keys.refresh().await {
            warn!(%error, "the keys cannot be read yet");
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

    /// Whether the old contract is open to everybody.
    pub fn legacy_open(&self) -> bool {
        self.settings.auth.legacy_open
    }

    /// What an operator should know.
    pub fn warnings(&self) -> Vec<&'static str> {
        if self.legacy_open() { vec![LEGACY_OPEN] } else { Vec::new() }
    }

    /// Who has this key or token.
    pub async fn identify(&self, credential: &str) -> Result<Valid, Denied> {
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

    /// Who sends this request: by `X-Api-Key`, or else by Bearer.
    pub async fn identify_request(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let credential = credential(headers).ok_or(Denied::Missing)?;
        Ok(self.identify(credential).await?.caller)
    }

    fn limit(&self, action: Option<Action>, subject: Option<Subject>) -> Result<(), Problem> {
        let (Some(action), Some(subject)) = (action, subject) else { return Ok(()) };
        self.limits.take(action, subject).map_err(Problem::too_many)
    }

    /// Where the request comes from: what a trusted proxy says, or else the other end of the connection.
    fn address(&self, request: &Request) -> Option<IpAddr> {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        Some(client_address(peer.ip(), request.headers(), &self.settings.proxies))
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

/// A proxy puts the client's address last: of a list, the last that is no trusted proxy's own counts. What stands before it, the
/// client may have written.
fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &config::Proxies) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.trusted.iter().any(|net: &IpNet| net.contains(&address.to_canonical()));
    if !trusted(&peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all(&proxies.header).iter().filter_map(|line| line.to_str().ok()).collect();
    let named = lines.iter().flat_map(|line| line.split(',')).map(|text| text.trim().parse::<IpAddr>());
    // One that is no address ends the row: nothing before it can be trusted.
    let mut client = peer;
    for address in named.rev() {
        let Ok(address) = address else { break };
        client = address;
        if !trusted(&address) {
            break;
        }
    }
    client
}

/// The gate of every route: lets a request in or answers it, and says whose it is.
pub async fn pass(
    app: App,
    access: Access,
    action: Option<Action>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if access == Access::Open {
        return Ok(next.run(request).await);
    }
    let caller = match app.auth.identify_request(request.headers()).await {
        // Not for a wrong key: whoever has one should hear that it does not work.
        Err(Denied::Missing) if access == Access::Old && app.auth.legacy_open() => Ok(Caller::Anyone),
        identified => identified,
    };
    // The operator's own systems send for many.
    if !matches!(caller, Ok(Caller::Admin)) {
        let address = app.auth.address(&request).map(Subject::address);
        app.auth.limit(action, address)?;
    }
    let caller = caller?;
    let subject = match &caller {
        Caller::Key(key) => Some(Subject::Key(key.id.clone())),
        Caller::User { uid, .. } => Some(Subject::User(uid.clone())),
        Caller::Admin | Caller::Anyone => None,
    };
    app.auth.limit(action, subject)?;
    if access == Access::Admin {
        caller.permit_admin()?;
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, trusted: &[&str], header: &'static str, lines: &[&str]) -> String {
        let proxies = config::Proxies {
            trusted: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            header: HeaderName::from_static(header),
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header, line.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        let header = "x-real-ip";
        assert_eq!(from("9.9.9.9", &[], header, &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(from("9.9.9.9", &["10.0.0.0/8"], header, &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(from("10.1.1.1", &["10.0.0.0/8"], header, &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(from("::ffff:10.1.1.1", &["10.0.0.0/8"], header, &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(from("10.1.1.1", &["10.0.0.0/8"], header, &[]), "10.1.1.1");
        assert_eq!(from("10.1.1.1", &["10.0.0.0/8"], header, &["nonsense"]), "10.1.1.1");
    }

    #[test]
    fn of_a_list_what_the_client_wrote_does_not_count() {
        let (header, trusted) = ("x-forwarded-for", &["10.0.0.0/8"][..]);
        assert_eq!(from("10.1.1.1", trusted, header, &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(from("10.1.1.1", trusted, header, &["6.6.6.6", "1.2.3.4, 10.2.2.2"]), "1.2.3.4");
        assert_eq!(from("10.1.1.1", trusted, header, &["6.6.6.6, nonsense, 10.2.2.2"]), "10.2.2.2");
    }
}
