//! Texts of WhatsApp's own length, cards with names and numbers, files under the names that people gave them.

use loopback::{Card, Say};
use reqwest::header::CONTENT_DISPOSITION;
use serde_json::{Value, json};

use crate::messages::media::{MediaScene, PDF, Shop, base64, file, picture};

fn id_of(answer: &Value) -> &str {
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).rsplit('_').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_in_characters() {
    let scene = MediaScene::new().await;
    let document = |caption: &str| {
        let data = base64(&file(PDF, 300));
        json!({ "file": { "mimetype": "application/pdf", "filename": "a.pdf", "data": data }, "caption": caption })
    };
    for letter in ["a", "ñ", "🍕"] {
        let longest = letter.repeat(65_536);
        let (status, answer) = scene.post("/api/sendText", json!({ "text": longest })).await;
        assert_eq!(status, 201, "{letter}: {}", answer["error"]);
        assert_eq!(scene.arrived(id_of(&answer)).await.text, Some(longest.clone()), "{letter}");
        let (status, answer) = scene.post("/api/sendText", json!({ "text": format!("{longest}a") })).await;
        assert_eq!((status.as_u16(), &answer["errors"][0]["field"]), (400, &json!("text")), "{letter}");
        let (status, answer) = scene.post("/api/sendFile", document(&longest)).await;
        assert_eq!(status, 201, "{letter}: {}", answer["error"]);
        let (status, answer) = scene.post("/api/sendFile", document(&format!("{longest}a"))).await;
        assert_eq!((status.as_u16(), &answer["errors"][0]["field"]), (400, &json!("caption")), "{letter}");
        let poll = |name: usize, option: usize| {
            let options = [letter.repeat(option), "no".into()];
            json!({ "poll": { "name": letter.repeat(name), "options": options } })
        };
        for (poll, expected) in [(poll(255, 100), 201), (poll(256, 100), 400), (poll(255, 101), 400)] {
            let (status, answer) = scene.post("/api/sendPoll", poll).await;
            assert_eq!(status, expected, "{letter}: {}", answer["error"]);
        }
    }
    // As clients write it whose JSON has plain characters only.
    let text = "🍕".repeat(65_536);
    let escaped = format!(
        r#"{{"session":"{}","chatId":"{}@c.us","text":"{}"}}"#,
        scene.tenant.tenant,
        scene.customer,
        "\\ud83c\\udf55".repeat(65_536)
    );
    let request = scene.ask(reqwest::Method::POST, "/api/sendText").header("content-type", "application/json");
    let answer: Value = request.body(escaped).send().await.unwrap().json().await.unwrap();
    assert_eq!(scene.arrived(id_of(&answer)).await.text, Some(text));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_have_names_and_numbers_that_can_be_dialed() {
    let scene = MediaScene::new().await;
    // A Colombian tenant.
    for (phone, expected) in [
        ("300 111 2233", "waid=573001112233:+573001112233"),
        ("+57 300 111 2233", "waid=573001112233:+57 300 111 2233"),
        ("+1 212 555 0123", "waid=12125550123:+1 212 555 0123"),
    ] {
        let body = json!({ "contacts": [{ "fullName": "Ana; Gómez", "phoneNumber": phone }] });
        let (status, answer) = scene.post("/api/sendContactVcard", body).await;
        assert_eq!(status, 201, "{answer}");
        let received = scene.arrived(id_of(&answer)).await;
        let vcard = received.fields["vcard"].as_str().unwrap();
        assert!(vcard.contains(expected) && vcard.contains("FN:Ana\\; Gómez"), "{phone}: {vcard}");
    }
    let cards = [
        ("FN;CHARSET=UTF-8:Ana", "Ana"),
        ("N:Gómez;Ana;;;", "Ana Gómez"),
        ("item1.FN:Ana\nN:;;;;", "Ana"),
        ("FN;ENCODING=QUOTED-PRINTABLE:=41na =47=C3=B3mez", "Ana Gómez"),
    ];
    for (properties, name) in cards {
        let vcard =
            format!("BEGIN:VCARD\nVERSION:2.1\n{properties}\nTEL;waid=573001112233:+57 300 111 2233\nEND:VCARD");
        let body = json!({ "contacts": [{ "vcard": vcard }] });
        let (_, answer) = scene.post("/api/sendContactVcard", body).await;
        let received = scene.arrived(id_of(&answer)).await;
        assert_eq!(received.fields["display_name"], json!(name), "{received:?}");
        // A customer's, whose app leaves the name to the card.
        let say = Say::Contact(Card { name: String::new(), vcard });
        let network = &scene.stage.network;
        let id = network.customer_send(&scene.customer, &scene.tenant.number, say).await.unwrap();
        assert_eq!(scene.seen(&id).await["content"]["contacts"][0]["name"], json!(name));
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_their_names() {
    let shop = Shop::open().await;
    let scene = MediaScene::with(|stage| stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1")).await;
    // In.
    for (name, expected) in [
        ("Menú de hoy.pdf", "attachment; filename=\"Men_ de hoy.pdf\"; filename*=UTF-8''Men%C3%BA%20de%20hoy.pdf"),
        ("../../etc/passwd", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd"),
        ("a\u{202e}fdp.exe\"\r\nx", "attachment; filename=\"afdp.exe_x\"; filename*=UTF-8''afdp.exe_x"),
    ] {
        for caption in [None, Some("ours")] {
            let say = Say::document(name, file(PDF, 200));
            let say = if let Some(caption) = caption { say.caption(caption) } else { say };
            let url = scene.receive(say).await;
            let answer = scene.get(&url).await;
            assert_eq!(answer.headers()[CONTENT_DISPOSITION], expected, "{name:?}");
        }
    }
    let url = scene.receive(Say::image(picture(20, 20)).mimetype("image/png")).await;
    let shown = scene.get(&url).await.headers()[CONTENT_DISPOSITION].to_str().unwrap().to_owned();
    assert!(shown.starts_with("inline; filename=\"") && !shown.contains("filename*"), "{shown}");

    // Out, by URL.
    shop.offer("/a/Men%C3%BA%20de%20hoy.pdf", file(PDF, 300));
    shop.offer("/prices.csv", b"a,b\n1,2\n".to_vec());
    shop.offer("/download", file(PDF, 300));
    for (path, name, mime) in [
        ("/a/Men%C3%BA%20de%20hoy.pdf?v=1", "Menú de hoy.pdf", "application/pdf"),
        ("/prices.csv", "prices.csv", "text/csv"),
        ("/download", "download.pdf", "application/pdf"),
    ] {
        let (id, url) = scene.sent("/api/sendFile", json!({ "file": { "url": shop.url(path) } })).await;
        let received = scene.arrived(&id).await;
        assert_eq!(
            (&received.fields["file_name"], received.file.as_ref().unwrap().mimetype.as_deref()),
            (&json!(name), Some(mime))
        );
        let disposition = scene.get(&url).await.headers()[CONTENT_DISPOSITION].to_str().unwrap().to_owned();
        assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
        let body = json!({
            "tenantId": scene.tenant.tenant, "to": scene.customer, "text": "ours", "type": "document",
            "mediaUrl": shop.url(path),
        });
        let answer = scene.stage.dashboard.post("/api/baileys/send", body).await.unwrap();
        let received = scene.arrived(answer.body["messageId"].as_str().unwrap_or_else(|| panic!("{answer:?}"))).await;
        assert_eq!(received.fields["file_name"], json!(name));
    }
    // What the consumer says counts more.
    let given = json!({ "url": shop.url("/prices.csv"), "filename": "Precios.csv" });
    let (id, _) = scene.sent("/api/sendFile", json!({ "file": given })).await;
    assert_eq!(scene.arrived(&id).await.fields["file_name"], json!("Precios.csv"));
    let (id, _) = scene.sent("/api/sendFile", json!({ "file": { "data": base64(&file(PDF, 300)) } })).await;
    assert_eq!(scene.arrived(&id).await.fields["file_name"], json!("file.pdf"));
    scene.end().await;
}
