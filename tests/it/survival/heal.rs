//! What breaks a connection, and heals within one interval of the heartbeat; and what must not be healed by force.

use std::time::Duration;

use loopback::{Fault, FaultKind};
use serde_json::json;
use sessiond::demo::{Conversation, Ear, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const INTERVAL: Duration = Duration::from_secs(4);

struct HealScene {
    stage: Stage,
    conversations: Vec<Conversation>,
    ear: Ear,
    daemon: Process,
}

async fn scene() -> HealScene {
    let stage = Stage::new(Home::Embedded)
        .await
        .unwrap()
        .set("SESSIOND_HEARTBEAT__FIRST", "1s")
        .set("SESSIOND_HEARTBEAT__INTERVAL", format!("{}s", INTERVAL.as_secs()))
        .set("SESSIOND_HEARTBEAT__PING_TIMEOUT", "1s");
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair("trattoria").await];
    let ear = stage.listen(&conversations);
    conversations[0].customers_write(&stage.network, 1).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();
    HealScene { stage, conversations, ear, daemon }
}

impl HealScene {
    /// What customers write from now on arrives, and is answered, within an interval and the time of a login.
    async fn heals(mut self, what: &str) {
        self.conversations[0].customers_write(&self.stage.network, 2).await.unwrap();
        let limit = INTERVAL + Duration::from_secs(8);
        let stage = &self.stage;
        let answered = stage.tally.answer_all(&mut self.conversations, &stage.dashboard, &self.ear, limit).await;
        answered.unwrap_or_else(|error| panic!("{what} did not heal: {error:#}\n{}", stage.log()));
        stage.assert_promises(&self.conversations).await;
        self.daemon.kill().await.unwrap();
    }
}

async fn heals_from(fault: Fault) {
    let scene = scene().await;
    let what = format!("{fault:?}");
    scene.stage.network.fault(fault).await.unwrap();
    scene.heals(&what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_heals() {
    heals_from(Fault::new(FaultKind::Drop)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_unavailable_heals() {
    heals_from(Fault::new(FaultKind::StreamError).code(503)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_required_heals() {
    heals_from(Fault::new(FaultKind::StreamError).code(515)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_heals() {
    heals_from(Fault::new(FaultKind::StreamError).code(429)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_heals_when_whatsapp_is_well_again() {
    let scene = scene().await;
    let network = &scene.stage.network;
    network.fault(Fault::new(FaultKind::ConnectFailure).code(503).count(2)).await.unwrap();
    network.fault(Fault::new(FaultKind::Drop)).await.unwrap();
    scene.heals("two refused logins").await;
}

/// Codes of the moment that the library takes for final.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_for_the_moment_heals() {
    for code in [408, 429, 504, 599] {
        let scene = scene().await;
        let network = &scene.stage.network;
        network.fault(Fault::new(FaultKind::ConnectFailure).code(code).count(1)).await.unwrap();
        network.fault(Fault::new(FaultKind::Drop)).await.unwrap();
        scene.heals(&format!("a login refused with {code}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_whatsapp_heals() {
    let scene = scene().await;
    scene.stage.network.stop().await;
    // Another program may have its port for a moment.
    let network = &scene.stage.network;
    until(LIMIT, "its port", async || network.resume().await.is_ok()).await.unwrap();
    scene.heals("a restart of the network").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_longer_than_two_heartbeats_heals_within_one() {
    let scene = scene().await;
    let refusal = 2 * INTERVAL + Duration::from_secs(1);
    let network = &scene.stage.network;
    network.fault(Fault::new(FaultKind::Refuse).ms(refusal.as_millis() as u64)).await.unwrap();
    let dashboard = &scene.stage.dashboard;
    until(LIMIT, "the loss to be noticed", || async { !dashboard.is_connected("trattoria").await }).await.unwrap();
    until(refusal + INTERVAL + Duration::from_secs(5), "the session to be back", || {
        dashboard.is_connected("trattoria")
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    scene.heals("a long refusal").await;
}

/// The socket stays open and nothing is answered: only the heartbeat can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_silence_heals() {
    let scene = scene().await;
    let network = &scene.stage.network;
    network.fault(Fault::new(FaultKind::Silence).ms(2_000)).await.unwrap();
    scene.heals("a silence").await;
}

/// Pings are answered and messages kept back: a session that looks well and is deaf.
#[tokio::test(flavor = "multi_thread")]
async fn a_deaf_session_heals() {
    let scene = scene().await;
    // Until the connection is a new one.
    scene.stage.network.fault(Fault::new(FaultKind::Withhold).ms(INTERVAL.as_millis() as u64 * 20)).await.unwrap();
    let mut scene = scene;
    scene.conversations[0].customers_write(&scene.stage.network, 1).await.unwrap();
    let logins = scene.stage.network.stats().await.counts.logins;
    let network = scene.stage.network.clone();
    until(INTERVAL + Duration::from_secs(2), "a new login", || async { network.stats().await.counts.logins > logins })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    scene.stage.network.clear_faults().await;
    scene.heals("deafness").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlinked_device_asks_for_a_scan() {
    let scene = scene().await;
    let stage = &scene.stage;
    let number = scene.conversations[0].number.clone();
    let device = stage.network.devices(&number).await.unwrap()[0].id;
    stage.network.unlink(&number, device).await.unwrap();
    scene
        .ear
        .until(LIMIT, |heard| {
            heard.iter().any(|heard| {
                heard.event == "connection:status" && heard.payload["details"]["scanNeeded"] == json!(true)
            })
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let status = stage.dashboard.get("/api/baileys/status?tenantId=trattoria").await.unwrap();
    assert_eq!((&status.body["connected"], &status.body["paired"]), (&json!(false), &json!(false)), "{}", status.body);
    // And a scan helps.
    let qr = stage.dashboard.qr("trattoria").await.unwrap();
    stage.network.scan(&number, &qr).await.unwrap();
    until(LIMIT, "the second pairing", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    scene.daemon.kill().await.unwrap();
}

/// Still the owner by the vault: take the place back once, then slowly; no war of reconnects.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_session_does_not_loop() {
    let scene = scene().await;
    let network = scene.stage.network.clone();
    let before = network.stats().await.counts.logins;
    network.fault(Fault::new(FaultKind::Replaced)).await.unwrap();
    until(LIMIT, "the session to take its place back", || scene.stage.dashboard.is_connected("trattoria"))
        .await
        .unwrap();
    let after = network.stats().await.counts.logins;
    assert!(after - before <= 2, "{} logins after one replacement\n{}", after - before, scene.stage.log());
    scene.heals("a replacement").await;
}
