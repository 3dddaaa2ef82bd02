//! What an import leaves of the pairing before it.

use jiff::Timestamp;

use super::*;
use crate::{
    import::entry::TenantEntry,
    journal::Record,
    store::{ACCOUNT_CHANGE, IMPORT_RECEIPT, IMPORTED_NAME, REJECTED, RESTORED, STOPPED, key, space},
};

#[test]
fn marks_and_keys_of_the_pairing_before_go_and_settings_stay() {
    let record = |space, name: &str| Record { space, key: key::text(name), value: b"1".to_vec().into() };
    let state = [
        record(space::SETTINGS, STOPPED),
        record(space::SETTINGS, ACCOUNT_CHANGE),
        record(space::SETTINGS, REJECTED),
        record(space::SETTINGS, "menu"),
        record(space::SESSIONS, "573001112233@c.us.0"),
        record(space::INBOX, "a message"),
    ];
    let settled = read(&files(BAILEYS_7)).expect("a copy").settle(Finality::Final, CounterMargin::default());
    let entry = TenantEntry::new(&settled, &state, &[], Timestamp::UNIX_EPOCH).expect("an entry");
    let deleted: Vec<_> = state
        .iter()
        .filter(|record| {
            entry
                .changes
                .iter()
                .any(|change| change.space == record.space && change.key == record.key && change.value.is_none())
        })
        .map(|record| (record.space, record.key.clone()))
        .collect();
    let expected = [&state[0], &state[1], &state[2], &state[4]].map(|record| (record.space, record.key.clone()));
    assert_eq!(
        deleted, expected,
        "it was stopped, might change its account, had to be scanned again, and had sessions"
    );
}

/// By that a message is let through of which nothing is known here.
#[test]
fn whatever_came_from_elsewhere_says_so_also_without_a_name() {
    for (is_backup, name, expected) in [
        (false, None, vec![IMPORT_RECEIPT]),
        (false, Some("Trattoria"), vec![IMPORTED_NAME, IMPORT_RECEIPT]),
        (true, None, vec![RESTORED]),
        (true, Some("Trattoria"), vec![IMPORTED_NAME, RESTORED]),
    ] {
        let mut copy = read(&files(BAILEYS_7)).expect("a copy");
        copy.device.push_name = name.map(str::to_owned);
        let mut settled = copy.settle(Finality::MayBeStale, CounterMargin::default());
        let tenant = "trattoria".parse().expect("an id");
        let backup = TenantBackup { tenant, records: Vec::new(), segments: Vec::new(), lost_segments: 0 };
        settled.backup = is_backup.then_some(backup);
        let entry = TenantEntry::new(&settled, &[], &[], Timestamp::UNIX_EPOCH).expect("an entry");
        let has = |mark: &str| {
            let name = key::text(mark);
            entry.changes.iter().any(|change| change.space == space::SETTINGS && change.key == name)
        };
        let marks: Vec<_> = [IMPORTED_NAME, IMPORT_RECEIPT, RESTORED].into_iter().filter(|mark| has(mark)).collect();
        assert_eq!(marks, expected, "of a backup: {is_backup}, with the name {name:?}");
    }
}
