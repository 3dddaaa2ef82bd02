//! The customer's messages of one turn, read: the order afterwards, answers to what was asked, and the rest of what they say. Says and
//! places nothing.

use jiff::Timestamp;

use super::{
    Restaurant, Said, Utterance,
    form::{self, FilledForm},
    menu_pages, numbers,
    order_reading::{OrderReading, Reader},
    phrases::{self, Command},
    state::{Conversation, HeardText, Phase},
    words,
};
use crate::bot::{
    OrderState, address,
    basket::BasketLine,
    intent::Intent,
    payment::{self, PaymentMethod},
    text,
};

/// Longer texts are read up to here: the parser takes no more.
const MAX_TEXT_BYTES: usize = 4_000;
const MAX_TEXT_WORDS: usize = 300;
const MAX_ADDRESS_CHARS: usize = 200;
const MAX_COMMENT_CHARS: usize = 200;
/// Texts beyond that many a turn come from no person.
const MAX_MESSAGES: usize = 30;

#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// In the customer's words.
    Menu(String),
    Price(String),
    Hours,
    Status,
    Delivery,
    Payments,
    Place,
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
        self.address.is_some()
            || self.location.is_some()
            || self.picks_up.is_some()
            || self.payment.is_some()
            || self.phone.is_some()
            || self.comment.is_some()
            || self.name.is_some()
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

/// The answer to a question of the checkout.
#[derive(Debug, PartialEq)]
enum Answer {
    Yes,
    PicksUp(bool),
    Address(String),
    BadAddress,
    Phone(String),
    BadPhone,
    Payment(PaymentMethod),
    Order(usize),
}

fn answer(talk: &Conversation, restaurant: &Restaurant, said: &str) -> Option<Answer> {
    let offers = match talk.phase {
        Phase::Address { .. } => talk.last_destination.is_some(),
        Phase::Phone | Phase::Confirming | Phase::Resuming | Phase::CancelOrder { .. } => true,
        _ => false,
    };
    if offers && phrases::takes_the_same(&phrases::plain(said)) {
        return Some(Answer::Yes);
    }
    match talk.phase {
        Phase::Way => match numbers::choice(said, 2) {
            Some(chosen) => Some(Answer::PicksUp(chosen == 1)),
            None => {
                let plain = phrases::plain(said);
                let is_short = plain.split(' ').count() <= 6 && address::find(said).is_none();
                let brings = is_short && !said.contains('?') && phrases::asks_delivery(&plain);
                phrases::way(&plain).or(brings.then_some(false)).filter(|_| is_short).map(Answer::PicksUp)
            }
        },
        Phase::Address { tries } => {
            let line = words::one_line(said, MAX_ADDRESS_CHARS);
            let is_question = said.contains('?');
            let plain = phrases::plain(said);
            let is_way = phrases::way(&plain).is_some() && plain.split(' ').count() <= 6;
            if address::find(said).is_some() || phrases::command(said).is_some() || is_way {
                return None;
            }
            if !is_question && address::answers(&line) {
                return Some(Answer::Address(line));
            }
            let understood = restaurant.parser.understand(said, &OrderState::default(), &[]);
            if is_question || understood.intent != Intent::Other || understood.changes_order {
                return None;
            }
            let words = line.split(' ').filter(|word| word.chars().any(char::is_alphanumeric)).count();
            let has_number = line.chars().any(|c| c.is_ascii_digit());
            let enough = words >= 2 && line.chars().count() >= 8 && (has_number || tries > 0);
            Some(if enough { Answer::Address(line) } else { Answer::BadAddress })
        }
        Phase::Phone => match phrases::phone(said) {
            Some(phone) if address::find(said).is_none() => Some(Answer::Phone(phone)),
            _ => {
                let digits = said.chars().filter(char::is_ascii_digit).count();
                let letters = said.chars().filter(|c| c.is_alphabetic()).count();
                (digits > 0 && letters == 0).then_some(Answer::BadPhone)
            }
        },
        Phase::Payment => {
            let methods = &restaurant.settings.payment_methods;
            let chosen = numbers::choice(said, methods.len()).and_then(|at| methods.iter().nth(at));
            chosen.copied().map(Answer::Payment)
        }
        Phase::CancelWhich => numbers::choice(said, talk.orders.len()).map(Answer::Order),
        _ => None,
    }
}

/// Reads the messages of a turn, one after the other, and remembers their texts for edits to come.
pub fn hear(talk: &mut Conversation, restaurant: &Restaurant, messages: &[Said]) -> HeardTurn {
    let mut turn = HeardTurn { order: talk.order.clone(), ..HeardTurn::default() };
    for message in messages.iter().take(MAX_MESSAGES) {
        let answers = turn.answers.len();
        match &message.what {
            Utterance::Text(text) => hear_text(talk, restaurant, &message.id, text, &mut turn),
            Utterance::Caption(text) => {
                turn.has_media = true;
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
            Utterance::Voice | Utterance::Sticker | Utterance::Call => turn.has_media = true,
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

fn hear_text(talk: &mut Conversation, restaurant: &Restaurant, id: &str, said: &str, turn: &mut HeardTurn) {
    let (said, cut) = readable(said);
    turn.too_long = cut.or(turn.too_long.take());
    let plain = phrases::plain(said);
    if plain.is_empty() && said.trim().is_empty() {
        return;
    }
    turn.last_text = words::cut(&plain, 200).to_owned();
    turn.swears |= phrases::swears(&plain);
    if let Some(comment) = phrases::comment(said) {
        turn.comment = Some(words::one_line(comment, MAX_COMMENT_CHARS));
        return;
    }
    let mut heard = HeardText {
        id: words::cut(id, 100).to_owned(),
        text: said.to_owned(),
        before: turn.order.clone(),
        numbers: talk.numbers,
        answered: None,
    };
    let is_form = match form::read(said) {
        Some(form) => {
            take_form(form, turn);
            true
        }
        None => false,
    };
    if !is_form && let Some(answer) = answer(talk, restaurant, said) {
        take_answer(answer, turn);
        heard.answered = Some(talk.phase.clone());
        remember(talk, heard);
        return;
    }
    match phrases::command(said) {
        Some(Command::Remove(_)) | None => {}
        Some(command) => {
            take_command(command, turn);
            remember(talk, heard);
            return;
        }
    }
    let (said, phone) = without_phone(said);
    if let Some(phone) = phone {
        turn.phone = Some(phone);
        heard.answered = said.trim().is_empty().then_some(Phase::Phone);
    }
    let previous = talk.heard.iter().rev().find(|heard| heard.answered.is_none()).map(|heard| heard.text.clone());
    let history = std::mem::take(&mut talk.history);
    let reader = Reader { restaurant, history: &history, numbers: talk.numbers };
    let mut reading = reader.read(&turn.order, &said, previous.as_deref());
    talk.history = history;
    if !reading.changed && !reading.is_settled && menu_pages::is_category(restaurant.parser.menu(), &said) {
        reading.unknown.clear();
        reading.intent = Some(Intent::Menu);
    }
    if reading.address.is_some() && !reading.changed {
        heard.answered = Some(Phase::Address { tries: 0 });
    }
    remember(talk, heard);
    take_reading(reading, &said, &plain, turn);
}

fn remember(talk: &mut Conversation, heard: HeardText) {
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

fn take_form(form: FilledForm, turn: &mut HeardTurn) {
    let line = |text: &str, most| Some(words::one_line(text, most)).filter(|text| !text.is_empty());
    turn.name = line(&form.name, 60).or(turn.name.take());
    let picks_up = phrases::way(&phrases::plain(&form.address)) == Some(true);
    if picks_up {
        turn.picks_up = Some(true);
    } else {
        turn.address = line(&form.address, MAX_ADDRESS_CHARS).or(turn.address.take());
    }
    turn.phone = phrases::phone(&form.phone).or(turn.phone.take());
    turn.comment = line(&form.comment, MAX_COMMENT_CHARS).or(turn.comment.take());
    turn.payment = payment::stated(&text::fold(&form.payment)).or(turn.payment);
    turn.is_done = true;
}

fn take_answer(answer: Answer, turn: &mut HeardTurn) {
    match answer {
        Answer::Yes => {
            turn.answers.push(true);
            turn.intent = Intent::Confirm;
        }
        Answer::PicksUp(picks_up) => turn.picks_up = Some(picks_up),
        Answer::Address(address) => {
            turn.address = Some(address);
            turn.intent = Intent::Address;
        }
        Answer::BadAddress => turn.bad_address = true,
        Answer::Phone(phone) => turn.phone = Some(phone),
        Answer::BadPhone => turn.bad_phone = true,
        Answer::Payment(method) => turn.payment = Some(method),
        Answer::Order(at) => turn.chosen = Some(at),
    }
}

fn take_command(command: Command, turn: &mut HeardTurn) {
    match &command {
        Command::Yes => {
            turn.answers.push(true);
            turn.intent = Intent::Confirm;
        }
        Command::No => {
            turn.answers.push(false);
            turn.intent = Intent::Deny;
        }
        // `listo` says yes as well.
        Command::Done => {
            turn.answers.push(true);
            turn.is_done = true;
            turn.intent = Intent::Confirm;
        }
        Command::PickUp => turn.picks_up = Some(true),
        Command::Delivery => turn.picks_up = Some(false),
        Command::Menu => {
            turn.questions.push(Question::Menu(String::new()));
            turn.intent = Intent::Menu;
        }
        Command::Status => {
            turn.questions.push(Question::Status);
            turn.intent = Intent::Status;
        }
        Command::Human => turn.intent = Intent::Human,
        Command::Cancel => {
            turn.emptied |= !turn.order.lines.is_empty() || !turn.order.ambiguous.is_empty();
            turn.order = OrderState::default();
            turn.intent = Intent::Cancel;
        }
        Command::CancelOrder(_) => turn.intent = Intent::Cancel,
        Command::Help | Command::View | Command::Edit | Command::Remove(_) => {}
    }
    turn.commands.push(command);
}

fn take_reading(reading: OrderReading, said: &str, plain: &str, turn: &mut HeardTurn) {
    turn.too_much |= reading.too_much;
    turn.changed |= reading.changed;
    turn.unknown.extend(reading.unknown);
    turn.unavailable.extend(reading.unavailable);
    turn.crowded.extend(reading.crowded);
    turn.no_numbers.extend(reading.no_numbers);
    turn.no_lines.extend(reading.no_line);
    turn.which_number = reading.which_number.or(turn.which_number);
    turn.repeats_nothing |= reading.repeats_nothing;
    if let Some(address) = reading.address {
        turn.address = Some(words::one_line(&address, MAX_ADDRESS_CHARS));
        turn.picks_up = None;
    }
    turn.payment = reading.payment.or(turn.payment);
    let is_question = said.contains('?');
    let way = phrases::way(plain).filter(|_| !is_question);
    turn.picks_up = way.or(turn.picks_up);
    turn.is_done |= phrases::says_done(plain);
    let is_empty = |order: &OrderState| order.lines.is_empty() && order.ambiguous.is_empty();
    let intent = reading.intent.unwrap_or(Intent::Order);
    if intent == Intent::Cancel && !is_empty(&turn.order) && is_empty(&reading.order) {
        turn.emptied = true;
    }
    turn.order = reading.order;
    turn.intent = intent;
    let states_details = turn.address.is_some() || turn.payment.is_some() || way.is_some() || turn.phone.is_some();
    match intent {
        _ if reading.is_settled => {}
        Intent::Order | Intent::Address => {}
        Intent::Confirm => {
            turn.answers.push(true);
            if plain.split(' ').count() > 3 && crate::bot::intent::talk(plain) != Some(Intent::Confirm) {
                turn.remarks.push(words::one_line(said, MAX_COMMENT_CHARS));
            }
        }
        Intent::Deny => turn.answers.push(false),
        Intent::Greeting => turn.greets = true,
        Intent::Thanks => turn.thanks = true,
        Intent::Cancel => turn.commands.push(Command::Cancel),
        Intent::Human => turn.commands.push(Command::Human),
        Intent::Hours => turn.questions.push(Question::Hours),
        Intent::Status => turn.questions.push(Question::Status),
        Intent::Price if phrases::asks_delivery(plain) => turn.questions.push(Question::Delivery),
        Intent::Price => turn.questions.push(Question::Price(said.to_owned())),
        Intent::Menu => turn.questions.push(Question::Menu(said.to_owned())),
        Intent::Other if is_question && phrases::asks_place(plain) => turn.questions.push(Question::Place),
        Intent::Other if is_question && phrases::asks_payment(plain) => turn.questions.push(Question::Payments),
        Intent::Other if is_question && phrases::asks_delivery(plain) => turn.questions.push(Question::Delivery),
        Intent::Other if states_details || said.trim().is_empty() => {}
        Intent::Other if phrases::holds_back(plain) => turn.answers.push(false),
        Intent::Other => turn.others.push(words::one_line(said, MAX_COMMENT_CHARS)),
    }
}
