//! Webhooks: what happens to a tenant, posted to the URLs that the tenant names.
//!
//! Owns the settings, each webhook's place in the tenant's event log, and the failures. Promises: every event of the log reaches
//! the receiver at least once, in its chat's order, under one id, as long as the log keeps it; where retention was faster, a gap is
//! recorded. A message that the receiver refuses while it takes others is parked after its attempts, and can be sent again. A slow
//! or dead receiver costs its own tenant alone: each has at most its share of the requests in flight. Who is online or types
//! is of now, and in no log: it is tried, not kept.
//!
//! Never decides which address may be reached ([`crate::outbound`] does) and knows no forms but to hand them on ([`crate::waha`]).

mod consumer;
mod delivery;
mod desk;
mod form;
mod hosts;
mod parked;
mod progress;
mod queue;
mod settings;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::timeout,
};

use self::{consumer::ConsumerHealth, desk::WebhookCommand, desk::WebhookDesk, hosts::Hosts};
pub use self::{
    form::{FailureForm, SessionConfig},
    settings::{Retries, RetryPolicy, Webhook, WebhookFlaw, WebhookSettings},
};
use crate::{
    clock::Clock, config, fleet::SessionObserver, message::Feed, outbound::Outbound, session::Session,
    store::StoreError, sync::lock, telemetry::metrics::label::WebhookState, tenant::TenantId,
};

/// All webhooks of this process.
pub struct Webhooks {
    shared: Arc<WebhookContext>,
    desks: Mutex<HashMap<TenantId, DeskHandle>>,
}

/// The way to a tenant's desk.
#[derive(Clone)]
struct DeskHandle {
    orders: mpsc::Sender<WebhookCommand>,
    /// The settings in force; `None`: they are not read yet; within: they cannot be.
    settings: watch::Receiver<Option<Option<SessionConfig>>>,
}

/// A session that was just opened may take so long to read its settings.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// What all consumers share.
struct WebhookContext {
    outbound: Outbound,
    feed: Feed,
    clock: Arc<dyn Clock>,
    settings: config::WebhooksConfig,
    /// Requests in flight, of all tenants.
    deliveries: Semaphore,
    hosts: Hosts,
    /// How the webhooks are that run; of those that have ended nobody holds it.
    healths: Mutex<Vec<(TenantId, Weak<Mutex<ConsumerHealth>>)>>,
}

impl WebhookContext {
    /// A webhook begins.
    fn watch(&self, tenant: &TenantId, health: &Arc<Mutex<ConsumerHealth>>) {
        let mut healths = lock(&self.healths);
        healths.retain(|(_, health)| health.strong_count() > 0);
        healths.push((tenant.clone(), Arc::downgrade(health)));
    }
}

/// How a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookStanding {
    pub tenant: TenantId,
    pub state: WebhookState,
    /// Events in hand that it has not taken.
    pub owed: usize,
    /// Events that its receiver has refused for good.
    pub parked: usize,
}

/// Why something about webhooks was not done.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the settings are not valid")]
    Invalid(Vec<WebhookFlaw>),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session is not open, or just ends.
    #[error("the session is not open")]
    Closed,
    #[error("there is no such failure")]
    NoFailure,
    /// They are in force, and go to the vault when it answers.
    #[error("the vault does not answer")]
    NotDurable,
}

impl Webhooks {
    pub fn new(outbound: Outbound, feed: Feed, clock: Arc<dyn Clock>, settings: config::WebhooksConfig) -> Arc<Self> {
        let deliveries = Semaphore::new(settings.concurrency);
        let hosts = Hosts::new(settings.concurrency);
        let healths = Mutex::default();
        let shared = Arc::new(WebhookContext { outbound, feed, clock, settings, deliveries, hosts, healths });
        Arc::new(Self { shared, desks: Mutex::default() })
    }

    /// How all webhooks stand that run, in no order.
    pub fn standings(&self) -> Vec<WebhookStanding> {
        let healths = lock(&self.shared.healths);
        let standing = |(tenant, health): &(TenantId, Weak<Mutex<ConsumerHealth>>)| {
            let health = health.upgrade()?;
            let health = lock(&health);
            let state = match (health.gone, health.failures) {
                (true, _) => WebhookState::Gone,
                (false, 0) => WebhookState::Ok,
                (false, _) => WebhookState::Failing,
            };
            Some(WebhookStanding { tenant: tenant.clone(), state, owed: health.owed, parked: health.parked })
        };
        healths.iter().filter_map(standing).collect()
    }

    /// The settings as they may be shown, each webhook with its id and how it is.
    pub async fn show(&self, tenant: &TenantId) -> Result<SessionConfig, WebhookError> {
        self.ask(tenant, WebhookCommand::Show).await?
    }

    /// The settings in force, without how the webhooks are: waits for no change of them. `None`: not known here.
    pub async fn settings(&self, tenant: &TenantId) -> Option<SessionConfig> {
        let mut settings = self.desks().get(tenant).filter(|desk| !desk.orders.is_closed())?.settings.clone();
        timeout(READ_LIMIT, settings.wait_for(Option::is_some)).await.ok()?.ok()?.clone().flatten()
    }

    /// Replaces the settings: `{webhooks, metadata}`, as in the `config` of WAHA's sessions, and whatever else is there. Returns when
    /// they are durable. A webhook whose URL stays keeps its place; a new one begins with what comes from now on.
    pub async fn put(&self, tenant: &TenantId, config: Value) -> Result<SessionConfig, WebhookError> {
        self.ask(tenant, |answer| WebhookCommand::Put { given: config, keeps_rest: false, answer }).await?
    }

    /// The same; what is neither webhooks nor metadata stays if it is not given.
    pub async fn put_webhooks(&self, tenant: &TenantId, config: Value) -> Result<SessionConfig, WebhookError> {
        self.ask(tenant, |answer| WebhookCommand::Put { given: config, keeps_rest: true, answer }).await?
    }

    /// Takes all settings away, those too that cannot be read, and what was not delivered with them.
    pub async fn forget(&self, tenant: &TenantId) -> Result<SessionConfig, WebhookError> {
        self.ask(tenant, WebhookCommand::Forget).await?
    }

    /// What is wrong with settings of a tenant that has none yet; see [`Webhooks::put`].
    pub fn check_new(&self, config: &Value) -> Result<(), WebhookError> {
        let outbound = &self.shared.outbound;
        let settings = WebhookSettings::parse(config, &WebhookSettings::default(), |url| outbound.check(url));
        settings.map(drop).map_err(WebhookError::Invalid)
    }

    /// What was not delivered and is not tried any more.
    pub async fn failures(&self, tenant: &TenantId) -> Result<Vec<FailureForm>, WebhookError> {
        self.ask(tenant, WebhookCommand::Failures).await?
    }

    /// Sends a failure once more, by its id, or all of them; how many.
    pub async fn redrive(&self, tenant: &TenantId, id: Option<&str>) -> Result<usize, WebhookError> {
        let which = match id {
            Some(id) => {
                let (webhook, id) = progress::parse_failure_id(id).ok_or(WebhookError::NoFailure)?;
                Some((webhook.to_owned(), id))
            }
            None => None,
        };
        let one = which.is_some();
        match self.ask(tenant, |answer| WebhookCommand::Redrive(which, answer)).await? {
            0 if one => Err(WebhookError::NoFailure),
            count => Ok(count),
        }
    }

    async fn ask<T>(
        &self,
        tenant: &TenantId,
        order: impl FnOnce(oneshot::Sender<T>) -> WebhookCommand,
    ) -> Result<T, WebhookError> {
        let desk = self.desks().get(tenant).map(|desk| desk.orders.clone()).ok_or(WebhookError::Closed)?;
        let (answer, answered) = oneshot::channel();
        desk.send(order(answer)).await.map_err(|_| WebhookError::Closed)?;
        answered.await.map_err(|_| WebhookError::Closed)
    }

    fn desks(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, DeskHandle>> {
        lock(&self.desks)
    }
}

impl SessionObserver for Webhooks {
    fn opened(&self, session: &Session) {
        let (orders, received) = mpsc::channel(8);
        let (shown, settings) = watch::channel(None);
        let mut desks = self.desks();
        // Those of sessions that have ended: their tenants may be gone.
        desks.retain(|_, desk| !desk.orders.is_closed());
        desks.insert(session.tenant().clone(), DeskHandle { orders, settings });
        drop(desks);
        session.attend(WebhookDesk::new(session.clone(), self.shared.clone(), shown).run(received));
    }
}
