//! Statuses, with a device that checks what it gets: whom one reaches, who may ask for it again, what becomes of it.

use loopback::Say;
use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::SenderKeyDistributionMessage;

use crate::device::Device;
use crate::groups::Scene;
use crate::{eventually, jid};

const CHAT: &str = "status@broadcast";

impl Scene {
    async fn reads(&self, number: &str, id: &str, text: &str) {
        eventually("it is read", async || {
            let inbox = self.network.customer_inbox(number).await.expect("exists");
            inbox.iter().any(|m| m.id == id && m.chat == CHAT && m.text.as_deref() == Some(text) && m.arrivals == 1)
        })
        .await;
    }
}

fn is(stanza: &Node, name: &str, value: &str) -> bool {
    stanza.attrs.get(name).is_some_and(|found| found == value)
}

/// A receipt for a status, to who posted it.
fn receipt(status: &Node, kind: Option<&str>, children: Vec<Node>) -> Node {
    let attr = |name| status.attrs.get(name).expect("it is there").clone();
    let receipt = NodeBuilder::new("receipt").attr("to", attr("from")).attr("id", attr("id"));
    let receipt = receipt.attr("participant", attr("participant"));
    kind.into_iter().fold(receipt, |receipt, kind| receipt.attr("type", kind)).children(children).build()
}

/// A status of a linked device, under its sender key, for those people; the key goes to device 0 of `keyed`.
async fn status(device: &mut Device, id: &str, text: &str, audience: &[&str], keyed: &[&str]) -> Node {
    let key = device.endpoint.group_key(CHAT, &mut device.rng).expect("a key");
    let key = SenderKeyDistributionMessage {
        group_id: Some(CHAT.to_owned()),
        axolotl_sender_key_distribution_message: Some(key),
    };
    let key = wa::Message { sender_key_distribution_message: MessageField::some(key), ..Default::default() };
    let mut entries = Vec::new();
    for number in audience {
        let entry = NodeBuilder::new("to").attr("jid", jid(number));
        if !keyed.contains(number) {
            entries.push(entry.build());
            continue;
        }
        let sealed = device.seal_message(&jid(number), &key).await.expect("sealed");
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", sealed.kind).bytes(sealed.bytes).build();
        entries.push(entry.children([enc]).build());
    }
    let message = wa::Message { conversation: Some(text.to_owned()), ..Default::default() };
    let plain = MessageUtils::encode_and_pad(&message);
    let sealed = device.endpoint.group_encrypt(CHAT, &plain, &mut device.rng).expect("sealed");
    let identity = NodeBuilder::new("device-identity").bytes(device.identity.clone().expect("linked")).build();
    NodeBuilder::new("message")
        .attr("to", Jid::status_broadcast())
        .attr("id", id)
        .attr("type", "text")
        .children([
            NodeBuilder::new("participants").children(entries).build(),
            NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(sealed).build(),
            identity,
        ])
        .build()
}

#[tokio::test]
async fn a_customers_status_reaches_those_it_names_or_who_wrote_to_it() {
    let Scene { network, mut device, phone, a, b } = Scene::set().await;
    network.customer_send(&b, &a, "hello").await.expect("sent");
    network.post_status(&a, &[], "for those who wrote").await.expect("posted");
    let id = network.post_status(&a, &[&phone], "for the restaurant").await.expect("posted");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert!(is(&stanza, "from", CHAT) && is(&stanza, "id", &id) && is(&stanza, "addressing_mode", "lid"), "{stanza:?}");
    assert!(is(&stanza, "participant_pn", &jid(&a).to_string()), "{stanza:?}");
    let text = device.open_in_group(&stanza).expect("opened").conversation;
    assert_eq!(text.as_deref(), Some("for the restaurant"));
    let seen: Vec<_> =
        network.customer_inbox(&b).await.expect("exists").into_iter().filter(|m| m.chat == CHAT).collect();
    assert_eq!(seen.iter().map(|m| m.text.as_deref()).collect::<Vec<_>>(), [Some("for those who wrote")]);

    // Received, looked at, and not understood: all of it comes to who posted it.
    device.send(&receipt(&stanza, None, vec![])).await.expect("sent");
    device.send(&receipt(&stanza, Some("read"), vec![])).await.expect("sent");
    let own = |number: &str| format!("{}:1@s.whatsapp.net", number);
    eventually("it is read", async || {
        let messages = network.messages(Some(&a)).await.expect("exists");
        messages.iter().any(|m| m.id == id && m.delivered.contains(&own(&phone)) && m.read.contains(&own(&phone)))
    })
    .await;
    let retry = NodeBuilder::new("retry").attr("id", id.as_str()).attr("count", "1").attr("v", "1").build();
    let registration = NodeBuilder::new("registration").bytes(vec![0, 0, 0, 1]).build();
    device.send(&receipt(&stanza, Some("retry"), vec![retry, registration])).await.expect("sent");
    let again = device.receive_tag("message").await.expect("a message");
    assert!(is(&again, "from", CHAT) && is(&again, "id", &id), "{again:?}");
    assert_eq!(device.open_in_group(&again).expect("opened").conversation.as_deref(), Some("for the restaurant"));

    // Taken back.
    let gone = network.post_status(&a, &[&phone], Say::revoke(&id)).await.expect("taken back");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert!(is(&stanza, "id", &gone), "{stanza:?}");
    let revoked = device.open_in_group(&stanza).expect("opened").protocol_message.into_option().expect("a revoke");
    let key = revoked.key.into_option().expect("a key");
    assert_eq!((key.id, key.remote_jid.as_deref()), (Some(id), Some(CHAT)));
    let stats = network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused), (0, 0));
    network.shutdown().await;
}

#[tokio::test]
async fn a_devices_status_reaches_whom_it_names_and_who_asks_again_alone() {
    let mut scene = Scene::set().await;
    let (a, b) = (scene.a.clone(), scene.b.clone());
    let first = status(&mut scene.device, "FIRST", "one", &[&a, &b], &[&a, &b]).await;
    scene.device.send(&first).await.expect("sent");
    for number in [&a, &b] {
        scene.reads(number, "FIRST", "one").await;
    }
    let delivered = scene.device.receive_tag("receipt").await.expect("a receipt");
    assert!(is(&delivered, "from", CHAT) && is(&delivered, "id", "FIRST"), "{delivered:?}");
    let by = delivered.attrs.get("participant").and_then(|by| by.to_jid()).expect("who");
    assert!(by.is_lid(), "{delivered:?}");

    // For one of them, who has the key.
    let second = status(&mut scene.device, "SECOND", "two", &[&a], &[]).await;
    scene.device.send(&second).await.expect("sent");
    scene.reads(&a, "SECOND", "two").await;
    // For somebody who lost the key: asked for, and answered to that one alone.
    let c = scene.network.add_customer().await;
    let third = status(&mut scene.device, "THIRD", "three", &[&a, &c], &[]).await;
    scene.device.send(&third).await.expect("sent");
    scene.reads(&a, "THIRD", "three").await;
    let retry = loop {
        let receipt = scene.device.receive_tag("receipt").await.expect("a receipt");
        if is(&receipt, "type", "retry") {
            break receipt;
        }
    };
    assert!(is(&retry, "from", CHAT) && is(&retry, "id", "THIRD"), "{retry:?}");
    let again = status(&mut scene.device, "THIRD", "three", &[&c], &[&c]).await;
    scene.device.send(&again).await.expect("sent");
    scene.reads(&c, "THIRD", "three").await;
    scene.reads(&a, "THIRD", "three").await;
    let texts: Vec<_> = scene.network.customer_inbox(&b).await.expect("exists").into_iter().map(|m| m.text).collect();
    assert_eq!(texts, [Some("one".to_owned())], "b was named once");
    let messages = scene.network.messages(Some(&scene.phone)).await.expect("exists");
    let third = messages.iter().find(|m| m.id == "THIRD").expect("it is there");
    assert_eq!((third.seen, third.resent, third.acked), (1, 1, true));
    scene.network.shutdown().await;
}
