//! The HTTP control API: one route for each method of [`Network`], JSON in and out.
//!
//! Errors are `{"error": reason}` with 404 for an unknown number, 409 for what the network refuses, and axum's own
//! codes for requests that do not parse.

mod adopt;

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::faults::Fault;
use crate::groups::{Change, GroupInfo};
use crate::inbox::Received;
use crate::ledger::WireMessage;
use crate::network::{DeviceInfo, Network, NetworkError, PhoneInfo};
use crate::passkey::Passkey;
use crate::presence::{ChatState, Seen};
use crate::say::Say;
use crate::stats::Stats;

/// Files come in base64.
const MAX_BODY: usize = 64 << 20;

pub(crate) async fn serve(network: Network, listener: TcpListener, ended: CancellationToken) {
    let server = axum::serve(listener, router(network)).with_graceful_shutdown(ended.cancelled_owned());
    if let Err(error) = server.await {
        tracing::error!(%error, "the control API ended");
    }
}

fn router(network: Network) -> Router {
    Router::new()
        .route("/root", get(root))
        .route("/media-ca", get(media_ca))
        .route("/stats", get(stats))
        .route("/messages", get(messages))
        .route("/faults", post(fault).delete(clear_faults))
        .route("/stop", post(stop))
        .route("/resume", post(resume))
        .route("/phones", post(add_phone))
        .route("/phones/{number}", get(phone))
        .route("/phones/{number}/scan", post(scan))
        .route("/phones/{number}/link-code", post(link_code))
        .route("/phones/{number}/passkey", get(passkey_code).post(add_passkey))
        .route("/phones/{number}/adopt", post(adopt::adopt))
        .route("/phones/{number}/devices", get(devices))
        .route("/phones/{number}/devices/{id}", delete(unlink))
        .route("/phones/{number}/devices/{id}/history", post(history))
        .route("/phones/{number}/send", post(send))
        .route("/phones/{number}/inbox", get(inbox))
        .route("/customers", post(add_customer))
        .route("/customers/{number}/send", post(send))
        .route("/customers/{number}/inbox", get(inbox))
        .route("/customers/{number}/profile", post(profile))
        .route("/customers/{number}/read", post(read))
        .route("/customers/{number}/played", post(played))
        .route("/customers/{number}/presence", get(presence).post(set_presence))
        .route("/groups", post(create_group))
        .route("/groups/{jid}", get(group).post(change_group))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .fallback(async || (StatusCode::NOT_FOUND, Json(json!({ "error": "no such route" }))))
        .with_state(network)
}

type ControlResult<T> = Result<Json<T>, Failure>;

struct Failure(StatusCode, String);

impl From<NetworkError> for Failure {
    fn from(error: NetworkError) -> Self {
        let status = match error {
            NetworkError::UnknownNumber(_) => StatusCode::NOT_FOUND,
            NetworkError::Refused(_) => StatusCode::CONFLICT,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// A JSON body; an empty one is `{}`.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let empty = request.headers().get("content-length").is_none_or(|length| length == "0");
        if empty && !request.headers().contains_key("transfer-encoding") {
            return serde_json::from_value(json!({}))
                .map(Body)
                .map_err(|e| Failure(StatusCode::BAD_REQUEST, e.to_string()));
        }
        Json::<T>::from_request(request, state)
            .await
            .map(|Json(body)| Body(body))
            .map_err(|e: JsonRejection| Failure(e.status(), e.body_text()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPhone {
    name: Option<String>,
    /// Digits; the next free one without it.
    number: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    qr: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

/// Bytes in base64.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPasskey {
    credential: String,
    public_key: String,
    patience_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outgoing {
    to: String,
    /// Short for a message of kind `text`.
    text: Option<String>,
    message: Option<Say>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    by: String,
    subject: String,
    members: Vec<String>,
}

/// A new subject, or `change` of `members`, by an admin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupChange {
    by: String,
    subject: Option<String>,
    change: Option<Change>,
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProfile {
    about: Option<String>,
    /// In base64.
    picture: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    /// `1`: files too, in base64.
    media: Option<u8>,
}

/// `{"to", "state"}` for a chat, or `{"available"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPresence {
    to: Option<String>,
    state: Option<ChatState>,
    available: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageId {
    id: String,
}

#[derive(Deserialize)]
struct Sender {
    from: Option<String>,
}

async fn root(State(network): State<Network>) -> Json<Value> {
    Json(json!({ "root": hex::encode(network.root_public_key()), "url": network.ws_url() }))
}

/// The media host's authority, as PEM, and where the host is.
async fn media_ca(State(network): State<Network>) -> Json<Value> {
    Json(json!({ "pem": network.media_ca_pem(), "host": network.media_host() }))
}

async fn stats(State(network): State<Network>) -> Json<Stats> {
    Json(network.stats().await)
}

async fn messages(State(network): State<Network>, Query(query): Query<Sender>) -> ControlResult<Vec<WireMessage>> {
    Ok(Json(network.messages(query.from.as_deref()).await?))
}

async fn fault(State(network): State<Network>, Body(fault): Body<Fault>) -> ControlResult<Value> {
    network.fault(fault).await?;
    Ok(Json(json!({})))
}

async fn clear_faults(State(network): State<Network>) -> Json<Value> {
    network.clear_faults().await;
    Json(json!({}))
}

async fn stop(State(network): State<Network>) -> Json<Value> {
    network.stop().await;
    Json(json!({}))
}

async fn resume(State(network): State<Network>) -> ControlResult<Value> {
    network.resume().await.map_err(|e| Failure(StatusCode::CONFLICT, e.to_string()))?;
    Ok(Json(json!({})))
}

async fn add_phone(State(network): State<Network>, Body(phone): Body<NewPhone>) -> ControlResult<PhoneInfo> {
    Ok(Json(match phone.number {
        Some(number) => network.add_phone_numbered(&number, phone.name).await?,
        None => network.add_phone(phone.name).await,
    }))
}

async fn phone(State(network): State<Network>, Path(number): Path<String>) -> ControlResult<PhoneInfo> {
    Ok(Json(network.phone(&number).await?))
}

async fn scan(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(scan): Body<Scan>,
) -> ControlResult<Value> {
    let device = network.scan(&number, &scan.qr).await?;
    Ok(Json(json!({ "device": device })))
}

async fn link_code(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(code): Body<Code>,
) -> ControlResult<Value> {
    let device = network.link_code(&number, &code.code).await?;
    Ok(Json(json!({ "device": device })))
}

async fn add_passkey(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(passkey): Body<NewPasskey>,
) -> ControlResult<Value> {
    let decode =
        |text: &str| BASE64_STANDARD.decode(text).map_err(|e| Failure(StatusCode::UNPROCESSABLE_ENTITY, e.to_string()));
    let passkey = Passkey {
        credential: decode(&passkey.credential)?,
        public_key: decode(&passkey.public_key)?,
        patience: Duration::from_millis(passkey.patience_ms),
    };
    network.add_passkey(&number, passkey).await?;
    Ok(Json(json!({})))
}

async fn passkey_code(State(network): State<Network>, Path(number): Path<String>) -> ControlResult<Value> {
    Ok(Json(json!({ "code": network.passkey_code(&number).await? })))
}

async fn devices(State(network): State<Network>, Path(number): Path<String>) -> ControlResult<Vec<DeviceInfo>> {
    Ok(Json(network.devices(&number).await?))
}

async fn unlink(State(network): State<Network>, Path((number, id)): Path<(String, u16)>) -> ControlResult<Value> {
    network.unlink(&number, id).await?;
    Ok(Json(json!({})))
}

async fn send(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(send): Body<Outgoing>,
) -> ControlResult<Value> {
    let say = match (send.text, send.message) {
        (Some(text), None) => Say::text(text),
        (None, Some(say)) => say,
        _ => return Err(Failure(StatusCode::UNPROCESSABLE_ENTITY, "either text or message".to_owned())),
    };
    let id = network.phone_send(&number, &send.to, say).await?;
    Ok(Json(json!({ "id": id })))
}

async fn inbox(
    State(network): State<Network>,
    Path(number): Path<String>,
    Query(wanted): Query<Wanted>,
) -> ControlResult<Vec<Received>> {
    let mut messages = network.phone_inbox(&number).await?;
    if wanted.media != Some(1) {
        for file in messages.iter_mut().filter_map(|message| message.file.as_mut()) {
            file.data.clear();
        }
    }
    Ok(Json(messages))
}

async fn read(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(message): Body<MessageId>,
) -> ControlResult<Value> {
    network.customer_read(&number, &message.id).await?;
    Ok(Json(json!({})))
}

async fn played(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(message): Body<MessageId>,
) -> ControlResult<Value> {
    network.customer_play(&number, &message.id).await?;
    Ok(Json(json!({})))
}

async fn presence(State(network): State<Network>, Path(number): Path<String>) -> ControlResult<Vec<Seen>> {
    Ok(Json(network.customer_sees(&number).await?))
}

async fn set_presence(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(presence): Body<NewPresence>,
) -> ControlResult<Value> {
    match presence {
        NewPresence { to: Some(to), state: Some(state), available: None } => {
            network.customer_chat_state(&number, &to, state).await?;
        }
        NewPresence { to: None, state: None, available: Some(available) } => {
            network.customer_available(&number, available).await?;
        }
        _ => return Err(Failure(StatusCode::UNPROCESSABLE_ENTITY, "either to and state, or available".to_owned())),
    }
    Ok(Json(json!({})))
}

async fn history(State(network): State<Network>, Path((number, id)): Path<(String, u16)>) -> ControlResult<Value> {
    network.phone_history(&number, id).await?;
    Ok(Json(json!({})))
}

async fn profile(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(profile): Body<NewProfile>,
) -> ControlResult<Value> {
    let picture = profile.picture.map(|picture| BASE64_STANDARD.decode(picture)).transpose();
    let picture = picture.map_err(|e| Failure(StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))?;
    network.set_profile(&number, profile.about, picture).await?;
    Ok(Json(json!({})))
}

async fn create_group(State(network): State<Network>, Body(group): Body<NewGroup>) -> ControlResult<GroupInfo> {
    let others: Vec<&str> = group.members.iter().map(String::as_str).collect();
    Ok(Json(network.create_group(&group.by, &group.subject, &others).await?))
}

async fn group(State(network): State<Network>, Path(jid): Path<String>) -> ControlResult<GroupInfo> {
    Ok(Json(network.group(&jid).await?))
}

async fn change_group(
    State(network): State<Network>,
    Path(jid): Path<String>,
    Body(change): Body<GroupChange>,
) -> ControlResult<GroupInfo> {
    if let Some(subject) = &change.subject {
        network.group_subject(&jid, &change.by, subject).await?;
    }
    if let Some(what) = change.change {
        let members: Vec<&str> = change.members.iter().map(String::as_str).collect();
        network.change_group(&jid, &change.by, what, &members).await?;
    }
    Ok(Json(network.group(&jid).await?))
}

async fn add_customer(State(network): State<Network>) -> Json<Value> {
    Json(json!({ "number": network.add_customer().await }))
}
