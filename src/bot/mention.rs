//! Items that a stretch of words names. Owns the narrowing from word to word; guesses nothing: several candidates
//! stay several.

use super::{
    index::{Index, IndexedItem, ItemNo, Likeness, NamePart, Place, SIZES},
    lexicon,
    reading::Reading,
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

/// Tokens of the longest mention.
const MAX_MENTION: usize = 20;

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
        "grande" | "familiar" | "familiare" | "gigante" | "jumbo" | "grandota" | "grandote" | "grandecita"
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
        let item = &self.index.items[usize::from(item)];
        for (n, name) in item.names.iter().enumerate().take(4) {
            for (p, part) in name.parts.iter().enumerate() {
                let same = match (part, token.token.kind) {
                    (NamePart::Number(number), _) => value == Some(*number),
                    (NamePart::Measure(base, _), TokenKind::Measure(said)) => *base == said,
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
        self.by_name(at).iter().any(|(item, place, _)| self.is_head(*item, *place))
    }

    fn is_head(&self, item: ItemNo, place: Place) -> bool {
        match place {
            Place::Name { name, part } => self.index.items[usize::from(item)]
                .names
                .get(usize::from(name))
                .is_some_and(|name| name.head == usize::from(part)),
            Place::Kind => true,
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
            "un" | "una" => None,
            word => super::text::number::word(word).map(|value| value * 1_000),
        },
        _ => None,
    }
}

/// The longest mention that starts at a token.
pub fn mention_at(index: &Index, reading: &Reading<'_>, at: usize, here: Circumstances<'_>) -> Option<Mention> {
    let narrowing = Narrowing { index, reading };
    let token = reading.tokens.get(at)?;
    let in_scope = |item: ItemNo| here.scope.is_none_or(|scope| scope.contains(&item));
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut likeness = Likeness::Same;
    let mut wish = None;
    let mut options = Vec::new();
    let new = |item| Candidate { item, said: [0; 4], headed: false, optioned: false };
    let weak = token.is_weak;
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
            if let Place::Name { name, part } = place
                && name < 4
            {
                candidate.said[usize::from(name)] |= 1 << part;
            }
        }
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
            if value(reading, at).is_none() && !matches!(token.token.kind, TokenKind::Measure(_)) {
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

#[expect(clippy::too_many_arguments, reason = "one loop's state, handed over once")]
fn extend(
    narrowing: &Narrowing<'_>,
    at: usize,
    mut candidates: Vec<Candidate>,
    here: Circumstances<'_>,
    mut wish: Option<SizeWish>,
    mut options: Vec<String>,
    likeness: Likeness,
    by_option: bool,
) -> Mention {
    let (index, reading) = (narrowing.index, narrowing.reading);
    let headed = candidates.iter().any(|candidate| candidate.headed);
    let mut before: Vec<Candidate> = candidates.clone();
    let mut end = at + 1;
    let mut words = 1;
    let mut is_foreign = false;
    let mut worst = likeness;
    loop {
        // No name is longer; so a text of one word again and again costs what its length does.
        if end >= at + MAX_MENTION {
            break;
        }
        // Up to three words of joining, then one that tells.
        let mut next = end;
        while next < end + 3 && is_filler(reading.word(next)) && !narrows(narrowing, &candidates, next) {
            next += 1;
        }
        let joined_by_and = matches!(reading.word(end), "y" | "e" | "i" | "," | "&") && next == end;
        if joined_by_and {
            next = end + 1;
        }
        let Some(token) = reading.tokens.get(next) else { break };
        let by_with = (end..next).any(|n| reading.word(n) == "con");
        // A dish that begins its own order is not part of this one's name.
        let told: Vec<(ItemNo, Place, Likeness)> = narrowing.by_name(next);
        let kept = narrowed(&candidates, &told);
        let begins_another = |narrowing: &Narrowing<'_>| narrowing.is_head_of_any(next) && kept.is_empty();
        if joined_by_and {
            // `jamón y queso` is one name only where the name has the `y`, or a word of it is still to come.
            let named = kept.iter().any(|candidate| {
                let item = &index.items[usize::from(candidate.item)];
                item.names.iter().take(4).enumerate().any(|(n, name)| {
                    let new = candidate.said[n] & !said_before(&candidates, candidate.item)[n];
                    name.joined.iter().any(|part| new & (1 << part) != 0)
                        || reading.word(end) != ","
                            && new != 0
                            && item.names[n].parts.len() >= 3
                            && !narrowing.is_head_of_any(next)
                })
            });
            if !named {
                break;
            }
        }
        if !kept.is_empty() && token.token.is_word() && !(token.is_weak && kept.len() == candidates.len()) {
            before = candidates;
            candidates = kept;
            worst = worst.max(told.iter().map(|(_, _, near)| *near).min().unwrap_or(Likeness::Same));
            words += 1;
            end = next + 1;
            continue;
        }
        let is_value = value(reading, next).is_some() || matches!(token.token.kind, TokenKind::Measure(_));
        if is_value {
            if !takes_number(narrowing, &candidates, next, end, here) {
                break;
            }
            let mut kept: Vec<Candidate> = Vec::new();
            for candidate in &candidates {
                if let Some((name, part)) = narrowing.numbered_part(next, candidate.item) {
                    let mut candidate = candidate.clone();
                    candidate.said[usize::from(name)] |= 1 << part;
                    kept.push(candidate);
                } else if next > end
                    && value(reading, next)
                        .is_some_and(|v| index.items[usize::from(candidate.item)].servings.contains(&v))
                {
                    kept.push(candidate.clone());
                }
            }
            if kept.is_empty() {
                break;
            }
            before = candidates;
            candidates = kept;
            words += 1;
            end = next + 1;
            // `alitas x 6 unidades`.
            if matches!(reading.word(end), "unidades" | "und" | "unds" | "u" | "piezas" | "presas" | "porciones") {
                end += 1;
            }
            continue;
        }
        if joined_by_and {
            break;
        }
        if let Some(size) = size_wish(reading.word(next)) {
            wish = Some(size);
            words += 1;
            end = next + 1;
            continue;
        }
        // A flavour or a brand that the description lists.
        let with_option: Vec<Candidate> = candidates
            .iter()
            .filter(|candidate| narrowing.by_contents(next, &index.items[usize::from(candidate.item)]))
            .map(|candidate| Candidate { optioned: true, ..candidate.clone() })
            .collect();
        let is_option =
            !with_option.is_empty() && with_option.iter().any(|c| index.items[usize::from(c.item)].has_options);
        if is_option && !by_with && token.token.is_word() && !token.is_weak {
            let prefix = if next > end && reading.word(next - 1) == "en" { next - 1 } else { next };
            match options.last_mut() {
                // `coca cola` is one brand.
                Some(last) if prefix == next && next == end && end == at + options_words(last) && by_option => {
                    *last = format!("{last} {}", reading.slice(prefix..next + 1));
                }
                _ => options.push(reading.slice(prefix..next + 1)),
            }
            before = candidates;
            candidates = with_option;
            words += 1;
            end = next + 1;
            // A brand of two words.
            if reading.tokens.get(end).is_some_and(|token| token.token.is_word() && !token.is_weak)
                && candidates.iter().all(|c| narrowing.by_contents(end, &index.items[usize::from(c.item)]))
                && narrowing.by_name(end).is_empty()
            {
                let option = options.pop().unwrap_or_default();
                options.push(format!("{option} {}", reading.slice(end..end + 1)));
                end += 1;
            }
            continue;
        }
        if begins_another(narrowing) || next == end && joined_by_and {
            // `perro caliente especial`: a word of the candidates that an earlier word put aside.
            let beside = narrowed(&before, &told);
            if !beside.is_empty() && !narrowing.is_head_of_any(next) {
                candidates.extend(beside);
                end = next + 1;
                words += 1;
            }
            break;
        }
        if !told.is_empty() && !token.is_weak && token.token.is_word() && !lexicon::is_ingredient(&token.word) {
            let beside = narrowed(&before, &told);
            if !beside.is_empty() {
                for candidate in beside {
                    if !candidates.iter().any(|known| known.item == candidate.item) {
                        candidates.push(candidate);
                    }
                }
                words += 1;
                end = next + 1;
                continue;
            }
        }
        // A word that nobody here knows, straight behind: another dish than any on the menu.
        let by_of = next == end + 1 && matches!(reading.word(end), "de" | "con" | "a" | "en" | "al")
            || next == end + 2 && reading.word(end) == "de";
        let direct = next == end;
        let of_flavour = matches!(reading.word(end), "de") && direct_or(next, end);
        let strange = token.token.is_word()
            && !token.is_weak
            && !lexicon::is_everyday(&token.word)
            && !lexicon::is_preparation(&token.word)
            && value(reading, next).is_none();
        let full = candidates.iter().any(|candidate| is_full(index, candidate));
        let kind_only = words == 1 || candidates.len() > 1 || !full;
        let flavour = lexicon::is_ingredient(&token.word) || lexicon::is_food(&token.word);
        if strange
            && headed
            && !by_option
            && kind_only
            && (direct && !lexicon::is_ingredient(&token.word)
                || by_of && of_flavour && (!flavour || candidates.len() > 1 || !full || words == 1))
            && !(full && direct && !told.is_empty())
        {
            is_foreign = true;
            words += 1;
            end = next + 1;
            continue;
        }
        break;
    }
    resolve(narrowing, at, end, candidates, wish, options, headed, words, is_foreign, worst)
}

fn options_words(option: &str) -> usize {
    option.split(' ').count()
}

fn direct_or(next: usize, end: usize) -> bool {
    next <= end + 2
}

fn said_before(candidates: &[Candidate], item: ItemNo) -> [u16; 4] {
    candidates.iter().find(|candidate| candidate.item == item).map_or([0; 4], |candidate| candidate.said)
}

fn narrows(narrowing: &Narrowing<'_>, candidates: &[Candidate], at: usize) -> bool {
    let told = narrowing.by_name(at);
    !told.is_empty() && !narrowed(candidates, &told).is_empty()
}

/// The candidates whose names have the token too, with that part said.
fn narrowed(candidates: &[Candidate], told: &[(ItemNo, Place, Likeness)]) -> Vec<Candidate> {
    let mut kept = Vec::new();
    for candidate in candidates {
        let mut candidate = candidate.clone();
        let mut is_named = false;
        for (_, place, _) in told.iter().filter(|(item, ..)| *item == candidate.item) {
            match place {
                Place::Name { name, part } if *name < 4 => {
                    let bit = 1 << part;
                    if candidate.said[usize::from(*name)] & bit == 0 {
                        candidate.said[usize::from(*name)] |= bit;
                        is_named = true;
                    }
                }
                Place::Kind => is_named = true,
                _ => {}
            }
        }
        if is_named {
            kept.push(candidate);
        }
    }
    kept
}

/// True: a number belongs to the name before it rather than to the dish behind it.
fn takes_number(
    narrowing: &Narrowing<'_>,
    candidates: &[Candidate],
    at: usize,
    end: usize,
    here: Circumstances<'_>,
) -> bool {
    let fits = |candidate: &Candidate| {
        narrowing.numbered_part(at, candidate.item).is_some()
            || at > end
                && value(narrowing.reading, at)
                    .is_some_and(|v| narrowing.index.items[usize::from(candidate.item)].servings.contains(&v))
    };
    if !candidates.iter().any(fits) {
        return false;
    }
    let is_measure = matches!(narrowing.reading.tokens[at].token.kind, TokenKind::Measure(_));
    if is_measure || at > end && narrowing.reading.word(at - 1) != "x" {
        return true;
    }
    let behind = at + 1;
    let dish_behind = narrowing.is_head_of_any(behind);
    let value_is_small = value(narrowing.reading, at).is_some_and(|value| value < 100_000);
    here.has_quantity || !dish_behind || !value_is_small
}

/// The words of the name that were not said.
fn unsaid(index: &Index, candidate: &Candidate) -> Vec<NamePart> {
    let Some(name) = index.items[usize::from(candidate.item)].names.first() else { return Vec::new() };
    let parts = name.parts.iter().enumerate().filter(|(n, _)| candidate.said[0] & (1 << n) == 0);
    parts.map(|(_, part)| part.clone()).collect()
}

fn is_full(index: &Index, candidate: &Candidate) -> bool {
    let names = &index.items[usize::from(candidate.item)].names;
    names.iter().take(4).enumerate().any(|(n, name)| {
        let all = (1u32 << name.parts.len().min(16)) - 1;
        u32::from(candidate.said[n]) & all == all
    })
}

#[expect(clippy::too_many_arguments, reason = "one loop's state, handed over once")]
fn resolve(
    narrowing: &Narrowing<'_>,
    start: usize,
    end: usize,
    mut candidates: Vec<Candidate>,
    wish: Option<SizeWish>,
    options: Vec<String>,
    is_headed: bool,
    words: usize,
    is_foreign: bool,
    likeness: Likeness,
) -> Mention {
    let index = narrowing.index;
    let full: Vec<Candidate> = candidates.iter().filter(|candidate| is_full(index, candidate)).cloned().collect();
    let says_head = |candidate: &Candidate| {
        index.items[usize::from(candidate.item)]
            .names
            .first()
            .is_some_and(|name| candidate.said[0] & (1 << name.head) != 0)
    };
    let is_headed = is_headed || words >= 2 && candidates.iter().any(says_head);
    let is_full = full.len() == 1;
    if is_full && (wish.is_none() || candidates.len() == 1) {
        candidates = full;
    }
    // `una coca personal` where there is a light one too: nothing is unsaid of it that is not unsaid of the others.
    if candidates.len() > 1 && !is_foreign && wish.is_none() {
        let unsaid: Vec<Vec<NamePart>> = candidates.iter().map(|candidate| unsaid(index, candidate)).collect();
        let plainest = (0..candidates.len()).find(|n| {
            let own = &unsaid[*n];
            unsaid
                .iter()
                .enumerate()
                .all(|(m, other)| m == *n || own.len() < other.len() && own.iter().all(|part| other.contains(part)))
        });
        if let Some(plainest) = plainest {
            candidates = vec![candidates[plainest].clone()];
        }
    }
    if candidates.len() > 1 && candidates.iter().any(|candidate| candidate.optioned) {
        candidates.retain(|candidate| candidate.optioned);
    }
    let mut items: Vec<ItemNo> = candidates.iter().map(|candidate| candidate.item).collect();
    items.sort_unstable();
    items.dedup();
    if let Some(wish) = wish
        && items.len() > 1
    {
        items = by_size(index, &items, wish);
    }
    Mention { start, end, candidates: items, options, is_headed, is_full, words, is_foreign, likeness }
}

/// The size that is wished for, of each dish. Prices tell the sizes apart where names do not.
fn by_size(index: &Index, items: &[ItemNo], wish: SizeWish) -> Vec<ItemNo> {
    let mut dishes: Vec<(Vec<super::index::WordNo>, Vec<ItemNo>)> = Vec::new();
    for item in items {
        let name = index.without_size(*item);
        match dishes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sizes)) => sizes.push(*item),
            None => dishes.push((name, vec![*item])),
        }
    }
    let several = dishes.iter().any(|(_, sizes)| sizes.len() > 1);
    if !several {
        return items.to_vec();
    }
    let mut chosen = Vec::new();
    for (_, mut sizes) in dishes {
        sizes.sort_by_key(|item| index.items[usize::from(*item)].price);
        let at = match wish {
            SizeWish::Largest => sizes.len() - 1,
            SizeWish::Smallest => 0,
            SizeWish::Medium if sizes.len() == 3 => 1,
            SizeWish::Medium => {
                chosen.extend(sizes);
                continue;
            }
        };
        chosen.push(sizes[at]);
    }
    chosen.sort_unstable();
    chosen
}

/// True: a name's word is only a size.
pub fn is_size(word: &str) -> bool {
    SIZES.contains(&word) || size_wish(word).is_some()
}
