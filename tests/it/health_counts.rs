//! `/health` counts what is wrong, for everybody: the vault, the disk, and tenants that no process serves.

use serde_json::{Value, json};
use sessiond::demo::until;

use crate::stage::{Home, LIMIT, Stage};

async fn problems(stage: &Stage) -> (u16, Value, Value) {
    let url = format!("http://{}/health", stage.setup.address);
    // Without a key.
    let response = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["status"].clone(), body["problems"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_and_then_the_disk_is_full() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let none = json!({ "vault": 0, "disk": 0, "unowned": 0 });
    assert_eq!(problems(&stage).await, (200, json!("ok"), none));
    daemon.kill().await.unwrap();
    let stage = stage.set("SESSIOND_DATA__RESERVE_MIB", "100000000");
    let daemon = stage.start().await;
    let full = json!({ "vault": 0, "disk": 1, "unowned": 0 });
    assert_eq!(problems(&stage).await, (503, json!("disk_full"), full));
    daemon.kill().await.unwrap();
}

/// Two processes have the vault; the one that served the tenant stops and says so, and the other has never had it.
#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_nobody_serves_are_counted() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let other = stage.other("other", false);
    let second = other.start().await;
    let first = stage.start().await;
    stage.pair("trattoria").await;
    // The other one has seen that the first lives.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    first.terminate(LIMIT).await.unwrap();
    let counted = || async {
        let (status, health) = other.health().await;
        assert_eq!(status, 200, "{health}");
        health["problems"]["unowned"] == json!(1)
    };
    let waited = until(LIMIT, "the count", counted).await;
    let (_, health) = other.health().await;
    waited.unwrap_or_else(|error| panic!("{error}: {health}\n{}", other.log()));
    assert_eq!(health["status"], json!("degraded"), "{health}");
    let ill = &health["sessions"]["ill"][0];
    assert_eq!((&ill["tenant"], ill["reason"].as_str().unwrap().contains("no process")), (&json!("trattoria"), true));
    // Whoever asks for it by name takes it.
    let started = other.dashboard.post("/api/sessions/trattoria/start", json!({})).await.unwrap();
    assert_eq!(started.status, 201, "{}", started.body);
    let well = || async { other.health().await.1["problems"]["unowned"] == json!(0) };
    until(LIMIT, "the end of it", well).await.unwrap();
    second.kill().await.unwrap();
}
