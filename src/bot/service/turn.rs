//! One turn of a chat: what the engine makes of it, and what follows, as one change.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use tracing::{error, warn};
use ulid::Ulid;

use super::{
    BotError,
    gathering::inputs,
    hearing::HeardEvent,
    records::{self, ConversationRecord, OrderRecord, StoredChat},
    word,
};
use crate::{
    bot::{
        conversation::{self, Conversation, Customer, Effect, Input, Moment, Restaurant, Step},
        order::{OrderStage, PaymentStatus},
    },
    clock::Clock,
    crash,
    message::{Decision, EventBody, EventId, OrderChange},
    session::{RefusedSend, Session},
    store::{Store, StoreError},
};

/// Engines that draw an order's number that is taken are asked again.
const MAX_DRAWS: usize = 8;

/// Why a turn is taken.
pub enum Cause {
    /// What was said since the last one.
    Heard(Vec<HeardEvent>),
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
}

/// What a turn has decided, before it is written.
pub struct DecidedTurn {
    pub decision: Decision,
    /// The name under which the chat is kept.
    pub chat: String,
    pub wake_at: Option<Timestamp>,
    /// It just broke, or was mended.
    pub broke: bool,
    pub mended: bool,
    /// The order that was moved, as it is now.
    pub moved: Option<OrderRecord>,
}

/// Why a turn is not decided.
pub enum Undecided {
    /// The vault or the line is gone, just now: these are to be tried again.
    NotNow(Vec<HeardEvent>),
    Store(StoreError),
}

impl From<StoreError> for Undecided {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The time and the chance of a step.
pub fn moment(clock: &dyn Clock) -> Moment {
    Moment { now: clock.now(), chance: rand::random() }
}

/// A turn of a chat, while it is thought about.
pub struct ChatTurn<'a> {
    session: &'a Session,
    clock: &'a dyn Clock,
    restaurant: &'a Arc<Restaurant>,
    /// Of the chat, the one that it has now first.
    names: Vec<String>,
    decision: Decision,
    replies: Vec<String>,
    /// Orders of this turn, by their six digits.
    orders: HashMap<String, (Ulid, OrderRecord)>,
}

impl<'a> ChatTurn<'a> {
    pub async fn take(
        session: &'a Session,
        clock: &'a dyn Clock,
        restaurant: &'a Arc<Restaurant>,
        chat: &str,
        cause: Cause,
    ) -> Result<DecidedTurn, Undecided> {
        let names = session.store().names(chat).await?;
        let (decision, replies, orders) = Default::default();
        let turn = Self { session, clock, restaurant, names, decision, replies, orders };
        turn.run(cause).await
    }

    fn store(&self) -> &'a Store {
        self.session.store()
    }

    async fn run(mut self, cause: Cause) -> Result<DecidedTurn, Undecided> {
        let StoredChat { mut record, unreadable, former } = records::conversation(self.store(), &self.names).await?;
        let is_broken = unreadable.is_some() || record.broken.is_some();
        let mended = is_broken && matches!(cause, Cause::GivenBack);
        if mended {
            // What was said meanwhile is a human's to answer.
            record = ConversationRecord { seen: self.session.newest_event().max(record.seen), ..Default::default() };
        }
        let (retry, mut moved) = (Retry::of(&cause), None);
        let inputs = match cause {
            Cause::Heard(mut events) => {
                events.retain(|event| Some(event.id) > record.seen);
                record.seen = events.iter().map(|event| event.id).max().max(record.seen);
                record.name = events.iter().rev().find_map(|event| event.name.clone()).or(record.name);
                inputs(events)
            }
            Cause::Woken => vec![Input::Woken],
            Cause::TakenOver => vec![Input::TakenOver],
            Cause::GivenBack => vec![Input::GivenBack],
            Cause::Moved { key, record: order, to } => {
                let order = self.move_order(key, *order, to);
                let input = Input::OrderMoved { order: order.order.id.clone(), stage: to };
                moved = Some(order);
                vec![input]
            }
        };
        if inputs.iter().any(|input| matches!(input, Input::OwnerWrote { .. } | Input::TakenOver)) {
            self.decision.supersedes.clone_from(&self.names);
        }
        let mut broke = false;
        if !is_broken || mended {
            broke = !self.think(&mut record, inputs).await?;
        } else if let Some(reason) = &unreadable {
            warn!(reason, "a conversation cannot be read: the bot is silent in this chat until it is given back");
        }
        let is_readable = unreadable.is_none() || mended;
        self.say(retry).await?;
        let chat = self.names[0].clone();
        if is_readable {
            record.updated_at = self.clock.now();
            records::put_conversation(&mut self.decision.batch, &chat, &former, &record);
        }
        let wake_at = record.wake_at.filter(|_| record.broken.is_none());
        Ok(DecidedTurn { decision: self.decision, chat, wake_at, broke, mended, moved })
    }

    /// Has the engine take its steps. False: it broke, and the chat is as it was before, but for its place.
    async fn think(&mut self, record: &mut ConversationRecord, inputs: Vec<Input>) -> Result<bool, StoreError> {
        let customer = self.customer(record);
        let (mut now, mut wake_at) = (record.conversation.clone(), record.wake_at);
        let mut all_effects = Vec::new();
        for input in inputs {
            let Some(step) = self.step(&now, input, &customer).await? else {
                error!("the bot's engine crashed: it is silent in this chat until it is given back. A bug");
                record.broken = Some("the bot's engine crashed".into());
                self.call_owner(record, "the bot's engine crashed: answer the customer yourself".into());
                return Ok(false);
            };
            (now, wake_at) = (step.conversation, step.wake_at);
            all_effects.extend(step.effects);
        }
        (record.conversation, record.wake_at) = (now, wake_at);
        for effect in all_effects {
            self.carry_out(record, effect).await?;
        }
        Ok(true)
    }

    /// One step, until the numbers of its orders are nobody else's. `None`: the engine broke.
    async fn step(&self, before: &Conversation, input: Input, customer: &Customer) -> Result<Option<Step>, StoreError> {
        for _ in 0..MAX_DRAWS {
            let (before, input) = (before.clone(), input.clone());
            let (customer, restaurant, moment) = (customer.clone(), self.restaurant.clone(), moment(self.clock));
            let stepping = tokio::task::spawn_blocking(move || {
                crash::point("bot_step");
                conversation::step(before, input, &customer, &restaurant, moment)
            });
            let Ok(step) = stepping.await else { return Ok(None) };
            let mut is_taken = false;
            for effect in &step.effects {
                if let Effect::Place(order) = effect {
                    is_taken |=
                        self.orders.contains_key(&order.id) || records::order(self.store(), &order.id).await?.is_some();
                }
            }
            if !is_taken {
                return Ok(Some(step));
            }
        }
        error!("no number is free for an order");
        Ok(None)
    }

    async fn carry_out(&mut self, record: &ConversationRecord, effect: Effect) -> Result<(), StoreError> {
        match effect {
            Effect::Reply(text) | Effect::Notice(text) => self.replies.push(text),
            Effect::Place(order) => {
                let restaurant = self.restaurant.settings.name.clone();
                let placed = OrderRecord { order: *order, restaurant, updated_at: self.clock.now() };
                let key = Ulid::from_datetime(self.clock.now().into());
                self.put_order(OrderChange::Created, key, placed);
            }
            Effect::Cancel { order } => {
                let known = match self.orders.remove(&order) {
                    Some(known) => Some(known),
                    None => records::order(self.store(), &order).await?,
                };
                match known {
                    Some((key, record)) if record.order.stage.is_cancellable_by_customer() => {
                        self.move_order(key, record, OrderStage::Cancelado);
                    }
                    Some((_, record)) => {
                        let stage = word(record.order.stage);
                        warn!(order, stage, "a customer cancels an order too late: it stays");
                    }
                    None => warn!(order, "a customer cancels an order that is not kept any more"),
                }
            }
            Effect::CallOwner { reason } => self.call_owner(record, reason),
        }
        Ok(())
    }

    fn move_order(&mut self, key: Ulid, mut record: OrderRecord, to: OrderStage) -> OrderRecord {
        let now = self.clock.now();
        record.order.stage = to;
        record.order.history.push((to, now));
        record.updated_at = now;
        self.put_order(OrderChange::Updated, key, record.clone());
        record
    }

    fn put_order(&mut self, change: OrderChange, key: Ulid, record: OrderRecord) {
        records::put_order(&mut self.decision.batch, key, &record);
        self.decision.events.push(order_event(change, &record));
        self.orders.insert(record.order.id.clone(), (key, record));
    }

    fn call_owner(&mut self, record: &ConversationRecord, reason: String) {
        self.decision.events.push(EventBody::OwnerCalled {
            chat: self.names[0].clone(),
            customer: record.name.clone().unwrap_or_default(),
            reason,
            timestamp: self.clock.now().as_second(),
        });
    }

    /// Makes messages of the replies. Their ids are made from what the turn answers: the same turn says the same messages.
    async fn say(&mut self, retry: Retry) -> Result<(), Undecided> {
        let Retry { events, key, must_speak } = retry;
        for (n, text) in std::mem::take(&mut self.replies).into_iter().enumerate() {
            let key = format!("bot/{}/{key}/{n}", self.names[0]);
            match self.session.bot_reply(&self.names[0], text, &key).await {
                Ok(reply) => self.decision.messages.push(reply),
                Err(RefusedSend::NotConnected) if !must_speak => {
                    warn!("the tenant is not linked: a customer is not told of the order");
                }
                Err(RefusedSend::VaultDown | RefusedSend::NotConnected | RefusedSend::Ended(_)) => {
                    return Err(Undecided::NotNow(events));
                }
                Err(error) => error!(%error, "a reply of the bot cannot be sent"),
            }
        }
        Ok(())
    }

    fn customer(&self, record: &ConversationRecord) -> Customer {
        let phone = self.names[0].strip_suffix("@s.whatsapp.net").map(str::to_owned);
        Customer { chat: self.names[0].clone(), name: record.name.clone(), phone }
    }
}

/// What it takes to take the same turn again.
struct Retry {
    events: Vec<HeardEvent>,
    /// Names the turn.
    key: Ulid,
    /// Without what it says the turn is nothing.
    must_speak: bool,
}

impl Retry {
    fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Heard(events) => {
                let key = events.first().map_or_else(Ulid::generate, |event| event.id.0);
                Self { events: events.clone(), key, must_speak: true }
            }
            Cause::Woken => Self { events: Vec::new(), key: Ulid::generate(), must_speak: true },
            _ => Self { events: Vec::new(), key: Ulid::generate(), must_speak: false },
        }
    }
}

pub fn order_event(change: OrderChange, record: &OrderRecord) -> EventBody {
    let (restaurant, order) = (record.restaurant.clone(), Box::new(record.order.clone()));
    EventBody::Order { change, restaurant, order }
}

/// Why the kitchen may not move an order so; `Ok`: it may.
pub fn check_move(record: &OrderRecord, to: OrderStage) -> Result<(), BotError> {
    let from = record.order.stage;
    if from.may_become(to) { Ok(()) } else { Err(BotError::NoStep { from: word(from), to: word(to) }) }
}

/// The order, paid; one that is paid already stays as it is.
pub fn paid(mut record: OrderRecord, now: Timestamp) -> Result<OrderRecord, BotError> {
    if record.order.payment_status == PaymentStatus::Paid {
        return Ok(record);
    }
    if record.order.payment_status != PaymentStatus::Pending {
        return Err(BotError::NoPaymentAwaited);
    }
    record.order.payment_status = PaymentStatus::Paid;
    record.updated_at = now;
    Ok(record)
}

/// The event before this one, for a place that has not come so far.
pub fn before(id: EventId) -> EventId {
    EventId(Ulid(id.0.0.saturating_sub(1)))
}
