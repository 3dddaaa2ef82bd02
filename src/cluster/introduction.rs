//! How two processes on one vault know each other before one forwards a request to the other. Pure.
//!
//! # Any instance answers: the design
//!
//! A process with `cluster.listen` has a second port, and says in its record where that is. A request for a tenant that a living peer has
//! goes there, one hop, and its answer comes back (`api::forward`); so does what a Socket.IO client has registered for
//! (`live::peer_events`). A connection carries one introduction and one request:
//!
//! ```text
//! asker → GET /internal/hello   sessiond-hello: v1 ASKER PEER NONCE KEY,KEY…
//! peer  → 204                   sessiond-hello: v1 KEY NONCE' code("answer", ASKER, PEER, ADDRESS, NONCE, NONCE')
//! asker → the request           sessiond-peer:  v1 NONCE' CLIENT code("ask", ASKER, PEER, NONCE, NONCE', CLIENT, head)
//! ```
//!
//! - **Mutual.** Codes are HMACs under a key that comes from the master key. The asker shows no caller's credential before the peer has
//!   proved that it is the one meant, since an address may be another's by now: ids are made anew at each start.
//! - **No relay by the vault.** The code covers the address that the peer advertises, and the asker checks it against the one that it
//!   dialed. A changed record in the vault, with a relay to the real peer behind it, gets no request. A changed name in DNS, or a
//!   hijacked address, does: the relay then stands in the private network, where requests can be read anyway.
//! - **No replay, and no clock.** The peer's nonce is good for one request, for [`INTRODUCTION_TIME`] by the peer's own clock. It keeps
//!   [`MOST_INTRODUCTIONS`] of them: in a flood the oldest are forgotten, and their askers answer 503.
//! - **The head is authenticated**: method, path, all headers but those of the connection. The body is streamed, and is not; nor is
//!   anything secret from somebody who reads along, who may also change a body on its way. The port belongs into a private network.
//! - **No second proof of the caller.** His credential goes along as it is, and the peer checks it anew. The address of the client, for
//!   allowances, is within the code.
//! - **One hop.** What came through the second port is never forwarded.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Mutex,
    time::Duration,
};

use http::{HeaderName, header, request::Parts};
use sha2::{Digest as _, Sha256};

use crate::{clock::Instant, seal::PeerKey, sync::lock, vault::InstanceId};

/// A nonce is good for so long.
const INTRODUCTION_TIME: Duration = Duration::from_secs(10);

/// Some 200 bytes each.
const MOST_INTRODUCTIONS: usize = 4096;

/// The longest id of a process, and the most keys that one names.
const LONGEST_ID: usize = 64;
const MOST_KEYS: usize = 16;

const VERSION: &str = "v1";

/// Where an introduction is asked for, and in which header of question and answer it is.
pub const HELLO_PATH: &str = "/internal/hello";
pub const HELLO_HEADER: HeaderName = HeaderName::from_static("sessiond-hello");

/// Proves that a process that was introduced forwards a request.
pub const PROOF_HEADER: HeaderName = HeaderName::from_static("sessiond-peer");

pub type IntroductionNonce = [u8; 16];

/// Headers of one connection (RFC 9110, 7.6.1), and those that the next one is given anew.
pub fn is_of_connection(name: &HeaderName) -> bool {
    const OTHERS: [&str; 4] = ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"];
    [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT]
        .contains(name)
        || OTHERS.contains(&name.as_str())
}

/// What a proof is for: a request without its body.
pub fn head_digest(head: &Parts) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(head.method.as_str().as_bytes());
    add(head.uri.path_and_query().map_or("", |target| target.as_str()).as_bytes());
    let is_meant = |name: &HeaderName| {
        !is_of_connection(name) && *name != PROOF_HEADER && *name != header::CONTENT_LENGTH && *name != header::HOST
    };
    // Values of one name keep their order; the names' own may change on the way.
    let mut names: Vec<_> = head.headers.keys().filter(|name| is_meant(name)).collect();
    names.sort_by_key(|name| name.as_str());
    for name in names {
        for value in head.headers.get_all(name) {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
    }
    hash.finalize().into()
}

/// The asker's side, before the answer.
#[derive(Debug)]
pub struct Hello<'a> {
    pub from: &'a InstanceId,
    pub to: &'a InstanceId,
    /// The address that is dialed.
    pub at: &'a str,
    pub keys: &'a [PeerKey],
    /// Never used before.
    pub nonce: IntroductionNonce,
}

/// A peer that has proved who it is, to the asker: for one request.
#[derive(Debug)]
pub struct ProvenPeer {
    from: InstanceId,
    to: InstanceId,
    key: PeerKey,
    nonce: IntroductionNonce,
    answered: IntroductionNonce,
}

impl Hello<'_> {
    pub fn header(&self) -> String {
        let keys: Vec<_> = self.keys.iter().take(MOST_KEYS).map(|key| key.id().to_string()).collect();
        format!("{VERSION} {} {} {} {}", self.from.0, self.to.0, hex::encode(self.nonce), keys.join(","))
    }

    /// `None`: whoever answered is not that peer.
    pub fn accept(self, answer: &str) -> Option<ProvenPeer> {
        let [VERSION, id, answered, code] = words(answer)? else { return None };
        let key = self.keys.iter().find(|key| key.id().to_string() == id)?;
        let (answered, code) = (nonce(answered)?, hex::decode(code).ok()?);
        let parts = answer_parts(self.from, self.to, self.at, &self.nonce, &answered);
        key.verify(&parts, &code).then(|| ProvenPeer {
            from: self.from.clone(),
            to: self.to.clone(),
            key: key.clone(),
            nonce: self.nonce,
            answered,
        })
    }
}

impl ProvenPeer {
    /// `client`: whose request it is.
    pub fn proof(&self, client: IpAddr, head: &[u8; 32]) -> String {
        let Self { from, to, key, nonce, answered } = self;
        let text = client.to_string();
        let code = key.authenticate(&ask_parts(from, to, nonce, answered, &text, head));
        format!("{VERSION} {} {text} {}", hex::encode(answered), hex::encode(code))
    }
}

/// Why somebody is not believed to be a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntroductionError {
    #[error("not in a form that is known here")]
    Malformed,
    #[error("meant for another process")]
    NotMeant,
    #[error("no key in common")]
    UnknownKey,
    /// Used before, too old, or never given.
    #[error("not introduced")]
    NotIntroduced,
    #[error("the code does not fit")]
    Forged,
}

/// The peer's side: who has been introduced, and has not asked yet.
#[derive(Debug)]
pub struct Introductions {
    instance: InstanceId,
    keys: Vec<PeerKey>,
    open: Mutex<OpenIntroductions>,
}

#[derive(Debug, Default)]
struct OpenIntroductions {
    by_nonce: HashMap<IntroductionNonce, Introduction>,
    /// The oldest first; also those that were used.
    given: VecDeque<(IntroductionNonce, Instant)>,
}

#[derive(Debug)]
struct Introduction {
    from: InstanceId,
    nonce: IntroductionNonce,
    /// The place of the key that both have.
    key: usize,
    at: Instant,
}

impl Introductions {
    pub fn new(instance: InstanceId, keys: Vec<PeerKey>) -> Self {
        Self { instance, keys, open: Mutex::default() }
    }

    /// The answer to a [`Hello`]. `at`: where this process says that others reach it; `answered`: never used before.
    pub fn introduce(
        &self,
        hello: &str,
        at: &str,
        answered: IntroductionNonce,
        now: Instant,
    ) -> Result<String, IntroductionError> {
        let Some([VERSION, from, to, asked, ids]) = words(hello) else { return Err(IntroductionError::Malformed) };
        let asked = nonce(asked).filter(|_| from.len() <= LONGEST_ID).ok_or(IntroductionError::Malformed)?;
        if to != &*self.instance.0 {
            return Err(IntroductionError::NotMeant);
        }
        let ids: Vec<_> = ids.split(',').take(MOST_KEYS).collect();
        let key = self.keys.iter().position(|key| ids.contains(&key.id().to_string().as_str()));
        let key = key.ok_or(IntroductionError::UnknownKey)?;
        let from = InstanceId(from.into());
        let code = self.keys[key].authenticate(&answer_parts(&from, &self.instance, at, &asked, &answered));
        let answer = format!("{VERSION} {} {} {}", self.keys[key].id(), hex::encode(answered), hex::encode(code));
        self.keep(answered, Introduction { from, nonce: asked, key, at: now });
        Ok(answer)
    }

    fn keep(&self, answered: IntroductionNonce, introduction: Introduction) {
        let now = introduction.at;
        let mut open = lock(&self.open);
        let OpenIntroductions { by_nonce, given } = &mut *open;
        while let Some((oldest, at)) = given.front()
            && (given.len() >= MOST_INTRODUCTIONS || now.since(*at) > INTRODUCTION_TIME)
        {
            by_nonce.remove(oldest);
            given.pop_front();
        }
        by_nonce.insert(answered, introduction);
        given.push_back((answered, now));
    }

    /// The client whose request a peer forwards. Each proof is taken once.
    pub fn check(&self, proof: &str, head: &[u8; 32], now: Instant) -> Result<IpAddr, IntroductionError> {
        let Some([VERSION, answered, client, code]) = words(proof) else { return Err(IntroductionError::Malformed) };
        let answered = nonce(answered).ok_or(IntroductionError::Malformed)?;
        let address: IpAddr = client.parse().map_err(|_| IntroductionError::Malformed)?;
        let code = hex::decode(code).map_err(|_| IntroductionError::Malformed)?;
        let introduction = {
            let mut open = lock(&self.open);
            open.by_nonce.remove(&answered).filter(|introduction| now.since(introduction.at) <= INTRODUCTION_TIME)
        };
        let Introduction { from, nonce, key, .. } = introduction.ok_or(IntroductionError::NotIntroduced)?;
        let parts = ask_parts(&from, &self.instance, &nonce, &answered, client, head);
        match self.keys[key].verify(&parts, &code) {
            true => Ok(address),
            false => Err(IntroductionError::Forged),
        }
    }
}

fn answer_parts<'a>(
    from: &'a InstanceId,
    to: &'a InstanceId,
    at: &'a str,
    nonce: &'a IntroductionNonce,
    answered: &'a IntroductionNonce,
) -> [&'a [u8]; 6] {
    [b"answer", from.0.as_bytes(), to.0.as_bytes(), at.as_bytes(), nonce, answered]
}

fn ask_parts<'a>(
    from: &'a InstanceId,
    to: &'a InstanceId,
    nonce: &'a IntroductionNonce,
    answered: &'a IntroductionNonce,
    client: &'a str,
    head: &'a [u8; 32],
) -> [&'a [u8]; 7] {
    [b"ask", from.0.as_bytes(), to.0.as_bytes(), nonce, answered, client.as_bytes(), head]
}

fn words<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split(' ').collect::<Vec<_>>().try_into().ok()
}

fn nonce(text: &str) -> Option<IntroductionNonce> {
    let mut nonce = IntroductionNonce::default();
    hex::decode_to_slice(text, &mut nonce).ok()?;
    Some(nonce)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::seal::{Keyring, MasterKey};

    fn keys(bytes: &[u8]) -> Vec<PeerKey> {
        let masters = bytes.iter().map(|byte| hex::encode([*byte; 32]).parse::<MasterKey>().unwrap());
        Keyring::new(masters.collect()).peer_keys()
    }

    fn id(text: &str) -> InstanceId {
        InstanceId(text.into())
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_start(Duration::from_secs(seconds))
    }

    fn head(key: &str) -> Parts {
        let request = Request::post("/api/sendText?a=b").header("x-api-key", key).header("connection", "close");
        request.body(()).unwrap().into_parts().0
    }

    fn introduced(peer: &Introductions, keys: &[PeerKey], n: u8, now: Instant) -> Option<ProvenPeer> {
        let (from, to) = (id("a"), id("b"));
        let hello = Hello { from: &from, to: &to, at: AT, keys, nonce: [n; 16] };
        let answer = peer.introduce(&hello.header(), AT, [n + 100; 16], now).ok()?;
        hello.accept(&answer)
    }

    const AT: &str = "10.0.0.5:3001";

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

    #[test]
    fn a_peer_is_believed_once() {
        let (ours, peer) = (keys(&[1]), Introductions::new(id("b"), keys(&[1])));
        let digest = head_digest(&head("k"));
        let proof = introduced(&peer, &ours, 1, at(0)).unwrap().proof(CLIENT, &digest);
        assert_eq!(peer.check(&proof, &digest, at(9)), Ok(CLIENT));
        assert_eq!(peer.check(&proof, &digest, at(9)), Err(IntroductionError::NotIntroduced), "a replay");
        let old = introduced(&peer, &ours, 2, at(20)).unwrap().proof(CLIENT, &digest);
        assert_eq!(peer.check(&old, &digest, at(31)), Err(IntroductionError::NotIntroduced), "too old");
        let other = Introductions::new(id("c"), keys(&[1]));
        let proof = introduced(&peer, &ours, 3, at(40)).unwrap().proof(CLIENT, &digest);
        assert_eq!(other.check(&proof, &digest, at(40)), Err(IntroductionError::NotIntroduced), "a second hop");
    }

    #[test]
    fn nothing_of_the_head_may_be_changed() {
        let (ours, peer) = (keys(&[1]), Introductions::new(id("b"), keys(&[1])));
        let forged = |n, change: fn(&str) -> String, head: Parts| {
            let digest = head_digest(&self::head("k"));
            let proof = introduced(&peer, &ours, n, at(0)).unwrap().proof(CLIENT, &digest);
            assert_eq!(peer.check(&change(&proof), &head_digest(&head), at(0)), Err(IntroductionError::Forged));
            assert_eq!(peer.check(&proof, &digest, at(0)), Err(IntroductionError::NotIntroduced), "it was used up");
        };
        forged(1, str::to_owned, head("another's"));
        forged(2, |proof| proof.replace("203.0.113.7", "203.0.113.8"), head("k"));
        let mut more = head("k");
        more.headers.insert("idempotency-key", "1".parse().unwrap());
        forged(3, str::to_owned, more);
        let mut elsewhere = head("k");
        elsewhere.uri = "/api/sendText?a=c".parse().unwrap();
        forged(4, str::to_owned, elsewhere);
        // What the next connection is given anew.
        let mut same = head("k");
        same.headers.insert(header::CONNECTION, "keep-alive".parse().unwrap());
        same.headers.insert(header::CONTENT_LENGTH, "5".parse().unwrap());
        assert_eq!(head_digest(&same), head_digest(&head("k")));
    }

    #[test]
    fn both_have_the_same_master_key() {
        let peer = Introductions::new(id("b"), keys(&[1, 2]));
        assert!(introduced(&peer, &keys(&[3]), 1, at(0)).is_none(), "another key");
        assert!(introduced(&peer, &keys(&[3, 2]), 2, at(0)).is_some(), "while keys are changed");
        let (from, to, ours) = (id("a"), id("b"), keys(&[1]));
        let hello = |nonce| Hello { from: &from, to: &to, at: AT, keys: &ours, nonce };
        let impostor = Introductions::new(id("b"), keys(&[4]));
        assert_eq!(
            impostor.introduce(&hello([1; 16]).header(), AT, [9; 16], at(0)),
            Err(IntroductionError::UnknownKey)
        );
        let heard = peer.introduce(&hello([1; 16]).header(), AT, [9; 16], at(0)).unwrap();
        assert!(hello([2; 16]).accept(&heard).is_none(), "an answer that was heard before");
        let renamed = heard.replace(&ours[0].id().to_string(), &keys(&[2])[0].id().to_string());
        assert!(hello([1; 16]).accept(&renamed).is_none());
        let other = Introductions::new(id("c"), keys(&[1]));
        assert_eq!(other.introduce(&hello([1; 16]).header(), AT, [9; 16], at(0)), Err(IntroductionError::NotMeant));
        assert_eq!(peer.introduce("v2 a b c d", AT, [9; 16], at(0)), Err(IntroductionError::Malformed));
    }

    #[test]
    fn whoever_changes_the_address_in_a_record_gets_no_request() {
        let (ours, peer) = (keys(&[1]), Introductions::new(id("b"), keys(&[1])));
        let (from, to) = (id("a"), id("b"));
        let dialed = Hello { from: &from, to: &to, at: "evil:3001", keys: &ours, nonce: [1; 16] };
        // The one who is dialed passes it on to the real peer, and its answer back.
        let relayed = peer.introduce(&dialed.header(), AT, [9; 16], at(0)).unwrap();
        assert!(dialed.accept(&relayed).is_none());
    }

    #[test]
    fn a_flood_takes_only_so_much_room() {
        let (ours, peer) = (keys(&[1]), Introductions::new(id("b"), keys(&[1])));
        let (from, to) = (id("a"), id("b"));
        for n in 0..2 * MOST_INTRODUCTIONS {
            let mut answered = IntroductionNonce::default();
            answered[..8].copy_from_slice(&n.to_be_bytes());
            let hello = Hello { from: &from, to: &to, at: AT, keys: &ours, nonce: [0; 16] };
            peer.introduce(&hello.header(), AT, answered, at(0)).unwrap();
        }
        let open = peer.open.lock().unwrap();
        assert_eq!((open.by_nonce.len(), open.given.len()), (MOST_INTRODUCTIONS, MOST_INTRODUCTIONS));
    }
}
