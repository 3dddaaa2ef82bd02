//! Statuses: what a tenant shows reaches those whom it is for, once, whatever dies meanwhile, and nobody else; what customers show is no
//! message of theirs.

use std::collections::BTreeSet;

use loopback::{Received, Say};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Heard, Process, until};
use sha2::{Digest as _, Sha256};

use crate::{
    messages::media::{MP4, OGG, base64, file, form, picture},
    support::{
        driver::Client,
        node::program,
        receiver::Receiver,
        stage::{Home, LIMIT, Stage},
    },
};

const CHAT: &str = "status@broadcast";

struct StatusScene {
    stage: Stage,
    daemon: Process,
    tenant: Conversation,
    ear: Ear,
}

impl StatusScene {
    async fn new() -> Self {
        Self::with(|stage| stage).await
    }

    async fn with(set: impl FnOnce(Stage) -> Stage) -> Self {
        let stage = set(Stage::new(Home::Embedded).await.unwrap());
        let daemon = stage.start().await;
        let tenant = stage.pair("trattoria").await;
        let ear = stage.listen(std::slice::from_ref(&tenant));
        Self { stage, daemon, tenant, ear }
    }

    async fn customers(&self) -> (String, String, String) {
        let network = &self.stage.network;
        (network.add_customer().await, network.add_customer().await, network.add_customer().await)
    }

    /// Posts a status, or takes one back; the answer.
    async fn ask(&self, what: &str, body: Value) -> (u16, Value) {
        let answer = self.stage.dashboard.post(&format!("/api/trattoria/status/{what}"), body).await.unwrap();
        (answer.status, answer.body)
    }

    /// The same, accepted: WhatsApp's id of it.
    async fn post(&self, what: &str, body: Value) -> String {
        let (status, answer) = self.ask(what, body).await;
        assert_eq!(status, 201, "{what}: {answer}\n{}", self.stage.log());
        assert_eq!((&answer["to"], &answer["fromMe"]), (&json!(CHAT), &json!(true)), "{answer}");
        bare(&answer)
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.stage.dashboard.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// A status as somebody sees it.
    async fn seen(&self, number: &str, id: &str) -> Received {
        let found = || async { self.inbox(number).await.into_iter().find(|received| received.id == id) };
        let there = until(LIMIT, "the status", || async { found().await.is_some() }).await;
        there.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
        let received = found().await.unwrap();
        assert_eq!((received.chat.as_str(), &received.problem), (CHAT, &None), "{received:?}");
        received
    }

    async fn inbox(&self, number: &str) -> Vec<Received> {
        self.stage.network.customer_inbox(number).await.unwrap()
    }

    /// Who has a receipt for it with the network, `by` among them.
    async fn known_to(&self, sender: &str, id: &str, by: &str, how: impl Fn(&loopback::WireMessage) -> &[String]) {
        let there = || async {
            let sent = self.stage.network.messages(Some(sender)).await.unwrap();
            sent.iter().any(|sent| sent.id == id && how(sent).iter().any(|device| device.starts_with(by)))
        };
        let there = until(LIMIT, "the receipt", there).await;
        there.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
    }

    async fn end(self) {
        let stats = self.stage.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0), "{stats:?}");
        self.daemon.kill().await.unwrap();
    }
}

fn bare(answer: &Value) -> String {
    let id = answer["id"].as_str().unwrap();
    id.strip_prefix("true_status@broadcast_").unwrap().split('_').next().unwrap().to_owned()
}

fn people(numbers: &[&String]) -> Value {
    numbers.iter().map(|number| format!("{number}@c.us")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_reaches_whom_it_names_byte_for_byte_and_is_taken_back() {
    let scene = StatusScene::new().await;
    let (a, b, c) = scene.customers().await;
    let colour = 0xFF38_B42F_u32;
    let body =
        json!({ "contacts": people(&[&a, &b, &a]), "text": "Hoy: ajiaco", "backgroundColor": "#38b42f", "font": 2.0 });
    let text = scene.post("text", body).await;
    for number in [&a, &b] {
        let seen = scene.seen(number, &text).await;
        assert_eq!((seen.kind.as_str(), seen.text.as_deref()), ("text", Some("Hoy: ajiaco")));
        assert_eq!(seen.fields["background_argb"], json!(colour), "{seen:?}");
        assert!(seen.fields["font"].to_string().contains("FB_SCRIPT") || seen.fields["font"] == json!(2), "{seen:?}");
    }
    // The tenant's own phone shows it too.
    scene.seen(&scene.tenant.number, &text).await;

    let cases = [
        ("image", "image", picture(320, 200), json!({ "caption": "Margherita" })),
        ("voice", "voice", file(OGG, 900), json!({ "convert": true, "backgroundColor": "#38b42f" })),
        ("video", "video", file(MP4, 9000), json!({ "convert": true, "caption": "our oven" })),
    ];
    for (what, kind, data, mut body) in cases {
        body["file"] = json!({ "mimetype": "text/plain", "filename": "x", "data": base64(&data) });
        body["contacts"] = people(&[&a]);
        let id = scene.post(what, body.clone()).await;
        let seen = scene.seen(&a, &id).await;
        assert_eq!((seen.kind.as_str(), &seen.file.unwrap().data), (kind, &data), "{what}");
        match body.get("caption") {
            Some(caption) => assert_eq!(seen.fields["caption"], *caption),
            None => assert_eq!(seen.fields["background_argb"], json!(colour)),
        }
    }
    let (kind, bytes) =
        form(&[("contacts", &format!("{a}@c.us")), ("caption", "by form")], "x.png", "image/png", &picture(9, 9));
    let url = format!("http://{}/api/trattoria/status/image", scene.stage.setup.address);
    let request = reqwest::Client::new().post(url).header("x-api-key", &scene.stage.setup.admin_key);
    let answer = request.header("content-type", kind).body(bytes).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let id = bare(&answer.json().await.unwrap());
    assert_eq!(scene.seen(&a, &id).await.fields["caption"], json!("by form"));

    // Settled as every message, and read by one of them.
    scene.stage.network.customer_read(&b, &text).await.unwrap();
    let listed = || async {
        let all = scene.get("/api/trattoria/chats/status@broadcast/messages?limit=100").await;
        let found = all.as_array().unwrap().iter().find(|shown| shown["id"].as_str().unwrap().contains(&text));
        found.is_some_and(|shown| shown["ackName"] == json!("READ"))
    };
    until(LIMIT, "that it was read", listed).await.unwrap();

    // Taken back from those who had it, by whichever form of its id.
    let full = format!("true_status@broadcast_{text}_{}@c.us", scene.tenant.number);
    let gone = scene.post("delete", json!({ "id": full, "contacts": people(&[&c]) })).await;
    for number in [&a, &b] {
        let seen = scene.seen(number, &gone).await;
        assert_eq!((seen.kind.as_str(), seen.about.as_deref()), ("revoke", Some(text.as_str())), "{seen:?}");
    }
    let (status, answer) = scene.ask("delete", json!({ "id": "3EB0AAAAAAAAAAAA" })).await;
    assert_eq!((status, &answer["code"]), (404, &json!("unknown_message")), "{answer}");
    assert!(scene.inbox(&c).await.is_empty(), "nothing of it was for c");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_contacts_a_status_goes_to_those_whom_the_tenant_knows() {
    let scene = StatusScene::new().await;
    let (saved, talks, stranger) = scene.customers().await;
    let (status, answer) = scene.ask("text", json!({ "text": "nobody yet" })).await;
    assert_eq!((status, &answer["code"]), (409, &json!("nobody_known")), "{answer}");
    let name = json!({ "firstName": "Ana", "lastName": "" });
    let answer = scene.stage.dashboard.put(&format!("/api/trattoria/contacts/{saved}@c.us"), name).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    scene.stage.network.customer_send(&talks, &scene.tenant.number, "a table?").await.unwrap();
    scene.ear.until(LIMIT, |heard| heard.iter().any(|heard| heard.event == "message:received")).await.unwrap();
    let id = scene.post("text", json!({ "text": "for all", "contacts": null })).await;
    for number in [&saved, &talks] {
        assert_eq!(scene.seen(number, &id).await.text.as_deref(), Some("for all"));
    }
    assert!(scene.inbox(&stranger).await.is_empty());
    // It is no conversation of the tenant, here or in the old contract, and a dashboard of the old one hears nothing of it.
    for path in
        ["/api/trattoria/chats", "/api/trattoria/chats/overview", "/api/baileys/conversations?tenantId=trattoria"]
    {
        assert!(!scene.get(path).await.to_string().contains(CHAT), "{path}");
    }
    scene.stage.dashboard.send("trattoria", &talks, "yes", "after").await.unwrap();
    let sent = |heard: &[Heard]| heard.iter().any(|heard| heard.event == "message:sent");
    scene.ear.until(LIMIT, sent).await.unwrap();
    let of_status = scene.ear.heard().into_iter().filter(|heard| heard.payload.to_string().contains(&id));
    assert_eq!(of_status.count(), 0);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_the_same_status() {
    let scene = StatusScene::new().await;
    let (a, b, _) = scene.customers().await;
    let id = scene.get("/api/trattoria/status/new-message-id").await["id"].as_str().unwrap().to_owned();
    let body = |text: &str, whom: &[&String]| json!({ "id": id, "text": text, "contacts": people(whom) });
    for _ in 0..3 {
        assert_eq!(scene.post("text", body("once", &[&a, &b])).await, id);
    }
    for other in [body("twice", &[&a, &b]), body("once", &[&a])] {
        let (status, answer) = scene.ask("text", other).await;
        assert_eq!((status, &answer["code"]), (422, &json!("idempotency_key_reused")), "{answer}");
    }
    let last = scene.post("text", json!({ "text": "last", "contacts": people(&[&a]) })).await;
    scene.seen(&a, &last).await;
    let inbox = scene.inbox(&a).await;
    assert_eq!(
        inbox.iter().map(|seen| (seen.id.as_str(), seen.arrivals)).collect::<Vec<_>>(),
        [(id.as_str(), 1), (&last, 1)]
    );
    scene.end().await;
}

/// Accepted, then the process dies, before the wire or on it, and the disk with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_posts_a_status_once() {
    for point in ["lease_raised", "on_the_wire"] {
        let mut scene = StatusScene::new().await;
        let (a, b, c) = scene.customers().await;
        scene.daemon.kill().await.unwrap();
        let mut doomed =
            scene.stage.setup.clone().set("LOOPBACK_CRASH", format!("{point}:1")).start(LIMIT).await.unwrap();
        until(LIMIT, "the tenant is back", || scene.stage.dashboard.is_connected("trattoria")).await.unwrap();
        let body = json!({ "text": "once", "contacts": people(&[&a, &b]) });
        let answer = scene.stage.dashboard.post("/api/trattoria/status/text", body).await;
        let dead = async || doomed.has_ended().unwrap();
        let mut dead = dead;
        let died = tokio::time::timeout(LIMIT, async {
            while !dead().await {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        died.await.unwrap_or_else(|_| panic!("{point} was never reached\n{}", scene.stage.log()));
        let answer = answer.unwrap_or_else(|error| panic!("{point}: it died before it answered: {error}"));
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = bare(&answer.body);
        scene.stage.wipe_local_data();
        scene.daemon = scene.stage.start().await;
        for number in [&a, &b] {
            assert_eq!(scene.seen(number, &id).await.text.as_deref(), Some("once"));
        }
        // Whom it was for outlives the disk too, when it is taken back.
        let gone = scene.post("delete", json!({ "id": id })).await;
        for number in [&a, &b] {
            scene.seen(number, &gone).await;
            let ids: BTreeSet<String> = scene.inbox(number).await.into_iter().map(|seen| seen.id).collect();
            assert_eq!(ids, [id.clone(), gone.clone()].into(), "{point}: one status, one revocation");
        }
        assert!(scene.inbox(&c).await.is_empty());
        let stats = scene.stage.network.stats().await;
        assert_eq!((stats.counters_reused, stats.counts.pairings), (0, 1), "{point}");
        scene.daemon.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_status_is_no_message_of_the_customer() {
    let receiver = Receiver::start().await;
    let scene = StatusScene::with(|stage| {
        stage.set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32").set("http_proxy", "").set("HTTP_PROXY", "")
    });
    let scene = scene.await;
    let (network, number) = (scene.stage.network.clone(), scene.tenant.number.clone());
    let hook = json!({ "webhooks": [{ "url": receiver.url(), "events": ["*"] }] });
    let answer = scene.stage.dashboard.put("/api/trattoria/webhooks", hook).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let (a, b, _) = scene.customers().await;
    let data = picture(64, 64);
    let text = network.post_status(&a, &[&number], "closed on Monday").await.unwrap();
    let image = network.post_status(&a, &[&number], Say::image(data.clone()).caption("look")).await.unwrap();
    network.customer_send(&a, &number, "a table?").await.unwrap();

    // WAHA's clients get it as what it is.
    let came = |posts: &[crate::support::receiver::Post]| {
        posts.iter().filter(|post| post.json["event"] == json!("message")).count() >= 3
    };
    receiver.until(LIMIT, "three messages", came).await;
    let posts = receiver.posts();
    let of = |id: &str| {
        let is_it = |post: &&crate::support::receiver::Post| {
            post.json["event"] == json!("message") && post.json["payload"]["id"].as_str().unwrap().contains(id)
        };
        posts.iter().find(is_it).unwrap().json["payload"].clone()
    };
    let payload = of(&text);
    assert_eq!((&payload["from"], &payload["body"]), (&json!(CHAT), &json!("closed on Monday")), "{payload}");
    assert_eq!(payload["participant"], json!(format!("{a}@c.us")), "{payload}");
    assert_eq!(payload["id"], json!(format!("false_status@broadcast_{text}_{a}@c.us")));
    let url = of(&image)["media"]["url"].as_str().unwrap().to_owned();
    let request = reqwest::Client::new().get(url).header("x-api-key", &scene.stage.setup.admin_key);
    assert_eq!(request.send().await.unwrap().bytes().await.unwrap(), data, "fetched when it is asked for");

    // The old contract hears the message, and nothing of a status.
    let table = |heard: &[Heard]| heard.iter().any(|heard| heard.payload["message"]["text"] == json!("a table?"));
    scene.ear.until(LIMIT, table).await.unwrap();
    let received = scene.ear.heard().into_iter().filter(|heard| heard.event.starts_with("message:"));
    assert_eq!(received.count(), 1, "{:#?}", scene.ear.heard());
    let conversations = scene.get("/api/baileys/conversations?tenantId=trattoria").await.to_string();
    assert!(
        conversations.contains(&a) && !conversations.contains(CHAT) && !conversations.contains("closed"),
        "{conversations}"
    );
    let chat = scene.get(&format!("/api/trattoria/chats/{a}@c.us/messages?limit=10")).await;
    assert_eq!(chat.as_array().unwrap().len(), 1, "{chat}");
    let shown = scene.get("/api/trattoria/chats/status@broadcast/messages?limit=10").await;
    assert_eq!(shown.as_array().unwrap().len(), 2, "{shown}");

    // Its author learns that it came, and that it was looked at only when it was.
    scene.known_to(&a, &text, &number, |sent| &sent.delivered).await;
    let read = async |id: &str| {
        let sent = network.messages(Some(&a)).await.unwrap();
        sent.into_iter().find(|sent| sent.id == id).unwrap().read
    };
    assert_eq!(read(&text).await, [""; 0]);
    let seen = json!({ "session": "trattoria", "chatId": CHAT, "messageIds": [payload["id"]] });
    let answer = scene.stage.dashboard.post("/api/sendSeen", seen).await.unwrap();
    assert!([200, 201].contains(&answer.status), "{answer:?}");
    scene.known_to(&a, &text, &number, |sent| &sent.read).await;
    assert_eq!(read(&image).await, [""; 0]);

    // The tenant likes it, to its author.
    let like = json!({ "session": "trattoria", "messageId": payload["id"], "reaction": "👍" });
    let answer = scene.stage.dashboard.put("/api/reaction", like).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = scene.seen(&a, &bare(&answer.body)).await;
    assert_eq!(
        (seen.kind.as_str(), seen.text.as_deref(), seen.about.as_deref()),
        ("reaction", Some("👍"), Some(&*text))
    );

    // Taken back.
    let gone = network.post_status(&a, &[&number], Say::revoke(&text)).await.unwrap();
    scene.known_to(&a, &gone, &number, |sent| &sent.delivered).await;
    let revoked = |posts: &[crate::support::receiver::Post]| {
        posts.iter().any(|post| {
            post.json["event"] == json!("message.revoked") && post.json["payload"]["revokedMessageId"] == json!(text)
        })
    };
    receiver.until(LIMIT, "the revocation", revoked).await;
    // Of a message to a group each of its members says that it came, once.
    let names =
        async |who: &String| [format!("{who}@c.us"), network.phone(who).await.unwrap().lid].map(|name| json!(name));
    let has_it = |post: &crate::support::receiver::Post, event: &str, id: &str, names: &[Value]| {
        let payload = &post.json["payload"];
        (&post.json["event"], &payload["ackName"]) == (&json!(event), &json!("DEVICE"))
            && payload["_data"]["key"]["id"] == json!(id)
            && names.contains(&payload["participant"])
    };
    let of_a = names(&a).await;
    let group = network.create_group(&a, "Mesa 4", &[&number, &b]).await.unwrap().jid;
    let body = json!({ "session": "trattoria", "chatId": group, "text": "open again" });
    let sent = scene.stage.dashboard.post("/api/sendText", body).await.unwrap().body;
    let id = sent["_data"]["key"]["id"].as_str().unwrap_or_else(|| panic!("{sent}"));
    let of_b = names(&b).await;
    for names in [&of_a, &of_b] {
        let times = |posts: &[crate::support::receiver::Post]| {
            posts.iter().filter(|post| has_it(post, "message.ack.group", id, names)).count()
        };
        receiver.until(LIMIT, "who has the message", |posts| times(posts) > 0).await;
        assert_eq!(times(&receiver.posts()), 1);
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_status_is_refused_and_nothing_is_sent() {
    let scene = StatusScene::new().await;
    let (a, b, _) = scene.customers().await;
    let ok = |mut body: Value| {
        for (field, value) in [("contacts", people(&[&a])), ("text", json!("x"))] {
            if body.get(field).is_none() {
                body[field] = value;
            }
        }
        body
    };
    let many: Vec<String> = (0..5001).map(|n| format!("57300{n:07}@c.us")).collect();
    let cases = [
        ("text", ok(json!({ "text": "" })), "text"),
        ("text", ok(json!({ "text": " \n" })), "text"),
        ("text", ok(json!({ "text": "x".repeat(65_537) })), "text"),
        ("text", ok(json!({ "backgroundColor": "red" })), "backgroundColor"),
        ("text", ok(json!({ "backgroundColor": "#ff" })), "backgroundColor"),
        ("text", ok(json!({ "backgroundColor": "" })), "backgroundColor"),
        ("text", ok(json!({ "font": 3 })), "font"),
        ("text", ok(json!({ "font": -1 })), "font"),
        ("text", ok(json!({ "font": 1e308 })), "font"),
        ("text", ok(json!({ "font": "2" })), "font"),
        ("text", ok(json!({ "id": "no" })), "id"),
        ("text", ok(json!({ "contacts": [] })), "contacts"),
        ("text", ok(json!({ "contacts": [""] })), "contacts"),
        ("text", ok(json!({ "contacts": ["120363000000000001@g.us"] })), "contacts"),
        ("text", ok(json!({ "contacts": ["status@broadcast"] })), "contacts"),
        ("text", ok(json!({ "contacts": ["x@newsletter"] })), "contacts"),
        ("text", ok(json!({ "contacts": ["a b@c.us"] })), "contacts"),
        ("text", ok(json!({ "contacts": format!("{b}@c.us") })), "contacts"),
        ("text", ok(json!({ "contacts": many })), "contacts"),
        ("image", ok(json!({})), "file"),
        ("image", ok(json!({ "file": { "data": base64(b"plain") } })), "file"),
        ("image", ok(json!({ "file": { "data": "!" } })), "file.data"),
        ("image", ok(json!({ "file": { "url": "http://127.0.0.1/x" } })), "file.url"),
        ("voice", ok(json!({ "file": { "data": base64(&file(OGG, 99)) }, "backgroundColor": "#" })), "backgroundColor"),
        ("delete", json!({}), "id"),
        ("delete", json!({ "id": "" }), "id"),
    ];
    for (what, body, field) in cases {
        let (status, answer) = scene.ask(what, body.clone()).await;
        let field_of = |error: &Value| error["field"].as_str().unwrap_or_default().to_owned();
        let fields: Vec<String> =
            answer["errors"].as_array().map(|all| all.iter().map(field_of).collect()).unwrap_or_default();
        assert!([400, 422].contains(&status), "{what} {field}: {status} {answer}");
        assert!(fields.iter().any(|named| named.starts_with(field)), "{what} {field}: {answer}");
    }
    let mp3 = json!({ "file": { "data": base64(b"ID3\x03\0\0\0\0\0\0") }, "convert": true, "contacts": people(&[&a]) });
    assert_eq!(scene.ask("voice", mp3).await.0, 501);
    // Nor is it sent as a message, which would be told to nobody.
    for (path, body) in [
        ("/api/sendText", json!({ "session": "trattoria", "chatId": CHAT, "text": "x" })),
        (
            "/api/sendImage",
            json!({ "session": "trattoria", "chatId": CHAT, "file": { "data": base64(&picture(3, 3)) } }),
        ),
        ("/api/baileys/send", json!({ "tenantId": "trattoria", "to": CHAT, "text": "x" })),
    ] {
        let answer = scene.stage.dashboard.post(path, body.clone()).await.unwrap();
        assert!([400, 422].contains(&answer.status), "{path}: {answer:?}");
        if body.get("chatId").is_some() {
            assert_eq!(answer.body["errors"][0]["field"], json!("chatId"), "{path}: {answer:?}");
        }
    }
    // Nor what is for nobody: all later ones would wait for it.
    let nobody = json!({ "text": "x", "contacts": ["573000000001@c.us", "573000000002@c.us"] });
    let (status, answer) = scene.ask("text", nobody).await;
    assert_eq!((status, &answer["code"]), (409, &json!("nobody_known")), "{answer}");
    // Somebody without WhatsApp keeps it from nobody else.
    let body = json!({ "text": "x", "contacts": [format!("{a}@c.us"), "573000000001@c.us", "99999999@lid"] });
    let id = scene.post("text", body).await;
    scene.seen(&a, &id).await;
    assert_eq!(scene.inbox(&a).await.len(), 1);
    assert!(scene.inbox(&b).await.is_empty());
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_sees_a_tenants_statuses_and_posts_its_own() {
    baileys("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_sees_a_tenants_statuses_and_posts_its_own() {
    baileys("7").await;
}

async fn baileys(version: &str) {
    let Some(folder) = program("baileys") else { return };
    let mut scene = StatusScene::new().await;
    let network = scene.stage.network.clone();
    let guest = network.add_phone(Some("Guest".into())).await.number;
    let mut client = Client::paired(&folder, version, &network, &guest).await;
    let contacts = people(&[&guest]);
    let data = picture(300, 200);

    let id = scene.post("text", json!({ "text": "Hoy: ajiaco", "contacts": contacts, "font": 1 })).await;
    let message = client.message(&id).await;
    assert_eq!((&message["chat"], &message["text"]), (&json!(CHAT), &json!("Hoy: ajiaco")), "{message}");
    assert_eq!(message["content"]["backgroundArgb"], json!(0xFF38_B42F_u32), "{message}");
    let body = json!({ "file": { "data": base64(&data) }, "caption": "Margherita", "contacts": contacts });
    let image = scene.post("image", body).await;
    let message = client.message(&image).await;
    assert_eq!(message["media"]["sha256"], hex::encode(Sha256::digest(&data)), "{message}");
    let gone = scene.post("delete", json!({ "id": id })).await;
    assert_eq!(client.message(&gone).await["content"]["key"]["id"], json!(id));

    let audience = json!({ "statusJidList": [format!("{}@s.whatsapp.net", scene.tenant.number)] });
    let (own, _) = client.send_content(CHAT, &json!({ "text": "at the beach" }), &audience).await;
    let came = || async {
        let all = scene.get("/api/trattoria/chats/status@broadcast/messages?limit=100").await;
        all.as_array().unwrap().iter().any(|shown| {
            shown["body"] == json!("at the beach")
                && shown["id"] == json!(format!("false_status@broadcast_{own}_{guest}@c.us"))
        })
    };
    until(LIMIT, "the guest's status", came).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));

    // It has lost its keys, and asks for what it cannot read when our disk is lost as well.
    client.command(json!({ "command": "disconnect" })).await;
    client.event("close", |_| true).await;
    client.command(json!({ "command": "forget" })).await;
    let id = scene.post("text", json!({ "text": "read me", "contacts": contacts })).await;
    // The phone of the guest has it, so it is settled.
    scene.seen(&guest, &id).await;
    let settled = || async {
        let path = format!("/api/trattoria/chats/status@broadcast/messages/true_status@broadcast_{id}");
        scene.get(&path).await["ackName"] == json!("DEVICE")
    };
    until(LIMIT, "its receipt", settled).await.unwrap();
    // Said at once, and in the vault with what goes there next.
    scene.stage.dashboard.send("trattoria", &guest, "hello", "another").await.unwrap();
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    client.command(json!({ "command": "connect" })).await;
    client.event("open", |_| true).await;
    let message = client.event("message", |event| event["id"] == json!(id) && event["text"] == json!("read me")).await;
    assert_eq!(message["chat"], json!(CHAT));
    let sent = network.messages(Some(&scene.tenant.number)).await.unwrap();
    let sent = sent.into_iter().find(|sent| sent.id == id).unwrap();
    assert!(sent.resent > 0 && sent.seen == 1, "answered, and not posted anew: {sent:?}");
    assert_eq!(network.stats().await.counters_reused, 0);
    client.end().await;
    scene.daemon.kill().await.unwrap();
}
