//! The outbox: what goes. A message is accepted when it is durable, whole: its id, its text, its secrets; so a repeat after a
//! crash is the same message. It is settled by WhatsApp's ack or a receipt, or fails with a reason. Owns the outbox records and
//! their order; does not send.
//!
//! What was written once is not taken back. A caller that is not told of its message in time learns that the outcome is unknown.

mod backlog;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use ulid::Ulid;

use self::backlog::Backlog;
pub use self::backlog::{BacklogSize, WaitingMessage};
use super::{
    Delivery, Failure, FailureReason, FormerConversations, Message,
    event_body::EventBody,
    log::{Log, PublishWhen},
};
use crate::{
    clock::Clock,
    humanize::{Manner, Timing},
    journal::{ChangeNo, JournalClosedError},
    pacing::{self, Parcel},
    store::{
        Batch, OwnAccount, Store, StoreError,
        key::{self, Key},
        records::{OutboxRecord, OutboxState},
        space,
    },
    telemetry::metrics,
};

/// KiB of messages that may wait for the vault at the same time, to be accepted. Each counts as one at least.
const ROOM_KIB: u32 = 16 * 1024;

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub message: Message,
    /// The whole protobuf, with its message secret.
    pub body: Bytes,
    /// Of what the consumer asked for, to tell a repeat from another message under the same key.
    pub digest: [u8; 32],
    /// The consumer's idempotency key.
    pub key: Option<String>,
    /// Jids of those whom a status goes to; of other messages their chat says it.
    pub audience: Vec<String>,
    /// How long it may wait to be sent, when that is less than usual.
    pub ttl: Option<Duration>,
    /// A bot says it.
    pub from_bot: bool,
    /// How it is said, when that takes its time.
    pub manner: Option<Manner>,
    /// It answers nobody.
    pub is_notice: bool,
    /// To whoever never wrote, and was never written to.
    pub is_first_contact: bool,
}

/// What a bot decided of a chat: one change, however much it is.
#[derive(Default)]
pub struct BotDecision {
    /// What the bot keeps of it.
    pub batch: Batch,
    /// What else happened, before the messages.
    pub events: Vec<EventBody>,
    pub messages: Vec<Outgoing>,
    /// All names of a chat in which somebody else speaks now: what bots said there and nobody has begun to send is not sent any more.
    pub supersedes: Vec<String>,
    /// Ids of what is said in another way now, and is not sent. All of them, or the decision is refused: one may be on its way.
    pub withdraws: Vec<String>,
}

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// Nothing was written.
    #[error("what was to be taken back may have left")]
    OnItsWay,
    /// As many bytes as may wait to be sent. Nothing was written.
    #[error("as much waits to be sent as may")]
    Full,
    /// Nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was written here. Nobody knows whether the vault has it, and so whether the next owner sends it.
    #[error("the vault did not confirm the message: {0}")]
    Unconfirmed(JournalClosedError),
}

/// A message that WhatsApp has not confirmed.
#[derive(Debug, Clone)]
pub struct Unsettled {
    pub id: String,
    /// A jid.
    pub chat: String,
    pub body: Bytes,
    /// As [`Outgoing::audience`].
    pub audience: Vec<String>,
    /// The phone number of the account for which it was accepted; empty: an older build accepted it.
    pub account: String,
    pub expires_at_ms: i64,
    /// That WhatsApp left without an answer.
    pub attempts: u32,
}

/// What a consumer is answered that wants something sent.
#[derive(Debug, Clone)]
pub struct Acceptance {
    pub message: Message,
    /// How far it has come. A repeat is told of the first.
    pub delivery: Delivery,
    /// Why it is not sent any more.
    pub failure: Option<Failure>,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub digest: Vec<u8>,
    /// A jid; empty: the message was a former account's, and nothing but its id is left.
    pub chat: String,
    /// As [`Unsettled::account`].
    pub account: String,
    pub delivery: Delivery,
    /// As [`Acceptance::failure`].
    pub failure: Option<Failure>,
    pub body: Bytes,
    /// As [`Outgoing::audience`].
    pub audience: Vec<String>,
    /// Since when WhatsApp has it, Unix milliseconds; `None`: it still waits to be sent.
    pub sent_at_ms: Option<i64>,
}

pub struct Outbox {
    store: Arc<Store>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    /// How long a message waits to be sent.
    ttl: Duration,
    /// Bytes that may wait to be sent.
    waiting_bytes: usize,
    /// Held from reading a record to writing it.
    writing: Mutex<()>,
    backlog: SyncMutex<Backlog>,
    /// The last that a former process accepted.
    inherited: Ulid,
    /// Something new is in the backlog.
    news: Notify,
    room: Arc<Semaphore>,
    /// Since when the acceptances wait that the vault has not confirmed.
    waits: SyncMutex<BTreeMap<u64, Instant>>,
}

impl Outbox {
    /// Reads what a former process has accepted and not sent: before anything new is accepted.
    pub async fn open(
        store: Arc<Store>,
        log: Arc<Log>,
        clock: Arc<dyn Clock>,
        ttl: Duration,
        waiting_bytes: usize,
    ) -> Result<Self, StoreError> {
        let mut backlog = Backlog::default();
        let mut after = None;
        loop {
            let mut page = next_page(&store, &mut after).await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|(record, _)| backlog.know(order_of(record)));
            page.retain(|(record, _)| decode(record.state()) == Delivery::Accepted);
            if page.is_empty() {
                continue;
            }
            let names = store.names_of_each(page.iter().map(|(record, _)| record.chat.clone()).collect()).await?;
            for ((record, bytes), names) in page.into_iter().zip(names) {
                let (expires_at_ms, chat) = (expiry(&record, ttl), lane_of(&backlog, &names));
                let (change, from_bot, timing) = (ChangeNo::ZERO, record.from_bot, timing_of(&record));
                let (id, parcel) = (record.id.as_str().into(), parcel_of(&record));
                let waiting = WaitingMessage { id, chat, expires_at_ms, change, from_bot, timing, parcel, bytes };
                backlog.add(order_of(&record), waiting);
            }
        }
        Ok(Self {
            store,
            log,
            clock,
            ttl,
            waiting_bytes,
            writing: Mutex::new(()),
            inherited: backlog.last(),
            backlog: SyncMutex::new(backlog),
            news: Notify::new(),
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
            waits: SyncMutex::default(),
        })
    }

    /// Room for a message of so many bytes, to be held while it is accepted. Bounds what waits when the vault stalls.
    pub async fn room(&self, bytes: usize) -> OwnedSemaphorePermit {
        let kib = u32::try_from(bytes / 1024).unwrap_or(ROOM_KIB).clamp(1, ROOM_KIB);
        self.room.clone().acquire_many_owned(kib).await.expect("nobody closes the room")
    }

    /// Whether a message of so many bytes may wait to be sent beside those that wait. What a bot decides is not asked: it answers
    /// what has come, and is no flood.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.backlog().has_room(bytes, self.waiting_bytes)
    }

    /// Whether an acceptance waits for the vault for longer than that: the next would, too.
    pub fn is_stalled(&self, limit: Duration) -> bool {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.values().next().is_some_and(|since| since.elapsed() > limit)
    }

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
    /// what is said is sent when it is durable, and [`Log::wait_and_publish`] publishes.
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

    /// Whether a bot's reply waits for its time in a chat.
    pub fn is_replying(&self, chat: &str) -> bool {
        self.backlog().is_replying(chat)
    }

    /// The reason to record for a message that is no longer sent. `Unconfirmed` if it was ever on the wire, or if a
    /// former process accepted it: that one may have died before it counted the attempt.
    fn unless_it_left(&self, record: &OutboxRecord, reason: FailureReason) -> FailureReason {
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

    /// Returns when something new is to be sent: [`Self::fresh_chats`] says where. For one listener.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Chats that have got something to send since this was last asked; at first all.
    pub fn fresh_chats(&self) -> Vec<Arc<str>> {
        self.backlog().take_fresh()
    }

    /// Two names are one person's: what waits under both goes in one order from now on.
    pub fn join(&self, from: &str, into: &str) {
        if self.backlog().join(from, into) {
            self.news.notify_one();
        }
    }

    /// Chats that have become one with another since this was last asked: which, and with which.
    pub fn joined_chats(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.backlog().take_joined()
    }

    /// What has left since then, the oldest first: when, Unix milliseconds, and what counts of it.
    pub async fn left_since(&self, since_ms: i64) -> Result<Vec<(i64, Parcel)>, StoreError> {
        let (mut left, mut after) = (Vec::new(), None);
        loop {
            let page = next_page(&self.store, &mut after).await?;
            if page.is_empty() {
                break;
            }
            let counted = page.iter().filter(|(record, _)| record.sent_at_ms >= since_ms && !record.chat.is_empty());
            left.extend(counted.map(|(record, _)| (record.sent_at_ms, parcel_of(record))));
        }
        left.sort_unstable_by_key(|(at, _)| *at);
        Ok(left)
    }

    /// A message that waits to be sent.
    pub fn waiting(&self, id: &str) -> Option<WaitingMessage> {
        self.backlog().get(id).cloned()
    }

    /// First messages to strangers that wait.
    pub fn waiting_strangers(&self) -> usize {
        self.backlog().first_contacts()
    }

    /// Looks at every waiting chat again: the limits have changed.
    pub fn look_anew(&self) {
        self.backlog().look_anew(|_| true);
        self.news.notify_one();
    }

    /// The same of what kept first messages to strangers back.
    pub fn look_anew_at_strangers(&self) {
        self.backlog().look_anew(|waiting| waiting.parcel.is_first_contact);
        self.news.notify_one();
    }

    /// How much waits, and since when.
    pub fn backlogged(&self) -> BacklogSize {
        self.backlog().backlogged()
    }

    /// Chats in which something was taken back since this was last asked.
    pub fn withdrawn_chats(&self) -> Vec<Arc<str>> {
        self.backlog().take_withdrawn()
    }

    /// Something is still to be sent, or to be acknowledged.
    pub fn is_waiting(&self) -> bool {
        !self.backlog().is_empty()
    }

    /// The message of a chat that goes next.
    pub fn head(&self, chat: &str) -> Option<WaitingMessage> {
        self.backlog().head(chat).cloned()
    }

    /// What expires first, of all that are not `busy`.
    pub fn first_to_expire(&self, busy: impl Fn(&WaitingMessage) -> bool) -> Option<WaitingMessage> {
        self.backlog().first_to_expire(busy).cloned()
    }

    /// The time, Unix milliseconds, by which messages expire: see [`Clock::certain`]. What this process accepted tells nothing: it is stamped
    /// with the wall clock that is in doubt.
    pub fn certain_ms(&self) -> i64 {
        let last = i64::try_from(self.inherited.timestamp_ms()).unwrap_or_default();
        let known = Timestamp::from_millisecond(last).unwrap_or_default();
        self.clock.certain(known).as_millisecond()
    }

    /// Returns when the message is durable, and published.
    pub async fn await_durable(&self, waiting: &WaitingMessage) -> Result<(), JournalClosedError> {
        self.log.wait_and_publish(waiting.change).await
    }

    /// The message, if it still has to be sent.
    pub async fn unsettled(&self, id: &str) -> Result<Option<Unsettled>, StoreError> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        Ok((decode(record.state()) == Delivery::Accepted).then(|| Unsettled {
            expires_at_ms: expiry(&record, self.ttl),
            attempts: record.attempts,
            id: record.id,
            chat: record.chat,
            body: record.message,
            audience: record.audience,
            account: record.account,
        }))
    }

    /// The message, if it still has to be sent; from here until [`Self::end`] nobody takes it back.
    pub async fn begin(&self, id: &str) -> Result<Option<Unsettled>, StoreError> {
        if !self.backlog().begin(id) {
            return Ok(None);
        }
        self.unsettled(id).await
    }

    /// An attempt to send it is over, whatever came of it.
    pub fn end(&self, id: &str) {
        self.backlog().end(id);
    }

    /// Whether a message was said here, by a bot.
    pub async fn is_from_bot(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.record(id).await?.is_some_and(|record| record.from_bot))
    }

    /// Drops a message from the order whose record is missing: deleted by hand, or damaged.
    pub fn forget(&self, id: &str) {
        self.backlog().remove(id);
    }

    /// WhatsApp left an attempt to send it without an answer: the number of such attempts, over all lives; 0 when it is settled by now. Nobody
    /// waits for this.
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

    /// The tenant becomes another account, or nobody's. One change, durable when this returns: whole messages of the former account are gone, and
    /// what it still had to send has failed. That stays known, so that a repeat under its idempotency key is not sent by the new one.
    /// Run it in a task of its own, which nobody drops.
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
    fn settle(
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

    /// How far a message that was accepted here has come; `None`: it is not from here.
    pub async fn delivery(&self, id: &str) -> Result<Option<Delivery>, StoreError> {
        Ok(self.record(id).await?.map(|record| decode(record.state())))
    }

    /// When WhatsApp took a message from this process, Unix milliseconds; [`i64::MAX`]: it has not yet, or never will. `None`: nobody
    /// knows, since an earlier attempt may have arrived.
    pub async fn left_at(&self, id: &str) -> Result<Option<i64>, StoreError> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        if record.attempts > 0 || order_of(&record) <= self.inherited {
            return Ok(None);
        }
        Ok(Some(match (decode(record.state()), record.sent_at_ms) {
            (Delivery::Accepted | Delivery::Failed, _) => i64::MAX,
            (_, 0) => record.accepted_at_ms,
            (_, sent) => sent,
        }))
    }

    /// What was accepted under an id: the digest of what was asked for, its chat, and the whole protobuf.
    pub async fn accepted(&self, id: &str) -> Result<Option<Accepted>, StoreError> {
        Ok(self.record(id).await?.map(|record| Accepted {
            sent_at_ms: match (decode(record.state()), record.sent_at_ms) {
                (Delivery::Accepted, _) => None,
                (_, 0) => Some(record.accepted_at_ms),
                (_, sent) => Some(sent),
            },
            delivery: decode(record.state()),
            failure: failure_of(&record),
            account: record.account,
            digest: record.body_digest,
            chat: record.chat,
            body: record.message,
            audience: record.audience,
        }))
    }

    /// The whole protobuf of a message that was sent from here. `None` also when it is gone, and only known to have been.
    pub async fn body(&self, id: &str) -> Result<Option<Bytes>, StoreError> {
        let body = self.record(id).await?.map(|record| record.message);
        Ok(body.filter(|body| !body.is_empty()))
    }

    async fn record(&self, id: &str) -> Result<Option<OutboxRecord>, StoreError> {
        let value = self.store.get(space::OUTBOX, &key::outbox(id)).await?;
        value.map(parse).transpose()
    }

    /// Each change to it is a single step, so one that a panic has interrupted is still good.
    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_wait(&self) -> Wait<'_> {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.outbox.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// The lane of a conversation with these names, the current one first. If messages wait under an older name, that lane:
/// they were accepted first.
fn lane_of(backlog: &Backlog, names: &[String]) -> Arc<str> {
    let open = names.iter().find(|name| backlog.head(name).is_some());
    open.unwrap_or(&names[0]).as_str().into()
}

/// The next records after `after`, which becomes the last of them, each with its size. A backlog has more than should be in memory twice.
async fn next_page(store: &Store, after: &mut Option<Key>) -> Result<Vec<(OutboxRecord, usize)>, StoreError> {
    const PAGE: usize = 256;
    const PAGE_BYTES: usize = 1024 * 1024;
    let page = store.page(space::OUTBOX, after.as_deref(), PAGE, PAGE_BYTES).await?;
    if let Some((last, _)) = page.last() {
        *after = Some(last.clone());
    }
    let sized = page.into_iter().map(|(_, value)| (value.len(), value));
    sized.map(|(size, value)| Ok((parse(value)?, size))).collect()
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

/// One that cannot be read is not absent: it may be an accepted send.
fn parse(value: Bytes) -> Result<OutboxRecord, StoreError> {
    OutboxRecord::decode(value).map_err(|source| StoreError::Record { space: space::OUTBOX, source })
}

fn parcel_of(record: &OutboxRecord) -> Parcel {
    Parcel {
        recipient: pacing::recipient(&record.chat),
        text: record.text_digest,
        is_notice: record.is_notice,
        is_first_contact: record.is_first_contact,
    }
}

/// The same texts have the same; 0: there is none.
fn text_digest(text: &str) -> u64 {
    if text.trim().is_empty() {
        return 0;
    }
    let digest = Sha256::digest(text.trim());
    digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

fn timing_of(record: &OutboxRecord) -> Timing {
    Timing { read_at_ms: record.read_at_ms, typing_ms: record.typing_ms, due_at_ms: record.due_at_ms }
}

fn order_of(record: &OutboxRecord) -> Ulid {
    Ulid::from_bytes(record.order.as_slice().try_into().unwrap_or_default())
}

/// Older builds wrote none.
fn expiry(record: &OutboxRecord, ttl: Duration) -> i64 {
    match record.expires_at_ms {
        0 => record.accepted_at_ms.saturating_add(millis(ttl)),
        given => given,
    }
}

/// Unix seconds. Older builds wrote none.
fn timestamp_of(record: &OutboxRecord) -> i64 {
    match record.timestamp {
        0 => record.accepted_at_ms.div_euclid(1000),
        given => given,
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Of a jid.
fn user_of(jid: &str) -> &str {
    jid.split(['@', ':']).next().unwrap_or_default()
}

fn failure_of(record: &OutboxRecord) -> Option<Failure> {
    let reason = record.failure.as_deref()?.parse().ok()?;
    Some(Failure { reason, code: record.failure_code.and_then(|code| u16::try_from(code).ok()) })
}

fn encode(delivery: Delivery) -> OutboxState {
    match delivery {
        Delivery::Accepted => OutboxState::Accepted,
        Delivery::Sent => OutboxState::ServerAcked,
        Delivery::Delivered => OutboxState::Delivered,
        Delivery::Read => OutboxState::Read,
        Delivery::Played => OutboxState::Played,
        Delivery::Failed => OutboxState::Failed,
    }
}

fn decode(state: OutboxState) -> Delivery {
    match state {
        OutboxState::Unspecified | OutboxState::Accepted => Delivery::Accepted,
        OutboxState::ServerAcked => Delivery::Sent,
        OutboxState::Delivered => Delivery::Delivered,
        OutboxState::Read => Delivery::Read,
        OutboxState::Played => Delivery::Played,
        OutboxState::Failed => Delivery::Failed,
    }
}
