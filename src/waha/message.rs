//! WAHA's message object (`WAMessage`).

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

#[cfg(test)]
pub mod tests {
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
        assert_eq!(
            key(&by_number),
            json!({ "remoteJid": number, "fromMe": false, "id": "3EB0A", "addressingMode": "pn" })
        );
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
}
