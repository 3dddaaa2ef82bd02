//! Baskets that change over several messages.

use super::{fonda, read, shown};
use crate::bot::Parser;

fn check(cases: &[(&str, &str)]) {
    let parser = fonda();
    for (said, expected) in cases {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), *expected, "{said}");
    }
}

#[test]
fn what_comes_for_a_dish_that_was_taken_out_takes_no_other_place() {
    for said in [
        "dos tamales y una changua | quite la changua, mejor un café",
        "dos tamales y una changua | ya no quiero la changua mejor un café",
        "dos tamales y una changua | sin la changua, mejor un café",
        "dos tamales y una changua | la changua no, mejor un café",
    ] {
        check(&[(said, "2 tamal + 1 cafe")]);
    }
    check(&[
        ("dos tamales y una changua | mejor un café", "2 tamal + 1 cafe"),
        ("dos tamales y una changua | no, falta un café", "2 tamal + 1 changua + 1 cafe"),
        ("dos tamales y una changua | quite la changua y un tamal", "1 tamal"),
    ]);
}

#[test]
fn units_of_a_line_are_parted_from_it_later() {
    check(&[
        ("dos tamales y un café | una más", "2 tamal + 2 cafe"),
        ("cuatro tamales | la mitad sin ají", "2 tamal + 2 tamal [sin ají]"),
        ("cuatro tamales | la mitad sin ají y la mitad sin sal", "2 tamal [sin sal] + 2 tamal [sin ají]"),
        ("dos tamales | quítele el ají a uno", "1 tamal + 1 tamal [sin ají]"),
        ("un tamal y dos lumpias | las lumpias son 3", "1 tamal + 3 lumpia"),
        ("tres tamales | uno sin ají | la otra normal", "2 tamal + 1 tamal [sin ají]"),
    ]);
}

#[test]
fn a_number_in_the_name_answers_which_dish_is_meant() {
    assert_eq!(read("el-parche", &["alitas", "16"]), "1 alitas-16");
    let menu = serde_json::json!({ "items": [
        { "id": "picada-2", "name": "Picada para 2", "price": 32_000, "category": "Picadas" },
        { "id": "picada-4", "name": "Picada para 4", "price": 60_000, "category": "Picadas" },
    ] });
    let parser = Parser::new(serde_json::from_value(menu).unwrap());
    for answer in ["para 4", "para 4 personas", "4"] {
        assert_eq!(shown(&parser, &["una picada", answer]), "1 picada-4", "{answer}");
    }
}

#[test]
fn a_dish_by_its_flavour_is_taken_out_and_repeated() {
    assert_eq!(read("dona-rosa", &["una empanada de carne y una de pollo", "quita la de pollo"]), "1 emp-carne");
    assert_eq!(
        read("el-parche", &["una hamburguesa sencilla sin cebolla", "otra hamburguesa sencilla igual"]),
        "2 sencilla [sin cebolla]"
    );
}
