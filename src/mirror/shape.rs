//! The shapes of the old service's Realtime Database: a tenant's flags, its orders, and what follows when an order there differs from ours.
//! Pure.
//!
//! Stages only go forward ([`OrderStage::may_become`]), so both sides can be compared at any time and as often as one likes: a stage that
//! is ahead is taken, one that is behind is written over, and our own writing, seen again, is neither.
//!
//! A page moves an order to `historial` for one reason: it was delivered. So an order that is there is over, whatever its `estado` still
//! says: `entregado`, unless the word is one for a cancelled order.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    bot::{
        order::{Order, OrderStage, PaymentStatus},
        service::OrderRecord,
    },
    message::EventId,
    session::Status,
    tenant::State,
    waha::KitchenOrder,
};

/// An order changes a moment before its event is written, and a clock may be set back.
const CLOCK_MARGIN_MS: i64 = 60_000;

/// Why an order is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparisonCause {
    /// It changed here, or may have.
    Changed,
    /// It changed there. Nothing is put back that the kitchen took away.
    Seen,
}

/// What brings both sides together.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderStep {
    Nothing,
    /// The kitchen is ahead.
    Take(OrderStage),
    /// To be written to `pedidos`, unless somebody else does meanwhile.
    Put(Value),
    /// It is over: out of `pedidos`, and into `historial` under this key.
    End {
        key: String,
        order: Value,
    },
    /// The kitchen took it away, and has not put it into `historial`, or not yet.
    Gone,
}

/// `kept`: what is in `pedidos` under the order's id. `ended`: the same of `historial`, where nothing is in `pedidos` or the order is over.
pub fn step(tenant: &str, record: &OrderRecord, kept: &Value, ended: &Value, cause: ComparisonCause) -> OrderStep {
    let order = &record.order;
    // After months an order may have the digits of another.
    let is_it = |found: &&Map<String, Value>| found.get("timestamp") == Some(&json!(order.placed_at.as_millisecond()));
    let (kept, its_end) = (kept.as_object().filter(is_it), ended.as_object().filter(is_it));
    let said = match (kept, its_end) {
        (Some(kept), _) => stage_of(kept),
        (None, Some(ended)) => Some(end_of(ended)),
        (None, None) => None,
    };
    if let Some(said) = said.filter(|said| order.stage.may_become(*said)) {
        return OrderStep::Take(said);
    }
    let is_there = kept.is_some() || its_end.is_some();
    if order.stage.is_final() {
        let is_done = kept.is_none() && its_end.and_then(stage_of) == Some(order.stage);
        let is_unknown_there =
            !is_there && (cause == ComparisonCause::Seen || order.payment_status == PaymentStatus::Pending);
        if is_done || is_unknown_there {
            return OrderStep::Nothing;
        }
        let is_anothers = !ended.is_null() && its_end.is_none();
        let key =
            if is_anothers { format!("{}-{}", order.id, order.placed_at.as_millisecond()) } else { order.id.clone() };
        return OrderStep::End { key, order: merged(tenant, record, kept.or(its_end)).into() };
    }
    match kept {
        // A page's own word stays until the order changes here.
        Some(kept) if cause == ComparisonCause::Seen && stage_of(kept).is_none() => OrderStep::Nothing,
        Some(kept) => {
            let order = merged(tenant, record, Some(kept));
            if order == *kept { OrderStep::Nothing } else { OrderStep::Put(order.into()) }
        }
        None if its_end.is_some() || !is_for_kitchen(order) => OrderStep::Nothing,
        None if cause == ComparisonCause::Seen => OrderStep::Gone,
        None => OrderStep::Put(merged(tenant, record, None).into()),
    }
}

/// The old service showed the kitchen no order that waits for its payment.
pub fn is_for_kitchen(order: &Order) -> bool {
    order.payment_status != PaymentStatus::Pending || order.stage != OrderStage::Pendiente
}

/// Whether both sides may differ where nothing after this event was read. An order that is open does in any case: the kitchen moves it,
/// too.
pub fn may_differ_after(record: &OrderRecord, read: EventId) -> bool {
    let read_ms = i64::try_from(read.0.timestamp_ms()).unwrap_or(i64::MAX);
    !record.order.stage.is_final() || record.updated_at.as_millisecond() >= read_ms - CLOCK_MARGIN_MS
}

/// A stage as the kitchen's pages write it, in capitals too; `None`: none of ours.
pub fn read_stage(word: &Value) -> Option<OrderStage> {
    let word = word.as_str()?.trim().to_lowercase();
    serde_json::from_value(Value::String(word)).ok()
}

/// A page's own word for the stage of an order, from which nothing follows here.
pub fn foreign_stage(kept: &Value) -> Option<&str> {
    let word = kept.get("estado")?;
    word.as_str().map(str::trim).filter(|said| !said.is_empty() && read_stage(word).is_none())
}

fn stage_of(order: &Map<String, Value>) -> Option<OrderStage> {
    read_stage(order.get("estado")?)
}

/// The stage of an order that the kitchen has put away.
fn end_of(order: &Map<String, Value>) -> OrderStage {
    let word = order.get("estado").and_then(Value::as_str).unwrap_or_default().trim().to_lowercase();
    // `cancelada`, `anulado`, `rechazado`: pages have words of their own.
    let is_cancelled = ["cancel", "anula", "rechaza"].iter().any(|stem| word.starts_with(stem));
    if is_cancelled { OrderStage::Cancelado } else { OrderStage::Entregado }
}

/// Our fields over those that are there: what pages have added stays, and so do the times that they wrote.
fn merged(tenant: &str, record: &OrderRecord, kept: Option<&Map<String, Value>>) -> Map<String, Value> {
    let shown = serde_json::to_value(KitchenOrder::new(tenant, &record.restaurant, &record.order));
    let Ok(Value::Object(shown)) = shown else { unreachable!("an order is an object of plain data") };
    let mut order = kept.cloned().unwrap_or_default();
    // The database keeps no nulls and no empty arrays.
    order.extend(shown.into_iter().filter(|(_, value)| !value.is_null() && *value != json!([])).map(without_nothing));
    for (stage, at) in &record.order.history {
        let name = match stage {
            OrderStage::Cocinando => "inicioCocinado",
            OrderStage::Listo => "horaListo",
            OrderStage::Entregado => "horaEntrega",
            OrderStage::Pendiente | OrderStage::Cancelado => continue,
        };
        order.entry(name).or_insert_with(|| json!(at.as_millisecond()));
    }
    order
}

/// The same of what is inside: lines without notes.
fn without_nothing((name, mut value): (String, Value)) -> (String, Value) {
    for line in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        line.retain(|_, value| !value.is_null() && *value != json!([]));
    }
    (name, value)
}

/// What the old pages read of a tenant's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    pub is_linked: bool,
    is_rejected: bool,
    is_connected: bool,
    phone: Option<String>,
}

impl Flags {
    pub fn of(status: &Status) -> Self {
        Self {
            is_linked: status.paired,
            is_rejected: status.rejected,
            is_connected: status.state == State::Working,
            phone: status.phone_number.clone().filter(|_| status.state == State::Working),
        }
    }

    /// For `tenants/{t}`: each field by its path, so that nothing beside them is touched. `since`: of the state that they tell.
    pub fn patch(&self, now: Timestamp, since: Timestamp) -> Value {
        let (now, since) = (format!("{now:.3}"), format!("{since:.3}"));
        let mut patch = json!({
            "restaurant/whatsappConnected": self.is_linked,
            "restaurant/reconnectNeeded": self.is_rejected,
            "whatsapp/baileys/provider": "baileys",
            "whatsapp/baileys/connected": self.is_connected,
            "whatsapp/baileys/phoneNumber": self.phone,
            "whatsapp/baileys/lastSeen": now,
            "whatsapp/baileys/messageCount": 0,
            "whatsapp/baileys/dailyLimit": 1000,
            "whatsapp/baileys/updatedAt": now,
        });
        if self.is_connected {
            patch["restaurant/connectedAt"] = json!(since);
        }
        if self.is_rejected {
            patch["restaurant/reconnectNeededAt"] = json!(since);
        }
        patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::order::{Destination, OrderLine};

    const TENANT: &str = "tenant1700000000000abc";

    fn record(stage: OrderStage, payment_status: PaymentStatus) -> OrderRecord {
        let price = serde_json::from_value(json!(24_000)).unwrap();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let history = match stage {
            OrderStage::Pendiente => vec![],
            stage => vec![(stage, at(5_000))],
        };
        let line = OrderLine { item: "aji".into(), name: "Ajiaco".into(), price, qty: 1, notes: Vec::new() };
        let order = Order {
            id: "a1b2c3".into(),
            customer: "Ana".into(),
            chat: "573001112233@s.whatsapp.net".into(),
            phone: Some("573001112233".into()),
            contact_phone: None,
            destination: Destination::PickUp,
            comment: String::new(),
            lines: vec![line],
            subtotal: price,
            delivery_cost: serde_json::from_value(json!(0)).unwrap(),
            total: price,
            stage,
            payment_method: None,
            payment_status,
            tracking_token: "0123456789ab".into(),
            placed_at: at(1_000),
            history,
        };
        OrderRecord { order, restaurant: "Trattoria".into(), updated_at: at(5_000), revision: 1 }
    }

    fn cash(stage: OrderStage) -> OrderRecord {
        record(stage, PaymentStatus::Cash)
    }

    fn put(record: &OrderRecord, kept: &Value) -> Value {
        match step(TENANT, record, kept, &Value::Null, ComparisonCause::Changed) {
            OrderStep::Put(order) => order,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_order_is_written_in_the_old_shape_and_once() {
        let order = put(&cash(OrderStage::Pendiente), &Value::Null);
        let fields = ["id", "tenantId", "cliente", "telefono", "estado", "fuente", "restaurante", "paymentStatus"];
        let found = fields.map(|name| order[name].clone());
        let expected = ["a1b2c3", TENANT, "Ana", "573001112233", "pendiente", "whatsapp", "Trattoria", "CASH"];
        assert_eq!(found, expected.map(|text| json!(text)));
        let line = json!({ "numero": "aji", "nombre": "Ajiaco", "precio": 24_000, "cantidad": 1 });
        assert_eq!((&order["timestamp"], &order["items"]), (&json!(1_000), &json!([line])));
        assert!(order.get("metodoPago").is_none() && order.get("historial").is_none(), "{order}");
        for cause in [ComparisonCause::Changed, ComparisonCause::Seen] {
            assert_eq!(step(TENANT, &cash(OrderStage::Pendiente), &order, &Value::Null, cause), OrderStep::Nothing);
        }
    }

    #[test]
    fn the_kitchen_goes_ahead_and_never_back() {
        let mut kept = put(&cash(OrderStage::Pendiente), &Value::Null);
        kept["estado"] = json!("cocinando");
        kept["inicioCocinado"] = json!("10:30");
        let seen = |record: &OrderRecord, kept: &Value| step(TENANT, record, kept, &Value::Null, ComparisonCause::Seen);
        assert_eq!(seen(&cash(OrderStage::Pendiente), &kept), OrderStep::Take(OrderStage::Cocinando));
        let OrderStep::Put(taken) = seen(&cash(OrderStage::Cocinando), &kept) else { panic!("the step is added") };
        assert_eq!((&taken["estado"], &taken["inicioCocinado"]), (&json!("cocinando"), &json!("10:30")));
        assert_eq!(seen(&cash(OrderStage::Cocinando), &taken), OrderStep::Nothing, "our own writing moves nothing");
        let OrderStep::Put(back) = seen(&cash(OrderStage::Listo), &taken) else { panic!("what is behind is mended") };
        assert_eq!((&back["estado"], &back["horaListo"]), (&json!("listo"), &json!(5_000)));
        kept["estado"] = json!(" Entregado");
        assert_eq!(seen(&cash(OrderStage::Cocinando), &kept), OrderStep::Take(OrderStage::Entregado));
        assert_eq!((foreign_stage(&kept), foreign_stage(&Value::Null)), (None, None));
        kept["estado"] = json!("quemado");
        assert_eq!(foreign_stage(&kept), Some("quemado"));
        assert_eq!(seen(&cash(OrderStage::Pendiente), &kept), OrderStep::Nothing, "a page's own word");
        assert_eq!(put(&cash(OrderStage::Pendiente), &kept)["estado"], "pendiente");
    }

    #[test]
    fn what_the_kitchen_delivers_is_delivered_and_what_it_takes_away_stays_away() {
        let mut ended = put(&cash(OrderStage::Listo), &Value::Null);
        ended["estado"] = json!("entregado");
        let ready = cash(OrderStage::Listo);
        for cause in [ComparisonCause::Changed, ComparisonCause::Seen] {
            let of = |record: &OrderRecord| step(TENANT, record, &Value::Null, &ended, cause);
            assert_eq!(of(&ready), OrderStep::Take(OrderStage::Entregado));
            assert_eq!(of(&cash(OrderStage::Entregado)), OrderStep::Nothing);
        }
        assert_eq!(step(TENANT, &ready, &Value::Null, &Value::Null, ComparisonCause::Seen), OrderStep::Gone);
        let over = cash(OrderStage::Entregado);
        assert_eq!(step(TENANT, &over, &Value::Null, &Value::Null, ComparisonCause::Seen), OrderStep::Nothing);
    }

    #[test]
    fn an_order_that_the_kitchen_puts_away_is_over_whatever_it_still_says() {
        let mut ended = put(&cash(OrderStage::Pendiente), &Value::Null);
        let step_of = |stage, ended: &Value, cause| step(TENANT, &cash(stage), &Value::Null, ended, cause);
        for (word, end) in [
            ("pendiente", OrderStage::Entregado),
            ("cocinando", OrderStage::Entregado),
            ("listo", OrderStage::Entregado),
            ("archivado", OrderStage::Entregado),
            ("Cancelada", OrderStage::Cancelado),
            ("anulado", OrderStage::Cancelado),
        ] {
            ended["estado"] = json!(word);
            for cause in [ComparisonCause::Changed, ComparisonCause::Seen] {
                for stage in [OrderStage::Pendiente, OrderStage::Listo] {
                    assert_eq!(step_of(stage, &ended, cause), OrderStep::Take(end), "{word} {stage:?} {cause:?}");
                }
                // The word is mended there, and then both sides are the same.
                let OrderStep::End { key, order } = step_of(end, &ended, cause) else { panic!("{word} stays there") };
                assert_eq!((key.as_str(), &order["estado"]), ("a1b2c3", &json!(end)));
                assert_eq!(step_of(end, &order, cause), OrderStep::Nothing);
            }
        }
    }

    #[test]
    fn an_order_that_is_over_here_leaves_the_board() {
        let kept = put(&cash(OrderStage::Listo), &Value::Null);
        let end = |record: &OrderRecord, ended: &Value| step(TENANT, record, &kept, ended, ComparisonCause::Changed);
        let OrderStep::End { key, order } = end(&cash(OrderStage::Cancelado), &Value::Null) else { panic!() };
        assert_eq!((key.as_str(), &order["estado"]), ("a1b2c3", &json!("cancelado")));
        // Another's, of years ago.
        let OrderStep::End { key, .. } = end(&cash(OrderStage::Entregado), &json!({ "timestamp": 1 })) else {
            panic!()
        };
        assert_eq!(key, "a1b2c3-1000");
        let over = cash(OrderStage::Cancelado);
        let mut late = kept.clone();
        late["estado"] = json!("listo");
        assert!(matches!(step(TENANT, &over, &late, &Value::Null, ComparisonCause::Seen), OrderStep::End { .. }));
    }

    #[test]
    fn an_order_that_waits_for_its_payment_is_not_the_kitchens() {
        let waits = record(OrderStage::Pendiente, PaymentStatus::Pending);
        assert_eq!(step(TENANT, &waits, &Value::Null, &Value::Null, ComparisonCause::Changed), OrderStep::Nothing);
        let never_paid = record(OrderStage::Cancelado, PaymentStatus::Pending);
        assert_eq!(step(TENANT, &never_paid, &Value::Null, &Value::Null, ComparisonCause::Changed), OrderStep::Nothing);
        let paid = record(OrderStage::Pendiente, PaymentStatus::Paid);
        assert_eq!(put(&paid, &Value::Null)["paymentStatus"], "PAID");
    }

    #[test]
    fn what_ended_while_nothing_was_read_is_compared() {
        let read = |ms| EventId(ulid::Ulid::from_parts(ms, 0));
        for (stage, read_ms, expected) in [
            (OrderStage::Entregado, 4_000, true),
            (OrderStage::Cancelado, 65_000, true),
            (OrderStage::Entregado, 65_001, false),
            (OrderStage::Listo, 1_000_000, true),
        ] {
            assert_eq!(may_differ_after(&cash(stage), read(read_ms)), expected, "{stage:?} {read_ms}");
        }
    }
}
