//! One message, carried out on the basket: adds, changes, removes and annotates as it reads. Owns the order in which
//! words take effect. Pure; each step moves on by a token at least, so a message ends.

mod adding;
mod amounts;
mod annotating;
mod changing;
mod contrast;
mod counting;
mod distributing;
mod doubting;
mod fallback;
mod removing;
mod units;

use super::{
    commands::{BasketCommand, command_at},
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

pub struct BasketTurn<'a> {
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
    /// `eran dos perros y una criolla`: every number of the sentence is a total.
    sets_all: bool,
    /// `agrega papas`: dishes follow rather than notes.
    adding: bool,
    only: bool,
    removing: bool,
    replacing: Option<Replacing>,
    waiting_notes: Vec<String>,
    /// `todo sin cebolla: …`, said before the dishes.
    notes_for_all: Vec<String>,
    /// `dos de cada una: …`, said before the dishes.
    of_each: Option<u32>,
    /// A line that this message has pointed at: `los de pollo`.
    referred: Option<SlotId>,
    /// The items that a heading may mean: `mochis: …`.
    listed: Vec<ItemNo>,
    last_end: usize,
    /// The dish that was named last was counted.
    last_counted: bool,
    /// Numbers stand behind notes here: `sin cebolla 2, con cebolla 1`.
    counts_notes: bool,
    /// The number that was read last may mean something else: `3 x 10`.
    is_number_doubtful: bool,
    /// Nobody can know the number: `dos o tres`.
    is_number_open: bool,
    quantity_behind: bool,
    /// This sentence took a dish away, and has named none since.
    has_removed: bool,
    limit: usize,
    start: usize,
}

impl<'a> BasketTurn<'a> {
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
            sets_all: false,
            adding: false,
            only: false,
            removing: false,
            replacing: None,
            waiting_notes: Vec::new(),
            notes_for_all: Vec::new(),
            of_each: None,
            referred: None,
            listed: Vec::new(),
            last_end: usize::MAX,
            last_counted: false,
            counts_notes: false,
            is_number_doubtful: false,
            is_number_open: false,
            quantity_behind: false,
            has_removed: false,
            limit: 0,
            start: 0,
        };
        turn.set_focus(focus);
        turn
    }

    /// A trial of the next sentence, behind what this turn has read.
    pub fn next(&self) -> Self {
        let mut turn = Self::new(self.index, self.reading, self.slots.clone(), self.focus);
        turn.unknown.clone_from(&self.unknown);
        turn.parts = self.parts;
        turn.last_counted = self.last_counted;
        turn
    }

    /// Reads one sentence.
    pub fn run(&mut self, start: usize, end: usize) {
        self.limit = end;
        self.start = start;
        self.correcting = false;
        self.corrected = false;
        self.setting = false;
        self.sets_all = false;
        self.adding = false;
        self.only = false;
        self.removing = false;
        self.replacing = None;
        self.last_end = usize::MAX;
        self.of_each = None;
        self.has_removed = false;
        self.listed.clear();
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
        while at < self.limit {
            at = self.step(at).max(at + 1);
        }
        if !self.waiting_notes.is_empty() {
            let notes = std::mem::take(&mut self.waiting_notes);
            self.annotate(&notes);
        }
        if !self.notes_for_all.is_empty() {
            let notes = std::mem::take(&mut self.notes_for_all);
            let fresh: Vec<SlotId> = self.slots.all.iter().filter(|slot| slot.is_fresh).map(|slot| slot.id).collect();
            let fitting: Vec<SlotId> = fresh.iter().copied().filter(|id| self.fits(*id, &notes)).collect();
            for id in if fitting.is_empty() { fresh } else { fitting } {
                self.note(id, &notes);
            }
        }
    }

    pub fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// True: the sentence names a dish of the basket.
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
        at >= self.limit
            || matches!(self.reading.tokens[at].token.kind, TokenKind::Mark(c) if c != '-' && c != '(' && c != '#')
    }

    fn is_break(&self, at: usize) -> bool {
        self.is_end(at)
            || matches!(
                self.word(at),
                "y" | "e"
                    | "porfa"
                    | "por"
                    | "porfavor"
                    | "gracias"
                    | "pero"
                    | "mejor"
                    | "tambien"
                    | "entonces"
                    | "para"
            )
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

    fn has_fresh(&self) -> bool {
        self.slots.all.iter().any(|slot| slot.is_fresh)
    }

    fn phrase(&self, at: usize) -> Option<Phrase> {
        let doubts: Vec<ItemNo> = self
            .slots
            .all
            .iter()
            .filter(|slot| slot.candidates.len() > 1)
            .flat_map(|slot| slot.candidates.clone())
            .collect();
        let focus = self.focus.and_then(|id| self.slots.get(id)).and_then(|slot| slot.candidates.first().copied());
        let changes_focus =
            self.correcting || self.setting || self.replacing.is_some_and(|replacing| replacing.is_ready);
        let is_settled = self.focus.and_then(|id| self.slots.get(id)).is_some_and(|slot| slot.candidates.len() == 1);
        let scopes = Scopes {
            listed: &self.listed,
            doubts: &doubts,
            focus,
            is_settled,
            siblings: &self.siblings,
            changes_focus,
            counts_behind: self.quantity_behind,
        };
        phrase_at(self.index, self.reading, at, self.limit, scopes)
    }

    fn step(&mut self, at: usize) -> usize {
        let token = &self.reading.tokens[at];
        match token.token.kind {
            TokenKind::Mark(mark) => return self.mark(at, mark),
            TokenKind::Figure => return at + 1,
            _ => {}
        }
        if let Some(amount) = self.amount_at(at) {
            return self.take_amount(at, amount);
        }
        if let Some(next) = self
            .so_many_each(at)
            .or_else(|| self.double_all(at))
            .or_else(|| self.take_doubtful(at))
            .or_else(|| self.other_kind(at))
            .or_else(|| self.combo_of(at))
            .or_else(|| self.one_of_each_option(at))
        {
            return next;
        }
        if let Some(next) = self.take_parted_number(at) {
            return next;
        }
        // `mil lumpias`, and not `mil gracias`.
        if self.word(at) == "mil" && (at == self.start || self.word(at - 1) != "a") && self.dish_at(at + 1).is_some() {
            return self.take_amount(at, 1_000);
        }
        if self.word(at) == "pero" {
            return at + 1;
        }
        if let Some(next) = self.skip_circumstance(at) {
            return next;
        }
        if let Some(next) = self.fallback(at) {
            return next;
        }
        if let Some(next) = self.contrast(at).or_else(|| self.added_before_dish(at)) {
            return next;
        }
        if let Some((command, next)) = command_at(self.reading, at, self.limit)
            && let Some(next) = self.command(command, at, next)
        {
            return next;
        }
        if matches!(self.word(at), "por" | "con" | "a")
            && self.replacing.is_some_and(|replacing| {
                !replacing.is_ready && (replacing.target.is_some() || replacing.units.is_some())
            })
            && (self.word(at) == "por" || self.phrase(at + 1).is_some_and(|phrase| phrase.mention.is_some()))
        {
            if let Some(replacing) = &mut self.replacing {
                replacing.is_ready = true;
            }
            return at + 1;
        }
        if let Some(next) = self.refused_dish(at) {
            return next;
        }
        if let Some(next) = self.about_all(at) {
            return next;
        }
        if let Some(next) = self.of_each(at) {
            return next;
        }
        if matches!(self.word(at), "menos" | "sin")
            && let Some(next) = self.without_item(at)
        {
            return next;
        }
        if let Some(next) = self.unit_of_line(at).or_else(|| self.plain_unit(at)).or_else(|| self.fewer_of(at)) {
            return next;
        }
        if let Some(next) = self.variant(at) {
            return next;
        }
        if !self.removing
            && let Some(notes) = self.notes_at(at)
            && !self.is_rather_item(at, &notes)
        {
            self.covered += notes.end - at;
            if let Some(next) = self.take_counted_notes(&notes, at) {
                return next;
            }
            return self.take_notes(&notes.notes, notes.end);
        }
        if let Some(next) = self.take_offer(at) {
            return next;
        }
        if let Some(phrase) = self.phrase(at) {
            return self.take_phrase(phrase);
        }
        if self.word(at) == "para" || self.word(at) == "nombre" {
            return self.skip_person(at);
        }
        if let Some(next) = self.added_side(at) {
            return next;
        }
        self.unknown_word(at, false)
    }

    /// `ponle canela`: something on the dish that was named last.
    fn added_side(&mut self, at: usize) -> Option<usize> {
        let verb = |n: usize| {
            ["ponle", "ponele", "pongale", "echale", "echele", "agreg", "anad", "pones", "pone", "echa"]
                .iter()
                .any(|stem| self.word(n).starts_with(stem))
        };
        let mut before = at;
        while before > self.start
            && at - before < 3
            && matches!(
                self.word(before - 1),
                "la" | "el" | "un" | "una" | "algo" | "de" | "mas" | "tantica" | "por" | "favor"
            )
        {
            before -= 1;
        }
        let added = before > self.start && verb(before - 1);
        if !added
            || self.focus.is_none()
            || !lexicon::is_ingredient(self.word(at))
            || !self.reading.tokens[at].token.is_word()
        {
            return None;
        }
        let note = format!("con {}", self.reading.slice(at..at + 1));
        self.annotate(&[note]);
        self.covered += 1;
        Some(at + 1)
    }

    fn mark(&mut self, at: usize, mark: char) -> usize {
        match mark {
            '.' | ';' | '!' | '?' => {
                self.setting = false;
                self.removing = false;
                self.only = false;
            }
            ':' if self.last_end == at => {
                // A heading: what is counted behind it is of its kind.
                let focus = self.focus.and_then(|id| self.slots.get(id));
                self.listed = focus
                    .filter(|slot| slot.is_fresh && slot.candidates.len() > 1)
                    .map(|slot| slot.candidates.clone())
                    .unwrap_or_default();
            }
            '\n' => {
                self.listed.clear();
                self.setting = false;
                self.removing = false;
                self.correcting = false;
                self.only = false;
                return self.skip_enumerator(at + 1);
            }
            '$' if self.amount_at(at + 1).is_none() => return at + 2,
            _ => {
                if let Some(food) = crate::bot::text::token::emoji_food(mark)
                    && self.counted_emoji(at)
                {
                    return self.emoji(at, food);
                }
            }
        }
        at + 1
    }

    /// Numbers and names that are no order: `somos 4`, `para las 12`, `en 20 minutos`, `mesa 3`.
    fn skip_circumstance(&self, at: usize) -> Option<usize> {
        let is_number = |n: usize| {
            n < self.limit
                && (value(self.reading, n).is_some_and(|value| value >= 1_000)
                    || matches!(self.reading.tokens[n].token.kind, TokenKind::Figure | TokenKind::Amount(_)))
        };
        let noun = |n: usize| {
            matches!(
                self.word(n),
                "personas"
                    | "persona"
                    | "minutos"
                    | "minuto"
                    | "min"
                    | "mins"
                    | "pm"
                    | "am"
                    | "mil"
                    | "pesos"
                    | "cuadras"
                    | "horas"
                    | "hora"
                    | "veces"
                    | "piso"
                    | "anos"
                    | "lucas"
                    | "barras"
                    | "adultos"
                    | "gente"
                    | "dias"
                    | "meses"
                    | "p"
                    | "km"
                    | "metros"
                    | "invitados"
            )
        };
        if is_number(at) && noun(at + 1) && self.word(at + 1) != "p" {
            return Some(at + 2);
        }
        match self.word(at) {
            "somos" | "mesa" | "vamos" if is_number(at + 1) => Some(at + 2),
            // `para 4 personas` may answer which one is meant.
            "para" | "pa"
                if is_number(at + 1) && noun(at + 2) && self.phrase(at).and_then(|phrase| phrase.mention).is_none() =>
            {
                Some(at + 3)
            }
            "a" | "para" | "tipo" | "como" | "hacia"
                if matches!(self.word(at + 1), "las" | "la") && is_number(at + 2) =>
            {
                // `para las 2 hamburguesas` is about hamburgers.
                let dish = self.phrase(at + 2).is_some_and(|phrase| phrase.mention.is_some());
                let mut next = at + 3;
                while noun(next)
                    || matches!(self.word(next), "y" | "media") && self.word(next + 1) == "media"
                    || self.word(next) == "media"
                {
                    next += 1;
                }
                (!dish).then_some(next)
            }
            "vez" | "veces" => Some(at + 1),
            "otra" if self.word(at + 1) == "vez" => Some(at + 2),
            // Another order, and none of the dish once more.
            "otro"
                if matches!(self.word(at + 1), "pedido" | "pedidito" | "domicilio" | "domi" | "envio" | "encargo") =>
            {
                Some(if self.word(at + 2) == "aparte" { at + 3 } else { at + 2 })
            }
            "una" if matches!(self.word(at + 1), "pregunta" | "consulta" | "duda" | "cosa" | "cosita" | "vez") => {
                Some(at + 2)
            }
            "un" if matches!(
                self.word(at + 1),
                "favor"
                    | "momento"
                    | "momentico"
                    | "segundo"
                    | "domicilio"
                    | "domi"
                    | "rato"
                    | "pedido"
                    | "favorcito"
                    | "encargo"
                    | "envio"
                    | "gusto"
                    | "minuto"
                    | "saludo"
            ) =>
            {
                Some(at + 2)
            }
            "de" if matches!(
                self.word(at + 1),
                "tomar"
                    | "beber"
                    | "comer"
                    | "postre"
                    | "entrada"
                    | "almuerzo"
                    | "una"
                    | "sobremesa"
                    | "resto"
                    | "plato"
                    | "acompanamiento"
                    | "aperitivo"
            ) && (self.word(at + 1) != "una" || self.is_end(at + 2)) =>
            {
                let strong = self.word(at + 1) == "plato" && self.word(at + 2) == "fuerte";
                Some(if strong { at + 3 } else { at + 2 })
            }
            "el" | "mi" | "este" | "su"
                if matches!(self.word(at + 1), "pedido" | "domicilio" | "favor" | "orden" | "encargo" | "dia") =>
            {
                Some(at + 2)
            }
            "la" if matches!(self.word(at + 1), "orden" | "vez" | "cuenta" | "noche" | "tarde" | "casa") => {
                Some(at + 2)
            }
            _ => None,
        }
    }

    fn skip_person(&self, at: usize) -> usize {
        let mut next = at + 1;
        while matches!(self.word(next), "mi" | "el" | "la" | "los" | "las" | "mis" | "nombre" | "de" | "un" | "una")
            && next < at + 4
        {
            next += 1;
        }
        let is_name = next < self.limit
            && !lexicon::is_everyday(self.word(next))
            && self.reading.tokens[next].token.is_word()
            && self.reading.tokens[next].hits.is_empty()
            && !lexicon::is_food(self.word(next));
        let command = command_at(self.reading, next, self.limit).is_some();
        if is_name && !command { next + 1 } else { at + 1 }
    }

    fn take_phrase(&mut self, phrase: Phrase) -> usize {
        if phrase.mention.is_some() {
            let next = self.take_item(phrase);
            self.last_end = next;
            return next;
        }
        self.take_bare(phrase)
    }
}
