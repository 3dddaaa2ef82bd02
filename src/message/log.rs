//! Events: everything that happens to a tenant, each with an id that only grows, kept for consumers that come back.
//!
//! A reader may assume: ids of one tenant grow in the order in which the changes were made; an event is published after every
//! event before it; an event of a message is published only when the message is durable. A consumer can therefore keep the id
//! of the last event that it has seen as its cursor, and ask for what came after it, also when that event was lost with a process
//! ([`super::lives`]). Repeats have the same id.

mod reading;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use ulid::Ulid;

use super::{
    closed::ClosedEvents,
    event_body::{Event, EventBody, EventId},
    feed::{Feed, FeedItem},
    lives::{Epoch, Lives, next_id},
    segments::{Segment, SegmentCache},
    traffic::Traffic,
};
use crate::{
    clock::Clock,
    journal::{ChangeNo, JournalClosedError},
    store::{Batch, Store, StoreError, key, space},
    sync::lock,
    telemetry::traces::{self, SpanName},
    tenant::TenantId,
};

/// Bytes of an event that is handed to listeners as it is: what waits for a slow one is bounded by this and [`Feed::CAPACITY`].
const FEED_EVENT: usize = 32 * 1024;

/// Bytes of events, as they are written, that a reader has at a time beside the first: whatever their number.
pub(super) const PAGE_BYTES: usize = 256 * 1024;

/// Events for which there is room when none waits to be published.
const ROOM: usize = 16;

/// Where [`Log`] keeps up to where retention has deleted.
pub(super) const TRIMMED: &str = "events/trimmed";

/// Where [`Log`] keeps its lives.
const LIVES: &str = "events/lives";

/// A consumer's place in a tenant's events: the last id that it has seen.
pub type Cursor = EventId;

/// One tenant's events.
pub struct Log {
    pub(super) tenant: TenantId,
    pub(super) store: Arc<Store>,
    feed: Feed,
    pub(super) shelf: SegmentCache,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keep: Retention,
    /// The last that a former process wrote.
    inherited: Ulid,
    /// Up to the one that is now.
    lives: Lives,
    epoch: Epoch,
    /// There is enough for a segment.
    pub(super) full: Notify,
    /// Held while segments are written, referred to or deleted: what one has written and not referred to yet another would sweep away.
    pub(super) segment_turn: tokio::sync::Mutex<()>,
    /// Held while an event gets its id and is written, so that ids grow with the change numbers.
    pub(super) tail: tokio::sync::Mutex<LogTail>,
    /// Events of former accounts of the tenant, which are not shown.
    pub(super) closed: RwLock<ClosedEvents>,
    queue: Mutex<PublishQueue>,
    pub traffic: Traffic,
    /// Changes that are being written.
    writing: TaskTracker,
    /// Changes until they are published.
    committing: TaskTracker,
}

/// Events that wait to be published, in the order of their ids.
pub(super) struct PublishQueue {
    waiting: VecDeque<Pending>,
    /// The last that was.
    pub published: Ulid,
    /// The last that retention deleted, or that is lost.
    pub trimmed: Ulid,
    /// The last published that brought a message.
    message: Option<EventId>,
}

impl PublishQueue {
    /// Nothing up to `last` is published any more, or was.
    pub fn forget(&mut self, last: Ulid, is_deleted: bool) {
        self.waiting.clear();
        (self.published, self.message) = (last, None);
        if is_deleted {
            self.trimmed = last;
        }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub events: usize,
    /// Of the events, as they are written.
    pub bytes: usize,
    pub age: Duration,
    /// So many stay in the state; when there are twice as many the older half leaves it as a segment.
    pub live: usize,
    /// How long messages are kept whole, beyond what of them is in their events.
    pub whole: Duration,
    /// How many bytes of received messages are kept whole.
    pub whole_bytes: usize,
}

pub(super) struct LogTail {
    pub last: Ulid,
    /// Events in the state.
    pub count: usize,
    /// Their size as stored.
    pub bytes: usize,
    /// Of the whole messages that came with them, since the log was opened.
    pub whole_bytes: usize,
    /// Events in segments.
    pub closed: usize,
    /// Of these.
    pub closed_bytes: usize,
    since_trim: usize,
    /// This life has an event, and with the first its beginning was written.
    begun: bool,
}

/// The events that retention deletes.
#[derive(Default)]
struct Trimmed {
    removed: usize,
    bytes: usize,
    last: Option<Ulid>,
}

struct Pending {
    event: Arc<Event>,
    /// Bytes, as it is written.
    size: usize,
    /// Publish only when this change is durable; `None`: at its turn.
    after: Option<ChangeNo>,
}

/// Whether an event may be seen before it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishWhen {
    /// It speaks of something that must not be lost: a message.
    WhenDurable,
    /// It will be said again if it is lost, or is worth no wait: a receipt, a call.
    AtOnce,
}

impl Log {
    /// `published`: the last event that listeners of this process were told, by the log before this one. What came since is published now.
    pub async fn open(
        tenant: TenantId,
        store: Arc<Store>,
        feed: Feed,
        shelf: SegmentCache,
        clock: Arc<dyn Clock>,
        keep: Retention,
        published: Option<EventId>,
    ) -> Result<Self, StoreError> {
        let (trimmed, lives) = (key::text(TRIMMED), key::text(LIVES));
        let (live, trimmed, lives, closed) = tokio::try_join!(
            store.scan(space::EVENTS, None, usize::MAX),
            store.get(space::SETTINGS, &trimmed),
            store.get(space::SETTINGS, &lives),
            ClosedEvents::read(&store),
        )?;
        let last = live.last().and_then(|(key, _)| parse_key(key)).unwrap_or(Ulid::nil());
        let (count, bytes) = (live.len(), live.iter().map(|(_, value)| value.len()).sum());
        let trimmed = trimmed.and_then(|key| parse_key(&key)).unwrap_or(Ulid::nil());
        // Retention may have taken the very last.
        let last = last.max(trimmed);
        let mut lives = lives.map(|lives| Lives::read(&lives)).unwrap_or_default();
        let epoch = store.journal().epoch().0;
        lives.begin(epoch, last);
        let tail =
            LogTail { last, count, bytes, whole_bytes: 0, closed: 0, closed_bytes: 0, since_trim: 0, begun: false };
        let tail = tokio::sync::Mutex::new(tail);
        let published = published.map_or(last, |published| published.0.min(last));
        let queue = Mutex::new(PublishQueue { waiting: VecDeque::new(), published, trimmed, message: None });
        let closed = RwLock::new(closed);
        let full = Notify::new();
        let log = Self {
            tenant,
            store,
            feed,
            shelf,
            clock,
            keep,
            inherited: last,
            lives,
            epoch,
            full,
            segment_turn: tokio::sync::Mutex::default(),
            tail,
            closed,
            queue,
            traffic: Traffic::default(),
            writing: TaskTracker::new(),
            committing: TaskTracker::new(),
        };
        let segments = log.segments().await?;
        {
            let mut tail = log.tail.lock().await;
            tail.closed = segments.iter().map(Segment::count).sum();
            tail.closed_bytes = segments.iter().map(Segment::bytes).sum();
            if log.is_full(&tail) {
                log.full.notify_one();
            }
        }
        let mut recent = live.iter().rev().filter_map(|(key, value)| log.event(key, value));
        log.queue().message = recent.find(|event| event.body.message().is_some()).map(|event| event.id);
        // Mostly none: the others are not read.
        let unheard = live.iter().filter(|(key, _)| parse_key(key).is_some_and(|id| id > published));
        let unheard = unheard.filter_map(|(key, value)| Some((log.event(key, value)?, value.len())));
        let unheard = unheard.map(|(event, size)| Pending { event: Arc::new(event), size, after: None });
        log.queue().waiting.extend(unheard);
        if published < last {
            // Some of what another process was told is in segments, or older than what a listener has read: the log has it in order.
            log.feed.publish(&log.tenant, FeedItem::InLog);
        }
        log.publish();
        log.queue().published = last;
        Ok(log)
    }

    /// Writes `batch` and the events as one change; [`Log::publish`] publishes them in order. Runs to its end even if
    /// the caller is dropped: an event that is stored and not queued would reach nobody.
    pub async fn commit(
        self: &Arc<Self>,
        batch: Batch,
        bodies: Vec<EventBody>,
        seen: PublishWhen,
    ) -> Result<ChangeNo, StoreError> {
        let (log, (done, committed)) = (self.clone(), oneshot::channel());
        let writing = self.writing.token();
        // It lasts until the change may be seen, or the journal closes.
        let committing = async move {
            let committed = log.commit_whole(batch, bodies, seen).await;
            drop(writing);
            let change = committed.as_ref().ok().copied();
            let is_left = done.send(committed).is_err();
            // The caller publishes, unless it has gone away. An event that may be seen at once waits for no vault: a
            // waiter makes the vault write.
            let may_be_seen = match (change, seen) {
                (None, _) => false,
                (Some(_), PublishWhen::AtOnce) => is_left,
                (Some(change), PublishWhen::WhenDurable) => log.store.wait(change).await.is_ok(),
            };
            if may_be_seen {
                log.publish();
            }
        };
        self.committing.spawn(committing.in_current_span());
        let leaving = Leaving(Some(self));
        let committed = committed.await.unwrap_or(Err(StoreError::Interrupted));
        leaving.stays();
        committed
    }

    /// At the end of a session: returns when all changes that were begun are written, so that the journal has them before it closes.
    pub async fn written(&self) {
        self.writing.close();
        self.writing.wait().await;
    }

    /// After the journal has closed: returns when nothing is on its way any more.
    pub async fn ended(&self) {
        self.committing.close();
        self.committing.wait().await;
    }

    async fn commit_whole(
        &self,
        mut batch: Batch,
        bodies: Vec<EventBody>,
        seen: PublishWhen,
    ) -> Result<ChangeNo, StoreError> {
        let mut tail = self.tail.lock().await;
        let whole_bytes = batch.bytes_of(space::INBOX);
        let events = self.number(&mut batch, &tail, bodies);
        let Trimmed { removed, bytes: removed_bytes, last: trimmed } = self.trim(&mut batch, &mut tail).await?;
        let change = self.store.write(batch).await?;
        if let Some(trimmed) = trimmed {
            self.queue().trimmed = trimmed;
        }
        tail.count -= removed;
        tail.bytes -= removed_bytes;
        tail.whole_bytes += whole_bytes;
        self.enqueue(&mut tail, events, (seen == PublishWhen::WhenDurable).then_some(change));
        Ok(change)
    }

    /// Gives events their ids, and puts them into the batch: each with the bytes that it has there.
    pub(super) fn number(&self, batch: &mut Batch, tail: &LogTail, bodies: Vec<EventBody>) -> Vec<(Arc<Event>, usize)> {
        let (mut last, mut events) = (tail.last, Vec::with_capacity(bodies.len()));
        for body in bodies {
            last = next_id(last, self.clock.now().into(), self.epoch);
            let value = serde_json::to_vec(&body).expect("an event is plain data, which JSON always takes");
            let event = Arc::new(Event { id: EventId(last), tenant: self.tenant.clone(), body });
            events.push((event, value.len()));
            batch.put(space::EVENTS, last.to_bytes(), value);
        }
        if !tail.begun {
            batch.put(space::SETTINGS, key::text(LIVES), self.lives.write());
        }
        events
    }

    /// They are written. Still under `tail`: the queue has the order of the ids.
    pub(super) fn enqueue(&self, tail: &mut LogTail, events: Vec<(Arc<Event>, usize)>, after: Option<ChangeNo>) {
        tail.begun = true;
        tail.last = events.last().map_or(tail.last, |(event, _)| event.id.0);
        tail.count += events.len();
        tail.bytes += events.iter().map(|(_, size)| size).sum::<usize>();
        if self.is_full(tail) {
            self.full.notify_one();
        }
        self.queue().waiting.extend(events.into_iter().map(|(event, size)| Pending { event, size, after }));
    }

    /// Publishes, in order, what may be seen by now.
    pub fn publish(&self) {
        let mut queue = self.queue();
        while let Some(first) = queue.waiting.front()
            && first.after.is_none_or(|change| self.store.is_durable(change))
        {
            let (event, size) = (first.event.clone(), first.size);
            queue.waiting.pop_front();
            queue.published = event.id.0;
            self.traffic.count(&event.body);
            if let Some(message) = event.body.message() {
                queue.message = Some(event.id);
                traces::message(&self.tenant, &message.id, SpanName::Published, Duration::ZERO);
            }
            let notice = if size > FEED_EVENT { FeedItem::InLog } else { FeedItem::Event(event) };
            self.feed.publish(&self.tenant, notice);
        }
        if queue.waiting.is_empty() {
            // What a vault that stalled has gathered leaves more room than is needed again.
            queue.waiting.shrink_to(ROOM);
        }
    }

    /// The id of the last event that was published; `None` when there has been none.
    pub fn newest(&self) -> Option<EventId> {
        let last = self.queue().published;
        (!last.is_nil()).then_some(EventId(last))
    }

    /// The id of the last event that brought a message, as far as it has not left the state.
    pub fn newest_message(&self) -> Option<EventId> {
        self.queue().message
    }

    /// The last event that retention deleted: a cursor before it has missed something.
    pub fn trimmed(&self) -> Option<EventId> {
        let trimmed = self.queue().trimmed;
        (!trimmed.is_nil()).then_some(EventId(trimmed))
    }

    /// Waits until `change` is durable, then publishes.
    pub async fn wait_and_publish(&self, change: ChangeNo) -> Result<(), JournalClosedError> {
        let waited = self.store.wait(change).await;
        self.publish();
        waited
    }

    /// The time, Unix milliseconds, by which history is deleted: see [`Clock::certain`]. What this process wrote tells nothing: it is
    /// stamped with the wall clock that is in doubt.
    pub(super) fn certain_ms(&self) -> i64 {
        let last = i64::try_from(self.inherited.timestamp_ms()).unwrap_or_default();
        self.clock.certain(Timestamp::from_millisecond(last).unwrap_or_default()).as_millisecond()
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, PublishQueue> {
        lock(&self.queue)
    }

    /// Deletes the oldest events when there are too many or they are too old, and with an event of a message its record. In
    /// steps, so that not every event pays for a look. While there are segments these are older.
    async fn trim(&self, batch: &mut Batch, tail: &mut LogTail) -> Result<Trimmed, StoreError> {
        const STEP: usize = 64;
        tail.since_trim += 1;
        if tail.since_trim < STEP || tail.closed > 0 {
            return Ok(Trimmed::default());
        }
        tail.since_trim = 0;
        let mut excess = tail.count.saturating_sub(self.keep.events);
        let too_old = self.certain_ms() - i64::try_from(self.keep.age.as_millis()).unwrap_or(i64::MAX);
        let mut trimmed = Trimmed::default();
        for (key, value) in self.store.scan(space::EVENTS, None, excess.max(2 * STEP)).await? {
            let old = parse_key(&key).is_some_and(|id| i64::try_from(id.timestamp_ms()).is_ok_and(|at| at < too_old));
            if excess == 0 && !old {
                break;
            }
            excess = excess.saturating_sub(1);
            trimmed.removed += 1;
            trimmed.bytes += value.len();
            self.forget_whole(batch, &value).await?;
            trimmed.last = parse_key(&key).or(trimmed.last);
            batch.delete(space::EVENTS, key);
        }
        if let Some(last) = trimmed.last {
            batch.put(space::SETTINGS, key::text(TRIMMED), last.to_bytes().to_vec());
        }
        Ok(trimmed)
    }
}

/// Publishes if the caller of a commit goes away: it may have been answered already, and does not publish then.
struct Leaving<'a>(Option<&'a Log>);

impl Leaving<'_> {
    fn stays(mut self) {
        self.0 = None;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(log) = self.0 {
            log.publish();
        }
    }
}

pub(super) fn parse_key(key: &[u8]) -> Option<Ulid> {
    Some(Ulid::from_bytes(key.try_into().ok()?))
}
