//! Requests whose client leaves before it is answered, and a name that is taken anew while its last session goes.

use std::time::Duration;

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::until;

use crate::{
    consumers::webhooks,
    support::stage::{LIMIT, Stage},
};

/// Asks, and leaves without the answer.
async fn ask_and_leave(stage: &Stage, method: &str, path: &str, body: Value) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(400)).build().unwrap();
    let request = client.request(method.parse().unwrap(), format!("http://{}{path}", stage.setup.address));
    let answer = request.header("X-Api-Key", &stage.setup.admin_key).json(&body).send().await;
    assert!(answer.is_err_and(|error| error.is_timeout()), "{method} {path} was answered at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_made_whole_and_deleted_whole_though_nobody_waits() {
    let stage = webhooks::stage().await.set("LOOPBACK_PAUSE", "opening:1500");
    let daemon = stage.start().await;
    let new = json!({ "name": "trattoria", "displayName": "Da Nino", "config": { "metadata": { "a": "1" } } });
    ask_and_leave(&stage, "POST", "/api/sessions", new).await;
    let is_whole = || async {
        let session = stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body;
        let tenant = stage.dashboard.get("/api/tenant/trattoria").await.unwrap().body;
        let is_started = session["status"] != json!("STOPPED");
        is_started && session["config"]["metadata"]["a"] == json!("1") && tenant["tenant"]["name"] == json!("Da Nino")
    };
    until(LIMIT, "the session to be whole", is_whole).await.unwrap();

    stage.pair("trattoria").await;
    let key = json!({ "session": "trattoria", "isAdmin": false, "isActive": true, "actions": { "read": true } });
    let key = stage.dashboard.post("/api/keys", key).await.unwrap().body["key"].as_str().unwrap().to_owned();
    let reader = reqwest::Client::builder().no_proxy().build().unwrap();
    let read = || async {
        let url = format!("http://{}/api/sessions/trattoria", stage.setup.address);
        reader.get(url).header("X-Api-Key", &key).send().await.unwrap().status().as_u16()
    };
    assert_eq!(read().await, 200);
    // WhatsApp takes its time to answer that the device is unlinked.
    stage.network.fault(Fault::new(FaultKind::Latency).ms(1500)).await.unwrap();
    ask_and_leave(&stage, "DELETE", "/api/sessions/trattoria", json!({})).await;
    let is_gone = || async { stage.dashboard.get("/api/sessions/trattoria").await.unwrap().status == 404 };
    until(LIMIT, "the session to be gone", is_gone).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    assert_eq!(read().await, 401, "the next session of this name is open to the old key");
    daemon.kill().await.unwrap();
}

/// Both would have their working copy in one folder, which the older removes.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_free_when_its_last_session_is_closed() {
    let stage = webhooks::stage().await.set("LOOPBACK_PAUSE", "deleting:1500");
    let daemon = stage.start().await;
    let new = json!({ "name": "trattoria", "start": false });
    let (status, made) = webhooks::ask(&stage, "POST", "/api/sessions", Some(new.clone())).await;
    assert_eq!(status, 201, "{made}");
    let made_anew = || async { webhooks::ask(&stage, "POST", "/api/sessions", Some(new.clone())).await.0 == 201 };
    let (deleted, made) = tokio::join!(
        webhooks::ask(&stage, "DELETE", "/api/sessions/trattoria", None),
        until(LIMIT, "the name to be free", made_anew),
    );
    assert_eq!(deleted.0, 200, "{}", deleted.1);
    made.unwrap();
    let config = json!({ "config": { "metadata": { "a": "1" } } });
    let (status, changed) = webhooks::ask(&stage, "PUT", "/api/sessions/trattoria", Some(config)).await;
    assert_eq!(status, 200, "{changed}\n{}", stage.log());
    let (_, health) = stage.health().await;
    assert_eq!(health["incidents"]["copies_failed"], json!(0), "{health}");
    daemon.kill().await.unwrap();
}
