//! Humans before the machine: the owner's messages, a chat that is taken over, a customer who wants a person, two bots that talk.
//! Owns when the bot is silent and how it comes back: by time, by the owner's word, by the console; never by the customer.

use super::{
    Effect,
    exchange::Exchange,
    state::{Silence, SilenceCause},
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

pub fn owner_wrote(exchange: &mut Exchange<'_>, said: Option<&str>) {
    let word = text::fold(exchange.restaurant.settings.back_word.trim());
    if said.is_some_and(|said| text::fold(said.trim()) == word) {
        return give_back(exchange);
    }
    silence(exchange, SilenceCause::Owner);
}

/// Nothing is said in the chat from now on; the unfinished order is put aside.
pub fn silence(exchange: &mut Exchange<'_>, cause: SilenceCause) {
    exchange.put_aside();
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

/// Counts turns that lead nowhere. True: a human was called in the place of an answer.
pub fn guard(exchange: &mut Exchange<'_>, text: &str, is_understood: bool) -> bool {
    let talk = &mut exchange.talk;
    if exchange.progressed {
        talk.stalled = 0;
    } else {
        talk.stalled += 1;
    }
    talk.misunderstood = if is_understood { 0 } else { talk.misunderstood + 1 };
    talk.repeats = if !text.is_empty() && talk.last_text == text { talk.repeats + 1 } else { 0 };
    text.clone_into(&mut talk.last_text);
    let most = if exchange.progressed { ANY_REPEATS } else { IDLE_REPEATS };
    let (stalled, repeats, misunderstood) = (talk.stalled, talk.repeats, talk.misunderstood);
    if stalled >= exchange.restaurant.settings.loop_guard || repeats >= most {
        exchange.unsay();
        let spanish = exchange.language() == Language::Es;
        let reason = if spanish {
            "La conversación no avanza: puede ser otro bot, o alguien que necesita ayuda."
        } else {
            "The conversation leads nowhere: perhaps another bot, or somebody who needs help."
        };
        exchange.do_it(Effect::CallOwner { reason: reason.to_owned() });
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
