//! `cambie`, `mejor`, `en vez de`: dishes that are put in the place of others.

use super::*;

impl BasketTurn<'_> {
    pub(super) fn command(&mut self, command: BasketCommand, at: usize, next: usize) -> Option<usize> {
        let has_order = !self.slots.all.is_empty();
        match command {
            BasketCommand::Add => {
                self.correcting = false;
                self.setting = false;
                self.removing = false;
                self.adding = !matches!(self.word(at), "tambien" | "ademas");
                if self.word(at) != "tambien" && self.word(at) != "ademas" {
                    self.only = false;
                }
                Some(next)
            }
            BasketCommand::Correct => {
                self.correcting = has_order;
                self.corrected = false;
                self.setting = false;
                self.removing = false;
                self.parts = None;
                Some(next)
            }
            BasketCommand::Set => {
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
            BasketCommand::Only => {
                if has_order {
                    self.only = true;
                    self.setting = true;
                }
                Some(next)
            }
            BasketCommand::Remove => self.remove(at, next),
            BasketCommand::Replace => {
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
            BasketCommand::Instead => {
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
                        if let Some(number) = self.other_number(end) {
                            self.set_focus(Some(target));
                            self.correcting = true;
                            self.corrected = false;
                            self.covered += end - at;
                            return Some(number);
                        }
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

    /// `que sean dos`, behind `en vez de tres cocas`: where the number stands.
    fn other_number(&self, at: usize) -> Option<usize> {
        let mut number = at;
        while matches!(
            self.word(number),
            "," | "que" | "sea" | "sean" | "mejor" | "solo" | "mande" | "mandeme" | "deme"
        ) && number < at + 4
        {
            number += 1;
        }
        let phrase = self.phrase(number).filter(|_| number < self.limit)?;
        let is_bare = phrase.mention.is_none() && self.is_break(phrase.end);
        (is_bare && matches!(phrase.quantity, Quantity::Number(_) | Quantity::One)).then_some(number)
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

    /// The item that was named last comes with what the token names.
    pub(super) fn host_has(&self, at: usize) -> bool {
        let words: Vec<_> = self.reading.tokens[at].hits.iter().map(|(word, _)| *word).collect();
        self.host().iter().any(|item| self.index.contains(*item, &words))
    }

    fn are_drinks(&self, items: &[ItemNo]) -> bool {
        !items.is_empty() && items.iter().all(|item| self.index.items[usize::from(*item)].is_drink)
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
            || self.replacing.is_some_and(|replacing| replacing.is_ready)
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
