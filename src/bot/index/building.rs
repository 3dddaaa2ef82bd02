//! Builds the index of a menu.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Index, IndexedItem, ItemName, ItemNo, NamePart, PACKINGS, Place, SIZES, Word, WordNo};
use crate::bot::{
    lexicon,
    menu::Menu,
    synonyms,
    text::{
        fold, number, sound,
        token::{Token, TokenKind, tokens},
    },
};

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
            negated: HashSet::new(),
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
            for pair in names.iter().flat_map(|name| name.parts.windows(2)) {
                if let [NamePart::Word(sign), NamePart::Word(word)] = pair
                    && index.spelling(*sign) == "sin"
                {
                    index.negated.insert(*word);
                }
            }
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
                    TokenKind::Word if number::is_named(&token.text) => {}
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
                category: fold(&item.category),
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
        let mut sides = Vec::new();
        let (mut after_and, mut is_beside) = (false, false);
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
                    is_beside |= parts.len() > head.unwrap_or(0) && matches!(token.text.as_str(), "en" | "con");
                    continue;
                }
                TokenKind::Word => {
                    let value = match token.text.as_str() {
                        "medio" | "media" => Some(500),
                        "cuarto" => Some(250),
                        other => number::word(other).map(|value| value * 1_000),
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
                if is_beside {
                    sides.push(parts.len());
                }
                parts.push(part);
            }
        }
        ItemName { head: head.unwrap_or(0).min(parts.len().saturating_sub(1)), parts, joined, sides, is_joined, pieces }
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
}
