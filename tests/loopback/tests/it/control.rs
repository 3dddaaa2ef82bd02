//! The control API over HTTP: the same network, the same answers, errors with a reason.

use loopback::{Network, NetworkConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::device::Device;

async fn call(network: &Network, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = network.control_url().expect("it has a control API");
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let body = body.map(|b| b.to_string()).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

#[tokio::test]
async fn a_conversation_over_http() {
    let config = NetworkConfig { control: Some(([127, 0, 0, 1], 0).into()), ..NetworkConfig::default() };
    let network = Network::start(config).await.expect("the network starts");
    let (status, phone) = call(&network, "POST", "/phones", Some(json!({ "name": "Trattoria" }))).await;
    assert_eq!((status, &phone["name"]), (200, &json!("Trattoria")));
    let number = phone["number"].as_str().expect("a number").to_owned();
    let (_, customer) = call(&network, "POST", "/customers", None).await;
    let customer = customer["number"].as_str().expect("a number").to_owned();

    let mut device = Device::new(&network, 1);
    let qr = device.register().await.expect("a code");
    let path = format!("/phones/{number}/scan");
    let ((status, scanned), signed) =
        tokio::join!(call(&network, "POST", &path, Some(json!({ "qr": qr }))), device.sign_pairing());
    signed.expect("signed");
    assert_eq!((status, scanned), (200, json!({ "device": 1 })));
    device.disconnect();
    device.login().await.expect("logged in");
    device.activate().await.expect("active");

    let path = format!("/customers/{customer}/send");
    let (_, sent) = call(&network, "POST", &path, Some(json!({ "to": number, "text": "ciao" }))).await;
    let message = device.message().await.expect("a message");
    assert_eq!(sent["id"], json!(message.id));
    let image = json!({ "kind": "image", "data": "aW1hZ2U=", "caption": "here" });
    let body = json!({ "to": number, "message": image });
    let (status, sent) = call(&network, "POST", &path, Some(body)).await;
    assert_eq!(status, 200, "{sent}");
    assert_eq!(device.message().await.expect("a message").id, sent["id"]);
    let inbox = format!("/phones/{number}/inbox");
    let (_, seen) = call(&network, "GET", &inbox, None).await;
    assert_eq!(
        (&seen[1]["kind"], &seen[1]["file"]["size"], seen[1]["file"].get("data")),
        (&json!("image"), &json!(5), None)
    );
    let (_, seen) = call(&network, "GET", &format!("{inbox}?media=1"), None).await;
    assert_eq!((&seen[1]["file"]["data"], &seen[1]["fields"]["caption"]), (&json!("aW1hZ2U="), &json!("here")));
    let body = json!({ "by": customer, "subject": "Friends", "members": [number] });
    let (status, group) = call(&network, "POST", "/groups", Some(body)).await;
    assert_eq!((status, &group["members"][&customer]), (200, &json!("superadmin")), "{group}");
    let path = format!("/groups/{}", group["jid"].as_str().expect("a JID"));
    let body = json!({ "by": customer, "subject": "Best friends", "change": "promote", "members": [number] });
    let (status, _) = call(&network, "POST", &path, Some(body)).await;
    assert_eq!(status, 200);
    let (_, group) = call(&network, "GET", &path, None).await;
    assert_eq!((&group["subject"], &group["members"][&number]), (&json!("Best friends"), &json!("admin")));
    let (_, devices) = call(&network, "GET", &format!("/phones/{number}/devices"), None).await;
    assert_eq!((&devices[0]["id"], &devices[0]["online"]), (&json!(1), &json!(true)));
    let (_, messages) = call(&network, "GET", &format!("/messages?from={customer}"), None).await;
    assert_eq!((messages[0]["id"].as_str(), &messages[0]["seen"]), (Some(message.id.as_str()), &json!(1)));
    let (_, stats) = call(&network, "GET", "/stats", None).await;
    assert_eq!((&stats["logins"], &stats["counters_reused"]), (&json!(1), &json!(0)));
    let (_, root) = call(&network, "GET", "/root", None).await;
    assert_eq!(root["root"], json!(hex::encode(network.root_public_key())));

    let (status, _) = call(&network, "POST", "/faults", Some(json!({ "kind": "stream-error", "code": 503 }))).await;
    assert_eq!(status, 200);
    device.receive_tag("stream:error").await.expect("the fault works");
    let (status, _) = call(&network, "DELETE", &format!("/phones/{number}/devices/1"), None).await;
    assert_eq!(status, 200);
    network.shutdown().await;
}

#[tokio::test]
async fn errors_come_with_a_reason() {
    let config = NetworkConfig { control: Some(([127, 0, 0, 1], 0).into()), ..NetworkConfig::default() };
    let network = Network::start(config).await.expect("the network starts");
    let customer = network.add_customer().await;
    let cases = [
        ("POST", "/phones/12/scan".to_owned(), Some(json!({ "qr": "1" })), 409),
        ("GET", "/phones/12/devices".to_owned(), None, 404),
        ("POST", format!("/customers/{customer}/send"), Some(json!({ "to": "12", "text": "" })), 409),
        ("POST", format!("/customers/{customer}/send"), Some(json!({ "text": "" })), 422),
        ("POST", format!("/customers/{customer}/send"), Some(json!({ "to": "12", "message": { "kind": "hug" } })), 422),
        ("POST", format!("/customers/{customer}/presence"), Some(json!({ "to": "12" })), 422),
        ("POST", "/faults".to_owned(), Some(json!({ "kind": "gremlins" })), 422),
        ("POST", "/faults".to_owned(), None, 400),
        ("GET", "/nowhere".to_owned(), None, 404),
    ];
    for (method, path, body, expected) in cases {
        let (status, answer) = call(&network, method, &path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|reason| !reason.is_empty()), "{answer}");
    }
    network.shutdown().await;
}
