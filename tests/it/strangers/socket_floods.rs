//! Socket.IO's door, from those who want no message: floods of frames, WebSockets that say nothing, one key with more sockets than it may
//! have, clients that do not read. Others are served, and memory is bounded.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _, future::join_all};
use serde_json::json;
use sessiond::demo::{Process, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_websockets::{ClientBuilder, Message};

use crate::{
    consumers::cursors::Socket,
    strangers::front_door::{confined, connect_from, is_closed, is_served, resident, stage},
    support::stage::{LIMIT, Stage},
};

/// A request to be let in, as a frame of a client whose mask is zeros.
const CONNECT: &[u8] = b"\x81\x82\0\0\0\x0040";

fn upgrade() -> String {
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_owned()
}

/// A WebSocket that has been taken.
async fn open(own: [u8; 4], to: SocketAddr) -> Option<TcpStream> {
    let mut stream = connect_from(own, to).await.ok()?;
    stream.write_all(upgrade().as_bytes()).await.ok()?;
    let mut head = [0; 12];
    timeout(LIMIT, stream.read_exact(&mut head)).await.ok()?.ok()?;
    (&head == b"HTTP/1.1 101").then_some(stream)
}

/// The most that is resident while something goes on.
pub async fn peak_while<T>(daemon: &Process, work: impl Future<Output = T>) -> (f64, T) {
    let mut peak = resident(daemon);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (peak.max(resident(daemon)), done),
            () = sleep(Duration::from_millis(20)) => peak = peak.max(resident(daemon)),
        }
    }
}

/// Without a key: so many sockets as an address may have, each with thousands of requests to be let in.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_requests_to_be_let_in_over_web_sockets_cost_little() {
    let stage = stage(&[]).await;
    let daemon = stage.start().await;
    is_served(&stage).await;
    let before = resident(&daemon);
    let flood = CONNECT.repeat(4000);
    let ended = AtomicUsize::new(0);
    let floods = join_all((0..128_u32).map(async |n| {
        // Before it is told that it may, or after.
        let stream = match n % 2 {
            0 => {
                let mut stream = connect_from([127, 0, 2, 1], stage.setup.address).await.ok()?;
                stream.write_all(upgrade().as_bytes()).await.ok()?;
                Some(stream)
            }
            _ => open([127, 0, 2, 1], stage.setup.address).await,
        };
        let mut stream = stream?;
        let _ = stream.write_all(&flood).await;
        ended.fetch_add(usize::from(is_closed(&mut stream, LIMIT).await), Relaxed);
        Some(())
    }));
    let (peak, _) = peak_while(&daemon, floods).await;
    is_served(&stage).await;
    assert!(peak < before + 60.0, "{before:.0} MiB have become {peak:.0}");
    assert!(ended.load(Relaxed) > 60, "{ended:?} were hung up on");
    assert!(!stage.log().contains("panic"), "{}", stage.log());
    daemon.kill().await.unwrap();
}

/// Takes each socket that is closed anew.
async fn hold_silent(own: [u8; 4], to: SocketAddr, number: usize) {
    join_all((0..number).map(|_| async {
        loop {
            if let Some(mut stream) = open(own, to).await {
                is_closed(&mut stream, Duration::from_secs(9)).await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }))
    .await;
}

/// Good clients are served for a while, each over a connection of its own.
async fn others_are_served(stage: &Stage, length: Duration) {
    let (began, mut answered) = (Instant::now(), 0);
    while began.elapsed() < length {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let url = format!("http://{}/api/tenants", stage.setup.address);
        let asked = http.get(url).header("X-Api-Key", &stage.setup.admin_key).timeout(Duration::from_secs(10)).send();
        let answer = asked.await.unwrap_or_else(|error| panic!("after {answered} answers: {error}"));
        assert_eq!(answer.status(), 200);
        answered += 1;
        sleep(Duration::from_millis(100)).await;
    }
    // And a dashboard gets in. The tenant may be there already.
    let vacant = json!({ "name": "trattoria", "start": false });
    stage.dashboard.post("/api/sessions", vacant).await.expect("an answer");
    let ear = sessiond::demo::Ear::open(&stage.dashboard, vec!["trattoria".to_owned()]);
    let registered = |heard: &[sessiond::demo::Heard]| heard.iter().any(|heard| heard.event == "registered");
    ear.until(LIMIT, registered).await.expect("a dashboard gets in");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_sockets_that_say_nothing_make_room_for_others() {
    let stage = confined(stage(&[]).await);
    let daemon = stage.start().await;
    let silent = join_all((1..=5).map(|n| hold_silent([127, 0, 2, n], stage.setup.address, 127)));
    tokio::select! {
        _ = silent => unreachable!("it goes on until it is dropped"),
        () = async {
            // All places that they can have are taken by then.
            sleep(Duration::from_secs(3)).await;
            others_are_served(&stage, Duration::from_secs(12)).await;
        } => {}
    }
    daemon.kill().await.unwrap();
}

/// A socket that has shown a key, and registered from a cursor on.
async fn registered(stage: &Stage, key: &str) -> Option<Socket> {
    let uri: http::Uri = format!("ws://{}/socket.io/?EIO=4&transport=websocket", stage.setup.address).parse().unwrap();
    let (mut socket, _) = timeout(LIMIT, ClientBuilder::from_uri(uri).connect()).await.ok()?.ok()?;
    socket.send(Message::text(format!("40{}", json!({ "key": key })))).await.ok()?;
    loop {
        let message = timeout(LIMIT, socket.next()).await.ok()??.ok()?;
        let text = message.as_text().unwrap_or_default();
        if text.starts_with("44") {
            return None;
        }
        if text.starts_with("40") {
            return Some(socket);
        }
    }
}

async fn read_key(stage: &Stage, tenant: &str) -> String {
    let body = json!({ "session": tenant, "actions": { "read": true }, "isAdmin": false, "isActive": true });
    let made = stage.dashboard.post("/api/keys", body).await.unwrap();
    made.body["key"].as_str().unwrap_or_else(|| panic!("{}", made.body)).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_does_not_take_all_places() {
    let stage = confined(stage(&[]).await);
    let daemon = stage.start().await;
    let _tenant = stage.pair("trattoria").await;
    let key = read_key(&stage, "trattoria").await;
    let opening = join_all((0..300).map(|_| registered(&stage, &key)));
    let sockets: Vec<Socket> = opening.await.into_iter().flatten().collect();
    assert!((20..200).contains(&sockets.len()), "{} sockets of one key", sockets.len());
    others_are_served(&stage, Duration::from_secs(3)).await;
    drop(sockets);
    let again = async || registered(&stage, &key).await.is_some();
    until(LIMIT, "a place of the same key", again).await.unwrap();
    daemon.kill().await.unwrap();
}

/// They register from the beginning of a log with long texts, and never read.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_little() {
    let stage = stage(&[]).await;
    let daemon = stage.start().await;
    let tenant = stage.pair("trattoria").await;
    let key = read_key(&stage, "trattoria").await;
    let mut last = String::new();
    for _ in 0..150 {
        let text = "x".repeat(60_000);
        last = stage.network.customer_send(&tenant.customers[0], &tenant.number, &*text).await.unwrap();
    }
    let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={}&limit=1", tenant.customers[0]);
    let all = async || {
        let page = stage.dashboard.get(&path).await.unwrap();
        page.body["messages"][0]["id"] == json!(last)
    };
    until(LIMIT, "the long texts", all).await.unwrap();
    let before = resident(&daemon);
    let work = async {
        let mut sockets = Vec::new();
        for _ in 0..40 {
            let mut socket = registered(&stage, &key).await.expect("it gets in");
            let from = json!(["register", { "tenantId": "trattoria", "cursor": "00000000000000000000000000" }]);
            socket.send(Message::text(format!("42{from}"))).await.unwrap();
            sockets.push(socket);
        }
        // By then they have all that they can get without reading.
        let settled = Instant::now() + Duration::from_secs(5);
        until(LIMIT, "all queues to be full", async || Instant::now() > settled).await.unwrap();
        is_served(&stage).await;
    };
    let (peak, ()) = peak_while(&daemon, work).await;
    assert!(peak < before + 120.0, "{before:.0} MiB have become {peak:.0}");
    daemon.kill().await.unwrap();
}

/// One that registers before it is told that it is in: it is registered, or hung up on, and never left waiting.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_hasty_is_served_or_hung_up_on() {
    let stage = stage(&[]).await;
    let daemon = stage.start().await;
    let _tenant = stage.pair("trattoria").await;
    let key = read_key(&stage, "trattoria").await;
    let uri: http::Uri = format!("ws://{}/socket.io/?EIO=4&transport=websocket", stage.setup.address).parse().unwrap();
    let (mut served, mut hung_up) = (0, 0);
    for _ in 0..20 {
        let (mut socket, _) = ClientBuilder::from_uri(uri.clone()).connect().await.unwrap();
        socket.send(Message::text(format!("40{}", json!({ "key": key })))).await.unwrap();
        socket.send(Message::text("42[\"register\",\"trattoria\"]".to_owned())).await.unwrap();
        let answered = timeout(Duration::from_secs(10), async {
            while let Some(Ok(message)) = socket.next().await {
                if message.as_text().is_some_and(|text| text.starts_with("42[\"registered\"")) {
                    return true;
                }
                if message.is_close() {
                    break;
                }
            }
            false
        });
        match answered.await.expect("an answer, or an end") {
            true => served += 1,
            false => hung_up += 1,
        }
    }
    println!("{served} served, {hung_up} hung up on");
    others_are_served(&stage, Duration::ZERO).await;
    daemon.kill().await.unwrap();
}
