//! Numbers as answers: `2 del 4` of the menu, `el segundo` of a question. Owns these few forms; a text with more in it is the parser's.

use std::sync::LazyLock;

use regex::Regex;

use crate::bot::text::{self, number};

/// Units of a dish by its number on the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedWish {
    pub qty: u32,
    pub number: usize,
    /// Nothing but the number was said.
    pub is_bare: bool,
}

const MOST_ENTRIES: usize = 20;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of ours")
}

static BORDER: LazyLock<Regex> = LazyLock::new(|| regex(r"\s*(?:[,;\n+]|\by\b|\band\b)\s*"));
static ENTRY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:(?:quiero|deme|dame|me da|regaleme|quisiera|give me|i want|i would like)\s+)?(?:(\d{1,3}|[a-z]{2,12})\s+(?:del?|de la|of|of the)\s+)?(?P<article>(?:el|la|los|las|the)\s+)?(?:numero|number|nro\.?|no\.|item|plato)?\s*#?\s*(?P<number>\d{1,4})\.?(?:\s+(?:por favor|porfa|porfavor|please|gracias))?$",
    )
});
static CHOICE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:(?:la|el|the|quiero|deme|dame|mejor|seria)\s+)*(?:opcion|numero|option|number)?\s*#?\s*(?:(\d{1,2})\.?|(primer[oa]?|segund[oa]|tercer[oa]?|cuart[oa]|quint[oa]|ultim[oa]|first|second|third|last))(?:\s+(?:opcion|one))?(?:\s+(?:por favor|porfa|porfavor|please|gracias))?$",
    )
});

fn plain(said: &str) -> String {
    text::fold(said).trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '!' | '*' | '¡')).to_owned()
}

/// The whole text as numbers of the menu; `None` if anything else is in it.
pub fn wishes(said: &str) -> Option<Vec<NumberedWish>> {
    if said.len() > 200 {
        return None;
    }
    let folded = plain(said);
    let mut wishes = Vec::new();
    for entry in BORDER.split(&folded).filter(|entry| !entry.is_empty()) {
        let found = ENTRY.captures(entry)?;
        let qty = match found.get(1).map(|qty| qty.as_str()) {
            None => None,
            Some("un" | "una" | "one") => Some(1),
            Some("two") => Some(2),
            Some("three") => Some(3),
            Some(qty) => Some(qty.parse().ok().or_else(|| number::word(qty))?),
        };
        if qty == Some(0) || wishes.len() >= MOST_ENTRIES {
            return None;
        }
        let is_bare = qty.is_none() && found.name("article").is_none() && !entry.contains(['#', 'n', 'i']);
        wishes.push(NumberedWish { qty: qty.unwrap_or(1), number: found["number"].parse().ok()?, is_bare });
    }
    (!wishes.is_empty()).then_some(wishes)
}

/// The answer to a question with so many numbered options, from zero on.
pub fn choice(said: &str, options: usize) -> Option<usize> {
    let folded = plain(said);
    let found = CHOICE.captures(&folded)?;
    let number = match (found.get(1), found.get(2)) {
        (Some(digits), _) => digits.as_str().parse().ok()?,
        (_, Some(word)) => match &word.as_str()[..3] {
            "pri" | "fir" => 1,
            "seg" | "sec" => 2,
            "ter" | "thi" => 3,
            "cua" => 4,
            "qui" => 5,
            _ => options,
        },
        _ => return None,
    };
    (1..=options).contains(&number).then(|| number - 1)
}

#[cfg(test)]
mod tests {
    use super::{choice, wishes};

    #[test]
    fn numbers_of_the_menu() {
        let read = |text: &str| wishes(text).map(|all| all.iter().map(|w| (w.qty, w.number)).collect::<Vec<_>>());
        for (text, expected) in [
            ("3", vec![(1, 3)]),
            ("2 del 4", vec![(2, 4)]),
            ("dos del 4 y uno del 7", vec![(2, 4), (1, 7)]),
            ("el 3 y el 5", vec![(1, 3), (1, 5)]),
            ("#12 por favor", vec![(1, 12)]),
            ("3, 5, 7", vec![(1, 3), (1, 5), (1, 7)]),
            ("quiero el número 8", vec![(1, 8)]),
            ("2 of 4", vec![(2, 4)]),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["2 perros", "calle 10 # 20-30", "0 del 4", "3001234567", "a las 3", "", "3 gaseosas y 2 del 4"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(wishes("3").unwrap()[0].is_bare && !wishes("el 3").unwrap()[0].is_bare);
    }

    #[test]
    fn answers_to_a_list() {
        for (text, expected) in [
            ("1", Some(0)),
            ("la 2", Some(1)),
            ("el segundo", Some(1)),
            ("La primera, por favor", None),
            ("la primera por favor", Some(0)),
            ("opción 3", Some(2)),
            ("la última", Some(2)),
            ("4", None),
            ("the second one", Some(1)),
            ("la grande", None),
            ("1 de cada una", None),
        ] {
            assert_eq!(choice(text, 3), expected, "{text}");
        }
    }
}
