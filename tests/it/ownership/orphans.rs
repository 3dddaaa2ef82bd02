//! Tenants between two processes, where something small goes wrong: a record that is not written or is spoilt, a caller that goes away, an
//! owner that has just died. Nobody is taken from a process that lives, nobody stays unserved, and no answer is false.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use sessiond::demo::{Conversation, Process, Setup, until};

use crate::{
    support::{
        proxy::{self, Mode},
        receiver::Receiver,
        scrape::{self, Scrape},
        stage::{Home, LIMIT, Other, Stage},
    },
    watching::alerts,
};

const TENANT: &str = "trattoria";

fn vault(stage: &Stage) -> Connection {
    let vault = Connection::open(stage.path("cloud/vault.db")).unwrap();
    vault.busy_timeout(LIMIT).unwrap();
    vault
}

/// A tenant that paired at a process which has died, while another was there that does not know it: its next look is far away.
async fn orphan(arrange: impl FnOnce(Setup) -> Setup) -> (Stage, Conversation, Other, Process) {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let old = stage.start().await;
    let mut other = stage.other("other", false);
    other.setup = arrange(other.setup);
    let process = other.start().await;
    let conversation = stage.pair(TENANT).await;
    old.kill().await.unwrap();
    (stage, conversation, other, process)
}

/// Others cannot know of a process whose record is not written, and answer it no letter: it must not take them for dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_record_is_not_written_takes_nothing() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let old = stage.start().await;
    let conversations = vec![stage.pair(TENANT).await];
    let refuses =
        "CREATE TRIGGER refuses BEFORE INSERT ON instances WHEN NOT EXISTS (SELECT 1 FROM instances WHERE id = NEW.id)
                   BEGIN SELECT RAISE(FAIL, 'not now'); END";
    vault(&stage).execute_batch(refuses).unwrap();
    let (other, logins) = (stage.other("other", false), stage.network.stats().await.counts.logins);
    let mut new = other.setup.spawn().unwrap();
    // Longer than anybody waits for a sign of life.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        assert_eq!(
            stage.network.stats().await.counts.logins,
            logins,
            "taken from a process that lives\n{}",
            other.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(other.log().contains("this instance's record was not written"), "{}", other.log());
    vault(&stage).execute_batch("DROP TRIGGER refuses").unwrap();
    new.await_port(LIMIT).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    assert!(stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    assert_eq!(old.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    let served = || other.dashboard.is_connected(TENANT);
    until(LIMIT, "the tenant to be handed over", served).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    assert_eq!(stage.network.stats().await.counts.replaced_logins, 0);
    stage.assert_promises(&conversations).await;
    new.kill().await.unwrap();
}

/// Another hand has written into the instances and the letters.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_record_of_a_process_stops_no_other() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let old = stage.start().await;
    let conversations = vec![stage.pair(TENANT).await];
    let spoilt = "INSERT INTO instances (id, version, started_at, heartbeat_at, draining)
                  VALUES ('spoilt', x'ff', 9223372036854775807, 'yesterday', 'perhaps');
                  INSERT INTO letters (recipient, sender, payload) SELECT id, 'spoilt', 17 FROM instances;";
    vault(&stage).execute_batch(spoilt).unwrap();
    let other = stage.other("other", false);
    let new = other.start().await;
    assert!(stage.dashboard.is_connected(TENANT).await && !other.dashboard.is_connected(TENANT).await);
    assert_eq!(old.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    let served = || other.dashboard.is_connected(TENANT);
    until(LIMIT, "the tenant to be handed over", served).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    assert_eq!(stage.network.stats().await.counts.replaced_logins, 0);
    let removed = || async {
        let left: u32 = vault(&stage).query_row("SELECT count(*) FROM instances", [], |row| row.get(0)).unwrap();
        left == 1
    };
    until(LIMIT, "nobody's record to be removed", removed).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    stage.assert_promises(&conversations).await;
    new.kill().await.unwrap();
}

/// Half an opening would keep the tenant's place, and whoever takes over what nobody serves passes by. Meanwhile the operator is told that
/// nobody serves it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_while_a_tenant_is_opened_leaves_it_served() {
    let receiver = Receiver::start().await;
    let arrange = |setup: Setup| {
        let setup = alerts::tells_at_once(setup, &receiver).set("SESSIOND_ALERTS__UNOWNED", "0s");
        setup.set("LOOPBACK_PAUSE", "opening:3000")
    };
    let (stage, conversation, other, process) = orphan(arrange).await;
    let hasty = reqwest::Client::builder().timeout(Duration::from_secs(1)).build().unwrap();
    let chats = format!("http://{}/api/{TENANT}/chats", other.setup.address);
    let went_away = hasty.get(chats).header("X-Api-Key", &other.setup.admin_key).send().await;
    assert!(went_away.is_err_and(|error| error.is_timeout()), "{}", other.log());
    let served = || other.dashboard.is_connected(TENANT);
    until(LIMIT, "the tenant to be served", served).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    let told = ["firing unowned trattoria", "resolved unowned trattoria"];
    receiver.until(LIMIT, "the alert and its end", |posts| alerts::told(posts) == told).await;
    let text = receiver.posts()[0].json["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.starts_with("🔴 Ningún proceso atiende al restaurante: trattoria\n→ "), "{text}");
    stage.assert_promises(&[conversation]).await;
    process.kill().await.unwrap();
}

/// How often a process has asked the vault for anything.
async fn questions(process: &Other) -> f64 {
    let answer = scrape::ask(process.setup.address, Some(&process.setup.admin_key)).await;
    let scrape = Scrape::parse(answer.text().await.unwrap());
    scrape.containing("sessiond_vault_operations_total{").iter().map(|series| scrape.value(series)).sum()
}

/// Each of those who write asking a vault that is slow already would make it answer nobody, also not those who take over what the dead
/// process had.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_for_an_orphan_a_silent_vault_is_asked_once() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage = stage
        .set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "2s")
        // Nobody looks by itself within the test.
        .set("SESSIOND_HEARTBEAT__ANNOUNCE", "600s");
    let old = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    let other = stage.other("other", false);
    let process = other.start().await;
    assert!(!other.dashboard.is_connected(TENANT).await, "taken from a process that lives\n{}", other.log());
    old.kill().await.unwrap();
    proxy.set(Mode::Hang);

    let (before, customer) = (questions(&other).await, &conversation.customers[0]);
    let keys: Vec<String> = (0..40).map(|n| format!("key {n}")).collect();
    let sends = keys.iter().map(|key| other.dashboard.send(TENANT, customer, "a word", key));
    for refused in futures::future::join_all(sends).await {
        let refused = refused.expect_err("nobody can have it").to_string();
        assert!(refused.contains("503") && refused.contains("vault_down"), "{refused}\n{}", other.log());
    }
    let asked = questions(&other).await - before;
    println!("{} sends: {asked} questions", keys.len());
    assert!(asked <= 10.0, "{} sends: {asked} questions\n{}", keys.len(), other.log());

    proxy.set(Mode::Pass);
    let sent = || async { other.dashboard.send(TENANT, customer, "a word", &keys[0]).await.is_ok() };
    until(LIMIT, "it to be taken over", sent).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    process.kill().await.unwrap();
}

/// A dashboard has just asked this process to connect it, and who has it is being read. Whoever asks meanwhile how it stands is not told
/// that it is being restored, or disconnected.
#[tokio::test(flavor = "multi_thread")]
async fn how_a_tenant_stands_is_said_when_it_is_known_who_has_it() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let old = stage.start().await;
    let mut other = stage.other("other", false);
    other.setup = other.setup.set("LOOPBACK_PAUSE", "owner:3000");
    let process = other.start().await;
    let conversations = vec![stage.pair(TENANT).await];
    // Of another that this process has never heard of, too: it has not got no conversations, nor is it only not connected.
    stage.dashboard.qr("pizzeria").await.unwrap();
    let refused = other.dashboard.send("pizzeria", &conversations[0].customers[0], "hello", "hello").await.unwrap_err();
    assert!(refused.to_string().contains("owned_elsewhere"), "{refused}");
    let refused = other.dashboard.get("/api/baileys/conversations?tenantId=pizzeria").await.unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("owned_elsewhere")), "{}", refused.body);
    let connects = other.dashboard.post("/api/baileys/connect", json!({ "tenantId": TENANT }));
    let asks = async |path: &str| {
        let is_looked_up = || async { other.log().contains("a pause on purpose") };
        until(LIMIT, "the look", is_looked_up).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
        other.dashboard.get(path).await
    };
    let answers = tokio::join!(
        connects,
        asks("/api/baileys/status?tenantId=trattoria"),
        asks("/api/baileys/qr?tenantId=trattoria"),
        asks("/api/sessions/trattoria"),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("owned_elsewhere")), "{}", answer.body);
    }
    assert!(stage.dashboard.is_connected(TENANT).await);
    stage.assert_promises(&conversations).await;
    process.kill().await.unwrap();
    old.kill().await.unwrap();
}

/// "Disconnected" is said of what is disconnected.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_process_has_just_died_is_unlinked_by_another() {
    let (stage, conversation, other, process) = orphan(|setup| setup).await;
    let answer = other.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let unlinked =
        || async { stage.network.devices(&conversation.number).await.is_ok_and(|devices| devices.is_empty()) };
    until(LIMIT, "the phone to show no device", unlinked).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    assert!(!other.dashboard.is_connected(TENANT).await);
    process.kill().await.unwrap();
}

/// A dashboard hears its tenant again soon after that has moved, however long the process that it is connected to has to go on for another.
#[tokio::test(flavor = "multi_thread")]
async fn dashboards_of_a_tenant_that_has_moved_are_sent_on() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let mut old = stage.start().await;
    let conversations = vec![stage.pair(TENANT).await];
    // A code on a screen keeps the process.
    stage.dashboard.qr("pizzeria").await.unwrap();
    let ear = stage.listen(&conversations);
    let lines = || ear.heard().iter().filter(|heard| heard.event == "registered").count();
    until(LIMIT, "the dashboard", || async { lines() == 1 }).await.unwrap();
    let other = stage.other("other", false);
    let new = other.start().await;
    old.signal(rustix::process::Signal::TERM).unwrap();
    let served = || other.dashboard.is_connected(TENANT);
    until(LIMIT, "the tenant to be handed over", served).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    let sent_on = || async { lines() >= 2 };
    let waited = until(Duration::from_secs(10), "the dashboard to be sent on", sent_on).await;
    waited.unwrap_or_else(|e| panic!("{e}\n{:?}\n{}", ear.heard(), stage.log()));
    assert!(!old.has_ended().unwrap(), "the code is on the screen\n{}", stage.log());
    drop(old);
    new.kill().await.unwrap();
}
