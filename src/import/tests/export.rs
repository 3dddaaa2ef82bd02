//! The way out is the way in, backwards.

use super::*;
use crate::import::export::{baileys_folder, file_by_lid};

fn back(copy: TenantCopy) -> TenantCopy {
    let folder = baileys_folder(copy, CounterMargin::default());
    assert_eq!(folder.files.last().map(|(name, _)| name.as_str()), Some("creds.json"));
    let files: Files =
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
