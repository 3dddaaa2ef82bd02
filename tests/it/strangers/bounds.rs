//! What one key can make the daemon hold in memory is bounded in bytes, not in counts: pages that are long, or that nobody reads, forms of
//! many parts, lists of chats.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{front_door::resident, socket_floods::peak_while};
use crate::messages::media::{MediaScene, PDF, TENANT, file, form};

/// Characters; people write no longer texts in WhatsApp.
const LONG: usize = 60_000;
const TEXTS: usize = 150;

/// A tenant to whom a customer wrote many long texts.
async fn told_much() -> MediaScene {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_LOG__FILTER", "warn")).await;
    let mut last = String::new();
    for n in 0..TEXTS {
        let text = format!("{n:06} {}", "x".repeat(LONG));
        last = scene.stage.network.customer_send(&scene.customer, &scene.tenant.number, &*text).await.unwrap();
    }
    scene.seen(&last).await;
    scene
}

impl MediaScene {
    fn resident(&self) -> u64 {
        let id = self.daemon.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_nobody_reads_are_not_in_memory() {
    let scene = told_much().await;
    let chat = format!("{}@c.us", scene.customer);
    let paths = [
        format!("/api/baileys/messages?tenantId={TENANT}&chatId={}&limit=500", scene.customer),
        format!("/api/{TENANT}/chats/{chat}/messages?limit=500"),
        format!("/api/{TENANT}/chats/{chat}/messages?limit=500&sortOrder=asc"),
    ];
    // Whole, in order, each once.
    for path in &paths {
        let page: Value = scene.get(path).await.json().await.unwrap();
        let texts = page["messages"].as_array().or(page.as_array()).unwrap();
        let numbers: Vec<_> = texts
            .iter()
            .map(|message| message["text"].as_str().or(message["body"].as_str()).unwrap()[..6].to_owned())
            .collect();
        let mut expected: Vec<_> = (0..TEXTS).map(|n| format!("{n:06}")).collect();
        if !path.ends_with("asc") {
            expected.reverse();
        }
        assert_eq!(numbers, expected, "{path}");
    }
    let page = &scene.get(&paths[0].replace("limit=500", "limit=5")).await.json::<Value>().await.unwrap();
    assert_eq!((&page["count"], page["messages"].as_array().unwrap().len()), (&json!(5), 5));
    let newest =
        scene.get(&format!("/api/{TENANT}/chats/{chat}/messages?limit=1")).await.json::<Value>().await.unwrap();
    let newest = newest[0]["id"].as_str().unwrap();
    let before = scene.resident();
    let mut sockets = Vec::new();
    for n in 0..30 {
        let mut socket = TcpStream::connect(scene.stage.setup.address).await.unwrap();
        let (path, key) = (&paths[n % 3], &scene.stage.setup.admin_key);
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    // Those that are answered have begun to be; the others were told at once that it is too much.
    let mut refused = 0;
    for socket in &mut sockets {
        let mut line = [0; 12];
        socket.read_exact(&mut line).await.unwrap();
        refused += usize::from(&line == b"HTTP/1.1 503");
    }
    assert!(refused < 30, "nobody is answered");
    let mut most = 0;
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(3) {
        most = most.max(scene.resident());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let grown = most.saturating_sub(before) / 1024;
    eprintln!("30 unread pages: {grown} MiB; {refused} were refused");
    assert!(grown < 100, "30 unread pages take {grown} MiB");
    // Nobody waits for those who do not read but who would write as much.
    for path in [format!("/api/{TENANT}/chats?limit=5"), format!("/api/{TENANT}/chats/{chat}/messages/{newest}")] {
        assert_eq!(scene.get(&path).await.status(), 200, "{path}");
    }
    // Who comes later is answered.
    drop(sockets);
    let again = || async { scene.get(&paths[0]).await.status() == 200 };
    sessiond::demo::until(crate::support::stage::LIMIT, "an answer", again).await.unwrap();
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_back_get_long_events_all_the_same_and_marking_them_costs_no_memory() {
    let scene = told_much().await;
    let ear = scene.stage.listen(std::slice::from_ref(&scene.tenant));
    let all = |heard: &[sessiond::demo::Heard]| {
        let received = heard.iter().filter(|heard| heard.event == "message:received");
        received.filter_map(|heard| heard.payload["message"]["id"].as_str()).collect::<HashSet<_>>().len() == TEXTS
    };
    ear.until(crate::support::stage::LIMIT, all).await.unwrap();
    // Whoever marks them as read needs their ids, not their words: nine megabytes each time.
    let before = resident(&scene.daemon);
    let marking = join_all((0..14).map(|_| scene.post("/api/sendSeen", json!({}))));
    let (peak, answers) = peak_while(&scene.daemon, marking).await;
    assert!(answers.iter().all(|(status, _)| status.as_u16() == 201), "{answers:?}\n{}", scene.stage.log());
    eprintln!("14 that mark {TEXTS} long texts: {:.0} MiB", peak - before);
    assert!(peak - before < 60.0, "{:.0} MiB", peak - before);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_bounded_beside_its_file() {
    let scene = MediaScene::new().await;
    // Each part is small enough.
    let part = "x".repeat(60_000);
    let fields: Vec<_> = (0..20).map(|_| ("contacts", part.as_str())).collect();
    let send = |fields: Vec<(&'static str, &str)>| {
        let (kind, body) = form(&fields, "menu.pdf", "application/pdf", &file(PDF, 1000));
        let request = scene.ask(reqwest::Method::POST, &format!("/api/{TENANT}/status/image"));
        request.header("content-type", kind).body(body).send()
    };
    let answer = send(fields).await.unwrap();
    assert_eq!(answer.status(), 413, "{}", answer.text().await.unwrap());
    // Nor many without anything in them.
    let answer = send(vec![("x", ""); 100_000]).await.unwrap();
    assert_eq!(answer.status(), 413, "{}", answer.text().await.unwrap());
    scene.end().await;
}

/// A client that writes its whole request and reads afterwards gets the answer, however early it was given.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_given_before_the_body_was_read_arrives() {
    const MIB: usize = 1024 * 1024;
    let scene = MediaScene::new().await;
    let (address, key) = (scene.stage.setup.address, &scene.stage.setup.admin_key);
    let import = format!("/api/sessions/{TENANT}/import");
    let asked =
        [("/api/sendText", key.as_str(), "413"), (import.as_str(), key, "413"), ("/api/sendText", "wrong", "401")];
    for (path, key, status) in asked {
        for is_chunked in [false, true] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let length =
                if is_chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", 40 * MIB) };
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
            );
            let sent = async {
                stream.write_all(head.as_bytes()).await?;
                for _ in 0..40 {
                    let mut piece = vec![b' '; MIB];
                    if is_chunked {
                        piece = [format!("{MIB:x}\r\n").as_bytes(), &piece, b"\r\n"].concat();
                    }
                    stream.write_all(&piece).await?;
                }
                if is_chunked { stream.write_all(b"0\r\n\r\n").await } else { Ok(()) }
            };
            let sent = sent.await;
            assert!(sent.is_ok(), "{path} {status} {is_chunked}: {sent:?}");
            let mut answer = vec![0; 1024];
            let read = stream.read(&mut answer).await;
            let read = read.unwrap_or_else(|error| panic!("{path} {status} {is_chunked}: {error}"));
            let answer = String::from_utf8_lossy(&answer[..read]);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {is_chunked}: {answer}");
        }
    }
    scene.end().await;
}
