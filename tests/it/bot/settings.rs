//! Menu and settings over HTTP: validated, versioned.

use serde_json::{Value, json};

use super::{TENANT, menu, settings};
use crate::{
    consumers::webhooks::ask,
    support::stage::{Home, Stage},
};

async fn put(stage: &Stage, what: &str, if_match: &str, body: &Value) -> (u16, Option<String>, Value) {
    let url = format!("http://{}/api/{TENANT}/bot/{what}", stage.setup.address);
    let request = reqwest::Client::new().put(url).header("X-Api-Key", &stage.setup.admin_key);
    let answer = request.header("If-Match", if_match).json(body).send().await.unwrap();
    let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    (answer.status().as_u16(), tag, answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_change_a_menu_do_not_undo_each_others_work() {
    let Some(stage) = Stage::new(Home::Embedded).await else { return };
    let daemon = stage.start().await;
    let (status, tag, _) = put(&stage, "menu", "\"0\"", &menu(1)).await;
    assert_eq!((status, tag.as_deref()), (200, Some("\"1\"")));
    let (status, _, problem) = put(&stage, "menu", "\"0\"", &menu(2)).await;
    assert_eq!((status, &problem["code"]), (412, &json!("wrong_version")), "{problem}");
    let (status, tag, _) = put(&stage, "menu", "\"1\"", &menu(3)).await;
    assert_eq!((status, tag.as_deref()), (200, Some("\"2\"")));
    assert_eq!(put(&stage, "menu", "\"abc\"", &menu(4)).await.0, 412);
    // Whoever writes only where nothing is yet writes over nobody's menu.
    let url = format!("http://{}/api/{TENANT}/bot/menu", stage.setup.address);
    let request = reqwest::Client::new().put(url).header("X-Api-Key", &stage.setup.admin_key);
    let answer = request.header("If-None-Match", "*").json(&menu(4)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 412);
    assert_eq!(put(&stage, "menu", "*", &menu(5)).await.0, 200);
    assert_eq!(put(&stage, "settings", "\"0\"", &settings()).await.0, 200);
    assert_eq!(put(&stage, "settings", "\"0\"", &settings()).await.0, 412);
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    let (_, shown) = ask(&stage, "GET", &format!("/api/{TENANT}/bot/menu"), None).await;
    assert_eq!(shown["items"][0]["price"], json!(5));
    let (_, shown) = ask(&stage, "GET", &format!("/api/{TENANT}/bot/settings"), None).await;
    assert_eq!((&shown["name"], &shown["active"]), (&json!("Trattoria"), &json!(true)));
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_field_by_field() {
    let Some(stage) = Stage::new(Home::Embedded).await else { return };
    let daemon = stage.start().await;
    let fields = async |what: &str, body: Value| {
        let (status, problem) = ask(&stage, "PUT", &format!("/api/{TENANT}/bot/{what}"), Some(body)).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_input")), "{problem}");
        let errors = problem["errors"].as_array().into_iter().flatten();
        errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let item = |id: &str, name: &str, price: Value| json!({ "id": id, "name": name, "price": price });
    let twice = json!({ "items": [item("a", "Ajiaco", json!(1)), item("a", "Arroz", json!(1))] });
    assert_eq!(fields("menu", twice).await, ["items[1].id"]);
    let nameless = json!({ "items": [item("a", "Ajiaco", json!(1)), item("b", "--", json!(1))] });
    assert_eq!(fields("menu", nameless).await, ["items[1].name"]);
    assert_eq!(fields("menu", json!({ "items": [item("a", "Ajiaco", json!(1.5))] })).await, ["items[0].price"]);
    let wrong = json!({ "deliveryTime": { "min": 50, "max": 40 }, "gatherMs": 100_000, "pacing": { "perHour": 0 } });
    assert_eq!(fields("settings", wrong).await, ["deliveryTime", "gatherMs", "pacing.perHour"]);
    // So is each of several values of another type.
    let untyped = json!({ "items": [item("a", "Ajiaco", json!("1")), { "id": 2, "name": "Arroz", "price": null }] });
    assert_eq!(fields("menu", untyped).await, ["items[0].price", "items[1].id", "items[1].price"]);
    let untyped =
        json!({ "name": 5, "gatherMs": "x", "rules": [{ "when": "away", "reply": 7 }], "pacing": { "perDay": "9" } });
    let mut named = fields("settings", untyped).await;
    named.sort();
    assert_eq!(named, ["gatherMs", "name", "pacing.perDay", "rules[0].reply"]);
    // A name that is misspelt changes nothing, and is said.
    assert_eq!(
        fields("settings", json!({ "activ": true, "deliveryCost": { "cost": 1, "minOrder": 2 } })).await,
        ["activ", "deliveryCost.minOrder"]
    );
    assert_eq!(
        fields("menu", json!({ "items": [{ "id": "a", "name": "Ajiaco", "price": 1, "alias": [] }] })).await,
        ["items[0].alias"]
    );
    // Nothing at all would set everything back.
    assert!(fields("settings", json!({})).await.is_empty());
    assert_eq!(fields("menu", json!({})).await, ["items"]);
    // What is shown is taken.
    for what in ["menu", "settings"] {
        let path = format!("/api/{TENANT}/bot/{what}");
        let body = if what == "menu" { menu(1) } else { settings() };
        assert_eq!(ask(&stage, "PUT", &path, Some(body)).await.0, 200);
        let (_, shown) = ask(&stage, "GET", &path, None).await;
        let (status, answer) = ask(&stage, "PUT", &path, Some(shown)).await;
        assert_eq!(status, 200, "{answer}");
    }
    // What may be written is told before: a text of its own with what it needs, and nothing else.
    let (status, told) = ask(&stage, "GET", &format!("/api/{TENANT}/bot/texts"), None).await;
    assert_eq!(status, 200, "{told}");
    let resume = told["texts"].as_array().unwrap().iter().find(|text| text["name"] == "resume").unwrap();
    assert_eq!((&resume["placeholders"], &resume["required"]), (&json!(["items"]), &json!(["items"])));
    assert!(resume["default"]["es"].as_str().unwrap().contains("{items}"), "{resume}");
    assert_eq!(told["samples"]["en"]["name"], json!("Ana"));
    daemon.kill().await.unwrap();
}
