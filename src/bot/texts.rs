//! The bot's sentences: templates with `{placeholders}` in Spanish and English, and a tenant's own in their place. Owns the table of
//! texts, their validation and the substitution; knows nothing of conversations. Promises that a value is never read as a template.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::money::Money;

mod table;

use table::TextRow;
pub use table::{TEXTS, TextKey};

pub const MAX_TEXT_CHARS: usize = 1_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    Es,
    En,
}

/// A tenant's text that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextFlaw {
    #[error("there is no such text")]
    UnknownKey,
    #[error("{{{0}}} is no placeholder of this text")]
    UnknownPlaceholder(String),
    #[error("the text needs {{{0}}}")]
    MissingPlaceholder(&'static str),
    #[error("the text is longer than {MAX_TEXT_CHARS} characters")]
    TooLong,
    #[error("the text is empty")]
    Empty,
}

/// The mistakes of a tenant's texts, by key.
pub fn flaws(texts: &BTreeMap<String, String>) -> Vec<(String, TextFlaw)> {
    let mut flaws = Vec::new();
    for (key, text) in texts {
        match row(key) {
            None => flaws.push((key.clone(), TextFlaw::UnknownKey)),
            Some(row) => flaws.extend(row_flaws(row, text).into_iter().map(|flaw| (key.clone(), flaw))),
        }
    }
    flaws
}

fn row(key: &str) -> Option<&'static TextRow> {
    TEXTS.iter().find(|row| row.key.name() == key)
}

fn row_flaws(row: &TextRow, text: &str) -> Vec<TextFlaw> {
    let mut flaws = Vec::new();
    if text.chars().count() > MAX_TEXT_CHARS {
        flaws.push(TextFlaw::TooLong);
    }
    if text.trim().is_empty() {
        // An empty notice is one that the owner does not want sent.
        if !row.key.may_be_empty() {
            flaws.push(TextFlaw::Empty);
        }
        return flaws;
    }
    let named: Vec<&str> = TemplatePieces(text).filter_map(|piece| piece.err()).collect();
    for name in &named {
        if !row.names().any(|known| known == *name) {
            flaws.push(TextFlaw::UnknownPlaceholder((*name).to_owned()));
        }
    }
    let missing = row.required().filter(|name| !named.contains(name));
    flaws.extend(missing.map(TextFlaw::MissingPlaceholder));
    flaws
}

/// The template of a key: the tenant's if it is fit for use, else the language's.
pub fn template(key: TextKey, language: Language, own: &BTreeMap<String, String>) -> &str {
    let row = TEXTS.iter().find(|row| row.key == key).expect("every key has a row: a test counts them");
    let own = own.get(key.name()).filter(|text| row_flaws(row, text).is_empty());
    own.map_or_else(|| row.text(language), String::as_str)
}

/// The names of a template's placeholders.
pub fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    TemplatePieces(template).filter_map(Result::err)
}

/// A template as pieces: text (`Ok`) and names of placeholders (`Err`).
struct TemplatePieces<'a>(&'a str);

impl<'a> Iterator for TemplatePieces<'a> {
    type Item = Result<&'a str, &'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let placeholder = |text: &'a str| {
            let (name, rest) = text.strip_prefix('{')?.split_once('}')?;
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            is_name.then_some((name, rest))
        };
        if let Some((name, rest)) = placeholder(self.0) {
            self.0 = rest;
            return Some(Err(name));
        }
        let brace = self.0.char_indices().skip(1).find(|(at, c)| *c == '{' && placeholder(&self.0[*at..]).is_some());
        let (text, rest) = self.0.split_at(brace.map_or(self.0.len(), |(at, _)| at));
        self.0 = rest;
        Some(Ok(text))
    }
}

/// Puts the values in. A value that is empty takes the blank and the comma before it along: `Hola, {name}!` greets nobody with `Hola!`.
/// A line of nothing but empty values goes.
pub fn render(template: &str, values: &[(&str, &str)]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for template in template.lines() {
        let line = render_line(template, values);
        let is_gap = template.trim().is_empty() && lines.last().is_some_and(|last| !last.is_empty());
        if !line.is_empty() || is_gap {
            lines.push(line);
        }
    }
    lines.join("\n").trim_end().to_owned()
}

fn render_line(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + 64);
    for piece in TemplatePieces(template) {
        match piece {
            Ok(plain) => text.push_str(plain),
            Err(name) => match values.iter().find(|(known, _)| *known == name) {
                Some((_, "")) => {
                    let kept = text.trim_end_matches(' ').trim_end_matches(',').len();
                    text.truncate(kept);
                }
                Some((_, value)) => text.push_str(value),
                None => {
                    text.push('{');
                    text.push_str(name);
                    text.push('}');
                }
            },
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Every text with sample values, for the owner to look at before they are saved.
pub fn preview(language: Language, own: &BTreeMap<String, String>, restaurant: &str) -> Vec<(TextKey, String)> {
    let samples = samples(language);
    let mut values: Vec<(&str, &str)> = vec![("restaurant", restaurant)];
    values.extend(samples.iter().map(|(name, value)| (*name, value.as_str())));
    TEXTS.iter().map(|row| (row.key, render(template(row.key, language, own), &values))).collect()
}

/// A value for each placeholder, as a customer might see it; but for the restaurant's name, which the owner has.
pub fn samples(language: Language) -> BTreeMap<&'static str, String> {
    let spanish = language == Language::Es;
    let price = Money::new(38_000).to_string();
    let small = Money::new(5_000).to_string();
    let all = Money::new(43_000).to_string();
    let values: [(&'static str, &str); 31] = [
        ("greeting", if spanish { "Buenas tardes" } else { "Good afternoon" }),
        ("name", "Ana"),
        ("items", if spanish { "1 × Pollo Asado Entero" } else { "1 × Whole Roast Chicken" }),
        ("subtotal", &price),
        ("delivery", &small),
        ("total", &all),
        ("minimum", &small),
        ("missing", &small),
        ("free_from", &price),
        ("wish", "sushi"),
        ("suggestions", "Pollo Asado Entero"),
        ("options", "1. Coca-Cola 400 ml\n2. Coca-Cola 1.5 L"),
        ("qty", "1"),
        ("number", "4"),
        ("line", "Pollo Asado Entero"),
        ("categories", "• Pollos\n• Bebidas"),
        ("address", "Calle 10 # 20-30"),
        ("destination", "Calle 10 # 20-30"),
        ("phone", "300 000 0000"),
        ("payment", if spanish { "efectivo" } else { "cash" }),
        ("comment", ""),
        ("changes", if spanish { "Pollo Asado Entero ahora vale más" } else { "Whole Roast Chicken costs more now" }),
        ("order", "a1b2c3"),
        ("stage", if spanish { "en preparación" } else { "being prepared" }),
        ("time", if spanish { "30 a 45 minutos" } else { "30 to 45 minutes" }),
        ("tracking", ""),
        ("link", ""),
        ("opening", if spanish { "hoy a las 11:00" } else { "today at 11:00" }),
        ("open", "11:00"),
        ("close", "22:00"),
        ("words", "…"),
    ];
    values.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{
        Language, TEXTS, TemplatePieces, TextFlaw, flaws, preview, render, row_flaws, samples, table::ALL_KEYS,
    };

    #[test]
    fn every_key_has_one_row_that_is_valid_in_both_languages() {
        let rows: BTreeSet<&str> = TEXTS.iter().map(|row| row.key.name()).collect();
        assert_eq!((rows.len(), TEXTS.len()), (ALL_KEYS.len(), ALL_KEYS.len()));
        for row in TEXTS {
            for language in [Language::Es, Language::En] {
                let flaws = row_flaws(row, row.text(language));
                assert!(flaws.is_empty(), "{}: {flaws:?}", row.key.name());
                // Both languages say the same.
                let names =
                    |language| TemplatePieces(row.text(language)).filter_map(Result::err).collect::<BTreeSet<_>>();
                assert_eq!(names(Language::Es), names(Language::En), "{}", row.key.name());
            }
        }
        // Whoever shows a text with samples has one for each name.
        let (es, en) = (samples(Language::Es), samples(Language::En));
        for name in TEXTS.iter().flat_map(|row| row.names()).filter(|name| *name != "restaurant") {
            assert!(es.contains_key(name) && en.contains_key(name), "{name}");
        }
        for (key, text) in preview(Language::Es, &BTreeMap::new(), "Don Pollo") {
            assert!(!text.is_empty() && !text.contains(['{', '}']), "{}: {text}", key.name());
        }
    }

    #[test]
    fn a_value_is_no_template_and_an_empty_one_leaves_no_hole() {
        assert_eq!(render("Hola, {name}: {total}", &[("name", "{total}"), ("total", "$ 5")]), "Hola, {total}: $ 5");
        assert_eq!(render("Buenas tardes, {name}. Siga.", &[("name", "")]), "Buenas tardes. Siga.");
        assert_eq!(render("Uno\n{comment}\n\n\nDos {", &[("comment", "")]), "Uno\n\nDos {");
        assert_eq!(render("{{name}} {x y}", &[("name", "Ana")]), "{Ana} {x y}");
    }

    #[test]
    fn texts_of_the_owner_are_checked_field_by_field() {
        let own = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        let texts = BTreeMap::from([
            own("bienvenida", "Hola"),
            own("notice_ready", ""),
            own("summary", "Su pedido: {items}, {totla}"),
            own("thanks", &"a".repeat(1_001)),
            own("welcome", " "),
        ]);
        let expected = [
            ("bienvenida", TextFlaw::UnknownKey),
            ("summary", TextFlaw::UnknownPlaceholder("totla".into())),
            ("summary", TextFlaw::MissingPlaceholder("total")),
            ("thanks", TextFlaw::TooLong),
            ("welcome", TextFlaw::Empty),
        ];
        assert_eq!(flaws(&texts), expected.map(|(key, flaw)| (key.to_owned(), flaw)));
    }
}
