//! Every kind of message between a customer and Baileys, in both directions: content compared, files byte for byte.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopback::{Card, ChatState, Network, Received, Say};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::driver::Client;
use crate::{eventually, network, node};

const VCARD: &str = "BEGIN:VCARD\nVERSION:3.0\nFN:Ana\nTEL;type=CELL;waid=4915000000099:+49 150 00000099\nEND:VCARD";

#[tokio::test]
async fn customers_send_every_kind_to_baileys_6() {
    from_customers("6").await;
}

#[tokio::test]
async fn customers_send_every_kind_to_baileys_7() {
    from_customers("7").await;
}

#[tokio::test]
async fn baileys_6_sends_every_kind_to_customers() {
    to_customers("6").await;
}

#[tokio::test]
async fn baileys_7_sends_every_kind_to_customers() {
    to_customers("7").await;
}

#[tokio::test]
async fn baileys_7_and_a_customer_see_each_other_type_and_read() {
    let Some(folder) = node::program("baileys") else { return };
    let KindsScene { network, mut client, phone, customer, chat } = KindsScene::set(&folder, "7").await;
    client.call("sendPresenceUpdate", json!(["composing", chat])).await;
    client.call("sendPresenceUpdate", json!(["recording", chat])).await;
    client.call("sendPresenceUpdate", json!(["paused", chat])).await;
    let expected = [ChatState::Composing, ChatState::Recording, ChatState::Paused];
    eventually("the customer saw it", async || {
        let seen = network.customer_sees(&customer).await.expect("exists");
        seen.len() == 1 && seen[0].history == expected && seen[0].available
    })
    .await;
    client.call("presenceSubscribe", json!([chat])).await;
    client.event("presence", |e| e["presences"][&chat]["lastKnownPresence"] == "unavailable").await;
    network.customer_available(&customer, true).await.expect("exists");
    client.event("presence", |e| e["presences"][&chat]["lastKnownPresence"] == "available").await;
    network.customer_chat_state(&customer, &phone, ChatState::Recording).await.expect("exists");
    client.event("presence", |e| e["presences"][&chat]["lastKnownPresence"] == "recording").await;

    let id = network.customer_send(&customer, &phone, "read me").await.expect("sent");
    client.message(&id).await;
    client.call("readMessages", json!([[{ "remoteJid": chat, "id": id, "fromMe": false }]])).await;
    eventually("it was read", async || {
        let messages = network.messages(Some(&customer)).await.expect("exists");
        messages.iter().any(|m| m.id == id && m.read.len() == 1)
    })
    .await;
    let sent = client.send(&chat, "a voice message, say").await;
    eventually("it arrived", async || network.customer_play(&customer, &sent).await.is_ok()).await;
    client.event("status", |e| e["id"] == sent.as_str() && e["status"] == 5).await;
    client.end().await;
    network.shutdown().await;
}

/// A linked client and a customer who has written, so that both know each other.
struct KindsScene {
    network: Network,
    client: Client,
    phone: String,
    customer: String,
    /// The customer, as the client names them.
    chat: String,
}

impl KindsScene {
    async fn set(folder: &std::path::Path, version: &str) -> Self {
        let network = network().await;
        let phone = network.add_phone(Some("Trattoria".to_owned())).await.number;
        let customer = network.add_customer().await;
        let mut client = Client::paired(folder, version, &network, &phone).await;
        network.customer_send(&customer, &phone, "hello").await.expect("sent");
        let chat = client.text("hello").await["chat"].as_str().expect("a chat").to_owned();
        let id = client.send(&chat, "hello yourself").await;
        received(&network, &customer, &id).await;
        Self { network, client, phone, customer, chat }
    }

    async fn end(self) {
        let stats = self.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
        self.client.end().await;
        self.network.shutdown().await;
    }
}

async fn received(network: &Network, customer: &str, id: &str) -> Received {
    let find = async || network.customer_inbox(customer).await.expect("exists").into_iter().find(|m| m.id == id);
    eventually("the customer has it", async || find().await.is_some()).await;
    find().await.expect("it is there")
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * n % 253) as u8).collect()
}

fn base64(bytes: &[u8]) -> Value {
    json!({ "$base64": BASE64_STANDARD.encode(bytes) })
}

async fn from_customers(version: &str) {
    let Some(folder) = node::program("baileys") else { return };
    let KindsScene { network, mut client, phone, customer, chat } = KindsScene::set(&folder, version).await;
    let (jpeg, film, sound, paper) = (bytes(70_001), bytes(150_000), bytes(4_096), bytes(15));
    let files = [
        (Say::image(jpeg.clone()).caption("Margherita"), "imageMessage", "/caption", json!("Margherita"), &jpeg),
        (Say::video(film.clone()).caption("our oven"), "videoMessage", "/caption", json!("our oven"), &film),
        (Say::audio(sound.clone()), "audioMessage", "/ptt", json!(false), &sound),
        (Say::voice(sound.clone()), "audioMessage", "/ptt", json!(true), &sound),
        (Say::document("menu.pdf", paper.clone()), "documentMessage", "/fileName", json!("menu.pdf"), &paper),
        (
            Say::document("menu.pdf", paper.clone()).caption("the menu"),
            "documentMessage",
            "/caption",
            json!("the menu"),
            &paper,
        ),
        (Say::sticker(jpeg.clone()), "stickerMessage", "/mimetype", json!("image/webp"), &jpeg),
        (Say::image(jpeg.clone()).view_once(), "imageMessage", "/mimetype", json!("image/jpeg"), &jpeg),
    ];
    for (say, kind, pointer, value, data) in files {
        let id = network.customer_send(&customer, &phone, say).await.expect("sent");
        let message = client.message(&id).await;
        assert_eq!((&message["kind"], message["content"].pointer(pointer)), (&json!(kind), Some(&value)), "{message}");
        assert_eq!(message["media"]["sha256"], hex::encode(Sha256::digest(data)), "{message}");
    }

    let card = Card { name: "Ana".to_owned(), vcard: VCARD.to_owned() };
    let at = |latitude, longitude| Say::Location { latitude, longitude, name: Some("Home".to_owned()), address: None };
    let live = Say::LiveLocation { latitude: 1.5, longitude: 2.5, caption: None, sequence: 1 };
    let order = Say::Order {
        id: "7".to_owned(),
        title: "Two pizzas".to_owned(),
        items: 2,
        total: 31_000_000,
        currency: "COP".to_owned(),
        token: "t".to_owned(),
    };
    let pair = Say::Contacts { name: "both".to_owned(), contacts: vec![card.clone(), card.clone()] };
    let buttons = Say::ButtonsResponse { id: "yes".to_owned(), text: "Yes".to_owned() };
    let list = Say::ListResponse { id: "row".to_owned(), title: "Row".to_owned() };
    let others = [
        (at(4.6, -74.1), "locationMessage", "/degreesLatitude", json!(4.6)),
        (live, "liveLocationMessage", "/degreesLongitude", json!(2.5)),
        (Say::Contact(card), "contactMessage", "/vcard", json!(VCARD)),
        (pair, "contactsArrayMessage", "/contacts/1/vcard", json!(VCARD)),
        (Say::poll("Size?", &["L", "XL"], 1), "pollCreationMessageV3", "/options/1/optionName", json!("XL")),
        (Say::poll("Extras?", &["a", "b"], 0), "pollCreationMessage", "/name", json!("Extras?")),
        (buttons, "buttonsResponseMessage", "/selectedButtonId", json!("yes")),
        (list, "listResponseMessage", "/singleSelectReply/selectedRowId", json!("row")),
        (order, "orderMessage", "/orderTitle", json!("Two pizzas")),
        (Say::text("gone soon").ephemeral(86_400), "extendedTextMessage", "/contextInfo/expiration", json!(86_400)),
    ];
    for (say, kind, pointer, value) in others {
        let id = network.customer_send(&customer, &phone, say).await.expect("sent");
        let message = client.message(&id).await;
        assert_eq!((&message["kind"], message["content"].pointer(pointer)), (&json!(kind), Some(&value)), "{message}");
    }

    // What is about another message.
    let first = network.customer_send(&customer, &phone, "a pizza").await.expect("sent");
    client.message(&first).await;
    let answer = client.send(&chat, "which one?").await;
    received(&network, &customer, &answer).await;
    let about = [
        (Say::text("Margherita").reply_to(&answer), "extendedTextMessage", "/contextInfo/stanzaId", &answer),
        (Say::reaction(&answer, "👍"), "reactionMessage", "/key/id", &answer),
        (Say::edit(&first, "two pizzas"), "protocolMessage", "/key/id", &first),
        (Say::revoke(&first), "protocolMessage", "/key/id", &first),
    ];
    for (say, kind, pointer, target) in about {
        let id = network.customer_send(&customer, &phone, say).await.expect("sent");
        let message = client.message(&id).await;
        let found = message["content"].pointer(pointer);
        assert_eq!((&message["kind"], found), (&json!(kind), Some(&json!(target))), "{message}");
    }
    let refused = network.customer_send(&customer, &phone, Say::edit(&answer, "mine now")).await;
    assert!(refused.is_err(), "nobody edits what is not theirs");

    // The owner writes on the phone; the client has the copy.
    let id = network.phone_send(&phone, &customer, Say::image(jpeg.clone()).caption("ready")).await.expect("sent");
    let copy = client.message(&id).await;
    assert_eq!((&copy["from_me"], &copy["content"]["caption"]), (&json!(true), &json!("ready")), "{copy}");
    assert_eq!(copy["media"]["sha256"], hex::encode(Sha256::digest(&jpeg)), "{copy}");
    assert_eq!(received(&network, &customer, &id).await.file.expect("a file").data, jpeg);
    KindsScene { network, client, phone, customer, chat }.end().await;
}

async fn to_customers(version: &str) {
    let Some(folder) = node::program("baileys") else { return };
    let KindsScene { network, mut client, phone, customer, chat } = KindsScene::set(&folder, version).await;
    let (jpeg, film, sound, paper) = (bytes(70_001), bytes(150_000), bytes(4_096), bytes(15));
    let files = [
        (json!({ "image": base64(&jpeg), "caption": "Margherita" }), "image", "/caption", "Margherita", &jpeg),
        (json!({ "video": base64(&film), "caption": "our oven" }), "video", "/caption", "our oven", &film),
        (
            json!({ "audio": base64(&sound), "mimetype": "audio/mpeg", "seconds": 2 }),
            "audio",
            "/mimetype",
            "audio/mpeg",
            &sound,
        ),
        (
            json!({ "audio": base64(&sound), "mimetype": "audio/ogg; codecs=opus", "ptt": true, "seconds": 2 }),
            "voice",
            "/mimetype",
            "audio/ogg; codecs=opus",
            &sound,
        ),
        (
            json!({ "document": base64(&paper), "mimetype": "application/pdf", "fileName": "menu.pdf", "caption": "x" }),
            "document",
            "/file_name",
            "menu.pdf",
            &paper,
        ),
        (json!({ "sticker": base64(&jpeg) }), "sticker", "/mimetype", "image/webp", &jpeg),
        (json!({ "image": base64(&jpeg), "viewOnce": true }), "image", "/mimetype", "image/jpeg", &jpeg),
    ];
    for (content, kind, pointer, value, data) in files {
        let (id, _) = client.send_content(&chat, &content, &json!({})).await;
        let message = received(&network, &customer, &id).await;
        let found = message.fields.pointer(pointer).and_then(Value::as_str);
        assert_eq!((message.kind.as_str(), found, &message.problem), (kind, Some(value), &None), "{message:?}");
        assert_eq!(&message.file.expect("a file").data, data);
        assert_eq!(message.wrapped_in.contains(&"view_once".to_owned()), content.get("viewOnce").is_some());
    }

    let others = [
        (
            json!({ "location": { "degreesLatitude": 4.6, "degreesLongitude": -74.1 } }),
            "location",
            "/degrees_latitude",
            json!(4.6),
        ),
        (
            json!({ "contacts": { "displayName": "Ana", "contacts": [{ "vcard": VCARD }] } }),
            "contact",
            "/vcard",
            json!(VCARD),
        ),
        (
            json!({ "buttonReply": { "displayText": "Yes", "id": "yes", "index": 0 }, "type": "plain" }),
            "buttons_response",
            "/selected_button_id",
            json!("yes"),
        ),
    ];
    for (content, kind, pointer, value) in others {
        let (id, _) = client.send_content(&chat, &content, &json!({})).await;
        let message = received(&network, &customer, &id).await;
        assert_eq!((message.kind.as_str(), message.fields.pointer(pointer)), (kind, Some(&value)), "{message:?}");
    }

    // What is about another message.
    let theirs = network.customer_send(&customer, &phone, "a pizza").await.expect("sent");
    client.message(&theirs).await;
    let key = json!({ "remoteJid": chat, "id": theirs, "fromMe": false });
    let (mine, _) = client.send_content(&chat, &json!({ "text": "which one?" }), &json!({})).await;
    let own = json!({ "remoteJid": chat, "id": mine, "fromMe": true });
    let quoted = json!({ "quoted": { "key": key, "message": { "conversation": "a pizza" } } });
    let none = json!({});
    let about = [
        (json!({ "text": "this one?" }), &quoted, "text", Some("this one?"), &theirs),
        (json!({ "react": { "text": "👍", "key": key } }), &none, "reaction", Some("👍"), &theirs),
        (json!({ "text": "which ones?", "edit": own }), &none, "edit", Some("which ones?"), &mine),
        (json!({ "delete": own }), &none, "revoke", None, &mine),
    ];
    for (content, options, kind, text, target) in about {
        let (id, _) = client.send_content(&chat, &content, options).await;
        let message = received(&network, &customer, &id).await;
        assert_eq!((message.kind.as_str(), message.text.as_deref()), (kind, text), "{message:?}");
        assert_eq!((message.about.as_ref(), &message.problem), (Some(target), &None), "{message:?}");
    }

    // A poll, and the customer's vote as Baileys opens it.
    let poll = json!({ "poll": { "name": "Size?", "values": ["L", "XL"], "selectableCount": 1 } });
    let (id, secret) = client.send_content(&chat, &poll, &json!({})).await;
    assert_eq!(received(&network, &customer, &id).await.kind, "poll");
    let vote = network.customer_send(&customer, &phone, Say::vote(&id, &["XL"])).await.expect("voted");
    let vote = client.message(&vote).await;
    assert_eq!(vote["kind"], "pollUpdateMessage", "{vote}");
    let sealed = &vote["content"]["vote"];
    let me = network.phone(&phone).await.expect("exists");
    let creator = if chat.ends_with("@lid") { me.lid } else { me.jid };
    client
        .command(json!({
            "command": "votes", "poll": id, "secret": secret, "creator": creator, "voter": chat,
            "vote": { "encPayload": { "$base64": sealed["encPayload"] }, "encIv": { "$base64": sealed["encIv"] } },
        }))
        .await;
    let opened = client.event("result", |_| true).await;
    assert_eq!(opened["result"], json!([hex::encode(Sha256::digest("XL"))]));
    KindsScene { network, client, phone, customer, chat }.end().await;
}
