//! The answer of a tenant that takes no orders: the owner's rules, in their order. A greeting (first contact, away) is said beside the
//! first other rule that is met.

use jiff::SignedDuration;

use super::{Effect, Said, Utterance, exchange::Exchange, hearing::HeardTurn, state::SilenceCause, takeover, words};
use crate::bot::{rules::RuledTurn, texts::Language};

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
        exchange.say_text(text);
        if rule.human {
            return call_human(exchange);
        }
        if !rule.when.is_greeting() {
            break;
        }
    }
    if exchange.has_said() {
        let last_text = texts.last().map(|text| words::cut(text, 200).to_owned()).unwrap_or_default();
        takeover::guard(exchange, &HeardTurn { last_text, ..HeardTurn::default() }, true);
    }
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
