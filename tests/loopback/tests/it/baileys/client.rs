//! A Baileys client as a child process, and its packages.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use loopback::Network;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(40);

/// A running client. It ends with the test, as its standard input does.
pub struct Client {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Events that nobody has asked for yet.
    kept: VecDeque<Value>,
    _authority: NamedTempFile,
}

impl Client {
    pub fn start(folder: &Path, version: &str, network: &Network, number: Option<&String>) -> Self {
        let mut authority = NamedTempFile::new().expect("a file");
        authority.write_all(network.media_ca_pem().as_bytes()).expect("written");
        let mut child = Command::new("node")
            .arg("client.mjs")
            .args([version, &network.ws_url()])
            .args(number)
            .current_dir(folder)
            .env("NODE_EXTRA_CA_CERTS", authority.path())
            .env("MEDIA_HOST", network.media_host())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, input, output, kept: VecDeque::new(), _authority: authority }
    }

    /// A client that is linked to that phone by QR and logged in.
    pub async fn linked(folder: &Path, version: &str, network: &Network, number: &str) -> Self {
        let mut client = Self::start(folder, version, network, None);
        let qr = client.event("qr", |_| true).await["qr"].as_str().expect("a code").to_owned();
        network.scan(number, &qr).await.expect("scanned");
        client.event("close", |e| e["code"] == 515).await;
        client.event("open", |_| true).await;
        client
    }

    pub async fn command(&mut self, command: Value) {
        self.input.write_all(format!("{command}\n").as_bytes()).await.expect("the client reads");
    }

    pub async fn send(&mut self, to: &str, text: &str) -> String {
        self.command(json!({ "command": "send", "to": to, "text": text })).await;
        self.event("sent", |_| true).await["id"].as_str().expect("an id").to_owned()
    }

    /// Sends Baileys' own kind of content; returns the id, and the secret of a poll.
    pub async fn send_content(&mut self, to: &str, content: &Value, options: &Value) -> (String, Value) {
        self.command(json!({ "command": "send", "to": to, "content": content, "options": options })).await;
        let mut sent = self.event("sent", |_| true).await;
        (sent["id"].as_str().expect("an id").to_owned(), sent["secret"].take())
    }

    /// Calls a method of its socket; returns the result.
    pub async fn call(&mut self, method: &str, arguments: Value) -> Value {
        self.command(json!({ "command": "call", "method": method, "arguments": arguments })).await;
        self.event("result", |_| true).await["result"].take()
    }

    /// The message with that id.
    pub async fn message(&mut self, id: &str) -> Value {
        self.event("message", |e| e["id"] == id).await
    }

    pub async fn text(&mut self, text: &str) -> Value {
        self.event("message", |e| e["text"] == text).await
    }

    /// The first event of that kind that fits; others are kept in order. An error ends the test.
    pub async fn event(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
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

    pub async fn end(mut self) {
        self.command(json!({ "command": "quit" })).await;
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it ran");
    }
}

/// The folder of the client with its packages installed once; `None` where Node is missing.
pub fn installed() -> Option<PathBuf> {
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
