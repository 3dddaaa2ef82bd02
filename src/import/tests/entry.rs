//! What an import leaves of the pairing before it.

use jiff::Timestamp;

use super::*;
use crate::{
    import::entry::TenantEntry,
    journal::Record,
    store::{ACCOUNT_CHANGE, STOPPED, key, space},
};

#[test]
fn marks_and_keys_of_the_pairing_before_go_and_settings_stay() {
    let record = |space, name: &str| Record { space, key: key::text(name), value: b"1".to_vec().into() };
    let state = [
        record(space::SETTINGS, STOPPED),
        record(space::SETTINGS, ACCOUNT_CHANGE),
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
    let expected = [&state[0], &state[1], &state[3]].map(|record| (record.space, record.key.clone()));
    assert_eq!(deleted, expected, "it was stopped, might change its account, and had sessions");
}
