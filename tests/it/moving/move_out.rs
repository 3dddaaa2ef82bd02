//! A tenant moves out without a scan: paired here, it talks, is exported, and Baileys 7 goes on as its device. The daemon does not connect
//! it any more. Its contacts are the network's, which count every ciphertext.
//!
//! Needs Node and npm. Where they are missing the tests say so and pass, unless `CI=true`.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use loopback::Network;
use serde_json::{Value, json};
use sessiond::{daemon::EXIT_IN_USE, demo::until};

use crate::support::{
    driver::Client,
    node::program,
    stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";
const BAILEYS_7: &str = include_str!("../../fixtures/import/baileys-7.json");

/// Points that an export passes, in order, and whether the tenant is gone then, and whether the folder logs in.
const POINTS: [(&str, bool, bool); 9] = [
    ("export_begun", false, false),
    ("takeover", false, false),
    ("export_taken_over", false, false),
    ("export_decided", true, false),
    ("export_file", true, false),
    ("export_unfinished", true, false),
    ("export_written", true, true),
    ("export_completed", true, true),
    ("", true, true),
];

fn command(stage: &Stage, tenant: &str, folder: &Path) -> tokio::process::Command {
    let mut command = stage.setup.command().unwrap();
    command.args(["export", "--to", "baileys", "--json"]).arg(folder).arg(tenant);
    command
}

fn report(output: &Output) -> Value {
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(told.trim()).unwrap_or_else(|error| panic!("{error}: {told}\n{log}"))
}

/// What the command says: `exported`, or the code of what was wrong.
async fn export(stage: &Stage, tenant: &str, folder: &Path) -> (String, Value) {
    let output = command(stage, tenant, folder).output().await.unwrap();
    let report = report(&output);
    let code = report["reason"]["code"].as_str().or(report["outcome"].as_str()).unwrap().to_owned();
    assert_eq!(output.status.success(), code == "exported", "{report:#}");
    (code, report)
}

async fn arrives(stage: &Stage, number: &str, text: &str) {
    let has = || async {
        let inbox = stage.network.customer_inbox(number).await.unwrap();
        inbox.iter().any(|received| received.text.as_deref() == Some(text))
    };
    if let Err(error) = until(LIMIT, text, has).await {
        panic!("{error}, at {number}\n{:#?}\n{}", stage.network.stats().await, stage.log());
    }
}

async fn settled(network: &Network) {
    let empty = || async { network.stats().await.offline_queues.is_empty() };
    until(LIMIT, "everything to be acknowledged", empty).await.unwrap();
}

/// Ours: to a chat, over HTTP.
async fn say(stage: &Stage, chat: &str, text: &str) {
    let body = json!({ "session": TENANT, "chatId": chat, "text": text });
    let answer = stage.dashboard.post("/api/sendText", body).await.unwrap();
    assert!((200..300).contains(&answer.status), "{} {:#}\n{}", answer.status, answer.body, stage.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_goes_on_as_a_tenant_that_has_moved_out() {
    let Some(node) = program("baileys") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let network = stage.network.clone();
    let daemon = stage.start().await;
    let owner = stage.pair(TENANT).await;
    let mut people = Vec::new();
    for at in 0..2 {
        let number = network.add_customer().await;
        let phone = network.phone(&number).await.unwrap();
        // The second shows nobody a number.
        network.hide_number(&number, at == 1).await.unwrap();
        people.push((number, if at == 1 { phone.lid } else { phone.jid }));
    }
    let own = network.phone(&owner.number).await.unwrap();
    let to = [own.number.clone(), own.lid.clone()];
    let group = network.create_group(&people[0].0, "Suppliers", &[&own.number[..], &people[1].0]).await.unwrap().jid;

    // They talk here, in both directions.
    for round in 0..2 {
        for ((number, jid), to) in people.iter().zip(&to) {
            network.customer_send(number, to, &format!("question {round} of {number}")).await.unwrap();
            let text = format!("answer {round} for {number}");
            say(&stage, jid, &text).await;
            arrives(&stage, number, &text).await;
            network.customer_send(number, &group, &format!("to the group {round} of {number}")).await.unwrap();
        }
        let text = format!("answer {round} for the group");
        say(&stage, &group, &text).await;
        for (number, _) in &people {
            arrives(&stage, number, &text).await;
        }
    }
    settled(&network).await;

    // Not while a daemon has the vault, and nothing is made.
    let folder = stage.path("out");
    let busy = command(&stage, TENANT, &folder).output().await.unwrap();
    assert_eq!((busy.status.code(), folder.exists()), (Some(i32::from(EXIT_IN_USE)), false));
    daemon.terminate(LIMIT).await.unwrap();
    let mut waiting = Vec::new();
    for ((number, _), to) in people.iter().zip(&to) {
        for to in [to, &group] {
            waiting.push(format!("waiting, of {number} to {to}"));
            network.customer_send(number, to, waiting.last().unwrap()).await.unwrap();
        }
    }
    let (outcome, told) = export(&stage, TENANT, &folder).await;
    assert_eq!((&*outcome, &told["number"]), ("exported", &json!(own.number)), "{told:#}");
    assert!(told["problems"].is_null() && told["entries"]["session"].as_u64() >= Some(2), "{told:#}");
    for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).chain([folder.clone()]) {
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }

    let mut baileys = Client::start_storing(&node, "7", &network, &folder);
    baileys.event("open", |_| true).await;
    for text in &waiting {
        baileys.text(text).await;
    }
    for round in 0..2 {
        for ((number, jid), to) in people.iter().zip(&to) {
            let text = format!("Baileys' answer {round} for {number}");
            baileys.send(jid, &text).await;
            arrives(&stage, number, &text).await;
            for to in [to, &group] {
                let text = format!("live {round} of {number} to {to}");
                network.customer_send(number, to, &text).await.unwrap();
                baileys.text(&text).await;
            }
        }
        let text = format!("Baileys' answer {round} for the group");
        baileys.send(&group, &text).await;
        for (number, _) in &people {
            arrives(&stage, number, &text).await;
        }
    }
    let stranger = network.add_customer().await;
    network.customer_send(&stranger, &own.number, "good day").await.unwrap();
    baileys.text("good day").await;
    settled(&network).await;
    let stats = network.stats().await;
    let broken = (stats.counters_reused, stats.nacks.len(), stats.counts.undecryptable, stats.counts.retry_receipts);
    assert_eq!((stats.counts.pairings, broken), (1, (0, 0, 0, 0)), "{stats:#?}");

    // It is not taken out a second time, and does not connect from here: nobody throws Baileys out.
    assert_eq!(export(&stage, TENANT, &stage.path("twice")).await.0, "already_exported");
    assert!(!stage.path("twice").exists());
    let daemon = stage.start().await;
    refuses(&stage).await;
    let text = "Baileys is still there";
    network.customer_send(&people[0].0, &own.number, text).await.unwrap();
    baileys.text(text).await;
    // Until the owner says otherwise.
    let path = format!("/api/sessions/{TENANT}");
    assert_eq!(stage.dashboard.post(&format!("{path}/logout"), json!({})).await.unwrap().status, 201);
    assert_eq!(stage.dashboard.post(&format!("{path}/start"), json!({})).await.unwrap().status, 201);
    let offered = || async { stage.dashboard.get(&path).await.unwrap().body["status"] == "SCAN_QR_CODE" };
    until(LIMIT, "a code to scan", offered).await.unwrap();
    daemon.terminate(LIMIT).await.unwrap();
    assert!(baileys.end().await.iter().all(|event| event["event"] != "close"), "somebody took Baileys' place");
}

/// Whatever asks for a connection is answered where the tenant is.
async fn refuses(stage: &Stage) {
    let path = format!("/api/sessions/{TENANT}");
    for (route, body) in [
        (format!("{path}/start"), json!({})),
        (format!("{path}/restart"), json!({})),
        ("/api/sessions/start".to_owned(), json!({ "name": TENANT })),
        ("/api/baileys/connect".to_owned(), json!({ "tenantId": TENANT })),
        (format!("/api/{TENANT}/auth/request-code"), json!({ "phoneNumber": "573001112233" })),
    ] {
        let answer = stage.dashboard.post(&route, body).await.unwrap();
        let told = (answer.status, answer.body["code"].as_str());
        assert_eq!(told, (409, Some("exported")), "{route}: {:#}", answer.body);
    }
    let session = stage.dashboard.get(&path).await.unwrap().body;
    let reason = session["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("exported to Baileys at 20"), "{session:#}");
    assert_eq!((&session["status"], &session["paired"]), (&json!("STOPPED"), &json!(false)), "{session:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_export_leaves_the_tenant_or_its_folder() {
    killed(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_export_leaves_the_tenant_or_its_folder_with_firestore() {
    killed(Home::Emulator).await;
}

/// Of one device: it is imported again for each point, under another name.
async fn killed(home: Home) {
    let Some(stage) = Stage::new(home).await else { return };
    let mut whole: Option<BTreeSet<String>> = None;
    for (point, is_gone, is_whole) in POINTS.into_iter().rev() {
        let tenant = if point.is_empty() { "whole".to_owned() } else { point.replace('_', "-") };
        let source = device(&stage, &tenant);
        assert_eq!(import(&stage, &source, &tenant, &["--stopped"]).await, "imported", "{point}");
        let folder = stage.path(&format!("out-{tenant}"));
        let mut command = command(&stage, &tenant, &folder);
        if point.is_empty() {
            let output = command.output().await.unwrap();
            assert!(output.status.success(), "{output:?}");
        } else {
            let output = command.env("LOOPBACK_CRASH", format!("{point}:1")).output().await.unwrap();
            assert_eq!(output.status.code(), None, "it passed {point} alive: {output:?}");
        }
        // A look: linked, or free for another device.
        let found = import(&stage, &source, &tenant, &["--dry-run"]).await;
        assert_eq!(found, if is_gone { "importable" } else { "already_imported" }, "killed at {point}");
        // It came in here: its sessions do not a second time, and a look says so as well.
        let found = import(&stage, &source, &tenant, &["--stopped", "--dry-run"]).await;
        assert_eq!(found, if is_gone { "used_here" } else { "already_imported" }, "killed at {point}");
        assert_eq!(folder.join("creds.json").exists(), is_whole, "killed at {point}");
        // A folder that has something else in it is left alone.
        let other = stage.path("other");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("menu.txt"), "pasta").unwrap();
        assert_eq!(export(&stage, &tenant, &other).await.0, "folder_not_empty");

        let creds = std::fs::read(folder.join("creds.json")).ok();
        let (outcome, _) = export(&stage, &tenant, &folder).await;
        assert_eq!(outcome, if point.is_empty() { "folder_not_empty" } else { "exported" }, "killed at {point}");
        let names = names(&folder);
        assert_eq!(*whole.get_or_insert_with(|| names.clone()), names, "killed at {point}");
        if let Some(before) = creds {
            let after = std::fs::read(folder.join("creds.json")).unwrap();
            assert_eq!(before, after, "a folder that may be in use is not written again");
        }
        assert_eq!(export(&stage, &tenant, &stage.path("nowhere")).await.0, "already_exported", "killed at {point}");
        assert_eq!(import(&stage, &source, &tenant, &["--dry-run"]).await, "importable");
    }
    // It comes back, without its sessions.
    let source = device(&stage, "whole");
    assert_eq!(import(&stage, &source, "whole", &["--stopped"]).await, "used_here");
    assert_eq!(import(&stage, &source, "whole", &[]).await, "imported");
    assert_eq!(export(&stage, "nobody", &stage.path("nowhere")).await.0, "unknown_tenant");
    assert!(!stage.path("nowhere").exists());
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A folder of Baileys 7.
fn device(stage: &Stage, name: &str) -> PathBuf {
    let folder = stage.path(&format!("in-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let files: BTreeMap<String, String> = serde_json::from_str(BAILEYS_7).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder
}

async fn import(stage: &Stage, source: &Path, tenant: &str, options: &[&str]) -> String {
    let mut command = stage.setup.command().unwrap();
    command.args(["import", "--from", "baileys", "--json", "--tenant", tenant]).arg(source).args(options);
    let report = report(&command.output().await.unwrap());
    report["reason"]["code"].as_str().or(report["outcome"].as_str()).unwrap().to_owned()
}
