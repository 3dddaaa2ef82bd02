//! `una coca y si no hay, una colombiana`: dishes for the case that another cannot be had.

use super::*;
use crate::bot::mention::{Circumstances, mention_at};

impl BasketTurn<'_> {
    /// Passes over a dish that is wanted only if the one before it is sold out. Where that one is sold out, the words
    /// behind the condition are read as any order.
    pub(super) fn fallback(&mut self, at: usize) -> Option<usize> {
        let (mut next, is_said) = match (self.word(at), self.word(at + 1), self.word(at + 2)) {
            ("si", "no", _) => (at + 2, false),
            ("en", "su", "defecto") => (at + 3, true),
            ("si", "hay" | "tiene" | "tienen" | "tienes" | "queda" | "quedan", _) => return self.if_there_is(at),
            _ => return None,
        };
        while matches!(self.word(next), "les" | "le" | "la" | "lo" | "las" | "los" | "me") {
            next += 1;
        }
        let verb = matches!(
            self.word(next),
            "hay" | "hubiera" | "tiene" | "tienen" | "tienes" | "tenes" | "queda" | "quedan" | "consigue" | "consiguen"
        );
        let mut missing = None;
        if verb {
            next += 1;
            missing = self.phrase(next).filter(|phrase| phrase.quantity == Quantity::None && names_dish(phrase));
            next = missing.as_ref().map_or(next, |phrase| phrase.end);
        }
        while matches!(
            self.word(next),
            "," | "entonces"
                | "pues"
                | "mejor"
                | "ahi"
                | "me"
                | "nos"
                | "le"
                | "por"
                | "favor"
                | "porfa"
                | "manda"
                | "mandas"
                | "mande"
                | "mandame"
                | "mandeme"
                | "da"
                | "das"
                | "dame"
                | "deme"
                | "pone"
                | "pones"
                | "ponga"
                | "pongame"
                | "ponme"
                | "regala"
                | "regalas"
                | "regaleme"
                | "envia"
                | "envie"
                | "enviame"
                | "envieme"
                | "trae"
                | "traiga"
                | "traigame"
                | "quiero"
        ) {
            next += 1;
        }
        // `uno de lulo, si no de mora`: the flavour for that case.
        if missing.is_none()
            && let Some(focus) = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.is_fresh))
            && let Some(notes) = self.notes_at(next)
            && !notes.notes.is_empty()
            && notes.notes.iter().all(|note| self.is_option_of(focus, note))
        {
            self.covered += notes.end - at;
            return Some(notes.end);
        }
        // `una coca si no hay colombiana` names one dish behind the condition: the other one.
        let phrase = match self.phrase(next).filter(names_dish) {
            Some(phrase) => phrase,
            None => missing.take()?,
        };
        // `si no una clásica`, and not `si no con todo`.
        if !verb && !is_said && phrase.quantity == Quantity::None && !phrase.is_definite && self.word(at + 2) != "," {
            return None;
        }
        let index = self.index;
        let can_be_had = |items: &[ItemNo]| items.iter().any(|item| index.items[usize::from(*item)].available);
        let missing = missing.and_then(|phrase| phrase.mention);
        let last = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.is_fresh));
        let there = match &missing {
            Some(missing) => self.in_basket(missing).last().copied(),
            None => last,
        };
        let wanted = match (there, missing) {
            (Some(there), _) => there,
            // `si no hay coca mándeme una colombiana`: the coca is what is wanted.
            (None, Some(missing)) if can_be_had(&missing.candidates) => {
                let units = phrase.quantity.units().unwrap_or(1).clamp(1, MAX_QUANTITY);
                self.slots.add(missing.candidates, units, Vec::new(), true)
            }
            (None, Some(_)) => return Some(phrase.start),
            (None, None) => return None,
        };
        let candidates = self.slots.get(wanted)?.candidates.clone();
        if !can_be_had(&candidates) {
            return Some(phrase.start);
        }
        let end = self.notes_at(phrase.end).map_or(phrase.end, |notes| notes.end);
        self.is_touched = true;
        self.covered += end - at;
        self.last_end = end;
        self.set_focus(Some(wanted));
        Some(end)
    }
}

impl BasketTurn<'_> {
    /// `si hay hawaiano mándeme uno`: the dish of the condition in the number that stands behind it.
    fn if_there_is(&mut self, at: usize) -> Option<usize> {
        const MOST_WORDS: usize = 5;
        let phrase = self.phrase(at + 2).filter(|phrase| phrase.quantity == Quantity::None && names_dish(phrase));
        // `hawaiano` alone, where one dish is called so.
        let here = Circumstances { scope: None, has_quantity: true, is_attribute: true };
        let mention = phrase.and_then(|phrase| phrase.mention).or_else(|| {
            mention_at(self.index, self.reading, at + 2, here)
                .filter(|mention| at + 2 < self.limit && !mention.is_foreign && mention.candidates.len() == 1)
                .filter(|mention| !mention.is_only_option())
        })?;
        // `si hay torta, una torta`: it is ordered behind the condition.
        let is_ordered = |next: usize| {
            let phrase = self.phrase(next).filter(|phrase| phrase.quantity != Quantity::None);
            phrase.and_then(|phrase| phrase.mention).is_some_and(|again| again.candidates == mention.candidates)
        };
        if (mention.end..self.limit.min(mention.end + MOST_WORDS)).any(is_ordered) {
            return Some(mention.end);
        }
        let counts = |n: &usize| {
            matches!(self.word(*n), "uno" | "una" | "un") || value(self.reading, *n).is_some_and(|n| n % 1_000 == 0)
        };
        let number = (mention.end..self.limit.min(mention.end + MOST_WORDS)).find(counts)?;
        let is_asked_for = (mention.end..number).any(|n| crate::bot::intent::is_command(self.word(n)));
        if !is_asked_for || !self.is_break(number + 1) {
            return None;
        }
        let units = value(self.reading, number).map_or(1, |value| value / 1_000);
        self.covered += number + 1 - at;
        self.has_quantity = true;
        self.add(&mention, Quantity::Number(units), &[]);
        self.last_end = number + 1;
        Some(number + 1)
    }
}

fn names_dish(phrase: &Phrase) -> bool {
    phrase.mention.as_ref().is_some_and(|mention| !mention.is_foreign && !mention.is_only_option())
}
