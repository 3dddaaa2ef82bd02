//! People have two names, a phone number and a LID, and some have only the LID as far as anybody is told. A LID is never shown or
//! taken as a number; and a customer is one conversation, by whatever name.

use loopback::{ChatState, Fault, FaultKind, Form, PhoneInfo, Received, Say};
use phonenumber::country::CO;
use serde_json::{Value, json};
use sessiond::{
    demo::{ApiAnswer, Conversation, Ear, Process, until},
    session::chat_of,
};

use crate::{
    consumers::webhooks,
    support::{
        receiver::Receiver,
        stage::{Home, LIMIT, Stage},
    },
};

struct LidScene {
    stage: Stage,
    daemon: Process,
    tenant: Conversation,
    /// The tenant's phone.
    own: PhoneInfo,
    customer: PhoneInfo,
    ear: Ear,
}

impl LidScene {
    async fn new() -> Self {
        let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32");
        let daemon = stage.start().await;
        let tenant = stage.pair("trattoria").await;
        let own = stage.network.phone(&tenant.number).await.unwrap();
        let customer = stage.network.add_customer().await;
        let customer = stage.network.phone(&customer).await.unwrap();
        let ear = stage.listen(std::slice::from_ref(&tenant));
        Self { stage, daemon, tenant, own, customer, ear }
    }

    /// The customer writes; returns WhatsApp's id and the message that dashboards are told, when the history has it.
    async fn hears(&self, to: &str, say: impl Into<Say>) -> (String, Value) {
        let id = self.stage.network.customer_send(&self.customer.number, to, say).await.unwrap();
        let told = self.told(&id).await;
        (id, told)
    }

    async fn told(&self, id: &str) -> Value {
        let is_it = |heard: &sessiond::demo::Heard| {
            heard.event.starts_with("message:") && heard.payload["message"]["id"] == json!(id)
        };
        let waited = self.ear.until(LIMIT, |heard| heard.iter().any(is_it)).await;
        waited.unwrap_or_else(|error| panic!("{id}: {error}: {:#?}\n{}", self.ear.heard(), self.stage.log()));
        self.ear.heard().iter().find(|heard| is_it(heard)).unwrap().payload["message"].clone()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.stage.dashboard.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    async fn send(&self, to: &str, text: &str) -> ApiAnswer {
        let body = json!({ "session": "trattoria", "chatId": to, "text": text });
        self.stage.dashboard.post("/api/sendText", body).await.unwrap()
    }

    /// The same; its id, when it was accepted.
    async fn says(&self, to: &str, text: &str) -> String {
        let answer = self.send(to, text).await;
        assert_eq!(answer.status, 201, "{to}: {}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    /// What the customer has of it.
    async fn arrived(&self, id: &str) -> Received {
        let id = bare(id);
        let inbox = || async { self.stage.network.customer_inbox(&self.customer.number).await.unwrap() };
        let has = || async { inbox().await.iter().any(|received| received.id == id) };
        let waited = until(LIMIT, "the message", has).await;
        waited.unwrap_or_else(|error| panic!("{id}: {error}\n{}", self.stage.log()));
        inbox().await.into_iter().find(|received| received.id == id).unwrap()
    }

    async fn chats(&self) -> Vec<Value> {
        self.get("/api/trattoria/chats").await.as_array().unwrap().clone()
    }

    /// WhatsApp's ids of what is listed of a chat, oldest first.
    async fn ids(&self, chat: &str) -> Vec<String> {
        let listed = self.get(&format!("/api/trattoria/chats/{}/messages?limit=100", encoded(chat))).await;
        listed
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|message| bare(message["id"].as_str().unwrap()).to_owned())
            .collect()
    }

    async fn end(self) {
        let stats = self.stage.network.stats().await;
        assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
        self.daemon.kill().await.unwrap();
    }
}

fn bare(id: &str) -> &str {
    id.rsplit('_').next().unwrap()
}

fn encoded(text: &str) -> String {
    text.replace('+', "%2B").replace(' ', "%20")
}

fn digits(jid: &str) -> &str {
    jid.split('@').next().unwrap()
}

/// Nowhere in it are the digits of the LID without its server, and nowhere a plus before them.
fn assert_no_number(what: &str, value: &Value, lid: &str) {
    let text = value.to_string();
    let bare = text.replace(lid, "");
    assert!(!bare.contains(digits(lid)), "{what} has the LID as a number: {value:#}");
    assert!(!text.contains(&format!("+{lid}")), "{what} has a plus before the LID: {value:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_without_a_number_is_shown_by_the_lid_in_every_contract_and_answered_there() {
    let scene = LidScene::new().await;
    let network = &scene.stage.network;
    let receiver = Receiver::start().await;
    webhooks::put(&scene.stage, "trattoria", json!([webhooks::webhook(&receiver.url(), &["*"], 1)])).await;
    let lid = scene.customer.lid.clone();
    // Somebody has the number that the LID would be.
    let stranger = network.add_customer().await;
    network.add_number(&stranger, digits(&lid)).await.unwrap();
    network.hide_number(&scene.customer.number, true).await.unwrap();

    let (first, told) = scene.hears(&scene.tenant.number, "a pizza").await;
    assert_eq!((&told["from"], &told["chatId"]), (&json!(lid), &json!(lid)));
    let (_, told) = scene.hears(&scene.tenant.number, Say::reaction(&first, "👍")).await;
    assert_eq!(told["from"], json!(lid));
    let is_first = |post: &crate::support::receiver::Post| post.json["payload"]["body"] == "a pizza";
    receiver.until(LIMIT, "the webhook", |posts| posts.iter().any(is_first)).await;
    let post = receiver.posts().into_iter().find(is_first).unwrap().json;
    assert_eq!(
        (&post["payload"]["from"], &post["payload"]["id"]),
        (&json!(lid), &json!(format!("false_{lid}_{first}")))
    );

    // Exactly that string, in every contract that sends.
    let from = told["from"].as_str().unwrap();
    let mut answers = vec![scene.says(from, "at eight").await];
    let body = json!({ "tenantId": "trattoria", "to": from, "text": "with cheese" });
    let sent = scene.stage.dashboard.post("/api/baileys/send", body.clone()).await.unwrap();
    answers.push(sent.body["messageId"].as_str().unwrap_or_else(|| panic!("{}", sent.body)).to_owned());
    let body = json!({ "tenantId": "trattoria", "to": from, "message": "and wine" });
    let sent = scene.stage.dashboard.post("/api/baileys/send-message", body).await.unwrap();
    answers.push(sent.body["messageId"].as_str().unwrap_or_else(|| panic!("{}", sent.body)).to_owned());
    let card = json!({ "session": "trattoria", "chatId": from, "latitude": 4.5, "longitude": -74.5 });
    let sent = scene.stage.dashboard.post("/api/sendLocation", card).await.unwrap();
    answers.push(sent.body["id"].as_str().unwrap_or_else(|| panic!("{}", sent.body)).to_owned());
    let reaction = json!({ "session": "trattoria", "messageId": format!("false_{lid}_{first}"), "reaction": "🍕" });
    let sent = scene.stage.dashboard.put("/api/reaction", reaction).await.unwrap();
    answers.push(sent.body["id"].as_str().unwrap_or_else(|| panic!("{}", sent.body)).to_owned());
    for answer in &answers {
        scene.arrived(answer).await;
        scene.told(bare(answer)).await;
    }
    let seen = json!({ "session": "trattoria", "chatId": from, "messageIds": [first] });
    scene.stage.dashboard.post("/api/sendSeen", seen).await.unwrap();
    scene.stage.dashboard.post("/api/startTyping", json!({ "session": "trattoria", "chatId": from })).await.unwrap();
    let types = || async {
        let seen = network.customer_sees(&scene.customer.number).await.unwrap();
        seen.iter().any(|seen| seen.number == scene.tenant.number && seen.chat_state == Some(ChatState::Composing))
    };
    until(LIMIT, "typing", types).await.unwrap();
    let is_read = || async {
        let messages = network.messages(Some(&scene.customer.number)).await.unwrap();
        messages.iter().any(|message| message.id == first && !message.read.is_empty())
    };
    until(LIMIT, "the receipt", is_read).await.unwrap();

    // The LID is no number, however it is written, and no card has it for one.
    let user = digits(&lid);
    for wrong in [format!("+{user}"), user.to_owned(), format!("{user}@c.us"), format!("{user}@s.whatsapp.net")] {
        let refused = scene.send(&wrong, "for whom?").await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (400, &json!("invalid_input")),
            "{wrong}: {}",
            refused.body
        );
    }
    for route in ["startTyping", "stopTyping", "sendSeen"] {
        let body = json!({ "session": "trattoria", "chatId": format!("+{user}") });
        let refused = scene.stage.dashboard.post(&format!("/api/{route}"), body).await.unwrap();
        assert_eq!(refused.status, 400, "{route}: {}", refused.body);
    }
    let card = json!([{ "fullName": "Ana", "phoneNumber": lid }]);
    let card = json!({ "session": "trattoria", "chatId": from, "contacts": card });
    assert_eq!(scene.stage.dashboard.post("/api/sendContactVcard", card).await.unwrap().status, 400);

    // Whatever is listed.
    let chat = format!("/api/trattoria/chats/{lid}");
    let paths = [
        "/api/trattoria/chats".to_owned(),
        "/api/trattoria/chats/overview".to_owned(),
        format!("{chat}/messages"),
        format!("{chat}/messages/false_{lid}_{first}"),
        format!("/api/messages?session=trattoria&chatId={lid}"),
        "/api/contacts/all?session=trattoria".to_owned(),
        format!("/api/contacts?session=trattoria&contactId={lid}"),
        format!("/api/trattoria/contacts/{lid}"),
        format!("/api/contacts/check-exists?session=trattoria&phone={lid}"),
        format!("/api/trattoria/lids/{lid}"),
        "/api/trattoria/lids".to_owned(),
        format!("/api/trattoria/presence/{lid}"),
        "/api/trattoria/presence".to_owned(),
        "/api/baileys/conversations?tenantId=trattoria".to_owned(),
        format!("/api/baileys/messages?tenantId=trattoria&chatId={lid}"),
        format!("/api/baileys/messages?tenantId=trattoria&chatId={lid}&search=PIZZA"),
    ];
    for path in &paths {
        let shown = scene.get(path).await;
        assert_no_number(path, &shown, &lid);
        if path.contains("messages") || path.contains("chats") || path.contains("conversations") {
            assert!(shown.to_string().contains(&lid), "{path}: {shown:#}");
        }
    }
    assert_eq!(scene.get(&paths[8]).await["pn"], Value::Null, "a LID is no number that exists");
    let conversations = scene.get(&paths[13]).await["conversations"].clone();
    assert_eq!((conversations.as_array().map(Vec::len), &conversations[0]["phone"]), (Some(1), &json!(lid)));
    assert_eq!(scene.get(&paths[15]).await["count"], json!(1));
    let listed = scene.get(&paths[14]).await;
    let reacted = listed["messages"].as_array().unwrap().iter().find(|one| one["id"] == json!(first)).unwrap();
    let by: Vec<_> = reacted["reactions"].as_array().unwrap().iter().map(|one| one["from"].as_str().unwrap()).collect();
    assert!(by.contains(&lid.as_str()), "{reacted:#}");
    for heard in scene.ear.heard() {
        assert_no_number(&heard.event, &heard.payload, &lid);
    }
    for post in receiver.posts() {
        assert_no_number("a webhook", &post.json, &lid);
    }
    assert!(network.customer_inbox(&stranger).await.unwrap().is_empty(), "a stranger got it");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_one_conversation_by_every_name() {
    let scene = LidScene::new().await;
    let network = &scene.stage.network;
    let PhoneInfo { number, lid, .. } = scene.customer.clone();
    let mut ids =
        vec![scene.hears(&scene.own.lid, "by the LID").await.0, scene.hears(&scene.own.jid, "by the number").await.0];
    let names = [
        lid.clone(),
        format!("{number}@s.whatsapp.net"),
        format!("{number}@c.us"),
        format!("+{number}"),
        number.clone(),
        format!("\u{202a}+{number}\u{202c} "),
    ];
    for name in &names {
        let answer = scene.says(name, "an answer").await;
        assert_eq!(answer, format!("true_{number}@c.us_{}", bare(&answer)), "to {name}");
        scene.arrived(&answer).await;
        assert_eq!(scene.told(bare(&answer)).await["chatId"], json!(format!("{number}@s.whatsapp.net")));
        ids.push(bare(&answer).to_owned());
        // What the customer thinks of it, by either name of the chat.
        for (to, emoji) in [(&scene.own.lid, "👍"), (&scene.own.jid, "🍕")] {
            let (_, told) = scene.hears(to, Say::reaction(bare(&answer), emoji)).await;
            assert_eq!(told["chatId"], json!(format!("{number}@s.whatsapp.net")));
            let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={}", encoded(name));
            let listed = scene.get(&path).await;
            let of = listed["messages"].as_array().unwrap().iter().find(|one| one["id"] == json!(bare(&answer)));
            assert_eq!(of.unwrap()["reactions"][0]["emoji"], json!(emoji), "{listed:#}");
        }
    }
    for name in &names {
        assert_eq!(scene.ids(name).await, ids, "read as {name}");
        let found = format!("/api/baileys/messages?tenantId=trattoria&chatId={}&search=LID", encoded(name));
        assert_eq!(scene.get(&found).await["count"], json!(1), "searched as {name}");
        let past = json!({ "chatId": name, "count": 10 });
        let past = scene.stage.dashboard.post("/api/sessions/trattoria/history", past).await.unwrap();
        assert_eq!(past.status, 200, "{name}: {}", past.body);
        let ids = json!({ "filter": { "ids": [name] } });
        let overview = scene.stage.dashboard.post("/api/trattoria/chats/overview", ids).await.unwrap();
        assert_eq!(overview.body[0]["id"], json!(format!("{number}@c.us")), "{name}: {}", overview.body);
    }
    let chats = scene.chats().await;
    assert_eq!(chats.len(), 1, "{chats:#?}");
    assert!(chats[0]["name"].as_str().is_some_and(|name| name.starts_with("Customer")), "{chats:#?}");

    // Whoever is followed by one name is seen by all.
    scene.stage.dashboard.post("/api/trattoria/presence", json!({ "presence": "online" })).await.unwrap();
    let followed = scene.stage.dashboard.post(&format!("/api/trattoria/presence/{lid}/subscribe"), json!({})).await;
    assert_eq!(followed.unwrap().status, 201);
    // What WhatsApp says at once would else come after the first sign of typing.
    let path = format!("/api/trattoria/presence/{lid}");
    let is_told = || async { scene.get(&path).await["presences"].as_array().is_some_and(|shown| !shown.is_empty()) };
    until(LIMIT, "who is there", is_told).await.unwrap();
    for to in [&scene.own.lid, &scene.own.jid] {
        for (state, word) in [(ChatState::Composing, "typing"), (ChatState::Paused, "paused")] {
            network.customer_chat_state(&number, to, state).await.unwrap();
            for name in &names {
                let path = format!("/api/trattoria/presence/{}", encoded(name));
                let is_shown = || async {
                    let shown = scene.get(&path).await;
                    assert_eq!(shown["id"], json!(format!("{number}@c.us")), "{name}");
                    shown["presences"].as_array().unwrap().iter().any(|one| one["lastKnownPresence"] == json!(word))
                };
                until(LIMIT, &format!("{word} in the chat with {to}, read as {name}"), is_shown).await.unwrap();
            }
        }
    }
    assert_eq!(scene.get("/api/trattoria/presence").await.as_array().map(Vec::len), Some(1));

    // A repeat is one by whatever name.
    let once = async |to: &str| scene.stage.dashboard.send("trattoria", to, "once", "the-key").await.unwrap();
    let id = once(&lid).await;
    for name in &names {
        assert_eq!(once(name).await, id, "{name}");
    }
    scene.end().await;
}

/// The library and the daemon learn a number late: what was said before is found by both names.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_learned_later_joins_the_conversations() {
    let scene = LidScene::new().await;
    let network = &scene.stage.network;
    let PhoneInfo { number, lid, .. } = scene.customer.clone();
    network.hide_number(&number, true).await.unwrap();
    let mut ids = vec![scene.hears(&scene.tenant.number, "who am I?").await.0];
    let key = "a-key";
    let answer = scene.stage.dashboard.send("trattoria", &lid, "we shall see", key).await.unwrap();
    scene.arrived(&answer).await;
    scene.hears(&scene.tenant.number, Say::reaction(&answer, "👍")).await;
    ids.push(answer.clone());
    network.hide_number(&number, false).await.unwrap();
    ids.push(scene.hears(&scene.own.lid, "it is me").await.0);
    for name in [lid.clone(), format!("{number}@c.us"), format!("+{number}")] {
        assert_eq!(scene.ids(&name).await, ids, "read as {name}");
        // The same message, whatever it was called when it was accepted.
        assert_eq!(scene.stage.dashboard.send("trattoria", &name, "we shall see", key).await.unwrap(), answer);
    }
    let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={number}");
    let listed = scene.get(&path).await;
    let of = listed["messages"].as_array().unwrap().iter().find(|one| one["id"] == json!(answer)).unwrap();
    assert_eq!(of["reactions"][0]["from"], json!(format!("+{number}")), "{of:#}");
    let chats = scene.chats().await;
    assert_eq!((chats.len(), &chats[0]["id"]), (1, &json!(format!("{number}@c.us"))), "{chats:#?}");
    scene.end().await;
}

/// The next message waits for WhatsApp's answer to the one before, by whatever name either was sent.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_a_conversation_is_kept_by_every_name() {
    const LATE: u64 = 1000;
    let scene = LidScene::new().await;
    let network = &scene.stage.network;
    let PhoneInfo { number, lid, .. } = scene.customer.clone();
    scene.hears(&scene.own.lid, "a pizza").await;
    // Whatever has to be asked for is known then.
    let warm = scene.says(&number, "one moment").await;
    scene.arrived(&warm).await;
    // A receipt of the customer's would be an answer too.
    network.fault(Fault::new(FaultKind::Withhold).target(&number)).await.unwrap();
    network.fault(Fault::new(FaultKind::LateAcks).ms(LATE).target(&scene.tenant.number)).await.unwrap();
    let mut sent = Vec::new();
    for (n, to) in [format!("{number}@c.us"), lid.clone(), format!("+{number}"), lid].iter().enumerate() {
        sent.push(scene.says(to, &format!("{n}")).await);
    }
    let times = async || -> Vec<u64> {
        let messages = network.messages(Some(&scene.tenant.number)).await.unwrap();
        let time = |id: &String| messages.iter().find(|one| one.id == bare(id)).map(|one| one.time);
        sent.iter().filter_map(time).collect()
    };
    until(LIMIT, "all of them on the wire", || async { times().await.len() == sent.len() }).await.unwrap();
    let times = times().await;
    let waited = times.windows(2).all(|pair| pair[1] >= pair[0] + LATE);
    assert!(waited, "side by side: {times:?}");
    network.clear_faults().await;
    for id in &sent {
        scene.arrived(id).await;
    }
    scene.end().await;
}

/// Who made the poll and who votes are each named by the number or by the LID in what seals a vote.
#[tokio::test(flavor = "multi_thread")]
async fn votes_open_whatever_names_they_are_sealed_with() {
    let scene = LidScene::new().await;
    let network = &scene.stage.network;
    let names = [(Form::Pn, Form::Pn), (Form::Pn, Form::Lid), (Form::Lid, Form::Pn), (Form::Lid, Form::Lid)];
    let polls = async |to: &str| {
        let poll = json!({ "name": "Dessert?", "options": ["yes", "no"] });
        let body = json!({ "session": "trattoria", "chatId": to, "poll": poll });
        let sent = scene.stage.dashboard.post("/api/sendPoll", body).await.unwrap();
        sent.body["_data"]["key"]["id"].as_str().unwrap_or_else(|| panic!("{}", sent.body)).to_owned()
    };
    scene.hears(&scene.own.lid, "hello").await;
    let group = async |form| {
        network.set_addressing(form).await;
        network.create_group(&scene.customer.number, "Mesa 4", &[&scene.tenant.number]).await.unwrap().jid
    };
    let groups = [group(Form::Lid).await, group(Form::Pn).await];
    for to in [&scene.own.jid, &scene.own.lid, &groups[0], &groups[1]] {
        let is_group = groups.contains(to);
        let own = polls(if is_group { to } else { &scene.customer.jid }).await;
        scene.arrived(&own).await;
        let (theirs, _) = scene.hears(to, Say::poll("Size?", &["L", "XL"], 1)).await;
        for (creator, voter) in names {
            let what = format!("{creator:?}, {voter:?} in the chat with {to}");
            let vote = Say::vote(&own, &["yes"]).sealed_with(creator, voter);
            let (_, told) = scene.hears(to, vote).await;
            assert_eq!(told["content"]["options"], json!(["yes"]), "the tenant's poll, {what}: {told}");
            let vote = Say::vote(&theirs, &["XL"]).sealed_with(creator, voter);
            let (_, told) = scene.hears(to, vote).await;
            assert_eq!(told["content"]["options"], json!(["XL"]), "the customer's poll, {what}: {told}");
        }
        // The other way: the customer's app tries both names as a pair.
        let chat = if is_group { to } else { &scene.customer.jid };
        let body = json!({ "session": "trattoria", "chatId": chat, "pollMessageId": theirs, "votes": ["L"] });
        let sent = scene.stage.dashboard.post("/api/sendPollVote", body).await.unwrap();
        let vote = sent.body["_data"]["key"]["id"].as_str().unwrap_or_else(|| panic!("{}", sent.body));
        let vote = scene.arrived(vote).await;
        assert_eq!((vote.votes, vote.problem), (Some(vec!["L".to_owned()]), None), "in the chat with {to}");
    }

    // Whatever speaks of a message names its author as the message itself does, though WhatsApp says LID.
    let own = polls(&groups[0]).await;
    scene.arrived(&own).await;
    let (theirs, _) = scene.hears(&groups[0], "who is there?").await;
    for (id, author) in [(&own, &scene.own.jid), (&theirs, &scene.customer.jid)] {
        let (_, told) = scene.hears(&groups[0], Say::reaction(id.as_str(), "👍")).await;
        assert_eq!(told["content"]["target"]["sender"], json!(author), "{told}");
        let (_, told) = scene.hears(&groups[0], Say::text("indeed").reply_to(id.as_str())).await;
        assert_eq!(told["quotedMessage"]["participant"], json!(author), "{told}");
    }
    let body = json!({ "session": "trattoria", "chatId": groups[0], "text": "we are", "reply_to": theirs });
    let sent = scene.stage.dashboard.post("/api/sendText", body).await.unwrap();
    let participant = format!("{}@c.us", scene.customer.number);
    assert_eq!(sent.body["replyTo"]["participant"], json!(participant), "{}", sent.body);
    scene.arrived(sent.body["_data"]["key"]["id"].as_str().unwrap()).await;
    // To WhatsApp it names him as the group does.
    let (id, dashboard) = (format!("false_{}_{theirs}_{participant}", groups[0]), &scene.stage.dashboard);
    let like = json!({ "session": "trattoria", "messageId": id, "reaction": "👍" });
    let liked = dashboard.put("/api/reaction", like).await.unwrap().body;
    let liked = scene.arrived(liked["_data"]["key"]["id"].as_str().unwrap_or_else(|| panic!("{liked}"))).await;
    assert_eq!(liked.fields.pointer("/key/participant"), Some(&json!(scene.customer.lid)), "{:#}", liked.fields);

    // Of somebody whose number nobody is told.
    network.hide_number(&scene.customer.number, true).await.unwrap();
    let own = polls(&scene.customer.lid).await;
    scene.arrived(&own).await;
    for creator in [Form::Pn, Form::Lid] {
        let vote = Say::vote(&own, &["no"]).sealed_with(creator, Form::Lid);
        let (_, told) = scene.hears(&scene.own.lid, vote).await;
        assert_eq!(told["content"]["options"], json!(["no"]), "{creator:?}: {told}");
    }
    scene.end().await;
}

#[tokio::test]
async fn every_form_of_a_number_is_one_name() {
    for typed in [
        "573009998877",
        "+573009998877",
        "300 999 8877",
        "573009998877@c.us",
        "573009998877@s.whatsapp.net",
        "573009998877:4@s.whatsapp.net",
        "+57 300 999 8877@c.us",
        " 573009998877@c.us\n",
        "\u{202a}+57 300 999 8877\u{202c}",
        "\u{feff}573009998877\u{200b}",
        "+57\u{a0}300\u{a0}999\u{2011}8877",
    ] {
        assert_eq!(chat_of(typed, CO).await.as_deref(), Some("573009998877@s.whatsapp.net"), "{typed:?}");
    }
}

#[tokio::test]
async fn other_chats_keep_their_name() {
    for (typed, chat) in [
        ("180000000000001@lid", "180000000000001@lid"),
        ("180000000000001:3@lid", "180000000000001@lid"),
        ("120363000000000001@g.us", "120363000000000001@g.us"),
        ("573009998877-1400000000@g.us", "573009998877-1400000000@g.us"),
        ("status@broadcast", "status@broadcast"),
        ("120363000000000001@newsletter", "120363000000000001@newsletter"),
        ("0@c.us", "0@s.whatsapp.net"),
    ] {
        assert_eq!(chat_of(typed, CO).await.as_deref(), Some(chat), "{typed:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_chat_is_none() {
    for typed in [
        "",
        "@",
        "@c.us",
        "@lid",
        "x@c.us",
        "12@c.us",
        "30011122x3@c.us",
        "+@c.us",
        "1234567890123456@c.us",
        "573009998877@",
        "573009998877@example.com",
        "+180000000000001@lid",
        "ana@lid",
        "1 8@lid",
        "a b@g.us",
        "573009998877@c.us@c.us",
    ] {
        assert_eq!(chat_of(typed, CO).await, None, "{typed:?}");
    }
}

/// Somebody has the number that the LID would be; the phone is told of the LID.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_without_a_number_is_archived_and_starred_by_the_lid() {
    let scene = LidScene::new().await;
    let network = &scene.stage.network;
    let lid = scene.customer.lid.clone();
    network.hide_number(&scene.customer.number, true).await.unwrap();
    let (first, _) = scene.hears(&scene.tenant.number, "a table?").await;
    let chat = format!("/api/trattoria/chats/{}", encoded(&lid));
    let archived = scene.stage.dashboard.post(&format!("{chat}/archive"), json!({})).await.unwrap();
    assert!(archived.status < 300, "{archived:?}");
    let message = format!("false_{lid}_{first}");
    let star = json!({ "session": "trattoria", "chatId": lid, "messageId": message, "star": true });
    let starred = scene.stage.dashboard.put("/api/star", star).await.unwrap();
    assert!(starred.status < 300, "{starred:?}");
    let settings = network.settings(&scene.tenant.number).await.unwrap();
    let of = |name: &str| settings.get(name).cloned().unwrap_or_else(|| panic!("{name}: {settings:#?}"));
    assert_eq!(of(&format!("archive {lid}"))["archive_chat_action"]["archived"], json!(true));
    assert_eq!(of(&format!("star {lid} {first} 0 0"))["star_action"]["starred"], json!(true));
    let named: Vec<_> = settings.keys().filter(|name| name.contains(digits(&lid)) && !name.contains(&lid)).collect();
    assert!(named.is_empty(), "the LID is a number here: {named:?}");
    scene.end().await;
}
