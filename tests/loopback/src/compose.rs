//! From what somebody says to the message that WhatsApp's apps would send for it. Files are put on the media host.

use rand::RngExt;
use wacore::download::MediaType;
use wacore::messages::wrap_device_sent;
use wacore::poll::{compute_option_hash, encrypt_poll_vote_with_secret};
use wacore::proto_helpers::MessageExt;
use wacore_binary::Jid;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::buttons_response_message::Response;
use waproto::whatsapp::message::list_response_message::SingleSelectReply;
use waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{
    AudioMessage, ButtonsResponseMessage, ContactMessage, ContactsArrayMessage, DocumentMessage, FutureProofMessage,
    ImageMessage, ListResponseMessage, LiveLocationMessage, LocationMessage, OrderMessage, PollCreationMessage,
    PollEncValue, PollUpdateMessage, ProtocolMessage, ReactionMessage, StickerMessage, VideoMessage,
};

use crate::account::{AccountId, Form};
use crate::archive::Archived;
use crate::groups::GroupId;
use crate::media::seal::SealedFile;
use crate::say::{Card, File, Say};
use crate::world::World;

/// Field number of `Message.deviceSentMessage`.
const DEVICE_SENT_MESSAGE: u32 = 31;

/// A message ready to be sealed.
#[derive(Clone, Default)]
pub(crate) struct Composed {
    pub(crate) message: wa::Message,
    /// Encoded fields beyond those that the protobuf has.
    pub(crate) beyond: Vec<u8>,
}

impl Composed {
    /// The protobuf, unpadded.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.message.encode_to_vec();
        bytes.extend_from_slice(&self.beyond);
        bytes
    }

    /// The same as the author's other devices get it.
    pub(crate) fn encode_device_sent(&self, chat: &Jid) -> Vec<u8> {
        if self.beyond.is_empty() {
            return wrap_device_sent(self.message.clone(), chat.to_string()).encode_to_vec();
        }
        let destination = length_delimited(1, chat.to_string().as_bytes());
        let inner = length_delimited(2, &self.encode());
        length_delimited(DEVICE_SENT_MESSAGE, &[destination, inner].concat())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Chat {
    Direct(AccountId),
    Group(GroupId),
    /// Everybody's statuses are in one chat.
    Status,
}

/// The author and the chat.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) author: AccountId,
    pub(crate) chat: Chat,
    /// How people are named there.
    pub(crate) form: Form,
}

impl Place {
    fn chat(&self) -> Jid {
        match self.chat {
            Chat::Direct(peer) => self.form.jid(peer.primary()),
            Chat::Group(group) => group.jid(),
            Chat::Status => Jid::status_broadcast(),
        }
    }

    fn name_of(&self, account: AccountId) -> String {
        self.form.jid(account.primary()).to_string()
    }
}

impl World {
    pub(crate) fn compose(&mut self, place: Place, say: &Say) -> Result<Composed, String> {
        let mut beyond = Vec::new();
        let mut message = wa::Message::default();
        match say {
            Say::Text { text, mentions } if mentions.is_empty() => message.conversation = Some(text.clone()),
            Say::Text { text, mentions } => {
                let context = wa::ContextInfo { mentioned_jid: self.names(place, mentions)?, ..Default::default() };
                message.extended_text_message = MessageField::some(wa::message::ExtendedTextMessage {
                    text: Some(text.clone()),
                    context_info: MessageField::some(context),
                    ..Default::default()
                });
            }
            Say::Image(file)
            | Say::Video(file)
            | Say::Gif(file)
            | Say::VideoNote(file)
            | Say::Audio(file)
            | Say::Voice(file)
            | Say::Document(file)
            | Say::Sticker(file) => message = self.compose_file(say, file)?,
            Say::Location { latitude, longitude, name, address } => {
                message.location_message = MessageField::some(LocationMessage {
                    degrees_latitude: Some(*latitude),
                    degrees_longitude: Some(*longitude),
                    name: name.clone(),
                    address: address.clone(),
                    ..Default::default()
                });
            }
            Say::LiveLocation { latitude, longitude, caption, sequence } => {
                message.live_location_message = MessageField::some(LiveLocationMessage {
                    degrees_latitude: Some(*latitude),
                    degrees_longitude: Some(*longitude),
                    caption: caption.clone(),
                    sequence_number: Some(*sequence),
                    ..Default::default()
                });
            }
            Say::Contact(card) => message.contact_message = MessageField::some(contact(card)),
            Say::Contacts { name, contacts } => {
                message.contacts_array_message = MessageField::some(ContactsArrayMessage {
                    display_name: Some(name.clone()),
                    contacts: contacts.iter().map(contact).collect(),
                    ..Default::default()
                });
            }
            Say::Poll { name, options, selectable } => message = self.compose_poll(name, options, *selectable),
            Say::Vote { of, options, creator, voter } => {
                let forms = (creator.unwrap_or(place.form), voter.unwrap_or(place.form));
                message.poll_update_message = MessageField::some(self.compose_vote(place, of, options, forms)?);
            }
            Say::Reaction { of, emoji } => {
                message.reaction_message = MessageField::some(ReactionMessage {
                    key: MessageField::some(self.key_of(place, of)?),
                    text: Some(emoji.clone()),
                    sender_timestamp_ms: Some(self.timestamp_ms()),
                    ..Default::default()
                });
            }
            Say::Edit { of, text } => {
                let edited = wa::Message { conversation: Some(text.clone()), ..Default::default() };
                message.protocol_message = MessageField::some(ProtocolMessage {
                    key: MessageField::some(self.own_key(place, of)?),
                    r#type: Some(ProtocolType::MESSAGE_EDIT),
                    edited_message: MessageField::some(edited),
                    timestamp_ms: Some(self.timestamp_ms()),
                    ..Default::default()
                });
            }
            Say::Revoke { of } => {
                message.protocol_message = MessageField::some(ProtocolMessage {
                    key: MessageField::some(self.own_key(place, of)?),
                    r#type: Some(ProtocolType::REVOKE),
                    ..Default::default()
                });
            }
            Say::ButtonsResponse { id, text } => {
                message.buttons_response_message = MessageField::some(ButtonsResponseMessage {
                    selected_button_id: Some(id.clone()),
                    r#type: Some(wa::message::buttons_response_message::Type::DISPLAY_TEXT),
                    response: Some(Response::SelectedDisplayText(text.clone())),
                    ..Default::default()
                });
            }
            Say::ListResponse { id, title } => {
                message.list_response_message = MessageField::some(ListResponseMessage {
                    title: Some(title.clone()),
                    list_type: Some(wa::message::list_response_message::ListType::SINGLE_SELECT),
                    single_select_reply: MessageField::some(SingleSelectReply { selected_row_id: Some(id.clone()) }),
                    ..Default::default()
                });
            }
            Say::Order { id, title, items, total, currency, token } => {
                message.order_message = MessageField::some(OrderMessage {
                    order_id: Some(id.clone()),
                    order_title: Some(title.clone()),
                    item_count: Some(*items),
                    total_amount1000: Some(*total),
                    total_currency_code: Some(currency.clone()),
                    token: Some(token.clone()),
                    seller_jid: Some(place.chat().to_string()),
                    ..Default::default()
                });
            }
            Say::Product { id, retailer_id, title, price, currency } => {
                let product = wa::message::product_message::ProductSnapshot {
                    product_id: Some(id.clone()),
                    retailer_id: Some(retailer_id.clone()),
                    title: Some(title.clone()),
                    price_amount1000: Some(*price),
                    currency_code: Some(currency.clone()),
                    ..Default::default()
                };
                message.product_message = MessageField::some(wa::message::ProductMessage {
                    product: MessageField::some(product),
                    business_owner_jid: Some(place.chat().to_string()),
                    ..Default::default()
                });
            }
            Say::FromAdvertisement { title, source_id, click_id, say } => {
                let composed = self.compose(place, say)?;
                (message, beyond) = (composed.message, composed.beyond);
                let shown = wa::context_info::ExternalAdReplyInfo {
                    title: Some(title.clone()),
                    source_type: Some("ad".into()),
                    source_id: Some(source_id.clone()),
                    source_url: Some("https://fb.me/1".into()),
                    ctwa_clid: Some(click_id.clone()),
                    ..Default::default()
                };
                let context = wa::ContextInfo { external_ad_reply: MessageField::some(shown), ..Default::default() };
                attach(&mut message, context)?;
            }
            Say::Reply { of, say } => {
                let composed = self.compose(place, say)?;
                (message, beyond) = (composed.message, composed.beyond);
                let quoted = self.known(place.author, of)?;
                let context = wa::ContextInfo {
                    stanza_id: Some(of.clone()),
                    participant: Some(place.name_of(quoted.sender)),
                    quoted_message: MessageField::some(*quoted.message.prepare_for_quote()),
                    ..Default::default()
                };
                attach(&mut message, context)?;
            }
            Say::Ephemeral { seconds, say } => {
                let composed = self.compose(place, say)?;
                let mut inner = composed.message;
                attach(&mut inner, wa::ContextInfo { expiration: Some(*seconds), ..Default::default() })?;
                message.ephemeral_message = wrapped(inner);
            }
            Say::ViewOnce { say } => {
                let composed = self.compose(place, say)?;
                message.view_once_message_v2 = wrapped(composed.message);
            }
            Say::Unknown { field } => beyond = unknown_field(*field),
            Say::Raw { message: raw } => message = (**raw).clone(),
            Say::Garbage { bytes } => beyond.clone_from(bytes),
        }
        Ok(Composed { message, beyond })
    }

    fn compose_file(&mut self, say: &Say, file: &File) -> Result<wa::Message, String> {
        let (kind, usual) = match say {
            Say::Image(_) => (MediaType::Image, "image/jpeg"),
            Say::Audio(_) => (MediaType::Audio, "audio/mpeg"),
            Say::Voice(_) => (MediaType::Audio, "audio/ogg; codecs=opus"),
            Say::Document(_) => (MediaType::Document, "application/pdf"),
            Say::Sticker(_) => (MediaType::Sticker, "image/webp"),
            _ => (MediaType::Video, "video/mp4"),
        };
        let mimetype = Some(file.mimetype.clone().unwrap_or_else(|| usual.to_owned()));
        let thumbnail = (!file.thumbnail.is_empty()).then(|| file.thumbnail.clone());
        let sealed = self.media.seal(&file.data, kind, &mut self.rng)?;
        let SealedFile { url, direct_path, media_key, file_sha256, file_enc_sha256, file_length, streaming_sidecar } =
            sealed;
        let now = i64::try_from(self.time()).ok();
        /// The fields that every kind of file has.
        macro_rules! file {
            ($kind:ident { $($field:ident: $value:expr),* $(,)? }) => {
                MessageField::some($kind {
                    url: Some(url),
                    direct_path: Some(direct_path),
                    media_key: Some(media_key),
                    media_key_timestamp: now,
                    file_sha256: Some(file_sha256),
                    file_enc_sha256: Some(file_enc_sha256),
                    file_length: Some(file_length),
                    mimetype,
                    $($field: $value,)*
                    ..Default::default()
                })
            };
        }
        let mut message = wa::Message::default();
        let caption = file.caption.clone();
        match say {
            Say::Image(_) => {
                message.image_message = file!(ImageMessage { caption: caption, jpeg_thumbnail: thumbnail });
            }
            Say::Audio(_) | Say::Voice(_) => {
                message.audio_message = file!(AudioMessage {
                    ptt: Some(matches!(say, Say::Voice(_))),
                    seconds: file.seconds,
                    streaming_sidecar: streaming_sidecar,
                });
            }
            Say::Document(_) => {
                message.document_message = file!(DocumentMessage {
                    title: file.file_name.clone(),
                    file_name: file.file_name.clone(),
                    caption: caption.clone(),
                    jpeg_thumbnail: thumbnail,
                });
                // The apps wrap a document that has a caption.
                if caption.is_some() {
                    let document_with_caption_message = wrapped(message);
                    message = wa::Message { document_with_caption_message, ..Default::default() };
                }
            }
            Say::Sticker(_) => message.sticker_message = file!(StickerMessage { png_thumbnail: thumbnail }),
            _ => {
                let video = file!(VideoMessage {
                    caption: caption,
                    seconds: file.seconds,
                    gif_playback: matches!(say, Say::Gif(_)).then_some(true),
                    jpeg_thumbnail: thumbnail,
                    streaming_sidecar: streaming_sidecar,
                });
                if matches!(say, Say::VideoNote(_)) {
                    message.ptv_message = video;
                } else {
                    message.video_message = video;
                }
            }
        }
        Ok(message)
    }

    fn compose_poll(&mut self, name: &str, options: &[String], selectable: u32) -> wa::Message {
        let poll = PollCreationMessage {
            name: Some(name.to_owned()),
            options: options
                .iter()
                .map(|option| PollOption { option_name: Some(option.clone()), ..Default::default() })
                .collect(),
            selectable_options_count: Some(selectable),
            ..Default::default()
        };
        let secret: [u8; 32] = self.rng.random();
        let context = wa::MessageContextInfo { message_secret: Some(secret.to_vec()), ..Default::default() };
        let mut message = wa::Message { message_context_info: MessageField::some(context), ..Default::default() };
        // The apps send a poll with one choice as version 3.
        if selectable == 1 {
            message.poll_creation_message_v3 = MessageField::some(poll);
        } else {
            message.poll_creation_message = MessageField::some(poll);
        }
        message
    }

    /// `forms`: how the poll's creator and the voter are named in what the vote is sealed with.
    fn compose_vote(
        &self,
        place: Place,
        of: &str,
        options: &[String],
        forms: (Form, Form),
    ) -> Result<PollUpdateMessage, String> {
        let poll = self.known(place.author, of)?;
        let secret = poll.poll_secret().ok_or_else(|| format!("{of} is no poll"))?;
        let there = poll.poll_options();
        if let Some(strange) = options.iter().find(|option| !there.contains(option)) {
            return Err(format!("the poll has no option {strange}"));
        }
        let hashes: Vec<Vec<u8>> = options.iter().map(|option| compute_option_hash(option).to_vec()).collect();
        let name = |form: Form, account: AccountId| form.jid(account.primary()).to_string();
        let (creator, voter) = (name(forms.0, poll.sender), name(forms.1, place.author));
        let (payload, iv) =
            encrypt_poll_vote_with_secret(&hashes, secret, of, &creator, &voter).map_err(|e| e.to_string())?;
        Ok(PollUpdateMessage {
            poll_creation_message_key: MessageField::some(self.key_of(place, of)?),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) }),
            sender_timestamp_ms: Some(self.timestamp_ms()),
            ..Default::default()
        })
    }

    fn known(&self, account: AccountId, id: &str) -> Result<&Archived, String> {
        self.directory.get(account).contact.archive.get(id).ok_or_else(|| format!("there is no message {id}"))
    }

    /// A message as the author names it.
    fn key_of(&self, place: Place, id: &str) -> Result<wa::MessageKey, String> {
        let known = self.known(place.author, id)?;
        let among_many = !matches!(place.chat, Chat::Direct(_)) && known.sender != place.author;
        Ok(wa::MessageKey {
            remote_jid: Some(place.chat().to_string()),
            from_me: Some(known.sender == place.author),
            id: Some(id.to_owned()),
            participant: among_many.then(|| place.name_of(known.sender)),
        })
    }

    fn own_key(&self, place: Place, id: &str) -> Result<wa::MessageKey, String> {
        let key = self.key_of(place, id)?;
        if key.from_me == Some(true) { Ok(key) } else { Err(format!("{id} is somebody else's")) }
    }

    fn names(&self, place: Place, numbers: &[String]) -> Result<Vec<String>, String> {
        let name = |number: &String| {
            let account = self.directory.find_text(number).ok_or_else(|| format!("nobody has the number {number}"))?;
            Ok(place.name_of(account))
        };
        numbers.iter().map(name).collect()
    }

    fn timestamp_ms(&self) -> i64 {
        i64::try_from(self.time_ms()).unwrap_or(i64::MAX)
    }
}

fn contact(card: &Card) -> ContactMessage {
    ContactMessage { display_name: Some(card.name.clone()), vcard: Some(card.vcard.clone()), ..Default::default() }
}

fn wrapped(message: wa::Message) -> MessageField<FutureProofMessage> {
    MessageField::some(FutureProofMessage { message: MessageField::some(message) })
}

/// Adds to the context that a message has. A plain text becomes one that has room for it.
fn attach(message: &mut wa::Message, mut context: wa::ContextInfo) -> Result<(), String> {
    let document = message.document_with_caption_message.as_option_mut().and_then(|m| m.message.as_option_mut());
    if let Some(inner) = document {
        return attach(inner, context);
    }
    if let Some(text) = message.conversation.take() {
        message.extended_text_message =
            MessageField::some(wa::message::ExtendedTextMessage { text: Some(text), ..Default::default() });
    }
    if let Some(extended) = message.extended_text_message.as_option()
        && let Some(before) = extended.context_info.as_option()
    {
        context.mentioned_jid.clone_from(&before.mentioned_jid);
        if context.stanza_id.is_none() {
            context.stanza_id.clone_from(&before.stanza_id);
            context.participant.clone_from(&before.participant);
            context.quoted_message = before.quoted_message.clone();
        }
    }
    if message.set_context_info(context) { Ok(()) } else { Err("that kind of message has no context".to_owned()) }
}

/// A field of that number with a short text, as a kind of message that came later would be.
fn unknown_field(field: u32) -> Vec<u8> {
    length_delimited(field, b"from the future")
}

pub(crate) fn length_delimited(field: u32, content: &[u8]) -> Vec<u8> {
    const LENGTH_DELIMITED: u64 = 2;
    let mut bytes = Vec::new();
    varint(u64::from(field) << 3 | LENGTH_DELIMITED, &mut bytes);
    varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
