//! The menu as customers read it: by category, with numbers and prices, in messages of bounded length; dishes that a question names;
//! dishes that an unknown word may mean. Owns no state.

use std::collections::BTreeSet;

use super::{exchange::Exchange, words};
use crate::bot::{
    lexicon,
    menu::{Menu, MenuItem},
    text::{self, sound},
    texts::TextKey,
};

const PAGE_CHARS: usize = 2_500;
/// A menu of more pages is shown by category.
const MAX_PAGES: usize = 3;
const MAX_NAMED: usize = 25;
const MAX_CATEGORIES: usize = 60;
const MAX_DESCRIPTION_CHARS: usize = 160;
const MAX_SUGGESTIONS: usize = 3;
const LIKE_ENOUGH: f64 = 0.86;

fn available(menu: &Menu) -> impl Iterator<Item = (usize, &MenuItem)> {
    menu.items.iter().enumerate().filter(|(_, item)| item.available).map(|(at, item)| (at + 1, item))
}

fn categories(menu: &Menu) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    available(menu).map(|(_, item)| item.category.trim()).filter(|name| seen.insert(*name)).collect()
}

fn row(number: usize, item: &MenuItem) -> String {
    format!("{number}. {}: {}", words::one_line(&item.name, 80), item.price)
}

fn described(number: usize, item: &MenuItem) -> String {
    match words::one_line(&item.description, MAX_DESCRIPTION_CHARS) {
        description if description.is_empty() => row(number, item),
        description => format!("{}\n    {description}", row(number, item)),
    }
}

/// The whole menu, or its categories if it is long.
pub fn say_menu(exchange: &mut Exchange<'_>) {
    let menu = exchange.menu();
    let pages = pages(categories(menu).into_iter().map(|category| page(menu, category, false)));
    exchange.talk.numbers = true;
    match pages.len() {
        0 => exchange.say(TextKey::MenuEmpty, &[]),
        1..=MAX_PAGES => {
            exchange.say(TextKey::MenuHead, &[]);
            for (at, page) in pages.into_iter().enumerate() {
                if at > 0 {
                    exchange.end_message();
                }
                exchange.say_text(page);
            }
            exchange.end_message();
        }
        _ => {
            let names: Vec<String> = categories(menu)
                .iter()
                .filter(|name| !name.is_empty())
                .take(MAX_CATEGORIES)
                .map(|name| format!("• {}", words::one_line(name, 60)))
                .collect();
            if names.is_empty() {
                exchange.say_text(pages[0].clone());
                return exchange.say(TextKey::MenuMore, &[]);
            }
            exchange.say(TextKey::MenuCategories, &[("categories", &names.join("\n"))]);
        }
    }
}

fn page(menu: &Menu, category: &str, describes: bool) -> String {
    let items = available(menu).filter(|(_, item)| item.category.trim() == category);
    let rows = items.map(|(number, item)| if describes { described(number, item) } else { row(number, item) });
    let rows: Vec<String> = rows.collect();
    match category {
        "" => rows.join("\n"),
        name => format!("*{}*\n{}", words::one_line(name, 60), rows.join("\n")),
    }
}

/// Sections put together into pages; a section that is longer than a page is cut at lines.
fn pages(sections: impl Iterator<Item = String>) -> Vec<String> {
    let mut pages: Vec<String> = Vec::new();
    let mut page = String::new();
    let mut length = 0;
    for section in sections {
        for (at, line) in section.lines().enumerate() {
            let chars = line.chars().count() + 1;
            if length + chars > PAGE_CHARS {
                pages.push(std::mem::take(&mut page));
                length = 0;
            }
            if length > 0 {
                page.push_str(if at == 0 { "\n\n" } else { "\n" });
            }
            page.push_str(line);
            length += chars + 1;
        }
    }
    pages.push(page);
    pages.retain(|page| !page.trim().is_empty());
    pages
}

fn stem(word: &str) -> String {
    sound::singular(&sound::key(word)).to_owned()
}

/// A category that a text names: `qué bebidas tienen`.
fn category<'m>(menu: &'m Menu, said: &str) -> Option<&'m str> {
    let words = |text: &str| -> Vec<String> {
        let folded = text::fold(text);
        let words = folded.split(|c: char| !c.is_alphanumeric());
        words.filter(|word| !word.is_empty() && !lexicon::is_connector(word)).map(stem).collect()
    };
    let said = words(said);
    let named = |name: &&str| {
        let words = words(name);
        !words.is_empty() && words.iter().all(|word| said.contains(word))
    };
    categories(menu).into_iter().find(named)
}

/// A whole text that is a category's name.
pub fn is_category(menu: &Menu, said: &str) -> bool {
    let words = said.split_whitespace().count();
    category(menu, said).is_some_and(|name| words <= name.split_whitespace().count() + 1)
}

/// Answers a question about dishes. False: it names none that the menu has.
pub fn say_named(exchange: &mut Exchange<'_>, said: &str) -> bool {
    let menu = exchange.menu();
    if let Some(category) = category(menu, said) {
        let pages = pages(std::iter::once(page(menu, category, true)));
        let more = pages.len() > MAX_PAGES;
        exchange.talk.numbers = true;
        for page in pages.into_iter().take(MAX_PAGES) {
            exchange.say_text(page);
            exchange.end_message();
        }
        if more {
            exchange.say(TextKey::MenuMore, &[]);
        }
        return true;
    }
    let restaurant = exchange.restaurant;
    let mut seen = BTreeSet::new();
    let named: Vec<&MenuItem> =
        restaurant.parser.named(said).into_iter().flatten().filter(|item| seen.insert(item.id.as_str())).collect();
    if named.is_empty() {
        return false;
    }
    say_items(exchange, &named);
    true
}

/// Dishes with their prices; those that are sold out are told apart.
pub fn say_items(exchange: &mut Exchange<'_>, items: &[&MenuItem]) {
    let number = |item: &MenuItem| exchange.restaurant.numbers.get(&item.id).copied().unwrap_or_default();
    let (there, gone): (Vec<&MenuItem>, Vec<&MenuItem>) = items.iter().partition(|item| item.available);
    let rows: Vec<String> = there.iter().take(MAX_NAMED).map(|item| described(number(item), item)).collect();
    let gone: Vec<String> = gone.iter().take(MAX_NAMED).map(|item| words::one_line(&item.name, 80)).collect();
    if !rows.is_empty() {
        exchange.talk.numbers = true;
        exchange.say_text(rows.join("\n"));
    } else if !gone.is_empty() {
        exchange.say(TextKey::SoldOut, &[("items", &gone.join(", "))]);
    }
}

/// Available dishes whose names are like the wish, the likest first.
fn suggestions(exchange: &Exchange<'_>, wish: &str) -> Vec<String> {
    let folded = text::fold(wish);
    let words: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3).take(6).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let menu = exchange.menu();
    let mut likest: Vec<(f64, usize)> = Vec::new();
    for (at, names) in exchange.restaurant.name_words.iter().enumerate() {
        if !menu.items.get(at).is_some_and(|item| item.available) {
            continue;
        }
        let best = |word: &&str| {
            let likeness = names.iter().filter(|name| name.len() > 3).map(|name| strsim::jaro_winkler(name, word));
            likeness.fold(0.0, f64::max)
        };
        let score = words.iter().map(best).fold(0.0, f64::max);
        if score >= LIKE_ENOUGH {
            likest.push((score, at));
        }
    }
    likest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    likest.iter().take(MAX_SUGGESTIONS).map(|(_, at)| words::one_line(&menu.items[*at].name, 80)).collect()
}

/// A wish that the menu has not.
pub fn say_unknown(exchange: &mut Exchange<'_>, wish: &str) {
    let shown = words::one_line(wish, 60);
    if shown.is_empty() {
        return;
    }
    match suggestions(exchange, wish) {
        suggested if suggested.is_empty() => exchange.say(TextKey::Unknown, &[("wish", &shown)]),
        suggested => {
            let suggested = suggested.join(words::or(exchange.language()));
            exchange.say(TextKey::UnknownSuggest, &[("wish", &shown), ("suggestions", &suggested)]);
        }
    }
}
