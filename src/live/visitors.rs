//! The way to Socket.IO's handshake: what may be said before anybody has shown a key.
//!
//! socketioxide 0.18 starts a task for every packet of a request before it looks at one, and keeps a session for whoever asks. So this
//! stands before it: only so many clients without a key at once, in all and from one address, and only requests that a client makes.
//! Where there is no room the one that has waited longest leaves, so that nobody is kept out by those who only wait. What comes over a
//! WebSocket the listener counts. A client says `register`, answers pings, and takes its leave.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::Response,
};
use serde::Deserialize;

use crate::{
    api::{Auth, Problem},
    config::Handshakes,
    listener::{ConnectionHandle, network_of},
    sync::lock,
};

pub const PATH: &str = "/socket.io";

/// The largest request of a client that polls, and so the largest message. 64 registrations have some 8 KiB, a token has two.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Packets of one request, and how many of them may ask to be let in.
const MAX_PACKETS: usize = 128;
const MAX_CONNECTS: usize = 2;

/// Keys that one client may try.
const MAX_DENIALS: u32 = 3;

/// The largest answer to a client that begins to poll.
const MAX_OPENING: usize = 4 * 1024;

/// WebSockets of one client: it has one, and another for a moment when it connects anew.
const MAX_WEB_SOCKETS: usize = 4;

/// Of the first request of a session: what it is looked at for.
const HEADERS: [HeaderName; 7] = [
    header::HOST,
    header::ORIGIN,
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
];
const QUERY: [&str; 3] = ["EIO=", "transport=", "b64="];

/// The clients that have not shown a key yet, counted.
#[derive(Debug)]
pub struct Visitors {
    limits: Handshakes,
    waiting: Mutex<WaitingRoom>,
}

#[derive(Debug, Default)]
struct WaitingRoom {
    next: u64,
    /// Those without a key, in the order in which they came.
    unknown: BTreeMap<u64, Unknown>,
    by_address: HashMap<IpAddr, usize>,
    /// All that there are, by the id of their session: those who began by polling.
    by_session: HashMap<String, Weak<Visitor>>,
}

#[derive(Debug)]
struct Unknown {
    network: Option<IpAddr>,
    visitor: Weak<Visitor>,
}

/// A client that has not shown a key yet, or has by now. socketioxide keeps it with the session, as part of its first request.
#[derive(Debug)]
pub struct Visitor {
    visitors: Arc<Visitors>,
    id: u64,
    pub address: Option<IpAddr>,
    state: Mutex<VisitorState>,
    denials: AtomicU32,
}

#[derive(Debug, Default)]
struct VisitorState {
    has_entered: bool,
    /// It had to make room.
    has_left: bool,
    session: Option<String>,
    web_sockets: Vec<ConnectionHandle>,
}

impl Visitors {
    pub fn new(limits: Handshakes) -> Arc<Self> {
        Arc::new(Self { limits, waiting: Mutex::default() })
    }

    /// A place. Where there is none somebody leaves: of the same address, if that has as many as it may, or of one that has most.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Arc<Visitor> {
        let network = address.map(network_of);
        let mut waiting = self.waiting();
        let crowded = network.filter(|network| waiting.count(*network) >= self.limits.per_address);
        let leaving = match crowded {
            Some(network) => waiting.longest(|of| of == Some(network)),
            None if waiting.unknown.len() >= self.limits.most => {
                let most = waiting.by_address.values().copied().max().unwrap_or_default();
                waiting.longest(|of| of.map_or(0, |network| waiting.count(network)) == most)
            }
            None => None,
        };
        let leaving = leaving.and_then(|id| waiting.forget(id)?.visitor.upgrade());
        waiting.next += 1;
        let visitor = Arc::new(Visitor {
            visitors: self.clone(),
            id: waiting.next,
            address,
            state: Mutex::default(),
            denials: AtomicU32::new(0),
        });
        waiting.unknown.insert(visitor.id, Unknown { network, visitor: Arc::downgrade(&visitor) });
        if let Some(network) = network {
            *waiting.by_address.entry(network).or_default() += 1;
        }
        drop(waiting);
        // Without the lock, which it takes when it is dropped.
        if let Some(leaving) = leaving {
            leaving.leave();
        }
        visitor
    }

    fn of_session(&self, session: &str) -> Option<Arc<Visitor>> {
        self.waiting().by_session.get(session)?.upgrade()
    }

    fn waiting(&self) -> MutexGuard<'_, WaitingRoom> {
        lock(&self.waiting)
    }
}

impl WaitingRoom {
    fn count(&self, network: IpAddr) -> usize {
        self.by_address.get(&network).copied().unwrap_or_default()
    }

    /// The one that has waited longest of some networks.
    fn longest(&self, among: impl Fn(Option<IpAddr>) -> bool) -> Option<u64> {
        self.unknown.iter().find(|(_, one)| among(one.network)).map(|(id, _)| *id)
    }

    /// It does not wait any more.
    fn forget(&mut self, id: u64) -> Option<Unknown> {
        let unknown = self.unknown.remove(&id)?;
        if let Some(network) = unknown.network
            && let Some(count) = self.by_address.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&network);
            }
        }
        Some(unknown)
    }
}

impl Visitor {
    /// It has shown a key. False: it has left meanwhile.
    pub fn enter(&self) -> bool {
        let mut state = self.state();
        if state.has_left {
            return false;
        }
        state.has_entered = true;
        state.web_sockets.iter().for_each(ConnectionHandle::prove);
        drop(state);
        self.visitors.waiting().forget(self.id);
        true
    }

    /// It has shown a key that is none. True: it may try again.
    pub fn may_try_again(&self) -> bool {
        self.denials.fetch_add(1, Relaxed) + 1 < MAX_DENIALS
    }

    /// Ends its WebSockets, if it has any.
    pub fn hang_up(&self) {
        self.state().web_sockets.iter().for_each(ConnectionHandle::close_web_socket);
    }

    /// Makes room. A session that polls ends by its own time; it is let in no more.
    fn leave(&self) {
        let mut state = self.state();
        if !state.has_entered {
            state.has_left = true;
            state.web_sockets.iter().for_each(ConnectionHandle::close_web_socket);
        }
    }

    /// A WebSocket of its.
    fn carry(&self, web_socket: &ConnectionHandle) {
        let mut state = self.state();
        if state.has_entered {
            web_socket.prove();
        }
        if state.web_sockets.len() == MAX_WEB_SOCKETS {
            state.web_sockets.remove(0);
        }
        state.web_sockets.push(web_socket.clone());
    }

    /// It began by polling, and this is its session.
    fn named(self: &Arc<Self>, session: &str) {
        self.state().session = Some(session.to_owned());
        self.visitors.waiting().by_session.insert(session.to_owned(), Arc::downgrade(self));
    }

    fn state(&self) -> MutexGuard<'_, VisitorState> {
        lock(&self.state)
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let session = self.state().session.take();
        let mut waiting = self.visitors.waiting();
        waiting.forget(self.id);
        if let Some(session) = session {
            waiting.by_session.remove(&session);
        }
    }
}

/// Before every request: those that are not Socket.IO's go on as they came.
pub async fn pass(
    auth: Arc<Auth>,
    visitors: Arc<Visitors>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let rest = request.uri().path().strip_prefix(PATH);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Ok(next.run(request).await);
    }
    let query = request.uri().query().unwrap_or_default();
    let session = query.split('&').find_map(|part| part.strip_prefix("sid=")).map(str::to_owned);
    if request.method() == Method::POST {
        let (parts, body) = request.into_parts();
        let too_large = |_| Problem::too_large(MAX_PAYLOAD as u64, "a request of Socket.IO");
        let body = to_bytes(body, MAX_PAYLOAD).await.map_err(too_large)?;
        if !is_what_clients_say(&body) {
            return Err(Problem::invalid("no client of this server says that", Vec::new()));
        }
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    }
    let is_web_socket = request.headers().contains_key(header::UPGRADE);
    let visitor = match &session {
        Some(session) => visitors.of_session(session),
        None => {
            let visitor = visitors.admit(auth.address(&request));
            detach(&mut request);
            request.extensions_mut().insert(visitor.clone());
            Some(visitor)
        }
    };
    if let (true, Some(visitor), Some(handle)) =
        (is_web_socket, &visitor, request.extensions().get::<ConnectionHandle>())
    {
        visitor.carry(handle);
    }
    let opens = !is_web_socket && session.is_none();
    let answer = next.run(request).await;
    match visitor {
        Some(visitor) if opens && answer.status() == StatusCode::OK => remember(&visitor, answer).await,
        _ => Ok(answer),
    }
}

/// socketioxide keeps the head of a session's first request as long as the session, and of one that shows no key until its time is over. As
/// hyper gives it, a head has up to 16 KiB, and each header holds the whole buffer that it was read into. So only what is looked at goes
/// on, in memory of its own.
fn detach(request: &mut Request) {
    let query = request.uri().query().unwrap_or_default();
    let asked = query.split('&').filter(|part| QUERY.iter().any(|name| part.starts_with(name)));
    let asked = format!("{PATH}/?{}", asked.collect::<Vec<_>>().join("&"));
    // Parts of a query that was read make one that can be read.
    if let Ok(uri) = asked.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    let given = std::mem::take(request.headers_mut());
    for name in HEADERS {
        for value in given.get_all(&name) {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                request.headers_mut().append(name.clone(), value);
            }
        }
    }
}

/// Reads the id of a session out of the answer that begins it.
async fn remember(visitor: &Arc<Visitor>, answer: Response) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    struct Opening<'a> {
        sid: &'a str,
    }
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, MAX_OPENING).await.map_err(|_| Problem::timed_out("The handshake has no end"))?;
    let opening = body.strip_prefix(b"0").and_then(|json| serde_json::from_slice::<Opening<'_>>(json).ok());
    if let Some(opening) = opening {
        visitor.named(opening.sid);
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Packets of Engine.IO 4: `1` leaves, `2` and `3` ping and pong, `40…`, `41…` and `42…` connect, disconnect and an event.
fn is_what_clients_say(body: &[u8]) -> bool {
    let (mut packets, mut connects) = (0, 0);
    body.split(|byte| *byte == 0x1e).all(|packet| {
        packets += 1;
        connects += usize::from(packet.starts_with(b"40"));
        let is_known = matches!(packet, [b'1'..=b'3'] | [b'4', b'0'..=b'2', ..]);
        is_known && packets <= MAX_PACKETS && connects <= MAX_CONNECTS
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_no_client_says_is_not_passed_on() {
        for said in
            ["40", "40{\"key\":\"k\"}", "3", "42[\"register\",\"a\"]\u{1e}42[\"register\",\"b\"]", "41", "1", "2"]
        {
            assert!(is_what_clients_say(said.as_bytes()), "{said}");
        }
        let many = |packet: &str, n: usize| vec![packet; n].join("\u{1e}");
        for said in
            ["", "4", "45", "43[1]", "451-[\"x\"]", "bAAAA", "0{}", "5", "6", "2probe", "40\u{1e}", &many("40", 3)]
        {
            assert!(!is_what_clients_say(said.as_bytes()), "{said}");
        }
        assert!(is_what_clients_say(many("42[\"register\",\"a\"]", 128).as_bytes()));
        assert!(!is_what_clients_say(many("3", 129).as_bytes()));
    }

    #[test]
    fn a_head_that_is_kept_is_small_and_holds_no_buffer() {
        let buffer = axum::body::Bytes::from(format!("https://dashboard.example{}", "x".repeat(60_000)));
        let origin = HeaderValue::from_maybe_shared(buffer.slice(..25)).unwrap();
        let long = HeaderValue::from_maybe_shared(buffer.slice(25..)).unwrap();
        let mut request = Request::new(Body::empty());
        let query = format!("t=now&EIO=4&transport=websocket&x={}", "x".repeat(9_000));
        *request.uri_mut() = format!("{PATH}/y?{query}").parse().unwrap();
        request.headers_mut().insert(header::ORIGIN, origin);
        request.headers_mut().insert(header::COOKIE, long);
        for given in ["keep-alive", "Upgrade"] {
            request.headers_mut().append(header::CONNECTION, HeaderValue::from_static(given));
        }
        detach(&mut request);
        assert_eq!(request.uri(), "/socket.io/?EIO=4&transport=websocket");
        let kept = request.headers();
        assert_eq!(kept[header::ORIGIN], "https://dashboard.example");
        assert!(!buffer.as_ptr_range().contains(&kept[header::ORIGIN].as_bytes().as_ptr()));
        assert_eq!(kept.get_all(header::CONNECTION).iter().collect::<Vec<_>>(), ["keep-alive", "Upgrade"]);
        assert_eq!(kept.len(), 3);
    }

    fn visitors() -> Arc<Visitors> {
        Visitors::new(Handshakes { most: 3, per_address: 2, timeout: Duration::from_secs(1) })
    }

    #[test]
    fn whoever_waits_longest_makes_room() {
        let visitors = visitors();
        let from = |text: &str| visitors.admit(Some(text.parse().unwrap()));
        let (one, two) = (from("1.1.1.1"), from("1.1.1.1"));
        let three = from("1.1.1.1");
        assert!(!one.enter() && two.enter(), "two of one address: the first had to leave");
        let (other, another) = (from("2.2.2.2"), from("2.2.2.2"));
        let last = from("3.3.3.3");
        assert!(
            three.enter(),
            "three of all: one of the address that has most leaves, not the one that has waited longest"
        );
        assert!(!other.enter() && another.enter() && last.enter());
    }

    #[test]
    fn those_who_are_in_or_gone_do_not_count() {
        let visitors = visitors();
        let from = |text: &str| visitors.admit(Some(text.parse().unwrap()));
        let first = from("1.1.1.1");
        first.enter();
        for _ in 0..10 {
            drop(from("1.1.1.1"));
        }
        let (two, three) = (from("1.1.1.1"), from("1.1.1.1"));
        assert!(first.enter() && two.enter() && three.enter());
        first.named("a");
        assert!(visitors.of_session("a").is_some());
        drop(first);
        assert!(visitors.of_session("a").is_none());
        let waiting = visitors.waiting();
        assert!(waiting.unknown.is_empty() && waiting.by_address.is_empty() && waiting.by_session.is_empty());
    }
}
