//! Number words of Spanish. A table of our own; numbers beyond what anybody orders are none.

use super::sound;

/// A value in thousandths, so that halves and litres and a half are whole numbers.
pub type Thousandths = u32;

const UNITS: [(&str, u32); 33] = [
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

/// True: `y` and a unit may follow, as in `treinta y dos`.
pub fn is_tens(folded: &str) -> bool {
    TENS.iter().any(|(name, _)| *name == folded)
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn numbers_are_read_by_name_and_by_ear() {
        for (text, value) in [("dos", 2), ("sinco", 5), ("kuatro", 4), ("dies", 10), ("veintidos", 22), ("treinta", 30)]
        {
            assert_eq!(word(text), Some(value), "{text}");
        }
        for text in ["tos", "vez", "ves", "sal", "hola"] {
            assert_eq!(word(text), None, "{text}");
        }
    }
}
