//! Retention of a log with segments: the state stays small, and what is too old or too much goes, by number, age and bytes.

use std::{sync::Arc, time::Duration};

use sessiond::{
    clock::Clock,
    message::{Content, Delivery, EventId, Inbox, Incoming, Message, Outbox, Outgoing, Retention},
    store::space,
};

use super::{CHAT, DAY, Desk, KEEP, ids, message};

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
