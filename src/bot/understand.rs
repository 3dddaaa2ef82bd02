//! A message and a conversation, understood: the order as it is afterwards, what is open, and what the message is
//! about. Pure: the same input gives the same answer. Promises that nothing but the customer's words empties a
//! basket, and that no price comes out of a text.

use serde::{Deserialize, Serialize};

use super::{
    address,
    basket::{AmbiguousWish, BasketLine},
    index::{Index, ItemNo, Likeness},
    intent::{self, Intent},
    menu::{Menu, MenuItem},
    payment::{self, PaymentMethod},
    phrase::{Scopes, phrase_at},
    reading::Reading,
    slots::{BasketSlot, SlotId, Slots},
    text,
    turn::BasketTurn,
};

/// A menu made ready for reading messages.
#[derive(Debug)]
pub struct Parser {
    index: Index,
    menu: Menu,
}

/// A customer's order between two messages, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    pub lines: Vec<BasketLine>,
    #[serde(default)]
    pub ambiguous: Vec<AmbiguousWish>,
    /// The line that was spoken of last.
    #[serde(default)]
    pub focus: Option<usize>,
    /// The one dish that the last message asked about, if it ordered nothing: `deme uno` is of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// What the last message took out, if it did nothing else: `no, déjelo` puts it back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<BasketLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understanding {
    pub intent: Intent,
    pub state: OrderState,
    /// In the customer's words.
    pub unknown: Vec<String>,
    pub unavailable: Vec<BasketLine>,
    pub address: Option<String>,
    pub payment: Option<PaymentMethod>,
    /// Something in the message concerned the order.
    pub changes_order: bool,
}

struct Sentence {
    start: usize,
    end: usize,
    words: String,
    /// As the customer wrote it, folded: the reading's repairs are for dishes.
    written: String,
    is_question: bool,
}

impl Parser {
    pub fn new(menu: Menu) -> Self {
        // Patterns are compiled here rather than in a customer's first message.
        intent::talk("hola");
        intent::topic("hola", false);
        intent::aside("hola");
        intent::wants_to_order("hola");
        payment::stated("hola");
        Self { index: Index::new(&menu), menu }
    }

    pub fn menu(&self) -> &Menu {
        &self.menu
    }

    /// Reads one message. `history` holds the customer's earlier orders, the newest last.
    pub fn understand(&self, text: &str, before: &OrderState, history: &[Vec<BasketLine>]) -> Understanding {
        let found_address = address::find(text);
        let skipped: Vec<_> = found_address.iter().map(|address| address.span.clone()).collect();
        let reading = Reading::new(&self.index, text, &skipped);
        let sentences = sentences(&reading);
        let (slots, focus) = self.slots(before);
        let mut turn = BasketTurn::new(&self.index, &reading, slots, focus);
        let mut topics: Vec<Intent> = Vec::new();
        let mut cancelled = false;
        let mut pays = None;
        let mut asked: Option<ItemNo> = before.asked.as_deref().and_then(|id| self.item(id));
        let mut asks: Option<ItemNo> = None;
        for sentence in &sentences {
            let stated = payment::stated(&payment_words(text, &reading, sentence));
            pays = stated.or(pays);
            if self.is_cancelled(&turn, sentence, stated) {
                cancelled = true;
                topics.push(Intent::Cancel);
                turn.slots = Slots::default();
                turn.focus = None;
                continue;
            }
            let topic = intent::topic(&sentence.words, sentence.is_question)
                .or_else(|| intent::topic(&sentence.written, sentence.is_question));
            let has_order = !turn.slots.all.is_empty();
            let aside = intent::aside(&sentence.words).filter(|aside| {
                let decides = topic.is_none() && !intent::asks_same_again(&sentence.words)
                    || topic == Some(Intent::Price) && aside.intent == Intent::Status;
                decides && !(has_order && aside.yields_to_order)
            });
            let topic = aside.map(|aside| aside.intent).or(topic);
            // `nos faltan dos lumpias`, said while the order is made.
            let adds = topic == Some(Intent::Human)
                && !turn.slots.all.is_empty()
                && intent::lacks(&sentence.words)
                && self.order(&mut turn, sentence, false);
            if adds {
                continue;
            }
            if let Some(topic) = topic {
                // `un menú especial` may be a dish.
                let named_so = topic == Intent::Menu
                    && !sentence.is_question
                    && self
                        .index
                        .lookup("menu")
                        .iter()
                        .any(|(word, _)| self.index.spelling(*word) == "menu" && self.index.is_in_names(*word));
                let ordered = matches!(topic, Intent::Other | Intent::Hours)
                    && self.order_behind_praise(&mut turn, sentence)
                    || topic == Intent::Other
                        && intent::asks_bot(&sentence.words, sentence.is_question)
                        && self.order_before(&mut turn, sentence, intent::bot_question(&sentence.words))
                    || topic == Intent::Price && self.order_before_price(&mut turn, sentence)
                    || aside.is_some_and(|aside| self.order_before_aside(&mut turn, sentence, aside.at))
                    || named_so && self.order(&mut turn, sentence, false) && turn.has_quantity;
                if !ordered {
                    topics.push(topic);
                    let is_about_dish = sentence.is_question || matches!(topic, Intent::Menu | Intent::Price);
                    asked = if is_about_dish { self.only_dish(&reading, sentence) } else { None };
                    asks = asked;
                }
                continue;
            }
            // `¿tienen changua? deme dos`.
            if let Some((item, units)) = asked.take().zip(intent::follow_up(&sentence.words)) {
                turn.focus = Some(turn.slots.add(vec![item], units, Vec::new(), true));
                turn.is_touched = true;
                continue;
            }
            if intent::asks_same_again(&sentence.words) && before.lines.is_empty() {
                self.repeat(&mut turn, history);
                self.order(&mut turn, sentence, true);
                turn.is_touched = true;
                continue;
            }
            if !before.removed.is_empty() && intent::takes_back_removal(&sentence.words) {
                self.put_back(&mut turn, &before.removed);
                continue;
            }
            if let Some(talk) = self.pure_talk(&turn, sentence) {
                topics.push(talk);
                continue;
            }
            if !self.order(&mut turn, sentence, false) {
                if intent::wants_to_order(&sentence.words) && !sentence.is_question {
                    topics.push(Intent::Order);
                }
                topics.extend(intent::talk(&sentence.words));
                if topics.is_empty() && sentence.words.chars().any(char::is_alphanumeric) {
                    topics.push(intent::remainder(&sentence.words, sentence.is_question));
                }
            }
        }
        let touched = turn.is_touched;
        let mut unknown = std::mem::take(&mut turn.unknown);
        unknown.extend(unread(text, reading.cut).filter(|_| touched));
        let focus = turn.focus;
        let slots = std::mem::take(&mut turn.slots);
        let (mut state, unavailable) =
            if touched || cancelled { self.state(&slots, focus) } else { (before.clone(), Vec::new()) };
        if cancelled && !touched {
            state = OrderState::default();
        }
        let asks = asks.filter(|_| !touched && !cancelled);
        state.asked = asks.map(|item| self.index.ids[usize::from(item)].clone());
        state.removed = if touched { taken_out(&before.lines, &state.lines) } else { Vec::new() };
        let address = found_address.map(|address| address.text);
        let intent = if touched { Intent::Order } else { overall(&topics, address.is_some(), pays.is_some(), text) };
        Understanding { intent, state, unknown, unavailable, address, payment: pays, changes_order: touched }
    }

    /// The items that a question names, in its order; several where a name fits several.
    pub fn named(&self, text: &str) -> Vec<Vec<&MenuItem>> {
        let reading = Reading::new(&self.index, text, &[]);
        let scopes = Scopes::default();
        let mut named = Vec::new();
        let mut at = 0;
        while at < reading.len() {
            let mention = phrase_at(&self.index, &reading, at, reading.len(), scopes).and_then(|phrase| phrase.mention);
            let Some(mention) = mention.filter(|mention| !mention.is_foreign && mention.likeness <= Likeness::Sounds)
            else {
                at += 1;
                continue;
            };
            at = mention.end.max(at + 1);
            named.push(mention.candidates.iter().filter_map(|item| self.menu.items.get(usize::from(*item))).collect());
        }
        named
    }

    /// The one dish that a sentence names.
    fn only_dish(&self, reading: &Reading<'_>, sentence: &Sentence) -> Option<ItemNo> {
        let mut dish = None;
        let mut at = sentence.start;
        while at < sentence.end {
            let phrase = phrase_at(&self.index, reading, at, sentence.end, Scopes::default());
            let mention = phrase.and_then(|phrase| phrase.mention).filter(|mention| !mention.is_foreign);
            let Some(mention) = mention else {
                at += 1;
                continue;
            };
            let [item] = mention.candidates[..] else { return None };
            if !mention.is_headed || dish.is_some_and(|dish| dish != item) {
                return None;
            }
            dish = Some(item);
            at = mention.end.max(at + 1);
        }
        dish
    }

    /// Cancels the order, and not one dish of it.
    fn is_cancelled<'a>(&'a self, turn: &BasketTurn<'a>, sentence: &Sentence, pays: Option<PaymentMethod>) -> bool {
        // In Colombia, `cancelo en efectivo` pays.
        if pays.is_some()
            || intent::complains(&sentence.written)
            || !intent::cancels(sentence.words.trim_matches(|c: char| !c.is_alphanumeric()))
        {
            return false;
        }
        if turn.slots.all.is_empty() && !sentence.words.contains(" mejor ") {
            return true;
        }
        let mut trial = BasketTurn::new(&self.index, turn_reading(turn), turn.slots.clone(), turn.focus);
        let named = trial.names_a_line(sentence.start, sentence.end);
        !named
    }

    /// `me da dos perros, y cuánto es`: the order counts, though the sentence asks.
    fn order_before_price<'a>(&'a self, turn: &mut BasketTurn<'a>, sentence: &Sentence) -> bool {
        let cut = intent::price_question(&sentence.words);
        let before = cut.map_or("", |cut| &sentence.words[..cut]);
        if !intent::is_command(before) || !before.contains([',', '.']) && !before.contains(" y ") {
            return false;
        }
        self.order_before(turn, sentence, cut)
    }

    /// `me da dos perros, y ya le pagué`: the order counts, though the sentence goes on about something else.
    fn order_before_aside<'a>(&'a self, turn: &mut BasketTurn<'a>, sentence: &Sentence, at: usize) -> bool {
        let before = &sentence.words[..at];
        let is_parted = before.contains([',', '.']) || before.contains(" y ");
        let counts =
            before.split_whitespace().any(|word| text::number::word(word).is_some() || word.parse::<u32>().is_ok());
        is_parted && (counts || intent::is_command(before)) && self.order_before(turn, sentence, Some(at))
    }

    /// Reads the part before a question as an order.
    fn order_before<'a>(&'a self, turn: &mut BasketTurn<'a>, sentence: &Sentence, cut: Option<usize>) -> bool {
        let Some(before) = cut.map(|cut| &sentence.words[..cut]) else { return false };
        let words = before.split_whitespace().count();
        let end = (sentence.start + words).min(sentence.end);
        if end <= sentence.start {
            return false;
        }
        let words = before.to_owned();
        let shorter = Sentence { start: sentence.start, end, written: words.clone(), words, is_question: false };
        self.order(turn, &shorter, false)
    }

    /// `qué rico, mándeme dos tamales`: the order counts, though the sentence praises.
    fn order_behind_praise<'a>(&'a self, turn: &mut BasketTurn<'a>, sentence: &Sentence) -> bool {
        let Some(cut) = intent::behind_praise(&sentence.words) else { return false };
        let rest = sentence.words[cut..].trim_start_matches(|c: char| !c.is_alphanumeric());
        let start = sentence.start + sentence.words[..cut].split_whitespace().count();
        let counts = (start..sentence.end).any(|at| {
            let token = &turn_reading(turn).tokens[at];
            token.token.number().is_some() || super::text::number::is_named(&token.word)
        });
        // `soy alérgico al maní, una changua`.
        let begins_anew = sentence.words[..cut].contains("alergic")
            && sentence.words[cut..].trim_start().starts_with([',', '.'])
            && rest.split(' ').next().is_some_and(|word| matches!(word, "un" | "una" | "unos" | "unas"));
        if start >= sentence.end || sentence.is_question || !counts && !begins_anew && !intent::is_command(rest) {
            return false;
        }
        let words = rest.to_owned();
        let rest = Sentence { start, end: sentence.end, written: words.clone(), words, is_question: false };
        self.order(turn, &rest, false)
    }

    /// Yes, no, a greeting: words that a basket must not be searched for.
    fn pure_talk(&self, turn: &BasketTurn<'_>, sentence: &Sentence) -> Option<Intent> {
        let reading = turn_reading(turn);
        let names = (sentence.start..sentence.end).any(|at| {
            let token = &reading.tokens[at];
            // `no, una` corrects a quantity.
            let counts = matches!(token.word.as_str(), "una" | "uno")
                && at > sentence.start
                && reading.word(at - 1) == ","
                && !turn.slots.all.is_empty()
                // `y una más`.
                || matches!(token.word.as_str(), "una" | "uno")
                    && reading.word(at + 1) == "mas"
                    && !turn.slots.all.is_empty();
            !token.is_weak && !token.hits.is_empty() || token.token.number().is_some() || counts
        });
        if names {
            return None;
        }
        intent::talk(&sentence.words).filter(|talk| matches!(talk, Intent::Confirm | Intent::Deny | Intent::Greeting))
    }

    /// Reads a sentence as an order. False: it was none, and nothing has changed.
    fn order<'a>(&'a self, turn: &mut BasketTurn<'a>, sentence: &Sentence, is_certain: bool) -> bool {
        let reading = turn_reading(turn);
        let mut trial = turn.next();
        trial.run(sentence.start, sentence.end);
        if !trial.is_touched {
            return false;
        }
        let had_order = !turn.slots.all.is_empty();
        let says = |at: &usize| {
            reading.tokens[*at].token.is_word() && !super::lexicon::is_connector(&reading.tokens[*at].word)
        };
        let words = (sentence.start..sentence.end).filter(says).count();
        let commanded = intent::is_command(&sentence.words);
        let mostly_food = trial.covered * 2 >= words;
        let asks = sentence.is_question && !commanded && !trial.has_quantity;
        let is_order = is_certain
            || !asks
                && (commanded
                    || trial.has_quantity
                    || mostly_food
                    || had_order && trial.covered * 4 >= words
                    || had_order && trial.unknown.is_empty());
        if !is_order {
            return false;
        }
        let keep = turn.is_touched;
        *turn = trial;
        turn.is_touched |= keep;
        true
    }

    fn put_back(&self, turn: &mut BasketTurn<'_>, removed: &[BasketLine]) {
        for line in removed {
            let alike = |slot: &&mut BasketSlot| {
                slot.item().is_some_and(|item| self.index.ids[usize::from(item)] == line.item)
                    && same_notes(&slot.notes, &line.notes)
            };
            match (turn.slots.all.iter_mut().find(alike), self.item(&line.item)) {
                (Some(slot), _) => slot.qty = slot.qty.saturating_add(line.qty),
                (None, Some(item)) => {
                    turn.focus = Some(turn.slots.add(vec![item], line.qty, line.notes.clone(), true));
                }
                (None, None) => {}
            }
            turn.is_touched = true;
        }
    }

    fn repeat(&self, turn: &mut BasketTurn<'_>, history: &[Vec<BasketLine>]) {
        let Some(last) = history.last() else { return };
        for line in last {
            if let Some(item) = self.item(&line.item) {
                let id = turn.slots.add(vec![item], line.qty, line.notes.clone(), false);
                turn.focus = Some(id);
            }
        }
    }

    fn item(&self, id: &str) -> Option<ItemNo> {
        self.index.ids.iter().position(|known| known == id).map(|at| at as ItemNo)
    }

    fn slots(&self, state: &OrderState) -> (Slots, Option<SlotId>) {
        let mut slots = Slots::default();
        let mut focus = None;
        for (n, line) in state.lines.iter().enumerate() {
            if let Some(item) = self.item(&line.item) {
                let id = slots.add(vec![item], line.qty, line.notes.clone(), false);
                if state.focus == Some(n) || state.focus.is_none() {
                    focus = Some(id);
                }
            }
        }
        for wish in &state.ambiguous {
            let candidates: Vec<ItemNo> = wish.candidates.iter().filter_map(|id| self.item(id)).collect();
            let id = slots.add(candidates, wish.qty.max(1), wish.notes.clone(), false);
            if wish.asks_number {
                slots.ask_number(id, wish.qty);
            }
            focus = Some(id);
        }
        (slots, focus)
    }

    /// The order after the message; what is sold out is left out and named.
    fn state(&self, slots: &Slots, focus: Option<SlotId>) -> (OrderState, Vec<BasketLine>) {
        let mut state = OrderState::default();
        let mut unavailable: Vec<BasketLine> = Vec::new();
        let id = |item: ItemNo| self.index.ids[usize::from(item)].clone();
        for slot in &slots.all {
            let Some(item) = slot.item() else {
                let candidates = slot.candidates.iter().map(|item| id(*item)).collect();
                let (qty, asks_number) = (slot.qty, slot.asks_number);
                let notes = slot.notes.clone();
                state.ambiguous.push(AmbiguousWish { candidates, qty, notes, asks_number, replaces: false });
                continue;
            };
            let line = BasketLine { item: id(item), qty: slot.qty, notes: slot.notes.clone() };
            if !self.index.items[usize::from(item)].available {
                unavailable.push(line);
                continue;
            }
            let known =
                state.lines.iter().position(|other| other.item == line.item && same_notes(&other.notes, &line.notes));
            let at = match known {
                Some(at) => {
                    state.lines[at].qty = state.lines[at].qty.saturating_add(line.qty);
                    at
                }
                None => {
                    state.lines.push(line);
                    state.lines.len() - 1
                }
            };
            if focus == Some(slot.id) {
                state.focus = Some(at);
            }
        }
        (state, unavailable)
    }
}

/// The first words of what was too long to be read: it is told, lest an order lose its end.
fn unread(text: &str, cut: Option<usize>) -> Option<String> {
    const MOST_WORDS: usize = 6;
    let rest = text.get(cut?..)?;
    let words: Vec<&str> = rest.split_whitespace().take(MOST_WORDS).collect();
    let said = words.join(" ").chars().take(60).collect::<String>().to_lowercase();
    said.chars().any(char::is_alphanumeric).then_some(said)
}

/// What is missing after a message. Nothing where the message has also put something in: that is no plain removal.
fn taken_out(before: &[BasketLine], after: &[BasketLine]) -> Vec<BasketLine> {
    let qty = |lines: &[BasketLine], line: &BasketLine| -> u32 {
        let alike = lines.iter().filter(|other| other.item == line.item && same_notes(&other.notes, &line.notes));
        alike.map(|other| other.qty).sum()
    };
    if after.iter().any(|line| qty(after, line) > qty(before, line)) {
        return Vec::new();
    }
    let missing = before.iter().filter_map(|line| {
        let gone = qty(before, line).saturating_sub(qty(after, line)).min(line.qty);
        (gone > 0).then(|| BasketLine { qty: gone, ..line.clone() })
    });
    missing.collect()
}

fn turn_reading<'a>(turn: &BasketTurn<'a>) -> &'a Reading<'a> {
    turn.reading()
}

fn same_notes(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|note| b.contains(note))
}

/// The sentence as it was written, folded; the reading's repairs are for dishes.
fn payment_words(text: &str, reading: &Reading<'_>, sentence: &Sentence) -> String {
    let start = reading.tokens[sentence.start].token.span.start;
    let end = reading.tokens.get(sentence.end.saturating_sub(1)).map_or(start, |token| token.token.span.end);
    let mut folded = text::fold(text.get(start..end).unwrap_or_default());
    if sentence.is_question {
        folded.push('?');
    }
    folded
}

fn sentences(reading: &Reading<'_>) -> Vec<Sentence> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at <= reading.len() {
        let mark = reading.word(at);
        let numbering = mark == "."
            && at > 0
            && reading.tokens[at - 1].token.number().is_some()
            && (at < 2 || reading.word(at - 2) == "\n");
        let ends = at == reading.len() || matches!(mark, "?" | "!" | "\n" | ";") || mark == "." && !numbering;
        if ends {
            let end = (at + 1).min(reading.len());
            if (start..at).any(|n| {
                reading.tokens[n].token.is_word()
                    || reading.tokens[n].token.number().is_some()
                    || reading.tokens[n].word.chars().any(|c| c as u32 > 0x2000)
            }) {
                let words: Vec<&str> = (start..at).map(|n| reading.word(n)).collect();
                let is_question = mark == "?";
                let mut words = words.join(" ");
                let written: Vec<&str> = (start..at).map(|n| reading.tokens[n].token.text.as_str()).collect();
                let mut written = written.join(" ");
                if is_question {
                    words.push_str(" ?");
                    written.push_str(" ?");
                }
                sentences.push(Sentence {
                    start,
                    end: at.max(start + 1).min(end),
                    words: words.trim().to_owned(),
                    written: written.trim().to_owned(),
                    is_question,
                });
            }
            start = at + 1;
        }
        at += 1;
    }
    sentences
}

/// One intent for the whole of a message that orders nothing.
fn overall(topics: &[Intent], has_address: bool, pays: bool, text: &str) -> Intent {
    let weighty =
        [Intent::Cancel, Intent::Human, Intent::Price, Intent::Status, Intent::Hours, Intent::Menu, Intent::Order];
    if let Some(intent) = weighty.iter().find(|intent| topics.contains(intent)) {
        return *intent;
    }
    if has_address {
        return Intent::Address;
    }
    let light = [Intent::Deny, Intent::Confirm, Intent::Thanks, Intent::Greeting];
    if let Some(intent) = light.iter().find(|intent| topics.contains(intent)) {
        return if pays && *intent == Intent::Greeting { Intent::Other } else { *intent };
    }
    if text.contains('👍') || text.contains('👌') || text.contains('✅') {
        return Intent::Confirm;
    }
    Intent::Other
}
