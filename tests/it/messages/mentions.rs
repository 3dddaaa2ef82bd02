//! Whom a message mentions: people, and all of a group; in texts, answers, captions and edits.

use loopback::Say;
use reqwest::Method;
use serde_json::{Value, json};
use whatsapp_rust::{buffa::MessageField, waproto::whatsapp as wa};

use crate::{
    messages::media::{MediaScene, PDF, TENANT, base64, file, form, picture},
    support::stage::LIMIT,
};

/// WhatsApp's id of an accepted message of a group, where WAHA's ends in who wrote it.
fn id_of(answer: &Value) -> &str {
    answer["id"].as_str().and_then(|id| id.split('_').nth(2)).unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_all_of_a_group_are_mentioned_wherever_words_are() {
    let scene = MediaScene::new().await;
    let network = &scene.stage.network;
    let group = network.create_group(&scene.customer, "Mesa 4", &[&scene.tenant.number]).await.unwrap().jid;
    let mentions = json!(["all", format!("{}@c.us", scene.customer)]);
    let person = json!([format!("{}@s.whatsapp.net", scene.customer)]);
    let ask = async |method: Method, path: &str, body: Value| {
        let answer = scene.ask(method, path).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let is_named = async |id: &str, context: &str| {
        let received = scene.arrived(id).await;
        let of = |field: &str| received.fields.pointer(&format!("{context}/{field}")).cloned();
        let (people, all) = (of("mentioned_jid"), of("non_jid_mentions"));
        assert_eq!((people.as_ref(), all), (Some(&person), Some(json!(1))), "{:#}", received.fields);
    };

    let text = json!({ "session": TENANT, "chatId": group, "text": "@all, the table is ready", "mentions": mentions });
    let (status, first) = ask(Method::POST, "/api/sendText", text.clone()).await;
    assert_eq!(status, 201, "{first}");
    is_named(id_of(&first), "/context_info").await;
    // An answer quotes, and mentions all the same.
    let mut answer = text.clone();
    answer["reply_to"] = first["id"].clone();
    let (status, answer) = ask(Method::POST, "/api/sendText", answer).await;
    assert_eq!(status, 201, "{answer}");
    is_named(id_of(&answer), "/context_info").await;
    assert_eq!(scene.arrived(id_of(&answer)).await.about.as_deref(), Some(id_of(&first)));

    let image = json!({ "mimetype": "image/png", "data": base64(&picture(30, 30)) });
    let image = json!({ "session": TENANT, "chatId": group, "file": image, "caption": "@all", "mentions": mentions });
    let (status, image) = ask(Method::POST, "/api/sendImage", image).await;
    assert_eq!(status, 201, "{image}");
    is_named(id_of(&image), "/context_info").await;
    let named = format!("{}@c.us", scene.customer);
    let fields =
        [("session", TENANT), ("chatId", &group), ("caption", "@all"), ("mentions", "all"), ("mentions", &named)];
    let (kind, body) = form(&fields, "menu.pdf", "application/pdf", &file(PDF, 900));
    let document =
        scene.ask(Method::POST, "/api/sendFile").header("content-type", kind).body(body).send().await.unwrap();
    let document: Value = document.json().await.unwrap();
    is_named(id_of(&document), "/context_info").await;

    let path = format!("/api/{TENANT}/chats/{group}/messages/{}", id_of(&first));
    let edit = json!({ "text": "@all, the table is taken", "mentions": mentions });
    let (status, edit) = ask(Method::PUT, &path, edit).await;
    assert_eq!(status, 200, "{edit}");
    is_named(id_of(&edit), "/edited_message/extended_text_message/context_info").await;

    // Whoever reads it is told of all, too; of a member's message as well.
    let told = async |id: &str| {
        let path = format!("/api/{TENANT}/chats/{group}/messages/{id}");
        scene.get(&path).await.json::<Value>().await.unwrap()["_data"]["mentionedIds"].take()
    };
    assert_eq!(told(id_of(&first)).await, json!([format!("{}@c.us", scene.customer), "all"]));
    let context = wa::ContextInfo { non_jid_mentions: Some(1), ..Default::default() };
    let asked = wa::message::ExtendedTextMessage {
        text: Some("@all, who drinks wine?".into()),
        context_info: MessageField::some(context),
        ..Default::default()
    };
    let message = wa::Message { extended_text_message: MessageField::some(asked), ..Default::default() };
    let say = Say::Raw { message: Box::new(message) };
    let asked = network.customer_send(&scene.customer, &group, say).await.unwrap();
    scene.seen(&asked).await;
    assert_eq!(told(&asked).await, json!(["all"]));

    // A reaction to a member's message whose id does not say who wrote it.
    let said = network.customer_send(&scene.customer, &group, "and the wine?").await.unwrap();
    let path = format!("/api/baileys/messages?tenantId={TENANT}&chatId={group}&limit=1");
    let came = async || scene.get(&path).await.json::<Value>().await.unwrap()["messages"][0]["id"] == json!(said);
    sessiond::demo::until(LIMIT, "the member's word", came).await.unwrap();
    let like = |id: &str| json!({ "session": TENANT, "messageId": format!("false_{group}_{id}"), "reaction": "👍" });
    let (status, liked) = ask(Method::PUT, "/api/reaction", like(&said)).await;
    assert_eq!(status, 200, "{liked}");
    let liked = scene.arrived(id_of(&liked)).await;
    let author = liked.fields.pointer("/key/participant").and_then(Value::as_str);
    assert!(author.is_some_and(|author| !author.ends_with("@g.us")), "{:#}", liked.fields);
    let (status, refused) = ask(Method::PUT, "/api/reaction", like("3EB0000000000000000000")).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (400, &json!("messageId")), "{refused}");
    // A group is nobody.
    let mut refused = text.clone();
    refused["mentions"] = json!([group]);
    let (status, refused) = ask(Method::POST, "/api/sendText", refused).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (400, &json!("mentions")), "{refused}");
    // A chat with a person has no "all".
    let mut refused = text;
    refused["chatId"] = json!(format!("{}@c.us", scene.customer));
    let (status, refused) = ask(Method::POST, "/api/sendText", refused).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (400, &json!("mentions")), "{refused}");
    scene.end().await;
}
