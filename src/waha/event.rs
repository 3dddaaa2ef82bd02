//! WAHA's events: which of them one of ours is, and the envelope in which it goes out.

use serde::Serialize;
use serde_json::{Value, json};
use ulid::Ulid;

use super::{
    id::chat_id,
    message::{self as form, Ack, Source, View, message_id, participant, target_id},
};
use crate::message::{Content, Delivery, EventBody, EventId, Message};

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

/// The payload of an event. `name` is one of [`names`] of it.
pub fn payload(body: &EventBody, name: EventName, view: View<'_>) -> Value {
    let message = match body {
        EventBody::Received { message } | EventBody::Sent { message } => message,
        EventBody::Status { message_id, chat, status } => return ack(message_id, chat, *status, view.me),
    };
    let form = form::Message::new(message, view);
    match (&message.content, name) {
        (Content::Reaction { target, emoji }, EventName::MessageReaction) => json!({
            "id": form.id, "timestamp": form.timestamp, "from": form.from, "fromMe": form.from_me,
            "source": form.source, "to": form.to, "participant": form.participant,
            "reaction": { "text": emoji, "messageId": target_id(message, target).to_string() },
        }),
        (Content::Revoke { target }, EventName::MessageRevoked) => json!({
            "revokedMessageId": target.id, "after": form, "before": null, "_data": null,
        }),
        (Content::Edit { target, .. }, EventName::MessageEdited) => {
            let mut form = json!(form);
            form["editedMessageId"] = json!(target.id);
            form
        }
        (Content::Vote { poll, options }, EventName::PollVote) => vote(message, &form, poll, options),
        _ => json!(form),
    }
}

fn ack(id: &str, chat: &str, status: Delivery, me: &str) -> Value {
    let ack = Ack::from(status);
    let (me, chat) = (chat_id(me), chat_id(chat));
    let participant = if chat.ends_with("@g.us") { me.as_str() } else { "" };
    let id = match participant {
        "" => format!("true_{chat}_{id}"),
        participant => format!("true_{chat}_{id}_{participant}"),
    };
    json!({
        "id": id, "from": me, "to": chat, "participant": participant, "fromMe": true, "ack": ack.number(),
        "ackName": ack.name(), "_data": null,
    })
}

fn vote(message: &Message, form: &form::Message, poll: &crate::message::Target, options: &[String]) -> Value {
    let participant = participant(message).map(chat_id);
    json!({
        "vote": {
            "id": message_id(message).to_string(), "selectedOptions": options,
            "timestamp": message.timestamp * 1000, "from": form.from, "to": form.to, "fromMe": form.from_me,
            "participant": participant,
        },
        "poll": {
            "id": target_id(message, poll).to_string(),
            // The poll is the other one's message when it is not the voter's own.
            "from": if poll.from_me == form.from_me { &form.from } else { &form.to },
            "to": if poll.from_me == form.from_me { &form.to } else { &form.from },
            "fromMe": poll.from_me,
            "participant": participant.as_ref().map(|_| chat_id(&poll.sender)),
        },
        "_data": null,
    })
}

/// A session's status at a time, as `session.status` lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusPoint {
    pub status: &'static str,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// The payload of `session.status`; the last of the points is the status now.
pub fn session_status(session: &str, points: &[StatusPoint]) -> Value {
    let now = points.last().map(|point| point.status);
    json!({ "name": session, "status": now, "data": null, "statuses": points })
}

/// Who the tenant is at WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// In WAHA's form.
    pub id: String,
    pub push_name: String,
}

/// What goes to a receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Envelope<'a> {
    pub id: String,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    pub event: &'static str,
    pub session: &'a str,
    pub metadata: &'a Value,
    pub me: Option<Me>,
    pub payload: Value,
    /// The one of WAHA's engines that speaks WhatsApp's protocol itself, as we do; the field takes only its names.
    pub engine: &'static str,
    pub environment: Value,
}

impl<'a> Envelope<'a> {
    pub fn new(
        id: EventId,
        name: EventName,
        session: &'a str,
        metadata: &'a Value,
        me: Option<Me>,
        payload: Value,
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
pub fn environment() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"), "engine": "NOWEB", "tier": "PLUS", "browser": "",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH), "worker": { "id": "sessiond" },
    })
}

impl View<'_> {
    /// Of a message whose source and delivery are not known.
    pub fn plain(me: &str) -> View<'_> {
        View { me, source: Source::App, delivery: None, media_url: None }
    }
}

#[cfg(test)]
mod tests {
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
        let text = || Content::Text { text: "x".into() };
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
        let about = |content, name| payload(&received(content), name, view());
        let reaction = Content::Reaction { target: customers(), emoji: "👍".into() };
        let found = about(reaction, EventName::MessageReaction);
        assert_eq!(found["reaction"], json!({ "text": "👍", "messageId": "false_573009998877@c.us_A" }));
        let found = about(Content::Revoke { target: customers() }, EventName::MessageRevoked);
        assert_eq!(
            (&found["revokedMessageId"], &found["after"]["id"]),
            (&json!("A"), &json!("false_573009998877@c.us_3EB0A"))
        );
        let edit = Content::Edit { target: customers(), content: Box::new(Content::Text { text: "two".into() }) };
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
            let found =
                payload(&EventBody::Status { message_id: "A".into(), chat, status }, EventName::MessageAck, view());
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
