//! What goes: every kind, as JSON, as a form and by URL; once, or not at all.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::Uri,
    response::{IntoResponse as _, Redirect},
    routing::get,
};
use loopback::{Fault, FaultKind};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use sessiond::demo::until;
use tokio::net::TcpListener;

use super::{JPEG, MP4, MediaScene, OGG, PDF, TENANT, WEBP, bare, base64, file, form, picture};
use crate::support::stage::LIMIT;

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_goes_byte_for_byte() {
    let scene = MediaScene::new().await;
    let picture = picture(640, 320);
    let cases = [
        ("/api/sendImage", "image", picture.clone(), json!({ "caption": "Margherita" })),
        ("/api/sendImage", "image", file(JPEG, 3000), json!({})),
        ("/api/sendVideo", "video", file(MP4, 9000), json!({ "caption": "our oven" })),
        ("/api/sendVideo", "video_note", file(MP4, 900), json!({ "asNote": true })),
        ("/api/sendVoice", "voice", file(OGG, 900), json!({ "convert": true })),
        ("/api/sendSticker", "sticker", file(WEBP, 900), json!({})),
        ("/api/sendFile", "document", file(PDF, 900), json!({ "caption": "the menu" })),
        ("/api/sendFile", "document", b"plain".to_vec(), json!({})),
    ];
    for (path, kind, data, mut body) in cases {
        body["file"] = json!({ "mimetype": "text/plain", "filename": "Menú.txt", "data": base64(&data) });
        let (id, url) = scene.sent(path, body.clone()).await;
        let received = scene.arrived(&id).await;
        let attached = received.file.as_ref().unwrap();
        assert_eq!((received.kind.as_str(), &attached.data), (kind, &data), "{path}");
        if kind == "document" {
            assert_eq!(attached.mimetype.as_deref(), Some("text/plain"));
            assert_eq!(received.fields["file_name"], json!("Menú.txt"), "{received:?}");
        }
        if let Some(caption) = body.get("caption") {
            assert_eq!(received.fields["caption"], *caption, "{received:?}");
        }
        assert_eq!(scene.bytes(&url).await, data, "{path}");
        // Its own dashboards see it too, under the same URL.
        assert_eq!(scene.seen(&id).await["mediaUrl"], json!(url));
    }
    let (id, _) = scene.sent("/api/sendImage", json!({ "file": { "data": base64(&picture) } })).await;
    let seen = scene.seen(&id).await;
    assert_eq!((&seen["content"]["width"], &seen["content"]["height"]), (&json!(640), &json!(320)));
    assert!(seen["content"]["thumbnail"].as_str().unwrap().len() > 100, "{seen}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_urls_bring_files_too() {
    let shop = Shop::open().await;
    let scene = MediaScene::with(|stage| {
        stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1").set("SESSIOND_MEDIA__FETCH_TIMEOUT", "5s")
    });
    let scene = scene.await;
    let data = file(PDF, 300_000);
    let chat = format!("{}@c.us", scene.customer);
    let fields = [("session", TENANT), ("chatId", chat.as_str()), ("caption", "the menu")];
    let (kind, body) = form(&fields, "Menú.pdf", "application/pdf", &data);
    let request = scene.ask(Method::POST, "/api/sendFile").header(header::CONTENT_TYPE, kind).body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let received = scene.arrived(&bare(&answer.json().await.unwrap())).await;
    let attached = received.file.as_ref().unwrap();
    assert_eq!((&attached.data, attached.mimetype.as_deref()), (&data, Some("application/pdf")));
    assert_eq!((&received.fields["file_name"], &received.fields["caption"]), (&json!("Menú.pdf"), &json!("the menu")));

    let data = shop.offer("/menu.png", picture(300, 100));
    let (id, url) = scene.sent("/api/sendImage", json!({ "file": { "url": shop.url("/moved") } })).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, data);
    assert_eq!(scene.bytes(&url).await, data);

    // The old contract.
    for (kind, data, expected) in [
        (Value::Null, picture(30, 30), "image"),
        (json!("image"), file(JPEG, 500), "image"),
        (json!("audio"), file(OGG, 500), "audio"),
        (json!("document"), file(PDF, 500), "document"),
        (Value::Null, file(MP4, 500), "video"),
        (Value::Null, b"a,b\n1,2\n".to_vec(), "document"),
    ] {
        let data = shop.offer("/thing", data);
        let body = json!({
            "tenantId": TENANT, "to": scene.customer, "text": "for you", "type": kind, "mediaUrl": shop.url("/thing"),
        });
        let answer = scene.stage.dashboard.post("/api/baileys/send", body).await.unwrap();
        assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)), "{kind}: {answer:?}");
        let received = scene.arrived(answer.body["messageId"].as_str().unwrap()).await;
        assert_eq!((received.kind.as_str(), &received.file.unwrap().data), (expected, &data));
        if expected != "audio" {
            assert_eq!(received.fields["caption"], json!("for you"));
        }
    }

    // What the URL leads to is not a file that can be had.
    for (path, status, code) in [
        ("/missing", 422, "file_unavailable"),
        ("/inside", 422, "file_unavailable"),
        ("/loop", 422, "file_unavailable"),
        ("/endless", 413, "too_large"),
        ("/silent", 422, "file_unavailable"),
    ] {
        let (found, answer) = scene.post("/api/sendFile", json!({ "file": { "url": shop.url(path) } })).await;
        assert_eq!((found.as_u16(), &answer["code"]), (status, &json!(code)), "{path}: {answer}");
    }
    scene.end().await;
}

type Goods = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A server with files.
pub struct Shop {
    address: SocketAddr,
    goods: Goods,
    /// Requests for what drips.
    dripping: Arc<AtomicUsize>,
}

impl Shop {
    pub async fn open() -> Self {
        let goods: Goods = Default::default();
        let dripping = Arc::new(AtomicUsize::new(0));
        let find = async |State((goods, dripping)): State<(Goods, Arc<AtomicUsize>)>, uri: Uri| {
            let to = |path: &'static str| Redirect::temporary(path).into_response();
            let zeros = || futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 65536])));
            match uri.path() {
                "/moved" => to("/menu.png"),
                "/loop" => to("/loop"),
                "/inside" => to("http://169.254.169.254/latest/meta-data/"),
                "/endless" => Body::from_stream(zeros()).into_response(),
                "/silent" => std::future::pending().await,
                "/drip" => {
                    dripping.fetch_add(1, Ordering::Relaxed);
                    Body::from_stream(drips()).into_response()
                }
                path => match goods.lock().unwrap().get(path) {
                    Some(data) => data.clone().into_response(),
                    None => StatusCode::NOT_FOUND.into_response(),
                },
            }
        };
        let router = Router::new().fallback(get(find)).with_state((goods.clone(), dripping.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, goods, dripping }
    }

    pub fn offer(&self, path: &str, data: Vec<u8>) -> Vec<u8> {
        self.goods.lock().unwrap().insert(path.to_owned(), data.clone());
        data
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A byte in half a second.
fn drips() -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    futures::stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        Some((Ok(Bytes::from_static(b"a")), ()))
    })
}

/// One tenant's URLs that only drip keep no place that others need, neither for a file that is here nor for another URL.
#[tokio::test(flavor = "multi_thread")]
async fn urls_that_drip_hold_up_nobody_else() {
    let shop = Shop::open().await;
    let scene = MediaScene::with(|stage| {
        let stage = stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1").set("SESSIOND_MEDIA__PARALLEL", "2");
        stage.set("SESSIOND_MEDIA__FETCH_TIMEOUT", "60s")
    });
    let scene = scene.await;
    scene.stage.pair("pizzeria").await;
    let (url, chat) = (shop.url("/drip"), format!("{}@c.us", scene.customer));
    let dripping: Vec<_> = (0..3)
        .map(|_| {
            let body = json!({ "session": "pizzeria", "chatId": chat, "file": { "url": url } });
            tokio::spawn(scene.ask(Method::POST, "/api/sendFile").json(&body).send())
        })
        .collect();
    // A tenant has a place for one; the others wait for it.
    until(LIMIT, "a URL to drip", async || shop.dripping.load(Ordering::Relaxed) > 0).await.unwrap();
    let here = file(PDF, 3000);
    let began = std::time::Instant::now();
    let (id, _) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(&here) } })).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, here);
    let there = shop.offer("/menu.pdf", file(PDF, 3000));
    let (id, _) = scene.sent("/api/sendFile", json!({ "file": { "url": shop.url("/menu.pdf") } })).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, there);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    dripping.iter().for_each(tokio::task::JoinHandle::abort);
    scene.end_after(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_MEDIA__MAX_SENT_MIB", "2")).await;
    let data = |bytes: &[u8]| json!({ "file": { "data": base64(bytes) } });
    let url = |url: &str| json!({ "file": { "url": url } });
    let convert = |bytes: &[u8]| json!({ "file": { "data": base64(bytes) }, "convert": true });
    let webm = b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm";
    let large = vec![7; 2 * 1024 * 1024 + 1];
    for (path, body, status, code) in [
        ("/api/sendImage", json!({}), 400, "invalid_input"),
        ("/api/sendImage", json!({ "file": {} }), 400, "invalid_input"),
        ("/api/sendImage", json!({ "file": { "data": "" } }), 400, "invalid_input"),
        ("/api/sendImage", json!({ "file": { "data": "%%%" } }), 400, "invalid_input"),
        ("/api/sendImage", json!({ "file": { "data": "AAAA", "url": "https://example.com/" } }), 400, "invalid_input"),
        ("/api/sendImage", json!({ "file": { "data": 5 } }), 400, "invalid_input"),
        ("/api/sendImage", data(b"<svg onload=x()>"), 400, "invalid_input"),
        ("/api/sendImage", data(PDF), 400, "invalid_input"),
        ("/api/sendSticker", data(JPEG), 400, "invalid_input"),
        ("/api/sendVideo", data(JPEG), 400, "invalid_input"),
        ("/api/sendVoice", data(JPEG), 400, "invalid_input"),
        ("/api/sendVideo", convert(webm), 501, "not_implemented"),
        ("/api/sendVoice", convert(b"ID3\x04\0\0\0\0\0\0"), 501, "not_implemented"),
        ("/api/sendFile", data(&large), 413, "too_large"),
        ("/api/sendSticker", data(&file(WEBP, 1024 * 1024 + 1)), 413, "too_large"),
        ("/api/sendFile", json!({ "file": { "data": "AAAA", "filename": "a\nb" } }), 400, "invalid_input"),
        ("/api/sendFile", json!({ "file": { "data": "AAAA", "mimetype": "a\r\nb: c" } }), 400, "invalid_input"),
        ("/api/sendFile", url("file:///etc/passwd"), 400, "invalid_input"),
        ("/api/sendFile", url("http://127.0.0.1/"), 400, "invalid_input"),
        ("/api/sendFile", url("http://[::ffff:169.254.169.254]/latest/meta-data/"), 400, "invalid_input"),
        ("/api/sendFile", url("http://user:password@example.com/"), 400, "invalid_input"),
        // What the name stands for is seen at the connection.
        ("/api/sendFile", url("http://localhost:8080/"), 422, "file_unavailable"),
    ] {
        let (found, answer) = scene.post(path, body.clone()).await;
        let told: String = body.to_string().chars().take(200).collect();
        assert_eq!((found.as_u16(), &answer["code"]), (status, &json!(code)), "{path} {told}: {answer}");
    }
    let chat = format!("{}@c.us", scene.customer);
    let fields = [("session", TENANT), ("chatId", chat.as_str())];
    let (kind, whole) = form(&fields, "a", "text/plain", &large);
    let cut = whole[..whole.len() / 20].to_vec();
    for (kind, body, expected) in [
        (kind.as_str(), whole, 413),
        (kind.as_str(), cut, 400),
        (kind.as_str(), b"nonsense".to_vec(), 400),
        ("multipart/form-data", b"x".to_vec(), 400),
        ("text/plain", b"{".to_vec(), 400),
        ("application/json", vec![b'['; 100_000], 400),
    ] {
        let request = scene.ask(Method::POST, "/api/sendFile").header(header::CONTENT_TYPE, kind).body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{kind}: {}", answer.text().await.unwrap());
    }
    assert_eq!(scene.stage.network.customer_inbox(&scene.customer).await.unwrap().len(), 0, "nothing was sent");
    // A picture that says it is of two gigabytes is sent as it is, and was not decoded.
    let mut bomb = picture(1, 1);
    bomb[16..20].copy_from_slice(&25_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&25_000_u32.to_be_bytes());
    let before = scene.peak();
    let (id, _) = scene.sent("/api/sendImage", data(&bomb)).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, bomb);
    assert!(scene.peak() - before < 64 * 1024, "{} KiB more", scene.peak() - before);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_refused_while_the_hosts_are_down_and_goes_out_once_after() {
    let scene = MediaScene::new().await;
    let network = scene.stage.network.clone();
    for (n, fault) in [
        Fault::new(FaultKind::MediaDown),
        Fault::new(FaultKind::MediaRefuse).code(503),
        Fault::new(FaultKind::MediaRefuse).code(401),
        Fault::new(FaultKind::MediaCut),
    ]
    .into_iter()
    .enumerate()
    {
        let data = file(JPEG, 50_000 + n);
        let body = || json!({ "session": TENANT, "chatId": format!("{}@c.us", scene.customer), "file": { "data": base64(&data) } });
        let send = async || {
            let request = scene.ask(Method::POST, "/api/sendImage").header("idempotency-key", format!("order {n}"));
            let answer = request.json(&body()).send().await.unwrap();
            let again = answer.headers().contains_key(header::RETRY_AFTER);
            (answer.status().as_u16(), again, answer.json::<Value>().await.unwrap())
        };
        let what = format!("{fault:?}");
        network.fault(fault).await.unwrap();
        let (status, again, answer) = send().await;
        assert_eq!((status, again, &answer["code"]), (503, true, &json!("media_down")), "{what}");
        network.clear_faults().await;
        let (first, second) = (send().await, send().await);
        assert_eq!((first.0, second.0, &first.2["id"]), (201, 201, &second.2["id"]), "{what}: {first:?}");
        let received = scene.arrived(&bare(&first.2)).await;
        assert_eq!((received.arrivals, &received.file.unwrap().data), (1, &data), "{what}");
        // Another file under the same key is another message.
        let other = json!({ "session": TENANT, "chatId": format!("{}@c.us", scene.customer), "file": { "data": base64(&file(JPEG, 9)) } });
        let request = scene.ask(Method::POST, "/api/sendImage").header("idempotency-key", format!("order {n}"));
        assert_eq!(request.json(&other).send().await.unwrap().status().as_u16(), 422);
    }
    assert_eq!(network.customer_inbox(&scene.customer).await.unwrap().len(), 4);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_after_a_kill_sends_once() {
    let mut scene = MediaScene::new().await;
    let network = scene.stage.network.clone();
    let data = file(PDF, 200_000);
    // WhatsApp has it, but has not said so when the daemon dies.
    network.fault(Fault::new(FaultKind::WithholdAcks)).await.unwrap();
    let body =
        json!({ "session": TENANT, "chatId": format!("{}@c.us", scene.customer), "file": { "data": base64(&data) } });
    let send = async |scene: &MediaScene| {
        let request = scene.ask(Method::POST, "/api/sendFile").header("idempotency-key", "order 7");
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, first) = send(&scene).await;
    assert_eq!(status, 201, "{first}");
    let uploads = network.stats().await.counts.media_uploads;
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    network.clear_faults().await;
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "the login", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
    let (status, second) = send(&scene).await;
    assert_eq!((status, &second["id"], &second["media"]), (201, &first["id"], &first["media"]), "{second}");
    let received = scene.arrived(&bare(&first)).await;
    assert_eq!(received.file.unwrap().data, data);
    assert_eq!(network.stats().await.counts.media_uploads, uploads, "it is with WhatsApp already");
    assert_eq!(network.customer_inbox(&scene.customer).await.unwrap().len(), 1);
    scene.end().await;
}
