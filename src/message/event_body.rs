//! The bodies of events: everything that can happen to a tenant, as it is kept and read again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Call, Delivery, Failure, GroupChange, LabelNews, Message, StatePoint};
use crate::{bot::order::Order, pacing::HeldBy, tenant::TenantId};

/// The id of an event: a ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EventId(
    #[schemars(with = "String", length(equal = 26), regex(pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"))] pub Ulid,
);

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    pub body: EventBody,
}

impl Event {
    /// Milliseconds since 1970.
    pub fn at_ms(&self) -> u64 {
        self.id.0.timestamp_ms()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventBody {
    Received {
        message: Message,
    },
    /// Accepted from a consumer, or written on the tenant's own phone.
    Sent {
        message: Message,
    },
    Status {
        message_id: String,
        chat: String,
        status: Delivery,
        /// In a group: whose receipt it is, a jid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Why, when it has failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// The session's state changed.
    Session {
        /// The last ones, oldest first; the last is the state now.
        states: Vec<StatePoint>,
    },
    Call {
        call: Call,
    },
    Group {
        /// A jid.
        group: String,
        /// Seconds since 1970.
        timestamp: i64,
        change: GroupChange,
    },
    Label {
        news: LabelNews,
    },
    Archive {
        chat: String,
        archived: bool,
        /// Seconds since 1970.
        timestamp: i64,
    },
    /// Another account than the tenant's scanned, and was not let in.
    AccountRefused {
        /// Digits, as the next.
        expected: String,
        scanned: String,
    },
    /// The tenant is another account from here on, as its owner allowed.
    AccountChanged {
        from: String,
        to: String,
    },
    /// A customer's order, as it is from here on.
    Order {
        change: OrderChange,
        /// The restaurant's name.
        restaurant: String,
        order: Box<Order>,
    },
    /// A limit keeps messages back.
    Paced {
        reason: HeldBy,
        /// The first of them leaves then; milliseconds since 1970.
        until_ms: i64,
        /// All that waits in the outbox.
        waiting: usize,
        /// Seconds since 1970.
        timestamp: i64,
    },
    /// The bot wants a human in a chat.
    OwnerCalled {
        /// A jid.
        chat: String,
        customer: String,
        reason: String,
        /// Seconds since 1970.
        timestamp: i64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderChange {
    Created,
    Updated,
}

impl EventBody {
    /// The conversation that it belongs to, a jid; empty: to none.
    pub fn chat(&self) -> &str {
        match self {
            Self::Received { message } | Self::Sent { message } => &message.chat,
            Self::Status { chat, .. } | Self::Archive { chat, .. } => chat,
            Self::Call { call } => &call.from,
            Self::Order { order, .. } => &order.chat,
            Self::OwnerCalled { chat, .. } => chat,
            Self::Group { group, .. } => group,
            Self::Paced { .. }
            | Self::Session { .. }
            | Self::Label { .. }
            | Self::AccountRefused { .. }
            | Self::AccountChanged { .. } => "",
        }
    }

    /// The message that it brings.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Received { message } | Self::Sent { message } => Some(message),
            _ => None,
        }
    }
}
