//! Doors before an answer: suspended, switched off, closed, muted. Owns who is answered, and that a shut door is told once a day.

use jiff::SignedDuration;

use super::{
    exchange::Exchange,
    state::{Gate, Phase},
    words,
};
use crate::bot::{restaurant::Unavailability, texts::TextKey};

/// The door that is shut for this customer now.
pub fn shut(exchange: &Exchange<'_>) -> Option<Gate> {
    let settings = &exchange.restaurant.settings;
    if settings.suspended {
        Some(Gate::Suspended)
    } else if !settings.active {
        Some(Gate::Off)
    } else if settings.takes_orders && !settings.is_open(exchange.moment.now) && !has_grace(exchange) {
        Some(Gate::Closed)
    } else {
        None
    }
}

/// An order that was begun before the door closed is brought to its end.
fn has_grace(exchange: &Exchange<'_>) -> bool {
    let settings = &exchange.restaurant.settings;
    let talk = &exchange.talk;
    let before = exchange.moment.now.checked_sub(SignedDuration::from_mins(i64::from(settings.idle_minutes)));
    let is_under_way = talk.phase != Phase::Idle || !talk.order.lines.is_empty();
    is_under_way && before.is_ok_and(|before| settings.is_open(before))
}

/// A message that was edited or deleted is minded though the restaurant closed meanwhile.
pub fn lets_correct(exchange: &Exchange<'_>) -> bool {
    matches!(shut(exchange), None | Some(Gate::Closed))
}

pub fn is_muted(exchange: &Exchange<'_>) -> bool {
    exchange.restaurant.settings.is_muted(&exchange.customer.chat, exchange.customer.phone.as_deref())
}

/// Tells that nobody serves, if that is wanted and was not told today.
pub fn say_shut(exchange: &mut Exchange<'_>, gate: Gate) {
    let settings = &exchange.restaurant.settings;
    let behaviour = match gate {
        Gate::Suspended => settings.when_suspended,
        Gate::Off => settings.when_off,
        Gate::Closed => settings.when_closed,
    };
    let today = exchange.moment.now.to_zoned(settings.time_zone()).date();
    if behaviour == Unavailability::Silent || exchange.talk.told == Some((gate, today)) {
        return;
    }
    exchange.talk.told = Some((gate, today));
    match gate {
        Gate::Suspended => exchange.say(TextKey::Suspended, &[]),
        Gate::Off => exchange.say(TextKey::Off, &[]),
        Gate::Closed => say_closed(exchange),
    }
}

/// The notice of a shut door was given today.
pub fn was_told(exchange: &Exchange<'_>, gate: Gate) -> bool {
    let today = exchange.moment.now.to_zoned(exchange.restaurant.settings.time_zone()).date();
    exchange.talk.told == Some((gate, today))
}

pub fn say_closed(exchange: &mut Exchange<'_>) {
    let settings = &exchange.restaurant.settings;
    let opens = settings.business_hours.as_ref().and_then(|hours| hours.next_opening(exchange.moment.now));
    match opens {
        Some(opens) => {
            let opening = words::opening(&opens, exchange.moment.now, exchange.language());
            exchange.say(TextKey::ClosedNow, &[("opening", &opening)]);
        }
        None => exchange.say(TextKey::ClosedLong, &[]),
    }
}
