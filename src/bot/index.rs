//! The menu as the parser searches it: words of names, aliases, kinds and descriptions, by spelling, sound and root.
//! Built once a menu; pure.

mod building;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{lexicon, synonyms, text::sound};

pub type ItemNo = u16;
pub type WordNo = u32;

/// A word of an item's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePart {
    Word(WordNo),
    /// In thousandths.
    Number(u32),
    /// Millilitres or grams, and the number as the menu writes it.
    Measure(u32, u32),
}

/// One way to name an item: its own name, or an alias.
#[derive(Debug, Clone)]
pub struct ItemName {
    pub parts: Vec<NamePart>,
    /// Index of the noun in `parts`.
    pub head: usize,
    /// Parts behind an `y` in the name.
    pub joined: Vec<usize>,
    /// Parts behind `en` or `con`: how it is made, or what lies beside it.
    pub sides: Vec<usize>,
    /// A word joins its noun to more: `Agua de Jamaica`, and not `Agua Cristal`.
    pub is_joined: bool,
    /// The number of pieces that make one of it, in thousandths: `Alitas x 6`.
    pub pieces: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct IndexedItem {
    pub names: Vec<ItemName>,
    pub price: u64,
    pub available: bool,
    pub category: String,
    pub is_drink: bool,
    /// It is eaten with another item, and has no notes of its own.
    pub is_addition: bool,
    /// Words that are not the item's own: its kind, its category.
    pub kinds: Vec<WordNo>,
    /// Words of its description.
    pub contents: Vec<WordNo>,
    /// Numbers in its description: "para 4".
    pub servings: Vec<u32>,
    /// The description lists flavours, brands or sides to choose from.
    pub has_options: bool,
}

/// The place of a word in the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Name {
        name: u8,
        part: u8,
    },
    /// A brand's kind: beer, soda.
    Kind,
    /// The category where it says what the item is.
    Category,
    Contents,
}

#[derive(Debug, Default)]
struct Word {
    fold: String,
    key: String,
}

/// The likeness of a customer's word to a word of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    Same,
    Sounds,
    Slip,
}

#[derive(Debug)]
pub struct Index {
    pub items: Vec<IndexedItem>,
    pub ids: Vec<String>,
    words: Vec<Word>,
    postings: Vec<Vec<(ItemNo, Place)>>,
    by_fold: HashMap<String, WordNo>,
    by_stem: HashMap<String, Vec<WordNo>>,
    by_root: HashMap<String, Vec<WordNo>>,
    by_length: BTreeMap<usize, Vec<WordNo>>,
    /// Words behind a `sin` in a name: `Agua sin gas`.
    negated: HashSet<WordNo>,
    /// Stems of categories and of the restaurant's name: no dishes.
    labels: HashSet<String>,
}

impl Index {
    /// The name of a category or of the restaurant.
    pub fn is_label(&self, fold: &str) -> bool {
        self.labels.contains(sound::singular(&sound::key(fold)))
    }

    /// A name has the word behind a `sin`.
    pub fn is_negated(&self, word: WordNo) -> bool {
        self.negated.contains(&word)
    }

    pub fn postings(&self, word: WordNo) -> &[(ItemNo, Place)] {
        &self.postings[word as usize]
    }

    pub fn spelling(&self, word: WordNo) -> &str {
        &self.words[word as usize].fold
    }

    pub fn head(&self, item: ItemNo) -> Option<&NamePart> {
        let name = self.items[usize::from(item)].names.first()?;
        name.parts.get(name.head)
    }

    /// True: a word of a description belongs to this item.
    pub fn contains(&self, item: ItemNo, words: &[WordNo]) -> bool {
        let contents = &self.items[usize::from(item)].contents;
        words.iter().any(|word| contents.contains(word))
    }

    /// The words of the menu that a folded word is, sounds like or is a small form of. No slips.
    pub fn lookup(&self, fold: &str) -> Vec<(WordNo, Likeness)> {
        let mut found = self.lookup_plain(fold);
        if found.is_empty() {
            let key = sound::key(fold);
            let stem = sound::singular(&key);
            for group in synonyms::GROUPS {
                let ours = |word: &&str| sound::singular(&sound::key(word)) == stem || **word == *fold;
                if group.iter().any(ours) {
                    for other in *group {
                        if let Some(words) = self.by_stem.get(sound::singular(&sound::key(other))) {
                            found.extend(words.iter().map(|word| (*word, Likeness::Sounds)));
                        }
                    }
                }
            }
        }
        found
    }

    fn lookup_plain(&self, fold: &str) -> Vec<(WordNo, Likeness)> {
        let key = sound::key(fold);
        let stem = sound::singular(&key);
        let mut found: Vec<(WordNo, Likeness)> = Vec::new();
        if let Some(words) = self.by_stem.get(stem) {
            for word in words {
                let spelling = &self.words[*word as usize].fold;
                let same = spelling.starts_with(fold.trim_end_matches('s').trim_end_matches('e'))
                    || fold.starts_with(spelling.trim_end_matches('s'));
                found.push((*word, if same { Likeness::Same } else { Likeness::Sounds }));
            }
        }
        if !found.is_empty() {
            return found;
        }
        // Another gender, of words long enough that a vowel does not make another word of them.
        let root = sound::root(stem);
        if root.len() >= 4
            && root != stem
            && let Some(words) = self.by_root.get(root)
        {
            found.extend(words.iter().map(|word| (*word, Likeness::Sounds)));
        }
        // `un paquete` is no small pack.
        if found.is_empty() && !lexicon::is_everyday(fold) {
            for root in sound::diminutive_roots(stem) {
                if let Some(words) = self.by_root.get(&root) {
                    found.extend(words.iter().map(|word| (*word, Likeness::Same)));
                }
            }
        }
        found
    }

    /// The words of the menu that a word may be with a slip or two: only the nearest.
    pub fn lookup_slips(&self, fold: &str) -> Vec<(WordNo, Likeness)> {
        let key = sound::key(fold);
        let stem = sound::singular(&key);
        let mut nearest = usize::MAX;
        let mut found = Vec::new();
        let range = stem.len().saturating_sub(3)..=stem.len() + 3;
        for words in self.by_length.range(range).map(|(_, words)| words) {
            for word in words {
                let by_sound = sound::slips(stem, &self.words[*word as usize].key);
                let by_letter =
                    sound::slips(fold.trim_end_matches('s'), self.words[*word as usize].fold.trim_end_matches('s'));
                let Some(slips) = by_sound.into_iter().chain(by_letter).min() else { continue };
                if slips < nearest {
                    nearest = slips;
                    found.clear();
                }
                if slips == nearest {
                    found.push((*word, Likeness::Slip));
                }
            }
        }
        found
    }

    /// `hambur`: the one word of names that begins so.
    pub fn lookup_beginning(&self, fold: &str) -> Vec<(WordNo, Likeness)> {
        const SHORTEST: usize = 4;
        if fold.len() < SHORTEST {
            return Vec::new();
        }
        let mut found: Vec<(WordNo, Likeness)> = Vec::new();
        for (number, word) in self.words.iter().enumerate() {
            let number = number as WordNo;
            if word.fold.len() >= fold.len() + 2 && word.fold.starts_with(fold) && self.is_in_names(number) {
                found.push((number, Likeness::Slip));
            }
        }
        let same = found.iter().all(|(word, _)| self.words[*word as usize].key == self.words[found[0].0 as usize].key);
        if same { found } else { Vec::new() }
    }

    /// True: an item's name, kind or alias has the word.
    pub fn is_in_names(&self, word: WordNo) -> bool {
        self.postings(word).iter().any(|(_, place)| *place != Place::Contents)
    }

    /// True: the word is what something is made in or comes with, and no item's name otherwise.
    pub fn is_only_side(&self, word: WordNo) -> bool {
        let is_side = |(item, place): &(ItemNo, Place)| match place {
            Place::Name { name, part } => {
                self.items[usize::from(*item)].names[usize::from(*name)].sides.contains(&usize::from(*part))
            }
            Place::Contents => true,
            Place::Kind | Place::Category => false,
        };
        self.postings(word).iter().all(is_side)
    }

    /// Items of the same noun or kind, the item itself included.
    pub fn siblings(&self, item: ItemNo) -> Vec<ItemNo> {
        let head = self.head(item).cloned();
        let kinds = &self.items[usize::from(item)].kinds;
        (0..self.items.len() as ItemNo)
            .filter(|other| {
                let same_head = head.is_some() && self.head(*other) == head.as_ref();
                same_head
                    || self.items[usize::from(*other)].kinds.iter().any(|kind| kinds.contains(kind))
                    || kinds.iter().any(|kind| self.head(*other) == Some(&NamePart::Word(*kind)))
            })
            .collect()
    }

    /// The number of name parts that two items share.
    pub fn shared_parts(&self, a: ItemNo, b: ItemNo) -> usize {
        let parts = |item: ItemNo| self.items[usize::from(item)].names.first().map_or(&[][..], |name| &name.parts);
        parts(a).iter().filter(|part| parts(b).contains(part)).count()
    }

    /// The parts of a name that say a size: equal for the same size of two flavours.
    pub fn size_parts(&self, item: ItemNo) -> Vec<NamePart> {
        let Some(name) = self.items[usize::from(item)].names.first() else { return Vec::new() };
        let sizes = name.parts.iter().filter(|part| match part {
            NamePart::Word(word) => SIZES.contains(&self.spelling(*word)),
            NamePart::Number(_) | NamePart::Measure(..) => true,
        });
        sizes.cloned().collect()
    }

    /// The name without sizes, measures and numbers: equal for the sizes of one dish.
    pub fn without_size(&self, item: ItemNo) -> Vec<WordNo> {
        let Some(name) = self.items[usize::from(item)].names.first() else { return Vec::new() };
        let words = name.parts.iter().filter_map(|part| match part {
            NamePart::Word(word) if !SIZES.contains(&self.spelling(*word)) => Some(*word),
            _ => None,
        });
        words.collect()
    }
}

/// Words for what a thing comes in: not its noun, as in `Bolsa de Hielo`.
const PACKINGS: &[&str] =
    &["bolsa", "libra", "botella", "lata", "paquete", "vaso", "jarra", "copa", "unidad", "orden", "porciones"];

/// Words that say a size.
pub const SIZES: &[&str] = &[
    "personal",
    "personales",
    "mediano",
    "mediana",
    "medianos",
    "medianas",
    "grande",
    "grandes",
    "familiar",
    "familiares",
    "pequeno",
    "pequena",
    "pequenos",
    "pequenas",
    "chico",
    "chica",
    "mini",
    "gigante",
    "jumbo",
    "extragrande",
    "individual",
    "litro",
    "small",
    "medium",
    "large",
    "junior",
    "porcion",
    "media",
    "medio",
    "compartir",
];
