//! An error has the name of what went wrong: silence, an answer that nobody can read, a limit, keys that the phone has not shared.

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

struct NamedErrorScene {
    stage: Stage,
    daemon: Process,
    tenant: Conversation,
}

impl NamedErrorScene {
    async fn new() -> Self {
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let daemon = stage.start().await;
        let tenant = stage.pair(TENANT).await;
        Self { stage, daemon, tenant }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("http://{}{path}", self.stage.setup.address);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let request = request.header("x-api-key", &self.stage.setup.admin_key);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_parse_is_not_silence() {
    let scene = NamedErrorScene::new().await;
    let network = &scene.stage.network;
    let customer = &scene.tenant.customers[0];
    let group = network.create_group(&scene.tenant.number, "Mesa", &[customer]).await.unwrap().jid;
    let api = format!("/api/{TENANT}");
    let asked = [
        ("w:g2", "GET", format!("{api}/groups"), Value::Null),
        ("w:g2", "GET", format!("{api}/groups/{group}"), Value::Null),
        ("w:g2", "GET", format!("{api}/groups/{group}/invite-code"), Value::Null),
        ("usync", "GET", format!("/api/contacts/check-exists?session={TENANT}&phone={customer}"), Value::Null),
        ("w:mex", "GET", format!("{api}/channels"), Value::Null),
        ("w:mex", "GET", format!("/api/sessions/{TENANT}/capping"), Value::Null),
        ("w:mex", "GET", format!("/api/sessions/{TENANT}/timelock"), Value::Null),
    ];
    for (kind, status, code) in
        [(FaultKind::IqNonsense, 422, "whatsapp_unreadable"), (FaultKind::IqError, 503, "whatsapp_unreachable")]
    {
        for (xmlns, method, path, body) in &asked {
            network.fault(Fault::new(kind).xmlns(*xmlns)).await.unwrap();
            let answer = scene.call(method, path, body.clone()).await;
            network.clear_faults().await;
            assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{kind:?} {path}: {}", answer.1);
            let (again, answer) = scene.call(method, path, body.clone()).await;
            assert_eq!(again, 200, "{path}: {answer}");
        }
    }
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twenty_first_label_is_one_too_many() {
    let scene = NamedErrorScene::new().await;
    let labels = format!("/api/{TENANT}/labels");
    for n in 1..=20 {
        let (status, made) = scene.call("POST", &labels, json!({ "name": format!("Label {n}") })).await;
        assert_eq!(status, 201, "{n}: {made}");
    }
    // Two of one name nobody could tell apart; the same name stays its own.
    for (method, path) in [("POST", labels.clone()), ("PUT", format!("{labels}/8"))] {
        let (status, refused) = scene.call(method, &path, json!({ "name": "Label 7" })).await;
        assert_eq!((status, &refused["code"]), (409, &json!("name_taken")), "{method}: {refused}");
    }
    assert_eq!(scene.call("PUT", &format!("{labels}/7"), json!({ "name": "Label 7" })).await.0, 200);
    let (status, refused) = scene.call("POST", &labels, json!({ "name": "One more" })).await;
    assert_eq!((status, &refused["code"]), (422, &json!("limit_reached")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("20 labels"), "{refused}");
    // With one less there is room.
    assert_eq!(scene.call("DELETE", &format!("{labels}/7"), Value::Null).await.0, 200);
    let (status, made) = scene.call("POST", &labels, json!({ "name": "One more" })).await;
    assert_eq!(status, 201, "{made}");
    scene.daemon.kill().await.unwrap();
}

/// Without the keys no setting can be sealed; that is not WhatsApp's silence, and everything else works.
#[tokio::test(flavor = "multi_thread")]
async fn settings_without_the_phones_keys_say_so() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.network.fault(Fault::new(FaultKind::WithholdKeys)).await.unwrap();
    let tenant = stage.pair(TENANT).await;
    let scene = NamedErrorScene { stage, daemon, tenant };
    let customer = &scene.tenant.customers[0];
    let chat = format!("/api/{TENANT}/chats/{customer}@c.us");
    for (method, path, body) in [
        ("POST", format!("{chat}/archive"), Value::Null),
        ("POST", format!("{chat}/unread"), Value::Null),
        ("POST", format!("/api/{TENANT}/labels"), json!({ "name": "VIP" })),
        ("PUT", format!("/api/{TENANT}/contacts/{customer}@c.us"), json!({ "firstName": "Ana" })),
    ] {
        let (status, answer) = scene.call(method, &path, body).await;
        assert_eq!((status, &answer["code"]), (409, &json!("no_settings_keys")), "{path}: {answer}");
    }
    scene.stage.dashboard.send(TENANT, customer, "all the same", "key").await.unwrap();
    scene.daemon.kill().await.unwrap();
}

/// WhatsApp has lost an account's settings: the session works, and each change says what is the matter.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_missing_at_whatsapp_keep_no_session_from_working() {
    let scene = NamedErrorScene::new().await;
    let network = &scene.stage.network;
    let customer = scene.tenant.customers[0].clone();
    let archive = format!("/api/{TENANT}/chats/{customer}@c.us/archive");
    for code in [404, 400, 500] {
        network.fault(Fault::new(FaultKind::MissingAppState).code(code)).await.unwrap();
        let (status, answer) = scene.call("POST", &archive, Value::Null).await;
        assert!((400..=503).contains(&status) && answer["code"].is_string(), "{code}: {status} {answer}");
        assert_ne!(answer["code"], json!("whatsapp_unreachable"), "{code}: {answer}");
        // A new login asks for all of it.
        network.fault(Fault::new(FaultKind::Drop)).await.unwrap();
        until(LIMIT, "the session", || scene.stage.dashboard.is_connected(TENANT)).await.unwrap();
        let sent = scene.stage.dashboard.send(TENANT, &customer, "hello", &format!("{code}")).await.unwrap();
        let arrived = async || {
            let inbox = network.customer_inbox(&customer).await.unwrap();
            inbox.iter().any(|received| received.id == sent)
        };
        until(LIMIT, "the message", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
        network.clear_faults().await;
    }
    assert_eq!(scene.call("POST", &archive, Value::Null).await.0, 201);
    scene.daemon.kill().await.unwrap();
}
