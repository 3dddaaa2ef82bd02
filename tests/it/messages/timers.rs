//! Disappearing messages: answers follow the timer of their chat, and the setting is known.

use loopback::Say;
use serde_json::{Value, json};
use sessiond::demo::until;
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        self as wa,
        message::{ProtocolMessage, protocol_message::Type},
    },
};

use crate::{
    messages::media::{MediaScene, PDF, TENANT, base64, file},
    support::{
        driver::Client,
        node::program,
        stage::{Home, LIMIT, Stage},
    },
};

const WEEK: u32 = 604_800;

async fn json_of(scene: &MediaScene, path: &str) -> Value {
    scene.get(path).await.json().await.unwrap()
}

/// What every list of conversations says of the customer's chat.
async fn assert_timer(scene: &MediaScene, expected: Value) {
    let said = || async {
        let chats = json_of(scene, &format!("/api/{TENANT}/chats")).await;
        let overview = json_of(scene, &format!("/api/{TENANT}/chats/overview")).await;
        let old = json_of(scene, &format!("/api/baileys/conversations?tenantId={TENANT}")).await;
        [&chats[0], &overview[0]["_chat"], &old["conversations"][0]].map(|chat| chat["ephemeralExpiration"].clone())
    };
    let all = || async { said().await.iter().all(|said| *said == expected) };
    let there = until(LIMIT, "the timer", all).await;
    if let Err(error) = there {
        panic!("{error}: {:?}, not {expected}\n{}", said().await, scene.stage.log());
    }
}

/// After how long a message disappears, as the customer has it.
async fn expiration(scene: &MediaScene, id: &str) -> Value {
    scene.arrived(id).await.fields.pointer("/context_info/expiration").cloned().unwrap_or_default()
}

async fn text(scene: &MediaScene, text: &str) -> String {
    let (_, answer) = scene.post("/api/sendText", json!({ "text": text })).await;
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).rsplit('_').next().unwrap().to_owned()
}

fn set(seconds: u32) -> Say {
    let protocol = ProtocolMessage {
        r#type: Some(Type::EPHEMERAL_SETTING),
        ephemeral_expiration: Some(seconds),
        ..Default::default()
    };
    let message = wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() };
    Say::Raw { message: Box::new(message) }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_follow_the_timer_of_their_chat() {
    let mut scene = MediaScene::new().await;
    let network = scene.stage.network.clone();
    let hears = async |scene: &MediaScene, say: Say| {
        let id = network.customer_send(&scene.customer, &scene.tenant.number, say).await.unwrap();
        scene.seen(&id).await
    };
    hears(&scene, Say::text("a table?")).await;
    assert_timer(&scene, Value::Null).await;
    assert_eq!(expiration(&scene, &text(&scene, "for how many?").await).await, Value::Null);

    hears(&scene, Say::text("two").ephemeral(WEEK)).await;
    assert_timer(&scene, json!(WEEK)).await;
    assert_eq!(expiration(&scene, &text(&scene, "at eight?").await).await, json!(WEEK));
    let data = base64(&file(PDF, 500));
    for caption in ["", "ours"] {
        let file = json!({ "mimetype": "application/pdf", "filename": "menu.pdf", "data": data });
        let (id, _) = scene.sent("/api/sendFile", json!({ "file": file, "caption": caption })).await;
        assert_eq!(expiration(&scene, &id).await, json!(WEEK));
    }
    let poll = json!({ "poll": { "name": "Dessert?", "options": ["yes", "no"] } });
    let (_, answer) = scene.post("/api/sendPoll", poll).await;
    let poll = answer["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
    assert_eq!(expiration(&scene, &poll).await, json!(WEEK));

    // It is known in the next life too, with another disk; and to the tenant's own other devices.
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    assert_timer(&scene, json!(WEEK)).await;
    assert_eq!(expiration(&scene, &text(&scene, "see you").await).await, json!(WEEK));

    let told = hears(&scene, set(0)).await;
    assert_eq!(told["content"], json!({ "kind": "timer", "seconds": 0 }));
    assert_timer(&scene, Value::Null).await;
    assert_eq!(expiration(&scene, &text(&scene, "bye").await).await, Value::Null);
    network.phone_send(&scene.tenant.number, &scene.customer, set(86_400)).await.unwrap();
    assert_timer(&scene, json!(86_400)).await;
    assert_eq!(expiration(&scene, &text(&scene, "bye!").await).await, json!(86_400));

    // A group's is told by WhatsApp itself.
    let group = network.create_group(&scene.customer, "Mesa 4", &[&scene.tenant.number]).await.unwrap().jid;
    let id = network.customer_send(&scene.customer, &group, "hello all").await.unwrap();
    scene.seen(&id).await;
    for (seconds, expected) in [(WEEK, json!(WEEK)), (0, Value::Null)] {
        network.group_timer(&group, &scene.customer, seconds).await.unwrap();
        let is_known = || async {
            let chats = json_of(&scene, &format!("/api/{TENANT}/chats")).await;
            let of_group = chats.as_array().unwrap().iter().find(|chat| chat["id"] == json!(group)).cloned();
            of_group.is_some_and(|chat| chat["ephemeralExpiration"].as_u64().unwrap_or(0) == u64::from(seconds))
        };
        until(LIMIT, "the group's timer", is_known)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
        let body = json!({ "session": TENANT, "chatId": group, "text": "at eight" });
        let answer = scene.stage.dashboard.post("/api/sendText", body).await.unwrap().body;
        let id = answer["_data"]["key"]["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(expiration(&scene, id).await, expected);
    }
    scene.end().await;
}

/// The phone tells of it after the pairing, before anybody has written.
#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_was_set_before_the_pairing_is_followed() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let (network, phone) = (&stage.network, stage.network.add_phone(Some("Trattoria".into())).await);
    let (timed, plain) = (network.add_customer().await, network.add_customer().await);
    network.customer_send(&timed, &phone.number, Say::text("a table?").ephemeral(WEEK)).await.unwrap();
    network.customer_send(&plain, &phone.number, "a table?").await.unwrap();
    let device = network.scan(&phone.number, &stage.dashboard.qr(TENANT).await.unwrap()).await.unwrap();
    until(LIMIT, "the pairing", || stage.dashboard.is_connected(TENANT)).await.unwrap();
    network.phone_history(&phone.number, device).await.unwrap();
    let expiration = async |customer: &str, n: usize| {
        let id = stage.dashboard.send(TENANT, customer, "for how many?", &format!("{customer} {n}")).await.unwrap();
        let inbox = || async { network.customer_inbox(customer).await.unwrap() };
        let arrived = || async { inbox().await.iter().any(|received| received.id == id) };
        until(LIMIT, "the message", arrived).await.unwrap();
        let received = inbox().await.into_iter().find(|received| received.id == id).unwrap();
        received.fields.pointer("/context_info/expiration").cloned().unwrap_or_default()
    };
    let tries = std::cell::Cell::new(0);
    let followed = async || {
        tries.set(tries.get() + 1);
        expiration(&timed, tries.get()).await == json!(WEEK)
    };
    until(LIMIT, "the timer", followed).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    assert_eq!(expiration(&plain, 0).await, Value::Null);
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_sets_the_timer_and_reads_the_answer() {
    let Some(folder) = program("baileys") else { return };
    let mut scene = MediaScene::new().await;
    let phone = scene.stage.network.add_phone(Some("Guest".into())).await;
    let mut guest = Client::paired(&folder, "7", &scene.stage.network, &phone.number).await;
    scene.customer.clone_from(&phone.number);
    let chat = format!("{}@s.whatsapp.net", scene.tenant.number);
    let setting = json!({ "disappearingMessagesInChat": WEEK });
    let (id, _) = guest.send_content(&chat, &setting, &json!({})).await;
    assert_eq!(scene.seen(&id).await["content"], json!({ "kind": "timer", "seconds": WEEK }));
    let (id, _) = guest.send_content(&chat, &json!({ "text": "two" }), &json!({ "ephemeralExpiration": WEEK })).await;
    scene.seen(&id).await;
    assert_timer(&scene, json!(WEEK)).await;
    let seen = guest.message(&text(&scene, "at eight?").await).await;
    assert_eq!(seen.pointer("/content/contextInfo/expiration"), Some(&json!(WEEK)), "{seen:#}");
    guest.end().await;
    scene.end_after(2).await;
}
