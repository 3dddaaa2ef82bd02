//! Words that the order keeps as they were said, and that the parser never reads: a name, a bill to be changed, a word to the courier.
//! Owns their patterns, and cuts them out of the text.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{phrases, words};
use crate::bot::intent;

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a pattern of ours"));
    };
}

pattern!(
    NAME,
    r"(?i)\b(?:a\s+nombre\s+de|mi\s+nombre\s+es|me\s+llamo|my\s+name\s+is)\s+(\p{L}[\p{L}'’-]*(?:[ \t]+\p{L}[\p{L}'’-]*){0,3})\s*(?:$|[,.;\n])"
);
// A name begins with a capital here: `soy alérgico`, `soy de la torre 3`.
pattern!(
    I_AM,
    r"(?:^|[,.;\n]\s*|\s[yY]\s+)[Ss]oy\s+(\p{Lu}\p{Ll}[\p{L}'’-]*(?:[ \t]+\p{Lu}\p{Ll}[\p{L}'’-]*){0,3})\s*(?:$|[,.;\n])"
);
pattern!(
    NO_NAME,
    r"^(alergic|client|vegetarian|vegan|celiac|diabetic|intolerant|hipertens|nuev|vecin|domiciliari|mensajer|repartidor|(?:el|la|un|una|yo|de|del)\b)"
);
pattern!(
    FOR_SOMEBODY,
    r"(?i)(?:^|\s)(?:es\s+|son\s+|va\s+|van\s+)?para\s+((?:don|do[nñ]a|(?:el\s+)?se[nñ]or|(?:la\s+)?se[nñ]ora)[ \t]+\p{L}[\p{L}'’-]*(?:[ \t]+\p{Lu}[\p{L}'’-]*)?)\s*(?:$|[,.;\n])"
);
pattern!(
    BILL,
    r"(?i)(?:\b(?:y|necesito|necesitar[ií]a|tra(?:iga|igan|e|er)me|con|para|por\s+favor|env[ií]e\w*|mande\w*|me\s+trae\w?)\s+)*\b(?:(?:cambio|vueltos?|vueltas?|devueltas?|sencilla)\s+(?:de|para|a|por)|(?:pag[oa]\w*\s+con|con|tengo|es)\s+(?:(?:un|el)\s+)?billetes?\s+de|pag[oa]r?\s+con(?:\s+un[oa]?(?:\s+de)?)?)\s+(?:(?:un|el)\s+)?(?:billetes?\s+de\s+)?\$?\s*(?:\d[\d.]*|cien|cincuenta|veinte)(?:\s*(?:mil|k)\b)?"
);
pattern!(PIECE, r"\S+");

/// `me pueden llamar al llegar`: the rest of the text, and the words. A courier needs them as they are.
pub fn courier(said: &str) -> Option<(String, String)> {
    let pieces: Vec<Range<usize>> = PIECE.find_iter(said).map(|piece| piece.range()).collect();
    let folded: Vec<String> =
        pieces.iter().map(|piece| phrases::plain(&said[piece.clone()]).replace(' ', "")).collect();
    let joined = folded.join(" ");
    let found = intent::call_on_arrival(&joined)?;
    let at = |byte: usize| joined[..byte].matches(' ').count();
    let (first, mut last) = (at(found.start), at(found.end.saturating_sub(1)));
    // The words go on to the place of the meeting: `cuando lleguen a la portería`. What follows, in this line or the next, is no part.
    let is_end = |n: usize| said[pieces[n].clone()].ends_with([',', '.', ';', '!', '?']);
    while !is_end(last)
        && let Some(next) = pieces.get(last + 1)
        && !said[pieces[last].end..next.start].contains('\n')
        && is_meeting_place(&folded[last], &folded[last + 1])
    {
        last += 1;
    }
    // `a la` leads to no place here: it belongs to what follows.
    while last > at(found.end.saturating_sub(1)) && MEETING_JOINS.contains(&folded[last].as_str()) {
        last -= 1;
    }
    let range = pieces[first].start..pieces[last].end;
    let words = said[range.clone()].trim_matches(|c: char| !c.is_alphanumeric());
    let words = words::one_line(words, 120);
    let rest = cut_out(said, range);
    Some((rest.trim_matches([' ', ',', '.', ';', '?', '¿', '\n']).to_owned(), words))
}

const MEETING_JOINS: &[&str] = &["a", "al", "en", "la", "el", "mi", "de", "del", "por"];

fn is_meeting_place(before: &str, word: &str) -> bool {
    let is_unit = |word: &str| {
        matches!(word, "apto" | "apt" | "apartamento" | "torre" | "casa" | "piso" | "oficina" | "bloque" | "interior")
    };
    let is_number = word.starts_with(|c: char| c.is_ascii_digit());
    MEETING_JOINS.contains(&word)
        || is_unit(word)
        || is_unit(before) && is_number
        || matches!(
            word,
            "porteria"
                | "puerta"
                | "porton"
                | "reja"
                | "entrada"
                | "recepcion"
                | "edificio"
                | "conjunto"
                | "unidad"
                | "lobby"
                | "esquina"
                | "parqueadero"
                | "primer"
                | "segundo"
                | "favor"
                | "porfa"
                | "porfavor"
        )
}

/// The text without a range of it. Ends of lines stay: they part what is before from what is behind.
fn cut_out(said: &str, range: Range<usize>) -> String {
    let (before, behind) = (said[..range.start].trim_end_matches(' '), said[range.end..].trim_start_matches(' '));
    // An end of a line within the range is one still.
    let join = if said[range].contains('\n') { "\n" } else { " " };
    format!("{before}{join}{behind}").trim().to_owned()
}

/// `a nombre de Juan Pérez`, `para don Carlos`: the rest of the text, and the name.
pub fn name(said: &str) -> Option<(String, String)> {
    let introduces = || {
        let found = I_AM.captures(said).filter(|_| !said.contains('?'))?;
        let first = phrases::plain(&found[1]);
        (!NO_NAME.is_match(&first)).then_some(found)
    };
    let found = NAME.captures(said).or_else(|| FOR_SOMEBODY.captures(said)).or_else(introduces)?;
    let whole = found.get(0)?;
    Some((cut_out(said, whole.range()), words::one_line(&found[1], 60)))
}

/// `necesito cambio de 100 mil`: the rest of the text, and the words about the bill. A courier needs them as they are.
pub fn bill(said: &str) -> Option<(String, String)> {
    let whole = BILL.find(said).filter(|_| !said.contains('?'))?;
    let rest = cut_out(said, whole.range());
    Some((rest.trim_matches([' ', ',', '.', ';']).to_owned(), words::one_line(whole.as_str(), 80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_bills_and_words_to_the_courier() {
        assert_eq!(name("a nombre de Juan Pérez"), Some((String::new(), "Juan Pérez".into())));
        assert_eq!(name("una bandeja a nombre de Carlos, gracias").unwrap().1, "Carlos");
        assert_eq!(name("dos tamales para don Carlos"), Some(("dos tamales".into(), "don Carlos".into())));
        assert_eq!(name("es para la señora Rosa").unwrap().1, "la señora Rosa");
        assert_eq!(name("dos tamales para dos personas"), None);
        assert_eq!(name("para recoger, efectivo, soy Ana").unwrap().1, "Ana");
        assert_eq!(name("un ajiaco y soy Ana María Ruiz, gracias").unwrap().1, "Ana María Ruiz");
        assert_eq!(name("soy Elena").unwrap().1, "Elena");
        for said in [
            "soy alérgico",
            "Soy Alérgico",
            "soy de la torre 3",
            "soy cliente",
            "soy el de ayer",
            "soy Ana, ¿ya viene?",
        ] {
            assert_eq!(name(said), None, "{said}");
        }
        assert_eq!(
            courier("dos tamales, y me pueden llamar cuando lleguen, gracias"),
            Some(("dos tamales, y gracias".into(), "me pueden llamar cuando lleguen".into()))
        );
        assert_eq!(
            courier("¿Me puede llamar al llegar?").unwrap(),
            (String::new(), "Me puede llamar al llegar".into())
        );
        assert_eq!(courier("me pueden llamar"), None);
        assert_eq!(
            bill("efectivo, necesito cambio de 100 mil").unwrap(),
            ("efectivo".into(), "necesito cambio de 100 mil".into())
        );
        assert_eq!(bill("pago con billete de 50").unwrap().1, "pago con billete de 50");
        for said in ["¿tienen cambio de 100 mil?", "pago con nequi", "una coca de 400"] {
            assert_eq!(bill(said), None, "{said}");
        }
    }
}
