//! Sessions: made, looked at, paired, stopped and started, ended. A session that is stopped stays linked and stays away, over
//! restarts too: WhatsApp keeps what comes for it, and unlinks a device that stays away for two weeks.

mod configuration;

use std::{collections::BTreeMap, time::Duration};

use axum::{Json, extract::State};
use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;
use ulid::Ulid;

use self::configuration::{Configuration, DisplayName, check_new, configure};
use super::{
    super::{
        App,
        answer::Created,
        auth::{Caller, Controlling, For, Names, ReadingData, Scope, TenantRequest},
        input::{Body, Query},
        problem::Problem,
    },
    Success, flaw,
    making::SessionInMaking,
    session_info::{ImportedFrom, SessionBrief, SessionInfo, brief, info},
};
use crate::{
    fleet::FleetError,
    import::ImportReceipt,
    session::{End, NOT_PAIRED, Session, State as SessionState, Status},
    tenant::{InvalidTenantId, TenantId, TenantRecord},
    waha::Me,
};

/// `GET /api/sessions`: those that the caller may see.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<SessionListQuery>,
) -> Result<Json<Vec<SessionInfo>>, Problem> {
    // Python writes `True`.
    let is_yes = |text: &Option<String>| text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let all = is_yes(&wanted.all);
    let records = if is_yes(&wanted.open) { None } else { Some(app.fleet.records().await?) };
    let records = records.iter().flat_map(|records| records.iter());
    let mut tenants: BTreeMap<TenantId, DirectoryState> =
        records.map(|record| (record.id.clone(), DirectoryState::from(record))).collect();
    for report in app.fleet.reports() {
        tenants.entry(report.tenant).or_default();
    }
    let seen = tenants.iter().filter(|(tenant, _)| caller.permit(tenant, Scope::Read).is_ok());
    let is_idle = |status: &Status| status.state == SessionState::Stopped && !status.paired;
    let wanted = seen.map(|(tenant, listed)| (tenant, listed, app.fleet.status(tenant)));
    let wanted = wanted
        .filter(|(_, listed, status)| all || status.as_ref().map_or(listed.is_connected, |status| !is_idle(status)));
    let listed = wanted.map(|(tenant, listed, status)| {
        let (app, caller) = (&app, &caller);
        async move {
            let mut info = info(app, caller, tenant, status.as_ref()).await;
            match status {
                // It was paired at another process since this one began.
                None if listed.is_connected => (info.paired, info.reason) = (true, Some(End::Moved.to_string())),
                None => info.reason = Some(listed.reason()),
                Some(_) => {}
            }
            info
        }
    });
    Ok(Json(join_all(listed).await))
}

/// The directory's record of a session.
#[derive(Default)]
struct DirectoryState {
    is_connected: bool,
    last_error: Option<String>,
}

impl From<&TenantRecord> for DirectoryState {
    fn from(record: &TenantRecord) -> Self {
        Self { is_connected: record.whatsapp_connected, last_error: record.last_error.clone() }
    }
}

impl DirectoryState {
    /// The reason why a session is stopped that is not open in this process.
    fn reason(&self) -> String {
        self.last_error.clone().unwrap_or_else(|| NOT_PAIRED.to_owned())
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct SessionListQuery {
    /// `true`: also those that never paired.
    all: Option<String>,
    /// Beyond WAHA; `true`: only those that are open in this process, without a look into the directory, which costs the vault a read
    /// for every tenant.
    open: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct NewSession {
    /// Left out: one is made up.
    #[schemars(with = "Option<TenantId>", example = &"gelateria")]
    #[serde(default, deserialize_with = "given_name")]
    name: NewName,
    /// Left out: yes.
    start: Option<bool>,
    /// Webhooks, metadata, country, and what WAHA has there besides.
    config: Option<Configuration>,
    /// Beyond WAHA: how people call it, as `/api/tenants` and the console show it.
    #[serde(rename = "displayName")]
    display_name: Option<DisplayName>,
}

/// A new session's name, as it was given, or one that nobody has.
pub struct NewName(String);

impl Default for NewName {
    fn default() -> Self {
        Self(format!("session_{}", Ulid::generate().to_string().to_lowercase()))
    }
}

fn given_name<'de, D: Deserializer<'de>>(field: D) -> Result<NewName, D::Error> {
    Ok(Option::<String>::deserialize(field)?.map_or_else(NewName::default, NewName))
}

impl Names for NewSession {
    fn tenant(&self) -> Option<&str> {
        Some(&self.name.0)
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed(error)
    }
}

fn misnamed(error: Option<InvalidTenantId>) -> Problem {
    flaw("name", error.map_or_else(|| "is required".into(), |error| error.to_string()))
}

/// `POST /api/sessions`: an existing one is not changed.
pub async fn create(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(new), .. }: TenantRequest<Controlling, Body<NewSession>>,
) -> Result<Created<SessionBrief>, Problem> {
    // Until it is there, however that ends: the next one is told that it exists, and does not take it for its own.
    let turn = app.making.begin(&tenant).ok_or_else(|| Problem::session_exists(&tenant))?;
    if is_known(&app, &tenant).await? {
        return Err(Problem::session_exists(&tenant));
    }
    check_new(&app, new.config.as_ref())?;
    make(app, tenant, new.config, new.display_name, new.start.unwrap_or(true), Some(turn)).await
}

async fn is_known(app: &App, tenant: &TenantId) -> Result<bool, Problem> {
    Ok(app.fleet.status(tenant).is_some() || app.fleet.record(tenant).await?.is_some())
}

/// With the settings, if there are any, before it starts: the first event goes to the webhooks too. Goes on when nobody waits any more,
/// and when the vault does not confirm the settings: whoever repeats the request finds the session there, and changes nothing of it.
async fn make(
    app: App,
    tenant: TenantId,
    config: Option<Configuration>,
    display_name: Option<DisplayName>,
    start: bool,
    turn: Option<SessionInMaking>,
) -> Result<Created<SessionBrief>, Problem> {
    let fleet = app.fleet.clone();
    let making = async move {
        let _turn = turn;
        // One that may not be started is not changed either.
        let session =
            if start { app.fleet.open_for_connect(&tenant).await? } else { app.fleet.open_or_create(&tenant).await? };
        if start && session.is_stopped() {
            session.may_log_in()?;
        }
        let configured = match config.filter(|config| !config.0.is_null()) {
            Some(config) => configure(&app, &session, config).await?,
            None => Ok(()),
        };
        let named = match display_name {
            Some(DisplayName(name)) => app.fleet.set_display_name(&tenant, &name).await,
            None => Ok(()),
        };
        if start {
            session.connect().await;
        }
        configured?;
        named?;
        let status = if start { begun(&session).await } else { session.status() };
        Ok::<_, Problem>(Created(brief(&app, &tenant, &status).await?))
    };
    fleet.finish(making).await
}

/// The status of a session that was just told to start: it takes a moment to begin.
async fn begun(session: &Session) -> Status {
    const MOMENT: Duration = Duration::from_secs(1);
    let mut status = session.watch();
    let _ = timeout(MOMENT, status.wait_for(|status| status.state != SessionState::Stopped)).await;
    session.status()
}

#[derive(Deserialize, JsonSchema)]
pub struct SessionToStart {
    #[schemars(with = "TenantId")]
    name: Option<String>,
    /// Webhooks, metadata, country, and what WAHA has there besides. Left out: as it is.
    config: Option<Configuration>,
}

impl Names for SessionToStart {
    fn tenant(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed(error)
    }
}

/// `POST /api/sessions/start`: makes the session if there is none, else changes it.
pub async fn start_named(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(named), .. }: TenantRequest<Controlling, Body<SessionToStart>>,
) -> Result<Created<SessionBrief>, Problem> {
    if !is_known(&app, &tenant).await? {
        check_new(&app, named.config.as_ref())?;
    }
    make(app, tenant, named.config, None, true, None).await
}

/// `GET /api/sessions/{session}`
pub async fn one(
    State(app): State<App>,
    For { tenant, caller, .. }: For<ReadingData>,
) -> Result<Json<SessionInfo>, Problem> {
    let mut status = status(&app, &tenant).await?;
    if status.is_none() {
        // Not opened since the start: its settings, and why it is as it is, are in its state. One that cannot be opened now is shown as the
        // directory has it.
        status = match app.fleet.open_known_in_turn(&tenant).await {
            Ok(session) => Some(session.status()),
            // How it stands there, that process alone knows.
            Err(FleetError::Moved) => return Err(Problem::owned_elsewhere()),
            Err(_) => None,
        };
    }
    let mut info = info(&app, &caller, &tenant, status.as_ref()).await;
    if status.is_none() {
        info.reason = app.fleet.record(&tenant).await?.map(|record| DirectoryState::from(&record).reason());
    }
    if let Some(session) = app.fleet.session(&tenant) {
        // A session that ends at this moment tells it next time.
        info.imported = ImportReceipt::of(session.store()).await.ok().flatten().map(ImportedFrom::from);
    }
    Ok(Json(info))
}

#[derive(Deserialize, JsonSchema)]
pub struct SessionChange {
    /// Webhooks, metadata, country, and what WAHA has there besides: all of it is replaced. Left out: it stays.
    config: Option<Configuration>,
    /// Beyond WAHA: how people call it. Left out: it stays.
    #[serde(rename = "displayName")]
    display_name: Option<DisplayName>,
}

/// `PUT /api/sessions/{session}`
pub async fn change(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(change): Body<SessionChange>,
) -> Result<Json<SessionBrief>, Problem> {
    let session = app.fleet.open_known(&tenant).await?;
    if let Some(config) = change.config.filter(|config| !config.0.is_null()) {
        configure(&app, &session, config).await??;
    }
    if let Some(DisplayName(name)) = change.display_name {
        app.fleet.set_display_name(&tenant, &name).await?;
    }
    Ok(Json(brief(&app, &tenant, &session.status()).await?))
}

/// `GET /api/sessions/{session}/me`
pub async fn me(State(app): State<App>, For { tenant, .. }: For<ReadingData>) -> Result<Json<Option<Me>>, Problem> {
    Ok(Json(status(&app, &tenant).await?.as_ref().and_then(Me::of)))
}

/// `POST /api/sessions/{session}/start`
pub async fn start(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Created<SessionBrief>, Problem> {
    let session = app.fleet.open_or_reclaim(&tenant).await?;
    if session.is_stopped() {
        session.may_log_in()?;
    }
    let session = app.fleet.connect(&tenant).await?;
    Ok(Created(brief(&app, &tenant, &begun(&session).await).await?))
}

/// `POST /api/sessions/{session}/restart`: a new connection with the same credentials.
pub async fn restart(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Created<SessionBrief>, Problem> {
    let session = app.fleet.open_or_reclaim(&tenant).await?;
    session.may_log_in()?;
    let session = app.fleet.open_for_connect(&tenant).await?;
    // One that is connected, or waits before its next dial, is only told to dial: to tell it to connect would count as one login more.
    if session.is_stopped() || !session.status().paired {
        session.connect().await;
    }
    session.reconnect().await;
    Ok(Created(brief(&app, &tenant, &begun(&session).await).await?))
}

/// `POST /api/sessions/{session}/logout`: unlinks at WhatsApp.
pub async fn logout(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Created<SessionBrief>, Problem> {
    end(&app, &tenant).await
}

async fn end(app: &App, tenant: &TenantId) -> Result<Created<SessionBrief>, Problem> {
    let session = app.fleet.open_known(tenant).await?;
    app.fleet.disconnect(tenant).await?;
    Ok(Created(brief(app, tenant, &session.status()).await?))
}

/// `POST /api/sessions/{session}/stop`: stays linked, and away until it is started.
pub async fn stop(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Created<SessionBrief>, Problem> {
    leave(&app, &tenant).await
}

async fn leave(app: &App, tenant: &TenantId) -> Result<Created<SessionBrief>, Problem> {
    let session = app.fleet.open_known(tenant).await?;
    session.stop().await?;
    Ok(Created(brief(app, tenant, &session.status()).await?))
}

/// `DELETE /api/sessions/{session}`: unlinks at WhatsApp, wipes the credentials, forgets the settings and
/// whose session it was; asked by the operator, revokes its keys. Then there is no such session. Messages
/// stay until they are too old, for the account that comes back. A session that is gone already is no
/// error, as with WAHA.
pub async fn delete(
    State(app): State<App>,
    For { tenant, caller, .. }: For<Controlling>,
) -> Result<Json<Success>, Problem> {
    let session = match app.fleet.open_known(&tenant).await {
        Err(FleetError::Unknown) => return Ok(Json(Success::YES)),
        known => known?,
    };
    let fleet = app.fleet.clone();
    let deletion = async move {
        // The next session of this name may be another's: no key of this one opens it. First, since what comes then may fail. A
        // program that deletes the session with its own key makes it anew with that key.
        if let Caller::Admin = caller {
            app.auth.keys.revoke_of(&tenant).await?;
        }
        app.fleet.disconnect(&tenant).await?;
        app.webhooks.forget(&tenant).await?;
        if session.own_country().is_some() {
            session.set_country(None).await?;
        }
        app.bots.forget(&session).await?;
        app.fleet.delete(&tenant).await?;
        Ok::<_, Problem>(Json(Success::YES))
    };
    // A client that leaves while WhatsApp is asked would leave half a deletion.
    fleet.finish(deletion).await
}

#[derive(Deserialize, JsonSchema)]
pub struct NamedSession {
    #[schemars(with = "TenantId")]
    name: Option<String>,
    /// Of a stop: unlink as well.
    logout: Option<bool>,
}

impl Names for NamedSession {
    fn tenant(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed(error)
    }
}

/// `POST /api/sessions/stop`
pub async fn stop_named(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(named), .. }: TenantRequest<Controlling, Body<NamedSession>>,
) -> Result<Created<SessionBrief>, Problem> {
    if named.logout == Some(true) { end(&app, &tenant).await } else { leave(&app, &tenant).await }
}

/// `POST /api/sessions/logout`
pub async fn logout_named(
    State(app): State<App>,
    TenantRequest { tenant, .. }: TenantRequest<Controlling, Body<NamedSession>>,
) -> Result<Created<SessionBrief>, Problem> {
    end(&app, &tenant).await
}

/// `None`: the directory knows the tenant, and it is not open in this process.
pub(super) async fn status(app: &App, tenant: &TenantId) -> Result<Option<Status>, Problem> {
    if let Some(status) = app.fleet.current_status(tenant).await? {
        return Ok(Some(status));
    }
    match app.fleet.record(tenant).await? {
        Some(_) => Ok(None),
        None => Err(Problem::unknown_tenant()),
    }
}
