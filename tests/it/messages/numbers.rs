//! A phone number, by whatever entrance it comes and however it is written, is whom it names: nobody else, and nothing that cannot be
//! a number.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::{ApiAnswer, Conversation, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "churrascaria";

/// A mobile number of Peru with its country code, and one of Porto Alegre without.
const BOTH: &str = "51987654321";

struct NumberScene {
    stage: Stage,
    daemon: Process,
    tenant: Conversation,
}

impl NumberScene {
    /// A tenant in Brazil.
    async fn new() -> Self {
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let daemon = stage.start().await;
        let new = json!({ "name": TENANT, "start": false, "config": { "country": "BR" } });
        assert_eq!(stage.dashboard.post("/api/sessions", new).await.unwrap().status, 201);
        let tenant = stage.pair(TENANT).await;
        Self { stage, daemon, tenant }
    }

    /// Somebody who has this number.
    async fn somebody(&self, number: &str) -> String {
        let customer = self.stage.network.add_customer().await;
        self.stage.network.add_number(&customer, number).await.unwrap();
        customer
    }

    async fn send(&self, to: &str, text: &str) -> ApiAnswer {
        let body = json!({ "session": TENANT, "chatId": to, "text": text });
        self.stage.dashboard.post("/api/sendText", body).await.unwrap()
    }

    async fn arrived(&self, customer: &str, id: &str) {
        let has = || async {
            let inbox = self.stage.network.customer_inbox(customer).await.unwrap();
            inbox.iter().any(|received| id.ends_with(&received.id))
        };
        let waited = until(LIMIT, "the message", has).await;
        waited.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("http://{}{path}", self.stage.setup.address);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let request = request.header("x-api-key", &self.stage.setup.admin_key);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }
}

fn id(answer: &ApiAnswer) -> &str {
    assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    answer.body["id"].as_str().or(answer.body["messageId"].as_str()).unwrap()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The rules of all countries are read when the first number is: in a debug build that takes seconds, in which everybody else is served.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_number_holds_up_nobody_but_its_sender() {
    let scene = NumberScene::new().await;
    let dashboard = scene.stage.dashboard.clone();
    let peruvian = scene.somebody(BOTH).await;
    let began = Instant::now();
    // More than the process has threads.
    let sending: Vec<_> = (0..16).map(|n| scene.send(BOTH, if n == 0 { "hola" } else { "buenas" })).collect();
    let mut sending = Box::pin(futures::future::join_all(sending));
    let mut longest = Duration::ZERO;
    let sent = loop {
        let asked = Instant::now();
        let health = async {
            dashboard.get("/health").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let sent = tokio::select! {
            sent = &mut sending => Some(sent),
            () = health => None,
        };
        longest = longest.max(asked.elapsed());
        if let Some(sent) = sent {
            break sent;
        }
    };
    drop(sending);
    let took = began.elapsed();
    scene.arrived(&peruvian, id(&sent[0])).await;
    println!("the first number took {took:?}, others waited {longest:?}");
    assert!(took < Duration::from_secs(1) || longest < took / 2, "others waited {longest:?} of {took:?}");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_with_a_country_code_reach_whom_they_name() {
    let scene = NumberScene::new().await;
    let dashboard = &scene.stage.dashboard;
    let peruvian = scene.somebody(BOTH).await;
    let old = |route: &str, word: &str| {
        (format!("/api/baileys/{route}"), json!({ "tenantId": TENANT, "to": BOTH, word: "hola" }))
    };
    let waha = |route: &str, rest: Value| {
        let mut body = json!({ "session": TENANT, "chatId": BOTH });
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        (format!("/api/{route}"), body)
    };
    let picture = json!({ "data": "/9j/4AAQSkZJRg==", "mimetype": "image/jpeg", "filename": "a.jpg" });
    for (path, body) in [
        waha("sendText", json!({ "text": "hola" })),
        waha("sendLocation", json!({ "latitude": -12.0, "longitude": -77.0 })),
        waha("sendFile", json!({ "file": picture })),
        old("send", "text"),
        old("send-message", "message"),
    ] {
        let sent = dashboard.post(&path, body).await.unwrap();
        scene.arrived(&peruvian, id(&sent)).await;
    }
    let by_query = dashboard.get(&format!("/api/sendText?session={TENANT}&phone={BOTH}&text=hola")).await.unwrap();
    assert_eq!(id(&by_query).split('_').nth(1), Some("51987654321@c.us"));
    scene.arrived(&peruvian, id(&by_query)).await;

    // What is read of them by the same digits is of the same person.
    let chat = format!("/api/{TENANT}/chats");
    let listed = dashboard.get(&format!("{chat}/{BOTH}/messages")).await.unwrap();
    assert_eq!(listed.body.as_array().map(Vec::len), Some(6), "{}", listed.body);
    let listed = dashboard.get(&format!("/api/baileys/messages?tenantId={TENANT}&chatId={BOTH}")).await.unwrap();
    assert_eq!(listed.body["count"], json!(6), "{}", listed.body);
    let known = dashboard.get(&format!("/api/contacts/check-exists?session={TENANT}&phone={BOTH}")).await.unwrap();
    assert_eq!(
        (&known.body["numberExists"], &known.body["chatId"]),
        (&json!(true), &json!(format!("{peruvian}@c.us"))),
        "{}",
        known.body
    );
    let person = dashboard.get(&format!("/api/{TENANT}/contacts/{BOTH}")).await.unwrap();
    assert_eq!(person.body["id"], json!("51987654321@c.us"), "{}", person.body);
    assert_eq!(scene.call("POST", &format!("{chat}/{BOTH}/archive"), &Value::Null).await.0, 201);
    let settings = scene.stage.network.settings(&scene.tenant.number).await.unwrap();
    assert!(settings.keys().any(|key| key == "archive 51987654321@s.whatsapp.net"), "{settings:?}");
    let group = json!({ "name": "Mesa", "participants": [{ "id": BOTH }] });
    let group = dashboard.post(&format!("/api/{TENANT}/groups"), group).await.unwrap();
    let jid = group.body["id"].as_str().unwrap_or_else(|| panic!("{}", group.body)).to_owned();
    let members = scene.stage.network.group(&jid).await.unwrap().members;
    assert!(members.iter().any(|(number, _)| *number == peruvian), "{members:?}");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatsapp_knows_who_is_meant_by_digits_that_two_may_have() {
    const AT_HOME: &str = "51912345678";
    const TWO: &str = "51998877665";
    const NOBODY: &str = "51911112222";
    let mut scene = NumberScene::new().await;
    let dashboard = &scene.stage.dashboard;
    let chat = |answer: &ApiAnswer| id(answer).split('_').nth(1).unwrap().to_owned();
    let gaucho = scene.somebody(&format!("55{AT_HOME}")).await;
    let first = dashboard.send(TENANT, AT_HOME, "oi", "a-key").await.unwrap();
    scene.arrived(&gaucho, &first).await;
    let again = scene.send("51 91234-5678", "tudo bem?").await;
    assert_eq!(chat(&again), format!("55{AT_HOME}@c.us"));

    // Two: nobody can know.
    let (one, other) = (scene.somebody(TWO).await, scene.somebody(&format!("55{TWO}")).await);
    let refused = scene.send(TWO, "hola?").await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!("invalid_input")), "{}", refused.body);
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("plus"), "{}", refused.body);
    let exists = dashboard.get(&format!("/api/contacts/check-exists?session={TENANT}&phone={TWO}")).await.unwrap();
    assert_eq!(exists.status, 400, "{}", exists.body);
    for (to, customer) in [(format!("+{TWO}"), &one), (format!("{TWO}@c.us"), &one), (format!("+55{TWO}"), &other)] {
        scene.arrived(customer, id(&scene.send(&to, "hola").await)).await;
    }
    // Two forms of one number, of which WhatsApp has one.
    let short = scene.somebody("555188776655").await;
    let found = scene.send("+55 51 98877-6655", "oi").await;
    assert_eq!(chat(&found), format!("{short}@c.us"), "under the name that WhatsApp answered with");
    scene.arrived(&short, id(&found)).await;
    let path = format!("/api/contacts/check-exists?session={TENANT}&phone=5551988776655");
    let exists = dashboard.get(&path).await.unwrap();
    assert_eq!(exists.body["numberExists"], json!(true), "{}", exists.body);
    // Nobody: as it is written, and it is said that nobody is there.
    let lost = scene.send(NOBODY, "hola?").await;
    assert_eq!(chat(&lost), format!("{NOBODY}@c.us"));

    // Who is asked and does not answer has said nothing; and a repeat needs no answer.
    scene.daemon.kill().await.unwrap();
    scene.daemon = scene.stage.start().await;
    until(LIMIT, "the session", || dashboard.is_connected(TENANT)).await.unwrap();
    let silent = Fault::new(FaultKind::IqSilence).xmlns("usync");
    scene.stage.network.fault(silent).await.unwrap();
    scene.somebody(AT_HOME).await;
    assert_eq!(dashboard.send(TENANT, AT_HOME, "oi", "a-key").await.unwrap(), first);
    let unknown = scene.send(AT_HOME, "quem?").await;
    assert_eq!((unknown.status, &unknown.body["code"]), (503, &json!("whatsapp_unreachable")), "{}", unknown.body);
    scene.stage.network.clear_faults().await;
    // Nor is an answer one that nobody can read, wherever it is asked.
    scene.stage.network.fault(Fault::new(FaultKind::IqNonsense).xmlns("usync")).await.unwrap();
    for path in [
        format!("/api/{TENANT}/chats/{AT_HOME}/messages"),
        format!("/api/messages?session={TENANT}&chatId={AT_HOME}"),
        format!("/api/baileys/messages?tenantId={TENANT}&chatId={AT_HOME}"),
    ] {
        let unread = dashboard.get(&path).await.unwrap();
        assert_eq!(
            (unread.status, &unread.body["code"]),
            (422, &json!("whatsapp_unreadable")),
            "{path}: {}",
            unread.body
        );
    }
    scene.stage.network.clear_faults().await;
    scene.daemon.kill().await.unwrap();
}

/// Every entrance: the method, the path, and the body, with a number in each.
fn entrances() -> Vec<(&'static str, String, Value)> {
    let post = |path: &str, body: Value| ("POST", path.to_owned(), body);
    let get = |path: String| ("GET", path, Value::Null);
    let waha = |mut body: Value| {
        body["session"] = json!(TENANT);
        body["chatId"] = json!("#");
        body
    };
    let file = json!({ "data": "/9j/4AAQSkZJRg==", "mimetype": "image/jpeg", "filename": "a.jpg" });
    let poll = json!({ "name": "?", "options": ["a", "b"] });
    let chat = format!("/api/{TENANT}/chats/#");
    vec![
        post("/api/sendText", waha(json!({ "text": "x" }))),
        post("/api/reply", waha(json!({ "text": "x" }))),
        post("/api/sendLocation", waha(json!({ "latitude": 1.0, "longitude": 1.0 }))),
        post("/api/sendContactVcard", waha(json!({ "contacts": [{ "vcard": "BEGIN:VCARD\nFN:A\nEND:VCARD" }] }))),
        post("/api/sendPoll", waha(json!({ "poll": poll }))),
        post("/api/sendImage", waha(json!({ "file": file }))),
        post("/api/sendFile", waha(json!({ "file": file }))),
        post("/api/sendSeen", waha(json!({}))),
        post("/api/startTyping", waha(json!({}))),
        post("/api/stopTyping", waha(json!({}))),
        post("/api/baileys/send", json!({ "tenantId": TENANT, "to": "#", "text": "x" })),
        post("/api/baileys/send-message", json!({ "tenantId": TENANT, "to": "#", "message": "x" })),
        get(format!("/api/sendText?session={TENANT}&phone=#&text=x")),
        get(format!("/api/contacts/check-exists?session={TENANT}&phone=#")),
        get(format!("/api/checkNumberStatus?session={TENANT}&phone=#")),
        get(format!("/api/contacts?session={TENANT}&contactId=#")),
        get(format!("/api/contacts/about?session={TENANT}&contactId=#")),
        get(format!("/api/contacts/profile-picture?session={TENANT}&contactId=#")),
        get(format!("/api/{TENANT}/contacts/#")),
        ("PUT", format!("/api/{TENANT}/contacts/#"), json!({ "firstName": "Ana" })),
        post("/api/contacts/block", json!({ "session": TENANT, "contactId": "#" })),
        post("/api/contacts/unblock", json!({ "session": TENANT, "contactId": "#" })),
        get(format!("/api/{TENANT}/lids/pn/#")),
        get(format!("{chat}/messages")),
        get(format!("{chat}/picture")),
        post(&format!("{chat}/archive"), json!({})),
        post(&format!("{chat}/unarchive"), json!({})),
        post(&format!("{chat}/unread"), json!({})),
        post(&format!("{chat}/messages/read"), json!({})),
        post(&format!("/api/{TENANT}/chats/overview"), json!({ "filter": { "ids": ["#"] } })),
        get(format!("/api/messages?session={TENANT}&chatId=#")),
        get(format!("/api/baileys/messages?tenantId={TENANT}&chatId=#")),
        post(&format!("/api/sessions/{TENANT}/history"), json!({ "chatId": "#", "count": 1 })),
        post(&format!("/api/{TENANT}/groups"), json!({ "name": "x", "participants": [{ "id": "#" }] })),
        get(format!("/api/{TENANT}/presence/#")),
        post(&format!("/api/{TENANT}/presence/#/subscribe"), json!({})),
        post(&format!("/api/{TENANT}/presence"), json!({ "presence": "typing", "chatId": "#" })),
        post(&format!("/api/{TENANT}/calls/reject"), json!({ "from": "#", "id": "C767D097B7C7C030" })),
        get(format!("/api/{TENANT}/labels/chats/#")),
        ("PUT", format!("/api/{TENANT}/labels/chats/#"), json!({ "labels": [] })),
        post(&format!("/api/{TENANT}/status/text"), json!({ "text": "x", "contacts": ["#"] })),
        post(&format!("/api/{TENANT}/events"), json!({ "chatId": "#", "event": { "name": "x", "startTime": 1 } })),
        post("/api/vacant/auth/request-code", json!({ "phoneNumber": "#" })),
    ]
}

/// Those that want more than a number: what they are about is not there.
fn other_entrances() -> Vec<(&'static str, String, Value)> {
    let post = |path: &str, body: Value| ("POST", path.to_owned(), body);
    let waha = |mut body: Value| {
        body["session"] = json!(TENANT);
        body["chatId"] = json!("#");
        body
    };
    let file = |data: &str| json!({ "data": data });
    let (jpeg, ogg, mp4, webp) =
        ("/9j/4AAQSkZJRg==", "T2dnUwACAAAAAAAAAAA=", "AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t", "UklGRiQAAABXRUJQVlA4IA==");
    let link = json!({ "url": "https://example.com/", "title": "x" });
    let (chat, somebody) = (format!("/api/{TENANT}/chats/#"), "5551987654321@c.us");
    let message = format!("{chat}/messages/true_{somebody}_3EB0C767D097B7C7C030");
    let group = format!("/api/{TENANT}/groups/120363000000000001@g.us");
    let people = json!({ "participants": [{ "id": "#" }] });
    let about = json!(format!("false_{somebody}_3EB0C767D097B7C7C030"));
    let mentioning = |mut body: Value| {
        (body["session"], body["chatId"], body["mentions"]) = (json!(TENANT), json!(somebody), json!(["#"]));
        body
    };
    vec![
        post("/api/sendVoice", waha(json!({ "file": file(ogg) }))),
        post("/api/sendVideo", waha(json!({ "file": file(mp4) }))),
        post("/api/sendSticker", waha(json!({ "file": file(webp) }))),
        post("/api/sendPollVote", waha(json!({ "pollMessageId": about, "votes": ["a"] }))),
        post("/api/sendLinkPreview", waha(link.clone())),
        post("/api/send/link-custom-preview", waha(json!({ "text": "https://example.com/", "preview": link }))),
        post("/api/send/buttons/reply", waha(json!({ "replyTo": about, "selectedButtonID": "yes" }))),
        post("/api/forwardMessage", waha(json!({ "messageId": about }))),
        post(
            "/api/forwardMessage",
            json!({ "session": TENANT, "chatId": somebody, "messageId": "false_#_3EB0AAAAAAAA" }),
        ),
        ("PUT", "/api/star".into(), waha(json!({ "messageId": about, "star": true }))),
        (
            "PUT",
            "/api/reaction".into(),
            json!({ "session": TENANT, "messageId": "false_#_3EB0AAAAAAAA", "reaction": "👍" }),
        ),
        post("/api/sendText", mentioning(json!({ "text": "x" }))),
        post("/api/sendImage", mentioning(json!({ "file": file(jpeg), "caption": "x" }))),
        ("PUT", message.replace('#', somebody), mentioning(json!({ "text": "x" }))),
        ("GET", message.clone(), Value::Null),
        ("PUT", message.clone(), json!({ "text": "x" })),
        ("DELETE", message.clone(), Value::Null),
        post(&format!("{message}/pin"), json!({ "duration": 86400 })),
        post(&format!("{message}/unpin"), json!({})),
        ("DELETE", chat.clone(), Value::Null),
        ("DELETE", format!("{chat}/messages"), Value::Null),
        post(&format!("{group}/participants/add"), people.clone()),
        post(&format!("{group}/participants/remove"), people.clone()),
        post(&format!("{group}/participants/join-requests/approve"), people.clone()),
        post(&format!("{group}/participants/join-requests/reject"), people.clone()),
        post(&format!("{group}/admin/promote"), people.clone()),
        post(&format!("{group}/admin/demote"), people),
        post(&format!("/api/{TENANT}/status/image"), json!({ "file": file(jpeg), "contacts": ["#"] })),
        post(&format!("/api/{TENANT}/status/voice"), json!({ "file": file(ogg), "contacts": ["#"] })),
        post(&format!("/api/{TENANT}/status/video"), json!({ "file": file(mp4), "contacts": ["#"] })),
        ("GET", format!("/api/{TENANT}/bot/conversations/#"), Value::Null),
        post(&format!("/api/{TENANT}/bot/conversations/#/take"), json!({})),
        post(&format!("/api/{TENANT}/bot/conversations/#/give-back"), json!({})),
    ]
}

fn with(value: &Value, number: &str) -> Value {
    match value {
        Value::String(text) => json!(text.replace('#', number)),
        Value::Array(items) => items.iter().map(|item| with(item, number)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), with(value, number)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_number_enters_nowhere() {
    let scene = NumberScene::new().await;
    let vacant = json!({ "name": "vacant", "start": false });
    assert_eq!(scene.stage.dashboard.post("/api/sessions", vacant).await.unwrap().status, 201);
    let junk = [
        "+",
        "0000000000",
        "+57 300 111 222",
        "57300111223344556677",
        "57+3001112233",
        "5730011122ab",
        "999999999999@c.us",
        "57 300 111 222@c.us",
        "5730011122ab@c.us",
        "57\u{200b}@s.whatsapp.net",
        "ana@lid",
        "abc@g.us",
        "abc@call",
        "x@bot",
    ];
    for (method, path, body) in entrances().into_iter().chain(other_entrances()) {
        for number in junk {
            let (status, answer) = scene.call(method, &path.replace('#', &encoded(number)), &with(&body, number)).await;
            assert_eq!(
                (status, &answer["code"]),
                (400, &json!("invalid_input")),
                "{method} {path} {number:?}: {answer}"
            );
        }
    }
    let sent = scene.stage.network.messages(Some(&scene.tenant.number)).await.unwrap();
    assert!(sent.iter().all(|message| message.peer), "{sent:?}");
    let chats = scene.stage.dashboard.get(&format!("/api/{TENANT}/chats")).await.unwrap();
    assert_eq!(chats.body, json!([]));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_sees_of_a_number_changes_nothing() {
    let scene = NumberScene::new().await;
    let vacant = json!({ "name": "vacant", "start": false });
    assert_eq!(scene.stage.dashboard.post("/api/sessions", vacant).await.unwrap().status, 201);
    let customer = scene.tenant.customers[0].clone();
    let own = scene.stage.network.add_phone(None).await.number;
    for (n, dress) in [
        ("\u{202a}+", "\u{202c}"),
        ("\u{feff}", "\u{200b}"),
        ("\u{2066}+", "\u{2069}\u{a0}"),
        ("\u{a0}\u{200e}", "\u{200f}@c.us"),
        ("\u{2060}\u{200d}", "\u{ad}\u{2028}"),
    ]
    .into_iter()
    .enumerate()
    {
        let dressed = |number: &str| format!("{}{}\u{200c}{}{}", dress.0, &number[..4], &number[4..], dress.1);
        let number = dressed(&customer);
        for (method, path, body) in entrances() {
            if path.ends_with("request-code") {
                continue;
            }
            let (status, answer) =
                scene.call(method, &path.replace('#', &encoded(&number)), &with(&body, &number)).await;
            assert_ne!(status, 400, "{method} {path} {number:?}: {answer}");
        }
        let sent = scene.send(&number, &format!("hello {n}")).await;
        assert_eq!(id(&sent).split('_').nth(1), Some(format!("{customer}@c.us").as_str()));
        let asked = json!({ "phoneNumber": dressed(&own) });
        let (status, code) = scene.call("POST", "/api/vacant/auth/request-code", &asked).await;
        // One code is outstanding at a time.
        let expected = if n == 0 { 200 } else { 409 };
        assert_eq!((status, code["code"] == json!("code_outstanding")), (expected, n > 0), "{asked}: {code}");
    }
    let chats = scene.stage.dashboard.get(&format!("/api/{TENANT}/chats")).await.unwrap();
    let people: Vec<_> = chats.body.as_array().unwrap().iter().map(|chat| chat["id"].as_str().unwrap()).collect();
    let people: Vec<_> = people.into_iter().filter(|id| id.ends_with("@c.us")).collect();
    assert_eq!(people, [format!("{customer}@c.us")], "{}", chats.body);
    scene.daemon.kill().await.unwrap();
}

/// WhatsApp confirms what is written there, and nobody gets it.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_no_messages_is_no_recipient() {
    let scene = NumberScene::new().await;
    for to in [
        "4915000000001@hosted",
        "99@hosted.lid",
        "4915000000001@interop",
        "4915000000001@broadcast",
        "4915000000001@bot",
        "4915000000001@msgr",
        "0@c.us",
        "0573001234567",
    ] {
        let body = json!({ "session": TENANT, "chatId": to, "text": "x" });
        let answer = scene.stage.dashboard.post("/api/sendText", body).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_input")), "{to}: {}", answer.body);
    }
    scene.daemon.kill().await.unwrap();
}
