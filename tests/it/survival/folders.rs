//! Two daemons over one data folder, as in a rolling deploy on one volume: neither touches the other's working copies.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sessiond::demo::until;

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

async fn a_rolling_deploy(home: Home) {
    let Some(stage) = Stage::new(home).await else { return };
    // So short that the new owner opens its file again after the old one has stopped.
    let stage = stage.shared().set("SESSIOND_SESSION__FILE_IDLE", "1s");
    let old = stage.start().await;
    let mut conversations = vec![stage.pair(TENANT).await];
    let ear = stage.listen(&conversations);
    conversations[0].customers_write(&stage.network, 2).await.unwrap();
    stage.tally.answer_all(&mut conversations, &stage.dashboard, &ear, LIMIT).await.unwrap();

    // No command takes the tenant from a process that lives.
    let folder = stage.path("out");
    let mut export = stage.setup.command().unwrap();
    export.args(["export", "--to", "baileys", "--json"]).arg(&folder).arg(TENANT);
    let refused = export.output().await.unwrap();
    let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
    let told = (refused.status.code(), &report["reason"]["code"], folder.exists());
    assert_eq!(told, (Some(1), &json!("owned_elsewhere"), false), "{report:#}");

    let next = stage.other("next", true);
    let new = next.start().await;
    assert!(stage.dashboard.is_connected(TENANT).await);
    let count = folders(&stage).len();
    assert_eq!(count, 2, "each has its own: {:?}", folders(&stage));
    assert_eq!(old.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    until(LIMIT, "the tenant to be handed over", || next.dashboard.is_connected(TENANT)).await.unwrap();
    assert_eq!(folders(&stage).len(), 1, "{:?}", folders(&stage));

    let ear = sessiond::demo::Ear::open(&next.dashboard, vec![TENANT.into()]);
    let is_closed = || async {
        let mut open = std::fs::read_dir(format!("/proc/{}/fd", new.id().unwrap())).unwrap();
        !open.any(|entry| {
            entry.ok().and_then(|e| e.path().read_link().ok()).is_some_and(|file| file.ends_with("session.db"))
        })
    };
    until(LIMIT, "the new owner's file to be closed", is_closed).await.unwrap();
    conversations[0].customers_write(&stage.network, 3).await.unwrap();
    if let Err(error) = stage.tally.answer_all(&mut conversations, &next.dashboard, &ear, LIMIT).await {
        panic!("{error:#}\n{}", next.log());
    }
    stage.assert_promises(&conversations).await;
    assert_eq!(next.health().await.1["incidents"]["copies_failed"], json!(0), "{}", next.log());

    // What a killed process leaves, the next start removes.
    new.kill().await.unwrap();
    assert_eq!(folders(&stage).len(), 1);
    let daemon = stage.start().await;
    assert!(stage.dashboard.is_connected(TENANT).await);
    assert_eq!(folders(&stage).len(), 1, "{:?}", folders(&stage));
    daemon.kill().await.unwrap();
}

fn folders(stage: &Stage) -> BTreeSet<String> {
    let entries = std::fs::read_dir(stage.setup.data_dir.join("sessions")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_deploy_on_one_volume_loses_nothing() {
    a_rolling_deploy(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_deploy_on_one_volume_loses_nothing_with_firestore() {
    a_rolling_deploy(Home::Emulator).await;
}

/// Unless sharing is asked for by name, the second says whose the vault is and goes, and not a file is touched.
#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_vault_has_one_process() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let mut conversation = stage.pair(TENANT).await;
    for shared in [false, true] {
        let second = stage.other("second", false);
        let setup = second.setup.clone().set("SESSIOND_VAULT__EMBEDDED__SHARED", shared.to_string());
        let vault = files(&stage.path("cloud"));
        let mut process = setup.spawn().unwrap();
        let refused = process.await_port(LIMIT).await.unwrap_err().to_string();
        assert!(refused.contains("exit status: 75"), "{refused}");
        let whose = format!("in use by process {}", daemon.id().unwrap());
        assert!(second.log().contains(&whose), "{}", second.log());
        assert_eq!(files(&stage.path("cloud")), vault);
        assert_eq!(files(&second.setup.data_dir), BTreeSet::new());
    }
    assert!(stage.dashboard.is_connected(TENANT).await);
    // However the first ends, the lock ends with it.
    daemon.kill().await.unwrap();
    let next = stage.other("next", false);
    let daemon = next.start().await;
    assert!(next.dashboard.is_connected(TENANT).await);
    // Somebody removes every file under it: the vault is written anew, and its lock is there again.
    for name in files(&stage.path("cloud")) {
        let _ = std::fs::remove_file(stage.path("cloud").join(name));
    }
    conversation.customers_write(&stage.network, 1).await.unwrap();
    let told = async || next.log().contains("it is locked again");
    until(LIMIT, "the lock", told).await.unwrap_or_else(|error| panic!("{error}\n{}", next.log()));
    let mut third = stage.other("third", false).setup.spawn().unwrap();
    let refused = third.await_port(LIMIT).await.unwrap_err().to_string();
    assert!(refused.contains("exit status: 75"), "{refused}");
    daemon.kill().await.unwrap();
}

/// What is in a folder: names; of files that one process alone writes, sizes.
fn files(folder: &std::path::Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
