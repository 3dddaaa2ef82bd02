//! Whose a tenant's orders are when another number scans: they follow an owner who changes the number, and are closed to whoever makes a
//! deleted name again.

use serde_json::{Value, json};
use sessiond::demo::until;

use super::{Scene, TENANT};
use crate::{
    consumers::webhooks::ask,
    support::stage::{Home, LIMIT},
};

impl Scene {
    async fn asks_of_session(&self, method: &str, path: &str, body: Option<Value>) {
        let (status, answer) = ask(&self.stage, method, &format!("/api/sessions{path}"), body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}\n{}", self.stage.log());
    }

    async fn is_linked_to(&self, number: &str) {
        let qr = self.stage.dashboard.qr(TENANT).await.unwrap_or_else(|e| panic!("{e:#}\n{}", self.stage.log()));
        self.stage.network.scan(number, &qr).await.unwrap();
        let connected = || self.stage.dashboard.is_connected(TENANT);
        until(LIMIT, "the session to work", connected).await.unwrap_or_else(|e| panic!("{e}\n{}", self.stage.log()));
    }

    async fn is_made_anew(&self) {
        self.asks_of_session("DELETE", &format!("/{TENANT}"), None).await;
        self.asks_of_session("POST", "", Some(json!({ "name": TENANT }))).await;
    }

    async fn order_ids(&self) -> Vec<Value> {
        self.orders().await.iter().map(|order| order["id"].clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_follow_their_owner_and_nobody_else() {
    let scene = Scene::open(Home::Embedded).await.unwrap();
    let ana = scene.customer(0);
    scene.order_up_to_the_summary(&ana).await;
    scene.talk(&ana, "sí").await;
    let placed = scene.order_ids().await;
    let id = placed[0].as_str().unwrap().to_owned();
    let new = scene.stage.network.add_phone(None).await.number;
    let stranger = scene.stage.network.add_phone(None).await.number;

    // Another number of the same restaurant: the kitchen goes on, and the customer hears of it.
    scene.asks_of_session("POST", &format!("/{TENANT}/logout"), Some(json!({}))).await;
    let change = format!("/{TENANT}/account/change");
    scene.asks_of_session("PUT", &change, Some(json!({ "conversations": "keep" }))).await;
    scene.is_linked_to(&new).await;
    assert_eq!(scene.order_ids().await, placed);
    let before = scene.got(&ana).await.len();
    scene.ok("POST", &format!("orders/{id}/stage"), Some(json!({ "stage": "cocinando" }))).await;
    scene.await_more(&ana, before, "news of the order").await;
    let before = scene.got(&ana).await.len();
    scene.stage.network.customer_send(&ana, &new, "¿cómo va mi pedido?").await.unwrap();
    let told = scene.await_more(&ana, before, "how the order goes").await.join("\n");
    assert!(told.contains(&id), "{told}");

    // Whoever makes the name again is somebody else, and sees nobody's name and address.
    scene.is_made_anew().await;
    scene.is_linked_to(&stranger).await;
    assert_eq!(scene.order_ids().await, Vec::<Value>::new());
    for (method, path, body) in [
        ("GET", format!("orders/{id}"), None),
        ("POST", format!("orders/{id}/stage"), Some(json!({ "stage": "listo" }))),
    ] {
        let (status, answer) = scene.ask(method, &path, body).await;
        assert_eq!(status, 404, "{method} {path}: {answer}");
    }
    scene.is_made_anew().await;
    scene.is_linked_to(&new).await;
    assert_eq!(scene.order_ids().await, placed, "the account has come back");
    scene.daemon.kill().await.unwrap();
}
