//! From a basket to an order, and what becomes of it.

use super::{
    Chat,
    ordering::{lines, play},
    settings,
};
use crate::bot::{
    conversation::{Effect, Phase, Utterance},
    money::Money,
    order::{Destination, OrderStage, PaymentStatus},
    payment::PaymentMethod,
    restaurant::RestaurantSettings,
};

/// An order of two hot dogs, up to its summary.
pub fn summarised(chat: &mut Chat) {
    play(
        chat,
        &[
            ("dos perros calientes", &["2 × Perro Caliente: $ 20.000"]),
            ("listo", &["1. Domicilio ($ 5.000)", "2. Recoger"]),
            ("domicilio", &["¿A qué dirección"]),
            ("Calle 10 # 20-30 apto 301", &["este mismo número, 300 111 2233"]),
            ("sí", &["1. efectivo", "2. Nequi"]),
            (
                "efectivo",
                &["Subtotal: $ 20.000", "Domicilio: $ 5.000", "*Total: $ 25.000*", "Calle 10 # 20-30 apto 301"],
            ),
        ],
    );
    assert_eq!(chat.talk.phase(), &Phase::Confirming);
}

#[test]
fn an_order_is_placed_with_what_was_shown() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("sí, confirmo", &["confirmado por $ 25.000", "30 a 45 minutos"])]);
    let [order] = &chat.orders[..] else { panic!() };
    assert_eq!(
        (order.subtotal, order.delivery_cost, order.total),
        (Money::new(20_000), Money::new(5_000), Money::new(25_000))
    );
    assert_eq!((order.id.len(), order.tracking_token.len(), order.customer.as_str()), (6, 12, "Ana"));
    assert!(order.id.chars().chain(order.tracking_token.chars()).all(|c| c.is_ascii_hexdigit()));
    assert_eq!(order.contact_phone.as_deref(), Some("573001112233"));
    assert_eq!(order.payment_method, Some(PaymentMethod::Efectivo));
    assert_eq!(order.payment_status, PaymentStatus::Cash);
    assert_eq!(order.lines[0].price, Money::new(10_000));
    let address = "Calle 10 # 20-30 apto 301".to_owned();
    assert_eq!(order.destination, Destination::Delivery { address, location: None });
    // One confirmation, one order: who confirms again is told that it is in.
    let number = format!("*#{}*: confirmado, en espera de la cocina", order.id);
    play(
        &mut chat,
        &[("sí", &[number.as_str(), "!¡Gracias"]), ("dale", &["!*#"]), ("sí, confirmo", &[number.as_str()])],
    );
    assert_eq!(chat.orders.len(), 1);
    assert!(chat.basket().is_empty());
    chat.moved(OrderStage::Entregado);
    play(&mut chat, &[("sí", &["!*#"])]);
    assert_eq!(chat.orders.len(), 1);
}

#[test]
fn what_is_ordered_is_told_before_the_confirmation_and_after_it() {
    let mut chat = Chat::new();
    play(&mut chat, &[("qué pedí?", &["Todavía no tiene nada"]), ("dos perros calientes", &[])]);
    play(&mut chat, &[("qué llevo?", &["Le anoté", "2 × Perro Caliente"]), ("recoger", &["número"])]);
    // A question that stands is asked again.
    play(&mut chat, &[("cuál es mi pedido", &["2 × Perro Caliente", "número"]), ("sí", &["pagar"])]);
    play(
        &mut chat,
        &[("qué pedí", &["2 × Perro", "pagar"]), ("efectivo", &["Total"]), ("qué pedí?", &["¿Confirmamos"])],
    );
    play(&mut chat, &[("sí", &["confirmado"])]);
    let last = format!("*#{}*: confirmado, en espera de la cocina.\n2 × Perro Caliente", chat.orders[0].id);
    for said in ["qué pedí?", "que pedi", "cuál es mi pedido?", "ver pedido"] {
        play(&mut chat, &[(said, &[last.as_str(), "Total: $ 20.000"])]);
    }
    chat.moved(OrderStage::Cocinando);
    play(&mut chat, &[("qué pedí?", &["en preparación", "2 × Perro Caliente"])]);
    assert_eq!(chat.orders.len(), 1);
}

#[test]
fn a_price_that_changed_is_shown_before_it_is_confirmed() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    chat.item("perro", |item| item.price = Money::new(12_000));
    play(
        &mut chat,
        &[("sí", &["Perro Caliente ahora vale $ 12.000 (antes $ 10.000)", "*Total: $ 29.000*", "!confirmado"])],
    );
    assert!(chat.orders.is_empty());
    play(&mut chat, &[("sí", &["confirmado por $ 29.000"])]);
    assert_eq!(chat.orders[0].total, Money::new(29_000));
    // The delivery's price as well.
    let mut chat = Chat::new();
    summarised(&mut chat);
    chat.restaurant.settings.delivery_cost.as_mut().unwrap().cost = Money::new(8_000);
    play(&mut chat, &[("sí", &["El domicilio ahora vale $ 8.000", "*Total: $ 28.000*"])]);
    assert!(chat.orders.is_empty());
}

#[test]
fn what_was_sold_out_meanwhile_is_told_and_asked_again() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("un perro caliente y una salchipapa para la calle 10 # 20-30, en efectivo", &[]),
            ("sí", &["*Total: $ 27.000*"]),
        ],
    );
    chat.item("perro", |item| item.available = false);
    play(&mut chat, &[("sí", &["no tenemos Perro Caliente", "le faltan $ 3.000", "!confirmado"])]);
    assert_eq!(chat.basket(), lines(&[("salchi", 1)]));
    play(&mut chat, &[("y otra salchipapa", &["2 × Salchipapa"]), ("listo", &["*Total: $ 29.000*"])]);
    // Gone from the menu altogether.
    chat.change_menu(|menu| menu.items.retain(|item| item.id != "salchi"));
    play(&mut chat, &[("sí", &["ya no está en la carta", "!confirmado"])]);
    assert!(chat.orders.is_empty() && chat.basket().is_empty());
}

#[test]
fn a_change_beside_the_yes_is_shown_first() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    let reply = chat.say_all(&["sí", "ah y una limonada de coco"]);
    assert!(reply.contains("*Total: $ 34.000*") && chat.orders.is_empty(), "{reply}");
    let reply = chat.say("sí, pero a la carrera 7 # 8-90");
    assert!(reply.contains("Entrega: carrera 7 # 8-90") && chat.orders.is_empty(), "{reply}");
    let reply = chat.say_all(&["sí", "no, espere"]);
    assert!(chat.orders.is_empty(), "{reply}");
    play(
        &mut chat,
        &[
            ("listo", &["*Total: $ 34.000*"]),
            ("nequi", &["Pago: Nequi"]),
            ("sí", &["confirmado", "por Nequi", "comprobante"]),
        ],
    );
    assert_eq!(chat.orders[0].payment_status, PaymentStatus::Pending);
    assert_eq!(chat.orders[0].payment_method, Some(PaymentMethod::Nequi));
}

#[test]
fn words_beside_the_yes_reach_the_kitchen() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(
        &mut chat,
        &[
            ("el timbre no sirve", &["¿Lo anoto", "«el timbre no sirve»"]),
            ("sí", &["Observaciones: el timbre no sirve"]),
            ("nota: dejar en portería", &["Observaciones: dejar en portería"]),
        ],
    );
    play(&mut chat, &[("si. cuando llegue me llama que el perro muerde", &[])]);
    if chat.orders.is_empty() {
        play(&mut chat, &[("sí", &["confirmado"])]);
    }
    assert!(chat.orders[0].comment.starts_with("dejar en portería"), "{}", chat.orders[0].comment);
}

#[test]
fn the_minimum_holds_for_deliveries_only() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            (
                "una limonada de coco a la calle 10 # 20-30",
                &["mínimo a domicilio es de $ 15.000", "le faltan $ 6.000", "recoger"],
            ),
            ("recoger", &["este mismo número"]),
            ("sí", &["efectivo"]),
            ("1", &["Para recoger en el restaurante", "*Total: $ 9.000*", "!Domicilio"]),
            ("sí", &["confirmado"]),
        ],
    );
    assert_eq!(chat.orders[0].destination, Destination::PickUp);
}

#[test]
fn delivery_is_free_from_its_minimum_on() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("dos pollos asados enteros y una salchipapa a la calle 10 # 20-30, efectivo", &[]),
            ("sí", &["Domicilio: gratis", "*Total: $ 88.000*"]),
        ],
    );
}

#[test]
fn a_shared_location_is_an_address() {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &[]), ("1", &["comparta su ubicación"])]);
    let place = Utterance::Location { latitude: 6.25, longitude: -75.56, name: "Parque *Lleras*".into() };
    let reply = chat.hear(vec![("l1", place)]);
    assert!(reply.contains("este mismo número"), "{reply}");
    play(&mut chat, &[("sí", &[]), ("efectivo", &["Entrega: Parque Lleras"]), ("sí", &["confirmado"])]);
    let expected = Destination::Delivery { address: "Parque Lleras".into(), location: Some((6.25, -75.56)) };
    assert_eq!(chat.orders[0].destination, expected);
    // Nowhere on earth.
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &[]), ("1", &[])]);
    chat.hear(vec![("l1", Utterance::Location { latitude: f64::NAN, longitude: 0.0, name: String::new() })]);
    assert!(matches!(chat.talk.phase(), Phase::Address { .. }));
}

#[test]
fn addresses_and_phones_are_asked_until_they_serve() {
    let mut chat = Chat::new();
    chat.customer.phone = None;
    play(
        &mut chat,
        &[
            ("dos perros calientes", &[]),
            ("listo", &[]),
            ("domicilio", &["¿A qué dirección"]),
            ("por ahí cerquita", &["dirección completa"]),
            ("tienen brownie?", &["no tenemos Brownie", "¿A qué dirección"]),
            ("al lado de la iglesia, casa verde", &["¿A qué número"]),
            ("12", &["Ese número no me sirve"]),
            ("300 123 4567", &["¿Cómo desea pagar?"]),
            ("tarjeta", &["no recibimos tarjeta", "1. efectivo"]),
            ("1", &["Entrega: al lado de la iglesia, casa verde", "300 123 4567"]),
        ],
    );
}

#[test]
fn the_address_of_last_time_is_offered() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(
        &mut chat,
        &[
            ("sí", &["confirmado"]),
            ("una salchipapa familiar", &[]),
            ("listo", &[]),
            ("a domicilio", &["¿Se lo llevamos a *Calle 10 # 20-30 apto 301*?"]),
            ("sí", &["este mismo número"]),
        ],
    );
}

#[test]
fn only_what_the_restaurant_offers_is_asked() {
    let mut chat = Chat::with(RestaurantSettings {
        payment_methods: Default::default(),
        prepay_methods: Default::default(),
        pick_up: false,
        ask_contact_phone: false,
        delivery_cost: None,
        ..settings()
    });
    play(
        &mut chat,
        &[
            ("dos perros calientes", &[]),
            ("listo", &["¿A qué dirección"]),
            ("recoger", &["Solo entregamos"]),
            ("Calle 10 # 20-30", &["*Total: $ 20.000*", "!Pago"]),
        ],
    );
    let mut chat = Chat::with(RestaurantSettings { delivers: false, ..settings() });
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("listo", &["este mismo número"]), ("sí", &[]), ("1", &["Para recoger"])],
    );
}

#[test]
fn the_kitchen_moves_an_order_and_the_customer_hears_of_it() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("sí", &["confirmado"]), ("cómo va mi pedido?", &["en espera de la cocina"])]);
    assert!(chat.moved(OrderStage::Cocinando).contains("en la cocina"));
    assert!(matches!(chat.effects[..], [Effect::Notice(_)]));
    assert_eq!(chat.moved(OrderStage::Cocinando), "", "one step, one notice");
    play(&mut chat, &[("estado", &["en preparación"]), ("cancelar pedido", &["no alcanzo a cancelarlo"])]);
    assert!(!chat.effects.iter().any(|effect| matches!(effect, Effect::Cancel { .. })));
    assert!(chat.moved(OrderStage::Listo).contains("va para su dirección"));
    assert!(chat.moved(OrderStage::Entregado).contains("entregado"));
    // A notice that the owner left empty is not sent.
    let mut chat = Chat::new();
    chat.restaurant.settings.texts.insert("notice_cooking".into(), String::new());
    summarised(&mut chat);
    play(&mut chat, &[("sí", &[])]);
    assert_eq!(chat.moved(OrderStage::Cocinando), "");
}

#[test]
fn an_order_is_cancelled_until_the_kitchen_starts() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(
        &mut chat,
        &[
            ("sí", &["confirmado"]),
            ("cancelar", &["¿Cancelo su pedido"]),
            ("no", &["sigue en pie"]),
            ("quiero cancelar el pedido", &["¿Cancelo"]),
            ("sí", &["cancelé su pedido"]),
        ],
    );
    let id = chat.orders[0].id.clone();
    assert_eq!(chat.effects[0], Effect::Cancel { order: id.clone() });
    assert_eq!(chat.moved(OrderStage::Cancelado), "", "told already");
    play(&mut chat, &[("cancelar", &["ningún pedido por cancelar"])]);
    // A kitchen that was faster.
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("sí", &[]), ("cancelar", &[]), ("sí", &["cancelé"])]);
    assert!(chat.moved(OrderStage::Cocinando).contains("no alcanzo"));
    // And one that was faster than the answer.
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("sí", &[]), ("cancelar", &["¿Cancelo"])]);
    assert!(chat.moved(OrderStage::Cocinando).contains("en la cocina"));
    play(&mut chat, &[("sí", &["no alcanzo a cancelarlo"])]);
}

#[test]
fn several_open_orders_are_told_apart() {
    let mut chat = Chat::new();
    for dish in ["dos perros calientes", "una salchipapa familiar"] {
        play(&mut chat, &[(dish, &[]), ("recoger", &[]), ("sí", &[]), ("efectivo", &[]), ("sí", &["confirmado"])]);
    }
    let ids: Vec<String> = chat.orders.iter().map(|order| order.id.clone()).collect();
    assert_ne!(ids[0], ids[1]);
    play(
        &mut chat,
        &[("estado", &[&ids[0], &ids[1]]), ("cancelar", &["¿Cuál", &ids[0], &ids[1]]), ("1", &["cancelé", &ids[0]])],
    );
    let named = format!("cancelar pedido {}", ids[1]);
    play(&mut chat, &[(&named, &["cancelé", &ids[1]])]);
}

#[test]
fn the_quick_mode_takes_a_form() {
    let mut chat = Chat::with(RestaurantSettings { quick_order_mode: true, ..settings() });
    play(&mut chat, &[("hola", &["copie este formulario", "Nombre:\nDirección:\nTeléfono:\nPedido:\nPago:"])]);
    let form = "Nombre: Ana María\nDirección: Calle 10 # 20-30\nTeléfono: 3001234567\nPedido: dos perros calientes\nuna limonada de coco\nPago: efectivo";
    play(&mut chat, &[(form, &["2 × Perro Caliente", "Limonada de Coco", "*Total: $ 34.000*", "300 123 4567"])]);
    play(
        &mut chat,
        &[("editar", &["Nombre: Ana María", "Pedido: 2 × Perro Caliente, 1 × Limonada de Coco", "Pago: efectivo"])],
    );
    let again = form.replace("dos perros", "tres perros");
    play(&mut chat, &[(&again, &["3 × Perro Caliente", "*Total: $ 44.000*"]), ("sí", &["confirmado"])]);
    assert_eq!(chat.orders[0].customer, "Ana María");
    // A form with a gap is asked for the rest.
    let mut chat = Chat::with(RestaurantSettings { quick_order_mode: true, ..settings() });
    play(&mut chat, &[("Nombre: Ana\nPedido: dos perros calientes", &["1. Domicilio"]), ("cancelar", &["en blanco"])]);
}

#[test]
fn the_tracking_page_is_named_if_there_is_one() {
    let mut chat =
        Chat::with(RestaurantSettings { tracking_url: "https://example.com/t/{token}".into(), ..settings() });
    summarised(&mut chat);
    let reply = chat.say("sí");
    assert!(reply.contains(&format!("https://example.com/t/{}", chat.orders[0].tracking_token)), "{reply}");
}

#[test]
fn who_pays_beforehand_gets_the_link_of_the_order() {
    let link = "https://pay.example.com/?ref={order}&amount={total}&t={token}";
    let mut chat = Chat::with(RestaurantSettings { payment_link: link.into(), ..settings() });
    summarised(&mut chat);
    play(&mut chat, &[("nequi", &["Pago: Nequi"])]);
    let reply = chat.say("sí");
    let order = &chat.orders[0];
    let (id, total, token) = (&order.id, order.total.amount(), &order.tracking_token);
    assert!(
        reply.contains(&format!("\nPague aquí: https://pay.example.com/?ref={id}&amount={total}&t={token}")),
        "{reply}"
    );
    // At the door nobody pays before.
    let mut chat = Chat::with(RestaurantSettings { payment_link: link.into(), ..settings() });
    summarised(&mut chat);
    let reply = chat.say("sí");
    assert!(reply.contains("confirmado") && !reply.contains("pay.example.com"), "{reply}");
}

/// `ese mismo` is no other dish.
#[test]
fn the_same_phone_is_no_dish_once_more() {
    for yes in ["sí ese mismo", "ese mismo", "el mismo", "sí, a este mismo número"] {
        let mut chat = Chat::new();
        play(&mut chat, &[("dos perros calientes", &[]), ("recoger", &["este mismo número"]), (yes, &["1. efectivo"])]);
        assert_eq!(chat.basket(), lines(&[("perro", 2)]), "{yes}");
    }
}

#[test]
fn the_place_and_the_time_are_told() {
    let mut chat = Chat::with(RestaurantSettings { address: "Calle 72 # 10-34".into(), ..settings() });
    play(
        &mut chat,
        &[
            ("dónde están ubicados?", &["Estamos en Calle 72 # 10-34"]),
            ("cuánto se demora?", &["30 a 45 minutos"]),
            ("qué me recomienda?", &["1. Pollo Asado Entero"]),
        ],
    );
}
