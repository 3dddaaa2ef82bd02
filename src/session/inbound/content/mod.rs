//! What WhatsApp's protobuf says, in our words. Pure.
//!
//! [`fields`] has a row for every field of `Message`, [`words`] finds what there is to read in kinds without a form of their own,
//! [`choices`] what businesses offer to choose from, [`associations`] what belongs to another message.

mod associations;
pub mod choices;
mod fields;
mod words;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use whatsapp_rust::{
    Jid,
    wacore_binary::JidExt as _,
    waproto::whatsapp::{self as wa, message::protocol_message::Type as Protocol},
};

pub use self::associations::album;

use crate::message::{
    ALL, Advertisement, CatalogOrder, Contact, Content, LinkPreview, Location, Media, MessageTarget, Poll, Product,
    Quoted, card, timer::Timer,
};

/// Who reads and who wrote, to say whose message another one is about.
#[derive(Debug, Clone)]
pub struct Parties<'a> {
    /// Our own names: phone number and LID.
    pub me: &'a [Jid],
    pub sender: &'a Jid,
    pub chat: &'a Jid,
    pub from_me: bool,
    pub is_group: bool,
}

/// Wrappers within wrappers; a deeper nest is an attack.
const MAX_WRAPPERS: usize = 8;

/// Thumbnails above this are left out: they would be most of an event.
const MAX_THUMBNAIL: usize = 16 * 1024;

/// The message within its wrappers: ephemeral, view once, document with caption, and what comes in the same form.
pub fn unwrap(message: &wa::Message) -> &wa::Message {
    unwrapped(message).last().unwrap_or(message)
}

/// The message, then what each wrapper holds, down to the message itself.
fn unwrapped(message: &wa::Message) -> impl Iterator<Item = &wa::Message> {
    std::iter::successors(Some(message), |outer| fields::wrapped(outer)).take(1 + MAX_WRAPPERS)
}

/// Whether it is to be seen once, by its wrapper; the media say it themselves too.
fn is_view_once(message: &wa::Message) -> bool {
    unwrapped(message).any(|message| {
        message.view_once_message.is_set()
            || message.view_once_message_v2.is_set()
            || message.view_once_message_v2_extension.is_set()
    })
}

/// `None`: one of the protocol's own messages, which nobody wants to read, or a vote, which must be decrypted first.
pub fn content(message: &wa::Message, parties: &Parties<'_>) -> Option<Content> {
    let once = is_view_once(message);
    let base = unwrap(message);
    if let Some(protocol) = base.protocol_message.as_option() {
        return of_protocol(protocol, parties);
    }
    if base.poll_update_message.is_set() {
        return None;
    }
    if let Some(mark) = associations::companion_file(message, parties) {
        return Some(mark);
    }
    text(base)
        .or_else(|| media(base, once))
        .or_else(|| reaction(base, parties))
        .or_else(|| pin(base, parties))
        .or_else(|| keep(base, parties))
        .or_else(|| place_or_person(base))
        .or_else(|| poll(base).map(Content::Poll))
        .or_else(|| business(base))
        .or_else(|| mark(base, parties))
        .or_else(|| mention_in_status(message))
        .or_else(|| unknown(base))
}

/// Reads a message that nobody wrote.
fn mark(base: &wa::Message, parties: &Parties<'_>) -> Option<Content> {
    let (name, key) = fields::mark(base)?;
    let target = key.and_then(|key| parties.target(key));
    Some(Content::Mark { name: name.to_owned(), target, text: words::of(base) })
}

/// Somebody named the tenant, or one of its groups, in a status. Nothing is in the wrapper, or a word of the protocol's.
fn mention_in_status(message: &wa::Message) -> Option<Content> {
    let is_mention = |message: &wa::Message| {
        message.status_mention_message.is_set() || message.group_status_mention_message.is_set()
    };
    unwrapped(message).any(is_mention).then(|| named_mark("status_mention", None))
}

fn named_mark(name: &str, target: Option<MessageTarget>) -> Content {
    Content::Mark { name: name.to_owned(), target, text: String::new() }
}

/// The file that it is, if it is one.
pub fn file(message: &wa::Message) -> Option<Content> {
    media(unwrap(message), is_view_once(message))
}

/// The message that has the words: of an edit the one that stands from now on, else itself.
fn worded(message: &wa::Message) -> &wa::Message {
    let base = unwrap(message);
    let edit = base.protocol_message.as_option().and_then(|protocol| protocol.edited_message.as_option());
    edit.map_or(base, unwrap)
}

/// What it answers, when it answers something.
pub fn quoted(message: &wa::Message, parties: &Parties<'_>) -> Option<Quoted> {
    if let Some(key) = answered(message) {
        return Some(Quoted { target: parties.target(key)?, content: Box::new(Content::plain("")) });
    }
    let context = context(worded(message))?;
    let id = context.stanza_id.clone().filter(|id| !id.is_empty())?;
    let sender: Option<Jid> = context.participant.as_deref().and_then(|jid| jid.parse().ok());
    let sender = sender.unwrap_or_else(|| parties.chat.clone()).to_non_ad();
    let from_me = parties.is_me(&sender);
    let content = context.quoted_message.as_option().and_then(|quoted| content(quoted, parties));
    let content = content.unwrap_or_else(|| Content::plain(""));
    Some(Quoted { target: MessageTarget { id, from_me, sender: sender.to_string() }, content: Box::new(content) })
}

pub fn is_forwarded(message: &wa::Message) -> bool {
    context(unwrap(message)).and_then(|context| context.is_forwarded).unwrap_or(false)
}

/// The timer of its chat, as far as a message says it. `at`: when it was written, seconds since 1970.
pub fn timer(message: &wa::Message, at: i64) -> Option<Timer> {
    let base = unwrap(message);
    if let Some(protocol) = base.protocol_message.as_option() {
        let is_it = protocol.r#type == Some(Protocol::EPHEMERAL_SETTING);
        let seconds = protocol.ephemeral_expiration.unwrap_or_default();
        return Timer::new(seconds, protocol.ephemeral_setting_timestamp, at).filter(|_| is_it);
    }
    let context = context(base)?;
    // Without either it was written by a program that knows nothing of timers.
    let says = context.expiration.is_some() || context.ephemeral_setting_timestamp.is_some();
    Timer::new(context.expiration.unwrap_or_default(), context.ephemeral_setting_timestamp, at).filter(|_| says)
}

/// The jids that it mentions, and [`ALL`].
pub fn mentions(message: &wa::Message) -> Vec<String> {
    let Some(context) = context(worded(message)) else { return Vec::new() };
    let all = context.non_jid_mentions.is_some_and(|kinds| kinds > 0).then(|| ALL.to_owned());
    context.mentioned_jid.iter().cloned().chain(all).collect()
}

/// The advertisement that it answers. Links between chats and pages carry the same form, without a source.
pub fn advertisement(message: &wa::Message) -> Option<Advertisement> {
    let shown = context(unwrap(message))?.external_ad_reply.as_option()?;
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (source_id, click_id) = (said(&shown.source_id), said(&shown.ctwa_clid));
    if source_id.is_none() && click_id.is_none() && said(&shown.source_type).is_none() {
        return None;
    }
    Some(Advertisement {
        title: said(&shown.title).unwrap_or_default(),
        body: said(&shown.body).unwrap_or_default(),
        url: said(&shown.source_url).unwrap_or_default(),
        source_type: said(&shown.source_type).unwrap_or_default(),
        source_id: source_id.unwrap_or_default(),
        source_app: said(&shown.source_app),
        click_id,
        media_url: said(&shown.media_url),
        reference: said(&shown.r#ref),
    })
}

impl Parties<'_> {
    fn is_me(&self, jid: &Jid) -> bool {
        self.me.iter().any(|me| me.is_same_user_as(jid))
    }

    /// Whose message a key means. `from_me` in a key is said by who wrote the key.
    pub fn target(&self, key: &wa::MessageKey) -> Option<MessageTarget> {
        let id = key.id.clone().filter(|id| !id.is_empty())?;
        let participant: Option<Jid> = key.participant.as_deref().and_then(|jid| jid.parse().ok());
        let own = key.from_me.unwrap_or(false);
        let sender = match participant {
            _ if own => self.sender.to_non_ad(),
            Some(participant) if self.is_group => participant.to_non_ad(),
            // In a chat of two it is the other one's.
            _ if self.from_me => self.chat.to_non_ad(),
            _ => self.me.first().map_or_else(|| self.chat.to_non_ad(), Jid::to_non_ad),
        };
        let from_me = if own { self.from_me } else { self.is_me(&sender) };
        Some(MessageTarget { id, from_me, sender: sender.to_string() })
    }
}

fn of_protocol(protocol: &wa::message::ProtocolMessage, parties: &Parties<'_>) -> Option<Content> {
    let target = || parties.target(protocol.key.as_option()?);
    // Every kind that the library knows: a new one does not compile before it has its line.
    match protocol.r#type? {
        Protocol::REVOKE => Some(Content::Revoke { target: target()? }),
        Protocol::MESSAGE_EDIT => {
            let edited = content(protocol.edited_message.as_option()?, parties)?;
            // An edit of an edit says nothing.
            let plain = !matches!(edited, Content::Edit { .. } | Content::Revoke { .. }) && !edited.is_mark();
            plain.then_some(Content::Edit { target: target()?, content: Box::new(edited) })
        }
        Protocol::EPHEMERAL_SETTING => {
            Some(Content::Timer { seconds: protocol.ephemeral_expiration.unwrap_or_default() })
        }
        Protocol::STATUS_MENTION_MESSAGE => Some(named_mark("status_mention", target())),
        Protocol::SHARE_PHONE_NUMBER => Some(named_mark("share_phone_number", None)),
        // Among the devices of one account.
        Protocol::EPHEMERAL_SYNC_RESPONSE
        | Protocol::HISTORY_SYNC_NOTIFICATION
        | Protocol::APP_STATE_SYNC_KEY_SHARE
        | Protocol::APP_STATE_SYNC_KEY_REQUEST
        | Protocol::MSG_FANOUT_BACKFILL_REQUEST
        | Protocol::INITIAL_SECURITY_NOTIFICATION_SETTING_SYNC
        | Protocol::APP_STATE_FATAL_EXCEPTION_NOTIFICATION
        | Protocol::PEER_DATA_OPERATION_REQUEST_MESSAGE
        | Protocol::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE
        | Protocol::MEDIA_NOTIFY_MESSAGE
        | Protocol::LID_MIGRATION_MAPPING_SYNC
        | Protocol::REMINDER_MESSAGE
        | Protocol::MESSAGE_UNSCHEDULE => None,
        // Between a person and a bot of WhatsApp's, or a company's host.
        Protocol::REQUEST_WELCOME_MESSAGE
        | Protocol::BOT_FEEDBACK_MESSAGE
        | Protocol::CLOUD_API_THREAD_CONTROL_NOTIFICATION
        | Protocol::BOT_MEMU_ONBOARDING_MESSAGE
        | Protocol::STOP_GENERATION_MESSAGE
        | Protocol::AI_PSI_METADATA
        | Protocol::AI_QUERY_FANOUT
        | Protocol::AI_MEDIA_COLLECTION_MESSAGE
        | Protocol::AI_METADATA_OPERATION => None,
        // The look of a chat, and the rights of its members.
        Protocol::LIMIT_SHARING | Protocol::GROUP_MEMBER_LABEL_CHANGE | Protocol::CHAT_THEME_SETTING => None,
    }
}

fn text(base: &wa::Message) -> Option<Content> {
    if let Some(text) = base.conversation.as_ref().filter(|text| !text.is_empty()) {
        return Some(Content::plain(text));
    }
    let answer = (base.question_response_message.as_option().and_then(|answer| answer.text.as_ref()))
        .or_else(|| base.status_question_answer_message.as_option()?.text.as_ref())
        .or_else(|| base.status_quoted_message.as_option()?.text.as_ref());
    if let Some(text) = answer {
        return Some(Content::plain(text));
    }
    let extended = base.extended_text_message.as_option()?;
    Some(Content::Text { text: extended.text.clone()?, preview: preview(extended).map(Box::new) })
}

fn preview(extended: &wa::message::ExtendedTextMessage) -> Option<LinkPreview> {
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    let preview = LinkPreview {
        url: said(&extended.matched_text),
        title: said(&extended.title),
        description: said(&extended.description),
    };
    // A link alone shows nothing.
    let says_nothing = preview.title.is_empty() && preview.description.is_empty();
    (!preview.url.is_empty() && !says_nothing).then_some(preview)
}

fn media(base: &wa::Message, once: bool) -> Option<Content> {
    if let Some(image) = base.image_message.as_option() {
        return Some(Content::Image(Media {
            mime: image.mimetype.clone().unwrap_or_default(),
            size: image.file_length,
            sha256: image.file_sha256.as_deref().map(hex::encode),
            caption: image.caption.clone().unwrap_or_default(),
            width: image.width,
            height: image.height,
            view_once: once || image.view_once.unwrap_or(false),
            thumbnail: thumbnail(image.jpeg_thumbnail.as_deref()),
            ..Media::default()
        }));
    }
    if let Some(video) = base.video_message.as_option().or_else(|| base.ptv_message.as_option()) {
        return Some(Content::Video(Media {
            mime: video.mimetype.clone().unwrap_or_default(),
            size: video.file_length,
            sha256: video.file_sha256.as_deref().map(hex::encode),
            caption: video.caption.clone().unwrap_or_default(),
            width: video.width,
            height: video.height,
            seconds: video.seconds,
            animated: video.gif_playback.unwrap_or(false),
            view_once: once || video.view_once.unwrap_or(false),
            thumbnail: thumbnail(video.jpeg_thumbnail.as_deref()),
            ..Media::default()
        }));
    }
    if let Some(audio) = base.audio_message.as_option() {
        return Some(Content::Audio(Media {
            mime: audio.mimetype.clone().unwrap_or_default(),
            size: audio.file_length,
            sha256: audio.file_sha256.as_deref().map(hex::encode),
            seconds: audio.seconds,
            voice: audio.ptt.unwrap_or(false),
            view_once: once || audio.view_once.unwrap_or(false),
            ..Media::default()
        }));
    }
    if let Some(document) = base.document_message.as_option() {
        return Some(Content::Document(Media {
            mime: document.mimetype.clone().unwrap_or_default(),
            size: document.file_length,
            sha256: document.file_sha256.as_deref().map(hex::encode),
            caption: document.caption.clone().unwrap_or_default(),
            file_name: document.file_name.clone().or_else(|| document.title.clone()),
            thumbnail: thumbnail(document.jpeg_thumbnail.as_deref()),
            ..Media::default()
        }));
    }
    base.sticker_message.as_option().map(|sticker| {
        Content::Sticker(Media {
            mime: sticker.mimetype.clone().unwrap_or_default(),
            size: sticker.file_length,
            sha256: sticker.file_sha256.as_deref().map(hex::encode),
            width: sticker.width,
            height: sticker.height,
            animated: sticker.is_animated.unwrap_or(false),
            thumbnail: thumbnail(sticker.png_thumbnail.as_deref()),
            ..Media::default()
        })
    })
}

fn thumbnail(bytes: Option<&[u8]>) -> Option<String> {
    bytes.filter(|bytes| (1..=MAX_THUMBNAIL).contains(&bytes.len())).map(|bytes| BASE64.encode(bytes))
}

fn reaction(base: &wa::Message, parties: &Parties<'_>) -> Option<Content> {
    let reaction = base.reaction_message.as_option()?;
    let target = parties.target(reaction.key.as_option()?)?;
    Some(Content::Reaction { target, emoji: reaction.text.clone().unwrap_or_default() })
}

fn pin(base: &wa::Message, parties: &Parties<'_>) -> Option<Content> {
    let pin = base.pin_in_chat_message.as_option()?;
    let target = parties.target(pin.key.as_option()?)?;
    Some(Content::Pin { target, on: pin.r#type == Some(wa::message::pin_in_chat_message::Type::PinForAll) })
}

fn keep(base: &wa::Message, parties: &Parties<'_>) -> Option<Content> {
    let keep = base.keep_in_chat_message.as_option()?;
    let target = parties.target(keep.key.as_option()?)?;
    Some(Content::Keep { target, on: keep.keep_type == Some(wa::KeepType::KEEP_FOR_ALL) })
}

/// What is no number has no form in JSON, and would make the whole event unreadable.
fn degrees(sent: Option<f64>) -> f64 {
    sent.filter(|degrees| degrees.is_finite()).unwrap_or_default()
}

fn place_or_person(base: &wa::Message) -> Option<Content> {
    if let Some(place) = base.location_message.as_option() {
        let comment = place.comment.clone().unwrap_or_default();
        let name = place.name.clone().filter(|name| !name.is_empty());
        return Some(Content::Location(Location {
            latitude: degrees(place.degrees_latitude),
            longitude: degrees(place.degrees_longitude),
            comment: if name.is_some() { comment.clone() } else { String::new() },
            name: name.unwrap_or(comment),
            address: place.address.clone().unwrap_or_default(),
            live: place.is_live.unwrap_or(false),
        }));
    }
    if let Some(place) = base.live_location_message.as_option() {
        return Some(Content::Location(Location {
            latitude: degrees(place.degrees_latitude),
            longitude: degrees(place.degrees_longitude),
            name: place.caption.clone().unwrap_or_default(),
            live: true,
            ..Location::default()
        }));
    }
    let contact = |contact: &wa::message::ContactMessage| {
        let vcard = contact.vcard.clone().unwrap_or_default();
        let shown = contact.display_name.clone().filter(|name| !name.trim().is_empty());
        Contact { name: shown.unwrap_or_else(|| card::name(&vcard)), vcard }
    };
    if let Some(one) = base.contact_message.as_option() {
        return Some(Content::Contact { contacts: vec![contact(one)] });
    }
    let several = base.contacts_array_message.as_option()?;
    Some(Content::Contact { contacts: several.contacts.iter().map(contact).collect() })
}

/// The poll that a message opens.
pub fn poll(base: &wa::Message) -> Option<Poll> {
    let poll = [
        &base.poll_creation_message,
        &base.poll_creation_message_v2,
        &base.poll_creation_message_v3,
        &base.poll_creation_message_v5,
        &base.poll_creation_message_v6,
    ]
    .into_iter()
    .find_map(|poll| poll.as_option())?;
    Some(Poll {
        name: poll.name.clone().unwrap_or_default(),
        options: poll.options.iter().filter_map(|option| option.option_name.clone()).collect(),
        choose: poll.selectable_options_count.unwrap_or(0),
    })
}

/// Catalogues, buttons and lists.
fn business(base: &wa::Message) -> Option<Content> {
    if let Some(order) = base.order_message.as_option() {
        let title = order.order_title.clone().unwrap_or_default();
        let text = order.message.clone().filter(|text| !text.trim().is_empty());
        return Some(Content::Order(CatalogOrder {
            id: order.order_id.clone().unwrap_or_default(),
            text: text.unwrap_or_else(|| title.clone()),
            title,
            items: order.item_count.unwrap_or(0),
            total_1000: order.total_amount1000,
            currency: order.total_currency_code.clone(),
            token: order.token.clone(),
        }));
    }
    if let Some(product) = product(base) {
        return Some(Content::Product(product));
    }
    choices::choice(base)
}

fn product(base: &wa::Message) -> Option<Product> {
    let sent = base.product_message.as_option()?;
    let shown = sent.product.as_option()?;
    Some(Product {
        id: shown.product_id.clone().unwrap_or_default(),
        retailer_id: shown.retailer_id.clone(),
        title: shown.title.clone().unwrap_or_default(),
        text: words::of(base),
        price_1000: shown.sale_price_amount1000.or(shown.price_amount1000),
        currency: shown.currency_code.clone(),
        url: shown.url.clone(),
        owner: sent.business_owner_jid.clone(),
    })
}

fn unknown(base: &wa::Message) -> Option<Content> {
    if let Some(name) = fields::wordy(base) {
        let choices = choices::options(base);
        return Some(Content::Unknown { name: name.to_owned(), text: words::of(base), choices });
    }
    // A kind newer than the library leaves nothing at all, since it drops fields that it does not know.
    fields::silent(base).is_none().then(Content::unknown)
}

/// What the message says of the one that it answers, of mentions and of forwarding.
fn context(base: &wa::Message) -> Option<&wa::ContextInfo> {
    macro_rules! first_of {
        ($($field:ident)+) => {
            $(if let Some(context) = base.$field.as_option().and_then(|inner| inner.context_info.as_option()) {
                return Some(context);
            })+
        };
    }
    // Every field of `Message` whose type has a `contextInfo` (waproto 0.7.0), but for those that are silent.
    first_of!(
        extended_text_message image_message video_message ptv_message audio_message document_message sticker_message
        location_message live_location_message contact_message contacts_array_message
        poll_creation_message poll_creation_message_v2 poll_creation_message_v3 poll_creation_message_v5 poll_creation_message_v6
        poll_result_snapshot_message poll_result_snapshot_message_v3
        buttons_message buttons_response_message list_message list_response_message
        template_message template_button_reply_message interactive_message interactive_response_message
        order_message product_message group_invite_message event_message event_invite_message
        sticker_pack_message rich_response_message request_phone_number_message split_payment_message
        newsletter_admin_invite_message newsletter_follower_invite_message_v2
    );
    None
}

/// The message that one of the newer kinds names as the one it answers.
fn answered(message: &wa::Message) -> Option<&wa::MessageKey> {
    unwrapped(message).find_map(|message| {
        let comment = message.comment_message.as_option().and_then(|comment| comment.target_message_key.as_option());
        comment
            .or_else(|| message.question_response_message.as_option()?.key.as_option())
            .or_else(|| message.status_question_answer_message.as_option()?.key.as_option())
            .or_else(|| message.status_quoted_message.as_option()?.original_status_id.as_option())
    })
}

#[cfg(test)]
mod tests;
