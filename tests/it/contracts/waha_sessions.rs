//! WAHA's session objects: what a client reads it can change and write back without loss; one that exists is not made again, and one
//! that was deleted is gone. And its messages: both names of whoever wrote, and every step on the way.

use futures::future::join_all;
use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::until;

use crate::{
    consumers::webhooks,
    contracts::waha::{WahaClient, paired_on},
    support::{
        python,
        receiver::Receiver,
        scrape::scrape,
        stage::{LIMIT, Stage},
    },
};

async fn operator(stage: &Stage) -> Option<WahaClient> {
    let (_, bin) = python::environment("waha")?;
    Some(WahaClient::start(&bin.join("python"), stage, &stage.setup.admin_key))
}

/// All that WAHA's document has in a `config`, and something that it does not know.
fn full(url: &str) -> Value {
    json!({
        "metadata": { "user.id": "7" },
        "proxy": { "server": "proxy.example:3128", "username": "u", "password": "open sesame" },
        "debug": true,
        "ignore": { "status": null, "groups": true, "channels": null, "broadcast": false },
        "client": { "deviceName": "MacOS", "browserName": "Firefox" },
        "noweb": { "markOnline": true, "store": { "enabled": true, "fullSync": false } },
        "gows": { "storage": { "messages": true, "groups": true } },
        "webjs": { "tagsEventsOn": false },
        "ofTomorrow": [{ "deep": { "er": null } }],
        "webhooks": [
            {
                "url": url, "events": ["message", "message.ack"], "hmac": { "key": "a-key-of-the-receiver" },
                "retries": { "policy": "constant", "delaySeconds": 0.1, "attempts": 3 },
                "customHeaders": [{ "name": "Authorization", "value": "Bearer of-the-receiver" }], "note": "orders",
            },
            { "url": "https://example.com/other", "events": ["*"], "hmac": null, "retries": null, "customHeaders": null },
        ],
    })
}

/// Everything of `given` is in `shown`, but for secrets, and for what is null there.
fn assert_kept(given: &Value, shown: &Value, at: &str) {
    match (given, shown) {
        (Value::Object(given), Value::Object(shown)) => {
            for (name, value) in given {
                let at = format!("{at}.{name}");
                match (name.as_str(), value) {
                    ("password" | "key" | "value", _) => assert_eq!(shown[name], json!("********"), "{at}"),
                    ("retries" | "customHeaders", Value::Null) => {}
                    _ => assert_kept(value, shown.get(name).unwrap_or_else(|| panic!("{at} is lost")), &at),
                }
            }
        }
        (Value::Array(given), Value::Array(shown)) => {
            assert_eq!(given.len(), shown.len(), "{at}");
            for (n, (given, shown)) in given.iter().zip(shown).enumerate() {
                assert_kept(given, shown, &format!("{at}[{n}]"));
            }
        }
        (given, shown) => assert_eq!(given, shown, "{at}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_reads_it_writes_back_without_loss() {
    let receiver = Receiver::start().await;
    let stage = webhooks::stage().await;
    let Some(mut waha) = operator(&stage).await else { return };
    let daemon = stage.start().await;
    let given = full(&receiver.url());
    let new = json!([{ "name": "trattoria", "start": false, "config": given }]);
    let made = waha.get("sessions.create", new).await;
    waha.is("SessionDTO", &without_events(&made)).await;
    assert_kept(&given, &made["config"], "config");

    // Each session object is the same, and a change of one part is a change of that part.
    let read = waha.get("sessions.get", json!(["trattoria"])).await;
    waha.is("SessionInfo", &without_events(&read)).await;
    let listed = waha.get("sessions.list", json!([{ "all": true }])).await;
    assert_eq!(listed[0]["config"], read["config"], "{listed:#}");
    assert_kept(&given, &read["config"], "config");
    let mut changed = read["config"].clone();
    changed["metadata"]["user.id"] = json!("8");
    changed["webhooks"][1]["events"] = json!(["session.status"]);
    let updated = waha.get("sessions.update", json!(["trattoria", { "config": changed }])).await;
    waha.is("SessionDTO", &without_events(&updated)).await;
    let again = waha.get("sessions.get", json!(["trattoria"])).await;
    assert_eq!(again["config"], changed);
    // What is left out altogether stays.
    waha.get("sessions.update", json!(["trattoria", {}])).await;
    waha.get("sessions.update", json!(["trattoria", { "config": null }])).await;
    // The webhooks' own route has no word for the rest.
    let hooks = json!({ "webhooks": changed["webhooks"], "metadata": changed["metadata"] });
    let put = stage.dashboard.put("/api/trattoria/webhooks", hooks).await.unwrap();
    assert_eq!(put.status, 200, "{}", put.body);
    // Over a restart too.
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    let mut again = waha.get("sessions.get", json!(["trattoria"])).await;
    assert_eq!(again["config"], changed);

    // The secrets are as they were: the receiver sees them.
    again["config"]["webhooks"][0]["events"] = json!(["session.status"]);
    waha.get("sessions.update", json!(["trattoria", { "config": again["config"] }])).await;
    waha.get("sessions.start", json!(["trattoria"])).await;
    receiver.until(LIMIT, "an event", |posts| !posts.is_empty()).await;
    let post = &receiver.posts()[0];
    assert_eq!(post.headers["authorization"], "Bearer of-the-receiver");
    assert!(post.headers.contains_key("x-webhook-hmac"), "it is signed");
    assert_eq!(post.json["metadata"], json!({ "user.id": "8" }));

    // Whoever may only read sees no settings: the address of a webhook may be a secret as well.
    let key = json!({ "session": "trattoria", "isAdmin": false, "isActive": true, "actions": { "read": true } });
    let key = stage.dashboard.post("/api/keys", key).await.unwrap().body;
    // A key for a session that nobody has is told so.
    let misspelt = stage.dashboard.post("/api/keys", json!({ "session": "tratoria", "isAdmin": false })).await.unwrap();
    assert_eq!((misspelt.status, &misspelt.body["sessionUnknown"]), (201, &json!(true)), "{}", misspelt.body);
    assert_eq!(key.get("sessionUnknown"), None, "{key}");
    let key = key["key"].as_str().unwrap().to_owned();
    let reader = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/api/sessions/trattoria", stage.setup.address);
    let seen: Value = reader.get(url).header("X-Api-Key", key).send().await.unwrap().json().await.unwrap();
    assert_eq!((&seen["name"], seen.get("config")), (&json!("trattoria"), None), "{seen}");
    daemon.kill().await.unwrap();
}

/// The package's model of a webhook has objects for events, against its own examples.
fn without_events(session: &Value) -> Value {
    let mut session = session.clone();
    for webhook in session["config"]["webhooks"].as_array_mut().unwrap() {
        webhook["events"] = json!([]);
    }
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_exists_is_not_made_again_and_one_without_a_name_gets_one() {
    let stage = webhooks::stage().await;
    let daemon = stage.start().await;
    let config = json!({ "metadata": { "a": 1 } });
    // Of several at once one makes it, and only that one is told so.
    let new = json!({ "name": "trattoria", "start": false, "config": config });
    let posts = (0..5).map(|_| stage.dashboard.post("/api/sessions", new.clone()));
    let mut told: Vec<_> = join_all(posts).await.into_iter().map(|answer| answer.unwrap().status).collect();
    told.sort_unstable();
    assert_eq!(told, [201, 422, 422, 422, 422]);
    let again = json!({ "name": "trattoria", "config": { "metadata": { "a": 2 } } });
    let answer = stage.dashboard.post("/api/sessions", again).await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (422, &json!("session_exists")), "{}", answer.body);
    assert!(answer.body["error"].as_str().unwrap().contains("already exists"), "{}", answer.body);
    let session = stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body;
    assert_eq!((&session["status"], &session["config"]["metadata"]), (&json!("STOPPED"), &config["metadata"]));
    // Over a restart too: nobody has opened it yet.
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    let answer = stage.dashboard.post("/api/sessions", json!({ "name": "trattoria" })).await.unwrap();
    assert_eq!(answer.status, 422, "{}", answer.body);
    // A list opens nobody, and says why it is stopped; whoever asks for it by name can change it and write it back.
    let listed = stage.dashboard.get("/api/sessions?all=True").await.unwrap().body;
    assert_eq!((&listed[0]["reason"], listed[0].get("config")), (&json!("not paired"), None), "{listed}");
    let session = stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body;
    assert_eq!(
        (&session["status"], &session["reason"], &session["config"]["metadata"]),
        (&json!("STOPPED"), &json!("not paired"), &config["metadata"]),
        "{session}"
    );

    let names: Vec<Value> = vec![
        stage.dashboard.post("/api/sessions", json!({ "start": false })).await.unwrap().body["name"].clone(),
        stage.dashboard.post("/api/sessions", json!({ "name": null, "start": false })).await.unwrap().body["name"]
            .clone(),
    ];
    assert_ne!(names[0], names[1]);
    for name in names {
        let name = name.as_str().unwrap();
        assert!(name.starts_with("session_"), "{name}");
        assert_eq!(stage.dashboard.get(&format!("/api/sessions/{name}")).await.unwrap().status, 200);
    }
    // The older route makes, or changes, and starts.
    for n in [3, 4] {
        let config = json!({ "metadata": { "a": n } });
        let start = json!({ "name": "trattoria", "config": config });
        let started = stage.dashboard.post("/api/sessions/start", start).await.unwrap();
        assert_eq!((started.status, &started.body["config"]["metadata"]["a"]), (201, &json!(n)), "{}", started.body);
    }
    daemon.kill().await.unwrap();
}

/// Of a session that is not there, every route of sessions says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_makes_nothing() {
    let stage = webhooks::stage().await;
    let daemon = stage.start().await;
    let hook = |url: &str| json!({ "webhooks": [{ "url": url, "events": ["message"] }] });
    let wrong = [hook("x"), json!({ "country": "nowhere" })];
    for (n, config) in wrong.iter().enumerate() {
        for (route, name) in [("/api/sessions", format!("made-{n}")), ("/api/sessions/start", format!("started-{n}"))] {
            let new = json!({ "name": name, "displayName": "Trattoria", "config": config });
            let (status, problem) = webhooks::ask(&stage, "POST", route, Some(new)).await;
            assert_eq!((status, &problem["code"]), (400, &json!("invalid_input")), "{problem}");
            let (status, _) = webhooks::ask(&stage, "GET", &format!("/api/sessions/{name}"), None).await;
            assert_eq!(status, 404, "{name} was made");
        }
    }
    let (status, _) = webhooks::ask(&stage, "PUT", "/api/hooked/webhooks", Some(hook("x"))).await;
    assert_eq!(status, 400);
    let (status, _) = webhooks::ask(&stage, "GET", "/api/sessions/hooked", None).await;
    assert_eq!(status, 404);
    let right =
        json!({ "name": "made-0", "start": false, "displayName": "Trattoria", "config": hook("https://example.com/") });
    let (status, made) = webhooks::ask(&stage, "POST", "/api/sessions", Some(right)).await;
    assert_eq!(status, 201, "{made}");
    // One that exists keeps its name when the rest of the request is refused.
    let change = json!({ "displayName": "Osteria", "config": hook("x") });
    let (status, _) = webhooks::ask(&stage, "PUT", "/api/sessions/made-0", Some(change)).await;
    assert_eq!(status, 400);
    let (_, shown) = webhooks::ask(&stage, "GET", "/api/tenant/made-0", None).await;
    assert_eq!(shown["tenant"]["name"], json!("Trattoria"), "{shown}");
    // Alone, it changes nothing else; a line of 100 characters at the most; an empty one takes it away.
    let named = async |name: &str| {
        let (status, answer) =
            webhooks::ask(&stage, "PUT", "/api/sessions/made-0", Some(json!({ "displayName": name }))).await;
        let (_, shown) = webhooks::ask(&stage, "GET", "/api/tenant/made-0", None).await;
        (status, answer["errors"][0]["field"].clone(), shown["tenant"]["name"].clone())
    };
    let (longest, longer) = ("ñ".repeat(100), "ñ".repeat(101));
    assert_eq!(named(&format!(" {longest} ")).await, (200, Value::Null, json!(longest)));
    for wrong in [longer.as_str(), "two\nlines"] {
        assert_eq!(named(wrong).await, (400, json!("displayName"), json!(longest)), "{wrong:?}");
    }
    assert_eq!(named("").await, (200, Value::Null, Value::Null));
    let (_, shown) = webhooks::ask(&stage, "GET", "/api/sessions/made-0", None).await;
    assert_eq!(shown["config"]["webhooks"][0]["url"], json!("https://example.com/"), "{shown}");
    daemon.kill().await.unwrap();
}

/// Made anew under its id, it is nobody's yet.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_deleted_leaves_no_name_to_the_next() {
    let stage = webhooks::stage().await;
    let daemon = stage.start().await;
    let new = json!({ "name": "trattoria", "start": false, "displayName": "Da Nino" });
    assert_eq!(webhooks::ask(&stage, "POST", "/api/sessions", Some(new)).await.0, 201);
    assert_eq!(webhooks::ask(&stage, "DELETE", "/api/sessions/trattoria", None).await.0, 200);
    let new = json!({ "name": "trattoria", "start": false });
    assert_eq!(webhooks::ask(&stage, "POST", "/api/sessions", Some(new)).await.0, 201);
    let (_, shown) = webhooks::ask(&stage, "GET", "/api/tenant/trattoria", None).await;
    assert_ne!(shown["tenant"]["name"], json!("Da Nino"), "{shown}");
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_there_is_not_found() {
    let stage = webhooks::stage().await;
    let daemon = stage.start().await;
    for route in ["start", "stop", "restart", "logout"] {
        let answer = stage.dashboard.post(&format!("/api/sessions/nobody/{route}"), json!({})).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("unknown_tenant")), "{route}: {}", answer.body);
    }
    let put = stage.dashboard.put("/api/sessions/nobody", json!({ "config": {} })).await.unwrap();
    assert_eq!((put.status, &put.body["code"]), (404, &json!("unknown_tenant")), "{}", put.body);
    for path in [
        "/api/sessions/nobody",
        "/api/sessions/nobody/me",
        "/api/nobody/auth/qr",
        "/api/nobody/auth/qr?format=svg",
        "/api/nobody/chats",
        "/api/nobody/chats?limit=x",
        "/api/nobody/chats/x/messages",
        "/api/nobody/chats/x@c.us/messages/y",
        "/api/messages?session=nobody&chatId=x",
        "/api/contacts?session=nobody&contactId=x",
        "/api/checkNumberStatus?session=nobody&phone=x",
        "/api/sendText?session=nobody&phone=x&text=",
    ] {
        let answer = stage.dashboard.get(path).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("unknown_tenant")), "{path}: {}", answer.body);
    }
    // Whatever else is wrong with the request.
    let wrong = json!({ "session": "nobody", "chatId": 5, "text": [], "file": {}, "poll": {}, "messageId": "x" });
    for path in
        ["sendText", "reply", "sendPoll", "sendLocation", "sendContactVcard", "sendImage", "sendFile", "sendSeen"]
    {
        for body in
            [json!({ "session": "nobody" }), json!({ "session": "nobody", "chatId": "x", "text": "hi" }), wrong.clone()]
        {
            let answer = stage.dashboard.post(&format!("/api/{path}"), body).await.unwrap();
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (404, &json!("unknown_tenant")),
                "{path}: {}",
                answer.body
            );
        }
    }
    for path in ["reaction", "star"] {
        let answer = stage.dashboard.put(&format!("/api/{path}"), wrong.clone()).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("unknown_tenant")), "{path}: {}", answer.body);
    }
    for path in ["labels", "groups", "presence", "status/text", "chats/x@c.us/messages/y/pin", "calls/reject"] {
        let answer = stage.dashboard.post(&format!("/api/nobody/{path}"), json!({ "name": 5 })).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("unknown_tenant")), "{path}: {}", answer.body);
    }
    // Whoever asks in vain again and again costs the vault no read each.
    let reads =
        async || scrape(&stage).await.value("sessiond_vault_operations_total{op=\"directory_read\",outcome=\"ok\"}");
    let before = reads().await;
    for _ in 0..5 {
        assert_eq!(stage.dashboard.put("/api/reaction", wrong.clone()).await.unwrap().status, 404);
    }
    let after = reads().await;
    assert!(after - before < 5.0, "{before} {after}");
    // Where a session is made, the input counts.
    for path in ["/api/nobody/webhooks", "/api/nobody/bot/menu"] {
        let answer = stage.dashboard.put(path, json!({ "webhooks": 5, "categories": 5 })).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_input")), "{path}: {}", answer.body);
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_deleted_is_gone() {
    let stage = webhooks::stage().await;
    let mut daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let config = json!({ "config": full("https://example.com/hook") });
    let put = stage.dashboard.put("/api/sessions/trattoria", config).await.unwrap();
    assert_eq!(put.status, 200, "{}", put.body);
    let ear = stage.listen(std::slice::from_ref(&conversation));
    ear.until(LIMIT, |heard| heard.iter().any(|heard| heard.event == "registered")).await.unwrap();
    // Twice: as with WAHA, the second finds it done.
    for _ in 0..2 {
        let deleted = stage.dashboard.delete("/api/sessions/trattoria").await.unwrap();
        assert_eq!((deleted.status, &deleted.body["success"]), (200, &json!(true)), "{}", deleted.body);
    }
    let is_stopping = |heard: &sessiond::demo::Heard| heard.payload.to_string().contains("the daemon is stopping");
    assert!(!ear.heard().iter().any(is_stopping), "it is not: {:?}", ear.heard());
    assert_eq!(stage.network.devices(&conversation.number).await.unwrap().len(), 0, "it is unlinked");
    for round in 0..2 {
        let one = stage.dashboard.get("/api/sessions/trattoria").await.unwrap();
        assert_eq!((one.status, &one.body["code"]), (404, &json!("unknown_tenant")), "{round}: {}", one.body);
        for list in ["/api/sessions", "/api/sessions?all=true", "/api/sessions?open=true&all=true"] {
            let listed = stage.dashboard.get(list).await.unwrap().body;
            assert_eq!(listed, json!([]), "{round}: {list}");
        }
        let tenants = stage.dashboard.get("/api/tenants").await.unwrap().body;
        assert_eq!(tenants["count"], json!(0), "{round}: {tenants}");
        assert_eq!(stage.dashboard.get("/api/tenant/trattoria").await.unwrap().status, 404, "{round}");
        let (status, health) = stage.health().await;
        assert_eq!(
            (status, &health["status"], &health["sessions"]["total"]),
            (200, &json!("ok"), &json!(0)),
            "{health}"
        );
        // Nothing happens, for a while: its last state is written down late (five seconds), and must not bring it back.
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        if round == 0 {
            daemon.kill().await.unwrap();
            daemon = stage.start().await;
        }
    }
    // The name is free, and nothing of the settings is left.
    let made = stage.dashboard.post("/api/sessions", json!({ "name": "trattoria", "start": false })).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.body);
    let config = &made.body["config"];
    assert_eq!(
        (&config["webhooks"], &config["metadata"], config.get("proxy")),
        (&json!([]), &json!({}), None),
        "{config}"
    );
    // The account that it was may scan again.
    let qr = stage.dashboard.qr("trattoria").await.unwrap();
    stage.network.scan(&conversation.number, &qr).await.unwrap();
    until(LIMIT, "the pairing", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_both_names_of_its_writer_and_every_step_is_told() {
    let receiver = Receiver::start().await;
    let Some(mut scene) = paired_on(webhooks::stage().await).await else { return };
    let network = scene.stage.network.clone();
    webhooks::put(&scene.stage, "trattoria", json!([webhooks::webhook(&receiver.url(), &["*"], 3)])).await;
    let customer = network.phone(&scene.customer).await.unwrap();
    let own = network.phone(&scene.number).await.unwrap();
    let by_lid = network.customer_send(&scene.customer, &own.lid, "by my other name").await.unwrap();
    let by_number = network.customer_send(&scene.customer, &own.number, "by my number").await.unwrap();
    let of = |posts: &[crate::support::receiver::Post], id: &str| {
        let is_it = |post: &&crate::support::receiver::Post| {
            post.json["event"] == json!("message") && post.json["payload"]["id"].as_str().unwrap().ends_with(id)
        };
        posts.iter().find(is_it).map(|post| post.json["payload"].clone())
    };
    receiver.until(LIMIT, "both", |posts| [&by_lid, &by_number].iter().all(|id| of(posts, id).is_some())).await;
    let posts = receiver.posts();
    let key = of(&posts, &by_lid).unwrap()["_data"]["key"].clone();
    assert_eq!(
        key,
        json!({
            "remoteJid": customer.lid, "remoteJidAlt": customer.jid, "fromMe": false, "id": by_lid, "addressingMode": "lid",
        })
    );
    let key = of(&posts, &by_number).unwrap()["_data"]["key"].clone();
    assert_eq!((&key["remoteJid"], &key["id"]), (&json!(customer.jid), &json!(by_number)), "{key}");
    assert_eq!(key["remoteJidAlt"], json!(customer.lid), "who writes by the number has a LID, too: {key}");
    // What is listed says the same.
    let listed = scene.waha.get("chats.get_chat_messages", json!(["trattoria", scene.chat(), {}])).await;
    let listed = listed.as_array().unwrap();
    let found = listed.iter().find(|message| message["id"].as_str().unwrap().ends_with(&by_lid)).unwrap();
    assert_eq!(found["_data"]["key"]["remoteJidAlt"], json!(customer.jid));

    let chat = scene.chat();
    let body = json!([{ "session": "trattoria", "chatId": chat, "text": "listen" }]);
    let sent = scene.waha.get("chatting.send_text", body).await;
    let id = sent["_data"]["key"]["id"].as_str().unwrap().to_owned();
    assert_eq!(sent["_data"]["key"]["remoteJidAlt"], json!(customer.lid), "{sent}");
    assert_eq!((&sent["ack"], &sent["ackName"]), (&json!(0), &json!("PENDING")));
    scene.arrived(&sent).await;
    let heard = |posts: &[crate::support::receiver::Post], ack: i64| {
        posts.iter().any(|post| post.json["event"] == json!("message.ack") && post.json["payload"]["ack"] == json!(ack))
    };
    // Whoever reads at once has no time to have it.
    receiver.until(LIMIT, "DEVICE", |posts| heard(posts, 2)).await;
    network.customer_read(&scene.customer, &id).await.unwrap();
    receiver.until(LIMIT, "READ", |posts| heard(posts, 3)).await;
    network.customer_play(&scene.customer, &id).await.unwrap();
    receiver.until(LIMIT, "PLAYED", |posts| heard(posts, 4)).await;
    let acks: Vec<Value> = receiver.posts().into_iter().map(|post| post.json).collect();
    let acks = acks.iter().filter(|event| event["event"] == json!("message.ack"));
    let acks: Vec<_> = acks.map(|event| &event["payload"]).collect();
    for payload in &acks {
        assert_eq!((&payload["id"], &payload["_data"]["key"]["id"]), (&sent["id"], &json!(id)), "{payload}");
    }
    let steps: Vec<_> = acks.iter().map(|payload| payload["ackName"].as_str().unwrap()).collect();
    assert_eq!(steps, ["SERVER", "DEVICE", "READ", "PLAYED"]);
    let now = scene.waha.get("chats.get_chat_message", json!(["trattoria", scene.chat(), sent["id"]])).await;
    assert_eq!((&now["ack"], &now["ackName"]), (&json!(4), &json!("PLAYED")), "{now}");

    // What WhatsApp refuses is told as an error, with its code.
    network.fault(Fault::new(FaultKind::ErrorAcks).code(463).count(1)).await.unwrap();
    let body = json!([{ "session": "trattoria", "chatId": scene.chat(), "text": "refused" }]);
    let refused = scene.waha.get("chatting.send_text", body).await;
    receiver.until(LIMIT, "ERROR", |posts| heard(posts, -1)).await;
    let posts = receiver.posts().into_iter().map(|post| post.json);
    let told = posts.filter(|event| event["event"] == json!("message.ack")).map(|event| event["payload"].clone());
    let told: Vec<_> = told.filter(|payload| payload["id"] == refused["id"]).collect();
    let last = told.last().unwrap_or_else(|| panic!("{refused}"));
    assert_eq!((&last["ack"], &last["ackName"], &last["failure"]["code"]), (&json!(-1), &json!("ERROR"), &json!(463)));
    scene.daemon.kill().await.unwrap();
}
