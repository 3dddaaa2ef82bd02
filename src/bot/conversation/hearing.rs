//! The customer's messages of one turn, read: the order afterwards, answers to what was asked, and the rest of what they say. Says and
//! places nothing.

use jiff::Timestamp;

use super::{
    Restaurant, Said, Utterance, answering,
    asides::{self, Amendment},
    exchange, form, kept_words, menu_pages,
    order_reading::{OrderReader, OrderReading},
    phrases::{self, Command},
    repeating,
    state::{ConversationState, HeardText, Phase, is_small},
    taking, wished_time, words,
};
use crate::bot::{
    OrderState,
    basket::BasketLine,
    intent::{self, Intent},
    payment::{self, PaymentMethod},
    text::token::emoji_food,
};

/// Longer texts are read up to here: the parser takes no more.
const MAX_TEXT_BYTES: usize = 4_000;
const MAX_TEXT_WORDS: usize = 300;
pub const MAX_ADDRESS_CHARS: usize = 200;
pub const MAX_COMMENT_CHARS: usize = 200;
/// Texts beyond that many a turn come from no person.
const MAX_MESSAGES: usize = 30;

#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// In the customer's words.
    Menu(String),
    Price(String),
    Hours,
    Status,
    /// The time until it comes.
    Wait,
    Delivery,
    Payments,
    Place,
    /// Whether a person answers.
    Bot,
}

/// All that a turn said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeardTurn {
    pub intent: Intent,
    /// As it is after the turn.
    pub order: OrderState,
    pub changed: bool,
    /// The customer cancelled the order.
    pub emptied: bool,
    pub commands: Vec<Command>,
    pub answers: Vec<bool>,
    /// When the first yes was said.
    pub yes_at: Option<Timestamp>,
    pub is_done: bool,
    pub questions: Vec<Question>,
    pub unknown: Vec<String>,
    pub unavailable: Vec<BasketLine>,
    /// Ids of dishes among which too many fit a wish.
    pub crowded: Vec<String>,
    pub address: Option<String>,
    pub location: Option<(f64, f64)>,
    pub bad_address: bool,
    pub picks_up: Option<bool>,
    pub payment: Option<PaymentMethod>,
    pub phone: Option<String>,
    pub bad_phone: bool,
    pub comment: Option<String>,
    pub name: Option<String>,
    /// `apto 501`: in the place of that part of the address.
    pub address_parts: Vec<(String, String)>,
    /// Words about the bill that is paid with.
    pub bill: Option<String>,
    /// Words for the courier.
    pub courier: Option<String>,
    /// Words about the time for which the order is wished.
    pub wished_time: Option<String>,
    /// An answer is to come.
    pub waits: bool,
    /// Something is to be changed, and it is not said to what.
    pub wants_change: bool,
    /// Something is to be added to what is there, or changed about it.
    pub amends: Option<Amendment>,
    /// A number stands in the words.
    pub counts: bool,
    /// `otro pedido`.
    pub begins_anew: bool,
    /// Two ways to pay at once.
    pub pays_twice: bool,
    /// The customer has paid.
    pub pays: bool,
    /// Nothing is said, and an answer is expected.
    pub nudges: bool,
    /// The order is refused, or it is not sure yet.
    pub backs_out: bool,
    /// Nothing but a thumb or the like says yes.
    pub is_sign: bool,
    /// The order of a list of orders, from zero on.
    pub chosen: Option<usize>,
    pub no_numbers: Vec<usize>,
    pub no_lines: Vec<usize>,
    pub which_number: Option<usize>,
    pub too_long: Option<String>,
    pub too_much: bool,
    pub repeats_nothing: bool,
    pub swears: bool,
    pub greets: bool,
    pub thanks: bool,
    pub has_media: bool,
    pub has_picture: bool,
    /// A cart of the catalogue, whose dishes cannot be read.
    pub has_cart: bool,
    /// Texts that meant nothing to the bot.
    pub others: Vec<String>,
    /// Words beside a yes.
    pub remarks: Vec<String>,
    pub last_text: String,
}

impl HeardTurn {
    pub fn says(&self, command: &Command) -> bool {
        self.commands.contains(command)
    }

    /// All answers were yes.
    pub fn is_yes(&self) -> bool {
        !self.answers.is_empty() && self.answers.iter().all(|answer| *answer)
    }

    pub fn is_no(&self) -> bool {
        self.answers.last() == Some(&false)
    }

    /// Something besides dishes changes the order's delivery or payment.
    pub fn has_details(&self) -> bool {
        self.pays_twice
            || self.address.is_some()
            || self.location.is_some()
            || self.picks_up.is_some()
            || self.payment.is_some()
            || self.phone.is_some()
            || self.comment.is_some()
            || self.name.is_some()
            || self.bill.is_some()
            || self.courier.is_some()
            || !self.address_parts.is_empty()
    }

    /// Something stands beside a yes or a no that changes the order or puts it in doubt.
    pub fn is_beside(&self) -> bool {
        self.changed || self.has_details() || self.has_doubts() || self.wished_time.is_some()
    }

    /// Something about dishes is open or could not be had.
    pub fn has_doubts(&self) -> bool {
        !self.unknown.is_empty()
            || !self.unavailable.is_empty()
            || !self.crowded.is_empty()
            || !self.no_numbers.is_empty()
            || !self.no_lines.is_empty()
            || self.which_number.is_some()
            || self.repeats_nothing
            || self.too_long.is_some()
    }
}

/// Reads the messages of a turn, one after the other, and remembers their texts for edits to come.
pub fn hear(talk: &mut ConversationState, restaurant: &Restaurant, messages: &[Said]) -> HeardTurn {
    let mut turn = HeardTurn { order: talk.order.clone(), ..HeardTurn::default() };
    for message in messages.iter().take(MAX_MESSAGES) {
        let answers = turn.answers.len();
        match &message.what {
            Utterance::Text(text) => hear_text(talk, restaurant, &message.id, text, &mut turn),
            Utterance::Caption(text) => {
                turn.has_picture = true;
                hear_text(talk, restaurant, &message.id, text, &mut turn);
            }
            Utterance::Location { latitude, longitude, name } => {
                let is_place = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
                if is_place {
                    // To the tenth of a metre; such numbers are stored and read without loss.
                    let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
                    turn.location = Some((round(*latitude), round(*longitude)));
                    let name = words::one_line(name, MAX_ADDRESS_CHARS);
                    turn.address = turn.address.take().or((!name.is_empty()).then_some(name));
                    turn.intent = Intent::Address;
                }
            }
            Utterance::Picture | Utterance::Document => {
                turn.has_media = true;
                turn.has_picture = true;
            }
            Utterance::Contact(phone) if talk.phase == Phase::Phone && phrases::phone(phone).is_some() => {
                turn.phone = phrases::phone(phone);
                words::cut(phone, 20).clone_into(&mut turn.last_text);
            }
            Utterance::Cart => {
                turn.has_media = true;
                turn.has_cart = true;
            }
            Utterance::Voice | Utterance::Sticker | Utterance::Call | Utterance::Contact(_) | Utterance::Unreadable => {
                turn.has_media = true
            }
            Utterance::Silent => {}
        }
        if turn.answers[answers..].contains(&true) {
            turn.yes_at = Some(turn.yes_at.map_or(message.at, |at| at.min(message.at)));
        }
    }
    turn
}

/// The part of a text that is read, and the words at which it is cut.
fn readable(said: &str) -> (&str, Option<String>) {
    let mut end = said.len().min(MAX_TEXT_BYTES);
    while !said.is_char_boundary(end) {
        end -= 1;
    }
    let mut words = 0;
    let mut in_word = false;
    for (at, c) in said[..end].char_indices() {
        if !c.is_whitespace() && !in_word {
            words += 1;
            if words > MAX_TEXT_WORDS {
                end = at;
                break;
            }
        }
        in_word = !c.is_whitespace();
    }
    let read = &said[..end];
    if end == said.len() {
        return (read, None);
    }
    let last: Vec<&str> = read.split_whitespace().rev().take(4).collect();
    (read, Some(words::one_line(&last.into_iter().rev().collect::<Vec<_>>().join(" "), 60)))
}

fn hear_text(talk: &mut ConversationState, restaurant: &Restaurant, id: &str, said: &str, turn: &mut HeardTurn) {
    let (said, cut) = readable(said);
    turn.too_long = cut.or(turn.too_long.take());
    let plain = phrases::plain(said);
    if plain.is_empty() {
        return hear_signs(said, turn);
    }
    turn.last_text = words::cut(&plain, 200).to_owned();
    if let Some(comment) = phrases::comment(said) {
        turn.comment = Some(words::one_line(comment, MAX_COMMENT_CHARS));
        return;
    }
    // Of the message before, and so of this one alone.
    let (asked, removed) = (turn.order.asked.take(), std::mem::take(&mut turn.order.removed));
    let mut heard = HeardText {
        id: words::cut(id, 100).to_owned(),
        text: said.to_owned(),
        before: turn.order.clone(),
        numbers: talk.numbers,
        answered: None,
    };
    let resumed = goes_on(talk, restaurant, said, turn);
    let said = resumed.as_deref().unwrap_or(said);
    heard.before = OrderState { asked: asked.clone(), removed: removed.clone(), ..turn.order.clone() };
    let is_form = match form::read(said) {
        Some(form) => {
            taking::take_form(form, turn);
            true
        }
        None => false,
    };
    let timed = if is_form { said.to_owned() } else { asides::without_own_refusal(&without_asides(said, turn)) };
    // `mejor mañana`, to a summary, is no time for which the order is wished.
    let backs_out =
        !is_form && answering::answer(talk, restaurant, &timed) == Some(answering::CheckoutAnswer::BacksOut);
    if !backs_out {
        turn.wished_time = wished_time::find(&timed, false).or(turn.wished_time.take());
    }
    let said = if is_form || backs_out { timed.clone() } else { wished_time::without(&timed) };
    let said = said.as_str();
    let plain = phrases::plain(said);
    if plain.is_empty() {
        return;
    }
    heard.text = said.to_owned();
    if !is_form && phrases::asks_own_order(&plain) {
        taking::take_command(Command::View, turn);
        turn.intent = Intent::Status;
        remember(talk, heard);
        return;
    }
    if !is_form && let Some(answer) = answering::answer(talk, restaurant, said) {
        answering::take(answer, turn);
        heard.answered = Some(talk.phase.clone());
        remember(talk, heard);
        return;
    }
    if !is_form && let Some(reading) = repeating::read(talk, restaurant, &turn.order, said) {
        turn.answers.push(true);
        if reading.changed {
            turn.changed = true;
            // An edit would read these words as an order of their own.
            talk.heard.clear();
        } else {
            heard.answered = Some(talk.phase.clone());
            remember(talk, heard);
        }
        turn.order = reading.order;
        turn.address =
            reading.address.map(|address| words::one_line(&address, MAX_ADDRESS_CHARS)).or(turn.address.take());
        turn.payment = reading.payment.or(turn.payment);
        turn.wished_time = wished_time::find(&timed, true).or(turn.wished_time.take());
        turn.intent = Intent::Confirm;
        return;
    }
    // `ya`, with dishes noted and nothing asked, is `listo`.
    let is_ready =
        talk.phase == Phase::Ordering && matches!(plain.as_str(), "ya" | "ya esta" | "ya listo" | "asi esta bien");
    match phrases::command(said).or(is_ready.then_some(Command::Done)) {
        Some(Command::Remove(_)) | None => {}
        // It accepts the number that was proposed.
        Some(Command::Yes) if proposes_number(&turn.order) && intent::talk(&plain) == Some(Intent::Confirm) => {}
        Some(command) => {
            taking::take_command(command, turn);
            remember(talk, heard);
            return;
        }
    }
    let (said, phone) = if is_form { (said.to_owned(), None) } else { without_phone(said) };
    if let Some(phone) = phone {
        turn.phone = Some(phone);
        heard.answered = said.trim().is_empty().then_some(Phase::Phone);
    }
    let previous = talk.heard.iter().rev().find(|heard| heard.answered.is_none()).map(|heard| heard.text.clone());
    let history = std::mem::take(&mut talk.history);
    let reader = OrderReader { restaurant, history: &history, numbers: talk.numbers };
    let is_rough = phrases::swears(&plain) && !phrases::insults(&plain);
    let said = if is_rough { phrases::without_swearing(&said) } else { said };
    // `se me olvidó una coca` wants one, and is no complaint.
    let said = asides::without_forgetting(&said);
    let before = OrderState { asked, removed, ..turn.order.clone() };
    let mut reading = reader.read(&before, &said, previous.as_deref());
    talk.history = history;
    let units = |order: &OrderState| order.lines.iter().map(|line| u64::from(line.qty)).sum::<u64>();
    let adds = units(&reading.order) > units(&turn.order);
    if reading.intent != Some(Intent::Cancel) && !adds && asides::wants_no_more(&plain) {
        refuse_wish(&mut reading, &turn.order);
    }
    if super::checkout::is_under_way(&talk.phase)
        && only_notes_differ(&reading.order, &turn.order)
        && asides::is_of_place(&plain)
    {
        // `no tiene nomenclatura` is for the courier, and no way to make a dish.
        turn.courier = Some(words::one_line(&said, MAX_COMMENT_CHARS));
        turn.intent = Intent::Address;
        return;
    }
    if !reading.changed && !reading.is_settled && menu_pages::is_category(restaurant.parser.menu(), &said) {
        reading.unknown.clear();
        reading.intent = Some(Intent::Menu);
    }
    if reading.address.is_some() && !reading.changed {
        heard.answered = Some(Phase::Address { tries: 0 });
    }
    remember(talk, heard);
    // A customer who swears at a forgotten drink wants the drink.
    turn.swears |= phrases::swears(&plain) && (!reading.changed || phrases::insults(&plain));
    let folded = crate::bot::text::fold(&said);
    if intent::asks_bot(&plain, said.contains('?')) {
        turn.questions.push(Question::Bot);
    }
    turn.amends = turn.amends.max(asides::amends(&plain));
    turn.counts |= asides::counts(&plain);
    turn.begins_anew |= asides::begins_anew(&plain);
    turn.pays_twice |= payment::is_mixed(&folded) && reading.payment.is_none();
    let is_plain = !reading.changed && !said.contains('?') && reading.address.is_none();
    let is_pure = is_plain && reading.payment.is_none();
    if is_plain && asides::pays(&plain) {
        turn.pays = true;
        return;
    }
    let is_checkout = super::checkout::is_under_way(&talk.phase);
    let is_summary = matches!(talk.phase, Phase::Confirming | Phase::Noting { .. } | Phase::Dropping);
    if reading.changed {
        turn.wished_time = wished_time::find(&timed, true).or(turn.wished_time.take());
    }
    let is_late = talk.phase == Phase::Idle && talk.orders.iter().any(|order| !order.stage.is_final());
    let has_open_order = talk.orders.iter().any(|order| !order.stage.is_final());
    let asks_status = is_late || has_open_order && said.contains('?') && !plain.ends_with("entonces");
    if asks_status && !reading.changed && asides::asks_status(&plain) {
        turn.intent = Intent::Status;
        turn.questions.push(Question::Status);
        return;
    }
    let takes_out = is_late && turn.order.lines.is_empty() && asides::takes_out(&plain);
    let is_noted = matches!(talk.phase, Phase::Ordering | Phase::Form) && !turn.order.lines.is_empty();
    if is_pure && ((is_summary || is_late || is_noted) && asides::changes(&plain) || takes_out) {
        turn.wants_change = true;
        return;
    }
    if is_pure && is_checkout && asides::waits(&plain) && !plain.starts_with("no ") {
        turn.waits = true;
        return;
    }
    if is_checkout && !reading.changed && asides::laughs(&plain) {
        turn.nudges = true;
        return;
    }
    if is_summary && !reading.changed && asides::is_fine(&said) {
        turn.answers.push(talk.phase != Phase::Dropping);
        return;
    }
    taking::take_reading(reading, &said, &plain, turn);
}

/// `sí, y una gaseosa`, `sí pero sin cebolla`, to `¿seguimos con él?`, and `que sean dos` before anything is asked: the order goes on, and
/// the rest is read in it.
fn goes_on(talk: &mut ConversationState, restaurant: &Restaurant, said: &str, turn: &mut HeardTurn) -> Option<String> {
    let kept = talk.kept.clone()?;
    let confirmed = if talk.phase == Phase::Resuming { asides::behind_yes(said) } else { None };
    let rest = match confirmed {
        Some(rest) => rest,
        None if changes_kept(talk, restaurant, &kept, said, turn) => said.to_owned(),
        None => return None,
    };
    let joined = exchange::joined(kept, turn.order.clone());
    if !is_small(&joined) {
        return None;
    }
    talk.kept = None;
    talk.phase = Phase::Ordering;
    turn.order = joined;
    turn.changed = true;
    Some(rest)
}

/// `que sean dos`, `otra igual`, with nothing in the basket: only the order that was put aside can be meant. As a new order it would be
/// added to that one.
fn changes_kept(
    talk: &ConversationState,
    restaurant: &Restaurant,
    kept: &OrderState,
    said: &str,
    turn: &HeardTurn,
) -> bool {
    let plain = phrases::plain(said);
    let refuses = talk.phase == Phase::Resuming && plain.starts_with("no ");
    let is_empty = turn.order.lines.is_empty() && turn.order.ambiguous.is_empty();
    if !is_empty || refuses || asides::begins_anew(&plain) {
        return false;
    }
    let Some(amendment) = asides::amends(&plain) else { return false };
    let reader = OrderReader { restaurant, history: &talk.history, numbers: talk.numbers };
    let is_about_kept = amendment == Amendment::Change
        || phrases::one_more(&plain).is_some()
        // Without that order the words mean no dish.
        || !reader.read(&turn.order, said, None).changed;
    is_about_kept && reader.read(kept, said, None).changed
}

/// The same dishes and units, prepared otherwise.
fn only_notes_differ(order: &OrderState, before: &OrderState) -> bool {
    let is_same = |(line, old): (&BasketLine, &BasketLine)| line.item == old.item && line.qty == old.qty;
    order.lines != before.lines
        && order.lines.len() == before.lines.len()
        && order.ambiguous == before.ambiguous
        && order.lines.iter().zip(&before.lines).all(is_same)
}

/// `no quiero más cocas`: the question that stands is answered, and none is opened.
fn refuse_wish(reading: &mut OrderReading, before: &OrderState) {
    let open = before.ambiguous.iter().skip(1).cloned().collect();
    reading.order = OrderState { ambiguous: open, ..before.clone() };
    reading.changed = !before.ambiguous.is_empty();
    reading.intent = Some(if reading.changed { Intent::Order } else { Intent::Deny });
}

/// `¿Le anoto 400?`
fn proposes_number(order: &OrderState) -> bool {
    let wish = order.ambiguous.first();
    wish.is_some_and(|wish| wish.asks_number && wish.qty > 0 && wish.candidates.len() == 1)
}

/// A thumb is a yes, folded hands thank, a row of question marks wants an answer, a dish asks what there is of it; other signs say nothing.
fn hear_signs(said: &str, turn: &mut HeardTurn) {
    let has = |signs: &[char]| said.contains(signs);
    if has(&['👎', '❌']) {
        turn.answers.push(false);
    } else if has(&['👍', '👌', '✅', '✔', '☑', '🆗']) && !has(&['?', '¿']) {
        turn.answers.push(true);
        turn.is_sign = true;
    } else if has(&['🙏']) {
        // It asks or thanks, and orders nothing.
        turn.thanks = true;
        turn.is_sign = true;
    } else if has(&['?', '¿']) {
        turn.nudges = true;
    } else if let Some(food) = said.chars().find_map(emoji_food) {
        // It may decorate: what there is of it is shown, and nothing is noted.
        turn.questions.push(Question::Menu(food.to_owned()));
        turn.intent = Intent::Menu;
    } else {
        return;
    }
    turn.last_text = words::cut(said.trim(), 20).to_owned();
}

/// The text without a name, and without words about a bill or to the courier, which are kept as they are.
fn without_asides(said: &str, turn: &mut HeardTurn) -> String {
    let mut said = said.to_owned();
    if let Some((rest, name)) = kept_words::name(&said) {
        turn.name = Some(name);
        said = rest;
    }
    if let Some((rest, courier)) = kept_words::courier(&said) {
        turn.courier = Some(courier);
        said = rest;
    }
    if let Some((rest, bill)) = kept_words::bill(&said) {
        turn.bill = Some(bill);
        turn.payment = Some(PaymentMethod::Efectivo);
        said = rest;
    }
    said
}

fn remember(talk: &mut ConversationState, heard: HeardText) {
    talk.heard.retain(|other| other.id != heard.id);
    talk.heard.push(heard);
    talk.trim();
}

/// The text without a phone in it: its digits are no quantity.
fn without_phone(said: &str) -> (String, Option<String>) {
    match phrases::mobile(said) {
        Some((range, phone)) => {
            let rest = format!("{} {}", &said[..range.start], &said[range.end..]);
            let plain = phrases::plain(&rest);
            let announces = plain.split(' ').all(|word| {
                matches!(
                    word,
                    "" | "mi"
                        | "el"
                        | "numero"
                        | "cel"
                        | "celular"
                        | "tel"
                        | "telefono"
                        | "es"
                        | "al"
                        | "contacto"
                        | "de"
                        | "phone"
                        | "my"
                        | "is"
                        | "number"
                )
            });
            (if announces { String::new() } else { rest }, Some(phone))
        }
        None => (said.to_owned(), None),
    }
}
