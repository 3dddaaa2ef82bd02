//! Quantities without a dish beside them: parts of a line, more of it, fewer, and numbers behind a dish.

use super::*;

/// Behind `la misma`: the same for the whole order, and no dish once more.
const SAME_FOR_ALL: &[&str] = &[
    "direccion",
    "dir",
    "casa",
    "ubicacion",
    "parte",
    "lugar",
    "sitio",
    "apartamento",
    "apto",
    "oficina",
    "numero",
    "celular",
    "telefono",
    "cuenta",
    "forma",
    "manera",
    "hora",
    "persona",
    "cosa",
];

impl BasketTurn<'_> {
    /// A quantity or an article without a dish.
    pub(super) fn take_bare(&mut self, phrase: Phrase) -> usize {
        let next = phrase.end;
        let units = phrase.quantity.units();
        if let Some(next) = self.answer_number(&phrase) {
            return next;
        }
        // A zero alone takes nothing out: it may be a slip. `que sean cero` does.
        if units == Some(0) && !self.setting && !self.correcting {
            return next;
        }
        // `cámbiele a 2`: the number of the dish that was spoken of last.
        let is_behind_a =
            self.word(phrase.start) == "a" || phrase.start > self.start && self.word(phrase.start - 1) == "a";
        if let Some(target) = self.focus.filter(|_| self.replacing.is_some() && is_behind_a)
            && let Some(units) = units.filter(|units| {
                let ends =
                    self.is_end(next) || matches!(self.word(next), "por" | "porfa" | "mejor" | "gracias" | "pues");
                *units > 0 && ends
            })
        {
            self.slots.set_total(&[target], units.min(MAX_QUANTITY));
            self.replacing = None;
            self.is_touched = true;
            self.has_quantity = true;
            return next;
        }
        let word = self.word(next).to_owned();
        // `una es sin cebolla`, `la otra que venga bien asada`.
        let mut at = next;
        while matches!(
            self.word(at),
            "es" | "que"
                | "va"
                | "la"
                | "lo"
                | "quiero"
                | "de"
                | "ellas"
                | "ellos"
                | "me"
                | "le"
                | "esas"
                | "esos"
                | "las"
                | "los"
                | "seria"
                | "sea"
                | "a"
                | ":"
                | "por"
                | "favor"
        ) && self.notes_at(at).is_none()
            && at < next + 4
        {
            at += 1;
        }
        if self.replacing.is_some_and(|replacing| replacing.target.is_none() && !replacing.is_ready)
            && let Some(units) = units
            && let Some(replacing) = &mut self.replacing
        {
            replacing.units = Some(units);
            replacing.target = self.focus;
            return next;
        }
        if let Some((BasketCommand::Replace, after)) = command_at(self.reading, next, self.limit)
            && self.focus.is_some()
        {
            self.replacing = Some(Replacing { target: self.focus, units, is_ready: false });
            return after;
        }
        if let Some(meant) = self.units_become_other(&phrase) {
            return meant;
        }
        if phrase.quantity == Quantity::Half
            && let Some(parts) = self.parts
            && self.notes_at(at).is_none()
            && self.word(next) == "y"
            && self.word(next + 1) == "mitad"
        {
            // `mitad y mitad` of two candidates.
            let slot = self.slots.get(parts.parent).cloned();
            if let Some(slot) = slot
                && slot.candidates.len() == 2
                && slot.qty % 2 == 0
            {
                self.slots.remove(slot.id);
                for item in &slot.candidates {
                    self.slots.add(vec![*item], slot.qty / 2, slot.notes.clone(), true);
                }
                self.is_touched = true;
            }
            return next + 2;
        }
        if phrase.quantity == Quantity::Half && self.word(next) == "y" && self.word(next + 1) == "mitad" {
            let open =
                self.slots.all.iter().rev().find(|slot| slot.candidates.len() == 2 && slot.qty % 2 == 0).cloned();
            if let Some(slot) = open {
                self.slots.remove(slot.id);
                for item in &slot.candidates {
                    self.slots.add(vec![*item], slot.qty / 2, slot.notes.clone(), true);
                }
                self.is_touched = true;
            }
            return next + 2;
        }
        if let Some(each) = matches!(phrase.quantity, Quantity::Each(_)).then_some(units).flatten() {
            let open = self
                .slots
                .all
                .iter()
                .rev()
                .find(|slot| slot.candidates.len() > 1 && slot.candidates.len() <= 6)
                .cloned();
            if let Some(slot) = open {
                self.slots.remove(slot.id);
                for item in &slot.candidates {
                    self.slots.add(vec![*item], each, slot.notes.clone(), true);
                }
                self.is_touched = true;
                return next;
            }
            // `yuca y papas, 2 de cada una`.
            for slot in self.slots.all.iter_mut().filter(|slot| slot.is_fresh) {
                slot.qty = each.clamp(1, MAX_QUANTITY);
            }
            return next;
        }
        // `a uno le pone azúcar`.
        if self.focus.is_some()
            && (self.parts.is_some() || phrase.start > self.start && matches!(self.word(phrase.start - 1), "a" | "al"))
            && let Some(notes) = self.added_at(next)
        {
            return self.part_with_notes(&phrase, &notes.notes, notes.end);
        }
        if self.focus.is_some()
            && let Some(notes) = self.notes_at(at)
        {
            return self.part_with_notes(&phrase, &notes.notes, notes.end);
        }
        let Some(focus) = self.focus else {
            return self.unknown_after(&phrase, next);
        };
        match word.as_str() {
            "mas" | "adicional" | "adicionales" if units.is_some() => {
                let slot = self.slots.get(focus).cloned();
                if let (Some(slot), Some(units)) = (slot, units) {
                    self.grow(&slot, units);
                }
                return next + 1;
            }
            "menos" if units.is_some() => {
                self.take_away(&[focus], units);
                return next + 1;
            }
            "mismo" | "misma" if SAME_FOR_ALL.contains(&self.word(next + 1)) => return next + 2,
            "igual" | "iguales" | "igualita" | "igualito" | "mismo" | "misma"
                // `la misma` alone says of nothing what it means.
                if units.is_some() || phrase.is_definite && phrase.start > self.start =>
            {
                let slot = self.slots.get(focus).cloned();
                if let Some(slot) = slot {
                    let id = self.slots.add(slot.candidates, units.unwrap_or(1), slot.notes, true);
                    self.is_touched = true;
                    self.parts = None;
                    self.set_focus(Some(id));
                }
                let mut end = next + 1;
                while matches!(self.word(end), "a" | "la" | "esa" | "ese" | "pero") && end < next + 4 {
                    end += 1;
                }
                // `otra igual pero familiar`: a size or a flavour follows.
                if self.word(end - 1) == "pero" {
                    self.setting = true;
                    self.corrected = false;
                }
                return end;
            }
            _ => {}
        }
        if let Some(units) = units
            && (self.is_break(next)
                || self.word(next) == "no"
                || matches!(self.word(next), "esta" | "estan") && self.word(next + 1) == "bien")
        {
            let fresh = self.has_fresh();
            let alone = self.is_break(next) && phrase.start == self.start && self.is_end(next);
            if self.correcting || self.setting {
                let item = self.slots.get(focus).and_then(crate::bot::slots::BasketSlot::item);
                // `nuggets x 6`, `mejor 10`: the plate of ten.
                if let Some(plate) = item.and_then(|item| self.plate_beside(item, units)) {
                    if let Some(slot) = self.slots.get_mut(focus) {
                        slot.candidates = vec![plate];
                    }
                    self.set_focus(Some(focus));
                    self.setting = false;
                    self.corrected = true;
                    self.is_touched = true;
                    return next;
                }
                let lines =
                    item.map_or_else(|| vec![focus], |item| if fresh { vec![focus] } else { self.slots.of(&[item]) });
                self.slots.set_total(&lines, units.min(MAX_QUANTITY));
                // `dos, no, que sean tres, y una sin cebolla`: one of the three.
                if fresh && units >= 2 && lines == [focus] {
                    self.parts = Some(Parts { parent: focus, total: units, left: units });
                }
                self.setting = false;
                self.corrected = true;
                self.is_touched = true;
                self.has_quantity = true;
                return next;
            }
            if matches!(phrase.quantity, Quantity::Another(_))
                && self.parts.is_none_or(|parts| parts.left == 0 || parts.left == parts.total)
            {
                let slot = self.slots.get(focus).cloned();
                if let Some(slot) = slot
                    && self.is_break(next)
                    && self.word(next) != "para"
                {
                    self.grow(&slot, units);
                    // `otra pero de queso`.
                    if self.word(next) == "pero" && !self.word(next + 1).starts_with("sin") {
                        self.setting = true;
                        self.corrected = false;
                    }
                }
                if self.word(next) != "para" {
                    return next;
                }
            }
            let part = self.parts.filter(|parts| parts.left >= units && parts.left < parts.total);
            if part.is_some() {
                // `y la otra`: as it was.
                if let Some(parts) = &mut self.parts {
                    parts.left -= units;
                }
                return next;
            }
            // `me antojé de unos taquitos, me mandas 3`.
            // `¡bandeja paisa! x3`, `bandeja paisa... 3`.
            let parted = phrase.start == self.start
                && !self.last_counted
                && phrase.start > 0
                && (matches!(self.reading.word(phrase.start - 1), "." | "!") || self.word(phrase.start) == "x");
            let counted_late = matches!(phrase.quantity, Quantity::Number(_))
                // `cerveza bien fría x 6`.
                && (parted
                    || phrase.start > self.start
                        && (self.word(phrase.start) == "x"
                            // `coca colas, 4`.
                            || !self.last_counted && self.word(phrase.start - 1) == ","
                            || crate::bot::intent::is_command(self.word(phrase.start - 1))))
                && self.slots.get(focus).is_some_and(|slot| slot.is_fresh && slot.qty == 1);
            if counted_late {
                self.slots.set_total(&[focus], units.min(MAX_QUANTITY));
                self.is_touched = true;
                self.has_quantity = true;
                self.last_counted = true;
                return next;
            }
            let open = self.slots.all.iter().rev().find(|slot| slot.candidates.len() > 1).map(|slot| slot.id);
            if alone && !fresh {
                // `alitas`, and `16` in the next message: the plate of sixteen.
                if let Some(open) = open
                    && let Some(item) = self.named_by_number(open, units)
                {
                    if let Some(slot) = self.slots.get_mut(open) {
                        slot.candidates = vec![item];
                    }
                    self.set_focus(Some(open));
                    self.is_touched = true;
                    return next;
                }
                let target = open.unwrap_or(focus);
                self.slots.set_total(&[target], units.min(MAX_QUANTITY));
                self.is_touched = true;
                return next;
            }
            if self.word(next) == "entonces" && !fresh {
                self.slots.set_total(&[focus], units.min(MAX_QUANTITY));
                self.is_touched = true;
                return next;
            }
            if self.word(next) == "para" && fresh {
                let slot = self.slots.get(focus).cloned();
                if let Some(slot) = slot {
                    let id = self.slots.add(slot.candidates, units, Vec::new(), true);
                    self.is_touched = true;
                    self.set_focus(Some(id));
                }
                return self.skip_person(next);
            }
            return next;
        }
        self.unknown_after(&phrase, next)
    }

    /// The one candidate of an open wish that has the number in its name.
    fn named_by_number(&self, open: SlotId, number: u32) -> Option<ItemNo> {
        let slot = self.slots.get(open).filter(|slot| slot.qty == 1 && !slot.asks_number)?;
        let part = crate::bot::index::NamePart::Number(number.saturating_mul(1_000));
        let mut named = slot.candidates.iter().copied().filter(|item| {
            let name = self.index.items[usize::from(*item)].names.first();
            name.is_some_and(|name| name.parts.contains(&part))
        });
        let item = named.next()?;
        named.next().is_none().then_some(item)
    }

    /// The same dish in so many pieces.
    fn plate_beside(&self, item: ItemNo, units: u32) -> Option<ItemNo> {
        let pieces = |item: ItemNo| self.index.items[usize::from(item)].names.first().and_then(|name| name.pieces);
        pieces(item)?;
        let name = self.index.without_size(item);
        let mut same = self.index.siblings(item).into_iter().filter(|other| {
            *other != item && pieces(*other) == Some(units * 1_000) && self.index.without_size(*other) == name
        });
        same.next()
    }

    /// `de cada una`, `de a dos cada uno`, and `dos de cada una:` before the dishes.
    pub(super) fn of_each(&mut self, at: usize) -> Option<usize> {
        let kind = |word: &str| matches!(word, "una" | "uno" | "sabor" | "tipo" | "clase");
        if self.word(at) == "de" && self.word(at + 1) == "cada" && kind(self.word(at + 2)) {
            let slot = self.focus.and_then(|id| self.slots.get(id)).cloned()?;
            // Of many nobody is sure that each was meant.
            if !slot.is_fresh || !(2..=3).contains(&slot.candidates.len()) {
                return None;
            }
            self.slots.remove(slot.id);
            for item in &slot.candidates {
                self.slots.add(vec![*item], slot.qty, slot.notes.clone(), true);
            }
            self.parts = None;
            self.set_focus(self.slots.all.last().map(|slot| slot.id));
            return Some(at + 3);
        }
        if self.word(at) == "de"
            && self.word(at + 1) == "a"
            && let Some(each) = value(self.reading, at + 2).filter(|_| at + 2 < self.limit)
        {
            let mut next = at + 3;
            while next < at + 5 && !self.is_end(next) && self.word(next) != "cada" {
                next += 1;
            }
            if self.word(next) != "cada" || each < 1_000 {
                return None;
            }
            for slot in self.slots.all.iter_mut().filter(|slot| slot.is_fresh) {
                slot.qty = (each / 1_000).clamp(1, MAX_QUANTITY);
            }
            self.has_quantity = true;
            return Some(if kind(self.word(next + 1)) { next + 2 } else { next + 1 });
        }
        let counted = value(self.reading, at)
            .map(|value| value / 1_000)
            .or_else(|| matches!(self.word(at), "un" | "una" | "uno").then_some(1));
        if let Some(each) = counted
            && (1..=MAX_QUANTITY).contains(&each)
            && self.word(at + 1) == "de"
            && self.word(at + 2) == "cada"
            && kind(self.word(at + 3))
            && !self.has_fresh()
            && !self.slots.all.iter().any(|slot| slot.candidates.len() > 1)
        {
            self.of_each = Some(each);
            self.has_quantity = true;
            return Some(at + 4);
        }
        None
    }

    /// More of a line, prepared alike.
    pub(super) fn grow(&mut self, slot: &crate::bot::slots::BasketSlot, units: u32) {
        let id = self.slots.add(slot.candidates.clone(), units.min(MAX_QUANTITY), slot.notes.clone(), true);
        self.is_touched = true;
        self.parts = None;
        self.set_focus(Some(id));
    }

    /// `una sin cebolla` behind `dos hamburguesas`.
    pub(super) fn part_with_notes(&mut self, phrase: &Phrase, notes: &[String], end: usize) -> usize {
        self.look_for_parts(phrase, notes);
        let Some(focus) = self.focus else { return end };
        self.is_touched = true;
        self.covered += end - phrase.start;
        let units = match phrase.quantity {
            Quantity::Half => {
                let of_line = || self.slots.get(focus).map(|slot| slot.qty / 2).filter(|half| *half > 0);
                self.parts.map(|parts| parts.total / 2).or_else(of_line)
            }
            Quantity::None => {
                self.parts.filter(|parts| parts.left < parts.total && phrase.is_definite).map(|parts| parts.left)
            }
            other => other.units(),
        };
        let Some(units) = units else {
            // `la mitad bbq`, of one plate.
            if phrase.quantity == Quantity::Half && !notes.is_empty() {
                let halves: Vec<String> = notes.iter().map(|note| format!("mitad {note}")).collect();
                self.note(focus, &halves);
            } else {
                self.note(focus, notes);
            }
            return end;
        };
        // `dos bien asadas y una sin sal`: the two are told already.
        if let Some(parts) = self.parts
            && parts.left == parts.total
            && matches!(phrase.quantity, Quantity::One | Quantity::Number(_))
            && phrase.start > self.start
            && self.word(phrase.start - 1) == "y"
            && let Some(parent) = self.slots.get(parts.parent).filter(|parent| !parent.notes.is_empty()).cloned()
        {
            let id = self.slots.add(parent.candidates, units, notes.to_vec(), true);
            self.parts = None;
            self.set_focus(Some(id));
            return end;
        }
        if let Some(parts) = self.parts
            && units <= parts.left
            && self.is_other_option(parts.parent, notes)
        {
            self.add_other(parts.parent, units, notes);
            return end;
        }
        if let Some(parts) = self.parts
            && units <= parts.left
        {
            // The parent keeps what no part has taken.
            let id = self.slots.split(parts.parent, units);
            let kept: Vec<String> = notes.iter().filter(|note| !self.is_without(id, note)).cloned().collect();
            self.note_units(id, &kept);
            let left = parts.left - units;
            self.parts = if id == parts.parent { None } else { Some(Parts { left, ..parts }) };
            self.set_focus(Some(id));
            return end;
        }
        let Some(slot) = self.slots.get(focus).cloned() else { return end };
        if !slot.is_fresh {
            // Units of what is in the basket already: rather of a line without notes.
            let lines = slot.item().map_or_else(|| vec![focus], |item| self.slots.of(&[item]));
            let total: u32 = lines.iter().filter_map(|id| self.slots.get(*id)).map(|slot| slot.qty).sum();
            let plain = lines
                .iter()
                .copied()
                .filter(|id| self.slots.get(*id).is_some_and(|slot| slot.qty >= units))
                .min_by_key(|id| self.slots.get(*id).map_or(0, |slot| slot.notes.len()));
            if units <= total
                && let Some(plain) = plain
                && !(matches!(phrase.quantity, Quantity::Another(_))
                    && self.slots.get(plain).is_some_and(|slot| !slot.notes.is_empty()))
            {
                let id = self.slots.split(plain, units);
                // `uno en agua`, of two in milk.
                let is_other_liquid = |note: &String| matches!(note.as_str(), "en agua" | "en leche");
                if let Some(slot) = self.slots.get_mut(id)
                    && notes.iter().any(is_other_liquid)
                {
                    slot.notes.retain(|old| !is_other_liquid(old));
                }
                self.note_units(id, notes);
                if phrase.quantity == Quantity::Half && id != plain {
                    self.parts = Some(Parts { parent: plain, total: units * 2, left: units });
                }
                self.set_focus(Some(id));
                return end;
            }
        }
        if phrase.is_definite && units == slot.qty {
            self.note(focus, notes);
            return end;
        }
        let id = self.slots.add(slot.candidates, units.min(MAX_QUANTITY), Vec::new(), true);
        self.note(id, notes);
        self.parts = None;
        self.set_focus(Some(id));
        end
    }

    /// `salchipapa x2`, `papas: 3`, `mojarra dos`.
    pub(super) fn quantity_behind(&mut self, phrase: &Phrase, end: usize) -> (Option<u32>, usize) {
        if !matches!(phrase.quantity, Quantity::None) {
            return (None, end);
        }
        let mut at = end;
        let mut explicit = false;
        while matches!(self.word(at), "x" | ":" | "-" | "(" | "=" | "*" | "×" | "son") && at < end + 3 {
            explicit = true;
            at += 1;
        }
        if let Some((units, next)) = self.times_behind(end) {
            return (Some(units), next);
        }
        if let Some(next) = self.doubt_behind(at) {
            self.is_number_open = true;
            return (Some(1), next);
        }
        if let Some(offer) = self.offer_at(at).filter(|_| !explicit || self.word(end) == ":") {
            self.is_number_doubtful = offer.is_doubtful;
            return (Some(offer.units), offer.end);
        }
        let Some(value) = value(self.reading, at).filter(|value| value % 1_000 == 0 && at < self.limit) else {
            return (None, end);
        };
        // `mochis: 2 de mango`: a heading, and the number counts what is behind it.
        let heads = self.word(end) == ":"
            && phrase.mention.as_ref().is_some_and(|mention| mention.candidates.len() > 1)
            && phrase.mention.as_ref().is_some_and(|mention| {
                let here = crate::bot::mention::Circumstances {
                    scope: Some(&mention.candidates),
                    has_quantity: true,
                    is_attribute: true,
                };
                let first = if self.word(at + 1) == "de" { at + 2 } else { at + 1 };
                crate::bot::mention::mention_at(self.index, self.reading, first, here)
                    .is_some_and(|named| named.candidates.len() < mention.candidates.len())
            });
        if heads {
            return (None, end);
        }
        let units = value / 1_000;
        let mut next = at + 1;
        if matches!(
            self.word(next),
            ")" | "unidades" | "porciones" | "und" | "unds" | "platos" | "unidad" | "porcion" | "x"
        ) {
            next += 1;
        }
        let dash = self.word(end) == "-" && at == end + 1;
        let closes = self.is_break(next) || next >= self.limit || self.notes_at(next).is_some();
        let names_next = self.phrase(at).is_some_and(|phrase| phrase.mention.is_some());
        let accepted = (explicit && !(dash && names_next && !self.quantity_behind))
            || self.quantity_behind
            || closes && !names_next;
        // `perros 2, coca 0` orders no coca.
        let plausible =
            (1..=MAX_QUANTITY).contains(&units) || units == 0 && (self.quantity_behind || explicit) && !names_next;
        if accepted && plausible { (Some(units), next) } else { (None, end) }
    }

    /// True: quantities stand behind their items here, as in `papas 2 gaseosa 1`.
    pub(super) fn counts_behind(&self) -> bool {
        let numbers: Vec<usize> =
            (self.start..self.limit).filter(|at| self.reading.tokens[*at].token.number().is_some()).collect();
        let Some(last) = numbers.last() else { return false };
        let ends = (*last + 1..self.limit).all(|at| !self.reading.tokens[at].token.is_word());
        let first_word = (self.start..self.limit)
            .find(|at| self.reading.tokens[*at].token.is_word() || self.reading.tokens[*at].token.number().is_some());
        let begins = first_word.is_some_and(|at| {
            let bare = !self.reading.tokens[at].hits.is_empty() && !matches!(self.word(at), "un" | "una");
            bare && number::word(self.word(at)).is_none()
        });
        ends && begins && numbers.len() >= 2
    }

    pub(super) fn emoji(&mut self, at: usize, food: &str) -> usize {
        let hits = self.index.lookup(food);
        let items: Vec<ItemNo> = {
            let mut items: Vec<ItemNo> = hits
                .iter()
                .flat_map(|(word, _)| self.index.postings(*word))
                .filter(|(_, place)| *place != crate::bot::index::Place::Contents)
                .map(|(item, _)| *item)
                .collect();
            items.sort_unstable();
            items.dedup();
            items
        };
        if items.is_empty() {
            return at + 1;
        }
        let units = at.checked_sub(1).and_then(|n| value(self.reading, n)).map_or(1, |value| value / 1_000);
        let id = self.slots.add(items, units.clamp(1, MAX_QUANTITY), Vec::new(), true);
        self.is_touched = true;
        self.set_focus(Some(id));
        at + 1
    }

    /// `2 🍔`, and no word for it behind.
    pub(super) fn counted_emoji(&self, at: usize) -> bool {
        let before = at.checked_sub(1).is_some_and(|n| n >= self.start && value(self.reading, n).is_some());
        let behind = self.word(at + 1);
        before || matches!(behind, "x") || is_size_or_of(behind)
    }

    /// `1.` and `2)` before the lines of a list.
    pub(super) fn skip_enumerator(&self, at: usize) -> usize {
        let enumerates = self.reading.tokens.get(at).is_some_and(|token| token.token.number().is_some())
            && matches!(self.word(at + 1), "." | ")")
            && at + 2 < self.limit;
        let counted = self.phrase(at + 2).is_some_and(|phrase| phrase.quantity != Quantity::None);
        if enumerates && counted { at + 2 } else { at }
    }
}

fn is_size_or_of(word: &str) -> bool {
    word == "de" || crate::bot::mention::size_wish(word).is_some()
}
