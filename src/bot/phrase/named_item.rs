//! The item that a phrase names, by itself or by what was named before.

use super::{Phrase, Quantity, Scopes, counts::small_number};
use crate::bot::{
    index::{Index, ItemNo, Likeness, Place},
    lexicon,
    mention::{Circumstances, Mention, is_size, mention_at, value},
    reading::Reading,
    text::token::TokenKind,
};

pub(super) fn named_head(index: &Index, reading: &Reading<'_>, at: usize) -> bool {
    let free = Circumstances { scope: None, has_quantity: false, is_attribute: false };
    mention_at(index, reading, at, free).is_some_and(|mention| mention.is_headed)
}

pub(super) fn named_item(
    index: &Index,
    reading: &Reading<'_>,
    at: usize,
    limit: usize,
    phrase: &Phrase,
    scopes: Scopes<'_>,
) -> Option<Mention> {
    if at >= limit {
        return None;
    }
    let has_quantity = phrase.quantity != Quantity::None;
    let times = |at: usize| reading.word(at) == "x" && at + 1 < limit && small_number(reading, at + 1).is_some();
    let introduced = has_quantity || phrase.is_definite || phrase.is_attribute && scopes.counts_behind;
    let free = Circumstances { scope: None, has_quantity, is_attribute: phrase.is_attribute };
    let global = mention_at(index, reading, at, free);
    // `una mojarra y una fría`: beside food, a cold one is a beer.
    let food_before = scopes.focus.is_none_or(|focus| !index.items[usize::from(focus)].is_drink);
    if has_quantity && !phrase.is_attribute && food_before && matches!(reading.word(at), "fria" | "frias") {
        let hits = &reading.tokens[at].hits;
        let mut beers: Vec<ItemNo> = hits
            .iter()
            .flat_map(|(word, _)| index.postings(*word))
            .filter(|(item, place)| *place != Place::Contents && index.items[usize::from(*item)].is_drink)
            .map(|(item, _)| *item)
            .collect();
        beers.sort_unstable();
        beers.dedup();
        if !beers.is_empty() && beers.iter().all(|beer| !scopes.siblings.contains(beer)) {
            let likeness = Likeness::Sounds;
            return Some(Mention {
                start: at,
                end: at + 1,
                candidates: beers,
                options: Vec::new(),
                is_headed: true,
                is_full: false,
                words: 1,
                is_foreign: false,
                likeness,
            });
        }
    }
    let namesakes = namesakes(index, scopes);
    let scoped = |scope: &[ItemNo]| {
        let here = Circumstances { scope: Some(scope), has_quantity, is_attribute: true };
        (!scope.is_empty())
            .then(|| mention_at(index, reading, at, here))
            .flatten()
            .filter(|mention| !mention.is_foreign)
    };
    if let Some(mention) = scoped(scopes.listed)
        && global.as_ref().is_none_or(|global| global.is_foreign || global.words <= mention.words)
    {
        return Some(mention);
    }
    if let Some(mention) = scoped(scopes.doubts) {
        let own = global.as_ref().is_some_and(|global| {
            let elsewhere = global.candidates.iter().all(|item| !scopes.doubts.contains(item));
            global.words > mention.words && !global.is_foreign
                || global.is_headed
                    && elsewhere
                    && !phrase.is_attribute
                    && (has_quantity || global.is_full && global.words > 1)
        });
        if !own {
            return Some(mention);
        }
    }
    // `gyozas cerdo 2 pollo 1`: behind a counted kind, another of it.
    let is_next_of_kind = scopes.counts_behind
        && scopes.is_settled
        && at > 0
        && small_number(reading, at - 1).is_some()
        && small_number(reading, at + 1).is_some()
        && at + 1 < limit;
    let may_be_attribute = introduced || scopes.changes_focus || is_next_of_kind;
    if may_be_attribute
        && let Some(focus) = scopes.focus
        && let Some(mut mention) = scoped(&namesakes).or_else(|| scoped(scopes.siblings))
        // `agrégale un huevo` is no wish for the one dish that comes with eggs.
        && (!mention.is_only_option() || mention.candidates.contains(&focus))
    {
        let own = global.as_ref().is_some_and(|global| {
            let better = global.words > mention.words && !global.is_foreign;
            better || global.is_headed && !phrase.is_attribute && (global.is_full || !is_next_of_kind)
        });
        if !own {
            let words = (mention.start..mention.end).filter(|n| !lexicon::is_connector(reading.word(*n)));
            let only_size = words.clone().all(|n| {
                is_size(reading.word(n))
                    || value(reading, n).is_some()
                    || matches!(reading.tokens[n].token.kind, TokenKind::Measure(_))
            });
            if only_size {
                let name = index.without_size(focus);
                let same: Vec<ItemNo> =
                    mention.candidates.iter().copied().filter(|item| index.without_size(*item) == name).collect();
                if !same.is_empty() {
                    mention.candidates = same;
                }
            } else if scopes.changes_focus && mention.candidates.len() > 1 {
                let most = mention.candidates.iter().map(|item| index.shared_parts(*item, focus)).max().unwrap_or(0);
                mention.candidates.retain(|item| index.shared_parts(*item, focus) == most);
            } else if scopes.is_settled && mention.candidates.len() > 1 {
                // `una porción de torta de zanahoria y otra de chocolate`: another flavour in the same size.
                let size = index.size_parts(focus);
                let same: Vec<ItemNo> =
                    mention.candidates.iter().copied().filter(|item| index.size_parts(*item) == size).collect();
                if !same.is_empty() && !size.is_empty() {
                    mention.candidates = same;
                }
            }
            return Some(mention);
        }
    }
    // `hawaiana y pepperoni`: another of the same kind, and of the same size.
    if !introduced
        && let Some(focus) = scopes.focus
        && global.as_ref().is_none_or(|global| !global.is_headed)
        && let Some(mut mention) = scoped(scopes.siblings)
        && !mention.is_only_option()
        && is_clause(reading, &mention, limit)
        && mention.start > 0
        && reading.word(mention.start - 1) != "\n"
    {
        let most = mention.candidates.iter().map(|item| index.shared_parts(*item, focus)).max().unwrap_or(0);
        mention.candidates.retain(|item| index.shared_parts(*item, focus) == most);
        return Some(mention);
    }
    let mention = global?;
    // A word inside a name names the dish only where something introduces it.
    let first = reading.word(at);
    let acceptable = mention.is_headed
        || mention.words >= 2
        || introduced && (phrase.is_attribute || !lexicon::is_ingredient(first))
        || mention.is_full;
    let alone =
        mention.likeness == Likeness::Same && is_clause(reading, &mention, limit) && !lexicon::is_ingredient(first);
    // `un huevo` is the addition, where nothing else is called so.
    let addition = has_quantity
        && matches!(mention.candidates[..], [item] if index.items[usize::from(item)].is_addition)
        && mention.likeness != Likeness::Slip;
    // `edamame x 3, miso x2`.
    let counted = mention.likeness == Likeness::Same && times(mention.end) && !lexicon::is_ingredient(first);
    let acceptable = acceptable || alone || addition || counted;
    let only_size =
        (mention.start..mention.end).all(|n| is_size(reading.word(n)) || lexicon::is_connector(reading.word(n)));
    let acceptable = acceptable && (!only_size || introduced);
    acceptable.then_some(mention)
}

/// The siblings with the noun of the item that was named last: `un atún en agua y dos en aceite` is about tuna.
pub(super) fn namesakes(index: &Index, scopes: Scopes<'_>) -> Vec<ItemNo> {
    let Some(head) = scopes.focus.and_then(|focus| index.head(focus)) else { return Vec::new() };
    scopes.siblings.iter().copied().filter(|item| index.head(*item) == Some(head)).collect()
}

/// Nothing else stands between two marks.
fn is_clause(reading: &Reading<'_>, mention: &Mention, limit: usize) -> bool {
    let ends =
        |at: usize| matches!(reading.word(at), "," | "y" | "." | "\n" | ";" | "+" | "con" | "sin" | ":" | "o" | "u");
    let begins = mention.start == 0 || ends(mention.start - 1) || reading.word(mention.start - 1) == "del";
    let counted = |at: usize| {
        matches!(reading.word(at), "un" | "una" | "unos" | "unas" | "por") || small_number(reading, at).is_some()
    };
    begins && (mention.end >= limit || ends(mention.end) || counted(mention.end))
}
