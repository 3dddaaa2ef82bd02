//! The names that people gave to files: where they come from, and what of them is safe to hand on. Pure.

use http::{HeaderMap, header::CONTENT_DISPOSITION};

use super::kind;

/// Characters.
const LONGEST: usize = 200;

/// The name that a server gives to a file, or its URL.
pub fn of_answer(headers: &HeaderMap, url: &reqwest::Url) -> Option<String> {
    let said = headers.get(CONTENT_DISPOSITION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let in_url = || plain(&percent_decoded(url.path_segments()?.next_back()?));
    said.and_then(of_disposition).or_else(in_url)
}

/// `filename*` before `filename` (RFC 6266, 4.3).
fn of_disposition(value: &str) -> Option<String> {
    let parameter = |wanted: &str| {
        let rest =
            parameters(value).into_iter().find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value));
        rest.filter(|value| !value.is_empty())
    };
    let extended = parameter("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, name) = rest.split_once('\'')?;
        charset.eq_ignore_ascii_case("utf-8").then(|| percent_decoded(name))
    });
    extended.or_else(|| parameter("filename")).and_then(|name| plain(&name))
}

fn parameters(value: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once(';') {
        let Some((name, value)) = after.split_once('=') else { break };
        let value = value.trim_start();
        let mut text = String::new();
        if let Some(quoted) = value.strip_prefix('"') {
            let mut chars = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = at;
                        break;
                    }
                    '\\' => text.extend(chars.next().map(|(_, c)| c)),
                    c => text.push(c),
                }
            }
            rest = &quoted[end..];
        } else {
            let end = value.find(';').unwrap_or(value.len());
            text.push_str(value[..end].trim_end());
            rest = &value[end..];
        }
        parameters.push((name.trim().to_owned(), text));
    }
    parameters
}

/// Makes a name that a stranger wrote harmless: no path, no control characters, none that turn the direction of the text behind them.
/// `None`: nothing is left.
pub fn plain(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let hides = |c: &char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let shown = name.chars().filter(|c| !hides(c)).map(|c| if ":*?\"<>|".contains(c) { '_' } else { c });
    let name: String = shown.collect::<String>().trim_matches([' ', '.']).chars().take(LONGEST).collect();
    (!name.is_empty()).then_some(name)
}

/// With an ending, by which phones know what it is.
pub fn with_ending(name: String, mime: &str) -> String {
    match kind::ending(mime) {
        ending if ending != "bin" && !name.contains('.') => format!("{name}.{ending}"),
        _ => name,
    }
}

/// As a header has it (RFC 8187).
pub fn percent_encoded(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    let encoded = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(encoded).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(disposition: Option<&str>, url: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(disposition) = disposition {
            headers.insert(CONTENT_DISPOSITION, http::HeaderValue::from_bytes(disposition.as_bytes()).unwrap());
        }
        of_answer(&headers, &url.parse().unwrap())
    }

    #[test]
    fn a_file_has_the_name_of_its_server_or_of_its_url() {
        let url = "https://example.com/a/Men%C3%BA%202.pdf?v=1#x";
        for (disposition, expected) in [
            (None, "Menú 2.pdf"),
            (Some("attachment; filename=carta.pdf"), "carta.pdf"),
            (Some("attachment; filename=\"la carta; 2.pdf\"; size=5"), "la carta; 2.pdf"),
            (Some("attachment; filename=\"a.pdf\"; filename*=UTF-8''Men%C3%BA.pdf"), "Menú.pdf"),
            (Some("attachment; FileName*=utf-8'es'Men%c3%ba.pdf"), "Menú.pdf"),
            (Some("attachment; filename*=x"), "Menú 2.pdf"),
            (Some("attachment; filename=\"../../etc/passwd\""), "passwd"),
            (Some("inline"), "Menú 2.pdf"),
            (Some("attachment; filename=\"\""), "Menú 2.pdf"),
        ] {
            assert_eq!(named(disposition, url).as_deref(), Some(expected), "{disposition:?}");
        }
        assert_eq!(named(None, "https://example.com/"), None);
        assert_eq!(named(None, "https://example.com/..%2f..%2fx%00y"), Some("xy".into()));
    }

    #[test]
    fn names_of_strangers_are_plain() {
        for (name, expected) in [
            ("Menú.pdf", Some("Menú.pdf")),
            ("C:\\carta\\menu.pdf", Some("menu.pdf")),
            ("menu\u{202e}fdp.exe", Some("menufdp.exe")),
            ("a\r\nb: \"c\".pdf", Some("ab_ _c_.pdf")),
            ("..", None),
            (" . ", None),
            ("", None),
        ] {
            assert_eq!(plain(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(plain(&"ñ".repeat(999)).map(|name| name.chars().count()), Some(LONGEST));
        assert_eq!(with_ending("carta".into(), "application/pdf"), "carta.pdf");
        assert_eq!(with_ending("carta.v2".into(), "application/pdf"), "carta.v2");
        assert_eq!(percent_encoded("Menú 2.pdf"), "Men%C3%BA%202.pdf");
    }
}
