//! A wall clock that is wrong for a while undoes nothing for good.

use loopback::{Fault, FaultKind};
use serde_json::json;
use sessiond::demo::until;

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

/// A message was accepted and could not leave. The daemon comes back with a clock on which its time is over, by far.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_expires_nothing() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    let customer = conversation.customers[0].clone();
    let number = conversation.number.clone();
    let ear = stage.listen(&[conversation]);
    stage.network.fault(Fault::new(FaultKind::Refuse).target(&number)).await.unwrap();
    let cut = || async { !stage.dashboard.is_connected(TENANT).await };
    until(LIMIT, "the line to be cut", cut).await.unwrap();
    let id = stage.dashboard.send(TENANT, &customer, "in a day", "k").await.unwrap();
    daemon.kill().await.unwrap();
    let Some(setup) = stage.clock(25 * 3600) else { return };
    // The port opens before WhatsApp is reached: until then there is nobody to tell the time.
    let daemon = setup.set("SESSIOND_RESTORE__TENANT_TIMEOUT", "2s").start(LIMIT).await.unwrap();
    stage.network.clear_faults().await;
    let arrived = || async {
        let inbox = stage.network.customer_inbox(&customer).await.unwrap();
        inbox.iter().any(|received| received.text.as_deref() == Some("in a day"))
    };
    until(LIMIT, "the message", arrived).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let told = |heard: &[sessiond::demo::Heard]| {
        let mut of_it = heard.iter().filter(|heard| heard.payload["messageId"] == json!(id));
        of_it.any(|heard| heard.payload["status"] == json!("delivered"))
    };
    ear.until(LIMIT, told).await.unwrap_or_else(|error| panic!("{error}\n{:?}", ear.heard()));
    let failed = ear.heard().into_iter().filter(|heard| heard.payload["status"] == json!("failed")).count();
    assert_eq!(failed, 0, "{}", stage.log());
    daemon.kill().await.unwrap();
}

/// WhatsApp has told the time, and the clock stays wrong: a message has the time that it was given, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_lengthens_no_time_to_live() {
    let mut stage = Stage::new(Home::Embedded).await.unwrap();
    let Some(setup) = stage.clock(25 * 3600) else { return };
    stage.setup = setup;
    let daemon = stage.start().await;
    let conversation = stage.pair(TENANT).await;
    let customer = conversation.customers[0].clone();
    let number = conversation.number.clone();
    let ear = stage.listen(&[conversation]);
    stage.network.fault(Fault::new(FaultKind::Refuse).target(&number)).await.unwrap();
    let cut = || async { !stage.dashboard.is_connected(TENANT).await };
    until(LIMIT, "the line to be cut", cut).await.unwrap();
    let body = json!({ "tenantId": TENANT, "to": customer, "text": "today only", "ttl": 1 });
    let answer = stage.dashboard.post("/api/baileys/send", body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let id = answer.body["messageId"].clone();
    let expired = |heard: &[sessiond::demo::Heard]| {
        let mut of_it = heard.iter().filter(|heard| heard.payload["messageId"] == id);
        of_it.any(|heard| heard.payload["failure"] == json!({ "reason": "expired" }))
    };
    ear.until(LIMIT, expired).await.unwrap_or_else(|error| panic!("{error}\n{:?}\n{}", ear.heard(), stage.log()));
    daemon.kill().await.unwrap();
}
