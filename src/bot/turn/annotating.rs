//! Notes find their line: the last one, all of them, or the only one that they fit.

use super::*;
use crate::bot::index::NamePart;

impl BasketTurn<'_> {
    /// `todas sin cebolla`, `las dos sin salsa`, `ambos con hielo`.
    pub(super) fn about_all(&mut self, at: usize) -> Option<usize> {
        let mut next = at;
        let mut units = None;
        match self.word(at) {
            "todo" | "toda" | "todos" | "todas" | "ambas" | "ambos" => {
                next += 1;
                if matches!(self.word(next), "lo" | "los" | "las") {
                    next += 1;
                }
            }
            "los" | "las" => {
                units = value(self.reading, at + 1).map(|value| value / 1_000).filter(|n| *n >= 2);
                units?;
                next = at + 2;
            }
            "cada" if matches!(self.word(at + 1), "una" | "uno") => next = at + 2,
            _ => return None,
        }
        if self.slots.all.is_empty() {
            let notes = self.notes_at(next).filter(|notes| !notes.notes.is_empty() && units.is_none())?;
            if !matches!(self.word(at), "todo" | "toda" | "todos" | "todas") {
                return None;
            }
            self.notes_for_all = notes.notes;
            return Some(notes.end);
        }
        while matches!(
            self.word(next),
            "que" | "van" | "sean" | "vengan" | "quiero" | "por" | "favor" | "las" | "los" | "me"
        ) && self.notes_at(next).is_none()
            && next < at + 6
        {
            next += 1;
        }
        let mut notes = self.notes_at(next)?;
        // `los dos con fideos y sin raíces`.
        while matches!(self.word(notes.end), "y" | ",")
            && matches!(
                self.word(notes.end + 1),
                "sin" | "con" | "bien" | "extra" | "poca" | "poco" | "mucha" | "mucho"
            )
            && let Some(more) = self.notes_at(notes.end + 1)
            && more.end > notes.end
        {
            notes.notes.extend(more.notes);
            notes.end = more.end;
        }
        let fresh = self.has_fresh();
        let mut targets: Vec<SlotId> =
            self.slots.all.iter().filter(|slot| slot.is_fresh == fresh).map(|slot| slot.id).collect();
        if let Some(units) = units {
            // The last lines that are so many units.
            let mut sum = 0;
            let mut last = Vec::new();
            for id in targets.iter().rev() {
                sum += self.slots.get(*id).map_or(0, |slot| slot.qty);
                last.push(*id);
                if sum >= units {
                    break;
                }
            }
            let focused = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.qty == units));
            if let Some(focus) = focused {
                last = vec![focus];
                sum = units;
            }
            if sum == units {
                targets = last;
            } else if let Some(item) =
                self.focus.and_then(|id| self.slots.get(id)).and_then(crate::bot::slots::BasketSlot::item)
            {
                targets = self.slots.of(&[item]);
            }
        } else {
            let fitting: Vec<SlotId> = targets.iter().copied().filter(|id| self.fits(*id, &notes.notes)).collect();
            if !fitting.is_empty() {
                targets = fitting;
            }
        }
        let (spared, end) = self.spared(notes.end);
        for id in targets {
            if !spared.contains(&id) {
                self.note(id, &notes.notes);
            }
        }
        self.is_touched = true;
        self.parts = None;
        self.covered += end - at;
        Some(end)
    }

    /// `todas sin salsa menos la bbq`: the lines that a note for all leaves out, and where their naming ends.
    fn spared(&self, end: usize) -> (Vec<SlotId>, usize) {
        let at = if self.word(end) == "," { end + 1 } else { end };
        if !matches!(self.word(at), "menos" | "excepto" | "salvo") {
            return (Vec::new(), end);
        }
        let mention = self.phrase(at + 1).and_then(|phrase| phrase.mention).filter(|mention| !mention.is_foreign);
        let Some(mention) = mention else { return (Vec::new(), end) };
        let lines = self.in_basket(&mention);
        if lines.is_empty() { (lines, end) } else { (lines, mention.end) }
    }

    pub(super) fn note(&mut self, id: SlotId, notes: &[String]) {
        self.slots.note(id, notes);
    }

    /// Drinks have no onions, and dishes no ice.
    pub(super) fn fits(&self, id: SlotId, notes: &[String]) -> bool {
        let drink = self
            .slots
            .get(id)
            .is_some_and(|slot| slot.candidates.iter().all(|item| self.index.items[usize::from(*item)].is_drink));
        let for_drinks = notes.iter().any(|note| {
            let note = crate::bot::text::fold(note);
            ["hielo", "azucar", "fri", "helad", "pitillo", "al clima", "light", "zero"]
                .iter()
                .any(|word| note.contains(word))
                && !note.contains("frit")
                || note.split_whitespace().any(|word| matches!(word, "gas" | "cero"))
        });
        // `bien caliente` is said of either.
        let of_food = notes.iter().any(|note| {
            ["sin ", "con ", "extra ", "doble ", "poca ", "poco ", "mucha ", "adición "]
                .iter()
                .any(|sign| note.starts_with(sign))
        });
        drink == for_drinks || !of_food && !for_drinks
    }

    /// Notes for the item that was named last, or for the one that comes.
    pub(super) fn take_notes(&mut self, notes: &[String], end: usize) -> usize {
        // `sin hielo la limonada`, `no le pongan orégano a la pizza`.
        let mut next = end;
        let points = matches!(self.word(next), "a" | "en" | "para")
            && matches!(self.word(next + 1), "la" | "el" | "las" | "los");
        if points {
            next += 1;
        }
        let nothing_yet = !self.has_fresh();
        let is_definite = matches!(self.word(next), "la" | "el" | "las" | "los");
        // `dos dobles y una clásica, sin salsa las dobles`.
        let names_last = || {
            let mention = self.phrase(next).and_then(|phrase| phrase.mention).filter(|mention| !mention.is_foreign);
            mention.is_some_and(|mention| self.is_end(mention.end) && !self.in_basket(&mention).is_empty())
        };
        let directly = points || is_definite && (nothing_yet || names_last());
        if directly
            && !notes.is_empty()
            && let Some(phrase) = self.phrase(next)
            && let Some(mention) = &phrase.mention
            && !mention.is_foreign
        {
            let hits = self.in_basket(mention);
            if hits.is_empty() {
                self.waiting_notes.extend(notes.iter().cloned());
                return next;
            }
            for id in &hits {
                self.note(*id, notes);
            }
            self.is_touched = true;
            self.covered += mention.end - end;
            self.set_focus(hits.last().copied());
            return mention.end;
        }
        if self.slots.all.is_empty() {
            self.waiting_notes.extend(notes.iter().cloned());
            return end;
        }
        // `quítele la cebolla a una`.
        if self.word(end) == "a"
            && !notes.is_empty()
            && let Some(target) = self.target_of(notes)
            && let Some(part) = self.phrase(end + 1)
            && part.mention.is_none()
            && matches!(part.quantity, Quantity::One | Quantity::Number(_))
            && self.is_end(part.end)
        {
            self.set_focus(Some(target));
            return self.part_with_notes(&part, notes, part.end);
        }
        self.annotate(notes);
        end
    }

    pub(super) fn annotate(&mut self, notes: &[String]) {
        if notes.is_empty() || self.slots.all.is_empty() {
            return;
        }
        if (self.correcting || self.setting)
            && let Some(focus) = self.focus
            && notes.iter().all(|note| self.is_option_of(focus, note))
        {
            self.change_options(focus, notes);
            self.is_touched = true;
            return;
        }
        if let Some(target) = self.target_of(notes) {
            let left: Vec<String> = notes.iter().filter(|note| !self.is_without(target, note)).cloned().collect();
            self.note(target, &left);
            self.is_touched = true;
        }
    }

    /// `otra sin gas` where there is a water with gas: the one whose name has it not. True: the item says it already.
    pub(super) fn is_without(&mut self, id: SlotId, note: &str) -> bool {
        let Some(rest) = note.strip_prefix("sin ") else { return false };
        let words: Vec<_> = crate::bot::text::fold(rest)
            .split_whitespace()
            .flat_map(|word| self.index.lookup(word))
            .map(|(word, _)| word)
            .collect();
        let names = |item: &ItemNo| {
            let item = &self.index.items[usize::from(*item)];
            let is_sign = |part: &NamePart| matches!(part, NamePart::Word(word) if self.index.spelling(*word) == "sin");
            // `Agua sin gas` has none.
            item.names.first().is_some_and(|name| {
                name.parts.iter().enumerate().any(|(n, part)| {
                    words.iter().any(|word| *part == NamePart::Word(*word)) && (n == 0 || !is_sign(&name.parts[n - 1]))
                })
            })
        };
        let Some(slot) = self.slots.get(id) else { return false };
        if words.is_empty() {
            return false;
        }
        if slot.candidates.len() == 1 {
            let item = slot.candidates[0];
            let drink = self.index.items[usize::from(item)].is_drink;
            let other = self.index.siblings(item).iter().any(|other| *other != item && names(other));
            return drink && other && !names(&item) && !self.index.contains(item, &words);
        }
        let without: Vec<ItemNo> = slot.candidates.iter().copied().filter(|item| !names(item)).collect();
        if without.is_empty() || without.len() == slot.candidates.len() {
            return false;
        }
        if let Some(slot) = self.slots.get_mut(id) {
            slot.candidates = without;
        }
        true
    }

    /// The line that a note is for: the last one, unless only another has what it speaks of.
    pub(super) fn target_of(&self, notes: &[String]) -> Option<SlotId> {
        let focus = self.focus?;
        let has = |id: SlotId| {
            let words: Vec<_> = notes
                .iter()
                .flat_map(|note| {
                    crate::bot::text::fold(note)
                        .split_whitespace()
                        .flat_map(|word| self.index.lookup(word))
                        .collect::<Vec<_>>()
                })
                .map(|(word, _)| word)
                .collect();
            self.slots.get(id).is_some_and(|slot| slot.candidates.iter().any(|item| self.index.contains(*item, &words)))
        };
        let is_addition = |id: SlotId| {
            self.slots
                .get(id)
                .is_some_and(|slot| slot.candidates.iter().all(|item| self.index.items[usize::from(*item)].is_addition))
        };
        if is_addition(focus)
            && let Some(main) = self
                .slots
                .all
                .iter()
                .rev()
                .find(|slot| slot.is_fresh && !is_addition(slot.id) && self.fits(slot.id, notes))
        {
            return Some(main.id);
        }
        if has(focus)
            || self.referred == Some(focus) && self.fits(focus, notes)
            || self.fits(focus, notes) && self.slots.get(focus).is_some_and(|slot| slot.is_fresh)
        {
            return Some(focus);
        }
        let fresh = self.has_fresh();
        let others = || self.slots.all.iter().rev().filter(|slot| slot.is_fresh == fresh).map(|slot| slot.id);
        let with_it = others().find(|id| has(*id) && self.fits(*id, notes));
        let found = with_it
            .or_else(|| if self.fits(focus, notes) { Some(focus) } else { others().find(|id| self.fits(*id, notes)) });
        Some(found.unwrap_or(focus))
    }

    /// A flavour, a brand or a side that the description of the line's item lists.
    pub(super) fn is_option_of(&self, id: SlotId, note: &str) -> bool {
        let words: Vec<_> = crate::bot::text::fold(note)
            .split_whitespace()
            .flat_map(|word| self.index.lookup(word))
            .map(|(word, _)| word)
            .collect();
        let plain = !["sin ", "no ", "extra ", "doble ", "poca ", "mucha "].iter().any(|sign| note.starts_with(sign));
        let has =
            |item: &ItemNo| self.index.items[usize::from(*item)].has_options && self.index.contains(*item, &words);
        plain && self.slots.get(id).is_some_and(|slot| slot.candidates.iter().any(has))
    }

    pub(super) fn change_options(&mut self, id: SlotId, options: &[String]) {
        let Some(slot) = self.slots.get(id) else { return };
        // `uno en leche` keeps its flavour, and `uno de lulo` its milk.
        let liquid = |note: &String| note.starts_with("en ");
        let is_replaced =
            |note: &String| self.is_option_of(id, note) && options.iter().any(|option| liquid(option) == liquid(note));
        let mut kept: Vec<String> = slot.notes.iter().filter(|note| !is_replaced(note)).cloned().collect();
        kept.extend(options.iter().cloned());
        if let Some(slot) = self.slots.get_mut(id) {
            slot.notes = kept;
        }
    }

    /// A dish of several words wins over a note of its first.
    pub(super) fn is_rather_item(&self, at: usize, notes: &crate::bot::notes::ReadNotes) -> bool {
        if matches!(self.word(at), "sin" | "no" | "que" | "nada") {
            return false;
        }
        let Some(mention) = self.phrase(at).and_then(|phrase| phrase.mention) else { return false };
        let open = mention.candidates.iter().any(|item| self.slots.open(&[*item]).is_some());
        if matches!(self.word(at), "con" | "en") {
            return open && !mention.is_only_option() && mention.end >= notes.end;
        }
        if self.adding && mention.is_headed && !mention.is_only_option() && !mention.is_foreign {
            return true;
        }
        let changes = self.correcting || self.setting || self.replacing.is_some_and(|replacing| replacing.is_ready);
        (mention.is_headed && mention.words >= 2 && mention.end >= notes.end)
            || open && notes.notes.len() == 1 && mention.end >= notes.end
            || (changes
                && !mention.is_foreign
                && mention.end >= notes.end
                && !mention.candidates.is_empty()
                && mention.options.is_empty())
    }

    pub(super) fn notes_at(&self, at: usize) -> Option<crate::bot::notes::ReadNotes> {
        let host = self.host();
        NoteReader { index: self.index, reading: self.reading, host: &host, end: self.limit }.read(at)
    }

    /// `le pone azúcar`, behind `a uno`.
    pub(super) fn added_at(&self, at: usize) -> Option<crate::bot::notes::ReadNotes> {
        let host = self.host();
        NoteReader { index: self.index, reading: self.reading, host: &host, end: self.limit }.added(at)
    }

    pub(super) fn host(&self) -> Vec<ItemNo> {
        self.focus.and_then(|id| self.slots.get(id)).map(|slot| slot.candidates.clone()).unwrap_or_default()
    }
}
