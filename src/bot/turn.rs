//! One message, carried out on the basket: adds, changes, removes and annotates as it reads. Owns the order in which words take effect. Pure; each
//! step moves on by a token at least, so a message ends.

use super::{
    commands::{Command, command_at},
    index::{Index, ItemNo},
    lexicon,
    mention::{Mention, value},
    notes::NoteReader,
    phrase::{MAX_QUANTITY, Phrase, Quantity, Scopes, phrase_at, plate_of},
    reading::Reading,
    slots::{SlotId, Slots},
    text::{number, token::TokenKind},
};

/// `dos hamburguesas, una sin cebolla`: units of a line that words may still part from it.
#[derive(Debug, Clone, Copy)]
struct Parts {
    parent: SlotId,
    total: u32,
    left: u32,
}

#[derive(Debug, Clone, Copy)]
struct Replacing {
    target: Option<SlotId>,
    units: Option<u32>,
    /// `por` was said, or needs not to be.
    is_ready: bool,
}

pub struct Turn<'a> {
    index: &'a Index,
    reading: &'a Reading<'a>,
    pub slots: Slots,
    pub focus: Option<SlotId>,
    pub unknown: Vec<String>,
    /// Something was understood that concerns the order.
    pub is_touched: bool,
    /// Tokens that named dishes or notes.
    pub covered: usize,
    /// An explicit quantity stood before a dish.
    pub has_quantity: bool,
    parts: Option<Parts>,
    siblings: Vec<ItemNo>,
    correcting: bool,
    corrected: bool,
    setting: bool,
    only: bool,
    removing: bool,
    replacing: Option<Replacing>,
    waiting_notes: Vec<String>,
    last_end: usize,
    quantity_behind: bool,
    limit: usize,
    start: usize,
}

impl<'a> Turn<'a> {
    pub fn new(index: &'a Index, reading: &'a Reading<'a>, slots: Slots, focus: Option<SlotId>) -> Self {
        let mut turn = Self {
            index,
            reading,
            slots,
            focus: None,
            unknown: Vec::new(),
            is_touched: false,
            covered: 0,
            has_quantity: false,
            parts: None,
            siblings: Vec::new(),
            correcting: false,
            corrected: false,
            setting: false,
            only: false,
            removing: false,
            replacing: None,
            waiting_notes: Vec::new(),
            last_end: usize::MAX,
            quantity_behind: false,
            limit: 0,
            start: 0,
        };
        turn.set_focus(focus);
        turn
    }

    /// Reads one sentence.
    pub fn run(&mut self, start: usize, end: usize) {
        self.limit = end;
        self.start = start;
        self.correcting = false;
        self.corrected = false;
        self.setting = false;
        self.only = false;
        self.removing = false;
        self.replacing = None;
        self.last_end = usize::MAX;
        self.quantity_behind = self.counts_behind();
        // `ponga cinco buñuelos mejor`, `un ajiaco mejor`.
        let mut last = end;
        while last > start && !self.reading.tokens[last - 1].token.is_word() {
            last -= 1;
        }
        if last > start + 1 && self.word(last - 1) == "mejor" && !self.slots.all.is_empty() {
            self.correcting = true;
        }
        let mut at = start;
        while at < end {
            at = self.step(at).max(at + 1);
        }
        if !self.waiting_notes.is_empty() {
            let notes = std::mem::take(&mut self.waiting_notes);
            self.annotate(&notes);
        }
    }

    pub fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// Whether the sentence names a dish of the basket.
    pub fn names_a_line(&mut self, start: usize, end: usize) -> bool {
        self.limit = end;
        self.start = start;
        (start..end).any(|at| {
            let mention = self.phrase(at).and_then(|phrase| phrase.mention);
            mention.is_some_and(|mention| !mention.is_foreign && (mention.is_headed || mention.words >= 2))
        })
    }

    fn word(&self, at: usize) -> &str {
        if at < self.limit { self.reading.word(at) } else { "" }
    }

    fn is_end(&self, at: usize) -> bool {
        at >= self.limit || matches!(self.reading.tokens[at].token.kind, TokenKind::Mark(c) if c != '-' && c != '(' && c != '#')
    }

    fn is_break(&self, at: usize) -> bool {
        self.is_end(at) || matches!(self.word(at), "y" | "e" | "porfa" | "por" | "porfavor" | "gracias" | "pero" | "mejor" | "tambien" | "entonces" | "para")
    }

    fn set_focus(&mut self, focus: Option<SlotId>) {
        self.focus = focus;
        self.siblings = focus
            .and_then(|id| self.slots.get(id))
            .map(|slot| {
                let mut all: Vec<ItemNo> = slot.candidates.iter().flat_map(|item| self.index.siblings(*item)).collect();
                all.sort_unstable();
                all.dedup();
                all
            })
            .unwrap_or_default();
    }

    fn host(&self) -> Vec<ItemNo> {
        self.focus.and_then(|id| self.slots.get(id)).map(|slot| slot.candidates.clone()).unwrap_or_default()
    }

    fn has_fresh(&self) -> bool {
        self.slots.all.iter().any(|slot| slot.is_fresh)
    }

    fn phrase(&self, at: usize) -> Option<Phrase> {
        let doubts: Vec<ItemNo> = self.slots.all.iter().filter(|slot| slot.candidates.len() > 1).flat_map(|slot| slot.candidates.clone()).collect();
        let focus = self.focus.and_then(|id| self.slots.get(id)).and_then(|slot| slot.candidates.first().copied());
        let changes_focus = self.correcting || self.setting || self.replacing.is_some_and(|replacing| replacing.is_ready);
        let scopes = Scopes { doubts: &doubts, focus, siblings: &self.siblings, changes_focus };
        phrase_at(self.index, self.reading, at, self.limit, scopes)
    }

    fn notes_at(&self, at: usize) -> Option<super::notes::ReadNotes> {
        let host = self.host();
        NoteReader { index: self.index, reading: self.reading, host: &host, end: self.limit }.read(at)
    }

    /// Whether quantities stand behind their items here: `papas 2 gaseosa 1`.
    fn counts_behind(&self) -> bool {
        let numbers: Vec<usize> = (self.start..self.limit).filter(|at| self.reading.tokens[*at].token.number().is_some()).collect();
        let Some(last) = numbers.last() else { return false };
        let ends = (*last + 1..self.limit).all(|at| !self.reading.tokens[at].token.is_word());
        let first_word = (self.start..self.limit).find(|at| self.reading.tokens[*at].token.is_word() || self.reading.tokens[*at].token.number().is_some());
        let begins = first_word.is_some_and(|at| {
            let bare = !self.reading.tokens[at].hits.is_empty() && !matches!(self.word(at), "un" | "una");
            bare && number::word(self.word(at)).is_none()
        });
        ends && begins && numbers.len() >= 2
    }

    fn step(&mut self, at: usize) -> usize {
        let token = &self.reading.tokens[at];
        match token.token.kind {
            TokenKind::Mark(mark) => return self.mark(at, mark),
            TokenKind::Figure => return at + 1,
            _ => {}
        }
        if self.word(at) == "pero" {
            return at + 1;
        }
        if let Some(next) = self.skip_circumstance(at) {
            return next;
        }
        if let Some((command, next)) = command_at(self.reading, at, self.limit)
            && let Some(next) = self.command(command, at, next)
        {
            return next;
        }
        if matches!(self.word(at), "por" | "con" | "a") && self.replacing.is_some_and(|replacing| !replacing.is_ready && (replacing.target.is_some() || replacing.units.is_some())) {
            if self.word(at) == "por" || self.phrase(at + 1).is_some_and(|phrase| phrase.mention.is_some()) {
                if let Some(replacing) = &mut self.replacing {
                    replacing.is_ready = true;
                }
                return at + 1;
            }
        }
        if let Some(next) = self.about_all(at) {
            return next;
        }
        if self.word(at) == "menos" || self.word(at) == "sin" {
            if let Some(next) = self.without_item(at) {
                return next;
            }
        }
        if let Some(next) = self.variant(at) {
            return next;
        }
        if !self.removing
            && let Some(notes) = self.notes_at(at)
            && !self.is_rather_item(at, &notes)
        {
            self.covered += notes.end - at;
            return self.take_notes(&notes.notes, notes.end);
        }
        if let Some(phrase) = self.phrase(at) {
            return self.take_phrase(phrase);
        }
        if self.word(at) == "para" || self.word(at) == "nombre" {
            return self.skip_person(at);
        }
        self.unknown_word(at, false)
    }

    /// `en leche`, said of a juice in water that was ordered before: the other item of its kind.
    fn variant(&mut self, at: usize) -> Option<usize> {
        if self.has_fresh() || !matches!(self.word(at), "en" | "de" | "con" | "al") || self.slots.all.iter().any(|slot| slot.candidates.len() > 1) {
            return None;
        }
        let focus = self.focus.filter(|id| self.slots.get(*id).is_some())?;
        let item = self.slots.get(focus)?.item()?;
        let here = super::mention::Circumstances { scope: Some(&self.siblings), has_quantity: false, is_attribute: true };
        let mut mention = super::mention::mention_at(self.index, self.reading, at + 1, here)?;
        if mention.is_foreign || !mention.options.is_empty() || mention.candidates.contains(&item) || lexicon::is_everyday(self.word(at + 1)) || self.index.contains(item, &self.reading.tokens[at + 1].hits.iter().map(|(word, _)| *word).collect::<Vec<_>>()) {
            return None;
        }
        let most = mention.candidates.iter().map(|other| self.index.shared_parts(*other, item)).max()?;
        mention.candidates.retain(|other| self.index.shared_parts(*other, item) == most);
        if mention.candidates.len() != 1 {
            return None;
        }
        self.covered += mention.end - at;
        self.replace_line(focus, None, &mention, None, mention.end);
        Some(mention.end)
    }

    /// A dish of several words wins over a note of its first.
    fn is_rather_item(&self, at: usize, notes: &super::notes::ReadNotes) -> bool {
        if matches!(self.word(at), "sin" | "no" | "que" | "nada") {
            return false;
        }
        let Some(mention) = self.phrase(at).and_then(|phrase| phrase.mention) else { return false };
        let open = mention.candidates.iter().any(|item| self.slots.open(&[*item]).is_some());
        if matches!(self.word(at), "con" | "en") {
            return open && !mention.is_only_option() && mention.end >= notes.end;
        }
        let changes = self.correcting || self.setting;
        (mention.is_headed && mention.words >= 2 && mention.end >= notes.end) || open && notes.notes.len() == 1 && mention.end >= notes.end || (changes && !mention.is_foreign && mention.end >= notes.end && !mention.candidates.is_empty() && mention.options.is_empty())
    }

    fn mark(&mut self, at: usize, mark: char) -> usize {
        match mark {
            '.' | ';' | '!' | '?' => {
                self.setting = false;
                self.removing = false;
                self.only = false;
            }
            '\n' => {
                self.setting = false;
                self.removing = false;
                self.correcting = false;
                self.only = false;
                return self.skip_enumerator(at + 1);
            }
            '$' => return at + 2,
            _ => {
                if let Some(food) = super::text::token::emoji_food(mark)
                    && self.counted_emoji(at)
                {
                    return self.emoji(at, food);
                }
            }
        }
        at + 1
    }

    /// `1.` and `2)` before the lines of a list.
    fn skip_enumerator(&self, at: usize) -> usize {
        let enumerates = self.reading.tokens.get(at).is_some_and(|token| token.token.number().is_some()) && matches!(self.word(at + 1), "." | ")") && at + 2 < self.limit;
        let counted = self.phrase(at + 2).is_some_and(|phrase| phrase.quantity != Quantity::None);
        if enumerates && counted { at + 2 } else { at }
    }

    /// `2 🍔`, and no word for it behind.
    fn counted_emoji(&self, at: usize) -> bool {
        let before = at.checked_sub(1).is_some_and(|n| n >= self.start && value(self.reading, n).is_some());
        let behind = self.word(at + 1);
        before || matches!(behind, "x") || is_size_or_of(behind)
    }

    fn emoji(&mut self, at: usize, food: &str) -> usize {
        let hits = self.index.lookup(food);
        let items: Vec<ItemNo> = {
            let mut items: Vec<ItemNo> =
                hits.iter().flat_map(|(word, _)| self.index.postings(*word)).filter(|(_, place)| *place != super::index::Place::Contents).map(|(item, _)| *item).collect();
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

    /// Numbers and names that are no order: `somos 4`, `para las 12`, `en 20 minutos`, `mesa 3`.
    fn skip_circumstance(&self, at: usize) -> Option<usize> {
        let is_number = |n: usize| n < self.limit && (value(self.reading, n).is_some_and(|value| value >= 1_000) || self.reading.tokens[n].token.kind == TokenKind::Figure);
        let noun = |n: usize| {
            matches!(
                self.word(n),
                "personas" | "persona" | "minutos" | "minuto" | "min" | "mins" | "pm" | "am" | "mil" | "pesos" | "cuadras" | "horas" | "hora" | "veces" | "piso" | "anos" | "lucas" | "barras" | "adultos" | "gente" | "dias" | "meses" | "p" | "km" | "metros" | "invitados"
            )
        };
        if is_number(at) && noun(at + 1) && !(self.word(at + 1) == "p") {
            return Some(at + 2);
        }
        match self.word(at) {
            "somos" | "mesa" | "vamos" if is_number(at + 1) => Some(at + 2),
            "para" | "pa" if is_number(at + 1) && noun(at + 2) => Some(at + 3),
            "a" | "para" | "tipo" | "como" | "hacia" if matches!(self.word(at + 1), "las" | "la") && is_number(at + 2) => {
                // `para las 2 hamburguesas` is about hamburgers.
                let dish = self.phrase(at + 2).is_some_and(|phrase| phrase.mention.is_some());
                let mut next = at + 3;
                while noun(next) || matches!(self.word(next), "y" | "media") && self.word(next + 1) == "media" || self.word(next) == "media" {
                    next += 1;
                }
                (!dish).then_some(next)
            }
            "vez" | "veces" => Some(at + 1),
            "otra" if self.word(at + 1) == "vez" => Some(at + 2),
            "una" if matches!(self.word(at + 1), "pregunta" | "consulta" | "duda" | "cosa" | "cosita" | "vez") => Some(at + 2),
            "un" if matches!(self.word(at + 1), "favor" | "momento" | "momentico" | "segundo" | "domicilio" | "domi" | "rato" | "pedido" | "favorcito" | "encargo" | "envio" | "gusto" | "minuto" | "saludo") => Some(at + 2),
            "de" if matches!(self.word(at + 1), "tomar" | "beber" | "comer" | "postre" | "entrada" | "almuerzo" | "una" | "sobremesa" | "resto" | "plato" | "acompanamiento" | "aperitivo")
                && (self.word(at + 1) != "una" || self.is_end(at + 2)) =>
            {
                Some(at + 2)
            }
            "el" | "mi" | "este" | "su" if matches!(self.word(at + 1), "pedido" | "domicilio" | "favor" | "orden" | "encargo" | "dia") => Some(at + 2),
            "la" if matches!(self.word(at + 1), "orden" | "vez" | "cuenta" | "noche" | "tarde" | "casa") => Some(at + 2),
            _ => None,
        }
    }

    fn skip_person(&self, at: usize) -> usize {
        let mut next = at + 1;
        while matches!(self.word(next), "mi" | "el" | "la" | "los" | "las" | "mis" | "nombre" | "de" | "un" | "una") && next < at + 4 {
            next += 1;
        }
        let is_name = next < self.limit && !lexicon::is_everyday(self.word(next)) && self.reading.tokens[next].token.is_word() && self.reading.tokens[next].hits.is_empty() && !lexicon::is_food(self.word(next));
        let command = command_at(self.reading, next, self.limit).is_some();
        if is_name && !command { next + 1 } else { at + 1 }
    }

    fn command(&mut self, command: Command, at: usize, next: usize) -> Option<usize> {
        let has_order = !self.slots.all.is_empty();
        match command {
            Command::Add => {
                self.correcting = false;
                self.setting = false;
                self.removing = false;
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
                let follows = self.phrase(next).is_some_and(|phrase| phrase.mention.is_some() || phrase.quantity != Quantity::None);
                let by = self.word(next) == "por" || self.word(next) == "a" && !follows;
                self.replacing = Some(Replacing { target: if by { self.focus.or(target) } else { None }, units: None, is_ready: false });
                self.correcting = false;
                Some(next)
            }
            Command::Instead => {
                if let Some(phrase) = self.phrase_plain(next)
                    && let Some(mention) = phrase.mention.as_ref().filter(|mention| !mention.is_only_option())
                {
                    let hits = self.slots.of(&mention.candidates);
                    let old: Vec<SlotId> = hits.iter().copied().filter(|id| Some(*id) != self.focus || !self.slots.get(*id).is_some_and(|slot| slot.is_fresh)).collect();
                    if let Some(target) = old.first().copied() {
                        let end = mention.end;
                        self.is_touched = true;
                        self.covered += end - at;
                        // `un sancocho en vez del ajiaco`: the new one is there already.
                        let came_before = self.focus.filter(|id| *id != target && self.slots.get(*id).is_some_and(|slot| slot.is_fresh) && self.last_end == at);
                        if came_before.is_some() {
                            self.slots.remove(target);
                        } else {
                            self.replacing = Some(Replacing { target: Some(target), units: None, is_ready: true });
                        }
                        return Some(end);
                    }
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
                    Some(last) if !last.starts_with("sin ") => slot.notes.push(format!("{} {said}", last.trim_start_matches("con "))),
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
    fn side_for_side(&mut self, at: usize, next: usize) -> Option<usize> {
        let focus = self.focus?;
        let mut from = next;
        while matches!(self.word(from), "el" | "la" | "los" | "las" | "le" | "me") {
            from += 1;
        }
        let words: Vec<_> = self.reading.tokens.get(from)?.hits.iter().map(|(word, _)| *word).collect();
        let of_host = self.host().iter().any(|item| self.index.contains(*item, &words)) || lexicon::is_ingredient(self.word(from));
        let in_basket = self.phrase(next).and_then(|phrase| phrase.mention).is_some_and(|mention| mention.is_headed && !self.slots.of(&mention.candidates).is_empty());
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
    fn phrase_if_changing(&mut self, at: usize) -> Option<Phrase> {
        let before = std::mem::replace(&mut self.setting, true);
        let phrase = self.phrase(at);
        self.setting = before;
        phrase.filter(|phrase| phrase.mention.as_ref().is_some_and(|mention| mention.options.is_empty()) || phrase.quantity.units().is_some())
    }

    fn phrase_plain(&self, at: usize) -> Option<Phrase> {
        self.phrase(at)
    }

    fn remove(&mut self, at: usize, next: usize) -> Option<usize> {
        let verb = self.word(at);
        if self.slots.all.is_empty() {
            // `que le quiten la cebolla` before any dish is a note; `no quiero mondongo` says nothing.
            return if verb == "no" { None } else { self.notes_at(at).is_none().then_some(next) };
        }
        let mut target = next;
        while matches!(self.word(target), "tambien" | "entonces" | "pues" | "por" | "favor" | "mejor" | "ya" | "de" | "lo" | "me" | "le" | "esa" | "eso") && target < next + 3 {
            target += 1;
        }
        let phrase = self.phrase(target);
        if let Some(phrase) = &phrase
            && let Some(mention) = &phrase.mention
        {
            let hits = if mention.is_only_option() { Vec::new() } else { self.in_basket(mention) };
            let note_instead = self.notes_at(at).is_some() && {
                let word = self.word(mention.start);
                lexicon::is_ingredient(word) && self.focus.is_some_and(|focus| self.slots.get(focus).is_some_and(|slot| !hits.contains(&slot.id))) && mention.words == 1 && !mention.is_full
            };
            if !hits.is_empty() && !note_instead {
                let end = mention.end;
                let units = self.units_to_remove(phrase, &hits);
                self.take_away(&hits, units);
                self.removing = true;
                self.covered += end - at;
                self.last_end = end;
                return Some(end);
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
        let clitic = verb == "ya" && understood && (matches!(self.word(next), "la" | "lo" | "las" | "los") || self.is_break(next));
        if verb == "ya" && !clitic && !matches!(self.word(at + 2), "quiero" | "queremos" | "deseo") {
            return None;
        }
        if let Some(focus) = self.focus
            && (refers || clitic)
            && verb != "no"
        {
            let units = phrase.as_ref().filter(|phrase| phrase.mention.is_none()).and_then(|phrase| phrase.quantity.units());
            let end = phrase.as_ref().filter(|phrase| phrase.quantity.units().is_some()).map_or(next, |phrase| phrase.end);
            self.take_away(&[focus], units);
            self.covered += end - at;
            let mut end = end;
            while matches!(self.word(end), "quiero" | "queremos" | "la" | "lo" | "las" | "los" | "de" | "ellas" | "ellos" | "esas" | "esos") {
                end += 1;
            }
            return Some(end);
        }
        None
    }

    fn units_to_remove(&self, phrase: &Phrase, hits: &[SlotId]) -> Option<u32> {
        let there: u32 = hits.iter().filter_map(|id| self.slots.get(*id)).map(|slot| slot.qty).sum();
        match phrase.quantity {
            Quantity::Number(n) => Some(n.min(there)),
            Quantity::One | Quantity::Another(_) => Some(1),
            Quantity::Half => Some(there / 2),
            _ => None,
        }
    }

    /// Removes so many units, or all.
    fn take_away(&mut self, ids: &[SlotId], units: Option<u32>) {
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
    fn in_basket(&self, mention: &Mention) -> Vec<SlotId> {
        let hits = self.slots.of(&mention.candidates);
        if hits.is_empty() {
            return self.slots.open(&mention.candidates).into_iter().collect();
        }
        // `quite la coca` with two kinds in the basket: the one that was named last.
        let items: Vec<Option<ItemNo>> = hits.iter().filter_map(|id| self.slots.get(*id)).map(super::slots::Slot::item).collect();
        if items.iter().any(|item| *item != items[0]) {
            let last = hits.last().copied();
            let focused = self.focus.filter(|focus| hits.contains(focus)).or(last);
            return focused.into_iter().collect();
        }
        hits
    }

    /// `sin el flan`, `menos la coca`, where that is in the basket.
    fn without_item(&mut self, at: usize) -> Option<usize> {
        let mut next = at + 1;
        while matches!(self.word(next), "de") {
            next += 1;
        }
        let phrase = self.phrase(next)?;
        let mention = phrase.mention.as_ref()?;
        if !mention.is_headed || mention.is_foreign || mention.is_only_option() {
            return None;
        }
        let hits = self.in_basket(mention);
        let words: Vec<_> = self.reading.tokens[mention.start].hits.iter().map(|(word, _)| *word).collect();
        let host = self.host();
        let of_host = host.iter().any(|item| self.index.contains(*item, &words) || self.index.items[usize::from(*item)].names.iter().any(|name| name.parts.iter().enumerate().any(|(n, part)| n != name.head && words.iter().any(|word| *part == super::index::NamePart::Word(*word)))));
        let own = hits.len() == 1 && self.focus == hits.first().copied() && self.slots.get(hits[0]).is_some_and(|slot| slot.is_fresh) && !phrase.is_definite;
        if hits.is_empty() || of_host || own {
            return None;
        }
        let end = mention.end;
        let units = self.units_to_remove(&phrase, &hits);
        self.take_away(&hits, units);
        self.covered += end - at;
        Some(end)
    }

    /// `todas sin cebolla`, `las dos sin salsa`, `ambos con hielo`.
    fn about_all(&mut self, at: usize) -> Option<usize> {
        let mut next = at;
        let mut units = None;
        match self.word(at) {
            "todo" | "toda" | "todos" | "todas" | "ambas" | "ambos" => {
                next += 1;
                if matches!(self.word(next), "lo" | "los" | "las") {
                    next += 1;
                }
            }
            "los" | "las" => {
                units = value(self.reading, at + 1).map(|value| value / 1_000).filter(|n| *n >= 2);
                units?;
                next = at + 2;
            }
            "cada" if matches!(self.word(at + 1), "una" | "uno") => next = at + 2,
            _ => return None,
        }
        if self.slots.all.is_empty() {
            return None;
        }
        while matches!(self.word(next), "que" | "van" | "sean" | "vengan" | "quiero" | "por" | "favor" | "las" | "los" | "me") && self.notes_at(next).is_none() && next < at + 6 {
            next += 1;
        }
        let notes = self.notes_at(next)?;
        let fresh = self.has_fresh();
        let mut targets: Vec<SlotId> = self.slots.all.iter().filter(|slot| slot.is_fresh == fresh).map(|slot| slot.id).collect();
        if let Some(units) = units {
            // The last lines that are so many units.
            let mut sum = 0;
            let mut last = Vec::new();
            for id in targets.iter().rev() {
                sum += self.slots.get(*id).map_or(0, |slot| slot.qty);
                last.push(*id);
                if sum >= units {
                    break;
                }
            }
            let focused = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.qty == units));
            if let Some(focus) = focused {
                last = vec![focus];
                sum = units;
            }
            if sum == units {
                targets = last;
            } else if let Some(item) = self.focus.and_then(|id| self.slots.get(id)).and_then(super::slots::Slot::item) {
                targets = self.slots.of(&[item]);
            }
        } else {
            let fitting: Vec<SlotId> = targets.iter().copied().filter(|id| self.fits(*id, &notes.notes)).collect();
            if !fitting.is_empty() {
                targets = fitting;
            }
        }
        for id in targets {
            self.note(id, &notes.notes);
        }
        self.is_touched = true;
        self.parts = None;
        self.covered += notes.end - at;
        Some(notes.end)
    }

    fn note(&mut self, id: SlotId, notes: &[String]) {
        self.slots.note(id, notes);
    }

    /// Drinks have no onions, and dishes no ice.
    fn fits(&self, id: SlotId, notes: &[String]) -> bool {
        let drink = self.slots.get(id).is_some_and(|slot| slot.candidates.iter().all(|item| self.index.items[usize::from(*item)].is_drink));
        let for_drinks = notes.iter().any(|note| {
            let note = super::text::fold(note);
            ["hielo", "azucar", "fri", "helad", "pitillo", "al clima", "light", "zero"].iter().any(|word| note.contains(word)) && !note.contains("frit")
        });
        // `bien caliente` is said of either.
        let of_food = notes.iter().any(|note| ["sin ", "con ", "extra ", "doble ", "poca ", "poco ", "mucha ", "adición "].iter().any(|sign| note.starts_with(sign)));
        drink == for_drinks || !of_food && !for_drinks
    }

    /// Notes for the item that was named last, or for the one that comes.
    fn take_notes(&mut self, notes: &[String], end: usize) -> usize {
        // `sin hielo la limonada`, `no le pongan orégano a la pizza`.
        let mut next = end;
        let points = matches!(self.word(next), "a" | "en" | "para") && matches!(self.word(next + 1), "la" | "el" | "las" | "los");
        if points {
            next += 1;
        }
        let nothing_yet = !self.has_fresh() || self.word(end) == "," && false;
        let directly = points || nothing_yet && matches!(self.word(next), "la" | "el" | "las" | "los");
        if directly
            && !notes.is_empty()
            && let Some(phrase) = self.phrase(next)
            && let Some(mention) = &phrase.mention
            && !mention.is_foreign
        {
            let hits = self.in_basket(mention);
            if hits.is_empty() {
                self.waiting_notes.extend(notes.iter().cloned());
                return next;
            }
            for id in &hits {
                self.note(*id, notes);
            }
            self.is_touched = true;
            self.covered += mention.end - end;
            self.set_focus(hits.last().copied());
            return mention.end;
        }
        if self.slots.all.is_empty() {
            self.waiting_notes.extend(notes.iter().cloned());
            return end;
        }
        self.annotate(notes);
        end
    }

    fn annotate(&mut self, notes: &[String]) {
        if notes.is_empty() || self.slots.all.is_empty() {
            return;
        }
        if (self.correcting || self.setting)
            && let Some(focus) = self.focus
            && notes.iter().all(|note| self.is_option_of(focus, note))
        {
            self.change_options(focus, notes);
            self.is_touched = true;
            return;
        }
        if let Some(target) = self.target_of(notes) {
            self.note(target, notes);
            self.is_touched = true;
        }
    }

    /// The line that a note is for: the last one, unless only another has what it speaks of.
    fn target_of(&self, notes: &[String]) -> Option<SlotId> {
        let focus = self.focus?;
        let has = |id: SlotId| {
            let words: Vec<_> = notes.iter().flat_map(|note| super::text::fold(note).split_whitespace().flat_map(|word| self.index.lookup(word)).collect::<Vec<_>>()).map(|(word, _)| word).collect();
            self.slots.get(id).is_some_and(|slot| slot.candidates.iter().any(|item| self.index.contains(*item, &words)))
        };
        let is_addition = |id: SlotId| self.slots.get(id).is_some_and(|slot| slot.candidates.iter().all(|item| self.index.items[usize::from(*item)].is_addition));
        if is_addition(focus)
            && let Some(main) = self.slots.all.iter().rev().find(|slot| slot.is_fresh && !is_addition(slot.id) && self.fits(slot.id, notes))
        {
            return Some(main.id);
        }
        if has(focus) || self.fits(focus, notes) && self.slots.get(focus).is_some_and(|slot| slot.is_fresh) {
            return Some(focus);
        }
        let fresh = self.has_fresh();
        let others = || self.slots.all.iter().rev().filter(|slot| slot.is_fresh == fresh).map(|slot| slot.id);
        let with_it = others().find(|id| has(*id) && self.fits(*id, notes));
        let found = with_it.or_else(|| if self.fits(focus, notes) { Some(focus) } else { others().find(|id| self.fits(*id, notes)) });
        Some(found.unwrap_or(focus))
    }

    fn take_phrase(&mut self, phrase: Phrase) -> usize {
        if phrase.mention.is_some() {
            let next = self.take_item(phrase);
            self.last_end = next;
            return next;
        }
        self.take_bare(phrase)
    }

    /// A quantity or an article without a dish.
    fn take_bare(&mut self, phrase: Phrase) -> usize {
        let next = phrase.end;
        let units = phrase.quantity.units();
        let word = self.word(next).to_owned();
        // `una es sin cebolla`, `la otra que venga bien asada`.
        let mut at = next;
        while matches!(self.word(at), "es" | "que" | "va" | "la" | "lo" | "quiero" | "de" | "ellas" | "ellos" | "me" | "le" | "esas" | "esos" | "las" | "los" | "seria" | "sea" | "a" | ":" | "por" | "favor") && self.notes_at(at).is_none() && at < next + 4 {
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
        if let Some((Command::Replace, after)) = command_at(self.reading, next, self.limit)
            && self.focus.is_some()
        {
            self.replacing = Some(Replacing { target: self.focus, units, is_ready: false });
            return after;
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
            let open = self.slots.all.iter().rev().find(|slot| slot.candidates.len() == 2 && slot.qty % 2 == 0).cloned();
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
            let open = self.slots.all.iter().rev().find(|slot| slot.candidates.len() > 1 && slot.candidates.len() <= 6).cloned();
            if let Some(slot) = open {
                self.slots.remove(slot.id);
                for item in &slot.candidates {
                    self.slots.add(vec![*item], each, slot.notes.clone(), true);
                }
                self.is_touched = true;
            }
            return next;
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
            "igual" | "iguales" | "igualita" | "igualito" | "mismo" | "misma" if units.is_some() || phrase.is_definite => {
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
            && (self.is_break(next) || self.word(next) == "no")
        {
            let fresh = self.has_fresh();
            let alone = self.is_break(next) && phrase.start == self.start && self.is_end(next);
            if self.correcting || self.setting {
                let item = self.slots.get(focus).and_then(super::slots::Slot::item);
                let lines = item.map_or_else(|| vec![focus], |item| if fresh { vec![focus] } else { self.slots.of(&[item]) });
                self.slots.set_total(&lines, units.min(MAX_QUANTITY));
                self.setting = false;
                self.corrected = true;
                self.is_touched = true;
                self.has_quantity = true;
                return next;
            }
            if matches!(phrase.quantity, Quantity::Another(_)) && self.parts.is_none_or(|parts| parts.left == 0 || parts.left == parts.total) {
                let slot = self.slots.get(focus).cloned();
                if let Some(slot) = slot
                    && self.is_break(next)
                    && self.word(next) != "para"
                {
                    self.grow(&slot, units);
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
            let counted_late = matches!(phrase.quantity, Quantity::Number(_)) && phrase.start > self.start && super::intent::is_command(self.word(phrase.start - 1)) && self.slots.get(focus).is_some_and(|slot| slot.is_fresh && slot.qty == 1);
            if counted_late {
                self.slots.set_total(&[focus], units.min(MAX_QUANTITY));
                return next;
            }
            let open = self.slots.all.iter().rev().find(|slot| slot.candidates.len() > 1).map(|slot| slot.id);
            if alone && !fresh {
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

    /// More of a line, prepared alike.
    fn grow(&mut self, slot: &super::slots::Slot, units: u32) {
        let id = self.slots.add(slot.candidates.clone(), units.min(MAX_QUANTITY), slot.notes.clone(), true);
        self.is_touched = true;
        self.parts = None;
        self.set_focus(Some(id));
    }

    /// `una sin cebolla` behind `dos hamburguesas`.
    fn part_with_notes(&mut self, phrase: &Phrase, notes: &[String], end: usize) -> usize {
        let Some(focus) = self.focus else { return end };
        self.is_touched = true;
        self.covered += end - phrase.start;
        let units = match phrase.quantity {
            Quantity::Half => self.parts.map(|parts| parts.total / 2),
            Quantity::None => self.parts.filter(|parts| parts.left < parts.total && phrase.is_definite).map(|parts| parts.left),
            other => other.units(),
        };
        let Some(units) = units else {
            self.note(focus, notes);
            return end;
        };
        if let Some(parts) = self.parts
            && units <= parts.left
        {
            // The parent keeps what no part has taken.
            let id = self.slots.split(parts.parent, units);
            self.note(id, notes);
            let left = parts.left - units;
            self.parts = if id == parts.parent { None } else { Some(Parts { left, ..parts }) };
            self.set_focus(Some(id));
            return end;
        }
        let Some(slot) = self.slots.get(focus).cloned() else { return end };
        if !slot.is_fresh || self.parts.is_some_and(|parts| parts.left == 0) && !slot.is_fresh {
            // Units of what is in the basket already: rather of a line without notes.
            let lines = slot.item().map_or_else(|| vec![focus], |item| self.slots.of(&[item]));
            let total: u32 = lines.iter().filter_map(|id| self.slots.get(*id)).map(|slot| slot.qty).sum();
            let plain = lines.iter().copied().filter(|id| self.slots.get(*id).is_some_and(|slot| slot.qty >= units)).min_by_key(|id| self.slots.get(*id).map_or(0, |slot| slot.notes.len()));
            if units <= total
                && let Some(plain) = plain
                && !(matches!(phrase.quantity, Quantity::Another(_)) && self.slots.get(plain).is_some_and(|slot| !slot.notes.is_empty()))
            {
                let id = self.slots.split(plain, units);
                self.note(id, notes);
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

    fn unknown_after(&mut self, phrase: &Phrase, next: usize) -> usize {
        let wants = phrase.quantity != Quantity::None;
        if next >= self.limit {
            return next;
        }
        let known = self.unknown.len();
        let after = self.unknown_word(next, wants);
        if self.unknown.len() > known { after } else { next }
    }

    /// A dish that is on no menu here.
    fn unknown_word(&mut self, at: usize, is_counted: bool) -> usize {
        let token = &self.reading.tokens[at];
        let word = token.word.as_str();
        let unheard = token.token.is_word() && lexicon::is_unheard(word) && !lexicon::is_connector(word) && number::word(word).is_none();
        if self.index.is_label(word) && token.hits.is_empty() {
            return at + 1;
        }
        let food = lexicon::is_food(word) && token.token.is_word() && !lexicon::is_everyday(word);
        let named = !token.hits.is_empty() && token.hits.iter().any(|(word, _)| self.index.is_in_names(*word));
        let commanded = at > self.start && (self.start..at).any(|n| super::intent::is_command(self.reading.word(n)));
        let plausible = food && !named || is_counted && unheard && !lexicon::is_ingredient(word) && !named || commanded && unheard && food;
        if !plausible {
            return at + 1;
        }
        let mut end = at + 1;
        loop {
            let word = self.word(end);
            let joins = matches!(word, "de" | "del" | "con" | "al" | "a" | "la" | "en") && !self.is_break(end + 1) && end + 1 < self.limit && value(self.reading, end + 1).is_none() && !matches!(self.word(end + 1), "un" | "una");
            let own = end < self.limit && self.reading.tokens[end].token.is_word() && (lexicon::is_unheard(word) || lexicon::is_food(word) || lexicon::is_ingredient(word) || lexicon::is_preparation(word) || super::mention::is_size(word)) && value(self.reading, end).is_none() && !lexicon::is_connector(word);
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

    fn push_unknown(&mut self, at: usize, end: usize) {
        let said = self.reading.slice(at..end);
        if !said.is_empty() && self.unknown.len() < 20 && !self.unknown.contains(&said) {
            self.unknown.push(said);
        }
        self.is_touched = true;
        self.covered += end - at;
        self.parts = None;
        self.set_focus(None);
    }

    /// A dish, with or without a quantity.
    fn take_item(&mut self, phrase: Phrase) -> usize {
        let Some(mention) = phrase.mention.clone() else { return phrase.end };
        self.covered += mention.end - mention.start;
        let end = phrase.end;
        if mention.is_foreign {
            self.push_unknown(mention.start, mention.end);
            return end;
        }
        let hits = self.slots.of(&mention.candidates);
        let settled = self.in_basket(&mention);
        self.has_quantity |= phrase.quantity != Quantity::None;
        // `la coca no`, `el café ya no`.
        let negated = self.word(end) == "no" && self.is_end(end + 1) || self.word(end) == "ya" && self.word(end + 1) == "no" || self.word(end) == "no" && matches!(self.word(end + 1), "quiero" | "va" | "la" | "lo");
        let counts_next = self.word(end) == "no" && (end + 1..end + 3).any(|n| value(self.reading, n).is_some() && n < self.limit);
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
            let units = if phrase.is_definite { None } else { self.units_to_remove(&phrase, &settled) };
            self.take_away(&settled, units);
            let mut next = end + 1;
            while matches!(self.word(next), "no" | "quiero" | "va" | "la" | "lo" | "ya") {
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
        if let Some((Command::Replace, _)) = command_at(self.reading, end, self.limit)
            && !settled.is_empty()
        {
            self.replacing = Some(Replacing { target: settled.first().copied(), units: phrase.quantity.units(), is_ready: false });
            self.is_touched = true;
            self.set_focus(settled.first().copied());
            return end;
        }
        let end = self.settle(&phrase, &mention, &hits, &settled, end);
        self.correcting_done(&mention);
        end
    }

    fn correcting_done(&mut self, _mention: &Mention) {
        self.setting = false;
        self.only = false;
        if self.correcting {
            self.corrected = true;
        }
    }

    fn settle(&mut self, phrase: &Phrase, mention: &Mention, hits: &[SlotId], settled: &[SlotId], end: usize) -> usize {
        let (behind, behind_end) = self.quantity_behind(phrase, end);
        let quantity = behind.map_or(phrase.quantity, Quantity::Number);
        let end = behind_end;
        if behind.is_some() {
            self.has_quantity = true;
        }
        let units = quantity.units();
        let another = matches!(quantity, Quantity::Another(_));
        // `solo la pizza`: nothing else.
        if self.only && !settled.is_empty() && quantity == Quantity::None {
            let keep: Vec<SlotId> = settled.to_vec();
            self.slots.all.retain(|slot| keep.contains(&slot.id));
            self.is_touched = true;
            self.set_focus(keep.first().copied());
            return end;
        }
        let but_with = phrase.start >= 2 && self.word(phrase.start - 1) == "con" && self.word(phrase.start - 2) == "pero" && !settled.is_empty();
        if but_with && hits.is_empty() == settled.is_empty() {
            self.setting = true;
        }
        if (self.correcting || self.setting || phrase.is_sole) && !another {
            if !hits.is_empty() && !mention.options.is_empty() && quantity == Quantity::None {
                // Another flavour of the same item.
                for id in hits.iter().rev().take(1) {
                    self.change_options(*id, &mention.options);
                    self.set_focus(Some(*id));
                }
                self.is_touched = true;
                return end;
            }
            let mut same = self.same_lines(hits);
            if same.is_empty() && hits.is_empty() {
                // What is still open is corrected as well.
                same = settled.iter().copied().filter(|id| self.slots.get(*id).is_some_and(|slot| slot.candidates == mention.candidates)).collect();
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
            if (self.correcting || self.setting) && !self.corrected
                && let Some(target) = self.correction_target(mention)
            {
                self.replace_line(target, None, mention, units, end);
                return end;
            }
        }
        // `la hamburguesa sin tomate`: one that is there.
        let refers = phrase.is_definite && !another && !settled.is_empty() && {
            let there: u32 = settled.iter().filter_map(|id| self.slots.get(*id)).map(|slot| slot.qty).sum();
            units.is_none_or(|units| units == there) && !hits.is_empty()
        };
        let bare_reference = quantity == Quantity::None && !hits.is_empty() && (self.notes_at(end).is_some() || matches!(command_at(self.reading, end, self.limit), Some((Command::Set, _)))) && !self.slots.get(hits[0]).is_some_and(|slot| slot.is_fresh);
        if refers || bare_reference {
            self.is_touched = true;
            self.set_focus(settled.last().copied());
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
        if let Some(open) = open
            && (!another || self.parts.is_some_and(|parts| parts.parent == open))
            && self.answers(open, mention, units)
        {
            self.answer(open, phrase, mention, quantity);
            return end;
        }
        // `3 jugos en agua, uno de mora`: units of the line that was named.
        if let Some(parts) = self.parts
            && let Some(units) = match quantity {
                Quantity::Half => Some(parts.total / 2),
                other => other.units(),
            }
            && units <= parts.left
            && (!mention.is_headed || phrase.is_attribute)
            && self.slots.get(parts.parent).and_then(super::slots::Slot::item).is_some_and(|item| mention.candidates.contains(&item))
        {
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
        self.add(mention, quantity, hits);
        end
    }

    /// `salchipapa x2`, `papas: 3`, `mojarra dos`.
    fn quantity_behind(&self, phrase: &Phrase, end: usize) -> (Option<u32>, usize) {
        if !matches!(phrase.quantity, Quantity::None) {
            return (None, end);
        }
        let mut at = end;
        let mut explicit = false;
        while matches!(self.word(at), "x" | ":" | "-" | "(" | "=" | "*" | "×" | "son") && at < end + 3 {
            explicit = true;
            at += 1;
        }
        let Some(value) = value(self.reading, at).filter(|value| value % 1_000 == 0 && at < self.limit) else { return (None, end) };
        let units = value / 1_000;
        let mut next = at + 1;
        if matches!(self.word(next), ")" | "unidades" | "porciones" | "und" | "unds" | "platos" | "unidad" | "porcion" | "x") {
            next += 1;
        }
        let dash = self.word(end) == "-" && at == end + 1;
        let closes = self.is_break(next) || next >= self.limit || self.notes_at(next).is_some();
        let names_next = self.phrase(at).is_some_and(|phrase| phrase.mention.is_some());
        let accepted = (explicit && !(dash && names_next && !self.quantity_behind)) || self.quantity_behind || closes && !names_next;
        let plausible = (1..=MAX_QUANTITY).contains(&units);
        if accepted && plausible { (Some(units), next) } else { (None, end) }
    }

    fn same_lines(&self, hits: &[SlotId]) -> Vec<SlotId> {
        let items: Vec<Option<ItemNo>> = hits.iter().filter_map(|id| self.slots.get(*id)).map(super::slots::Slot::item).collect();
        match items.first() {
            Some(first) if items.iter().all(|item| item == first) => hits.to_vec(),
            Some(_) => self.focus.filter(|focus| hits.contains(focus)).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The line that a correction means: the last one of this message, or of the same kind.
    fn correction_target(&self, mention: &Mention) -> Option<SlotId> {
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
        let close = self.slots.all.iter().rev().find(|slot| slot.candidates.iter().any(|other| siblings.contains(other)));
        let same = self.slots.all.iter().rev().find(|slot| slot.candidates.iter().any(|other| &self.index.items[usize::from(*other)].category == category));
        close.or(same).map(|slot| slot.id).or(self.focus)
    }

    /// A flavour, a brand or a side that the description of the line's item lists.
    fn is_option_of(&self, id: SlotId, note: &str) -> bool {
        let words: Vec<_> = super::text::fold(note).split_whitespace().flat_map(|word| self.index.lookup(word)).map(|(word, _)| word).collect();
        let plain = !["sin ", "extra ", "doble ", "poca ", "mucha "].iter().any(|sign| note.starts_with(sign));
        let has = |item: &ItemNo| self.index.items[usize::from(*item)].has_options && self.index.contains(*item, &words);
        plain && self.slots.get(id).is_some_and(|slot| slot.candidates.iter().any(has))
    }

    fn change_options(&mut self, id: SlotId, options: &[String]) {
        let Some(slot) = self.slots.get(id) else { return };
        let mut kept: Vec<String> = slot.notes.iter().filter(|note| !self.is_option_of(id, note)).cloned().collect();
        kept.extend(options.iter().cloned());
        if let Some(slot) = self.slots.get_mut(id) {
            slot.notes = kept;
        }
    }

    /// Puts an item in the place of another.
    fn replace_line(&mut self, target: SlotId, units_of_target: Option<u32>, mention: &Mention, units: Option<u32>, _end: usize) {
        let Some(old) = self.slots.get(target).cloned() else { return };
        let taken = units_of_target.unwrap_or(old.qty).min(old.qty);
        let units = units.unwrap_or(taken).clamp(1, MAX_QUANTITY);
        let variant = old.candidates.iter().any(|item| mention.candidates.iter().any(|other| self.index.siblings(*item).contains(other)));
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

    fn put_instead(&mut self, phrase: &Phrase, mention: &Mention, replacing: Replacing, end: usize) -> usize {
        self.replacing = None;
        let Some(target) = replacing.target.or(self.focus) else { return end };
        let old = self.slots.get(target).map_or(1, |slot| slot.qty);
        let taken = replacing.units.unwrap_or(old).min(old);
        let units = match phrase.quantity {
            Quantity::Number(n) => n,
            Quantity::One if taken == 1 || replacing.units.is_none() && !phrase.is_attribute => 1,
            _ => taken,
        };
        self.replace_line(target, Some(taken), mention, Some(units), end);
        end
    }

    /// Whether a mention answers what was asked, rather than adds to it.
    fn answers(&self, open: SlotId, mention: &Mention, units: Option<u32>) -> bool {
        let Some(slot) = self.slots.get(open) else { return false };
        let narrower = mention.candidates.len() < slot.candidates.len() && mention.candidates.iter().all(|item| slot.candidates.contains(item));
        if !narrower {
            return false;
        }
        if slot.is_fresh {
            let parts = self.parts.is_some_and(|parts| parts.parent == open);
            return parts && units.is_none_or(|units| units <= slot.qty) || !mention.is_headed && self.focus == Some(open);
        }
        true
    }

    fn answer(&mut self, open: SlotId, phrase: &Phrase, mention: &Mention, quantity: Quantity) {
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
        let one_of_several = quantity == Quantity::None && slot.is_fresh && slot.qty >= 2 && matches!(self.word(mention.end), "y" | ",") && {
            let next = self.phrase(mention.end + 1).filter(|next| next.quantity == Quantity::None).and_then(|next| next.mention);
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
    fn is_alternative(&self, phrase: &Phrase) -> bool {
        let before = phrase.start.checked_sub(1).filter(|n| *n >= self.start);
        before.is_some_and(|n| matches!(self.word(n), "o" | "u") && self.last_end == n)
    }

    fn add(&mut self, mention: &Mention, quantity: Quantity, hits: &[SlotId]) {
        self.is_touched = true;
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
        let mut units = quantity.units().unwrap_or(1);
        if units == 0 {
            return;
        }
        if let Quantity::Number(n) = quantity
            && let Some(plate) = plate_of(self.index, &candidates, n)
            && !self.said_number(mention, n)
        {
            candidates = vec![plate];
            units = 1;
        }
        // `otra coca`: like the one that is there.
        if matches!(quantity, Quantity::Another(_))
            && candidates.len() > 1
            && let Some(item) = self.same_lines(hits).last().and_then(|id| self.slots.get(*id)).and_then(super::slots::Slot::item)
        {
            candidates = vec![item];
        }
        let id = self.slots.add(candidates, units.min(MAX_QUANTITY), notes, true);
        self.parts = (units >= 2).then_some(Parts { parent: id, total: units, left: units });
        self.set_focus(Some(id));
    }

    /// The mention names the number of pieces itself: `2 alitas x 6`.
    fn said_number(&self, mention: &Mention, _units: u32) -> bool {
        (mention.start..mention.end).any(|n| value(self.reading, n).is_some())
    }
}

fn is_size_or_of(word: &str) -> bool {
    word == "de" || super::mention::size_wish(word).is_some()
}
