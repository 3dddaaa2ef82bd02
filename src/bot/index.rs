//! The menu as the parser searches it: words of names, aliases, kinds and descriptions, by spelling, sound and root.
//! Built once a menu; pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    lexicon,
    menu::Menu,
    synonyms,
    text::{
        sound,
        token::{Token, TokenKind, tokens},
    },
};

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
    /// Stems of categories and of the restaurant's name: no dishes.
    labels: HashSet<String>,
}

/// Categories that say nothing about what an item is.
const GENERIC: &[&str] = &[
    "bebida",
    "entrada",
    "plato",
    "postre",
    "adicion",
    "adicional",
    "otro",
    "especialidad",
    "menu",
    "acompanamiento",
    "extra",
    "fuerte",
    "principal",
    "promocion",
    "varios",
    "carta",
    "porcion",
    "especial",
    "recomendado",
    "casa",
    "desayuno",
    "combo",
    "frito",
];

const DRINK_CATEGORIES: &[&str] = &[
    "bebida", "jugo", "gaseosa", "cerveza", "licor", "coctel", "limonada", "malteada", "cafe", "vino", "trago",
    "refresco", "batido",
];

impl Index {
    pub fn new(menu: &Menu) -> Self {
        let mut index = Self {
            items: Vec::with_capacity(menu.items.len()),
            ids: menu.items.iter().map(|item| item.id.clone()).collect(),
            words: Vec::new(),
            postings: Vec::new(),
            by_fold: HashMap::new(),
            by_stem: HashMap::new(),
            by_root: HashMap::new(),
            by_length: BTreeMap::new(),
            labels: tokens(&menu.name)
                .iter()
                .map(|token| sound::singular(&sound::key(&token.text)).to_owned())
                .collect(),
        };
        for (number, item) in menu.items.iter().enumerate().take(usize::from(ItemNo::MAX)) {
            let number = number as ItemNo;
            let names = std::iter::once(&item.name).chain(&item.aliases);
            let names: Vec<ItemName> =
                names.take(200).map(|name| index.name(name)).filter(|name| !name.parts.is_empty()).collect();
            for (n, name) in names.iter().enumerate() {
                for (p, part) in name.parts.iter().enumerate() {
                    if let NamePart::Word(word) = part {
                        index.post(*word, number, Place::Name { name: n as u8, part: p as u8 });
                    }
                }
            }
            let category_tokens = tokens(&item.category);
            index
                .labels
                .extend(category_tokens.iter().map(|token| sound::singular(&sound::key(&token.text)).to_owned()));
            let stems = |list: &[&str], token: &Token| {
                let stem = sound::singular(&sound::key(&token.text)).to_owned();
                list.iter().any(|word| sound::singular(&sound::key(word)) == stem)
            };
            let is_drink = category_tokens.iter().any(|token| stems(DRINK_CATEGORIES, token));
            let (of_brands, of_category) = index.kinds(&names, &category_tokens);
            for word in &of_brands {
                index.post(*word, number, Place::Kind);
            }
            for word in &of_category {
                index.post(*word, number, Place::Category);
            }
            let kinds = [of_brands, of_category].concat();
            let description = tokens(&item.description);
            let mut contents = Vec::new();
            let mut servings = Vec::new();
            for token in &description {
                match token.kind {
                    TokenKind::Word if super::text::number::is_named(&token.text) => {}
                    TokenKind::Word if token.text == "te" || !lexicon::is_connector(&token.text) => {
                        let word = index.word(&token.text);
                        contents.push(word);
                        index.post(word, number, Place::Contents);
                    }
                    TokenKind::Number(value) => servings.push(value),
                    _ => {}
                }
            }
            let has_choice = description.iter().any(|token| {
                token.is_word()
                    && matches!(
                        token.text.as_str(),
                        "o" | "u" | "sabores" | "sabor" | "elegir" | "escoger" | "opciones" | "eleccion"
                    )
            });
            let list_of_flavours = is_drink && contents.len() >= 2;
            index.items.push(IndexedItem {
                names,
                price: item.price.amount(),
                available: item.available,
                category: super::text::fold(&item.category),
                is_drink,
                is_addition: category_tokens
                    .iter()
                    .any(|token| stems(&["adicion", "adicional", "extra", "topping", "salsa"], token)),
                kinds,
                contents,
                servings,
                has_options: has_choice || list_of_flavours,
            });
        }
        index
    }

    fn word(&mut self, fold: &str) -> WordNo {
        if let Some(word) = self.by_fold.get(fold) {
            return *word;
        }
        let number = self.words.len() as WordNo;
        let key = sound::key(fold);
        let stem = sound::singular(&key).to_owned();
        let root = sound::root(&stem).to_owned();
        self.by_fold.insert(fold.to_owned(), number);
        self.by_length.entry(stem.len()).or_default().push(number);
        self.by_root.entry(root).or_default().push(number);
        self.by_stem.entry(stem.clone()).or_default().push(number);
        self.words.push(Word { fold: fold.to_owned(), key: stem });
        self.postings.push(Vec::new());
        number
    }

    fn post(&mut self, word: WordNo, item: ItemNo, place: Place) {
        let list = &mut self.postings[word as usize];
        if !list.contains(&(item, place)) {
            list.push((item, place));
        }
    }

    fn name(&mut self, text: &str) -> ItemName {
        let mut parts = Vec::new();
        let mut joined = Vec::new();
        let mut after_and = false;
        let mut head = None;
        let mut pieces = None;
        let all = tokens(text);
        let is_joined =
            all.iter().skip(1).any(|token| matches!(token.text.as_str(), "de" | "del" | "con" | "sin" | "a"));
        for (at, token) in all.iter().enumerate().take(40) {
            let part = match token.kind {
                TokenKind::Word if matches!(token.text.as_str(), "y" | "e") => {
                    after_and = true;
                    continue;
                }
                TokenKind::Word if token.text == "x" => continue,
                // With and without gas are two waters.
                TokenKind::Word
                    if !matches!(token.text.as_str(), "sin" | "te") && lexicon::is_connector(&token.text) =>
                {
                    continue;
                }
                TokenKind::Word => {
                    let value = match token.text.as_str() {
                        "medio" | "media" => Some(500),
                        "cuarto" => Some(250),
                        other => super::text::number::word(other).map(|value| value * 1_000),
                    };
                    match value {
                        Some(value) => NamePart::Number(value),
                        None => {
                            let packs = SIZES.contains(&token.text.as_str()) || PACKINGS.contains(&token.text.as_str());
                            if head.is_none() && !packs {
                                head = Some(parts.len());
                            }
                            NamePart::Word(self.word(&token.text))
                        }
                    }
                }
                TokenKind::Number(value) => {
                    let by_times = at > 0 && all[at - 1].text == "x";
                    let behind = all.get(at + 1).map_or("", |token| &token.text);
                    let by_unit = matches!(
                        behind,
                        "unidades" | "und" | "unds" | "uds" | "u" | "piezas" | "pzs" | "presas" | "pz"
                    );
                    let leads = at == 0
                        && value >= 2_000
                        && !behind.is_empty()
                        && behind.ends_with('s')
                        && !text.contains(" quesos");
                    if by_times || by_unit || leads {
                        pieces = Some(value);
                    }
                    NamePart::Number(value)
                }
                TokenKind::Measure(base) => {
                    let shown = token.text.trim_end_matches("ml").parse::<u32>().unwrap_or(base);
                    NamePart::Measure(base, shown)
                }
                _ => continue,
            };
            if after_and {
                joined.push(parts.len());
                after_and = false;
            }
            if parts.len() < 16 {
                parts.push(part);
            }
        }
        ItemName { head: head.unwrap_or(0).min(parts.len().saturating_sub(1)), parts, joined, is_joined, pieces }
    }

    /// Hypernyms of brands in the names, and the category where it says what the item is.
    fn kinds(&mut self, names: &[ItemName], category: &[Token]) -> (Vec<WordNo>, Vec<WordNo>) {
        let mut own: Vec<String> = Vec::new();
        for part in names.iter().flat_map(|name| &name.parts) {
            if let NamePart::Word(word) = part {
                own.push(self.words[*word as usize].key.clone());
                own.push(self.words[*word as usize].fold.clone());
            }
        }
        let head = names.first().and_then(|name| match name.parts.get(name.head) {
            Some(NamePart::Word(word)) => Some(self.words[*word as usize].fold.clone()),
            _ => None,
        });
        let mut of_brands = Vec::new();
        for (kind, brands) in synonyms::BRANDS {
            let has_brand = brands.iter().any(|brand| own.iter().any(|word| word == brand));
            // `Café Águila Roja` is no beer.
            let another = *kind == "cerveza"
                && head.as_ref().is_some_and(|head| lexicon::is_food(head) && !brands.contains(&head.as_str()));
            if has_brand && !another && !own.contains(&sound::singular(&sound::key(kind)).to_owned()) {
                of_brands.push((*kind).to_owned());
            }
        }
        let mut of_category = Vec::new();
        for (at, token) in category.iter().enumerate().filter(|(_, token)| token.is_word() && token.text.len() >= 3) {
            // `Bebidas calientes` are no dishes called `caliente`.
            if at > 0 && lexicon::is_preparation(&token.text) {
                continue;
            }
            let key = sound::key(&token.text);
            let stem = sound::singular(&key);
            let generic = GENERIC.iter().any(|word| sound::singular(&sound::key(word)) == stem);
            if !generic && !lexicon::is_connector(&token.text) && !own.iter().any(|word| word == stem) {
                of_category.push(token.text.clone());
            }
        }
        let of_brands = of_brands.iter().map(|kind| self.word(kind)).collect();
        let of_category = of_category.iter().map(|kind| self.word(kind)).collect();
        (of_brands, of_category)
    }

    /// The name of a category or of the restaurant.
    pub fn is_label(&self, fold: &str) -> bool {
        self.labels.contains(sound::singular(&sound::key(fold)))
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
