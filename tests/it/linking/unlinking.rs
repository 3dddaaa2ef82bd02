//! A device that is to be unlinked disappears from the phone too, whatever the connection is doing at that moment; and where
//! WhatsApp cannot be told, the credentials go all the same and the owner is.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind};
use rusqlite::Connection;
use serde_json::{Value, json};
use sessiond::demo::{Conversation, Process, until};

use crate::support::{
    proxy::{self, Mode},
    stage::{Home, LIMIT, Stage},
};

struct UnlinkingScene {
    stage: Stage,
    conversation: Conversation,
    _daemon: Process,
}

async fn scene() -> UnlinkingScene {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    UnlinkingScene { stage, conversation, _daemon: daemon }
}

impl UnlinkingScene {
    async fn session(&self) -> Value {
        self.stage.dashboard.get("/api/sessions/trattoria").await.unwrap().body
    }

    async fn is_away(&self) {
        until(LIMIT, "the loss to be noticed", || async { !self.stage.dashboard.is_connected("trattoria").await })
            .await
            .unwrap();
    }

    async fn unlink(&self) {
        let answer = self.stage.dashboard.post("/api/sessions/trattoria/logout", json!({})).await.unwrap();
        assert!(answer.status < 300, "{} {}\n{}", answer.status, answer.body, self.stage.log());
    }

    async fn devices(&self) -> usize {
        self.stage.network.devices(&self.conversation.number).await.unwrap().len()
    }

    async fn unlinks(&self) {
        self.unlink().await;
        assert_eq!(self.devices().await, 0, "still linked on the phone\n{}", self.stage.log());
        let session = self.session().await;
        let status = self.stage.dashboard.get("/api/baileys/status?tenantId=trattoria").await.unwrap().body;
        assert_eq!((&status["paired"], &session["reason"]), (&json!(false), &json!("unlinked")), "{session} {status}");
        self.pairs_again().await;
    }

    async fn pairs_again(&self) {
        let qr = self.stage.dashboard.qr("trattoria").await.unwrap();
        self.stage.network.scan(&self.conversation.number, &qr).await.unwrap();
        let connected = || self.stage.dashboard.is_connected("trattoria");
        until(LIMIT, "the second pairing", connected).await.unwrap_or_else(|e| panic!("{e}\n{}", self.stage.log()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_whatsapp_refuses_for_a_moment() {
    let scene = scene().await;
    scene.stage.network.fault(Fault::new(FaultKind::Refuse).ms(3000)).await.unwrap();
    scene.is_away().await;
    scene.unlinks().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_login_is_not_answered() {
    let scene = scene().await;
    scene.stage.network.fault(Fault::new(FaultKind::WithholdLogin)).await.unwrap();
    scene.stage.network.fault(Fault::new(FaultKind::Drop)).await.unwrap();
    scene.is_away().await;
    let (_, ()) = tokio::join!(scene.unlinks(), async {
        // Only once it is wanted, and the session has not worked for it.
        let starting = || async { scene.session().await["status"] == "STARTING" };
        until(LIMIT, "a login that waits", starting).await.unwrap();
        scene.stage.network.clear_faults().await;
        scene.stage.network.fault(Fault::new(FaultKind::Drop)).await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_told_to_stay_away() {
    let scene = scene().await;
    scene.stage.dashboard.post("/api/sessions/trattoria/stop", json!({})).await.unwrap();
    scene.is_away().await;
    assert_eq!(scene.devices().await, 1);
    scene.unlinks().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_whatsapp_is_away() {
    let scene = scene().await;
    scene.stage.network.stop().await;
    scene.is_away().await;
    // Two people want it, and both are answered.
    tokio::join!(scene.unlink(), scene.unlink());
    let session = scene.session().await;
    let said = session["reason"].as_str().unwrap_or_default();
    assert!(said.contains("remove the device on the phone"), "{session}");
    scene.stage.network.resume().await.unwrap();
    assert_eq!(scene.devices().await, 1);
    scene.pairs_again().await;
}

/// WhatsApp knows, the vault does not: nobody is told that it is done, and nobody waits for the vault.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_vault_is_away() {
    let Some((stage, proxy)) = proxy::stage().await else { return };
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let scene = UnlinkingScene { stage, conversation, _daemon: daemon };
    proxy.set(Mode::Refuse);
    let asked = Instant::now();
    // More of them than the session's queue of wishes has places.
    let answers = (0..20).map(|_| scene.stage.dashboard.post("/api/sessions/trattoria/logout", json!({})));
    let answers = tokio::time::timeout(LIMIT, futures::future::join_all(answers)).await;
    for answer in answers.unwrap_or_else(|_| panic!("no answer within {LIMIT:?}\n{}", scene.stage.log())) {
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("vault_down")), "{}", answer.body);
    }
    assert!(asked.elapsed() < Duration::from_secs(40), "{:?}", asked.elapsed());
    assert_eq!(scene.session().await["paired"], json!(true), "{}", scene.stage.log());
    proxy.set(Mode::Pass);
    let gone = async || scene.session().await["paired"] == json!(false);
    until(LIMIT, "the wipe", gone).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    scene.pairs_again().await;
}

/// It is not opened at the start any more: whoever asks for what it has opens it, by whichever route.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_an_unlinking_long_ago_can_be_read() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let (dashboard, customer) = (&stage.dashboard, &conversation.customers[0]);
    dashboard.send("trattoria", customer, "hello", "key").await.unwrap();
    assert!(dashboard.post("/api/sessions/trattoria/logout", json!({})).await.unwrap().status < 300);
    assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0));
    let age = || {
        let directory = Connection::open(stage.path("cloud").join("vault.db")).unwrap();
        let long_ago = "UPDATE tenants SET status = 'disconnected', last_error_at = 0";
        assert_eq!(directory.execute(long_ago, []).unwrap(), 1);
    };
    let messages = format!("/api/baileys/messages?tenantId=trattoria&chatId={customer}");
    for path in ["/api/baileys/conversations?tenantId=trattoria", messages.as_str()] {
        age();
        let daemon = stage.start().await;
        let open = dashboard.get("/api/sessions?open=true&all=true").await.unwrap();
        assert_eq!(open.body, json!([]), "it is open, so that this shows nothing");
        let answer = dashboard.get(path).await.unwrap();
        assert!(answer.body.to_string().contains("hello"), "{path}: {}\n{}", answer.body, stage.log());
        assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0));
    }
}
