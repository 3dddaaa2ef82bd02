//! The front door: half requests, answers that nobody reads, floods of connections and of handshakes. Whoever sends them has no key; the
//! tenants stay online, good clients are served, and what a peak took is given back.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _, future::join_all};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_websockets::{ClientBuilder, Message};

use crate::support::stage::{Home, LIMIT, Stage};

/// Descriptors that a small container gives, and an attacker's half requests.
pub const DESCRIPTORS: usize = 1024;
const HALF_HEADS: usize = 1100;

const HALF_HEAD: &[u8] = b"GET /health HTTP/1.1\r\nHost: a\r\nX-Filler: ";

/// The daemon as in a container with few descriptors.
pub fn confined(mut stage: Stage) -> Stage {
    let script = stage.path("confined");
    let program = stage.setup.program.display();
    std::fs::write(&script, format!("#!/bin/sh\nulimit -n {DESCRIPTORS}\nexec {program} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    stage.setup.program = script;
    stage
}

pub async fn stage(settings: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    for (name, value) in settings {
        stage = stage.set(&format!("SESSIOND_HTTP__{name}"), *value);
    }
    stage
}

/// A connection from an address of the loopback network.
pub async fn connect_from(own: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(own)), 0))?;
    socket.connect(to).await
}

/// Whether the other end has hung up, in time.
pub async fn is_closed(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut bytes = [0; 4096];
    let reading = async {
        while let Ok(read) = stream.read(&mut bytes).await {
            if read == 0 {
                return;
            }
        }
    };
    timeout(limit, reading).await.is_ok()
}

/// The status of an answer to what is written.
async fn status(stream: &mut TcpStream, request: &[u8]) -> Option<u16> {
    answer(stream, request).await?.split(' ').nth(1)?.parse().ok()
}

/// How the answer begins.
async fn answer(stream: &mut TcpStream, request: &[u8]) -> Option<String> {
    stream.write_all(request).await.ok()?;
    let mut bytes = [0; 256];
    let read = timeout(LIMIT, stream.read(&mut bytes)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// Of `/proc`: MiB that are resident and the process's own. Pages of the program, which come with the first run through its code, are
/// none that anybody makes it hold.
pub fn resident(daemon: &Process) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id().unwrap())).unwrap();
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // Not every kernel tells them apart.
    let line = of("RssAnon:").or_else(|| of("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

pub fn descriptors(daemon: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.id().unwrap())).unwrap().count()
}

/// A good client is served, soon.
pub async fn is_served(stage: &Stage) {
    let began = Instant::now();
    let url = format!("http://{}/ping", stage.setup.address);
    let answer = reqwest::Client::new().get(url).timeout(LIMIT).send().await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    assert_eq!(answer.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(5), "served after {:?}", began.elapsed());
}

/// WhatsApp goes away and comes back: each tenant reconnects, and its customers, who write then, are answered.
async fn assert_reconnect(stage: &Stage, tenants: &mut [Conversation], ear: &Ear, messages: usize) {
    stage.network.stop().await;
    let first = tenants[0].tenant.clone();
    let gone = async || !stage.dashboard.is_connected(&first).await;
    until(LIMIT, "the loss", gone).await.unwrap();
    stage.network.resume().await.unwrap();
    for Conversation { tenant, .. } in tenants.iter() {
        let back = until(LIMIT, "the reconnect", || stage.dashboard.is_connected(tenant)).await;
        back.unwrap_or_else(|error| panic!("{tenant}: {error}\n{}", stage.log()));
    }
    stage.talk(tenants, ear, messages).await;
}

/// Holds half requests, and opens those anew that are closed, until it is dropped.
struct Attack(Vec<tokio::task::JoinHandle<()>>);

impl Attack {
    fn begin(to: SocketAddr, number: usize) -> Self {
        Self((0..number).map(|n| tokio::spawn(hold_half_requests(to, n))).collect())
    }
}

async fn hold_half_requests(to: SocketAddr, n: usize) {
    let own = [127, 0, 1, u8::try_from(n % 200 + 1).unwrap()];
    loop {
        if let Ok(mut stream) = connect_from(own, to).await {
            let _ = stream.write_all(HALF_HEAD).await;
            // A byte now and then, as if it were slow.
            while stream.write_all(b"a").await.is_ok() {
                if is_closed(&mut stream, Duration::from_secs(1)).await {
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Sends a body as slowly as a poor line would, and another when that is given up, until it is dropped.
async fn dribble(to: SocketAddr, n: usize) {
    let own = [127, 0, 1, u8::try_from(n % 3 + 1).unwrap()];
    let head = "POST /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
    loop {
        if let Ok(mut stream) = connect_from(own, to).await {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'4'; 1100]).await.is_ok() {
                if is_closed(&mut stream, Duration::from_millis(1500)).await {
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Bodies that come slowly, but not too slowly for a poor line, from several addresses: no newcomer may be kept out by them.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_dribble_in_give_way_to_a_newcomer() {
    let stage = confined(stage(&[]).await);
    let daemon = stage.start().await;
    let address = stage.setup.address;
    let attack = Attack((0..HALF_HEADS).map(|n| tokio::spawn(dribble(address, n))).collect());
    let besieged = async || descriptors(&daemon) > DESCRIPTORS / 5;
    until(LIMIT, "the attack to be felt", besieged).await.unwrap();
    for _ in 0..5 {
        is_served(&stage).await;
    }
    drop(attack);
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_requests_by_the_hundreds_keep_no_tenant_offline_and_no_client_out() {
    let stage = confined(stage(&[]).await);
    let daemon = stage.start().await;
    let mut tenants = [stage.pair("trattoria").await, stage.pair("pizzeria").await];
    let ear = stage.listen(&tenants);
    let attack = Attack::begin(stage.setup.address, HALF_HEADS);
    let besieged = async || descriptors(&daemon) > DESCRIPTORS / 5;
    until(LIMIT, "the attack to be felt", besieged).await.unwrap();
    for _ in 0..3 {
        is_served(&stage).await;
    }
    // Whoever has to reconnect now can.
    assert_reconnect(&stage, &mut tenants, &ear, 1).await;
    // Callers have a quarter: the rest is promised to tenants, who need it when WhatsApp restarts.
    assert!(descriptors(&daemon) <= DESCRIPTORS / 3, "{}", descriptors(&daemon));
    drop(attack);
    let over = async || descriptors(&daemon) < DESCRIPTORS / 8;
    until(LIMIT, "the attack to be over", over).await.unwrap();
    assert!(!stage.log().contains("os error 24"), "{}", stage.log());
    stage.assert_promises(&tenants).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_half_requests() {
    let stage = stage(&[]).await;
    let daemon = stage.start().await;
    let held = join_all((0..50).map(async |_| {
        let mut stream = TcpStream::connect(stage.setup.address).await.unwrap();
        stream.write_all(HALF_HEAD).await.unwrap();
        stream
    }));
    let _held = held.await;
    is_served(&stage).await;
    let began = Instant::now();
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_bodies_and_idle_connections_have_their_time_and_web_sockets_outlive_them() {
    let limits = [("HEAD_TIMEOUT", "1s"), ("KEEP_ALIVE", "2s"), ("STALL_TIMEOUT", "2s"), ("BYTES_PER_SECOND", "100")];
    let stage = stage(&limits).await;
    let daemon = stage.start().await;
    let mut tenant = stage.pair("trattoria").await;
    let ear = stage.listen(std::slice::from_ref(&tenant));
    let registered = |heard: &[sessiond::demo::Heard]| heard.iter().any(|heard| heard.event == "registered");
    ear.until(LIMIT, registered).await.unwrap();

    let ping = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut silent = TcpStream::connect(stage.setup.address).await.unwrap();
    let mut half = TcpStream::connect(stage.setup.address).await.unwrap();
    half.write_all(HALF_HEAD).await.unwrap();
    let mut idle = TcpStream::connect(stage.setup.address).await.unwrap();
    assert_eq!(status(&mut idle, ping).await, Some(200));
    let key = &stage.setup.admin_key;
    let post = |length: usize| {
        format!(
            "POST /api/sendText HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut stalled = TcpStream::connect(stage.setup.address).await.unwrap();
    stalled.write_all(post(1000).as_bytes()).await.unwrap();
    let mut dribbling = TcpStream::connect(stage.setup.address).await.unwrap();
    dribbling.write_all(post(100_000).as_bytes()).await.unwrap();
    let dribble = async {
        // Half of what is asked for.
        while dribbling.write_all(b"{         ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    for (name, stream) in [("silent", &mut silent), ("half", &mut half), ("idle", &mut idle), ("stalled", &mut stalled)]
    {
        assert!(is_closed(stream, LIMIT).await, "{name}");
    }
    timeout(LIMIT, dribble).await.expect("the dribbling one is closed");

    // One that is slow but not too slow is served, and so is one that asks again in time.
    let body =
        json!({ "session": "trattoria", "chatId": format!("{}@c.us", tenant.customers[0]), "text": "x".repeat(600) });
    let body = body.to_string().into_bytes();
    let mut slow = TcpStream::connect(stage.setup.address).await.unwrap();
    slow.write_all(post(body.len()).as_bytes()).await.unwrap();
    for piece in body.chunks(100) {
        slow.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(status(&mut slow, b"").await, Some(201), "{}", stage.log());
    // Through all of it the socket heard what came.
    tenant.customers_write(&stage.network, 1).await.unwrap();
    let mut tenants = [tenant];
    stage.tally.answer_all(&mut tenants, &stage.dashboard, &ear, LIMIT).await.unwrap();
    assert_eq!(ear.heard().iter().filter(|heard| heard.event == "registered").count(), 1, "it never had to reconnect");
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_is_given_up() {
    let stage = stage(&[("STALL_TIMEOUT", "2s")]).await;
    let daemon = stage.start().await;
    is_served(&stage).await;
    let before = descriptors(&daemon);
    // Much is asked for, and nothing is read.
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(stage.setup.address).await.unwrap();
        let request = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
        let _ = timeout(Duration::from_millis(200), stream.write_all(request.as_bytes())).await;
        deaf.push(stream);
    }
    let over = async || descriptors(&daemon) <= before + 1;
    until(LIMIT, "the deaf to be given up", over).await.unwrap();
    drop(deaf);
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_a_size() {
    let stage = stage(&[]).await;
    let daemon = stage.start().await;
    let head =
        |bytes: usize| format!("GET /ping HTTP/1.1\r\nHost: a\r\nX-Filler: {}\r\n\r\n", "a".repeat(bytes)).into_bytes();
    let mut stream = TcpStream::connect(stage.setup.address).await.unwrap();
    assert_eq!(status(&mut stream, &head(8000)).await, Some(200));
    let mut stream = TcpStream::connect(stage.setup.address).await.unwrap();
    assert!(matches!(status(&mut stream, &head(300_000)).await, Some(431) | None));
    daemon.kill().await.unwrap();
}

/// Whoever stands before the daemon may have gone by the other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let stage = stage(&[]).await;
    let daemon = stage.start().await;
    for (hosts, expected) in [("Host: a\r\n", 200), ("Host: a\r\nHost: b\r\n", 400), ("Host: a\r\nHost: a\r\n", 400)] {
        let mut stream = TcpStream::connect(stage.setup.address).await.unwrap();
        let request = format!("GET /ping HTTP/1.1\r\n{hosts}\r\n");
        let answer = answer(&mut stream, request.as_bytes()).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{hosts}: {answer}");
        assert_eq!(answer.contains("application/problem+json"), expected == 400, "{hosts}: {answer}");
    }
    daemon.kill().await.unwrap();
}

/// Whoever sends all of a request before reading gets the answer also where the request came no further than the door. The kernel takes
/// less than that from a peer that does not read.
const WHOLE_BODY: usize = 32 * 1024 * 1024;

async fn is_answered(stream: &mut TcpStream, headers: &str, expected: u16) {
    let head = format!("POST /api/sendText HTTP/1.1\r\n{headers}Content-Length: {WHOLE_BODY}\r\n\r\n");
    let sending = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&vec![b' '; WHOLE_BODY]).await
    };
    timeout(LIMIT, sending).await.expect("it is taken in time").unwrap_or_else(|error| panic!("{expected}: {error}"));
    assert_eq!(status(stream, b"").await, Some(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_first_hears_why_it_is_refused_at_the_door() {
    let limits = [("MAX_CONNECTIONS_PER_ADDRESS", "1"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let stage = stage(&limits).await;
    let daemon = stage.start().await;
    let mut stream = TcpStream::connect(stage.setup.address).await.unwrap();
    is_answered(&mut stream, "Host: a\r\nHost: b\r\n", 400).await;
    let held = socket_from([127, 0, 0, 7], stage.setup.address, &stage.setup.admin_key).await.expect("its only one");
    let mut stream = connect_from([127, 0, 0, 7], stage.setup.address).await.unwrap();
    is_answered(&mut stream, "Host: a\r\nX-Real-IP: 10.0.0.7\r\n", 429).await;
    drop(held);
    daemon.kill().await.unwrap();
}

/// A WebSocket from this address, on which a key was shown: without one it makes room for the next.
async fn socket_from(own: [u8; 4], to: SocketAddr, key: &str) -> Option<TcpStream> {
    let mut stream = connect_from(own, to).await.ok()?;
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let named = format!("X-Real-IP: 10.0.0.{}\r\n\r\n", own[3]);
    let opened = status(&mut stream, format!("{request}{named}").as_bytes()).await?;
    if opened != 101 {
        return None;
    }
    let connect = format!("40{}", json!({ "key": key }));
    // A frame of a client whose mask is zeros.
    let frame = [&[0x81, 0x80 | u8::try_from(connect.len()).unwrap(), 0, 0, 0, 0], connect.as_bytes()].concat();
    stream.write_all(&frame).await.ok()?;
    let mut heard = Vec::new();
    while !heard.windows(3).any(|said| said == b"40{") {
        let mut bytes = [0; 512];
        let read = timeout(LIMIT, stream.read(&mut bytes)).await.ok()?.ok().filter(|read| *read > 0)?;
        heard.extend_from_slice(&bytes[..read]);
    }
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_takes_its_share_and_no_more_behind_a_proxy_too() {
    for proxies in ["", "127.0.0.0/8"] {
        let limits = [
            ("MAX_CONNECTIONS_PER_ADDRESS", "10"),
            ("MAX_HANDSHAKES_PER_ADDRESS", "100"),
            ("HANDSHAKE_TIMEOUT", "60s"),
            ("TRUSTED_PROXIES", proxies),
        ];
        let stage = stage(&limits).await;
        let daemon = stage.start().await;
        let (to, key) = (stage.setup.address, stage.setup.admin_key.as_str());
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(socket_from([127, 0, 0, 7], to, key).await.expect("one of its ten"));
        }
        assert!(socket_from([127, 0, 0, 7], to, key).await.is_none(), "the eleventh, {proxies:?}");
        // Others are not concerned.
        assert!(socket_from([127, 0, 0, 8], to, key).await.is_some(), "{proxies:?}");
        is_served(&stage).await;
        held.pop();
        let again = async || socket_from([127, 0, 0, 7], to, key).await.is_some();
        until(LIMIT, "a place that is free again", again).await.unwrap();
        daemon.kill().await.unwrap();
    }
}

/// Where sessions of Engine.IO by polling begin.
fn polling(stage: &Stage) -> String {
    format!("http://{}/socket.io/?EIO=4&transport=polling", stage.setup.address)
}

/// A session of Engine.IO by polling: its URL.
async fn session(http: &reqwest::Client, stage: &Stage) -> Option<String> {
    let url = polling(stage);
    let answer = http.get(&url).send().await.ok()?;
    begun(&url, answer).await
}

async fn begun(url: &str, answer: reqwest::Response) -> Option<String> {
    if answer.status() != 200 {
        return None;
    }
    let opened: Value = serde_json::from_str(answer.text().await.ok()?.strip_prefix('0')?).ok()?;
    Some(format!("{url}&sid={}", opened["sid"].as_str()?))
}

/// What is answered. A connection that breaks on a busy machine is no answer: it is asked again.
async fn answered(request: impl Fn() -> reqwest::RequestBuilder) -> reqwest::Response {
    let deadline = Instant::now() + LIMIT;
    loop {
        match request().send().await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline, "nothing is answered: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Shows the key in a session by polling: what is heard of it. On a busy machine a ping may come before.
async fn enter(http: &reqwest::Client, url: &str, key: &str) -> String {
    let say = async |said: String| {
        let taken = answered(|| http.post(url).body(said.clone())).await;
        assert!(taken.status().is_success(), "{said}: {}", taken.status());
    };
    say(format!("40{}", json!({ "key": key }))).await;
    loop {
        let polled = http.get(url).send().await.unwrap_or_else(|error| panic!("{error:?}"));
        let (status, heard) = (polled.status(), polled.text().await.unwrap());
        assert!(status.is_success(), "{status}: {heard}");
        if heard != "2" {
            return heard;
        }
        say("3".to_owned()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_costs_little_and_is_given_back() {
    let stage = stage(&[("HANDSHAKE_TIMEOUT", "60s"), ("MAX_HANDSHAKES_PER_ADDRESS", "40")]).await;
    let daemon = stage.start().await;
    let tenant = stage.pair("trattoria").await;
    let ear = stage.listen(std::slice::from_ref(&tenant));
    ear.until(LIMIT, |heard| heard.iter().any(|heard| heard.event == "registered")).await.unwrap();
    let before = resident(&daemon);
    // Each request has a connection of its own: one that is kept may be closed just when it is used again.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let url = polling(&stage);
    let open = async || begun(&url, answered(|| http.get(&url)).await).await;
    let connects = |bytes: usize| "40\u{1e}".repeat(bytes / 3).trim_end_matches('\u{1e}').to_owned();
    for bytes in [1_000_000, 60_000] {
        let flood = connects(bytes);
        let floods = join_all((0..20).map(async |_| {
            let url = open().await.expect("who comes has a place");
            answered(|| http.post(&url).body(flood.clone())).await.status().as_u16()
        }));
        let statuses = floods.await;
        assert!(statuses.iter().all(|status| [400, 413].contains(status)), "{bytes} bytes: {statuses:?}");
    }
    // Over WebSockets, in small frames: whoever tries many keys is hung up on.
    let uri: http::Uri = format!("ws://{}/socket.io/?EIO=4&transport=websocket", stage.setup.address).parse().unwrap();
    let flood = async || {
        let Ok((mut socket, _)) = ClientBuilder::from_uri(uri.clone()).connect().await else { return true };
        for _ in 0..20_000 {
            if socket.feed(Message::text("40")).await.is_err() {
                return true;
            }
        }
        let _ = timeout(Duration::from_secs(1), socket.flush()).await;
        let ended = async { while let Some(Ok(_)) = socket.next().await {} };
        timeout(LIMIT, ended).await.is_ok()
    };
    let ended = join_all((0..10).map(|_| flood())).await;
    assert!(ended.iter().all(|ended| *ended), "not all were hung up on: {ended:?}");
    let peak = resident(&daemon);
    assert!(peak < before + 60.0, "{before:.0} MiB have become {peak:.0}");
    // Whoever has waited longest without a key makes room, and a newcomer gets in.
    let opened: Vec<String> = join_all((0..100).map(|_| open())).await.into_iter().flatten().collect();
    assert_eq!(opened.len(), 100, "{}", stage.log());
    let newest = open().await.expect("who comes has a place");
    let key = stage.setup.admin_key.as_str();
    let heard = enter(&http, &newest, key).await;
    assert!(heard.contains("40{"), "{heard}");
    let heard = join_all(opened.iter().map(|url| enter(&http, url, key))).await;
    let let_in = heard.iter().filter(|heard| heard.contains("40{")).count();
    assert!((20..=40).contains(&let_in), "{let_in} of those who waited: {heard:?}");
    // The good one has heard nothing of it.
    let answer = stage.dashboard.get("/api/baileys/status?tenantId=trattoria").await.unwrap();
    assert_eq!(answer.body["connected"], json!(true), "{}", stage.log());
    let registered = ear.heard().iter().filter(|heard| heard.event == "registered").count();
    assert_eq!(registered, 1, "the good one had to connect anew: {}", stage.log());
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_shows_no_key_is_closed() {
    let stage = stage(&[("HANDSHAKE_TIMEOUT", "2s")]).await;
    let daemon = stage.start().await;
    stage.dashboard.post("/api/sessions", json!({ "name": "trattoria", "start": false })).await.unwrap();
    // One with a key stays.
    let ear = Ear::open(&stage.dashboard, vec!["trattoria".to_owned()]);
    let registered = |heard: &[sessiond::demo::Heard]| heard.iter().filter(|heard| heard.event == "registered").count();
    ear.until(LIMIT, |heard| registered(heard) > 0).await.unwrap();
    let uri: http::Uri = format!("ws://{}/socket.io/?EIO=4&transport=websocket", stage.setup.address).parse().unwrap();
    for says in [None, Some(format!("40{}", json!({ "key": "wrong" })))] {
        let (mut socket, _) = ClientBuilder::from_uri(uri.clone()).connect().await.unwrap();
        if let Some(says) = says {
            socket.send(Message::text(says)).await.unwrap();
        }
        let ended = async { while let Some(Ok(_)) = socket.next().await {} };
        timeout(LIMIT, ended).await.expect("it is closed");
    }
    assert_eq!(registered(&ear.heard()), 1);
    daemon.kill().await.unwrap();
}

/// Of connects, without end and without a key: bodies of a MiB.
async fn hold_connects(stage: &Stage, refused: &AtomicUsize) {
    let http = reqwest::Client::new();
    let connects = "40\u{1e}".repeat(330_000).trim_end_matches('\u{1e}').to_owned();
    loop {
        match session(&http, stage).await {
            Some(url) => {
                let answer = http.post(&url).body(connects.clone()).send().await;
                refused.fetch_add(usize::from(answer.is_ok_and(|answer| answer.status() == 413)), Ordering::Relaxed);
            }
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// With a key, pages of long texts: asked for, and not read.
async fn hold_unread_page(stage: &Stage, customer: &str, begun: &AtomicUsize) {
    let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={customer}&limit=500");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {}\r\n\r\n", stage.setup.admin_key);
    loop {
        let Ok(mut stream) = TcpStream::connect(stage.setup.address).await else { continue };
        let mut head = [0; 12];
        let answered =
            async { stream.write_all(request.as_bytes()).await.is_ok() && stream.read_exact(&mut head).await.is_ok() };
        if answered.await && &head == b"HTTP/1.1 200" {
            begun.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Everything at once, in a container with few descriptors: the tenants stay online, and memory is bounded.
/// Bounded from the idle daemon on, so that what long texts leave behind counts as well.
#[tokio::test(flavor = "multi_thread")]
async fn all_attacks_at_once_keep_no_tenant_offline_and_memory_bounded() {
    let stage = confined(stage(&[]).await);
    let daemon = stage.start().await;
    let mut tenants = [stage.pair("trattoria").await, stage.pair("pizzeria").await];
    let ear = stage.listen(&tenants);
    let idle = resident(&daemon);
    // What nobody can write, and what people can at the most.
    let vandal = stage.network.add_customer().await;
    for text in std::iter::repeat_n("ñ".repeat(6 << 20), 2).chain(std::iter::repeat_n("x".repeat(60_000), 60)) {
        stage.network.customer_send(&vandal, &tenants[0].number, &*text).await.unwrap();
    }
    let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={vandal}&limit=500");
    let all = async || stage.dashboard.get(&path).await.is_ok_and(|page| page.body["count"] == json!(62));
    until(3 * LIMIT, "the long texts", all).await.unwrap();
    let before = resident(&daemon);
    let halves = Attack::begin(stage.setup.address, HALF_HEADS);
    let (refused, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let siege = async {
        let connects = join_all((0..10).map(|_| hold_connects(&stage, &refused)));
        let pages = join_all((0..30).map(|_| hold_unread_page(&stage, &vandal, &begun)));
        tokio::join!(connects, pages);
    };
    let peak = std::cell::Cell::new(before);
    let watch = async {
        loop {
            let now = resident(&daemon);
            peak.set(now.max(peak.get()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let besieged = async || {
        let felt = descriptors(&daemon) > DESCRIPTORS / 5;
        felt && refused.load(Ordering::Relaxed) > 10 && begun.load(Ordering::Relaxed) > 10
    };
    let work = async {
        until(LIMIT, "the attack to be felt", besieged).await.unwrap();
        assert_reconnect(&stage, &mut tenants, &ear, 3).await;
        is_served(&stage).await;
    };
    tokio::select! {
        _ = siege => unreachable!("it goes on until the work is done"),
        _ = watch => unreachable!("as the siege"),
        () = work => {}
    }
    drop(halves);
    let peak = peak.get();
    let over = async || descriptors(&daemon) < DESCRIPTORS / 8;
    until(LIMIT, "the attack to be over", over).await.unwrap();
    let after = resident(&daemon);
    eprintln!(
        "{refused:?} floods of connects, {begun:?} unread pages: {idle:.0} MiB at first, {before:.0} with two texts of 12 MB, \
         {peak:.0} at the most, {after:.0} after"
    );
    assert!(peak < before + 100.0, "{before:.0} MiB have become {peak:.0}");
    let given_back = async || resident(&daemon) < idle + 60.0;
    until(LIMIT, "memory to be given back", given_back).await.unwrap_or_else(|error| {
        panic!(
            "{error}: {idle:.0} MiB at first, {before:.0} before, {peak:.0} at the most, {:.0} now",
            resident(&daemon)
        )
    });
    assert!(!stage.log().contains("os error 24"), "{}", stage.log());
    daemon.kill().await.unwrap();
}
