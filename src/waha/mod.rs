//! WAHA's forms of our things: what its clients read in answers and in webhooks. Pure functions over what the session and the message
//! model know; the fields are those of WAHA's OpenAPI document (2026.9). Knows nothing of HTTP, stores nothing.

mod call;
pub mod channel;
mod event;
mod event_name;
mod event_payload;
pub mod group;
pub mod group_event;
mod id;
pub mod label;
mod me;
mod message;
mod order;
pub mod person;

pub use self::{
    call::CallData,
    event::{Envelope, Environment, Worker, environment, event_id, names},
    event_name::{EventName, EventSelection},
    event_payload::{
        AccountChangedPayload, AccountRefusedPayload, AckPayload, ArchivePayload, EditedPayload, MarkedPayload,
        OwnerCalledPayload, PacingHeldPayload, Payload, ReactionPayload, RevokedPayload, SessionStatus, StatusPoint,
        VotePayload, payload,
    },
    id::{InvalidMessageId, MessageId, chat_id, jid},
    me::Me,
    message::{Ack, ReplyTo, Source, View, WALocation, WAMedia, WAMessage, message_id, participant, target_id},
    order::KitchenOrder,
};
