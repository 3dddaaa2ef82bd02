//! One customer's documents do not fill the disk on which everybody's vault stands; and what comes in has a largest size.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use loopback::{File, Say};
use reqwest::Method;
use serde_json::{Value, json};
use sessiond::demo::until;

use crate::{
    messages::media::{MediaScene, PDF, TENANT, base64, file, lazily, problem},
    support::stage::{LIMIT, Stage},
};

fn document(size: usize) -> Say {
    Say::Document(File { data: file(PDF, size), ..File::default() })
}

/// All files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { found.extend(below(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

fn size(folder: &Path) -> u64 {
    below(folder).iter().map(|file| file.metadata().map_or(0, |meta| meta.len())).sum()
}

fn media(stage: &Stage) -> PathBuf {
    stage.setup.data_dir.join("media")
}

/// More than any disk has left.
const ALL: &str = "100000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_takes_messages_and_no_files() {
    let scene = MediaScene::with(|stage| lazily(stage).set("SESSIOND_DATA__RESERVE_MIB", ALL)).await;
    // The message itself is there, and can be answered.
    let url = scene.receive(document(200_000)).await;
    assert_eq!(problem(scene.get(&url).await).await, (503, "storage".to_owned()));
    assert_eq!(below(&media(&scene.stage)), [""; 0].map(PathBuf::from));
    let body = json!({ "file": { "mimetype": "application/pdf", "data": base64(&file(PDF, 1000)) } });
    let (status, answer) = scene.post("/api/sendFile", body).await;
    assert_eq!((status.as_u16(), &answer["code"]), (503, &json!("storage")), "{answer}");
    let text = json!({ "tenantId": TENANT, "to": scene.customer, "text": "¡claro!" });
    let sent = scene.stage.dashboard.post("/api/baileys/send", text).await.unwrap();
    assert_eq!(sent.status, 200, "{}", sent.body);
    // Whoever watches the daemon is told.
    let health = scene.stage.dashboard.get("/health").await.unwrap();
    assert_eq!((health.status, &health.body["status"]), (503, &json!("disk_full")), "{}", health.body);
    assert!(scene.stage.log().contains("the disk is nearly full"), "{}", scene.stage.log());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_share_counts_when_a_file_is_kept() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_MEDIA__KEEP_MIB", "2")).await;
    let mut urls = Vec::new();
    for _ in 0..6 {
        let url = scene.receive(document(600_000)).await;
        scene.bytes(&url).await;
        urls.push(url);
        let kept = size(&media(&scene.stage));
        assert!(kept <= 2 << 20, "{kept} bytes are kept");
    }
    assert!(below(&media(&scene.stage)).len() >= 2, "too much was removed");
    // What made room is fetched again.
    scene.bytes(&urls[0]).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tenants_together_have_a_share_and_the_largest_makes_room() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_MEDIA__KEEP_ALL_MIB", "2")).await;
    let other = scene.stage.pair("pizzeria").await;
    let small = scene.stage.listen(std::slice::from_ref(&other));
    scene.stage.network.customer_send(&scene.customer, &other.number, document(300_000)).await.unwrap();
    small.until(LIMIT, |heard| heard.iter().any(|heard| heard.event == "message:received")).await.unwrap();
    let its_own = media(&scene.stage).join("pizzeria");
    until(LIMIT, "the small tenant's file", || async { below(&its_own).len() == 1 }).await.unwrap();
    for _ in 0..6 {
        let url = scene.receive(document(600_000)).await;
        scene.bytes(&url).await;
        let kept = size(&media(&scene.stage));
        assert!(kept <= 2 << 20, "{kept} bytes are kept");
    }
    assert_eq!(below(&its_own).len(), 1, "a flood cost another tenant its file");
    scene.end_after(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_on_the_machine_reads_what_is_kept() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_VAULT__EMBEDDED__PATH", "")).await;
    let url = scene.receive(document(1000)).await;
    scene.bytes(&url).await;
    let files = below(&scene.stage.setup.data_dir);
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let Ok(meta) = file.metadata() else { continue };
        assert_eq!(meta.permissions().mode() & 0o077, 0, "others may use {}", file.display());
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_twelve_megabytes_is_shown_cut_and_kept_so() {
    let scene = MediaScene::new().await;
    // As others of the kind: a caption, a poll's options, a card, and what all of them quote.
    let before = size(&scene.stage.path("cloud"));
    let long = "ñ".repeat(6 << 20);
    let id = scene.stage.network.customer_send(&scene.customer, &scene.tenant.number, &*long).await.unwrap();
    let message = scene.seen(&id).await;
    assert_eq!(message["truncated"], json!(true), "it is not said");
    let text = message["text"].as_str().unwrap();
    assert!((30_000..=65_536).contains(&text.chars().count()), "{} characters are shown", text.chars().count());
    let card = Say::Contact(loopback::Card { name: "x".repeat(1 << 20), vcard: "y".repeat(2 << 20) });
    let id = scene.stage.network.customer_send(&scene.customer, &scene.tenant.number, card).await.unwrap();
    let message = scene.seen(&id).await;
    assert_eq!(message["truncated"], json!(true), "it is not said");
    assert!(message.to_string().len() < 512 * 1024, "{} bytes", message.to_string().len());
    let own = scene.ask(Method::GET, &format!("/api/baileys/messages?tenantId={TENANT}&chatId={}", scene.customer));
    let read: Value = own.send().await.unwrap().json().await.unwrap();
    assert_eq!(read["count"], json!(2), "{}", read.to_string().len());
    assert!(read.to_string().len() < 1 << 20, "{} bytes", read.to_string().len());
    // A text that people can write in WhatsApp comes whole.
    let longest = "a".repeat(65_536);
    let id = scene.stage.network.customer_send(&scene.customer, &scene.tenant.number, &*longest).await.unwrap();
    let message = scene.seen(&id).await;
    assert_eq!((&message["text"], &message["truncated"]), (&json!(longest), &Value::Null));
    scene.daemon.terminate(LIMIT).await.unwrap();
    let grown = size(&scene.stage.path("cloud")) - before;
    eprintln!("the vault grew by {} KiB", grown / 1024);
}
