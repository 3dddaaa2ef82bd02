//! The old service's Realtime Database, and Google's token endpoint: a server of ours on loopback, since Google's emulator of that database is
//! not to be had here. It behaves as Google's documentation of the REST interface says, as far as a reader sees it:
//!
//! - `GET /path.json` answers 200 with the JSON of that place, and `null` where there is nothing. Without `.json` there is nothing: 404.
//! - `shallow=true` answers with the children's names, each with `true`, and a scalar as it is. With any other query it is refused: 400.
//! - `print=silent` answers 204 without a body, `print=pretty` with blanks.
//! - An access token comes as `Authorization: Bearer`, or as the query `access_token` (an emulator's as `auth`); without one that the
//!   endpoint gave, the rules are closed: 401 with `{"error": …}`.
//! - A database that is not there answers 404 with `{"error": …}`, one that is overloaded 503.
//! - The token endpoint takes an assertion by the service account's key (RFC 7523), and nothing else.
//!
//! One that is [writable](OldPlace::start_writable) also has what a mirror needs:
//!
//! - `X-Firebase-ETag: true` gets the tag of what is there; a `PUT` with `If-Match` and another tag is refused: 412.
//! - `PATCH` writes several places, whose names may be paths, all or none. Nulls are nothing, and so is an object without anything.
//! - `Accept: text/event-stream` gets `put` events: first everything, then each change below (or above) that place.
//!
//! It counts who asks for what, and can go wrong: [`Fault`].

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response, Sse, sse::Event},
    routing::post,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL},
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};

const ACCOUNT: &str = "importer@kds-demo.iam.gserviceaccount.com";

/// What goes wrong with the database, from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It takes a request, and never answers.
    Silent,
    /// Overloaded.
    Busy,
    /// So many answers, and then it is overloaded.
    BusyAfter(usize),
    /// So many times, and then it answers.
    BusyTimes(usize),
    /// No token opens it any more.
    Closed,
    /// The next request finds that its token is good no longer. Another one is.
    Revoked,
    /// There is no such database.
    Absent,
    /// It leads elsewhere.
    Redirect(String),
    /// A page writes the place of this name all the time: no conditional write comes through there.
    Contested(String),
}

pub struct OldPlace {
    state: Arc<Place>,
    serving: JoinHandle<()>,
}

struct Place {
    url: String,
    key: RsaKeyPair,
    tree: Mutex<Value>,
    fault: Mutex<Option<Fault>>,
    tokens: Mutex<HashSet<String>>,
    /// Paths with their queries, as they were asked for.
    asked: Mutex<BTreeMap<String, usize>>,
    written: Mutex<Vec<String>>,
    bytes: Mutex<usize>,
    /// Places that were written, with what is there now; `None`: nobody writes here.
    changes: Option<broadcast::Sender<(Vec<String>, Value)>>,
}

impl Drop for OldPlace {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl OldPlace {
    pub async fn start(tree: Value) -> Self {
        Self::begin(tree, None).await
    }

    pub async fn start_writable(tree: Value) -> Self {
        Self::begin(tree, Some(broadcast::Sender::new(256))).await
    }

    async fn begin(tree: Value, changes: Option<broadcast::Sender<(Vec<String>, Value)>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Place {
            url: format!("http://{address}"),
            key: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            tree: Mutex::new(tree),
            fault: Mutex::default(),
            tokens: Mutex::default(),
            asked: Mutex::default(),
            written: Mutex::default(),
            bytes: Mutex::default(),
            changes,
        });
        let router = Router::new().route("/token", post(give_token)).fallback(answer).with_state(state.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { state, serving }
    }

    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// The key file of an account that the endpoint knows.
    pub fn service_account(&self) -> String {
        let der: Pkcs8V1Der<'_> = self.state.key.as_der().unwrap();
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        json!({
            "type": "service_account", "project_id": "kds-demo", "private_key_id": "k1", "private_key": pem,
            "client_email": ACCOUNT, "token_uri": format!("{}/token", self.url()),
        })
        .to_string()
    }

    pub fn break_with(&self, fault: Option<Fault>) {
        *self.state.fault.lock().unwrap() = fault;
    }

    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.tree.lock().unwrap());
    }

    /// A page writes.
    pub fn set(&self, path: &str, value: Value) {
        let mut tree = self.state.tree.lock().unwrap();
        write(&self.state, &mut tree, parts(path), value);
    }

    /// What is at a place; `Null`: nothing.
    pub fn at(&self, path: &str) -> Value {
        found(&self.state.tree.lock().unwrap(), &parts(path)).clone()
    }

    pub fn tree(&self) -> Value {
        self.state.tree.lock().unwrap().clone()
    }

    /// What was asked for since the last time, and how often.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.state.asked.lock().unwrap())
    }

    /// Bytes of answers since the last time.
    pub fn bytes(&self) -> usize {
        std::mem::take(&mut *self.state.bytes.lock().unwrap())
    }

    pub fn written(&self) -> Vec<String> {
        self.state.written.lock().unwrap().clone()
    }
}

async fn give_token(State(place): State<Arc<Place>>, body: Bytes) -> Response {
    let refuse = |error: &str| (StatusCode::BAD_REQUEST, json!({ "error": error }).to_string()).into_response();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let Some(assertion) = text.strip_prefix(grant) else { return refuse("unsupported_grant_type") };
    let parts: Vec<&str> = assertion.split('.').collect();
    let [head, claims, signature] = parts[..] else { return refuse("invalid_grant") };
    let signed = format!("{head}.{claims}");
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, place.key.public_key().as_ref().to_vec());
    if key.verify(signed.as_bytes(), &BASE64URL.decode(signature).unwrap()).is_err() {
        return refuse("invalid_grant");
    }
    let claims: Value = serde_json::from_slice(&BASE64URL.decode(claims).unwrap()).unwrap();
    let now = Timestamp::now().as_second();
    let is_good = claims["iss"] == ACCOUNT
        && claims["aud"] == json!(format!("{}/token", place.url))
        && claims["exp"].as_i64().is_some_and(|end| (now..=now + 3600).contains(&end));
    let scope = claims["scope"].as_str().unwrap_or_default();
    let has_scopes = ["userinfo.email", "firebase.database"].iter().all(|name| scope.contains(name));
    if !is_good || !has_scopes {
        return refuse("invalid_scope");
    }
    let token = format!("ya29.{:032x}", rand::random::<u128>());
    place.tokens.lock().unwrap().insert(token.clone());
    json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" }).to_string().into_response()
}

async fn fail(place: &Place) -> Option<Response> {
    let error = |status: StatusCode, error: &str| (status, json!({ "error": error }).to_string()).into_response();
    let fault = {
        let mut fault = place.fault.lock().unwrap();
        match &mut *fault {
            Some(Fault::BusyAfter(left)) if *left > 0 => {
                *left -= 1;
                None
            }
            Some(Fault::BusyTimes(0)) => None,
            Some(Fault::BusyTimes(left)) => {
                *left -= 1;
                Some(Fault::Busy)
            }
            Some(Fault::Revoked) => {
                *fault = None;
                Some(Fault::Revoked)
            }
            other => other.clone(),
        }
    };
    match fault? {
        Fault::Silent => std::future::pending().await,
        Fault::Busy | Fault::BusyAfter(_) | Fault::BusyTimes(_) => {
            Some(error(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"))
        }
        Fault::Revoked => {
            place.tokens.lock().unwrap().clear();
            None
        }
        Fault::Contested(_) => None,
        Fault::Closed => Some(error(StatusCode::UNAUTHORIZED, "Permission denied")),
        Fault::Absent => {
            Some(error(StatusCode::NOT_FOUND, "Firebase error. Please ensure that you have the URL right"))
        }
        Fault::Redirect(to) => Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()),
    }
}

async fn answer(State(place): State<Arc<Place>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let wanted = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
    *place.asked.lock().unwrap().entry(wanted.clone()).or_default() += 1;
    let error = |status: StatusCode, error: &str| (status, json!({ "error": error }).to_string()).into_response();
    if request.method() != Method::GET {
        place.written.lock().unwrap().push(wanted);
        if place.changes.is_none() {
            return error(StatusCode::METHOD_NOT_ALLOWED, "this one is only read");
        }
    }
    if let Some(refused) = fail(&place).await {
        return refused;
    }
    let pairs: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    if !is_let_in(&place, request.headers(), &pairs) {
        return error(StatusCode::UNAUTHORIZED, "Permission denied");
    }
    let Some(path) = path.strip_suffix(".json") else { return StatusCode::NOT_FOUND.into_response() };
    if request.method() != Method::GET {
        return take(&place, parts(path), request).await;
    }
    if request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream") {
        return listen(&place, parts(path));
    }
    let wants_tag = request.headers().contains_key("x-firebase-etag");
    let is_shallow = pairs.get("shallow") == Some(&"true");
    if is_shallow && pairs.keys().any(|name| !["shallow", "access_token", "auth"].contains(name)) {
        return error(StatusCode::BAD_REQUEST, "shallow can not be mixed with any other query parameters");
    }
    let (body, tag) = {
        let tree = place.tree.lock().unwrap();
        let found = found(&tree, &parts(path));
        let body = match (is_shallow, found) {
            (true, Value::Object(children)) => {
                json!(children.keys().map(|name| (name.clone(), true)).collect::<BTreeMap<_, _>>()).to_string()
            }
            _ if pairs.get("print") == Some(&"pretty") => format!("{found:#}"),
            _ => found.to_string(),
        };
        (body, tag(found))
    };
    if pairs.get("print") == Some(&"silent") {
        return StatusCode::NO_CONTENT.into_response();
    }
    *place.bytes.lock().unwrap() += body.len();
    let mut response = ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response();
    if wants_tag {
        response.headers_mut().insert(header::ETAG, tag.parse().unwrap());
    }
    response
}

/// `PUT` and `PATCH`.
async fn take(place: &Place, path: Vec<String>, request: Request) -> Response {
    let error = |status: StatusCode, error: &str| (status, json!({ "error": error }).to_string()).into_response();
    let (is_patch, wanted) = (request.method() == Method::PATCH, request.headers().get(header::IF_MATCH).cloned());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "Invalid data; couldn't parse JSON object.");
    };
    let is_contested =
        matches!(&*place.fault.lock().unwrap(), Some(Fault::Contested(name)) if path.last() == Some(name));
    let mut tree = place.tree.lock().unwrap();
    if wanted.is_some_and(|wanted| is_contested || wanted != tag(found(&tree, &path))) {
        return error(StatusCode::PRECONDITION_FAILED, "ETag mismatch");
    }
    match value {
        Value::Object(values) if is_patch => {
            for (name, value) in values {
                let below = path.iter().cloned().chain(parts(&name)).collect();
                write(place, &mut tree, below, value);
            }
        }
        _ if is_patch => return error(StatusCode::BAD_REQUEST, "Invalid data; couldn't parse JSON object."),
        value => write(place, &mut tree, path, value),
    }
    StatusCode::NO_CONTENT.into_response()
}

fn listen(place: &Place, path: Vec<String>) -> Response {
    let put = |path: &[String], data: &Value| {
        Event::default().event("put").data(json!({ "path": format!("/{}", path.join("/")), "data": data }).to_string())
    };
    let tree = place.tree.lock().unwrap();
    let Some(changes) = &place.changes else { return StatusCode::NOT_ACCEPTABLE.into_response() };
    let (first, changes) = (put(&[], found(&tree, &path)), changes.subscribe());
    drop(tree);
    let later = stream::unfold((changes, path), move |(mut changes, path)| async move {
        loop {
            let (changed, value) = changes.recv().await.ok()?;
            let event = match (changed.strip_prefix(&path[..]), path.strip_prefix(&changed[..])) {
                (Some(below), _) => put(below, &value),
                (None, Some(below)) => put(&[], found(&value, below)),
                (None, None) => continue,
            };
            return Some((event, (changes, path)));
        }
    });
    let events = stream::once(std::future::ready(first)).chain(later).map(Ok::<_, std::convert::Infallible>);
    Sse::new(events).into_response()
}

fn write(place: &Place, tree: &mut Value, path: Vec<String>, value: Value) {
    let value = pruned(value);
    put_at(tree, &path, value.clone());
    if let Some(changes) = &place.changes {
        let _ = changes.send((path, value));
    }
}

/// Parents come and go with what is in them.
fn put_at(tree: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    if !tree.is_object() {
        *tree = json!({});
    }
    let children = tree.as_object_mut().unwrap();
    let mut child = children.remove(first).unwrap_or_default();
    put_at(&mut child, rest, value);
    if !child.is_null() {
        children.insert(first.clone(), child);
    }
    if children.is_empty() {
        *tree = Value::Null;
    }
}

/// As the database keeps it.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(children) => {
            let children = children.into_iter().map(|(name, child)| (name, pruned(child)));
            let left: serde_json::Map<_, _> = children.filter(|(_, child)| !child.is_null()).collect();
            if left.is_empty() { Value::Null } else { left.into() }
        }
        Value::Array(children) if children.is_empty() => Value::Null,
        Value::Array(children) => children.into_iter().map(pruned).collect(),
        value => value,
    }
}

fn found<'a>(tree: &'a Value, path: &[String]) -> &'a Value {
    path.iter().try_fold(tree, |found, part| found.get(part)).unwrap_or(&Value::Null)
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(decoded).collect()
}

fn tag(found: &Value) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    if found.is_null() {
        return "null_etag".to_owned();
    }
    let mut hasher = DefaultHasher::new();
    found.to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A part of a path, without its escapes.
fn decoded(part: &str) -> String {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (escape, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(escape, 16).unwrap());
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).unwrap()
}

fn is_let_in(place: &Place, headers: &HeaderMap, query: &BTreeMap<&str, &str>) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = bearer.or_else(|| query.get("access_token").or(query.get("auth")).copied());
    // An emulator's.
    token.is_some_and(|token| token == "owner" || place.tokens.lock().unwrap().contains(token))
}
