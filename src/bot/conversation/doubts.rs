//! Wishes that are open or cannot be noted: unknown, sold out, of several dishes. Owns how each is told and asked about.

use super::{exchange::Exchange, hearing::HeardTurn, menu_pages, quote, words};
use crate::bot::texts::TextKey;

const MAX_TOLD: usize = 3;
/// Answers that do not help, until the question is dropped.
const MAX_WISH_TRIES: u8 = 2;

/// Wishes that cannot be noted, and why.
pub fn tell(exchange: &mut Exchange<'_>, heard: &HeardTurn) {
    for wish in heard.unknown.iter().take(MAX_TOLD) {
        menu_pages::say_unknown(exchange, wish);
    }
    if !heard.unavailable.is_empty() {
        let items = quote::bare_names(&heard.unavailable, exchange.menu(), exchange.language());
        exchange.say(TextKey::SoldOut, &[("items", &items)]);
    }
    if !heard.crowded.is_empty() {
        let menu = exchange.menu();
        let items: Vec<_> = heard.crowded.iter().filter_map(|id| menu.item(id)).collect();
        menu_pages::say_items(exchange, &items);
        exchange.say(TextKey::MenuMore, &[]);
    }
    for number in heard.no_numbers.iter().take(MAX_TOLD) {
        exchange.say(TextKey::NoNumber, &[("number", &number.to_string())]);
    }
    for line in heard.no_lines.iter().take(MAX_TOLD) {
        exchange.say(TextKey::NoLine, &[("number", &line.to_string())]);
    }
    if let Some(number) = heard.which_number {
        ask_which_number(exchange, number);
    }
    if heard.repeats_nothing && !heard.changed {
        exchange.say(TextKey::NoHistory, &[]);
    }
}

fn ask_which_number(exchange: &mut Exchange<'_>, number: usize) {
    let menu = exchange.menu();
    let order = &exchange.talk.order;
    let line = order.focus.and_then(|at| order.lines.get(at)).or(order.lines.last());
    let line = line.and_then(|line| menu.item(&line.item)).map(|item| words::one_line(&item.name, 80));
    let item = number.checked_sub(1).and_then(|at| menu.items.get(at)).map(|item| words::one_line(&item.name, 80));
    if let (Some(line), Some(item)) = (line, item) {
        exchange.say(TextKey::WhichNumber, &[("number", &number.to_string()), ("line", &line), ("items", &item)]);
    }
}

/// Drops the open wish whose question was answered twice with something else: the rest of the order does not wait for it for ever.
pub fn give_up(exchange: &mut Exchange<'_>, heard: &HeardTurn, has_answered: bool) -> bool {
    let talk = &mut exchange.talk;
    if talk.order.ambiguous.is_empty() || heard.changed {
        talk.wish_tries = 0;
        return false;
    }
    // A question of the customer's, a greeting, and a wish that cannot be had are no answers either way.
    if !has_answered && !heard.greets && !heard.nudges && !heard.has_doubts() {
        talk.wish_tries = talk.wish_tries.saturating_add(1);
    }
    if talk.wish_tries < MAX_WISH_TRIES {
        return false;
    }
    talk.wish_tries = 0;
    talk.order.ambiguous.remove(0);
    exchange.progressed = true;
    exchange.say(TextKey::WishDropped, &[]);
    true
}

/// The open wish, its candidates numbered. True: there is one.
pub fn ask_open_wish(exchange: &mut Exchange<'_>) -> bool {
    let Some(wish) = exchange.talk.order.ambiguous.first() else { return false };
    let menu = exchange.menu();
    if wish.asks_number
        && let [id] = &wish.candidates[..]
        && let Some(item) = menu.item(id)
    {
        let (line, qty) = (words::one_line(&item.name, 80), wish.qty);
        match qty {
            0 => exchange.say(TextKey::HowMany, &[("line", &line)]),
            _ => exchange.say(TextKey::SoMany, &[("qty", &qty.to_string()), ("line", &line)]),
        }
        return true;
    }
    let row = |(at, id): (usize, &String)| {
        let item = menu.item(id)?;
        Some(format!("{}. {}: {}", at + 1, words::one_line(&item.name, 80), item.price))
    };
    let options: Vec<String> = wish.candidates.iter().enumerate().filter_map(row).collect();
    let qty = if wish.qty == 0 { "?".to_owned() } else { wish.qty.to_string() };
    exchange.say(TextKey::Ambiguous, &[("options", &options.join("\n")), ("qty", &qty)]);
    true
}
