//! `sessiond import` as an operator runs it: which tenants come in, which are named with what is wrong, and what a kill at any moment
//! leaves. The stores are real ones of Baileys; nothing connects.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sessiond::daemon::EXIT_IN_USE;

use crate::support::{
    import_devices,
    stage::{Home, Stage},
};

pub const BAILEYS_7: &str = include_str!("../../fixtures/import/baileys-7.json");
const BAILEYS_6: &str = include_str!("../../fixtures/import/baileys-6.json");

/// Points that a write of a tenant passes, in order.
const POINTS: [&str; 6] =
    ["import_inspected", "import_recorded", "takeover", "import_taken_over", "import_claimed", "import_written"];
/// Kills between them.
const KILLS: u32 = 20;

pub struct Import {
    pub stage: Stage,
}

impl Import {
    pub async fn new(home: Home) -> Option<Self> {
        Some(Self { stage: Stage::new(home).await? })
    }

    /// A folder of Baileys.
    pub fn folder(&self, name: &str, store: &str) -> PathBuf {
        let folder = self.stage.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        let files: BTreeMap<String, String> = serde_json::from_str(store).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    /// A folder of Baileys of another device: one device is one tenant.
    fn folder_of_device(&self, seed: u64) -> PathBuf {
        let name = format!("device-{seed}");
        let folder = self.folder(&name, BAILEYS_7);
        let creds = import_devices::creds(seed, &import_devices::number(seed));
        std::fs::write(folder.join("creds.json"), creds.to_string()).unwrap();
        folder
    }

    pub fn command(&self, from: &str, source: &Path, options: &[&str]) -> tokio::process::Command {
        let mut command = self.stage.setup.command().unwrap();
        command.args(["import", "--from", from, "--json", "--stopped"]).arg(source).args(options);
        command
    }

    pub async fn run(&self, from: &str, source: &Path, options: &[&str]) -> (Option<i32>, Vec<Value>) {
        let output = self.command(from, source, options).output().await.unwrap();
        (output.status.code(), reports(&output))
    }

    /// The only tenant's outcome.
    pub async fn outcome(&self, source: &Path, options: &[&str]) -> String {
        let (_, reports) = self.run("baileys", source, options).await;
        let [report] = &reports[..] else { panic!("{reports:#?}") };
        match &report["reason"]["code"] {
            Value::Null => report["outcome"].as_str().unwrap().to_owned(),
            code => code.as_str().unwrap().to_owned(),
        }
    }
}

fn reports(output: &Output) -> Vec<Value> {
    let told = String::from_utf8_lossy(&output.stdout);
    let parsed = told.lines().map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().unwrap_or_else(|error| {
        panic!("{error}: {told}\n{}", String::from_utf8_lossy(&output.stderr));
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_is_all_or_nothing_and_can_be_repeated() {
    killed(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_is_all_or_nothing_and_can_be_repeated_with_firestore() {
    killed(Home::Emulator).await;
}

async fn killed(home: Home) {
    let Some(import) = Import::new(home).await else { return };
    let source = import.folder("source", BAILEYS_7);
    let began = Instant::now();
    assert_eq!(import.outcome(&source, &["--tenant", "whole"]).await, "imported");
    let whole = began.elapsed();

    for (at, point) in POINTS.into_iter().enumerate() {
        let tenant = format!("point-{point}");
        let source = import.folder_of_device(1 + at as u64);
        let mut command = import.command("baileys", &source, &["--tenant", &tenant]);
        let output = command.env("LOOPBACK_CRASH", format!("{point}:1")).output().await.unwrap();
        assert_eq!(output.status.code(), None, "it passed {point} alive: {output:?}");
        let is_in = at + 1 == POINTS.len();
        let found = import.outcome(&source, &["--tenant", &tenant, "--dry-run"]).await;
        assert_eq!(found, if is_in { "already_imported" } else { "importable" }, "killed at {point}");
        if point == "import_claimed" {
            // Nobody knows yet whether that import is dead, or slow.
            assert_eq!(import.outcome(&source, &["--tenant", "elsewhere"]).await, "device_elsewhere");
        }
        let again = import.outcome(&source, &["--tenant", &tenant]).await;
        assert_eq!(again, if is_in { "already_imported" } else { "imported" }, "killed at {point}");
    }

    let mut left = BTreeMap::new();
    for n in 0..KILLS {
        let tenant = format!("kill-{n}");
        let source = import.folder_of_device(100 + u64::from(n));
        let mut child = import.command("baileys", &source, &["--tenant", &tenant]).spawn().unwrap();
        // Not a wait for something: the moment of the kill.
        tokio::time::sleep(whole * n / KILLS + Duration::from_millis(1)).await;
        // It may be done.
        let _ = child.kill().await;
        let found = import.outcome(&source, &["--tenant", &tenant, "--dry-run"]).await;
        assert!(["importable", "already_imported"].contains(&&*found), "{found} after {n}");
        *left.entry(found).or_insert(0) += 1;
        let again = import.outcome(&source, &["--tenant", &tenant]).await;
        assert!(["imported", "already_imported"].contains(&&*again), "{again} after {n}");
        assert_eq!(import.outcome(&source, &["--tenant", &tenant]).await, "already_imported");
    }
    println!("{home:?}: {whole:?} an import; the kills left {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_broken_tenants_of_fifty_are_named_and_the_others_are_in() {
    let import = Import::new(Home::Embedded).await.unwrap();
    let creds = |store: &str| {
        let files: BTreeMap<String, String> = serde_json::from_str(store).unwrap();
        serde_json::from_str::<Value>(&files["creds.json"]).unwrap()
    };
    let (whole, foreign) = (creds(BAILEYS_7), creds(BAILEYS_6));
    let device = |at: u64| import_devices::creds(at, &import_devices::number(at));
    let mut tenants = serde_json::Map::new();
    for at in 0..50 {
        let mut creds = device(at);
        let session = match at {
            7 => json!({ "creds": creds.to_string()[..900] }),
            17 => {
                creds["account"] = foreign["account"].clone();
                json!({ "creds": creds })
            }
            27 => {
                creds.as_object_mut().unwrap().remove("me");
                json!({ "creds": creds })
            }
            // The database keeps no empty objects.
            47 => Value::Null,
            _ => json!({ "creds": creds }),
        };
        // What the old service says of its account; of one it says another.
        let number = import_devices::number(if at == 37 { 99 } else { at });
        let mut tenant = json!({
            "baileys_session": session,
            "restaurant": { "whatsappConnected": true },
            "whatsapp": { "baileys": { "connected": true, "phoneNumber": number } },
        });
        tenant.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        tenants.insert(format!("t{at:02}"), tenant);
    }
    let gone = json!({ "baileys_session": { "creds": whole }, "restaurant": { "whatsappConnected": false } });
    tenants.insert("t50".to_owned(), gone);
    let damaged = json!({ "creds": { "noiseKey": 1 } });
    let damaged = json!({ "baileys_session": damaged, "restaurant": { "whatsappConnected": true } });
    tenants.insert("t51".to_owned(), damaged);
    // It says nothing of itself.
    let device = device(60);
    tenants.insert("t52".to_owned(), json!({ "baileys_session": { "creds": device }, "restaurant": { "name": "x" } }));
    let export = import.stage.path("export.json");
    std::fs::write(&export, json!({ "tenants": tenants }).to_string()).unwrap();

    for (done, writes) in [("importable", false), ("imported", true), ("already_imported", true)] {
        let options: &[&str] = if writes { &["--all"] } else { &["--all", "--dry-run"] };
        let (code, reports) = import.run("rtdb", &export, options).await;
        assert_eq!((code, reports.len()), (Some(1), 53), "{reports:#?}");
        let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut named = Vec::new();
        for report in &reports {
            *outcomes.entry(report["outcome"].as_str().unwrap()).or_default() += 1;
            if let Some(code) = report["reason"]["code"].as_str() {
                named.push((report["source"].as_str().unwrap(), code));
            }
        }
        assert_eq!(outcomes, BTreeMap::from([(done, 45), ("failed", 6), ("left_out", 2)]));
        let expected = [
            ("t07", "no_json"),
            ("t17", "not_whole"),
            ("t27", "never_paired"),
            ("t37", "not_whole"),
            ("t47", "no_credentials"),
            ("t50", "not_connected"),
            ("t51", "damaged_credentials"),
            ("t52", "not_connected"),
        ];
        assert_eq!(named, expected);
        let other = reports.iter().find(|report| report["source"] == "t37").unwrap();
        assert!(other["reason"]["detail"].as_str().unwrap().contains("it is of the number"), "{other}");
        assert_eq!(import.stage.path("cloud").join("vault.db").exists(), writes, "a look makes no vault");
    }
    // Without --all whatever is not said to be unconnected is meant.
    let (_, reports) = import.run("rtdb", &export, &["--dry-run"]).await;
    let silent = reports.iter().find(|report| report["source"] == "t52").unwrap();
    assert_eq!(silent["outcome"], "importable", "{silent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_over_and_nobody_becomes_somebody_else() {
    let import = Import::new(Home::Embedded).await.unwrap();
    let (seven, six) = (import.folder("many/seven", BAILEYS_7), import.folder("many/six", BAILEYS_6));
    let many = import.stage.path("many");

    // A source with two is none for one tenant.
    let (code, reports) = import.run("baileys", &many, &["--tenant", "trattoria"]).await;
    assert_eq!((code, reports.len()), (Some(1), 0));
    // A map names what comes, and what the source does not have.
    let map = import.stage.path("map");
    std::fs::write(&map, "# the old name, the new one\nseven trattoria\nnobody osteria\n").unwrap();
    let (code, reports) = import.run("baileys", &many, &["--map", map.to_str().unwrap()]).await;
    let told: Vec<_> = reports.iter().map(|report| (&report["source"], &report["outcome"])).collect();
    let told: Vec<_> =
        told.into_iter().map(|(source, outcome)| (source.as_str().unwrap(), outcome.as_str().unwrap())).collect();
    assert_eq!((code, &told[..]), (Some(1), &[("seven", "imported"), ("six", "left_out"), ("nobody", "failed")][..]));

    // A device is there: another one does not take its place.
    assert_eq!(import.outcome(&six, &["--tenant", "trattoria"]).await, "already_linked");
    assert_eq!(import.outcome(&seven, &["--tenant", "trattoria"]).await, "already_imported");

    // Another master key opens nothing here, and would seal what nobody else can open.
    for look in [&["--dry-run"][..], &[]] {
        let mut command = import.command("baileys", &six, &[&["--tenant", "osteria"][..], look].concat());
        let output = command.env("SESSIOND_MASTER_KEY", "7a".repeat(32)).output().await.unwrap();
        assert_eq!(output.status.code(), Some(78), "{look:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Who says the number is told of another one.
    let number = |number: &'static str| ["--tenant", "osteria", "--number", number, "--dry-run"];
    assert_eq!(import.outcome(&six, &number("+57 300 111 2233")).await, "not_whole");
    assert_eq!(import.outcome(&six, &number("+49 1500 0000005")).await, "importable");
    // While a daemon has the vault nothing is written; a look is free.
    let daemon = import.stage.start().await;
    let (code, _) = import.run("baileys", &six, &["--tenant", "osteria"]).await;
    assert_eq!(code, Some(i32::from(EXIT_IN_USE)));
    assert_eq!(import.outcome(&six, &["--tenant", "osteria", "--dry-run"]).await, "importable");

    // WhatsApp does not know the device here, and says so: the tenant is unlinked, and stays the account that it was.
    let unlinked =
        || async { !import.stage.dashboard.is_connected("trattoria").await && is_unpaired(&import.stage).await };
    sessiond::demo::until(crate::support::stage::LIMIT, "the tenant to be unlinked", unlinked).await.unwrap();
    daemon.terminate(crate::support::stage::LIMIT).await.unwrap();
    assert_eq!(import.outcome(&six, &["--tenant", "trattoria"]).await, "other_account");
    // It may have sent with the keys of that import: the sessions of the same copy do not come a second time.
    assert_eq!(import.outcome(&seven, &["--tenant", "trattoria"]).await, "used_here");
    let mut command = import.stage.setup.command().unwrap();
    let command = command.args(["import", "--from", "baileys", "--json", "--tenant", "trattoria"]).arg(&seven);
    assert_eq!(self::reports(&command.output().await.unwrap())[0]["outcome"], "imported");

    // For people: a table, without a key in it.
    let mut command = import.stage.setup.command().unwrap();
    let output = command.args(["import", "--from", "baileys", "--dry-run"]).arg(&many).output().await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("seven") && table.contains("device_elsewhere") && table.contains("importable"), "{table}");
    assert_eq!(output.status.code(), Some(1), "seven's device is trattoria's");
    for store in [BAILEYS_7, BAILEYS_6] {
        let files: BTreeMap<String, String> = serde_json::from_str(store).unwrap();
        let creds: Value = serde_json::from_str(&files["creds.json"]).unwrap();
        let secret = creds["advSecretKey"].as_str().unwrap();
        let log = import.stage.log();
        for text in [&table, &log, &String::from_utf8_lossy(&output.stderr).into_owned()] {
            assert!(!text.contains(secret) && !text.contains("privKey"), "{text}");
        }
    }
}

async fn is_unpaired(stage: &Stage) -> bool {
    let session = stage.dashboard.get("/api/sessions/trattoria").await.unwrap();
    session.body["me"].is_null() && session.body["status"] != "STARTING"
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_is_one_tenant() {
    let import = Import::new(Home::Embedded).await.unwrap();
    let (seven, six) = (import.folder("many/seven", BAILEYS_7), import.folder("many/six", BAILEYS_6));
    import.folder("many/again", BAILEYS_7);
    let many = import.stage.path("many");

    // Within one command, also when nothing is written and there is no vault yet.
    for options in [&["--dry-run"][..], &[]] {
        let (code, reports) = import.run("baileys", &many, options).await;
        assert_eq!((code, reports.len()), (Some(1), 3), "{reports:#?}");
        let failed: Vec<_> = reports.iter().filter(|report| report["outcome"] == "failed").collect();
        let [failed] = &failed[..] else { panic!("{reports:#?}") };
        assert_eq!((&failed["source"], &failed["reason"]["code"]), (&json!("seven"), &json!("device_elsewhere")));
        assert!(failed["reason"]["detail"].as_str().unwrap().contains("tenant again's"), "{failed}");
    }
    // With a map, where both names are meant.
    let map = import.stage.path("map");
    std::fs::write(&map, "seven osteria\n").unwrap();
    let (code, reports) = import.run("baileys", &many, &["--map", map.to_str().unwrap()]).await;
    assert_eq!((code, reports.len()), (Some(1), 3), "{reports:#?}");
    let osteria = reports.iter().find(|report| report["tenant"] == "osteria").unwrap();
    assert_eq!(osteria["reason"]["code"], "device_elsewhere", "{osteria}");

    // In a command of its own: a look says so too, and the tenant that it does not become is not made.
    for options in [&["--tenant", "pizzeria", "--dry-run"][..], &["--tenant", "pizzeria"]] {
        assert_eq!(import.outcome(&seven, options).await, "device_elsewhere");
    }
    assert_eq!(import.outcome(&six, &["--tenant", "six"]).await, "already_imported");
    let daemon = import.stage.start().await;
    let sessions = import.stage.dashboard.get("/api/sessions?all=true").await.unwrap().body;
    let mut names: Vec<_> =
        sessions.as_array().unwrap().iter().map(|session| session["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["again", "six"]);
    daemon.kill().await.unwrap();
}

/// An import dies after it has claimed the device: the claim is in the way for ten minutes. Then the tenant is taken over, so that what that
/// import might still write does not land.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_a_dead_import_ends() {
    let import = Import::new(Home::Embedded).await.unwrap();
    let source = import.folder("seven", BAILEYS_7);
    let mut command = import.command("baileys", &source, &["--tenant", "dead"]);
    let output = command.env("LOOPBACK_CRASH", "import_claimed:1").output().await.unwrap();
    assert_eq!(output.status.code(), None, "{output:?}");
    assert_eq!(import.outcome(&source, &["--tenant", "living"]).await, "device_elsewhere");
    {
        let vault = rusqlite::Connection::open(import.stage.path("cloud").join("vault.db")).unwrap();
        let status: String =
            vault.query_row("SELECT status FROM tenants WHERE id = 'dead'", [], |row| row.get(0)).unwrap();
        let (claim, since) = status.rsplit_once(' ').unwrap();
        let long_ago = format!("{claim} {}", since.parse::<i64>().unwrap() - 601);
        assert_eq!(vault.execute("UPDATE tenants SET status = ?1 WHERE id = 'dead'", [long_ago]).unwrap(), 1);
    }
    let takeovers = || {
        let vault = rusqlite::Connection::open(import.stage.path("cloud").join("vault.db")).unwrap();
        let sql = "SELECT count(*) FROM journal WHERE tenant = 'dead' AND kind = 'takeover'";
        vault.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = takeovers();
    assert_eq!(import.outcome(&source, &["--tenant", "living"]).await, "imported");
    assert_eq!(takeovers(), before + 1, "whoever had it is fenced");
    assert_eq!(import.outcome(&source, &["--tenant", "dead"]).await, "device_elsewhere");
}

/// Both have announced the device before either looks: whoever looks first sees the other, and never do both come in.
#[tokio::test(flavor = "multi_thread")]
async fn two_imports_that_have_both_claimed_never_both_come_in() {
    both_claimed(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_that_have_both_claimed_never_both_come_in_with_firestore() {
    both_claimed(Home::Emulator).await;
}

async fn both_claimed(home: Home) {
    let Some(mut import) = Import::new(home).await else { return };
    // Two commands have an embedded vault at once only if it is shared.
    import.stage = import.stage.shared();
    let source = import.folder("seven", BAILEYS_7);
    assert_eq!(import.outcome(&import.folder_of_device(1), &["--tenant", "other"]).await, "imported");
    // Each stays at its claim for longer than the other takes to come there.
    let held = |tenant: &str| {
        let mut command = import.command("baileys", &source, &["--tenant", tenant]);
        command.env("LOOPBACK_PAUSE", "import_claimed:10000").kill_on_drop(true);
        async move { reports(&command.output().await.unwrap()).remove(0) }
    };
    let (one, two) = tokio::join!(held("one"), held("two"));
    let mut refused = Vec::new();
    for (report, tenant, other) in [(&one, "one", "two"), (&two, "two", "one")] {
        if report["outcome"] != "imported" {
            assert_eq!(report["reason"]["code"], "device_elsewhere", "{report}");
            assert!(report["reason"]["detail"].as_str().unwrap().contains(other), "{report}");
            refused.push(tenant);
        }
    }
    assert!(!refused.is_empty(), "two tenants have one device: {one} {two}");
    // Whoever was refused first took its claim back: the other may have come in, or comes in now.
    let (inside, outside) = if refused == ["two"] { ("one", "two") } else { ("two", "one") };
    let expected = if refused.len() == 2 { "imported" } else { "already_imported" };
    assert_eq!(import.outcome(&source, &["--tenant", inside]).await, expected);
    assert_eq!(import.outcome(&source, &["--tenant", outside]).await, "device_elsewhere");
}

/// Of a source that ends early nobody knows whether it has one tenant: nothing comes in under a name of the user's.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_ends_early_gives_nothing_to_a_tenant_that_is_named() {
    let import = Import::new(Home::Embedded).await.unwrap();
    let row = json!({ "sessionId": "one", "creds": import_devices::creds(1, &import_devices::number(1)).to_string() });
    let rows = json!([row, row]).to_string();
    let source = import.stage.path("rows.json");
    std::fs::write(&source, &rows[..rows.len() - 100]).unwrap();
    let (code, reports) = import.run("evolution", &source, &["--tenant", "trattoria"]).await;
    assert_eq!((code, reports.len()), (Some(1), 0), "{reports:#?}");
    std::fs::write(&source, json!([row]).to_string()).unwrap();
    let (code, reports) = import.run("evolution", &source, &["--tenant", "trattoria"]).await;
    assert_eq!((code, &reports[0]["outcome"]), (Some(0), &json!("imported")), "{reports:#?}");
}
