//! A tenant that was restored from a backup, with a bot that has much behind it: whatever its numbers were in the other vault, its bot and its
//! webhooks go on.

use serde_json::json;
use sessiond::demo::{Setup, until};

use super::{Scene, TENANT, settings};
use crate::{
    consumers::webhooks::ask,
    support::stage::{Home, LIMIT, Stage},
};

/// More events than a reader takes at a time.
const EVENTS: usize = 80;

async fn run(setup: &Setup, arguments: &[&str]) {
    let output = setup.command().unwrap().args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_comes_from_a_backup_answers_whatever_lies_behind_it() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage
        .set("SESSIOND_MASTER_KEY", "5e".repeat(32))
        .set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32")
        // Nobody listens there: each question fails.
        .set("SESSIOND_BOT__LANGUAGE_MODEL__URL", "http://127.0.0.1:9/v1/")
        .set("SESSIOND_BOT__LANGUAGE_MODEL__KEY", "a-key-of-the-operator")
        .set("SESSIOND_BOT__LANGUAGE_MODEL__MODEL", "small")
        .set("http_proxy", "");
    let scene = Scene::open_on(stage).await.unwrap();
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let mut helped = settings();
    helped["languageModel"] = json!(true);
    scene.ok("PUT", "settings", Some(helped.clone())).await;
    let reply = scene.talk(&ana, "frobozz").await.join("\n");
    assert!(reply.contains("no le entendí"), "{reply}");
    scene.daemon.kill().await.unwrap();

    // Its next life there has a number that the vault to come will not have for long.
    let mut scene = Scene { daemon: scene.stage.start().await, ..scene };
    scene.talk(&luz, "hola").await;
    let before = scene.got(&luz).await.len();
    for nth in 0..EVENTS {
        scene.says(&luz, &format!("quiero {} ajiacos", nth + 2)).await;
    }
    scene.await_more(&luz, before, "an answer to all of it").await;
    scene.talk(&ana, "hola").await;
    let file = scene.stage.path("trattoria.backup");
    let name = file.to_str().unwrap();
    run(&scene.stage.setup, &["backup", TENANT, name]).await;
    scene.daemon.kill().await.unwrap();

    let elsewhere = Setup { data_dir: scene.stage.path("elsewhere"), ..scene.stage.setup.clone() };
    scene.stage.setup = elsewhere.embedded(&scene.stage.path("another.db"));
    run(&scene.stage.setup, &["restore", name]).await;
    scene.daemon = scene.stage.start().await;
    let is_connected = async || scene.stage.dashboard.is_connected(TENANT).await;
    until(LIMIT, "the tenant", is_connected).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    // Before anything happens, and after.
    scene.ok("PUT", "settings", Some(helped)).await;
    let url = format!("/api/{TENANT}/webhooks");
    let (status, answer) = ask(&scene.stage, "PUT", &url, Some(json!({ "webhooks": [] }))).await;
    assert_eq!(status, 200, "{answer}");
    scene.talk(&ana, "hablar con alguien").await;
    scene.ok("POST", &format!("conversations/{}/give-back", scene.chat(0)), None).await;
    scene.daemon.kill().await.unwrap();
}

/// The history that a deletion leaves keeps nothing of the owner's out.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_comes_back_with_its_menu_settings_and_webhooks() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage.set("SESSIOND_MASTER_KEY", "5e".repeat(32)).set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32");
    let mut scene = Scene::open_on(stage).await.unwrap();
    let webhooks = format!("/api/{TENANT}/webhooks");
    let hook = json!({ "webhooks": [{ "url": "http://127.0.0.1:9/orders", "events": ["order.created"] }] });
    let (status, answer) = ask(&scene.stage, "PUT", &webhooks, Some(hook)).await;
    assert_eq!(status, 200, "{answer}");
    scene.talk(&scene.customer(0), "hola").await;
    let file = scene.stage.path("trattoria.backup");
    let name = file.to_str().unwrap();
    run(&scene.stage.setup, &["backup", TENANT, name]).await;
    let (status, answer) = ask(&scene.stage, "DELETE", &format!("/api/sessions/{TENANT}"), None).await;
    assert_eq!(status, 200, "{answer}");
    scene.daemon.kill().await.unwrap();

    run(&scene.stage.setup, &["restore", name]).await;
    scene.daemon = scene.stage.start().await;
    let has_menu = async || {
        let (status, menu) = scene.ask("GET", "menu", None).await;
        status == 200 && menu["items"].as_array().map(Vec::len) == Some(3)
    };
    until(LIMIT, "the menu", has_menu).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    let shown = scene.ok("GET", "settings", None).await;
    assert_eq!((&shown["active"], &shown["name"]), (&json!(true), &json!("Trattoria")), "{shown}");
    let (_, shown) = ask(&scene.stage, "GET", &webhooks, None).await;
    assert_eq!(shown["webhooks"][0]["url"], "http://127.0.0.1:9/orders", "{shown}");
    scene.daemon.kill().await.unwrap();
}
