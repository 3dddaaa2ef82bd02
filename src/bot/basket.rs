//! The basket: what a customer wants so far. Holds ids and quantities, never prices: a total is computed from the
//! menu when it is shown.

use serde::{Deserialize, Serialize};

use super::{menu::Menu, money::Money};

/// Some units of one item that are prepared alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketLine {
    pub item: String,
    pub qty: u32,
    #[serde(default, rename = "note")]
    pub notes: Vec<String>,
}

/// A wish that fits several items, or whose number nobody said; the customer is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmbiguousWish {
    pub candidates: Vec<String>,
    pub qty: u32,
    #[serde(default, rename = "note", skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The number is asked for: `qty` is a proposal, and zero is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_number: bool,
    /// The line of that dish has `qty` units then; until the customer says so, it has those that it had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// The total of a basket by the prices of this moment. `None`: a line names an item that the menu has not (or has no
/// longer), or the sum does not fit.
pub fn total(lines: &[BasketLine], menu: &Menu) -> Option<Money> {
    lines.iter().try_fold(Money::ZERO, |sum, line| sum.plus(menu.item(&line.item)?.price.times(line.qty)?))
}

#[cfg(test)]
mod tests {
    use super::{BasketLine, total};
    use crate::bot::{menu::Menu, money::Money};

    #[test]
    fn the_total_follows_the_menu_of_the_moment() {
        let mut menu: Menu =
            serde_json::from_str(r#"{"items": [{"id": "a", "name": "Ajiaco", "price": 24000}]}"#).unwrap();
        let lines = [BasketLine { item: "a".into(), qty: 2, notes: vec![] }];
        assert_eq!(total(&lines, &menu), Some(Money::new(48_000)));
        menu.items[0].price = Money::new(25_000);
        assert_eq!(total(&lines, &menu), Some(Money::new(50_000)));
        menu.items.clear();
        assert_eq!(total(&lines, &menu), None);
    }
}
