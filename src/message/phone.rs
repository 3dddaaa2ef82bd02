//! Phone numbers as people type them, made into what WhatsApp calls an account: digits with the country code.

use phonenumber::{Mode, country};

/// Nothing shorter or longer is a number anywhere (E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// `None`: it is no phone number. A number without a country code is one of `country`, when it can be; what no country's rules
/// accept is taken as it is, since WhatsApp knows numbers that the rules do not.
pub fn normalise(text: &str, country: country::Id) -> Option<String> {
    let typed = |c: char| c.is_ascii_digit() || " +-().".contains(c);
    if !text.chars().all(typed) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let international = text.trim_start().starts_with('+');
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
