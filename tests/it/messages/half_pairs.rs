//! Messages that the library cannot decode: the phone is asked for each, once, and a text with half a surrogate pair, or half the bytes of
//! a character, is shown with a replacement in its place; over a restart too.

use loopback::{Fault, FaultKind, Say};
use serde_json::{Value, json};
use sessiond::demo::{Heard, until};

use crate::{
    messages::media::{MediaScene, TENANT},
    support::stage::LIMIT,
};

/// A text whose emoji was cut in two: no UTF-8.
fn half() -> Say {
    cut(*b"\xed\xa0\xbd")
}

fn cut(end: [u8; 3]) -> Say {
    let text = [&b"a table "[..], &end].concat();
    Say::Garbage { bytes: [&[0x0a, text.len() as u8], &text[..]].concat() }
}

const SHOWN: &str = "a table \u{fffd}";

async fn await_text(scene: &MediaScene, id: &str) {
    let is_it = |heard: &Heard| {
        let message = &heard.payload["message"];
        message["id"] == json!(id) && message["content"]["text"] == json!(SHOWN)
    };
    let waited = scene.ear.until(LIMIT, |heard| heard.iter().any(is_it)).await;
    waited.unwrap_or_else(|error| panic!("{error}: {:#?}\n{}", scene.ear.heard(), scene.stage.log()));
}

/// What a list says of it, once however often it was told of.
async fn listed(scene: &MediaScene, id: &str) -> Vec<Value> {
    let path = format!("/api/baileys/messages?tenantId={TENANT}&chatId={}", scene.customer);
    let page = scene.stage.dashboard.get(&path).await.unwrap();
    let messages = page.body["messages"].as_array().unwrap_or_else(|| panic!("{}", page.body));
    messages.iter().filter(|message| message["id"] == json!(id)).cloned().collect()
}

async fn questions(scene: &MediaScene) -> u64 {
    scene.stage.network.stats().await.counts.placeholder_requests
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_pair_is_shown_as_a_replacement() {
    let scene = MediaScene::new().await;
    let network = scene.stage.network.clone();
    let id = network.customer_send(&scene.customer, &scene.tenant.number, half()).await.unwrap();
    assert_eq!(scene.seen(&id).await["undecryptable"], json!(true), "told at once, before anybody is asked");
    // Cut between its bytes.
    let other = network.customer_send(&scene.customer, &scene.tenant.number, cut(*b"\xf0\x9f\x98")).await.unwrap();
    await_text(&scene, &id).await;
    await_text(&scene, &other).await;
    let listed = listed(&scene, &id).await;
    assert_eq!(listed.len(), 1, "{listed:#?}");
    assert_eq!(listed[0]["content"]["text"], json!(SHOWN), "{listed:#?}");
    assert_eq!(questions(&scene).await, 2);
    // What can be read is read as ever.
    let next = network.customer_send(&scene.customer, &scene.tenant.number, "for two").await.unwrap();
    assert_eq!(scene.seen(&next).await["content"]["text"], json!("for two"));
    scene.daemon.kill().await.unwrap();
}

/// The phone was asked and did not answer, and the process dies: the next one asks again.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answered_is_asked_for_again_by_the_next_process() {
    let mut scene = MediaScene::new().await;
    let network = scene.stage.network.clone();
    network.fault(Fault::new(FaultKind::PhoneSilent)).await.unwrap();
    let read = network.customer_send(&scene.customer, &scene.tenant.number, "hello").await.unwrap();
    scene.seen(&read).await;
    let id = network.customer_send(&scene.customer, &scene.tenant.number, half()).await.unwrap();
    assert_eq!(scene.seen(&id).await["undecryptable"], json!(true));
    until(LIMIT, "the question", async || questions(&scene).await == 1).await.unwrap();
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    network.clear_faults().await;
    scene.daemon = scene.stage.start().await;
    await_text(&scene, &id).await;
    assert_eq!(questions(&scene).await, 2);
    scene.daemon.kill().await.unwrap();
}
