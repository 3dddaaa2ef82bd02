//! The conversation with one customer: an input comes, and the bot's words and deeds go out. Pure: the clock and chance come in.
//!
//! Owns the state of a conversation and its steps. Promises that one input has one outcome, that an order is placed only with a total
//! that the customer was shown, and that nobody is answered while the owner talks. Never sends, stores, or reads anything.

mod state;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Parser,
    basket::{AmbiguousWish, BasketLine},
    intent::Intent,
    order::{Order, OrderStage},
    payment::PaymentMethod,
    restaurant::RestaurantSettings,
};

pub use state::{Conversation, Phase, Silence, SilenceCause};

/// A message of the customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// WhatsApp's message id.
    pub id: String,
    pub what: Utterance,
}

/// The part of a message that the bot minds.
#[derive(Debug, Clone, PartialEq)]
pub enum Utterance {
    /// A text, or the caption of a picture.
    Text(String),
    Location {
        latitude: f64,
        longitude: f64,
        name: String,
    },
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
    Edited {
        id: String,
        text: String,
    },
    /// A message of an earlier turn was deleted for everybody.
    Revoked {
        id: String,
    },
    /// The owner wrote in the chat: from the phone, the console, or the API. The text may be the word that brings the bot back.
    OwnerWrote {
        text: Option<String>,
    },
    /// Somebody takes the chat over or gives it back, by the console or the API.
    TakenOver,
    GivenBack,
    /// The kitchen moved an order of this customer.
    OrderMoved {
        order: String,
        stage: OrderStage,
    },
    /// The time of [`Step::wake_at`] has come.
    Woken,
}

/// The restaurant at this moment. It is built once for a menu and its settings, and serves every conversation until they change.
#[derive(Debug)]
pub struct Restaurant {
    pub parser: Parser,
    pub settings: RestaurantSettings,
    /// Words of the items' names, folded: what an unknown wish is compared with.
    name_words: Vec<Vec<String>>,
    numbers: HashMap<String, usize>,
}

/// The one who talks.
#[derive(Debug, Clone, Default)]
pub struct Customer {
    /// A jid.
    pub chat: String,
    /// As WhatsApp shows it.
    pub name: Option<String>,
    /// Digits; `None`: WhatsApp does not tell it.
    pub phone: Option<String>,
}

/// The clock and chance, which the pure engine cannot have by itself.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Timestamp,
    /// Fresh for each step.
    pub chance: [u8; 16],
}

/// A deed of the bot; a step lists them in their order.
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

/// The answer to a text that somebody tries; the keys are the API's.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    pub intent: Intent,
    pub cart: Vec<BasketLine>,
    pub unknown: Vec<String>,
    pub ambiguous: Vec<AmbiguousWish>,
    pub address: Option<String>,
    pub payment: Option<PaymentMethod>,
    pub replies: Vec<String>,
    /// Given back with the next text, the talk goes on.
    pub conversation: Conversation,
}

impl Restaurant {
    pub fn new(parser: Parser, settings: RestaurantSettings) -> Self {
        let fold = |name: &str| super::text::fold(name).split_whitespace().map(str::to_owned).collect();
        let name_words = parser.menu().items.iter().map(|item| fold(&item.name)).collect();
        let numbers = parser.menu().items.iter().enumerate().map(|(at, item)| (item.id.clone(), at + 1)).collect();
        Self { parser, settings, name_words, numbers }
    }
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

/// Tries a text as a customer would say it; touches no customer, no order, no hours.
pub fn try_text(_restaurant: &Restaurant, conversation: Conversation, _text: &str, _moment: Moment) -> Tried {
    Tried {
        intent: Intent::Other,
        cart: Vec::new(),
        unknown: Vec::new(),
        ambiguous: Vec::new(),
        address: None,
        payment: None,
        replies: Vec::new(),
        conversation,
    }
}
