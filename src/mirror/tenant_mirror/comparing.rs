//! One order, here and there: both sides are read, and brought together. And which orders the kitchen has, as they were compared last.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{MAX_OPEN, MirrorError, OpenOrder, TenantMirror};
use crate::{
    bot::service::{BotError, OrderRecord},
    crash,
    mirror::{
        shape::{self, ComparisonCause, OrderStep},
        stream::HeardOrders,
    },
    store::StoreError,
};

/// The kitchen's page may take an order off its board a moment before it says that it was delivered.
const LOOKS_AGAIN: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// Somebody else writes the same order in the same moment.
const ATTEMPTS: usize = 5;

/// A page with more words of its own has been told of often enough.
const MOST_TOLD_STAGES: usize = 32;

/// The longest word that is logged, in characters.
const LONGEST_TOLD_STAGE: usize = 40;

impl TenantMirror {
    /// An order that cannot be read here, or not be written there, is told and passed over.
    pub(super) async fn compare_one(&mut self, id: &str, cause: ComparisonCause) -> Result<(), MirrorError> {
        match self.compare(id, cause).await {
            Err(MirrorError::Database(error)) if error.is_of_one() => {
                error!(event = "order_unmirrored", order = id, %error, "an order is not in the Realtime Database");
                self.forget(id);
                Ok(())
            }
            Err(MirrorError::Store(error @ StoreError::Setting { .. })) => {
                error!(
                    event = "order_unmirrored",
                    order = id,
                    %error,
                    "an order cannot be read: it is not in the Realtime Database"
                );
                self.forget(id);
                Ok(())
            }
            done => done,
        }
    }

    async fn compare(&mut self, id: &str, cause: ComparisonCause) -> Result<(), MirrorError> {
        let tenant = self.session.tenant().clone();
        let (board, over) =
            (["tenants", tenant.as_str(), "pedidos", id], ["tenants", tenant.as_str(), "historial", id]);
        let Some(mut record) = self.order(id).await? else {
            self.forget(id);
            return Ok(());
        };
        // It may be newer than the event, and on its way to the vault.
        self.session.all_durable().await?;
        for _ in 0..ATTEMPTS {
            let (kept, tag) = self.cx.database.read_tagged(&board).await?;
            self.tell_foreign_stage(id, &kept);
            let ended = match kept.is_null() || record.order.stage.is_final() {
                true => self.cx.database.read(&over).await?,
                false => Value::Null,
            };
            match shape::step(tenant.as_str(), &record, &kept, &ended, cause) {
                OrderStep::Nothing => {
                    self.settle(&record);
                    return Ok(());
                }
                OrderStep::Gone => {
                    self.look_again(id);
                    return Ok(());
                }
                OrderStep::Take(stage) => match self.cx.bots.move_order(&self.session, id.to_owned(), stage).await {
                    Ok(moved) => {
                        info!(order = id, ?stage, "the kitchen has moved an order");
                        crash::point("mirror_taken");
                        record = moved;
                    }
                    Err(BotError::NoStep { .. } | BotError::NoOrder) => match self.order(id).await? {
                        Some(now) => record = now,
                        None => {
                            self.forget(id);
                            return Ok(());
                        }
                    },
                    Err(BotError::Store(error)) if error.is_final() => return Err(error.into()),
                    Err(error) => return Err(MirrorError::Bot(error)),
                },
                OrderStep::Put(order) => {
                    if self.cx.database.put_if(&board, &order, &tag).await? {
                        crash::point("mirror_written");
                        self.settle(&record);
                        return Ok(());
                    }
                }
                OrderStep::End { key, order } => {
                    let ends = json!({ format!("pedidos/{id}"): null, format!("historial/{key}"): order });
                    self.cx.database.patch(&["tenants", tenant.as_str()], &ends).await?;
                    crash::point("mirror_written");
                    self.settle(&record);
                    return Ok(());
                }
            }
        }
        Err(MirrorError::Busy)
    }

    /// Logs a page's own word for a stage once: whoever wrote the page may have meant one of ours.
    fn tell_foreign_stage(&mut self, id: &str, kept: &Value) {
        let Some(word) = shape::foreign_stage(kept) else { return };
        let word: String = word.chars().take(LONGEST_TOLD_STAGE).collect();
        if self.told_stages.len() < MOST_TOLD_STAGES && self.told_stages.insert(word.clone()) {
            warn!(
                event = "kitchen_stage_unknown",
                tenant = %self.session.tenant(),
                order = id,
                stage = ?word,
                "a page has set an order to a stage that does not exist: nothing follows from it"
            );
        }
    }

    async fn order(&self, id: &str) -> Result<Option<OrderRecord>, MirrorError> {
        match self.cx.bots.order(&self.session, id).await {
            Ok(record) => Ok(Some(record)),
            Err(BotError::NoOrder) => Ok(None),
            Err(BotError::Store(error)) => Err(error.into()),
            Err(error) => Err(MirrorError::Bot(error)),
        }
    }

    /// Both sides are the same now.
    fn settle(&mut self, record: &OrderRecord) {
        self.gone.remove(&record.order.id);
        if record.order.stage.is_final() { self.forget(&record.order.id) } else { self.note_open(record) }
    }

    pub(super) fn note_open(&mut self, record: &OrderRecord) {
        let id = &record.order.id;
        let has_room = self.open.len() < MAX_OPEN || self.open.contains_key(id);
        if has_room && shape::is_for_kitchen(&record.order) {
            let order = OpenOrder { stage: record.order.stage, updated_at: record.updated_at };
            self.open.insert(id.clone(), order);
        }
    }

    fn forget(&mut self, id: &str) {
        self.open.remove(id);
        self.gone.remove(id);
    }

    fn look_again(&mut self, id: &str) {
        let looks = self.gone.get(id).map_or(0, |(_, looks)| *looks);
        match LOOKS_AGAIN.get(looks) {
            Some(wait) => {
                self.gone.insert(id.to_owned(), (Instant::now() + *wait, looks + 1));
            }
            None => {
                info!(order = id, "the kitchen has deleted an order there: here it stays as it is");
                self.forget(id);
            }
        }
    }

    /// Takes what the stream says: which orders differ from what was seen last.
    pub(super) fn hear(&mut self, heard: HeardOrders) {
        match heard {
            HeardOrders::All(there) => {
                let differs =
                    |(id, open): &(&String, &OpenOrder)| there.get(*id).copied().flatten() != Some(open.stage);
                self.seen.extend(self.open.iter().filter(differs).map(|(id, _)| id.clone()));
            }
            HeardOrders::One { id, stage } => {
                if self.open.get(&id).is_some_and(|open| Some(open.stage) != stage) {
                    self.seen.insert(id);
                }
            }
        }
    }
}
