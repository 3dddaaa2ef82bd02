//! The form that the service before gave to messages; its dashboards read it over HTTP and Socket.IO.

use serde_json::{Value, json};

use crate::{
    message::{
        Content, Message,
        history::{Entry, Reaction, Vote},
    },
    tenant::TenantId,
};

/// A message.
pub fn message(tenant: &TenantId, message: &Message) -> Value {
    let who = if message.from_me { &message.chat } else { &message.sender };
    json!({
        "id": message.id,
        "from": phone(who),
        "chatId": message.chat,
        "fromMe": message.from_me,
        "timestamp": jiff::Timestamp::from_second(message.timestamp).map(|at| at.to_string()).unwrap_or_default(),
        "text": message.content.text(),
        "caption": message.content.media().map(|media| &media.caption).filter(|caption| !caption.is_empty()),
        "mediaType": media_type(&message.content),
        "mediaUrl": null,
        "quotedMessage": message.quoted.as_ref().map(|quoted| {
            json!({
                "id": quoted.target.id, "participant": quoted.target.sender, "text": quoted.content.text(),
            })
        }),
        "pushName": message.push_name,
        "undecryptable": message.content == Content::Undecryptable,
        "platform": "baileys",
        "tenantId": tenant,
        // Beyond the old form: all that is known.
        "content": message.content,
    })
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

/// Digits of a jid with a plus; of a chat that has no phone number, whatever it has.
pub fn phone(jid: &str) -> String {
    format!("+{}", jid.split(['@', ':']).next().unwrap_or_default())
}

/// A message with what became of it.
pub fn entry(tenant: &TenantId, entry: &Entry) -> Value {
    let mut form = message(tenant, &entry.message);
    form["status"] = json!(entry.status);
    form["edited"] = json!(entry.edited);
    form["revoked"] = json!(entry.revoked);
    let reaction = |it: &Reaction| json!({ "from": phone(&it.sender), "fromMe": it.from_me, "emoji": it.emoji });
    form["reactions"] = entry.reactions.iter().map(reaction).collect();
    let vote = |it: &Vote| json!({ "from": phone(&it.sender), "fromMe": it.from_me, "options": it.options });
    form["votes"] = entry.votes.iter().map(vote).collect();
    form["cursor"] = json!(entry.event);
    form
}
