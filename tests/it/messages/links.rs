//! Links with what is shown of where they lead, and buttons that are chosen: as a tenant sends them, and as customers and both
//! versions of Baileys do.

use loopback::{Fault, FaultKind, Say};
use reqwest::Method;
use serde_json::{Value, json};
use sessiond::demo::until;
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{self as wa, hydrated_template_button as hydrated, message as kinds},
};

use crate::{
    contracts::waha,
    messages::media::{MediaScene, PDF, Shop, TENANT, bare, base64, picture},
    support::{driver::Client, node::program, stage::LIMIT},
};

const PATH: &str = "/api/send/link-custom-preview";
const URL: &str = "https://example.com/menu";

fn body(image: Value) -> Value {
    let preview = json!({ "url": URL, "title": "La Trattoria", "description": "Fresh\npasta", "image": image });
    json!({ "text": format!("ours: {URL} !"), "preview": preview })
}

fn shown() -> Value {
    json!({ "url": URL, "title": "La Trattoria", "description": "Fresh\npasta" })
}

/// Sends over WAHA's route under a key.
async fn keyed(scene: &MediaScene, key: &str, mut body: Value) -> (u16, Value) {
    body["session"] = json!(TENANT);
    body["chatId"] = json!(format!("{}@c.us", scene.customer));
    let answer = scene.ask(Method::POST, PATH).header("idempotency-key", key).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_what_its_sender_says_once() {
    let shop = Shop::open().await;
    let mut scene = MediaScene::with(|stage| stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1")).await;
    let network = scene.stage.network.clone();
    let menu = shop.offer("/menu.png", picture(640, 320));
    let by_url = body(json!({ "url": shop.url("/moved") }));
    let (status, sent) = keyed(&scene, "menu", by_url.clone()).await;
    assert_eq!((status, &sent["_data"]["content"]["preview"]), (201, &shown()), "{sent}");
    let large = scene.arrived(&bare(&sent)).await;
    assert_eq!(large.text.as_deref(), Some("ours: https://example.com/menu !"));
    for (field, value) in [
        ("matched_text", json!(URL)),
        ("title", json!("La Trattoria")),
        ("description", json!("Fresh\npasta")),
        ("thumbnail_width", json!(640)),
        ("thumbnail_height", json!(320)),
    ] {
        assert_eq!(large.fields[field], value, "{field}: {large:?}");
    }
    // Its dashboards see it too, and who asks for the chat.
    assert_eq!(scene.seen(&large.id).await["content"]["preview"], shown());
    assert_eq!(large.file.expect("WhatsApp has the picture").data, menu);

    // Repeated after the daemon died and its disk was lost, when the picture is another: the first goes, and once.
    let uploads = network.stats().await.counts.media_uploads;
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "the login", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
    let (status, again) = keyed(&scene, "menu", by_url.clone()).await;
    assert_eq!((status, &again["id"], &again["body"]), (201, &sent["id"], &sent["body"]), "{again}");
    let mut other = by_url;
    other["preview"]["title"] = json!("Another");
    let (status, refused) = keyed(&scene, "menu", other).await;
    assert_eq!((status, &refused["code"]), (422, &json!("idempotency_key_reused")), "{refused}");

    // Small: nothing is uploaded. Without a picture, in answer to a message.
    let mut small = body(json!({ "data": base64(&picture(64, 64)) }));
    small["linkPreviewHighQuality"] = json!(false);
    let (status, sent) = scene.post(PATH, small).await;
    assert_eq!(status.as_u16(), 201, "{sent}");
    let arrived = scene.arrived(&bare(&sent)).await;
    assert_eq!((arrived.file.is_none(), &arrived.fields["thumbnail_direct_path"]), (true, &Value::Null), "{arrived:?}");
    assert_eq!(network.stats().await.counts.media_uploads, uploads);
    let question = network.customer_send(&scene.customer, &scene.tenant.number, "the menu?").await.unwrap();
    scene.seen(&question).await;
    let mut bare_link = body(Value::Null);
    bare_link["reply_to"] = json!(question);
    let (_, sent) = scene.post(PATH, bare_link).await;
    let answer = scene.arrived(&bare(&sent)).await;
    assert_eq!((answer.about.as_ref(), &answer.fields["title"]), (Some(&question), &json!("La Trattoria")));

    // WhatsApp's hosts are down: the message goes all the same.
    network.fault(Fault::new(FaultKind::MediaDown)).await.unwrap();
    let (status, sent) = scene.post(PATH, body(json!({ "data": base64(&picture(64, 64)) }))).await;
    assert_eq!(status.as_u16(), 201, "{sent}");
    assert!(scene.arrived(&bare(&sent)).await.file.is_none());
    network.clear_faults().await;

    let (status, sent) = scene.post("/api/sendLinkPreview", json!({ "url": URL, "title": "La Trattoria" })).await;
    assert_eq!(status.as_u16(), 201, "{sent}");
    let titled = scene.arrived(&bare(&sent)).await;
    assert_eq!(titled.text.as_deref(), Some("La Trattoria\nhttps://example.com/menu"));
    assert_eq!((&titled.fields["matched_text"], &titled.fields["title"]), (&json!(URL), &json!("La Trattoria")));

    // A plain text has none, and nothing was fetched for it.
    let (_, sent) = scene.post("/api/sendText", json!({ "text": shop.url("/menu.png"), "linkPreview": true })).await;
    let plain = scene.arrived(&bare(&sent)).await;
    assert_eq!((&plain.fields["title"], &sent["_data"]["content"]["preview"]), (&Value::Null, &Value::Null));

    // What customers show of theirs.
    let linked = kinds::ExtendedTextMessage {
        text: Some(format!("yours? {URL}")),
        matched_text: Some(URL.into()),
        title: Some("La Trattoria".into()),
        description: Some("Fresh\npasta".into()),
        jpeg_thumbnail: Some(vec![7; 50_000]),
        ..Default::default()
    };
    let linked = wa::Message { extended_text_message: MessageField::some(linked), ..Default::default() };
    let say = Say::Raw { message: Box::new(linked) };
    let id = network.customer_send(&scene.customer, &scene.tenant.number, say).await.unwrap();
    let content = scene.seen(&id).await["content"].take();
    assert_eq!(content, json!({ "kind": "text", "text": format!("yours? {URL}"), "preview": shown() }));
    // What had no ack in the vault when the daemon died may have come again, under its id.
    assert_eq!(network.customer_inbox(&scene.customer).await.unwrap().len(), 6);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_preview_is_refused() {
    let shop = Shop::open().await;
    let scene = MediaScene::with(|stage| {
        stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32").set("SESSIOND_MEDIA__FETCH_TIMEOUT", "5s")
    });
    let scene = scene.await;
    shop.offer("/menu.pdf", PDF.to_vec());
    let mut bomb = picture(1, 1);
    bomb[16..20].copy_from_slice(&25_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&25_000_u32.to_be_bytes());
    let with = |field: &str, value: Value| {
        let mut body = body(Value::Null);
        match field.split_once('.') {
            Some((_, inner)) => body["preview"][inner] = value,
            None => body[field] = value,
        }
        body
    };
    let linking = |url: &str| {
        let mut body = with("preview.url", json!(url));
        body["text"] = json!(format!("see {url}"));
        body
    };
    let image = |image: Value| body(image);
    let cases = [
        (with("preview", Value::Null), 400, "preview"),
        (with("preview", json!([URL, "a", "b"])), 400, "preview"),
        (with("text", json!("no link")), 400, "text"),
        (with("text", json!("")), 400, "text"),
        (with("text", json!(format!("{URL} {}", "x".repeat(70_000)))), 400, "text"),
        (with("preview.title", Value::Null), 400, "preview.title"),
        (with("preview.title", json!("two\nlines")), 400, "preview.title"),
        (with("preview.title", json!("x".repeat(2000))), 400, "preview.title"),
        (with("preview.description", json!("x".repeat(5000))), 400, "preview.description"),
        (linking(""), 400, "preview.url"),
        (linking("javascript:alert(1)"), 400, "preview.url"),
        (linking("https://exa\nmple.com/"), 400, "preview.url"),
        (linking("https://example.com/a b"), 400, "preview.url"),
        (linking(&format!("https://example.com/{}", "x".repeat(3000))), 400, "preview.url"),
        (image(json!({ "data": "%%%" })), 400, "preview.image.data"),
        (image(json!({ "data": "AAAA", "url": URL })), 400, "preview.image.data"),
        (image(json!({ "data": base64(b"<svg onload=x()>") })), 400, "preview.image"),
        (image(json!({ "data": base64(&bomb) })), 400, "preview.image"),
        (image(json!({ "data": "A".repeat(900_000) })), 413, ""),
        (image(json!({ "url": "file:///etc/passwd" })), 400, "preview.image.url"),
        (image(json!({ "url": "http://169.254.169.254/latest/meta-data/" })), 400, "preview.image.url"),
        (image(json!({ "url": shop.url("/menu.pdf") })), 400, "preview.image"),
        (image(json!({ "url": shop.url("/inside") })), 422, ""),
        (image(json!({ "url": shop.url("/missing") })), 422, ""),
        (image(json!({ "url": shop.url("/endless") })), 413, ""),
        (image(json!({ "url": shop.url("/silent") })), 422, ""),
    ];
    for (body, status, field) in cases {
        let (found, answer) = scene.post(PATH, body.clone()).await;
        let told: String = body.to_string().chars().take(200).collect();
        let at = answer["errors"][0]["field"].as_str().unwrap_or_default();
        assert_eq!((found.as_u16(), at), (status, field), "{told}: {answer}");
    }
    let (status, answer) = scene.post("/api/sendLinkPreview", json!({ "url": "x", "title": "y" })).await;
    assert_eq!((status.as_u16(), &answer["errors"][0]["field"]), (400, &json!("url")), "{answer}");
    assert_eq!(scene.stage.network.customer_inbox(&scene.customer).await.unwrap().len(), 0, "nothing was sent");
    assert_eq!(scene.stage.network.stats().await.counts.media_uploads, 0);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_shows_links_as_we_do() {
    baileys_shows_links("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_shows_links_as_we_do() {
    baileys_shows_links("7").await;
}

/// What Baileys makes of a preview, and what we make of the same, have the same fields.
async fn baileys_shows_links(version: &str) {
    let Some(folder) = program("baileys") else { return };
    let scene = MediaScene::new().await;
    let phone = scene.stage.network.add_phone(Some("Guest".into())).await;
    let mut guest = Client::paired(&folder, version, &scene.stage.network, &phone.number).await;
    let text = format!("ours: {URL} !");
    let info = json!({
        "canonical-url": URL, "matched-text": URL, "title": "La Trattoria", "description": "Fresh\npasta",
        "jpegThumbnail": { "$base64": base64(&[7; 900]) },
    });
    let chat = format!("{}@s.whatsapp.net", scene.tenant.number);
    let (id, _) = guest.send_content(&chat, &json!({ "text": text, "linkPreview": info }), &json!({})).await;
    let content = scene.seen(&id).await["content"].take();
    assert_eq!(content, json!({ "kind": "text", "text": text, "preview": shown() }));
    let theirs = guest.message(&id).await["content"].take();

    let mut body = body(json!({ "data": base64(&picture(640, 320)) }));
    body["session"] = json!(TENANT);
    body["chatId"] = json!(format!("{}@c.us", phone.number));
    let answer = scene.ask(Method::POST, PATH).json(&body).send().await.unwrap().json::<Value>().await.unwrap();
    let ours = guest.message(&bare(&answer)).await["content"].take();
    for field in ["text", "matchedText", "title", "description"] {
        assert_eq!(ours[field], theirs[field], "{field}: {ours} {theirs}");
    }
    // One of its own it shows by the number, one that came in by the name.
    let none = |kind: &Value| *kind == json!(0) || *kind == json!("NONE");
    assert!(none(&ours["previewType"]) && none(&theirs["previewType"]), "{ours} {theirs}");
    let thumbnail = ours["jpegThumbnail"]["$base64"].as_str().or(ours["jpegThumbnail"].as_str()).expect("a thumbnail");
    assert!(thumbnail.starts_with("/9j/"), "a JPEG: {thumbnail}");
    for field in ["thumbnailDirectPath", "thumbnailSha256", "thumbnailEncSha256", "mediaKey", "mediaKeyTimestamp"] {
        assert!(!ours[field].is_null(), "{field}: {ours}");
    }
    guest.end().await;
    scene.end_after(2).await;
}

/// Yes and no, as the business API's older and newer messages have them, and its lists.
fn asking() -> [wa::Message; 3] {
    let button = |id: &str| kinds::buttons_message::Button {
        button_id: Some(id.into()),
        button_text: MessageField::some(kinds::buttons_message::button::ButtonText { display_text: Some(id.into()) }),
        ..Default::default()
    };
    let buttons = kinds::ButtonsMessage {
        content_text: Some("At eight?".into()),
        buttons: vec![button("yes"), button("no")],
        ..Default::default()
    };
    let reply = |index: u32, id: &str| wa::HydratedTemplateButton {
        index: Some(index),
        hydrated_button: Some(hydrated::HydratedButton::QuickReplyButton(Box::new(
            hydrated::HydratedQuickReplyButton { display_text: Some(id.into()), id: Some(id.into()) },
        ))),
    };
    let template = kinds::template_message::HydratedFourRowTemplate {
        hydrated_content_text: Some("At eight?".into()),
        hydrated_buttons: vec![reply(1, "yes"), reply(2, "no")],
        ..Default::default()
    };
    let template = kinds::TemplateMessage { hydrated_template: MessageField::some(template), ..Default::default() };
    let row = |id: &str| kinds::list_message::Row {
        row_id: Some(id.into()),
        title: Some(id.into()),
        description: Some("at once".into()),
    };
    let section = kinds::list_message::Section { rows: vec![row("yes"), row("no")], ..Default::default() };
    let list = kinds::ListMessage { title: Some("At eight?".into()), sections: vec![section], ..Default::default() };
    [
        wa::Message { buttons_message: MessageField::some(buttons), ..Default::default() },
        wa::Message { template_message: MessageField::some(template), ..Default::default() },
        wa::Message { list_message: MessageField::some(list), ..Default::default() },
    ]
}

/// WAHA's client, of what somebody asks with buttons.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_sends_links_and_chooses_buttons() {
    let Some(mut scene) = waha::paired().await else { return };
    let (session, chat) = (json!(TENANT), json!(scene.chat()));
    let preview = json!({ "url": URL, "title": "La Trattoria", "description": "Fresh\npasta" });
    let link = json!([{ "session": session, "chatId": chat, "text": format!("{URL}!"), "preview": preview }]);
    let link = scene.waha.get_as("chatting.send_link_custom_preview", link, "WAMessage").await;
    assert_eq!(scene.arrived(&link).await.fields["title"], json!("La Trattoria"));
    let link = json!([{ "session": session, "chatId": chat, "url": URL, "title": "Ours", "id": "ABCDEF0123456789" }]);
    let link = scene.waha.get_as("chatting.send_link_preview_deprecated", link, "WAMessage").await;
    assert_eq!(scene.arrived(&link).await.fields["title"], json!("Ours"));

    let mut asked = Vec::new();
    for message in asking() {
        let say = Say::Raw { message: Box::new(message) };
        let id = scene.stage.network.customer_send(&scene.customer, &scene.number, say).await.unwrap();
        asked.push(format!("false_{}_{id}", scene.chat()));
    }
    let history = format!("/api/{TENANT}/chats/{}/messages?limit=3", scene.chat());
    let shown = || async {
        let shown = scene.stage.dashboard.get(&history).await;
        shown.is_ok_and(|shown| shown.body[0]["id"] == json!(asked[2]))
    };
    until(LIMIT, "the questions", shown).await.unwrap();
    let choices = json!([{ "id": "yes", "text": "yes" }, { "id": "no", "text": "no" }]);
    for shown in scene.stage.dashboard.get(&history).await.unwrap().body.as_array().unwrap() {
        assert_eq!(shown["_data"]["content"]["choices"], choices, "{shown}");
    }
    let choice = |of: &str, button: &str| {
        json!([{
            "session": session, "chatId": chat, "replyTo": of, "selectedDisplayText": "Yes", "selectedButtonID": button,
        }])
    };
    for (of, kind, id) in [
        (&asked[0], "buttons_response", "/selected_button_id"),
        (&asked[1], "template_button_reply", "/selected_id"),
        (&asked[2], "list_response", "/single_select_reply/selected_row_id"),
    ] {
        let sent = scene.waha.get("chatting.send_buttons_reply", choice(of, "yes")).await;
        let arrived = scene.arrived(&sent).await;
        assert_eq!((arrived.kind.as_str(), arrived.fields.pointer(id)), (kind, Some(&json!("yes"))), "{arrived:?}");
        assert_eq!(arrived.about.as_deref(), of.rsplit('_').next(), "{arrived:?}");
        if kind == "template_button_reply" {
            assert_eq!(arrived.fields["selected_index"], json!(1), "{arrived:?}");
        }
        let other = scene.waha.call("chatting.send_buttons_reply", choice(of, "maybe")).await.unwrap_err();
        assert!(other.contains("400"), "{other}");
    }
    let link = link["id"].as_str().unwrap();
    for (of, status) in [(link, "400"), ("", "400"), ("3EB0NONE", "404")] {
        let refused = scene.waha.call("chatting.send_buttons_reply", choice(of, "yes")).await.unwrap_err();
        assert!(refused.contains(status), "{of}: {refused}");
    }
    scene.daemon.kill().await.unwrap();
}
