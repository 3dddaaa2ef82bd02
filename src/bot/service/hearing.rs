//! What an event of the tenant's log is to the bot: something that a customer said, something that the owner said, or nothing. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    bot::conversation::{Said, Utterance},
    message::{Call, CallStage, Content, EventBody, EventId, Message},
};

/// How old a message may be when the bot is switched on, to be answered all the same.
pub const MAX_AGE_AT_START_S: i64 = 15 * 60;

/// An event that concerns a chat's conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeardEvent {
    pub id: EventId,
    pub what: HeardMessage,
    /// As WhatsApp shows the customer; of what customers say.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum HeardMessage {
    Said(Said),
    Edited { id: String, text: String },
    Revoked { id: String },
    OwnerWrote { text: Option<String> },
}

impl HeardEvent {
    pub fn is_owners(&self) -> bool {
        matches!(self.what, HeardMessage::OwnerWrote { .. })
    }

    /// It wants no answer: a reaction, a vote.
    pub fn is_silent(&self) -> bool {
        matches!(self.what, HeardMessage::Said(Said { what: Utterance::Silent, .. }))
    }

    /// Bytes that it takes while it waits.
    pub fn size(&self) -> usize {
        const OVERHEAD: usize = 200;
        let text = match &self.what {
            HeardMessage::Said(Said { what: Utterance::Text(text) | Utterance::Caption(text), .. })
            | HeardMessage::Edited { text, .. }
            | HeardMessage::OwnerWrote { text: Some(text) } => text.len(),
            _ => 0,
        };
        OVERHEAD + text
    }
}

/// A chat with a person: no group, channel, list, status, and not WhatsApp's own.
pub fn is_customers(chat: &str) -> bool {
    const WHATSAPP: &str = "0@s.whatsapp.net";
    (chat.ends_with("@s.whatsapp.net") || chat.ends_with("@lid")) && chat != WHATSAPP
}

/// The oldest message that counts, seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Oldest {
    pub customers: i64,
    /// The owner's word counts for as long as it silences the bot.
    pub owners: i64,
}

/// What the event is to the bot. `None`: nothing. The outbox says which [`HeardMessage::OwnerWrote`] is a bot's.
pub fn heard(id: EventId, body: &EventBody, oldest: Oldest) -> Option<HeardEvent> {
    if !is_customers(body.chat()) {
        return None;
    }
    let what = match body {
        EventBody::Received { message } if message.timestamp >= oldest.customers => said(message)?,
        EventBody::Sent { message } if message.timestamp >= oldest.owners => by_owner(message)?,
        EventBody::Call { call: call @ Call { stage: CallStage::Ringing, group: false, .. } }
            if call.timestamp >= oldest.customers =>
        {
            HeardMessage::Said(Said { id: call.id.clone(), at: second(call.timestamp), what: Utterance::Call })
        }
        _ => return None,
    };
    let name = match body {
        EventBody::Received { message } => Some(message.push_name.clone()).filter(|name| !name.is_empty()),
        _ => None,
    };
    Some(HeardEvent { id, what, name })
}

/// WhatsApp's time of a message. One beyond all calendars counts as the first: it confirms nothing.
fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(Timestamp::MIN)
}

fn said(message: &Message) -> Option<HeardMessage> {
    let utterance = match &message.content {
        Content::Edit { target, content } if !target.from_me => {
            return Some(HeardMessage::Edited { id: target.id.clone(), text: content.text().to_owned() });
        }
        Content::Revoke { target } if !target.from_me => return Some(HeardMessage::Revoked { id: target.id.clone() }),
        // It comes again when it can be read.
        Content::Undecryptable | Content::Edit { .. } | Content::Revoke { .. } => return None,
        content if content.is_mark() => return None,
        Content::Text { text, .. } | Content::Choice { text, .. } => Utterance::Text(text.clone()),
        // A receipt may be one of these.
        Content::Image(media) | Content::Document(media) if !media.caption.trim().is_empty() => {
            Utterance::Caption(media.caption.clone())
        }
        Content::Video(media) if !media.caption.trim().is_empty() => Utterance::Text(media.caption.clone()),
        Content::Image(_) | Content::Video(_) => Utterance::Picture,
        Content::Audio(_) => Utterance::Voice,
        Content::Document(_) => Utterance::Document,
        Content::Sticker(_) => Utterance::Sticker,
        Content::Location(place) => {
            let name =
                [&place.name, &place.address].map(|part| part.trim()).into_iter().filter(|part| !part.is_empty());
            let name = name.collect::<Vec<_>>().join(", ");
            Utterance::Location { latitude: place.latitude, longitude: place.longitude, name }
        }
        Content::Unknown { text, .. } | Content::Order(crate::message::CatalogOrder { text, .. })
            if !text.trim().is_empty() =>
        {
            Utterance::Text(text.clone())
        }
        Content::Contact { contacts } => {
            Utterance::Contact(contacts.iter().find_map(|contact| phone(&contact.vcard)).unwrap_or_default())
        }
        Content::Order(_) => Utterance::Cart,
        Content::Poll(_) | Content::Product(_) => Utterance::Unreadable,
        _ => Utterance::Silent,
    };
    Some(HeardMessage::Said(Said { id: message.id.clone(), at: second(message.timestamp), what: utterance }))
}

/// The digits of the first phone on a card.
fn phone(vcard: &str) -> Option<String> {
    let is_phone = |line: &&str| {
        let name = line.split([':', ';']).next().unwrap_or_default();
        // `item1.TEL`: a group is before it.
        name.rsplit('.').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("TEL"))
    };
    let digits = |line: &str| {
        let (_, number) = line.rsplit_once(':')?;
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        (7..=15).contains(&digits.len()).then_some(digits)
    };
    vcard.lines().filter(is_phone).find_map(digits)
}

/// A reaction, a vote or a deletion is no talk.
fn by_owner(message: &Message) -> Option<HeardMessage> {
    let is_talk = match &message.content {
        Content::Reaction { .. } | Content::Vote { .. } | Content::Revoke { .. } | Content::Undecryptable => false,
        content => !content.is_mark(),
    };
    let text = Some(message.content.text().to_owned()).filter(|text| !text.is_empty());
    is_talk.then_some(HeardMessage::OwnerWrote { text })
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::message::{Addressed, CatalogOrder, Contact, Media, MessageTarget, Poll};

    const CHAT: &str = "573001112233@s.whatsapp.net";
    const NOW: i64 = 1_800_000_000;
    const OLDEST: Oldest = Oldest { customers: NOW - 900, owners: NOW - 7_200 };

    fn message(chat: &str, content: Content) -> Message {
        Message {
            id: "A".into(),
            chat: chat.into(),
            sender: chat.into(),
            addressed: Addressed { chat: chat.into(), sender: chat.into(), alternate: None },
            from_me: false,
            is_group: false,
            timestamp: NOW,
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

    fn received(message: Message) -> Option<HeardMessage> {
        heard(EventId(Ulid(7)), &EventBody::Received { message }, OLDEST).map(|heard| heard.what)
    }

    #[test]
    fn only_people_are_answered() {
        for chat in ["120363000000000001@g.us", "status@broadcast", "120363@newsletter", "0@s.whatsapp.net", "1@bot"] {
            assert_eq!(received(message(chat, Content::plain("hola"))), None, "{chat}");
        }
        for chat in [CHAT, "99887766@lid"] {
            assert!(received(message(chat, Content::plain("hola"))).is_some(), "{chat}");
        }
    }

    #[test]
    fn what_was_said_too_long_ago_does_not_count() {
        let at = |timestamp| Message { timestamp, ..message(CHAT, Content::plain("hola")) };
        assert!(received(at(NOW - 900)).is_some());
        assert_eq!(received(at(NOW - 901)), None);
        let sent = |timestamp| {
            let message = Message { from_me: true, ..at(timestamp) };
            heard(EventId(Ulid(7)), &EventBody::Sent { message }, OLDEST)
        };
        assert!(sent(NOW - 7_200).is_some());
        assert_eq!(sent(NOW - 7_201), None);
    }

    #[test]
    fn a_caption_stays_a_pictures_and_an_edit_is_the_customers_own() {
        let media = |caption: &str| Media { caption: caption.into(), ..Media::default() };
        let says = |content| received(message(CHAT, content));
        let at = Timestamp::from_second(NOW).unwrap();
        let said = |what| Some(HeardMessage::Said(Said { id: "A".into(), at, what }));
        assert_eq!(says(Content::Image(media("ya pagué"))), said(Utterance::Caption("ya pagué".into())));
        assert_eq!(says(Content::Document(media("el recibo"))), said(Utterance::Caption("el recibo".into())));
        assert_eq!(says(Content::Video(media("dos de estas"))), said(Utterance::Text("dos de estas".into())));
        assert_eq!(says(Content::Image(media(" "))), said(Utterance::Picture));
        assert_eq!(says(Content::Document(media(" "))), said(Utterance::Document));
        let target = |from_me| MessageTarget { id: "B".into(), from_me, sender: CHAT.into() };
        let edit = |from_me| Content::Edit { target: target(from_me), content: Box::new(Content::plain("tres")) };
        assert_eq!(says(edit(false)), Some(HeardMessage::Edited { id: "B".into(), text: "tres".into() }));
        assert_eq!(says(edit(true)), None, "nobody edits another's message");
        assert_eq!(says(Content::Timer { seconds: 0 }), None);
    }

    /// Nobody who sends one is left without an answer.
    #[test]
    fn a_card_a_cart_and_a_poll_are_heard() {
        let at = Timestamp::from_second(NOW).unwrap();
        let says = |content| match received(message(CHAT, content)) {
            Some(HeardMessage::Said(Said { what, at: said_at, .. })) if said_at == at => what,
            other => panic!("{other:?}"),
        };
        let card = |vcard: &str| {
            let contact = Contact { name: "Luz".into(), vcard: vcard.into() };
            says(Content::Contact { contacts: vec![contact] })
        };
        let vcard = "BEGIN:VCARD\nFN:Luz\nitem1.TEL;type=CELL;waid=573001234567:+57 300 123 4567\nEND:VCARD";
        assert_eq!(card(vcard), Utterance::Contact("573001234567".into()));
        assert_eq!(card("BEGIN:VCARD\nFN:Luz\nEND:VCARD"), Utterance::Contact(String::new()));
        let cart = CatalogOrder { title: "2 items".into(), token: Some("t".into()), ..CatalogOrder::default() };
        assert_eq!(says(Content::Order(cart)), Utterance::Cart);
        assert_eq!(says(Content::Poll(Poll::default())), Utterance::Unreadable);
    }

    #[test]
    fn an_owner_who_reacts_does_not_talk() {
        let sent = |content| {
            let message = Message { from_me: true, ..message(CHAT, content) };
            heard(EventId(Ulid(7)), &EventBody::Sent { message }, OLDEST).map(|heard| heard.what)
        };
        let target = MessageTarget { id: "B".into(), from_me: false, sender: CHAT.into() };
        assert_eq!(sent(Content::Reaction { target, emoji: "👍".into() }), None);
        let text = Some("ya le averiguo".to_owned());
        assert_eq!(sent(Content::plain("ya le averiguo")), Some(HeardMessage::OwnerWrote { text }));
    }
}
