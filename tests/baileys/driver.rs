//! A Baileys client as a test drives it: `client.mjs`, beside this file. Part of two test binaries: the loopback network's,
//! where it chats with customers, and the daemon's, where it chats with a tenant.

use std::{collections::VecDeque, path::Path, time::Duration};

use loopback::Network;
use serde_json::{Value, json};

use crate::node::Script;

/// How long anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running client. It ends with the test, as its standard input does.
pub struct Client {
    script: Script,
    /// Events that nobody has asked for yet.
    kept: VecDeque<Value>,
}

impl Client {
    /// `version` is 6 or 7; with a number the client asks for a link code, else for a QR.
    pub fn start(folder: &Path, version: &str, network: &Network, number: Option<&str>) -> Self {
        let url = network.ws_url();
        let arguments: Vec<&str> = ["client.mjs", version, &url].into_iter().chain(number).collect();
        Self { script: Script::start(folder, &arguments), kept: VecDeque::new() }
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
