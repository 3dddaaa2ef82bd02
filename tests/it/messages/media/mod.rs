//! Files, byte for byte: what customers send is served to the tenant, what the tenant sends reaches the customer; and what breaks on the
//! way is there again afterwards.

mod incoming;
mod outgoing;
mod phones_off;
mod places;
mod served;

pub use self::outgoing::Shop;

use loopback::{Received, Say};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

pub const TENANT: &str = "trattoria";

/// A tenant with a customer, who sends and gets files.
pub struct MediaScene {
    pub stage: Stage,
    pub daemon: Process,
    pub tenant: Conversation,
    pub ear: Ear,
    pub customer: String,
    pub http: Client,
}

impl MediaScene {
    pub async fn new() -> Self {
        Self::with(|stage| stage).await
    }

    pub async fn with(change: impl FnOnce(Stage) -> Stage) -> Self {
        let stage = change(Stage::new(Home::Embedded).await.unwrap());
        let daemon = stage.start().await;
        let tenant = stage.pair(TENANT).await;
        let ear = stage.listen(std::slice::from_ref(&tenant));
        let customer = stage.network.add_customer().await;
        Self { stage, daemon, tenant, ear, customer, http: Client::new() }
    }

    /// A customer writes; where the file is, as the dashboard is told.
    pub async fn receive(&self, say: Say) -> String {
        let network = &self.stage.network;
        let id = network.customer_send(&self.customer, &self.tenant.number, say).await.unwrap();
        self.seen(&id).await["mediaUrl"].as_str().unwrap_or_else(|| panic!("{id} has no URL")).to_owned()
    }

    /// A message as the dashboard sees it.
    pub async fn seen(&self, id: &str) -> Value {
        let is_it = |heard: &sessiond::demo::Heard| {
            heard.event.starts_with("message:") && heard.payload["message"]["id"] == json!(id)
        };
        if let Err(error) = self.ear.until(LIMIT, |heard| heard.iter().any(is_it)).await {
            panic!("{id}: {error}\n{}", self.stage.log());
        }
        self.ear.heard().into_iter().find(is_it).unwrap().payload["message"].take()
    }

    pub fn ask(&self, method: Method, url: &str) -> RequestBuilder {
        let url =
            if url.starts_with('/') { format!("http://{}{url}", self.stage.setup.address) } else { url.to_owned() };
        self.http.request(method, url).header("x-api-key", &self.stage.setup.admin_key).timeout(LIMIT)
    }

    pub async fn get(&self, url: &str) -> Response {
        self.ask(Method::GET, url).send().await.unwrap()
    }

    pub async fn bytes(&self, url: &str) -> Vec<u8> {
        let answer = self.get(url).await;
        let status = answer.status();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{url}: {}\n{}", String::from_utf8_lossy(&bytes), self.stage.log());
        bytes.into()
    }

    /// Sends a file over WAHA's route; the answer.
    pub async fn post(&self, path: &str, mut body: Value) -> (StatusCode, Value) {
        body["session"] = json!(TENANT);
        body["chatId"] = json!(format!("{}@c.us", self.customer));
        let answer = self.ask(Method::POST, path).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or(Value::Null))
    }

    /// The same, accepted: WhatsApp's id of the message, and where its file is.
    pub async fn sent(&self, path: &str, body: Value) -> (String, String) {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {answer}\n{}", self.stage.log());
        (bare(&answer), answer["media"]["url"].as_str().expect("a URL").to_owned())
    }

    /// The message as the customer has it.
    pub async fn arrived(&self, id: &str) -> Received {
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

    pub async fn end(self) {
        self.end_after(1).await;
    }

    /// After so many pairings: the tenant's, and a guest's.
    pub async fn end_after(self, pairings: u64) {
        let stats = self.stage.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused, stats.counts.pairings), (0, 0, pairings));
        self.daemon.kill().await.unwrap();
    }

    /// The most memory that the daemon had at once since this was asked last, KiB.
    pub fn peak(&self) -> u64 {
        let id = self.daemon.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// WhatsApp's id out of WAHA's.
pub fn bare(answer: &Value) -> String {
    answer["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned()
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Bytes that do not compress and are never the same twice, behind a beginning that says what they are.
pub fn file(head: &[u8], size: usize) -> Vec<u8> {
    use rand::RngCore as _;
    let mut bytes = vec![0; size.max(head.len())];
    rand::rng().fill_bytes(&mut bytes);
    bytes[..head.len()].copy_from_slice(head);
    bytes
}

pub const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
pub const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";
pub const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
pub const OGG: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x01";
pub const PDF: &[u8] = b"%PDF-1.7\n";

/// A real picture.
pub fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(width, height).write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

/// Files are fetched when they are asked for.
pub fn lazily(stage: Stage) -> Stage {
    stage.set("SESSIOND_MEDIA__EAGER", "false")
}

pub async fn problem(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let answer: Value = answer.json().await.unwrap();
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

/// The name under which the file of a URL lies in the folder.
pub fn stored(url: &str) -> String {
    let file = url.rsplit('/').next().unwrap();
    file.rsplit_once('.').unwrap().0.to_owned()
}

/// As a browser sends it: fields, then the file.
pub fn form(fields: &[(&str, &str)], name: &str, mime: &str, data: &[u8]) -> (String, Vec<u8>) {
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
