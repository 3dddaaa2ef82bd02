//! WAHA's message object (`WAMessage`).

#[cfg(test)]
pub mod tests;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::id::{MessageId, chat_id, jid};
use crate::{
    message::{
        self, Content, Delivery, Failure, MessageTarget,
        history::{HistoryEntry, Reaction, Vote},
        status::STATUS_CHAT,
    },
    pacing::Held,
};

/// A message as WAHA's clients read it. What does not apply is null or left out as WAHA 2026.8 has it; texts that its document requires
/// are empty instead.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WAMessage {
    /// See [`MessageId`].
    pub id: String,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// The chat; the tenant itself when the message is its own.
    pub from: String,
    pub from_me: bool,
    pub source: Source,
    /// The tenant itself; the chat when the message is its own.
    pub to: String,
    /// Who wrote it, in a group.
    pub participant: String,
    pub body: String,
    pub has_media: bool,
    pub media: Option<WAMedia>,
    pub media_url: String,
    pub ack: i8,
    pub ack_name: &'static str,
    /// Why, of an `ERROR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it waits to be sent and until when, where a limit keeps it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Held>,
    /// As `participant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    pub location: Option<WALocation>,
    /// Null: it has none.
    pub v_cards: Option<Vec<String>>,
    pub reply_to: Option<ReplyTo>,
    /// All that is known, in our form. What other engines put here differs from ours, and from each other.
    #[serde(rename = "_data")]
    pub data: Value,
}

/// Where a message came into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Accepted by this daemon.
    Api,
    /// Written on a phone or in another client.
    App,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WAMedia {
    pub url: Option<String>,
    pub mimetype: String,
    pub filename: Option<String>,
    pub error: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WALocation {
    /// Degrees; texts in WAHA's form.
    pub latitude: String,
    pub longitude: String,
    pub live: bool,
    pub name: Option<String>,
    pub address: Option<String>,
    pub url: Option<String>,
    pub description: Option<String>,
    pub thumbnail: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAReplyTo")]
pub struct ReplyTo {
    /// WhatsApp's own id of the message, without its chat.
    pub id: String,
    pub participant: Option<String>,
    pub body: Option<String>,
    pub has_media: bool,
    pub media: Option<WAMedia>,
    /// All that is known of it, in our form: of a product its ids, of an order its token.
    #[serde(rename = "_data")]
    pub data: Value,
}

/// The key of a message in Baileys' words: clients of WAHA's NOWEB engine read it to learn the number behind a LID. Fields that do not
/// apply are left out, as Baileys leaves them out. Jids are WhatsApp's own: people at `s.whatsapp.net`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WAMessageKey {
    /// The chat as WhatsApp addressed the message.
    remote_jid: String,
    /// The chat's other name, where both are known: the number of a LID, or the LID of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_jid_alt: Option<String>,
    from_me: bool,
    /// WhatsApp's own id of the message, without its chat.
    id: String,
    /// In a group, and of a status: who wrote it, as WhatsApp addressed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant_alt: Option<String>,
    /// `lid` or `pn`.
    addressing_mode: &'static str,
}

impl WAMessageKey {
    /// True for a message of the tenant's own.
    pub(super) fn own(id: &str, chat: &str, participant: Option<&str>) -> Self {
        let without_device = |name: &str| jid(&chat_id(name));
        let remote_jid = without_device(chat);
        Self {
            addressing_mode: if remote_jid.ends_with("@lid") { "lid" } else { "pn" },
            remote_jid,
            remote_jid_alt: None,
            from_me: true,
            id: id.to_owned(),
            participant: participant.map(without_device),
            participant_alt: None,
        }
    }

    fn new(message: &message::Message) -> Self {
        let message::Addressed { chat, sender, alternate } = &message.addressed;
        let among_many = has_participants(message);
        let (remote_jid, remote_jid_alt) =
            both_names(chat, &message.chat, alternate.as_deref().filter(|_| !among_many));
        let written_by = among_many.then(|| both_names(sender, &message.sender, alternate.as_deref()));
        let (participant, participant_alt) = written_by.map_or((None, None), |(jid, other)| (Some(jid), other));
        let is_lid = participant.as_ref().unwrap_or(&remote_jid).ends_with("@lid");
        Self {
            remote_jid,
            remote_jid_alt,
            from_me: message.from_me,
            id: message.id.clone(),
            participant,
            participant_alt,
            addressing_mode: if is_lid { "lid" } else { "pn" },
        }
    }
}

/// A jid as it was addressed, and the other name that it goes by here or that its message said, if that is another one. Without devices.
fn both_names(addressed: &str, named: &str, alternate: Option<&str>) -> (String, Option<String>) {
    let addressed = jid(&chat_id(addressed));
    let other = [Some(named), alternate].into_iter().flatten().map(|name| jid(&chat_id(name)));
    let other = other.into_iter().find(|other| *other != addressed);
    (addressed, other)
}

/// WAHA's numbers for how far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    Error,
    Pending,
    Server,
    Device,
    Read,
    Played,
}

impl Ack {
    pub fn number(self) -> i8 {
        match self {
            Self::Error => -1,
            Self::Pending => 0,
            Self::Server => 1,
            Self::Device => 2,
            Self::Read => 3,
            Self::Played => 4,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Pending => "PENDING",
            Self::Server => "SERVER",
            Self::Device => "DEVICE",
            Self::Read => "READ",
            Self::Played => "PLAYED",
        }
    }
}

impl From<Delivery> for Ack {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Accepted => Self::Pending,
            Delivery::Sent => Self::Server,
            Delivery::Delivered => Self::Device,
            Delivery::Read => Self::Read,
            Delivery::Played => Self::Played,
            Delivery::Failed => Self::Error,
        }
    }
}

/// What a message does not say of itself.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The tenant's own jid; empty before the first pairing.
    pub me: &'a str,
    pub source: Source,
    /// `None`: not known. A message that came is with our device, one that the phone sent is with WhatsApp.
    pub delivery: Option<Delivery>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Where its file can be fetched.
    pub media_url: Option<&'a str>,
}

impl View<'_> {
    /// Of a message whose source and delivery are not known.
    pub fn plain(me: &str) -> View<'_> {
        View { me, source: Source::App, delivery: None, failure: None, media_url: None }
    }
}

impl WAMessage {
    pub fn new(message: &message::Message, view: View<'_>) -> Self {
        let (me, chat) = (chat_id(view.me), chat_id(&message.chat));
        let (from, to) = if message.from_me { (me, chat) } else { (chat, me) };
        let author = participant(message).map(chat_id);
        let ack = match view.delivery {
            Some(delivery) => Ack::from(delivery),
            None if message.from_me => Ack::Server,
            None => Ack::Device,
        };
        let content = &message.content;
        Self {
            id: message_id(message).to_string(),
            timestamp: message.timestamp,
            from,
            from_me: message.from_me,
            source: view.source,
            to,
            participant: author.clone().unwrap_or_default(),
            body: content.text().to_owned(),
            has_media: content.media().is_some(),
            media: media(content, view.media_url),
            media_url: view.media_url.unwrap_or_default().to_owned(),
            ack: ack.number(),
            ack_name: ack.name(),
            failure: view.failure,
            waiting: None,
            author,
            location: location(content),
            v_cards: vcards(content),
            reply_to: message.quoted.as_ref().map(reply_to),
            data: json!({
                // The names that clients of WAHA's engines look for.
                "key": WAMessageKey::new(message),
                "pushName": message.push_name,
                "notifyName": message.push_name,
                "isGroup": message.is_group,
                "isForwarded": message.forwarded,
                "advertisement": message.advertisement,
                "album": message.album,
                "mentionedIds": message.mentions.iter().map(|jid| chat_id(jid)).collect::<Vec<_>>(),
                "undecryptable": *content == Content::Undecryptable,
                "content": content,
            }),
        }
    }
}

impl WAMessage {
    /// The same, with what became of it later. What was deleted for everyone has no body and no file any more, as with WAHA, and its
    /// `_data.content` is an empty text.
    pub fn with_fate(mut self, entry: &HistoryEntry) -> Self {
        self.data["edited"] = json!(entry.edited);
        self.data["revoked"] = json!(entry.revoked);
        self.data["reactions"] = entry.reactions.iter().map(reaction).collect();
        if matches!(entry.message.content, Content::Poll(_)) {
            self.data["votes"] = entry.votes.iter().map(vote).collect();
        }
        self
    }
}

/// The words of `poll.vote`.
fn vote(vote: &Vote) -> Value {
    json!({ "participant": chat_id(&vote.sender), "fromMe": vote.from_me, "selectedOptions": vote.options })
}

fn reaction(reaction: &Reaction) -> Value {
    json!({ "text": reaction.emoji, "participant": chat_id(&reaction.sender) })
}

/// WAHA's id of a message.
pub fn message_id(message: &message::Message) -> MessageId {
    MessageId {
        from_me: message.from_me,
        chat: message.chat.clone(),
        id: message.id.clone(),
        participant: participant(message).map(str::to_owned),
    }
}

/// WAHA's id of the message that another one in its chat is about.
pub fn target_id(message: &message::Message, target: &MessageTarget) -> MessageId {
    let participant = has_participants(message).then(|| target.sender.clone());
    MessageId { from_me: target.from_me, chat: message.chat.clone(), id: target.id.clone(), participant }
}

/// Who wrote it, where the chat does not say so.
pub fn participant(message: &message::Message) -> Option<&str> {
    has_participants(message).then_some(message.sender.as_str())
}

fn has_participants(message: &message::Message) -> bool {
    message.is_group || message.chat == STATUS_CHAT
}

fn media(content: &Content, url: Option<&str>) -> Option<WAMedia> {
    let media = content.media()?;
    Some(WAMedia {
        url: url.map(str::to_owned),
        mimetype: media.mime.clone(),
        filename: media.file_name.clone(),
        error: None,
    })
}

fn location(content: &Content) -> Option<WALocation> {
    let Content::Location(place) = content else { return None };
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Some(WALocation {
        latitude: place.latitude.to_string(),
        longitude: place.longitude.to_string(),
        live: place.live,
        name: given(&place.name),
        address: given(&place.address),
        url: None,
        description: given(&place.name),
        thumbnail: None,
    })
}

fn vcards(content: &Content) -> Option<Vec<String>> {
    let Content::Contact { contacts } = content else { return None };
    Some(contacts.iter().map(|contact| contact.vcard.clone()).collect())
}

fn reply_to(quoted: &message::Quoted) -> ReplyTo {
    ReplyTo {
        id: quoted.target.id.clone(),
        participant: Some(chat_id(&quoted.target.sender)),
        body: Some(quoted.content.text().to_owned()).filter(|text| !text.is_empty()),
        has_media: quoted.content.media().is_some(),
        media: media(&quoted.content, None),
        data: json!({ "content": quoted.content }),
    }
}
