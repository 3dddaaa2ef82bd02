//! Words that come after an order was placed: receipts, corrections, dishes that were forgotten. Owns which of them go to the restaurant;
//! an order that is confirmed is not changed here.

use jiff::SignedDuration;

use super::{
    Effect, KnownOrder, asides::Amendment, exchange::Exchange, hearing::HeardTurn, orders, phrases::Command,
    state::Phase, words,
};
use crate::bot::{
    basket::AmbiguousWish,
    texts::{Language, TextKey},
};

/// Words about an older order are a new matter.
const CORRECTABLE: SignedDuration = SignedDuration::from_hours(3);
/// Within that time, `también` and `una más` are of the order that was confirmed; later, of the talk that begins.
const ONE_TALK: SignedDuration = SignedDuration::from_mins(15);
/// Pictures within that time are of one receipt.
const ONE_RECEIPT: SignedDuration = SignedDuration::from_mins(10);

/// Receipts and corrections. True: the turn is answered.
pub fn answer(exchange: &mut Exchange<'_>, heard: &HeardTurn) -> bool {
    let says_more = heard.changed || !heard.questions.is_empty() || !heard.commands.is_empty();
    if (heard.has_picture || heard.pays) && tell_receipt(exchange) {
        return !says_more && !heard.has_details();
    }
    corrects(exchange, heard) && pass_on(exchange, heard)
}

/// Thanks for a receipt, if an order waits for one. True: it does.
pub fn tell_receipt(exchange: &mut Exchange<'_>) -> bool {
    let Some((order, total)) = orders::unpaid(exchange) else { return false };
    let now = exchange.moment.now;
    if exchange.talk.receipt_told_at.is_some_and(|at| now.duration_since(at) < ONE_RECEIPT) {
        return true;
    }
    exchange.talk.receipt_told_at = Some(now);
    exchange.progressed = true;
    exchange.say(TextKey::ReceiptSeen, &[("order", &order)]);
    let reason = match exchange.language() {
        Language::Es => format!("Posible comprobante de pago del pedido #{order}, por {total}."),
        Language::En => format!("Perhaps the receipt of order #{order}, {total}."),
    };
    exchange.do_it(Effect::CallOwner { reason });
    true
}

/// Nothing is being ordered, and the turn changes something all the same: the order that is under way is meant.
fn corrects(exchange: &Exchange<'_>, heard: &HeardTurn) -> bool {
    let talk = &exchange.talk;
    let is_idle = matches!(talk.phase, Phase::Idle | Phase::Ordering)
        && talk.order.lines.is_empty()
        && talk.order.ambiguous.is_empty()
        && talk.kept.is_none();
    let is_meant = match heard.changed {
        true => amends_it(exchange, heard),
        false => heard.wants_change || heard.says(&Command::Edit) || heard.pays || heard.has_details(),
    };
    let is_command = heard.commands.iter().any(|command| *command != Command::Edit);
    is_idle && is_meant && !heard.begins_anew && !heard.emptied && !is_command
}

/// Dishes are meant for the order that is under way. Dishes that are counted and belong to no order yet begin one, lest nobody can order
/// twice.
fn amends_it(exchange: &Exchange<'_>, heard: &HeardTurn) -> bool {
    let Some(order) = under_way(exchange) else { return false };
    let is_soon = exchange.moment.now.duration_since(order.placed_at) < ONE_TALK;
    let may_be_it = is_soon || !heard.counts;
    match heard.amends {
        None => false,
        Some(Amendment::Change) => true,
        Some(Amendment::More) => may_be_it,
        Some(Amendment::Manner) => may_be_it && names_its_dish(exchange, order, heard),
    }
}

/// The turn names a dish of that order.
fn names_its_dish(exchange: &Exchange<'_>, order: &KnownOrder, heard: &HeardTurn) -> bool {
    // The conversation knows the dishes of the order that was placed last.
    let is_last = exchange.talk.orders.last().is_some_and(|last| last.id == order.id);
    let Some(lines) = exchange.talk.history.last().filter(|_| is_last) else { return false };
    let has = |item: &String| lines.iter().any(|line| line.item == *item);
    let is_open = |wish: &AmbiguousWish| wish.candidates.iter().any(has);
    heard.order.lines.iter().any(|line| has(&line.item)) || heard.order.ambiguous.iter().any(is_open)
}

/// The order that words about an order are about.
fn under_way<'a>(exchange: &'a Exchange<'_>) -> Option<&'a KnownOrder> {
    let now = exchange.moment.now;
    let is_meant = |order: &&KnownOrder| !order.stage.is_final() && now.duration_since(order.placed_at) < CORRECTABLE;
    exchange.talk.orders.iter().rev().find(is_meant)
}

/// Dishes behind a confirmation begin a second order: that is said, lest they are thought to be in the first.
pub fn tell_second(exchange: &mut Exchange<'_>, heard: &HeardTurn) {
    let is_first = exchange.talk.order.lines.is_empty() && exchange.talk.order.ambiguous.is_empty();
    if is_first
        && heard.changed
        && let Some(order) = under_way(exchange).map(|order| order.id.clone())
    {
        exchange.say(TextKey::SecondOrder, &[("order", &order)]);
    }
}

/// True: there is such an order, and the restaurant is told.
fn pass_on(exchange: &mut Exchange<'_>, heard: &HeardTurn) -> bool {
    let Some((order, stage)) = under_way(exchange).map(|order| (order.id.clone(), order.stage)) else { return false };
    exchange.say(TextKey::PassedOn, &[("order", &order)]);
    if stage.is_cancellable_by_customer() && (heard.changed || heard.wants_change || heard.says(&Command::Edit)) {
        exchange.say(TextKey::CancelStill, &[("order", &order)]);
    }
    let place = heard.location.map(|(latitude, longitude)| format!("{latitude}, {longitude}"));
    let said = words::cut(&heard.last_text, 120).to_owned();
    let said =
        [Some(said), place].into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" | ");
    let reason = match exchange.language() {
        Language::Es => format!("El cliente escribió sobre su pedido #{order}: «{said}»."),
        Language::En => format!("The customer wrote about order #{order}: “{said}”."),
    };
    exchange.do_it(Effect::CallOwner { reason });
    true
}
