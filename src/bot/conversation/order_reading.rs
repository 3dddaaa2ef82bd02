//! One text, read for the order alone. Owns the order in which it is tried (form, command, choice, number, parser), and that the same text
//! and order have the same reading: edits lean on it.

use super::{
    Restaurant,
    exchange::add_line,
    form, halves, numbers,
    phrases::{self, Command},
    state::is_small,
    words,
};
use crate::bot::{
    OrderState,
    basket::{AmbiguousWish, BasketLine},
    intent::{self, Intent},
    payment::PaymentMethod,
};

/// A wish that fits more dishes is shown as a list rather than kept as a question.
const MAX_CANDIDATES: usize = 24;
const MAX_NOTE_CHARS: usize = 80;
/// More units of one dish than this are asked about: a slip is likelier.
const MOST_UNASKED: u32 = 200;

/// Words around a choice that choose nothing.
const CHOOSING: &[&str] = &[
    "la", "el", "las", "los", "de", "del", "por", "favor", "porfa", "porfavor", "gracias", "quiero", "seria", "mejor",
    "es", "sea", "si", "pues", "esa", "ese", "deme", "dame", "the", "one", "please",
];
const MAX_CHOOSING_WORDS: usize = 4;

/// The part of a conversation that a text's meaning depends on.
pub struct OrderReader<'a> {
    pub restaurant: &'a Restaurant,
    pub history: &'a [Vec<BasketLine>],
    pub numbers: bool,
}

/// A text, and the order after it.
#[derive(Debug, Default)]
pub struct OrderReading {
    pub order: OrderState,
    pub intent: Option<Intent>,
    pub changed: bool,
    pub unknown: Vec<String>,
    pub unavailable: Vec<BasketLine>,
    pub crowded: Vec<String>,
    pub address: Option<String>,
    pub payment: Option<PaymentMethod>,
    pub no_numbers: Vec<usize>,
    pub no_line: Option<usize>,
    pub which_number: Option<usize>,
    pub too_much: bool,
    pub repeats_nothing: bool,
    /// Read to its end without the parser.
    pub is_settled: bool,
}

impl OrderReader<'_> {
    /// Reads a text for the order alone. The same text and order have the same reading: edits lean on that.
    pub fn read(&self, before: &OrderState, said: &str, previous: Option<&str>) -> OrderReading {
        let mut reading = self.read_freely(before, said, previous);
        self.settle_doubts(&mut reading);
        ask_about_many(&mut reading.order, before);
        let most = self.restaurant.settings.most_units;
        let grows = |line: &BasketLine| line.qty > most && !is_settled(line, &reading.order.lines, before);
        let asked = |wish: &AmbiguousWish| wish.asks_number && wish.qty > most && !before.ambiguous.contains(wish);
        let is_large = !is_small(&reading.order)
            || reading.order.lines.iter().any(grows)
            || reading.order.ambiguous.iter().any(asked);
        if is_large && reading.changed {
            reading = OrderReading { order: before.clone(), too_much: true, ..OrderReading::default() };
        }
        reading
    }

    fn read_freely(&self, before: &OrderState, said: &str, previous: Option<&str>) -> OrderReading {
        // Only the parser knows what a text may be about besides the order.
        let (given, before) = (before, &OrderState { asked: None, removed: Vec::new(), ..before.clone() });
        if let Some(form) = form::read(said) {
            // A form holds a whole order.
            let mut reading = self.understand(&OrderState::default(), &form.order);
            if reading.order.lines.is_empty() && reading.order.ambiguous.is_empty() {
                reading.order = before.clone();
                reading.changed = false;
            }
            return reading;
        }
        let settled = |order: OrderState| OrderReading {
            changed: order != *before,
            order,
            is_settled: true,
            ..OrderReading::default()
        };
        if let Some(Command::Remove(line)) = phrases::command(said) {
            let mut order = before.clone();
            if line == 0 || line > order.lines.len() {
                return OrderReading { no_line: Some(line), ..settled(order) };
            }
            let removed = order.lines.remove(line - 1);
            // A question for more of it goes too.
            order.ambiguous.retain(|wish| !wish.replaces || wish.candidates != [removed.item.as_str()]);
            order.focus = None;
            order.removed = vec![removed];
            return settled(order);
        }
        if let Some(wish) = before.ambiguous.first()
            && wish.candidates.len() > usize::from(wish.asks_number)
            && let Some(chosen) = numbers::choice(said, wish.candidates.len()).or_else(|| self.named(wish, said))
        {
            let mut order = before.clone();
            let mut wish = order.ambiguous.remove(0);
            let item = wish.candidates[chosen].clone();
            if wish.asks_number {
                wish.candidates = vec![item];
                order.ambiguous.insert(0, wish);
                return settled(order);
            }
            add_line(&mut order, BasketLine { item, qty: wish.qty, notes: wish.notes });
            return settled(order);
        }
        // A yes to the number that was proposed.
        if let Some(AmbiguousWish { candidates, qty: 1.., asks_number: true, .. }) = before.ambiguous.first()
            && candidates.len() == 1
            && intent::talk(&phrases::plain(said)) == Some(Intent::Confirm)
        {
            let mut order = before.clone();
            let wish = order.ambiguous.remove(0);
            accept(&mut order, wish);
            return settled(order);
        }
        if let Some(more) = phrases::one_more(&phrases::plain(said))
            && before.ambiguous.is_empty()
            && let Some(at) = before.focus.or(before.lines.len().checked_sub(1)).filter(|at| *at < before.lines.len())
        {
            let mut order = before.clone();
            order.lines[at].qty = order.lines[at].qty.saturating_add(more);
            order.focus = Some(at);
            return settled(order);
        }
        let asks_number = before.ambiguous.first().is_some_and(|wish| wish.asks_number);
        if self.numbers
            && !asks_number
            && let Some(wishes) = numbers::wishes(said)
        {
            return self.read_numbers(before, &wishes, previous);
        }
        self.understand(given, said)
    }

    /// `la de 400`: the one candidate whose name has all these words. A line of that dish which is there already is not meant.
    fn named(&self, wish: &AmbiguousWish, said: &str) -> Option<usize> {
        let plain = phrases::plain(said);
        let words: Vec<&str> = plain.split(' ').filter(|word| !CHOOSING.contains(word)).collect();
        if words.is_empty() || words.len() > MAX_CHOOSING_WORDS || said.contains('?') {
            return None;
        }
        let menu = self.restaurant.parser.menu();
        let fits = |(at, id): (usize, &String)| {
            let name = phrases::plain(&menu.item(id)?.name);
            words.iter().all(|word| name.split(' ').any(|other| other == *word)).then_some(at)
        };
        let mut fitting = wish.candidates.iter().enumerate().filter_map(fits);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    fn read_numbers(
        &self,
        before: &OrderState,
        wishes: &[numbers::NumberedWish],
        previous: Option<&str>,
    ) -> OrderReading {
        let mut reading = OrderReading { order: before.clone(), is_settled: true, ..OrderReading::default() };
        let items = &self.restaurant.parser.menu().items;
        // Behind `una hamburguesa`, a bare `2` may mean two of them: it is not guessed.
        let speaks_in_numbers = previous.is_none_or(|previous| numbers::wishes(previous).is_some());
        if let [wish] = wishes
            && wish.is_bare
            && !before.lines.is_empty()
            && !speaks_in_numbers
            && (1..=items.len()).contains(&wish.number)
        {
            reading.which_number = Some(wish.number);
            return reading;
        }
        for wish in wishes {
            let Some(item) = wish.number.checked_sub(1).and_then(|at| items.get(at)) else {
                reading.no_numbers.push(wish.number);
                continue;
            };
            let line = BasketLine { item: item.id.clone(), qty: wish.qty, notes: Vec::new() };
            if item.available {
                add_line(&mut reading.order, line);
                reading.changed = true;
            } else {
                reading.unavailable.push(line);
            }
        }
        reading
    }

    fn understand(&self, before: &OrderState, said: &str) -> OrderReading {
        let said = halves::completed(said, &self.restaurant.name_words);
        // `50 más` is more of the line that is there.
        let is_more = phrases::plain(&said).ends_with(" mas");
        let (asked, held) = if is_more { (before.clone(), Vec::new()) } else { without_asked(before) };
        let mut understood = self.restaurant.parser.understand(&said, &asked, self.history);
        for wish in understood.state.ambiguous.iter_mut().filter(|wish| wish.asks_number) {
            wish.replaces = before.ambiguous.iter().any(|old| old.replaces && old.candidates == wish.candidates);
        }
        put_back(&mut understood.state, held);
        let changed = understood.state.lines != before.lines || understood.state.ambiguous != before.ambiguous;
        let repeats_nothing = understood.changes_order
            && !changed
            && self.history.is_empty()
            && before.lines.is_empty()
            && understood.unknown.is_empty()
            && understood.unavailable.is_empty();
        OrderReading {
            order: understood.state,
            intent: Some(understood.intent),
            changed,
            unknown: understood.unknown,
            unavailable: understood.unavailable,
            address: understood.address,
            payment: understood.payment,
            repeats_nothing,
            ..OrderReading::default()
        }
    }

    /// Leaves what is sold out out of the open questions, and questions with too many answers out of the order.
    fn settle_doubts(&self, reading: &mut OrderReading) {
        let menu = self.restaurant.parser.menu();
        for line in &mut reading.order.lines {
            for note in &mut line.notes {
                if note.chars().count() > MAX_NOTE_CHARS {
                    *note = words::cut(note, MAX_NOTE_CHARS).to_owned();
                }
            }
        }
        let mut wishes = std::mem::take(&mut reading.order.ambiguous);
        wishes.retain_mut(|wish| {
            let is_there = |id: &String| menu.item(id).is_some_and(|item| item.available);
            let first = wish.candidates.first().cloned();
            wish.candidates.retain(is_there);
            if wish.candidates.is_empty() {
                let item = first.unwrap_or_default();
                reading.unavailable.push(BasketLine { item, qty: wish.qty, notes: wish.notes.clone() });
                return false;
            }
            if wish.candidates.len() > MAX_CANDIDATES {
                reading.crowded.append(&mut wish.candidates);
                return false;
            }
            true
        });
        reading.order.ambiguous = wishes;
    }
}

/// As many units of the dish were in the order before; a note changes nothing about that.
fn is_settled(line: &BasketLine, lines: &[BasketLine], before: &OrderState) -> bool {
    let as_many = before.lines.iter().filter(|other| other.item == line.item && other.qty >= line.qty).count();
    let more = lines.iter().filter(|other| other.item == line.item && other.qty > line.qty).count();
    as_many > more
}

/// Asks about lines of very many units, until the customer has said that they are meant; a line that was there keeps its units until
/// then. Whoever was asked for the number of a dish has said it.
fn ask_about_many(order: &mut OrderState, before: &OrderState) {
    let now = order.lines.clone();
    let was_asked = |item: &String| {
        before.ambiguous.iter().any(|wish| wish.asks_number && wish.candidates == std::slice::from_ref(item))
    };
    let mut asked = Vec::new();
    order.lines.retain_mut(|line| {
        if line.qty <= MOST_UNASKED || is_settled(line, &now, before) || was_asked(&line.item) {
            return true;
        }
        let settled = line_of(&before.lines, &line.item, &line.notes).map(|at| &before.lines[at]);
        let settled = settled.filter(|settled| !now.contains(settled));
        asked.push(AmbiguousWish {
            candidates: vec![line.item.clone()],
            qty: line.qty,
            notes: line.notes.clone(),
            asks_number: true,
            replaces: settled.is_some(),
        });
        let is_there = settled.is_some();
        if let Some(settled) = settled {
            line.clone_from(settled);
        }
        is_there
    });
    if !asked.is_empty() {
        order.focus = None;
        order.ambiguous.extend(asked);
    }
}

/// The line of a dish that is prepared so, or else the only one of that dish.
fn line_of(lines: &[BasketLine], item: &str, notes: &[String]) -> Option<usize> {
    let alike = lines.iter().position(|line| line.item == item && line.notes == notes);
    let mut of_dish = lines.iter().enumerate().filter(|(_, line)| line.item == item).map(|(at, _)| at);
    let only = of_dish.next().filter(|_| of_dish.next().is_none());
    alike.or(only)
}

/// A yes to a number that was proposed.
fn accept(order: &mut OrderState, mut wish: AmbiguousWish) {
    let replaced = wish.candidates.first().and_then(|item| line_of(&order.lines, item, &wish.notes));
    let line = BasketLine { item: wish.candidates.remove(0), qty: wish.qty, notes: wish.notes };
    match replaced.filter(|_| wish.replaces) {
        Some(at) => {
            order.lines[at] = line;
            order.focus = Some(at);
        }
        None => add_line(order, line),
    }
}

/// The order without lines whose number is asked for, and those lines with their places: a number that is said is all of them, and not
/// so many more.
fn without_asked(before: &OrderState) -> (OrderState, Vec<(usize, BasketLine)>) {
    let mut order = before.clone();
    let mut held = Vec::new();
    for wish in before.ambiguous.iter().filter(|wish| wish.replaces) {
        let found = wish.candidates.first().and_then(|item| line_of(&order.lines, item, &wish.notes));
        if let Some(at) = found {
            held.push((at, order.lines.remove(at)));
            order.focus = order.focus.filter(|focus| *focus != at).map(|focus| focus - usize::from(focus > at));
        }
    }
    (order, held)
}

/// Puts lines back whose number is still asked for.
fn put_back(order: &mut OrderState, held: Vec<(usize, BasketLine)>) {
    for (at, line) in held.into_iter().rev() {
        if order.ambiguous.iter().any(|wish| wish.replaces && wish.candidates == std::slice::from_ref(&line.item)) {
            let at = at.min(order.lines.len());
            order.lines.insert(at, line);
            order.focus = order.focus.map(|focus| focus + usize::from(focus >= at));
        }
    }
}
