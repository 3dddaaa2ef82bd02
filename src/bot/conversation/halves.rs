//! `medio pollo` where the menu has a `Medio Pollo Asado`: pollo is a filling too, and half of it could be a wish about another dish.
//! Owns the completion of such a name.

use super::phrases;

fn is_half(word: &str) -> bool {
    matches!(word, "medio" | "media" | "medios" | "medias" | "1 2")
}

fn is_same(said: &str, named: &str) -> bool {
    !named.is_empty()
        && (said == named || said.strip_suffix('s') == Some(named) || said.strip_suffix("es") == Some(named))
}

/// The text with the rest of the name behind a half that only one dish begins with.
pub fn completed(said: &str, names: &[Vec<String>]) -> String {
    let pieces: Vec<&str> = said.split_inclusive(char::is_whitespace).collect();
    let plain: Vec<String> = pieces.iter().map(|piece| phrases::plain(piece)).collect();
    let word = |at: usize| plain.get(at).map_or("", String::as_str);
    let mut whole = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", word);
        let begins = |name: &&Vec<String>| {
            name.len() > 2 && is_half(&phrases::plain(&name[0])) && is_same(word(at), &phrases::plain(&name[1]))
        };
        let mut named = names.iter().filter(begins);
        match (is_half(before), named.next(), named.next()) {
            (true, Some(name), None) if !is_same(word(at + 1), &name[2]) => {
                let end = piece.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
                whole.push_str(&piece[..end]);
                for rest in &name[2..] {
                    whole.push(' ');
                    whole.push_str(rest);
                }
                whole.push_str(&piece[end..]);
            }
            _ => whole.push_str(piece),
        }
    }
    whole
}
