//! `no era uva, era pepsi`, `eran tres, no dos`: what was said before, against what is meant.

use super::*;

/// A verb that says what was ordered, and what it may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClaimVerb {
    /// `era`, `dije`: whatever was ordered.
    Order,
    /// `quiero`: about a number only, as dishes behind it are refused elsewhere.
    Number,
}

fn said(word: &str) -> Option<ClaimVerb> {
    Some(match word {
        "era" | "eran" | "es" | "son" | "fue" | "fueron" | "seria" | "serian" | "dije" | "dijimos" | "pedi"
        | "pedimos" | "puse" | "escribi" => ClaimVerb::Order,
        "quiero" | "queremos" | "queria" | "queriamos" | "quise" | "quisimos" => ClaimVerb::Number,
        _ => return None,
    })
}

/// Verbs that repeat an order as it was meant, rather than make one.
fn repeats(word: &str) -> bool {
    matches!(word, "era" | "eran" | "dije" | "dijimos" | "pedi" | "pedimos")
}

impl BasketTurn<'_> {
    /// Finds the line that was wrong; what is meant instead is read as a correction of it.
    pub(super) fn contrast(&mut self, at: usize) -> Option<usize> {
        if self.slots.all.is_empty() {
            return self.contrast_of_nothing(at);
        }
        if self.word(at) == "no" {
            return self.not_this_but_that(at);
        }
        self.that_and_not_this(at)
    }

    /// `no era mojarra era pargo`, where nothing is ordered: the dish that is meant alone.
    fn contrast_of_nothing(&mut self, at: usize) -> Option<usize> {
        const MOST_WORDS: usize = 9;
        if self.word(at) != "no" {
            return None;
        }
        let (kind, wrong) = self.said_at(at + 1)?;
        let names = |n: usize| {
            let mention = self.phrase(n).filter(|_| n < self.limit).and_then(|phrase| phrase.mention);
            mention.is_some_and(|mention| !mention.is_foreign)
        };
        let parts = (wrong + 1..self.limit.min(wrong + MOST_WORDS))
            .find(|n| self.word(*n) == "sino" || self.said_at(*n).is_some_and(|(other, _)| other == kind))?;
        let meant = self.said_at(parts).map_or(parts + 1, |(_, next)| next);
        if kind != ClaimVerb::Order || !names(wrong) || !names(meant) {
            return None;
        }
        self.covered += meant - at;
        Some(meant)
    }

    /// `no eran 3 eran 2`, `no era uva sino pepsi`.
    fn not_this_but_that(&mut self, at: usize) -> Option<usize> {
        const MOST_WORDS: usize = 9;
        // `no tres cocas sino dos` has no verb.
        let verb = self.said_at(at + 1);
        let (kind, wrong) = verb.unwrap_or((ClaimVerb::Order, at + 1));
        let parts = (wrong + 1..self.limit.min(wrong + MOST_WORDS)).find(|n| {
            self.word(*n) == "sino" || verb.is_some() && self.said_at(*n).is_some_and(|(other, _)| other == kind)
        })?;
        let mut wrong_end = parts;
        while wrong_end > wrong && matches!(self.word(wrong_end - 1), "," | "y" | "pero" | "yo" | "te" | "le" | "les") {
            wrong_end -= 1;
        }
        let meant = self.said_at(parts).map_or(parts + 1, |(_, next)| next);
        self.mean_instead(kind, wrong, wrong_end, meant).then_some(meant)
    }

    /// `eran tres, no dos`, `yo dije tres`, `eran dos perros y una criolla`.
    fn that_and_not_this(&mut self, at: usize) -> Option<usize> {
        // `al revés, dos de pollo y una de carne`.
        if self.word(at) == "al" && self.word(at + 1) == "reves" {
            let meant = if self.word(at + 2) == "," { at + 3 } else { at + 2 };
            self.phrase(meant).filter(|phrase| phrase.quantity.units().is_some())?;
            return Some(self.set_all_from(meant));
        }
        let begins =
            at == self.start || matches!(self.word(at - 1), "," | "yo" | "perdon" | "no" | "ay" | "te" | "les");
        if !begins || !repeats(self.word(at)) || (self.start..at).any(|n| self.word(n) == "que") {
            return None;
        }
        let meant = at + 1;
        if self.is_other_of_kind(meant) {
            self.correct_from_here();
            return Some(meant);
        }
        let phrase = self.phrase(meant)?;
        let names = phrase.mention.as_ref().is_some_and(|mention| !mention.is_foreign);
        if !(names || phrase.quantity.units().is_some() && self.ends_correction(phrase.end)) {
            return None;
        }
        let mut no = phrase.end;
        while matches!(self.word(no), "," | "y") {
            no += 1;
        }
        if self.word(no) == "no" {
            let mut end = no + 1;
            while !self.is_end(end) {
                end += 1;
            }
            if self.mean_instead(ClaimVerb::Order, no + 1, end, meant) {
                self.limit = no;
                return Some(meant);
            }
        }
        Some(self.set_all_from(meant))
    }

    /// `era grande`, `era el grande`: without a number, another of the one line's kind takes its place.
    fn is_other_of_kind(&mut self, at: usize) -> bool {
        let [line] = &self.slots.all[..] else { return false };
        let line = line.candidates.clone();
        let phrase = self
            .phrase_if_changing(at)
            .filter(|phrase| at < self.limit && phrase.quantity == Quantity::None && self.is_break(phrase.end));
        let mention = phrase.and_then(|phrase| phrase.mention).filter(|mention| !mention.is_foreign);
        mention.is_some_and(|mention| {
            !mention.is_only_option()
                && mention
                    .candidates
                    .iter()
                    .all(|item| !line.contains(item) && line.iter().any(|own| self.index.siblings(*own).contains(item)))
        })
    }

    /// Every number that follows in the sentence is a total.
    fn set_all_from(&mut self, meant: usize) -> usize {
        self.setting = true;
        self.sets_all = true;
        self.corrected = true;
        meant
    }

    /// A verb of saying with the pronouns before it, and where it ends.
    fn said_at(&self, at: usize) -> Option<(ClaimVerb, usize)> {
        let mut verb = at;
        while matches!(self.word(verb), "te" | "le" | "les" | "yo" | "lo") && verb < at + 3 {
            verb += 1;
        }
        said(self.word(verb)).map(|kind| (kind, verb + 1))
    }

    fn ends_correction(&self, at: usize) -> bool {
        self.is_break(at) || matches!(self.word(at), "no" | "nomas" | "solamente")
    }

    /// A number alone: `3`, `una`.
    fn bare_number(&self, at: usize, end: usize) -> Option<u32> {
        let phrase = self.phrase(at).filter(|phrase| phrase.mention.is_none() && phrase.end == end)?;
        match phrase.quantity {
            Quantity::Number(units) => Some(units),
            Quantity::One => Some(1),
            _ => None,
        }
    }

    /// Makes ready for what is meant. False: the words name nothing that is ordered.
    fn mean_instead(&mut self, kind: ClaimVerb, wrong: usize, wrong_end: usize, meant: usize) -> bool {
        let right = self.phrase(meant).filter(|_| meant < self.limit);
        let right_dish = right.as_ref().and_then(|phrase| phrase.mention.clone()).filter(|mention| !mention.is_foreign);
        let right_number = right.as_ref().filter(|phrase| phrase.mention.is_none() && self.ends_correction(phrase.end));
        let right_number = right_number.and_then(|phrase| phrase.quantity.units());
        if let Some(units) = self.bare_number(wrong, wrong_end) {
            if right_number.is_none() && right_dish.is_none() {
                return false;
            }
            let counts = |id: &SlotId| self.slots.get(*id).is_some_and(|slot| slot.qty == units);
            let counted = self.slots.all.iter().rev().map(|slot| slot.id).find(counts);
            let focus = self.focus.filter(counts).or(counted).or(self.focus);
            self.set_focus(focus);
            return self.correct_from_here();
        }
        if kind == ClaimVerb::Number {
            return false;
        }
        let quantity = self.phrase(wrong).map(|phrase| phrase.quantity);
        let mut named = wrong;
        while named < wrong_end && matches!(self.word(named), "de" | "la" | "el" | "las" | "los" | "un" | "una") {
            named += 1;
        }
        let mention = self.named_of_basket(wrong).or_else(|| self.named_of_basket(named));
        let mention = mention.filter(|mention| mention.end <= wrong_end);
        let said = self.reading.slice(named..wrong_end);
        let noted = |slot: &&crate::bot::slots::BasketSlot| slot.notes.iter().any(|note| note.contains(&said));
        let line = match &mention {
            Some(mention) => self.in_basket(mention).last().copied(),
            None if said.is_empty() => None,
            None => {
                let noted = self.slots.all.iter().rev().find(noted).map(|slot| slot.id);
                // `no eran de coco eran de piña`, of cocadas whose flavour nobody said.
                noted.or_else(|| self.focus.filter(|focus| self.is_option_of(*focus, &said)))
            }
        };
        let Some(line) = line else { return false };
        let before = self.focus;
        self.set_focus(Some(line));
        let right = self.phrase_if_changing(meant).filter(|_| meant < self.limit);
        let dish = right.and_then(|phrase| phrase.mention).filter(|mention| !mention.is_foreign);
        let dish = dish.filter(|mention| !mention.is_only_option());
        let is_option = self.notes_at(meant).is_some_and(|notes| {
            !notes.notes.is_empty() && notes.notes.iter().all(|note| self.is_option_of(line, note))
        });
        let Some(dish) = dish else {
            if right_number.is_none() && right_dish.is_none() && !is_option {
                self.set_focus(before);
                return false;
            }
            return self.correct_from_here();
        };
        let slot = self.slots.get(line);
        if slot.is_some_and(|slot| dish.candidates.iter().any(|item| slot.candidates == [*item])) {
            return self.correct_from_here();
        }
        let units = match quantity {
            Some(quantity @ (Quantity::One | Quantity::Number(_))) => quantity.units(),
            _ => None,
        };
        self.is_touched = true;
        self.correcting = false;
        self.parts = None;
        self.replacing = Some(Replacing { target: Some(line), units, is_ready: true });
        true
    }

    fn correct_from_here(&mut self) -> bool {
        self.correcting = true;
        self.corrected = false;
        self.setting = false;
        self.removing = false;
        self.parts = None;
        true
    }
}
