//! Each fault, as a client feels it.

use std::time::{Duration, Instant};

use loopback::{Fault, FaultKind, Network, NetworkError};

use crate::device::Device;
use crate::{eventually, jid, network};

const QUIET: Duration = Duration::from_millis(200);

async fn linked() -> (Network, String, String, Device) {
    let network = network().await;
    let phone = network.add_phone(None).await.number;
    let customer = network.add_customer().await;
    let device = Device::linked(&network, &phone, 1, 20).await.expect("linked");
    (network, phone, customer, device)
}

fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind)
}

#[tokio::test]
async fn drop_closes_the_socket_of_its_target_only() {
    let (network, phone, _, mut device) = linked().await;
    let other = network.add_phone(None).await.number;
    let mut bystander = Device::linked(&network, &other, 2, 5).await.expect("linked");
    network.fault(fault(FaultKind::Drop).target(&phone)).await.expect("injected");
    assert!(device.receive_tag("never").await.is_err());
    bystander.ping().await.expect("untouched");
    device.login().await.expect("a drop without a duration is over");
    network.shutdown().await;
}

#[tokio::test]
async fn silence_answers_nothing_until_it_is_cleared() {
    let (network, phone, customer, mut device) = linked().await;
    network.fault(fault(FaultKind::Silence).target(&phone)).await.expect("injected");
    network.customer_send(&customer, &phone, "unheard").await.expect("sent");
    let ping = wacore_binary::builder::NodeBuilder::new("ping").build();
    assert!(tokio::time::timeout(QUIET, device.request("get", "w:p", ping)).await.is_err());
    network.clear_faults().await;
    assert_eq!(device.message().await.expect("a message").text.as_deref(), Some("unheard"));
    network.shutdown().await;
}

#[tokio::test]
async fn withhold_answers_pings_and_keeps_messages_back() {
    let (network, phone, customer, mut device) = linked().await;
    network.fault(fault(FaultKind::Withhold).target(&phone).ms(400)).await.expect("injected");
    network.customer_send(&customer, &phone, "late").await.expect("sent");
    device.ping().await.expect("answered");
    assert!(device.hears_nothing(QUIET).await);
    assert_eq!(device.message().await.expect("it ends by itself").text.as_deref(), Some("late"));
    network.shutdown().await;
}

#[tokio::test]
async fn withheld_acks_come_when_cleared_and_die_with_the_socket() {
    let (network, phone, customer, mut device) = linked().await;
    network.fault(fault(FaultKind::WithholdAcks)).await.expect("injected");
    device.send_text(&jid(&customer), "A", "arrives all the same").await.expect("sent");
    eventually("it is routed", async || !network.customer_inbox(&customer).await.expect("exists").is_empty()).await;
    let acked = async || network.messages(Some(&phone)).await.expect("exists").iter().any(|m| m.id == "A" && m.acked);
    assert!(!acked().await);
    network.clear_faults().await;
    let ack = device.receive_tag("ack").await.expect("the ack");
    assert!(ack.attrs.get("id").is_some_and(|id| id == "A"));
    assert!(acked().await);

    network.fault(fault(FaultKind::WithholdAcks)).await.expect("injected");
    device.send_text(&jid(&customer), "B", "never acked").await.expect("sent");
    device.ping().await.expect("answered");
    device.disconnect();
    eventually("it is offline", async || !network.devices(&phone).await.expect("exists")[0].online).await;
    network.clear_faults().await;
    device.login().await.expect("logged in");
    assert!(device.hears_nothing(QUIET).await);
    let of_phone = network.messages(Some(&phone)).await.expect("exists");
    assert!(of_phone.iter().any(|m| m.id == "B" && !m.acked));
    network.shutdown().await;
}

#[tokio::test]
async fn withheld_logins_hang_and_refused_ones_close() {
    let (network, phone, _, mut device) = linked().await;
    device.disconnect();
    network.fault(fault(FaultKind::WithholdLogin).target(&phone)).await.expect("injected");
    let hung = tokio::time::timeout(QUIET, device.try_login()).await;
    assert!(hung.is_err(), "a login got {hung:?}");
    network.clear_faults().await;
    network.fault(fault(FaultKind::Refuse).ms(300)).await.expect("injected");
    let start = Instant::now();
    assert!(device.try_login().await.is_err());
    eventually("the refusal ends", async || device.try_login().await.is_ok()).await;
    assert!(start.elapsed() >= Duration::from_millis(250));
    network.shutdown().await;
}

#[tokio::test]
async fn latency_delays_every_answer() {
    let (network, _, _, mut device) = linked().await;
    let missing = network.fault(fault(FaultKind::Latency)).await;
    assert!(matches!(missing, Err(NetworkError::Refused(_))));
    network.fault(fault(FaultKind::Latency).ms(150)).await.expect("injected");
    let start = Instant::now();
    device.ping().await.expect("answered");
    assert!(start.elapsed() >= Duration::from_millis(150));
    network.clear_faults().await;
    let start = Instant::now();
    device.ping().await.expect("answered");
    assert!(start.elapsed() < Duration::from_millis(150));
    network.shutdown().await;
}

#[tokio::test]
async fn stream_errors_carry_their_code_and_the_socket_closes_a_little_later() {
    let (network, phone, _, mut device) = linked().await;
    network.fault(fault(FaultKind::StreamError).code(515).target(&phone)).await.expect("injected");
    let start = Instant::now();
    let last = device.receive_tag("stream:error").await.expect("told so");
    assert!(last.attrs.get("code").is_some_and(|code| code == "515"));
    assert!(device.receive().await.is_err());
    assert!(start.elapsed() >= Duration::from_millis(300), "a client needs time to read");
    device.login().await.expect("it was for once");
    network.fault(fault(FaultKind::Replaced)).await.expect("injected");
    let last = device.receive_tag("stream:error").await.expect("told so");
    assert!(last.get_optional_child("conflict").is_some());
    network.shutdown().await;
}

#[tokio::test]
async fn connect_failures_refuse_as_many_logins_as_they_count() {
    let (network, phone, _, mut device) = linked().await;
    device.ping().await.expect("a live connection is not touched");
    let failure = fault(FaultKind::ConnectFailure).code(402).count(2).target(&phone);
    network.fault(failure).await.expect("injected");
    for _ in 0..2 {
        let answer = device.try_login().await.expect("answered");
        assert_eq!(answer.tag, "failure");
        assert!(answer.attrs.get("reason").is_some_and(|reason| reason == "402"));
        assert!(answer.attrs.contains_key("expire"), "a ban says until when");
    }
    device.login().await.expect("two were refused");
    network.shutdown().await;
}

#[tokio::test]
async fn a_fault_for_a_customer_cuts_that_customer_off() {
    let (network, _, customer, mut device) = linked().await;
    network.fault(fault(FaultKind::Withhold).target(&customer)).await.expect("injected");
    device.send_text(&jid(&customer), "A", "are you there?").await.expect("sent");
    device.ping().await.expect("answered");
    assert!(network.customer_inbox(&customer).await.expect("exists").is_empty());
    network.clear_faults().await;
    assert_eq!(network.customer_inbox(&customer).await.expect("exists").len(), 1);
    let unknown = network.fault(fault(FaultKind::Drop).target("12")).await;
    assert!(matches!(unknown, Err(NetworkError::Refused(_))));
    network.shutdown().await;
}

fn has(stanza: &wacore_binary::Node, key: &str, value: &str) -> bool {
    stanza.attrs.get(key).is_some_and(|given| given == value)
}

#[tokio::test]
async fn one_message_or_one_chat_is_never_acked_and_the_others_are() {
    let (network, phone, customer, mut device) = linked().await;
    let other = network.add_customer().await;
    let lid = network.phone(&other).await.expect("exists").lid;
    network.fault(fault(FaultKind::WithholdAcks).id("A")).await.expect("injected");
    network.fault(fault(FaultKind::WithholdAcks).chat(lid)).await.expect("injected");
    device.send_text(&jid(&customer), "A", "never acked").await.expect("sent");
    device.send_text(&jid(&other), "B", "in a chat that is never acked").await.expect("sent");
    device.send_text(&jid(&customer), "C", "acked").await.expect("sent");
    let ack = device.receive_tag("ack").await.expect("an ack");
    assert!(has(&ack, "id", "C"), "{ack:?}");
    let of_phone = network.messages(Some(&phone)).await.expect("exists");
    let acked: Vec<_> = of_phone.iter().filter(|m| m.acked && !m.peer).map(|m| m.id.as_str()).collect();
    assert_eq!(acked, ["C"]);
    network.clear_faults().await;
    for id in ["A", "B"] {
        let ack = device.receive_tag("ack").await.expect("an ack");
        assert!(has(&ack, "id", id), "{ack:?}");
    }
    network.shutdown().await;
}

#[tokio::test]
async fn late_acks_are_overtaken() {
    let (network, _, customer, mut device) = linked().await;
    network.fault(fault(FaultKind::LateAcks).ms(500)).await.expect("injected");
    let start = Instant::now();
    device.send_text(&jid(&customer), "A", "acked late").await.expect("sent");
    device.ping().await.expect("answered before");
    assert!(start.elapsed() < Duration::from_millis(500));
    let ack = device.receive_tag("ack").await.expect("an ack");
    assert!(has(&ack, "id", "A"), "{ack:?}");
    assert!(start.elapsed() >= Duration::from_millis(500));
    network.shutdown().await;
}

#[tokio::test]
async fn error_acks_refuse_as_many_messages_as_they_count() {
    let (network, _, customer, mut device) = linked().await;
    network.fault(fault(FaultKind::ErrorAcks).code(463).chat(&customer).count(1)).await.expect("injected");
    device.send_text(&jid(&customer), "A", "refused").await.expect("sent");
    let ack = device.receive_tag("ack").await.expect("an ack");
    assert!(has(&ack, "id", "A") && has(&ack, "error", "463"), "{ack:?}");
    assert!(network.customer_inbox(&customer).await.expect("exists").is_empty());
    device.send_text(&jid(&customer), "B", "taken").await.expect("sent");
    let ack = device.receive_tag("ack").await.expect("an ack");
    assert!(has(&ack, "id", "B") && !ack.attrs.contains_key("error"), "{ack:?}");
    network.shutdown().await;
}

#[tokio::test]
async fn requests_of_a_namespace_are_refused_or_not_answered() {
    let (network, phone, customer, mut device) = linked().await;
    let group = network.create_group(&customer, "Friends", &[&phone]).await.expect("made").jid;
    let group: wacore_binary::Jid = group.parse().expect("a JID");
    let query = || wacore_binary::builder::NodeBuilder::new("query").build();
    network.fault(fault(FaultKind::IqError).xmlns("w:g2").tag("query").code(403).count(1)).await.expect("injected");
    let refused = device.ask_group(group.clone(), "get", query()).await.expect("answered");
    let error = refused.get_optional_child("error").expect("an error");
    assert!(has(error, "code", "403") && has(error, "text", "forbidden"), "{error:?}");
    let answer = device.ask_group(group, "get", query()).await.expect("answered");
    assert!(has(&answer, "type", "result"), "it was for once: {answer:?}");

    network.fault(fault(FaultKind::IqSilence).xmlns("encrypt")).await.expect("injected");
    device.ping().await.expect("other requests are answered");
    let to = jid(&customer);
    let unanswered = tokio::time::timeout(QUIET, device.fetch_bundle(&to)).await;
    assert!(unanswered.is_err(), "{unanswered:?}");
    network.shutdown().await;
}

#[tokio::test]
async fn a_hidden_number_is_nowhere_in_the_message() {
    let (network, phone, customer, mut device) = linked().await;
    let lid = network.phone(&phone).await.expect("exists").lid;
    network.fault(fault(FaultKind::HideNumber).target(&customer)).await.expect("injected");
    network.customer_send(&customer, &lid, "guess who").await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert!(!stanza.attrs.contains_key("sender_pn"), "{stanza:?}");
    assert!(stanza.attrs.get("from").is_some_and(|from| from.as_str().ends_with("@lid")), "{stanza:?}");
    let group = network.create_group(&customer, "Friends", &[&phone]).await.expect("made").jid;
    network.customer_send(&customer, &group, "guess who").await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert!(!stanza.attrs.contains_key("participant_pn"), "{stanza:?}");
    network.shutdown().await;
}

#[tokio::test]
async fn a_message_with_nothing_in_it_waits_for_its_ack_like_any_other() {
    let (network, phone, customer, mut device) = linked().await;
    let id = network.customer_sends_nothing(&customer, &phone).await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert!(has(&stanza, "id", &id) && stanza.children().is_none(), "{stanza:?}");
    assert_eq!(network.devices(&phone).await.expect("exists")[0].waiting, [id]);
    network.shutdown().await;
}

#[tokio::test]
async fn a_stream_error_may_leave_the_socket_open_and_dead() {
    let (network, phone, _, mut device) = linked().await;
    network.fault(fault(FaultKind::StreamErrorOpen).code(503).ms(200).target(&phone)).await.expect("injected");
    let last = device.receive_tag("stream:error").await.expect("told so");
    assert!(has(&last, "code", "503"));
    let ping = wacore_binary::builder::NodeBuilder::new("ping").build();
    let unanswered = tokio::time::timeout(QUIET, device.request("get", "w:p", ping)).await;
    assert!(unanswered.is_err(), "open, but dead: {unanswered:?}");
    eventually("it ends by itself", async || device.try_login().await.is_ok_and(|first| first.tag == "success")).await;
    network.shutdown().await;
}

#[tokio::test]
async fn a_short_handshake_is_closed_or_ignored_and_a_full_one_is_not() {
    let (network, phone, _, mut device) = linked().await;
    network.fault(fault(FaultKind::CloseIk).target(&phone)).await.expect("injected");
    assert!(device.login_ik().await.is_err(), "closed");
    device.login().await.expect("a full one works");
    network.clear_faults().await;
    network.fault(fault(FaultKind::IgnoreIk)).await.expect("injected");
    let ignored = tokio::time::timeout(QUIET, device.login_ik()).await;
    assert!(ignored.is_err(), "{ignored:?}");
    network.clear_faults().await;
    assert!(device.login_ik().await.expect("over"));
    network.shutdown().await;
}

#[tokio::test]
async fn a_phone_keeps_the_keys_of_the_app_state_to_itself() {
    let network = network().await;
    let phone = network.add_phone(None).await.number;
    network.fault(fault(FaultKind::WithholdKeys)).await.expect("injected");
    let mut device = Device::new(&network, 1);
    device.pair(&network, &phone).await.expect("paired");
    device.login().await.expect("logged in");
    device.upload(5).await.expect("uploaded");
    let shares = |waiting: &[crate::device::Incoming]| {
        let of = |one: &&crate::device::Incoming| {
            let protocol = one.message.as_ref().and_then(|m| m.protocol_message.as_option());
            protocol.is_some_and(|p| p.app_state_sync_key_share.is_set())
        };
        waiting.iter().filter(of).count()
    };
    let waiting = device.activate().await.expect("what waits");
    assert_eq!(shares(&waiting), 0);
    network.clear_faults().await;
    device.disconnect();
    device.login().await.expect("logged in");
    let waiting = device.activate().await.expect("what waits");
    assert_eq!(shares(&waiting), 1);
    network.shutdown().await;
}
