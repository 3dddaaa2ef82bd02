//! What the engine wants done, done: orders placed and moved, an owner called, questions asked, as parts of a turn's one change. Says
//! nothing: replies are kept until all is done.

use tracing::warn;
use ulid::Ulid;

use super::{ChatTurn, TurnReply};
use crate::{
    bot::{
        conversation::Effect,
        order::OrderStage,
        service::{
            records::{self, AskRecord, ConversationRecord, OrderRecord, Respondent},
            word,
        },
    },
    message::{EventBody, OrderChange},
    store::StoreError,
    telemetry::metrics::label::BotOrderOutcome,
};

impl ChatTurn<'_> {
    pub(super) async fn carry_out(&mut self, record: &ConversationRecord, effect: Effect) -> Result<(), StoreError> {
        match effect {
            Effect::Reply(text) => self.replies.push(TurnReply::Answer(text)),
            Effect::Notice(text) => self.replies.push(TurnReply::Notice(text)),
            Effect::File { at } => {
                let file = self.files.get_mut(at).and_then(Option::take);
                self.replies.extend(file.map(TurnReply::File));
            }
            Effect::Place(order) => {
                let restaurant = self.restaurant.settings.name.clone();
                let placed = OrderRecord { order: *order, restaurant, updated_at: self.clock.now(), revision: 0 };
                let key = records::next_order_key(self.store(), self.clock.now()).await?;
                self.put_order(OrderChange::Created, key, placed);
                self.order_outcomes.push(BotOrderOutcome::Placed);
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
                        warn!(
                            event = "cancellation_too_late",
                            order, stage, "a customer cancels an order too late: it stays"
                        );
                    }
                    None => warn!(
                        event = "cancelled_order_unknown",
                        order, "a customer cancels an order that is not kept any more"
                    ),
                }
            }
            Effect::CallOwner { reason } => self.call_owner(record, reason),
            Effect::Ask { ask, texts } => {
                let question = self.question(record, Respondent::ExternalBot, ask);
                self.ask(&AskRecord { texts, ..question });
            }
            Effect::AskModel { ask, text } => {
                let question = self.question(record, Respondent::LanguageModel, ask);
                self.ask(&AskRecord { texts: vec![text], ..question });
            }
            Effect::AskFiles { ask, replies, human } => {
                let question = self.question(record, Respondent::FileHosts, ask);
                self.ask(&AskRecord { files: replies, human, ..question });
            }
        }
        Ok(())
    }

    /// One that asks nothing yet.
    fn question(&self, record: &ConversationRecord, of: Respondent, id: String) -> AskRecord {
        let (chat, name, asked_at) = (self.names[0].clone(), record.name.clone(), self.clock.now());
        AskRecord { id, of, chat, name, texts: Vec::new(), files: Vec::new(), human: false, asked_at }
    }

    fn ask(&mut self, question: &AskRecord) {
        records::put_ask(&mut self.decision.batch, Ulid::generate(), question);
        self.has_asks = true;
    }

    pub(super) fn move_order(&mut self, key: Ulid, mut record: OrderRecord, to: OrderStage) -> OrderRecord {
        let now = self.clock.now();
        match to {
            OrderStage::Entregado => self.order_outcomes.push(BotOrderOutcome::Delivered),
            OrderStage::Cancelado => self.order_outcomes.push(BotOrderOutcome::Cancelled),
            OrderStage::Pendiente | OrderStage::Cocinando | OrderStage::Listo => {}
        }
        record.order.stage = to;
        record.order.history.push((to, now));
        record.updated_at = now;
        self.put_order(OrderChange::Updated, key, record.clone());
        record
    }

    pub(super) fn put_order(&mut self, change: OrderChange, key: Ulid, mut record: OrderRecord) {
        record.revision += 1;
        if self.session.has_order_documents() {
            records::mark_for_projection(&mut self.decision.batch, key, record.revision);
        }
        records::put_order(&mut self.decision.batch, key, &record);
        self.decision.events.push(order_event(change, &record));
        self.orders.insert(record.order.id.clone(), (key, record));
    }

    pub(super) fn call_owner(&mut self, record: &ConversationRecord, reason: String) {
        self.decision.events.push(EventBody::OwnerCalled {
            chat: self.names[0].clone(),
            customer: record.name.clone().unwrap_or_default(),
            reason,
            timestamp: self.clock.now().as_second(),
        });
    }
}

fn order_event(change: OrderChange, record: &OrderRecord) -> EventBody {
    let (restaurant, order) = (record.restaurant.clone(), Box::new(record.order.clone()));
    EventBody::Order { change, restaurant, order }
}
