//! What customers make of messages by a client that lies, and what no client has a name for.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use loopback::{Network, Received, Say};
use sha2::{Digest, Sha256};
use wacore::download::MediaType;
use wacore::poll::{compute_option_hash, encrypt_poll_vote_with_secret};
use wacore::upload::encrypt_media;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{ImageMessage, PollEncValue, PollUpdateMessage, ProtocolMessage};

use crate::device::Device;
use crate::{eventually, https, jid, network};

async fn scene() -> (Network, Device, String, String) {
    let network = network().await;
    let phone = network.add_phone(None).await.number;
    let customer = network.add_customer().await;
    let device = Device::linked(&network, &phone, 1, 20).await.expect("linked");
    (network, device, phone, customer)
}

async fn received(network: &Network, customer: &str, id: &str) -> Received {
    let find = async || network.customer_inbox(customer).await.expect("exists").into_iter().find(|m| m.id == id);
    eventually("the customer has it", async || find().await.is_some()).await;
    find().await.expect("it is there")
}

async fn send(device: &mut Device, customer: &str, id: &str, message: &wa::Message) {
    let sealed = device.seal_message(&jid(customer), message).await.expect("sealed");
    device.send_sealed(&jid(customer), id, &sealed).await.expect("sent");
}

#[tokio::test]
async fn a_kind_that_nobody_knows_arrives_and_says_nothing() {
    let (network, mut device, phone, customer) = scene().await;
    let id = network.customer_send(&customer, &phone, Say::Unknown { field: 999 }).await.expect("sent");
    let message = device.message().await.expect("a message");
    assert_eq!((message.id, message.message), (id.clone(), Some(wa::Message::default())));
    assert_eq!(received(&network, &phone, &id).await.kind, "unknown");

    // The owner's own copy carries the field inside, where the chat is named.
    let id = network.phone_send(&phone, &customer, Say::Unknown { field: 999 }).await.expect("sent");
    let copy = device.message().await.expect("a copy");
    assert_eq!((copy.id, copy.message), (id, Some(wa::Message::default())));
    let known = wa::Message {
        call: MessageField::some(wa::message::Call { call_key: Some(vec![1]), ..Default::default() }),
        ..Default::default()
    };
    let id =
        network.customer_send(&customer, &phone, Say::Raw { message: Box::new(known.clone()) }).await.expect("sent");
    assert_eq!(device.message().await.expect("a message").message, Some(known));
    assert_eq!(received(&network, &phone, &id).await.kind, "call");
    network.shutdown().await;
}

#[tokio::test]
async fn a_vote_counts_only_if_it_opens_with_the_polls_secret() {
    let (network, mut device, phone, customer) = scene().await;
    let poll = network.customer_send(&customer, &phone, Say::poll("Size?", &["L", "XL"], 1)).await.expect("sent");
    let message = device.message().await.expect("a poll").message.expect("opened");
    let secret = message.message_context_info.as_option().and_then(|c| c.message_secret.clone()).expect("a secret");
    let key = wa::MessageKey {
        remote_jid: Some(jid(&customer).to_string()),
        from_me: Some(false),
        id: Some(poll.clone()),
        ..Default::default()
    };
    let vote = |secret: &[u8], option: &str| {
        let hashes = [compute_option_hash(option).to_vec()];
        let (creator, voter) = (jid(&customer).to_string(), jid(&phone).to_string());
        let sealed = encrypt_poll_vote_with_secret(&hashes, secret, &poll, &creator, &voter);
        let (payload, iv) = sealed.expect("sealed");
        let update = PollUpdateMessage {
            poll_creation_message_key: MessageField::some(key.clone()),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) }),
            ..Default::default()
        };
        wa::Message { poll_update_message: MessageField::some(update), ..Default::default() }
    };
    send(&mut device, &customer, "GOOD", &vote(&secret, "XL")).await;
    let good = received(&network, &customer, "GOOD").await;
    assert_eq!((good.votes, good.about, good.problem), (Some(vec!["XL".to_owned()]), Some(poll.clone()), None));
    send(&mut device, &customer, "FORGED", &vote(&[7; 32], "XL")).await;
    assert!(received(&network, &customer, "FORGED").await.problem.is_some());
    send(&mut device, &customer, "STRANGE", &vote(&secret, "XXL")).await;
    let strange = received(&network, &customer, "STRANGE").await;
    assert!(strange.votes.is_none() && strange.problem.is_some());
    assert!(network.phone_send(&phone, &customer, Say::vote(&poll, &["XXL"])).await.is_err());
    network.shutdown().await;
}

#[tokio::test]
async fn nobody_edits_or_revokes_what_is_not_theirs() {
    let (network, mut device, phone, customer) = scene().await;
    let theirs = network.customer_send(&customer, &phone, "a pizza").await.expect("sent");
    device.message().await.expect("a message");
    device.send_text(&jid(&customer), "MINE", "which one?").await.expect("sent");
    let about = |kind, id: &str| {
        let protocol = ProtocolMessage {
            r#type: Some(kind),
            key: MessageField::some(wa::MessageKey { id: Some(id.to_owned()), ..Default::default() }),
            edited_message: MessageField::some(wa::Message {
                conversation: Some("!".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() }
    };
    for (at, (kind, target, counts)) in [
        (Type::MESSAGE_EDIT, "MINE", true),
        (Type::MESSAGE_EDIT, theirs.as_str(), false),
        (Type::REVOKE, theirs.as_str(), false),
        (Type::REVOKE, "NEVER SENT", false),
        (Type::REVOKE, "MINE", true),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("CHANGE{at}");
        send(&mut device, &customer, &id, &about(kind, target)).await;
        let change = received(&network, &customer, &id).await;
        assert_eq!((change.about.as_deref(), change.problem.is_none()), (Some(target), counts), "{change:?}");
    }
    network.shutdown().await;
}

#[tokio::test]
async fn a_file_is_believed_only_if_it_is_what_the_message_says() {
    let (network, mut device, _, customer) = scene().await;
    let answer = device.request("set", "w:m", NodeBuilder::new("media_conn").build()).await.expect("answered");
    let conn = answer.get_optional_child("media_conn").expect("a media_conn");
    let auth = conn.attrs.get("auth").expect("a token").to_string();
    let plain = b"what is in the picture";
    let sealed = encrypt_media(plain, MediaType::Image).expect("encrypted");
    let hash = BASE64_URL_SAFE_NO_PAD.encode(sealed.file_enc_sha256);
    let line = format!("POST /mms/image/{hash}?auth={auth}&token={hash}");
    let headers = format!("Content-Length: {}\r\n", sealed.data_to_upload.len());
    let stored = https::request(&network, &line, &headers, &sealed.data_to_upload).await.expect("answered").json();
    let honest = ImageMessage {
        direct_path: stored["direct_path"].as_str().map(str::to_owned),
        media_key: Some(sealed.media_key.to_vec()),
        file_sha256: Some(sealed.file_sha256.to_vec()),
        file_enc_sha256: Some(sealed.file_enc_sha256.to_vec()),
        file_length: Some(plain.len() as u64),
        ..Default::default()
    };
    let lies = [
        ("HONEST", honest.clone()),
        ("KEY", ImageMessage { media_key: Some(vec![1; 32]), ..honest.clone() }),
        ("HASH", ImageMessage { file_sha256: Some(Sha256::digest(b"other").to_vec()), ..honest.clone() }),
        ("SEALED", ImageMessage { file_enc_sha256: Some(Sha256::digest(b"other").to_vec()), ..honest.clone() }),
        ("LENGTH", ImageMessage { file_length: Some(1), ..honest.clone() }),
        ("NOWHERE", ImageMessage { direct_path: Some("/v/nowhere".to_owned()), ..honest }),
    ];
    for (id, image) in lies {
        let message = wa::Message { image_message: MessageField::some(image), ..Default::default() };
        send(&mut device, &customer, id, &message).await;
        let received = received(&network, &customer, id).await;
        let data = received.file.map(|file| file.data);
        if id == "HONEST" {
            assert_eq!((data.as_deref(), received.problem), (Some(&plain[..]), None));
        } else {
            assert!(data.is_none() && received.problem.is_some(), "{id}");
        }
    }
    network.shutdown().await;
}
