//! What was said, against what is meant; units of a line that are told apart; sentences that only sound like an order.

use super::{parser, read, shown};
use crate::bot::{OrderState, intent::Intent};

fn check(menu: &str, cases: &[(&str, &str)]) {
    for (said, expected) in cases {
        assert_eq!(read(menu, &said.split(" | ").collect::<Vec<_>>()), *expected, "{said}");
    }
}

#[test]
fn what_was_wrong_makes_way_for_what_is_meant() {
    check(
        "el-parche",
        &[
            ("tres dobles | no eran 3 eran 2", "2 doble"),
            ("tres dobles no eran 3 eran 2", "2 doble"),
            ("dos hawaianos | no eran dos era uno", "1 perro-h"),
            ("dos criollas | no quiero dos quiero tres", "3 criolla"),
            ("dos criollas | eran tres no dos", "3 criolla"),
            ("dos criollas | te pedí tres no dos", "3 criolla"),
            ("dos criollas | yo dije tres", "3 criolla"),
            ("dos criollas y un perro ranchero | eran dos perros y una criolla", "1 criolla + 2 perro-r"),
            ("una malteada de oreo | me equivoqué, no era oreo era fresa", "1 mal-fre"),
            ("dos hawaianos | perdón, no eran hawaianos eran rancheros", "2 perro-r"),
            ("un perro hawaiano y una sencilla | no era hawaiano era ranchero", "1 sencilla + 1 perro-r"),
            ("dos limonadas | me equivoqué, no era natural era cerezada", "2 lim-cer"),
            ("una gaseosa personal coca | no era coca era sprite", "1 gas-p [sprite]"),
            ("quiero una criolla no mejor una doble no no una sencilla", "1 sencilla"),
            // Nothing is ordered, so nothing can be corrected.
            ("no eran 3 eran 2", ""),
        ],
    );
}

#[test]
fn units_of_a_line_are_told_apart() {
    check(
        "el-parche",
        &[
            (
                "dos dobles, a una quítele el queso y a la otra la tocineta",
                "1 doble [sin tocineta] + 1 doble [sin queso]",
            ),
            (
                "dos sencillas | a una quítele el queso y a la otra la tocineta",
                "1 sencilla [sin tocineta] + 1 sencilla [sin queso]",
            ),
            (
                "me da tres dobles a una sin queso a otra sin tocineta y la otra normal",
                "1 doble + 1 doble [sin queso] + 1 doble [sin tocineta]",
            ),
            (
                "dos perros hawaianos | al primero sin piña y al segundo sin queso",
                "1 perro-h [sin queso] + 1 perro-h [sin piña]",
            ),
            (
                "hamburguesa sencilla sin cebolla 2, con cebolla 1",
                "2 sencilla [sin cebolla] + 1 sencilla [con cebolla]",
            ),
            (
                "4 sencillas: sin cebolla 2, sin tomate 1, normal 1",
                "1 sencilla + 2 sencilla [sin cebolla] + 1 sencilla [sin tomate]",
            ),
            ("dos gaseosas personales coca | una con sprite mejor", "1 gas-p [coca] + 1 gas-p [con sprite]"),
            ("dos gaseosas personales coca | mejor una sprite", "1 gas-p [coca] + 1 gas-p [sprite]"),
        ],
    );
    check("kumo", &[("pad thai de pollo sin maní 2, pad thai de camarón 1", "2 pad-pollo [sin maní] + 1 pad-cam")]);
}

#[test]
fn fewer_of_a_dish_that_is_named() {
    check(
        "el-parche",
        &[
            ("tres sencillas y dos de pollo | una menos de pollo", "3 sencilla + 1 pollo-burg"),
            ("tres sencillas y dos de pollo | dos menos de las sencillas", "1 sencilla + 2 pollo-burg"),
            ("tres sencillas y dos de pollo | una menos", "3 sencilla + 1 pollo-burg"),
        ],
    );
}

#[test]
fn what_is_put_on_a_dish_that_is_named_behind_is_a_note() {
    check(
        "el-parche",
        &[
            ("agrégale tocineta a la sencilla", "1 sencilla [con tocineta]"),
            ("una sencilla y una doble | agrégale cebolla a la sencilla", "1 sencilla [con cebolla] + 1 doble"),
        ],
    );
    let wished = parser("el-parche").understand("agrégale cebolla a la burger", &OrderState::default(), &[]);
    assert_eq!(wished.state.ambiguous[0].notes, ["con cebolla"]);
}

#[test]
fn glued_brands_of_a_description_are_read() {
    check("el-parche", &[("dame doshamburguesas sencillas y unacoca personal", "2 sencilla + 1 gas-p [coca]")]);
}

#[test]
fn questions_memories_and_doubts_order_nothing() {
    let parser = parser("el-parche");
    for (said, intent) in [
        ("qué le echan a la parche", Intent::Menu),
        ("mi hijo se comió dos criollas jajaja", Intent::Other),
        ("estaba pensando en pedir una criolla pero no sé", Intent::Other),
        ("quien me invita una criolla jajaja", Intent::Other),
    ] {
        let understood = parser.understand(said, &OrderState::default(), &[]);
        assert_eq!(shown(&parser, &[said]), "", "{said}");
        assert_eq!(understood.intent, intent, "{said}");
    }
}
