//! The device is saved when the vault has it, and a pairing is answered no earlier.

use std::sync::atomic::Ordering;

use sessiond::{
    store::{Batch, OwnAccount, key, space},
    vault::Decision,
};
use whatsapp_rust::wacore::store::{
    Device,
    traits::{DeviceStore, LidPnMappingEntry, ProtocolStore},
};

use crate::support::{
    store_session::{Session, paired},
    store_world::{World, poll_once, soon},
};

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
    let device = Device::new();
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
    world.store.save(&paired(Device::new())).await.unwrap();
    let restored = world.restored().await;
    let device = restored.store.load().await.unwrap().unwrap();
    restored.store.save(&device).await.unwrap();
    assert!(restored.line.decisions().is_empty());
}

#[tokio::test]
async fn a_save_that_can_never_be_durable_never_returns() {
    let world = World::new().await;
    world.fence().await;
    let device = paired(Device::new());
    let mut save = std::pin::pin!(world.store.save(&device));
    world.stays_pending(save.as_mut()).await;
    world.store.close().await.unwrap();
    for _ in 0..10 {
        assert!(poll_once(save.as_mut()).await.is_pending());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_late_save_does_not_undo_a_pairing() {
    let world = World::new().await;
    let before = Device::new();
    world.store.save(&paired(before.clone())).await.unwrap();
    world.store.save(&before).await.unwrap();
    assert!(world.store.load().await.unwrap().unwrap().pn.is_some());
}

#[tokio::test]
async fn whatsapp_hears_of_the_pairing_when_the_vault_has_the_device() {
    let world = World::new().await;
    let session = Session::attach(&world, paired(Device::new()));
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

    let mut other = paired(Device::new());
    other.pn = Some("5599999999999@s.whatsapp.net".parse().unwrap());
    world.store.save(&other).await.unwrap();
    world.stays_pending(put.as_mut()).await;

    world.store.save(&paired(Device::new())).await.unwrap();
    soon(put).await.unwrap();
}

#[tokio::test]
async fn a_pairing_that_can_never_be_durable_is_never_answered() {
    let world = World::new().await;
    world.fence().await;
    let _session = Session::attach(&world, paired(Device::new()));
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

#[tokio::test]
async fn a_tenant_that_was_paired_before_accounts_were_remembered_keeps_its_account() {
    let world = World::new().await;
    world.store.save(&paired(Device::new())).await.unwrap();
    // As an older build left it.
    let mut batch = Batch::default();
    batch.delete(space::SETTINGS, key::text("session/account"));
    world.store.write(batch).await.unwrap();
    let gone = Decision { whatsapp_connected: Some(false), phone_number: Some(None), connected_at: Some(None) };
    world.store.wipe_credentials(gone, false).await.unwrap();
    let own = world.store.own_account().await.unwrap().unwrap();
    assert_eq!((own.number.as_str(), own.lid.as_deref()), ("5511987650001", Some("100000012345678")));

    let another = |lid: &str| {
        let mut device = paired(Device::new());
        device.pn = Some("5599999999999:1@s.whatsapp.net".parse().unwrap());
        device.lid = Some(lid.parse().unwrap());
        device
    };
    let decided = world.line.decisions().len();
    world.store.save(&another("200000000000000:1@lid")).await.unwrap();
    assert!(world.store.load().await.unwrap().is_none(), "another account's device was saved");
    assert_eq!(world.line.decisions().len(), decided);
    // The same person, who has changed the number at WhatsApp.
    world.store.save(&another("100000012345678:1@lid")).await.unwrap();
    assert!(world.store.load().await.unwrap().unwrap().account.is_some());
    let own = world.restored().await.store.own_account().await.unwrap().unwrap();
    assert!(own.number == "5599999999999" && own.has_had("5511987650001"), "{own:?}");
}

/// Whoever asks is told, once, and WhatsApp gets no answer.
#[tokio::test]
async fn another_accounts_pairing_fails_and_changes_nothing() {
    let world = World::new().await;
    assert!(world.store.expect_account(OwnAccount::new("573001112233", None)).await.unwrap());
    let session = Session::attach(&world, paired(Device::new()));
    let before = world.line.decisions().len();
    soon(world.store.put_lid_mapping(&own_mapping())).await.unwrap_err();
    assert_eq!((session.asked.load(Ordering::SeqCst), world.line.decisions().len()), (0, before));
    assert!(world.store.get_lid_mapping("100000012345678").await.unwrap().is_none());
    assert!(!world.store.expect_account(OwnAccount::new("1", None)).await.unwrap());
}
