//! Text of customers, made comparable. Owns folding, sounds and word roots; knows Spanish spelling, and nothing of
//! menus or orders.

pub mod number;
pub mod sound;
pub mod token;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Lower case without accents; letters of ornamental alphabets become plain ones.
pub fn fold(text: &str) -> String {
    text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}
