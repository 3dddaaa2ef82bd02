//! The way out is the way in, backwards.

use jiff::Timestamp;
use prost::Message as _;

use super::*;
use crate::{
    import::{
        entry::TenantEntry,
        export::{BaileysFolder, baileys_folder, file_by_lid},
    },
    journal::Record,
    store::{
        key,
        records::{DeviceListRecord, SyncKeyRecord, TcTokenRecord},
        space,
    },
};

fn back(copy: TenantCopy) -> TenantCopy {
    let folder = baileys_folder(copy, CounterMargin::default());
    assert_eq!(folder.files.last().map(|(name, _)| name.as_str()), Some("creds.json"));
    let files: FixtureFiles =
        folder.files.into_iter().map(|(name, text)| (name, String::from_utf8(text).expect("JSON"))).collect();
    read(&files).expect("a copy")
}

#[test]
fn what_is_exported_can_be_imported() {
    let folder = TempDir::new().expect("a folder");
    drop(super::whatsmeow::database(&folder.path().join("wm.db")));
    let whatsmeow = || {
        let (mut found, _) = collect(|take| {
            crate::import::whatsmeow::read(
                &folder.path().join("wm.db"),
                ImportOrigin::Whatsmeow,
                &ImportLimits::default(),
                take,
            )
        });
        found.remove(0).copy.expect("a copy")
    };
    let makers: [&dyn Fn() -> TenantCopy; 3] =
        [&|| read(&files(BAILEYS_7)).expect("a copy"), &|| read(&files(BAILEYS_6)).expect("a copy"), &whatsmeow];
    for make in makers {
        let mut expected = make();
        let again = back(make());
        again.verify(Some(expected.number())).expect("whole");
        // Its counters are further on, by the margin.
        expected.skip_counters(Finality::Final, CounterMargin::default());
        file_by_lid(&mut expected);
        expected.identities.extend(
            again
                .identities
                .iter()
                .filter(|(address, _)| address.user == again.device.me.user)
                .map(|(a, b)| (a.clone(), *b)),
        );
        assert_same(&again, &expected);
        assert_eq!(again.tally.problems, []);
    }
}

/// Baileys 7 finds no session under a number whose LID it knows.
#[test]
fn sessions_are_filed_where_version_7_looks_for_them() {
    let mut copy = read(&files(BAILEYS_6)).expect("a copy");
    copy.lid_mappings.insert("180000000047515", "4915000000006");
    let exported = back(copy);
    let sessions: Vec<_> = exported.sessions.keys().map(SignalAddress::to_baileys).collect();
    assert_eq!(
        sessions,
        ["180000000039596_1.0", "180000000047515_1.0", "4915000000007.0", "4915000000008.0", "4915000000009.0",]
    );
    // Those it moves by itself, by these lists.
    assert!((7..=9).all(|at| exported.device_lists[&format!("491500000000{at}")] == [0]));
}

/// A tenant's records, as our store has them.
fn state(copy: TenantCopy) -> Vec<Record> {
    let settled = copy.settle(Finality::Final, CounterMargin::default());
    let entry = TenantEntry::new(&settled, &[], &[], Timestamp::UNIX_EPOCH).expect("an entry");
    let record =
        |change: crate::journal::Change| Some(Record { space: change.space, key: change.key, value: change.value? });
    entry.changes.into_iter().filter_map(record).collect()
}

/// The library keeps a record of somebody to whom it gave a token, also where it has none of theirs.
#[test]
fn nothing_that_is_empty_becomes_a_file() {
    let mut copy = read(&files(BAILEYS_7)).expect("a copy");
    copy.device.routing_info = Some(Vec::new());
    let mut state = state(copy);
    let folder =
        |state: &[Record]| baileys_folder(TenantCopy::of_state(state).expect("a copy"), CounterMargin::default());
    let names = |folder: &BaileysFolder| folder.files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let whole = folder(&state);
    let creds = &whole.files.last().expect("credentials").1;
    let creds: Value = serde_json::from_slice(creds).expect("JSON");
    assert!(creds.get("routingInfo").is_none(), "Baileys would name an empty place before its handshake");
    let token = TcTokenRecord { token: Vec::new(), token_timestamp: 0, sender_timestamp: Some(5) };
    let list = DeviceListRecord { user: "4915000000099".into(), ..DeviceListRecord::default() };
    for (space, name, value) in [
        (space::TC_TOKENS, "180000000099999", token.encode_to_vec()),
        (space::DEVICE_LISTS, "4915000000099", list.encode_to_vec()),
        (space::SYNC_KEYS, "empty", SyncKeyRecord::default().encode_to_vec()),
    ] {
        state.push(Record { space, key: key::text(name), value: value.into() });
    }
    let again = folder(&state);
    assert_eq!(names(&again), names(&whole));
    let tally = |kind| again.tally.of(kind);
    assert_eq!((tally(EntryKind::ContactToken).ignored, tally(EntryKind::DeviceList).ignored), (1, 1));
    assert_eq!(tally(EntryKind::SyncKey).dropped, 1);
}
