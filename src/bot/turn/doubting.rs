//! Numbers that nobody can be sure of: `10 o 12`, `varias`, `media bandeja`. The dish is taken down, and its number is
//! asked for.

use super::*;
use crate::bot::mention::{Circumstances, mention_at};

impl BasketTurn<'_> {
    /// A doubtful number before its dish.
    pub(super) fn take_doubtful(&mut self, at: usize) -> Option<usize> {
        if self.removing || self.replacing.is_some() {
            return None;
        }
        let from = self.range_at(at).or_else(|| self.vague_at(at)).or_else(|| self.fraction_at(at))?;
        let mut dish = from;
        while matches!(self.word(dish), "de" | "del") {
            dish += 1;
        }
        if let Some(mention) = self.dish_at(dish) {
            return Some(self.ask_number_of(at, mention));
        }
        // `dos o tres de pollo`.
        let named = self.phrase(from - 1).filter(|phrase| phrase.quantity.units().is_some());
        if let Some(mention) = named.and_then(|phrase| phrase.mention).filter(|mention| !mention.is_foreign) {
            return Some(self.ask_number_of(at, mention));
        }
        // `que sean dos o tres`.
        let focus = self.focus.filter(|_| self.is_break(from) && (self.setting || self.correcting))?;
        self.slots.ask_number(focus, 0);
        self.is_touched = true;
        self.parts = None;
        self.setting = false;
        self.corrected = true;
        Some(from)
    }

    /// `una empanada de carne o de pollo`: of the same dish, and the customer is to be asked.
    pub(super) fn other_kind(&mut self, at: usize) -> Option<usize> {
        let is_behind = matches!(self.word(at), "o" | "u")
            && self.last_end == at
            && matches!(self.word(at + 1), "de" | "con" | "en");
        let focus = self.focus.filter(|id| is_behind && self.slots.get(*id).is_some_and(|slot| slot.is_fresh))?;
        let here = Circumstances { scope: Some(&self.siblings), has_quantity: false, is_attribute: true };
        let mention = mention_at(self.index, self.reading, at + 2, here).filter(|mention| !mention.is_foreign)?;
        let slot = self.slots.get_mut(focus)?;
        for item in mention.candidates {
            if !slot.candidates.contains(&item) {
                slot.candidates.push(item);
            }
        }
        self.last_end = mention.end;
        self.covered += mention.end - at;
        Some(mention.end)
    }

    /// `el doble de todo`: as much again of what is in the basket.
    pub(super) fn double_all(&mut self, at: usize) -> Option<usize> {
        let next = if self.word(at) == "el" { at + 1 } else { at };
        let is_said = self.word(next) == "doble"
            && self.word(next + 1) == "de"
            && matches!(self.word(next + 2), "todo" | "todos" | "todas" | "cada" | "eso" | "esto");
        if !is_said {
            return None;
        }
        let mut end = next + 3;
        while matches!(self.word(end), "lo" | "cosa" | "uno" | "una" | "que" | "pedi" | "anterior") {
            end += 1;
        }
        if !self.is_break(end) {
            return None;
        }
        for slot in &mut self.slots.all {
            slot.qty = slot.qty.saturating_mul(2).min(MAX_QUANTITY);
        }
        self.is_touched |= !self.slots.all.is_empty();
        self.has_quantity = true;
        self.parts = None;
        self.covered += end - at;
        Some(end)
    }

    /// `2 combos de hamburguesa` where the menu has no combos: the dish counts, and what is not there is said.
    pub(super) fn combo_of(&mut self, at: usize) -> Option<usize> {
        let is_combo = |n: usize| matches!(self.word(n), "combo" | "combos" | "combito" | "combitos");
        let counted = value(self.reading, at).filter(|value| value % 1_000 == 0).map(|value| value / 1_000);
        let (units, noun) = match self.word(at) {
            "un" | "una" => (1, at + 1),
            _ if is_combo(at) => (1, at),
            _ => (counted.filter(|units| (1..=MAX_QUANTITY).contains(units))?, at + 1),
        };
        if !is_combo(noun) || noun >= self.limit {
            return None;
        }
        let hits = &self.reading.tokens[noun].hits;
        if hits.iter().any(|(word, _)| self.index.is_in_names(*word)) {
            return None;
        }
        let mut dish = noun + 1;
        while matches!(self.word(dish), "de" | "del" | "con" | "la" | "el") {
            dish += 1;
        }
        let mention = self.dish_at(dish)?;
        self.push_unknown(noun, noun + 1);
        Some(self.take_phrase(counted_dish(at, units, mention)))
    }

    /// `2 y 2: perros y aguas`: so many of each dish that follows.
    pub(super) fn so_many_each(&mut self, at: usize) -> Option<usize> {
        if at != self.start || self.word(at + 1) != "y" || !matches!(self.word(at + 3), ":" | ",") {
            return None;
        }
        let counted = |units: &u32| (1..=MAX_QUANTITY).contains(units);
        let first = self.whole(at).filter(counted)?;
        let second = self.whole(at + 2).filter(counted)?;
        let mention = self.dish_at(at + 4)?;
        if first != second {
            // `2 y 3: perros y aguas`.
            let joined = Some(mention.end).filter(|end| matches!(self.word(*end), "y" | ","))?;
            let other = self.dish_at(joined + 1)?;
            self.take_phrase(counted_dish(at, first, mention));
            return Some(self.take_phrase(counted_dish(joined + 1, second, other)));
        }
        self.of_each = Some(first);
        self.has_quantity = true;
        Some(at + 4)
    }

    /// `10 o 12`, `varias` behind its dish: where the number ends.
    pub(super) fn doubt_behind(&self, at: usize) -> Option<usize> {
        self.range_at(at).or_else(|| self.vague_at(at)).filter(|end| self.is_break(*end) || *end >= self.limit)
    }

    fn ask_number_of(&mut self, at: usize, mention: Mention) -> usize {
        self.is_number_open = true;
        let next = self.take_phrase(counted_dish(at, 1, mention));
        // It answered a question rather than made a line.
        if std::mem::take(&mut self.is_number_open)
            && let Some(focus) = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.is_fresh))
        {
            self.slots.ask_number(focus, 0);
            self.parts = None;
        }
        next
    }

    fn whole(&self, at: usize) -> Option<u32> {
        if at >= self.limit {
            return None;
        }
        if matches!(self.word(at), "un" | "una") {
            return Some(1);
        }
        value(self.reading, at).filter(|value| value % 1_000 == 0).map(|value| value / 1_000)
    }

    /// `10 o 12`, `2-3`, `entre 5 y 6`: where the second number ends.
    fn range_at(&self, at: usize) -> Option<usize> {
        let between = matches!(self.word(at), "entre" | "de");
        let first = if between { at + 1 } else { at };
        let joined = match self.word(first + 1) {
            "y" => self.word(at) == "entre",
            "a" => true,
            "o" | "u" => true,
            // `2 - 3` may count lines.
            "-" => self.is_glued(first, first + 2),
            _ => false,
        };
        let low = self.whole(first).filter(|low| joined && *low >= 1)?;
        let second = if self.word(first + 2) == "x" { first + 3 } else { first + 2 };
        let high = self.whole(second).filter(|high| *high <= MAX_QUANTITY)?;
        (low < high || matches!(self.word(first + 1), "o" | "u") && low != high).then_some(second + 1)
    }

    fn is_glued(&self, first: usize, last: usize) -> bool {
        let span = |n: usize| self.reading.tokens.get(n).map(|token| token.token.span.clone());
        let Some((first, last)) = span(first).zip(span(last)) else { return false };
        self.reading.text.get(first.end..last.start) == Some("-")
    }

    /// `varias`, `unas cuantas`, `una caja de`: words that count and say no number.
    fn vague_at(&self, at: usize) -> Option<usize> {
        let is_many = |n: usize| {
            n < self.limit
                && matches!(
                    self.reading.tokens[n].token.text.as_str(),
                    "varias"
                        | "varios"
                        | "muchas"
                        | "muchos"
                        | "algunas"
                        | "algunos"
                        | "bastantes"
                        | "hartas"
                        | "hartos"
                )
        };
        if is_many(at) {
            return Some(at + 1);
        }
        let is_article = matches!(self.word(at), "un" | "una" | "unas" | "unos");
        if is_article
            && matches!(self.word(at + 1), "cuantas" | "cuantos" | "poquitas" | "poquitos" | "pocas" | "pocos")
            || self.word(at) == "un" && self.word(at + 1) == "poco"
        {
            return Some(at + 2);
        }
        // `2 o más aguas`.
        if self.whole(at).is_some() && self.word(at + 1) == "o" && self.word(at + 2) == "mas" {
            return Some(at + 3);
        }
        let is_box = matches!(self.word(at + 1), "caja" | "cajas" | "cajita" | "canasta" | "bulto" | "balde");
        let named = |n: usize| {
            let token = self.reading.tokens.get(n);
            token.is_some_and(|token| token.hits.iter().any(|(word, _)| self.index.is_in_names(*word)))
        };
        (is_box && self.whole(at).is_some() && self.word(at + 2) == "de" && !named(at + 1)).then_some(at + 2)
    }

    /// `media bandeja`, `2/3 aguas`: a part of what is sold whole.
    fn fraction_at(&self, at: usize) -> Option<usize> {
        let part = value(self.reading, at).filter(|value| at < self.limit && *value > 0 && *value < 1_000)?;
        // `media de ron` is a bottle.
        if part == 500 && self.word(at + 1) == "de" {
            return None;
        }
        let next = if self.word(at + 1) == "de" { at + 2 } else { at + 1 };
        let in_name = self.phrase(at).and_then(|phrase| phrase.mention).is_some_and(|mention| mention.start <= at);
        // `media de almojábanas`, behind dozens, and `media hawaiana y media pepperoni` are read elsewhere.
        let is_half = part == 500
            && (self.start..self.limit)
                .filter(|n| *n != at)
                .any(|n| matches!(self.word(n), "docena" | "docenas" | "media" | "medio" | "mitad"));
        // `medio broaster` of a `Medio Pollo Broaster`.
        let is_sold_so = self.dish_at(next).is_some_and(|mention| {
            let names = mention.candidates.iter().flat_map(|item| &self.index.items[usize::from(*item)].names);
            names.flat_map(|name| &name.parts).any(|named| match named {
                crate::bot::index::NamePart::Number(number) => *number == part,
                crate::bot::index::NamePart::Word(word) => {
                    matches!(self.index.spelling(*word), "medio" | "media" | "mitad" | "libra" | "cuarto")
                }
                crate::bot::index::NamePart::Measure(..) => true,
            })
        });
        (!in_name && !is_half && !is_sold_so && !self.is_end(next)).then_some(next)
    }
}

fn counted_dish(start: usize, units: u32, mention: Mention) -> Phrase {
    let (quantity, end) = (Quantity::Number(units), mention.end);
    Phrase { start, end, quantity, is_definite: false, is_sole: false, is_attribute: false, mention: Some(mention) }
}
