//! The same tenants as in [`crate::moving::move_in`], from every other shelf on which gateways keep them: one JSON, the Realtime Database, Evolution's
//! three places, WAHA's folder. Each is made of a store that Baileys itself wrote while it talked, and goes on as if nothing had been.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    moving::{
        import_live::{set_old_place, tenant},
        move_in::{MoveInScene, TENANT},
    },
    support::old_place::OldPlace,
};

const INSTANCE: &str = "6f1c7d1e-0000-4000-8000-1234567890ab";

/// A store of Baileys that has talked and is stopped; what its contacts wrote since waits.
async fn stopped(version: &str, rounds: usize) -> Option<MoveInScene> {
    let mut scene = MoveInScene::begin(version).await?;
    scene.talk(rounds).await;
    scene.stop_old_service().await;
    scene.all_write("waiting").await;
    Some(scene)
}

/// The store's files: names without `.json`, and texts.
fn files(store: &Path) -> BTreeMap<String, String> {
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name.trim_end_matches(".json").to_owned(), fs::read_to_string(entry.path()).unwrap())
    };
    fs::read_dir(store).unwrap().map(|entry| read(entry.unwrap())).collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn written(scene: &MoveInScene, name: &str, text: &str) -> PathBuf {
    let file = scene.stage.path(name);
    fs::write(&file, text).unwrap();
    file
}

/// All files but the credentials.
fn copy_keys(store: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, text) in files(store).into_iter().filter(|(name, _)| name != "creds") {
        fs::write(to.join(format!("{name}.json")), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_as_one_json() {
    one_json("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_as_one_json() {
    one_json("6").await;
}

async fn one_json(version: &str) {
    let Some(mut scene) = stopped(version, 1).await else { return };
    let mut keys: BTreeMap<_, _> = files(&scene.store).into_iter().map(|(name, text)| (name, parsed(&text))).collect();
    let creds = keys.remove("creds");
    let source = written(&scene, "tenant.json", &json!({ "creds": creds, "keys": keys }).to_string());
    let report = scene.import_as("baileys", Some(&source), &["--stopped"]).await;
    scene.goes_on_unnoticed(&report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_from_the_realtime_database() {
    realtime_database("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_from_the_realtime_database() {
    realtime_database("6").await;
}

/// The old service kept the credentials there, and no keys.
async fn realtime_database(version: &str) {
    let Some(mut scene) = stopped(version, 1).await else { return };
    let creds = parsed(&files(&scene.store)["creds"]);
    let place = OldPlace::start(json!({ "tenants": { TENANT: tenant(&creds, true) } })).await;
    scene.stage = set_old_place(scene.stage, &place);
    let report = scene.import_as("rtdb", None, &["--stopped"]).await;
    assert_eq!(place.written(), Vec::<String>::new(), "it is only read");
    scene.goes_on_with_credentials_alone(&report).await;
}

/// Credentials in the table, stringified twice; keys in the instance's folder.
#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_from_evolutions_table_and_folder() {
    let Some(mut scene) = stopped("6", 1).await else { return };
    let creds = Value::String(files(&scene.store)["creds"].clone()).to_string().replace('"', "\"\"");
    let rows = format!("id,sessionId,creds,createdAt\nc1,{INSTANCE},\"{creds}\",2026-01-01\n");
    let source = written(&scene, "Session.csv", &rows);
    let instances = scene.stage.path("instances");
    copy_keys(&scene.store, &instances.join(INSTANCE));
    let report =
        scene.import_as("evolution", Some(&source), &["--stopped", "--keys", instances.to_str().unwrap()]).await;
    scene.goes_on_unnoticed(&report).await;
}

/// Both in one hash, each value stringified; names as Baileys gives them, not as files have them.
#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_from_evolutions_redis() {
    let Some(mut scene) = stopped("7", 1).await else { return };
    let named = |name: String| if name.starts_with("sender-key-") { name.replace("--", "::") } else { name };
    let hash: BTreeMap<_, _> = files(&scene.store).into_iter().map(|(name, text)| (named(name), text)).collect();
    let source = written(&scene, "hash.json", &json!(hash).to_string());
    let report = scene.import_as("evolution", Some(&source), &["--stopped"]).await;
    scene.goes_on_unnoticed(&report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_from_wahas_folder() {
    waha("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_from_wahas_folder() {
    waha("6").await;
}

async fn waha(version: &str) {
    let Some(mut scene) = stopped(version, 1).await else { return };
    let session = scene.stage.path("waha").join("noweb").join("default");
    copy_keys(&scene.store, &session);
    fs::copy(scene.store.join("creds.json"), session.join("creds.json")).unwrap();
    let root = scene.stage.path("waha");
    let report = scene.import_as("waha", Some(&root), &["--stopped"]).await;
    scene.goes_on_unnoticed(&report).await;
}
