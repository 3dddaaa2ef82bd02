//! The conversation with one customer: what was said and happens → what the bot says and does. Pure: the clock and chance come in.
//!
//! Owns the state of a conversation and its steps. Promises that one input has one outcome, that an order is placed only with a total
//! that the customer was shown, and that nobody is answered while the owner talks. Never sends, stores, or reads anything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Parser, order::Order, order::OrderStage, restaurant::RestaurantSettings};

/// What is kept of a customer between two inputs: the record that the bot's service stores. `Default`: nobody has talked yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Conversation {}

/// A message of the customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// WhatsApp's message id.
    pub id: String,
    pub what: Utterance,
}

/// A message's content, as far as the bot minds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Utterance {
    /// A text, or the caption of a picture.
    Text(String),
    Location { latitude: f64, longitude: f64, name: String },
    Voice,
    Picture,
    Sticker,
    Document,
    Call,
    /// A reaction, a poll's vote, a contact card: nothing is answered.
    Silent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The messages of one turn, oldest first: what a customer says within a moment is answered once.
    Said(Vec<Said>),
    /// A message of an earlier turn has another text now.
    Edited { id: String, text: String },
    /// A message of an earlier turn was deleted for everybody.
    Revoked { id: String },
    /// The owner wrote in the chat: from the phone, the console, or the API.
    OwnerWrote,
    /// Somebody takes the chat over or gives it back, by the console or the API.
    TakenOver,
    GivenBack,
    /// The kitchen moved an order of this customer.
    OrderMoved { order: String, stage: OrderStage },
    /// The time of [`Step::wake_at`] has come.
    Woken,
}

/// The restaurant at this moment.
#[derive(Debug)]
pub struct Restaurant {
    pub parser: Parser,
    pub settings: RestaurantSettings,
}

/// Who talks.
#[derive(Debug, Clone, Default)]
pub struct Customer {
    /// A jid.
    pub chat: String,
    /// As WhatsApp shows it.
    pub name: Option<String>,
    /// Digits; `None`: WhatsApp does not tell it.
    pub phone: Option<String>,
}

/// What the pure engine cannot have by itself.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Timestamp,
    /// Fresh for each step.
    pub chance: [u8; 16],
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A message to the customer.
    Reply(String),
    /// A message to the customer about an order that the kitchen moved: it may wait behind answers.
    Notice(String),
    /// A new order. It is whole, and is not changed by the service.
    Place(Box<Order>),
    /// The customer cancels it: the service does so if the kitchen has not started; the engine has judged by what it knew.
    Cancel { order: String },
    /// A human is wanted, and the owner is to be told.
    CallOwner { reason: String },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub conversation: Conversation,
    pub effects: Vec<Effect>,
    /// When the engine wants [`Input::Woken`]; a later step replaces it.
    pub wake_at: Option<Timestamp>,
}

/// One step.
pub fn step(
    conversation: Conversation,
    _input: Input,
    _customer: &Customer,
    _restaurant: &Restaurant,
    _moment: Moment,
) -> Step {
    Step { conversation, effects: Vec::new(), wake_at: None }
}
