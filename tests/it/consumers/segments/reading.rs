//! Readers of a log whose older part is in segments: they see all of it, and read no more of them than they must.

use std::time::Duration;

use sessiond::{
    clock::Clock as _,
    demo::until,
    message::{Content, EventId, Inbox, Incoming, Message, MessageTarget, Retention, cleared, history},
    store::{Batch, space},
};

use super::{CHAT, Desk, KEEP, backwards, forwards, ids, message, open};
use crate::support::{
    proxy::{self, Mode},
    stage::LIMIT,
    store_world::soon,
};

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
