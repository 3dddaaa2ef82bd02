//! An attacker's customer: numbers that nobody can know, notes beside several dishes, flavours of one item, corrections
//! that leave the rest alone.

use super::{parser, shown};
use crate::bot::OrderState;

fn check(menu: &str, cases: &[(&str, &str)]) {
    let parser = parser(menu);
    for (said, expected) in cases {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), *expected, "{said}");
    }
}

#[test]
fn a_doubtful_number_is_asked_for() {
    for said in [
        "10 o 12 empanadas de carne",
        "empanadas de carne 10 o 12",
        "entre 5 y 6 empanadas de carne",
        "de 5 a 6 empanadas de carne",
        "10 a 12 empanadas de carne",
        "2-3 empanadas de carne",
        "dos o tres empanadas de carne",
        "varias empanadas de carne",
        "empanadas de carne varias",
        "muchas empanadas de carne",
        "algunas empanadas de carne",
        "unas cuantas empanadas de carne",
        "una caja de empanadas de carne",
        "empanadas de carne x2 o x3",
        "4 empanadas de carne | que sean 5 o 6",
    ] {
        check("la-esquina", &[(said, "#0 emp-carne")]);
    }
    check(
        "la-esquina",
        &[
            ("media bandeja", "#0 bandeja"),
            ("1/2 bandeja", "#0 bandeja"),
            ("media pizza hawaiana", "#0 pizza-haw"),
            ("2/3 aguas", "#0 agua"),
            ("10 o 12 empanadas de carne y 2 aguas | mejor 10", "2 agua + 10 emp-carne"),
            ("10 o 12 empanadas de carne | 12", "12 emp-carne"),
            // Said of something else, or settled at once.
            ("media docena de empanadas de carne", "6 emp-carne"),
            ("para 2 o 3 personas una bandeja paisa", "1 bandeja"),
            ("muchas gracias, una coca 400", "1 coca-400"),
            ("una clasica con muchas salsas", "1 clasica [muchas salsas]"),
            ("unas 10 empanadas de carne", "10 emp-carne"),
            ("1- 2 perros sencillos\n2- 3 aguas", "2 perro-s + 3 agua"),
        ],
    );
}

#[test]
fn a_number_behind_a_mark_counts_the_dish_before_it() {
    for said in ["BANDEJA PAISA!!!!!! X3", "bandeja paisa! x3", "bandeja paisa. x3", "Bandeja paisa... 3"] {
        check("la-esquina", &[(said, "3 bandeja")]);
    }
    check(
        "la-esquina",
        &[
            ("salchipapa!! 2", "2 salchipapa"),
            ("bandeja paisa!! x3 y 2 aguas", "3 bandeja + 2 agua"),
            ("salchipapa. 2 perros sencillos", "1 salchipapa + 2 perro-s"),
        ],
    );
}

#[test]
fn cero_is_a_flavour_beside_a_drink_and_a_refusal_beside_a_side() {
    check(
        "la-esquina",
        &[
            ("una salchipapa 0 picante", "1 salchipapa [sin picante]"),
            ("una clasica cero cebolla 0 tomate", "1 clasica [sin cebolla, sin tomate]"),
            ("una coca cola cero de 400", "1 coca-400 [cero]"),
            ("2 cocas cero de 400", "2 coca-400 [cero]"),
            ("coca cola cero 400 ml x2", "2 coca-400 [cero]"),
            ("cocacola cero 400", "1 coca-400 [cero]"),
            ("dos cocas zero 1.5", "2 coca-15 [zero]"),
            ("una coca cero", "?1 coca-400/coca-15"),
        ],
    );
    check("kumo", &[("dos coca cero y una coca personal", "2 coca-zero + 1 coca-400")]);
}

#[test]
fn a_note_belongs_to_the_dish_before_it() {
    check(
        "la-esquina",
        &[
            ("dos clásicas y una agua sin gas", "2 clasica + 1 agua [sin gas]"),
            ("2 perros sencillos y un agua sin gas", "2 perro-s + 1 agua [sin gas]"),
            ("2 perros, uno sencillo y uno especial, y 2 aguas sin gas", "1 perro-s + 1 perro-e + 2 agua [sin gas]"),
            ("2 perros sencillos y 3 aguas, una agua sin gas", "2 perro-s + 2 agua + 1 agua [sin gas]"),
            ("2 perros sencillos y 3 aguas, a uno sin cebolla", "1 perro-s + 3 agua + 1 perro-s [sin cebolla]"),
            ("2 perros sencillos y 3 aguas, a una sin gas", "2 perro-s + 2 agua + 1 agua [sin gas]"),
            ("bandeja con chorizo y no morcilla", "1 bandeja [con chorizo, sin morcilla]"),
            ("una hawaiana | quite la gaseosa", "1 pizza-haw"),
            ("una coca 400 y dos clasicas | quite la gaseosa", "2 clasica"),
        ],
    );
}

#[test]
fn flavours_of_one_item_are_lines_of_their_own() {
    check(
        "la-esquina",
        &[
            ("2 jugos de mora y 1 de mango", "2 jugo [mora] + 1 jugo [mango]"),
            ("dos jugos de mora y uno de mango", "2 jugo [mora] + 1 jugo [mango]"),
            ("un jugo de lulo en leche y uno de mora", "1 jugo [lulo, en leche] + 1 jugo [mora]"),
            ("3 jugos de mora, uno en leche", "2 jugo [mora] + 1 jugo [mora, en leche]"),
            ("3 jugos: mora, mango y lulo", "1 jugo [mora] + 1 jugo [mango] + 1 jugo [lulo]"),
            ("3 jugos de mora, mango y lulo", "1 jugo [mora] + 1 jugo [mango] + 1 jugo [lulo]"),
            ("dos jugos de mora | uno de mango mejor", "1 jugo [mora] + 1 jugo [mango]"),
            ("dos jugos de mora | no, uno de mora y uno de lulo", "1 jugo [mora] + 1 jugo [lulo]"),
            ("si hay jugo de lulo me da uno, si no de mora", "1 jugo [lulo]"),
            ("2 clasicas y una clasica sin cebolla", "2 clasica + 1 clasica [sin cebolla]"),
            ("2 clasicas, una clasica sin cebolla", "1 clasica + 1 clasica [sin cebolla]"),
        ],
    );
    check("la-boya", &[("dos cocadas de coco y una de piña", "2 cocada [coco] + 1 cocada [piña]")]);
    check(
        "el-parche",
        &[
            ("2 gaseosas personales, coca y sprite", "1 gas-p [coca] + 1 gas-p [sprite]"),
            ("dos cocas y una quatro", "?2 gas-p/gas-l + ?1 gas-p/gas-l"),
            ("una quatro personal", "1 gas-p [quatro]"),
        ],
    );
}

#[test]
fn a_correction_changes_no_more_than_it_says() {
    check(
        "la-esquina",
        &[
            ("3 salchipapas y 2 aguas | el doble de todo", "6 salchipapa + 4 agua"),
            ("4 empanadas de carne | 2 mejor de pollo", "2 emp-carne + 2 emp-pollo"),
            ("una salchipapa | me equivoqué, no era salchipapa sino arepa con queso", "1 arepa"),
            ("me equivoqué, no era salchipapa sino arepa con queso", "1 arepa"),
            (
                "2 hamburguesas clasicas, a una le quita el tomate, a la otra la cebolla y una tercera normal",
                "1 clasica [sin cebolla] + 1 clasica [sin tomate] + 1 clasica",
            ),
            ("2 y 2: perros sencillos y aguas", "2 perro-s + 2 agua"),
            ("2 combos de hamburguesa clasica", "2 clasica !combos"),
        ],
    );
    check(
        "la-boya",
        &[
            ("dos jugos de corozo | uno de tamarindo mejor", "1 corozo + 1 tamarindo"),
            ("3 carimañolas de queso | que dos sean de carne", "1 cari-queso + 2 cari-carne"),
            ("dos cocadas | no eran de coco eran de piña", "2 cocada [piña]"),
            ("no era mojarra era pargo", "1 pargo"),
            ("yo pedí mojarra no pargo", "1 mojarra"),
        ],
    );
    check(
        "kumo",
        &[
            ("dos woks de pollo | uno que sea de res", "1 wok-pollo + 1 wok-res"),
            ("un wok de pollo y un wok de res | al de pollo sin raíces", "1 wok-pollo [sin raíces] + 1 wok-res"),
        ],
    );
}

#[test]
fn numbers_behind_count_every_kind() {
    check(
        "kumo",
        &[
            ("gyozas cerdo 2 pollo 1", "2 gyo-cerdo + 1 gyo-pollo"),
            ("mochi de mango 3 y de te verde 2", "3 mochi-mango + 2 mochi-te"),
            ("edamame x 3, miso x2", "3 edamame + ?2 miso/ramen-miso"),
        ],
    );
    check(
        "el-parche",
        &[
            ("sencillas 2 dobles 1 limonada cerezada 3", "2 sencilla + 1 doble + 3 lim-cer"),
            ("si hay hawaiano mandeme uno, si no un ranchero", "1 perro-h"),
        ],
    );
}

#[test]
fn what_is_too_long_to_be_read_is_told() {
    let parser = parser("la-esquina");
    for filler in ["hola. ".repeat(300), "hola\n".repeat(1_000)] {
        let said = format!("2 aguas. {filler} 3 perros sencillos");
        let understood = parser.understand(&said, &OrderState::default(), &[]);
        assert_eq!(understood.state.lines.len(), 1);
        assert!(!understood.unknown.is_empty(), "{} bytes", said.len());
    }
}
