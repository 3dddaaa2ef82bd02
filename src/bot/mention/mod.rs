//! Items that a stretch of words names. Owns the words that begin a name; guesses nothing: several candidates stay
//! several.

mod choosing;
mod extending;

use self::{choosing::by_size, extending::extend};
use super::{
    index::{Index, IndexedItem, ItemNo, Likeness, NamePart, Place, SIZES},
    lexicon,
    reading::Reading,
    synonyms,
    text::token::TokenKind,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeWish {
    Largest,
    Medium,
    Smallest,
}

#[derive(Debug, Clone)]
pub struct Mention {
    pub start: usize,
    pub end: usize,
    /// In the menu's order.
    pub candidates: Vec<ItemNo>,
    /// Flavours, brands and sides of descriptions that were named.
    pub options: Vec<String>,
    /// It began with the noun of its candidates.
    pub is_headed: bool,
    /// Every word of the one candidate's name was said.
    pub is_full: bool,
    /// Words that named something.
    pub words: usize,
    /// A word in it belongs to no candidate: the restaurant has not got this.
    pub is_foreign: bool,
    /// It needed a slip or a synonym.
    pub likeness: Likeness,
}

impl Mention {
    /// Only a side or a flavour was named: it is a wish for an item, and not the item.
    pub fn is_only_option(&self) -> bool {
        self.words <= self.options.len()
    }
}
/// The customer's circumstances at a mention.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Only these may be meant; then attributes alone will do.
    pub scope: Option<&'a [ItemNo]>,
    pub has_quantity: bool,
    /// Behind `de` or `con`: no noun of its own.
    pub is_attribute: bool,
}

#[derive(Clone)]
struct Candidate {
    item: ItemNo,
    /// Parts said, by name.
    said: [u16; 4],
    headed: bool,
    optioned: bool,
    /// A word was no part of its name, but its kind or category.
    by_kind: bool,
}

/// Words between the words of a name.
fn is_filler(word: &str) -> bool {
    matches!(
        word,
        "de" | "del"
            | "con"
            | "en"
            | "al"
            | "a"
            | "la"
            | "el"
            | "los"
            | "las"
            | "sabor"
            | "tipo"
            | "para"
            | "-"
            | "tamano"
            | "x"
            | "por"
            | "lo"
            | "mas"
            | "ml"
    )
}

pub fn size_wish(word: &str) -> Option<SizeWish> {
    Some(match word.trim_end_matches('s') {
        "grande" | "familiar" | "familiare" | "fam" | "gigante" | "jumbo" | "grandota" | "grandote" | "grandecita"
        | "mayor" | "grandisima" | "xl" => SizeWish::Largest,
        "mediana" | "mediano" => SizeWish::Medium,
        "pequena" | "pequeno" | "chico" | "chica" | "chiquita" | "chiquito" | "personal" | "personale" | "mini"
        | "pequenita" | "pequenito" | "individual" | "menor" | "personalita" => SizeWish::Smallest,
        _ => return None,
    })
}

struct Narrowing<'a> {
    index: &'a Index,
    reading: &'a Reading<'a>,
}

impl<'a> Narrowing<'a> {
    /// Candidates that have the token in their name or kind.
    fn by_name(&self, at: usize) -> Vec<(ItemNo, Place, Likeness)> {
        let Some(token) = self.reading.tokens.get(at) else { return Vec::new() };
        let mut found = Vec::new();
        for (word, likeness) in &token.hits {
            for (item, place) in self.index.postings(*word) {
                if *place != Place::Contents {
                    found.push((*item, *place, *likeness));
                }
            }
        }
        found
    }

    fn by_contents(&self, at: usize, item: &IndexedItem) -> bool {
        let Some(token) = self.reading.tokens.get(at) else { return false };
        token.hits.iter().any(|(word, _)| item.contents.contains(word))
    }

    /// The part of a name that a number or a measure is.
    fn numbered_part(&self, at: usize, item: ItemNo) -> Option<(u8, u8)> {
        let token = self.reading.tokens.get(at)?;
        let value = value(self.reading, at);
        let weight = weight(&token.word);
        let item = &self.index.items[usize::from(item)];
        for (n, name) in item.names.iter().enumerate().take(4) {
            for (p, part) in name.parts.iter().enumerate() {
                let same = match (part, token.token.kind) {
                    (NamePart::Number(number), _) => value == Some(*number),
                    (NamePart::Measure(base, _), TokenKind::Measure(said)) => *base == said,
                    (NamePart::Measure(base, _), TokenKind::Word) if weight.is_some() => weight == Some(*base),
                    (NamePart::Measure(base, _), _) => {
                        value.is_some_and(|value| *base == value || u64::from(*base) * 1_000 == u64::from(value))
                    }
                    _ => false,
                };
                if same {
                    return Some((n as u8, p as u8));
                }
            }
        }
        None
    }

    fn is_head_of_any(&self, at: usize) -> bool {
        // `combo 1 pero`: no `perro`.
        !self.reading.tokens.get(at).is_some_and(|token| token.is_weak)
            && self.by_name(at).iter().any(|(item, place, _)| self.is_head(*item, *place))
    }

    fn is_head(&self, item: ItemNo, place: Place) -> bool {
        match place {
            Place::Name { name, part } => self.index.items[usize::from(item)]
                .names
                .get(usize::from(name))
                .is_some_and(|name| name.head == usize::from(part)),
            Place::Kind | Place::Category => true,
            Place::Contents => false,
        }
    }
}

/// The value of a number token or number word, in thousandths.
pub fn value(reading: &Reading<'_>, at: usize) -> Option<u32> {
    let token = reading.tokens.get(at)?;
    match token.token.kind {
        TokenKind::Number(value) => Some(value),
        TokenKind::Word => match token.word.as_str() {
            "medio" | "media" | "medios" | "medias" => Some(500),
            "cuarto" | "cuartos" => Some(250),
            // `de una libra`.
            "una" if reading.word(at + 1) == "libra" => Some(1_000),
            "un" if matches!(reading.word(at + 1), "kilo" | "litro") => Some(1_000),
            "un" | "una" => None,
            // `quatro` is a brand.
            word if !super::text::number::is_named(word)
                && token.hits.iter().any(|(_, likeness)| *likeness == Likeness::Same) =>
            {
                None
            }
            word => super::text::number::word(word).map(|value| value * 1_000),
        },
        _ => None,
    }
}

/// A weight that is a word: `de libra`, `de kilo`.
fn weight(word: &str) -> Option<u32> {
    match word {
        "libra" | "libras" => Some(500),
        "kilo" | "kilos" => Some(1_000),
        _ => None,
    }
}

/// The longest mention that starts at a token.
pub fn mention_at(index: &Index, reading: &Reading<'_>, at: usize, here: Circumstances<'_>) -> Option<Mention> {
    let narrowing = Narrowing { index, reading };
    let token = reading.tokens.get(at)?;
    // `la otra normal` names no dish, though `hamburguesa normal` may.
    let is_exact = token.hits.iter().any(|(_, near)| *near == Likeness::Same);
    if here.scope.is_none() && !is_exact && matches!(token.word.as_str(), "normal" | "normales") {
        return None;
    }
    let in_scope = |item: ItemNo| here.scope.is_none_or(|scope| scope.contains(&item));
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut likeness = Likeness::Same;
    let mut wish = None;
    let mut options = Vec::new();
    let new = |item| Candidate { item, said: [0; 4], headed: false, optioned: false, by_kind: false };
    let weak = token.is_weak;
    // By category only, where the word is a noun of other items.
    let mut by_category: Vec<ItemNo> = Vec::new();
    let mut is_noun = false;
    if token.token.is_word() || !token.hits.is_empty() {
        for (item, place, near) in narrowing.by_name(at) {
            if !in_scope(item) {
                continue;
            }
            likeness = near;
            let known = candidates.iter().position(|candidate| candidate.item == item);
            let slot = known.unwrap_or_else(|| {
                candidates.push(new(item));
                candidates.len() - 1
            });
            let candidate = &mut candidates[slot];
            candidate.headed |= narrowing.is_head(item, place);
            candidate.by_kind |= matches!(place, Place::Kind | Place::Category);
            match place {
                Place::Category if known.is_none() => by_category.push(item),
                Place::Name { .. } => is_noun |= narrowing.is_head(item, place),
                _ => {}
            }
            if let Place::Name { name, part } = place
                && name < 4
            {
                candidate.said[usize::from(name)] |= 1 << part;
            }
        }
    }
    if is_noun {
        candidates.retain(|candidate| !by_category.contains(&candidate.item));
    }
    let mut start_value = false;
    if candidates.is_empty() {
        // `cuatro quesos`, `medio pollo`, `2 l`: a number begins a name only beside its word, or where attributes
        // will do.
        let begins_name = |item: ItemNo| -> Option<(u8, u8)> {
            let (name, part) = narrowing.numbered_part(at, item)?;
            let next = index.items[usize::from(item)].names[usize::from(name)].parts.get(usize::from(part) + 1);
            let follower = |next: &NamePart| match next {
                NamePart::Word(word) => {
                    let beside = if is_filler(reading.word(at + 1)) && value(reading, at) < Some(1_000) {
                        at + 2
                    } else {
                        at + 1
                    };
                    reading.tokens.get(beside).is_some_and(|token| {
                        token.hits.iter().any(|(hit, _)| index.spelling(*hit) == index.spelling(*word))
                    })
                }
                _ => false,
            };
            (here.scope.is_some() || next.is_some_and(follower)).then_some((name, part))
        };
        for item in 0..index.items.len() as ItemNo {
            if value(reading, at).is_none()
                && !matches!(token.token.kind, TokenKind::Measure(_))
                && weight(&token.word).is_none()
            {
                break;
            }
            if in_scope(item)
                && let Some((name, part)) = begins_name(item)
            {
                let mut candidate = new(item);
                candidate.said[usize::from(name)] |= 1 << part;
                candidates.push(candidate);
                start_value = true;
            }
        }
    }
    let mut by_option = false;
    if candidates.is_empty() && !weak && !token.hits.is_empty() {
        // A flavour, a brand or a side alone: `una coca` where the menu has `Gaseosa` with brands in its description.
        for item in 0..index.items.len() as ItemNo {
            let indexed = &index.items[usize::from(item)];
            if in_scope(item)
                && (indexed.has_options && indexed.is_drink || here.scope.is_some())
                && narrowing.by_contents(at, indexed)
            {
                let mut candidate = new(item);
                candidate.optioned = true;
                candidates.push(candidate);
            }
        }
        if !candidates.is_empty() {
            by_option = true;
            options.push(reading.slice(at..at + 1));
        }
    }
    let mut scope_size = false;
    if candidates.is_empty()
        && let (Some(scope), Some(size)) = (here.scope, size_wish(reading.word(at)))
    {
        candidates = scope.iter().map(|item| new(*item)).collect();
        wish = Some(size);
        scope_size = true;
    }
    if candidates.is_empty() {
        return sized_first(index, reading, at, here);
    }
    // The noun of a dish is rather meant than a word in another dish's name.
    let everything = candidates.clone();
    if !start_value && !by_option && !scope_size {
        if here.is_attribute && here.scope.is_none() {
            if candidates.iter().any(|candidate| !candidate.headed) {
                candidates.retain(|candidate| !candidate.headed);
            }
        } else if candidates.iter().any(|candidate| candidate.headed) {
            candidates.retain(|candidate| candidate.headed);
        }
    }
    let first = extend(&narrowing, at, candidates.clone(), here, wish, options.clone(), likeness, by_option);
    let mention = if everything.len() > candidates.len() {
        let second = extend(&narrowing, at, everything, here, wish, options, likeness, by_option);
        if second.words > first.words && !second.is_foreign { second } else { first }
    } else {
        first
    };
    // `dos aguas`, where the menu has only a `Jugo en agua`.
    let is_side = |item: &ItemNo| {
        let name = index.items[usize::from(*item)].names.first();
        let said = candidates.iter().find(|candidate| candidate.item == *item).map_or(0, |candidate| candidate.said[0]);
        said != 0 && name.is_some_and(|name| (0..16).filter(|n| said & (1 << n) != 0).all(|n| name.sides.contains(&n)))
    };
    if mention.words == 1 && here.scope.is_none() && !here.is_attribute && mention.candidates.iter().all(is_side) {
        return None;
    }
    // `helada` says how, where the menu has a `helado`.
    let is_manner = mention.words == 1
        && here.scope.is_none()
        && likeness != Likeness::Same
        && lexicon::is_preparation(&token.word)
        && !token.hits.iter().any(|(_, near)| *near == Likeness::Same);
    if is_manner {
        return None;
    }
    (!weak || scope_size || here.scope.is_some() && mention.words >= 1 || mention.words >= 2 && mention.is_full)
        .then_some(mention)
}

/// `la grande de pepperoni`: the size stands first.
fn sized_first(index: &Index, reading: &Reading<'_>, at: usize, here: Circumstances<'_>) -> Option<Mention> {
    let wish = size_wish(reading.word(at))?;
    let mut next = at + 1;
    while matches!(reading.word(next), "de" | "la" | "el") {
        next += 1;
    }
    if next > at + 3 || size_wish(reading.word(next)).is_some() {
        return None;
    }
    let mut mention = mention_at(index, reading, next, Circumstances { is_attribute: false, ..here })?;
    mention.start = at;
    mention.words += 1;
    mention.candidates = by_size(index, &mention.candidates, wish);
    Some(mention)
}

/// True: a name's word is only a size.
pub fn is_size(word: &str) -> bool {
    SIZES.contains(&word) || size_wish(word).is_some()
}
