//! Tokens: words, numbers, measures and marks, each with its place in the text. Owns splitting; knows no vocabulary
//! but units of measure.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::number::Thousandths;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Word,
    Number(Thousandths),
    /// Millilitres or grams.
    Measure(u32),
    /// Thousands: pesos, or a number of things that nobody orders.
    Amount(u32),
    /// A time of day or a number beyond all measure: no quantity.
    Figure,
    Mark(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub span: Range<usize>,
    /// Folded.
    pub text: String,
    pub kind: TokenKind,
}

impl Token {
    pub fn is_word(&self) -> bool {
        self.kind == TokenKind::Word
    }

    pub fn number(&self) -> Option<Thousandths> {
        match self.kind {
            TokenKind::Number(value) => Some(value),
            _ => None,
        }
    }
}

/// Foods that emoji stand for.
const EMOJI: [(char, &str); 22] = [
    ('🍔', "hamburguesa"),
    ('🍕', "pizza"),
    ('🌭', "perro"),
    ('🍟', "papas"),
    ('🥤', "gaseosa"),
    ('🍺', "cerveza"),
    ('🍻', "cerveza"),
    ('🌮', "taco"),
    ('🌯', "burrito"),
    ('🍗', "pollo"),
    ('🍣', "sushi"),
    ('☕', "cafe"),
    ('🍦', "helado"),
    ('🍨', "helado"),
    ('🥗', "ensalada"),
    ('🍚', "arroz"),
    ('🍩', "dona"),
    ('🥟', "empanada"),
    ('🍝', "espagueti"),
    ('🫔', "tamal"),
    ('🍰', "torta"),
    ('🥩', "carne"),
];

/// The food that an emoji token stands for.
pub fn emoji_food(mark: char) -> Option<&'static str> {
    EMOJI.iter().find(|(emoji, _)| *emoji == mark).map(|(_, food)| *food)
}

/// Units behind a number, with their size in millilitres or grams.
fn unit(text: &str) -> Option<u32> {
    Some(match text {
        "l" | "lt" | "lts" | "litro" | "litros" | "kg" | "kilo" | "kilos" | "lit" | "litrico" => 1_000,
        "ml" | "cc" | "cm3" | "mililitros" | "g" | "gr" | "grs" | "gramos" | "mls" => 1,
        "oz" | "onzas" => 30,
        _ => return None,
    })
}

#[derive(PartialEq, Clone, Copy)]
enum Class {
    Letter,
    Digit,
    Other,
}

/// Splits the text. What lies beyond the bound in bytes is not read.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut raw = split(text);
    join_numbers(&mut raw);
    join_words(&mut raw);
    join_measures(&mut raw);
    open_counts(&mut raw);
    open_list(&mut raw);
    raw
}

/// `1. tamal 2. changua 3. café`, all in one line: the numbers enumerate, and each begins a line. A list of two may
/// count as well, and is left to the reader.
fn open_list(tokens: &mut [Token]) {
    const SHORTEST: usize = 3;
    let numbers: Vec<usize> = (0..tokens.len().saturating_sub(1))
        .filter(|at| {
            matches!(tokens[*at].kind, TokenKind::Number(_))
                && matches!(tokens[at + 1].kind, TokenKind::Mark('.' | ')'))
                && tokens[at + 1].span.start == tokens[*at].span.end
        })
        .collect();
    let in_order = numbers.iter().zip(1..).all(|(at, n)| tokens[*at].number() == Some(n * 1_000));
    let begins_line = |at: usize| at == 0 || matches!(tokens[at - 1].kind, TokenKind::Mark('\n' | ':'));
    let one_line = numbers.iter().any(|at| !begins_line(*at));
    if numbers.len() < SHORTEST || !in_order || !one_line || !begins_line(numbers[0]) {
        return;
    }
    for at in numbers {
        for token in &mut tokens[at..at + 2] {
            token.text = "\n".to_owned();
            token.kind = TokenKind::Mark('\n');
        }
    }
}

/// `(2) tamales` is `2 tamales`, and `dos (2) tamales` says it twice. A number in parentheses behind a dish stays.
fn open_counts(tokens: &mut Vec<Token>) {
    let mut at = 0;
    while at + 2 < tokens.len() {
        let is_count = tokens[at].kind == TokenKind::Mark('(')
            && matches!(tokens[at + 1].kind, TokenKind::Number(_))
            && tokens[at + 2].kind == TokenKind::Mark(')');
        if !is_count {
            at += 1;
            continue;
        }
        let before = at.checked_sub(1).map(|n| &tokens[n]);
        let is_said_twice = before.is_some_and(|before| {
            let said = match before.kind {
                TokenKind::Number(value) => Some(value),
                TokenKind::Word if matches!(before.text.as_str(), "un" | "una") => Some(1_000),
                TokenKind::Word => super::number::word(&before.text).map(|value| value * 1_000),
                _ => None,
            };
            said.is_some() && said == tokens[at + 1].number()
        });
        let begins = before.is_none_or(|before| match before.kind {
            TokenKind::Mark(mark) => matches!(mark, '\n' | ',' | '.' | ';' | ':' | '-'),
            _ => before.text == "y",
        });
        if is_said_twice {
            tokens.drain(at..at + 3);
        } else if begins {
            tokens.remove(at + 2);
            tokens.remove(at);
        }
        at += 1;
    }
}

/// An asterisk makes letters bold, multiplies, or begins an entry of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asterisk {
    Bold,
    Times,
    Bullet,
}

/// The asterisk at a byte of the text.
fn asterisk(text: &str, at: usize) -> Asterisk {
    let line_start = text[..at].rfind('\n').map_or(0, |mark| mark + 1);
    let line_end = text[at..].find('\n').map_or(text.len(), |mark| at + mark);
    let (before, behind) = (&text[line_start..at], &text[at + 1..line_end]);
    let opens = |before: &str, behind: &str| {
        before.chars().next_back().is_none_or(|c| !c.is_alphanumeric())
            && behind.starts_with(|c: char| !c.is_whitespace() && c != '*')
    };
    let closes = |before: &str, behind: &str| {
        before.ends_with(|c: char| !c.is_whitespace() && c != '*') && !behind.starts_with(|c: char| c.is_alphanumeric())
    };
    let is_open = before.match_indices('*').filter(|(n, _)| opens(&before[..*n], &text[line_start + n + 1..line_end]));
    let is_closed = behind.match_indices('*').any(|(n, _)| closes(&text[line_start..at + 1 + n], &behind[n + 1..]));
    let pairs_before = is_open.count();
    if opens(before, behind) && is_closed || closes(before, behind) && pairs_before > 0 {
        return Asterisk::Bold;
    }
    let digits = behind.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let counted = before.trim_end().ends_with(|c: char| c.is_ascii_digit());
    let named = before.trim_end().ends_with(char::is_alphabetic);
    let names = behind.trim_start().starts_with(char::is_alphabetic);
    if named && digits || counted && (names || digits) { Asterisk::Times } else { Asterisk::Bullet }
}

fn split(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut class = Class::Other;
    for (start, c) in text.char_indices() {
        let end = start + c.len_utf8();
        if c == '*' {
            let (text, kind) = match asterisk(text, start) {
                Asterisk::Bold => {
                    class = Class::Other;
                    continue;
                }
                Asterisk::Times => ("x", TokenKind::Word),
                Asterisk::Bullet => ("\n", TokenKind::Mark('\n')),
            };
            tokens.push(Token { span: start..end, text: text.to_owned(), kind });
            class = Class::Other;
            continue;
        }
        // As the bot itself writes it.
        if matches!(c, '×' | '✕' | '✖') {
            tokens.push(Token { span: start..end, text: "x".to_owned(), kind: TokenKind::Word });
            class = Class::Other;
            continue;
        }
        // `1½` is no eleven halves.
        if matches!(c, '½' | '¼' | '¾' | '⅓' | '⅔') {
            class = Class::Other;
        }
        if is_combining_mark(c) || matches!(c, '\u{200b}'..='\u{200f}' | '\u{fe0f}' | '\'' | '’' | '´' | '`' | '\u{ad}')
        {
            if class != Class::Other
                && let Some(last) = tokens.last_mut()
            {
                last.span.end = end;
            }
            continue;
        }
        for folded in std::iter::once(c).nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
            let now = match folded {
                '0'..='9' => Class::Digit,
                c if c.is_alphabetic() => Class::Letter,
                _ => Class::Other,
            };
            match now {
                Class::Other if folded.is_whitespace() && folded != '\n' => {}
                Class::Other => {
                    let mark = match folded {
                        '•' | '✅' | '✔' | '👉' | '▪' | '·' | '\u{2028}' => '\n',
                        '\u{2044}' => '/',
                        '–' | '—' => '-',
                        '¡' | '¿' => continue,
                        '…' => '.',
                        other => other,
                    };
                    tokens.push(Token { span: start..end, text: mark.to_string(), kind: TokenKind::Mark(mark) });
                }
                _ if now == class && tokens.last().is_some_and(|last| last.span.end >= start) => {
                    // A run of one letter keeps two: nobody's word has more.
                    let last = tokens.last_mut().expect("a letter was before");
                    last.span.end = end;
                    if now == Class::Digit || !last.text.ends_with(&format!("{folded}{folded}")) {
                        last.text.push(folded);
                    }
                }
                _ => {
                    let kind = if now == Class::Digit { TokenKind::Number(0) } else { TokenKind::Word };
                    tokens.push(Token { span: start..end, text: folded.to_string(), kind });
                }
            }
            class = if now == Class::Other { Class::Other } else { now };
        }
    }
    tokens
}

/// Decimals, thousands, fractions, times and amounts of money become one token each.
fn join_numbers(tokens: &mut Vec<Token>) {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        if !matches!(token.kind, TokenKind::Number(_)) {
            joined.push(token.clone());
            at += 1;
            continue;
        }
        let whole = token.text.parse::<u32>().ok().filter(|whole| *whole < 4_000_000);
        let tail = tokens.get(at + 1).zip(tokens.get(at + 2)).filter(|(mark, digits)| {
            // `½` is one letter.
            (mark.span.start == token.span.end && digits.span.start == mark.span.end || mark.span == token.span)
                && matches!(digits.kind, TokenKind::Number(_))
        });
        let money = joined.last().is_some_and(|last| last.kind == TokenKind::Mark('$'));
        let mut taken = 1;
        let mut kind = match whole {
            Some(whole) => TokenKind::Number(whole.saturating_mul(1_000)),
            None => TokenKind::Figure,
        };
        if let Some((mark, digits)) = tail
            && let (Some(whole), Ok(part)) = (whole, digits.text.parse::<u32>())
        {
            let decimals = digits.text.len();
            let found = match mark.kind {
                TokenKind::Mark('.' | ',') if decimals == 3 && whole > 0 && whole < 1_000 => {
                    Some(TokenKind::Amount(whole * 1_000 + part))
                }
                TokenKind::Mark('.' | ',') if decimals <= 2 && whole < 100 => {
                    let scale = if decimals == 1 { 100 } else { 10 };
                    Some(TokenKind::Number(whole * 1_000 + part * scale))
                }
                TokenKind::Mark('/') if (1..=9).contains(&part) && whole < part => {
                    Some(TokenKind::Number(whole * 1_000 / part))
                }
                TokenKind::Mark(':') if decimals == 2 && whole < 24 && part < 60 => Some(TokenKind::Figure),
                _ => None,
            };
            if let Some(found) = found {
                kind = found;
                taken = 3;
            }
        }
        if money {
            kind = match kind {
                TokenKind::Number(value) => TokenKind::Amount(value / 1_000),
                other => other,
            };
        }
        let end = tokens[at + taken - 1].span.end;
        let text = if taken == 1 { token.text.clone() } else { number_text(kind) };
        joined.push(Token { span: token.span.start..end, text, kind });
        at += taken;
    }
    *tokens = joined;
}

fn number_text(kind: TokenKind) -> String {
    match kind {
        TokenKind::Number(value) if value % 1_000 == 0 => (value / 1_000).to_string(),
        TokenKind::Number(value) => format!("{}", f64::from(value) / 1_000.0),
        _ => String::from("0"),
    }
}

/// `ciento veinte` is one number; `10 mil`, `5 lucas` and `20.000 pesos` are amounts.
fn join_words(tokens: &mut Vec<Token>) {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let Some((kind, taken)) = counted(&tokens[at..]) else {
            joined.push(tokens[at].clone());
            at += 1;
            continue;
        };
        let span = tokens[at].span.start..tokens[at + taken - 1].span.end;
        joined.push(Token { span, text: number_text(kind), kind });
        at += taken;
    }
    *tokens = joined;
}

/// The number of several words that begins here, and how many they are.
fn counted(tokens: &[Token]) -> Option<(TokenKind, usize)> {
    const LONGEST: usize = 9;
    let word = |at: usize| tokens.get(at).filter(|token| token.is_word()).map_or("", |token| token.text.as_str());
    let words_from =
        |from: usize| -> Vec<&str> { (from..from + LONGEST).map(word).take_while(|word| !word.is_empty()).collect() };
    let (start, mut taken) = match tokens[0].kind {
        TokenKind::Number(value) => (u64::from(value) / 1_000, 1),
        TokenKind::Amount(value) => (u64::from(value), 1),
        // `mil gracias` are none.
        TokenKind::Word if word(0) == "mil" => (1, 0),
        TokenKind::Word => {
            let (value, taken) = super::number::below_thousand(&words_from(0))?;
            (u64::from(value), taken)
        }
        _ => return None,
    };
    let is_whole = !matches!(tokens[0].kind, TokenKind::Number(value) if value % 1_000 != 0);
    let glued = tokens.get(1).is_some_and(|next| next.span.start == tokens[0].span.end);
    let mut value = start;
    let mut is_amount = matches!(tokens[0].kind, TokenKind::Amount(_));
    if !is_amount && is_whole {
        match word(taken) {
            // `dos mil hojas` are pastries.
            "mil" if word(taken + 1) != "hojas" => {
                let rest = super::number::below_thousand(&words_from(taken + 1));
                // `mil una vez` says no number.
                if taken == 0 && rest.is_none_or(|(rest, _)| rest < 2) && !is_money(word(1)) {
                    return None;
                }
                taken += 1;
                value *= 1_000;
                is_amount = true;
                if let Some((rest, words)) = rest.filter(|(rest, _)| *rest >= 2) {
                    value += u64::from(rest);
                    taken += words;
                }
            }
            "luca" | "lucas" | "luquitas" => {
                taken += 1;
                value *= 1_000;
                is_amount = true;
            }
            "k" if glued && taken == 1 => {
                taken += 1;
                value *= 1_000;
                is_amount = true;
            }
            _ => {}
        }
    }
    if is_money(word(taken)) && is_whole {
        is_amount = true;
        taken += 1;
    }
    let kind = if is_amount {
        TokenKind::Amount(u32::try_from(value).ok()?)
    } else {
        TokenKind::Number(u32::try_from(value * 1_000).ok()?)
    };
    (taken >= 2).then_some((kind, taken))
}

fn is_money(word: &str) -> bool {
    matches!(word, "pesos" | "pesitos" | "cop")
}

/// `1.5 l`, `350ml`, `2 litros`, `litro y medio`, `medio litro`.
fn join_measures(tokens: &mut Vec<Token>) {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let size = tokens[at].is_word().then(|| unit(&tokens[at].text)).flatten();
        let Some(size) = size else {
            joined.push(tokens[at].clone());
            at += 1;
            continue;
        };
        let long = tokens[at].text.starts_with("lit");
        let word =
            |offset: usize| tokens.get(at + offset).filter(|token| token.is_word()).map_or("", |token| &token.text);
        let number = joined.last().and_then(|last| match &last.kind {
            TokenKind::Number(value) => Some(*value),
            TokenKind::Word if long && matches!(last.text.as_str(), "medio") => Some(500),
            TokenKind::Word if long => super::number::word(&last.text).map(|value| value * 1_000),
            _ => None,
        });
        let half = long && word(1) == "y" && matches!(word(2), "medio" | "media" | "1/2");
        let fraction = long && word(1) == "y" && tokens.get(at + 2).is_some_and(|token| token.number() == Some(500));
        let extra = if half || fraction { 500 } else { 0 };
        let taken = if extra > 0 { 3 } else { 1 };
        let end = tokens[at + taken - 1].span.end;
        match number {
            Some(value) if extra == 0 || value > 500 => {
                let value = u64::from(value) + extra;
                let base = u32::try_from(value * u64::from(size) / 1_000).unwrap_or(u32::MAX);
                let start = joined.pop().map_or(tokens[at].span.start, |last| last.span.start);
                joined.push(Token { span: start..end, text: format!("{base}ml"), kind: TokenKind::Measure(base) });
            }
            _ if long => {
                let base = 1_000 + u32::try_from(extra).unwrap_or(0);
                joined.push(Token {
                    span: tokens[at].span.start..end,
                    text: format!("{base}ml"),
                    kind: TokenKind::Measure(base),
                });
            }
            _ => {
                joined.push(tokens[at].clone());
                at += 1;
                continue;
            }
        }
        at += taken;
    }
    *tokens = joined;
}

#[cfg(test)]
mod tests {
    use super::tokens;

    fn shown(text: &str) -> String {
        tokens(text).iter().map(|token| token.text.clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn glued_numbers_come_apart_and_measures_together() {
        assert_eq!(shown("3chuzos mixtos 1pepsi 2 litros"), "3 chuzos mixtos 1 pepsi 2000ml");
        assert_eq!(shown("Coca-Cola 1.5 L"), "coca - cola 1500ml");
        assert_eq!(shown("coca de litro y medio"), "coca de 1500ml");
        assert_eq!(shown("350ml, 1/2 pollo"), "350ml , 0.5 pollo");
        assert_eq!(shown("½ pollo"), "0.5 pollo");
        assert_eq!(shown("papas x2"), "papas x 2");
    }

    #[test]
    fn a_number_in_parentheses_counts_what_follows_or_repeats_what_was_said() {
        assert_eq!(shown("(2) tamales, (3) cafés"), "2 tamales , 3 cafes");
        assert_eq!(shown("dos (2) tamales y un (1) café"), "dos tamales y un cafe");
        assert_eq!(shown("tamales (2)"), "tamales ( 2 )");
    }

    #[test]
    fn a_list_in_one_line_is_enumerated() {
        assert_eq!(shown("1. tamal 2. changua 3. café"), "\n \n tamal \n \n changua \n \n cafe");
        assert_eq!(shown("1. tamal 2. changuas"), "1 . tamal 2 . changuas");
        assert_eq!(shown("quiero 1. tamal"), "quiero 1 . tamal");
    }

    #[test]
    fn spans_point_into_the_text() {
        let text = "Ñoquis y café\u{301} 2️⃣ 🍕";
        for token in tokens(text) {
            assert!(text.get(token.span.clone()).is_some(), "{token:?}");
        }
    }

    #[test]
    fn times_and_amounts_are_no_quantities() {
        assert_eq!(shown("a las 12:30 con $20.000"), "a las 0 con $ 0");
    }
}
