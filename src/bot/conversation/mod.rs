//! The conversation with one customer: an input comes, and the bot's words and deeds go out. Pure: the clock and chance come in.
//!
//! Owns the state of a conversation and its steps. Promises that one input has one outcome, that an order is placed only with a total
//! that the customer was shown, and that nobody is answered while the owner talks. Never sends, stores, or reads anything.

mod address_parts;
mod answering;
mod asides;
mod cancelling;
mod checkout;
mod doubts;
mod edits;
mod exchange;
mod form;
mod gates;
mod halves;
mod hearing;
mod joining;
mod kept_words;
mod late;
mod menu_pages;
mod numbers;
mod order_reading;
mod orders;
mod phrases;
mod questions;
mod quote;
mod remnant;
mod repeating;
mod ruling;
mod state;
mod takeover;
mod taking;
mod talking;
#[cfg(test)]
mod tests;
mod unread;
mod wished_time;
mod words;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Parser,
    basket::{AmbiguousWish, BasketLine},
    external::ExternalAnswer,
    intent::Intent,
    language_model::ModelLine,
    order::{Order, OrderStage},
    payment::PaymentMethod,
    restaurant::RestaurantSettings,
    rules::{FiledReply, RuleBook},
};

use exchange::Exchange;
use hearing::Question;
use phrases::Command;

pub use exchange::{MAX_REPLIES, MAX_REPLY_CHARS};
pub use remnant::conversation_remnant;
pub use state::{ConversationState, KnownOrder, MAX_RECORD_BYTES, Phase, Silence, SilenceCause};
pub use unread::UnreadTurn;

/// A message of the customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// WhatsApp's message id.
    pub id: String,
    /// When WhatsApp took it from the customer: a yes from before the summary confirms nothing.
    pub at: Timestamp,
    pub what: Utterance,
}

/// The part of a message that the bot minds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Utterance {
    Text(String),
    /// The words below a picture or a document, which may be a receipt.
    Caption(String),
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
    /// The digits of a contact card's phone; empty: it has none.
    Contact(String),
    /// A cart of WhatsApp's catalogue, without a word.
    Cart,
    /// A poll, a product of a catalogue: it says something, and cannot be read here.
    Unreadable,
    /// A reaction, a poll's vote: nothing is answered.
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
    /// An order that waited for its payment is paid.
    OrderPaid {
        order: String,
    },
    /// The external bot answers what it was asked.
    Answered {
        ask: String,
        answer: ExternalAnswer,
    },
    /// Rules' files that were asked for are with WhatsApp, or cannot be had.
    FilesFetched {
        ask: String,
        replies: Vec<FetchedReply>,
        human: bool,
    },
    /// The language model answers what it was asked; no lines: it does not help.
    ModelAnswered {
        ask: String,
        lines: Vec<ModelLine>,
    },
    /// The time of [`Step::wake_at`] has come.
    Woken,
}

/// The end of the fetch of a rule's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedReply {
    pub caption: String,
    pub has_file: bool,
}

/// The restaurant at this moment. It is built once for a menu and its settings, and serves every conversation until they change.
#[derive(Debug)]
pub struct Restaurant {
    pub parser: Parser,
    pub settings: RestaurantSettings,
    /// Words of the items' names, folded: what an unknown wish is compared with.
    name_words: Vec<Vec<String>>,
    numbers: HashMap<String, usize>,
    rules: RuleBook,
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
    /// When the bot's last reply to this customer left: a yes from before it confirms nothing. [`Timestamp::MAX`]: it waits still.
    /// `None`: nothing was replied yet, or nobody knows; then the time of the step that replied counts.
    pub told_at: Option<Timestamp>,
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
    /// The external bot is to be asked, under this id; [`Input::Answered`] follows.
    Ask { ask: String, texts: Vec<String> },
    /// Rules' files are to be fetched, under this id; [`Input::FilesFetched`] follows. `human`: a human is called then.
    AskFiles { ask: String, replies: Vec<FiledReply>, human: bool },
    /// A message to the customer: the file of the reply at this place of [`Input::FilesFetched`], with its caption.
    File { at: usize },
    /// The language model is to be asked, under this id; [`Input::ModelAnswered`] follows.
    AskModel { ask: String, text: String },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub conversation: ConversationState,
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
    pub conversation: ConversationState,
}

impl Restaurant {
    pub fn new(parser: Parser, settings: RestaurantSettings) -> Self {
        let fold = |name: &str| super::text::fold(name).split_whitespace().map(str::to_owned).collect();
        let name_words = parser.menu().items.iter().map(|item| fold(&item.name)).collect();
        let numbers = parser.menu().items.iter().enumerate().map(|(at, item)| (item.id.clone(), at + 1)).collect();
        let rules = RuleBook::new(&settings.rules);
        Self { parser, settings, name_words, numbers, rules }
    }
}

/// Doors that may be shut: hours, switches, lists. Somebody who tries a text goes in by the back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Front,
    Back,
}

/// One step.
pub fn step(
    conversation: ConversationState,
    input: Input,
    customer: &Customer,
    restaurant: &Restaurant,
    moment: Moment,
) -> Step {
    let mut exchange = Exchange::new(conversation, customer, restaurant, moment);
    take(&mut exchange, input, Door::Front);
    exchange.finish().0
}

fn take(exchange: &mut Exchange<'_>, input: Input, entrance: Door) {
    takeover::expire(exchange);
    let is_fresh = exchange.is_fresh();
    if is_fresh {
        exchange.put_aside();
    }
    match input {
        Input::OwnerWrote { text } => takeover::owner_wrote(exchange, text.as_deref()),
        Input::TakenOver => takeover::take_over(exchange),
        Input::GivenBack => takeover::give_back(exchange),
        Input::Woken => {}
        Input::OrderMoved { order, stage } => {
            let may_tell = may_notify(exchange);
            orders::moved(exchange, &order, stage, may_tell);
        }
        Input::OrderPaid { order } => {
            let may_tell = may_notify(exchange);
            orders::paid(exchange, &order, may_tell);
        }
        Input::Answered { ask, answer } => {
            let may_answer = is_heard(exchange) && gates::shut(exchange).is_none();
            ruling::answered(exchange, &ask, &answer, may_answer);
        }
        Input::FilesFetched { ask, replies, human } => {
            let may_answer = is_heard(exchange) && gates::shut(exchange).is_none();
            ruling::fetched(exchange, &ask, &replies, human, may_answer);
        }
        Input::ModelAnswered { ask, lines } => {
            let may_answer = is_heard(exchange) && gates::shut(exchange).is_none();
            unread::answered(exchange, &ask, &lines, may_answer);
        }
        Input::Said(messages) => said(exchange, &messages, is_fresh, entrance),
        Input::Edited { id, text } => {
            if is_heard(exchange) && gates::lets_correct(exchange) {
                correct(exchange, &id, Some(&text));
            }
        }
        Input::Revoked { id } => {
            if is_heard(exchange) && gates::lets_correct(exchange) {
                correct(exchange, &id, None);
            }
        }
    }
}

/// A message that was edited or deleted. What the language model was asked is told with the order, if it can be read now.
fn correct(exchange: &mut Exchange<'_>, id: &str, text: Option<&str>) {
    edits::correct(exchange, id, text);
    if exchange.progressed {
        exchange.talk.unread = None;
    } else {
        unread::correct(exchange, id, text);
    }
}

/// Notices of orders go out of a closed restaurant too, but never into a talk of the owner.
fn may_notify(exchange: &Exchange<'_>) -> bool {
    is_heard(exchange) && !exchange.restaurant.settings.suspended
}

fn is_heard(exchange: &Exchange<'_>) -> bool {
    !exchange.is_silenced() && !gates::is_muted(exchange)
}

/// The customer's turn.
fn said(exchange: &mut Exchange<'_>, messages: &[Said], is_fresh: bool, entrance: Door) {
    if messages.iter().all(|message| message.what == Utterance::Silent) || exchange.is_silenced() {
        return;
    }
    if entrance == Door::Front {
        if gates::is_muted(exchange) {
            return;
        }
        if let Some(gate) = gates::shut(exchange) {
            return said_before_a_shut_door(exchange, messages, gate);
        }
    }
    if !exchange.restaurant.settings.takes_orders {
        return ruling::answer(exchange, messages);
    }
    exchange.talk.told = None;
    exchange.talk.heard_at = Some(exchange.moment.now);
    let (phase, asked) = (exchange.talk.phase.clone(), exchange.talk.unread.take());
    let heard = hearing::hear(&mut exchange.talk, exchange.restaurant, messages);
    if heard.last_text.is_empty() && heard.location.is_none() {
        if heard.has_media {
            talking::answer_media(exchange, &heard);
        }
        exchange.talk.unread = asked;
        return;
    }
    talking::answer(exchange, &heard, is_fresh);
    if heard.has_media && !exchange.is_silenced() {
        talking::answer_media(exchange, &heard);
    }
    if !exchange.is_silenced() {
        let is_understood = heard.others.is_empty() || exchange.progressed || heard.others.len() < messages.len();
        takeover::guard(exchange, &heard, is_understood);
    }
    unread::hold(exchange, &heard, messages, &phase, asked);
    exchange.heard = Some(heard);
}

/// A customer may ask a closed restaurant for its hours, and for an order that is under way.
fn said_before_a_shut_door(exchange: &mut Exchange<'_>, messages: &[Said], gate: state::Gate) {
    if gate == state::Gate::Closed && gates::was_told(exchange, gate) {
        let heard = hearing::hear(&mut exchange.talk.clone(), exchange.restaurant, messages);
        if !heard.changed && heard.questions.contains(&Question::Hours) {
            gates::say_closed(exchange);
            // Another bot may ask for ever.
            takeover::guard(exchange, &heard, true);
            return;
        }
    }
    if gate == state::Gate::Closed && exchange.talk.orders.iter().any(|order| !order.stage.is_final()) {
        let mut trial = exchange.talk.clone();
        let heard = hearing::hear(&mut trial, exchange.restaurant, messages);
        if heard.questions.iter().any(|question| matches!(question, Question::Status | Question::Wait)) {
            return orders::say_status(exchange);
        }
        if heard.says(&Command::View) {
            orders::say_last(exchange);
            return;
        }
        let names_order = heard.commands.iter().any(|command| matches!(command, Command::CancelOrder(_)));
        let is_asked = matches!(exchange.talk.phase, Phase::CancelOrder { .. } | Phase::CancelWhich);
        if !heard.changed && (is_asked || names_order || heard.says(&Command::Cancel)) {
            exchange.talk = trial;
            return cancelling::answer(exchange, &heard);
        }
    }
    gates::say_shut(exchange, gate);
}

/// Tries a text as a customer would say it; touches no customer, no order, no hours. What the language model is to be asked then is of this
/// text: a question that came with the conversation is nobody's.
pub fn try_text(restaurant: &Restaurant, mut conversation: ConversationState, text: &str, moment: Moment) -> Tried {
    conversation.unread = None;
    let customer = nobody();
    let id = moment.chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let said = Said { id, at: moment.now, what: Utterance::Text(text.to_owned()) };
    let mut exchange = Exchange::new(conversation, &customer, restaurant, moment);
    take(&mut exchange, Input::Said(vec![said]), Door::Back);
    let (step, heard) = exchange.finish();
    let heard = heard.unwrap_or_default();
    Tried {
        intent: heard.intent,
        cart: heard.order.lines,
        unknown: heard.unknown,
        ambiguous: heard.order.ambiguous,
        address: heard.address,
        payment: heard.payment,
        replies: replies(step.effects),
        conversation: step.conversation,
    }
}

/// The same text, when the language model has answered about it.
pub fn try_model_answer(restaurant: &Restaurant, mut tried: Tried, lines: &[ModelLine], moment: Moment) -> Tried {
    let customer = nobody();
    let Some(ask) = tried.conversation.unread.as_ref().map(|unread| unread.ask.clone()) else { return tried };
    let mut exchange = Exchange::new(tried.conversation, &customer, restaurant, moment);
    unread::answered(&mut exchange, &ask, lines, true);
    let is_read = exchange.progressed;
    let (step, _) = exchange.finish();
    tried.replies.extend(replies(step.effects));
    if is_read {
        tried.unknown.clear();
        tried.intent = Intent::Order;
    }
    Tried { ambiguous: step.conversation.order.ambiguous.clone(), conversation: step.conversation, ..tried }
}

/// Whoever tries a text.
fn nobody() -> Customer {
    Customer { chat: "try".to_owned(), name: None, phone: None }
}

/// As texts: of a file its URL is shown, and its caption below.
fn replies(effects: Vec<Effect>) -> Vec<String> {
    let filed = |reply: FiledReply| format!("📎 {}\n{}", reply.file.url, reply.caption).trim_end().to_owned();
    let said = |effect: Effect| match effect {
        Effect::Reply(text) | Effect::Notice(text) => vec![text],
        Effect::AskFiles { replies, .. } => replies.into_iter().map(filed).collect(),
        _ => Vec::new(),
    };
    effects.into_iter().flat_map(said).collect()
}
