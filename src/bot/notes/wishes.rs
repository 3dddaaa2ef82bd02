//! The forms of a wish: without something, with something, more or less of it, in another manner.

use super::{
    NoteReader, ReadNotes,
    words::{amount, is_article, little},
};
use crate::bot::{
    lexicon,
    mention::{Circumstances, mention_at},
};

impl NoteReader<'_> {
    /// `sea muy dulce`, `esten frias`, `picante`, behind a `no` or a `ni`: how it is not to be.
    pub(super) fn negated_manner(&self, at: usize) -> Option<ReadNotes> {
        let mut next = at;
        if matches!(
            self.word(next),
            "sea"
                | "sean"
                | "este"
                | "esten"
                | "esta"
                | "estan"
                | "venga"
                | "vengan"
                | "quede"
                | "queden"
                | "vaya"
                | "vayan"
                | "llegue"
                | "lleguen"
                | "salga"
                | "salgan"
        ) {
            next += 1;
            if self.word(next) == "con" {
                return self.negatives(next + 1);
            }
        }
        let mut notes = Vec::new();
        loop {
            let start = next;
            while matches!(self.word(next), "tan" | "muy" | "tanto" | "demasiado" | "super" | "bien" | "mas" | "ni") {
                next += 1;
            }
            if !self.is_adjective(next) {
                break;
            }
            next += 1;
            notes.push(format!("no {}", self.reading.slice(start..next)));
            if !matches!(self.word(next), "ni") {
                break;
            }
            next += 1;
        }
        (!notes.is_empty()).then_some(ReadNotes { notes, end: next })
    }

    /// `con chorizo y no morcilla`: a side against one that is wanted.
    pub(super) fn contrasted(&self, at: usize) -> Option<ReadNotes> {
        let is_behind = at > 0 && matches!(self.reading.word(at - 1), "y" | "," | "pero") && !self.host.is_empty();
        let mut noun = at + 1;
        while matches!(self.word(noun), "la" | "el" | "los" | "las") {
            noun += 1;
        }
        let is_against = (at.saturating_sub(5)..at).any(|n| self.reading.word(n) == "con");
        let is_side =
            self.is_noun(noun) && (is_against || lexicon::is_ingredient(self.word(noun)) || self.is_of_host(noun));
        if !is_behind || !is_side || self.begins_item(noun) {
            return None;
        }
        let (start, end) = self.noun_phrase(noun)?;
        let closes = self.is_mark(end) || matches!(self.word(end), "y" | "por" | "porfa" | "gracias");
        closes.then(|| ReadNotes { notes: vec![format!("sin {}", self.reading.slice(start..end))], end })
    }

    /// `quite la gaseosa`, where no dish that is spoken of comes with one: it is a line of the order, or nothing.
    fn names_drink_of_its_own(&self, at: usize) -> bool {
        let noun = if matches!(self.word(at), "la" | "el" | "las" | "los") { at + 1 } else { at };
        if self.is_of_host(noun) || lexicon::is_ingredient(self.word(noun)) {
            return false;
        }
        let is_drink = |item: &crate::bot::index::ItemNo| self.index.items[usize::from(*item)].is_drink;
        let is_combo = |item: &crate::bot::index::ItemNo| {
            self.index.items[usize::from(*item)].category.to_lowercase().contains("combo")
        };
        if self.host.iter().any(|item| is_drink(item) || is_combo(item)) {
            return false;
        }
        matches!(self.word(noun), "gaseosa" | "gaseosas" | "bebida" | "bebidas" | "refresco") || self.begins_item(noun)
    }

    pub(super) fn negatives(&self, at: usize) -> Option<ReadNotes> {
        let mut noun = at;
        let mut sign = "sin";
        while noun < at + 4 && (is_article(self.word(noun)) || little(self.word(noun)).is_some()) {
            sign = little(self.word(noun)).unwrap_or(sign);
            noun += 1;
        }
        let (start, mut end) = self.noun_phrase(noun)?;
        let mut notes = vec![format!("{sign} {}", self.reading.slice(start..end))];
        // `sin cebolla ni tomate`, `sin cebolla, tomate y salsas`.
        loop {
            let next = match self.word(end) {
                "ni" => end + 1,
                "y" | "," | "e" if !self.is_quantity(end + 1) => {
                    let mut next = end + 1;
                    if self.word(end) == "," && self.word(next) == "y" {
                        next += 1;
                    }
                    let mut noun = next;
                    while matches!(self.word(noun), "ni" | "la" | "el" | "los" | "las") {
                        noun += 1;
                    }
                    let fits = self.is_noun(noun)
                        && (lexicon::is_ingredient(self.word(noun)) || self.is_of_host(noun))
                        && !self.begins_item(noun);
                    let article = noun > next && self.word(next) != "ni";
                    // `sin cebolla, papas aparte` says something of its own.
                    let own = matches!(self.word(noun + 1), "extra" | "aparte");
                    if !fits || own || article && !self.is_of_host(noun) {
                        break;
                    }
                    noun
                }
                _ => break,
            };
            let next = if matches!(self.word(next), "sin" | "ni") { next + 1 } else { next };
            let Some((start, stop)) = self.noun_phrase(next) else { break };
            notes.push(format!("sin {}", self.reading.slice(start..stop)));
            end = stop;
        }
        Some(ReadNotes { notes, end })
    }

    /// `carne quede bien asada`, behind `que la`: how something on the dish is to be.
    pub(super) fn side_as(&self, at: usize) -> Option<ReadNotes> {
        let is_side = self.is_noun(at) && (lexicon::is_ingredient(self.word(at)) || self.is_of_host(at));
        let verb = matches!(
            self.word(at + 1),
            "sea" | "sean" | "este" | "esten" | "venga" | "vengan" | "quede" | "queden" | "vaya" | "vayan"
        );
        if !is_side || !verb || self.begins_item(at) {
            return None;
        }
        let mut end = at + 2;
        while matches!(self.word(end), "bien" | "muy" | "mas" | "super") {
            end += 1;
        }
        if !self.is_adjective(end) {
            return None;
        }
        let notes = vec![format!("{} {}", self.reading.slice(at..at + 1), self.reading.slice(at + 2..end + 1))];
        Some(ReadNotes { notes, end: end + 1 })
    }

    /// `extra queso`, `bien asada`, `poca sal`.
    pub(super) fn amounts(&self, at: usize) -> Option<ReadNotes> {
        let word = self.word(at);
        // `el resto de carne` counts.
        let counts = word == "resto" && at > 0 && self.reading.word(at - 1) == "el";
        if !amount(word) || counts {
            return None;
        }
        let mut next = at + 1;
        while matches!(self.word(next), "de" | "bien" | "mas") {
            next += 1;
        }
        let needs_food = matches!(word, "mas" | "menos" | "resto" | "algo" | "medio" | "media");
        let food = self.is_noun(next) && (lexicon::is_ingredient(self.word(next)) || self.is_of_host(next));
        if needs_food && !food && !(word.starts_with("medi") && self.is_adjective(next)) {
            return None;
        }
        if !needs_food && !self.is_noun(next) && !self.is_adjective(next) {
            return None;
        }
        let adverb = matches!(word, "bien" | "muy" | "super" | "re");
        if adverb && self.begins_item(next)
            || !adverb && self.begins_item(next) && !lexicon::is_ingredient(self.word(next))
        {
            return None;
        }
        let (_, mut end) = self.noun_phrase(next)?;
        let said = self.reading.slice(at..end);
        let said = said.strip_prefix("arta ").map_or_else(|| said.clone(), |rest| format!("harta {rest}"));
        let mut notes = vec![said];
        // `con poca salsa y bastante queso`, `extra queso y tocineta`.
        while matches!(self.word(end), "y" | "e")
            && !adverb
            && !self.is_quantity(end + 1)
            && self.is_noun(end + 1)
            && !self.begins_item(end + 1)
            && (lexicon::is_ingredient(self.word(end + 1)) || self.is_of_host(end + 1))
        {
            let (start, stop) = self.noun_phrase(end + 1)?;
            notes.push(format!("{word} {}", self.reading.slice(start..stop)));
            end = stop;
        }
        Some(ReadNotes { notes, end })
    }

    pub(super) fn with(&self, at: usize) -> Option<ReadNotes> {
        let mut next = at + 1;
        if matches!(self.word(next), "todo" | "todas" | "todos")
            || self.word(next) == "de" && self.word(next + 1) == "todo"
        {
            let end = if self.word(next) == "de" { next + 2 } else { next + 1 };
            if matches!(self.word(end), "menos" | "excepto" | "pero")
                && let Some(but) = self.negatives(if self.word(end) == "pero" && self.word(end + 1) == "sin" {
                    end + 2
                } else {
                    end + 1
                })
                && self.word(end) != "pero"
            {
                return Some(but);
            }
            return Some(ReadNotes { notes: Vec::new(), end });
        }
        if let Some(notes) = self.amounts(next) {
            return Some(notes);
        }
        if self.is_quantity(next) {
            return None;
        }
        if matches!(self.word(next), "adicion" | "adicional" | "adiciones") {
            return self.addition(next);
        }
        while matches!(self.word(next), "la" | "el" | "los" | "las" | "su" | "sus") {
            next += 1;
        }
        // `con limonada en vez de gaseosa`: one side for another.
        if !self.host.is_empty()
            && let Some((start, end)) = self.noun_phrase(next)
            && self.word(end) == "en"
            && matches!(self.word(end + 1), "vez" | "lugar")
            && matches!(self.word(end + 2), "de" | "del")
            && let Some((_, stop)) = self.noun_phrase(end + 3)
            && (self.begins_item(start) && !self.begins_item(end + 3) || self.is_of_host(end + 3))
        {
            return Some(ReadNotes { notes: vec![format!("con {}", self.reading.slice(start..stop))], end: stop });
        }
        if !self.is_noun(next) && !self.is_adjective(next) || self.begins_item(next) {
            return None;
        }
        let (start, mut end) = self.noun_phrase(next)?;
        // `con el huevo bien cocido`.
        let is_described = next > at + 1 || self.is_of_host(start) && end == start + 1;
        if is_described && matches!(self.word(end), "bien" | "muy" | "poco") && self.is_adjective(end + 1) {
            end += 2;
        }
        let mut notes = vec![self.positive(start, end)];
        while matches!(self.word(end), "y" | "," | "e")
            && !self.is_quantity(end + 1)
            && self.is_noun(end + 1)
            && !self.begins_item(end + 1)
            && (lexicon::is_ingredient(self.word(end + 1)) || self.is_of_host(end + 1))
        {
            let (start, stop) = self.noun_phrase(end + 1)?;
            notes.push(self.positive(start, stop));
            end = stop;
        }
        Some(ReadNotes { notes, end })
    }

    pub(super) fn positive(&self, start: usize, end: usize) -> String {
        match self.word(end - 1) {
            "aparte" | "encima" => self.reading.slice(start..end),
            "extra" | "adicional" => format!("extra {}", self.reading.slice(start..end - 1)),
            _ => format!("con {}", self.reading.slice(start..end)),
        }
    }

    /// An addition that the menu does not sell.
    pub(super) fn addition(&self, at: usize) -> Option<ReadNotes> {
        let here = Circumstances { scope: None, has_quantity: true, is_attribute: false };
        let sold = mention_at(self.index, self.reading, at, here)
            .is_some_and(|mention| !mention.is_foreign && mention.words >= 2);
        if sold {
            return None;
        }
        let mut next = at + 1;
        while matches!(self.word(next), "de" | "del") {
            next += 1;
        }
        let (start, end) = self.noun_phrase(next)?;
        Some(ReadNotes { notes: vec![format!("adición de {}", self.reading.slice(start..end))], end })
    }

    /// `le quitan la cebolla`, `quítele el tomate`; whether it is an item of the basket, the caller has asked before.
    pub(super) fn taken_off(&self, at: usize) -> Option<ReadNotes> {
        let mut next = at;
        while matches!(self.word(next), "me" | "le" | "les" | "se" | "nos" | "a" | "la" | "pues") && next < at + 3 {
            next += 1;
        }
        let verb = self.word(next);
        let removes = verb.starts_with("quit")
            || verb.starts_with("saqu")
            || verb.starts_with("saca")
            || verb.starts_with("retir");
        if !removes {
            return None;
        }
        let noun = next + 1;
        if self.begins_item(noun) && self.host.is_empty() || self.names_drink_of_its_own(noun) {
            return None;
        }
        self.negatives(noun)
    }
}
