//! Many devices, many messages: nothing lost, nothing twice, no counter reused.

use std::time::Instant;

use futures_util::future::join_all;
use loopback::Network;

use crate::device::Device;
use crate::{eventually, jid, network};

const DEVICES: usize = 100;
const MESSAGES: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_devices_answer_their_customers() {
    let network = network().await;
    let start = Instant::now();
    let devices = join_all((0..DEVICES).map(|seed| converse(&network, seed))).await;
    let stats = network.stats().await;
    assert_eq!((stats.active_devices, stats.counts.pairings), (DEVICES, DEVICES as u64));
    assert_eq!((stats.counters_reused, stats.counts.undecryptable), (0, 0));
    // Each device also got its phone's keys.
    assert_eq!(stats.messages, DEVICES * (2 * MESSAGES + 1));
    println!("{DEVICES} devices linked, {} messages: {:?}", stats.messages, start.elapsed());
    drop(devices);
    network.shutdown().await;
}

async fn converse(network: &Network, seed: usize) -> Device {
    let phone = network.add_phone(None).await.number;
    let customer = network.add_customer().await;
    let mut device = Device::linked(network, &phone, seed as u64, 30).await.expect("linked");
    for n in 0..MESSAGES {
        let id = network.customer_send(&customer, &phone, &n.to_string()).await.expect("sent");
        let message = device.message().await.expect("a message");
        assert_eq!(message.id, id);
        device.receipt(&message).await.expect("acknowledged");
        let answer = format!("{seed}-{n}");
        device.send_text(&jid(&customer), &answer, &answer).await.expect("sent");
    }
    eventually("the answers are there", async || {
        network.customer_inbox(&customer).await.expect("exists").len() == MESSAGES
    })
    .await;
    let inbox = network.customer_inbox(&customer).await.expect("exists");
    assert!(inbox.iter().all(|m| m.arrivals == 1));
    device
}
