//! Units of a line that are told apart by their place, by the verb of the one before, or by a number behind their notes.

use super::*;
use crate::bot::{
    mention::{Circumstances, mention_at},
    notes::ReadNotes,
};

impl BasketTurn<'_> {
    /// `a la otra la salsa`, behind `a una quítele la cebolla`; `al primero sin piña`.
    pub(super) fn unit_of_line(&mut self, at: usize) -> Option<usize> {
        let focus = self.focus?;
        let mut next = match self.word(at) {
            "al" => at + 1,
            "a" if matches!(self.word(at + 1), "la" | "el" | "las" | "los") => at + 2,
            "a" => at + 1,
            _ => return None,
        };
        // `al picante sin huevo`, of the lines that are there.
        if self.word(at) == "al"
            && let Some(mention) = self.named_of_basket(if self.word(next) == "de" { next + 1 } else { next })
            && let [line] = self.in_basket(&mention)[..]
            && (self.notes_at(mention.end).is_some()
                || command_at(self.reading, mention.end, self.limit)
                    .is_some_and(|(command, _)| matches!(command, BasketCommand::Add | BasketCommand::Remove)))
        {
            self.set_focus(Some(line));
            self.referred = Some(line);
            self.covered += mention.end - at;
            return Some(mention.end);
        }
        let is_definite = next > at + 1 || self.word(at) == "al";
        let quantity = match self.word(next) {
            "otra" | "otro" => Quantity::Another(1),
            "primera" | "primero" | "primer" | "segunda" | "segundo" | "tercera" | "tercero" | "ultima" | "ultimo"
                if is_definite =>
            {
                Quantity::One
            }
            "un" | "una" | "uno" => Quantity::One,
            "otras" | "otros" => {
                let units = value(self.reading, next + 1).filter(|_| next + 1 < self.limit)? / 1_000;
                next += 1;
                Quantity::Another(units)
            }
            _ => Quantity::Number(value(self.reading, next).filter(|_| next < self.limit)? / 1_000),
        };
        next += 1;
        let by_place = is_definite && quantity == Quantity::One;
        let notes = self.by_same_verb(at, next).or_else(|| if by_place { self.notes_at(next) } else { None })?;
        // `al segundo` of a line that is there: one of its plain units.
        self.begin_parts(focus);
        self.covered += next - at;
        let mention = None;
        let phrase =
            Phrase { start: at, end: next, quantity, is_definite, is_sole: false, is_attribute: false, mention };
        Some(self.part_with_notes(&phrase, &notes.notes, notes.end))
    }

    /// `uno que sea de res`, `una mejor zero`, of several that are there: where the other dish begins.
    pub(super) fn units_become_other(&mut self, phrase: &Phrase) -> Option<usize> {
        let units = match phrase.quantity {
            Quantity::One => 1,
            Quantity::Number(units) => units,
            _ => return None,
        };
        let focus = self.focus?;
        let meant = match self.word(phrase.end) {
            "que" if matches!(self.word(phrase.end + 1), "sea" | "sean") => phrase.end + 2,
            // `que dos sean de carne`.
            "sea" | "sean" if phrase.start > self.start && self.word(phrase.start - 1) == "que" => phrase.end + 1,
            "mejor" => phrase.end + 1,
            _ => return None,
        };
        if !self.slots.get(focus).is_some_and(|slot| slot.qty > units && slot.candidates.len() == 1) {
            return None;
        }
        let other = self.phrase_if_changing(meant).filter(|_| meant < self.limit)?;
        let other = other.mention.filter(|mention| !mention.is_foreign && !mention.is_only_option())?;
        if self.slots.get(focus).is_some_and(|slot| other.candidates.contains(&slot.candidates[0])) {
            return None;
        }
        self.correcting = false;
        self.is_touched = true;
        self.replacing = Some(Replacing { target: Some(focus), units: Some(units), is_ready: true });
        Some(meant)
    }

    /// A line of several units without a note may be told apart by units.
    fn begin_parts(&mut self, focus: SlotId) {
        let several = self.slots.get(focus).filter(|slot| slot.qty >= 2 && slot.notes.is_empty());
        if self.parts.is_none()
            && let Some(slot) = several
        {
            self.parts = Some(Parts { parent: slot.id, total: slot.qty, left: slot.qty });
        }
    }

    /// What the last verb of the sentence, before a token, leaves out or adds.
    fn by_same_verb(&self, before: usize, at: usize) -> Option<ReadNotes> {
        let starts = |n: usize, stems: &[&str]| stems.iter().any(|stem| self.word(n).starts_with(stem));
        let removes = |n: usize| starts(n, &["quit", "saqu", "saca", "retir"]);
        let adds = |n: usize| starts(n, &["pon", "ech", "agreg", "anad", "adicion"]);
        let verb = (self.start..before).rev().find(|n| removes(*n) || adds(*n))?;
        let host = self.host();
        let notes = NoteReader { index: self.index, reading: self.reading, host: &host, end: self.limit };
        notes.by_same_verb(at, removes(verb))
    }

    /// `una menos de pollo`, `dos menos de las sencillas`.
    pub(super) fn fewer_of(&mut self, at: usize) -> Option<usize> {
        let units = match self.word(at) {
            "un" | "una" | "uno" => 1,
            _ => value(self.reading, at).filter(|value| value % 1_000 == 0)? / 1_000,
        };
        if self.word(at + 1) != "menos" || !matches!(self.word(at + 2), "de" | "del" | "en") {
            return None;
        }
        let mut from = at + 3;
        while matches!(self.word(from), "la" | "el" | "las" | "los" | "esas" | "esos") {
            from += 1;
        }
        let mention = self.named_of_basket(from)?;
        let lines = self.in_basket(&mention);
        self.take_away(&lines, Some(units));
        self.covered += mention.end - at;
        Some(mention.end)
    }

    /// A dish of the basket, also by the word alone that tells it from others: `hawaiano`.
    pub(super) fn named_of_basket(&self, at: usize) -> Option<Mention> {
        let is_there =
            |mention: &Mention| !mention.is_foreign && !mention.is_only_option() && !self.in_basket(mention).is_empty();
        let named = self.phrase(at).filter(|_| at < self.limit).and_then(|phrase| phrase.mention).filter(is_there);
        named.or_else(|| {
            let scope: Vec<ItemNo> = self.slots.all.iter().flat_map(|slot| slot.candidates.clone()).collect();
            let here = Circumstances { scope: Some(&scope), has_quantity: true, is_attribute: true };
            if at < self.limit && (!lexicon::is_everyday(self.word(at)) || crate::bot::mention::is_size(self.word(at)))
            {
                mention_at(self.index, self.reading, at, here).filter(is_there)
            } else {
                None
            }
        })
    }

    /// `y la otra normal`: a unit as the menu has it, of a line that notes have parted.
    pub(super) fn plain_unit(&mut self, at: usize) -> Option<usize> {
        if let Some(next) = self.one_more_plain(at) {
            return Some(next);
        }
        let parts = self.parts.filter(|parts| parts.left >= 1)?;
        self.slots.get(parts.parent).and_then(crate::bot::slots::BasketSlot::item)?;
        let mut next = at;
        while matches!(self.word(next), "la" | "el" | "las" | "los") {
            next += 1;
        }
        let units = match self.word(next) {
            "otra" | "otro" | "un" | "una" | "uno" => 1,
            "otras" | "otros" => parts.left,
            _ => value(self.reading, next).filter(|value| next < self.limit && value % 1_000 == 0)? / 1_000,
        };
        let plain = matches!(self.word(next + 1), "normal" | "normales" | "completa" | "completo" | "completas");
        if !plain || !self.is_break(next + 2) || units > parts.left || parts.left == parts.total {
            return None;
        }
        self.covered += next + 2 - at;
        self.parts = Some(Parts { left: parts.left - units, ..parts });
        Some(next + 2)
    }

    /// `agrégale cebolla a la hamburguesa`: what is put on a dish that is named behind it.
    pub(super) fn added_before_dish(&mut self, at: usize) -> Option<usize> {
        let verb = self.word(at);
        if !["agreg", "anad", "pon", "ech"].iter().any(|stem| verb.starts_with(stem)) {
            return None;
        }
        let host = self.host();
        let reader = NoteReader { index: self.index, reading: self.reading, host: &host, end: self.limit };
        let notes = reader.added(at)?;
        let points = matches!(self.word(notes.end), "a" | "en")
            && matches!(self.word(notes.end + 1), "la" | "el" | "las" | "los");
        let is_dish = |phrase: Phrase| {
            let mention = phrase.mention.filter(|mention| !mention.is_foreign && !mention.is_only_option());
            mention.is_some() && phrase.quantity == Quantity::None
        };
        if !points || !self.phrase(notes.end + 1).is_some_and(is_dish) {
            return None;
        }
        self.covered += notes.end - at;
        Some(self.take_notes(&notes.notes, notes.end))
    }

    /// Notes for units that were parted: another brand or flavour takes the place of the one that the line had.
    pub(super) fn note_units(&mut self, id: SlotId, notes: &[String]) {
        let is_drink = |item: &ItemNo| self.index.items[usize::from(*item)].is_drink;
        let slot = self.slots.get(id);
        let drink = slot.is_some_and(|slot| slot.candidates.iter().all(is_drink));
        let has_option = slot.is_some_and(|slot| slot.notes.iter().any(|note| self.is_option_of(id, note)));
        let are_options = !notes.is_empty() && notes.iter().all(|note| self.is_option_of(id, note));
        if has_option && are_options && (drink || self.correcting || self.setting) {
            self.change_options(id, notes);
        } else {
            self.note(id, notes);
        }
    }

    /// `mejor una sprite`, `la otra mejor sprite`: units of a line in another flavour.
    pub(super) fn change_flavour(&mut self, mention: &Mention, hits: &[SlotId], units: Option<u32>) -> Option<SlotId> {
        let has = |id: &&SlotId| {
            let notes = self.slots.get(**id).map(|slot| slot.notes.as_slice()).unwrap_or_default();
            mention.options.iter().all(|option| notes.contains(option))
        };
        if let Some(line) = hits.iter().find(has).copied() {
            if let Some(units) = units {
                self.slots.set_total(&[line], units.min(MAX_QUANTITY));
            }
            return Some(line);
        }
        let line = hits.last().copied()?;
        let there = self.slots.get(line)?.qty;
        let changed = match units {
            Some(units) if units < there => self.slots.split(line, units),
            Some(units) => {
                self.slots.set_total(&[line], units.min(MAX_QUANTITY));
                line
            }
            None => line,
        };
        self.change_options(changed, &mention.options);
        Some(changed)
    }

    /// `burger sin cebolla 2, con cebolla 1`: the number behind a note counts the units that have it.
    pub(super) fn take_counted_notes(&mut self, notes: &ReadNotes, at: usize) -> Option<usize> {
        let focus = self.focus?;
        let slot = self.slots.get(focus).filter(|slot| slot.is_fresh)?.clone();
        let mut number = notes.end;
        while matches!(self.word(number), "x" | ":" | "-" | "(") && number < notes.end + 2 {
            number += 1;
        }
        let units = value(self.reading, number).filter(|value| number < self.limit && value % 1_000 == 0)? / 1_000;
        if !(1..=MAX_QUANTITY).contains(&units) || !self.is_break(number + 1) || self.amount_at(number).is_some() {
            return None;
        }
        let end = number + 1;
        let is_part = self.parts.is_some_and(|parts| units <= parts.left);
        if self.last_counted && is_part {
            let phrase = Phrase {
                start: at,
                end,
                quantity: Quantity::Number(units),
                is_definite: false,
                is_sole: false,
                is_attribute: false,
                mention: None,
            };
            return Some(self.part_with_notes(&phrase, &notes.notes, end));
        }
        if self.counts_notes {
            let id = self.slots.add(slot.candidates, units, Vec::new(), true);
            self.note(id, &notes.notes);
            self.set_focus(Some(id));
        } else if !self.last_counted && slot.qty == 1 {
            self.annotate(&notes.notes);
            self.slots.set_total(&[focus], units);
            self.counts_notes = true;
        } else {
            return None;
        }
        self.has_quantity = true;
        self.is_touched = true;
        self.parts = None;
        Some(end)
    }
}
