//! The media host: uploads are what their hash says, downloads are what was uploaded, faults are what they say.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use loopback::{Fault, FaultKind, Network};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use wacore_binary::builder::NodeBuilder;

use crate::device::Device;
use crate::https::{Response, connect, get, request};
use crate::{eventually, network};

/// A device that is linked, and the token with which it uploads.
async fn device(network: &Network) -> (Device, String, String) {
    let phone = network.add_phone(None).await;
    let mut device = Device::linked(network, &phone.number, 1, 5).await.expect("linked");
    let answer = device.request("set", "w:m", NodeBuilder::new("media_conn").build()).await.expect("answered");
    let conn = answer.get_optional_child("media_conn").expect("a media_conn");
    let host = conn.get_optional_child("host").expect("a host");
    assert!(host.attrs.get("hostname").is_some_and(|name| name == network.media_host().as_str()));
    let auth = conn.attrs.get("auth").expect("a token").to_string();
    (device, auth, phone.number)
}

fn hash(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

fn line(kind: &str, hash: &str, auth: &str, more: &str) -> String {
    format!("POST /mms/{kind}/{hash}?auth={auth}&token={hash}{more}")
}

async fn upload(network: &Network, auth: &str, bytes: &[u8]) -> Response {
    let headers = format!("Content-Length: {}\r\n", bytes.len());
    request(network, &line("image", &hash(bytes), auth, ""), &headers, bytes).await.expect("answered")
}

fn place(response: &Response) -> String {
    response.json()["direct_path"].as_str().expect("a path").to_owned()
}

#[tokio::test]
async fn what_was_uploaded_can_be_fetched_whole_and_in_part() {
    let network = network().await;
    let (_device, auth, _) = device(&network).await;
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let stored = upload(&network, &auth, &bytes).await;
    assert_eq!(stored.status, 200);
    let path = place(&stored);
    assert_eq!(stored.json()["url"], format!("https://{}{path}", network.media_host()));

    // As whatsapp-rust asks: a second `?` behind the path's own query.
    let whole = get(&network, &format!("{path}?auth={auth}&token={}", hash(&bytes))).await.expect("answered");
    assert_eq!((whole.status, whole.body), (200, bytes.clone()));
    let part = request(&network, &format!("GET {path}"), "Range: bytes=10-19\r\n", b"").await.expect("answered");
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[10..20]));
    assert!(part.head.to_lowercase().contains("content-range: bytes 10-19/100000"), "{}", part.head);
    let beyond = request(&network, &format!("GET {path}"), "Range: bytes=100000-\r\n", b"").await.expect("answered");
    assert_eq!(beyond.status, 416);
    let unsigned = get(&network, path.split('?').next().expect("a path")).await.expect("answered");
    assert_eq!(unsigned.status, 404);

    // Chunked, as Baileys 6 uploads.
    let small = b"in two pieces";
    let body = b"6\r\nin two\r\n7\r\n pieces\r\n0\r\n\r\n";
    let line = line("document", &hash(small), &auth, "");
    let stored = request(&network, &line, "Transfer-Encoding: chunked\r\n", body).await.expect("answered");
    assert_eq!(get(&network, &place(&stored)).await.expect("answered").body, small);
    network.shutdown().await;
}

#[tokio::test]
async fn an_upload_needs_its_hash_its_kind_and_a_token_of_ours() {
    let network = network().await;
    let (_device, auth, _) = device(&network).await;
    let bytes = b"encrypted";
    let headers = "Content-Length: 9\r\n";
    let (right, wrong) = (hash(bytes), hash(b"other"));
    let cases = [
        (line("image", &wrong, &auth, ""), 400),
        (format!("POST /mms/image/{right}?auth={auth}&token={wrong}"), 400),
        (line("image", &right, "guess", ""), 401),
        (line("gremlin", &right, &auth, ""), 400),
        (format!("POST /elsewhere?auth={auth}"), 404),
        (line("image", &right, &auth, ""), 200),
    ];
    for (line, expected) in cases {
        assert_eq!(request(&network, &line, headers, bytes).await.expect("answered").status, expected, "{line}");
    }
    network.shutdown().await;
}

#[tokio::test]
async fn an_upload_that_was_cut_off_is_resumed_where_it_ended() {
    let network = network().await;
    let (_device, auth, _) = device(&network).await;
    let bytes: Vec<u8> = (0..50_000u32).map(|n| (n % 13) as u8).collect();
    let hash = hash(&bytes);
    let mut stream = connect(&network).await.expect("connected");
    let head = format!("{} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n", line("video", &hash, &auth, ""));
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&bytes[..20_000]).await.expect("sent");
    stream.shutdown().await.expect("closed");
    drop(stream);
    let resume = line("video", &hash, &auth, "&resume=1");
    let progress = async || request(&network, &resume, "Content-Length: 0\r\n", b"").await.expect("answered").json();
    eventually("the part is kept", async || progress().await["resume"] == "20000").await;

    let from = |offset: usize| line("video", &hash, &auth, &format!("&file_offset={offset}"));
    let rest = &bytes[20_000..];
    let headers = format!("Content-Length: {}\r\n", rest.len());
    let wrong = request(&network, &from(10_000), &headers, rest).await.expect("answered");
    assert_eq!(wrong.status, 416);
    let stored = request(&network, &from(20_000), &headers, rest).await.expect("answered");
    assert_eq!(stored.status, 200);
    let done = progress().await;
    assert_eq!((&done["resume"], done["direct_path"].as_str()), (&"complete".into(), Some(place(&stored).as_str())));
    assert_eq!(get(&network, &place(&stored)).await.expect("answered").body, bytes);
    network.shutdown().await;
}

#[tokio::test]
async fn each_fault_of_the_media_host_does_what_it_says() {
    let network = network().await;
    let (_device, auth, number) = device(&network).await;
    let bytes = b"sixteen bytes...".to_vec();
    let path = place(&upload(&network, &auth, &bytes).await);
    let with = async |fault: Fault| {
        network.fault(fault).await.expect("injected");
        let answer = get(&network, &path).await;
        network.clear_faults().await;
        answer
    };
    assert!(with(Fault::new(FaultKind::MediaDown)).await.is_none());
    assert_eq!(with(Fault::new(FaultKind::MediaRefuse)).await.expect("answered").status, 404);
    assert_eq!(with(Fault::new(FaultKind::MediaRefuse).code(410)).await.expect("answered").status, 410);
    assert!(with(Fault::new(FaultKind::MediaCut)).await.is_none());
    let corrupt = with(Fault::new(FaultKind::MediaCorrupt)).await.expect("answered").body;
    assert_eq!(corrupt.iter().zip(&bytes).filter(|(a, b)| a != b).count(), 1);
    let start = std::time::Instant::now();
    assert_eq!(with(Fault::new(FaultKind::MediaSlow).ms(300)).await.expect("answered").body, bytes);
    assert!(start.elapsed().as_millis() >= 300);

    // For one request, and for one account by its token.
    network.fault(Fault::new(FaultKind::MediaRefuse).code(401).count(1).target(&number)).await.expect("injected");
    assert_eq!(get(&network, &path).await.expect("answered").status, 200);
    let own = format!("{path}?auth={auth}");
    assert_eq!(get(&network, &own).await.expect("answered").status, 401);
    assert_eq!(get(&network, &own).await.expect("answered").status, 200);
    network.shutdown().await;
}
