//! WAHA's routes of sessions, where WhatsApp is away or the session is stopped.

use loopback::Setting;
use serde_json::{Value, json};
use sessiond::demo::until;

use super::{answers, ask};
use crate::{contracts::waha::paired, support::stage::LIMIT};

#[tokio::test(flavor = "multi_thread")]
async fn without_whatsapp_the_answer_is_503_and_tenants_share_nothing() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let other = scene.stage.pair("pizzeria").await;
    let person = Setting::Person { number: scene.customer.clone(), name: "Ana".into(), first: String::new() };
    network.phone_sets(&scene.number, &person).await.unwrap();
    let label = Setting::Label { id: "1".into(), name: "Secret".into(), color: 0 };
    network.phone_sets(&scene.number, &label).await.unwrap();
    network.create_group(&scene.number, "Family", &[]).await.unwrap();
    answers(&mut scene, "labels.get_all", json!(["trattoria"]), "", |all| all[0]["name"] == json!("Secret")).await;
    for path in ["/api/contacts/all?session=pizzeria", "/api/pizzeria/labels", "/api/pizzeria/groups"] {
        let (status, _, answer) = ask(&scene.stage, "GET", path, &Value::Null).await;
        assert_eq!((status, answer), (200, json!([])), "{path}");
    }
    drop(other);
    network.stop().await;
    let down = || async {
        let (status, _, answer) = ask(&scene.stage, "GET", "/api/trattoria/groups", &Value::Null).await;
        assert!(![500, 502, 504].contains(&status), "{answer}");
        status == 503 && answer["code"] == json!("whatsapp_unreachable")
    };
    until(LIMIT, "the answer without WhatsApp", down).await.unwrap();
    for (method, path) in [
        ("GET", "/api/trattoria/profile"),
        ("POST", "/api/trattoria/chats/573001112233@c.us/archive"),
        ("GET", "/api/contacts/about?session=trattoria&contactId=573001112233@c.us"),
    ] {
        let (status, _, answer) = ask(&scene.stage, method, path, &Value::Null).await;
        assert_eq!((status, &answer["code"]), (503, &json!("whatsapp_unreachable")), "{method} {path}");
    }
    // What is known here is told all the same.
    let (status, _, answer) = ask(&scene.stage, "GET", "/api/contacts/all?session=trattoria", &Value::Null).await;
    assert_eq!((status, &answer[0]["name"], &answer[0]["isBlocked"]), (200, &json!("Ana"), &Value::Null));
    assert_eq!(answer[0]["isWAContact"], Value::Null, "she never wrote, and nobody has asked for her");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_stopped_stays_away_and_loses_nothing() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    scene.hears("before").await;
    let first = scene.stage.dashboard.send("trattoria", &scene.customer, "your table", "a-key").await.unwrap();
    let number = scene.number.clone();
    let online = async || network.devices(&number).await.unwrap().iter().any(|device| device.online);
    let stopped = scene.waha.get_as("sessions.stop", json!(["trattoria"]), "SessionDTO").await;
    assert_eq!(stopped["status"], json!("STOPPED"));
    until(LIMIT, "the device is away", async || !online().await).await.unwrap();
    network.customer_send(&scene.customer, &scene.number, "while you were away").await.unwrap();
    let sessions = scene.stage.health().await.1["sessions"].clone();
    assert_eq!((&sessions["ill"], &sessions["stopped"]), (&json!([]), &json!(["trattoria"])), "{sessions}");
    let text = json!([{ "session": "trattoria", "chatId": scene.chat(), "text": "hello" }]);
    scene.refused("chatting.send_text", text, "400").await;
    let repeat = scene.stage.dashboard.send("trattoria", &scene.customer, "your table", "a-key").await;
    assert_eq!(repeat.unwrap(), first, "it is told of the first");
    for path in ["profile", "groups"] {
        let (status, _, answer) = ask(&scene.stage, "GET", &format!("/api/trattoria/{path}"), &Value::Null).await;
        assert_eq!((status, &answer["code"]), (400, &json!("not_connected")), "{path}: {answer}");
    }

    // Neither a restart with an empty disk nor a heartbeat brings it back.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let logins = network.stats().await.counts.logins;
    scene.stage = scene.stage.set("SESSIOND_HEARTBEAT__FIRST", "1s").set("SESSIOND_HEARTBEAT__INTERVAL", "1s");
    scene.daemon = scene.stage.start().await;
    let beats = || async { scene.stage.log().matches("healthy").count() >= 2 };
    until(LIMIT, "two heartbeats", beats).await.unwrap();
    let session = scene.waha.get_as("sessions.get", json!(["trattoria"]), "SessionInfo").await;
    assert_eq!(session["status"], json!("STOPPED"), "{session}");
    assert_eq!(network.stats().await.counts.logins, logins);
    assert!(!online().await);

    // Started: no scan, and what came meanwhile.
    scene.waha.get("sessions.start", json!(["trattoria"])).await;
    let arguments = json!(["trattoria", scene.chat(), { "limit": 1 }]);
    let came = |got: &Value| got[0]["body"] == json!("while you were away");
    answers(&mut scene, "chats.get_chat_messages", arguments, "", came).await;
    assert_eq!(network.stats().await.counts.pairings, 1);

    // By name; and a start that was answered holds, whatever dies then.
    let named = json!([{ "name": "trattoria" }]);
    scene.waha.get("sessions.deprecated_stop", named.clone()).await;
    until(LIMIT, "the device is away", async || !online().await).await.unwrap();
    scene.waha.get("sessions.depracated_start", named.clone()).await;
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "it is back", async || online().await).await.unwrap();
    scene.hears("again").await;

    // Deleted: unlinked, without webhooks, and hidden.
    let hook =
        json!(["trattoria", { "config": { "webhooks": [{ "url": "https://example.com/hook", "events": ["*"] }] } }]);
    scene.waha.get("sessions.update", hook).await;
    scene.waha.get("sessions.delete", json!(["trattoria"])).await;
    assert!(network.devices(&scene.number).await.unwrap().is_empty());
    assert_eq!(scene.waha.get("sessions.list", json!([])).await, json!([]));
    let (_, _, hooks) = ask(&scene.stage, "GET", "/api/trattoria/webhooks", &Value::Null).await;
    assert_eq!(hooks["code"], json!("unknown_tenant"), "{hooks}");
    scene.daemon.kill().await.unwrap();
}
