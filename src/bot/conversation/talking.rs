//! The answer to a turn: which of its parts is answered, and in which order. Reads top to bottom; the details are its neighbours'.

use super::{
    Question, cancelling, checkout, doubts,
    exchange::{self, Exchange},
    form::{self, FilledForm},
    hearing::HeardTurn,
    late, orders,
    phrases::Command,
    questions, quote,
    state::{Phase, is_small},
    takeover, words,
};
use crate::bot::{
    OrderState,
    intent::{self, Intent},
    order::Destination,
    texts::TextKey,
};

/// Then a human asks.
const MAX_ADDRESS_TRIES: u8 = 3;

/// Answers a turn that was read. `is_fresh`: nobody had talked for long.
pub fn answer(exchange: &mut Exchange<'_>, heard: &HeardTurn, is_fresh: bool) {
    if heard.swears {
        let (es, en) = ("El cliente está molesto.", "The customer is upset.");
        return takeover::call_human(exchange, es, en, TextKey::HumanUpset);
    }
    if heard.says(&Command::Human) {
        let (es, en) = ("El cliente pide hablar con una persona.", "The customer asks for a person.");
        return takeover::call_human(exchange, es, en, TextKey::Human);
    }
    if heard.too_much {
        let (es, en) = ("Un pedido demasiado grande para el bot.", "An order that is too large for the bot.");
        return takeover::call_human(exchange, es, en, TextKey::TooMuch);
    }
    if is_fresh && (heard.changed || !heard.questions.is_empty()) {
        exchange.say(TextKey::Hello, &[]);
    }
    if let Some(words) = &heard.too_long {
        exchange.say(TextKey::TooLong, &[("words", words)]);
    }
    if late::answer(exchange, heard) {
        return;
    }
    late::tell_second(exchange, heard);
    if exchange.talk.phase == Phase::Resuming && (heard.is_no() || heard.changed || heard.has_details()) {
        // Details of the order that is not gone on with are no part of the next one.
        exchange.talk.forget_details();
    }
    let mut phase = exchange.talk.phase.clone();
    let shown = exchange.talk.shown.is_some();
    take_order(exchange, heard);
    checkout::take_details(exchange, heard);
    if cancelling::cancels(exchange, heard, &phase) {
        return;
    }
    if phase == Phase::Resuming && answer_resuming(exchange, heard) {
        return;
    }
    if let Phase::Noting { words } = &phase {
        if exchange.talk.phase == phase {
            exchange.talk.phase = Phase::Confirming;
        }
        if heard.is_yes() && !heard.is_beside() {
            checkout::note(&mut exchange.talk, words);
            exchange.progressed = true;
            return checkout::advance(exchange);
        }
        if heard.is_no() && !heard.is_beside() {
            return exchange.say(TextKey::ConfirmAgain, &[]);
        }
        phase = Phase::Confirming;
    }
    if cancelling::drops(exchange, heard, &phase) {
        return;
    }
    if phase == Phase::Dropping {
        phase = Phase::Confirming;
    }
    if heard.waits && !heard.is_beside() && heard.questions.is_empty() {
        return exchange.say(TextKey::Waiting, &[]);
    }
    if phase == Phase::Confirming && confirms(heard) {
        let remark = (!heard.remarks.is_empty()).then(|| heard.remarks.join(". "));
        if shown && orders::is_heard(exchange, heard.yes_at) {
            orders::confirm(exchange, remark.as_deref());
            questions::answer(exchange, heard);
        } else {
            // Without a summary that holds and that the customer has, a yes shows it anew.
            checkout::advance(exchange);
        }
        return;
    }
    let is_noted = matches!(phase, Phase::Confirming | Phase::Ordering | Phase::Form);
    if heard.says(&Command::Edit) || is_noted && heard.wants_change && !heard.is_beside() {
        return edit(exchange);
    }
    let has_answered = questions::answer(exchange, heard);
    doubts::tell(exchange, heard);
    ask_next(exchange, heard, &phase, is_fresh, has_answered);
}

/// A yes to the summary, and nothing besides that changes it or puts it in doubt.
fn confirms(heard: &HeardTurn) -> bool {
    let asks_price = heard.questions.iter().any(|question| matches!(question, Question::Price(_)));
    let is_plain = !heard.is_beside() && !heard.bad_address && !heard.waits && !heard.wants_change && !heard.nudges;
    heard.is_yes() && is_plain && heard.others.is_empty() && !asks_price && !heard.says(&Command::Edit)
}

fn take_order(exchange: &mut Exchange<'_>, heard: &HeardTurn) {
    // No part of the order: what the next message may be about.
    exchange.talk.order.asked.clone_from(&heard.order.asked);
    exchange.talk.order.removed.clone_from(&heard.order.removed);
    if !heard.changed && !heard.emptied {
        return;
    }
    exchange.talk.order = heard.order.clone();
    exchange.talk.shown = None;
    exchange.progressed = true;
}

/// `¿Seguimos?` True: the turn is answered.
fn answer_resuming(exchange: &mut Exchange<'_>, heard: &HeardTurn) -> bool {
    if heard.nudges && !heard.changed {
        ask_resume(exchange, heard, false);
        return true;
    }
    // Whatever else is said is answered, and the question stands.
    exchange.talk.phase = if heard.changed { Phase::Ordering } else { Phase::Resuming };
    let Some(kept) = exchange.talk.kept.clone() else {
        exchange.talk.phase = Phase::Ordering;
        return false;
    };
    if heard.is_yes() && !heard.is_done {
        let new = exchange.talk.order.clone();
        let joined = exchange::joined(kept, new);
        if !is_small(&joined) {
            let (es, en) = ("Un pedido demasiado grande para el bot.", "An order that is too large for the bot.");
            takeover::call_human(exchange, es, en, TextKey::TooMuch);
            return true;
        }
        exchange.talk.order = joined;
        exchange.talk.kept = None;
        exchange.talk.phase = Phase::Ordering;
        exchange.progressed = true;
        quote::prune(exchange);
        doubts::tell(exchange, heard);
        quote::say_basket(exchange);
        doubts::ask_open_wish(exchange);
        if exchange.talk.order.ambiguous.is_empty() && !exchange.talk.order.lines.is_empty() {
            exchange.say(TextKey::AnythingElse, &[]);
        }
        return true;
    }
    if heard.is_no() {
        exchange.talk.kept = None;
        exchange.talk.phase = Phase::Ordering;
        exchange.progressed = true;
        if !heard.changed && exchange.talk.order.ambiguous.is_empty() {
            if exchange.talk.order.lines.is_empty() {
                exchange.talk.phase = Phase::Idle;
                exchange.say(TextKey::ResumeDropped, &[]);
            } else {
                quote::say_basket(exchange);
                exchange.say(TextKey::AnythingElse, &[]);
            }
            return true;
        }
    }
    false
}

/// `editar`: the form again in the quick mode, a hint elsewhere.
fn edit(exchange: &mut Exchange<'_>) {
    exchange.talk.shown = None;
    exchange.progressed = true;
    if exchange.talk.order.lines.is_empty() {
        if doubts::ask_open_wish(exchange) {
            return;
        }
        if exchange.talk.kept.is_some() {
            return say_kept(exchange);
        }
        if exchange.restaurant.settings.quick_order_mode {
            return say_form(exchange, &FilledForm::default());
        }
        return exchange.say(TextKey::BasketEmpty, &[]);
    }
    if !exchange.restaurant.settings.quick_order_mode {
        exchange.talk.phase = Phase::Ordering;
        quote::say_basket(exchange);
        return exchange.say(TextKey::EditHint, &[]);
    }
    let talk = &exchange.talk;
    let language = exchange.language();
    let address = match &talk.destination {
        Some(Destination::Delivery { address, .. }) => address.clone(),
        _ => String::new(),
    };
    let known = FilledForm {
        name: exchange.customer_name().unwrap_or_default(),
        address,
        phone: talk.contact_phone.clone().unwrap_or_default(),
        order: quote::names(&talk.order.lines, exchange.menu(), language, ", "),
        payment: talk.payment.map(|method| words::payment(method, language)).unwrap_or_default().to_owned(),
        comment: talk.comment.clone(),
    };
    say_form(exchange, &known);
}

fn say_form(exchange: &mut Exchange<'_>, known: &FilledForm) {
    exchange.talk.phase = Phase::Form;
    exchange.say(TextKey::Form, &[]);
    exchange.end_message();
    let lines = exchange.text(TextKey::FormLines, &[]);
    exchange.say_text(form::write(&lines, known));
    exchange.end_message();
}

/// The basket if it changed, and the question that leads on.
fn ask_next(exchange: &mut Exchange<'_>, heard: &HeardTurn, phase: &Phase, is_fresh: bool, has_answered: bool) {
    let drops_wish = !exchange.talk.order.ambiguous.is_empty() && heard.is_no() && !heard.changed;
    if drops_wish {
        exchange.talk.order.ambiguous.remove(0);
        exchange.progressed = true;
        exchange.talk.wish_tries = 0;
        exchange.say(TextKey::WishDropped, &[]);
    }
    let drops_wish = drops_wish || doubts::give_up(exchange, heard, has_answered);
    let pruned = quote::prune(exchange);
    // A customer who orders on instead is asked again before the order is closed; whatever else is said, the question
    // stands.
    let was_asked = !is_fresh && *phase != Phase::Idle && (*phase != Phase::Resuming || heard.changed);
    if exchange.talk.kept.is_some() && !was_asked && exchange.talk.order.ambiguous.is_empty() {
        return ask_resume(exchange, heard, is_fresh);
    }
    let was_under_way = checkout::is_under_way(phase);
    let has_basket = !exchange.talk.order.lines.is_empty();
    if !has_basket && exchange.talk.order.ambiguous.is_empty() {
        return answer_without_basket(exchange, heard, is_fresh, has_answered);
    }
    let offered = heard.is_yes() && !heard.changed && checkout::take_offer(exchange);
    let others = heard.others.join(". ");
    if *phase == Phase::Confirming
        && !heard.changed
        && !heard.has_details()
        && !has_answered
        && others.contains(' ')
        && heard.wished_time.is_none()
    {
        let words = words::one_line(&others, 200);
        exchange.say(TextKey::AskNote, &[("words", &words)]);
        exchange.talk.phase = Phase::Noting { words };
        return;
    }
    let goes_on = heard.has_details() || offered;
    if heard.bad_address {
        let Phase::Address { tries } = &mut exchange.talk.phase else {
            return exchange.say(TextKey::AddressUnclear, &[]);
        };
        *tries = tries.saturating_add(1);
        if *tries < MAX_ADDRESS_TRIES {
            return exchange.say(TextKey::AddressUnclear, &[]);
        }
        let (es, en) = ("El cliente no logra dar su dirección.", "The customer cannot tell the address.");
        return takeover::call_human(exchange, es, en, TextKey::HumanInstead);
    }
    if heard.bad_phone {
        return exchange.say(TextKey::PhoneUnclear, &[]);
    }
    if heard.changed && !exchange.talk.order.ambiguous.is_empty() {
        quote::say_basket(exchange);
    }
    if doubts::ask_open_wish(exchange) {
        exchange.talk.shown = None;
        if *phase == Phase::Confirming || *phase == Phase::Idle || *phase == Phase::Form {
            exchange.talk.phase = Phase::Ordering;
        }
        return;
    }
    let is_done = heard.is_done
        || !heard.changed
            && matches!(phase, Phase::Ordering | Phase::Form)
            && (heard.is_yes() || heard.is_no())
            && !drops_wish;
    let is_new = heard.changed || pruned || drops_wish || heard.wished_time.is_some();
    let leads_on = is_done || goes_on || was_under_way && is_new;
    if leads_on && exchange.talk.kept.is_some() && !was_under_way {
        return ask_resume(exchange, heard, is_fresh);
    }
    if leads_on {
        let mark = exchange.mark();
        if heard.changed && !matches!(phase, Phase::Confirming) {
            quote::say_basket(exchange);
        }
        let said = mark..exchange.mark();
        checkout::advance(exchange);
        if exchange.talk.shown.is_some() {
            // The summary tells the basket too.
            exchange.take_back(said);
        }
        return;
    }
    if was_under_way {
        return ask_again(exchange, phase, heard, has_answered);
    }
    exchange.talk.phase = Phase::Ordering;
    if heard.changed || pruned {
        quote::say_basket(exchange);
    } else if !has_answered
        && !heard.has_doubts()
        && !heard.greets
        && !heard.thanks
        && !heard.nudges
        && !drops_wish
        && heard.wished_time.is_none()
    {
        exchange.say(TextKey::NotUnderstood, &[]);
    }
    if !heard.thanks || heard.changed {
        exchange.say(TextKey::AnythingElse, &[]);
    } else {
        exchange.say(TextKey::Thanks, &[]);
    }
}

/// The question of the checkout that stands, once more.
fn ask_again(exchange: &mut Exchange<'_>, phase: &Phase, heard: &HeardTurn, has_answered: bool) {
    let shown = exchange.talk.shown.clone();
    let knows = has_answered || heard.has_doubts() || heard.greets || heard.thanks || heard.nudges;
    match phase {
        // A no to the summary asks for the change.
        Phase::Confirming if heard.is_no() => {
            exchange.talk.phase = Phase::Ordering;
            exchange.talk.shown = None;
            exchange.say(TextKey::EditHint, &[]);
        }
        Phase::Confirming if shown.is_some() => {
            exchange.talk.shown = shown;
            exchange.say(TextKey::ConfirmAgain, &[]);
        }
        _ => {
            // A no to the own phone or the old address wants another.
            let refuses = heard.is_no();
            match phase {
                Phase::Phone if refuses => return exchange.say(TextKey::AskPhone, &[]),
                // `este mismo`, by somebody whose number nobody sees.
                Phase::Phone if heard.is_yes() => return exchange.say(TextKey::PhoneUnclear, &[]),
                Phase::Address { .. } if refuses => {
                    exchange.talk.last_destination = None;
                }
                _ if !knows => exchange.say(TextKey::NotUnderstood, &[]),
                _ => {}
            }
            checkout::advance(exchange);
        }
    }
}

fn ask_resume(exchange: &mut Exchange<'_>, heard: &HeardTurn, is_fresh: bool) {
    if heard.changed {
        quote::say_basket(exchange);
    } else if is_fresh && !exchange.has_said() {
        exchange.say(TextKey::Hello, &[]);
    }
    say_kept(exchange);
}

/// The order that was left lying, and the question whether it goes on.
pub fn say_kept(exchange: &mut Exchange<'_>) {
    let Some(kept) = &exchange.talk.kept else { return };
    let mut items = quote::names(&kept.lines, exchange.menu(), exchange.language(), "\n");
    if items.is_empty() {
        items = "…".to_owned();
    }
    exchange.say(TextKey::Resume, &[("items", &items)]);
    exchange.talk.phase = Phase::Resuming;
}

/// Nothing is in the basket: a greeting, thanks, or a text that was not understood.
fn answer_without_basket(exchange: &mut Exchange<'_>, heard: &HeardTurn, is_fresh: bool, has_answered: bool) {
    if heard.changed {
        // Line by line taken out.
        exchange.talk.phase = Phase::Idle;
        exchange.talk.shown = None;
        return exchange.say(TextKey::Emptied, &[]);
    }
    if has_answered || heard.has_doubts() && heard.too_long.is_none() {
        return;
    }
    if heard.nudges && !is_fresh && exchange.talk.orders.iter().any(|order| !order.stage.is_final()) {
        return orders::say_status(exchange);
    }
    if heard.is_sign && !is_fresh {
        return;
    }
    if confirms_again(exchange, heard) {
        return orders::say_status(exchange);
    }
    let wants_nothing = (heard.thanks || heard.is_no() || heard.is_yes()) && !is_fresh;
    let quick = exchange.restaurant.settings.quick_order_mode;
    if quick && !wants_nothing && (is_fresh || heard.greets || heard.intent == Intent::Order) {
        return say_form(exchange, &FilledForm::default());
    }
    if is_fresh && heard.others.is_empty() && !heard.has_details() || heard.greets || heard.nudges {
        return exchange.say(TextKey::Welcome, &[]);
    }
    if is_fresh {
        exchange.say(TextKey::Hello, &[]);
        return exchange.say(if heard.others.is_empty() { TextKey::BasketEmpty } else { TextKey::NotUnderstood }, &[]);
    }
    if heard.thanks {
        // Thanks for thanks would never end.
        if intent::talk(&exchange.talk.last_text) != Some(Intent::Thanks) {
            exchange.say(TextKey::Thanks, &[]);
        }
        return;
    }
    if wants_nothing && exchange.talk.orders.iter().any(|order| !order.stage.is_final()) && !heard.is_done {
        return;
    }
    if wants_nothing || heard.has_details() || heard.is_done || heard.intent == Intent::Order {
        return exchange.say(TextKey::BasketEmpty, &[]);
    }
    exchange.say(TextKey::NotUnderstood, &[]);
}

/// A yes to an order that is placed already: who says it does not know that, and is told. `dale` and `ok` only take note.
fn confirms_again(exchange: &Exchange<'_>, heard: &HeardTurn) -> bool {
    let has_open = exchange.talk.orders.iter().any(|order| !order.stage.is_final());
    let first = heard.last_text.split(' ').next().unwrap_or_default();
    let is_outright = matches!(first, "si" | "sii" | "sip" | "yes" | "yep") || first.starts_with("confirm");
    let is_alone = !heard.has_details() && !heard.thanks && heard.others.is_empty();
    has_open && heard.is_yes() && is_alone && (is_outright || heard.is_done)
}

/// One polite answer to what cannot be read, and not one each.
pub fn answer_media(exchange: &mut Exchange<'_>, heard: &HeardTurn) {
    if heard.has_picture && late::tell_receipt(exchange) {
        return;
    }
    if heard.has_cart {
        return exchange.say(TextKey::Cart, &[]);
    }
    let quiet = exchange.restaurant.settings.idle_minutes;
    let minutes = |at| exchange.moment.now.duration_since(at).as_mins();
    if exchange.talk.media_told_at.is_some_and(|at| minutes(at) < i64::from(quiet)) {
        return;
    }
    exchange.talk.media_told_at = Some(exchange.moment.now);
    exchange.say(TextKey::Media, &[]);
}

/// Tells the basket after an edit, and leads on.
pub fn tell_correction(exchange: &mut Exchange<'_>) {
    exchange.say(TextKey::Corrected, &[]);
    quote::prune(exchange);
    let was_under_way = checkout::is_under_way(&exchange.talk.phase);
    let is_empty = |order: &OrderState| order.lines.is_empty() && order.ambiguous.is_empty();
    if is_empty(&exchange.talk.order) {
        exchange.talk.phase = Phase::Idle;
        return exchange.say(TextKey::BasketEmpty, &[]);
    }
    if !(exchange.talk.phase == Phase::Confirming && exchange.talk.order.ambiguous.is_empty()) {
        quote::say_basket(exchange);
    }
    if doubts::ask_open_wish(exchange) {
        exchange.talk.phase = Phase::Ordering;
        return;
    }
    if was_under_way {
        return checkout::advance(exchange);
    }
    exchange.talk.phase = Phase::Ordering;
    exchange.say(TextKey::AnythingElse, &[]);
}
