//! The daemon itself tells that something is wrong, once, and that it is right again; whatever dies.

use std::collections::BTreeSet;

use loopback::{Fault, FaultKind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sessiond::demo::until;

use crate::{
    receiver::{Post, Receiver, status},
    stage::{LIMIT, Stage},
    webhooks,
};

const TENANTS: [&str; 3] = ["trattoria", "pizzeria", "taqueria"];

fn text(post: &Post) -> &str {
    post.json["text"].as_str().unwrap_or_default()
}

/// Those that were taken and begin so.
fn beginning<'a>(posts: &'a [Post], words: &str) -> Vec<&'a str> {
    posts.iter().filter(|post| post.taken).map(text).filter(|text| text.starts_with(words)).collect()
}

/// Alerts go to a program, as soon as something is wrong.
pub fn at_once(stage: Stage, receiver: &Receiver) -> Stage {
    stage
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

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_goes_wrong_is_told_once_by_its_name() {
    let (receiver, hook) = (Receiver::start().await, Receiver::start().await);
    let stage = at_once(webhooks::stage().await, &receiver);
    let daemon = stage.start().await;
    let network = &stage.network;
    webhooks::put(&stage, "refused", json!([webhooks::webhook(&hook.url(), &["message"], 1)])).await;
    let banned = stage.pair("banned").await;
    let locked = stage.pair("locked").await;
    let mut refused = stage.pair("refused").await;
    stage.pair("other").await;
    let waiting = stage.pair("waiting").await;

    network.fault(Fault::new(FaultKind::ConnectFailure).code(402).target(&banned.number)).await.unwrap();
    network.fault(Fault::new(FaultKind::Drop).target(&banned.number)).await.unwrap();

    let until_then = u64::try_from(jiff::Timestamp::now().as_second()).unwrap() + 3600;
    network.lock_new_chats(&locked.number, until_then).await.unwrap();
    let asked = stage.dashboard.get("/api/sessions/locked/timelock").await.unwrap();
    assert_eq!(asked.status, 200, "{}", asked.body);

    hook.answers(|body| status(if body["payload"]["body"] == "order 1 for refused" { 422 } else { 200 }));
    refused.customers_write(network, 3).await.unwrap();

    let logout = stage.dashboard.post("/api/sessions/other/logout", json!({})).await.unwrap();
    assert!(logout.status < 300, "{}", logout.body);
    let stranger = network.add_phone(None).await;
    let qr = stage.dashboard.qr("other").await.unwrap();
    assert!(network.scan(&stranger.number, &qr).await.is_err(), "another number was linked");

    let customer = &waiting.customers[0];
    network.fault(Fault::new(FaultKind::WithholdAcks).target(&waiting.number)).await.unwrap();
    network.fault(Fault::new(FaultKind::Silence).target(customer)).await.unwrap();
    stage.dashboard.send("waiting", customer, "nobody confirms it", "k").await.unwrap();

    let expected = BTreeSet::from([
        "firing banned banned".to_owned(),
        "firing other_account other".to_owned(),
        "firing outbox_old waiting".to_owned(),
        "firing timelocked locked".to_owned(),
        "firing webhook_parked refused".to_owned(),
    ]);
    receiver.until(LIMIT, "all of them", |posts| expected.iter().all(|alert| told(posts).contains(alert))).await;
    let posts = receiver.posts();
    let firing: Vec<_> = told(&posts).into_iter().filter(|alert| alert.starts_with("firing")).collect();
    assert_eq!(firing.len(), expected.len(), "{firing:?}\n{}", stage.log());
    let ids: BTreeSet<_> = posts.iter().map(|post| post.id().to_owned()).collect();
    assert_eq!(ids.len(), posts.len(), "each message has an id of its own: {ids:?}");
    for post in &posts {
        assert_eq!(post.headers["webhook-id"], post.id());
        assert!(post.headers["webhook-signature"].starts_with("v1,"), "{:?}", post.headers);
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_and_a_logout_are_told_once_each_and_so_is_their_end() {
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
        .set("SESSIOND_ALERTS__REPEAT", "30s")
        .set("SESSIOND_ALERTS__PER_HOUR", "100")
        .set("SESSIOND_ALERTS__SCAN_NEEDED", "0s")
        .set("SESSIOND_ALERTS__OFFLINE", "8s");
    let daemon = stage.start().await;
    let mut conversations = Vec::new();
    for tenant in TENANTS {
        conversations.push(stage.pair(tenant).await);
    }

    // WhatsApp is away from all of them.
    stage.network.stop().await;
    receiver.until(LIMIT, "the cut", |posts| !beginning(posts, CUT).is_empty()).await;
    stage.network.resume().await.unwrap();
    receiver.until(LIMIT, "the end of the cut", |posts| !beginning(posts, BACK).is_empty()).await;
    let posts = receiver.posts();
    for (words, told) in [(CUT, beginning(&posts, CUT)), (BACK, beginning(&posts, BACK))] {
        assert_eq!(told.len(), 1, "{words}: {told:#?}\n{}", stage.log());
        assert!(TENANTS.iter().all(|tenant| told[0].contains(tenant)), "{told:?}\n{}", stage.log());
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
