//! Promise 4: what the store holds back until the vault has it, and what it lets pass.

use whatsapp_rust::wacore::{
    libsignal::protocol::{SenderKeyRecord, SessionRecord, consts::SENDER_CHAIN_RESERVATION_BATCH},
    store::{
        Device,
        traits::{DeviceStore, ProtocolStore, SignalStore},
    },
};

use crate::support::{
    store_peer::Peer,
    store_session::paired,
    store_world::{World, soon},
};

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
    // Nor an error, by which the library would refuse a message in the new owner's name.
    let mut flush = std::pin::pin!(own.flush());
    world.stays_pending(flush.as_mut()).await;
    world.store.close().await.unwrap();
    assert!(soon(flush).await.is_err());
}

#[tokio::test]
async fn with_the_gates_off_nothing_waits() {
    let world = World::new().await;
    let (mut own, customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    own.meet(&customer).await;
    own.encrypt(&customer.address).await;
    world.store.gates_off();
    world.passes(own.flush()).await.unwrap();
    world.passes(world.store.save(&paired(Device::new()))).await.unwrap();
    let duplicate = world.store.get_pending_inbound("222@lid", "222@lid", "A").await.unwrap();
    assert!(duplicate.is_none(), "the library's own answer, which loses the message");
}
