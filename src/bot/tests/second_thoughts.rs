//! What a customer takes back, and words that only look as if one more were wanted.

use super::{fonda, shown};

#[test]
fn second_thoughts_change_what_they_are_about() {
    let parser = fonda();
    for (said, expected) in [
        ("5 empanadas para recoger | otro pedido: 1 tamal", "5 empanada + 1 tamal"),
        ("5 empanadas | otro pedido", "5 empanada"),
        ("5 empanadas | otro pedido aparte: 1 tamal", "5 empanada + 1 tamal"),
        ("5 empanadas | quiero hacer otro pedido", "5 empanada"),
        ("una empanada | otra", "2 empanada"),
        ("un tamal y una changua | cancela la changua | no espera déjala", "1 tamal + 1 changua"),
        ("un tamal y dos changuas | quita una changua | no, mejor déjela", "1 tamal + 2 changua"),
        ("un tamal y una changua | quita la changua | déjalo así", "1 tamal"),
        ("un tamal y una changua | quita la changua | gracias | no mentira, déjala", "1 tamal"),
        ("2 tamales y 4 empanadas | la mitad de las empanadas no", "2 tamal + 2 empanada"),
        ("un tamal | no, cámbiale a 2", "2 tamal"),
        ("un tamal | cámbielo a dos por favor", "2 tamal"),
        ("un tamal | cámbialo por una changua", "1 changua"),
    ] {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), expected, "{said}");
    }
}
