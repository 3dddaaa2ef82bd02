//! The place to bring an order to: finds a delivery address in a message. Owns the words of streets and houses; checks no map.

mod words;

use std::ops::Range;

use self::words::{CALLED, ENDS, PLACES, QUANTITIES, STREETS};
use super::text::token::{Token, TokenKind, tokens};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAddress {
    /// Its place in the message, with the words that announce it.
    pub span: Range<usize>,
    pub text: String,
}

/// An answer to the question for an address: it has a number, and a word of streets or houses.
pub fn answers(text: &str) -> bool {
    let tokens = tokens(text);
    let is_place = |token: &Token| {
        token.is_word() && (STREETS.contains(&token.text.as_str()) || PLACES.contains(&token.text.as_str()))
    };
    tokens.iter().any(|token| matches!(token.kind, TokenKind::Number(_)))
        && (tokens.iter().any(is_place) || tokens.iter().any(|token| token.kind == TokenKind::Mark('#')))
}

/// The first address in the text.
pub fn find(text: &str) -> Option<FoundAddress> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).filter(|token| token.is_word()).map_or("", |token| token.text.as_str());
    let is_digit = |at: usize| tokens.get(at).is_some_and(|token| matches!(token.kind, TokenKind::Number(_)));
    let mark = |at: usize, c: char| tokens.get(at).is_some_and(|token| token.kind == TokenKind::Mark(c));
    for at in 0..tokens.len() {
        let start = if CALLED.contains(&word(at)) {
            announced(&tokens, at)
        } else if STREETS.contains(&word(at)) {
            is_street(&tokens, at).then_some(at)
        } else if matches!(
            word(at),
            "barrio"
                | "conjunto"
                | "vereda"
                | "edificio"
                | "hotel"
                | "urbanizacion"
                | "conj"
                | "urb"
                | "colonia"
                | "torre"
                | "finca"
        ) && !word(at + 1).is_empty()
        {
            let before = at.checked_sub(1).map_or("", word);
            let further = at.checked_sub(2).map_or("", word);
            let said = matches!(before, "en" | "a" | "al" | "para") || matches!(further, "en" | "a" | "para");
            let has_number = (at..(at + 8).min(tokens.len())).any(is_digit);
            (said || has_number && at == 0).then_some(at)
        } else {
            let is_house = word(at) == "casa" && is_digit(at + 1) && at == 0;
            let is_crossing = is_digit(at) && mark(at + 1, '#') && is_digit(at + 2);
            (is_house || is_crossing).then_some(at)
        };
        let Some(start) = start else { continue };
        let end = end(&tokens, start);
        if end <= start {
            continue;
        }
        let (first, last) = (&tokens[start], &tokens[end - 1]);
        let found = text.get(first.span.start..last.span.end)?.trim().to_owned();
        // The words that announce it go with it.
        let mut from = start;
        while from > 0
            && (mark(from - 1, ':')
                || matches!(
                    word(from - 1),
                    "la" | "el"
                        | "a"
                        | "para"
                        | "en"
                        | "es"
                        | "mi"
                        | "direccion"
                        | "dir"
                        | "al"
                        | "una"
                        | "envielo"
                        | "enviarlo"
                        | "enviar"
                        | "estoy"
                        | "vivo"
                        | "entregar"
                        | "domicilio"
                        | "llevar"
                        | "mandarlo"
                        | "ubicacion"
                        | "esta"
                        | "mandelo"
                        | "queda"
                        | "entrega"
                        | "barrio"
                        | "ubicado"
                        | "ubicada"
                ))
        {
            from -= 1;
        }
        return Some(FoundAddress { span: tokens[from].span.start..last.span.end, text: found });
    }
    None
}

/// Behind `mi dirección es`, whatever it looks like.
fn announced(tokens: &[Token], at: usize) -> Option<usize> {
    let mut start = at + 1;
    let word = |at: usize| tokens.get(at).filter(|token| token.is_word()).map_or("", |token| token.text.as_str());
    let mut told = false;
    while start < tokens.len() {
        let mark = matches!(tokens[start].kind, TokenKind::Mark(':' | '-' | '\n' | ','));
        if mark || matches!(word(start), "es" | "la" | "el" | "de" | "entrega" | "seria" | "queda" | "mi" | "en" | "a")
        {
            told |= tokens[start].kind == TokenKind::Mark(':') || word(start) == "es" || word(start) == "queda";
            start += 1;
        } else {
            break;
        }
    }
    let has_number = tokens.iter().skip(start).take(12).any(|token| matches!(token.kind, TokenKind::Number(_)));
    let known = STREETS.contains(&word(start)) || PLACES.contains(&word(start));
    let question = tokens.last().is_some_and(|token| token.kind == TokenKind::Mark('?'));
    let food = at < tokens.len() && word(at) == "domicilio" && !known;
    (start < tokens.len() && !question && !food && (known && has_number || told && (has_number || known)))
        .then_some(start)
}

fn is_street(tokens: &[Token], at: usize) -> bool {
    let number = |at: usize| tokens.get(at).is_some_and(|token| matches!(token.kind, TokenKind::Number(_)));
    let mark = |at: usize| tokens.get(at).is_some_and(|token| matches!(token.kind, TokenKind::Mark('.' | '#' | ':')));
    let word = |at: usize| tokens.get(at).filter(|token| token.is_word()).map_or("", |token| token.text.as_str());
    let mut next = at + 1;
    while mark(next) || matches!(word(next), "numero" | "no" | "nro") {
        next += 1;
    }
    // `la calle 80` may be a place that is talked of; `calle 80 # 15` and `calle Mayor 5` are where to bring it.
    if number(next) {
        if matches!(word(at), "manzana" | "cl" | "cr" | "tr" | "mz" | "mza") {
            return (next + 1..next + 5).any(|n| number(n) || matches!(word(n), "casa" | "lote" | "apto"));
        }
        let window = next + 1..(next + 9).min(tokens.len());
        let more = window.clone().any(number);
        let place = window.clone().any(|n| {
            matches!(
                word(n),
                "barrio"
                    | "casa"
                    | "apto"
                    | "piso"
                    | "edificio"
                    | "conjunto"
                    | "local"
                    | "finca"
                    | "torre"
                    | "con"
                    | "esquina"
            )
        });
        return more || place;
    }
    if matches!(word(at), "km" | "cl" | "cr" | "tv" | "manzana" | "mz") {
        return false;
    }
    // A street with a name: up to four words, then its number.
    let mut named = 0;
    while !word(next).is_empty() && named < 4 && !ENDS.contains(&word(next)) && !QUANTITIES.contains(&word(next)) {
        next += 1;
        named += 1;
        while mark(next) || matches!(tokens.get(next).map(|token| token.kind), Some(TokenKind::Mark(','))) {
            next += 1;
        }
    }
    named > 0 && number(next)
}

fn end(tokens: &[Token], start: usize) -> usize {
    let word = |at: usize| tokens.get(at).filter(|token| token.is_word()).map_or("", |token| token.text.as_str());
    let number = |at: usize| tokens.get(at).is_some_and(|token| matches!(token.kind, TokenKind::Number(_)));
    let goes_on = |at: usize| {
        let mut at = at;
        while matches!(word(at), "el" | "la" | "del" | "de" | "en" | "al") {
            at += 1;
        }
        STREETS.contains(&word(at)) || PLACES.contains(&word(at))
    };
    let mut at = start + 1;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.kind {
            TokenKind::Mark('\n' | '?' | '!' | ';') if !goes_on(at + 1) => break,
            TokenKind::Mark(',' | '.') => {
                // `No. 72`, `Cra. 7`.
                if token.kind == TokenKind::Mark('.')
                    && (number(at + 1)
                        || matches!(
                            word(at - 1),
                            "no" | "nro" | "av" | "cra" | "cll" | "apto" | "of" | "cl" | "kr" | "int"
                        ))
                {
                    at += 1;
                    continue;
                }
                let quantity = QUANTITIES.contains(&word(at + 1))
                    || number(at + 1) && !matches!(word(at + 2), "" | "o" | "a" | "er" | "do" | "piso");
                let short =
                    (1..=5).find(|n| at + n >= tokens.len() || matches!(tokens[at + n].kind, TokenKind::Mark(_)));
                let ends = (1..=short.unwrap_or(5)).any(|n| ENDS.contains(&word(at + n)));
                let a_name = token.kind == TokenKind::Mark(',')
                    && short.is_some()
                    && !ends
                    && !quantity
                    && word(at + 1) != "y"
                    && word(at + 1) != "con";
                if !goes_on(at + 1) && !a_name {
                    break;
                }
                if ends && !goes_on(at + 1) {
                    break;
                }
            }
            TokenKind::Mark('(' | ')' | '#' | '-' | '/' | ':' | '\'' | '"' | '°' | 'º' | '\n') => {}
            TokenKind::Mark(_) => break,
            TokenKind::Word => {
                if token.text == "y" && !number(at + 1) {
                    break;
                }
                if matches!(token.text.as_str(), "con" | "en" | "a") && ENDS.contains(&word(at + 1)) {
                    break;
                }
                if ENDS.contains(&token.text.as_str()) {
                    break;
                }
                if QUANTITIES.contains(&token.text.as_str())
                    && !matches!(word(at + 1), "piso" | "pisos" | "cuadras" | "casas" | "esquinas" | "")
                {
                    break;
                }
            }
            TokenKind::Figure if token.text.len() >= 7 => break,
            _ => {}
        }
        at += 1;
    }
    while at > start && matches!(tokens[at - 1].kind, TokenKind::Mark(c) if c != ')') {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::find;

    fn found(text: &str) -> Option<String> {
        find(text).map(|address| address.text)
    }

    #[test]
    fn an_address_ends_where_the_talk_goes_on() {
        let cases = [
            ("2 chuzos para la calle 72 # 10-34 apto 502, pago por nequi", "calle 72 # 10-34 apto 502"),
            ("cra 43A # 5-15, edificio Ventura piso 3", "cra 43A # 5-15, edificio Ventura piso 3"),
            ("estoy en el barrio La Esperanza manzana 4 casa 12", "barrio La Esperanza manzana 4 casa 12"),
            ("calle 8 # 9-10 y dos perros", "calle 8 # 9-10"),
            ("Mándalo a Av. Corrientes 1234, 5º B, gracias", "Av. Corrientes 1234, 5º B"),
        ];
        for (text, expected) in cases {
            assert_eq!(found(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn talk_of_a_street_is_no_address() {
        for text in [
            "son los de la 80?",
            "una manzana postobón y 2 perros",
            "dos burgers",
            "quiero una casa",
            "cuál es la dirección?",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
