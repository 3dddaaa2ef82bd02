//! A customer orders, and the kitchen gets it: over HTTP, Socket.IO and webhooks, and its steps reach the customer.

use serde_json::{Value, json};

use super::{ORDER, Scene, TENANT, menu, settings};
use crate::{
    consumers::webhooks::{ask, put, webhook},
    support::{
        receiver::Receiver,
        scrape::scrape,
        stage::{Home, LIMIT, Stage},
    },
};

async fn orders(home: Home) {
    let Some(stage) = Stage::new(home).await else { return };
    let stage = stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32").set("http_proxy", "");
    let Some(scene) = Scene::open_on(stage).await else { return };
    let receiver = Receiver::start().await;
    put(&scene.stage, TENANT, json!([webhook(&receiver.url(), &["order.created", "order.updated"], 5)])).await;
    let ear = scene.stage.listen(std::slice::from_ref(&scene.conversation));
    let ana = scene.customer(0);
    let summary = scene.order_up_to_the_summary(&ana).await;
    assert!(summary.contains("$ 55.000"), "two of 24.000 and one of 7.000: {summary}");
    assert_eq!(scene.orders().await, Vec::<Value>::new(), "ordered before it was confirmed");
    let placed = scene.talk(&ana, "sí").await.join("\n");
    let found = scene.orders().await;
    let [order] = found.as_slice() else { panic!("{found:#?}") };
    let id = order["id"].as_str().unwrap().to_owned();
    assert!(placed.contains(&format!("#{id}")), "{placed}");
    let told = scrape(&scene.stage).await;
    assert_eq!(told.value("sessiond_bot_orders_total{outcome=\"placed\"}"), 1.0, "{}", told.text);
    for series in ["sessiond_bot_turns_total{outcome=\"replied\"}", "sessiond_bot_reply_seconds_count"] {
        assert!(told.value(series) >= 1.0 + ORDER.len() as f64, "{series}\n{}", told.text);
    }
    assert_eq!(
        (&order["total"], &order["estado"], &order["tenantId"]),
        (&json!(55_000), &json!("pendiente"), &json!(TENANT))
    );
    assert_eq!(
        (&order["telefono"], &order["restaurante"], &order["fuente"]),
        (&json!(ana), &json!("Trattoria"), &json!("whatsapp"))
    );
    let lines: Vec<_> = order["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["numero"].clone(), line["cantidad"].clone()))
        .collect();
    assert_eq!(lines, [(json!("aji"), json!(2)), (json!("lim"), json!(1))]);

    // Dashboards and webhooks hear of the same.
    let is_it = |payload: &Value| payload["id"] == json!(id);
    ear.until(LIMIT, |heard| heard.iter().any(|one| one.event == "nuevo-pedido" && is_it(&one.payload))).await.unwrap();
    receiver
        .until(LIMIT, "the order", |posts| {
            posts.iter().any(|post| post.json["event"] == "order.created" && is_it(&post.json["payload"]))
        })
        .await;

    // The kitchen moves it on, and the customer is told.
    let before = scene.got(&ana).await.len();
    let moved = scene.ok("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "cocinando" }))).await;
    assert_eq!(moved["estado"], "cocinando");
    scene.await_more(&ana, before, "news of the order").await;
    let is_moved = |payload: &Value| is_it(payload) && payload["estado"] == "cocinando";
    ear.until(LIMIT, |heard| heard.iter().any(|one| one.event == "pedido:actualizado" && is_moved(&one.payload)))
        .await
        .unwrap();
    receiver
        .until(LIMIT, "the step", |posts| {
            posts.iter().any(|post| post.json["event"] == "order.updated" && is_moved(&post.json["payload"]))
        })
        .await;
    let (status, problem) =
        scene.ask("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "cocinando" }))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("no_such_step")), "{problem}");
    let (status, _) = scene.ask("POST", "orders/zzzzzz/stage", Some(json!({ "stage": "listo" }))).await;
    assert_eq!(status, 404);
    let (status, problem) = scene.ask("POST", &format!("orders/{id}/payment"), None).await;
    assert_eq!((status, &problem["code"]), (409, &json!("no_payment_awaited")), "{problem}");
    assert_eq!(scene.ok("GET", "orders?stage=cocinando", None).await["orders"][0]["id"], json!(id));
    assert_eq!(scene.ok("GET", "orders?stage=listo", None).await["orders"], json!([]));

    // It outlives the daemon and its disk, and can be printed.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let daemon = scene.stage.start().await;
    let scene = Scene { daemon, ..scene };
    assert_eq!(scene.ok("GET", &format!("orders/{id}"), None).await, moved);
    let url = format!("http://{}/api/{TENANT}/bot/orders/{id}/text", scene.stage.setup.address);
    let printed =
        reqwest::Client::new().get(url).header("X-Api-Key", &scene.stage.setup.admin_key).send().await.unwrap();
    let printed = printed.text().await.unwrap();
    assert!(printed.contains("2 x Ajiaco") && printed.contains("TOTAL: $ 55.000"), "{printed}");
    assert!(printed.contains("Se paga al recibir") && !printed.contains("UTC"), "{printed}");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_orders_by_several_messages_and_the_kitchen_gets_one_order() {
    orders(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_orders_with_firestore() {
    orders(Home::Emulator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_moment_are_answered_once() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let mut slow = settings();
    slow["gatherMs"] = json!(1500);
    scene.ok("PUT", "settings", Some(slow)).await;
    let ana = scene.customer(0);
    for text in ["buenas", "quiero dos ajiacos", "y una bandeja paisa"] {
        scene.says(&ana, text).await;
    }
    let answered = scene.await_more(&ana, 0, "an answer").await;
    // What is answered after it comes after all else that was on its way.
    let next = scene.talk(&ana, "ver").await;
    assert!(next.join("\n").contains("Bandeja") && next.join("\n").contains("Ajiaco"), "{next:#?}");
    scene.talk(&ana, "hablar con alguien").await;
    let all = scene.got(&ana).await;
    assert_eq!(all[..2], [answered[0].clone(), next[0].clone()], "answered more than once: {all:#?}");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_changes_before_the_confirmation_is_shown_before_it_counts() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let ana = scene.customer(0);
    scene.order_up_to_the_summary(&ana).await;
    scene.ok("PUT", "menu", Some(menu(30_000))).await;
    let shown = scene.talk(&ana, "sí").await.join("\n");
    assert!(shown.contains("$ 67.000"), "{shown}");
    assert_eq!(scene.orders().await, Vec::<Value>::new(), "ordered at a price that nobody was shown");
    scene.talk(&ana, "sí").await;
    let found = scene.orders().await;
    assert_eq!((found.len(), &found[0]["total"]), (1, &json!(67_000)));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_paid_is_told_and_a_cancelled_order_is_never_paid() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let mut prepaid = settings();
    (prepaid["paymentMethods"], prepaid["prepayMethods"]) = (json!(["nequi"]), json!(["nequi"]));
    scene.ok("PUT", "settings", Some(prepaid)).await;
    let order = async |nth: usize| {
        let customer = scene.customer(nth);
        for text in ORDER.into_iter().chain(["nequi", "sí"]) {
            scene.talk(&customer, text).await;
        }
        let found = scene.orders().await;
        let of = |order: &&Value| order["telefono"] == json!(customer);
        found.iter().find(of).unwrap_or_else(|| panic!("{found:#?}"))["id"].as_str().unwrap().to_owned()
    };
    let (paid, cancelled) = (order(0).await, order(1).await);
    let before = scene.got(&scene.customer(0)).await.len();
    scene.ok("POST", &format!("orders/{paid}/payment"), None).await;
    let told = scene.await_more(&scene.customer(0), before, "word of the payment").await.join("\n");
    assert!(told.contains(&paid), "{told}");
    scene.ok("POST", &format!("orders/{paid}/payment"), None).await;
    scene.ok("POST", &format!("orders/{cancelled}/stage"), Some(json!({ "stage": "cancelado" }))).await;
    let (status, problem) = scene.ask("POST", &format!("orders/{cancelled}/payment"), None).await;
    assert_eq!((status, &problem["code"]), (409, &json!("no_payment_awaited")), "{problem}");
    // A repeat tells nobody again.
    let known = scene.got(&scene.customer(0)).await.len();
    assert_eq!(known, before + 1);
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn trying_touches_nobody() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let mut talk = Value::Null;
    let mut last = Value::Null;
    for text in ["quiero dos ajiacos", "listo", "paso a recogerlo", "sí"] {
        let mut body = json!({ "text": text });
        if !talk.is_null() {
            body["conversation"] = talk;
        }
        last = scene.ok("POST", "try", Some(body)).await;
        assert!(!last["replies"].as_array().unwrap().is_empty(), "{text}: {last}");
        if text == "quiero dos ajiacos" {
            assert_eq!(
                (&last["intent"], &last["cart"][0]["item"], &last["cart"][0]["qty"]),
                (&json!("order"), &json!("aji"), &json!(2))
            );
        }
        talk = last["conversation"].clone();
    }
    assert_eq!(scene.orders().await, Vec::<Value>::new(), "{last}");
    let old = json!({ "tenantId": TENANT, "from": "573001112233", "message": "quiero dos ajiacos" });
    let (status, answer) = ask(&scene.stage, "POST", "/api/baileys/test-message", Some(old)).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
    assert!(answer["response"].as_str().unwrap().contains("Ajiaco"), "{answer}");
    let (status, refused) =
        ask(&scene.stage, "POST", "/api/baileys/test-message", Some(json!({ "tenantId": TENANT }))).await;
    assert_eq!((status, &refused["success"]), (400, &json!(false)), "{refused}");
    assert_eq!(scene.ok("GET", "conversations", None).await["conversations"], json!([]));
    for customer in &scene.conversation.customers {
        assert_eq!(scene.got(customer).await, Vec::<String>::new());
    }
    scene.daemon.kill().await.unwrap();
}
