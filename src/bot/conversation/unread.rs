//! A turn that the parser could not read, while a language model is asked about it: what would be said is held back until it answers. Owns
//! which turns these are, and what becomes of the answer: dishes that the customer is asked about, as about any wish that is not certain.
//! Promises that whatever the model answers, nothing is ordered without the customer's yes, and that the bot says what it would have said
//! without the model where that does not help.

use serde::{Deserialize, Serialize};

use super::{
    Effect, Said, Utterance, doubts,
    exchange::Exchange,
    hearing::{self, HeardTurn},
    phrases::Command,
    state::{Phase, is_small},
    takeover, talking, words,
};
use crate::bot::{
    OrderState,
    basket::AmbiguousWish,
    language_model::{MAX_MODEL_LINES, MAX_MODEL_QUANTITY, MAX_MODEL_TEXT_CHARS, ModelLine},
};

/// Of what is held back; a longer answer is said at once.
const MAX_HELD_BYTES: usize = 4 * 1024;

/// Messages of a question whose edits are minded: as many as are remembered.
const MAX_ASKED_MESSAGES: usize = 10;

/// Letters of an id: as many as are kept of any text that was heard.
const MAX_ID_CHARS: usize = 100;

/// The question to the language model that is awaited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadTurn {
    pub(super) ask: String,
    /// What the customer wrote.
    pub(super) text: String,
    /// What is said where the model does not help; nothing, where something was said meanwhile.
    pub(super) held: Vec<String>,
    /// Of the messages that the text is made of; none are known of an older build's.
    #[serde(default)]
    pub(super) ids: Vec<String>,
    /// The basket was changed by words that were read since: it may have the dishes already.
    #[serde(default)]
    pub(super) is_overtaken: bool,
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

/// The customer wants nothing, or not what was said before.
fn withdraws(heard: &HeardTurn) -> bool {
    let is_cancel = |command: &Command| matches!(command, Command::Cancel | Command::CancelOrder(_));
    heard.emptied || heard.is_no() || heard.commands.iter().any(is_cancel)
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
        // Its lines count still, unless they are not wanted any more; what was held back is out of place now.
        exchange.talk.unread = earlier.filter(|_| !withdraws(heard)).map(|earlier| UnreadTurn {
            held: Vec::new(),
            is_overtaken: earlier.is_overtaken || heard.changed,
            ..earlier
        });
        return;
    };
    let is_overtaken = earlier.as_ref().is_some_and(|earlier| earlier.is_overtaken);
    let (mut texts, mut ids) = (Vec::new(), Vec::new());
    if let Some(earlier) = earlier {
        texts.push(earlier.text);
        ids = earlier.ids;
    }
    for message in messages {
        if let Utterance::Text(text) = &message.what {
            texts.push(text.clone());
            ids.push(words::cut(&message.id, MAX_ID_CHARS).to_owned());
        }
    }
    ask(exchange, UnreadTurn { ask: String::new(), text: texts.join("\n"), held, ids, is_overtaken });
}

/// Has the model asked, under an id of this step's.
fn ask(exchange: &mut Exchange<'_>, mut unread: UnreadTurn) {
    let ask: String = exchange.moment.chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = words::cut(&unread.text, MAX_MODEL_TEXT_CHARS).to_owned();
    let excess = unread.ids.len().saturating_sub(MAX_ASKED_MESSAGES);
    unread.ids.drain(..excess);
    exchange.talk.unread = Some(UnreadTurn { ask: ask.clone(), text: text.clone(), ..unread });
    exchange.do_it(Effect::AskModel { ask, text });
}

/// A message was edited, or deleted (no text), and the order is as it was. What the model was asked with it is asked anew, with the words
/// that there are now. With none of them left nothing is; and where the new words are no model's business, or come too often, what was
/// held back is said.
pub fn correct(exchange: &mut Exchange<'_>, id: &str, text: Option<&str>) {
    let is_part = |unread: &mut UnreadTurn| unread.ids.iter().any(|known| known == id);
    let Some(unread) = exchange.talk.unread.take_if(is_part) else { return };
    let mut ids = unread.ids;
    ids.retain(|known| text.is_some() || known != id);
    let heard = &exchange.talk.heard;
    let words_of = |asked: &String| match text {
        Some(text) if asked == id => Some(text),
        _ => heard.iter().find(|heard| heard.id == *asked).map(|heard| heard.text.as_str()),
    };
    let now = exchange.moment.now;
    let says = |asked: &String| {
        words_of(asked).map(|text| Said { id: asked.clone(), at: now, what: Utterance::Text(text.to_owned()) })
    };
    let left: Vec<Said> = ids.iter().filter_map(says).collect();
    let texts: Vec<&str> = ids.iter().filter_map(words_of).collect();
    let said = texts.join("\n");
    if said.is_empty() || !is_open(&exchange.talk.phase) {
        return;
    }
    let held = answer_alone(exchange, id, &left);
    let held = if text.is_none() { held.or_else(|| Some(unread.held.clone())) } else { held };
    match held.filter(|_| exchange.restaurant.settings.language_model) {
        Some(mut held) if takeover::may_ask_anew(exchange) => {
            if unread.held.is_empty() {
                held.clear();
            }
            ask(exchange, UnreadTurn { text: said, held, ids, ..unread });
        }
        _ => say_held(exchange, unread.held),
    }
}

/// The bot's own answer to the rest of a question, after the customer edited or deleted `changed`, one of its messages. `None`: the bot
/// reads the rest now, or the rest calls for a human.
fn answer_alone(exchange: &Exchange<'_>, changed: &str, left: &[Said]) -> Option<Vec<String>> {
    let mut talk = exchange.talk.clone();
    let is_part = |id: &str| id == changed || left.iter().any(|said| said.id == id);
    let at = talk.heard.iter().position(|heard| is_part(&heard.id)).unwrap_or(talk.heard.len());
    talk.heard.truncate(at);
    let heard = hearing::hear(&mut talk, exchange.restaurant, left);
    if !is_unread(&heard) {
        return None;
    }
    let mut trial = Exchange::new(talk, exchange.customer, exchange.restaurant, exchange.moment);
    talking::answer(&mut trial, &heard, false);
    trial.withhold(MAX_HELD_BYTES)
}

fn say_held(exchange: &mut Exchange<'_>, held: Vec<String>) {
    for reply in held {
        exchange.say_text(reply);
        exchange.end_message();
    }
}

/// The model has answered; no lines: it does not help. What was asked before a human came in is answered no more, and nothing is answered
/// twice.
pub fn answered(exchange: &mut Exchange<'_>, ask: &str, lines: &[ModelLine], may_answer: bool) {
    let Some(unread) = exchange.talk.unread.take_if(|unread| unread.ask == ask) else { return };
    if !may_answer || take_lines(exchange, lines, unread.is_overtaken) {
        return;
    }
    say_held(exchange, unread.held);
}

/// The dish is in the basket, or the customer is asked about it.
fn is_noted(order: &OrderState, id: &str) -> bool {
    order.lines.iter().any(|line| line.item == id)
        || order.ambiguous.iter().any(|wish| wish.candidates.iter().any(|candidate| candidate == id))
}

/// Asks the customer about the lines. False: they are none that can be asked about now.
fn take_lines(exchange: &mut Exchange<'_>, lines: &[ModelLine], is_overtaken: bool) -> bool {
    if lines.len() > MAX_MODEL_LINES || !is_open(&exchange.talk.phase) {
        return false;
    }
    // What the customer said again in words that were read would be ordered twice by a yes.
    let lines = lines.iter().filter(|line| !is_overtaken || !is_noted(&exchange.talk.order, &line.id));
    // The menu may have changed since the model was told it.
    let wishes = lines.map(|line| wish(exchange, line)).collect::<Option<Vec<_>>>();
    let Some(wishes) = wishes.filter(|wishes| !wishes.is_empty()) else { return false };
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
