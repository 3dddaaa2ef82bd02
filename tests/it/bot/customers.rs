//! What happens in the middle of an order: a name becomes a number, a message is edited or deleted, somebody cancels, somebody is a bot.

use loopback::Say;
use serde_json::{Value, json};
use sessiond::demo::Heard;

use super::{Scene, TENANT, menu, settings};
use crate::{
    consumers::webhooks::ask,
    support::stage::{Home, LIMIT},
};

/// Item and quantity of each line.
fn lines(order: &Value) -> Vec<(String, u64)> {
    let lines = order["items"].as_array().unwrap().iter();
    lines.map(|line| (line["numero"].as_str().unwrap().to_owned(), line["cantidad"].as_u64().unwrap())).collect()
}

impl Scene {
    /// As [`Self::talk`], with any message; gives its id, too.
    async fn tell(&self, customer: &str, say: impl Into<Say>) -> (String, String) {
        let before = self.got(customer).await.len();
        let id = self.stage.network.customer_send(customer, &self.conversation.number, say).await.unwrap();
        (id, self.await_more(customer, before, "an answer").await.join("\n"))
    }
}

/// She is known by her LID alone, orders, and WhatsApp tells her number before she confirms: it is one talk and one order, by the number.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whose_number_becomes_known_goes_on_with_the_same_order() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let network = scene.stage.network.clone();
    let ana = network.add_customer().await;
    network.hide_number(&ana, true).await.unwrap();
    scene.talk(&ana, "quiero dos ajiacos").await;
    let lid = network.phone(&ana).await.unwrap().lid;
    let shown = scene.ok("GET", "conversations", None).await;
    assert_eq!(shown["conversations"][0]["chatId"], json!(lid), "{shown}");
    network.hide_number(&ana, false).await.unwrap();
    let basket = scene.talk(&ana, "y una limonada natural").await.join("\n");
    assert!(basket.contains("2 × Ajiaco"), "the basket is another one by the number: {basket}");
    for text in ["listo, eso es todo", "paso a recogerlo", "sí"] {
        scene.talk(&ana, text).await;
    }
    let found = scene.orders().await;
    let [order] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((lines(order), &order["telefono"]), (vec![("aji".into(), 2), ("lim".into(), 1)], &json!(ana)));
    let shown = scene.ok("GET", "conversations", None).await["conversations"].clone();
    let chats: Vec<_> = shown.as_array().unwrap().iter().map(|it| it["chatId"].clone()).collect();
    assert_eq!(chats, [json!(format!("{ana}@c.us"))]);
    // The kitchen's word reaches her, and a lost disk forgets nothing of it.
    let id = order["id"].as_str().unwrap();
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    let before = scene.got(&ana).await.len();
    scene.ok("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "cocinando" }))).await;
    scene.await_more(&ana, before, "the kitchen's word").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_edited_or_deleted_before_the_confirmation_counts_and_after_it_does_not() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let ana = scene.customer(0);
    let (dishes, _) = scene.tell(&ana, "quiero dos ajiacos").await;
    let (drink, _) = scene.tell(&ana, "y una limonada natural").await;
    let (_, basket) = scene.tell(&ana, Say::edit(&dishes, "quiero tres ajiacos")).await;
    assert!(basket.contains("3 × Ajiaco") && basket.contains("Limonada"), "{basket}");
    let (_, basket) = scene.tell(&ana, Say::revoke(&drink)).await;
    assert!(basket.contains("3 × Ajiaco") && !basket.contains("Limonada"), "{basket}");
    scene.talk(&ana, "listo, eso es todo").await;
    let summary = scene.talk(&ana, "paso a recogerlo").await.join("\n");
    assert!(summary.contains("$ 72.000"), "{summary}");
    // The summary that she has seen is not what she wants any more: no "yes" counts for it.
    let (_, summary) = scene.tell(&ana, Say::edit(&dishes, "quiero cuatro ajiacos")).await;
    assert!(summary.contains("$ 96.000"), "{summary}");
    scene.talk(&ana, "sí").await;
    let found = scene.orders().await;
    assert_eq!((found.len(), lines(&found[0]), &found[0]["total"]), (1, vec![("aji".into(), 4)], &json!(96_000)));
    for late in [Say::edit(&dishes, "quiero un ajiaco"), Say::revoke(&dishes)] {
        let (_, told) = scene.tell(&ana, late).await;
        assert!(told.contains("confirmado"), "{told}");
    }
    assert_eq!(scene.orders().await, found);
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_cancels_until_the_kitchen_begins() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let order = async |nth: usize| {
        let customer = scene.customer(nth);
        scene.order_up_to_the_summary(&customer).await;
        scene.talk(&customer, "sí").await;
        let found = scene.orders().await;
        let of = |order: &&Value| order["telefono"] == json!(customer);
        (found.iter().find(of).unwrap_or_else(|| panic!("{found:#?}"))["id"].as_str().unwrap().to_owned(), customer)
    };
    let ((early, ana), (late, luz)) = (order(0).await, order(1).await);
    let stage = async |id: &str| scene.ok("GET", &format!("orders/{id}"), None).await["estado"].clone();
    let cook =
        async |id: &str| scene.ask("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "cocinando" }))).await;

    // Before: it is cancelled, and no kitchen begins it any more.
    assert!(scene.talk(&ana, "cancelar mi pedido").await.join("\n").contains("Cancelo"));
    let told = scene.talk(&ana, "sí").await.join("\n");
    assert!(told.contains("cancelé"), "{told}");
    assert_eq!(stage(&early).await, json!("cancelado"));
    let (status, problem) = cook(&early).await;
    assert_eq!((status, &problem["code"]), (409, &json!("no_such_step")), "{problem}");

    // Between the question and the answer: the kitchen was first.
    assert!(scene.talk(&luz, "cancelar mi pedido").await.join("\n").contains("Cancelo"));
    let before = scene.got(&luz).await.len();
    assert_eq!(cook(&late).await.0, 200);
    scene.await_more(&luz, before, "the kitchen's word").await;
    let told = scene.talk(&luz, "sí").await.join("\n");
    assert!(told.contains("no alcanzo a cancelarlo"), "{told}");
    assert_eq!(stage(&late).await, json!("cocinando"));
    scene.daemon.kill().await.unwrap();
}

/// Two tenants' bots that write to each other stop by themselves, and a human hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn two_bots_that_meet_stop() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let other = scene.stage.pair("osteria").await;
    for (what, body) in [("menu", menu(24_000)), ("settings", settings())] {
        let (status, answer) = ask(&scene.stage, "PUT", &format!("/api/osteria/bot/{what}"), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let ears = [&scene.conversation, &other].map(|tenant| scene.stage.listen(std::slice::from_ref(tenant)));
    let chat = format!("{}@c.us", other.number);
    let first = json!({ "session": TENANT, "chatId": chat, "text": "buenas, quiero un ajiaco", "bot": true });
    let (status, answer) = ask(&scene.stage, "POST", "/api/sendText", Some(first)).await;
    assert_eq!(status, 201, "{answer}");
    let is_called = |heard: &[Heard]| heard.iter().any(|one| one.event == "owner:called");
    let called = tokio::select! {
        called = ears[0].until(LIMIT, is_called) => called,
        called = ears[1].until(LIMIT, is_called) => called,
    };
    called.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    // Both ways between the two.
    let said = async || {
        let path = format!("/api/{TENANT}/chats/{chat}/messages?limit=200");
        ask(&scene.stage, "GET", &path, None).await.1.as_array().unwrap().len()
    };
    // It is over when as much time has passed without a word as an answer never takes.
    let stopped = async {
        let mut count = said().await;
        loop {
            tokio::time::sleep(super::SILENCE).await;
            match said().await {
                now if now == count => return now,
                now => count = now,
            }
        }
    };
    let count = tokio::time::timeout(LIMIT, stopped).await.expect("the two go on for ever");
    assert!((4..=100).contains(&count), "{count} messages");
    // A customer is served all the same.
    scene.talk(&scene.customer(0), "quiero dos ajiacos").await;
    scene.daemon.kill().await.unwrap();
}
