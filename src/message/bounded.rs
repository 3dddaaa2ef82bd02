//! The largest message that is shown. WhatsApp's own clients write texts of 65,536 characters at the most; its
//! protocol carries 16 MB. No client wrote a larger one: it is cut, and says so, since every event is kept for weeks,
//! read in pages and handed to every consumer. Pure.

use serde_json::Value;

use super::{Content, GroupChange, Message, Quoted};

/// Characters of a text.
pub const MAX_TEXT: usize = 65_536;

/// Bytes of what a message says, as an event has it: a text of the longest characters, and what belongs to it.
const MAX_SHOWN: usize = 384 * 1024;

/// Of a list: options, cards, mentions.
const MAX_LIST: usize = 1024;

/// Characters of a name; WhatsApp's clients take 25.
const MAX_NAME: usize = 256;

/// Characters of a poll's question and of each option; WhatsApp's clients take 255 and 100. A vote repeats the names of
/// what it chooses, however few bytes it came in.
const MAX_POLL_NAME: usize = 512;

/// Characters of a group's subject and description; WhatsApp's clients take 100 and 2048.
const MAX_SUBJECT: usize = 1024;
const MAX_DESCRIPTION: usize = 8192;

/// Members that are told of a group; the largest have half as many.
const MAX_MEMBERS: usize = 10_000;

/// A message that came in fewer bytes cannot be too large: base64 and JSON's escapes make at most six bytes of one.
const SURELY_SMALL: usize = MAX_SHOWN / 6;

impl Message {
    /// Cuts the message if it is too large. `size`: the bytes in which it came.
    pub fn bounded(mut self, size: usize) -> Self {
        if self.push_name.len() > MAX_NAME {
            cut(&mut self.push_name, MAX_NAME);
        }
        self.truncated |= self.content.cut_poll();
        if size <= SURELY_SMALL {
            return self;
        }
        let (content, content_is_cut) = bounded(&self.content);
        let (quoted, quoted_is_cut) = bounded(&self.quoted);
        let (advertisement, advertisement_is_cut) = bounded(&self.advertisement);
        let mentions_are_cut = self.mentions.len() > MAX_LIST;
        self.mentions.truncate(MAX_LIST);
        self.truncated |= content_is_cut || quoted_is_cut || advertisement_is_cut || mentions_are_cut;
        self.content = content.unwrap_or_else(|| {
            let mut text = self.content.text().to_owned();
            cut(&mut text, MAX_TEXT / 8);
            Content::nameable("", text)
        });
        self.quoted = quoted.unwrap_or_default();
        self.advertisement = advertisement.unwrap_or_default();
        self
    }
}

/// Characters of a message in a list of conversations, or of one of too many.
const BRIEF: usize = 2048;

impl Message {
    /// The short form, for a list of conversations that is large.
    pub fn brief(self) -> Self {
        let content = self.content.brief();
        let is_cut = content != self.content;
        let quoted = self.quoted.map(|quoted| Quoted { content: Box::new(quoted.content.brief()), ..quoted });
        Self { content, quoted, truncated: self.truncated || is_cut, ..self }
    }

    /// Bytes, as an event has it.
    pub fn shown_size(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |shown| shown.len())
    }
}

impl GroupChange {
    /// Cut, where it is larger than anybody's client makes it: strangers may take the tenant into a group of theirs.
    pub fn bounded(mut self) -> Self {
        match &mut self {
            Self::Joined(group) => {
                cut(&mut group.subject, MAX_SUBJECT);
                if let Some(description) = &mut group.description {
                    cut(description, MAX_DESCRIPTION);
                }
                group.members.truncate(MAX_MEMBERS);
            }
            Self::Members { members, .. } => members.truncate(MAX_MEMBERS),
            Self::Subject(subject) => cut(subject, MAX_SUBJECT),
            Self::Description(Some(description)) => cut(description, MAX_DESCRIPTION),
            Self::Description(None) | Self::Asks { .. } | Self::Set(_) | Self::Gone => {}
        }
        self
    }
}

impl Content {
    /// True if something was cut.
    fn cut_poll(&mut self) -> bool {
        let names: Vec<&mut String> = match self {
            Self::Poll(poll) => std::iter::once(&mut poll.name).chain(&mut poll.options).collect(),
            Self::Vote { options, .. } => options.iter_mut().collect(),
            _ => return false,
        };
        let mut is_cut = false;
        for name in names {
            let length = name.len();
            cut(name, MAX_POLL_NAME);
            is_cut |= name.len() < length;
        }
        is_cut
    }

    /// With short texts, and without a picture.
    pub fn brief(&self) -> Self {
        let Ok(mut shown) = serde_json::to_value(self) else { return self.clone() };
        shorten(&mut shown, BRIEF);
        serde_json::from_value(shown).unwrap_or_else(|_| self.clone())
    }
}

/// `None`: it cannot be made small. And whether anything was cut.
fn bounded<T: serde::Serialize + serde::de::DeserializeOwned>(said: &T) -> (Option<T>, bool) {
    let Ok(whole) = serde_json::to_value(said) else { return (None, true) };
    let mut limit = MAX_TEXT;
    while limit > 16 {
        let mut shown = whole.clone();
        shorten(&mut shown, limit);
        if shown.to_string().len() <= MAX_SHOWN {
            let is_cut = shown != whole;
            return (serde_json::from_value(shown).ok(), is_cut);
        }
        limit /= 4;
    }
    (None, true)
}

fn shorten(value: &mut Value, limit: usize) {
    match value {
        Value::String(text) => cut(text, limit),
        Value::Array(list) => {
            list.truncate(MAX_LIST);
            list.iter_mut().for_each(|value| shorten(value, limit));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                // Half a picture is none.
                match value {
                    Value::String(text) if name == "thumbnail" && text.len() > limit => *value = Value::Null,
                    value => shorten(value, limit),
                }
            }
        }
        _ => {}
    }
}

/// To so many characters.
fn cut(text: &mut String, limit: usize) {
    if let Some((end, _)) = text.char_indices().nth(limit) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Addressed, Contact, Media, Poll};

    fn message(content: Content) -> Message {
        Message {
            id: "A".into(),
            chat: "c".into(),
            sender: "s".into(),
            addressed: Addressed { chat: "c".into(), sender: "s".into(), alternate: None },
            from_me: false,
            is_group: false,
            timestamp: 1,
            push_name: "n".repeat(10_000),
            content,
            quoted: None,
            forwarded: false,
            mentions: Vec::new(),
            advertisement: None,
            album: None,
            truncated: false,
        }
    }

    #[test]
    fn a_group_is_called_no_more_than_a_client_could() {
        let long = "ñ".repeat(1_000_000);
        assert_eq!(GroupChange::Subject(long.clone()).bounded(), GroupChange::Subject("ñ".repeat(MAX_SUBJECT)));
        let described = GroupChange::Description(Some(long)).bounded();
        assert_eq!(described, GroupChange::Description(Some("ñ".repeat(MAX_DESCRIPTION))));
        let whole = GroupChange::Subject("Vecinos".into());
        assert_eq!(whole.clone().bounded(), whole);
    }

    fn size(message: &Message) -> usize {
        serde_json::to_vec(message).unwrap().len()
    }

    #[test]
    fn what_people_can_write_is_shown_whole() {
        for text in ["a", "ñ", "🍕"] {
            let text = text.repeat(MAX_TEXT);
            let shown = message(Content::plain(&text)).bounded(text.len());
            assert_eq!((shown.content.text(), shown.truncated), (&*text, false));
            assert_eq!(shown.push_name.len(), MAX_NAME);
        }
    }

    #[test]
    fn a_polls_names_are_short_in_the_poll_and_in_its_votes() {
        let long = || "x".repeat(40_000);
        let poll = Content::Poll(Poll { name: long(), options: vec![long(), "yes".into()], choose: 1 });
        let target = crate::message::MessageTarget { id: "B".into(), from_me: false, sender: "s".into() };
        for said in [poll, Content::Vote { poll: target, options: vec![long(); 12] }] {
            let shown = message(said).bounded(200);
            assert!(shown.truncated && size(&shown) <= 12 * (MAX_POLL_NAME + 16) + 1024, "{} bytes", size(&shown));
        }
        let poll = Content::Poll(Poll { name: "¿Pizza?".into(), options: vec!["sí".repeat(50)], choose: 1 });
        assert_eq!(message(poll.clone()).bounded(200).content, poll);
    }

    #[test]
    fn what_nobody_can_is_cut_and_says_so() {
        let card = || Contact { name: "x".repeat(1 << 20), vcard: "\u{1}".repeat(1 << 20) };
        let image = Media { thumbnail: Some("A".repeat(1 << 20)), caption: "menu".into(), ..Media::default() };
        for content in [
            Content::plain("ñ".repeat(6 << 20)),
            Content::Contact { contacts: (0..3000).map(|_| Contact::default()).chain([card()]).collect() },
            Content::Contact { contacts: vec![card(), card()] },
            Content::Image(image),
            Content::Edit {
                target: crate::message::MessageTarget { id: "B".into(), from_me: false, sender: "s".into() },
                content: Box::new(Content::plain("\u{1}".repeat(1 << 20))),
            },
        ] {
            let shown = message(content).bounded(12 << 20);
            assert!(shown.truncated && size(&shown) <= MAX_SHOWN + 4096, "{} bytes", size(&shown));
        }
    }
}
