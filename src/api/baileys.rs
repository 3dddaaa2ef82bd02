//! The routes of the service that this daemon replaces, with its paths, fields and texts; without its holes. A connect never
//! wipes credentials that WhatsApp has not rejected, and a send that failed is never a success.

use std::{borrow::Cow, convert::Infallible, time::Duration};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    App,
    auth::{Asked, Controlling, For, Names, Reading, Sending},
    input::{Body, IdempotencyKey, Query},
    old_form,
    problem::{FieldError, Problem},
    upload::Given,
    waha,
};
use crate::{
    message::{
        Draft, EventId, Message, SendRequest,
        history::{self, Chat},
        media::{Attachment, AttachmentKind},
    },
    session::{self, RefusedCode},
    tenant::{InvalidTenantId, TenantId},
};

/// How long a connect waits for a QR code, as in the old service.
const QR_WAIT: Duration = Duration::from_secs(90);

/// What a request needs that is about a tenant and says nothing else.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OfTenant")]
pub struct Tenant {
    #[serde(rename = "tenantId")]
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
}

impl Names for Tenant {
    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed("tenantId es requerido", error)
    }
}

/// The texts of the old service for a tenant that is missing, or cannot be one.
pub fn misnamed(missing: &str, error: Option<InvalidTenantId>) -> Problem {
    let field = |message: String| vec![FieldError { field: "tenantId".into(), message }];
    match error {
        None => Problem::invalid(missing, field("is required".into())),
        Some(error) => Problem::invalid("tenantId no es válido", field(error.to_string())),
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BaileysConnecting")]
pub struct Connecting {
    success: bool,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<bool>,
    /// `qr`: there is a code to scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
}

pub async fn connect(
    State(app): State<App>,
    Asked { tenant, .. }: Asked<Controlling, Body<Tenant>>,
) -> Result<Json<Connecting>, Problem> {
    let session = app.fleet.opened(&tenant).await?;
    let settled = session.connect_until(|status| {
        use session::State::{Failed, ScanQrCode, Working};
        matches!(status.state, Working | Failed)
            || status.state.is_ceremony()
            || (status.state == ScanQrCode && status.qr.is_some())
    });
    let status = match tokio::time::timeout(QR_WAIT, settled).await {
        Ok(Some(status)) => status,
        Ok(None) => return Err(stopped()),
        Err(_) => return Err(Problem::timed_out("QR generation timeout")),
    };
    let (message, connected, method) = match status.state {
        session::State::Working => ("Ya estás conectado", Some(true), None),
        session::State::Failed => {
            return Err(Problem::conflict("session_failed", "The session cannot be connected", status.reason));
        }
        state if state.is_ceremony() => return Err(passkey()),
        _ => ("QR generado, escanear con WhatsApp", None, Some("qr")),
    };
    Ok(Json(Connecting { success: true, message, connected, method }))
}

/// The phone has scanned; what comes next is not in the old contract.
fn passkey() -> Problem {
    let detail = "go on at /api/{session}/auth/passkey/challenge";
    Problem::conflict("passkey_required", "WhatsApp asks for a passkey", detail).saying(PASSKEY)
}

const PASSKEY: &str = "WhatsApp pide la llave de acceso (passkey) de esta cuenta para vincularla.";

fn stopped() -> Problem {
    Problem::conflict(
        "stopped",
        "The session was stopped meanwhile",
        "another request unlinked it, or gave up the pairing",
    )
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[schemars(rename = "BaileysQr")]
pub enum Qr {
    Code {
        /// What the picture is made of.
        qr: String,
        connected: bool,
        /// Milliseconds.
        expires_in: i64,
    },
    None {
        qr: (),
        connected: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        expired: Option<bool>,
        message: &'static str,
    },
    Connected {
        connected: bool,
        message: &'static str,
    },
}

pub async fn qr(
    State(app): State<App>,
    Asked { tenant, .. }: Asked<Controlling, Query<Tenant>>,
) -> Result<Json<Qr>, Problem> {
    let status = app.fleet.status(&tenant);
    let now = app.fleet.env().clock.now();
    let none = |expired, message| Qr::None { qr: (), connected: false, expired, message };
    Ok(Json(match status {
        Some(status) if status.state == session::State::Working => {
            Qr::Connected { connected: true, message: "Ya estás conectado" }
        }
        Some(session::Status { qr: Some(qr), .. }) if qr.expires_at > now => {
            let left = qr.expires_at.as_millisecond() - now.as_millisecond();
            Qr::Code { qr: qr.code.expose().to_owned(), connected: false, expires_in: left }
        }
        Some(status) if status.state.is_ceremony() => none(None, PASSKEY),
        Some(session::Status { qr: Some(_), .. }) => none(Some(true), "QR expirado. Se generará uno nuevo."),
        _ => none(None, "QR no disponible. Inicia una conexión primero."),
    }))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BaileysStatus")]
pub struct Status {
    connected: bool,
    /// Digits; null while not connected.
    phone_number: Option<String>,
    /// Milliseconds since 1970.
    last_update: Option<i64>,
    /// `connected` or `disconnected`.
    reason: &'static str,
    state: session::State,
    /// Whether there are credentials that WhatsApp has not rejected.
    paired: bool,
    /// The reason, in words.
    detail: Option<String>,
}

pub async fn status(
    State(app): State<App>,
    Asked { tenant, .. }: Asked<Reading, Query<Tenant>>,
) -> Result<Json<Status>, Problem> {
    let status = app.fleet.status(&tenant);
    let connected = status.as_ref().is_some_and(|status| status.state == session::State::Working);
    Ok(Json(Status {
        connected,
        phone_number: status.as_ref().and_then(|status| status.phone_number.clone()).filter(|_| connected),
        last_update: status.as_ref().map(|status| status.since.as_millisecond()),
        reason: if connected { "connected" } else { "disconnected" },
        state: status.as_ref().map_or(session::State::Stopped, |status| status.state),
        paired: status.as_ref().is_some_and(|status| status.paired),
        detail: status.map(|status| status.reason),
    }))
}

/// What was asked for is done.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BaileysSuccess")]
pub struct Success {
    success: bool,
    message: &'static str,
}

pub async fn disconnect(
    State(app): State<App>,
    Asked { tenant, .. }: Asked<Controlling, Body<Tenant>>,
) -> Result<Json<Success>, Problem> {
    app.fleet.disconnect(&tenant).await?;
    Ok(Json(Success { success: true, message: "Desconectado exitosamente" }))
}

/// Gives up a pairing that was begun. Credentials that WhatsApp has not rejected stay: the connect page calls this whenever the
/// session does not look connected, during a restore and a blink of the network too.
pub async fn clean_session(
    State(app): State<App>,
    Asked { tenant, .. }: Asked<Controlling, Body<Tenant>>,
) -> Result<Json<Success>, Problem> {
    if let Some(session) = app.fleet.session(&tenant).filter(|session| !session.status().paired) {
        session.stop_pairing().await;
    }
    Ok(Json(Success { success: true, message: "Sesión limpiada exitosamente" }))
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[schemars(rename = "BaileysStats")]
pub enum Stats {
    Counted { daily: Count, hourly: Count, minute: Count, cooldown: Cooldown, is_new_number: bool, account_age: () },
    NotThere { error: &'static str },
}

/// What was sent, against a limit of the old service's. Nothing is refused for it here.
#[derive(Serialize, JsonSchema)]
pub struct Count {
    count: u32,
    limit: u32,
    percentage: f64,
    remaining: u32,
}

/// The old service's pause, which it never made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cooldown {
    active: bool,
    until: (),
    remaining_minutes: u32,
}

impl Count {
    fn new(count: u32, limit: u32) -> Self {
        let percentage = (f64::from(count) * 100.0 / f64::from(limit)).round();
        Self { count, limit, percentage, remaining: limit.saturating_sub(count) }
    }
}

pub async fn stats(
    State(app): State<App>,
    Asked { tenant, .. }: Asked<Reading, Query<Tenant>>,
) -> Result<Json<Stats>, Problem> {
    let Some(session) = app.fleet.session(&tenant) else {
        return Ok(Json(Stats::NotThere { error: "Tenant not initialized" }));
    };
    let sends = session.sends().await.map_err(Problem::unreadable)?;
    Ok(Json(Stats::Counted {
        daily: Count::new(sends.day, 1000),
        hourly: Count::new(sends.hour, 150),
        minute: Count::new(sends.minute, 25),
        cooldown: Cooldown { active: false, until: (), remaining_minutes: 0 },
        is_new_number: false,
        account_age: (),
    }))
}

/// What both forms have beside their words.
#[derive(Deserialize, JsonSchema)]
pub struct Addressed {
    #[serde(rename = "tenantId")]
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
    /// A phone number as people type it, or a jid.
    #[schemars(required, example = "573009998877")]
    to: Option<String>,
    /// What a file is sent as: `image`, `video`, `audio`, `voice`, `document` or `sticker`; left out, or `text`: what its bytes are.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// A file to send. In `/api/baileys/send` only.
    #[serde(rename = "mediaUrl")]
    media_url: Option<String>,
    /// Of the file; the text, when it is left out.
    caption: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct SendText {
    #[serde(flatten)]
    to: Addressed,
    #[schemars(required, length(min = 1), example = "Su pedido está listo")]
    text: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct SendMessage {
    #[serde(flatten)]
    to: Addressed,
    #[schemars(required, length(min = 1), example = "Su pedido está listo")]
    message: Option<String>,
}

/// A text, under the name that it has in this form.
trait Words: Names {
    const FIELD: &str;
    const MISSING: &str;
    fn parts(&self) -> (&Addressed, Option<&str>);

    /// What is missing, all together.
    fn flaws(&self) -> Problem {
        let (to, text) = self.parts();
        let fields = [("tenantId", to.tenant_id.as_deref()), ("to", to.to.as_deref()), (Self::FIELD, text)];
        let missing = fields.into_iter().filter(|(_, given)| given.is_none_or(str::is_empty));
        let error = |(field, _)| FieldError { field: Cow::Borrowed(field), message: "is required".into() };
        Problem::invalid(Self::MISSING, missing.map(error).collect())
    }
}

macro_rules! words {
    ($form:ident $field:ident: $missing:literal) => {
        impl Names for $form {
            fn tenant(&self) -> Option<&str> {
                self.to.tenant_id.as_deref()
            }

            fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
                if error.is_some() { misnamed(Self::MISSING, error) } else { self.flaws() }
            }
        }

        impl Words for $form {
            const FIELD: &str = stringify!($field);
            const MISSING: &str = $missing;

            fn parts(&self) -> (&Addressed, Option<&str>) {
                (&self.to, self.$field.as_deref())
            }
        }
    };
}

words!(SendText text: "tenantId, to y text son requeridos");
words!(SendMessage message: "tenantId, to y message son requeridos");

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BaileysSent")]
pub struct Sent {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    message_id: String,
    /// Milliseconds since 1970.
    timestamp: i64,
}

pub async fn send(
    State(app): State<App>,
    key: IdempotencyKey,
    Asked { tenant, asked: Body(send), .. }: Asked<Sending, Body<SendText>>,
) -> Result<Json<Sent>, Problem> {
    let has_file = send.to.media_url.as_ref().is_some_and(|url| !url.is_empty());
    let sent = if has_file {
        send_media(&app, &tenant, send, &key).await?
    } else {
        send_words(&app, &tenant, &send, &key).await?
    };
    Ok(Json(Sent { success: true, message: None, message_id: sent.id, timestamp: sent.timestamp * 1000 }))
}

pub async fn send_message(
    State(app): State<App>,
    key: IdempotencyKey,
    Asked { tenant, asked: Body(send), .. }: Asked<Sending, Body<SendMessage>>,
) -> Result<Json<Sent>, Problem> {
    let sent = send_words(&app, &tenant, &send, &key).await;
    let sent = sent.map_err(|problem| problem.saying_of_connection("No hay conexión activa de WhatsApp"))?;
    let message = Some("Mensaje enviado exitosamente");
    Ok(Json(Sent { success: true, message, message_id: sent.id, timestamp: sent.timestamp * 1000 }))
}

async fn send_words(app: &App, tenant: &TenantId, send: &impl Words, key: &IdempotencyKey) -> Result<Message, Problem> {
    fn given(text: Option<&str>) -> Option<&str> {
        text.filter(|text| !text.is_empty())
    }
    let (Addressed { to, kind, media_url, .. }, text) = send.parts();
    let (Some(to), Some(text)) = (given(to.as_deref()), given(text)) else { return Err(send.flaws()) };
    // The old service sent the words and let the rest go: better to say so than to call half a message a success.
    let is_text = given(kind.as_deref()).is_none_or(|kind| kind == "text");
    if !is_text || given(media_url.as_deref()).is_some() {
        return Err(Problem::not_implemented("only text can be sent by this route"));
    }
    let draft = Draft::Text { text: text.to_owned(), mentions: Vec::new() };
    let request = SendRequest { to: to.to_owned(), draft, answers: None, id: None };
    Ok(app.fleet.send(tenant, &request, key.as_deref()).await??)
}

/// A file by its URL, with the words as its caption.
async fn send_media(app: &App, tenant: &TenantId, send: SendText, key: &IdempotencyKey) -> Result<Message, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let wrong = |field: &'static str, message: &str| {
        Problem::invalid(SendText::MISSING, vec![FieldError { field: field.into(), message: message.into() }])
    };
    let SendText { to: Addressed { to, kind, media_url, caption, .. }, text } = send;
    let to = given(to).ok_or_else(|| wrong("to", "is required"))?;
    let kind = match given(kind).as_deref() {
        None | Some("text" | "media") => AttachmentKind::Any,
        Some("image") => AttachmentKind::Image,
        Some("video") => AttachmentKind::Video,
        Some("audio") => AttachmentKind::Audio,
        Some("voice" | "ptt") => AttachmentKind::Voice,
        Some("document" | "file") => AttachmentKind::Document,
        Some("sticker") => AttachmentKind::Sticker,
        Some(_) => return Err(wrong("type", "expected image, video, audio, voice, document or sticker")),
    };
    let url = media_url.unwrap_or_default();
    let file_name = url.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    let (origin, source) = waha::files::source(app, Given::Url(url), "mediaUrl")?;
    let caption = given(caption).or(given(text)).unwrap_or_default();
    let attachment = Attachment { kind, origin, caption, file_name: given(file_name), mime: None };
    let request = SendRequest { to, draft: Draft::File(attachment), answers: None, id: None };
    Ok(app.fleet.send_file(tenant, &request, source, key.as_deref()).await??)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatsPage {
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
    /// At most 500.
    limit: Option<usize>,
    offset: Option<usize>,
}

impl Names for ChatsPage {
    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed("tenantId es requerido", error)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagesPage {
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
    /// A phone number as people type it, or a jid.
    #[schemars(required, example = "573009998877")]
    chat_id: Option<String>,
    /// At most 500.
    limit: Option<usize>,
    /// The `cursor` of the last message of the page before.
    before: Option<EventId>,
    /// Only messages with this in them.
    search: Option<String>,
}

const CHAT_MISSING: &str = "tenantId y chatId son requeridos";

impl Names for MessagesPage {
    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed(CHAT_MISSING, error)
    }
}

const PAGE: usize = 50;
const MAX_PAGE: usize = 500;

#[derive(Serialize, JsonSchema)]
pub struct Conversations {
    conversations: Vec<Conversation>,
    count: usize,
    /// The most that a page had.
    limit: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// A jid.
    id: String,
    name: Option<String>,
    /// With a plus.
    phone: String,
    last_message: old_form::Entry,
    /// Milliseconds since 1970.
    timestamp: i64,
}

pub async fn conversations(
    State(app): State<App>,
    Asked { tenant, asked: Query(page), .. }: Asked<Reading, Query<ChatsPage>>,
) -> Result<Json<Conversations>, Problem> {
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let chats = match app.fleet.session(&tenant) {
        Some(session) => session.chats(page.offset.unwrap_or(0), limit).await.map_err(Problem::unreadable)?,
        None => Vec::new(),
    };
    let links = &app.fleet.env().media.links;
    let form = |chat: Chat| Conversation {
        phone: old_form::phone(&chat.id),
        timestamp: chat.last.message.timestamp * 1000,
        id: chat.id,
        name: chat.name,
        last_message: old_form::entry(&tenant, chat.last, links),
    };
    let conversations: Vec<_> = chats.into_iter().map(form).collect();
    Ok(Json(Conversations { count: conversations.len(), conversations, limit }))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    messages: Vec<old_form::Entry>,
    count: usize,
    /// As it was asked for.
    chat_id: String,
    /// The most that a page had.
    limit: usize,
}

/// Newest first. `before` brings the next page.
pub async fn messages(
    State(app): State<App>,
    Asked { tenant, asked: Query(page), .. }: Asked<Reading, Query<MessagesPage>>,
) -> Result<Json<Messages>, Problem> {
    let field = |message: &str| vec![FieldError { field: "chatId".into(), message: message.into() }];
    let Some(chat_id) = page.chat_id.filter(|id| !id.is_empty()) else {
        return Err(Problem::invalid(CHAT_MISSING, field("is required")));
    };
    let country = app.fleet.country(&tenant);
    let chat = session::chat_of(&chat_id, country)
        .ok_or_else(|| Problem::invalid(CHAT_MISSING, field("expected a phone number or a jid")))?;
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let query =
        history::Query { chat: Some(chat), before: page.before, limit, text: page.search, ..history::Query::default() };
    let entries = match app.fleet.session(&tenant) {
        Some(session) => session.messages(&query).await.map_err(Problem::unreadable)?,
        None => Vec::new(),
    };
    let links = &app.fleet.env().media.links;
    let messages: Vec<_> = entries.into_iter().map(|entry| old_form::entry(&tenant, entry, links)).collect();
    Ok(Json(Messages { count: messages.len(), messages, chat_id, limit }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BaileysProfile")]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Profile {
    Connected { connected: bool, phone_number: Option<String>, name: Option<String>, profile_pic: () },
    NotConnected { connected: bool, message: &'static str },
}

pub async fn profile(
    State(app): State<App>,
    Asked { tenant, .. }: Asked<Reading, Query<Tenant>>,
) -> Result<Json<Profile>, Problem> {
    let working = app.fleet.status(&tenant).filter(|status| status.state == session::State::Working);
    Ok(Json(match working {
        Some(session::Status { phone_number, push_name: name, .. }) => {
            Profile::Connected { connected: true, phone_number, name, profile_pic: () }
        }
        None => Profile::NotConnected { connected: false, message: "No hay conexión activa" },
    }))
}

/// The old service answered by its bot.
pub async fn test_message(_: Asked<Sending, Body<Tenant>>) -> Result<Infallible, Problem> {
    Err(Problem::not_implemented("there is no bot yet"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestCode {
    /// With its country code.
    #[schemars(required, example = "573001112233")]
    phone_number: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Code {
    /// Eight characters, to be typed into the phone.
    code: String,
}

/// WAHA's route for pairing by a code typed into the phone.
pub async fn request_code(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(request): Body<RequestCode>,
) -> Result<Json<Code>, Problem> {
    let digits: String = request.phone_number.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    if !(7..=15).contains(&digits.len()) {
        let message = "expected a phone number with its country code".to_owned();
        return Err(Problem::invalid(message.clone(), vec![FieldError { field: "phoneNumber".into(), message }]));
    }
    match app.fleet.request_code(&tenant, &digits).await? {
        Ok(code) => Ok(Json(Code { code })),
        Err(RefusedCode::Paired) => Err(Problem::conflict("paired", "The session is paired already", "")),
        Err(RefusedCode::Stopped) => Err(stopped()),
        Err(RefusedCode::Passkey) => Err(passkey()),
        Err(RefusedCode::NotConnected) => Err(Problem::timed_out("WhatsApp did not offer a pairing")),
        Err(RefusedCode::WhatsApp(reason)) => Err(Problem::conflict("refused", "WhatsApp gives no code", reason)),
    }
}
