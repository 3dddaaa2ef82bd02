//! One turn of a chat: what the engine makes of it, and what follows, as one change.

mod deeds;

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};
use ulid::Ulid;

use super::{
    fetching::FetchedFile,
    gathering::{FULL_TURN, inputs},
    hearing::HeardEvent,
    records::{self, ConversationRecord, OpenTurn, OrderRecord, StoredChat},
    turn_cause::{AskOutcome, Reopening, TurnCause, TurnName},
};
use crate::{
    bot::conversation::{self, ConversationState, Customer, Effect, FetchedReply, Input, Moment, Restaurant, Step},
    clock::Clock,
    crash,
    message::{BotDecision, EventId, Humanize, OrderChange, Outgoing},
    session::{AcceptError, Session},
    store::{Store, StoreError},
    telemetry::metrics::label::{BotOrderOutcome, BotTurnOutcome},
};

/// Engines that draw an order's number that is taken are asked again.
const MAX_DRAWS: usize = 8;

/// Who goes on writing while the bot types is answered after this time all the same.
const LONGEST_OPEN: SignedDuration = SignedDuration::from_secs(60);

/// Of the events of a turn that can be taken anew, which are part of the record.
const MAX_OPEN_BYTES: usize = 16 * 1024;

/// What a turn has decided, before it is written.
pub struct DecidedTurn {
    pub decision: BotDecision,
    /// The name under which the chat is kept.
    pub chat: String,
    pub wake_at: Option<Timestamp>,
    /// It just broke, or was mended.
    pub broke: bool,
    pub mended: bool,
    /// The order that was moved, as it is now.
    pub moved: Option<OrderRecord>,
    /// Orders are new or changed.
    pub has_orders: bool,
    /// The external bot or the language model is asked something, or files are to be fetched.
    pub has_asks: bool,
    /// For who counts.
    pub outcome: BotTurnOutcome,
    pub order_outcomes: Vec<BotOrderOutcome>,
}

/// What a turn says.
enum TurnReply {
    Answer(String),
    /// News of an order: it answers nobody.
    Notice(String),
    File(Box<Outgoing>),
}

/// Why a turn is not decided.
pub enum DecideError {
    /// The vault or the line is gone, just now: these are to be tried again.
    NotNow(Vec<HeardEvent>),
    Store(StoreError),
}

impl From<StoreError> for DecideError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The time and the chance of a step. `told_at`: when the last reply left; see [`Moment::told_at`].
#[expect(clippy::disallowed_methods, reason = "a step's chance comes in here")]
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
    decision: BotDecision,
    name: TurnName,
    reopening: Reopening,
    replies: Vec<TurnReply>,
    /// Of rules, until they are said; by their places in the input.
    files: Vec<Option<Box<Outgoing>>>,
    /// Orders of this turn, by their six digits.
    orders: HashMap<String, (Ulid, OrderRecord)>,
    order_outcomes: Vec<BotOrderOutcome>,
    has_asks: bool,
}

impl<'a> ChatTurn<'a> {
    pub async fn take(
        session: &'a Session,
        clock: &'a dyn Clock,
        restaurant: &'a Arc<Restaurant>,
        chat: &str,
        cause: TurnCause,
        name: TurnName,
        reopening: Reopening,
    ) -> Result<DecidedTurn, DecideError> {
        let names = session.store().names(chat).await?;
        let turn = Self {
            session,
            clock,
            restaurant,
            names,
            decision: BotDecision::default(),
            name,
            reopening,
            replies: Vec::new(),
            files: Vec::new(),
            orders: HashMap::new(),
            order_outcomes: Vec::new(),
            has_asks: false,
        };
        turn.run(cause).await
    }

    fn store(&self) -> &'a Store {
        self.session.store()
    }

    async fn run(mut self, cause: TurnCause) -> Result<DecidedTurn, DecideError> {
        let StoredChat { mut record, unreadable, former } = records::conversation(self.store(), &self.names).await?;
        let is_broken = unreadable.is_some() || record.broken.is_some();
        let mended = is_broken && matches!(cause, TurnCause::GivenBack);
        if mended {
            // What was said meanwhile is a human's to answer.
            record = ConversationRecord { seen: self.session.newest_event().max(record.seen), ..Default::default() };
        }
        let (mut retry, mut moved) = (Retry::of(&cause), None);
        let open = record.open_turn.take();
        let (mut reopened, mut answered) = (None::<Box<OpenTurn>>, Vec::new());
        let inputs = match cause {
            TurnCause::Heard { mut events, ahead } => {
                events.retain(|event| Some(event.id) > record.seen);
                let ahead = ahead.filter(|event| Some(event.id) > record.seen);
                if ahead.is_none() && events.iter().all(HeardEvent::is_silent) {
                    // They change nothing.
                    record.open_turn = open;
                } else if let Some(open) = open
                    && ahead.is_none()
                    && self.is_reopenable(&open, &events).await?
                {
                    reopened = Some(open);
                }
                if let (Some(first), TurnName::OfEvent) = (events.first(), self.name) {
                    retry.key = first.id.0;
                }
                retry.events.clone_from(&events);
                record.seen = events.iter().map(|event| event.id).max().max(record.seen);
                record.name = events.iter().rev().find_map(|event| event.name.clone()).or(record.name);
                let again = reopened.iter().flat_map(|open| open.events.iter().cloned());
                let all: Vec<_> = ahead.into_iter().chain(again).chain(events).collect();
                answered.clone_from(&all);
                inputs(all)
            }
            TurnCause::Woken => vec![Input::Woken],
            TurnCause::TakenOver => vec![Input::TakenOver],
            TurnCause::GivenBack => vec![Input::GivenBack],
            TurnCause::Moved { key, record: order, to } => {
                let order = self.move_order(key, *order, to);
                let input = Input::OrderMoved { order: order.order.id.clone(), stage: to };
                moved = Some(order);
                vec![input]
            }
            TurnCause::Paid { key, record: order } => {
                let input = Input::OrderPaid { order: order.order.id.clone() };
                self.put_order(OrderChange::Updated, key, *order);
                vec![input]
            }
            TurnCause::Answered { key, ask, outcome } => {
                records::remove_ask(&mut self.decision.batch, key);
                vec![match outcome {
                    AskOutcome::Replies(answer) => Input::Answered { ask, answer },
                    AskOutcome::Files { files, human } => {
                        let reply = |file: &FetchedFile| FetchedReply {
                            caption: file.caption.clone(),
                            has_file: file.message.is_some(),
                        };
                        let replies = files.iter().map(reply).collect();
                        self.files = files.into_iter().map(|file| file.message).collect();
                        Input::FilesFetched { ask, replies, human }
                    }
                    AskOutcome::Lines(lines) => Input::ModelAnswered { ask, lines },
                }]
            }
        };
        if inputs.iter().any(|input| matches!(input, Input::OwnerWrote { .. } | Input::TakenOver)) {
            self.decision.supersedes.clone_from(&self.names);
        }
        let (mut broke, mut next_open) = (false, None);
        if !is_broken || mended {
            let before = match &reopened {
                Some(open) => (open.before.clone(), open.told_before.clone()),
                None => (record.conversation.clone(), record.told.clone()),
            };
            match self.think(&mut record, before.clone(), inputs).await? {
                Thought::Broke => broke = true,
                Thought::Spoke if !answered.is_empty() && !answered.iter().any(HeardEvent::is_owners) => {
                    let since = reopened.as_ref().map_or_else(|| self.clock.now(), |open| open.since);
                    let (before, told_before) = before;
                    next_open = Some(OpenTurn { since, events: answered, before, told_before, replies: Vec::new() });
                }
                Thought::Spoke | Thought::Acted => {}
            }
            if let Some(open) = reopened.filter(|_| !broke) {
                self.decision.withdraws = open.replies;
            }
        } else if let Some(reason) = &unreadable {
            warn!(
                event = "bot_conversation_unreadable",
                reason, "a conversation cannot be read: the bot is silent in this chat until it is given back"
            );
        }
        let is_readable = unreadable.is_none() || mended;
        self.say(&mut record, retry).await?;
        if let Some(open) = next_open.and_then(|open| self.left_open(open)) {
            record.open_turn = Some(Box::new(open));
        }
        let chat = self.names[0].clone();
        if is_readable {
            record.updated_at = self.clock.now();
            records::put_conversation(&mut self.decision.batch, &chat, &former, &record);
        }
        let wake_at = record.wake_at.filter(|_| record.broken.is_none());
        let has_orders = !self.orders.is_empty();
        let outcome = if broke {
            BotTurnOutcome::Broke
        } else if self.decision.messages.is_empty() {
            BotTurnOutcome::Silent
        } else {
            BotTurnOutcome::Replied
        };
        let (has_asks, order_outcomes) = (self.has_asks, self.order_outcomes);
        let decision = self.decision;
        Ok(DecidedTurn { decision, chat, wake_at, broke, mended, moved, has_orders, has_asks, outcome, order_outcomes })
    }

    /// Whether the last turn is taken anew with these events: it is not too long for one turn, nobody has waited for too long, and all of
    /// its replies are still here.
    async fn is_reopenable(&self, open: &OpenTurn, events: &[HeardEvent]) -> Result<bool, StoreError> {
        let is_short = open.events.len() + events.len() <= FULL_TURN;
        let is_young = self.clock.now().duration_since(open.since) < LONGEST_OPEN;
        let is_customers = !events.is_empty() && !events.iter().any(HeardEvent::is_owners);
        let may_be = self.reopening == Reopening::Allowed && is_short && is_young && is_customers;
        Ok(may_be && self.session.may_withdraw(&open.replies).await?)
    }

    /// The turn as it is kept to be taken anew. `None`: it said nothing that takes its time, or it is too large for the record.
    fn left_open(&self, mut open: OpenTurn) -> Option<OpenTurn> {
        let messages = &self.decision.messages;
        let takes_time = messages.iter().any(|reply| reply.manner.is_some());
        let is_small = open.events.iter().map(HeardEvent::size).sum::<usize>() <= MAX_OPEN_BYTES;
        open.replies = messages.iter().map(|reply| reply.message.id.clone()).collect();
        (takes_time && is_small).then_some(open)
    }

    /// Has the engine take its steps from where a turn begins: the conversation, and the last reply then. When it breaks, the chat is as it
    /// was, but for its place.
    async fn think(
        &mut self,
        record: &mut ConversationRecord,
        (mut now, told): (ConversationState, Option<String>),
        inputs: Vec<Input>,
    ) -> Result<Thought, StoreError> {
        let customer = self.customer(record);
        let mut wake_at = record.wake_at;
        let mut all_effects = Vec::new();
        let mut told_at = self.told_at(told.as_deref()).await?;
        for input in inputs {
            let Some(step) = self.step(&now, input, &customer, told_at).await? else {
                error!(
                    event = "bot_engine_crashed",
                    "the bot's engine crashed: it is silent in this chat until it is given back. A bug"
                );
                record.broken = Some("the bot's engine crashed".into());
                self.call_owner(record, "the bot's engine crashed: answer the customer yourself".into());
                return Ok(Thought::Broke);
            };
            (now, wake_at) = (step.conversation, step.wake_at);
            if step.effects.iter().any(|effect| matches!(effect, Effect::Reply(_) | Effect::File { .. })) {
                told_at = Some(Timestamp::MAX);
            }
            all_effects.extend(step.effects);
        }
        (record.conversation, record.wake_at, record.told) = (now, wake_at, told);
        let has_only_spoken = all_effects.iter().all(|effect| matches!(effect, Effect::Reply(_)));
        for effect in all_effects {
            self.carry_out(record, effect).await?;
        }
        Ok(if has_only_spoken { Thought::Spoke } else { Thought::Acted })
    }

    /// When a reply left.
    async fn told_at(&self, id: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        let left = self.session.left_at(id).await?;
        Ok(left.map(|left| Timestamp::from_millisecond(left).unwrap_or(Timestamp::MAX)))
    }

    /// One step, until the numbers of its orders are nobody else's. `None`: the engine broke.
    async fn step(
        &self,
        before: &ConversationState,
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
                    is_taken |= self.orders.contains_key(&order.id)
                        || records::is_order_id_taken(self.store(), &order.id).await?;
                }
            }
            if !is_taken {
                return Ok(Some(step));
            }
        }
        error!(event = "order_number_missing", "no number is free for an order");
        Ok(None)
    }

    /// Makes messages of the replies. Their ids are made from what the turn answers: the same turn says the same messages.
    async fn say(&mut self, record: &mut ConversationRecord, retry: Retry) -> Result<(), DecideError> {
        let Retry { events, key, must_speak } = retry;
        for (n, reply) in std::mem::take(&mut self.replies).into_iter().enumerate() {
            let (text, is_notice) = match reply {
                TurnReply::Answer(text) => (text, false),
                TurnReply::Notice(text) => (text, true),
                // It is a message already, with an id of its question's.
                TurnReply::File(message) => {
                    record.told = Some(message.message.id.clone());
                    self.decision.messages.push(*message);
                    continue;
                }
            };
            let key = format!("bot/{}/{key}/{n}", self.names[0]);
            // News of an order answers nobody: what waits to be read may be a human's to answer.
            let humanize = self.restaurant.settings.humanize.then_some(Humanize { reads: !is_notice });
            match self.session.bot_reply(&self.names[0], text, &key, is_notice, humanize).await {
                Ok(reply) => {
                    if !is_notice {
                        record.told = Some(reply.message.id.clone());
                    }
                    self.decision.messages.push(reply);
                }
                Err(AcceptError::NotConnected) if !must_speak => {
                    warn!(event = "customer_untold", "the tenant is not linked: a customer is not told of the order");
                }
                Err(AcceptError::VaultDown | AcceptError::NotConnected | AcceptError::Ended(_)) => {
                    return Err(DecideError::NotNow(events));
                }
                Err(error) => error!(event = "bot_reply_unsent", %error, "a reply of the bot cannot be sent"),
            }
        }
        Ok(())
    }

    fn customer(&self, record: &ConversationRecord) -> Customer {
        let phone = self.names[0].strip_suffix("@s.whatsapp.net").map(str::to_owned);
        Customer { chat: self.names[0].clone(), name: record.name.clone(), phone }
    }
}

/// What a turn came to.
enum Thought {
    /// Words, or nothing.
    Spoke,
    /// Something that cannot be undone.
    Acted,
    Broke,
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
    fn of(cause: &TurnCause) -> Self {
        let must_speak = matches!(cause, TurnCause::Heard { .. } | TurnCause::Woken | TurnCause::Answered { .. });
        Self { events: Vec::new(), key: Ulid::generate(), must_speak }
    }
}

/// The event before this one, for a place that has not come so far.
pub fn before(id: EventId) -> EventId {
    EventId(Ulid(id.0.0.saturating_sub(1)))
}
