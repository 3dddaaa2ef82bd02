//! Parts of a turn as they add up: a filled form, a command, a reading of the parser. Owns which of them stands for which answer or
//! question.

use super::{
    form::FilledForm,
    hearing::{HeardTurn, MAX_ADDRESS_CHARS, MAX_COMMENT_CHARS, Question},
    order_reading::OrderReading,
    phrases::{self, Command},
    words,
};
use crate::bot::{OrderState, intent::Intent, payment, text};

pub fn take_form(form: FilledForm, turn: &mut HeardTurn) {
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

pub fn take_command(command: Command, turn: &mut HeardTurn) {
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

pub fn take_reading(reading: OrderReading, said: &str, plain: &str, turn: &mut HeardTurn) {
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
        Intent::Status if phrases::asks_wait(plain) => turn.questions.push(Question::Wait),
        Intent::Status => turn.questions.push(Question::Status),
        Intent::Price if phrases::asks_delivery(plain) => turn.questions.push(Question::Delivery),
        Intent::Price => turn.questions.push(Question::Price(said.to_owned())),
        Intent::Menu => turn.questions.push(Question::Menu(said.to_owned())),
        Intent::Other if is_question && phrases::asks_place(plain) => turn.questions.push(Question::Place),
        Intent::Other if is_question && phrases::asks_payment(plain) => turn.questions.push(Question::Payments),
        Intent::Other if is_question && phrases::asks_delivery(plain) => turn.questions.push(Question::Delivery),
        // It is a question of its own, which is noted already.
        Intent::Other if crate::bot::intent::asks_bot(plain, is_question) => {}
        // `y la coca?`
        Intent::Other if is_question && plain.starts_with("y ") => {
            turn.questions.push(Question::Price(said.to_owned()))
        }
        Intent::Other if states_details || said.trim().is_empty() => {}
        Intent::Other if phrases::holds_back(plain) => turn.answers.push(false),
        Intent::Other => turn.others.push(words::one_line(said, MAX_COMMENT_CHARS)),
    }
}
