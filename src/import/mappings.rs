//! Which LID is which number: asked in both directions, for every entry of a store.

use std::collections::BTreeMap;

use super::address::is_user;

/// One number a LID, one LID a number; of two that contradict each other the later counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LidMappings {
    numbers: BTreeMap<String, String>,
    lids: BTreeMap<String, String>,
}

impl LidMappings {
    /// False when one of the two is no user.
    pub fn insert(&mut self, lid: &str, number: &str) -> bool {
        if !is_user(lid) || !is_user(number) {
            return false;
        }
        if let Some(before) = self.numbers.insert(lid.to_owned(), number.to_owned()) {
            self.lids.remove(&before);
        }
        if let Some(before) = self.lids.insert(number.to_owned(), lid.to_owned())
            && before != lid
        {
            self.numbers.remove(&before);
        }
        true
    }

    pub fn number_of(&self, lid: &str) -> Option<&str> {
        self.numbers.get(lid).map(String::as_str)
    }

    pub fn lid_of(&self, number: &str) -> Option<&str> {
        self.lids.get(number).map(String::as_str)
    }

    /// LID and number.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.numbers.iter().map(|(lid, number)| (lid.as_str(), number.as_str()))
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree() {
        let mut mappings = LidMappings::default();
        for (lid, number) in [("11", "57"), ("12", "58"), ("11", "59"), ("13", "58"), ("13", "58")] {
            assert!(mappings.insert(lid, number));
        }
        assert_eq!(mappings.iter().collect::<Vec<_>>(), [("11", "59"), ("13", "58")]);
        for (lid, number) in mappings.iter() {
            assert_eq!((mappings.number_of(lid), mappings.lid_of(number)), (Some(number), Some(lid)));
        }
        assert_eq!(mappings.lid_of("57"), None);
        assert!(!mappings.insert("a", "57") && !mappings.insert("11", ""));
    }
}
