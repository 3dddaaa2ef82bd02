//! The record of a conversation: all that is kept of a customer between two inputs, and its bounds. Owns the shape; decides nothing.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::unread::UnreadTurn;
use crate::bot::{
    OrderState,
    basket::BasketLine,
    money::Money,
    order::{Destination, OrderStage},
    payment::PaymentMethod,
};

/// A record is never larger, whatever is said.
pub const MAX_RECORD_BYTES: usize = 32 * 1024;
/// An order that takes more is for a human.
const MAX_ORDER_BYTES: usize = 5 * 1024;
const MAX_LINES: usize = 40;
/// Units of one line.
const MAX_QTY: u32 = 500;
const MAX_HEARD: usize = 10;
const MAX_HISTORY: usize = 3;
const MAX_ORDERS: usize = 8;

/// The question that stands, and so what an answer means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "at")]
pub enum Phase {
    /// Nothing is asked.
    #[default]
    Idle,
    /// Dishes are noted; `listo` ends it.
    Ordering,
    /// `¿Seguimos con el pedido anterior?`
    Resuming,
    /// The form of the quick-order mode was sent.
    Form,
    /// Delivery or pick-up.
    Way,
    Address {
        tries: u8,
    },
    Phone,
    Payment,
    /// The summary was shown.
    Confirming,
    /// Words at the summary that may be meant for the kitchen: `¿Lo anoto?`
    Noting {
        words: String,
    },
    /// Words at the summary that refuse the order, or hesitate: `¿Lo cancelo?`
    Dropping,
    CancelOrder {
        order: String,
    },
    CancelWhich,
}

/// The reason for which the bot says nothing in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SilenceCause {
    /// The owner wrote.
    Owner,
    /// Somebody took the chat over.
    TakenOver,
    /// The customer was promised a human.
    HumanCalled,
    /// It looks as if two bots talked.
    Loop,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    pub cause: SilenceCause,
    pub until: Timestamp,
}

/// A reason for which customers are not served, of which they are told once a day at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Gate {
    Suspended,
    Off,
    Closed,
}

/// A text that may have changed the basket, with the basket before it: an edit reads it and the later ones again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeardText {
    pub id: String,
    pub text: String,
    pub before: OrderState,
    /// Bare numbers meant dishes of the menu.
    pub numbers: bool,
    /// It answered a question of the checkout, and no dish was in it.
    #[serde(default)]
    pub answered: Option<Phase>,
}

/// An order of this customer, as far as the conversation knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownOrder {
    pub id: String,
    pub stage: OrderStage,
    pub total: Money,
    pub placed_at: Timestamp,
    pub is_pick_up: bool,
    /// It waits for its payment.
    pub is_unpaid: bool,
    /// The customer cancelled it here.
    #[serde(default)]
    pub is_cancelled_here: bool,
}

/// The amounts that the customer was shown last. A change of the basket takes them back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownSummary {
    /// Name and price of each line.
    pub lines: Vec<(String, Money)>,
    pub delivery_cost: Money,
    pub total: Money,
}

/// Texts of the order that was placed last, whose edits come too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmedTexts {
    pub order: String,
    pub ids: Vec<String>,
}

/// All that is kept of a customer between two inputs: the record that the bot's service stores. `Default`: nobody has talked yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConversationState {
    pub(super) phase: Phase,
    pub(super) order: OrderState,
    pub(super) heard: Vec<HeardText>,
    /// An order that was left lying, until the customer says whether it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<OrderState>,
    pub(super) destination: Option<Destination>,
    pub(super) contact_phone: Option<String>,
    pub(super) payment: Option<PaymentMethod>,
    pub(super) comment: String,
    /// As the customer wrote it into the form.
    pub(super) name: Option<String>,
    /// Times that the open question of the order was asked without an answer.
    pub(super) wish_tries: u8,
    pub(super) shown: Option<ShownSummary>,
    /// When that was; a yes from before it means something else.
    pub(super) shown_at: Option<Timestamp>,
    /// The address of the last order, offered again.
    pub(super) last_destination: Option<Destination>,
    /// Earlier orders, the newest last.
    pub(super) history: Vec<Vec<BasketLine>>,
    pub(super) orders: Vec<KnownOrder>,
    pub(super) confirmed: Option<ConfirmedTexts>,
    pub(super) silence: Option<Silence>,
    pub(super) told: Option<(Gate, Date)>,
    /// The customer was thanked for a receipt.
    pub(super) receipt_told_at: Option<Timestamp>,
    pub(super) media_told_at: Option<Timestamp>,
    pub(super) heard_at: Option<Timestamp>,
    /// The menu was shown: a bare number is a dish.
    pub(super) numbers: bool,
    /// Answered turns in a row that brought no order further.
    pub(super) stalled: u32,
    /// Questions since the order came further.
    pub(super) asked: Vec<String>,
    /// Answered turns since `counted_from`, without a placed order.
    pub(super) answered: u32,
    pub(super) counted_from: Option<Timestamp>,
    /// Turns in a row that were not understood.
    pub(super) misunderstood: u32,
    pub(super) last_text: String,
    pub(super) repeats: u32,
    /// When rules that pause were said last, by their places.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) ruled: BTreeMap<u16, Timestamp>,
    /// What the external bot was asked and has not answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) asked_elsewhere: Vec<String>,
    /// What the language model was asked and has not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unread: Option<UnreadTurn>,
}

impl ConversationState {
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    pub fn lines(&self) -> &[BasketLine] {
        &self.order.lines
    }

    /// The reason for which nothing is said now, if there is one.
    pub fn silence(&self, now: Timestamp) -> Option<&Silence> {
        self.silence.as_ref().filter(|silence| silence.until > now)
    }

    /// The customer's orders that the conversation knows of, the newest last.
    pub fn orders(&self) -> &[KnownOrder] {
        &self.orders
    }

    /// Whether the external bot's or the language model's answer to this question would count.
    pub fn is_awaiting(&self, ask: &str) -> bool {
        self.asked_elsewhere.iter().any(|asked| asked == ask)
            || self.unread.as_ref().is_some_and(|unread| unread.ask == ask)
    }

    /// What the language model is to read.
    pub fn unread(&self) -> Option<&UnreadTurn> {
        self.unread.as_ref()
    }

    /// The way, the phone, the payment and the words of an order that is not.
    pub(super) fn forget_details(&mut self) {
        self.destination = None;
        self.payment = None;
        self.contact_phone = None;
        self.comment.clear();
    }

    /// Takes the oldest of what is dispensable, until the record is within its bound.
    pub(super) fn trim(&mut self) {
        let excess = |list: usize, most: usize| list.saturating_sub(most);
        self.heard.drain(..excess(self.heard.len(), MAX_HEARD));
        self.history.drain(..excess(self.history.len(), MAX_HISTORY));
        while self.orders.len() > MAX_ORDERS {
            let done = self.orders.iter().position(|order| order.stage.is_final()).unwrap_or(0);
            self.orders.remove(done);
        }
        while bytes(self) > MAX_RECORD_BYTES {
            if !self.heard.is_empty() {
                self.heard.remove(0);
            } else if !self.history.is_empty() {
                self.history.remove(0);
            } else if self.confirmed.take().is_none() {
                // By the bounds of its parts it cannot come to this.
                self.kept = None;
                return;
            }
        }
    }
}

/// The order is small enough to be taken by a bot.
pub(super) fn is_small(order: &OrderState) -> bool {
    let is_meant = |qty: u32| qty <= MAX_QTY;
    order.lines.len() <= MAX_LINES
        && order.lines.iter().all(|line| is_meant(line.qty))
        && order.ambiguous.iter().all(|wish| is_meant(wish.qty))
        && bytes(order) <= MAX_ORDER_BYTES
}

/// Two orders as one may wait for the customer's word, though they are more than one order may be.
pub(super) fn is_keepable(order: &OrderState) -> bool {
    bytes(order) <= 2 * MAX_ORDER_BYTES
}

fn bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}
