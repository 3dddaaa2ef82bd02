//! A tenant as a file: it comes back into another vault without a scan, with its history, and with no counter that was used since.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use sessiond::demo::{Setup, until};

use crate::support::{
    emulator,
    stage::{Home, LIMIT, Stage},
};

const KEY: &str = "5e";

/// What the command says, and its exit code.
async fn run(setup: &Setup, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = setup.command().unwrap().args(arguments).arg("--json").output().await.unwrap();
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_str(told.trim()).unwrap_or_else(|_| json!({ "log": log }));
    (output.status.code(), report)
}

/// Another vault, and a data folder of its own.
fn elsewhere(stage: &Stage, home: Home) -> Option<Setup> {
    let setup = Setup { data_dir: stage.path("elsewhere"), ..stage.setup.clone() };
    Some(match home {
        Home::Embedded => setup.embedded(&stage.path("another.db")),
        Home::Emulator => {
            setup.set("SESSIOND_VAULT__KIND", "firestore").firestore(&emulator::host()?, &emulator::project())
        }
    })
}

async fn a_tenant_comes_back_from_its_backup(home: Home) {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let mut stage = stage.set("SESSIOND_MESSAGES__LIVE_EVENTS", "20").set("SESSIOND_MASTER_KEY", KEY.repeat(32));
    let Some(other) = elsewhere(&stage, home) else { return };
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair("trattoria").await];
    let ear = stage.listen(&conversations);
    stage.talk(&mut conversations, &ear, 12).await;
    let vault = Connection::open(stage.path("cloud/vault.db")).unwrap();
    let is_there = |count: u32| count > 0;
    let has_segments =
        async || vault.query_row("SELECT count(*) FROM segments", [], |row| row.get(0)).is_ok_and(is_there);
    until(LIMIT, "a segment", has_segments).await.unwrap();
    let (file, as_text) = (stage.path("trattoria.backup"), |file: &Path| file.to_str().unwrap().to_owned());
    let name = as_text(&file);
    let (code, report) = run(&stage.setup, &["backup", "trattoria", &name]).await;
    assert_eq!((code, &report["lostSegments"]), (Some(0), &json!(0)), "{report:#}");
    let (code, _) = run(&stage.setup, &["backup", "trattoria", &name]).await;
    assert_eq!(code, Some(1), "written over");
    let (code, report) = run(&stage.setup, &["backup", "osteria", &as_text(&stage.path("no"))]).await;
    assert!(code == Some(1) && report["log"].as_str().unwrap().contains("unknown_tenant"), "{report:#}");
    // What the backup does not know, and its counters least of all.
    stage.talk(&mut conversations, &ear, 3).await;
    daemon.kill().await.unwrap();
    drop(ear);
    // A piece of the history is lost: the rest is kept, and the exit code tells.
    let oldest = "DELETE FROM segments WHERE name = (SELECT min(name) FROM segments WHERE tenant = 'trattoria')";
    assert_eq!(vault.execute(oldest, []).unwrap(), 1);
    drop(vault);
    let rest = as_text(&stage.path("rest.backup"));
    let (code, report) = run(&stage.setup, &["backup", "trattoria", &rest]).await;
    assert_eq!((code, &report["lostSegments"]), (Some(1), &json!(1)), "{report:#}");
    assert!(Path::new(&rest).exists());
    let as_well = as_text(&stage.path("as_well.backup"));
    let (code, report) = run(&stage.setup, &["backup", "trattoria", &as_well, "--incomplete"]).await;
    assert_eq!((code, &report["lostSegments"]), (Some(0), &json!(1)), "{report:#}");

    let stranger = Setup { data_dir: stage.path("stranger"), ..stage.setup.clone() };
    let stranger = stranger.embedded(&stage.path("stranger.db")).set("SESSIOND_MASTER_KEY", "7a".repeat(32));
    let (code, report) = run(&stranger, &["restore", &name]).await;
    assert!(code == Some(1) && report["log"].as_str().unwrap().contains("unknown_key"), "{report:#}");
    assert!(!stage.path("stranger.db").exists(), "a vault was made for a backup that does not open");
    // With no key at all.
    let keyless = stranger.embedded(&stage.path("keyless/vault.db")).set("SESSIOND_MASTER_KEY", "");
    let (code, report) = run(&keyless, &["restore", &name]).await;
    assert!(code == Some(1) && report["log"].as_str().unwrap().contains("unknown_key"), "{report:#}");
    assert!(!stage.path("keyless").exists(), "something was left behind");
    let (code, report) = run(&other, &["restore", &name]).await;
    assert_eq!((code, &report["outcome"]), (Some(0), &json!("restored")), "{report:#}");
    let (code, report) = run(&other, &["restore", &name]).await;
    assert_eq!((code, &report["outcome"]), (Some(0), &json!("already_there")), "{report:#}");
    let (code, report) = run(&other, &["restore", &name, "--tenant", "osteria"]).await;
    assert!(code == Some(1) && report["log"].as_str().unwrap().contains("device_elsewhere"), "{report:#}");

    stage.setup = other;
    let daemon = stage.start().await;
    assert!(stage.dashboard.is_connected("trattoria").await, "{}", stage.log());
    let ear = stage.listen(&conversations);
    stage.talk(&mut conversations, &ear, 3).await;
    stage.assert_promises(&conversations).await;
    // Its oldest messages left the state long before the backup.
    stage.assert_oldest_is_read(&conversations[0]).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_comes_back_from_its_backup_into_a_file() {
    a_tenant_comes_back_from_its_backup(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_comes_back_from_its_backup_into_firestore() {
    a_tenant_comes_back_from_its_backup(Home::Emulator).await;
}
