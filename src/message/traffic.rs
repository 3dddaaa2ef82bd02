//! How many messages a tenant's log has published, and what they are called where they are counted. No text and no name of anybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Content, EventBody, FailureReason};
use crate::telemetry::metrics::{
    self,
    label::{Direction, MessageKind, SendFailure},
};

/// Since the log was opened.
#[derive(Debug, Default)]
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// An event was published.
    pub(super) fn count(&self, event: &EventBody) {
        let (sum, direction, message) = match event {
            EventBody::Received { message } => (&self.received, Direction::In, message),
            EventBody::Sent { message } => (&self.sent, Direction::Out, message),
            _ => return,
        };
        sum.fetch_add(1, Relaxed);
        metrics::message(direction, kind(&message.content));
    }

    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }
}

fn kind(content: &Content) -> MessageKind {
    match content {
        Content::Text { .. } => MessageKind::Text,
        Content::Image(_) => MessageKind::Image,
        Content::Video(_) => MessageKind::Video,
        Content::Audio(_) => MessageKind::Audio,
        Content::Document(_) => MessageKind::Document,
        Content::Sticker(_) => MessageKind::Sticker,
        Content::Location(_) => MessageKind::Location,
        Content::Contact { .. } => MessageKind::Contact,
        Content::Poll(_) => MessageKind::Poll,
        Content::Vote { .. } => MessageKind::Vote,
        Content::Reaction { .. } => MessageKind::Reaction,
        Content::Edit { .. } => MessageKind::Edit,
        Content::Revoke { .. } => MessageKind::Revoke,
        Content::Choice { .. } => MessageKind::Choice,
        Content::Order(_) => MessageKind::Order,
        Content::Product(_) => MessageKind::Product,
        Content::Pin { .. } | Content::Keep { .. } | Content::Timer { .. } | Content::Mark { .. } => MessageKind::Mark,
        Content::Unknown { .. } => MessageKind::Unknown,
        Content::Undecryptable => MessageKind::Undecryptable,
    }
}

impl From<FailureReason> for SendFailure {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Refused => Self::Refused,
            FailureReason::NotOnWhatsapp => Self::NotOnWhatsapp,
            FailureReason::Unconfirmed => Self::Unconfirmed,
            FailureReason::Expired => Self::Expired,
            FailureReason::OtherAccount => Self::OtherAccount,
            FailureReason::Unsendable => Self::Unsendable,
            FailureReason::Superseded => Self::Superseded,
        }
    }
}
