//! A tenant's webhooks: starts one consumer for each, and changes them when the settings do. One task a session; it ends with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    WebhookContext, WebhookError, WebhookSettings,
    consumer::{Consumer, ConsumerHealth, Redrive},
    form::{self, Condition, FailureForm, SessionConfig},
    hosts,
    progress::{self, WebhookPlace},
    settings::Webhook,
};
use crate::{
    journal::ChangeNo,
    message::EventId,
    session::Session,
    store::{Batch, StoreError},
    sync::lock,
};

/// How long the vault may take for new settings.
const SETTINGS_VAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Until settings that could not be read are looked at again.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// What is asked of a desk.
pub enum WebhookCommand {
    Show(oneshot::Sender<Result<SessionConfig, WebhookError>>),
    Put {
        given: Value,
        /// True: everything but webhooks and metadata stays if it is not given.
        keeps_rest: bool,
        answer: oneshot::Sender<Result<SessionConfig, WebhookError>>,
    },
    /// There are none from here on, also if nobody can read which there were.
    Forget(oneshot::Sender<Result<SessionConfig, WebhookError>>),
    Failures(oneshot::Sender<Result<Vec<FailureForm>, WebhookError>>),
    /// One failure (by webhook and event), or all.
    Redrive(Option<(String, EventId)>, oneshot::Sender<usize>),
}

pub struct WebhookDesk {
    session: Session,
    shared: Arc<WebhookContext>,
    deliveries: Arc<Semaphore>,
    /// `None`: they could not be read. Then no webhook works, and nothing is written over them.
    settings: Option<WebhookSettings>,
    /// Whoever looks at the session reads them here; within: `None` if they cannot be read.
    shown: watch::Sender<Option<Option<SessionConfig>>>,
    /// Of the tenant at each host.
    at_hosts: HashMap<String, Arc<Semaphore>>,
    consumers: HashMap<String, RunningConsumer>,
}

/// A consumer that runs.
struct RunningConsumer {
    webhook: Arc<Webhook>,
    health: Arc<Mutex<ConsumerHealth>>,
    redrives: mpsc::Sender<Redrive>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl WebhookDesk {
    pub fn new(
        session: Session,
        shared: Arc<WebhookContext>,
        shown: watch::Sender<Option<Option<SessionConfig>>>,
    ) -> Self {
        let deliveries = Arc::new(Semaphore::new(shared.settings.per_tenant));
        let (at_hosts, consumers) = (HashMap::new(), HashMap::new());
        Self { session, shared, deliveries, settings: None, shown, at_hosts, consumers }
    }

    pub async fn run(mut self, mut orders: mpsc::Receiver<WebhookCommand>) {
        if let Err(error) = self.read().await {
            error!(event = "webhooks_unreadable", %error, "the webhooks cannot be read: nothing is delivered to them");
        }
        let stop = self.session.stopping();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                order = orders.recv() => match order {
                    Some(order) => Box::pin(self.serve(order)).await,
                    None => break,
                },
                () = sleep(READ_AGAIN), if self.settings.is_none() => drop(self.read().await),
            }
        }
        for (_, working) in self.consumers.drain() {
            end(working).await;
        }
    }

    /// Reads the settings, unless they are known, and starts what they name.
    async fn read(&mut self) -> Result<(), StoreError> {
        if self.settings.is_some() {
            return Ok(());
        }
        let read = progress::settings(self.session.store()).await;
        match read {
            Ok(settings) => {
                self.apply(settings.unwrap_or_default());
                Ok(())
            }
            Err(error) => {
                self.shown.send_replace(Some(None));
                Err(error)
            }
        }
    }

    /// From here on these are the settings.
    fn apply(&mut self, settings: WebhookSettings) {
        self.shown.send_replace(Some(Some(settings.show())));
        self.settings = Some(settings);
        self.start_all();
    }

    async fn serve(&mut self, order: WebhookCommand) {
        // Whoever asked may be gone: then nobody hears the answer.
        match order {
            WebhookCommand::Show(answer) => drop(answer.send(self.show().await)),
            WebhookCommand::Forget(answer) => drop(answer.send(self.forget().await)),
            WebhookCommand::Put { given, keeps_rest, answer } => drop(answer.send(self.put(given, keeps_rest).await)),
            WebhookCommand::Failures(answer) => drop(answer.send(self.failures().await)),
            WebhookCommand::Redrive(which, answer) => drop(answer.send(self.redrive(which).await)),
        }
    }

    async fn show(&mut self) -> Result<SessionConfig, WebhookError> {
        self.read().await?;
        Ok(self.form())
    }

    fn form(&self) -> SessionConfig {
        let mut form = self.settings.clone().unwrap_or_default().show();
        for shown in &mut form.webhooks {
            let Some(working) = self.consumers.get(&shown.id) else { continue };
            let health = lock(&working.health).clone();
            let state = if working.task.is_finished() {
                form::WebhookHealth::Crashed
            } else if health.gone {
                form::WebhookHealth::Gone
            } else if health.failures > 0 {
                form::WebhookHealth::Failing
            } else {
                form::WebhookHealth::Ok
            };
            shown.status = Some(Condition { state, last_error: health.last_error, owed: health.owed });
        }
        form
    }

    async fn put(&mut self, mut given: Value, keeps_rest: bool) -> Result<SessionConfig, WebhookError> {
        self.read().await?;
        let before = self.settings.clone().unwrap_or_default();
        if keeps_rest && let Some(given) = given.as_object_mut() {
            for (name, value) in before.show().rest {
                given.entry(name).or_insert(value);
            }
        }
        let outbound = &self.shared.outbound;
        let settings =
            WebhookSettings::parse(&given, &before, |url| outbound.check(url)).map_err(WebhookError::Invalid)?;
        // A new one begins here, however long the others take to end.
        let newest = self.session.newest_event();
        self.end_all().await;
        let change = self.replace(&before, &settings, newest).await;
        self.apply(if change.is_ok() { settings } else { before });
        self.confirm(change?).await
    }

    async fn forget(&mut self) -> Result<SessionConfig, WebhookError> {
        self.end_all().await;
        let none = WebhookSettings::default();
        let mut batch = Batch::default();
        progress::put_settings(&mut batch, &none);
        let forgotten = progress::forget_all(self.session.store(), &mut batch).await;
        let change = match forgotten {
            Ok(()) => self.session.store().write(batch).await,
            Err(error) => Err(error),
        };
        match change {
            Ok(change) => {
                self.apply(none);
                self.confirm(change).await
            }
            Err(error) => {
                self.start_all();
                Err(error.into())
            }
        }
    }

    /// None of them writes its place while the places are changed.
    async fn end_all(&mut self) {
        self.consumers.values().for_each(|working| working.stop.cancel());
        for (_, working) in self.consumers.drain() {
            end(working).await;
        }
    }

    async fn confirm(&self, change: ChangeNo) -> Result<SessionConfig, WebhookError> {
        match timeout(SETTINGS_VAULT_TIMEOUT, self.session.store().wait(change)).await {
            Ok(durable) => durable.map_err(StoreError::from)?,
            Err(_) => return Err(WebhookError::NotDurable),
        }
        Ok(self.form())
    }

    async fn replace(
        &self,
        before: &WebhookSettings,
        settings: &WebhookSettings,
        newest: Option<EventId>,
    ) -> Result<ChangeNo, StoreError> {
        let store = self.session.store();
        let mut batch = Batch::default();
        progress::put_settings(&mut batch, settings);
        let is_in = |webhooks: &[Webhook], id: &str| webhooks.iter().any(|webhook| webhook.id == id);
        for webhook in &settings.webhooks {
            let place = if is_in(&before.webhooks, &webhook.id) {
                // Put again: one that was gone is asked again.
                WebhookPlace { gone: false, ..progress::load(store, &webhook.id).await? }
            } else {
                WebhookPlace { cursor: newest, ..WebhookPlace::default() }
            };
            progress::put(&mut batch, &webhook.id, &place);
        }
        for webhook in before.webhooks.iter().filter(|webhook| !is_in(&settings.webhooks, &webhook.id)) {
            progress::forget(store, &mut batch, &webhook.id).await?;
        }
        store.write(batch).await
    }

    async fn failures(&mut self) -> Result<Vec<FailureForm>, WebhookError> {
        self.read().await?;
        let mut found = Vec::new();
        for webhook in self.settings.iter().flat_map(|settings| &settings.webhooks) {
            let shown = progress::failures(self.session.store(), &webhook.id, |failure| failure.show(webhook)).await?;
            found.extend(shown);
        }
        Ok(found)
    }

    async fn redrive(&self, which: Option<(String, EventId)>) -> usize {
        let mut count = 0;
        for (webhook, working) in &self.consumers {
            let id = match &which {
                Some((wanted, _)) if wanted != webhook => continue,
                Some((_, id)) => Some(*id),
                None => None,
            };
            let (answer, answered) = oneshot::channel();
            // One that stumbles reads none of them meanwhile.
            let asked = async {
                working.redrives.send(Redrive { id, answer }).await.ok()?;
                answered.await.ok()
            };
            count += timeout(SETTINGS_VAULT_TIMEOUT, asked).await.ok().flatten().unwrap_or(0);
        }
        count
    }

    fn start_all(&mut self) {
        let Some(settings) = self.settings.clone() else { return };
        let (metadata, per_tenant) = (Arc::new(settings.metadata), self.shared.settings.per_tenant);
        self.at_hosts.clear();
        for webhook in settings.webhooks {
            let host = self.at_hosts.entry(hosts::name(&webhook.url));
            let at_host = host.or_insert_with(|| Arc::new(Semaphore::new(per_tenant))).clone();
            let id = webhook.id.clone();
            let working = self.start(Arc::new(webhook), metadata.clone(), at_host);
            self.consumers.insert(id, working);
        }
    }

    fn start(&self, webhook: Arc<Webhook>, metadata: Arc<Value>, at_host: Arc<Semaphore>) -> RunningConsumer {
        let (redrives, received) = mpsc::channel(4);
        let health = Arc::<Mutex<ConsumerHealth>>::default();
        self.shared.watch(self.session.tenant(), &health);
        let stop = self.session.stopping().child_token();
        let consumer = Consumer {
            session: self.session.clone(),
            shared: self.shared.clone(),
            deliveries: self.deliveries.clone(),
            at_host,
            webhook: webhook.clone(),
            metadata,
            health: health.clone(),
            redrives: received,
            stop: stop.clone(),
        };
        let task = self.session.attend(consumer.run());
        RunningConsumer { webhook, health, redrives, stop, task }
    }
}

async fn end(working: RunningConsumer) {
    working.stop.cancel();
    if working.task.await.is_err() {
        error!(
            event = "webhook_crashed",
            webhook = working.webhook.id,
            "a webhook crashed: a bug; put its settings again to start it anew"
        );
    }
}
