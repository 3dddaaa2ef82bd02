//! Tenants that take no orders: the owner's rules answer.

use serde_json::json;

use super::{Chat, ordering::play};
use crate::bot::{
    conversation::{Effect, FetchedReply, Input, Moment, SilenceCause, try_text},
    external::ExternalAnswer,
    restaurant::RestaurantSettings,
};

fn ruled() -> RestaurantSettings {
    serde_json::from_value(json!({
        "name": "Clínica Sol", "active": true, "takesOrders": false,
        "businessHours": { "enabled": true, "schedule": { "friday": { "active": true, "open": "08:00", "close": "18:00" }, "monday": { "active": true, "open": "08:00", "close": "18:00" } } },
        "rules": [
            { "when": "firstContact", "reply": "{greeting}, {name}. Soy el asistente de {restaurant}." },
            { "when": "away", "reply": "Estamos cerrados, abrimos {opening}.", "pauseMinutes": 600 },
            { "when": { "keywords": ["cita", "turno"] }, "reply": "Para citas llame al 601 555 0000." },
            { "when": { "regex": "(urgente|urgencia)" }, "reply": "Ya le respondemos.", "human": true },
            { "when": "anything", "reply": "No le entendí.", "pauseMinutes": 5 },
        ],
    }))
    .unwrap()
}

#[test]
fn rules_answer_in_their_order_and_greet_once() {
    assert!(ruled().flaws().is_empty(), "{:?}", ruled().flaws());
    let mut chat = Chat::with(ruled());
    play(&mut chat, &[("una cita por favor", &["Buenas tardes, Ana. Soy el asistente de Clínica Sol.", "601 555"])]);
    play(
        &mut chat,
        &[("un TURNO?", &["601 555", "!Ana", "!entendí"]), ("dos perros calientes", &["No le entendí", "!Perro"])],
    );
    assert_eq!(chat.say("mmm"), "", "it was said a moment ago");
    assert!(chat.basket().is_empty() && chat.orders.is_empty());
    // 23:00.
    chat.now = "2026-11-28T04:00:00Z".parse().unwrap();
    play(&mut chat, &[("hola", &["Estamos cerrados, abrimos el lunes a las 08:00", "No le entendí"])]);
    play(&mut chat, &[("una cita", &["601 555", "!cerrados"])]);
}

#[test]
fn a_rule_calls_a_human_and_the_bot_is_silent() {
    let mut chat = Chat::with(ruled());
    play(&mut chat, &[("hola", &["asistente"]), ("es URGENTE", &["Ya le respondemos"])]);
    assert!(chat.called_owner());
    assert_eq!(chat.talk.silence(chat.now).map(|silence| silence.cause), Some(SilenceCause::HumanCalled));
    assert_eq!(chat.say("una cita"), "");
    chat.input(Input::GivenBack);
    play(&mut chat, &[("una cita", &["601 555"])]);
}

#[test]
fn two_machines_stop() {
    let mut chat = Chat::with(ruled());
    let mut answered = 0;
    for n in 0..60 {
        chat.say(&format!("cita {n}"));
        answered += usize::from(chat.effects.iter().any(|effect| matches!(effect, Effect::Reply(_))));
    }
    assert!(answered <= 13, "{answered}");
    assert_eq!(chat.talk.silence(chat.now).map(|silence| silence.cause), Some(SilenceCause::Loop));
}

fn with_files() -> Chat {
    let mut settings = ruled();
    settings.rules = serde_json::from_value(json!([
        { "when": "firstContact", "reply": "{greeting}, {name}." },
        { "when": { "keywords": ["menu"] }, "reply": "Con gusto, {name}.", "file": { "url": "https://example.com/menu.png" } },
        { "when": { "keywords": ["precios"] }, "reply": "Ya le responden.", "file": { "url": "https://example.com/p.pdf" }, "human": true },
        { "when": { "keywords": ["mapa"] }, "file": { "url": "https://example.com/map.png" }, "pauseMinutes": 60 },
    ]))
    .unwrap();
    settings.external_bot = serde_json::from_value(json!({ "url": "https://bot.example.com/" })).unwrap();
    assert!(settings.flaws().is_empty(), "{:?}", settings.flaws());
    Chat::with(settings)
}

/// The end of the fetches that the last step asks for.
fn fetched(chat: &Chat, has_file: bool) -> Input {
    let asked = chat.effects.iter().filter_map(|effect| match effect {
        Effect::AskFiles { ask, replies, human } => Some((ask.clone(), replies.clone(), *human)),
        _ => None,
    });
    let asked: Vec<_> = asked.collect();
    let [(ask, replies, human)] = &asked[..] else { panic!("{asked:?}") };
    let replies = replies.iter().map(|reply| FetchedReply { caption: reply.caption.clone(), has_file });
    Input::FilesFetched { ask: ask.clone(), replies: replies.collect(), human: *human }
}

#[test]
fn a_rules_file_is_fetched_first_and_sent_once() {
    let mut chat = with_files();
    assert_eq!(chat.say("el menu"), "Buenas tardes, Ana.", "what has no file waits for none");
    assert!(asked(&chat).is_empty(), "a rule has answered");
    let there = fetched(&chat, true);
    assert_eq!(chat.input(there.clone()), "file 0");
    assert_eq!(chat.input(there), "", "sent twice");
    assert_eq!(chat.say("otra vez el menú"), "");
    let missing = fetched(&chat, false);
    assert_eq!(chat.input(missing), "Con gusto, Ana.");
    // A file alone says nothing when it is not there.
    assert_eq!(chat.say("un mapa"), "");
    let missing = fetched(&chat, false);
    assert_eq!(chat.input(missing), "");
    assert_eq!(chat.say("un mapa"), "", "it pauses");
    // The owner was faster.
    chat.say("menu");
    let late = fetched(&chat, true);
    chat.input(Input::OwnerWrote { text: Some("Yo se lo mando".into()) });
    assert_eq!(chat.input(late), "");
    chat.input(Input::GivenBack);
    // A human comes with the file.
    assert_eq!(chat.say("precios"), "");
    assert!(!chat.called_owner());
    let prices = fetched(&chat, true);
    assert_eq!(chat.input(prices), "file 0");
    assert!(chat.called_owner());
    assert_eq!(chat.talk.silence(chat.now).map(|silence| silence.cause), Some(SilenceCause::HumanCalled));
}

#[test]
fn who_tries_a_rule_sees_where_its_file_is() {
    let chat = with_files();
    let moment = Moment { now: chat.now, chance: [7; 16], told_at: None };
    let tried = try_text(&chat.restaurant, chat.talk.clone(), "el menu y un mapa", moment);
    assert_eq!(tried.replies.last().map(String::as_str), Some("📎 https://example.com/menu.png\nCon gusto."));
}

#[test]
fn two_machines_stop_though_they_send_files() {
    let mut chat = with_files();
    let mut sent = 0;
    for n in 0..60 {
        chat.say(&format!("menu {n}"));
        if chat.effects.iter().any(|effect| matches!(effect, Effect::AskFiles { .. })) {
            let file = fetched(&chat, true);
            sent += usize::from(chat.input(file) == "file 0");
        }
    }
    assert!((1..=13).contains(&sent), "{sent}");
    assert_eq!(chat.talk.silence(chat.now).map(|silence| silence.cause), Some(SilenceCause::Loop));
}

fn with_own_bot() -> Chat {
    let mut settings = ruled();
    settings.rules.pop();
    settings.external_bot = serde_json::from_value(json!({ "url": "https://bot.example.com/" })).unwrap();
    Chat::with(settings)
}

fn asked(chat: &Chat) -> Vec<(String, Vec<String>)> {
    let asked = chat.effects.iter().filter_map(|effect| match effect {
        Effect::Ask { ask, texts } => Some((ask.clone(), texts.clone())),
        _ => None,
    });
    asked.collect()
}

#[test]
fn an_own_bot_is_asked_what_no_rule_answers_and_answers_once() {
    let mut chat = with_own_bot();
    play(&mut chat, &[("una cita", &["601 555"])]);
    assert!(asked(&chat).is_empty());
    assert_eq!(chat.say("¿atienden niños?"), "");
    let questions = asked(&chat);
    let [(ask, texts)] = &questions[..] else { panic!("{questions:?}") };
    assert_eq!(texts[..], ["¿atienden niños?"]);
    let answer = |replies: &[&str], human| ExternalAnswer {
        replies: replies.iter().map(|reply| (*reply).to_owned()).collect(),
        human,
    };
    let answered = Input::Answered { ask: ask.clone(), answer: answer(&["Sí.", "Claro."], false) };
    assert_eq!(chat.input(answered.clone()), "Sí.\n---\nClaro.");
    assert_eq!(chat.input(answered), "", "answered twice");
    // A human was faster.
    chat.say("¿y los sábados?");
    let (ask, _) = asked(&chat).remove(0);
    chat.input(Input::OwnerWrote { text: Some("Yo le cuento".into()) });
    assert_eq!(chat.input(Input::Answered { ask, answer: answer(&["No."], false) }), "");
    chat.input(Input::GivenBack);
    chat.say("¿y los domingos?");
    let (ask, _) = asked(&chat).remove(0);
    assert_eq!(
        chat.input(Input::Answered { ask, answer: answer(&["Le paso a una persona."], true) }),
        "Le paso a una persona."
    );
    assert!(chat.called_owner());
    assert_eq!(chat.say("¿hola?"), "");
}

#[test]
fn a_question_that_was_given_up_is_awaited_no_more() {
    let mut chat = with_own_bot();
    let asks: Vec<String> = (0..9)
        .map(|n| {
            chat.say(&format!("pregunta {n}"));
            asked(&chat).remove(0).0
        })
        .collect();
    let awaited = |chat: &Chat| asks.iter().filter(|ask| chat.talk.is_awaiting(ask)).count();
    assert_eq!((awaited(&chat), chat.talk.is_awaiting(&asks[0])), (8, false));
    chat.input(Input::OwnerWrote { text: Some("Yo le cuento".into()) });
    assert_eq!(awaited(&chat), 0);
}
