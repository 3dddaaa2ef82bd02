//! Humans before the machine: the owner's messages, a chat that is taken over, a customer who wants a person, two bots that talk.
//! Owns when the bot is silent and how it comes back: by time, by the owner's word, by the console; never by the customer.

use jiff::{SignedDuration, Timestamp};

use super::{
    Effect, asides,
    exchange::Exchange,
    hearing::HeardTurn,
    state::{KnownOrder, Phase, Silence, SilenceCause},
    words,
};
use crate::bot::{
    text,
    texts::{Language, TextKey},
};

/// Identical texts in a row that look like a machine: the order came no further; it did, as with `otra coca`.
const IDLE_REPEATS: u32 = 3;
const ANY_REPEATS: u32 = 6;
/// Texts in a row that meant nothing: a person may understand them.
const MAX_MISUNDERSTOOD: u32 = 3;
/// Turns within an hour without a placed order: no person needs as many, and two bots stop though each seems to order.
const MAX_TURNS_AN_HOUR: u32 = 40;
/// Questions that are remembered, lest they are asked for ever.
const MAX_ASKED: usize = 20;
const MAX_ASKED_CHARS: usize = 40;
/// An order may be untold for so long.
const JUST_PLACED: SignedDuration = SignedDuration::from_mins(10);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

pub fn owner_wrote(exchange: &mut Exchange<'_>, said: Option<&str>) {
    let word = text::fold(exchange.restaurant.settings.back_word.trim());
    if said.is_some_and(|said| text::fold(said.trim()) == word) {
        return give_back(exchange);
    }
    tell_untold(exchange);
    silence(exchange, SilenceCause::Owner);
}

/// Somebody takes the chat over, by the console or the API.
pub fn take_over(exchange: &mut Exchange<'_>) {
    tell_untold(exchange);
    silence(exchange, SilenceCause::TakenOver);
}

/// An order was placed a moment ago, and the customer has not read that: whoever takes the chat over stops the words, and is told to say
/// them.
fn tell_untold(exchange: &mut Exchange<'_>) {
    let (talk, now) = (&exchange.talk, exchange.moment.now);
    let waits = exchange.moment.told_at == Some(Timestamp::MAX);
    if !waits || exchange.is_silenced() || talk.phase != Phase::Idle {
        return;
    }
    let confirmed = talk.confirmed.as_ref().map(|confirmed| confirmed.order.as_str());
    let is_recent = |order: &&KnownOrder| !order.stage.is_final() && now.duration_since(order.placed_at) < JUST_PLACED;
    let placed = talk.orders.iter().rev().find(|order| Some(order.id.as_str()) == confirmed).filter(is_recent);
    let Some((id, total)) = placed.map(|order| (order.id.clone(), order.total)) else { return };
    let reason = match exchange.language() {
        Language::Es => {
            format!("El cliente confirmó el pedido #{id} por {total}, y el bot no alcanzó a decírselo: dígaselo usted.")
        }
        Language::En => {
            format!(
                "The customer confirmed order #{id}, {total}, and the bot was stopped before it could say so: please do."
            )
        }
    };
    exchange.do_it(Effect::CallOwner { reason });
}

/// Nothing is said in the chat from now on; the unfinished order is put aside.
pub fn silence(exchange: &mut Exchange<'_>, cause: SilenceCause) {
    exchange.put_aside();
    exchange.talk.asked_elsewhere.clear();
    exchange.talk.unread = None;
    let until = exchange.in_minutes(exchange.restaurant.settings.takeover_minutes);
    exchange.talk.silence = Some(Silence { cause, until });
}

pub fn give_back(exchange: &mut Exchange<'_>) {
    exchange.talk.silence = None;
    exchange.talk.stalled = 0;
    exchange.talk.misunderstood = 0;
    exchange.talk.repeats = 0;
}

/// Ends a silence whose time has passed.
pub fn expire(exchange: &mut Exchange<'_>) {
    let now = exchange.moment.now;
    if exchange.talk.silence.as_ref().is_some_and(|silence| silence.until <= now) {
        give_back(exchange);
    }
}

/// A human is promised and called, and the bot says nothing more.
pub fn call_human(exchange: &mut Exchange<'_>, es: &str, en: &str, key: TextKey) {
    let reason = if exchange.language() == Language::Es { es } else { en };
    exchange.say(key, &[]);
    exchange.do_it(Effect::CallOwner { reason: reason.to_owned() });
    silence(exchange, SilenceCause::HumanCalled);
}

/// The question was not asked before.
fn is_new(asked: &mut Vec<String>, text: &str) -> bool {
    let text = words::cut(text, MAX_ASKED_CHARS);
    let is_new = asked.iter().all(|other| other != text);
    if is_new {
        asked.push(text.to_owned());
        asked.drain(..asked.len().saturating_sub(MAX_ASKED));
    }
    is_new
}

/// Counts an edit that is asked about anew as the turn that it is. False: no person needs as many.
pub fn may_ask_anew(exchange: &mut Exchange<'_>) -> bool {
    exchange.talk.answered = exchange.talk.answered.saturating_add(1);
    exchange.talk.answered < MAX_TURNS_AN_HOUR
}

/// Counts turns that lead nowhere. True: a human was called in the place of an answer.
pub fn guard(exchange: &mut Exchange<'_>, heard: &HeardTurn, is_understood: bool) -> bool {
    let text = heard.last_text.as_str();
    let progressed = exchange.progressed && !asides::is_ours(text);
    let now = exchange.moment.now;
    let talk = &mut exchange.talk;
    if progressed {
        talk.stalled = 0;
        talk.asked.clear();
    } else if heard.questions.is_empty() || !is_new(&mut talk.asked, text) {
        // A customer who asks one thing after the other is about to order.
        talk.stalled += 1;
    }
    talk.misunderstood = if is_understood { 0 } else { talk.misunderstood + 1 };
    talk.repeats = if !text.is_empty() && talk.last_text == text { talk.repeats + 1 } else { 0 };
    text.clone_into(&mut talk.last_text);
    if talk.counted_from.is_none_or(|from| now.duration_since(from) >= HOUR) {
        talk.counted_from = Some(now);
        talk.answered = 0;
    }
    talk.answered += 1;
    let most = if progressed { ANY_REPEATS } else { IDLE_REPEATS };
    let (stalled, repeats, misunderstood) = (talk.stalled, talk.repeats, talk.misunderstood);
    let is_endless = talk.answered >= MAX_TURNS_AN_HOUR;
    if stalled >= exchange.restaurant.settings.loop_guard || repeats >= most || is_endless {
        exchange.unsay();
        let (es, en) = (
            "La conversación no avanza: puede ser otro bot, o alguien que necesita ayuda.",
            "The conversation leads nowhere: perhaps another bot, or somebody who needs help.",
        );
        call_human(exchange, es, en, TextKey::Human);
        silence(exchange, SilenceCause::Loop);
        return true;
    }
    if misunderstood >= MAX_MISUNDERSTOOD {
        exchange.unsay();
        let (es, en) = ("El bot no entiende al cliente.", "The bot does not understand the customer.");
        call_human(exchange, es, en, TextKey::HumanInstead);
        return true;
    }
    false
}
