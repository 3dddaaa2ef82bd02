//! Baileys in groups with customers: made by either side, messages and files under sender keys, changes told.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopback::{Change, Network, Say};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::driver::Client;
use crate::{eventually, network, node};

#[tokio::test]
async fn baileys_6_is_in_groups() {
    in_groups("6").await;
}

#[tokio::test]
async fn baileys_7_is_in_groups() {
    in_groups("7").await;
}

async fn reads(network: &Network, number: &str, group: &str, id: &str, text: &str) {
    eventually("it is read", async || {
        let inbox = network.customer_inbox(number).await.expect("exists");
        inbox.iter().any(|m| m.id == id && m.chat == group && m.text.as_deref() == Some(text) && m.arrivals == 1)
    })
    .await;
}

async fn in_groups(version: &str) {
    let Some(folder) = node::program("baileys") else { return };
    let network = network().await;
    let phone = network.add_phone(Some("Trattoria".to_owned())).await.number;
    let (a, b, c) = (network.add_customer().await, network.add_customer().await, network.add_customer().await);
    let mut client = Client::paired(&folder, version, &network, &phone).await;

    // Made by a customer.
    let group = network.create_group(&a, "Friends", &[&b, &phone]).await.expect("made").jid;
    client.event("group", |e| e["id"] == group.as_str() && e["update"]["subject"] == "Friends").await;
    let metadata = client.call("groupMetadata", json!([group])).await;
    assert_eq!((&metadata["subject"], metadata["participants"].as_array().map(Vec::len)), (&json!("Friends"), Some(3)));
    let all = client.call("groupFetchAllParticipating", json!([])).await;
    assert_eq!(all[&group]["subject"], "Friends");

    // In both directions, with a file, to everybody.
    for text in ["hello all", "hello again"] {
        let id = network.customer_send(&a, &group, text).await.expect("sent");
        let message = client.message(&id).await;
        assert_eq!((&message["chat"], &message["text"]), (&json!(group), &json!(text)), "{message}");
        assert!(message["participant"].as_str().is_some_and(|by| by.starts_with(&a)), "{message}");
    }
    for text in ["hello from the kitchen", "anybody hungry?"] {
        let id = client.send(&group, text).await;
        for member in [&a, &b, &phone] {
            reads(&network, member, &group, &id, text).await;
        }
    }
    let picture: Vec<u8> = (0..9_999u32).map(|n| (n % 241) as u8).collect();
    let id = network.customer_send(&b, &group, Say::image(picture.clone()).caption("look")).await.expect("sent");
    let message = client.message(&id).await;
    assert_eq!(message["media"]["sha256"], hex::encode(Sha256::digest(&picture)), "{message}");
    let image = json!({ "image": { "$base64": BASE64_STANDARD.encode(&picture) }, "caption": "ours" });
    let (id, _) = client.send_content(&group, &image, &json!({})).await;
    eventually("the picture arrived", async || {
        let inbox = network.customer_inbox(&a).await.expect("exists");
        inbox.iter().any(|m| m.id == id && m.file.as_ref().is_some_and(|file| file.data == picture))
    })
    .await;

    // Changes by the customer are told; those by the client happen.
    network.group_subject(&group, &a, "Best friends").await.expect("renamed");
    client.event("group", |e| e["update"]["subject"] == "Best friends").await;
    network.change_group(&group, &a, Change::Promote, &[&phone]).await.expect("promoted");
    client.event("participants", |e| e["action"] == "promote").await;
    client.call("groupUpdateSubject", json!([group, "Our friends"])).await;
    assert_eq!(network.group(&group).await.expect("exists").subject, "Our friends");
    client.call("groupParticipantsUpdate", json!([group, [format!("{c}@s.whatsapp.net")], "add"])).await;
    let id = client.send(&group, "welcome").await;
    for member in [&a, &b, &c] {
        reads(&network, member, &group, &id, "welcome").await;
    }
    network.change_group(&group, &a, Change::Remove, &[&b]).await.expect("removed");
    client.event("participants", |e| e["action"] == "remove").await;
    let id = network.customer_send(&a, &group, "b is gone").await.expect("sent");
    assert_eq!(client.message(&id).await["text"], "b is gone");

    // Made by the client.
    let made = client.call("groupCreate", json!(["Suppliers", [format!("{a}@s.whatsapp.net")]])).await;
    let second = made["id"].as_str().expect("an id").to_owned();
    let id = client.send(&second, "flour, please").await;
    reads(&network, &a, &second, &id, "flour, please").await;
    let id = network.customer_send(&a, &second, "tomorrow").await.expect("sent");
    assert_eq!(client.message(&id).await["text"], "tomorrow");

    let stats = network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
    client.end().await;
    network.shutdown().await;
}
