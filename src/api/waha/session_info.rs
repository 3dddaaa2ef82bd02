//! A session as the API shows it: in short, after a change of it, and at length.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::{
    App,
    auth::{Caller, Scope},
    problem::Problem,
};
use crate::{
    fleet::Beat,
    import::{EntryCounts, EntryKind, Finality, ImportOrigin, ImportReceipt},
    session::{State as SessionState, Status},
    tenant::TenantId,
    waha::Me,
    webhook::SessionConfig,
};

/// A session as its changes are answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
pub struct SessionBrief {
    name: TenantId,
    status: SessionState,
    config: SessionSettings,
    me: Option<Me>,
    engine: SessionEngine,
}

/// The one of WAHA's engines whose words these are.
#[derive(Serialize, JsonSchema)]
pub struct SessionEngine {
    engine: &'static str,
}

const ENGINE: SessionEngine = SessionEngine { engine: "NOWEB" };

/// A session's settings.
#[derive(Serialize, JsonSchema)]
pub struct SessionSettings {
    #[serde(flatten)]
    form: SessionConfig,
    /// Beyond WAHA: where phone numbers without a country code are dialed, by two letters (ISO 3166).
    country: String,
}

/// A session as it is looked at.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    name: TenantId,
    status: SessionState,
    /// As it may be changed and written back; secrets masked. Left out: the caller may not change it, or the session is not open in this
    /// process (in a list; asked for by name, it is opened).
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<SessionSettings>,
    me: Option<Me>,
    engine: SessionEngine,
    presence: Nothing,
    timestamps: SessionTimestamps,
    assigned_worker: &'static str,
    /// Beyond WAHA: why it is in this state. In a list `moved` says that another process serves it, which alone knows its state; asked for
    /// by name, such a one is a 503 (`owned_elsewhere`).
    pub(super) reason: Option<String>,
    /// Beyond WAHA: the other process that serves it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    served_by: Option<ServingProcess>,
    /// There are credentials that WhatsApp has not rejected.
    pub(super) paired: bool,
    /// The number that alone may scan, or has; digits. Null: any may. See `/account`.
    expected_number: Option<String>,
    /// WhatsApp rejected the credentials, and nobody has scanned since.
    rejected: bool,
    /// The time at which the last message came or was sent, milliseconds since 1970, as far as it is among the recent events.
    last_message_at: Option<u64>,
    /// The finding of the last heartbeat; null before the first.
    heartbeat: Option<SessionHeartbeat>,
    /// Of one session: where its device came from, if it was not paired here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) imported: Option<ImportedFrom>,
}

/// Another process on the same vault, which has a session.
#[derive(Serialize, JsonSchema)]
pub struct ServingProcess {
    /// Its id, as in its log and its record in the vault.
    process: String,
    /// Since when that is known here, milliseconds since 1970.
    since: i64,
}

#[derive(Serialize, JsonSchema)]
pub struct ImportedFrom {
    origin: ImportOrigin,
    /// Milliseconds since 1970.
    at: i64,
    /// The copy was said to be the old service's last.
    finality: Finality,
    /// By kind: how many entries of the source were kept, dropped, ignored.
    entries: BTreeMap<EntryKind, EntryCounts>,
}

impl From<ImportReceipt> for ImportedFrom {
    fn from(receipt: ImportReceipt) -> Self {
        let ImportReceipt { origin, at, finality, entries, .. } = receipt;
        Self { origin, at: at.as_millisecond(), finality, entries }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct SessionHeartbeat {
    /// Milliseconds since 1970.
    at: i64,
    /// `healthy`, `idle`, `reconnecting` or `failed`.
    health: &'static str,
}

impl From<Beat> for SessionHeartbeat {
    fn from(beat: Beat) -> Self {
        Self { at: beat.at.as_millisecond(), health: beat.health.as_str() }
    }
}

/// WAHA's engines say something here.
#[derive(Serialize, JsonSchema)]
pub struct Nothing {}

#[derive(Serialize, JsonSchema)]
pub struct SessionTimestamps {
    /// The time at which its state last changed, milliseconds since 1970; 0: it is not open.
    activity: i64,
}

pub(super) async fn brief(app: &App, tenant: &TenantId, status: &Status) -> Result<SessionBrief, Problem> {
    let mut form = app.webhooks.show(tenant).await?;
    // As in [`info`]: how they are is at `/api/{session}/webhooks`.
    form.webhooks.iter_mut().for_each(|webhook| webhook.status = None);
    let config = shown(app, tenant, form);
    Ok(SessionBrief { name: tenant.clone(), status: status.state, config, me: Me::of(status), engine: ENGINE })
}

fn shown(app: &App, tenant: &TenantId, form: SessionConfig) -> SessionSettings {
    SessionSettings { form, country: format!("{:?}", app.fleet.country(tenant)) }
}

pub(super) async fn info(app: &App, caller: &Caller, tenant: &TenantId, status: Option<&Status>) -> SessionInfo {
    // A webhook's address may be a secret as well.
    let config = match caller.permit(tenant, Scope::Control) {
        Ok(()) => app.webhooks.settings(tenant).await,
        Err(_) => None,
    };
    let last_message = app.fleet.session(tenant).and_then(|session| session.newest_message());
    let served_by = app
        .fleet
        .served_elsewhere(tenant)
        .map(|(process, since)| ServingProcess { process: process.0.to_string(), since: since.as_millisecond() });
    SessionInfo {
        name: tenant.clone(),
        status: status.map_or(SessionState::Stopped, |status| status.state),
        config: config.map(|form| shown(app, tenant, form)),
        me: status.and_then(Me::of),
        engine: ENGINE,
        presence: Nothing {},
        timestamps: SessionTimestamps { activity: status.map_or(0, |status| status.since.as_millisecond()) },
        assigned_worker: "sessiond",
        reason: status.map(|status| status.reason.clone()),
        served_by,
        paired: status.is_some_and(|status| status.paired),
        expected_number: status.and_then(|status| status.expected.clone()),
        rejected: status.is_some_and(|status| status.rejected),
        last_message_at: last_message.map(|event| event.0.timestamp_ms()),
        heartbeat: app.fleet.beat(tenant).map(SessionHeartbeat::from),
        imported: None,
    }
}
