//! Two versions of Baileys link by QR and by code, chat in both directions, come back from a break and are unlinked:
//! that another implementation cannot tell this network from WhatsApp's.
//!
//! Needs Node and npm. Where they are missing the tests say so and pass, unless `CI=true`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use loopback::Network;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{eventually, network};

const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test]
async fn baileys_6_links_by_qr_and_chats() {
    chat("6", Way::Qr).await;
}

#[tokio::test]
async fn baileys_6_links_by_code_and_chats() {
    chat("6", Way::Code).await;
}

#[tokio::test]
async fn baileys_7_links_by_qr_and_chats() {
    chat("7", Way::Qr).await;
}

#[tokio::test]
async fn baileys_7_links_by_code_and_chats() {
    chat("7", Way::Code).await;
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Qr,
    Code,
}

async fn chat(version: &str, way: Way) {
    let Some(folder) = installed() else { return };
    let network = network().await;
    let phone = network.add_phone(Some("Trattoria".to_owned())).await;
    let customer = network.add_customer().await;
    let mut client = Client::start(&folder, version, &network, (way == Way::Code).then_some(&phone.number));

    // Linked, restarted with 515, logged in.
    match way {
        Way::Qr => {
            let qr = client.event("qr", |_| true).await["qr"].as_str().expect("a code").to_owned();
            network.scan(&phone.number, &qr).await.expect("scanned");
        }
        Way::Code => {
            let code = client.event("code", |_| true).await["code"].as_str().expect("a code").to_owned();
            // The client shows its code before its request has left.
            eventually("the code is accepted", async || network.link_code(&phone.number, &code).await.is_ok()).await;
        }
    }
    client.event("close", |e| e["code"] == 515).await;
    let open = client.event("open", |_| true).await;
    assert_eq!(open["me"]["name"], "Trattoria");

    // In both directions, and to somebody new.
    network.customer_send(&customer, &phone.number, "a table for two?").await.expect("sent");
    let message = client.text("a table for two?").await;
    let chat = message["chat"].as_str().expect("a chat").to_owned();
    let id = client.send(&chat, "at eight").await;
    arrived(&network, &customer, &id, "at eight").await;
    let stranger = network.add_customer().await;
    let id = client.send(&format!("{stranger}@s.whatsapp.net"), "your order is ready").await;
    arrived(&network, &stranger, &id, "your order is ready").await;
    client.event("status", |e| e["id"] == id.as_str() && e["status"].as_u64() >= Some(3)).await;
    settled(&network).await;
    if version == "7" {
        by_lid(&mut client, &network, &phone.lid).await;
    }

    // What came while it was away is there at its return, in order, without another scan.
    client.command(json!({ "command": "disconnect" })).await;
    client.event("close", |_| true).await;
    eventually("it is offline", async || !network.devices(&phone.number).await.expect("exists")[0].online).await;
    for text in ["one", "two", "three"] {
        network.customer_send(&customer, &phone.number, text).await.expect("sent");
    }
    client.command(json!({ "command": "connect" })).await;
    for text in ["one", "two", "three"] {
        client.text(text).await;
    }
    network.phone_send(&phone.number, &customer, "the owner writes").await.expect("sent");
    let copy = client.text("the owner writes").await;
    assert_eq!(copy["from_me"], true);
    settled(&network).await;

    let stats = network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused, stats.counts.pairings), (0, 0, 1));
    network.unlink(&phone.number, 1).await.expect("unlinked");
    client.event("close", |e| e["code"] == 401).await;
    client.end().await;
    network.shutdown().await;
}

/// A chat by the account's other name. Baileys 6 keeps a session for each name, this network one for each device.
async fn by_lid(client: &mut Client, network: &Network, lid: &str) {
    let customer = network.add_customer().await;
    let sent = network.customer_send(&customer, lid, "do you have vegan pizza?").await;
    sent.expect("sent");
    let message = client.text("do you have vegan pizza?").await;
    let chat = message["chat"].as_str().expect("a chat").to_owned();
    let id = client.send(&chat, "several").await;
    arrived(network, &customer, &id, "several").await;
}

async fn arrived(network: &Network, customer: &str, id: &str, text: &str) {
    eventually("the customer has it, once", async || {
        let inbox = network.customer_inbox(customer).await.expect("exists");
        inbox.iter().any(|m| m.id == id && m.text.as_deref() == Some(text) && m.arrivals == 1)
    })
    .await;
}

async fn settled(network: &Network) {
    eventually("everything is acknowledged", async || network.stats().await.offline_queues.is_empty()).await;
}

/// A running client. It ends with the test, as its standard input does.
struct Client {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Events that nobody has asked for yet.
    kept: VecDeque<Value>,
}

impl Client {
    fn start(folder: &Path, version: &str, network: &Network, number: Option<&String>) -> Self {
        let mut child = Command::new("node")
            .arg("client.mjs")
            .args([version, &network.ws_url()])
            .args(number)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, input, output, kept: VecDeque::new() }
    }

    async fn command(&mut self, command: Value) {
        self.input.write_all(format!("{command}\n").as_bytes()).await.expect("the client reads");
    }

    async fn send(&mut self, to: &str, text: &str) -> String {
        self.command(json!({ "command": "send", "to": to, "text": text })).await;
        self.event("sent", |_| true).await["id"].as_str().expect("an id").to_owned()
    }

    async fn text(&mut self, text: &str) -> Value {
        self.event("message", |e| e["text"] == text).await
    }

    /// The first event of that kind that fits; others are kept in order. An error ends the test.
    async fn event(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let wanted = |event: &Value| event["event"] == kind && fits(event);
        if let Some(at) = self.kept.iter().position(wanted) {
            return self.kept.remove(at).expect("it was found");
        }
        let waiting = async {
            loop {
                let line = self.output.next_line().await.expect("readable").expect("the client is alive");
                let event: Value = serde_json::from_str(&line).expect("JSON lines");
                assert_ne!(event["event"], "error", "{event}");
                if wanted(&event) {
                    return event;
                }
                self.kept.push_back(event);
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(event) => event,
            Err(_) => panic!("no {kind} in time; kept: {:?}", self.kept),
        }
    }

    async fn end(mut self) {
        self.command(json!({ "command": "quit" })).await;
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it ran");
    }
}

/// The folder of the client with its packages installed once; `None` where Node is missing.
fn installed() -> Option<PathBuf> {
    let present = |program: &str| {
        let version = Blocking::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    if !present("node") || !present("npm") {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs Node and npm for the Baileys tests");
        // Past the test harness, which keeps what a passing test prints to itself.
        let loud = "\n*** NOT RUN: the Baileys tests need Node (20 or newer) and npm ***\n";
        writeln!(std::io::stderr(), "{loud}").expect("stderr is writable");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../baileys");
    // Tests run in parallel, and so may other test binaries: one installs, the rest wait.
    let lock = File::create(folder.join(".install.lock")).expect("the folder is writable");
    lock.lock().expect("lockable");
    let done = folder.join("node_modules/.package-lock.json");
    let newer = |a: &Path, b: &Path| -> Option<bool> {
        Some(a.metadata().ok()?.modified().ok()? >= b.metadata().ok()?.modified().ok()?)
    };
    if newer(&done, &folder.join("package-lock.json")) != Some(true) {
        let status = Blocking::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status()
            .expect("npm runs");
        assert!(status.success(), "npm ci failed");
    }
    Some(folder)
}
