//! What breaks around the bot costs no more than it must: an engine that panics, a vault that is cut off.

use std::time::Duration;

use serde_json::json;

use super::{Scene, settings};
use crate::support::{
    emulator,
    proxy::{Mode, Proxy},
    stage::{Home, LIMIT, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_breaks_costs_its_chat_alone() {
    let Some(scene) = Scene::open(Home::Embedded).await else { return };
    scene.daemon.kill().await.unwrap();
    let daemon = scene.stage.setup.clone().set("LOOPBACK_PANIC", "bot_step:1").start(LIMIT).await.unwrap();
    let scene = Scene { daemon, ..scene };
    let (ana, luz) = (scene.customer(0), scene.customer(1));
    let ear = scene.stage.listen(std::slice::from_ref(&scene.conversation));
    scene.says(&ana, "quiero dos ajiacos").await;
    ear.until(LIMIT, |heard| heard.iter().any(|one| one.event == "owner:called")).await.unwrap();
    scene.talk(&luz, "quiero una limonada natural").await;
    let (_, health) = scene.stage.health().await;
    assert_eq!(health["incidents"]["bot_conversations_broken"], json!(1), "{health}");
    // The next life does not fall over it again, nor answer it.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let scene = Scene { daemon: scene.stage.start().await, ..scene };
    scene.says(&ana, "¿hola?").await;
    scene.talk(&luz, "ver").await;
    tokio::time::sleep(super::SILENCE).await;
    assert_eq!(scene.got(&ana).await, Vec::<String>::new());
    assert_eq!(scene.stage.health().await.1["incidents"]["bot_conversations_broken"], json!(1));
    scene.ok("POST", &format!("conversations/{}/give-back", scene.chat(0)), None).await;
    assert_eq!(scene.stage.health().await.1["incidents"]["bot_conversations_broken"], json!(0));
    scene.talk(&ana, "quiero dos ajiacos").await;
    scene.daemon.kill().await.unwrap();
}

/// The message is kept before the vault is cut off, and its turn falls into the cut.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_vault_is_cut_off_nothing_is_decided_and_nothing_is_lost() {
    let Some(stage) = Stage::new(Home::Emulator).await else { return };
    let proxy = Proxy::start(&emulator::host().unwrap()).await;
    let stage =
        stage.set("FIRESTORE_EMULATOR_HOST", proxy.address()).set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "2s");
    let Some(scene) = Scene::open_on(stage).await else { return };
    let mut slow = settings();
    slow["gatherMs"] = json!(3000);
    scene.ok("PUT", "settings", Some(slow)).await;
    let ana = scene.customer(0);
    let ear = scene.stage.listen(std::slice::from_ref(&scene.conversation));
    let id = scene.says(&ana, "quiero dos ajiacos").await;
    ear.until(LIMIT, |heard| heard.iter().any(|one| one.payload["message"]["id"] == json!(id))).await.unwrap();
    proxy.set(Mode::Refuse);
    // Her turn is due after three seconds. An answer that must not come has no condition to wait for.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(scene.got(&ana).await, Vec::<String>::new(), "answered while the vault was cut off");
    let (status, problem) = scene.ask("POST", &format!("conversations/{}/take", scene.chat(1)), None).await;
    assert_eq!((status, &problem["code"]), (503, &json!("vault_down")), "{problem}");
    proxy.set(Mode::Pass);
    scene.await_more(&ana, 0, "the answer").await;
    // Whom nothing happened to says the same, and gets the same.
    let luz = scene.customer(1);
    scene.talk(&luz, "quiero dos ajiacos").await;
    for customer in [&ana, &luz] {
        scene.talk(customer, "ver").await;
        scene.talk(customer, "hablar con alguien").await;
    }
    let (all, expected) = (super::masked(&scene.got(&ana).await), super::masked(&scene.got(&luz).await));
    assert_eq!(all, expected, "answered more or less than once");
    scene.daemon.kill().await.unwrap();
}
