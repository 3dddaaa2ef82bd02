//! One owner: a process that slept through its tenant's change of hands finds that it is fenced before it dials, sends or acks.

use rustix::process::Signal;
use serde_json::json;
use sessiond::demo::{Dashboard, Setup, until};

use crate::{
    support::stage::{Home, LIMIT, Stage},
    survival::damage,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_finds_itself_fenced() {
    // Not the embedded vault: a process that is stopped within a transaction holds its file's lock.
    let Some(stage) = Stage::new(Home::Emulator).await else { return };
    let stage = stage.set("SESSIOND_VAULT__SNAPSHOT_ENTRIES", "10");
    let sleeper = stage.start().await;
    let mut conversations = vec![stage.pair("trattoria").await];
    sleeper.signal(Signal::STOP).unwrap();

    // The new owner: another process, another disk, the same vault.
    let mut setup: Setup = stage.setup.clone();
    setup.address = sessiond::demo::free_address().unwrap();
    setup.data_dir = stage.path("other-data");
    setup.log = stage.path("other.log");
    // It sees soon that the sleeper says nothing.
    let setup = setup.set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s");
    let owner = setup.start(LIMIT).await.unwrap();
    let dashboard = Dashboard::new(setup.address, setup.admin_key.clone());
    until(LIMIT, "the sleeper's tenant to be taken", || dashboard.is_connected("trattoria")).await.unwrap();
    let replaced = stage.network.stats().await.counts.replaced_logins;
    let ear = sessiond::demo::Ear::open(&dashboard, vec!["trattoria".into()]);
    // Enough entries for snapshots and compaction: what the sleeper would append next has long been overtaken.
    for _ in 0..4 {
        conversations[0].customers_write(&stage.network, 3).await.unwrap();
        stage.tally.answer_all(&mut conversations, &dashboard, &ear, LIMIT).await.unwrap();
    }
    let logins = stage.network.stats().await.counts.logins;

    sleeper.signal(Signal::CONT).unwrap();
    let moved = || async {
        let answer = stage.dashboard.get("/api/baileys/status?tenantId=trattoria").await;
        answer.is_ok_and(|answer| answer.body["code"] == json!("owned_elsewhere"))
    };
    until(LIMIT, "the sleeper to find that it is fenced", moved)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    // Its settings are the new owner's to change by now: an old copy of them that a client writes back would undo that.
    let shows_no_settings = || async {
        let answer = stage.dashboard.get("/api/sessions/trattoria").await;
        answer.is_ok_and(|answer| answer.body.get("config").is_none())
    };
    until(LIMIT, "the sleeper to show no settings", shows_no_settings).await.unwrap();
    let refused = stage.dashboard.send("trattoria", &conversations[0].customers[0], "from the dead", "k").await;
    assert!(refused.is_err(), "a fenced process accepted a message");

    conversations[0].customers_write(&stage.network, 2).await.unwrap();
    stage.tally.answer_all(&mut conversations, &dashboard, &ear, LIMIT).await.unwrap();
    let after = stage.network.stats().await.counts;
    assert_eq!((after.logins, after.replaced_logins), (logins, replaced), "the sleeper dialed\n{}", stage.log());
    let left = damage::working_copy(&stage.setup.data_dir, "trattoria");
    assert!(left.is_empty(), "the sleeper left its working copy: {left:?}");
    stage.assert_promises(&conversations).await;
    sleeper.kill().await.unwrap();
    owner.kill().await.unwrap();
}
