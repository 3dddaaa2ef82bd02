//! Two versions of Baileys link by QR and by code, chat in both directions, come back from a break and are unlinked:
//! that another implementation cannot tell this network from WhatsApp's.
//!
//! Needs Node and npm. Where they are missing the tests say so and pass, unless `CI=true`.

mod account;
mod groups;
mod kinds;
mod statuses;

use loopback::Network;
use serde_json::json;

use crate::driver::Client;
use crate::{eventually, network, node};

#[tokio::test]
async fn baileys_6_links_by_qr_and_chats() {
    chat("6", Way::Qr).await;
}

#[tokio::test]
async fn baileys_6_links_by_code_and_chats() {
    chat("6", Way::Code).await;
}

#[tokio::test]
async fn baileys_7_links_by_qr_and_chats() {
    chat("7", Way::Qr).await;
}

#[tokio::test]
async fn baileys_7_links_by_code_and_chats() {
    chat("7", Way::Code).await;
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Qr,
    Code,
}

async fn chat(version: &str, way: Way) {
    let Some(folder) = node::program("baileys") else { return };
    let network = network().await;
    let phone = network.add_phone(Some("Trattoria".to_owned())).await;
    let customer = network.add_customer().await;
    let mut client = Client::start(&folder, version, &network, (way == Way::Code).then_some(phone.number.as_str()));

    match way {
        Way::Qr => client.scanned(&network, &phone.number).await,
        Way::Code => {
            let code = client.event("code", |_| true).await["code"].as_str().expect("a code").to_owned();
            // The client shows its code before its request has left.
            eventually("the code is accepted", async || network.link_code(&phone.number, &code).await.is_ok()).await;
        }
    }
    assert_eq!(client.linked().await["name"], "Trattoria");

    // In both directions, and to somebody new.
    network.customer_send(&customer, &phone.number, "a table for two?").await.expect("sent");
    let message = client.text("a table for two?").await;
    let chat = message["chat"].as_str().expect("a chat").to_owned();
    let id = client.send(&chat, "at eight").await;
    arrived(&network, &customer, &id, "at eight").await;
    let stranger = network.add_customer().await;
    let id = client.send(&format!("{stranger}@s.whatsapp.net"), "your order is ready").await;
    arrived(&network, &stranger, &id, "your order is ready").await;
    client.event("status", |e| e["id"] == id.as_str() && e["status"].as_u64() >= Some(3)).await;
    settled(&network).await;
    if version == "7" {
        by_lid(&mut client, &network, &phone.lid).await;
    }

    // What came while it was away is there at its return, in order, without another scan.
    client.command(json!({ "command": "disconnect" })).await;
    client.event("close", |_| true).await;
    eventually("it is offline", async || !network.devices(&phone.number).await.expect("exists")[0].online).await;
    for text in ["one", "two", "three"] {
        network.customer_send(&customer, &phone.number, text).await.expect("sent");
    }
    client.command(json!({ "command": "connect" })).await;
    for text in ["one", "two", "three"] {
        client.text(text).await;
    }
    network.phone_send(&phone.number, &customer, "the owner writes").await.expect("sent");
    let copy = client.text("the owner writes").await;
    assert_eq!(copy["from_me"], true);
    settled(&network).await;

    let stats = network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused, stats.counts.pairings), (0, 0, 1));
    network.unlink(&phone.number, 1).await.expect("unlinked");
    client.event("close", |e| e["code"] == 401).await;
    client.end().await;
    network.shutdown().await;
}

/// A chat by the account's other name. Baileys 6 keeps a session for each name, this network one for each device.
async fn by_lid(client: &mut Client, network: &Network, lid: &str) {
    let customer = network.add_customer().await;
    let sent = network.customer_send(&customer, lid, "do you have vegan pizza?").await;
    sent.expect("sent");
    let message = client.text("do you have vegan pizza?").await;
    let chat = message["chat"].as_str().expect("a chat").to_owned();
    let id = client.send(&chat, "several").await;
    arrived(network, &customer, &id, "several").await;
}

async fn arrived(network: &Network, customer: &str, id: &str, text: &str) {
    eventually("the customer has it, once", async || {
        let inbox = network.customer_inbox(customer).await.expect("exists");
        inbox.iter().any(|m| m.id == id && m.text.as_deref() == Some(text) && m.arrivals == 1)
    })
    .await;
}

async fn settled(network: &Network) {
    eventually("everything is acknowledged", async || network.stats().await.offline_queues.is_empty()).await;
}
