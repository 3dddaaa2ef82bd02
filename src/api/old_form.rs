//! The form that the service before gave to messages; its dashboards read it over HTTP and Socket.IO.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    message::{self, Address, Advertisement, Content, Delivery, EventId, Failure, history, media::Links},
    pacing::Held,
    session::Session,
    tenant::TenantId,
};

/// A message.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaileysMessage {
    id: String,
    /// A phone number with a plus: the customer's, or the chat's when the message is the tenant's own. Of whoever has none, or none that
    /// is known, a jid: `…@lid`, `…@g.us`.
    from: String,
    /// A jid.
    chat_id: String,
    from_me: bool,
    timestamp: Timestamp,
    text: String,
    caption: Option<String>,
    /// `null`: a text.
    media_type: Option<String>,
    /// The URL of its file, which is fetched with the key.
    media_url: Option<String>,
    quoted_message: Option<BaileysQuoted>,
    push_name: String,
    /// The advertisement over which the customer came to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    advertisement: Option<Box<Advertisement>>,
    /// The id of the album that it is a picture or video of.
    #[serde(skip_serializing_if = "Option::is_none")]
    album: Option<Box<str>>,
    /// It was larger than what is shown: its texts are cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// Beyond the old form: the jids that it mentions; `all`: all of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<String>,
    /// It could not be decrypted; it was asked for again.
    undecryptable: bool,
    platform: &'static str,
    tenant_id: TenantId,
    /// Beyond the old form: all that is known.
    content: Content,
}

/// The message that it answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BaileysQuoted {
    id: String,
    /// A jid.
    participant: String,
    text: String,
    /// Beyond the old form: all that is known.
    content: Content,
}

/// A message with what became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BaileysEntry {
    #[serde(flatten)]
    message: BaileysMessage,
    /// Its progress, when it is the tenant's own. What was written on the phone is with WhatsApp at least.
    status: Option<Delivery>,
    /// The reason, when it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// The reason why it waits to be sent, and until when, where a limit keeps it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Held>,
    edited: bool,
    /// Deleted for everyone.
    revoked: bool,
    /// The latest of each who reacted.
    reactions: Vec<LegacyReaction>,
    /// Of a poll: the latest of each who voted.
    votes: Vec<PollVote>,
    /// For `before`: the next page begins here.
    cursor: EventId,
}

/// A reaction, and who it is from.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Reaction")]
pub struct LegacyReaction {
    from: String,
    from_me: bool,
    emoji: String,
}

/// A vote, and who it is from.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollVote {
    from: String,
    from_me: bool,
    /// The names of all options chosen now.
    options: Vec<String>,
}

pub fn message(tenant: &TenantId, message: message::Message, links: &Links) -> BaileysMessage {
    let who = if message.from_me { &message.chat } else { &message.sender };
    let caption = message.content.media().map(|media| media.caption.clone()).filter(|caption| !caption.is_empty());
    let media_url = links.of(tenant, &message);
    let quoted = |quoted: message::Quoted| BaileysQuoted {
        text: quoted.content.text().to_owned(),
        id: quoted.target.id,
        participant: quoted.target.sender,
        content: *quoted.content,
    };
    BaileysMessage {
        id: message.id,
        from: phone(who),
        chat_id: message.chat,
        from_me: message.from_me,
        timestamp: Timestamp::from_second(message.timestamp).unwrap_or_default(),
        text: message.content.text().to_owned(),
        caption,
        media_type: media_type(&message.content).map(str::to_owned),
        media_url,
        quoted_message: message.quoted.map(quoted),
        push_name: message.push_name,
        advertisement: message.advertisement,
        album: message.album,
        truncated: message.truncated,
        mentions: message.mentions,
        undecryptable: message.content == Content::Undecryptable,
        platform: "baileys",
        tenant_id: tenant.clone(),
        content: message.content,
    }
}

pub fn entry(session: &Session, tenant: &TenantId, entry: history::HistoryEntry, links: &Links) -> BaileysEntry {
    let status = entry.message.from_me.then(|| entry.delivery());
    let waits = entry.status == Some(Delivery::Accepted);
    let waiting = if waits { session.held(&entry.message.id) } else { None };
    let history::HistoryEntry {
        event: cursor,
        past: _,
        is_ours: _,
        message: about,
        status: _,
        failure,
        edited,
        revoked,
        reactions,
        votes,
    } = entry;
    let reaction =
        |it: history::Reaction| LegacyReaction { from: phone(&it.sender), from_me: it.from_me, emoji: it.emoji };
    let vote = |it: history::Vote| PollVote { from: phone(&it.sender), from_me: it.from_me, options: it.options };
    BaileysEntry {
        message: message(tenant, about, links),
        status,
        failure,
        waiting,
        edited,
        revoked,
        reactions: reactions.into_iter().map(reaction).collect(),
        votes: votes.into_iter().map(vote).collect(),
        cursor,
    }
}

/// The old service's word for a kind; `null` for a text.
fn media_type(content: &Content) -> Option<&str> {
    match content {
        Content::Image(_) => Some("image"),
        Content::Video(_) => Some("video"),
        Content::Audio(_) => Some("audio"),
        Content::Document(_) => Some("document"),
        Content::Sticker(_) => Some("sticker"),
        Content::Location(_) => Some("location"),
        Content::Contact { .. } => Some("contact"),
        Content::Unknown { name, .. } => Some(name.trim_end_matches("_message")),
        _ => None,
    }
}

/// A phone number with a plus; of whoever has none, the jid: it can be written to.
pub fn phone(jid: &str) -> String {
    Address::of(jid).to_string()
}
