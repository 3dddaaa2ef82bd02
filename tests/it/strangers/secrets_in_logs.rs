//! Promise 7: whatever the log's filter asks for, no secret is logged. Two tests do what tenants and operators do, with the filter at its
//! default and at `trace`, and search all that the daemon has said for every secret that went through it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose};
use jiff::Timestamp;
use loopback::{Babble, Say};
use serde_json::{Value, json};
use sessiond::demo::{Dashboard, Ear, until};
use whatsapp_rust::wacore_binary::builder::NodeBuilder;

use crate::{
    linking::passkey::Authenticator,
    messages::media::{JPEG, PDF, Shop, base64, file},
    support::{
        issuer::{Issuer, PROJECT, Signer, claims_for},
        receiver::{Receiver, status},
        stage::{Home, LIMIT, Stage},
    },
};

/// What must not be in a log, each with its name.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn text(&mut self, name: &str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() > 6, "{name} may stand in a log by chance: {secret}");
        self.0.push((name.to_owned(), secret));
    }

    /// In every form in which bytes are written.
    fn bytes(&mut self, name: &str, secret: &[u8]) {
        let list: Vec<_> = secret.iter().take(10).map(u8::to_string).collect();
        self.text(&format!("{name} as a list"), list.join(", "));
        self.text(&format!("{name} in hex"), hex::encode(secret));
        for engine in [general_purpose::STANDARD_NO_PAD, general_purpose::URL_SAFE_NO_PAD] {
            self.text(&format!("{name} in base64"), engine.encode(secret));
        }
    }

    /// A QR code, and each of its parts.
    fn qr(&mut self, qr: &str) {
        self.text("a QR code", qr);
        let parts = qr.split(',').filter(|part| part.len() > 6);
        parts.for_each(|part| self.text("a part of a QR code", part));
    }

    /// The private keys in a tenant's working copy.
    fn device(&mut self, stage: &Stage, tenant: &str) {
        let folders = walk(&stage.setup.data_dir);
        let file = folders.iter().find(|path| path.ends_with(format!("{tenant}/session.db"))).expect("a working copy");
        // The daemon keeps it locked: of a copy the device is read, which may be in the middle of a write.
        let copy = stage.path("copy.db");
        let read = || {
            std::fs::copy(file, &copy).ok()?;
            let database = rusqlite::Connection::open(&copy).ok()?;
            database.query_row("SELECT value FROM records WHERE space = 1", [], |row| row.get::<_, Vec<u8>>(0)).ok()
        };
        let device = (0..100).find_map(|_| read()).expect("a device in the working copy");
        // A digest may stand around it.
        let (begin, end) =
            (device.iter().position(|byte| *byte == b'{'), device.iter().rposition(|byte| *byte == b'}'));
        let device: Value = serde_json::from_slice(&device[begin.unwrap()..=end.unwrap()]).unwrap();
        for name in ["noise_key", "identity_key", "signed_pre_key", "adv_secret_key"] {
            let bytes: Vec<u8> = serde_json::from_value(device[name].clone()).unwrap();
            self.bytes(&format!("{tenant}'s {name}"), &bytes[..32]);
        }
    }

    fn found_in(&self, log: &str) -> Vec<String> {
        let found = self.0.iter().filter_map(|(name, secret)| {
            let line = log.lines().find(|line| line.contains(secret))?;
            Some(format!("{name} ({secret}):\n    {}", line.chars().take(400).collect::<String>()))
        });
        found.collect()
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

struct Run {
    stage: Stage,
    secrets: Secrets,
}

impl Run {
    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.stage.dashboard.post(path, body).await.unwrap();
        assert!(answer.status < 300, "{path}: {} {}\n{}", answer.status, answer.body, tail(&self.stage));
        answer.body
    }

    async fn connected(&self, tenant: &str) {
        let connected = until(LIMIT, "the tenant to be connected", || self.stage.dashboard.is_connected(tenant)).await;
        connected.unwrap_or_else(|error| panic!("{tenant}: {error}\n{}", tail(&self.stage)));
    }

    /// By QR code, with a phone and a customer.
    async fn pair_by_qr(&mut self, tenant: &str) -> (String, String) {
        let phone = self.stage.network.add_phone(None).await;
        let qr = self.stage.dashboard.qr(tenant).await.unwrap();
        self.secrets.qr(&qr);
        self.secrets.text("a phone's number", &phone.number);
        self.stage.network.scan(&phone.number, &qr).await.unwrap();
        self.connected(tenant).await;
        let customer = self.stage.network.add_customer().await;
        self.secrets.text("a customer's number", &customer);
        (phone.number, customer)
    }

    async fn pair_by_code(&mut self, tenant: &str) {
        let phone = self.stage.network.add_phone(None).await;
        let asked = json!({ "phoneNumber": phone.number });
        let code = self.post(&format!("/api/{tenant}/auth/request-code"), asked).await;
        let code = code["code"].as_str().unwrap().to_owned();
        self.secrets.text("a phone's number", &phone.number);
        let plain = code.replace('-', "");
        self.secrets.text("a pairing code as it is shown", format!("{}-{}", &plain[..4], &plain[4..]));
        self.secrets.text("a pairing code", plain);
        self.stage.network.link_code(&phone.number, &code).await.unwrap();
        self.connected(tenant).await;
    }

    async fn pair_with_a_passkey(&mut self, tenant: &str) {
        let browser = Authenticator::new("the owner's passkey");
        let phone = self.stage.network.add_phone(None).await;
        let passkey = browser.passkey(Duration::from_secs(600));
        self.stage.network.add_passkey(&phone.number, passkey).await.unwrap();
        let qr = self.stage.dashboard.qr(tenant).await.unwrap();
        self.secrets.qr(&qr);
        let (network, number) = (self.stage.network.clone(), phone.number.clone());
        let scan = tokio::spawn(async move { network.scan(&number, &qr).await });
        let path = |step: &str| format!("/api/{tenant}/auth/passkey{step}");
        let there =
            async |step: &str| self.stage.dashboard.get(&path(step)).await.is_ok_and(|found| found.status == 200);
        until(LIMIT, "the challenge", || there("/challenge")).await.unwrap();
        let challenge = self.stage.dashboard.get(&path("/challenge")).await.unwrap().body;
        let signed = browser.sign(&challenge);
        self.post(&path(""), signed.clone()).await;
        until(LIMIT, "the code to compare", || there("/confirmation")).await.unwrap();
        let code = self.stage.dashboard.get(&path("/confirmation")).await.unwrap().body;
        self.post(&path("/confirm"), Value::Null).await;
        scan.await.unwrap().unwrap();
        self.connected(tenant).await;
        self.secrets.text("a passkey's challenge", challenge["challenge"].as_str().unwrap());
        self.secrets.text("a passkey's signature", signed["response"]["signature"].as_str().unwrap());
        self.secrets.text("the code of a passkey's ceremony", code["code"].as_str().unwrap());
    }

    /// Texts and files, in and out.
    async fn chat(&mut self, tenant: &str, number: &str, customer: &str) {
        let ear = Ear::open(&self.stage.dashboard, vec![tenant.to_owned()]);
        let shop = Shop::open().await;
        let url = format!("{}?signature=signature-of-a-url", shop.url("/menu.pdf"));
        shop.offer("/menu.pdf", file(PDF, 3000));
        self.secrets.text("the signature of a file's URL", "signature-of-a-url");
        for (name, secret) in [
            ("a customer's text", "two pizze for via Garibaldi"),
            ("a customer's caption", "is this the oven of yours"),
            ("a tenant's text", "forty minutes from now then"),
            ("a tenant's caption", "what we bake in the evening"),
            ("a poll's question", "which of the wines tonight"),
            ("a place", "behind the old fountain"),
        ] {
            self.secrets.text(name, secret);
        }
        let network = self.stage.network.clone();
        let mut ids = Vec::new();
        ids.push(network.customer_send(customer, number, "two pizze for via Garibaldi").await.unwrap());
        let picture = loopback::File {
            data: file(JPEG, 4000),
            caption: Some("is this the oven of yours".into()),
            ..loopback::File::default()
        };
        ids.push(network.customer_send(customer, number, Say::Image(picture)).await.unwrap());
        let to = json!({ "session": tenant, "chatId": format!("{customer}@c.us") });
        let with = |more: Value| {
            let mut body = to.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        self.post("/api/sendText", with(json!({ "text": "forty minutes from now then" }))).await;
        let picture = json!({ "data": base64(&file(JPEG, 900)) });
        let caption = json!({ "file": picture, "caption": "what we bake in the evening" });
        self.post("/api/sendImage", with(caption)).await;
        self.post("/api/sendFile", with(json!({ "file": { "url": url } }))).await;
        let poll = json!({ "name": "which of the wines tonight", "options": ["red", "white"] });
        self.post("/api/sendPoll", with(json!({ "poll": poll }))).await;
        let place = json!({ "latitude": 4.5, "longitude": -74.2, "title": "behind the old fountain" });
        self.post("/api/sendLocation", with(place)).await;
        let heard = ear.until(LIMIT, |heard| {
            ids.iter().all(|id| heard.iter().any(|heard| heard.payload["message"]["id"] == json!(id)))
        });
        heard.await.unwrap_or_else(|error| panic!("{error}\n{}", tail(&self.stage)));
        let arrived = async || network.customer_inbox(customer).await.unwrap().len() >= 5;
        until(LIMIT, "what was sent", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", tail(&self.stage)));
    }

    /// Keys that are good, wrong, renewed and revoked; by header, as a Bearer, in a handshake by polling; tokens too.
    async fn knock(&mut self, tenant: &str, signer: &Signer) {
        let address = self.stage.setup.address;
        let body = json!({ "session": tenant, "isAdmin": false, "isActive": true });
        let made = self.post("/api/keys", body).await;
        let renewed = self.post(&format!("/api/keys/{}/renew", made["id"].as_str().unwrap()), Value::Null).await;
        let token = signer.sign(&claims_for("ana", Timestamp::now(), &json!([tenant])));
        let wrong = format!("key_{}", "Wrong-key-".repeat(5).split_at(43).0);
        let mut keys =
            vec![("a wrong key", wrong), ("a token", token), ("the admin key", self.stage.setup.admin_key.clone())];
        keys.extend(
            [("a key", &made), ("a renewed key", &renewed)]
                .map(|(name, made)| (name, made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned())),
        );
        for (name, key) in keys {
            let http = reqwest::Client::new();
            let status = format!("http://{address}/api/baileys/status?tenantId={tenant}");
            http.get(&status).bearer_auth(&key).send().await.unwrap();
            http.get(&status).header("x-api-key", &key).send().await.unwrap();
            // Where it does not belong.
            http.get(format!("{status}&key={key}")).send().await.unwrap();
            let url = format!("http://{address}/socket.io/?EIO=4&transport=polling");
            let opened = http.get(&url).send().await.unwrap().text().await.unwrap();
            let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
            let url = format!("{url}&sid={}", opened["sid"].as_str().unwrap());
            http.post(&url).body(format!("40{}", json!({ "key": key, "token": key }))).send().await.unwrap();
            http.get(&url).send().await.unwrap();
            let socket = Ear::open(&Dashboard::new(address, &key), vec![tenant.to_owned()]);
            socket.news(Duration::from_millis(300)).await;
            for part in key.split('.') {
                self.secrets.text(name, part);
            }
        }
    }

    /// Webhooks with all that is secret about them: one that takes, one that refuses, one that is not there.
    async fn webhooks(&mut self, tenant: &str) -> Receiver {
        let receiver = Receiver::start().await;
        receiver.answers(|event| status(if event["event"] == json!("message.any") { 400 } else { 204 }));
        let webhook = |url: String| {
            json!({
                "url": url, "events": ["message", "message.any"], "hmac": { "key": "key-of-the-signature" },
                "retries": { "policy": "constant", "delaySeconds": 0.1, "attempts": 2 },
                "customHeaders": [{ "name": "Authorization", "value": "Bearer of-the-receiver" }],
            })
        };
        let webhooks = [
            webhook(format!("{}/T0KEN-in-a-path?token=token-in-a-query", receiver.url())),
            webhook("http://127.0.0.1:9/T0KEN-in-a-path?token=token-in-a-query".into()),
            webhook("http://192.168.7.7/T0KEN-in-a-path?token=token-in-a-query".into()),
        ];
        let put = async |body| self.stage.dashboard.put(&format!("/api/{tenant}/webhooks"), body).await.unwrap();
        let refused = put(json!({ "webhooks": webhooks })).await;
        if refused.status != 200 {
            let set = put(json!({ "webhooks": webhooks[..2] })).await;
            assert_eq!(set.status, 200, "{}", set.body);
        }
        for secret in ["key-of-the-signature", "of-the-receiver", "T0KEN-in-a-path", "token-in-a-query"] {
            self.secrets.text("a webhook's secret", secret);
        }
        receiver
    }

    /// WhatsApp says what the library does not know, and writes down whole.
    async fn babble(&mut self, number: &str) {
        for (name, secret) in [
            ("an unknown IQ", "ref-in-an-unknown-iq"),
            ("an unknown node", "said-in-an-unknown-node"),
            ("a notification", "said-in-a-notification"),
            ("a refusal", "appeal-token-of-a-refusal"),
        ] {
            self.secrets.text(name, secret);
        }
        let iq = NodeBuilder::new("iq").attr("type", "set").attr("id", "77-1").attr("from", "s.whatsapp.net");
        let unknown = NodeBuilder::new("pair-thing").attr("ref", "ref-in-an-unknown-iq").build();
        let mex =
            NodeBuilder::new("notification").attr("type", "mex").attr("id", "77-2").attr("from", "s.whatsapp.net");
        let said = NodeBuilder::new("thing").attr("value", "said-in-a-notification").build();
        for stanza in [
            iq.children([unknown]).build(),
            NodeBuilder::new("thing").attr("value", "said-in-an-unknown-node").build(),
            mex.children([said]).build(),
            NodeBuilder::new("failure").attr("reason", "402").attr("appeal_token", "appeal-token-of-a-refusal").build(),
        ] {
            let online = async || self.stage.network.babble(number, Babble::Stanza(stanza.clone())).await.unwrap();
            until(LIMIT, "the device to be online", online).await.unwrap();
            tokio::task::yield_now().await;
        }
    }
}

fn tail(stage: &Stage) -> String {
    let log = stage.log();
    log.lines().rev().filter(|line| !line.contains("TRACE")).take(30).collect::<Vec<_>>().join("\n")
}

async fn everything_with(filter: Option<&str>) {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer], "max-age=3600").await;
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    for (name, value) in [
        ("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32"),
        ("SESSIOND_AUTH__FIREBASE_PROJECT", PROJECT),
        ("SESSIOND_AUTH__FIREBASE_KEYS_URL", &issuer.url()),
        ("SESSIOND_MEDIA__PROXIES", "nobody=http://user:password-of-a-proxy@127.0.0.1:9"),
    ] {
        stage = stage.set(name, value);
    }
    if let Some(filter) = filter {
        stage = stage.set("RUST_LOG", filter);
    }
    let mut run = Run { stage, secrets: Secrets::default() };
    run.secrets.text("a proxy's password", "password-of-a-proxy");
    let daemon = run.stage.start().await;
    let (number, customer) = run.pair_by_qr("trattoria").await;
    run.pair_by_code("pizzeria").await;
    run.pair_with_a_passkey("osteria").await;
    // The QR code of somebody who does not scan, through WAHA's route.
    let qr = run.stage.dashboard.qr("taverna").await.unwrap();
    run.secrets.qr(&qr);
    run.stage.dashboard.get("/api/taverna/auth/qr?format=raw").await.unwrap();
    let receiver = run.webhooks("trattoria").await;
    run.knock("trattoria", &signer).await;
    run.chat("trattoria", &number, &customer).await;
    receiver.until(LIMIT, "the webhooks", |posts| posts.len() > 3).await;
    for tenant in ["trattoria", "pizzeria", "osteria"] {
        run.secrets.device(&run.stage, tenant);
    }
    let key = std::fs::read(run.stage.path("cloud/vault.key")).unwrap();
    run.secrets.text("the vault's key", String::from_utf8(key).unwrap().trim());
    // Everybody comes back; then WhatsApp is heard to say strange things.
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0));
    let daemon = run.stage.start().await;
    run.connected("trattoria").await;
    run.babble(&number).await;
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0));
    let log = run.stage.log();
    let found = run.secrets.found_in(&log);
    assert!(found.is_empty(), "{} of {} secrets:\n{}", found.len(), run.secrets.0.len(), found.join("\n"));
    // The daemon's own lines are there.
    assert!(log.contains("the port is open"), "{}", tail(&run.stage));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_by_default() {
    everything_with(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_at_trace() {
    everything_with(Some("trace")).await;
}
