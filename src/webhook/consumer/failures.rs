//! The failures of a webhook: parks what the receiver refuses, records what retention took before it was delivered, and sends failures
//! once more. Each is written in one change with the place behind it.

use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::{DeliveryLoop, Redrive, lane};
use crate::{
    message::EventId,
    store::{Batch, StoreError},
    telemetry::metrics,
    webhook::{
        progress::{self, ParkedDelivery, What},
        queue::{Job, JobSource},
    },
};

impl DeliveryLoop<'_> {
    /// The receiver refuses this one while it takes others.
    pub(super) async fn refused(&mut self, job: Job) -> Result<(), StoreError> {
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
    pub(super) async fn note_gap(&mut self, up_to: EventId, after: Option<EventId>) -> Result<(), StoreError> {
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

    pub(super) async fn redrive(&mut self, redrive: Redrive) -> Result<(), StoreError> {
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
}

/// Deletes failures for which there is no room.
pub(super) fn give_up(batch: &mut Batch, webhook: &str, oldest: Vec<EventId>) {
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
