//! A store from its making to its end: restore, wipe, islands, the file that goes away.

use std::sync::Arc;

use bytes::Bytes;
use sessiond::{
    journal::{ChangeNo, Record},
    store::{
        Batch, Pool, PoolOptions, Rejection, Store, StoreError, StoreOptions, key,
        space::{self, Home, Space, Wipe},
    },
    vault::{Decision, Vault},
};
use whatsapp_rust::{
    wacore::store::{
        Device,
        device::{CachedNoiseCert, CachedServerCertChain},
        traits::{DeviceListRecord, DeviceStore, LidPnMappingEntry, ProtocolStore, SignalStore},
    },
    waproto::whatsapp::ADVSignedDeviceIdentity,
};

use crate::support::{
    store_peer::Peer,
    store_world::{World, journal, soon},
};

fn mapping(lid: &str, number: &str) -> LidPnMappingEntry {
    LidPnMappingEntry {
        lid: lid.into(),
        phone_number: number.into(),
        created_at: 1,
        updated_at: 2,
        learning_source: "usync".into(),
    }
}

/// Puts a record into every space but the device's.
async fn put_one_of_each(store: &Store) {
    let mut batch = Batch::default();
    let made_up = |space| ![space::DEVICE, space::LID_MAPPINGS, space::LIDS_OF_NUMBERS].contains(&space);
    for row in space::TABLE.iter().filter(|row| made_up(row.space)) {
        batch.put(row.space, *b"key", row.name);
    }
    store.write(batch).await.unwrap();
    store.put_lid_mapping(&mapping("900", "111")).await.unwrap();
}

/// A device in which every field says something.
fn full_device() -> Device {
    let mut device = Device::new();
    device.pn = Some("5511987650001:7@s.whatsapp.net".parse().unwrap());
    device.lid = Some("100000012345678:7@lid".parse().unwrap());
    device.account = Some(Arc::new(ADVSignedDeviceIdentity {
        details: Some(b"details".to_vec()),
        account_signature_key: Some(vec![1; 32]),
        account_signature: Some(vec![2; 64]),
        device_signature: Some(vec![3; 64]),
    }));
    device.push_name = "Żółw \"🐢\"".into();
    device.app_version_tertiary = 4_000_000_000;
    device.edge_routing_info = Some(vec![]);
    device.props_hash = Some("hash".into());
    device.next_pre_key_id = 813;
    device.first_unupload_pre_key_id = 1;
    device.server_has_prekeys = true;
    device.nct_salt = Some((0..=255).collect());
    let cert = CachedNoiseCert { key: [9; 32], not_before: -1, not_after: i64::MAX };
    device.server_cert_chain = Some(CachedServerCertChain { intermediate: cert.clone(), leaf: cert });
    device.login_counter = -3;
    device.lid_migrated = true;
    device.last_signed_pre_key_rotation_ms = 5;
    device.read_receipts_disabled = true;
    device
}

#[tokio::test]
async fn a_device_comes_back_whole() {
    let world = World::new().await;
    let device = full_device();
    world.store.save(&device).await.unwrap();
    let restored = world.restored().await.store.load().await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(&restored).unwrap(), serde_json::to_value(&device).unwrap());

    // Every field that is written is one that this device sets: a default would prove nothing.
    let (full, fresh) = (serde_json::to_value(&device).unwrap(), serde_json::to_value(Device::new()).unwrap());
    let same: Vec<_> = full.as_object().unwrap().iter().filter(|(name, value)| fresh[*name] == **value).collect();
    let constant = ["app_version_last_fetched_ms", "app_version_primary", "app_version_secondary", "signed_pre_key_id"];
    assert!(same.iter().all(|(name, _)| constant.contains(&name.as_str())), "{same:?}");
}

#[tokio::test]
async fn a_restored_store_is_the_one_that_was_lost() {
    let world = World::new().await;
    let (mut own, mut customer) = (Peer::new("111", world.backend()).await, Peer::remote("222").await);
    Peer::know_each_other(&mut own, &mut customer).await;
    own.flush().await.unwrap();
    put_one_of_each(&world.store).await;
    world.store.delete_session("key").await.unwrap();

    let restored = world.restored().await;
    for row in space::TABLE.iter().filter(|row| row.home == Home::Journal) {
        assert_eq!(restored.space(row.space).await, world.space(row.space).await, "{}", row.name);
    }
}

#[tokio::test]
async fn what_is_local_is_gone_after_a_restore() {
    let world = World::new().await;
    put_one_of_each(&world.store).await;
    let list = DeviceListRecord { user: "222".into(), devices: vec![], timestamp: 1, phash: None, raw_id: None };
    world.store.update_device_list(list).await.unwrap();
    world.store.set_sender_key_status("g@g.us", &[("222:1@lid", true)]).await.unwrap();
    let restored = world.restored().await;
    for row in space::TABLE.iter().filter(|row| row.home == Home::Local) {
        assert!(!world.space(row.space).await.is_empty(), "{}", row.name);
        // The index is made anew from the mappings, which are journaled.
        assert_eq!(restored.space(row.space).await.is_empty(), row.space != space::LIDS_OF_NUMBERS, "{}", row.name);
    }

    // Not even a vault that had such records brings them back.
    let local = space::TABLE.iter().filter(|row| row.home == Home::Local);
    let record = |space| Record { space, key: (*b"key").into(), value: Bytes::from_static(b"stale") };
    let records = local.map(|row| record(row.space)).chain([record(space::INBOX)]).collect();
    let (pool, dir, (_vault, journal)) = (pool(), tempfile::tempdir().unwrap(), journal().await);
    let store = Store::create(dir.path(), records, journal, &pool, StoreOptions::default()).await.unwrap();
    for row in space::TABLE.iter().filter(|row| row.home == Home::Local) {
        assert!(store.scan(row.space, None, 1).await.unwrap().is_empty(), "{}", row.name);
    }
    assert!(!store.scan(space::INBOX, None, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_index_of_the_mappings_is_made_anew() {
    let world = World::new().await;
    world.store.put_lid_mappings(&[mapping("900", "111"), mapping("901", "222")]).await.unwrap();
    world.store.put_lid_mapping(&mapping("900", "333")).await.unwrap();
    let restored = world.restored().await.store;
    assert!(restored.get_pn_mapping("111").await.unwrap().is_none());
    assert_eq!(restored.get_pn_mapping("222").await.unwrap().unwrap().lid, "901");
    assert_eq!(restored.get_pn_mapping("333").await.unwrap().unwrap().lid, "900");
}

#[tokio::test]
async fn a_snapshot_of_the_store_restores_it() {
    let world = World::new().await;
    put_one_of_each(&world.store).await;
    let tenant = "shop".parse().unwrap();
    soon(async {
        for number in 0u32.. {
            if !world.line.manifests(&tenant).await.unwrap().is_empty() {
                break;
            }
            let mut batch = Batch::default();
            batch.put(space::EVENTS, key::number(number), vec![0; 1_000]);
            let change = world.store.write(batch).await.unwrap();
            world.store.wait(change).await.unwrap();
        }
    })
    .await;
    let restored = world.restored().await;
    for row in space::TABLE.iter().filter(|row| row.home == Home::Journal) {
        assert_eq!(restored.space(row.space).await, world.space(row.space).await, "{}", row.name);
    }
}

#[tokio::test]
async fn a_wipe_takes_the_credentials_and_nothing_else() {
    let world = World::new().await;
    let device = full_device();
    world.store.save(&device).await.unwrap();
    put_one_of_each(&world.store).await;
    world.settle().await;
    let gone = Decision { whatsapp_connected: Some(false), ..Decision::default() };
    let change = world.store.wipe_credentials(gone.clone(), false).await.unwrap();
    world.store.wait(change).await.unwrap();

    let (at, decision) = world.line.decisions().pop().unwrap();
    assert_eq!(decision, gone);
    let (before, after) = (world.restored_after(at - 1).await, world.restored_after(at).await);
    for row in space::TABLE {
        let stays = row.wipe == Wipe::Stays;
        assert_eq!(!world.space(row.space).await.is_empty(), stays, "{}", row.name);
        if row.home == Home::Journal {
            assert!(!before.space(row.space).await.is_empty(), "{}", row.name);
            assert_eq!(!after.space(row.space).await.is_empty(), stays, "{}", row.name);
        }
    }
    for kept in [space::INBOX, space::OUTBOX, space::EVENTS, space::SETTINGS, space::PENDING_INBOUND] {
        assert!(!after.space(kept).await.is_empty());
    }

    // The old client is on its way out and saves once more: it must not come back from the dead.
    let recorded = world.journal.recorded();
    world.store.save(&device).await.unwrap();
    assert!(!world.store.exists().await.unwrap());
    assert_eq!(world.journal.recorded(), recorded);
    // A new one pairs.
    world.store.save(&full_device()).await.unwrap();
    assert_eq!(world.line.decisions().pop().unwrap().1.whatsapp_connected, Some(true));
}

#[tokio::test]
async fn a_logout_is_marked_with_the_wipe_until_a_device_is_paired_or_the_owner_unlinks() {
    let world = World::new().await;
    let is_marked = async |store: &Arc<Store>| Rejection::read(store).await.unwrap().is_some();
    let gone = Decision { whatsapp_connected: Some(false), ..Decision::default() };
    world.store.save(&full_device()).await.unwrap();
    assert!(!is_marked(&world.store).await);
    let change = world.store.wipe_credentials(gone.clone(), true).await.unwrap();
    world.store.wait(change).await.unwrap();
    let (at, _) = world.line.decisions().pop().unwrap();
    let (before, after) = (world.restored_after(at - 1).await, world.restored_after(at).await);
    assert!(!is_marked(&before.store).await && before.store.exists().await.unwrap());
    assert!(is_marked(&after.store).await && !after.store.exists().await.unwrap());

    // Another one is paired, …
    world.store.save(&full_device()).await.unwrap();
    assert!(!is_marked(&world.store).await);
    // … is logged out, too, and then nobody wants the tenant any more, as before its deletion.
    world.store.wipe_credentials(gone.clone(), true).await.unwrap();
    assert!(is_marked(&world.store).await);
    let change = world.store.wipe_credentials(gone, false).await.unwrap();
    world.store.wait(change).await.unwrap();
    assert!(!is_marked(&world.restored().await.store).await);
}

#[tokio::test]
async fn tenants_are_islands() {
    let pool = Pool::new(PoolOptions { threads: 1, ..PoolOptions::default() }).unwrap();
    let (one, other) = (World::sharing(&pool).await, World::sharing(&pool).await);
    one.store.put_identity("a", [1; 32]).await.unwrap();
    assert_eq!(other.store.load_identity("a").await.unwrap(), None);

    // One's vault is gone and its callers wait; the other's do not, though they share the thread.
    one.silence();
    let mut waiting = std::pin::pin!(one.store.store_prekey(1, b"key", false));
    one.stays_pending(waiting.as_mut()).await;
    soon(other.store.store_prekey(1, b"key", false)).await.unwrap();

    one.store.close().await.unwrap();
    assert!(!one.folder().exists());
    assert!(matches!(one.store.get(space::DEVICE, b"").await, Err(StoreError::Closed)));
    other.store.put_identity("a", [2; 32]).await.unwrap();
    assert_eq!(other.store.load_identity("a").await.unwrap(), Some([2; 32]));
}

#[tokio::test]
async fn a_store_begins_in_an_empty_folder_that_only_we_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("tenant");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("session.db"), "of an earlier life").unwrap();
    std::fs::write(folder.join("session.db-journal"), "of an earlier life").unwrap();
    let (pool, (_vault, journal)) = (pool(), journal().await);
    let store = Store::create(&folder, vec![], journal, &pool, StoreOptions::default()).await.unwrap();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["session.db"]);
    store.put_identity("a", [1; 32]).await.unwrap();
}

#[tokio::test]
async fn a_device_that_does_not_parse_stops_the_restore() {
    let whole = serde_json::to_vec(&full_device()).unwrap();
    let record = Record { space: space::DEVICE, key: key::only(), value: whole[..whole.len() / 2].to_vec().into() };
    let (pool, dir, (_vault, journal)) = (pool(), tempfile::tempdir().unwrap(), journal().await);
    let made = Store::create(dir.path(), vec![record], journal.clone(), &pool, StoreOptions::default()).await;
    assert!(matches!(made, Err(StoreError::Device { .. })));
    assert_eq!(journal.recorded(), ChangeNo::ZERO, "nothing is written over it");
}

#[tokio::test]
async fn what_the_file_did_not_take_is_not_recorded() {
    let world = World::new().await;
    world.store.put_identity("a", [1; 32]).await.unwrap();
    let recorded = world.journal.recorded();
    // A value longer than SQLite's limit (a billion bytes) is refused, in the middle of a batch.
    let mut batch = Batch::default();
    batch.put(space::INBOX, *b"before", "value");
    batch.put(space::INBOX, *b"huge", vec![0; 1_000_000_001]);
    let refused = world.store.write(batch).await;
    assert!(matches!(refused, Err(StoreError::Sqlite(_))), "{refused:?}");
    assert_eq!(world.journal.recorded(), recorded);
    assert!(world.space(space::INBOX).await.is_empty(), "all of a batch or nothing");
    world.store.put_identity("b", [2; 32]).await.unwrap();
    assert_eq!(world.store.load_identity("a").await.unwrap(), Some([1; 32]));
}

#[tokio::test]
async fn a_local_batch_is_durable_with_what_came_before_it() {
    let world = World::new().await;
    world.silence();
    let mut batch = Batch::default();
    batch.put(space::INBOX, *b"key", "value");
    let change = world.store.write(batch).await.unwrap();
    let mut local = Batch::default();
    local.put(space::BASE_KEYS, *b"key", "value");
    local.delete(space::INBOX, *b"never there");
    assert_eq!(world.store.write(local).await.unwrap(), change, "nothing was added to the journal");
}

#[tokio::test]
async fn scans_go_both_ways_and_stop_where_asked() {
    let world = World::new().await;
    let mut batch = Batch::default();
    for key in ["", "a", "b", "c"] {
        batch.put(space::EVENTS, key.as_bytes(), key);
    }
    batch.put(Space(space::EVENTS.0 + 1), *b"bb", "of another space");
    world.store.write(batch).await.unwrap();
    let keys = |found: Vec<(Box<[u8]>, Bytes)>| {
        found.into_iter().map(|(key, _)| String::from_utf8(key.into()).unwrap()).collect::<Vec<_>>()
    };
    let store = &world.store;
    assert_eq!(keys(store.scan(space::EVENTS, None, 2).await.unwrap()), ["", "a"]);
    assert_eq!(keys(store.scan(space::EVENTS, Some(b""), 9).await.unwrap()), ["a", "b", "c"]);
    assert_eq!(keys(store.scan(space::EVENTS, Some(b"b"), 9).await.unwrap()), ["c"]);
    assert_eq!(keys(store.scan_back(space::EVENTS, None, 2).await.unwrap()), ["c", "b"]);
    assert_eq!(keys(store.scan_back(space::EVENTS, Some(b"b"), 9).await.unwrap()), ["a", ""]);
    assert_eq!(keys(store.scan_prefix(space::EVENTS, b"b", 9).await.unwrap()), ["b"]);
}

/// A thousand tenants, all of them in use: few files open, nothing lost when one is closed and opened again.
#[tokio::test]
async fn a_thousand_stores_share_a_few_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::new(PoolOptions { open_files: 32, ..PoolOptions::default() }).unwrap();
    let (_vault, journal) = journal().await;
    let mut stores = Vec::new();
    for number in 0..1_000u32 {
        let record = Record { space: space::IDENTITIES, key: key::text("a"), value: vec![1; 32].into() };
        let folder = dir.path().join(number.to_string());
        let journal = journal.clone();
        stores.push(Store::create(&folder, vec![record], journal, &pool, StoreOptions::default()).await.unwrap());
        assert!(pool.open_files() <= 32);
    }
    for (number, store) in stores.iter().enumerate() {
        store.put_identity("b", [number as u8; 32]).await.unwrap();
    }
    for (number, store) in stores.iter().enumerate() {
        assert_eq!(store.load_identity("a").await.unwrap(), Some([1; 32]));
        assert_eq!(store.load_identity("b").await.unwrap(), Some([number as u8; 32]));
    }
    assert!(pool.open_files() <= 32);
}

#[tokio::test]
async fn an_idle_file_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let idle = std::time::Duration::from_millis(20);
    let pool = Pool::new(PoolOptions { idle, ..PoolOptions::default() }).unwrap();
    let (_vault, journal) = journal().await;
    let store = Store::create(dir.path(), vec![], journal, &pool, StoreOptions::default()).await.unwrap();
    store.put_identity("a", [1; 32]).await.unwrap();
    soon(async {
        while pool.open_files() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(store.load_identity("a").await.unwrap(), Some([1; 32]));
}

fn pool() -> Pool {
    Pool::new(PoolOptions::default()).unwrap()
}

/// Each space that this build reads: hydrated all the same, the store would call its copy damaged, for ever.
#[test]
fn a_state_with_a_record_that_does_not_parse_is_no_good_one() {
    let spaces = [
        space::DEVICE,
        space::SYNC_KEYS,
        space::LID_MAPPINGS,
        space::PENDING_INBOUND,
        space::TC_TOKENS,
        space::DEVICE_LISTS,
        space::INBOX,
        space::OUTBOX,
        space::PAST,
    ];
    for space in spaces {
        let found = sessiond::store::check(space, b"key", b"\xff");
        assert!(found.is_err(), "space {}", space.0);
    }
    let account = |value: &[u8]| sessiond::store::check(space::SETTINGS, &key::text("session/account"), value);
    assert!(account(b"{").is_err() && account(b"{\"number\":\"1\",\"lid\":null}").is_ok());
    assert!(sessiond::store::check(space::SETTINGS, &key::text("anything else"), b"{").is_ok());
}

/// Else anybody may scan once the pairing is wiped.
#[tokio::test]
async fn an_account_that_cannot_be_read_is_not_none() {
    let world = World::new().await;
    let mut batch = Batch::default();
    batch.put(space::SETTINGS, key::text("session/account"), b"{".to_vec());
    world.store.write(batch).await.unwrap();
    assert!(world.store.own_account().await.is_err());
    assert!(world.store.get(space::SETTINGS, b"").await.is_ok(), "the copy is as good as before");
}
