//! The answer of a tenant that takes no orders: the owner's rules, in their order. A greeting (first contact, away) is said beside the
//! first other rule that is met; where none is, the external bot is asked, if there is one. A rule's file is fetched before it is said.

use jiff::SignedDuration;

use super::{
    Effect, FetchedReply, Said, Utterance,
    exchange::{Exchange, MAX_REPLIES},
    hearing::HeardTurn,
    state::SilenceCause,
    takeover, words,
};
use crate::bot::{
    external::ExternalAnswer,
    rules::{FiledReply, RuledTurn},
    texts::Language,
};

/// Questions to the external bot that wait for their answers; older ones are given up.
const MAX_ASKED: usize = 8;

/// Messages of a turn that it is told, the last ones.
const MAX_ASKED_TEXTS: usize = 10;

/// Of each message.
const MAX_ASKED_CHARS: usize = 4_096;

/// Answers a turn by the rules.
pub fn answer(exchange: &mut Exchange<'_>, messages: &[Said]) {
    let restaurant = exchange.restaurant;
    let now = exchange.moment.now;
    let is_first = exchange.talk.heard_at.is_none();
    exchange.talk.told = None;
    exchange.talk.heard_at = Some(now);
    let texts: Vec<&str> = messages
        .iter()
        .filter_map(|message| match &message.what {
            Utterance::Text(text) | Utterance::Caption(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let turn = RuledTurn { texts: &texts, is_first, is_away: !restaurant.settings.is_open(now) };
    exchange.talk.ruled.retain(|at, _| usize::from(*at) < restaurant.settings.rules.len());
    let (mut is_answered, mut human, mut files) = (false, false, Vec::new());
    for at in restaurant.rules.met(turn) {
        let (Some(rule), Ok(number)) = (restaurant.settings.rules.get(at), u16::try_from(at)) else { continue };
        let pause = SignedDuration::from_mins(i64::from(rule.pause_minutes));
        if exchange.talk.ruled.get(&number).is_some_and(|told| now.duration_since(*told) < pause) {
            continue;
        }
        if rule.pause_minutes > 0 {
            exchange.talk.ruled.insert(number, now);
        }
        let opening = opening(exchange);
        let text = exchange.rendered(&rule.reply, &[("opening", &opening)]);
        match &rule.file {
            // Of more, the texts must do.
            Some(file) if files.len() < MAX_REPLIES => files.push(FiledReply { caption: text, file: file.clone() }),
            _ => exchange.say_text(text),
        }
        human = rule.human;
        if human || !rule.when.is_greeting() {
            is_answered = true;
            break;
        }
    }
    if human && files.is_empty() {
        return call_human(exchange);
    }
    if !human && (exchange.has_said() || !files.is_empty()) {
        guard(exchange, texts.last().copied().unwrap_or_default());
    }
    if !files.is_empty() && !exchange.is_silenced() {
        // The external bot may be asked in the same turn.
        let ask = format!("{}-files", chance(exchange));
        await_answer(exchange, &ask);
        exchange.do_it(Effect::AskFiles { ask, replies: files, human });
    }
    if !is_answered && !texts.is_empty() && restaurant.settings.external_bot.is_some() && !exchange.is_silenced() {
        let ask = chance(exchange);
        await_answer(exchange, &ask);
        let last = &texts[texts.len().saturating_sub(MAX_ASKED_TEXTS)..];
        let texts = last.iter().map(|text| words::cut(text, MAX_ASKED_CHARS).to_owned()).collect();
        exchange.do_it(Effect::Ask { ask, texts });
    }
}

fn chance(exchange: &Exchange<'_>) -> String {
    exchange.moment.chance.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn await_answer(exchange: &mut Exchange<'_>, ask: &str) {
    let asked = &mut exchange.talk.asked_elsewhere;
    asked.push(ask.to_owned());
    asked.drain(..asked.len().saturating_sub(MAX_ASKED));
}

/// Ends the wait for it. False: nothing waited.
fn is_due(exchange: &mut Exchange<'_>, ask: &str) -> bool {
    let asked = &mut exchange.talk.asked_elsewhere;
    let at = asked.iter().position(|other| other == ask);
    at.map(|at| asked.remove(at)).is_some()
}

/// Sends the files that were fetched; of a file that cannot be had the text is said alone. The turn was counted when it asked for them.
pub fn fetched(exchange: &mut Exchange<'_>, ask: &str, replies: &[FetchedReply], human: bool, may_answer: bool) {
    if !is_due(exchange, ask) || !may_answer {
        return;
    }
    for (at, reply) in replies.iter().enumerate() {
        if reply.has_file {
            exchange.do_it(Effect::File { at });
        } else {
            exchange.say_text(reply.caption.clone());
            exchange.end_message();
        }
    }
    if human {
        call_human(exchange);
    }
}

/// Says what the external bot answers. What was asked before a human came in is answered no more, and nothing is answered twice.
pub fn answered(exchange: &mut Exchange<'_>, ask: &str, answer: &ExternalAnswer, may_answer: bool) {
    if !is_due(exchange, ask) || !may_answer {
        return;
    }
    for reply in &answer.replies {
        exchange.say_text(reply.clone());
        exchange.end_message();
    }
    if answer.human {
        return call_human(exchange);
    }
    if exchange.has_said() {
        guard(exchange, "");
    }
}

fn guard(exchange: &mut Exchange<'_>, last_text: &str) {
    let last_text = words::cut(last_text, 200).to_owned();
    takeover::guard(exchange, &HeardTurn { last_text, ..HeardTurn::default() }, true);
}

fn call_human(exchange: &mut Exchange<'_>) {
    let reason = match exchange.language() {
        Language::Es => "Una regla pide que responda una persona.",
        Language::En => "A rule asks for a person.",
    };
    exchange.do_it(Effect::CallOwner { reason: reason.to_owned() });
    takeover::silence(exchange, SilenceCause::HumanCalled);
}

/// When the tenant opens; empty while it is open, and where nobody knows.
fn opening(exchange: &Exchange<'_>) -> String {
    let (settings, now) = (&exchange.restaurant.settings, exchange.moment.now);
    let hours = settings.business_hours.as_ref().filter(|hours| !hours.is_open(now));
    let opens = hours.and_then(|hours| hours.next_opening(now));
    opens.map(|opens| words::opening(&opens, now, settings.language)).unwrap_or_default()
}
