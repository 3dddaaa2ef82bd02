//! A text as the answer to the question that stands. Owns which words answer which question; a text with more in it is the parser's.

use super::{
    Restaurant, address_parts, asides,
    hearing::{HeardTurn, MAX_ADDRESS_CHARS},
    numbers, phrases,
    state::{ConversationState, Phase},
    words,
};
use crate::bot::{
    OrderState, address,
    intent::{self, Intent},
    order::Destination,
    payment::{self, PaymentMethod},
    text,
};

/// The answer to a question of the checkout.
#[derive(Debug, PartialEq)]
pub enum CheckoutAnswer {
    Yes,
    No,
    /// It answers nothing: the question is asked again.
    Unclear,
    PicksUp(bool),
    Address(String),
    /// Parts of an address that is there.
    Parts(Vec<(String, String)>),
    BadAddress,
    Waits,
    AsksReach,
    Phone(String),
    BadPhone,
    Payment(PaymentMethod),
    Order(usize),
    /// The order is refused, or it is not sure yet.
    BacksOut,
}

pub fn answer(talk: &ConversationState, restaurant: &Restaurant, said: &str) -> Option<CheckoutAnswer> {
    let plain = phrases::plain(said);
    if phrases::takes_the_same(&plain) {
        match talk.phase {
            Phase::Address { .. } if talk.last_destination.is_some() => return Some(CheckoutAnswer::Yes),
            Phase::Phone | Phase::Resuming => return Some(CheckoutAnswer::Yes),
            // Neither an amount nor an order is `the same`.
            Phase::Confirming | Phase::Noting { .. } | Phase::Dropping | Phase::CancelOrder { .. } => {
                return Some(CheckoutAnswer::Unclear);
            }
            _ => {}
        }
    }
    if let Some(answer) = decision(talk, restaurant, said, &plain) {
        return Some(answer);
    }
    let answer = match &talk.phase {
        Phase::Way => way(said, &plain),
        Phase::Address { tries } => address_of(restaurant, said, &plain, *tries),
        Phase::Phone => phone(said),
        Phase::Payment => {
            let methods = &restaurant.settings.payment_methods;
            let chosen = numbers::choice(said, methods.len()).and_then(|at| methods.iter().nth(at));
            chosen.copied().or_else(|| method(restaurant, said, &plain)).map(CheckoutAnswer::Payment)
        }
        Phase::Resuming => {
            asides::resumes(&plain).filter(|answer| *answer != CheckoutAnswer::Unclear || !says_more(restaurant, said))
        }
        Phase::CancelWhich => numbers::choice(said, talk.orders.len()).map(CheckoutAnswer::Order),
        _ => None,
    };
    answer.or_else(|| correction(talk, &plain))
}

/// Words that somebody begins with who chooses a method.
const BEFORE_A_METHOD: &[&str] =
    &["bueno", "listo", "ok", "pues", "entonces", "ah", "dale", "si", "mejor", "con", "por"];

/// `listo, por nequi`: a method, and no dish.
fn method(restaurant: &Restaurant, said: &str, plain: &str) -> Option<PaymentMethod> {
    if plain.split(' ').count() > 4 || said.contains('?') || asides::pays(plain) {
        return None;
    }
    let method = payment::stated(&text::fold(said))?;
    let is_alone = plain.split(' ').skip_while(|word| BEFORE_A_METHOD.contains(word)).count() == 1;
    let orders = || restaurant.parser.understand(said, &OrderState::default(), &[]).changes_order;
    (is_alone || !orders()).then_some(method)
}

/// An answer that decides about an order, beyond yes and no.
fn decision(talk: &ConversationState, restaurant: &Restaurant, said: &str, plain: &str) -> Option<CheckoutAnswer> {
    let is_summary = matches!(talk.phase, Phase::Confirming | Phase::Noting { .. } | Phase::Dropping);
    if is_summary || matches!(talk.phase, Phase::CancelOrder { .. }) {
        if asides::wavers(said, plain) {
            return Some(CheckoutAnswer::Unclear);
        }
        if asides::assents(plain) {
            return Some(CheckoutAnswer::Yes);
        }
    }
    // Outright words cancel by themselves.
    let cancels = intent::talk(plain) == Some(Intent::Cancel);
    let backs_out = is_summary && !cancels && !said.contains('?') && asides::backs_out(plain);
    (backs_out && !names_more(restaurant, said)).then_some(CheckoutAnswer::BacksOut)
}

/// A dish, an address or a payment is in the text too.
fn names_more(restaurant: &Restaurant, said: &str) -> bool {
    let understood = restaurant.parser.understand(said, &OrderState::default(), &[]);
    understood.changes_order || understood.address.is_some() || understood.payment.is_some()
}

/// `quiero dos salchipapas que no se demoren`: a doubt is not all that the text says.
fn says_more(restaurant: &Restaurant, said: &str) -> bool {
    let understood = restaurant.parser.understand(said, &OrderState::default(), &[]);
    let is_silent = match understood.intent {
        Intent::Other | Intent::Confirm | Intent::Deny | Intent::Greeting | Intent::Thanks => true,
        // `no recuerdo cómo era mi pedido` is about the one that was parked.
        Intent::Status => !said.contains('?'),
        Intent::Order
        | Intent::Menu
        | Intent::Hours
        | Intent::Price
        | Intent::Cancel
        | Intent::Human
        | Intent::Address => false,
    };
    !is_silent
        || understood.changes_order
        || !understood.unknown.is_empty()
        || !understood.unavailable.is_empty()
        || understood.address.is_some()
        || understood.payment.is_some()
}

/// A correction of the address, or a number that counts nothing: neither is a quantity of the dish that was named last.
fn correction(talk: &ConversationState, plain: &str) -> Option<CheckoutAnswer> {
    let is_late = talk.phase == Phase::Idle && talk.orders.iter().any(|order| !order.stage.is_final());
    let is_asked = super::checkout::is_under_way(&talk.phase);
    if !talk.order.ambiguous.is_empty() || !is_late && !is_asked {
        return None;
    }
    let parts = address_parts::address_parts(plain);
    let has_address = matches!(talk.destination, Some(Destination::Delivery { .. }));
    if !parts.is_empty() && (has_address || is_late && talk.order.lines.is_empty()) {
        return Some(CheckoutAnswer::Parts(parts));
    }
    // Behind the menu, `el 4` is a dish; a bare number answers the question first.
    let is_bare = address_parts::bare_number(plain).is_some_and(|is_bare| is_bare || !talk.numbers);
    (is_asked && is_bare).then_some(CheckoutAnswer::Unclear)
}

fn way(said: &str, plain: &str) -> Option<CheckoutAnswer> {
    if let Some(chosen) = numbers::choice(said, 2) {
        return Some(CheckoutAnswer::PicksUp(chosen == 1));
    }
    let is_short = plain.split(' ').count() <= 6 && address::find(said).is_none();
    let brings = is_short && !said.contains('?') && (phrases::asks_delivery(plain) || phrases::brings(plain));
    phrases::way(plain).or(brings.then_some(false)).filter(|_| is_short).map(CheckoutAnswer::PicksUp)
}

fn address_of(restaurant: &Restaurant, said: &str, plain: &str, tries: u8) -> Option<CheckoutAnswer> {
    let line = words::one_line(said, MAX_ADDRESS_CHARS);
    let is_question = said.contains('?');
    let is_way = phrases::way(plain).is_some() && plain.split(' ').count() <= 6;
    if address::find(said).is_some() || phrases::command(said).is_some() || is_way {
        return None;
    }
    if !is_question && address::answers(&line) {
        return Some(CheckoutAnswer::Address(line));
    }
    let has_number = line.chars().any(|c| c.is_ascii_digit());
    if asides::asks_reach(plain) && !has_number {
        return Some(CheckoutAnswer::AsksReach);
    }
    let understood = restaurant.parser.understand(said, &OrderState::default(), &[]);
    if is_question || understood.intent != Intent::Other || understood.changes_order {
        return None;
    }
    if payment::stated(&text::fold(said)).is_some() && !has_number || asides::pays(plain) {
        return None;
    }
    if asides::waits(plain) {
        return Some(CheckoutAnswer::Waits);
    }
    let words = line.split(' ').filter(|word| word.chars().any(char::is_alphanumeric)).count();
    // Somebody who was asked twice, and names a place, has no better address.
    let is_place = has_number || tries > 0 && asides::has_landmark(plain);
    let enough = words >= 2 && line.chars().count() >= 8 && is_place;
    Some(if enough { CheckoutAnswer::Address(line) } else { CheckoutAnswer::BadAddress })
}

fn phone(said: &str) -> Option<CheckoutAnswer> {
    match phrases::phone(said) {
        Some(phone) if address::find(said).is_none() => Some(CheckoutAnswer::Phone(phone)),
        _ => {
            let digits = said.chars().filter(char::is_ascii_digit).count();
            let letters = said.chars().filter(|c| c.is_alphabetic()).count();
            (digits > 0 && letters == 0).then_some(CheckoutAnswer::BadPhone)
        }
    }
}

pub fn take(answer: CheckoutAnswer, turn: &mut HeardTurn) {
    match answer {
        CheckoutAnswer::Yes => {
            turn.answers.push(true);
            turn.intent = Intent::Confirm;
        }
        CheckoutAnswer::No => {
            turn.answers.push(false);
            turn.intent = Intent::Deny;
        }
        CheckoutAnswer::Unclear => turn.nudges = true,
        CheckoutAnswer::PicksUp(picks_up) => turn.picks_up = Some(picks_up),
        CheckoutAnswer::Address(address) => {
            turn.address = Some(address);
            turn.intent = Intent::Address;
        }
        CheckoutAnswer::Parts(parts) => turn.address_parts = parts,
        CheckoutAnswer::BadAddress => turn.bad_address = true,
        CheckoutAnswer::Waits => turn.waits = true,
        CheckoutAnswer::AsksReach => turn.questions.push(super::hearing::Question::Delivery),
        CheckoutAnswer::Phone(phone) => turn.phone = Some(phone),
        CheckoutAnswer::BadPhone => turn.bad_phone = true,
        CheckoutAnswer::Payment(method) => turn.payment = Some(method),
        CheckoutAnswer::Order(at) => turn.chosen = Some(at),
        CheckoutAnswer::BacksOut => turn.backs_out = true,
    }
}
