//! For probes: is the daemon there, and how many sessions work. Who is ill and why is for the operator.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    App,
    auth::{Caller, MaybeCaller},
    openapi::{Gives, Operation},
};
use crate::{
    fleet::Counts, message::media::DiskSpace, session, telemetry::alerts::AlertChannelHealth, tenant::TenantId,
    vault::Usage,
};

/// All that was there is there again. Whoever deleted it may do it again, and a daemon that is down then has nothing to write.
const VAULT_RENEWED: &str = "the vault's file, or its log, was deleted or replaced while this process ran, and was written anew: find out who did it";

/// The old service's fields and more; 503 while the daemon is stopping, where the disk is full, when no tenant at all is served here, and
/// beside a process that serves tenants, before WhatsApp could be reached from this one or where it has not got their key.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The first of these that is true: `draining` while the daemon is stopping; `disk_full`: on the disk of the data folder or of
    /// the vault nothing that must be written can be for long; `unserved` when all tenants are without a session, here and
    /// elsewhere, and not all because the vault has no state of them; `whatsapp_unreachable`: other processes serve tenants, and no
    /// line to WhatsApp could be opened from this one yet: it takes none of theirs; `illegible`: other processes serve tenants, and this
    /// one opens none of those that it has looked at: it has not got their key; `vault_down`: the vault takes nothing, so nothing is sent
    /// or acknowledged; what is in hand waits for it, and a restart helps nobody; `disk_low`: messages come and go, files do not;
    /// `degraded` when some are without one (restored just now, failed, or served by no process), or are not connected for long, or none
    /// of those that are here is connected; `standby`: other processes serve all tenants, and this one is there for when they stop; `ok`.
    /// All that is wrong is counted in `problems`.
    status: &'static str,
    timestamp: jiff::Timestamp,
    service: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_sessions: Option<usize>,
    sessions: Sessions,
    problems: Problems,
    /// Findings that the operator should look into.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vault: Option<VaultUsage>,
    /// Faults since the start, by kind; for the operator. Put right: sessions that ended by themselves (`moved`, `copies_failed`,
    /// `crashes`, `vault_refusals`), records of the directory (`records_mended`), tenants that another process did not let go of when it
    /// should have (`handovers_failed`), a vault that had lost something (`vault_losses`), a damaged snapshot (`snapshots_passed_over`),
    /// a working copy that no snapshot was made of (`refused_snapshots`). Not put right: `states_lost`, a vault that had lost something
    /// that nobody had any more; `bot_conversations_broken`, chats in which the bot broke and says nothing until they are given back;
    /// `bots_stuck`, bots that have been at the same work for a minute, and answer nobody meanwhile: a bug.
    #[serde(skip_serializing_if = "Option::is_none")]
    incidents: Option<BTreeMap<&'static str, u64>>,
    /// The channels of alerts, and whether they work; for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<Vec<AlertChannelHealth>>,
}

/// Counts of what is wrong now, by kind; all are 0 while nothing is. Everybody may read them: they name nobody.
#[derive(Serialize, JsonSchema)]
pub struct Problems {
    /// Sessions whose changes the vault does not take; 1 at least while it takes nothing.
    vault: usize,
    /// 1: a disk is low, or full.
    disk: usize,
    /// Tenants that no process serves: being restored, or failed.
    unowned: usize,
    /// Sessions that should be connected to WhatsApp, and have not been for two heartbeats; while none is connected here, all that should
    /// be.
    offline: usize,
}

#[derive(Serialize, JsonSchema)]
pub struct Sessions {
    working: usize,
    total: usize,
    /// Served by another process on the same vault.
    elsewhere: usize,
    /// For the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    ill: Option<Vec<Ill>>,
    /// Tenants whose session somebody stopped, and that are well; for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Vec<String>>,
}

/// A tenant that is ill, and the reason.
#[derive(Serialize, JsonSchema)]
pub struct Ill {
    pub(super) tenant: String,
    state: session::State,
    reason: String,
    since: jiff::Timestamp,
}

/// Requests to the vault since the start; for the operator.
#[derive(Serialize, JsonSchema)]
pub struct VaultUsage {
    reads: u64,
    writes: u64,
    deletes: u64,
}

pub async fn health(State(app): State<App>, MaybeCaller(caller): MaybeCaller) -> Health {
    let mut health = Health::new(&app, caller.as_ref());
    health.mode = Some("multi-tenant");
    health
}

pub async fn baileys(State(app): State<App>, MaybeCaller(caller): MaybeCaller) -> Health {
    let health = Health::new(&app, caller.as_ref());
    let active_sessions = Some(health.sessions.working);
    Health { service: "baileys-api", version: "1.0.0", active_sessions, ..health }
}

impl Health {
    fn new(app: &App, caller: Option<&Caller>) -> Self {
        let counts @ Counts { working, expected, total, elsewhere, .. } = app.fleet.counts();
        let unowned = app.fleet.unowned().len();
        let problems = Problems {
            vault: app.fleet.stalled().max(usize::from(app.fleet.is_vault_down())),
            disk: usize::from(app.disks.space() != DiskSpace::Enough),
            unowned,
            // Nobody is served: that needs no two heartbeats to be true.
            offline: if working == 0 { expected.max(app.fleet.offline()) } else { app.fleet.offline() },
        };
        let mut health = Self {
            status: word(app, counts, &problems),
            timestamp: app.fleet.env().clock.now(),
            service: "KDS WhatsApp SaaS Backend",
            mode: None,
            version: env!("CARGO_PKG_VERSION"),
            active_sessions: None,
            sessions: Sessions { working, total, elsewhere, ill: None, stopped: None },
            problems,
            warnings: None,
            vault: None,
            incidents: None,
            alerts: None,
        };
        if caller == Some(&Caller::Admin) {
            let Usage { reads, writes, deletes } = app.fleet.env().vault.usage();
            let renewed = (app.fleet.env().vault.renewals() > 0).then_some(VAULT_RENEWED);
            health.warnings = Some(app.auth.warnings().into_iter().chain(renewed).collect());
            health.sessions.ill = Some(ill(app).into_iter().chain(illegible(app)).collect());
            health.sessions.stopped = Some(stopped(app));
            let mut incidents = app.fleet.incidents();
            incidents.insert("bot_conversations_broken", app.bots.broken());
            incidents.insert("bots_stuck", app.bots.stuck_tenants().len() as u64);
            health.incidents = Some(incidents);
            health.alerts = Some(app.alerts.channels());
            health.vault = Some(VaultUsage { reads, writes, deletes });
        }
        health
    }
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let served = matches!(self.status, "ok" | "standby" | "degraded" | "disk_low" | "vault_down");
        let status = if served { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

impl Gives for Health {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_json::<Self>(StatusCode::OK);
        operation.gives_json::<Self>(StatusCode::SERVICE_UNAVAILABLE);
    }
}

/// The worst first: two probes that see the same must do the same.
fn word(app: &App, counts: Counts, problems: &Problems) -> &'static str {
    let Counts { unserved, without_history, elsewhere, total, .. } = counts;
    match (app.disks.space(), unserved) {
        _ if app.fleet.is_draining() || app.fleet.is_leaving() => "draining",
        (DiskSpace::Full, _) => "disk_full",
        // A tenant without any state keeps no deploy from being healthy, and hides none that serves nobody. Those that other processes
        // serve need no restart: a process that waits beside them, and is never healthy, holds up every deploy.
        (_, unserved) if unserved > 0 && elsewhere == 0 && unserved + without_history >= total => "unserved",
        // Its platform would stop the process that serves them.
        _ if elsewhere > 0 && !app.fleet.has_reached_whatsapp() => "whatsapp_unreachable",
        _ if elsewhere > 0 && app.fleet.opens_nobodys() => "illegible",
        _ if app.fleet.is_vault_down() => "vault_down",
        (DiskSpace::Low, _) => "disk_low",
        _ if unserved > 0 || problems.unowned > 0 || problems.vault > 0 || problems.offline > 0 => "degraded",
        _ if elsewhere > 0 && elsewhere >= total => "standby",
        _ => "ok",
    }
}

/// True while the owner wants its session to stay away: linked, and on purpose not connected.
fn is_stopped(app: &App, tenant: &TenantId) -> bool {
    app.fleet.session(tenant).is_some_and(|session| session.is_stopped() && session.status().paired)
}

fn stopped(app: &App) -> Vec<String> {
    let reports = app.fleet.reports().into_iter().filter(|report| is_stopped(app, &report.tenant));
    reports.map(|report| report.tenant.to_string()).collect()
}

/// Tenants that should work and do not: the paired, unless they were stopped, those whom WhatsApp logged out, and those that failed. And
/// those whose vault has lost something: while that lasts nothing of them is durable.
pub(super) fn ill(app: &App) -> Vec<Ill> {
    let now = app.fleet.env().clock.now();
    app.fleet
        .reports()
        .into_iter()
        .filter(|report| app.fleet.served_elsewhere(&report.tenant).is_none())
        .filter(|report| match report.status.state {
            _ if report.loss.is_some() => true,
            session::State::Working | session::State::ScanQrCode => false,
            session::State::Failed => true,
            session::State::Stopped if is_stopped(app, &report.tenant) => false,
            state if state.is_ceremony() => false,
            // A quiet line is tested.
            _ if report.status.is_just_connecting(now) => false,
            _ => report.status.paired || report.status.rejected,
        })
        .map(|report| Ill {
            tenant: report.tenant.to_string(),
            state: report.status.state,
            reason: match report.loss {
                Some(loss) => format!("the vault has lost {loss}: the tenant's state is being written anew"),
                None => report.status.reason,
            },
            since: report.status.since,
        })
        .collect()
}

/// Tenants of other processes that this one could not serve.
fn illegible(app: &App) -> impl Iterator<Item = Ill> {
    app.fleet.illegible_tenants().into_iter().map(|found| Ill {
        tenant: found.tenant.to_string(),
        state: session::State::Failed,
        reason: found.reason,
        since: found.since,
    })
}
