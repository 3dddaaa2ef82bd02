//! A tenant's webhooks: starts one consumer for each, and changes them when the settings do. One task a session; it ends with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{
    Settings, Shared, WebhookError,
    consumer::{Consumer, Health, Redrive},
    form::{self, Condition, FailureForm, Form},
    progress::{self, Progress},
    settings::Webhook,
};
use crate::{
    message::EventId,
    session::Session,
    store::{Batch, StoreError},
};

/// How long the vault may take for new settings.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked of a desk.
pub enum Order {
    Show(oneshot::Sender<Form>),
    Put {
        given: Value,
        /// True: everything but webhooks and metadata stays if it is not given.
        keeps_rest: bool,
        answer: oneshot::Sender<Result<Form, WebhookError>>,
    },
    Failures(oneshot::Sender<Result<Vec<FailureForm>, WebhookError>>),
    /// One failure (by webhook and event), or all.
    Redrive(Option<(String, EventId)>, oneshot::Sender<usize>),
}

pub struct Desk {
    session: Session,
    shared: Arc<Shared>,
    deliveries: Arc<Semaphore>,
    settings: Settings,
    /// Whoever looks at the session reads them here.
    shown: watch::Sender<Option<Form>>,
    consumers: HashMap<String, Working>,
}

/// A consumer that runs.
struct Working {
    webhook: Arc<Webhook>,
    health: Arc<Mutex<Health>>,
    redrives: mpsc::Sender<Redrive>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Desk {
    pub fn new(session: Session, shared: Arc<Shared>, shown: watch::Sender<Option<Form>>) -> Self {
        let deliveries = Arc::new(Semaphore::new(shared.settings.per_tenant));
        Self { session, shared, deliveries, settings: Settings::default(), shown, consumers: HashMap::new() }
    }

    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        match progress::settings(self.session.store()).await {
            Ok(settings) => {
                self.settings = settings.unwrap_or_default();
                self.shown.send_replace(Some(self.settings.show()));
            }
            Err(error) => warn!(%error, "the webhooks cannot be read"),
        }
        self.start_all();
        let stop = self.session.stopping();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                order = orders.recv() => match order {
                    Some(order) => self.serve(order).await,
                    None => break,
                },
            }
        }
        for (_, working) in self.consumers.drain() {
            end(working).await;
        }
    }

    async fn serve(&mut self, order: Order) {
        // Whoever asked may be gone: then nobody hears the answer.
        match order {
            Order::Show(answer) => drop(answer.send(self.show())),
            Order::Put { given, keeps_rest, answer } => drop(answer.send(self.put(given, keeps_rest).await)),
            Order::Failures(answer) => drop(answer.send(self.failures().await)),
            Order::Redrive(which, answer) => drop(answer.send(self.redrive(which).await)),
        }
    }

    fn show(&self) -> Form {
        let mut form = self.settings.show();
        for shown in &mut form.webhooks {
            let Some(working) = self.consumers.get(&shown.id) else { continue };
            let health = working.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let state = if working.task.is_finished() {
                form::Health::Crashed
            } else if health.gone {
                form::Health::Gone
            } else if health.failures > 0 {
                form::Health::Failing
            } else {
                form::Health::Ok
            };
            shown.status = Some(Condition { state, last_error: health.last_error, owed: health.owed });
        }
        form
    }

    async fn put(&mut self, mut given: Value, keeps_rest: bool) -> Result<Form, WebhookError> {
        if keeps_rest && let Some(given) = given.as_object_mut() {
            for (name, value) in self.settings.show().rest {
                given.entry(name).or_insert(value);
            }
        }
        let outbound = &self.shared.outbound;
        let settings =
            Settings::parse(&given, &self.settings, |url| outbound.check(url)).map_err(WebhookError::Invalid)?;
        let newest = self.session.newest_event();
        // None of them writes its place while the places are changed.
        self.consumers.values().for_each(|working| working.stop.cancel());
        for (_, working) in self.consumers.drain() {
            end(working).await;
        }
        let change = self.replace(&settings, newest).await;
        if change.is_ok() {
            self.settings = settings;
            self.shown.send_replace(Some(self.settings.show()));
        }
        self.start_all();
        match tokio::time::timeout(PATIENCE, self.session.store().wait(change?)).await {
            Ok(durable) => durable.map_err(StoreError::from)?,
            Err(_) => return Err(WebhookError::NotDurable),
        }
        Ok(self.show())
    }

    async fn replace(
        &self,
        settings: &Settings,
        newest: Option<EventId>,
    ) -> Result<crate::journal::ChangeNo, StoreError> {
        let store = self.session.store();
        let mut batch = Batch::default();
        progress::put_settings(&mut batch, settings);
        let is_in = |webhooks: &[Webhook], id: &str| webhooks.iter().any(|webhook| webhook.id == id);
        for webhook in &settings.webhooks {
            let place = if is_in(&self.settings.webhooks, &webhook.id) {
                // Put again: one that was gone is asked again.
                Progress { gone: false, ..progress::load(store, &webhook.id).await? }
            } else {
                Progress { cursor: newest, ..Progress::default() }
            };
            progress::put(&mut batch, &webhook.id, &place);
        }
        for webhook in self.settings.webhooks.iter().filter(|webhook| !is_in(&settings.webhooks, &webhook.id)) {
            progress::forget(store, &mut batch, &webhook.id).await?;
        }
        store.write(batch).await
    }

    async fn failures(&self) -> Result<Vec<FailureForm>, WebhookError> {
        let mut found = Vec::new();
        for webhook in &self.settings.webhooks {
            let failures = progress::failures(self.session.store(), &webhook.id).await?;
            found.extend(failures.iter().map(|failure| failure.show(webhook)));
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
            if working.redrives.send(Redrive { id, answer }).await.is_ok() {
                count += answered.await.unwrap_or(0);
            }
        }
        count
    }

    fn start_all(&mut self) {
        let metadata = Arc::new(self.settings.metadata.clone());
        for webhook in &self.settings.webhooks {
            let working = self.start(Arc::new(webhook.clone()), metadata.clone());
            self.consumers.insert(webhook.id.clone(), working);
        }
    }

    fn start(&self, webhook: Arc<Webhook>, metadata: Arc<Value>) -> Working {
        let (redrives, received) = mpsc::channel(4);
        let health = Arc::<Mutex<Health>>::default();
        self.shared.watch(self.session.tenant(), &health);
        let stop = self.session.stopping().child_token();
        let consumer = Consumer {
            session: self.session.clone(),
            shared: self.shared.clone(),
            deliveries: self.deliveries.clone(),
            webhook: webhook.clone(),
            metadata,
            health: health.clone(),
            redrives: received,
            stop: stop.clone(),
        };
        let task = self.session.attend(consumer.run());
        Working { webhook, health, redrives, stop, task }
    }
}

async fn end(working: Working) {
    working.stop.cancel();
    if working.task.await.is_err() {
        error!(webhook = working.webhook.id, "a webhook crashed: a bug; put its settings again to start it anew");
    }
}
