//! Signs, bills, names and questions beside the order; talks without an end; a door that closes in the middle.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    Chat,
    ordering::{lines, play},
    settings,
};
use crate::bot::{
    OrderState, Parser,
    conversation::{ConversationState, Input, Moment, Phase, Restaurant, SilenceCause, try_text},
    evaluation::CorpusUtterance,
    restaurant::{BusinessHours, DayHours, RestaurantSettings},
};

/// Two hot dogs for delivery, up to the summary.
fn at_summary(mut chat: Chat) -> Chat {
    play(
        &mut chat,
        &[
            ("dos perros calientes", &[]),
            ("listo", &[]),
            ("Calle 10 # 20-30 apto 4", &[]),
            ("sí", &[]),
            ("efectivo", &["Total"]),
        ],
    );
    chat
}

#[test]
fn a_talk_without_an_order_ends_with_a_word_and_a_call() {
    // Baskets that grow and shrink look like progress.
    let mut chat = Chat::new();
    let mut calls = 0;
    let mut answers = Vec::new();
    for n in 0..100 {
        let reply = chat.say(if n % 2 == 0 { "una colombiana" } else { "quite la colombiana" });
        calls += usize::from(chat.called_owner());
        if !reply.is_empty() {
            answers.push(reply);
        }
        chat.now -= jiff::SignedDuration::from_secs(50);
    }
    assert!(answers.len() <= 40 && calls == 1, "{} answers, {calls} calls", answers.len());
    assert!(answers.last().unwrap().contains("Ya le aviso a una persona"), "{answers:?}");
    assert_eq!(chat.talk.silence(chat.now).map(|silence| silence.cause), Some(SilenceCause::Loop));
    // A placed order begins the count anew.
    let mut chat = Chat::new();
    for _ in 0..6 {
        chat = at_summary(chat);
        play(&mut chat, &[("sí", &["confirmado"])]);
        chat.pass(5);
    }
    assert_eq!(chat.orders.len(), 6);
}

#[test]
fn sentences_of_a_bot_are_no_progress() {
    let mut chat = Chat::new();
    let mut answered = 0;
    for n in 0..40 {
        let said = format!(
            "Le anoté:\n1. {} × Perro Caliente\n\n¿Desea algo más? Si eso es todo, escriba *listo*.",
            n % 5 + 1
        );
        answered += usize::from(!chat.say(&said).is_empty());
    }
    assert!(answered <= 12, "{answered}");
}

#[test]
fn questions_about_the_menu_silence_nobody() {
    let mut chat = Chat::new();
    let questions = [
        "que bebidas tienen?",
        "cuanto vale la limonada?",
        "a que hora cierran?",
        "hacen domicilio?",
        "reciben tarjeta?",
        "que combos tienen?",
        "cuanto vale el pollo asado?",
        "que alitas tienen?",
        "que trae el perro especial?",
        "cuanto vale el combo 1?",
        "donde quedan?",
        "que postres tienen?",
        "cuanto vale la salchipapa?",
        "que hamburguesas tienen?",
        "cuanto se demora?",
    ];
    for said in questions {
        assert_ne!(chat.say(said), "", "{said}");
    }
    play(&mut chat, &[("una colombiana", &["1 × Colombiana"])]);
}

#[test]
fn signs_answer_and_question_marks_ask_again() {
    for sign in ["👍", "👌🏽", "✅"] {
        let mut chat = at_summary(Chat::new());
        play(&mut chat, &[("???", &["¿Confirmamos"]), (sign, &["confirmado"])]);
    }
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("???", &["¿Desea algo más?", "!no le entendí"]), ("👍", &["1. Domicilio"])],
    );
    play(&mut chat, &[("??", &["1. Domicilio"]), ("1", &["¿A qué dirección"]), ("?", &["¿A qué dirección"])]);
    play(&mut chat, &[("Calle 10 # 20-30", &["este mismo número"]), ("👍", &["¿Cómo desea pagar?"])]);
    let mut chat = at_summary(Chat::new());
    play(&mut chat, &[("👎", &["Dígame qué cambiamos"])]);
    let mut chat = Chat::new();
    play(&mut chat, &[("??", &["Le damos"]), ("👍", &[])]);
}

fn closing_at(close: &str) -> RestaurantSettings {
    let day = |name: &str| (name.to_owned(), DayHours { active: true, open: "11:00".into(), close: close.into() });
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let business_hours = BusinessHours {
        enabled: true,
        timezone: "America/Bogota".into(),
        schedule: days.into_iter().map(day).collect(),
        exceptions: Default::default(),
    };
    RestaurantSettings { business_hours: Some(business_hours), ..settings() }
}

#[test]
fn a_talk_that_began_before_closing_time_comes_to_its_end() {
    let mut chat = at_summary(Chat::with(closing_at("14:06")));
    chat.pass(5);
    play(&mut chat, &[("sí", &["confirmado"])]);
    // A new talk is not begun, but the order is cancelled all the same.
    play(&mut chat, &[("quiero un pollo asado", &["estamos cerrados"])]);
    play(&mut chat, &[("cancelar", &["¿Cancelo su pedido"]), ("sí", &["cancelé"])]);
    // The grace has an end.
    let mut chat = at_summary(Chat::with(closing_at("14:06")));
    for _ in 0..3 {
        chat.pass(15);
        chat.say("espere");
    }
    play(&mut chat, &[("sí", &["!confirmado"])]);
    assert!(chat.orders.is_empty());
    // An edit of a text in the order counts too.
    let mut chat = Chat::with(closing_at("14:06"));
    play(&mut chat, &[("dos perros calientes", &[])]);
    chat.pass(8);
    let reply = chat.input(Input::Edited { id: "m1".into(), text: "tres perros calientes".into() });
    assert!(reply.contains("3 × Perro"), "{reply}");
}

#[test]
fn the_bill_reaches_the_courier() {
    for (said, words) in [
        ("efectivo, necesito cambio de 100 mil", "necesito cambio de 100 mil"),
        ("pago con billete de 50", "pago con billete de 50"),
        ("en efectivo, con vueltas de 50 mil", "con vueltas de 50 mil"),
        ("efectivo y me trae vueltas para un billete de 100.000", "vueltas para un billete de 100.000"),
    ] {
        let mut chat = Chat::new();
        play(
            &mut chat,
            &[("dos perros calientes", &[]), ("listo", &[]), ("Calle 10 # 20-30 apto 4", &[]), ("sí", &[])],
        );
        play(&mut chat, &[(said, &["Pago: efectivo", words, "Total"]), ("sí", &["confirmado"])]);
        assert!(chat.orders[0].comment.contains(words), "{:?}", chat.orders[0].comment);
        // At the summary as well.
        let mut chat = at_summary(Chat::new());
        play(&mut chat, &[(said, &[words, "*Total: $ 25.000*", "2 × Perro"])]);
    }
}

#[test]
fn names_and_small_words_are_understood() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("a nombre de Carlos", &["!no le entendí"]), ("uno más", &["3 × Perro"])],
    );
    play(&mut chat, &[("otro", &["4 × Perro"]), ("ya", &["1. Domicilio"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 4)]));
    for (said, fact) in [
        ("para mi casa", "¿A qué dirección"),
        ("tráigalo", "¿A qué dirección"),
        ("que me lo traigan por favor", "¿A qué dirección"),
        ("para comer allá", "número"),
        ("para domicilio", "¿A qué dirección"),
    ] {
        let mut chat = chat_at_way();
        play(&mut chat, &[(said, &[fact, "!no le entendí"])]);
    }
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("para domicilio", &["¿A qué dirección"])]);
    let mut chat = at_summary(Chat::new());
    play(&mut chat, &[("cuánto es?", &["*Total: $ 25.000*"]), ("y la colombiana?", &["Colombiana", "!no le entendí"])]);
    play(&mut chat, &[("cuánto se demora?", &["30 a 45 minutos", "!todavía no está confirmado"])]);
    play(&mut chat, &[("no, está perfecto", &["confirmado"])]);
    // A no that is one.
    let mut chat = at_summary(Chat::new());
    play(&mut chat, &[("no está bien", &["!confirmado por"])]);
    assert!(chat.orders.is_empty());
}

fn chat_at_way() -> Chat {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &["1. Domicilio"])]);
    assert_eq!(chat.talk.phase(), &Phase::Way);
    chat
}

#[test]
fn who_swears_at_a_forgotten_drink_wants_the_drink() {
    for (said, fact) in [
        ("mierda se me olvidó una coca 400", "1 × Coca-Cola 400"),
        ("una hamburguesa sencilla que esté de puta madre", "Hamburguesa"),
        ("necesito una impresora hp", "!Lamento"),
    ] {
        let mut chat = Chat::new();
        play(&mut chat, &[("dos perros calientes", &[]), (said, &[fact])]);
        assert!(!chat.called_owner(), "{said}");
    }
    for said in ["qué mierda de hamburguesa", "son unos ladrones hijueputas", "qué mierda"] {
        let mut chat = Chat::new();
        play(&mut chat, &[("dos perros calientes", &[]), (said, &["Lamento"])]);
        assert!(chat.called_owner(), "{said}");
    }
}

#[test]
fn a_form_is_summed_up_once_and_thanks_are_answered() {
    let mut chat = Chat::with(RestaurantSettings { quick_order_mode: true, ..settings() });
    let form =
        "Nombre: Ana\nDirección: Calle 10 # 20-30\nTeléfono: 3001112233\nPedido: 2 perros calientes\nPago: efectivo";
    play(&mut chat, &[("hola", &[]), (form, &["Resumen", "!Le anoté"])]);
    play(
        &mut chat,
        &[("sí", &["confirmado"]), ("listo", &[]), ("gracias", &["Con mucho gusto"]), ("gracias", &["!Con mucho"])],
    );
}

#[test]
fn an_order_that_was_left_lends_nothing_to_the_next() {
    let mut chat = at_summary(Chat::new());
    play(&mut chat, &[("nota: el timbre no sirve", &[])]);
    chat.pass(45);
    play(
        &mut chat,
        &[("hola", &["¿Seguimos"]), ("no", &[]), ("una hamburguesa sencilla", &[]), ("listo", &["1. Domicilio"])],
    );
    play(&mut chat, &[("recoger", &["número"]), ("sí", &["pagar"]), ("1", &["!timbre"])]);
    // Gone on with, it has all of them still.
    let mut chat = at_summary(Chat::new());
    chat.pass(45);
    play(&mut chat, &[("hola", &["¿Seguimos"]), ("sí", &[]), ("listo", &["Calle 10 # 20-30 apto 4", "Total"])]);
    // Details without a basket go with the talk.
    let mut chat = Chat::new();
    play(&mut chat, &[("es para la calle 10 # 20-30, pago en efectivo", &[])]);
    chat.pass(45);
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &["1. Domicilio"])]);
}

#[test]
fn half_a_dish_is_a_dish_where_the_menu_has_it() {
    for (said, expected) in [
        ("medio pollo y una limonada natural", vec![("pollo-12", 1), ("limonada", 1)]),
        ("medio pollo", vec![("pollo-12", 1)]),
        ("quiero medio pollo por favor", vec![("pollo-12", 1)]),
        ("Medio pollo, y una coca 400", vec![("pollo-12", 1), ("coca-400", 1)]),
        ("dos medios pollos asados", vec![("pollo-12", 2)]),
        ("un medio pollo asado sin guacamole", vec![("pollo-12", 1)]),
    ] {
        let mut chat = Chat::new();
        chat.say(said);
        assert_eq!(chat.basket(), lines(&expected), "{said}");
    }
}

#[test]
fn words_beside_the_order_take_nothing_from_it() {
    // All texts of the corpus, as the first of a talk, have the order that the parser alone reads.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bot");
    let moment = Moment { now: "2026-11-27T19:00:00Z".parse().unwrap(), chance: [1; 16], told_at: None };
    let mut restaurants = BTreeMap::new();
    for line in fs::read_to_string(root.join("open.jsonl")).unwrap().lines() {
        let utterance: CorpusUtterance = serde_json::from_str(line).unwrap();
        let restaurant = restaurants.entry(utterance.menu.clone()).or_insert_with(|| {
            let menu = fs::read_to_string(root.join(format!("menus/{}.json", utterance.menu))).unwrap();
            Restaurant::new(Parser::new(serde_json::from_str(&menu).unwrap()), settings())
        });
        let alone = restaurant.parser.understand(&utterance.text, &OrderState::default(), &[]);
        let tried = try_text(restaurant, ConversationState::default(), &utterance.text, moment);
        let read = (tried.cart, tried.payment, tried.address.is_some());
        assert_eq!(read, (alone.state.lines, alone.payment, alone.address.is_some()), "{}", utterance.text);
    }
}

#[test]
fn two_bots_of_this_house_stop() {
    let mut chats = [Chat::new(), Chat::new()];
    let mut said = vec!["menú".to_owned()];
    let mut turns = 0;
    while !said.is_empty() && turns < 200 {
        let chat = &mut chats[turns % 2];
        let texts: Vec<&str> = said.iter().map(String::as_str).collect();
        let reply = chat.say_all(&texts);
        said = reply.split("\n---\n").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        turns += 1;
    }
    assert!(turns < 90, "{turns}");
    assert!(chats.iter().any(|chat| chat.talk.silence(chat.now).is_some()));
}

#[test]
fn words_of_the_checkout_keep_their_meaning() {
    let mut chat = at_summary(Chat::new());
    play(
        &mut chat,
        &[
            ("sí, y me trae una colombiana", &["1 × Colombiana", "Total"]),
            ("quite la colombiana", &["!Colombiana", "Total"]),
        ],
    );
    play(
        &mut chat,
        &[("mejor por nequi", &["Pago: Nequi"]), ("cambie la dirección a la carrera 7 # 8-90", &["carrera 7 # 8-90"])],
    );
    play(
        &mut chat,
        &[("a nombre de Carlos Ruiz", &["Total"]), ("sí, a nombre de Juan Gómez", &["Total", "!confirmado"])],
    );
    play(&mut chat, &[("de una", &["confirmado", "Juan Gómez"])]);
    for said in ["sí", "dale", "hágale", "listo", "confirmo", "de una", "sí señora", "ok gracias", "perfecto"] {
        let mut chat = at_summary(Chat::new());
        play(&mut chat, &[(said, &["confirmado por"])]);
    }
    for said in [
        "no",
        "todavía no",
        "no gracias",
        "espere",
        "cambie algo",
        "ya no",
        "no, así está mal",
        "no, está mal",
        "no, está bien pero espere",
        "no, ya está frío",
    ] {
        let mut chat = at_summary(Chat::new());
        play(&mut chat, &[(said, &["!confirmado por"])]);
        assert!(chat.orders.is_empty(), "{said}");
    }
}

#[test]
fn who_asks_for_a_bot_is_told_the_truth_and_the_order_goes_on() {
    for said in ["eres un bot?", "¿Es un robot?", "hablo con una persona?", "usted es humano?"] {
        let mut chat = Chat::new();
        play(&mut chat, &[(said, &["asistente automático de Don Pollo", "hablar con alguien", "!No encuentro"])]);
        assert!(!chat.called_owner(), "{said}");
        let mut chat = at_summary(Chat::new());
        play(&mut chat, &[(said, &["asistente automático", "¿Confirmamos"]), ("sí", &["confirmado"])]);
    }
    let mut chat = Chat::new();
    play(&mut chat, &[("quiero hablar con una persona", &["persona del restaurante"])]);
    assert!(chat.called_owner());
}

#[test]
fn for_whom_and_how_it_comes_calls_nobody() {
    for said in [
        "necesito comida para 5 personas",
        "quiero dos perros calientes para 2 personas",
        "quiero dos perros calientes don Carlos",
        "me pueden llamar al llegar",
    ] {
        let mut chat = Chat::new();
        chat.say(said);
        assert!(!chat.called_owner(), "{said}");
    }
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("quiero dos perros calientes para don Carlos", &["2 × Perro"]),
            ("Calle 10 # 20-30, efectivo, y me pueden llamar al llegar", &[]),
            ("sí", &["Observaciones: me pueden llamar al llegar", "Total"]),
            ("sí", &["confirmado"]),
        ],
    );
    assert_eq!(
        (chat.orders[0].customer.as_str(), chat.orders[0].comment.as_str()),
        ("don Carlos", "me pueden llamar al llegar")
    );
    let mut chat = at_summary(Chat::new());
    play(
        &mut chat,
        &[("me llaman cuando lleguen a la portería por favor", &["Observaciones: me llaman cuando lleguen"])],
    );
    assert_eq!(chat.basket(), lines(&[("perro", 2)]));
    // Of what came, it is a complaint; of what is being ordered, a wish.
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("nos faltan 2 colombianas", &["2 × Colombiana"])]);
    assert!(!chat.called_owner());
    let mut chat = at_summary(Chat::new());
    play(&mut chat, &[("sí", &["confirmado"])]);
    chat.moved(crate::bot::order::OrderStage::Entregado);
    play(&mut chat, &[("nos faltaron 2 colombianas", &["persona"])]);
    assert!(chat.called_owner());
}

#[test]
fn the_picture_of_a_dish_asks_what_there_is_of_it() {
    let mut chat = Chat::new();
    play(&mut chat, &[("🍔🍔", &["Hamburguesa Sencilla", "Hamburguesa Doble Carne"])]);
    assert!(chat.talk.lines().is_empty());
    play(&mut chat, &[("dos perros calientes", &["2 × Perro Caliente"])]);
    assert_ne!(chat.say("🍕"), "");
    assert_eq!(chat.talk.lines().len(), 1);
    assert_eq!(chat.say("😂"), "");
}
