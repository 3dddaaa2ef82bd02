//! Of the candidates that the words left, those that are meant: plain names before longer ones, sizes by their price.

use super::{
    extending::{MAX_MENTION, narrows},
    *,
};

/// The words of the name that were not said. `sin gas` is one of them, and another one than `gas`.
fn unsaid(index: &Index, candidate: &Candidate) -> Vec<NamePart> {
    let Some(name) = index.items[usize::from(candidate.item)].names.first() else { return Vec::new() };
    let is_unsaid = |n: usize| candidate.said[0] & (1 << n) == 0;
    let is_sign = |part: &NamePart| matches!(part, NamePart::Word(word) if index.spelling(*word) == "sin");
    let is_negated = |n: usize| n > 0 && is_unsaid(n - 1) && is_sign(&name.parts[n - 1]);
    let parts = name.parts.iter().enumerate().filter(|(n, _)| is_unsaid(*n) && !is_negated(*n));
    parts.map(|(_, part)| part.clone()).collect()
}

pub(super) fn is_full(index: &Index, candidate: &Candidate) -> bool {
    let names = &index.items[usize::from(candidate.item)].names;
    names.iter().take(4).enumerate().any(|(n, name)| {
        let all = (1u32 << name.parts.len().min(16)) - 1;
        u32::from(candidate.said[n]) & all == all
    })
}

#[expect(clippy::too_many_arguments, reason = "one loop's state, handed over once")]
pub(super) fn resolve(
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
    if candidates.len() > 1 && !is_foreign {
        prefer_names(&mut candidates);
        prefer_single(index, &mut candidates);
        prefer_kind_of_brand(index, narrowing.reading.word(start), &mut candidates);
        // `dos aguas, una con gas`: what comes tells.
        if !(end..end + MAX_MENTION).any(|at| narrows(narrowing, &candidates, at)) {
            prefer_plain_water(index, &mut candidates);
        }
        prefer_plain_dish(index, &mut candidates);
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

/// `cerveza poker`: an item with both words in its name is meant rather than one whose kind is beer.
fn prefer_names(candidates: &mut Vec<Candidate>) {
    let several = |candidate: &Candidate| candidate.said.iter().any(|said| said.count_ones() >= 2);
    if candidates.iter().any(|candidate| !candidate.by_kind && several(candidate)) {
        candidates.retain(|candidate| !candidate.by_kind);
    }
}

/// `una sencilla`: the dish, and not the combo of the same name, which nobody orders without saying so.
fn prefer_single(index: &Index, candidates: &mut Vec<Candidate>) {
    let is_set = |candidate: &Candidate| {
        unsaid(index, candidate).iter().any(|part| match part {
            NamePart::Word(word) => matches!(
                index.spelling(*word),
                "combo"
                    | "orden"
                    | "six"
                    | "sixpack"
                    | "pack"
                    | "cubeta"
                    | "canasta"
                    | "promo"
                    | "promocion"
                    | "paquete"
                    | "adicion"
                    | "adicional"
                    | "extra"
            ),
            _ => false,
        })
    };
    if candidates.iter().any(|candidate| !is_set(candidate)) {
        candidates.retain(|candidate| !is_set(candidate));
    }
}

/// `un águila` is the beer, and not the coffee of that name.
fn prefer_kind_of_brand(index: &Index, word: &str, candidates: &mut Vec<Candidate>) {
    let Some(kind) = synonyms::kind_of(crate::bot::text::sound::singular(word)) else { return };
    let is_of = |candidate: &Candidate| {
        let item = &index.items[usize::from(candidate.item)];
        let named = item.names.iter().flat_map(|name| &name.parts).any(|part| match part {
            NamePart::Word(word) => index.spelling(*word) == kind,
            _ => false,
        });
        named || item.kinds.iter().any(|own| index.spelling(*own) == kind)
    };
    if candidates.iter().any(is_of) {
        candidates.retain(is_of);
    }
}

/// `un agua` is the one of the bottle, where others are `agua de` something.
fn prefer_plain_water(index: &Index, candidates: &mut Vec<Candidate>) {
    let name = |candidate: &Candidate| index.items[usize::from(candidate.item)].names.first();
    let is_water = |candidate: &Candidate| {
        name(candidate).is_some_and(|name| match name.parts.get(name.head) {
            Some(NamePart::Word(word)) => index.spelling(*word) == "agua" && candidate.said[0] == 1 << name.head,
            _ => false,
        })
    };
    let is_plain = |candidate: &Candidate| name(candidate).is_some_and(|name| !name.is_joined);
    if candidates.iter().all(is_water) && candidates.iter().any(is_plain) {
        candidates.retain(is_plain);
    }
}

/// `una coca` where there is a light one too: the dish of which nothing is unsaid but its size.
fn prefer_plain_dish(index: &Index, candidates: &mut Vec<Candidate>) {
    if candidates.iter().any(|candidate| candidate.optioned) {
        return;
    }
    let unsaid: Vec<Vec<NamePart>> = candidates
        .iter()
        .map(|candidate| {
            let mut parts = unsaid(index, candidate);
            // One size is as plain as another.
            for part in &mut parts {
                let is_size = match part {
                    NamePart::Word(word) => SIZES.contains(&index.spelling(*word)),
                    NamePart::Measure(..) => true,
                    NamePart::Number(_) => false,
                };
                if is_size {
                    *part = NamePart::Measure(0, 0);
                }
            }
            parts.dedup();
            parts
        })
        .collect();
    let within = |a: &[NamePart], b: &[NamePart]| a.iter().all(|part| b.contains(part));
    let Some(plain) = unsaid.iter().min_by_key(|parts| parts.len()) else { return };
    let all_more =
        unsaid.iter().all(|other| within(plain, other) && (other.len() > plain.len() || within(other, plain)));
    if all_more {
        let plain = plain.clone();
        let mut unsaid = unsaid.iter();
        candidates.retain(|_| unsaid.next().is_some_and(|parts| parts.len() == plain.len()));
    }
}

/// The size that is wished for, of each dish. Prices tell the sizes apart where names do not.
pub(super) fn by_size(index: &Index, items: &[ItemNo], wish: SizeWish) -> Vec<ItemNo> {
    let mut dishes: Vec<(Vec<crate::bot::index::WordNo>, Vec<ItemNo>)> = Vec::new();
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
