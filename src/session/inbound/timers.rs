//! Disappearing messages: what is heard of a chat's timer, and what the tenant's own messages say of it.

use tracing::warn;
use whatsapp_rust::{
    Server,
    proto_helpers::MessageExt as _,
    types::events::{GroupUpdate, InboundMessage, LazyHistorySync},
    wacore::stanza::groups::GroupNotificationAction,
    waproto::whatsapp::{self as wa, message::HistorySyncType},
};

use super::{content, translate};
use crate::{
    message::timer::{self, Timer},
    session::history::parse,
    store::Store,
};

/// Bytes of a history that is looked through, as it comes and inflated: one conversation at a time is in memory.
const MAX_HISTORY: usize = 16 * 1024 * 1024;
const MAX_INFLATED: u64 = 128 * 1024 * 1024;

/// Notes what a message says of its chat's timer.
pub async fn hear(store: &Store, inbound: &InboundMessage) {
    let source = &inbound.info.source;
    if matches!(source.chat.server, Server::Newsletter | Server::Broadcast) {
        return;
    }
    if let Some(timer) = content::timer(&inbound.message, inbound.info.timestamp.timestamp()) {
        note(store, &translate::conversation(source).to_non_ad_string(), timer).await;
    }
}

/// Notes a group's timer, of whose change WhatsApp itself tells.
pub async fn hear_of_group(store: &Store, update: &GroupUpdate) {
    if let GroupNotificationAction::Ephemeral { expiration, .. } = &update.action {
        let at = update.timestamp.timestamp();
        if let Some(timer) = Timer::new(*expiration, Some(at), at) {
            note(store, &update.group_jid.to_non_ad_string(), timer).await;
        }
    }
}

/// Notes the timers of all chats that the phone tells of after a pairing: those were set before it.
pub async fn hear_of_history(store: &Store, history: &LazyHistorySync, now: i64) {
    let kinds = [HistorySyncType::INITIAL_BOOTSTRAP, HistorySyncType::RECENT, HistorySyncType::FULL];
    if !kinds.iter().any(|kind| history.sync_type() == *kind as i32) || history.compressed_bytes().len() > MAX_HISTORY {
        return;
    }
    let history = history.clone();
    let read = move || parse::timers(history.compressed_bytes(), MAX_INFLATED, now);
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(timers)) => {
            for (chat, timer) in timers {
                note(store, &chat, timer).await;
            }
        }
        Ok(Err(error)) => warn!(event = "timers_unread", %error, "a history cannot be read for its timers"),
        Err(error) => warn!(event = "timers_unread", %error, "a history was not read for its timers"),
    }
}

async fn note(store: &Store, chat: &str, timer: Timer) {
    if let Err(error) = timer::learn(store, chat, timer).await {
        warn!(event = "timers_unread", %error, "disappearing-message timer was not stored");
    }
}

/// Lets a message disappear as the others of its chat do.
pub fn follow(message: &mut wa::Message, seconds: u32) {
    let document =
        message.document_with_caption_message.as_option_mut().and_then(|outer| outer.message.as_option_mut());
    match document {
        Some(document) => document.set_ephemeral_expiration(seconds),
        None => message.set_ephemeral_expiration(seconds),
    };
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::buffa::MessageField;

    use super::*;

    /// Whatever the daemon writes in a chat disappears with what others write there.
    #[test]
    fn every_kind_that_is_sent_follows_its_chats_timer() {
        const WEEK: u32 = 604_800;
        macro_rules! kinds {
            ($($field:ident)+) => {
                vec![$((stringify!($field), {
                    let mut message = wa::Message::default();
                    message.$field.get_or_insert_default();
                    message
                })),+]
            };
        }
        let mut kinds = kinds!(
            extended_text_message image_message video_message audio_message document_message sticker_message
            location_message contact_message contacts_array_message poll_creation_message poll_creation_message_v3
            event_message buttons_response_message template_button_reply_message list_response_message
            interactive_response_message
        );
        kinds.push(("conversation", wa::Message { conversation: Some("hola".into()), ..Default::default() }));
        let within = wa::Message { document_message: MessageField::some(Default::default()), ..Default::default() };
        let wrapper = wa::message::FutureProofMessage { message: MessageField::some(within) };
        let captioned =
            wa::Message { document_with_caption_message: MessageField::some(wrapper), ..Default::default() };
        kinds.push(("document_with_caption_message", captioned));
        for (kind, mut message) in kinds {
            assert_eq!(content::timer(&message, 7), None, "{kind}");
            follow(&mut message, WEEK);
            assert_eq!(content::timer(&message, 7), Timer::new(WEEK, None, 7), "{kind}");
        }
    }
}
