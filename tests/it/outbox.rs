//! What was accepted is sent, and what was refused is not.

use std::{sync::Arc, time::Duration};

use sessiond::{
    clock::SystemClock,
    message::{
        Addressed, Content, Delivery, Event, EventBody, Feed, Keep, Log, Message, NotAccepted, Outbox, Outgoing, Shelf,
    },
    store::{Batch, space},
};

use crate::store_world::World;

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(50);

async fn outbox(world: &World) -> (Outbox, Arc<Log>) {
    let clock = SystemClock::shared();
    let keep = Keep { events: 1000, age: Duration::from_secs(3600), live: 500, whole: Duration::from_secs(3600) };
    let tenant = "trattoria".parse().unwrap();
    let log = Arc::new(
        Log::open(tenant, world.store.clone(), Feed::new(), Shelf::default(), clock.clone(), keep).await.unwrap(),
    );
    (Outbox::new(world.store.clone(), log.clone(), clock), log)
}

fn outgoing(id: &str) -> Outgoing {
    let jid = "573001112233@s.whatsapp.net".to_owned();
    let message = Message {
        id: id.into(),
        chat: jid.clone(),
        sender: jid.clone(),
        addressed: Addressed { chat: jid.clone(), sender: jid },
        from_me: true,
        is_group: false,
        timestamp: 0,
        push_name: String::new(),
        content: Content::plain(id),
        quoted: None,
        forwarded: false,
        mentions: Vec::new(),
        truncated: false,
    };
    Outgoing { message, body: id.to_owned().into(), digest: [7; 32], key: Some(id.into()), audience: Vec::new() }
}

async fn ids(outbox: &Outbox) -> Vec<String> {
    outbox.backlog().await.unwrap().into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn what_was_refused_is_not_sent_later() {
    let world = World::new().await;
    let (outbox, log) = outbox(&world).await;
    world.silence();
    let refused = outbox.accept(outgoing("a"), HASTY).await;
    assert!(matches!(refused, Err(NotAccepted::TooSlow)), "{refused:?}");
    assert!(outbox.unsettled("a").await.unwrap().is_none());
    world.answer();
    world.settle().await;
    assert_eq!(ids(&outbox).await, [""; 0]);
    log.publish();
    let bodies: Vec<EventBody> = log.after(None, 9).await.unwrap().into_iter().map(|Event { body, .. }| body).collect();
    let failed = |body: &EventBody| matches!(body, EventBody::Status { status: Delivery::Failed, .. });
    assert!(bodies.last().is_some_and(failed), "who saw it announced sees that it failed: {bodies:?}");
    // Nor by a later owner; and the caller may try again, with the same key.
    let later = world.restored().await;
    let (outbox, _) = self::outbox(&later).await;
    assert_eq!(ids(&outbox).await, [""; 0]);
    outbox.accept(outgoing("a"), PATIENT).await.unwrap();
    assert_eq!(ids(&outbox).await, ["a"]);
}

#[tokio::test]
async fn a_repeat_that_is_refused_does_not_take_back_what_was_accepted() {
    let world = World::new().await;
    let (outbox, _) = outbox(&world).await;
    outbox.accept(outgoing("a"), PATIENT).await.unwrap();
    world.silence();
    // Something that is not durable yet: the repeat waits for it.
    let mut batch = Batch::default();
    batch.put(space::SETTINGS, *b"pending", "");
    world.store.write(batch).await.unwrap();
    let refused = outbox.accept(outgoing("a"), HASTY).await;
    assert!(matches!(refused, Err(NotAccepted::TooSlow)), "{refused:?}");
    assert_eq!(ids(&outbox).await, ["a"]);
    world.answer();
    assert_eq!(ids(&world.restored().await.outbox().await).await, ["a"]);
}

impl World {
    async fn outbox(&self) -> Outbox {
        outbox(self).await.0
    }
}
