//! Dialogues that a stranger played and that went wrong: corrections, waiting words, receipts, words beside the matter.

use jiff::SignedDuration;

use super::{
    Chat,
    ordering::{lines, play},
};
use crate::bot::conversation::{Phase, Utterance};

/// Two hot dogs for delivery, up to the summary.
fn at_summary() -> Chat {
    let mut chat = Chat::new();
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
    assert_eq!(chat.talk.phase(), &Phase::Confirming);
    chat
}

#[test]
fn a_yes_from_before_the_summary_confirms_nothing() {
    let mut chat = at_summary();
    // Taken before the summary was made, heard after it.
    chat.said_at = Some(chat.now - SignedDuration::from_secs(5));
    play(&mut chat, &[("sí", &["Resumen", "*Total: $ 25.000*"])]);
    assert!(chat.orders.is_empty());
    // The summary waits in the outbox.
    chat.said_at = None;
    chat.told_at = Some(jiff::Timestamp::MAX);
    play(&mut chat, &[("sí", &["*Total: $ 25.000*"])]);
    assert!(chat.orders.is_empty());
    // It left late.
    chat.told_at = Some(chat.now + SignedDuration::from_mins(5));
    play(&mut chat, &[("sí", &["*Total: $ 25.000*"])]);
    assert!(chat.orders.is_empty());
    chat.pass(10);
    chat.said_at = None;
    play(&mut chat, &[("sí", &["confirmado por $ 25.000"])]);
    assert_eq!(chat.orders.len(), 1);
}

/// The obstacles to the order are as they were.
fn unchanged(chat: &Chat) {
    assert_eq!(chat.basket(), lines(&[("perro", 2)]));
    assert!(chat.orders.is_empty() && !chat.called_owner());
}

#[test]
fn the_same_one_is_no_yes_to_a_summary_or_a_cancelling() {
    for said in ["este mismo", "el mismo", "la misma", "ese", "la misma dirección"] {
        let mut chat = at_summary();
        play(&mut chat, &[(said, &["¿Confirmamos el pedido?", "!confirmado"])]);
        unchanged(&chat);
        play(&mut chat, &[("sí", &["confirmado"]), ("cancelar", &["¿Cancelo"]), (said, &["¿Cancelo", "!cancelé"])]);
        play(&mut chat, &[("sí", &["cancelé"])]);
    }
    // To an offer it is.
    let mut chat = at_summary();
    play(
        &mut chat,
        &[("sí", &[]), ("dos perros calientes", &[]), ("a domicilio", &["Calle 10"]), ("la misma", &["mismo número"])],
    );
    play(&mut chat, &[("este mismo", &["¿Cómo desea pagar?"])]);
}

#[test]
fn an_order_above_its_labels_is_not_lost() {
    for said in [
        "2 perros calientes y una colombiana\nDirección: Calle 10 # 20-30\nTeléfono: 3001112233",
        "Dirección: Calle 10 # 20-30\nTeléfono: 3001112233\n2 perros calientes y una colombiana",
        "Buenas tardes\n2 perros calientes y una colombiana\nNombre: Ana\nDirección: Calle 10 # 20-30\nCel: 3001112233",
    ] {
        let mut chat = Chat::new();
        play(&mut chat, &[(said, &["2 × Perro Caliente", "1 × Colombiana", "¿Cómo desea pagar?"])]);
        play(&mut chat, &[("efectivo", &["Entrega: Calle 10 # 20-30", "300 111 2233"])]);
    }
}

#[test]
fn chatter_is_no_address() {
    let chatter = [
        ("ya se la mando por favor", "pendiente"),
        ("espere le pregunto a mi esposa", "pendiente"),
        ("a nombre de Juan Perez", "¿A qué dirección"),
        ("llegan hasta suba compartir", "llevamos a domicilio"),
        ("efectivo", "¿A qué dirección"),
        ("que rico todo eso", "dirección completa"),
    ];
    for (said, fact) in chatter {
        let mut chat = Chat::new();
        play(
            &mut chat,
            &[("dos perros calientes", &[]), ("domicilio", &["¿A qué"]), ("por ahí cerquita", &["dirección completa"])],
        );
        play(&mut chat, &[(said, &[fact])]);
        assert!(matches!(chat.talk.phase(), Phase::Address { .. }), "{said}");
        play(&mut chat, &[("Calle 10 # 20-30", &["número"]), ("sí", &[])]);
    }
    // Words said by the way are kept.
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("domicilio", &[]), ("efectivo", &[]), ("a nombre de Juan Perez", &[])],
    );
    play(&mut chat, &[("Calle 10 # 20-30", &[]), ("sí", &["Pago: efectivo"]), ("sí", &["¡Gracias, Juan Perez!"])]);
    assert_eq!(chat.orders[0].customer, "Juan Perez");
    // A place without a number is one that a courier may find; for anything else comes a human.
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[("dos perros calientes", &[]), ("domicilio", &[]), ("por ahí cerquita", &["dirección completa"])],
    );
    play(&mut chat, &[("al lado de la iglesia de suba", &["número"])]);
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("domicilio", &[])]);
    play(
        &mut chat,
        &[
            ("por ahí cerquita", &["dirección completa"]),
            ("donde siempre pues", &["dirección completa"]),
            ("donde usted sabe", &["Ya le aviso"]),
        ],
    );
    assert!(chat.called_owner());
}

#[test]
fn a_correction_of_the_address_changes_no_quantity() {
    for (said, address) in [
        ("perdón es apto 501", "Calle 10 # 20-30 apto 501"),
        ("perdon, apto 202 no 4", "Calle 10 # 20-30 apto 202"),
        ("mejor a la torre 3", "Calle 10 # 20-30 apto 4, torre 3"),
        ("casa 7", "Calle 10 # 20-30 apto 4, casa 7"),
        ("es el apto 501", "Calle 10 # 20-30 apto 501"),
    ] {
        let mut chat = at_summary();
        play(&mut chat, &[(said, &[&format!("Entrega: {address}\n"), "2 × Perro", "!Observaciones"])]);
        unchanged(&chat);
    }
    for said in ["el 4", "1", "500", "es el 3"] {
        let mut chat = at_summary();
        play(&mut chat, &[(said, &["¿Confirmamos"])]);
        unchanged(&chat);
    }
    // A quantity is one all the same.
    play(&mut at_summary(), &[("que sean tres", &["3 × Perro"])]);
    // At the questions before.
    let mut chat = Chat::new();
    play(&mut chat, &[("dos perros calientes", &[]), ("listo", &[]), ("Calle 10 # 20-30 apto 4", &["número"])]);
    play(&mut chat, &[("perdón, apto 5", &["número"]), ("sí", &["pagar"]), ("7", &["pagar"]), ("torre 2", &["pagar"])]);
    play(&mut chat, &[("1", &["Entrega: Calle 10 # 20-30 apto 5, torre 2", "2 × Perro"])]);
}

#[test]
fn a_correction_after_the_order_is_passed_on() {
    for said in [
        "perdón, la dirección es Calle 11 # 22-33",
        "perdón, es apto 501",
        "me cambia la dirección",
        "ah y me agrega una coca 400",
        "mejor pago por nequi",
    ] {
        let mut chat = at_summary();
        play(&mut chat, &[("sí", &["confirmado"]), (said, &["ya está confirmado", "hablar con alguien", "!mínimo"])]);
        assert!(chat.called_owner(), "{said}");
        assert!(chat.basket().is_empty());
        // The next order has the address that was confirmed.
        play(&mut chat, &[("dos perros calientes", &[]), ("a domicilio", &["*Calle 10 # 20-30 apto 4*"])]);
    }
    for said in
        ["quíteme la cebolla", "que sea sin cebolla", "y una limonada natural", "mejor paso a recogerlo", "ya pagué"]
    {
        let mut chat = at_summary();
        play(&mut chat, &[("sí", &["confirmado"]), (said, &["ya está confirmado"])]);
        assert!(chat.called_owner() && chat.basket().is_empty(), "{said}");
    }
    let mut chat = at_summary();
    play(&mut chat, &[("sí", &["confirmado"])]);
    let place = Utterance::Location { latitude: 4.6, longitude: -74.0, name: String::new() };
    let reply = chat.hear(vec![("l", place)]);
    assert!(reply.contains("ya está confirmado") && chat.called_owner(), "{reply}");
    // Thanks are thanks, and a question is answered.
    play(&mut chat, &[("gracias", &["Con mucho gusto"]), ("cuánto se demora?", &["en espera de la cocina"])]);
    // Another order is no correction.
    let mut chat = at_summary();
    play(&mut chat, &[("sí", &[]), ("quiero dos hamburguesas sencillas", &["2 × Hamburguesa"])]);
    assert!(!chat.called_owner());
}

#[test]
fn unknown_words_at_the_summary_are_asked_about() {
    for said in ["dale pero me cambia la dirección", "me equivoqué en algo", "no es esa la dirección"] {
        let mut chat = at_summary();
        play(&mut chat, &[(said, &["Dígame qué cambiamos", "!Observaciones"])]);
        unchanged(&chat);
    }
    for said in ["ahorita le confirmo", "espere un momento", "dale pero espere le pregunto a mi mamá"] {
        let mut chat = at_summary();
        play(&mut chat, &[(said, &["pendiente", "!Observaciones"])]);
        unchanged(&chat);
        play(&mut chat, &[("sí", &["confirmado"])]);
    }
    for said in ["jajaja", "ujum", "mmm"] {
        let mut chat = at_summary();
        play(&mut chat, &[(said, &["¿Confirmamos", "!Observaciones"])]);
        unchanged(&chat);
    }
    let mut chat = at_summary();
    play(&mut chat, &[("el timbre no sirve", &["¿Lo anoto", "«el timbre no sirve»"]), ("no", &["¿Confirmamos"])]);
    play(&mut chat, &[("el timbre no sirve", &["¿Lo anoto"]), ("sí", &["Observaciones: el timbre no sirve", "Total"])]);
    unchanged(&chat);
    play(&mut chat, &[("sí", &["confirmado"])]);
    assert_eq!(chat.orders[0].comment, "el timbre no sirve");
}

#[test]
fn a_receipt_is_seen_whatever_was_sent_before() {
    let placed = || {
        let mut chat = at_summary();
        play(&mut chat, &[("por nequi", &["Pago: Nequi"]), ("sí", &["comprobante"])]);
        chat
    };
    let mut chat = placed();
    chat.pass(1);
    chat.hear(vec![("v", Utterance::Voice)]);
    let reply = chat.hear(vec![("p", Utterance::Picture)]);
    assert!(reply.contains("revise su comprobante") && chat.called_owner(), "{reply}");
    let mut chat = placed();
    let reply = chat.hear(vec![("p", Utterance::Caption("listo, ahí está".into()))]);
    assert!(reply.contains("revise su comprobante") && chat.called_owner(), "{reply}");
    for said in ["ya pagué", "le envío el comprobante", "ya hice la transferencia"] {
        let mut chat = placed();
        play(&mut chat, &[(said, &["revise su comprobante"])]);
        assert!(chat.called_owner(), "{said}");
    }
    // A caption elsewhere is read as a text.
    let mut chat = Chat::new();
    let reply = chat.hear(vec![("p", Utterance::Caption("dos perros calientes".into()))]);
    assert!(reply.contains("2 × Perro Caliente") && !reply.contains("solo puedo leer"), "{reply}");
}

#[test]
fn a_quantity_beyond_all_measure_is_for_a_human() {
    for said in ["10000 hamburguesas sencillas", "501 perros calientes"] {
        let mut chat = Chat::new();
        play(&mut chat, &[(said, &["muy grande"])]);
        assert!(chat.called_owner() && chat.basket().is_empty(), "{said}");
    }
    let mut chat = Chat::new();
    chat.restaurant.settings.most_units = 50;
    play(&mut chat, &[("50 perros calientes", &["50 × Perro"]), ("60 perros calientes", &["muy grande"])]);
}
