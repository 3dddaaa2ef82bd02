//! The time for which an order is wished: `para mañana a las 12`. Owns its forms; plans nothing: the words go to the kitchen as they are.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::words;

const MAX_CHARS: usize = 80;

const DAY: &str = r"(?:pasado\s+)?ma[nñ]ana(?:\s+(?:temprano|(?:en|por|a)\s+la\s+(?:tarde|noche|ma[nñ]ana)))?|(?:(?:el|este|pr[oó]ximo)\s+)*(?:lunes|martes|mi[eé]rcoles|jueves|viernes|s[aá]bado|domingo)|tomorrow";

const HOUR: &str = r"(?:(?:tipo|como|m[aá]s\s+o\s+menos)\s+)?(?:(?:a\s+eso\s+de|a|para|pa|tipo)\s+(?:la\s+(?:1|una)|las\s+(?:\d{1,2}|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce)))(?P<sure>(?:[:.]\d{2}|\s+y\s+(?:media|cuarto|\d{2}))?(?:\s*(?:a\.?\s?m\b\.?|p\.?\s?m\b\.?|de\s+la\s+(?:ma[nñ]ana|tarde|noche)|del\s+(?:mediod[ií]a|d[ií]a)|en\s+punto))?)";

/// The day, and perhaps an hour behind it.
static ON_DAY: LazyLock<Regex> = LazyLock::new(|| {
    // Whoever names a day first of all, or wants something for it, means the order.
    regex(&format!(r"(?i)(?:^\s*|\b(?:para|pa|mejor|for)\s+)(?:{DAY})\b(?:\s*,?\s*{HOUR})?"))
});
static AT_HOUR: LazyLock<Regex> = LazyLock::new(|| regex(&format!(r"(?i)\b{HOUR}(?:\s+(?:de|del)?\s*(?:{DAY})\b)?")));
static LATER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\bpara\s+(?:m[aá]s\s+tarde|(?:hoy\s+(?:en|por)\s+)?la\s+noche|esta\s+(?:noche|tarde)|la\s+cena|el\s+almuerzo|el\s+mediod[ií]a)\b|\besta\s+noche\b|\bal\s+mediod[ií]a\b|\b(?:dentro\s+de|en)\s+(?:una|dos|tres|cuatro|\d{1,2})\s+horas?\b|\ben\s+(?:media\s+hora|\d{1,3}\s+minutos)\b",
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of ours")
}

/// The words of a text about the time for which its order is wished. A question for a time wishes nothing; nor does a day at the head of
/// a text that orders nothing.
pub fn find(said: &str, is_ordering: bool) -> Option<String> {
    let parts: Vec<&str> = spans(said, is_ordering).into_iter().map(|span| said[span].trim()).collect();
    Some(words::one_line(&parts.join(", "), MAX_CHARS)).filter(|when| !when.is_empty())
}

/// The text without those words: an hour is no number of a dish.
pub fn without(said: &str) -> String {
    let mut spans = spans(said, false);
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    let mut rest = said.to_owned();
    for span in &spans {
        rest.replace_range(span.clone(), " ");
    }
    match spans.is_empty() {
        true => rest,
        false => rest.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ':' | ';')).to_owned(),
    }
}

fn spans(said: &str, is_ordering: bool) -> Vec<Range<usize>> {
    if said.contains('?') {
        return Vec::new();
    }
    let is_wish = |day: &str| {
        let day = day.trim_start().to_lowercase();
        is_ordering
            || ["para ", "pa ", "mejor ", "for "].iter().any(|word| day.starts_with(*word))
            || day.contains(" a la")
    };
    let day = ON_DAY.find(said).filter(|day| is_wish(day.as_str())).map(|day| day.range());
    let mut spans: Vec<Range<usize>> = day.clone().into_iter().collect();
    for hour in AT_HOUR.captures_iter(said) {
        let Some(whole) = hour.get(0) else { continue };
        let is_in_day = day.as_ref().is_some_and(|day| whole.start() < day.end && day.start < whole.end());
        let is_sure = hour.name("sure").is_some_and(|sure| !sure.as_str().is_empty());
        if !is_in_day && (is_sure || counts_nothing(&said[whole.end()..])) {
            spans.push(whole.range());
        }
    }
    if spans.is_empty() {
        spans.extend(LATER.find(said).map(|later| later.range()));
    }
    spans
}

/// No dish follows the hour: `a las dos hamburguesas` is about dishes, `a las dos me manda` is not.
fn counts_nothing(behind: &str) -> bool {
    let next = behind.trim_start();
    // `a las 300`, `a la 1 # 20-30`.
    if behind.starts_with(char::is_alphanumeric) || next.starts_with('#') {
        return false;
    }
    if next.is_empty() || !next.starts_with(char::is_alphanumeric) {
        return true;
    }
    let word = next.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
    word.starts_with(|c: char| c.is_ascii_digit())
        || matches!(
            word.as_str(),
            "me" | "nos"
                | "por"
                | "porfa"
                | "para"
                | "y"
                | "quiero"
                | "con"
                | "gracias"
                | "se"
                | "lo"
                | "la"
                | "en"
                | "del"
                | "de"
                | "mande"
                | "manda"
                | "mandeme"
                | "un"
                | "una"
                | "necesito"
                | "si"
                | "o"
                | "que"
                | "paso"
                | "recojo"
        )
}

#[cfg(test)]
mod tests {
    use super::{find, without};

    #[test]
    fn a_time_is_found_and_a_count_is_none() {
        for (said, expected) in [
            ("para mañana a las 12: 10 bandejas paisas", "para mañana a las 12"),
            ("a las 3 me manda dos ajiacos", "a las 3"),
            ("mañana 3 bandejas paisas", "mañana"),
            ("para el sábado 5 bandejas a la 1 pm", "para el sábado, a la 1 pm"),
            ("dos ajiacos para las 7:30", "para las 7:30"),
            ("un pollo para la cena", "para la cena"),
            ("un ajiaco en media hora", "en media hora"),
            ("dos ajiacos a las 8 de la noche", "a las 8 de la noche"),
        ] {
            assert_eq!(find(said, true).as_deref(), Some(expected), "{said}");
        }
        for said in [
            "a las dos hamburguesas póngales queso",
            "dos ajiacos",
            "a qué hora abren mañana?",
            "calle 10 # 20-30",
            "hasta mañana",
            "un combo para la casa",
        ] {
            assert_eq!(find(said, true), None, "{said}");
        }
        assert_eq!(without("para mañana a las 12: 10 bandejas paisas"), "10 bandejas paisas");
        assert_eq!(without("sí, para mañana a las 12"), "sí");
        assert_eq!(without("dos ajiacos."), "dos ajiacos.");
        assert_eq!(find("mañana les confirmo", false), None);
        assert_eq!(find("para mañana", false).as_deref(), Some("para mañana"));
    }
}
