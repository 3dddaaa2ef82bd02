//! `dos porciones de papas`, `la otra`, `una de pollo`: a quantity, an article and the item that is named. Owns the
//! grammar of quantities; changes no basket.

mod counts;
mod named_item;

pub use self::counts::plate_of;
use self::{
    counts::{container, dozens_at, pieces_first, small_number},
    named_item::{named_head, named_item, namesakes},
};
use super::{
    index::{Index, ItemNo},
    lexicon,
    mention::{Circumstances, Mention, is_size, mention_at, value},
    reading::Reading,
    text::{number, token::TokenKind},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// `dos`, `3`.
    Number(u32),
    /// `un`, `una`, `unos`.
    One,
    /// `otra`, `otras dos`: more of what is there.
    Another(u32),
    /// `la mitad`.
    Half,
    /// `una de cada`.
    Each(u32),
    None,
}

impl Quantity {
    /// Units, if they are said; a half counts of what it halves.
    pub fn units(self) -> Option<u32> {
        match self {
            Self::Number(n) | Self::Another(n) | Self::Each(n) => Some(n),
            Self::One => Some(1),
            Self::Half | Self::None => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Phrase {
    pub start: usize,
    pub end: usize,
    pub quantity: Quantity,
    /// `la`, `las`: something that was said before, perhaps.
    pub is_definite: bool,
    /// `una sola`.
    pub is_sole: bool,
    /// `de pollo`: no noun of its own.
    pub is_attribute: bool,
    pub mention: Option<Mention>,
}

/// One above the most that is taken of one thing: larger quantities stay recognisable as too large.
pub const MAX_QUANTITY: u32 = 501;

/// Items that the customer may mean without naming them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scopes<'a> {
    /// Candidates of a heading: `mochis: dos de mango, uno de té`.
    pub listed: &'a [ItemNo],
    /// Candidates of open questions.
    pub doubts: &'a [ItemNo],
    /// The item that was named last, and its kind.
    pub focus: Option<ItemNo>,
    /// There is no question about the item that was named last.
    pub is_settled: bool,
    pub siblings: &'a [ItemNo],
    /// Sizes and flavours of it may stand alone.
    pub changes_focus: bool,
    /// Numbers stand behind what they count: `gyozas de cerdo 2 de pollo 1`.
    pub counts_behind: bool,
}

/// The phrase that begins at a token. It may be nothing but a quantity.
pub fn phrase_at(
    index: &Index,
    reading: &Reading<'_>,
    start: usize,
    limit: usize,
    scopes: Scopes<'_>,
) -> Option<Phrase> {
    let word = |at: usize| if at < limit { reading.word(at) } else { "" };
    let named = |at: usize| {
        at < limit
            && reading.tokens[at].hits.iter().any(|(word, _)| index.is_in_names(*word))
            && !reading.tokens[at].is_weak
    };
    let mut phrase = Phrase {
        start,
        end: start,
        quantity: Quantity::None,
        is_definite: false,
        is_sole: false,
        is_attribute: false,
        mention: None,
    };
    let mut at = start;
    let free = Circumstances { scope: None, has_quantity: false, is_attribute: false };
    // `mochi de mango 3 y de té verde 2`.
    let is_counted_next =
        scopes.counts_behind && word(at) == "de" && at > 0 && matches!(reading.word(at - 1), "y" | ",");
    // `de 400` answers a question; `de pollo` is another kind of what was named last.
    if (matches!(word(at), "de" | "en" | "con" | "al") || word(at) == "para" && !scopes.doubts.is_empty())
        && (!scopes.doubts.is_empty() || scopes.changes_focus || is_counted_next)
    {
        let scope = if scopes.doubts.is_empty() { scopes.siblings } else { scopes.doubts };
        let mut next = at + 1;
        while matches!(word(next), "la" | "el") {
            next += 1;
        }
        let here = Circumstances { scope: Some(scope), has_quantity: false, is_attribute: true };
        // `para 4` chooses among dishes for so many, and not among plates of so many pieces.
        let is_served_for = |mention: &Mention| {
            value(reading, next).is_some()
                && mention
                    .candidates
                    .iter()
                    .all(|item| index.items[usize::from(*item)].names.first().is_none_or(|name| name.pieces.is_none()))
        };
        let fits = next < limit
            && mention_at(index, reading, next, here).is_some_and(|m| {
                !m.is_foreign && m.candidates.len() < scope.len() && (word(at) != "para" || is_served_for(&m))
            });
        if fits {
            phrase.is_attribute = true;
            at = next;
        }
    }
    let attribute_number = |at: usize, scope: &[ItemNo]| {
        let here = Circumstances { scope: Some(scope), has_quantity: true, is_attribute: true };
        !scope.is_empty() && mention_at(index, reading, at, here).is_some_and(|m| m.candidates.len() < scope.len())
    };
    while at < limit {
        let current = word(at);
        let by_attribute =
            phrase.is_attribute && (attribute_number(at, scopes.doubts) || attribute_number(at, scopes.siblings));
        let large = small_number(reading, at).is_some_and(|n| n > 30) && attribute_number(at, scopes.doubts);
        if small_number(reading, at).is_some() && (by_attribute || large) {
            break;
        }
        // `cuatro quesos`, `medio pollo`: a name may begin with its number.
        let starts_name = (small_number(reading, at).is_some()
            || matches!(current, "medio" | "media" | "medios" | "medias" | "cuarto" | "cuartos")
            || value(reading, at).is_some())
            && mention_at(index, reading, at, free).is_some_and(|mention| {
                mention.words >= 2
                    && (!mention.is_foreign)
                    && !(named_head(index, reading, at + 1)
                        && small_number(reading, at).is_some_and(|n| n > 1)
                        && !mention.is_full)
            });
        if starts_name && !(phrase.quantity == Quantity::None && pieces_first(index, reading, at)) {
            break;
        }
        if phrase.quantity == Quantity::None
            && let Some((units, next)) = dozens_at(index, reading, at, limit)
        {
            phrase.quantity = Quantity::Number(units);
            at = next;
            continue;
        }
        match current {
            "un" | "una" | "unos" | "unas" | "uno" => {
                if word(at + 1) == "par" {
                    phrase.quantity = Quantity::Number(2);
                    at += 2;
                } else if matches!(word(at + 1), "docena" | "decena" | "six" | "sixpack")
                    && mention_at(index, reading, at + 1, free).is_none_or(|mention| mention.words < 2)
                {
                    phrase.quantity = Quantity::Number(match word(at + 1) {
                        "docena" => 12,
                        "decena" => 10,
                        _ => 6,
                    });
                    at += 2;
                    if word(at) == "y" && word(at + 1) == "media" {
                        phrase.quantity = Quantity::Number(18);
                        at += 2;
                    }
                } else {
                    if !matches!(phrase.quantity, Quantity::Another(_)) {
                        phrase.quantity = Quantity::One;
                    }
                    at += 1;
                }
            }
            // `una sola`, where a dish is called so, is that dish; `una sola arepa` is not.
            "sola" | "solo" | "solita" | "solito" | "sol"
                if phrase.quantity != Quantity::None
                    && (named_head(index, reading, at + 1)
                        || !reading.tokens[at].hits.iter().any(|(word, _)| index.is_in_names(*word))) =>
            {
                phrase.is_sole = true;
                at += 1;
            }
            "par" => {
                phrase.quantity = Quantity::Number(2);
                at += 1;
            }
            "mas"
                if matches!(phrase.quantity, Quantity::Number(_) | Quantity::One)
                    && matches!(word(at + 1), "de" | "del") =>
            {
                at += 1
            }
            _ if value(reading, at) == Some(500) && word(at + 1) == "docena" => {
                phrase.quantity = Quantity::Number(6);
                at += 2;
            }
            // `dos rollos california`: a word of the customer's own before a name.
            _ if phrase.quantity != Quantity::None
                && reading.tokens[at].token.is_word()
                && reading.tokens[at].hits.is_empty()
                && lexicon::is_unheard(current)
                && !lexicon::is_food(current)
                && !lexicon::is_ingredient(current)
                && mention_at(index, reading, at + 1, free)
                    .is_some_and(|m| m.start == at + 1 && m.is_headed && !m.is_foreign)
                && number::word(current).is_none() =>
            {
                at += 1;
            }
            "docena" | "docenas" => {
                let dozens = phrase.quantity.units().unwrap_or(1);
                phrase.quantity = Quantity::Number(dozens.saturating_mul(12));
                at += 1;
                if word(at) == "y" && word(at + 1) == "media" {
                    phrase.quantity = Quantity::Number(dozens.saturating_mul(12) + 6);
                    at += 2;
                }
            }
            "media" | "medio" if matches!(word(at + 1), "docena") => {
                phrase.quantity = Quantity::Number(6);
                at += 2;
            }
            // `media docena de pandeyucas y media de almojábanas`.
            _ if (current == "media" || value(reading, at) == Some(500))
                && phrase.quantity == Quantity::None
                && word(at + 1) == "de"
                && (0..at).any(|n| matches!(reading.word(n), "docena" | "docenas")) =>
            {
                phrase.quantity = Quantity::Number(6);
                at += 1;
            }
            "mitad" => {
                phrase.quantity = Quantity::Half;
                at += 1;
            }
            "otra" | "otro" | "otras" | "otros" => {
                let units = small_number(reading, at + 1).filter(|n| *n > 0 && at + 1 < limit);
                phrase.quantity = Quantity::Another(units.unwrap_or(1));
                at += if units.is_some() { 2 } else { 1 };
            }
            "la" | "el" | "los" | "las" | "esa" | "ese" | "esas" | "esos" | "mi" | "mis" | "ambas" | "ambos" => {
                phrase.is_definite = true;
                at += 1;
            }
            // `la primera sin tomate, la segunda sin salsa`.
            "primera" | "primero" | "segunda" | "segundo" | "tercera" | "tercero"
                if phrase.is_definite
                    && phrase.quantity == Quantity::None
                    && !named(at)
                    && mention_at(index, reading, at + 1, free).is_none() =>
            {
                phrase.quantity = Quantity::One;
                at += 1;
            }
            "cada" if phrase.quantity != Quantity::None || phrase.is_attribute => {
                phrase.quantity = Quantity::Each(phrase.quantity.units().unwrap_or(1));
                at += 1;
                if matches!(word(at), "una" | "uno") {
                    at += 1;
                }
            }
            "x" | "por"
                if small_number(reading, at + 1).is_some()
                    && at + 1 < limit
                    && phrase.quantity == Quantity::None
                    && current == "x" =>
            {
                at += 1
            }
            "x" if phrase.quantity != Quantity::None => at += 1,
            "de" | "del" if phrase.quantity != Quantity::None || phrase.is_definite => {
                phrase.is_attribute = true;
                at += 1;
                if matches!(word(at), "ellas" | "ellos" | "esas" | "esos" | "estas" | "estos") {
                    phrase.is_attribute = false;
                    at += 1;
                }
            }
            "en" | "con" | "al" | "para"
                if (phrase.quantity != Quantity::None || phrase.is_definite)
                    // `una con doble queso`.
                    && !(matches!(word(at + 1), "doble" | "extra" | "triple") && lexicon::is_ingredient(word(at + 2)))
                    && !scopes.siblings.is_empty()
                    && (reading
                        .tokens
                        .get(at + 1)
                        .is_some_and(|t| !t.hits.is_empty() || matches!(t.token.kind, TokenKind::Number(_))))
                    && at + 1 < limit =>
            {
                // `la mitad en agua`, `una para dos`: an attribute, if a sibling has it in its name.
                let next = if matches!(word(at + 1), "el" | "la") { at + 2 } else { at + 1 };
                let fits_in = |scope: &[ItemNo]| {
                    let here = Circumstances { scope: Some(scope), has_quantity: true, is_attribute: true };
                    mention_at(index, reading, next, here)
                        .is_some_and(|m| !m.is_foreign && m.options.is_empty() && m.candidates.len() < scope.len())
                };
                let fits = fits_in(&namesakes(index, scopes)) || fits_in(scopes.siblings);
                if !fits {
                    break;
                }
                phrase.is_attribute = true;
                at = next;
                break;
            }
            "mas" if phrase.is_definite && is_size(word(at + 1)) => at += 1,
            _ if container(current)
                && phrase.quantity != Quantity::None
                && (!named(at)
                    || word(at + 1) == "de" && mention_at(index, reading, at, free).is_none_or(|m| m.words < 2)) =>
            {
                at += 1;
                if word(at) == "de" {
                    at += 1;
                }
                phrase.is_attribute = false;
            }
            _ => {
                let Some(n) = small_number(reading, at) else { break };
                if matches!(phrase.quantity, Quantity::Number(_)) {
                    break;
                }
                let next = at + 1;
                phrase.quantity = match phrase.quantity {
                    Quantity::Another(_) => Quantity::Another(n),
                    _ => Quantity::Number(n),
                };
                at = next;
                if word(at) == "y" && word(at + 1) == "medio" {
                    break;
                }
            }
        }
    }
    // `tres o cuatro perros` is asked about by whoever reads the phrase.
    phrase.end = at;
    let is_bare = phrase.quantity == Quantity::None && !phrase.is_definite && at == start;
    if is_bare || at < limit {
        phrase.mention = named_item(index, reading, at, limit, &phrase, scopes);
    }
    if let Some(mention) = &phrase.mention {
        phrase.end = mention.end.min(limit);
    }
    (phrase.end > start).then_some(phrase)
}
