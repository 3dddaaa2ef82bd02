//! Wishes for how an item is prepared. Owns the phrases that say them and the form in which the kitchen reads them;
//! attaches them to nothing.

mod nouns;
mod wishes;
mod words;

use self::words::forbids;
use super::{
    index::{Index, ItemNo},
    lexicon,
    mention::value,
    reading::Reading,
};

/// Notes read from a stretch of the message.
#[derive(Debug, Clone, Default)]
pub struct ReadNotes {
    pub notes: Vec<String>,
    pub end: usize,
}

pub struct NoteReader<'a> {
    pub index: &'a Index,
    pub reading: &'a Reading<'a>,
    /// The items that the note may be for.
    pub host: &'a [ItemNo],
    pub end: usize,
}

impl NoteReader<'_> {
    /// `tan asada`, `con cebolla`, `sin salsa`, behind `no` and a dish: it is to be the other way.
    pub fn refused(&self, at: usize) -> Option<ReadNotes> {
        match self.word(at) {
            "con" => self.negatives(at + 1),
            "sin" => {
                let (start, end) = self.noun_phrase(at + 1)?;
                Some(ReadNotes { notes: vec![self.positive(start, end)], end })
            }
            _ => self.negated_manner(at),
        }
    }

    /// `la salsa`, behind `a una quítele la cebolla y a la otra`: it is meant by the same verb, also where it can be
    /// bought by itself.
    pub fn by_same_verb(&self, at: usize, is_left_out: bool) -> Option<ReadNotes> {
        let noun = if matches!(self.word(at), "la" | "el" | "los" | "las") { at + 1 } else { at };
        let named = self.is_noun(noun) && (lexicon::is_ingredient(self.word(noun)) || self.is_of_host(noun));
        if !named {
            return None;
        }
        if is_left_out {
            return self.negatives(at);
        }
        let (start, end) = self.noun_phrase(noun)?;
        Some(ReadNotes { notes: vec![self.positive(start, end)], end })
    }

    /// `le pone azúcar`: what is put on one of several.
    pub fn added(&self, at: usize) -> Option<ReadNotes> {
        let mut next = at;
        while matches!(self.word(next), "me" | "le" | "les" | "se" | "nos" | "lo" | "la") && next < at + 3 {
            next += 1;
        }
        let verb = self.word(next);
        let adds = ["pon", "ech", "agreg", "anad", "adicion"].iter().any(|stem| verb.starts_with(stem));
        if !adds || self.is_quantity(next + 1) {
            return None;
        }
        let mut noun = next + 1;
        while matches!(self.word(noun), "la" | "el" | "un" | "de" | "algo" | "mas") {
            noun += 1;
        }
        if let Some(notes) = self.amounts(noun) {
            return Some(notes);
        }
        if !self.is_noun(noun) || !lexicon::is_ingredient(self.word(noun)) && !self.is_of_host(noun) {
            return None;
        }
        let (start, end) = self.noun_phrase(noun)?;
        Some(ReadNotes { notes: vec![self.positive(start, end)], end })
    }

    /// The notes that begin at a token.
    pub fn read(&self, at: usize) -> Option<ReadNotes> {
        if at >= self.end {
            return None;
        }
        match self.word(at) {
            "sin" => return self.negatives(at + 1),
            "nada" if matches!(self.word(at + 1), "de") => return self.negatives(at + 2),
            "nada" if self.is_adjective(at + 1) => {
                return Some(ReadNotes { notes: vec![self.reading.slice(at..at + 2)], end: at + 2 });
            }
            "cero" | "0" if self.is_adjective(at + 1) || lexicon::is_ingredient(self.word(at + 1)) => {
                return self.negatives(at + 1);
            }
            "no" => {
                let mut next = at + 1;
                while matches!(
                    self.word(next),
                    "me" | "le" | "les" | "lo" | "se" | "nos" | "la" | "te" | "vaya" | "vayan" | "a"
                ) {
                    next += 1;
                }
                let how = self.negated_manner(next).or_else(|| self.negated_manner(next.saturating_sub(1).max(at + 1)));
                if how.is_some() {
                    return how;
                }
                if forbids(self.word(next)) {
                    return self.negatives(next + 1);
                }
                return self.contrasted(at);
            }
            "ni" => return self.negated_manner(at + 1).or_else(|| self.negatives(at + 1)),
            "con" => return self.with(at),
            "que" => {
                let mut next = at + 1;
                if self.word(next) == "no" {
                    return self.read(next);
                }
                while matches!(self.word(next), "me" | "le" | "les" | "la" | "lo" | "las" | "los" | "se" | "nos" | "el")
                {
                    next += 1;
                }
                // `que la carne quede bien asada`.
                if let Some(notes) = self.side_as(next) {
                    return Some(notes);
                }
                let verb = self.word(next);
                if matches!(
                    verb,
                    "sea"
                        | "sean"
                        | "este"
                        | "esten"
                        | "venga"
                        | "vengan"
                        | "quede"
                        | "queden"
                        | "vaya"
                        | "vayan"
                        | "hagan"
                        | "traiga"
                        | "traigan"
                        | "tenga"
                        | "tengan"
                        | "lleve"
                        | "lleven"
                        | "pongan"
                        | "ponga"
                        | "echen"
                        | "hagas"
                        | "dejen"
                        | "manden"
                ) {
                    let has = matches!(verb, "tenga" | "tengan" | "lleve" | "lleven" | "pongan" | "ponga" | "echen");
                    if let Some(notes) = self.read(next + 1) {
                        return Some(notes);
                    }
                    if has && self.is_noun(next + 1) && !self.begins_item(next + 1) {
                        let (start, end) = self.noun_phrase(next + 1)?;
                        return Some(ReadNotes { notes: vec![self.positive(start, end)], end });
                    }
                }
                return None;
            }
            "termino" => {
                let mut end = at + 1;
                while end < at + 3
                    && (matches!(
                        self.word(end),
                        "tres"
                            | "cuartos"
                            | "3"
                            | "4"
                            | "medio"
                            | "azul"
                            | "0.75"
                            | "bien"
                            | "asado"
                            | "rojo"
                            | "ingles"
                            | "cocido"
                    ) || self.is_adjective(end))
                {
                    end += 1;
                }
                return (end > at + 1).then(|| ReadNotes { notes: vec![self.reading.slice(at..end)], end });
            }
            "tres" if self.word(at + 1) == "cuartos" && !self.host.is_empty() && self.word(at + 2) != "de" => {
                return Some(ReadNotes { notes: vec!["tres cuartos".into()], end: at + 2 });
            }
            "mitad" if self.is_noun(at + 1) && !self.host.is_empty() => {
                let (start, end) = self.noun_phrase(at + 1)?;
                return Some(ReadNotes { notes: vec![format!("mitad {}", self.reading.slice(start..end))], end });
            }
            "en" => {
                let next = at + 1;
                let chosen = self.is_of_host(next);
                let manner = matches!(
                    self.word(next),
                    "combo"
                        | "trozos"
                        | "rodajas"
                        | "cuadritos"
                        | "tiras"
                        | "bolsa"
                        | "vaso"
                        | "copa"
                        | "salsa"
                        | "bola"
                        | "polvo"
                        | "pedazos"
                        | "trocitos"
                        | "rebanadas"
                        | "julianas"
                        | "agua"
                        | "leche"
                        | "pan"
                        | "plato"
                        | "dos"
                        | "caja"
                        | "hielo"
                );
                // `en salsa bbq`.
                if !self.host.is_empty()
                    && self.word(next) == "salsa"
                    && !self.is_mark(next + 1)
                    && (self.is_of_host(next + 1) || self.is_noun(next + 1) || self.is_adjective(next + 1))
                {
                    return Some(ReadNotes { notes: vec![self.reading.slice(next..next + 2)], end: next + 2 });
                }
                if !self.host.is_empty() && (chosen || manner) && !self.is_mark(next) {
                    return Some(ReadNotes { notes: vec![self.reading.slice(at..next + 1)], end: next + 1 });
                }
                return None;
            }
            "al" if matches!(self.word(at + 1), "clima" | "ambiente" | "tiempo" | "punto" | "dente" | "lado") => {
                return Some(ReadNotes { notes: vec![self.reading.slice(at..at + 2)], end: at + 2 });
            }
            "para" if matches!(self.word(at + 1), "llevar" | "ya") => {
                return Some(ReadNotes { notes: Vec::new(), end: at + 2 });
            }
            "normal" | "normales" | "completa" | "completo" | "completas" | "completos" | "tradicional"
            | "sencilla"
                if !self.begins_item(at) =>
            {
                return Some(ReadNotes { notes: Vec::new(), end: at + 1 });
            }
            "adicion" | "adicional" if !self.host.is_empty() => return self.addition(at),
            _ => {}
        }
        if let Some(notes) = self.taken_off(at) {
            return Some(notes);
        }
        if let Some(notes) = self.amounts(at) {
            return Some(notes);
        }
        if self.host.is_empty() {
            return None;
        }
        // `la salsa aparte`, `queso extra`, `masa delgada`.
        let mut noun = at;
        while matches!(self.word(noun), "la" | "el" | "los" | "las") {
            noun += 1;
        }
        let is_food = self.is_noun(noun) && (lexicon::is_ingredient(self.word(noun)) || self.is_of_host(noun));
        if is_food && let Some((start, end)) = self.noun_phrase(noun) {
            let tail = self.word(end - 1);
            if matches!(tail, "aparte" | "extra" | "encima" | "adicional") {
                return Some(ReadNotes { notes: vec![self.positive(start, end)], end });
            }
            if self.word(end) == "por" && self.word(end + 1) == "aparte" {
                return Some(ReadNotes {
                    notes: vec![format!("{} aparte", self.reading.slice(start..end))],
                    end: end + 2,
                });
            }
            // `la carne bien asada`, `el chicharrón tostadito`: a side of this dish, and how it is to be.
            if self.is_of_host(noun)
                && !self.begins_item(start)
                && matches!(self.word(end), "bien" | "muy" | "poco" | "super")
                && self.is_adjective(end + 1)
            {
                return Some(ReadNotes { notes: vec![self.reading.slice(start..end + 2)], end: end + 2 });
            }
            let described = end > start + 1
                && (self.is_adjective(end - 1) || self.word(start + 1) == "de")
                && !self.begins_item(start);
            if described && (noun == at || self.is_of_host(noun) && self.is_adjective(end - 1)) {
                return Some(ReadNotes { notes: vec![self.reading.slice(start..end)], end });
            }
        }
        // A side or a flavour of the description.
        let option = if self.word(at) == "de" { at + 1 } else { at };
        if self.is_of_host(option)
            && self.is_noun(option)
            && !self.begins_item(option)
            && !self.reading.tokens[option].is_weak
        {
            let mut end = option + 1;
            while !self.is_mark(end)
                && self.is_of_host(end)
                && !lexicon::is_connector(self.word(end))
                && end < option + 3
            {
                end += 1;
            }
            // An ingredient needs no note; a choice does.
            let is_choice = self.host.iter().any(|item| self.index.items[usize::from(*item)].has_options);
            let notes = if is_choice { vec![self.reading.slice(option..end)] } else { Vec::new() };
            return Some(ReadNotes { notes, end });
        }
        if self.is_adjective(at) {
            let mut end = at + 1;
            if matches!(self.word(end), "en" | "a" | "por")
                && !self.is_mark(end + 1)
                && (value(self.reading, end + 1).is_some() || self.is_noun(end + 1) || self.word(end + 1) == "la")
            {
                end += 2;
                if self.word(end - 1) == "la" && !self.is_mark(end) {
                    end += 1;
                }
            }
            return Some(ReadNotes { notes: vec![self.reading.slice(at..end)], end });
        }
        None
    }
}

/// True: a note takes back the other, as `con tomate` behind `sin tomate`.
pub fn takes_back(new: &str, old: &str) -> bool {
    let rest = |note: &str, sign: &str| {
        note.strip_prefix(sign).map(|rest| super::text::fold(rest).trim_end_matches(" extra").to_owned())
    };
    let positive = rest(new, "con ").or_else(|| rest(new, "extra "));
    let negative = rest(old, "sin ");
    if positive.is_some() && positive == negative {
        return true;
    }
    let negative = rest(new, "sin ");
    let positive = rest(old, "con ").or_else(|| rest(old, "extra "));
    negative.is_some() && negative == positive
}
