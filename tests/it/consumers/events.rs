//! What happens to a tenant beside its messages is an event like them: it has an id that only grows, reaches webhooks in WAHA's form
//! and Socket.IO after a cursor, and outlives the daemon. And what is nothing that anybody need know is none, and costs nothing.

use std::{collections::BTreeSet, time::Duration};

use loopback::{CallEnd, Change, ChatState, Fault, FaultKind, GroupRules, Network, Setting};
use serde_json::{Value, json};
use sessiond::demo::{Ear, Heard, until};

use crate::{
    consumers::webhooks::{ask, failures, put, stage, webhook},
    contracts::waha::{WahaScene, paired_on},
    support::{
        receiver::{Post, Receiver},
        scrape::scrape,
        stage::{LIMIT, Stage},
    },
};

/// A tenant, paired, with a webhook for some events.
async fn scene(events: &[&str]) -> Option<(WahaScene, Receiver)> {
    let receiver = Receiver::start().await;
    let scene = paired_on(stage().await).await?;
    put(&scene.stage, "trattoria", json!([webhook(&receiver.url(), events, 3)])).await;
    Some((scene, receiver))
}

/// Payloads of what was taken under a name, each id once, in the order in which they came.
fn payloads(posts: &[Post], event: &str) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let of = posts.iter().filter(|post| post.taken && post.json["event"] == event);
    of.filter(|post| seen.insert(post.id().to_owned())).map(|post| post.json["payload"].clone()).collect()
}

impl Receiver {
    /// The payload that comes `nth` (from 0) under a name.
    async fn nth(&self, event: &str, nth: usize) -> Value {
        self.until(LIMIT, &format!("{event} {nth}"), |posts| payloads(posts, event).len() > nth).await;
        payloads(&self.posts(), event).swap_remove(nth)
    }

    fn statuses(&self) -> Vec<String> {
        payloads(&self.posts(), "session.status").iter().map(|it| it["status"].as_str().unwrap().to_owned()).collect()
    }
}

fn ear(stage: &Stage) -> Ear {
    Ear::open(&stage.dashboard, vec!["trattoria".into()])
}

/// What was heard under some names, in order: the name and what it is about.
fn told(heard: &[Heard], about: &str) -> Vec<(String, Value)> {
    let of = heard.iter().filter(|heard| heard.payload["eventId"].is_string() && heard.payload.get(about).is_some());
    of.map(|heard| (heard.event.clone(), heard.payload[about].clone())).collect()
}

async fn logins(network: &Network) -> u64 {
    network.stats().await.counts.logins
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_told_of_and_can_be_declined_by_what_was_told() {
    let Some((mut scene, receiver)) = scene(&["*"]).await else { return };
    let network = scene.stage.network.clone();
    let ear = ear(&scene.stage);
    let rings = network.customer_calls(&scene.customer, &scene.number).await.unwrap();
    let call = receiver.nth("call.received", 0).await;
    scene.waha.is("CallData", &call).await;
    assert_eq!((&call["id"], &call["from"]), (&json!(rings), &json!(scene.chat())));
    assert_eq!((&call["isVideo"], &call["isGroup"]), (&json!(false), &json!(false)));
    let heard = |heard: &[Heard]| {
        told(heard, "call").last().is_some_and(|(event, told)| event == "call:received" && *told == call)
    };
    ear.until(LIMIT, heard).await.unwrap();

    scene.waha.get("calls.reject_call", json!(["trattoria", { "from": call["from"], "id": call["id"] }])).await;
    until(LIMIT, "the end of the call", || async { network.calls().await[0].declined_by.is_some() }).await.unwrap();
    let declined = receiver.nth("call.rejected", 0).await;
    assert_eq!((&declined["id"], &declined["_data"]["status"]), (&json!(rings), &json!("reject")));
    // The caller hangs up, which is no news of it.
    network.end_call(&rings, CallEnd::GivenUp).await.unwrap();

    let call = async |end: CallEnd| {
        let id = network.customer_calls(&scene.customer, &scene.number).await.unwrap();
        network.end_call(&id, end).await.unwrap();
        id
    };
    let (taken, refused, given_up) =
        (call(CallEnd::Taken).await, call(CallEnd::Declined).await, call(CallEnd::GivenUp).await);
    let accepted = receiver.nth("call.accepted", 0).await;
    scene.waha.is("CallData", &accepted).await;
    assert_eq!((&accepted["id"], &accepted["from"]), (&json!(taken), &json!(scene.chat())));
    receiver.nth("call.rejected", 2).await;
    let ends = payloads(&receiver.posts(), "call.rejected");
    let ends: BTreeSet<_> =
        ends.iter().map(|it| (it["id"].as_str().unwrap(), it["_data"]["status"].as_str().unwrap())).collect();
    assert_eq!(ends, BTreeSet::from([(&*rings, "reject"), (&*refused, "reject"), (&*given_up, "timeout")]));
    assert_eq!(payloads(&receiver.posts(), "call.received").len(), 4);
    scene.daemon.kill().await.unwrap();
}

/// And a consumer with a cursor is told in order of what it was not there for, whatever died meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn calls_outlive_the_daemon_and_its_disk() {
    let Some((scene, mut receiver)) = scene(&["call.received", "call.rejected"]).await else { return };
    let (network, chat) = (scene.stage.network.clone(), scene.chat());
    receiver.stop();
    let listener = ear(&scene.stage);
    let first = network.customer_calls(&scene.customer, &scene.number).await.unwrap();
    // The library tells of a call and of a message on two ways: the message alone says nothing of the call before it.
    listener.until(LIMIT, |heard| !told(heard, "call").is_empty()).await.unwrap();
    let written = network.customer_send(&scene.customer, &scene.number, "why does nobody answer?").await.unwrap();
    let came = |heard: &[Heard]| heard.iter().any(|heard| heard.payload["message"]["id"] == json!(written));
    // The message is in the vault, and took with it what was before.
    listener.until(LIMIT, came).await.unwrap();
    drop(listener);
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    let missed = network.customer_calls(&scene.customer, &scene.number).await.unwrap();
    let daemon = scene.stage.start().await;
    receiver.resume().await;
    assert_eq!(receiver.nth("call.received", 0).await["id"], json!(first));
    let late = receiver.nth("call.rejected", 0).await;
    assert_eq!((&late["id"], &late["from"]), (&json!(missed), &json!(chat)));
    assert_eq!(late["_data"]["status"], json!("timeout"));

    // All there ever was, after the cursor of the beginning.
    let listener = ear(&scene.stage);
    let both = |heard: &[Heard]| told(heard, "call").len() == 2;
    listener.until(LIMIT, both).await.unwrap();
    let heard = listener.heard();
    let events: Vec<_> = heard.iter().filter(|heard| heard.payload["eventId"].is_string()).collect();
    let ids: Vec<_> = events.iter().map(|heard| heard.payload["eventId"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let at = |event: &str| events.iter().position(|heard| heard.event == event).unwrap();
    assert!(at("call:received") < at("message:received") && at("message:received") < at("call:rejected"));
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_group_is_told() {
    let Some((mut scene, receiver)) = scene(&["*"]).await else { return };
    let network = scene.stage.network.clone();
    let (a, b) = (scene.customer.clone(), network.add_customer().await);
    let group = network.create_group(&a, "Regulars", &[&scene.number]).await.unwrap().jid;
    let joined = receiver.nth("group.v2.join", 0).await;
    scene.waha.is("GroupV2JoinEvent", &joined).await;
    assert_eq!((&joined["group"]["id"], &joined["group"]["subject"]), (&json!(group), &json!("Regulars")));
    assert_eq!(joined["group"]["participants"].as_array().unwrap().len(), 2);
    assert_eq!(joined["group"]["membersCanAddNewMember"], json!(false));

    for (nth, (change, kind, role)) in [
        (Change::Add, "join", "participant"),
        (Change::Promote, "promote", "admin"),
        (Change::Demote, "demote", "participant"),
        (Change::Remove, "leave", "left"),
    ]
    .into_iter()
    .enumerate()
    {
        network.change_group(&group, &a, change, &[&b]).await.unwrap();
        let told = receiver.nth("group.v2.participants", nth).await;
        scene.waha.is("GroupV2ParticipantsEvent", &told).await;
        let (who, pn) = (&told["participants"][0], json!(format!("{b}@c.us")));
        assert_eq!((&told["type"], &who["role"], &who["pn"]), (&json!(kind), &json!(role), &pn), "{told}");
        assert_eq!(told["group"]["id"], json!(group));
    }

    network.group_subject(&group, &a, "Best regulars").await.unwrap();
    let told = receiver.nth("group.v2.update", 0).await;
    scene.waha.is("GroupV2UpdateEvent", &told).await;
    assert_eq!(told["group"], json!({ "id": group, "subject": "Best regulars" }));
    let before = network.group(&group).await.unwrap().rules;
    let rules =
        GroupRules { messages_by_admins: true, approval: true, members_add: true, info_by_admins: false, ..before };
    network.group_rules(&group, &a, rules).await.unwrap();
    receiver.nth("group.v2.update", 4).await;
    let told = payloads(&receiver.posts(), "group.v2.update");
    for field in ["restrict", "membersCanSendMessages"] {
        assert!(told.iter().any(|told| told["group"][field] == json!(false)), "{field}: {told:?}");
    }
    for field in ["membersCanAddNewMember", "newMembersApprovalRequired"] {
        assert!(told.iter().any(|told| told["group"][field] == json!(true)), "{field}: {told:?}");
    }

    // Who wants to join asks its admins: the tenant is one from now on.
    network.change_group(&group, &a, Change::Promote, &[&scene.number]).await.unwrap();
    let invite = network.group(&group).await.unwrap().invite;
    network.join_group(&b, &invite).await.unwrap();
    let asks = receiver.nth("group.v2.participants.join-request", 0).await;
    scene.waha.is("GroupV2ParticipantsJoinRequestEvent", &asks).await;
    assert_eq!((&asks["action"], &asks["requestMethod"]), (&json!("created"), &json!("invite_link")));

    network.change_group(&group, &a, Change::Remove, &[&scene.number]).await.unwrap();
    let left = receiver.nth("group.v2.leave", 0).await;
    scene.waha.is("GroupV2LeaveEvent", &left).await;
    assert_eq!(left["group"], json!({ "id": group }));
    // The same under its other name, with an id of its own.
    receiver.nth("group.v2.participants", 5).await;
    let posts = receiver.posts();
    let of = |event: &str| posts.iter().rfind(|post| post.json["event"] == event).unwrap();
    assert_ne!(of("group.v2.leave").id(), of("group.v2.participants").id());
    assert_eq!(of("group.v2.participants").json["payload"]["type"], json!("leave"));
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_message_in_a_group_has_come_is_told_with_of_whom() {
    let Some((mut scene, receiver)) = scene(&["message.ack", "message.ack.group"]).await else { return };
    let network = scene.stage.network.clone();
    let group = network.create_group(&scene.customer, "Regulars", &[&scene.number]).await.unwrap().jid;
    let text = json!([{ "session": "trattoria", "chatId": group, "text": "closed today" }]);
    let sent = scene.waha.get("chatting.send_text", text).await;
    let read =
        |posts: &[Post], event: &str, name: &str| payloads(posts, event).iter().any(|it| it["ackName"] == json!(name));
    receiver.until(LIMIT, "its delivery", |posts| read(posts, "message.ack.group", "DEVICE")).await;
    let acks = payloads(&receiver.posts(), "message.ack.group");
    let ack = acks.iter().find(|it| it["ackName"] == json!("DEVICE")).unwrap();
    scene.waha.is("WAMessageAckBody", ack).await;
    assert_eq!((&ack["id"], &ack["participant"]), (&sent["id"], &json!(scene.chat())), "{ack}");
    receiver.until(LIMIT, "the same", |posts| read(posts, "message.ack", "DEVICE")).await;
    // To one person it is no group's.
    let (before, chat) = (payloads(&receiver.posts(), "message.ack.group").len(), scene.chat());
    let text = json!([{ "session": "trattoria", "chatId": chat, "text": "hello" }]);
    let sent = scene.waha.get("chatting.send_text", text).await;
    let arrived = |posts: &[Post]| {
        payloads(posts, "message.ack").iter().any(|it| it["id"] == sent["id"] && it["ackName"] == json!("DEVICE"))
    };
    receiver.until(LIMIT, "its delivery", arrived).await;
    assert_eq!(payloads(&receiver.posts(), "message.ack.group").len(), before);
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_the_archive_are_told_of_when_they_change() {
    let Some((mut scene, receiver)) = scene(&["*"]).await else { return };
    let network = scene.stage.network.clone();
    let set = async |setting: Setting| network.phone_sets(&scene.number, &setting).await.unwrap();
    // The first sync finds nothing. From then on the very first change is news.
    for collection in ["regular", "regular_low"] {
        let is_read = || async { network.settings_reads(&scene.number, collection).await.unwrap() > 0 };
        until(LIMIT, "the first sync", is_read).await.unwrap();
    }
    set(Setting::Label { id: "3".into(), name: "First".into(), color: 1 }).await;
    assert_eq!(receiver.nth("label.upsert", 0).await["name"], json!("First"));
    set(Setting::Archived { chat: scene.number.clone(), on: true }).await;
    assert_eq!(receiver.nth("chat.archive", 0).await["archived"], json!(true));
    let label = json!({ "id": "4", "name": "VIP", "color": 2, "colorHex": "#ffd429" });
    set(Setting::Label { id: "4".into(), name: "VIP".into(), color: 2 }).await;
    let told = receiver.nth("label.upsert", 1).await;
    assert_eq!(told, label);
    let labelled = |on| Setting::Labelled { id: "4".into(), chat: scene.customer.clone(), on };
    set(labelled(true)).await;
    let added = receiver.nth("label.chat.added", 0).await;
    assert_eq!(added, json!({ "labelId": "4", "chatId": scene.chat(), "label": label }));
    set(labelled(false)).await;
    assert_eq!(receiver.nth("label.chat.deleted", 0).await, added);
    set(Setting::LabelGone { id: "4".into() }).await;
    assert_eq!(receiver.nth("label.deleted", 0).await, label);
    set(Setting::Archived { chat: scene.customer.clone(), on: true }).await;
    let archived = receiver.nth("chat.archive", 1).await;
    assert_eq!((&archived["id"], &archived["archived"]), (&json!(scene.chat()), &json!(true)));
    for (model, value) in [("Label", &told), ("LabelChatAssociation", &added), ("ChatArchiveEvent", &archived)] {
        scene.waha.is(model, value).await;
    }
    // None of it twice, and a login tells nothing anew.
    let before = logins(&network).await;
    scene.waha.get("sessions.restart", json!(["trattoria"])).await;
    until(LIMIT, "the login", || async { logins(&network).await > before }).await.unwrap();
    set(Setting::Archived { chat: scene.customer.clone(), on: false }).await;
    receiver.nth("chat.archive", 2).await;
    let names = ["label.upsert", "label.chat.added", "label.chat.deleted", "label.deleted"];
    assert_eq!(names.map(|name| payloads(&receiver.posts(), name).len()), [2, 1, 1, 1]);
    // After a restart the library reads everything anew with the first change, which alone is news; also where WhatsApp tells it in pages.
    network.fault(Fault::new(FaultKind::PagedAppState)).await.unwrap();
    scene.daemon.kill().await.unwrap();
    let daemon = scene.stage.start().await;
    until(LIMIT, "the tenant", || scene.stage.dashboard.is_connected("trattoria")).await.unwrap();
    set(Setting::Label { id: "5".into(), name: "Newest".into(), color: 3 }).await;
    assert_eq!(receiver.nth("label.upsert", 2).await["name"], json!("Newest"));
    set(Setting::Archived { chat: scene.customer.clone(), on: true }).await;
    assert_eq!(receiver.nth("chat.archive", 3).await["archived"], json!(true));
    assert_eq!(names.map(|name| payloads(&receiver.posts(), name).len()), [3, 1, 1, 1]);
    daemon.kill().await.unwrap();
}

/// What a moment later is worth nothing goes out, and is in no log.
#[tokio::test(flavor = "multi_thread")]
async fn who_types_is_told_while_a_chat_is_followed() {
    let Some((mut scene, receiver)) = scene(&["presence.update", "message"]).await else { return };
    let network = scene.stage.network.clone();
    let (customer, chat) = (scene.customer.clone(), scene.chat());
    network.customer_send(&customer, &scene.number, "hello").await.unwrap();
    receiver.nth("message", 0).await;
    scene.waha.get("presence.subscribe", json!(["trattoria", chat])).await;
    let text =
        scene.waha.get("chatting.send_text", json!([{ "session": "trattoria", "chatId": chat, "text": "hi" }])).await;
    scene.arrived(&text).await;
    network.customer_available(&customer, true).await.unwrap();
    let types = async || {
        // WhatsApp says it again and again while somebody types.
        network.customer_chat_state(&customer, &scene.number, ChatState::Composing).await.unwrap();
        let told = payloads(&receiver.posts(), "presence.update");
        told.iter().any(|it| it["id"] == json!(chat) && it["presences"][0]["lastKnownPresence"] == json!("typing"))
    };
    until(LIMIT, "who types to be told", types).await.unwrap_or_else(|e| panic!("{e}\n{}", scene.stage.log()));
    let told = payloads(&receiver.posts(), "presence.update");
    scene.waha.is("WAHAChatPresences", told.last().unwrap()).await;
    let owed = async || {
        ask(&scene.stage, "GET", "/api/trattoria/webhooks", None).await.1["webhooks"][0]["status"]["owed"].clone()
    };
    until(LIMIT, "nothing to be owed", async || owed().await == json!(0)).await.unwrap();
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_is_told_step_by_step_and_a_status_outlives_receiver_daemon_and_disk() {
    let mut receiver = Receiver::start().await;
    let stage = stage().await;
    let daemon = stage.start().await;
    let settings = json!([webhook(&receiver.url(), &["session.status"], 3)]);
    put(&stage, "trattoria", settings.clone()).await;
    let conversation = stage.pair("trattoria").await;
    let working = |posts: &[Post]| payloads(posts, "session.status").last().is_some_and(|it| it["status"] == "WORKING");
    receiver.until(LIMIT, "the pairing", working).await;
    assert_eq!(receiver.statuses(), ["STARTING", "SCAN_QR_CODE", "WORKING"]);
    let last = receiver.nth("session.status", 2).await;
    let points: Vec<_> = last["statuses"].as_array().unwrap().iter().map(|point| point["status"].clone()).collect();
    assert_eq!(
        (&last["name"], points),
        (&json!("trattoria"), vec![json!("STARTING"), json!("SCAN_QR_CODE"), json!("WORKING")])
    );

    receiver.stop();
    let stop = stage.dashboard.post("/api/sessions/trattoria/stop", json!({})).await.unwrap();
    assert!(stop.status < 300, "{}", stop.body);
    let failing =
        async || ask(&stage, "GET", "/api/trattoria/webhooks", None).await.1["webhooks"][0]["status"]["owed"] == 1;
    until(LIMIT, "the status to be owed", failing).await.unwrap();
    // An answer that waits for the vault takes with it what was before.
    put(&stage, "trattoria", settings).await;
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    let start = stage.dashboard.post("/api/sessions/trattoria/start", json!({})).await.unwrap();
    assert!(start.status < 300, "{}", start.body);
    until(LIMIT, "the session", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    receiver.resume().await;
    receiver.until(LIMIT, "all of it", |posts| payloads(posts, "session.status").len() >= 6).await;
    assert_eq!(receiver.statuses()[3..], ["STOPPED", "STARTING", "WORKING"]);
    assert_eq!(failures(&stage, "trattoria").await, Vec::<Value>::new());

    // The phone unlinks it while nobody listens: the next process connects it nowhere, and tells of it all the same.
    receiver.stop();
    let device = stage.network.devices(&conversation.number).await.unwrap()[0].id;
    stage.network.unlink(&conversation.number, device).await.unwrap();
    until(LIMIT, "the status to be owed", failing).await.unwrap();
    // The directory is told of it, too, a few seconds later.
    let unlinked = async || {
        let tenant = stage.dashboard.get("/api/tenant/trattoria").await.unwrap().body;
        tenant["tenant"]["lastError"].as_str().is_some_and(|error| error.contains("logged this device out"))
    };
    until(LIMIT, "the directory to know", unlinked).await.unwrap_or_else(|e| panic!("{e}"));
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let daemon = stage.start().await;
    receiver.resume().await;
    receiver.until(LIMIT, "the end", |posts| payloads(posts, "session.status").len() >= 7).await;
    assert_eq!(receiver.statuses()[6..], ["STOPPED"]);
    daemon.kill().await.unwrap();
}

/// Lost lines, restarts of the daemon and tests of a quiet session: over in a moment, and nobody is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_in_a_moment_is_no_event_and_a_loss_that_lasts_is() {
    let mut receiver = Receiver::start().await;
    let stage = stage().await.set("SESSIOND_HEARTBEAT__INTERVAL", "2s").set("SESSIOND_HEARTBEAT__FIRST", "1s");
    let daemon = stage.start().await;
    put(&stage, "trattoria", json!([webhook(&receiver.url(), &["session.status"], 3)])).await;
    let conversation = stage.pair("trattoria").await;
    receiver.nth("session.status", 2).await;
    let network = &stage.network;
    for _ in 0..5 {
        let before = logins(network).await;
        network.fault(Fault::new(FaultKind::Drop)).await.unwrap();
        until(LIMIT, "a new login", || async { logins(network).await > before }).await.unwrap();
        until(LIMIT, "the session", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    }
    // Quiet is tested by a login after one second, two, four.
    let before = logins(network).await;
    until(LIMIT, "logins that test a quiet session", || async { logins(network).await >= before + 3 }).await.unwrap();
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    until(LIMIT, "the session", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    assert_eq!(receiver.statuses(), ["STARTING", "SCAN_QR_CODE", "WORKING"]);

    network.stop().await;
    assert_eq!(receiver.nth("session.status", 3).await["status"], json!("STARTING"));
    network.resume().await.unwrap();
    assert_eq!(receiver.nth("session.status", 4).await["status"], json!("WORKING"));
    // On the log's side the same, and in its order.
    let listener = ear(&stage);
    let whole = |heard: &[Heard]| told(heard, "session").len() >= 5;
    listener.until(LIMIT, whole).await.unwrap();
    let states: Vec<_> = told(&listener.heard(), "session").into_iter().map(|(_, it)| it["status"].clone()).collect();
    assert_eq!(states, ["STARTING", "SCAN_QR_CODE", "WORKING", "STARTING", "WORKING"]);

    // The phone unlinks it, and the process dies before the directory says more than that it is not paired: the next one tells.
    let directory =
        async || stage.dashboard.get("/api/tenant/trattoria").await.unwrap().body["tenant"]["status"].take();
    until(LIMIT, "the directory", async || directory().await == "connected").await.unwrap();
    receiver.stop();
    let device = network.devices(&conversation.number).await.unwrap()[0].id;
    network.unlink(&conversation.number, device).await.unwrap();
    let is_unpaired = async || {
        let status = stage.dashboard.get("/api/baileys/status?tenantId=trattoria").await.unwrap();
        status.body["paired"] == json!(false)
    };
    until(LIMIT, "the wipe", is_unpaired).await.unwrap();
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    receiver.resume().await;
    assert_eq!(receiver.nth("session.status", 5).await["status"], json!("STOPPED"));
    until(LIMIT, "the directory to be told", async || directory().await == "disconnected").await.unwrap();
    // Whoever looks after it learns that it needs a scan, as before, until it is deleted: the next of its name was never logged out.
    let session = async || stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body;
    let scan_needed = async || scrape(&stage).await.value("sessiond_session_scan_needed{tenant=\"trattoria\"}");
    let logged_out = session().await;
    assert_eq!(logged_out["rejected"], json!(true), "{logged_out}");
    assert_eq!(logged_out["reason"], json!("WhatsApp logged this device out: scan again"), "{logged_out}");
    assert_eq!(scan_needed().await, 1.0);
    assert_eq!(stage.dashboard.delete("/api/sessions/trattoria").await.unwrap().status, 200);
    let made = stage.dashboard.post("/api/sessions", json!({ "name": "trattoria" })).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.body);
    let anew = session().await;
    assert_eq!((&anew["rejected"], scan_needed().await), (&json!(false), 0.0), "{anew}");
    tokio::time::timeout(Duration::from_secs(10), daemon.kill()).await.unwrap().unwrap();
}
