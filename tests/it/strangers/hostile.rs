//! 100,000 hostile inputs from every side: HTTP, Socket.IO, customers, the network itself. Nothing panics, answers 500 or says what
//! is another tenant's; memory stays bounded; and who behaves is served as ever. `HOSTILE_SEED` repeats a run.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _, future::join_all};
use loopback::{Babble, Say};
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use sessiond::{
    api,
    demo::{Process, until},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_websockets::{ClientBuilder, Message};
use whatsapp_rust::wacore_binary::{Node, builder::NodeBuilder};

use crate::support::{
    heavy,
    stage::{Home, LIMIT, Stage},
};

const REQUESTS: usize = 80_000;
const PACKETS: usize = 8_000;
const STANZAS: usize = 7_000;
const MESSAGES: usize = 5_000;

/// The tenant whose key the attacker has, and may do with what it likes; one whose network has lost its mind; and one that has
/// nothing to do with it.
const OWN: &str = "pizzeria";
const VICTIM: &str = "osteria";
const OTHER: &str = "trattoria";

/// What only the other tenant may be told.
const SECRET: &str = "the other tenant's secret";

/// How much the attack may make the process grow, in KiB: its working set, not what was sent.
const GROWTH: u64 = 150 * 1024;

/// Values that no handler expects.
const ODD: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "99999999999999999999",
    "null",
    "true",
    "undefined",
    "NaN",
    "..",
    "../../etc/passwd",
    "%2e%2e%2f",
    "%00",
    "a\u{0}b",
    "\u{202e}evil",
    "👩‍👩‍👧‍👦",
    "'; DROP TABLE tenants; --",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "@",
    "@c.us",
    "@g.us",
    "a@b@c",
    "573001112233@c.us",
    "573001112233",
    "+57 300 111 2233",
    "120363000000000001@g.us",
    "1@lid",
    "status@broadcast",
    "x@newsletter",
    "true_573001112233@c.us_3EB0",
    "false__",
    "true_@_",
    "sessions",
    "keys",
    "__proto__",
    "constructor",
    "http://127.0.0.1/",
    "http://[::1]:1/",
    "data:text/html,x",
    "aGVsbG8=",
    "====",
    "image/png",
    "text/html",
    "\r\nX-Injected: 1",
    OWN,
    OTHER,
];

/// Names that handlers look for.
const FIELDS: &[&str] = &[
    "tenantId",
    "session",
    "name",
    "chatId",
    "to",
    "text",
    "message",
    "id",
    "messageId",
    "reply_to",
    "replyTo",
    "mentions",
    "latitude",
    "longitude",
    "title",
    "contacts",
    "poll",
    "options",
    "multipleAnswers",
    "votes",
    "pollMessageId",
    "reaction",
    "emoji",
    "file",
    "url",
    "data",
    "mimetype",
    "filename",
    "caption",
    "mediaUrl",
    "type",
    "phoneNumber",
    "config",
    "webhooks",
    "events",
    "hmac",
    "key",
    "retries",
    "customHeaders",
    "metadata",
    "isAdmin",
    "isActive",
    "scopes",
    "limit",
    "offset",
    "cursor",
    "before",
    "format",
    "q",
    "search",
    "sortBy",
    "sortOrder",
    "downloadMedia",
    "ids",
    "participants",
    "subject",
    "description",
    "presence",
    "duration",
    "pin",
    "contentType",
    "convert",
];

fn odd(rng: &mut StdRng) -> String {
    match rng.random_range(0..12) {
        0 => "A".repeat(rng.random_range(1..5000)),
        1 => (0..rng.random_range(1..40)).map(|_| rng.random::<char>()).collect(),
        _ => (*ODD.choose(rng).expect("some")).to_owned(),
    }
}

fn odd_json(rng: &mut StdRng, depth: u32) -> Value {
    match rng.random_range(0..11) {
        0 => Value::Null,
        1 => json!(rng.random::<bool>()),
        2 => json!(rng.random::<i64>()),
        3 => json!(rng.random::<f64>() * 1e300),
        4 if depth > 0 => (0..rng.random_range(0..5)).map(|_| odd_json(rng, depth - 1)).collect(),
        5 | 6 if depth > 0 => odd_object(rng, depth - 1),
        _ => json!(odd(rng)),
    }
}

fn odd_object(rng: &mut StdRng, depth: u32) -> Value {
    let fields = (0..rng.random_range(0..8)).map(|_| {
        let name = (*FIELDS.choose(rng).expect("some")).to_owned();
        (name, odd_json(rng, depth))
    });
    Value::Object(fields.collect())
}

fn body(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..400) {
        // Larger than anything that is taken.
        0 => vec![b'['; 3 << 20],
        1 => format!("{{\"text\":\"{}\"}}", "A".repeat(1 << 20)).into_bytes(),
        2 => vec![b'['; 50_000],
        3..60 => {
            let mut bytes = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut bytes);
            bytes
        }
        60..120 => {
            let mut text = odd_object(rng, 2).to_string().into_bytes();
            text.truncate(rng.random_range(0..=text.len()));
            text
        }
        _ => {
            let mut object = odd_object(rng, 3);
            // Often enough addressed right, so that what comes behind the gate is reached.
            let name = *["tenantId", "session", "none"].choose(rng).expect("some");
            object[name] = json!(OWN);
            object.to_string().into_bytes()
        }
    }
}

/// Percent-encoded, mostly: a few go out as they are.
fn encoded(rng: &mut StdRng, text: &str) -> String {
    if rng.random_range(0..30) == 0 {
        return text.replace(['\r', '\n', ' ', '\u{0}'], "");
    }
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

struct Attacker {
    address: SocketAddr,
    key: String,
    routes: Vec<api::Listed>,
}

impl Attacker {
    fn request(&self, rng: &mut StdRng) -> Vec<u8> {
        if rng.random_range(0..40) == 0 {
            let mut bytes = vec![0; rng.random_range(1..300)];
            rng.fill_bytes(&mut bytes);
            return [&b"GET /"[..], &bytes, b"\r\n\r\n"].concat();
        }
        let route = self.routes.choose(rng).expect("some");
        let pieces: Vec<String> = route
            .path
            .split('/')
            .map(|piece| match piece {
                "{session}" | "{id}" if rng.random_bool(0.6) => OWN.to_owned(),
                piece if piece.starts_with('{') => {
                    let value = odd(rng);
                    encoded(rng, &value)
                }
                piece => piece.to_owned(),
            })
            .collect();
        let mut path = pieces.join("/");
        for n in 0..rng.random_range(0..4) {
            let value = odd(rng);
            path += if n == 0 { "?" } else { "&" };
            path += FIELDS.choose(rng).expect("some");
            path += "=";
            path += &encoded(rng, &value);
        }
        if rng.random_bool(0.3) {
            path += if path.contains('?') { "&" } else { "?" };
            path += &format!("tenantId={OWN}&session={OWN}");
        }
        let method = if rng.random_range(0..20) == 0 { "PATCH" } else { route.method.as_str() };
        let body = body(rng);
        let kind = *["application/json", "application/json", "text/plain", "multipart/form-data; boundary=x", ""]
            .choose(rng)
            .expect("some");
        let credential = match rng.random_range(0..20) {
            0 => String::new(),
            1 => format!("Authorization: Bearer {}\r\n", odd(rng).replace(['\r', '\n'], "")),
            _ => format!("X-Api-Key: {}\r\n", self.key),
        };
        let length = if rng.random_range(0..200) == 0 { rng.random_range(0..9_999_999) } else { body.len() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{credential}Content-Type: {kind}\r\nIdempotency-Key: {}\r\nContent-Length: {length}\r\n\r\n",
            rng.random::<u32>() % 50,
        );
        [head.into_bytes(), body].concat()
    }

    /// Sends `count` requests, over connections that are kept as long as the server keeps them.
    async fn http(&self, seed: u64, count: usize, answered: &AtomicU64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut connection = None;
        for n in 0..count {
            let request = self.request(&mut rng);
            let mut stream = match connection.take() {
                Some(stream) => stream,
                None => BufReader::new(TcpStream::connect(self.address).await.expect("the port is open")),
            };
            // The server may have closed, or close in the middle of what it does not want.
            let _ = timeout(Duration::from_secs(5), stream.write_all(&request)).await;
            let shown = || String::from_utf8_lossy(&request[..request.len().min(2000)]).into_owned();
            // No answer to what is no request, or not all of one.
            if let Ok(Some((status, body, kept))) = timeout(Duration::from_secs(2), response(&mut stream)).await {
                answered.fetch_add(1, Relaxed);
                assert!(!matches!(status, 500 | 502 | 504), "seed {seed}, {n}: {status} {body}\n{}", shown());
                assert!(!body.contains(SECRET), "seed {seed}, {n}: {body}\n{}", shown());
                connection = kept.then_some(stream);
            }
        }
    }

    async fn socket(&self, seed: u64, count: usize) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut left = count;
        while left > 0 {
            let uri = format!("ws://{}/socket.io/?EIO=4&transport=websocket", self.address);
            let Ok((mut socket, _)) = ClientBuilder::from_uri(uri.parse().expect("a URI")).connect().await else {
                continue;
            };
            if rng.random_bool(0.8) {
                let _ = socket.send(Message::text(format!("40{}", json!({ "key": self.key })))).await;
            }
            for _ in 0..rng.random_range(1..100) {
                left = left.saturating_sub(1);
                let argument = odd_json(&mut rng, 2);
                let packet = match rng.random_range(0..8) {
                    0 => Message::text(odd(&mut rng)),
                    1 => Message::binary(bytes::Bytes::from(odd(&mut rng))),
                    2 => Message::text(format!("45{}-{argument}", rng.random::<u16>())),
                    3 => Message::text(format!("4{}{argument}", rng.random_range(0..9))),
                    4 => Message::text(format!("42/{},{argument}", odd(&mut rng))),
                    5 => Message::text(format!(
                        "42{}",
                        json!(["register", { "tenantId": OTHER, "cursor": odd(&mut rng) }])
                    )),
                    _ => Message::text(format!("42{}", json!(["register", argument]))),
                };
                if socket.send(packet).await.is_err() {
                    break;
                }
                while let Ok(Some(Ok(said))) = timeout(Duration::from_millis(1), socket.next()).await {
                    assert!(!said.as_text().unwrap_or_default().contains(SECRET), "seed {seed}: {said:?}");
                }
            }
        }
    }
}

/// Status, body, and whether the connection goes on. `None`: closed without one.
async fn response(stream: &mut BufReader<TcpStream>) -> Option<(u16, String, bool)> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut kept) = (None, true);
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse::<usize>().ok(),
            "connection" => kept = value != "close",
            _ => {}
        }
    }
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    // Of what has no length the rest is left, with its connection.
    Some((status, String::from_utf8_lossy(&body).into_owned(), kept && (length.is_some() || status == 204)))
}

/// A stanza of a kind that clients know, with something wrong everywhere. None that by right ends a session.
fn stanza(rng: &mut StdRng, depth: u32) -> Node {
    const TAGS: &[&str] = &[
        "message",
        "receipt",
        "notification",
        "ack",
        "iq",
        "ib",
        "presence",
        "chatstate",
        "call",
        "success",
        "enc",
        "retry",
        "registration",
        "error",
        "offline",
        "offline_preview",
        "dirty",
        "edge_routing",
        "pair-device",
        "pair-success",
        "ref",
        "device",
        "add",
        "remove",
        "update",
        "identity",
        "count",
        "list",
        "user",
        "participants",
        "skey",
        "key",
        "value",
        "id",
        "xmlstreamend",
        "thread_metadata",
        "w:gp2",
        "group",
        "media_conn",
    ];
    const ATTRS: &[&str] = &[
        "id",
        "from",
        "to",
        "type",
        "t",
        "participant",
        "recipient",
        "sender_pn",
        "sender_lid",
        "notify",
        "v",
        "count",
        "class",
        "offline",
        "xmlns",
        "edit",
        "code",
        "hash",
        "jid",
        "lid",
        "addressing_mode",
        "category",
        "phash",
        "value",
        "platform",
    ];
    const VALUES: &[&str] = &[
        "",
        "0",
        "-1",
        "4294967296",
        "99999999999999999999",
        "set",
        "get",
        "result",
        "error",
        "msg",
        "pkmsg",
        "skmsg",
        "text",
        "media",
        "read",
        "retry",
        "server-error",
        "sender",
        "encrypt",
        "devices",
        "w:gp2",
        "account_sync",
        "server_sync",
        "mediaretry",
        "picture",
        "status",
        "privacy_token",
        "s.whatsapp.net",
        "573001112233@s.whatsapp.net",
        "1@lid",
        "120363000000000001@g.us",
        "status@broadcast",
        "@",
        "a:b@c",
        "urn:xmpp:ping",
        "md",
    ];
    let mut node = NodeBuilder::new(TAGS.choose(rng).expect("some"));
    for _ in 0..rng.random_range(0..6) {
        node = node.attr(ATTRS.choose(rng).expect("some"), *VALUES.choose(rng).expect("some"));
    }
    match rng.random_range(0..3) {
        0 if depth > 0 => {
            let children: Vec<Node> = (0..rng.random_range(0..4)).map(|_| stanza(rng, depth - 1)).collect();
            node.children(children).build()
        }
        1 => {
            let mut bytes = vec![0; rng.random_range(0..80)];
            rng.fill_bytes(&mut bytes);
            node.bytes(bytes).build()
        }
        _ => node.build(),
    }
}

async fn network(stage: &Stage, number: &str, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    for n in 0..STANZAS {
        let mut bytes = vec![0; rng.random_range(1..120)];
        rng.fill_bytes(&mut bytes);
        let babble = match rng.random_range(0..100) {
            // Each of these costs the connection.
            0 => Babble::Frame(bytes),
            1 => Babble::Plain(bytes),
            _ => Babble::Stanza(stanza(&mut rng, 3)),
        };
        let heard = async || stage.network.babble(number, babble.clone()).await.expect("the phone exists");
        until(LIMIT, "the device to be online", heard)
            .await
            .unwrap_or_else(|error| panic!("seed {seed}, {n}: {error}\n{}", stage.log()));
        if n % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A customer whose messages are encrypted as they should be, and are none.
async fn customer(stage: &Stage, number: &str, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let customer = stage.network.add_customer().await;
    for _ in 0..MESSAGES {
        let mut bytes = vec![0; rng.random_range(0..60)];
        rng.fill_bytes(&mut bytes);
        // Fields of a message, each with something that may be one.
        let field = rng.random_range(1..110u32) << 3 | 2;
        let key = if field < 128 { vec![field as u8] } else { vec![(field & 0x7f | 0x80) as u8, (field >> 7) as u8] };
        let bytes = [key, vec![bytes.len() as u8], bytes].concat();
        stage.network.customer_send(&customer, number, Say::Garbage { bytes }).await.expect("both exist");
        if rng.random_range(0..20) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// KiB.
fn resident(daemon: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id().expect("it runs"))).expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_hostile_inputs_do_nothing() {
    let _turn = heavy::turn().await;
    let seed = std::env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    for limit in
        ["PAIRING_PER_KEY", "PAIRING_PER_ADDRESS", "SENDING_PER_KEY", "SENDING_PER_ADDRESS", "FAILURES_PER_ADDRESS"]
    {
        stage = stage.set(&format!("SESSIOND_LIMITS__{limit}"), "0");
    }
    let daemon = stage.start().await;
    stage.pair(OWN).await;
    let victim = stage.pair(VICTIM).await;
    let other = stage.pair(OTHER).await;
    let told = stage.network.customer_send(&other.customers[0], &other.number, SECRET).await.unwrap();
    let ear = stage.listen(std::slice::from_ref(&other));
    ear.until(LIMIT, |heard| heard.iter().any(|heard| heard.payload["message"]["id"] == told)).await.unwrap();
    let key = json!({ "session": OWN, "isAdmin": false, "isActive": true });
    let key = stage.dashboard.post("/api/keys", key).await.unwrap();
    let key = key.body["key"].as_str().unwrap_or_else(|| panic!("{}", key.body)).to_owned();
    let attacker = Attacker { address: stage.setup.address, key, routes: api::routes() };

    let answered = AtomicU64::new(0);
    // What the process needs to do its work at all.
    join_all((0..8).map(|n| attacker.http(seed + n, REQUESTS / 100, &answered))).await;
    let before = resident(&daemon);
    let http = join_all((8..16).map(|n| attacker.http(seed + n, REQUESTS / 8, &answered)));
    let sockets = join_all((0..4).map(|n| attacker.socket(seed + n, PACKETS / 4)));
    let network = async {
        network(&stage, &victim.number, seed).await;
        customer(&stage, &victim.number, seed).await;
    };
    tokio::join!(http, sockets, network);
    let answered = answered.into_inner();
    assert!(answered > REQUESTS as u64 * 9 / 10, "only {answered} requests were answered");
    let after = resident(&daemon);
    println!("{answered} answers; {before} KiB before, {after} KiB after");
    assert!(after < before + GROWTH, "{before} KiB have become {after}");

    let log = stage.log();
    let panics: Vec<_> = log.lines().filter(|line| line.contains("panic")).take(3).collect();
    assert!(panics.is_empty(), "{panics:#?}");
    assert!(!log.contains(SECRET));
    // Both are served as ever.
    let mut both = [victim, other];
    let ear = stage.listen(&both);
    for conversation in &mut both {
        conversation.customers_write(&stage.network, 2).await.unwrap();
    }
    stage.tally.answer_all(&mut both, &stage.dashboard, &ear, LIMIT).await.unwrap();
    assert_eq!(stage.network.stats().await.counters_reused, 0);
    daemon.kill().await.unwrap();
}
