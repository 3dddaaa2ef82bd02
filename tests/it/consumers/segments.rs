//! The event log's older part leaves the state for segments: nothing is lost, doubled or made up on the way, whatever is broken.

mod reading;
mod retention;
mod trouble;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sessiond::{
    clock::{Clock, Instant, SystemClock},
    message::{Addressed, Content, Event, EventId, Feed, Inbox, Incoming, Log, Message, Retention, SegmentCache},
    store::StoreError,
};

use crate::support::store_world::{World, soon, tenant};

const CHAT: &str = "573001112233@s.whatsapp.net";
const DAY: Duration = Duration::from_secs(24 * 3600);
const KEEP: Retention = Retention {
    events: 1_000_000,
    bytes: usize::MAX,
    age: Duration::from_secs(365 * 24 * 3600),
    live: 10,
    whole: DAY,
    whole_bytes: usize::MAX,
};

/// The system's clock, set forward.
#[derive(Debug, Default)]
struct SettableClock(Mutex<Duration>);

impl SettableClock {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for SettableClock {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + *self.0.lock().unwrap()
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn sleep(&self, span: Duration) -> futures::future::BoxFuture<'static, ()> {
        SystemClock.sleep(span)
    }
}

/// A log over a store over a vault.
struct Desk {
    world: World,
    clock: Arc<SettableClock>,
    log: Arc<Log>,
}

impl Desk {
    async fn new(keep: Retention) -> Self {
        Self::over(World::new().await, keep).await
    }

    async fn over(world: World, keep: Retention) -> Self {
        let clock = Arc::new(SettableClock::default());
        let log = open(&world, clock.clone(), keep).await;
        Self { world, clock, log }
    }

    /// Another process takes over; what this one wrote and did not flush is lost.
    async fn restored(&self, keep: Retention) -> Self {
        Self::over(self.world.restored().await, keep).await
    }

    async fn write(&self, count: usize) {
        let inbox = Inbox::new(self.world.store.clone(), self.log.clone(), self.clock.clone());
        for _ in 0..count {
            let message = message(&ulid::Ulid::generate().to_string(), false);
            inbox.receive(&[Incoming { message, body: "body".into(), visible: true }]).await.unwrap();
        }
    }

    async fn receive(&self, id: &str, text: &str, body: &str) {
        let inbox = Inbox::new(self.world.store.clone(), self.log.clone(), self.clock.clone());
        let message = Message { content: Content::plain(text), ..message(id, false) };
        let body = body.to_owned().into();
        inbox.receive(&[Incoming { message, body, visible: true }]).await.unwrap();
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        soon(self.log.tidy(&mut false)).await
    }

    async fn all(&self) -> Vec<EventId> {
        forwards(&self.log, usize::MAX).await
    }

    async fn documents(&self) -> Vec<String> {
        self.world.line.vault.segments(&tenant()).await.unwrap()
    }
}

async fn open(world: &World, clock: Arc<SettableClock>, keep: Retention) -> Arc<Log> {
    let log = Log::open(tenant(), world.store.clone(), Feed::new(), SegmentCache::default(), clock, keep, None).await;
    Arc::new(log.unwrap())
}

fn ids(events: &[Event]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// From the newest to the oldest, `page` at a time.
async fn backwards(log: &Log, page: usize) -> Vec<EventId> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let events = log.before(cursor, page).await.unwrap();
        assert!(events.len() <= page);
        found.extend(ids(&events));
        cursor = found.last().copied();
        // A page of large events has fewer.
        if events.is_empty() {
            return found;
        }
    }
}

/// From the oldest to the newest, at most `page` at a time.
async fn forwards(log: &Log, page: usize) -> Vec<EventId> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let events = log.after(cursor, page).await.unwrap();
        assert!(events.len() <= page);
        found.extend(ids(&events));
        cursor = found.last().copied();
        // A page of large events has fewer.
        if events.is_empty() {
            return found;
        }
    }
}

fn message(id: &str, from_me: bool) -> Message {
    Message {
        id: id.into(),
        chat: CHAT.into(),
        sender: CHAT.into(),
        addressed: Addressed { chat: CHAT.into(), sender: CHAT.into(), alternate: None },
        from_me,
        is_group: false,
        timestamp: 0,
        push_name: String::new(),
        content: Content::plain(id),
        quoted: None,
        forwarded: false,
        mentions: Vec::new(),
        advertisement: None,
        album: None,
        truncated: false,
    }
}
