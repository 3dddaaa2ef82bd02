//! The doors besides keys: which pages may call from a browser, and how often anybody may pair and send.

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};
use sessiond::demo::{Process, until};

use crate::support::stage::{Home, LIMIT, Stage};

async fn preflight(stage: &Stage, path: &str, origin: &str) -> Response {
    let url = format!("http://{}{path}", stage.setup.address);
    let request = reqwest::Client::new().request("OPTIONS".parse().unwrap(), url);
    let request = request.header("origin", origin).header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "x-api-key,content-type").send().await.unwrap()
}

fn allowed(answer: &Response) -> Option<&str> {
    answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

async fn started(set: &[(&str, &str)]) -> (Stage, Process) {
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    for (name, value) in set {
        stage = stage.set(name, *value);
    }
    let daemon = stage.start().await;
    (stage, daemon)
}

const PAGE: &str = "https://kdsapp.site";
const OTHER: &str = "https://kdsapp.site.evil.example";

/// HTTP and the first request of Socket.IO by polling, as a browser makes it.
const PATHS: [&str; 2] = ["/api/baileys/send", "/socket.io/?EIO=4&transport=polling"];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_call_when_its_exact_origin_is_configured() {
    let origins = format!("{PAGE},http://localhost:5000");
    let (stage, daemon) = started(&[("SESSIOND_HTTP__CORS_ORIGINS", &origins)]).await;
    for path in PATHS {
        for origin in [PAGE, "http://localhost:5000"] {
            let answer = preflight(&stage, path, origin).await;
            assert_eq!((answer.status().as_u16(), allowed(&answer)), (200, Some(origin)), "{path}");
            let headers = answer.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
            assert!(headers.contains("x-api-key") && headers.contains("idempotency-key"), "{headers}");
            assert!(headers.contains("if-range") && headers.contains("if-none-match"), "{headers}");
            assert!(answer.headers().get("access-control-allow-credentials").is_none());
        }
        for origin in [OTHER, "http://kdsapp.site", "https://kdsapp.site:8443", "null"] {
            assert_eq!(allowed(&preflight(&stage, path, origin).await), None, "{path} {origin}");
        }
    }
    // Also on the answer itself, a refusal included: a page has to be able to read it.
    for path in ["/api/baileys/qr?tenantId=a", PATHS[1]] {
        let url = format!("http://{}{path}", stage.setup.address);
        let answer = reqwest::Client::new().get(url).header("origin", PAGE).send().await.unwrap();
        assert_eq!(allowed(&answer), Some(PAGE), "{path}");
        // The page that fetches a file reads its name and goes on where it was interrupted.
        let shown = answer.headers()["access-control-expose-headers"].to_str().unwrap().to_owned();
        assert!(["content-disposition", "content-range", "etag"].iter().all(|name| shown.contains(name)), "{shown}");
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_may_call_by_default_and_all_may_where_the_old_contract_is_open() {
    let (stage, daemon) = started(&[]).await;
    for path in PATHS {
        assert_eq!(allowed(&preflight(&stage, path, PAGE).await), None, "{path}");
    }
    daemon.kill().await.unwrap();
    let (stage, daemon) = started(&[("SESSIOND_AUTH__LEGACY_OPEN", "true")]).await;
    for path in PATHS {
        assert_eq!(allowed(&preflight(&stage, path, OTHER).await), Some("*"), "{path}");
    }
    daemon.kill().await.unwrap();
}

/// What Socket.IO answers to a page of this origin that brings no key.
async fn greeting(stage: &Stage, origin: &str) -> String {
    let url = format!("http://{}{}", stage.setup.address, PATHS[1]);
    let client = reqwest::Client::new();
    let opened = client.get(&url).header("origin", origin).send().await.unwrap().text().await.unwrap();
    let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
    let session = format!("{url}&sid={}", opened["sid"].as_str().unwrap());
    client.post(&session).header("origin", origin).body("40").send().await.unwrap();
    loop {
        let packets = client.get(&session).header("origin", origin).send().await.unwrap().text().await.unwrap();
        // A ping may stand before it, or come alone.
        match packets.split('\u{1e}').find(|packet| *packet != "2") {
            Some(packet) => return packet.to_owned(),
            None => client.post(&session).header("origin", origin).body("3").send().await.unwrap(),
        };
    }
}

/// CORS alone does not say so: a browser opens a WebSocket for every page.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_only_pages_that_may_call_get_a_socket() {
    let origins = ("SESSIOND_HTTP__CORS_ORIGINS", PAGE);
    let (stage, daemon) = started(&[origins, ("SESSIOND_AUTH__LEGACY_OPEN", "true")]).await;
    let (let_in, kept_out) = (greeting(&stage, PAGE).await, greeting(&stage, OTHER).await);
    assert!(let_in.starts_with("40{"), "{let_in}");
    assert!(kept_out.starts_with("44{") && kept_out.contains("forbidden"), "{kept_out}");
    daemon.kill().await.unwrap();
}

struct Caller<'a> {
    stage: &'a Stage,
    key: &'a str,
    /// As a proxy says it.
    address: &'a str,
}

impl Caller<'_> {
    async fn post(&self, path: &str, body: Value) -> Response {
        let url = format!("http://{}{path}", self.stage.setup.address);
        let request = reqwest::Client::new().post(url).header("x-api-key", self.key);
        request.header("x-real-ip", self.address).json(&body).send().await.unwrap()
    }

    /// How many sends are taken before one is refused for their number.
    async fn sends(&self, at_most: usize) -> usize {
        for n in 0..at_most {
            let body = json!({ "tenantId": "a", "to": "573001112233", "text": "hola" });
            let answer = self.post("/api/baileys/send", body).await;
            if answer.status() == 429 {
                let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
                assert_eq!(answer.headers()["content-type"], "application/problem+json");
                assert_eq!(answer.json::<Value>().await.unwrap()["code"], json!("too_many_requests"));
                return n;
            }
            assert!([400, 401].contains(&answer.status().as_u16()), "nobody is connected: {}", answer.status());
        }
        at_most
    }
}

async fn key(stage: &Stage) -> String {
    let body = json!({ "session": "a", "isAdmin": false, "isActive": true });
    stage.dashboard.post("/api/keys", body).await.unwrap().body["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pairing_and_sending_are_limited_by_key_and_by_address() {
    let (stage, daemon) = started(&[
        ("SESSIOND_LIMITS__SENDING_PER_KEY", "3"),
        ("SESSIOND_LIMITS__SENDING_PER_ADDRESS", "5"),
        ("SESSIOND_LIMITS__PAIRING_PER_KEY", "1"),
        ("SESSIOND_LIMITS__FAILURES_PER_ADDRESS", "5"),
        ("SESSIOND_HTTP__TRUSTED_PROXIES", "127.0.0.0/8"),
    ])
    .await;
    let stage = &stage;
    let (one, two, three, four) = (key(stage).await, key(stage).await, key(stage).await, key(stage).await);
    let from = |key, address| Caller { stage, key, address };
    assert_eq!(from(&one, "1.1.1.1").sends(10).await, 3, "by key");
    assert_eq!(from(&one, "1.1.1.2").sends(10).await, 0, "wherever it is used");
    // 1.1.1.1 has sent four, the refused one included.
    assert_eq!(from(&two, "1.1.1.1").sends(10).await, 1, "by address");
    assert_eq!(from(&two, "1.1.1.3").sends(10).await, 2, "what the address refused did not count for the key");
    assert_eq!(from("wrong", "1.1.1.4").sends(10).await, 5, "wrong keys count for their address");
    assert_eq!(from(&four, "1.1.1.4").sends(10).await, 3, "and take nothing from the good ones");
    assert_eq!(from(&stage.setup.admin_key, "1.1.1.1").sends(20).await, 20, "the operator is not limited");
    // Each for itself.
    let pair = async || from(&three, "1.1.1.5").post("/api/baileys/connect", json!({ "tenantId": "a" })).await.status();
    assert_eq!(pair().await, 200);
    assert_eq!(pair().await, 429);
    assert_eq!(from(&three, "1.1.1.5").sends(10).await, 3);
    let status = format!("http://{}/api/baileys/status?tenantId=a", stage.setup.address);
    for _ in 0..50 {
        let answer = reqwest::Client::new().get(&status).header("x-api-key", &three).send().await.unwrap();
        assert_eq!(answer.status(), 200, "to look costs nothing");
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_trusted_proxy_says_where_a_request_comes_from() {
    let (stage, daemon) = started(&[("SESSIOND_LIMITS__SENDING_PER_ADDRESS", "4")]).await;
    let mut sent = 0;
    for n in 0..4 {
        let (key, address) = (key(&stage).await, format!("2.2.2.{n}"));
        sent += Caller { stage: &stage, key: &key, address: &address }.sends(2).await;
    }
    assert_eq!(sent, 4, "all from one address, whatever they say");
    daemon.kill().await.unwrap();
}

impl Caller<'_> {
    /// The status of a look at the keys, which takes the operator's, and how long it took.
    async fn looks(&self, path: &str) -> (u16, Duration) {
        let began = Instant::now();
        let request = reqwest::Client::new().get(format!("http://{}{path}", self.stage.setup.address));
        let answer = request.header("x-api-key", self.key).header("x-real-ip", self.address).send().await.unwrap();
        (answer.status().as_u16(), began.elapsed())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_the_admin_key_are_slow_and_shut_nobody_out() {
    let limits = [("SESSIOND_LIMITS__FAILURES_PER_ADDRESS", "2"), ("SESSIOND_HTTP__TRUSTED_PROXIES", "127.0.0.0/8")];
    let (stage, daemon) = started(&limits).await;
    let (admin, tenants) = (stage.setup.admin_key.clone(), key(&stage).await);
    let from = |key, address| Caller { stage: &stage, key, address };
    let late = Duration::from_secs(2);
    for n in 0..2 {
        let (status, took) = from("a-guess-of-the-admin-key", "1.1.1.1").looks("/api/keys").await;
        assert!(status == 401 && took < late, "{n}: {status} after {took:?}");
    }
    // From then on nothing tells a wrong guess from a right one, before its time.
    for path in ["/api/keys", "/health"] {
        for guess in ["a-guess-of-the-admin-key", &admin] {
            let (_, took) = from(guess, "1.1.1.1").looks(path).await;
            assert!(took >= late, "{path}: {took:?}");
        }
    }
    assert_eq!(from("a-guess-of-the-admin-key", "1.1.1.1").looks("/api/keys").await.0, 429);
    assert_eq!(from(&admin, "1.1.1.1").looks("/api/keys").await.0, 200, "the operator gets in from there too");
    // Nobody else is concerned.
    let (status, took) = from(&admin, "1.1.1.2").looks("/api/keys").await;
    assert!(status == 200 && took < late, "{status} after {took:?}");
    let (status, took) = from(&tenants, "1.1.1.1").looks("/api/baileys/status?tenantId=a").await;
    assert!(status == 200 && took < late, "{status} after {took:?}");
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_whatsapp_is_limited_by_tenant_whoever_asks() {
    let (stage, daemon) = started(&[]).await;
    let (one, _other) = (stage.pair("a").await, stage.pair("b").await);
    let body = json!({ "session": "a", "isAdmin": false, "isActive": true, "actions": { "read": true } });
    let reader = stage.dashboard.post("/api/keys", body).await.unwrap().body["key"].as_str().unwrap().to_owned();
    let admin = stage.setup.admin_key.clone();
    let exists = |tenant: &str| format!("/api/contacts/check-exists?session={tenant}&phone={}", one.customers[0]);
    let mut answered = 0;
    for n in 0..200 {
        // Two keys, one tenant.
        let key = if n % 2 == 0 { &reader } else { &admin };
        let status = Caller { stage: &stage, key, address: "1.1.1.1" }.looks(&exists("a")).await.0;
        match status {
            200 => answered += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert!((60..120).contains(&answered), "{answered} of 200");
    let admins = Caller { stage: &stage, key: &admin, address: "1.1.1.1" };
    assert_eq!(admins.looks(&exists("b")).await.0, 200, "the other tenant has its own");
    let mut restarted = 0;
    for _ in 0..30 {
        let answer = admins.post("/api/sessions/b/restart", Value::Null).await;
        match answer.status().as_u16() {
            201 => restarted += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert!((10..15).contains(&restarted), "{restarted} of 30");
    // A login is a login, by whatever it is asked for.
    let mut begun = 0;
    for n in 0..30 {
        assert_eq!(admins.post("/api/sessions/a/stop", Value::Null).await.status(), 201);
        let answer = match n % 2 {
            0 => admins.post("/api/sessions/start", json!({ "name": "a" })).await,
            _ => admins.post("/api/baileys/connect", json!({ "tenantId": "a" })).await,
        };
        match answer.status().as_u16() {
            429 => {}
            _ => begun += 1,
        }
    }
    assert!((10..20).contains(&begun), "{begun} of 30");
    // Codes to type: the first connects, and one is outstanding from then on.
    let number = stage.network.add_phone(None).await.number;
    let mut asked = 0;
    for _ in 0..20 {
        let answer = admins.post("/api/c/auth/request-code", json!({ "phoneNumber": number })).await;
        match answer.status().as_u16() {
            200 | 409 => asked += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert!((10..15).contains(&asked), "{asked} of 20");
    // A pairing that a page gives up and begins again: after some it waits, however often it is asked for.
    let connections = async || stage.network.stats().await.counts.connections;
    let before = connections().await;
    let again = async {
        for _ in 0..200 {
            admins.post("/api/baileys/connect", json!({ "tenantId": "d" })).await;
            admins.post("/api/baileys/clean-session", json!({ "tenantId": "d" })).await;
        }
    };
    let waits = async || {
        let status = stage.dashboard.get("/api/baileys/status?tenantId=d").await.unwrap();
        status.body["detail"].as_str().is_some_and(|detail| detail.starts_with("too many pairings"))
    };
    tokio::select! {
        () = again => panic!("nothing waits\n{}", stage.log()),
        waited = until(LIMIT, "the pause", waits) => waited.unwrap(),
    }
    let made = connections().await - before;
    assert!(made < 25, "{made} connections");
    daemon.kill().await.unwrap();
}
