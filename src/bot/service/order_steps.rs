//! What the kitchen may do with an order: move it, or take its payment. Pure; writes nothing.

use jiff::Timestamp;

use super::{BotError, records::OrderRecord, word};
use crate::bot::order::{OrderStage, PaymentStatus};

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
