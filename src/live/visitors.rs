//! The way to Socket.IO's handshake: what may be said before anybody has shown a key.
//!
//! socketioxide 0.18 starts a task for every packet of a request before it looks at one, and keeps a session for whoever asks. So this
//! stands before it: only so many clients without a key at once, in all and from one address, and only requests that a client makes.
//! A client says `register`, answers pings, and takes its leave.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::Method,
    middleware::Next,
    response::Response,
};

use crate::{
    api::{Auth, Problem},
    config::Handshakes,
    listener::{Handle, network_of},
};

pub const PATH: &str = "/socket.io";

/// The largest request of a client that polls, and so the largest message. 64 registrations have some 8 KiB, a token has two.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Packets of one request, and how many of them may ask to be let in.
const MAX_PACKETS: usize = 128;
const MAX_CONNECTS: usize = 2;

/// Keys that one client may try.
const MAX_DENIALS: u8 = 3;

/// What a client hears that finds no room.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The clients that have not shown a key yet, counted.
#[derive(Debug)]
pub struct Visitors {
    limits: Handshakes,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A client that has not shown a key yet, or has by now. socketioxide keeps it with the session, as part of its first request.
#[derive(Debug)]
pub struct Visitor {
    visitors: Arc<Visitors>,
    pub address: Option<IpAddr>,
    waits: AtomicBool,
    denials: AtomicU8,
}

impl Visitors {
    pub fn new(limits: Handshakes) -> Arc<Self> {
        Arc::new(Self { limits, waiting: Mutex::default() })
    }

    /// `None`: there is no room.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Arc<Visitor>> {
        let mut waiting = self.waiting();
        if waiting.all >= self.limits.most {
            return None;
        }
        if let Some(address) = address {
            let count = waiting.by_address.entry(network_of(address)).or_default();
            if *count >= self.limits.per_address {
                return None;
            }
            *count += 1;
        }
        waiting.all += 1;
        let visitor =
            Visitor { visitors: self.clone(), address, waits: AtomicBool::new(true), denials: AtomicU8::new(0) };
        Some(Arc::new(visitor))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor {
    /// It has shown a key.
    pub fn enter(&self) {
        if !self.waits.swap(false, Relaxed) {
            return;
        }
        let mut waiting = self.visitors.waiting();
        waiting.all -= 1;
        let Some(address) = self.address.map(network_of) else { return };
        if let Some(count) = waiting.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                waiting.by_address.remove(&address);
            }
        }
    }

    /// It has shown a key that is none. True: it may try again.
    pub fn may_try_again(&self) -> bool {
        self.denials.fetch_add(1, Relaxed) + 1 < MAX_DENIALS
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.enter();
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
    let has_session = request.uri().query().is_some_and(|query| query.split('&').any(|part| part.starts_with("sid=")));
    if request.method() == Method::POST {
        let (parts, body) = request.into_parts();
        let too_large = |_| Problem::too_large(MAX_PAYLOAD as u64, "a request of Socket.IO");
        let body = to_bytes(body, MAX_PAYLOAD).await.map_err(too_large)?;
        if !is_what_clients_say(&body) {
            return Err(Problem::invalid("no client of this server says that", Vec::new()));
        }
        request = Request::from_parts(parts, Body::from(body));
    } else if !has_session {
        let address = auth.address(&request);
        let visitor = visitors.admit(address).ok_or_else(|| Problem::too_many(RETRY_AFTER))?;
        request.extensions_mut().insert(visitor);
    }
    Ok(next.run(request).await)
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

/// Ends a session's WebSocket, if it has one.
pub fn hang_up(parts: &axum::http::request::Parts) {
    if let Some(handle) = parts.extensions.get::<Handle>() {
        handle.close_web_socket();
    }
}

#[cfg(test)]
mod tests {
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
    fn those_who_wait_are_counted_until_they_are_in_or_gone() {
        let limits = Handshakes { most: 3, per_address: 2, timeout: Duration::from_secs(1) };
        let visitors = Visitors::new(limits);
        let from = |text: &str| visitors.admit(Some(text.parse().unwrap()));
        let (one, two) = (from("1.1.1.1").unwrap(), from("1.1.1.1").unwrap());
        assert!(from("1.1.1.1").is_none(), "two of one address");
        let other = from("2.2.2.2").unwrap();
        assert!(from("3.3.3.3").is_none(), "three of all");
        one.enter();
        one.enter();
        drop(two);
        let _again = [from("1.1.1.1").unwrap(), from("1.1.1.1").unwrap()];
        assert!(from("2.2.2.2").is_none());
        drop((one, other));
        assert!(from("2.2.2.2").is_some());
    }
}
