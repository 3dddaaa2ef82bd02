//! Edits, as phones take them: in the form of what they edit, and in time. What a customer edits keeps its file.

use loopback::Say;
use reqwest::Method;
use serde_json::{Value, json};
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        self as wa,
        message::{ProtocolMessage, protocol_message::Type},
    },
};

use crate::{
    messages::media::{MP4, MediaScene, PDF, TENANT, base64, file, picture},
    support::{driver::Client, node::program, stage::LIMIT},
};

/// The answer to an edit of a message in the chat with somebody.
async fn edit(scene: &MediaScene, customer: &str, id: &str, text: &str, key: &str) -> (u16, Value) {
    let path = format!("/api/{TENANT}/chats/{customer}@c.us/messages/true_{customer}@c.us_{id}");
    let request = scene.ask(Method::PUT, &path).header("Idempotency-Key", key).json(&json!({ "text": text }));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn listed(scene: &MediaScene, id: &str) -> Value {
    let path = format!("/api/baileys/messages?tenantId={TENANT}&chatId={}", scene.customer);
    let page: Value = scene.get(&path).await.json().await.unwrap();
    let of_it = |message: &&Value| message["id"] == json!(id);
    page["messages"].as_array().unwrap().iter().find(of_it).unwrap_or_else(|| panic!("{page:#}")).clone()
}

/// WhatsApp's id of an accepted answer.
fn id_of(answer: &Value) -> String {
    answer["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_caption_is_one_that_phones_show() {
    let scene = MediaScene::new().await;
    let files = [
        ("/api/sendImage", "image/png", picture(30, 30), "image"),
        ("/api/sendVideo", "video/mp4", file(MP4, 900), "video"),
        ("/api/sendFile", "application/pdf", file(PDF, 900), "document"),
    ];
    for (path, mime, data, kind) in files {
        let name = if kind == "document" { json!("menu.pdf") } else { Value::Null };
        let body = json!({ "mimetype": mime, "filename": name, "data": base64(&data) });
        let (id, _) = scene.sent(path, json!({ "file": body, "caption": "Margerita" })).await;
        scene.arrived(&id).await;
        let before = listed(&scene, &id).await["content"].take();
        let (status, answer) = edit(&scene, &scene.customer, &id, "Margherita", &format!("{kind} 1")).await;
        assert_eq!(status, 200, "{answer}");
        // Without a problem: the customer's phone shows it.
        let received = scene.arrived(&id_of(&answer)).await;
        assert_eq!(
            (received.kind.as_str(), received.about.as_deref(), received.text.as_deref()),
            ("edit", Some(&*id), Some("Margherita")),
            "{received:#?}"
        );
        let mut expected = before.clone();
        expected["caption"] = json!("Margherita");
        let after = listed(&scene, &id).await;
        assert_eq!((&after["content"], &after["edited"]), (&expected, &json!(true)));
    }
    // A text is a text.
    let (_, answer) = scene.post("/api/sendText", json!({ "text": "at sevn" })).await;
    let id = id_of(&answer);
    scene.arrived(&id).await;
    let (_, answer) = edit(&scene, &scene.customer, &id, "at seven", "text").await;
    assert_eq!(scene.arrived(&id_of(&answer)).await.text.as_deref(), Some("at seven"));
    // Its chat is named, so that its bare id will do, as with WAHA.
    let path = format!("/api/{TENANT}/chats/{}@c.us/messages/{id}", scene.customer);
    let ask = async |method: Method, path: &str, body: Value| {
        scene.ask(method, path).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(Method::PUT, &path, json!({ "text": "at eight" })).await, 200);
    let is_eight = async || listed(&scene, &id).await["text"] == json!("at eight");
    sessiond::demo::until(LIMIT, "the edit", is_eight).await.unwrap();
    assert_eq!(ask(Method::POST, &format!("{path}/pin"), json!({ "duration": 86400 })).await, 201);
    let star =
        json!({ "session": TENANT, "chatId": format!("{}@c.us", scene.customer), "messageId": id, "star": true });
    assert_eq!(ask(Method::PUT, "/api/star", star).await, 200);
    assert_eq!(ask(Method::DELETE, &path, Value::Null).await, 200);
    let is_gone = async || scene.get(&path).await.json::<Value>().await.unwrap()["_data"]["revoked"] == json!(true);
    sessiond::demo::until(LIMIT, "the deletion", is_gone).await.unwrap();
    let nothing = format!("/api/{TENANT}/chats/{}@c.us/messages/3EB0000000000000000000", scene.customer);
    assert_eq!(ask(Method::DELETE, &nothing, Value::Null).await, 404);
    // Nor where the id says whose it would be.
    for from_me in [true, false] {
        let unknown = format!("{from_me}_{}@c.us_3EB0000000000000000000", scene.customer);
        let (chat, messages) = (
            format!("{}@c.us", scene.customer),
            format!("/api/{TENANT}/chats/{}@c.us/messages/{unknown}", scene.customer),
        );
        let named = json!({
            "session": TENANT, "chatId": chat, "messageId": unknown, "star": true, "reaction": "👍", "duration": 86400,
            "text": "x",
        });
        for (method, path) in [
            (Method::PUT, "/api/star".to_owned()),
            (Method::PUT, "/api/reaction".to_owned()),
            (Method::POST, "/api/forwardMessage".to_owned()),
            (Method::POST, format!("{messages}/pin")),
        ] {
            assert_eq!(ask(method.clone(), &path, named.clone()).await, 404, "{method} {path} {unknown}");
        }
        // What another wrote is nobody's to change, whether or not it is there.
        let expected = if from_me { 404 } else { 400 };
        for method in [Method::PUT, Method::DELETE] {
            assert_eq!(ask(method.clone(), &messages, named.clone()).await, expected, "{method} {unknown}");
        }
    }
    // And a place is a place.
    let (_, answer) = scene.post("/api/sendLocation", json!({ "latitude": 4.7, "longitude": -74.0 })).await;
    let (status, answer) = edit(&scene, &scene.customer, &id_of(&answer), "here", "place").await;
    assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("messageId")), "{answer}");
    let (status, answer) = edit(&scene, &scene.customer, "3EB0000000000000000000", "what?", "nothing").await;
    assert_eq!((status, &answer["code"]), (404, &json!("unknown_message")), "{answer}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_comes_too_late_is_refused() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_MESSAGES__EDIT_WINDOW", "6s")).await;
    let (_, answer) = scene.post("/api/sendText", json!({ "text": "at sevn" })).await;
    let id = id_of(&answer);
    scene.arrived(&id).await;
    let (status, first) = edit(&scene, &scene.customer, &id, "at seven", "first").await;
    assert_eq!(status, 200, "{first}");
    scene.arrived(&id_of(&first)).await;
    let late = async || edit(&scene, &scene.customer, &id, "at eight", "late").await.0 == 422;
    // Each try under that key before is the same edit.
    let began = std::time::Instant::now();
    let over = async || began.elapsed() > std::time::Duration::from_secs(7);
    sessiond::demo::until(LIMIT, "the end of the window", over).await.unwrap();
    assert!(late().await);
    let (status, answer) = edit(&scene, &scene.customer, &id, "at eight", "late").await;
    assert_eq!((status, &answer["code"]), (422, &json!("edit_too_late")), "{answer}");
    assert_eq!(listed(&scene, &id).await["text"], json!("at seven"));
    // What was accepted in time is answered as it was.
    let (status, again) = edit(&scene, &scene.customer, &id, "at seven", "first").await;
    assert_eq!((status, &again["id"]), (200, &first["id"]), "{again}");
    scene.end().await;
}

/// Accepted in time, and not sent in time: phones would ignore it.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_could_not_be_sent_in_time_has_failed() {
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_MESSAGES__EDIT_WINDOW", "6s")).await;
    let (_, answer) = scene.post("/api/sendText", json!({ "text": "at sevn" })).await;
    let id = id_of(&answer);
    // The window begins when WhatsApp has the message: an edit of one that still waits has as long as the message.
    let sent = |heard: &sessiond::demo::Heard| {
        heard.event == "message:status"
            && heard.payload["messageId"] == json!(id)
            && heard.payload["status"] != "failed"
    };
    scene.ear.until(LIMIT, |heard| heard.iter().any(sent)).await.unwrap();
    scene.stage.network.stop().await;
    let (status, answer) = edit(&scene, &scene.customer, &id, "at seven", "edit").await;
    assert_eq!(status, 200, "{answer}");
    let edited = id_of(&answer);
    let failed = |heard: &sessiond::demo::Heard| {
        heard.event == "message:status"
            && heard.payload["messageId"] == json!(edited)
            && heard.payload["status"] == "failed"
    };
    let waited = scene.ear.until(LIMIT, |heard| heard.iter().any(failed)).await;
    waited.unwrap_or_else(|error| panic!("{error}: {:#?}\n{}", scene.ear.heard(), scene.stage.log()));
    let told = scene.ear.heard().into_iter().find(failed).unwrap().payload["failure"].take();
    assert_eq!(told, json!({ "reason": "expired" }));
    scene.stage.network.resume().await.unwrap();
    let (_, answer) = scene.post("/api/sendText", json!({ "text": "bye" })).await;
    scene.arrived(&id_of(&answer)).await;
    let inbox = scene.stage.network.customer_inbox(&scene.customer).await.unwrap();
    assert!(inbox.iter().all(|received| received.id != edited), "{inbox:#?}");
    assert_eq!(listed(&scene, &id).await["text"], json!("at sevn"));
    scene.end().await;
}

/// Phones name the new caption, and nothing else of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_customers_edit_of_a_caption_keeps_the_file() {
    let scene = MediaScene::new().await;
    let network = &scene.stage.network;
    let data = picture(40, 20);
    let mut say = Say::image(data.clone()).caption("Margerita").mimetype("image/png");
    if let Say::Image(file) = &mut say {
        file.thumbnail = vec![7; 300];
    }
    let id = network.customer_send(&scene.customer, &scene.tenant.number, say).await.unwrap();
    let before = scene.seen(&id).await;
    let image = wa::message::ImageMessage { caption: Some("Margherita".into()), ..Default::default() };
    let key = wa::MessageKey {
        remote_jid: Some(format!("{}@s.whatsapp.net", scene.tenant.number)),
        from_me: Some(true),
        id: Some(id.clone()),
        ..Default::default()
    };
    let protocol = ProtocolMessage {
        key: MessageField::some(key),
        r#type: Some(Type::MESSAGE_EDIT),
        edited_message: MessageField::some(wa::Message {
            image_message: MessageField::some(image),
            ..Default::default()
        }),
        ..Default::default()
    };
    let edit = wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() };
    let say = Say::Raw { message: Box::new(edit) };
    let edit = network.customer_send(&scene.customer, &scene.tenant.number, say).await.unwrap();
    let told = scene.seen(&edit).await["content"].take();
    let mut expected = before["content"].clone();
    expected["caption"] = json!("Margherita");
    assert!(expected["thumbnail"].is_string() && expected["size"] == json!(data.len()), "{expected}");
    assert_eq!((&told["target"]["id"], &told["content"]), (&json!(id), &expected));
    let after = listed(&scene, &id).await;
    assert_eq!(
        (&after["content"], &after["edited"], &after["mediaUrl"]),
        (&expected, &json!(true), &before["mediaUrl"])
    );
    assert_eq!(scene.bytes(after["mediaUrl"].as_str().unwrap()).await, data);
    // Passed on, it says what it says now.
    let of_customer = format!("false_{}@c.us_{id}", scene.customer);
    let forward = json!({ "messageId": of_customer });
    let (status, answer) = scene.post("/api/forwardMessage", forward.clone()).await;
    assert!(status.is_success(), "{answer}");
    let passed = scene.arrived(&id_of(&answer)).await;
    assert_eq!((passed.kind.as_str(), &passed.fields["caption"]), ("image", &json!("Margherita")), "{passed:#?}");
    // What its author has deleted nobody passes on, quotes, pins or reacts to.
    let gone = network.customer_send(&scene.customer, &scene.tenant.number, Say::revoke(&id)).await.unwrap();
    scene.seen(&gone).await;
    let pin = format!("/api/{TENANT}/chats/{}@c.us/messages/{of_customer}/pin", scene.customer);
    let asked = [
        ("/api/forwardMessage", forward),
        ("/api/sendText", json!({ "text": "which one?", "reply_to": of_customer })),
        (pin.as_str(), json!({ "duration": 86400 })),
    ];
    for (path, body) in asked {
        let (status, answer) = scene.post(path, body).await;
        assert_eq!((status.as_u16(), &answer["code"]), (404, &json!("unknown_message")), "{path}: {answer}");
    }
    let react = async |emoji: &str| {
        let body = json!({ "session": TENANT, "messageId": of_customer, "reaction": emoji });
        let answer = scene.ask(Method::PUT, "/api/reaction").json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["code"].take())
    };
    assert_eq!(react("👍").await, (404, json!("unknown_message")));
    // To take one back harms nobody.
    assert_eq!(react("").await.0, 200);
    // Nor does anybody vote in a poll that is gone.
    let poll = Say::poll("Size?", &["L", "XL"], 1);
    let poll = network.customer_send(&scene.customer, &scene.tenant.number, poll).await.unwrap();
    scene.seen(&poll).await;
    let vote = json!({ "pollMessageId": poll, "votes": ["L"] });
    for votes in [json!(["L", "XL"]), json!(["M"])] {
        let refused = json!({ "pollMessageId": poll, "votes": votes });
        let (status, answer) = scene.post("/api/sendPollVote", refused).await;
        assert_eq!((status.as_u16(), &answer["errors"][0]["field"]), (400, &json!("votes")), "{answer}");
    }
    let (status, answer) = scene.post("/api/sendPollVote", vote.clone()).await;
    assert!(status.is_success(), "{answer}");
    // A list has who chose what.
    let path = format!("/api/{TENANT}/chats/{}@c.us/messages/{poll}", scene.customer);
    let shown = scene.get(&path).await.json::<Value>().await.unwrap()["_data"]["votes"].take();
    let own = format!("{}@c.us", scene.tenant.number);
    assert_eq!(shown, json!([{ "participant": own, "fromMe": true, "selectedOptions": ["L"] }]));
    let gone = network.customer_send(&scene.customer, &scene.tenant.number, Say::revoke(&poll)).await.unwrap();
    scene.seen(&gone).await;
    let (status, answer) = scene.post("/api/sendPollVote", vote).await;
    assert_eq!((status.as_u16(), &answer["code"]), (404, &json!("unknown_message")), "{answer}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_sees_the_new_caption() {
    let Some(folder) = program("baileys") else { return };
    let mut scene = MediaScene::new().await;
    let phone = scene.stage.network.add_phone(Some("Guest".into())).await;
    let mut guest = Client::paired(&folder, "7", &scene.stage.network, &phone.number).await;
    scene.customer.clone_from(&phone.number);
    let body = json!({ "file": { "mimetype": "image/png", "data": base64(&picture(30, 30)) }, "caption": "one" });
    let (id, _) = scene.sent("/api/sendImage", body).await;
    guest.message(&id).await;
    let (_, answer) = edit(&scene, &phone.number, &id, "two", "edit").await;
    let seen = guest.message(&id_of(&answer)).await;
    let edited = seen.pointer("/content/editedMessage/imageMessage");
    let edited = edited.unwrap_or_else(|| panic!("{seen:#}"));
    assert_eq!((&edited["caption"], &edited["mimetype"]), (&json!("two"), &json!("image/png")), "{seen:#}");
    guest.end().await;
    scene.end_after(2).await;
}
