//! Messages that are edited or deleted, and texts that somebody tries.

use super::{Chat, ordering::lines};
use crate::bot::{
    conversation::{ConversationState, Input, Moment, Utterance, try_text},
    intent::Intent,
};

fn hear(chat: &mut Chat, id: &str, text: &str) -> String {
    chat.pass(1);
    chat.hear(vec![(id, Utterance::Text(text.to_owned()))])
}

fn edit(chat: &mut Chat, id: &str, text: &str) -> String {
    chat.input(Input::Edited { id: id.to_owned(), text: text.to_owned() })
}

#[test]
fn an_edited_message_changes_the_basket_and_later_ones_hold() {
    let mut chat = Chat::new();
    hear(&mut chat, "a", "dos perros calientes");
    hear(&mut chat, "b", "y una limonada de coco");
    let reply = edit(&mut chat, "a", "tres perros calientes");
    assert!(reply.contains("3 × Perro Caliente") && reply.contains("Limonada de Coco"), "{reply}");
    assert_eq!(chat.basket(), lines(&[("perro", 3), ("limonada-coco", 1)]));
    let reply = chat.input(Input::Revoked { id: "b".into() });
    assert!(!reply.contains("Limonada"), "{reply}");
    assert_eq!(chat.basket(), lines(&[("perro", 3)]));
    // Nothing but another spelling.
    assert_eq!(edit(&mut chat, "a", "tres perros calientes!"), "");
    // A greeting that becomes an order.
    hear(&mut chat, "c", "hola");
    assert!(edit(&mut chat, "c", "y una salchipapa").contains("1 × Salchipapa"));
    assert!(edit(&mut chat, "zzz", "un pollo").contains("qué cambio"));
}

#[test]
fn an_edit_takes_the_summary_back() {
    let mut chat = Chat::new();
    hear(&mut chat, "a", "dos perros calientes");
    hear(&mut chat, "b", "a la calle 10 # 20-30, efectivo");
    assert!(hear(&mut chat, "c", "sí").contains("*Total: $ 25.000*"));
    let reply = edit(&mut chat, "a", "cuatro perros calientes");
    assert!(reply.contains("*Total: $ 45.000*"), "{reply}");
    let reply = edit(&mut chat, "b", "a la carrera 7 # 8-90, efectivo");
    assert!(reply.contains("carrera 7 # 8-90"), "{reply}");
    assert!(hear(&mut chat, "d", "sí").contains("confirmado por $ 45.000"));
    // Behind the confirmation it is too late, and said so.
    assert!(edit(&mut chat, "a", "un perro caliente").contains("ya es parte de su pedido"));
    assert_eq!(chat.orders.len(), 1);
}

#[test]
fn deleting_the_only_message_leaves_no_order() {
    let mut chat = Chat::new();
    hear(&mut chat, "a", "dos perros calientes");
    assert!(chat.input(Input::Revoked { id: "a".into() }).contains("Todavía no tiene nada"));
    assert!(chat.basket().is_empty());
    // A choice is read again with its question.
    hear(&mut chat, "b", "una hamburguesa");
    hear(&mut chat, "c", "la 2");
    edit(&mut chat, "c", "la 3");
    assert_eq!(chat.basket(), lines(&[("hamb-pollo", 1)]));
}

#[test]
fn a_text_is_tried_without_a_customer() {
    let mut chat = Chat::new();
    // Closed and switched off: the owner tries all the same.
    chat.restaurant.settings.active = false;
    let moment = Moment { now: chat.now, chance: [7; 16], told_at: None };
    let tried = try_text(
        &chat.restaurant,
        ConversationState::default(),
        "dos hamburguesas sencillas y un sushi a la calle 10 # 20-30, pago por nequi",
        moment,
    );
    assert_eq!((tried.intent, tried.cart.len(), tried.cart[0].qty), (Intent::Order, 1, 2));
    assert_eq!(tried.unknown, ["sushi"]);
    assert!(tried.address.as_deref().is_some_and(|address| address.contains("10 # 20-30")));
    assert!(tried.replies[0].contains("2 × Hamburguesa Sencilla"), "{:?}", tried.replies);
    let json = serde_json::to_value(&tried).unwrap();
    let mut keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["address", "ambiguous", "cart", "conversation", "intent", "payment", "replies", "unknown"]);
    assert_eq!(json["cart"][0]["item"], "hamb");
    assert_eq!(json["cart"][0]["note"], serde_json::json!([]));
    // It goes on with what it gave back.
    let conversation: ConversationState = serde_json::from_value(json["conversation"].clone()).unwrap();
    let tried = try_text(&chat.restaurant, conversation, "una cerveza", moment);
    assert_eq!((tried.cart.len(), tried.ambiguous.len()), (1, 1));
    assert!(tried.replies[0].contains("Póker"));
}
