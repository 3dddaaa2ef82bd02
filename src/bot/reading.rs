//! A message as the parser reads it: tokens, each with its everyday word and the words of the menu that it may be.
//! Owns spelling repair and the splitting of glued words; decides nothing about orders.

use super::{
    index::{Index, Likeness, WordNo},
    lexicon, synonyms,
    text::{
        number, sound,
        token::{Token, TokenKind, tokens},
    },
};

/// Longer messages are read up to here.
pub const MAX_TEXT_BYTES: usize = 4_000;
const MAX_TOKENS: usize = 400;

#[derive(Debug, Clone)]
pub struct ReadToken {
    pub token: Token,
    /// The token as an everyday word, by its sound if need be; otherwise as it was written, folded.
    pub word: String,
    pub hits: Vec<(WordNo, Likeness)>,
    /// An everyday word too: it starts an item only where more speaks for it.
    pub is_weak: bool,
}

#[derive(Debug, Clone)]
pub struct Reading<'a> {
    pub text: &'a str,
    pub tokens: Vec<ReadToken>,
    /// The place of the first word behind all that can be read.
    pub cut: Option<usize>,
}

impl<'a> Reading<'a> {
    /// `skipped` are ranges of the text that hold no order, such as an address.
    pub fn new(index: &Index, text: &'a str, skipped: &[std::ops::Range<usize>]) -> Self {
        let mut end = text.len().min(MAX_TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut read: Vec<ReadToken> = Vec::new();
        let mut cut = (end < text.len()).then_some(end);
        for mut token in tokens(&text[..end]) {
            if read.len() >= MAX_TOKENS {
                cut = Some(token.span.start);
                break;
            }
            if let Some(skipped) = skipped.iter().find(|range| range.contains(&token.span.start)) {
                // An address parts what is before from what is behind.
                if read.last().is_none_or(|last| last.word != ";") {
                    let span = skipped.clone();
                    let token = Token { span, text: ";".into(), kind: TokenKind::Mark(';') };
                    read.push(ReadToken { token, word: ";".into(), hits: Vec::new(), is_weak: false });
                }
                continue;
            }
            let span = token.span.clone();
            let is_te = token.text == "te";
            // `mi papá` wants something, and is no potato.
            let is_own = read.last().is_some_and(|last| matches!(&*last.word, "mi" | "tu" | "su"));
            if token.text == "papa" && (is_own || text[span.clone()].ends_with(['á', 'Á'])) {
                token.text = "mama".to_owned();
            }
            push(index, token, &mut read);
            let behind = text[span.end..].trim_start();
            if is_te
                && !is_tea(&text[span], behind, read.iter().rev().nth(1))
                && let Some(last) = read.last_mut()
            {
                last.hits.clear();
                last.is_weak = true;
            }
        }
        spell_out(&mut read);
        join_split(index, &mut read);
        replace_phrases(index, &mut read);
        bind_negations(index, &mut read);
        Self { text: &text[..end], tokens: read, cut }
    }

    pub fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.word)
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The customer's own words, in lower case.
    pub fn slice(&self, range: std::ops::Range<usize>) -> String {
        let Some((first, last)) = self.tokens.get(range.start).zip(self.tokens.get(range.end.wrapping_sub(1))) else {
            return String::new();
        };
        let text = self.text.get(first.token.span.start..last.token.span.end).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
    }
}

fn push(index: &Index, mut token: Token, read: &mut Vec<ReadToken>) {
    if token.text == "tes" {
        token.text.truncate(2);
    }
    if token.kind != TokenKind::Word {
        let word = token.text.clone();
        read.push(ReadToken { token, word, hits: Vec::new(), is_weak: false });
        return;
    }
    let fold = token.text.as_str();
    let hits = index.lookup(fold);
    let exact = hits.iter().any(|(_, likeness)| *likeness == Likeness::Same);
    if !exact
        && fold.len() < 4
        && let Some(word) = lexicon::by_sound(fold)
    {
        // `d`, `q`, `lb`: written short, and meant in full.
        read.push(ReadToken { word: word.to_owned(), hits: index.lookup(word), is_weak: true, token });
        return;
    }
    let everyday = lexicon::is_everyday(fold) || lexicon::is_connector(fold);
    if exact || everyday {
        let is_weak = everyday && !exact;
        read.push(ReadToken { word: fold.to_owned(), hits, is_weak, token });
        return;
    }
    if !hits.is_empty() {
        let is_weak = !hits.iter().any(|(word, _)| index.is_in_names(*word)) && lexicon::by_sound(fold).is_some();
        read.push(ReadToken { word: fold.to_owned(), hits, is_weak, token });
        return;
    }
    if let Some(word) = lexicon::by_sound(fold) {
        read.push(ReadToken { word: word.to_owned(), hits, is_weak: false, token });
        return;
    }
    // `ytres`.
    if let Some(rest) = fold.strip_prefix('y')
        && (number::is_named(rest) || matches!(rest, "un" | "una" | "unos" | "unas"))
    {
        for part in ["y".to_owned(), rest.to_owned()] {
            push(index, Token { span: token.span.clone(), text: part, kind: TokenKind::Word }, read);
        }
        return;
    }
    if let Some(parts) = unglue(index, fold) {
        let mut start = token.span.start;
        let whole = token.span.end;
        let bytes_match = whole - token.span.start == fold.len();
        let count = parts.len();
        for (n, part) in parts.into_iter().enumerate() {
            let end = if n + 1 == count || !bytes_match { whole } else { start + part.len() };
            let part_token = Token { span: start..end, text: part, kind: TokenKind::Word };
            if bytes_match {
                start = end;
            }
            push(index, part_token, read);
        }
        return;
    }
    let is_plain = number::word(fold).is_some()
        || lexicon::is_preparation(fold)
        || lexicon::is_ingredient(fold)
        || lexicon::is_food(fold)
        || synonyms::is_brand(fold);
    if is_plain {
        read.push(ReadToken { word: fold.to_owned(), hits, is_weak: false, token });
        return;
    }
    let mut hits = index.lookup_slips(fold);
    if hits.is_empty() {
        hits = index.lookup_beginning(fold);
    }
    // A slip in an everyday word is as likely.
    if let Some(word) = everyday_slip(fold, &hits, index) {
        let hits = index.lookup(word);
        read.push(ReadToken { word: word.to_owned(), hits, is_weak: lexicon::is_everyday(word), token });
        return;
    }
    hits.sort_by_key(|(word, _)| !index.is_in_names(*word));
    read.push(ReadToken { word: fold.to_owned(), hits, is_weak: false, token });
}

/// `un té`, and not `te pido`.
fn is_tea(written: &str, behind: &str, before: Option<&ReadToken>) -> bool {
    let kinds = ["de ", "verde", "negro", "frio", "frío", "helado", "caliente", "chai"];
    if kinds.iter().any(|kind| behind.starts_with(kind)) {
        return true;
    }
    // `no dos te dije tres`.
    let verbs = ["dije", "digo", "ped", "pid", "encarg", "mand", "pago", "pagu", "avis", "confirm", "escrib"];
    if verbs.iter().any(|verb| behind.to_lowercase().starts_with(verb)) {
        return false;
    }
    let introduced = before.is_some_and(|before| {
        before.token.number().is_some()
            || number::word(&before.word).is_some()
            || matches!(
                before.word.as_str(),
                "un" | "una" | "unos" | "el" | "los" | "del" | "al" | "otro" | "de" | "por"
            )
    });
    introduced || written.to_lowercase().contains(['é', '\u{301}'])
}

/// The word of everyday that was misspelt, unless a word of the menu is as near.
fn everyday_slip(fold: &str, hits: &[(WordNo, Likeness)], index: &Index) -> Option<&'static str> {
    let (slips, word) = lexicon::nearest(fold)?;
    let menu = hits.first().map(|(word, _)| {
        let by_sound = strsim::osa_distance(&sound::key(fold), &sound::key(index.spelling(*word)));
        by_sound.min(strsim::osa_distance(fold, index.spelling(*word)))
    });
    menu.is_none_or(|menu| slips < menu).then_some(word)
}

/// Splits what was written without blanks, if every part is a word that is known and one of them is the menu's.
fn unglue(index: &Index, fold: &str) -> Option<Vec<String>> {
    const MAX_GLUED: usize = 40;
    let length = fold.len();
    if !(6..=MAX_GLUED).contains(&length) || !fold.is_ascii() {
        return None;
    }
    let known = |part: &str| -> Option<bool> {
        if part.len() >= 4 || matches!(part, "uva" | "pan" | "ron" | "aji" | "te") {
            let hits = index.lookup(part);
            let near = hits.iter().any(|(word, likeness)| *likeness <= Likeness::Sounds && index.is_in_names(*word));
            if near && (part.len() >= 4 || hits.iter().any(|(_, likeness)| *likeness == Likeness::Same)) {
                return Some(true);
            }
        }
        // `unacoca`, where the menu names the brand in a description.
        if part.len() >= 4 && index.lookup(part).iter().any(|(_, likeness)| *likeness == Likeness::Same) {
            return Some(true);
        }
        let spelt = |(word, _): &(WordNo, Likeness)| index.is_in_names(*word) && index.spelling(*word) == part;
        if part.len() == 3 && index.lookup(part).iter().any(spelt) {
            return Some(true);
        }
        let small = matches!(
            part,
            "un" | "una"
                | "unos"
                | "unas"
                | "de"
                | "con"
                | "en"
                | "al"
                | "y"
                | "la"
                | "el"
                | "sin"
                | "quiero"
                | "otra"
                | "otro"
        );
        (small
            || number::word(part).is_some()
            || part.len() >= 5 && (lexicon::is_preparation(part) || lexicon::is_ingredient(part)))
        .then_some(false)
    };
    // best[end]: fewest parts that reach it, where the last one starts, and whether the menu has one of them.
    let mut best: Vec<Option<(usize, usize, bool)>> = vec![None; length + 1];
    best[0] = Some((0, 0, false));
    for end in 1..=length {
        for start in end.saturating_sub(20)..end {
            let Some((parts, _, of_menu)) = best[start] else { continue };
            if end - start < 2 || parts >= 5 {
                continue;
            }
            let Some(menu_word) = known(&fold[start..end]) else { continue };
            let candidate = (parts + 1, start, of_menu || menu_word);
            if best[end].is_none_or(|current| (candidate.0, !candidate.2) < (current.0, !current.2)) {
                best[end] = Some(candidate);
            }
        }
    }
    let (parts, _, of_menu) = best[length]?;
    if parts < 2 || !of_menu {
        return None;
    }
    let mut words = Vec::new();
    let mut end = length;
    while end > 0 {
        let (_, start, _) = best[end]?;
        words.push(fold[start..end].to_owned());
        end = start;
    }
    words.reverse();
    Some(words)
}

/// `s/cebolla`, `c/queso`.
fn spell_out(read: &mut Vec<ReadToken>) {
    let mut at = 0;
    while at + 1 < read.len() {
        let long = match read[at].token.text.as_str() {
            "s" => "sin",
            "c" => "con",
            _ => "",
        };
        if !long.is_empty() && read[at + 1].token.kind == TokenKind::Mark('/') {
            long.clone_into(&mut read[at].word);
            long.clone_into(&mut read[at].token.text);
            read[at].hits.clear();
            read.remove(at + 1);
        }
        at += 1;
    }
}

/// Joins what was written with a blank too many: `sobre barriga`, `cocacola` the other way round.
fn join_split(index: &Index, read: &mut Vec<ReadToken>) {
    let mut at = 0;
    while at + 1 < read.len() {
        let (a, b) = (&read[at], &read[at + 1]);
        let both = a.token.is_word() && b.token.is_word() && a.token.text.len() >= 2 && b.token.text.len() >= 3;
        let known = |token: &ReadToken| token.hits.iter().any(|(_, likeness)| *likeness == Likeness::Same);
        if both && !(known(a) && known(b)) {
            let joined = format!("{}{}", a.token.text, b.token.text);
            let hits: Vec<_> = index.lookup(&joined).into_iter().filter(|(word, _)| index.is_in_names(*word)).collect();
            if joined.len() >= 6 && hits.iter().any(|(_, likeness)| *likeness == Likeness::Same) {
                let span = a.token.span.start..b.token.span.end;
                let token = Token { span, text: joined.clone(), kind: TokenKind::Word };
                read.splice(at..at + 2, [ReadToken { token, word: joined, hits, is_weak: false }]);
                continue;
            }
        }
        at += 1;
    }
}

/// `sin` belongs to a name only before the word that it has there: `agua sin gas`, and not `una sin cebolla`. Where nothing follows, the
/// word was said before: `una con gas y otra sin`.
fn bind_negations(index: &Index, read: &mut [ReadToken]) {
    for at in 0..read.len() {
        if read[at].word != "sin" || read[at].hits.is_empty() {
            continue;
        }
        let is_named = match read.get(at + 1).filter(|next| next.token.is_word() && next.word != "y") {
            Some(next) => next.hits.iter().any(|(word, _)| index.is_negated(*word)),
            None => true,
        };
        if !is_named {
            read[at].hits.clear();
            read[at].is_weak = true;
        }
    }
}

/// `café negro` where the menu has a tinto, and no black coffee.
fn replace_phrases(index: &Index, read: &mut Vec<ReadToken>) {
    for (phrase, word) in synonyms::PHRASES {
        let mut at = 0;
        while at + phrase.len() <= read.len() {
            let range = at..at + phrase.len();
            let same = range
                .clone()
                .zip(*phrase)
                .all(|(n, word)| read[n].token.is_word() && sound::singular(&read[n].word) == *word);
            let last_is_named = read[range.end - 1].hits.iter().any(|(word, _)| index.is_in_names(*word));
            if same && !last_is_named {
                let hits: Vec<_> = index.lookup(word).into_iter().filter(|(hit, _)| index.is_in_names(*hit)).collect();
                if !hits.is_empty() {
                    let span = read[range.start].token.span.start..read[range.end - 1].token.span.end;
                    let token = Token { span, text: (*word).to_owned(), kind: TokenKind::Word };
                    read.splice(range, [ReadToken { token, word: (*word).to_owned(), hits, is_weak: false }]);
                }
            }
            at += 1;
        }
    }
}
