//! The way from a basket to its summary: delivery or pick-up, address, phone, payment. Owns which question comes next; places nothing.

use super::{
    ConversationState, address_parts,
    exchange::Exchange,
    hearing::{HeardTurn, MAX_ADDRESS_CHARS},
    quote::{self, Quote},
    state::Phase,
    takeover, words,
};
use crate::bot::{
    money::Money,
    order::Destination,
    payment::PaymentMethod,
    texts::{Language, TextKey},
};

/// Takes what the turn said about delivery and payment.
pub fn take_details(exchange: &mut Exchange<'_>, heard: &HeardTurn) {
    let settings = &exchange.restaurant.settings;
    let talk = &mut exchange.talk;
    let before = (talk.destination.clone(), talk.contact_phone.clone(), talk.payment, talk.comment.clone());
    if heard.address.is_some() || heard.location.is_some() {
        talk.destination = Some(delivery(talk.destination.take(), heard, settings.language));
    } else if let Some(picks_up) = heard.picks_up {
        take_way(exchange, picks_up);
    }
    if let Some(Destination::Delivery { address, .. }) = &mut exchange.talk.destination
        && !heard.address_parts.is_empty()
    {
        *address = words::one_line(&address_parts::amended(address, &heard.address_parts), MAX_ADDRESS_CHARS);
    }
    let talk = &mut exchange.talk;
    talk.contact_phone = heard.phone.clone().or(talk.contact_phone.take());
    talk.name = heard.name.clone().or(talk.name.take());
    if let Some(comment) = &heard.comment {
        talk.comment.clone_from(comment);
    }
    for words in [&heard.bill, &heard.courier].into_iter().flatten() {
        note(talk, words);
    }
    let is_order = !talk.order.lines.is_empty() || !talk.order.ambiguous.is_empty();
    if let Some(when) = heard.wished_time.as_ref().filter(|_| is_order) {
        note(talk, when);
        exchange.say(TextKey::TimeNoted, &[("words", when)]);
    }
    if let Some(method) = heard.payment {
        take_payment(exchange, method);
    } else if heard.pays_twice {
        exchange.talk.payment = None;
        exchange.say(TextKey::OnePayment, &[]);
    }
    let talk = &exchange.talk;
    if before != (talk.destination.clone(), talk.contact_phone.clone(), talk.payment, talk.comment.clone()) {
        exchange.progressed = true;
        exchange.talk.shown = None;
    }
}

/// Adds to the words for the kitchen and the courier.
pub fn note(talk: &mut ConversationState, words: &str) {
    if !talk.comment.contains(words) {
        let comment = format!("{}. {words}", talk.comment);
        talk.comment = words::one_line(comment.trim_start_matches(". "), 200);
    }
}

/// A shared place adds to a written address, and the other way round.
fn delivery(before: Option<Destination>, heard: &HeardTurn, language: Language) -> Destination {
    let (old_address, old_location) = match before {
        Some(Destination::Delivery { address, location }) => (Some(address), location),
        _ => (None, None),
    };
    let shared = if language == Language::Es { "Ubicación compartida" } else { "Shared location" };
    match (&heard.address, heard.location) {
        (Some(address), location) => {
            let kept = old_location.filter(|_| old_address.as_deref() == Some(shared));
            Destination::Delivery { address: address.clone(), location: location.or(kept) }
        }
        (None, location) => {
            Destination::Delivery { address: old_address.unwrap_or_else(|| shared.to_owned()), location }
        }
    }
}

fn take_way(exchange: &mut Exchange<'_>, picks_up: bool) {
    let settings = &exchange.restaurant.settings;
    let talk = &mut exchange.talk;
    match picks_up {
        true if settings.pick_up => talk.destination = Some(Destination::PickUp),
        true => exchange.say(TextKey::NoPickUp, &[]),
        false if !settings.delivers => exchange.say(TextKey::NoDelivery, &[]),
        false => {
            if talk.destination == Some(Destination::PickUp) {
                talk.destination = None;
            }
            if talk.destination.is_none() && !matches!(talk.phase, Phase::Address { .. }) {
                talk.phase = Phase::Address { tries: 0 };
                exchange.progressed = true;
            }
        }
    }
}

fn take_payment(exchange: &mut Exchange<'_>, method: PaymentMethod) {
    let methods = &exchange.restaurant.settings.payment_methods;
    if methods.contains(&method) {
        exchange.talk.payment = Some(method);
    } else if !methods.is_empty() {
        let payment = words::payment(method, exchange.language());
        exchange.say(TextKey::PaymentRefused, &[("payment", payment)]);
    }
}

/// A yes to an offer of the checkout: the address of last time, the customer's own phone.
pub fn take_offer(exchange: &mut Exchange<'_>) -> bool {
    let talk = &mut exchange.talk;
    match talk.phase {
        Phase::Address { .. } if talk.last_destination.is_some() => {
            talk.destination = talk.last_destination.clone();
        }
        Phase::Phone if exchange.customer.phone.is_some() => {
            talk.contact_phone = exchange.customer.phone.clone();
        }
        _ => return false,
    }
    exchange.progressed = true;
    true
}

/// Asks for the next thing that is missing; shows the summary if nothing is.
pub fn advance(exchange: &mut Exchange<'_>) {
    if !ask_missing(exchange) {
        summarise(exchange);
    }
}

/// Asks for the next thing that is missing, or says why the order cannot go on. False: it is ready for its summary.
pub fn ask_missing(exchange: &mut Exchange<'_>) -> bool {
    let settings = &exchange.restaurant.settings;
    exchange.talk.shown = None;
    if exchange.talk.order.lines.is_empty() {
        exchange.talk.phase = Phase::Ordering;
        exchange.say(TextKey::BasketEmpty, &[]);
        return true;
    }
    // The limit may have come down since the units were noted.
    if exchange.talk.order.lines.iter().any(|line| line.qty > settings.most_units) {
        let (es, en) = ("Un pedido demasiado grande para el bot.", "An order that is too large for the bot.");
        takeover::call_human(exchange, es, en, TextKey::TooMuch);
        return true;
    }
    withdraw(exchange);
    let asks_address = matches!(exchange.talk.phase, Phase::Address { .. }) || !settings.pick_up;
    let brings = matches!(exchange.talk.destination, Some(Destination::Delivery { .. }));
    if (brings || exchange.talk.destination.is_none() && asks_address) && is_below_minimum(exchange) {
        return true;
    }
    match exchange.talk.destination {
        None if asks_address => ask_address(exchange),
        None => {
            let cost = settings.delivery_cost.map(|cost| cost.cost).filter(|cost| *cost > Money::ZERO);
            let cost = cost.map(|cost| format!(" ({cost})")).unwrap_or_default();
            exchange.talk.phase = Phase::Way;
            // An empty value would take the blank before it along; there is none.
            exchange.say(TextKey::AskDestination, &[("delivery", &cost)]);
        }
        Some(_) => return ask_rest(exchange),
    }
    true
}

/// Takes out the way and the payment that the restaurant offers no longer, and says so. True: they are not as they were.
pub fn withdraw(exchange: &mut Exchange<'_>) -> bool {
    let settings = &exchange.restaurant.settings;
    let before = (exchange.talk.destination.clone(), exchange.talk.payment);
    if !settings.delivers {
        if let Some(Destination::Delivery { .. }) = exchange.talk.destination {
            exchange.say(TextKey::NoDelivery, &[]);
        }
        exchange.talk.destination = Some(Destination::PickUp);
    }
    if !settings.pick_up && exchange.talk.destination == Some(Destination::PickUp) {
        exchange.say(TextKey::NoPickUp, &[]);
        exchange.talk.destination = None;
    }
    let methods = &settings.payment_methods;
    if let Some(method) = exchange.talk.payment.filter(|method| !methods.contains(method)) {
        exchange.talk.payment = None;
        // A restaurant that names no method refuses none.
        if !methods.is_empty() {
            exchange.say(TextKey::PaymentRefused, &[("payment", words::payment(method, settings.language))]);
        }
    }
    before != (exchange.talk.destination.clone(), exchange.talk.payment)
}

/// The phone and the payment. False: both are there.
fn ask_rest(exchange: &mut Exchange<'_>) -> bool {
    let settings = &exchange.restaurant.settings;
    let language = settings.language;
    if settings.ask_contact_phone && exchange.talk.contact_phone.is_none() {
        exchange.talk.phase = Phase::Phone;
        let own = exchange.customer.phone.as_deref().map(words::phone);
        match own {
            Some(own) => exchange.say(TextKey::AskSamePhone, &[("phone", &own)]),
            None => exchange.say(TextKey::AskPhone, &[]),
        }
        return true;
    }
    let methods = &settings.payment_methods;
    if let (1, Some(only)) = (methods.len(), methods.first()) {
        exchange.talk.payment = Some(*only);
    }
    if methods.is_empty() || exchange.talk.payment.is_some() {
        return false;
    }
    exchange.talk.phase = Phase::Payment;
    let options = methods.iter().enumerate();
    let options: Vec<String> =
        options.map(|(at, method)| format!("{}. {}", at + 1, words::payment(*method, language))).collect();
    exchange.say(TextKey::AskPayment, &[("options", &options.join("\n"))]);
    true
}

/// Shows the summary of an order that lacks nothing.
pub fn summarise(exchange: &mut Exchange<'_>) {
    exchange.talk.phase = Phase::Confirming;
    if !quote::say_summary(exchange) {
        let (es, en) = ("Un pedido que no se puede sumar.", "An order that cannot be summed up.");
        takeover::call_human(exchange, es, en, TextKey::TooMuch);
    }
}

fn ask_address(exchange: &mut Exchange<'_>) {
    if !matches!(exchange.talk.phase, Phase::Address { .. }) {
        exchange.talk.phase = Phase::Address { tries: 0 };
    }
    match &exchange.talk.last_destination {
        Some(Destination::Delivery { address, .. }) => {
            let address = words::one_line(address, 200);
            exchange.say(TextKey::AskSameAddress, &[("address", &address)]);
        }
        _ => exchange.say(TextKey::AskAddress, &[]),
    }
}

fn is_below_minimum(exchange: &mut Exchange<'_>) -> bool {
    let settings = &exchange.restaurant.settings;
    let Some(minimum) = settings.delivery_cost.and_then(|cost| cost.minimum_order) else { return false };
    let Some(quote) = Quote::new(&exchange.talk.order, None, exchange.restaurant) else { return false };
    if quote.subtotal >= minimum {
        return false;
    }
    let missing = Money::new(minimum.amount() - quote.subtotal.amount()).to_string();
    exchange.say(TextKey::MinimumOrder, &[("minimum", &minimum.to_string()), ("missing", &missing)]);
    if settings.pick_up {
        exchange.say(TextKey::MinimumPickUp, &[]);
    }
    exchange.talk.phase = Phase::Ordering;
    true
}

/// An order is on its way to its summary.
pub fn is_under_way(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Way
            | Phase::Address { .. }
            | Phase::Phone
            | Phase::Payment
            | Phase::Confirming
            | Phase::Noting { .. }
            | Phase::Dropping
    )
}
