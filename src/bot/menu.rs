//! The menu of a restaurant as its owner keeps it. Owns the shape of items and its validation; never reads files,
//! never guesses a price.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    intent::{self, Intent},
    money::Money,
    text,
};

/// Bounds of what one restaurant may have, so that a message costs a known time at the most.
pub const MAX_ITEMS: usize = 2_000;
const MAX_ID_CHARS: usize = 100;
const MAX_NAME_CHARS: usize = 200;
const MAX_DESCRIPTION_CHARS: usize = 2_000;
const MAX_ALIASES: usize = 50;

/// A dish, a drink, an addition: whatever has a price of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuItem {
    pub id: String,
    pub name: String,
    pub price: Money,
    #[serde(default)]
    pub category: String,
    #[serde(default)]
    pub description: String,
    #[serde(default = "available_by_default")]
    pub available: bool,
    /// Names that this restaurant's customers use; the owner teaches them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

fn available_by_default() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// The id of the menu in a corpus; a tenant has one menu without it.
    #[serde(default, rename = "menu")]
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub items: Vec<MenuItem>,
}

/// A menu that cannot be used as it is; names the item.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MenuError {
    #[error("the menu has more than {MAX_ITEMS} items")]
    TooManyItems,
    #[error("item number {0} has no id")]
    NoId(usize),
    #[error("the id of item number {0} is longer than {MAX_ID_CHARS} characters")]
    LongId(usize),
    #[error("the id {0:?} occurs twice")]
    DuplicateId(String),
    #[error("item {0:?} needs a name of 1 to {MAX_NAME_CHARS} characters with at least one letter")]
    Name(String),
    #[error("the name of item {0:?} has a line break, or another sign that is not shown")]
    BrokenName(String),
    #[error("the name of item {0:?} is a word that customers answer with")]
    AnswerAsName(String),
    #[error("item {0:?} has the same name as another one of its category")]
    DuplicateName(String),
    #[error("the description of item {0:?} is longer than {MAX_DESCRIPTION_CHARS} characters")]
    Description(String),
    #[error("the price of item {0:?} is not plausible")]
    Price(String),
    #[error("item {0:?} has an alias without a letter, too long a one, or more than {MAX_ALIASES}")]
    Alias(String),
}

impl Menu {
    /// The first mistake, if there is one.
    pub fn validate(&self) -> Result<(), MenuError> {
        if self.items.len() > MAX_ITEMS {
            return Err(MenuError::TooManyItems);
        }
        let (mut ids, mut names) = (HashSet::new(), HashSet::new());
        for (index, item) in self.items.iter().enumerate() {
            if item.id.trim().is_empty() {
                return Err(MenuError::NoId(index + 1));
            }
            if is_longer(&item.id, MAX_ID_CHARS) {
                return Err(MenuError::LongId(index + 1));
            }
            if !ids.insert(item.id.as_str()) {
                return Err(MenuError::DuplicateId(item.id.clone()));
            }
            item.validate()?;
            if !names.insert(spoken_in(&item.category, &item.name)) {
                return Err(MenuError::DuplicateName(item.id.clone()));
            }
        }
        Ok(())
    }

    pub fn item(&self, id: &str) -> Option<&MenuItem> {
        self.items.iter().find(|item| item.id == id)
    }
}

impl MenuItem {
    fn validate(&self) -> Result<(), MenuError> {
        if !is_name(&self.name) {
            return Err(MenuError::Name(self.id.clone()));
        }
        if self.name.contains(char::is_control) {
            return Err(MenuError::BrokenName(self.id.clone()));
        }
        if matches!(intent::talk(&spoken(&self.name)), Some(Intent::Confirm | Intent::Deny)) {
            return Err(MenuError::AnswerAsName(self.id.clone()));
        }
        if is_longer(&self.description, MAX_DESCRIPTION_CHARS) {
            return Err(MenuError::Description(self.id.clone()));
        }
        if !self.price.is_plausible() {
            return Err(MenuError::Price(self.id.clone()));
        }
        if self.aliases.len() > MAX_ALIASES || !self.aliases.iter().all(|alias| is_name(alias)) {
            return Err(MenuError::Alias(self.id.clone()));
        }
        Ok(())
    }
}

/// A dish's category and name as customers say them. Two that are said alike cannot be told apart: a lemonade may be among the drinks and
/// among the jars, and not twice among the drinks.
pub fn spoken_in(category: &str, name: &str) -> (String, String) {
    (spoken(category), spoken(name))
}

/// A name as customers say it: no case, no accents, no marks.
fn spoken(name: &str) -> String {
    let folded = text::fold(name);
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn is_longer(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_some()
}

fn is_name(text: &str) -> bool {
    !is_longer(text, MAX_NAME_CHARS) && text.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::{Menu, MenuError};

    fn menu(items: &str) -> Menu {
        serde_json::from_str(&format!(r#"{{"items": {items}}}"#)).unwrap()
    }

    #[test]
    fn an_item_without_flag_is_available() {
        let menu = menu(r#"[{"id": "a", "name": "Ajiaco", "price": 24000}]"#);
        assert!(menu.items[0].available);
        assert_eq!(menu.validate(), Ok(()));
    }

    #[test]
    fn mistakes_name_their_item() {
        let twice = menu(r#"[{"id": "a", "name": "Ajiaco", "price": 1}, {"id": "a", "name": "Arroz", "price": 1}]"#);
        assert_eq!(twice.validate(), Err(MenuError::DuplicateId("a".into())));
        let nameless = menu(r#"[{"id": "a", "name": " - ", "price": 1}]"#);
        assert_eq!(nameless.validate(), Err(MenuError::Name("a".into())));
        let dear = menu(r#"[{"id": "a", "name": "Ajiaco", "price": 9000000000000000}]"#);
        assert_eq!(dear.validate(), Err(MenuError::Price("a".into())));
    }

    /// A menu that is stored with them is read all the same: only who writes one is told.
    #[test]
    fn names_can_be_told_apart_and_are_no_answers() {
        let named = |name: &str| menu(&format!(r#"[{{"id": "a", "name": {name}, "price": 1}}]"#)).validate();
        assert_eq!(named(r#""Ajiaco\nSantafereño""#), Err(MenuError::BrokenName("a".into())));
        for name in [r#""Sí""#, r#""no""#, r#""¡Listo!""#] {
            assert_eq!(named(name), Err(MenuError::AnswerAsName("a".into())), "{name}");
        }
        assert_eq!(named(r#""Sancocho""#), Ok(()));
        let twice = menu(
            r#"[{"id": "a", "name": "Coca-Cola 400", "price": 1}, {"id": "b", "name": "coca  cola 400", "price": 2}]"#,
        );
        assert_eq!(twice.validate(), Err(MenuError::DuplicateName("b".into())));
        let apart = menu(
            r#"[{"id": "a", "name": "Limonada", "price": 1, "category": "Vasos"},
                {"id": "b", "name": "Limonada", "price": 2, "category": "Jarras"}]"#,
        );
        assert_eq!(apart.validate(), Ok(()));
    }

    #[test]
    fn a_price_is_a_whole_number() {
        let parsed = serde_json::from_str::<Menu>(r#"{"items": [{"id": "a", "name": "Ajiaco", "price": 24000.5}]}"#);
        assert!(parsed.is_err());
        let parsed = serde_json::from_str::<Menu>(r#"{"items": [{"id": "a", "name": "Ajiaco", "price": -1}]}"#);
        assert!(parsed.is_err());
    }
}
