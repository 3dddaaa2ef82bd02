//! What never answers, and what answers with nothing, costs nobody more than its own time.

use std::time::{Duration, Instant};

use loopback::{Babble, Fault, FaultKind};
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Ear, Process, until};
use whatsapp_rust::wacore_binary::builder::NodeBuilder;

use crate::support::{
    proxy::{self, Mode},
    stage::{Home, LIMIT, Stage},
};

const TENANT: &str = "trattoria";

/// For what is to happen at once, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(12);

struct NoAnswerScene {
    stage: Stage,
    conversation: Conversation,
    ear: Ear,
    daemon: Process,
}

impl NoAnswerScene {
    async fn new() -> Self {
        Self::on(Stage::new(Home::Embedded).await.unwrap()).await
    }

    async fn on(stage: Stage) -> Self {
        let daemon = stage.start().await;
        let conversation = stage.pair(TENANT).await;
        let ear = stage.listen(std::slice::from_ref(&conversation));
        Self { stage, conversation, ear, daemon }
    }

    async fn fault(&self, fault: Fault) {
        self.stage.network.fault(fault.target(&self.conversation.number)).await.unwrap();
    }

    async fn restart(self) -> Self {
        assert_eq!(self.daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", self.stage.log());
        Self { daemon: self.stage.start().await, ..self }
    }

    async fn logins(&self) -> u64 {
        self.stage.network.stats().await.counts.logins
    }

    /// A login after those before, and who writes then is heard.
    async fn assert_back(&self, logins: u64) {
        let again = async || self.logins().await > logins && self.stage.dashboard.is_connected(TENANT).await;
        let back = until(SOON, "the next login", again).await;
        back.unwrap_or_else(|error| panic!("{error}\n{}", self.stage.log()));
        self.assert_hears().await;
    }

    async fn assert_hears(&self) {
        let (network, conversation) = (&self.stage.network, &self.conversation);
        let id = network.customer_send(&conversation.customers[0], &conversation.number, "still there?").await.unwrap();
        self.await_event("message:received", &id).await;
    }

    async fn await_event(&self, event: &str, id: &str) -> Value {
        let find = || {
            let of_it = |heard: &sessiond::demo::Heard| heard.event == event && heard.payload["message"]["id"] == *id;
            self.ear.heard().into_iter().find(of_it)
        };
        let heard = until(SOON, event, async || find().is_some()).await;
        heard.unwrap_or_else(|error| panic!("{error}: {id}\n{}", self.stage.log()));
        find().unwrap().payload["message"].clone()
    }

    async fn waiting(&self) -> usize {
        let devices = self.stage.network.devices(&self.conversation.number).await.unwrap();
        devices.iter().map(|device| device.waiting.len()).sum()
    }
}

/// What the device knows of the server, and begins its handshake with, is of no use any more: the server closes on it, or says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hello_that_is_not_answered_is_not_said_for_ever() {
    let kinds = [FaultKind::CloseIk, FaultKind::IgnoreIk];
    futures::future::join_all(kinds.map(a_hello_that_is_not_answered)).await;
}

async fn a_hello_that_is_not_answered(kind: FaultKind) {
    let scene = NoAnswerScene::new().await;
    scene.stage.network.fault(Fault::new(kind)).await.unwrap();
    let logins = scene.logins().await;
    let scene = scene.restart().await;
    let again = async || scene.logins().await > logins && scene.stage.dashboard.is_connected(TENANT).await;
    let back = until(LIMIT, "a full handshake", again).await;
    back.unwrap_or_else(|error| panic!("{kind:?}: {error}\n{}", scene.stage.log()));
    scene.assert_hears().await;
}

/// Its phone gives a device no keys, and so no name: the library waits for both after every login.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_first_sync_never_ends_works_as_soon_as_it_is_logged_in() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    for kind in [FaultKind::WithholdKeys, FaultKind::HideName] {
        stage.network.fault(Fault::new(kind)).await.unwrap();
    }
    let conversation = stage.pair(TENANT).await;
    daemon.kill().await.unwrap();
    stage.wipe_local_data();
    let began = Instant::now();
    let daemon = stage.start().await;
    // The library alone waits ten seconds for the keys.
    assert!(began.elapsed() < Duration::from_secs(8), "the port opened after {:?}\n{}", began.elapsed(), stage.log());
    assert!(stage.dashboard.is_connected(TENANT).await, "{}", stage.log());
    let ear = stage.listen(std::slice::from_ref(&conversation));
    let scene = NoAnswerScene { stage, conversation, ear, daemon };
    scene.assert_hears().await;
}

/// WhatsApp leaves the login of one tenant without an answer. The others do not wait for it behind a port that is shut.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_an_answer_does_not_keep_the_port_shut() {
    let scene = NoAnswerScene::new().await;
    let slow = scene.stage.pair("osteria").await;
    let withheld = Fault::new(FaultKind::WithholdLogin).target(&slow.number);
    scene.stage.network.fault(withheld).await.unwrap();
    scene.daemon.kill().await.unwrap();
    let began = Instant::now();
    let _daemon = scene.stage.start().await;
    assert!(began.elapsed() < SOON, "the port opened after {:?}\n{}", began.elapsed(), scene.stage.log());
    assert!(scene.stage.dashboard.is_connected(TENANT).await, "{}", scene.stage.log());
    // It goes on beside them.
    scene.stage.network.clear_faults().await;
    let up = until(LIMIT, "the slow one", || scene.stage.dashboard.is_connected("osteria")).await;
    up.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
}

/// WhatsApp refuses to leave the passive mode, in which it delivers nothing; the library goes on as if it were connected.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_whatsapp_leaves_passive_is_made_anew() {
    let scene = NoAnswerScene::new().await;
    scene.fault(Fault::new(FaultKind::IqError).code(500).xmlns("passive").count(1)).await;
    let (began, logins) = (Instant::now(), scene.logins().await);
    let scene = scene.restart().await;
    let (network, conversation) = (&scene.stage.network, &scene.conversation);
    network.customer_send(&conversation.customers[0], &conversation.number, "is anybody there?").await.unwrap();
    let heard = async || scene.ear.heard().iter().any(|it| it.payload["message"]["text"] == json!("is anybody there?"));
    until(LIMIT, "the message", heard).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    assert!(began.elapsed() < Duration::from_secs(25), "deaf for {:?}\n{}", began.elapsed(), scene.stage.log());
    assert!(scene.logins().await >= logins + 2, "the fault was not met");
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_error_ends_the_connection_though_the_socket_stays_open() {
    let scene = NoAnswerScene::new().await;
    for code in [503, 429, 500] {
        let logins = scene.logins().await;
        scene.fault(Fault::new(FaultKind::StreamErrorOpen).code(code)).await;
        scene.assert_back(logins).await;
    }
}

/// Without a code it says of one stanza that it went nowhere, and the stream goes on; or it does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_error_without_a_code_ends_the_connection_only_when_it_is_dead() {
    let scene = NoAnswerScene::new().await;
    let error = Babble::Stanza(NodeBuilder::new("stream:error").build());
    let (number, logins) = (&scene.conversation.number, scene.logins().await);
    assert!(scene.stage.network.babble(number, error.clone()).await.unwrap());
    scene.assert_hears().await;
    let later = Instant::now() + Duration::from_secs(7);
    until(SOON, "some seconds", async || Instant::now() > later).await.unwrap();
    assert_eq!(scene.logins().await, logins, "cut although it goes on\n{}", scene.stage.log());

    scene.fault(Fault::new(FaultKind::Silence).ms(3000)).await;
    assert!(scene.stage.network.babble(number, error).await.unwrap());
    scene.assert_back(logins).await;
}

/// Whether it came too many, and nothing after it opens, or was altered, and is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_does_not_open_ends_the_connection_at_once() {
    for garbled in [false, true] {
        let scene = NoAnswerScene::new().await;
        let logins = scene.logins().await;
        let babble = match garbled {
            false => Babble::Frame(vec![7; 60]),
            true => Babble::Garbled(NodeBuilder::new("ib").build()),
        };
        assert!(scene.stage.network.babble(&scene.conversation.number, babble).await.unwrap());
        scene.assert_back(logins).await;
    }
}

/// The phone and the library's own decryption have nothing to do with it: nothing is encrypted. WhatsApp says it until it has an ack.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_ciphertext_is_told_and_acknowledged() {
    let scene = NoAnswerScene::new().await;
    scene.fault(Fault::new(FaultKind::Insist).ms(1500)).await;
    let logins = scene.logins().await;
    let (customer, number) = (&scene.conversation.customers[0], &scene.conversation.number);
    let id = scene.stage.network.customer_sends_nothing(customer, number).await.unwrap();
    let told = scene.await_event("message:received", &id).await;
    assert_eq!(told["undecryptable"], json!(true), "{told}");
    until(SOON, "the ack", async || scene.waiting().await == 0).await.unwrap();
    scene.assert_hears().await;
    until(SOON, "all acks", async || scene.waiting().await == 0).await.unwrap();
    assert_eq!(scene.logins().await, logins, "the session flaps\n{}", scene.stage.log());
}

/// The device is linked, and its last word in the pairing was never confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_whose_line_drops_knows_whose_it_is() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    stage.network.fault(Fault::new(FaultKind::DropSign)).await.unwrap();
    let conversation = stage.pair(TENANT).await;
    let session = stage.dashboard.get(&format!("/api/sessions/{TENANT}")).await.unwrap();
    let me = format!("{}@c.us", conversation.number);
    assert_eq!(
        (&session.body["status"], &session.body["me"]["id"]),
        (&json!("WORKING"), &json!(me)),
        "{}",
        session.body
    );
    daemon.kill().await.unwrap();
}

/// WhatsApp's ack of a message comes while messages that nobody can read wait for a vault that stalls.
#[tokio::test(flavor = "multi_thread")]
async fn an_ack_does_not_wait_behind_messages_that_the_vault_does_not_take() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let stage = stage.set("SESSIOND_SESSION__ACK_TIMEOUT", "5s");
    let scene = NoAnswerScene::on(stage).await;
    let (customer, number) = (&scene.conversation.customers[0], &scene.conversation.number);
    // The first words cost questions.
    let first = scene.stage.dashboard.send(TENANT, customer, "first words", "first").await.unwrap();
    let status = async |id: &str| {
        let heard = scene.ear.heard();
        let of_it =
            |heard: &&sessiond::demo::Heard| heard.event == "message:status" && heard.payload["messageId"] == *id;
        heard.iter().rfind(of_it).map(|heard| heard.payload["status"].clone())
    };
    until(SOON, "the first words", async || status(&first).await == Some(json!("delivered"))).await.unwrap();
    let logins = scene.logins().await;

    scene.stage.network.fault(Fault::new(FaultKind::Latency).ms(2500)).await.unwrap();
    scene.stage.network.customer_sends_nothing(customer, number).await.unwrap();
    let sent = scene.stage.dashboard.send(TENANT, customer, "on its way", "key").await.unwrap();
    let arrived = async || scene.stage.network.messages(None).await.unwrap().iter().any(|message| message.id == sent);
    until(SOON, "the message at WhatsApp", arrived).await.unwrap();
    proxy.set(Mode::Stall);
    let later = Instant::now() + Duration::from_secs(9);
    until(LIMIT, "the time of an attempt, and more", async || Instant::now() > later).await.unwrap();
    proxy.set(Mode::Pass);
    scene.stage.network.clear_faults().await;
    until(SOON, "the message to be sent", async || status(&sent).await == Some(json!("delivered")))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    scene.assert_hears().await;
    assert_eq!(scene.logins().await, logins, "the line was cut although WhatsApp had confirmed\n{}", scene.stage.log());
}

/// The line drops before the device has signed, and at the next login WhatsApp does not know it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_that_is_refused_after_its_line_dropped_shows_a_new_qr_code() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let phone = stage.network.add_phone(None).await;
    let scanned = stage.dashboard.qr(TENANT).await.unwrap();
    for fault in [Fault::new(FaultKind::DropSign), Fault::new(FaultKind::ConnectFailure).code(401).count(1)] {
        stage.network.fault(fault).await.unwrap();
    }
    stage.network.scan(&phone.number, &scanned).await.unwrap();
    // Nobody asks for a connection: whoever scanned looks at the page with the QR code.
    let session = async || stage.dashboard.get(&format!("/api/sessions/{TENANT}")).await.unwrap().body;
    let shown = async || {
        let session = session().await;
        let again = session["reason"].as_str().is_some_and(|reason| reason.contains("scan again"));
        session["status"] == json!("SCAN_QR_CODE") && again
    };
    if let Err(error) = until(SOON, "a new QR code", shown).await {
        panic!("{error}: {}\n{}", session().await, stage.log());
    }
    stage.network.clear_faults().await;
    stage.network.scan(&phone.number, &stage.dashboard.qr(TENANT).await.unwrap()).await.unwrap();
    let connected = until(LIMIT, "the pairing", || stage.dashboard.is_connected(TENANT)).await;
    connected.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    daemon.kill().await.unwrap();
}

/// Its content is for the phone to tell, and the phone has shared no keys and cannot be written to.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_phone_cannot_be_asked_for_is_told_acknowledged_and_asked_for_later() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    for fault in [Fault::new(FaultKind::WithholdKeys), Fault::new(FaultKind::IqError).xmlns("encrypt").tag("key")] {
        stage.network.fault(fault).await.unwrap();
    }
    let conversation = stage.pair(TENANT).await;
    let ear = stage.listen(std::slice::from_ref(&conversation));
    let scene = NoAnswerScene { stage, conversation, ear, daemon };
    scene.fault(Fault::new(FaultKind::Insist).ms(1500)).await;
    let logins = scene.logins().await;
    let (customer, number) = (&scene.conversation.customers[0], &scene.conversation.number);
    let id = scene.stage.network.customer_sends_unavailable(customer, number).await.unwrap();
    let told = scene.await_event("message:received", &id).await;
    assert_eq!(told["undecryptable"], json!(true), "{told}");
    let acknowledged = until(SOON, "the ack", async || scene.waiting().await == 0).await;
    acknowledged.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    assert_eq!(scene.logins().await, logins, "the session flaps\n{}", scene.stage.log());
    let requests = async || scene.stage.network.stats().await.counts.placeholder_requests;
    assert_eq!(requests().await, 0, "the phone was asked\n{}", scene.stage.log());
    scene.stage.network.clear_faults().await;
    let asked = until(LIMIT, "the question", async || requests().await > 0).await;
    asked.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
}
