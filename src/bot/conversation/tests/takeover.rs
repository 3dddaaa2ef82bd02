//! Humans before the machine.

use super::{Chat, ordering::play, settings};
use crate::bot::{
    conversation::{Effect, Input, Phase, SilenceCause, Utterance},
    order::OrderStage,
    restaurant::RestaurantSettings,
};

fn owner(chat: &mut Chat, text: &str) -> String {
    chat.input(Input::OwnerWrote { text: Some(text.to_owned()) })
}

#[test]
fn the_owner_silences_the_bot_until_the_time_has_passed() {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes a la calle 10 # 20-30, efectivo", &[]), ("sí", &["*Total: $ 25.000*"])]);
    assert_eq!(owner(&mut chat, "ya le averiguo"), "");
    assert_eq!(chat.wake_at, Some(chat.now.checked_add(jiff::SignedDuration::from_mins(120)).unwrap()));
    // Neither one message nor many bring it back, and a yes that the owner asked for places nothing.
    for said in ["sí", "hola?", "menú", "un pollo asado entero", "quiero hablar con alguien", "sí"] {
        assert_eq!(chat.say(said), "", "{said}");
        assert!(chat.effects.is_empty());
    }
    // Each message of the owner counts anew.
    chat.pass(100);
    owner(&mut chat, "ya casi");
    chat.pass(100);
    assert_eq!(chat.say("hola"), "");
    chat.pass(21);
    let reply = chat.say("hola");
    assert!(reply.contains("¿Seguimos") && reply.contains("2 × Perro Caliente"), "{reply}");
    assert!(chat.orders.is_empty());
    play(&mut chat, &[("sí", &["2 × Perro Caliente"]), ("listo", &["*Total: $ 25.000*"]), ("sí", &["confirmado"])]);
}

#[test]
fn the_owners_word_and_the_console_bring_the_bot_back() {
    let mut chat = Chat::new();
    play(&mut chat, &[("hola", &["Le damos"])]);
    owner(&mut chat, "buenas");
    assert_eq!(chat.say("menú"), "");
    assert_eq!(owner(&mut chat, " #BOT "), "");
    play(&mut chat, &[("menú", &["1. Pollo"])]);
    chat.input(Input::TakenOver);
    assert_eq!(chat.talk.silence(chat.now).map(|silence| silence.cause), Some(SilenceCause::TakenOver));
    assert_eq!(chat.say("menú"), "");
    chat.input(Input::GivenBack);
    play(&mut chat, &[("menú", &["1. Pollo"])]);
}

#[test]
fn a_change_is_of_the_order_that_was_put_aside() {
    for (said, now) in [
        ("que sean tres perros calientes", "3 × Perro Caliente"),
        ("que sean tres", "3 × Perro Caliente"),
        ("otra igual", "3 × Perro Caliente"),
    ] {
        let mut chat = Chat::new();
        play(&mut chat, &[("dos perros calientes", &["2 × Perro Caliente"])]);
        chat.input(Input::TakenOver);
        chat.input(Input::GivenBack);
        play(&mut chat, &[(said, &[now, "!¿Seguimos"])]);
        assert_eq!((chat.talk.lines().len(), chat.talk.lines()[0].qty), (1, 3), "{said}");
        assert!(chat.talk.kept.is_none(), "{said}");
    }
    // A dish that is wished for anew is no change: the customer says which.
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[])]);
    chat.input(Input::TakenOver);
    chat.input(Input::GivenBack);
    play(&mut chat, &[("una salchipapa", &["1 × Salchipapa", "¿Seguimos con él?", "2 × Perro"])]);
}

#[test]
fn no_notice_while_the_owner_talks() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("recoger", &[]), ("sí", &[]), ("1", &[]), ("sí", &["confirmado"])],
    );
    owner(&mut chat, "voy yo");
    assert_eq!(chat.moved(OrderStage::Cocinando), "");
    chat.input(Input::GivenBack);
    play(&mut chat, &[("estado", &["en preparación"])]);
}

#[test]
fn a_customer_who_wants_swears_or_insists_gets_a_human() {
    for said in ["quiero hablar con alguien", "qué mierda de bot", "me llegó el pollo crudo", "un asesor por favor"] {
        let mut chat = Chat::new();
        let reply = chat.say(said);
        assert!(reply.contains("Ya le aviso a una persona") && chat.called_owner(), "{said}: {reply}");
        assert_eq!(chat.say(said), "", "told once");
        assert!(!chat.called_owner(), "told once");
    }
    let mut chat = Chat::new();
    play(&mut chat, &[("xyzzy plugh", &[]), ("frobozz", &["no le entendí"]), ("quux garply", &["Ya le aviso"])]);
    assert!(chat.called_owner());
}

#[test]
fn two_bots_that_meet_stop() {
    // One that says the same for ever.
    let mut chat = Chat::new();
    let mut answers = 0;
    let mut calls = 0;
    for _ in 0..50 {
        answers +=
            usize::from(!chat.say("Bienvenido a Almacenes Gómez. Escriba menú para ver las opciones.").is_empty());
        calls += usize::from(chat.called_owner());
    }
    assert!(answers <= 4 && calls == 1, "{answers} answers, {calls} calls");
    // One that has a few texts.
    let mut chat = Chat::new();
    let texts = ["hola", "gracias por escribir", "menú", "a qué hora abren?", "hacen domicilios?"];
    let (mut answers, mut calls) = (0, 0);
    for n in 0..100 {
        answers += usize::from(!chat.say(texts[n % texts.len()]).is_empty());
        calls += usize::from(chat.called_owner());
    }
    assert!(answers < 16 && calls == 1, "{answers} answers, {calls} calls");
    // One whose text happens to order.
    let mut chat = Chat::new();
    let answers = (0..50).filter(|_| !chat.say("Pida ya: un perro caliente").is_empty()).count();
    assert!(answers < 8, "{answers} answers");
}

#[test]
fn a_muted_customer_is_never_answered() {
    for muted in ["573001112233", "+573001112233", "573001112233@s.whatsapp.net"] {
        let mut chat = Chat::with(RestaurantSettings { muted: [muted.to_owned()].into(), ..settings() });
        for said in ["hola", "un pollo asado entero", "quiero hablar con alguien"] {
            assert_eq!(chat.say(said), "", "{muted}");
            assert!(chat.effects.is_empty());
        }
    }
}

#[test]
fn what_cannot_be_read_is_answered_once() {
    let mut chat = Chat::new();
    let media = [
        Utterance::Voice,
        Utterance::Voice,
        Utterance::Sticker,
        Utterance::Picture,
        Utterance::Call,
        Utterance::Document,
    ];
    let replies: Vec<String> =
        media.iter().enumerate().map(|(n, what)| chat.hear(vec![(&format!("v{n}"), what.clone())])).collect();
    assert!(replies[0].contains("solo puedo leer"), "{replies:?}");
    assert!(replies[1..].iter().all(String::is_empty), "{replies:?}");
    assert_eq!(chat.hear(vec![("s", Utterance::Silent)]), "");
    chat.pass(31);
    assert!(chat.hear(vec![("later", Utterance::Voice)]).contains("solo puedo leer"));
    // Beside a text, the text is answered.
    let mut chat = Chat::new();
    let reply = chat.hear(vec![("a", Utterance::Sticker), ("b", Utterance::Text("dos perros calientes".into()))]);
    assert!(reply.contains("2 × Perro Caliente"), "{reply}");
}

#[test]
fn a_picture_for_an_unpaid_order_goes_to_the_owner() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("recoger", &[]), ("sí", &[]), ("nequi", &[]), ("sí", &["comprobante"])],
    );
    let reply = chat.hear(vec![("p", Utterance::Picture)]);
    assert!(reply.contains("comprobante") && chat.called_owner(), "{reply}");
    assert!(
        matches!(&chat.effects[1], Effect::CallOwner { reason } if reason.contains("$ 20.000")),
        "{:?}",
        chat.effects
    );
    assert!(chat.talk.silence(chat.now).is_none());
    play(&mut chat, &[("estado", &["esperamos su pago"])]);
    let order = chat.orders[0].id.clone();
    assert!(chat.input(Input::OrderPaid { order: order.clone() }).contains("Recibimos su pago"));
    assert_eq!(chat.input(Input::OrderPaid { order }), "");
    play(&mut chat, &[("estado", &["en espera de la cocina"])]);
}

#[test]
fn a_payment_that_comes_after_the_kitchen_began_is_told() {
    for stages in [&[OrderStage::Cocinando][..], &[OrderStage::Cocinando, OrderStage::Listo, OrderStage::Entregado]] {
        let mut chat = Chat::new();
        play(
            &mut chat,
            &[("dos perros calientes", &[]), ("recoger", &[]), ("sí", &[]), ("nequi", &[]), ("sí", &["comprobante"])],
        );
        for stage in stages {
            assert!(!chat.moved(*stage).is_empty());
        }
        let order = chat.orders[0].id.clone();
        let told = chat.input(Input::OrderPaid { order: order.clone() });
        assert!(told.contains("Recibimos su pago") && told.contains(&order), "{told}");
        assert_eq!(chat.input(Input::OrderPaid { order }), "");
    }
}

#[test]
fn an_idle_conversation_expires_and_its_basket_waits() {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes a la calle 10 # 20-30, efectivo", &[]), ("sí", &["*Total: $ 25.000*"])]);
    let wake_at = chat.wake_at.unwrap();
    chat.now = wake_at;
    assert_eq!(chat.input(Input::Woken), "");
    assert_eq!((chat.talk.phase(), chat.wake_at), (&Phase::Idle, None));
    // A yes to yesterday's summary places nothing.
    chat.pass(600);
    play(
        &mut chat,
        &[
            ("sí", &["¿Seguimos con él?", "2 × Perro Caliente", "!confirmado"]),
            ("sí", &["2 × Perro Caliente"]),
            ("listo", &["*Total: $ 25.000*"]),
        ],
    );
    // A new order beside the old one: both are told, and the customer says which.
    chat.pass(60);
    play(
        &mut chat,
        &[
            ("una salchipapa", &["1 × Salchipapa", "¿Seguimos con él?", "2 × Perro"]),
            ("no", &["1 × Salchipapa", "!Perro"]),
        ],
    );
    chat.pass(60);
    play(
        &mut chat,
        &[("hola", &["1 × Salchipapa", "¿Seguimos"]), ("no", &["descartado"]), ("ver", &["Todavía no tiene nada"])],
    );
    assert!(chat.orders.is_empty());
}

#[test]
fn two_orders_that_are_too_much_together_are_for_a_human() {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos salchipapas", &["2 × Salchipapa"])]);
    chat.pass(31);
    play(&mut chat, &[("200 perros calientes", &["¿Seguimos", "200 × Perro"]), ("sí", &["2 × Salchipapa"])]);
    play(&mut chat, &[("200 perros calientes más", &["¿Le anoto 400 ×"]), ("sí", &["400 × Perro"])]);
    chat.pass(31);
    play(&mut chat, &[("190 perros calientes", &["400 × Perro", "2 × Salchipapa"]), ("sí", &["muy grande"])]);
    assert!(chat.called_owner());
}

/// The kitchen has the order, and the customer would wait for a word.
#[test]
fn who_takes_a_chat_over_before_the_confirmation_left_is_told_of_the_order() {
    for (input, told_at, is_told) in [
        (Input::OwnerWrote { text: Some("ya le averiguo".into()) }, Some(jiff::Timestamp::MAX), true),
        (Input::TakenOver, Some(jiff::Timestamp::MAX), true),
        (Input::OwnerWrote { text: None }, None, false),
    ] {
        let mut chat = Chat::new();
        super::checkout::summarised(&mut chat);
        play(&mut chat, &[("sí", &["confirmado"])]);
        chat.told_at = told_at;
        assert_eq!(chat.input(input.clone()), "");
        let id = format!("#{}", chat.orders[0].id);
        let tells = |effect: &Effect| matches!(effect, Effect::CallOwner { reason } if reason.contains(&id));
        assert_eq!(chat.effects.iter().any(tells), is_told);
        // Once.
        assert_eq!(chat.input(input), "");
        assert!(!chat.called_owner());
    }
}
