//! `quite`, `sin`, `no quiero`: dishes that are taken away or refused.

use super::*;

impl BasketTurn<'_> {
    pub(super) fn remove(&mut self, at: usize, next: usize) -> Option<usize> {
        let verb = self.word(at);
        if self.slots.all.is_empty() {
            // `no quiero mojarra sino pargo`.
            if verb == "no"
                && let Some(mention) = self.phrase(next).and_then(|phrase| phrase.mention)
                && mention.is_headed
                && self.word(mention.end) == "sino"
            {
                return Some(mention.end + 1);
            }
            // `no quiero tamal`, `quítele el tamal`: nothing is ordered by it.
            if let Some(mention) = self.dish_of_its_own(next) {
                self.covered += mention.end - at;
                return Some(mention.end);
            }
            // `que le quiten la cebolla` before any dish is a note; `no quiero mondongo` says nothing.
            return if verb == "no" { None } else { self.notes_at(at).is_none().then_some(next) };
        }
        let mut target = next;
        while matches!(
            self.word(target),
            "tambien"
                | "entonces"
                | "pues"
                | "por"
                | "favor"
                | "mejor"
                | "ya"
                | "de"
                | "lo"
                | "me"
                | "le"
                | "esa"
                | "eso"
        ) && target < next + 3
        {
            target += 1;
        }
        // `borre todo y mándeme dos combos`.
        if matches!(self.word(target), "todo" | "toda")
            && verb != "no"
            && self.is_break(target + 1)
            && self.word(target + 1) != "pero"
        {
            self.slots.all.clear();
            self.set_focus(None);
            self.parts = None;
            self.correcting = false;
            self.is_touched = true;
            return Some(target + 1);
        }
        // `no quiero nada de eso, quiero una changua`.
        if self.word(next) == "nada"
            && self.word(next + 1) == "de"
            && matches!(self.word(next + 2), "eso" | "esto" | "lo")
        {
            self.slots.all.clear();
            self.set_focus(None);
            self.parts = None;
            self.correcting = false;
            self.is_touched = true;
            return Some(next + 3);
        }
        let phrase = self.phrase(target);
        if let Some(phrase) = &phrase
            && let Some(mention) = &phrase.mention
        {
            let hits = if mention.is_only_option() { Vec::new() } else { self.in_basket(mention) };
            let note_instead = self.notes_at(at).is_some() && {
                let word = self.word(mention.start);
                lexicon::is_ingredient(word)
                    && self
                        .focus
                        .is_some_and(|focus| self.slots.get(focus).is_some_and(|slot| !hits.contains(&slot.id)))
                    && mention.words == 1
                    // `quite el de pollo` names a dish.
                    && !(phrase.is_definite && phrase.is_attribute)
                    && !mention.is_full
                    // `quite la sal`, which is bought by itself.
                    && (!mention.is_headed || self.host_has(mention.start))
            };
            if !hits.is_empty() && !note_instead {
                let mut end = mention.end;
                let mut hits = hits;
                // `quita el tamal sin picante`: that one, and not the other.
                if let Some(notes) = self.notes_at(end) {
                    let has = |id: &SlotId| {
                        self.slots.get(*id).is_some_and(|slot| notes.notes.iter().all(|note| slot.notes.contains(note)))
                    };
                    let noted: Vec<SlotId> = hits.iter().copied().filter(has).collect();
                    if !notes.notes.is_empty() && !noted.is_empty() {
                        hits = noted;
                        end = notes.end;
                    }
                }
                // `no quiero el tamal tan picante`: it is wanted, and otherwise.
                if verb == "no"
                    && end == mention.end
                    && let Some(notes) = self.refused_manner(end, &mention.candidates)
                {
                    return Some(self.note_refused(&hits, notes, at));
                }
                let units = self.units_to_remove(phrase, &hits);
                self.take_away(&hits, units);
                self.removing = true;
                self.covered += end - at;
                self.last_end = end;
                return Some(end);
            }
            if hits.is_empty() && self.notes_at(at).is_some() {
                return None;
            }
            if !mention.is_headed || verb == "no" {
                return self.notes_at(at).is_none().then_some(next);
            }
            self.is_touched = true;
            return Some(mention.end);
        }
        if self.notes_at(at).is_some() || self.notes_at(next.saturating_sub(1)).is_some() && verb == "no" {
            return None;
        }
        // `ya no la quiero`, `quite uno`, `quítelas`.
        let refers = matches!(verb, "no") || self.is_break(target) || phrase.is_some();
        let understood = at == self.start || self.last_end == at || !self.is_break(next);
        let clitic = verb == "ya"
            && understood
            && (matches!(self.word(next), "la" | "lo" | "las" | "los") || self.is_break(next));
        if verb == "ya" && !clitic && !matches!(self.word(at + 2), "quiero" | "queremos" | "deseo") {
            return None;
        }
        if let Some(focus) = self.focus
            && (refers || clitic)
            && verb != "no"
        {
            let units =
                phrase.as_ref().filter(|phrase| phrase.mention.is_none()).and_then(|phrase| phrase.quantity.units());
            let end =
                phrase.as_ref().filter(|phrase| phrase.quantity.units().is_some()).map_or(next, |phrase| phrase.end);
            self.take_away(&[focus], units);
            self.covered += end - at;
            let mut end = end;
            while matches!(
                self.word(end),
                "quiero" | "queremos" | "la" | "lo" | "las" | "los" | "de" | "ellas" | "ellos" | "esas" | "esos"
            ) {
                end += 1;
            }
            return Some(end);
        }
        None
    }

    pub(super) fn units_to_remove(&self, phrase: &Phrase, hits: &[SlotId]) -> Option<u32> {
        let there: u32 = hits.iter().filter_map(|id| self.slots.get(*id)).map(|slot| slot.qty).sum();
        match phrase.quantity {
            Quantity::Number(n) => Some(n.min(there)),
            Quantity::One | Quantity::Another(_) => Some(1),
            Quantity::Half => Some(there / 2),
            _ => None,
        }
    }

    /// Removes so many units, or all.
    pub(super) fn take_away(&mut self, ids: &[SlotId], units: Option<u32>) {
        self.is_touched = true;
        self.has_removed = true;
        match units {
            None => ids.iter().for_each(|id| self.slots.remove(*id)),
            Some(mut units) => {
                for id in ids.iter().rev() {
                    let qty = self.slots.get(*id).map_or(0, |slot| slot.qty);
                    let taken = units.min(qty);
                    self.slots.take(*id, taken);
                    units -= taken;
                }
            }
        }
        if self.focus.is_some_and(|focus| self.slots.get(focus).is_none()) {
            let last = self.slots.all.last().map(|slot| slot.id);
            let siblings = std::mem::take(&mut self.siblings);
            self.set_focus(last);
            if last.is_none() {
                self.siblings = siblings;
            }
        }
        self.parts = None;
    }

    /// The lines that a mention may mean: settled ones first, then open ones.
    pub(super) fn in_basket(&self, mention: &Mention) -> Vec<SlotId> {
        let hits = self.slots.of(&mention.candidates);
        if hits.is_empty() {
            return self.slots.open(&mention.candidates).into_iter().collect();
        }
        // `quite la coca` with two kinds in the basket: the one that was named last.
        let items: Vec<Option<ItemNo>> =
            hits.iter().filter_map(|id| self.slots.get(*id)).map(crate::bot::slots::BasketSlot::item).collect();
        if items.iter().any(|item| *item != items[0]) {
            let last = hits.last().copied();
            let focused = self.focus.filter(|focus| hits.contains(focus)).or(last);
            return focused.into_iter().collect();
        }
        hits
    }

    /// `no el tamal`, `nada de tamal`: taken out if it is there, and not ordered at any rate.
    pub(super) fn refused_dish(&mut self, at: usize) -> Option<usize> {
        let mut from = match (self.word(at), self.word(at + 1)) {
            ("no" | "ni", _) => at + 1,
            ("nada", "de") => at + 2,
            ("que", _) if self.prefers() && self.last_end == at => at + 1,
            _ => return None,
        };
        // `no mande el tamal`.
        if self.word(at) == "no" {
            while matches!(self.word(from), "me" | "nos" | "le" | "les") {
                from += 1;
            }
            let stems = ["mand", "traig", "trae", "envi", "despach", "prepar", "inclu", "apunt", "anot", "haga"];
            if stems.iter().any(|stem| self.word(from).starts_with(stem)) {
                from += 1;
            }
        }
        let mention = self.dish_of_its_own(from).or_else(|| self.contrasted_dish(at))?;
        if self.word(at) == "que" && !self.in_basket(&mention).is_empty() {
            return None;
        }
        let hits = self.in_basket(&mention);
        // `no la hamburguesa sin salsa` lacks a comma: nothing is refused but the salsa.
        if self.word(at) == "no" && from == at + 1 && self.word(mention.end) == "sin" && !hits.is_empty() {
            return Some(from);
        }
        self.correcting = false;
        // `no haga la hamburguesa tan asada`: it is wanted, and otherwise.
        if let Some(notes) = self.refused_manner(mention.end, &mention.candidates) {
            return Some(self.note_refused(&hits, notes, at));
        }
        if !hits.is_empty() {
            self.take_away(&hits, None);
        }
        self.covered += mention.end - at;
        self.last_end = mention.end;
        Some(mention.end)
    }

    /// `una doble, no una sencilla`: what the other dish is not. A number behind `no` corrects instead.
    fn contrasted_dish(&self, at: usize) -> Option<Mention> {
        let is_parted = at > self.start && matches!(self.word(at - 1), "," | "y");
        if !is_parted || self.word(at) != "no" || !self.has_fresh() {
            return None;
        }
        let phrase = self.phrase(at + 1)?;
        let names_one = phrase.quantity == Quantity::One || phrase.is_definite && phrase.quantity == Quantity::None;
        let mention = phrase.mention.filter(|_| names_one)?;
        let is_side = mention.words == 1 && lexicon::is_ingredient(self.word(mention.start));
        if mention.is_foreign || mention.is_only_option() || is_side {
            return None;
        }
        let ordered_now = self
            .slots
            .all
            .iter()
            .any(|slot| slot.is_fresh && slot.candidates.iter().any(|item| mention.candidates.contains(item)));
        (!ordered_now).then_some(mention)
    }

    /// Notes for lines that stay. Where there are none, the words say nothing.
    fn note_refused(&mut self, hits: &[SlotId], notes: crate::bot::notes::ReadNotes, at: usize) -> usize {
        for id in hits {
            self.note(*id, &notes.notes);
        }
        self.is_touched |= !hits.is_empty();
        self.covered += notes.end - at;
        self.last_end = notes.end;
        notes.end
    }

    /// How a dish that was named behind a `no` is not to be.
    fn refused_manner(&self, at: usize, host: &[ItemNo]) -> Option<crate::bot::notes::ReadNotes> {
        NoteReader { index: self.index, reading: self.reading, host, end: self.limit }.refused(at)
    }

    /// `sin el flan`, `menos la coca`, where that is in the basket.
    pub(super) fn without_item(&mut self, at: usize) -> Option<usize> {
        let mut next = at + 1;
        while matches!(self.word(next), "de") {
            next += 1;
        }
        let phrase = self.phrase(next)?;
        let mention = phrase.mention.as_ref()?;
        let hits = self.in_basket(mention);
        // `sin la criolla`: a dish by the word that tells it from others.
        let by_attribute = phrase.is_definite && hits.len() == 1 && !lexicon::is_ingredient(self.word(mention.start));
        if !(mention.is_headed || by_attribute) || mention.is_foreign || mention.is_only_option() {
            return None;
        }
        let words: Vec<_> = self.reading.tokens[mention.start].hits.iter().map(|(word, _)| *word).collect();
        let host = self.host();
        let of_host = host.iter().any(|item| {
            self.index.contains(*item, &words)
                || self.index.items[usize::from(*item)].names.iter().any(|name| {
                    name.parts.iter().enumerate().any(|(n, part)| {
                        n != name.head && words.iter().any(|word| *part == crate::bot::index::NamePart::Word(*word))
                    })
                })
        });
        let own = hits.len() == 1
            && self.focus == hits.first().copied()
            && self.slots.get(hits[0]).is_some_and(|slot| slot.is_fresh)
            && !phrase.is_definite;
        if hits.is_empty() || of_host || own {
            return None;
        }
        let end = mention.end;
        let units = self.units_to_remove(&phrase, &hits);
        self.take_away(&hits, units);
        self.covered += end - at;
        Some(end)
    }

    /// `mejor changua que tamal`, `prefiero changua`.
    fn prefers(&self) -> bool {
        (self.start..self.limit).any(|at| matches!(self.word(at), "mejor" | "prefiero" | "preferimos"))
    }
}
