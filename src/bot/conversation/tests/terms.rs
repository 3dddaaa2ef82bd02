//! Terms that the restaurant offers no longer when the customer says yes to the summary.

use super::{Chat, checkout::summarised, ordering::play};
use crate::bot::{conversation::Phase, order::Destination, payment::PaymentMethod};

#[test]
fn a_payment_that_is_taken_no_longer_is_asked_again_at_the_yes() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    chat.restaurant.settings.payment_methods = [PaymentMethod::Nequi, PaymentMethod::Tarjeta].into();
    play(&mut chat, &[("sí", &["no recibimos efectivo", "1. Nequi\n2. tarjeta", "!Total", "!confirmado"])]);
    assert!(chat.orders.is_empty() && chat.talk.phase() == &Phase::Payment);
    play(&mut chat, &[("2", &["Pago: tarjeta", "*Total: $ 25.000*"]), ("sí", &["confirmado por $ 25.000"])]);
    assert_eq!(chat.orders[0].payment_method, Some(PaymentMethod::Tarjeta));
    // One is left: nothing is to be asked, and it is shown before it counts.
    let mut chat = Chat::new();
    summarised(&mut chat);
    chat.restaurant.settings.payment_methods = [PaymentMethod::Nequi].into();
    play(&mut chat, &[("sí", &["no recibimos efectivo", "Pago: Nequi", "*Total: $ 25.000*", "!confirmado"])]);
    assert!(chat.orders.is_empty());
    play(&mut chat, &[("sí", &["confirmado por $ 25.000", "comprobante"])]);
    assert_eq!(chat.orders[0].payment_method, Some(PaymentMethod::Nequi));
}

#[test]
fn a_pick_up_that_is_offered_no_longer_is_told_at_the_yes() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("dos perros calientes", &[]),
            ("recoger", &[]),
            ("sí", &[]),
            ("efectivo", &["Para recoger", "*Total: $ 20.000*"]),
        ],
    );
    chat.restaurant.settings.pick_up = false;
    play(&mut chat, &[("sí", &["Solo entregamos a domicilio", "¿A qué dirección", "!Total", "!confirmado"])]);
    assert!(chat.orders.is_empty() && matches!(chat.talk.phase(), Phase::Address { .. }));
    play(
        &mut chat,
        &[
            ("Calle 10 # 20-30", &["Entrega: Calle 10 # 20-30", "*Total: $ 25.000*"]),
            ("sí", &["confirmado por $ 25.000"]),
        ],
    );
    assert!(matches!(chat.orders[0].destination, Destination::Delivery { .. }));
}

#[test]
fn a_delivery_that_is_offered_no_longer_is_told_at_the_yes() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    chat.restaurant.settings.delivers = false;
    chat.restaurant.settings.delivery_cost = None;
    play(
        &mut chat,
        &[("sí", &["No hacemos domicilios", "Para recoger", "*Total: $ 20.000*", "!ahora vale", "!confirmado"])],
    );
    assert!(chat.orders.is_empty() && chat.talk.phase() == &Phase::Confirming);
    play(&mut chat, &[("sí", &["confirmado por $ 20.000"])]);
    assert_eq!(chat.orders[0].destination, Destination::PickUp);
}

#[test]
fn an_order_beyond_the_limit_of_units_at_the_yes_is_for_a_human() {
    let mut chat = Chat::new();
    summarised(&mut chat);
    chat.restaurant.settings.most_units = 1;
    play(&mut chat, &[("sí", &["muy grande", "!Total", "!confirmado"])]);
    assert!(chat.called_owner() && chat.orders.is_empty());
    assert!(chat.talk.silence(chat.now).is_some());
    // Exactly as many are taken.
    let mut chat = Chat::new();
    summarised(&mut chat);
    chat.restaurant.settings.most_units = 2;
    play(&mut chat, &[("sí", &["confirmado por $ 25.000"])]);
}
