//! Messages that were edited or deleted after they were read: the order is read again from there on. Owns the replay; until an order is
//! confirmed, never after it.

use super::{
    Said, Utterance,
    exchange::Exchange,
    hearing,
    order_reading::OrderReader,
    state::{HeardText, Phase},
    talking,
};
use crate::bot::texts::TextKey;

/// `text`: the new one; `None`: it was deleted.
pub fn correct(exchange: &mut Exchange<'_>, id: &str, text: Option<&str>) {
    let Some(at) = exchange.talk.heard.iter().position(|heard| heard.id == id) else {
        return correct_unknown(exchange, id);
    };
    if let Some(phase) = exchange.talk.heard[at].answered.clone() {
        return correct_answer(exchange, at, &phase, text);
    }
    let rest = exchange.talk.heard.split_off(at);
    let (before_edit, mut order) = (exchange.talk.order.clone(), rest[0].before.clone());
    let mut too_much = false;
    for (n, heard) in rest.into_iter().enumerate() {
        let said = match (n, text) {
            (0, None) => continue,
            (0, Some(text)) => text.to_owned(),
            _ => heard.text,
        };
        let previous = exchange.talk.heard.iter().rev().find(|heard| heard.answered.is_none());
        let previous = previous.map(|heard| heard.text.clone());
        let reader =
            OrderReader { restaurant: exchange.restaurant, history: &exchange.talk.history, numbers: heard.numbers };
        let before = order.clone();
        if heard.answered.is_none() {
            let reading = reader.read(&order, &said, previous.as_deref());
            too_much |= reading.too_much;
            order = reading.order;
        }
        let heard = HeardText { id: heard.id, text: said, before, numbers: heard.numbers, answered: heard.answered };
        exchange.talk.heard.push(heard);
    }
    if order == before_edit && !too_much {
        return;
    }
    exchange.talk.order = order;
    exchange.talk.shown = None;
    exchange.progressed = true;
    talking::tell_correction(exchange);
}

/// Another address, phone or method in the place of the first.
fn correct_answer(exchange: &mut Exchange<'_>, at: usize, phase: &Phase, text: Option<&str>) {
    let heard = exchange.talk.heard.remove(at);
    let current = exchange.talk.phase.clone();
    if !super::checkout::is_under_way(&current) {
        return;
    }
    let Some(text) = text else {
        match phase {
            Phase::Address { .. } | Phase::Way => exchange.talk.destination = None,
            Phase::Phone => exchange.talk.contact_phone = None,
            Phase::Payment => exchange.talk.payment = None,
            _ => return,
        }
        exchange.progressed = true;
        return super::checkout::advance(exchange);
    };
    exchange.talk.phase = phase.clone();
    let said = Said { id: heard.id, at: exchange.moment.now, what: Utterance::Text(text.to_owned()) };
    let turn = hearing::hear(&mut exchange.talk, exchange.restaurant, &[said]);
    exchange.talk.phase = current;
    if turn.has_details() {
        super::checkout::take_details(exchange, &turn);
        super::checkout::advance(exchange);
    }
}

fn correct_unknown(exchange: &mut Exchange<'_>, id: &str) {
    let late = exchange.talk.confirmed.as_ref().filter(|confirmed| confirmed.ids.iter().any(|known| known == id));
    let late = late.map(|confirmed| confirmed.order.clone());
    let is_open = |order: &str| exchange.talk.orders.iter().any(|known| known.id == order && !known.stage.is_final());
    match late {
        Some(order) if is_open(&order) => exchange.say(TextKey::EditLate, &[("order", &order)]),
        // It may be of the basket, though it is not remembered any more.
        None if !exchange.talk.order.lines.is_empty() => exchange.say(TextKey::EditLost, &[]),
        _ => {}
    }
}
