//! Promises that hold for every message, and the corpus as a floor under the parser.

use std::{fs, path::Path, sync::LazyLock};

use proptest::prelude::*;
use serde::Deserialize;

use super::{
    OrderState, Parser,
    basket::{BasketLine, total},
    evaluation::{Utterance, predict_utterance},
    intent::Intent,
    menu::Menu,
};

fn corpus(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bot");
    fs::read_to_string(folder.join(file)).unwrap()
}

fn parser(menu: &str) -> Parser {
    let menu: Menu = serde_json::from_str(&corpus(&format!("menus/{menu}.json"))).unwrap();
    assert_eq!(menu.validate(), Ok(()));
    Parser::new(menu)
}

static DON_POLLO: LazyLock<Parser> = LazyLock::new(|| parser("don-pollo"));

#[derive(Deserialize)]
struct Expected {
    intent: Intent,
    cart: Vec<BasketLine>,
    #[serde(default)]
    alternatives: Vec<Vec<BasketLine>>,
}

fn units(cart: &[BasketLine]) -> Vec<(String, u32)> {
    let mut units: Vec<(String, u32)> = Vec::new();
    for line in cart {
        match units.iter_mut().find(|(item, _)| *item == line.item) {
            Some((_, qty)) => *qty += line.qty,
            None => units.push((line.item.clone(), line.qty)),
        }
    }
    units.sort();
    units
}

/// The scorer measures more; this floor tells a change that breaks understanding.
#[test]
fn the_corpus_is_understood() {
    let parsers = ["don-pollo", "la-piazza", "dona-rosa"].map(parser);
    let (mut orders, mut right, mut invented) = (0, 0, 0);
    for line in ["open.jsonl", "locked.jsonl"]
        .iter()
        .flat_map(|file| corpus(file).lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let utterance: Utterance = serde_json::from_str(&line).unwrap();
        let expected: Expected = serde_json::from_str(&line).unwrap();
        let parser = parsers.iter().find(|parser| parser.menu().id == utterance.menu).unwrap();
        let predicted = units(&predict_utterance(parser, &utterance).cart);
        if expected.intent == Intent::Order {
            orders += 1;
            right += usize::from(
                std::iter::once(&expected.cart).chain(&expected.alternatives).any(|cart| units(cart) == predicted),
            );
        } else {
            invented += usize::from(!predicted.is_empty());
        }
    }
    assert!(right * 100 >= orders * 97, "{right} of {orders} carts");
    assert_eq!(invented, 0, "orders where nobody ordered");
}

fn basket() -> OrderState {
    let line = |item: &str, qty| BasketLine { item: item.into(), qty, notes: vec![] };
    OrderState { lines: vec![line("hamb", 2), line("papas", 1)], ..OrderState::default() }
}

static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let texts = corpus("open.jsonl");
    let texts = texts.lines().map(|line| serde_json::from_str::<Utterance>(line).unwrap().text);
    texts.flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
});

/// Words that may take something out of a basket.
fn may_remove(text: &str) -> bool {
    let text = super::text::fold(text);
    let removing = [
        "no", "quit", "sin", "cancel", "anul", "borr", "elimin", "olvid", "menos", "mejor", "solo", "perdon", "digo",
        "mentira", "cambi", "vez de", "lugar de", "ningun", "sea", "son", "espera", "corrijo", "saca", "saque", "nada",
        "deje", "disculp", "ya",
    ];
    removing.iter().any(|word| text.contains(word))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_and_none_empties_a_basket(text in "\\PC{0,120}") {
        let understood = DON_POLLO.understand(&text, &basket(), &[]);
        prop_assert!(!understood.state.lines.is_empty() || may_remove(&text), "{text:?}");
    }

    #[test]
    fn words_in_any_order_leave_a_basket_that_can_be_priced(picks in proptest::collection::vec(0usize..5_000, 0..25)) {
        let text = picks.iter().map(|pick| WORDS[pick % WORDS.len()].as_str()).collect::<Vec<_>>().join(" ");
        let mut state = basket();
        for _ in 0..2 {
            let understood = DON_POLLO.understand(&text, &state, &[]);
            prop_assert!(understood.state.lines.iter().all(|line| line.qty > 0));
            prop_assert!(total(&understood.state.lines, DON_POLLO.menu()).is_some());
            prop_assert!(!understood.state.lines.is_empty() || may_remove(&text) || understood.intent == Intent::Cancel, "{text:?}");
            state = understood.state;
        }
    }

    #[test]
    fn the_same_message_has_the_same_meaning(picks in proptest::collection::vec(0usize..5_000, 0..12)) {
        let text = picks.iter().map(|pick| WORDS[pick % WORDS.len()].as_str()).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(DON_POLLO.understand(&text, &basket(), &[]), DON_POLLO.understand(&text, &basket(), &[]));
    }
}

/// An amount in a text changes no price, and is no quantity.
#[test]
fn prices_never_come_from_a_text() {
    let understood = DON_POLLO.understand(
        "una hamburguesa sencilla a $100 y unas papas de 20.000 pesos",
        &OrderState::default(),
        &[],
    );
    assert_eq!(units(&understood.state.lines), [("hamb".to_owned(), 1), ("papas".to_owned(), 1)]);
    assert_eq!(total(&understood.state.lines, DON_POLLO.menu()).unwrap().amount(), 21_000);
}

/// A quantity that nobody means is bounded.
#[test]
fn a_quantity_is_bounded() {
    let understood = DON_POLLO.understand("999999 hamburguesas sencillas", &OrderState::default(), &[]);
    assert!(understood.state.lines.iter().all(|line| line.qty <= crate::bot::phrase::MAX_QUANTITY));
}
