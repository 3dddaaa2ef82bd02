//! Accounts that are linked only with a passkey: the ceremony over HTTP, against a network that verifies what the passkey signed, and
//! everything that can go wrong with it.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use loopback::{Babble, Passkey};
use serde_json::{Value, json};
use sessiond::demo::{Process, until};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;

use crate::{
    contracts::waha::WahaClient,
    support::{
        python,
        stage::{Home, LIMIT, Stage},
    },
};

const TENANT: &str = "trattoria";

/// A browser on web.whatsapp.com with a passkey of its own.
pub struct Authenticator {
    key: EcdsaKeyPair,
    credential: Vec<u8>,
}

impl Authenticator {
    pub fn new(name: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { key, credential: name.as_bytes().to_vec() }
    }

    /// What WhatsApp knows of it.
    pub fn passkey(&self, patience: Duration) -> Passkey {
        let public_key = self.key.public_key().as_ref().to_vec();
        Passkey { credential: self.credential.clone(), public_key, patience }
    }

    /// `navigator.credentials.get(…)`, then `toJSON`.
    pub fn sign(&self, challenge: &Value) -> Value {
        let client_data = json!({
            "type": "webauthn.get", "challenge": challenge["challenge"], "origin": "https://web.whatsapp.com", "crossOrigin": false,
        });
        self.sign_data(challenge, client_data.to_string().as_bytes())
    }

    fn sign_data(&self, challenge: &Value, client_data: &[u8]) -> Value {
        let site = Sha256::digest(challenge["rpId"].as_str().unwrap());
        let authenticator_data = [&site[..], &[0x05, 0, 0, 0, 7]].concat();
        let signed = [&authenticator_data[..], &Sha256::digest(client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let id = BASE64URL.encode(&self.credential);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64URL.encode(client_data),
                "authenticatorData": BASE64URL.encode(&authenticator_data),
                "signature": BASE64URL.encode(signature.as_ref()),
                "userHandle": BASE64URL.encode(b"the owner"),
            },
        })
    }
}

/// A tenant whose phone has a passkey.
struct PasskeyScene {
    stage: Stage,
    daemon: Process,
    browser: Authenticator,
    number: String,
}

/// The phone's part of the pairing: the new device, or why there is none.
type Scan = JoinHandle<Result<u16, loopback::NetworkError>>;

impl PasskeyScene {
    async fn new() -> Self {
        Self::with(|stage| stage, Duration::from_secs(600)).await
    }

    async fn with(change: impl FnOnce(Stage) -> Stage, patience: Duration) -> Self {
        let stage = change(Stage::new(Home::Embedded).await.unwrap());
        let daemon = stage.start().await;
        let browser = Authenticator::new("the owner's passkey");
        let phone = stage.network.add_phone(Some("Trattoria".to_owned())).await;
        stage.network.add_passkey(&phone.number, browser.passkey(patience)).await.unwrap();
        Self { stage, daemon, browser, number: phone.number }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.stage.dashboard.get(&format!("/api/{TENANT}/auth/passkey/{path}")).await.unwrap();
        (answer.status, answer.body)
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/api/{TENANT}/auth/passkey{path}");
        let answer = self.stage.dashboard.post(&path, body.clone()).await.unwrap();
        (answer.status, answer.body)
    }

    /// The answer is a problem with this code.
    async fn refuses(&self, what: &str, (status, body): (u16, Value), expected: (u16, &str)) {
        assert_eq!((status, &body["code"]), (expected.0, &json!(expected.1)), "{what}: {body}\n{}", self.stage.log());
    }

    /// State and reason.
    async fn state(&self) -> (String, String) {
        let session = self.stage.dashboard.get(&format!("/api/sessions/{TENANT}")).await.unwrap().body;
        let text = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    async fn reaches(&self, state: &str) {
        if let Err(error) = until(LIMIT, state, || async { self.state().await.0 == state }).await {
            panic!("{error}: {:?}\n{}", self.state().await, self.stage.log());
        }
    }

    /// The phone scans; WhatsApp asks for the passkey.
    async fn scanned(&self) -> Scan {
        let qr = self.stage.dashboard.qr(TENANT).await.unwrap();
        let scan = self.scan(qr);
        self.reaches("PASSKEY_REQUIRED").await;
        scan
    }

    fn scan(&self, qr: String) -> Scan {
        let (network, number) = (self.stage.network.clone(), self.number.clone());
        tokio::spawn(async move { network.scan(&number, &qr).await })
    }

    async fn challenge(&self) -> Value {
        let (status, challenge) = self.get("challenge").await;
        assert_eq!(status, 200, "{challenge}");
        challenge
    }

    /// The passkey signs; phone and device agree on a code.
    async fn signed(&self) {
        let answer = self.browser.sign(&self.challenge().await);
        assert_eq!(self.post("", &answer).await, (201, json!({ "success": true })), "{}", self.stage.log());
        self.reaches("PASSKEY_CONFIRMATION_REQUIRED").await;
    }

    /// The owner compares, and the pairing ends as every other.
    async fn confirmed(&self, scan: Scan) {
        let (_, code) = self.get("confirmation").await;
        assert_eq!(code["code"].as_str(), self.stage.network.passkey_code(&self.number).await.unwrap().as_deref());
        assert_eq!(self.post("/confirm", &Value::Null).await.0, 201);
        let device = scan.await.unwrap();
        assert!(device.is_ok(), "{device:?}\n{}", self.stage.log());
        self.reaches("WORKING").await;
    }

    /// There is a QR code again, and what it leads to works.
    async fn pairs(&self) {
        let scan = self.scanned().await;
        self.signed().await;
        self.confirmed(scan).await;
        assert_eq!(self.stage.network.stats().await.counts.pairings, 1);
    }

    async fn end(self) {
        self.daemon.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_ceremony() {
    let mut scene = PasskeyScene::new().await;
    let ear = sessiond::demo::Ear::open(&scene.stage.dashboard, vec![TENANT.to_owned()]);
    let (_, unknown) = scene.get("challenge").await;
    assert_eq!(unknown["code"], json!("unknown_tenant"));
    let qr = scene.stage.dashboard.qr(TENANT).await.unwrap();
    for (what, answer) in
        [("before the scan", scene.get("challenge").await), ("the code", scene.get("confirmation").await)]
    {
        scene.refuses(what, answer, (409, "no_passkey")).await;
    }
    let scan = scene.scan(qr);
    scene.reaches("PASSKEY_REQUIRED").await;

    // The old contract: no QR code any more, a text that says why, and nothing that calls for a scan.
    let old = scene.stage.dashboard.get(&format!("/api/baileys/qr?tenantId={TENANT}")).await.unwrap().body;
    assert_eq!(old["qr"], Value::Null);
    assert!(old["message"].as_str().unwrap().contains("passkey"), "{old}");
    let old = scene.stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": TENANT })).await.unwrap();
    assert_eq!((old.status, &old.body["code"]), (409, &json!("passkey_required")));
    assert!(old.body["error"].as_str().unwrap().contains("passkey"), "{}", old.body);
    let told = |heard: &[sessiond::demo::Heard]| {
        let details =
            heard.iter().rev().find(|heard| heard.event == "connection:status").map(|h| &h.payload["details"]);
        details == Some(&json!({ "reason": "WhatsApp asks for a passkey", "scanNeeded": false }))
    };
    ear.until(LIMIT, told).await.unwrap();
    let code = format!("/api/{TENANT}/auth/request-code");
    let code = scene.stage.dashboard.post(&code, json!({ "phoneNumber": scene.number })).await.unwrap();
    assert_eq!((code.status, &code.body["code"]), (409, &json!("passkey_required")));
    let health = scene.stage.dashboard.get("/health").await.unwrap().body;
    assert_eq!(health["sessions"]["ill"], json!([]), "somebody is at it: not ill");

    // The challenge as the browser takes it.
    let challenge = scene.challenge().await;
    let left = challenge["timeout"].as_u64().unwrap();
    assert!((500_000..=600_000).contains(&left), "{challenge}");
    let mut rest = challenge.clone();
    rest["timeout"] = json!(null);
    let expected = json!({
        "challenge": challenge["challenge"], "timeout": null, "rpId": "whatsapp.com", "allowCredentials": [],
        "userVerification": "required", "extensions": { "uvm": true },
    });
    assert_eq!(rest, expected);
    assert_eq!(BASE64URL.decode(challenge["challenge"].as_str().unwrap()).unwrap().len(), 32);

    // Step by step: what comes later is refused now.
    scene.refuses("too early", scene.get("confirmation").await, (409, "passkey_step")).await;
    scene.refuses("too early", scene.post("/confirm", &Value::Null).await, (409, "passkey_step")).await;
    let answer = scene.browser.sign(&challenge);
    let both = tokio::join!(scene.post("", &answer), scene.post("", &answer));
    let (mut done, mut refused) = both;
    if done.0 != 201 {
        std::mem::swap(&mut done, &mut refused);
    }
    assert_eq!(done, (201, json!({ "success": true })), "{}", scene.stage.log());
    scene.refuses("twice", refused, (409, "passkey_step")).await;
    scene.reaches("PASSKEY_CONFIRMATION_REQUIRED").await;
    scene.refuses("again", scene.post("", &answer).await, (409, "passkey_step")).await;
    scene.refuses("again", scene.get("challenge").await, (409, "passkey_step")).await;
    let (_, code) = scene.get("confirmation").await;
    scene.confirmed(scan).await;
    for answer in
        [scene.get("challenge").await, scene.post("", &answer).await, scene.post("/confirm", &Value::Null).await]
    {
        scene.refuses("afterwards", answer, (409, "no_passkey")).await;
    }

    // It is a device as every other: it sends, and a crash costs no scan.
    let customer = scene.stage.network.add_customer().await;
    scene.stage.dashboard.send(TENANT, &customer, "a table is free", "one").await.unwrap();
    let arrived = || async { !scene.stage.network.customer_inbox(&customer).await.unwrap().is_empty() };
    until(LIMIT, "the message", arrived).await.unwrap();
    scene.daemon.kill().await.unwrap();
    scene.stage.wipe_local_data();
    scene.daemon = scene.stage.start().await;
    scene.reaches("WORKING").await;
    assert_eq!(scene.stage.network.stats().await.counts.pairings, 1);
    let log = scene.stage.log();
    for secret in [&code["code"], &challenge["challenge"], &answer["response"]["signature"], &answer["id"]] {
        assert!(!log.contains(secret.as_str().unwrap()), "{secret} is in the log");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_named_field_by_field_and_costs_nothing() {
    let scene = PasskeyScene::new().await;
    let scan = scene.scanned().await;
    let challenge = scene.challenge().await;
    let right = scene.browser.sign(&challenge);
    let with = |path: &str, value: Value| {
        let mut changed = right.clone();
        *changed.pointer_mut(path).unwrap() = value;
        changed
    };
    for (path, value, field) in [
        ("/id", json!("YW5vdGhlcg"), "id"),
        ("/id", Value::Null, "id"),
        ("/rawId", json!("not base64url!"), "rawId"),
        ("/rawId", json!("A".repeat(1400)), "rawId"),
        ("/type", json!("password"), "type"),
        ("/response", Value::Null, "response.clientDataJSON"),
        ("/response/clientDataJSON", json!("e+/="), "response.clientDataJSON"),
        ("/response/clientDataJSON", json!("A".repeat(20_000)), "response.clientDataJSON"),
        ("/response/authenticatorData", json!("AAAA"), "response.authenticatorData"),
        ("/response/signature", json!(""), "response.signature"),
        ("/response/userHandle", json!("A".repeat(100)), "response.userHandle"),
    ] {
        let (status, problem) = scene.post("", &with(path, value)).await;
        let named = problem["errors"].as_array().cloned().unwrap_or_default();
        assert_eq!(status, 400, "{path}: {problem}");
        assert!(named.iter().any(|error| error["field"] == json!(field)), "{path}: {problem}");
    }
    for body in [json!({}), json!({ "id": 5 }), json!({ "response": [1, 2] })] {
        assert_eq!(scene.post("", &body).await.0, 400, "{body}");
    }
    // Well formed, but for something else: seen before WhatsApp is asked.
    let client_data = |kind: &str, challenge: &str| {
        json!({ "type": kind, "challenge": challenge, "origin": "https://web.whatsapp.com" }).to_string()
    };
    let present = challenge["challenge"].as_str().unwrap();
    let mut elsewhere = challenge.clone();
    elsewhere["rpId"] = json!("example.com");
    for (what, answer, field) in [
        ("a challenge of before", client_data("webauthn.get", "YmVmb3Jl"), "response.clientDataJSON"),
        ("a passkey that was made", client_data("webauthn.create", present), "response.clientDataJSON"),
        ("no JSON", "client data".to_owned(), "response.clientDataJSON"),
    ]
    .map(|(what, data, field)| (what, scene.browser.sign_data(&challenge, data.as_bytes()), field))
    .into_iter()
    .chain([("another site", scene.browser.sign(&elsewhere), "response.authenticatorData")])
    {
        let (status, problem) = scene.post("", &answer).await;
        let expected = (422, &json!("wrong_assertion"), &json!(field));
        assert_eq!((status, &problem["code"], &problem["errors"][0]["field"]), expected, "{what}: {problem}");
    }
    // The ceremony is where it was.
    assert_eq!(scene.challenge().await["challenge"], challenge["challenge"]);
    scene.signed().await;
    scene.confirmed(scan).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_is_not_the_accounts_is_refused_and_a_new_qr_code_follows() {
    let scene = PasskeyScene::new().await;
    let scan = scene.scanned().await;
    let thief = Authenticator { credential: scene.browser.credential.clone(), ..Authenticator::new("") };
    let answer = thief.sign(&scene.challenge().await);
    scene.refuses("a forged signature", scene.post("", &answer).await, (422, "refused_by_whatsapp")).await;
    let refused = scan.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("signature"), "{refused}");
    scene.reaches("SCAN_QR_CODE").await;
    let (_, reason) = scene.state().await;
    assert!(reason.contains("passkey") && reason.contains("401") && reason.contains("scan again"), "{reason}");
    scene.refuses("afterwards", scene.get("challenge").await, (409, "no_passkey")).await;
    scene.pairs().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_that_nobody_ends_expires() {
    let scene = PasskeyScene::with(|stage| stage, Duration::from_secs(3)).await;
    let scan = scene.scanned().await;
    let late = scene.browser.sign(&scene.challenge().await);
    let over = || async { scene.get("challenge").await.0 == 409 };
    until(LIMIT, "the end of the ceremony", over).await.unwrap();
    scene.refuses("too late", scene.post("", &late).await, (409, "no_passkey")).await;
    assert!(scan.await.unwrap().is_err());
    scene.reaches("SCAN_QR_CODE").await;
    let (_, reason) = scene.state().await;
    assert_eq!(reason, "the time for the passkey is over; scan again");
    let patient = scene.browser.passkey(Duration::from_secs(600));
    scene.stage.network.add_passkey(&scene.number, patient).await.unwrap();
    scene.pairs().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_that_is_given_up_ends_at_once() {
    let scene = PasskeyScene::new().await;
    for code in [false, true] {
        let scan = scene.scanned().await;
        if code {
            scene.signed().await;
        }
        let given_up = scene.stage.dashboard.post("/api/baileys/clean-session", json!({ "tenantId": TENANT })).await;
        assert_eq!(given_up.unwrap().status, 200);
        scene.reaches("STOPPED").await;
        assert_eq!(scene.state().await.1, "the pairing was given up");
        assert!(scan.await.unwrap().is_err());
        for answer in [scene.get("challenge").await, scene.get("confirmation").await] {
            scene.refuses("afterwards", answer, (409, "no_passkey")).await;
        }
    }
    scene.pairs().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_costs_a_new_scan_and_no_more() {
    let mut scene = PasskeyScene::new().await;
    for code in [false, true] {
        let scan = scene.scanned().await;
        if code {
            scene.signed().await;
        }
        let old = scene.browser.sign(&json!({ "challenge": "b2xk", "rpId": "whatsapp.com" }));
        scene.daemon.kill().await.unwrap();
        assert!(scan.await.unwrap().is_err());
        scene.daemon = scene.stage.start().await;
        for answer in
            [scene.get("challenge").await, scene.post("", &old).await, scene.post("/confirm", &Value::Null).await]
        {
            scene.refuses("after the crash", answer, (409, "no_passkey")).await;
        }
    }
    scene.pairs().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_in_the_middle_takes_the_ceremony_with_it() {
    let scene = PasskeyScene::new().await;
    let scan = scene.scanned().await;
    scene.signed().await;
    scene.stage.network.stop().await;
    assert!(scan.await.unwrap().is_err());
    let over = || async { scene.get("confirmation").await.0 == 409 };
    until(LIMIT, "the end of the ceremony", over).await.unwrap();
    scene.refuses("without a connection", scene.post("/confirm", &Value::Null).await, (409, "no_passkey")).await;
    scene.stage.network.resume().await.unwrap();
    scene.reaches("SCAN_QR_CODE").await;
    scene.pairs().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_typed_leads_to_the_same_ceremony() {
    let scene = PasskeyScene::new().await;
    let path = format!("/api/{TENANT}/auth/request-code");
    let code = scene.stage.dashboard.post(&path, json!({ "phoneNumber": scene.number })).await.unwrap().body;
    let code = code["code"].as_str().unwrap().to_owned();
    let (network, number) = (scene.stage.network.clone(), scene.number.clone());
    let typed = tokio::spawn(async move { network.link_code(&number, &code).await });
    scene.reaches("PASSKEY_REQUIRED").await;
    scene.signed().await;
    scene.confirmed(typed).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paired_tenant_is_asked_for_no_passkey_whatever_whatsapp_says() {
    let scene = PasskeyScene::new().await;
    scene.pairs().await;
    let options = json!({ "challenge": "YSBjaGFsbGVuZ2U", "rpId": "whatsapp.com" }).to_string();
    let child = |tag: &'static str, bytes: &[u8]| NodeBuilder::new(tag).bytes(bytes.to_vec()).build();
    for (kind, child) in [
        ("passkey_prologue_request", child("passkey_request_options", options.as_bytes())),
        ("passkey_prologue_request", child("passkey_request_options", b"{}")),
        ("crsc_continuation", child("primary_ephemeral_identity", b"no key")),
    ] {
        let said = NodeBuilder::new("notification")
            .attr("from", "s.whatsapp.net")
            .attr("type", kind)
            .attr("id", "1")
            .attr("t", 1u8)
            .children([child])
            .build();
        assert!(scene.stage.network.babble(&scene.number, Babble::Stanza(said)).await.unwrap());
    }
    let ignored = || async { scene.stage.log().matches("to a device that is linked: ignored").count() >= 3 };
    until(LIMIT, "what WhatsApp says", ignored).await.unwrap();
    let answer = scene.browser.sign(&json!({ "challenge": "YSBjaGFsbGVuZ2U", "rpId": "whatsapp.com" }));
    for answer in
        [scene.get("challenge").await, scene.post("", &answer).await, scene.post("/confirm", &Value::Null).await]
    {
        scene.refuses("paired", answer, (409, "no_passkey")).await;
    }
    assert_eq!(scene.state().await, ("WORKING".to_owned(), "connected".to_owned()));
    let customer = scene.stage.network.add_customer().await;
    scene.stage.dashboard.send(TENANT, &customer, "still here", "one").await.unwrap();
    let arrived = || async { !scene.stage.network.customer_inbox(&customer).await.unwrap().is_empty() };
    until(LIMIT, "the message", arrived).await.unwrap();
    let counts = scene.stage.network.stats().await.counts;
    assert_eq!(counts.pairings, 1);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_count_against_the_limit_for_pairing() {
    let scene = PasskeyScene::with(|stage| stage.set("SESSIOND_LIMITS__PAIRING_PER_KEY", "3"), LIMIT).await;
    let key = json!({ "session": TENANT, "isAdmin": false, "isActive": true, "actions": { "control": true } });
    let key = scene.stage.dashboard.post("/api/keys", key).await.unwrap().body["key"].as_str().unwrap().to_owned();
    let tenants = sessiond::demo::Dashboard::new(scene.stage.setup.address, key);
    let _scan = scene.scanned().await;
    let mut statuses = Vec::new();
    for path in ["", "/confirm", "", "/confirm"] {
        statuses.push(tenants.post(&format!("/api/{TENANT}/auth/passkey{path}"), json!({})).await.unwrap().status);
    }
    assert_eq!(statuses, [400, 409, 400, 429]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wahas_real_client_goes_through_the_ceremony() {
    let Some((_, bin)) = python::environment("waha") else { return };
    let scene = PasskeyScene::new().await;
    let mut waha = WahaClient::start(&bin.join("python"), &scene.stage, &scene.stage.setup.admin_key);
    waha.get("sessions.create", json!([{ "name": TENANT }])).await;
    assert!(waha.call("auth.get_passkey_challenge", json!([TENANT])).await.unwrap_err().contains("409"));
    let scan = scene.scanned().await;
    assert_eq!(waha.get("sessions.get", json!([TENANT])).await["status"], json!("PASSKEY_REQUIRED"));
    let challenge = waha.get_as("auth.get_passkey_challenge", json!([TENANT]), "PasskeyChallenge").await;
    let answer = scene.browser.sign(&challenge);
    waha.get("auth.submit_passkey", json!([TENANT, answer])).await;
    scene.reaches("PASSKEY_CONFIRMATION_REQUIRED").await;
    let status = waha.get("sessions.get", json!([TENANT])).await["status"].clone();
    assert_eq!(status, json!("PASSKEY_CONFIRMATION_REQUIRED"));
    let code = waha.get_as("auth.get_passkey_confirmation", json!([TENANT]), "PasskeyConfirmationResponse").await;
    assert_eq!(code["code"].as_str(), scene.stage.network.passkey_code(&scene.number).await.unwrap().as_deref());
    waha.get("auth.confirm_passkey", json!([TENANT])).await;
    scan.await.unwrap().unwrap();
    scene.reaches("WORKING").await;
    scene.end().await;
}
