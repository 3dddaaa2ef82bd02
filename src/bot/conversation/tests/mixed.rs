//! Texts that say two things: neither part swallows the other.

use super::{
    Chat,
    ordering::{lines, play},
    parked::{parked, placed},
};
use crate::bot::conversation::Phase;

#[test]
fn a_second_order_is_taken_whatever_words_it_has() {
    for (said, fact) in [
        ("una salchipapa sin cebolla", "1 × Salchipapa"),
        ("quiero hacer otro pedido: dos perros calientes sin salsa", "2 × Perro"),
        ("mejor dos hamburguesas sencillas", "2 × Hamburguesa"),
        ("también quiero una colombiana", "1 × Colombiana"),
        ("además me manda una salchipapa", "1 × Salchipapa"),
        ("dos salchipapas y una colombiana más", "2 × Salchipapa"),
        ("una salchipapa que sea bien caliente", "1 × Salchipapa"),
        ("una salchipapa, no le ponga cebolla", "1 × Salchipapa"),
        ("una hamburguesa sencilla y le agrega salsa", "1 × Hamburguesa"),
        ("otra salchipapa", "1 × Salchipapa"),
    ] {
        let mut chat = placed();
        chat.pass(120);
        play(&mut chat, &[(said, &["pedido nuevo", fact])]);
        assert!(!chat.called_owner(), "{said}");
    }
    // Soon behind the confirmation too, where it names other dishes, or says so.
    for said in [
        "una salchipapa sin cebolla",
        "quiero otro pedido: dos perros calientes sin salsa",
        "un pedido nuevo: una colombiana más",
    ] {
        let mut chat = placed();
        play(&mut chat, &[(said, &["pedido nuevo", "1. "])]);
        assert!(!chat.called_owner(), "{said}");
    }
    let mut chat = placed();
    chat.pass(120);
    play(
        &mut chat,
        &[("quiero otro pedido", &["Cuénteme qué desea"]), ("una salchipapa sin salsa", &["1 × Salchipapa"])],
    );
    // Of the order that is there, at any time.
    for said in [
        "los perros sin salsa",
        "agrégueme una colombiana",
        "cambie los perros por una salchipapa",
        "mejor que sean 3 perros",
    ] {
        let mut chat = placed();
        chat.pass(120);
        play(&mut chat, &[(said, &["ya está confirmado"])]);
        assert!(chat.called_owner() && chat.basket().is_empty(), "{said}");
    }
}

#[test]
fn a_doubt_beside_an_order_swallows_no_dish() {
    for (said, fact) in [
        ("quiero dos salchipapas que no se demoren", "2 × Salchipapa"),
        ("una colombiana, no se le olvide el hielo", "1 × Colombiana"),
        ("de pronto una salchipapa", "1 × Salchipapa"),
        ("no sé, tal vez una colombiana", "1 × Colombiana"),
        ("no sé, ¿cuánto vale la limonada?", "Limonada de Coco"),
        ("no sé, páseme con un asesor", "persona"),
    ] {
        play(&mut parked(), &[(said, &[fact])]);
    }
    for said in [
        "no sé",
        "pues no sé la verdad",
        "tal vez",
        "no se demoren",
        "no me acuerdo qué pedí",
        "no sé qué hacer con eso",
    ] {
        let mut chat = parked();
        play(&mut chat, &[(said, &["¿Seguimos"]), ("sí", &["2 × Perro"])]);
    }
}

#[test]
fn a_question_for_a_bot_leaves_the_rest_of_the_text() {
    for said in ["Páseme con un asesor. ¿Usted es un robot?", "Llegó frío el pollo. ¿Es un bot?"] {
        let mut chat = Chat::new();
        chat.say(said);
        assert!(chat.called_owner(), "{said}");
    }
    play(
        &mut placed(),
        &[("¿Dónde está mi pedido? ¿Eres un bot?", &["en espera de la cocina", "asistente automático"])],
    );
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &["1. Domicilio"])]);
    play(&mut chat, &[("Calle 10 # 20-30. ¿es un bot?", &["asistente automático", "número"])]);
    play(&mut chat, &[("sí", &[]), ("nequi. ¿eres un robot?", &["asistente automático", "Pago: Nequi"])]);
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &[]), ("paso por él. ¿eres un bot?", &["número"])]);
    play(&mut Chat::new(), &[("¿a qué hora cierran? ¿eres un bot?", &["asistente automático", "atendiendo"])]);
    for said in ["no eres un bot?", "y eres un bot?", "oye, ¿y es un robot?"] {
        play(&mut Chat::new(), &[(said, &["asistente automático", "!No encuentro"])]);
    }
    // A dish for one is no person.
    for said in [
        "¿La picada es de una persona o de dos?",
        "¿Cuánto vale la salchipapa? ¿Es de una persona?",
        "¿el combo es una persona o dos?",
        "¿el café es de máquina?",
    ] {
        play(&mut Chat::new(), &[(said, &["!asistente automático"])]);
    }
    play(&mut Chat::new(), &[("¿Cuánto vale la salchipapa? ¿Es de una persona?", &["Salchipapa"])]);
    for said in ["¿me atiende una persona?", "hablo con una persona?", "usted es una persona?", "¿es una persona real?"]
    {
        play(&mut Chat::new(), &[(said, &["asistente automático"])]);
    }
}

#[test]
fn words_to_the_courier_end_with_their_line() {
    let mut chat = Chat::new();
    play(&mut chat, &[("me llaman al llegar\n2 perros calientes\n1 colombiana", &["2 × Perro", "1 × Colombiana"])]);
    let mut chat = Chat::new();
    play(&mut chat, &[("2 perros calientes\nme llaman al llegar\nCalle 10 # 20-30\nefectivo", &["número"])]);
    play(&mut chat, &[("sí", &["2 × Perro", "Calle 10 # 20-30", "Pago: efectivo", "me llaman al llegar\n"])]);
    let mut chat = Chat::new();
    play(&mut chat, &[("me llaman al llegar dos perros calientes y una colombiana", &["2 × Perro", "1 × Colombiana"])]);
    // A name ends with its line as well.
    let mut chat = Chat::new();
    play(&mut chat, &[("a nombre de Juan Perez\nuna salchipapa", &["1 × Salchipapa"])]);
    let mut chat = Chat::new();
    play(&mut chat, &[("dos colombianas para don Carlos\nCalle 10 # 20-30\nefectivo", &["2 × Colombiana"])]);
    play(&mut chat, &[("una salchipapa", &["número"]), ("sí", &["Entrega: Calle 10 # 20-30\n"])]);
}

#[test]
fn a_way_to_pay_said_twice_is_one() {
    for said in ["por transferencia, nequi", "pago por nequi, ya le hago la transferencia", "transferencia, por nequi"]
    {
        let mut chat = Chat::new();
        play(&mut chat, &[("dos perros calientes, calle 10 # 20-30", &[]), ("sí", &["¿Cómo desea pagar?"])]);
        play(&mut chat, &[(said, &["Pago: Nequi", "!una forma de pago"])]);
    }
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes, calle 10 # 20-30", &[]), ("sí", &["pagar"]), ("nequi", &["Pago: Nequi"])],
    );
    play(&mut chat, &[("pago por nequi, ya le hago la transferencia", &["Pago: Nequi", "!una forma de pago"])]);
}

#[test]
fn a_no_to_a_large_number_leaves_what_was_settled() {
    let many = || {
        let mut chat = Chat::new();
        play(&mut chat, &[("150 perros calientes", &["150 × Perro"]), ("100 más", &["¿Le anoto 250 ×"])]);
        assert_eq!(chat.basket(), lines(&[("perro", 150)]));
        chat
    };
    let mut chat = many();
    play(&mut chat, &[("no", &["eso no lo anoto"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 150)]));
    let mut chat = many();
    play(&mut chat, &[("sí", &["250 × Perro"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 250)]));
    // A note on what was accepted asks nothing again.
    play(&mut chat, &[("sin cebolla", &["250 × Perro Caliente (sin cebolla)", "!¿Le anoto"])]);
    play(&mut chat, &[("uno sin salsa", &["!¿Le anoto"])]);
    for (said, basket) in [
        ("200", vec![("perro", 200)]),
        ("50 más", vec![("perro", 200)]),
        ("una colombiana más", vec![("perro", 150), ("colombiana", 1)]),
        ("una colombiana", vec![("perro", 150), ("colombiana", 1)]),
        ("quite los perros", vec![]),
        ("quitar el 1", vec![]),
    ] {
        let mut chat = many();
        chat.say(said);
        assert_eq!(chat.basket(), lines(&basket), "{said}");
        if basket.is_empty() {
            play(&mut chat, &[("sí", &["!250"])]);
        }
    }
    let mut chat = many();
    play(&mut chat, &[("una colombiana", &["¿Le anoto 250"]), ("sí", &["250 × Perro"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 250), ("colombiana", 1)]));
    assert_eq!(*chat.talk.phase(), Phase::Ordering);
}
