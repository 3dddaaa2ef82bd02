//! What the parser cannot read, and a language model beside it: right, wrong, late, and never believed without the customer's word.

use super::{
    Chat, menu,
    ordering::{lines, play},
    settings,
};
use crate::bot::{
    OrderState, Parser,
    conversation::{
        ConversationState, Effect, Input, MAX_RECORD_BYTES, Moment, Restaurant, SilenceCause, UnreadTurn,
        try_model_answer, try_text,
    },
    intent::Intent,
    language_model::ModelLine,
    restaurant::RestaurantSettings,
};

fn helped() -> RestaurantSettings {
    RestaurantSettings { language_model: true, ..settings() }
}

fn asked(chat: &Chat) -> Option<(String, String)> {
    chat.effects.iter().find_map(|effect| match effect {
        Effect::AskModel { ask, text } => Some((ask.clone(), text.clone())),
        _ => None,
    })
}

fn answer(lines: &[(&str, u32)]) -> Vec<ModelLine> {
    lines.iter().map(|(id, quantity)| ModelLine { id: (*id).to_owned(), quantity: *quantity }).collect()
}

/// The customer says something that is not read; what comes of the model's answer.
fn say(chat: &mut Chat, said: &str, lines: &[(&str, u32)]) -> String {
    assert_eq!(chat.say(said), "", "nothing is said while the model is asked");
    let (ask, _) = asked(chat).unwrap_or_else(|| panic!("{said} is read"));
    chat.input(Input::ModelAnswered { ask, lines: answer(lines) })
}

#[test]
fn what_the_model_reads_is_asked_about_and_ordered_by_a_yes_alone() {
    let mut chat = Chat::with(helped());
    let reply = say(&mut chat, "frobozz", &[("perro", 2), ("limonada", 1)]);
    assert!(reply.contains("¿Le anoto 2 × *Perro Caliente*?"), "{reply}");
    assert!(chat.basket().is_empty());
    play(&mut chat, &[("sí", &["1. 2 × Perro Caliente", "¿Le anoto 1 × *Limonada Natural*?"])]);
    play(&mut chat, &[("no", &["eso no lo anoto"])]);
    assert_eq!(chat.basket(), lines(&[("perro", 2)]));
    // The total is the menu's.
    play(&mut chat, &[("listo", &[]), ("paso a recogerlo", &[]), ("sí", &[]), ("efectivo", &["*Total: $"])]);
    // Another number than the model has read.
    let mut chat = Chat::with(helped());
    let reply = say(&mut chat, "quiero un sushi", &[("salchi", 7)]);
    assert!(reply.contains("¿Le anoto 7 × *Salchipapa*?"), "{reply}");
    play(&mut chat, &[("3", &["1. 3 × Salchipapa"])]);
    assert_eq!(chat.basket(), lines(&[("salchi", 3)]));
}

#[test]
fn what_is_read_and_what_is_no_dish_is_asked_of_nobody() {
    let mut chat = Chat::with(helped());
    for said in [
        "hola",
        "menú",
        "a qué hora abren?",
        "quiero hacer un pedido",
        "dos perros calientes",
        "quiero un sushi y una limonada natural",
        "gracias",
    ] {
        assert!(!chat.say(said).is_empty(), "{said}");
        assert_eq!(asked(&chat), None, "{said}");
    }
    // Addresses and what else the checkout asks for.
    chat.say("listo");
    for said in ["frobozz", "a domicilio", "al lado de quux"] {
        chat.say(said);
        assert_eq!(asked(&chat), None, "{said}");
    }
    let mut chat = Chat::new();
    play(&mut chat, &[("frobozz", &["no le entendí"])]);
    assert_eq!(asked(&chat), None, "no tenant's words leave the house unless it wants so");
}

#[test]
fn without_help_the_bot_says_what_it_would_have_said() {
    let (mut alone, mut chat) = (Chat::new(), Chat::with(helped()));
    let none: &[(&str, u32)] = &[];
    for (said, lines) in [("frobozz", none), ("quiero un sushi", &[("sushi", 1)][..])] {
        assert_eq!(say(&mut chat, said, lines), alone.say(said), "{said}");
    }
    for lines in [
        &[("perro", 0)][..],
        &[("perro", 100)],
        &[("perro", 1_000_000_000)],
        // Sold out.
        &[("brownie", 1)],
        &[("perro", 1), ("../menu", 1)],
        &[("perro", 1); 11],
    ] {
        let mut chat = Chat::with(helped());
        let reply = say(&mut chat, "frobozz", lines);
        assert!(reply.contains("no le entendí"), "{lines:?}: {reply}");
        assert_eq!(chat.talk.order, OrderState::default());
    }
    // More than the restaurant takes without a human.
    let mut chat = Chat::with(RestaurantSettings { most_units: 5, ..helped() });
    assert!(say(&mut chat, "frobozz", &[("perro", 6)]).contains("no le entendí"));
    // Who is not understood for the third time gets a human, and no model.
    let mut chat = Chat::with(helped());
    say(&mut chat, "xyzzy plugh", &[]);
    say(&mut chat, "frobozz", &[]);
    play(&mut chat, &[("quux garply", &["Ya le aviso"])]);
    assert_eq!(asked(&chat), None);
}

#[test]
fn an_answer_counts_once_and_only_where_the_talk_still_is() {
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let (ask, _) = asked(&chat).unwrap();
    let answered = |ask: &str| Input::ModelAnswered { ask: ask.to_owned(), lines: answer(&[("perro", 2)]) };
    assert_eq!(chat.input(answered("another")), "");
    assert!(chat.talk.is_awaiting(&ask));
    assert!(chat.input(answered(&ask)).contains("¿Le anoto 2"));
    assert_eq!(chat.input(answered(&ask)), "", "answered twice");
    assert!(!chat.talk.is_awaiting(&ask));

    // The owner was faster.
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let (ask, _) = asked(&chat).unwrap();
    chat.input(Input::OwnerWrote { text: Some("Yo le cuento".into()) });
    assert_eq!(chat.talk.silence(chat.now).map(|silence| silence.cause), Some(SilenceCause::Owner));
    assert!(!chat.talk.is_awaiting(&ask));
    assert_eq!(chat.input(answered(&ask)), "");

    // Who goes on writing is answered; both texts are asked about where neither is read.
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let (first, _) = asked(&chat).unwrap();
    assert_eq!(chat.say("xyzzy plugh"), "");
    let (second, text) = asked(&chat).unwrap();
    assert_eq!(text, "frobozz\nxyzzy plugh");
    assert!(!chat.talk.is_awaiting(&first));
    play(&mut chat, &[("una limonada natural", &["1 × Limonada Natural"])]);
    assert!(chat.input(answered(&second)).contains("¿Le anoto 2 × *Perro Caliente*?"));
    // Something was said meanwhile: that it was not understood is out of place.
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let (ask, _) = asked(&chat).unwrap();
    chat.say("una limonada natural");
    assert_eq!(chat.input(Input::ModelAnswered { ask, lines: Vec::new() }), "");

    // What it was asked is edited into something that is read.
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let (ask, _) = asked(&chat).unwrap();
    let id = chat.talk.heard.last().unwrap().id.clone();
    assert!(chat.input(Input::Edited { id, text: "un perro caliente".into() }).contains("1 × Perro Caliente"));
    assert_eq!(chat.input(answered(&ask)), "");
    assert_eq!(chat.basket(), lines(&[("perro", 1)]));
}

#[test]
fn what_the_customer_takes_back_or_has_noted_since_is_not_asked_about() {
    let answered =
        |ask: &str, lines: &[(&str, u32)]| Input::ModelAnswered { ask: ask.to_owned(), lines: answer(lines) };
    for (before, withdrawal) in [(None, "cancelar"), (None, "no gracias"), (Some("un perro caliente"), "cancelar")] {
        let mut chat = Chat::with(helped());
        if let Some(before) = before {
            chat.say(before);
        }
        chat.say("quiero un sushi");
        let (ask, _) = asked(&chat).unwrap();
        chat.say(withdrawal);
        assert!(!chat.talk.is_awaiting(&ask), "{withdrawal}");
        assert_eq!(chat.input(answered(&ask, &[("salchi", 2)])), "", "{withdrawal}");
        assert_eq!(chat.talk.order, OrderState::default());
    }

    // Said again in words that are read.
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let (ask, _) = asked(&chat).unwrap();
    play(&mut chat, &[("dos perros calientes", &["2 × Perro Caliente"])]);
    let reply = chat.input(answered(&ask, &[("perro", 2), ("limonada", 1)]));
    assert!(reply.contains("¿Le anoto 1 × *Limonada Natural*?") && !reply.contains("Perro"), "{reply}");
    chat.say("sí");
    assert_eq!(chat.basket(), lines(&[("perro", 2), ("limonada", 1)]));
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let (ask, _) = asked(&chat).unwrap();
    chat.say("dos perros calientes");
    assert_eq!(chat.input(answered(&ask, &[("perro", 2)])), "");
    assert_eq!(chat.basket(), lines(&[("perro", 2)]));

    // Of a dish that was in the basket before, more may be wanted.
    let mut chat = Chat::with(helped());
    chat.say("un perro caliente");
    let reply = say(&mut chat, "quiero un sushi", &[("perro", 2)]);
    assert!(reply.contains("¿Le anoto 2 × *Perro Caliente*?"), "{reply}");
}

#[test]
fn what_is_edited_is_asked_anew_and_what_is_deleted_of_nobody() {
    let answered = |ask: &str| Input::ModelAnswered { ask: ask.to_owned(), lines: answer(&[("perro", 2)]) };
    let unread = || {
        let mut chat = Chat::with(helped());
        chat.say("frobozz");
        let (ask, _) = asked(&chat).unwrap();
        let id = chat.talk.heard.last().unwrap().id.clone();
        (chat, ask, id)
    };

    let (mut chat, first, id) = unread();
    assert_eq!(chat.input(Input::Edited { id: id.clone(), text: "xyzzy plugh".into() }), "");
    let (second, text) = asked(&chat).unwrap();
    assert_eq!(text, "xyzzy plugh");
    assert_eq!(chat.input(answered(&first)), "");
    assert!(chat.talk.is_awaiting(&second));
    // The bot alone answers the words that there are now.
    assert_eq!(chat.input(Input::Edited { id, text: "quiero un sushi".into() }), "");
    let (third, _) = asked(&chat).unwrap();
    let alone = chat.input(Input::ModelAnswered { ask: third, lines: Vec::new() });
    assert!(alone.contains("No encuentro *sushi*"), "{alone}");

    let (mut chat, _, id) = unread();
    chat.input(Input::Edited { id, text: "quux garply".into() });
    let (ask, _) = asked(&chat).unwrap();
    assert!(chat.input(answered(&ask)).contains("¿Le anoto 2 × *Perro Caliente*?"));

    // Into something that is read, and no dish.
    let (mut chat, ask, id) = unread();
    assert!(chat.input(Input::Edited { id, text: "menú".into() }).contains("no le entendí"));
    assert_eq!((asked(&chat), chat.input(answered(&ask))), (None, String::new()));

    let (mut chat, ask, id) = unread();
    assert_eq!(chat.input(Input::Revoked { id }), "");
    assert!(!chat.talk.is_awaiting(&ask));
    assert_eq!(chat.input(answered(&ask)), "");

    // One of two: the other is asked about still.
    let (mut chat, _, id) = unread();
    chat.say("xyzzy plugh");
    assert_eq!(chat.input(Input::Revoked { id }), "");
    let (ask, text) = asked(&chat).unwrap();
    assert_eq!(text, "xyzzy plugh");
    assert!(chat.input(answered(&ask)).contains("¿Le anoto 2 × *Perro Caliente*?"));

    // What is held back speaks of the words that are left, and of all of them.
    let two = || {
        let mut chat = Chat::with(helped());
        let ids = ["quiero un sushi", "quiero una paella"].map(|said| {
            assert_eq!(chat.say(said), "");
            chat.talk.heard.last().unwrap().id.clone()
        });
        (chat, ids)
    };
    let alone = |chat: &mut Chat| {
        let (ask, _) = asked(chat).unwrap();
        chat.input(Input::ModelAnswered { ask, lines: Vec::new() })
    };
    let (mut chat, [_, last]) = two();
    assert_eq!(chat.input(Input::Revoked { id: last }), "");
    let said = alone(&mut chat);
    assert!(said.contains("sushi") && !said.contains("paella"), "{said}");
    let (mut chat, [first, _]) = two();
    assert_eq!(chat.input(Input::Edited { id: first, text: "quiero un ramen".into() }), "");
    let said = alone(&mut chat);
    assert!(said.contains("ramen") && said.contains("paella"), "{said}");

    // Switched off meanwhile.
    let (mut chat, _, id) = unread();
    chat.restaurant = Restaurant::new(Parser::new(menu()), settings());
    assert!(chat.input(Input::Edited { id, text: "xyzzy plugh".into() }).contains("no le entendí"));
    assert_eq!(asked(&chat), None);
}

#[test]
fn edits_without_end_are_not_asked_about() {
    let mut chat = Chat::with(helped());
    chat.say("frobozz");
    let id = chat.talk.heard.last().unwrap().id.clone();
    let (mut asks, mut said) = (0, Vec::new());
    for n in 0..60 {
        let text = if n % 2 == 0 { "xyzzy plugh" } else { "quux garply" };
        said.push(chat.input(Input::Edited { id: id.clone(), text: text.to_owned() }));
        asks += usize::from(asked(&chat).is_some());
    }
    assert!((2..40).contains(&asks), "{asks}");
    said.retain(|said| !said.is_empty());
    assert_eq!(said.len(), 1, "the bot answers alone, once: {said:?}");
    assert!(chat.talk.unread().is_none());
}

#[test]
fn a_question_is_bounded() {
    let mut chat = Chat::with(helped());
    for n in 0..2 {
        chat.say(&format!("frobozz {n} {}", "quux ".repeat(700)));
        if let Some((_, text)) = asked(&chat) {
            assert!(text.chars().count() <= 1_000);
        }
        assert!(serde_json::to_vec(&chat.talk).unwrap().len() <= MAX_RECORD_BYTES);
    }
}

#[test]
fn a_text_is_tried_with_the_model_too() {
    let restaurant = Restaurant::new(Parser::new(menu()), helped());
    let moment = Moment { now: "2026-11-27T19:00:00Z".parse().unwrap(), chance: [7; 16], told_at: None };
    let tried = try_text(&restaurant, ConversationState::default(), "quiero un sushi", moment);
    assert_eq!((tried.conversation.unread().map(UnreadTurn::text), tried.replies.len()), (Some("quiero un sushi"), 0));
    let alone = try_model_answer(&restaurant, tried, &[], moment);
    assert!(alone.replies.concat().contains("No encuentro *sushi*"), "{:?}", alone.replies);
    let tried = try_text(&restaurant, ConversationState::default(), "quiero un sushi", moment);
    let helped = try_model_answer(&restaurant, tried, &answer(&[("perro", 2)]), moment);
    assert_eq!((helped.intent, helped.cart.len(), helped.unknown.len()), (Intent::Order, 0, 0));
    assert_eq!((helped.ambiguous[0].candidates[0].as_str(), helped.ambiguous[0].qty), ("perro", 2));
    assert!(helped.replies.concat().contains("¿Le anoto 2"), "{:?}", helped.replies);
    assert!(helped.conversation.unread().is_none());
}

#[test]
fn who_tries_a_text_has_no_question_of_another_asked() {
    let moment = Moment { now: "2026-11-27T19:00:00Z".parse().unwrap(), chance: [7; 16], told_at: None };
    let restaurant = Restaurant::new(Parser::new(menu()), helped());
    let made_up = try_text(&restaurant, ConversationState::default(), "quiero un sushi", moment).conversation;
    assert!(made_up.unread().is_some());
    // Of a tenant that does not want the model, and of one that does.
    for settings in [settings(), helped()] {
        let restaurant = Restaurant::new(Parser::new(menu()), settings);
        let tried = try_text(&restaurant, made_up.clone(), "una limonada natural", moment);
        assert_eq!((tried.cart.len(), tried.conversation.unread()), (1, None));
    }
    let tried = try_text(&restaurant, made_up, "frobozz", moment);
    assert_eq!(tried.conversation.unread().map(UnreadTurn::text), Some("frobozz"));
}
