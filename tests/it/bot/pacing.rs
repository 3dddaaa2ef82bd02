//! Not too much: what is over a limit waits, says why, and goes when its time has come; answers go before notices, and WhatsApp's word before
//! all limits.

use std::time::{SystemTime, UNIX_EPOCH};

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::until;

use super::{Scene, TENANT, settings};
use crate::{
    consumers::webhooks::ask,
    support::stage::{Home, LIMIT},
};

const HOUR: u64 = 3_600;

impl Scene {
    async fn limit(&self, pacing: Value) {
        let mut limited = settings();
        limited["pacing"] = pacing;
        self.ok("PUT", "settings", Some(limited)).await;
    }

    /// A program sends something; the status and the answer.
    async fn program_sends(&self, to: &str, text: &str) -> (u16, Value) {
        let body = json!({ "session": TENANT, "chatId": format!("{to}@c.us"), "text": text, "bot": true });
        ask(&self.stage, "POST", "/api/sendText", Some(body)).await
    }

    /// Of the messages to somebody, the newest first, why each waits.
    async fn reasons(&self, to: &str) -> Vec<Value> {
        let path = format!("/api/{TENANT}/chats/{to}@c.us/messages?limit=50");
        let (_, found) = ask(&self.stage, "GET", &path, None).await;
        found.as_array().unwrap().iter().map(|message| message["waiting"]["reason"].clone()).collect()
    }

    async fn await_reason(&self, to: &str, reason: &str) {
        let waits = async || self.reasons(to).await.contains(&json!(reason));
        until(LIMIT, reason, waits).await.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }

    /// Asks WhatsApp what it allows, so that the daemon knows.
    async fn hear_whatsapps_word(&self, locked_until: u64) {
        self.stage.network.lock_new_chats(&self.conversation.number, locked_until).await.unwrap();
        let (status, _) = ask(&self.stage, "GET", &format!("/api/sessions/{TENANT}/timelock"), None).await;
        assert_eq!(status, 200);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Five an hour, one of which is kept for answers: the fifth notice waits, over a death too, and an answer does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_waits_says_why_and_comes_once() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let ear = scene.stage.listen(std::slice::from_ref(&scene.conversation));
    scene.limit(json!({ "perHour": 5 })).await;
    let texts: Vec<_> = (0..7).map(|n| format!("novedad {n}")).collect();
    for text in &texts {
        let (status, answer) = scene.program_sends(&ana, text).await;
        assert_eq!(status, 201, "{answer}");
    }
    ear.until(LIMIT, |heard| heard.iter().any(|one| one.event == "pacing:held")).await.unwrap();
    scene.await_reason(&ana, "per_hour").await;
    assert_eq!(scene.got(&ana).await, texts[..4]);
    scene.talk(&luz, "quiero dos ajiacos").await;
    let held = scene.reasons(&ana).await;
    assert_eq!(held[..3], [json!("per_hour"), json!("per_hour"), json!("per_hour")]);
    assert_eq!(held[3..], vec![Value::Null; 4]);
    let path = format!("/api/baileys/messages?tenantId={TENANT}&chatId={ana}&limit=1");
    let (_, shown) = ask(&scene.stage, "GET", &path, None).await;
    assert_eq!(shown["messages"][0]["waiting"]["reason"], json!("per_hour"), "{shown}");

    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    scene.await_reason(&ana, "per_hour").await;
    // Now her answer waits, too: the hour is used up.
    scene.says(&luz, "y una limonada natural").await;
    scene.await_reason(&luz, "per_hour").await;
    assert_eq!(scene.got(&ana).await, texts[..4], "what was sent before the death is forgotten");
    scene.limit(json!({ "enabled": false })).await;
    scene.await_more(&luz, 1, "her answer").await;
    scene.await_more(&ana, 6, "all of it").await;
    assert_eq!(scene.got(&ana).await, texts);
    scene.daemon.kill().await.unwrap();
}

/// WhatsApp locks new chats: strangers wait, everybody else is served; what could not leave in its time is refused.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_wait_while_whatsapp_locks_new_chats() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let (ana, network) = (scene.customer(0), scene.stage.network.clone());
    scene.limit(json!({})).await;
    scene.talk(&ana, "quiero dos ajiacos").await;
    // The daemon asks by itself, before the first of them.
    network.lock_new_chats(&scene.conversation.number, now() + HOUR).await.unwrap();
    let (stranger, other) = (network.add_customer().await, network.add_customer().await);
    let (status, answer) = scene.program_sends(&stranger, "promoción").await;
    assert_eq!(status, 201, "{answer}");
    scene.await_reason(&stranger, "whatsapp_timelock").await;
    scene.talk(&ana, "y una limonada natural").await;
    let (status, answer) = scene.program_sends(&ana, "novedad").await;
    assert_eq!(status, 201, "{answer}");
    scene.await_more(&ana, 2, "news for whom the tenant knows").await;

    scene.hear_whatsapps_word(now() + 72 * HOUR).await;
    let (status, problem) = scene.program_sends(&other, "promoción").await;
    assert_eq!((status, &problem["code"]), (422, &json!("bulk_to_strangers")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("never wrote"), "{problem}");
    assert_eq!(scene.got(&stranger).await, Vec::<String>::new());

    scene.hear_whatsapps_word(0).await;
    scene.await_more(&stranger, 0, "what has waited").await;
    assert_eq!(scene.got(&stranger).await, ["promoción"]);
    scene.daemon.kill().await.unwrap();
}

/// One stranger a day: the second waits, the third would wait for longer than a message may.
#[tokio::test(flavor = "multi_thread")]
async fn bulk_to_strangers_is_refused() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    let network = scene.stage.network.clone();
    scene.limit(json!({ "newContactsPerDay": 1 })).await;
    let strangers = [network.add_customer().await, network.add_customer().await, network.add_customer().await];
    assert_eq!(scene.program_sends(&strangers[0], "promoción").await.0, 201);
    scene.await_more(&strangers[0], 0, "the first").await;
    assert_eq!(scene.program_sends(&strangers[1], "promoción").await.0, 201);
    scene.await_reason(&strangers[1], "new_contacts").await;
    let (status, problem) = scene.program_sends(&strangers[2], "promoción").await;
    assert_eq!((status, &problem["code"]), (422, &json!("bulk_to_strangers")), "{problem}");
    // A file is refused before WhatsApp's media hosts are asked to take it: these would say so first.
    network.fault(Fault::new(FaultKind::MediaDown)).await.unwrap();
    let file = json!({ "data": "UHJvbW9jacOzbg==", "filename": "promo.txt", "mimetype": "text/plain" });
    let body = json!({ "session": TENANT, "chatId": format!("{}@c.us", strangers[2]), "file": file, "bot": true });
    let (status, problem) = ask(&scene.stage, "POST", "/api/sendFile", Some(body)).await;
    assert_eq!((status, &problem["code"]), (422, &json!("bulk_to_strangers")), "{problem}");
    // Who writes is no stranger.
    scene.talk(&strangers[2], "buenas, quiero un ajiaco").await;
    scene.daemon.kill().await.unwrap();
}
