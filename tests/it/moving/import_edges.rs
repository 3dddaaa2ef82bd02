//! What `sessiond import` meets at its edges: bombs, keys that are not where they should be, a tenant that a living daemon has.

use std::{process::Stdio, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use sessiond::demo::until;

use crate::{
    moving::{
        import_command::{BAILEYS_7, Import},
        import_live,
    },
    support::{
        import_devices,
        stage::{Home, LIMIT},
    },
};

/// MiB that an import of anything may take.
const MEMORY: u64 = 500;

/// Whatever a source is, the command ends with the reason, within its memory, and nothing is there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn bombs_end_in_an_error_within_the_memory() {
    let import = Import::new(Home::Embedded).await.unwrap();
    let bomb = |bytes: usize| {
        let mut bomb = br#"{"creds":{"x":["#.to_vec();
        bomb.extend(b"null,".repeat(bytes / 5));
        bomb.extend(b"null]}}");
        bomb
    };
    // A heading, and then a line that does not end; it takes no room on the disk.
    let endless = |name: &str, heading: &str| {
        let path = import.stage.path(name);
        std::fs::write(&path, heading).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
        path
    };
    let (json, packed) = (import.stage.path("bomb.json"), import.stage.path("bomb.txt"));
    std::fs::write(&json, bomb(120 << 20)).unwrap();
    std::fs::write(&packed, STANDARD.encode(bomb(88 << 20))).unwrap();
    let rows = endless("rows.csv", "sessionId,creds\n");
    let dump = endless("dump.sql", "COPY public.whatsmeow_device (jid) FROM stdin;\n");
    for (from, source) in [("baileys", &json), ("baileys", &packed), ("evolution", &rows), ("whatsmeow", &dump)] {
        let mut command = import.command(from, source, &["--tenant", "trattoria", "--dry-run"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id().unwrap());
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            let told = std::fs::read_to_string(&status).unwrap_or_default();
            let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            peak = peak.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0_u64) >> 10);
            // Between two looks at what is measured.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let output = child.wait_with_output().await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{}: {said}", source.display());
        assert!(said.contains("larger than an import takes"), "{}: {said}", source.display());
        assert!((1..MEMORY).contains(&peak), "{}: {peak} MiB", source.display());
        assert!(!import.stage.path("cloud").join("vault.db").exists(), "nothing is there");
    }
}

/// Keys that are not where the operator says are no import of credentials alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_keys_that_is_not_there_is_said() {
    let import = Import::new(Home::Embedded).await.unwrap();
    let creds = |seed| import_devices::creds(seed, &import_devices::number(seed)).to_string();
    let rows = import.stage.path("rows.json");
    let row = |instance: &str, seed| json!({ "sessionId": instance, "creds": creds(seed) });
    std::fs::write(&rows, json!([row("one", 1), row("two", 2)]).to_string()).unwrap();
    let folder = import.folder("instances/one", BAILEYS_7);
    std::fs::remove_file(folder.join("creds.json")).unwrap();
    let (instances, typo) = (import.stage.path("instances"), import.stage.path("instance"));
    let seven = import.folder("seven", BAILEYS_7);
    let dump = import.stage.path("keys.txt");
    std::fs::write(&dump, "pre-key-1\n{}\n").unwrap();
    for (from, source, keys) in [
        ("evolution", &rows, &typo),
        ("evolution", &rows, &dump),
        ("evolution", &instances, &instances),
        ("baileys", &seven, &instances),
    ] {
        let (code, reports) = import.run(from, source, &["--keys", keys.to_str().unwrap(), "--dry-run"]).await;
        assert_eq!((code, reports.len()), (Some(1), 0), "{from} {} {}: {reports:#?}", source.display(), keys.display());
    }
    let (_, reports) = import.run("evolution", &rows, &["--keys", instances.to_str().unwrap(), "--dry-run"]).await;
    let problems = |at: usize| reports[at]["problems"].as_array().cloned().unwrap_or_default();
    let without = problems(1);
    assert_eq!(without.len(), 1, "{reports:#?}");
    assert_eq!((&without[0]["entry"], &reports[1]["outcome"]), (&json!("two"), &json!("importable")), "{reports:#?}");
    assert!(problems(0).iter().all(|problem| problem["entry"] != "one"), "{reports:#?}");
}

/// Firestore has no lock: the daemon may run. A tenant that stands there with a QR code stays its, until the daemon has stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_a_living_daemon_has_is_left_to_it() {
    let Some(mut import) = Import::new(Home::Emulator).await else { return };
    import.stage = import.stage.set("SESSIOND_HEARTBEAT__DIRECTORY", "1s");
    let source = import.folder("seven", BAILEYS_7);
    let daemon = import.stage.start().await;
    let answer = import.stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": "trattoria" })).await.unwrap();
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let shows = || async {
        let session = import.stage.dashboard.get("/api/sessions/trattoria").await.unwrap();
        session.body["status"] == "SCAN_QR_CODE"
    };
    until(LIMIT, "a QR code", shows).await.unwrap();
    assert_eq!(import.outcome(&source, &["--tenant", "trattoria"]).await, "owned_elsewhere");
    // A look is free, and so is a tenant that nobody has.
    assert_eq!(import.outcome(&source, &["--tenant", "trattoria", "--dry-run"]).await, "importable");
    assert_eq!(import.outcome(&source, &["--tenant", "osteria", "--dry-run"]).await, "importable");
    assert!(shows().await, "its session goes on");
    // That one comes in beside the daemon, which finds it at its next look.
    let creds = import_live::linked(&import.stage.network, 7).await;
    let osteria = import.stage.path("osteria.json");
    std::fs::write(&osteria, creds.to_string()).unwrap();
    assert_eq!(import.outcome(&osteria, &["--tenant", "osteria"]).await, "imported");
    let connected = until(LIMIT, "who came in", || import.stage.dashboard.is_connected("osteria")).await;
    connected.unwrap_or_else(|error| panic!("{error}\n{}", import.stage.log()));
    daemon.terminate(LIMIT).await.unwrap();
    assert_eq!(import.outcome(&source, &["--tenant", "trattoria"]).await, "imported");
}
