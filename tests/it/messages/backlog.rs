//! What was accepted and is not sent has a bound in bytes: it is in the tenant's state, which every snapshot and every restore has whole in
//! memory.

use serde_json::{Value, json};
use sessiond::demo::{Conversation, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

/// Of four bytes each: four such texts are within a MiB, five are not.
const LETTERS: usize = 60_000;

struct BacklogScene {
    stage: Stage,
    to: String,
    client: reqwest::Client,
}

struct SendAnswer {
    status: u16,
    body: Value,
    retry_after: Option<String>,
}

impl BacklogScene {
    fn new(stage: Stage, tenant: &Conversation) -> Self {
        Self { stage, to: format!("{}@s.whatsapp.net", tenant.customers[0]), client: reqwest::Client::new() }
    }

    async fn send(&self, text: &str, key: &str) -> SendAnswer {
        let setup = &self.stage.setup;
        let body = json!({ "tenantId": TENANT, "to": self.to, "text": text });
        let request = self.client.post(format!("http://{}/api/baileys/send", setup.address)).json(&body);
        let request = request.header("X-Api-Key", &setup.admin_key).header("Idempotency-Key", key);
        let answer = request.send().await.unwrap();
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        SendAnswer { status: answer.status().as_u16(), body: answer.json().await.unwrap(), retry_after }
    }

    /// A long one; each has its own text and key.
    async fn send_long(&self, n: usize) -> SendAnswer {
        self.send(&format!("{n}{}", "🍕".repeat(LETTERS)), &format!("long {n}")).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_sent_is_bounded_in_bytes() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    // With WhatsApp away the start waits for nobody.
    let stage = stage.set("SESSIOND_MESSAGES__WAITING_MIB", "1").set("SESSIOND_RESTORE__TENANT_TIMEOUT", "2s");
    let daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    stage.network.stop().await;
    let gone = async || !stage.dashboard.is_connected(TENANT).await;
    until(LIMIT, "the end of the line", gone).await.unwrap();
    let scene = BacklogScene::new(stage, &tenant);
    let mut ids = Vec::new();
    for n in 0..4 {
        let answer = scene.send_long(n).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        ids.push(answer.body["messageId"].as_str().unwrap().to_owned());
    }
    let refused = scene.send_long(4).await;
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("backlog_full")), "{}", refused.body);
    assert!(refused.retry_after.is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 0));

    // The next process counts what it finds.
    daemon.kill().await.unwrap();
    let daemon = scene.stage.start().await;
    let restored = async || scene.send_long(4).await.status != 503;
    until(LIMIT, "the tenant", restored).await.unwrap();
    assert_eq!(scene.send_long(4).await.body["code"], json!("backlog_full"), "{}", scene.stage.log());
    let repeated = scene.send_long(0).await;
    assert_eq!((repeated.status, &repeated.body["messageId"]), (200, &json!(ids[0])), "a repeat is no message more");
    let short = scene.send("a short one", "short").await;
    assert_eq!(short.status, 200, "there is room for it: {}", short.body);
    ids.push(short.body["messageId"].as_str().unwrap().to_owned());

    // What is sent makes room.
    scene.stage.network.resume().await.unwrap();
    let taken = async || scene.send_long(4).await.status == 200;
    until(LIMIT, "room", taken).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    ids.push(scene.send_long(4).await.body["messageId"].as_str().unwrap().to_owned());
    let arrived = async || {
        let inbox = scene.stage.network.customer_inbox(&tenant.customers[0]).await.unwrap();
        ids.iter().all(|id| inbox.iter().any(|received| received.id == *id && received.arrivals == 1))
    };
    until(LIMIT, "all of them", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.stage.log()));
    daemon.kill().await.unwrap();
}
