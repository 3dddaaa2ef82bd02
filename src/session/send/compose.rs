//! A draft as WhatsApp's protobuf. Pure, and everything that is random comes from outside: what is made here goes into the outbox
//! whole, so that a repeat after a crash is the same message.

use whatsapp_rust::{
    Jid,
    buffa::MessageField,
    media::{self, AudioOptions, DocumentOptions, ImageOptions, VideoOptions},
    proto_helpers::{MessageExt as _, build_quote_context, build_reaction_message},
    wacore::poll::{compute_option_hash, encrypt_poll_vote_with_secret},
    waproto::whatsapp::{
        self as wa,
        message::{
            ProtocolMessage, extended_text_message::PreviewType, pin_in_chat_message::Type as PinType,
            protocol_message::Type as Protocol,
        },
    },
};

use super::status_broadcast;
use crate::{
    message::{
        Content, Draft, Flaw, Happening, LinkPreview, Mentions, MessageTarget, Poll, Quoted,
        media::{Attachment, AttachmentKind},
    },
    session::{
        files::{Pictured, Uploaded},
        inbound::{
            content::{self, Parties},
            edits, timers,
        },
    },
};

/// The data beside the draft from which a message is composed.
pub struct ComposeContext<'a> {
    /// Where it goes.
    pub chat: &'a Jid,
    /// Our own name in that chat.
    pub me: &'a Jid,
    /// Our other name, where it is known.
    pub my_lid: Option<&'a Jid>,
    /// For later edits, reactions and votes.
    pub secret: [u8; 32],
    pub now_ms: i64,
    /// The message that it answers, and who wrote that.
    pub answers: Option<(MessageTarget, wa::Message)>,
    /// The poll that it votes in, or the message that it edits or passes on, and who made that.
    pub about: Option<(MessageTarget, wa::Message)>,
    /// In a group: who wrote the message that it is about, as WhatsApp addressed that one. `None`: as the target says.
    pub author: Option<String>,
    /// After how many seconds the chat's messages disappear.
    pub timer: Option<u32>,
    /// The file of [`Draft::File`].
    pub file: Option<Uploaded>,
    /// The picture of [`Draft::Link`].
    pub picture: Option<Pictured>,
}

/// A composed message, and what it says in our words.
pub struct Composed {
    pub message: wa::Message,
    pub content: Content,
    pub quoted: Option<Quoted>,
}

/// `draft` must have passed its check.
pub fn compose(draft: &Draft, setting: &ComposeContext<'_>) -> Result<Composed, Flaw> {
    let (mut message, content) = match draft {
        Draft::Text { text, .. } => (words(text), Content::plain(text)),
        Draft::File(attachment) => filed(attachment, setting)?,
        Draft::Location(place) => {
            let location = wa::message::LocationMessage {
                degrees_latitude: Some(place.latitude),
                degrees_longitude: Some(place.longitude),
                name: Some(place.name.clone()).filter(|name| !name.is_empty()),
                address: Some(place.address.clone()).filter(|address| !address.is_empty()),
                ..Default::default()
            };
            let message = wa::Message { location_message: MessageField::some(location), ..Default::default() };
            (message, Content::Location(place.clone()))
        }
        Draft::Contacts { contacts } => {
            let contact = |contact: &crate::message::Contact| wa::message::ContactMessage {
                display_name: Some(contact.name.clone()),
                vcard: Some(contact.vcard.clone()),
                ..Default::default()
            };
            let message = match contacts.as_slice() {
                [one] => wa::Message { contact_message: MessageField::some(contact(one)), ..Default::default() },
                several => {
                    let array = wa::message::ContactsArrayMessage {
                        display_name: Some(format!("{} contacts", several.len())),
                        contacts: several.iter().map(contact).collect(),
                        ..Default::default()
                    };
                    wa::Message { contacts_array_message: MessageField::some(array), ..Default::default() }
                }
            };
            (message, Content::Contact { contacts: contacts.clone() })
        }
        Draft::Poll(poll) => (opened(poll), Content::Poll(poll.clone())),
        Draft::Vote { options, .. } => voted(options, setting)?,
        Draft::Reaction { target, emoji } => {
            let message = build_reaction_message(key(target, setting), emoji.clone(), setting.now_ms);
            (message, Content::Reaction { target: target.clone(), emoji: emoji.clone() })
        }
        Draft::Edit { target, text, mentions } => {
            let mut protocol = ProtocolMessage {
                key: MessageField::some(key(target, setting)),
                r#type: Some(Protocol::MESSAGE_EDIT),
                timestamp_ms: Some(setting.now_ms),
                ..Default::default()
            };
            let mut edited = match &setting.about {
                Some((_, original)) => edits::edited(original, text)?,
                None => words(text),
            };
            if let Some(context) = mentioning(mentions) {
                set_context(&mut edited, context);
            }
            let content = content::content(&edited, &parties(setting)).unwrap_or_else(|| Content::plain(text));
            protocol.edited_message = MessageField::some(edited);
            (of_protocol(protocol), Content::Edit { target: target.clone(), content: Box::new(content) })
        }
        Draft::Revoke { target } => {
            let protocol = ProtocolMessage {
                key: MessageField::some(key(target, setting)),
                r#type: Some(Protocol::REVOKE),
                ..Default::default()
            };
            (of_protocol(protocol), Content::Revoke { target: target.clone() })
        }
        Draft::Forward { .. } => passed_on(setting)?,
        Draft::Pin { target, seconds } => {
            let kind = if seconds.is_some() { PinType::PinForAll } else { PinType::UnpinForAll };
            let pin = wa::message::PinInChatMessage {
                key: MessageField::some(key(target, setting)),
                r#type: Some(kind),
                sender_timestamp_ms: Some(setting.now_ms),
            };
            let message = wa::Message {
                pin_in_chat_message: MessageField::some(pin),
                message_context_info: MessageField::some(wa::MessageContextInfo {
                    message_add_on_duration_in_secs: Some(seconds.unwrap_or_default()),
                    ..Default::default()
                }),
                ..Default::default()
            };
            (message, Content::Pin { target: target.clone(), on: seconds.is_some() })
        }
        Draft::Happening(event) => (announced(event), Content::nameable("event_message", &event.name)),
        Draft::Status(status) => return status_broadcast::composed(status, setting),
        Draft::Link { text, preview, .. } => {
            let content = Content::Text { text: text.clone(), preview: Some(Box::new(preview.clone())) };
            (linked(text, preview, setting.picture.as_ref()), content)
        }
        Draft::Choice { id, text } => {
            let content = Content::Choice { id: id.clone(), text: text.clone(), parameters: String::new() };
            (chosen(id, text, setting)?, content)
        }
    };
    let carries_secret = matches!(
        draft,
        Draft::Text { .. }
            | Draft::File(_)
            | Draft::Location(_)
            | Draft::Contacts { .. }
            | Draft::Poll(_)
            | Draft::Happening(_)
            | Draft::Forward { .. }
            | Draft::Link { .. }
            | Draft::Choice { .. }
    );
    // A channel's post has no secret: everybody may read it.
    if carries_secret && setting.chat.server != whatsapp_rust::Server::Newsletter {
        message.message_context_info = MessageField::some(wa::MessageContextInfo {
            message_secret: Some(setting.secret.to_vec()),
            ..Default::default()
        });
    }
    let mut context = draft.mentions().filter(|_| carries_secret).and_then(mentioning);
    let quoted =
        setting.answers.as_ref().filter(|_| carries_secret).map(|answers| answer(&mut context, answers, setting));
    if let Some(context) = context {
        set_context(&mut message, context);
    }
    if let Some(seconds) = setting.timer.filter(|_| carries_secret) {
        timers::follow(&mut message, seconds);
    }
    Ok(Composed { message, content, quoted })
}

/// Reads a message that was composed before.
pub fn recompose(message: wa::Message, setting: &ComposeContext<'_>) -> Composed {
    let parties = parties(setting);
    let content = content::content(&message, &parties);
    Composed { content: content.unwrap_or_else(Content::unknown), quoted: content::quoted(&message, &parties), message }
}

fn filed(attachment: &Attachment, setting: &ComposeContext<'_>) -> Result<(wa::Message, Content), Flaw> {
    let missing = || Flaw { field: "file", expected: "is required".into() };
    let Uploaded { at, fit, preview, seconds, title } = setting.file.as_ref().ok_or_else(missing)?;
    let (at, mimetype) = (at.clone(), Some(fit.mime.clone()));
    let caption = Some(attachment.caption.clone()).filter(|caption| !caption.is_empty());
    let jpeg_thumbnail = preview.as_ref().and_then(|preview| preview.jpeg.clone());
    let (width, height) = preview.as_ref().map(|preview| (preview.width, preview.height)).unzip();
    let message = match fit.kind {
        AttachmentKind::Image => {
            let options = ImageOptions { caption, mimetype, jpeg_thumbnail, ..Default::default() };
            let mut message = media::image_message(at, options);
            if let Some(image) = message.image_message.as_option_mut() {
                (image.width, image.height) = (width, height);
            }
            message
        }
        AttachmentKind::Video => media::video_message(at, VideoOptions { caption, mimetype, ..Default::default() }),
        AttachmentKind::VideoNote => {
            let mut film = media::video_message(at, VideoOptions { mimetype, ..Default::default() });
            wa::Message { ptv_message: std::mem::take(&mut film.video_message), ..Default::default() }
        }
        AttachmentKind::Audio | AttachmentKind::Voice => {
            let ptt = Some(fit.kind == AttachmentKind::Voice);
            media::audio_message(at, AudioOptions { mimetype, ptt, duration_seconds: *seconds, ..Default::default() })
        }
        AttachmentKind::Sticker => {
            let sticker = wa::message::StickerMessage {
                url: Some(at.url),
                direct_path: Some(at.direct_path),
                media_key: Some(at.media_key.to_vec()),
                file_sha256: Some(at.file_sha256.to_vec()),
                file_enc_sha256: Some(at.file_enc_sha256.to_vec()),
                file_length: Some(at.file_length),
                media_key_timestamp: Some(at.media_key_timestamp),
                mimetype,
                width,
                height,
                ..Default::default()
            };
            wa::Message { sticker_message: MessageField::some(sticker), ..Default::default() }
        }
        AttachmentKind::Document | AttachmentKind::Any => {
            let file_name = Some(title.clone());
            let options = DocumentOptions {
                mimetype,
                title: file_name.clone(),
                file_name,
                caption: caption.clone(),
                ..Default::default()
            };
            let document = media::document_message(at, options);
            match caption {
                // Phones show the caption of a document only in this wrapper.
                Some(_) => wa::Message {
                    document_with_caption_message: MessageField::some(wa::message::FutureProofMessage {
                        message: MessageField::some(document),
                    }),
                    ..Default::default()
                },
                None => document,
            }
        }
    };
    let content = content::content(&message, &parties(setting)).ok_or_else(missing)?;
    Ok((message, content))
}

fn parties<'a>(setting: &'a ComposeContext<'_>) -> Parties<'a> {
    Parties {
        me: std::slice::from_ref(setting.me),
        sender: setting.me,
        chat: setting.chat,
        from_me: true,
        is_group: false,
    }
}

fn words(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.to_owned()), ..Default::default() }
}

/// `None`: nobody is mentioned.
fn mentioning(mentions: &Mentions) -> Option<wa::ContextInfo> {
    (!mentions.is_empty()).then(|| wa::ContextInfo {
        mentioned_jid: mentions.people.clone(),
        // As Baileys 7 and WhatsApp's clients write it.
        non_jid_mentions: mentions.everybody.then_some(1),
        ..Default::default()
    })
}

/// As WhatsApp's clients write it: what is shown of the link is in the message, and nobody who reads it fetches anything but a large
/// picture, which WhatsApp has.
fn linked(text: &str, preview: &LinkPreview, picture: Option<&Pictured>) -> wa::Message {
    let mut extended = wa::message::ExtendedTextMessage {
        text: Some(text.to_owned()),
        matched_text: Some(preview.url.clone()),
        title: Some(preview.title.clone()),
        description: Some(preview.description.clone()).filter(|description| !description.is_empty()),
        preview_type: Some(PreviewType::NONE),
        jpeg_thumbnail: picture.and_then(|picture| picture.preview.jpeg.clone()),
        ..Default::default()
    };
    if let Some((picture, at)) = picture.and_then(|picture| Some((picture, picture.at.as_ref()?))) {
        extended.thumbnail_width = Some(picture.preview.width);
        extended.thumbnail_height = Some(picture.preview.height);
        extended.thumbnail_direct_path = Some(at.direct_path.clone());
        extended.thumbnail_sha256 = Some(at.file_sha256.to_vec());
        extended.thumbnail_enc_sha256 = Some(at.file_enc_sha256.to_vec());
        extended.media_key = Some(at.media_key.to_vec());
        extended.media_key_timestamp = Some(at.media_key_timestamp);
    }
    wa::Message { extended_text_message: MessageField::some(extended), ..Default::default() }
}

/// A button or a row is chosen in the form of the message that has it.
fn chosen(id: &str, text: &str, setting: &ComposeContext<'_>) -> Result<wa::Message, Flaw> {
    let flaw = |field, expected: &str| Flaw { field, expected: expected.into() };
    let original = setting.answers.as_ref().map(|(_, original)| content::unwrap(original));
    let offers = original.map(content::choices::offers).unwrap_or_default();
    if offers.is_empty() {
        return Err(flaw("replyTo", "a message with buttons or a list that came in"));
    }
    let offer = offers.into_iter().find(|offer| offer.option.id == id);
    let offer = offer.ok_or_else(|| flaw("selectedButtonID", "a button of the message"))?;
    Ok(offer.chosen(text))
}

/// WhatsApp Web opens a poll of one choice as version 3, others as version 1.
fn opened(poll: &Poll) -> wa::Message {
    let option = |name: &String| wa::message::poll_creation_message::Option {
        option_name: Some(name.clone()),
        ..Default::default()
    };
    let creation = MessageField::some(wa::message::PollCreationMessage {
        name: Some(poll.name.clone()),
        options: poll.options.iter().map(option).collect(),
        selectable_options_count: Some(poll.choose),
        ..Default::default()
    });
    if poll.choose == 1 {
        wa::Message { poll_creation_message_v3: creation, ..Default::default() }
    } else {
        wa::Message { poll_creation_message: creation, ..Default::default() }
    }
}

fn voted(options: &[String], setting: &ComposeContext<'_>) -> Result<(wa::Message, Content), Flaw> {
    let unknown = || Flaw { field: "pollMessageId", expected: "a poll that is known here".into() };
    let (target, poll) = setting.about.as_ref().ok_or_else(unknown)?;
    let secret = poll.message_context_info.as_option().and_then(|info| info.message_secret.as_deref());
    let secret = secret.ok_or_else(unknown)?;
    let offered = content::poll(content::unwrap(poll)).ok_or_else(unknown)?;
    if let Some(other) = options.iter().find(|option| !offered.options.contains(option)) {
        return Err(Flaw { field: "votes", expected: format!("options of the poll, not {other:?}") });
    }
    // 0: as many as there are.
    if offered.choose > 0 && options.len() > offered.choose as usize {
        return Err(Flaw { field: "votes", expected: format!("at most {} of the poll's options", offered.choose) });
    }
    let digests: Vec<_> = options.iter().map(|option| compute_option_hash(option).to_vec()).collect();
    // Both are named in the same way: so phones try to open it.
    let is_by_lid = target.sender.parse::<Jid>().is_ok_and(|creator| creator.is_lid());
    let me = setting.my_lid.filter(|_| is_by_lid).unwrap_or(setting.me).to_non_ad_string();
    let (payload, iv) =
        encrypt_poll_vote_with_secret(&digests, secret, &target.id, &target.sender, &me).map_err(|_| unknown())?;
    let vote = wa::message::PollEncValue { enc_payload: Some(payload.to_vec()), enc_iv: Some(iv.to_vec()) };
    let update = wa::message::PollUpdateMessage {
        poll_creation_message_key: MessageField::some(key(target, setting)),
        vote: MessageField::some(vote),
        sender_timestamp_ms: Some(setting.now_ms),
        ..Default::default()
    };
    let message = wa::Message { poll_update_message: MessageField::some(update), ..Default::default() };
    Ok((message, Content::Vote { poll: target.clone(), options: options.to_vec() }))
}

/// The message as WhatsApp's clients forward it. Only what one can read, see or hear is forwarded, and nothing that
/// was to be seen once.
fn passed_on(setting: &ComposeContext<'_>) -> Result<(wa::Message, Content), Flaw> {
    let cannot = || Flaw { field: "messageId", expected: "a message that can be forwarded".into() };
    let (_, original) = setting.about.as_ref().ok_or_else(cannot)?;
    let content = content::content(original, &parties(setting)).ok_or_else(cannot)?;
    let may = match &content {
        Content::Text { .. } | Content::Location(_) | Content::Contact { .. } => true,
        other => other.media().is_some_and(|media| !media.view_once),
    };
    if !may {
        return Err(cannot());
    }
    let message = content::unwrap(original).prepare_for_forward();
    Ok((*message, content))
}

fn announced(event: &Happening) -> wa::Message {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let place = given(&event.place).map(|name| wa::message::LocationMessage { name: Some(name), ..Default::default() });
    let event = wa::message::EventMessage {
        name: Some(event.name.clone()),
        description: given(&event.description),
        start_time: Some(event.start),
        end_time: event.end,
        location: place.into(),
        extra_guests_allowed: Some(event.extra_guests),
        ..Default::default()
    };
    wa::Message { event_message: MessageField::some(event), ..Default::default() }
}

fn of_protocol(protocol: ProtocolMessage) -> wa::Message {
    wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() }
}

/// Names a message; where several write also who wrote it.
fn key(target: &MessageTarget, setting: &ComposeContext<'_>) -> wa::MessageKey {
    let among_many = matches!(setting.chat.server, whatsapp_rust::Server::Group | whatsapp_rust::Server::Broadcast);
    wa::MessageKey {
        remote_jid: Some(setting.chat.to_string()),
        from_me: Some(target.from_me),
        id: Some(target.id.clone()),
        participant: (among_many && !target.from_me)
            .then(|| setting.author.clone().unwrap_or_else(|| target.sender.clone())),
    }
}

fn answer(
    context: &mut Option<wa::ContextInfo>,
    (target, original): &(MessageTarget, wa::Message),
    setting: &ComposeContext<'_>,
) -> Quoted {
    let mut quote = build_quote_context(&target.id, &target.sender, content::unwrap(original));
    if let Some(mentioning) = context.take() {
        (quote.mentioned_jid, quote.non_jid_mentions) = (mentioning.mentioned_jid, mentioning.non_jid_mentions);
    }
    *context = Some(quote);
    let content = content::content(original, &parties(setting));
    let content = content.unwrap_or_else(Content::unknown);
    Quoted { target: target.clone(), content: Box::new(content) }
}

fn set_context(message: &mut wa::Message, context: wa::ContextInfo) {
    let wrapped = message.document_with_caption_message.as_option_mut().and_then(|outer| outer.message.as_option_mut());
    match wrapped {
        Some(document) => document.set_context_info(context),
        None => message.set_context_info(context),
    };
}
