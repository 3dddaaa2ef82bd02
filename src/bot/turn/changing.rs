//! `cambie`, `quite`, `mejor`, `en vez de`: what takes away and puts in the place of another.

use super::*;

impl Turn<'_> {
    pub(super) fn command(&mut self, command: Command, at: usize, next: usize) -> Option<usize> {
        let has_order = !self.slots.all.is_empty();
        match command {
            Command::Add => {
                self.correcting = false;
                self.setting = false;
                self.removing = false;
                self.adding = !matches!(self.word(at), "tambien" | "ademas");
                if self.word(at) != "tambien" && self.word(at) != "ademas" {
                    self.only = false;
                }
                Some(next)
            }
            Command::Correct => {
                self.correcting = has_order;
                self.corrected = false;
                self.setting = false;
                self.removing = false;
                self.parts = None;
                Some(next)
            }
            Command::Set => {
                if !has_order {
                    // `que sea sprite` is a note, `que sean dos` a quantity.
                    return None;
                }
                // `que sea bien asada` is a note.
                let as_note = matches!(self.word(at), "que") && {
                    let notes = self.notes_at(next);
                    let target = self.phrase_if_changing(next);
                    notes.is_some() && target.is_none()
                };
                if as_note {
                    return Some(next);
                }
                self.setting = true;
                Some(next)
            }
            Command::Only => {
                if has_order {
                    self.only = true;
                    self.setting = true;
                }
                Some(next)
            }
            Command::Remove => self.remove(at, next),
            Command::Replace => {
                let target = self.replacing.and_then(|replacing| replacing.target);
                if !has_order {
                    return None;
                }
                if let Some(end) = self.side_for_side(at, next) {
                    return Some(end);
                }
                // `cambie la coca por`: the target follows; `la coca cámbiela por`: it was the last one.
                let follows = self
                    .phrase(next)
                    .is_some_and(|phrase| phrase.mention.is_some() || phrase.quantity != Quantity::None);
                let by = self.word(next) == "por" || self.word(next) == "a" && !follows;
                let units = self.replacing.filter(|replacing| replacing.target.is_some()).and_then(|r| r.units);
                self.replacing = Some(Replacing {
                    target: if by { self.focus.or(target) } else { None },
                    units: if by { units } else { None },
                    is_ready: false,
                });
                self.correcting = false;
                Some(next)
            }
            Command::Instead => {
                if let Some(phrase) = self.phrase(next)
                    && let Some(mention) = phrase.mention.as_ref().filter(|mention| !mention.is_only_option())
                {
                    let hits = self.slots.of(&mention.candidates);
                    let old: Vec<SlotId> = hits
                        .iter()
                        .copied()
                        .filter(|id| Some(*id) != self.focus || !self.slots.get(*id).is_some_and(|slot| slot.is_fresh))
                        .collect();
                    if let Some(target) = old.first().copied() {
                        let end = mention.end;
                        self.is_touched = true;
                        self.covered += end - at;
                        // `un sancocho en vez del ajiaco`: the new one is there already.
                        let came_before = self.focus.filter(|id| {
                            *id != target
                                && self.slots.get(*id).is_some_and(|slot| slot.is_fresh)
                                && self.last_end == at
                        });
                        if came_before.is_some() {
                            self.slots.remove(target);
                        } else {
                            self.replacing = Some(Replacing { target: Some(target), units: None, is_ready: true });
                        }
                        return Some(end);
                    }
                }
                // `en vez de tamal, changua`, where none was ordered.
                if let Some(mention) = self.dish_of_its_own(next)
                    && (!self.has_fresh() || !self.are_drinks(&mention.candidates) || self.are_drinks(&self.host()))
                {
                    self.covered += mention.end - at;
                    return Some(mention.end);
                }
                // A side for another: the kitchen reads it as it was said.
                let focus = self.focus?;
                let mut end = next;
                while end < self.limit && end < next + 3 && !self.is_break(end) {
                    end += 1;
                }
                let said = self.reading.slice(at..end);
                let slot = self.slots.get_mut(focus)?;
                match slot.notes.pop() {
                    Some(last) if !last.starts_with("sin ") => {
                        slot.notes.push(format!("{} {said}", last.trim_start_matches("con ")))
                    }
                    other => {
                        slot.notes.extend(other);
                        slot.notes.push(said);
                    }
                }
                self.is_touched = true;
                self.covered += end - at;
                Some(end)
            }
        }
    }

    /// `cambia el arroz por papas`: sides of one dish are the kitchen's business.
    pub(super) fn side_for_side(&mut self, at: usize, next: usize) -> Option<usize> {
        let focus = self.focus?;
        let mut from = next;
        while matches!(self.word(from), "el" | "la" | "los" | "las" | "le" | "me") {
            from += 1;
        }
        let words: Vec<_> = self.reading.tokens.get(from)?.hits.iter().map(|(word, _)| *word).collect();
        let of_host = self.host().iter().any(|item| self.index.contains(*item, &words))
            || lexicon::is_ingredient(self.word(from));
        let in_basket = self
            .phrase(next)
            .and_then(|phrase| phrase.mention)
            .is_some_and(|mention| mention.is_headed && !self.slots.of(&mention.candidates).is_empty());
        if !of_host || in_basket || !matches!(self.word(from + 1), "por" | "a") {
            return None;
        }
        let mut end = from + 2;
        while end < self.limit && end < from + 5 && !self.is_break(end) && !self.is_end(end) {
            end += 1;
        }
        if end == from + 2 {
            return None;
        }
        let note = format!("cambiar {}", self.reading.slice(from..end));
        self.slots.note(focus, &[note]);
        self.is_touched = true;
        self.covered += end - at;
        Some(end)
    }

    /// The phrase at a token when sizes and flavours of the last item may stand alone.
    pub(super) fn phrase_if_changing(&mut self, at: usize) -> Option<Phrase> {
        let before = std::mem::replace(&mut self.setting, true);
        let phrase = self.phrase(at);
        self.setting = before;
        phrase.filter(|phrase| {
            phrase.mention.as_ref().is_some_and(|mention| mention.options.is_empty())
                || phrase.quantity.units().is_some()
        })
    }

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

    /// The item that was named last comes with what the token names.
    fn host_has(&self, at: usize) -> bool {
        let words: Vec<_> = self.reading.tokens[at].hits.iter().map(|(word, _)| *word).collect();
        self.host().iter().any(|item| self.index.contains(*item, &words))
    }

    /// Removes so many units, or all.
    pub(super) fn take_away(&mut self, ids: &[SlotId], units: Option<u32>) {
        self.is_touched = true;
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
            hits.iter().filter_map(|id| self.slots.get(*id)).map(crate::bot::slots::Slot::item).collect();
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
        let mention = self.dish_of_its_own(from)?;
        if self.word(at) == "que" && !self.in_basket(&mention).is_empty() {
            return None;
        }
        let hits = self.in_basket(&mention);
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

    fn are_drinks(&self, items: &[ItemNo]) -> bool {
        !items.is_empty() && items.iter().all(|item| self.index.items[usize::from(*item)].is_drink)
    }

    /// `mejor changua que tamal`, `prefiero changua`.
    fn prefers(&self) -> bool {
        (self.start..self.limit).any(|at| matches!(self.word(at), "mejor" | "prefiero" | "preferimos"))
    }

    /// A dish that is named by its noun and without a number, and is nothing that is put on another.
    pub(super) fn dish_of_its_own(&self, at: usize) -> Option<Mention> {
        let phrase = self.phrase(at).filter(|_| at < self.limit)?;
        let mention = phrase.mention?;
        let is_side = mention.words == 1 && lexicon::is_ingredient(self.word(mention.start));
        let is_refused = phrase.quantity == Quantity::None || self.word(at.saturating_sub(1)) != "no";
        let is_dish = is_refused && mention.is_headed && !mention.is_foreign && !mention.is_only_option() && !is_side;
        (is_dish && !self.host_has(mention.start)).then_some(mention)
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

    /// The line that a correction means: the last one of this message, or of the same kind.
    pub(super) fn correction_target(&self, mention: &Mention) -> Option<SlotId> {
        let fresh: Vec<_> = self.slots.all.iter().filter(|slot| slot.is_fresh).collect();
        if let Some(last) = fresh.last() {
            let focus = self.focus.filter(|id| fresh.iter().any(|slot| slot.id == *id));
            return Some(focus.unwrap_or(last.id));
        }
        let item = *mention.candidates.first()?;
        let category = &self.index.items[usize::from(item)].category;
        if self.slots.all.len() == 1 {
            return self.slots.all.first().map(|slot| slot.id);
        }
        let siblings = self.index.siblings(item);
        let close =
            self.slots.all.iter().rev().find(|slot| slot.candidates.iter().any(|other| siblings.contains(other)));
        let same = self.slots.all.iter().rev().find(|slot| {
            slot.candidates.iter().any(|other| &self.index.items[usize::from(*other)].category == category)
        });
        close.or(same).map(|slot| slot.id).or(self.focus)
    }

    /// Puts an item in the place of another.
    pub(super) fn replace_line(
        &mut self,
        target: SlotId,
        units_of_target: Option<u32>,
        mention: &Mention,
        units: Option<u32>,
    ) {
        let Some(old) = self.slots.get(target).cloned() else { return };
        let taken = units_of_target.unwrap_or(old.qty).min(old.qty);
        let units = units.unwrap_or(taken).clamp(1, MAX_QUANTITY);
        let variant = old
            .candidates
            .iter()
            .any(|item| mention.candidates.iter().any(|other| self.index.siblings(*item).contains(other)));
        let mut notes = if variant { old.notes.clone() } else { Vec::new() };
        if !mention.options.is_empty() {
            notes.retain(|note| note.starts_with("sin ") || note.starts_with("extra "));
            notes.extend(mention.options.iter().cloned());
        }
        self.slots.take(target, taken);
        let id = self.slots.add(mention.candidates.clone(), units, notes, true);
        self.is_touched = true;
        self.parts = (units >= 2).then_some(Parts { parent: id, total: units, left: units });
        self.set_focus(Some(id));
    }

    pub(super) fn put_instead(
        &mut self,
        phrase: &Phrase,
        mention: &Mention,
        replacing: Replacing,
        end: usize,
    ) -> usize {
        self.replacing = None;
        let Some(target) = replacing.target.or(self.focus) else { return end };
        let old = self.slots.get(target).map_or(1, |slot| slot.qty);
        let taken = replacing.units.unwrap_or(old).min(old);
        let units = match phrase.quantity {
            Quantity::Number(n) => n,
            Quantity::One if taken == 1 || replacing.units.is_none() && !phrase.is_attribute => 1,
            _ => taken,
        };
        self.replace_line(target, Some(taken), mention, Some(units));
        end
    }

    /// `en leche`, said of a juice in water that was ordered before: the other item of its kind.
    pub(super) fn variant(&mut self, at: usize) -> Option<usize> {
        if self.has_fresh()
            || !matches!(self.word(at), "en" | "de" | "con" | "al")
            || self.slots.all.iter().any(|slot| slot.candidates.len() > 1)
        {
            return None;
        }
        let focus = self.focus.filter(|id| self.slots.get(*id).is_some())?;
        let item = self.slots.get(focus)?.item()?;
        let here =
            crate::bot::mention::Circumstances { scope: Some(&self.siblings), has_quantity: false, is_attribute: true };
        let mut mention = crate::bot::mention::mention_at(self.index, self.reading, at + 1, here)?;
        if mention.is_foreign
            || !mention.options.is_empty()
            || mention.candidates.contains(&item)
            || lexicon::is_everyday(self.word(at + 1))
            || self
                .index
                .contains(item, &self.reading.tokens[at + 1].hits.iter().map(|(word, _)| *word).collect::<Vec<_>>())
        {
            return None;
        }
        let most = mention.candidates.iter().map(|other| self.index.shared_parts(*other, item)).max()?;
        mention.candidates.retain(|other| self.index.shared_parts(*other, item) == most);
        if mention.candidates.len() != 1 {
            return None;
        }
        self.covered += mention.end - at;
        self.replace_line(focus, None, &mention, None);
        Some(mention.end)
    }
}
