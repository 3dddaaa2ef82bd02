//! Sessions: made, looked at, paired, ended. A session is kept connected from its pairing to its logout; it cannot be stopped
//! in between, which would be the one way to lose messages for good.

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{Caller, Controlling, For, Reading, Scope},
        baileys::Body,
        problem::Problem,
    },
    flaw, permitted,
};
use crate::{
    session::{State as SessionState, Status},
    tenant::TenantId,
    waha,
};

/// `GET /api/sessions`: those that the caller may see. `all=true` also shows those that never paired.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Value>>, Problem> {
    let all = wanted.all.as_deref() == Some("true");
    let records = app.fleet.records().await?;
    let mut tenants: Vec<TenantId> = records.iter().map(|record| record.id.clone()).collect();
    tenants.extend(app.fleet.reports().into_iter().map(|report| report.tenant));
    tenants.sort();
    tenants.dedup();
    let mut listed = Vec::new();
    for tenant in tenants.iter().filter(|tenant| caller.permit(tenant, Scope::Read).is_ok()) {
        let status = app.fleet.status(tenant);
        let idle = status.as_ref().is_none_or(|status| status.state == SessionState::Stopped && !status.paired);
        if all || !idle {
            listed.push(info(tenant, status.as_ref()));
        }
    }
    Ok(Json(listed))
}

#[derive(Deserialize)]
pub struct Wanted {
    all: Option<String>,
}

const CANNOT_STOP: &str = "a session stays connected until its logout, and its history until it is too old";

#[derive(Deserialize)]
pub struct New {
    name: Option<String>,
    start: Option<bool>,
    config: Option<Value>,
}

/// `POST /api/sessions`
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let name = new.name.filter(|name| !name.is_empty()).ok_or_else(|| flaw("name", "is required"))?;
    let tenant = permitted(&caller, &name, Scope::Control)?;
    if let Some(config) = new.config.filter(|config| !config.is_null()) {
        app.fleet.opened(&tenant).await?;
        app.webhooks.put(&tenant, config).await?;
    }
    let session =
        if new.start.unwrap_or(true) { app.fleet.connect(&tenant).await? } else { app.fleet.opened(&tenant).await? };
    Ok((StatusCode::CREATED, Json(brief(&app, &tenant, &session.status()).await?)))
}

/// `GET /api/sessions/{session}`
pub async fn one(State(app): State<App>, For { tenant, .. }: For<Reading>) -> Result<Json<Value>, Problem> {
    let status = status(&app, &tenant).await?;
    Ok(Json(info(&tenant, status.as_ref())))
}

#[derive(Deserialize)]
pub struct Change {
    config: Option<Value>,
}

/// `PUT /api/sessions/{session}`
pub async fn change(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(change): Body<Change>,
) -> Result<Json<Value>, Problem> {
    let session = app.fleet.known(&tenant).await?;
    if let Some(config) = change.config.filter(|config| !config.is_null()) {
        app.webhooks.put(&tenant, config).await?;
    }
    Ok(Json(brief(&app, &tenant, &session.status()).await?))
}

/// `GET /api/sessions/{session}/me`
pub async fn me(State(app): State<App>, For { tenant, .. }: For<Reading>) -> Result<Json<Value>, Problem> {
    Ok(Json(status(&app, &tenant).await?.as_ref().map_or(Value::Null, me_of)))
}

/// `POST /api/sessions/{session}/start`
pub async fn start(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let session = app.fleet.connect(&tenant).await?;
    Ok((StatusCode::CREATED, Json(brief(&app, &tenant, &session.status()).await?)))
}

/// `POST /api/sessions/{session}/restart`: a new connection with the same credentials.
pub async fn restart(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let session = app.fleet.known(&tenant).await?;
    session.reconnect().await;
    Ok((StatusCode::CREATED, Json(brief(&app, &tenant, &session.status()).await?)))
}

/// `POST /api/sessions/{session}/logout`: unlinks at WhatsApp.
pub async fn logout(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    end(&app, &tenant).await
}

async fn end(app: &App, tenant: &TenantId) -> Result<(StatusCode, Json<Value>), Problem> {
    let session = app.fleet.known(tenant).await?;
    app.fleet.disconnect(tenant).await?;
    Ok((StatusCode::CREATED, Json(brief(app, tenant, &session.status()).await?)))
}

/// `POST /api/sessions/{session}/stop`, `DELETE /api/sessions/{session}`
pub async fn cannot(_: For<Controlling>) -> Result<Json<Value>, Problem> {
    Err(Problem::not_implemented(CANNOT_STOP))
}

#[derive(Deserialize)]
pub struct Named {
    name: Option<String>,
    logout: Option<bool>,
    config: Option<Value>,
}

impl Named {
    fn tenant(&self, caller: &Caller) -> Result<TenantId, Problem> {
        permitted(caller, self.name.as_deref().unwrap_or_default(), Scope::Control)
    }
}

/// `POST /api/sessions/start`: makes the session when there is none.
pub async fn start_named(
    State(app): State<App>,
    caller: Caller,
    Body(named): Body<Named>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    named.tenant(&caller)?;
    create(State(app), caller, Body(New { name: named.name, start: Some(true), config: named.config })).await
}

/// `POST /api/sessions/stop`; with `logout` as well.
pub async fn stop_named(
    State(app): State<App>,
    caller: Caller,
    Body(named): Body<Named>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let tenant = named.tenant(&caller)?;
    if named.logout == Some(true) {
        return end(&app, &tenant).await;
    }
    Err(Problem::not_implemented(CANNOT_STOP))
}

/// `POST /api/sessions/logout`
pub async fn logout_named(
    State(app): State<App>,
    caller: Caller,
    Body(named): Body<Named>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let tenant = named.tenant(&caller)?;
    end(&app, &tenant).await
}

#[derive(Deserialize)]
pub struct Form {
    format: Option<String>,
}

/// `GET /api/{session}/auth/qr`: a PNG; JSON with base64 for who accepts JSON; the raw text with `format=raw`.
pub async fn qr(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Query(form): Query<Form>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let now = app.fleet.env().clock.now();
    let qr = status(&app, &tenant).await?.and_then(|status| status.qr).filter(|qr| qr.expires_at > now);
    let no_code = || Problem::conflict("no_qr", "There is no QR code to scan now", "start the session, and ask again");
    let qr = qr.ok_or_else(no_code)?;
    if form.format.as_deref() == Some("raw") {
        return Ok(Json(json!({ "value": qr.code.expose() })).into_response());
    }
    let png = super::super::qr::png(qr.code.expose()).ok_or_else(no_code)?;
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("application/json") {
        return Ok(Json(json!({ "mimetype": "image/png", "data": BASE64.encode(&png) })).into_response());
    }
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")], png).into_response())
}

/// `None`: the directory knows the tenant, and it is not open in this process.
async fn status(app: &App, tenant: &TenantId) -> Result<Option<Status>, Problem> {
    if let Some(status) = app.fleet.status(tenant) {
        return Ok(Some(status));
    }
    match app.fleet.record(tenant).await? {
        Some(_) => Ok(None),
        None => Err(Problem::unknown_tenant()),
    }
}

async fn brief(app: &App, tenant: &TenantId, status: &Status) -> Result<Value, Problem> {
    let config = app.webhooks.show(tenant).await?;
    Ok(json!({ "name": tenant, "status": status.state, "config": config, "me": me_of(status) }))
}

fn info(tenant: &TenantId, status: Option<&Status>) -> Value {
    json!({
        "name": tenant,
        "status": status.map_or(SessionState::Stopped, |status| status.state),
        "me": status.map_or(Value::Null, me_of),
        "presence": {},
        "timestamps": { "activity": status.map_or(0, |status| status.since.as_millisecond()) },
        "assignedWorker": "sessiond",
        // Beyond WAHA: why.
        "reason": status.map(|status| &status.reason),
    })
}

fn me_of(status: &Status) -> Value {
    let Some(number) = &status.phone_number else { return Value::Null };
    json!({ "id": waha::chat_id(&format!("{number}@s.whatsapp.net")), "pushName": status.push_name })
}
