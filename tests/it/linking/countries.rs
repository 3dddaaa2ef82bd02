//! A tenant's own country: numbers that are typed without their country code are of that country, for this tenant only.

use serde_json::json;

use crate::support::stage::{Home, LIMIT, Stage};

/// Whom a text to `typed` goes to.
async fn addressee(stage: &Stage, tenant: &str, typed: &str) -> String {
    let body = json!({ "session": tenant, "chatId": typed, "text": "hola" });
    let answer = stage.dashboard.post("/api/sendText", body).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["id"].as_str().unwrap().split('_').nth(1).unwrap().to_owned()
}

/// The same by the old contract; whether it went to `expected`.
async fn goes_to(stage: &Stage, tenant: &str, typed: &str, expected: &str) -> bool {
    let body = json!({ "tenantId": tenant, "to": typed, "text": "hola" });
    let sent = stage.dashboard.post("/api/baileys/send", body).await.unwrap();
    assert_eq!(sent.status, 200, "{}", sent.body);
    let chat = stage.dashboard.get(&format!("/api/{tenant}/chats/{expected}/messages?limit=10")).await.unwrap();
    chat.body.to_string().contains(sent.body["messageId"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_dialed_where_the_tenant_is() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let new = json!({ "name": "taberna", "start": false, "config": { "country": "ES" } });
    let opened = stage.dashboard.post("/api/sessions", new).await.unwrap();
    assert_eq!((opened.status, &opened.body["config"]["country"]), (201, &json!("ES")), "{}", opened.body);
    let (_trattoria, _taberna) = (stage.pair("trattoria").await, stage.pair("taberna").await);
    assert_eq!(addressee(&stage, "taberna", "612 34 56 78").await, "34612345678@c.us");
    assert_eq!(addressee(&stage, "trattoria", "300 111 2233").await, "573001112233@c.us");
    assert_eq!(addressee(&stage, "taberna", "+57 300 111 2233").await, "573001112233@c.us");

    // Durable.
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    sessiond::demo::until(LIMIT, "taberna", || stage.dashboard.is_connected("taberna")).await.unwrap();
    assert_eq!(addressee(&stage, "taberna", "612345678").await, "34612345678@c.us");
    assert!(goes_to(&stage, "taberna", "612345678", "34612345678@c.us").await);

    // What is no country changes nothing, not the webhooks beside it either.
    let webhook = json!([{ "url": "https://example.com/hook", "events": ["*"] }]);
    for country in [json!("ESP"), json!("XX"), json!(34)] {
        let change = json!({ "config": { "country": country, "webhooks": webhook } });
        let refused = stage.dashboard.put("/api/sessions/taberna", change).await.unwrap();
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (400, &json!("country")), "{}", refused.body);
    }
    let change = json!({ "config": { "webhooks": webhook, "country": "MX" } });
    let changed = stage.dashboard.put("/api/sessions/taberna", change).await.unwrap();
    assert_eq!((changed.status, &changed.body["config"]["country"]), (200, &json!("MX")), "{}", changed.body);
    assert_eq!(changed.body["config"]["webhooks"].as_array().map(Vec::len), Some(1));
    let shown = stage.dashboard.get("/api/sessions/taberna").await.unwrap();
    assert_eq!(changed.body["config"], shown.body["config"], "what changes it has the same form");
    let changed = stage.dashboard.put("/api/sessions/taberna", json!({ "config": {} })).await.unwrap();
    assert_eq!(changed.body["config"]["country"], json!("CO"), "left out: as for all");
    daemon.kill().await.unwrap();
}
