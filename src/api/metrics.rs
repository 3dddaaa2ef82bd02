//! `GET /metrics`: what was counted ([`crate::telemetry::metrics`]), and how the fleet stands at this moment. Asks nobody: a scrape reads
//! what is in memory, whatever WhatsApp, the vault and the disk are doing.
//!
//! The same page may be had without a key on an address of its own ([`router`]), which shows nothing else.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use schemars::json_schema;

use super::{
    App, health,
    openapi::{Gives, Operation},
    problem::Problem,
};
use crate::{
    config::PerTenant,
    fleet::TenantStanding,
    session,
    telemetry::metrics::{
        self, Page, family,
        label::{DocumentOperation, LabelValue as _, WebhookState},
    },
    tenant::TenantId,
    vault::Usage,
    webhook::WebhookStanding,
};

/// More tenants than this have no series of their own, unless it is asked for.
const MOST_TENANTS: usize = 1000;

/// The settings of the page.
#[derive(Debug, Clone, Copy)]
pub struct MetricsSettings {
    pub per_tenant: PerTenant,
    /// The home of the vault, in a word.
    pub vault: &'static str,
}

impl MetricsSettings {
    fn shows_tenants(self, tenants: usize) -> bool {
        match self.per_tenant {
            PerTenant::On => true,
            PerTenant::Off => false,
            PerTenant::Auto => tenants <= MOST_TENANTS,
        }
    }
}

/// The page as text.
pub struct Scrape(String);

impl IntoResponse for Scrape {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], self.0).into_response()
    }
}

impl Gives for Scrape {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_body(StatusCode::OK, "text/plain", json_schema!({ "type": "string" }));
    }
}

pub async fn show(State(app): State<App>) -> Scrape {
    Scrape(write(&app))
}

/// The page and nothing else, for an address that needs no key.
pub fn router(app: App) -> Router {
    Router::new().route("/metrics", get(show)).fallback(|| async { Problem::not_found() }).with_state(app)
}

fn write(app: &App) -> String {
    let mut page = metrics::page();
    page.family(&family::BUILD_INFO).add(&[env!("CARGO_PKG_VERSION"), app.metrics.vault], 1.0);
    let tenants = app.fleet.standings();
    let webhooks = app.webhooks.standings();
    let ill: BTreeSet<String> = health::ill(app).into_iter().map(|ill| ill.tenant).collect();
    write_fleet(&mut page, app, &tenants, ill.len());
    write_webhooks(&mut page, &webhooks);
    write_vault(&mut page, app, &tenants);
    page.value(&family::MEDIA_STORED, app.fleet.env().media.stored() as f64);
    if app.metrics.shows_tenants(tenants.len()) {
        write_tenants(&mut page, &tenants, &webhooks, &ill);
    }
    page.into_text()
}

fn write_fleet(page: &mut Page, app: &App, tenants: &[TenantStanding], ill: usize) {
    page.value(&family::TENANTS, tenants.len() as f64);
    let mut sessions = page.family(&family::SESSIONS);
    for state in session::State::ALL {
        let count = tenants.iter().filter(|tenant| tenant.state == state).count();
        sessions.add(&[state.as_str()], count as f64);
    }
    page.value(&family::SESSIONS_ILL, ill as f64);
    page.value(&family::TENANTS_UNOWNED, app.fleet.unowned().len() as f64);
    let mut heartbeat = page.family(&family::HEARTBEAT);
    metrics::last_heartbeat().into_iter().for_each(|at| heartbeat.add(&[], at));
    let mut incidents = page.family(&family::INCIDENTS);
    for (kind, count) in app.fleet.incidents() {
        incidents.add(&[kind], count as f64);
    }
    let outboxes = || tenants.iter().filter_map(|tenant| Some(tenant.session.as_ref()?.outbox));
    page.value(&family::OUTBOX, outboxes().map(|outbox| outbox.messages).sum::<usize>() as f64);
    let mut oldest = page.family(&family::OUTBOX_OLDEST);
    outboxes().filter_map(|outbox| outbox.oldest_ms).min().into_iter().for_each(|at| oldest.add(&[], at as f64 / 1e3));
}

fn write_webhooks(page: &mut Page, webhooks: &[WebhookStanding]) {
    let mut states = page.family(&family::WEBHOOKS);
    for state in WebhookState::ALL {
        let count = webhooks.iter().filter(|webhook| webhook.state == *state).count();
        states.add(&[state.text()], count as f64);
    }
    page.value(&family::WEBHOOK_OWED, webhooks.iter().map(|webhook| webhook.owed).sum::<usize>() as f64);
}

fn write_vault(page: &mut Page, app: &App, tenants: &[TenantStanding]) {
    page.value(&family::VAULT_UP, f64::from(u8::from(!app.fleet.is_vault_down())));
    let Usage { reads, writes, deletes } = app.fleet.env().vault.usage();
    let mut documents = page.family(&family::VAULT_DOCUMENTS);
    for (operation, count) in
        [(DocumentOperation::Read, reads), (DocumentOperation::Write, writes), (DocumentOperation::Delete, deletes)]
    {
        documents.add(&[operation.text()], count as f64);
    }
    let backlogs = tenants.iter().filter_map(|tenant| Some(tenant.session.as_ref()?.journal_backlog));
    page.value(&family::JOURNAL_BACKLOG, backlogs.sum::<u64>() as f64);
}

/// One family after the other: a family's samples stand together.
fn write_tenants(page: &mut Page, tenants: &[TenantStanding], webhooks: &[WebhookStanding], ill: &BTreeSet<String>) {
    let flag = |is: bool| f64::from(u8::from(is));
    let mut states = page.family(&family::SESSION_STATE);
    for tenant in tenants {
        states.add(&[tenant.tenant.as_str(), tenant.state.as_str()], 1.0);
    }
    let mut one = |family, value: &dyn Fn(&TenantStanding) -> Option<f64>| {
        let mut samples = page.family(family);
        for tenant in tenants {
            if let Some(value) = value(tenant) {
                samples.add(&[tenant.tenant.as_str()], value);
            }
        }
    };
    one(&family::SESSION_ILL, &|tenant| Some(flag(ill.contains(tenant.tenant.as_str()))));
    one(&family::SESSION_SCAN_NEEDED, &|tenant| Some(flag(tenant.needs_scan)));
    one(&family::SESSION_LAST_STANZA, &|tenant| tenant.session.as_ref()?.last_stanza);
    one(&family::SESSION_OUTBOX, &|tenant| Some(tenant.session.as_ref()?.outbox.messages as f64));
    one(&family::NEW_CHATS, &|tenant| tenant.session.as_ref()?.new_chats_used);
    one(&family::TIMELOCK, &|tenant| tenant.session.as_ref()?.is_timelocked.map(flag));
    let mut messages = page.family(&family::SESSION_MESSAGES);
    for tenant in tenants {
        if let Some(session) = &tenant.session {
            messages.add(&[tenant.tenant.as_str(), "in"], session.received as f64);
            messages.add(&[tenant.tenant.as_str(), "out"], session.sent as f64);
        }
    }
    let mut owed: BTreeMap<&TenantId, usize> = BTreeMap::new();
    for webhook in webhooks {
        *owed.entry(&webhook.tenant).or_default() += webhook.owed;
    }
    let mut samples = page.family(&family::SESSION_OWED);
    // Those alone that have webhooks, and a place here.
    for tenant in tenants {
        if let Some(owed) = owed.get(&tenant.tenant) {
            samples.add(&[tenant.tenant.as_str()], *owed as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_have_series_until_there_are_too_many() {
        let shows = |per_tenant, tenants| MetricsSettings { per_tenant, vault: "embedded" }.shows_tenants(tenants);
        assert!(shows(PerTenant::Auto, 1000) && !shows(PerTenant::Auto, 1001));
        assert!(shows(PerTenant::On, 100_000) && !shows(PerTenant::Off, 1));
    }
}
