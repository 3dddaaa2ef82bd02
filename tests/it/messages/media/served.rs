//! Who gets a file, and how: whole, in parts, by its URL from a webhook; large ones; and the same with a real client.

use loopback::Say;
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use sessiond::demo::until;
use sha2::{Digest as _, Sha256};

use super::{JPEG, MP4, MediaScene, OGG, PDF, TENANT, WEBP, bare, base64, file, form, picture, stored};
use crate::support::{
    driver,
    node::program,
    receiver::{Post, Receiver},
    stage::LIMIT,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_its_tenants_alone() {
    let scene = MediaScene::new().await;
    let url = scene.receive(Say::image(file(JPEG, 300))).await;
    scene.bytes(&url).await;
    let key = async |tenant: &str, scopes: Value| {
        let body = json!({ "session": tenant, "isAdmin": false, "isActive": true, "actions": scopes });
        scene.stage.dashboard.post("/api/keys", body).await.unwrap().body["key"].as_str().unwrap().to_owned()
    };
    let (own, stranger) = (key(TENANT, json!({ "read": true })).await, key("pizzeria", json!({ "read": true })).await);
    let sender = key(TENANT, json!({ "send": true })).await;
    let status = async |key: &str, url: &str| {
        let answer = Client::new().get(url).header("x-api-key", key).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(Client::new().get(&url).send().await.unwrap().status(), 401);
    assert_eq!((status(&own, &url).await, status(&stranger, &url).await, status(&sender, &url).await), (200, 403, 403));
    scene.stage.dashboard.qr("pizzeria").await.unwrap();
    // The same name under the own tenant is another file, which is not there.
    let moved = url.replace(&format!("/{TENANT}/"), "/pizzeria/");
    assert_eq!((status(&stranger, &moved).await, status(&own, &moved).await), (404, 403));

    let name = url.rsplit('/').next().unwrap();
    let base = format!("http://{}/api/files", scene.stage.setup.address);
    for trick in [
        format!("pizzeria/..%2F{TENANT}%2F{name}"),
        format!("pizzeria/%2e%2e%2f{TENANT}%2f{name}"),
        format!("pizzeria/..%5C{TENANT}%5C{name}"),
        format!("pizzeria/{TENANT}/{name}"),
        format!("pizzeria//{name}"),
        format!("pizzeria/%00{name}"),
        format!("pizzeria/{name}%00.jpeg"),
        "pizzeria/.".to_owned(),
        "pizzeria/..".to_owned(),
        "pizzeria/%2e%2e".to_owned(),
        "pizzeria/".to_owned(),
        "pizzeria/..%2f..%2fvault.db".to_owned(),
        "pizzeria/%2fetc%2fpasswd".to_owned(),
        format!("pizzeria/{}.jpeg", "A".repeat(3000)),
        "pizzeria/%ff%fe.jpeg".to_owned(),
        format!("..%2F{TENANT}/{name}"),
    ] {
        let found = status(&stranger, &format!("{base}/{trick}")).await;
        assert!([400, 403, 404].contains(&found), "{trick}: {found}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_served() {
    let scene = MediaScene::new().await;
    let data = file(MP4, 100_000);
    let url = scene.receive(Say::video(data.clone())).await;
    let whole = scene.get(&url).await;
    let tag = whole.headers()[header::ETAG].clone();
    assert_eq!(
        (&whole.headers()[header::ACCEPT_RANGES], whole.content_length()),
        (&"bytes".parse().unwrap(), Some(100_000))
    );
    let ask = async |headers: &[(header::HeaderName, &str)]| {
        let mut request = scene.ask(Method::GET, &url);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let answer = request.send().await.unwrap();
        let range = answer.headers().get(header::CONTENT_RANGE).map(|range| range.to_str().unwrap().to_owned());
        (answer.status().as_u16(), range.unwrap_or_default(), answer.bytes().await.unwrap())
    };
    for (range, expected, from, to) in [
        ("bytes=0-99", "bytes 0-99/100000", 0, 100),
        ("bytes=99990-", "bytes 99990-99999/100000", 99_990, 100_000),
        ("bytes=-1", "bytes 99999-99999/100000", 99_999, 100_000),
        ("bytes=50000-999999", "bytes 50000-99999/100000", 50_000, 100_000),
    ] {
        let (status, got, bytes) = ask(&[(header::RANGE, range)]).await;
        assert_eq!((status, got.as_str(), bytes.as_ref()), (206, expected, &data[from..to]), "{range}");
    }
    let (status, range, bytes) = ask(&[(header::RANGE, "bytes=100000-")]).await;
    assert_eq!((status, range.as_str(), bytes.len()), (416, "bytes */100000", 0));
    for ignored in ["bytes=9-1", "lines=1-2", "bytes=0-1,5-6"] {
        let (status, _, bytes) = ask(&[(header::RANGE, ignored)]).await;
        assert_eq!((status, bytes.len()), (200, data.len()), "{ignored}");
    }
    let tag = tag.to_str().unwrap();
    assert_eq!(ask(&[(header::IF_NONE_MATCH, tag)]).await.0, 304);
    assert_eq!(ask(&[(header::IF_NONE_MATCH, "\"other\"")]).await.0, 200);
    assert_eq!(ask(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, tag)]).await.0, 206);
    assert_eq!(ask(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"other\"")]).await.0, 200);
    let head = scene.ask(Method::HEAD, &url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()[header::CONTENT_LENGTH].to_str().unwrap()), (200, "100000"));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_say_where_the_file_is() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1")).await;
    let receiver = Receiver::start().await;
    let hook = json!({ "webhooks": [{ "url": receiver.url(), "events": ["message.any"] }] });
    let put = scene.ask(Method::PUT, &format!("/api/{TENANT}/webhooks")).json(&hook).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    let data = file(JPEG, 3000);
    let url = scene.receive(Say::image(data.clone()).caption("ours")).await;
    let is_it = |post: &Post| post.json["payload"]["media"]["url"] == json!(url);
    receiver.until(LIMIT, "the picture", |posts| posts.iter().any(is_it)).await;
    let post = receiver.posts().into_iter().find(is_it).unwrap();
    let payload = &post.json["payload"];
    assert_eq!(
        (&payload["hasMedia"], &payload["media"]["mimetype"]),
        (&json!(true), &json!("image/jpeg")),
        "{payload}"
    );
    assert_eq!(scene.bytes(payload["media"]["url"].as_str().unwrap()).await, data);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_are_never_whole_in_memory() {
    const SIZE: usize = 64 * 1024 * 1024;
    let scene = MediaScene::new().await;
    let small = scene.receive(Say::video(file(MP4, 1000))).await;
    scene.bytes(&small).await;
    let before = scene.peak();
    let data = file(MP4, SIZE);
    let url = scene.receive(Say::video(data.clone())).await;
    assert!(scene.bytes(&url).await == data);
    let came = scene.peak() - before;

    let chat = format!("{}@c.us", scene.customer);
    let (kind, body) = form(&[("session", TENANT), ("chatId", chat.as_str())], "a.mp4", "video/mp4", &data);
    let request = scene.ask(Method::POST, "/api/sendVideo").header(header::CONTENT_TYPE, kind).body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{}", scene.stage.log());
    let answer: Value = answer.json().await.unwrap();
    assert!(scene.arrived(&bare(&answer)).await.file.unwrap().data == data);
    assert!(scene.bytes(answer["media"]["url"].as_str().unwrap()).await == data);
    let both = scene.peak() - before;
    assert!(came < 32 * 1024 && both < 48 * 1024, "{came} and {both} KiB more for 65536");
    scene.end().await;
}

/// What is removed to make room is fetched again when somebody still wants it.
#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_make_room_and_come_back() {
    let scene =
        MediaScene::with(|stage| stage.set("SESSIOND_MEDIA__KEEP_MIB", "1").set("SESSIOND_MEDIA__SWEEP", "1s")).await;
    let there = |url: &str| scene.stage.setup.data_dir.join("media").join(TENANT).join(stored(url)).exists();
    let mut files = Vec::new();
    for _ in 0..2 {
        let data = file(JPEG, 700_000);
        let url = scene.receive(Say::image(data.clone())).await;
        assert!(scene.bytes(&url).await == data);
        files.push((url, data));
    }
    let [(old, old_data), (new, _)] = &files[..] else { unreachable!() };
    until(LIMIT, "room", || async { !there(old) }).await.unwrap();
    assert!(there(new));
    assert!(scene.bytes(old).await == *old_data);
    until(LIMIT, "room again", || async { !there(new) }).await.unwrap();
    assert!(there(old), "the later of the two is what was fetched last");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_byte_for_byte() {
    with_baileys("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_byte_for_byte() {
    with_baileys("7").await;
}

async fn with_baileys(version: &str) {
    let Some(folder) = program("baileys") else { return };
    let mut scene = MediaScene::new().await;
    let phone = scene.stage.network.add_phone(Some("Guest".into())).await;
    let mut guest = driver::Client::paired(&folder, version, &scene.stage.network, &phone.number).await;
    let chat = format!("{}@s.whatsapp.net", scene.tenant.number);
    for (field, more, data) in [
        ("image", json!({ "caption": "ours" }), picture(50, 50)),
        ("video", json!({}), file(MP4, 70_001)),
        ("audio", json!({ "ptt": true, "seconds": 2, "mimetype": "audio/ogg; codecs=opus" }), file(OGG, 5000)),
        ("document", json!({ "fileName": "a.pdf", "mimetype": "application/pdf" }), file(PDF, 200_000)),
        ("sticker", json!({}), file(WEBP, 3000)),
    ] {
        let mut content = more;
        content[field] = json!({ "$base64": base64(&data) });
        let (id, _) = guest.send_content(&chat, &content, &json!({})).await;
        let url = scene.seen(&id).await["mediaUrl"].as_str().unwrap().to_owned();
        assert!(scene.bytes(&url).await == data, "{field}");
    }
    scene.customer.clone_from(&phone.number);
    for (path, kind, data) in [
        ("/api/sendImage", "imageMessage", picture(60, 60)),
        ("/api/sendVideo", "videoMessage", file(MP4, 70_001)),
        ("/api/sendVoice", "audioMessage", file(OGG, 5000)),
        ("/api/sendFile", "documentMessage", file(PDF, 6 * 1024 * 1024)),
        ("/api/sendSticker", "stickerMessage", file(WEBP, 3000)),
    ] {
        let file = json!({ "data": base64(&data), "filename": "a" });
        let (id, _) = scene.sent(path, json!({ "file": file, "caption": "for you" })).await;
        let message = guest.message(&id).await;
        let sha256 = hex::encode(Sha256::digest(&data));
        assert_eq!((&message["kind"], &message["media_error"]), (&json!(kind), &Value::Null), "{message}");
        assert_eq!(message["media"], json!({ "sha256": sha256, "size": data.len() }), "{path}");
    }
    guest.end().await;
    scene.end_after(2).await;
}
