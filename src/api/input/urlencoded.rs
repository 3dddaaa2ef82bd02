//! Urlencoded text, of a query or a form: finds what is no UTF-8, before a parser puts other characters there.

use crate::api::problem::{FieldError, Problem};

/// The first field of an urlencoded text that is no UTF-8, as half a surrogate pair is none. The parser would put other characters there,
/// where JSON is refused.
pub fn garbled_field(encoded: &[u8]) -> Option<String> {
    encoded.split(|byte| *byte == b'&').find_map(|pair| {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let (name, value) = (percent_decoded(name), percent_decoded(value));
        let is_garbled = std::str::from_utf8(&name).is_err() || std::str::from_utf8(&value).is_err();
        is_garbled.then(|| String::from_utf8_lossy(&name).into_owned())
    })
}

fn percent_decoded(encoded: &[u8]) -> Vec<u8> {
    let digit = |at: usize| encoded.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(encoded.len()), 0);
    while at < encoded.len() {
        match (encoded[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// Refuses such a field.
pub fn no_utf8(field: String) -> Problem {
    let message = "expected UTF-8".to_owned();
    Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
}

#[cfg(test)]
mod tests {
    use super::garbled_field;

    #[test]
    fn what_is_no_utf8_in_a_form_is_said_of_its_field() {
        for (encoded, expected) in [
            ("", None),
            ("text=caf%C3%A9+%26%20pan&to=1", None),
            ("text=100%&to=%zz%2", None),
            ("to=1&text=%ED%A0%BD", Some("text")),
            ("to=1&text=a%FFb&x=%FF", Some("text")),
            ("%FF=1", Some("\u{fffd}")),
        ] {
            assert_eq!(garbled_field(encoded.as_bytes()).as_deref(), expected, "{encoded}");
        }
        assert_eq!(garbled_field(b"text=caf\xe9").as_deref(), Some("text"), "Latin-1");
    }
}
