//! What was accepted is sent, and what was refused is not.

use std::{pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use prost::Message as _;
use sessiond::{
    clock::{Clock, Instant, SystemClock},
    message::{
        Addressed, BotDecision, Content, Delivery, Event, EventBody, Failure, FailureReason, Feed, FeedItem,
        FormerConversations, Log, Message, Outbox, OutboxError, Outgoing, Retention, SegmentCache,
    },
    store::{Batch, OwnAccount, key, records::OutboxRecord, space},
};

use crate::support::store_world::{self, World};

const LONG: Duration = Duration::from_secs(3600);
/// Bytes that may wait to be sent.
const WAITING: usize = 64 << 20;

const CHAT: &str = "573001112233@s.whatsapp.net";

/// The machine's clock, so far behind.
#[derive(Debug)]
struct Behind(Duration);

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        Timestamp::now() - self.0
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }
}

/// A wall clock that is so far ahead, and the time is known.
#[derive(Debug)]
struct ClockAhead(Duration);

impl Clock for ClockAhead {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.0
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn certain(&self, _known: Timestamp) -> Timestamp {
        Timestamp::now()
    }
}

async fn outbox(world: &World) -> (Outbox, Arc<Log>) {
    outbox_at(world, Duration::ZERO).await
}

async fn outbox_at(world: &World, behind: Duration) -> (Outbox, Arc<Log>) {
    outbox_of(world, behind, Feed::new()).await
}

async fn outbox_of(world: &World, behind: Duration, feed: Feed) -> (Outbox, Arc<Log>) {
    let clock: Arc<dyn Clock> = Arc::new(Behind(behind));
    let log = store_world::log(world, feed, clock.clone()).await;
    (Outbox::open(world.store.clone(), log.clone(), clock, 24 * LONG, WAITING).await.unwrap(), log)
}

fn outgoing(id: &str) -> Outgoing {
    let jid = CHAT.to_owned();
    let message = Message {
        id: id.into(),
        chat: jid.clone(),
        sender: jid.clone(),
        addressed: Addressed { chat: jid.clone(), sender: jid, alternate: None },
        from_me: true,
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
    };
    let (body, key, audience) = (id.to_owned().into(), Some(id.into()), Vec::new());
    Outgoing {
        message,
        body,
        digest: [7; 32],
        key,
        audience,
        ttl: None,
        from_bot: false,
        manner: None,
        is_notice: false,
        is_first_contact: false,
    }
}

/// Ids of all that still have to be sent, each chat's in its order.
fn ids(outbox: &Outbox) -> Vec<String> {
    let mut ids = Vec::new();
    for chat in outbox.fresh_chats() {
        while let Some(waiting) = outbox.head(&chat) {
            outbox.forget(&waiting.id);
            ids.push(waiting.id.to_string());
        }
    }
    ids
}

fn bodies(events: Vec<Event>) -> Vec<EventBody> {
    events.into_iter().map(|event| event.body).collect()
}

/// Whoever wanted it may be gone.
#[tokio::test]
async fn a_session_ends_after_the_events_that_it_has_begun() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    world.silence();
    {
        let mut accepting = pin!(outbox.accept(outgoing("a")));
        world.until(accepting.as_mut(), || outbox.head(CHAT).is_some()).await;
    }
    log.written().await;
    let mut ended = pin!(log.ended());
    world.stays_pending(ended.as_mut()).await;
    world.answer();
    ended.await;
    let told = bodies(log.after(None, 9).await.unwrap());
    assert!(matches!(&told[..], [EventBody::Sent { .. }]), "{told:?}");
}

/// WhatsApp says it again if it is lost: so it goes with the next change that somebody waits for, and costs no write of its own.
#[tokio::test]
async fn a_receipt_asks_for_no_write_of_the_vault() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    outbox.accept(outgoing("a")).await.unwrap();
    world.silence();
    assert_eq!(outbox.progress("a", Delivery::Delivered, None).await.unwrap(), Some(true));
    // What waits for the vault is on its way until the vault answers.
    store_world::soon(log.ended()).await;
    assert!(!world.store.is_durable(world.journal.recorded()));
    let told = bodies(log.after(None, 9).await.unwrap());
    assert!(
        matches!(&told[..], [EventBody::Sent { .. }, EventBody::Status { .. }, EventBody::Status { .. }]),
        "{told:?}"
    );
}

/// Nobody can know what becomes of it: so it is neither taken back nor called refused.
#[tokio::test]
async fn what_the_vault_does_not_confirm_is_sent_when_it_does() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    world.silence();
    let mut accepting = pin!(outbox.accept(outgoing("a")));
    world.until(accepting.as_mut(), || outbox.head(CHAT).is_some()).await;
    assert_eq!(outbox.head(CHAT).map(|it| it.id.to_string()), Some("a".into()), "the courier may prepare it");
    assert!(outbox.is_stalled(Duration::ZERO) && !outbox.is_stalled(LONG));
    log.publish();
    assert_eq!(log.after(None, 9).await.unwrap(), [], "announced before it is durable");
    world.answer();
    accepting.await.unwrap();
    assert!(!outbox.is_stalled(Duration::ZERO));
    let told = bodies(log.after(None, 9).await.unwrap());
    assert!(matches!(&told[..], [EventBody::Sent { .. }]), "{told:?}");
    let later = world.restored().await;
    assert_eq!(ids(&self::outbox(&later).await.0), ["a"]);
}

/// A turn that is taken again says what it said; another turn's words are never taken for said.
#[tokio::test]
async fn a_bots_words_under_a_known_id_are_the_same_or_refused() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    let reply = |digest| BotDecision {
        messages: vec![Outgoing { from_bot: true, digest, ..outgoing("a") }],
        ..BotDecision::default()
    };
    let change = outbox.decide(reply([7; 32])).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    let mut other = reply([8; 32]);
    other.batch.put(space::BOT, *b"kept", "with it");
    assert!(outbox.decide(other).await.is_err(), "another message under the id was called said");
    assert_eq!(world.store.get(space::BOT, b"kept").await.unwrap(), None, "half of the turn was written");
    outbox.decide(reply([7; 32])).await.unwrap();
    assert_eq!(ids(&outbox), ["a"]);
}

/// Two parts of a turn that have one id are one message, or a mistake: never the second in the place of the first.
#[tokio::test]
async fn a_decision_says_nothing_twice() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    let reply = |digest| Outgoing { from_bot: true, digest, ..outgoing("a") };
    let twice = |digest| BotDecision { messages: vec![reply([7; 32]), reply(digest)], ..BotDecision::default() };
    assert!(matches!(outbox.decide(twice([8; 32])).await, Err(OutboxError::KeyReused)));
    assert_eq!(outbox.delivery("a").await.unwrap(), None, "half of the decision was written");
    let change = outbox.decide(twice([7; 32])).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    assert_eq!(bodies(log.after(None, 9).await.unwrap()).len(), 1);
    assert_eq!(ids(&outbox), ["a"]);
}

/// What was to give way to the owner goes after all when that could not be written: the courier, which may have found nothing, is told.
#[tokio::test]
async fn what_could_not_be_withdrawn_is_sent() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    let messages = vec![Outgoing { from_bot: true, ..outgoing("a") }];
    let change = outbox.decide(BotDecision { messages, ..BotDecision::default() }).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    outbox.news().await;
    outbox.fresh_chats();
    world.store.close().await.unwrap();
    let supersede = BotDecision { supersedes: vec![CHAT.to_owned()], ..BotDecision::default() };
    assert!(outbox.decide(supersede).await.is_err());
    assert_eq!(outbox.head(CHAT).map(|it| it.id.to_string()), Some("a".into()));
    tokio::time::timeout(Duration::from_secs(20), outbox.news()).await.expect("nobody is told of it");
    assert_eq!(outbox.fresh_chats(), [CHAT.into()]);
}

/// A "yes" counts for a summary that had left before it. An earlier attempt, of this process or a former one, may have arrived.
#[tokio::test]
async fn when_a_message_left_is_told_where_it_is_known() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    let messages = vec![outgoing("a"), outgoing("b"), outgoing("c")];
    let change = outbox.decide(BotDecision { messages, ..BotDecision::default() }).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    assert_eq!(outbox.left_at("a").await.unwrap(), Some(i64::MAX), "it waits");
    assert_eq!(outbox.left_at("x").await.unwrap(), None);
    outbox.progress("a", Delivery::Sent, None).await.unwrap();
    let left = outbox.left_at("a").await.unwrap().unwrap();
    assert!((0..60_000).contains(&(Timestamp::now().as_millisecond() - left)), "{left}");
    // The line ends when its ack is here already: no attempt has come to nothing, and it is known when it left.
    assert_eq!(outbox.note_attempt("a").await.unwrap(), 0);
    assert_eq!(outbox.left_at("a").await.unwrap(), Some(left));
    assert_eq!(outbox.note_attempt("b").await.unwrap(), 1);
    assert_eq!(outbox.left_at("b").await.unwrap(), None);
    outbox.expire("c").await.unwrap();
    assert_eq!(outbox.left_at("c").await.unwrap(), Some(i64::MAX), "it never leaves");
    let later = world.restored().await;
    assert_eq!(self::outbox(&later).await.0.left_at("c").await.unwrap(), None);
}

/// A phone's receipt may be here before WhatsApp's own answer, and whoever reads in an open chat says nothing of the delivery.
#[tokio::test]
async fn no_step_of_a_delivery_is_left_out() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    outbox.accept(outgoing("a")).await.unwrap();
    assert!(outbox.progress("a", Delivery::Delivered, None).await.unwrap().unwrap());
    assert!(!outbox.progress("a", Delivery::Sent, None).await.unwrap().unwrap());
    assert!(outbox.progress("a", Delivery::Read, None).await.unwrap().unwrap());
    for (id, last) in [("b", Delivery::Read), ("c", Delivery::Played)] {
        outbox.accept(outgoing(id)).await.unwrap();
        assert!(outbox.progress(id, last, Some("them".into())).await.unwrap().unwrap());
    }
    outbox.accept(outgoing("d")).await.unwrap();
    assert!(outbox.fail("d", Failure::refused(Some(463))).await.unwrap());
    let events = bodies(log.after(None, 100).await.unwrap());
    let steps = |of: &str| -> Vec<(Delivery, bool)> {
        let step = |body: &EventBody| match body {
            EventBody::Status { message_id, status, by, .. } if message_id == of => Some((*status, by.is_some())),
            _ => None,
        };
        events.iter().filter_map(step).collect()
    };
    let told = [(Delivery::Sent, false), (Delivery::Delivered, true), (Delivery::Read, true), (Delivery::Played, true)];
    assert_eq!(steps("a"), told.map(|(step, _)| (step, false))[..3]);
    assert_eq!((&*steps("b"), &*steps("c")), (&told[..3], &told[..]));
    assert_eq!(steps("d"), [(Delivery::Failed, false)]);
}

/// What a bot said, and nobody has begun to send, gives way to the owner; what a former process may have sent is not called unsent.
#[tokio::test]
async fn a_bots_words_give_way_to_a_human() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    let reply = |id: &str| Outgoing { from_bot: true, ..outgoing(id) };
    let mut batch = Batch::default();
    batch.put(space::BOT, *b"kept", "with it");
    let messages = vec![reply("a"), reply("b"), outgoing("c"), reply("d")];
    let change = outbox.decide(BotDecision { batch, messages, ..BotDecision::default() }).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    outbox.decide(BotDecision { messages: vec![reply("b")], ..BotDecision::default() }).await.unwrap();
    assert!(outbox.is_from_bot("a").await.unwrap() && !outbox.is_from_bot("c").await.unwrap());
    assert!(outbox.begin("a").await.unwrap().is_some());
    let supersede = || BotDecision { supersedes: vec![CHAT.to_owned()], ..BotDecision::default() };
    let change = outbox.decide(supersede()).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    let told = |events: Vec<EventBody>| {
        let one = |event| match event {
            EventBody::Sent { message } => (message.id, None),
            EventBody::Status { message_id, failure, .. } => (message_id, failure.map(|failure| failure.reason)),
            other => panic!("{other:?}"),
        };
        events.into_iter().map(one).collect::<Vec<_>>()
    };
    let superseded = Some(FailureReason::Superseded);
    let expected = [("a", None), ("b", None), ("c", None), ("d", None), ("b", superseded), ("d", superseded)];
    assert_eq!(told(bodies(log.after(None, 99).await.unwrap())), expected.map(|(id, why)| (id.to_owned(), why)));
    assert!(outbox.begin("b").await.unwrap().is_none(), "it is sent all the same");
    let later = world.restored().await;
    assert_eq!(later.store.get(space::BOT, b"kept").await.unwrap().as_deref(), Some(&b"with it"[..]));
    let (outbox, log) = self::outbox(&later).await;
    let change = outbox.decide(supersede()).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    let last = told(bodies(log.after(None, 99).await.unwrap())).pop();
    assert_eq!(last, Some(("a".to_owned(), Some(FailureReason::Unconfirmed))));
    assert_eq!(ids(&outbox), ["c"]);
}

/// A turn that is taken anew takes back all that it said, or nothing: not what is being sent, was tried, or may have left with a former process.
#[tokio::test]
async fn what_is_said_anew_takes_back_all_or_nothing() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    let says = |id: &str, withdraws: &[&str]| BotDecision {
        messages: vec![Outgoing { from_bot: true, ..outgoing(id) }],
        withdraws: withdraws.iter().map(|id| (*id).to_owned()).collect(),
        ..BotDecision::default()
    };
    let is_late = |decided| matches!(decided, Err(OutboxError::OnItsWay));
    for id in ["a", "b"] {
        let change = outbox.decide(says(id, &[])).await.unwrap();
        log.wait_and_publish(change).await.unwrap();
    }
    assert!(outbox.begin("b").await.unwrap().is_some());
    assert!(is_late(outbox.decide(says("c", &["a", "b"])).await));
    assert_eq!(outbox.delivery("c").await.unwrap(), None, "half of it was written");
    assert_eq!(outbox.head(CHAT).map(|it| it.id.to_string()), Some("a".into()));
    outbox.end("b");
    let change = outbox.decide(says("c", &["a", "b"])).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    for (id, expected) in [("a", Delivery::Failed), ("b", Delivery::Failed), ("c", Delivery::Accepted)] {
        assert_eq!(outbox.delivery(id).await.unwrap(), Some(expected), "{id}");
    }
    assert!(is_late(outbox.decide(says("d", &["a"])).await), "it was taken back already");
    outbox.note_attempt("c").await.unwrap();
    assert!(is_late(outbox.decide(says("d", &["c"])).await), "it may have arrived");
    let change = outbox.decide(says("d", &[])).await.unwrap();
    log.wait_and_publish(change).await.unwrap();
    let later = world.restored().await;
    let (outbox, _) = self::outbox(&later).await;
    assert!(is_late(outbox.decide(says("e", &["d"])).await), "nobody knows whether a former process sent it");
    assert_eq!(ids(&outbox), ["c", "d"]);
}

#[tokio::test]
async fn a_repeat_has_the_time_of_the_first() {
    let world = World::new().await;
    let (outbox, _log) = outbox(&world).await;
    let at = |timestamp| {
        let mut outgoing = outgoing("a");
        outgoing.message.timestamp = timestamp;
        outgoing
    };
    for later in [1_796_061_621, 1_796_061_624] {
        assert_eq!(outbox.accept(at(later)).await.unwrap().message.timestamp, 1_796_061_621);
    }
}

/// It is durable: a vault that is silent now changes nothing about that.
#[tokio::test]
async fn a_repeat_waits_for_no_more_than_the_first() {
    let world = World::new().await;
    let (outbox, _) = outbox(&world).await;
    outbox.accept(outgoing("a")).await.unwrap();
    world.silence();
    let mut batch = Batch::default();
    batch.put(space::SETTINGS, *b"pending", "");
    world.store.write(batch).await.unwrap();
    world.passes(outbox.accept(outgoing("a"))).await.unwrap();
    let other = Outgoing { digest: [8; 32], ..outgoing("a") };
    assert!(matches!(outbox.accept(other).await, Err(OutboxError::KeyReused)));
    assert_eq!(ids(&self::outbox(&world.restored().await).await.0), ["a"]);
}

/// The time that a message has is measured by one clock.
#[tokio::test]
async fn a_wall_clock_that_is_ahead_gives_a_message_no_more_time() {
    let world = World::new().await;
    let clock: Arc<dyn Clock> = Arc::new(ClockAhead(LONG));
    let log = store_world::log(&world, Feed::new(), clock.clone()).await;
    let outbox = Outbox::open(world.store.clone(), log, clock, 24 * LONG, WAITING).await.unwrap();
    outbox.accept(Outgoing { ttl: Some(Duration::from_secs(60)), ..outgoing("a") }).await.unwrap();
    let left_ms = outbox.unsettled("a").await.unwrap().unwrap().expires_at_ms - outbox.certain_ms();
    assert!((1..=60_000).contains(&left_ms), "{left_ms} ms");
}

/// The machine's clock went back an hour before the next life.
#[tokio::test]
async fn a_clock_that_goes_back_does_not_reorder_what_waits() {
    let world = World::new().await;
    let (outbox, _) = outbox_at(&world, Duration::ZERO).await;
    for id in ["a", "b"] {
        outbox.accept(outgoing(id)).await.unwrap();
    }
    let later = world.restored().await;
    let (outbox, _) = outbox_at(&later, Duration::from_secs(3600)).await;
    outbox.accept(outgoing("c")).await.unwrap();
    let last = later.restored().await;
    assert_eq!(ids(&self::outbox(&last).await.0), ["a", "b", "c"]);
}

/// A page of the backlog ends where it has enough bytes, also when there are more records.
#[tokio::test]
async fn a_backlog_of_large_messages_is_read_whole() {
    let world = World::new().await;
    let (outbox, _) = outbox(&world).await;
    for id in ["a", "b", "c", "d"] {
        outbox.accept(Outgoing { body: vec![7; 700 * 1024].into(), ..outgoing(id) }).await.unwrap();
    }
    assert_eq!(ids(&self::outbox(&world.restored().await).await.0), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn what_has_failed_says_why_and_does_not_wait_any_more() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    for id in ["refused", "expired", "unsure", "sent"] {
        outbox.accept(outgoing(id)).await.unwrap();
    }
    assert!(outbox.fail("refused", Failure::refused(Some(403))).await.unwrap());
    assert!(outbox.expire("expired").await.unwrap());
    assert_eq!(outbox.note_attempt("unsure").await.unwrap(), 1);
    assert!(outbox.expire("unsure").await.unwrap());
    assert!(outbox.progress("sent", Delivery::Sent, None).await.unwrap().unwrap());
    assert!(!outbox.fail("sent", FailureReason::Expired.into()).await.unwrap(), "it has arrived");
    // A repeat is told of the first.
    for (id, delivery, failure) in [
        ("refused", Delivery::Failed, Some(Failure::refused(Some(403)))),
        ("unsure", Delivery::Failed, Some(FailureReason::Unconfirmed.into())),
        ("sent", Delivery::Sent, None),
    ] {
        let repeat = outbox.accept(outgoing(id)).await.unwrap();
        assert_eq!((repeat.delivery, repeat.failure), (delivery, failure), "{id}");
    }
    assert!(!outbox.progress("refused", Delivery::Sent, None).await.unwrap().unwrap(), "WhatsApp said no");
    assert!(
        outbox.progress("unsure", Delivery::Delivered, None).await.unwrap().unwrap(),
        "WhatsApp's word counts more"
    );
    let failures: Vec<_> = bodies(log.after(None, 99).await.unwrap())
        .into_iter()
        .filter_map(|body| match body {
            EventBody::Status { message_id, failure, .. } => Some((message_id, failure.map(|it| it.to_string()))),
            _ => None,
        })
        .collect();
    let failed = |id: &str, why: &str| (id.to_owned(), Some(why.to_owned()));
    let expected = [
        failed("refused", "refused (403)"),
        failed("expired", "expired"),
        failed("unsure", "unconfirmed"),
        ("sent".into(), None),
        ("unsure".into(), None),
    ];
    assert_eq!(failures, expected);
    assert_eq!(ids(&self::outbox(&world.restored().await).await.0), [""; 0]);
}

/// The tenant is another account's from now on: that one sends nothing that was accepted for the former, and hears that it has failed.
#[tokio::test]
async fn what_waited_for_a_former_account_is_not_sent_by_the_next() {
    for conversations in [FormerConversations::Keep, FormerConversations::Delete] {
        let world = World::new().await;
        let feed = Feed::new();
        let (outbox, log) = outbox_of(&world, Duration::ZERO, feed.clone()).await;
        outbox.accept(outgoing("settled")).await.unwrap();
        outbox.progress("settled", Delivery::Sent, None).await.unwrap();
        outbox.accept(outgoing("waits")).await.unwrap();
        let mut heard = feed.subscribe(&"trattoria".parse().unwrap());
        world.silence();
        let mut accepting = pin!(outbox.accept(outgoing("unheard")));
        let begun = std::time::Instant::now();
        while outbox.delivery("unheard").await.unwrap().is_none() {
            world.stays_pending(accepting.as_mut()).await;
            assert!(begun.elapsed() < Duration::from_secs(60), "the message is not written");
        }
        let (former, new) = (OwnAccount::new("573001112233", None), OwnAccount::new("573009998877", None));
        let mut changing = pin!(outbox.change_account(former.clone(), Some(&new), conversations));
        // It is written, and waits for the vault as the message does.
        let begun = std::time::Instant::now();
        while outbox.delivery("unheard").await.unwrap() != Some(Delivery::Failed) {
            // The message's own turn ends only while somebody polls it, and the change waits for that.
            world.stays_pending(accepting.as_mut()).await;
            world.stays_pending(changing.as_mut()).await;
            assert!(begun.elapsed() < Duration::from_secs(60), "the change of account is not written");
        }
        // It learns that it is written.
        world.stays_pending(changing.as_mut()).await;
        // And holds up nobody who sends, hears an ack or gives a message up.
        let expiring = async {
            tokio::select! {
                expired = outbox.expire("settled") => expired.unwrap(),
                changed = &mut changing => panic!("the vault is silent: {changed:?}"),
            }
        };
        let expired = tokio::time::timeout(Duration::from_secs(60), expiring).await;
        assert!(!expired.expect("it waits for the vault"), "it has arrived");
        world.answer();
        accepting.await.unwrap();
        changing.await.unwrap();

        let failed = |id: &str| EventBody::Status {
            message_id: id.into(),
            chat: CHAT.into(),
            status: Delivery::Failed,
            by: None,
            failure: Some(FailureReason::OtherAccount.into()),
        };
        let changed = EventBody::AccountChanged { from: former.number.clone(), to: new.number.clone() };
        let expected = [changed, failed("unheard"), failed("waits")];
        assert_eq!(bodies(log.after(None, 9).await.unwrap()), expected, "{conversations:?}");
        let live: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok())
            .map(|notice| match notice {
                FeedItem::Event(event) => event.body.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(live, expected, "{conversations:?}: something of the former account was announced");
        assert_eq!((outbox.head(CHAT), outbox.first_to_expire(|_| false)), (None, None));

        // A repeat is answered, and is not a new message: neither of what waited nor of what the former account has sent.
        for (known, delivery) in [("waits", Delivery::Failed), ("settled", Delivery::Sent)] {
            let repeat = outbox.accept(outgoing(known)).await.unwrap();
            let failure = (delivery == Delivery::Failed).then(|| Failure::from(FailureReason::OtherAccount));
            assert_eq!((repeat.delivery, repeat.failure), (delivery, failure), "{conversations:?}");
            assert_eq!(outbox.delivery(known).await.unwrap(), Some(delivery));
            // Whoever asks for the message itself is told that it is gone, not that it was empty.
            assert_eq!(outbox.body(known).await.unwrap(), None);
            assert_eq!(world.backend().take_sent_message(CHAT, known).await.unwrap(), None);
            let stored = world.store.get(space::OUTBOX, &key::outbox(known)).await.unwrap().unwrap();
            let stored = OutboxRecord::decode(stored).unwrap();
            assert_eq!((stored.body_digest.as_slice(), stored.message.is_empty()), (&[7; 32][..], true));
            let of_the_former = [&stored.chat, &stored.account, stored.idempotency_key.as_deref().unwrap_or_default()];
            assert_eq!(of_the_former.iter().any(|it| !it.is_empty()), conversations == FormerConversations::Keep);
        }
        outbox.accept(outgoing("new")).await.unwrap();
        assert_eq!(ids(&outbox), ["new"]);

        let later = world.restored().await;
        let (outbox, log) = self::outbox(&later).await;
        assert_eq!(ids(&outbox), ["new"]);
        assert_eq!(log.after(None, 9).await.unwrap().len(), 4);
        // The former comes back.
        outbox.change_account(new.clone(), Some(&former), FormerConversations::Keep).await.unwrap();
        let told = bodies(log.after(None, 99).await.unwrap());
        let sent = told.iter().filter_map(EventBody::message).map(|message| message.id.as_str()).collect::<Vec<_>>();
        let kept = conversations == FormerConversations::Keep;
        assert_eq!(sent, if kept { vec!["settled", "waits", "unheard"] } else { Vec::new() });
    }
}

/// Whoever wants it may leave at any moment: a failure that is written is told, and told once.
#[tokio::test]
async fn a_failure_that_is_written_is_told_whoever_leaves() {
    let world = World::new().await;
    let feed = Feed::new();
    let (outbox, log) = outbox_of(&world, Duration::ZERO, feed.clone()).await;
    let mut heard = feed.subscribe(&"trattoria".parse().unwrap());
    let mut told = Vec::new();
    let mut hear = || {
        while let Ok(notice) = heard.try_recv() {
            if let FeedItem::Event(event) = notice
                && let EventBody::Status { message_id, .. } = &event.body
            {
                told.push(message_id.clone());
            }
        }
        told.clone()
    };
    for looks in 1..12 {
        let id = format!("left after {looks}");
        outbox.accept(outgoing(&id)).await.unwrap();
        {
            let mut failing = pin!(outbox.fail(&id, FailureReason::Unconfirmed.into()));
            for _ in 0..looks {
                if futures::poll!(failing.as_mut()).is_ready() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
        // Behind all that was begun.
        let is_written = outbox.delivery(&id).await.unwrap() == Some(Delivery::Failed);
        let begun = std::time::Instant::now();
        while is_written && !hear().contains(&id) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{id}: nobody is told");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let told = hear();
    let events = bodies(log.after(None, 99).await.unwrap());
    let of_log = events.iter().filter(|body| matches!(body, EventBody::Status { .. })).count();
    assert_eq!(told.len(), of_log);
    assert!(told.len() > 3, "{told:?}");
}

/// A record that cannot be read is not absent: it may be an accepted send, or say which conversations are the former account's.
#[tokio::test]
async fn what_cannot_be_read_is_an_error() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keep =
        Retention { events: 1000, bytes: usize::MAX, age: LONG, live: 500, whole: LONG, whole_bytes: usize::MAX };
    let open_log = async |world: &World| {
        let tenant = "trattoria".parse().unwrap();
        Log::open(tenant, world.store.clone(), Feed::new(), SegmentCache::default(), clock.clone(), keep, None).await
    };

    let world = World::new().await;
    let (accepting, log) = outbox(&world).await;
    let mut batch = Batch::default();
    batch.put(space::OUTBOX, key::outbox("A"), b"\xff".to_vec());
    world.store.write(batch).await.unwrap();
    assert!(accepting.accepted("A").await.is_err());
    assert!(accepting.accept(outgoing("A")).await.is_err(), "it was written over");
    assert!(Outbox::open(world.store.clone(), log, clock.clone(), 24 * LONG, WAITING).await.is_err());

    let world = World::new().await;
    let mut batch = Batch::default();
    batch.put(space::SETTINGS, key::text("events/closed"), b"{".to_vec());
    world.store.write(batch).await.unwrap();
    assert!(open_log(&world).await.is_err());
}

/// One person's two names are one conversation, also when that is learned while something waits, and after a restart.
#[tokio::test]
async fn a_conversation_has_one_order_by_every_name() {
    const LID: &str = "180000000000001@lid";
    let world = World::new().await;
    let (accepting, _log) = outbox(&world).await;
    let to = |id: &str, chat: &str| {
        let mut outgoing = outgoing(id);
        (outgoing.message.chat, outgoing.message.addressed.chat) = (chat.into(), chat.into());
        outgoing
    };
    let order = async |outbox: &Outbox| {
        let lanes = outbox.fresh_chats();
        assert_eq!(lanes.len(), 1, "side by side: {lanes:?}");
        let mut order = Vec::new();
        while let Some(next) = outbox.head(&lanes[0]) {
            order.push(next.id.to_string());
            outbox.forget(&next.id);
        }
        order
    };
    accepting.accept(to("A", LID)).await.unwrap();
    world.store.learn_and_file(vec![(LID.into(), CHAT.into())], Vec::new()).await.unwrap();
    for (id, chat) in [("B", CHAT), ("C", LID), ("D", CHAT)] {
        accepting.accept(to(id, chat)).await.unwrap();
    }
    assert_eq!(order(&accepting).await, ["A", "B", "C", "D"]);
    let (reopened, _log) = outbox(&world).await;
    assert_eq!(order(&reopened).await, ["A", "B", "C", "D"]);
}
