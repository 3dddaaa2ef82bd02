//! Dishes that a message names without ordering them, and dishes that are wanted only if another is sold out.

use super::{fonda, read, shown};
use crate::bot::{OrderState, intent::Intent};

fn check(cases: &[(&str, &str)]) {
    let parser = fonda();
    for (said, expected) in cases {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), *expected, "{said}");
    }
}

#[test]
fn a_dish_that_is_only_mentioned_is_not_ordered() {
    check(&[
        ("me manda una foto del tamal", ""),
        ("quiero información del tamal", ""),
        ("ya les pagué los dos tamales", ""),
        ("se demora mucho un tamal?", ""),
        ("qué pasó con los tamales", ""),
        ("la changua se puede pedir sin huevo?", ""),
        ("no sé si pedir tamal o changua", ""),
        ("felicitaciones por el tamal", ""),
        ("me deben un tamal", ""),
        ("dos tamales, ya les pagué", "2 tamal"),
        ("un tamal | me deben un café", "1 tamal"),
        ("un tamal | falta la changua", "1 tamal + 1 changua"),
    ]);
    let parser = fonda();
    for (said, intent) in [
        ("me manda una foto del tamal", Intent::Menu),
        ("se demora mucho un tamal?", Intent::Status),
        ("me deben un tamal", Intent::Human),
        ("me regala el menú del día", Intent::Menu),
        ("eso no más", Intent::Confirm),
        ("sí, mándelo", Intent::Confirm),
    ] {
        assert_eq!(parser.understand(said, &OrderState::default(), &[]).intent, intent, "{said}");
    }
}

#[test]
fn a_number_behind_a_question_is_of_what_was_asked_about() {
    check(&[
        ("tienen tamales? deme dos", "2 tamal"),
        ("cuánto vale la changua? me manda una", "1 changua"),
        ("soy alérgico al maní, un tamal por favor", "1 tamal"),
    ]);
}

#[test]
fn a_fallback_is_wanted_only_where_the_first_is_sold_out() {
    check(&[
        ("un tamal y si no hay, una changua", "1 tamal"),
        ("una colombiana, si no tienen mándeme un tamal", "1 colombiana"),
        ("si no hay tamal me manda una changua", "1 tamal"),
        ("un tamal, si no hay una changua, y dos lumpias", "1 tamal + 2 lumpia"),
        ("un tamal, no una changua", "1 tamal"),
    ]);
    assert_eq!(read("don-pollo", &["un brownie con helado, si no hay, una limonada natural"]), "1 limonada");
}

#[test]
fn what_is_said_of_one_of_several_stays_with_it() {
    assert_eq!(
        read("el-parche", &["dos sencillas y una doble, todas sin cebolla menos la doble"]),
        "2 sencilla [sin cebolla] + 1 doble"
    );
    check(&[
        (
            "tres changuas: la primera sin huevo, la segunda sin calado y la tercera normal",
            "1 changua + 1 changua [sin huevo] + 1 changua [sin calado]",
        ),
        ("dos tamales, no, que sean tres, y uno sin ají", "2 tamal + 1 tamal [sin ají]"),
    ]);
    assert_eq!(
        read("la-piazza", &["3 gaseosas, dos cocas y una sprite"]),
        "?1 gaseosa/gaseosa-15 + ?2 gaseosa/gaseosa-15"
    );
}

#[test]
fn how_a_side_is_to_be_is_one_note() {
    assert_eq!(read("dona-rosa", &["una bandeja paisa con huevo bien frito"]), "1 bandeja [con huevo bien frito]");
    assert_eq!(read("el-parche", &["una sencilla que la carne quede bien asada"]), "1 sencilla [carne bien asada]");
}

#[test]
fn numbers_in_parentheses_and_lists_in_one_line_are_read() {
    check(&[
        ("(2) tamales", "2 tamal"),
        ("dos (2) tamales y un (1) café", "2 tamal + 1 cafe"),
        ("1. tamal 2. changua 3. lumpia", "1 tamal + 1 changua + 1 lumpia"),
        ("dos tamales ytres lumpias", "2 tamal + 3 lumpia"),
    ]);
}
