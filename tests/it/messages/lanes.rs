//! What waits for a customer under two names goes in one order, once it is known that they are one person's.

use loopback::{Fault, FaultKind};
use serde_json::json;
use sessiond::demo::until;

use crate::support::stage::{Home, LIMIT, Stage};

const TENANT: &str = "trattoria";

/// Between one message and the next at the least, where each waits for WhatsApp's answer to the one before.
const LATE: u64 = 1000;

/// Written to as a stranger by the number, and as a customer by the LID, while WhatsApp cannot be reached. `known`: that it is one
/// person is learned from a message that waits at WhatsApp; else from the first answer to a question about the number.
async fn in_one_order(known: bool) {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let tenant = stage.pair(TENANT).await;
    let ear = stage.listen(std::slice::from_ref(&tenant));
    let network = &stage.network;
    let customer = network.phone(&network.add_customer().await).await.unwrap();
    network.hide_number(&customer.number, true).await.unwrap();
    let first = network.customer_send(&customer.number, &tenant.number, "who am I?").await.unwrap();
    let told = |heard: &sessiond::demo::Heard| heard.payload["message"]["id"] == json!(first);
    ear.until(LIMIT, |heard| heard.iter().any(told)).await.unwrap();

    network.stop().await;
    let gone = async || !stage.dashboard.is_connected(TENANT).await;
    until(LIMIT, "the end of the line", gone).await.unwrap();
    let mut sent = Vec::new();
    for (n, to) in [&customer.lid, &customer.jid, &customer.lid, &customer.jid].into_iter().enumerate() {
        sent.push(stage.dashboard.send(TENANT, to, &format!("{n}"), &format!("key {n}")).await.unwrap());
    }
    network.hide_number(&customer.number, false).await.unwrap();
    if known {
        let own = network.phone(&tenant.number).await.unwrap();
        network.customer_send(&customer.number, &own.lid, "it is me").await.unwrap();
    }
    // A receipt of the customer's would be an answer too.
    network.fault(Fault::new(FaultKind::Withhold).target(&customer.number)).await.unwrap();
    network.fault(Fault::new(FaultKind::LateAcks).ms(LATE).target(&tenant.number)).await.unwrap();
    network.resume().await.unwrap();
    let times = async || -> Vec<u64> {
        let messages = network.messages(Some(&tenant.number)).await.unwrap();
        let time = |id: &String| messages.iter().find(|one| one.id == *id).map(|one| one.time);
        sent.iter().filter_map(time).collect()
    };
    let all = until(LIMIT, "all of them on the wire", || async { times().await.len() == sent.len() }).await;
    all.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    let times = times().await;
    let waits = |pair: &[u64]| pair[1] >= pair[0] + LATE;
    // Of those on their way when it was learned, one may be beside the other.
    let begins = if known { 0 } else { 1 };
    assert!(times[begins..].windows(2).all(waits), "{known}: side by side: {times:?}\n{}", stage.log());
    assert!(times[2] >= times[0] + LATE, "{known}: side by side: {times:?}");
    network.clear_faults().await;
    let arrived = async || {
        let inbox = network.customer_inbox(&customer.number).await.unwrap();
        sent.iter().all(|id| inbox.iter().any(|received| received.id == *id && received.arrivals == 1))
    };
    until(LIMIT, "all of them", arrived).await.unwrap();
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_under_two_names_goes_in_order_when_the_number_was_learned_before() {
    in_one_order(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_under_two_names_goes_in_order_from_when_the_number_is_learned() {
    in_one_order(false).await;
}
