//! A turn that the parser could not read, while a language model is asked about it: what would be said is held back until it answers. Owns
//! which turns these are, and what becomes of the answer: dishes that the customer is asked about, as about any wish that is not certain.
//! Promises that whatever the model answers, nothing is ordered without the customer's yes, and that the bot says what it would have said
//! without the model where that does not help.

use serde::{Deserialize, Serialize};

use super::{
    Effect, Said, Utterance, doubts,
    exchange::Exchange,
    hearing::HeardTurn,
    state::{Phase, is_small},
    words,
};
use crate::bot::{
    basket::AmbiguousWish,
    language_model::{MAX_MODEL_LINES, MAX_MODEL_QUANTITY, MAX_MODEL_TEXT_CHARS, ModelLine},
};

/// Of what is held back; a longer answer is said at once.
const MAX_HELD_BYTES: usize = 4 * 1024;

/// The question to the language model that is awaited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadTurn {
    pub(super) ask: String,
    /// What the customer wrote.
    pub(super) text: String,
    /// What is said where the model does not help; nothing, where something was said meanwhile.
    pub(super) held: Vec<String>,
}

impl UnreadTurn {
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Before the checkout: there, what is said concerns addresses and payments, which are no model's business.
fn is_open(phase: &Phase) -> bool {
    matches!(phase, Phase::Idle | Phase::Ordering | Phase::Form)
}

/// Words that meant nothing or a wish that is not on the menu, and nothing else that the turn could be answered by.
fn is_unread(heard: &HeardTurn) -> bool {
    let is_about_dishes = !heard.others.is_empty() || !heard.unknown.is_empty();
    let is_read = heard.changed
        || heard.emptied
        || heard.has_details()
        || heard.has_media
        || heard.has_picture
        || heard.bad_address
        || heard.bad_phone
        || heard.which_number.is_some()
        || heard.repeats_nothing
        || heard.is_done
        || !heard.commands.is_empty()
        || !heard.answers.is_empty()
        || !heard.questions.is_empty()
        || !heard.unavailable.is_empty()
        || !heard.crowded.is_empty()
        || !heard.no_numbers.is_empty()
        || !heard.no_lines.is_empty();
    is_about_dishes && !is_read
}

/// After a turn: holds its answer back and has the model asked, if the turn was not read. `before`: the phase in which it came;
/// `earlier`: a question that was awaited then.
pub fn hold(
    exchange: &mut Exchange<'_>,
    heard: &HeardTurn,
    messages: &[Said],
    before: &Phase,
    earlier: Option<UnreadTurn>,
) {
    if exchange.is_silenced() || !is_open(before) || !is_open(&exchange.talk.phase) {
        return;
    }
    let is_asked = exchange.restaurant.settings.language_model && is_unread(heard);
    let Some(held) = is_asked.then(|| exchange.withhold(MAX_HELD_BYTES)).flatten() else {
        // Its lines count still, and what was held back is out of place now.
        exchange.talk.unread = earlier.map(|earlier| UnreadTurn { held: Vec::new(), ..earlier });
        return;
    };
    let mut texts: Vec<&str> = earlier.iter().map(|earlier| earlier.text.as_str()).collect();
    texts.extend(messages.iter().filter_map(|message| match &message.what {
        Utterance::Text(text) => Some(text.as_str()),
        _ => None,
    }));
    let text = words::cut(&texts.join("\n"), MAX_MODEL_TEXT_CHARS).to_owned();
    let ask: String = exchange.moment.chance.iter().map(|byte| format!("{byte:02x}")).collect();
    exchange.talk.unread = Some(UnreadTurn { ask: ask.clone(), text: text.clone(), held });
    exchange.do_it(Effect::AskModel { ask, text });
}

/// The model has answered; no lines: it does not help. What was asked before a human came in is answered no more, and nothing is answered
/// twice.
pub fn answered(exchange: &mut Exchange<'_>, ask: &str, lines: &[ModelLine], may_answer: bool) {
    let Some(unread) = exchange.talk.unread.take_if(|unread| unread.ask == ask) else { return };
    if !may_answer || take_lines(exchange, lines) {
        return;
    }
    for reply in unread.held {
        exchange.say_text(reply);
        exchange.end_message();
    }
}

/// Asks the customer about the lines. False: they are none that can be asked about now.
fn take_lines(exchange: &mut Exchange<'_>, lines: &[ModelLine]) -> bool {
    if lines.is_empty() || lines.len() > MAX_MODEL_LINES || !is_open(&exchange.talk.phase) {
        return false;
    }
    // The menu may have changed since the model was told it.
    let Some(wishes) = lines.iter().map(|line| wish(exchange, line)).collect::<Option<Vec<_>>>() else { return false };
    let mut order = exchange.talk.order.clone();
    order.ambiguous.extend(wishes);
    order.focus = None;
    if !is_small(&order) {
        return false;
    }
    let talk = &mut exchange.talk;
    (talk.order, talk.shown, talk.phase) = (order, None, Phase::Ordering);
    (talk.stalled, talk.misunderstood) = (0, 0);
    // An edit reads texts anew, without the model: these lines would be lost.
    talk.heard.clear();
    exchange.progressed = true;
    doubts::ask_open_wish(exchange)
}

/// A wish whose number is proposed: a yes, or another number, orders it.
fn wish(exchange: &Exchange<'_>, line: &ModelLine) -> Option<AmbiguousWish> {
    let item = exchange.menu().item(&line.id).filter(|item| item.available)?;
    let most = exchange.restaurant.settings.most_units.min(MAX_MODEL_QUANTITY);
    (1..=most).contains(&line.quantity).then(|| AmbiguousWish {
        candidates: vec![item.id.clone()],
        qty: line.quantity,
        notes: Vec::new(),
        asks_number: true,
        replaces: false,
    })
}
