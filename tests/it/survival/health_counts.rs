//! `/health` counts what is wrong, for everybody: the vault, the disk, and tenants that no process serves.

use serde_json::{Value, json};
use sessiond::demo::until;

use crate::support::{
    proxy::{self, Mode},
    stage::{Home, LIMIT, Stage},
};

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
    let none = json!({ "vault": 0, "disk": 0, "unowned": 0, "offline": 0 });
    assert_eq!(problems(&stage).await, (200, json!("ok"), none));
    daemon.kill().await.unwrap();
    let stage = stage.set("SESSIOND_DATA__RESERVE_MIB", "100000000");
    let daemon = stage.start().await;
    let full = json!({ "vault": 0, "disk": 1, "unowned": 0, "offline": 0 });
    assert_eq!(problems(&stage).await, (503, json!("disk_full"), full));
    assert!(stage.log().contains("\"disk_full\""), "{}", stage.log());
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_changes_the_vault_does_not_take_is_counted() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    assert_eq!(problems(&stage).await.2["vault"], json!(0));
    proxy.set(Mode::Refuse);
    let (customer, number) = (&conversation.customers[0], &conversation.number);
    stage.network.customer_send(customer, number, "not in the vault").await.unwrap();
    let counted = || async { problems(&stage).await.2["vault"] == json!(1) };
    until(LIMIT, "the count", counted).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    // A restart would help nobody.
    assert_eq!(problems(&stage).await.0, 200);
    proxy.set(Mode::Pass);
    let well = || async { problems(&stage).await.2["vault"] == json!(0) };
    until(LIMIT, "the vault to be back", well).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
}

/// Nobody is served while WhatsApp is not reached, whatever the processes are.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_whatsapp_is_away_from_for_long_are_counted() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage.set("SESSIOND_HEARTBEAT__FIRST", "1s").set("SESSIOND_HEARTBEAT__INTERVAL", "1s");
    let daemon = stage.start().await;
    stage.pair("trattoria").await;
    assert_eq!(problems(&stage).await.1, json!("ok"));
    stage.network.stop().await;
    let counted = || async { problems(&stage).await.2["offline"] == json!(1) };
    until(LIMIT, "the count", counted).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let (status, word, _) = problems(&stage).await;
    assert_eq!((status, word), (200, json!("degraded")), "a restart would help nobody");
    stage.network.resume().await.unwrap();
    let well = || async { problems(&stage).await.1 == json!("ok") };
    until(LIMIT, "WhatsApp to be back", well).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
}

/// At once, and not after two heartbeats: WhatsApp is away for the only tenant; later it is logged out. One that somebody stops is nobody's
/// trouble.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_connected_is_not_ok() {
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_HEARTBEAT__INTERVAL", "120s");
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    assert_eq!(problems(&stage).await.1, json!("ok"));
    let is = async |word: &str, offline: usize| {
        let (status, found, problems) = problems(&stage).await;
        status == 200 && found == json!(word) && problems["offline"] == json!(offline)
    };
    stage.network.stop().await;
    let away = until(LIMIT, "nobody to be connected", || is("degraded", 1)).await;
    away.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    stage.network.resume().await.unwrap();
    until(LIMIT, "WhatsApp to be back", || is("ok", 0))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let stopped = stage.dashboard.post("/api/sessions/trattoria/stop", json!({})).await.unwrap();
    assert!(stopped.status < 300, "{}", stopped.body);
    assert!(is("ok", 0).await, "whoever is stopped should not be connected");
    let started = stage.dashboard.post("/api/sessions/trattoria/start", json!({})).await.unwrap();
    assert!(started.status < 300, "{}", started.body);
    until(LIMIT, "it to be connected", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    let devices = stage.network.devices(&conversation.number).await.unwrap();
    stage.network.unlink(&conversation.number, devices[0].id).await.unwrap();
    let out = until(LIMIT, "nobody to be connected", || is("degraded", 1)).await;
    out.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
}

/// Two processes have the vault, and a tenant pairs with the one that is told to stop: the other has never had it.
#[tokio::test(flavor = "multi_thread")]
async fn what_paired_with_a_process_that_stops_is_served_by_the_next() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set("SESSIOND_HEARTBEAT__DIRECTORY", "1s");
    let other = stage.other("other", false);
    let second = other.start().await;
    let first = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    first.terminate(LIMIT).await.unwrap();
    let served = || async { other.dashboard.is_connected("trattoria").await };
    until(LIMIT, "the tenant to be served", served).await.unwrap_or_else(|error| panic!("{error}\n{}", other.log()));
    let customer = &conversation.customers[0];
    other.dashboard.send("trattoria", customer, "here we are", "k").await.unwrap();
    let well = || async { other.health().await.1["problems"]["unowned"] == json!(0) };
    until(LIMIT, "nothing to be wrong", well).await.unwrap();
    assert_eq!(stage.network.stats().await.counts.pairings, 1);
    second.kill().await.unwrap();
}
