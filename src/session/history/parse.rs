//! Parses a phone's answer about a chat's past. Pure.
//!
//! The bytes are compressed and as long as whoever wrote them liked: they are inflated up to a limit, and a message is decoded only
//! when it is taken, since a few bytes of a protobuf may stand for a thousand in memory.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::encoding::{self, DecodeContext, WireType};
use whatsapp_rust::{
    Jid, Server,
    types::events::InboundMessage,
    wacore::{
        history_sync::{HistorySyncError, HistorySyncStream},
        time,
        types::message::{MessageInfo, MessageSource},
    },
    waproto::{
        codec,
        whatsapp::{self as wa, conversation::EndOfHistoryTransferType},
    },
};

use crate::{
    message::{Content, past::BackfilledMessage, timer::Timer},
    session::{files::reference, inbound::translate},
};

/// A message with more bytes is left out.
const MAX_LINE: usize = 128 * 1024;

/// Chats whose timers are taken from one history.
const MAX_TIMERS: usize = 4096;

/// Why what a phone told cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryParseError {
    #[error(transparent)]
    Blob(#[from] HistorySyncError),
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
}

#[derive(Debug, thiserror::Error)]
#[error("the protobuf is malformed")]
pub struct ProtobufError;

/// A piece of a chat's past, newest first.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// The chat's jids.
    ids: Vec<String>,
    /// The phone has nothing older; `None`: it does not say.
    pub complete: Option<bool>,
    lines: Vec<HistoryLine>,
}

#[derive(Debug)]
struct HistoryLine {
    info: wa::WebMessageInfo,
    order: Option<u64>,
}

/// The chat that is asked about.
pub struct AskedChat<'a> {
    /// As WhatsApp addresses it.
    pub addressed: &'a Jid,
    /// As [`crate::message::Message::chat`] has it.
    pub named: &'a Jid,
    /// The tenant's own jids, by the phone number first.
    pub me: &'a [Jid],
    /// Phone numbers of LIDs, as far as they are known.
    pub numbers: &'a HashMap<Jid, Jid>,
}

/// The page of a chat that has one of these jids; `None`: there is nothing of it. `most`: messages and inflated bytes.
pub fn page(blob: &[u8], chat: &[String], most: (usize, u64)) -> Result<Option<HistoryPage>, HistoryParseError> {
    let mut stream = HistorySyncStream::new(blob, most.1);
    while let Some(bytes) = stream.next_conversation_bytes()? {
        let page = HistoryPage::read(bytes, most.0)?;
        if page.ids.iter().any(|id| chat.contains(id)) {
            return Ok(Some(page));
        }
    }
    Ok(None)
}

/// After how long messages disappear in the chats of a history, by the chat's number where the phone says it. `most`: inflated bytes.
pub fn timers(blob: &[u8], most: u64, now: i64) -> Result<Vec<(String, Timer)>, HistoryParseError> {
    let mut stream = HistorySyncStream::new(blob, most);
    let mut timers = Vec::new();
    while let Some(bytes) = stream.next_conversation_bytes()?
        && timers.len() < MAX_TIMERS
    {
        timers.extend(timer(bytes, now)?);
    }
    Ok(timers)
}

/// The timer in the bytes of a `Conversation`, with its chat.
fn timer(mut bytes: &[u8], now: i64) -> Result<Option<(String, Timer)>, ProtobufError> {
    let (mut chat, mut seconds, mut since) = (None, 0, 0);
    while let Some((tag, field)) = next(&mut bytes)? {
        match (tag, field) {
            (1, Field::Bytes(id)) if chat.is_none() => chat = std::str::from_utf8(id).ok(),
            // Its number.
            (39, Field::Bytes(id)) => chat = std::str::from_utf8(id).ok().or(chat),
            (9, Field::Number(after)) => seconds = u32::try_from(after).unwrap_or_default(),
            (10, Field::Number(at)) => since = i64::try_from(at).unwrap_or_default(),
            _ => {}
        }
    }
    // One without a time is older than whatever a message says.
    let timer = Timer::new(seconds, Some(since.max(1)), now).filter(|timer| timer.seconds > 0);
    let chat = chat.and_then(|chat| chat.parse::<Jid>().ok()).map(|chat| chat.to_non_ad_string());
    Ok(chat.zip(timer))
}

impl HistoryPage {
    /// The bytes of a `Conversation`; of its messages the first `most`.
    fn read(mut bytes: &[u8], most: usize) -> Result<Self, ProtobufError> {
        // The other values say that there is more.
        const NO_MORE: u64 = EndOfHistoryTransferType::COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY as u64;
        let mut page = Self::default();
        while let Some((tag, field)) = next(&mut bytes)? {
            match (tag, field) {
                (1 | 39 | 42, Field::Bytes(id)) => page.ids.extend(std::str::from_utf8(id).ok().map(str::to_owned)),
                (2, Field::Bytes(line)) if page.lines.len() < most => page.lines.extend(HistoryLine::read(line)?),
                (11, Field::Number(end)) => page.complete = Some(end == NO_MORE),
                _ => {}
            }
        }
        Ok(page)
    }

    /// LIDs of members who wrote something.
    pub fn lids(&self) -> HashSet<Jid> {
        self.lines.iter().filter_map(HistoryLine::author).filter(Jid::is_lid).collect()
    }

    /// The messages that can be shown alone: no reactions, votes, edits, revocations or protocol messages.
    pub fn messages(self, chat: &AskedChat<'_>) -> Vec<BackfilledMessage> {
        let lines = self.lines.into_iter().zip((0..).map(|place: u64| 0xffff_ffff - place));
        lines.filter_map(|(line, place)| line.message(&self.ids, chat, place)).collect()
    }
}

impl HistoryLine {
    /// The bytes of a `HistorySyncMsg`; `None`: there is no message in it that can be read.
    fn read(mut bytes: &[u8]) -> Result<Option<Self>, ProtobufError> {
        let (mut info, mut order) = (None, None);
        while let Some((tag, field)) = next(&mut bytes)? {
            match (tag, field) {
                (1, Field::Bytes(bytes)) if bytes.len() <= MAX_LINE => {
                    info = codec::web_message_info_decode(bytes).ok()
                }
                (2, Field::Number(number)) => order = Some(number),
                _ => {}
            }
        }
        Ok(info.map(|info| Self { info, order }))
    }

    /// The author, where the chat alone does not name one.
    fn author(&self) -> Option<Jid> {
        let key = self.info.key.as_option()?;
        let named = key.participant.as_deref().or(self.info.participant.as_deref());
        named?.parse::<Jid>().ok().map(|jid| jid.to_non_ad())
    }

    fn message(mut self, ids: &[String], chat: &AskedChat<'_>, place: u64) -> Option<BackfilledMessage> {
        let author = self.author();
        let key = self.info.key.take()?;
        let id = key.id.filter(|id| !id.is_empty())?;
        let here = key.remote_jid.is_none_or(|jid| ids.contains(&jid));
        let from_me = key.from_me.unwrap_or(false);
        let is_group = chat.addressed.server == Server::Group;
        let sender = match from_me {
            true => chat.me.first()?.clone(),
            false if is_group => author?,
            false => chat.addressed.clone(),
        };
        let named = Some(chat.named.clone()).filter(|named| named != chat.addressed);
        let number = if is_group || from_me { chat.numbers.get(&sender).cloned() } else { named.clone() };
        let source = MessageSource {
            chat: chat.addressed.clone(),
            sender,
            is_from_me: from_me,
            is_group,
            sender_alt: number,
            recipient_alt: named.filter(|_| from_me),
            ..MessageSource::default()
        };
        let timestamp = i64::try_from(self.info.message_timestamp?).ok()?;
        let info = MessageInfo {
            id,
            source,
            push_name: self.info.push_name.take().unwrap_or_default(),
            timestamp: time::from_secs_or_now(timestamp),
            ..MessageInfo::default()
        };
        let body = self.info.message.take().filter(|_| here)?;
        let file = reference::only(&body).map(|file| Bytes::from(codec::message_to_vec(&file))).unwrap_or_default();
        let inbound = InboundMessage::builder().message(body.into()).info(info.into()).build();
        let incoming = translate::incoming(&inbound, chat.me, None);
        let mut message = incoming.message;
        if !incoming.visible || !stands_alone(&message.content) {
            return None;
        }
        forget_thumbnail(&mut message.content);
        if let Some(quoted) = &mut message.quoted {
            forget_thumbnail(&mut quoted.content);
        }
        Some(BackfilledMessage { message, order: self.order.unwrap_or(place), file })
    }
}

fn stands_alone(content: &Content) -> bool {
    !matches!(
        content,
        Content::Vote { .. }
            | Content::Reaction { .. }
            | Content::Edit { .. }
            | Content::Revoke { .. }
            | Content::Undecryptable
    ) && !content.is_mark()
}

/// One has the bytes of many messages.
fn forget_thumbnail(content: &mut Content) {
    if let Content::Image(media)
    | Content::Video(media)
    | Content::Audio(media)
    | Content::Document(media)
    | Content::Sticker(media) = content
    {
        media.thumbnail = None;
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The next field of a protobuf, by its tag; `None` at its end.
fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u32, Field<'a>)>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (tag, kind) = encoding::decode_key(bytes).map_err(|_| ProtobufError)?;
    let field = match kind {
        WireType::Varint => Field::Number(encoding::decode_varint(bytes).map_err(|_| ProtobufError)?),
        WireType::LengthDelimited => {
            let length = encoding::decode_varint(bytes).map_err(|_| ProtobufError)?;
            let split = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
            let (field, rest) = split.ok_or(ProtobufError)?;
            *bytes = rest;
            Field::Bytes(field)
        }
        kind => {
            encoding::skip_field(kind, tag, bytes, DecodeContext::default()).map_err(|_| ProtobufError)?;
            Field::Other
        }
    };
    Ok(Some((tag, field)))
}

/// Bytes as a phone's, compressed or not, for fuzzing.
#[cfg(feature = "loopback")]
pub(in crate::session) fn read_anything(bytes: &[u8], chat: &str, named: &str, most: usize) -> Vec<BackfilledMessage> {
    let _ = page(bytes, &[chat.to_owned()], (most, 1 << 20));
    let Ok(page) = HistoryPage::read(bytes, most) else { return Vec::new() };
    let lids = page.lids();
    let numbers = lids.into_iter().map(|lid| (lid, Jid::pn("573005554433"))).collect();
    let jid = |text: &str| text.parse::<Jid>().expect("a jid");
    let chat =
        AskedChat { addressed: &jid(chat), named: &jid(named), me: &[Jid::pn("573001112233")], numbers: &numbers };
    page.messages(&chat)
}
