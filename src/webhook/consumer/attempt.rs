//! One attempt at a delivery, apart from the consumer: waits for its turn, reads what it brings, and posts it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::{sync::Semaphore, time::Instant};

use super::{Landed, Landing};
use crate::{
    message::EventBody,
    session::Session,
    store::StoreError,
    telemetry::traces::{self, SpanName},
    waha::{self, Envelope, EventName, Payload},
    webhook::{
        WebhookContext, delivery,
        progress::{self, What},
        queue::{AttemptOutcome, Job, JobSource},
        settings::Webhook,
    },
};

/// The needs of an attempt, apart from the consumer.
pub(super) struct DeliveryAttempt {
    pub(super) session: Session,
    pub(super) shared: Arc<WebhookContext>,
    pub(super) deliveries: Arc<Semaphore>,
    pub(super) at_host: Arc<Semaphore>,
    pub(super) webhook: Arc<Webhook>,
    pub(super) metadata: Arc<Value>,
}

impl DeliveryAttempt {
    pub(super) async fn run(self, lane: Arc<str>, job: Job) -> Landed {
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
