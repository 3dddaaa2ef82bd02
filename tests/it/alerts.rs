//! The daemon itself tells that something is wrong, once, and that it is right again; whatever dies.

use crate::{
    receiver::{Post, Receiver},
    stage::LIMIT,
    webhooks,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sessiond::demo::until;

const TENANTS: [&str; 3] = ["trattoria", "pizzeria", "taqueria"];

fn text(post: &Post) -> &str {
    post.json["text"].as_str().unwrap_or_default()
}

/// Those that were taken and begin so.
fn beginning<'a>(posts: &'a [Post], words: &str) -> Vec<&'a str> {
    posts.iter().filter(|post| post.taken).map(text).filter(|text| text.starts_with(words)).collect()
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
