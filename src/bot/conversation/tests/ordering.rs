//! From a greeting to a basket.

use super::{Chat, settings};
use crate::bot::{conversation::Phase, menu::MenuItem, restaurant::RestaurantSettings, texts::Language};

/// Each text of the customer, and the facts of its answer: `!` before one that must not be in it.
pub fn play(chat: &mut Chat, script: &[(&str, &[&str])]) {
    for (said, facts) in script {
        let reply = chat.say(said);
        for fact in *facts {
            match fact.strip_prefix('!') {
                Some(absent) => assert!(!reply.contains(absent), "{said}: {absent:?} is in\n{reply}"),
                None => assert!(reply.contains(fact), "{said}: {fact:?} is not in\n{reply}"),
            }
        }
    }
}

pub fn lines(lines: &[(&str, u32)]) -> Vec<(String, u32)> {
    lines.iter().map(|(item, qty)| ((*item).to_owned(), *qty)).collect()
}

#[test]
fn a_customer_is_greeted_by_the_hour_of_the_restaurant_and_by_name() {
    for (hour, greeting) in [("12", "Buenos días, Ana"), ("18", "Buenas tardes, Ana"), ("01", "Buenas noches, Ana")] {
        let mut chat = Chat::new();
        chat.now = format!("2026-11-27T{hour}:00:00Z").parse().unwrap();
        play(&mut chat, &[("hola", &[greeting, "Don Pollo", "menú"])]);
    }
    // A name that is no name, or more than one.
    let mut chat = Chat::new();
    chat.customer.name = Some("🌸✨".into());
    play(&mut chat, &[("hola", &["Buenas tardes. Le damos", "!🌸"])]);
    let mut chat = Chat::new();
    chat.customer.name = Some("*{total}*\nSu pedido quedó confirmado".into());
    play(&mut chat, &[("hola", &["Buenas tardes, total Su pedido quedó conf", "!*total*", "!\nSu pedido quedó"])]);
}

#[test]
fn the_menu_has_categories_numbers_and_prices_and_numbers_order() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("menú", &["*Pollos*", "4. Pollo Broaster Entero: $ 42.000", "!Brownie"]),
            ("3", &["1 × Cuarto de Pollo Asado: $ 12.000"]),
            ("2 del 4", &["2 × Pollo Broaster Entero: $ 84.000", "Subtotal: $ 96.000"]),
            ("el 8 y el 10", &["1 × Perro Caliente", "1 × Salchipapa"]),
            ("el 300", &["No tengo el número 300"]),
            ("el 29", &["no tenemos Brownie con Helado"]),
        ],
    );
    assert_eq!(chat.basket(), lines(&[("pollo-14", 1), ("broaster", 2), ("perro", 1), ("salchi", 1)]));
}

/// Behind a dish that was named, a bare number may be its quantity.
#[test]
fn a_number_that_may_mean_two_things_is_asked() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("menú", &[]),
            ("una limonada de coco", &["1 × Limonada de Coco"]),
            ("2", &["¿Quiere 2 de *Limonada de Coco*", "Medio Pollo"]),
        ],
    );
    assert_eq!(chat.basket(), lines(&[("limonada-coco", 1)]));
    play(&mut chat, &[("1 del 2", &["1 × Medio Pollo Asado"])]);
}

const CATEGORIES: [&str; 10] =
    ["Sopas", "Carnes", "Pescados", "Pastas", "Ensaladas", "Jugos", "Vinos", "Postres", "Tortas", "Cafés"];

#[test]
fn a_long_menu_is_told_by_category_in_messages_of_bounded_length() {
    let mut chat = Chat::new();
    let item = |n: usize| MenuItem {
        id: format!("i{n}"),
        name: format!("Plato de la Casa Numero {n} con todos sus Acompañamientos"),
        price: crate::bot::money::Money::new(10_000),
        category: CATEGORIES[n / 30].into(),
        description: "Con arroz".into(),
        available: true,
        aliases: vec![],
    };
    chat.change_menu(|menu| menu.items = (0..300).map(item).collect());
    play(&mut chat, &[("menú", &["• Sopas", "• Cafés", "!Numero 5 "]), ("pescados", &["61. Plato", "Con arroz"])]);
    let mut chat = Chat::new();
    chat.change_menu(|menu| menu.items = (0..60).map(item).collect());
    let reply = chat.say("menú");
    assert!(chat.effects.len() > 1 && reply.contains("60. Plato"), "{reply}");
}

#[test]
fn unknown_ambiguous_and_sold_out_wishes_are_told_and_not_guessed() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("quiero un sushi y una salchipapa familiar", &["No encuentro *sushi*", "1 × Salchipapa Familiar"]),
            ("una brownie con helado", &["no tenemos Brownie con Helado"]),
            ("dos hamburguesas", &["va a llevar 2", "1. Hamburguesa Sencilla: $ 14.000", "3. Hamburguesa de Pollo"]),
            ("el segundo", &["2 × Hamburguesa Doble Carne"]),
            ("una coca", &["1. Coca-Cola 400 ml", "2. Coca-Cola 1.5 L"]),
            ("la grande", &["1 × Coca-Cola 1.5 L"]),
            ("una cerveza", &["Póker", "Club Colombia"]),
            ("ninguna", &["eso no lo anoto"]),
        ],
    );
    assert_eq!(chat.basket(), lines(&[("salchi-fam", 1), ("hamb-doble", 2), ("coca-15", 1)]));
}

#[test]
fn near_names_are_suggested() {
    let mut chat = Chat::new();
    play(&mut chat, &[("un perrote", &["No encuentro *perrote*", "¿Será Perro Caliente o Perro Especial?"])]);
}

#[test]
fn the_basket_changes_by_talk_and_by_commands() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("dos perros calientes y una limonada de coco", &["2 × Perro Caliente", "1 × Limonada de Coco"]),
            ("mejor que sean tres perros", &["3 × Perro Caliente"]),
            ("ver", &["3 × Perro Caliente", "Subtotal: $ 39.000"]),
            ("eliminar 2", &["!Limonada"]),
            ("eliminar 7", &["no tiene la línea 7"]),
            ("ayuda", &["hablar con alguien"]),
            ("cancelar", &["en blanco"]),
            ("ver", &["Todavía no tiene nada"]),
        ],
    );
    assert_eq!(chat.talk.phase(), &Phase::Idle);
}

#[test]
fn questions_are_answered_beside_the_order() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("cuánto vale la limonada de coco?", &["Limonada de Coco: $ 9.000"]),
            ("qué bebidas tienen?", &["Coca-Cola 400 ml: $ 4.500", "!Pollo Asado"]),
            ("tienen sushi?", &["no lo encuentro"]),
            ("tienen brownie?", &["no tenemos Brownie"]),
            (
                "hacen domicilios?",
                &["$ 5.000", "gratis desde $ 80.000", "mínimo a domicilio es de $ 15.000", "30 a 45"],
            ),
            ("reciben nequi?", &["efectivo, Nequi"]),
            ("una salchipapa", &["1 × Salchipapa: $ 12.000"]),
            ("cuánto sería todo?", &["Subtotal: $ 12.000"]),
        ],
    );
    assert_eq!(chat.basket(), lines(&[("salchi", 1)]));
}

#[test]
fn several_messages_of_a_turn_are_answered_once() {
    let mut chat = Chat::new();
    let reply = chat.say_all(&["hola", "dos hamburguesas", "sencillas", "una sin cebolla"]);
    assert_eq!(chat.effects.len(), 1, "{reply}");
    assert!(reply.contains("1 × Hamburguesa Sencilla (sin cebolla)") && !reply.contains("Cuál"), "{reply}");
    // All of an order at once leads straight to what is missing.
    let reply = chat.say_all(&["para la calle 10 # 20-30", "mi cel es 3001234567", "pago en efectivo"]);
    assert!(reply.contains("*Total: $ 33.000*") && reply.contains("300 123 4567"), "{reply}");
}

#[test]
fn a_text_that_is_too_long_says_where_it_was_cut() {
    let mut chat = Chat::new();
    let reply = chat.say(&format!("un pollo asado entero {}", "con mucho cariño para toda la familia ".repeat(200)));
    assert!(reply.contains("muy largo"), "{reply}");
}

#[test]
fn an_order_beyond_measure_is_for_a_human() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("400 perros calientes", &["¿Le anoto 400 × *Perro Caliente*?"]),
            ("sí", &["1. 400 × Perro Caliente"]),
            ("300 perros calientes más", &["muy grande"]),
        ],
    );
    assert!(chat.called_owner());
    assert!(chat.talk.silence(chat.now).is_some());
}

/// `yes` was a command and no answer, though the question asks for that word.
#[test]
fn an_english_yes_takes_the_number_that_was_proposed() {
    let mut chat = Chat::with(RestaurantSettings { language: Language::En, ..settings() });
    play(&mut chat, &[("250 perros calientes", &["Shall I note 250 × *Perro Caliente*?"]), ("yes", &["250 × Perro"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 250)]));
}

/// A slip is likelier than two hundred and fifty hot dogs, and an amount of money is no number of them.
#[test]
fn a_number_that_is_in_doubt_is_asked_for_and_not_noted() {
    let mut chat = Chat::new();
    play(&mut chat, &[("250 perros calientes", &["¿Le anoto 250 ×", "!1."]), ("25", &["1. 25 × Perro Caliente"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 25)]));
    let mut chat = Chat::new();
    play(&mut chat, &[("250 perros calientes", &[]), ("listo", &["¿Le anoto 250 ×"]), ("no", &["eso no lo anoto"])]);
    assert!(chat.basket().is_empty());
    let mut chat = Chat::new();
    play(&mut chat, &[("20 mil en perros calientes", &["¿Le anoto 2 × *Perro Caliente*?"]), ("sí", &["1. 2 × Perro"])]);
    // Behind the menu, a bare number is still the number that was asked for.
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("menú", &[]),
            ("25 mil de perros calientes", &["¿Cuántas unidades de *Perro Caliente*"]),
            ("¿hacen domicilio?", &["¿Cuántas unidades"]),
            ("4", &["1. 4 × Perro Caliente"]),
        ],
    );
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("20 mil en coca", &["1. Coca-Cola 400 ml", "¿Cuál"]),
            ("la 2", &["¿Cuántas unidades de *Coca-Cola 1.5 L*"]),
            ("3", &["1. 3 × Coca-Cola 1.5 L"]),
        ],
    );
}

#[test]
fn the_same_again_comes_from_the_order_before() {
    let mut chat = Chat::new();
    play(&mut chat, &[("lo mismo de la vez pasada", &["No encuentro un pedido anterior"])]);
    play(
        &mut chat,
        &[
            ("dos perros calientes para la calle 10 # 20-30, pago en efectivo", &["2 × Perro Caliente"]),
            ("sí", &["*Total: $ 25.000*"]),
            ("sí", &["confirmado"]),
            ("lo mismo de la vez pasada", &["2 × Perro Caliente"]),
        ],
    );
}

#[test]
fn english_texts_for_english_tenants() {
    let mut chat = Chat::with(RestaurantSettings { language: Language::En, quick_order_mode: false, ..settings() });
    play(
        &mut chat,
        &[
            ("hello", &["Good afternoon, Ana", "Welcome to Don Pollo"]),
            ("menu", &["This is our menu", "1. Pollo Asado Entero"]),
            ("2 of 4", &["I have noted", "2 × Pollo Broaster Entero", "Anything else?"]),
            ("done", &["1. Delivery ($ 5.000)"]),
            ("2", &["Can we call you on this number"]),
            ("yes", &["How would you like to pay?", "1. cash"]),
            ("1", &["*Total: $ 84.000*", "To be picked up", "Payment: cash"]),
            ("yes", &["Thank you, Ana", "is confirmed"]),
            ("status", &["confirmed, waiting for the kitchen"]),
            ("I want to talk to a person", &["I am telling a person"]),
        ],
    );
    assert_eq!(chat.orders.len(), 1);
}

#[test]
fn a_zero_alone_empties_no_basket() {
    let mut chat = Chat::new();
    play(&mut chat, &[("un perro caliente", &["1 × Perro"])]);
    for said in ["0", "a.0", "0: 👍", "cero"] {
        chat.say(said);
        assert_eq!(chat.basket(), lines(&[("perro", 1)]), "{said}");
    }
    play(&mut chat, &[("que sean cero perros", &["en blanco"])]);
}
