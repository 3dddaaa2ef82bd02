//! The face: what probes, pages and dashboards see. Real clients, from outside.

use serde_json::{Value, json};

use crate::support::{
    node::{Script, program},
    stage::{Home, LIMIT, Stage},
};

async fn raw(stage: &Stage, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, Value) {
    let client = reqwest::Client::new();
    let mut request = client.request(method.parse().unwrap(), format!("http://{}{path}", stage.setup.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body.to_owned()).send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (status, kind, response.json().await.unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_need_no_key_and_everything_else_does() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    for path in ["/health", "/api/baileys/health"] {
        let (status, _, body) = raw(&stage, "GET", path, &[], "").await;
        assert_eq!(
            (status, &body["status"], &body["sessions"]),
            (200, &json!("ok"), &json!({ "working": 0, "total": 0, "elsewhere": 0 }))
        );
        let (_, _, body) = raw(&stage, "GET", path, &[("x-api-key", &stage.setup.admin_key)], "").await;
        assert_eq!((&body["sessions"]["ill"], &body["warnings"]), (&json!([]), &json!([])));
    }
    let bearer = format!("Bearer {}", stage.setup.admin_key);
    for (method, path) in [
        ("POST", "/api/baileys/connect"),
        ("GET", "/api/baileys/qr?tenantId=a"),
        ("GET", "/api/baileys/status?tenantId=a"),
        ("POST", "/api/baileys/disconnect"),
        ("POST", "/api/baileys/send"),
        ("POST", "/api/a/auth/request-code"),
    ] {
        let (status, kind, body) = raw(&stage, method, path, &[], "").await;
        assert_eq!(
            (status, kind.as_str(), &body["code"]),
            (401, "application/problem+json", &json!("unauthorized")),
            "{path}"
        );
        assert_eq!(raw(&stage, method, path, &[("authorization", "Bearer nonsense")], "").await.0, 401, "{path}");
        assert_ne!(raw(&stage, method, path, &[("authorization", &bearer)], "").await.0, 401, "{path}");
    }
    let (status, _, body) = raw(&stage, "GET", "/nowhere", &[], "").await;
    assert_eq!((status, &body["error"]), (404, &json!("Ruta no encontrada")));
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_field_by_field_and_changes_nothing() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let key = [("x-api-key", stage.setup.admin_key.as_str()), ("content-type", "application/json")];
    for (path, body, error, field) in [
        ("/api/baileys/connect", "{}", "tenantId es requerido", "tenantId"),
        ("/api/baileys/connect", r#"{"tenantId":"../etc"}"#, "tenantId no es válido", "tenantId"),
        ("/api/baileys/send", r#"{"tenantId":"a"}"#, "tenantId, to y text son requeridos", "to"),
    ] {
        let (status, _, answer) = raw(&stage, "POST", path, &key, body).await;
        assert_eq!((status, &answer["error"]), (400, &json!(error)), "{answer}");
        assert_eq!(answer["errors"][0]["field"], json!(field), "{answer}");
    }
    let (status, _, answer) = raw(&stage, "POST", "/api/baileys/connect", &key, "{not json").await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_input")));
    let to_nobody = r#"{"tenantId":"a","to":"573001112233","text":"hola"}"#;
    let (status, _, answer) = raw(&stage, "POST", "/api/baileys/send", &key, to_nobody).await;
    assert_eq!((status, &answer["error"]), (400, &json!("WhatsApp no está conectado. Conecta primero.")));
    assert_eq!(stage.dashboard.get("/health").await.unwrap().body["sessions"]["total"], json!(0));
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_send_with_one_key_is_one_message() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let customer = &conversation.customers[0];
    let first = stage.dashboard.send("trattoria", customer, "ciao", "key-1").await.unwrap();
    let second = stage.dashboard.send("trattoria", customer, "ciao", "key-1").await.unwrap();
    assert_eq!(first, second);
    let other = stage.dashboard.send("trattoria", customer, "addio", "key-1").await.unwrap_err();
    assert!(other.to_string().contains("422"), "{other}");
    let arrived = || async { stage.network.customer_inbox(customer).await.unwrap().len() == 1 };
    sessiond::demo::until(LIMIT, "the message", arrived).await.unwrap();
    assert_eq!(stage.network.customer_inbox(customer).await.unwrap()[0].text.as_deref(), Some("ciao"));
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_code_pairs_as_well() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let phone = stage.network.add_phone(None).await;
    let answer =
        stage.dashboard.post("/api/trattoria/auth/request-code", json!({ "phoneNumber": phone.number })).await.unwrap();
    let code =
        answer.body["code"].as_str().unwrap_or_else(|| panic!("{} {}\n{}", answer.status, answer.body, stage.log()));
    stage.network.link_code(&phone.number, code).await.unwrap();
    sessiond::demo::until(LIMIT, "the pairing", || stage.dashboard.is_connected("trattoria"))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
}

/// What a page does that was opened during a blink of the network: `connect`. The credentials survive it.
#[tokio::test(flavor = "multi_thread")]
async fn a_connect_never_wipes_good_credentials() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    stage.network.stop().await;
    let connecting = stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": "trattoria" }));
    let resuming = async {
        let gone = || async { !stage.dashboard.is_connected("trattoria").await };
        sessiond::demo::until(LIMIT, "the loss", gone).await.unwrap();
        stage.network.resume().await.unwrap();
    };
    let (answer, ()) = tokio::join!(connecting, resuming);
    assert_eq!(answer.unwrap().body["success"], json!(true));
    sessiond::demo::until(LIMIT, "the reconnect", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    stage.assert_promises(&[conversation]).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_socket_io_client_sees_it_all() {
    let Some(folder) = program("socketio") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let url = format!("http://{}", stage.setup.address);
    let mut stranger = Script::start(&folder, &["client.mjs", &url, "wrong-key", "trattoria"]);
    let refused = stranger.line(LIMIT, |line| line["event"] == "connect_error").await;
    assert!(refused["payload"].as_str().unwrap().contains("unauthorized"), "{refused}");

    stage.dashboard.post("/api/sessions", json!({ "name": "trattoria", "start": false })).await.unwrap();
    let mut page = Script::start(&folder, &["client.mjs", &url, &stage.setup.admin_key, "trattoria"]);
    let registered = page.line(LIMIT, |line| line["event"] == "registered").await;
    assert_eq!(registered["payload"]["tenantId"], json!("trattoria"));
    let (conversation, qr) =
        tokio::join!(stage.pair("trattoria"), page.line(LIMIT, |line| line["event"] == "qr:updated"));
    assert_eq!(qr["payload"]["qr"].as_str().unwrap().split(',').count(), 5, "the raw pairing string");
    let connected = page.line(LIMIT, |line| line["payload"]["status"] == "connected").await;
    assert_eq!(connected["payload"]["details"]["phoneNumber"], json!(conversation.number));

    let id = stage.network.customer_send(&conversation.customers[0], &conversation.number, "una pizza").await.unwrap();
    let received = page.line(LIMIT, |line| line["event"] == "message:received").await;
    let message = &received["payload"]["message"];
    assert_eq!((&message["id"], &message["text"]), (&json!(id), &json!("una pizza")));
    assert_eq!(message["from"], json!(format!("+{}", conversation.customers[0])));

    let sent = stage.dashboard.send("trattoria", &conversation.customers[0], "subito", "k").await.unwrap();
    let echoed = page.line(LIMIT, |line| line["event"] == "message:sent").await;
    assert_eq!(echoed["payload"]["message"]["id"], json!(sent));
    // "sent" is left out when the receipt is quicker than WhatsApp's ack.
    let delivered = |line: &Value| line["event"] == "message:status" && line["payload"]["status"] == "delivered";
    assert_eq!(page.line(LIMIT, delivered).await["payload"]["messageId"], json!(sent));

    // Another page that saw nothing but the first message gets the rest, in order.
    let cursor = received["payload"]["eventId"].as_str().unwrap();
    let mut late =
        Script::start(&folder, &["client.mjs", &url, &stage.setup.admin_key, "trattoria", cursor, "websocket"]);
    let missed = late.line(LIMIT, |line| line["event"].as_str().unwrap().starts_with("message:")).await;
    assert_eq!((&missed["event"], &missed["payload"]["message"]["id"]), (&json!("message:sent"), &json!(sent)));

    stage.network.fault(loopback::Fault::new(loopback::FaultKind::Drop)).await.unwrap();
    page.line(LIMIT, |line| line["payload"]["status"] == "connecting").await;
    page.line(LIMIT, |line| line["payload"]["status"] == "connected").await;
    daemon.kill().await.unwrap();
}

/// What waits for it is bounded: the rest comes from the log, once it reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_read_for_a_while_misses_nothing() {
    /// More than the page's queue and the kernel's buffers hold.
    const MESSAGES: usize = 400;
    let Some(folder) = program("socketio") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let url = format!("http://{}", stage.setup.address);
    let mut page = Script::start(&folder, &["client.mjs", &url, &stage.setup.admin_key, "trattoria", "-", "websocket"]);
    page.line(LIMIT, |line| line["event"] == "registered").await;
    let first = stage.network.customer_send(&conversation.customers[0], &conversation.number, "first").await.unwrap();
    page.line(LIMIT, |line| line["payload"]["message"]["id"] == json!(first)).await;
    page.tell(&json!("pause")).await;
    page.line(LIMIT, |line| line["payload"] == "pause").await;
    let mut written = Vec::new();
    for n in 0..MESSAGES {
        let text = format!("{n} {}", "x".repeat(60_000));
        let sent = stage.network.customer_send(&conversation.customers[0], &conversation.number, &text).await;
        written.push(sent.unwrap());
    }
    page.tell(&json!("resume")).await;
    let mut seen = Vec::new();
    while seen.len() < MESSAGES {
        let line = page.line(LIMIT, |line| line["event"] == "message:received").await;
        seen.push(line["payload"]["message"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, written);
    stage.network.customer_send(&conversation.customers[0], &conversation.number, "last").await.unwrap();
    page.line(LIMIT, |line| line["payload"]["message"]["text"] == "last").await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_unlinks_and_a_new_scan_pairs_again() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let answer = stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": "trattoria" })).await.unwrap();
    assert_eq!(answer.body, json!({ "success": true, "message": "Desconectado exitosamente" }));
    let gone = || async { stage.network.devices(&conversation.number).await.unwrap().is_empty() };
    sessiond::demo::until(LIMIT, "the device to be unlinked", gone)
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", stage.log()));
    let qr = stage.dashboard.qr("trattoria").await.unwrap();
    stage.network.scan(&conversation.number, &qr).await.unwrap();
    sessiond::demo::until(LIMIT, "the second pairing", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0));
}

/// More came than is kept while a page was away: it is told so, and gets the rest in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_behind_what_is_kept_is_told_of_the_gap() {
    let Some(folder) = program("socketio") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_MESSAGES__KEEP_EVENTS", "100");
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let ear = stage.listen(std::slice::from_ref(&conversation));
    // Events are deleted in steps, so that it takes more than are kept for the first to go.
    const MESSAGES: usize = 300;
    let customers = [stage.network.add_customer().await, stage.network.add_customer().await];
    for n in 0..MESSAGES {
        let customer = &customers[n % customers.len()];
        stage.network.customer_send(customer, &conversation.number, &format!("order {n}")).await.unwrap();
    }
    let received = |heard: &[sessiond::demo::Heard]| -> Vec<Value> {
        let came = heard.iter().filter(|heard| heard.event == "message:received");
        came.map(|heard| heard.payload["eventId"].clone()).collect()
    };
    ear.until(4 * LIMIT, |heard| received(heard).len() >= MESSAGES).await.unwrap();
    let ids = received(&ear.heard());
    let (url, cursor) = (format!("http://{}", stage.setup.address), ids[0].as_str().unwrap());
    let key = &stage.setup.admin_key;
    let mut late = Script::start(&folder, &["client.mjs", &url, key, "trattoria", cursor, "websocket"]);
    let told = late.line(LIMIT, |line| line["payload"]["eventId"].is_string() || line["event"] == "events:gap").await;
    assert_eq!((&told["event"], &told["payload"]["after"]), (&json!("events:gap"), &json!(cursor)), "{told}");
    let until = told["payload"]["until"].as_str().unwrap();
    let place = ids.iter().position(|id| id == until).expect("a message that was there");
    let next = late.line(LIMIT, |line| line["payload"]["eventId"].is_string()).await;
    assert_eq!(next["payload"]["eventId"], ids[place + 1]);
    late.line(LIMIT, |line| line["payload"]["eventId"] == ids[MESSAGES - 1]).await;
    daemon.kill().await.unwrap();
}
