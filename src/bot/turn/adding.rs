//! A dish that was named: added, answered, corrected, referred to, or not on the menu.

use super::*;

impl BasketTurn<'_> {
    /// A dish, with or without a quantity.
    pub(super) fn take_item(&mut self, phrase: Phrase) -> usize {
        let Some(mention) = phrase.mention.clone() else { return phrase.end };
        self.covered += mention.end - mention.start;
        let end = phrase.end;
        self.adding = false;
        if mention.is_foreign {
            self.push_unknown(mention.start, mention.end);
            return end;
        }
        if let Some(next) = self.take_other_size(&phrase, &mention, end) {
            return next;
        }
        let hits = self.slots.of(&mention.candidates);
        let settled = self.in_basket(&mention);
        self.has_quantity |= phrase.quantity != Quantity::None;
        // `la coca no`, `el café ya no`.
        let mut refused = end + 1;
        while matches!(self.word(refused), "quiero" | "va" | "la" | "lo" | "ya") {
            refused += 1;
        }
        let negated = self.word(end) == "no" && self.is_end(end + 1)
            || self.word(end) == "ya" && self.word(end + 1) == "no"
            || self.word(end) == "mejor" && self.word(end + 1) == "no" && self.is_end(end + 2)
            // `la changua no quiero cebolla` is about onions.
            || self.word(end) == "no" && refused > end + 1 && self.is_break(refused);
        let counts_next =
            self.word(end) == "no" && (end + 1..end + 3).any(|n| value(self.reading, n).is_some() && n < self.limit);
        // `un buñuelo, dos buñuelos no, tres`: the number that comes is the one.
        if counts_next && !hits.is_empty() {
            self.set_focus(hits.last().copied());
            return end;
        }
        if negated && !counts_next && mention.is_only_option() && !settled.is_empty() {
            let note = format!("sin {}", self.reading.slice(mention.start..mention.end));
            self.annotate(&[note]);
            return end + 1;
        }
        if negated && !counts_next && !settled.is_empty() {
            let is_all = phrase.is_definite && phrase.quantity != Quantity::Half;
            let units = if is_all { None } else { self.units_to_remove(&phrase, &settled) };
            self.take_away(&settled, units);
            let mut next = end + 1;
            while matches!(self.word(next), "no" | "quiero" | "va" | "la" | "lo" | "ya")
                || next == end + 1 && self.word(end) == "mejor"
            {
                next += 1;
            }
            return next;
        }
        // `tamal no, changua sí`: it is not ordered.
        let corrects = self.word(end + 1) == "," && phrase.quantity != Quantity::None;
        if negated && !counts_next && settled.is_empty() && !corrects && !mention.is_only_option() {
            let mut next = end + 1;
            while matches!(self.word(next), "no" | "quiero" | "va" | "la" | "lo" | "ya")
                || next == end + 1 && self.word(end) == "mejor"
            {
                next += 1;
            }
            return next;
        }
        if self.word(end) == "menos" && !settled.is_empty() {
            let units = phrase.quantity.units().or(Some(1));
            self.take_away(&settled, units);
            return end + 1;
        }
        if self.removing {
            self.removing = false;
            let removes = phrase.quantity == Quantity::None && !settled.is_empty();
            if removes {
                self.take_away(&settled, None);
                self.removing = true;
                return end;
            }
            // `quite la lulada y una hamburguesa`: of those that are there.
            let directly = phrase.start > self.start && self.word(phrase.start - 1) == "y";
            let counted = matches!(phrase.quantity, Quantity::One | Quantity::Number(_));
            let old = settled.iter().all(|id| self.slots.get(*id).is_some_and(|slot| !slot.is_fresh));
            if counted && directly && old && !settled.is_empty() && self.word(end) != "mas" {
                let units = self.units_to_remove(&phrase, &settled);
                self.take_away(&settled, units);
                self.removing = true;
                return end;
            }
        }
        if let Some(replacing) = self.replacing {
            if replacing.is_ready {
                return self.put_instead(&phrase, &mention, replacing, end);
            }
            if !settled.is_empty() {
                let units = match phrase.quantity {
                    Quantity::Number(_) | Quantity::One => phrase.quantity.units(),
                    _ => None,
                };
                self.replacing = Some(Replacing { target: settled.first().copied(), units, is_ready: false });
                self.is_touched = true;
                let focus = settled.first().copied();
                self.set_focus(focus);
                return end;
            }
            self.replacing = None;
        }
        if let Some((BasketCommand::Replace, _)) = command_at(self.reading, end, self.limit)
            && !settled.is_empty()
        {
            self.replacing =
                Some(Replacing { target: settled.first().copied(), units: phrase.quantity.units(), is_ready: false });
            self.is_touched = true;
            self.set_focus(settled.first().copied());
            return end;
        }
        // `y el palito por un pastel`: what was said of another before.
        if phrase.is_definite
            && self.word(end) == "por"
            && !settled.is_empty()
            && !self.slots.get(settled[0]).is_some_and(|slot| slot.is_fresh)
            && self.phrase(end + 1).and_then(|next| next.mention).is_some_and(|next| !next.is_foreign)
        {
            self.replacing =
                Some(Replacing { target: settled.first().copied(), units: phrase.quantity.units(), is_ready: true });
            self.is_touched = true;
            self.set_focus(settled.first().copied());
            return end + 1;
        }
        // `mejor un café en vez del tamal`: the tamal goes, and nothing else.
        if let Some((BasketCommand::Instead, next)) = command_at(self.reading, end, self.limit)
            && self.phrase(next).and_then(|next| next.mention).is_some_and(|next| !self.in_basket(&next).is_empty())
        {
            self.correcting = false;
        }
        let end = self.settle(&phrase, &mention, &hits, &settled, end);
        self.correcting_done();
        end
    }

    pub(super) fn correcting_done(&mut self) {
        self.setting = self.sets_all;
        self.only = false;
        if self.correcting || self.sets_all {
            self.corrected = true;
        }
    }

    pub(super) fn settle(
        &mut self,
        phrase: &Phrase,
        mention: &Mention,
        hits: &[SlotId],
        settled: &[SlotId],
        end: usize,
    ) -> usize {
        let is_total = self.word(end) == "son";
        let (behind, behind_end) = self.quantity_behind(phrase, end);
        let quantity = behind.map_or(phrase.quantity, Quantity::Number);
        let end = behind_end;
        if behind.is_some() {
            self.has_quantity = true;
        }
        let units = quantity.units();
        let another = matches!(quantity, Quantity::Another(_));
        // `las luladas son 3`, of those that are there.
        if is_total
            && let Some(units) = behind
            && !hits.is_empty()
            && hits.iter().all(|id| self.slots.get(*id).is_some_and(|slot| !slot.is_fresh))
        {
            self.slots.set_total(&self.same_lines(hits), units.min(MAX_QUANTITY));
            self.is_touched = true;
            self.set_focus(hits.last().copied());
            return end;
        }
        // `tres sencillas en total`.
        if self.word(end) == "en"
            && self.word(end + 1) == "total"
            && let Some(units) = units
            && !hits.is_empty()
        {
            self.slots.set_total(&self.same_lines(hits), units.min(MAX_QUANTITY));
            self.is_touched = true;
            self.set_focus(hits.last().copied());
            return end + 2;
        }
        // `solo la pizza`: nothing else.
        if self.only && !settled.is_empty() && quantity == Quantity::None {
            let keep: Vec<SlotId> = settled.to_vec();
            self.slots.all.retain(|slot| keep.contains(&slot.id));
            self.is_touched = true;
            self.set_focus(keep.first().copied());
            return end;
        }
        // `tamal no, changua sí`: it is there already.
        if self.word(end) == "si" && self.is_end(end + 1) && quantity == Quantity::None && !hits.is_empty() {
            self.is_touched = true;
            self.set_focus(hits.last().copied());
            return end + 1;
        }
        // `mejor el flan sí`: it comes back.
        if self.correcting && self.word(end) == "si" {
            self.correcting = false;
        }
        if let Some(asked) = self.slots.asking(&mention.candidates)
            && !another
            && self.take_number(asked, mention, units)
        {
            return end;
        }
        let but_with = phrase.start >= 2
            && self.word(phrase.start - 1) == "con"
            && self.word(phrase.start - 2) == "pero"
            && !settled.is_empty();
        if but_with && hits.is_empty() == settled.is_empty() {
            self.setting = true;
        }
        // `la otra mejor sprite`.
        if another
            && phrase.is_definite
            && mention.is_only_option()
            && (self.correcting || self.setting)
            && let Some(changed) = self.change_flavour(mention, hits, units)
        {
            self.set_focus(Some(changed));
            self.is_touched = true;
            return end;
        }
        if (self.correcting || self.setting || phrase.is_sole) && !another {
            // `no, uno de mora y uno de lulo`: the second one takes nothing from the first.
            if self.corrected
                && mention.is_only_option()
                && let Some(units) = units
                && let Some(line) = hits.last().copied()
                && !self.has_options(line, &mention.options)
            {
                self.add_other(line, units, &mention.options);
                return end;
            }
            if !hits.is_empty()
                && !mention.options.is_empty()
                && (quantity == Quantity::None || mention.is_only_option())
            {
                let changed = self.change_flavour(mention, hits, units);
                self.set_focus(changed);
                self.is_touched = true;
                return end;
            }
            let mut same = self.same_lines(hits);
            if same.is_empty() && hits.is_empty() {
                // An open wish is corrected as well.
                same = settled
                    .iter()
                    .copied()
                    .filter(|id| self.slots.get(*id).is_some_and(|slot| slot.candidates == mention.candidates))
                    .collect();
            }
            if !same.is_empty() {
                if let Some(units) = units {
                    self.slots.set_total(&same, units.min(MAX_QUANTITY));
                }
                self.is_touched = true;
                let alive = same.iter().rev().find(|id| self.slots.get(**id).is_some()).copied();
                self.set_focus(alive.or_else(|| self.slots.all.last().map(|slot| slot.id)));
                return end;
            }
            // `quite la lulada, mejor una uva` takes nobody else's place.
            if (self.correcting || self.setting)
                && !self.corrected
                && !self.has_removed
                && let Some(target) = self.correction_target(mention)
            {
                let part = units.filter(|units| {
                    (phrase.is_attribute || !mention.is_headed) && !self.has_fresh() && self.counts_more(target, *units)
                });
                self.replace_line(target, part, mention, units);
                return end;
            }
        }
        // `una hamburguesa es sin cebolla`: one of those that are there.
        if matches!(self.word(end), "es" | "va")
            && matches!(quantity, Quantity::One | Quantity::Number(_))
            && self.notes_at(end + 1).is_some_and(|notes| !notes.notes.is_empty())
            && let Some(line) = hits.last()
            && let Some(units) = units
            && self.slots.get(*line).is_some_and(|slot| !slot.is_fresh && slot.qty >= units)
        {
            let id = self.slots.split(*line, units);
            self.is_touched = true;
            self.set_focus(Some(id));
            self.referred = Some(id);
            return end + 1;
        }
        // `a una hamburguesa quítele la cebolla`: one of those that are there.
        if phrase.start > self.start
            && self.word(phrase.start - 1) == "a"
            && matches!(quantity, Quantity::One | Quantity::Number(_))
            && let Some(line) = hits.last()
            && let Some(units) = units
            && (self.notes_at(end).is_some()
                || matches!(
                    command_at(self.reading, end, self.limit),
                    Some((BasketCommand::Remove | BasketCommand::Add, _))
                ))
        {
            let id = self.slots.split(*line, units);
            self.is_touched = true;
            self.set_focus(Some(id));
            self.referred = Some(id);
            return end;
        }
        // `la hamburguesa sin tomate`: one that is there.
        let refers = phrase.is_definite && !another && !settled.is_empty() && {
            let there: u32 = settled.iter().filter_map(|id| self.slots.get(*id)).map(|slot| slot.qty).sum();
            units.is_none_or(|units| units == there) && !hits.is_empty()
        };
        let bare_reference = quantity == Quantity::None
            && !hits.is_empty()
            && (self.notes_at(end).is_some()
                || matches!(command_at(self.reading, end, self.limit), Some((BasketCommand::Set, _))))
            && !self.slots.get(hits[0]).is_some_and(|slot| slot.is_fresh);
        if refers || bare_reference {
            self.is_touched = true;
            self.set_focus(settled.last().copied());
            self.referred = self.focus;
            if let Some(focus) = self.focus
                && !mention.options.is_empty()
            {
                self.change_options(focus, &mention.options);
            }
            if settled.len() > 1
                && let Some(notes) = self.notes_at(end)
            {
                for id in settled {
                    self.note(*id, &notes.notes);
                }
                return notes.end;
            }
            return end;
        }
        let open = self.slots.open(&mention.candidates);
        // `3 gaseosas, dos cocas y una sprite`, where the size is asked for still.
        if !mention.is_headed
            && !mention.options.is_empty()
            && let Some(parts) = self.parts
            && let Some(units) = units.filter(|units| *units <= parts.left)
            && self
                .slots
                .get(parts.parent)
                .is_some_and(|slot| slot.is_fresh && slot.candidates.len() > 1 && slot.candidates == mention.candidates)
        {
            if self.is_other_option(parts.parent, &mention.options) {
                self.add_other(parts.parent, units, &mention.options);
                return end;
            }
            let id = self.slots.split(parts.parent, units);
            self.note(id, &mention.options);
            self.parts = if id == parts.parent { None } else { Some(Parts { left: parts.left - units, ..parts }) };
            self.set_focus(Some(id));
            self.is_touched = true;
            return end;
        }
        // `sprite`, where the size is asked for still.
        if let Some(open) = open
            && mention.is_only_option()
            && quantity == Quantity::None
            && !self.answers(open, mention, units)
        {
            self.note(open, &mention.options);
            self.is_touched = true;
            self.set_focus(Some(open));
            return end;
        }
        if let Some(open) = open
            && (!another || self.parts.is_some_and(|parts| parts.parent == open))
            && self.answers(open, mention, units)
        {
            self.answer(open, phrase, mention, quantity);
            return end;
        }
        // `dos cocadas`, and in the next message `una de piña y otra de guayaba`.
        if self.parts.is_none()
            && mention.is_only_option()
            && quantity.units().is_some()
            && let Some(line) = hits.last().and_then(|id| self.slots.get(*id))
            && !line.is_fresh
            && line.qty >= 2
            && line.notes.is_empty()
        {
            self.parts = Some(Parts { parent: line.id, total: line.qty, left: line.qty });
        }
        // `3 jugos en agua, uno de mora`: units of the line that was named.
        if let Some(parts) = self.parts
            && let Some(units) = match quantity {
                Quantity::Half => Some(parts.total / 2),
                other => other.units(),
            }
            && units <= parts.left
            && (!mention.is_headed && !self.is_one_more(phrase, mention)
                || phrase.is_attribute
                || self.is_told_apart(phrase, end))
            && self
                .slots
                .get(parts.parent)
                .and_then(crate::bot::slots::BasketSlot::item)
                .is_some_and(|item| mention.candidates.contains(&item))
        {
            if self.is_other_option(parts.parent, &mention.options) {
                self.add_other(parts.parent, units, &mention.options);
                return end;
            }
            let id = self.slots.split(parts.parent, units);
            self.note(id, &mention.options);
            self.parts = if id == parts.parent { None } else { Some(Parts { left: parts.left - units, ..parts }) };
            self.set_focus(Some(id));
            self.is_touched = true;
            return end;
        }
        if self.is_alternative(phrase)
            && let Some(slot) = self.focus.and_then(|id| self.slots.get_mut(id))
        {
            for item in &mention.candidates {
                if !slot.candidates.contains(item) {
                    slot.candidates.push(*item);
                }
            }
            self.is_touched = true;
            return end;
        }
        // `otra gratinada igual`: with the notes of the one that is there.
        if another
            && matches!(self.word(end), "igual" | "iguales" | "igualita" | "igualito")
            && let Some(line) = self.same_lines(hits).last().and_then(|id| self.slots.get(*id)).cloned()
        {
            self.grow(&line, units.unwrap_or(1));
            return end + 1;
        }
        self.add(mention, quantity, hits);
        end
    }

    pub(super) fn same_lines(&self, hits: &[SlotId]) -> Vec<SlotId> {
        let items: Vec<Option<ItemNo>> =
            hits.iter().filter_map(|id| self.slots.get(*id)).map(crate::bot::slots::BasketSlot::item).collect();
        match items.first() {
            Some(first) if items.iter().all(|item| item == first) => hits.to_vec(),
            Some(_) => self.focus.filter(|focus| hits.contains(focus)).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// True: a mention answers what was asked, rather than adds to it.
    pub(super) fn answers(&self, open: SlotId, mention: &Mention, units: Option<u32>) -> bool {
        let Some(slot) = self.slots.get(open) else { return false };
        let narrower = mention.candidates.len() < slot.candidates.len()
            && mention.candidates.iter().all(|item| slot.candidates.contains(item));
        if !narrower {
            return false;
        }
        if slot.is_fresh {
            let parts = self.parts.is_some_and(|parts| parts.parent == open);
            return parts && units.is_none_or(|units| units <= slot.qty)
                || !mention.is_headed && self.focus == Some(open);
        }
        true
    }

    pub(super) fn answer(&mut self, open: SlotId, phrase: &Phrase, mention: &Mention, quantity: Quantity) {
        let Some(slot) = self.slots.get(open).cloned() else { return };
        self.is_touched = true;
        let total = self.parts.filter(|parts| parts.parent == open).map_or(slot.qty, |parts| parts.total);
        if quantity == Quantity::Half && total < 2 {
            // Two halves of one pizza.
            let note = format!("mitad {}", self.reading.slice(mention.start..mention.end));
            self.note(open, &[note]);
            return;
        }
        // `dos pizzas: hawaiana y pepperoni`: one of each.
        let one_of_several = quantity == Quantity::None
            && slot.is_fresh
            && slot.qty >= 2
            && matches!(self.word(mention.end), "y" | ",")
            && {
                let next = self
                    .phrase(mention.end + 1)
                    .filter(|next| next.quantity == Quantity::None)
                    .and_then(|next| next.mention);
                next.is_some_and(|next| next.candidates.iter().all(|item| slot.candidates.contains(item)))
            };
        let units = match quantity {
            _ if one_of_several => 1,
            Quantity::Half => total / 2,
            Quantity::None => slot.qty,
            Quantity::Each(n) => n,
            other => other.units().unwrap_or(slot.qty),
        };
        let mut notes = slot.notes.clone();
        notes.extend(mention.options.iter().filter(|option| !slot.notes.contains(option)).cloned());
        let units = if phrase.is_definite && quantity == Quantity::None { slot.qty } else { units };
        self.slots.take(open, units.min(slot.qty));
        let id = self.slots.add(mention.candidates.clone(), units.clamp(1, MAX_QUANTITY), notes, true);
        if let Some(parts) = &mut self.parts
            && parts.parent == open
        {
            parts.left = parts.left.saturating_sub(units);
        } else if self.slots.get(open).is_some() {
            self.parts = Some(Parts { parent: open, total: slot.qty, left: slot.qty - units.min(slot.qty) });
        }
        let siblings = std::mem::take(&mut self.siblings);
        self.set_focus(Some(id));
        if self.siblings.is_empty() {
            self.siblings = siblings;
        }
    }

    /// `una mojarra o un churrasco`.
    pub(super) fn is_alternative(&self, phrase: &Phrase) -> bool {
        let before = phrase.start.checked_sub(1).filter(|n| *n >= self.start);
        before.is_some_and(|n| matches!(self.word(n), "o" | "u") && self.last_end == n)
    }

    pub(super) fn add(&mut self, mention: &Mention, quantity: Quantity, hits: &[SlotId]) {
        self.is_touched = true;
        self.has_removed = false;
        self.last_counted = quantity != Quantity::None || self.of_each.is_some();
        self.counts_notes = false;
        let mut notes = mention.options.clone();
        notes.append(&mut self.waiting_notes);
        if let Quantity::Each(each) = quantity
            && mention.candidates.len() <= 12
        {
            for item in &mention.candidates {
                self.slots.add(vec![*item], each.min(MAX_QUANTITY), notes.clone(), true);
            }
            self.parts = None;
            return;
        }
        let mut candidates = mention.candidates.clone();
        let mut units = quantity.units().or(self.of_each).unwrap_or(1);
        if units == 0 {
            return;
        }
        if let Quantity::Number(n) = quantity
            && let Some(plate) = plate_of(self.index, &candidates, n)
            && !self.said_number(mention)
        {
            candidates = vec![plate];
            units = 1;
        }
        // `otra coca`: like the one that is there.
        if matches!(quantity, Quantity::Another(_))
            && candidates.len() > 1
            && let Some(item) = self
                .same_lines(hits)
                .last()
                .and_then(|id| self.slots.get(*id))
                .and_then(crate::bot::slots::BasketSlot::item)
        {
            candidates = vec![item];
        }
        let id = self.slots.add(candidates, units.min(MAX_QUANTITY), notes, true);
        self.parts = (units >= 2).then_some(Parts { parent: id, total: units, left: units });
        self.set_focus(Some(id));
        let is_open = std::mem::take(&mut self.is_number_open);
        if std::mem::take(&mut self.is_number_doubtful) || is_open {
            self.slots.ask_number(id, if is_open { 0 } else { units });
            self.parts = None;
        }
        if self.slots.get(id).is_none() {
            // The basket takes no more lines.
            self.push_unknown(mention.start, mention.end);
        }
    }

    /// The mention names the number of pieces itself: `2 alitas x 6`.
    pub(super) fn said_number(&self, mention: &Mention) -> bool {
        (mention.start..mention.end).any(|n| value(self.reading, n).is_some())
    }

    pub(super) fn unknown_after(&mut self, phrase: &Phrase, next: usize) -> usize {
        let wants = phrase.quantity != Quantity::None;
        if next >= self.limit {
            return next;
        }
        let known = self.unknown.len();
        let after = self.unknown_word(next, wants);
        if self.unknown.len() > known { after } else { next }
    }

    /// A dish that is on no menu here.
    pub(super) fn unknown_word(&mut self, at: usize, is_counted: bool) -> usize {
        let token = &self.reading.tokens[at];
        let word = token.word.as_str();
        let unheard = token.token.is_word()
            && lexicon::is_unheard(word)
            && !lexicon::is_connector(word)
            && number::word(word).is_none();
        if self.index.is_label(word) && token.hits.is_empty() {
            return at + 1;
        }
        let food = (lexicon::is_food(word) || crate::bot::synonyms::is_brand(word))
            && token.token.is_word()
            && !lexicon::is_everyday(word);
        let is_name = |word| self.index.is_in_names(word) && !self.index.is_only_side(word);
        let named = token.hits.iter().any(|(word, _)| is_name(*word));
        let commanded =
            at > self.start && (self.start..at).any(|n| crate::bot::intent::is_command(self.reading.word(n)));
        let plausible = food && !named
            || is_counted && unheard && !lexicon::is_ingredient(word) && !named
            || commanded && unheard && food;
        if !plausible {
            return at + 1;
        }
        let mut end = at + 1;
        loop {
            let word = self.word(end);
            let joins = matches!(word, "de" | "del" | "con" | "al" | "a" | "la" | "en")
                && !self.is_break(end + 1)
                && end + 1 < self.limit
                && value(self.reading, end + 1).is_none()
                && !matches!(self.word(end + 1), "un" | "una");
            let own = end < self.limit
                && self.reading.tokens[end].token.is_word()
                && (lexicon::is_unheard(word)
                    || lexicon::is_food(word)
                    || lexicon::is_ingredient(word)
                    || lexicon::is_preparation(word)
                    || crate::bot::mention::is_size(word))
                && value(self.reading, end).is_none()
                && !lexicon::is_connector(word);
            if !(joins || own) || end > at + 6 {
                break;
            }
            end += 1;
        }
        while end > at + 1 && lexicon::is_connector(self.word(end - 1)) {
            end -= 1;
        }
        self.has_quantity |= is_counted;
        self.push_unknown(at, end);
        end
    }

    pub(super) fn push_unknown(&mut self, at: usize, end: usize) {
        let said = self.reading.slice(at..end);
        if !said.is_empty() && self.unknown.len() < 20 && !self.unknown.contains(&said) {
            self.unknown.push(said);
        }
        self.is_touched = true;
        self.covered += end - at;
        self.parts = None;
        self.set_focus(None);
    }
}
