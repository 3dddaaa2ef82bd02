//! Flavours and notes for some of several equal units: which line they part, and when they are more of the same item.

use super::*;

impl BasketTurn<'_> {
    /// `3 jugos: mora, mango y lulo`: as many flavours as units are one each.
    pub(super) fn one_of_each_option(&mut self, at: usize) -> Option<usize> {
        let parts = self.parts.filter(|parts| parts.left == parts.total && parts.total >= 2)?;
        let line = self.focus.filter(|focus| *focus == parts.parent)?;
        let slot = self.slots.get(line).filter(|slot| slot.is_fresh)?;
        let units = slot.qty;
        // `3 jugos de mora, mango y lulo`: the first one was read with the dish.
        let first = match &slot.notes[..] {
            [] => None,
            [first] if self.is_option_of(line, first) && self.last_end.checked_add(1) == Some(at) => {
                Some(first.clone())
            }
            _ => return None,
        };
        let is_parted = at > self.start
            && (matches!(self.word(at - 1), ":" | "," | "de" | "(" | "-")
                || first.is_some() && self.word(at - 1) == "y");
        if !is_parted || !slot.candidates.iter().all(|item| self.index.items[usize::from(*item)].has_options) {
            return None;
        }
        let mut options: Vec<String> = first.into_iter().collect();
        let mut end = at;
        loop {
            if end >= self.limit || !self.reading.tokens[end].token.is_word() {
                return None;
            }
            let read = self.notes_at(end)?;
            let [note] = &read.notes[..] else { return None };
            if note.contains(' ') && note.starts_with("en ")
                || !self.is_option_of(line, note)
                || options.contains(note)
                || read.end <= end
            {
                return None;
            }
            options.push(note.clone());
            end = read.end;
            if options.len() as u32 == units {
                break;
            }
            let before = end;
            while matches!(self.word(end), "," | "y" | "e" | "+" | "de") && end < before + 3 {
                end += 1;
            }
            if end == before {
                return None;
            }
        }
        // `dos jugos: mora y mango y uno de lulo` goes on, and `mora, mango y lulo` of two is no list of units.
        let goes_on = matches!(self.word(end), "y" | ",")
            && self.notes_at(end + 1).is_some_and(|more| more.notes.iter().all(|note| self.is_option_of(line, note)));
        if goes_on || self.is_end(end) && self.is_option_next(end, line) {
            return None;
        }
        // The line itself is the first of them.
        let (own, others) = options.split_first()?;
        if let Some(slot) = self.slots.get_mut(line) {
            slot.notes.clear();
        }
        for option in others {
            let id = self.slots.split(line, 1);
            self.note(id, std::slice::from_ref(option));
        }
        self.note(line, std::slice::from_ref(own));
        self.parts = None;
        self.set_focus(Some(line));
        self.is_touched = true;
        self.covered += end - at;
        Some(end)
    }

    fn is_option_next(&self, at: usize, line: SlotId) -> bool {
        self.word(at) == ","
            && self
                .notes_at(at + 1)
                .is_some_and(|more| !more.notes.is_empty() && more.notes.iter().all(|n| self.is_option_of(line, n)))
    }

    /// `dos jugos de mora y uno de mango`: a flavour beside another is no part of that one's units.
    pub(super) fn is_other_option(&self, line: SlotId, notes: &[String]) -> bool {
        let liquid = |note: &str| note.starts_with("en ");
        let Some(slot) = self.slots.get(line).filter(|slot| slot.is_fresh) else { return false };
        let flavours: Vec<&String> =
            slot.notes.iter().filter(|note| !liquid(note) && self.is_option_of(line, note)).collect();
        let mut wanted = notes.iter().filter(|note| !liquid(note)).peekable();
        !flavours.is_empty()
            && wanted.peek().is_some()
            && wanted.all(|note| self.is_option_of(line, note) && !flavours.contains(&note))
            && !(self.correcting || self.setting)
    }

    /// More of a line's item, in another flavour.
    pub(super) fn add_other(&mut self, line: SlotId, units: u32, notes: &[String]) {
        let Some(candidates) = self.slots.get(line).map(|slot| slot.candidates.clone()) else { return };
        let id = self.slots.add(candidates, units.clamp(1, MAX_QUANTITY), notes.to_vec(), true);
        self.parts = (units >= 2).then_some(Parts { parent: id, total: units, left: units });
        self.set_focus(Some(id));
        self.is_touched = true;
        self.has_quantity = true;
        self.last_counted = true;
    }

    /// `3 aguas, una agua sin gas`: the dish is named again to tell some of its units apart.
    pub(super) fn is_told_apart(&self, phrase: &Phrase, end: usize) -> bool {
        let counted = matches!(phrase.quantity, Quantity::One | Quantity::Number(_));
        let is_parted = phrase.start > self.start && matches!(self.word(phrase.start - 1), "," | ":" | "(");
        let fewer = phrase.quantity.units().zip(self.parts).is_some_and(|(units, parts)| units < parts.total);
        counted && is_parted && fewer && self.notes_at(end).is_some_and(|notes| !notes.notes.is_empty())
    }

    /// `2 clásicas y una clásica sin cebolla`: the dish is named again behind `y`.
    pub(super) fn is_one_more(&self, phrase: &Phrase, mention: &Mention) -> bool {
        let is_joined = phrase.start > self.start && self.word(phrase.start - 1) == "y";
        is_joined
            && !phrase.is_definite
            && !phrase.is_attribute
            && !mention.is_only_option()
            && mention.candidates.len() == 1
    }

    pub(super) fn has_options(&self, line: SlotId, options: &[String]) -> bool {
        self.slots.get(line).is_some_and(|slot| options.iter().all(|option| slot.notes.contains(option)))
    }

    pub(super) fn counts_more(&self, line: SlotId, units: u32) -> bool {
        self.slots.get(line).is_some_and(|slot| slot.qty > units)
    }

    /// `2 perros y 3 aguas, a uno sin cebolla`: the units of another line, where the last one is of another gender, or
    /// has nothing of what is said.
    pub(super) fn look_for_parts(&mut self, phrase: &Phrase, notes: &[String]) {
        let Some(focus) = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.is_fresh)) else { return };
        let Some(units) = phrase.quantity.units().filter(|_| !notes.is_empty()) else { return };
        let said = (phrase.start..phrase.end).find_map(|n| gender_of_article(self.word(n)));
        let agrees = |id: SlotId| {
            let slot = self.slots.get(id);
            let is_named = slot.and_then(|slot| slot.candidates.first()).and_then(|item| self.gender(*item));
            let disagrees = said.zip(is_named).is_some_and(|(said, named)| said != named);
            !disagrees && self.fits(id, notes)
        };
        if agrees(focus) {
            return;
        }
        let other = self.slots.all.iter().rev().find(|slot| {
            slot.is_fresh && slot.id != focus && slot.qty >= units && slot.notes.is_empty() && agrees(slot.id)
        });
        let Some((id, total)) = other.map(|slot| (slot.id, slot.qty)) else { return };
        self.set_focus(Some(id));
        self.parts = (total >= 2).then_some(Parts { parent: id, total, left: total });
    }

    /// By the last letter of its noun; true is feminine.
    fn gender(&self, item: ItemNo) -> Option<bool> {
        let crate::bot::index::NamePart::Word(word) = self.index.head(item)? else { return None };
        gender_of_ending(self.index.spelling(*word))
    }

    /// `y una tercera normal`, behind two that were told apart: one more.
    pub(super) fn one_more_plain(&mut self, at: usize) -> Option<usize> {
        if !matches!(self.word(at), "un" | "una") || self.parts.is_some() {
            return None;
        }
        let is_next = matches!(self.word(at + 1), "tercer" | "tercera" | "tercero" | "cuarta" | "cuarto");
        let plain = matches!(self.word(at + 2), "normal" | "completa" | "completo");
        let slot = self.focus.and_then(|id| self.slots.get(id)).filter(|slot| slot.is_fresh)?;
        if !is_next || !plain || !self.is_break(at + 3) {
            return None;
        }
        let id = self.slots.add(slot.candidates.clone(), 1, Vec::new(), true);
        self.is_touched = true;
        self.covered += 3;
        self.set_focus(Some(id));
        Some(at + 3)
    }
}

fn gender_of_article(word: &str) -> Option<bool> {
    match word {
        "una" | "otra" | "otras" | "unas" => Some(true),
        "uno" | "otro" | "otros" | "unos" => Some(false),
        _ => None,
    }
}

fn gender_of_ending(word: &str) -> Option<bool> {
    match word.trim_end_matches('s').chars().last() {
        Some('a') => Some(true),
        Some('o') => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::gender_of_ending;

    #[test]
    fn a_noun_ends_as_its_article() {
        for (noun, is_feminine) in
            [("agua", Some(true)), ("perros", Some(false)), ("empanadas", Some(true)), ("café", None), ("", None)]
        {
            assert_eq!(gender_of_ending(noun), is_feminine, "{noun}");
        }
    }
}
