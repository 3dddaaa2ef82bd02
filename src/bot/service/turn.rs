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
    message::{Decision, EventBody, EventId, Humanize, OrderChange},
    session::{RefusedSend, Session},
    store::{Store, StoreError},
};

/// Engines that draw an order's number that is taken are asked again.
const MAX_DRAWS: usize = 8;

/// Why a turn is taken.
#[derive(Clone)]
pub enum Cause {
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
}

/// The name of a turn, of which the ids of its messages are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnName {
    /// The first event that it answers: the same turn says the same messages.
    OfEvent,
    /// Nobody's before.
    Fresh,
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

/// The time and the chance of a step. `told_at`: when the last reply left; see [`Moment::told_at`].
pub fn moment(clock: &dyn Clock, told_at: Option<Timestamp>) -> Moment {
    Moment { now: clock.now(), chance: rand::random(), told_at }
}

/// A turn of a chat, while it is thought about.
pub struct ChatTurn<'a> {
    session: &'a Session,
    clock: &'a dyn Clock,
    restaurant: &'a Arc<Restaurant>,
    /// Of the chat, the one that it has now first.
    names: Vec<String>,
    decision: Decision,
    name: TurnName,
    /// Texts to say, and of each, that it is no answer but news of an order.
    replies: Vec<(String, bool)>,
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
        name: TurnName,
    ) -> Result<DecidedTurn, Undecided> {
        let names = session.store().names(chat).await?;
        let (decision, replies, orders) = Default::default();
        let turn = Self { session, clock, restaurant, names, decision, name, replies, orders };
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
        let (mut retry, mut moved) = (Retry::of(&cause), None);
        let inputs = match cause {
            Cause::Heard { mut events, ahead } => {
                events.retain(|event| Some(event.id) > record.seen);
                let ahead = ahead.filter(|event| Some(event.id) > record.seen);
                if let (Some(first), TurnName::OfEvent) = (events.first(), self.name) {
                    retry.key = first.id.0;
                }
                retry.events.clone_from(&events);
                record.seen = events.iter().map(|event| event.id).max().max(record.seen);
                record.name = events.iter().rev().find_map(|event| event.name.clone()).or(record.name);
                inputs(ahead.into_iter().chain(events).collect())
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
            Cause::Paid { key, record: order } => {
                let input = Input::OrderPaid { order: order.order.id.clone() };
                self.put_order(OrderChange::Updated, key, *order);
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
        self.say(&mut record, retry).await?;
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
        let mut told_at = self.told_at(record).await?;
        for input in inputs {
            let Some(step) = self.step(&now, input, &customer, told_at).await? else {
                error!("the bot's engine crashed: it is silent in this chat until it is given back. A bug");
                record.broken = Some("the bot's engine crashed".into());
                self.call_owner(record, "the bot's engine crashed: answer the customer yourself".into());
                return Ok(false);
            };
            (now, wake_at) = (step.conversation, step.wake_at);
            if step.effects.iter().any(|effect| matches!(effect, Effect::Reply(_))) {
                told_at = Some(Timestamp::MAX);
            }
            all_effects.extend(step.effects);
        }
        (record.conversation, record.wake_at) = (now, wake_at);
        for effect in all_effects {
            self.carry_out(record, effect).await?;
        }
        Ok(true)
    }

    /// When the last reply left.
    async fn told_at(&self, record: &ConversationRecord) -> Result<Option<Timestamp>, StoreError> {
        let Some(id) = &record.told else { return Ok(None) };
        let left = self.session.left_at(id).await?;
        Ok(left.map(|left| Timestamp::from_millisecond(left).unwrap_or(Timestamp::MAX)))
    }

    /// One step, until the numbers of its orders are nobody else's. `None`: the engine broke.
    async fn step(
        &self,
        before: &Conversation,
        input: Input,
        customer: &Customer,
        told_at: Option<Timestamp>,
    ) -> Result<Option<Step>, StoreError> {
        for _ in 0..MAX_DRAWS {
            let (before, input) = (before.clone(), input.clone());
            let (customer, restaurant, moment) =
                (customer.clone(), self.restaurant.clone(), moment(self.clock, told_at));
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
            Effect::Reply(text) => self.replies.push((text, false)),
            Effect::Notice(text) => self.replies.push((text, true)),
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
    async fn say(&mut self, record: &mut ConversationRecord, retry: Retry) -> Result<(), Undecided> {
        let Retry { events, key, must_speak } = retry;
        for (n, (text, is_notice)) in std::mem::take(&mut self.replies).into_iter().enumerate() {
            let key = format!("bot/{}/{key}/{n}", self.names[0]);
            // News of an order answers nobody: what waits to be read may be a human's to answer.
            let humanize = self.restaurant.settings.humanize.then_some(Humanize { reads: !is_notice });
            match self.session.bot_reply(&self.names[0], text, &key, humanize).await {
                Ok(reply) => {
                    if !is_notice {
                        record.told = Some(reply.message.id.clone());
                    }
                    self.decision.messages.push(reply);
                }
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
        let must_speak = matches!(cause, Cause::Heard { .. } | Cause::Woken);
        Self { events: Vec::new(), key: Ulid::generate(), must_speak }
    }
}

fn order_event(change: OrderChange, record: &OrderRecord) -> EventBody {
    let (restaurant, order) = (record.restaurant.clone(), Box::new(record.order.clone()));
    EventBody::Order { change, restaurant, order }
}

/// Why the kitchen may not move an order so; `Ok`: it may.
pub fn check_move(record: &OrderRecord, to: OrderStage) -> Result<(), BotError> {
    let from = record.order.stage;
    if from.may_become(to) { Ok(()) } else { Err(BotError::NoStep { from: word(from), to: word(to) }) }
}

/// The order, paid. One that was cancelled is paid no more.
pub fn paid(mut record: OrderRecord, now: Timestamp) -> Result<OrderRecord, BotError> {
    if record.order.payment_status != PaymentStatus::Pending || record.order.stage == OrderStage::Cancelado {
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
