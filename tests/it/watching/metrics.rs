//! `/metrics` tells what happened, to whom it may concern, and no more of it the longer a process runs or the more strangers knock.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::{
    demo::{free_address, until},
    telemetry::metrics::family::FAMILIES,
};

use crate::{
    consumers::webhooks,
    support::{
        proxy::{self, Mode},
        receiver::{Post, Receiver, status},
        scrape::{Scrape, ask, assert_clean, promtool, scrape},
        stage::{Home, LIMIT, Stage},
    },
    watching::alerts,
};

/// Waits until a scrape shows it.
async fn shown(stage: &Stage, what: &str, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
    let looked = || async { is_so(&scrape(stage).await) };
    if let Err(error) = until(LIMIT, what, looked).await {
        panic!("{error}\n{}\n{}", scrape(stage).await.text, stage.log());
    }
    scrape(stage).await
}

async fn key(stage: &Stage, body: Value) -> String {
    let answer = stage.dashboard.post("/api/keys", body).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_counted_and_goes_with_its_tenant() {
    let stage = webhooks::stage().await.set("SESSIOND_HEARTBEAT__FIRST", "1s");
    let daemon = stage.start().await;
    let receiver = Receiver::start().await;
    let conversation = stage.pair("trattoria").await;
    webhooks::put(&stage, "trattoria", json!([webhooks::webhook(&receiver.url(), &["message"], 3)])).await;
    let ear = stage.listen(std::slice::from_ref(&conversation));
    ear.until(LIMIT, |heard| heard.iter().any(|heard| heard.event == "registered")).await.unwrap();
    let customer = &conversation.customers[0];
    for text in ["one", "two", "three"] {
        stage.network.customer_send(customer, &conversation.number, text).await.unwrap();
    }
    for key in ["a", "b"] {
        stage.dashboard.send("trattoria", customer, "an answer", key).await.unwrap();
    }
    receiver.until(LIMIT, "three messages", |posts| posts.len() >= 3).await;
    let told = shown(&stage, "everything", |scrape| {
        scrape.value("sessiond_messages_total{direction=\"in\",kind=\"text\"}") >= 3.0
            && scrape.value("sessiond_message_delivery_seconds_count{consumer=\"socketio\"}") >= 5.0
            && scrape.value("sessiond_webhook_deliveries_total{outcome=\"taken\"}") >= 3.0
            && scrape.value("sessiond_outbox_messages") == 0.0
            && scrape.value("sessiond_journal_backlog") == 0.0
            && scrape.value("sessiond_heartbeat_timestamp_seconds") > 0.0
    })
    .await;
    for (series, value) in [
        ("sessiond_build_info{version=\"0.1.0\",vault=\"embedded\"}", 1.0),
        ("sessiond_tenants", 1.0),
        ("sessiond_sessions{state=\"WORKING\"}", 1.0),
        ("sessiond_sessions{state=\"FAILED\"}", 0.0),
        ("sessiond_sessions_ill", 0.0),
        ("sessiond_tenants_unowned", 0.0),
        ("sessiond_session_state{tenant=\"trattoria\",state=\"WORKING\"}", 1.0),
        ("sessiond_session_ill{tenant=\"trattoria\"}", 0.0),
        ("sessiond_session_scan_needed{tenant=\"trattoria\"}", 0.0),
        ("sessiond_session_messages_total{tenant=\"trattoria\",direction=\"in\"}", 3.0),
        ("sessiond_session_messages_total{tenant=\"trattoria\",direction=\"out\"}", 2.0),
        ("sessiond_session_outbox_messages{tenant=\"trattoria\"}", 0.0),
        ("sessiond_session_webhook_owed_events{tenant=\"trattoria\"}", 0.0),
        ("sessiond_messages_total{direction=\"in\",kind=\"text\"}", 3.0),
        ("sessiond_messages_total{direction=\"out\",kind=\"text\"}", 2.0),
        ("sessiond_messages_total{direction=\"in\",kind=\"image\"}", 0.0),
        ("sessiond_message_delivery_seconds_count{consumer=\"socketio\"}", 5.0),
        ("sessiond_message_delivery_seconds_count{consumer=\"webhook\"}", 3.0),
        ("sessiond_decrypt_failures_total", 0.0),
        ("sessiond_pairings_total{outcome=\"paired\"}", 1.0),
        ("sessiond_pairings_total{outcome=\"other_account\"}", 0.0),
        ("sessiond_webhooks{state=\"ok\"}", 1.0),
        ("sessiond_webhooks{state=\"failing\"}", 0.0),
        ("sessiond_webhook_deliveries_total{outcome=\"taken\"}", 3.0),
        ("sessiond_webhook_duration_seconds_count", 3.0),
        ("sessiond_webhook_owed_events", 0.0),
        ("sessiond_webhook_parked_events_total", 0.0),
        ("sessiond_takeovers_total{reason=\"first\"}", 1.0),
        ("sessiond_restore_seconds_count", 1.0),
        ("sessiond_socketio_clients", 1.0),
        ("sessiond_vault_up", 1.0),
        ("sessiond_vault_operations_total{op=\"append\",outcome=\"unavailable\"}", 0.0),
        ("sessiond_http_requests_total{route=\"/api/baileys/send\",method=\"POST\",status=\"200\"}", 2.0),
        ("sessiond_http_request_duration_seconds_count{route=\"/api/baileys/send\"}", 2.0),
    ] {
        assert!(told.has(series), "{series} is not there\n{}", told.text);
        assert_eq!(told.value(series), value, "{series}\n{}", told.text);
    }
    let now = jiff::Timestamp::now().as_second() as f64;
    for series in [
        "sessiond_session_last_stanza_timestamp_seconds{tenant=\"trattoria\"}",
        "sessiond_heartbeat_timestamp_seconds",
        "process_start_time_seconds",
    ] {
        assert!((now - told.value(series)).abs() < 120.0, "{series} {}", told.value(series));
    }
    for series in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_threads"] {
        assert!(told.value(series) > 1.0, "{series}");
    }
    // The bill: as `/health` has it, which was asked a moment later.
    let usage = &stage.health().await.1["vault"];
    for (op, field) in [("read", "reads"), ("write", "writes")] {
        let shown = told.value(&format!("sessiond_vault_documents_total{{op=\"{op}\"}}"));
        let asked = usage[field].as_f64().unwrap();
        assert!(shown > 0.0 && shown <= asked && asked < shown + 50.0, "{op}: {shown}, then {asked}");
    }
    let appends = told.value("sessiond_vault_operations_total{op=\"append\",outcome=\"ok\"}");
    let measured = told.value("sessiond_vault_operation_seconds_count{op=\"append\"}");
    assert!(appends > 0.0 && (appends..appends + 3.0).contains(&measured), "{appends}, and {measured} measured");
    // The phone's own messages, which nobody sees, have to be durable as well.
    assert!(told.value("sessiond_message_durable_seconds_count") >= 3.0);
    for family in FAMILIES {
        assert!(told.types.contains_key(family.name), "{} is nowhere", family.name);
    }
    // The library's own, but for what means nothing with several sessions.
    for series in ["wa_connect_total{outcome=\"ok\"}", "wa_send_total{kind=\"dm\"}", "wa_iq_duration_seconds_count"] {
        assert!(told.value(series) >= 1.0, "{series} is not there\n{}", told.text);
    }
    let of_library = told.types.keys().filter(|name| name.starts_with("wa_")).count();
    assert!(!told.types.contains_key("wa_connected"));
    assert_eq!(told.types.len() - of_library, FAMILIES.len(), "{:?}", told.types);
    if let Some(output) = promtool(&["check", "metrics"], &told.text) {
        assert_clean(&output);
    }

    // A line that drops is dialed again, and both are counted.
    stage.network.fault(Fault::new(FaultKind::Drop).target(conversation.number.clone())).await.unwrap();
    shown(&stage, "the reconnect", |scrape| {
        scrape.value("sessiond_disconnects_total{reason=\"dropped\"}") >= 1.0
            && scrape.value("sessiond_reconnects_total{reason=\"dropped\"}") >= 1.0
            && scrape.value("sessiond_sessions{state=\"WORKING\"}") == 1.0
    })
    .await;

    // A receiver that answers no, and one that is gone.
    receiver.answers(|_| status(500));
    stage.network.customer_send(customer, &conversation.number, "four").await.unwrap();
    shown(&stage, "a webhook that fails", |scrape| {
        scrape.value("sessiond_webhook_deliveries_total{outcome=\"refused\"}") >= 1.0
            && scrape.value("sessiond_webhooks{state=\"failing\"}") == 1.0
            && scrape.value("sessiond_webhook_owed_events") == 1.0
            && scrape.value("sessiond_session_webhook_owed_events{tenant=\"trattoria\"}") == 1.0
    })
    .await;

    let deleted = webhooks::ask(&stage, "DELETE", "/api/sessions/trattoria", None).await;
    assert!((200..300).contains(&deleted.0), "{deleted:?}");
    drop(ear);
    let left = shown(&stage, "the tenant to be gone", |scrape| {
        scrape.containing("trattoria").is_empty() && scrape.value("sessiond_socketio_clients") == 0.0
    })
    .await;
    assert_eq!((left.value("sessiond_tenants"), left.value("sessiond_webhooks{state=\"failing\"}")), (0.0, 0.0));
    // What was counted of it stays counted.
    assert!(left.value("sessiond_messages_total{direction=\"in\",kind=\"text\"}") >= 4.0);
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_does_not_answer_is_counted() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let receiver = Receiver::start().await;
    let stage = alerts::at_once(stage, &receiver);
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    assert_eq!(scrape(&stage).await.value("sessiond_vault_up"), 1.0);
    proxy.set(Mode::Refuse);
    let (customer, number) = (&conversation.customers[0], &conversation.number);
    stage.network.customer_send(customer, number, "not in the vault").await.unwrap();
    shown(&stage, "the outage", |scrape| {
        scrape.value("sessiond_vault_operations_total{op=\"append\",outcome=\"unavailable\"}") >= 1.0
            && scrape.value("sessiond_vault_up") == 0.0
            && scrape.value("sessiond_journal_backlog") >= 1.0
    })
    .await;
    // And told, although the vault is where everything else is kept.
    let says = |words: &'static str| move |posts: &[Post]| alerts::told(posts).contains(&words.to_owned());
    receiver.until(LIMIT, "the alert", says("firing vault_down")).await;
    proxy.set(Mode::Pass);
    shown(&stage, "the vault to be back", |scrape| {
        scrape.value("sessiond_vault_up") == 1.0
            && scrape.value("sessiond_journal_backlog") == 0.0
            && scrape.has("sessiond_build_info{version=\"0.1.0\",vault=\"firestore\"}")
    })
    .await;
    receiver.until(LIMIT, "its end", says("resolved vault_down")).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_it() {
    let open = free_address().unwrap();
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage.set("SESSIOND_METRICS__LISTEN", open.to_string()).set("SESSIOND_METRICS__PER_TENANT", "off");
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    let of_a_tenant = key(&stage, json!({ "session": "trattoria" })).await;
    let of_an_admin = key(&stage, json!({ "isAdmin": true })).await;
    let of_metrics = key(&stage, json!({ "actions": { "metrics": true } })).await;
    for (credential, expected) in [
        (None, 401),
        (Some("key_nonsense"), 401),
        (Some(&*of_a_tenant), 403),
        (Some(&*of_metrics), 200),
        (Some(&*of_an_admin), 200),
        (Some(&*stage.setup.admin_key), 200),
    ] {
        let answer = ask(stage.setup.address, credential).await;
        assert_eq!(answer.status(), expected, "{credential:?}");
        assert_eq!(answer.text().await.unwrap().contains("sessiond_build_info"), expected == 200, "{credential:?}");
    }
    // And nothing else with it.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/api/sessions/trattoria", "/api/keys", "/api/trattoria/webhooks"] {
        let url = format!("http://{}{path}", stage.setup.address);
        let answer = client.get(url).bearer_auth(&of_metrics).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
    let url = format!("http://{}/api/sessions?all=true", stage.setup.address);
    let listed: Value = client.get(url).bearer_auth(&of_metrics).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed, json!([]));
    // Its own address needs no key, and shows nothing else.
    let answer = ask(open, None).await;
    assert_eq!(answer.status(), 200);
    let told = Scrape::parse(answer.text().await.unwrap());
    assert_eq!(told.value("sessiond_tenants"), 1.0);
    assert_eq!(told.containing("tenant=\""), Vec::<&str>::new(), "metrics.per_tenant is off");
    for path in ["/api/tenants", "/health", "/console/", "/"] {
        assert_eq!(client.get(format!("http://{open}{path}")).send().await.unwrap().status(), 404, "{path}");
    }
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_make_no_series() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let knock = async |method: &str, path: &str| {
        let url = format!("http://{}{path}", stage.setup.address);
        client.request(method.parse().unwrap(), url).bearer_auth(&stage.setup.admin_key).send().await.unwrap()
    };
    // One of each, then many that differ.
    for method in ["GET", "POST", "BREW"] {
        knock(method, "/none").await;
    }
    knock("GET", "/api/x/chats").await;
    knock("DELETE", "/health").await;
    let before = scrape(&stage).await.containing("").len();
    for n in 0..200 {
        knock("GET", &format!("/nothing/{n}?x={n}")).await;
        knock(&format!("BREW{n}"), &format!("/%22%0a{n}")).await;
        knock("GET", &format!("/api/no-such-{n}/chats")).await;
        knock("POST", &format!("/none/{n}")).await;
    }
    let after = scrape(&stage).await;
    // The first scrape is in the second.
    assert!(after.containing("").len() <= before + 12, "{before}, then {}\n{}", after.containing("").len(), after.text);
    assert!(after.value("sessiond_http_requests_total{route=\"unmatched\",method=\"other\",status=\"404\"}") >= 200.0);
    assert!(after.containing("BREW").is_empty() && after.containing("no-such").is_empty(), "{}", after.text);
    daemon.kill().await.unwrap();
}

/// As many as have series of their own without being asked, with the longest names that there can be.
#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_of_a_thousand_tenants_is_bounded() {
    const TENANTS: usize = 1000;
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let name = |n: usize| format!("{n:0>64}");
    let make = |n: usize| {
        let (dashboard, body) = (stage.dashboard.clone(), json!({ "name": name(n), "start": false }));
        async move { assert_eq!(dashboard.post("/api/sessions", body).await.unwrap().status, 201) }
    };
    let few: Vec<usize> = (0..TENANTS).collect();
    for some in few.chunks(16) {
        futures::future::join_all(some.iter().map(|n| make(*n))).await;
    }
    let told = shown(&stage, "all tenants", |scrape| scrape.value("sessiond_tenants") == TENANTS as f64).await;
    assert!(told.containing(&name(TENANTS - 1)).len() >= 6, "{:?}", told.containing(&name(TENANTS - 1)));
    assert!(told.text.len() <= 2 << 20, "{} bytes", told.text.len());
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        scrape(&stage).await;
        best = best.min(began.elapsed());
    }
    println!("a scrape of {TENANTS} tenants: {} bytes, {} ms", told.text.len(), best.as_millis());
    // With the parsing here, unoptimised, beside other tests: the daemon's own part of it is far less.
    assert!(best < Duration::from_millis(1000), "{best:?}");
    // One more, and none has series.
    make(TENANTS).await;
    let told = shown(&stage, "one more", |scrape| scrape.value("sessiond_tenants") == 1.0 + TENANTS as f64).await;
    assert_eq!(told.containing("tenant=\""), Vec::<&str>::new());
    daemon.kill().await.unwrap();
}
