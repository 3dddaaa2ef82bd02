//! A customer who cancels: the basket, an order that is placed, one of several. Owns which of them is meant.

use super::{checkout, exchange::Exchange, hearing::HeardTurn, orders, phrases::Command, state::Phase};
use crate::bot::texts::TextKey;

/// Cancelling alone, for a customer before a shut door.
pub fn answer(exchange: &mut Exchange<'_>, heard: &HeardTurn) {
    let phase = exchange.talk.phase.clone();
    if !cancels(exchange, heard, &phase) {
        orders::ask_cancel(exchange, None);
    }
}

/// Everything about cancelling. True: the turn is answered.
pub fn cancels(exchange: &mut Exchange<'_>, heard: &HeardTurn, phase: &Phase) -> bool {
    let named = heard.commands.iter().find_map(|command| match command {
        Command::CancelOrder(id) => Some(id.clone()),
        _ => None,
    });
    if let Some(named) = named {
        orders::ask_cancel(exchange, Some(&named));
        return true;
    }
    if let (Phase::CancelWhich, Some(at)) = (phase, heard.chosen) {
        let id = exchange.talk.orders.get(at).map(|order| order.id.clone()).unwrap_or_default();
        orders::cancel(exchange, &id);
        return true;
    }
    if let Phase::CancelOrder { order } = phase {
        exchange.talk.phase = Phase::Idle;
        if heard.nudges {
            orders::ask_cancel(exchange, None);
            return true;
        }
        if heard.is_yes() && !heard.changed || heard.says(&Command::Cancel) {
            orders::cancel(exchange, order);
            return true;
        }
        if heard.is_no() && !heard.changed {
            exchange.say(TextKey::OrderKept, &[("order", order)]);
            exchange.progressed = true;
            return true;
        }
    }
    if heard.emptied && heard.order.lines.is_empty() && heard.order.ambiguous.is_empty() {
        orders::forget_basket(exchange);
        exchange.say(TextKey::Emptied, &[]);
        say_order_stands(exchange);
        return true;
    }
    if !heard.says(&Command::Cancel) || heard.changed {
        return false;
    }
    if exchange.talk.kept.take().is_some() {
        orders::forget_basket(exchange);
        exchange.say(TextKey::Emptied, &[]);
        say_order_stands(exchange);
    } else {
        orders::ask_cancel(exchange, None);
    }
    true
}

/// Words that refuse the order of the summary, or hesitate, and the answer to the question whether it is cancelled. True: the turn is
/// answered. The summary's own question stands again where it is not.
pub fn drops(exchange: &mut Exchange<'_>, heard: &HeardTurn, phase: &Phase) -> bool {
    let is_asked = *phase == Phase::Dropping;
    if is_asked && exchange.talk.phase == Phase::Dropping {
        exchange.talk.phase = Phase::Confirming;
    }
    if heard.is_beside() || !is_asked && !heard.backs_out {
        return false;
    }
    let is_yes = is_asked && heard.is_yes() && !heard.is_done && orders::is_heard(exchange, heard.yes_at);
    if is_yes {
        orders::forget_basket(exchange);
        exchange.say(TextKey::Emptied, &[]);
        say_order_stands(exchange);
    } else if is_asked && heard.is_no() {
        if exchange.talk.shown.is_some() {
            exchange.say(TextKey::ConfirmAgain, &[]);
        } else {
            checkout::advance(exchange);
        }
    } else if heard.questions.is_empty() {
        exchange.talk.phase = Phase::Dropping;
        exchange.say(TextKey::AskDrop, &[]);
    } else {
        return false;
    }
    true
}

/// A basket was emptied; an order that was placed is another thing.
fn say_order_stands(exchange: &mut Exchange<'_>) {
    let open = exchange.talk.orders.iter().rev().find(|order| !order.stage.is_final());
    if let Some(id) = open.map(|order| order.id.clone()) {
        exchange.say(TextKey::OrderStands, &[("order", &id)]);
    }
}
