//! A tenant that takes no orders: rules answer, and a bot of the owner's own where none does; each answer once, whatever dies.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::Scene;
use crate::{
    messages::media::{Shop, picture},
    support::stage::{Home, LIMIT, Stage, await_death},
};

/// A bot of the owner's: repeats what it is asked, unless it is broken.
struct OwnBot {
    url: String,
    asked: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    is_broken: Arc<Mutex<bool>>,
    serving: JoinHandle<()>,
}

type RulesShared = (Arc<Mutex<Vec<(HeaderMap, Value)>>>, Arc<Mutex<bool>>);

impl Drop for OwnBot {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl OwnBot {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ask", listener.local_addr().unwrap());
        let (asked, is_broken) = RulesShared::default();
        let router = Router::new().fallback(answer).with_state((asked.clone(), is_broken.clone()));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, is_broken, serving }
    }

    fn asked(&self) -> Vec<(HeaderMap, Value)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State((asked, is_broken)): State<RulesShared>, headers: HeaderMap, body: Bytes) -> Response {
    let question: Value = serde_json::from_slice(&body).unwrap();
    let texts = question["messages"].as_array().unwrap().iter().map(|message| message["text"].clone());
    let replies: Vec<_> = texts.map(|text| format!("You said {}", text.as_str().unwrap())).collect();
    asked.lock().unwrap().push((headers, question));
    if *is_broken.lock().unwrap() {
        return StatusCode::NOT_FOUND.into_response();
    }
    axum::Json(json!({ "replies": replies })).into_response()
}

async fn ruled(bot: &OwnBot) -> Option<Scene> {
    let rules = json!([
        { "when": { "keywords": ["horario"] }, "reply": "De 8 a 18, {name}." },
        { "when": { "regex": "urgen(te|cia)" }, "reply": "Ya le responde una persona.", "human": true },
    ]);
    let own_bot = json!({ "url": bot.url, "key": "a-key-of-the-owner", "fallback": "Más tarde." });
    scene_with(rules, own_bot).await
}

async fn scene_with(rules: Value, own_bot: Value) -> Option<Scene> {
    let stage = Stage::new(Home::Embedded).await?;
    let stage = stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32").set("http_proxy", "");
    let scene = Scene::open_on(stage).await?;
    let mut settings = super::settings();
    settings["takesOrders"] = json!(false);
    settings["rules"] = rules;
    settings["externalBot"] = own_bot;
    scene.ok("PUT", "settings", Some(settings)).await;
    Some(scene)
}

/// Those that a customer has got, with their captions.
async fn pictures(scene: &Scene, customer: &str) -> Vec<(Vec<u8>, String)> {
    let inbox = scene.stage.network.customer_inbox(customer).await.unwrap();
    let pictures = inbox.into_iter().filter(|received| received.kind == "image").map(|received| {
        let caption = received.fields["caption"].as_str().unwrap_or_default().to_owned();
        (received.file.unwrap().data, caption)
    });
    pictures.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_answer_and_a_bot_of_the_owners_where_none_does() {
    let bot = OwnBot::start().await;
    let scene = ruled(&bot).await.unwrap();
    let ana = scene.customer(0);
    let hours = scene.talk(&ana, "¿Qué HORARIO tienen?").await.join("\n");
    assert!(hours.starts_with("De 8 a 18"), "{hours}");
    assert_eq!(bot.asked().len(), 0);
    assert_eq!(scene.talk(&ana, "quiero dos ajiacos").await, ["You said quiero dos ajiacos"]);
    let asked = bot.asked();
    let (headers, question) = &asked[0];
    assert_eq!((&question["event"], &question["chatId"]), (&json!("bot.ask"), &json!(scene.chat(0))), "{question}");
    assert_eq!(headers["webhook-id"], question["id"].as_str().unwrap());
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert_eq!(scene.orders().await, Vec::<Value>::new());

    // What it does not answer is answered all the same.
    *bot.is_broken.lock().unwrap() = true;
    assert_eq!(scene.talk(&ana, "¿y ahora?").await, ["Más tarde."]);
    // The rule's human comes, and nobody is asked any more.
    assert_eq!(scene.talk(&ana, "es urgente").await, ["Ya le responde una persona."]);
    scene.says(&ana, "sigo aquí").await;
    let luz = scene.customer(1);
    let hours = scene.talk(&luz, "horario").await.join("\n");
    assert!(hours.starts_with("De 8 a 18"), "{hours}");
    assert_eq!((bot.asked().len(), scene.got(&ana).await.len()), (2, 4));

    // The key is written and never read; its mask keeps it, on the same server.
    let mut shown = scene.ok("GET", "settings", None).await;
    assert_eq!(shown["externalBot"]["key"], "********");
    scene.ok("PUT", "settings", Some(shown.clone())).await;
    for (field, wrong) in [("url", json!("http://127.0.0.1:9/")), ("url", json!("ftp://127.0.0.1/"))] {
        shown["externalBot"][field] = wrong;
        let (status, problem) = scene.ask("PUT", "settings", Some(shown.clone())).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_input")), "{problem}");
    }
    scene.daemon.kill().await.unwrap();
}

/// It dies when the bot has answered, before that is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_once_whatever_dies() {
    let bot = OwnBot::start().await;
    let scene = ruled(&bot).await.unwrap();
    let ana = scene.customer(0);
    scene.daemon.kill().await.unwrap();
    let mut dying = scene.stage.setup.clone().set("LOOPBACK_CRASH", "bot_asked:1").start(LIMIT).await.unwrap();
    scene.stage.network.customer_send(&ana, &scene.conversation.number, "¿atienden niños?").await.unwrap();
    await_death(&mut dying, 0).await;
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    assert_eq!(scene.await_more(&ana, 0, "the answer").await, ["You said ¿atienden niños?"]);
    // What is answered after it comes after all else that was on its way.
    let hours = scene.talk(&ana, "horario").await.join("\n");
    assert!(hours.starts_with("De 8 a 18"), "{hours}");
    assert_eq!(scene.got(&ana).await.len(), 2);
    let ids: Vec<_> = bot.asked().into_iter().map(|(_, question)| question["id"].clone()).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    scene.daemon.kill().await.unwrap();
}

/// It dies when WhatsApp has the file, before its message is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_rules_file_comes_once_and_its_text_comes_without_it_where_it_is_missing() {
    let shop = Shop::open().await;
    let first = shop.offer("/menu.png", picture(64, 32));
    let rules = json!([
        { "when": { "keywords": ["menu"] }, "reply": "El menú, {name}.", "file": { "url": shop.url("/menu.png") } },
        { "when": { "keywords": ["precios"] }, "reply": "Llámenos.", "file": { "url": shop.url("/missing") } },
    ]);
    let scene = scene_with(rules, Value::Null).await.unwrap();
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    scene.talk(&ana, "¿me manda el menú?").await;
    let got = pictures(&scene, &ana).await;
    let [(data, caption)] = &got[..] else { panic!("{} pictures", got.len()) };
    assert!(*data == first && caption.starts_with("El menú"), "{caption}");
    // Another one is told of it at once: what is there now is nobody's yet.
    let second = shop.offer("/menu.png", picture(32, 64));
    scene.talk(&luz, "el menu").await;
    assert!(pictures(&scene, &luz).await[0].0 == first, "it was taken to WhatsApp anew");
    assert_eq!(scene.talk(&ana, "¿y los precios?").await, ["Llámenos."]);
    assert_eq!(scene.talk(&luz, "precios").await, ["Llámenos."]);
    // She did not wait for it.
    for words in ["bot_file_missing", "could not be had a moment ago"] {
        assert!(scene.stage.log().contains(words), "{words}: {}", scene.stage.log());
    }
    let tried = scene.ok("POST", "try", Some(json!({ "text": "el menú" }))).await;
    assert!(tried["replies"][0].as_str().unwrap().starts_with("📎 http://127.0.0.1"), "{tried}");

    let shown = scene.ok("GET", "settings", None).await;
    for url in ["ftp://127.0.0.1/menu.png", "http://127.0.0.2/menu.png"] {
        let mut wrong = shown.clone();
        wrong["rules"][0]["file"]["url"] = json!(url);
        let (status, problem) = scene.ask("PUT", "settings", Some(wrong)).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_input")), "{problem}");
    }

    let before = scene.got(&ana).await.len();
    scene.daemon.kill().await.unwrap();
    let mut dying = scene.stage.setup.clone().set("LOOPBACK_CRASH", "bot_asked:1").start(LIMIT).await.unwrap();
    scene.stage.network.customer_send(&ana, &scene.conversation.number, "otra vez el menú").await.unwrap();
    await_death(&mut dying, 0).await;
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    scene.await_more(&ana, before, "the picture").await;
    // What is said after it comes after all else that was on its way.
    assert_eq!(scene.talk(&ana, "precios").await, ["Llámenos."]);
    let got: Vec<_> = pictures(&scene, &ana).await.into_iter().map(|(data, _)| data).collect();
    assert!(got == [first, second], "{} pictures", got.len());
    scene.daemon.kill().await.unwrap();
}
