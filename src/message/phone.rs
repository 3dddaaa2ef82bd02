//! Phone numbers as people type them, made into what WhatsApp calls an account: digits with the country code.

use phonenumber::{Mode, country};

/// Nothing shorter or longer is a number anywhere (E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Without what comes along when a number is copied from a page or a contact card: blanks, marks of the writing direction, joiners.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Unicode's format characters that have no width of their own.
fn is_invisible(c: char) -> bool {
    let marks = ['\u{ad}'..='\u{ad}', '\u{61c}'..='\u{61c}', '\u{200b}'..='\u{200f}', '\u{202a}'..='\u{202e}'];
    marks.iter().any(|range| range.contains(&c)) || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The digits of what is typed as a phone number.
fn digits(text: &str) -> Option<String> {
    // Blanks and hyphens that do not break lines are as good as the plain ones.
    let is_mark = |c: char| c.is_whitespace() || is_invisible(c) || "+-().\u{2010}\u{2011}".contains(c);
    let is_typed = text.chars().all(|c| c.is_ascii_digit() || is_mark(c));
    is_typed.then(|| text.chars().filter(char::is_ascii_digit).collect())
}

/// A number that has its country code, with or without a plus.
pub fn international(text: &str) -> Option<String> {
    digits(text).filter(|digits| DIGITS.contains(&digits.len()))
}

/// `None`: it is no phone number. A number without a country code is one of `country`, when it can be; what no country's rules
/// accept is taken as it is, since WhatsApp knows numbers that the rules do not.
pub fn normalise(text: &str, country: country::Id) -> Option<String> {
    let digits = digits(text)?;
    let international = trimmed(text).starts_with('+');
    if !international && let Some(number) = valid(Some(country), &digits) {
        return Some(number);
    }
    let digits = if international { digits } else { digits.strip_prefix("00").map_or(digits.clone(), str::to_owned) };
    if let Some(number) = valid(None, &format!("+{digits}")) {
        return Some(number);
    }
    DIGITS.contains(&digits.len()).then_some(digits)
}

fn valid(country: Option<country::Id>, text: &str) -> Option<String> {
    let number = phonenumber::parse(country, text).ok().filter(phonenumber::is_valid)?;
    Some(number.format().mode(Mode::E164).to_string().trim_start_matches('+').to_owned())
}

#[cfg(test)]
mod tests {
    use phonenumber::country::{CO, ES};

    use super::normalise;

    #[test]
    fn a_number_without_its_country_is_the_tenants() {
        for typed in ["3001112233", "300 111 2233", "(300) 111-2233"] {
            assert_eq!(normalise(typed, CO).as_deref(), Some("573001112233"), "{typed}");
        }
        assert_eq!(normalise("612345678", ES).as_deref(), Some("34612345678"));
    }

    #[test]
    fn a_number_with_its_country_stays() {
        for typed in ["573001112233", "+57 300 111 2233", "0057 3001112233"] {
            assert_eq!(normalise(typed, CO).as_deref(), Some("573001112233"), "{typed}");
        }
        assert_eq!(normalise("+34 612 34 56 78", CO).as_deref(), Some("34612345678"));
        assert_eq!(normalise("34612345678", CO).as_deref(), Some("34612345678"));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for typed in ["", "12", "pizza", "300111223x", "1234567890123456", "573001112233@s.whatsapp.net"] {
            assert_eq!(normalise(typed, CO), None, "{typed}");
        }
    }
}
