//! Every kind of message between customers and a tenant: what customers of the network and of two versions of Baileys write,
//! a dashboard sees; what a dashboard writes, Baileys reads.

use loopback::{Card, Fault, FaultKind, Say};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process};
use whatsapp_rust::{
    buffa::MessageField,
    wacore::message_edit::{MessageEditContext, encrypt_message_edit},
    waproto::whatsapp as wa,
};

use crate::support::{
    driver::Client,
    node::program,
    stage::{Home, LIMIT, Stage},
};

const VCARD: &str = "BEGIN:VCARD\nVERSION:3.0\nFN:Ana\nTEL;type=CELL;waid=573001112233:+57 300 111 2233\nEND:VCARD";

/// A picture, as far as anybody here looks.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

struct KindsScene {
    stage: Stage,
    daemon: Process,
    tenant: Conversation,
    ear: Ear,
}

impl KindsScene {
    async fn new() -> Self {
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let daemon = stage.start().await;
        let tenant = stage.pair("trattoria").await;
        let ear = stage.listen(std::slice::from_ref(&tenant));
        Self { stage, daemon, tenant, ear }
    }

    /// The message as the dashboard sees it, once.
    async fn seen(&self, id: &str) -> Value {
        let is_it = |heard: &sessiond::demo::Heard| {
            heard.event.starts_with("message:") && heard.payload["message"]["id"] == json!(id)
        };
        if let Err(error) = self.ear.until(LIMIT, |heard| heard.iter().any(is_it)).await {
            panic!("{id}: {error}: {:#?}\n{}", self.ear.heard(), self.stage.log());
        }
        let mut seen: Vec<_> = self.ear.heard().into_iter().filter(is_it).collect();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0).payload["message"].take()
    }

    /// Over WAHA's API; WhatsApp's id of the message.
    async fn send(&self, method: &str, path: &str, to: &str, mut body: Value) -> String {
        body["session"] = json!(self.tenant.tenant);
        if method == "POST" {
            body["chatId"] = json!(format!("{to}@c.us"));
        }
        let url = format!("http://{}{path}", self.stage.setup.address);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let answer = request.header("x-api-key", &self.stage.setup.admin_key).json(&body).send().await.unwrap();
        let (status, answer) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer["id"].as_str().unwrap().rsplit('_').next().unwrap().to_owned()
    }

    /// After so many pairings: the tenant's, and a guest's.
    async fn end(self, pairings: u64) {
        let stats = self.stage.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused, stats.counts.pairings), (0, 0, pairings));
        self.daemon.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_write_every_kind() {
    let scene = KindsScene::new().await;
    let customer = scene.stage.network.add_customer().await;
    let write = async |say: Say| {
        let sent = scene.stage.network.customer_send(&customer, &scene.tenant.number, say).await;
        scene.seen(&sent.unwrap()).await
    };
    let card = || Card { name: "Ana".into(), vcard: VCARD.into() };
    let picture = || Say::image(vec![7; 5000]).caption("Margherita");
    let cases: Vec<(Say, &str, &str, Value)> = vec![
        (Say::text("a table?"), "text", "/text", json!("a table?")),
        (Say::text("gone soon").ephemeral(86_400), "text", "/text", json!("gone soon")),
        (picture(), "image", "/caption", json!("Margherita")),
        (picture().view_once(), "image", "/view_once", json!(true)),
        (Say::video(vec![1; 9000]), "video", "/size", json!(9000)),
        (Say::audio(vec![2; 100]), "audio", "/voice", json!(false)),
        (Say::voice(vec![2; 100]), "audio", "/voice", json!(true)),
        (Say::document("menu.pdf", vec![3; 15]), "document", "/file_name", json!("menu.pdf")),
        (Say::document("menu.pdf", vec![3; 15]).caption("ours"), "document", "/caption", json!("ours")),
        (Say::sticker(vec![4; 50]), "sticker", "/mimetype", json!("image/webp")),
        (
            Say::Location { latitude: 4.6, longitude: -74.1, name: Some("Home".into()), address: None },
            "location",
            "/latitude",
            json!(4.6),
        ),
        (
            Say::LiveLocation { latitude: 1.5, longitude: 2.5, caption: None, sequence: 1 },
            "location",
            "/live",
            json!(true),
        ),
        (Say::Contact(card()), "contact", "/contacts/0/vcard", json!(VCARD)),
        (
            Say::Contacts { name: "both".into(), contacts: vec![card(), card()] },
            "contact",
            "/contacts/1/name",
            json!("Ana"),
        ),
        (Say::poll("Size?", &["L", "XL"], 1), "poll", "/options", json!(["L", "XL"])),
        (Say::ButtonsResponse { id: "yes".into(), text: "Yes".into() }, "choice", "/id", json!("yes")),
        (Say::ListResponse { id: "row".into(), title: "Row".into() }, "choice", "/text", json!("Row")),
        (
            Say::Order {
                id: "7".into(),
                title: "Two pizzas".into(),
                items: 2,
                total: 31_000_000,
                currency: "COP".into(),
                token: "t".into(),
            },
            "order",
            "/token",
            json!("t"),
        ),
        (
            Say::Product {
                id: "9".into(),
                retailer_id: "SKU-1".into(),
                title: "Margherita".into(),
                price: 15_500_000,
                currency: "COP".into(),
            },
            "product",
            "/retailer_id",
            json!("SKU-1"),
        ),
        (Say::Unknown { field: 4000 }, "unknown", "/name", json!("unknown")),
    ];
    for (say, kind, pointer, value) in cases {
        let what = format!("{say:?}");
        let content = write(say).await["content"].take();
        assert_eq!((&content["kind"], content.pointer(pointer)), (&json!(kind), Some(&value)), "{what}: {content}");
    }

    let from_advertisement = |say| Say::FromAdvertisement {
        title: "Pizza night".into(),
        source_id: "120200".into(),
        click_id: "ARAk".into(),
        say: Box::new(say),
    };
    for say in [Say::text("a table?"), picture()] {
        let seen = write(from_advertisement(say)).await;
        let expected = json!({
            "title": "Pizza night",
            "body": "",
            "url": "https://fb.me/1",
            "source_type": "ad",
            "source_id": "120200",
            "click_id": "ARAk",
        });
        assert_eq!(seen["advertisement"], expected, "{seen}");
    }

    // What is about another message.
    let first = scene.stage.network.customer_send(&customer, &scene.tenant.number, "a pizza").await.unwrap();
    scene.seen(&first).await;
    let answer = scene.send("POST", "/api/sendText", &customer, json!({ "text": "which one?" })).await;
    let poll = json!({ "poll": { "name": "Dessert?", "options": ["yes", "no"] } });
    let poll = scene.send("POST", "/api/sendPoll", &customer, poll).await;
    let has = || async {
        let inbox = scene.stage.network.customer_inbox(&customer).await.unwrap();
        [&answer, &poll].iter().all(|id| inbox.iter().any(|received| received.id == **id))
    };
    sessiond::demo::until(LIMIT, "the answers", has).await.unwrap();
    let reply = write(Say::text("Margherita").reply_to(&answer)).await;
    assert_eq!(
        (&reply["quotedMessage"]["id"], &reply["quotedMessage"]["text"]),
        (&json!(answer), &json!("which one?"))
    );
    let named = write(Say::Text { text: "for @us".into(), mentions: vec![scene.tenant.number.clone()] }).await;
    assert_eq!(named["mentions"], json!([format!("{}@s.whatsapp.net", scene.tenant.number)]), "{named}");
    assert_eq!(reply["mentions"], serde_json::Value::Null, "{reply}");
    // Of a product or an order the text alone is nothing to go by.
    assert_eq!(reply["quotedMessage"]["content"]["kind"], json!("text"), "{reply}");
    let reaction = write(Say::reaction(&answer, "👍")).await["content"].take();
    assert_eq!(
        (&reaction["target"]["id"], &reaction["target"]["from_me"]),
        (&json!(answer), &json!(true)),
        "{reaction}"
    );
    let vote = write(Say::vote(&poll, &["yes"])).await["content"].take();
    assert_eq!((&vote["kind"], &vote["options"]), (&json!("vote"), &json!(["yes"])), "{vote}");
    let edit = write(Say::edit(&first, "two pizzas")).await["content"].take();
    assert_eq!((&edit["target"]["id"], &edit["content"]["text"]), (&json!(first), &json!("two pizzas")), "{edit}");
    let revoke = write(Say::revoke(&first)).await["content"].take();
    assert_eq!((&revoke["kind"], &revoke["target"]["id"]), (&json!("revoke"), &json!(first)), "{revoke}");

    // What the owner writes on the phone appears too.
    let owner = scene.stage.network.phone_send(&scene.tenant.number, &customer, Say::image(vec![5; 99])).await.unwrap();
    let owner = scene.seen(&owner).await;
    assert_eq!((&owner["fromMe"], &owner["content"]["kind"]), (&json!(true), &json!("image")), "{owner}");
    what_the_phone_writes_comes_as_far_as_its_customer_says(&scene, &customer).await;
    scene.end(1).await;
}

/// WhatsApp has it when it is seen here, and tells each step once.
async fn what_the_phone_writes_comes_as_far_as_its_customer_says(scene: &KindsScene, customer: &str) {
    let network = &scene.stage.network;
    network.fault(Fault::new(FaultKind::Withhold).target(customer)).await.unwrap();
    let id = network.phone_send(&scene.tenant.number, customer, "from the kitchen").await.unwrap();
    scene.seen(&id).await;
    let newest = async |query: &str| {
        let path = format!("/api/trattoria/chats/{customer}@c.us/messages?limit=1{query}");
        scene.stage.dashboard.get(&path).await.unwrap().body[0].take()
    };
    for query in ["", "&filter.ack=1"] {
        let listed = newest(query).await;
        assert!(listed["id"].as_str().is_some_and(|found| found.ends_with(&id)), "{query}: {listed}");
        assert_eq!((&listed["source"], &listed["ackName"]), (&json!("app"), &json!("SERVER")), "{listed}");
    }
    let old = format!("/api/baileys/messages?tenantId=trattoria&chatId={customer}&limit=1");
    let old = scene.stage.dashboard.get(&old).await.unwrap().body["messages"][0].take();
    assert_eq!((&old["id"], &old["status"]), (&json!(id), &json!("sent")), "{old}");

    let steps = || -> Vec<Value> {
        let heard = scene.ear.heard().into_iter().filter(|heard| heard.event == "message:status");
        let of_it = heard.filter(|heard| heard.payload["messageId"] == json!(id));
        of_it.map(|heard| heard.payload["status"].clone()).collect()
    };
    let comes_to = async |what: &[&str]| {
        let there = sessiond::demo::until(LIMIT, "the step", || async { steps().len() >= what.len() }).await;
        there.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", steps(), scene.stage.log()));
        assert_eq!(steps(), what.iter().map(|step| json!(step)).collect::<Vec<_>>());
    };
    network.clear_faults().await;
    comes_to(&["delivered"]).await;
    for _ in 0..2 {
        network.customer_read(customer, &id).await.unwrap();
    }
    network.customer_play(customer, &id).await.unwrap();
    comes_to(&["delivered", "read", "played"]).await;
    let listed = newest("").await;
    assert_eq!((&listed["source"], &listed["ackName"]), (&json!("app"), &json!("PLAYED")), "{listed}");
}

/// An edit that is sealed with the secret of the message that it edits, which came in a former life.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_edit_opens_after_a_lost_disk() {
    let mut scene = KindsScene::new().await;
    let network = scene.stage.network.clone();
    let customer = network.add_customer().await;
    let secret = [7; 32];
    let original = wa::Message {
        conversation: Some("a pizza".into()),
        message_context_info: MessageField::some(wa::MessageContextInfo {
            message_secret: Some(secret.to_vec()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let say = |message: wa::Message| Say::Raw { message: Box::new(message) };
    let first = network.customer_send(&customer, &scene.tenant.number, say(original)).await.unwrap();
    scene.seen(&first).await;

    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    let author = format!("{customer}@s.whatsapp.net");
    let key = || {
        MessageField::some(wa::MessageKey {
            remote_jid: Some(format!("{}@s.whatsapp.net", scene.tenant.number)),
            from_me: Some(true),
            id: Some(first.clone()),
            ..Default::default()
        })
    };
    let edited = wa::Message { conversation: Some("two pizzas".into()), ..Default::default() };
    let inner = wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            key: key(),
            r#type: Some(wa::message::protocol_message::Type::MESSAGE_EDIT),
            edited_message: MessageField::some(edited),
            ..Default::default()
        }),
        ..Default::default()
    };
    let place = MessageEditContext { original_msg_id: &first, original_sender_jid: &author, editor_jid: &author };
    let (payload, iv) = encrypt_message_edit(&inner, &secret, &place).unwrap();
    let sealed = wa::Message {
        secret_encrypted_message: MessageField::some(wa::message::SecretEncryptedMessage {
            target_message_key: key(),
            enc_payload: Some(payload.to_vec()),
            enc_iv: Some(iv.to_vec()),
            secret_enc_type: Some(wa::message::secret_encrypted_message::SecretEncType::MESSAGE_EDIT),
            ..Default::default()
        }),
        ..Default::default()
    };
    let edit = network.customer_send(&customer, &scene.tenant.number, say(sealed)).await.unwrap();
    let content = scene.seen(&edit).await["content"].take();
    assert_eq!(
        (&content["target"]["id"], &content["content"]["text"]),
        (&json!(first), &json!("two pizzas")),
        "{content}"
    );
    scene.end(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_6_and_a_tenant_say_every_kind() {
    say_every_kind("6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_7_and_a_tenant_say_every_kind() {
    say_every_kind("7").await;
}

async fn say_every_kind(version: &str) {
    let Some(folder) = program("baileys") else { return };
    let scene = KindsScene::new().await;
    let phone = scene.stage.network.add_phone(Some("Guest".into())).await;
    let mut guest = Client::paired(&folder, version, &scene.stage.network, &phone.number).await;
    let chat = format!("{}@s.whatsapp.net", scene.tenant.number);

    let file = json!({ "$base64": PICTURE });
    let cases = [
        (json!({ "text": "a table?" }), "text", "/text", json!("a table?")),
        (json!({ "image": file, "caption": "ours" }), "image", "/caption", json!("ours")),
        (
            json!({ "document": file, "fileName": "a.png", "mimetype": "image/png" }),
            "document",
            "/file_name",
            json!("a.png"),
        ),
        (json!({ "audio": file, "ptt": true, "seconds": 2, "mimetype": "audio/ogg" }), "audio", "/voice", json!(true)),
        (
            json!({ "location": { "degreesLatitude": 4.6, "degreesLongitude": -74.1 } }),
            "location",
            "/longitude",
            json!(-74.1),
        ),
        (
            json!({ "contacts": { "displayName": "Ana", "contacts": [{ "vcard": VCARD }] } }),
            "contact",
            "/contacts/0/vcard",
            json!(VCARD),
        ),
        (
            json!({ "poll": { "name": "Size?", "values": ["L", "XL"], "selectableCount": 1 } }),
            "poll",
            "/name",
            json!("Size?"),
        ),
    ];
    for (content, kind, pointer, value) in cases {
        let (id, _) = guest.send_content(&chat, &content, &json!({})).await;
        let seen = scene.seen(&id).await["content"].take();
        assert_eq!((&seen["kind"], seen.pointer(pointer)), (&json!(kind), Some(&value)), "{seen}");
    }
    let (first, _) = guest.send_content(&chat, &json!({ "text": "a pizza" }), &json!({})).await;
    scene.seen(&first).await;
    let key = json!({ "remoteJid": chat, "id": first, "fromMe": true });
    let (edit, _) = guest.send_content(&chat, &json!({ "text": "two pizzas", "edit": key }), &json!({})).await;
    assert_eq!(scene.seen(&edit).await["content"]["content"]["text"], json!("two pizzas"));

    let to = &phone.number;
    let place = json!({ "latitude": 4.7, "longitude": -74.0, "title": "Here" });
    let contact = json!({ "contacts": [{ "vcard": VCARD }] });
    let poll = json!({ "poll": { "name": "Dessert?", "options": ["yes", "no"], "multipleAnswers": true } });
    let reaction = json!({ "messageId": format!("false_{}@c.us_{first}", phone.number), "reaction": "👍" });
    let cases = [
        ("POST", "/api/sendText", json!({ "text": "at eight" }), "/conversation", json!("at eight")),
        (
            "POST",
            "/api/sendText",
            json!({ "text": "which?", "reply_to": first }),
            "/contextInfo/stanzaId",
            json!(first),
        ),
        ("POST", "/api/sendLocation", place, "/degreesLatitude", json!(4.7)),
        ("POST", "/api/sendContactVcard", contact, "/vcard", json!(VCARD)),
        ("POST", "/api/sendPoll", poll, "/options/1/optionName", json!("no")),
        ("PUT", "/api/reaction", reaction, "/text", json!("👍")),
    ];
    for (method, path, body, pointer, value) in cases {
        let id = scene.send(method, path, to, body).await;
        let message = guest.message(&id).await;
        let content = &message["content"];
        let found = content.pointer(pointer).or((pointer == "/conversation").then_some(&message["text"]));
        assert_eq!(found, Some(&value), "{path}: {message}");
    }
    guest.end().await;
    scene.end(2).await;
}
