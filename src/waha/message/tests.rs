//! What WAHA's clients read in a message, and what other tests make one with.

use crate::message::{Addressed, Contact, Location, Media, Quoted};

use super::*;

pub const ME: &str = "573001112233@s.whatsapp.net";

pub fn message(content: Content) -> message::Message {
    let (chat, sender) = ("573009998877@s.whatsapp.net".to_owned(), "573009998877@s.whatsapp.net".to_owned());
    message::Message {
        id: "3EB0A".into(),
        addressed: Addressed { chat: chat.clone(), sender: sender.clone(), alternate: None },
        chat,
        sender,
        from_me: false,
        is_group: false,
        timestamp: 1_800_000_000,
        push_name: "Ana".into(),
        content,
        quoted: None,
        forwarded: false,
        mentions: Vec::new(),
        advertisement: None,
        album: None,
        truncated: false,
    }
}

pub fn view() -> View<'static> {
    View { me: ME, source: Source::App, delivery: None, failure: None, media_url: None }
}

fn text(text: &str) -> Content {
    Content::plain(text)
}

#[test]
fn a_customers_text() {
    let found = WAMessage::new(&message(text("a pizza")), view());
    assert_eq!(found.id, "false_573009998877@c.us_3EB0A");
    assert_eq!((found.from.as_str(), found.to.as_str()), ("573009998877@c.us", "573001112233@c.us"));
    assert_eq!((found.body.as_str(), found.has_media, found.author), ("a pizza", false, None));
    assert_eq!((found.ack, found.ack_name), (2, "DEVICE"));
}

#[test]
fn an_own_message_in_a_group() {
    let own = message::Message {
        from_me: true,
        is_group: true,
        chat: "1203630@g.us".into(),
        sender: ME.into(),
        ..message(text("open again"))
    };
    let view = View { source: Source::Api, delivery: Some(Delivery::Read), ..view() };
    let found = WAMessage::new(&own, view);
    assert_eq!(found.id, "true_1203630@g.us_3EB0A_573001112233@c.us");
    assert_eq!((found.from.as_str(), found.to.as_str()), ("573001112233@c.us", "1203630@g.us"));
    assert_eq!((found.participant.as_str(), found.ack, found.ack_name), ("573001112233@c.us", 3, "READ"));
}

#[test]
fn a_key_tells_both_names_of_who_wrote() {
    let key = |message: &message::Message| {
        serde_json::to_value(WAMessage::new(message, view())).unwrap()["_data"]["key"].clone()
    };
    let (number, lid) = ("573009998877@s.whatsapp.net", "99887766@lid");
    let by_number = message(text("x"));
    assert_eq!(key(&by_number), json!({ "remoteJid": number, "fromMe": false, "id": "3EB0A", "addressingMode": "pn" }));
    let addressed = Addressed { alternate: Some(lid.into()), ..by_number.addressed.clone() };
    let both = message::Message { addressed, ..by_number.clone() };
    assert_eq!(
        key(&both),
        json!({ "remoteJid": number, "remoteJidAlt": lid, "fromMe": false, "id": "3EB0A", "addressingMode": "pn" })
    );
    let addressed = Addressed { chat: lid.into(), sender: "99887766:3@lid".into(), alternate: None };
    let by_lid = message::Message { addressed: addressed.clone(), ..by_number.clone() };
    assert_eq!(
        key(&by_lid),
        json!({ "remoteJid": lid, "remoteJidAlt": number, "fromMe": false, "id": "3EB0A", "addressingMode": "lid" })
    );
    let group = "1203630@g.us";
    let addressed = Addressed { chat: group.into(), ..addressed };
    let in_group = message::Message { addressed, chat: group.into(), is_group: true, ..by_number };
    assert_eq!(
        key(&in_group),
        json!({
            "remoteJid": group, "fromMe": false, "id": "3EB0A", "participant": lid, "participantAlt": number,
            "addressingMode": "lid",
        })
    );
}

#[test]
fn who_writes_by_number_in_a_group_has_the_lid_beside_it() {
    let (number, lid, group) = ("573009998877@s.whatsapp.net", "99887766@lid", "1203630@g.us");
    let addressed = Addressed { chat: group.into(), sender: number.into(), alternate: Some(lid.into()) };
    let message = message::Message { addressed, chat: group.into(), is_group: true, ..message(text("x")) };
    let key = serde_json::to_value(WAMessage::new(&message, view())).unwrap()["_data"]["key"].clone();
    assert_eq!(
        key,
        json!({
            "remoteJid": group, "fromMe": false, "id": "3EB0A", "participant": number, "participantAlt": lid,
            "addressingMode": "pn",
        })
    );
}

#[test]
fn the_keys_are_wahas() {
    let found = serde_json::to_value(WAMessage::new(&message(text("x")), view())).unwrap();
    let mut keys: Vec<_> = found.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "_data",
        "ack",
        "ackName",
        "body",
        "from",
        "fromMe",
        "hasMedia",
        "id",
        "location",
        "media",
        "mediaUrl",
        "participant",
        "replyTo",
        "source",
        "timestamp",
        "to",
        "vCards",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn files_places_people_and_quotes() {
    let image = Content::Image(Media { mime: "image/jpeg".into(), caption: "look".into(), ..Media::default() });
    let found = WAMessage::new(&message(image.clone()), View { media_url: Some("https://x/y"), ..view() });
    assert!(found.has_media);
    assert_eq!((found.body.as_str(), found.media_url.as_str()), ("look", "https://x/y"));
    assert_eq!(found.media.unwrap().mimetype, "image/jpeg");

    let place = Content::Location(Location { latitude: 4.6, longitude: -74.08, ..Location::default() });
    let found = WAMessage::new(&message(place), view()).location.unwrap();
    assert_eq!((found.latitude.as_str(), found.longitude.as_str()), ("4.6", "-74.08"));

    let person = Contact { name: "Ana".into(), vcard: "BEGIN:VCARD".into() };
    let found = WAMessage::new(&message(Content::Contact { contacts: vec![person] }), view());
    assert_eq!(found.v_cards.unwrap(), ["BEGIN:VCARD"]);

    let target = MessageTarget { id: "A".into(), from_me: true, sender: ME.into() };
    let content = json!({ "content": image });
    let quoted = Some(Quoted { target, content: Box::new(image) });
    let found = WAMessage::new(&message::Message { quoted, ..message(text("nice")) }, view()).reply_to.unwrap();
    assert_eq!((found.id.as_str(), found.has_media, &found.data), ("A", true, &content));
    assert_eq!(found.participant.as_deref(), Some("573001112233@c.us"));
}
