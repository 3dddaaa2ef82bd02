//! Requests to URLs that strangers name: webhooks, media.
//!
//! Promises: a connection is made only to an address that was checked, and to the very one: each name is resolved once a connection,
//! and the connection goes to what that answer had left after the check, so an answer that changes later changes nothing. Every
//! redirect is checked as the first URL was, and there are few of them. What comes back is bounded in bytes and time. No proxy of
//! the environment, no cookies, no second meaning of a URL. Knows nothing of what is sent.

mod address;
pub mod signature;
mod target;

use std::{
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{HeaderMap, LOCATION},
    redirect,
};
use tokio::sync::Semaphore;

pub use self::{
    address::{Allow, is_public},
    target::{TargetError, check, header},
};

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 3;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Where addresses of names come from; injectable, so that a test can answer as a hostile server would.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Lookups of strangers' names at the same time.
static LOOKUPS: Semaphore = Semaphore::const_new(8);

/// The machine's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        // Names of strangers may take the resolver half a minute each, on threads that WhatsApp's and the vault's names need too. The turn
        // goes with the thread: whoever asks may go away before.
        let turn = LOOKUPS.acquire().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let looking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            Ok((host.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        });
        looking.await.map_err(io::Error::other)?
    }
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    client: Client,
    allow: Arc<Allow>,
    checked: CheckedLookup,
    timeout: Duration,
}

/// What to send.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    /// These go to the origin of `url` only, not to where it redirects...
    pub secret_headers: HeaderMap,
    /// ...but for other hosts of the same owner: names that end so, as the name of `url` does. Over TLS.
    pub same_owner: &'static [&'static str],
    pub body: Bytes,
}

impl Request {
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            secret_headers: HeaderMap::new(),
            same_owner: &[],
            body: Bytes::new(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("the target {0}")]
    Refused(#[from] TargetError),
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    #[error("a redirect from https to http")]
    Downgrade,
    #[error("no answer in time")]
    Timeout,
    /// In short words.
    #[error("{0}")]
    Unreachable(&'static str),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub struct OutboundAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    response: Response,
    left: usize,
    limit: usize,
}

impl Outbound {
    /// `timeout`: for a request with all its redirects and its answer's body.
    pub fn new(allow: Allow, timeout: Duration, lookup: Arc<dyn Lookup>) -> anyhow::Result<Self> {
        let allow = Arc::new(allow);
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let checked = CheckedLookup { allow: allow.clone(), lookup };
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(checked.clone())
            .redirect(redirect::Policy::none())
            .no_proxy()
            // Other crates of the tree switch decompression on: a small body could become a large one.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .http1_only()
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("sessiond/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(4)
            .pool_idle_timeout(Duration::from_secs(20))
            .build()?;
        Ok(Self { client, allow, checked, timeout })
    }

    /// Whether a URL may be named at all. What its host stands for is decided at the connection.
    pub fn check(&self, url: &str) -> Result<Url, TargetError> {
        target::check(url, &self.allow)
    }

    /// To which addresses a connection to this host may be made, for another protocol than HTTP. Connect to these, not to the name.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, OutboundError> {
        let found = self.checked.lookup.lookup(host).await;
        let found = found.map_err(|_| OutboundError::Unreachable("the name stands for no address"))?;
        Ok(self.checked.admit(host, found)?)
    }

    /// Sends, follows redirects, and returns the head of the answer; of its body at most `limit` bytes can be read.
    ///
    /// A redirect of anything but GET is followed only when it keeps method and body (307, 308); another is the answer.
    pub async fn send(&self, request: Request, limit: usize) -> Result<OutboundAnswer, OutboundError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let first = request.url.clone();
        let mut url = request.url;
        for _ in 0..=MAX_REDIRECTS {
            target::check_url(&url, &self.allow)?;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let mut builder = self.client.request(request.method.clone(), url.clone()).timeout(left);
            builder = builder.headers(request.headers.clone());
            if url.origin() == first.origin() || is_same_owners(&first, &url, request.same_owner) {
                builder = builder.headers(request.secret_headers.clone());
            }
            if !request.body.is_empty() {
                builder = builder.body(request.body.clone());
            }
            let response = builder.send().await.map_err(|error| classify(&error))?;
            let Some(next) = redirect_of(&response, &url, &request.method)? else {
                let (status, headers) = (response.status(), response.headers().clone());
                if response.content_length().is_some_and(|length| length > limit as u64)
                    && request.method == Method::GET
                {
                    return Err(OutboundError::TooLarge(limit));
                }
                return Ok(OutboundAnswer { status, headers, response, left: limit, limit });
            };
            url = next;
        }
        Err(OutboundError::TooManyRedirects)
    }
}

impl OutboundAnswer {
    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OutboundError> {
        let Some(chunk) = self.response.chunk().await.map_err(|error| classify(&error))? else { return Ok(None) };
        self.left = self.left.checked_sub(chunk.len()).ok_or(OutboundError::TooLarge(self.limit))?;
        Ok(Some(chunk))
    }

    /// The whole body.
    pub async fn bytes(mut self) -> Result<Bytes, OutboundError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// Both hosts have names below one of these, and are reached over TLS.
fn is_same_owners(first: &Url, next: &Url, below: &[&str]) -> bool {
    let is_below = |url: &Url, end: &str| url.scheme() == "https" && url.domain().is_some_and(|it| it.ends_with(end));
    below.iter().any(|end| is_below(first, end) && is_below(next, end))
}

fn redirect_of(response: &Response, from: &Url, method: &Method) -> Result<Option<Url>, OutboundError> {
    let follows = match response.status().as_u16() {
        301..=303 => method == Method::GET,
        307 | 308 => true,
        _ => false,
    };
    let Some(location) = response.headers().get(LOCATION).filter(|_| follows) else { return Ok(None) };
    let location = location.to_str().map_err(|_| TargetError::Malformed)?;
    let next = from.join(location).map_err(|_| TargetError::Malformed)?;
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(OutboundError::Downgrade);
    }
    Ok(Some(next))
}

fn classify(error: &reqwest::Error) -> OutboundError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(refusal) = inner.downcast_ref::<TargetError>() {
            return OutboundError::Refused(*refusal);
        }
        source = inner.source();
    }
    if error.is_timeout() {
        OutboundError::Timeout
    } else if error.is_connect() {
        OutboundError::Unreachable("no connection")
    } else {
        OutboundError::Unreachable("the connection broke")
    }
}

/// Resolves a name and leaves of the answer what may be connected to.
#[derive(Clone)]
struct CheckedLookup {
    allow: Arc<Allow>,
    lookup: Arc<dyn Lookup>,
}

impl CheckedLookup {
    /// All or nothing: an answer that mixes the public and the inner net was made to get through.
    fn admit(&self, host: &str, mut found: Vec<IpAddr>) -> Result<Vec<IpAddr>, TargetError> {
        if found.is_empty() || !found.iter().all(|address| self.allow.admits(host, *address)) {
            return Err(TargetError::Address);
        }
        found.truncate(MAX_ADDRESSES);
        Ok(found)
    }
}

impl Resolve for CheckedLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let checked = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = checked.lookup.lookup(host).await?;
            let addresses = checked.admit(host, found)?.into_iter().map(|address| SocketAddr::new(address, 0));
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_follow_a_redirect_to_the_same_owner_alone() {
        let of = |first: &str, next: &str| {
            is_same_owners(&first.parse().unwrap(), &next.parse().unwrap(), &[".firebaseio.com"])
        };
        assert!(of("https://kds.firebaseio.com/a", "https://s-usc1c-nss-2.firebaseio.com/a?ns=kds"));
        for next in [
            "http://kds.firebaseio.com/a",
            "https://firebaseio.com.example.com/a",
            "https://evilfirebaseio.com/",
            "https://127.0.0.1/",
        ] {
            assert!(!of("https://kds.firebaseio.com/a", next), "{next}");
        }
        assert!(!of("https://example.com/a", "https://kds.firebaseio.com/a"));
    }
}
