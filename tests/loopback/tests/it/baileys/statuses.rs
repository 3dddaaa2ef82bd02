//! Baileys posts statuses, and sees those of customers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopback::Say;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::driver::Client;
use crate::{eventually, network, node};

const CHAT: &str = "status@broadcast";

#[tokio::test]
async fn baileys_6_posts_and_sees_statuses() {
    statuses("6").await;
}

#[tokio::test]
async fn baileys_7_posts_and_sees_statuses() {
    statuses("7").await;
}

async fn statuses(version: &str) {
    let Some(folder) = node::program("baileys") else { return };
    let network = network().await;
    let phone = network.add_phone(Some("Trattoria".to_owned())).await.number;
    let (a, b) = (network.add_customer().await, network.add_customer().await);
    let mut client = Client::paired(&folder, version, &network, &phone).await;
    let picture: Vec<u8> = (0..9_999u32).map(|n| (n % 241) as u8).collect();

    // A customer's, with a file, and taken back.
    let id = network.post_status(&a, &[&phone], "closed on Monday").await.expect("posted");
    let message = client.message(&id).await;
    assert_eq!((&message["chat"], &message["text"]), (&json!(CHAT), &json!("closed on Monday")), "{message}");
    assert_eq!(message["from_me"], false, "{message}");
    let image = network.post_status(&a, &[&phone], Say::image(picture.clone()).caption("look")).await.expect("posted");
    let message = client.message(&image).await;
    assert_eq!(message["media"]["sha256"], hex::encode(Sha256::digest(&picture)), "{message}");
    let revoke = network.post_status(&a, &[&phone], Say::revoke(&id)).await.expect("taken back");
    let message = client.message(&revoke).await;
    assert_eq!(message["content"]["key"]["id"], id, "{message}");

    // Its own, for those it names.
    let audience = json!({ "statusJidList": [format!("{a}@s.whatsapp.net")], "backgroundColor": "#38b42f", "font": 2 });
    for text in ["pasta today", "pizza today"] {
        let (id, _) = client.send_content(CHAT, &json!({ "text": text }), &audience).await;
        eventually("it is seen", async || {
            let inbox = network.customer_inbox(&a).await.expect("exists");
            inbox.iter().any(|m| m.id == id && m.chat == CHAT && m.text.as_deref() == Some(text) && m.arrivals == 1)
        })
        .await;
    }
    let content = json!({ "image": { "$base64": BASE64_STANDARD.encode(&picture) }, "caption": "ours" });
    let (id, _) = client.send_content(CHAT, &content, &audience).await;
    eventually("the picture is seen", async || {
        let inbox = network.customer_inbox(&a).await.expect("exists");
        inbox.iter().any(|m| m.id == id && m.file.as_ref().is_some_and(|file| file.data == picture))
    })
    .await;
    assert!(network.customer_inbox(&b).await.expect("exists").is_empty(), "nobody named b");
    let stats = network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
    client.end().await;
    network.shutdown().await;
}
