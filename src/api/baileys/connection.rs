//! Connecting and pairing, as the connect page does it.

use std::time::Duration;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OfTenant, form::JsonOrForm};
use crate::{
    api::{
        App,
        auth::{Controlling, For, ReadingData, TenantRequest},
        input::{Body, Query},
        problem::{FieldError, Problem},
    },
    fleet::FleetError,
    message::Address,
    session::{self, CodeRequestError, ReachError, Session},
    tenant::TenantId,
};

/// The time that a connect waits for a QR code, as in the old service.
const QR_WAIT: Duration = Duration::from_secs(90);

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
    TenantRequest { tenant, .. }: TenantRequest<Controlling, JsonOrForm<OfTenant>>,
) -> Result<Json<Connecting>, Problem> {
    let session = app.fleet.open_for_connect(&tenant).await?;
    if session.is_stopped() {
        session.may_log_in()?;
    }
    let settled = |status: &session::Status| {
        use session::State::{Failed, ScanQrCode, Working};
        matches!(status.state, Working | Failed)
            || status.state.is_ceremony()
            || (status.state == ScanQrCode && status.qr.is_some())
    };
    let status = match session.connect_until(QR_WAIT, settled).await {
        Ok(status) => status,
        Err(ReachError::Stopped) => return Err(ended(&app, &session)),
        Err(ReachError::Unreachable(reason)) => return Err(Problem::unreachable(reason)),
        Err(ReachError::TimedOut) => return Err(Problem::timed_out("QR generation timeout")),
    };
    let (message, connected, method) = match status.state {
        session::State::Working => ("Ya estás conectado", Some(true), None),
        session::State::Failed if session.end().is_some() => return Err(ended(&app, &session)),
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

/// Says why a session stopped while it was waited for. When it ended by itself its place may know more: why the next cannot be opened.
fn ended(app: &App, session: &Session) -> Problem {
    let Some(end) = session.end() else { return stopped() };
    match app.fleet.refusal(session.tenant()) {
        FleetError::Restoring => end.clone().into(),
        known => known.into(),
    }
}

fn stopped() -> Problem {
    Problem::conflict(
        "stopped",
        "The session was stopped meanwhile",
        "another request unlinked it, or gave up the pairing",
    )
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum BaileysQr {
    Code {
        /// The text of the picture.
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
    TenantRequest { tenant, .. }: TenantRequest<Controlling, Query<OfTenant>>,
) -> Result<Json<BaileysQr>, Problem> {
    let status = still_looks(&app, &tenant).await?;
    let now = app.fleet.env().clock.now();
    let none = |expired, message| BaileysQr::None { qr: (), connected: false, expired, message };
    Ok(Json(match status {
        Some(status) if status.state == session::State::Working => {
            BaileysQr::Connected { connected: true, message: "Ya estás conectado" }
        }
        Some(session::Status { qr: Some(qr), .. }) if qr.expires_at > now => {
            let left = qr.expires_at.as_millisecond() - now.as_millisecond();
            BaileysQr::Code { qr: drawable(qr.code.expose()), connected: false, expires_in: left }
        }
        Some(status) if status.state.is_ceremony() => none(None, PASSKEY),
        Some(session::Status { qr: Some(_), .. }) => none(Some(true), "QR expirado. Se generará uno nuevo."),
        _ => none(None, "QR no disponible. Inicia una conexión primero."),
    }))
}

/// Keeps the offer going, over a restart too: whoever polls for the code is there to scan it. Returns how the tenant stands; `None`: there
/// is no such tenant.
pub async fn still_looks(app: &App, tenant: &TenantId) -> Result<Option<session::Status>, Problem> {
    if app.fleet.current_status(tenant).await?.is_none() {
        match app.fleet.open_known(tenant).await {
            Ok(_) | Err(FleetError::Unknown) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(session) = app.fleet.session(tenant) {
        session.keep_pairing();
    }
    Ok(app.fleet.status(tenant))
}

/// The text as the old page's library can draw it: qrcodejs 0.0.2 has a wrong entry in its tables, and draws none of 192 to 217 bytes.
/// WhatsApp's own are longer today (`src/guide/pairing.md`). A text of such a length gets the link that WhatsApp Web puts before it, which
/// phones read as well.
fn drawable(code: &str) -> String {
    match code.len() {
        192..=217 => format!("https://wa.me/settings/linked_devices#{code}"),
        _ => code.to_owned(),
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaileysStatus {
    connected: bool,
    /// Digits; null while not connected.
    phone_number: Option<String>,
    /// The number that alone may scan, or has; digits. Null: any may.
    expected_number: Option<String>,
    /// Milliseconds since 1970.
    last_update: Option<i64>,
    /// `connected` or `disconnected`.
    reason: &'static str,
    state: session::State,
    /// There are credentials that WhatsApp has not rejected.
    paired: bool,
    /// The reason, in words.
    detail: Option<String>,
}

pub async fn status(
    State(app): State<App>,
    TenantRequest { tenant, .. }: TenantRequest<ReadingData, Query<OfTenant>>,
) -> Result<Json<BaileysStatus>, Problem> {
    let status = app.fleet.current_status(&tenant).await?;
    let connected = status.as_ref().is_some_and(|status| status.state == session::State::Working);
    Ok(Json(BaileysStatus {
        connected,
        phone_number: status.as_ref().and_then(|status| status.phone_number.clone()).filter(|_| connected),
        expected_number: status.as_ref().and_then(|status| status.expected.clone()),
        last_update: status.as_ref().map(|status| status.since.as_millisecond()),
        reason: if connected { "connected" } else { "disconnected" },
        state: status.as_ref().map_or(session::State::Stopped, |status| status.state),
        paired: status.as_ref().is_some_and(|status| status.paired),
        detail: status.map(|status| status.reason),
    }))
}

/// The request is done.
#[derive(Serialize, JsonSchema)]
pub struct BaileysSuccess {
    success: bool,
    message: &'static str,
}

pub async fn disconnect(
    State(app): State<App>,
    TenantRequest { tenant, .. }: TenantRequest<Controlling, JsonOrForm<OfTenant>>,
) -> Result<Json<BaileysSuccess>, Problem> {
    app.fleet.disconnect(&tenant).await?;
    Ok(Json(BaileysSuccess { success: true, message: "Desconectado exitosamente" }))
}

const CLEANED: &str = "Sesión limpiada exitosamente";

/// Gives up a pairing that was begun. Credentials that WhatsApp has not rejected stay: the connect page calls this whenever the
/// session does not look connected, during a restore and a blink of the network too.
pub async fn clean_session(
    State(app): State<App>,
    TenantRequest { tenant, .. }: TenantRequest<Controlling, JsonOrForm<OfTenant>>,
) -> Result<Json<BaileysSuccess>, Problem> {
    // What another process has is that one's to clean.
    app.fleet.current_status(&tenant).await?;
    let message = match app.fleet.session(&tenant) {
        // The page goes on to connect, which finds it connected: so it is no error.
        Some(session) if session.status().paired => "La sesión sigue vinculada: no se limpió nada",
        Some(session) => {
            session.stop_pairing().await;
            CLEANED
        }
        None => CLEANED,
    };
    Ok(Json(BaileysSuccess { success: true, message }))
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
    // The tenant's own number: nobody can be asked which of two is meant, and it is to have its country code.
    let chat = session::chat_of(&request.phone_number.unwrap_or_default(), app.fleet.country(&tenant)).await;
    let Some(number) = chat.as_deref().and_then(|chat| Address::of(chat).number()) else {
        return Err(no_number("expected a phone number with its country code"));
    };
    match app.fleet.request_code(&tenant, number).await? {
        Ok(code) => Ok(Json(Code { code })),
        Err(CodeRequestError::Paired) => Err(Problem::conflict(
            "paired",
            "The session is paired already",
            "it needs no code; to pair it anew, log it out first",
        )),
        // It may have ended by itself.
        Err(CodeRequestError::Stopped) => match app.fleet.session(&tenant) {
            None => Err(app.fleet.refusal(&tenant).into()),
            Some(_) => Err(stopped()),
        },
        Err(CodeRequestError::Passkey) => Err(passkey()),
        Err(CodeRequestError::OtherAccount(number)) => Err(Problem::conflict(
            "other_account",
            "The session belongs to another number",
            format!("{number} alone may be linked; PUT /api/sessions/{tenant}/account/change allows another once"),
        )),
        Err(CodeRequestError::NotConnected) => Err(Problem::timed_out("WhatsApp did not offer a pairing")),
        Err(CodeRequestError::Unreachable(reason)) => Err(Problem::unreachable(reason)),
        Err(CodeRequestError::Number(expected)) => Err(no_number(expected)),
        Err(CodeRequestError::TooMany { wait }) => Err(Problem::too_many(wait)),
        Err(refused @ CodeRequestError::Outstanding(_)) => Err(Problem::conflict(
            "code_outstanding",
            "A code was given already",
            format!("{refused}: type that one into the phone, or ask again then"),
        )),
        Err(CodeRequestError::WhatsApp(reason)) => {
            Err(Problem::conflict("refused", "WhatsApp gives no code", reason.clone()).saying(&reason))
        }
    }
}

fn no_number(expected: &'static str) -> Problem {
    Problem::invalid(expected, vec![FieldError { field: "phoneNumber".into(), message: expected.into() }])
}
