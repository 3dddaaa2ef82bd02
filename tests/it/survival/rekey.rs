//! Another master key: everything is sealed anew, with a daemon and without, whatever dies on the way; then the new key is enough, and the
//! old one opens nothing.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sessiond::{
    clock::SystemClock,
    demo::{Setup, free_address, until},
    fleet::Rekeyer,
    journal::{JournalClosedError, Policy},
    store::{Batch, space},
    tenant::TenantId,
    vault::{Decision, DocumentKind, JournalDocument, Seq, TenantInfo, Vault},
};

use crate::support::{
    stage::{Home, LIMIT, Stage, await_death},
    store_world::{KEY, OTHER_KEY, World, keyring, soon, tenant},
};

/// What the command says, and its exit code; `None`: it was killed.
async fn rekey(setup: &Setup, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = setup.command().unwrap().args(["rekey", "--json"]).args(arguments).output().await.unwrap();
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_str(told.trim()).unwrap_or_else(|_| json!({ "log": log }));
    (output.status.code(), report)
}

async fn another_key_is_enough(home: Home) {
    let Some(stage) = Stage::new(home).await else { return };
    let [first, second, third] = ["5e", "7a", "9b"].map(|byte| byte.repeat(32));
    let with = |setup: &Setup, keys: &[&str]| setup.clone().set("SESSIOND_MASTER_KEY", keys.join(","));
    let mut stage = stage.set("SESSIOND_MESSAGES__LIVE_EVENTS", "20").set("SESSIOND_MASTER_KEY", first.clone());
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair("trattoria").await];
    let ear = stage.listen(&conversations);
    stage.talk(&mut conversations, &ear, 12).await;
    // Counted beside the daemon, which knows nothing of the other key.
    let both = with(&stage.setup, &[&second, &first]);
    let beside = Setup { address: free_address().unwrap(), ..both.clone() };
    let has_segments = async || rekey(&beside, &["--check"]).await.1["leftSegments"].as_u64() > Some(0);
    until(LIMIT, "a segment", has_segments).await.unwrap();
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());

    // Without a daemon, killed wherever it matters.
    let points = [
        "takeover",
        "segment_referred_to_anew",
        "chunks_before_manifest",
        "past_emptied",
        "rekeyed_tenant",
        "rekeyed_tenants",
    ];
    for point in points {
        let (code, report) = rekey(&both, &["--check"]).await;
        assert_eq!(code, Some(1), "before {point}: {report:#}");
        assert!(report["left"].as_u64() > Some(0) && report["fault"].is_null(), "before {point}: {report:#}");
        let (code, report) = rekey(&both.clone().set("LOOPBACK_CRASH", format!("{point}:1")), &[]).await;
        assert_eq!(code, None, "{point} was not passed: {report:#}");
    }
    let (code, report) = rekey(&both, &[]).await;
    assert_eq!((code, &report["left"], &report["undone"]), (Some(0), &json!(0), &json!([])), "{report:#}");
    let (code, report) = rekey(&both, &["--check"]).await;
    assert_eq!((code, &report["left"]), (Some(0), &json!(0)), "{report:#}");
    let old = with(&stage.setup, &[&first]).command().unwrap().arg("check").output().await.unwrap();
    assert_eq!(old.status.code(), Some(78), "the old key opens nothing any more");
    stage.setup = with(&stage.setup, &[&second]);
    let daemon = stage.start().await;
    stage.talk(&mut conversations, &ear, 2).await;
    daemon.kill().await.unwrap();

    // The same once more, by the daemon that serves the tenant.
    let crashing = with(&stage.setup, &[&third, &second]).set("LOOPBACK_CRASH", "segment_resealed:1");
    let mut daemon = crashing.start(LIMIT).await.unwrap();
    let begun = stage.dashboard.post("/api/server/rekey", json!({})).await.unwrap();
    assert_eq!((begun.status, &begun.body["running"]), (200, &json!(true)), "{:#}", begun.body);
    await_death(&mut daemon, 0).await;
    stage.setup = with(&stage.setup, &[&third, &second]);
    let daemon = stage.start().await;
    let (code, report) = rekey(&with(&stage.setup, &[&second, &third]), &["--check"]).await;
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["log"].as_str().is_some_and(|log| log.contains("restart it")), "{report:#}");
    let (code, report) = rekey(&stage.setup, &[]).await;
    assert_eq!((code, &report["left"], &report["tenants"]), (Some(0), &json!(0), &json!(1)), "{report:#}");
    stage.talk(&mut conversations, &ear, 2).await;
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log());
    stage.setup = with(&stage.setup, &[&third]);
    stage.wipe_local_data();
    let daemon = stage.start().await;
    assert!(stage.dashboard.is_connected("trattoria").await, "{}", stage.log());
    stage.talk(&mut conversations, &ear, 2).await;
    stage.assert_promises(&conversations).await;
    // What left the state long ago is there, under its third key.
    stage.assert_oldest_is_read(&conversations[0]).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_enough_for_a_file() {
    another_key_is_enough(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_enough_for_firestore() {
    another_key_is_enough(Home::Emulator).await;
}

fn rekeyer(vault: Arc<dyn Vault>) -> Rekeyer {
    let (keyring, clock) = (Arc::new(keyring(&[OTHER_KEY, KEY])), SystemClock::shared());
    Rekeyer { vault, keyring, clock, policy: Policy::default() }
}

/// Looked for, it has no owner; opened before it is taken over, it has one.
#[tokio::test]
async fn a_tenant_that_is_opened_meanwhile_is_left_to_its_owner() {
    let world = World::new().await;
    let mut batch = Batch::default();
    batch.put(space::SETTINGS, *b"name", "value");
    world.store.write(batch).await.unwrap();
    world.settle().await;
    let rekeyer = rekeyer(world.line.vault.clone());
    let mut owner = None;
    let is_opened = async {
        owner = Some(world.restored().await);
        Ok(())
    };
    let refused = soon(rekeyer.reseal_unserved(&tenant(), is_opened)).await.unwrap_err();
    assert!(refused.contains("taken the tenant over"), "{refused}");
    let owner = owner.expect("it was asked whether it is free");
    soon(owner.journal.confirm()).await.expect("it goes on");
    drop(owner);
    soon(rekeyer.reseal_unserved(&tenant(), async { Ok(()) })).await.unwrap();
    let report = soon(rekeyer.run(None, |_| ())).await;
    assert_eq!((report.left, report.fault, report.looked_at), (0, None, 1));
}

/// Decisions and takeovers of before keep their numbers, so that a process that slept is fenced, and nothing of their contents.
#[tokio::test]
async fn the_old_key_opens_nothing_of_before_and_who_slept_is_fenced() {
    let world = World::new().await;
    let pairing = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    let change = world.journal.record(Vec::new(), Some(pairing));
    soon(world.journal.wait(change)).await.unwrap();
    world.settle().await;
    let vault = world.line.vault.clone();
    let mut kept: Vec<_> = vault.documents(&tenant(), Seq(1)).await.unwrap();
    let (decided, _) = world.line.appends().into_iter().find(|(_, decision)| decision.is_some()).unwrap();
    let decided = decided.last().unwrap().seq;
    kept.retain(|document| document.kind == DocumentKind::Takeover || document.seq == decided);
    assert_eq!(kept.len(), 2, "{kept:?}");

    let rekeyer = rekeyer(vault.clone());
    soon(rekeyer.reseal_unserved(&tenant(), async { Ok(()) })).await.unwrap();
    let report = soon(rekeyer.run(None, |_| ())).await;
    assert_eq!((report.left, report.fault, report.looked_at), (0, None, 1));
    let found = vault.documents(&tenant(), Seq(1)).await.unwrap();
    for before in kept {
        let after = found.iter().find(|document| document.seq == before.seq).expect("its number stays taken");
        assert_eq!(*after, JournalDocument { payload: Bytes::new(), ..before });
    }

    let mut batch = Batch::default();
    batch.put(space::SETTINGS, *b"name", "of one that slept");
    let change = world.store.write(batch).await.unwrap();
    assert_eq!(soon(world.journal.wait(change)).await, Err(JournalClosedError::Fenced));

    // Where no snapshot is left, what is empty is damage, and no state without it.
    for snapshot in vault.snapshots(&tenant()).await.unwrap() {
        vault.remove_snapshot(&tenant(), &snapshot).await.unwrap();
    }
    let refused = soon(rekeyer.reseal_unserved(&tenant(), async { Ok(()) })).await;
    assert!(refused.is_err(), "a state without what the emptied documents said");
}

/// One that cannot be read is named, and the others are looked through; three in a row are an outage.
#[tokio::test]
async fn a_rekey_goes_on_where_the_vault_answers() {
    let world = World::new().await;
    let vault = world.line.vault.clone();
    let named = |name: &str| -> TenantId { name.parse().unwrap() };
    vault.notice(&named("trattoria"), &TenantInfo::default()).await.unwrap();
    let put = async |name: &str| vault.put_segment(&named(name), "piece-0000", "sealed".into()).await.unwrap();
    put("shop").await;
    // Nothing is read of a tenant that has no pieces.
    world.silence();
    let rekeyer = rekeyer(world.line.clone());
    let report = soon(rekeyer.run(None, |_| ())).await;
    let undone: Vec<_> = report.undone.iter().map(|undone| undone.tenant.as_str()).collect();
    assert_eq!((&report.fault, report.looked_at, undone), (&None, 2, vec!["shop"]));
    for name in ["osteria", "pizzeria"] {
        vault.notice(&named(name), &TenantInfo::default()).await.unwrap();
        put(name).await;
    }
    let report = soon(rekeyer.run(None, |_| ())).await;
    assert!(report.fault.is_some() && report.looked_at == 2, "{report:?}");
}
