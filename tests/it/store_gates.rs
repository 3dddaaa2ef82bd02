//! Promise 4 and the pairing: what the store holds back until the vault has it, and what it lets pass.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use prost::Message;
use sessiond::{
    store::{
        Batch, Hooks, Store, key,
        records::{InboxKind, InboxRecord, OutboxRecord},
        space,
    },
    vault::Decision,
};
use whatsapp_rust::{
    wacore::{
        libsignal::protocol::{SenderKeyRecord, SessionRecord, consts::SENDER_CHAIN_RESERVATION_BATCH},
        store::{
            Device,
            traits::{DeviceStore, LidPnMappingEntry, ProtocolStore, SignalStore},
        },
    },
    waproto::whatsapp::ADVSignedDeviceIdentity,
};

use crate::store_world::{Peer, World, soon};

const GROUP: &str = "120363021033254949@g.us";

async fn session(world: &World, peer: &Peer) -> SessionRecord {
    let record = world.store.get_session(peer.address.as_str()).await.unwrap().expect("a session");
    SessionRecord::deserialize(&record).unwrap()
}

#[tokio::test]
async fn a_raised_ceiling_is_in_the_vault_before_the_message_is_on_the_wire() {
    let world = World::new().await;
    let (mut own, customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    own.meet(&customer).await;

    own.encrypt(&customer.address).await;
    world.waits(own.flush()).await.unwrap();
    assert_eq!(session(&world, &customer).await.reserved_sender_chain_index(), SENDER_CHAIN_RESERVATION_BATCH);

    // As many as the lease covers pass; the one after it waits.
    for _ in 1..SENDER_CHAIN_RESERVATION_BATCH {
        own.encrypt(&customer.address).await;
        world.passes(own.flush()).await.unwrap();
    }
    own.encrypt(&customer.address).await;
    world.waits(own.flush()).await.unwrap();
    assert_eq!(session(&world, &customer).await.reserved_sender_chain_index(), 2 * SENDER_CHAIN_RESERVATION_BATCH);
}

#[tokio::test]
async fn the_ratchet_step_under_a_message_is_in_the_vault_before_it() {
    let world = World::new().await;
    let (mut own, mut customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    Peer::know_each_other(&mut own, &mut customer).await;
    let message = own.encrypt(&customer.address).await;
    customer.decrypt(&own.address, &message).await;
    own.flush().await.unwrap();

    // An answer makes a new chain that inherits the ceiling: the library raises no lease for what goes out on it.
    let chain = session(&world, &customer).await.session_state().unwrap().sender_ratchet_key().unwrap();
    let message = customer.encrypt(&own.address).await;
    own.decrypt(&customer.address, &message).await;
    own.encrypt(&customer.address).await;
    world.waits(own.flush()).await.unwrap();
    let next = session(&world, &customer).await;
    assert_ne!(next.session_state().unwrap().sender_ratchet_key().unwrap(), chain);
    assert_eq!(next.reserved_sender_chain_index(), SENDER_CHAIN_RESERVATION_BATCH);
}

#[tokio::test]
async fn what_only_comes_in_waits_for_nothing() {
    let world = World::new().await;
    let (mut own, mut customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    customer.meet(&own).await;
    for _ in 0..3 {
        let message = customer.encrypt(&own.address).await;
        own.decrypt(&customer.address, &message).await;
        world.passes(own.flush()).await.unwrap();
    }
    assert_eq!(session(&world, &customer).await.reserved_sender_chain_index(), 0);
}

#[tokio::test]
async fn sender_keys_are_gated_as_sessions_are() {
    let world = World::new().await;
    let mut own = Peer::new("111", world.backend()).await;
    own.encrypt_for(GROUP).await;
    world.waits(own.flush()).await.unwrap();
    // A member left: a new key, under the old name and with the same ceiling, is another chain.
    own.rotate(GROUP).await;
    own.encrypt_for(GROUP).await;
    world.waits(own.flush()).await.unwrap();
    for _ in 1..SENDER_CHAIN_RESERVATION_BATCH {
        own.encrypt_for(GROUP).await;
        world.passes(own.flush()).await.unwrap();
    }
    own.encrypt_for(GROUP).await;
    world.waits(own.flush()).await.unwrap();
    let record = world.store.get_sender_key(&own.sender_key_name(GROUP)).await.unwrap().unwrap();
    let ceiling = SenderKeyRecord::deserialize(&record).unwrap().reserved_iteration();
    assert_eq!(ceiling, 2 * SENDER_CHAIN_RESERVATION_BATCH);
}

/// The session task is aborted while its write waits. The record is in the working copy by then, unchanged for a
/// comparison, but the vault does not have it.
#[tokio::test]
async fn a_wait_that_was_given_up_is_owed_by_the_next_write() {
    let world = World::new().await;
    let (mut own, customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    own.meet(&customer).await;
    own.encrypt(&customer.address).await;
    world.silence();
    {
        let mut flush = std::pin::pin!(own.flush());
        world.stays_pending(flush.as_mut()).await;
    }
    let mut again = std::pin::pin!(own.flush());
    world.stays_pending(again.as_mut()).await;
    world.answer();
    soon(again).await.unwrap();
}

#[tokio::test]
async fn a_restored_lease_is_a_durable_one() {
    let world = World::new().await;
    let (mut own, customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    own.meet(&customer).await;
    own.encrypt(&customer.address).await;
    own.flush().await.unwrap();

    let restored = world.restored().await;
    let record = restored.store.get_session(customer.address.as_str()).await.unwrap().unwrap();
    restored.passes(restored.store.put_session(customer.address.as_str(), &record)).await.unwrap();
}

#[tokio::test]
async fn keys_that_whatsapp_hands_out_are_in_the_vault_before_it_gets_them() {
    let world = World::new().await;
    let store = &world.store;
    world.waits(store.store_prekey(1, b"record", false)).await.unwrap();
    world.waits(store.store_prekeys_batch(&[(2, "a".into()), (3, "b".into())], false)).await.unwrap();
    world.waits(store.store_signed_prekey(1, b"record")).await.unwrap();
    world.passes(store.mark_prekeys_uploaded(&[1, 2, 3])).await.unwrap();
    world.passes(store.remove_prekey(1)).await.unwrap();
}

#[tokio::test]
async fn nothing_goes_out_for_a_fenced_owner() {
    let world = World::new().await;
    let (mut own, customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    own.meet(&customer).await;
    own.encrypt(&customer.address).await;
    world.fence().await;
    assert!(own.flush().await.is_err());
}

#[tokio::test]
async fn with_the_gates_off_nothing_waits() {
    let world = World::new().await;
    let (mut own, customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    own.meet(&customer).await;
    own.encrypt(&customer.address).await;
    world.store.gates_off();
    world.passes(own.flush()).await.unwrap();
    world.passes(world.store.save(&paired(device()))).await.unwrap();
    let duplicate = world.store.get_pending_inbound("222@lid", "222@lid", "A").await.unwrap();
    assert!(duplicate.is_none(), "the library's own answer, which loses the message");
}

// --- the device

fn device() -> Device {
    Device::new()
}

fn paired(mut device: Device) -> Device {
    device.pn = Some("5511987650001:7@s.whatsapp.net".parse().unwrap());
    device.lid = Some("100000012345678:7@lid".parse().unwrap());
    device.account = Some(Arc::new(ADVSignedDeviceIdentity::default()));
    device
}

fn own_mapping() -> LidPnMappingEntry {
    LidPnMappingEntry {
        lid: "100000012345678".into(),
        phone_number: "5511987650001".into(),
        created_at: 1,
        updated_at: 1,
        learning_source: "pairing".into(),
    }
}

fn connected() -> Decision {
    Decision { whatsapp_connected: Some(true), phone_number: Some(Some("5511987650001".into())), connected_at: None }
}

#[tokio::test]
async fn a_paired_device_is_saved_when_the_vault_has_it() {
    let world = World::new().await;
    let device = device();
    world.passes(world.store.save(&device)).await.unwrap();

    // The library sets the number first and wakes its saver: half a pairing is none.
    let mut half = paired(device.clone());
    half.account = None;
    world.passes(world.store.save(&half)).await.unwrap();
    world.settle().await;
    assert!(world.line.decisions().is_empty());

    world.waits(world.store.save(&paired(device.clone()))).await.unwrap();
    let (at, decision) = world.line.decisions().pop().expect("a decision");
    assert!(decision.connected_at.as_ref().is_some_and(Option::is_some));
    assert_eq!(Decision { connected_at: None, ..decision }, connected());
    // One commit: before it neither is there, after it both are.
    let before = world.restored_after(at - 1).await.store.load().await.unwrap();
    assert!(before.is_some_and(|device| device.account.is_none()));
    let after = world.restored_after(at).await.store.load().await.unwrap();
    assert!(after.is_some_and(|device| device.account.is_some()));

    let mut renamed = paired(device);
    renamed.push_name = "Restaurant".into();
    world.waits(world.store.save(&renamed)).await.unwrap();
    assert_eq!(world.line.decisions().len(), 1, "the pairing is decided once");
}

#[tokio::test]
async fn a_restored_device_decides_nothing() {
    let world = World::new().await;
    world.store.save(&paired(device())).await.unwrap();
    let restored = world.restored().await;
    let device = restored.store.load().await.unwrap().unwrap();
    restored.store.save(&device).await.unwrap();
    assert!(restored.line.decisions().is_empty());
}

#[tokio::test]
async fn a_save_that_can_never_be_durable_never_returns() {
    let world = World::new().await;
    world.fence().await;
    let device = paired(device());
    let mut save = std::pin::pin!(world.store.save(&device));
    world.stays_pending(save.as_mut()).await;
    world.store.close().await.unwrap();
    for _ in 0..10 {
        assert!(crate::store_world::poll_once(save.as_mut()).await.is_pending());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_late_save_does_not_undo_a_pairing() {
    let world = World::new().await;
    let before = device();
    world.store.save(&paired(before.clone())).await.unwrap();
    world.store.save(&before).await.unwrap();
    assert!(world.store.load().await.unwrap().unwrap().pn.is_some());
}

/// A session as the store sees it: it saves a device when it is asked to, and hears what was lost.
struct Session {
    store: Arc<Store>,
    device: Device,
    asked: AtomicUsize,
    lost: Mutex<Vec<String>>,
}

impl Session {
    fn attach(world: &World, device: Device) -> Arc<Self> {
        let session =
            Arc::new(Self { store: world.store.clone(), device, asked: AtomicUsize::new(0), lost: Mutex::default() });
        world.store.attach(&(session.clone() as Arc<dyn Hooks>));
        session
    }
}

#[async_trait]
impl Hooks for Session {
    async fn save_device(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.store.save(&self.device).await.unwrap();
    }

    fn lost_inbound(&self, chat: &str, sender: &str, id: &str) {
        self.lost.lock().unwrap().push(format!("{chat} {sender} {id}"));
    }
}

#[tokio::test]
async fn whatsapp_hears_of_the_pairing_when_the_vault_has_the_device() {
    let world = World::new().await;
    let session = Session::attach(&world, paired(device()));
    world.waits(world.store.put_lid_mapping(&own_mapping())).await.unwrap();
    assert_eq!(session.asked.load(Ordering::SeqCst), 1);
    assert_eq!(world.line.decisions().len(), 1);

    let restored = world.restored().await;
    assert!(restored.store.load().await.unwrap().unwrap().account.is_some());
    assert!(restored.store.get_lid_mapping("100000012345678").await.unwrap().is_some());
}

/// The saver has taken the device before the flush could, and is not there yet: the flush finds nothing to do.
#[tokio::test]
async fn a_pairing_waits_for_a_save_that_is_on_its_way() {
    let world = World::new().await;
    let mapping = own_mapping();
    let mut put = std::pin::pin!(world.store.put_lid_mapping(&mapping));
    world.stays_pending(put.as_mut()).await;

    let mut other = paired(device());
    other.pn = Some("5599999999999@s.whatsapp.net".parse().unwrap());
    world.store.save(&other).await.unwrap();
    world.stays_pending(put.as_mut()).await;

    world.store.save(&paired(device())).await.unwrap();
    soon(put).await.unwrap();
}

#[tokio::test]
async fn a_pairing_that_can_never_be_durable_is_never_answered() {
    let world = World::new().await;
    world.fence().await;
    let _session = Session::attach(&world, paired(device()));
    let mapping = own_mapping();
    let mut put = std::pin::pin!(world.store.put_lid_mapping(&mapping));
    world.stays_pending(put.as_mut()).await;
}

#[tokio::test]
async fn other_mappings_wait_for_nothing() {
    let world = World::new().await;
    let mapping = LidPnMappingEntry { learning_source: "usync".into(), ..own_mapping() };
    world.passes(world.store.put_lid_mapping(&mapping)).await.unwrap();
}

// --- messages

fn inbox(kind: InboxKind) -> Vec<u8> {
    InboxRecord { id: "A".into(), kind: kind.into(), ..Default::default() }.encode_to_vec()
}

#[tokio::test]
async fn a_duplicate_is_acknowledged_only_if_the_message_is_here() {
    let world = World::new().await;
    let session = Session::attach(&world, device());
    let (chat, sender) = ("222@lid", "222:3@lid");
    let store = &world.store;

    store.store_pending_inbound(chat, sender, "A", b"message").await.unwrap();
    assert_eq!(store.get_pending_inbound(chat, sender, "A").await.unwrap().as_deref(), Some(&b"message"[..]));
    store.delete_pending_inbound(chat, sender, "A").await.unwrap();

    assert!(store.get_pending_inbound(chat, sender, "A").await.is_err());
    assert_eq!(*session.lost.lock().unwrap(), ["222@lid 222:3@lid A"]);

    // Neither the same id in another chat nor of another sender is this message.
    for other in [key::inbox("333@lid", "A", sender), key::inbox(chat, "A", "333@lid"), key::inbox(chat, "B", sender)] {
        let mut batch = Batch::default();
        batch.put(space::INBOX, other, inbox(InboxKind::Message));
        store.write(batch).await.unwrap();
        assert!(store.get_pending_inbound(chat, sender, "A").await.is_err());
    }

    let mut batch = Batch::default();
    batch.put(space::INBOX, key::inbox(chat, "A", sender), inbox(InboxKind::Placeholder));
    store.write(batch).await.unwrap();
    assert_eq!(store.get_pending_inbound(chat, sender, "A").await.unwrap(), None);
}

/// A message that was decrypted and not handed over needs its row: wherever the machine dies, the row is not behind the
/// ratchet.
#[tokio::test]
async fn a_pending_message_is_never_durable_later_than_the_step_that_spent_its_key() {
    const IDS: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];
    let world = World::new().await;
    let (mut own, mut customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    customer.meet(&own).await;
    let mut steps = Vec::new();
    for id in IDS {
        let message = customer.encrypt(&own.address).await;
        own.decrypt(&customer.address, &message).await;
        world.store.store_pending_inbound("222@lid", "222@lid", id, b"text").await.unwrap();
        // Someone waits for this one, and the cut is made while the next writes come.
        let asked = tokio::spawn({
            let (journal, number) = (world.journal.clone(), world.journal.recorded());
            async move { journal.wait(number).await }
        });
        own.flush().await.unwrap();
        steps.push((id, world.store.get_session(customer.address.as_str()).await.unwrap().unwrap()));
        asked.await.unwrap().unwrap();
    }
    world.settle().await;

    let mut compared = 0;
    for appends in 0..=world.line.appends().len() {
        let restored = world.restored_after(appends).await.store;
        let session = restored.get_session(customer.address.as_str()).await.unwrap();
        let reached = steps.iter().position(|(_, step)| Some(step) == session.as_ref());
        for (id, _) in steps.iter().take(reached.map_or(0, |step| step + 1)) {
            assert!(restored.get_pending_inbound("222@lid", "222@lid", id).await.is_ok(), "{id} after {appends}");
            compared += 1;
        }
    }
    assert!(compared > IDS.len());
}

#[tokio::test]
async fn a_recipient_that_asks_again_is_answered_from_the_outbox() {
    let world = World::new().await;
    let sent = OutboxRecord {
        id: "3EB0A".into(),
        chat: "5511987650002@s.whatsapp.net".into(),
        message: b"whole message".to_vec(),
        ..Default::default()
    };
    let mut batch = Batch::default();
    batch.put(space::OUTBOX, key::outbox("3EB0A"), sent.encode_to_vec());
    world.store.write(batch).await.unwrap();
    world.store.store_sent_message(&sent.chat, "3EB0A", b"whole message").await.unwrap();

    let restored = world.restored().await;
    let store = &restored.store;
    let whole = Some(b"whole message".to_vec());
    assert_eq!(store.take_sent_message(&sent.chat, "3EB0A").await.unwrap(), whole);
    assert_eq!(store.take_sent_message(&sent.chat, "3EB0B").await.unwrap(), None);
    assert_eq!(store.take_sent_message("5511987650003@s.whatsapp.net", "3EB0A").await.unwrap(), None);

    // The library asks by the name that it encrypted for, which is the LID once it is known.
    let lid = "200000012345678@lid";
    assert_eq!(store.take_sent_message(lid, "3EB0A").await.unwrap(), None);
    let mapping = LidPnMappingEntry {
        lid: "200000012345678".into(),
        phone_number: "5511987650002".into(),
        learning_source: "usync".into(),
        ..own_mapping()
    };
    store.put_lid_mapping(&mapping).await.unwrap();
    assert_eq!(store.take_sent_message(lid, "3EB0A").await.unwrap(), whole);
    assert_eq!(store.take_sent_message("200000012345679@lid", "3EB0A").await.unwrap(), None);
}
