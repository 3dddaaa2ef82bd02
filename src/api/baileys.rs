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
    problem::{FieldError, Problem},
};
use crate::{
    message::{Draft, SendRequest},
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

fn parse_tenant(text: Option<&str>, missing: &str) -> Result<TenantId, Problem> {
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

#[derive(Deserialize)]
pub struct SendText {
    #[serde(rename = "tenantId")]
    tenant_id: Option<String>,
    to: Option<String>,
    text: Option<String>,
}

/// With an `Idempotency-Key` the same request may be repeated until it is answered: the message goes out once.
pub async fn send(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Body(send): Body<SendText>,
) -> Result<Json<Value>, Problem> {
    const MISSING: &str = "tenantId, to y text son requeridos";
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (tenant, to, text) = (given(send.tenant_id), given(send.to), given(send.text));
    let missing: Vec<_> = [("tenantId", tenant.is_none()), ("to", to.is_none()), ("text", text.is_none())]
        .into_iter()
        .filter(|(_, missing)| *missing)
        .map(|(field, _)| FieldError { field: field.into(), message: "is required".into() })
        .collect();
    let (Some(tenant), Some(to), Some(text)) = (tenant, to, text) else {
        return Err(Problem::invalid(MISSING, missing));
    };
    let tenant = parse_tenant(Some(&tenant), MISSING)?;
    caller.permit(&tenant, Scope::Send)?;
    let key = idempotency_key(&headers)?;
    let request = SendRequest { to, draft: Draft::Text { text, mentions: Vec::new() }, answers: None };
    let message = app.fleet.send(&tenant, &request, key).await??;
    Ok(Json(json!({ "success": true, "messageId": message.id, "timestamp": message.timestamp * 1000 })))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
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
