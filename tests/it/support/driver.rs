//! A Baileys client as a test drives it: `tests/baileys/client.mjs`. Part of two test binaries: the loopback network's,
//! where it chats with customers, and the daemon's, where it chats with a tenant.

use std::{collections::VecDeque, io::Write as _, path::Path, time::Duration};

use loopback::Network;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::node::Script;

/// How long anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running client. It ends with the test, as its standard input does.
pub struct Client {
    script: Script,
    /// Of the network's media host: the client is told of it by this file.
    _authority: NamedTempFile,
    /// Events that nobody has asked for yet.
    kept: VecDeque<Value>,
}

impl Client {
    /// `version` is 6 or 7; with a number the client asks for a link code, else for a QR.
    pub fn start(folder: &Path, version: &str, network: &Network, number: Option<&str>) -> Self {
        Self::start_with(folder, version, network, number, None)
    }

    /// The same with its credentials and keys in a folder of its own.
    pub fn start_storing(folder: &Path, version: &str, network: &Network, store: &Path) -> Self {
        Self::start_with(folder, version, network, None, store.to_str())
    }

    fn start_with(folder: &Path, version: &str, network: &Network, number: Option<&str>, store: Option<&str>) -> Self {
        let url = network.ws_url();
        let arguments: Vec<&str> = ["client.mjs", version, &url].into_iter().chain(number).collect();
        let mut authority = NamedTempFile::new().expect("a file");
        authority.write_all(network.media_ca_pem().as_bytes()).expect("written");
        let trusting = authority.path().to_str().expect("a path");
        let host = network.media_host();
        let variables = [("NODE_EXTRA_CA_CERTS", trusting), ("MEDIA_HOST", host.as_str())].into_iter();
        let variables: Vec<_> = variables.chain(store.map(|store| ("STORE", store))).collect();
        let script = Script::start_with(folder, &arguments, &variables);
        Self { script, _authority: authority, kept: VecDeque::new() }
    }

    /// A client that is linked to that phone by QR and logged in.
    pub async fn paired(folder: &Path, version: &str, network: &Network, number: &str) -> Self {
        let mut client = Self::start(folder, version, network, None);
        client.scanned(network, number).await;
        client.linked().await;
        client
    }

    /// The owner of the phone scans what the client shows.
    pub async fn scanned(&mut self, network: &Network, number: &str) {
        let qr = self.event("qr", |_| true).await["qr"].as_str().expect("a code").to_owned();
        network.scan(number, &qr).await.expect("scanned");
    }

    /// Linked, restarted with 515, logged in: who it is now.
    pub async fn linked(&mut self) -> Value {
        self.event("close", |e| e["code"] == 515).await;
        self.event("open", |_| true).await["me"].take()
    }

    pub async fn command(&mut self, command: Value) {
        self.script.tell(&command).await;
    }

    pub async fn send(&mut self, to: &str, text: &str) -> String {
        self.command(json!({ "command": "send", "to": to, "text": text })).await;
        self.event("sent", |_| true).await["id"].as_str().expect("an id").to_owned()
    }

    pub async fn text(&mut self, text: &str) -> Value {
        self.event("message", |e| e["text"] == text).await
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

    /// The first event of that kind that fits; others are kept in order. An error ends the test.
    pub async fn event(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let wanted = |event: &Value| event["event"] == kind && fits(event);
        if let Some(at) = self.kept.iter().position(wanted) {
            return self.kept.remove(at).expect("it was found");
        }
        let kept = &mut self.kept;
        let found = self.script.line(PATIENCE, |event| {
            assert_ne!(event["event"], "error", "{event}");
            let found = wanted(event);
            if !found {
                kept.push_back(event.clone());
            }
            found
        });
        found.await
    }

    /// Ends it: all that nobody has asked for.
    pub async fn end(self) -> Vec<Value> {
        self.kept.into_iter().chain(self.script.end(PATIENCE).await).collect()
    }
}
