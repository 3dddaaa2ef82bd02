//! Numbers as customers write them: words of several words, dozens, thousands, sizes, offers, and money that is no quantity.

use super::{fonda, shown};

fn check(cases: &[(&str, &str)]) {
    let parser = fonda();
    for (said, expected) in cases {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), *expected, "{said}");
    }
}

#[test]
fn numbers_of_several_words_are_one_number() {
    check(&[
        ("ciento veinte lumpias", "120 lumpia"),
        ("doscientas lumpias", "200 lumpia"),
        ("doscientas cincuenta lumpias", "250 lumpia"),
        ("ciento una lumpias", "101 lumpia"),
        ("veinte y cinco lumpias", "25 lumpia"),
        ("veinti cinco lumpias", "25 lumpia"),
        ("diez y seis lumpias y dos tamales", "16 lumpia + 2 tamal"),
        ("treinta y dos lumpias", "32 lumpia"),
        ("treintaidos lumpias", "32 lumpia"),
        ("veinte lumpias y dos tamales", "20 lumpia + 2 tamal"),
        ("diez lumpias y dos tamales", "10 lumpia + 2 tamal"),
    ]);
}

#[test]
fn dozens_and_halves_of_them() {
    check(&[
        ("una y media docena de lumpias", "18 lumpia"),
        ("docena y media de lumpias", "18 lumpia"),
        ("dos docenas y media de lumpias", "30 lumpia"),
        ("1.5 docenas de lumpias", "18 lumpia"),
        ("1½ docenas de lumpias", "18 lumpia"),
        ("media docena de lumpias", "6 lumpia"),
        ("un centenar de lumpias", "100 lumpia"),
        ("1 docena de lumpias y 1/2 de tamales", "12 lumpia + 6 tamal"),
    ]);
}

/// Too many to be taken, and never one.
#[test]
fn thousands_are_not_one() {
    for said in
        ["1.200 lumpias", "1,200 lumpias", "1200 lumpias", "mil lumpias", "dos mil lumpias", "mil doscientas lumpias"]
    {
        check(&[(said, "501 lumpia")]);
    }
    check(&[("un tamal, mil gracias", "1 tamal")]);
}

#[test]
fn a_dish_is_multiplied() {
    for said in [
        "tamal *2",
        "tamal * 2",
        "tamal x2",
        "tamal x 2",
        "tamal por dos",
        "tamal por 2",
        "2 x tamal",
        "2x tamal",
        "2*tamal",
        "*2* tamales",
        "*2 tamales*",
    ] {
        check(&[(said, "2 tamal")]);
    }
    check(&[
        ("* 2 tamales\n* 1 changua", "2 tamal + 1 changua"),
        ("tamal por dos, changua por tres", "2 tamal + 3 changua"),
    ]);
}

/// The proposal stands first: what the money buys, or zero.
#[test]
fn money_is_no_quantity_and_is_asked_about() {
    for said in [
        "10 mil de lumpias",
        "10mil de lumpias",
        "$10.000 de lumpias",
        "10.000 en lumpias",
        "10000 en lumpias",
        "diez mil pesos de lumpias",
        "10 lucas de lumpias",
        "10k de lumpias",
        "lumpias por 10 mil",
        "lumpias 10 mil",
    ] {
        check(&[(said, "#2 lumpia")]);
    }
    check(&[
        ("12 mil de lumpias", "#0 lumpia"),
        ("5 lucas de lumpias", "#1 lumpia"),
        ("10 mil de lumpias | 3", "3 lumpia"),
        ("10 mil de lumpias | son 4", "4 lumpia"),
        ("10 mil de lumpias | mejor cinco lumpias", "5 lumpia"),
        ("10 mil de lumpias y un tamal | 3", "1 tamal + 3 lumpia"),
        ("10 mil de lumpias | quite las lumpias", ""),
        // A price beside a number, or the menu's own.
        ("2 lumpias de 5000", "2 lumpia"),
        ("lumpia 5.000", "1 lumpia"),
        ("2 tamales por 20 mil", "2 tamal"),
    ]);
}

#[test]
fn a_size_is_no_quantity() {
    check(&[
        ("pepsi 350", "1 pepsi-350"),
        ("2 pepsi 350", "2 pepsi-350"),
        ("pepsi 1.5", "1 pepsi-15"),
        ("pepsi de litro y medio", "1 pepsi-15"),
        ("pepsi 3 litros", "?1 pepsi-350/pepsi-15"),
        ("pepsi 400", "?1 pepsi-350/pepsi-15"),
        // There is one size, and it is another: it is not taken for the wish.
        ("colombiana 350", "!colombiana 350"),
        ("colombiana de 3 litros y un tamal", "1 tamal !colombiana de 3 litros"),
        ("colombiana 2.5", "!colombiana 2.5"),
        ("colombiana de litro y medio", "1 colombiana"),
        ("colombiana x 3", "3 colombiana"),
        ("colombiana 3", "3 colombiana"),
    ]);
}

#[test]
fn the_price_of_an_offer_is_no_quantity() {
    check(&[
        ("3 x 10 lumpias", "#3 lumpia"),
        ("lumpias 3 x 10", "#3 lumpia"),
        ("3x10 lumpias", "#3 lumpia"),
        ("2 por 15000 lumpias", "2 lumpia"),
        ("lumpias 2 por 15.000", "2 lumpia"),
        ("lumpias 3 por 10 mil", "3 lumpia"),
        ("lumpias a 3 x 10", "#3 lumpia"),
        ("2x1 en tamales", "#2 tamal"),
        ("quiero la promo 2 por 15000", ""),
    ]);
}

#[test]
fn a_number_is_parted_from_its_dish() {
    check(&[
        // 501 stands for more than a bot takes.
        ("1 200 lumpias", "501 lumpia"),
        ("1 200 lumpias y un tamal", "501 lumpia + 1 tamal"),
        ("1\u{a0}200 lumpias", "501 lumpia"),
        ("2 por tamal", "2 tamal"),
        ("2 por tamal y 3 por lumpia", "2 tamal + 3 lumpia"),
        ("deme 2 por tamal", "2 tamal"),
        // Two lines, and one dish for another.
        ("1\n200 lumpias", "200 lumpia"),
        ("2 lumpias | cambie 2 por tamal", "2 tamal"),
        ("2 tamales por favor", "2 tamal"),
    ]);
}
