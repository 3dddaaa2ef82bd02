use super::{fates::Fates, *};
use crate::message::{Addressed, Content, Event, Media, MessageTarget};

const CHAT: &str = "573009998877@s.whatsapp.net";

fn event(n: u128, body: EventBody) -> Event {
    Event { id: EventId(ulid::Ulid(n)), tenant: "trattoria".parse().unwrap(), body }
}

fn message(id: &str, chat: &str, sender: &str, from_me: bool, content: Content) -> Message {
    Message {
        id: id.into(),
        chat: chat.into(),
        sender: sender.into(),
        addressed: Addressed { chat: chat.into(), sender: sender.into(), alternate: None },
        from_me,
        is_group: false,
        timestamp: 0,
        push_name: String::new(),
        content,
        quoted: None,
        forwarded: false,
        mentions: Vec::new(),
        advertisement: None,
        album: None,
        truncated: false,
    }
}

fn said(id: &str, sender: &str, content: Content) -> EventBody {
    EventBody::Received { message: message(id, CHAT, sender, false, content) }
}

fn text(text: &str) -> Content {
    Content::plain(text)
}

fn target(id: &str) -> MessageTarget {
    MessageTarget { id: id.into(), from_me: false, sender: CHAT.into() }
}

/// Oldest first, as they happened; what is shown comes newest first.
fn shown(bodies: Vec<EventBody>) -> Vec<HistoryEntry> {
    let mut fates = Fates::default();
    let events: Vec<_> = bodies.into_iter().zip(1..).map(|(body, n)| event(n, body)).collect();
    events.into_iter().rev().filter_map(|event| fates.meet(event.id, event.body)).collect()
}

#[test]
fn a_message_carries_what_became_of_it() {
    let sent = EventBody::Sent { message: message("S", CHAT, "me", true, text("at eight")) };
    let status = |status| {
        let (message_id, chat) = ("S".into(), CHAT.into());
        EventBody::Status { message_id, chat, status, by: None, failure: None }
    };
    let edit = |text: &str| Content::Edit { target: target("A"), content: Box::new(Content::plain(text)) };
    let react = |emoji: &str| Content::Reaction { target: target("A"), emoji: emoji.into() };
    let shown = shown(vec![
        said("A", CHAT, text("a tabel")),
        said("E1", CHAT, edit("a tabl")),
        said("R1", CHAT, react("👍")),
        said("E2", CHAT, edit("a table")),
        said("R2", CHAT, react("❤")),
        sent,
        status(Delivery::Sent),
        status(Delivery::Read),
    ]);
    assert_eq!(shown.len(), 2);
    assert_eq!((shown[0].message.id.as_str(), shown[0].status), ("S", Some(Delivery::Read)));
    assert_eq!((shown[1].message.content.text(), shown[1].edited), ("a table", true));
    assert_eq!(shown[1].reactions, [Reaction { sender: CHAT.into(), from_me: false, emoji: "❤".into() }]);
}

/// A process that begins anew reports states again; only for messages of ours it is reported that WhatsApp has them.
#[test]
fn the_phones_messages_come_as_far_as_anybody_told() {
    let sent = |id: &str| EventBody::Sent { message: message(id, CHAT, "me", true, text("at eight")) };
    let status = |id: &str, status| {
        let failure = (status == Delivery::Failed).then(|| crate::message::FailureReason::Unconfirmed.into());
        EventBody::Status { message_id: id.into(), chat: CHAT.into(), status, by: None, failure }
    };
    let shown = shown(vec![
        sent("phone"),
        sent("ours"),
        sent("late"),
        sent("untold"),
        status("phone", Delivery::Delivered),
        status("phone", Delivery::Read),
        status("phone", Delivery::Delivered),
        status("ours", Delivery::Sent),
        status("ours", Delivery::Delivered),
        status("late", Delivery::Failed),
        status("late", Delivery::Delivered),
    ]);
    let shown: Vec<_> = shown.iter().rev().map(|entry| (&*entry.message.id, entry.status, entry.is_ours)).collect();
    let expected = [
        ("phone", Some(Delivery::Read), false),
        ("ours", Some(Delivery::Delivered), true),
        ("late", Some(Delivery::Delivered), true),
        ("untold", None, false),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn an_edit_of_a_caption_keeps_the_file() {
    let file = Media {
        mime: "image/jpeg".into(),
        size: Some(5),
        caption: "Margerita".into(),
        thumbnail: Some("AAAA".into()),
        ..Media::default()
    };
    let caption = |caption: &str| Media { caption: caption.into(), ..Media::default() };
    for edit in [text("Margherita"), Content::Image(caption("Margherita"))] {
        let edit = Content::Edit { target: target("A"), content: Box::new(edit) };
        let shown = shown(vec![said("A", CHAT, Content::Image(file.clone())), said("E", CHAT, edit)]);
        let expected = Content::Image(Media { caption: "Margherita".into(), ..file.clone() });
        assert_eq!((&shown[0].message.content, shown[0].edited), (&expected, true));
    }
    // Whom it mentions it says, too.
    let (all, nobody) = (vec!["all".to_owned()], Vec::<String>::new());
    let original = message("A", CHAT, CHAT, false, text("@all, one"));
    let edit = Content::Edit { target: target("A"), content: Box::new(text("two")) };
    for (before, after) in [(&all, &nobody), (&nobody, &all)] {
        let edit = message("E", CHAT, CHAT, false, edit.clone());
        let shown = shown(vec![
            EventBody::Received { message: Message { mentions: before.clone(), ..original.clone() } },
            EventBody::Received { message: Message { mentions: after.clone(), ..edit } },
        ]);
        assert_eq!(&shown[0].message.mentions, after);
    }
    // A text stays one.
    let edit = Content::Edit { target: target("A"), content: Box::new(Content::Image(caption("two"))) };
    let shown = shown(vec![said("A", CHAT, text("one")), said("E", CHAT, edit)]);
    assert_eq!(shown[0].message.content, text("two"));
}

#[test]
fn nobody_edits_or_deletes_what_another_wrote() {
    let stranger = "573000000000@s.whatsapp.net";
    let forged = Content::Edit { target: target("A"), content: Box::new(text("free pizza")) };
    let elsewhere = |content| EventBody::Received { message: message("X", stranger, stranger, false, content) };
    let shown = shown(vec![
        said("A", CHAT, text("a table")),
        elsewhere(forged.clone()),
        elsewhere(Content::Revoke { target: target("A") }),
        said("Y", stranger, forged),
        said("Z", stranger, Content::Revoke { target: target("A") }),
    ]);
    let original = shown.iter().find(|entry| entry.message.id == "A").unwrap();
    assert_eq!((original.message.content.text(), original.edited, original.revoked), ("a table", false, false));
}

/// Its words are in none of its fields, whichever form it gets afterwards.
#[test]
fn of_what_was_deleted_for_everyone_nothing_is_left() {
    let words = "seven o'clock";
    let media = crate::message::Media {
        mime: "image/jpeg".into(),
        caption: words.into(),
        file_name: Some(words.into()),
        thumbnail: Some(words.into()),
        ..Default::default()
    };
    let poll = crate::message::Poll { name: words.into(), options: vec![words.into(), "never".into()], choose: 1 };
    let quoted = crate::message::Quoted { target: target("Q"), content: Box::new(text(words)) };
    for content in [text(words), Content::Image(media), Content::Poll(poll)] {
        let mut deleted = message("A", CHAT, CHAT, false, content.clone());
        (deleted.quoted, deleted.mentions) = (Some(quoted.clone()), vec![words.into()]);
        let edit = Content::Edit { target: target("A"), content: Box::new(text(words)) };
        let vote = Content::Vote { poll: target("A"), options: vec![words.into()] };
        let shown = shown(vec![
            EventBody::Received { message: deleted },
            said("E", CHAT, edit),
            said("V", CHAT, vote),
            said("R", CHAT, Content::Revoke { target: target("A") }),
        ]);
        assert_eq!((shown.len(), shown[0].revoked, &*shown[0].message.id), (1, true, "A"), "{content:?}");
        assert_eq!(shown[0].message.timestamp, message("A", CHAT, CHAT, false, text("")).timestamp);
        assert!(!format!("{:?}", shown[0]).contains(words), "{:?}", shown[0]);
    }
}

#[test]
fn an_admins_deletions_count_in_a_group() {
    const GROUP: &str = "120363000000000001@g.us";
    let there = |message: Message| Message { is_group: true, ..message };
    let theirs = |id: &str| EventBody::Received { message: there(message(id, GROUP, CHAT, false, text("free pizza"))) };
    let revoke = |id: &str, about: &str, sender: &str, from_me| {
        there(message(id, GROUP, sender, from_me, Content::Revoke { target: target(about) }))
    };
    let ours = |id: &str, about: &str| EventBody::Sent { message: revoke(id, about, "me", true) };
    let status = EventBody::Status {
        message_id: "Z".into(),
        chat: GROUP.into(),
        status: Delivery::Failed,
        by: None,
        failure: Some(crate::message::FailureReason::Expired.into()),
    };
    let shown = shown(vec![
        theirs("A"),
        theirs("B"),
        theirs("C"),
        ours("X", "A"),
        EventBody::Received { message: revoke("Y", "B", "573000000000@s.whatsapp.net", false) },
        ours("Z", "C"),
        status,
    ]);
    let shown: Vec<_> = shown.iter().map(|entry| (&*entry.message.id, entry.revoked)).collect();
    assert_eq!(shown, [("C", false), ("B", false), ("A", true)]);
}

#[test]
fn a_message_takes_the_place_of_its_placeholder() {
    let stranger = "573000000000@s.whatsapp.net";
    let lost = |id: &str| said(id, CHAT, Content::Undecryptable);
    let react = Content::Reaction { target: target("A"), emoji: "👍".into() };
    let shown = shown(vec![
        lost("A"),
        lost("R"),
        lost("B"),
        said("A", CHAT, text("a table")),
        // Not the same message.
        said("B", stranger, text("another")),
        said("R", CHAT, react),
    ]);
    let shown: Vec<_> = shown.iter().map(|entry| (&*entry.message.id, entry.message.content.text())).collect();
    assert_eq!(shown, [("B", "another"), ("A", "a table"), ("B", "")]);
}

#[test]
fn a_reaction_that_was_taken_back_is_none() {
    let react = |emoji: &str| Content::Reaction { target: target("A"), emoji: emoji.into() };
    let shown = shown(vec![said("A", CHAT, text("a")), said("1", CHAT, react("👍")), said("2", CHAT, react(""))]);
    assert_eq!(shown[0].reactions, []);
}

#[test]
fn a_poll_carries_the_last_vote_of_each() {
    let other = "573000000000@s.whatsapp.net";
    let poll = Content::Poll(crate::message::Poll { name: "When?".into(), ..Default::default() });
    let vote = |options: &[&str]| {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Content::Vote { poll: target("P"), options }
    };
    let shown = shown(vec![
        said("P", CHAT, poll),
        said("1", CHAT, vote(&["noon", "eight"])),
        said("2", other, vote(&["noon"])),
        said("3", CHAT, vote(&["eight"])),
        said("4", other, vote(&[])),
    ]);
    assert_eq!(shown[0].votes, [Vote { sender: CHAT.into(), from_me: false, options: vec!["eight".into()] }]);
}
