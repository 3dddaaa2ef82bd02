//! Parts of an address that a customer corrects: `apto 501`, `torre 3`. Owns their pattern, and which of them takes another's place in an
//! address; knows no conversation.

use std::sync::LazyLock;

use regex::Regex;

static PART: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\b(apto|apt|apartamento|torre|casa|piso|oficina|of|interior|int|bloque|bl|manzana|mz|lote|local|apartment|tower|house|floor)\s*(?:#|n[uú]mero|no\.?|nro\.?)?\s*(\d{1,5}\s?[a-z]?|[a-z])\b",
    )
    .expect("a pattern of ours")
});

/// Words around a correction that say nothing by themselves.
const FILLERS: &[&str] = &[
    "perdon",
    "perdone",
    "disculpe",
    "disculpa",
    "es",
    "son",
    "mejor",
    "a",
    "la",
    "el",
    "los",
    "las",
    "en",
    "ay",
    "uy",
    "ah",
    "que",
    "no",
    "y",
    "de",
    "del",
    "realidad",
    "era",
    "quise",
    "decir",
    "digo",
    "corrijo",
    "sorry",
    "me",
    "equivoque",
    "mi",
    "al",
    "seria",
    "por",
    "favor",
    "porfa",
    "espere",
    "pero",
    "si",
    "its",
    "it",
    "is",
    "the",
];

/// `perdón, es apto 501`: nothing but parts of an address, one after the other.
pub fn address_parts(plain: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for found in PART.captures_iter(plain) {
        parts.retain(|(unit, _)| *unit != found[1]);
        parts.push((found[1].to_owned(), found[2].replace(' ', "")));
    }
    let rest = PART.replace_all(plain, " ");
    // The number that is taken back: `no 4`, `no el 4`.
    let mut is_refused = false;
    let is_rest = rest.split_whitespace().all(|word| {
        is_refused |= word == "no";
        FILLERS.contains(&word) || is_refused && word.chars().all(|c| c.is_ascii_digit())
    });
    if is_rest { parts } else { Vec::new() }
}

fn unit_of(word: &str) -> &str {
    match word {
        "apt" | "apartamento" | "apartment" => "apto",
        "of" => "oficina",
        "int" => "interior",
        "bl" => "bloque",
        "mz" => "manzana",
        word => word,
    }
}

/// The address with a part in the place of the one of its kind, or behind it all.
pub fn amended(address: &str, parts: &[(String, String)]) -> String {
    let mut address = address.to_owned();
    for (unit, number) in parts {
        let is_same = |word: &str| unit_of(unit) == unit_of(word);
        let folded = address.to_lowercase();
        let old = PART
            .captures_iter(&folded)
            .find(|found| is_same(&found[1]))
            .and_then(|found| found.get(0))
            .map(|found| found.range());
        let new = format!("{unit} {number}");
        match old {
            // Lower case may have other lengths than the text itself; then nothing is cut out of it.
            Some(range)
                if folded.len() == address.len()
                    && address.is_char_boundary(range.start)
                    && address.is_char_boundary(range.end) =>
            {
                address.replace_range(range, &new);
            }
            _ => address = format!("{address}, {new}"),
        }
    }
    address
}

/// `1`, `es el 4`: a number and nothing that it counts. `Some(true)`: no article either.
pub fn bare_number(plain: &str) -> Option<bool> {
    let mut words: Vec<&str> = plain.split(' ').collect();
    words.pop().filter(|last| !last.is_empty() && last.len() <= 5 && last.chars().all(|c| c.is_ascii_digit()))?;
    let is_filler = words.iter().all(|word| FILLERS.contains(word));
    is_filler.then(|| !words.iter().any(|word| matches!(*word, "el" | "la" | "los" | "las")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address_take_each_others_place() {
        let amend = |said: &str| amended("Calle 10 # 20-30 Apto 4", &address_parts(said));
        assert_eq!(amend("perdon es apto 501"), "Calle 10 # 20-30 apto 501");
        assert_eq!(amend("perdon apto 202 no 4"), "Calle 10 # 20-30 apto 202");
        assert_eq!(amend("mejor a la torre 3"), "Calle 10 # 20-30 Apto 4, torre 3");
        assert_eq!(amend("el apartamento 7 b"), "Calle 10 # 20-30 apartamento 7b");
        for said in ["dos hamburguesas", "quite 1", "4", "casa con 2 perros", "una picada para el piso 3"] {
            assert!(address_parts(said).is_empty(), "{said}");
        }
        assert_eq!((bare_number("1"), bare_number("el 4"), bare_number("que sean 3")), (Some(true), Some(false), None));
    }
}
