//! A status: what the tenant shows for a day to the people that it names. Checked here; whom "everybody" is, the session knows.

use std::str::FromStr;

use serde::Serialize;

use super::{
    Flaw,
    blank::is_blank,
    draft::{MAX_TEXT, fits},
    media::Attachment,
};

/// WhatsApp's chat of all statuses, whosever they are. It is no conversation.
pub const STATUS_CHAT: &str = "status@broadcast";

/// People whom one status may go to: each gets its own key, and all of them are kept with it.
pub const MAX_AUDIENCE: usize = 5_000;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusPost {
    pub shown: StatusContent,
    /// Jids of people; `None`: everybody whom the tenant knows.
    pub audience: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StatusContent {
    Text {
        text: String,
        background: Colour,
        font: Font,
    },
    /// Its bytes come beside it. The background is that of a recording.
    File {
        attachment: Attachment,
        background: Option<Colour>,
    },
    /// Takes a status back.
    Nothing {
        id: String,
    },
}

/// Alpha, red, green, blue; in texts `#rrggbb` or `#aarrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Colour(pub u32);

impl FromStr for Colour {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| hex);
        match (digits.len(), number) {
            (6, Some(number)) => Ok(Self(0xFF00_0000 | number)),
            (8, Some(number)) => Ok(Self(number)),
            _ => Err(Flaw { field: "backgroundColor", expected: "expected a colour like #38b42f".into() }),
        }
    }
}

/// One of the fonts that WhatsApp shows a status in, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Font(i32);

impl Font {
    const KNOWN: [i32; 8] = [0, 1, 2, 6, 7, 8, 9, 10];

    /// Programs write the number with or without a fraction of nought.
    pub fn new(number: f64) -> Result<Self, Flaw> {
        let found = Self::KNOWN.into_iter().find(|known| f64::from(*known) == number);
        found.map(Self).ok_or_else(|| Flaw { field: "font", expected: "one of 0, 1, 2, 6, 7, 8, 9 and 10".into() })
    }

    pub fn number(self) -> i32 {
        self.0
    }
}

impl StatusPost {
    pub(super) fn check(&self) -> Result<(), Flaw> {
        let flaw = |field, expected: &str| Err(Flaw { field, expected: expected.to_owned() });
        if self.audience.as_ref().is_some_and(|people| !(1..=MAX_AUDIENCE).contains(&people.len())) {
            return flaw("contacts", "from 1 to 5000 people");
        }
        match &self.shown {
            StatusContent::Text { text, .. } if is_blank(text) => flaw("text", "must not be empty"),
            StatusContent::Text { text, .. } if !fits(text, MAX_TEXT) => flaw("text", "at most 65536 characters"),
            StatusContent::File { attachment, .. } => attachment.check(),
            StatusContent::Nothing { id } if id.is_empty() => flaw("id", "is required"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_hexadecimal() {
        for (text, number) in [("#38b42f", 0xFF38_B42F), ("38B42F", 0xFF38_B42F), ("#8038b42f", 0x8038_B42F)] {
            assert_eq!(text.parse(), Ok(Colour(number)));
        }
        for text in ["", "#", "red", "#38b42", "#+8b42f", "+38b42f1", "##38b42f", "#38b42fff0", "#38b42\u{e9}"] {
            assert!(text.parse::<Colour>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn fonts_are_those_of_whatsapp() {
        assert_eq!(Font::new(2.0).map(Font::number), Ok(2));
        for number in [-1.0, 0.5, 3.0, 11.0, 1e300, f64::NAN, f64::INFINITY] {
            assert!(Font::new(number).is_err(), "{number}");
        }
    }
}
