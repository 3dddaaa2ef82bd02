//! Why a turn of a chat is taken, and under which name. Owns no step of it.

use ulid::Ulid;

use super::{fetching::FetchedFile, hearing::HeardEvent, records::OrderRecord};
use crate::bot::{external::ExternalAnswer, language_model::ModelLine, order::OrderStage};

/// What came of a question that was asked elsewhere.
#[derive(Debug, Clone)]
pub enum AskOutcome {
    /// Of the external bot, or in its place.
    Replies(ExternalAnswer),
    /// Of rules. `human`: a human is called as well.
    Files { files: Vec<FetchedFile>, human: bool },
    /// Of the language model; none: it does not help.
    Lines(Vec<ModelLine>),
}

/// Why a turn is taken.
#[derive(Clone)]
pub enum TurnCause {
    /// What was said since the last one.
    Heard {
        events: Vec<HeardEvent>,
        /// The owner's word that comes only after more than can be read at once. It comes again at its place.
        ahead: Option<HeardEvent>,
    },
    /// The time has come that the engine named.
    Woken,
    TakenOver,
    /// A chat that broke begins anew.
    GivenBack,
    /// The kitchen moves an order.
    Moved {
        key: Ulid,
        record: Box<OrderRecord>,
        to: OrderStage,
    },
    /// An order that waited for its payment, paid.
    Paid {
        key: Ulid,
        record: Box<OrderRecord>,
    },
    /// The external bot or the language model has answered a question, or files were fetched.
    Answered {
        key: Ulid,
        ask: String,
        outcome: AskOutcome,
    },
}

/// The name of a turn, of which the ids of its messages are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnName {
    /// The first event that it answers: the same turn says the same messages.
    OfEvent,
    /// Nobody's before.
    Fresh,
}

/// Whether a turn whose replies have not left may be taken anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopening {
    Allowed,
    /// They have begun to leave since somebody looked.
    Refused,
}
