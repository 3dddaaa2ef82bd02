//! WAHA's API: its real client from PyPI pairs a tenant, writes every kind that needs no file, and reads what came.
//!
//! Needs Python 3 with `venv`. Where it is missing the tests say so and pass, unless `CI=true`.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use sessiond::demo::{Process, until};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::support::{
    python,
    stage::{Home, LIMIT, Stage},
};

/// WAHA's client. Ends with its standard input.
pub struct WahaClient {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl WahaClient {
    pub fn start(python: &Path, stage: &Stage, key: &str) -> Self {
        let mut child = Command::new(python)
            .args(["client.py", &format!("http://{}", stage.setup.address), key])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/waha"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python starts");
        let input = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { _child: child, input, lines }
    }

    /// Calls a method of the client, `group.method`.
    pub async fn call(&mut self, method: &str, arguments: Value) -> Result<Value, String> {
        self.call_as(method, arguments, "").await
    }

    /// The answer must be what the client's package has as this model; `[Name]`: a list of it.
    pub async fn call_as(&mut self, method: &str, arguments: Value, model: &str) -> Result<Value, String> {
        self.ask(json!({ "method": method, "arguments": arguments, "model": model })).await
    }

    /// Something that came by another way must be what the client's package has as this model.
    pub async fn is(&mut self, model: &str, value: &Value) {
        let checked = self.ask(json!({ "value": value, "model": model })).await;
        checked.unwrap_or_else(|error| panic!("no {model}: {error}\n{value}"));
    }

    async fn ask(&mut self, line: Value) -> Result<Value, String> {
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("the client reads");
        let answer = timeout(Duration::from_secs(60), self.lines.next_line()).await.expect("an answer in time");
        let mut answer: Value = serde_json::from_str(&answer.expect("readable").expect("the client is alive")).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["result"].take()),
        }
    }

    pub async fn get(&mut self, method: &str, arguments: Value) -> Value {
        self.get_as(method, arguments, "").await
    }

    pub async fn get_as(&mut self, method: &str, arguments: Value, model: &str) -> Value {
        self.call_as(method, arguments, model).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

pub struct WahaScene {
    pub stage: Stage,
    pub daemon: Process,
    pub waha: WahaClient,
    pub number: String,
    pub customer: String,
}

/// A tenant that was paired through WAHA's routes, with a key of its own.
pub async fn paired() -> Option<WahaScene> {
    paired_on(Stage::new(Home::Embedded).await.unwrap()).await
}

pub async fn paired_on(stage: Stage) -> Option<WahaScene> {
    let (_, bin) = python::environment("waha")?;
    let python = bin.join("python");
    let daemon = stage.start().await;
    let mut operator = WahaClient::start(&python, &stage, &stage.setup.admin_key);
    let created = operator.get("sessions.create", json!([{ "name": "trattoria" }])).await;
    assert_eq!(created["name"], json!("trattoria"));
    let actions = json!({ "read": true, "send": true, "control": true });
    let key = json!([{ "session": "trattoria", "isAdmin": false, "isActive": true, "actions": actions }]);
    let key = operator.get("api_keys.create", key).await["key"].as_str().unwrap().to_owned();
    let mut waha = WahaClient::start(&python, &stage, &key);
    let phone = stage.network.add_phone(Some("Trattoria".to_owned())).await;
    let began = tokio::time::Instant::now();
    let qr = loop {
        assert!(began.elapsed() < LIMIT, "no QR code\n{}", stage.log());
        match waha.call("auth.get_qr", json!(["trattoria", { "format": "raw" }])).await {
            Ok(qr) => break qr["value"].as_str().unwrap().to_owned(),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    stage.network.scan(&phone.number, &qr).await.unwrap();
    until(LIMIT, "the pairing", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    let customer = stage.network.add_customer().await;
    Some(WahaScene { stage, daemon, waha, number: phone.number, customer })
}

impl WahaScene {
    pub fn chat(&self) -> String {
        format!("{}@c.us", self.customer)
    }

    /// What the customer got under that id, once.
    pub async fn arrived(&self, sent: &Value) -> loopback::Received {
        self.arrived_at(&self.customer, sent).await
    }

    pub async fn arrived_at(&self, customer: &str, sent: &Value) -> loopback::Received {
        let id = sent["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
        let find = || async {
            let inbox = self.stage.network.customer_inbox(customer).await.unwrap();
            inbox.into_iter().find(|received| received.id == id)
        };
        until(LIMIT, "the message", || async { find().await.is_some() }).await.unwrap();
        let received = find().await.unwrap();
        assert_eq!((received.arrivals, received.problem.as_deref()), (1, None), "{received:?}");
        received
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_pairs_and_reads_sessions() {
    let Some(mut scene) = paired().await else { return };
    let waha = &mut scene.waha;
    let session = waha.get("sessions.get", json!(["trattoria"])).await;
    assert_eq!(
        (&session["status"], &session["me"]["id"]),
        (&json!("WORKING"), &json!(format!("{}@c.us", scene.number)))
    );
    assert_eq!(waha.get("sessions.list", json!([])).await[0]["name"], json!("trattoria"));
    assert_eq!(waha.get("sessions.get_me", json!(["trattoria"])).await["pushName"], json!("Trattoria"));
    assert_eq!(waha.get("ping.ping", json!([])).await["message"], json!("pong"));
    let logins = || async { scene.stage.network.stats().await.counts.logins };
    let before = logins().await;
    waha.get("sessions.restart", json!(["trattoria"])).await;
    let back = || async { logins().await > before && scene.stage.dashboard.is_connected("trattoria").await };
    until(LIMIT, "the restart", back).await.unwrap();
    assert_eq!(scene.stage.network.stats().await.counts.pairings, 1);
    waha.get("sessions.logout", json!(["trattoria"])).await;
    until(LIMIT, "the logout", || async { !scene.stage.dashboard.is_connected("trattoria").await }).await.unwrap();
    assert!(scene.stage.network.devices(&scene.number).await.unwrap().is_empty());
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_writes_every_kind_that_needs_no_file() {
    let Some(mut scene) = paired().await else { return };
    let to = json!({ "session": "trattoria", "chatId": scene.chat() });
    let with = |more: Value| {
        let mut body = to.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([body])
    };
    let text =
        scene.waha.get("chatting.send_text", with(json!({ "text": "a table?", "id": "ABCDEF0123456789" }))).await;
    assert_eq!((&text["id"], &text["ack"]), (&json!(format!("true_{}_ABCDEF0123456789", scene.chat())), &json!(0)));
    let again =
        scene.waha.get("chatting.send_text", with(json!({ "text": "a table?", "id": "ABCDEF0123456789" }))).await;
    assert_eq!(again["id"], text["id"]);
    let other = scene.waha.call("chatting.send_text", with(json!({ "text": "two?", "id": "ABCDEF0123456789" }))).await;
    assert!(other.unwrap_err().contains("422"));
    assert_eq!(scene.arrived(&text).await.text.as_deref(), Some("a table?"));

    let place = json!({ "latitude": 4.711, "longitude": -74.0721, "title": "La Trattoria" });
    let place = scene.waha.get("chatting.send_location", with(place)).await;
    assert_eq!(scene.arrived(&place).await.kind, "location");
    let cards = json!({ "contacts": [{ "fullName": "Ana; the cook", "phoneNumber": "+57 300 111 2233" }] });
    let cards = scene.waha.get("chatting.send_contact_vcard", with(cards)).await;
    assert_eq!(scene.arrived(&cards).await.kind, "contact");
    let poll = json!({ "poll": { "name": "Dessert?", "options": ["yes", "no"], "multipleAnswers": false } });
    let poll = scene.waha.get("chatting.send_poll", with(poll)).await;
    assert_eq!(scene.arrived(&poll).await.kind, "poll");
    let reaction = json!([{ "session": "trattoria", "messageId": text["id"], "reaction": "👍" }]);
    let reaction = scene.waha.get("chatting.set_reaction", reaction).await;
    assert_eq!(scene.arrived(&reaction).await.kind, "reaction");
    let edit = json!(["trattoria", scene.chat(), text["id"], { "text": "a table for two?" }]);
    let edit = scene.waha.get("chats.edit_message", edit).await;
    assert_eq!(scene.arrived(&edit).await.kind, "edit");

    // The customer votes in the poll, and writes; the tenant answers that.
    let poll_id = poll["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
    scene
        .stage
        .network
        .customer_send(&scene.customer, &scene.number, loopback::Say::vote(poll_id, &["yes"]))
        .await
        .unwrap();
    let wrote = scene.stage.network.customer_send(&scene.customer, &scene.number, "at eight").await.unwrap();
    let newest = async |waha: &mut WahaClient| {
        waha.get("chats.get_chat_messages", json!(["trattoria", to["chatId"], { "limit": 1 }])).await[0].clone()
    };
    let mut came = newest(&mut scene.waha).await;
    let began = tokio::time::Instant::now();
    while came["body"] != json!("at eight") {
        assert!(began.elapsed() < LIMIT, "{came}\n{}", scene.stage.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
        came = newest(&mut scene.waha).await;
    }
    assert!(came["id"].as_str().unwrap().ends_with(&wrote), "{came}");
    let reply = with(json!({ "text": "a table is free", "reply_to": came["id"] }));
    let reply = scene.waha.get("chatting.send_text", reply).await;
    assert_eq!(reply["replyTo"]["body"], json!("at eight"));
    assert_eq!(scene.arrived(&reply).await.text.as_deref(), Some("a table is free"));
    scene.waha.get("chatting.start_typing", json!([to])).await;
    scene.waha.get("chatting.stop_typing", json!([to])).await;
    scene.waha.get("chatting.send_seen", json!([to])).await;

    // The list shows what became of the first message: its new text.
    let listed = scene.waha.get("chats.get_chat_messages", json!(["trattoria", scene.chat(), {}])).await;
    let first = listed.as_array().unwrap().iter().find(|message| message["id"] == text["id"]).unwrap();
    assert_eq!(first["body"], json!("a table for two?"));
    let overview = scene.waha.get("chats.get_chats_overview", json!(["trattoria"])).await;
    assert_eq!(overview[0]["id"], json!(scene.chat()));
    let gone = json!(["trattoria", scene.chat(), text["id"]]);
    scene.waha.get("chats.delete_message", gone).await;
    let stats = scene.stage.network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_sends_files() {
    use base64::Engine as _;
    let Some(mut scene) = paired().await else { return };
    for (method, kind, mime, head) in [
        ("send_image", "image", "image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0".as_slice()),
        ("send_video", "video", "video/mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
        ("send_voice", "voice", "audio/ogg; codecs=opus", b"OggS\0\x02\0\0\0\0\0\0\0\0"),
        ("send_sticker", "sticker", "image/webp", b"RIFF\x24\0\0\0WEBPVP8 "),
        ("send_file", "document", "application/pdf", b"%PDF-1.7"),
    ] {
        let data = [head, &[7; 500]].concat();
        let file = base64::engine::general_purpose::STANDARD.encode(&data);
        let file = json!({ "mimetype": mime, "filename": "a.bin", "data": file });
        let body = json!([{ "session": "trattoria", "chatId": scene.chat(), "file": file }]);
        let sent = scene.waha.get(&format!("chatting.{method}"), body).await;
        let received = scene.arrived(&sent).await;
        let attached = received.file.unwrap();
        assert_eq!((received.kind.as_str(), attached.mimetype.as_deref(), attached.data), (kind, Some(mime), data));
        assert_eq!((&sent["hasMedia"], &sent["media"]["mimetype"]), (&json!(true), &json!(mime)));
    }
    let elsewhere = json!({ "url": "http://169.254.169.254/latest/meta-data/" });
    let body = json!([{ "session": "trattoria", "chatId": scene.chat(), "file": elsewhere }]);
    assert!(scene.waha.call("chatting.send_file", body).await.unwrap_err().contains("400"));
    scene.daemon.kill().await.unwrap();
}
