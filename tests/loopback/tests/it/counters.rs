//! What the ledger must catch: counters used twice, one send under two ids, one id twice.

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::{KeyPair, SenderKeyMessage};

use crate::device::Device;
use crate::{eventually, jid, network};

#[tokio::test]
async fn a_counter_that_is_used_twice_is_reported() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let to = jid(&customer);
    device.send_text(&to, "A", "before").await.expect("sent");
    let kept = device.endpoint.clone();
    device.send_text(&to, "B", "what the server has seen").await.expect("sent");
    // As after a restore of yesterday's state.
    device.endpoint = kept;
    device.send_text(&to, "C", "other bytes, same counter").await.expect("sent");
    device.ping().await.expect("answered");

    let stats = network.stats().await;
    assert_eq!(stats.counters_reused, 1);
    assert_eq!(stats.reuses[0].from, device.jid.as_ref().expect("linked").to_string());
    assert_eq!(stats.reuses[0].to, to.to_string());
    assert_eq!(stats.reuses[0].counter, 1);
    network.shutdown().await;
}

#[tokio::test]
async fn the_same_bytes_again_are_a_repeat_and_no_reuse() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let to = jid(&customer);
    let sealed = device.send_text(&to, "A", "once").await.expect("sent");
    device.send_sealed(&to, "A", &sealed).await.expect("sent");
    eventually("both have arrived", async || {
        network.customer_inbox(&customer).await.expect("the customer exists")[..].iter().any(|m| m.arrivals == 2)
    })
    .await;
    assert_eq!(network.stats().await.counters_reused, 0);
    let seen = network.messages(Some(&phone.number)).await.expect("the phone exists");
    let message = seen.iter().find(|m| m.id == "A").expect("it crossed the network");
    assert_eq!((message.seen, message.acked), (2, true));
    network.shutdown().await;
}

#[tokio::test]
async fn a_text_under_two_ids_shows_as_two_messages() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    device.send_text(&jid(&customer), "A", "twice").await.expect("sent");
    device.send_text(&jid(&customer), "B", "twice").await.expect("sent");
    eventually("both have arrived", async || {
        network.customer_inbox(&customer).await.expect("the customer exists").len() == 2
    })
    .await;
    network.shutdown().await;
}

#[tokio::test]
async fn a_sender_keys_iteration_that_is_used_twice_is_reported() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let signing = KeyPair::generate(&mut device.rng);
    let group: Jid = "120363000000000001@g.us".parse().expect("a JID");
    for (id, iteration, body) in [("A", 0, "one"), ("B", 1, "two"), ("C", 1, "three")] {
        let body = body.as_bytes().into();
        let key = &signing.private_key;
        let sealed = SenderKeyMessage::new(3, 7, iteration, body, &mut device.rng, key);
        let sealed = sealed.expect("sealed").serialized().to_vec();
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(sealed).build();
        let message =
            NodeBuilder::new("message").attr("to", &group).attr("id", id).attr("type", "text").children([enc]);
        device.send(&message.build()).await.expect("sent");
    }
    device.ping().await.expect("answered");
    let stats = network.stats().await;
    assert_eq!(stats.counters_reused, 1);
    assert_eq!((stats.reuses[0].to.as_str(), stats.reuses[0].counter), ("120363000000000001@g.us", 1));
    network.shutdown().await;
}
