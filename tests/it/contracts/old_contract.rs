//! The service that was replaced: its pages and dashboards work with this one as they are, but that they need a key.

use std::time::Duration;

use serde_json::{Value, json};
use sessiond::demo::until;
use tokio::time::sleep;

use crate::support::stage::{Home, LIMIT, Stage};

/// The connect page's own pause after it has cleaned the session.
const PAGE_PAUSE: Duration = Duration::from_secs(1);

/// The connect page's poll for the code.
const PAGE_POLL: Duration = Duration::from_secs(2);

/// Of a session that is linked.
const LEFT_ALONE: &str = "La sesión sigue vinculada: no se limpió nada";

async fn get(stage: &Stage, path: &str) -> Value {
    let answer = stage.dashboard.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

async fn post(stage: &Stage, path: &str, body: Value) -> Value {
    let answer = stage.dashboard.post(path, body).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// What the connect page does: status, clean, a pause, connect, then the code and the status until it is connected. Returns
/// what it shows when it is connected at once.
async fn open_the_connect_page(stage: &Stage, tenant: &str, scan: impl AsyncFn(&str)) {
    let status = get(stage, &format!("/api/baileys/status?tenantId={tenant}")).await;
    if status["connected"] == json!(true) {
        return;
    }
    let cleaned = post(stage, "/api/baileys/clean-session", json!({ "tenantId": tenant })).await;
    let said = ["Sesión limpiada exitosamente", LEFT_ALONE];
    assert!(cleaned["success"] == json!(true) && said.iter().any(|said| cleaned["message"] == *said), "{cleaned}");
    sleep(PAGE_PAUSE).await;
    let connecting = post(stage, "/api/baileys/connect", json!({ "tenantId": tenant })).await;
    assert_eq!(connecting["success"], json!(true), "{connecting}");
    let began = tokio::time::Instant::now();
    let mut scanned = false;
    while began.elapsed() < LIMIT {
        let shown = get(stage, &format!("/api/baileys/qr?tenantId={tenant}")).await;
        if shown["connected"] == json!(true) {
            assert_eq!(shown["message"], json!("Ya estás conectado"));
            return;
        }
        if let Some(qr) = shown["qr"].as_str()
            && !scanned
        {
            assert_eq!(qr.split(',').count(), 5, "a page draws the raw string");
            assert!(shown["expiresIn"].as_i64().unwrap() > 0, "{shown}");
            scan(qr).await;
            scanned = true;
        }
        sleep(PAGE_POLL).await;
    }
    panic!("the page never shows the connection\n{}", stage.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connect_page_pairs_with_its_real_timing() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let phone = stage.network.add_phone(Some("Trattoria".to_owned())).await;
    let scan = async |qr: &str| {
        stage.network.scan(&phone.number, qr).await.unwrap();
    };
    open_the_connect_page(&stage, "trattoria", scan).await;
    let status = get(&stage, "/api/baileys/status?tenantId=trattoria").await;
    assert_eq!((&status["connected"], &status["phoneNumber"]), (&json!(true), &json!(phone.number)));
    let profile = get(&stage, "/api/baileys/profile?tenantId=trattoria").await;
    assert_eq!((&profile["phoneNumber"], &profile["name"]), (&json!(phone.number), &json!("Trattoria")));
    assert_eq!(profile["profilePic"], Value::Null);
    stage.network.set_profile(&phone.number, None, Some(b"\xFF\xD8\xFFface".to_vec())).await.unwrap();
    let picture = stage.network.profile(&phone.number).await.unwrap().picture;
    let profile = get(&stage, "/api/baileys/profile?tenantId=trattoria").await;
    assert_eq!((picture.is_some(), &profile["profilePic"]), (true, &json!(picture)));
    let no_qr = stage.dashboard.get("/api/trattoria/auth/qr").await.unwrap();
    assert_eq!((no_qr.status, &no_qr.body["code"]), (409, &json!("paired")), "{}", no_qr.body);
    let no_format = stage.dashboard.get("/api/trattoria/auth/qr?format=svg").await.unwrap();
    assert_eq!(
        (no_format.status, &no_format.body["errors"][0]["field"]),
        (400, &json!("format")),
        "{}",
        no_format.body
    );
    // The list of tenants is as true as the tenant itself, also a moment after the scan.
    let listed = stage.dashboard.get("/api/tenants").await.unwrap();
    let listed = &listed.body["tenants"][0];
    assert_eq!(
        (&listed["whatsappConnected"], &listed["phoneNumber"]),
        (&json!(true), &json!(phone.number)),
        "{listed}"
    );
    daemon.kill().await.unwrap();
}

/// The page is opened while WhatsApp is gone for a moment, and does what it does then: clean, connect. Nobody scans again.
#[tokio::test(flavor = "multi_thread")]
async fn the_connect_page_wipes_nothing_in_a_blink_of_the_network() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    stage.network.stop().await;
    until(LIMIT, "the loss", || async { !stage.dashboard.is_connected("trattoria").await }).await.unwrap();
    let page = open_the_connect_page(&stage, "trattoria", async |_| panic!("it asks for a scan"));
    let back = async {
        sleep(PAGE_PAUSE + PAGE_POLL).await;
        stage.network.resume().await.unwrap();
    };
    tokio::join!(page, back);
    stage.assert_promises(&[conversation]).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_that_was_cleaned_begins_anew() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    post(&stage, "/api/baileys/connect", json!({ "tenantId": "trattoria" })).await;
    let first = stage.dashboard.qr("trattoria").await.unwrap();
    post(&stage, "/api/baileys/clean-session", json!({ "tenantId": "trattoria" })).await;
    let gone = || async { get(&stage, "/api/baileys/qr?tenantId=trattoria").await["qr"].is_null() };
    until(LIMIT, "the end of the pairing", gone).await.unwrap();
    post(&stage, "/api/baileys/connect", json!({ "tenantId": "trattoria" })).await;
    assert_ne!(stage.dashboard.qr("trattoria").await.unwrap(), first);
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_and_messages_are_listed_with_what_became_of_them() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let phone = &conversation.number;
    let (anna, berta) = (stage.network.add_customer().await, stage.network.add_customer().await);
    for n in 0..3 {
        stage.network.customer_send(&anna, phone, &format!("question {n}")).await.unwrap();
    }
    stage.network.customer_send(&berta, phone, "a table for two").await.unwrap();
    let path = |chat: &str, rest: &str| format!("/api/baileys/messages?tenantId=trattoria&chatId={chat}{rest}");
    let came = || async {
        get(&stage, &path(&anna, "")).await["count"] == json!(3)
            && get(&stage, &path(&berta, "")).await["count"] == json!(1)
    };
    until(LIMIT, "the messages", came).await.unwrap();
    let send = json!({ "tenantId": "trattoria", "to": anna, "message": "an answer" });
    let sent = post(&stage, "/api/baileys/send-message", send).await;
    assert_eq!(sent["message"], json!("Mensaje enviado exitosamente"));
    let delivered = || async {
        let newest = get(&stage, &path(&anna, "&limit=1")).await["messages"][0].clone();
        newest["id"] == sent["messageId"] && newest["status"] == json!("delivered") && newest["fromMe"] == json!(true)
    };
    until(LIMIT, "the receipt", delivered).await.unwrap();

    let page = get(&stage, &path(&anna, "&limit=2")).await;
    let texts = |page: &Value| -> Vec<String> {
        page["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&page), ["an answer", "question 2"]);
    let cursor = page["messages"][1]["cursor"].as_str().unwrap();
    let next = get(&stage, &path(&anna, &format!("&before={cursor}"))).await;
    assert_eq!(texts(&next), ["question 1", "question 0"]);
    assert_eq!(texts(&get(&stage, &path(&anna, "&search=TION%201")).await), ["question 1"]);

    let listed = get(&stage, "/api/baileys/conversations?tenantId=trattoria").await;
    let chats: Vec<_> = listed["conversations"].as_array().unwrap().iter().map(|chat| chat["phone"].clone()).collect();
    assert_eq!(chats[..2], [json!(format!("+{anna}")), json!(format!("+{berta}"))], "{listed}");
    assert_eq!(listed["conversations"][0]["lastMessage"]["text"], json!("an answer"));

    // The old service took forms, too.
    let form = format!("tenantId=trattoria&to={berta}&message=un+caf%C3%A9+%26+pan&ttl=600&humanize=false");
    let url = format!("http://{}/api/baileys/send-message", stage.setup.address);
    let ask = |form: String| {
        let request = reqwest::Client::new().post(&url).header("X-Api-Key", &stage.setup.admin_key).body(form);
        request.header("content-type", "application/x-www-form-urlencoded; charset=utf-8").send()
    };
    let sent = ask(form.clone()).await.unwrap();
    assert_eq!(sent.status(), 200, "{}", sent.text().await.unwrap());
    let is_there = async || texts(&get(&stage, &path(&berta, "&limit=1")).await) == ["un café & pan"];
    until(LIMIT, "what the form says", is_there).await.unwrap();
    let garbled = form.replace("caf%C3%A9", "%ED%A0%BD");
    let blank = form.replace("un+caf%C3%A9+%26+pan", "+%0A");
    for wrong in
        [format!("{form}&ttl=700"), form.replace("600", "soon"), form.replace("&message", "&other"), garbled, blank]
    {
        assert_eq!(ask(wrong.clone()).await.unwrap().status(), 400, "{wrong}");
    }
    let query = format!("/api/sendText?session=trattoria&phone={berta}&text=%ED%A0%BD");
    let answer = stage.dashboard.get(&query).await.unwrap();
    assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (400, &json!("text")), "{}", answer.body);
    // WAHA's routes take JSON.
    for route in ["sendText", "sendImage"] {
        let request = reqwest::Client::new().post(format!("http://{}/api/{route}", stage.setup.address));
        let request = request.header("X-Api-Key", &stage.setup.admin_key).body("session=trattoria&text=hello");
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        let (status, said) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        assert_eq!((status, &said["code"]), (415, &json!("not_json")), "{route}: {said}");
    }
    // Nobody would see it, or all of it; or it is not what it says.
    let poll =
        |given: Value| json!({ "poll": { "name": "Dessert?", "options": ["yes", "no"], "multipleAnswers": given } });
    for (route, mut body, field) in [
        ("sendText", json!({ "text": " \n" }), "text"),
        ("sendText", json!({ "text": "a\u{0}b" }), "text"),
        ("sendPoll", poll(json!("true")), "poll.multipleAnswers"),
        ("sendContactVcard", json!({ "contacts": [{ "vcard": "Ana" }] }), "contacts"),
        ("sendLocation", json!({ "latitude": 4.7, "longitude": -74.0, "title": "a\u{0}b" }), "title"),
    ] {
        (body["session"], body["chatId"]) = (json!("trattoria"), json!(format!("{berta}@c.us")));
        let answer = stage.dashboard.post(&format!("/api/{route}"), body).await.unwrap();
        let found = (answer.status, &answer.body["errors"][0]["field"]);
        assert_eq!(found, (400, &json!(field)), "{route}: {}", answer.body);
    }

    // What is linked stays so, and nobody is told otherwise.
    let cleaned = post(&stage, "/api/baileys/clean-session", json!({ "tenantId": "trattoria" })).await;
    assert_eq!(cleaned, json!({ "success": true, "message": LEFT_ALONE }));
    assert!(stage.dashboard.is_connected("trattoria").await);

    let stats = get(&stage, "/api/baileys/stats?tenantId=trattoria").await;
    assert_eq!(
        (&stats["daily"]["count"], &stats["minute"]["remaining"], &stats["cooldown"]["active"]),
        (&json!(2), &Value::Null, &json!(false)),
        "it has no limits"
    );
    let pacing = json!({ "perMinute": 8, "perHour": 90, "perDay": 400, "warmUpDays": 10 });
    let settings = json!({ "active": false, "pacing": pacing });
    let put = stage.dashboard.put("/api/trattoria/bot/settings", settings).await.unwrap();
    assert_eq!(put.status, 200, "{}", put.body);
    let stats = get(&stage, "/api/baileys/stats?tenantId=trattoria").await;
    let limits = ["minute", "hourly", "daily"].map(|span| stats[span]["limit"].as_u64().unwrap());
    // A young number begins with half of its day.
    assert_eq!((limits, &stats["isNewNumber"]), ([8, 90, 200], &json!(true)), "{stats}");
    assert_eq!((&stats["minute"]["remaining"], &stats["minute"]["percentage"]), (&json!(6), &json!(25.0)), "{stats}");
    daemon.kill().await.unwrap();
}

/// What was half done before, and called a success.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_not_sent_as_words_alone() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let send = json!({
        "tenantId": "trattoria", "to": conversation.customers[0], "text": "the menu", "type": "image",
        "mediaUrl": "https://example.com/menu.png",
    });
    // There is no such place on this machine's network; `media.rs` sends files that can be had.
    let answer = stage.dashboard.post("/api/baileys/send", send.clone()).await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (422, &json!("file_unavailable")));
    let mut send = send;
    send["type"] = json!("hologram");
    let answer = stage.dashboard.post("/api/baileys/send", send.clone()).await.unwrap();
    assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (400, &json!("type")), "{}", answer.body);
    assert!(answer.body["error"].as_str().unwrap().starts_with("type: "), "{}", answer.body);
    send["type"] = json!("image");
    send["message"] = send["text"].take();
    let answer = stage.dashboard.post("/api/baileys/send-message", send).await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (501, &json!("not_implemented")));
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_shown_without_their_credentials() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let one = get(&stage, "/api/tenant/trattoria").await;
    assert_eq!(
        (&one["tenant"]["connected"], &one["tenant"]["phoneNumber"]),
        (&json!(true), &json!(conversation.number))
    );
    let all = get(&stage, "/api/tenants").await;
    assert_eq!((&all["count"], &all["tenants"][0]), (&json!(1), &one["tenant"]));
    let known: Vec<_> = one["tenant"].as_object().unwrap().keys().cloned().collect();
    assert!(known.iter().all(|field| !field.contains("session") && field != "config"), "{known:?}");
    assert_eq!(get(&stage, "/api/stats").await["totalTenants"], json!(1));
    let nobody = stage.dashboard.get("/api/tenant/pizzeria").await.unwrap();
    assert_eq!((nobody.status, &nobody.body["error"]), (404, &json!("Tenant no encontrado")));
    assert_eq!(nobody.body["success"], json!(false), "{}", nobody.body);
    daemon.kill().await.unwrap();
}
