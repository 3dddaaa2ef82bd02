//! A name is read on from word to word, and its candidates narrow.

use super::{
    choosing::{is_full, resolve},
    *,
};

/// Tokens of the longest mention.
pub(super) const MAX_MENTION: usize = 20;

#[expect(clippy::too_many_arguments, reason = "one loop's state, handed over once")]
pub(super) fn extend(
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
        // `cambia las papas por las grandes` names two things.
        let parts = |at: usize| {
            reading.word(at) == "por" && matches!(reading.word(at + 1), "la" | "el" | "las" | "los" | "un" | "una")
        };
        while next < end + 3 && is_filler(reading.word(next)) && !parts(next) && !narrows(narrowing, &candidates, next)
        {
            next += 1;
        }
        let joined_by_and = matches!(reading.word(end), "y" | "e" | "i" | "," | "&") && next == end;
        if joined_by_and {
            next = end + 1;
        }
        let Some(token) = reading.tokens.get(next) else { break };
        // `de libra y media`, which no size of the menu is: the sizes stay open.
        if joined_by_and
            && matches!(token.word.as_str(), "media" | "medio" | "cuarto")
            && matches!(reading.word(end - 1), "libra" | "kilo" | "litro")
        {
            words += 1;
            end = next + 1;
            continue;
        }
        let by_with = (end..next).any(|n| reading.word(n) == "con");
        // A dish that begins its own order is not part of this one's name.
        let told: Vec<(ItemNo, Place, Likeness)> = narrowing.by_name(next);
        let kept = narrowed(&candidates, &told);
        // `clásica con doble lechuga` wants more lettuce, and no double one.
        let is_more_of_side = by_with
            && matches!(token.word.as_str(), "doble" | "triple" | "extra")
            && lexicon::is_ingredient(reading.word(next + 1))
            && reading.word(next + 1) != "carne"
            && narrowed(&kept, &narrowing.by_name(next + 1)).is_empty();
        if is_more_of_side {
            break;
        }
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
        // `coca cero de 400`, where the menu has no such item: a wish, and no number.
        if next == end
            && kept.is_empty()
            && is_sugarless(narrowing, next, here.has_quantity)
            && candidates.iter().all(|candidate| index.items[usize::from(candidate.item)].is_drink)
        {
            options.push(reading.slice(next..next + 1));
            words += 1;
            end = next + 1;
            continue;
        }
        // `dos chocolates uno en agua`: one of the two, and no `Torta de chocolate 1 libra`.
        let is_part = token.word == "uno" && matches!(reading.word(next + 1), "en" | "de" | "con" | "sin");
        let is_value = !is_part && value(reading, next).is_some()
            || matches!(token.token.kind, TokenKind::Measure(_))
            || weight(&token.word).is_some();
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
            if is_piece(reading.word(end)) {
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
                && narrowed(&candidates, &narrowing.by_name(end)).is_empty()
                && !narrowing.is_head_of_any(end)
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
            && !is_plain(&token.word)
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

/// `cero`, `light`, and `0` before a size or behind a number of its own.
fn is_sugarless(narrowing: &Narrowing<'_>, at: usize, is_counted: bool) -> bool {
    let token = &narrowing.reading.tokens[at];
    match token.word.as_str() {
        "cero" | "zero" | "sero" | "light" | "dietetica" | "dietetico" => true,
        "0" => {
            let behind = if is_filler(narrowing.reading.word(at + 1)) { at + 2 } else { at + 1 };
            token.token.kind == TokenKind::Number(0)
                && (is_counted
                    || value(narrowing.reading, behind).is_some()
                    || narrowing
                        .reading
                        .tokens
                        .get(behind)
                        .is_some_and(|token| matches!(token.token.kind, TokenKind::Measure(_))))
        }
        _ => false,
    }
}

/// `coca normal`: the item as it is.
fn is_plain(word: &str) -> bool {
    matches!(
        word.trim_end_matches('s'),
        "normal" | "normale" | "tradicional" | "tradicionale" | "corriente" | "sencilla" | "sencillo"
    )
}

/// Words that a number in a name may count.
fn is_piece(word: &str) -> bool {
    matches!(
        word,
        "unidades"
            | "und"
            | "unds"
            | "uds"
            | "u"
            | "piezas"
            | "pzs"
            | "pz"
            | "pzas"
            | "presas"
            | "porciones"
            | "rollos"
            | "bolas"
            | "bolitas"
            | "tajadas"
            | "trozos"
            | "pedazos"
            | "rebanadas"
            | "personas"
    )
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

pub(super) fn narrows(narrowing: &Narrowing<'_>, candidates: &[Candidate], at: usize) -> bool {
    let told = narrowing.by_name(at);
    !told.is_empty() && !narrowed(candidates, &told).is_empty()
}

/// The candidates whose names have the token too, with that part said.
fn narrowed(candidates: &[Candidate], told: &[(ItemNo, Place, Likeness)]) -> Vec<Candidate> {
    let mut kept = Vec::new();
    for candidate in candidates {
        let mut candidate = candidate.clone();
        let mut is_named = false;
        let mut by_kind = false;
        for (_, place, _) in told.iter().filter(|(item, ..)| *item == candidate.item) {
            match place {
                Place::Name { name, part } if *name < 4 => {
                    let bit = 1 << part;
                    if candidate.said[usize::from(*name)] & bit == 0 {
                        candidate.said[usize::from(*name)] |= bit;
                        is_named = true;
                    }
                }
                Place::Kind | Place::Category => {
                    is_named = true;
                    by_kind = true;
                }
                _ => {}
            }
        }
        if is_named {
            candidate.by_kind |= by_kind;
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
                && narrowing.reading.word(at - 1) != "x"
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
