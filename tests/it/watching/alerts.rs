//! The daemon itself tells that something is wrong, once, and that it is right again; whatever dies.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use loopback::{Fault, FaultKind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sessiond::demo::{Setup, until};

use crate::{
    consumers::webhooks,
    support::{
        receiver::{Post, Receiver, status},
        scrape::scrape,
        stage::{Home, LIMIT, Stage},
    },
};

const TENANTS: [&str; 3] = ["trattoria", "pizzeria", "taqueria"];

/// Tenants that lose the network at once.
const CROWD: usize = 100;

/// Tenants that are paired at the same time.
const SIDE_BY_SIDE: usize = 8;

fn text(post: &Post) -> &str {
    post.json["text"].as_str().unwrap_or_default()
}

/// Those that were taken and begin so.
fn beginning<'a>(posts: &'a [Post], words: &str) -> Vec<&'a str> {
    posts.iter().filter(|post| post.taken).map(text).filter(|text| text.starts_with(words)).collect()
}

/// Alerts go to a program, as soon as something is wrong.
pub fn at_once(mut stage: Stage, receiver: &Receiver) -> Stage {
    stage.setup = tells_at_once(stage.setup, receiver);
    stage
}

/// The same, of one process.
pub fn tells_at_once(setup: Setup, receiver: &Receiver) -> Setup {
    setup
        .set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32")
        .set("SESSIOND_ALERTS__WEBHOOK", receiver.url())
        .set("SESSIOND_ALERTS__WEBHOOK_KEY", "a-key-of-the-operator")
        .set("SESSIOND_ALERTS__INTERVAL", "1s")
        .set("SESSIOND_ALERTS__GATHER", "0s")
        .set("SESSIOND_ALERTS__CLEAR", "1s")
        .set("SESSIOND_ALERTS__REPEAT", "0s")
        .set("SESSIOND_ALERTS__PER_HOUR", "100")
        .set("SESSIOND_ALERTS__VAULT_DOWN", "0s")
        .set("SESSIOND_ALERTS__OUTBOX_OLD", "2s")
        .set("SESSIOND_ALERTS__WEBHOOK_FAILING", "off")
}

/// What was posted, without repeats by their id: a process that is killed as its message is taken leaves it to the next one.
fn each_once(posts: &[Post]) -> Vec<Post> {
    let mut known = BTreeSet::new();
    posts.iter().filter(|post| known.insert(post.json["id"].to_string())).cloned().collect()
}

/// What a program was told: state, condition, and each of the tenants.
pub fn told(posts: &[Post]) -> Vec<String> {
    let mut told = Vec::new();
    for alert in posts.iter().filter(|post| post.taken).flat_map(|post| post.json["alerts"].as_array().unwrap()) {
        let (state, condition) = (alert["state"].as_str().unwrap(), alert["condition"].as_str().unwrap());
        let tenants = alert["tenants"].as_array().unwrap();
        if tenants.is_empty() {
            told.push(format!("{state} {condition}"));
        }
        told.extend(tenants.iter().map(|tenant| format!("{state} {condition} {}", tenant.as_str().unwrap())));
    }
    told
}

/// What goes wrong with whom in the scene below, what people read, and whether it ends there.
const TROUBLES: [(&str, &str, &str, bool); 10] = [
    ("banned", "banned", "WhatsApp bloqueó el número por un tiempo", true),
    ("tenant_failed", "failed", "La sesión falló", true),
    // A quarter of an hour later, if nothing else breaks.
    ("flapping", "flapping", "La conexión con WhatsApp se corta una y otra vez", false),
    ("outdated", "outdated", "WhatsApp rechaza la versión por antigua", true),
    // It happened, and is over with that.
    ("other_account", "other", "Otra cuenta intentó escanear", false),
    ("timelocked", "locked", "WhatsApp no deja escribir a desconocidos", true),
    ("new_chats", "warned", "Último aviso: demasiados chats nuevos", true),
    ("outbox_old", "waiting", "Hay mensajes sin enviar desde hace rato", true),
    ("webhook_failing", "failing", "Un webhook falla", true),
    ("webhook_parked", "refused", "Un webhook tiene eventos apartados", true),
];

async fn asked(stage: &Stage, path: &str) {
    let answer = stage.dashboard.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_goes_wrong_is_told_once_by_its_name_and_so_is_its_end() {
    let (receiver, hook) = (Receiver::start().await, Receiver::start().await);
    let stage = at_once(webhooks::stage().await, &receiver)
        // A login that is refused again is between two states for a moment.
        .set("SESSIOND_ALERTS__CLEAR", "4s")
        .set("SESSIOND_ALERTS__TENANT_FAILED", "0s")
        .set("SESSIOND_ALERTS__OUTDATED", "0s")
        // One tenant is logged out on purpose.
        .set("SESSIOND_ALERTS__SCAN_NEEDED", "off")
        // One slow delivery is none of these, nor one refusal.
        .set("SESSIOND_ALERTS__OUTBOX_OLD", "6s")
        .set("SESSIOND_ALERTS__WEBHOOK_FAILING", "8s");
    let daemon = stage.start().await;
    let network = &stage.network;
    webhooks::put(&stage, "refused", json!([webhooks::webhook(&hook.url(), &["message"], 1)])).await;
    let mut patient = webhooks::webhook(&hook.url(), &["message"], 100);
    patient["retries"]["delaySeconds"] = json!(1);
    webhooks::put(&stage, "failing", json!([patient])).await;
    let banned = stage.pair("banned").await;
    let failed = stage.pair("failed").await;
    let flapping = stage.pair("flapping").await;
    let outdated = stage.pair("outdated").await;
    let locked = stage.pair("locked").await;
    let warned = stage.pair("warned").await;
    let mut failing = stage.pair("failing").await;
    let mut refused = stage.pair("refused").await;
    stage.pair("other").await;
    let waiting = stage.pair("waiting").await;

    for _ in 0..5 {
        let before = network.stats().await.counts.logins;
        network.fault(Fault::new(FaultKind::Drop).target(&flapping.number)).await.unwrap();
        let is_back =
            || async { network.stats().await.counts.logins > before && stage.dashboard.is_connected("flapping").await };
        until(LIMIT, "the next login", is_back).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    }

    // WhatsApp says so once, and means it for some seconds; of the others it says so again and again.
    let refusals = [(&banned, 402, Some(1)), (&failed, 418, None), (&outdated, 405, None)];
    for (conversation, code, count) in refusals {
        let refusal = Fault { count, ..Fault::new(FaultKind::ConnectFailure) };
        network.fault(refusal.code(code).target(&conversation.number)).await.unwrap();
        network.fault(Fault::new(FaultKind::Drop).target(&conversation.number)).await.unwrap();
    }

    let until_then = u64::try_from(jiff::Timestamp::now().as_second()).unwrap() + 3600;
    network.lock_new_chats(&locked.number, until_then).await.unwrap();
    asked(&stage, "/api/sessions/locked/timelock").await;
    network.warn_of_new_chats(&warned.number, true).await.unwrap();
    asked(&stage, "/api/sessions/warned/capping").await;

    hook.answers(|body| {
        let text = body["payload"]["body"].as_str().unwrap_or_default();
        status(match text {
            "order 1 for refused" => 422,
            text if text.ends_with(" for failing") => 500,
            _ => 200,
        })
    });
    refused.customers_write(network, 3).await.unwrap();
    failing.customers_write(network, 1).await.unwrap();

    let logout = stage.dashboard.post("/api/sessions/other/logout", json!({})).await.unwrap();
    assert!(logout.status < 300, "{}", logout.body);
    let stranger = network.add_phone(None).await;
    let qr = stage.dashboard.qr("other").await.unwrap();
    assert!(network.scan(&stranger.number, &qr).await.is_err(), "another number was linked");

    let customer = &waiting.customers[0];
    network.fault(Fault::new(FaultKind::WithholdAcks).target(&waiting.number)).await.unwrap();
    network.fault(Fault::new(FaultKind::Silence).target(customer)).await.unwrap();
    stage.dashboard.send("waiting", customer, "nobody confirms it", "k").await.unwrap();

    let firing: BTreeSet<_> =
        TROUBLES.iter().map(|(condition, tenant, ..)| format!("firing {condition} {tenant}")).collect();
    receiver.until(LIMIT, "all of them", |posts| firing.iter().all(|alert| told(posts).contains(alert))).await;

    // All is well again.
    network.clear_faults().await;
    hook.answers(|_| status(200));
    network.lock_new_chats(&locked.number, 0).await.unwrap();
    asked(&stage, "/api/sessions/locked/timelock").await;
    network.warn_of_new_chats(&warned.number, false).await.unwrap();
    asked(&stage, "/api/sessions/warned/capping").await;
    let (redriven, body) =
        webhooks::ask(&stage, "POST", "/api/refused/webhooks/failures/redrive", Some(json!({}))).await;
    assert!(redriven < 300, "{redriven} {body}");
    let ends = TROUBLES.iter().filter(|(.., ends)| *ends);
    let resolved: BTreeSet<_> = ends.map(|(condition, tenant, ..)| format!("resolved {condition} {tenant}")).collect();
    receiver.until(LIMIT, "all the ends", |posts| resolved.iter().all(|alert| told(posts).contains(alert))).await;

    let posts = receiver.posts();
    let all = told(&posts);
    for (condition, tenant, title, ends) in TROUBLES {
        let of_tenant = format!(" {condition} {tenant}");
        let states: Vec<_> = all.iter().filter_map(|alert| alert.strip_suffix(of_tenant.as_str())).collect();
        let expected: &[&str] = if ends { &["firing", "resolved"] } else { &["firing"] };
        assert_eq!(states, expected, "{condition} of {tenant}, each once: {all:#?}\n{}", stage.log());
        let of_it = |post: &&Post| {
            let alerts = post.json["alerts"].as_array().unwrap();
            alerts.iter().any(|alert| alert["condition"] == condition)
        };
        let texts: Vec<_> = posts.iter().filter(of_it).map(text).collect();
        let begins = format!("🔴 {title}: {tenant}\n→ ");
        assert!(texts.iter().any(|text| text.contains(&begins)), "{begins}: {texts:#?}");
        let end = format!("🟢 Resuelto: {title}: {tenant}");
        assert_eq!(texts.iter().any(|text| text.contains(&end)), ends, "{end}: {texts:#?}");
    }
    let ids: BTreeSet<_> = posts.iter().map(|post| post.id().to_owned()).collect();
    assert_eq!(ids.len(), posts.len(), "each message has an id of its own: {ids:?}");
    for post in &posts {
        assert_eq!(post.headers["webhook-id"], post.id());
        assert!(post.headers["webhook-signature"].starts_with("v1,"), "{:?}", post.headers);
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_an_absent_vault_and_silence_are_told_once_each_and_so_is_their_end() {
    static TOLD: [&str; 6] = [
        "firing disk_low",
        "resolved disk_low",
        "firing vault_down",
        "resolved vault_down",
        "firing silent trattoria",
        "resolved silent trattoria",
    ];
    let receiver = Receiver::start().await;
    let stage = Stage::new(Home::Embedded)
        .await
        .unwrap()
        .set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s")
        .set("SESSIOND_HEARTBEAT__FIRST", "1s")
        .set("SESSIOND_HEARTBEAT__INTERVAL", "1s")
        // A ping without an answer ends nothing here.
        .set("SESSIOND_HEARTBEAT__PING_TIMEOUT", "60s");
    let stage = at_once(stage, &receiver).set("SESSIOND_ALERTS__DISK_LOW", "0s").set("SESSIOND_ALERTS__SILENT", "6s");
    let disk = rustix::fs::statvfs(stage.path("").as_path()).unwrap();
    let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    // Low, and not so low that nothing is taken any more.
    let stage = stage.set("SESSIOND_DATA__RESERVE_MIB", (free_mib * 4).to_string());
    let daemon = stage.start().await;
    let so_far = |count: usize| move |posts: &[Post]| told(&each_once(posts)) == TOLD[..count];
    receiver.until(LIMIT, "the disk", so_far(1)).await;
    daemon.kill().await.unwrap();

    // The next process has read what that one told.
    let stage = stage.set("SESSIOND_DATA__RESERVE_MIB", "1");
    let daemon = stage.start().await;
    receiver.until(LIMIT, "room", so_far(2)).await;
    let conversation = stage.pair("trattoria").await;
    let (cloud, away) = (stage.path("cloud"), stage.path("away"));
    std::fs::rename(&cloud, &away).unwrap();
    receiver.until(LIMIT, "the vault", so_far(3)).await;
    std::fs::rename(&away, &cloud).unwrap();
    receiver.until(LIMIT, "the vault to be back", so_far(4)).await;

    // A quiet connection is tested by a new login, each time after twice the time before: now there is time for a silence.
    let is_seldom = || async { scrape(&stage).await.value("sessiond_disconnects_total{reason=\"quiet\"}") >= 5.0 };
    until(LIMIT, "tests of a quiet connection", is_seldom).await.unwrap();
    stage.network.fault(Fault::new(FaultKind::Silence).target(&conversation.number)).await.unwrap();
    receiver.until(LIMIT * 2, "the silence", so_far(5)).await;
    stage.network.clear_faults().await;
    stage.network.fault(Fault::new(FaultKind::Drop).target(&conversation.number)).await.unwrap();
    receiver.until(LIMIT, "a word", so_far(6)).await;

    let posts = each_once(&receiver.posts());
    for (post, begins) in posts.iter().zip([
        "🔴 El disco está casi lleno\n→ ",
        "🟢 Resuelto: El disco está casi lleno",
        "🔴 La bóveda no acepta nada\n→ ",
        "🟢 Resuelto: La bóveda no acepta nada",
        "🔴 Conectado, pero WhatsApp no dice nada: trattoria\n→ ",
        "🟢 Resuelto: Conectado, pero WhatsApp no dice nada: trattoria",
    ]) {
        assert!(text(post).starts_with(begins), "{begins}: {}", text(post));
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_a_hundred_and_a_logout_are_told_once_each_and_so_is_their_end() {
    const CUT: &str = "🔴 Not connected to WhatsApp: ";
    const BACK: &str = "🟢 Resolved: Not connected to WhatsApp: ";
    const LOGOUT: &str = "🔴 Must scan again: trattoria";
    const PAIRED: &str = "🟢 Resolved: Must scan again: trattoria";
    let mut receiver = Receiver::start().await;
    let stage = webhooks::stage()
        .await
        .set("SESSIOND_ALERTS__SLACK", receiver.url())
        .set("SESSIOND_ALERTS__LANGUAGE", "en")
        .set("SESSIOND_ALERTS__INTERVAL", "1s")
        .set("SESSIOND_ALERTS__GATHER", "1s")
        .set("SESSIOND_ALERTS__CLEAR", "1s")
        // So long the end of all of them may take, and is one message.
        .set("SESSIOND_ALERTS__REPEAT", "300s")
        .set("SESSIOND_ALERTS__PER_HOUR", "100")
        .set("SESSIOND_ALERTS__SCAN_NEEDED", "0s")
        // A pairing among many takes a moment until its first login.
        .set("SESSIOND_ALERTS__OFFLINE", "12s");
    let daemon = stage.start().await;
    let others: Vec<_> = (TENANTS.len()..CROWD).map(|n| format!("zona{n}")).collect();
    let names = TENANTS.into_iter().chain(others.iter().map(String::as_str));
    let pairing = stream::iter(names.map(|name| stage.pair(name))).buffered(SIDE_BY_SIDE);
    let conversations: Vec<_> = pairing.collect().await;

    // WhatsApp is away from all of them.
    stage.network.stop().await;
    receiver.until(LIMIT, "the cut", |posts| !beginning(posts, CUT).is_empty()).await;
    stage.network.resume().await.unwrap();
    receiver.until(LIMIT, "the end of the cut", |posts| !beginning(posts, BACK).is_empty()).await;
    let posts = receiver.posts();
    for (words, told) in [(CUT, beginning(&posts, CUT)), (BACK, beginning(&posts, BACK))] {
        assert_eq!(told.len(), 1, "{words}: {told:#?}\n{}", stage.log());
        assert!(TENANTS.iter().all(|tenant| told[0].contains(tenant)), "{told:?}\n{}", stage.log());
        let more = format!(" and {} more", CROWD - 20);
        assert!(told[0].contains(&more), "{told:?}\n{}", stage.log());
    }
    // What to do, and where.
    let told = beginning(&posts, CUT)[0];
    assert!(told.contains("\n→ ") && told.ends_with("/console/#/"), "{told}");

    // The phone removes one of them.
    let number = &conversations[0].number;
    let device = stage.network.devices(number).await.unwrap()[0].id;
    stage.network.unlink(number, device).await.unwrap();
    receiver.until(LIMIT, "the logout", |posts| !beginning(posts, LOGOUT).is_empty()).await;
    assert!(beginning(&receiver.posts(), LOGOUT)[0].ends_with("/console/#/t/trattoria"), "{:#?}", receiver.posts());
    let working = json!([{ "channel": "slack", "working": true, "pending": 0 }]);
    until(LIMIT, "a channel that works", || async { stage.health().await.1["alerts"] == working }).await.unwrap();

    // It is linked again, nobody takes the word of it, and the process dies with that.
    receiver.stop();
    let qr = stage.dashboard.qr("trattoria").await.unwrap();
    stage.network.scan(number, &qr).await.unwrap();
    let is_kept = || async {
        let health = stage.health().await.1;
        let channel = &health["alerts"][0];
        channel["working"] == json!(false) && channel["pending"] == json!(1) && channel["error"].is_string()
    };
    until(LIMIT, "a channel that fails", is_kept).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
    receiver.resume().await;
    let posts = receiver.posts();
    assert_eq!((beginning(&posts, CUT).len(), beginning(&posts, BACK).len()), (1, 1), "{posts:#?}\n{}", stage.log());
    assert_eq!((beginning(&posts, LOGOUT).len(), beginning(&posts, PAIRED).len()), (1, 0), "{posts:#?}");
    let daemon = stage.start().await;
    receiver.until(LIMIT, "what the dead process had to tell", |posts| beginning(posts, PAIRED).len() == 1).await;

    // By hand, beside a daemon that works.
    let output = stage.setup.command().unwrap().arg("alert-test").output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("slack") && said.contains("taken"), "{output:?}");
    receiver.until(LIMIT, "the test", |posts| beginning(posts, "Test of sessiond's alerts").len() == 1).await;
    let posts = receiver.posts();
    assert_eq!((beginning(&posts, LOGOUT).len(), beginning(&posts, PAIRED).len()), (1, 1), "{posts:#?}");
    // Who has the URL can write there.
    assert!(!stage.log().contains(&receiver.url()), "{}", stage.log());
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_changes_what_can_be_changed_and_names_the_rest() {
    let receiver = Receiver::start().await;
    let stage = webhooks::stage().await;
    let file = stage.path("sessiond.toml");
    std::fs::write(&file, "").unwrap();
    let log = std::fs::File::create(&stage.setup.log).unwrap();
    let mut command = stage.setup.command().unwrap();
    let mut daemon = command.arg("--config").arg(&file).stdout(log).spawn().unwrap();
    until(LIMIT, "the port", || async { stage.dashboard.get("/health").await.is_ok() }).await.unwrap();
    assert_eq!(stage.health().await.1["alerts"], json!([]), "off by default");
    let reload = |text: &str| {
        std::fs::write(&file, text).unwrap();
        kill_process(Pid::from_raw(daemon.id().unwrap().try_into().unwrap()).unwrap(), Signal::HUP).unwrap();
    };
    let says = async |words: &str| {
        let said = until(LIMIT, words, || std::future::ready(stage.log().contains(words))).await;
        said.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    };
    reload("[heartbeat]\ninterval = \"soon\"\n");
    says("SIGHUP: nothing is changed").await;
    let alerts = format!("[alerts]\nslack = \"{}\"\ninterval = \"1s\"\n", receiver.url());
    reload(&format!("[restore]\nbatch_size = 7\n[heartbeat]\ninterval = \"1s\"\nannounce = \"20s\"\n{alerts}"));
    says("SIGHUP: these settings have changed, and need a restart").await;
    says("heartbeat.announce, restore.batch_size").await;
    // The first beat was half a minute away.
    says("\"heartbeat\"").await;
    let is_on = || async { stage.health().await.1["alerts"][0]["channel"] == json!("slack") };
    until(LIMIT, "the channel", is_on).await.unwrap();
    assert!(!stage.log().contains(&receiver.url()), "{}", stage.log());
    daemon.kill().await.unwrap();
}
