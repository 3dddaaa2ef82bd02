//! WAHA's events: which of them one of ours is, and the envelope in which it goes out.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use ulid::Ulid;

use super::{
    id::chat_id,
    message::{self as form, Ack, Source, View, message_id, participant, target_id},
};
use crate::message::{self, Content, Delivery, EventBody, EventId, Message, status::STATUS_CHAT};

/// An event that this daemon has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventName {
    SessionStatus,
    /// A customer wrote.
    Message,
    /// Someone wrote, the tenant itself too.
    MessageAny,
    MessageAck,
    MessageReaction,
    MessageRevoked,
    MessageEdited,
    PollVote,
}

/// What a webhook or a socket may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    One(EventName),
    All,
    /// An event of WAHA's that never comes from here.
    Never,
}

/// Names that WAHA's clients ask for beside those that we have.
const NEVER: &[&str] = &[
    "call.accepted",
    "call.received",
    "call.rejected",
    "chat.archive",
    "engine.event",
    "event.response",
    "event.response.failed",
    "group.join",
    "group.leave",
    "group.v2.join",
    "group.v2.leave",
    "group.v2.participants",
    "group.v2.participants.join-request",
    "group.v2.update",
    "label.chat.added",
    "label.chat.deleted",
    "label.deleted",
    "label.upsert",
    "message.ack.group",
    "message.waiting",
    "poll.vote.failed",
    "presence.update",
    "state.change",
];

impl EventName {
    pub const ALL: &[Self] = &[
        Self::SessionStatus,
        Self::Message,
        Self::MessageAny,
        Self::MessageAck,
        Self::MessageReaction,
        Self::MessageRevoked,
        Self::MessageEdited,
        Self::PollVote,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStatus => "session.status",
            Self::Message => "message",
            Self::MessageAny => "message.any",
            Self::MessageAck => "message.ack",
            Self::MessageReaction => "message.reaction",
            Self::MessageRevoked => "message.revoked",
            Self::MessageEdited => "message.edited",
            Self::PollVote => "poll.vote",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == name)
    }
}

impl Wish {
    /// Every name that may be asked for.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let ours = EventName::ALL.iter().map(|name| name.as_str());
        std::iter::once("*").chain(ours).chain(NEVER.iter().copied())
    }

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "*" => Some(Self::All),
            name if NEVER.contains(&name) => Some(Self::Never),
            name => EventName::parse(name).map(Self::One),
        }
    }
}

/// Which of WAHA's events this is; in the order in which they go out.
pub fn names(body: &EventBody) -> &'static [EventName] {
    use EventName::{MessageAck, MessageAny, MessageEdited, MessageReaction, MessageRevoked, PollVote};
    let message = match body {
        EventBody::Received { message } | EventBody::Sent { message } => message,
        EventBody::Status { .. } => return &[MessageAck],
    };
    match message.content {
        Content::Reaction { .. } => &[MessageReaction],
        Content::Revoke { .. } => &[MessageRevoked],
        Content::Edit { .. } => &[MessageEdited],
        Content::Vote { .. } => &[PollVote],
        _ if message.from_me => &[MessageAny],
        _ => &[EventName::Message, MessageAny],
    }
}

/// The id of one of WAHA's events that one of ours is: the same at every repeat, and another for `message.any` than for
/// `message`, so that a receiver that drops repeats by the id drops neither.
pub fn event_id(id: EventId, name: EventName) -> String {
    /// In the random part, where only chance would make two ids equal.
    const ANY: u128 = 1 << 79;
    let Ulid(number) = id.0;
    let ulid = if name == EventName::MessageAny { Ulid(number ^ ANY) } else { id.0 };
    format!("evt_{}", ulid.to_string().to_lowercase())
}

/// The payload of an event, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "WAPayload")]
pub enum Payload {
    Status(SessionStatus),
    Message(form::Message),
    Ack(AckPayload),
    Reaction(ReactionPayload),
    Revoked(RevokedPayload),
    Edited(EditedPayload),
    Vote(VotePayload),
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMessageAck")]
pub struct AckPayload {
    id: String,
    from: String,
    to: String,
    /// In a group.
    participant: String,
    from_me: bool,
    /// -1 `ERROR`, 0 `PENDING`, 1 `SERVER`, 2 `DEVICE`, 3 `READ`.
    ack: i8,
    ack_name: &'static str,
    #[serde(rename = "_data")]
    data: (),
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
    reaction: Reaction,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAReaction")]
pub struct Reaction {
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
    after: form::Message,
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
    form: form::Message,
    /// WhatsApp's own id of the message, without its chat.
    edited_message_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WAPollVote")]
pub struct VotePayload {
    vote: Vote,
    poll: PollOfVote,
    #[serde(rename = "_data")]
    data: (),
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAVote")]
pub struct Vote {
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

/// The payload of an event. `name` is one of [`names`] of it.
pub fn payload(body: &EventBody, name: EventName, view: View<'_>) -> Payload {
    let message = match body {
        EventBody::Received { message } | EventBody::Sent { message } => message,
        EventBody::Status { message_id, chat, status } => {
            return Payload::Ack(ack(message_id, chat, *status, view.me));
        }
    };
    let form = form::Message::new(message, view);
    match (&message.content, name) {
        (Content::Reaction { target, emoji }, EventName::MessageReaction) => Payload::Reaction(ReactionPayload {
            id: form.id,
            timestamp: form.timestamp,
            from: form.from,
            from_me: form.from_me,
            source: form.source,
            to: form.to,
            participant: form.participant,
            reaction: Reaction { text: emoji.clone(), message_id: target_id(message, target).to_string() },
        }),
        (Content::Revoke { target }, EventName::MessageRevoked) => {
            let revoked_message_id = target.id.clone();
            Payload::Revoked(RevokedPayload { revoked_message_id, after: form, before: (), data: () })
        }
        (Content::Edit { target, .. }, EventName::MessageEdited) => {
            Payload::Edited(EditedPayload { form, edited_message_id: target.id.clone() })
        }
        (Content::Vote { poll, options }, EventName::PollVote) => Payload::Vote(vote(message, form, poll, options)),
        _ => Payload::Message(form),
    }
}

fn ack(id: &str, chat: &str, status: Delivery, me: &str) -> AckPayload {
    let ack = Ack::from(status);
    let (me, chat) = (chat_id(me), chat_id(chat));
    let participant = if chat.ends_with("@g.us") || chat == STATUS_CHAT { me.clone() } else { String::new() };
    let id = match &*participant {
        "" => format!("true_{chat}_{id}"),
        participant => format!("true_{chat}_{id}_{participant}"),
    };
    let (number, name) = (ack.number(), ack.name());
    AckPayload { id, from: me, to: chat, participant, from_me: true, ack: number, ack_name: name, data: () }
}

fn vote(message: &Message, form: form::Message, poll: &message::Target, options: &[String]) -> VotePayload {
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
        vote: Vote {
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
    pub status: &'static str,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// The payload of `session.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WASessionStatus")]
pub struct SessionStatus {
    name: String,
    /// The status now, the last of the points.
    status: Option<&'static str>,
    data: (),
    statuses: Vec<StatusPoint>,
}

pub fn session_status(session: &str, points: &[StatusPoint]) -> SessionStatus {
    let status = points.last().map(|point| point.status);
    SessionStatus { name: session.to_owned(), status, data: (), statuses: points.to_vec() }
}

/// Who the tenant is at WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMe")]
pub struct Me {
    /// In WAHA's form.
    pub id: String,
    pub push_name: String,
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

impl View<'_> {
    /// Of a message whose source and delivery are not known.
    pub fn plain(me: &str) -> View<'_> {
        View { me, source: Source::App, delivery: None, media_url: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::message::Target;

    use super::{super::message::tests::*, *};

    fn customers() -> Target {
        Target { id: "A".into(), from_me: false, sender: "573009998877@s.whatsapp.net".into() }
    }

    fn received(content: Content) -> EventBody {
        EventBody::Received { message: message(content) }
    }

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
        assert_eq!(names(&received(Content::Undecryptable)), [EventName::Message, MessageAny]);
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

    #[test]
    fn payloads_name_the_message_that_they_are_about() {
        let about = |content, name| json!(payload(&received(content), name, view()));
        let reaction = Content::Reaction { target: customers(), emoji: "👍".into() };
        let found = about(reaction, EventName::MessageReaction);
        assert_eq!(found["reaction"], json!({ "text": "👍", "messageId": "false_573009998877@c.us_A" }));
        let found = about(Content::Revoke { target: customers() }, EventName::MessageRevoked);
        assert_eq!(
            (&found["revokedMessageId"], &found["after"]["id"]),
            (&json!("A"), &json!("false_573009998877@c.us_3EB0A"))
        );
        let edit = Content::Edit { target: customers(), content: Box::new(Content::plain("two")) };
        let found = about(edit, EventName::MessageEdited);
        assert_eq!((&found["editedMessageId"], &found["body"]), (&json!("A"), &json!("two")));
        let mine = Target { id: "P".into(), from_me: true, sender: ME.into() };
        let found = about(Content::Vote { poll: mine, options: vec!["Yes".into()] }, EventName::PollVote);
        assert_eq!(found["poll"]["id"], "true_573009998877@c.us_P");
        assert_eq!(
            (&found["poll"]["from"], &found["vote"]["from"]),
            (&json!("573001112233@c.us"), &json!("573009998877@c.us"))
        );
    }

    #[test]
    fn acks_have_wahas_numbers() {
        for (status, number, name) in [
            (Delivery::Failed, -1, "ERROR"),
            (Delivery::Accepted, 0, "PENDING"),
            (Delivery::Sent, 1, "SERVER"),
            (Delivery::Delivered, 2, "DEVICE"),
            (Delivery::Read, 3, "READ"),
        ] {
            let chat = "573009998877@s.whatsapp.net".to_owned();
            let body = EventBody::Status { message_id: "A".into(), chat, status };
            let found = json!(payload(&body, EventName::MessageAck, view()));
            assert_eq!((&found["ack"], &found["ackName"]), (&json!(number), &json!(name)));
            assert_eq!(found["id"], "true_573009998877@c.us_A");
        }
    }

    #[test]
    fn wahas_other_events_may_be_asked_for() {
        assert_eq!(Wish::parse("presence.update"), Some(Wish::Never));
        assert_eq!(Wish::parse("message.any"), Some(Wish::One(EventName::MessageAny)));
        assert_eq!(Wish::parse("*"), Some(Wish::All));
        assert_eq!(Wish::parse("mesage"), None);
    }
}
