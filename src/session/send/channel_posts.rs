//! Posts to channels. They are not encrypted, since anybody may follow a channel. Files (the library uploads none
//! unencrypted) and replies are refused before the post is accepted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use whatsapp_rust::{
    Client, Jid, NewsletterError, SendError, SendOptions, Server,
    request::{InfoQuery, IqError},
    wacore::iq::newsletter::NEWSLETTER_XMLNS,
    wacore_binary::{NodeContent, NodeRef, builder::NodeBuilder},
    waproto::{codec, whatsapp as wa},
};

use super::accept::AcceptError;
use crate::{
    message::{Addressed, Content, Draft, Message, SendRequest},
    session::{
        Inner, RequestError, Session,
        inbound::content::{self, Parties},
        requests::{channels::channel, pace::RequestKind},
    },
    sync::lock,
};

/// Among so many of a channel's newest posts the one is looked for to which somebody reacts.
const RECENT: u32 = 100;

/// A post of a channel, with what its readers made of it.
#[derive(Debug, Clone)]
pub struct ChannelPost {
    pub message: Message,
    /// How often each emoji.
    pub reactions: BTreeMap<String, u64>,
    pub views: u64,
}

/// Edits and deletions on their way. WhatsApp confirms them by the id of the post that they change: by that, their own.
#[derive(Default)]
pub struct PendingEdits(Mutex<HashMap<String, String>>);

impl PendingEdits {
    fn begin(&self, post: &str, id: String) {
        lock(&self.0).insert(post.to_owned(), id);
    }

    /// A connection begins: what was not confirmed on the last one is said again, or never was.
    pub fn forget(&self) {
        lock(&self.0).clear();
    }

    /// The change that WhatsApp means when it names a post.
    pub fn end(&self, post: &str) -> Option<String> {
        lock(&self.0).remove(post)
    }
}

/// Whether it can be said in a channel.
pub fn check(request: &SendRequest) -> Result<(), AcceptError> {
    let cannot = |reason| Err(AcceptError::NotInChannels(reason));
    match &request.draft {
        Draft::File(_) => cannot("files of channels are not encrypted, and whatsapp-rust cannot upload such"),
        draft if draft.mentions().is_some_and(|mentions| !mentions.is_empty()) => {
            cannot("nobody can be mentioned in a channel")
        }
        _ if request.answers.is_some() => cannot("in a channel nothing is an answer"),
        Draft::Text { .. } | Draft::Link { .. } => Ok(()),
        Draft::Edit { .. } | Draft::Revoke { .. } | Draft::Reaction { .. } => Ok(()),
        _ => cannot("in channels there are texts, links, edits, deletions and reactions"),
    }
}

pub async fn publish(
    session: &Inner,
    client: &Client,
    channel: Jid,
    id: String,
    body: wa::Message,
) -> Result<(), SendError> {
    let nameless = || SendError::InvalidRequest("it names no post".into());
    if let Some(protocol) = body.protocol_message.as_option() {
        let post = protocol.key.as_option().and_then(|key| key.id.clone()).ok_or_else(nameless)?;
        session.changes.begin(&post, id);
        let channels = client.newsletter();
        let changed = match protocol.edited_message.as_option() {
            Some(edited) => channels.edit_message(&channel, post.as_str(), edited.clone()).await,
            None => channels.revoke_message(&channel, post.as_str()).await,
        };
        return changed.map_err(|error| {
            // A later confirmation is of another change of the post, by the owner's phone perhaps.
            session.changes.end(&post);
            match error {
                NewsletterError::Client(error) => error.into(),
                NewsletterError::Iq(error) => error.into(),
                NewsletterError::InvalidRequest(why) => SendError::InvalidRequest(why),
                error => SendError::Internal(error.into()),
            }
        });
    }
    if let Some(reaction) = body.reaction_message.as_option() {
        let post = reaction.key.as_option().and_then(|key| key.id.clone()).ok_or_else(nameless)?;
        let posts = published(client, &channel, RECENT).await?;
        let number = posts.into_iter().find(|raw| raw.id == post).map(|raw| raw.number).ok_or_else(nameless)?;
        let code = reaction.text.clone().unwrap_or_default();
        let stanza = NodeBuilder::new("message")
            .attr("to", channel)
            .attr("type", "reaction")
            .attr("id", id)
            .attr("server_id", number)
            .children([NodeBuilder::new("reaction").attr("code", code).build()]);
        return Ok(client.send_node(stanza.build()).await?);
    }
    client.send_message_with_options(channel, body, SendOptions::default().with_message_id(id)).await?;
    Ok(())
}

impl Session {
    /// The newest posts of a channel, the newest last; also of one that the tenant does not follow.
    pub async fn posts(&self, id: &str, limit: u32) -> Result<Vec<ChannelPost>, RequestError> {
        let jid = match channel(id) {
            Ok(jid) => jid,
            // The code of a link.
            Err(_) => channel(&self.channel(id).await?.id)?,
        };
        let named = jid.clone();
        let raw = self.ask(RequestKind::Query, |client| async move { published(&client, &named, limit).await }).await;
        let raw = raw.map_err(|refused| refused.about("channel"))?;
        let me: Vec<Jid> = self.status().phone_number.map(Jid::pn).into_iter().collect();
        Ok(raw.into_iter().filter_map(|raw| raw.read(&jid, &me)).collect())
    }
}

/// A post as WhatsApp tells it. The library's form of it has no views.
struct RawPost {
    id: String,
    /// WhatsApp's own number of it in its channel.
    number: u64,
    timestamp: i64,
    from_me: bool,
    body: Option<wa::Message>,
    reactions: BTreeMap<String, u64>,
    views: u64,
}

async fn published(client: &Client, channel: &Jid, count: u32) -> Result<Vec<RawPost>, IqError> {
    debug_assert_eq!(channel.server, Server::Newsletter);
    let asked = NodeBuilder::new("messages").attr("count", count).build();
    let query = InfoQuery::get(NEWSLETTER_XMLNS, channel.clone(), Some(NodeContent::Nodes(vec![asked])));
    let answer = client.send_iq(query).await?;
    let posts = answer.get().get_optional_child("messages").and_then(|messages| messages.children());
    Ok(posts.unwrap_or_default().iter().filter(|node| node.tag == "message").filter_map(RawPost::of).collect())
}

impl RawPost {
    fn of(node: &NodeRef<'_>) -> Option<Self> {
        let text = |node: &NodeRef<'_>, name| node.get_attr(name).map(|value| value.as_str().into_owned());
        let number = |node: &NodeRef<'_>, name| text(node, name)?.parse::<u64>().ok();
        let reactions = node.get_optional_child("reactions").and_then(|reactions| reactions.children());
        let reaction = |node: &NodeRef<'_>| Some((text(node, "code")?, number(node, "count")?));
        let body = node.get_optional_child("plaintext").and_then(|plain| plain.content_bytes());
        Some(Self {
            id: text(node, "id")?,
            number: number(node, "server_id")?,
            timestamp: number(node, "t").and_then(|time| time.try_into().ok()).unwrap_or_default(),
            from_me: text(node, "is_sender").as_deref() == Some("true"),
            body: body.and_then(|body| codec::message_decode(body).ok()),
            reactions: reactions.unwrap_or_default().iter().filter_map(reaction).collect(),
            views: node.get_optional_child("views_count").and_then(|views| number(views, "count")).unwrap_or(0),
        })
    }

    /// `None`: it was deleted, or says nothing.
    fn read(self, channel: &Jid, me: &[Jid]) -> Option<ChannelPost> {
        let body = self.body?;
        let sender = me.first().filter(|_| self.from_me).unwrap_or(channel);
        let parties = Parties { me, sender, chat: channel, from_me: self.from_me, is_group: false };
        let content = content::content(&body, &parties).filter(|content| *content != Content::unknown())?;
        let (chat, sender) = (channel.to_string(), sender.to_string());
        let message = Message {
            id: self.id,
            addressed: Addressed { chat: chat.clone(), sender: sender.clone(), alternate: None },
            chat,
            sender,
            from_me: self.from_me,
            is_group: false,
            timestamp: self.timestamp,
            push_name: String::new(),
            content,
            quoted: None,
            forwarded: content::is_forwarded(&body),
            mentions: Vec::new(),
            advertisement: None,
            album: None,
            truncated: false,
        };
        let message = message.bounded(usize::MAX);
        Some(ChannelPost { message, reactions: self.reactions, views: self.views })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_on_a_later_connection_is_of_no_earlier_change() {
        let changes = PendingEdits::default();
        changes.begin("post", "never confirmed".into());
        changes.forget();
        assert_eq!(changes.end("post"), None);
        changes.begin("post", "edit".into());
        assert_eq!(changes.end("post").as_deref(), Some("edit"));
        assert_eq!(changes.end("post"), None, "the owner's phone has changed it");
    }
}
