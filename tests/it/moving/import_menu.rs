//! `sessiond import menu`: a restaurant of the old service gets its menu here, from a file and from the database that lives, with a daemon and
//! without. The Realtime Database is [`crate::support::old_place`].

use serde_json::{Value, json};

use crate::{
    consumers::webhooks::ask,
    moving::import_live::set_old_place,
    support::{
        old_place::OldPlace,
        stage::{Home, Stage},
    },
};

const TENANT: &str = "trattoria";
const OLD_NAME: &str = "tenant1700000000000abc";

/// The exit code, and what the command says; where it says nothing, its log.
async fn bring(stage: &Stage, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = stage.setup.command().unwrap();
    command.args(["import", "menu", "--json", "--tenant", TENANT]).args(arguments);
    let output = command.output().await.unwrap();
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), serde_json::from_str(told.trim()).unwrap_or_else(|_| json!({ "log": log })))
}

async fn shown(stage: &Stage, what: &str) -> Value {
    let (status, answer) = ask(stage, "GET", &format!("/api/{TENANT}/bot/{what}"), None).await;
    assert_eq!(status, 200, "{answer}\n{}", stage.log());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_comes_from_a_file_and_from_the_database_with_a_daemon_and_without() {
    let node = json!({
        "menu": { "items": {
            "a": { "id": "a", "name": "Ajiaco", "price": 24_000, "category": "Sopas", "available": true },
            "b": { "id": "b", "name": "Ravioli", "price": "-" },
            "c": { "id": "c", "name": "", "price": 1 },
        } },
        "restaurant": { "name": "Trattoria", "whatsappConnected": true },
        "config": { "deliveryTime": { "min": 30, "max": 45 }, "deliveryCost": { "cost": "x" } },
        "bot": { "config": { "active": true } },
    });
    let place = OldPlace::start_writable(json!({ "tenants": { OLD_NAME: node } })).await;
    let stage = set_old_place(Stage::new(Home::Embedded).await.unwrap(), &place);
    let export = stage.path("export.json");
    std::fs::write(&export, place.tree().to_string()).unwrap();
    let file = [export.to_str().unwrap(), "--name", OLD_NAME];

    // A look writes nothing, and each thing that is left out is named.
    let (code, told) = bring(&stage, &[&file[..], &["--dry-run"][..]].concat()).await;
    assert_eq!((code, &told["outcome"], &told["menu_version"]), (Some(0), &json!("importable"), &json!(1)), "{told:#}");
    let problems = told["problems"].as_array().unwrap().iter();
    let named: Vec<_> = problems.map(|problem| problem["entry"].as_str().unwrap()).collect();
    assert_eq!(named, ["b", "c", "config/deliveryCost"], "{told:#}");
    let (code, told) = bring(&stage, &[export.to_str().unwrap()]).await;
    assert!(code == Some(1) && told.to_string().contains("no tenant of this name"), "{told:#}");

    // Without a daemon.
    let (code, told) = bring(&stage, &file).await;
    let versions = |told: &Value| (told["menu_version"].as_u64(), told["settings_version"].as_u64());
    assert_eq!(
        (code, &told["outcome"], versions(&told)),
        (Some(0), &json!("imported"), (Some(1), Some(1))),
        "{told:#}"
    );
    let daemon = stage.start().await;
    assert_eq!(shown(&stage, "menu").await["items"][0]["name"], "Ajiaco");
    let settings = shown(&stage, "settings").await;
    assert_eq!((&settings["name"], &settings["active"]), (&json!("Trattoria"), &json!(true)), "{settings:#}");

    // The owner goes on here: what the old place does not know of stays, and the switch is the owner's.
    let mut own = settings;
    (own["active"], own["mostUnits"]) = (json!(false), json!(50));
    assert_eq!(ask(&stage, "PUT", &format!("/api/{TENANT}/bot/settings"), Some(own)).await.0, 200);
    place.set(&format!("tenants/{OLD_NAME}/menu/items/b/price"), json!(32_000));
    place.set(&format!("tenants/{OLD_NAME}/restaurant/name"), json!("Trattoria Due"));
    let url = place.url();
    let live = [url.as_str(), "--name", OLD_NAME];
    let (code, told) = bring(&stage, &live).await;
    assert_eq!((code, versions(&told)), (Some(0), (Some(2), Some(3))), "{told:#}");
    assert_eq!(shown(&stage, "menu").await["items"][1]["price"], 32_000);
    let settings = shown(&stage, "settings").await;
    let found = ["name", "active", "mostUnits"].map(|name| settings[name].clone());
    assert_eq!(found, [json!("Trattoria Due"), json!(false), json!(50)]);

    // The next life has what both wrote.
    daemon.kill().await.unwrap();
    let (code, told) = bring(&stage, &live).await;
    assert_eq!((code, versions(&told)), (Some(0), (Some(3), Some(4))), "{told:#}");
    let daemon = stage.start().await;
    assert_eq!(shown(&stage, "settings").await["mostUnits"], 50);
    daemon.kill().await.unwrap();
}
