//! WAHA's forms of our things: what its clients read in answers and in webhooks. Pure functions over what the session and the message model know; the
//! fields are those of WAHA's OpenAPI document (2026.9). Knows nothing of HTTP, stores nothing.

pub mod channel;
mod event;
pub mod group;
mod id;
pub mod label;
mod message;
pub mod person;

pub use self::{
    event::{
        AckPayload, EditedPayload, Envelope, Environment, EventName, Me, Payload, ReactionPayload, RevokedPayload,
        SessionStatus, StatusPoint, VotePayload, Wish, Worker, environment, event_id, names, payload, session_status,
    },
    id::{InvalidMessageId, MessageId, chat_id, jid},
    message::{Ack, Location, Media, Message, ReplyTo, Source, View, message_id, participant, target_id},
};
