//! WAHA's forms of our things: what its clients read in answers and in webhooks. Pure functions over the message model; the
//! fields are those of WAHA's OpenAPI document (2026.9). Knows nothing of HTTP, stores nothing.

mod event;
mod id;
mod message;

pub use self::{
    event::{
        AckPayload, EditedPayload, Envelope, Environment, EventName, Me, Payload, ReactionPayload, RevokedPayload,
        SessionStatus, StatusPoint, VotePayload, Wish, Worker, environment, event_id, names, payload, session_status,
    },
    id::{InvalidMessageId, MessageId, chat_id, jid},
    message::{Ack, Location, Media, Message, ReplyTo, Source, View, message_id, participant, target_id},
};
