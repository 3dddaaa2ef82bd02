//! A message as a person sees it: its kind, its fields, its file, its subject.
//!
//! Nothing is taken on trust: a file is fetched from the media host and verified, a vote is decrypted with the poll's
//! secret, an edit or revocation counts only if it is its author's.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use wacore::download::{Downloadable, MediaType};
use wacore::poll::{PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret};
use wacore::proto_helpers::MessageExt;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;

use crate::account::{AccountId, Form};
use crate::archive::poll_of;
use crate::world::World;

/// Seconds after which phones ignore an edit.
const EDIT_WINDOW: u64 = 20 * 60;

/// A message that a phone or customer has opened.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    pub id: String,
    /// The sending device.
    pub from: String,
    /// The number of the other side of the chat: the sender, or for a copy of an own message its addressee.
    pub chat: String,
    /// `text`, `image`, `voice`, `poll`, `vote`, `edit`, …; of a kind that has no name here the protobuf's field, or
    /// `unknown` when it has none.
    pub kind: String,
    /// Its wrappers, outermost first: `ephemeral`, `view_once`, `document_with_caption`, …
    pub wrapped_in: Vec<String>,
    /// The text, or the new text of an edit.
    pub text: Option<String>,
    /// The id of the message it is about: reacted to, voted on, edited, revoked, quoted.
    pub about: Option<String>,
    /// The options that a vote chose.
    pub votes: Option<Vec<String>>,
    /// The fields of the protobuf, without those that are empty or bytes.
    pub fields: Value,
    /// Its file; of a text the large picture of its link.
    pub file: Option<Attachment>,
    /// Why it does not count: a file that is not what it should be, a vote that does not open, an edit of a message
    /// that is somebody else's.
    pub problem: Option<String>,
    /// Unix time in milliseconds at which it was first opened.
    pub time: u64,
    /// How often it came. More than once: the sender repeated it under the same id.
    pub arrivals: u32,
}

/// A file, fetched from the media host, verified and decrypted.
#[derive(Debug, Clone, Serialize)]
pub struct Attachment {
    /// In hex.
    pub sha256: String,
    pub size: usize,
    pub mimetype: Option<String>,
    /// In JSON base64, where it is asked for.
    #[serde(serialize_with = "to_base64", skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<u8>,
}

/// The messages that an endpoint has opened, in order.
#[derive(Default)]
pub(crate) struct Inbox {
    messages: Vec<Received>,
    by_id: HashMap<(AccountId, String), usize>,
}

impl Inbox {
    pub(crate) fn messages(&self) -> &[Received] {
        &self.messages
    }

    /// Counts one more arrival of a message it knows.
    pub(crate) fn arrived_again(&mut self, from: AccountId, id: &str) -> bool {
        let known = self.by_id.get(&(from, id.to_owned()));
        if let Some(at) = known {
            self.messages[*at].arrivals += 1;
        }
        known.is_some()
    }

    pub(crate) fn keep(&mut self, from: AccountId, received: Received) {
        if !self.arrived_again(from, &received.id) {
            self.by_id.insert((from, received.id.clone()), self.messages.len());
            self.messages.push(received);
        }
    }
}

impl World {
    /// The message that `sender` wrote, as `account` sees it. The caller names its sender and its chat.
    pub(crate) fn behold(&self, account: AccountId, sender: AccountId, id: &str, message: &wa::Message) -> Received {
        let (wrapped_in, base) = unwrap(message);
        let (kind, fields) = describe(base);
        let mut received = Received {
            id: id.to_owned(),
            from: String::new(),
            chat: String::new(),
            kind,
            wrapped_in,
            text: base.text_content().map(str::to_owned),
            about: None,
            votes: None,
            fields,
            file: None,
            problem: None,
            time: self.time_ms(),
            arrivals: 1,
        };
        let linked = base.extended_text_message.as_option().filter(|text| text.thumbnail_direct_path.is_some());
        let opened = file_of(base)
            .map(|(file, mimetype)| (self.media.open(file), mimetype))
            .or_else(|| linked.map(|text| (self.media.open_any_length(&LinkPicture(text)), None)));
        match opened {
            Some((Ok(data), mimetype)) => {
                let sha256 = hex::encode(Sha256::digest(&data));
                received.file = Some(Attachment { sha256, size: data.len(), mimetype, data });
            }
            Some((Err(reason), _)) => received.problem = Some(reason),
            None => {}
        }
        if let Some(reaction) = base.reaction_message.as_option() {
            received.about = reaction.key.as_option().and_then(|key| key.id.clone());
            received.text.clone_from(&reaction.text);
        } else if let Some(update) = base.poll_update_message.as_option() {
            received.about = update.poll_creation_message_key.as_option().and_then(|key| key.id.clone());
            match self.open_vote(account, sender, update) {
                Ok(votes) => received.votes = Some(votes),
                Err(reason) => received.problem = Some(reason),
            }
        } else if let Some(protocol) = base.protocol_message.as_option() {
            received.about = protocol.key.as_option().and_then(|key| key.id.clone());
            let edited = protocol.edited_message.as_option();
            let new = edited.map(|edited| unwrap(edited).1);
            received.text = new.and_then(|new| new.text_content().or(new.get_caption())).map(str::to_owned);
            let archive = &self.directory.get(account).contact.archive;
            let target = received.about.as_ref().and_then(|id| archive.get(id));
            match target {
                Some(target) if target.sender == sender => {
                    let is_file = |message: &wa::Message| file_of(unwrap(message).1).is_some();
                    // Phones show no text in the place of a file.
                    if edited.is_some_and(|edited| is_file(edited) != is_file(&target.message)) {
                        received.problem = Some("it has another form than what it edits".to_owned());
                    } else if edited.is_some() && self.time() > target.time + EDIT_WINDOW {
                        received.problem = Some("it comes too late for an edit".to_owned());
                    }
                }
                _ => received.problem = Some("it is about no message of its author".to_owned()),
            }
        } else if let Some(quoted) = received.fields.pointer("/context_info/stanza_id").and_then(Value::as_str) {
            received.about = Some(quoted.to_owned());
        }
        received
    }

    fn open_vote(
        &self,
        account: AccountId,
        voter: AccountId,
        update: &wa::message::PollUpdateMessage,
    ) -> Result<Vec<String>, String> {
        let id = update.poll_creation_message_key.as_option().and_then(|key| key.id.as_deref()).unwrap_or_default();
        let poll = self.directory.get(account).contact.archive.get(id).ok_or("it is about no poll that is known")?;
        let secret = poll.poll_secret().ok_or("it is about a message that is no poll")?;
        let vote = update.vote.as_option().ok_or("no vote in it")?;
        let sealed = PollVoteCiphertext {
            enc_payload: vote.enc_payload.as_deref().unwrap_or_default(),
            enc_iv: vote.enc_iv.as_deref().unwrap_or_default(),
        };
        // Both are named in the same form, which is the chat's as the voter saw it.
        let opened = [Form::Pn, Form::Lid].into_iter().find_map(|form| {
            let (creator, voter) = (form.jid(poll.sender.primary()).to_string(), form.jid(voter.primary()).to_string());
            decrypt_poll_vote_with_secret(sealed, secret, id, &creator, &voter).ok()
        });
        let hashes = opened.ok_or("the vote does not open with the poll's secret")?;
        let options = poll.poll_options();
        let name =
            |hash: &Vec<u8>| options.iter().find(|option| compute_option_hash(option).as_slice() == hash).cloned();
        hashes
            .iter()
            .map(|hash| name(hash).ok_or_else(|| "it is for an option that the poll has not".to_owned()))
            .collect()
    }
}

/// The picture that a text shows of its link.
struct LinkPicture<'a>(&'a wa::message::ExtendedTextMessage);

impl Downloadable for LinkPicture<'_> {
    fn direct_path(&self) -> Option<&str> {
        self.0.thumbnail_direct_path.as_deref()
    }

    fn media_key(&self) -> Option<&[u8]> {
        self.0.media_key.as_deref()
    }

    fn file_enc_sha256(&self) -> Option<&[u8]> {
        self.0.thumbnail_enc_sha256.as_deref()
    }

    fn file_sha256(&self) -> Option<&[u8]> {
        self.0.thumbnail_sha256.as_deref()
    }

    fn file_length(&self) -> Option<u64> {
        None
    }

    fn app_info(&self) -> MediaType {
        MediaType::LinkThumbnail
    }
}

/// Takes the wrappers off; says which.
fn unwrap(message: &wa::Message) -> (Vec<String>, &wa::Message) {
    let mut wrapped_in = Vec::new();
    let mut current = message;
    loop {
        let wrappers = [
            ("ephemeral", &current.ephemeral_message),
            ("view_once", &current.view_once_message),
            ("view_once", &current.view_once_message_v2),
            ("view_once", &current.view_once_message_v2_extension),
            ("document_with_caption", &current.document_with_caption_message),
            ("edited", &current.edited_message),
        ];
        let inner =
            wrappers.into_iter().find_map(|(name, wrapper)| Some((name, wrapper.as_option()?.message.as_option()?)));
        let Some((name, inner)) = inner else {
            return (wrapped_in, current);
        };
        wrapped_in.push(name.to_owned());
        current = inner;
    }
}

/// The kind of a message without wrappers, and its fields.
fn describe(message: &wa::Message) -> (String, Value) {
    if message.conversation.is_some() {
        return ("text".to_owned(), Value::Object(Map::new()));
    }
    let Ok(Value::Object(all)) = serde_json::to_value(message) else {
        return ("unknown".to_owned(), Value::Null);
    };
    let beside = ["message_context_info", "sender_key_distribution_message"];
    let found = all.into_iter().find(|(name, value)| !value.is_null() && !beside.contains(&name.as_str()));
    let Some((field, value)) = found else {
        return ("unknown".to_owned(), Value::Object(Map::new()));
    };
    let kind = match field.as_str() {
        "extended_text_message" => "text",
        "audio_message" if message.audio_message.as_option().is_some_and(|a| a.ptt == Some(true)) => "voice",
        "video_message" if message.video_message.as_option().is_some_and(|v| v.gif_playback == Some(true)) => "gif",
        "ptv_message" => "video_note",
        "contacts_array_message" => "contacts",
        "poll_update_message" => "vote",
        "protocol_message" => match message.protocol_message.as_option().and_then(|protocol| protocol.r#type) {
            Some(ProtocolType::MESSAGE_EDIT) => "edit",
            Some(ProtocolType::REVOKE) => "revoke",
            _ => "protocol",
        },
        _ if poll_of(message).is_some() => "poll",
        other => other.strip_suffix("_message").unwrap_or(other),
    };
    (kind.to_owned(), prune(value).unwrap_or_default())
}

/// Without nulls, bytes and what is left empty by that.
pub(crate) fn prune(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let kept: Map<String, Value> =
                fields.into_iter().filter_map(|(name, value)| Some((name, prune(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            // Bytes are arrays of numbers, and no list of numbers is of interest here.
            let kept: Vec<Value> = items.into_iter().filter(|item| !item.is_number()).filter_map(prune).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => Some(other),
    }
}

pub(crate) fn file_of(message: &wa::Message) -> Option<(&dyn Downloadable, Option<String>)> {
    /// The first of these fields that is set.
    macro_rules! first {
        ($($field:ident),*) => {
            $(if let Some(file) = message.$field.as_option() {
                return Some((file, file.mimetype.clone()));
            })*
        };
    }
    first!(image_message, video_message, ptv_message, audio_message, document_message, sticker_message);
    None
}

fn to_base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(data))
}
