//! Whoever waits for a pairing: the offer goes on for as long as somebody looks, over a restart too; without a way to WhatsApp, or
//! where WhatsApp says no, the reason comes within seconds and in words.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::until;
use tokio::time::sleep;

use crate::{
    support::stage::{Home, LIMIT, Stage, await_death},
    survival::damage,
    vault::look as vault_look,
};

/// The pace at which a page asks; no test waits for anything with it.
const POLL: Duration = Duration::from_millis(300);

/// Offers last ten seconds.
async fn impatient() -> Stage {
    Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_SESSION__PAIRING_TIMEOUT", "10s")
}

async fn get(stage: &Stage, path: &str) -> Value {
    let answer = stage.dashboard.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

async fn qr(stage: &Stage) -> Option<String> {
    get(stage, "/api/baileys/qr?tenantId=trattoria").await["qr"].as_str().map(str::to_owned)
}

async fn state(stage: &Stage) -> Value {
    get(stage, "/api/sessions/trattoria").await["status"].clone()
}

/// The mark of the offer is in the vault: a process that dies now leaves it there.
async fn offer_is_kept(stage: &Stage) {
    let kept = || vault_look::has_setting(stage, "trattoria", "session/pairing");
    until(LIMIT, "the mark of the offer", kept).await.unwrap();
}

/// Polls for so long; there is a code at the end, and whoever scans it is connected.
async fn looks_for(stage: &Stage, time: Duration) {
    let phone = stage.network.add_phone(Some("Trattoria".to_owned())).await;
    scans(stage, &phone.number, time).await;
}

async fn scans(stage: &Stage, number: &str, time: Duration) {
    let began = Instant::now();
    let mut last = None;
    while began.elapsed() < time || last.is_none() {
        assert!(began.elapsed() < time + LIMIT, "the page spins\n{}", stage.log());
        sleep(POLL).await;
        last = qr(stage).await;
    }
    stage.network.scan(number, &last.unwrap()).await.unwrap();
    until(LIMIT, "the pairing", || stage.dashboard.is_connected("trattoria")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_keeps_the_offer_alive() {
    let stage = impatient().await;
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    looks_for(&stage, Duration::from_secs(15)).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wahas_poll_keeps_it_alive_as_well() {
    let stage = impatient().await;
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        sleep(POLL).await;
        stage.dashboard.get("/api/trattoria/auth/qr?format=raw").await.unwrap();
    }
    assert_eq!(state(&stage).await, json!("SCAN_QR_CODE"), "{}", stage.log());
    daemon.kill().await.unwrap();
}

/// A laptop was closed, and is opened again.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_ran_out_is_made_anew_for_whoever_looks_again() {
    let stage = impatient().await;
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    let stopped = || async { state(&stage).await == json!("STOPPED") };
    until(LIMIT, "the end of the offer", stopped).await.unwrap();
    looks_for(&stage, Duration::ZERO).await;
    daemon.kill().await.unwrap();
}

/// One that was given up is not made anew, whoever still looks.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_was_given_up_stays_so() {
    let stage = impatient().await;
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    let cleaned = stage.dashboard.post("/api/baileys/clean-session", json!({ "tenantId": "trattoria" })).await.unwrap();
    assert_eq!(cleaned.status, 200);
    until(LIMIT, "the end of the offer", || async { qr(&stage).await.is_none() }).await.unwrap();
    for _ in 0..10 {
        sleep(POLL).await;
        assert_eq!(qr(&stage).await, None);
    }
    daemon.kill().await.unwrap();
}

/// Killed or stopped, and without its disk: whoever polls sees a fresh code, whichever way they ask.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_goes_on_after_a_restart_for_whoever_looks() {
    for graceful in [false, true] {
        let stage = impatient().await;
        let daemon = stage.start().await;
        let code = stage.dashboard.qr("trattoria").await.unwrap();
        assert!(qr(&stage).await.is_some());
        offer_is_kept(&stage).await;
        match graceful {
            true => drop(daemon.terminate(LIMIT).await.unwrap()),
            false => daemon.kill().await.unwrap(),
        }
        stage.wipe_local_data();
        let daemon = stage.start().await;
        let phone = stage.network.add_phone(Some("Trattoria".to_owned())).await;
        let fresh = std::cell::RefCell::new(None);
        let shown = async || {
            *fresh.borrow_mut() = qr(&stage).await;
            fresh.borrow().as_ref().is_some_and(|fresh| *fresh != code)
        };
        let waited = until(LIMIT, "another code", shown).await;
        waited.unwrap_or_else(|error| panic!("graceful: {graceful}: {error}\n{}", stage.log()));
        stage.network.scan(&phone.number, &fresh.take().unwrap()).await.unwrap();
        until(LIMIT, "the pairing", || stage.dashboard.is_connected("trattoria")).await.unwrap();
        daemon.kill().await.unwrap();
    }
}

/// One that only listens polls for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_goes_on_after_a_restart_for_whoever_listens() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    offer_is_kept(&stage).await;
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    let ear = sessiond::demo::Ear::open(&stage.dashboard, vec!["trattoria".to_owned()]);
    let shown = |heard: &[sessiond::demo::Heard]| heard.iter().any(|heard| heard.event == "qr:updated");
    ear.until(LIMIT, shown).await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", ear.heard(), stage.log()));
    daemon.kill().await.unwrap();
}

/// One that nobody looked at for longer than it was made for is over, whoever listens.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_was_over_before_the_restart_stays_so() {
    let stage = impatient().await;
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    until(LIMIT, "the end of the offer", || async { state(&stage).await == json!("STOPPED") }).await.unwrap();
    daemon.kill().await.unwrap();
    let daemon = stage.start().await;
    let ear = sessiond::demo::Ear::open(&stage.dashboard, vec!["trattoria".to_owned()]);
    let told = |heard: &[sessiond::demo::Heard]| heard.iter().any(|heard| heard.event == "registered");
    ear.until(LIMIT, told).await.unwrap();
    // Nothing happens, for a while: an offer would be made within milliseconds.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(state(&stage).await, json!("STOPPED"), "{}", stage.log());
    daemon.kill().await.unwrap();
}

/// The device was accepted, the process died, and WhatsApp refuses the login that belongs to it: whoever scanned is told so, and sees
/// the next code.
#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_that_is_refused_after_a_restart_is_offered_again() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let mut daemon = stage.setup.clone().set("LOOPBACK_CRASH", "paired:1").start(LIMIT).await.unwrap();
    let code = stage.dashboard.qr("trattoria").await.unwrap();
    let phone = stage.network.add_phone(Some("Trattoria".to_owned())).await;
    let _ = stage.network.scan(&phone.number, &code).await;
    await_death(&mut daemon, 0).await;
    for device in stage.network.devices(&phone.number).await.unwrap() {
        stage.network.unlink(&phone.number, device.id).await.unwrap();
    }
    let daemon = stage.start().await;
    let offered = || async {
        let session = get(&stage, "/api/sessions/trattoria").await;
        session["status"] == json!("SCAN_QR_CODE")
            && session["reason"].as_str().unwrap().starts_with("WhatsApp refused the pairing (401)")
    };
    let waited = until(LIMIT, "another code", offered).await;
    let now = get(&stage, "/api/sessions/trattoria").await;
    waited.unwrap_or_else(|error| panic!("{error}: {now}\n{}", stage.log()));
    scans(&stage, &phone.number, Duration::ZERO).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_to_whatsapp_the_reason_comes_within_seconds() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.network.stop().await;
    let began = Instant::now();
    let connecting = stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": "trattoria" })).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(
        (connecting.status, &connecting.body["code"]),
        (503, &json!("whatsapp_unreachable")),
        "{}",
        connecting.body
    );
    for text in [&connecting.body["detail"], &connecting.body["error"]] {
        assert!(text.as_str().unwrap().contains("Connection refused"), "{}", connecting.body);
    }
    let number = json!({ "phoneNumber": "573001112233" });
    let began = Instant::now();
    let code = stage.dashboard.post("/api/trattoria/auth/request-code", number).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!((code.status, &code.body["code"]), (503, &json!("whatsapp_unreachable")), "{}", code.body);
    assert!(code.body["detail"].as_str().unwrap().contains("Connection refused"), "{}", code.body);
    // It goes on trying: the code is there when the network is.
    stage.network.resume().await.unwrap();
    stage.dashboard.qr("trattoria").await.unwrap();
    daemon.kill().await.unwrap();
}

/// WhatsApp takes the line, and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_whatsapp_is_no_reason_to_wait_for_ever() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.network.fault(Fault::new(FaultKind::Silence)).await.unwrap();
    let began = Instant::now();
    let connecting = stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": "trattoria" })).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(
        (connecting.status, &connecting.body["code"]),
        (503, &json!("whatsapp_unreachable")),
        "{}",
        connecting.body
    );
    daemon.kill().await.unwrap();
}

/// The session ends by itself while somebody waits for its code: the answer says what becomes of it, not that somebody stopped it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_told_how_the_session_ended() {
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_SESSION__FILE_IDLE", "1s");
    let daemon = stage.start().await;
    stage.network.fault(Fault::new(FaultKind::Silence)).await.unwrap();
    let connecting =
        async { stage.dashboard.post("/api/baileys/connect", json!({ "tenantId": "trattoria" })).await.unwrap() };
    let damaging = async {
        let session = || async { stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body };
        until(LIMIT, "the connecting", || async { session().await["status"] == json!("STARTING") }).await.unwrap();
        let files = damage::working_copy(&stage.setup.data_dir, "trattoria");
        let closed = || async { !files.iter().any(|file| damage::has_open(&daemon, file)) };
        until(LIMIT, "the file to be closed", closed).await.unwrap();
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        stage.dashboard.get("/api/baileys/conversations?tenantId=trattoria").await.unwrap();
    };
    let (answer, ()) = tokio::join!(connecting, damaging);
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("restoring")), "{}\n{}", answer.body, stage.log());
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_code_says_why_in_words() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let ask = async |number: &str| {
        let number = json!({ "phoneNumber": number });
        stage.dashboard.post("/api/trattoria/auth/request-code", number).await.unwrap()
    };
    stage.dashboard.qr("trattoria").await.unwrap();
    let refused = ask("573009990000").await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("refused")), "{}", refused.body);
    assert_eq!(refused.body["detail"], json!("this number is not on WhatsApp (404)"));
    let wrong = ask("0573009990000").await;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["field"]), (400, &json!("phoneNumber")), "{}", wrong.body);
    // A code that was given counts for a while: said, and for how long.
    let phone = stage.network.add_phone(None).await;
    assert_eq!(ask(&phone.number).await.status, 200);
    let again = ask(&phone.number).await;
    assert_eq!((again.status, &again.body["code"]), (409, &json!("code_outstanding")), "{}", again.body);
    assert!(again.body["detail"].as_str().unwrap().contains(" s more"), "{}", again.body);
    daemon.kill().await.unwrap();
}

/// The code was typed, and WhatsApp takes nothing that comes of it: whoever waits hears it, and the next code works.
#[tokio::test(flavor = "multi_thread")]
async fn a_typed_code_that_is_refused_is_told() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.dashboard.qr("trattoria").await.unwrap();
    let phone = stage.network.add_phone(None).await;
    let ask = async || {
        let number = json!({ "phoneNumber": phone.number });
        let answer = stage.dashboard.post("/api/trattoria/auth/request-code", number).await.unwrap();
        assert_eq!(answer.status, 200, "{}\n{}", answer.body, stage.log());
        answer.body["code"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    };
    let session = async || get(&stage, "/api/sessions/trattoria").await;
    let says = async |words: &str| {
        let waited = until(LIMIT, words, async || session().await["reason"].as_str().unwrap().contains(words)).await;
        let now = session().await;
        waited.unwrap_or_else(|error| panic!("{error}: {now}\n{}", stage.log()));
        assert_eq!(now["status"], json!("SCAN_QR_CODE"));
    };
    let code = ask().await;
    stage.network.fault(Fault::new(FaultKind::IqError).xmlns("md").code(400).count(1)).await.unwrap();
    let typing = tokio::spawn({
        let (network, number) = (stage.network.clone(), phone.number.clone());
        async move { network.link_code(&number, &code).await }
    });
    says("WhatsApp refused the code that was typed (400)").await;
    // With the next code it is forgotten.
    let code = ask().await;
    says("waiting for a scan").await;
    assert!(typing.await.unwrap().is_err(), "the phone has linked a client that was refused");
    stage.network.link_code(&phone.number, &code).await.unwrap();
    until(LIMIT, "the pairing", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    daemon.kill().await.unwrap();
}
