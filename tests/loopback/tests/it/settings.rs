//! What an account's devices share, whom it blocks, who calls it: with a device that seals its settings as clients do.

use std::sync::Arc;

use loopback::{Fault, FaultKind, Network, Setting};
use serde_json::json;
use wacore::appstate::hash::{HashState, generate_patch_mac};
use wacore::appstate::{ExpandedAppStateKeys, encode_record, expand_app_state_keys, process_patch};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use crate::device::{Device, bytes};
use crate::{eventually, jid, network};

/// The key that the phone shares at a first login.
struct Key {
    id: Vec<u8>,
    keys: Arc<ExpandedAppStateKeys>,
}

async fn linked(network: &Network, number: &str, seed: u64) -> (Device, Key) {
    let mut device = Device::new(network, seed);
    device.pair(network, number).await.expect("paired");
    device.login().await.expect("logged in");
    device.upload(20).await.expect("uploaded");
    let mut key = None;
    for incoming in device.activate().await.expect("active") {
        device.receipt(&incoming).await.expect("sent");
        let protocol = incoming.message.and_then(|message| message.protocol_message.into_option());
        let share = protocol.and_then(|protocol| protocol.app_state_sync_key_share.into_option());
        key = share.and_then(|share| share.keys.into_iter().next()).or(key);
    }
    let key = key.expect("the phone shares its key");
    let id = key.key_id.into_option().and_then(|id| id.key_id).expect("an id");
    let data = key.key_data.into_option().and_then(|data| data.key_data).expect("a key");
    (device, Key { id, keys: Arc::new(expand_app_state_keys(&data)) })
}

/// A patch that archives a chat, on top of `state`.
fn archiving(key: &Key, state: &HashState, chat: &Jid) -> wa::SyncdPatch {
    let value = wa::SyncActionValue {
        archive_chat_action: MessageField::some(wa::sync_action_value::ArchiveChatAction {
            archived: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    };
    let index = serde_json::to_vec(&["archive".to_owned(), chat.to_string()]).expect("plain");
    let (mutation, _) = encode_record(SyncdOperation::SET, &index, &value, &key.keys, &key.id, &[7; 16], 3);
    let mut state = state.clone();
    state.update_hash(std::slice::from_ref(&mutation), |_, _| Ok(None)).1.expect("hashed");
    state.version += 1;
    let mut patch = wa::SyncdPatch {
        snapshot_mac: Some(state.generate_snapshot_mac("regular_low", &key.keys.snapshot_mac)),
        key_id: MessageField::some(wa::KeyId { id: Some(key.id.clone()) }),
        mutations: vec![mutation],
        ..Default::default()
    };
    patch.patch_mac = Some(generate_patch_mac(&patch, "regular_low", &key.keys.patch_mac, state.version));
    patch
}

/// Asks for a collection, and brings a patch.
async fn sync(device: &mut Device, version: u64, patch: Option<&wa::SyncdPatch>) -> Node {
    let mut collection = NodeBuilder::new("collection").attr("name", "regular_low").attr("version", version);
    if let Some(patch) = patch {
        collection = collection.children([NodeBuilder::new("patch").bytes(patch.encode_to_vec()).build()]);
    }
    let sync = NodeBuilder::new("sync").children([collection.build()]).build();
    let answer = device.request("set", "w:sync:app:state", sync).await.expect("answered");
    answer.get_optional_child_by_tag(&["sync", "collection"]).expect("a collection").clone()
}

fn error(collection: &Node) -> Option<String> {
    Some(collection.get_optional_child("error")?.attrs.get("code")?.as_str().into_owned())
}

fn patches(collection: &Node) -> Vec<wa::SyncdPatch> {
    let all = collection.get_optional_child("patches").into_iter().flat_map(|all| all.get_children_by_tag("patch"));
    all.map(|patch| wa::SyncdPatch::decode_from_slice(&bytes(patch).expect("bytes")).expect("a patch")).collect()
}

#[tokio::test]
async fn settings_are_taken_in_order_and_told_to_the_other_devices() {
    let network = network().await;
    let phone = network.add_phone(None).await.number;
    let (a, b) = (network.add_customer().await, network.add_customer().await);
    let (mut one, key) = linked(&network, &phone, 1).await;
    let (mut two, _) = linked(&network, &phone, 2).await;
    let archived = async |number: &str| {
        let settings = network.settings(&phone).await.expect("exists");
        settings.get(&format!("archive {}", jid(number))).cloned().unwrap_or_default()
    };

    let first = archiving(&key, &HashState::default(), &jid(&a));
    assert_eq!(error(&sync(&mut one, 0, Some(&first)).await), None);
    assert_eq!(archived(&a).await["archive_chat_action"]["archived"], json!(true));
    let told = two.receive_tag("notification").await.expect("told");
    assert!(told.attrs.get("type").is_some_and(|kind| kind == "server_sync"), "{told:?}");
    let changed = told.get_optional_child("collection").expect("which");
    assert!(changed.attrs.get("version").is_some_and(|version| version == "1"), "{told:?}");

    // On an old base: refused, with what came first.
    let late = sync(&mut two, 0, Some(&archiving(&key, &HashState::default(), &jid(&b)))).await;
    assert_eq!(error(&late).as_deref(), Some("409"));
    let came = patches(&late);
    assert_eq!(came.len(), 1);
    let mut state = HashState::default();
    let keys = key.keys.clone();
    let read = process_patch(&came[0], &mut state, |_| Ok(keys.clone()), |_| Ok(None), true, "regular_low");
    assert_eq!(read.expect("a device can read it").mutations[0].index[1], jid(&a).to_string());
    assert!(archived(&b).await.is_null());

    // Spoiled, or sealed for another base: the phone would not believe it.
    let mut spoiled = archiving(&key, &state, &jid(&b));
    spoiled.patch_mac.as_mut().expect("sealed")[0] ^= 1;
    assert_eq!(error(&sync(&mut two, 1, Some(&spoiled)).await).as_deref(), Some("400"));
    assert!(archived(&b).await.is_null());
    assert_eq!(error(&sync(&mut two, 1, Some(&archiving(&key, &state, &jid(&b)))).await), None);
    assert_eq!(archived(&b).await["archive_chat_action"]["archived"], json!(true));

    // What the owner does on the phone comes the same way.
    let back = Setting::Archived { chat: a.clone(), on: false };
    network.phone_sets(&phone, &back).await.expect("set");
    let all = patches(&sync(&mut one, 0, None).await);
    assert_eq!(all.len(), 3);
    let newest = patches(&sync(&mut one, 2, None).await);
    assert_eq!(newest.len(), 1);
    assert_eq!(archived(&a).await["archive_chat_action"]["archived"], json!(false));

    // A patch at a time, each answer saying that there is more.
    network.fault(Fault::new(FaultKind::PagedAppState)).await.expect("injected");
    for (version, more) in [(0, true), (1, true), (2, false)] {
        let page = sync(&mut one, version, None).await;
        let has_more = page.attrs.get("has_more_patches").is_some_and(|more| more == "true");
        assert_eq!((patches(&page).len(), has_more), (1, more), "{version}");
    }
    network.shutdown().await;
}

#[tokio::test]
async fn who_is_blocked_writes_into_the_void() {
    let network = network().await;
    let phone = network.add_phone(None).await.number;
    let a = network.add_customer().await;
    let mut device = Device::linked(&network, &phone, 1, 20).await.expect("linked");
    let lid: Jid = network.phone(&a).await.expect("exists").lid.parse().expect("a LID");
    let block = |with_number: bool| {
        let item = NodeBuilder::new("item").attr("jid", lid.clone()).attr("action", "block");
        if with_number { item.attr("pn_jid", jid(&a)).build() } else { item.build() }
    };
    device.request("set", "blocklist", block(false)).await.expect_err("without the number");
    assert!(network.blocked(&phone).await.expect("exists").is_empty());
    device.request("set", "blocklist", block(true)).await.expect("answered");
    assert_eq!(network.blocked(&phone).await.expect("exists"), std::slice::from_ref(&a));
    network.customer_send(&a, &phone, "hello?").await.expect("sent");
    let unblock = NodeBuilder::new("item").attr("jid", lid).attr("action", "unblock").build();
    device.request("set", "blocklist", unblock).await.expect("answered");
    network.customer_send(&a, &phone, "now?").await.expect("sent");
    assert_eq!(device.message().await.expect("a message").text.as_deref(), Some("now?"));
    network.shutdown().await;
}

#[tokio::test]
async fn a_call_is_declined_by_who_names_its_maker() {
    let network = network().await;
    let phone = network.add_phone(None).await.number;
    let a = network.add_customer().await;
    let mut device = Device::linked(&network, &phone, 1, 20).await.expect("linked");
    let id = network.customer_calls(&a, &phone).await.expect("rings");
    let rings = device.receive_tag("call").await.expect("a call");
    let offer = rings.get_optional_child("offer").expect("an offer");
    assert!(offer.attrs.get("call-id").is_some_and(|call| call == id.as_str()));
    let decline = |creator: Jid| {
        let reject = NodeBuilder::new("reject").attr("call-id", id.as_str()).attr("call-creator", creator).build();
        NodeBuilder::new("call").attr("to", jid(&a)).attr("id", "C1").children([reject]).build()
    };
    device.send(&decline(jid(&phone))).await.expect("sent");
    device.receive_tag("ack").await.expect("an ack");
    assert_eq!(network.calls().await[0].declined_by, None);
    device.send(&decline(jid(&a))).await.expect("sent");
    eventually("it is declined", async || network.calls().await[0].declined_by.is_some()).await;
    network.shutdown().await;
}
