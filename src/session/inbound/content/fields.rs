//! Every field of WhatsApp's `Message`, each with the way in which it is read. Pure.
//!
//! The table takes the struct apart by name: with a library that knows a new field this file does not compile before the
//! field has its row. So no kind of message is dropped because nobody thought of it.

use whatsapp_rust::waproto::whatsapp as wa;

macro_rules! table {
    (
        forms: $($form:ident)+;
        words: $($wordy:ident)+;
        wrappers: $($wrapper:ident)+;
        marks: $($mark:ident $(of $key:ident)?: $name:literal),+;
        silent: $($silent:ident: $reason:literal,)+
    ) => {
        /// Compiles only while each field has exactly one row.
        const _: fn(wa::Message) = |wa::Message { $($form: _,)+ $($wordy: _,)+ $($wrapper: _,)+ $($mark: _,)+ $($silent: _,)+ }| ();

        /// The message within a wrapper.
        pub(super) fn wrapped(message: &wa::Message) -> Option<&wa::Message> {
            $(if let Some(inner) = message.$wrapper.as_option().and_then(|outer| outer.message.as_option()) {
                return Some(inner);
            })+
            None
        }

        /// The name of the kind, for one that has no form of its own in [`crate::message::Content`].
        pub(super) fn wordy(message: &wa::Message) -> Option<&'static str> {
            $(if message.$wordy.is_set() {
                return Some(stringify!($wordy));
            })+
            None
        }

        /// Something happened in the chat without anybody's writing; and to which message.
        pub(super) fn mark(message: &wa::Message) -> Option<(&'static str, Option<&wa::MessageKey>)> {
            $(if let Some(_mark) = message.$mark.as_option() {
                return Some(($name, [$(_mark.$key.as_option(),)? None][0]));
            })+
            None
        }

        /// Why nobody is shown the message, when it is only for programs.
        pub(super) fn silent(message: &wa::Message) -> Option<&'static str> {
            $(if message.$silent.is_set() {
                return Some($reason);
            })+
            None
        }

        #[cfg(test)]
        pub(super) const FORMS: &[&str] = &[$(stringify!($form)),+];

        #[cfg(test)]
        pub(super) const WORDY: &[&str] = &[$(stringify!($wordy)),+];
    };
}

table! {
    // `Content` has a form for them.
    forms:
        conversation extended_text_message
        image_message video_message ptv_message audio_message document_message sticker_message
        location_message live_location_message contact_message contacts_array_message
        poll_creation_message poll_creation_message_v2 poll_creation_message_v3 poll_creation_message_v5 poll_creation_message_v6
        poll_update_message
        reaction_message pin_in_chat_message keep_in_chat_message protocol_message
        order_message buttons_response_message template_button_reply_message list_response_message interactive_response_message
        question_response_message status_question_answer_message status_quoted_message;
    // They have none: consumers get the field's name and what there is to read.
    words:
        template_message highly_structured_message buttons_message list_message interactive_message product_message
        group_invite_message event_message event_invite_message sticker_pack_message rich_response_message
        newsletter_admin_invite_message newsletter_follower_invite_message_v2
        poll_result_snapshot_message poll_result_snapshot_message_v3
        send_payment_message request_payment_message payment_reminder_message split_payment_message invoice_message
        scheduled_call_creation_message bcall_message conditional_reveal_message;
    // The message is the one within, whatever the wrapper says of how to show it.
    wrappers:
        device_sent_message ephemeral_message edited_message
        view_once_message view_once_message_v2 view_once_message_v2_extension
        document_with_caption_message lottie_sticker_message spoiler_message event_cover_image
        comment_message question_message question_reply_message
        poll_creation_message_v4 poll_creation_option_image_message associated_child_message
        group_mentioned_message group_status_message group_status_message_v2 group_status_mention_message
        status_mention_message status_add_yours limit_sharing_message
        bot_invoke_message bot_task_message bot_forwarded_message
        newsletter_admin_profile_message newsletter_admin_profile_message_v2 newsletter_admin_profile_status_message;
    // Nobody wrote them: consumers get an event of another name, so that no program answers, and lists leave them out.
    marks:
        album_message: "album",
        call_log_messsage: "call_log",
        placeholder_message: "placeholder",
        poll_add_option_message of poll_creation_message_key: "poll_add_option",
        scheduled_call_edit_message of key: "scheduled_call_edit",
        decline_payment_request_message of key: "decline_payment_request",
        cancel_payment_request_message of key: "cancel_payment_request",
        payment_invite_message: "payment_invite",
        request_phone_number_message: "request_phone_number",
        status_notification_message of original_message_key: "status_notification",
        status_sticker_interaction_message of key: "status_sticker_interaction",
        // Those that the library opens come as what they are.
        secret_encrypted_message of target_message_key: "secret_encrypted",
        enc_reaction_message of target_message_key: "enc_reaction",
        enc_comment_message of target_message_key: "enc_comment",
        enc_event_response_message of event_creation_message_key: "enc_event_response";
    silent:
        sender_key_distribution_message: "a ratchet's key",
        fast_ratchet_key_sender_key_distribution_message: "a ratchet's key",
        group_root_key_share: "a group's key",
        root_secret_distribute_message: "a chat's key",
        message_context_info: "says something of the message that it comes with",
        call: "where a call came from; calls are events of their own",
        chat: "names a chat for devices of the same account",
        message_history_bundle: "older messages of a group, as a file for the client of a new member",
        message_history_notice: "tells a group that older messages were shared",
        sticker_sync_rmr_message: "keeps stickers of devices alike",
}
