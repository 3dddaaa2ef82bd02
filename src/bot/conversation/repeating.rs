//! An order that the customer says once more, with the yes to its summary: `sí, una salchipapa` wants no second one. Owns which words are
//! such a repetition; places nothing.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Restaurant,
    asides::{self, Amendment},
    exchange::add_line,
    order_reading::{OrderReader, OrderReading},
    phrases,
    state::{ConversationState, Phase},
};
use crate::bot::{
    OrderState,
    basket::{AmbiguousWish, BasketLine},
};

static YES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?is)^\s*(?:s[ií]+|claro(?: que s[ií])?|dale|ok|okey|listo|h[aá]gale|bueno|correcto|exacto|confirmo|perfecto|as[ií] es|yes)(?:\s+(?:se[nñ]ora?|por favor|porfa|confirmo|correcto))*[\s,.;:!]+(.+)$",
    )
    .expect("a pattern of ours")
});
static ADDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\b(otr[oa]s?|mas|tambien|ademas|adicional(es)?|extras?|aparte|agreg\w*|sum\w+|and also|another|more|add)\b",
    )
    .expect("a pattern of ours")
});

/// So many letters at its beginning name a dish.
const LEAST_ALIKE: usize = 4;

const FILLERS: &[&str] = &[
    "y", "de", "del", "la", "el", "las", "los", "con", "quiero", "deme", "dame", "me", "da", "por", "favor", "porfa",
    "gracias", "es", "son", "solo", "seria", "serian", "pedi", "eso", "senor", "senora",
];

/// The words behind a yes to the summary, read as the order that was shown: its units are those, and not so many more. The reading's
/// order is the whole one, and is unchanged where everything was said as it is. `None`: the words are no repetition.
pub fn read(talk: &ConversationState, restaurant: &Restaurant, order: &OrderState, said: &str) -> Option<OrderReading> {
    if talk.phase != Phase::Confirming || talk.shown.is_none() || said.contains('?') || *order != talk.order {
        return None;
    }
    let rest = YES.captures(said)?.get(1)?.as_str();
    let plain = phrases::plain(rest);
    if asides::amends(&plain).is_some_and(|amendment| amendment != Amendment::Manner) || ADDS.is_match(&plain) {
        return None;
    }
    if !names_dishes(&plain, restaurant) {
        return None;
    }
    let reader = OrderReader { restaurant, history: &talk.history, numbers: false };
    let mut reading = reader.read(&OrderState::default(), rest, None);
    let is_doubtful = reading.too_much || !reading.unknown.is_empty() || !reading.unavailable.is_empty();
    if !reading.changed || is_doubtful || !reading.crowded.is_empty() {
        return None;
    }
    let (said_lines, wishes) = (std::mem::take(&mut reading.order.lines), std::mem::take(&mut reading.order.ambiguous));
    let mut repeated = order.clone();
    let mut is_repetition = false;
    for line in said_lines {
        match only(order, std::slice::from_ref(&line.item)) {
            Some(at) => {
                is_repetition = true;
                repeat(&mut repeated.lines[at], line.qty, line.notes);
            }
            None => add_line(&mut repeated, line),
        }
    }
    for wish in wishes {
        match only(order, &wish.candidates) {
            Some(at) => {
                is_repetition = true;
                // Where nobody said a number, the one that was shown stands.
                let qty = if wish.asks_number { order.lines[at].qty } else { wish.qty };
                repeat(&mut repeated.lines[at], qty, wish.notes);
            }
            None => repeated.ambiguous.push(AmbiguousWish { replaces: false, ..wish }),
        }
    }
    if !is_repetition {
        return None;
    }
    if repeated.lines == order.lines && repeated.ambiguous == order.ambiguous {
        repeated.focus = order.focus;
    }
    reading.changed = repeated != *order;
    reading.order = repeated;
    Some(reading)
}

/// Nothing but dishes, their numbers, and what is left out of them: `me llama, que el perro muerde` is about no dish.
fn names_dishes(plain: &str, restaurant: &Restaurant) -> bool {
    let names = || restaurant.name_words.iter().flatten();
    let is_named = |word: &str| {
        let begins = word.get(..LEAST_ALIKE);
        names().any(|name| name == word || begins.is_some_and(|begins| name.starts_with(begins)))
    };
    let mut is_left_out = false;
    plain.split(' ').all(|word| {
        let follows = std::mem::replace(&mut is_left_out, word == "sin");
        follows || word == "sin" || FILLERS.contains(&word) || asides::counts(word) || is_named(word)
    })
}

/// The line of the order that these dishes mean, if there is one alone.
fn only(order: &OrderState, items: &[String]) -> Option<usize> {
    let mut meant = order.lines.iter().enumerate().filter(|(_, line)| items.contains(&line.item)).map(|(at, _)| at);
    meant.next().filter(|_| meant.next().is_none())
}

fn repeat(line: &mut BasketLine, qty: u32, notes: Vec<String>) {
    line.qty = if qty == 0 { line.qty } else { qty };
    if notes.iter().any(|note| !line.notes.contains(note)) {
        line.notes = notes;
    }
}
