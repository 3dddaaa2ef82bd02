//! A dashboard for the demo and the tests: the HTTP API, and Socket.IO over a WebSocket, as far as a dashboard needs them. Speaks
//! the wire itself, so that the demo needs nothing but Rust; the tests hold the real client against the daemon, too.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify, task::JoinHandle};
use tokio_websockets::{ClientBuilder, Message};

use crate::sync::lock;

/// Speaks to one daemon with one key.
#[derive(Clone)]
pub struct Dashboard {
    http: reqwest::Client,
    address: SocketAddr,
    key: String,
}

/// An answer of the HTTP API.
#[derive(Debug)]
pub struct ApiAnswer {
    pub status: u16,
    pub body: Value,
}

impl Dashboard {
    pub fn new(address: SocketAddr, key: impl Into<String>) -> Self {
        Self { http: reqwest::Client::new(), address, key: key.into() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<ApiAnswer> {
        let request = self.http.get(format!("http://{}{path}", self.address)).header("X-Api-Key", &self.key);
        Self::answer(request).await
    }

    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<ApiAnswer> {
        let request = self.http.post(format!("http://{}{path}", self.address)).header("X-Api-Key", &self.key);
        Self::answer(request.json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> anyhow::Result<ApiAnswer> {
        let request = self.http.put(format!("http://{}{path}", self.address)).header("X-Api-Key", &self.key);
        Self::answer(request.json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<ApiAnswer> {
        let request = self.http.delete(format!("http://{}{path}", self.address)).header("X-Api-Key", &self.key);
        Self::answer(request).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<ApiAnswer> {
        let response = request.timeout(Duration::from_secs(100)).send().await?;
        let status = response.status().as_u16();
        Ok(ApiAnswer { status, body: response.json().await.unwrap_or(Value::Null) })
    }

    /// The QR code of a tenant that is not paired: asks for a connection and takes the code.
    pub async fn qr(&self, tenant: &str) -> anyhow::Result<String> {
        let connected = self.post("/api/baileys/connect", json!({ "tenantId": tenant })).await?;
        if connected.status != 200 {
            bail!("connect: {} {}", connected.status, connected.body);
        }
        let answer = self.get(&format!("/api/baileys/qr?tenantId={tenant}")).await?;
        answer.body["qr"].as_str().map(str::to_owned).with_context(|| format!("no QR code: {}", answer.body))
    }

    pub async fn is_connected(&self, tenant: &str) -> bool {
        let answer = self.get(&format!("/api/baileys/status?tenantId={tenant}")).await;
        answer.is_ok_and(|answer| answer.body["connected"] == json!(true))
    }

    /// Asks to send a text and goes away after `patience`, answered or not, as a browser does whose page is closed.
    pub async fn send_and_leave(&self, tenant: &str, to: &str, text: &str, key: &str, patience: Duration) {
        let body = json!({ "tenantId": tenant, "to": to, "text": text }).to_string();
        let request = format!(
            "POST /api/baileys/send HTTP/1.1\r\nHost: {}\r\nX-Api-Key: {}\r\nIdempotency-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        );
        // Nobody is there, or nobody listens: it goes away all the same.
        let Ok(mut stream) = TcpStream::connect(self.address).await else { return };
        if stream.write_all(request.as_bytes()).await.is_ok() {
            tokio::time::sleep(patience).await;
        }
    }

    /// Sends a text; the message's id. May be repeated with the same key.
    pub async fn send(&self, tenant: &str, to: &str, text: &str, key: &str) -> anyhow::Result<String> {
        let body = json!({ "tenantId": tenant, "to": to, "text": text });
        let request =
            self.http.post(format!("http://{}/api/baileys/send", self.address)).header("X-Api-Key", &self.key);
        let answer = Self::answer(request.header("Idempotency-Key", key).json(&body)).await?;
        if answer.status != 200 {
            bail!("send: {} {}", answer.status, answer.body);
        }
        answer.body["messageId"].as_str().map(str::to_owned).context("no messageId")
    }
}

/// Something that came over Socket.IO.
#[derive(Debug, Clone)]
pub struct Heard {
    pub event: String,
    pub payload: Value,
    pub at: SystemTime,
}

/// A Socket.IO connection that remembers all that it heard and its place in each tenant's events; comes back by itself when the
/// daemon does.
pub struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    news: Arc<Notify>,
    listening: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Ear {
    /// Registers for the tenants as soon as the daemon answers.
    pub fn open(dashboard: &Dashboard, tenants: Vec<String>) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let news = Arc::new(Notify::new());
        let (address, key) = (dashboard.address, dashboard.key.clone());
        let listening = tokio::spawn({
            let (heard, news) = (heard.clone(), news.clone());
            async move {
                loop {
                    let _ = listen(address, &key, &tenants, &heard, &news).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        Self { heard, news, listening }
    }

    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.heard).clone()
    }

    /// Waits until something comes, but no longer than `limit`.
    pub async fn news(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.news.notified()).await;
    }

    /// Waits until what was heard satisfies `enough`.
    pub async fn until(&self, limit: Duration, mut enough: impl FnMut(&[Heard]) -> bool) -> anyhow::Result<()> {
        let waited = tokio::time::timeout(limit, async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if enough(&lock(&self.heard)) {
                    return;
                }
                news.await;
            }
        });
        waited.await.map_err(|_| anyhow::anyhow!("not heard within {limit:?}"))
    }
}

/// One connection: Engine.IO 4 (packets by their first character) under Socket.IO 5.
async fn listen(
    address: SocketAddr,
    key: &str,
    tenants: &[String],
    heard: &Mutex<Vec<Heard>>,
    news: &Notify,
) -> anyhow::Result<()> {
    let uri = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = ClientBuilder::from_uri(uri.parse()?).connect().await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        let Some(text) = message.as_text() else { continue };
        if text.starts_with('0') {
            socket.send(Message::text(format!("40{}", json!({ "auth": null, "key": key })))).await?;
        } else if text == "2" {
            socket.send(Message::text("3")).await?;
        } else if text.starts_with("40") {
            for tenant in tenants {
                let registration = json!({ "tenantId": tenant, "cursor": cursor(heard, tenant) });
                socket.send(Message::text(format!("42{}", json!(["register", registration])))).await?;
            }
        } else if let Some(event) = text.strip_prefix("42") {
            let parsed: (String, Value) = serde_json::from_str(event)?;
            let mut heard = lock(heard);
            #[expect(clippy::disallowed_methods, reason = "the demo is a client with a clock of its own")]
            heard.push(Heard { event: parsed.0, payload: parsed.1, at: SystemTime::now() });
            news.notify_waiters();
        }
    }
    Ok(())
}

/// The last event of a tenant that was heard; before that, the beginning of time: everything.
fn cursor(heard: &Mutex<Vec<Heard>>, tenant: &str) -> Value {
    let heard = lock(heard);
    let mut events = heard.iter().rev().filter(|heard| heard.payload["tenantId"] == tenant);
    events.find_map(|heard| heard.payload.get("eventId").cloned()).unwrap_or_else(|| json!(ulid::Ulid::nil()))
}
