//! The switch of the old service's fleet as one deploy (`import.on_start`): its tenants come in before the restore, each once, whatever dies
//! meanwhile; and an old place that fails keeps nobody waiting. The old place is [`crate::support::old_place`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use loopback::Network;
use serde_json::{Map, Value, json};
use sessiond::demo::until;

use crate::{
    moving::import_live::{linked, set_old_place, tenant},
    support::{
        import_devices,
        old_place::{Fault, OldPlace},
        stage::{Home, LIMIT, Stage, await_death},
    },
};

async fn fleet(network: &Network, seeds: std::ops::Range<u64>) -> Map<String, Value> {
    let mut tenants = Map::new();
    for at in seeds {
        tenants.insert(format!("t{at:03}"), tenant(&linked(network, at).await, true));
    }
    tenants
}

async fn begin(home: Home, seeds: std::ops::Range<u64>) -> Option<(Stage, OldPlace)> {
    let stage = Stage::new(home).await?;
    let place = OldPlace::start(json!({ "tenants": fleet(&stage.network, seeds).await })).await;
    let stage = set_old_place(stage, &place).set("SESSIOND_IMPORT__ON_START", "rtdb");
    Some((stage, place))
}

async fn all_connected(stage: &Stage, names: impl IntoIterator<Item = String>) {
    for name in names {
        let connected = until(LIMIT, &name, || stage.dashboard.is_connected(&name)).await;
        connected.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    }
}

async fn names(stage: &Stage) -> BTreeSet<String> {
    let sessions = stage.dashboard.get("/api/sessions?all=true").await.unwrap().body;
    sessions.as_array().unwrap().iter().map(|session| session["name"].as_str().unwrap().to_owned()).collect()
}

async fn is_paired(stage: &Stage, name: &str) -> bool {
    stage.dashboard.get(&format!("/api/sessions/{name}")).await.unwrap().body["paired"] == json!(true)
}

fn taken(stage: &Stage) -> BTreeMap<String, usize> {
    let mut taken = BTreeMap::new();
    for line in stage.log().lines().filter(|line| line.contains("\"taken from the old service\"")) {
        let line: Value = serde_json::from_str(line).unwrap();
        *taken.entry(line["tenant"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deploy_brings_the_fleet_in_and_each_once() {
    let (stage, place) = begin(Home::Embedded, 0..12).await.unwrap();
    let creds = |seed| import_devices::creds(seed, &import_devices::number(seed));
    let mut broken = tenant(&creds(500), true);
    broken["baileys_session"]["creds"]["account"] = creds(501)["account"].clone();
    place.change(|tree| {
        tree["tenants"]["broken"] = broken;
        tree["tenants"]["away"] = tenant(&creds(502), false);
    });
    let all: BTreeSet<String> = (0..12).map(|at| format!("t{at:03}")).collect();
    let daemon = stage.start().await;
    all_connected(&stage, all.clone()).await;
    assert_eq!(names(&stage).await, all, "nothing is half there");
    assert_eq!(taken(&stage), all.iter().map(|name| (name.clone(), 1)).collect(), "{}", stage.log());
    assert!(stage.log().contains("not_whole"), "{}", stage.log());
    let session = stage.dashboard.get("/api/sessions/t000").await.unwrap().body;
    assert_eq!(session["imported"]["origin"], "realtime_database", "{session}");

    // Unlinked, deleted, unlinked after a scan, and made anew after one: none of them comes back. A new one does.
    stage.dashboard.post("/api/sessions/t000/logout", json!({})).await.unwrap();
    stage.dashboard.delete("/api/sessions/t001").await.unwrap();
    stage.pair("scanned").await;
    stage.dashboard.post("/api/sessions/scanned/logout", json!({})).await.unwrap();
    stage.pair("anew").await;
    stage.dashboard.delete("/api/sessions/anew").await.unwrap();
    let made = stage.dashboard.post("/api/sessions", json!({ "name": "anew", "start": false })).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.body);
    for name in ["t000", "scanned"] {
        until(LIMIT, name, || async { !is_paired(&stage, name).await }).await.unwrap();
    }
    let late = linked(&stage.network, 99).await;
    place.change(|tree| {
        tree["tenants"]["t099"] = tenant(&late, true);
        tree["tenants"]["scanned"] = tenant(&creds(503), true);
        tree["tenants"]["anew"] = tenant(&creds(504), true);
    });
    daemon.terminate(LIMIT).await.unwrap();
    let daemon = stage.start().await;
    let mut left = all.clone();
    left.remove("t000");
    left.remove("t001");
    left.insert("t099".to_owned());
    all_connected(&stage, left).await;
    for name in ["t000", "scanned", "anew"] {
        assert!(!is_paired(&stage, name).await, "{name} was linked again");
    }
    assert!(!names(&stage).await.contains("t001"), "a deleted tenant is back");
    assert!(taken(&stage).values().all(|times| *times == 1), "{:?}", taken(&stage));
    assert_eq!(taken(&stage).len(), 13, "{:?}", taken(&stage));
    let stats = stage.network.stats().await;
    assert_eq!((stats.counts.pairings, stats.counters_reused), (2, 0), "{stats:#?}");
    assert_eq!(place.written(), Vec::<String>::new());
    daemon.terminate(LIMIT).await.unwrap();
}

/// Whatever the old place does, those who are here are served in time; and it is gone through when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_place_that_fails_keeps_nobody_waiting() {
    let (stage, place) = begin(Home::Embedded, 0..6).await.unwrap();
    let stage = stage.set("SESSIOND_IMPORT__DEADLINE", "2s").set("SESSIOND_IMPORT__ON_START", "off");
    let daemon = stage.start().await;
    stage.pair("here").await;
    daemon.terminate(LIMIT).await.unwrap();
    let stage = stage.set("SESSIOND_IMPORT__ON_START", "rtdb");
    // A refusal is told, and not waited for.
    for (fault, most) in [(Fault::Closed, 30), (Fault::Absent, 30), (Fault::Busy, 30), (Fault::Silent, 30)] {
        place.break_with(Some(fault.clone()));
        let began = Instant::now();
        let daemon = stage.start().await;
        assert!(began.elapsed() < Duration::from_secs(most), "{fault:?}: {:?}", began.elapsed());
        all_connected(&stage, ["here".to_owned()]).await;
        assert_eq!(names(&stage).await, BTreeSet::from(["here".to_owned()]), "{fault:?}");
        if fault == Fault::Silent {
            assert!(stage.log().contains("takes longer than import.deadline"), "{}", stage.log());
            place.break_with(None);
            all_connected(&stage, (0..6).map(|at| format!("t{at:03}"))).await;
        }
        daemon.terminate(LIMIT).await.unwrap();
    }
    assert_eq!(taken(&stage).len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_killed_leaves_all_or_nothing_and_is_repeated() {
    killed(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_killed_leaves_all_or_nothing_and_is_repeated_with_firestore() {
    killed(Home::Emulator).await;
}

async fn killed(home: Home) {
    let Some((mut stage, place)) = begin(home, 0..3).await else { return };
    let points = ["import_inspected", "import_recorded", "import_taken_over", "import_claimed", "import_written"];
    for (round, point) in (0..).zip(points) {
        let fleet = fleet(&stage.network, 10 * (round + 1)..10 * (round + 1) + 6).await;
        place.change(|tree| tree["tenants"].as_object_mut().unwrap().extend(fleet));
        // In the middle of a batch; others of it are at other steps.
        stage = stage.set("LOOPBACK_CRASH", format!("{point}:3"));
        let mut daemon = stage.setup.spawn().unwrap();
        await_death(&mut daemon, round).await;
        stage = stage.set("LOOPBACK_CRASH", "nothing:1");
        let daemon = stage.start().await;
        let tree = place.tree();
        let all: BTreeSet<String> = tree["tenants"].as_object().unwrap().keys().cloned().collect();
        all_connected(&stage, all.clone()).await;
        assert_eq!(names(&stage).await, all, "killed at {point}");
        daemon.terminate(LIMIT).await.unwrap();
    }
    let stats = stage.network.stats().await;
    assert_eq!((stats.counts.pairings, stats.counters_reused), (0, 0), "{stats:#?}");
    assert!(taken(&stage).values().all(|times| *times == 1), "{:?}", taken(&stage));
}

/// An import that lasts longer than anybody waits for an answer: a process that was there before does not take it for dead.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_imports_for_long_is_not_taken_for_dead() {
    const IMPORT: Duration = Duration::from_secs(15);
    let (stage, place) = begin(Home::Embedded, 0..1).await.unwrap();
    let stage = stage.shared().set("SESSIOND_HEARTBEAT__ANNOUNCE", "1s").set("SESSIOND_IMPORT__ON_START", "off");
    let old = stage.start().await;
    place.break_with(Some(Fault::Silent));
    let mut other = stage.other("other", false);
    let importing = other.setup.set("SESSIOND_IMPORT__ON_START", "rtdb");
    other.setup = importing.set("SESSIOND_IMPORT__DEADLINE", format!("{}s", IMPORT.as_secs()));
    let began = Instant::now();
    let new = other.start().await;
    assert!(began.elapsed() >= IMPORT, "it was quick\n{}", other.log());
    assert!(!stage.log().contains("a process has died"), "{}", stage.log());
    place.break_with(None);
    let comes_in = || other.dashboard.is_connected("t000");
    until(LIMIT, "the tenant to come in", comes_in).await.unwrap_or_else(|e| panic!("{e}\n{}", other.log()));
    new.kill().await.unwrap();
    old.kill().await.unwrap();
}
