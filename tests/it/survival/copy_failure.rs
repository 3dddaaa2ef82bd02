//! The working copy fails, in nine ways, idle and in use, with messages in both directions: nothing is lost or refused at WhatsApp, and
//! the tenant comes back from the vault by itself. The same mechanism brings a session back that crashed.

use std::{path::PathBuf, time::Duration};

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;
use sessiond::demo::{Conversation, Ear, Process, until};

use crate::{
    support::{
        proxy::{self, Mode},
        stage::{Home, LIMIT, Stage},
    },
    survival::damage::{self, Damage},
    vault::lock as vault_lock,
};

const TENANT: &str = "trattoria";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// The file is closed, and the next that needs it opens it again.
    Idle,
    /// The file is open, and messages come.
    InUse,
}

impl When {
    /// What shows when the file is opened or read; last what leaves no file to be damaged again, when it is open.
    fn damages(self) -> &'static [Damage] {
        match self {
            Self::Idle => &[Damage::Folder, Damage::Zero, Damage::Truncate, Damage::Delete],
            Self::InUse => &[Damage::Zero, Damage::Truncate, Damage::Delete],
        }
    }
}

struct CopyFailureScene {
    stage: Stage,
    daemon: Process,
    conversations: Vec<Conversation>,
    ear: Ear,
}

impl CopyFailureScene {
    async fn new(home: Home, idle: &str) -> Option<Self> {
        Some(Self::on(Stage::new(home).await?, idle).await)
    }

    async fn on(stage: Stage, idle: &str) -> Self {
        let stage = stage.set("SESSIOND_SESSION__FILE_IDLE", idle).set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "10");
        let daemon = stage.start().await;
        let conversations = vec![stage.pair(TENANT).await, stage.pair("pizzeria").await];
        let ear = stage.listen(&conversations);
        let mut scene = Self { stage, daemon, conversations, ear };
        scene.talk("before").await;
        scene
    }

    async fn talk(&mut self, when: &str) {
        for conversation in &mut self.conversations {
            conversation.customers_write(&self.stage.network, 2).await.unwrap();
        }
        let stage = &self.stage;
        let answered = stage.tally.answer_all(&mut self.conversations, &stage.dashboard, &self.ear, LIMIT).await;
        if let Err(error) = answered {
            panic!("{when}: {error:#}\n{:#?}\n{}", stage.network.stats().await, stage.log());
        }
    }

    fn copy_of(&self, tenant: &str) -> PathBuf {
        let files = damage::working_copy(&self.stage.setup.data_dir, tenant);
        let mut databases = files.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "db"));
        databases.next().unwrap_or_else(|| panic!("{tenant} has no working copy\n{}", self.stage.log()))
    }

    fn has_open(&self, file: &std::path::Path) -> bool {
        damage::has_open(&self.daemon, file)
    }

    async fn assert_back(&self, when: &str) {
        until(LIMIT, "the tenant to be back", || self.stage.dashboard.is_connected(TENANT))
            .await
            .unwrap_or_else(|error| panic!("{when}: {error}\n{}", self.stage.log()));
        self.stage.assert_promises(&self.conversations).await;
    }

    async fn copies_failed(&self) -> u64 {
        self.stage.health().await.1["incidents"]["copies_failed"].as_u64().unwrap()
    }

    /// The next start, without the disk, is as if nothing had been.
    async fn restarts(mut self) {
        self.daemon.kill().await.unwrap();
        self.stage.wipe_local_data();
        self.daemon = self.stage.start().await;
        self.talk("after a restart").await;
        self.assert_back("after a restart").await;
        self.daemon.kill().await.unwrap();
    }
}

async fn survives_all_damages(home: Home, when: When) {
    let mut rng = StdRng::seed_from_u64(7);
    let idle = if when == When::Idle { "1s" } else { "60s" };
    let Some(mut scene) = CopyFailureScene::new(home, idle).await else { return };
    let older = std::fs::read(scene.copy_of(TENANT)).unwrap();
    scene.talk("since the older copy").await;
    for damage in when.damages() {
        let words = format!("{damage:?}, {when:?}");
        let file = scene.copy_of(TENANT);
        if when == When::Idle {
            until(LIMIT, "the file to be closed", || async { !scene.has_open(&file) }).await.unwrap();
        }
        let foreign = std::fs::read(scene.copy_of("pizzeria")).unwrap();
        damage.apply(&file, Some(&older), Some(&foreign), &mut rng).unwrap();
        scene.talk(&words).await;
        scene.assert_back(&words).await;
        println!("{words}: {} copies have failed so far", scene.copies_failed().await);
    }
    let failed = scene.copies_failed().await;
    // While a small file is open, all of it is in SQLite's cache: what happens to the file then may harm nobody.
    if when == When::Idle {
        assert!(failed >= when.damages().len() as u64, "{failed} copies failed\n{}", scene.stage.log());
    }
    let (status, health) = scene.stage.health().await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")));
    assert_eq!(health["incidents"]["crashes"], json!(0));
    scene.restarts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_damaged_while_it_is_idle_costs_nothing() {
    survives_all_damages(Home::Embedded, When::Idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_damaged_while_it_is_in_use_costs_nothing() {
    survives_all_damages(Home::Embedded, When::InUse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_damaged_while_it_is_idle_costs_nothing_with_firestore() {
    survives_all_damages(Home::Emulator, When::Idle).await;
}

/// No new copy can be made either: the tenant fails visibly, and goes on by itself when one can.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_is_told_and_waited_for() {
    let Some(mut scene) = CopyFailureScene::new(Home::Embedded, "1s").await else { return };
    let file = scene.copy_of(TENANT);
    let folder = file.parent().unwrap().to_owned();
    until(LIMIT, "the file to be closed", || async { !scene.has_open(&file) }).await.unwrap();
    // A file where the folder was: neither can be opened.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    scene.conversations[0].customers_write(&scene.stage.network, 1).await.unwrap();
    let failed = || async {
        let health = scene.stage.health().await.1;
        let ill = health["sessions"]["ill"].as_array().unwrap().clone();
        let mut mine = ill.iter().filter(|ill| ill["tenant"] == TENANT && ill["state"] == "FAILED");
        health["status"] == "degraded" && mine.next().is_some()
    };
    until(LIMIT, "the failure to be told", failed).await.unwrap_or_else(|e| panic!("{e}\n{}", scene.stage.log()));
    let refused = scene.stage.dashboard.send(TENANT, &scene.conversations[0].customers[0], "hello", "k").await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("503") || refused.contains("409"), "{refused}");
    // The other tenant does not notice.
    assert!(scene.stage.dashboard.is_connected("pizzeria").await);
    // Nothing to wait for: it fails for a while, again and again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::remove_file(&folder).unwrap();
    scene.talk("when the disk takes it again").await;
    scene.assert_back("when the disk takes it again").await;
    scene.restarts().await;
}

/// A bug in one task of one session: the session is opened anew, and no human is needed.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_crashes_comes_back() {
    let Some(stage) = Stage::new(Home::Embedded).await else { return };
    // In the supervisor, when the pairing is durable.
    let stage = stage.set("LOOPBACK_PANIC", "paired:1");
    let daemon = stage.start().await;
    let paired = Conversation::pair(&stage.network, &stage.dashboard, TENANT.into(), LIMIT).await;
    let mut conversations = vec![paired.unwrap_or_else(|error| panic!("{error:#}\n{}", stage.log()))];
    let ear = stage.listen(&conversations);
    conversations[0].customers_write(&stage.network, 2).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap_or_else(|error| {
        panic!("{error:#}\n{}", stage.log());
    });
    assert_eq!(stage.health().await.1["incidents"]["crashes"], json!(1), "{}", stage.log());
    stage.assert_promises(&conversations).await;
    daemon.kill().await.unwrap();
}

/// The vault does not take what the session that ended still has for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_closed_says_why() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let mut scene = CopyFailureScene::on(stage, "1s").await;
    let (network, customer) = (&scene.stage.network, scene.conversations[0].customers[0].clone());
    let file = scene.copy_of(TENANT);
    proxy.set(Mode::Refuse);
    network.customer_send(&customer, &scene.conversations[0].number, "not in the vault").await.unwrap();
    until(LIMIT, "the file to be closed", async || !scene.has_open(&file)).await.unwrap();
    Damage::Folder.apply(&file, None, None, &mut StdRng::seed_from_u64(7)).unwrap();
    network.customer_send(&customer, &scene.conversations[0].number, "into no copy").await.unwrap();
    let refusal = async || scene.stage.dashboard.get("/api/sessions/trattoria/account").await.unwrap().body;
    let told = async || refusal().await["code"] == json!("vault_down");
    if let Err(error) = until(LIMIT, "the reason", told).await {
        panic!("{error}: {}\n{}", refusal().await, scene.stage.log());
    }
    proxy.set(Mode::Pass);
    scene.talk("after the outage").await;
    scene.assert_back("after the outage").await;
}

/// Whoever asks while a tenant is restored is told so, by every route that needs its session, and not that there is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn requests_meanwhile_are_told_that_it_is_being_restored() {
    let Some(stage) = Stage::new(Home::Embedded).await else { return };
    // The next session is there a while before it connects.
    let mut scene = CopyFailureScene::on(stage.set("LOOPBACK_PAUSE", "supervisor:700"), "1s").await;
    let file = scene.copy_of(TENANT);
    until(LIMIT, "the file to be closed", || async { !scene.has_open(&file) }).await.unwrap();
    let vault = scene.stage.path("cloud").join("vault.db");
    // Nothing of the tenant can be read from the vault until it is let go.
    let holding = tokio::spawn(async move { vault_lock::hold(&vault, Duration::from_secs(4)).await });
    std::fs::remove_file(&file).unwrap();
    scene.conversations[0].customers_write(&scene.stage.network, 1).await.unwrap();
    let customer = scene.conversations[0].customers[0].clone();
    let dashboard = &scene.stage.dashboard;
    let mut codes = std::collections::BTreeMap::<(&str, u16, String), usize>::new();
    let mut count = |route, answer: anyhow::Result<sessiond::demo::ApiAnswer>| {
        let answer = answer.unwrap();
        let nothing = answer.status == 200 && (answer.body["count"] == json!(0) || answer.body["error"].is_string());
        let code = if nothing { "nothing" } else { answer.body["code"].as_str().unwrap_or("done") };
        *codes.entry((route, answer.status, code.to_owned())).or_default() += 1;
    };
    let send = || dashboard.post("/api/baileys/send", json!({ "tenantId": TENANT, "to": customer, "text": "hello" }));
    let mut sending = Box::pin(send());
    while !holding.is_finished() || !dashboard.is_connected(TENANT).await {
        tokio::select! {
            sent = &mut sending => {
                count("send", sent);
                sending = Box::pin(send());
            }
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
        count("conversations", dashboard.get("/api/baileys/conversations?tenantId=trattoria").await);
        let messages = format!("/api/baileys/messages?tenantId={TENANT}&chatId={customer}");
        count("messages", dashboard.get(&messages).await);
        count("stats", dashboard.get("/api/baileys/stats?tenantId=trattoria").await);
    }
    holding.await.unwrap();
    let honest = |status: u16, code: &str| status == 503 && code != "owned_elsewhere" || status < 300 && code == "done";
    assert!(codes.keys().all(|(_, status, code)| honest(*status, code)), "{codes:?}");
    assert!(codes.keys().any(|(_, _, code)| code == "restoring"), "{codes:?}");
}
