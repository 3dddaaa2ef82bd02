//! What the store answers of messages: none is acknowledged that is not here, and none that was sent is forgotten.

use prost::Message;
use sessiond::store::{
    Batch, OwnAccount, key,
    records::{InboxKind, InboxRecord, OutboxRecord},
    space,
};
use whatsapp_rust::wacore::store::{
    Device,
    traits::{LidPnMappingEntry, ProtocolStore, SignalStore},
};

use crate::support::{store_peer::Peer, store_session::Session, store_world::World};

fn inbox(kind: InboxKind) -> Vec<u8> {
    let message = if kind == InboxKind::Message { b"message".to_vec() } else { Vec::new() };
    InboxRecord { id: "A".into(), kind: kind.into(), message, ..Default::default() }.encode_to_vec()
}

#[tokio::test]
async fn a_duplicate_is_acknowledged_only_if_the_message_is_here() {
    let world = World::new().await;
    let session = Session::attach(&world, Device::new());
    let (chat, sender) = ("222@lid", "222:3@lid");
    let store = &world.store;

    store.store_pending_inbound(chat, sender, "A", b"message").await.unwrap();
    assert_eq!(store.get_pending_inbound(chat, sender, "A").await.unwrap().as_deref(), Some(&b"message"[..]));
    store.delete_pending_inbound(chat, sender, "A").await.unwrap();

    assert!(store.get_pending_inbound(chat, sender, "A").await.is_err());
    assert_eq!(*session.lost.lock().unwrap(), ["222@lid 222:3@lid A"]);

    // Neither the same id in another chat nor of another sender is this message.
    for other in [key::inbox("333@lid", "A", sender), key::inbox(chat, "A", "333@lid"), key::inbox(chat, "B", sender)] {
        let mut batch = Batch::default();
        batch.put(space::INBOX, other, inbox(InboxKind::Message));
        store.write(batch).await.unwrap();
        assert!(store.get_pending_inbound(chat, sender, "A").await.is_err());
    }

    for (kind, is_here) in [(InboxKind::Placeholder, false), (InboxKind::Message, true)] {
        let mut batch = Batch::default();
        batch.put(space::INBOX, key::inbox(chat, "A", sender), inbox(kind));
        store.write(batch).await.unwrap();
        assert_eq!(store.get_pending_inbound(chat, sender, "A").await.is_ok(), is_here, "{kind:?}");
    }
    assert_eq!(store.get_pending_inbound(chat, sender, "A").await.unwrap(), None);
}

/// What is kept of them in memory is never older than the last write, whoever wrote.
#[tokio::test]
async fn names_and_the_own_account_are_as_they_were_written_last() {
    let world = World::new().await;
    let store = &world.store;
    let (lid, number, other) = ("200000012345678@lid", "5511987650002@s.whatsapp.net", "5511987650003@s.whatsapp.net");
    // The second answer is one that was kept.
    let names = async |of: &str| {
        let first = store.names(of).await.unwrap();
        assert_eq!(store.names(of).await.unwrap(), first);
        first
    };
    let own = async || {
        let first = store.own_account().await.unwrap();
        assert_eq!(store.own_account().await.unwrap(), first);
        first
    };
    assert_eq!(names(lid).await, [lid]);
    assert_eq!(names(number).await, [number]);
    store.learn_and_file(vec![(lid.into(), number.into())], Vec::new()).await.unwrap();
    assert_eq!(names(lid).await, [number, lid]);
    assert_eq!(names(number).await, [number, lid]);
    let mapping = LidPnMappingEntry {
        lid: "200000012345678".into(),
        phone_number: "5511987650003".into(),
        learning_source: "usync".into(),
        created_at: 1,
        updated_at: 1,
    };
    store.put_lid_mapping(&mapping).await.unwrap();
    assert_eq!(names(lid).await, [other, lid]);
    assert_eq!(names(number).await, [number]);
    let mut batch = Batch::default();
    batch.delete(space::LID_MAPPINGS, key::text("200000012345678"));
    store.write(batch).await.unwrap();
    assert_eq!(names(lid).await, [lid]);

    let account = OwnAccount::new("5511987650001", None);
    assert_eq!(own().await, None);
    let mut batch = Batch::default();
    account.put(&mut batch);
    store.write(batch).await.unwrap();
    assert_eq!(own().await, Some(account));
    let mut batch = Batch::default();
    OwnAccount::forget(&mut batch);
    store.write(batch).await.unwrap();
    assert_eq!(own().await, None);

    store.close().await.unwrap();
    assert!(store.names(lid).await.is_err() && store.own_account().await.is_err(), "a closed store answers");
}

/// A message that was decrypted and not handed over needs its row: wherever the machine dies, the row is not behind the
/// ratchet.
#[tokio::test]
async fn a_pending_message_is_never_durable_later_than_the_step_that_spent_its_key() {
    const IDS: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];
    let world = World::new().await;
    let (mut own, mut customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    customer.meet(&own).await;
    let mut steps = Vec::new();
    for id in IDS {
        let message = customer.encrypt(&own.address).await;
        own.decrypt(&customer.address, &message).await;
        world.store.store_pending_inbound("222@lid", "222@lid", id, b"text").await.unwrap();
        // Someone waits for this one, and the cut is made while the next writes come.
        let asked = tokio::spawn({
            let (journal, number) = (world.journal.clone(), world.journal.recorded());
            async move { journal.wait(number).await }
        });
        own.flush().await.unwrap();
        steps.push((id, world.store.get_session(customer.address.as_str()).await.unwrap().unwrap()));
        asked.await.unwrap().unwrap();
    }
    world.settle().await;

    let mut compared = 0;
    for appends in 0..=world.line.appends().len() {
        let restored = world.restored_after(appends).await.store;
        let session = restored.get_session(customer.address.as_str()).await.unwrap();
        let reached = steps.iter().position(|(_, step)| Some(step) == session.as_ref());
        for (id, _) in steps.iter().take(reached.map_or(0, |step| step + 1)) {
            assert!(restored.get_pending_inbound("222@lid", "222@lid", id).await.is_ok(), "{id} after {appends}");
            compared += 1;
        }
    }
    assert!(compared > IDS.len());
}

#[tokio::test]
async fn a_recipient_that_asks_again_is_answered_from_the_outbox() {
    let world = World::new().await;
    let sent = OutboxRecord {
        id: "3EB0A".into(),
        chat: "5511987650002@s.whatsapp.net".into(),
        message: b"whole message".to_vec().into(),
        ..Default::default()
    };
    let mut batch = Batch::default();
    batch.put(space::OUTBOX, key::outbox("3EB0A"), sent.encode_to_vec());
    world.store.write(batch).await.unwrap();
    world.store.store_sent_message(&sent.chat, "3EB0A", b"whole message").await.unwrap();

    let restored = world.restored().await;
    let store = &restored.store;
    let whole = Some(b"whole message".to_vec());
    assert_eq!(store.take_sent_message(&sent.chat, "3EB0A").await.unwrap(), whole);
    assert_eq!(store.take_sent_message(&sent.chat, "3EB0B").await.unwrap(), None);
    assert_eq!(store.take_sent_message("5511987650003@s.whatsapp.net", "3EB0A").await.unwrap(), None);

    // The library asks by the name that it encrypted for, which is the LID once it is known.
    let lid = "200000012345678@lid";
    assert_eq!(store.take_sent_message(lid, "3EB0A").await.unwrap(), None);
    let mapping = LidPnMappingEntry {
        lid: "200000012345678".into(),
        phone_number: "5511987650002".into(),
        learning_source: "usync".into(),
        created_at: 1,
        updated_at: 1,
    };
    store.put_lid_mapping(&mapping).await.unwrap();
    assert_eq!(store.take_sent_message(lid, "3EB0A").await.unwrap(), whole);
    assert_eq!(store.take_sent_message("200000012345679@lid", "3EB0A").await.unwrap(), None);
}
