//! WAHA's events: which of them one of ours is, and the envelope in which it goes out.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use ulid::Ulid;

use super::{
    event_name::EventName,
    event_payload::{Payload, is_group},
    group_event,
    me::Me,
};
use crate::message::{CallStage, Content, EventBody, EventId, LabelChange, OrderChange};

/// Which of WAHA's events this is; in the order in which they go out.
pub fn names(body: &EventBody) -> &'static [EventName] {
    use EventName::{
        AccountChanged, AccountRefused, CallAccepted, CallReceived, CallRejected, ChatArchive, LabelAdded,
        LabelDeleted, LabelRemoved, LabelUpsert, MessageAck, MessageAckGroup, MessageAny, MessageEdited, MessageMarked,
        MessageReaction, MessageRevoked, MessageWaiting, OrderCreated, OrderUpdated, OwnerCalled, PacingHeld, PollVote,
        SessionStatus,
    };
    let message = match body {
        EventBody::Received { message } | EventBody::Sent { message } => message,
        EventBody::Status { chat, .. } if is_group(chat) => return &[MessageAck, MessageAckGroup],
        EventBody::Status { .. } => return &[MessageAck],
        EventBody::Session { .. } => return &[SessionStatus],
        EventBody::Call { call } => {
            return match call.stage {
                CallStage::Ringing => &[CallReceived],
                CallStage::Accepted => &[CallAccepted],
                CallStage::Rejected | CallStage::Missed => &[CallRejected],
            };
        }
        EventBody::Group { change, .. } => return group_event::names(change),
        EventBody::Label { news } => {
            return match news.change {
                LabelChange::Written => &[LabelUpsert],
                LabelChange::Deleted => &[LabelDeleted],
                LabelChange::Added(_) => &[LabelAdded],
                LabelChange::Removed(_) => &[LabelRemoved],
            };
        }
        EventBody::Archive { .. } => return &[ChatArchive],
        EventBody::AccountRefused { .. } => return &[AccountRefused],
        EventBody::AccountChanged { .. } => return &[AccountChanged],
        EventBody::Order { change: OrderChange::Created, .. } => return &[OrderCreated],
        EventBody::Order { change: OrderChange::Updated, .. } => return &[OrderUpdated],
        EventBody::OwnerCalled { .. } => return &[OwnerCalled],
        EventBody::Paced { .. } => return &[PacingHeld],
    };
    match message.content {
        Content::Reaction { .. } => &[MessageReaction],
        Content::Revoke { .. } => &[MessageRevoked],
        Content::Edit { .. } => &[MessageEdited],
        Content::Vote { .. } => &[PollVote],
        // A program would answer an empty message.
        Content::Undecryptable => &[MessageWaiting],
        _ if message.content.is_mark() => &[MessageMarked],
        _ if message.from_me => &[MessageAny],
        _ => &[EventName::Message, MessageAny],
    }
}

/// The id of one of WAHA's events that one of ours is: the same at every repeat, and another for the second of two names than for the
/// first, so that a receiver that drops repeats by the id drops neither.
pub fn event_id(id: EventId, name: EventName) -> String {
    /// In the random part, where only chance would make two ids equal.
    const SECOND: u128 = 1 << 79;
    let Ulid(number) = id.0;
    let second = matches!(name, EventName::MessageAny | EventName::MessageAckGroup | EventName::GroupParticipants);
    let ulid = if second { Ulid(number ^ SECOND) } else { id.0 };
    format!("evt_{}", ulid.to_string().to_lowercase())
}

/// What goes to a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WAEvent")]
pub struct Envelope<'a> {
    /// The same at every repeat.
    pub id: String,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    pub event: &'static str,
    pub session: &'a str,
    /// The session's own, as it was set.
    pub metadata: &'a Value,
    pub me: Option<Me>,
    pub payload: Payload,
    /// The one of WAHA's engines that speaks WhatsApp's protocol itself, as we do; the field takes only its names.
    pub engine: &'static str,
    pub environment: Environment,
}

impl<'a> Envelope<'a> {
    pub fn new(
        id: EventId,
        name: EventName,
        session: &'a str,
        metadata: &'a Value,
        me: Option<Me>,
        payload: Payload,
    ) -> Self {
        Self {
            id: event_id(id, name),
            timestamp: id.0.timestamp_ms(),
            event: name.as_str(),
            session,
            metadata,
            me,
            payload,
            engine: "NOWEB",
            environment: environment(),
        }
    }
}

/// WAHA's `environment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WAEnvironment")]
pub struct Environment {
    version: &'static str,
    engine: &'static str,
    tier: &'static str,
    browser: &'static str,
    /// Like `linux/x86_64`.
    platform: String,
    worker: Worker,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WAWorker")]
pub struct Worker {
    id: &'static str,
}

impl Worker {
    pub const THIS: Self = Self { id: "sessiond" };
}

pub fn environment() -> Environment {
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    Environment { version, engine: "NOWEB", tier: "PLUS", browser: "", platform, worker: Worker::THIS }
}

#[cfg(test)]
mod tests {
    use crate::{
        message::{Message, MessageTarget},
        waha::{
            event_payload::tests::{customers, received},
            message::tests::*,
        },
    };

    use super::*;

    #[test]
    fn an_event_of_ours_is_one_or_two_of_wahas() {
        use EventName::{MessageAny, MessageEdited, MessageReaction, MessageRevoked};
        let text = || Content::plain("x");
        assert_eq!(names(&received(text())), [EventName::Message, MessageAny]);
        let own = Message { from_me: true, ..message(text()) };
        assert_eq!(names(&EventBody::Sent { message: own }), [MessageAny]);
        assert_eq!(names(&received(Content::Revoke { target: customers() })), [MessageRevoked]);
        let edit = Content::Edit { target: customers(), content: Box::new(text()) };
        assert_eq!(names(&received(edit)), [MessageEdited]);
        let reaction = Content::Reaction { target: customers(), emoji: String::new() };
        assert_eq!(names(&received(reaction)), [MessageReaction]);
        // What has no form of its own is never dropped.
        assert_eq!(names(&received(Content::Undecryptable)), [EventName::MessageWaiting]);
        assert_eq!(names(&received(Content::Timer { seconds: 86_400 })), [EventName::MessageMarked]);
        let target = || MessageTarget { id: "A".into(), from_me: true, sender: "me".into() };
        assert_eq!(names(&received(Content::Pin { target: target(), on: true })), [EventName::MessageMarked]);
    }

    #[test]
    fn ids_stay_and_differ_between_the_two() {
        let id = EventId(Ulid::from_parts(1_800_000_000_000, 7));
        let one = event_id(id, EventName::Message);
        assert_eq!(one, event_id(id, EventName::Message));
        assert_ne!(one, event_id(id, EventName::MessageAny));
        assert_ne!(event_id(id, EventName::MessageAny), event_id(EventId(Ulid(id.0.0 + 1)), EventName::MessageAny));
        assert!(one.starts_with("evt_01") && one.len() == 30 && one == one.to_lowercase());
    }
}
