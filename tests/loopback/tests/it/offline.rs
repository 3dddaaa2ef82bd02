//! What waits for a device: in order, until it is acknowledged.

use std::time::Duration;

use crate::device::Device;
use crate::{eventually, network};

#[tokio::test]
async fn messages_wait_in_order_and_an_unacked_one_comes_again() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    device.disconnect();
    eventually("it is offline", async || !network.devices(&phone.number).await.expect("exists")[0].online).await;
    let mut sent = Vec::new();
    for text in ["one", "two", "three"] {
        sent.push(network.customer_send(&customer, &phone.number, text).await.expect("sent"));
    }

    device.login().await.expect("logged in");
    let waiting = device.activate().await.expect("the queue");
    let ids = |messages: &[crate::device::Incoming]| messages.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&waiting), sent);
    assert!(waiting.iter().all(|m| m.offline));
    assert_eq!(waiting[1].text.as_deref(), Some("two"));

    // Two are acknowledged, in two ways; the middle one is not.
    device.receipt(&waiting[0]).await.expect("acknowledged");
    let ack = wacore_binary::builder::NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", waiting[2].id.as_str())
        .attr("to", &waiting[2].from);
    device.send(&ack.build()).await.expect("acknowledged");
    device.ping().await.expect("the acks are read");
    device.disconnect();
    device.login().await.expect("logged in");
    let waiting = device.activate().await.expect("the queue");
    assert_eq!(ids(&waiting), [sent[1].clone()]);
    assert_eq!(network.devices(&phone.number).await.expect("exists")[0].waiting, [sent[1].clone()]);
    device.receipt(&waiting[0]).await.expect("acknowledged");
    device.ping().await.expect("the receipt is read");
    assert!(network.stats().await.offline_queues.is_empty());
    network.shutdown().await;
}

#[tokio::test]
async fn what_is_refused_for_good_and_what_is_never_settled_is_told() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let refused = network.customer_send(&customer, &phone.number, "refused").await.expect("sent");
    let message = device.message().await.expect("a message");
    let nack = wacore_binary::builder::NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", refused.as_str())
        .attr("to", &message.from)
        .attr("error", "500");
    device.send(&nack.build()).await.expect("refused");
    device.ping().await.expect("the refusal is read");
    let ignored = network.customer_send(&customer, &phone.number, "ignored").await.expect("sent");
    device.message().await.expect("a message");
    for deliveries in 2..=3 {
        assert!(network.stats().await.stuck.is_empty());
        device.disconnect();
        device.login().await.expect("logged in");
        let waiting = device.activate().await.expect("the queue");
        assert_eq!(
            waiting.len(),
            1,
            "delivery {deliveries}: what was refused is over, what was not answered comes again"
        );
    }
    let stats = network.stats().await;
    let nacks: Vec<_> = stats.nacks.iter().map(|nack| (nack.class.as_str(), &nack.id, nack.code.as_str())).collect();
    assert_eq!(nacks, [("message", &refused, "500")]);
    let stuck: Vec<_> = stats.stuck.iter().map(|stuck| (stuck.class, &stuck.id, stuck.deliveries)).collect();
    assert_eq!(stuck, [(loopback::Class::Message, &ignored, 3)]);
    network.shutdown().await;
}

#[tokio::test]
async fn nothing_comes_before_the_device_asks_for_it() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    device.disconnect();
    device.login().await.expect("logged in");
    network.customer_send(&customer, &phone.number, "patience").await.expect("sent");
    assert!(device.hears_nothing(Duration::from_millis(200)).await);
    let waiting = device.activate().await.expect("the queue");
    assert_eq!(waiting.last().and_then(|m| m.text.as_deref()), Some("patience"));
    network.shutdown().await;
}

#[tokio::test]
async fn a_restart_of_the_network_keeps_port_and_state() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let url = network.ws_url();
    network.stop().await;
    assert!(device.receive().await.is_err(), "sockets close");
    assert!(device.login().await.is_err(), "nobody listens");
    network.customer_send(&customer, &phone.number, "meanwhile").await.expect("sent");
    network.resume().await.expect("the port is free");
    assert_eq!(network.ws_url(), url);
    assert!(device.login_ik().await.expect("logged in"), "the server's key is the same");
    let waiting = device.activate().await.expect("the queue");
    assert_eq!(waiting.last().and_then(|m| m.text.as_deref()), Some("meanwhile"));
    network.shutdown().await;
}

#[tokio::test]
async fn keys_that_run_out_are_reported() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::linked(&network, &phone.number, 1, 12).await.expect("linked");
    for _ in 0..4 {
        let customer = network.add_customer().await;
        network.customer_send(&customer, &phone.number, "hello").await.expect("sent");
    }
    let low = device.receive_tag("notification").await.expect("a notification");
    assert!(low.attrs.get("type").is_some_and(|kind| kind == "encrypt"));
    let count = low.get_optional_child("count").and_then(|c| c.attrs.get("value")).expect("a count");
    assert_eq!(count.as_str(), "9");
    network.shutdown().await;
}
