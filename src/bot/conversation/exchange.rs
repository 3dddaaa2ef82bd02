//! One step in the making: the record that changes, and what is said and done meanwhile. Owns how words become messages of bounded
//! size; decides nothing.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use super::{
    ConversationState, Customer, Effect, Moment, Phase, Restaurant, Step, hearing::HeardTurn, state::is_keepable, words,
};
use crate::bot::{
    basket::BasketLine,
    menu::Menu,
    texts::{self, Language, TextKey},
};

/// WhatsApp folds longer ones.
pub const MAX_REPLY_CHARS: usize = 4_000;
pub const MAX_REPLIES: usize = 6;

pub struct Exchange<'a> {
    pub talk: ConversationState,
    pub customer: &'a Customer,
    pub restaurant: &'a Restaurant,
    pub moment: Moment,
    /// The order came further: no loop.
    pub progressed: bool,
    /// Kept for whoever tries a text.
    pub heard: Option<HeardTurn>,
    effects: Vec<Effect>,
    paragraphs: Vec<String>,
}

impl<'a> Exchange<'a> {
    pub fn new(talk: ConversationState, customer: &'a Customer, restaurant: &'a Restaurant, moment: Moment) -> Self {
        Self {
            talk,
            customer,
            restaurant,
            moment,
            progressed: false,
            heard: None,
            effects: Vec::new(),
            paragraphs: Vec::new(),
        }
    }

    pub fn menu(&self) -> &'a Menu {
        self.restaurant.parser.menu()
    }

    pub fn language(&self) -> Language {
        self.restaurant.settings.language
    }

    pub fn text(&self, key: TextKey, values: &[(&str, &str)]) -> String {
        let settings = &self.restaurant.settings;
        self.rendered(texts::template(key, settings.language, &settings.texts), values)
    }

    /// A template with its values, and those that each may name.
    pub fn rendered(&self, template: &str, values: &[(&str, &str)]) -> String {
        let settings = &self.restaurant.settings;
        let zone = settings.time_zone();
        let hour = self.moment.now.to_zoned(zone).hour();
        let name = self.customer_name().unwrap_or_default();
        let restaurant = match settings.name.trim() {
            "" => words::our_restaurant(settings.language),
            name => name,
        };
        let mut all = vec![
            ("greeting", words::greeting(hour, settings.language)),
            ("name", name.as_str()),
            ("restaurant", restaurant),
        ];
        all.extend_from_slice(values);
        texts::render(template, &all)
    }

    /// The customer's name as it may stand in a sentence.
    pub fn customer_name(&self) -> Option<String> {
        let given = self.talk.name.as_deref().or(self.customer.name.as_deref())?;
        let name = words::one_line(given, 30);
        name.chars().any(char::is_alphabetic).then_some(name)
    }

    /// A paragraph of the message.
    pub fn say(&mut self, key: TextKey, values: &[(&str, &str)]) {
        let text = self.text(key, values);
        self.say_text(text);
    }

    pub fn say_text(&mut self, text: String) {
        if !text.is_empty() && !self.paragraphs.contains(&text) {
            self.paragraphs.push(text);
        }
    }

    /// The next paragraph begins a message of its own.
    pub fn end_message(&mut self) {
        let text = std::mem::take(&mut self.paragraphs).join("\n\n");
        let replies = self.effects.iter().filter(|effect| matches!(effect, Effect::Reply(_))).count();
        for part in parts(&text).into_iter().take(MAX_REPLIES.saturating_sub(replies)) {
            self.effects.push(Effect::Reply(part));
        }
    }

    pub fn has_said(&self) -> bool {
        !self.paragraphs.is_empty() || self.effects.iter().any(|effect| matches!(effect, Effect::Reply(_)))
    }

    /// The place of the next paragraph in the message that is being written.
    pub fn mark(&self) -> usize {
        self.paragraphs.len()
    }

    /// Takes paragraphs of this message back.
    pub fn take_back(&mut self, said: Range<usize>) {
        if said.end <= self.paragraphs.len() {
            self.paragraphs.drain(said);
        }
    }

    /// Takes every word of this step back.
    pub fn unsay(&mut self) {
        self.paragraphs.clear();
        self.effects.retain(|effect| !matches!(effect, Effect::Reply(_)));
    }

    /// Takes every word of this step back and gives them, to be said later. `None`: something is done besides, or it is too much to be
    /// kept.
    pub fn withhold(&mut self, most_bytes: usize) -> Option<Vec<String>> {
        self.end_message();
        let reply = |effect: &Effect| match effect {
            Effect::Reply(text) => Some(text.clone()),
            _ => None,
        };
        let replies: Vec<String> = self.effects.iter().map(reply).collect::<Option<_>>()?;
        if replies.iter().map(String::len).sum::<usize>() > most_bytes {
            return None;
        }
        self.effects.clear();
        Some(replies)
    }

    pub fn do_it(&mut self, effect: Effect) {
        self.end_message();
        self.effects.push(effect);
    }

    pub fn is_silenced(&self) -> bool {
        self.talk.silence(self.moment.now).is_some()
    }

    pub fn in_minutes(&self, minutes: u32) -> Timestamp {
        after(self.moment.now, minutes)
    }

    /// The last time at which the customer was heard is long ago, or there is none.
    pub fn is_fresh(&self) -> bool {
        self.talk.heard_at.is_none_or(|at| after(at, self.restaurant.settings.idle_minutes) <= self.moment.now)
    }

    /// Puts an unfinished order aside, until the customer says that it goes on. Nothing that was shown counts any more.
    pub fn put_aside(&mut self) {
        let talk = &mut self.talk;
        if !talk.order.lines.is_empty() || !talk.order.ambiguous.is_empty() {
            let order = std::mem::take(&mut talk.order);
            talk.kept = Some(match talk.kept.take() {
                // Beyond all measure, the newer one counts.
                Some(kept) => Some(joined(kept, order.clone())).filter(is_keepable).unwrap_or(order),
                None => order,
            });
        }
        if talk.kept.is_none() {
            talk.forget_details();
        }
        talk.heard.clear();
        talk.shown = None;
        talk.numbers = false;
        talk.stalled = 0;
        talk.asked.clear();
        talk.misunderstood = 0;
        talk.repeats = 0;
        talk.phase = Phase::Idle;
    }

    pub fn finish(mut self) -> (Step, Option<HeardTurn>) {
        self.end_message();
        self.talk.trim();
        let idle = self.restaurant.settings.idle_minutes;
        let is_under_way = self.talk.phase != Phase::Idle || !self.talk.order.lines.is_empty();
        let wake_at = match self.talk.silence(self.moment.now) {
            Some(silence) => Some(silence.until),
            None => self.talk.heard_at.filter(|_| is_under_way).map(|at| after(at, idle)),
        };
        (Step { conversation: self.talk, effects: self.effects, wake_at }, self.heard)
    }
}

fn after(at: Timestamp, minutes: u32) -> Timestamp {
    at.saturating_add(SignedDuration::from_mins(i64::from(minutes))).unwrap_or(Timestamp::MAX)
}

/// Two orders as one; lines that are alike become one line.
pub fn joined(mut first: crate::bot::OrderState, second: crate::bot::OrderState) -> crate::bot::OrderState {
    for line in second.lines {
        add_line(&mut first, line);
    }
    first.ambiguous.extend(second.ambiguous);
    first
}

/// Adds a line, or its units to the line that is alike; it is spoken of now.
pub fn add_line(order: &mut crate::bot::OrderState, line: BasketLine) {
    match order.lines.iter().position(|other| other.item == line.item && other.notes == line.notes) {
        Some(at) => {
            order.lines[at].qty = order.lines[at].qty.saturating_add(line.qty);
            order.focus = Some(at);
        }
        None => {
            order.lines.push(line);
            order.focus = Some(order.lines.len() - 1);
        }
    }
}

/// A long text in parts of bounded length, cut at the ends of lines where there are any.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![];
    let mut part = String::new();
    let mut length = 0;
    for line in text.split_inclusive('\n') {
        let mut line = line;
        let mut chars = line.chars().count();
        if length > 0 && length + chars > MAX_REPLY_CHARS {
            parts.push(std::mem::take(&mut part));
            length = 0;
        }
        while chars > MAX_REPLY_CHARS {
            let cut = line.char_indices().nth(MAX_REPLY_CHARS).map_or(line.len(), |(at, _)| at);
            parts.push(line[..cut].to_owned());
            line = &line[cut..];
            chars = line.chars().count();
        }
        part.push_str(line);
        length += chars;
    }
    parts.push(part);
    parts.into_iter().map(|part| part.trim_end().to_owned()).filter(|part| !part.trim().is_empty()).collect()
}
