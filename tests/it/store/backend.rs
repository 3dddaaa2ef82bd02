//! The store is a backend like the library's own: random sequences of every call, answered by it, by the library's
//! SQLite store and by its store in memory.
//!
//! Where those two differ we follow SQLite's, which is what the library's users run; [`memory_differs`] is the list. One
//! difference is ours and wanted: asked for a pending message that is nowhere, we answer with an error.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use proptest::{prelude::*, sample::select};
use sessiond::{
    journal::Journal,
    store::{Pool, PoolOptions, Store, StoreError, StoreOptions},
};
use whatsapp_rust::{
    store::error::StoreError as LibraryError,
    wacore::{
        appstate::{hash::HashState, processor::AppStateMutationMAC},
        store::{
            Device,
            in_memory::InMemoryBackend,
            traits::{
                AppStateSyncKey, Backend, DeviceInfo, DeviceListRecord, LidPnMappingEntry, MsgSecretEntry,
                PendingInboundKey, PendingInboundRow, TcTokenEntry,
            },
        },
    },
    waproto::whatsapp::ADVSignedDeviceIdentity,
};
use whatsapp_rust_sqlite_storage::SqliteStore;

/// A call of the library. Names, ids and times come from small sets, so that calls meet each other's records.
#[derive(Debug, Clone)]
enum Call {
    PutIdentity(Name, u8),
    PutIdentities(Vec<(Name, u8)>),
    LoadIdentity(Name),
    DeleteIdentity(Name),
    GetSession(Name),
    PutSession(Name, Blob),
    PutSessions(Vec<(Name, Blob)>),
    DeleteSession(Name),
    HasSession(Name),
    HasSignalState(Name),
    StorePreKey(u32, Blob, bool),
    StorePreKeys(Vec<(u32, Blob)>, bool),
    LoadPreKey(u32),
    LoadPreKeys(Vec<u32>),
    MarkUploaded(Vec<u32>),
    RemovePreKey(u32),
    MaxPreKey,
    StoreSigned(u32, Blob),
    LoadSigned(u32),
    LoadAllSigned,
    RemoveSigned(u32),
    PutSenderKey(Name, Blob),
    PutSenderKeys(Vec<(Name, Blob)>),
    GetSenderKey(Name),
    DeleteSenderKey(Name),

    GetSyncKey(u8),
    SetSyncKey(u8, u8),
    LatestSyncKey,
    GetVersion(Name),
    SetVersion(Name, u8),
    PutMacs(Name, Vec<(u8, u8)>),
    GetMac(Name, u8),
    GetMacs(Name, Vec<u8>),
    DeleteMacs(Name, Vec<u8>),
    ClearMacs(Name),

    GetMarks(Name),
    SetMarks(Name, Vec<(Name, bool)>),
    ClearMarks(Name),
    DeleteMarks(Vec<Name>),
    ClearAllMarks,
    GetLid(Name),
    GetPn(Name),
    PutLid(Name, Name, i64),
    PutLids(Vec<(Name, Name, i64)>),
    AllLids,
    SaveBaseKey(Name, Name, u8),
    HasBaseKey(Name, Name, u8),
    DeleteBaseKey(Name, Name),
    UpdateDevices(Name, u8),
    UpdateDeviceLists(Vec<(Name, u8)>),
    GetDevices(Name),
    DeleteDevices(Name),
    GetGroup(Name),
    PutGroup(Name, Blob),
    DeleteGroup(Name),
    GetToken(Name),
    PutToken(Name, Blob, i64, Option<i64>),
    DeleteToken(Name),
    AllTokens,
    ExpireTokens(i64, i64),
    TouchToken(Name, i64),
    ReceiveToken(Name, Blob, i64),
    StoreSent(Name, Name, Blob),
    TakeSent(Name, Name),
    ExpireSent(bool),
    StorePending(Name, Name, Name, Blob),
    StorePendings(Vec<(Name, Name, Name, Blob)>),
    GetPending(Name, Name, Name),
    DeletePending(Name, Name, Name),
    DeletePendings(Vec<(Name, Name, Name)>),
    ExpirePending(bool),

    PutSecret(Name, Name, Name, u8),
    PutSecrets(Vec<(Name, Name, Name, u8, i64)>),
    GetSecret(Name, Name, Name),
    GetSecretWithTime(Name, Name, Name),
    ExpireSecrets(i64),

    Save(u8),
    Load,
    Exists,
}

/// Calls to which the store in memory answers otherwise, and why we follow SQLite's:
/// the greatest key id is the latest, not the one stored last (a key that is sent again is not a newer one);
/// a number's LID is the one updated last, not the one written last; and a mapping learned again keeps its first time.
fn memory_differs(call: &Call) -> bool {
    matches!(call, Call::LatestSyncKey | Call::GetPn(_) | Call::GetLid(_) | Call::AllLids)
}

type Name = &'static str;
type Blob = Vec<u8>;

/// Addresses and users, some the beginning of others.
const NAMES: &[Name] = &["55", "555", "55@c.us.0", "55:1@c.us.0", "555@lid.0", "1@g.us", "1@g.us:55@lid.0"];

fn name() -> impl Strategy<Value = Name> {
    select(NAMES)
}

fn blob() -> impl Strategy<Value = Blob> {
    prop::collection::vec(any::<u8>(), 1..5)
}

fn some<T: Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(of, 0..4)
}

fn id() -> impl Strategy<Value = u32> {
    select(&[1, 2, 255, 256, 70_000][..])
}

fn small() -> impl Strategy<Value = u8> {
    0..4u8
}

fn time() -> impl Strategy<Value = i64> {
    0..20i64
}

fn signal() -> impl Strategy<Value = Call> {
    prop_oneof![
        (name(), small()).prop_map(|(a, b)| Call::PutIdentity(a, b)),
        some((name(), small())).prop_map(Call::PutIdentities),
        name().prop_map(Call::LoadIdentity),
        name().prop_map(Call::DeleteIdentity),
        name().prop_map(Call::GetSession),
        (name(), blob()).prop_map(|(a, b)| Call::PutSession(a, b)),
        some((name(), blob())).prop_map(Call::PutSessions),
        name().prop_map(Call::DeleteSession),
        name().prop_map(Call::HasSession),
        select(&["5", "55", "555", "556"][..]).prop_map(Call::HasSignalState),
        (id(), blob(), any::<bool>()).prop_map(|(a, b, c)| Call::StorePreKey(a, b, c)),
        (some((id(), blob())), any::<bool>()).prop_map(|(a, b)| Call::StorePreKeys(a, b)),
        id().prop_map(Call::LoadPreKey),
        some(id()).prop_map(Call::LoadPreKeys),
        some(id()).prop_map(Call::MarkUploaded),
        id().prop_map(Call::RemovePreKey),
        Just(Call::MaxPreKey),
        (id(), blob()).prop_map(|(a, b)| Call::StoreSigned(a, b)),
        id().prop_map(Call::LoadSigned),
        Just(Call::LoadAllSigned),
        id().prop_map(Call::RemoveSigned),
        (name(), blob()).prop_map(|(a, b)| Call::PutSenderKey(a, b)),
        some((name(), blob())).prop_map(Call::PutSenderKeys),
        name().prop_map(Call::GetSenderKey),
        name().prop_map(Call::DeleteSenderKey),
    ]
}

fn app_sync() -> impl Strategy<Value = Call> {
    prop_oneof![
        small().prop_map(Call::GetSyncKey),
        (small(), small()).prop_map(|(a, b)| Call::SetSyncKey(a, b)),
        Just(Call::LatestSyncKey),
        name().prop_map(Call::GetVersion),
        (name(), small()).prop_map(|(a, b)| Call::SetVersion(a, b)),
        (name(), some((small(), small()))).prop_map(|(a, b)| Call::PutMacs(a, b)),
        (name(), small()).prop_map(|(a, b)| Call::GetMac(a, b)),
        (name(), some(small())).prop_map(|(a, b)| Call::GetMacs(a, b)),
        (name(), some(small())).prop_map(|(a, b)| Call::DeleteMacs(a, b)),
        name().prop_map(Call::ClearMacs),
    ]
}

fn protocol() -> impl Strategy<Value = Call> {
    prop_oneof![
        name().prop_map(Call::GetMarks),
        (name(), some((name(), any::<bool>()))).prop_map(|(a, b)| Call::SetMarks(a, b)),
        name().prop_map(Call::ClearMarks),
        some(name()).prop_map(Call::DeleteMarks),
        Just(Call::ClearAllMarks),
        name().prop_map(Call::GetLid),
        name().prop_map(Call::GetPn),
        (name(), name(), time()).prop_map(|(a, b, c)| Call::PutLid(a, b, c)),
        some((name(), name(), time())).prop_map(Call::PutLids),
        Just(Call::AllLids),
        (name(), name(), small()).prop_map(|(a, b, c)| Call::SaveBaseKey(a, b, c)),
        (name(), name(), small()).prop_map(|(a, b, c)| Call::HasBaseKey(a, b, c)),
        (name(), name()).prop_map(|(a, b)| Call::DeleteBaseKey(a, b)),
        (name(), small()).prop_map(|(a, b)| Call::UpdateDevices(a, b)),
        some((name(), small())).prop_map(Call::UpdateDeviceLists),
        name().prop_map(Call::GetDevices),
        name().prop_map(Call::DeleteDevices),
        name().prop_map(Call::GetGroup),
        (name(), blob()).prop_map(|(a, b)| Call::PutGroup(a, b)),
        name().prop_map(Call::DeleteGroup),
    ]
}

fn tokens() -> impl Strategy<Value = Call> {
    let name = || select(&NAMES[..2]);
    let time = || 0..4i64;
    prop_oneof![
        name().prop_map(Call::GetToken),
        (name(), prop_oneof![Just(vec![]), blob()], time(), prop::option::of(time()))
            .prop_map(|(a, b, c, d)| Call::PutToken(a, b, c, d)),
        name().prop_map(Call::DeleteToken),
        Just(Call::AllTokens),
        (time(), time()).prop_map(|(a, b)| Call::ExpireTokens(a, b)),
        (name(), time()).prop_map(|(a, b)| Call::TouchToken(a, b)),
        (name(), blob(), time()).prop_map(|(a, b, c)| Call::ReceiveToken(a, b, c)),
    ]
}

fn messages_and_device() -> impl Strategy<Value = Call> {
    let name = || select(&NAMES[..3]);
    let message = move || (name(), name(), name());
    prop_oneof![
        (name(), name(), blob()).prop_map(|(a, b, c)| Call::StoreSent(a, b, c)),
        (name(), name()).prop_map(|(a, b)| Call::TakeSent(a, b)),
        any::<bool>().prop_map(Call::ExpireSent),
        (message(), blob()).prop_map(|((a, b, c), d)| Call::StorePending(a, b, c, d)),
        some((message(), blob()).prop_map(|((a, b, c), d)| (a, b, c, d))).prop_map(Call::StorePendings),
        message().prop_map(|(a, b, c)| Call::GetPending(a, b, c)),
        message().prop_map(|(a, b, c)| Call::DeletePending(a, b, c)),
        some(message()).prop_map(Call::DeletePendings),
        any::<bool>().prop_map(Call::ExpirePending),
        (message(), small()).prop_map(|((a, b, c), d)| Call::PutSecret(a, b, c, d)),
        some((message(), small(), time()).prop_map(|((a, b, c), d, e)| (a, b, c, d, e))).prop_map(Call::PutSecrets),
        message().prop_map(|(a, b, c)| Call::GetSecret(a, b, c)),
        message().prop_map(|(a, b, c)| Call::GetSecretWithTime(a, b, c)),
        time().prop_map(Call::ExpireSecrets),
        small().prop_map(Call::Save),
        Just(Call::Load),
        Just(Call::Exists),
    ]
}

fn mapping((lid, number, time): &(Name, Name, i64), step: i64) -> LidPnMappingEntry {
    // No two updates at one time: which of them is the last is nobody's promise.
    LidPnMappingEntry {
        lid: (*lid).into(),
        phone_number: (*number).into(),
        created_at: *time,
        updated_at: time * 1_000_000 + step,
        learning_source: "usync".into(),
    }
}

fn device_list((user, seed): &(Name, u8)) -> DeviceListRecord {
    DeviceListRecord {
        user: (*user).into(),
        devices: (0..*seed).map(|n| DeviceInfo::new(n.into(), (n > 1).then_some(7)).with_hosting(n == 1)).collect(),
        timestamp: (*seed).into(),
        phash: (*seed > 1).then(|| "2:hash".into()),
        raw_id: (*seed > 2).then_some(9),
    }
}

fn secret((chat, sender, id, secret, time): &(Name, Name, Name, u8, i64)) -> MsgSecretEntry {
    MsgSecretEntry {
        chat: (*chat).into(),
        sender: (*sender).into(),
        msg_id: (*id).into(),
        secret: [*secret; 32],
        expires_at: *time,
        message_ts: 20 - *time,
    }
}

fn device(template: &Device, seed: u8) -> Device {
    let mut device = template.clone();
    device.pn = Some("5511987650001:7@s.whatsapp.net".parse().unwrap());
    device.lid = (seed > 0).then(|| "100000012345678:7@lid".parse().unwrap());
    device.account = Some(Arc::new(ADVSignedDeviceIdentity { details: Some(vec![seed; 9]), ..Default::default() }));
    device.push_name = "name ".repeat(seed.into());
    device.edge_routing_info = (seed > 1).then(|| vec![0, seed]);
    device.nct_salt = (seed > 2).then(|| vec![seed; 32]);
    device.login_counter = seed.into();
    device.next_pre_key_id = u32::from(seed) * 100;
    device.lid_migrated = seed > 1;
    device
}

fn shown(answer: impl Debug) -> String {
    format!("{answer:?}")
}

fn sorted<T: Ord + Debug>(mut answer: Vec<T>) -> String {
    answer.sort();
    shown(answer)
}

/// Index MACs: 32 bytes, as the library has them.
fn mac(seed: &u8) -> [u8; 32] {
    [*seed; 32]
}

const LATER: i64 = 10_000_000_000;

async fn answer(to: &dyn Backend, call: &Call, step: i64, template: &Device) -> Result<String, LibraryError> {
    let named = |pairs: &[(Name, Blob)]| -> Vec<(Arc<str>, Bytes)> {
        pairs.iter().map(|(name, blob)| (Arc::from(*name), Bytes::from(blob.clone()))).collect()
    };
    Ok(match call {
        Call::PutIdentity(a, b) => shown(to.put_identity(a, [*b; 32]).await?),
        Call::PutIdentities(a) => {
            let all: Vec<_> = a.iter().map(|(name, key)| (Arc::from(*name), [*key; 32])).collect();
            shown(to.put_identities_batch(&all).await?)
        }
        Call::LoadIdentity(a) => shown(to.load_identity(a).await?),
        Call::DeleteIdentity(a) => shown(to.delete_identity(a).await?),
        Call::GetSession(a) => shown(to.get_session(a).await?),
        Call::PutSession(a, b) => shown(to.put_session(a, b).await?),
        Call::PutSessions(a) => shown(to.put_sessions_batch(&named(a)).await?),
        Call::DeleteSession(a) => shown(to.delete_session(a).await?),
        Call::HasSession(a) => shown(to.has_session(a).await?),
        Call::HasSignalState(a) => shown(to.has_signal_state_for_user(a).await?),
        Call::StorePreKey(a, b, c) => shown(to.store_prekey(*a, b, *c).await?),
        Call::StorePreKeys(a, b) => {
            let all: Vec<_> = a.iter().map(|(id, blob)| (*id, Bytes::from(blob.clone()))).collect();
            shown(to.store_prekeys_batch(&all, *b).await?)
        }
        Call::LoadPreKey(a) => shown(to.load_prekey(*a).await?),
        Call::LoadPreKeys(a) => {
            let mut found = to.load_prekeys_batch(a).await?;
            // Asked twice for one id, one says it once and the other twice.
            found.sort();
            found.dedup();
            shown(found)
        }
        Call::MarkUploaded(a) => shown(to.mark_prekeys_uploaded(a).await?),
        Call::RemovePreKey(a) => shown(to.remove_prekey(*a).await?),
        Call::MaxPreKey => shown(to.get_max_prekey_id().await?),
        Call::StoreSigned(a, b) => shown(to.store_signed_prekey(*a, b).await?),
        Call::LoadSigned(a) => shown(to.load_signed_prekey(*a).await?),
        Call::LoadAllSigned => sorted(to.load_all_signed_prekeys().await?),
        Call::RemoveSigned(a) => shown(to.remove_signed_prekey(*a).await?),
        Call::PutSenderKey(a, b) => shown(to.put_sender_key(a, b).await?),
        Call::PutSenderKeys(a) => shown(to.put_sender_keys_batch(&named(a)).await?),
        Call::GetSenderKey(a) => shown(to.get_sender_key(a).await?),
        Call::DeleteSenderKey(a) => shown(to.delete_sender_key(a).await?),

        Call::GetSyncKey(a) => shown(to.get_sync_key(&[0, *a]).await?),
        Call::SetSyncKey(a, b) => {
            let key = AppStateSyncKey { key_data: vec![*b; 32], fingerprint: vec![*b], timestamp: (*b).into() };
            shown(to.set_sync_key(&[0, *a], key).await?)
        }
        Call::LatestSyncKey => shown(to.get_latest_sync_key_id().await?),
        Call::GetVersion(a) => {
            let state = to.get_version(a).await?;
            let mut values: Vec<_> = state.index_value_map.into_iter().collect();
            values.sort();
            shown((state.version, state.hash, values, state.mac_mismatch_fatal))
        }
        Call::SetVersion(a, b) => {
            let mut state = HashState { version: (*b).into(), hash: [*b; 128], ..HashState::default() };
            state.index_value_map = (0..*b).map(|n| (n.to_string(), vec![n])).collect();
            state.mac_mismatch_fatal = *b > 1;
            shown(to.set_version(a, state).await?)
        }
        Call::PutMacs(a, b) => {
            let made = |(i, v): &(u8, u8)| AppStateMutationMAC { index_mac: mac(i).into(), value_mac: vec![*v; 32] };
            shown(to.put_mutation_macs(a, 1, &b.iter().map(made).collect::<Vec<_>>()).await?)
        }
        Call::GetMac(a, b) => shown(to.get_mutation_mac(a, &mac(b)).await?),
        Call::GetMacs(a, b) => {
            let asked: Vec<_> = b.iter().map(mac).collect();
            sorted(to.get_mutation_macs(a, &asked).await?.into_iter().collect())
        }
        Call::DeleteMacs(a, b) => {
            let dead: Vec<_> = b.iter().map(|seed| mac(seed).to_vec()).collect();
            shown(to.delete_mutation_macs(a, &dead).await?)
        }
        Call::ClearMacs(a) => shown(to.clear_mutation_macs(a).await?),

        Call::GetMarks(a) => sorted(to.get_sender_key_devices(a).await?),
        Call::SetMarks(a, b) => shown(to.set_sender_key_status(a, b).await?),
        Call::ClearMarks(a) => shown(to.clear_sender_key_devices(a).await?),
        Call::DeleteMarks(a) => shown(to.delete_sender_key_device_rows(a).await?),
        Call::ClearAllMarks => shown(to.clear_all_sender_key_devices().await?),
        Call::GetLid(a) => shown(to.get_lid_mapping(a).await?),
        Call::GetPn(a) => shown(to.get_pn_mapping(a).await?),
        Call::PutLid(a, b, c) => shown(to.put_lid_mapping(&mapping(&(a, b, *c), step * 10)).await?),
        Call::PutLids(a) => {
            let all: Vec<_> = a.iter().zip(step * 10..).map(|(entry, step)| mapping(entry, step)).collect();
            shown(to.put_lid_mappings(&all).await?)
        }
        Call::AllLids => sorted(to.get_all_lid_mappings().await?.iter().map(shown).collect()),
        Call::SaveBaseKey(a, b, c) => shown(to.save_base_key(a, b, &[*c; 33]).await?),
        Call::HasBaseKey(a, b, c) => shown(to.has_same_base_key(a, b, &[*c; 33]).await?),
        Call::DeleteBaseKey(a, b) => shown(to.delete_base_key(a, b).await?),
        Call::UpdateDevices(a, b) => shown(to.update_device_list(device_list(&(a, *b))).await?),
        Call::UpdateDeviceLists(a) => shown(to.update_device_lists(a.iter().map(device_list).collect()).await?),
        Call::GetDevices(a) => shown(to.get_devices(a).await?),
        Call::DeleteDevices(a) => shown(to.delete_devices(a).await?),
        Call::GetGroup(a) => shown(to.get_group_metadata(a).await?),
        Call::PutGroup(a, b) => shown(to.put_group_metadata(a, b).await?),
        Call::DeleteGroup(a) => shown(to.delete_group_metadata(a).await?),
        Call::GetToken(a) => shown(to.get_tc_token(a).await?),
        Call::PutToken(a, b, c, d) => {
            let token = TcTokenEntry { token: b.clone(), token_timestamp: *c, sender_timestamp: *d };
            shown(to.put_tc_token(a, &token).await?)
        }
        Call::DeleteToken(a) => shown(to.delete_tc_token(a).await?),
        Call::AllTokens => sorted(to.get_all_tc_token_jids().await?),
        Call::ExpireTokens(a, b) => shown(to.delete_expired_tc_tokens(*a, *b).await?),
        Call::TouchToken(a, b) => shown(to.touch_tc_token_sender_timestamp(a, *b).await?),
        Call::ReceiveToken(a, b, c) => shown(to.store_received_tc_token(a, b, *c).await?),
        Call::StoreSent(a, b, c) => shown(to.store_sent_message(a, b, c).await?),
        Call::TakeSent(a, b) => shown(to.take_sent_message(a, b).await?),
        Call::ExpireSent(all) => shown(to.delete_expired_sent_messages(if *all { LATER } else { 0 }).await?),
        Call::StorePending(a, b, c, d) => shown(to.store_pending_inbound(a, b, c, d).await?),
        Call::StorePendings(a) => {
            let row = |(chat, sender, id, message)| PendingInboundRow { chat, sender, id, message };
            let rows: Vec<_> = a.iter().map(|(a, b, c, d)| row((*a, *b, *c, d.as_slice()))).collect();
            shown(to.store_pending_inbound_batch(&rows).await?)
        }
        Call::GetPending(a, b, c) => shown(to.get_pending_inbound(a, b, c).await?),
        Call::DeletePending(a, b, c) => shown(to.delete_pending_inbound(a, b, c).await?),
        Call::DeletePendings(a) => {
            let keys: Vec<_> = a.iter().map(|(chat, sender, id)| PendingInboundKey { chat, sender, id }).collect();
            shown(to.delete_pending_inbound_batch(&keys).await?)
        }
        Call::ExpirePending(all) => shown(to.delete_expired_pending_inbound(if *all { LATER } else { 0 }).await?),

        Call::PutSecret(a, b, c, d) => shown(to.put_msg_secret(a, b, c, &[*d; 32]).await?),
        Call::PutSecrets(a) => shown(to.put_msg_secrets(a.iter().map(secret).collect()).await?),
        Call::GetSecret(a, b, c) => shown(to.get_msg_secret(a, b, c).await?),
        Call::GetSecretWithTime(a, b, c) => shown(to.get_msg_secret_with_ts(a, b, c).await?),
        Call::ExpireSecrets(a) => shown(to.delete_expired_msg_secrets(*a).await?),

        Call::Save(a) => shown(to.save(&device(template, *a)).await?),
        Call::Load => shown(to.load().await?.map(|device| serde_json::to_value(device).unwrap())),
        Call::Exists => shown(to.exists().await?),
    })
}

async fn compare(calls: &[Call], pool: &Pool, journal: Journal) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let ours = Store::create(&dir.path().join("ours"), vec![], journal, pool, StoreOptions::default()).await.unwrap();
    let sqlite = SqliteStore::new(dir.path().join("theirs.db").to_str().unwrap()).await.unwrap();
    let memory = InMemoryBackend::new();
    let template = Device::new();
    for backend in [&*ours as &dyn Backend, &sqlite, &memory] {
        prop_assert!(!backend.exists().await.unwrap());
        backend.create().await.unwrap();
        prop_assert!(backend.load().await.unwrap().is_some());
        backend.save(&device(&template, 0)).await.unwrap();
    }
    for (step, call) in calls.iter().enumerate() {
        let step = step as i64;
        let ours = answer(&*ours, call, step, &template).await;
        let theirs = answer(&sqlite, call, step, &template).await.unwrap();
        let in_memory = answer(&memory, call, step, &template).await.unwrap();
        let ours = match ours {
            Err(LibraryError::Database(error)) if matches!(call, Call::GetPending(..)) => {
                prop_assert!(matches!(error.downcast_ref(), Some(StoreError::LostInbound)), "{error}");
                shown(None::<Vec<u8>>)
            }
            ours => {
                let nothing = matches!((call, &ours), (Call::GetPending(..), Ok(none)) if none == "None");
                prop_assert!(!nothing, "a message that is nowhere may be acknowledged");
                ours.unwrap()
            }
        };
        prop_assert_eq!(&ours, &theirs, "SQLite, step {}: {:?}", step, call);
        prop_assert!(memory_differs(call) || ours == in_memory, "memory, step {step}: {call:?}: {ours} {in_memory}");
    }
    ours.close().await.unwrap();
    Ok(())
}

/// Long sequences over one part of the traits, where calls meet.
fn check(calls: impl Strategy<Value = Call>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_vault, journal) = runtime.block_on(crate::support::store_world::journal());
    // Small, so that files are closed and opened again in between.
    let pool = Pool::new(PoolOptions { threads: 1, open_files: 1, ..PoolOptions::default() }).unwrap();
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&prop::collection::vec(calls, 1..160), |calls| runtime.block_on(compare(&calls, &pool, journal.clone())))
        .unwrap();
}

#[test]
fn signal_state_answers_as_the_librarys_stores_do() {
    check(signal());
}

#[test]
fn app_state_answers_as_the_librarys_stores_do() {
    check(app_sync());
}

#[test]
fn protocol_state_answers_as_the_librarys_stores_do() {
    check(protocol());
}

#[test]
fn tokens_answer_as_the_librarys_stores_do() {
    check(tokens());
}

#[test]
fn messages_and_the_device_answer_as_the_librarys_stores_do() {
    check(messages_and_device());
}
