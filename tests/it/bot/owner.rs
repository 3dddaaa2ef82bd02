//! The human comes first: what the owner writes silences the bot in that chat, and in no other.

use serde_json::{Value, json};

use super::{Scene, TENANT, settings};
use crate::{consumers::webhooks::ask, support::stage::Home};

impl Scene {
    /// The daemon has kept a message of this chat.
    async fn await_logged(&self, nth: usize, id: &str) {
        let seen = async || {
            let path = format!("/api/{TENANT}/chats/{}/messages?limit=50", self.chat(nth));
            ask(&self.stage, "GET", &path, None).await.1.to_string().contains(id)
        };
        sessiond::demo::until(crate::support::stage::LIMIT, "the message", seen).await.unwrap();
    }

    /// The bot has read what `customer` said, and says nothing: one who asked later has been answered.
    async fn assert_silent(&self, customer: &str, text: &str) {
        let before = self.got(customer).await;
        self.says(customer, text).await;
        self.talk(&self.customer(1), "ver").await;
        tokio::time::sleep(super::SILENCE).await;
        assert_eq!(self.got(customer).await, before, "{text} was answered\n{}", self.stage.log());
    }

    /// How the bot stands in a customer's chat.
    async fn standing(&self, nth: usize) -> Value {
        self.ok("GET", &format!("conversations/{}", self.chat(nth)), None).await
    }

    pub(super) async fn sends(&self, to: &str, text: &str, more: Value) {
        let mut body = json!({ "session": TENANT, "chatId": format!("{to}@c.us"), "text": text });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let before = self.got(to).await.len();
        let (status, answer) = ask(&self.stage, "POST", "/api/sendText", Some(body)).await;
        assert_eq!(status, 201, "{answer}");
        self.await_more(to, before, text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_phone_silences_the_bot_in_that_chat() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let ana = scene.customer(0);
    scene.talk(&ana, "buenas, quiero un ajiaco").await;
    let before = scene.got(&ana).await.len();
    scene.stage.network.phone_send(&scene.conversation.number, &ana, "hola Ana, ya le colaboro").await.unwrap();
    scene.await_more(&ana, before, "the owner's word").await;
    scene.assert_silent(&ana, "gracias, y una limonada natural").await;
    // Over a death, too.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    scene.assert_silent(&ana, "¿me escucha?").await;
    scene.ok("POST", &format!("conversations/{}/give-back", scene.chat(0)), None).await;
    scene.talk(&ana, "quiero ver mi pedido").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_sends_silences_the_bot_unless_it_is_a_bot() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let ana = scene.customer(0);
    scene.talk(&ana, "buenas, quiero un ajiaco").await;
    scene.sends(&ana, "promoción del día", json!({ "bot": true })).await;
    // In the old form, too.
    let before = scene.got(&ana).await.len();
    let body = json!({ "tenantId": TENANT, "to": ana, "message": "promoción de mañana", "bot": true });
    let (status, answer) = ask(&scene.stage, "POST", "/api/baileys/send-message", Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    scene.await_more(&ana, before, "the old form's").await;
    scene.talk(&ana, "y una limonada natural").await;
    scene.sends(&ana, "le escribe Marta", json!({})).await;
    scene.assert_silent(&ana, "gracias").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_taken_and_given_back_by_the_api() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let ana = scene.customer(0);
    scene.talk(&ana, "buenas, quiero un ajiaco").await;
    scene.ok("POST", &format!("conversations/{}/take", scene.chat(0)), None).await;
    scene.assert_silent(&ana, "¿hay alguien?").await;
    let shown = scene.ok("GET", "conversations", None).await;
    let chats: Vec<_> = shown["conversations"].as_array().unwrap().iter().map(|it| it["chatId"].clone()).collect();
    assert!(chats.contains(&json!(scene.chat(0))), "{shown}");
    let taken = scene.standing(0).await;
    assert_eq!((&taken["chatId"], &taken["state"]), (&json!(scene.chat(0)), &json!("takenOver")), "{taken}");
    let until: jiff::Timestamp = taken["silentUntil"].as_str().unwrap().parse().unwrap();
    assert!(until > jiff::Timestamp::UNIX_EPOCH, "{taken}");
    assert_eq!(scene.standing(1).await["state"], json!("answers"));
    scene.ok("POST", &format!("conversations/{}/give-back", scene.chat(0)), None).await;
    let given = scene.standing(0).await;
    assert_eq!((&given["state"], &given["silentUntil"]), (&json!("answers"), &Value::Null), "{given}");
    scene.talk(&ana, "quiero ver mi pedido").await;
    // Nobody is told that it answers where it is off.
    let mut off = settings();
    off["active"] = json!(false);
    scene.ok("PUT", "settings", Some(off)).await;
    assert_eq!(scene.standing(0).await["state"], json!("off"));
    let (status, _) = scene.ask("POST", "conversations/120363000000000001@g.us/take", None).await;
    assert_eq!(status, 400);
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_it_begins_with_what_comes_from_then_on() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let off = |active: bool| {
        let mut settings = settings();
        (settings["active"], settings["whenOff"]) = (json!(active), json!("silent"));
        settings
    };
    scene.ok("PUT", "settings", Some(off(false))).await;
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let id = scene.says(&ana, "quiero dos ajiacos").await;
    scene.await_logged(0, &id).await;
    scene.ok("PUT", "settings", Some(off(true))).await;
    scene.talk(&luz, "buenas").await;
    tokio::time::sleep(super::SILENCE).await;
    assert_eq!(scene.got(&ana).await, Vec::<String>::new(), "answered although it was said while the bot was off");
    scene.talk(&ana, "quiero una limonada natural").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_said_while_the_bot_was_off_counts_when_it_is_on_again() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let (ana, number) = (scene.customer(0), scene.conversation.number.clone());
    let mut off = settings();
    (off["active"], off["whenOff"]) = (json!(false), json!("silent"));
    scene.ok("PUT", "settings", Some(off)).await;
    let id = scene.stage.network.phone_send(&number, &ana, "hola Ana, ya le colaboro").await.unwrap();
    scene.await_logged(0, &id).await;
    scene.ok("PUT", "settings", Some(settings())).await;
    scene.assert_silent(&ana, "gracias, y una limonada natural").await;
    // Whom the owner gave back is not silenced by the same word again.
    scene.ok("POST", &format!("conversations/{}/give-back", scene.chat(0)), None).await;
    let mut off = settings();
    (off["active"], off["whenOff"]) = (json!(false), json!("silent"));
    scene.ok("PUT", "settings", Some(off)).await;
    scene.ok("PUT", "settings", Some(settings())).await;
    scene.talk(&ana, "quiero dos ajiacos").await;
    scene.daemon.kill().await.unwrap();
}

/// More waits than is read at once, and the owner's word is behind all of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_owners_word_behind_a_long_queue_counts_before_the_queue_is_answered() {
    const FLOOD: usize = 300;
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let (ana, luz, number) = (scene.customer(0), scene.customer(1), scene.conversation.number.clone());
    scene.daemon.kill().await.unwrap();
    let network = scene.stage.network.clone();
    network.customer_send(&ana, &number, "quiero dos ajiacos").await.unwrap();
    for n in 0..FLOOD {
        network.customer_send(&luz, &number, format!("hola {n}")).await.unwrap();
    }
    network.phone_send(&number, &ana, "hola Ana, ya le colaboro").await.unwrap();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    scene.await_more(&luz, 0, "an answer").await;
    scene.says(&ana, "¿me escucha?").await;
    // Not Luz: whether so many greetings are a person's or a bot's is decided by how many turns they were.
    scene.talk(&network.add_customer().await, "buenas").await;
    tokio::time::sleep(super::SILENCE).await;
    assert_eq!(scene.got(&ana).await, ["hola Ana, ya le colaboro"]);
    scene.daemon.kill().await.unwrap();
}

/// All that the phone writes, to whomever, comes by one queue, and what a customer writes by another, which may be quicker.
#[tokio::test(flavor = "multi_thread")]
async fn the_owners_word_on_its_way_counts_before_the_customer_is_answered() {
    const WORDS: usize = 150;
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let (ana, luz, number) = (scene.customer(0), scene.customer(1), scene.conversation.number.clone());
    let network = scene.stage.network.clone();
    for n in 0..WORDS {
        network.phone_send(&number, &luz, format!("promoción {n}")).await.unwrap();
    }
    network.phone_send(&number, &ana, "hola Ana, ya le colaboro").await.unwrap();
    scene.says(&ana, "¿me escucha?").await;
    scene.talk(&network.add_customer().await, "buenas").await;
    tokio::time::sleep(super::SILENCE).await;
    assert_eq!(scene.got(&ana).await, ["hola Ana, ya le colaboro"], "{}", scene.stage.log());
    scene.daemon.kill().await.unwrap();
}
