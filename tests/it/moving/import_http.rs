//! A tenant comes in by a request: what the command does, for platforms without a shell. Real stores of Baileys; a real network, which
//! does not know the devices of these stores and says so once one connects.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::{Value, json};
use sessiond::demo::{Dashboard, Process, until};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    import_devices,
    stage::{Home, LIMIT, Stage, await_death},
};

const BAILEYS_7: &str = include_str!("../../fixtures/import/baileys-7.json");
const BAILEYS_6: &str = include_str!("../../fixtures/import/baileys-6.json");
const WHATSMEOW: &str = include_str!("../../fixtures/import/whatsmeow.sql");
const BOUNDARY: &str = "----------import";

/// Fields and files of a form.
#[derive(Clone, Default)]
struct Form(Vec<u8>);

impl Form {
    fn field(mut self, name: &str, value: &str) -> Self {
        self.part(&format!("name=\"{name}\""), value.as_bytes());
        self
    }

    /// As a browser sends a file of a folder.
    fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.part(&format!("name=\"files\"; filename=\"{path}\"\r\nContent-Type: application/octet-stream"), bytes);
        self
    }

    /// As a script does: the part has the path.
    fn part_named(mut self, path: &str, bytes: &[u8]) -> Self {
        self.part(&format!("name=\"{path}\"; filename=\"x\""), bytes);
        self
    }

    fn folder(mut self, root: &str, store: &str) -> Self {
        for (name, text) in files(store) {
            self = self.file(&format!("{root}/{name}"), text.as_bytes());
        }
        self
    }

    fn part(&mut self, heading: &str, bytes: &[u8]) {
        self.0.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {heading}\r\n\r\n").bytes());
        self.0.extend(bytes);
        self.0.extend(b"\r\n");
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend(format!("--{BOUNDARY}--\r\n").bytes());
        self.0
    }
}

fn files(store: &str) -> BTreeMap<String, String> {
    serde_json::from_str(store).unwrap()
}

fn creds(seed: u64) -> Value {
    import_devices::creds(seed, &import_devices::number(seed))
}

struct ImportScene {
    stage: Stage,
    daemon: Process,
}

impl ImportScene {
    async fn new(home: Home) -> Option<Self> {
        let stage = Stage::new(home).await?;
        let daemon = stage.start().await;
        Some(Self { stage, daemon })
    }

    async fn send(&self, tenant: &str, form: Form) -> (u16, Value) {
        let url = format!("http://{}/api/sessions/{tenant}/import", self.stage.setup.address);
        let request = reqwest::Client::new().post(url).header("x-api-key", &self.stage.setup.admin_key);
        let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        let answer = request.body(form.end()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn json(&self, tenant: &str, body: Value) -> (u16, Value) {
        let answer = self.stage.dashboard.post(&format!("/api/sessions/{tenant}/import"), body).await.unwrap();
        (answer.status, answer.body)
    }

    async fn session(&self, tenant: &str) -> Value {
        self.stage.dashboard.get(&format!("/api/sessions/{tenant}")).await.unwrap().body
    }

    /// No source lies on the disk any more.
    async fn assert_nothing_left(&self) {
        let sessions = self.stage.setup.data_dir.join("sessions");
        let gone = || async { !has_upload(&sessions) };
        until(LIMIT, "the sources to be gone", gone).await.unwrap();
    }
}

fn has_upload(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        entry.file_name().to_string_lossy().starts_with(".import-")
            || entry.path().is_dir() && has_upload(&entry.path())
    })
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().or(answer.1["outcome"].as_str()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_comes_in_and_stays_away_until_it_is_started() {
    comes_in(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_comes_in_and_stays_away_until_it_is_started_with_firestore() {
    comes_in(Home::Emulator).await;
}

async fn comes_in(home: Home) {
    let Some(scene) = ImportScene::new(home).await else { return };
    // It stands there with a QR code, as a tenant does that somebody made in the console first.
    scene.stage.dashboard.qr("trattoria").await.unwrap();
    let form =
        || Form::default().field("from", "baileys").field("stopped", "true").folder("sessions/trattoria", BAILEYS_7);
    let seen = scene.send("trattoria", form().field("dryRun", "true")).await;
    assert_eq!(code(&seen), (200, "importable"), "{seen:?}");
    assert_eq!(scene.session("trattoria").await["status"], "SCAN_QR_CODE", "a look changes nothing");

    // What the command prints of the same source.
    let source = scene.stage.path("source");
    std::fs::create_dir(&source).unwrap();
    for (name, text) in files(BAILEYS_7) {
        std::fs::write(source.join(name), text).unwrap();
    }
    let mut command = scene.stage.setup.command().unwrap();
    command.args(["import", "--from", "baileys", "--tenant", "trattoria", "--stopped", "--dry-run", "--json"]);
    let output = command.arg(&source).output().await.unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, seen.1);

    let imported = scene.send("trattoria", form()).await;
    assert_eq!(code(&imported), (200, "imported"), "{imported:?}");
    assert_eq!(imported.1["entries"], printed["entries"]);
    let session = scene.session("trattoria").await;
    assert_eq!((&session["paired"], &session["status"]), (&json!(true), &json!("STOPPED")), "{session}");
    assert_eq!(
        (&session["imported"]["origin"], &session["imported"]["finality"]),
        (&json!("baileys"), &json!("final"))
    );
    assert_eq!(session["imported"]["entries"], printed["entries"]);
    assert_eq!(code(&scene.send("trattoria", form()).await), (200, "already_imported"));
    assert_eq!(code(&scene.send("trattoria", form().field("dryRun", "true")).await), (200, "already_imported"));
    assert_eq!(code(&scene.send("osteria", form()).await), (409, "device_elsewhere"));
    scene.assert_nothing_left().await;

    // Over a restart, too.
    scene.daemon.terminate(LIMIT).await.unwrap();
    let daemon = scene.stage.start().await;
    let scene = ImportScene { stage: scene.stage, daemon };
    let session = scene.session("trattoria").await;
    assert_eq!((&session["paired"], &session["status"]), (&json!(true), &json!("STOPPED")), "{session}");
    // Only now it connects; the network does not know the device, and that is the end of it.
    scene.stage.dashboard.post("/api/sessions/trattoria/start", json!({})).await.unwrap();
    let rejected = || async { scene.session("trattoria").await["rejected"] == json!(true) };
    until(LIMIT, "the network's word", rejected).await.unwrap();
    for store in [BAILEYS_7, BAILEYS_6] {
        let creds: Value = serde_json::from_str(&files(store)["creds.json"]).unwrap();
        let log = scene.stage.log();
        assert!(!log.contains(creds["advSecretKey"].as_str().unwrap()) && !log.contains("panic"), "{log}");
    }
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_it_is_connected_at_once() {
    let scene = ImportScene::new(Home::Embedded).await.unwrap();
    let body = json!({ "from": "baileys", "document": creds(1), "connect": true, "expectedNumber": format!("+{}", import_devices::number(1)) });
    let imported = scene.json("trattoria", body).await;
    assert_eq!(code(&imported), (200, "imported"), "{imported:?}");
    let rejected = || async { scene.session("trattoria").await["rejected"] == json!(true) };
    until(LIMIT, "the network's word", rejected).await.unwrap();
    scene.daemon.kill().await.unwrap();
}

/// Each refusal has its code, and leaves everything as it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let scene = ImportScene::new(Home::Embedded).await.unwrap();
    let form = || Form::default().field("from", "baileys").field("stopped", "true");
    let six = files(BAILEYS_6)["creds.json"].clone();
    let mut damaged = creds(2);
    damaged["noiseKey"] = json!(1);
    let mut foreign = creds(3);
    foreign["account"] = creds(4)["account"].clone();
    let mut unpaired = creds(5);
    unpaired.as_object_mut().unwrap().remove("me");
    // The export itself says that it is of another number.
    let other = json!({ "baileys": { "phoneNumber": import_devices::number(7) } });
    let other = json!({ "tenants": { "t": { "baileys_session": { "creds": creds(6) }, "whatsapp": other } } });
    let two = || form().folder("s/one", BAILEYS_7).folder("s/two", BAILEYS_6);
    let text = |value: &Value| value.to_string();
    let cases = [
        (form(), 400, "invalid_input"),
        (Form::default().folder("s", BAILEYS_7), 400, "invalid_input"),
        (form().file("../creds.json", b"{}"), 400, "invalid_input"),
        (form().file("creds.json", b"{}").file("./creds.json", b"{}"), 400, "invalid_input"),
        (form().field("margin", "2000").folder("s", BAILEYS_7), 400, "invalid_input"),
        (form().file("creds.json", &six.as_bytes()[..900]), 422, "no_json"),
        (form().file("creds.json", b"{\"a\":1}"), 422, "no_credentials"),
        (form().file("creds.json", text(&damaged).as_bytes()), 422, "damaged_credentials"),
        (form().file("creds.json", text(&foreign).as_bytes()), 422, "not_whole"),
        (form().file("creds.json", text(&unpaired).as_bytes()), 422, "never_paired"),
        (form().field("expectedNumber", "573001112233").folder("s", BAILEYS_7), 422, "not_whole"),
        (form().field("keys", "s").folder("s", BAILEYS_7), 400, "invalid_input"),
        (
            Form::default().field("from", "evolution").field("keys", "instances").file("rows.json", b"[]"),
            400,
            "invalid_input",
        ),
        (Form::default().field("from", "rtdb").file("export.json", text(&other).as_bytes()), 422, "not_whole"),
        (two(), 422, "several_tenants"),
        (two().field("name", "three"), 422, "not_in_source"),
        (
            Form::default().field("from", "whatsmeow").file("wm.db", b"SQLite format 3\0 and no more"),
            422,
            "damaged_database",
        ),
        (Form::default().field("from", "waha").file("a/b.txt", b"x"), 422, "other_format"),
    ];
    for (at, (form, status, expected)) in cases.into_iter().enumerate() {
        for dry in ["true", "false"] {
            let answer = scene.send("trattoria", form.clone().field("dryRun", dry)).await;
            assert_eq!(code(&answer), (status, expected), "{at}: {answer:?}");
            let told = answer.1.to_string();
            assert!(!told.contains("privKey") && !told.contains("advSecret"), "{told}");
        }
    }
    let answer = scene.send("trattoria", form().field("expectedNumber", "573001112233").folder("s", BAILEYS_7)).await;
    assert_eq!(answer.1["errors"][0]["field"], "expectedNumber", "{answer:?}");
    let answer = scene.json("trattoria", json!({ "from": "whatsmeow" })).await;
    let fields: Vec<_> =
        answer.1["errors"].as_array().unwrap().iter().map(|flaw| flaw["field"].as_str().unwrap()).collect();
    assert_eq!((answer.0, &fields[..]), (400, &["document"][..]), "{answer:?}");
    let sessions = scene.stage.dashboard.get("/api/sessions?all=true").await.unwrap().body;
    assert_eq!(sessions, json!([]), "nobody was made");

    // One of two, by its name; and a database, of which a script names the parts.
    assert_eq!(code(&scene.send("trattoria", two().field("name", "two")).await), (200, "imported"));
    let database = scene.stage.path("wm.db");
    rusqlite::Connection::open(&database).unwrap().execute_batch(WHATSMEOW).unwrap();
    let bytes = std::fs::read(&database).unwrap();
    let form = Form::default().field("from", "whatsmeow").part_named("d/wm.db", &bytes);
    let answer = scene.send("osteria", form).await;
    assert_eq!((code(&answer), &answer.1["number"]), ((200, "imported"), &json!("4915000000018")), "{answer:?}");

    // Another device does not take its place; another account neither, when it is unlinked.
    let other = || json!({ "from": "baileys", "document": creds(7) });
    assert_eq!(code(&scene.json("trattoria", other()).await), (409, "already_linked"));
    scene.stage.dashboard.post("/api/sessions/trattoria/logout", json!({})).await.unwrap();
    until(LIMIT, "the end of it", || async { scene.session("trattoria").await["paired"] == json!(false) })
        .await
        .unwrap();
    assert_eq!(code(&scene.json("trattoria", other()).await), (409, "other_account"));
    scene.assert_nothing_left().await;
    scene.daemon.kill().await.unwrap();
}

/// A living process that has the tenant keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_another_process_has_is_left_to_it() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    let other = stage.other("other", false);
    let second = other.start().await;
    let body = json!({ "from": "baileys", "document": creds(1) });
    for dry in [true, false] {
        let mut body = body.clone();
        body["dryRun"] = json!(dry);
        let answer = other.dashboard.post("/api/sessions/trattoria/import", body).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("owned_elsewhere")), "{}", answer.body);
    }
    let session = stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body;
    assert_eq!(session["status"], "SCAN_QR_CODE", "{session}");
    // Where it is, it comes in.
    let answer = stage.dashboard.post("/api/sessions/trattoria/import", body).await.unwrap();
    assert_eq!(answer.body["outcome"], "imported", "{}", answer.body);
    second.kill().await.unwrap();
    daemon.kill().await.unwrap();
}

/// Half a body, half a thought: nothing of it stays, and nothing comes in.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing_half_done() {
    let scene = ImportScene::new(Home::Embedded).await.unwrap();
    let body = Form::default().field("from", "baileys").folder("s", BAILEYS_7).end();
    let head = |length: usize| {
        format!(
            "POST /api/sessions/trattoria/import HTTP/1.1\r\nHost: {}\r\nX-Api-Key: {}\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n",
            scene.stage.setup.address, scene.stage.setup.admin_key
        )
    };
    let sessions = scene.stage.setup.data_dir.join("sessions");
    // Never the last boundary: with it the form is whole.
    for part in [1000, body.len() / 2, body.len() - BOUNDARY.len() - 8] {
        let mut stream = tokio::net::TcpStream::connect(scene.stage.setup.address).await.unwrap();
        stream.write_all(head(body.len()).as_bytes()).await.unwrap();
        stream.write_all(&body[..part]).await.unwrap();
        until(LIMIT, "the source to be there", || async { has_upload(&sessions) }).await.unwrap();
        drop(stream);
        scene.assert_nothing_left().await;
    }
    assert_eq!(scene.stage.dashboard.get("/api/sessions?all=true").await.unwrap().body, json!([]));
    // One that has said everything and does not wait for the answer: in or not, whole, and the same again is no mistake.
    for patience in [0, 1, 3, 10, 30, 100, 300] {
        let tenant = format!("t{patience}");
        let body = json!({ "from": "baileys", "document": creds(100 + patience) }).to_string();
        let mut stream = tokio::net::TcpStream::connect(scene.stage.setup.address).await.unwrap();
        let head = format!(
            "POST /api/sessions/{tenant}/import HTTP/1.1\r\nHost: x\r\nX-Api-Key: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            scene.stage.setup.admin_key,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Not a wait for something: the moment at which it leaves.
        tokio::time::sleep(Duration::from_millis(patience)).await;
        drop(stream);
        let again = async || {
            let again = scene.json(&tenant, serde_json::from_str(&body).unwrap()).await;
            // The first may be at it still.
            assert!(
                matches!(code(&again), (200, "imported" | "already_imported") | (409, "device_elsewhere") | (503, _)),
                "{again:?}"
            );
            again.0 == 200
        };
        until(LIMIT, "the tenant to be in", again).await.unwrap();
        // The session that it had before, without a device, is closed before the next is there.
        let is_paired = async || scene.session(&tenant).await["paired"] == json!(true);
        until(LIMIT, "the tenant's session", is_paired).await.unwrap();
    }
    scene.assert_nothing_left().await;
    scene.daemon.kill().await.unwrap();
}

/// What a crash leaves of a source is gone with the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_leaves_no_source_behind() {
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    let points = ["import_recorded", "import_taken_over", "import_claimed", "import_written"];
    for (seed, point) in (1..).zip(points) {
        stage = stage.set("LOOPBACK_CRASH", format!("{point}:1"));
        let mut daemon = stage.start().await;
        let url = format!("http://{}/api/sessions/{point}/import", stage.setup.address);
        let body = json!({ "from": "baileys", "document": creds(seed) });
        let request = reqwest::Client::new().post(url).header("x-api-key", &stage.setup.admin_key).json(&body);
        assert!(request.send().await.is_err(), "it passed {point} alive");
        await_death(&mut daemon, seed).await;
        stage = stage.set("LOOPBACK_CRASH", "nothing:1");
        let daemon = stage.start().await;
        assert!(!has_upload(&stage.setup.data_dir.join("sessions")));
        // With connections of its own: those of the dashboard were to the daemon before.
        let dashboard = Dashboard::new(stage.setup.address, stage.setup.admin_key.clone());
        let answer = dashboard.post(&format!("/api/sessions/{point}/import"), body).await.unwrap();
        let expected = if point == "import_written" { "already_imported" } else { "imported" };
        assert_eq!(answer.body["outcome"], expected, "{point}: {}", answer.body);
        daemon.kill().await.unwrap();
    }
}

/// Each limit is told in its own measure.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_nested_too_deep_is_told_so() {
    let scene = ImportScene::new(Home::Embedded).await.unwrap();
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let answer = scene.json("trattoria", json!({ "from": "baileys", "document": { "creds": deep } })).await;
    assert_eq!(code(&answer), (413, "too_large"), "{answer:?}");
    let detail = answer.1["detail"].as_str().unwrap();
    assert!(detail.contains("40 levels of nesting") && !detail.contains("bytes"), "{detail}");
    scene.daemon.kill().await.unwrap();
}
