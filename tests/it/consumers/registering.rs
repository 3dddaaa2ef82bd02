//! Socket.IO for a tenant that does not exist: the page is told so, and hears everything from the moment when somebody makes it.

use serde_json::json;

use crate::support::{
    node::{Script, program},
    stage::{Home, LIMIT, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn registering_for_a_tenant_that_does_not_exist_is_an_error() {
    let Some(folder) = program("socketio") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let url = format!("http://{}", stage.setup.address);
    let mut page = Script::start(&folder, &["client.mjs", &url, &stage.setup.admin_key, "trattoria"]);
    let first = page.line(LIMIT, |line| line["event"] != "connect").await;
    assert_eq!((&first["event"], &first["payload"]["code"]), (&json!("error"), &json!("unknown_tenant")), "{first}");
    assert_eq!(first["payload"]["tenantId"], json!("trattoria"), "{first}");

    // The page stays open, and somebody makes it.
    stage.dashboard.post("/api/sessions", json!({ "name": "trattoria", "start": false })).await.unwrap();
    let registered = page.line(LIMIT, |_| true).await;
    assert_eq!(registered["event"], json!("registered"), "{registered}");
    let conversation = stage.pair("trattoria").await;
    let connected = page.line(LIMIT, |line| line["payload"]["status"] == "connected").await;
    assert_eq!(connected["payload"]["details"]["phoneNumber"], json!(conversation.number));

    // Of one that exists nothing has changed, also where nobody has opened it since the start.
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    stage.dashboard.post("/api/sessions", json!({ "name": "pizzeria", "start": false })).await.unwrap();
    let mut other = Script::start(&folder, &["client.mjs", &url, &stage.setup.admin_key, "pizzeria"]);
    let first = other.line(LIMIT, |line| line["event"] != "connect").await;
    assert_eq!(first["event"], json!("registered"), "{first}");
    daemon.kill().await.unwrap();
}
