//! What an import leaves of the pairing before it.

use jiff::Timestamp;

use super::*;
use crate::{
    bot::{menu::Menu, owner_records},
    import::entry::TenantEntry,
    journal::Record,
    store::{ACCOUNT_CHANGE, IMPORT_RECEIPT, IMPORTED_NAME, OwnAccount, REJECTED, RESTORED, STOPPED, key, space},
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

/// What a deletion leaves of a menu is a version with nothing in it.
#[test]
fn a_menu_comes_in_over_what_a_deletion_left_and_over_no_owners_word() {
    let emptied = serde_json::json!(owner_records::Versioned { version: 4, ..owner_records::no_menu() });
    let emptied = Record { space: space::BOT, key: key::text(owner_records::MENU), value: emptied.to_string().into() };
    let account = OwnAccount::new("573001112233", None).remembered();
    let account =
        Record { space: account.space, key: account.key, value: account.value.expect("an account has a value") };
    let mut settled = read(&files(BAILEYS_7)).expect("a copy").settle(Finality::Final, CounterMargin::default());
    let menu = Menu { name: "Carta".to_owned(), ..owner_records::no_menu().value };
    settled.copy.restaurant = RestaurantCopy { menu: Some(menu.clone()), settings: None };
    let brought = |state: &[Record]| {
        let entry = TenantEntry::new(&settled, state, &[], Timestamp::UNIX_EPOCH).expect("an entry");
        let change = entry.changes.into_iter().find(|change| change.space == space::BOT)?;
        Some(serde_json::from_slice::<owner_records::Versioned<Menu>>(&change.value?).expect("a menu"))
    };
    let expected = |version| Some(owner_records::Versioned { version, value: menu.clone() });
    assert_eq!(brought(&[]), expected(1));
    assert_eq!(brought(std::slice::from_ref(&emptied)), expected(5), "the tenant was deleted");
    assert_eq!(brought(&[emptied, account]), None, "its owner has taken the menu away");
}
