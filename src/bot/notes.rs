//! Wishes for how an item is prepared. Owns the phrases that say them and the form in which the kitchen reads them;
//! attaches them to nothing.

use super::{
    index::{Index, ItemNo},
    lexicon,
    mention::{Circumstances, mention_at, value},
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

fn is_article(word: &str) -> bool {
    matches!(
        word,
        "la" | "el"
            | "los"
            | "las"
            | "le"
            | "les"
            | "me"
            | "lo"
            | "se"
            | "nos"
            | "mucha"
            | "tanta"
            | "tanto"
            | "nada"
            | "de"
            | "del"
    )
}

/// `no le eche mucha sal` wants a little of it.
fn little(word: &str) -> Option<&'static str> {
    Some(match word {
        "mucha" | "tanta" | "demasiada" => "poca",
        "mucho" | "tanto" | "demasiado" => "poco",
        "muchas" | "tantas" | "demasiadas" => "pocas",
        "muchos" | "tantos" | "demasiados" => "pocos",
        _ => return None,
    })
}

/// Verbs behind a `no` that forbid what follows: `no le pongan cebolla`.
fn forbids(word: &str) -> bool {
    let stems = [
        "pon", "ech", "agreg", "llev", "teng", "tien", "traig", "tra", "incluy", "coloq", "met", "vay", "quier", "unt",
        "sirv", "des", "den", "mand",
    ];
    word.len() >= 3 && stems.iter().any(|stem| word.starts_with(stem)) && !matches!(word, "tres" | "desayuno" | "pone")
        || matches!(word, "ponga" | "pone" | "poner")
}

fn amount(word: &str) -> bool {
    matches!(
        word,
        "extra"
            | "doble"
            | "triple"
            | "mucho"
            | "mucha"
            | "muchas"
            | "muchos"
            | "harto"
            | "harta"
            | "hartas"
            | "hartos"
            | "arta"
            | "arto"
            | "bastante"
            | "bastantes"
            | "poco"
            | "poca"
            | "poquita"
            | "poquito"
            | "pocas"
            | "pocos"
            | "bien"
            | "muy"
            | "super"
            | "ligera"
            | "abundante"
            | "resto"
            | "re"
            | "adicional"
            | "algo"
            | "menos"
            | "mas"
            | "media"
            | "medio"
            | "demasiado"
            | "demasiada"
            | "tantica"
            | "tantico"
            | "suficiente"
    )
}

impl NoteReader<'_> {
    fn word(&self, at: usize) -> &str {
        if at < self.end { self.reading.word(at) } else { "" }
    }

    fn is_mark(&self, at: usize) -> bool {
        at >= self.end || !self.reading.tokens[at].token.is_word()
    }

    fn is_of_host(&self, at: usize) -> bool {
        let Some(token) = self.reading.tokens.get(at) else { return false };
        let words: Vec<_> = token.hits.iter().map(|(word, _)| *word).collect();
        self.host.iter().any(|item| self.index.contains(*item, &words))
    }

    /// The word begins an item of the menu rather than names something on this one.
    fn begins_item(&self, at: usize) -> bool {
        if self.is_of_host(at) || self.reading.tokens.get(at).is_none_or(|token| token.hits.is_empty()) {
            return false;
        }
        let here = Circumstances { scope: None, has_quantity: false, is_attribute: false };
        mention_at(self.index, self.reading, at, here).is_some_and(|mention| {
            // The drink of a combo.
            let included = mention.candidates.iter().all(|item| {
                self.host.iter().any(|host| self.index.contains(*host, &self.index.items[usize::from(*item)].kinds))
            });
            !included && mention.is_headed && (!lexicon::is_ingredient(self.word(at)) || mention.words >= 2)
        })
    }

    fn is_quantity(&self, at: usize) -> bool {
        matches!(self.word(at), "un" | "una" | "unos" | "unas" | "otro" | "otra" | "otros" | "otras" | "par")
            || at < self.end
                && value(self.reading, at).is_some()
                && !matches!(self.word(at), "medio" | "media" | "cuarto")
    }

    fn is_noun(&self, at: usize) -> bool {
        if self.is_mark(at) {
            return false;
        }
        let word = self.word(at);
        let food = lexicon::is_ingredient(word) || self.is_of_host(at);
        food || !lexicon::is_connector(word)
            && !lexicon::is_everyday(word)
            && word.len() >= 2
            && value(self.reading, at).is_none()
    }

    fn is_adjective(&self, at: usize) -> bool {
        !self.is_mark(at) && lexicon::is_preparation(self.word(at)) && !self.begins_item(at)
    }

    /// A noun with what describes it: `queso rallado`, `carne de cerdo`, `salsa aparte`. The range, articles left out.
    fn noun_phrase(&self, at: usize) -> Option<(usize, usize)> {
        let mut start = at;
        while is_article(self.word(start)) && start < at + 4 {
            start += 1;
        }
        if !self.is_noun(start) && !self.is_adjective(start) {
            return None;
        }
        let mut end = start + 1;
        loop {
            if matches!(self.word(end), "de" | "del")
                && self.is_noun(end + 1)
                && !self.is_quantity(end + 1)
                && end < start + 4
            {
                end += 2;
                continue;
            }
            let describes =
                matches!(self.word(end), "extra" | "aparte" | "encima" | "adicional") || self.is_adjective(end);
            let is_unheard = !self.is_mark(end)
                && lexicon::is_unheard(self.word(end))
                && !self.begins_item(end)
                && value(self.reading, end).is_none()
                && end < start + 3;
            if !describes && !is_unheard {
                break;
            }
            end += 1;
        }
        Some((start, end))
    }

    /// `sea muy dulce`, `esten frias`, `picante`, behind a `no` or a `ni`: how it is not to be.
    fn negated_manner(&self, at: usize) -> Option<ReadNotes> {
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

    fn negatives(&self, at: usize) -> Option<ReadNotes> {
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

    /// `extra queso`, `bien asada`, `poca sal`.
    fn amounts(&self, at: usize) -> Option<ReadNotes> {
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

    fn with(&self, at: usize) -> Option<ReadNotes> {
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
        if next > at + 1 && matches!(self.word(end), "bien" | "muy" | "poco") && self.is_adjective(end + 1) {
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

    fn positive(&self, start: usize, end: usize) -> String {
        match self.word(end - 1) {
            "aparte" | "encima" => self.reading.slice(start..end),
            "extra" | "adicional" => format!("extra {}", self.reading.slice(start..end - 1)),
            _ => format!("con {}", self.reading.slice(start..end)),
        }
    }

    /// An addition that the menu does not sell.
    fn addition(&self, at: usize) -> Option<ReadNotes> {
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
            "cero" if self.is_adjective(at + 1) || lexicon::is_ingredient(self.word(at + 1)) => {
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
                return if forbids(self.word(next)) { self.negatives(next + 1) } else { None };
            }
            "ni" => return self.negated_manner(at + 1).or_else(|| self.negatives(at + 1)),
            "con" => return self.with(at),
            "que" => {
                let mut next = at + 1;
                if self.word(next) == "no" {
                    return self.read(next);
                }
                while matches!(self.word(next), "me" | "le" | "les" | "la" | "lo" | "las" | "los" | "se" | "nos") {
                    next += 1;
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
            let described = end > start + 1
                && (self.is_adjective(end - 1) || self.word(start + 1) == "de")
                && !self.begins_item(start);
            if described && noun == at {
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

    /// `le quitan la cebolla`, `quítele el tomate`; whether it is an item of the basket, the caller has asked before.
    fn taken_off(&self, at: usize) -> Option<ReadNotes> {
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
        if self.begins_item(noun) && self.host.is_empty() {
            return None;
        }
        self.negatives(noun)
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
