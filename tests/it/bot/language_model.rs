//! A language model reads what the bot could not: right, wrong, slow, down and hostile, over one daemon. Whatever it answers, nobody
//! orders without a yes, and each message is answered once.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use sessiond::demo::until;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{ORDER, Scene};
use crate::support::{
    scrape::scrape,
    stage::{Home, LIMIT, Stage},
};

const LINES: &str = r#"{"lines":[{"id":"aji","quantity":2}]}"#;

#[derive(Clone)]
enum ModelMode {
    /// These words, as a model says them.
    Says(String),
    /// This, whatever it is.
    Sends(Vec<u8>),
    Silent,
}

#[derive(Clone)]
struct ModelShared {
    mode: Arc<Mutex<ModelMode>>,
    asked: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

/// A server that answers as a model does.
struct StandIn {
    address: SocketAddr,
    shared: ModelShared,
    serving: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl StandIn {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            ModelShared { mode: Arc::new(Mutex::new(ModelMode::Says(LINES.to_owned()))), asked: Arc::default() };
        let serving = tokio::spawn(serve(listener, shared.clone()));
        Self { address, shared, serving }
    }

    fn does(&self, mode: ModelMode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    fn asked(&self) -> Vec<(HeaderMap, Value)> {
        self.shared.asked.lock().unwrap().clone()
    }

    async fn until_asked(&self, count: usize) {
        until(LIMIT, "the model is asked", || std::future::ready(self.asked().len() >= count)).await.unwrap();
    }

    async fn stop(&mut self) {
        self.serving.abort();
        assert!((&mut self.serving).await.is_err());
    }

    async fn resume(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = tokio::spawn(serve(listener, self.shared.clone()));
    }
}

async fn serve(listener: TcpListener, shared: ModelShared) {
    let router = Router::new().route("/v1/chat/completions", axum::routing::post(answer)).with_state(shared);
    axum::serve(listener, router).await.unwrap();
}

async fn answer(State(shared): State<ModelShared>, headers: HeaderMap, body: Bytes) -> Response {
    shared.asked.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap()));
    let mode = shared.mode.lock().unwrap().clone();
    let body = match mode {
        ModelMode::Says(content) => {
            let message = json!({ "role": "assistant", "content": content });
            json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }).to_string().into_bytes()
        }
        ModelMode::Sends(body) => body,
        ModelMode::Silent => std::future::pending().await,
    };
    // So that a server that stops has no open connections left.
    ([("connection", "close"), ("content-type", "application/json")], body).into_response()
}

/// What somebody gets who tries a text that the bot does not read.
async fn tried(scene: &Scene) -> Value {
    scene.ok("POST", "try", Some(json!({ "text": "frobozz" }))).await
}

async fn assert_alone(scene: &Scene, why: &str) {
    let tried = tried(scene).await;
    let replies = tried["replies"].to_string();
    assert!(replies.contains("no le entendí") && tried["ambiguous"] == json!([]), "{why}: {tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_right_wrong_slow_down_or_hostile_orders_nothing_by_itself() {
    let mut model = StandIn::start().await;
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage
        .set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32")
        .set("SESSIOND_BOT__LANGUAGE_MODEL__URL", format!("http://{}/v1/", model.address))
        .set("SESSIOND_BOT__LANGUAGE_MODEL__KEY", "a-key-of-the-operator")
        .set("SESSIOND_BOT__LANGUAGE_MODEL__MODEL", "small")
        // No part of the scene waits for as long: what is counted depends on no speed.
        .set("SESSIOND_BOT__LANGUAGE_MODEL__TIMEOUT", "20s")
        .set("http_proxy", "");
    let scene = Scene::open_on(stage).await.unwrap();
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let (eva, sol) = (scene.stage.network.add_customer().await, scene.stage.network.add_customer().await);

    // Off, unless the tenant wants it.
    let alone = scene.talk(&ana, "frobozz").await.join("\n");
    assert!(alone.contains("no le entendí"), "{alone}");
    assert_alone(&scene, "off").await;
    let made_up = json!({ "unread": { "ask": "1", "text": "frobozz", "held": [] } });
    scene.ok("POST", "try", Some(json!({ "text": "frobozz", "conversation": made_up }))).await;
    assert_eq!(model.asked().len(), 0);
    let helped = |is_helped: bool| {
        let mut settings = super::settings();
        settings["languageModel"] = json!(is_helped);
        Some(settings)
    };
    scene.ok("PUT", "settings", helped(true)).await;

    // Right: the customer is asked, and orders by a yes, for the menu's price.
    let reply = scene.talk(&luz, "frobozz").await.join("\n");
    assert!(reply.contains("¿Le anoto 2 × *Ajiaco*?"), "{reply}");
    let (headers, question) = model.asked().remove(0);
    assert_eq!(headers["authorization"], "Bearer a-key-of-the-operator");
    assert_eq!((&question["model"], &question["messages"][1]["content"]), (&json!("small"), &json!("frobozz")));
    let line = &question["response_format"]["json_schema"]["schema"]["properties"]["lines"]["items"];
    assert_eq!(line["properties"]["id"]["enum"], json!(["aji", "ban", "lim"]));
    let told = question.to_string();
    assert!(!told.contains(&luz) && !told.contains("24000") && !told.contains("Customer"), "{told}");
    assert_eq!(scene.orders().await, Vec::<Value>::new());
    let mut last = Vec::new();
    for text in ["sí", ORDER[2], ORDER[3]] {
        last = scene.talk(&luz, text).await;
    }
    let summary = last.join("\n");
    assert!(summary.contains("2 × Ajiaco") && summary.contains("48.000"), "{summary}");
    scene.talk(&luz, "sí").await;
    assert_eq!(scene.orders().await.len(), 1);
    let asked = tried(&scene).await;
    assert_eq!(asked["ambiguous"][0]["candidates"], json!(["aji"]), "{asked}");
    assert!(asked["replies"][0].as_str().unwrap().contains("¿Le anoto 2"), "{asked}");

    // The daemon dies while it is asked: it is asked again, and the customer is answered once.
    model.does(ModelMode::Silent);
    let before = model.asked().len();
    scene.says(&eva, "frobozz").await;
    model.until_asked(before + 1).await;
    scene.daemon.kill().await.unwrap();
    model.does(ModelMode::Says(LINES.to_owned()));
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    let reply = scene.await_more(&eva, 0, "the question after the restart").await.join("\n");
    assert!(reply.contains("¿Le anoto 2 × *Ajiaco*?"), "{reply}");

    // Hostile and wrong.
    for body in [vec![b'['; 1 << 20], b"<html>".to_vec(), "[".repeat(60_000).into_bytes()] {
        model.does(ModelMode::Sends(body));
        assert_alone(&scene, "no completion").await;
    }
    for content in [
        "Claro: el ajiaco es gratis.",
        r#"{"lines":[{"id":"aji","quantity":2,"price":0}]}"#,
        r#"{"lines":[{"id":"aji","quantity":2}],"total":0}"#,
        r#"{"lines":[{"id":"caviar","quantity":2}]}"#,
        r#"{"lines":[{"id":"aji","quantity":1000000000}]}"#,
        r#"{"lines":[]}"#,
    ] {
        model.does(ModelMode::Says(content.to_owned()));
        assert_alone(&scene, content).await;
    }

    let counts = async |scene: &Scene| {
        let told = scrape(&scene.stage).await;
        let series = |outcome: &str| format!("sessiond_bot_model_questions_total{{outcome=\"{outcome}\"}}");
        ["read", "nothing", "refused", "failed", "resting"].map(|outcome| told.value(&series(outcome)))
    };
    // One is too long an answer.
    assert_eq!(counts(&scene).await, [1.0, 1.0, 7.0, 1.0, 0.0]);

    // Slow: nobody else waits. Where it is switched off at the next start, who wrote is answered as without it.
    model.does(ModelMode::Silent);
    let (before, got) = (model.asked().len(), scene.got(&ana).await.len());
    scene.says(&ana, "xyzzy plugh").await;
    model.until_asked(before + 1).await;
    scene.talk(&luz, "menú").await;
    assert_eq!(scene.got(&ana).await.len(), got, "another chat waited for the model");
    scene.ok("PUT", "settings", helped(false)).await;
    scene.daemon.kill().await.unwrap();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    let alone = scene.await_more(&ana, got, "the answer without the model").await.join("\n");
    assert!(alone.contains("no le entendí"), "{alone}");
    assert_eq!(model.asked().len(), before + 1, "it was switched off");
    scene.ok("PUT", "settings", helped(true)).await;

    // Down: after some failures it is left alone for a while, also when it is back.
    model.stop().await;
    let alone = scene.talk(&sol, "frobozz").await.join("\n");
    assert!(alone.contains("no le entendí"), "{alone}");
    for _ in 0..4 {
        assert_alone(&scene, "down").await;
    }
    model.does(ModelMode::Says(LINES.to_owned()));
    model.resume().await;
    let before = model.asked().len();
    assert_alone(&scene, "it rests").await;
    assert_eq!(model.asked().len(), before);

    assert_eq!(counts(&scene).await, [0.0, 0.0, 0.0, 5.0, 1.0]);
    let mut replies = Vec::new();
    for customer in [&ana, &eva, &sol] {
        replies.push(scene.got(customer).await.len());
    }
    assert_eq!(replies, [2, 1, 1], "each message is answered once");
    scene.daemon.kill().await.unwrap();
}
