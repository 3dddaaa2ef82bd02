//! Number words of Spanish. A table of our own; numbers beyond what anybody orders are none.

use super::sound;

/// A value in thousandths, so that halves and litres and a half are whole numbers.
pub type Thousandths = u32;

const UNITS: [(&str, u32); 50] = [
    ("cero", 0),
    ("uno", 1),
    ("dos", 2),
    ("tres", 3),
    ("cuatro", 4),
    ("cinco", 5),
    ("seis", 6),
    ("siete", 7),
    ("ocho", 8),
    ("nueve", 9),
    ("diez", 10),
    ("once", 11),
    ("doce", 12),
    ("trece", 13),
    ("catorce", 14),
    ("quince", 15),
    ("dieciseis", 16),
    ("diecisiete", 17),
    ("dieciocho", 18),
    ("diecinueve", 19),
    ("veinte", 20),
    ("veintiuno", 21),
    ("veintiun", 21),
    ("veintiuna", 21),
    ("veintidos", 22),
    ("veintitres", 23),
    ("veinticuatro", 24),
    ("veinticinco", 25),
    ("veintiseis", 26),
    ("veintisiete", 27),
    ("veintiocho", 28),
    ("veintinueve", 29),
    ("cien", 100),
    ("ciento", 100),
    ("doscientos", 200),
    ("doscientas", 200),
    ("trescientos", 300),
    ("trescientas", 300),
    ("cuatrocientos", 400),
    ("cuatrocientas", 400),
    ("quinientos", 500),
    ("quinientas", 500),
    ("seiscientos", 600),
    ("seiscientas", 600),
    ("setecientos", 700),
    ("setecientas", 700),
    ("ochocientos", 800),
    ("ochocientas", 800),
    ("novecientos", 900),
    ("novecientas", 900),
];

const TENS: [(&str, u32); 7] = [
    ("treinta", 30),
    ("cuarenta", 40),
    ("cincuenta", 50),
    ("sesenta", 60),
    ("setenta", 70),
    ("ochenta", 80),
    ("noventa", 90),
];

/// The value of one word, `un` and `una` apart. Spelling by ear counts: `sinco`, `dies`.
pub fn word(folded: &str) -> Option<u32> {
    let by_name = |name: &str| name == folded;
    let found = UNITS.iter().chain(&TENS).find(|(name, _)| by_name(name));
    if let Some((_, value)) = found {
        return Some(*value);
    }
    if let Some((tens, rest)) = joined_tens(folded).filter(|(tens, _)| *tens >= 20)
        && let Some(unit) = UNITS.iter().find(|(name, value)| *name == rest && (1..10).contains(value))
    {
        return Some(tens + unit.1);
    }
    // Three letters sound like too much else.
    if folded.len() < 4 || matches!(folded, "vente" | "ocha" | "onza" | "zero" | "sero" | "sinto") {
        return None;
    }
    let heard = sound::key(folded);
    UNITS.iter().chain(&TENS).find(|(name, _)| name.len() >= 4 && sound::key(name) == heard).map(|(_, value)| *value)
}

/// True: a number's own name, and nothing that only sounds like it.
pub fn is_named(folded: &str) -> bool {
    UNITS.iter().chain(&TENS).any(|(name, _)| *name == folded)
}

/// The number of one to nine that a word is, `un` and `una` included.
fn unit(folded: &str) -> Option<u32> {
    match folded {
        "un" | "una" => Some(1),
        word_of_one => word(word_of_one).filter(|value| (1..10).contains(value)),
    }
}

/// Words of tens that lost the blank or gained one: `veinti cinco`, `treintaidos`.
fn joined_tens(folded: &str) -> Option<(u32, &str)> {
    let stems = [("dieci", 10), ("veinti", 20), ("treintai", 30), ("cuarentai", 40), ("cincuentai", 50)];
    let stems = stems.iter().chain(&[("sesentai", 60), ("setentai", 70), ("ochentai", 80), ("noventai", 90)]);
    stems.filter_map(|(stem, value)| folded.strip_prefix(stem).map(|rest| (*value, rest))).next()
}

/// The number below a hundred that begins the words, and how many of them it is.
fn below_hundred(words: &[&str]) -> Option<(u32, usize)> {
    let first = *words.first()?;
    let behind = |at: usize| words.get(at).copied().unwrap_or_default();
    if let Some((tens, rest)) = joined_tens(first)
        && word(first).is_none()
    {
        let (unit_word, taken) = if rest.is_empty() { (behind(1), 2) } else { (rest, 1) };
        return unit(unit_word).map(|unit| (tens + unit, taken));
    }
    let value = unit(first).or_else(|| word(first).filter(|value| *value < 100))?;
    // `diez y seis` is one number, `diez y dos` are two.
    let units = match value {
        10 => 6..10,
        20 | 30 | 40 | 50 | 60 | 70 | 80 | 90 => 1..10,
        _ => return Some((value, 1)),
    };
    let added = (matches!(behind(1), "y" | "i")).then(|| unit(behind(2))).flatten();
    match added.filter(|unit| units.contains(unit)) {
        Some(unit) => Some((value + unit, 3)),
        None => Some((value, 1)),
    }
}

/// The number below a thousand that begins the words: `doscientas cincuenta y cinco`.
pub fn below_thousand(words: &[&str]) -> Option<(u32, usize)> {
    let first = *words.first()?;
    let hundreds = word(first).filter(|value| *value >= 100 && value % 100 == 0);
    let Some(hundreds) = hundreds else { return below_hundred(words) };
    match below_hundred(&words[1..]) {
        Some((rest, taken)) => Some((hundreds + rest, taken + 1)),
        None => Some((hundreds, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::{below_thousand, word};

    #[test]
    fn numbers_are_read_by_name_and_by_ear() {
        for (text, value) in [("dos", 2), ("sinco", 5), ("kuatro", 4), ("dies", 10), ("veintidos", 22), ("treinta", 30)]
        {
            assert_eq!(word(text), Some(value), "{text}");
        }
        for (text, value) in [
            ("ciento veinte", 120),
            ("doscientas cincuenta y cinco", 255),
            ("veinte y cinco", 25),
            ("veinti cinco", 25),
            ("treintaidos", 32),
            ("diez y seis", 16),
            ("ciento un", 101),
            ("quinientas", 500),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(below_thousand(&words), Some((value, words.len())), "{text}");
        }
        assert_eq!(below_thousand(&["diez", "y", "dos"]), Some((10, 1)));
        for text in ["tos", "vez", "ves", "sal", "hola"] {
            assert_eq!(word(text), None, "{text}");
        }
    }
}
