//! Orders that an interruption parked, and words behind a confirmation: nothing is lost, and nothing begins in silence.

use super::{
    Chat,
    ordering::{lines, play},
    settings,
};
use crate::bot::{conversation::Phase, order::OrderStage, payment::PaymentMethod, restaurant::RestaurantSettings};

/// Two hot dogs, half an hour of silence, and a greeting.
pub(super) fn parked() -> Chat {
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &["2 × Perro"])]);
    chat.pass(40);
    play(&mut chat, &[("hola", &["¿Seguimos", "2 × Perro"])]);
    chat
}

/// Two hot dogs, confirmed.
pub(super) fn placed() -> Chat {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes, calle 10 # 20-30, efectivo", &[]), ("sí", &["Total"]), ("sí", &["confirmado"])],
    );
    chat
}

#[test]
fn a_parked_order_is_never_lost() {
    // Whatever else is said is answered, and the question stands.
    for (said, fact) in [
        ("cuánto vale la limonada?", "Limonada de Coco"),
        ("pues no sé", "¿Seguimos"),
        ("asdf qwer", "¿Seguimos"),
        ("menú", "*Pollos*"),
        ("calle 10 # 20-30", "¿Seguimos"),
        ("pago en efectivo", "¿Seguimos"),
        ("listo", "¿Seguimos"),
        ("editar", "¿Seguimos"),
        ("a qué hora cierran?", "¿Seguimos"),
        ("gracias", "¿Seguimos"),
    ] {
        let mut chat = parked();
        play(&mut chat, &[(said, &[fact, "¿Seguimos"]), ("sí", &["1. 2 × Perro Caliente"])]);
        assert_eq!(chat.basket(), lines(&[("perro", 2)]), "{said}");
    }
    for said in ["dale sigamos", "continuar", "sí, con ese", "sigamos con el anterior"] {
        play(&mut parked(), &[(said, &["1. 2 × Perro Caliente"])]);
    }
    // A yes with more behind it.
    for (said, facts) in [
        ("sí, y una colombiana", ["2 × Perro Caliente", "1 × Colombiana"]),
        ("sí pero sin cebolla", ["2 × Perro Caliente (sin cebolla)", "Subtotal"]),
        ("dale, agréguele una salchipapa", ["2 × Perro Caliente", "1 × Salchipapa"]),
        ("claro que sí, pero que sean 3", ["3 × Perro Caliente", "Subtotal"]),
    ] {
        let mut chat = parked();
        play(&mut chat, &[(said, &facts), ("listo", &["1. Domicilio"])]);
    }
    for said in ["uno nuevo", "empecemos otro", "no, otro pedido"] {
        let mut chat = parked();
        play(&mut chat, &[(said, &["descartado"])]);
    }
    // A customer who orders on is asked again before the order is closed.
    let mut chat = parked();
    play(
        &mut chat,
        &[
            ("una colombiana", &["1 × Colombiana", "!¿Seguimos"]),
            ("listo", &["¿Seguimos", "2 × Perro"]),
            ("sí", &["2 × Perro", "1 × Colombiana"]),
            ("listo", &["1. Domicilio"]),
        ],
    );
    let mut chat = parked();
    play(&mut chat, &[("una colombiana", &[]), ("listo", &["¿Seguimos"]), ("no", &["Colombiana", "!Perro"])]);
    play(&mut chat, &[("listo", &["1. Domicilio"])]);
    // Nor behind a question about a dish, or a human.
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[])]);
    chat.pass(40);
    play(&mut chat, &[("una coca", &["¿Cuál"]), ("la 1", &["Coca-Cola 400"]), ("listo", &["¿Seguimos", "2 × Perro"])]);
    let mut chat = parked();
    play(&mut chat, &[("quiero hablar con una persona", &["persona"])]);
    chat.pass(300);
    play(&mut chat, &[("hola", &["¿Seguimos", "2 × Perro"])]);
}

#[test]
fn an_order_that_is_under_way_is_told_of() {
    for said in [
        "cómo va?",
        "cómo va eso",
        "y mi pedido?",
        "cuánto se demora?",
        "ya está?",
        "y entonces?",
        "por donde viene?",
        "ya casi?",
        "qué pasó?",
        "hola, cómo va eso",
    ] {
        play(&mut placed(), &[(said, &["en espera de la cocina", "!menú"])]);
    }
    // Without one, it is a greeting.
    play(&mut Chat::new(), &[("hola cómo va?", &["Le damos la bienvenida"])]);
}

#[test]
fn a_change_behind_the_confirmation_begins_no_second_order() {
    for said in [
        "cambia a 3 perros calientes",
        "mejor que sean 3 perros calientes",
        "que sean 3",
        "agrégale una colombiana",
        "también quiero una colombiana",
        "una colombiana más",
        "otra colombiana",
        "cámbiame los perros por una salchipapa",
        "quítele un perro",
        "ya no quiero los perros",
        "editar",
        "quiero editar el pedido",
    ] {
        let mut chat = placed();
        play(&mut chat, &[(said, &["ya está confirmado", "cancelar pedido"])]);
        assert!(chat.called_owner() && chat.basket().is_empty() && *chat.talk.phase() == Phase::Idle, "{said}");
        // The kitchen has begun: it is not offered any more.
        let mut chat = placed();
        chat.moved(OrderStage::Cocinando);
        play(&mut chat, &[(said, &["ya está confirmado", "!cancelar pedido"])]);
        assert!(chat.basket().is_empty(), "{said}");
    }
    // A new order is called one.
    let mut chat = placed();
    play(&mut chat, &[("una salchipapa", &["un pedido nuevo", "1 × Salchipapa"]), ("y una arepa", &["!pedido nuevo"])]);
}

#[test]
fn two_ways_to_pay_are_asked_about() {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("dos perros calientes, calle 10 # 20-30", &[]),
            ("sí", &["¿Cómo desea pagar?"]),
            ("mitad efectivo y mitad nequi", &["una forma de pago", "¿Cómo desea pagar?"]),
            ("nequi", &["Pago: Nequi"]),
            ("efectivo y nequi", &["una forma de pago", "¿Cómo desea pagar?"]),
            ("1", &["Pago: efectivo"]),
            ("sí", &["confirmado"]),
        ],
    );
    assert_eq!(chat.orders[0].payment_method, Some(PaymentMethod::Efectivo));
}

#[test]
fn the_form_is_edited() {
    let quick = || Chat::with(RestaurantSettings { quick_order_mode: true, ..settings() });
    let form = |order: &str| {
        format!("Nombre: Ana\nDirección: calle 10 # 20-30\nTeléfono: 3001112233\nPedido: {order}\nPago: efectivo")
    };
    let mut chat = quick();
    play(&mut chat, &[("hola", &["Pedido:"]), (&form("dos perros calientes sin cebolla"), &["Total"])]);
    let again = chat.say("editar");
    let filled = again.split("\n---\n").last().unwrap();
    assert!(filled.contains("Pedido: 2 × Perro Caliente (sin cebolla)"), "{again}");
    // As it was sent, and with another number.
    play(&mut chat, &[(filled, &["1. 2 × Perro Caliente (sin cebolla)", "*Total: $ 25.000*"])]);
    chat.say("editar");
    play(&mut chat, &[(&filled.replace("2 ×", "3 ×"), &["1. 3 × Perro Caliente (sin cebolla)", "*Total: $ 35.000*"])]);
    // By words.
    chat.say("editar");
    play(&mut chat, &[("que sean cuatro", &["4 × Perro"]), ("listo", &["*Total: $ 45.000*"]), ("sí", &["confirmado"])]);
    // With nothing noted, the form comes again; with a question open, the question.
    let mut chat = quick();
    play(
        &mut chat,
        &[("hola", &[]), ("editar", &["Pedido:"]), (&form("una coca"), &["¿Cuál"]), ("editar", &["¿Cuál"])],
    );
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("quiero cambiar algo", &["Dígame qué cambiamos"])]);
}
