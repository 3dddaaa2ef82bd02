//! Files, byte for byte: what customers send is served to the tenant, what the tenant sends reaches the customer; and what breaks on the
//! way is there again afterwards.

use std::time::Duration;

use loopback::{Fault, FaultKind, File, Received, Say};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process, until};

use crate::{
    driver,
    node::program,
    receiver::{Post, Receiver},
    stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";

struct Scene {
    stage: Stage,
    daemon: Process,
    tenant: Conversation,
    ear: Ear,
    customer: String,
    http: Client,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|stage| stage).await
    }

    async fn with(change: impl FnOnce(Stage) -> Stage) -> Self {
        let stage = change(Stage::new(Home::Embedded).await.unwrap());
        let daemon = stage.start().await;
        let tenant = stage.pair(TENANT).await;
        let ear = stage.listen(std::slice::from_ref(&tenant));
        let customer = stage.network.add_customer().await;
        Self { stage, daemon, tenant, ear, customer, http: Client::new() }
    }

    /// A customer writes; where the file is, as the dashboard is told.
    async fn receive(&self, say: Say) -> String {
        let network = &self.stage.network;
        let id = network.customer_send(&self.customer, &self.tenant.number, say).await.unwrap();
        self.seen(&id).await["mediaUrl"].as_str().unwrap_or_else(|| panic!("{id} has no URL")).to_owned()
    }

    /// A message as the dashboard sees it.
    async fn seen(&self, id: &str) -> Value {
        let is_it = |heard: &sessiond::demo::Heard| {
            heard.event.starts_with("message:") && heard.payload["message"]["id"] == json!(id)
        };
        if let Err(error) = self.ear.until(LIMIT, |heard| heard.iter().any(is_it)).await {
            panic!("{id}: {error}\n{}", self.stage.log());
        }
        self.ear.heard().into_iter().find(is_it).unwrap().payload["message"].take()
    }

    fn ask(&self, method: Method, url: &str) -> RequestBuilder {
        let url =
            if url.starts_with('/') { format!("http://{}{url}", self.stage.setup.address) } else { url.to_owned() };
        self.http.request(method, url).header("x-api-key", &self.stage.setup.admin_key).timeout(LIMIT)
    }

    async fn get(&self, url: &str) -> Response {
        self.ask(Method::GET, url).send().await.unwrap()
    }

    async fn bytes(&self, url: &str) -> Vec<u8> {
        let answer = self.get(url).await;
        let status = answer.status();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{url}: {}\n{}", String::from_utf8_lossy(&bytes), self.stage.log());
        bytes.into()
    }

    /// Sends a file over WAHA's route; the answer.
    async fn post(&self, path: &str, mut body: Value) -> (StatusCode, Value) {
        body["session"] = json!(TENANT);
        body["chatId"] = json!(format!("{}@c.us", self.customer));
        let answer = self.ask(Method::POST, path).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or(Value::Null))
    }

    /// The same, accepted: WhatsApp's id of the message, and where its file is.
    async fn sent(&self, path: &str, body: Value) -> (String, String) {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {answer}\n{}", self.stage.log());
        (bare(&answer), answer["media"]["url"].as_str().expect("a URL").to_owned())
    }

    /// The message as the customer has it.
    async fn arrived(&self, id: &str) -> Received {
        let network = &self.stage.network;
        let found = || async {
            let inbox = network.customer_inbox(&self.customer).await.unwrap();
            inbox.into_iter().find(|received| received.id == id)
        };
        let there = until(LIMIT, "the message", || async { found().await.is_some() }).await;
        there.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
        let received = found().await.unwrap();
        assert_eq!(received.problem, None, "{received:?}");
        received
    }

    async fn end(self) {
        self.end_after(1).await;
    }

    /// After so many pairings: the tenant's, and a guest's.
    async fn end_after(self, pairings: u64) {
        let stats = self.stage.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused, stats.counts.pairings), (0, 0, pairings));
        self.daemon.kill().await.unwrap();
    }
}

/// WhatsApp's id out of WAHA's.
fn bare(answer: &Value) -> String {
    answer["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Bytes that do not compress and are never the same twice, behind a beginning that says what they are.
fn file(head: &[u8], size: usize) -> Vec<u8> {
    use rand::RngCore as _;
    let mut bytes = vec![0; size.max(head.len())];
    rand::rng().fill_bytes(&mut bytes);
    bytes[..head.len()].copy_from_slice(head);
    bytes
}

const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";
const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
const OGG: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x01";
const PDF: &[u8] = b"%PDF-1.7\n";

/// A real picture.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(width, height).write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_comes_byte_for_byte() {
    let scene = Scene::new().await;
    let gif_like = |data: &[u8]| File { data: data.to_vec(), ..File::default() };
    let cases = [
        (file(JPEG, 5000), "image/jpeg", "inline", Say::image as fn(Vec<u8>) -> Say),
        (file(MP4, 9000), "video/mp4", "inline", Say::video),
        (file(OGG, 100), "audio/ogg", "inline", Say::voice),
        (file(OGG, 100), "audio/ogg", "inline", Say::audio),
        (file(WEBP, 50), "image/webp", "inline", Say::sticker),
        (file(PDF, 70_000), "application/octet-stream", "attachment", |data| Say::document("menu.pdf", data)),
        (b"<script>alert(1)</script>".to_vec(), "application/octet-stream", "attachment", Say::image),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>".to_vec(),
            "application/octet-stream",
            "attachment",
            Say::image,
        ),
        (Vec::new(), "application/octet-stream", "attachment", |data| Say::document("empty.txt", data)),
        // Sizes around a block of the cipher.
        (vec![7; 15], "application/octet-stream", "attachment", |data| Say::document("a", data)),
        (vec![7; 16], "application/octet-stream", "attachment", |data| Say::document("a", data)),
    ];
    for (data, mime, disposition, say) in cases {
        let url = scene.receive(say(data.clone())).await;
        let answer = scene.get(&url).await;
        let head = answer.headers().clone();
        let of = |name: header::HeaderName| head.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap();
        assert_eq!(
            (answer.status(), of(header::CONTENT_TYPE)),
            (StatusCode::OK, mime.to_owned()),
            "{url}\n{}",
            scene.stage.log()
        );
        assert!(of(header::CONTENT_DISPOSITION).starts_with(disposition), "{head:?}");
        assert_eq!(of(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(of(header::CONTENT_SECURITY_POLICY).contains("sandbox"));
        assert_eq!(answer.bytes().await.unwrap(), data);
    }
    for say in [Say::Gif(gif_like(MP4)), Say::VideoNote(gif_like(MP4))] {
        let url = scene.receive(say).await;
        assert_eq!(scene.bytes(&url).await, MP4);
    }
    // What the owner sends from the phone.
    let data = file(JPEG, 300);
    let network = &scene.stage.network;
    let id = network.phone_send(&scene.tenant.number, &scene.customer, Say::image(data.clone())).await.unwrap();
    let url = scene.seen(&id).await["mediaUrl"].as_str().unwrap().to_owned();
    assert_eq!(scene.bytes(&url).await, data);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_goes_byte_for_byte() {
    let scene = Scene::new().await;
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

/// Files are fetched when they are asked for.
fn lazily(stage: Stage) -> Stage {
    stage.set("SESSIOND_MEDIA__EAGER", "false")
}

async fn problem(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let answer: Value = answer.json().await.unwrap();
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_the_way_in_is_fetched_later() {
    let scene = Scene::with(lazily).await;
    let network = scene.stage.network.clone();
    for (fault, expected) in [
        (Fault::new(FaultKind::MediaDown), (503, "media_down")),
        (Fault::new(FaultKind::MediaRefuse).code(500), (503, "media_down")),
        (Fault::new(FaultKind::MediaRefuse).code(429), (503, "media_down")),
        (Fault::new(FaultKind::MediaRefuse).code(404), (404, "file_gone")),
        (Fault::new(FaultKind::MediaRefuse).code(403), (404, "file_gone")),
        (Fault::new(FaultKind::MediaCorrupt), (503, "media_down")),
        (Fault::new(FaultKind::MediaCut), (503, "media_down")),
    ] {
        let data = file(JPEG, 50_000);
        let url = scene.receive(Say::image(data.clone())).await;
        let what = format!("{fault:?}");
        network.fault(fault).await.unwrap();
        let answer = scene.get(&url).await;
        let again = answer.headers().contains_key(header::RETRY_AFTER);
        assert_eq!((problem(answer).await, again), ((expected.0, expected.1.to_owned()), expected.0 == 503), "{what}");
        // The list of messages says so too.
        let path = format!("/api/{TENANT}/chats/{}@c.us/messages?limit=1", scene.customer);
        let listed = async || scene.get(&path).await.json::<Value>().await.unwrap()[0]["media"].take();
        let media = listed().await;
        assert!(media["error"]["message"].is_string() && media["url"] == json!(url), "{what}: {media}");
        network.clear_faults().await;
        assert_eq!(scene.bytes(&url).await, data, "{what}");
        assert_eq!(listed().await["error"], Value::Null);
    }
    network.fault(Fault::new(FaultKind::MediaSlow).ms(1500)).await.unwrap();
    let data = file(JPEG, 500);
    let url = scene.receive(Say::image(data.clone())).await;
    assert_eq!(scene.bytes(&url).await, data);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_is_asked_for_what_whatsapp_has_forgotten() {
    let scene = Scene::with(lazily).await;
    let network = scene.stage.network.clone();
    let retries = async || network.stats().await.counts.media_retries;
    let group = network.create_group(&scene.customer, "Neighbours", &[&scene.tenant.number]).await.unwrap();
    let data = [file(JPEG, 3000), file(MP4, 4000), file(PDF, 5000)];
    let mut urls = vec![scene.receive(Say::image(data[0].clone())).await];
    let own = network.phone_send(&scene.tenant.number, &scene.customer, Say::video(data[1].clone())).await.unwrap();
    urls.push(scene.seen(&own).await["mediaUrl"].as_str().unwrap().to_owned());
    let grouped =
        network.customer_send(&scene.customer, &group.jid, Say::document("a", data[2].clone())).await.unwrap();
    urls.push(scene.seen(&grouped).await["mediaUrl"].as_str().unwrap().to_owned());
    let lost = scene.receive(Say::image(file(JPEG, 100))).await;
    network.media_forgets().await;
    for (asked, (url, data)) in urls.iter().zip(&data).enumerate() {
        assert_eq!(&scene.bytes(url).await, data, "{url}");
        assert_eq!(retries().await, asked as u64 + 1);
    }
    network.phones_lose_files().await;
    for _ in 0..3 {
        assert_eq!(problem(scene.get(&lost).await).await, (404, "file_gone".to_owned()));
    }
    assert_eq!(retries().await, 4, "asked once");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_before_they_are_asked_for() {
    let scene = Scene::new().await;
    let network = scene.stage.network.clone();
    let data = file(JPEG, 3000);
    let url = scene.receive(Say::image(data.clone())).await;
    let stats = || async { network.stats().await.counts };
    until(LIMIT, "the download", || async { stats().await.media_downloads >= 1 }).await.unwrap();
    // The next comes when the host is back.
    network.fault(Fault::new(FaultKind::MediaDown)).await.unwrap();
    let late = file(JPEG, 4000);
    let late_url = scene.receive(Say::image(late.clone())).await;
    let failed = || async { scene.get(&late_url).await.status() == StatusCode::SERVICE_UNAVAILABLE };
    until(LIMIT, "a failure", failed).await.unwrap();
    network.clear_faults().await;
    until(LIMIT, "another try", || async { stats().await.media_downloads >= 2 }).await.unwrap();
    let there = |url: String| scene.stage.setup.data_dir.join("media").join(TENANT).join(stored(&url));
    for url in [&url, &late_url] {
        until(LIMIT, "the file", || async { there(url.clone()).exists() }).await.unwrap();
    }
    network.media_forgets().await;
    network.phones_lose_files().await;
    assert_eq!((scene.bytes(&url).await, scene.bytes(&late_url).await), (data, late));
    scene.end().await;
}

/// The name under which the file of a URL lies in the folder.
fn stored(url: &str) -> String {
    let file = url.rsplit('/').next().unwrap();
    file.rsplit_once('.').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_again_after_a_lost_disk() {
    let mut scene = Scene::new().await;
    let (came, went) = (file(JPEG, 3000), file(PDF, 4000));
    let came_url = scene.receive(Say::image(came.clone())).await;
    let (_, went_url) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(&went) } })).await;
    assert_eq!(scene.bytes(&came_url).await, came);
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "the login", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
    for (url, data) in [(&came_url, &came), (&went_url, &went)] {
        assert!(!scene.stage.setup.data_dir.join("media").join(TENANT).join(stored(url)).exists());
        let served = || async { scene.get(url).await.status() == StatusCode::OK };
        until(LIMIT, "the file", served).await.unwrap();
        assert_eq!(&scene.bytes(url).await, data);
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_its_tenants_alone() {
    let scene = Scene::new().await;
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
    let scene = Scene::new().await;
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

/// What a stranger writes about a file leads nowhere, and is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_lies_about_its_file() {
    let scene = Scene::with(|stage| lazily(stage).set("SESSIOND_MEDIA__MAX_RECEIVED_MIB", "1")).await;
    let network = scene.stage.network.clone();
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trap_at = trap.local_addr().unwrap();
    let data = file(JPEG, 20_000);
    let truth = network.media_put(&data).await.unwrap();
    let say = |image: whatsapp_rust::waproto::whatsapp::message::ImageMessage| Say::Raw {
        message: Box::new(whatsapp_rust::waproto::whatsapp::Message {
            image_message: whatsapp_rust::buffa::MessageField::some(image),
            ..Default::default()
        }),
    };
    let large = network.media_put(&file(JPEG, 1024 * 1024 + 1)).await.unwrap();
    let mut hidden = large.clone();
    hidden.file_length = None;
    let path = truth.direct_path.clone().unwrap();
    type Lie<'a> = (&'a str, whatsapp_rust::waproto::whatsapp::message::ImageMessage, (u16, &'a str));
    let lie = |change: &dyn Fn(&mut whatsapp_rust::waproto::whatsapp::message::ImageMessage)| {
        let mut image = truth.clone();
        change(&mut image);
        image
    };
    let cases: Vec<Lie<'_>> = vec![
        ("less than there is", lie(&|image| image.file_length = Some(100)), (422, "file_damaged")),
        ("more than there is", lie(&|image| image.file_length = Some(20_001)), (422, "file_damaged")),
        ("much more than may be", lie(&|image| image.file_length = Some(u64::MAX)), (422, "file_too_large")),
        ("another file", lie(&|image| image.file_sha256 = Some(vec![7; 32])), (422, "file_damaged")),
        ("another key", lie(&|image| image.media_key = Some(vec![7; 32])), (503, "media_down")),
        ("no key at all", lie(&|image| image.media_key = Some(Vec::new())), (503, "media_down")),
        ("a large file", large, (422, "file_too_large")),
        ("a large file that does not say so", hidden, (422, "file_too_large")),
        ("another host", lie(&|image| image.direct_path = Some(format!("@{trap_at}{path}"))), (404, "unknown_file")),
        ("a part of a host", lie(&|image| image.direct_path = Some(format!(".{path}"))), (404, "unknown_file")),
        ("a line of its own", lie(&|image| image.direct_path = Some("/x\r\nHost: x".into())), (404, "unknown_file")),
    ];
    for (what, image, (status, code)) in cases {
        let url = scene.receive(say(image)).await;
        assert_eq!(problem(scene.get(&url).await).await, (status, code.to_owned()), "{what}\n{}", scene.stage.log());
    }
    // The file is what it says; that it is elsewhere as well is not looked at.
    let url = scene.receive(say(lie(&|image| image.static_url = Some(format!("http://{trap_at}/x"))))).await;
    assert_eq!(scene.bytes(&url).await, data);
    let url = scene.receive(say(lie(&|image| {
        image.direct_path = None;
        image.url = Some(format!("https://{trap_at}{path}"));
    })));
    assert_eq!(scene.bytes(&url.await).await, data);
    let caught = tokio::time::timeout(Duration::ZERO, trap.accept()).await;
    assert!(caught.is_err(), "somebody was sent elsewhere");
    scene.end().await;
}

/// As a browser sends it: fields, then the file.
fn form(fields: &[(&str, &str)], name: &str, mime: &str, data: &[u8]) -> (String, Vec<u8>) {
    let boundary = "----sessiond7MA4YWxkTrZu0gW";
    let mut body = Vec::new();
    for (field, text) in fields {
        let part = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{text}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {mime}\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(data);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_urls_bring_files_too() {
    let shop = Shop::open().await;
    let scene = Scene::with(|stage| {
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

/// A server with files.
struct Shop {
    address: std::net::SocketAddr,
    goods: std::sync::Arc<std::sync::Mutex<std::collections::HashMap<String, Vec<u8>>>>,
}

impl Shop {
    async fn open() -> Self {
        use axum::{Router, body::Body, extract::State, http::Uri, response::IntoResponse as _, routing::get};
        let goods: std::sync::Arc<std::sync::Mutex<std::collections::HashMap<String, Vec<u8>>>> = Default::default();
        let find = async |State(goods): State<
            std::sync::Arc<std::sync::Mutex<std::collections::HashMap<String, Vec<u8>>>>,
        >,
                          uri: Uri| {
            let to = |path: &'static str| axum::response::Redirect::temporary(path).into_response();
            let zeros = || {
                futures::stream::repeat_with(|| Ok::<_, std::io::Error>(axum::body::Bytes::from_static(&[0; 65536])))
            };
            match uri.path() {
                "/moved" => to("/menu.png"),
                "/loop" => to("/loop"),
                "/inside" => to("http://169.254.169.254/latest/meta-data/"),
                "/endless" => Body::from_stream(zeros()).into_response(),
                "/silent" => std::future::pending().await,
                path => match goods.lock().unwrap().get(path) {
                    Some(data) => data.clone().into_response(),
                    None => StatusCode::NOT_FOUND.into_response(),
                },
            }
        };
        let router = Router::new().fallback(get(find)).with_state(goods.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, goods }
    }

    fn offer(&self, path: &str, data: Vec<u8>) -> Vec<u8> {
        self.goods.lock().unwrap().insert(path.to_owned(), data.clone());
        data
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused() {
    let scene = Scene::with(|stage| stage.set("SESSIOND_MEDIA__MAX_SENT_MIB", "2")).await;
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
    let scene = Scene::new().await;
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
    let mut scene = Scene::new().await;
    let network = scene.stage.network.clone();
    let data = file(PDF, 200_000);
    // WhatsApp has it, but has not said so when the daemon dies.
    network.fault(Fault::new(FaultKind::WithholdAcks)).await.unwrap();
    let body =
        json!({ "session": TENANT, "chatId": format!("{}@c.us", scene.customer), "file": { "data": base64(&data) } });
    let send = async |scene: &Scene| {
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

impl Scene {
    /// The most memory that the daemon had at once since this was asked last, KiB.
    fn peak(&self) -> u64 {
        let id = self.daemon.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_are_never_whole_in_memory() {
    const SIZE: usize = 64 * 1024 * 1024;
    let scene = Scene::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_byte_for_byte() {
    with_baileys("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_byte_for_byte() {
    with_baileys("7").await;
}

async fn with_baileys(version: &str) {
    use sha2::Digest as _;
    let Some(folder) = program("baileys") else { return };
    let mut scene = Scene::new().await;
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
        let sha256 = hex::encode(sha2::Sha256::digest(&data));
        assert_eq!((&message["kind"], &message["media_error"]), (&json!(kind), &Value::Null), "{message}");
        assert_eq!(message["media"], json!({ "sha256": sha256, "size": data.len() }), "{path}");
    }
    guest.end().await;
    scene.end_after(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_say_where_the_file_is() {
    let scene = Scene::with(|stage| stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1")).await;
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

/// An HTTP proxy that counts whom it lets through.
async fn gate() -> (std::net::SocketAddr, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, passed) =
        (listener.local_addr().unwrap(), std::sync::Arc::<std::sync::atomic::AtomicUsize>::default());
    let counted = passed.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                // "user:secret"
                assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpzzwnyzxq="), "{head}");
                let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
                let mut there = tokio::net::TcpStream::connect(target).await?;
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::io::copy_bidirectional(&mut stream, &mut there).await
            });
        }
    });
    (address, passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_have_a_proxy_of_its_own() {
    let (address, passed) = gate().await;
    let proxy = format!("{TENANT}=http://user:secret@{address}");
    let scene = Scene::with(|stage| lazily(stage).set("SESSIOND_MEDIA__PROXIES", proxy)).await;
    let passed = || passed.load(std::sync::atomic::Ordering::SeqCst);
    let data = file(JPEG, 3000);
    let url = scene.receive(Say::image(data.clone())).await;
    assert_eq!((passed(), scene.bytes(&url).await), (0, data.clone()));
    let after_download = passed();
    assert!(after_download > 0, "it came another way");
    let (id, _) = scene.sent("/api/sendImage", json!({ "file": { "data": base64(&data) } })).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, data);
    assert!(passed() >= after_download);
    // Another tenant has none.
    let other = scene.stage.pair("pizzeria").await;
    let ear = scene.stage.listen(std::slice::from_ref(&other));
    let network = &scene.stage.network;
    let id = network.customer_send(&scene.customer, &other.number, Say::image(data.clone())).await.unwrap();
    let is_it = |heard: &sessiond::demo::Heard| heard.payload["message"]["id"] == json!(id);
    ear.until(LIMIT, |heard| heard.iter().any(is_it)).await.unwrap();
    let url = ear.heard().into_iter().find(is_it).unwrap().payload["message"]["mediaUrl"].as_str().unwrap().to_owned();
    let before = passed();
    assert_eq!((scene.bytes(&url).await, passed()), (data, before));
    assert!(!scene.stage.log().contains("secret"));
    scene.end_after(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_in_the_cloud() {
    let cloud = Cloud::open().await;
    let scene = Scene::with(|stage| {
        lazily(stage)
            .set("SESSIOND_MEDIA__STORE", "gcs")
            .set("SESSIOND_MEDIA__BUCKET", "kds")
            .set("SESSIOND_MEDIA__ENDPOINT", cloud.url())
    });
    let scene = scene.await;
    // The larger one goes in pieces.
    for size in [3000, 12 * 1024 * 1024] {
        let data = file(MP4, size);
        let url = scene.receive(Say::video(data.clone())).await;
        assert!(scene.bytes(&url).await == data);
        let object = format!("/kds/whatsapp/{TENANT}/{}", stored(&url));
        assert!(cloud.objects.lock().unwrap().get(&object) == Some(&data), "{object}");
        scene.stage.network.media_forgets().await;
        scene.stage.network.phones_lose_files().await;
        assert!(scene.bytes(&url).await == data, "from the cloud");
        let part = scene.ask(Method::GET, &url).header(header::RANGE, "bytes=100-199").send().await.unwrap();
        assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().as_ref()), (206, &data[100..200]));
    }
    let (_, url) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(PDF) } })).await;
    assert_eq!(scene.bytes(&url).await, PDF);
    // A cloud that fails takes nothing away but the files.
    cloud.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(problem(scene.get(&url).await).await, (503, "storage".to_owned()));
    let (id, _) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(PDF) } })).await;
    assert_eq!(scene.arrived(&id).await.file.unwrap().data, PDF);
    scene.end().await;
}

type Objects = std::sync::Arc<std::sync::Mutex<std::collections::BTreeMap<String, Vec<u8>>>>;

/// As much of Google's XML API as keeping files takes.
#[derive(Clone)]
struct Cloud {
    address: std::net::SocketAddr,
    objects: Objects,
    pieces: Objects,
    down: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Cloud {
    async fn open() -> Self {
        use axum::{Router, extract::State, http, response::IntoResponse as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cloud = Self { address, objects: Objects::default(), pieces: Objects::default(), down: Default::default() };
        let answer = async |State(cloud): State<Self>,
                            method: http::Method,
                            uri: http::Uri,
                            headers: http::HeaderMap,
                            body: axum::body::Bytes| {
            if cloud.down.load(std::sync::atomic::Ordering::SeqCst) {
                return http::StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            let path = percent_encoding(uri.path());
            let query = uri.query().unwrap_or_default();
            let parameter = |name: &str| {
                query.split('&').find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
            };
            match (method.as_str(), parameter("uploadId")) {
                ("POST", None) => {
                    "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
                        .into_response()
                }
                ("PUT", Some(_)) => {
                    let number: usize = parameter("partNumber").unwrap().parse().unwrap();
                    cloud.pieces.lock().unwrap().insert(format!("{path}#{number:05}"), body.to_vec());
                    ([("etag", "\"p\"")], "").into_response()
                }
                ("POST", Some(_)) => {
                    let mut pieces = cloud.pieces.lock().unwrap();
                    let whole: Vec<u8> = std::mem::take(&mut *pieces).into_values().flatten().collect();
                    cloud.objects.lock().unwrap().insert(path, whole);
                    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>".into_response()
                }
                ("PUT", None) => {
                    cloud.objects.lock().unwrap().insert(path, body.to_vec());
                    ([("etag", "\"e\"")], "").into_response()
                }
                _ => match cloud.objects.lock().unwrap().get(&path) {
                    None => http::StatusCode::NOT_FOUND.into_response(),
                    Some(data) => {
                        let range = headers.get("range").map(|range| {
                            range.to_str().unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap()
                        });
                        let range = range.map(|(from, to)| {
                            (from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap().min(data.len() - 1))
                        });
                        let (status, part) = match range {
                            Some((from, to)) => (206, &data[from..=to]),
                            None => (200, data.as_slice()),
                        };
                        let mut answer = http::Response::builder()
                            .status(status)
                            .header("etag", "\"e\"")
                            .header("last-modified", "Tue, 24 Nov 2026 12:00:00 GMT");
                        if let Some((from, to)) = range {
                            answer = answer.header("content-range", format!("bytes {from}-{to}/{}", data.len()));
                        }
                        if method == http::Method::HEAD {
                            answer = answer.header("content-length", data.len());
                        }
                        answer.body(axum::body::Body::from(part.to_vec())).unwrap()
                    }
                },
            }
        };
        let router =
            Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::disable()).with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        cloud
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// `%40` is `@`.
fn percent_encoding(path: &str) -> String {
    path.replace("%40", "@").replace("%3A", ":")
}
