//! What becomes of accepted messages: WhatsApp's word, failures, and another account.

use bytes::Bytes;
use prost::Message as _;

use super::{
    Outbox,
    record::{decode, encode, failure_of, next_page},
};
use crate::{
    message::{Delivery, Failure, FailureReason, FormerConversations, event_body::EventBody, log::PublishWhen},
    store::{Batch, OwnAccount, StoreError, key, records::OutboxRecord, space},
    telemetry::metrics,
};

impl Outbox {
    /// WhatsApp left an attempt to send it without an answer: the number of such attempts, over all lives; 0 when it is settled by now.
    /// Nobody waits for this.
    pub async fn note_attempt(&self, id: &str) -> Result<u32, StoreError> {
        let _writing = self.writing.lock().await;
        let Some(mut record) = self.record(id).await? else { return Ok(0) };
        if decode(record.state()) != Delivery::Accepted {
            return Ok(0);
        }
        record.attempts = record.attempts.saturating_add(1);
        let attempts = record.attempts;
        let mut batch = Batch::default();
        batch.put(space::OUTBOX, key::outbox(id), record.encode_to_vec());
        self.store.write(batch).await?;
        Ok(attempts)
    }

    /// Records WhatsApp's word on a message. Not waited for: if it is lost, WhatsApp repeats it or the message is sent
    /// again under its id. `by`: in a group, whose receipt it is (a jid). False when the message has already come this
    /// far, `None` when it was not accepted here.
    pub async fn progress(&self, id: &str, to: Delivery, by: Option<String>) -> Result<Option<bool>, StoreError> {
        self.advance(id, to, by, |_| None).await
    }

    /// It will not be sent, and why. False when it has been settled meanwhile, or is not ours.
    pub async fn fail(&self, id: &str, failure: Failure) -> Result<bool, StoreError> {
        Ok(self.advance(id, Delivery::Failed, None, |_| Some(failure)).await?.unwrap_or(false))
    }

    /// Its time is over.
    pub async fn expire(&self, id: &str) -> Result<bool, StoreError> {
        let reason = |record: &OutboxRecord| Some(self.unless_it_left(record, FailureReason::Expired).into());
        Ok(self.advance(id, Delivery::Failed, None, reason).await?.unwrap_or(false))
    }

    /// The tenant becomes another account, or nobody's. One change, durable when this returns: whole messages of the former account are
    /// gone, and what it still had to send has failed. That stays known, so that a repeat under its idempotency key is not sent by the
    /// new one. Run it in a task of its own, which nobody drops.
    pub async fn change_account(
        &self,
        former: OwnAccount,
        new: Option<&OwnAccount>,
        conversations: FormerConversations,
    ) -> Result<(), StoreError> {
        let writing = self.writing.lock().await;
        let changed =
            |new: &OwnAccount| EventBody::AccountChanged { from: former.number.clone(), to: new.number.clone() };
        let mut news: Vec<_> = new.map(changed).into_iter().collect();
        let mut batch = Batch::default();
        let mut after = None;
        loop {
            let page = next_page(&self.store, &mut after).await?;
            if page.is_empty() {
                break;
            }
            for (mut record, _) in page {
                if decode(record.state()) == Delivery::Accepted {
                    let failure = FailureReason::OtherAccount.into();
                    news.push(self.settle(&mut record, Delivery::Failed, None, Some(failure)));
                }
                // Whoever repeats a request must not send it again, now from the new account: its id stays for as long as others do, and by
                // what it was asked for.
                let remnant = remnant(record, conversations);
                batch.put(space::OUTBOX, key::outbox(&remnant.id), remnant.encode_to_vec());
            }
        }
        // The courier finds out by itself if this ends here: there is nothing to send under these ids.
        let (change, deleted) = self.log.change_account(batch, former, new, conversations, news).await?;
        self.backlog().clear();
        // Nobody else waits for the vault here: what comes now is the new account's.
        drop(writing);
        self.log.settle_account(change, deleted).await
    }

    /// What becomes of a record, and the event that says so.
    pub(super) fn settle(
        &self,
        record: &mut OutboxRecord,
        status: Delivery,
        by: Option<String>,
        failure: Option<Failure>,
    ) -> EventBody {
        record.set_state(encode(status));
        record.updated_at_ms = self.clock.now().as_millisecond();
        record.failure = failure.as_ref().map(|failure| failure.reason.as_str().to_owned());
        failure.iter().for_each(|failure| metrics::message_failed(failure.reason.into()));
        record.failure_code = failure.as_ref().and_then(|failure| failure.code).map(u32::from);
        EventBody::Status { message_id: record.id.clone(), chat: record.chat.clone(), status, by, failure }
    }

    async fn advance(
        &self,
        id: &str,
        to: Delivery,
        by: Option<String>,
        failure: impl FnOnce(&OutboxRecord) -> Option<Failure>,
    ) -> Result<Option<bool>, StoreError> {
        let _writing = self.writing.lock().await;
        let Some(mut record) = self.record(id).await? else { return Ok(None) };
        if record.chat.is_empty() {
            // It was a former account's, and is deleted but for its id.
            return Ok(Some(false));
        }
        let from = decode(record.state());
        // WhatsApp's word counts more than its silence.
        let was_unsure =
            from == Delivery::Failed && failure_of(&record).is_some_and(|failure| failure.may_have_arrived());
        let is_news = match to {
            Delivery::Failed => from == Delivery::Accepted,
            to => from < to || was_unsure,
        };
        if !is_news {
            return Ok(Some(false));
        }
        let failure = failure(&record);
        if to != Delivery::Failed && record.sent_at_ms == 0 {
            record.sent_at_ms = self.clock.now().as_millisecond();
        }
        // A receipt may come before WhatsApp's own answer, which says nothing new after it. No step is left out.
        let mut events = Vec::with_capacity(2);
        for step in from.steps_until(to) {
            let by = by.clone().filter(|_| step != Delivery::Sent);
            events.push(self.settle(&mut record, step, by, None));
        }
        events.push(self.settle(&mut record, to, by, failure));
        let mut batch = Batch::default();
        batch.put(space::OUTBOX, key::outbox(id), record.encode_to_vec());
        self.log.commit(batch, events, PublishWhen::AtOnce).await?;
        self.backlog().remove(id);
        self.log.publish();
        Ok(Some(true))
    }
}

/// What stays of a settled message when the tenant becomes another account: not its text, and of one that is to be deleted no more than
/// it takes to know a repeat.
fn remnant(record: OutboxRecord, conversations: FormerConversations) -> OutboxRecord {
    let (message, audience) = (Bytes::new(), Vec::new());
    match conversations {
        FormerConversations::Keep => OutboxRecord { message, audience, ..record },
        FormerConversations::Delete => OutboxRecord {
            id: record.id,
            body_digest: record.body_digest,
            state: record.state,
            failure: record.failure,
            failure_code: record.failure_code,
            accepted_at_ms: record.accepted_at_ms,
            ..OutboxRecord::default()
        },
    }
}
