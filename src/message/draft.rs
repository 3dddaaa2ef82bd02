//! A consumer's draft of a message: one form for every kind that can be written. Checked when it is made into a
//! message; sends nothing.

use std::time::Duration;

use serde::Serialize;

use super::{
    Contact, LinkPreview, Location, MessageTarget, Poll,
    blank::is_blank,
    card,
    emoji::is_emoji,
    media::{Attachment, Origin},
    status::{StatusContent, StatusPost},
};

/// The content to send. Serializes so that a repeat under the same idempotency key can be told from another message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Draft {
    Text {
        text: String,
        #[serde(flatten)]
        mentions: Mentions,
    },
    /// Its bytes come beside it.
    File(Attachment),
    Location(Location),
    Contacts {
        contacts: Vec<Contact>,
    },
    Poll(Poll),
    /// A vote in a poll that came in or was sent; all options chosen now.
    Vote {
        poll: String,
        options: Vec<String>,
    },
    /// An empty emoji takes the reaction back.
    Reaction {
        target: MessageTarget,
        emoji: String,
    },
    /// A new text for a message that was sent before.
    Edit {
        target: MessageTarget,
        text: String,
        #[serde(skip_serializing_if = "Mentions::is_empty")]
        mentions: Mentions,
    },
    /// Deletes a message for everyone.
    Revoke {
        target: MessageTarget,
    },
    /// A message, as it is, from one chat to another.
    Forward {
        /// A jid.
        chat: String,
        id: String,
    },
    /// Puts a message on top of its chat for so many seconds; without any takes it down.
    Pin {
        target: MessageTarget,
        seconds: Option<u32>,
    },
    /// An invitation to something that happens.
    Happening(Happening),
    Status(StatusPost),
    /// A text with a link in it, and what is shown of where that leads. The bytes of its picture come beside it.
    Link {
        text: String,
        preview: LinkPreview,
        picture: Option<Origin>,
        /// Its picture is shown over the whole width.
        large: bool,
    },
    /// A button of the message that it answers.
    Choice {
        id: String,
        text: String,
    },
}

/// The people that a message mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mentions {
    /// Jids; the text names each as `@number`.
    #[serde(rename = "mentions")]
    pub people: Vec<String>,
    /// All of the group, whom the text names as `@all`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everybody: bool,
}

/// The word for all of a group among the mentions of a message, as WAHA has it. It is no jid.
pub const ALL: &str = "all";

impl Mentions {
    /// As a message tells them.
    pub fn names(&self) -> Vec<String> {
        self.people.iter().cloned().chain(self.everybody.then(|| ALL.to_owned())).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && !self.everybody
    }
}

/// Something that happens at a time, and to which one may say yes or no.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Happening {
    pub name: String,
    pub description: String,
    /// Seconds since 1970.
    pub start: i64,
    pub end: Option<i64>,
    pub place: String,
    pub extra_guests: bool,
}

/// The signs before a message that comes as a human would write it: typing always; and, before that:
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Humanize {
    /// The chat's messages are marked as read.
    pub reads: bool,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct SendRequest {
    /// A phone number or a jid.
    pub to: String,
    pub draft: Draft,
    /// The id of the message that it answers.
    pub answers: Option<String>,
    /// WhatsApp's id for it, when the consumer chose one; a repeat under the same is the same message.
    pub id: Option<String>,
    /// How long it may wait to be sent.
    pub ttl: Option<Duration>,
    /// A bot says it, and no human.
    pub from_bot: bool,
    /// It comes as a human would write it. `None`: at once.
    pub humanize: Option<Humanize>,
}

/// A flaw of a draft: the field, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct Flaw {
    pub field: &'static str,
    pub expected: String,
}

/// Characters. WhatsApp cuts longer ones off.
pub(super) const MAX_TEXT: usize = 65_536;

/// True when a text has so many characters at the most: WhatsApp counts these, not bytes.
pub(super) fn fits(text: &str, most: usize) -> bool {
    text.len() <= most || text.chars().nth(most).is_none()
}

/// The times that WhatsApp's clients offer for a pin: a day, a week, thirty days.
const PIN_SECONDS: [u32; 3] = [86_400, 604_800, 2_592_000];

/// WhatsApp's limits for polls; of the texts in characters, as its clients take them.
const POLL_OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;
const MAX_POLL_NAME: usize = 255;
const MAX_POLL_OPTION: usize = 100;

const MAX_CONTACTS: usize = 100;

/// Longer than what phones show of a link.
const MAX_URL: usize = 2048;
const MAX_TITLE: usize = 1024;
const MAX_DESCRIPTION: usize = 4096;

const MAX_CHOICE: usize = 4096;

/// Ids of WhatsApp's clients are hexadecimal; those of other programs have letters.
const ID: std::ops::RangeInclusive<usize> = 8..=64;

impl SendRequest {
    /// Whether it can be sent at all.
    pub fn check(&self) -> Result<(), Flaw> {
        let plain = |id: &String| ID.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self.id.as_ref().is_some_and(|id| !plain(id)) {
            return Err(Flaw { field: "id", expected: "8 to 64 letters and digits".into() });
        }
        self.draft.check()
    }
}

impl Draft {
    /// The message that it is about, where it names one.
    pub fn target_mut(&mut self) -> Option<&mut MessageTarget> {
        match self {
            Self::Reaction { target, .. }
            | Self::Edit { target, .. }
            | Self::Revoke { target }
            | Self::Pin { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Its mentions, where a draft of its kind can have some.
    pub fn mentions(&self) -> Option<&Mentions> {
        match self {
            Self::Text { mentions, .. } | Self::Edit { mentions, .. } => Some(mentions),
            other => other.attachment().map(|file| &file.mentions),
        }
    }

    /// The file that it has.
    pub fn attachment(&self) -> Option<&Attachment> {
        match self {
            Self::File(attachment) | Self::Status(StatusPost { shown: StatusContent::File { attachment, .. }, .. }) => {
                Some(attachment)
            }
            _ => None,
        }
    }

    /// The texts that it has, each with its field.
    fn texts(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Text { text, .. } | Self::Edit { text, .. } => vec![("text", text.as_str())],
            Self::File(attachment) => vec![("caption", attachment.caption.as_str())],
            Self::Status(post) => match &post.shown {
                StatusContent::Text { text, .. } => vec![("text", text.as_str())],
                StatusContent::File { attachment, .. } => vec![("caption", attachment.caption.as_str())],
                StatusContent::Nothing { .. } => Vec::new(),
            },
            Self::Location(place) => {
                [&place.name, &place.address, &place.comment].map(|text| ("title", text.as_str())).into()
            }
            Self::Contacts { contacts } => contacts
                .iter()
                .flat_map(|one| [&one.name, &one.vcard])
                .map(|text| ("contacts", text.as_str()))
                .collect(),
            Self::Poll(poll) => {
                let options = poll.options.iter().map(|option| ("poll.options", option.as_str()));
                std::iter::once(("poll.name", poll.name.as_str())).chain(options).collect()
            }
            Self::Vote { options, .. } => options.iter().map(|option| ("votes", option.as_str())).collect(),
            Self::Reaction { emoji, .. } => vec![("reaction", emoji.as_str())],
            Self::Happening(event) => vec![
                ("event.name", event.name.as_str()),
                ("event.description", event.description.as_str()),
                ("event.location.name", event.place.as_str()),
            ],
            Self::Link { text, preview, .. } => {
                vec![("text", text.as_str()), ("preview.description", preview.description.as_str())]
            }
            Self::Choice { id, text } => {
                vec![("selectedButtonID", id.as_str()), ("selectedDisplayText", text.as_str())]
            }
            Self::Revoke { .. } | Self::Forward { .. } | Self::Pin { .. } => Vec::new(),
        }
    }

    fn check(&self) -> Result<(), Flaw> {
        let flaw = |field, expected: &str| Err(Flaw { field, expected: expected.to_owned() });
        // Phones end a text there, or do not take the message.
        if let Some((field, _)) = self.texts().into_iter().find(|(_, text)| text.contains('\0')) {
            return flaw(field, "must have no NUL character");
        }
        match self {
            Self::Text { text, .. } | Self::Edit { text, .. } if is_blank(text) => flaw("text", "must not be empty"),
            Self::Text { text, .. } | Self::Edit { text, .. } if !fits(text, MAX_TEXT) => {
                flaw("text", "at most 65536 characters")
            }
            Self::Reaction { emoji, .. } if !emoji.is_empty() && !is_emoji(emoji) => {
                flaw("reaction", "one emoji, or nothing to take it back")
            }
            Self::File(attachment) => attachment.check(),
            Self::Status(status) => status.check(),
            Self::Location(place) if !(-90.0..=90.0).contains(&place.latitude) => flaw("latitude", "from -90 to 90"),
            Self::Location(place) if !(-180.0..=180.0).contains(&place.longitude) => {
                flaw("longitude", "from -180 to 180")
            }
            Self::Contacts { contacts } if !(1..=MAX_CONTACTS).contains(&contacts.len()) => {
                flaw("contacts", "from 1 to 100 contacts")
            }
            Self::Contacts { contacts } if !contacts.iter().all(|contact| card::is_card(&contact.vcard)) => {
                flaw("contacts", "vcards, each from BEGIN:VCARD to END:VCARD")
            }
            Self::Poll(poll) => check_poll(poll),
            Self::Pin { seconds: Some(seconds), .. } if !PIN_SECONDS.contains(seconds) => {
                flaw("duration", "86400, 604800 or 2592000 seconds")
            }
            Self::Happening(event) if is_blank(&event.name) => flaw("event.name", "must not be empty"),
            Self::Happening(event) if !fits(&format!("{}{}", event.name, event.description), MAX_TEXT) => {
                flaw("event.description", "at most 65536 characters with the name")
            }
            Self::Happening(event) if event.end.is_some_and(|end| end < event.start) => {
                flaw("event.endTime", "not before the start")
            }
            Self::Link { text, preview, .. } => check_link(text, preview),
            Self::Choice { id, text } if is_blank(id) || !fits(&format!("{id}{text}"), MAX_CHOICE) => {
                flaw("selectedButtonID", "1 to 4096 characters with the text")
            }
            Self::Edit { target, .. } if !target.from_me => flaw("messageId", "only own messages can be edited"),
            _ => Ok(()),
        }
    }
}

fn check_link(text: &str, preview: &LinkPreview) -> Result<(), Flaw> {
    let flaw = |field, expected: &str| Err(Flaw { field, expected: expected.to_owned() });
    let line = |text: &str, most| !text.is_empty() && fits(text, most) && !text.chars().any(char::is_control);
    // The parser takes line breaks and blanks out of a URL; a phone does not.
    let one_word = line(&preview.url, MAX_URL) && !preview.url.chars().any(char::is_whitespace);
    let url = reqwest::Url::parse(&preview.url).ok().filter(|_| one_word);
    if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
        return flaw("preview.url", "a link like https://example.com/menu");
    }
    if !text.contains(&preview.url) {
        return flaw("text", "must have the preview's url in it");
    }
    if !fits(text, MAX_TEXT) {
        return flaw("text", "at most 65536 characters");
    }
    if is_blank(&preview.title) || !line(&preview.title, MAX_TITLE) {
        return flaw("preview.title", "1 to 1024 characters on one line");
    }
    if !fits(&preview.description, MAX_DESCRIPTION) {
        return flaw("preview.description", "at most 4096 characters");
    }
    Ok(())
}

fn check_poll(poll: &Poll) -> Result<(), Flaw> {
    let flaw = |field, expected: &str| Err(Flaw { field, expected: expected.to_owned() });
    if is_blank(&poll.name) {
        return flaw("poll.name", "must not be empty");
    }
    if !fits(&poll.name, MAX_POLL_NAME) {
        return flaw("poll.name", "at most 255 characters");
    }
    if poll.options.iter().any(|option| !fits(option, MAX_POLL_OPTION)) {
        return flaw("poll.options", "at most 100 characters each");
    }
    if !POLL_OPTIONS.contains(&poll.options.len()) {
        return flaw("poll.options", "from 2 to 12 options");
    }
    // A vote names an option by its digest: two of the same could not be told apart.
    let mut names: Vec<_> = poll.options.iter().collect();
    names.sort();
    names.dedup();
    if names.len() != poll.options.len() || names.iter().any(|name| is_blank(name)) {
        return flaw("poll.options", "each option once, none empty");
    }
    if poll.choose as usize > poll.options.len() {
        return flaw("poll.choose", "not more than there are options");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::media::AttachmentKind;

    #[test]
    fn what_nobody_would_see_is_not_sent() {
        let request = |draft| SendRequest {
            to: String::new(),
            draft,
            answers: None,
            id: None,
            ttl: None,
            from_bot: false,
            humanize: None,
        };
        let flaw = |draft| request(draft).check().err().map(|flaw| flaw.field);
        let target = || MessageTarget { id: "A".into(), from_me: true, sender: "1@s.whatsapp.net".into() };
        let text = |text: &str| Draft::Text { text: text.into(), mentions: Mentions::default() };
        let edit = |text: &str| Draft::Edit { target: target(), text: text.into(), mentions: Mentions::default() };
        let poll = |name: &str, option: &str| {
            Draft::Poll(Poll { name: name.into(), options: vec!["yes".into(), option.into()], choose: 1 })
        };
        let event = |name: &str, place: &str| {
            Draft::Happening(Happening { name: name.into(), place: place.into(), ..Happening::default() })
        };
        let place = |name: &str| Draft::Location(Location { name: name.into(), ..Location::default() });
        let card =
            |vcard: &str| Draft::Contacts { contacts: vec![Contact { name: "Ana".into(), vcard: vcard.into() }] };
        let choice = |id: &str, text: &str| Draft::Choice { id: id.into(), text: text.into() };
        let file = |caption: &str| {
            let (kind, origin) = (AttachmentKind::Image, Origin::Bytes("00".into()));
            let (caption, mentions) = (caption.to_owned(), Mentions::default());
            Draft::File(Attachment { kind, origin, caption, file_name: None, mime: None, mentions })
        };
        let link = |title: &str, description: &str| Draft::Link {
            text: "https://example.com/".into(),
            preview: LinkPreview {
                url: "https://example.com/".into(),
                title: title.into(),
                description: description.into(),
            },
            picture: None,
            large: false,
        };
        for blank in ["", " ", "\n \t", "\u{a0}\u{2003}", "\r\n", "\u{1}", "\u{200b}\u{feff}"] {
            for (draft, field) in [
                (text(blank), "text"),
                (edit(blank), "text"),
                (poll(blank, "no"), "poll.name"),
                (poll("When?", blank), "poll.options"),
                (event(blank, ""), "event.name"),
                (choice(blank, "Yes"), "selectedButtonID"),
                (card(blank), "contacts"),
                (link(blank, ""), "preview.title"),
            ] {
                assert_eq!(flaw(draft.clone()), Some(field), "{blank:?} {draft:?}");
            }
            // These need not be there at all.
            for draft in [file(blank), place(blank), event("Wine", blank), link("Menu", blank)] {
                assert_eq!(flaw(draft.clone()), None, "{blank:?} {draft:?}");
            }
        }
        for (draft, field) in [
            (text("a\0b"), "text"),
            (edit("a\0b"), "text"),
            (file("a\0b"), "caption"),
            (poll("a\0b", "no"), "poll.name"),
            (poll("When?", "n\0o"), "poll.options"),
            (place("a\0b"), "title"),
            (event("Wine", "a\0b"), "event.location.name"),
            (choice("yes", "a\0b"), "selectedDisplayText"),
            (card("BEGIN:VCARD\nFN:A\0\nEND:VCARD"), "contacts"),
            (link("Menu", "a\0b"), "preview.description"),
            (Draft::Reaction { target: target(), emoji: "\0".into() }, "reaction"),
            (Draft::Reaction { target: target(), emoji: "not emoji at all".into() }, "reaction"),
            (Draft::Vote { poll: "A".into(), options: vec!["a\0b".into()] }, "votes"),
        ] {
            assert_eq!(flaw(draft.clone()), Some(field), "{draft:?}");
        }
        for draft in [text(" a "), text("👍"), poll("When?", "no"), card("begin:vcard\r\nFN:A\r\nend:vcard\r\n")] {
            assert_eq!(flaw(draft.clone()), None, "{draft:?}");
        }
        for vcard in
            ["Ana", "BEGIN:VCARD", "BEGIN:VCARD\nFN:Ana", "FN:Ana\nEND:VCARD", "BEGIN:VCALENDAR\nEND:VCALENDAR"]
        {
            assert_eq!(flaw(card(vcard)), Some("contacts"), "{vcard:?}");
        }
    }

    /// A repeat after a deploy is told from another message by what the build before wrote.
    #[test]
    fn what_mentions_nobody_is_told_apart_as_ever() {
        let written = |draft: &Draft| serde_json::to_string(draft).unwrap();
        let nobody = Mentions::default;
        let text = Draft::Text { text: "one".into(), mentions: nobody() };
        assert_eq!(written(&text), r#"{"kind":"text","text":"one","mentions":[]}"#);
        let target = MessageTarget { id: "A".into(), from_me: true, sender: "1@s.whatsapp.net".into() };
        let edit = |mentions| Draft::Edit { target: target.clone(), text: "two".into(), mentions };
        let (id, ending) = (serde_json::to_string(&target).unwrap(), r#""text":"two"}"#);
        assert_eq!(written(&edit(nobody())), format!(r#"{{"kind":"edit","target":{id},{ending}"#));
        let origin = Origin::Url("https://example.com/menu.pdf".into());
        let file = |mentions| {
            let (kind, caption) = (AttachmentKind::Document, "the menu".into());
            Draft::File(Attachment { kind, origin: origin.clone(), caption, file_name: None, mime: None, mentions })
        };
        assert!(!written(&file(nobody())).contains("mentions"), "{}", written(&file(nobody())));
        // Who mentions somebody says something else.
        let all = Mentions { people: Vec::new(), everybody: true };
        assert_ne!(written(&edit(all.clone())), written(&edit(nobody())));
        assert_ne!(written(&file(all.clone())), written(&file(nobody())));
        let everybody = r#"{"kind":"text","text":"one","mentions":[],"everybody":true}"#;
        assert_eq!(written(&Draft::Text { text: "one".into(), mentions: all }), everybody);
    }
}
