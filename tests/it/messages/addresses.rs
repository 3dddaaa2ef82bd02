//! A person has two names at WhatsApp, a number and a LID, and a message may come under either. It is one message, in
//! one conversation, under one event, whichever way it came and whenever we learned that the names belong together.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use sessiond::{
    clock::SystemClock,
    message::{
        Addressed, Content, EventBody, Feed, Inbox, Incoming, Log, Message,
        cleared::{self, Cleared},
        history::{self, MessageQuery},
    },
    store::{
        Batch, key,
        records::{InboxKind, InboxRecord},
        space,
    },
};
use whatsapp_rust::wacore::store::traits::{LidPnMappingEntry, ProtocolStore};

use crate::support::store_world::{self, World};

const NUMBER: &str = "573001112233@s.whatsapp.net";
const LID: &str = "700000000000001@lid";
const GROUP: &str = "120363000000000001@g.us";
const ME: &str = "573009998877@s.whatsapp.net";
const MY_LID: &str = "700000000000009@lid";

async fn inbox(world: &World) -> (Inbox, Arc<Log>) {
    let clock = SystemClock::shared();
    let log = store_world::log(world, Feed::new(), clock.clone()).await;
    (Inbox::new(world.store.clone(), log.clone(), clock), log)
}

/// As the session hands it over: addressed by these jids, shown under those.
fn incoming(id: &str, addressed: (&str, &str), shown: (&str, &str), body: &'static [u8]) -> Incoming {
    let bare = |jid: &str| jid.split_once(':').map_or(jid.to_owned(), |(user, _)| format!("{user}@lid"));
    Incoming {
        visible: true,
        message: Message {
            id: id.into(),
            chat: bare(shown.0),
            sender: bare(shown.1),
            addressed: Addressed { chat: addressed.0.into(), sender: addressed.1.into(), alternate: None },
            from_me: [ME, MY_LID].contains(&shown.1),
            is_group: shown.0.ends_with("g.us"),
            timestamp: 1_800_000_000,
            push_name: "Ana".into(),
            content: if body.is_empty() { Content::Undecryptable } else { Content::plain("hello") },
            quoted: None,
            forwarded: false,
            mentions: Vec::new(),
            advertisement: None,
            album: None,
            truncated: false,
        },
        body: Bytes::from_static(body),
    }
}

fn by_number(id: &str) -> Incoming {
    incoming(id, (NUMBER, NUMBER), (NUMBER, NUMBER), b"body")
}

/// As a phone's copy comes: by the LID, and nothing that says whose it is.
fn by_lid(id: &str) -> Incoming {
    incoming(id, (LID, LID), (LID, LID), b"body")
}

async fn learn(world: &World, lid: &str, number: &str) {
    let entry = LidPnMappingEntry {
        lid: lid.split('@').next().unwrap().into(),
        phone_number: number.split('@').next().unwrap().into(),
        created_at: 1,
        updated_at: 1,
        learning_source: "usync".into(),
    };
    world.store.put_lid_mapping(&entry).await.unwrap();
}

/// Chats and ids of the messages that there are events of, the placeholders left out.
async fn events(log: &Log) -> Vec<(String, String)> {
    let events = log.after(None, 100).await.unwrap();
    let messages = events.into_iter().filter_map(|event| match event.body {
        EventBody::Received { message } | EventBody::Sent { message } => Some(message),
        _ => None,
    });
    messages
        .filter(|message| message.content != Content::Undecryptable)
        .map(|message| (message.chat, message.id))
        .collect()
}

fn one(chat: &str, id: &str) -> Vec<(String, String)> {
    vec![(chat.into(), id.into())]
}

#[tokio::test]
async fn what_the_phone_sends_again_is_the_message_that_is_here() {
    let world = World::new().await;
    learn(&world, LID, NUMBER).await;
    let (inbox, log) = inbox(&world).await;
    inbox.receive(&[by_number("A"), by_lid("A")]).await.unwrap();
    inbox.receive(&[by_lid("A")]).await.unwrap();
    assert_eq!(events(&log).await, one(NUMBER, "A"));
}

#[tokio::test]
async fn where_only_the_phone_has_it_whatsapp_is_answered() {
    let world = World::new().await;
    learn(&world, LID, NUMBER).await;
    let (inbox, log) = inbox(&world).await;
    inbox.receive(&[by_lid("A")]).await.unwrap();
    // The number's stanza, with a device or without; and a LID's.
    for (chat, sender) in [(NUMBER, NUMBER), (NUMBER, "573001112233:4@s.whatsapp.net"), (LID, "700000000000001:4@lid")]
    {
        assert_eq!(world.store.get_pending_inbound(chat, sender, "A").await.unwrap(), None, "{sender}");
    }
    assert_eq!(events(&log).await, one(NUMBER, "A"));
}

/// What cannot be read is not what was lost: a placeholder says nothing of a message that was decrypted since.
#[tokio::test]
async fn a_placeholder_is_no_message() {
    let world = World::new().await;
    let (inbox, _) = inbox(&world).await;
    inbox.receive(&[incoming("A", (LID, LID), (LID, LID), b"")]).await.unwrap();
    assert!(world.store.get_pending_inbound(LID, LID, "A").await.is_err());
}

#[tokio::test]
async fn a_placeholder_is_replaced_under_whatever_name_its_message_comes() {
    for late in [false, true] {
        let world = World::new().await;
        let (inbox, log) = inbox(&world).await;
        if !late {
            learn(&world, LID, NUMBER).await;
        }
        inbox
            .receive(&[incoming("A", (LID, "700000000000001:3@lid"), (LID, "700000000000001:3@lid"), b"")])
            .await
            .unwrap();
        learn(&world, LID, NUMBER).await;
        inbox.receive(&[by_number("A")]).await.unwrap();
        inbox.receive(&[by_lid("A")]).await.unwrap();
        assert_eq!(events(&log).await, one(NUMBER, "A"));
        let records = world.space(space::INBOX).await;
        assert_eq!(records.len(), 1, "the placeholder stays beside its message");
        assert_eq!(InboxRecord::decode(records[0].1.clone()).unwrap().kind(), InboxKind::Message);
        // Retention finds it by its event.
        assert_eq!(inbox.find(LID, "A").await.unwrap().unwrap().body, "body");
    }
}

/// A vault that is slow gathers them: the phone tells the message while its placeholder waits.
#[tokio::test]
async fn a_message_that_comes_together_with_its_placeholder_is_the_message() {
    let unread = |mut incoming: Incoming| {
        incoming.message.content = Content::Undecryptable;
        incoming.body = Bytes::new();
        incoming
    };
    let (message, placeholder) = (by_lid("A"), unread(by_number("A")));
    for batch in [[&placeholder, &message], [&message, &placeholder]] {
        let world = World::new().await;
        learn(&world, LID, NUMBER).await;
        let (inbox, log) = inbox(&world).await;
        inbox.receive(&batch.map(Incoming::clone)).await.unwrap();
        assert_eq!(events(&log).await, one(NUMBER, "A"));
        assert_eq!(
            log.after(None, 100).await.unwrap().len(),
            1,
            "nobody hears of a placeholder that has had its message"
        );
        assert_eq!(inbox.find(NUMBER, "A").await.unwrap().unwrap().body, "body");
    }
}

#[tokio::test]
async fn a_name_that_is_learned_later_makes_no_second_message() {
    let world = World::new().await;
    let (inbox, log) = inbox(&world).await;
    inbox.receive(&[by_lid("A")]).await.unwrap();
    learn(&world, LID, NUMBER).await;
    inbox.receive(&[by_number("A")]).await.unwrap();
    assert_eq!(events(&log).await.len(), 1);
    assert_eq!(world.store.get_pending_inbound(NUMBER, NUMBER, "A").await.unwrap(), None);
    for chat in [LID, NUMBER] {
        assert!(inbox.find(chat, "A").await.unwrap().is_some(), "{chat}");
        assert!(inbox.body(chat, "A", chat).await.unwrap().is_some(), "{chat}");
    }
}

/// The stanza itself says that both names are one person's. That is not lost in a crash which the library's own note
/// does not survive.
#[tokio::test]
async fn what_a_message_says_of_names_is_durable_with_it() {
    let world = World::new().await;
    let (first, _) = inbox(&world).await;
    first.receive(&[incoming("A", (LID, LID), (NUMBER, NUMBER), b"body")]).await.unwrap();
    let world = world.restored().await;
    let (inbox, log) = inbox(&world).await;
    assert_eq!(world.store.get_pending_inbound(LID, LID, "A").await.unwrap(), None);
    inbox.receive(&[by_lid("A"), by_lid("B")]).await.unwrap();
    assert_eq!(events(&log).await, [one(NUMBER, "A"), one(NUMBER, "B")].concat());
}

/// A message that could not be read comes twice: told by the phone, by the LID alone, and sent again by its author, by the number with the
/// LID beside it. And its placeholder stands under the name of its first stanza.
#[tokio::test]
async fn what_the_phone_tells_and_what_its_author_sends_again_is_one_message() {
    let named = |mut incoming: Incoming| {
        incoming.message.addressed.alternate = Some(LID.into());
        incoming
    };
    let empty = |mut incoming: Incoming| {
        incoming.message.content = Content::Undecryptable;
        incoming.body = Bytes::new();
        incoming
    };
    let (told, sent) = (by_lid("A"), named(by_number("A")));
    let unread = [None, Some(empty(told.clone())), Some(empty(sent.clone()))];
    for placeholder in unread {
        for arrivals in [[&told, &sent], [&sent, &told]] {
            for at_once in [false, true] {
                let world = World::new().await;
                let (inbox, log) = inbox(&world).await;
                inbox.receive(placeholder.as_slice()).await.unwrap();
                let arrivals = arrivals.map(Incoming::clone);
                for batch in if at_once { vec![&arrivals[..]] } else { arrivals.chunks(1).collect() } {
                    inbox.receive(batch).await.unwrap();
                }
                let story = format!("{placeholder:?}, {arrivals:?}, at once: {at_once}");
                assert_eq!(events(&log).await.len(), 1, "{story}");
                assert_eq!(world.space(space::INBOX).await.len(), 1, "{story}");
                for chat in [LID, NUMBER] {
                    assert!(inbox.find(chat, "A").await.unwrap().is_some(), "{chat}, {story}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_member_whom_a_group_names_twice_is_one() {
    let world = World::new().await;
    let (inbox, log) = inbox(&world).await;
    let mut first = incoming("A", (GROUP, NUMBER), (GROUP, NUMBER), b"");
    first.message.addressed.alternate = Some(LID.into());
    inbox.receive(&[first]).await.unwrap();
    let again = incoming("A", (GROUP, LID), (GROUP, LID), b"body");
    inbox.receive(std::slice::from_ref(&again)).await.unwrap();
    inbox.receive(&[again, incoming("A", (GROUP, NUMBER), (GROUP, NUMBER), b"body")]).await.unwrap();
    assert_eq!(events(&log).await, one(GROUP, "A"));
    assert_eq!(world.space(space::INBOX).await.len(), 1, "the placeholder stays beside its message");
}

#[tokio::test]
async fn records_of_earlier_builds_are_found() {
    let world = World::new().await;
    learn(&world, LID, NUMBER).await;
    let (inbox, log) = inbox(&world).await;
    let sender = "700000000000001:7@lid";
    let record = InboxRecord {
        chat: LID.into(),
        sender: sender.into(),
        id: "A".into(),
        kind: InboxKind::Message.into(),
        message: b"body".to_vec(),
        ..Default::default()
    };
    let mut batch = Batch::default();
    batch.put(space::INBOX, key::inbox(LID, "A", sender), record.encode_to_vec());
    world.store.write(batch).await.unwrap();
    inbox.receive(&[by_number("A"), by_lid("A")]).await.unwrap();
    assert!(events(&log).await.is_empty());
    assert_eq!(world.store.get_pending_inbound(NUMBER, NUMBER, "A").await.unwrap(), None);
    assert!(inbox.find(NUMBER, "A").await.unwrap().is_some());
    assert!(inbox.body(LID, "A", sender).await.unwrap().is_some(), "files are asked for by the old names");
}

#[tokio::test]
async fn members_of_a_group_have_two_names_as_well() {
    let world = World::new().await;
    learn(&world, LID, NUMBER).await;
    let (inbox, log) = inbox(&world).await;
    let of = |sender| incoming("A", (GROUP, sender), (GROUP, sender), b"body");
    inbox.receive(&[of("700000000000001:2@lid"), of(NUMBER)]).await.unwrap();
    assert_eq!(events(&log).await, one(GROUP, "A"));
    assert_eq!(world.store.get_pending_inbound(GROUP, NUMBER, "A").await.unwrap(), None);
    // Another member's message may have the same id.
    inbox.receive(&[of("700000000000002@lid")]).await.unwrap();
    assert_eq!(events(&log).await.len(), 2);
}

#[tokio::test]
async fn what_was_written_on_the_phone_is_one_message_under_any_name() {
    let world = World::new().await;
    // Our own names need not be mapped.
    learn(&world, LID, NUMBER).await;
    let (inbox, log) = inbox(&world).await;
    inbox.receive(&[incoming("A", (NUMBER, ME), (NUMBER, ME), b"body")]).await.unwrap();
    inbox.receive(&[incoming("A", (LID, MY_LID), (LID, MY_LID), b"body")]).await.unwrap();
    assert_eq!(events(&log).await, one(NUMBER, "A"));
    assert_eq!(world.store.get_pending_inbound(LID, "700000000000009:5@lid", "A").await.unwrap(), None);
    // The customer's own message with that id would be another.
    inbox.receive(&[by_number("A")]).await.unwrap();
    assert_eq!(events(&log).await.len(), 2);
}

#[tokio::test]
async fn a_pending_row_is_found_under_the_other_name() {
    let world = World::new().await;
    world.store.store_pending_inbound(LID, "700000000000001:3@lid", "A", b"message").await.unwrap();
    learn(&world, LID, NUMBER).await;
    let row = world.store.get_pending_inbound(NUMBER, "573001112233:3@s.whatsapp.net", "A").await.unwrap();
    assert_eq!(row.as_deref(), Some(&b"message"[..]));
}

#[tokio::test]
async fn a_name_that_is_learned_later_makes_no_second_conversation() {
    let world = World::new().await;
    let (inbox, log) = inbox(&world).await;
    inbox.receive(&[by_lid("A")]).await.unwrap();
    learn(&world, LID, NUMBER).await;
    inbox.receive(&[by_number("B")]).await.unwrap();
    let chats = history::chats(&log, &Cleared::default(), None, 0, 10).await.unwrap();
    assert_eq!(chats.iter().map(|chat| chat.id.as_str()).collect::<Vec<_>>(), [NUMBER]);
    for chat in [NUMBER, LID] {
        let query = MessageQuery { chat: Some(chat.into()), limit: 10, ..MessageQuery::default() };
        let messages = history::messages(&log, &query).await.unwrap();
        assert_eq!(messages.iter().map(|entry| entry.message.id.as_str()).collect::<Vec<_>>(), ["B", "A"], "{chat}");
        let only = HashSet::from([chat.to_owned()]);
        assert_eq!(history::chats(&log, &Cleared::default(), Some(&only), 0, 10).await.unwrap().len(), 1, "{chat}");
    }
    cleared::clear(&world.store, LID, log.newest().unwrap()).await.unwrap();
    let cleared = cleared::read(&world.store).await.unwrap();
    assert!(cleared.contains_key(NUMBER), "what was cleared under the old name comes back");
}
