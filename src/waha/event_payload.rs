//! The payloads of WAHA's events, by their names. Pure: says what one of our events is to a client, and not which of WAHA's events it is.

#[cfg(test)]
pub mod tests;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::CallData,
    event_name::EventName,
    group_event,
    id::chat_id,
    label::{LabelOfChat, WALabel},
    message::{self as form, Ack, Source, View, WAMessageKey, message_id, participant, target_id},
    order::KitchenOrder,
    person::WAHAChatPresences,
};
use crate::{
    message::{
        self, Content, Delivery, EventBody, Failure, LabelChange, Message, StatePoint, status::STATUS_CHAT, synced,
    },
    pacing::HeldBy,
    tenant::State,
};

/// The payload of an event, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "WAPayload")]
pub enum Payload {
    Status(SessionStatus),
    AccountRefused(AccountRefusedPayload),
    AccountChanged(AccountChangedPayload),
    Message(form::WAMessage),
    Ack(AckPayload),
    Reaction(ReactionPayload),
    Revoked(RevokedPayload),
    Edited(EditedPayload),
    Marked(MarkedPayload),
    Vote(VotePayload),
    Call(CallData),
    GroupJoin(Box<group_event::Join>),
    GroupLeave(group_event::Leave),
    GroupParticipants(group_event::Participants),
    GroupJoinRequest(group_event::JoinRequestEvent),
    GroupUpdate(group_event::Update),
    Label(WALabel),
    LabelOfChat(LabelOfChat),
    Archive(ArchivePayload),
    Order(Box<KitchenOrder>),
    OwnerCalled(OwnerCalledPayload),
    Paced(PacingHeldPayload),
    Presence(WAHAChatPresences),
}

/// Another account than the session's scanned, in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccountRefusedPayload {
    /// The number that alone may scan; digits.
    expected: String,
    /// The one that did.
    scanned: String,
}

/// The session is another account from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccountChangedPayload {
    /// Numbers; digits.
    from: String,
    to: String,
}

/// A limit keeps messages back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PacingHeldPayload {
    reason: HeldBy,
    /// The same in words.
    words: &'static str,
    /// The first of them leaves then; milliseconds since 1970.
    until_ms: i64,
    /// Messages that wait to be sent, all in all.
    waiting: usize,
    /// Seconds since 1970.
    timestamp: i64,
}

/// The bot wants a human in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerCalledPayload {
    chat_id: String,
    /// As WhatsApp shows the name.
    customer: String,
    /// In words.
    reason: String,
    /// Seconds since 1970.
    timestamp: i64,
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMessageAck")]
pub struct AckPayload {
    id: String,
    from: String,
    to: String,
    /// In a group, and of a status: of whom it is known; else the tenant.
    participant: String,
    from_me: bool,
    /// -1 `ERROR`, 0 `PENDING`, 1 `SERVER`, 2 `DEVICE`, 3 `READ`, 4 `PLAYED`.
    ack: i8,
    ack_name: &'static str,
    /// Why, of an `ERROR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(rename = "_data")]
    data: AckData,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WAMessageAckData")]
struct AckData {
    key: WAMessageKey,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMessageReaction")]
pub struct ReactionPayload {
    id: String,
    timestamp: i64,
    from: String,
    from_me: bool,
    source: Source,
    to: String,
    participant: String,
    reaction: WAReaction,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WAReaction {
    /// Empty: taken back.
    text: String,
    message_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMessageRevoked")]
pub struct RevokedPayload {
    /// WhatsApp's own id of the message, without its chat.
    revoked_message_id: String,
    after: form::WAMessage,
    before: (),
    #[serde(rename = "_data")]
    data: (),
}

/// What the message says now.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMessageEdited")]
pub struct EditedPayload {
    #[serde(flatten)]
    form: form::WAMessage,
    /// WhatsApp's own id of the message, without its chat.
    edited_message_id: String,
}

/// Something of the chat's that nobody wrote.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WAMessageMarked")]
pub struct MarkedPayload {
    #[serde(flatten)]
    form: form::WAMessage,
    mark: MarkOfChat,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMark")]
pub struct MarkOfChat {
    /// WhatsApp's word for it: `pin_in_chat`, `keep_in_chat`, `ephemeral_setting`, `album`, `status_mention` …
    name: String,
    /// The message that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// True: a pin or a keep begins. Other marks have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
    /// Messages disappear after so long; 0: they stay. `ephemeral_setting` alone has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WAPollVote")]
pub struct VotePayload {
    vote: WAVote,
    poll: PollOfVote,
    #[serde(rename = "_data")]
    data: (),
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WAVote {
    id: String,
    /// All that are chosen now.
    selected_options: Vec<String>,
    /// Milliseconds since 1970.
    timestamp: i64,
    from: String,
    to: String,
    from_me: bool,
    participant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAPollOfVote")]
pub struct PollOfVote {
    id: String,
    from: String,
    to: String,
    from_me: bool,
    participant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ChatArchiveEvent")]
pub struct ArchivePayload {
    id: String,
    archived: bool,
    /// Seconds since 1970.
    timestamp: i64,
}

/// The payload of an event. `name` is one of [`super::names`] of it.
pub fn payload(session: &str, body: &EventBody, name: EventName, view: View<'_>) -> Payload {
    let message = match body {
        EventBody::Received { message } | EventBody::Sent { message } => message,
        EventBody::Status { message_id, chat, status, by, failure } => {
            let ack = ack(message_id, chat, *status, by.as_deref(), view.me);
            return Payload::Ack(AckPayload { failure: *failure, ..ack });
        }
        EventBody::Session { states } => return Payload::Status(session_status(session, states)),
        EventBody::Call { call } => return Payload::Call(call.into()),
        EventBody::Group { group, timestamp, change } => return group_event::payload(group, *timestamp, change, name),
        EventBody::Label { news } => {
            let label = WALabel::from(&synced::Label { id: news.id.clone(), ..news.label.clone() });
            return match &news.change {
                LabelChange::Written | LabelChange::Deleted => Payload::Label(label),
                LabelChange::Added(chat) | LabelChange::Removed(chat) => {
                    Payload::LabelOfChat(LabelOfChat::new(label, chat))
                }
            };
        }
        EventBody::Archive { chat, archived, timestamp } => {
            return Payload::Archive(ArchivePayload { id: chat_id(chat), archived: *archived, timestamp: *timestamp });
        }
        EventBody::AccountRefused { expected, scanned } => {
            let (expected, scanned) = (expected.clone(), scanned.clone());
            return Payload::AccountRefused(AccountRefusedPayload { expected, scanned });
        }
        EventBody::AccountChanged { from, to } => {
            return Payload::AccountChanged(AccountChangedPayload { from: from.clone(), to: to.clone() });
        }
        EventBody::Order { restaurant, order, .. } => {
            return Payload::Order(Box::new(KitchenOrder::new(session, restaurant, order)));
        }
        EventBody::Paced { reason, until_ms, waiting, timestamp } => {
            let (reason, until_ms, waiting, timestamp) = (*reason, *until_ms, *waiting, *timestamp);
            let words = reason.words();
            return Payload::Paced(PacingHeldPayload { reason, words, until_ms, waiting, timestamp });
        }
        EventBody::OwnerCalled { chat, customer, reason, timestamp } => {
            let (customer, reason) = (customer.clone(), reason.clone());
            return Payload::OwnerCalled(OwnerCalledPayload {
                chat_id: chat_id(chat),
                customer,
                reason,
                timestamp: *timestamp,
            });
        }
    };
    let form = form::WAMessage::new(message, view);
    match (&message.content, name) {
        (Content::Reaction { target, emoji }, EventName::MessageReaction) => Payload::Reaction(ReactionPayload {
            id: form.id,
            timestamp: form.timestamp,
            from: form.from,
            from_me: form.from_me,
            source: form.source,
            to: form.to,
            participant: form.participant,
            reaction: WAReaction { text: emoji.clone(), message_id: target_id(message, target).to_string() },
        }),
        (Content::Revoke { target }, EventName::MessageRevoked) => {
            let revoked_message_id = target.id.clone();
            Payload::Revoked(RevokedPayload { revoked_message_id, after: form, before: (), data: () })
        }
        (Content::Edit { target, .. }, EventName::MessageEdited) => {
            Payload::Edited(EditedPayload { form, edited_message_id: target.id.clone() })
        }
        (content, EventName::MessageMarked) => Payload::Marked(MarkedPayload { mark: mark(message, content), form }),
        (Content::Vote { poll, options }, EventName::PollVote) => Payload::Vote(vote(message, form, poll, options)),
        _ => Payload::Message(form),
    }
}

fn mark(message: &Message, content: &Content) -> MarkOfChat {
    let (name, target, on, seconds) = match content {
        Content::Pin { target, on } => ("pin_in_chat", Some(target), Some(*on), None),
        Content::Keep { target, on } => ("keep_in_chat", Some(target), Some(*on), None),
        Content::Timer { seconds } => ("ephemeral_setting", None, None, Some(*seconds)),
        Content::Mark { name, target, .. } => (name.as_str(), target.as_ref(), None, None),
        _ => ("", None, None, None),
    };
    let message_id = target.map(|target| target_id(message, target).to_string());
    MarkOfChat { name: name.to_owned(), message_id, on, seconds }
}

pub(super) fn is_group(chat: &str) -> bool {
    chat.ends_with("@g.us")
}

fn ack(id: &str, chat: &str, status: Delivery, by: Option<&str>, me: &str) -> AckPayload {
    let ack = Ack::from(status);
    // In these many take a message in, each for itself.
    let has_many = is_group(chat) || chat == STATUS_CHAT;
    let key = WAMessageKey::own(id, chat, has_many.then_some(me));
    let (me, chat) = (chat_id(me), chat_id(chat));
    let (id, participant) = match has_many {
        true => (format!("true_{chat}_{id}_{me}"), by.map_or_else(|| me.clone(), chat_id)),
        false => (format!("true_{chat}_{id}"), String::new()),
    };
    let (number, name) = (ack.number(), ack.name());
    AckPayload {
        id,
        from: me,
        to: chat,
        participant,
        from_me: true,
        ack: number,
        ack_name: name,
        failure: None,
        data: AckData { key },
    }
}

fn vote(message: &Message, form: form::WAMessage, poll: &message::MessageTarget, options: &[String]) -> VotePayload {
    let participant = participant(message).map(chat_id);
    // The poll is the other one's message when it is not the voter's own.
    let (from, to) = (form.from.clone(), form.to.clone());
    let (author, addressee) = if poll.from_me == form.from_me { (from, to) } else { (to, from) };
    VotePayload {
        poll: PollOfVote {
            id: target_id(message, poll).to_string(),
            from: author,
            to: addressee,
            from_me: poll.from_me,
            participant: participant.as_ref().map(|_| chat_id(&poll.sender)),
        },
        vote: WAVote {
            id: message_id(message).to_string(),
            selected_options: options.to_vec(),
            timestamp: message.timestamp * 1000,
            from: form.from,
            to: form.to,
            from_me: form.from_me,
            participant,
        },
        data: (),
    }
}

/// A session's status at a time, as `session.status` lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WAStatusPoint")]
pub struct StatusPoint {
    pub status: State,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// The payload of `session.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WASessionStatus")]
pub struct SessionStatus {
    name: String,
    /// As it became then, the last of the points.
    status: Option<State>,
    data: (),
    statuses: Vec<StatusPoint>,
}

fn session_status(session: &str, states: &[StatePoint]) -> SessionStatus {
    let point = |point: &StatePoint| StatusPoint { status: point.state, timestamp: point.at };
    let status = states.last().map(|point| point.state);
    SessionStatus { name: session.to_owned(), status, data: (), statuses: states.iter().map(point).collect() }
}
