//! The event log's older part leaves the state for segments: nothing is lost, doubled or made up on the way, whatever is broken.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sessiond::{
    clock::{Clock, Instant, SystemClock},
    demo::until,
    journal::ArchiveError,
    message::{
        Addressed, Content, Delivery, Event, EventId, Feed, FormerConversations, Inbox, Incoming, Log, Message,
        MessageTarget, Outbox, Outgoing, Retention, SegmentCache, cleared, history,
    },
    store::{Batch, OwnAccount, StoreError, space},
};

use crate::support::{
    proxy::{self, Mode},
    stage::LIMIT,
    store_world::{World, soon, tenant},
};

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
struct Ahead(Mutex<Duration>);

impl Ahead {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Ahead {
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
    clock: Arc<Ahead>,
    log: Arc<Log>,
}

impl Desk {
    async fn new(keep: Retention) -> Self {
        Self::over(World::new().await, keep).await
    }

    async fn over(world: World, keep: Retention) -> Self {
        let clock = Arc::new(Ahead::default());
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

async fn open(world: &World, clock: Arc<Ahead>, keep: Retention) -> Arc<Log> {
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

#[tokio::test]
async fn every_reader_sees_what_left_the_state() {
    let desk = Desk::new(KEEP).await;
    desk.write(104).await;
    let before = desk.all().await;
    assert_eq!(before.len(), 104);
    desk.tidy().await.unwrap();
    assert_eq!(desk.world.space(space::EVENTS).await.len(), 14, "between live and twice that");
    assert_eq!(desk.world.space(space::SEGMENTS).await.len(), 9);
    assert_eq!(desk.documents().await.len(), 9);
    let desk = desk.restored(KEEP).await;
    assert_eq!(desk.all().await, before);
    for page in [1, 7, 10, 13, 1000] {
        assert_eq!(forwards(&desk.log, page).await, before);
        assert_eq!(backwards(&desk.log, page).await, before.iter().rev().copied().collect::<Vec<_>>());
    }
    for &id in &before {
        assert_eq!(desk.log.find(id).await.unwrap().map(|event| event.id), Some(id));
        // Of events of one millisecond each has the next id.
        let none = EventId(ulid::Ulid(id.0.0 - 1));
        if !before.contains(&none) {
            assert_eq!(desk.log.find(none).await.unwrap(), None);
        }
    }
}

/// A reader takes the list of segments before it reads them. By then they may have other names.
#[tokio::test]
async fn a_reader_finds_what_is_sealed_anew_meanwhile() {
    let desk = Desk::new(KEEP).await;
    desk.write(44).await;
    let before = desk.all().await;
    desk.tidy().await.unwrap();
    let desk = Desk::over(desk.world.rekeyed().await, KEEP).await;
    let (line, old) = (desk.world.line.clone(), desk.documents().await);
    assert!(old.len() > 1, "{old:?}");
    let go_on = line.hold_a_reading();
    let log = desk.log.clone();
    let reader = tokio::spawn(async move { log.after(None, usize::MAX).await });
    until(LIMIT, "a reader with a list", async || line.holds_a_reading()).await.unwrap();
    soon(desk.log.reseal_segments()).await.unwrap();
    let new = desk.documents().await;
    assert!(new.len() == old.len() && new.iter().all(|name| !old.contains(name)), "{old:?} {new:?}");
    go_on.send(()).unwrap();
    assert_eq!(ids(&soon(reader).await.unwrap().unwrap()), before);
    assert_eq!(desk.log.trimmed(), None, "no consumer is told of a gap");
}

/// The owner before was a newer build: what it wrote and this one has no word for hides nothing before or behind it.
#[tokio::test]
async fn events_without_a_meaning_are_passed_over() {
    let keep = Retention { live: 100, ..KEEP };
    let desk = Desk::new(keep).await;
    desk.write(5).await;
    let now = u64::try_from(desk.clock.now().as_millisecond()).unwrap();
    let mut batch = Batch::default();
    for n in 0..40 {
        let id = ulid::Ulid::from_parts(now + 10, n);
        batch.put(space::EVENTS, id.to_bytes(), br#"{"event":"of_a_time_to_come","what":7}"#.to_vec());
    }
    desk.world.store.write(batch).await.unwrap();
    desk.clock.advance(Duration::from_secs(1));
    let log = open(&desk.world, desk.clock.clone(), keep).await;
    let desk = Desk { log, ..desk };
    desk.write(5).await;
    let all = desk.all().await;
    assert_eq!(all.len(), 10);
    for page in [1, 3, 7, 20] {
        assert_eq!(forwards(&desk.log, page).await, all, "pages of {page}");
        assert_eq!(backwards(&desk.log, page).await, all.iter().rev().copied().collect::<Vec<_>>());
    }
}

/// Opening one conversation does not read the history of all.
#[tokio::test]
async fn who_looks_for_one_chat_reads_only_the_segments_that_have_it() {
    let desk = Desk::new(KEEP).await;
    let inbox = Inbox::new(desk.world.store.clone(), desk.log.clone(), desk.clock.clone());
    let rare = Message { chat: "rare@s.whatsapp.net".into(), ..message("rare", false) };
    desk.write(12).await;
    inbox.receive(&[Incoming { message: rare, body: "body".into(), visible: true }]).await.unwrap();
    desk.write(100).await;
    desk.tidy().await.unwrap();
    let reads = || desk.world.line.vault.usage().reads;
    let before = reads();
    let query = history::MessageQuery {
        chat: Some("rare@s.whatsapp.net".into()),
        limit: 50,
        ..history::MessageQuery::default()
    };
    let found = history::messages(&desk.log, &query).await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.message.id.as_str()).collect::<Vec<_>>(), ["rare"]);
    assert_eq!(reads() - before, 1, "one segment of ten");
    let fresh = open(&desk.world, desk.clock.clone(), KEEP).await;
    let quiet = reads();
    fresh.tidy(&mut false).await.unwrap();
    assert_eq!(reads(), quiet, "and who only tidies up reads none");
    let everything = history::MessageQuery { chat: Some(CHAT.into()), limit: 1000, ..history::MessageQuery::default() };
    assert_eq!(history::messages(&desk.log, &everything).await.unwrap().len(), 112);
}

/// Who answers an old message, passes it on or reacts to it does not wait for the vault, unless somebody changed it.
#[tokio::test]
async fn who_asks_whether_a_message_was_changed_reads_no_segment() {
    let desk = Desk::new(KEEP).await;
    let inbox = Inbox::new(desk.world.store.clone(), desk.log.clone(), desk.clock.clone());
    for id in ["kept", "edited", "deleted", "deleted late"] {
        desk.receive(id, "words", "body").await;
    }
    let change = async |id: &str, of: &str| {
        let target = MessageTarget { id: of.into(), from_me: false, sender: CHAT.into() };
        let content = match id {
            "edit" => Content::Edit { target, content: Box::new(Content::plain("other words")) },
            _ => Content::Revoke { target },
        };
        let message = Message { content, ..message(id, false) };
        inbox.receive(&[Incoming { message, body: "body".into(), visible: true }]).await.unwrap();
    };
    change("edit", "edited").await;
    change("revoke", "deleted").await;
    desk.write(100).await;
    desk.tidy().await.unwrap();
    change("another", "deleted late").await;
    let desk = desk.restored(KEEP).await;
    let before = desk.world.line.vault.usage().reads;
    for (id, is_untouched) in
        [("kept", true), ("edited", false), ("deleted", false), ("deleted late", false), ("x", true)]
    {
        assert_eq!(desk.log.is_untouched(id, None).await.unwrap(), is_untouched, "{id}");
    }
    assert_eq!(desk.world.line.vault.usage().reads, before);
    // As an older build wrote the references, they say nothing; those that are older than the message need not.
    let mut batch = Batch::default();
    for (key, value) in desk.world.space(space::SEGMENTS).await {
        let mut reference: serde_json::Value = serde_json::from_slice(&value).unwrap();
        reference.as_object_mut().unwrap().remove("changes").unwrap();
        batch.put(space::SEGMENTS, key, serde_json::to_vec(&reference).unwrap());
    }
    desk.world.store.write(batch).await.unwrap();
    assert!(!desk.log.is_untouched("kept", None).await.unwrap());
    let later = desk.clock.now().as_millisecond() + 2 * 24 * 3600 * 1000;
    assert!(desk.log.is_untouched("kept", Some(later)).await.unwrap());
}

/// However long ago they wrote; and what has nothing new is not read.
#[tokio::test]
async fn all_conversations_are_listed_however_silent() {
    let desk = Desk::new(KEEP).await;
    let inbox = Inbox::new(desk.world.store.clone(), desk.log.clone(), desk.clock.clone());
    let write = async |id: &str, chat: &str, name: &str| {
        let chat = format!("{chat}@s.whatsapp.net");
        let message = Message { push_name: name.into(), chat: chat.clone(), sender: chat, ..message(id, false) };
        inbox.receive(&[Incoming { message, body: "body".into(), visible: true }]).await.unwrap();
    };
    write("1", "ana", "Ana").await;
    write("2", "beto", "Beto").await;
    for n in 0..3000 {
        write(&format!("busy{n}"), "busy", "Busy").await;
    }
    write("3", "carla", "Carla").await;
    write("4", "ana", "Ana").await;
    desk.tidy().await.unwrap();
    let list = async |only: Option<&[&str]>, offset, limit| {
        let only = only.map(|ids| ids.iter().map(|id| format!("{id}@s.whatsapp.net")).collect());
        let found = history::chats(&desk.log, &cleared::Cleared::new(), only.as_ref(), offset, limit).await.unwrap();
        let named = found.into_iter().map(|chat| format!("{} {}", chat.name.unwrap_or_default(), chat.last.message.id));
        named.collect::<Vec<_>>()
    };
    let all = ["Ana 4", "Carla 3", "Busy busy2999", "Beto 2"];
    let reads = || desk.world.line.vault.usage().reads;
    let before = reads();
    assert_eq!(list(None, 0, 3).await, all[..3]);
    assert_eq!(reads(), before, "the newest are in the state");
    assert_eq!(list(None, 0, 50).await, all);
    assert_eq!(reads() - before, 1, "the one segment of three hundred that has somebody else");
    assert_eq!(list(None, 3, 1).await, all[3..]);
    assert_eq!(list(None, 4, 9).await, [""; 0]);
    assert_eq!(list(None, usize::MAX, usize::MAX).await, [""; 0]);
    assert_eq!(list(Some(&["beto", "ana", "nobody"]), 0, 50).await, ["Ana 4", "Beto 2"]);
    assert_eq!(list(Some(&["beto", "ana"]), 1, 50).await, ["Beto 2"]);
}

#[tokio::test]
async fn the_state_does_not_grow_with_the_number_of_events() {
    let desk = Desk::new(Retention { live: 50, ..KEEP }).await;
    let mut sizes = Vec::new();
    for _ in 0..5 {
        desk.write(400).await;
        desk.tidy().await.unwrap();
        let mut state = 0;
        for space in [space::EVENTS, space::SEGMENTS] {
            state += desk.world.space(space).await.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        }
        sizes.push(state);
    }
    assert!(sizes[4] < sizes[0] * 2, "{sizes:?}");
    assert_eq!(desk.all().await.len(), 2000);
}

/// A reader with a cursor, while events come and leave.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_segments_are_closed() {
    let desk = Arc::new(Desk::new(KEEP).await);
    let writer = tokio::spawn({
        let desk = desk.clone();
        async move { desk.write(600).await }
    });
    let closer = tokio::spawn({
        let desk = desk.clone();
        async move {
            let mut swept = false;
            while desk.log.after(None, usize::MAX).await.unwrap().len() < 600 {
                desk.log.tidy(&mut swept).await.unwrap();
            }
        }
    });
    let mut seen: Vec<EventId> = Vec::new();
    while seen.len() < 600 {
        let events = desk.log.after(seen.last().copied(), 16).await.unwrap();
        assert!(events.iter().all(|event| seen.last().is_none_or(|last| event.id > *last)));
        seen.extend(ids(&events));
        let back = backwards(&desk.log, 9).await;
        assert!(back.windows(2).all(|pair| pair[0] > pair[1]), "no doubles, in order");
        assert!(back.len() >= seen.len(), "nothing is missing on the way back: {} of {}", back.len(), seen.len());
        tokio::task::yield_now().await;
    }
    soon(async { (writer.await.unwrap(), closer.await.unwrap()) }).await;
    assert_eq!(seen, desk.all().await);
    assert!(desk.documents().await.len() > 20);
}

#[tokio::test]
async fn what_nothing_refers_to_is_removed_by_the_next_owner_and_by_no_other() {
    let desk = Desk::new(KEEP).await;
    desk.write(30).await;
    let stray = desk.world.journal.archive().put("01STRAY", b"written, and then the process died").await.unwrap();
    let next = desk.restored(KEEP).await;
    next.tidy().await.unwrap();
    let kept = next.documents().await;
    assert!(!kept.is_empty() && kept.iter().all(|name| !name.starts_with(stray.name())), "{kept:?}");
    // The one before does not know yet that it is none any more, and takes the other's segments for strays.
    desk.tidy().await.unwrap_err();
    assert_eq!(next.documents().await, kept);
    assert_eq!(next.all().await.len(), 30);
}

#[tokio::test]
async fn a_vault_that_does_not_answer_is_no_empty_history() {
    let desk = Desk::new(KEEP).await;
    desk.write(50).await;
    let before = desk.all().await;
    desk.tidy().await.unwrap();
    let log = open(&desk.world, desk.clock.clone(), KEEP).await;
    desk.world.silence();
    let is_told = |error: StoreError| matches!(error, StoreError::Archive(ArchiveError::Vault(_)));
    assert!(log.after(None, 100).await.is_err_and(is_told));
    assert!(log.before(None, 100).await.is_err_and(is_told));
    assert!(log.find(before[0]).await.is_err_and(is_told));
    assert_eq!(ids(&log.before(None, 10).await.unwrap()).len(), 10, "what is in the state is read all the same");
    assert_eq!(log.trimmed(), None, "nothing is taken for lost");
    desk.world.answer();
    assert_eq!(ids(&log.after(None, 100).await.unwrap()), before);
}

#[tokio::test]
async fn a_segment_that_is_lost_is_told_of_and_holds_up_nothing() {
    async fn altered(desk: &Desk, names: &[String]) {
        let vault = &desk.world.line.vault;
        let mut bytes = vault.segment(&tenant(), &names[1]).await.unwrap().unwrap().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        vault.put_segment(&tenant(), &names[1], bytes.into()).await.unwrap();
    }
    async fn swapped(desk: &Desk, names: &[String]) {
        let vault = &desk.world.line.vault;
        let other = vault.segment(&tenant(), &names[2]).await.unwrap().unwrap();
        vault.put_segment(&tenant(), &names[1], other).await.unwrap();
    }
    async fn missing(desk: &Desk, names: &[String]) {
        desk.world.line.vault.remove_segments(&tenant(), &names[1..2]).await.unwrap();
    }
    for wound in ["altered", "swapped", "missing"] {
        let desk = Desk::new(KEEP).await;
        desk.write(50).await;
        let before = desk.all().await;
        desk.tidy().await.unwrap();
        let names = desk.documents().await;
        match wound {
            "altered" => altered(&desk, &names).await,
            "swapped" => swapped(&desk, &names).await,
            _ => missing(&desk, &names).await,
        }
        let log = open(&desk.world, desk.clock.clone(), KEEP).await;
        assert_eq!(ids(&log.after(None, 100).await.unwrap()), before[..10], "{wound}: as far as it goes");
        assert!(log.after(Some(before[9]), 100).await.is_err_and(|error| match error {
            StoreError::Archive(error) => error.is_lost(),
            _ => false,
        }));
        assert_eq!(log.trimmed(), Some(before[19]), "{wound}: and where it goes on");
        assert_eq!(ids(&log.after(log.trimmed(), 100).await.unwrap()), before[20..]);
        let rest: Vec<_> = before[20..].iter().chain(&[]).rev().chain(before[..10].iter().rev()).copied().collect();
        assert_eq!(backwards(&log, 7).await, rest, "{wound}: conversations are read around it");
        assert_eq!(log.find(before[15]).await.unwrap(), None);
    }
}

#[tokio::test]
async fn retention_deletes_segments_by_number_and_by_age() {
    let desk = Desk::new(Retention { events: 40, ..KEEP }).await;
    let mut before: Vec<EventId> = Vec::new();
    while before.len() < 100 {
        desk.write(20).await;
        before.extend(ids(&desk.log.after(before.last().copied(), 20).await.unwrap()));
        desk.tidy().await.unwrap();
    }
    let kept = desk.all().await;
    assert!(kept.len() >= 40 && kept.len() < 50, "{}", kept.len());
    assert_eq!(kept, before[100 - kept.len()..]);
    assert_eq!(desk.log.trimmed(), Some(before[99 - kept.len()]));
    assert_eq!(desk.documents().await.len(), desk.world.space(space::SEGMENTS).await.len(), "and its document with it");
    let desk = desk.restored(Retention { age: DAY, ..KEEP }).await;
    assert_eq!(desk.log.trimmed(), Some(before[99 - kept.len()]), "over restarts");
    desk.clock.advance(3 * DAY);
    desk.write(70).await;
    desk.tidy().await.unwrap();
    let left = desk.all().await;
    assert!(left.iter().all(|id| !before.contains(id)), "all that was too old is gone");
    assert!(desk.documents().await.len() < 7);
}

#[tokio::test]
async fn of_old_messages_the_event_stays_and_the_rest_goes_but_not_what_is_still_to_be_sent() {
    let desk = Desk::new(KEEP).await;
    let clock: Arc<dyn Clock> = desk.clock.clone();
    let inbox = Inbox::new(desk.world.store.clone(), desk.log.clone(), clock.clone());
    let outbox = Outbox::open(desk.world.store.clone(), desk.log.clone(), clock, Duration::from_secs(86_400), 64 << 20)
        .await
        .unwrap();
    let incoming = |id: &str| Incoming { message: message(id, false), body: "body".into(), visible: true };
    inbox.receive(&[incoming("in")]).await.unwrap();
    for id in ["sent", "waiting"] {
        let outgoing = Outgoing {
            message: message(id, true),
            body: "body".into(),
            digest: [7; 32],
            key: Some(id.into()),
            audience: Vec::new(),
            ttl: None,
            from_bot: false,
            manner: None,
            is_notice: false,
            is_first_contact: false,
        };
        outbox.accept(outgoing).await.unwrap();
    }
    outbox.progress("sent", Delivery::Sent, None).await.unwrap();
    desk.write(30).await;
    desk.tidy().await.unwrap();
    assert!(inbox.find(CHAT, "in").await.unwrap().is_some(), "not old yet");
    desk.clock.advance(2 * DAY);
    desk.tidy().await.unwrap();
    assert!(inbox.find(CHAT, "in").await.unwrap().is_none());
    assert_eq!(outbox.delivery("sent").await.unwrap(), None);
    assert!(outbox.unsettled("waiting").await.unwrap().is_some());
    let messages = desk.log.after(None, 100).await.unwrap();
    assert_eq!(messages.iter().filter(|event| event.body.message().is_some()).count(), 33, "the events stay");
    outbox.progress("waiting", Delivery::Sent, None).await.unwrap();
    desk.tidy().await.unwrap();
    assert_eq!(outbox.delivery("waiting").await.unwrap(), None, "at last");
}

/// A build that was rolled back meets what a later one wrote: it keeps it.
#[tokio::test]
async fn what_this_build_cannot_read_is_no_stray() {
    let desk = Desk::new(KEEP).await;
    desk.write(30).await;
    desk.tidy().await.unwrap();
    let before = desk.documents().await;
    let (key, _) = desk.world.space(space::SEGMENTS).await[0].clone();
    let mut batch = Batch::default();
    batch.put(space::SEGMENTS, key, b"{\"of\":\"a later version\"}".to_vec());
    desk.world.store.write(batch).await.unwrap();
    let next = desk.restored(KEEP).await;
    next.write(30).await;
    next.tidy().await.unwrap();
    let after = next.documents().await;
    assert!(before.iter().all(|name| after.contains(name)), "deleted: {before:?} -> {after:?}");
}

#[tokio::test]
async fn what_never_was_an_event_leaves_the_state_too() {
    let desk = Desk::new(KEEP).await;
    let inbox = Inbox::new(desk.world.store.clone(), desk.log.clone(), desk.clock.clone());
    for n in 0..50 {
        let message = message(&format!("protocol{n}"), false);
        inbox.receive(&[Incoming { message, body: "body".into(), visible: false }]).await.unwrap();
    }
    desk.tidy().await.unwrap();
    assert_eq!(desk.world.space(space::INBOX).await.len(), 50, "they tell repeats");
    desk.clock.advance(2 * DAY);
    desk.tidy().await.unwrap();
    assert_eq!(desk.world.space(space::INBOX).await.len(), 0);
}

#[tokio::test]
async fn few_large_events_leave_the_state_as_many_small_ones_do() {
    let desk = Desk::new(Retention { live: 512, ..KEEP }).await;
    let inbox = Inbox::new(desk.world.store.clone(), desk.log.clone(), desk.clock.clone());
    for n in 0..100 {
        let content = Content::plain("x".repeat(60_000));
        let message = Message { content, ..message(&format!("large{n}"), false) };
        inbox.receive(&[Incoming { message, body: "body".into(), visible: true }]).await.unwrap();
    }
    desk.tidy().await.unwrap();
    let live = desk.world.space(space::EVENTS).await;
    let bytes: usize = live.iter().map(|(_, value)| value.len()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes of events in the state");
    assert!(!live.is_empty());
    assert_eq!(desk.all().await.len(), 100);
}

#[tokio::test]
async fn retention_deletes_segments_by_bytes() {
    for (bytes, least, most) in [(usize::MAX, 100, 100), (2 << 20, 30, 46)] {
        let desk = Desk::new(Retention { bytes, ..KEEP }).await;
        for n in 0..100 {
            desk.receive(&format!("large{n}"), &"x".repeat(60_000), "body").await;
            if n % 10 == 9 {
                desk.tidy().await.unwrap();
            }
        }
        let kept = desk.all().await.len();
        assert!((least..=most).contains(&kept), "{kept} of 100 events of 60 KB, when {bytes} bytes are kept");
        assert_eq!(desk.documents().await.len(), desk.world.space(space::SEGMENTS).await.len());
        // After a restart it goes on from there.
        let desk = desk.restored(Retention { bytes: 1 << 20, ..KEEP }).await;
        desk.tidy().await.unwrap();
        let kept = desk.all().await.len();
        assert!((10..=30).contains(&kept), "{kept} of 60 KB, when a MiB is kept");
    }
}

#[tokio::test]
async fn whole_messages_leave_the_state_by_bytes_though_their_events_are_small() {
    for (whole_bytes, least, most) in [(usize::MAX, 100, 100), (5 << 20, 30, 56)] {
        let desk = Desk::new(Retention { live: 512, whole_bytes, ..KEEP }).await;
        for n in 0..100 {
            desk.receive(&format!("large{n}"), "small", &"x".repeat(100_000)).await;
            if n % 10 == 9 {
                desk.tidy().await.unwrap();
            }
        }
        let whole = desk.world.space(space::INBOX).await.len();
        assert!((least..=most).contains(&whole), "{whole} of 100 of 100 KB, when {whole_bytes} bytes are kept");
        assert_eq!(desk.all().await.len(), 100, "their events stay");
    }
}

/// As a dashboard sees it: one conversation, page after page, after the machine was lost; and an outage of the vault is no empty page.
#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_reads_conversations_across_segments() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage =
        stage.set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "2s").set("SESSIOND_MESSAGES__LIVE_EVENTS", "20");
    let daemon = stage.start().await;
    let mut conversation = stage.pair("trattoria").await;
    conversation.customers_write(&stage.network, 50).await.unwrap();
    let customer = conversation.customers[0].clone();
    let path = format!("/api/trattoria/chats/{customer}@c.us/messages");
    let page = async |offset: usize| {
        let answer = stage.dashboard.get(&format!("{path}?limit=20&offset={offset}")).await.unwrap();
        let texts = answer.body.as_array().into_iter().flatten().map(|one| one["body"].as_str().unwrap().to_owned());
        (answer.status, texts.collect::<Vec<_>>(), answer.body["code"].clone())
    };
    let read = async || {
        let mut read = Vec::new();
        for offset in [0, 20, 40] {
            read.extend(page(offset).await.1);
        }
        read.reverse();
        read
    };
    let written: Vec<_> = conversation.written.iter().filter(|one| one.customer == customer).collect();
    let written: Vec<_> = written.iter().map(|one| one.text.clone()).collect();
    assert_eq!(written.len(), 50);
    until(LIMIT, "all messages", async || read().await == written).await.unwrap();
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    proxy.set(Mode::Refuse);
    let (status, texts, code) = page(40).await;
    assert_eq!((status, texts, code.as_str()), (503, Vec::new(), Some("vault_down")));
    proxy.set(Mode::Pass);
    until(LIMIT, "the vault again", async || page(40).await.0 == 200).await.unwrap();
    assert_eq!(read().await, written);
    daemon.kill().await.unwrap();
}

/// The tenant is another account, durably, and then the vault does not remove a document: that is a stray, and no failed change.
#[tokio::test]
async fn a_change_of_the_account_that_leaves_a_stray_is_carried_out() {
    let desk = Desk::new(KEEP).await;
    desk.write(104).await;
    desk.tidy().await.unwrap();
    let documents = desk.documents().await;
    assert!(!documents.is_empty());
    let outbox =
        Outbox::open(desk.world.store.clone(), desk.log.clone(), desk.clock.clone(), DAY, 64 << 20).await.unwrap();
    let (former, new) = (OwnAccount::new("573001112233", None), OwnAccount::new("573009998877", None));
    desk.world.line.keep_segments();
    let changed = soon(outbox.change_account(former, Some(&new), FormerConversations::Delete)).await;
    assert!(changed.is_ok(), "called refused although it is carried out: {changed:?}");
    assert_eq!(desk.documents().await, documents);
    let desk = desk.restored(KEEP).await;
    assert_eq!(desk.world.store.own_account().await.unwrap(), Some(new));
    assert_eq!(desk.all().await.len(), 1, "the change itself");
    // The next owner sweeps before it closes a segment of its own.
    desk.write(30).await;
    desk.tidy().await.unwrap();
    let left = desk.documents().await;
    assert!(documents.iter().all(|stray| !left.contains(stray)), "{left:?}");
}
