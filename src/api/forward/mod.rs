//! Requests for tenants that another process has go to that process, one hop, and its answer goes to the client.
//!
//! A request is tried here first, as ever: where a tenant is, the fleet alone knows. What it would refuse because a peer that lives has the
//! tenant, is forwarded instead; the extractors say which tenant it is ([`ForwardableRequest`]), and end the work here as soon as they know
//! it. So a body is read here only as far as its tenant's name. What was read is kept ([`replayable_body`]), for the peer and for another
//! try.
//!
//! Waits through a handover: while nobody takes the request, it is tried again, here and at the owner, for [`HANDOVER_TIME`]. What a peer
//! has begun is not repeated. A tenant that nobody has paired is taken for whoever wants to pair it, where its owner lives and cannot be
//! reached at its address ([`Fleet::take_unreachable`]). [`crate::cluster::Introductions`] says how the two know each other.

mod entrance;
mod peer_line;
mod replayable_body;
mod turns;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{Extensions, HeaderMap, HeaderName, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::{Instant, sleep};
use tracing::warn;

pub use self::turns::ForwardTurn;
pub use self::{entrance::Entrance, peer_line::PeerLine};
use self::{replayable_body::ReplayableBody, turns::ForwardTurns};
use super::{App, problem::Problem};
use crate::{
    cluster::{HELLO_HEADER, PROOF_HEADER, is_of_connection},
    fleet::{Fleet, PeerListener},
    message::media::Spooled,
    seal::PeerKey,
    telemetry::metrics::{self, label::ForwardOutcome},
    tenant::TenantId,
    vault::InstanceId,
};

/// So long a request waits until somebody has the tenant.
const HANDOVER_TIME: Duration = Duration::from_secs(2);

/// Between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Of one tenant, at the same time.
const MOST_OF_A_TENANT: usize = 32;

/// It came from a peer, which has proved that: it is not forwarded again.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded;

/// An answer that says that another process has the tenant.
#[derive(Debug, Clone, Copy)]
pub struct ServedElsewhere;

/// The reason why there is no answer of a peer.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// As many are under way as may be.
    #[error("too many are forwarded at once")]
    Busy,
    /// It has not heard of the request.
    #[error("not reached: {0}")]
    Unreached(String),
    /// The same: it does not speak.
    #[error("it says nothing")]
    Silent,
    /// It may have begun with it.
    #[error("no answer: {0}")]
    Unanswered(String),
}

/// Forwards what is for others.
#[derive(Debug)]
pub struct Forwarder {
    pub instance: InstanceId,
    pub keys: Vec<PeerKey>,
    /// The header by which proxies say whom a request comes from: for this process, and for no other.
    proxies: HeaderName,
    turns: Arc<ForwardTurns>,
    registrations: Arc<ForwardTurns>,
}

/// A peer's answer to a request.
enum PeerAnswer {
    Given(Response),
    /// It does not have the tenant, or not any more.
    Refused,
}

impl Forwarder {
    /// `most`: requests under way at the same time, and clients here for whom a peer is listened to.
    pub fn new(instance: InstanceId, keys: Vec<PeerKey>, proxies: HeaderName, most: [usize; 2]) -> Self {
        let turns = |most: usize| Arc::new(ForwardTurns::new(most, MOST_OF_A_TENANT.min(most.div_ceil(2))));
        let [turns, registrations] = most.map(turns);
        Self { instance, keys, proxies, turns, registrations }
    }

    /// For a client's registration for a tenant: it lasts.
    pub fn registration_turn(&self, tenant: &TenantId) -> Result<ForwardTurn, ForwardError> {
        self.registrations.take(tenant).ok_or(ForwardError::Busy)
    }

    async fn forward(
        &self,
        peer: &PeerListener,
        tenant: &TenantId,
        client: IpAddr,
        head: &Parts,
        body: Body,
    ) -> Result<PeerAnswer, ForwardError> {
        let turn = if head.method.is_safe() { self.turns.take_to_read(tenant) } else { self.turns.take(tenant) };
        let turn = turn.ok_or(ForwardError::Busy)?;
        let line = PeerLine::open(self, peer).await?;
        let mut answer = line.ask(self.outgoing(head, body), client, turn).await?;
        let headers = answer.headers_mut();
        let verdict = headers.remove(PROOF_HEADER);
        drop_connection_headers(headers);
        match verdict.as_ref().map(|verdict| verdict.to_str().unwrap_or_default()) {
            None => Ok(PeerAnswer::Given(answer)),
            Some(entrance::ELSEWHERE) => Ok(PeerAnswer::Refused),
            Some(_) => Err(ForwardError::Unreached("it does not take this process for a peer".into())),
        }
    }

    /// The request as the peer gets it.
    fn outgoing(&self, head: &Parts, body: Body) -> Request {
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
        let mut headers = head.headers.clone();
        drop_connection_headers(&mut headers);
        let addresses = ["forwarded", "x-forwarded-for", "x-real-ip"].map(HeaderName::from_static);
        for name in addresses.iter().chain([&self.proxies, &PROOF_HEADER, &HELLO_HEADER]) {
            headers.remove(name);
        }
        *request.headers_mut() = headers;
        request
    }
}

fn outcome(forwarded: &Result<PeerAnswer, ForwardError>) -> ForwardOutcome {
    match forwarded {
        Ok(PeerAnswer::Given(_)) => ForwardOutcome::Answered,
        Ok(PeerAnswer::Refused) => ForwardOutcome::Elsewhere,
        Err(ForwardError::Busy) => ForwardOutcome::Busy,
        Err(ForwardError::Unreached(_)) => ForwardOutcome::Unreached,
        Err(ForwardError::Silent) => ForwardOutcome::Silent,
        Err(ForwardError::Unanswered(_)) => ForwardOutcome::Unanswered,
    }
}

/// Of a connection that ends here: also what it names itself.
fn drop_connection_headers(headers: &mut HeaderMap) {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    let named = lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok());
    let mut names: Vec<HeaderName> = named.collect();
    names.extend(headers.keys().filter(|name| is_of_connection(name)).cloned());
    for name in names {
        headers.remove(name);
    }
}

/// A request that may be forwarded, while it is tried here.
#[derive(Clone)]
pub struct ForwardableRequest(Arc<ForwardableFields>);

struct ForwardableFields {
    fleet: Arc<Fleet>,
    tenant: OnceLock<TenantId>,
    /// A body that its reader has written away whole.
    spooled: OnceLock<Spooled>,
}

impl ForwardableRequest {
    fn new(fleet: Arc<Fleet>) -> Self {
        Self(Arc::new(ForwardableFields { fleet, tenant: OnceLock::new(), spooled: OnceLock::new() }))
    }

    /// `None`: it is not forwarded, whoever has the tenant.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// The request is for this tenant, and may be answered here all the same.
    pub fn note(forwardable: Option<&Self>, tenant: &TenantId) {
        if let Some(Self(fields)) = forwardable {
            let _ = fields.tenant.set(tenant.clone());
        }
    }

    /// The request is for this tenant. An error ends the work here: it is a peer's.
    pub async fn enter(forwardable: Option<&Self>, tenant: &TenantId) -> Result<(), Problem> {
        Self::note(forwardable, tenant);
        let Some(Self(fields)) = forwardable else { return Ok(()) };
        match fields.fleet.locate_listener(tenant).await? {
            Some(_) => Err(Problem::owned_elsewhere()),
            None => Ok(()),
        }
    }

    /// The whole body has come, and is here.
    pub fn keep_body(forwardable: Option<&Self>, body: &Spooled) {
        if let Some(Self(fields)) = forwardable {
            let _ = fields.spooled.set(body.clone());
        }
    }
}

/// The rest of the way of a request that has passed the gate. `may_take`: it begins to link a phone, for which a tenant that nobody has
/// paired is taken from an owner that cannot be reached.
pub async fn run(app: &App, request: Request, next: Next, may_take: bool) -> Response {
    let is_forwarded = request.extensions().get::<Forwarded>().is_some();
    let Some(forwarder) = app.forwarder.as_ref().filter(|_| !is_forwarded && app.fleet.has_peer_listeners()) else {
        return next.run(request).await;
    };
    let (mut head, body) = request.into_parts();
    let client = app.auth.address_of(&head.extensions, &head.headers).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let forwardable = ForwardableRequest::new(app.fleet.clone());
    head.extensions.insert(forwardable.clone());
    let replayable = ReplayableBody::new(body, &head);
    let again = || match forwardable.0.spooled.get() {
        Some(spooled) => Some(replayable_body::replay(spooled.clone())),
        None => replayable.replay(),
    };
    let (mut last, mut waits_until, mut is_taken) = (None, None, false);
    loop {
        let Some(body) = again() else { return last.unwrap_or_else(|| Problem::owned_elsewhere().into_response()) };
        let answer = next.clone().run(Request::from_parts(head.clone(), body)).await;
        let is_elsewhere = answer.extensions().get::<ServedElsewhere>().is_some();
        let Some(tenant) = forwardable.0.tenant.get().filter(|_| is_elsewhere) else { return answer };
        let known = app.fleet.known_listener(tenant).filter(|_| waits_until.is_none());
        let peer = match known {
            Some(peer) => Some(peer),
            None => app.fleet.find_listener(tenant).await,
        };
        // Who has not heard of the request, and whether that took time.
        let mut unreached = None;
        let answer = match peer {
            // It has just come here; or it comes to somebody, as after the death of a process.
            None => answer,
            Some(peer) => {
                // Too much was read of it before it said for whom it is.
                let Some(body) = again() else { return answer };
                let forwarded = forwarder.forward(&peer, tenant, client, &head, body).await;
                metrics::request_forwarded(outcome(&forwarded));
                match forwarded {
                    Ok(PeerAnswer::Given(answer)) => return answer,
                    Ok(PeerAnswer::Refused) => Problem::on_its_way().into_response(),
                    Err(error) => {
                        warn!(
                            event = "request_unforwarded",
                            %tenant,
                            peer = %peer.instance.0,
                            %error,
                            "a request is not forwarded"
                        );
                        let problem = Problem::unforwarded(&peer.instance, &error).into_response();
                        match error {
                            ForwardError::Unanswered(_) => return problem,
                            ForwardError::Busy => {}
                            ForwardError::Unreached(_) => unreached = Some((peer.instance, false)),
                            ForwardError::Silent => unreached = Some((peer.instance, true)),
                        }
                        problem
                    }
                }
            }
        };
        let until = *waits_until.get_or_insert_with(|| Instant::now() + HANDOVER_TIME);
        if matches!(unreached, Some((_, true))) || Instant::now() >= until {
            // Whoever wants to pair it would be refused as long as that process lives.
            if let Some((owner, _)) = unreached.filter(|_| may_take && !is_taken)
                && app.fleet.take_unreachable(tenant, &owner).await
            {
                is_taken = true;
                last = Some(answer);
                continue;
            }
            return answer;
        }
        last = Some(answer);
        sleep(RETRY_PAUSE).await;
    }
}
