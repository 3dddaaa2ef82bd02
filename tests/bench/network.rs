//! The WhatsApp network as a process of its own, so that what it uses is not counted as the daemon's; spoken to through its
//! HTTP control.

use std::{collections::HashMap, io, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use loopback::{Network, NetworkConfig};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::Instant,
};

use super::{LIMIT, number};

/// Serves until the standard input closes: it never outlives who started it.
pub async fn serve() -> anyhow::Result<()> {
    let config = NetworkConfig { control: Some(([127, 0, 0, 1], 0).into()), ..NetworkConfig::default() };
    let network = Network::start(config).await?;
    println!("{}", network.ws_url());
    println!("{}", network.control_url().context("no control")?);
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    network.shutdown().await;
    Ok(())
}

#[derive(Clone)]
pub struct Whatsapp {
    url: String,
    control: String,
    http: reqwest::Client,
    /// Ends with its standard input.
    _process: Arc<Child>,
}

impl Whatsapp {
    pub async fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--network")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("no output")?).lines();
        let url = lines.next_line().await?.context("the network did not start")?;
        let control = lines.next_line().await?.context("the network has no control")?;
        Ok(Self { url, control, http: reqwest::Client::new(), _process: Arc::new(process) })
    }

    /// Where devices connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A phone's number.
    pub async fn add_phone(&self) -> anyhow::Result<String> {
        text(&self.post("/phones", json!({})).await?["number"])
    }

    pub async fn add_customer(&self) -> anyhow::Result<String> {
        text(&self.post("/customers", json!({})).await?["number"])
    }

    pub async fn scan(&self, phone: &str, qr: &str) -> anyhow::Result<()> {
        self.post(&format!("/phones/{phone}/scan"), json!({ "qr": qr })).await.map(drop)
    }

    /// A customer writes; the message's id.
    pub async fn write(&self, customer: &str, phone: &str, words: &str) -> anyhow::Result<String> {
        let body = json!({ "to": phone, "text": words });
        text(&self.post(&format!("/customers/{customer}/send"), body).await?["id"])
    }

    /// The phone's one linked device.
    pub async fn device(&self, phone: &str) -> anyhow::Result<Value> {
        Ok(self.get(&format!("/phones/{phone}/devices")).await?[0].take())
    }

    pub async fn stats(&self) -> anyhow::Result<Value> {
        self.get("/stats").await
    }

    /// All messages that crossed the network.
    pub async fn messages(&self) -> anyhow::Result<Value> {
        self.get("/messages").await
    }

    /// When the network saw each message, by its id; in milliseconds since 1970.
    pub async fn seen(&self) -> anyhow::Result<HashMap<String, f64>> {
        let messages = self.messages().await?;
        let messages = messages.as_array().context("no list of messages")?;
        messages.iter().map(|message| Ok((text(&message["id"])?, number(&message["time"])? as f64))).collect()
    }

    /// Milliseconds from a message to the one that answers it.
    pub async fn round_trip(&self, asked: &str, answer: &str) -> anyhow::Result<f64> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let seen = self.seen().await?;
            if let (Some(asked), Some(answered)) = (seen.get(asked), seen.get(answer)) {
                return Ok(answered - asked);
            }
            if Instant::now() > deadline {
                bail!("no answer {answer:?}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        answer(self.http.post(format!("{}{path}", self.control)).json(&body)).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.http.get(format!("{}{path}", self.control))).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await?;
    let (status, url) = (response.status(), response.url().clone());
    let body = response.json().await?;
    if !status.is_success() {
        bail!("{url}: {status} {body}");
    }
    Ok(body)
}

fn text(value: &Value) -> anyhow::Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} is no text"))
}
