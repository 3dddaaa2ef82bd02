//! The names of WAHA's events: those that we have, and those that may be asked for all the same.

/// An event that this daemon has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventName {
    SessionStatus,
    /// Another account than the session's scanned, in vain. WAHA has no such event.
    AccountRefused,
    /// The session is another account from here on. WAHA has no such event.
    AccountChanged,
    /// A customer wrote.
    Message,
    /// Someone wrote, the tenant itself too.
    MessageAny,
    MessageAck,
    /// The same, in a group.
    MessageAckGroup,
    MessageReaction,
    MessageRevoked,
    MessageEdited,
    /// It cannot be read yet; it comes as `message` when it can.
    MessageWaiting,
    /// Something of the chat's that nobody wrote. WAHA has no such event.
    MessageMarked,
    PollVote,
    CallReceived,
    /// On another device.
    CallAccepted,
    /// Or missed.
    CallRejected,
    /// The tenant is in a group from now on.
    GroupJoin,
    GroupLeave,
    GroupParticipants,
    GroupJoinRequest,
    GroupUpdate,
    LabelUpsert,
    LabelDeleted,
    LabelAdded,
    LabelRemoved,
    ChatArchive,
    /// A customer ordered. WAHA has no such event, nor the two after it.
    OrderCreated,
    OrderUpdated,
    /// The bot wants a human in a chat.
    OwnerCalled,
    /// A limit keeps messages back. WAHA has no such event.
    PacingHeld,
    /// Of now: it is in no log.
    PresenceUpdate,
}

/// What a webhook or a socket may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSelection {
    One(EventName),
    All,
    /// An event of WAHA's that never comes from here.
    Never,
}

/// Names that WAHA's clients ask for beside those that we have: of other engines, of what this daemon has no word for, or said
/// here in another way: the guide's page of webhooks says how.
const NEVER: &[&str] = &[
    "engine.event",
    "event.response",
    "event.response.failed",
    "group.join",
    "group.leave",
    "poll.vote.failed",
    "state.change",
];

impl EventName {
    pub const ALL: &[Self] = &[
        Self::SessionStatus,
        Self::AccountRefused,
        Self::AccountChanged,
        Self::Message,
        Self::MessageAny,
        Self::MessageAck,
        Self::MessageAckGroup,
        Self::MessageReaction,
        Self::MessageRevoked,
        Self::MessageEdited,
        Self::MessageWaiting,
        Self::MessageMarked,
        Self::PollVote,
        Self::CallReceived,
        Self::CallAccepted,
        Self::CallRejected,
        Self::GroupJoin,
        Self::GroupLeave,
        Self::GroupParticipants,
        Self::GroupJoinRequest,
        Self::GroupUpdate,
        Self::LabelUpsert,
        Self::LabelDeleted,
        Self::LabelAdded,
        Self::LabelRemoved,
        Self::ChatArchive,
        Self::OrderCreated,
        Self::OrderUpdated,
        Self::OwnerCalled,
        Self::PacingHeld,
        Self::PresenceUpdate,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStatus => "session.status",
            Self::AccountRefused => "account.refused",
            Self::AccountChanged => "account.changed",
            Self::Message => "message",
            Self::MessageAny => "message.any",
            Self::MessageAck => "message.ack",
            Self::MessageAckGroup => "message.ack.group",
            Self::MessageReaction => "message.reaction",
            Self::MessageRevoked => "message.revoked",
            Self::MessageEdited => "message.edited",
            Self::MessageWaiting => "message.waiting",
            Self::MessageMarked => "message.marked",
            Self::PollVote => "poll.vote",
            Self::CallReceived => "call.received",
            Self::CallAccepted => "call.accepted",
            Self::CallRejected => "call.rejected",
            Self::GroupJoin => "group.v2.join",
            Self::GroupLeave => "group.v2.leave",
            Self::GroupParticipants => "group.v2.participants",
            Self::GroupJoinRequest => "group.v2.participants.join-request",
            Self::GroupUpdate => "group.v2.update",
            Self::LabelUpsert => "label.upsert",
            Self::LabelDeleted => "label.deleted",
            Self::LabelAdded => "label.chat.added",
            Self::LabelRemoved => "label.chat.deleted",
            Self::ChatArchive => "chat.archive",
            Self::OrderCreated => "order.created",
            Self::OrderUpdated => "order.updated",
            Self::OwnerCalled => "owner.called",
            Self::PacingHeld => "pacing.held",
            Self::PresenceUpdate => "presence.update",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == name)
    }
}

impl EventSelection {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wahas_other_events_may_be_asked_for() {
        assert_eq!(EventSelection::parse("engine.event"), Some(EventSelection::Never));
        assert_eq!(EventSelection::parse("message.any"), Some(EventSelection::One(EventName::MessageAny)));
        assert_eq!(EventSelection::parse("*"), Some(EventSelection::All));
        assert_eq!(EventSelection::parse("mesage"), None);
    }
}
