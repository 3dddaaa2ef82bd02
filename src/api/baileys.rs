//! The routes of the service that this daemon replaces, with its paths, fields and texts; without its holes. A connect never
//! wipes credentials that WhatsApp has not rejected, and a send that failed is never a success.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, Path, Query, Request, State, rejection::JsonRejection},
    http::HeaderMap,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    App,
    auth::{Caller, Scope},
    old_form,
    problem::{FieldError, Problem},
};
use crate::{
    message::{
        Draft, EventId, Message, SendRequest,
        history::{self, Chat},
    },
    session::{self, RefusedCode},
    tenant::TenantId,
};

/// How long a connect waits for a QR code, as in the old service.
const QR_WAIT: Duration = Duration::from_secs(90);

/// A JSON body; what is wrong with it is a [`Problem`].
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => Err(Problem::invalid(error.body_text(), Vec::new())),
            Err(error) => Err(Problem::invalid(error.body_text(), Vec::new())),
        }
    }
}

#[derive(Deserialize)]
pub struct Tenant {
    #[serde(rename = "tenantId")]
    tenant_id: Option<String>,
}

impl Tenant {
    fn id(self) -> Result<TenantId, Problem> {
        let text = self.tenant_id.filter(|text| !text.is_empty());
        parse_tenant(text.as_deref(), "tenantId es requerido")
    }
}

pub fn parse_tenant(text: Option<&str>, missing: &str) -> Result<TenantId, Problem> {
    let field = |message: String| vec![FieldError { field: "tenantId".into(), message }];
    let Some(text) = text else { return Err(Problem::invalid(missing, field("is required".into()))) };
    text.parse().map_err(|error: crate::tenant::InvalidTenantId| {
        Problem::invalid("tenantId no es válido", field(error.to_string()))
    })
}

pub async fn connect(
    State(app): State<App>,
    caller: Caller,
    Body(tenant): Body<Tenant>,
) -> Result<Json<Value>, Problem> {
    let tenant = tenant.id()?;
    caller.permit(&tenant, Scope::Control)?;
    let session = app.fleet.connect(&tenant).await?;
    let mut status = session.watch();
    let settled = status.wait_for(|status| {
        use session::State::{Failed, PasskeyRequired, ScanQrCode, Working};
        matches!(status.state, Working | PasskeyRequired | Failed)
            || (status.state == ScanQrCode && status.qr.is_some())
    });
    let status = match tokio::time::timeout(QR_WAIT, settled).await {
        Ok(Ok(status)) => status.clone(),
        _ => return Err(Problem::timed_out("QR generation timeout")),
    };
    match status.state {
        session::State::Working => {
            Ok(Json(json!({ "success": true, "message": "Ya estás conectado", "connected": true })))
        }
        session::State::Failed => {
            Err(Problem::conflict("session_failed", "The session cannot be connected", status.reason))
        }
        _ => Ok(Json(json!({ "success": true, "message": "QR generado, escanear con WhatsApp", "method": "qr" }))),
    }
}

pub async fn qr(State(app): State<App>, caller: Caller, Query(tenant): Query<Tenant>) -> Result<Json<Value>, Problem> {
    let tenant = tenant.id()?;
    caller.permit(&tenant, Scope::Control)?;
    let status = app.fleet.status(&tenant);
    let now = app.fleet.env().clock.now();
    Ok(Json(match status {
        Some(status) if status.state == session::State::Working => {
            json!({ "connected": true, "message": "Ya estás conectado" })
        }
        Some(session::Status { qr: Some(qr), .. }) if qr.expires_at > now => {
            let left = qr.expires_at.as_millisecond() - now.as_millisecond();
            json!({ "qr": qr.code.expose(), "connected": false, "expiresIn": left })
        }
        Some(session::Status { qr: Some(_), .. }) => json!({
            "qr": null, "connected": false, "expired": true, "message": "QR expirado. Se generará uno nuevo.",
        }),
        _ => json!({
            "qr": null, "connected": false, "message": "QR no disponible. Inicia una conexión primero.",
        }),
    }))
}

pub async fn status(
    State(app): State<App>,
    caller: Caller,
    Query(tenant): Query<Tenant>,
) -> Result<Json<Value>, Problem> {
    let tenant = tenant.id()?;
    caller.permit(&tenant, Scope::Read)?;
    let status = app.fleet.status(&tenant);
    let connected = status.as_ref().is_some_and(|status| status.state == session::State::Working);
    Ok(Json(json!({
        "connected": connected,
        "phoneNumber": status.as_ref().and_then(|status| status.phone_number.clone()).filter(|_| connected),
        "lastUpdate": status.as_ref().map(|status| status.since.as_millisecond()),
        "reason": if connected { "connected" } else { "disconnected" },
        "state": status.as_ref().map_or("STOPPED", |status| status.state.as_str()),
        "paired": status.as_ref().is_some_and(|status| status.paired),
        "detail": status.map(|status| status.reason),
    })))
}

pub async fn disconnect(
    State(app): State<App>,
    caller: Caller,
    Body(tenant): Body<Tenant>,
) -> Result<Json<Value>, Problem> {
    let tenant = tenant.id()?;
    caller.permit(&tenant, Scope::Control)?;
    app.fleet.disconnect(&tenant).await?;
    Ok(Json(json!({ "success": true, "message": "Desconectado exitosamente" })))
}

/// Gives up a pairing that was begun. Credentials that WhatsApp has not rejected stay: the connect page calls this whenever the
/// session does not look connected, during a restore and a blink of the network too.
pub async fn clean_session(
    State(app): State<App>,
    caller: Caller,
    Body(tenant): Body<Tenant>,
) -> Result<Json<Value>, Problem> {
    let tenant = tenant.id()?;
    caller.permit(&tenant, Scope::Control)?;
    if let Some(session) = app.fleet.session(&tenant).filter(|session| !session.status().paired) {
        session.stop_pairing().await;
    }
    Ok(Json(json!({ "success": true, "message": "Sesión limpiada exitosamente" })))
}

/// The limits that the old service counted against. Nothing is refused for them here.
const LIMITS: [(&str, u32); 3] = [("daily", 1000), ("hourly", 150), ("minute", 25)];

pub async fn stats(
    State(app): State<App>,
    caller: Caller,
    Query(tenant): Query<Tenant>,
) -> Result<Json<Value>, Problem> {
    let tenant = tenant.id()?;
    caller.permit(&tenant, Scope::Read)?;
    let Some(session) = app.fleet.session(&tenant) else {
        return Ok(Json(json!({ "error": "Tenant not initialized" })));
    };
    let sends = session.sends().await.map_err(Problem::unreadable)?;
    let mut stats = json!({
        "cooldown": { "active": false, "until": null, "remainingMinutes": 0 },
        "isNewNumber": false,
        "accountAge": null,
    });
    for ((name, limit), count) in LIMITS.into_iter().zip([sends.day, sends.hour, sends.minute]) {
        stats[name] = json!({
            "count": count,
            "limit": limit,
            "percentage": (f64::from(count) * 100.0 / f64::from(limit)).round(),
            "remaining": limit.saturating_sub(count),
        });
    }
    Ok(Json(stats))
}

/// Both forms: `send` has its words in `text`, `send-message` in `message`.
#[derive(Deserialize)]
pub struct SendText {
    #[serde(rename = "tenantId")]
    tenant_id: Option<String>,
    to: Option<String>,
    text: Option<String>,
    message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "mediaUrl")]
    media_url: Option<String>,
}

/// With an `Idempotency-Key` the same request may be repeated until it is answered: the message goes out once.
pub async fn send(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Body(send): Body<SendText>,
) -> Result<Json<Value>, Problem> {
    let message = send_words(&app, &caller, &headers, send, "text", "tenantId, to y text son requeridos").await?;
    Ok(Json(json!({ "success": true, "messageId": message.id, "timestamp": message.timestamp * 1000 })))
}

pub async fn send_message(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Body(send): Body<SendText>,
) -> Result<Json<Value>, Problem> {
    let message = send_words(&app, &caller, &headers, send, "message", "tenantId, to y message son requeridos").await;
    let message = message.map_err(|problem| problem.saying_of_connection("No hay conexión activa de WhatsApp"))?;
    Ok(Json(json!({
        "success": true, "message": "Mensaje enviado exitosamente", "messageId": message.id,
        "timestamp": message.timestamp * 1000,
    })))
}

async fn send_words(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    send: SendText,
    field: &'static str,
    missing: &str,
) -> Result<Message, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let text = given(if field == "text" { send.text } else { send.message });
    let (tenant, to) = (given(send.tenant_id), given(send.to));
    let wrong: Vec<_> = [("tenantId", tenant.is_none()), ("to", to.is_none()), (field, text.is_none())]
        .into_iter()
        .filter(|(_, missing)| *missing)
        .map(|(field, _)| FieldError { field: field.into(), message: "is required".into() })
        .collect();
    let (Some(tenant), Some(to), Some(text)) = (tenant, to, text) else {
        return Err(Problem::invalid(missing, wrong));
    };
    let tenant = parse_tenant(Some(&tenant), missing)?;
    caller.permit(&tenant, Scope::Send)?;
    // The old service sent the words and let the rest go: better to say so than to call half a message a success.
    let is_text = send.kind.as_deref().is_none_or(|kind| kind.is_empty() || kind == "text");
    if !is_text || given(send.media_url).is_some() {
        return Err(Problem::not_implemented("only text can be sent by this route"));
    }
    let key = idempotency_key(headers)?;
    let request = SendRequest { to, draft: Draft::Text { text, mentions: Vec::new() }, answers: None, id: None };
    Ok(app.fleet.send(&tenant, &request, key).await??)
}

#[derive(Deserialize)]
pub struct Page {
    #[serde(rename = "tenantId")]
    tenant_id: Option<String>,
    #[serde(rename = "chatId")]
    chat_id: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    /// The `cursor` of the last message of the page before.
    before: Option<EventId>,
    /// Only messages with this in them.
    search: Option<String>,
}

const PAGE: usize = 50;
const MAX_PAGE: usize = 500;

pub async fn conversations(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Problem> {
    let tenant = parse_tenant(page.tenant_id.as_deref().filter(|id| !id.is_empty()), "tenantId es requerido")?;
    caller.permit(&tenant, Scope::Read)?;
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let chats = match app.fleet.session(&tenant) {
        Some(session) => session.chats(page.offset.unwrap_or(0), limit).await.map_err(Problem::unreadable)?,
        None => Vec::new(),
    };
    let form = |chat: &Chat| {
        json!({
            "id": chat.id,
            "name": chat.name,
            "phone": old_form::phone(&chat.id),
            "lastMessage": old_form::entry(&tenant, &chat.last),
            "timestamp": chat.last.message.timestamp * 1000,
        })
    };
    let conversations: Vec<_> = chats.iter().map(form).collect();
    Ok(Json(json!({ "conversations": conversations, "count": conversations.len(), "limit": limit })))
}

/// Newest first. `before` brings the next page.
pub async fn messages(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Problem> {
    const MISSING: &str = "tenantId y chatId son requeridos";
    let tenant = parse_tenant(page.tenant_id.as_deref().filter(|id| !id.is_empty()), MISSING)?;
    caller.permit(&tenant, Scope::Read)?;
    let field = |message: &str| vec![FieldError { field: "chatId".into(), message: message.into() }];
    let Some(chat_id) = page.chat_id.filter(|id| !id.is_empty()) else {
        return Err(Problem::invalid(MISSING, field("is required")));
    };
    let country = app.fleet.env().messages.country;
    let chat = session::chat_of(&chat_id, country)
        .ok_or_else(|| Problem::invalid(MISSING, field("expected a phone number or a jid")))?;
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let query =
        history::Query { chat: Some(chat), before: page.before, limit, text: page.search, ..history::Query::default() };
    let entries = match app.fleet.session(&tenant) {
        Some(session) => session.messages(&query).await.map_err(Problem::unreadable)?,
        None => Vec::new(),
    };
    let messages: Vec<_> = entries.iter().map(|entry| old_form::entry(&tenant, entry)).collect();
    Ok(Json(json!({ "messages": messages, "count": messages.len(), "chatId": chat_id, "limit": limit })))
}

pub async fn profile(
    State(app): State<App>,
    caller: Caller,
    Query(tenant): Query<Tenant>,
) -> Result<Json<Value>, Problem> {
    let tenant = tenant.id()?;
    caller.permit(&tenant, Scope::Read)?;
    let working = app.fleet.status(&tenant).filter(|status| status.state == session::State::Working);
    Ok(Json(match working {
        Some(status) => json!({
            "connected": true, "phoneNumber": status.phone_number, "name": status.push_name, "profilePic": null,
        }),
        None => json!({ "connected": false, "message": "No hay conexión activa" }),
    }))
}

/// The old service answered by its bot.
pub async fn test_message(caller: Caller, Body(tenant): Body<Tenant>) -> Result<Json<Value>, Problem> {
    caller.permit(&tenant.id()?, Scope::Send)?;
    Err(Problem::not_implemented("there is no bot yet"))
}

pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=200).contains(&key.len()));
    key.map(Some).ok_or_else(|| {
        let message = "expected 1 to 200 visible characters".to_owned();
        Problem::invalid(message.clone(), vec![FieldError { field: "Idempotency-Key".into(), message }])
    })
}

#[derive(Deserialize)]
pub struct RequestCode {
    #[serde(rename = "phoneNumber")]
    phone_number: Option<String>,
}

/// WAHA's route for pairing by a code typed into the phone.
pub async fn request_code(
    State(app): State<App>,
    caller: Caller,
    Path(tenant): Path<String>,
    Body(request): Body<RequestCode>,
) -> Result<Json<Value>, Problem> {
    let tenant = parse_tenant(Some(&tenant), "tenantId es requerido")?;
    caller.permit(&tenant, Scope::Control)?;
    let digits: String = request.phone_number.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    if !(7..=15).contains(&digits.len()) {
        let message = "expected a phone number with its country code".to_owned();
        return Err(Problem::invalid(message.clone(), vec![FieldError { field: "phoneNumber".into(), message }]));
    }
    match app.fleet.request_code(&tenant, &digits).await? {
        Ok(code) => Ok(Json(json!({ "code": code }))),
        Err(RefusedCode::Paired) => Err(Problem::conflict("paired", "The session is paired already", "")),
        Err(RefusedCode::NotConnected) => Err(Problem::timed_out("WhatsApp did not offer a pairing")),
        Err(RefusedCode::WhatsApp(reason)) => Err(Problem::conflict("refused", "WhatsApp gives no code", reason)),
    }
}
