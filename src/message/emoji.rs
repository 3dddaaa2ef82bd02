//! What is one emoji: all that WhatsApp's clients show beside a message as a reaction. Pure.

use std::sync::LazyLock;

use regex::Regex;

/// The longest, families and flags of regions, have ten.
const MAX_CHARS: usize = 40;

/// A flag of two letters; a keycap; or pictures joined into one, each with its form, its colour of skin, and the tags of a region's flag.
const PATTERN: &str = r"^(?:[\x{1F1E6}-\x{1F1FF}]{2}|[0-9#*]\x{FE0F}?\x{20E3}|PICTURE(?:\x{200D}PICTURE)*)$";
const PICTURE: &str = r"[\p{Extended_Pictographic}\p{Emoji_Presentation}][\x{FE0E}\x{FE0F}\x{20E3}\x{1F3FB}-\x{1F3FF}]*[\x{E0020}-\x{E007F}]*";

static ONE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&PATTERN.replace("PICTURE", PICTURE)).expect("a pattern of ours"));

/// Whether it is one emoji, as any version of Unicode joins some.
pub fn is_emoji(text: &str) -> bool {
    text.chars().nth(MAX_CHARS).is_none() && ONE.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::is_emoji;

    #[test]
    fn one_emoji_and_nothing_else() {
        for emoji in ["👍", "👍🏽", "❤", "❤️", "🏳️‍🌈", "👨‍👩‍👧‍👦", "🧑🏿‍🤝‍🧑🏻", "🇨🇴", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "#⃣", "☎️", "©️", "🤷🏽‍♀️", "❤️‍🔥"]
        {
            assert!(is_emoji(emoji), "{emoji}");
        }
        for text in
            ["", " ", "x", "1", "not emoji at all", "👍👍", "👍 ", "ok 👍", "🇨🇴🇨🇴", "\u{200d}", "\u{fe0f}", ":)"]
        {
            assert!(!is_emoji(text), "{text:?}");
        }
        assert!(!is_emoji(&["👍"; 50].join("\u{200d}")));
    }
}
