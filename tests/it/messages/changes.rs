//! What changes around people: devices that they link and lose, keys, numbers; lists that they write to. Whatever it is, who writes is
//! heard, in one conversation, and who is written to reads it.

use std::time::Duration;

use loopback::{Fault, FaultKind, Form, PhoneInfo, Received};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";
const GUEST: &str = "guest";

struct ChangesScene {
    stage: Stage,
    daemon: Process,
    tenant: Conversation,
    ear: Ear,
}

impl ChangesScene {
    async fn new() -> Self {
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let daemon = stage.start().await;
        let tenant = stage.pair(TENANT).await;
        let ear = stage.listen(std::slice::from_ref(&tenant));
        Self { stage, daemon, tenant, ear }
    }

    /// A second session of the daemon's becomes a linked device of that phone.
    async fn link(&self, phone: &PhoneInfo) -> (u16, Ear) {
        let scanned = self.stage.dashboard.qr(GUEST).await.unwrap();
        let device = self.stage.network.scan(&phone.number, &scanned).await.unwrap();
        until(LIMIT, "the guest", || self.stage.dashboard.is_connected(GUEST)).await.unwrap();
        (device, Ear::open(&self.stage.dashboard, vec![GUEST.to_owned()]))
    }

    async fn says(&self, to: &str, text: &str) -> String {
        self.stage.dashboard.send(TENANT, to, text, &format!("{to} {text}")).await.unwrap()
    }

    async fn arrived(&self, number: &str, id: &str) -> Received {
        let inbox = || async { self.stage.network.customer_inbox(number).await.unwrap() };
        let has = || async { inbox().await.iter().any(|received| received.id == id) };
        until(LIMIT, "the message", has).await.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
        inbox().await.into_iter().find(|received| received.id == id).unwrap()
    }

    /// The message as a session is told of it, once it can be read: with new keys a placeholder may come first.
    async fn heard(&self, ear: &Ear, id: &str) -> Value {
        let is_it = |heard: &sessiond::demo::Heard| {
            let message = &heard.payload["message"];
            message["id"] == json!(id) && message["undecryptable"] != json!(true)
        };
        let waited = ear.until(LIMIT, |heard| heard.iter().any(is_it)).await;
        waited.unwrap_or_else(|error| panic!("{id}: {error}: {:#?}\n{}", ear.heard(), self.stage.log()));
        ear.heard().into_iter().find(is_it).unwrap().payload["message"].take()
    }

    fn has_heard(&self, id: &str) -> bool {
        self.ear.heard().iter().any(|heard| heard.payload["message"]["id"] == json!(id))
    }

    async fn chats(&self) -> Vec<String> {
        let chats = self.stage.dashboard.get(&format!("/api/{TENANT}/chats")).await.unwrap().body;
        let mut ids: Vec<_> =
            chats.as_array().unwrap().iter().map(|chat| chat["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }

    async fn settled(&self) {
        let settled = async || {
            let devices = self.stage.network.devices(&self.tenant.number).await.unwrap();
            devices.iter().all(|device| device.waiting.is_empty())
        };
        until(LIMIT, "all acks", settled).await.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
    }
}

/// WhatsApp did not say that it was linked; it writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_writes_is_answered_though_nobody_told_of_it() {
    let scene = ChangesScene::new().await;
    let network = &scene.stage.network;
    let own = network.phone(&scene.tenant.number).await.unwrap();
    network.fault(Fault::new(FaultKind::WithholdDevices)).await.unwrap();
    let phone = network.add_phone(Some("Ana".into())).await;
    // Her devices are known from here: one.
    let first = network.phone_send(&phone.number, &scene.tenant.number, "a table?").await.unwrap();
    scene.heard(&scene.ear, &first).await;
    let answer = scene.says(&phone.number, "for how many?").await;
    scene.arrived(&phone.number, &answer).await;
    let (_, guest) = scene.link(&phone).await;
    for (n, to) in [&own.jid, &own.lid].into_iter().enumerate() {
        let sent = scene.stage.dashboard.send(GUEST, to, &format!("for {n}"), &format!("key {n}")).await.unwrap();
        scene.heard(&scene.ear, &sent).await;
        let answer = scene.says(&phone.number, &format!("fine {n}")).await;
        scene.arrived(&phone.number, &answer).await;
        scene.heard(&guest, &answer).await;
    }
    let stale = network.stats().await.counts.stale_device_lists;
    assert_eq!(stale, 0, "the device was not asked for before the message");
    scene.daemon.kill().await.unwrap();
}

/// Told of, it gets the very next message, and none when it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn devices_that_come_and_go_are_followed() {
    let scene = ChangesScene::new().await;
    let network = &scene.stage.network;
    let phone = network.add_phone(Some("Ana".into())).await;
    let first = network.phone_send(&phone.number, &scene.tenant.number, "a table?").await.unwrap();
    scene.heard(&scene.ear, &first).await;
    scene.arrived(&phone.number, &scene.says(&phone.number, "for how many?").await).await;
    let (device, guest) = scene.link(&phone).await;
    scene.settled().await;
    let told = scene.says(&phone.number, "we have one left").await;
    scene.heard(&guest, &told).await;
    network.unlink(&phone.number, device).await.unwrap();
    scene.settled().await;
    scene.arrived(&phone.number, &scene.says(&phone.number, "and none now").await).await;
    let counts = network.stats().await.counts;
    assert_eq!((counts.stale_device_lists, counts.undecryptable), (0, 0));
    scene.daemon.kill().await.unwrap();
}

/// Neither told of nor heard: WhatsApp's ack says that there are others.
#[tokio::test(flavor = "multi_thread")]
async fn an_ack_with_another_hash_has_the_devices_asked_for() {
    let scene = ChangesScene::new().await;
    let network = &scene.stage.network;
    network.fault(Fault::new(FaultKind::WithholdDevices)).await.unwrap();
    let phone = network.add_phone(Some("Ana".into())).await;
    let first = network.phone_send(&phone.number, &scene.tenant.number, "a table?").await.unwrap();
    scene.heard(&scene.ear, &first).await;
    scene.arrived(&phone.number, &scene.says(&phone.number, "for how many?").await).await;
    let (device, guest) = scene.link(&phone).await;
    let past = scene.says(&phone.number, "we have one left").await;
    scene.arrived(&phone.number, &past).await;
    let asked = async || network.stats().await.counts.stale_device_lists == 1;
    until(LIMIT, "the ack", asked).await.unwrap();
    let tries = std::cell::Cell::new(0);
    let reaches = async || {
        tries.set(tries.get() + 1);
        let next = scene.says(&phone.number, &format!("hello? {}", tries.get())).await;
        scene.arrived(&phone.number, &next).await;
        tokio::time::timeout(Duration::from_secs(2), scene.heard(&guest, &next)).await.is_ok()
    };
    until(LIMIT, "the new device", reaches).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    // Gone as silently.
    network.unlink(&phone.number, device).await.unwrap();
    for n in 0..3 {
        scene.arrived(&phone.number, &scene.says(&phone.number, &format!("bye {n}")).await).await;
    }
    let stale = network.stats().await.counts.stale_device_lists;
    assert!((2..=4).contains(&stale), "{stale} lists were wrong");
    scene.daemon.kill().await.unwrap();
}

/// With word of it, and without: a person with new keys writes and is written to as before.
#[tokio::test(flavor = "multi_thread")]
async fn who_installs_whatsapp_anew_stays_the_same_conversation() {
    for told in [true, false] {
        let scene = ChangesScene::new().await;
        let network = &scene.stage.network;
        let customer = scene.tenant.customers[0].clone();
        let group = network.create_group(&customer, "Mesa 4", &[&scene.tenant.number]).await.unwrap();
        let talk = async |word: &str| {
            for to in [&scene.tenant.number, &group.jid] {
                let id = network.customer_send(&customer, to, format!("{word}?")).await.unwrap();
                let heard = scene.heard(&scene.ear, &id).await;
                assert_eq!(heard["content"]["text"], json!(format!("{word}?")), "told: {told}");
            }
            for to in [&customer, &group.jid] {
                scene.arrived(&customer, &scene.says(to, word).await).await;
            }
        };
        talk("before").await;
        network.reinstall(&customer, told).await.unwrap();
        // The tenant writes first, to keys that are gone.
        scene.arrived(&customer, &scene.says(&customer, "are you there").await).await;
        scene.arrived(&customer, &scene.says(&group.jid, "are you all there").await).await;
        network.reinstall(&customer, told).await.unwrap();
        talk("after").await;
        scene.settled().await;
        assert_eq!(network.stats().await.counters_reused, 0);
        scene.daemon.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_by_a_broadcast_list_is_its_authors() {
    for form in [Form::Pn, Form::Lid] {
        let scene = ChangesScene::new().await;
        let network = &scene.stage.network;
        let customer = network.phone(&scene.tenant.customers[0]).await.unwrap();
        let own = network.phone(&scene.tenant.number).await.unwrap();
        // So the customer names the tenant from here on.
        let to = if form == Form::Pn { &own.jid } else { &own.lid };
        let first = network.customer_send(&customer.number, to, "hello").await.unwrap();
        scene.heard(&scene.ear, &first).await;
        let other = network.add_customer().await;
        let id =
            network.customer_broadcasts(&customer.number, &[&scene.tenant.number, &other], "to all").await.unwrap();
        let heard = scene.heard(&scene.ear, &id).await;
        assert_eq!(
            (&heard["chatId"], &heard["from"]),
            (&json!(customer.jid), &json!(format!("+{}", customer.number))),
            "{form:?}: {heard}"
        );
        scene.settled().await;
        assert_eq!(scene.chats().await, [format!("{}@c.us", customer.number)], "{form:?}");
        // Marked, answered and quoted like any other, and known again.
        let seen = json!({ "session": TENANT, "chatId": customer.jid });
        scene.stage.dashboard.post("/api/sendSeen", seen).await.unwrap();
        let is_read = async || {
            let messages = network.messages(Some(&customer.number)).await.unwrap();
            messages.iter().any(|message| message.id == id && !message.read.is_empty())
        };
        until(LIMIT, "the receipt", is_read).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
        let answer = json!({ "session": TENANT, "chatId": customer.jid, "text": "thank you", "reply_to": id });
        let answer = scene.stage.dashboard.post("/api/sendText", answer).await.unwrap();
        let answer = answer.body["id"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned();
        let arrived = scene.arrived(&customer.number, answer.rsplit('_').next().unwrap()).await;
        assert_eq!(arrived.about.as_deref(), Some(id.as_str()), "{arrived:?}");
        scene.daemon.kill().await.unwrap();
    }
}

/// A number that was left may be somebody else's tomorrow: what was said to it stays there.
#[tokio::test(flavor = "multi_thread")]
async fn who_changes_the_number_writes_from_the_new_one() {
    let scene = ChangesScene::new().await;
    let network = &scene.stage.network;
    let old = scene.tenant.customers[0].clone();
    let first = network.customer_send(&old, &scene.tenant.number, "a table?").await.unwrap();
    scene.heard(&scene.ear, &first).await;
    scene.arrived(&old, &scene.says(&old, "for how many?").await).await;
    let new = network.add_customer().await;
    network.change_number(&old, &new).await.unwrap();
    scene.settled().await;
    let own = network.phone(&scene.tenant.number).await.unwrap();
    for to in [&own.jid, &own.lid] {
        let id = network.customer_send(&new, to, "it is me").await.unwrap();
        let heard = scene.heard(&scene.ear, &id).await;
        assert_eq!(heard["chatId"], json!(format!("{new}@s.whatsapp.net")), "{heard}");
    }
    scene.arrived(&new, &scene.says(&new, "we know").await).await;
    scene.arrived(&old, &scene.says(&old, "and who are you?").await).await;
    let mut expected = [&old, &new].map(|number| format!("{number}@c.us"));
    expected.sort();
    assert_eq!(scene.chats().await, expected);
    scene.daemon.kill().await.unwrap();
}

/// A group member's key comes alone: there is nothing to show, it is acknowledged, and holds up nothing; what follows opens with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_message_is_taken_and_keeps_nobody_waiting() {
    let scene = ChangesScene::new().await;
    let network = &scene.stage.network;
    let customer = scene.tenant.customers[0].clone();
    let group = network.create_group(&customer, "Mesa 4", &[&scene.tenant.number]).await.unwrap();
    let warm = network.customer_send(&customer, &scene.tenant.number, "hello").await.unwrap();
    scene.heard(&scene.ear, &warm).await;
    scene.arrived(&customer, &scene.says(&customer, "hello").await).await;
    assert_eq!(network.stats().await.counts.retry_receipts, 0);
    let key = network.customer_hands_out_key(&customer, &group.jid).await.unwrap();
    let before = network.stats().await.counts.retry_receipts;
    let sent = scene.says(&customer, "at once").await;
    let began = std::time::Instant::now();
    scene.arrived(&customer, &sent).await;
    assert!(began.elapsed() < Duration::from_secs(5), "the key held up a message for {:?}", began.elapsed());
    scene.settled().await;
    let id = network.customer_send(&customer, &group.jid, "with the key").await.unwrap();
    let heard = scene.heard(&scene.ear, &id).await;
    assert_eq!(heard["content"]["text"], json!("with the key"));
    assert!(!scene.has_heard(&key), "a key is no message");
    assert_eq!(network.stats().await.counts.retry_receipts, before, "what follows did not open with the key");
    // Over a crash, which the key may not have survived: then its owner gives it again.
    network.customer_hands_out_key(&customer, &group.jid).await.unwrap();
    scene.settled().await;
    let ChangesScene { stage, daemon, ear, .. } = scene;
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    until(LIMIT, "the session", || stage.dashboard.is_connected(TENANT)).await.unwrap();
    let id = stage.network.customer_send(&customer, &group.jid, "after a crash").await.unwrap();
    let is_it = |heard: &sessiond::demo::Heard| heard.payload["message"]["id"] == json!(id);
    ear.until(LIMIT, |heard| heard.iter().any(is_it)).await.unwrap();
    let heard = ear.heard().into_iter().find(is_it).unwrap();
    if heard.payload["message"]["undecryptable"] == json!(true) {
        let opened =
            |heard: &sessiond::demo::Heard| is_it(heard) && heard.payload["message"]["text"] == json!("after a crash");
        ear.until(LIMIT, |heard| heard.iter().any(opened)).await.unwrap();
    }
    daemon.kill().await.unwrap();
}

/// A fault for what is asked about one person is for nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn requests_about_one_person_can_fail_alone() {
    let scene = ChangesScene::new().await;
    let network = &scene.stage.network;
    let (one, other) = (network.add_customer().await, network.add_customer().await);
    network.fault(Fault::new(FaultKind::IqDrop).xmlns("encrypt").chat(&one)).await.unwrap();
    let logins = network.stats().await.counts.logins;
    let lost = scene.says(&one, "hello").await;
    // The line goes with the question for the one's keys, and comes back: the login's own keys are not hit.
    let again = async || network.stats().await.counts.logins > logins;
    until(LIMIT, "another login", again).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    scene.arrived(&other, &scene.says(&other, "hello").await).await;
    network.clear_faults().await;
    scene.arrived(&one, &lost).await;
    scene.daemon.kill().await.unwrap();
}
