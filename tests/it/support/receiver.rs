//! A receiver of webhooks: remembers what is posted to it, and answers as the test wants it to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;
use sessiond::demo::{free_address, until};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Post {
    pub headers: HashMap<String, String>,
    pub body: String,
    pub json: Value,
    /// Whether the answer was 2xx.
    pub taken: bool,
}

impl Post {
    pub fn text(&self) -> &str {
        self.json["payload"]["body"].as_str().unwrap_or_default()
    }

    pub fn id(&self) -> &str {
        self.json["id"].as_str().unwrap_or_default()
    }
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub after: Duration,
}

pub fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

type Rule = Arc<dyn Fn(&Value) -> Answer + Send + Sync>;

#[derive(Clone)]
struct Shared {
    posts: Arc<Mutex<Vec<Post>>>,
    rule: Arc<Mutex<Rule>>,
}

pub struct Receiver {
    pub address: SocketAddr,
    shared: Shared,
    serving: Option<CancellationToken>,
}

impl Receiver {
    /// Takes everything.
    pub async fn start() -> Self {
        Self::at(free_address().unwrap()).await
    }

    pub async fn at(address: SocketAddr) -> Self {
        let rule: Rule = Arc::new(|_| status(204));
        let shared = Shared { posts: Arc::default(), rule: Arc::new(Mutex::new(rule)) };
        let mut receiver = Self { address, shared, serving: None };
        receiver.resume().await;
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on, by the body.
    pub fn answers(&self, rule: impl Fn(&Value) -> Answer + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(rule);
    }

    /// Nobody listens any more.
    pub fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.cancel();
        }
    }

    pub async fn resume(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().fallback(receive).with_state(self.shared.clone());
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                served = axum::serve(listener, router) => served.unwrap(),
            }
        });
        self.serving = Some(stop);
    }

    pub fn posts(&self) -> Vec<Post> {
        self.shared.posts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what was posted satisfies `enough`.
    pub async fn until(&self, limit: Duration, what: &str, enough: impl Fn(&[Post]) -> bool) {
        let waited = until(limit, what, || std::future::ready(enough(&self.posts()))).await;
        if let Err(error) = waited {
            let posts: Vec<_> = self.posts().iter().map(|post| format!("{} {}", post.taken, post.body)).collect();
            panic!("{error}; posted were\n{}", posts.join("\n"));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn receive(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let rule = shared.rule.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let answer = rule(&json);
    let taken = (200..300).contains(&answer.status);
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let body = String::from_utf8(body.into()).unwrap();
    shared.posts.lock().unwrap_or_else(PoisonError::into_inner).push(Post { headers, body, json, taken });
    tokio::time::sleep(answer.after).await;
    let mut response = StatusCode::from_u16(answer.status).unwrap().into_response();
    // So that a receiver that stops has no open connections left.
    response.headers_mut().insert("connection", "close".parse().unwrap());
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
