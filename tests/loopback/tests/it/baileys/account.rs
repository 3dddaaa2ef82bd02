//! What Baileys asks of accounts: the phone's record of a chat, page by page; who exists, pictures, what they say.

use loopback::{Network, Say};
use serde_json::{Value, json};

use crate::driver::Client;
use crate::{https, network, node};

#[tokio::test]
async fn baileys_7_pages_through_the_phones_record_of_a_chat() {
    let Some(folder) = node::program("baileys") else { return };
    let network = network().await;
    let phone = network.add_phone(Some("Trattoria".to_owned())).await.number;
    let (customer, other) = (network.add_customer().await, network.add_customer().await);
    // Before there was a device to read it.
    let mut ids = Vec::new();
    for at in 0..5 {
        ids.push(network.customer_send(&customer, &phone, format!("old {at}")).await.expect("sent"));
        network.customer_send(&other, &phone, "elsewhere").await.expect("sent");
    }
    ids.push(network.phone_send(&phone, &customer, Say::image(b"bytes".to_vec()).caption("mine")).await.expect("sent"));
    network.customer_send(&customer, &phone, Say::reaction(&ids[0], "👍")).await.expect("sent");

    let mut client = Client::paired(&folder, "7", &network, &phone).await;
    let newest = network.customer_send(&customer, &phone, "now").await.expect("sent");
    let chat = client.message(&newest).await["chat"].clone();
    let first = page(&mut client, &chat, &newest, 4).await;
    assert_eq!(named(&first), [&ids[5], &ids[4], &ids[3], &ids[2]]);
    assert_eq!((&first[0]["from_me"], &first[0]["message"]["imageMessage"]["caption"]), (&json!(true), &json!("mine")));
    assert_eq!(first[1]["message"]["conversation"], "old 4");
    let second = page(&mut client, &chat, &ids[2], 4).await;
    assert_eq!(named(&second), [&ids[1], &ids[0]]);
    assert!(page(&mut client, &chat, &ids[0], 4).await.is_empty());
    client.end().await;
    network.shutdown().await;
}

/// What comes before a message, as the phone answers the request for it.
async fn page(client: &mut Client, chat: &Value, oldest: &str, count: usize) -> Vec<Value> {
    let key = json!({ "remoteJid": chat, "id": oldest, "fromMe": false });
    let request = client.call("fetchMessageHistory", json!([count, key, 0])).await;
    let mut history = client.event("history", |e| e["request"] == request).await;
    match history["messages"].take() {
        Value::Array(messages) => messages,
        other => panic!("{other}"),
    }
}

fn named(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["id"].as_str()).collect()
}

#[tokio::test]
async fn baileys_6_asks_who_somebody_is() {
    who("6").await;
}

#[tokio::test]
async fn baileys_7_asks_who_somebody_is() {
    who("7").await;
}

async fn who(version: &str) {
    let Some(folder) = node::program("baileys") else { return };
    let network = network().await;
    let phone = network.add_phone(Some("Trattoria".to_owned())).await.number;
    let (customer, plain) = (network.add_customer().await, network.add_customer().await);
    let picture = vec![0xff, 0xd8, 0xff, 1, 2, 3];
    network.set_profile(&customer, Some("Hungry".to_owned()), Some(picture.clone())).await.expect("set");
    let mut client = Client::paired(&folder, version, &network, &phone).await;

    let known = client.call("onWhatsApp", json!([customer])).await;
    assert_eq!(
        (&known[0]["exists"], known[0]["jid"].as_str()),
        (&json!(true), Some(jid(&customer).as_str())),
        "{known}"
    );
    assert_eq!(client.call("onWhatsApp", json!(["4999111222333"])).await, json!([]));
    let about = client.call("fetchStatus", json!([jid(&customer)])).await;
    assert_eq!(about[0]["status"]["status"], "Hungry", "{about}");
    let url = client.call("profilePictureUrl", json!([jid(&customer), "image"])).await;
    assert_eq!(fetched(&network, &url).await, picture);
    assert_eq!(client.call("profilePictureUrl", json!([jid(&plain), "image"])).await, Value::Null);

    client.call("updateProfileStatus", json!(["Open until ten"])).await;
    let about = client.call("fetchStatus", json!([jid(&phone)])).await;
    assert_eq!(about[0]["status"]["status"], "Open until ten", "{about}");
    client.end().await;
    network.shutdown().await;
}

fn jid(number: &str) -> String {
    crate::jid(number).to_string()
}

async fn fetched(network: &Network, url: &Value) -> Vec<u8> {
    let prefix = format!("https://{}", network.media_host());
    let path = url.as_str().and_then(|url| url.strip_prefix(&prefix)).expect("on the media host");
    https::get(network, path).await.expect("answered").body
}
