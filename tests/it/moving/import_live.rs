//! `sessiond import` from databases that live: the old service's fleet in one command. The Realtime Database is a server of ours that behaves
//! as Google's documentation says ([`crate::support::old_place`]); Firestore is Google's emulator; the network knows the devices, so that those who
//! come in connect.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Output,
    time::{Duration, Instant},
};

use loopback::{AdoptedDevice, Network};
use serde_json::{Map, Value, json};
use sessiond::{
    demo::until,
    import::{ImportLimits, ImportOrigin, baileys},
};

use crate::support::{
    emulator, import_devices,
    old_place::{Fault, OldPlace},
    stage::{Home, LIMIT, Stage},
};

/// A device that the network takes for one of a phone's, as Baileys keeps it. Nobody scanned.
pub async fn linked(network: &Network, seed: u64) -> Value {
    let phone = network.add_phone(Some("Trattoria".into())).await;
    let creds = import_devices::creds(seed, &phone.number);
    let text = creds.to_string();
    let copy = baileys::document::read(text.as_bytes(), ImportOrigin::Baileys, &ImportLimits::default()).unwrap();
    let device = copy.device;
    let adopted = AdoptedDevice {
        id: device.me.device,
        noise_key: device.noise_key.public,
        identity: device.identity_key.public,
        registration: device.registration_id,
        signed_pre_key: (device.signed_pre_key_id, device.signed_pre_key.public),
        signed_pre_key_signature: device.signed_pre_key_signature.to_vec(),
        pre_keys: Vec::new(),
        details: device.account.details,
        account_key: device.account.account_key,
        account_signature: device.account.account_signature,
        device_signature: device.account.device_signature,
    };
    network.adopt(&phone.number, adopted).await.unwrap();
    creds
}

/// What the old service has of a tenant, as its contract says.
pub fn tenant(creds: &Value, is_connected: bool) -> Value {
    let number = creds["me"]["id"].as_str().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    json!({
        "baileys_session": { "creds": creds, "updatedAt": "2026-02-05T10:00:00.000Z", "savedAt": 1_770_285_600_000_i64 },
        "restaurant": { "whatsappConnected": is_connected, "name": "Trattoria", "phone": "+57 300 000 0000" },
        "whatsapp": { "baileys": { "provider": "baileys", "connected": is_connected, "phoneNumber": number } },
        // Most of a database is none of ours.
        "pedidos": { "a": { "note": "x".repeat(200_000) } },
        "menu": { "items": { "a": { "name": "Tagliatelle", "price": 24_000 }, "b": { "name": "Ravioli", "price": "-" } } },
        "config": { "deliveryTime": { "min": 30, "max": 45 } },
    })
}

pub fn set_old_place(stage: Stage, place: &OldPlace) -> Stage {
    let stage = stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1").set("FIREBASE_DATABASE_URL", place.url());
    if stage.project.is_some() {
        // With an emulator there is no account.
        return stage;
    }
    stage.set("SESSIOND_VAULT__KIND", "embedded").set("FIREBASE_SERVICE_ACCOUNT_KEY", place.service_account())
}

/// The command. What it printed, an object a tenant.
async fn import(stage: &Stage, options: &[&str]) -> (Option<i32>, Vec<Value>, Output) {
    let mut command = stage.setup.command().unwrap();
    let output = command.args(["import", "--json"]).args(options).output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let parsed = told.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    let reports = parsed.unwrap_or_else(|error| panic!("{error}: {told}\n{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), reports, output)
}

fn outcomes(reports: &[Value]) -> BTreeMap<&str, usize> {
    let mut outcomes = BTreeMap::new();
    for report in reports {
        *outcomes.entry(report["outcome"].as_str().unwrap()).or_default() += 1;
    }
    outcomes
}

fn reasons(reports: &[Value]) -> Vec<(&str, &str)> {
    let named =
        reports.iter().filter_map(|report| Some((report["source"].as_str()?, report["reason"]["code"].as_str()?)));
    named.collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_comes_in_and_the_same_command_again_does_nothing() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let foreign = import_devices::creds(901, &import_devices::number(901));
    let (mut tenants, mut whole) = (Map::new(), BTreeSet::new());
    for at in 0..50 {
        let name = format!("tenant17000000000{at:02}");
        let creds = linked(&stage.network, at).await;
        let mut node = tenant(&creds, true);
        match at {
            7 => node["baileys_session"]["creds"] = json!(creds.to_string()[..900]),
            17 => node["baileys_session"]["creds"]["account"] = foreign["account"].clone(),
            27 => {
                node["baileys_session"]["creds"].as_object_mut().unwrap().remove("me");
            }
            37 => node["baileys_session"]["creds"] = foreign.clone(),
            1 => {
                node["bot"] = json!({ "config": { "active": true }, "quickOrderMode": true });
                whole.insert(name.clone());
            }
            // The database keeps no empty objects.
            47 => {
                node.as_object_mut().unwrap().remove("baileys_session");
            }
            _ => {
                whole.insert(name.clone());
            }
        }
        tenants.insert(name, node);
    }
    // Not connected there; only half a tenant; and the service's own notes.
    tenants.insert("tenant1800000000001".into(), tenant(&foreign, false));
    tenants.insert("tenant1800000000002".into(), json!({ "menu": { "items": {} }, "restaurant": { "name": "x" } }));
    tenants.insert("_metadata".into(), json!({ "version": 3 }));
    let place = OldPlace::start(json!({ "tenants": tenants, "orders": { "a": "x".repeat(1 << 20) } })).await;
    let before = place.tree();
    let stage = set_old_place(stage, &place);

    for (done, options) in
        [("importable", &["--dry-run"][..]), ("imported", &[]), ("already_imported", &[]), ("already_imported", &[])]
    {
        let all = ["--from", "rtdb", "--all", "--stopped"];
        let (code, reports, output) = import(&stage, &[&all[..], options].concat()).await;
        assert_eq!((code, reports.len()), (Some(1), 52), "{reports:#?}\n{}", errors(&output));
        assert_eq!(outcomes(&reports), BTreeMap::from([(done, 45), ("failed", 5), ("left_out", 2)]));
        assert_eq!(
            reasons(&reports),
            [
                ("tenant1700000000007", "no_json"),
                ("tenant1700000000017", "not_whole"),
                ("tenant1700000000027", "never_paired"),
                ("tenant1700000000037", "not_whole"),
                ("tenant1700000000047", "no_credentials"),
                ("tenant1800000000001", "not_connected"),
                ("tenant1800000000002", "not_connected"),
            ]
        );
        let other = reports.iter().find(|report| report["source"] == "tenant1700000000037").unwrap();
        assert!(other["reason"]["detail"].as_str().unwrap().contains("it is of the number"), "{other}");
        assert!(errors(&output).contains("done=52") || errors(&output).contains("\"done\":52"), "{}", errors(&output));
        // What comes of the restaurant is said before it comes.
        let of = |name: &str| reports.iter().find(|report| report["source"] == name).unwrap();
        let on = of("tenant1700000000001");
        let counts = ["menu_item", "bot_setting"].map(|kind| on["entries"][kind]["kept"].clone());
        assert_eq!((&on["bot_on"], counts), (&json!(true), [json!(1), json!(4)]), "{on:#}");
        assert!(on["problems"].to_string().contains("its price"), "{on:#}");
        assert_eq!(of("tenant1700000000002")["bot_on"], Value::Null, "nobody has switched it on");
        // Names alone, and the few places of a tenant: never a tenant whole, nor the others.
        let asked = place.asked();
        assert_eq!(asked.get("/tenants.json?shallow=true"), Some(&1), "{asked:#?}");
        let small = |path: &String| {
            path.ends_with("/baileys_session.json")
                || path.starts_with("/baileys_sessions/")
                || path.ends_with("/restaurant/whatsappConnected.json")
                || path.ends_with("/whatsapp/baileys/phoneNumber.json")
                || path.ends_with("/restaurant/name.json")
                || path.ends_with("/menu/items.json")
                || path.ends_with("/config.json")
                || path.ends_with("/bot/quickOrderMode.json")
                || *path == "/tenants.json?shallow=true"
        };
        assert!(asked.keys().all(small), "{asked:#?}");
        assert!(asked.values().all(|times| *times == 1), "{asked:#?}");
        assert!(!asked.contains_key("/tenants/tenant1800000000001/baileys_session.json"), "not connected: not read");
        let bytes = place.bytes();
        assert!(bytes < 1 << 20, "{bytes} bytes of a database of {}", before.to_string().len());
    }
    assert_eq!((place.written(), place.tree() == before), (Vec::new(), true), "it is only read");

    // For people: a table, and a line of all.
    let mut command = stage.setup.command().unwrap();
    let output = command.args(["import", "--from", "rtdb", "--all", "--dry-run"]).output().await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let summary = "52 tenants: 45 already in, 2 left out, 5 FAILED (1 never_paired, 1 no_credentials, 1 no_json, 2 not_connected, 2 not_whole)";
    assert_eq!(table.lines().last(), Some(summary), "{table}");

    let daemon = stage.start().await;
    let sessions = stage.dashboard.get("/api/sessions?all=true").await.unwrap().body;
    let names: BTreeSet<String> =
        sessions.as_array().unwrap().iter().map(|session| session["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, whole, "nothing is half there");
    for name in &whole {
        let connected = until(LIMIT, name, || stage.dashboard.is_connected(name)).await;
        connected.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    }
    let bot = async |at: usize, part: &str| {
        stage.dashboard.get(&format!("/api/tenant17000000000{at:02}/bot/{part}")).await.unwrap().body
    };
    let menu = bot(1, "menu").await;
    assert_eq!(
        (&menu["items"][0]["name"], &menu["items"][0]["price"]),
        (&json!("Tagliatelle"), &json!(24_000)),
        "{menu}"
    );
    for (at, is_on) in [(1, true), (2, false)] {
        let settings = bot(at, "settings").await;
        let switches = (&settings["active"], &settings["quickOrderMode"]);
        assert_eq!(switches, (&json!(is_on), &json!(is_on)), "{settings}");
        assert_eq!(settings["name"], json!("Trattoria"), "{settings}");
        assert_eq!(settings["deliveryTime"], json!({ "min": 30, "max": 45 }), "{settings}");
    }
    let stats = stage.network.stats().await;
    assert_eq!((stats.counts.pairings, stats.counters_reused), (0, 0), "{stats:#?}");
    let log = stage.log() + &errors(&import(&stage, &["--from", "rtdb", "--all", "--dry-run"]).await.2);
    for secret in ["ya29.", "PRIVATE KEY", foreign["advSecretKey"].as_str().unwrap()] {
        assert!(!log.contains(secret), "{log}");
    }
    daemon.terminate(LIMIT).await.unwrap();
}

/// One tenant, by name: also one that is not connected, and one that moved from the older place. The newer copy counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_taken_from_where_it_is_newest() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let creds = |seed| import_devices::creds(seed, &import_devices::number(seed));
    let number = |seed: u64| json!(import_devices::number(seed));
    let mut both = tenant(&creds(3), true);
    both["whatsapp"]["baileys"]["phoneNumber"] = Value::Null;
    let tree = json!({
        "tenants": { "only-new": tenant(&creds(1), false), "both": both },
        "baileys_sessions": {
            "only-old": { "creds": creds(2), "savedAt": 1 },
            "both": { "creds": creds(4), "savedAt": 1_770_285_600_001_i64 },
        },
    });
    let place = OldPlace::start(tree).await;
    let stage = set_old_place(stage, &place);
    for (name, seed) in [("only-new", 1), ("only-old", 2), ("both", 4)] {
        let (code, reports, output) = import(&stage, &["--from", "rtdb", "--tenant", name]).await;
        assert_eq!((code, &reports[0]["number"]), (Some(0), &number(seed)), "{reports:#?}\n{}", errors(&output));
    }
    let (code, reports, _) = import(&stage, &["--from", "rtdb", "--tenant", "nobody"]).await;
    assert_eq!((code, reasons(&reports)), (Some(1), vec![("nobody", "no_credentials")]));
    // Under other names; and where the address is said on the command line.
    let map = stage.path("map");
    std::fs::write(&map, "both another\nonly-old third\n").unwrap();
    let url = place.url();
    let (code, reports, _) =
        import(&stage, &["--from", "rtdb", &url, "--map", map.to_str().unwrap(), "--dry-run"]).await;
    assert_eq!((code, outcomes(&reports)), (Some(1), BTreeMap::from([("failed", 2)])), "each is a tenant already");
    for wrong in
        [&["--from", "rtdb"][..], &["--from", "baileys", "--all"], &["--from", "rtdb", "--all", "--tenant", "x"]]
    {
        let mut command = stage.setup.command().unwrap();
        assert!(!command.arg("import").args(wrong).output().await.unwrap().status.success(), "{wrong:?}");
    }
}

/// Whatever the database does, the command ends, says it, and can be repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_fails_is_named_and_the_command_goes_on_where_it_was() {
    tokio::join!(a_database_that_fails(), a_silent_database_costs_a_limit());
}

async fn a_database_that_fails() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let place = place_of_twelve().await;
    let stage = set_old_place(stage, &place);
    let all = ["--from", "rtdb", "--all"];

    for (fault, expected) in [
        (Fault::Closed, "does not let this service account in"),
        (Fault::Absent, "is not there"),
        (Fault::Busy, "does not answer"),
        (Fault::Redirect("http://169.254.169.254/latest".into()), "leads to an address that is not allowed"),
    ] {
        place.break_with(Some(fault.clone()));
        let (code, reports, output) = import(&stage, &all).await;
        let said = errors(&output);
        assert_eq!((code, reports.len(), said.contains(expected)), (Some(1), 0, true), "{fault:?}: {said}");
    }
    // A token that is good no longer is got anew; a moment of overload is waited for.
    for (fault, done) in [(Fault::Revoked, "imported"), (Fault::BusyTimes(2), "already_imported")] {
        place.break_with(Some(fault));
        let (code, reports, output) = import(&stage, &["--from", "rtdb", "--tenant", "t00"]).await;
        assert_eq!((code, outcomes(&reports)), (Some(0), BTreeMap::from([(done, 1)])), "{}", errors(&output));
    }
    // An account that the endpoint does not know gets no token, and no word of the key is said.
    let stranger = OldPlace::start(json!({})).await.service_account();
    let stranger = stranger.replace(&stranger_address(&stranger), &place.url());
    let mut command = stage.setup.command().unwrap();
    let command = command.args(["import", "--json"]).args(all).env("FIREBASE_SERVICE_ACCOUNT_KEY", &stranger);
    let said = errors(&command.output().await.unwrap());
    assert!(said.contains("gives no token: invalid_grant") && !said.contains("PRIVATE"), "{said}");

    // It dies in the middle: the names, a batch of five whole (nine places each), and no more.
    place.break_with(Some(Fault::BusyAfter(1 + 45)));
    let (code, reports, output) = import(&stage, &all).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        outcomes(&reports),
        BTreeMap::from([("already_imported", 1), ("failed", 5), ("imported", 4)]),
        "{reports:#?}"
    );
    assert!(reasons(&reports).iter().all(|(_, code)| *code == "unreachable"), "{reports:#?}");
    assert!(errors(&output).contains("2 more tenants were not looked at"), "{}", errors(&output));
    place.break_with(None);
    let (code, reports, _) = import(&stage, &all).await;
    assert_eq!((code, outcomes(&reports)), (Some(0), BTreeMap::from([("already_imported", 5), ("imported", 7)])));
}

/// One that says nothing costs a limit, not for ever.
async fn a_silent_database_costs_a_limit() {
    let place = place_of_twelve().await;
    let stage = set_old_place(Stage::new(Home::Embedded).await.unwrap(), &place);
    place.break_with(Some(Fault::Silent));
    let began = Instant::now();
    let (code, ..) = import(&stage, &["--from", "rtdb", "--all"]).await;
    assert_eq!(code, Some(1));
    assert!(began.elapsed() < Duration::from_secs(90), "{:?}", began.elapsed());
}

async fn place_of_twelve() -> OldPlace {
    let mut tenants = Map::new();
    for at in 0..12 {
        tenants.insert(format!("t{at:02}"), tenant(&import_devices::creds(at, &import_devices::number(at)), true));
    }
    OldPlace::start(json!({ "tenants": tenants })).await
}

/// Of the place that an account's key file names.
fn stranger_address(account: &str) -> String {
    let account: Value = serde_json::from_str(account).unwrap();
    account["token_uri"].as_str().unwrap().trim_end_matches("/token").to_owned()
}

/// A tenant that is too large costs itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_nonsense_costs_itself() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let creds = |seed| import_devices::creds(seed, &import_devices::number(seed));
    let mut large = tenant(&creds(1), true);
    large["baileys_session"]["keys"] = json!({ "session-1_0": "x".repeat(17 << 20) });
    let mut odd = tenant(&creds(2), true);
    odd["baileys_session"] = json!([[[[1]]]]);
    let mut flag = tenant(&creds(3), true);
    flag["restaurant"]["whatsappConnected"] = json!({ "a": "x".repeat(10_000) });
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let mut bomb = tenant(&creds(5), true);
    bomb["baileys_session"]["creds"]["x"] = deep;
    let tree = json!({ "tenants": {
        "bomb": bomb, "flag": flag, "good": tenant(&creds(4), true), "large": large, "no tenant": tenant(&creds(6), true),
        "odd": odd,
    } });
    let place = OldPlace::start(tree).await;
    let stage = set_old_place(stage, &place);
    let (code, reports, output) = import(&stage, &["--from", "rtdb", "--all"]).await;
    assert_eq!((code, reports.len()), (Some(1), 6), "{reports:#?}\n{}", errors(&output));
    let told = reasons(&reports);
    assert_eq!(outcomes(&reports), BTreeMap::from([("failed", 4), ("imported", 1), ("left_out", 1)]), "{told:?}");
    for expected in
        [("large", "too_large"), ("odd", "no_credentials"), ("flag", "not_connected"), ("no tenant", "no_tenant_id")]
    {
        assert!(told.contains(&expected), "{expected:?} in {told:?}");
    }
}

/// Both shapes of Firestore's documents, from Google's emulator.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_come_from_firestore() {
    let Some(host) = emulator::host() else { return };
    let project = emulator::project();
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage
        .set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1")
        .set("SESSIOND_VAULT__KIND", "embedded")
        .set("FIRESTORE_PROJECT_ID", &project)
        .set("FIRESTORE_EMULATOR_HOST", &host);
    let creds = |seed| import_devices::creds(seed, &import_devices::number(seed));
    let pair = creds(50)["noiseKey"].clone();
    let nested = json!({ "creds": typed(&creds(1)), "keys": typed(&json!({ "pre-key-5": pair })), "savedAt": { "integerValue": "1" } });
    let dotted = json!({ "creds": typed(&creds(2)), "keys.pre-key-6": typed(&pair), "keys.pre-key-7": typed(&pair) });
    emulator::put(&project, "baileys_sessions/nested", nested);
    emulator::put(&project, "baileys_sessions/dotted", dotted);
    emulator::put(&project, "baileys_sessions/empty", json!({ "savedAt": { "integerValue": "1" } }));
    for (done, options) in [("importable", &["--dry-run"][..]), ("imported", &[]), ("already_imported", &[])] {
        let (code, reports, output) = import(&stage, &[&["--from", "firestore", "--all"][..], options].concat()).await;
        assert_eq!((code, reports.len()), (Some(1), 3), "{reports:#?}\n{}", errors(&output));
        assert_eq!(reasons(&reports), [("empty", "no_credentials")]);
        for (name, keys) in [("nested", 1), ("dotted", 2)] {
            let report = reports.iter().find(|report| report["source"] == name).unwrap();
            assert_eq!((&report["outcome"], &report["origin"]), (&json!(done), &json!("firestore")), "{report:#}");
            assert_eq!(report["entries"]["pre_key"]["kept"], keys, "{report:#}");
        }
    }
    let (code, reports, _) = import(&stage, &["--from", "firestore", "--tenant", "nobody"]).await;
    assert_eq!((code, reasons(&reports)), (Some(1), vec![("nobody", "not_in_source")]));
}

/// As Firestore's REST interface writes a value; what Baileys calls a buffer was written as bytes.
fn typed(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.get("type") == Some(&json!("Buffer")) => {
            json!({ "bytesValue": fields["data"] })
        }
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields.iter().map(|(name, value)| (name.clone(), typed(value))).collect();
            json!({ "mapValue": { "fields": fields } })
        }
        Value::Array(items) => json!({ "arrayValue": { "values": items.iter().map(typed).collect::<Vec<_>>() } }),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "booleanValue": flag }),
        Value::Number(number) if number.is_i64() => json!({ "integerValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::Null => json!({ "nullValue": null }),
    }
}
