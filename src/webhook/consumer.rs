//! One webhook at work: reads the tenant's log from its place on, delivers, writes down how far it has come.
//!
//! The place is written a little later than it is reached, so that it rides along with what goes to the vault anyway; after a
//! crash the last events are delivered once more, under the same ids. A failure is written in one change with the place behind it.

mod attempt;
mod failures;
mod unlogged;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, broadcast::error::RecvError, mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::{attempt::DeliveryAttempt, failures::give_up};
use super::{
    WebhookContext,
    delivery::Attempt,
    parked::Parked,
    progress::{self, WebhookPlace},
    queue::{AttemptOutcome, Job, JobSource, Queue, Settlement},
    settings::Webhook,
};
use crate::{
    message::{EventBody, EventId, FeedItem},
    session::Session,
    store::{Batch, StoreError},
    sync::lock,
    telemetry::metrics::{self, label},
    waha::{self, EventName},
};

/// A receiver that takes longer is asked one thing at a time: the slow ones of many tenants leave the others their places.
const SLOW_RECEIVER: Duration = Duration::from_secs(3);

/// Events that are owed or done ahead of one that is owed: how far a chat may run ahead of another.
const WINDOW: usize = 256;

/// And so many more, one at a time, where only a later event can show that the receiver takes others.
const MORE: usize = 2 * WINDOW;

const PAGE: usize = 64;

/// How long the place may lag behind.
const PLACE_WRITE_LAG: Duration = Duration::from_secs(2);

/// After the store failed.
const CONSUMER_RETRY_DELAY: Duration = Duration::from_secs(5);

/// How long requests in flight may take when the webhook stops.
const STOP_DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);

/// How a webhook is, for those who look.
#[derive(Debug, Clone, Default)]
pub struct ConsumerHealth {
    pub gone: bool,
    /// Failed attempts since the last that was taken.
    pub failures: u32,
    pub last_error: String,
    /// Events in hand that are not delivered; there may be more in the log.
    pub owed: usize,
    /// Events that its receiver has refused for good, and that can be sent again.
    pub parked: usize,
}

/// Send failures once more: one, or all. The answer: how many.
pub struct Redrive {
    pub id: Option<EventId>,
    pub answer: oneshot::Sender<usize>,
}

pub struct Consumer {
    pub session: Session,
    pub shared: Arc<WebhookContext>,
    /// Of this tenant, whatever the number of its webhooks.
    pub deliveries: Arc<Semaphore>,
    /// Of this tenant at the webhook's host.
    pub at_host: Arc<Semaphore>,
    pub webhook: Arc<Webhook>,
    pub metadata: Arc<Value>,
    pub health: Arc<Mutex<ConsumerHealth>>,
    pub redrives: mpsc::Receiver<Redrive>,
    pub stop: CancellationToken,
}

struct DeliveryLoop<'a> {
    cx: &'a mut Consumer,
    queue: Queue,
    gone: bool,
    /// Its receiver took long for its last answer, or gave none.
    is_slow: bool,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// Failures that are in the store.
    parked: Parked,
    /// The place is ahead of what was written, since then.
    dirty: Option<Instant>,
    /// The log may have more than was read.
    more: bool,
    /// Failures that are being sent once more.
    redriven: HashSet<EventId>,
    /// What retention took before it was delivered: the record, and where it begins.
    gap: Option<(EventId, Option<EventId>)>,
}

struct Landed {
    lane: Arc<str>,
    job: Job,
    began: Instant,
    landing: Landing,
}

enum Landing {
    Attempted(Attempt),
    /// Retention was faster.
    Missing,
    Unreadable(StoreError),
}

impl Consumer {
    pub async fn run(mut self) {
        while let Err(error) = self.work().await {
            if error.is_final() {
                debug!(%error, "a webhook ends with its session");
                return;
            }
            warn!(
                event = "webhook_restarted",
                webhook = self.webhook.id,
                %error,
                "webhook consumer failed: restarting from its stored place"
            );
            {
                let mut health = lock(&self.health);
                health.failures = health.failures.max(1);
                health.last_error = error.to_string();
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(CONSUMER_RETRY_DELAY) => {}
            }
        }
    }

    async fn work(&mut self) -> Result<(), StoreError> {
        let store = self.session.store().clone();
        let place = progress::load(&store, &self.webhook.id).await?;
        let mut parked = Parked::default();
        let sizes = progress::sizes(&store, &self.webhook.id).await?;
        let given_up: Vec<_> = sizes.into_iter().flat_map(|(id, bytes)| parked.add(id, bytes)).collect();
        if !given_up.is_empty() {
            // An older build kept more of them.
            let mut batch = Batch::default();
            give_up(&mut batch, &self.webhook.id, given_up);
            store.write(batch).await?;
        }
        let queue = Queue::new(self.webhook.retries, place.cursor, place.done);
        let running = DeliveryLoop {
            gone: place.gone,
            is_slow: false,
            queue,
            flights: FuturesUnordered::new(),
            parked,
            dirty: None,
            more: true,
            redriven: HashSet::new(),
            gap: None,
            cx: self,
        };
        running.run().await
    }
}

impl DeliveryLoop<'_> {
    async fn run(mut self) -> Result<(), StoreError> {
        let mut feed = self.cx.shared.feed.subscribe(self.cx.session.tenant());
        let mut receipts = self.cx.session.member_receipts();
        loop {
            if !self.gone {
                self.read().await?;
                self.launch();
            }
            self.report();
            let wake = if self.gone { None } else { self.queue.wake_at(self.places()) };
            let write_at = self.dirty.map(|since| since + PLACE_WRITE_LAG);
            let wake = [wake, write_at].into_iter().flatten().min();
            tokio::select! {
                () = self.cx.stop.cancelled() => break,
                // Boxed: the task lies in memory for as long as there is the webhook.
                Some(landed) = self.flights.next() => Box::pin(self.landed(landed)).await?,
                notice = feed.recv() => match notice {
                    Ok(FeedItem::Event(_) | FeedItem::InLog) | Err(RecvError::Lagged(_)) => self.more = true,
                    Ok(FeedItem::Presence(chat)) => Box::pin(self.owe_presence(&chat)).await,
                    Ok(_) => {}
                    Err(RecvError::Closed) => break,
                },
                Ok(receipt) = receipts.recv() => self.owe_receipt(&receipt),
                Some(redrive) = self.cx.redrives.recv() => Box::pin(self.redrive(redrive)).await?,
                () = sleep_until(wake.unwrap_or_else(far)), if wake.is_some() => {}
            }
            if self.dirty.is_some_and(|since| since + PLACE_WRITE_LAG <= Instant::now()) {
                self.write(Batch::default()).await?;
            }
        }
        let landing = Instant::now() + STOP_DELIVERY_TIMEOUT;
        while let Ok(Some(landed)) = tokio::time::timeout_at(landing, self.flights.next()).await {
            Box::pin(self.landed(landed)).await?;
        }
        if self.dirty.is_some() {
            self.write(Batch::default()).await?;
        }
        Ok(())
    }

    /// Takes from the log as much as there is room for.
    async fn read(&mut self) -> Result<(), StoreError> {
        while self.more && self.has_room() {
            let trimmed = self.cx.session.trimmed();
            if let Some(trimmed) = trimmed.filter(|trimmed| Some(*trimmed) > self.queue.read()) {
                let after = self.queue.read();
                self.queue.skip(trimmed);
                self.note_gap(trimmed, after).await?;
            }
            let page = if self.queue.len() < WINDOW { PAGE } else { 1 };
            let events = self.cx.session.events_after(self.queue.read(), page).await?;
            // Retention was at work meanwhile: the gap first.
            if self.cx.session.trimmed() != trimmed {
                continue;
            }
            self.more = !events.is_empty();
            let now = Instant::now();
            let before = self.queue.cursor();
            for event in events {
                let names = waha::names(&event.body).iter().copied().filter(|name| self.cx.webhook.wants(*name));
                self.queue.take(event.id, lane(&event.body), names.collect(), now);
            }
            if self.queue.cursor() != before {
                self.dirty.get_or_insert(now);
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let len = self.queue.len();
        len < WINDOW || (len < WINDOW + MORE && self.queue.lacks_a_sign())
    }

    /// Requests in flight at the same time.
    fn places(&self) -> usize {
        if self.is_slow { 1 } else { self.cx.shared.settings.per_tenant }
    }

    fn launch(&mut self) {
        while let Some((lane, job)) = self.queue.launch(Instant::now(), self.places()) {
            let flight = DeliveryAttempt {
                session: self.cx.session.clone(),
                shared: self.cx.shared.clone(),
                deliveries: self.cx.deliveries.clone(),
                at_host: self.cx.at_host.clone(),
                webhook: self.cx.webhook.clone(),
                metadata: self.cx.metadata.clone(),
            };
            self.flights.push(flight.run(lane, job).boxed());
        }
    }

    async fn landed(&mut self, landed: Landed) -> Result<(), StoreError> {
        let Landed { lane, job, began, landing } = landed;
        let now = Instant::now();
        let attempt = match landing {
            Landing::Unreadable(error) => return Err(error),
            Landing::Missing => {
                self.queue.drop(&lane, job.id);
                self.redriven.remove(&job.id);
                if job.source == JobSource::Log {
                    self.note_gap(job.id, self.queue.cursor().filter(|cursor| *cursor < job.id)).await?;
                }
                return Ok(());
            }
            Landing::Attempted(attempt) => attempt,
        };
        self.is_slow = now.duration_since(began) > SLOW_RECEIVER;
        metrics::webhook_attempt(attempt.counted_as(), now.duration_since(began));
        if let (AttemptOutcome::Taken, JobSource::Log, [EventName::Message | EventName::MessageAny]) =
            (&attempt.outcome, &job.source, &job.names[..])
        {
            metrics::message_delivered(label::Consumer::Webhook, job.id.0.timestamp_ms(), self.cx.shared.clock.now());
        }
        if attempt.gone && !self.gone {
            info!(
                event = "webhook_gone",
                webhook = self.cx.webhook.id,
                "the receiver says that it is gone: its webhook stops"
            );
            self.gone = true;
            self.write(Batch::default()).await?;
        }
        match &attempt.outcome {
            AttemptOutcome::Failed(refusal) => {
                debug!(webhook = self.cx.webhook.id, error = refusal.error, attempts = job.attempts, "not taken");
                self.health().last_error.clone_from(&refusal.error);
            }
            // What was wrong is over.
            AttemptOutcome::Taken => self.health().last_error.clear(),
        }
        #[expect(clippy::disallowed_methods, reason = "the queue's chance comes in here")]
        let chance = rand::random();
        let Settlement { done, parked } = self.queue.land(&lane, job.id, &attempt.outcome, began, now, chance);
        if let Some(done) = done {
            self.done(&done).await?;
        }
        for parked in parked {
            self.refused(parked).await?;
        }
        Ok(())
    }

    async fn done(&mut self, job: &Job) -> Result<(), StoreError> {
        match job.source {
            JobSource::Log => {
                self.dirty.get_or_insert_with(Instant::now);
                Ok(())
            }
            JobSource::News(_) => Ok(()),
            JobSource::Parked => {
                self.redriven.remove(&job.id);
                self.parked.remove(job.id);
                let mut batch = Batch::default();
                progress::delete_failure(&mut batch, &self.cx.webhook.id, job.id);
                self.write(batch).await
            }
        }
    }

    /// Writes the place, and `batch` in the same change. Nobody waits for it.
    async fn write(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        let place = WebhookPlace { cursor: self.queue.cursor(), done: self.queue.done().collect(), gone: self.gone };
        progress::put(&mut batch, &self.cx.webhook.id, &place);
        self.dirty = None;
        self.cx.session.store().write(batch).await?;
        Ok(())
    }

    fn report(&self) {
        let mut health = self.health();
        health.gone = self.gone;
        health.failures = self.queue.failures();
        health.owed = self.queue.owed();
        health.parked = self.parked.len();
    }

    fn health(&self) -> std::sync::MutexGuard<'_, ConsumerHealth> {
        lock(&self.cx.health)
    }
}

/// The chat whose order an event is part of.
fn lane(body: &EventBody) -> &str {
    body.chat()
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}
