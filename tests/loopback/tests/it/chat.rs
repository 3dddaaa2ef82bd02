//! Messages among customers, phones and linked devices; receipts; retries.

use wacore_binary::builder::NodeBuilder;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::peer_data_operation_request_message::PlaceholderMessageResendRequest;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{PeerDataOperationRequestMessage, PeerDataOperationRequestType, ProtocolMessage};

use crate::device::Device;
use crate::{eventually, jid, network};

#[tokio::test]
async fn two_customers_chat() {
    let network = network().await;
    let (a, b) = (network.add_customer().await, network.add_customer().await);
    let first = network.customer_send(&a, &b, "good evening").await.expect("sent");
    let second = network.customer_send(&b, &a, "a table for two?").await.expect("sent");
    let third = network.customer_send(&a, &b, "with pleasure").await.expect("sent");

    let of_b = network.customer_inbox(&b).await.expect("b exists");
    assert_eq!(of_b.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), [&first, &third]);
    assert_eq!(of_b[0].text.as_deref(), Some("good evening"));
    assert!(of_b.iter().all(|m| m.arrivals == 1 && m.chat == a));
    let of_a = network.customer_inbox(&a).await.expect("a exists");
    assert_eq!((of_a.len(), of_a[0].id.as_str()), (1, second.as_str()));

    let stats = network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused, stats.messages), (0, 0, 3));
    let from_a = network.messages(Some(&a)).await.expect("a exists");
    assert_eq!(from_a.len(), 2);
    assert!(from_a.iter().all(|m| m.seen == 1 && m.delivered.len() == 1));
    network.shutdown().await;
}

#[tokio::test]
async fn a_device_chats_with_a_customer_and_the_phone_sees_it() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");

    let id = network.customer_send(&customer, &phone.number, "hello").await.expect("sent");
    let message = device.message().await.expect("a message");
    assert_eq!((message.id.as_str(), message.text.as_deref()), (id.as_str(), Some("hello")));
    assert!(!message.offline);
    device.receipt(&message).await.expect("acknowledged");
    let seen = network.phone_inbox(&phone.number).await.expect("the phone exists");
    assert_eq!(seen[0].id, id);
    eventually("the queue is empty", async || network.stats().await.offline_queues.is_empty()).await;

    device.send_text(&jid(&customer), "REPLY1", "hello yourself").await.expect("sent");
    let ack = device.receive_tag("ack").await.expect("the server acks");
    assert!(ack.attrs.get("class").is_some_and(|class| class == "receipt" || class == "message"));
    eventually("the customer has it", async || {
        let inbox = network.customer_inbox(&customer).await.expect("the customer exists");
        inbox.iter().any(|m| m.id == "REPLY1" && m.text.as_deref() == Some("hello yourself"))
    })
    .await;
    let receipt = device.receive_tag("receipt").await.expect("a delivery receipt");
    assert!(receipt.attrs.get("id").is_some_and(|id| id == "REPLY1"));
    assert!(receipt.attrs.get("type").is_none());
    network.customer_read(&customer, "REPLY1").await.expect("read");
    let receipt = device.receive_tag("receipt").await.expect("a read receipt");
    assert!(receipt.attrs.get("type").is_some_and(|kind| kind == "read"));
    assert!(network.customer_read(&customer, "NOTHING").await.is_err());
    network.shutdown().await;
}

#[tokio::test]
async fn both_names_of_an_account_lead_to_it() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    for (to, server) in [(&phone.jid, "s.whatsapp.net"), (&phone.lid, "lid")] {
        network.customer_send(&customer, to, server).await.expect("sent");
        let message = device.message().await.expect("a message");
        assert_eq!(message.from.server.as_str(), server);
        let other = if server == "lid" { "sender_pn" } else { "sender_lid" };
        assert!(message.stanza.attrs.contains_key(other));
        device.receipt(&message).await.expect("acknowledged");
    }
    network.shutdown().await;
}

#[tokio::test]
async fn a_device_that_lost_its_session_asks_again_and_gets_the_message() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let before = device.endpoint.clone();
    network.customer_send(&customer, &phone.number, "one").await.expect("sent");
    let first = device.message().await.expect("a message");
    device.receipt(&first).await.expect("acknowledged");
    device.send_text(&jid(&customer), "ANSWER", "so that the session is confirmed").await.expect("sent");
    device.receive_tag("receipt").await.expect("delivered");

    // Back to a state from before the session: the next message cannot be opened.
    device.endpoint = before;
    let id = network.customer_send(&customer, &phone.number, "two").await.expect("sent");
    assert!(device.message().await.is_err(), "opened without a session");
    let retry = NodeBuilder::new("retry").attr("id", id.as_str()).attr("count", "1").attr("v", "1").build();
    let registration = NodeBuilder::new("registration").bytes(device.endpoint.registration().to_be_bytes()).build();
    let receipt = NodeBuilder::new("receipt")
        .attr("to", jid(&customer))
        .attr("id", id.as_str())
        .attr("type", "retry")
        .children([retry, registration])
        .build();
    device.send(&receipt).await.expect("sent");
    let ack = NodeBuilder::new("ack").attr("class", "message").attr("id", id.as_str()).attr("to", jid(&customer));
    device.send(&ack.build()).await.expect("sent");
    let again = device.message().await.expect("a message that opens");
    assert_eq!((again.id, again.text.as_deref()), (id, Some("two")));
    network.shutdown().await;
}

#[tokio::test]
async fn a_customer_that_cannot_open_a_message_asks_again_and_counts_one_arrival() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let to = jid(&customer);
    network.customer_send(&customer, &phone.number, "hello").await.expect("sent");
    let message = device.message().await.expect("a message");
    device.receipt(&message).await.expect("acknowledged");
    let mut sealed = device.seal(&to, "damaged on the way").await.expect("a session");
    let last = sealed.bytes.len() - 1;
    sealed.bytes[last] ^= 1;
    device.send_sealed(&to, "BROKEN", &sealed).await.expect("sent");
    let retry = loop {
        let receipt = device.receive_tag("receipt").await.expect("a receipt");
        if receipt.attrs.get("type").is_some_and(|kind| kind == "retry") {
            break receipt;
        }
    };
    assert!(retry.attrs.get("id").is_some_and(|id| id == "BROKEN"));
    device.send_text(&to, "BROKEN", "whole again").await.expect("sent");
    eventually("the resend is opened", async || {
        let inbox = network.customer_inbox(&customer).await.expect("the customer exists");
        inbox.iter().any(|m| m.id == "BROKEN" && m.arrivals == 1 && m.text.as_deref() == Some("whole again"))
    })
    .await;
    assert_eq!(network.stats().await.counts.undecryptable, 1);
    network.shutdown().await;
}

#[tokio::test]
async fn the_phone_tells_a_device_what_it_could_not_read() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let id = network.customer_send(&customer, &phone.number, "table nine").await.expect("sent");

    let key = wa::MessageKey {
        remote_jid: Some(jid(&customer).to_string()),
        from_me: Some(false),
        id: Some(id.clone()),
        ..Default::default()
    };
    let request = PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND),
        placeholder_message_resend_request: vec![PlaceholderMessageResendRequest {
            message_key: MessageField::some(key),
        }],
        ..Default::default()
    };
    let request = wa::Message {
        protocol_message: MessageField::some(ProtocolMessage {
            r#type: Some(Type::PEER_DATA_OPERATION_REQUEST_MESSAGE),
            peer_data_operation_request_message: MessageField::some(request),
            ..Default::default()
        }),
        ..Default::default()
    };
    let own = jid(&phone.number);
    let sealed = device.seal_message(&own, &request).await.expect("sealed");
    device.send_sealed(&own, "REQUEST", &sealed).await.expect("sent");
    let resent = loop {
        let message = device.message().await.expect("a message").message.expect("it opens");
        let protocol = message.protocol_message.into_option();
        if let Some(answer) = protocol.and_then(|p| p.peer_data_operation_request_response_message.into_option()) {
            break answer;
        }
    };
    assert_eq!(resent.stanza_id.as_deref(), Some("REQUEST"));
    let result = &resent.peer_data_operation_result[0];
    let info = result.placeholder_message_resend_response.as_option().expect("a resend");
    let info = info.web_message_info_bytes.as_deref().expect("bytes");
    let info = wa::WebMessageInfo::decode_from_slice(info).expect("a message");
    let text = info.message.as_option().and_then(|m| m.conversation.as_deref());
    assert_eq!(text, Some("table nine"));
    assert_eq!(network.stats().await.counts.placeholder_requests, 1);
    network.shutdown().await;
}

#[tokio::test]
async fn a_device_that_its_account_did_not_sign_is_not_believed() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let other = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 20).await.expect("linked");
    let stranger = Device::linked(&network, &other.number, 2, 20).await.expect("linked");
    let honest = device.identity.clone();
    device.identity.clone_from(&stranger.identity);
    device.send_text(&jid(&customer), "A", "trust me").await.expect("sent");
    device.ping().await.expect("answered");
    assert!(network.customer_inbox(&customer).await.expect("exists").is_empty());
    assert_eq!(network.stats().await.counts.undecryptable, 1);
    device.identity = honest;
    device.send_text(&jid(&customer), "B", "now signed").await.expect("sent");
    eventually("the signed one is read", async || {
        network.customer_inbox(&customer).await.expect("exists").iter().any(|m| m.id == "B")
    })
    .await;
    network.shutdown().await;
}
