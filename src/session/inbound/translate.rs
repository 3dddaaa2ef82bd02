//! Between the library's messages and ours. Pure.

use bytes::Bytes;
use whatsapp_rust::{
    Jid, Server,
    buffa::MessageField,
    types::events::InboundMessage,
    wacore::types::message::{EditAttribute, MessageInfo, MessageSource},
    wacore_binary::JidExt as _,
    waproto::{codec, whatsapp as wa},
};

use super::content::{self, Parties};
use crate::{
    message::{Addressed, Content, Incoming, Message, MessageTarget, Quoted},
    session::files::reference,
};

/// A decrypted message. `vote`: what it chose, when it is a vote and could be decrypted.
pub fn incoming(inbound: &InboundMessage, me: &[Jid], vote: Option<Content>) -> Incoming {
    let Incoming { message, body, visible } = whole(inbound, me, vote);
    let message = message.bounded(body.len());
    let most = if visible { MAX_BODY } else { MAX_UNSEEN };
    let body = if body.len() > most { kept(&inbound.message, &message, most) } else { body };
    Incoming { message, body, visible }
}

/// Bytes of a message that are kept, for forwards, files and answers to retries. Those of WhatsApp's own clients are much smaller.
const MAX_BODY: usize = 512 * 1024;

/// Bytes that are kept of a message that no API shows: key material, protocol messages, talk between programs. The
/// library has worked on it when we see it. Later only its secrets are asked for
/// ([`crate::session::inbound::message_secrets`]), and that it was here.
const MAX_UNSEEN: usize = 4 * 1024;

/// The part of a message that is kept where the whole is too large: the reference to its file, or its shown text; and
/// its secrets.
fn kept(message: &wa::Message, shown: &Message, most: usize) -> Bytes {
    let mut kept = reference::only(message)
        .unwrap_or_else(|| wa::Message { conversation: Some(shown.content.text().to_owned()), ..Default::default() });
    let small = codec::message_to_vec(&kept);
    kept.message_context_info = message.message_context_info.clone();
    let whole = codec::message_to_vec(&kept);
    let secret = message.message_context_info.as_option().and_then(|info| info.message_secret.clone());
    kept.message_context_info =
        MessageField::some(wa::MessageContextInfo { message_secret: secret, ..Default::default() });
    let with_secret = codec::message_to_vec(&kept);
    let fits = [whole, with_secret, small].into_iter().find(|bytes| bytes.len() <= most);
    // Not empty: that would be a message that could not be read.
    fits.unwrap_or_else(|| codec::message_to_vec(&wa::Message { conversation: Some(" ".into()), ..Default::default() }))
        .into()
}

fn whole(inbound: &InboundMessage, me: &[Jid], vote: Option<Content>) -> Incoming {
    let parties = parties(&inbound.info.source, me);
    if inbound.info.source.chat.server == Server::Newsletter
        && let Some(edit) = edit(inbound, &parties)
    {
        return edit;
    }
    let content = vote.or_else(|| content::content(&inbound.message, &parties));
    let visible = content.is_some();
    let content = content.unwrap_or_else(|| Content::nameable("", ""));
    Incoming {
        visible,
        message: Message {
            quoted: content::quoted(&inbound.message, &parties).or_else(|| commented(&inbound.info, &parties)),
            forwarded: content::is_forwarded(&inbound.message),
            mentions: content::mentions(&inbound.message),
            advertisement: content::advertisement(&inbound.message).map(Box::new),
            album: content::album(&inbound.message),
            ..message(&inbound.info, content)
        },
        body: Bytes::from(codec::message_to_vec(&inbound.message)),
    }
}

/// The message that a sealed comment is about. The library opens the comment, and names that message beside it.
fn commented(info: &MessageInfo, parties: &Parties<'_>) -> Option<Quoted> {
    let target = parties.target(info.comment_target.as_ref()?)?;
    Some(Quoted { target, content: Box::new(Content::plain("")) })
}

/// In channels an edit comes under the id of the post that it changes. (The library hands on no deletion: there is nothing in it.)
fn edit(inbound: &InboundMessage, parties: &Parties<'_>) -> Option<Incoming> {
    let info = &inbound.info;
    let target =
        MessageTarget { id: info.id.to_string(), from_me: false, sender: info.source.sender.to_non_ad_string() };
    if !matches!(info.edit, EditAttribute::AdminEdit | EditAttribute::MessageEdit) {
        return None;
    }
    let content = Box::new(content::content(&inbound.message, parties)?);
    let content = Content::Edit { target, content };
    let id = format!("{}{:X}", info.id, info.timestamp.timestamp());
    let body = Bytes::from(codec::message_to_vec(&inbound.message));
    Some(Incoming { visible: true, message: Message { id, ..message(info, content) }, body })
}

pub fn parties<'a>(source: &'a MessageSource, me: &'a [Jid]) -> Parties<'a> {
    let MessageSource { sender, chat, is_from_me, is_group, .. } = source;
    Parties { me, sender, chat, from_me: *is_from_me, is_group: *is_group }
}

/// A message that could not be decrypted: a placeholder until it comes again.
pub fn undecryptable(info: &MessageInfo) -> Incoming {
    Incoming { visible: true, message: message(info, Content::Undecryptable), body: Bytes::new() }
}

fn message(info: &MessageInfo, content: Content) -> Message {
    let source = &info.source;
    Message {
        id: info.id.to_string(),
        chat: conversation(source).to_non_ad_string(),
        sender: author(source).to_non_ad_string(),
        addressed: Addressed {
            chat: source.chat.to_string(),
            sender: source.sender.to_string(),
            alternate: alternate(source).map(Jid::to_non_ad_string),
        },
        from_me: source.is_from_me,
        is_group: source.is_group && !is_of_list(source),
        timestamp: info.timestamp.timestamp(),
        push_name: info.push_name.clone(),
        content,
        quoted: None,
        forwarded: false,
        mentions: Vec::new(),
        advertisement: None,
        album: None,
        truncated: false,
    }
}

/// True when it came by a broadcast list of its author's: to the tenant it is a message like any other, and so it is answered.
pub fn is_of_list(source: &MessageSource) -> bool {
    !source.is_from_me && source.chat.server == Server::Broadcast && !source.chat.is_status_broadcast()
}

/// The conversation by the customer's phone number where WhatsApp told it, so that one customer is one conversation.
pub fn conversation(source: &MessageSource) -> &Jid {
    if is_of_list(source) {
        return author(source);
    }
    both_names(source).map_or(&source.chat, |(_, number)| number)
}

/// The other name of whom a conversation is with, or who wrote in a group.
fn alternate(source: &MessageSource) -> Option<&Jid> {
    match source.is_from_me && !source.is_group {
        true => source.recipient_alt.as_ref(),
        false => source.sender_alt.as_ref(),
    }
}

/// The LID and the number of the other party, if the message names both.
pub fn both_names(source: &MessageSource) -> Option<(&Jid, &Jid)> {
    match (&source.chat, alternate(source)?) {
        (lid, number) if lid.is_lid() && number.is_pn() => Some((lid, number)),
        (number, lid) if number.is_pn() && lid.is_lid() => Some((lid, number)),
        _ => None,
    }
}

fn author(source: &MessageSource) -> &Jid {
    match &source.sender_alt {
        Some(alternate) if source.sender.is_lid() && alternate.is_pn() => alternate,
        _ => &source.sender,
    }
}

/// Bytes as a message's, for fuzzing; `None` when they are none.
#[cfg(feature = "loopback")]
pub(in crate::session) fn read_anything(bytes: &[u8]) -> Option<Message> {
    let me: Jid = "573001112233@s.whatsapp.net".parse().ok()?;
    let message = codec::message_decode(bytes).ok()?;
    let inbound = InboundMessage::builder().message(message.into()).info(MessageInfo::default().into()).build();
    Some(incoming(&inbound, &[me], None).message)
}

#[cfg(test)]
mod tests {
    use wa::message::{ProtocolMessage, protocol_message::Type};

    use super::*;

    fn of(message: wa::Message) -> Incoming {
        let inbound = InboundMessage::builder().message(message.into()).info(MessageInfo::default().into()).build();
        incoming(&inbound, &[], None)
    }

    #[test]
    fn a_sealed_comment_says_what_it_is_about() {
        let post = wa::MessageKey { id: Some("P".into()), ..Default::default() };
        let info = MessageInfo { comment_target: Some(post), ..MessageInfo::default() };
        let text = wa::Message { conversation: Some("me too".into()), ..Default::default() };
        let inbound = InboundMessage::builder().message(text.into()).info(info.into()).build();
        let message = incoming(&inbound, &[], None).message;
        assert_eq!(message.quoted.map(|quoted| quoted.target.id), Some("P".into()));
        assert_eq!(message.content.text(), "me too");
    }

    /// As large as WhatsApp lets a stranger make them.
    #[test]
    fn little_is_kept_of_what_nobody_sees() {
        let protocol = |size: usize| ProtocolMessage {
            r#type: Some(Type::LIMIT_SHARING),
            edited_message: MessageField::some(wa::Message {
                conversation: Some("x".repeat(size)),
                ..Default::default()
            }),
            ..Default::default()
        };
        let message = |size, padding| wa::Message {
            protocol_message: MessageField::some(protocol(size)),
            message_context_info: MessageField::some(wa::MessageContextInfo {
                message_secret: Some(vec![7; 32]),
                padding_bytes: Some(vec![0; padding]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let small = of(message(1_000, 1_000));
        assert!(!small.visible && small.body.len() > 2_000, "what real ones have stays whole: {}", small.body.len());
        for (size, padding) in [(500_000, 0), (500_000, 500_000), (0, 500_000)] {
            let unseen = of(message(size, padding));
            assert!(
                !unseen.visible && !unseen.body.is_empty() && unseen.body.len() <= MAX_UNSEEN,
                "{}",
                unseen.body.len()
            );
            let kept = codec::message_decode(&unseen.body).expect("a message");
            let info = kept.message_context_info.as_option().expect("its secrets");
            assert_eq!(info.message_secret.as_deref(), Some(&[7; 32][..]), "what comes later is sealed with it");
        }
    }
}
