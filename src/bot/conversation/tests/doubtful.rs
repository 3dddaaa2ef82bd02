//! Answers that are none: a yes beside a no, words that hesitate, an order that is said once more, a question that nobody answers.

use super::{
    Chat,
    checkout::summarised,
    ordering::{lines, play},
};
use crate::bot::{
    basket::AmbiguousWish,
    conversation::{Phase, Utterance, repeating},
};

#[test]
fn a_yes_that_wavers_places_nothing_and_a_mumbled_one_does() {
    for said in ["sí no", "si👎", "ok?", "🙏", "sí o no", "👍?"] {
        let mut chat = Chat::new();
        summarised(&mut chat);
        play(&mut chat, &[(said, &["¿Confirmamos"])]);
        assert!(chat.orders.is_empty(), "{said}");
        play(&mut chat, &[("sí", &["confirmado"])]);
    }
    for said in ["ajá", "mjm", "s"] {
        let mut chat = Chat::new();
        summarised(&mut chat);
        play(&mut chat, &[(said, &["confirmado"])]);
        assert_eq!(chat.orders.len(), 1, "{said}");
    }
}

#[test]
fn words_that_refuse_or_hesitate_are_no_note_and_a_yes_answers_their_question() {
    for said in ["que pena, ya pedí en otro lado", "listo, no me lo traigan", "mejor mañana", "tal vez"] {
        let mut chat = Chat::new();
        summarised(&mut chat);
        play(&mut chat, &[(said, &["¿Cancelo este pedido?", "!observación"])]);
        assert_eq!(chat.talk.phase(), &Phase::Dropping, "{said}");
        play(&mut chat, &[("gracias", &["¿Cancelo este pedido?"]), ("sí", &["!confirmado"])]);
        assert!(chat.orders.is_empty() && chat.basket().is_empty(), "{said}");
    }
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("tal vez", &["¿Cancelo"]), ("no", &["¿Confirmamos"]), ("sí", &["confirmado"])]);
}

#[test]
fn an_order_that_is_repeated_with_the_yes_is_not_doubled() {
    for said in ["sí, dos perros calientes", "si dos perros", "sí, 2 perros calientes"] {
        let mut chat = Chat::new();
        summarised(&mut chat);
        play(&mut chat, &[(said, &["confirmado por $ 25.000"])]);
        assert_eq!(chat.orders[0].lines[0].qty, 2, "{said}");
    }
    // Another number is the number, and is shown before it counts.
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("si, tres perros calientes", &["3 × Perro Caliente", "*Total: $ 35.000*", "!confirmado"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 3)]));
    play(&mut chat, &[("sí", &["confirmado por $ 35.000"])]);
    // What is not in the order, or is said to be more, is added.
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("sí, y otro perro caliente", &["3 × Perro Caliente", "!confirmado"])]);
    play(&mut chat, &[("sí, una colombiana", &["1 × Colombiana", "!confirmado"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 3), ("colombiana", 1)]));
}

fn coca() -> AmbiguousWish {
    AmbiguousWish {
        candidates: vec!["coca-400".into(), "coca-15".into()],
        qty: 1,
        notes: Vec::new(),
        asks_number: false,
        replaces: false,
    }
}

/// A dish of the question is in the basket already.
#[test]
fn an_open_question_is_answered_by_a_word_of_the_name() {
    for said in ["la de 400", "la de 400 por favor", "400 ml"] {
        let mut chat = Chat::new();
        play(&mut chat, &[("una coca cola 400", &["1 × Coca-Cola 400 ml"])]);
        chat.talk.order.ambiguous.push(coca());
        play(&mut chat, &[(said, &["2 × Coca-Cola 400 ml", "¿Desea algo más?"])]);
        assert_eq!(chat.basket(), lines(&[("coca-400", 2)]), "{said}");
    }
}

#[test]
fn a_question_that_nobody_answers_is_dropped_and_the_order_goes_on() {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("una coca", &["1. Coca-Cola 400 ml"])]);
    play(
        &mut chat,
        &[("para recoger", &["1. Coca-Cola 400 ml"]), ("efectivo", &["eso no lo anoto", "este mismo número"])],
    );
    play(&mut chat, &[("sí", &["Pago: efectivo", "*Total: $ 20.000*"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 2)]));
    // What the customer asks meanwhile is no answer.
    let mut chat = Chat::new();
    play(&mut chat, &[("una coca", &["1. Coca-Cola 400 ml"])]);
    for said in ["a qué hora cierran?", "cuánto vale la salchipapa?", "hacen domicilio?"] {
        play(&mut chat, &[(said, &["1. Coca-Cola 400 ml"])]);
    }
}

#[test]
fn who_wants_no_more_of_it_is_not_asked_which() {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes y una coca cola 400", &[])]);
    chat.talk.order.ambiguous.push(coca());
    play(&mut chat, &[("no quiero más cocas", &["!1. Coca-Cola 400 ml: "])]);
    assert!(chat.talk.order.ambiguous.is_empty());
}

/// The kitchen reads it, and the customer sees that it will.
#[test]
fn a_time_that_is_wished_is_written_on_the_order() {
    for (said, words) in [
        ("para mañana a las 12: 2 perros calientes", "para mañana a las 12"),
        ("mañana 2 perros calientes", "mañana"),
        ("para el sábado 2 perros calientes a la 1 pm", "para el sábado, a la 1 pm"),
    ] {
        let mut chat = Chat::new();
        let told = format!("«{words}»");
        play(&mut chat, &[(said, &["× Perro Caliente", told.as_str()])]);
        chat.talk.order.lines.iter_mut().for_each(|line| line.notes.clear());
        play(&mut chat, &[("para recoger", &[]), ("sí", &[])]);
        let shown = format!("Observaciones: {words}");
        play(&mut chat, &[("efectivo", &[shown.as_str()]), ("sí", &["confirmado"])]);
        assert_eq!(chat.orders[0].comment, words);
    }
    let mut chat = Chat::new();
    chat.say_all(&["para mañana a las 12", "dos perros calientes"]);
    assert_eq!((chat.talk.comment.as_str(), chat.basket()), ("para mañana a las 12", lines(&[("perro", 2)])));
    // So is one that is told at the summary, or where an address is asked for.
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("sí, para mañana a las 12", &["Observaciones: para mañana a las 12", "!confirmado"])]);
    assert!(chat.orders.is_empty());
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("domicilio", &["¿A qué dirección"])]);
    play(&mut chat, &[("para mañana a las 12", &["«para mañana a las 12»", "¿A qué dirección"])]);
}

#[test]
fn a_card_is_a_phone_where_one_is_asked_for_and_a_cart_is_answered() {
    let card = || Utterance::Contact("573009998877".into());
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("recoger", &["este mismo número"])]);
    let reply = chat.hear(vec![("c", card())]);
    assert!(reply.contains("pagar"), "{reply}");
    play(&mut chat, &[("efectivo", &["300 999 8877"])]);
    let mut chat = Chat::new();
    for what in [Utterance::Cart, card()] {
        assert_ne!(chat.hear(vec![("c", what)]), "");
    }
    assert_ne!(Chat::new().hear(vec![("c", Utterance::Unreadable)]), "");
}

#[test]
fn words_about_the_address_are_no_note_of_a_dish() {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &[]), ("Calle 10 # 20-30", &["este mismo número"])]);
    play(&mut chat, &[("no tiene nomenclatura", &["este mismo número"])]);
    assert!(chat.talk.lines().iter().all(|line| line.notes.is_empty()), "{:?}", chat.talk.lines());
    play(&mut chat, &[("sí", &[]), ("bueno nequi", &["Pago: Nequi", "*Total: $ 25.000*"])]);
}

#[test]
fn a_phone_that_nobody_knows_is_asked_for_in_digits() {
    let mut chat = Chat::new();
    chat.customer.phone = None;
    play(&mut chat, &[("dos perros calientes", &[]), ("recoger", &["número"])]);
    play(&mut chat, &[("este mismo", &["con todas sus cifras"]), ("3001234567", &["pagar"])]);
}

#[test]
fn a_number_behind_the_price_of_a_dish_is_of_that_dish() {
    let mut chat = Chat::new();
    play(&mut chat, &[("¿cuánto vale la limonada de coco?", &["$ 9.000"]), ("deme dos", &["2 × Limonada de Coco"])]);
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("hola, tienen limonada de coco?", &["$ 9.000"]), ("deme una entonces", &["1 × Limonada de Coco"])],
    );
    play(
        &mut chat,
        &[
            ("y dos perros calientes", &["2 × Perro Caliente"]),
            ("quita la limonada", &["!Limonada"]),
            ("no mentira, déjala", &["1 × Limonada de Coco"]),
        ],
    );
    // The next text is about something else.
    play(&mut chat, &[("¿cuánto vale el brownie?", &[]), ("gracias", &[]), ("deme dos", &["!Brownie con Helado: "])]);
}

#[test]
fn who_wants_nothing_orders_for_the_others() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("mi mamá quiere un perro especial y mi papá una salchipapa, yo no quiero nada", &["Perro Especial"])],
    );
    assert_eq!(chat.basket(), lines(&[("perro-esp", 1), ("salchi", 1)]));
}

/// A dog that bites is no hot dog.
#[test]
fn words_for_the_courier_beside_a_yes_repeat_no_dish() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    let read = |said: &str| repeating::read(&chat.talk, &chat.restaurant, &chat.talk.order, said);
    assert!(read("sí, ojo que el perro muerde").is_none() && read("sí").is_none());
    assert!(read("sí, dos perros calientes").is_some_and(|reading| !reading.changed));
}
