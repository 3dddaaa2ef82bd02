//! A text of which nothing can be seen. Pure.

/// True when nothing can be seen of a text: WhatsApp's apps send none such, and show an empty bubble for one.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
}

/// Unicode's letters that are not drawn by themselves (`Default_Ignorable_Code_Point`), the tags among them, and the braille pattern of no
/// dot.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_blank_when_nothing_of_it_is_seen() {
        for (text, expected) in [
            ("", true),
            (" ", true),
            ("\r\n\t", true),
            ("\u{a0}\u{2003}\u{3000}", true),
            ("\u{1}", true),
            ("\u{200b}", true),
            ("\u{200c}", true),
            ("\u{200d}", true),
            ("\u{2060}", true),
            ("\u{feff}", true),
            (" \u{200b}\n\u{feff} ", true),
            ("\u{ad}", true),
            ("\u{2800}", true),
            ("\u{3164}", true),
            ("\u{fe0f}", true),
            ("\u{200e}\u{202b}\u{2066}", true),
            ("\u{e0067}", true),
            ("a", false),
            (" a ", false),
            (".", false),
            ("0", false),
            ("\u{200b}a", false),
            ("👍", false),
            // A family, of people who are joined by U+200D; a heart with U+FE0F; Persian with U+200C.
            ("👨\u{200d}👩\u{200d}👧", false),
            ("❤\u{fe0f}", false),
            ("می\u{200c}خواهم", false),
            ("한", false),
            ("⠁", false),
        ] {
            assert_eq!(is_blank(text), expected, "{text:?}");
        }
    }
}
