//! Names with `sin`, `con`, `en`, sizes and `sola` in them: their words belong to the dish, and to nothing else.

use super::{menu_of, shown};
use crate::bot::Parser;

fn bakery() -> Parser {
    menu_of(&[
        ("agua", "Agua sin gas", "Bebidas"),
        ("gas", "Agua con gas", "Bebidas"),
        ("burger", "Hamburguesa clásica", "Platos"),
        ("arepa", "Arepa sola", "Platos"),
        ("queso", "Arepa con queso", "Platos"),
        ("huevo", "Arepa con huevo y queso", "Platos"),
        ("choco-agua", "Chocolate en agua", "Bebidas"),
        ("choco-leche", "Chocolate en leche", "Bebidas"),
        ("cuarto", "Torta de chocolate 1/4 libra", "Platos"),
        ("media", "Torta de chocolate media libra", "Platos"),
        ("libra", "Torta de chocolate 1 libra", "Platos"),
        ("vainilla", "Torta de vainilla media libra", "Platos"),
        ("vainilla-libra", "Torta de vainilla 1 libra", "Platos"),
    ])
}

#[test]
fn words_of_a_name_belong_to_it_alone() {
    let parser = bakery();
    for (said, expected) in [
        ("un agua", "?1 agua/gas"),
        ("agua x3 sin gas", "3 agua"),
        ("una agua fría sin gas", "1 agua [fría]"),
        ("dos aguas sin gas y una con gas", "2 agua + 1 gas"),
        ("2 aguas, una con gas y otra sin", "1 gas + 1 agua"),
        (
            "3 hamburguesas: 1 sin cebolla, 1 sin tomate y la otra normal",
            "1 burger + 1 burger [sin cebolla] + 1 burger [sin tomate]",
        ),
        ("dos arepas, una sola y otra con queso", "1 arepa + 1 queso"),
        ("una sola arepa con queso", "1 queso"),
        ("dos chocolates uno en agua y el otro en leche", "1 choco-agua + 1 choco-leche"),
        ("una torta de chocolate de una libra", "1 libra"),
        ("una torta de vainilla de libra y media", "?1 vainilla/vainilla-libra"),
        ("una hamburguesa | a la misma dirección de siempre", "1 burger"),
        ("una hamburguesa | y otra", "2 burger"),
        ("hamburguesas, 4", "4 burger"),
        ("un chocolate en agua o en leche", "?1 choco-agua/choco-leche"),
        ("dos hamburguesas sin cebolla y una sin tomate", "2 burger [sin cebolla] + 1 burger [sin tomate]"),
        ("una hamburguesa y un agua con gas, sin cebolla la hamburguesa", "1 burger [sin cebolla] + 1 gas"),
        ("una arepa sola y si hay hamburguesa una hamburguesa", "1 arepa + 1 burger"),
    ] {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), expected, "{said}");
    }
    let juices = menu_of(&[("jugo", "Jugo en agua", "Bebidas"), ("tinto", "Tinto", "Bebidas")]);
    assert_eq!(shown(&juices, &["dos aguas y un tinto"]), "1 tinto !aguas");
}

#[test]
fn a_number_behind_a_question_is_of_the_dish_that_it_was_about() {
    let parser = bakery();
    for (said, expected) in [
        ("hola, tienen hamburguesa? | deme dos entonces", "2 burger"),
        ("cuánto vale la torta de vainilla de una libra | bueno deme una", "1 vainilla-libra"),
        ("tienen arepa? | gracias | deme dos", ""),
        ("tienen hamburguesa y arepa sola? | deme dos", ""),
    ] {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), expected, "{said}");
    }
}
