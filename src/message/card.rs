//! Contact cards: reads and writes vCards (RFC 6350, and the older forms that phones write). Pure.

/// True for what a phone opens as a card at all.
pub fn is_card(vcard: &str) -> bool {
    let is = |line: Option<&str>, expected: &str| line.is_some_and(|line| line.trim().eq_ignore_ascii_case(expected));
    let lines = || vcard.trim_start_matches('\u{feff}').trim().lines();
    is(lines().next(), "BEGIN:VCARD") && is(lines().next_back(), "END:VCARD")
}

/// The contact's name: the display name, else its parts; empty if there is none.
pub fn name(vcard: &str) -> String {
    let properties = properties(vcard);
    let first = |wanted: &str, read: fn(&str) -> String| {
        let of_it = properties.iter().filter(|property| property.name.eq_ignore_ascii_case(wanted));
        of_it.map(|property| read(&property.value).trim().to_owned()).find(|name| !name.is_empty())
    };
    let company = |value: &str| unescaped(parted(value)[0]);
    first("FN", unescaped).or_else(|| first("N", from_parts)).or_else(|| first("ORG", company)).unwrap_or_default()
}

/// Prefix, given, middle, family, suffix: a card has the family's first.
fn from_parts(value: &str) -> String {
    let parts = parted(value);
    let part = |at: usize| parts.get(at).map(|part| unescaped(part).trim().to_owned()).unwrap_or_default();
    let ordered: Vec<String> = [3, 1, 2, 0, 4].into_iter().map(part).filter(|part| !part.is_empty()).collect();
    ordered.join(" ")
}

/// A card of a person. `number`: the digits by which WhatsApp knows it.
pub fn card(name: &str, organization: Option<&str>, number: &str, phone: &str) -> String {
    let organization = organization.map(|name| format!("ORG:{};\n", escaped(name))).unwrap_or_default();
    format!(
        "BEGIN:VCARD\nVERSION:3.0\nFN:{}\n{organization}TEL;type=CELL;type=VOICE;waid={}:{}\nEND:VCARD",
        escaped(name),
        escaped(number),
        escaped(phone),
    )
}

/// Escapes what would end a property (RFC 6350, 3.4).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(['\n', '\r'], "\\n").replace(',', "\\,").replace(';', "\\;")
}

struct Property {
    name: String,
    value: String,
}

/// Bytes of a card that are looked at.
const MOST: usize = 64 * 1024;

fn properties(vcard: &str) -> Vec<Property> {
    let mut end = vcard.len().min(MOST);
    while !vcard.is_char_boundary(end) {
        end -= 1;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in vcard[..end].lines() {
        // A blank begins the rest of a long line; in quoted-printable an equals sign ends the first part of one.
        let folded = line.strip_prefix([' ', '\t']).filter(|_| !lines.is_empty());
        match (lines.last_mut(), folded) {
            (Some(last), _) if goes_on => {
                last.pop();
                last.push_str(line);
            }
            (Some(last), Some(rest)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
        goes_on = lines.last().is_some_and(|line| line.ends_with('=') && is_quoted_printable(line));
    }
    lines.iter().filter_map(|line| property(line)).collect()
}

fn is_quoted_printable(line: &str) -> bool {
    line.split(':').next().is_some_and(|head| head.to_ascii_uppercase().contains("QUOTED-PRINTABLE"))
}

fn property(line: &str) -> Option<Property> {
    let mut quoted = false;
    let colon = line.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == ':' && !quoted
    });
    let (head, value) = (&line[..colon?.0], &line[colon?.0 + 1..]);
    let name = head.split(';').next().unwrap_or_default();
    // `item1.FN`: a group before it.
    let name = name.rsplit('.').next().unwrap_or_default().trim().to_owned();
    let value = if is_quoted_printable(line) { from_quoted_printable(value) } else { value.to_owned() };
    Some(Property { name, value })
}

/// RFC 2045, 6.7.
fn from_quoted_printable(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) if *first == b'=' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        // Latin-1, whatever it says of itself.
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    }
}

/// At the semicolons that are not escaped.
fn parted(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut is_escaped) = (0, false);
    for (at, c) in value.char_indices() {
        if c == ';' && !is_escaped {
            parts.push(&value[begin..at]);
            begin = at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    parts.push(&value[begin..]);
    parts
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => plain.push(' '),
                Some(other) => plain.push(other),
                None => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_form() {
        for (properties, expected) in [
            ("FN:Ana Gómez", "Ana Gómez"),
            ("FN;CHARSET=UTF-8:Ana", "Ana"),
            ("FN;X-A=\"b:c\":Ana", "Ana"),
            ("item1.FN:Ana", "Ana"),
            ("fn:Ana", "Ana"),
            ("FN:Ana\\, la de la esquina", "Ana, la de la esquina"),
            ("FN:Ana Mar\n ía", "Ana María"),
            ("FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=41na G=C3=B3=\nmez", "Ana Gómez"),
            ("N;ENCODING=QUOTED-PRINTABLE:G=F3mez;Ana", "Ana Gómez"),
            ("N:Gómez;Ana;María;Dra.;", "Dra. Ana María Gómez"),
            ("N:G\\;ómez;Ana", "Ana G;ómez"),
            ("N:Gómez;Ana\nFN:", "Ana Gómez"),
            ("ORG:Trattoria;Cocina", "Trattoria"),
            ("FNX:no\nTEL:+57", ""),
            ("FN", ""),
        ] {
            for ending in ["\n", "\r\n"] {
                let vcard = format!("BEGIN:VCARD\nVERSION:3.0\n{properties}\nEND:VCARD").replace('\n', ending);
                assert_eq!(name(&vcard), expected, "{vcard:?}");
            }
        }
    }

    #[test]
    fn a_card_is_read_as_it_was_written() {
        let written = card("Ana; \\la\\ de\nla esquina", Some("Bar, Café"), "573001112233", "+57 300 111 2233");
        assert_eq!(name(&written), "Ana; \\la\\ de la esquina");
        assert!(written.contains("ORG:Bar\\, Café;\n"), "{written}");
        assert!(written.contains("waid=573001112233:+57 300 111 2233\n"), "{written}");
    }
}
