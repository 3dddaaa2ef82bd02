//! Logins that WhatsApp does not want: whoever asks for them, and however often, only so many are made.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind};
use serde_json::json;
use sessiond::demo::{Conversation, Process, until};
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

async fn refused(stage: &Stage) -> u64 {
    stage.network.stats().await.counts.refused_logins
}

/// A dashboard that starts the session until it works.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_polls_is_no_storm_of_logins() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage.set("SESSIOND_SESSION__BACKOFF_MAX", "120s");
    let _daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    stage.network.fault(Fault::new(FaultKind::ConnectFailure).code(418)).await.unwrap();
    stage.network.fault(Fault::new(FaultKind::Drop).target(&tenant.number)).await.unwrap();
    until(LIMIT, "the refusal", async || refused(&stage).await > 0).await.unwrap();
    let began = Instant::now();
    for _ in 0..40 {
        stage.dashboard.post(&format!("/api/sessions/{TENANT}/start"), json!({})).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (tries, time) = (refused(&stage).await, began.elapsed());
    // Ten, then four a minute; and the first, which nobody asked for.
    let most = 12 + 4 * time.as_secs() / 60;
    assert!(tries <= most, "{tries} logins within {time:?}\n{}", stage.log());
    // One of them was made because it was asked for.
    assert!(tries > 1, "{tries} logins\n{}", stage.log());
}

/// The page with the QR code only looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_the_code_is_no_login() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage.set("SESSIOND_SESSION__BACKOFF_MAX", "120s");
    let _daemon = stage.start().await;
    stage.dashboard.qr(TENANT).await.unwrap();
    stage.network.fault(Fault::new(FaultKind::ConnectFailure).code(418)).await.unwrap();
    stage.network.fault(Fault::new(FaultKind::Drop)).await.unwrap();
    let connections = async || stage.network.stats().await.counts.connections;
    let status = async || stage.dashboard.get(&format!("/api/sessions/{TENANT}")).await.unwrap().body;
    let failed = until(LIMIT, "the refusal", async || status().await["status"] == json!("FAILED")).await;
    failed.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let before = connections().await;
    for _ in 0..40 {
        stage.dashboard.get(&format!("/api/baileys/qr?tenantId={TENANT}")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let made = connections().await - before;
    assert!(made <= 1, "{made} connections\n{}", stage.log());
}

/// The same device is in use elsewhere, and each takes the place of the other: however well it goes in between, this one is in no hurry.
#[tokio::test(flavor = "multi_thread")]
async fn a_fight_over_the_place_is_not_fought() {
    const SLOWLY: Duration = Duration::from_secs(8);
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage
        .set("SESSIOND_SESSION__BACKOFF_MAX", format!("{}s", SLOWLY.as_secs()))
        // It must not hurry either.
        .set("SESSIOND_HEARTBEAT__FIRST", "1s")
        .set("SESSIOND_HEARTBEAT__INTERVAL", "2s");
    let _daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    let to = &tenant.customers[0];
    for round in 0..3 {
        let text = format!("round {round}");
        let id = stage.dashboard.send(TENANT, to, &text, &text).await.unwrap();
        let arrived = async || {
            let inbox = stage.network.customer_inbox(to).await.unwrap();
            inbox.iter().any(|received| received.id == id)
        };
        until(LIMIT, "the message", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
        let logins = async || stage.network.stats().await.counts.logins;
        let (before, began) = (logins().await, Instant::now());
        stage.network.fault(Fault::new(FaultKind::Replaced)).await.unwrap();
        until(LIMIT, "the place", async || logins().await > before).await.unwrap();
        let took = began.elapsed();
        assert!(round == 0 || took >= SLOWLY, "round {round}: after {took:?}\n{}", stage.log());
        until(LIMIT, "the session", || stage.dashboard.is_connected(TENANT)).await.unwrap();
    }
    assert!(stage.log().contains("is the device in use elsewhere?"), "{}", stage.log());
}

/// Takes lines, and says nothing.
async fn silence() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws/chat", listener.local_addr().unwrap());
    let taking = tokio::spawn(async move {
        while let Ok((mut line, _)) = listener.accept().await {
            tokio::spawn(async move { while line.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} });
        }
    });
    (url, taking)
}

/// More sessions than may dial at once, and a WhatsApp that takes their lines and says nothing: whoever waits for its turn hears all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_turn_to_dial_hears() {
    const TENANTS: usize = 72;
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_SESSION__PRE_KEYS", "5");
    let daemon = stage.start().await;
    let names = (0..TENANTS).map(|n| format!("tenant-{n:02}"));
    let pairings = names.map(|name| Conversation::pair(&stage.network, &stage.dashboard, name, LIMIT));
    let paired: Vec<_> =
        futures::StreamExt::collect(futures::StreamExt::buffer_unordered(futures::stream::iter(pairings), 8)).await;
    let tenants: Vec<String> = paired.into_iter().map(|one| one.unwrap().tenant).collect();
    daemon.kill().await.unwrap();
    let (url, taking) = silence().await;
    // The port opens while they still wait.
    let stage = stage
        .set("SESSIOND_WHATSAPP__ENDPOINT", url)
        .set("SESSIOND_RESTORE__DEADLINE", "6s")
        .set("SESSIOND_RESTORE__TENANT_TIMEOUT", "3s");
    let _daemon: Process = stage.setup.start(2 * LIMIT).await.unwrap();
    let dashboard = &stage.dashboard;
    let session = async |tenant: &str| dashboard.get(&format!("/api/sessions/{tenant}")).await.unwrap().body;
    // All of them: who has a turn hears anyway.
    let began = Instant::now();
    let stops = tenants[..TENANTS / 2].iter().map(async |tenant| {
        dashboard.post(&format!("/api/sessions/{tenant}/stop"), json!({})).await.unwrap();
        (session(tenant).await["status"].clone(), began.elapsed())
    });
    let logouts = tenants[TENANTS / 2..].iter().map(async |tenant| {
        dashboard.post(&format!("/api/sessions/{tenant}/logout"), json!({})).await.unwrap();
        (session(tenant).await["paired"].clone(), began.elapsed())
    });
    let (stops, logouts) = tokio::join!(futures::future::join_all(stops), futures::future::join_all(logouts));
    for (status, took) in stops {
        assert_eq!(status, json!("STOPPED"), "after {took:?}\n{}", stage.log());
    }
    for (paired, took) in logouts {
        assert_eq!(paired, json!(false), "after {took:?}\n{}", stage.log());
        assert!(took < Duration::from_secs(28), "{took:?}");
    }
    taking.abort();
}
