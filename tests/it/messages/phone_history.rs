//! Older messages of a chat come from the tenant's own phone when they are asked for: each once, in order, and for good; and whatever
//! the phone does, the session goes on.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use loopback::{Card, Fault, FaultKind, Lie, Say};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sessiond::{
    demo::{ApiAnswer, Ear, Process, until},
    message::{
        Addressed, Content, Message,
        past::{self, BackfillLimits, BackfillOutcome, BackfilledMessage},
    },
    store::space,
};
use tokio::{net::TcpListener, time::timeout};
use whatsapp_rust::{
    buffa::Message as _,
    waproto::whatsapp::{self as wa, history_sync::HistorySyncType},
};

use crate::support::{
    proxy::{self, Mode},
    stage::{Home, LIMIT, Stage},
    store_world::World,
};

/// A phone with a past, and the tenant that was paired with it afterwards.
struct PhoneHistoryScene {
    stage: Stage,
    daemon: Process,
    phone: String,
    customer: String,
    tenant: &'static str,
}

impl PhoneHistoryScene {
    /// The customer has written so many times before the pairing, and once after it.
    async fn new(stage: Stage, old: usize) -> Self {
        let daemon = stage.start().await;
        let phone = stage.network.add_phone(None).await.number;
        let customer = stage.network.add_customer().await;
        let scene = Self { stage, daemon, phone, customer, tenant: "trattoria" };
        for n in 0..old {
            scene.write(&format!("old {n}")).await;
        }
        scene.pair().await;
        let now = scene.write("now").await;
        scene.shows(&now).await;
        scene
    }

    async fn pair(&self) {
        let Self { stage, phone, tenant, .. } = self;
        let qr = stage.dashboard.qr(tenant).await.unwrap();
        stage.network.scan(phone, &qr).await.unwrap();
        until(LIMIT, "the pairing", || stage.dashboard.is_connected(tenant)).await.unwrap();
    }

    /// The customer writes to the phone; the message's id.
    async fn write(&self, say: impl Into<Say>) -> String {
        self.stage.network.customer_send(&self.customer, &self.phone, say).await.unwrap()
    }

    /// Waits until a message is among the chat's.
    async fn shows(&self, id: &str) {
        let shown = async || self.messages(500).await.iter().any(|message| bare(message) == id);
        until(LIMIT, "the message", shown).await.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }

    /// Lies of the phone, each with the code of the answer: nothing of them becomes a message.
    async fn hears<'a>(&self, lies: impl IntoIterator<Item = (&'a str, Lie, &'a str)>) {
        for (what, lie, code) in lies {
            self.stage.network.phone_lies(&self.phone, Some(lie)).await.unwrap();
            let answer = self.ask(&self.customer, 50).await;
            let said = format!("{what}: {} {}\n{}", answer.status, answer.body, self.stage.log());
            match code {
                "" => assert_eq!((answer.status, &answer.body["messages"]), (200, &json!(0)), "{said}"),
                code => assert_eq!((answer.status, &answer.body["code"]), (503, &json!(code)), "{said}"),
            }
            assert_eq!(self.bodies().await, ["now"], "{what}");
        }
    }

    async fn ask(&self, chat: &str, count: u64) -> ApiAnswer {
        let path = format!("/api/sessions/{}/history", self.tenant);
        let body = json!({ "chatId": format!("{chat}@c.us"), "count": count });
        self.stage.dashboard.post(&path, body).await.unwrap()
    }

    /// What came, when it was asked for.
    async fn fetch(&self, count: u64) -> Value {
        let answer = self.ask(&self.customer, count).await;
        assert_eq!(answer.status, 200, "{}\n{}", answer.body, self.stage.log());
        answer.body
    }

    /// Until the phone has no more; how often it was asked.
    async fn fetch_all(&self, count: u64) -> usize {
        for asked in 1.. {
            if self.fetch(count).await["complete"] == json!(true) {
                return asked;
            }
        }
        unreachable!()
    }

    /// Newest first.
    async fn messages(&self, limit: usize) -> Vec<Value> {
        self.page(limit, 0).await
    }

    async fn page(&self, limit: usize, offset: usize) -> Vec<Value> {
        let (tenant, customer) = (self.tenant, &self.customer);
        let path = format!("/api/{tenant}/chats/{customer}@c.us/messages?limit={limit}&offset={offset}");
        let answer = self.stage.dashboard.get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body.as_array().unwrap().clone()
    }

    async fn bodies(&self) -> Vec<String> {
        self.messages(500).await.iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    }

    /// Another disk, another process.
    async fn after_a_crash(mut self) -> Self {
        self.daemon.kill().await.unwrap();
        self.stage.wipe_local_data();
        self.daemon = self.stage.start().await;
        let (dashboard, tenant) = (&self.stage.dashboard, self.tenant);
        until(LIMIT, "the tenant to be back", || dashboard.is_connected(tenant)).await.unwrap();
        self
    }

    /// The most memory that the daemon had at once, KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    async fn end(self) {
        let stats = self.stage.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
        self.daemon.kill().await.unwrap();
    }
}

/// WhatsApp's own id.
fn bare(message: &Value) -> &str {
    message["id"].as_str().unwrap().rsplit('_').next().unwrap()
}

/// What is expected of a chat with so many old messages, newest first.
fn expected(old: usize) -> Vec<String> {
    let old = (0..old).rev().map(|n| format!("old {n}"));
    std::iter::once("now".to_owned()).chain(old).collect()
}

async fn stage() -> Stage {
    Stage::new(Home::Embedded).await.unwrap()
}

/// For a moment only: who waits for its end waits no longer.
async fn impatient() -> Stage {
    stage().await.set("SESSIOND_MESSAGES__HISTORY_PATIENCE", "3s")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_comes_in_pages_each_message_once_and_for_good() {
    let scene = PhoneHistoryScene::new(stage().await, 200).await;
    assert_eq!(scene.bodies().await, ["now"]);
    let first = scene.fetch(50).await;
    assert_eq!(first, json!({ "messages": 50, "complete": false, "full": false }));
    assert_eq!(scene.bodies().await, expected(200)[..51]);
    assert_eq!(scene.fetch_all(60).await, 3, "60, 60, 30");
    assert_eq!(scene.bodies().await, expected(200));
    // Nothing is left: asked again it tells nothing new.
    assert_eq!(scene.fetch(50).await, json!({ "messages": 0, "complete": true, "full": false }));
    // Whoever marks the chat as read has read what came here, and tells nobody of what is older.
    let path = format!("/api/trattoria/chats/{}@c.us/messages/read", scene.customer);
    let read = scene.stage.dashboard.post(&path, json!({})).await.unwrap();
    assert_eq!(read.body["ids"].as_array().unwrap().len(), 1, "{}", read.body);
    let scene = scene.after_a_crash().await;
    assert_eq!(scene.bodies().await, expected(200));
    let mut paged = Vec::new();
    for offset in (0..210).step_by(30) {
        paged.extend(scene.page(30, offset).await);
    }
    let bodies: Vec<_> = paged.iter().map(|message| message["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, expected(200));
    // The old contract's pages go on from a message.
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let before = paged.last().map(|last| format!("&before={}", last["cursor"].as_str().unwrap()));
        let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={}&limit=70", scene.customer);
        let path = path + &before.unwrap_or_default();
        let mut answer = scene.stage.dashboard.get(&path).await.unwrap();
        let page = answer.body["messages"].take().as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    let bodies: Vec<_> = paged.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(bodies, expected(200));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_phone_is_told_from_an_empty_one() {
    let scene = PhoneHistoryScene::new(impatient().await, 3).await;
    scene.stage.network.fault(Fault::new(FaultKind::PhoneSilent)).await.unwrap();
    let answer = scene.ask(&scene.customer, 50).await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("phone_silent")), "{}", answer.body);
    scene.stage.network.clear_faults().await;
    assert_eq!(scene.fetch(50).await["messages"], json!(3));
    assert_eq!(scene.bodies().await, expected(3));
    scene.end().await;
}

/// Which is asked for what is older than a message.
#[tokio::test(flavor = "multi_thread")]
async fn a_chat_of_which_nothing_is_known_has_nothing_to_start_from() {
    let scene = PhoneHistoryScene::new(stage().await, 1).await;
    let stranger = scene.stage.network.add_customer().await;
    let answer = scene.ask(&stranger, 50).await;
    assert_eq!((answer.status, &answer.body["code"]), (409, &json!("nothing_known")));
    let flaws = [
        (json!({}), "chatId"),
        (json!({ "chatId": "x" }), "chatId"),
        (json!({ "chatId": "573001112233", "count": 0 }), "count"),
        (json!({ "chatId": "573001112233", "count": 201 }), "count"),
    ];
    for (body, field) in flaws {
        let answer = scene.stage.dashboard.post("/api/sessions/trattoria/history", body).await.unwrap();
        assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (400, &json!(field)));
    }
    scene.end().await;
}

/// Whatever stands alone, with its file; a customer known by a LID, the members of a group; and what became of it since.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_comes_as_if_it_had_come_by_itself() {
    let stage = stage().await;
    let daemon = stage.start().await;
    let phone = stage.network.add_phone(None).await;
    let (customer, other) = (stage.network.add_customer().await, stage.network.add_customer().await);
    let group = stage.network.create_group(&phone.number, "Kitchen", &[&customer, &other]).await.unwrap().jid;
    let scene = PhoneHistoryScene { stage, daemon, phone: phone.number.clone(), customer, tenant: "trattoria" };
    let network = &scene.stage.network;
    let card = Card { name: "Ana".into(), vcard: "BEGIN:VCARD\nVERSION:3.0\nFN:Ana\nEND:VCARD".into() };
    let picture = vec![7; 5000];
    let said = [
        Say::text("a table?"),
        Say::image(picture.clone()).caption("Margherita"),
        Say::voice(vec![2; 100]),
        Say::document("menu.pdf", vec![3; 15]),
        Say::sticker(vec![4; 50]),
        Say::Location { latitude: 4.6, longitude: -74.1, name: Some("Home".into()), address: None },
        Say::Contact(card),
        Say::poll("Size?", &["L", "XL"], 1),
        Say::text("gone soon").ephemeral(86_400),
        Say::Unknown { field: 3000 },
    ];
    let mut old = Vec::new();
    for say in said {
        // The chat is one whose customer is known by a LID.
        old.push(network.customer_send(&scene.customer, &phone.lid, say).await.unwrap());
    }
    let answer = network.phone_send(&scene.phone, &scene.customer, Say::text("at eight").reply_to(&old[0])).await;
    old.push(answer.unwrap());
    for (who, text) in [(&scene.customer, "g0"), (&other, "g1"), (&scene.phone, "g2")] {
        network.customer_send(who, &group, text).await.unwrap();
    }
    scene.pair().await;
    let ear = Ear::open(&scene.stage.dashboard, vec![scene.tenant.to_owned()]);
    let now = network.customer_send(&scene.customer, &phone.lid, "now").await.unwrap();
    scene.shows(&now).await;
    let told = scene.fetch(50).await;
    assert_eq!(told, json!({ "messages": old.len(), "complete": true, "full": false }));
    let shown = scene.messages(100).await;
    let ids: Vec<_> = shown.iter().rev().map(|message| bare(message).to_owned()).collect();
    assert_eq!(ids, [old.clone(), vec![now]].concat());
    let find = |id: &String| shown.iter().find(|message| bare(message) == id).unwrap();
    assert!(shown.iter().all(|message| message["id"].as_str().unwrap().contains(&format!("{}@c.us", scene.customer))));
    assert_eq!((&find(&old[1])["body"], &find(&old[1])["source"]), (&json!("Margherita"), &json!("app")));
    assert_eq!(find(&old[5])["location"]["latitude"], json!("4.6"));
    assert_eq!((&find(&old[10])["fromMe"], &find(&old[10])["replyTo"]["body"]), (&json!(true), &json!("a table?")));
    for (id, data) in [(&old[1], &picture), (&old[2], &vec![2; 100]), (&old[3], &vec![3; 15]), (&old[4], &vec![4; 50])]
    {
        let url = find(id)["media"]["url"].as_str().unwrap();
        let asked = reqwest::Client::new().get(url).header("x-api-key", &scene.stage.setup.admin_key).send().await;
        let asked = asked.unwrap();
        assert_eq!(asked.status(), StatusCode::OK, "{url}\n{}", scene.stage.log());
        assert_eq!(&asked.bytes().await.unwrap(), data);
    }
    // What comes now changes what came then.
    network.customer_send(&scene.customer, &phone.lid, Say::edit(&old[0], "a big table?")).await.unwrap();
    network.customer_send(&scene.customer, &phone.lid, Say::revoke(&old[8])).await.unwrap();
    let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={}", scene.customer);
    let changed = async || {
        let answer = scene.stage.dashboard.get(&path).await.unwrap();
        let messages = answer.body["messages"].as_array().unwrap().clone();
        let of = |id: &String| messages.iter().find(|message| message["id"] == json!(id)).unwrap().clone();
        of(&old[0])["text"] == json!("a big table?") && of(&old[8])["revoked"] == json!(true)
    };
    until(LIMIT, "the changes", changed).await.unwrap();
    // The group: who wrote what.
    network.customer_send(&scene.customer, &group, "g3").await.unwrap();
    let path = format!("/api/trattoria/chats/{group}/messages");
    let group_shows =
        async |count| scene.stage.dashboard.get(&path).await.unwrap().body.as_array().unwrap().len() == count;
    until(LIMIT, "the group", || group_shows(1)).await.unwrap();
    let body = json!({ "chatId": group });
    let answer = scene.stage.dashboard.post("/api/sessions/trattoria/history", body).await.unwrap();
    assert_eq!(answer.body, json!({ "messages": 3, "complete": true, "full": false }));
    let shown = scene.stage.dashboard.get(&path).await.unwrap().body;
    let wrote = |n: usize| (shown[n]["body"].as_str().unwrap(), shown[n]["participant"].as_str().unwrap());
    let jid = |number: &str| format!("{number}@c.us");
    assert_eq!(wrote(0), ("g3", jid(&scene.customer).as_str()));
    assert_eq!((shown[1]["body"].as_str(), &shown[1]["fromMe"]), (Some("g2"), &json!(true)));
    assert_eq!(wrote(2), ("g1", jid(&other).as_str()));
    assert_eq!(wrote(3), ("g0", jid(&scene.customer).as_str()));
    // Nobody was told as if it had happened now.
    let heard = ear.heard();
    let old_news = |id: &String| heard.iter().any(|heard| heard.payload["message"]["id"] == json!(id));
    assert!(!old.iter().any(old_news) && heard.iter().any(|heard| heard.event == "message:received"), "{heard:#?}");
    scene.end().await;
}

/// The bytes of a history with one conversation.
fn sync(conversation: &[u8]) -> Vec<u8> {
    let mut bytes = wa::HistorySync { sync_type: HistorySyncType::ON_DEMAND, ..Default::default() }.encode_to_vec();
    bytes.push(0x12);
    let mut length = conversation.len();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes.extend(conversation);
    bytes
}

/// A phone that lies costs nobody his connection, nor the process its memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_lying_phone_is_survived() {
    // A busy machine takes some seconds to inflate what is too much.
    let stage = stage().await.set("SESSIOND_MESSAGES__HISTORY_PATIENCE", "6s");
    let scene = PhoneHistoryScene::new(stage, 3).await;
    let network = &scene.stage.network;
    let chat = wa::Conversation { id: format!("{}@s.whatsapp.net", scene.customer), ..Default::default() };
    // Four bytes that are a message of a kilobyte in memory, over and over.
    let many = |bytes: usize| [chat.encode_to_vec(), [0x12, 2, 0x0a, 0].repeat(bytes / 4)].concat();
    let message = |chat: &str, id: &str, at: u64| {
        let key = wa::MessageKey { remote_jid: Some(chat.into()), id: Some(id.into()), ..Default::default() };
        let text = wa::Message { conversation: Some("forged".into()), ..Default::default() };
        let info = wa::WebMessageInfo {
            key: key.into(),
            message: text.into(),
            message_timestamp: Some(at),
            ..Default::default()
        };
        wa::HistorySyncMsg { message: info.into(), ..Default::default() }
    };
    let of = |id: &str, within: &str, at: u64| {
        let messages = vec![message(within, "FORGED", at)];
        sync(&wa::Conversation { id: id.into(), messages, ..Default::default() }.encode_to_vec())
    };
    let other = "573000000000@s.whatsapp.net";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = listener.local_addr().unwrap();
    // No answer comes of these, and no file of theirs is large: they are waited for by another daemon, and not so long.
    let given_up = async {
        let stage = self::stage().await.set("SESSIOND_MESSAGES__HISTORY_PATIENCE", "2s");
        let scene = PhoneHistoryScene::new(stage, 3).await;
        let lies = [
            ("no zlib", Lie::Blob(vec![0xff; 1000])),
            ("nothing", Lie::Blob(Vec::new())),
            ("no protobuf", Lie::History(vec![0xff; 1000])),
            ("no such path", Lie::Path("/v/nothing".into())),
            ("another host", Lie::Path(format!("@{elsewhere}/"))),
        ];
        scene.hears(lies.map(|(what, lie)| (what, lie, "phone_silent"))).await;
        let network = &scene.stage.network;
        network.phone_lies(&scene.phone, None).await.unwrap();
        assert_eq!(scene.fetch(50).await, json!({ "messages": 3, "complete": true, "full": false }));
        let devices = network.devices(&scene.phone).await.unwrap();
        assert_eq!(devices.iter().map(|device| device.logins).collect::<Vec<_>>(), [1], "the line was cut");
        scene.end().await;
    };
    let lies = [
        ("a bomb", Lie::History(sync(&many(100 << 20))), "phone_silent"),
        ("too much", Lie::History(sync(&many(17 << 20))), "phone_unreadable"),
        ("cut", Lie::History(sync(&[chat.encode_to_vec(), vec![0x12, 0x7f, 1]].concat())), "phone_unreadable"),
        ("many of nothing", Lie::History(sync(&many(15 << 20))), ""),
        ("a chat that nobody asked for", Lie::History(of(other, other, 1)), ""),
        ("a message of another chat", Lie::History(of(&chat.id, other, 1)), ""),
        ("a message of the future", Lie::History(of(&chat.id, &chat.id, u64::MAX / 2)), ""),
        ("a message of now", Lie::History(of(&chat.id, &chat.id, 32_000_000_000)), ""),
    ];
    tokio::join!(scene.hears(lies), given_up);
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err(), "another host was asked");
    let peak = scene.peak();
    assert!(peak < 300 << 10, "{peak} KiB");
    // It comes to its senses.
    network.phone_lies(&scene.phone, None).await.unwrap();
    assert_eq!(scene.fetch(50).await, json!({ "messages": 3, "complete": true, "full": false }));
    assert_eq!(scene.bodies().await, expected(3));
    // It tells again what is known, at another time.
    let shown = scene.messages(100).await;
    let again = shown[1..].iter().map(|known| message(&chat.id, bare(known), 1)).collect();
    let again = sync(&wa::Conversation { messages: again, ..chat.clone() }.encode_to_vec());
    network.phone_lies(&scene.phone, Some(Lie::History(again))).await.unwrap();
    assert_eq!(scene.fetch(50).await["messages"], json!(0));
    assert_eq!(scene.messages(100).await, shown);
    let devices = network.devices(&scene.phone).await.unwrap();
    assert_eq!(devices.iter().map(|device| device.logins).collect::<Vec<_>>(), [1], "the line was cut");
    // What nobody asked for: all of it at once.
    network.phone_lies(&scene.phone, None).await.unwrap();
    network.phone_history(&scene.phone, devices[0].id).await.unwrap();
    let next = scene.write("next").await;
    scene.shows(&next).await;
    assert_eq!(scene.messages(100).await.len(), 5);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_kept_than_may_be_and_the_oldest_leave_first() {
    let stage =
        stage().await.set("SESSIOND_MESSAGES__HISTORY_CHAT_KIB", "10").set("SESSIOND_MESSAGES__HISTORY_KIB", "12");
    let scene = PhoneHistoryScene::new(stage, 60).await;
    let first = scene.fetch(10).await;
    assert_eq!(first, json!({ "messages": 10, "complete": false, "full": false }));
    let mut kept = 10;
    let last = loop {
        let next = scene.fetch(10).await;
        kept += next["messages"].as_u64().unwrap() as usize;
        if next["full"] == json!(true) {
            break next;
        }
    };
    assert_eq!(last["complete"], json!(false));
    assert!((15..40).contains(&kept), "{kept} in 10 KiB");
    assert_eq!(scene.bodies().await, expected(60)[..=kept]);
    assert_eq!(scene.fetch(10).await["messages"], json!(0), "there is no more room");
    let scene = scene.after_a_crash().await;
    assert_eq!(scene.bodies().await, expected(60)[..=kept]);
    scene.end().await;
}

/// What was answered is durable; what is not durable is refused, and is not lost for it.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_vault_nothing_is_promised() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage =
        stage.set("SESSIOND_VAULT__FIRESTORE__REQUEST_TIMEOUT", "2s").set("SESSIOND_MESSAGES__HISTORY_PATIENCE", "3s");
    let scene = PhoneHistoryScene::new(stage, 3).await;
    proxy.set(Mode::Refuse);
    let answer = scene.ask(&scene.customer, 50).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    proxy.set(Mode::Pass);
    let again = async || scene.ask(&scene.customer, 50).await.status == 200;
    until(LIMIT, "the vault", again).await.unwrap();
    assert_eq!(scene.bodies().await, expected(3));
    let scene = scene.after_a_crash().await;
    assert_eq!(scene.bodies().await, expected(3));
    scene.end().await;
}

/// Of all chats together: what is of a later time takes the room of what is older, whichever was told first.
#[tokio::test]
async fn one_chat_does_not_keep_another_from_its_past() {
    let world = World::new().await;
    let told = |chat: &str, id: u64, timestamp: i64| BackfilledMessage {
        message: Message {
            id: id.to_string(),
            chat: chat.into(),
            sender: chat.into(),
            addressed: Addressed { chat: chat.into(), sender: chat.into(), alternate: None },
            from_me: false,
            is_group: false,
            timestamp,
            push_name: String::new(),
            content: Content::plain("x".repeat(700)),
            quoted: None,
            forwarded: false,
            mentions: Vec::new(),
            advertisement: None,
            album: None,
            truncated: false,
        },
        order: id,
        file: Bytes::new(),
    };
    let limits = BackfillLimits { chat: 10 * 1024, tenant: 15 * 1024 };
    let keep = async |told: Vec<BackfilledMessage>| past::keep(&world.store, &told, limits).await.unwrap();
    let chats = async || {
        let mut chats = BTreeMap::<Vec<u8>, usize>::new();
        for (key, _) in world.space(space::PAST).await {
            *chats.entry(key[..1].to_vec()).or_default() += 1;
        }
        chats.into_values().collect::<Vec<_>>()
    };
    let of = |chat: &str, from: i64| (0..8).map(|n| told(chat, n, from)).collect::<Vec<_>>();
    assert_eq!(keep(of("a@s.whatsapp.net", 1000)).await, BackfillOutcome { new: 8, full: false });
    assert_eq!(keep(of("a@s.whatsapp.net", 1000)).await, BackfillOutcome { new: 0, full: false }, "it has them");
    assert_eq!(keep(of("b@s.whatsapp.net", 2000)).await, BackfillOutcome { new: 8, full: false });
    let held = chats().await;
    assert_eq!(held[1], 8, "{held:?}");
    assert!((3..8).contains(&held[0]), "{held:?}");
    assert_eq!(keep(of("c@s.whatsapp.net", 10)).await, BackfillOutcome { new: 0, full: true });
    assert_eq!(chats().await, held);
}

/// One chat of a tenant at a time, and a few tenants.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_much_at_once_is_told_to_wait() {
    let scene = PhoneHistoryScene::new(stage().await.set("SESSIOND_MESSAGES__HISTORY_PARALLEL", "1"), 2).await;
    let second = scene.stage.pair("pizzeria").await;
    scene.stage.network.fault(Fault::new(FaultKind::PhoneSilent)).await.unwrap();
    let url = |tenant: &str| format!("http://{}/api/sessions/{tenant}/history", scene.stage.setup.address);
    let body = json!({ "chatId": format!("{}@c.us", scene.customer) });
    let ask = |tenant: &str| {
        let request = reqwest::Client::new().post(url(tenant)).header("x-api-key", &scene.stage.setup.admin_key);
        request.json(&body).send()
    };
    // Given up by whoever asked, and by nobody else.
    let first = tokio::spawn(ask("trattoria"));
    for tenant in ["trattoria", &second.tenant] {
        let refused = async || {
            let answer = ask(tenant).await.unwrap();
            answer.status() == StatusCode::TOO_MANY_REQUESTS && answer.headers().contains_key("retry-after")
        };
        until(LIMIT, "a refusal", refused).await.unwrap();
    }
    first.abort();
    scene.stage.network.clear_faults().await;
    let again = async || scene.ask(&scene.customer, 50).await.status == 200;
    until(LIMIT, "its turn", again).await.unwrap();
    assert_eq!(scene.bodies().await, expected(2));
    scene.end().await;
}

/// Clearing a chat forgets its past, and what is older does not come back; another tenant never sees it; nor does who pairs anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cleared_is_gone_and_what_is_anothers_is_not_seen() {
    let scene = PhoneHistoryScene::new(stage().await, 5).await;
    let second = scene.stage.pair("pizzeria").await;
    let network = &scene.stage.network;
    network.customer_send(&scene.customer, &second.number, "ciao").await.unwrap();
    scene.fetch(2).await;
    assert_eq!(scene.bodies().await, expected(5)[..3]);
    let of_second = format!("/api/pizzeria/chats/{}@c.us/messages", scene.customer);
    let seen = async || scene.stage.dashboard.get(&of_second).await.unwrap().body;
    until(LIMIT, "the message", async || seen().await.as_array().unwrap().len() == 1).await.unwrap();
    let path = format!("/api/trattoria/chats/{}@c.us/messages", scene.customer);
    let cleared = scene.stage.dashboard.delete(&path).await.unwrap();
    assert_eq!(cleared.status, 200, "{}", cleared.body);
    assert!(scene.bodies().await.is_empty());
    assert_eq!(scene.ask(&scene.customer, 50).await.status, 409, "nothing is known of it");
    let next = scene.write("next").await;
    scene.shows(&next).await;
    // The network's phone has not cleared it, and tells of the time before.
    assert_eq!(scene.fetch(50).await["messages"], json!(0));
    assert_eq!(scene.bodies().await, ["next"]);
    let scene = scene.after_a_crash().await;
    assert_eq!(scene.bodies().await, ["next"]);
    assert_eq!(seen_bodies(&scene, &of_second).await, ["ciao"]);
    scene.end().await;
}

/// What was told goes with the credentials; events stay.
#[tokio::test(flavor = "multi_thread")]
async fn who_pairs_anew_finds_nothing_that_another_phone_told() {
    let scene = PhoneHistoryScene::new(stage().await, 4).await;
    scene.fetch_all(50).await;
    assert_eq!(scene.bodies().await, expected(4));
    let logout = scene.stage.dashboard.post("/api/sessions/trattoria/logout", json!({})).await.unwrap();
    assert_eq!(logout.status, 201, "{}", logout.body);
    assert_eq!(scene.bodies().await, ["now"]);
    let allowed = json!({ "conversations": "keep" });
    let allowed = scene.stage.dashboard.put("/api/sessions/trattoria/account/change", allowed).await.unwrap();
    assert_eq!(allowed.status, 200, "{}", allowed.body);
    let scene = PhoneHistoryScene { phone: scene.stage.network.add_phone(None).await.number, ..scene };
    scene.pair().await;
    assert_eq!(scene.bodies().await, Vec::<String>::new(), "nor what it said to the former number");
    scene.end().await;
}

async fn seen_bodies(scene: &PhoneHistoryScene, path: &str) -> Vec<String> {
    let messages = scene.stage.dashboard.get(path).await.unwrap().body;
    messages.as_array().unwrap().iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}
