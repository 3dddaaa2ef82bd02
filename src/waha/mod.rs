//! WAHA's forms of our things: what its clients read in answers and in webhooks. Pure functions over what the session and the message
//! model know; the fields are those of WAHA's OpenAPI document (2026.9). Knows nothing of HTTP, stores nothing.

mod call;
pub mod channel;
mod event;
mod event_name;
pub mod group;
pub mod group_event;
mod id;
pub mod label;
mod message;
mod order;
pub mod person;

pub use self::{
    call::CallData,
    event::{
        AccountChangedPayload, AccountRefusedPayload, AckPayload, ArchivePayload, EditedPayload, Envelope, Environment,
        MarkedPayload, Me, OwnerCalledPayload, PacingHeldPayload, Payload, ReactionPayload, RevokedPayload,
        SessionStatus, StatusPoint, VotePayload, Worker, environment, event_id, names, payload,
    },
    event_name::{EventName, EventSelection},
    id::{InvalidMessageId, MessageId, chat_id, jid},
    message::{Ack, ReplyTo, Source, View, WALocation, WAMedia, WAMessage, message_id, participant, target_id},
    order::KitchenOrder,
};
