//! Unwanted things: how a dish is not to be, dishes that are refused, and words that are no note.

use super::{OrderState, fonda, shown};
use crate::bot::intent::Intent;

fn check(cases: &[(&str, &str)]) {
    let parser = fonda();
    for (said, expected) in cases {
        assert_eq!(shown(&parser, &said.split(" | ").collect::<Vec<_>>()), *expected, "{said}");
    }
}

#[test]
fn a_no_before_a_manner_is_kept() {
    check(&[
        ("dos tamales que no sea picante", "2 tamal [no picante]"),
        ("empanadas que no estén frías", "1 empanada [no frías]"),
        ("un tamal que no llegue frío", "1 tamal [no frío]"),
        ("changua que no esté muy caliente", "1 changua [no muy caliente]"),
        ("changua ni muy dulce", "1 changua [no muy dulce]"),
        ("un tamal sin ají ni muy salado", "1 tamal [sin ají, no muy salado]"),
        ("un café no muy dulce", "1 cafe [no muy dulce]"),
        ("un café no tan cargado", "1 cafe [no tan cargado]"),
        ("un tamal | que no sea picante", "1 tamal [no picante]"),
        ("un tamal bien caliente", "1 tamal [bien caliente]"),
        ("changua que no lleve cilantro", "1 changua [sin cilantro]"),
        ("un tamal que no venga con picante", "1 tamal [sin picante]"),
        ("un tamal nada picante", "1 tamal [nada picante]"),
        ("un flan no tan dulce ni frío", "1 flan [no tan dulce, no frío]"),
        ("un tamal y un café que no sea dulce", "1 tamal + 1 cafe [no dulce]"),
        ("una changua no quiero picante", "1 changua [sin picante]"),
    ]);
}

#[test]
fn a_dish_that_is_refused_is_neither_ordered_nor_a_note() {
    check(&[
        ("tamal no, changua sí", "1 changua"),
        ("changua sí, tamal no", "1 changua"),
        ("no quiero tamal, quiero changua", "1 changua"),
        ("no me dé tamal, deme changua", "1 changua"),
        ("nada de tamal, una changua", "1 changua"),
        ("en vez de tamal, changua", "1 changua"),
        ("en lugar del tamal una changua", "1 changua"),
        ("ya no el tamal", ""),
        ("mejor no el tamal", ""),
        ("quítele un tamal", ""),
        ("un tamal y una changua | ya no el tamal", "1 changua"),
        ("un tamal y una changua | mejor no el tamal", "1 changua"),
        ("un tamal y una changua | tamal no, changua sí", "1 changua"),
        ("un tamal y una changua | no quiero el tamal", "1 changua"),
        ("un tamal | en vez de tamal, changua", "1 changua"),
        ("un tamal | no quiero tamal, quiero changua", "1 changua"),
        ("dos tamales no, tres", "3 tamal"),
        ("no tamal, changua", "1 changua"),
        ("changua y no tamal", "1 changua"),
        ("mejor changua que tamal", "1 changua"),
        ("ni tamal ni lumpias, una changua", "1 changua"),
        ("una changua en vez de tamal", "1 changua"),
        ("un tamal y una changua | el tamal mejor no", "1 changua"),
        ("un tamal y una changua | no mande el tamal", "1 changua"),
        ("un tamal y una changua | mejor un café en vez del tamal", "1 changua + 1 cafe"),
    ]);
}

#[test]
fn a_manner_that_is_refused_leaves_the_dish() {
    check(&[
        ("un tamal | no prepare el tamal tan picante", "1 tamal [no tan picante]"),
        ("un tamal y una changua | no haga el tamal tan salado", "1 tamal [no tan salado] + 1 changua"),
        ("un tamal y una changua | no mande el tamal con ají", "1 tamal [sin ají] + 1 changua"),
        ("un tamal y un café | no me mande el tamal muy caliente", "1 tamal [no muy caliente] + 1 cafe"),
        ("un tamal y una changua | no quiero el tamal tan picante", "1 tamal [no tan picante] + 1 changua"),
        ("un tamal y una changua | no quiero el tamal con ají", "1 tamal [sin ají] + 1 changua"),
        ("un tamal y una changua | no mande el tamal sin salsa", "1 tamal [con salsa] + 1 changua"),
        ("un tamal y una changua | no mande el tamal", "1 changua"),
        ("un tamal y una changua | no mande el tamal, gracias", "1 changua"),
        ("un tamal y una changua | no mande el tamal por favor", "1 changua"),
    ]);
}

#[test]
fn not_much_is_a_little() {
    check(&[
        ("un tamal, no le eche mucha sal", "1 tamal [poca sal]"),
        ("un tamal que no le echen tanto ají", "1 tamal [poco ají]"),
        ("un tamal sin mucha sal", "1 tamal [poca sal]"),
        ("un tamal, no le ponga mucho ají ni sal", "1 tamal [poco ají, sin sal]"),
        ("un tamal sin demasiada cebolla", "1 tamal [poca cebolla]"),
        ("un tamal, no le eche sal", "1 tamal [sin sal]"),
        ("un tamal y una changua | no mande el tamal con mucha sal", "1 tamal [poca sal] + 1 changua"),
    ]);
}

#[test]
fn a_note_for_one_of_several() {
    check(&[
        ("dos cafés, a uno le pone azúcar", "1 cafe + 1 cafe [con azúcar]"),
        ("dos cafés | a uno le pone azúcar", "1 cafe + 1 cafe [con azúcar]"),
        ("dos cafés uno le pone azúcar", "1 cafe + 1 cafe [con azúcar]"),
        ("tres cafés, a dos les echa azúcar", "1 cafe + 2 cafe [con azúcar]"),
        ("dos cafés, al otro le pone azúcar", "1 cafe + 1 cafe [con azúcar]"),
        ("tres changuas, a una le quita el huevo", "2 changua + 1 changua [sin huevo]"),
    ]);
}

#[test]
fn hunger_and_haste_are_no_notes() {
    for said in [
        "dos tamales que estoy con hambre",
        "dos tamales que tengo afán",
        "dos tamales rápido que estoy con mucha prisa",
        "dos tamales que no tengo tiempo",
        "tengo un hambre, mándeme dos tamales",
        "uy qué hambre mándeme 2 tamales",
    ] {
        check(&[(said, "2 tamal")]);
    }
}

#[test]
fn small_talk_beside_an_order_hides_it_not() {
    for said in [
        "qué rico 2 tamales",
        "qué rico, dos tamales",
        "uy qué rico mándeme 2 tamales",
        "qué delicia de tamales, mándeme dos",
        "me encantan sus tamales, mándeme 2",
        "estaban deliciosos, quiero otros 2 tamales",
        "buenas noches veci cómo está me regala 2 tamales",
        "hola cómo están espero que bien me regala dos tamales",
        "mi mamá dice que quiere dos tamales",
        "qué frío hace, mándeme dos tamales",
        "qué bueno que abrieron, dos tamales",
        "ustedes son los mejores, 2 tamales",
        "la vez pasada estaba delicioso, mándeme 2 tamales",
        "un abrazo, dos tamales",
        "2 tamales, ¿eres un bot?",
    ] {
        check(&[(said, "2 tamal")]);
    }
    for said in [
        "qué rico",
        "qué ricos tamales",
        "qué rico está el tamal",
        "me encantaron los tamales",
        "ayer pedí 2 tamales y estaban ricos",
        "ayer pedí 2 tamales",
        "estaban deliciosos",
    ] {
        check(&[(said, "")]);
    }
}

#[test]
fn what_is_lacking_is_added_while_the_order_is_made() {
    check(&[
        ("un tamal | nos faltan 2 lumpias", "1 tamal + 2 lumpia"),
        ("un tamal | me falta una changua", "1 tamal + 1 changua"),
    ]);
    // Of an order that came, it is a complaint.
    let understood = fonda().understand("nos faltaron 2 lumpias", &OrderState::default(), &[]);
    assert_eq!((understood.intent, understood.state), (Intent::Human, OrderState::default()));
}
