//! Registration, pairing, logins, and who is kept out.

use loopback::NetworkError;
use wacore_binary::builder::NodeBuilder;

use crate::device::{Device, skey_node};
use crate::{eventually, network};

#[tokio::test]
async fn a_device_is_linked_once_and_comes_back_without_a_scan() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::linked(&network, &phone.number, 1, 5).await.expect("linked");
    for _ in 0..3 {
        device.disconnect();
        assert!(device.login_ik().await.expect("logged in"));
    }
    assert_eq!(network.phone(&phone.number).await.expect("exists").pairings, 1);
    let stats = network.stats().await;
    assert_eq!((stats.counts.pairings, stats.counts.logins, stats.linked_devices), (1, 4, 1));
    network.shutdown().await;
}

#[tokio::test]
async fn a_stale_key_of_the_server_leads_to_the_full_handshake() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::linked(&network, &phone.number, 1, 5).await.expect("linked");
    device.disconnect();
    device.server_static = Some([9; 32]);
    assert!(!device.login_ik().await.expect("answered"), "the server answers with its own key");
    device.login().await.expect("logged in");
    network.shutdown().await;
}

#[tokio::test]
async fn a_wrong_code_links_nothing() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::new(&network, 1);
    let qr = device.register().await.expect("a code");
    let unknown = network.scan(&phone.number, &qr.replacen("2@", "2@x", 1)).await;
    assert!(matches!(unknown, Err(NetworkError::Refused(_))));
    let mut other = Device::new(&network, 2);
    let others = other.register().await.expect("a code");
    let mixed: Vec<&str> = qr.split(',').take(1).chain(others.split(',').skip(1)).collect();
    assert!(matches!(network.scan(&phone.number, &mixed.join(",")).await, Err(NetworkError::Refused(_))));
    assert!(matches!(network.scan("12", &qr).await, Err(NetworkError::UnknownNumber(_))));
    assert!(matches!(network.link_code(&phone.number, "ABCDEFGH").await, Err(NetworkError::Refused(_))));
    assert_eq!(network.stats().await.counts.pairings, 0);
    network.shutdown().await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_pairing_is_not_linked() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::new(&network, 1);
    let qr = device.register().await.expect("a code");
    let (scanned, ()) = tokio::join!(network.scan(&phone.number, &qr), async {
        device.receive_tag("iq").await.expect("pair-success");
        device.disconnect();
    });
    assert!(matches!(scanned, Err(NetworkError::Refused(reason)) if reason.contains("went away")));
    assert!(network.devices(&phone.number).await.expect("exists").is_empty());
    network.shutdown().await;
}

#[tokio::test]
async fn a_second_login_replaces_the_first() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::linked(&network, &phone.number, 1, 5).await.expect("linked");
    let mut twin = device.twin();
    twin.login().await.expect("logged in");
    let last = device.receive_tag("stream:error").await.expect("told so");
    let conflict = last.get_optional_child("conflict").and_then(|c| c.attrs.get("type")).expect("a conflict");
    assert_eq!(conflict.as_str(), "replaced");
    assert!(last.attrs.get("code").is_none());
    twin.activate().await.expect("the second one is served");
    eventually("one is left", async || network.stats().await.open_connections == 1).await;
    assert_eq!(network.stats().await.counts.replaced_logins, 1);
    network.shutdown().await;
}

#[tokio::test]
async fn an_unlinked_device_hears_so_and_stays_out() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::linked(&network, &phone.number, 1, 5).await.expect("linked");
    network.unlink(&phone.number, 1).await.expect("unlinked");
    let last = device.receive_tag("stream:error").await.expect("told so");
    assert!(last.attrs.get("code").is_some_and(|code| code == "401"));
    assert!(last.get_optional_child("conflict").is_some());
    let failure = device.try_login().await.expect("answered");
    assert_eq!(failure.tag, "failure");
    assert!(failure.attrs.get("reason").is_some_and(|reason| reason == "401"));
    assert!(network.unlink(&phone.number, 1).await.is_err());
    network.shutdown().await;
}

#[tokio::test]
async fn only_the_owner_of_the_key_logs_in() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let device = Device::linked(&network, &phone.number, 1, 5).await.expect("linked");
    let mut stranger = Device::new(&network, 2);
    stranger.jid.clone_from(&device.jid);
    let failure = stranger.try_login().await.expect("answered");
    assert_eq!(failure.tag, "failure");
    assert_eq!(network.stats().await.counts.replaced_logins, 0);
    network.shutdown().await;
}

#[tokio::test]
async fn a_device_whose_signature_does_not_verify_is_not_linked() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let mut device = Device::new(&network, 1);
    device.forges = true;
    let qr = device.register().await.expect("a code");
    let (scanned, signed) = tokio::join!(network.scan(&phone.number, &qr), device.sign_pairing());
    signed.expect("answered");
    assert!(matches!(scanned, Err(NetworkError::Refused(why)) if why.contains("does not verify")));
    assert!(network.devices(&phone.number).await.expect("exists").is_empty());
    network.shutdown().await;
}

#[tokio::test]
async fn a_rotated_key_is_what_bundles_carry_and_a_forged_one_is_refused() {
    let network = network().await;
    let phone = network.add_phone(None).await;
    let customer = network.add_customer().await;
    let mut device = Device::linked(&network, &phone.number, 1, 5).await.expect("linked");
    device.rotate().await.expect("accepted");
    let rotated = network.devices(&phone.number).await.expect("exists")[0].signed_pre_key;
    assert_eq!(rotated, 2);
    network.customer_send(&customer, &phone.number, "with the new one").await.expect("sent");
    let message = device.message().await.expect("it opens");
    assert_eq!(message.text.as_deref(), Some("with the new one"));

    let mut forged = device.endpoint.signed_key().clone();
    forged.id = 3;
    forged.signature[0] ^= 1;
    let rotate = NodeBuilder::new("rotate").children([skey_node(&forged)]).build();
    assert!(device.request("set", "encrypt", rotate).await.is_err());
    let kept = network.devices(&phone.number).await.expect("exists")[0].signed_pre_key;
    assert_eq!(kept, 2);
    network.shutdown().await;
}
