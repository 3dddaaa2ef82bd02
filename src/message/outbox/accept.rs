//! Accepts messages: a caller's, and what a bot decided. Each is written whole, in one change with its event.

use std::collections::HashMap;

use prost::Message as _;
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    Acceptance, BotDecision, Outbox, OutboxError, Outgoing, WaitingMessage, lane_of,
    record::{decode, encode, failure_of, millis, order_of, parcel_of, text_digest, timestamp_of, timing_of, user_of},
};
use crate::{
    journal::ChangeNo,
    message::{Delivery, FailureReason, event_body::EventBody, log::PublishWhen},
    store::{StoreError, key, records::OutboxRecord, space},
    sync::lock,
};

impl Outbox {
    /// Returns when the message is durable; it is sent from then on without anybody's help. A repeat is answered when the first is
    /// durable, with what has become of it. Takes as long as the vault takes: run it in a task of its own, which nobody drops between
    /// the write and its publication.
    pub async fn accept(&self, mut outgoing: Outgoing) -> Result<Acceptance, OutboxError> {
        let (change, delivery, failure) = {
            let _writing = self.writing.lock().await;
            match self.record(&outgoing.message.id).await? {
                Some(known) if known.body_digest == outgoing.digest => {
                    outgoing.message.timestamp = timestamp_of(&known);
                    // What does not wait any more was durable before it was sent.
                    let waiting = self.backlog().get(&outgoing.message.id).map(|waiting| waiting.change);
                    (waiting.unwrap_or(ChangeNo::ZERO), decode(known.state()), failure_of(&known))
                }
                Some(_) => return Err(OutboxError::KeyReused),
                None if !self.has_room(outgoing.body.len()) => return Err(OutboxError::Full),
                None => {
                    let messages = vec![outgoing.clone()];
                    let change = self.write(BotDecision { messages, ..BotDecision::default() }).await?;
                    (change, Delivery::Accepted, None)
                }
            }
        };
        let _wait = self.note_wait();
        self.log.wait_and_publish(change).await.map_err(OutboxError::Unconfirmed)?;
        Ok(Acceptance { message: outgoing.message, delivery, failure })
    }

    /// Writes what a bot decided: what it keeps, what happened, and what it says, as one change. A message that is known already was
    /// said before, and is left out; another one under its id is refused, with all of the decision. Nobody waits for the vault here:
    /// what is said is sent when it is durable, and [`crate::message::Log::wait_and_publish`] publishes.
    pub async fn decide(&self, mut decision: BotDecision) -> Result<ChangeNo, OutboxError> {
        let _writing = self.writing.lock().await;
        let mut fresh = Vec::with_capacity(decision.messages.len());
        for message in std::mem::take(&mut decision.messages) {
            let id = &message.message.id;
            // The same may be said twice in one decision, too.
            let known = match fresh.iter().find(|fresh: &&Outgoing| fresh.message.id == *id) {
                Some(fresh) => Some(fresh.digest.to_vec()),
                None => self.record(id).await?.map(|record| record.body_digest),
            };
            match known {
                None => fresh.push(message),
                Some(digest) if digest == message.digest => {}
                Some(_) => return Err(OutboxError::KeyReused),
            }
        }
        decision.messages = fresh;
        if !self.may_withdraw(&decision.withdraws).await? {
            return Err(OutboxError::OnItsWay);
        }
        let mut withdrawn = self.backlog().withdraw_all(&decision.withdraws).ok_or(OutboxError::OnItsWay)?;
        withdrawn.extend(self.backlog().withdraw(&decision.supersedes));
        let written = self.withdraw_and_write(decision, &withdrawn).await;
        if written.is_err() {
            let mut backlog = self.backlog();
            withdrawn.into_iter().for_each(|(order, waiting)| backlog.add(order, waiting));
            drop(backlog);
            // The courier may have found the chat empty meanwhile.
            self.news.notify_one();
        }
        Ok(written?)
    }

    async fn withdraw_and_write(
        &self,
        mut decision: BotDecision,
        withdrawn: &[(Ulid, WaitingMessage)],
    ) -> Result<ChangeNo, StoreError> {
        let mut news = Vec::new();
        for (_, waiting) in withdrawn {
            let Some(mut record) = self.record(&waiting.id).await? else { continue };
            if decode(record.state()) != Delivery::Accepted {
                continue;
            }
            let reason = self.unless_it_left(&record, FailureReason::Superseded);
            news.push(self.settle(&mut record, Delivery::Failed, None, Some(reason.into())));
            decision.batch.put(space::OUTBOX, key::outbox(&record.id), record.encode_to_vec());
        }
        decision.events.splice(0..0, news);
        self.write(decision).await
    }

    /// Whether all of these can be withdrawn for certain: none is being sent, and none was ever attempted. False for
    /// messages that a former process accepted: it may have attempted them.
    pub async fn may_withdraw(&self, ids: &[String]) -> Result<bool, StoreError> {
        for id in ids {
            let Some(record) = self.record(id).await? else { return Ok(false) };
            let is_fresh = record.attempts == 0 && order_of(&record) > self.inherited;
            if !is_fresh || decode(record.state()) != Delivery::Accepted || self.backlog().is_begun(id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The reason to record for a message that is no longer sent. `Unconfirmed` if it was ever on the wire, or if a
    /// former process accepted it: that one may have died before it counted the attempt.
    pub(super) fn unless_it_left(&self, record: &OutboxRecord, reason: FailureReason) -> FailureReason {
        match record.attempts {
            0 if order_of(record) > self.inherited => reason,
            _ => FailureReason::Unconfirmed,
        }
    }

    /// Under `writing`. None of the messages is known.
    async fn write(&self, decision: BotDecision) -> Result<ChangeNo, StoreError> {
        let BotDecision { mut batch, mut events, messages, .. } = decision;
        let now = self.clock.now();
        let meetings = self.backlog().meetings();
        let mut names = Vec::with_capacity(messages.len());
        for outgoing in &messages {
            names.push(self.store.names(&outgoing.message.addressed.chat).await?);
        }
        let mut entries = Vec::with_capacity(messages.len());
        let mut dues: HashMap<String, i64> = HashMap::new();
        for (outgoing, names) in messages.into_iter().zip(&names) {
            let order = self.backlog().take_order(now.into());
            // What goes before it is said first. Only what takes its time looks for that through all that waits in the chat.
            let due = outgoing.manner.map(|_| {
                let before = || names.iter().filter_map(|name| self.backlog().last_due(name)).max().unwrap_or_default();
                dues.entry(names[0].clone()).or_insert_with(before)
            });
            let record = self.entry(&outgoing, order, due.as_deref().copied().unwrap_or_default());
            if let Some(due) = due {
                *due = record.due_at_ms.max(*due);
            }
            batch.put(space::OUTBOX, key::outbox(&record.id), record.encode_to_vec());
            events.push(EventBody::Sent { message: outgoing.message });
            entries.push((order, record));
        }
        let change = self.log.commit(batch, events, PublishWhen::WhenDurable).await?;
        let has_met = {
            let mut backlog = self.backlog();
            for ((order, record), names) in entries.iter().zip(&names) {
                let chat = lane_of(&backlog, names);
                let (expires_at_ms, from_bot, timing) = (record.expires_at_ms, record.from_bot, timing_of(record));
                let (id, parcel, bytes) = (record.id.as_str().into(), parcel_of(record), record.encoded_len());
                backlog
                    .add(*order, WaitingMessage { id, chat, expires_at_ms, change, from_bot, timing, parcel, bytes });
            }
            backlog.meetings() != meetings
        };
        for (_, record) in entries.iter().filter(|_| has_met) {
            // Its other name may have been learned since the store was asked for it. A store that fails now ends the session: what was
            // accepted is not called refused for it.
            if let Ok(names) = self.store.names(&record.chat).await
                && let [first, others @ ..] = names.as_slice()
            {
                others.iter().for_each(|other| self.join(other, first));
            }
        }
        self.news.notify_one();
        Ok(change)
    }

    /// `after_ms`: when what goes before it in its chat is due.
    fn entry(&self, outgoing: &Outgoing, order: Ulid, after_ms: i64) -> OutboxRecord {
        let time = self.clock.now();
        let now = time.as_millisecond();
        // By the clock that will judge it: so one that is wrong all the time neither shortens nor lengthens it.
        let certain_ms = self.clock.certain(time).as_millisecond();
        let ttl = outgoing.ttl.map_or(self.ttl, |ttl| ttl.min(self.ttl));
        // One that may wait for a moment only does not wait for all of it to look human.
        let latest = now.saturating_add(millis(ttl / 2));
        let timing = outgoing.manner.map(|manner| manner.timing(now.max(after_ms), latest)).unwrap_or_default();
        OutboxRecord {
            id: outgoing.message.id.clone(),
            chat: outgoing.message.addressed.chat.clone(),
            message: outgoing.body.clone(),
            idempotency_key: outgoing.key.clone(),
            body_digest: outgoing.digest.to_vec(),
            accepted_at_ms: now,
            updated_at_ms: now,
            order: order.to_bytes().to_vec(),
            state: encode(Delivery::Accepted).into(),
            audience: outgoing.audience.clone(),
            account: user_of(&outgoing.message.sender).to_owned(),
            expires_at_ms: certain_ms.saturating_add(millis(ttl)),
            from_bot: outgoing.from_bot,
            read_at_ms: timing.read_at_ms,
            typing_ms: timing.typing_ms,
            due_at_ms: timing.due_at_ms,
            is_notice: outgoing.is_notice,
            is_first_contact: outgoing.is_first_contact,
            text_digest: text_digest(outgoing.message.content.text()),
            timestamp: outgoing.message.timestamp,
            ..OutboxRecord::default()
        }
    }

    fn note_wait(&self) -> Wait<'_> {
        let mut waits = lock(&self.waits);
        let number = waits.keys().next_back().map_or(0, |last| last + 1);
        waits.insert(number, Instant::now());
        Wait { outbox: self, number }
    }
}

/// An acceptance that waits for the vault.
struct Wait<'a> {
    outbox: &'a Outbox,
    number: u64,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        lock(&self.outbox.waits).remove(&self.number);
    }
}
