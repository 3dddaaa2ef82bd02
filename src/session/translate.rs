//! Between the library's messages and ours. Pure.

use bytes::Bytes;
use whatsapp_rust::{
    Jid,
    proto_helpers::MessageExt,
    types::events::InboundMessage,
    wacore::types::message::{MessageInfo, MessageSource},
    waproto::{codec, whatsapp as wa},
};

use crate::message::{Addressed, Content, Incoming, Message};

/// A decrypted message.
pub fn incoming(inbound: &InboundMessage) -> Incoming {
    let content = content(&inbound.message);
    Incoming {
        visible: content.is_some(),
        message: message(
            &inbound.info,
            content.unwrap_or(Content::Unknown { name: String::new(), text: String::new() }),
        ),
        body: Bytes::from(codec::message_to_vec(&inbound.message)),
    }
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
        addressed: Addressed { chat: source.chat.to_string(), sender: source.sender.to_string() },
        from_me: source.is_from_me,
        is_group: source.is_group,
        timestamp: info.timestamp.timestamp(),
        push_name: info.push_name.clone(),
        content,
    }
}

/// The conversation by the customer's phone number where WhatsApp told it, so that one customer is one conversation.
fn conversation(source: &MessageSource) -> &Jid {
    let alternate = if source.is_from_me { &source.recipient_alt } else { &source.sender_alt };
    match alternate {
        Some(alternate) if source.chat.is_lid() && alternate.is_pn() => alternate,
        _ => &source.chat,
    }
}

fn author(source: &MessageSource) -> &Jid {
    match &source.sender_alt {
        Some(alternate) if source.sender.is_lid() && alternate.is_pn() => alternate,
        _ => &source.sender,
    }
}

/// `None`: one of the protocol's own messages, which nobody wants to read.
fn content(message: &wa::Message) -> Option<Content> {
    let base = message.get_base_message();
    if let Some(text) = base.text_content() {
        return Some(Content::Text { text: text.to_owned() });
    }
    let name = kind(base)?;
    Some(Content::Unknown { name: name.to_owned(), text: base.get_caption().unwrap_or_default().to_owned() })
}

fn kind(message: &wa::Message) -> Option<&'static str> {
    macro_rules! first_of {
        ($($field:ident),+ $(,)?) => {
            $(if message.$field.is_set() { return Some(stringify!($field)); })+
        };
    }
    first_of!(
        image_message,
        video_message,
        audio_message,
        document_message,
        sticker_message,
        location_message,
        live_location_message,
        contact_message,
        contacts_array_message,
        reaction_message,
        poll_creation_message,
        poll_creation_message_v3,
        poll_update_message,
        buttons_message,
        buttons_response_message,
        list_message,
        list_response_message,
        template_message,
        interactive_message,
        order_message,
        product_message,
        group_invite_message,
        event_message,
    );
    let silent = message.protocol_message.is_set() || message.sender_key_distribution_message.is_set();
    if silent { None } else { Some("unknown") }
}

/// A text as WhatsApp wants it, with the secret that later edits, reactions and polls derive from: fixed now, so that a
/// repeat after a crash is the same message.
pub fn text_body(text: &str, secret: [u8; 32]) -> Bytes {
    let message = wa::Message {
        conversation: Some(text.to_owned()),
        message_context_info: whatsapp_rust::buffa::MessageField::some(wa::MessageContextInfo {
            message_secret: Some(secret.to_vec()),
            ..Default::default()
        }),
        ..Default::default()
    };
    Bytes::from(codec::message_to_vec(&message))
}
