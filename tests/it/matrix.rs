//! Who may do what: every route and every Socket.IO event, tried with every kind of credential. A route without a row fails.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::Response;
use serde_json::{Value, json};
use sessiond::{
    api::{self, Access, Scope},
    demo::Process,
    live,
    vault::access::{AccessVault as _, KeyHash},
};

use crate::{
    issuer::{Issuer, PROJECT, Signer, claims_for},
    node::{Script, program},
    stage::{Home, LIMIT, Stage},
};

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Everybody,
    /// Whoever has this scope for the tenant.
    Of(Scope),
    /// Everybody with a credential, and each sees no more than its own.
    Each,
    Operator,
}

use Who::{Each, Everybody, Of, Operator};

/// The tenant that the requests are about; and one that nobody has ever heard of.
const TENANT: &str = "trattoria";
const NOBODY: &str = "nobody";
/// Whose key the stranger has.
const OTHER: &str = "pizzeria";

/// Method, path as in the router, what is asked for with `$T` for the tenant and `$K` for a key's id, body, who may.
#[rustfmt::skip]
fn rows() -> Vec<(&'static str, &'static str, &'static str, Value, Who)> {
    let tenant = || json!({ "tenantId": "$T" });
    let text = |field: &str| json!({ "tenantId": "$T", "to": "573001112233", field: "hola" });
    let chat = |body: Value| {
        let mut chat = json!({ "session": "$T", "chatId": "573001112233@c.us" });
        chat.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        chat
    };
    let key = || json!({ "session": "$T", "isAdmin": false, "isActive": true });
    vec![
        ("GET", "/", "/", Value::Null, Everybody),
        ("GET", "/console", "/console", Value::Null, Everybody),
        ("GET", "/console/", "/console/", Value::Null, Everybody),
        ("GET", "/console/{file}", "/console/main.js", Value::Null, Everybody),
        ("GET", "/health", "/health", Value::Null, Everybody),
        ("GET", "/api/baileys/health", "/api/baileys/health", Value::Null, Everybody),
        ("POST", "/api/baileys/connect", "/api/baileys/connect", tenant(), Of(Scope::Control)),
        ("GET", "/api/baileys/qr", "/api/baileys/qr?tenantId=$T", Value::Null, Of(Scope::Control)),
        ("GET", "/api/baileys/status", "/api/baileys/status?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("POST", "/api/baileys/send", "/api/baileys/send", text("text"), Of(Scope::Send)),
        ("POST", "/api/baileys/send-message", "/api/baileys/send-message", text("message"), Of(Scope::Send)),
        ("POST", "/api/baileys/test-message", "/api/baileys/test-message", text("message"), Of(Scope::Send)),
        ("GET", "/api/baileys/stats", "/api/baileys/stats?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("GET", "/api/baileys/conversations", "/api/baileys/conversations?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("GET", "/api/baileys/messages", "/api/baileys/messages?tenantId=$T&chatId=573001112233", Value::Null, Of(Scope::Read)),
        ("GET", "/api/baileys/profile", "/api/baileys/profile?tenantId=$T", Value::Null, Of(Scope::Read)),
        ("POST", "/api/baileys/clean-session", "/api/baileys/clean-session", tenant(), Of(Scope::Control)),
        ("POST", "/api/baileys/disconnect", "/api/baileys/disconnect", tenant(), Of(Scope::Control)),
        ("GET", "/api/tenant/{id}", "/api/tenant/$T", Value::Null, Of(Scope::Read)),
        ("GET", "/api/tenants", "/api/tenants", Value::Null, Each),
        ("GET", "/api/stats", "/api/stats", Value::Null, Each),
        ("POST", "/api/{session}/auth/request-code", "/api/$T/auth/request-code", json!({ "phoneNumber": "573001112233" }), Of(Scope::Control)),
        ("GET", "/api/{session}/webhooks", "/api/$T/webhooks", Value::Null, Of(Scope::Control)),
        ("PUT", "/api/{session}/webhooks", "/api/$T/webhooks", json!({ "webhooks": [] }), Of(Scope::Control)),
        ("GET", "/api/{session}/webhooks/failures", "/api/$T/webhooks/failures", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/webhooks/failures/redrive", "/api/$T/webhooks/failures/redrive", Value::Null, Of(Scope::Control)),
        ("POST", "/api/{session}/webhooks/failures/{id}/redrive", "/api/$T/webhooks/failures/x/redrive", Value::Null, Of(Scope::Control)),
        ("GET", "/openapi.json", "/openapi.json", Value::Null, Everybody),
        ("GET", "/docs", "/docs", Value::Null, Everybody),
        ("GET", "/docs/page.css", "/docs/page.css", Value::Null, Everybody),
        ("GET", "/docs/page.js", "/docs/page.js", Value::Null, Everybody),
        ("GET", "/ping", "/ping", Value::Null, Everybody),
        ("GET", "/api/version", "/api/version", Value::Null, Each),
        ("GET", "/api/server/version", "/api/server/version", Value::Null, Each),
        ("GET", "/api/server/environment", "/api/server/environment", Value::Null, Operator),
        ("GET", "/api/server/status", "/api/server/status", Value::Null, Each),
        ("GET", "/api/sessions", "/api/sessions?all=true", Value::Null, Each),
        ("POST", "/api/sessions", "/api/sessions", json!({ "name": "$T", "start": false }), Of(Scope::Control)),
        ("GET", "/api/sessions/{session}", "/api/sessions/$T", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/sessions/{session}", "/api/sessions/$T", json!({}), Of(Scope::Control)),
        ("DELETE", "/api/sessions/{session}", "/api/sessions/$T", Value::Null, Of(Scope::Control)),
        ("GET", "/api/sessions/{session}/me", "/api/sessions/$T/me", Value::Null, Of(Scope::Read)),
        ("POST", "/api/sessions/{session}/start", "/api/sessions/$T/start", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sessions/{session}/stop", "/api/sessions/$T/stop", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sessions/{session}/restart", "/api/sessions/$T/restart", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sessions/{session}/logout", "/api/sessions/$T/logout", Value::Null, Of(Scope::Control)),
        ("GET", "/api/{session}/auth/qr", "/api/$T/auth/qr", Value::Null, Of(Scope::Control)),
        ("POST", "/api/sendText", "/api/sendText", chat(json!({ "text": "hola" })), Of(Scope::Send)),
        ("POST", "/api/reply", "/api/reply", chat(json!({ "text": "hola", "reply_to": "3EB0AAAAAAAA" })), Of(Scope::Send)),
        ("POST", "/api/sendLocation", "/api/sendLocation", chat(json!({ "latitude": 4.7, "longitude": -74.1, "title": "x" })), Of(Scope::Send)),
        ("POST", "/api/sendContactVcard", "/api/sendContactVcard", chat(json!({ "contacts": [{ "vcard": "BEGIN:VCARD" }] })), Of(Scope::Send)),
        ("POST", "/api/sendPoll", "/api/sendPoll", chat(json!({ "poll": { "name": "?", "options": ["a", "b"] } })), Of(Scope::Send)),
        ("POST", "/api/sendPollVote", "/api/sendPollVote", chat(json!({ "pollMessageId": "3EB0AAAAAAAA", "votes": ["a"] })), Of(Scope::Send)),
        ("PUT", "/api/reaction", "/api/reaction", json!({ "session": "$T", "messageId": "false_573001112233@c.us_3EB0AAAAAAAA", "reaction": "x" }), Of(Scope::Send)),
        ("POST", "/api/sendImage", "/api/sendImage", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendFile", "/api/sendFile", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendVoice", "/api/sendVoice", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendVideo", "/api/sendVideo", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendSticker", "/api/sendSticker", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendButtons", "/api/sendButtons", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendList", "/api/sendList", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/sendSeen", "/api/sendSeen", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/startTyping", "/api/startTyping", chat(json!({})), Of(Scope::Send)),
        ("POST", "/api/stopTyping", "/api/stopTyping", chat(json!({})), Of(Scope::Send)),
        ("GET", "/api/files/{session}/{file}", "/api/files/$T/3EB0AAAAAAAA_573001112233@s.whatsapp.net.jpeg", Value::Null, Of(Scope::Read)),
        ("GET", "/api/messages", "/api/messages?session=$T&chatId=573001112233@c.us", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats", "/api/$T/chats", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats/overview", "/api/$T/chats/overview", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats/{chatId}/messages", "/api/$T/chats/573001112233@c.us/messages", Value::Null, Of(Scope::Read)),
        ("GET", "/api/{session}/chats/{chatId}/messages/{messageId}", "/api/$T/chats/573001112233@c.us/messages/false_573001112233@c.us_A", Value::Null, Of(Scope::Read)),
        ("PUT", "/api/{session}/chats/{chatId}/messages/{messageId}", "/api/$T/chats/573001112233@c.us/messages/true_573001112233@c.us_A", json!({ "text": "x" }), Of(Scope::Send)),
        ("DELETE", "/api/{session}/chats/{chatId}/messages/{messageId}", "/api/$T/chats/573001112233@c.us/messages/true_573001112233@c.us_A", Value::Null, Of(Scope::Send)),
        ("POST", "/api/keys", "/api/keys", key(), Operator),
        ("GET", "/api/keys", "/api/keys", Value::Null, Operator),
        ("POST", "/api/keys/media", "/api/keys/media", json!({ "session": "$T" }), Operator),
        ("POST", "/api/keys/control", "/api/keys/control", json!({ "session": "$T" }), Operator),
        ("PUT", "/api/keys/{id}", "/api/keys/$K", key(), Operator),
        ("POST", "/api/keys/{id}/renew", "/api/keys/$K/renew", Value::Null, Operator),
        ("DELETE", "/api/keys/{id}", "/api/keys/$K", Value::Null, Operator),
    ]
}

/// An event, and what it asks for of the tenant that it names.
const EVENTS: &[(&str, Scope)] = &[("register", Scope::Read)];

#[test]
fn every_route_and_event_has_a_row() {
    let routes = api::routes();
    let there: BTreeSet<_> = routes.iter().map(|route| (route.method.as_str(), route.path)).collect();
    let rows = rows();
    let here: BTreeSet<_> = rows.iter().map(|(method, path, ..)| (*method, *path)).collect();
    assert_eq!((here.len(), there.len()), (rows.len(), routes.len()), "each once");
    assert_eq!(here, there, "the table of routes and the matrix");
    for (method, path, _, _, who) in &rows {
        let route = routes.iter().find(|route| route.method.as_str() == *method && route.path == *path).unwrap();
        let expected = match who {
            Everybody => route.access == Access::Open,
            Operator => route.access == Access::Admin,
            Of(_) | Each => matches!(route.access, Access::Keyed | Access::Old),
        };
        assert!(expected, "{route:?} is not for {who:?}");
    }
    assert_eq!(EVENTS.iter().map(|(event, _)| *event).collect::<Vec<_>>(), live::EVENTS);
    let listened_to = include_str!("../../src/live.rs").matches("socket.on(").count();
    assert_eq!(listened_to, EVENTS.len(), "an event that is not in `live::EVENTS`");
}

/// A daemon that takes ID tokens, and everything with which one may come to it.
struct House {
    stage: Stage,
    _issuer: Issuer,
    signer: Signer,
    daemon: Process,
}

impl House {
    async fn new(change: impl FnOnce(Stage) -> Stage) -> Self {
        let signer = Signer::new("one");
        let issuer = Issuer::start(&[&signer], "max-age=3600").await;
        let stage = Stage::new(Home::Embedded).await.unwrap();
        let stage = stage
            .set("SESSIOND_AUTH__FIREBASE_PROJECT", PROJECT)
            .set("SESSIOND_AUTH__FIREBASE_KEYS_URL", issuer.url())
            .set("SESSIOND_AUTH__REFRESH", "1s")
            .set("SESSIOND_LIMITS__PAIRING_PER_ADDRESS", "0")
            .set("SESSIOND_LIMITS__SENDING_PER_ADDRESS", "0");
        let stage = change(stage);
        let daemon = stage.start().await;
        Self { stage, _issuer: issuer, signer, daemon }
    }

    fn token(&self, tenants: &[&str]) -> String {
        self.signer.sign(&claims_for("ana", Timestamp::now(), &json!(tenants)))
    }

    /// A key over the API: its id and itself.
    async fn key(&self, tenant: &str, scopes: &[Scope]) -> (String, String) {
        let actions: serde_json::Map<_, _> = scopes.iter().map(|scope| (scope.as_str().into(), true.into())).collect();
        let body = json!({ "session": tenant, "isAdmin": false, "isActive": true, "actions": actions });
        self.key_as(body).await
    }

    async fn key_as(&self, body: Value) -> (String, String) {
        let answer = self.stage.dashboard.post("/api/keys", body).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }

    async fn ask(&self, method: &str, path: &str, credential: Option<&str>, body: &Value) -> Response {
        let url = format!("http://{}{path}", self.stage.setup.address);
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url).timeout(LIMIT);
        if let Some(credential) = credential {
            request = request.bearer_auth(credential);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    async fn stop(self) {
        self.daemon.kill().await.unwrap();
    }
}

fn about(text: &str, tenant: &str, key: &str) -> String {
    text.replace("$T", tenant).replace("$K", key)
}

/// Status, kind of the body, and the body.
async fn taken_apart(answer: Response) -> (u16, String, Value) {
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), kind, answer.json().await.unwrap_or(Value::Null))
}

/// Everything but what it asks for.
fn but(scope: Scope) -> Vec<Scope> {
    Scope::ALL.into_iter().filter(|other| *other != scope).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_credential() {
    let house = House::new(|stage| stage).await;
    let (_, admin_key) = house.key_as(json!({ "session": "", "isAdmin": true, "isActive": true })).await;
    let (stranger_token, token) = (house.token(&[OTHER]), house.token(&[TENANT]));
    let wrong = format!("key_{:043}", 0);
    let forged = Signer::new("one").sign(&claims_for("ana", Timestamp::now(), &json!([TENANT])));
    let (_, stranger) = house.key(OTHER, &Scope::ALL).await;
    // So that both are there: what follows must not tell them from one that is not.
    for tenant in [TENANT, OTHER] {
        house.stage.dashboard.qr(tenant).await.unwrap();
    }
    for (method, path, asked, body, who) in rows() {
        // What is right for a row has no more than the row asks for.
        let (right, lacking) = match who {
            Of(scope) => (house.key(TENANT, &[scope]).await.1, house.key(TENANT, &but(scope)).await.1),
            _ => (house.key(TENANT, &Scope::ALL).await.1, house.key(TENANT, &[]).await.1),
        };
        let (everybody, operator) = (who == Everybody, who == Operator);
        let within = !operator;
        let cases: [(&str, Option<&str>, u16); 12] = [
            ("no credential", None, 401),
            ("an empty one", Some(""), 401),
            ("a wrong key", Some(&wrong), 401),
            ("nonsense", Some("nonsense"), 401),
            ("a forged token", Some(&forged), 401),
            ("another tenant's key", Some(&stranger), if who == Each { 0 } else { 403 }),
            ("another tenant's token", Some(&stranger_token), if who == Each { 0 } else { 403 }),
            ("a key without the scope", Some(&lacking), if who == Each { 0 } else { 403 }),
            ("the right key", Some(&right), if within { 0 } else { 403 }),
            ("a token of the tenant", Some(&token), if within { 0 } else { 403 }),
            ("a key of the operator", Some(&admin_key), 0),
            ("the operator's key", Some(&house.stage.setup.admin_key), 0),
        ];
        for (what, credential, refused) in cases {
            let (id, _) = if path.contains("/keys/") { house.key(TENANT, &[]).await } else { Default::default() };
            let ask = async |tenant: &str| {
                let body: Value = serde_json::from_str(&about(&body.to_string(), tenant, &id)).unwrap();
                taken_apart(house.ask(method, &about(asked, tenant, &id), credential, &body).await).await
            };
            let (status, kind, answer) = ask(TENANT).await;
            let case = format!("{method} {path} with {what}: {status} {answer}");
            if refused == 0 || everybody {
                // 501: it is nobody's.
                assert!(![401, 403, 405, 429].contains(&status) && (status < 500 || status == 501), "{case}");
            } else {
                assert_eq!(status, refused, "{case}");
                let code = if refused == 401 { "unauthorized" } else { "forbidden" };
                assert_eq!((kind.as_str(), &answer["code"]), ("application/problem+json", &json!(code)), "{case}");
                assert!(!answer.to_string().contains(TENANT), "{case}");
                let elsewhere = ask(NOBODY).await;
                assert_eq!(elsewhere.0, status, "{case}");
                if credential != Some(&lacking) {
                    assert_eq!(elsewhere, (status, kind, answer.clone()), "a tenant's existence shows: {case}");
                }
            }
            if who == Each && ["another tenant's key", "another tenant's token"].contains(&what) {
                assert!(!answer.to_string().contains(TENANT), "{case}");
            }
        }
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_open_opens_the_old_contract_and_nothing_else() {
    let house = House::new(|stage| stage.set("SESSIOND_AUTH__LEGACY_OPEN", "true")).await;
    assert!(house.stage.log().contains("auth.legacy_open"), "said at the start");
    let routes = api::routes();
    let wrong = format!("key_{:043}", 0);
    for (method, path, asked, body, _) in rows() {
        let access = routes.iter().find(|route| route.method.as_str() == method && route.path == path).unwrap().access;
        let body: Value = serde_json::from_str(&about(&body.to_string(), TENANT, "key_id_x")).unwrap();
        let asked = about(asked, TENANT, "key_id_x");
        let open = house.ask(method, &asked, None, &body).await.status().as_u16();
        let old = path.starts_with("/api/baileys/") || path.starts_with("/api/tenant") || path == "/api/stats";
        assert_eq!(access == Access::Old, old && access != Access::Open, "{path}");
        match access {
            Access::Open | Access::Old => assert!(![401, 403].contains(&open), "{method} {path}: {open}"),
            Access::Keyed | Access::Admin => assert_eq!(open, 401, "{method} {path}"),
        }
        if access != Access::Open {
            // Whoever has a key wants to know that it is none.
            assert_eq!(house.ask(method, &asked, Some(&wrong), &body).await.status(), 401, "{method} {path}");
        }
    }
    let health = taken_apart(house.ask("GET", "/health", Some(&house.stage.setup.admin_key), &Value::Null).await).await;
    assert!(health.2["warnings"][0].as_str().unwrap().contains("auth.legacy_open"), "{health:?}");
    let health = taken_apart(house.ask("GET", "/health", None, &Value::Null).await).await;
    assert_eq!(health.2["warnings"], Value::Null);
    if let Some(folder) = program("socketio") {
        let url = format!("http://{}", house.stage.setup.address);
        let mut page = Script::start(&folder, &["client.mjs", &url, "", TENANT]);
        page.line(LIMIT, |line| line["event"] == "registered").await;
    }
    house.stop().await;
}

/// What a page is told that connects with this and registers for the tenant.
async fn heard(page: &mut Script) -> String {
    let line = page.line(LIMIT, |line| {
        let event = line["event"].as_str().unwrap();
        ["connect_error", "error", "registered"].contains(&event)
    });
    let line = line.await;
    match line["event"].as_str().unwrap() {
        "connect_error" => line["payload"].as_str().unwrap().split(':').next().unwrap().to_owned(),
        "error" => line["payload"]["code"].as_str().unwrap().to_owned(),
        event => event.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_with_every_credential() {
    let Some(folder) = program("socketio") else { return };
    let house = House::new(|stage| stage).await;
    house.stage.dashboard.qr(TENANT).await.unwrap();
    let url = format!("http://{}", house.stage.setup.address);
    for (_, scope) in EVENTS {
        let (_, right) = house.key(TENANT, &[*scope]).await;
        let (_, lacking) = house.key(TENANT, &but(*scope)).await;
        let (_, stranger) = house.key(OTHER, &Scope::ALL).await;
        let (_, admin_key) = house.key_as(json!({ "session": "", "isAdmin": true })).await;
        let cases = [
            ("no credential", "", "unauthorized"),
            ("a wrong key", &format!("key_{:043}", 0), "unauthorized"),
            (
                "a forged token",
                &Signer::new("one").sign(&claims_for("a", Timestamp::now(), &json!([TENANT]))),
                "unauthorized",
            ),
            ("another tenant's key", &stranger, "forbidden"),
            ("another tenant's token", &house.token(&[OTHER]), "forbidden"),
            ("a key without the scope", &lacking, "forbidden"),
            ("the right key", &right, "registered"),
            ("a token of the tenant", &house.token(&[TENANT]), "registered"),
            ("a key of the operator", &admin_key, "registered"),
            ("the operator's key", &house.stage.setup.admin_key, "registered"),
        ];
        for (what, credential, expected) in cases {
            // The same for a tenant that is not there as for another's.
            let elsewhere = if expected == "registered" && !what.contains("operator") { "forbidden" } else { expected };
            for (tenant, expected) in [(TENANT, expected), (NOBODY, elsewhere)] {
                let mut page = Script::start(&folder, &["client.mjs", &url, credential, tenant, "-", "websocket"]);
                assert_eq!(heard(&mut page).await, expected, "{what}, {tenant}");
            }
        }
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_key_or_its_token() {
    let Some(folder) = program("socketio") else { return };
    let house = House::new(|stage| stage).await;
    house.stage.dashboard.qr(TENANT).await.unwrap();
    let url = format!("http://{}", house.stage.setup.address);
    let (id, key) = house.key(TENANT, &[Scope::Read]).await;
    let (changed, changed_key) = house.key(TENANT, &[Scope::Read]).await;
    let (_, kept) = house.key(TENANT, &[Scope::Read]).await;
    // Clocks may be half a minute apart: it ends in twenty seconds, when the machine has got all pages in.
    let mut brief = claims_for("ana", Timestamp::now(), &json!([TENANT]));
    brief["exp"] = json!(Timestamp::now().as_second() - 10);
    let brief = house.signer.sign(&brief);
    let mut pages = Vec::new();
    for credential in [&brief, &key, &changed_key, &kept] {
        for transport in ["websocket", "polling"] {
            let mut page = Script::start(&folder, &["client.mjs", &url, credential, TENANT, "-", transport]);
            page.line(LIMIT, |line| line["event"] == "registered").await;
            pages.push(page);
        }
    }
    house.stage.dashboard.delete(&format!("/api/keys/{id}")).await.unwrap();
    // By another process, as this one sees it: in the vault alone.
    let vault = sessiond::vault::embedded::Embedded::open(&house.stage.path("cloud/vault.db")).unwrap();
    let record = vault.key(&KeyHash::of(&changed_key)).await.unwrap().unwrap();
    assert_eq!(*record.id, *changed);
    assert!(vault.revoke_key(&record.hash, None).await.unwrap());
    let kept = pages.split_off(6);
    for mut page in pages {
        let told = page.line(LIMIT, |line| line["event"] == "error").await;
        assert_eq!(told["payload"]["code"], json!("unauthorized"));
        let ended = page.line(LIMIT, |line| line["event"] == "disconnect").await;
        assert_eq!(ended["payload"], json!("io server disconnect"));
    }
    // The others are still there, and hear what happens.
    house.stage.dashboard.post("/api/baileys/disconnect", json!({ "tenantId": TENANT })).await.unwrap();
    for mut page in kept {
        page.line(LIMIT, |line| line["event"] == "connection:status" && line["payload"]["status"] == "disconnected")
            .await;
    }
    house.stop().await;
}
