//! One webhook at work: reads the tenant's log from its place on, delivers, writes down how far it has come.
//!
//! The place is written a little later than it is reached, so that it rides along with what goes to the vault anyway; after a
//! crash the last events are delivered once more, under the same ids. A failure is written in one change with the place behind it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, broadcast::error::RecvError, mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use ulid::Ulid;

use super::{
    WebhookContext,
    delivery::{self, Attempt},
    parked::Parked,
    progress::{self, ParkedDelivery, WebhookPlace, What},
    queue::{AttemptOutcome, Job, JobSource, Queue, Settlement},
    settings::Webhook,
};
use crate::{
    message::{EventBody, EventId, FeedItem},
    session::Session,
    store::{Batch, StoreError},
    sync::lock,
    telemetry::{
        metrics::{self, label},
        traces::{self, SpanName},
    },
    waha::{self, Envelope, EventName, Payload},
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

/// Presences that wait for a receiver; the oldest give way.
const MAX_PRESENCES: usize = 16;

/// Their lane: no chat has this name.
const PRESENCES: &str = "presences";

/// The same of receipts that are in no log.
const MAX_RECEIPTS: usize = 256;
const RECEIPTS: &str = "receipts";

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
                    Ok(FeedItem::Presence(chat)) => self.owe_presence(&chat),
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
        if let AttemptOutcome::Failed(refusal) = &attempt.outcome {
            debug!(webhook = self.cx.webhook.id, error = refusal.error, attempts = job.attempts, "not taken");
            self.health().last_error.clone_from(&refusal.error);
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

    /// The receiver refuses this one while it takes others.
    async fn refused(&mut self, job: Job) -> Result<(), StoreError> {
        let (status, error) = job.refusal.map_or((None, String::new()), |refusal| (refusal.status, refusal.error));
        let body = match &job.source {
            JobSource::News(_) => {
                debug!(webhook = self.cx.webhook.id, error, "a presence was not delivered");
                return Ok(());
            }
            JobSource::Log => self.cx.session.event(job.id).await?.map(|event| event.body),
            JobSource::Parked => {
                self.redriven.remove(&job.id);
                match progress::failure(self.cx.session.store(), &self.cx.webhook.id, job.id).await?.map(|old| old.what)
                {
                    Some(What::Refused { body, .. }) => Some(*body),
                    _ => return Ok(()),
                }
            }
        };
        let what = match body {
            Some(body) => {
                let names = job.names.iter().map(|name| name.as_str().to_owned()).collect();
                What::Refused { names, body: Box::new(body) }
            }
            None => What::Gap { after: None },
        };
        warn!(
            event = "webhook_event_parked",
            webhook = self.cx.webhook.id,
            event.id = %job.id,
            error,
            "the receiver refuses an event: parked"
        );
        self.park(job.id, what, job.attempts, status, error).await
    }

    /// Retention was faster: of the events after `after`, up to `up_to`, some are gone. One record for all that goes on like this.
    async fn note_gap(&mut self, up_to: EventId, after: Option<EventId>) -> Result<(), StoreError> {
        let (up_to, after) = match self.gap {
            Some((known, begin)) => {
                let mut batch = Batch::default();
                progress::delete_failure(&mut batch, &self.cx.webhook.id, known);
                self.parked.remove(known);
                self.write(batch).await?;
                (up_to.max(known), begin)
            }
            None => {
                warn!(
                    event = "webhook_events_lost",
                    webhook = self.cx.webhook.id,
                    ?after,
                    %up_to,
                    "retention was faster than a webhook's receiver"
                );
                (up_to, after)
            }
        };
        self.gap = Some((up_to, after));
        self.park(up_to, What::Gap { after }, 0, None, "no longer in the log".into()).await
    }

    /// Writes a failure down, with the place behind it.
    async fn park(
        &mut self,
        id: EventId,
        what: What,
        attempts: u32,
        status: Option<u16>,
        error: String,
    ) -> Result<(), StoreError> {
        metrics::webhook_parked();
        let parked_at = self.cx.shared.clock.now();
        let failure = ParkedDelivery { id, what, attempts, status, error, parked_at };
        let mut batch = Batch::default();
        let bytes = progress::put_failure(&mut batch, &self.cx.webhook.id, &failure);
        give_up(&mut batch, &self.cx.webhook.id, self.parked.add(id, bytes));
        self.write(batch).await
    }

    /// Writes the place, and `batch` in the same change. Nobody waits for it.
    async fn write(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        let place = WebhookPlace { cursor: self.queue.cursor(), done: self.queue.done().collect(), gone: self.gone };
        progress::put(&mut batch, &self.cx.webhook.id, &place);
        self.dirty = None;
        self.cx.session.store().write(batch).await?;
        Ok(())
    }

    async fn redrive(&mut self, redrive: Redrive) -> Result<(), StoreError> {
        let ids = match redrive.id {
            // Nothing goes out until the settings are put again.
            _ if self.gone => Vec::new(),
            Some(id) => vec![id],
            None => self.parked.ids(),
        };
        let mut count = 0;
        for id in ids {
            let found = progress::failure(self.cx.session.store(), &self.cx.webhook.id, id).await?;
            let Some(failure) = found.filter(|_| !self.redriven.contains(&id)) else { continue };
            let names = failure.names();
            if let What::Refused { body, .. } = &failure.what
                && !names.is_empty()
            {
                self.redriven.insert(id);
                let job = Job { id, source: JobSource::Parked, names, attempts: 0, refusal: None };
                self.queue.push(lane(body), job, Instant::now());
                count += 1;
            }
        }
        // Whoever asked may be gone.
        let _ = redrive.answer.send(count);
        Ok(())
    }

    fn owe_presence(&mut self, chat: &str) {
        if !self.cx.webhook.wants(EventName::PresenceUpdate) || self.gone {
            return;
        }
        let Some(shown) = self.cx.session.shown(chat) else { return };
        let payload = Arc::new(Payload::Presence(waha::person::Presences::new(chat, &shown)));
        let id = EventId(Ulid::from_datetime(self.cx.shared.clock.now().into()));
        let (source, names) = (JobSource::News(payload), vec![EventName::PresenceUpdate]);
        let job = Job { id, source, names, attempts: 0, refusal: None };
        self.queue.push_bounded(PRESENCES, job, Instant::now(), MAX_PRESENCES);
    }

    /// Of a group's members, but for the first, of whom the log tells under both names.
    fn owe_receipt(&mut self, receipt: &EventBody) {
        let Some(name) = waha::names(receipt).last().copied().filter(|name| self.cx.webhook.wants(*name)) else {
            return;
        };
        if self.gone {
            return;
        }
        let (me, session) = (self.cx.session.me().unwrap_or_default(), self.cx.session.tenant().as_str());
        let source = waha::Source::Api;
        let view = waha::View { me: &me, source, delivery: None, failure: None, media_url: None };
        let payload = Arc::new(waha::payload(session, receipt, name, view));
        let id = EventId(Ulid::from_datetime(self.cx.shared.clock.now().into()));
        let job = Job { id, source: JobSource::News(payload), names: vec![name], attempts: 0, refusal: None };
        self.queue.push_bounded(RECEIPTS, job, Instant::now(), MAX_RECEIPTS);
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

/// What an attempt needs, apart from the consumer.
struct DeliveryAttempt {
    session: Session,
    shared: Arc<WebhookContext>,
    deliveries: Arc<Semaphore>,
    at_host: Arc<Semaphore>,
    webhook: Arc<Webhook>,
    metadata: Arc<Value>,
}

impl DeliveryAttempt {
    async fn run(self, lane: Arc<str>, job: Job) -> Landed {
        // First the tenant's own limit, then the common one: so a tenant has at most its share in the common queue. Outside both, since
        // a host may let us wait; and the tenant's limit at the host first, so that it has at most its share of the host's places
        // while it waits for its own.
        let _host = self.shared.hosts.turn(&self.webhook.url, job.attempts > 0, &self.at_host).await;
        let _own = self.deliveries.acquire().await;
        let _common = self.shared.deliveries.acquire().await;
        let began = Instant::now();
        let landing = match self.body(&job).await {
            Err(error) => Landing::Unreadable(error),
            Ok(None) => Landing::Missing,
            Ok(Some((body, message))) => {
                let id = waha::event_id(job.id, job.names[0]);
                let now = self.shared.clock.now();
                let attempt = delivery::attempt(&self.shared.outbound, &self.webhook, &id, body, now).await;
                if let (AttemptOutcome::Taken, Some(message)) = (&attempt.outcome, message) {
                    traces::message(self.session.tenant(), &message, SpanName::OnWebhook, began.elapsed());
                }
                Landing::Attempted(attempt)
            }
        };
        Landed { lane, job, began, landing }
    }

    /// The body of the request, and for a trace the id of the message that it brings; `None`: what it speaks of is gone.
    async fn body(&self, job: &Job) -> Result<Option<(Bytes, Option<String>)>, StoreError> {
        let event = match &job.source {
            JobSource::News(news) => return Ok(Some((self.envelope(job, (**news).clone()), None))),
            JobSource::Log => self.session.event(job.id).await?.map(|event| event.body),
            JobSource::Parked => {
                let failure = progress::failure(self.session.store(), &self.webhook.id, job.id).await?;
                failure.and_then(|failure| match failure.what {
                    What::Refused { body, .. } => Some(*body),
                    What::Gap { .. } => None,
                })
            }
        };
        let Some(event) = event else { return Ok(None) };
        let payload = self.payload(&event, job.names[0]).await?;
        let message = event.message().filter(|_| traces::is_on()).map(|message| message.id.clone());
        Ok(Some((self.envelope(job, payload), message)))
    }

    async fn payload(&self, event: &EventBody, name: EventName) -> Result<Payload, StoreError> {
        let me = self.session.me().unwrap_or_default();
        let delivery = match event {
            EventBody::Sent { message } => self.session.delivery(&message.id).await?,
            _ => None,
        };
        let source = if delivery.is_some() { waha::Source::Api } else { waha::Source::App };
        let url = event.message().and_then(|message| self.session.file_url(message));
        let session = self.session.tenant().as_str();
        Ok(waha::payload(
            session,
            event,
            name,
            waha::View { me: &me, source, delivery, failure: None, media_url: url.as_deref() },
        ))
    }

    fn envelope(&self, job: &Job, payload: Payload) -> Bytes {
        let me = waha::Me::of(&self.session.status());
        let tenant = self.session.tenant().as_str();
        let envelope = Envelope::new(job.id, job.names[0], tenant, &self.metadata, me, payload);
        serde_json::to_vec(&envelope).expect("an envelope is plain data, which JSON always takes").into()
    }
}

/// The chat whose order an event is part of.
fn lane(body: &EventBody) -> &str {
    body.chat()
}

/// Failures for which there is no room.
fn give_up(batch: &mut Batch, webhook: &str, oldest: Vec<EventId>) {
    for event in oldest {
        error!(
            event = "webhook_failures_dropped",
            webhook,
            event.id = %event,
            "too many failures: the oldest is given up"
        );
        progress::delete_failure(batch, webhook, event);
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}
