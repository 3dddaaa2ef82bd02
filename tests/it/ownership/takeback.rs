//! A dead process holds nobody: what it had taken is served again, by itself and at once when somebody asks. A living one is left alone.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use sessiond::{
    cluster::should_own,
    demo::{Conversation, Dashboard, Ear, Process, Sent, until},
    vault::{Instance, Vault as _, embedded::Embedded},
};

use crate::{
    consumers::cursors,
    support::{
        proxy::{self, Mode},
        stage::{Home, LIMIT, Other, Stage},
    },
};

const TENANT: &str = "trattoria";

/// Nobody looks by itself within a test.
const NEVER: &str = "600s";

/// A process that has lost its tenant to another that believed it dead: it was stopped, and goes on.
struct Deploy {
    stage: Stage,
    conversations: Vec<Conversation>,
    ear: Ear,
    old: Process,
    other: Other,
}

/// And the other process.
async fn deploy(home: Home, announce: &str) -> Option<(Deploy, Process)> {
    let stage = Stage::new(home).await?.shared().set("SESSIOND_HEARTBEAT__ANNOUNCE", announce);
    let old = stage.start().await;
    let conversations = vec![stage.pair(TENANT).await];
    let ear = stage.listen(&conversations);
    let mut other = stage.other("other", false);
    other.setup = other.setup.set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let mut deploy = Deploy { stage, conversations, ear, old, other };
    deploy.talk().await;
    let new = deploy.other.start().await;
    let is_taken = deploy.other.dashboard.is_connected(TENANT).await;
    assert!(!is_taken, "taken from a process that lives\n{}\n--\n{}", deploy.stage.log(), deploy.other.log());
    // One that is stopped within a transaction holds an embedded vault's lock: then it is stopped at another moment.
    loop {
        deploy.old.signal(Signal::STOP).unwrap();
        let taken = || deploy.other.dashboard.is_connected(TENANT);
        let is_taken = until(Duration::from_secs(30), "the other to take it", taken).await.is_ok();
        deploy.old.signal(Signal::CONT).unwrap();
        if is_taken {
            break;
        }
    }
    deploy.assert_moved().await;
    Some((deploy, new))
}

impl Deploy {
    /// The truth, for whoever asks: another process has it, and nobody is served here.
    async fn assert_moved(&self) {
        let moved = || async {
            let (code, health) = self.stage.health().await;
            is_moved(&self.stage.dashboard).await && (code, &health["status"]) == (200, &json!("standby"))
        };
        until(LIMIT, "the move to be told", moved).await.unwrap_or_else(|e| panic!("{e}\n{}", self.stage.log()));
        let customer = &self.conversations[0].customers[0];
        let refused = self.stage.dashboard.send(TENANT, customer, "from the old one", "k").await.unwrap_err();
        assert!(refused.to_string().contains("owned_elsewhere"), "{refused}");
        let refused = self.stage.dashboard.get("/api/trattoria/chats").await.unwrap();
        assert_eq!((refused.status, &refused.body["code"]), (503, &json!("owned_elsewhere")), "{}", refused.body);
    }

    /// Every question for the tenant by its name says so, and when to ask again; lists show it, with the reason.
    async fn assert_elsewhere(&self) {
        let dashboard = &self.stage.dashboard;
        for path in [
            "/api/baileys/status?tenantId=trattoria",
            "/api/baileys/qr?tenantId=trattoria",
            "/api/baileys/profile?tenantId=trattoria",
            "/api/sessions/trattoria",
            "/api/sessions/trattoria/me",
            "/api/trattoria/auth/qr",
        ] {
            let url = format!("http://{}{path}", dashboard.address());
            let request = reqwest::Client::new().get(url).header("X-Api-Key", &self.stage.setup.admin_key);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers().get("retry-after").unwrap(), "2", "{path}");
            assert_eq!(answer.status(), 503, "{path}");
            let problem: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "owned_elsewhere", "{path}: {problem}");
        }
        let sessions = dashboard.get("/api/sessions").await.unwrap().body;
        assert_eq!((&sessions[0]["name"], &sessions[0]["reason"]), (&json!(TENANT), &json!("moved")), "{sessions}");
        let served_by = &sessions[0]["servedBy"];
        assert!(served_by["process"].is_string() && served_by["since"].as_i64() > Some(0), "{sessions}");
        let tenants = dashboard.get("/api/tenants").await.unwrap().body;
        let tenant = &tenants["tenants"][0];
        assert_eq!((&tenant["id"], &tenant["reason"]), (&json!(TENANT), &json!("moved")), "{tenants}");
    }

    async fn talk(&mut self) {
        self.conversations[0].customers_write(&self.stage.network, 2).await.unwrap();
        self.answer().await;
    }

    async fn answer(&mut self) {
        let stage = &self.stage;
        if let Err(error) = stage.tally.answer_all(&mut self.conversations, &stage.dashboard, &self.ear, LIMIT).await {
            panic!("{error:#}\n{}", stage.log());
        }
    }

    async fn assert_served(mut self) {
        until(LIMIT, "the tenant to be served", || is_working(&self.stage.dashboard, TENANT))
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
        self.talk().await;
        self.stage.assert_promises(&self.conversations).await;
        assert_eq!(self.stage.health().await.0, 200);
        self.old.kill().await.unwrap();
    }
}

/// Whoever asks how it stands is told that, and not that it is disconnected.
async fn is_moved(dashboard: &Dashboard) -> bool {
    let status = dashboard.get("/api/baileys/status?tenantId=trattoria").await;
    status.is_ok_and(|status| (status.status, &status.body["code"]) == (503, &json!("owned_elsewhere")))
}

/// By the list: whoever asks for the tenant by its name has it taken back.
async fn is_working(dashboard: &Dashboard, tenant: &str) -> bool {
    let Ok(listed) = dashboard.get("/api/sessions?open=true").await else { return false };
    let is_it = |one: &serde_json::Value| one["name"] == tenant && one["status"] == "WORKING";
    listed.body.as_array().is_some_and(|all| all.iter().any(is_it))
}

/// A failed deploy: the new process takes all, and dies. Those who listen to the old one hear what the new one had, too.
async fn is_taken_back(home: Home) {
    let Some((mut deploy, new)) = deploy(home, "1s").await else { return };
    deploy.conversations[0].customers_write(&deploy.stage.network, 2).await.unwrap();
    let arrived = || async { deploy.stage.tally.count(&deploy.conversations).await.unwrap().lost == 0 };
    until(LIMIT, "the new process to take what customers write", arrived).await.unwrap();
    new.kill().await.unwrap();
    deploy.conversations[0].customers_write(&deploy.stage.network, 2).await.unwrap();
    deploy.answer().await;
    deploy.assert_served().await;
}

/// It comes while another process has the tenant, and has missed something of before that: what this process hears first is newer.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_with_an_old_cursor_for_a_tenant_that_is_elsewhere_misses_nothing() {
    let Some((mut deploy, new)) = deploy(Home::Embedded, "1s").await else { return };
    let heard = deploy.ear.heard();
    let first = heard.iter().find(|one| one.event == "message:received").unwrap();
    let cursor = first.payload["eventId"].clone();
    let mut socket = cursors::registering(&deploy.stage, json!({ "tenantId": TENANT, "cursor": cursor })).await;
    cursors::hears(&mut socket, "registered").await;
    deploy.conversations[0].customers_write(&deploy.stage.network, 2).await.unwrap();
    let arrived = || async { deploy.stage.tally.count(&deploy.conversations).await.unwrap().lost == 0 };
    until(LIMIT, "the new process to take what customers write", arrived).await.unwrap();
    new.kill().await.unwrap();
    let known = first.payload["message"]["text"].as_str().unwrap();
    let written = deploy.conversations[0].written.iter().map(|written| &*written.text);
    let expected: Vec<&str> = written.filter(|text| *text != known).collect();
    let mut texts: Vec<String> = Vec::new();
    while texts.len() < expected.len() {
        let message = cursors::hears(&mut socket, "message:received").await;
        texts.push(message["message"]["text"].as_str().unwrap().to_owned());
    }
    texts.sort();
    let mut all = expected.clone();
    all.sort_unstable();
    assert_eq!(texts, all, "{}", deploy.stage.log());
    deploy.old.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_deploy_is_taken_back() {
    is_taken_back(Home::Embedded).await;
}

/// The kernel knows of a death at once; nobody waits for the next announcement.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_on_this_machine_is_noticed_within_seconds() {
    let (deploy, new) = deploy(Home::Embedded, "30s").await.unwrap();
    new.kill().await.unwrap();
    let died = Instant::now();
    let served = || is_working(&deploy.stage.dashboard, TENANT);
    until(LIMIT, "the tenant to be served", served).await.unwrap_or_else(|e| panic!("{e}\n{}", deploy.stage.log()));
    assert!(died.elapsed() < Duration::from_secs(15), "{:?}", died.elapsed());
    deploy.assert_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_deploy_is_taken_back_with_firestore() {
    is_taken_back(Home::Emulator).await;
}

/// A process that is stopped lives for the kernel and serves nobody. When it goes on it finds that it is fenced.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_process_has_is_taken_back() {
    // Not the embedded vault: a process that is stopped within a transaction holds its file's lock.
    let Some((mut deploy, new)) = deploy(Home::Emulator, "1s").await else { return };
    new.signal(Signal::STOP).unwrap();
    // What it has in its buffers comes again.
    deploy.talk().await;
    let logins = deploy.stage.network.stats().await.counts.logins;

    new.signal(Signal::CONT).unwrap();
    until(LIMIT, "the stopped process to find that it is fenced", || is_moved(&deploy.other.dashboard))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", deploy.other.log()));
    let customer = &deploy.conversations[0].customers[0];
    let refused = deploy.other.dashboard.send(TENANT, customer, "from the stopped one", "k").await.unwrap_err();
    assert!(refused.to_string().contains("owned_elsewhere"), "{refused}");
    deploy.talk().await;
    assert_eq!(deploy.stage.network.stats().await.counts.logins, logins, "it dialed\n{}", deploy.other.log());
    deploy.assert_served().await;
    new.kill().await.unwrap();
}

/// Told to stop, it leaves no record.
#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_is_rolled_back_is_taken_back() {
    let (deploy, new) = deploy(Home::Embedded, "1s").await.unwrap();
    assert_eq!(new.terminate(LIMIT).await.unwrap(), Some(0), "{}", deploy.other.log());
    deploy.assert_served().await;
}

async fn is_taken_back_by(method: &str, path: &str) {
    let (deploy, new) = deploy(Home::Embedded, NEVER).await.unwrap();
    new.kill().await.unwrap();
    let asked = Instant::now();
    let dashboard = &deploy.stage.dashboard;
    let answer = match method {
        "GET" => dashboard.get(path).await.unwrap(),
        _ => dashboard.post(path, json!({ "tenantId": TENANT })).await.unwrap(),
    };
    assert!((200..300).contains(&answer.status), "{path}: {} {}\n{}", answer.status, answer.body, deploy.stage.log());
    assert!(asked.elapsed() < Duration::from_secs(20), "{path} took {:?}", asked.elapsed());
    deploy.assert_served().await;
}

/// A message too: it is not refused as one of a tenant that another process serves.
async fn is_taken_back_by_a_send() {
    let (mut deploy, new) = deploy(Home::Embedded, NEVER).await.unwrap();
    new.kill().await.unwrap();
    let (asked, text) = (Instant::now(), "from the one that takes it back");
    let customer = deploy.conversations[0].customers[0].clone();
    let sent = deploy.stage.dashboard.send(TENANT, &customer, text, text).await;
    let id = sent.unwrap_or_else(|e| panic!("{e}\n{}", deploy.stage.log()));
    assert!(asked.elapsed() < Duration::from_secs(20), "the send took {:?}", asked.elapsed());
    deploy.conversations[0].sent.push(Sent { id, customer, text: text.to_owned() });
    deploy.assert_served().await;
}

/// It is taken back for that, and the phone shows no device any more.
async fn is_unlinked_at_once() {
    let (deploy, new) = deploy(Home::Embedded, NEVER).await.unwrap();
    new.kill().await.unwrap();
    let (stage, number) = (&deploy.stage, &deploy.conversations[0].number);
    let answer = stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    assert_eq!(answer.status, 200, "{}\n{}", answer.body, stage.log());
    let is_unlinked = || async { stage.network.devices(number).await.is_ok_and(|devices| devices.is_empty()) };
    until(LIMIT, "the phone to show no device", is_unlinked).await.unwrap_or_else(|e| panic!("{e}\n{}", stage.log()));
    deploy.old.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_takes_back_at_once() {
    is_taken_back_by("POST", "/api/baileys/connect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_restart_a_send_and_a_question_take_back_at_once() {
    tokio::join!(
        is_taken_back_by("POST", "/api/sessions/trattoria/start"),
        is_taken_back_by("POST", "/api/sessions/trattoria/restart"),
        is_taken_back_by("GET", "/api/sessions/trattoria"),
        is_taken_back_by_a_send(),
        is_unlinked_at_once(),
    );
}

/// No ping-pong: whoever asks, at whichever process, takes nothing from one that lives; and that one does not take it back either.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_living_process_has_stays_with_it_whoever_asks() {
    let (deploy, new) = deploy(Home::Embedded, "1s").await.unwrap();
    let logins = deploy.stage.network.stats().await.counts.logins;
    deploy.assert_elsewhere().await;
    let begun = Instant::now();
    // Some announcements of both.
    while begun.elapsed() < Duration::from_secs(4) {
        for path in [
            "/api/baileys/connect",
            "/api/baileys/clean-session",
            "/api/sessions/trattoria/start",
            "/api/sessions/trattoria/restart",
        ] {
            let answer = deploy.stage.dashboard.post(path, json!({ "tenantId": TENANT })).await.unwrap();
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (503, &json!("owned_elsewhere")),
                "{path}: {}",
                answer.body
            );
        }
        assert!(deploy.other.dashboard.is_connected(TENANT).await);
        assert_eq!(deploy.stage.network.stats().await.counts.logins, logins);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    new.kill().await.unwrap();
    deploy.assert_served().await;
}

/// What the new process alone has ever served is not lost with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_only_the_dead_process_knew_is_served() {
    let (deploy, new) = deploy(Home::Embedded, "1s").await.unwrap();
    let Deploy { stage, other, .. } = &deploy;
    Conversation::pair(&stage.network, &other.dashboard, "pizzeria".into(), LIMIT).await.unwrap();
    new.kill().await.unwrap();
    for tenant in [TENANT, "pizzeria"] {
        until(LIMIT, "the tenant to be served", || is_working(&stage.dashboard, tenant))
            .await
            .unwrap_or_else(|error| panic!("{tenant}: {error}\n{}", stage.log()));
    }
    deploy.old.kill().await.unwrap();
}

/// Two notice a death. The one that should have the tenant is slow to open it. By then the other has it, and keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slow_to_open_a_tenant_asks_who_has_it_by_then() {
    const SLOWNESS: Duration = Duration::from_secs(8);
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set("SESSIOND_HEARTBEAT__DIRECTORY", "1s");
    let (mut slow, mut quick) = (stage.other("slow", false), stage.other("quick", false));
    slow.setup = slow.setup.set("LOOPBACK_PAUSE", format!("revival:{}", SLOWNESS.as_millis()));
    // It leaves the slow one about so long.
    quick.setup = quick.setup.set("SESSIOND_HEARTBEAT__ANNOUNCE", "4s");
    let (slow_process, quick_process) = (slow.start().await, quick.start().await);
    let ids = Embedded::open(&stage.path("cloud/vault.db")).unwrap().instances().await.unwrap();
    let is_slow = |instance: &&Instance| {
        let pid = slow_process.id().unwrap().to_string();
        instance.process.as_ref().is_some_and(|process| process.split('/').nth(2) == Some(&pid))
    };
    let slow_id = ids.iter().find(is_slow).expect("it has a record").id.clone();
    let is_its = |name: &String| should_own(&name.parse().unwrap(), ids.iter().map(|one| &one.id)) == Some(&slow_id);
    let tenant = (0..).map(|n| format!("trattoria-{n}")).find(is_its).unwrap();

    let old = stage.start().await;
    let conversations = vec![stage.pair(&tenant).await];
    for other in [&slow, &quick] {
        let knows = || async { other.health().await.1["sessions"]["elsewhere"] == json!(1) };
        until(LIMIT, "the tenant to be known", knows).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    }
    old.kill().await.unwrap();
    let notices = || async { slow.log().contains("taking it back") };
    until(LIMIT, "the slow one to notice", notices).await.unwrap_or_else(|e| panic!("{e}\n{}", slow.log()));
    let noticed = Instant::now();
    let served = || is_working(&quick.dashboard, &tenant);
    until(SLOWNESS, "the other to take it", served).await.unwrap_or_else(|e| panic!("{e}\n{}", quick.log()));
    let counts = stage.network.stats().await.counts;
    // Until the slow one has gone on.
    while noticed.elapsed() < SLOWNESS + Duration::from_secs(3) {
        assert!(quick.dashboard.is_connected(&tenant).await, "taken from a process that lives\n{}", slow.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = stage.network.stats().await.counts;
    assert_eq!((after.logins, after.replaced_logins), (counts.logins, 0), "{}", slow.log());
    let (code, health) = slow.health().await;
    assert_eq!((code, &health["status"]), (200, &json!("standby")), "{health}\n{}", slow.log());
    stage.assert_promises(&conversations).await;
    slow_process.kill().await.unwrap();
    quick_process.kill().await.unwrap();
}

/// Of what a dead process had, one tenant's journal cannot be read. The others do not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_read_holds_up_no_other() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let old = stage.start().await;
    for n in 0..4 {
        stage.pair(&format!("trattoria-{n}")).await;
    }
    let mut other = stage.other("other", false);
    other.setup = other.setup.set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let new = other.start().await;
    // Before its owner dies: the other one is quick.
    let vault = rusqlite::Connection::open(stage.path("cloud/vault.db")).unwrap();
    vault.busy_timeout(LIMIT).unwrap();
    let spoiled = "UPDATE journal SET writer = x'ff' WHERE tenant = 'trattoria-1'";
    assert!(vault.execute(spoiled, []).unwrap() > 0);
    drop(vault);
    old.kill().await.unwrap();
    for tenant in ["trattoria-0", "trattoria-2", "trattoria-3"] {
        let served = || other.dashboard.is_connected(tenant);
        until(LIMIT, tenant, served).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    }
    assert!(!other.dashboard.is_connected("trattoria-1").await, "{}", other.log());
    new.kill().await.unwrap();
}

/// A restore that lasts longer than anybody waits for an answer: who starts meanwhile, and who has been there before, take nothing.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_restores_for_long_is_not_taken_for_dead() {
    const RESTORE: Duration = Duration::from_secs(25);
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let old = stage.start().await;
    let conversations = vec![stage.pair(TENANT).await];
    old.kill().await.unwrap();
    let (mut slow, quick) = (stage.other("slow", false), stage.other("quick", false));
    slow.setup = slow.setup.set("LOOPBACK_PAUSE", format!("restored:{}", RESTORE.as_millis()));
    let slow_process = slow.setup.spawn().unwrap();
    let is_up = || async { slow.log().contains("a pause on purpose") };
    until(LIMIT, "the tenant to be up", is_up).await.unwrap_or_else(|e| panic!("{e}\n{}", slow.log()));
    let (up, logins) = (Instant::now(), stage.network.stats().await.counts.logins);
    let quick_process = quick.start().await;
    let opens = || async { slow.log().contains("the port is open") };
    until(RESTORE + LIMIT, "the port to open", opens).await.unwrap_or_else(|e| panic!("{e}\n{}", slow.log()));
    assert!(up.elapsed() >= RESTORE, "it was slow");
    let counts = stage.network.stats().await.counts;
    assert_eq!((counts.logins, counts.replaced_logins), (logins, 0), "{}\n--\n{}", slow.log(), quick.log());
    assert!(slow.dashboard.is_connected(TENANT).await, "{}", slow.log());
    stage.assert_promises(&conversations).await;
    slow_process.kill().await.unwrap();
    quick_process.kill().await.unwrap();
}

/// Two restore what a dead process had, and one of them is slow. What the other has by then stays there.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_restores_slowly_takes_nothing_from_whoever_has_come_meanwhile() {
    const TENANTS: usize = 8;
    let stage = Stage::new(Home::Embedded).await.unwrap().shared().set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let old = stage.start().await;
    let mut conversations = Vec::new();
    for n in 0..TENANTS {
        conversations.push(stage.pair(&format!("trattoria-{n}")).await);
    }
    old.kill().await.unwrap();
    let logins = stage.network.stats().await.counts.logins;
    let (mut slow, quick) = (stage.other("slow", false), stage.other("quick", false));
    slow.setup = slow.setup.set("LOOPBACK_PAUSE", "restoring:3000").set("SESSIOND_RESTORE__BATCH_SIZE", "1");
    let slow_process = slow.setup.spawn().unwrap();
    let begins = || async { slow.log().contains("a pause on purpose") };
    until(LIMIT, "the restore to begin", begins).await.unwrap_or_else(|e| panic!("{e}\n{}", slow.log()));
    let quick_process = quick.start().await;
    let opens = || async { slow.log().contains("the port is open") };
    until(2 * LIMIT, "the port to open", opens).await.unwrap_or_else(|e| panic!("{e}\n{}", slow.log()));
    let logs = || format!("{}\n--\n{}", slow.log(), quick.log());
    for conversation in &conversations {
        let served = || async {
            is_working(&slow.dashboard, &conversation.tenant).await
                || is_working(&quick.dashboard, &conversation.tenant).await
        };
        until(LIMIT, "it to be served", served)
            .await
            .unwrap_or_else(|e| panic!("{}: {e}\n{}", conversation.tenant, logs()));
    }
    let counts = stage.network.stats().await.counts;
    assert_eq!((counts.logins, counts.replaced_logins), (logins + TENANTS as u64, 0), "{}", logs());
    stage.assert_promises(&conversations).await;
    slow_process.kill().await.unwrap();
    quick_process.kill().await.unwrap();
}

async fn instances(stage: &Stage) -> Vec<Instance> {
    Embedded::open(&stage.path("cloud/vault.db")).unwrap().instances().await.unwrap()
}

/// Told to stop in the middle of its restore: what it had opened is closed, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_to_stop_while_it_restores_stops_well() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let old = stage.start().await;
    let conversations = vec![stage.pair(TENANT).await];
    old.kill().await.unwrap();
    // The killed one's stays until somebody has looked.
    let before = instances(&stage).await;
    let mut new = stage.other("new", false);
    new.setup = new.setup.set("LOOPBACK_PAUSE", "restored:600000");
    let process = new.setup.spawn().unwrap();
    let is_up = || async { new.log().contains("a pause on purpose") };
    until(LIMIT, "the tenant to be up", is_up).await.unwrap_or_else(|e| panic!("{e}\n{}", new.log()));
    assert_eq!(process.terminate(LIMIT).await.unwrap(), Some(0), "{}", new.log());
    assert!(new.log().contains("all sessions are closed"), "{}", new.log());
    assert_eq!(instances(&stage).await, before, "{}", new.log());
    let last = stage.start().await;
    assert!(stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    stage.assert_promises(&conversations).await;
    last.kill().await.unwrap();
}

/// The same, and the vault does not answer any more.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_to_stop_while_it_restores_waits_for_no_vault() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let old = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    old.kill().await.unwrap();
    let seen = stage.log().len();
    let process = stage.setup.clone().set("LOOPBACK_PAUSE", "restored:600000").spawn().unwrap();
    let is_up = || async { stage.log()[seen..].contains("a pause on purpose") };
    until(LIMIT, "the tenant to be up", is_up).await.unwrap_or_else(|e| panic!("{e}\n{}", stage.log()));
    proxy.set(Mode::Hang);
    // Something that the vault has not got: closing the session waits for it.
    stage.network.customer_send(&conversation.customers[0], &conversation.number, "meanwhile").await.unwrap();
    assert_ne!(process.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    proxy.set(Mode::Pass);
    let last = stage.start().await;
    assert!(stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    last.kill().await.unwrap();
}
