//! What an event of the tenant's log is to the bot: something that a customer said, something that the owner said, or nothing. Pure.

use crate::{
    bot::conversation::{Said, Utterance},
    message::{Call, CallStage, Content, EventBody, EventId, Message},
};

/// How old a message may be when the bot is switched on, to be answered all the same.
pub const MAX_AGE_AT_START_S: i64 = 15 * 60;

/// An event that concerns a chat's conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct HeardEvent {
    pub id: EventId,
    pub what: Heard,
    /// As WhatsApp shows the customer; of what customers say.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Said(Said),
    Edited { id: String, text: String },
    Revoked { id: String },
    OwnerWrote { text: Option<String> },
}

impl HeardEvent {
    pub fn is_owners(&self) -> bool {
        matches!(self.what, Heard::OwnerWrote { .. })
    }

    /// Bytes that it takes while it waits.
    pub fn size(&self) -> usize {
        const OVERHEAD: usize = 200;
        let text = match &self.what {
            Heard::Said(Said { what: Utterance::Text(text), .. })
            | Heard::Edited { text, .. }
            | Heard::OwnerWrote { text: Some(text) } => text.len(),
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

/// What the event is to the bot. `None`: nothing. The outbox says which [`Heard::OwnerWrote`] is a bot's. `since`: when the bot was
/// switched on, seconds since 1970.
pub fn heard(id: EventId, body: &EventBody, since: i64) -> Option<HeardEvent> {
    if !is_customers(body.chat()) {
        return None;
    }
    let is_too_old = |at: i64| at < since.saturating_sub(MAX_AGE_AT_START_S);
    let what = match body {
        EventBody::Received { message } if !is_too_old(message.timestamp) => said(message)?,
        EventBody::Sent { message } if !is_too_old(message.timestamp) => by_owner(message)?,
        EventBody::Call { call: call @ Call { stage: CallStage::Ringing, group: false, .. } }
            if !is_too_old(call.timestamp) =>
        {
            Heard::Said(Said { id: call.id.clone(), what: Utterance::Call })
        }
        _ => return None,
    };
    let name = match body {
        EventBody::Received { message } => Some(message.push_name.clone()).filter(|name| !name.is_empty()),
        _ => None,
    };
    Some(HeardEvent { id, what, name })
}

fn said(message: &Message) -> Option<Heard> {
    let utterance = match &message.content {
        Content::Edit { target, content } if !target.from_me => {
            return Some(Heard::Edited { id: target.id.clone(), text: content.text().to_owned() });
        }
        Content::Revoke { target } if !target.from_me => return Some(Heard::Revoked { id: target.id.clone() }),
        // It comes again when it can be read.
        Content::Undecryptable | Content::Edit { .. } | Content::Revoke { .. } => return None,
        content if content.is_mark() => return None,
        Content::Text { text, .. } | Content::Choice { text, .. } => Utterance::Text(text.clone()),
        Content::Image(media) | Content::Video(media) if !media.caption.trim().is_empty() => {
            Utterance::Text(media.caption.clone())
        }
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
        Content::Unknown { text, .. } | Content::Order(crate::message::Order { text, .. })
            if !text.trim().is_empty() =>
        {
            Utterance::Text(text.clone())
        }
        _ => Utterance::Silent,
    };
    Some(Heard::Said(Said { id: message.id.clone(), what: utterance }))
}

/// A reaction, a vote or a deletion is no talk.
fn by_owner(message: &Message) -> Option<Heard> {
    let is_talk = match &message.content {
        Content::Reaction { .. } | Content::Vote { .. } | Content::Revoke { .. } | Content::Undecryptable => false,
        content => !content.is_mark(),
    };
    let text = Some(message.content.text().to_owned()).filter(|text| !text.is_empty());
    is_talk.then_some(Heard::OwnerWrote { text })
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::message::{Addressed, Media, Target};

    const CHAT: &str = "573001112233@s.whatsapp.net";
    const NOW: i64 = 1_800_000_000;

    fn message(chat: &str, content: Content) -> Message {
        Message {
            id: "A".into(),
            chat: chat.into(),
            sender: chat.into(),
            addressed: Addressed { chat: chat.into(), sender: chat.into() },
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

    fn received(message: Message) -> Option<Heard> {
        heard(EventId(Ulid(7)), &EventBody::Received { message }, NOW).map(|heard| heard.what)
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
    fn what_was_said_long_before_the_bot_was_switched_on_is_not_answered() {
        let at = |timestamp| Message { timestamp, ..message(CHAT, Content::plain("hola")) };
        assert!(received(at(NOW - MAX_AGE_AT_START_S)).is_some());
        assert_eq!(received(at(NOW - MAX_AGE_AT_START_S - 1)), None);
    }

    #[test]
    fn a_caption_is_a_text_and_an_edit_is_the_customers_own() {
        let media = |caption: &str| Media { caption: caption.into(), ..Media::default() };
        let says = |content| received(message(CHAT, content));
        let text = |text: &str| Some(Heard::Said(Said { id: "A".into(), what: Utterance::Text(text.into()) }));
        assert_eq!(says(Content::Image(media("dos de estas"))), text("dos de estas"));
        assert_eq!(
            says(Content::Image(media(" "))),
            Some(Heard::Said(Said { id: "A".into(), what: Utterance::Picture }))
        );
        let target = |from_me| Target { id: "B".into(), from_me, sender: CHAT.into() };
        let edit = |from_me| Content::Edit { target: target(from_me), content: Box::new(Content::plain("tres")) };
        assert_eq!(says(edit(false)), Some(Heard::Edited { id: "B".into(), text: "tres".into() }));
        assert_eq!(says(edit(true)), None, "nobody edits another's message");
        assert_eq!(says(Content::Timer { seconds: 0 }), None);
    }

    #[test]
    fn an_owner_who_reacts_does_not_talk() {
        let sent = |content| {
            let message = Message { from_me: true, ..message(CHAT, content) };
            heard(EventId(Ulid(7)), &EventBody::Sent { message }, NOW).map(|heard| heard.what)
        };
        let target = Target { id: "B".into(), from_me: false, sender: CHAT.into() };
        assert_eq!(sent(Content::Reaction { target, emoji: "👍".into() }), None);
        let text = Some("ya le averiguo".to_owned());
        assert_eq!(sent(Content::plain("ya le averiguo")), Some(Heard::OwnerWrote { text }));
    }
}
